/* server/handlers/job_watch.c
 *
 * What a job reported along the way: metrics, log lines, the recipe of its result. */
#include "server/handlers/handlers.h"

#include <string.h>

enum { POINTS = 500, POINTS_MAX = 10000, KEYS_MAX = 32, LINES = 1000, LINES_MAX = 5000, PING_SECONDS = 15 };

/* ---- metrics ------------------------------------------------------------------------------------------------------- */

static struct json *series_to_json(struct job_metric *points, size_t n, size_t most)
{
    struct json *v = json_new_object(), *list = json_new_array();
    json_set(v, "key", json_new_string(points[0].key));
    json_set(v, "n_points", json_new_i64((int64_t)n));
    size_t kept = series_thin(points, n, most);
    for (size_t i = 0; i < kept; i++) {
        struct json *pair = json_new_array();
        json_push(pair, json_new_i64(points[i].step));
        json_push(pair, json_new_f64(points[i].value));
        json_push(list, pair);
    }
    json_set(v, "points", list);
    return v;
}

/* The series of one key, or of all (NULL). */
static enum status add_series(struct app *app, struct request *q, const char *key, size_t most, struct json *list,
                              struct error *e)
{
    struct job_metric *rows;
    size_t n;
    TRY(store_job_metrics(app->store, &q->arena, q->params[0], key, &rows, &n, e));
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && strcmp(rows[to].key, rows[from].key) == 0; to++)
            ;
        json_push(list, series_to_json(&rows[from], to - from, most));
    }
    return STATUS_OK;
}

static enum status add_all(struct app *app, struct request *q, size_t most, struct json *list, struct error *e)
{
    const char *keys = request_query(q, "keys");
    if (!keys)
        return add_series(app, q, NULL, most, list, e);
    size_t n = 0;
    for (const char *at = keys; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        const char *key = arena_strndup(&q->arena, at, len);
        if (!key)
            return error_set(e, STATUS_NOMEM, "no memory for a key");
        if (++n > KEYS_MAX)
            return error_set(e, STATUS_ARGUMENT, "keys: at most %d", KEYS_MAX);
        TRY(add_series(app, q, key, most, list, e));
        at += len;
    }
    return STATUS_OK;
}

void handle_job_metrics(struct app *app, struct request *q, struct response *r)
{
    struct job_row row;
    struct error e;
    int64_t most;
    if (!request_query_number(q, r, "max_points", SERIES_POINTS_MIN, POINTS_MAX, POINTS, &most))
        return;
    struct json *v = json_new_object(), *list = json_new_array();
    enum status s = store_job_get(app->store, &q->arena, q->params[0], &row, &e);
    if (s == STATUS_OK)
        s = add_all(app, q, (size_t)most, list, &e);
    json_set(v, "job_id", json_new_string(q->params[0]));
    json_set(v, "series", list);
    if (s == STATUS_OK) {
        respond_json_tagged(q, r, v);
        return;
    }
    json_free(v);
    if (s == STATUS_ARGUMENT)
        respond_problem(q, r, "invalid_query", NULL, "%s.", e.text);
    else
        respond_error(q, r, &e);
}

/* ---- logs ---------------------------------------------------------------------------------------------------------- */

static enum status write_lines(struct buf *out, const struct job_event *events, size_t n, struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        char at[40];
        json_time_text(events[i].at_us, at);
        TRY(buf_printf(out, e, "{\"seq\":%lld,\"at\":\"%s\",", (long long)events[i].seq, at));
        TRY(buf_append(out, events[i].data + 1, strlen(events[i].data) - 1, e));           /* behind its '{' */
        TRY(buf_append(out, "\n", 1, e));
    }
    return STATUS_OK;
}

struct log_follower {
    struct job_event_filter filter;
    int64_t sent_ns;
};

/* Lines as they come, until the job is final.  An empty line now and then tells the client that somebody is there. */
static enum stream_step next_lines(struct app *app, void *ctx, struct buf *out, int64_t *wake_ns)
{
    struct log_follower *f = ctx;
    struct job_event *events;
    struct job_row row;
    struct arena a;
    struct error e;
    size_t n = 0;
    arena_init(&a, 64 << 20);
    /* The row first: when it is final, its last line is there already. */
    enum status s = store_job_get(app->store, &a, f->filter.job_id, &row, &e);
    if (s == STATUS_OK)
        s = store_job_events_list(app->store, &a, &f->filter, &events, &n, &e);
    if (s == STATUS_OK)
        s = write_lines(out, events, n, &e);
    f->filter.after = s == STATUS_OK && n > 0 ? events[n - 1].seq : f->filter.after;
    bool more = n == f->filter.limit, final = s == STATUS_OK && !more && job_state_final(row.state);
    arena_fini(&a);
    int64_t now_ns = time_mono_ns();
    if (s == STATUS_OK && n == 0 && !final && now_ns >= f->sent_ns + PING_SECONDS * 1000000000LL)
        s = buf_append(out, "\n", 1, &e);
    if (s != STATUS_OK || final)
        return STREAM_END;                             /* also of a job that has been deleted */
    f->sent_ns = out->len > 0 ? now_ns : f->sent_ns;
    *wake_ns = f->sent_ns + PING_SECONDS * 1000000000LL;
    return more ? STREAM_MORE : STREAM_WAIT;
}

static void follow_logs(struct request *q, struct response *r, const struct job_event_filter *filter)
{
    struct log_follower *f = ARENA_NEW(&q->arena, struct log_follower, 1);
    struct error e;
    if (!f) {
        error_set(&e, STATUS_NOMEM, "no memory for a follower");
        respond_error(q, r, &e);
    } else if (!q->may_wait) {
        respond_problem(q, r, "busy", NULL, "Too many requests are waiting, or the service is shutting down.");
    } else {
        *f = (struct log_follower){*filter, time_mono_ns()};
        respond_stream(r, "application/x-ndjson", next_lines, f);
    }
}

void handle_job_logs(struct app *app, struct request *q, struct response *r)
{
    struct job_event_filter filter = {.job_id = q->params[0], .type = "log"};
    struct job_event *events;
    struct job_row row;
    struct error e;
    int64_t limit, follow;
    size_t n = 0;
    if (!request_query_number(q, r, "follow", 0, 1, 0, &follow) ||
        !request_query_number(q, r, "after", 0, INT64_MAX, 0, &filter.after) ||
        !request_query_number(q, r, "limit", 1, LINES_MAX, LINES, &limit))
        return;
    filter.limit = (size_t)limit;
    enum status s = store_job_get(app->store, &q->arena, q->params[0], &row, &e);
    if (s == STATUS_OK && follow) {
        follow_logs(q, r, &filter);
        return;
    }
    if (s == STATUS_OK)
        s = store_job_events_list(app->store, &q->arena, &filter, &events, &n, &e);
    r->body.len = 0;
    if (s == STATUS_OK)
        s = write_lines(&r->body, events, n, &e);
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    if (n == filter.limit)
        response_header(r, "Link", arena_printf(&q->arena, "</api/v1/jobs/%s/logs?after=%lld&limit=%lld>; rel=\"next\"",
                                                row.id, (long long)events[n - 1].seq, (long long)limit));
    r->status = 200;
    r->content_type = "application/x-ndjson";
}

void handle_job_recipe(struct app *app, struct request *q, struct response *r)
{
    struct json *v;
    struct error e;
    if (jobs_recipe(app->jobs, &q->arena, q->params[0], &v, &e) == STATUS_OK)
        respond_json_tagged(q, r, v);
    else
        respond_error(q, r, &e);
}
