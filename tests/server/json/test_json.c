/* tests/server/json/test_json.c
 *
 * The value type: hostile texts, round trips, and building without memory. */
#include "server/json/json.h"
#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct json *parsed(const char *text)
{
    struct json *v;
    struct error e;
    if (json_parse(text, strlen(text), &v, &e) != STATUS_OK)
        fail_msg("%s: %s", text, e.text);
    return v;
}

/* The compact text of a value, in memory that the next call reuses. */
static const char *written(const struct json *v)
{
    static char text[4096];
    struct buf b;
    struct error e;
    buf_init(&b, sizeof text - 1);
    assert_int_equal(json_write(v, &b, &e), STATUS_OK);
    memcpy(text, b.data, b.len);
    text[b.len] = '\0';
    buf_fini(&b);
    return text;
}

static void assert_malformed(const void *text, size_t len, const char *says)
{
    struct json *v;
    struct error e;
    assert_int_equal(json_parse(text, len, &v, &e), STATUS_FORMAT);
    assert_null(v);
    if (says && !strstr(e.text, says))
        fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void test_hostile_texts_are_malformed_and_say_where(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } cases[] = {
        {"", "line 1"}, {"{", "line 1"}, {"{\"a\":1,\n \"a\":2}", "line 2"}, {"[1,]", "line 1"}, {"NaN", NULL},
        {"[Infinity]", NULL}, {"[-Infinity]", NULL}, {"[1e400]", NULL}, {"[9223372036854775808]", NULL},
        {"[-9223372036854775809]", NULL}, {"[01]", NULL}, {"[1] x", NULL}, {"\"\\u0000\"", NULL}, {"\"\\ud800\"", NULL},
        {"'a'", NULL}, {"{\"a\" 1}", NULL}, {"\"a\nb\"", NULL}, {"[1 2]", NULL}, {"{1:2}", NULL}, {"tru", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_malformed(cases[i].text, strlen(cases[i].text), cases[i].says);
    assert_malformed("\"\xff\"", 3, NULL);
    assert_malformed("\"\xc0\x80\"", 4, NULL);
    assert_malformed("[1]\0", 4, NULL);
}

static void test_nesting_beyond_the_limit_is_malformed_and_below_it_is_read(void **state)
{
    (void)state;
    enum { MOST = 2048, MANY = 1 << 20 };
    char *text = malloc(MANY);
    struct json *v;
    struct error e;
    memset(text, '[', MANY);
    assert_malformed(text, MANY, NULL);
    memset(text + MOST - 1, ']', MOST - 1);
    assert_int_equal(json_parse(text, 2 * (MOST - 1), &v, &e), STATUS_OK);
    json_free(v);
    free(text);
}

static void test_values_are_read_by_their_types_and_nothing_else(void **state)
{
    (void)state;
    struct json *v = parsed("{\"i\":-7,\"r\":2.5,\"s\":\"x\",\"b\":true,\"n\":null,\"a\":[1,2],\"o\":{\"k\":1}}");
    assert_int_equal(json_int(json_get(v, "i"), 0), -7);
    assert_int_equal(json_int(json_get(v, "r"), 42), 42);
    assert_true(json_num(json_get(v, "i"), 0) == -7 && json_num(json_get(v, "r"), 0) == 2.5);
    assert_string_equal(json_str(json_get(v, "s"), ""), "x");
    assert_string_equal(json_str(json_get(v, "i"), "no"), "no");
    assert_true(json_bool(json_get(v, "b"), false));
    assert_int_equal(json_type_of(json_get(v, "n")), JSON_NULL_);
    assert_int_equal(json_count(json_get(v, "a")), 2);
    assert_int_equal(json_int(json_at(json_get(v, "a"), 1), 0), 2);
    assert_null(json_at(json_get(v, "a"), 2));
    assert_null(json_get(v, "absent"));
    assert_null(json_get(json_get(v, "a"), "k"));
    assert_int_equal(json_count(v), 7);
    assert_int_equal(json_count(NULL), 0);
    assert_null(json_str(NULL, NULL));
    json_free(v);
}

static void test_texts_come_back_as_they_were_written(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"b\":1,\"a\":[true,false,null,\"\\\"\\\\\\n\\u0001\xc3\xa9\"],\"c\":{}}", "[]", "[[[]]]", "0.1", "1e-300",
        "1.0", "0.30000000000000004", "1.7976931348623157e+308", "9223372036854775807", "-9223372036854775808",
        "123456789.12345679", "\"\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json *v = parsed(texts[i]), *copy = json_new_copy(v);
        assert_string_equal(written(v), texts[i]);
        assert_string_equal(written(copy), texts[i]);
        json_free(copy);
        json_free(v);
    }
}

static void test_doubles_keep_every_bit(void **state)
{
    (void)state;
    struct rng r = rng_stream(7, 1);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_u64(&r);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        struct json *v = json_new_f64(value), *back = parsed(written(v));
        double again = json_num(back, 0);
        assert_int_equal(json_type_of(back), JSON_F64_);
        assert_memory_equal(&again, &value, sizeof value);
        json_free(back);
        json_free(v);
    }
}

static void test_what_is_not_finite_or_not_utf8_is_mended(void **state)
{
    (void)state;
    struct json *v = json_new_array();
    json_push(v, json_new_f64(NAN));
    json_push(v, json_new_f64(INFINITY));
    json_push(v, json_new_string("a\xff\xc3"));
    json_push(v, json_new_string("\xed\xa0\x80\xf0\x9f\x98\x80"));
    json_push(v, json_new_string(NULL));
    assert_string_equal(written(v), "[null,null,\"a??\",\"???\xf0\x9f\x98\x80\",null]");
    json_free(v);
    v = json_new_object();
    assert_true(json_set(v, "k\xff", json_new_i64(1)));
    assert_string_equal(written(v), "{\"k?\":1}");
    json_free(v);
}

static void test_times_are_rfc3339_in_utc_with_microseconds(void **state)
{
    (void)state;
    char text[40];
    json_time_text(1795428333120000, text);
    assert_string_equal(text, "2026-11-23T10:05:33.120000Z");
    json_time_text(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    struct json *v = json_new_time(0);
    assert_int_equal(json_type_of(v), JSON_NULL_);
    json_free(v);
}

static void test_pretty_text_is_indented_and_means_the_same(void **state)
{
    (void)state;
    struct json *v = parsed("{\"a\":[1,2],\"b\":{},\"c\":[]}");
    struct buf b;
    struct error e;
    buf_init(&b, 4096);
    assert_int_equal(json_write_pretty(v, &b, &e), STATUS_OK);
    assert_int_equal(buf_append(&b, "", 1, &e), STATUS_OK);
    assert_string_equal(b.data, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": []\n}");
    buf_fini(&b);
    json_free(v);
}

static void test_writing_past_the_buffers_maximum_leaves_it_as_it_was(void **state)
{
    (void)state;
    struct json *v = parsed("[\"0123456789\",\"0123456789\"]");
    struct buf b;
    struct error e;
    buf_init(&b, 16);
    assert_int_equal(buf_append(&b, "x", 1, &e), STATUS_OK);
    assert_int_equal(json_write(v, &b, &e), STATUS_NOMEM);
    assert_int_equal(b.len, 1);
    buf_fini(&b);
    json_free(v);
}

static void test_unknown_members_are_named_with_the_nearest_known_one(void **state)
{
    (void)state;
    static const char *const known[] = {"kind", "spec", "max_attempts", NULL};
    struct json_problems problems = {0};
    struct json *v = parsed("{\"kind\":1,\"specs\":2,\"max-Attempt\":3,\"colour/~\":4}");
    assert_int_equal(json_check_members(v, known, "/x", &problems), 3);
    assert_string_equal(problems.items[0].pointer, "/x/specs");
    assert_non_null(strstr(problems.items[0].detail, "did you mean \"spec\"?"));
    assert_non_null(strstr(problems.items[1].detail, "did you mean \"max_attempts\"?"));
    assert_string_equal(problems.items[2].pointer, "/x/colour~1~0");
    assert_null(strstr(problems.items[2].detail, "did you mean"));
    json_free(v);
}

static void test_problems_past_the_maximum_are_dropped(void **state)
{
    (void)state;
    struct json_problems problems = {0};
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (int i = 0; i < 100; i++)
        json_problem_add(&problems, longer, longer, "%s", longer);
    assert_int_equal(problems.n, JSON_PROBLEMS_MAX);
    assert_int_equal(strlen(problems.items[19].pointer), 159);
}

/* A long number, long strings and nesting: jansson's own buffers grow several times. */
static const char sweep_text[] = "{\"number\":1.234567890123456789012345678901234567890,\"list\":[1,2,3,4,5,6,7,8,9,10,11,12],"
                                 "\"text\":\"0123456789012345678901234567890123456789012345678901234567890123456789\","
                                 "\"a\":{\"b\":{\"c\":{\"d\":[{},{},\"\\u00e9\"]}}}}";

static void test_parsing_without_memory_is_nomem_and_never_another_value(void **state)
{
    (void)state;
    struct json *whole = parsed(sweep_text);
    char expected[1024];
    text_copy(expected, sizeof expected, written(whole));
    json_free(whole);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct json *v;
        struct error e;
        enum status s = json_parse(sweep_text, strlen(sweep_text), &v, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        if (s == STATUS_OK)
            assert_string_equal(written(v), expected);
        json_free(v);
    }
}

static struct json *build(void)
{
    struct json *v = json_new_object(), *list = json_new_array();
    for (int i = 0; i < 40; i++) {
        char key[16];
        struct json *item = json_new_object();
        snprintf(key, sizeof key, "key%d", i);
        json_set(item, key, json_new_i64(i));
        if (json_push(list, item))
            json_set(item, "late", json_new_string("b\xff"));         /* after it was put in */
        json_set(v, key, json_new_f64(i + 0.5));
    }
    json_set(v, "list", list);
    return v;
}

static void test_building_without_memory_is_noticed_when_it_is_written(void **state)
{
    (void)state;
    size_t n = 1;
    for (; alloc_fail_begin(n); n++) {
        struct json *v = build();
        bool failed = alloc_fail_end();
        struct buf b;
        struct error e;
        buf_init(&b, 1 << 20);
        assert_int_equal(json_write(v, &b, &e), failed ? STATUS_NOMEM : STATUS_OK);
        struct json *copy = json_new_copy(v);
        assert_int_equal(copy != NULL, !failed);
        json_free(copy);
        buf_fini(&b);
        json_free(v);
    }
    assert_true(n > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_texts_are_malformed_and_say_where),
        cmocka_unit_test(test_nesting_beyond_the_limit_is_malformed_and_below_it_is_read),
        cmocka_unit_test(test_values_are_read_by_their_types_and_nothing_else),
        cmocka_unit_test(test_texts_come_back_as_they_were_written),
        cmocka_unit_test(test_doubles_keep_every_bit),
        cmocka_unit_test(test_what_is_not_finite_or_not_utf8_is_mended),
        cmocka_unit_test(test_times_are_rfc3339_in_utc_with_microseconds),
        cmocka_unit_test(test_pretty_text_is_indented_and_means_the_same),
        cmocka_unit_test(test_writing_past_the_buffers_maximum_leaves_it_as_it_was),
        cmocka_unit_test(test_unknown_members_are_named_with_the_nearest_known_one),
        cmocka_unit_test(test_problems_past_the_maximum_are_dropped),
        cmocka_unit_test(test_parsing_without_memory_is_nomem_and_never_another_value),
        cmocka_unit_test(test_building_without_memory_is_noticed_when_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
