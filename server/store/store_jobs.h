/* server/store/store_jobs.h
 *
 * What only the job engine writes.  A running job is written under its lease: every such function takes the token that
 * the claim gave and answers CANCELLED ("lost") when the job is no longer held by it: the caller then stops and writes
 * nothing more.  Times are unix microseconds.  Each function is one transaction; OK means durable. */
#ifndef DLT_SERVER_STORE_JOBS_H
#define DLT_SERVER_STORE_JOBS_H

#include "server/store/store.h"

/* A job that ended this many processes since its last committed unit is discarded, not started again. */
enum { STORE_CRASHES_MAX = 3 };

/* ---- taking jobs ---------------------------------------------------------------------------------------------- */

struct job_claim_request {
    const char *boot, *token, *worker;
    int64_t now_us, lease_us;
    bool alone;                        /* nothing else is running in this process */
};
struct job_claim {
    const char *id, *kind, *spec, *pipeline_id, *step;
    int attempt, max_attempts, crashes;
    int64_t created_us, timeout_us;    /* timeout of this attempt; 0: none */
    const char *traceparent, *verify_of;
    bool cache_off;
    bool suspect;                      /* one more crash ends it: it runs alone, so that it takes nobody with it */
};
/* What all claims from now on write into their jobs; `build_id` outlives the store.  Before the first claim. */
void store_stamp(struct store *s, const char *build_id, int64_t threads);
/* The first available job in order of priority, then age, of a queue that is neither paused nor at its limit.  *found false: there is none (or the first is suspect and the
 * caller not alone); *next_us is then when the next backoff ends, 0 for never. */
enum status store_job_claim(struct store *s, struct arena *a, const struct job_claim_request *request,
                            struct job_claim *out, bool *found, int64_t *next_us, struct error *e) MUST_USE;
/* Deals with what older boots left running: cancelling becomes cancelled, a job at its last crash discarded (with its
 * dependents), all others available again with their committed units.  `error` is the JSON object for their errors.  A crash spends no attempt:
 * max_attempts grows with it.  The rows are as they were before. */
enum status store_jobs_rescue(struct store *s, struct arena *a, const char *boot, const char *error,
                              const char *upstream_error, struct job_row **rows, size_t *n, struct error *e) MUST_USE;

/* ---- while running ----------------------------------------------------------------------------------------------- */

struct job_flush {
    const char *id, *token;
    const char *phase, *unit, *message;
    int64_t done, total;
    double fraction, rate_per_second;
    bool lost;                         /* set by the store: the lease is gone */
};
/* Progress and lease of all running jobs at once. */
enum status store_jobs_flush(struct store *s, struct job_flush *items, size_t n, int64_t lease_expires_us,
                             struct error *e) MUST_USE;
enum status store_job_metrics_save(struct store *s, const char *id, const struct job_metric *points, size_t n,
                                   struct error *e) MUST_USE;
/* Lines that a job logged, each a JSON object; of a job's lines the newest STORE_LINES_MAX stay. */
enum { STORE_LINES_MAX = 10000 };
struct job_line { int64_t at_us; const char *data; };
enum status store_job_lines_save(struct store *s, const char *id, const struct job_line *lines, size_t n,
                                 struct error *e) MUST_USE;
/* That the job has read an artifact; said again, nothing is written. */
enum status store_job_input_note(struct store *s, const char *job_id, const struct job_input *in, struct error *e) MUST_USE;
/* The spec with its references resolved. */
enum status store_job_spec_set(struct store *s, const char *id, const char *token, const char *spec, const char *sha256,
                               struct error *e) MUST_USE;
/* Result (JSON text) of a step of a pipeline; NOTFOUND when it has none. */
enum status store_step_result(struct store *s, struct arena *a, const char *pipeline_id, const char *step,
                              const char **kind, const char **result, struct error *e) MUST_USE;

/* Commits a unit: from now on it is done.  Ends the count of crashes. */
enum status store_unit_commit(struct store *s, const char *id, const char *token, int phase, int64_t unit,
                              struct span result, struct error *e) MUST_USE;
/* done[i] for each unit i < n_units of a phase. */
enum status store_units_committed(struct store *s, const char *id, int phase, int64_t n_units, bool *done, int64_t *n_done,
                                  struct error *e) MUST_USE;
enum status store_unit_result(struct store *s, const char *id, int phase, int64_t unit, struct buf *out,
                              struct error *e) MUST_USE;
/* Forgets units and checkpoint, if there are any, because the work folder is gone: the job starts from the beginning. */
enum status store_units_clear(struct store *s, const char *id, const char *token, struct error *e) MUST_USE;
enum status store_checkpoint_save(struct store *s, const char *id, const char *token, const void *data, size_t n,
                                  struct error *e) MUST_USE;
enum status store_checkpoint_load(struct store *s, const char *id, struct buf *out, bool *found, struct error *e) MUST_USE;
/* The number that the job's model `name` will have; asked again, the same. */
enum status store_model_version_reserve(struct store *s, const char *job_id, const char *name, int64_t *version,
                                        struct error *e) MUST_USE;

/* ---- publication ---------------------------------------------------------------------------------------------------- */

struct job_publication {
    const char *job_id, *id, *kind, *name, *sha256, *staged;
};
/* Says which folders are about to be moved, before the first one is; replaces what an earlier attempt said. */
enum status store_publications_set(struct store *s, const char *id, const char *token, const struct job_publication *items,
                                   size_t n, struct error *e) MUST_USE;
/* Said but not committed, of one job or (NULL) of all. */
enum status store_publications_list(struct store *s, struct arena *a, const char *job_id, struct job_publication **items,
                                    size_t *n, struct error *e) MUST_USE;
enum status store_publications_clear(struct store *s, const char *job_id, struct error *e) MUST_USE;

/* ---- the end of a run --------------------------------------------------------------------------------------------- */

/* The job is completed with its result, its publications are artifacts, dependents whose needs are now met are
 * available: one transaction.  Lost also when a cancel came first. */
struct job_completion {
    const char *result;                /* JSON text */
    bool partial;                      /* something was left out, as the job was told it may be */
    const char *cache_key;             /* under which later steps may find the result; NULL: none */
    const char *reused_from;           /* the job whose result this is; NULL: its own */
    const char *verification;          /* JSON text of a job that verified another; NULL */
};
enum status store_job_complete(struct store *s, const char *id, const char *token, const struct job_completion *how,
                               struct error *e) MUST_USE;
/* The newest completed job with this key that has done the work itself. */
enum status store_job_reusable(struct store *s, struct arena *a, const char *cache_key, struct job_row *out, bool *found,
                               struct error *e) MUST_USE;
/* Back to retryable until run_at_us, or (run_at_us < 0) discarded, its pending dependents cancelled with
 * `upstream_error`.  Errors are JSON objects.  Units, checkpoint and work folder stay for a retry. */
enum status store_job_fail(struct store *s, const char *id, const char *token, int64_t run_at_us, const char *error,
                           const char *upstream_error, struct error *e) MUST_USE;
/* Back to available, the attempt unspent. */
enum status store_job_interrupt(struct store *s, const char *id, const char *token, struct error *e) MUST_USE;
/* cancelling becomes cancelled; forgets units and checkpoint.  `error` may be NULL. */
enum status store_job_cancelled(struct store *s, const char *id, const char *token, const char *error,
                                const char *upstream_error, struct error *e) MUST_USE;
/* The same of a job that does not stop: it is fenced off, and says so. */
enum status store_job_cancelled_forced(struct store *s, const char *id, const char *token, const char *error,
                                       const char *upstream_error, struct error *e) MUST_USE;

/* ---- webhooks ------------------------------------------------------------------------------------------------------ */

/* Notes what there is to tell since the last time; *any: somebody wants to be told at all. */
enum status store_webhooks_note(struct store *s, bool *any, struct error *e) MUST_USE;
/* state, attempts, next_us, http_status, error, finished_us of the delivery d->seq. */
enum status store_webhook_delivery_save(struct store *s, const struct webhook_delivery *d, struct error *e) MUST_USE;

/* ---- retention: a hundred jobs at a time ------------------------------------------------------------------------------ */

/* Final jobs that ended before these times, and that no unfinished job needs, are deleted; *rows are what they were. */
struct job_retention { int64_t completed_before_us, discarded_before_us; };
enum status store_jobs_forget(struct store *s, struct arena *a, const struct job_retention *r, struct job_row **rows,
                              size_t *n, struct error *e) MUST_USE;
enum status store_jobs_with_old_metrics(struct store *s, struct arena *a, int64_t before_us, struct job_row **rows,
                                        size_t *n, struct error *e) MUST_USE;
/* The job's metrics from now on, once and for all. */
enum status store_job_metrics_replace(struct store *s, const char *id, const struct job_metric *points, size_t n,
                                      struct error *e) MUST_USE;
/* Discarded jobs that still have units or a checkpoint, for a retry that has not come. */
enum status store_jobs_with_old_work(struct store *s, struct arena *a, int64_t before_us, struct job_row **rows, size_t *n,
                                     struct error *e) MUST_USE;
enum status store_job_work_forget(struct store *s, const char *id, struct error *e) MUST_USE;

/* ---- from outside --------------------------------------------------------------------------------------------------- */

/* running becomes cancelling, what waits becomes cancelled (with its dependents).  *state is what it then is, *changed
 * whether it was something else.  CONFLICT on completed or discarded, NOTFOUND. */
enum status store_job_cancel(struct store *s, const char *id, const char *upstream_error, enum job_state *state,
                             bool *changed, struct error *e) MUST_USE;
/* Deletes a final job whose dependents are all final, and all that the store has of it but its artifacts and answers.
 * CONFLICT, NOTFOUND. */
enum status store_job_delete(struct store *s, const char *id, struct error *e) MUST_USE;
/* cancelled, discarded and retryable become available, or pending while needs are unmet; dependents that were cancelled
 * because of it are pending again.  CONFLICT in any other state, or when a need has failed itself. */
enum status store_job_retry(struct store *s, const char *id, enum job_state *state, struct error *e) MUST_USE;

#endif
