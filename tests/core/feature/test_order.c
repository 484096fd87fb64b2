/* tests/core/feature/test_order.c
 *
 * Stable orders, and the sequence input that networks get. */
#include "tests/core/feature/events.h"

#include "core/feature/internal.h"

enum { ETA = 5, PHI = 6, C = PARTICLE_COLUMNS, ALL = PARTICLE_ROWS_MAX };

static void check_order(const uint32_t *key, size_t n)
{
    uint32_t *order = malloc((n + 1) * sizeof *order), *spare = malloc((n + 1) * sizeof *spare);
    bool *seen = calloc(n + 1, 1);
    order_stable(key, n, order, spare);
    for (size_t i = 0; i < n; i++) {
        assert_true(order[i] < n && !seen[order[i]]);
        seen[order[i]] = true;
        if (i > 0) {
            assert_true(key[order[i - 1]] <= key[order[i]]);
            assert_true(key[order[i - 1]] < key[order[i]] || order[i - 1] < order[i]);
        }
    }
    free(order);
    free(spare);
    free(seen);
}

static void test_order_is_sorted_stable_and_a_permutation(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 23, 24, 25, 26, 100, 801, 70000};
    static const uint32_t masks[] = {0, 1, 0xff, 0xff00, 0xff0000, 0xff000000, 0x01010101, UINT32_MAX};
    struct rng r = rng_stream(4, 0);
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        uint32_t *key = malloc((sizes[s] + 1) * sizeof *key);
        for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
            for (size_t i = 0; i < sizes[s]; i++)
                key[i] = (uint32_t)rng_u64(&r) & masks[m];
            check_order(key, sizes[s]);
        }
        free(key);
    }
}

static void test_decreasing_key_orders_floats(void **state)
{
    (void)state;
    static const float falling[] = {INFINITY, 3e38f, 2, 1.0000001f, 1, 1e-40f, 0, -1e-40f, -1, -3e38f, -INFINITY};
    for (size_t i = 1; i < ARRAY_LEN(falling); i++)
        assert_true(order_key_decreasing(falling[i - 1]) < order_key_decreasing(falling[i]));
    assert_true(order_key_decreasing(NAN) < order_key_decreasing(INFINITY));
}

/* ---- sequence -------------------------------------------------------------------------------------------- */

static float rows19[ALL * C], sequence[ALL * C];

/* Column 0 numbers the rows from 1, so that they can be told apart. */
static void random_rows(struct rng *r, size_t n, uint32_t grid)
{
    memset(rows19, 0, sizeof rows19);
    for (size_t i = 0; i < n; i++) {
        float *row = rows19 + i * C;
        for (size_t c = 0; c < C; c++)
            row[c] = (float)rng_normal(r);
        row[0] = (float)(i + 1);
        row[ETA] = grid ? (float)rng_below(r, grid) : (float)(10 * rng_f64(r) - 5);
        row[PHI] = grid ? (float)rng_below(r, grid) : (float)(6.28 * rng_f64(r) - 3.14);
    }
}

static double distance(const float *a, const float *b)
{
    double d_eta = (double)a[ETA] - (double)b[ETA], d_phi = (double)a[PHI] - (double)b[PHI];
    while (d_phi > PI)
        d_phi -= TWO_PI;
    while (d_phi < -PI)
        d_phi += TWO_PI;
    return sqrt(d_eta * d_eta + d_phi * d_phi);
}

static struct sequence_scaler no_scaling(void)
{
    struct sequence_scaler s = {.mean = {0}};
    for (size_t c = 0; c < C; c++)
        s.factor[c] = 1;
    return s;
}

static void check_ragged_order(size_t n)
{
    struct sequence_scaler same = no_scaling();
    assert_int_equal(sequence_prepare(recipe_find("topology-1"), &same, rows19, n, sequence), n);
    for (size_t i = 0; i < n; i++) {
        size_t from = (size_t)sequence[i * C] - 1;
        assert_same_bits(sequence + i * C, rows19 + from * C, C);
        if (i == 0)
            continue;
        size_t before = (size_t)sequence[(i - 1) * C] - 1;
        double d = distance(rows19, rows19 + from * C), d_before = distance(rows19, rows19 + before * C);
        assert_true(d_before > d || (d_before == d && before < from));
    }
}

static void test_ragged_sequence_is_stable_by_decreasing_distance_to_the_lepton(void **state)
{
    (void)state;
    struct rng r = rng_stream(5, 0);
    static const size_t sizes[] = {1, 2, 10, 100, 570, 801};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        random_rows(&r, sizes[s], 0);
        check_ragged_order(sizes[s]);
        random_rows(&r, sizes[s], 3);                  /* many equal distances */
        check_ragged_order(sizes[s]);
    }
}

/* Distances that agree in the first 32 bits of the double still come in their exact order. */
static void test_nearly_equal_distances_are_told_apart(void **state)
{
    (void)state;
    struct rng r = rng_stream(6, 0);
    random_rows(&r, 801, 0);
    float eta = 3;
    for (size_t i = 0; i < 801; i++) {
        rows19[i * C + ETA] = i == 0 ? 0 : eta;
        rows19[i * C + PHI] = 0;
        if (i % 2)
            eta = nextafterf(eta, 4);
    }
    check_ragged_order(801);
}

static void test_ragged_sequence_is_standardised_by_the_given_scaler(void **state)
{
    (void)state;
    struct rng r = rng_stream(7, 0);
    struct sequence_scaler s;
    random_rows(&r, 1, 0);
    for (size_t c = 0; c < C; c++) {
        s.mean[c] = (double)c;
        s.factor[c] = 0.5 + (double)c;
    }
    assert_int_equal(sequence_prepare(recipe_find("topology-1"), &s, rows19, 1, sequence), 1);
    for (size_t c = 0; c < C; c++)
        assert_true(sequence[c] == (float)(((double)rows19[c] - (double)c) * (0.5 + (double)c)));
}

static void test_dense_sequence_has_mean_0_and_deviation_1(void **state)
{
    (void)state;
    struct rng r = rng_stream(8, 0);
    static const size_t sizes[] = {1, 300, 800, 801};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        random_rows(&r, sizes[s], 0);
        assert_int_equal(sequence_prepare(recipe_find("sparkdltrigger-1"), NULL, rows19, sizes[s], sequence), ALL);
        for (size_t c = 0; c < C; c++) {
            double sum = 0, sum2 = 0;
            for (size_t i = 0; i < ALL; i++) {
                sum += (double)sequence[i * C + c];
                sum2 += (double)sequence[i * C + c] * (double)sequence[i * C + c];
            }
            assert_float_equal(sum / ALL, 0, 1e-6);
            assert_float_equal(sum2 / ALL, 1, 1e-5);
        }
    }
}

/* Zero rows stand at eta = phi = 0: behind what is farther from the lepton, before what is nearer. */
static void test_zero_rows_are_sorted_in(void **state)
{
    (void)state;
    memset(rows19, 0, sizeof rows19);
    static const float eta[] = {2, 3, -2, 0.5f};       /* dR to the lepton: 0, 1, 4, 1.5; zero rows 2 */
    for (size_t i = 0; i < 4; i++) {
        rows19[i * C] = (float)(i + 1);
        rows19[i * C + ETA] = eta[i];
    }
    sequence_prepare(recipe_find("sparkdltrigger-1"), NULL, rows19, 4, sequence);
    /* Column 0 grows with the row's number: the standardised order shows the rows. */
    float lepton = sequence[800 * C], second = sequence[799 * C], third = sequence[798 * C], zero = sequence[400 * C];
    assert_true(sequence[0] > lepton);                 /* row 2 first */
    assert_true(second > lepton && third > second);    /* rows 1, then 0 last; row 3 before them */
    for (size_t i = 1; i < 798; i++)
        assert_true(sequence[i * C] == zero && zero < lepton);
}

static void test_column_without_variance_is_only_shifted(void **state)
{
    (void)state;
    struct rng r = rng_stream(9, 0);
    random_rows(&r, 801, 0);
    for (size_t i = 0; i < 801; i++) {
        rows19[i * C + 3] = 0.1f;
        rows19[i * C + 4] = 0;
    }
    sequence_prepare(recipe_find("sparkdltrigger-1"), NULL, rows19, 801, sequence);
    for (size_t i = 0; i < 801; i++) {
        assert_float_equal(sequence[i * C + 3], 0, 1e-12);
        assert_true(sequence[i * C + 4] == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_sorted_stable_and_a_permutation),
        cmocka_unit_test(test_decreasing_key_orders_floats),
        cmocka_unit_test(test_ragged_sequence_is_stable_by_decreasing_distance_to_the_lepton),
        cmocka_unit_test(test_nearly_equal_distances_are_told_apart),
        cmocka_unit_test(test_ragged_sequence_is_standardised_by_the_given_scaler),
        cmocka_unit_test(test_dense_sequence_has_mean_0_and_deviation_1),
        cmocka_unit_test(test_zero_rows_are_sorted_in),
        cmocka_unit_test(test_column_without_variance_is_only_shifted),
    };
    return cmocka_run_group_tests_name("feature_order", tests, NULL, NULL);
}
