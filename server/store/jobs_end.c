/* server/store/jobs_end.c
 *
 * How a run ends: completed, failed, interrupted, cancelled; and what people do to jobs from outside. */
#include "server/store/jobs_end.h"

#include "server/store/store_jobs.h"

#include <string.h>

/* What every job that is no longer running has. */
#define NOT_HELD "lease_token = NULL, lease_expires_us = NULL, boot = NULL"

enum status jobs_lost(const char *id, struct error *e)
{
    return error_set(e, STATUS_CANCELLED, "job %s is no longer held by this worker", id);
}

enum status jobs_check_lease(struct db *db, const char *id, const char *token, struct error *e)
{
    int64_t held;
    TRY(DB_NUMBER(db, 0, &held, e, "SELECT 1 FROM jobs WHERE id = ?1 AND lease_token = ?2", db_text(id), db_text(token)));
    return held ? STATUS_OK : jobs_lost(id, e);
}

enum status jobs_forget_units(struct db *db, const char *id, struct error *e)
{
    TRY(DB_RUN(db, NULL, e, "UPDATE jobs SET checkpoint_us = NULL WHERE id = ?1", db_text(id)));
    TRY(DB_RUN(db, NULL, e, "DELETE FROM job_units WHERE job_id = ?1", db_text(id)));
    return DB_RUN(db, NULL, e, "DELETE FROM job_checkpoints WHERE job_id = ?1", db_text(id));
}

enum status jobs_cancel_dependents(struct db *db, const char *id, const char *error, struct error *e)
{
    return DB_RUN(db, NULL, e,
                  "WITH RECURSIVE down (id) AS (SELECT job_id FROM job_needs WHERE need_id = ?1 UNION"
                  " SELECT n.job_id FROM job_needs n JOIN down ON n.need_id = down.id)"
                  " UPDATE jobs SET state = 'cancelled', cancel_reason = 'upstream', finished_us = ?3, errors = "
                  ERRORS_WITH("?2") " WHERE state = 'pending' AND id IN (SELECT id FROM down)",
                  db_text(id), db_text(error), db_i64(time_unix_us()));
}

enum status jobs_release_dependents(struct db *db, const char *id, int64_t now_us, struct error *e)
{
    return DB_RUN(db, NULL, e,
                  "UPDATE jobs SET state = CASE WHEN run_at_us > ?2 THEN 'scheduled' ELSE 'available' END,"
                  " run_at_us = max(run_at_us, ?2) WHERE state = 'pending'"
                  " AND id IN (SELECT job_id FROM job_needs WHERE need_id = ?1)"
                  " AND NOT EXISTS (SELECT 1 FROM job_needs n JOIN jobs up ON up.id = n.need_id"
                  " WHERE n.job_id = jobs.id AND up.state <> 'completed')",
                  db_text(id), db_i64(now_us));
}

/* ---- completed ----------------------------------------------------------------------------------------------------- */

struct ending {
    const char *id, *token, *error, *upstream_error;
    const struct job_completion *how;
    int64_t run_at_us;
    bool forced;
};

static enum status publish_all(struct db *db, const char *id, int64_t now_us, struct error *e)
{
    return DB_RUN(db, NULL, e,
                  "INSERT INTO artifacts (id, kind, name, version, job_id, sha256, created_us)"
                  " SELECT p.id, p.kind, p.name, CASE p.kind WHEN 'model' THEN (SELECT v.version FROM model_versions v"
                  " WHERE v.job_id = p.job_id AND v.name = p.name) ELSE 0 END, p.job_id, p.sha256, ?2"
                  " FROM job_publications p WHERE p.job_id = ?1",
                  db_text(id), db_i64(now_us));
}

static enum status complete(struct store *s, void *ctx, struct error *e)
{
    const struct ending *x = ctx;
    struct db *db = &s->writer;
    int64_t n_changed = 0, now_us = time_unix_us();
    TRY(DB_RUN(db, &n_changed, e,
               "UPDATE jobs SET state = 'completed', result = ?3, finished_us = ?4, outcome = ?5, fraction = 1, crashes = 0,"
               " cache_key = ?6, reused_from = ?7, verification = ?8, " NOT_HELD " WHERE id = ?1 AND lease_token = ?2 AND state = 'running'",
               db_text(x->id), db_text(x->token), db_text(x->how->result), db_i64(now_us),
               db_text(x->how->partial ? "partial" : "ok"), db_text(x->how->cache_key), db_text(x->how->reused_from),
               db_text(x->how->verification)));
    if (n_changed == 0)
        return jobs_lost(x->id, e);
    if (x->how->reused_from)
        TRY(DB_RUN(db, NULL, e,
                   "INSERT OR REPLACE INTO job_inputs (job_id, kind, ref, id, sha256) SELECT ?1, kind, ref, id, sha256"
                   " FROM job_inputs WHERE job_id = ?2",
                   db_text(x->id), db_text(x->how->reused_from)));
    TRY(publish_all(db, x->id, now_us, e));
    TRY(DB_RUN(db, NULL, e, "DELETE FROM job_publications WHERE job_id = ?1", db_text(x->id)));
    TRY(jobs_forget_units(db, x->id, e));
    return jobs_release_dependents(db, x->id, now_us, e);
}

enum status store_job_complete(struct store *s, const char *id, const char *token, const struct job_completion *how,
                               struct error *e)
{
    return store_write(s, complete, &(struct ending){.id = id, .token = token, .how = how}, e);
}

/* ---- failed, interrupted, cancelled ---------------------------------------------------------------------------------- */

static enum status fail(struct store *s, void *ctx, struct error *e)
{
    const struct ending *x = ctx;
    int64_t n_changed = 0, now_us = time_unix_us();
    bool discarded = x->run_at_us < 0;
    TRY(DB_RUN(&s->writer, &n_changed, e,
               "UPDATE jobs SET state = ?3, run_at_us = ?4, finished_us = ?5, crashes = 0, " NOT_HELD ", errors = "
               ERRORS_WITH("?6") " WHERE id = ?1 AND lease_token = ?2 AND state = 'running'",
               db_text(x->id), db_text(x->token), db_text(discarded ? "discarded" : "retryable"),
               db_i64(discarded ? now_us : x->run_at_us), discarded ? db_i64(now_us) : db_text(NULL), db_text(x->error)));
    if (n_changed == 0)
        return jobs_lost(x->id, e);
    return discarded ? jobs_cancel_dependents(&s->writer, x->id, x->upstream_error, e) : STATUS_OK;
}

enum status store_job_fail(struct store *s, const char *id, const char *token, int64_t run_at_us, const char *error,
                           const char *upstream_error, struct error *e)
{
    struct ending x = {.id = id, .token = token, .error = error, .upstream_error = upstream_error, .run_at_us = run_at_us};
    return store_write(s, fail, &x, e);
}

static enum status interrupt(struct store *s, void *ctx, struct error *e)
{
    const struct ending *x = ctx;
    int64_t n_changed = 0;
    TRY(DB_RUN(&s->writer, &n_changed, e,
               "UPDATE jobs SET state = 'available', attempt = attempt - 1, run_at_us = ?3, " NOT_HELD
               " WHERE id = ?1 AND lease_token = ?2 AND state = 'running'",
               db_text(x->id), db_text(x->token), db_i64(time_unix_us())));
    return n_changed == 0 ? jobs_lost(x->id, e) : STATUS_OK;
}

enum status store_job_interrupt(struct store *s, const char *id, const char *token, struct error *e)
{
    return store_write(s, interrupt, &(struct ending){.id = id, .token = token}, e);
}

static enum status end_cancelled(struct store *s, void *ctx, struct error *e)
{
    const struct ending *x = ctx;
    int64_t n_changed = 0;
    TRY(DB_RUN(&s->writer, &n_changed, e,
               "UPDATE jobs SET state = 'cancelled', cancel_reason = 'user', finished_us = ?3, forced = ?5, " NOT_HELD
               ", errors = " ERRORS_WITH("?4") " WHERE id = ?1 AND lease_token = ?2",
               db_text(x->id), db_text(x->token), db_i64(time_unix_us()), db_text(x->error), db_i64(x->forced)));
    if (n_changed == 0)
        return jobs_lost(x->id, e);
    TRY(jobs_forget_units(&s->writer, x->id, e));
    return jobs_cancel_dependents(&s->writer, x->id, x->upstream_error, e);
}

enum status store_job_cancelled(struct store *s, const char *id, const char *token, const char *error,
                                const char *upstream_error, struct error *e)
{
    struct ending x = {.id = id, .token = token, .error = error, .upstream_error = upstream_error};
    return store_write(s, end_cancelled, &x, e);
}

enum status store_job_cancelled_forced(struct store *s, const char *id, const char *token, const char *error,
                                       const char *upstream_error, struct error *e)
{
    struct ending x = {.id = id, .token = token, .error = error, .upstream_error = upstream_error, .forced = true};
    return store_write(s, end_cancelled, &x, e);
}

/* ---- from outside ------------------------------------------------------------------------------------------------------ */

struct outside {
    const char *id, *upstream_error;
    enum job_state state;
    bool changed;
};

static enum status state_of(struct db *db, const char *id, enum job_state *state, struct error *e)
{
    struct arena a;
    struct db_rows r;
    bool found = false;
    arena_init(&a, 1 << 16);
    enum status st = DB_QUERY(db, &a, &r, e, "SELECT state FROM jobs WHERE id = ?1", db_text(id));
    if (st == STATUS_OK)
        st = db_rows_next(&r, &found, e);
    if (st == STATUS_OK && !found)
        st = error_set(e, STATUS_NOTFOUND, "there is no job %.60s", id);
    if (st == STATUS_OK) {
        const char *name = db_column_text(&r);
        *state = name ? (enum job_state)job_state_parse(name) : JOB_PENDING;
        st = name ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for a state");
        db_rows_end(&r);
    }
    arena_fini(&a);
    return st;
}

static enum status cancel_waiting(struct db *db, const struct outside *x, struct error *e)
{
    int64_t now_us = time_unix_us();
    TRY(DB_RUN(db, NULL, e,
               "UPDATE jobs SET state = 'cancelled', cancel_reason = 'user', cancel_at_us = ?2, finished_us = ?2"
               " WHERE id = ?1",
               db_text(x->id), db_i64(now_us)));
    TRY(jobs_forget_units(db, x->id, e));
    return jobs_cancel_dependents(db, x->id, x->upstream_error, e);
}

static enum status cancel(struct store *s, void *ctx, struct error *e)
{
    struct outside *x = ctx;
    TRY(state_of(&s->writer, x->id, &x->state, e));
    switch (x->state) {
    case JOB_COMPLETED:
    case JOB_DISCARDED:
        return error_set(e, STATUS_CONFLICT, "job %s is %s already", x->id, job_state_name(x->state));
    case JOB_CANCELLED:
    case JOB_CANCELLING: return STATUS_OK;
    case JOB_RUNNING:
        x->changed = true;
        x->state = JOB_CANCELLING;
        return DB_RUN(&s->writer, NULL, e,
                      "UPDATE jobs SET state = 'cancelling', cancel_reason = 'user', cancel_at_us = ?2 WHERE id = ?1",
                      db_text(x->id), db_i64(time_unix_us()));
    default:
        x->changed = true;
        x->state = JOB_CANCELLED;
        return cancel_waiting(&s->writer, x, e);
    }
}

enum status store_job_cancel(struct store *s, const char *id, const char *upstream_error, enum job_state *state,
                             bool *changed, struct error *e)
{
    struct outside x = {id, upstream_error, JOB_PENDING, false};
    enum status st = store_write(s, cancel, &x, e);
    *state = x.state;
    *changed = x.changed;
    return st;
}

/* Dependents that were cancelled because of this job wait again, but for those that another failed need holds back. */
static enum status revive_dependents(struct db *db, const char *id, struct error *e)
{
    int64_t n_changed;
    TRY(DB_RUN(db, NULL, e,
               "WITH RECURSIVE down (id) AS (SELECT job_id FROM job_needs WHERE need_id = ?1 UNION"
               " SELECT n.job_id FROM job_needs n JOIN down ON n.need_id = down.id)"
               " UPDATE jobs SET state = 'pending', cancel_reason = NULL, finished_us = NULL"
               " WHERE state = 'cancelled' AND cancel_reason = 'upstream' AND id IN (SELECT id FROM down)",
               db_text(id)));
    do
        TRY(DB_RUN(db, &n_changed, e,
                   "UPDATE jobs SET state = 'cancelled', cancel_reason = 'upstream', finished_us = ?1"
                   " WHERE state = 'pending' AND EXISTS (SELECT 1 FROM job_needs n JOIN jobs up ON up.id = n.need_id"
                   " WHERE n.job_id = jobs.id AND up.state IN ('cancelled', 'discarded'))",
                   db_i64(time_unix_us())));
    while (n_changed > 0);
    return STATUS_OK;
}

static enum status retry(struct store *s, void *ctx, struct error *e)
{
    struct outside *x = ctx;
    struct db *db = &s->writer;
    int64_t n_failed, n_unmet;
    TRY(state_of(db, x->id, &x->state, e));
    if (x->state != JOB_CANCELLED && x->state != JOB_DISCARDED && x->state != JOB_RETRYABLE)
        return error_set(e, STATUS_CONFLICT, "job %s is %s: only cancelled, discarded and retryable jobs can be retried",
                         x->id, job_state_name(x->state));
    TRY(DB_NUMBER(db, 0, &n_failed, e,
                  "SELECT count(*) FROM job_needs n JOIN jobs up ON up.id = n.need_id WHERE n.job_id = ?1"
                  " AND up.state IN ('cancelled', 'discarded')",
                  db_text(x->id)));
    if (n_failed > 0)
        return error_set(e, STATUS_CONFLICT, "job %s needs %lld jobs that failed themselves: retry those first", x->id,
                         (long long)n_failed);
    TRY(DB_NUMBER(db, 0, &n_unmet, e,
                  "SELECT count(*) FROM job_needs n JOIN jobs up ON up.id = n.need_id WHERE n.job_id = ?1"
                  " AND up.state <> 'completed'",
                  db_text(x->id)));
    x->state = n_unmet ? JOB_PENDING : JOB_AVAILABLE;
    TRY(DB_RUN(db, NULL, e,
               "UPDATE jobs SET state = ?2, run_at_us = ?3, finished_us = NULL, cancel_reason = NULL, cancel_at_us = NULL,"
               " forced = 0, outcome = NULL, crashes = 0, max_attempts = max(max_attempts, attempt + 1) WHERE id = ?1",
               db_text(x->id), db_text(job_state_name(x->state)), db_i64(time_unix_us())));
    return revive_dependents(db, x->id, e);
}

enum status store_job_retry(struct store *s, const char *id, enum job_state *state, struct error *e)
{
    struct outside x = {.id = id};
    enum status st = store_write(s, retry, &x, e);
    *state = x.state;
    return st;
}

static enum status delete_job(struct store *s, void *ctx, struct error *e)
{
    const char *id = ctx;
    enum job_state state;
    int64_t n_waiting;
    TRY(state_of(&s->writer, id, &state, e));
    if (!job_state_final(state))
        return error_set(e, STATUS_CONFLICT, "job %s is %s: cancel it first", id, job_state_name(state));
    TRY(DB_NUMBER(&s->writer, 0, &n_waiting, e,
                  "SELECT count(*) FROM job_needs n JOIN jobs down ON down.id = n.job_id WHERE n.need_id = ?1"
                  " AND down.state NOT IN ('completed', 'cancelled', 'discarded')",
                  db_text(id)));
    if (n_waiting > 0)
        return error_set(e, STATUS_CONFLICT, "%lld jobs that need job %s are not final", (long long)n_waiting, id);
    return DB_RUN(&s->writer, NULL, e, "DELETE FROM jobs WHERE id = ?1", db_text(id));
}

enum status store_job_delete(struct store *s, const char *id, struct error *e)
{
    return store_write(s, delete_job, (void *)(uintptr_t)id, e);
}
