/* tests/core/base/test_buf.c */
#include "core/base/bytes.h"

#include "tests/support/unit.h"

#include <string.h>

static void test_what_is_appended_is_there(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    buf_init(&b, 100000);
    for (int i = 0; i < 10000; i++)
        assert_ok(buf_append(&b, &i, sizeof i, &e), &e);
    assert_int_equal(b.len, 40000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(load_le32(b.data + 4 * i), i);
    assert_true(b.cap <= b.max);
    buf_fini(&b);
    assert_null(b.data);
}

static void test_the_maximum_is_exact_and_failure_keeps_the_content(void **state)
{
    (void)state;
    for (size_t max = 0; max < 700; max += 23) {
        struct buf b;
        struct error e;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            assert_ok(buf_append(&b, "x", 1, &e), &e);
        assert_status(buf_append(&b, "y", 1, &e), STATUS_NOMEM, &e);
        assert_status(buf_printf(&b, &e, "%d", 1), STATUS_NOMEM, &e);
        assert_status(buf_reserve(&b, SIZE_MAX, &e), STATUS_NOMEM, &e);
        assert_int_equal(b.len, max);
        assert_true(b.cap <= max);
        for (size_t i = 0; i < max; i++)
            assert_int_equal(b.data[i], 'x');
        buf_fini(&b);
    }
}

static void test_printing_fills_the_buffer_to_its_last_byte(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    buf_init(&b, 10);
    assert_ok(buf_printf(&b, &e, "%s", "01234"), &e);
    assert_ok(buf_printf(&b, &e, "%d", 56789), &e);
    assert_memory_equal(b.data, "0123456789", 10);
    assert_ok(buf_printf(&b, &e, "%s", ""), &e);
    assert_status(buf_printf(&b, &e, "%s", "x"), STATUS_NOMEM, &e);
    assert_contains(e.text, "10 bytes");
    buf_fini(&b);
}

static void test_appending_nothing_needs_no_pointer(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    buf_init(&b, 10);
    assert_ok(buf_append(&b, NULL, 0, &e), &e);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

static void test_a_failing_allocation_leaves_the_buffer_usable(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    char block[1000] = {0};
    buf_init(&b, 10000);
    assert_ok(buf_append(&b, "abc", 3, &e), &e);
    assert_true(alloc_fail_begin(1));
    assert_status(buf_append(&b, block, sizeof block, &e), STATUS_NOMEM, &e);
    assert_true(alloc_fail_end());
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "abc", 3);
    assert_ok(buf_append(&b, block, sizeof block, &e), &e);
    buf_fini(&b);
}

static void test_a_cursor_goes_bad_at_the_end_and_stays_bad(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct cursor c = cursor_of(bytes, sizeof bytes);
    assert_int_equal(cursor_be16(&c), 0x0102);
    assert_int_equal(cursor_le32(&c), 0x06050403);
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_offset(&c), 6);
    assert_int_equal(cursor_be16(&c), 0);
    assert_true(c.bad);
    assert_int_equal(cursor_u8(&c), 0);                       /* one byte is left, but the record is broken */
    assert_false(cursor_skip(&c, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_appended_is_there),
        cmocka_unit_test(test_the_maximum_is_exact_and_failure_keeps_the_content),
        cmocka_unit_test(test_printing_fills_the_buffer_to_its_last_byte),
        cmocka_unit_test(test_appending_nothing_needs_no_pointer),
        cmocka_unit_test(test_a_failing_allocation_leaves_the_buffer_usable),
        cmocka_unit_test(test_a_cursor_goes_bad_at_the_end_and_stays_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
