/* core/work/tune_score.c
 *
 * What a fit is worth on rows that it has not seen: the figures of an evaluation, by the same functions. */
#include "core/work/tune.h"

#include <math.h>
#include <string.h>

enum metric { METRIC_AUC, METRIC_ACCURACY, METRIC_LOSS, METRIC_BACKGROUND_REJECTION, METRIC_BACKGROUND_EFFICIENCY };
enum direction { DIRECTION_AUTO, DIRECTION_MAXIMIZE, DIRECTION_MINIMIZE };
const char *const study_metric_names[] = {"auc", "accuracy", "loss", "background_rejection", "background_efficiency", NULL};
const char *const study_direction_names[] = {"auto", "maximize", "minimize", NULL};

bool objective_is_better(const struct study_objective *o, double a, double b)
{
    bool less = o->metric == METRIC_LOSS || o->metric == METRIC_BACKGROUND_EFFICIENCY;
    if (o->direction != DIRECTION_AUTO)
        less = o->direction == DIRECTION_MINIMIZE;
    return less ? a < b : a > b;
}

static size_t class_index(const char *name, const char *const *classes, size_t n)
{
    for (size_t i = 0; name && i < n; i++)
        if (strcmp(classes[i], name) == 0)
            return i;
    return n;
}

static bool is_background(int metric)
{
    return metric == METRIC_BACKGROUND_REJECTION || metric == METRIC_BACKGROUND_EFFICIENCY;
}

enum status tune_check_classes(const struct tune_spec *spec, const struct manifest *m, struct error *e)
{
    const char *const *names = m->classes.items;
    for (size_t i = 0; i < 1 + spec->report.n_items; i++) {
        const char *class = tune_objective(spec, i)->class;
        if (class && class_index(class, names, m->classes.n_items) == m->classes.n_items)
            return error_set(e, STATUS_ARGUMENT, "objective %zu: dataset %s has no class %s", i, m->id, class);
    }
    return STATUS_OK;
}

/* Part of all other classes that still passes where so much of the signal does.  When nothing passes, its rejection is
 * taken at the upper end of the interval, which is finite. */
static enum status background(struct arena *a, const struct study_objective *o, const float *scores,
                              const struct train_data *d, const char *const *classes, size_t n_classes, double *out,
                              struct error *e)
{
    struct working_point point;
    TRY(metrics_working_point(a, scores, d->label, d->weight, d->n, n_classes, classes,
                              class_index(o->class, classes, n_classes), o->at_signal_efficiency, &point, e));
    double passes = point.background_total.value;
    *out = passes;
    if (o->metric == METRIC_BACKGROUND_REJECTION)
        *out = 1 / (passes > 0 ? passes : point.background_total.hi);
    return STATUS_OK;
}

static enum status value_of(struct arena *a, const struct study_objective *o, const float *scores,
                            const struct train_data *d, const char *const *classes, size_t n_classes,
                            const struct evaluation *all, double *out, struct error *e)
{
    const struct class_metrics *of_class = all->classes.items;
    if (is_background(o->metric))
        TRY(background(a, o, scores, d, classes, n_classes, out, e));
    else if (o->metric == METRIC_ACCURACY)
        *out = all->accuracy;
    else if (o->metric == METRIC_LOSS)
        *out = all->loss;
    else
        *out = o->class ? of_class[class_index(o->class, classes, n_classes)].auc : all->auc_macro;
    if (isfinite(*out))
        return STATUS_OK;
    return error_set(e, STATUS_RANGE, "%s%s%s is not a finite number", study_metric_names[o->metric],
                     o->class ? " of " : "", o->class ? o->class : "");
}

enum status tune_score(struct arena *a, const struct tune_spec *spec, const float *scores, const struct train_data *d,
                       const char *const *classes, size_t n_classes, struct fold_record *out, struct error *e)
{
    size_t n = 1 + spec->report.n_items;
    double *values = ARENA_NEW(a, double, n);
    struct evaluation all;
    if (!values)
        return error_set(e, STATUS_NOMEM, "no memory for objectives");
    TRY(metrics_evaluate(a, scores, d->label, d->weight, d->n, n_classes, classes, &all, e));
    for (size_t i = 0; i < n; i++)
        TRY(value_of(a, tune_objective(spec, i), scores, d, classes, n_classes, &all, &values[i], e));
    out->values = (struct field_list){values, n};
    out->loss = all.loss;
    out->accuracy = all.accuracy;
    return STATUS_OK;
}
