/* server/http/routes.c
 *
 * Every route: method, template, scope, largest body, handler, operation id.  api/openapi.yaml describes the same rows
 * (tests/api/check_routes.sh compares them both ways).  A GET row answers HEAD too. */
#include "server/handlers/handlers.h"

enum { NO_BODY = 0, ACTION = 4 << 10, MENU = 256 << 10, JOB = 1 << 20, EVENT = 2 << 20 };

const struct route routes[] = {
    {HTTP_GET,  "/",                                   "",              NO_BODY, handle_index,           "getIndex"},
    {HTTP_GET,  "/healthz",                            "",              NO_BODY, handle_health,          "getHealth"},
    {HTTP_GET,  "/readyz",                             "",              NO_BODY, handle_ready,           "getReadiness"},
    {HTTP_GET,  "/startupz",                           "",              NO_BODY, handle_started,         "getStartup"},
    {HTTP_GET,  "/metrics",                            "metrics:read",  NO_BODY, handle_metrics,         "getMetrics"},
    {HTTP_GET,  "/openapi.yaml",                       "",              NO_BODY, handle_openapi,         "getApiDocument"},
    {HTTP_GET,  "/problems/{slug}",                    "",              NO_BODY, handle_problem_page,    "getProblemPage"},
    {HTTP_GET,  "/api/v1/info",                        "read",          NO_BODY, handle_info,            "getInfo"},

    {HTTP_GET,  "/api/v1/job-kinds",                   "read",          NO_BODY, handle_job_kinds,       "listJobKinds"},
    {HTTP_GET,  "/api/v1/jobs",                        "read",          NO_BODY, handle_job_list,        "listJobs"},
    {HTTP_POST, "/api/v1/jobs",                        "jobs:write",    JOB,     handle_job_submit,      "submitJob"},
    {HTTP_GET,  "/api/v1/jobs/{id}",                   "read",          NO_BODY, handle_job_get,         "getJob"},
    {HTTP_POST, "/api/v1/jobs/{id}:cancel",            "jobs:write",    ACTION,  handle_job_cancel,      "cancelJob"},
    {HTTP_POST, "/api/v1/jobs/{id}:retry",             "jobs:write",    ACTION,  handle_job_retry,       "retryJob"},
    {HTTP_POST, "/api/v1/pipelines",                   "jobs:write",    JOB,     handle_pipeline_submit, "submitPipeline"},
    {HTTP_GET,  "/api/v1/pipelines/{id}",              "read",          NO_BODY, handle_pipeline_get,    "getPipeline"},

    {HTTP_POST, "/api/v1/files:inspect",               "data:write",    ACTION * 4, handle_file_inspect, "inspectFile"},
    {HTTP_GET,  "/api/v1/datasets",                    "read",          NO_BODY, handle_dataset_list,    "listDatasets"},
    {HTTP_GET,  "/api/v1/datasets/{id}",               "read",          NO_BODY, handle_dataset_get,     "getDataset"},
    {HTTP_GET,  "/api/v1/recipes",                     "read",          NO_BODY, handle_recipe_list,     "listRecipes"},
    {HTTP_GET,  "/api/v1/recipes/{name}",              "read",          NO_BODY, handle_recipe_get,      "getRecipe"},
    {HTTP_GET,  "/api/v1/models",                      "read",          NO_BODY, handle_model_list,      "listModels"},
    {HTTP_GET,  "/api/v1/models/{m}",                  "read",          NO_BODY, handle_model_get,       "getModel"},
    {HTTP_GET,  "/api/v1/models/{m}/versions/{v}",     "read",          NO_BODY, handle_model_version,   "getModelVersion"},
    {HTTP_GET,  "/api/v1/models/{m}/versions/{v}/artifact", "read",     NO_BODY, handle_model_artifact,  "getModelArtifact"},
    {HTTP_GET,  "/api/v1/evaluations",                 "read",          NO_BODY, handle_evaluation_list, "listEvaluations"},
    {HTTP_GET,  "/api/v1/evaluations/{id}",            "read",          NO_BODY, handle_evaluation_get,  "getEvaluation"},

    {HTTP_POST, "/api/v1/trigger/decisions",           "trigger:score", EVENT,   handle_decide,          "decide"},
    {HTTP_GET,  "/api/v1/menus",                       "read",          NO_BODY, handle_menu_list,       "listMenus"},
    {HTTP_POST, "/api/v1/menus",                       "trigger:admin", MENU,    handle_menu_create,     "createMenu"},
    {HTTP_GET,  "/api/v1/menus/{m}/revisions/{r}",     "read",          NO_BODY, handle_menu_get,        "getMenu"},
    {HTTP_POST, "/api/v1/menus/{m}/revisions/{r}:activate", "trigger:admin", ACTION, handle_menu_activate, "activateMenu"},
};
const size_t n_routes = ARRAY_LEN(routes);
