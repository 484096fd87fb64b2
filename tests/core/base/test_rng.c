/* tests/core/base/test_rng.c */
#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

/* SplitMix64 as its authors publish it (a state that grows by gamma), to compare with key and counter. */
static uint64_t reference_next(uint64_t *x)
{
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void test_outputs_are_the_published_sequence_of_seed_1234567(void **state)
{
    (void)state;
    static const uint64_t golden[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                      4593380528125082431u, 16408922859458223821u};
    struct rng r = {1234567, 0};
    for (size_t i = 0; i < ARRAY_LEN(golden); i++)
        assert_true(rng_u64(&r) == golden[i]);
}

static void test_key_and_counter_restart_a_stream_anywhere(void **state)
{
    (void)state;
    struct rng r = rng_stream(42, 7);
    uint64_t x = r.key;
    for (int i = 0; i < 1000; i++)
        assert_true(rng_u64(&r) == reference_next(&x));
    struct rng again = {r.key, 500}, from_500 = rng_stream(42, 7);
    for (int i = 0; i < 500; i++)
        (void)rng_u64(&from_500);
    for (int i = 0; i < 500; i++)
        assert_true(rng_u64(&again) == rng_u64(&from_500));
}

static void test_streams_keep_their_values_for_ever(void **state)
{
    (void)state;
    /* Splits, shuffles and initial weights of stored models depend on these. */
    struct rng r = rng_stream(1, 2);
    assert_true(rng_u64(&r) == 0x9EDBE9BD18AD781Du);
    r = rng_stream(0, 0);
    assert_true(rng_u64(&r) == 0x568A9B0B1A2C05ECu);
}

static void test_streams_of_a_seed_differ_and_do_not_correlate(void **state)
{
    (void)state;
    double sum = 0;
    for (uint64_t s = 0; s < 1000; s++) {
        struct rng a = rng_stream(5, s), b = rng_stream(5, s + 1), c = rng_stream(6, s);
        assert_true(a.key != b.key && a.key != c.key);
        sum += (rng_f64(&a) - 0.5) * (rng_f64(&b) - 0.5);
    }
    assert_true(fabs(sum) < 1000 * 5 / sqrt(1000 * 144.));    /* variance of the product is 1/144: 5 deviations */
}

static void test_below_is_uniform_and_in_range(void **state)
{
    (void)state;
    struct rng r = rng_stream(3, 0);
    size_t counts[7] = {0};
    for (int i = 0; i < 70000; i++)
        counts[rng_below(&r, 7)]++;
    for (size_t i = 0; i < 7; i++)
        assert_in_range(counts[i], 10000 - 500, 10000 + 500);  /* 5 deviations of sqrt(10000 * 6/7) = 93 */
    for (int i = 0; i < 1000; i++)
        assert_true(rng_below(&r, 1) == 0);
    uint64_t huge = (1ull << 63) + 1;
    size_t n_high = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t v = rng_below(&r, huge);
        assert_true(v < huge);
        n_high += v >= huge / 2;
    }
    assert_in_range(n_high, 4750, 5250);
}

static void test_floats_lie_in_the_half_open_unit_interval(void **state)
{
    (void)state;
    struct rng r = rng_stream(4, 0);
    double sum = 0, least = 1, most = 0;
    for (int i = 0; i < 100000; i++) {
        double x = rng_f64(&r);
        assert_true(x >= 0 && x < 1);
        sum += x;
        least = x < least ? x : least;
        most = x > most ? x : most;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005);
    assert_true(least < 1e-3 && most > 1 - 1e-3);
}

static void test_normal_has_its_moments_and_takes_two_draws(void **state)
{
    (void)state;
    struct rng r = rng_stream(9, 0);
    double m1 = 0, m2 = 0, m4 = 0;
    int n = 200000;
    for (int i = 0; i < n; i++) {
        double x = rng_normal(&r);
        m1 += x / n;
        m2 += x * x / n;
        m4 += x * x * x * x / n;
    }
    assert_true(r.counter == 2 * (uint64_t)n);
    assert_true(fabs(m1) < 0.012);                            /* 5 deviations of 1/sqrt(n) */
    assert_true(fabs(m2 - 1) < 0.016);                        /* of sqrt(2/n) */
    assert_true(fabs(m4 - 3) < 0.11);                         /* of sqrt(96/n) */
}

static void test_a_shuffle_is_a_permutation_and_repeats_itself(void **state)
{
    (void)state;
    uint32_t v[1000], w[1000], seen[1000] = {0};
    for (uint32_t i = 0; i < 1000; i++)
        v[i] = w[i] = i;
    struct rng r = rng_stream(1, 0), again = rng_stream(1, 0);
    rng_shuffle_u32(&r, v, 1000);
    rng_shuffle_u32(&again, w, 1000);
    assert_memory_equal(v, w, sizeof v);
    size_t n_moved = 0;
    for (size_t i = 0; i < 1000; i++) {
        seen[v[i]]++;
        n_moved += v[i] != i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(seen[i], 1);
    assert_true(n_moved > 950);
    rng_shuffle_u32(&r, v, 0);
    rng_shuffle_u32(&r, v, 1);
}

static void test_a_shuffle_reaches_every_order_equally(void **state)
{
    (void)state;
    size_t counts[27] = {0};
    struct rng r = rng_stream(8, 0);
    for (int i = 0; i < 60000; i++) {
        uint32_t v[3] = {0, 1, 2};
        rng_shuffle_u32(&r, v, 3);
        counts[v[0] * 9 + v[1] * 3 + v[2]]++;
    }
    static const size_t orders[] = {5, 7, 11, 15, 19, 21};    /* 012 021 102 120 201 210 in base 3 */
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        assert_in_range(counts[orders[i]], 9500, 10500);
}

static void test_hash64_is_xxh64(void **state)
{
    (void)state;
    /* Digests as the xxhsum program prints them. */
    assert_true(hash64("", 0, 0) == 0xEF46DB3751D8E999u);
    assert_true(hash64("abc", 3, 0) == 0x44BC2CF5AD770999u);
    assert_true(hash64("abc", 3, 1) != hash64("abc", 3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_are_the_published_sequence_of_seed_1234567),
        cmocka_unit_test(test_key_and_counter_restart_a_stream_anywhere),
        cmocka_unit_test(test_streams_keep_their_values_for_ever),
        cmocka_unit_test(test_streams_of_a_seed_differ_and_do_not_correlate),
        cmocka_unit_test(test_below_is_uniform_and_in_range),
        cmocka_unit_test(test_floats_lie_in_the_half_open_unit_interval),
        cmocka_unit_test(test_normal_has_its_moments_and_takes_two_draws),
        cmocka_unit_test(test_a_shuffle_is_a_permutation_and_repeats_itself),
        cmocka_unit_test(test_a_shuffle_reaches_every_order_equally),
        cmocka_unit_test(test_hash64_is_xxh64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
