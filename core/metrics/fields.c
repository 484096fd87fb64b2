/* core/metrics/fields.c
 *
 * Field tables of evaluations: what is stored and what the API answers. */
#include "core/metrics.h"

static const struct field efficiency_fields[] = {
    FIELD_F64(struct efficiency, value, .nullable = true),
    FIELD_F64(struct efficiency, lo, .nullable = true, .doc = "lower end of the 68.3 % Wilson interval"),
    FIELD_F64(struct efficiency, hi, .nullable = true, .doc = "upper end"),
    FIELD_END};

static const struct field named_efficiency_fields[] = {
    FIELD_STRING(struct named_efficiency, name, .doc = "class"),
    FIELD_F64(struct named_efficiency, value, .nullable = true),
    FIELD_F64(struct named_efficiency, lo, .nullable = true),
    FIELD_F64(struct named_efficiency, hi, .nullable = true),
    FIELD_END};

const struct field working_point_fields[] = {
    FIELD_STRING(struct working_point, class_name, .doc = "the wanted class; its score is the discriminant"),
    FIELD_F64(struct working_point, target_signal_efficiency),
    FIELD_F64(struct working_point, threshold, .doc = "accept when score >= threshold"),
    FIELD_OBJECT(struct working_point, signal_efficiency, efficiency_fields),
    FIELD_LIST_OBJECT(struct working_point, background_efficiency, struct named_efficiency, named_efficiency_fields,
                      .doc = "of each other class"),
    FIELD_OBJECT(struct working_point, background_total, efficiency_fields, .doc = "of all other classes together"),
    FIELD_END};

static const struct field roc_point_fields[] = {
    FIELD_F64(struct roc_point, threshold),
    FIELD_F64(struct roc_point, signal_efficiency),
    FIELD_F64(struct roc_point, background_efficiency),
    FIELD_END};

static const struct field score_histogram_fields[] = {
    FIELD_STRING(struct score_histogram, true_class),
    FIELD_LIST_F64(struct score_histogram, counts, .doc = "sums of weights in 50 bins of the score on [0, 1]"),
    FIELD_END};

static const struct field class_metrics_fields[] = {
    FIELD_STRING(struct class_metrics, name),
    FIELD_I64(struct class_metrics, n, .unit = "events"),
    FIELD_F64(struct class_metrics, sum_weight),
    FIELD_F64(struct class_metrics, auc, .nullable = true, .doc = "against all other classes"),
    FIELD_F64(struct class_metrics, auc_error, .nullable = true),
    FIELD_LIST_OBJECT(struct class_metrics, roc, struct roc_point, roc_point_fields),
    FIELD_LIST_OBJECT(struct class_metrics, working_points, struct working_point, working_point_fields),
    FIELD_LIST_OBJECT(struct class_metrics, histograms, struct score_histogram, score_histogram_fields),
    FIELD_END};

static const struct field confusion_row_fields[] = {
    FIELD_STRING(struct confusion_row, true_class),
    FIELD_LIST_F64(struct confusion_row, counts, .doc = "sums of weights by predicted class"),
    FIELD_END};

const struct field evaluation_fields[] = {
    FIELD_I64(struct evaluation, n_events),
    FIELD_F64(struct evaluation, sum_weight),
    FIELD_F64(struct evaluation, loss, .doc = "mean cross-entropy"),
    FIELD_F64(struct evaluation, accuracy),
    FIELD_F64(struct evaluation, auc_macro, .nullable = true, .doc = "mean over the classes"),
    FIELD_BOOL(struct evaluation, weighted, .doc = "whether event weights were used"),
    FIELD_LIST_OBJECT(struct evaluation, classes, struct class_metrics, class_metrics_fields),
    FIELD_LIST_OBJECT(struct evaluation, confusion, struct confusion_row, confusion_row_fields),
    FIELD_END};
