/* core/work/tune_record.c
 *
 * What a study says of itself: the field tables, and reading it back. */
#include "core/work/tune.h"

#include <math.h>
#include <string.h>

enum { RECORD_BYTES_MAX = 64 << 20 };

static const struct field objective_fields[] = {
    FIELD_ENUM(struct study_objective, metric, study_metric_names, .doc = "on rows that the fit has not seen"),
    FIELD_STRING(struct study_objective, class, .min = 1, .max = 64,
                 .doc = "the wanted class: needed for background_..., auc without it is the mean over the classes"),
    FIELD_F64(struct study_objective, at_signal_efficiency, .min = 1e-6, .max = 1, .def = 0.99,
              .doc = "of background_efficiency and background_rejection (1 / efficiency)"),
    FIELD_ENUM(struct study_objective, direction, study_direction_names,
               .doc = "auto: less is better for loss and background_efficiency, more for the others"),
    FIELD_END};

static const struct field value_fields[] = {
    FIELD_F64(struct study_value, mean, .nullable = true, .def = NAN),
    FIELD_F64(struct study_value, error, .nullable = true, .def = NAN, .doc = "standard error of the mean"),
    FIELD_LIST_F64(struct study_value, folds, .doc = "of each fold; null: none yet"),
    FIELD_END};

const struct field study_trial_fields[] = {
    FIELD_I64(struct study_trial, trial, .doc = "from 0"),
    FIELD_I64(struct study_trial, rank, .doc = "1: the best; 0: none"),
    FIELD_STRING(struct study_trial, state, .doc = "waiting, running, ok, stopped (by halving), diverged, failed"),
    FIELD_POINT(struct study_trial, point, train_params_fields, .doc = "what the search gave it"),
    FIELD_I64(struct study_trial, epochs),
    FIELD_I64(struct study_trial, folds_done),
    FIELD_I64(struct study_trial, rung, .doc = "of halving: the last that it took part in"),
    FIELD_F64(struct study_trial, value, .nullable = true, .def = NAN, .doc = "of the objective: mean over the folds"),
    FIELD_F64(struct study_trial, error, .nullable = true, .def = NAN, .doc = "standard error of the mean"),
    FIELD_LIST_OBJECT(struct study_trial, objectives, struct study_value, value_fields,
                      .doc = "in the order of the study's objectives"),
    FIELD_F64(struct study_trial, train_loss, .nullable = true, .def = NAN),
    FIELD_F64(struct study_trial, loss, .nullable = true, .def = NAN, .doc = "on the folds held out, as accuracy"),
    FIELD_F64(struct study_trial, accuracy, .nullable = true, .def = NAN),
    FIELD_F64(struct study_trial, seconds, .unit = "s", .doc = "of fitting, all folds"),
    FIELD_STRING(struct study_trial, message),
    FIELD_END};

static const struct field rung_fields[] = {
    FIELD_I64(struct study_rung, epochs),
    FIELD_I64(struct study_rung, trials),
    FIELD_I64(struct study_rung, kept, .doc = "-1: not yet decided"),
    FIELD_END};

static const struct field step_fields[] = {
    FIELD_I64(struct study_step, trial),
    FIELD_F64(struct study_step, value),
    FIELD_END};

const struct field study_record_fields[] = {
    FIELD_STRING(struct study_record, id),
    FIELD_STRING(struct study_record, job_id),
    FIELD_STRING(struct study_record, dataset_id),
    FIELD_STRING(struct study_record, model, .doc = "estimator"),
    FIELD_STRING(struct study_record, search),
    FIELD_STRING(struct study_record, created_at),
    FIELD_I64(struct study_record, folds),
    FIELD_I64(struct study_record, seed),
    FIELD_I64(struct study_record, n_trials),
    FIELD_I64(struct study_record, n_ok),
    FIELD_I64(struct study_record, n_stopped),
    FIELD_I64(struct study_record, n_diverged),
    FIELD_I64(struct study_record, n_failed),
    FIELD_I64(struct study_record, n_fits, .doc = "trials x folds"),
    FIELD_SPACE(struct study_record, space, train_params_fields),
    FIELD_LIST_OBJECT(struct study_record, objectives, struct study_objective, objective_fields,
                      .doc = "the first decides"),
    FIELD_LIST_OBJECT(struct study_record, rungs, struct study_rung, rung_fields, .doc = "of halving"),
    FIELD_I64(struct study_record, best_trial, .def = -1, .doc = "-1: none yet"),
    FIELD_F64(struct study_record, best_value, .nullable = true, .def = NAN),
    FIELD_F64(struct study_record, best_error, .nullable = true, .def = NAN),
    FIELD_F64(struct study_record, seconds, .unit = "s", .doc = "of fitting, over all threads"),
    FIELD_POINT(struct study_record, best_point, train_params_fields),
    FIELD_OBJECT(struct study_record, best_params, train_params_fields),
    FIELD_MAP(struct study_record, importance,
              .doc = "part of the variance of the objective between trials that each axis alone explains"),
    FIELD_LIST_OBJECT(struct study_record, progress, struct study_step, step_fields,
                      .doc = "trials that were better than all before them"),
    FIELD_LIST_OBJECT(struct study_record, trials, struct study_trial, study_trial_fields),
    FIELD_END};

static const struct field top_fields[] = {
    FIELD_I64(struct tune_top, trial),
    FIELD_F64(struct tune_top, value),
    FIELD_F64(struct tune_top, error, .nullable = true),
    FIELD_I64(struct tune_top, epochs),
    FIELD_POINT(struct tune_top, point, train_params_fields),
    FIELD_END};

const struct field tune_result_fields[] = {
    FIELD_STRING(struct tune_result, study_id),
    FIELD_STRING(struct tune_result, dataset_id),
    FIELD_I64(struct tune_result, n_trials),
    FIELD_I64(struct tune_result, n_ok),
    FIELD_I64(struct tune_result, n_stopped),
    FIELD_I64(struct tune_result, n_diverged),
    FIELD_I64(struct tune_result, n_failed),
    FIELD_I64(struct tune_result, folds),
    FIELD_I64(struct tune_result, best_trial),
    FIELD_F64(struct tune_result, best_value),
    FIELD_F64(struct tune_result, best_error, .nullable = true),
    FIELD_POINT(struct tune_result, best_point, train_params_fields),
    FIELD_OBJECT(struct tune_result, best_params, train_params_fields, .doc = "complete: \"params\" of a train job"),
    FIELD_MAP(struct tune_result, importance,
              .doc = "part of the variance of the objective between trials that each axis alone explains"),
    FIELD_LIST_OBJECT(struct tune_result, progress, struct study_step, step_fields,
                      .doc = "trials that were better than all before them"),
    FIELD_LIST_OBJECT(struct tune_result, top, struct tune_top, top_fields, .doc = "the ten best"),
    FIELD_END};

static const struct field halving_fields[] = {
    FIELD_I64(struct tune_halving, min_epochs, .min = 1, .max = 10000, .def = 1, .doc = "of the first rung"),
    FIELD_I64(struct tune_halving, factor, .min = 2, .max = 16, .def = 3,
              .doc = "one in so many goes on to the next rung, with so many times the epochs"),
    FIELD_END};

static const char *const search_names[] = {"grid", "random", "halving", NULL};
static const char *const fold_by_names[] = {"event", "shuffle", NULL};

const struct field tune_spec_fields[] = {
    FIELD_STRING(struct tune_spec, dataset, .required = true, .min = 1, .max = 64,
                 .doc = "the train part of a features dataset"),
    FIELD_STRING(struct tune_spec, model, .min = 1, .max = 64, .doc = "estimator; the same as params.model"),
    FIELD_BOOL(struct tune_spec, event_weights,
               .doc = "fit and judge by the events' weights: the generator's, scaled by natural_fractions"),
    FIELD_OBJECT(struct tune_spec, params, train_params_fields, .doc = "of each trial, but for what space names"),
    FIELD_SPACE(struct tune_spec, space, train_params_fields, .required = true, .min = 1, .max = AXES_MAX,
                .doc = "members of params, with values or a range {low, high, step, log} each; an item of a list is "
                       "named by its index: hidden/0"),
    FIELD_ENUM(struct tune_spec, search, search_names,
               .doc = "halving: all begin with few epochs, and the best go on"),
    FIELD_I64(struct tune_spec, n_trials, .min = 0, .max = TRIALS_MAX,
              .doc = "random draws; halving: 0 takes the whole grid"),
    FIELD_I64(struct tune_spec, folds, .min = FOLDS_MIN, .max = FOLDS_MAX, .def = 5, .doc = "of the cross-validation"),
    FIELD_ENUM(struct tune_spec, fold_by, fold_by_names,
               .doc = "what an event's fold follows from, besides seed and class: the event itself, or its place"),
    FIELD_OBJECT(struct tune_spec, objective, objective_fields, .doc = "decides"),
    FIELD_LIST_OBJECT(struct tune_spec, report, struct study_objective, objective_fields, .max = REPORTS_MAX,
                      .doc = "objectives that are reported besides"),
    FIELD_I64(struct tune_spec, max_parallel, .min = 0, .max = 1024,
              .doc = "fits at the same time; 0: as many as the job has threads"),
    FIELD_I64(struct tune_spec, seed, .min = 0, .max = 9007199254740991, .def = 1, .doc = "of draws and folds"),
    FIELD_OBJECT(struct tune_spec, halving, halving_fields),
    FIELD_END};

const struct field study_times_fields[] = {
    FIELD_F64(struct study_times, seconds),
    FIELD_LIST_F64(struct study_times, trials),
    FIELD_END};

/* Without the file, or with one that is not of these trials, times are 0. */
static enum status read_times(struct arena *a, const char *folder, struct study_record *out, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct study_times times;
    struct study_trial *t = out->trials.items;
    struct buf text;
    if (snprintf(path, sizeof path, "%s/%s", folder, MEASURED_FILE) >= (int)sizeof path)
        return error_set(e, STATUS_RANGE, "study path");
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = file_read(path, &text, e);
    if (s == STATUS_OK)
        s = field_read_text(a, study_times_fields, (struct span){text.data, text.len}, &times, e);
    buf_fini(&text);
    if (s != STATUS_OK)
        return s == STATUS_NOMEM ? s : STATUS_OK;
    out->seconds = times.seconds;
    for (size_t i = 0; i < out->trials.n_items && i < times.trials.n_items; i++)
        t[i].seconds = ((const double *)times.trials.items)[i];
    return STATUS_OK;
}

enum status study_read(struct arena *a, const char *folder, struct study_record *out, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf text;
    if (snprintf(path, sizeof path, "%s/%s", folder, STUDY_FILE) >= (int)sizeof path)
        return error_set(e, STATUS_RANGE, "study path");
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = file_read(path, &text, e);
    field_defaults(study_record_fields, out);
    if (s == STATUS_OK)
        s = field_read_text(a, study_record_fields, (struct span){text.data, text.len}, out, e);
    buf_fini(&text);
    if (s == STATUS_OK)
        s = read_times(a, folder, out, e);
    const char *slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    if (s == STATUS_NOTFOUND)
        return error_set(e, s, "study %s: its folder is gone: restore it, or run the tune job again", name);
    return s == STATUS_OK ? s : error_wrap(e, "%s", name);
}
