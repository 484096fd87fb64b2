/* server/jobs/jobs.h
 *
 * The job engine: submission and validation, the scheduler with its worker threads, and the job_host that backs core's
 * job kinds with the store.  The same engine runs inside dltriggerd and inside `dltrigger run`. */
#ifndef DLT_SERVER_JOBS_H
#define DLT_SERVER_JOBS_H

#include "core/work.h"
#include "server/json/json.h"
#include "server/store/store.h"

struct jobs;

struct jobs_options {
    const char *data_dir;
    const char *const *data_roots;     /* folders that job inputs may come from */
    size_t n_data_roots;
    size_t workers;                    /* worker threads, >= 1 */
    size_t threads_per_job;            /* job_ctx.threads */
};

/* Rescues what a dead process left running, removes leftovers of unfinished jobs that no job owns, starts workers. */
enum status jobs_start(struct store *store, const struct jobs_options *options, struct jobs **out, struct error *e) MUST_USE;
/* Stops taking jobs, interrupts running units (they checkpoint and go back to available, attempt unspent), joins. */
void jobs_stop(struct jobs *j);

/* Validates {kind, spec, priority?, tags?, max_attempts?} and inserts it.  Problems are collected (ARGUMENT). */
enum status jobs_submit(struct jobs *j, const struct json *body, char id[40], struct json_problems *problems,
                        struct error *e) MUST_USE;
/* {name, steps:[{id, kind, spec, needs?}]}: steps inserted in one transaction; "$step.member" in a spec is replaced by
 * that member of the finished step's result when the step starts. */
enum status jobs_submit_pipeline(struct jobs *j, const struct json *body, char pipeline_id[40],
                                 struct field_list *job_ids /* const char *, in arena a */, struct arena *a,
                                 struct json_problems *problems, struct error *e) MUST_USE;
/* Idempotent on a cancelled job; CONFLICT on completed or discarded. */
enum status jobs_cancel(struct jobs *j, const char *id, struct error *e) MUST_USE;
/* From cancelled, discarded, retryable back to available, keeping committed units. */
enum status jobs_retry(struct jobs *j, const char *id, struct error *e) MUST_USE;
/* A row with the live progress of this process folded in. */
enum status jobs_get(struct jobs *j, struct arena *a, const char *id, struct job_row *out, struct error *e) MUST_USE;
/* The API's job object. */
struct json *jobs_to_json(const struct job_row *row);
/* Blocks until job `id` is final or its state or progress changed since the last call, or timeout; for CLI following. */
void jobs_wait_change(struct jobs *j, const char *id, int timeout_ms);

struct jobs_counters { int64_t transitions[JOB_STATES]; int64_t running; };
struct jobs_counters jobs_counters(struct jobs *j);

/* Called after a job completed and its artifacts are in place (the registry reloads); may be NULL. */
void jobs_on_published(struct jobs *j, void (*fn)(void *ctx, const char *kind, const char *id), void *ctx);

#endif
