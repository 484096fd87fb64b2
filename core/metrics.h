/* core/metrics.h
 *
 * From scores, labels and weights to the numbers a physicist asks for: loss, accuracy, confusion, ROC and AUC per
 * class, efficiencies of the other classes at a given signal efficiency with intervals, score histograms.
 * One-versus-rest: the discriminant of class c is its softmax output.  Pure functions, no allocation but the arena. */
#ifndef DLT_CORE_METRICS_H
#define DLT_CORE_METRICS_H

#include "core/base.h"

enum { METRICS_CLASSES_MAX = 64, ROC_POINTS_MAX = 500, SCORE_BINS = 50 };

/* An efficiency with its interval: Wilson score of one standard deviation (confidence level 0.683) on the effective
 * count (sum w)^2 / sum w^2 (Wilson 1927, doi:10.1080/01621459.1927.10502953).  All NaN when `total` is not
 * positive. */
struct efficiency {
    double value, lo, hi;
};
/* Sums of weights that passed and of all, and the sum of squared weights of all (counts: passed, total, total). */
struct efficiency efficiency_of(double passed, double total, double total_w2);

/* Accepting score >= threshold; the first point has threshold infinity: nothing passes. */
struct roc_point {
    double threshold, signal_efficiency, background_efficiency;
};
struct named_efficiency {
    const char *name;                  /* class */
    double value, lo, hi;
};
/* The highest threshold whose signal efficiency is at least the target; accept when score >= threshold. */
struct working_point {
    const char *class_name;
    double target_signal_efficiency, threshold;
    struct efficiency signal_efficiency;
    struct field_list background_efficiency;      /* struct named_efficiency, the other classes in order */
    struct efficiency background_total;           /* all other classes together, weighted as given */
};
struct class_metrics {
    const char *name;
    int64_t n;
    double sum_weight, auc, auc_error;            /* error: Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747,
                                                     on effective counts; NaN without signal or background */
    struct field_list roc;                        /* struct roc_point, at most ROC_POINTS_MAX, ends included */
    struct field_list working_points;             /* struct working_point at 0.90 0.95 0.99 0.999, or none */
    struct field_list histograms;                 /* struct score_histogram: this class's score, by true class */
};
struct score_histogram {
    const char *true_class;
    struct field_list counts;                     /* double, SCORE_BINS bins on [0, 1], weighted */
};
struct confusion_row {
    const char *true_class;
    struct field_list counts;                     /* double, by predicted class, weighted */
};
struct evaluation {
    int64_t n_events;
    double sum_weight, loss, accuracy;            /* loss: mean of -ln(max(score of the true class, 2^-126)) */
    double auc_macro;                             /* mean over the classes that have an AUC */
    bool weighted;
    struct field_list classes;                    /* struct class_metrics */
    struct field_list confusion;                  /* struct confusion_row */
};
extern const struct field evaluation_fields[];
extern const struct field working_point_fields[];

/* scores [n][n_classes] probabilities, labels in [0, n_classes), weights finite or NULL for 1 (negative ones, as of
 * generators beyond leading order, are summed as they are).  Ties in score are exact: AUC counts half.  The predicted
 * class is the first of the largest scores.  Results are in `a`; class names are not copied.
 * Fails: ARGUMENT (n == 0, NaN, label out of range, sum of weights not positive), NOMEM.  An AUC of a class with no
 * event or nothing but events is NaN, written as null. */
enum status metrics_evaluate(struct arena *a, const float *scores, const int32_t *labels, const float *weights,
                             size_t n, size_t n_classes, const char *const *class_names, struct evaluation *out,
                             struct error *e) MUST_USE;
/* Weighted AUC of one score against a boolean truth; NaN when either side is empty.  Fails: ARGUMENT (NaN), NOMEM. */
enum status metrics_auc(const float *score, const uint8_t *is_signal, const float *weights, size_t n, double *auc,
                        struct error *e) MUST_USE;
/* AUC of each class against the rest while scores pass by, in memory that does not grow with them: scores are counted
 * in 32768 bins, equally fine on the scale of p / (1 - p) (2^-9 of it, from 2^-32 to 2^32).  Events in one bin count as
 * ties, so an AUC differs from the exact one by less than half of the share of pairs that fall into one bin. */
struct metrics_auc_bins;
enum status metrics_auc_bins_create(size_t n_classes, struct metrics_auc_bins **out, struct error *e) MUST_USE;
void metrics_auc_bins_destroy(struct metrics_auc_bins *b);    /* NULL allowed */
void metrics_auc_bins_clear(struct metrics_auc_bins *b);
/* scores [n_classes], probabilities. */
void metrics_auc_bins_add(struct metrics_auc_bins *b, const float *scores, size_t label, double weight);
double metrics_auc_bins_class(const struct metrics_auc_bins *b, size_t i_class);      /* NaN: one side is empty */
double metrics_auc_bins_macro(const struct metrics_auc_bins *b);                      /* mean of those that have one */

/* Threshold for a target in (0, 1].  Fails: RANGE when unreachable (no signal, target out of bounds), and as above. */
enum status metrics_working_point(struct arena *a, const float *scores, const int32_t *labels, const float *weights,
                                  size_t n, size_t n_classes, const char *const *class_names, size_t signal_class,
                                  double target_signal_efficiency, struct working_point *out,
                                  struct error *e) MUST_USE;

#endif
