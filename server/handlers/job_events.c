/* server/handlers/job_events.c
 *
 * A job as server-sent events: what the store has kept of it, from Last-Event-ID on, then what comes, until it is final.
 * Progress is not kept, so its events have no id. */
#include "server/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>

enum { EVENTS_AT_ONCE = 200, PING_SECONDS = 15 };

struct follower {
    const char *id;
    int64_t after, sent_ns;
    uint64_t progress_hash;
    bool begun;
};

static enum status write_progress(struct follower *f, const struct job_row *row, struct buf *out, struct error *e)
{
    struct json *job = jobs_to_json(row);
    struct buf text;
    buf_init(&text, 1 << 20);
    enum status s = json_write(json_get(job, "progress"), &text, e);
    json_free(job);
    uint64_t hash = s == STATUS_OK ? hash64(text.data, text.len, 0) : 0;
    if (s == STATUS_OK && hash != f->progress_hash)
        s = buf_printf(out, e, "event: progress\ndata: %.*s\n\n", (int)text.len, (const char *)text.data);
    f->progress_hash = hash;
    buf_fini(&text);
    return s;
}

/* What there is to tell.  *final: and no more will come. */
static enum status write_news(struct app *app, struct arena *a, struct follower *f, struct buf *out, bool *more,
                              bool *final, struct error *e)
{
    struct job_event_filter filter = {.job_id = f->id, .after = f->after, .limit = EVENTS_AT_ONCE};
    struct job_event *events;
    struct job_row row;
    size_t n;
    if (!f->begun)
        TRY(buf_printf(out, e, "retry: 3000\n\n"));
    f->begun = true;
    /* The row first: when it is final, the event that says so is there already. */
    TRY(jobs_get(app->jobs, a, f->id, &row, e));
    TRY(store_job_events_list(app->store, a, &filter, &events, &n, e));
    for (size_t i = 0; i < n; i++) {
        char at[40];
        json_time_text(events[i].at_us, at);
        TRY(buf_printf(out, e, "id: %lld\nevent: %s\ndata: {\"at\":\"%s\",%s\n\n", (long long)events[i].seq,
                       events[i].type, at, events[i].data + 1));
        f->after = events[i].seq;
    }
    *more = n == EVENTS_AT_ONCE;
    *final = !*more && job_state_final(row.state);
    if (row.state == JOB_RUNNING || row.state == JOB_CANCELLING)
        TRY(write_progress(f, &row, out, e));
    return *final ? buf_printf(out, e, "event: end\ndata: {\"state\":\"%s\"}\n\n", job_state_name(row.state)) : STATUS_OK;
}

static enum stream_step next(struct app *app, void *ctx, struct buf *out, int64_t *wake_ns)
{
    struct follower *f = ctx;
    struct arena a;
    struct error e;
    bool more = false, final = false;
    arena_init(&a, 64 << 20);
    enum status s = write_news(app, &a, f, out, &more, &final, &e);
    arena_fini(&a);
    if (s == STATUS_NOTFOUND)                          /* it has been deleted */
        final = buf_printf(out, &e, "event: end\ndata: {\"state\":null}\n\n") == STATUS_OK;
    else if (s != STATUS_OK)
        log_line(LOG_WARN, "events of job %s: %s", f->id, e.text);
    if (s != STATUS_OK || final)
        return STREAM_END;
    int64_t now_ns = time_mono_ns(), ping_ns = f->sent_ns + PING_SECONDS * 1000000000LL;
    if (out->len == 0 && now_ns >= ping_ns && buf_printf(out, &e, ": ping\n\n") != STATUS_OK)
        return STREAM_END;
    if (out->len > 0)
        f->sent_ns = now_ns;
    *wake_ns = f->sent_ns + PING_SECONDS * 1000000000LL;
    return more ? STREAM_MORE : STREAM_WAIT;
}

void handle_job_events(struct app *app, struct request *q, struct response *r)
{
    const char *last = request_header(q, "Last-Event-ID");
    struct follower *f = ARENA_NEW(&q->arena, struct follower, 1);
    struct job_event_filter filter = {.job_id = q->params[0], .limit = 1};
    struct job_event *events;
    struct job_row row;
    struct error e;
    size_t n = 0;
    if (last && (strlen(last) > 18 || strspn(last, "0123456789") != strlen(last) || !*last)) {
        respond_problem(q, r, "invalid_query", NULL, "Last-Event-ID is the id of an event that was sent before.");
        return;
    }
    filter.after = last ? strtoll(last, NULL, 10) : 0;
    enum status s = f ? STATUS_OK : error_set(&e, STATUS_NOMEM, "no memory for a follower");
    if (s == STATUS_OK)
        s = store_job_get(app->store, &q->arena, q->params[0], &row, &e);
    if (s == STATUS_OK)
        s = store_job_events_list(app->store, &q->arena, &filter, &events, &n, &e);
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    if (last && n == 0 && job_state_final(row.state)) {
        respond_empty(r, 204);                         /* tells an EventSource not to come back */
        return;
    }
    if (!q->may_wait) {
        respond_problem(q, r, "busy", NULL, "Too many requests are waiting, or the service is shutting down.");
        return;
    }
    *f = (struct follower){.id = row.id, .after = filter.after, .sent_ns = time_mono_ns()};
    respond_stream(r, "text/event-stream", next, f);
}
