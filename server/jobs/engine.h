/* server/jobs/engine.h
 *
 * The engine as its own files see it.
 *
 * Threads: each worker claims a job and runs it to its end; the ticker writes progress and leases twice a second; callers
 * of jobs.h come from anywhere.  Lock order: jobs.files, jobs.lock, live.lock, then the store's own; no lock is held
 * while a job kind runs, and none but `files` across a write of the store. */
#ifndef DLT_SERVER_JOBS_ENGINE_H
#define DLT_SERVER_JOBS_ENGINE_H

#include "server/jobs/jobs.h"
#include "server/store/store_jobs.h"

#include <pthread.h>
#include <stdatomic.h>

#define LEASE_US (30 * 1000000LL)
enum { RENEW_LEASE_MS = 10000, TICK_MS = 500, METRICS_MAX = 256, LINES_MAX = 64 };

/* Why a running job should stop. */
enum { STOP_CANCEL = 1, STOP_INTERRUPT = 2, STOP_LOST = 4, STOP_TIMEOUT = 8 };

struct metric_point {
    char key[64];
    int64_t step;
    double value;
};

struct live_line {
    int64_t at_us;
    enum log_level level;
    char text[400];                               /* longer ones are cut; the daemon's own log has them whole */
};

/* One worker's job as all other threads see it. */
struct live {
    atomic_int stop;
    pthread_mutex_t lock;                         /* of all that follows */
    bool busy, ending;                            /* ending: the worker writes how it ended; nobody else writes now */
    char id[40], token[64];
    int64_t cancel_at_ns;                         /* monotonic, 0: not asked; also when its time was up */
    int64_t deadline_ns, timeout_us;              /* of the attempt; 0: none */
    char phase[120], unit[32], message[200];
    int64_t done, total;
    double fraction, rate_per_second;
    int64_t sample_ns, sample_done, told_ns;
    bool dirty;                                   /* not yet written */
    struct metric_point points[METRICS_MAX];
    size_t n_points;
    struct live_line lines[LINES_MAX];
    size_t n_lines;
};

struct worker {
    struct jobs *jobs;
    struct live live;
    pthread_t thread;
    char name[24];
};

struct jobs {
    struct store *store;
    const struct job_kind *const *kinds;
    struct arena kept;                            /* what lives as long as the engine */
    const char **data_roots;                      /* real paths */
    size_t n_data_roots, threads_per_job;
    const char *const *child_kinds;               /* NULL-terminated; NULL: none */
    const char **source_hosts, *source_setting;   /* of source_policy_set, for children */
    size_t n_source_hosts;
    int64_t retry_base_us, cancel_deadline_us;
    struct jobs_retention retention;
    const char *const *webhook_hosts;
    size_t n_webhook_hosts;
    char boot[40];
    atomic_uint_fast64_t n_tokens;
    atomic_int_fast64_t transitions[JOB_STATES];

    pthread_mutex_t files;                        /* removing a waiting job's work folder against retrying the job */
    pthread_mutex_t lock;                         /* of all that follows */
    pthread_cond_t wake, changed;                 /* for workers and ticker; for followers */
    bool stopping, claiming, suspect_running;
    size_t n_running;
    struct key_in_flight *keys_in_flight;
    uint64_t serial, work_serial;                 /* of all changes; of those that may put a job into the queue */
    void (*on_change)(void *ctx);
    void *on_change_ctx;
    void (*on_published)(void *ctx, const char *kind, const char *id);
    void *on_published_ctx;
    struct worker *workers;
    size_t n_workers, n_threads;                  /* threads: started */
    pthread_t ticker;
    bool has_ticker;
};

/* ---- engine.c */
void engine_changed(struct jobs *j);              /* tells followers */
void engine_wake(struct jobs *j);                 /* tells workers that something may be available */
void engine_count(struct jobs *j, enum job_state to);
/* Waits up to `ms` or until the engine stops; true when it does. */
bool engine_pause(struct jobs *j, int ms);
const struct job_kind *engine_kind_find(const struct jobs *j, const char *name);        /* admin kinds too */
bool engine_kind_is_admin(const char *name);
/* "DIR/work/JOB". */
void engine_work_dir(const struct jobs *j, const char *job_id, char out[4096]);

/* ---- admin_kinds.c: kinds that are not posted to /jobs */
extern const struct job_kind bulk_kind, backup_kind;
extern const struct job_kind *const admin_kinds[];             /* NULL-terminated */

/* ---- retention.c */
enum status retention_run(struct jobs *j, int64_t now_us, struct error *e) MUST_USE;
void retention_tick(struct jobs *j, int64_t *next_ns);

/* ---- ticker.c: the thread of the clock; its argument is the struct jobs */
void *engine_tick(void *jobs);

/* ---- live.c: progress and stop flags of one running job */
void live_begin(struct live *l, const struct job_claim *claim, const char *token);
void live_ending(struct live *l);
void live_end(struct live *l);
void live_stop(struct live *l, int why);
/* Returns whether followers are due to be told. */
bool live_progress(struct live *l, const struct job_progress *p);
/* False when there is no room: write the points first. */
bool live_metric(struct live *l, const char *key, int64_t step, double value);
/* False when there is no room: flush first. */
bool live_log(struct live *l, enum log_level level, const char *text);
void live_fold(struct live *l, struct arena *a, struct job_row *row, struct error *e);
/* Writes progress (when dirty, or all with `renew`), leases and metrics of the given workers' jobs. */
enum status live_flush(struct jobs *j, struct worker *workers, size_t n, bool renew, struct error *e) MUST_USE;

/* ---- runner.c: a claimed job from start to end */
void run_job(struct jobs *j, struct worker *w, const struct job_claim *claim);
/* JSON object {attempt, at, status, detail, retryable} for the errors of a job, as text in out[]. */
enum { ERROR_ENTRY_MAX = 4096 };                   /* twice ERROR_TEXT_MAX, for escapes, and the rest */
void error_entry(char out[ERROR_ENTRY_MAX], int attempt, enum status status, bool retryable, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
/* The same under a name that is no status: "TIMEOUT". */
void error_entry_named(char out[ERROR_ENTRY_MAX], int attempt, const char *name, bool retryable, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
/* When attempt `attempt` failed: how long until the next. */
int64_t backoff_us(int64_t base_us, int attempt, double jitter);

/* ---- submit.c, pipeline.c: specs */
/* Decodes and validates a spec.  Problems below `pointer`.  *spec is the kind's struct, *text its canonical JSON, both in
 * `a`; `sha256` is of the text. */
enum status spec_check(struct arena *a, const struct job_kind *kind, const struct json *value, const char *pointer,
                       void **spec, const char **text, char sha256[65], struct json_problems *problems,
                       struct error *e) MUST_USE;
/* webhook_spec.c: the member `webhook` of a body; *out NULL when there is none. */
enum status webhook_read(const struct jobs *j, struct arena *a, const struct json *body, const struct job_webhook **out,
                         struct json_problems *problems, struct error *e) MUST_USE;
/* Problems for inputs[].path of a spec that lie outside the data roots. */
enum status inputs_check(const struct jobs *j, struct arena *a, const struct json *spec, const char *pointer,
                         struct json_problems *problems, struct error *e) MUST_USE;
/* Members of a job's body and of a step's besides kind and spec, with their defaults; into *out.  Strings live in `a` or
 * in `body`. */
#define WISHES "priority", "tags", "max_attempts", "queue", "run_at", "timeout_seconds", "cache"
enum status wishes_read(struct arena *a, const struct json *body, const char *pointer, const struct job_kind *kind,
                        const char *first_tag, struct job_new *out, struct json_problems *problems,
                        struct error *e) MUST_USE;
/* The kind that a body names; a problem and NULL when there is none, or (without `admin`) it has a route of its own. */
const struct job_kind *kind_read(const struct jobs *j, const struct json *body, const char *pointer, bool admin,
                                 struct json_problems *problems);
/* A value as text in `a`. */
enum status json_text(struct arena *a, const struct json *v, const char **text, struct error *e) MUST_USE;
/* accept.c: keys of requests, and the insertion itself. */
struct key_in_flight {                            /* on the stack of the request */
    const struct submit_key *key;
    struct key_in_flight *next;
};
/* Takes the key for this request until accept_end.  An outcome other than ACCEPTED is the answer. */
enum status accept_begin(struct jobs *j, struct arena *a, const struct submit_key *key, struct key_in_flight *mine,
                         struct submit_answer *out, struct error *e) MUST_USE;
void accept_end(struct jobs *j, struct key_in_flight *mine);
/* Inserts the jobs with the answer to them, counts and wakes.  pipeline_id NULL: it is one job.  The ids and created_us
 * are the caller's; `out` NULL: nobody wants an answer. */
enum status accept_jobs(struct jobs *j, struct arena *a, const struct job_new *jobs, size_t n, const char *pipeline_id,
                        const struct submit_key *key, struct submit_answer *out, struct error *e) MUST_USE;
/* Replaces references of a claimed step's spec by members of finished steps' results; `spec` is freed and replaced. */
enum status references_resolve(struct jobs *j, struct arena *a, const char *pipeline_id, struct json **spec,
                               struct error *e) MUST_USE;

struct job_run;
/* ---- units.c: what a run consists of */
enum { PHASE_UNITS_MAX = 10000000 };
/* How a run reaches the store: from the engine's own process, or over a socket from the job's. */
struct run_ops {
    enum status (*check_stop)(void *ctx, struct error *e);       /* CANCELLED once the job should stop */
    enum status (*committed)(void *ctx, int phase, int64_t n_units, bool *done, struct error *e);
    enum status (*commit)(void *ctx, int phase, int64_t unit, struct span result, struct error *e);
};
/* All units of all phases that are not committed yet, each committed as it ends. */
enum status run_phases(const struct run_ops *ops, void *ops_ctx, struct job_ctx *ctx, const struct job_kind *kind,
                       const void *spec, struct error *e) MUST_USE;
/* What the kind does behind its last phase; *text gets the result's JSON and a NUL. */
enum status run_finish(const struct run_ops *ops, void *ops_ctx, struct job_ctx *ctx, const struct job_kind *kind,
                       const void *spec, bool *partial, struct buf *text, struct error *e) MUST_USE;

/* ---- reuse.c */
/* A step of a pipeline that has not been told otherwise. */
bool reuse_wanted(const struct job_run *run);
/* The result of a finished step that is the same as this one; sets run->cache_key when the step has one. */
enum status reuse_find(struct job_run *run, const struct job_kind *kind, const char *spec_text, struct buf *result,
                       bool *found, struct error *e) MUST_USE;
/* What a job that verifies another has found, as JSON text; what it staged is compared where it is. */
enum status verify_compare(struct job_run *run, const char *result, const char **text, struct error *e) MUST_USE;

/* ---- parent.c: a run in a process of its own, see child.c for the other side */
bool engine_in_child(const struct jobs *j, const struct job_kind *kind);
/* Units and finish of a claimed job whose spec's canonical text is given.  A process that ends before the job does is an
 * error that names its signal, and sets run->crashed. */
enum status run_in_child(struct job_run *run, const struct job_kind *kind, const char *spec_text, struct buf *result,
                         struct error *e) MUST_USE;

/* ---- publish.c: staged folders to their places */
/* Checks and copies one artifact that a job says it has. */
enum status publication_check(struct arena *a, const char *work_dir, const struct artifact *artifact,
                              struct job_publication *out, struct error *e) MUST_USE;
enum status publications_move(struct jobs *j, const char *job_id, const char *token, const struct job_publication *items,
                              size_t n, struct error *e) MUST_USE;
/* Moves folders back whose job was not completed; of one job or (NULL) of all. */
enum status publications_undo(struct jobs *j, const char *job_id, struct error *e) MUST_USE;

/* ---- inputs.c */
/* See job_host.resolve_input. */
/* The file of "upload:NAME" or "upload:ID".  NOTFOUND, CONFLICT (not complete). */
#define INPUT_UPLOAD "upload:"
enum status input_resolve_upload(struct store *store, struct arena *a, const char *given, struct field_list *paths,
                                 struct error *e) MUST_USE;
enum status input_resolve(const char *const *roots, size_t n_roots, struct arena *a, const char *given,
                          struct field_list *paths, struct error *e) MUST_USE;

/* ---- host.c: what core's job kinds see */
struct job_run {
    struct jobs *jobs;
    struct live *live;
    const struct job_claim *claim;
    const char *token;
    pthread_mutex_t lock;                         /* of what follows: a job may publish from several threads */
    struct arena kept;
    struct job_publication published[16];
    size_t n_published;
    bool partial;                                 /* of the result: something was passed over */
    bool crashed;                                 /* its process did */
    char cache_key[65], reused_from[40];          /* "": none */
    const char *as_id;                            /* whose ids it gives: its own, or the job's that it verifies */
    int64_t as_created_us;
    const char *verification;                     /* JSON text; NULL: none */
    char work_dir[4096];
};
extern const struct job_host engine_host;         /* its pointer is the struct job_run */
extern const struct run_ops engine_ops;           /* the same; runner.c */
/* job_host.resolve_artifact, and what was read: *in names canonical and hash. */
enum status engine_resolve_artifact(struct job_run *run, struct arena *a, const char *kind, const char *ref,
                                    const char **folder, const char **canonical, struct job_input *in,
                                    struct error *e) MUST_USE;

#endif
