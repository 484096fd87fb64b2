/* tests/core/base/test_blas.c */
#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

enum { SIZE_MAX_TESTED = 40 };

static void fill(struct rng *r, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)rng_normal(r);
}

/* One product of random shape with leading dimensions above the least, compared with sums in double. */
static void compare_one(struct rng *r)
{
    static float a[SIZE_MAX_TESTED * SIZE_MAX_TESTED], b[SIZE_MAX_TESTED * SIZE_MAX_TESTED];
    static float c[SIZE_MAX_TESTED * SIZE_MAX_TESTED], before[SIZE_MAX_TESTED * SIZE_MAX_TESTED];
    bool trans_a = rng_below(r, 2), trans_b = rng_below(r, 2);
    size_t m = rng_below(r, 33), n = rng_below(r, 33), k = rng_below(r, 33);
    size_t lda = (trans_a ? m : k) + rng_below(r, 5), ldb = (trans_b ? k : n) + rng_below(r, 5);
    size_t ldc = n + rng_below(r, 5);
    float alpha = (float)rng_normal(r), beta = rng_below(r, 2) ? 0 : (float)rng_normal(r);
    fill(r, a, ARRAY_LEN(a));
    fill(r, b, ARRAY_LEN(b));
    fill(r, c, ARRAY_LEN(c));
    if (beta == 0)
        c[0] = NAN;                                           /* beta 0 means that C is not read */
    memcpy(before, c, sizeof c);
    blas_sgemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < ldc; j++) {
            size_t at = i * ldc + j;
            if (j >= n) {
                assert_memory_equal(&c[at], &before[at], sizeof c[at]);   /* between the rows nothing is written */
                continue;
            }
            double sum = beta == 0 ? 0 : (double)beta * (double)before[at];
            for (size_t l = 0; l < k; l++)
                sum += (double)alpha * (double)a[trans_a ? l * lda + i : i * lda + l] *
                       (double)b[trans_b ? j * ldb + l : l * ldb + j];
            assert_true(fabs(sum - (double)c[at]) < 1e-4);
        }
}

static void test_products_agree_with_plain_sums_for_every_transposition(void **state)
{
    (void)state;
    struct rng r = rng_stream(17, 0);
    for (int i = 0; i < 500; i++)
        compare_one(&r);
}

static void test_without_inner_dimension_only_beta_c_remains(void **state)
{
    (void)state;
    float c[6] = {1, 2, 3, 4, 5, 6};
    blas_sgemm(false, false, 2, 2, 0, 1, NULL, 0, NULL, 2, 0.5f, c, 3);
    static const float half[6] = {0.5f, 1, 3, 2, 2.5f, 6};
    assert_memory_equal(c, half, sizeof c);
    c[0] = NAN;
    blas_sgemm(false, false, 1, 1, 0, 1, NULL, 0, NULL, 1, 0, c, 1);
    assert_true(c[0] == 0);
    blas_sgemm(false, false, 0, 5, 3, 1, NULL, 3, NULL, 5, 0, NULL, 5);
}

static enum status multiply(void *ctx, size_t i, size_t thread, struct error *e)
{
    static const float a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8};
    (void)thread, (void)e;
    blas_sgemm(false, false, 2, 2, 2, 1, a, 2, b, 2, 0, (float *)ctx + 4 * i, 2);
    return STATUS_OK;
}

static void test_threads_may_multiply_at_once(void **state)
{
    (void)state;
    static float c[4 * 500];
    static const float product[4] = {19, 22, 43, 50};
    struct error e;
    assert_ok(par_for(8, 500, multiply, c, &e), &e);
    for (size_t i = 0; i < 500; i++)
        assert_memory_equal(c + 4 * i, product, sizeof product);
    assert_contains(blas_config(), "OpenBLAS");
}

static void test_the_kernel_level_can_only_be_lowered(void **state)
{
    (void)state;
    enum cpu_level best = cpu_level();
    cpu_level_set(CPU_PORTABLE);
    assert_int_equal(cpu_level(), CPU_PORTABLE);
    cpu_level_set(CPU_AVX2);
    assert_int_equal(cpu_level(), best < CPU_AVX2 ? best : CPU_AVX2);
    cpu_level_set(CPU_AVX512);
    assert_int_equal(cpu_level(), best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products_agree_with_plain_sums_for_every_transposition),
        cmocka_unit_test(test_without_inner_dimension_only_beta_c_remains),
        cmocka_unit_test(test_threads_may_multiply_at_once),
        cmocka_unit_test(test_the_kernel_level_can_only_be_lowered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
