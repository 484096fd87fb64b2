/* tests/core/parquet/test_thrift.c
 *
 * The compact protocol: what is put is read, unknown fields are stepped over, and hostile bytes end in a fault. */
#include "tests/support/unit.h"

#include "core/parquet/thrift.h"

#include <stdlib.h>

static struct buf bytes_of(void)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    return b;
}

static void test_numbers_of_every_size_come_back(void **state)
{
    (void)state;
    static const int64_t values[] = {0,    1,    -1,        63,        64,        -64,      -65,
                                     8191, 8192, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    struct error e;
    struct buf b = bytes_of();
    struct thrift_writer w = thrift_writer_of(&b, &e);
    thrift_put_begin(&w);
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        thrift_put_i64(&w, (int)(1 + 17 * i), values[i]); /* steps of 17 do not fit the short form */
    thrift_put_i32(&w, 300, INT32_MIN);
    thrift_put_i16(&w, 301, -5);
    thrift_put_byte(&w, 302, -128);
    thrift_put_bool(&w, 303, true);
    thrift_put_bool(&w, 304, false);
    thrift_put_string(&w, 305, "text");
    thrift_put_end(&w);
    assert_int_equal(w.status, STATUS_OK);
    struct thrift_reader reader = thrift_reader_of(b.data, b.len), *t = &reader;
    size_t n = 0;
    THRIFT_EACH_FIELD(t, f)
    {
        if (f.id < 300) {
            assert_int_equal(f.id, 1 + 17 * n);
            assert_true(thrift_i64(t, &f) == values[n++]);
        } else if (f.id < 303) {
            assert_int_equal(thrift_i32(t, &f), f.id == 300 ? INT32_MIN : f.id == 301 ? -5 : -128);
        } else if (f.id < 305) {
            assert_int_equal(thrift_bool(t, &f), f.id == 303);
        } else {
            struct span s = thrift_binary(t, &f);
            assert_int_equal(s.len, 4);
            assert_memory_equal(s.data, "text", 4);
        }
    }
    assert_ok(thrift_done(t, "struct", &e), &e);
    assert_int_equal(n, ARRAY_LEN(values));
    assert_int_equal(cursor_left(&t->in), 0);
    buf_fini(&b);
}

/* A struct with a field of every kind, then field 100 = 7. */
static void put_everything(struct buf *b)
{
    struct error e;
    struct thrift_writer w = thrift_writer_of(b, &e);
    thrift_put_begin(&w);
    thrift_put_bool(&w, 1, true);
    thrift_put_byte(&w, 2, 1);
    thrift_put_i64(&w, 3, INT64_MIN);
    thrift_put_string(&w, 4, "abc");
    thrift_put_list(&w, 5, THRIFT_I32, 20);
    for (int i = 0; i < 20; i++)
        thrift_put_item_i32(&w, i * 1000);
    thrift_put_list(&w, 6, THRIFT_STRUCT, 2);
    for (int i = 0; i < 2; i++) {
        thrift_put_begin(&w);
        thrift_put_string(&w, 1, "inner");
        thrift_put_end(&w);
    }
    thrift_put_list(&w, 7, THRIFT_TRUE, 3);
    thrift_put_raw(&w, "\1\2\1", 3);
    thrift_put_raw(&w, "\x1b\x02\x85\x01k\x02\x01l\x04", 9); /* field 8: a map of two texts to integers */
    thrift_put_raw(&w, "\x17........", 9);                   /* field 9: a double */
    thrift_put_raw(&w, "\x1b\x00", 2);                       /* field 10: an empty map has no types */
    w.last_id[0] = 10;
    thrift_put_i32(&w, 100, 7);
    thrift_put_end(&w);
    assert_int_equal(w.status, STATUS_OK);
}

static int32_t field_100(struct thrift_reader *t)
{
    int32_t v = 0;
    THRIFT_EACH_FIELD(t, f)
    {
        if (f.id == 100)
            v = thrift_i32(t, &f);
        else
            thrift_skip(t, &f);
    }
    return v;
}

static void test_unknown_fields_of_every_kind_are_skipped(void **state)
{
    (void)state;
    struct error e;
    struct buf b = bytes_of();
    put_everything(&b);
    struct thrift_reader t = thrift_reader_of(b.data, b.len);
    assert_int_equal(field_100(&t), 7);
    assert_ok(thrift_done(&t, "struct", &e), &e);
    buf_fini(&b);
}

static void test_every_cut_is_short_and_no_cut_is_read_as_whole(void **state)
{
    (void)state;
    struct error e;
    struct buf b = bytes_of();
    put_everything(&b);
    for (size_t n = 0; n < b.len; n++) {
        uint8_t *copy = malloc(n + 1);
        memcpy(copy, b.data, n);
        struct thrift_reader t = thrift_reader_of(copy, n);
        (void)field_100(&t);
        assert_true(thrift_short(&t));
        assert_status(thrift_done(&t, "struct", &e), STATUS_FORMAT, &e);
        assert_contains(e.text, "struct: ends too early at byte");
        free(copy);
    }
    buf_fini(&b);
}

static enum status skip_all(const void *p, size_t n, struct error *e)
{
    struct thrift_reader t = thrift_reader_of(p, n);
    (void)field_100(&t);
    return thrift_done(&t, "struct", e);
}

static void test_nesting_without_end_is_a_fault(void **state)
{
    (void)state;
    static uint8_t bytes[200000];
    struct error e;
    memset(bytes, 0x1c, sizeof bytes); /* a struct in a struct in a ... */
    assert_status(skip_all(bytes, sizeof bytes, &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "nested too deeply");
    memset(bytes, 0x19, sizeof bytes); /* a list of one list of one ... */
    assert_status(skip_all(bytes, sizeof bytes, &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "nested too deeply");
    for (size_t i = 0; i < sizeof bytes; i += 3) /* maps of one map */
        memcpy(bytes + i, "\x1b\x01\xbb", i + 3 <= sizeof bytes ? 3 : 1);
    assert_status(skip_all(bytes, sizeof bytes, &e), STATUS_FORMAT, &e);
}

static void test_malformed_values_are_faults(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } cases[] = {
        {"\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00", 12, "more than 64 bits"},
        {"\x16\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", 13, "more than 64 bits"},
        {"\x1d\x00", 2, "unknown field type"},
        {"\x19\x10\x00", 3, "unknown item type"},
        {"\x1b\x01\x05\x00", 4, "unknown item type"},
        {"\x05\xfe\xff\xff\xff\x0f\x00\x00", 8, "field number out of range"},
        {"\x18\xff\xff\xff\xff\x0f\x00", 7, "ends too early"},     /* a text of 4 GiB */
        {"\x19\xf5\xff\xff\xff\xff\x0f\x00", 8, "ends too early"}, /* a list of 2^32 integers */
    };
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_status(skip_all(cases[i].bytes, cases[i].n, &e), STATUS_FORMAT, &e);
        assert_contains(e.text, cases[i].says);
    }
}

static void test_a_list_that_claims_too_much_is_refused_before_its_items(void **state)
{
    (void)state;
    struct error e;
    uint8_t bytes[] = {0x19, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x08, 0, 0, 0, 0}; /* 2^31 structs */
    struct thrift_reader reader = thrift_reader_of(bytes, sizeof bytes), *t = &reader;
    THRIFT_EACH_FIELD(t, f)
    assert_int_equal(thrift_list(t, &f, THRIFT_STRUCT, 2), 0);
    assert_status(thrift_done(t, "footer", &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "list claims more items than the remaining bytes hold");
}

static void test_a_field_of_another_type_is_a_fault(void **state)
{
    (void)state;
    struct error e;
    uint8_t bytes[] = {0x18, 0x01, 'x', 0x00}; /* field 1 is a text */
    for (int kind = 0; kind < 5; kind++) {
        struct thrift_reader reader = thrift_reader_of(bytes, sizeof bytes), *t = &reader;
        THRIFT_EACH_FIELD(t, f)
        {
            if (kind == 0)
                (void)thrift_i32(t, &f);
            else if (kind == 1)
                (void)thrift_i64(t, &f);
            else if (kind == 2)
                (void)thrift_bool(t, &f);
            else if (kind == 3)
                thrift_struct(t, &f);
            else
                (void)thrift_list(t, &f, THRIFT_I32, 1);
        }
        assert_status(thrift_done(t, "struct", &e), STATUS_FORMAT, &e);
        assert_contains(e.text, "unexpected type");
    }
    uint8_t wide[] = {0x15, 0x80, 0x80, 0x80, 0x80, 0x20, 0x00}; /* an i32 of 2^32 */
    struct thrift_reader reader = thrift_reader_of(wide, sizeof wide), *t = &reader;
    THRIFT_EACH_FIELD(t, f)
    (void)thrift_i32(t, &f);
    assert_status(thrift_done(t, "struct", &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "more than 32 bits");
}

static void test_a_full_buffer_sticks_in_the_writer(void **state)
{
    (void)state;
    struct error e;
    struct buf b;
    buf_init(&b, 4);
    struct thrift_writer w = thrift_writer_of(&b, &e);
    thrift_put_begin(&w);
    thrift_put_string(&w, 1, "longer than four bytes");
    thrift_put_i32(&w, 2, 1);
    thrift_put_end(&w);
    assert_int_equal(w.status, STATUS_NOMEM);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_of_every_size_come_back),
        cmocka_unit_test(test_unknown_fields_of_every_kind_are_skipped),
        cmocka_unit_test(test_every_cut_is_short_and_no_cut_is_read_as_whole),
        cmocka_unit_test(test_nesting_without_end_is_a_fault),
        cmocka_unit_test(test_malformed_values_are_faults),
        cmocka_unit_test(test_a_list_that_claims_too_much_is_refused_before_its_items),
        cmocka_unit_test(test_a_field_of_another_type_is_a_fault),
        cmocka_unit_test(test_a_full_buffer_sticks_in_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
