/* core/metrics/curve.h
 *
 * One class against the rest: events in decreasing order of its score, and what can be read off while walking down. */
#ifndef DLT_CORE_METRICS_CURVE_H
#define DLT_CORE_METRICS_CURVE_H

#include "core/metrics.h"

enum { TARGETS_MAX = 8 };

/* Scores and truth as given to metrics.h; sums by class are filled by sample_init. */
struct sample {
    const float *scores;               /* [n][n_classes] */
    const int32_t *labels;
    const float *weights;
    size_t n, n_classes;
    int64_t count[METRICS_CLASSES_MAX];
    double sum[METRICS_CLASSES_MAX], sum_w2[METRICS_CLASSES_MAX];
};
/* Checks everything that metrics.h promises to check. */
enum status sample_init(struct sample *s, const float *scores, const int32_t *labels, const float *weights, size_t n,
                        size_t n_classes, struct error *e) MUST_USE;

static inline double sample_weight(const struct sample *s, size_t i) { return s->weights ? (double)s->weights[i] : 1; }

/* Where a target was reached: sums of weights by class with score >= threshold. */
struct reached {
    bool found;
    double target, threshold;
    double passed[METRICS_CLASSES_MAX];
};

struct curve {
    double auc;
    struct field_list roc;             /* struct roc_point */
    size_t n_targets;                  /* given by the caller, with reached[].target ascending */
    struct reached reached[TARGETS_MAX];
};

/* Scratch for walks over n events; reused for all classes. */
struct ranking {
    uint64_t *block, *key, *spare;
};
enum status ranking_init(struct ranking *r, size_t n, struct error *e) MUST_USE;
void ranking_fini(struct ranking *r);

/* Ranks by the score of `signal` and fills c.  The points of the ROC come from `a`; NULL: none wanted.  Fails:
 * NOMEM. */
enum status curve_walk(struct ranking *r, const struct sample *s, size_t signal, struct arena *a, struct curve *c,
                       struct error *e) MUST_USE;

/* Working point k of a walked curve; NOMEM. */
enum status curve_working_point(struct arena *a, const struct sample *s, const struct reached *r, size_t signal,
                                const char *const *names, struct working_point *out, struct error *e) MUST_USE;

#endif
