/* server/handlers/queues.c
 *
 * Queues: how many of their jobs may run, and whether any may. */
#include "server/handlers/handlers.h"

#include <string.h>

enum { CONCURRENCY_MAX = 1024 };

static struct json *queue_to_json(const struct queue_row *row, bool counts)
{
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string(row->name));
    json_set(v, "concurrency", row->concurrency < 0 ? json_new_null() : json_new_i64(row->concurrency));
    json_set(v, "paused", json_new_bool(row->paused));
    json_set(v, "changed_at", json_new_time(row->changed_us));
    if (counts) {
        json_set(v, "waiting", json_new_i64(row->n_waiting));
        json_set(v, "running", json_new_i64(row->n_running));
    }
    return v;
}

void handle_queue_list(struct app *app, struct request *q, struct response *r)
{
    struct queue_row *rows;
    struct error e;
    size_t n;
    if (store_queues_list(app->store, &q->arena, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = json_new_object(), *items = json_new_array();
    for (size_t i = 0; i < n; i++)
        json_push(items, queue_to_json(&rows[i], true));
    json_set(v, "items", items);
    json_set(v, "next_cursor", json_new_null());
    respond_json(q, r, 200, v);
}

/* False: already answered. */
static bool find_queue(struct app *app, struct request *q, struct response *r, struct queue_row *row)
{
    struct error e;
    if (!queue_name_ok(q->params[0]))
        respond_problem(q, r, "not_found", NULL, "There is no queue '%s'.", q->params[0]);
    else if (store_queue_get(app->store, &q->arena, q->params[0], row, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else
        return true;
    return false;
}

void handle_queue_get(struct app *app, struct request *q, struct response *r)
{
    struct queue_row row;
    if (find_queue(app, q, r, &row))
        respond_json_tagged(q, r, queue_to_json(&row, false));
}

/* {concurrency?: N or null, paused?} into *row; false: already answered. */
static bool read_change(struct request *q, struct response *r, const struct json *body, struct queue_row *row)
{
    static const char *const members[] = {"concurrency", "paused", NULL};
    struct json_problems problems = {.n = 0};
    const struct json *limit = json_get(body, "concurrency"), *paused = json_get(body, "paused");
    if (json_type_of(body) != JSON_OBJECT_)
        json_problem_add(&problems, "", "type", "must be an object, not %s", json_type_name(json_type_of(body)));
    else
        json_check_members(body, members, "", &problems);
    int64_t most = limit && json_type_of(limit) == JSON_I64_ ? json_int(limit, -1) : -1;
    if (limit && json_type_of(limit) != JSON_NULL_ && (most < 0 || most > CONCURRENCY_MAX))
        json_problem_add(&problems, "/concurrency", "out_of_range", "is an integer from 0 to %d, or null for no limit",
                         CONCURRENCY_MAX);
    if (paused && json_type_of(paused) != JSON_BOOL_)
        json_problem_add(&problems, "/paused", "type", "is true or false");
    if (problems.n > 0) {
        respond_problem(q, r, "invalid_request", &problems, "%s: %s", problems.items[0].pointer, problems.items[0].detail);
        return false;
    }
    row->concurrency = limit ? most : row->concurrency;
    row->paused = paused ? json_bool(paused, false) : row->paused;
    return true;
}

void handle_queue_patch(struct app *app, struct request *q, struct response *r)
{
    struct queue_row row;
    struct json *body;
    struct error e;
    bool stale = false;
    if (!find_queue(app, q, r, &row) || !request_if_match_json(q, r, queue_to_json(&row, false)) ||
        !request_json(q, r, false, &body))
        return;
    bool good = read_change(q, r, body, &row);
    json_free(body);
    if (!good)
        return;
    if (jobs_queue_set(app->jobs, &row, &stale, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else if (stale)
        respond_problem(q, r, "precondition_failed", NULL, "Queue %s was changed meanwhile: read it again.", row.name);
    else if (find_queue(app, q, r, &row))
        respond_json_tagged(q, r, queue_to_json(&row, false));
}
