/* server/store/jobs_queue.c
 *
 * Into the queue and out of it: insertion, claims, what a dead process left, leases. */
#include "server/store/jobs_end.h"
#include "server/store/jobs_rows.h"
#include "server/store/store_jobs.h"

#include <string.h>

/* ---- insertion -------------------------------------------------------------------------------------------------- */

struct insertion {
    const struct job_new *jobs;
    size_t n;
    const struct submit_record *record;
};

/* What needs nothing gets its state at once, and the event that the trigger on changes would write. */
static enum status insert_job(struct db *db, const struct job_new *job, int64_t now_us, struct error *e)
{
    const char *state = job->needs ? "pending" : job->run_at_us > now_us ? "scheduled" : "available";
    TRY(DB_RUN(db, NULL, e,
                  "INSERT INTO jobs (id, kind, state, spec, spec_sha256, pipeline_id, step, needs, tags, priority,"
                  " max_attempts, created_us, run_at_us, queue, timeout_us, traceparent, tracestate, cache_mode, verify_of)"
                  " VALUES (?1, ?2, ?19, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, max(?11, ?12), ?13, ?14, ?15, ?16, ?17,"
                  " ?18)",
                  db_text(job->id), db_text(job->kind), db_text(job->spec), db_text(job->spec_sha256),
                  db_text(job->pipeline_id), db_text(job->step), db_text(job->needs), db_text(job->tags),
                  db_i64(job->priority), db_i64(job->max_attempts), db_i64(job->created_us ? job->created_us : now_us),
                  db_i64(job->run_at_us), db_text(job->queue ? job->queue : job->kind),
                  job->timeout_us ? db_i64(job->timeout_us) : db_text(NULL), db_text(job->traceparent),
                  db_text(job->tracestate), db_text(job->cache_off ? "off" : NULL), db_text(job->verify_of),
                  db_text(state)));
    if (job->needs)
        return STATUS_OK;
    return DB_RUN(db, NULL, e,
                  "INSERT INTO job_events (job_id, at_us, type, data)"
                  " VALUES (?1, ?2, 'state', '{\"state\":\"' || ?3 || '\",\"attempt\":0}')",
                  db_text(job->id), db_i64(now_us / 1000 * 1000), db_text(state));
}

enum status jobs_set_tags(struct db *db, const char *id, const char *tags, struct error *e)
{
    TRY(DB_RUN(db, NULL, e, "DELETE FROM job_tags WHERE job_id = ?1", db_text(id)));
    return DB_RUN(db, NULL, e, "INSERT OR IGNORE INTO job_tags (tag, job_id) SELECT value, ?1 FROM json_each(?2)",
                  db_text(id), db_text(tags));
}

static enum status insert_record(struct db *db, const struct submit_record *r, struct error *e)
{
    TRY(DB_RUN(db, NULL, e, "DELETE FROM submit_answers WHERE created_us < ?1", db_i64(r->created_us - SUBMIT_ANSWER_US)));
    return DB_RUN(db, NULL, e,
                  "INSERT INTO submit_answers (route, key, body_sha256, id, answer, created_us)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                  db_text(r->route), db_text(r->key), db_text(r->body_sha256), db_text(r->id), db_text(r->answer),
                  db_i64(r->created_us));
}

static enum status insert_all(struct store *s, void *ctx, struct error *e)
{
    const struct insertion *in = ctx;
    struct db *db = &s->writer;
    int64_t now_us = time_unix_us();
    for (size_t i = 0; i < in->n; i++)
        TRY(insert_job(db, &in->jobs[i], now_us, e));
    for (size_t i = 0; i < in->n; i++)
        if (in->jobs[i].tags)
            TRY(jobs_set_tags(db, in->jobs[i].id, in->jobs[i].tags, e));
    for (size_t i = 0; i < in->n; i++)
        if (in->jobs[i].needs)
            TRY(DB_RUN(db, NULL, e, "INSERT INTO job_needs SELECT DISTINCT ?1, value FROM json_each(?2)",
                       db_text(in->jobs[i].id), db_text(in->jobs[i].needs)));
    for (size_t i = 0; i < in->n; i++)
        if (in->jobs[i].needs)
            TRY(DB_RUN(db, NULL, e,
                   "UPDATE jobs SET state = CASE WHEN run_at_us > ?2 THEN 'scheduled' ELSE 'available' END WHERE id = ?1"
                   " AND NOT EXISTS (SELECT 1 FROM job_needs n JOIN jobs up ON up.id = n.need_id WHERE n.job_id = ?1"
                   " AND up.state <> 'completed')",
                   db_text(in->jobs[i].id), db_i64(now_us)));
    for (size_t i = 0; i < in->n; i++)
        if (in->jobs[i].webhook)
            TRY(jobs_insert_webhook(db, &in->jobs[i], now_us, e));
    return in->record ? insert_record(db, in->record, e) : STATUS_OK;
}

enum status store_jobs_insert(struct store *s, const struct job_new *jobs, size_t n, struct error *e)
{
    return store_write(s, insert_all, &(struct insertion){jobs, n, NULL}, e);
}

enum status store_jobs_insert_answered(struct store *s, const struct job_new *jobs, size_t n,
                                       const struct submit_record *record, struct error *e)
{
    return store_write(s, insert_all, &(struct insertion){jobs, n, record}, e);
}

static enum status find_record(struct db *db, struct arena *a, const char *route, const char *key, int64_t now_us,
                               struct submit_record *out, bool *found, struct error *e)
{
    struct db_rows r;
    *out = (struct submit_record){.route = route, .key = key};
    TRY(DB_QUERY(db, a, &r, e,
                 "SELECT body_sha256, id, answer, created_us FROM submit_answers"
                 " WHERE route = ?1 AND key = ?2 AND created_us >= ?3",
                 db_text(route), db_text(key), db_i64(now_us - SUBMIT_ANSWER_US)));
    TRY(db_rows_next(&r, found, e));
    if (!*found)
        return STATUS_OK;
    out->body_sha256 = db_column_text(&r);
    out->id = db_column_text(&r);
    out->answer = db_column_text(&r);
    out->created_us = db_column_i64(&r);
    bool no_memory = r.no_memory;
    db_rows_end(&r);
    return no_memory ? error_set(e, STATUS_NOMEM, "no memory for an answer") : STATUS_OK;
}

enum status store_submit_record_find(struct store *s, struct arena *a, const char *route, const char *key, int64_t now_us,
                                     struct submit_record *out, bool *found, struct error *e)
{
    struct db *db;
    *found = false;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = find_record(db, a, route, key, now_us, out, found, e);
    store_reader_release(s, db);
    return st;
}

/* ---- claim ---------------------------------------------------------------------------------------------------------- */

struct claim {
    const struct job_claim_request *request;
    struct arena *a;
    struct job_claim *out;
    bool found;
    int64_t next_us;
};

static enum status pick(struct db *db, struct claim *c, struct error *e)
{
    struct db_rows r;
    TRY(DB_QUERY(db, c->a, &r, e,
                 "SELECT id, kind, spec, pipeline_id, step, attempt, max_attempts, crashes, created_us, timeout_us,"
                 " traceparent, cache_mode, verify_of FROM jobs WHERE state = 'available' AND queue NOT IN"
                 " (SELECT name FROM queues q WHERE paused OR (SELECT count(*) FROM jobs r WHERE r.queue = q.name"
                 " AND r.state IN ('running', 'cancelling')) >= concurrency) ORDER BY priority, id LIMIT 1"));
    TRY(db_rows_next(&r, &c->found, e));
    if (!c->found)
        return STATUS_OK;
    struct job_claim *out = c->out;
    out->id = db_column_text(&r);
    out->kind = db_column_text(&r);
    out->spec = db_column_text(&r);
    out->pipeline_id = db_column_text(&r);
    out->step = db_column_text(&r);
    out->attempt = (int)db_column_i64(&r) + 1;
    out->max_attempts = (int)db_column_i64(&r);
    out->crashes = (int)db_column_i64(&r);
    out->created_us = db_column_i64(&r);
    out->timeout_us = db_column_i64(&r);
    out->traceparent = db_column_text(&r);
    out->cache_off = db_column_text(&r) != NULL;
    out->verify_of = db_column_text(&r);
    out->suspect = out->crashes >= STORE_CRASHES_MAX - 1;
    bool no_memory = r.no_memory;
    db_rows_end(&r);
    return no_memory ? error_set(e, STATUS_NOMEM, "no memory for a job") : STATUS_OK;
}

static enum status claim_first(struct store *s, void *ctx, struct error *e)
{
    struct claim *c = ctx;
    const struct job_claim_request *q = c->request;
    struct db *db = &s->writer;
    TRY(DB_RUN(db, NULL, e,
               "UPDATE jobs SET state = 'available' WHERE state IN ('retryable', 'scheduled') AND run_at_us <= ?1",
               db_i64(q->now_us)));
    TRY(pick(db, c, e));
    if (c->found && c->out->suspect && !q->alone)
        c->found = false;
    if (!c->found)
        return DB_NUMBER(db, 0, &c->next_us, e,
                         "SELECT min(run_at_us) FROM jobs WHERE state IN ('retryable', 'scheduled')");
    return DB_RUN(db, NULL, e,
                  "UPDATE jobs SET state = 'running', attempt = attempt + 1, boot = ?2, lease_token = ?3, worker = ?4,"
                  /* max: the clock was read before waiting for the store, where the job may have come in meanwhile */
                  " started_us = max(created_us, ?5), finished_us = NULL, lease_expires_us = ?6, phase = NULL,"
                  " unit = NULL, message = NULL, done = 0, total = -1, fraction = 0, rate_per_second = 0,"
                  " run_build = ?7, run_threads = ?8 WHERE id = ?1",
                  db_text(c->out->id), db_text(q->boot), db_text(q->token), db_text(q->worker), db_i64(q->now_us),
                  db_i64(q->now_us + q->lease_us), db_text(s->stamp_build), db_i64(s->stamp_threads));
}

void store_stamp(struct store *s, const char *build_id, int64_t threads)
{
    s->stamp_build = build_id;
    s->stamp_threads = threads;
}

enum status store_job_claim(struct store *s, struct arena *a, const struct job_claim_request *request,
                            struct job_claim *out, bool *found, int64_t *next_us, struct error *e)
{
    struct claim c = {request, a, out, false, 0};
    enum status st = store_write(s, claim_first, &c, e);
    *found = st == STATUS_OK && c.found;
    *next_us = c.next_us;
    return st;
}

/* ---- rescue ------------------------------------------------------------------------------------------------------------ */

struct rescue {
    const char *boot, *error, *upstream_error;
    struct arena *a;
    struct job_row *rows;
    size_t n;
};

static enum status rescue_one(struct db *db, const struct rescue *r, const struct job_row *row, struct error *e)
{
    int64_t crashes;
    TRY(DB_NUMBER(db, 0, &crashes, e, "SELECT crashes FROM jobs WHERE id = ?1", db_text(row->id)));
    bool cancelled = row->state == JOB_CANCELLING, discarded = !cancelled && crashes + 1 >= STORE_CRASHES_MAX;
    const char *state = cancelled ? "cancelled" : discarded ? "discarded" : "available";
    TRY(DB_RUN(db, NULL, e,
               "UPDATE jobs SET state = ?2, crashes = crashes + 1, max_attempts = max_attempts + ?3, finished_us = ?4,"
               " lease_token = NULL, lease_expires_us = NULL, boot = NULL, run_at_us = ?5, errors = " ERRORS_WITH("?6")
               " WHERE id = ?1",
               db_text(row->id), db_text(state), db_i64(!cancelled && !discarded),
               cancelled || discarded ? db_i64(time_unix_us()) : db_text(NULL), db_i64(time_unix_us()),
               cancelled ? db_text(NULL) : db_text(r->error)));
    if (cancelled)
        TRY(jobs_forget_units(db, row->id, e));
    if (cancelled || discarded)
        TRY(jobs_cancel_dependents(db, row->id, r->upstream_error, e));
    return STATUS_OK;
}

static enum status rescue_all(struct store *s, void *ctx, struct error *e)
{
    struct rescue *r = ctx;
    TRY(store_jobs_query(&s->writer, r->a,
                         "SELECT " JOB_COLUMNS " FROM jobs WHERE state IN ('running', 'cancelling') AND boot IS NOT ?1"
                         " ORDER BY id",
                         (struct db_value[]){db_text(r->boot)}, 1, &r->rows, &r->n, e));
    for (size_t i = 0; i < r->n; i++)
        TRY(rescue_one(&s->writer, r, &r->rows[i], e));
    return STATUS_OK;
}

enum status store_jobs_rescue(struct store *s, struct arena *a, const char *boot, const char *error,
                              const char *upstream_error, struct job_row **rows, size_t *n, struct error *e)
{
    struct rescue r = {boot, error, upstream_error, a, NULL, 0};
    enum status st = store_write(s, rescue_all, &r, e);
    *rows = r.rows;
    *n = st == STATUS_OK ? r.n : 0;
    return st;
}

/* ---- leases and progress -------------------------------------------------------------------------------------------------- */

struct flush {
    struct job_flush *items;
    size_t n;
    int64_t lease_expires_us;
};

static enum status flush_all(struct store *s, void *ctx, struct error *e)
{
    const struct flush *f = ctx;
    for (size_t i = 0; i < f->n; i++) {
        struct job_flush *j = &f->items[i];
        int64_t n_changed = 0;
        TRY(DB_RUN(&s->writer, &n_changed, e,
                   "UPDATE jobs SET lease_expires_us = ?3, phase = ?4, unit = ?5, message = ?6, done = ?7, total = ?8,"
                   " fraction = ?9, rate_per_second = ?10 WHERE id = ?1 AND lease_token = ?2",
                   db_text(j->id), db_text(j->token), db_i64(f->lease_expires_us), db_text(j->phase), db_text(j->unit),
                   db_text(j->message), db_i64(j->done), db_i64(j->total), db_f64(j->fraction),
                   db_f64(j->rate_per_second)));
        j->lost = n_changed == 0;
    }
    return STATUS_OK;
}

enum status store_jobs_flush(struct store *s, struct job_flush *items, size_t n, int64_t lease_expires_us,
                             struct error *e)
{
    return store_write(s, flush_all, &(struct flush){items, n, lease_expires_us}, e);
}
