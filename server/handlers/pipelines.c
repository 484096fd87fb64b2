/* server/handlers/pipelines.c
 *
 * Pipelines: several jobs submitted at once, and how far they are. */
#include "server/handlers/handlers.h"

enum { PIPELINE_JOBS_MAX = PAGE_LIMIT_MAX };

/* One word for all steps: what is worst, else what is going on. */
static const char *state_of(const struct job_row *rows, size_t n)
{
    size_t counts[JOB_STATES] = {0}, n_final = 0;
    for (size_t i = 0; i < n; i++) {
        counts[rows[i].state]++;
        n_final += job_state_final(rows[i].state);
    }
    if (n_final == n)
        return counts[JOB_DISCARDED] ? "discarded" : counts[JOB_CANCELLED] ? "cancelled" : "completed";
    if (n_final + counts[JOB_PENDING] + counts[JOB_AVAILABLE] + counts[JOB_SCHEDULED] == n && counts[JOB_COMPLETED] == 0)
        return "available";
    return "running";
}

static void respond_pipeline(struct app *app, struct request *q, struct response *r, const char *id, int status)
{
    struct job_filter filter = {.pipeline_id = id, .limit = PIPELINE_JOBS_MAX};
    struct job_row *rows;
    struct error e;
    size_t n;
    enum status s = store_jobs_list(app->store, &q->arena, &filter, &rows, &n, &e);
    if (s == STATUS_OK && n == 0)
        s = error_set(&e, STATUS_NOTFOUND, "There is no pipeline '%s'.", id);
    struct json *v = json_new_object(), *jobs = json_new_array();
    for (size_t i = n; s == STATUS_OK && i-- > 0;) {   /* the store has the newest first; steps read better in order */
        s = jobs_get(app->jobs, &q->arena, rows[i].id, &rows[i], &e);
        if (s == STATUS_OK)
            json_push(jobs, jobs_to_json(&rows[i]));
    }
    json_set(v, "id", json_new_string(id));
    json_set(v, "state", json_new_string(s == STATUS_OK ? state_of(rows, n) : NULL));
    json_set(v, "jobs", jobs);
    if (s == STATUS_OK) {
        respond_json(q, r, status, v);
        return;
    }
    json_free(v);
    respond_error(q, r, &e);
}

void handle_pipeline_submit(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct field_list job_ids;
    struct json *body;
    struct error e;
    char id[40];
    if (!request_json(q, r, false, &body))
        return;
    enum status s = jobs_submit_pipeline(app->jobs, body, id, &job_ids, &q->arena, &problems, &e);
    json_free(body);
    if (s == STATUS_ARGUMENT)
        respond_problem(q, r, "invalid_request", &problems, "%s", e.text);
    else if (s != STATUS_OK)
        respond_error(q, r, &e);
    if (s != STATUS_OK)
        return;
    response_header(r, "Location", arena_printf(&q->arena, "/api/v1/pipelines/%s", id));
    respond_pipeline(app, q, r, id, 202);
}

void handle_pipeline_get(struct app *app, struct request *q, struct response *r)
{
    respond_pipeline(app, q, r, q->params[0], 200);
}
