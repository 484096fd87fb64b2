/* core/work/tune.h
 *
 * A search over parameters of a fit, as its files see it: what is to be tried (tune_space.c), how rows are divided
 * (tune_folds.c), one fit of one division (tune_fit.c), what it is worth (tune_score.c), what is known so far
 * (tune_study.c), and the job kind itself (tune.c). */
#ifndef DLT_CORE_WORK_TUNE_H
#define DLT_CORE_WORK_TUNE_H

#include "core/work/private.h"

#include <stdatomic.h>

enum { TRIALS_MAX = 5000, FOLDS_MIN = 2, FOLDS_MAX = 20, AXES_MAX = 64, REPORTS_MAX = 7, OBJECTIVES_MAX = 1 + REPORTS_MAX };

enum search { SEARCH_GRID, SEARCH_RANDOM, SEARCH_HALVING };
enum fold_by { FOLD_BY_EVENT, FOLD_BY_SHUFFLE };

struct tune_spec {
    const char *dataset, *model;
    bool event_weights;
    struct train_params params;        /* of every trial, but for what `space` names */
    struct field_list space;           /* struct field_axis into train_params_fields */
    int search;
    int64_t n_trials;                  /* random draws; halving: 0: all points of the grid */
    int64_t folds;
    int fold_by;
    struct study_objective objective;  /* decides */
    struct field_list report;          /* struct study_objective: besides */
    int64_t max_parallel, seed;
    struct tune_halving { int64_t min_epochs, factor; } halving;
};
extern const struct field tune_spec_fields[], tune_result_fields[];

/* The study's MEASURED_FILE. */
struct study_times {
    double seconds;
    struct field_list trials;          /* double */
};
extern const struct field study_times_fields[];

/* ---- what is tried ----------------------------------------------------------------------------------------------- */

struct trial {
    struct field_list point;           /* struct field_axis with one value each, in the order of the axes */
    struct train_params params;
};

/* All trials in their order: of the grid, with the last axis fastest; or of the draws.  Checks each of them.  Memory is
 * `a`'s.  Fails: ARGUMENT, RANGE (a message that begins with the pointer of what is wrong), NOMEM. */
struct trials {
    struct trial *items;
    size_t n;
};
enum status tune_trials(struct arena *a, const struct tune_spec *spec, struct trials *out, struct error *e) MUST_USE;

/* Objective i of a spec: 0 is the one that decides. */
const struct study_objective *tune_objective(const struct tune_spec *spec, size_t i);
bool objective_is_better(const struct study_objective *o, double a, double b);

/* ---- how far and with how many ----------------------------------------------------------------------------------- */

/* Rungs of successive halving (one for the others): epochs after which trials are compared, and how many begin it. */
struct rungs {
    size_t n;
    int64_t epochs[64];                /* halving only */
    size_t trials[64];
};
/* As planned: fewer go on when so many do not end well. */
void tune_rungs(const struct tune_spec *spec, const struct trials *trials, struct rungs *out);
/* After how many epochs trial `trial` is looked at in `rung`. */
int64_t tune_epochs(const struct tune_spec *spec, const struct trials *trials, const struct rungs *rungs, size_t rung,
                    size_t trial);

/* One fit serves all trials that only differ in how far they go: `trial` in order of epochs. */
struct fit {
    uint32_t *trial;
    size_t n;
    double cost;                       /* in units of its own; what is longest begins first */
};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* Rows of all folds in order, and then of all but the last again, so that the rows to learn from (all folds but one) are
 * one stretch for each fold.  Read only while units run. */
struct folds {
    size_t k, n;                       /* n: rows of the dataset */
    struct feature_rows rows;
    size_t first[2 * FOLDS_MAX];       /* first row of each part; 2 k - 1 parts, then the end */
    struct scaler_record scaler[FOLDS_MAX];       /* of the rows to learn from */
};
/* Divides `source`: each class is dealt out evenly.  `a` keeps the scalers.  Fails: ARGUMENT (a class with fewer rows
 * than folds), NOMEM, RANGE. */
enum status folds_make(struct folds *out, struct arena *a, const struct tune_spec *spec, const struct manifest *m,
                       const struct feature_rows *source, bool want_rows, size_t threads, struct error *e) MUST_USE;
void folds_fini(struct folds *f);
struct train_data folds_learn(const struct folds *f, size_t fold, bool weights);
struct train_data folds_held_out(const struct folds *f, size_t fold, bool weights);
size_t folds_n_learn(const struct folds *f, size_t fold);

/* ---- one fit ----------------------------------------------------------------------------------------------------- */

enum fold_state { FOLD_OK, FOLD_DIVERGED, FOLD_FAILED };

/* What one fold says of one trial. */
struct fold_record {
    int64_t trial, fold, rung, epochs;
    int state;
    double train_loss, loss, accuracy, seconds;
    struct field_list values;          /* double: of the objectives, when ok */
    const char *message;               /* when not ok */
};
struct unit_record {
    struct field_list folds;           /* struct fold_record */
};
extern const struct field unit_record_fields[];

/* What is known of the trials while units run; written by their threads without locks. */
struct tally {
    size_t n_trials, k;
    double *value;                     /* [n_trials][k] of the deciding objective, NaN: none */
    _Atomic int *folds_done;           /* [n_trials] in this rung */
    _Atomic int best;                  /* trial, -1: none yet */
    _Atomic int trials_done;           /* in this rung */
    _Atomic int64_t rows_done;
    int64_t rows_total;
};

struct tune_state {
    struct arena arena, rung_arena;    /* of the attempt; of the present rung */
    struct feature_rows small;         /* some rows of each class */
    struct trials trials;
    struct rungs rungs;
    struct folds folds;
    struct model_header header;        /* but for params and scaler */
    struct dataset *dataset;
    struct tally tally;
    struct fit *fits;                  /* of the present rung, longest first */
    size_t n_fits, rung;
    bool want_rows;
};

/* Unit: fit i_unit / k, fold i_unit % k. */
enum status tune_fit_run(struct job_ctx *ctx, const struct tune_spec *spec, struct tune_state *t, const struct fit *fit,
                         size_t fold, struct unit_record *out, struct error *e) MUST_USE;

/* Values of all objectives, loss and accuracy of scores [n][n_classes]. */
enum status tune_score(struct arena *a, const struct tune_spec *spec, const float *scores, const struct train_data *d,
                       const char *const *classes, size_t n_classes, struct fold_record *out, struct error *e) MUST_USE;
/* ARGUMENT when an objective names a class that the dataset does not have. */
enum status tune_check_classes(const struct tune_spec *spec, const struct manifest *m, struct error *e) MUST_USE;

/* ---- what is known ----------------------------------------------------------------------------------------------- */

/* What committed units say.  fold[(rung * n + trial) * k + fold], NULL: nothing yet. */
struct known {
    struct trials trials;
    struct rungs rungs;
    size_t n, k;
    const struct fold_record **fold;
};
/* Reads the units of rungs before `n_rungs`.  Of the host only unit_result is called. */
enum status known_read(struct arena *a, const struct tune_spec *spec, const struct job_host *host, void *host_ctx,
                       size_t n_rungs, struct known *out, struct error *e) MUST_USE;
/* Mean of the deciding objective over all folds; NaN when one is missing or not ok. */
double known_value(const struct known *k, size_t rung, size_t trial);
/* Trials of a rung, in falling order of their values in the rung before: out[trials.n].  Rung 0: all in their order. */
enum status known_entrants(struct arena *a, const struct tune_spec *spec, const struct known *k, size_t rung,
                           uint32_t **out, size_t *n, struct error *e) MUST_USE;
/* Trials that share a fit together, in order of their first trial; `cost` not set. */
enum status tune_fits(struct arena *a, const struct tune_spec *spec, const struct trials *trials, const uint32_t *which,
                      size_t n, struct fit **out, size_t *n_fits, struct error *e) MUST_USE;

#endif
