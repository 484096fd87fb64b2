/* server/jobs/runner.c
 *
 * A claimed job from start to end: spec, units (units.c), finish, publication, and what is written of its end. */
#include "server/jobs/engine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TROUBLE_MS = 1000 };
#define SPEC_ARENA_MAX ((size_t)256 << 20)
#define UNIT_ARENA_MAX ((size_t)2 << 30)
#define RESULT_MAX ((size_t)64 << 20)
#define BACKOFF_MAX_US (3600 * 1000000LL)

/* ---- errors of a job -------------------------------------------------------------------------------------------- */

static void write_entry(char out[ERROR_ENTRY_MAX], int attempt, const char *name, bool retryable, const char *detail)
{
    struct buf b;
    struct error e;
    struct json *v = json_new_object();
    json_set(v, "attempt", json_new_i64(attempt));
    json_set(v, "at", json_new_time(time_unix_us()));
    json_set(v, "status", json_new_string(name));
    json_set(v, "detail", json_new_string(detail));
    json_set(v, "retryable", json_new_bool(retryable));
    buf_init(&b, ERROR_ENTRY_MAX - 1);
    if (json_write(v, &b, &e) == STATUS_OK) {
        memcpy(out, b.data, b.len);
        out[b.len] = '\0';
    } else {                                      /* without memory, without detail */
        char at[40];
        json_time_text(time_unix_us(), at);
        snprintf(out, ERROR_ENTRY_MAX, "{\"attempt\":%d,\"at\":\"%s\",\"status\":\"%s\",\"detail\":\"\",\"retryable\":%s}",
                 attempt, at, name, retryable ? "true" : "false");
    }
    buf_fini(&b);
    json_free(v);
}

void error_entry(char out[ERROR_ENTRY_MAX], int attempt, enum status status, bool retryable, const char *fmt, ...)
{
    char detail[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    write_entry(out, attempt, status_name(status), retryable, detail);
}

void error_entry_named(char out[ERROR_ENTRY_MAX], int attempt, const char *name, bool retryable, const char *fmt, ...)
{
    char detail[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    write_entry(out, attempt, name, retryable, detail);
}

int64_t backoff_us(int64_t base_us, int attempt, double jitter)
{
    int64_t wait = base_us;
    for (int i = 1; i < attempt && wait < BACKOFF_MAX_US; i++)
        wait *= 2;
    wait = wait > BACKOFF_MAX_US ? BACKOFF_MAX_US : wait;
    return (int64_t)((double)wait * (1 + 0.2 * (2 * jitter - 1)));        /* 20 % either way */
}

/* ---- spec --------------------------------------------------------------------------------------------------------- */

static enum status problem_error(const struct json_problems *problems, struct error *e)
{
    const struct json_problem *first = &problems->items[0];
    return error_set(e, STATUS_ARGUMENT, "%s: %s", first->pointer, first->detail);
}

/* The stored spec, its references resolved when the job is a step of a pipeline, decoded and validated once more. */
static enum status read_spec(struct job_run *run, struct arena *a, const struct job_kind *kind, void **spec,
                             const char **out, struct error *e)
{
    const struct job_claim *claim = run->claim;
    struct json *value;
    struct json_problems *problems = ARENA_NEW(a, struct json_problems, 1);
    const char *text;
    char sha256[65];
    if (!problems)
        return error_set(e, STATUS_NOMEM, "no memory for a spec");
    TRY(json_parse(claim->spec, strlen(claim->spec), &value, e));
    enum status s = STATUS_OK;
    if (claim->pipeline_id)
        s = references_resolve(run->jobs, a, claim->pipeline_id, &value, e);
    if (s == STATUS_OK)
        s = spec_check(a, kind, value, "/spec", spec, &text, sha256, problems, e);
    if (s == STATUS_ARGUMENT && problems->n > 0)
        s = problem_error(problems, e);
    if (s == STATUS_OK && strcmp(text, claim->spec) != 0)
        s = store_job_spec_set(run->jobs->store, claim->id, run->token, text, sha256, e);
    *out = s == STATUS_OK ? text : NULL;
    json_free(value);
    return s;
}

/* ---- units and finish, in this process ------------------------------------------------------------------------------ */

static enum status ops_check_stop(void *ctx, struct error *e)
{
    const struct job_run *run = ctx;
    return atomic_load(&run->live->stop) ? error_set(e, STATUS_CANCELLED, "stopped") : STATUS_OK;
}

static enum status ops_committed(void *ctx, int phase, int64_t n_units, bool *done, struct error *e)
{
    const struct job_run *run = ctx;
    int64_t n_done;
    return store_units_committed(run->jobs->store, run->claim->id, phase, n_units, done, &n_done, e);
}

static enum status ops_commit(void *ctx, int phase, int64_t unit, struct span result, struct error *e)
{
    const struct job_run *run = ctx;
    return store_unit_commit(run->jobs->store, run->claim->id, run->token, phase, unit, result, e);
}

const struct run_ops engine_ops = {ops_check_stop, ops_committed, ops_commit};

static enum status run_here(struct job_run *run, const struct job_kind *kind, const void *spec, struct buf *result,
                            struct error *e)
{
    struct arena unit_arena;
    char created_at[40];
    json_time_text(run->as_created_us, created_at);
    arena_init(&unit_arena, UNIT_ARENA_MAX);
    struct job_ctx ctx = {.host = &engine_host, .host_ctx = run, .arena = &unit_arena, .job_id = run->as_id,
                          .work_dir = run->work_dir, .created_at = created_at, .threads = run->jobs->threads_per_job};
    enum status s = run_phases(&engine_ops, run, &ctx, kind, spec, e);
    if (s == STATUS_OK)
        s = run_finish(&engine_ops, run, &ctx, kind, spec, &run->partial, result, e);
    if (ctx.free_state)
        ctx.free_state(ctx.state);
    arena_fini(&unit_arena);
    return s;
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

/* Repeats a last write while the disk is full or the like: its outcome must not be lost.  Not past a stop: the next start
 * rescues the job then. */
#define UNTIL_WRITTEN(jobs, s, e, write) \
    while (((s) = (write)) != STATUS_OK && status_retryable(s)) { \
        log_line(LOG_ERROR, "jobs: writing the end of a job: %s", (e)->text); \
        if (engine_pause(jobs, TROUBLE_MS)) \
            break; \
    }

static void remove_work_dir(struct job_run *run)
{
    struct error e;
    if (file_remove_tree(run->work_dir, &e) != STATUS_OK)
        log_line(LOG_WARN, "job %s has ended, its work folder stays: %s", run->claim->id, e.text);
}

static void undo_publications(struct job_run *run)
{
    struct error e;
    if (run->n_published > 0 && publications_undo(run->jobs, run->claim->id, &e) != STATUS_OK)
        log_line(LOG_WARN, "job %s: moving folders back: %s", run->claim->id, e.text);
}

/* The job was cancelled, here or by the deadline's fence; or another owner has it, and nothing here is ours to touch. */
static void end_cancelled(struct job_run *run)
{
    char upstream[ERROR_ENTRY_MAX];
    struct jobs *j = run->jobs;
    struct error e;
    struct job_row row;
    enum status s;
    error_entry(upstream, 0, STATUS_CANCELLED, false, "upstream: job %s was cancelled", run->claim->id);
    undo_publications(run);
    UNTIL_WRITTEN(j, s, &e, store_job_cancelled(j->store, run->claim->id, run->token, NULL, upstream, &e));
    if (s == STATUS_OK) {
        engine_count(j, JOB_CANCELLED);
        remove_work_dir(run);
    } else if (s == STATUS_CANCELLED && store_job_get(j->store, &run->kept, run->claim->id, &row, &e) == STATUS_OK &&
               row.state == JOB_CANCELLED) {
        remove_work_dir(run);
    } else {
        log_line(LOG_WARN, "job %s: %s", run->claim->id, e.text);
    }
}

/* The attempt failed: the job waits for its next one, or that was the last.  `name`: of the error. */
static void end_attempt(struct job_run *run, const char *name, bool retryable, const char *why)
{
    char entry[ERROR_ENTRY_MAX], upstream[ERROR_ENTRY_MAX];
    const struct job_claim *claim = run->claim;
    struct jobs *j = run->jobs;
    struct error e;
    enum status s;
    bool again = retryable && claim->attempt < claim->max_attempts;
    struct rng r = rng_stream((uint64_t)claim->created_us, (uint64_t)claim->attempt);
    int64_t run_at_us = again ? time_unix_us() + backoff_us(j->retry_base_us, claim->attempt, rng_f64(&r)) : -1;
    error_entry_named(entry, claim->attempt, name, retryable, "%s", why);
    error_entry(upstream, 0, STATUS_CANCELLED, false, "upstream: job %s failed", claim->id);
    undo_publications(run);
    UNTIL_WRITTEN(j, s, &e, store_job_fail(j->store, claim->id, run->token, run_at_us, entry, upstream, &e));
    if (s == STATUS_CANCELLED)
        return end_cancelled(run);
    if (s == STATUS_OK)
        engine_count(j, again ? JOB_RETRYABLE : JOB_DISCARDED);
    log_line(LOG_WARN, "job %s (%s): attempt %d of %d failed: %s", claim->id, claim->kind, claim->attempt,
             claim->max_attempts, why);
}

static void end_failed(struct job_run *run, enum status status, const struct error *why)
{
    end_attempt(run, status_name(status), status_retryable(status), why->text);
}

/* What is committed stays, so that the next attempt gets further. */
static void end_timed_out(struct job_run *run)
{
    char why[120];
    snprintf(why, sizeof why, "ran longer than its timeout_seconds of %lld", (long long)(run->claim->timeout_us / 1000000));
    end_attempt(run, "TIMEOUT", true, why);
}

static void end_interrupted(struct job_run *run)
{
    struct error e;
    enum status s;
    undo_publications(run);
    UNTIL_WRITTEN(run->jobs, s, &e, store_job_interrupt(run->jobs->store, run->claim->id, run->token, &e));
    if (s == STATUS_CANCELLED)
        return end_cancelled(run);
    if (s == STATUS_OK)
        engine_count(run->jobs, JOB_AVAILABLE);
    else
        log_line(LOG_WARN, "job %s: %s", run->claim->id, e.text);
}

static void tell_published(struct job_run *run)
{
    struct jobs *j = run->jobs;
    pthread_mutex_lock(&j->lock);
    void (*fn)(void *, const char *, const char *) = j->on_published;
    void *ctx = j->on_published_ctx;
    pthread_mutex_unlock(&j->lock);
    for (size_t i = 0; fn && i < run->n_published; i++)
        fn(ctx, run->published[i].kind, run->published[i].id);
}

static void end_completed(struct job_run *run, const char *result)
{
    const struct job_completion how = {.result = result, .partial = run->partial, .verification = run->verification,
                                       .cache_key = *run->cache_key ? run->cache_key : NULL,
                                       .reused_from = *run->reused_from ? run->reused_from : NULL};
    struct jobs *j = run->jobs;
    struct error e;
    enum status s;
    UNTIL_WRITTEN(j, s, &e, store_job_complete(j->store, run->claim->id, run->token, &how, &e));
    if (s == STATUS_CANCELLED)
        return end_cancelled(run);
    if (s != STATUS_OK && !status_retryable(s))
        return end_failed(run, s, &e);
    if (s != STATUS_OK)
        return;                                   /* stopping with a full disk: the next start moves the folders back */
    engine_count(j, JOB_COMPLETED);
    tell_published(run);
    remove_work_dir(run);
}

/* ---- a run ---------------------------------------------------------------------------------------------------------------- */

/* The work folder holds what committed units left: without it they are worth nothing. */
static enum status make_work_dir(struct job_run *run, struct error *e)
{
    struct stat st;
    if (stat(run->work_dir, &st) != 0 || !S_ISDIR(st.st_mode))
        TRY(store_units_clear(run->jobs->store, run->claim->id, run->token, e));
    return file_make_folder(run->work_dir, e);
}

/* A job that verifies another goes by its name and time. */
static enum status take_identity(struct job_run *run, struct error *e)
{
    struct job_row original;
    TRY(store_job_get(run->jobs->store, &run->kept, run->claim->verify_of, &original, e));
    run->as_id = run->claim->verify_of;
    run->as_created_us = original.created_us;
    return STATUS_OK;
}

static enum status run_to_result(struct job_run *run, struct arena *spec_arena, struct buf *result, struct error *e)
{
    struct jobs *j = run->jobs;
    const struct job_kind *kind = engine_kind_find(j, run->claim->kind);
    const char *text = NULL;
    void *spec;
    if (!kind)
        return error_set(e, STATUS_UNSUPPORTED, "this build has no job kind %s", run->claim->kind);
    TRY(publications_undo(j, run->claim->id, e));
    TRY(make_work_dir(run, e));
    TRY(read_spec(run, spec_arena, kind, &spec, &text, e));
    run->n_published = 0;
    bool reused = false;
    if (reuse_wanted(run))
        TRY(reuse_find(run, kind, text, result, &reused, e));
    if (reused)
        return ops_check_stop(run, e);
    if (run->claim->verify_of)
        TRY(take_identity(run, e));
    TRY(engine_in_child(j, kind) ? run_in_child(run, kind, text, result, e) : run_here(run, kind, spec, result, e));
    TRY(ops_check_stop(run, e));
    if (run->claim->verify_of)
        return verify_compare(run, (const char *)result->data, &run->verification, e);
    return publications_move(j, run->claim->id, run->token, run->published, run->n_published, e);
}

void run_job(struct jobs *j, struct worker *w, const struct job_claim *claim)
{
    struct job_run run = {.jobs = j, .live = &w->live, .claim = claim, .token = w->live.token,
                          .as_id = claim->id, .as_created_us = claim->created_us};
    struct arena spec_arena;
    struct buf result;
    struct error e = {.text = ""}, ignored;
    arena_init(&spec_arena, SPEC_ARENA_MAX);
    arena_init(&run.kept, SPEC_ARENA_MAX);
    buf_init(&result, RESULT_MAX);
    check(pthread_mutex_init(&run.lock, NULL) == 0);
    engine_work_dir(j, claim->id, run.work_dir);
    log_line(LOG_INFO, "job %s (%s): attempt %d%s%s", claim->id, claim->kind, claim->attempt,
             claim->traceparent ? " trace " : "", claim->traceparent ? claim->traceparent : "");

    enum status s = run_to_result(&run, &spec_arena, &result, &e);
    if (live_flush(j, w, 1, false, &ignored) != STATUS_OK)
        log_line(LOG_WARN, "job %s: last progress: %s", claim->id, ignored.text);
    live_ending(&w->live);
    int stop = atomic_load(&w->live.stop);
    if (stop & (STOP_CANCEL | STOP_LOST))
        end_cancelled(&run);
    else if (s == STATUS_OK)
        end_completed(&run, (const char *)result.data);
    else if ((stop & STOP_TIMEOUT) && s == STATUS_CANCELLED)
        end_timed_out(&run);
    else if ((stop & STOP_INTERRUPT) && s == STATUS_CANCELLED)
        end_interrupted(&run);
    else if (run.crashed)
        end_attempt(&run, "CRASHED", true, e.text);
    else
        end_failed(&run, s, &e);

    pthread_mutex_destroy(&run.lock);
    buf_fini(&result);
    arena_fini(&run.kept);
    arena_fini(&spec_arena);
}
