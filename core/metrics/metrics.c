/* core/metrics/metrics.c
 *
 * The evaluation of a classifier, put together from one walk a class and one pass over the events. */
#include "core/metrics/curve.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double standard_targets[] = {0.90, 0.95, 0.99, 0.999};
_Static_assert(ARRAY_LEN(standard_targets) <= TARGETS_MAX, "a curve has room for the standard targets");

/* ---- input ----------------------------------------------------------------------------------------------------- */

enum status sample_init(struct sample *s, const float *scores, const int32_t *labels, const float *weights, size_t n,
                        size_t n_classes, struct error *e)
{
    *s = (struct sample){.scores = scores, .labels = labels, .weights = weights, .n = n, .n_classes = n_classes};
    if (n == 0)
        return error_set(e, STATUS_ARGUMENT, "there are no events to evaluate");
    if (n_classes < 2 || n_classes > METRICS_CLASSES_MAX)
        return error_set(e, STATUS_ARGUMENT, "%zu classes, must be 2 to %d", n_classes, METRICS_CLASSES_MAX);
    double all = 0;
    for (size_t i = 0; i < n; i++) {
        if (labels[i] < 0 || (size_t)labels[i] >= n_classes)
            return error_set(e, STATUS_ARGUMENT, "event %zu: label %d, there are %zu classes", i, labels[i], n_classes);
        double w = sample_weight(s, i);
        if (!isfinite(w))
            return error_set(e, STATUS_ARGUMENT, "event %zu: its weight is not finite", i);
        for (size_t c = 0; c < n_classes; c++)
            if (!isfinite(scores[i * n_classes + c]))
                return error_set(e, STATUS_ARGUMENT, "event %zu: its score for class %zu is not finite", i, c);
        s->count[labels[i]]++;
        s->sum[labels[i]] += w;
        s->sum_w2[labels[i]] += w * w;
        all += w;
    }
    if (!(all > 0))
        return error_set(e, STATUS_ARGUMENT, "the sum of weights is %g, it must be positive", all);
    return STATUS_OK;
}

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

/* Of an AUC from n_s signal and n_b background events. */
static double hanley_mcneil(double auc, double n_s, double n_b)
{
    double q1 = auc / (2 - auc), q2 = 2 * auc * auc / (1 + auc);
    double variance = (auc * (1 - auc) + (n_s - 1) * (q1 - auc * auc) + (n_b - 1) * (q2 - auc * auc)) / (n_s * n_b);
    return sqrt(fmax(variance, 0));
}

static double auc_error(const struct sample *s, size_t signal, double auc)
{
    double sum_w2 = 0, sum = 0;
    for (size_t c = 0; c < s->n_classes; c++) {
        sum += c == signal ? 0 : s->sum[c];
        sum_w2 += c == signal ? 0 : s->sum_w2[c];
    }
    if (isnan(auc))
        return NAN;
    return hanley_mcneil(auc, s->sum[signal] * s->sum[signal] / s->sum_w2[signal], sum * sum / sum_w2);
}

/* n lists of n_counts zeros, one for each true class; NULL without memory. */
static double *make_counts(struct arena *a, size_t n, size_t n_counts)
{
    return ARENA_NEW(a, double, n * n_counts);
}

static enum status histograms(struct arena *a, const struct sample *s, size_t signal, const char *const *names,
                              struct field_list *out, struct error *e)
{
    struct score_histogram *h = ARENA_NEW(a, struct score_histogram, s->n_classes);
    double *counts = make_counts(a, s->n_classes, SCORE_BINS);
    if (!h || !counts)
        return error_set(e, STATUS_NOMEM, "no memory for score histograms");
    for (size_t i = 0; i < s->n; i++) {
        float at = s->scores[i * s->n_classes + signal] * SCORE_BINS;
        size_t bin = at <= 0 ? 0 : at >= SCORE_BINS ? SCORE_BINS - 1 : (size_t)at;
        counts[(size_t)s->labels[i] * SCORE_BINS + bin] += sample_weight(s, i);
    }
    for (size_t c = 0; c < s->n_classes; c++)
        h[c] = (struct score_histogram){names[c], {counts + c * SCORE_BINS, SCORE_BINS}};
    *out = (struct field_list){h, s->n_classes};
    return STATUS_OK;
}

static size_t predicted(const float *scores, size_t n_classes)
{
    size_t best = 0;
    for (size_t c = 1; c < n_classes; c++)
        best = scores[c] > scores[best] ? c : best;
    return best;
}

/* Loss, accuracy and confusion. */
static enum status overall(struct arena *a, const struct sample *s, const char *const *names, struct evaluation *out,
                           struct error *e)
{
    struct confusion_row *row = ARENA_NEW(a, struct confusion_row, s->n_classes);
    double *counts = make_counts(a, s->n_classes, s->n_classes), loss = 0, hits = 0, sum = 0;
    if (!row || !counts)
        return error_set(e, STATUS_NOMEM, "no memory for a confusion matrix");
    for (size_t i = 0; i < s->n; i++) {
        const float *score = s->scores + i * s->n_classes;
        size_t truth = (size_t)s->labels[i], guess = predicted(score, s->n_classes);
        double w = sample_weight(s, i);
        loss -= w * log(fmax((double)score[truth], FLT_MIN));
        hits += truth == guess ? w : 0;
        sum += w;
        counts[truth * s->n_classes + guess] += w;
    }
    for (size_t c = 0; c < s->n_classes; c++)
        row[c] = (struct confusion_row){names[c], {counts + c * s->n_classes, s->n_classes}};
    out->confusion = (struct field_list){row, s->n_classes};
    out->sum_weight = sum;
    out->loss = loss / sum;
    out->accuracy = hits / sum;
    return STATUS_OK;
}

static enum status class_metrics(struct arena *a, struct ranking *r, const struct sample *s, size_t signal,
                                 const char *const *names, struct class_metrics *out, struct error *e)
{
    struct curve c = {.n_targets = s->sum[signal] > 0 ? ARRAY_LEN(standard_targets) : 0};
    for (size_t k = 0; k < c.n_targets; k++)
        c.reached[k].target = standard_targets[k];
    TRY(curve_walk(r, s, signal, a, &c, e));
    struct working_point *points = ARENA_NEW(a, struct working_point, ARRAY_LEN(standard_targets));
    if (!points)
        return error_set(e, STATUS_NOMEM, "no memory for working points");
    size_t n_points = 0;
    for (size_t k = 0; k < c.n_targets; k++)
        if (c.reached[k].found)
            TRY(curve_working_point(a, s, &c.reached[k], signal, names, &points[n_points++], e));
    *out = (struct class_metrics){.name = names[signal],
                                  .n = s->count[signal],
                                  .sum_weight = s->sum[signal],
                                  .auc = c.auc,
                                  .auc_error = auc_error(s, signal, c.auc),
                                  .roc = c.roc,
                                  .working_points = {points, n_points}};
    return histograms(a, s, signal, names, &out->histograms, e);
}

/* ---- public ---------------------------------------------------------------------------------------------------- */

static enum status all_classes(struct arena *a, struct ranking *r, const struct sample *s, const char *const *names,
                               struct evaluation *out, struct error *e)
{
    struct class_metrics *classes = ARENA_NEW(a, struct class_metrics, s->n_classes);
    if (!classes)
        return error_set(e, STATUS_NOMEM, "no memory for an evaluation of %zu classes", s->n_classes);
    double sum = 0, n = 0;
    for (size_t c = 0; c < s->n_classes; c++) {
        TRY(class_metrics(a, r, s, c, names, &classes[c], e));
        sum += isnan(classes[c].auc) ? 0 : classes[c].auc;
        n += !isnan(classes[c].auc);
    }
    out->classes = (struct field_list){classes, s->n_classes};
    out->auc_macro = n > 0 ? sum / n : NAN;
    return overall(a, s, names, out, e);
}

enum status metrics_evaluate(struct arena *a, const float *scores, const int32_t *labels, const float *weights,
                             size_t n, size_t n_classes, const char *const *class_names, struct evaluation *out,
                             struct error *e)
{
    struct sample s;
    struct ranking r;
    *out = (struct evaluation){.n_events = (int64_t)n, .weighted = weights != NULL};
    TRY(sample_init(&s, scores, labels, weights, n, n_classes, e));
    TRY(ranking_init(&r, n, e));
    enum status status = all_classes(a, &r, &s, class_names, out, e);
    ranking_fini(&r);
    return status;
}

enum status metrics_working_point(struct arena *a, const float *scores, const int32_t *labels, const float *weights,
                                  size_t n, size_t n_classes, const char *const *class_names, size_t signal_class,
                                  double target_signal_efficiency, struct working_point *out, struct error *e)
{
    struct sample s;
    struct ranking r;
    struct curve c = {.n_targets = 1};
    *out = (struct working_point){0};
    TRY(sample_init(&s, scores, labels, weights, n, n_classes, e));
    check(signal_class < n_classes);
    if (!(target_signal_efficiency > 0 && target_signal_efficiency <= 1) || !(s.sum[signal_class] > 0))
        return error_set(e, STATUS_RANGE, "signal efficiency %g of %s cannot be reached with %lld events",
                         target_signal_efficiency, class_names[signal_class], (long long)s.count[signal_class]);
    c.reached[0].target = target_signal_efficiency;
    TRY(ranking_init(&r, n, e));
    enum status status = curve_walk(&r, &s, signal_class, NULL, &c, e);
    ranking_fini(&r);
    TRY(status);
    if (!c.reached[0].found)
        return error_set(e, STATUS_RANGE, "signal efficiency %g of %s is not reached at any threshold",
                         target_signal_efficiency, class_names[signal_class]);
    return curve_working_point(a, &s, &c.reached[0], signal_class, class_names, out, e);
}

enum status metrics_auc(const float *score, const uint8_t *is_signal, const float *weights, size_t n, double *auc,
                        struct error *e)
{
    *auc = NAN;
    /* As two classes: signal is 0 by score, background 1; only the first column is ranked. */
    struct sample s = {.scores = score, .weights = weights, .n = n, .n_classes = 1};
    struct ranking r;
    struct curve c = {0};
    for (size_t i = 0; i < n; i++)
        if (!isfinite(score[i]) || (weights && !isfinite(weights[i])))
            return error_set(e, STATUS_ARGUMENT, "event %zu: its score or weight is not finite", i);
    if (n == 0)
        return STATUS_OK;
    int32_t *labels = mem_alloc(n * sizeof *labels);
    if (!labels)
        return error_set(e, STATUS_NOMEM, "no memory to rank %zu events", n);
    for (size_t i = 0; i < n; i++)
        labels[i] = !is_signal[i];
    s.labels = labels;
    enum status status = ranking_init(&r, n, e);
    if (status == STATUS_OK)
        status = curve_walk(&r, &s, 0, NULL, &c, e);
    if (status == STATUS_OK)
        *auc = c.auc;
    ranking_fini(&r);
    mem_free(labels);
    return status;
}
