/* tests/core/model/test_model.c
 *
 * Scoring: the same bits in any batch, on any thread and by any kernels; counting of references. */
#include "core/model.h"

#include "tests/core/model/toy.h"

enum { ROWS = 1000 };

static void assert_any_batch(struct toy *t)
{
    static const size_t at_once[] = {1, 2, 3, 4, 8, 33, 64, 65, 1000};
    struct model *m = toy_train(t, 1);
    size_t n_classes = model_n_classes(m);
    float *one = mem_alloc(ROWS * n_classes * sizeof *one), *many = mem_alloc(ROWS * n_classes * sizeof *many);
    cpu_level_set(CPU_PORTABLE);
    model_predict_hlf(m, t->hlf, ROWS, one);
    for (size_t i = 0; i < ROWS; i++) {
        double sum = 0;
        for (size_t c = 0; c < n_classes; c++) {
            assert_true(one[i * n_classes + c] > 0);
            sum += (double)one[i * n_classes + c];
        }
        assert_true(fabs(sum - 1) < 1e-5);
    }
    for (int level = CPU_PORTABLE; level <= CPU_AVX512; level++)
        for (size_t k = 0; k < ARRAY_LEN(at_once); k++) {
            cpu_level_set((enum cpu_level)level);
            memset(many, 0, ROWS * n_classes * sizeof *many);
            for (size_t done = 0; done < ROWS; done += at_once[k]) {
                size_t n = ROWS - done < at_once[k] ? ROWS - done : at_once[k];
                model_predict_hlf(m, t->hlf + done * HLF_COUNT, n, many + done * n_classes);
            }
            assert_memory_equal(one, many, ROWS * n_classes * sizeof *one);
        }
    mem_free(one);
    mem_free(many);
    model_release(m);
}

static void test_a_row_scores_the_same_bits_in_any_batch_at_any_level(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, ROWS, 3);
    assert_any_batch(&t);
    toy_fini(&t);
}

static void test_networks_at_the_bounds_score_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, ROWS, 64);
    TOY_HIDDEN(&t, 1, 7, 100, 1, 64, 33, 17, 2);
    assert_any_batch(&t);
    toy_fini(&t);
}

/* Widths that leave no gap for the third layer's values: the stack's room must still do. */
static void test_the_widest_networks_score(void **state)
{
    (void)state;
    static const int64_t widths[][3] = {{900, 1024, 1024}, {1024, 1024, 1024}, {1000, 1023, 1024}};
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        struct toy t;
        float one[3], many[3 * 20];
        toy_init(&t, 20, 3);
        toy_hidden(&t, 3, widths[i]);
        struct model *m = toy_train(&t, 0);
        model_predict_hlf(m, t.hlf, 1, one);
        model_predict_hlf(m, t.hlf, 20, many);
        assert_memory_equal(one, many, sizeof one);
        model_release(m);
        toy_fini(&t);
    }
}

struct crowd {
    const struct model *m;
    const struct toy *t;
    const float *expected;
};

static enum status score_some(void *ctx, size_t i, size_t thread, struct error *e)
{
    (void)thread;
    const struct crowd *c = ctx;
    float out[3 * 200];
    size_t first = i * 37 % 700, n = 1 + i * 13 % 200;
    model_predict_hlf(c->m, c->t->hlf + first * HLF_COUNT, n, out);
    if (memcmp(out, c->expected + first * 3, n * 3 * sizeof *out) != 0)
        return error_set(e, STATUS_BUG, "call %zu gave other bits", i);
    return STATUS_OK;
}

static void test_many_threads_score_the_same_bits_at_once(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    float expected[ROWS * 3];
    toy_init(&t, ROWS, 3);
    struct model *m = toy_train(&t, 1);
    model_predict_hlf(m, t.hlf, ROWS, expected);
    struct crowd c = {m, &t, expected};
    assert_ok(par_for(8, 2000, score_some, &c, &e), &e);      /* more threads than working memories */
    model_release(m);
    toy_fini(&t);
}

static void test_no_rows_are_no_work(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 50, 3);
    struct model *m = toy_train(&t, 0);
    model_predict_hlf(m, NULL, 0, NULL);
    model_release(m);
    toy_fini(&t);
}

static void test_scoring_does_not_allocate(void **state)
{
    (void)state;
    struct toy t;
    float out[3 * 200];
    toy_init(&t, 200, 3);
    struct model *m = toy_train(&t, 0);
    assert_true(alloc_fail_begin(1));
    model_predict_hlf(m, t.hlf, 200, out);
    model_predict_hlf(m, t.hlf, 1, out);
    assert_false(alloc_fail_end());
    model_release(m);
    toy_fini(&t);
}

/* The scaler is part of the model: other units in, the same scores out. */
static void test_rows_are_scaled_by_the_models_own_scaler(void **state)
{
    (void)state;
    struct toy plain, scaled;
    struct error e;
    float a[3 * 100], b[3 * 100];
    toy_init(&plain, 100, 3);
    toy_init(&scaled, 100, 3);
    struct hlf_scaler s = {{false}, {0}, {0}};
    for (size_t f = 0; f < HLF_COUNT; f++) {
        s.shift[f] = 16 * (double)f;
        s.factor[f] = 0.25;
    }
    for (size_t i = 0; i < 100; i++)
        for (size_t f = 0; f < HLF_COUNT; f++) {
            float *x = &plain.hlf[i * HLF_COUNT + f];
            *x = floorf(*x * 64) / 64;                        /* few digits: scaling is exact */
            scaled.hlf[i * HLF_COUNT + f] = *x * 4 + 16 * (float)f;
        }
    assert_ok(scaler_record_make(&scaled.arena, &s, NULL, &scaled.header.scaler, &e), &e);
    struct model *m = toy_train(&plain, 1), *n = toy_train(&scaled, 1);
    model_predict_hlf(m, plain.hlf, 100, a);
    model_predict_hlf(n, scaled.hlf, 100, b);
    assert_memory_equal(a, b, sizeof a);
    model_release(m);
    model_release(n);
    toy_fini(&plain);
    toy_fini(&scaled);
}

static void test_a_model_lives_as_long_as_someone_holds_it(void **state)
{
    (void)state;
    struct toy t;
    float out[3];
    toy_init(&t, 50, 3);
    struct model *m = toy_train(&t, 0);
    model_acquire(m);
    model_release(m);
    model_predict_hlf(m, t.hlf, 1, out);
    assert_string_equal(model_class(m, 2), "class2");
    assert_string_equal(model_recipe(m)->name, "topology-1");
    assert_int_equal(model_input(m), INPUT_HLF);
    assert_int_equal(strlen(model_sha256(m)), 64);
    model_release(m);
    model_release(NULL);
    toy_fini(&t);
}

static int all_levels_again(void **state)
{
    (void)state;
    cpu_level_set(CPU_AVX512);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_row_scores_the_same_bits_in_any_batch_at_any_level, all_levels_again),
        cmocka_unit_test_teardown(test_networks_at_the_bounds_score_the_same_bits_in_any_batch, all_levels_again),
        cmocka_unit_test(test_the_widest_networks_score),
        cmocka_unit_test(test_many_threads_score_the_same_bits_at_once),
        cmocka_unit_test(test_no_rows_are_no_work),
        cmocka_unit_test(test_scoring_does_not_allocate),
        cmocka_unit_test(test_rows_are_scaled_by_the_models_own_scaler),
        cmocka_unit_test(test_a_model_lives_as_long_as_someone_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
