/* server/handlers/job_patch.c
 *
 * Changing jobs: one that waits, by its ETag; many, by a filter, as a job of its own. */
#include "server/handlers/handlers.h"

#include <string.h>

/* ---- If-Match ---------------------------------------------------------------------------------------------------------- */

bool request_if_match_json(struct request *q, struct response *r, struct json *now)
{
    struct buf text;
    struct error e;
    char tag[24];
    buf_init(&text, 64 << 20);
    enum status s = json_write(now, &text, &e);
    if (s == STATUS_OK)
        s = buf_append(&text, "\n", 1, &e);           /* as it is sent */
    json_free(now);
    snprintf(tag, sizeof tag, "%016llx", (unsigned long long)hash64(text.data, text.len, 0));
    buf_fini(&text);
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        return false;
    }
    return request_if_match(q, r, tag);
}

/* ---- one job ----------------------------------------------------------------------------------------------------------- */

void handle_job_patch(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct job_row row;
    struct json *body;
    struct error e;
    bool stale;
    if (jobs_get(app->jobs, &q->arena, q->params[0], &row, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    if (!request_if_match_json(q, r, jobs_to_json(&row)) || !request_json(q, r, false, &body))
        return;
    enum status s = jobs_patch(app->jobs, &row, body, &stale, &problems, &e);
    json_free(body);
    if (s == STATUS_OK && stale)
        respond_problem(q, r, "precondition_failed", NULL, "Job %s changed meanwhile: read it again.", row.id);
    else if (s == STATUS_OK)
        s = jobs_get(app->jobs, &q->arena, q->params[0], &row, &e);
    if (s == STATUS_ARGUMENT)
        respond_problem(q, r, "invalid_request", &problems, "%s", e.text);
    else if (s != STATUS_OK)
        respond_error(q, r, &e);
    else if (!stale)
        respond_json_tagged(q, r, jobs_to_json(&row));
}

/* ---- jobs that have routes of their own -------------------------------------------------------------------------------- */

/* The body is the spec of a job of the kind that the route is for. */
static enum status accept_spec(const char *kind, struct jobs *j, struct arena *a, const struct json *body,
                               const struct submit_key *key, struct submit_answer *out, struct json_problems *problems,
                               struct error *e)
{
    struct json *job = json_new_object();
    json_set(job, "kind", json_new_string(kind));
    json_set(job, "spec", json_new_copy(body));
    enum status s = jobs_accept_admin(j, a, job, key, out, problems, e);
    json_free(job);
    for (size_t i = 0; i < problems->n; i++)           /* "/spec/filter" is "/filter" of what was posted */
        if (strncmp(problems->items[i].pointer, "/spec", 5) == 0)
            memmove(problems->items[i].pointer, problems->items[i].pointer + 5, strlen(problems->items[i].pointer + 5) + 1);
    return s;
}

static enum status accept_bulk(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                               struct submit_answer *out, struct json_problems *problems, struct error *e)
{
    return accept_spec("bulk", j, a, body, key, out, problems, e);
}

static enum status accept_backup(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                                 struct submit_answer *out, struct json_problems *problems, struct error *e)
{
    return accept_spec("backup", j, a, body, key, out, problems, e);
}

void handle_job_verify(struct app *app, struct request *q, struct response *r)
{
    static const struct field no_fields[] = {FIELD_END};
    struct job_row row;
    struct error e;
    const char *id;
    char nothing[1];
    if (!request_fields(q, r, true, no_fields, nothing))
        return;
    if (jobs_verify(app->jobs, &q->arena, q->params[0], &id, &e) != STATUS_OK ||
        jobs_get(app->jobs, &q->arena, id, &row, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    response_header(r, "Location", arena_printf(&q->arena, "/api/v1/jobs/%s", id));
    respond_json(q, r, 202, jobs_to_json(&row));
}

void handle_job_bulk(struct app *app, struct request *q, struct response *r)
{
    respond_submission(app, q, r, false, accept_bulk, "/api/v1/jobs");
}

void handle_backup(struct app *app, struct request *q, struct response *r)
{
    respond_submission(app, q, r, true, accept_backup, "/api/v1/jobs");
}
