/* server/handlers/handlers.h
 *
 * The functions of the route table, one file a noun.  Each reads its request, asks one module, and writes the answer;
 * what is wrong with a request has been answered when a request_... or page_... function says false. */
#ifndef DLT_SERVER_HANDLERS_H
#define DLT_SERVER_HANDLERS_H

#include "server/app.h"

typedef void handler_fn(struct app *app, struct request *q, struct response *r);

handler_fn handle_health, handle_ready, handle_started;                              /* health.c */
handler_fn handle_index, handle_asset, handle_info, handle_openapi, handle_problem_page;           /* meta.c */
handler_fn handle_metrics;                                                           /* metrics.c */
handler_fn handle_job_kinds;                                                         /* job_kinds.c */
handler_fn handle_job_submit, handle_job_list, handle_job_get, handle_job_cancel, handle_job_retry;        /* jobs.c */
handler_fn handle_job_metrics, handle_job_logs, handle_job_recipe;                   /* job_watch.c */
handler_fn handle_job_delete;                                                        /* jobs.c */
handler_fn handle_job_events;                                                        /* job_events.c */
handler_fn handle_job_patch, handle_job_bulk, handle_job_verify, handle_backup;      /* job_patch.c */
handler_fn handle_job_deliveries;                                                    /* webhooks.c */
handler_fn handle_queue_list, handle_queue_get, handle_queue_patch;                  /* queues.c */
handler_fn handle_pipeline_submit, handle_pipeline_get;                              /* pipelines.c */
handler_fn handle_dataset_list, handle_dataset_get, handle_dataset_histogram, handle_dataset_delete;      /* datasets.c */
handler_fn handle_dataset_rows;                                                      /* dataset_rows.c */
handler_fn handle_export_list, handle_export_get, handle_export_file, handle_export_delete;                /* exports.c */
handler_fn handle_upload_list, handle_upload_get, handle_upload_put, handle_upload_delete;                 /* uploads.c */
extern const struct body_taker upload_taker;
handler_fn handle_dropped_list;                                                      /* dropped.c */
handler_fn handle_lineage;                                                           /* lineage.c */
handler_fn handle_model_import;                                                      /* models_import.c */
handler_fn handle_model_list, handle_model_get, handle_model_version, handle_model_artifact;               /* models.c */
handler_fn handle_study_list, handle_study_get, handle_study_trials;                 /* studies.c */
handler_fn handle_evaluation_list, handle_evaluation_get;                            /* evaluations.c */
handler_fn handle_recipe_list, handle_recipe_get;                                    /* recipes.c */
handler_fn handle_file_inspect;                                                      /* files.c */
handler_fn handle_decide, handle_decide_batch;                                       /* trigger.c */
handler_fn handle_trigger_rates, handle_trigger_drift;                              /* trigger_watch.c */
handler_fn handle_oip_server, handle_oip_live, handle_oip_ready, handle_oip_model, handle_oip_model_ready;      /* oip.c */
handler_fn handle_oip_config, handle_oip_stats, handle_oip_index, handle_oip_load, handle_oip_unload;
handler_fn handle_oip_infer;                                                         /* oip_infer.c */
handler_fn handle_key_list, handle_key_create, handle_key_revoke, handle_audit;       /* keys.c */
handler_fn handle_alias_get, handle_alias_put, handle_alias_delete, handle_model_history;                 /* aliases.c */
handler_fn handle_running_menu, handle_menu_history, handle_menu_rollback, handle_prescale_column, handle_menu_diff;
handler_fn handle_menu_list, handle_menu_create, handle_menu_get, handle_menu_activate;                    /* menus.c */

/* ---- keys.c: for struct http_options ------------------------------------------------------------------------------ */

bool authorize(struct app *app, struct request *q, struct response *r, const struct route *route);
void audit(struct app *app, const struct request *q, const struct route *route, int status);

/* ---- submissions.c: what posting jobs and pipelines has in common ------------------------------------------------- */

typedef enum status accept_fn(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                              struct submit_answer *out, struct json_problems *problems, struct error *e);
/* Reads key and body, submits, answers 202 with `folder`/ID as Location. */
void respond_submission(struct app *app, struct request *q, struct response *r, bool may_be_empty, accept_fn *accept,
                        const char *folder);

/* ---- job_patch.c: changing what somebody has read before ------------------------------------------------------------ */

/* Whether If-Match has the ETag that respond_json_tagged gives for `now`, which it takes.  False: already answered, 428
 * without the header, 412 when it is stale. */
bool request_if_match_json(struct request *q, struct response *r, struct json *now) MUST_USE;

/* ---- artifacts.c: what datasets, models and evaluations have in common ------------------------------------------- */

/* id, name, version (models), sha256, job_id, created_at; never the folder. */
struct json *artifact_to_json(const struct artifact_row *row);
/* GET of a list: ?limit &cursor &name. */
void respond_artifacts(struct app *app, struct request *q, struct response *r, const char *kind);
/* The row by id; false: already answered. */
bool find_artifact(struct app *app, struct request *q, struct response *r, const char *kind, const char *id,
                   struct artifact_row *out) MUST_USE;
/* Moves the members of `from` behind those of `to`. */
void json_merge(struct json *to, struct json *from);

/* JSON text that the store keeps, as a value; null for NULL and what does not parse. */
struct json *stored_json(const char *text);

#endif
