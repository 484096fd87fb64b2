/* server/http/routes.c
 *
 * Every route: method, template, scope, largest body, handler, operation id, query.  api/openapi.yaml describes the same
 * rows (tests/api/check_routes.sh compares them both ways).  A GET row answers HEAD too. */
#include "server/handlers/handlers.h"

enum { NO_BODY = 0, ACTION = 4 << 10, PATH = 16 << 10, MENU = 256 << 10, JOB = 1 << 20, EVENT = 2 << 20,
       EVENTS = 16 << 20, MODEL = 64 << 20 };

/* The configuration says how large a file may be. */
#define UPLOAD ((size_t)1 << 50)

#define PAGE "limit cursor"
#define ROWS "limit cursor particles"
#define NAMED "name limit cursor"
#define JOBS "kind state pipeline_id tag queue created_after created_before limit cursor"
#define ANY "*"
#define NONE NULL

/* Probes and pages take any query: what asks for them may add one of its own. */
const struct route routes[] = {
    {HTTP_GET, "/", "", NO_BODY, handle_index, "getIndex", ANY},
    {HTTP_GET, "/dashboard/{file}", "", NO_BODY, handle_asset, "getAsset", ANY},
    {HTTP_GET, "/healthz", "", NO_BODY, handle_health, "getHealth", ANY},
    {HTTP_GET, "/readyz", "", NO_BODY, handle_ready, "getReadiness", ANY},
    {HTTP_GET, "/startupz", "", NO_BODY, handle_started, "getStartup", ANY},
    {HTTP_GET, "/metrics", "metrics:read", NO_BODY, handle_metrics, "getMetrics", ANY},
    {HTTP_GET, "/openapi.yaml", "", NO_BODY, handle_openapi, "getApiDocument", ANY},
    {HTTP_GET, "/problems/{slug}", "", NO_BODY, handle_problem_page, "getProblemPage", ANY},
    {HTTP_GET, "/api/v1/info", "read", NO_BODY, handle_info, "getInfo", NONE},

    {HTTP_GET, "/api/v1/job-kinds", "read", NO_BODY, handle_job_kinds, "listJobKinds", NONE},
    {HTTP_GET, "/api/v1/jobs", "read", NO_BODY, handle_job_list, "listJobs", JOBS},
    {HTTP_POST, "/api/v1/jobs", "jobs:write", JOB, handle_job_submit, "submitJob", "dry_run"},
    {HTTP_GET, "/api/v1/jobs/{id}", "read", NO_BODY, handle_job_get, "getJob", NONE},
    {HTTP_PATCH, "/api/v1/jobs/{id}", "jobs:write", ACTION, handle_job_patch, "changeJob", NONE},
    {HTTP_POST, "/api/v1/jobs:bulk", "jobs:admin", ACTION, handle_job_bulk, "changeJobs", NONE},
    {HTTP_DELETE, "/api/v1/jobs/{id}", "jobs:admin", NO_BODY, handle_job_delete, "deleteJob", NONE},
    {HTTP_GET, "/api/v1/jobs/{id}/events", "read", NO_BODY, handle_job_events, "getJobEvents", NONE},
    {HTTP_GET, "/api/v1/jobs/{id}/metrics", "read", NO_BODY, handle_job_metrics, "getJobMetrics", "keys max_points"},
    {HTTP_GET, "/api/v1/jobs/{id}/logs", "read", NO_BODY, handle_job_logs, "getJobLogs", "after limit follow"},
    {HTTP_GET, "/api/v1/jobs/{id}/webhooks", "read", NO_BODY, handle_job_deliveries, "listJobDeliveries", NONE},
    {HTTP_GET, "/api/v1/jobs/{id}/recipe", "read", NO_BODY, handle_job_recipe, "getJobRecipe", NONE},
    {HTTP_POST, "/api/v1/jobs/{id}:cancel", "jobs:write", ACTION, handle_job_cancel, "cancelJob", NONE},
    {HTTP_POST, "/api/v1/jobs/{id}:retry", "jobs:write", ACTION, handle_job_retry, "retryJob", NONE},
    {HTTP_POST, "/api/v1/jobs/{id}:verify", "jobs:write", ACTION, handle_job_verify, "verifyJob", NONE},
    {HTTP_POST, "/api/v1/pipelines", "jobs:write", JOB, handle_pipeline_submit, "submitPipeline", NONE},
    {HTTP_GET, "/api/v1/pipelines/{id}", "read", NO_BODY, handle_pipeline_get, "getPipeline", NONE},

    {HTTP_GET, "/api/v1/queues", "read", NO_BODY, handle_queue_list, "listQueues", NONE},
    {HTTP_GET, "/api/v1/queues/{name}", "read", NO_BODY, handle_queue_get, "getQueue", NONE},
    {HTTP_PATCH, "/api/v1/queues/{name}", "jobs:admin", ACTION, handle_queue_patch, "changeQueue", NONE},
    {HTTP_POST, "/api/v1/admin:backup", "admin", ACTION, handle_backup, "backUp", NONE},

    {HTTP_POST, "/api/v1/files:inspect", "data:write", PATH, handle_file_inspect, "inspectFile", NONE},
    {HTTP_GET, "/api/v1/datasets", "read", NO_BODY, handle_dataset_list, "listDatasets", NAMED},
    {HTTP_GET, "/api/v1/datasets/{id}", "read", NO_BODY, handle_dataset_get, "getDataset", NONE},
    {HTTP_DELETE, "/api/v1/datasets/{id}", "data:write", NO_BODY, handle_dataset_delete, "deleteDataset", NONE},
    {HTTP_GET, "/api/v1/datasets/{id}/rows", "read", NO_BODY, handle_dataset_rows, "getDatasetRows", ROWS},
    {HTTP_GET, "/api/v1/datasets/{id}/histograms", "read", NO_BODY, handle_dataset_histogram, "getDatasetHistogram",
     "feature class bins weighted"},
    {HTTP_GET, "/api/v1/exports", "read", NO_BODY, handle_export_list, "listExports", NAMED},
    {HTTP_GET, "/api/v1/exports/{id}", "read", NO_BODY, handle_export_get, "getExport", NONE},
    {HTTP_GET, "/api/v1/exports/{id}/files/{file}", "read", NO_BODY, handle_export_file, "getExportFile", NONE},
    {HTTP_DELETE, "/api/v1/exports/{id}", "data:write", NO_BODY, handle_export_delete, "deleteExport", NONE},
    {HTTP_GET, "/api/v1/uploads", "read", NO_BODY, handle_upload_list, "listUploads", PAGE},
    {HTTP_GET, "/api/v1/uploads/{name}", "read", NO_BODY, handle_upload_get, "getUpload", NONE},
    {HTTP_PUT, "/api/v1/uploads/{name}", "data:write", UPLOAD, handle_upload_put, "putUpload", NONE},
    {HTTP_DELETE, "/api/v1/uploads/{name}", "data:write", NO_BODY, handle_upload_delete, "deleteUpload", NONE},
    {HTTP_GET, "/api/v1/dropped-files", "read", NO_BODY, handle_dropped_list, "listDroppedFiles", "limit"},
    {HTTP_GET, "/api/v1/lineage/{id}", "read", NO_BODY, handle_lineage, "getLineage", NONE},
    {HTTP_GET, "/api/v1/recipes", "read", NO_BODY, handle_recipe_list, "listRecipes", NONE},
    {HTTP_GET, "/api/v1/recipes/{name}", "read", NO_BODY, handle_recipe_get, "getRecipe", NONE},
    {HTTP_GET, "/api/v1/models", "read", NO_BODY, handle_model_list, "listModels", NAMED},
    {HTTP_GET, "/api/v1/models/{m}", "read", NO_BODY, handle_model_get, "getModel", NONE},
    {HTTP_GET, "/api/v1/models/{m}/versions/{v}", "read", NO_BODY, handle_model_version, "getModelVersion", NONE},
    {HTTP_GET, "/api/v1/models/{m}/versions/{v}/artifact", "read", NO_BODY, handle_model_artifact, "getModelArtifact",
     "format with_scaler"},
    {HTTP_POST, "/api/v1/models/{m}/versions", "models:write", MODEL, handle_model_import, "importModel",
     "recipe classes scaler_from"},
    {HTTP_GET, "/api/v1/studies", "read", NO_BODY, handle_study_list, "listStudies", NAMED},
    {HTTP_GET, "/api/v1/studies/{id}", "read", NO_BODY, handle_study_get, "getStudy", NONE},
    {HTTP_GET, "/api/v1/studies/{id}/trials", "read", NO_BODY, handle_study_trials, "listStudyTrials",
     "sort state limit cursor"},
    {HTTP_GET, "/api/v1/models/{m}/aliases/{alias}", "read", NO_BODY, handle_alias_get, "getAlias", NONE},
    {HTTP_PUT, "/api/v1/models/{m}/aliases/{alias}", "models:promote", ACTION, handle_alias_put, "moveAlias", NONE},
    {HTTP_DELETE, "/api/v1/models/{m}/aliases/{alias}", "models:promote", NO_BODY, handle_alias_delete, "removeAlias",
     "reason"},
    {HTTP_GET, "/api/v1/models/{m}/history", "read", NO_BODY, handle_model_history, "getModelHistory", "limit"},
    {HTTP_GET, "/api/v1/evaluations", "read", NO_BODY, handle_evaluation_list, "listEvaluations", NAMED},
    {HTTP_GET, "/api/v1/evaluations/{id}", "read", NO_BODY, handle_evaluation_get, "getEvaluation", NONE},

    {HTTP_POST, "/api/v1/trigger/decisions", "trigger:score", EVENT, handle_decide, "decide", NONE},
    {HTTP_POST, "/api/v1/trigger/decisions:batch", "trigger:score", EVENTS, handle_decide_batch, "decideBatch", NONE},
    {HTTP_GET, "/api/v1/trigger/rates", "read", NO_BODY, handle_trigger_rates, "getTriggerRates", "window"},
    {HTTP_GET, "/api/v1/trigger/drift", "read", NO_BODY, handle_trigger_drift, "getTriggerDrift", "window"},
    {HTTP_GET, "/api/v1/menus", "read", NO_BODY, handle_menu_list, "listMenus", PAGE},
    {HTTP_POST, "/api/v1/menus", "trigger:admin", MENU, handle_menu_create, "createMenu", NONE},
    {HTTP_GET, "/api/v1/menus/{m}/revisions/{r}", "read", NO_BODY, handle_menu_get, "getMenu", NONE},
    {HTTP_POST, "/api/v1/menus/{m}/revisions/{r}:activate", "trigger:admin", ACTION, handle_menu_activate,
     "activateMenu", NONE},
    {HTTP_GET, "/api/v1/menus/{m}/revisions/{r}/diff", "read", NO_BODY, handle_menu_diff, "diffMenu", "against"},
    {HTTP_POST, "/api/v1/menus:rollback", "trigger:admin", ACTION, handle_menu_rollback, "rollbackMenu", NONE},
    {HTTP_GET, "/api/v1/trigger/menu", "read", NO_BODY, handle_running_menu, "getRunningMenu", NONE},
    {HTTP_GET, "/api/v1/trigger/menu/history", "read", NO_BODY, handle_menu_history, "getMenuHistory", "limit"},
    {HTTP_PUT, "/api/v1/trigger/prescale-column", "trigger:admin", ACTION, handle_prescale_column, "setPrescaleColumn",
     NONE},

    {HTTP_GET, "/api/v1/keys", "admin", NO_BODY, handle_key_list, "listKeys", NONE},
    {HTTP_POST, "/api/v1/keys", "admin", ACTION, handle_key_create, "createKey", NONE},
    {HTTP_DELETE, "/api/v1/keys/{id}", "admin", NO_BODY, handle_key_revoke, "revokeKey", NONE},
    {HTTP_GET, "/api/v1/audit", "admin", NO_BODY, handle_audit, "getAudit", PAGE},

    /* Open Inference Protocol: no /api prefix, since clients have these paths built in. */
    {HTTP_GET, "/v2", "read", NO_BODY, handle_oip_server, "getOipServer", ANY},
    {HTTP_GET, "/v2/health/live", "", NO_BODY, handle_oip_live, "getOipLive", ANY},
    {HTTP_GET, "/v2/health/ready", "", NO_BODY, handle_oip_ready, "getOipReady", ANY},
    {HTTP_GET, "/v2/models/{m}", "read", NO_BODY, handle_oip_model, "getOipModel", ANY},
    {HTTP_GET, "/v2/models/{m}/versions/{v}", "read", NO_BODY, handle_oip_model, "getOipModelVersion", ANY},
    {HTTP_GET, "/v2/models/{m}/ready", "read", NO_BODY, handle_oip_model_ready, "getOipModelReady", ANY},
    {HTTP_GET, "/v2/models/{m}/versions/{v}/ready", "read", NO_BODY, handle_oip_model_ready, "getOipVersionReady", ANY},
    {HTTP_GET, "/v2/models/{m}/config", "read", NO_BODY, handle_oip_config, "getOipConfig", ANY},
    {HTTP_GET, "/v2/models/{m}/versions/{v}/config", "read", NO_BODY, handle_oip_config, "getOipVersionConfig", ANY},
    {HTTP_GET, "/v2/models/{m}/stats", "read", NO_BODY, handle_oip_stats, "getOipStats", ANY},
    {HTTP_GET, "/v2/models/{m}/versions/{v}/stats", "read", NO_BODY, handle_oip_stats, "getOipVersionStats", ANY},
    {HTTP_POST, "/v2/models/{m}/infer", "trigger:score", EVENTS, handle_oip_infer, "infer", ANY},
    {HTTP_POST, "/v2/models/{m}/versions/{v}/infer", "trigger:score", EVENTS, handle_oip_infer, "inferVersion", ANY},
    {HTTP_POST, "/v2/repository/index", "read", ACTION, handle_oip_index, "getOipIndex", ANY},
    {HTTP_POST, "/v2/repository/models/{m}/load", "models:promote", ACTION, handle_oip_load, "loadOipModel", ANY},
    {HTTP_POST, "/v2/repository/models/{m}/unload", "models:promote", ACTION, handle_oip_unload, "unloadOipModel", ANY},
};
const size_t n_routes = ARRAY_LEN(routes);

const struct body_taker *route_taker(const struct route *route)
{
    return route->handle == handle_upload_put ? &upload_taker : NULL;
}
