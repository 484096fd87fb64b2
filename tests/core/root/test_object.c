/* tests/core/root/test_object.c
 *
 * Streamed objects below any class: references to objects and classes seen before, TObject's bits, texts, lists. */
#include "core/root/object.h"
#include "tests/core/root/build.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { DISPLACEMENT = 61 };

struct fixture {
    struct buf b;
    struct arena arena;
    struct object_reader r;
    struct error e;
    int values[8];
    size_t n_values;
};

/* Objects of class "Int" are a number; "Self" points to itself; others are of no interest. */
static enum status read_new(struct object_reader *r, const char *class_name, void **object, struct error *e)
{
    struct fixture *x = r->ctx;
    *object = NULL;
    if (strcmp(class_name, "Int") == 0) {
        *object = &x->values[x->n_values];
        x->values[x->n_values++] = (int)cursor_be32(&r->c);
    }
    if (strcmp(class_name, "Self") == 0) {
        struct object_ref self;
        *object = &x->values[7];
        object_announce(r, *object);
        TRY(object_read_pointer(r, &self, e));
        assert_ptr_equal(self.object, *object);
    }
    if (strcmp(class_name, "Deep") == 0) {
        struct object_ref inner;
        *object = &x->values[6];
        return object_read_pointer(r, &inner, e);
    }
    return STATUS_OK;
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    assert_non_null(x);
    buf_init(&x->b, 1 << 16);
    arena_init(&x->arena, 1 << 20);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    object_reader_fini(&x->r);
    arena_fini(&x->arena);
    buf_fini(&x->b);
    free(x);
    return 0;
}

static void begin(struct fixture *x)
{
    object_reader_fini(&x->r);
    object_reader_init(&x->r, NULL, &x->arena, x->b.data, x->b.len, DISPLACEMENT);
    x->r.read_new = read_new;
    x->r.ctx = x;
    x->n_values = 0;
}

static void put_int(struct buf *b, int v)
{
    size_t at = pointer_begin(b, "Int");
    put32(b, (uint32_t)v);
    object_end(b, at);
}

static void test_new_objects_classes_seen_before_and_references(void **state)
{
    struct fixture *x = *state;
    struct buf *b = &x->b;
    struct object_ref ref;
    put_int(b, 11);       /* object at 0, class at 4 */
    put32(b, 0x40000008); /* the class again, by its place */
    put32(b, 0x80000000u | (4 + DISPLACEMENT + 2));
    put32(b, 22);
    put32(b, DISPLACEMENT + 2); /* the first object again */
    put32(b, 0);                /* nothing */
    begin(x);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_OK);
    assert_int_equal(*(int *)ref.object, 11);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_OK);
    assert_string_equal(ref.class_name, "Int");
    assert_int_equal(*(int *)ref.object, 22);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_OK);
    assert_int_equal(*(int *)ref.object, 11);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_OK);
    assert_null(ref.object);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_FORMAT);
}

static void test_object_that_points_to_itself(void **state)
{
    struct fixture *x = *state;
    struct object_ref ref;
    size_t at = pointer_begin(&x->b, "Self");
    put32(&x->b, DISPLACEMENT + 2);
    object_end(&x->b, at);
    begin(x);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_OK);
    assert_ptr_equal(ref.object, &x->values[7]);
}

static void test_objects_of_no_interest_are_skipped_by_their_byte_count(void **state)
{
    struct fixture *x = *state;
    struct object_ref ref;
    size_t at = pointer_begin(&x->b, "Other");
    put64(&x->b, 0x0123456789abcdef);
    object_end(&x->b, at);
    put_int(&x->b, 5);
    put32(&x->b, 0xffffffff); /* a new class without a byte count */
    put(&x->b, "Other", 6);
    begin(x);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_OK);
    assert_null(ref.object);
    assert_string_equal(ref.class_name, "Other");
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_OK);
    assert_int_equal(*(int *)ref.object, 5);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_UNSUPPORTED);
}

static void test_references_to_nowhere_and_false_counts_are_errors(void **state)
{
    static const struct {
        uint32_t words[4];
        const char *says;
    } bad[] = {
        {{77, 0, 0, 0}, "reference to an object at offset 77"},
        {{0x80000000u | 77, 0, 0, 0}, "reference to a class at offset 77"},
        {{0x40000100, 0xffffffff, 0, 0}, "object says 256 bytes, 12 remain"},
        {{0xffffffff, 0, 0, 0}, "class name without an end"},
        {{0xffffffff, 0x41414141, 0x41414141, 0x41414141}, "class name without an end"},
        {{0x40000002, 0xffffffff, 0x41000000, 0}, "object is cut off"},
    };
    struct fixture *x = *state;
    struct object_ref ref;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        x->b.len = 0;
        for (int k = 0; k < 4; k++)
            put32(&x->b, bad[i].words[k]);
        begin(x);
        assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_FORMAT);
        if (!strstr(x->e.text, bad[i].says))
            fail_msg("case %zu: %s", i, x->e.text);
    }
}

static void test_objects_in_objects_end_at_some_depth(void **state)
{
    struct fixture *x = *state;
    struct object_ref ref;
    for (int i = 0; i < 1000; i++) {
        put32(&x->b, 0xffffffff);
        put(&x->b, "Deep", 5);
    }
    begin(x);
    assert_int_equal(object_read_pointer(&x->r, &ref, &x->e), STATUS_FORMAT);
    assert_non_null(strstr(x->e.text, "objects more than"));
}

static void test_lists_and_arrays_are_read_to_their_end(void **state)
{
    struct fixture *x = *state;
    struct object_list list;
    size_t at = array_begin(&x->b, 3);
    put_int(&x->b, 1);
    put32(&x->b, 0);
    put_int(&x->b, 3);
    put64(&x->b, 0); /* members of a later version */
    object_end(&x->b, at);
    begin(x);
    assert_int_equal(object_read_array(&x->r, &list, &x->e), STATUS_OK);
    assert_int_equal(list.n, 3);
    assert_null(list.items[1].object);
    assert_int_equal(*(int *)list.items[2].object, 3);
    assert_int_equal(cursor_left(&x->r.c), 0);
    patch32(&x->b, 17, 1000);
    begin(x);
    assert_int_equal(object_read_array(&x->r, &list, &x->e), STATUS_FORMAT);
    assert_non_null(strstr(x->e.text, "list of 1000 objects"));
}

static void test_referenced_objects_carry_a_process_number(void **state)
{
    struct fixture *x = *state;
    put_tobject(&x->b, 5, 0x10);
    put_tobject(&x->b, 6, 0);
    struct cursor c = cursor_of(x->b.data, x->b.len);
    assert_int_equal(cursor_tobject(&c).unique_id, 5);
    assert_int_equal(cursor_tobject(&c).unique_id, 6);
    assert_false(c.bad);
    assert_int_equal(cursor_left(&c), 0);
}

static void test_long_texts_have_four_bytes_of_length(void **state)
{
    struct fixture *x = *state;
    char text[301];
    memset(text, 'x', 300);
    text[300] = 0;
    put_string(&x->b, text);
    put_string(&x->b, "short");
    struct cursor c = cursor_of(x->b.data, x->b.len);
    size_t n;
    assert_non_null(cursor_string(&c, &n));
    assert_int_equal(n, 300);
    assert_memory_equal(cursor_string(&c, &n), "short", 5);
    put32(&x->b, 0xff7fffff);
    c = cursor_of(x->b.data + x->b.len - 4, 4);
    assert_null(cursor_string(&c, &n));
    assert_true(c.bad);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_objects_classes_seen_before_and_references, setup, teardown),
        cmocka_unit_test_setup_teardown(test_object_that_points_to_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_objects_of_no_interest_are_skipped_by_their_byte_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_references_to_nowhere_and_false_counts_are_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_objects_in_objects_end_at_some_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists_and_arrays_are_read_to_their_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_referenced_objects_carry_a_process_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_texts_have_four_bytes_of_length, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
