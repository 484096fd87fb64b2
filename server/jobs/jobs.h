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

/* How many days things are kept; 0: for ever. */
struct jobs_retention {
    int64_t completed_days, discarded_days;        /* jobs; discarded: cancelled ones too */
    int64_t metrics_days;                          /* single points of a final job's series; then 500 a key */
    int64_t work_days;                             /* work folders of discarded jobs */
};

struct jobs_options {
    const char *data_dir;
    const char *const *data_roots;     /* folders that job inputs may come from */
    size_t n_data_roots;
    size_t workers;                    /* worker threads, >= 1 */
    size_t threads_per_job;            /* job_ctx.threads */
    const struct job_kind *const *kinds;           /* NULL-terminated; NULL: core's job_kinds */
    const char *const *child_kinds;    /* run in processes of their own; NULL-terminated; NULL: none.  See jobs_child_main */
    const char *const *source_hosts;   /* what source_policy_set was given, for those processes */
    size_t n_source_hosts;
    const char *source_setting;
    int64_t retry_base_us;             /* first backoff; 0: 15 s */
    struct jobs_retention retention;
    const char *const *webhook_hosts;  /* that webhooks may go to; see server/live/webhook.h */
    size_t n_webhook_hosts;
    int64_t cancel_deadline_us;        /* how long a cancelled job may take to stop before it is fenced off; 0: 30 s */
};

/* Rescues what a dead process left running, removes leftovers of unfinished jobs that no job owns, starts workers.
 * `store` must be open on options->data_dir and outlive the engine; the options are copied. */
enum status jobs_start(struct store *store, const struct jobs_options *options, struct jobs **out, struct error *e) MUST_USE;
/* Stops taking jobs, interrupts running units (they checkpoint and go back to available, attempt unspent), joins. */
void jobs_stop(struct jobs *j);

/* Kinds that parse bytes of strangers: what child_kinds should be. */
extern const char *const jobs_untrusted_kinds[];
/* A program whose jobs run in children begins main() with: if (jobs_is_child(argc, argv)) return jobs_child_main(...). */
#define JOBS_CHILD_WORD "job-child"
static inline bool jobs_is_child(int argc, char **argv)
{
    return argc > 1 && __builtin_strcmp(argv[1], JOBS_CHILD_WORD) == 0;
}
int jobs_child_main(int argc, char **argv, const struct job_kind *const *kinds);

/* Validates {kind, spec, priority?, tags?, max_attempts?, queue?, run_at?, timeout_seconds?, cache?} and inserts it.
 * Problems are collected (ARGUMENT).  priority 0 to 9, 0 first, default 2; max_attempts 1 to 20, default the kind's; queue:
 * default the kind's name. */
enum status jobs_submit(struct jobs *j, const struct json *body, char id[40], struct json_problems *problems,
                        struct error *e) MUST_USE;
/* {name, steps:[{id, kind, spec, needs?, priority?, tags?, max_attempts?}]}: steps inserted in one transaction; a string
 * "$step.member" in a spec is replaced by that member of the finished step's result when the step starts, and the spec is
 * validated again.  A step needs the steps that it refers to, whether it says so or not.  The pipeline's name is the
 * first tag of its jobs. */
enum status jobs_submit_pipeline(struct jobs *j, const struct json *body, char pipeline_id[40],
                                 struct field_list *job_ids /* const char *, in arena a */, struct arena *a,
                                 struct json_problems *problems, struct error *e) MUST_USE;
/* The same two for a request over the network.  `key` (NULL: none was given) is the client's own name for the request:
 * within SUBMIT_ANSWER_US the same body under the same key gets the first answer again and inserts nothing; another body
 * is REUSED.  Answers other than ACCEPTED are not kept.  Key, hash and answer are committed with the jobs. */
enum submit_outcome {
    SUBMIT_ACCEPTED,
    SUBMIT_REPLAYED,
    SUBMIT_REUSED,                     /* the key has been used with another body */
    SUBMIT_IN_FLIGHT,                  /* a request with this key is being worked on in this moment */
};
struct submit_key {
    const char *route, *key, *body_sha256;         /* key NULL: none */
    const char *traceparent, *tracestate;          /* of the request, for the jobs; may be NULL */
};
/* id and text in the caller's arena: the job or pipeline, and it as the API's object at the moment of acceptance. */
struct submit_answer { enum submit_outcome outcome; const char *id, *text; };
enum status jobs_accept(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                        struct submit_answer *out, struct json_problems *problems, struct error *e) MUST_USE;
enum status jobs_accept_pipeline(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                                 struct submit_answer *out, struct json_problems *problems, struct error *e) MUST_USE;

/* The same for kinds that have routes of their own: "bulk", "backup". */
enum status jobs_accept_admin(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                              struct submit_answer *out, struct json_problems *problems, struct error *e) MUST_USE;
/* A kind that this engine runs, those too; NULL. */
const struct job_kind *jobs_kind_find(const struct jobs *j, const char *name);
/* {priority?, tags?, run_at?} of a job that waits.  *stale: it is no longer as `seen`, nothing is changed.  CONFLICT when
 * it does not wait. */
enum status jobs_patch(struct jobs *j, const struct job_row *seen, const struct json *body, bool *stale,
                       struct json_problems *problems, struct error *e) MUST_USE;
/* store_queue_set, and workers look again. */
enum status jobs_queue_set(struct jobs *j, const struct queue_row *row, bool *stale, struct error *e) MUST_USE;

/* Submits a job that runs a completed one again under its name and compares what comes out; publishes nothing.  CONFLICT
 * for what cannot be compared. */
enum status jobs_verify(struct jobs *j, struct arena *a, const char *id, const char **new_id, struct error *e) MUST_USE;

/* Checks a job's body as jobs_submit does and inserts nothing: what would be, in `a`, without id. */
enum status jobs_check(struct jobs *j, struct arena *a, const struct json *body, struct job_new *out,
                       struct json_problems *problems, struct error *e) MUST_USE;

/* Idempotent on a cancelled job; CONFLICT on completed or discarded.  What runs is told at once and stops soon after. */
enum status jobs_cancel(struct jobs *j, const char *id, struct error *e) MUST_USE;
/* From cancelled, discarded, retryable back to available (pending while needs are unmet); dependents that were cancelled
 * because of it wait again.  Committed units are kept: all of a discarded or retryable job, none of a cancelled one,
 * whose work folder is gone.  CONFLICT in other states. */
enum status jobs_retry(struct jobs *j, const char *id, struct error *e) MUST_USE;
/* The same without what was done: from the beginning.  Only from cancelled and discarded. */
enum status jobs_retry_from_start(struct jobs *j, const char *id, struct error *e) MUST_USE;
/* Forgets a final job: row, events, metrics, work folder; what it published stays.  CONFLICT while it is not final, or
 * while a job that needs it is not. */
enum status jobs_delete(struct jobs *j, const char *id, struct error *e) MUST_USE;
/* A row with the live progress of this process folded in. */
enum status jobs_get(struct jobs *j, struct arena *a, const char *id, struct job_row *out, struct error *e) MUST_USE;
/* The API's job object. */
struct json *jobs_to_json(const struct job_row *row);
/* The API's pipeline object, of its jobs in the order of its steps. */
struct json *jobs_pipeline_to_json(const char *id, const struct job_row *rows, size_t n);
/* What the job's result came from, as the API's recipe object.  CONFLICT while its spec still has references. */
enum status jobs_recipe(struct jobs *j, struct arena *a, const char *id, struct json **out, struct error *e) MUST_USE;
/* Thins a series in place to at most `most` points, extremes, first and last kept; returns how many are left. */
enum { SERIES_POINTS_MIN = 4 };
size_t series_thin(struct job_metric *points, size_t n, size_t most);
/* Blocks until job `id` is final, or some job's state or progress changed since this thread's last call, or timeout; for
 * followers, who look at the row then. */
void jobs_wait_change(struct jobs *j, const char *id, int timeout_ms);

/* Whether a webhook may go to this URL. */
bool webhook_url_allowed(const char *url, const char *const *hosts, size_t n_hosts);
/* RFC 3339, with any offset; false when it is none. */
bool time_parse(const char *text, int64_t *unix_us);

struct jobs_counters { int64_t transitions[JOB_STATES]; int64_t running; };
struct jobs_counters jobs_counters(struct jobs *j);

/* Called when some job's state or progress changed, by whatever thread changed it, under the engine's lock: it may do no
 * more than take note.  NULL ends it: nobody is inside any more on return. */
void jobs_on_change(struct jobs *j, void (*fn)(void *ctx), void *ctx);
/* Called after a job completed and its artifacts are in place (the registry reloads); may be NULL. */
void jobs_on_published(struct jobs *j, void (*fn)(void *ctx, const char *kind, const char *id), void *ctx);

#endif
