/* tests/core/metrics/test_curve.c
 *
 * AUC against counting all pairs, ROC points and working points against the definition. */
#include "core/metrics/curve.h"

#include "tests/support/unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sum over pairs of signal and background: 1 when the signal scores higher, a half when equal. */
static double auc_by_pairs(const float *score, const uint8_t *is_signal, const float *weight, size_t n)
{
    double won = 0, all = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (!is_signal[i] || is_signal[j])
                continue;
            double w = weight ? (double)weight[i] * (double)weight[j] : 1;
            won += score[i] > score[j] ? w : score[i] == score[j] ? w / 2 : 0;
            all += w;
        }
    return won / all;
}

static double auc_of(const float *score, const uint8_t *is_signal, const float *weight, size_t n)
{
    struct error e;
    double auc;
    assert_ok(metrics_auc(score, is_signal, weight, n, &auc, &e), &e);
    return auc;
}

static void test_auc_is_the_share_of_pairs_in_order_with_ties_and_weights(void **state)
{
    (void)state;
    enum { N = 300 };
    struct rng r = rng_stream(5, 0);
    float score[N], weight[N];
    uint8_t is_signal[N];
    for (size_t round = 0; round < 40; round++) {
        size_t n = 2 + rng_below(&r, N - 1), n_values = round % 4 == 0 ? 3 : round % 4 == 1 ? 50 : 1000000;
        for (size_t i = 0; i < n; i++) {
            is_signal[i] = i < 2 ? (uint8_t)i : rng_below(&r, 3) == 0;
            score[i] = ((float)rng_below(&r, n_values) - (float)(n_values / 2)) / (float)n_values;
            score[i] += is_signal[i] ? 0.1f : 0;
            weight[i] = round % 8 == 7 && i % 9 == 0 ? -0.25f : (float)rng_f64(&r) + 0.1f;
        }
        double plain = auc_of(score, is_signal, NULL, n), weighted = auc_of(score, is_signal, weight, n);
        assert_true(fabs(plain - auc_by_pairs(score, is_signal, NULL, n)) < 1e-12);
        assert_true(fabs(weighted - auc_by_pairs(score, is_signal, weight, n)) < 1e-9);
    }
}

static void test_auc_of_known_cases(void **state)
{
    (void)state;
    static const uint8_t truth[4] = {0, 0, 1, 1};
    assert_true(auc_of((float[]){1, 2, 3, 4}, truth, NULL, 4) == 1);
    assert_true(auc_of((float[]){4, 3, 2, 1}, truth, NULL, 4) == 0);
    assert_true(auc_of((float[]){1, 1, 1, 1}, truth, NULL, 4) == 0.5);
    assert_true(auc_of((float[]){1, 3, 2, 4}, truth, NULL, 4) == 0.75);
    assert_true(auc_of((float[]){-0.0f, 0, 0, -0.0f}, truth, NULL, 4) == 0.5);      /* zeros of both signs tie */
    assert_true(auc_of((float[]){-3, -2, -1, 5}, truth, NULL, 4) == 1);
    assert_true(isnan(auc_of((float[]){1, 2}, (uint8_t[]){1, 1}, NULL, 2)));
    assert_true(isnan(auc_of((float[]){1, 2}, (uint8_t[]){0, 0}, NULL, 2)));
    assert_true(isnan(auc_of(NULL, NULL, NULL, 0)));
}

/* Scores u of background uniform and of signal sqrt(u): P(signal > background) = 2/3. */
static void test_auc_of_a_closed_form(void **state)
{
    (void)state;
    enum { N = 200000 };
    struct rng r = rng_stream(6, 0);
    float *score = mem_alloc(N * sizeof *score);
    uint8_t *is_signal = mem_alloc(N);
    for (size_t i = 0; i < N; i++) {
        is_signal[i] = i % 2;
        score[i] = (float)(i % 2 ? sqrt(rng_f64(&r)) : rng_f64(&r));
    }
    assert_true(fabs(auc_of(score, is_signal, NULL, N) - 2.0 / 3) < 5e-3);
    mem_free(score);
    mem_free(is_signal);
}

static void test_numbers_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    struct error e;
    double auc;
    static const uint8_t truth[2] = {0, 1};
    assert_status(metrics_auc((float[]){1, NAN}, truth, NULL, 2, &auc, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "event 1");
    assert_status(metrics_auc((float[]){1, 2}, truth, (float[]){INFINITY, 1}, 2, &auc, &e), STATUS_ARGUMENT, &e);
}

/* ---- curves of random three-class scores ----------------------------------------------------------------------- */

struct events {
    size_t n;
    float *scores, *weights;
    int32_t *labels;
    struct arena arena;
};
static const char *const names[] = {"qcd", "tt", "wjets"};

static void events_init(struct events *v, size_t n, bool coarse)
{
    struct rng r = rng_stream(7, n);
    arena_init(&v->arena, 1 << 26);
    v->n = n;
    v->scores = ARENA_NEW(&v->arena, float, n * 3);
    v->weights = ARENA_NEW(&v->arena, float, n);
    v->labels = ARENA_NEW(&v->arena, int32_t, n);
    for (size_t i = 0; i < n; i++) {
        double e[3], sum = 0;
        v->labels[i] = (int32_t)(i % 3);
        v->weights[i] = 0.2f + (float)rng_f64(&r);
        for (size_t c = 0; c < 3; c++)
            sum += e[c] = exp(2 * rng_normal(&r) + (c == i % 3 ? 3 : 0));
        for (size_t c = 0; c < 3; c++) {
            v->scores[i * 3 + c] = (float)(e[c] / sum);
            if (coarse)
                v->scores[i * 3 + c] = floorf(v->scores[i * 3 + c] * 20) / 20;
        }
    }
}

static void walk(struct events *v, const float *weights, size_t signal, struct curve *c, struct sample *s)
{
    struct error e;
    struct ranking r;
    assert_ok(sample_init(s, v->scores, v->labels, weights, v->n, 3, &e), &e);
    assert_ok(ranking_init(&r, v->n, &e), &e);
    assert_ok(curve_walk(&r, s, signal, &v->arena, c, &e), &e);
    ranking_fini(&r);
}

/* Efficiencies of signal and background at score >= threshold. */
static void count_at(const struct events *v, const float *weights, size_t signal, double threshold, double *s,
                     double *b)
{
    double passed[2] = {0, 0}, all[2] = {0, 0};
    for (size_t i = 0; i < v->n; i++) {
        double w = weights ? (double)weights[i] : 1;
        bool is_signal = (size_t)v->labels[i] == signal;
        all[is_signal] += w;
        passed[is_signal] += (double)v->scores[i * 3 + signal] >= threshold ? w : 0;
    }
    *s = passed[1] / all[1];
    *b = passed[0] / all[0];
}

static double area_under(const struct field_list *roc)
{
    const struct roc_point *p = roc->items;
    double area = 0;
    for (size_t i = 1; i < roc->n_items; i++)
        area += (p[i].background_efficiency - p[i - 1].background_efficiency) *
                (p[i].signal_efficiency + p[i - 1].signal_efficiency) / 2;
    return area;
}

static void assert_roc(struct events *v, const float *weights, size_t signal, double tolerance)
{
    struct sample s;
    struct curve c = {.n_targets = 0};
    walk(v, weights, signal, &c, &s);
    const struct roc_point *p = c.roc.items;
    size_t n = c.roc.n_items;
    assert_in_range(n, 2, ROC_POINTS_MAX);
    assert_true(p[0].signal_efficiency == 0 && p[0].background_efficiency == 0);
    assert_true(p[n - 1].signal_efficiency == 1 && p[n - 1].background_efficiency == 1);
    for (size_t i = 0; i < n; i++) {
        double seen_s, seen_b;
        count_at(v, weights, signal, p[i].threshold, &seen_s, &seen_b);
        assert_true(fabs(seen_s - p[i].signal_efficiency) < 1e-9 && fabs(seen_b - p[i].background_efficiency) < 1e-9);
        assert_true(i == 0 || p[i].threshold < p[i - 1].threshold);
    }
    assert_true(fabs(area_under(&c.roc) - c.auc) < tolerance);
}

static void test_a_short_roc_is_complete_and_its_area_is_the_auc(void **state)
{
    (void)state;
    struct events few, coarse;
    events_init(&few, 300, false);
    assert_roc(&few, NULL, 1, 1e-12);
    assert_roc(&few, few.weights, 0, 1e-12);
    events_init(&coarse, 5000, true);                         /* at most 21 different scores */
    assert_roc(&coarse, coarse.weights, 2, 1e-12);
    arena_fini(&few.arena);
    arena_fini(&coarse.arena);
}

static void test_a_thinned_roc_keeps_its_shape(void **state)
{
    (void)state;
    struct events v;
    struct sample s;
    struct curve c = {.n_targets = 0};
    events_init(&v, 60000, false);
    for (size_t signal = 0; signal < 3; signal++)
        assert_roc(&v, signal == 1 ? v.weights : NULL, signal, 2e-4);
    /* Both corners are resolved: by factors in background efficiency and in signal inefficiency. */
    walk(&v, NULL, 1, &c, &s);
    const struct roc_point *p = c.roc.items;
    for (size_t i = 1; i + 1 < c.roc.n_items; i++) {
        double b0 = p[i - 1].background_efficiency, b1 = p[i].background_efficiency;
        double step_b = b1 - b0, step_s = p[i].signal_efficiency - p[i - 1].signal_efficiency;
        assert_true(step_b < 0.013 && step_s < 0.013);
        assert_true(b0 < 1e-3 || b1 / b0 < 1.15);
        double l0 = 1 - p[i - 1].signal_efficiency, l1 = 1 - p[i].signal_efficiency;
        assert_true(l1 < 1e-3 || l0 / l1 < 1.15);
    }
    arena_fini(&v.arena);
}

static void assert_working_points(struct events *v, const float *weights)
{
    static const double targets[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t k = 0; k < ARRAY_LEN(targets); k++)
        for (size_t signal = 0; signal < 3; signal++) {
            struct error e;
            struct working_point w;
            double s, b, s_above, b_above;
            assert_ok(metrics_working_point(&v->arena, v->scores, v->labels, weights, v->n, 3, names, signal,
                                            targets[k], &w, &e), &e);
            count_at(v, weights, signal, w.threshold, &s, &b);
            count_at(v, weights, signal, nextafter(w.threshold, 2), &s_above, &b_above);
            assert_true(s >= targets[k] - 1e-12 && s_above < targets[k]);     /* none higher does it */
            assert_true(fabs(w.signal_efficiency.value - s) < 1e-9);
            assert_true(fabs(w.background_total.value - b) < 1e-9);
            assert_true(w.signal_efficiency.lo < s && w.signal_efficiency.hi >= s - 1e-9);
            assert_string_equal(w.class_name, names[signal]);
            assert_int_equal(w.background_efficiency.n_items, 2);
            const struct named_efficiency *other = w.background_efficiency.items;
            for (size_t i = 0; i < 2; i++) {
                size_t c = signal == 0 ? i + 1 : signal == 1 ? 2 * i : i;
                double passed = 0, all = 0;
                for (size_t j = 0; j < v->n; j++) {
                    double weight = weights ? (double)weights[j] : 1;
                    all += (size_t)v->labels[j] == c ? weight : 0;
                    if ((size_t)v->labels[j] == c && (double)v->scores[j * 3 + signal] >= w.threshold)
                        passed += weight;
                }
                assert_string_equal(other[i].name, names[c]);
                assert_true(fabs(other[i].value - passed / all) < 1e-9);
            }
        }
}

static void test_working_points_are_the_highest_thresholds_that_reach_the_target(void **state)
{
    (void)state;
    struct events v;
    events_init(&v, 900, false);
    assert_working_points(&v, NULL);
    assert_working_points(&v, v.weights);
    arena_fini(&v.arena);
    events_init(&v, 900, true);
    assert_working_points(&v, v.weights);
    arena_fini(&v.arena);
}

static void test_targets_out_of_reach_are_refused(void **state)
{
    (void)state;
    struct events v;
    struct error e;
    struct working_point w;
    static const double bad[] = {0, -1, 1.0001, NAN, INFINITY};
    events_init(&v, 90, false);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_status(metrics_working_point(&v.arena, v.scores, v.labels, NULL, 90, 3, names, 0, bad[i], &w, &e),
                      STATUS_RANGE, &e);
    for (size_t i = 0; i < 90; i++)
        v.labels[i] = i % 2;
    assert_status(metrics_working_point(&v.arena, v.scores, v.labels, NULL, 90, 3, names, 2, 0.9, &w, &e), STATUS_RANGE,
                  &e);
    assert_contains(e.text, "wjets");
    arena_fini(&v.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auc_is_the_share_of_pairs_in_order_with_ties_and_weights),
        cmocka_unit_test(test_auc_of_known_cases),
        cmocka_unit_test(test_auc_of_a_closed_form),
        cmocka_unit_test(test_numbers_that_are_not_finite_are_refused),
        cmocka_unit_test(test_a_short_roc_is_complete_and_its_area_is_the_auc),
        cmocka_unit_test(test_a_thinned_roc_keeps_its_shape),
        cmocka_unit_test(test_working_points_are_the_highest_thresholds_that_reach_the_target),
        cmocka_unit_test(test_targets_out_of_reach_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
