/* tests/core/metrics/test_metrics.c
 *
 * Whole evaluations: every number of a small one by hand, consistency of larger ones, and what is refused. */
#include "core/metrics.h"

#include "tests/support/unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const char *const names[] = {"qcd", "tt", "wjets"};

/* Six events; the scores of one row sum to 1. */
static const float small_scores[6][3] = {{0.8f, 0.1f, 0.1f},  {0.4f, 0.5f, 0.1f},   {0.2f, 0.7f, 0.1f},
                                         {0.1f, 0.6f, 0.3f},  {0.25f, 0.25f, 0.5f}, {0.5f, 0.25f, 0.25f}};
static const int32_t small_labels[6] = {0, 0, 1, 1, 2, 2};

static struct evaluation evaluate(struct arena *a, const float *weights)
{
    struct error e;
    struct evaluation v;
    assert_ok(metrics_evaluate(a, &small_scores[0][0], small_labels, weights, 6, 3, names, &v, &e), &e);
    return v;
}

static double count_of(const struct field_list *rows, size_t row, size_t column, size_t offset, size_t size)
{
    const char *item = (const char *)rows->items + row * size;
    const struct field_list *counts = (const struct field_list *)(const void *)(item + offset);
    return ((const double *)counts->items)[column];
}
#define CONFUSION(v, i, j) \
    count_of(&(v).confusion, i, j, offsetof(struct confusion_row, counts), sizeof(struct confusion_row))

static void test_a_small_evaluation_by_hand(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 22);
    struct evaluation v = evaluate(&a, NULL);
    const struct class_metrics *c = v.classes.items;
    assert_int_equal(v.n_events, 6);
    assert_true(v.sum_weight == 6 && !v.weighted);
    double loss = -(log(0.8) + log(0.4) + log(0.7) + log(0.6) + log(0.5) + log(0.25)) / 6;
    assert_true(fabs(v.loss - loss) < 1e-7);
    assert_true(v.accuracy == 4.0 / 6);                       /* events 0, 2, 3 and 4 */
    static const double confusion[3][3] = {{1, 1, 0}, {0, 2, 0}, {1, 0, 1}};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++)
            assert_true(CONFUSION(v, i, j) == confusion[i][j]);
    /* qcd scores 0.8 0.4 against 0.2 0.1 0.25 0.5: 7 of 8 pairs; tt 0.7 0.6 against less: all;
     * wjets 0.5 0.25 against 0.1 0.1 0.1 0.3: 4 + 3 of 8 pairs */
    assert_true(c[0].auc == 7.0 / 8 && c[1].auc == 1 && c[2].auc == 7.0 / 8);
    assert_true(fabs(v.auc_macro - (7.0 / 8 + 1 + 7.0 / 8) / 3) < 1e-15);
    assert_true(c[1].auc_error == 0 && c[0].auc_error > 0.05 && c[0].auc_error < 0.5);
    assert_string_equal(c[1].name, "tt");
    assert_int_equal(c[1].n, 2);
    assert_int_equal(c[1].working_points.n_items, 4);
    const struct working_point *w = c[0].working_points.items;
    assert_true(w[0].target_signal_efficiency == 0.90 && w[3].target_signal_efficiency == 0.999);
    assert_true(w[0].threshold == (double)0.4f && w[0].signal_efficiency.value == 1);
    const struct named_efficiency *other = w[0].background_efficiency.items;
    assert_true(other[0].value == 0 && other[1].value == 0.5 && w[0].background_total.value == 0.25);
    /* score 0.5 of class qcd of event 5 is in bin 25 of its histogram by true class wjets */
    assert_true(count_of(&c[0].histograms, 2, 25, offsetof(struct score_histogram, counts),
                         sizeof(struct score_histogram)) == 1);
    arena_fini(&a);
}

static void test_weights_act_like_repeated_events(void **state)
{
    (void)state;
    static const float weights[6] = {2, 1, 3, 1, 1, 2};
    struct arena a;
    struct error e;
    float scores[10][3];
    int32_t labels[10];
    size_t n = 0;
    for (size_t i = 0; i < 6; i++)
        for (float k = 0; k < weights[i]; k++, n++) {
            memcpy(scores[n], small_scores[i], sizeof scores[n]);
            labels[n] = small_labels[i];
        }
    arena_init(&a, 1 << 22);
    struct evaluation v = evaluate(&a, weights), r;
    assert_ok(metrics_evaluate(&a, &scores[0][0], labels, NULL, n, 3, names, &r, &e), &e);
    assert_true(v.weighted && v.sum_weight == 10);
    assert_true(fabs(v.loss - r.loss) < 1e-12 && fabs(v.accuracy - r.accuracy) < 1e-12);
    for (size_t c = 0; c < 3; c++) {
        const struct class_metrics *x = v.classes.items, *y = r.classes.items;
        assert_true(fabs(x[c].auc - y[c].auc) < 1e-12);
        assert_int_equal(x[c].roc.n_items, y[c].roc.n_items);
        for (size_t j = 0; j < 3; j++)
            assert_true(CONFUSION(v, c, j) == CONFUSION(r, c, j));
    }
    arena_fini(&a);
}

/* Hanley and McNeil 1982, formula with Q1 = A / (2 - A), Q2 = 2 A^2 / (1 + A): A = 0.875 with 2 and 4 events. */
static void test_the_error_of_an_auc_is_the_published_formula(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 22);
    struct evaluation v = evaluate(&a, NULL);
    double auc = 0.875, q1 = auc / (2 - auc), q2 = 2 * auc * auc / (1 + auc);
    double expected = sqrt((auc * (1 - auc) + 1 * (q1 - auc * auc) + 3 * (q2 - auc * auc)) / 8);
    assert_true(fabs(((const struct class_metrics *)v.classes.items)[0].auc_error - expected) < 1e-12);
    arena_fini(&a);
}

static void test_a_class_without_events_has_no_auc(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    struct evaluation v;
    static const int32_t labels[6] = {0, 0, 1, 1, 0, 1};
    arena_init(&a, 1 << 22);
    assert_ok(metrics_evaluate(&a, &small_scores[0][0], labels, NULL, 6, 3, names, &v, &e), &e);
    const struct class_metrics *c = v.classes.items;
    assert_true(isnan(c[2].auc) && isnan(c[2].auc_error) && c[2].n == 0);
    assert_int_equal(c[2].working_points.n_items, 0);
    assert_int_equal(c[2].roc.n_items, 0);
    assert_true(fabs(v.auc_macro - (c[0].auc + c[1].auc) / 2) < 1e-15);
    const struct working_point *w = c[0].working_points.items;
    const struct named_efficiency *other = w[0].background_efficiency.items;
    assert_true(isnan(other[1].value));
    static const int32_t alone[6] = {1, 1, 1, 1, 1, 1};
    assert_ok(metrics_evaluate(&a, &small_scores[0][0], alone, NULL, 6, 3, names, &v, &e), &e);
    assert_true(isnan(v.auc_macro));
    assert_int_equal(((const struct class_metrics *)v.classes.items)[1].working_points.n_items, 4);
    arena_fini(&a);
}

static void test_a_score_of_zero_for_the_truth_costs_a_bounded_loss(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    struct evaluation v;
    arena_init(&a, 1 << 22);
    assert_ok(metrics_evaluate(&a, (float[]){1, 0, 0, 1}, (int32_t[]){1, 1}, NULL, 2, 2, names, &v, &e), &e);
    assert_true(fabs(v.loss - -log((double)FLT_MIN) / 2) < 1e-9);
    arena_fini(&a);
}

static void test_wrong_input_is_refused_by_event(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    struct evaluation v;
    float s[4] = {0.5f, 0.5f, 0.5f, 0.5f};
    arena_init(&a, 1 << 22);
    assert_status(metrics_evaluate(&a, s, (int32_t[]){0, 1}, NULL, 0, 2, names, &v, &e), STATUS_ARGUMENT, &e);
    assert_status(metrics_evaluate(&a, s, (int32_t[]){0, 2}, NULL, 2, 2, names, &v, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "event 1: label 2");
    assert_status(metrics_evaluate(&a, s, (int32_t[]){0, -1}, NULL, 2, 2, names, &v, &e), STATUS_ARGUMENT, &e);
    assert_status(metrics_evaluate(&a, s, (int32_t[]){0, 1}, (float[]){1, NAN}, 2, 2, names, &v, &e), STATUS_ARGUMENT,
                  &e);
    assert_status(metrics_evaluate(&a, s, (int32_t[]){0, 1}, (float[]){1, -1}, 2, 2, names, &v, &e), STATUS_ARGUMENT,
                  &e);
    assert_contains(e.text, "sum of weights");
    assert_status(metrics_evaluate(&a, s, (int32_t[]){0}, NULL, 1, 1, names, &v, &e), STATUS_ARGUMENT, &e);
    s[2] = NAN;
    assert_status(metrics_evaluate(&a, s, (int32_t[]){0, 1}, NULL, 2, 2, names, &v, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "event 1: its score for class 0");
    arena_fini(&a);
}

static void test_an_evaluation_survives_its_field_table(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    struct buf text, again;
    arena_init(&a, 1 << 24);
    buf_init(&text, 1 << 22);
    buf_init(&again, 1 << 22);
    struct evaluation v = evaluate(&a, (float[]){1, 2, 1, 2, 1, 2}), back;
    assert_ok(field_validate(evaluation_fields, &v, "", &e), &e);
    assert_ok(field_write_text(evaluation_fields, &v, &text, &e), &e);
    assert_ok(field_read_text(&a, evaluation_fields, (struct span){text.data, text.len}, &back, &e), &e);
    assert_ok(field_write_text(evaluation_fields, &back, &again, &e), &e);
    assert_int_equal(text.len, again.len);
    assert_memory_equal(text.data, again.data, text.len);
    buf_fini(&text);
    buf_fini(&again);
    arena_fini(&a);
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct arena a;
        struct error e;
        struct evaluation v;
        struct working_point w;
        double auc;
        arena_init(&a, 1 << 22);
        enum status s = metrics_evaluate(&a, &small_scores[0][0], small_labels, NULL, 6, 3, names, &v, &e);
        if (s == STATUS_OK)
            s = metrics_working_point(&a, &small_scores[0][0], small_labels, NULL, 6, 3, names, 1, 0.5, &w, &e);
        if (s == STATUS_OK)
            s = metrics_auc(&small_scores[0][0], (uint8_t[]){1, 0, 1}, NULL, 3, &auc, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        arena_fini(&a);
    }
}

static void test_an_arena_that_is_too_small_is_reported(void **state)
{
    (void)state;
    for (size_t max = 0; max < 8192; max += 512) {
        struct arena a;
        struct error e;
        struct evaluation v;
        arena_init(&a, max);
        enum status s = metrics_evaluate(&a, &small_scores[0][0], small_labels, NULL, 6, 3, names, &v, &e);
        assert_true(s == STATUS_OK || s == STATUS_NOMEM);
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_evaluation_by_hand),
        cmocka_unit_test(test_weights_act_like_repeated_events),
        cmocka_unit_test(test_the_error_of_an_auc_is_the_published_formula),
        cmocka_unit_test(test_a_class_without_events_has_no_auc),
        cmocka_unit_test(test_a_score_of_zero_for_the_truth_costs_a_bounded_loss),
        cmocka_unit_test(test_wrong_input_is_refused_by_event),
        cmocka_unit_test(test_an_evaluation_survives_its_field_table),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
        cmocka_unit_test(test_an_arena_that_is_too_small_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
