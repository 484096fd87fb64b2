/* server/store/webhooks.c
 *
 * Who wants to be told of a job, and what has been told.  What there is to tell is read from job_events, which the
 * transaction that changes a job writes; each is noted once, then delivered until it is taken or given up. */
#include "server/store/jobs_end.h"
#include "server/store/store_jobs.h"

enum status jobs_insert_webhook(struct db *db, const struct job_new *job, int64_t now_us, struct error *e)
{
    char id[40];
    const struct job_webhook *w = job->webhook;
    store_derived_id("wh", job->id, 0, id);
    return DB_RUN(db, NULL, e,
                  "INSERT INTO webhooks (id, job_id, pipeline_id, url, events, secret_ref, created_us)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                  db_text(id), db_text(w->whole_pipeline ? NULL : job->id),
                  db_text(w->whole_pipeline ? job->pipeline_id : NULL), db_text(w->url), db_text(w->events),
                  db_text(w->secret_ref), db_i64(now_us));
}

/* "end" stands for each final state.  `event` is "SEQ STATE", so that none is noted twice. */
static enum status note_new(struct store *s, void *ctx, struct error *e)
{
    (void)ctx;
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT INTO webhook_deliveries (webhook_id, job_id, event, next_us, created_us)"
                  " SELECT w.id, v.job_id, v.seq || ' ' || json_extract(v.data, '$.state'), ?1, ?1 FROM webhooks w"
                  " JOIN jobs j ON j.id = w.job_id OR j.pipeline_id = w.pipeline_id"
                  " JOIN job_events v ON v.job_id = j.id AND v.type = 'state'"
                  " WHERE EXISTS (SELECT 1 FROM json_each(w.events) x WHERE x.value = json_extract(v.data, '$.state')"
                  " OR (x.value = 'end' AND json_extract(v.data, '$.state') IN ('completed', 'cancelled', 'discarded')))"
                  " AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_id = w.id AND d.job_id = v.job_id"
                  " AND d.event = v.seq || ' ' || json_extract(v.data, '$.state')) ORDER BY v.seq",
                  db_i64(time_unix_us()));
}

enum status store_webhooks_note(struct store *s, bool *any, struct error *e)
{
    struct db *db;
    int64_t n;
    *any = false;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = DB_NUMBER(db, 0, &n, e, "SELECT EXISTS (SELECT 1 FROM webhooks)");
    store_reader_release(s, db);
    TRY(st);
    *any = n > 0;
    return *any ? store_write(s, note_new, NULL, e) : STATUS_OK;
}

static enum status deliveries(struct db *db, struct arena *a, const char *job_id, int64_t due_us, size_t limit,
                              struct webhook_delivery **rows, size_t *n, struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(DB_QUERY(db, a, &r, e,
                 "SELECT d.seq, d.job_id, d.event, d.state, d.attempts, d.next_us, coalesce(d.http_status, 0), d.error,"
                 " d.created_us, coalesce(d.finished_us, 0), w.url, w.secret_ref FROM webhook_deliveries d"
                 " JOIN webhooks w ON w.id = d.webhook_id WHERE (?1 IS NULL OR d.job_id = ?1)"
                 " AND (?2 = 0 OR (d.state = 'waiting' AND d.next_us <= ?2)) ORDER BY d.seq LIMIT ?3",
                 db_text(job_id), db_i64(due_us), db_i64((int64_t)limit)));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct webhook_delivery *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        struct webhook_delivery *d = &(*rows)[(*n)++];
        d->seq = db_column_i64(&r);
        d->job_id = db_column_text(&r);
        d->event = db_column_text(&r);
        d->state = db_column_text(&r);
        d->attempts = (int)db_column_i64(&r);
        d->next_us = db_column_i64(&r);
        d->http_status = (int)db_column_i64(&r);
        d->error = db_column_text(&r);
        d->created_us = db_column_i64(&r);
        d->finished_us = db_column_i64(&r);
        d->url = db_column_text(&r);
        d->secret_ref = db_column_text(&r);
    }
}

enum status store_webhook_deliveries(struct store *s, struct arena *a, const char *job_id, int64_t due_us, size_t limit,
                                     struct webhook_delivery **rows, size_t *n, struct error *e)
{
    struct db *db;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = deliveries(db, a, job_id, due_us, limit, rows, n, e);
    store_reader_release(s, db);
    return st;
}

static enum status save(struct store *s, void *ctx, struct error *e)
{
    const struct webhook_delivery *d = ctx;
    return DB_RUN(&s->writer, NULL, e,
                  "UPDATE webhook_deliveries SET state = ?2, attempts = ?3, next_us = ?4, http_status = ?5, error = ?6,"
                  " finished_us = ?7 WHERE seq = ?1",
                  db_i64(d->seq), db_text(d->state), db_i64(d->attempts), db_i64(d->next_us),
                  d->http_status ? db_i64(d->http_status) : db_text(NULL), db_text(d->error),
                  d->finished_us ? db_i64(d->finished_us) : db_text(NULL));
}

enum status store_webhook_delivery_save(struct store *s, const struct webhook_delivery *d, struct error *e)
{
    return store_write(s, save, (void *)(uintptr_t)d, e);
}
