/* tests/server/json/test_events_in_number.c
 *
 * Numbers are rounded exactly as strtod rounds them, in every way that the scanner has for them, and the grammar is
 * that of JSON. */
#include "server/json/events_in_scan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ARRAY_NUMBERS = 64, NUMBER_BYTES = 64 };

static void assert_same_double(const char *text)
{
    struct arena a;
    struct scan_number number;
    bool no_memory = false;
    arena_init(&a, 1 << 16);
    size_t len = strlen(text);
    uint8_t *copy = malloc(len);                       /* exactly as long, for sanitizers */
    memcpy(copy, text, len);
    const uint8_t *end = number_scan(copy, copy + len, &a, &number, &no_memory);
    double expected = strtod(text, NULL);
    if (end != copy + len || memcmp(&number.value, &expected, sizeof expected) != 0)
        fail_msg("%s: %.17g, strtod says %.17g", text, end ? number.value : 0, expected);
    free(copy);
    arena_fini(&a);
}

static void assert_same_floats(char (*texts)[NUMBER_BYTES], size_t n, const char *separator)
{
    struct scan s;
    struct arena a;
    struct error e;
    struct json_problems problems = {0};
    struct buf b;
    float out[ARRAY_NUMBERS];
    size_t found;
    bool is_array;
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_printf(&b, &e, "%s%s", i ? separator : "[", texts[i]), STATUS_OK);
    assert_int_equal(buf_printf(&b, &e, "]"), STATUS_OK);
    arena_init(&a, 1 << 16);
    scan_init(&s, b.data, b.len, 8, &a, &problems, &e);
    assert_int_equal(scan_f32_array(&s, out, ARRAY_NUMBERS, &found, &is_array), STATUS_OK);
    assert_int_equal(found, n);
    for (size_t i = 0, p = 0; i < n; i++) {
        float expected = (float)strtod(texts[i], NULL);
        if (!isfinite(expected)) {
            assert_true(p < problems.n);
            assert_string_equal(problems.items[p++].code, "out_of_range");
        } else if (memcmp(&out[i], &expected, sizeof expected) != 0) {
            fail_msg("%s: %.9g, strtod says %.9g", texts[i], (double)out[i], (double)expected);
        }
    }
    arena_fini(&a);
    buf_fini(&b);
}

static size_t put_digits(char *p, struct rng *r, size_t n, bool first_nonzero)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('0' + (i == 0 && first_nonzero ? 1 + rng_below(r, 9) : rng_below(r, 10)));
    return n;
}

/* A JSON number of any shape: lengths from one digit to more than a mantissa holds. */
static void random_number(char *out, struct rng *r)
{
    char *p = out;
    if (rng_below(r, 2))
        *p++ = '-';
    if (rng_below(r, 4) == 0)
        *p++ = '0';
    else
        p += put_digits(p, r, 1 + (size_t)rng_below(r, rng_below(r, 4) ? 4 : 22), true);
    if (rng_below(r, 5)) {
        *p++ = '.';
        p += put_digits(p, r, 1 + (size_t)rng_below(r, rng_below(r, 3) ? 9 : 24), false);
    }
    if (rng_below(r, 6) == 0)
        p += sprintf(p, "%c%s%d", rng_below(r, 2) ? 'e' : 'E', rng_below(r, 2) ? "" : "-", (int)rng_below(r, 50));
    *p = '\0';
}

static void test_random_numbers_are_rounded_as_strtod_rounds_them(void **state)
{
    (void)state;
    struct rng r = rng_stream(11, 0);
    char texts[ARRAY_NUMBERS][NUMBER_BYTES];
    for (size_t round = 0; round < 4000; round++) {
        for (size_t i = 0; i < ARRAY_NUMBERS; i++) {
            random_number(texts[i], &r);
            assert_same_double(texts[i]);
        }
        assert_same_floats(texts, ARRAY_NUMBERS, round % 3 == 0 ? ", " : round % 3 == 1 ? "," : " ,\n  ");
    }
}

/* Halfway points between two doubles or two floats, and their neighbours, are where a careless rounding shows. */
static void test_numbers_next_to_halfway_points_are_rounded_as_strtod_rounds_them(void **state)
{
    (void)state;
    struct rng r = rng_stream(12, 0);
    char texts[ARRAY_NUMBERS][NUMBER_BYTES];
    for (size_t round = 0; round < 3000; round++) {
        for (size_t i = 0; i < ARRAY_NUMBERS; i++) {
            uint32_t bits = (uint32_t)((100 + rng_below(&r, 50)) << 23 | rng_below(&r, 1 << 23));
            float low, high;
            memcpy(&low, &bits, sizeof low);
            high = nextafterf(low, INFINITY);
            double v = ((double)low + (double)high) / 2;
            for (uint64_t step = rng_below(&r, 3); step > 0; step--)
                v = nextafter(v, rng_below(&r, 2) ? INFINITY : -INFINITY);
            snprintf(texts[i], NUMBER_BYTES, "%.*g", 15 + (int)rng_below(&r, 5), v);
            if (strlen(texts[i]) + 2 < NUMBER_BYTES && strchr(texts[i], '.') && !strchr(texts[i], 'e') &&
                rng_below(&r, 2))
                strcat(texts[i], rng_below(&r, 2) ? "1" : "0");
            assert_same_double(texts[i]);
        }
        assert_same_floats(texts, ARRAY_NUMBERS, ",");
    }
}

static void test_numbers_at_the_edges_are_rounded_as_strtod_rounds_them(void **state)
{
    (void)state;
    static const char *const edges[] = {"0",
                                        "-0",
                                        "0.0",
                                        "-0.0e5",
                                        "0e999999999999",
                                        "1e-400",
                                        "-1e-400",
                                        "1e400",
                                        "4.9e-324",
                                        "2.4703282292062328e-324",
                                        "1.7976931348623157e308",
                                        "1.7976931348623159e308",
                                        "2.2250738585072011e-308",
                                        "9007199254740992",
                                        "9007199254740993",
                                        "9007199254740993.0",
                                        "90071992547409930e-1",
                                        "9007199254740991.5",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "184467440737095516150000000000",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "3.4028234663852886e38",
                                        "3.4028235677973366e38",
                                        "3.4028235677973367e38",
                                        "1.401298464324817e-45",
                                        "7.006492321624085e-46",
                                        "7.0064923216240853546186479164495e-46",
                                        "0.000000000000000000000000000000000000000000001",
                                        "1e22",
                                        "1e23",
                                        "123456789e22",
                                        "8.5899345930000001",
                                        "1.00000000000000011102230246251565",
                                        "1.000000000000000111022302462515654042363166809082031251",
                                        "5e-20",
                                        "12345678901234567890.12345678901234567890"};
    char texts[1][NUMBER_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        assert_same_double(edges[i]);
        snprintf(texts[0], sizeof texts[0], "%s", edges[i]);
        assert_same_floats(texts, 1, ",");
    }
    char longest[3000];
    memset(longest, '7', sizeof longest);
    memcpy(longest, "0.", 2);
    longest[sizeof longest - 1] = '\0';
    assert_same_double(longest);
}

static void test_what_is_no_json_number_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "1e-", "-.5", "x", "-x"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct scan_number number;
        bool no_memory = false;
        const uint8_t *p = (const uint8_t *)wrong[i];
        assert_null(number_scan(p, p + strlen(wrong[i]), NULL, &number, &no_memory));
        assert_false(no_memory);
    }
}

static void test_integers_are_exact_to_the_last_bit(void **state)
{
    (void)state;
    static const struct { const char *text; bool is_integer; int64_t value;
    } cases[] = {{"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775807", true, -INT64_MAX},
                 {"9223372036854775808", false, 0},
                 {"9007199254740993", true, 9007199254740993},
                 {"1e3", true, 1000},
                 {"1.5e1", true, 15},
                 {"-2.0", true, -2},
                 {"1.5", false, 0},
                 {"1e300", false, 0},
                 {"0", true, 0},
                 {"12345678901234567890123", false, 0}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct scan_number number;
        bool no_memory = false;
        const uint8_t *p = (const uint8_t *)cases[i].text;
        assert_non_null(number_scan(p, p + strlen(cases[i].text), NULL, &number, &no_memory));
        assert_int_equal(number.is_integer, cases[i].is_integer);
        assert_true(number.integer == cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_numbers_are_rounded_as_strtod_rounds_them),
        cmocka_unit_test(test_numbers_next_to_halfway_points_are_rounded_as_strtod_rounds_them),
        cmocka_unit_test(test_numbers_at_the_edges_are_rounded_as_strtod_rounds_them),
        cmocka_unit_test(test_what_is_no_json_number_is_refused),
        cmocka_unit_test(test_integers_are_exact_to_the_last_bit),
    };
    return cmocka_run_group_tests_name("events_in_number", tests, NULL, NULL);
}
