/* server/handlers/pipelines.c
 *
 * Pipelines: several jobs submitted at once, and how far they are. */
#include "server/handlers/handlers.h"

enum { PIPELINE_JOBS_MAX = PAGE_LIMIT_MAX };

void handle_pipeline_submit(struct app *app, struct request *q, struct response *r)
{
    respond_submission(app, q, r, false, jobs_accept_pipeline, "/api/v1/pipelines");
}

void handle_pipeline_get(struct app *app, struct request *q, struct response *r)
{
    const char *id = q->params[0];
    struct job_filter filter = {.pipeline_id = id, .limit = PIPELINE_JOBS_MAX};
    struct job_row *rows;
    struct error e;
    size_t n;
    enum status s = store_jobs_list(app->store, &q->arena, &filter, &rows, &n, &e);
    if (s == STATUS_OK && n == 0)
        s = error_set(&e, STATUS_NOTFOUND, "There is no pipeline '%s'.", id);
    struct job_row *steps = s == STATUS_OK ? ARENA_NEW(&q->arena, struct job_row, n) : NULL;
    if (s == STATUS_OK && !steps)
        s = error_set(&e, STATUS_NOMEM, "no memory for a pipeline");
    for (size_t i = 0; s == STATUS_OK && i < n; i++)   /* the store has the newest first; steps read better in order */
        s = jobs_get(app->jobs, &q->arena, rows[n - 1 - i].id, &steps[i], &e);
    if (s == STATUS_OK)
        respond_json(q, r, 200, jobs_pipeline_to_json(id, steps, n));
    else
        respond_error(q, r, &e);
}
