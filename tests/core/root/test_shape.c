/* tests/core/root/test_shape.c
 *
 * Members picked out of whole objects: TClonesArray streamed by object and by member, bases, references, vectors, and
 * what must be refused by name. */
#include "core/root.h"
#include "tests/core/root/build.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct build_class classes[] = {
    {"Base", 1, {{"Base", "TObject", "BASE", 66, 0, "", 1}, {"BasicType", "id", "Int_t", 3, 0, "", 0}}},
    {"Hit",
     2,
     {{"Base", "Base", "BASE", 0, 0, "", 1},
      {"BasicType", "e", "Float_t", 5, 0, "", 0},
      {"BasicType", "t", "Int_t", 23, 2, "", 0},
      {"Object", "ref", "TRef", 61, 0, "", 0}}},
    {"Rest",
     1,
     {{"BasicType", "a", "Int_t", 3, 0, "", 0},
      {"STL", "words", "vector<string>", 300, 0, "", 0},
      {"BasicType", "n", "Int_t", 6, 0, "", 0},
      {"BasicPointer", "v", "Float_t*", 45, 0, "n", 0},
      {"STL", "ints", "vector<int>", 300, 0, "", 0},
      {"String", "text", "TString", 65, 0, "", 0},
      {"STLstring", "std", "string", 500, 0, "", 0},
      {"ObjectPointer", "next", "Rest*", 64, 0, "", 0},
      {"BasicType", "half", "Float16_t", 19, 0, "", 0},
      {"BasicType", "after", "Int_t", 3, 0, "", 0}}},
};

struct fixture {
    struct buf data, bytes;
    struct source *src;
    struct root_file *file;
    struct root_tree *tree;
    struct root_column column;
    struct error e;
};

/* One entry with the data that the test wrote. */
static enum status open_with(struct fixture *x, const char *class_name, const char *clones, int32_t version)
{
    static const uint32_t at[] = {0};
    struct build_branch b = {.name = "o",
                             .leaves = {{"TLeafElement", "o", 1, 0, false, -1}},
                             .baskets = {{1, x->data.data, x->data.len, at, ON_DISK}},
                             .class_name = class_name,
                             .clones_name = clones,
                             .class_version = version,
                             .id = -1,
                             .type = 0,
                             .streamer_type = -1};
    buf_init(&x->bytes, 1 << 20);
    build_file(&x->bytes, &(struct build_file){
                              .branches = &b, .n_branches = 1, .classes = classes, .n_classes = ARRAY_LEN(classes)});
    TRY(source_open_memory(x->bytes.data, x->bytes.len, "t.root", &x->src, &x->e));
    TRY(root_open(x->src, &x->file, &x->e));
    return root_tree_get(x->file, "T", &x->tree, &x->e);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    assert_non_null(x);
    buf_init(&x->data, 1 << 16);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    root_column_fini(&x->column);
    root_close(x->file);
    source_close(x->src);
    buf_fini(&x->bytes);
    buf_fini(&x->data);
    free(x);
    return 0;
}

static enum status get(struct fixture *x, const char *name)
{
    const struct root_branch *b = root_branch_find(x->tree, name);
    if (!b)
        fail_msg("no branch %s", name);
    return root_read(x->tree, b, 0, 1, &x->column, &x->e);
}

static void assert_u32s(struct fixture *x, const char *name, size_t n, const uint32_t *v)
{
    if (get(x, name) != STATUS_OK)
        fail_msg("%s", x->e.text);
    assert_int_equal(x->column.offsets[1], n);
    assert_memory_equal(x->column.values, v, n * 4);
}

static void put_tref(struct buf *b, uint32_t id)
{
    put_tobject(b, id, 0x10);
    put16(b, 1);
}

static size_t clones_begin(struct buf *b, uint32_t n, bool by_member, const char *item)
{
    size_t at = object_begin(b, 4);
    put_tobject(b, 0, by_member ? 1 << 12 : 0);
    put_string(b, "Hits");
    put_string(b, item);
    put32(b, n);
    put32(b, 0);
    return at;
}

static void assert_two_hits(struct fixture *x)
{
    const float energies[] = {1.5f, 2.5f};
    if (open_with(x, "TClonesArray", "Hit", 4) != STATUS_OK)
        fail_msg("%s", x->e.text);
    assert_u32s(x, "o", 1, (uint32_t[]){2});
    assert_u32s(x, "o.fUniqueID", 2, (uint32_t[]){7, 8});
    assert_u32s(x, "o.fBits", 2, (uint32_t[]){0x10, 0});
    assert_u32s(x, "o.id", 2, (uint32_t[]){70, 80});
    assert_u32s(x, "o.t", 4, (uint32_t[]){1, 2, 3, 4});
    assert_u32s(x, "o.ref.fUniqueID", 2, (uint32_t[]){77, 88});
    assert_int_equal(get(x, "o.e"), STATUS_OK);
    assert_memory_equal(x->column.values, energies, sizeof energies);
    struct root_branch_info info = root_branch_describe(x->tree, root_branch_find(x->tree, "o.t"));
    assert_true(info.is_part && info.jagged);
    assert_int_equal(info.n_fixed, 2);
}

static void test_items_streamed_member_by_member(void **state)
{
    struct fixture *x = *state;
    struct buf *b = &x->data;
    size_t at = clones_begin(b, 2, true, "Hit;2");
    put_tobject(b, 7, 0x10); /* the members of bases have no header of their own */
    put_tobject(b, 8, 0);
    put32(b, 70);
    put32(b, 80);
    putf(b, 1.5f);
    putf(b, 2.5f);
    for (uint32_t i = 1; i <= 4; i++)
        put32(b, i);
    put_tref(b, 77);
    put_tref(b, 88);
    object_end(b, at);
    assert_two_hits(x);
}

static void put_hit(struct buf *b, uint32_t id, uint32_t bits, uint32_t t)
{
    size_t hit = object_begin(b, 2), base = object_begin(b, 1);
    put_tobject(b, id, bits);
    put32(b, id * 10);
    object_end(b, base);
    putf(b, id == 7 ? 1.5f : 2.5f);
    put32(b, t);
    put32(b, t + 1);
    put_tref(b, id * 11);
    object_end(b, hit);
}

static void test_items_streamed_object_by_object(void **state)
{
    struct fixture *x = *state;
    size_t at = clones_begin(&x->data, 2, false, "Hit;2");
    put8(&x->data, 1);
    put_hit(&x->data, 7, 0x10, 1);
    put8(&x->data, 1);
    put_hit(&x->data, 8, 0, 3);
    object_end(&x->data, at);
    assert_two_hits(x);
}

static void test_items_of_another_version_or_number_are_refused(void **state)
{
    struct fixture *x = *state;
    size_t at = clones_begin(&x->data, 1, false, "Hit;3");
    put8(&x->data, 1);
    put_hit(&x->data, 7, 0x10, 1);
    object_end(&x->data, at);
    assert_int_equal(open_with(x, "TClonesArray", "Hit", 4), STATUS_OK);
    assert_int_equal(get(x, "o.e"), STATUS_UNSUPPORTED);
    assert_non_null(strstr(x->e.text, "another class or version than Hit;2"));
}

static void test_more_items_than_bytes_are_refused(void **state)
{
    struct fixture *x = *state;
    size_t at = clones_begin(&x->data, 1 << 30, true, "Hit;2");
    put_tobject(&x->data, 7, 0);
    object_end(&x->data, at);
    assert_int_equal(open_with(x, "TClonesArray", "Hit", 4), STATUS_OK);
    assert_int_equal(get(x, "o.e"), STATUS_FORMAT);
    assert_non_null(strstr(x->e.text, "TClonesArray of 1073741824 items, 10 bytes remain"));
}

static void test_bytes_left_over_in_an_object_are_an_error(void **state)
{
    struct fixture *x = *state;
    size_t hit = object_begin(&x->data, 2), base = object_begin(&x->data, 1);
    put_tobject(&x->data, 7, 0);
    put32(&x->data, 70);
    put32(&x->data, 71);
    object_end(&x->data, base);
    object_end(&x->data, hit);
    assert_int_equal(open_with(x, "Hit", NULL, 2), STATUS_OK);
    assert_int_equal(get(x, "o.id"), STATUS_FORMAT);
    assert_non_null(strstr(x->e.text, "Base: 4 bytes are left over in the object"));
}

static void test_members_around_what_is_skipped_and_refused(void **state)
{
    struct fixture *x = *state;
    struct buf *b = &x->data;
    size_t rest = object_begin(b, 1), part;
    put32(b, 42);
    part = object_begin(b, 9); /* vector<string>: skipped by its byte count */
    put32(b, 1);
    put_string(b, "word");
    object_end(b, part);
    put32(b, 2);
    put8(b, 1);
    putf(b, 1);
    putf(b, 2);
    part = object_begin(b, 9);
    put32(b, 3);
    for (uint32_t i = 5; i < 8; i++)
        put32(b, i);
    object_end(b, part);
    put_string(b, "tstring");
    part = object_begin(b, 9);
    put_string(b, "stdstring");
    object_end(b, part);
    put32(b, 0);      /* null pointer */
    put(b, "abc", 3); /* Float16_t: not read, nor what is behind it */
    put32(b, 43);
    object_end(b, rest);
    assert_int_equal(open_with(x, "Rest", NULL, 1), STATUS_OK);
    assert_u32s(x, "o.a", 1, (uint32_t[]){42});
    assert_u32s(x, "o.n", 1, (uint32_t[]){2});
    assert_u32s(x, "o.ints", 3, (uint32_t[]){5, 6, 7});
    assert_int_equal(get(x, "o.v"), STATUS_OK);
    assert_memory_equal(x->column.values, ((float[]){1, 2}), 8);
    assert_int_equal(get(x, "o.text"), STATUS_OK);
    assert_memory_equal(x->column.values, "tstring", 7);
    assert_int_equal(get(x, "o.std"), STATUS_OK);
    assert_memory_equal(x->column.values, "stdstring", 9);
    assert_int_equal(get(x, "o.words"), STATUS_UNSUPPORTED);
    assert_non_null(strstr(x->e.text, "branch o.words: vector<string> is not read"));
    assert_int_equal(get(x, "o.half"), STATUS_UNSUPPORTED);
    assert_non_null(strstr(x->e.text, "Float16_t"));
    assert_int_equal(get(x, "o.after"), STATUS_UNSUPPORTED);
    assert_non_null(strstr(x->e.text, "Float16_t"));
}

static void test_class_without_layout_is_refused_by_name(void **state)
{
    struct fixture *x = *state;
    put32(&x->data, 0);
    assert_int_equal(open_with(x, "TMystery", NULL, 1), STATUS_OK);
    assert_int_equal(get(x, "o"), STATUS_UNSUPPORTED);
    assert_non_null(strstr(x->e.text, "branch o: TMystery is not read"));
}

/* A class that holds itself twice, and so on: 2^12 members at the depth where shapes end. */
static void test_classes_that_nest_without_end_stay_bounded(void **state)
{
    struct fixture *x = *state;
    static const struct build_class nest[] = {{"Nest",
                                               1,
                                               {{"Object", "l", "Nest", 61, 0, "", 0},
                                                {"Object", "m", "Nest", 61, 0, "", 0},
                                                {"Object", "r", "Nest", 61, 0, "", 0}}}};
    static const uint32_t at[] = {0};
    put32(&x->data, 0);
    struct build_branch b = {.name = "o",
                             .leaves = {{"TLeafElement", "o", 1, 0, false, -1}},
                             .baskets = {{1, x->data.data, x->data.len, at, ON_DISK}},
                             .class_name = "Nest",
                             .class_version = 1,
                             .id = -1,
                             .streamer_type = -1};
    buf_init(&x->bytes, 1 << 20);
    build_file(&x->bytes, &(struct build_file){.branches = &b, .n_branches = 1, .classes = nest, .n_classes = 1});
    assert_int_equal(source_open_memory(x->bytes.data, x->bytes.len, "t.root", &x->src, &x->e), STATUS_OK);
    assert_int_equal(root_open(x->src, &x->file, &x->e), STATUS_OK);
    assert_int_equal(root_tree_get(x->file, "T", &x->tree, &x->e), STATUS_UNSUPPORTED);
    assert_non_null(strstr(x->e.text, "members in all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_items_streamed_member_by_member, setup, teardown),
        cmocka_unit_test_setup_teardown(test_items_streamed_object_by_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_items_of_another_version_or_number_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_items_than_bytes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes_left_over_in_an_object_are_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_members_around_what_is_skipped_and_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_class_without_layout_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_classes_that_nest_without_end_stay_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
