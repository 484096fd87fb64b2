/* core/work.h
 *
 * Job kinds: what ingest, features, tune, train and evaluate do, cut into units.  A unit is done when its host has committed
 * its row; resume, cancel, retry and progress are that one mechanism.  The host (the daemon's scheduler, the command
 * line, a test) supplies struct job_host; a job kind never sleeps, locks, or knows HTTP, SQL or JSON. */
#ifndef DLT_CORE_WORK_H
#define DLT_CORE_WORK_H

#include "core/dataset.h"
#include "core/metrics.h"
#include "core/model.h"
#include "core/root.h"

struct job_progress {
    const char *phase;                 /* "reading ttbar.root", "epoch 7/50" */
    const char *unit;                  /* "events", "samples" */
    int64_t done, total;               /* of the whole job; total < 0: unknown */
    const char *message;               /* "val_loss 0.2231" or NULL */
};

/* What a job produces besides its result.  `kind` "dataset", "export", "model", "evaluation", "study"; `staged` is a folder inside the
 * job's work_dir that the host moves to its place when the job completes. */
struct artifact {
    const char *kind, *id, *staged;
    const char *name;                  /* model: the registered name; dataset: e.g. "train"; evaluation: "model@version" */
    const char *sha256;
};

/* Callbacks of the host.  Each takes the host's own pointer first.  All may be called from any thread of the job. */
struct job_host {
    bool (*cancelled)(void *host);                                     /* cheap: call it every batch */
    void (*progress)(void *host, const struct job_progress *p);
    void (*metric)(void *host, const char *key, int64_t step, double value);
    void (*log)(void *host, enum log_level level, const char *text);
    /* One blob per job, replaced atomically and durably. */
    enum status (*checkpoint_save)(void *host, const void *data, size_t n, struct error *e);
    enum status (*checkpoint_load)(void *host, struct buf *out, bool *found, struct error *e);
    /* Result text that unit `unit` of `phase` left; only for committed units. */
    enum status (*unit_result)(void *host, int phase, int64_t unit, struct buf *out, struct error *e);
    /* A path or URL of a spec, checked against the data roots and made absolute; a glob gives several, sorted.
     * FORBIDDEN outside the roots, NOTFOUND when nothing matches. */
    enum status (*resolve_input)(void *host, struct arena *a, const char *given, struct field_list *paths,
                                 struct error *e);
    /* Folder of a published artifact: dataset id, evaluation id, or model reference "name", "name@version",
     * "name@alias". */
    enum status (*resolve_artifact)(void *host, struct arena *a, const char *kind, const char *ref, const char **folder,
                                    const char **canonical, struct error *e);
    /* The n-th id of this job with prefix "ds", "mdl", "ev", "st": the same in every attempt. */
    enum status (*artifact_id)(void *host, struct arena *a, const char *prefix, int n, const char **id, struct error *e);
    /* Version number that the model will have: the same in every attempt. */
    enum status (*model_version)(void *host, const char *name, int64_t *version, struct error *e);
    enum status (*publish)(void *host, const struct artifact *artifact, struct error *e);
};

struct job_ctx {
    const struct job_host *host;
    void *host_ctx;
    struct arena *arena;               /* reset by the host after each plan, unit and finish */
    const char *job_id, *work_dir;     /* the folder exists, is the job's own, and survives interruption */
    const char *created_at;            /* RFC 3339; of the job, so that it is the same in every attempt */
    size_t threads;
    /* What a job kind keeps in memory between units of one attempt (a trainer and its rows); zero at the start.  The
     * host calls free_state(state) at the end of the attempt, however it ends, when it is set. */
    void *state;
    void (*free_state)(void *state);
};

struct job_kind {
    const char *name, *doc;
    const struct field *spec_fields;
    size_t spec_size;
    const struct field *result_fields;
    size_t result_size;
    int max_attempts;
    /* Units of a phase may run at the same time: run() is then called from up to ctx->threads threads, each call with a
     * struct job_ctx of its own (own arena, threads = 1) that shares host and state.  plan() runs alone before the units
     * of its phase and sets `state`; units only read it.  A unit is committed as it ends, in any order; of several that
     * fail the lowest's error counts.  A unit must not depend on another of its phase. */
    bool parallel;
    /* Checks beyond the field table, without touching files; NULL when there is none. */
    enum status (*validate)(const void *spec, struct error *e);
    /* Number of units of phase 0, 1, ...; *n_units = -1 when there is no such phase.  Called again on resume; must give
     * the same answer.  May read units' results of earlier phases. */
    enum status (*plan)(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e);
    /* Runs one unit; leaves files in work_dir (overwriting what an interrupted run left) and a result text. */
    enum status (*run)(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result,
                       struct error *e);
    /* After the last phase: stages and publishes artifacts, fills *result (zeroed, defaults applied; memory from
     * ctx->arena).  May be repeated after an interruption. */
    enum status (*finish)(struct job_ctx *ctx, const void *spec, void *result, struct error *e);
};

/* "ingest", "features", "tune", "train", "evaluate". */
extern const struct job_kind *const job_kinds[];             /* NULL-terminated */
const struct job_kind *job_kind_find(const char *name);      /* NULL when unknown */

/* ---- results (encoded by their field tables) --------------------------------------------------------------------- */

struct ingest_result {
    const char *dataset_id;
    int64_t events_read, events_kept, bytes_read;            /* read: those of skipped files too, as far as known */
    int64_t events_lost, files_skipped;
    struct field_list cut_flow;        /* struct cut_row */
    struct field_list class_counts;    /* struct class_count */
    struct field_list files;           /* struct dataset_source */
    struct field_list skipped_files;   /* struct skipped_file */
};
struct features_result {
    const char *dataset_id, *test_dataset_id, *recipe;
    int64_t events_read, events_selected, train_events, test_events;
    struct field_list cut_flow, class_counts;
};
struct import_result {
    const char *dataset_id, *recipe, *split;
    int64_t events, files;
    bool sequences, scaled;
    struct field_list class_counts;
};
struct export_result {
    const char *export_id, *dataset_id;
    int64_t rows, bytes;
    const char *content_sha256;
    struct field_list files;           /* struct export_file */
};
struct train_result {
    const char *model, *model_version, *model_id, *sha256;   /* model_version: "name@3" */
    int64_t version, epochs;
    double train_loss, val_loss;       /* of the epoch whose parameters the model has */
    int64_t best_epoch;                /* that epoch, when the best one was kept; else 0 */
    bool stopped_early;
    const char *stop_reason;           /* NULL: all epochs were done */
    double seconds, events_per_second;                       /* of the epochs, in all attempts */
    int64_t parameter_bytes, optimizer_bytes, workspace_bytes, rows_bytes, packed_bytes;     /* packed: on disk */
};
struct evaluate_result {
    const char *evaluation_id, *model_version, *dataset_id;
    int64_t n_events;
    double loss, accuracy, auc_macro;
    struct field_list auc;             /* struct field_pair: class to AUC */
    struct field_list working_points;  /* struct working_point at 99 % signal efficiency, one a class */
};

/* ---- studies: what a tune job found ------------------------------------------------------------------------------ */

/* What a trial is judged by, on the rows that its fit has not seen. */
struct study_objective {
    int metric, direction;             /* indices into study_metric_names, study_direction_names ("auto" first) */
    const char *class;                 /* NULL: the mean over all (auc); the others that need one say so */
    double at_signal_efficiency;       /* background_efficiency, background_rejection */
};
extern const char *const study_metric_names[], *const study_direction_names[];

struct study_value {
    double mean, error;                /* over the folds; error: standard error of the mean */
    struct field_list folds;           /* double, by fold; NaN where there is none yet */
};
struct study_trial {
    int64_t trial, rank;               /* from 0; rank 1 is the best, 0: none */
    const char *state;                 /* waiting, running, ok, stopped (by halving), diverged, failed */
    struct field_list point;           /* struct field_axis: what the search gave it */
    int64_t epochs, folds_done, rung;  /* rung: the last that it has folds of */
    double value, error;               /* of the deciding objective; NaN without all folds */
    struct field_list objectives;      /* struct study_value, in the order of the record's objectives */
    double train_loss, loss, accuracy; /* means */
    double seconds;                    /* of fitting, all folds and rungs */
    const char *message;
};
struct study_rung {
    int64_t epochs, trials, kept;      /* kept: -1 until it is decided */
};
struct study_step {
    int64_t trial;                     /* in order of trials: each that was better than all before it */
    double value;
};
struct study_record {
    const char *id, *job_id, *dataset_id, *model, *search, *created_at;
    int64_t folds, seed, n_trials, n_ok, n_stopped, n_diverged, n_failed, n_fits;     /* n_fits: trials x folds */
    struct field_list space;           /* struct field_axis */
    struct field_list objectives;      /* struct study_objective with the direction that counts */
    struct field_list rungs;           /* struct study_rung, of halving */
    int64_t best_trial;                /* -1: none yet */
    double best_value, best_error, seconds;
    struct field_list best_point;
    struct train_params best_params;   /* complete */
    struct field_list importance;      /* struct field_pair: axis to the part of the variance of `value` that it explains */
    struct field_list progress;        /* struct study_step */
    struct field_list trials;          /* struct study_trial */
};
extern const struct field study_trial_fields[], study_record_fields[];
#define STUDY_FILE "study"
/* In the folder of any artifact: what was measured and not computed, and will be different another time. */
#define MEASURED_FILE "measured"
enum status study_read(struct arena *a, const char *folder, struct study_record *out, struct error *e) MUST_USE;
/* What a tune job that has not finished knows so far.  Of the host only unit_result is called. */
enum status study_so_far(struct arena *a, const void *tune_spec, const struct job_host *host, void *host_ctx,
                         struct study_record *out, struct error *e) MUST_USE;

struct tune_result {
    const char *study_id, *dataset_id;
    int64_t n_trials, n_ok, n_stopped, n_diverged, n_failed, folds, best_trial;
    double best_value, best_error;
    struct field_list best_point;
    struct train_params best_params;
    struct field_list importance;
    struct field_list progress;
    struct field_list top;             /* struct tune_top, the best first */
};
struct tune_top {
    int64_t trial, epochs;
    double value, error;
    struct field_list point;
};

/* Stored in an evaluation's folder. */
#define EVALUATION_FILE "evaluation"
#define MODEL_FILE "model.dltm"
struct evaluation_record {
    const char *id, *model_version, *model_sha256, *dataset_id, *recipe, *created_at;
    struct evaluation metrics;
};
extern const struct field evaluation_record_fields[];
enum status evaluation_read(struct arena *a, const char *folder, struct evaluation_record *out, struct error *e) MUST_USE;

#endif
