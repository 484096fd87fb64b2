/* server/store/store.h
 *
 * The SQLite store: jobs, their units and checkpoints, published artifacts, menus.  WAL, synchronous=FULL, one writer
 * connection behind one mutex (it alone checkpoints: see D5 and D9 of the reliability findings, quoted in
 * server/README.md), read connections for http threads.  Rows are plain structs; the store never builds JSON: spec,
 * result and similar are opaque text to it.  Every write that answers OK is durable.  All functions are safe from any
 * thread. */
#ifndef DLT_SERVER_STORE_H
#define DLT_SERVER_STORE_H

#include "core/base.h"

struct store;

/* Opens DIR/dltrigger.db, creating and migrating it (after a quick check: FORMAT when it is damaged or foreign); takes an exclusive lock on DIR/lock, so that a second daemon is
 * refused (CONFLICT, naming the pid of the first).  A newer schema than this build knows is UNSUPPORTED. */
enum status store_open(const char *data_dir, struct store **out, struct error *e) MUST_USE;
void store_close(struct store *s);                /* NULL allowed; nobody may be inside */
const char *store_folder(const struct store *s);  /* absolute path of DIR */
/* A trivial write in a transaction that is rolled back: for /readyz. */
enum status store_ping(struct store *s, struct error *e) MUST_USE;
int store_schema_version(const struct store *s);
/* A consistent copy of the data base as a new file, while work goes on.  CONFLICT when the file exists. */
enum status store_backup(struct store *s, const char *path, struct error *e) MUST_USE;

/* Whether a file is a whole data base of ours (every page is read): FORMAT, UNSUPPORTED, IO. */
enum status store_check_file(const char *path, struct error *e) MUST_USE;

/* Typed, time-sortable id: "job_01J..." (ULID, Crockford base 32, monotonic within the process). */
void store_new_id(const char *prefix, char out[40]);
/* The n-th id that belongs to id `of`: always the same one, and sorted by time as `of` is. */
void store_derived_id(const char *prefix, const char *of, int n, char out[40]);

/* ---- jobs ------------------------------------------------------------------------------------------------------ */

#define JOB_STATE_TABLE(X) X(PENDING, "pending", false) X(SCHEDULED, "scheduled", false) X(AVAILABLE, "available", false) \
    X(RUNNING, "running", false) X(CANCELLING, "cancelling", false) X(RETRYABLE, "retryable", false) \
    X(COMPLETED, "completed", true) X(CANCELLED, "cancelled", true) X(DISCARDED, "discarded", true)
enum job_state {
#define X(name, text, final) JOB_##name,
    JOB_STATE_TABLE(X)
#undef X
    JOB_STATES
};
const char *job_state_name(enum job_state s);
bool job_state_final(enum job_state s);
int job_state_parse(const char *name);            /* -1: unknown */

/* Strings of a row read into an arena. */
struct job_row {
    const char *id, *kind, *spec, *spec_sha256, *result, *errors;      /* spec, result: JSON text; errors: JSON array text */
    const char *pipeline_id, *step, *needs, *tags;                     /* needs, tags: JSON array text, or NULL */
    enum job_state state;
    int priority, attempt, max_attempts;           /* priority 0 runs first */
    int64_t created_us, started_us, finished_us, run_at_us;            /* unix microseconds, 0: not yet */
    const char *worker;
    int64_t lease_expires_us;
    const char *phase, *unit, *message;            /* progress, last flushed */
    int64_t done, total;                           /* total < 0: unknown */
    double fraction, rate_per_second;
    int64_t checkpoint_us;             /* when the last checkpoint was saved, 0: none */
    bool cancel_requested;
    const char *run_build;             /* of the last attempt; NULL before the first */
    int64_t run_threads;               /* 0 before the first */
    const char *queue;
    int64_t revision;                  /* counts what people changed: store_job_patch */
    int64_t timeout_us;                /* of an attempt; 0: none */
    const char *outcome;               /* "ok", "partial" when completed, else NULL */
    bool forced;                       /* cancelled without having stopped in time */
    const char *traceparent, *tracestate;
    bool cache_off;
    const char *reused_from, *verify_of, *verification;                /* see store_jobs.h; verification: JSON text */
};

/* Who is to be told when a job, or any of its pipeline's, gets into one of these states. */
struct job_webhook {
    const char *url, *events, *secret_ref;         /* events: JSON array of states or "end"; secret_ref may be NULL */
    bool whole_pipeline;
};
struct webhook_delivery {
    int64_t seq;
    const char *job_id, *event, *state;            /* event "SEQ STATE"; state "waiting", "delivered", "failed" */
    int attempts, http_status;                     /* http_status 0: no answer yet */
    int64_t next_us, created_us, finished_us;
    const char *error, *url, *secret_ref;
};
/* Of a job (NULL: of all), oldest first; due_us not 0: those that wait and are due by then. */
enum status store_webhook_deliveries(struct store *s, struct arena *a, const char *job_id, int64_t due_us, size_t limit,
                                     struct webhook_delivery **rows, size_t *n, struct error *e) MUST_USE;

struct job_new {
    const char *id, *kind, *spec, *spec_sha256, *pipeline_id, *step, *needs, *tags;
    int priority, max_attempts;
    int64_t created_us;                /* 0: now */
    const char *queue;                 /* NULL: the kind's */
    int64_t run_at_us;                 /* not before; 0: at once */
    int64_t timeout_us;                /* 0: none */
    const char *traceparent, *tracestate;
    bool cache_off;
    const char *verify_of;             /* the job that this one runs again to compare; else NULL */
    const struct job_webhook *webhook; /* NULL: none */
};
/* All or none, in one transaction; with unmet needs a job is pending, before its time scheduled, else available. */
enum status store_jobs_insert(struct store *s, const struct job_new *jobs, size_t n, struct error *e) MUST_USE;
/* What a submission under a key of its client's was answered; kept for SUBMIT_ANSWER_US. */
#define SUBMIT_ANSWER_US (24 * 3600 * 1000000LL)
struct submit_record {
    const char *route, *key, *body_sha256, *id, *answer;
    int64_t created_us;
};
/* The same, and the answer with them when `record` is not NULL; answers that are too old go. */
enum status store_jobs_insert_answered(struct store *s, const struct job_new *jobs, size_t n,
                                       const struct submit_record *record, struct error *e) MUST_USE;
/* The answer under a key that is not older than SUBMIT_ANSWER_US at now_us; *found false when there is none. */
enum status store_submit_record_find(struct store *s, struct arena *a, const char *route, const char *key, int64_t now_us,
                                     struct submit_record *out, bool *found, struct error *e) MUST_USE;
enum status store_job_get(struct store *s, struct arena *a, const char *id, struct job_row *out, struct error *e) MUST_USE;
/* Newest first; texts filter when not NULL, times when not 0; rows older than id `before` when not NULL. */
struct job_filter {
    const char *kind, *state, *pipeline_id, *tag, *queue, *before;
    int64_t created_after_us, created_before_us;       /* > and <= */
    size_t limit;
};
enum status store_jobs_list(struct store *s, struct arena *a, const struct job_filter *filter, struct job_row **rows,
                            size_t *n, struct error *e) MUST_USE;
/* What people change of a job that waits.  CONFLICT in other states, NOTFOUND; *stale: `revision` and `state` are not
 * what they are now, nothing is changed.  run_at_us in the past or 0: at once. */
struct job_patch {
    bool set_priority, set_tags, set_run_at;
    int priority;
    const char *tags;                  /* JSON array text or NULL */
    int64_t run_at_us;
};
enum status store_job_patch(struct store *s, const char *id, int64_t revision, enum job_state state,
                            const struct job_patch *patch, bool *stale, struct error *e) MUST_USE;

/* Queues hold jobs back: at most `concurrency` of a queue run at the same time, none is taken from a paused one.  A queue
 * that nobody has changed is unlimited, not paused, of revision 0, and need not have jobs. */
enum { QUEUE_NAME_MAX = 40 };
struct queue_row {
    const char *name;
    int64_t concurrency;               /* -1: no limit */
    bool paused;
    int64_t revision, changed_us;      /* 0, 0: never changed */
    int64_t n_waiting, n_running;      /* waiting: pending, scheduled, available, retryable; lists only */
};
bool queue_name_ok(const char *name);  /* 1 to QUEUE_NAME_MAX letters, digits, '_', '-' */
enum status store_queue_get(struct store *s, struct arena *a, const char *name, struct queue_row *out,
                            struct error *e) MUST_USE;
/* Those that somebody changed, and those that have jobs that are not final; by name. */
enum status store_queues_list(struct store *s, struct arena *a, struct queue_row **rows, size_t *n, struct error *e) MUST_USE;
/* Sets concurrency and paused of row->name when its revision is still row->revision, else *stale. */
enum status store_queue_set(struct store *s, const struct queue_row *row, bool *stale, struct error *e) MUST_USE;

struct job_count { const char *kind; enum job_state state; int64_t n; };
enum status store_jobs_count(struct store *s, struct arena *a, struct job_count **rows, size_t *n, struct error *e) MUST_USE;
/* What a job reported along the way (loss by epoch), by key, then step; `key` filters when not NULL. */
struct job_metric { const char *key; int64_t step; double value; };
enum status store_job_metrics(struct store *s, struct arena *a, const char *job_id, const char *key,
                              struct job_metric **rows, size_t *n, struct error *e) MUST_USE;

/* What happened to a job, in order: `type` "state", "metric" or "log", `data` a JSON object.  seq rises over all jobs and
 * is never given twice.  Oldest first, those with seq > after; `type` filters when not NULL. */
struct job_event { int64_t seq, at_us; const char *type, *data; };
struct job_event_filter { const char *job_id, *type; int64_t after; size_t limit; };
enum status store_job_events_list(struct store *s, struct arena *a, const struct job_event_filter *filter,
                                  struct job_event **rows, size_t *n, struct error *e) MUST_USE;
/* The artifacts that a job read: ref as its spec has it, id what that stood for ("topology-hlf@3"), by kind, then ref. */
struct job_input { const char *kind, *ref, *id, *sha256; };
enum status store_job_inputs_list(struct store *s, struct arena *a, const char *job_id, struct job_input **rows, size_t *n,
                                  struct error *e) MUST_USE;

/* ---- artifacts --------------------------------------------------------------------------------------------------- */

/* "datasets", "models", "evaluations", "exports", "studies". */
const char *store_kind_folder(const char *kind);
/* Published datasets, models, evaluations, exports, studies.  The folder is DIR/<their folder>/<id>; details live in it. */
struct artifact_row {
    const char *id, *kind, *name, *job_id, *sha256, *folder;           /* folder: absolute; evaluations: name is "model@3" */
    int64_t version;                   /* models: 1, 2, ... per name; else 0 */
    int64_t created_us;
};
enum status store_artifact_get(struct store *s, struct arena *a, const char *kind, const char *id,
                               struct artifact_row *out, struct error *e) MUST_USE;
/* "name" (newest version), "name@7", "name@alias", or an id. */
enum status store_model_resolve(struct store *s, struct arena *a, const char *ref, struct artifact_row *out,
                                struct error *e) MUST_USE;
/* Points an alias of a model at one of its versions.  expected_seq: number of the alias's last move as the caller has seen
 * it (0: none; -1: it does not matter), else CONFLICT.  NOTFOUND when there is no such version, ARGUMENT for a name that an
 * alias cannot have. */
enum status store_model_alias_set(struct store *s, const char *name, const char *alias, int64_t version,
                                  const char *reason, int64_t expected_seq, struct error *e) MUST_USE;
/* NOTFOUND when there is no such alias. */
enum status store_model_alias_remove(struct store *s, const char *name, const char *alias, const char *reason,
                                     int64_t expected_seq, struct error *e) MUST_USE;
struct alias_move {
    const char *alias, *reason;        /* reason: or NULL */
    int64_t version, seq, at_us;       /* version 0: removed */
};
/* Moves of a model's aliases, newest first; alias NULL: of all. */
enum status store_model_alias_moves(struct store *s, struct arena *a, const char *name, const char *alias, size_t limit,
                                    struct alias_move **rows, size_t *n, struct error *e) MUST_USE;
/* Newest first, rows older than id `before` when not NULL; `kind` and `name` filter when not NULL. */
enum status store_artifacts_list(struct store *s, struct arena *a, const char *kind, const char *name, const char *before,
                                 size_t limit, struct artifact_row **rows, size_t *n, struct error *e) MUST_USE;
/* A number that changes whenever an artifact is added. */
enum status store_artifacts_state(struct store *s, int64_t *state, struct error *e) MUST_USE;
/* Deletes the row of a dataset; its folder is the caller's to remove.  Does nothing but set *changed when the artifacts are
 * not what they were at `state`.  Fails: NOTFOUND, CONFLICT (an unfinished job names it, or waits for the job that made
 * it). */
enum status store_dataset_delete(struct store *s, const char *id, int64_t state, bool *changed,
                                 struct error *e) MUST_USE;
/* Newest evaluation of a model version ("name@3"); NOTFOUND. */
enum status store_evaluation_latest(struct store *s, struct arena *a, const char *model_version, struct artifact_row *out,
                                    struct error *e) MUST_USE;

/* ---- keys and audit ------------------------------------------------------------------------------------------------ */

struct key_row {
    const char *id, *name, *sha256, *scopes;      /* scopes: separated by spaces */
    double rate_per_second;                       /* 0: no limit */
    int64_t created_us, expires_us, revoked_us;   /* 0: never */
};
enum status store_key_insert(struct store *s, const struct key_row *key, struct error *e) MUST_USE;
/* NOTFOUND when there is no such key, or it is revoked already. */
enum status store_key_revoke(struct store *s, const char *id, struct error *e) MUST_USE;
/* Newest first, revoked ones too. */
enum status store_keys_list(struct store *s, struct arena *a, struct key_row **rows, size_t *n, struct error *e) MUST_USE;

struct audit_row {
    const char *key_id, *action, *target, *request_id;       /* key_id, request_id: or NULL */
    int64_t seq, at_us, status;
};
enum status store_audit_insert(struct store *s, const struct audit_row *row, struct error *e) MUST_USE;
/* Newest first; before 0: from the newest. */
enum status store_audit_list(struct store *s, struct arena *a, int64_t before, size_t limit, struct audit_row **rows,
                             size_t *n, struct error *e) MUST_USE;

/* ---- menus --------------------------------------------------------------------------------------------------------- */

/* body: the posted menu; resolved: what activation froze (model versions, thresholds), NULL for a draft.  JSON text. */
struct menu_row {
    const char *name, *body, *resolved, *comment;
    int64_t revision, created_us, activated_us, id;
    bool active;
};
/* One change of what runs.  seq grows; expected_seq is that of the last one, as the caller has seen it (0: none, -1: it
 * does not matter). */
struct menu_activation {
    const char *name, *column, *action, *reason;  /* action: "activate", "rollback", "column"; column, reason: or NULL */
    int64_t revision, seq, at_us;
};
enum status store_menu_insert(struct store *s, const char *name, const char *body, const char *comment, int64_t *revision,
                              struct error *e) MUST_USE;
enum status store_menu_get(struct store *s, struct arena *a, const char *name, int64_t revision, struct menu_row *out,
                           struct error *e) MUST_USE;
/* Newest first; `before`: rows with a smaller id, 0: all. */
enum status store_menus_list(struct store *s, struct arena *a, int64_t before, size_t limit, struct menu_row **rows,
                             size_t *n, struct error *e) MUST_USE;
/* NOTFOUND when none is active. */
enum status store_menu_active(struct store *s, struct arena *a, struct menu_row *out, struct error *e) MUST_USE;
/* Makes a revision the active one and notes the change; *seq is its number.  CONFLICT: the last change is another than
 * expected_seq; NOTFOUND: no such revision. */
enum status store_menu_activate(struct store *s, const struct menu_activation *change, int64_t expected_seq,
                                const char *resolved, int64_t *seq, struct error *e) MUST_USE;
/* Changes, newest first. */
enum status store_menu_activations(struct store *s, struct arena *a, size_t limit, struct menu_activation **rows,
                                   size_t *n, struct error *e) MUST_USE;

#endif
