/* tests/core/metrics/test_auc_bins.c
 *
 * AUC of counted scores against the exact one. */
#include "core/metrics.h"

#include "tests/support/unit.h"

#include <math.h>

enum { N = 20000, CLASSES = 3 };

struct scored {
    float *scores;
    int32_t *label;
    float *weight;
};

/* Softmax of logits that know a little of the label; `spread` large: most scores near 0 and 1. */
static struct scored make(double spread)
{
    struct scored s = {mem_alloc(N * CLASSES * sizeof(float)), mem_alloc(N * sizeof(int32_t)), mem_alloc(N * sizeof(float))};
    struct rng r = rng_stream(3, 1);
    for (size_t i = 0; i < N; i++) {
        double e[CLASSES], sum = 0;
        s.label[i] = (int32_t)rng_below(&r, CLASSES);
        s.weight[i] = (float)rng_f64(&r);
        for (size_t c = 0; c < CLASSES; c++)
            sum += e[c] = exp(spread * (rng_normal(&r) + (c == (size_t)s.label[i])));
        for (size_t c = 0; c < CLASSES; c++)
            s.scores[i * CLASSES + c] = (float)(e[c] / sum);
    }
    return s;
}

static void release(struct scored *s)
{
    mem_free(s->scores);
    mem_free(s->label);
    mem_free(s->weight);
}

static void test_counted_scores_have_nearly_the_exact_auc(void **state)
{
    (void)state;
    /* Nearly equal scores share bins; at spread 8 many are beyond 2^-32. */
    static const double spreads[] = {0.01, 1, 8}, allowed[] = {3e-3, 2e-5, 2e-4};
    for (size_t k = 0; k < ARRAY_LEN(spreads); k++) {
        struct scored s = make(spreads[k]);
        struct metrics_auc_bins *b;
        struct error e;
        struct arena a;
        struct evaluation exact;
        static const char *const names[] = {"a", "b", "c"};
        arena_init(&a, 1 << 28);
        assert_ok(metrics_auc_bins_create(CLASSES, &b, &e), &e);
        metrics_auc_bins_add(b, s.scores, 0, 1e9);
        metrics_auc_bins_clear(b);                            /* forgets what was there */
        for (size_t i = 0; i < N; i++)
            metrics_auc_bins_add(b, s.scores + i * CLASSES, (size_t)s.label[i], (double)s.weight[i]);
        assert_ok(metrics_evaluate(&a, s.scores, s.label, s.weight, N, CLASSES, names, &exact, &e), &e);
        for (size_t c = 0; c < CLASSES; c++) {
            double theirs = ((const struct class_metrics *)exact.classes.items)[c].auc;
            double ours = metrics_auc_bins_class(b, c);
            if (!(fabs(ours - theirs) < allowed[k]))
                fail_msg("spread %g: %.7f, exact %.7f", spreads[k], ours, theirs);
        }
        assert_true(fabs(metrics_auc_bins_macro(b) - exact.auc_macro) < allowed[k]);
        metrics_auc_bins_destroy(b);
        arena_fini(&a);
        release(&s);
    }
}

static void test_order_at_the_far_ends_is_kept(void **state)
{
    (void)state;
    struct error e;
    struct metrics_auc_bins *b;
    assert_ok(metrics_auc_bins_create(2, &b, &e), &e);
    metrics_auc_bins_add(b, (const float[]){1 - 0x1p-20f, 0x1p-20f}, 0, 1);
    metrics_auc_bins_add(b, (const float[]){1 - 0x1p-18f, 0x1p-18f}, 1, 1);
    assert_true(metrics_auc_bins_class(b, 0) == 1 && metrics_auc_bins_class(b, 1) == 1);
    metrics_auc_bins_clear(b);
    metrics_auc_bins_add(b, (const float[]){1, 0}, 0, 2);
    metrics_auc_bins_add(b, (const float[]){1, 0}, 1, 3);     /* a tie */
    assert_true(metrics_auc_bins_class(b, 0) == 0.5 && metrics_auc_bins_class(b, 1) == 0.5);
    metrics_auc_bins_destroy(b);
}

static void test_one_side_alone_has_no_auc(void **state)
{
    (void)state;
    struct error e;
    struct metrics_auc_bins *b;
    assert_ok(metrics_auc_bins_create(3, &b, &e), &e);
    assert_true(isnan(metrics_auc_bins_macro(b)));
    metrics_auc_bins_add(b, (const float[]){0.5f, 0.3f, 0.2f}, 0, 1);
    metrics_auc_bins_add(b, (const float[]){0.4f, 0.4f, 0.2f}, 1, 1);
    assert_true(isnan(metrics_auc_bins_class(b, 2)));
    assert_true(metrics_auc_bins_macro(b) == 1);
    metrics_auc_bins_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted_scores_have_nearly_the_exact_auc),
        cmocka_unit_test(test_order_at_the_far_ends_is_kept),
        cmocka_unit_test(test_one_side_alone_has_no_auc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
