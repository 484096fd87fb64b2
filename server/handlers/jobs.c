/* server/handlers/jobs.c
 *
 * Jobs: submit, list, look, cancel, retry. */
#include "server/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The job as it is now. */
static void respond_job(struct app *app, struct request *q, struct response *r, const char *id)
{
    struct job_row row;
    struct error e;
    if (jobs_get(app->jobs, &q->arena, id, &row, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else
        respond_json_tagged(q, r, jobs_to_json(&row));
}

/* A boolean of the query; false: already answered. */
static bool query_bool(struct request *q, struct response *r, const char *name, bool *out)
{
    const char *text = request_query(q, name);
    *out = text && strcmp(text, "true") == 0;
    if (!text || *out || strcmp(text, "false") == 0)
        return true;
    respond_problem(q, r, "invalid_query", NULL, "%s is true or false.", name);
    return false;
}

/* What would be submitted, defaults and all. */
static struct json *check_to_json(const struct job_new *job)
{
    struct json *v = json_new_object();
    json_set(v, "valid", json_new_bool(true));
    json_set(v, "kind", json_new_string(job->kind));
    json_set(v, "spec", stored_json(job->spec));
    json_set(v, "spec_sha256", json_new_string(job->spec_sha256));
    json_set(v, "priority", json_new_i64(job->priority));
    json_set(v, "max_attempts", json_new_i64(job->max_attempts));
    json_set(v, "queue", json_new_string(job->queue ? job->queue : job->kind));
    json_set(v, "timeout_seconds", job->timeout_us ? json_new_i64(job->timeout_us / 1000000) : json_new_null());
    json_set(v, "run_at", json_new_time(job->run_at_us));
    json_set(v, "tags", job->tags ? stored_json(job->tags) : json_new_array());
    return v;
}

static void respond_check(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct job_new job;
    struct json *body;
    struct error e;
    if (!request_json(q, r, false, &body))
        return;
    enum status s = jobs_check(app->jobs, &q->arena, body, &job, &problems, &e);
    json_free(body);
    if (s == STATUS_OK)
        respond_json(q, r, 200, check_to_json(&job));
    else if (s == STATUS_ARGUMENT)
        respond_problem(q, r, "invalid_request", &problems, "%s", e.text);
    else
        respond_error(q, r, &e);
}

void handle_job_submit(struct app *app, struct request *q, struct response *r)
{
    bool dry_run;
    if (!query_bool(q, r, "dry_run", &dry_run))
        return;
    if (dry_run)
        respond_check(app, q, r);
    else
        respond_submission(app, q, r, false, jobs_accept, "/api/v1/jobs");
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static bool read_filter(struct app *app, struct request *q, struct response *r, struct job_filter *f)
{
    f->kind = request_query(q, "kind");
    f->state = request_query(q, "state");
    f->pipeline_id = request_query(q, "pipeline_id");
    f->tag = request_query(q, "tag");
    f->queue = request_query(q, "queue");
    const char *after = request_query(q, "created_after"), *before = request_query(q, "created_before");
    if (after && !time_parse(after, &f->created_after_us))
        respond_problem(q, r, "invalid_query", NULL, "created_after is a time like 2026-11-23T10:00:00Z.");
    else if (before && !time_parse(before, &f->created_before_us))
        respond_problem(q, r, "invalid_query", NULL, "created_before is a time like 2026-11-23T10:00:00Z.");
    else if (f->kind && !jobs_kind_find(app->jobs, f->kind))
        respond_problem(q, r, "invalid_query", NULL, "There is no job kind '%s'.", f->kind);
    else if (f->state && job_state_parse(f->state) < 0)
        respond_problem(q, r, "invalid_query", NULL, "There is no job state '%s'.", f->state);
    else
        return true;
    return false;
}

/* Rows of the store, with the progress that this process has in memory for those that run. */
static enum status list_to_json(struct app *app, struct request *q, struct job_row *rows, size_t n, struct json *items,
                                struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].state == JOB_RUNNING || rows[i].state == JOB_CANCELLING)
            TRY(jobs_get(app->jobs, &q->arena, rows[i].id, &rows[i], e));
        json_push(items, jobs_to_json(&rows[i]));
    }
    return STATUS_OK;
}

void handle_job_list(struct app *app, struct request *q, struct response *r)
{
    struct page page;
    struct job_filter filter = {0};
    struct job_row *rows;
    struct error e;
    size_t n;
    if (!page_read(q, r, &page) || !read_filter(app, q, r, &filter))
        return;
    filter.before = page.before;
    filter.limit = page.limit + 1;                     /* one more tells whether there is a next page */
    struct json *items = json_new_array();
    enum status s = store_jobs_list(app->store, &q->arena, &filter, &rows, &n, &e);
    bool more = s == STATUS_OK && n > page.limit;
    if (s == STATUS_OK)
        s = list_to_json(app, q, rows, more ? page.limit : n, items, &e);
    if (s == STATUS_OK) {
        respond_page(q, r, &page, items, more ? rows[page.limit - 1].id : NULL);
        return;
    }
    json_free(items);
    respond_error(q, r, &e);
}

enum { WAIT_SECONDS_MAX = 60 };

/* Seconds of "Prefer: wait=N" (RFC 7240), at most WAIT_SECONDS_MAX; 0: none. */
static int64_t seconds_to_wait(const struct request *q)
{
    const char *text = request_header(q, "Prefer");
    for (; text && *text; text += strcspn(text, ","), text += *text == ',') {
        text += strspn(text, " \t");
        size_t digits = strncasecmp(text, "wait=", 5) == 0 ? strspn(text + 5, "0123456789") : 0;
        if (digits == 0)
            continue;
        int64_t seconds = digits > 4 ? WAIT_SECONDS_MAX : strtoll(text + 5, NULL, 10);
        return seconds < WAIT_SECONDS_MAX ? seconds : WAIT_SECONDS_MAX;
    }
    return 0;
}

/* Whether to look again later: the job is in the state in which this request found it first, and that is not final. */
static bool wait_for_change(struct app *app, struct request *q, struct response *r)
{
    struct arena a;                                    /* a request that looks often keeps nothing of it */
    struct job_row row;
    struct error e;
    int64_t seconds = q->may_wait ? seconds_to_wait(q) : 0;
    if (seconds == 0)
        return false;
    arena_init(&a, 64 << 20);
    bool wait = store_job_get(app->store, &a, q->params[0], &row, &e) == STATUS_OK && !job_state_final(row.state);
    const char *state = wait ? job_state_name(row.state) : "";
    arena_fini(&a);
    q->memo = q->memo ? q->memo : state;               /* names of states are constants */
    if (!wait || strcmp(q->memo, state) != 0)
        return false;
    respond_later(r, q->arrived_ns + seconds * 1000000000);
    return true;
}

void handle_job_get(struct app *app, struct request *q, struct response *r)
{
    if (wait_for_change(app, q, r))
        return;
    respond_job(app, q, r, q->params[0]);
}

/* ---- actions ----------------------------------------------------------------------------------------------------- */

/* The body of an action has no members yet; one that has is refused like any unknown member. */
static bool action_body_is_empty(struct request *q, struct response *r)
{
    static const struct field no_fields[] = {FIELD_END};
    char nothing[1];
    return request_fields(q, r, true, no_fields, nothing);
}

/* `done`: 200 when the job is final already, 202 when it still has to get there. */
static void respond_action(struct app *app, struct request *q, struct response *r, enum status s, const struct error *e)
{
    struct job_row row;
    struct error get_e;
    if (s != STATUS_OK)
        respond_error(q, r, e);
    else if (jobs_get(app->jobs, &q->arena, q->params[0], &row, &get_e) != STATUS_OK)
        respond_error(q, r, &get_e);
    else
        respond_json(q, r, job_state_final(row.state) ? 200 : 202, jobs_to_json(&row));
}

void handle_job_cancel(struct app *app, struct request *q, struct response *r)
{
    struct error e;
    if (action_body_is_empty(q, r))
        respond_action(app, q, r, jobs_cancel(app->jobs, q->params[0], &e), &e);
}

void handle_job_retry(struct app *app, struct request *q, struct response *r)
{
    static const char *const places[] = {"checkpoint", "start", NULL};
    struct wanted { int from; } wanted;
    const struct field fields[] = {FIELD_ENUM(struct wanted, from, places), FIELD_END};
    struct error e;
    if (!request_fields(q, r, true, fields, &wanted))
        return;
    enum status s = wanted.from ? jobs_retry_from_start(app->jobs, q->params[0], &e)
                                : jobs_retry(app->jobs, q->params[0], &e);
    respond_action(app, q, r, s, &e);
}

void handle_job_delete(struct app *app, struct request *q, struct response *r)
{
    struct error e;
    if (jobs_delete(app->jobs, q->params[0], &e) == STATUS_OK)
        respond_empty(r, 204);
    else
        respond_error(q, r, &e);
}
