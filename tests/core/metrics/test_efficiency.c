/* tests/core/metrics/test_efficiency.c
 *
 * Wilson intervals against solutions of their defining equation. */
#include "core/metrics.h"

#include "tests/support/unit.h"

#include <math.h>

/* The ends p of the interval solve (p - k/n)^2 = p (1 - p) / n. */
static void test_the_ends_are_one_deviation_from_what_was_seen(void **state)
{
    (void)state;
    static const double cases[][2] = {{0, 10}, {1, 10}, {5, 10}, {10, 10}, {990, 1000}, {1, 1}, {3, 856090}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double k = cases[i][0], n = cases[i][1];
        struct efficiency e = efficiency_of(k, n, n);
        assert_true(e.value == k / n && e.lo <= e.value && e.hi >= e.value && e.lo >= 0 && e.hi <= 1);
        if (k > 0)
            assert_true(fabs((e.lo - k / n) * (e.lo - k / n) - e.lo * (1 - e.lo) / n) < 1e-12);
        if (k < n)
            assert_true(fabs((e.hi - k / n) * (e.hi - k / n) - e.hi * (1 - e.hi) / n) < 1e-12);
    }
}

static void test_none_and_all_have_intervals_of_their_own(void **state)
{
    (void)state;
    struct efficiency none = efficiency_of(0, 9, 9), all = efficiency_of(9, 9, 9);
    assert_true(none.lo == 0 && fabs(none.hi - 0.1) < 1e-12);  /* 1 / (n + 1) */
    assert_true(all.hi == 1 && fabs(all.lo - 0.9) < 1e-12);
}

static void test_weights_count_by_their_effective_number(void **state)
{
    (void)state;
    struct efficiency plain = efficiency_of(25, 100, 100), doubled = efficiency_of(50, 200, 400);
    assert_true(plain.value == doubled.value);
    assert_true(fabs(plain.lo - doubled.lo) < 1e-15 && fabs(plain.hi - doubled.hi) < 1e-15);
    struct efficiency uneven = efficiency_of(25, 100, 400);   /* as 25 events */
    struct efficiency few = efficiency_of(6.25, 25, 25);
    assert_true(fabs(uneven.lo - few.lo) < 1e-15 && fabs(uneven.hi - few.hi) < 1e-15);
}

static void test_of_nothing_there_is_no_efficiency(void **state)
{
    (void)state;
    struct efficiency e = efficiency_of(0, 0, 0);
    assert_true(isnan(e.value) && isnan(e.lo) && isnan(e.hi));
    e = efficiency_of(-1, -3, 9);
    assert_true(isnan(e.value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_ends_are_one_deviation_from_what_was_seen),
        cmocka_unit_test(test_none_and_all_have_intervals_of_their_own),
        cmocka_unit_test(test_weights_count_by_their_effective_number),
        cmocka_unit_test(test_of_nothing_there_is_no_efficiency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
