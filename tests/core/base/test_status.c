/* tests/core/base/test_status.c */
#include "core/base/text.h"

#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

static void test_every_status_has_a_name_and_a_text(void **state)
{
    (void)state;
    assert_string_equal(status_name(STATUS_OK), "OK");
    assert_string_equal(status_name(STATUS_BUG), "BUG");
    assert_string_equal(status_text(STATUS_FORMAT), "malformed data");
    assert_true(status_retryable(STATUS_BUSY));
    assert_false(status_retryable(STATUS_FORMAT));
}

static void test_error_set_returns_the_status_it_stores(void **state)
{
    (void)state;
    struct error e;
    assert_int_equal(error_set(&e, STATUS_RANGE, "%d of %d", 7, 5), STATUS_RANGE);
    assert_int_equal(e.status, STATUS_RANGE);
    assert_string_equal(e.text, "7 of 5");
}

static void test_error_wrap_gathers_context_outermost_first(void **state)
{
    (void)state;
    struct error e;
    (void)error_set(&e, STATUS_FORMAT, "key says 4096 bytes, 310 remain");
    (void)error_wrap(&e, "basket %d", 12);
    assert_int_equal(error_wrap(&e, "a.root"), STATUS_FORMAT);
    assert_string_equal(e.text, "a.root: basket 12: key says 4096 bytes, 310 remain");
}

static void test_error_set_may_print_its_own_former_text(void **state)
{
    (void)state;
    struct error e;
    (void)error_set(&e, STATUS_IO, "inner");
    (void)error_set(&e, STATUS_IO, "outer of %s", e.text);
    assert_string_equal(e.text, "outer of inner");
}

static void test_long_errors_are_cut_behind_and_stay_well_formed(void **state)
{
    (void)state;
    struct error e;
    char text[ERROR_TEXT_MAX];
    memset(text, 'x', sizeof text);
    memcpy(text + sizeof text - 3, "\xC3\xA9", 3);           /* e acute, the last two bytes */
    (void)error_set(&e, STATUS_IO, "%s", text);
    assert_int_equal(strlen(e.text), ERROR_TEXT_MAX - 1);
    for (size_t i = 0; i < 6; i++) {
        (void)error_wrap(&e, "\xC3\xA9%zu", i);
        assert_true(text_is_clean(e.text, strlen(e.text)));
        assert_true(strlen(e.text) < ERROR_TEXT_MAX);
    }
    assert_int_equal(strncmp(e.text, "\xC3\xA9" "5: \xC3\xA9" "4: ", 8), 0);
}

static void test_hostile_bytes_cannot_forge_a_second_line(void **state)
{
    (void)state;
    struct error e;
    (void)error_set(&e, STATUS_NOTFOUND, "%s", "a\nERROR b\xff\x1b[1m\xc2\x85\xed\xa0\x80");
    assert_string_equal(e.text, "a ERROR b? [1m  ???");
}

static void test_errno_becomes_the_status_a_caller_can_act_on(void **state)
{
    (void)state;
    struct error e;
    errno = ENOSPC;
    assert_int_equal(error_errno(&e, "writing %s", "a"), STATUS_NOSPACE);
    assert_string_equal(e.text, "writing a: No space left on device");
    errno = ENOENT;
    assert_int_equal(error_errno(&e, "opening"), STATUS_NOTFOUND);
    errno = EDQUOT;
    assert_int_equal(error_errno(&e, "opening"), STATUS_NOSPACE);
    errno = ENOMEM;
    assert_int_equal(error_errno(&e, "opening"), STATUS_NOMEM);
    errno = EACCES;
    assert_int_equal(error_errno(&e, "opening"), STATUS_IO);
}

static enum status fail_with(enum status s, struct error *e)
{
    if (s != STATUS_OK)
        return error_set(e, s, "as asked");
    return STATUS_OK;
}

static enum status try_twice(enum status first, enum status second, int *reached, struct error *e)
{
    TRY(fail_with(first, e));
    *reached = 1;
    TRY_OR(fail_with(second, e), out);
    *reached = 2;
    FAIL_OR(out, e, STATUS_CONFLICT, "at the end");
out:
    return e->status;
}

static void test_try_macros_leave_where_they_say(void **state)
{
    (void)state;
    struct error e;
    int reached = 0;
    assert_int_equal(try_twice(STATUS_IO, STATUS_OK, &reached, &e), STATUS_IO);
    assert_int_equal(reached, 0);
    assert_int_equal(try_twice(STATUS_OK, STATUS_BUSY, &reached, &e), STATUS_BUSY);
    assert_int_equal(reached, 1);
    assert_int_equal(try_twice(STATUS_OK, STATUS_OK, &reached, &e), STATUS_CONFLICT);
    assert_int_equal(reached, 2);
}

static void test_text_is_clean_follows_the_unicode_table(void **state)
{
    (void)state;
    static const char *const good[] = {"", "abc", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xC2\xA0",
                                       "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\n", "a\tb", "\x7F", "\xC2\x80", "\xC2\x9F", "\xC0\xAF", "\xC1\xBF", "\x80",
                                      "\xC3", "\xE2\x82", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x28\xA1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(text_is_clean(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(text_is_clean(bad[i], strlen(bad[i])));
    assert_false(text_is_clean("a\0b", 3));
}

static void test_text_copy_never_cuts_a_character(void **state)
{
    (void)state;
    char dst[5];
    text_copy(dst, sizeof dst, "abcd");
    assert_string_equal(dst, "abcd");
    text_copy(dst, sizeof dst, "abcde");
    assert_string_equal(dst, "abcd");
    text_copy(dst, sizeof dst, "abc\xC3\xA9");
    assert_string_equal(dst, "abc");
    text_copy(dst, 1, "abc");
    assert_string_equal(dst, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_a_name_and_a_text),
        cmocka_unit_test(test_error_set_returns_the_status_it_stores),
        cmocka_unit_test(test_error_wrap_gathers_context_outermost_first),
        cmocka_unit_test(test_error_set_may_print_its_own_former_text),
        cmocka_unit_test(test_long_errors_are_cut_behind_and_stay_well_formed),
        cmocka_unit_test(test_hostile_bytes_cannot_forge_a_second_line),
        cmocka_unit_test(test_errno_becomes_the_status_a_caller_can_act_on),
        cmocka_unit_test(test_try_macros_leave_where_they_say),
        cmocka_unit_test(test_text_is_clean_follows_the_unicode_table),
        cmocka_unit_test(test_text_copy_never_cuts_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
