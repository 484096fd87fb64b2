/* server/store/queues.c
 *
 * Queues, and what people change of jobs that wait in them. */
#include "server/store/jobs_end.h"
#include "server/store/store_jobs.h"

#include <string.h>

/* ---- queues --------------------------------------------------------------------------------------------------------- */

bool queue_name_ok(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t n = name ? strlen(name) : 0;
    return n > 0 && n <= QUEUE_NAME_MAX && strspn(name, allowed) == n;
}

static void read_queue(struct db_rows *r, struct queue_row *out)
{
    *out = (struct queue_row){.name = db_column_text(r)};
    out->concurrency = db_column_i64(r);
    out->paused = db_column_i64(r) != 0;
    out->revision = db_column_i64(r);
    out->changed_us = db_column_i64(r);
    out->n_waiting = db_column_i64(r);
    out->n_running = db_column_i64(r);
}

static enum status queue_get(struct db *db, struct arena *a, const char *name, struct queue_row *out, struct error *e)
{
    struct db_rows r;
    bool found;
    *out = (struct queue_row){.name = name, .concurrency = -1};
    TRY(DB_QUERY(db, a, &r, e,
                 "SELECT name, coalesce(concurrency, -1), paused, revision, changed_us, 0, 0 FROM queues WHERE name = ?1",
                 db_text(name)));
    TRY(db_rows_next(&r, &found, e));
    if (!found)
        return STATUS_OK;
    read_queue(&r, out);
    bool no_memory = r.no_memory;
    db_rows_end(&r);
    return no_memory ? error_set(e, STATUS_NOMEM, "no memory for a queue") : STATUS_OK;
}

enum status store_queue_get(struct store *s, struct arena *a, const char *name, struct queue_row *out, struct error *e)
{
    struct db *db;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = queue_get(db, a, name, out, e);
    store_reader_release(s, db);
    return st;
}

static enum status queues_list(struct db *db, struct arena *a, struct queue_row **rows, size_t *n, struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(DB_QUERY(db, a, &r, e,
                 "WITH used AS (SELECT queue, sum(state IN ('running', 'cancelling')) AS n_running, count(*) AS n FROM jobs"
                 " WHERE state IN ('pending', 'scheduled', 'available', 'retryable', 'running', 'cancelling')"
                 " GROUP BY queue), names AS (SELECT name FROM queues UNION SELECT queue FROM used)"
                 " SELECT names.name, coalesce(q.concurrency, -1), coalesce(q.paused, 0), coalesce(q.revision, 0),"
                 " coalesce(q.changed_us, 0), coalesce(u.n - u.n_running, 0), coalesce(u.n_running, 0) FROM names"
                 " LEFT JOIN queues q ON q.name = names.name LEFT JOIN used u ON u.queue = names.name ORDER BY names.name"));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct queue_row *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        read_queue(&r, &(*rows)[(*n)++]);
    }
}

enum status store_queues_list(struct store *s, struct arena *a, struct queue_row **rows, size_t *n, struct error *e)
{
    struct db *db;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = queues_list(db, a, rows, n, e);
    store_reader_release(s, db);
    return st;
}

struct queue_change {
    const struct queue_row *row;
    bool stale;
};

static enum status queue_set(struct store *s, void *ctx, struct error *e)
{
    struct queue_change *c = ctx;
    const struct queue_row *row = c->row;
    int64_t n_changed = 0, now_us = time_unix_us();
    struct db_value limit = row->concurrency < 0 ? db_text(NULL) : db_i64(row->concurrency);
    if (row->revision == 0)
        TRY(DB_RUN(&s->writer, &n_changed, e,
                   "INSERT INTO queues (name, concurrency, paused, changed_us) SELECT ?1, ?2, ?3, ?4"
                   " WHERE NOT EXISTS (SELECT 1 FROM queues WHERE name = ?1)",
                   db_text(row->name), limit, db_i64(row->paused), db_i64(now_us)));
    else
        TRY(DB_RUN(&s->writer, &n_changed, e,
                   "UPDATE queues SET concurrency = ?2, paused = ?3, changed_us = ?4, revision = revision + 1"
                   " WHERE name = ?1 AND revision = ?5",
                   db_text(row->name), limit, db_i64(row->paused), db_i64(now_us), db_i64(row->revision)));
    c->stale = n_changed == 0;
    return STATUS_OK;
}

enum status store_queue_set(struct store *s, const struct queue_row *row, bool *stale, struct error *e)
{
    struct queue_change c = {row, false};
    enum status st = store_write(s, queue_set, &c, e);
    *stale = c.stale;
    return st;
}

/* ---- jobs that wait ----------------------------------------------------------------------------------------------------- */

struct change {
    const char *id;
    int64_t revision;
    enum job_state state;
    const struct job_patch *patch;
    bool stale;
};

static enum status patch_job(struct store *s, void *ctx, struct error *e)
{
    struct change *c = ctx;
    const struct job_patch *p = c->patch;
    struct db *db = &s->writer;
    int64_t n_changed = 0, now_us = time_unix_us();
    bool waits = c->state == JOB_PENDING || c->state == JOB_SCHEDULED || c->state == JOB_AVAILABLE ||
                 c->state == JOB_RETRYABLE;
    if (!waits)
        return error_set(e, STATUS_CONFLICT, "job %s is %s: only what waits can be changed", c->id,
                         job_state_name(c->state));
    TRY(DB_RUN(db, &n_changed, e,
               "UPDATE jobs SET priority = coalesce(?4, priority), tags = CASE WHEN ?5 THEN ?6 ELSE tags END,"
               " run_at_us = CASE WHEN ?7 THEN ?8 ELSE run_at_us END, revision = revision + 1"
               " WHERE id = ?1 AND revision = ?2 AND state = ?3",
               db_text(c->id), db_i64(c->revision), db_text(job_state_name(c->state)),
               p->set_priority ? db_i64(p->priority) : db_text(NULL), db_i64(p->set_tags), db_text(p->tags),
               db_i64(p->set_run_at), db_i64(p->run_at_us > now_us ? p->run_at_us : now_us)));
    c->stale = n_changed == 0;
    if (c->stale)
        return STATUS_OK;
    if (p->set_tags)
        TRY(jobs_set_tags(db, c->id, p->tags ? p->tags : "[]", e));
    if (!p->set_run_at)
        return STATUS_OK;
    /* A retryable job stays one: its next attempt is what moves. */
    return DB_RUN(db, NULL, e,
                  "UPDATE jobs SET state = CASE WHEN run_at_us > ?2 THEN 'scheduled' ELSE 'available' END WHERE id = ?1"
                  " AND (state IN ('scheduled', 'available') OR (state = 'retryable' AND run_at_us <= ?2))",
                  db_text(c->id), db_i64(now_us));
}

enum status store_job_patch(struct store *s, const char *id, int64_t revision, enum job_state state,
                            const struct job_patch *patch, bool *stale, struct error *e)
{
    struct change c = {id, revision, state, patch, false};
    enum status st = store_write(s, patch_job, &c, e);
    *stale = c.stale;
    return st;
}
