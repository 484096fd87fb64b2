/* tests/core/root/test_basket.c
 *
 * Baskets on disk and in the tree, with and without offsets, and every way in which they can contradict themselves. */
#include "core/root.h"
#include "tests/core/root/build.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* A built file, opened. */
struct fixture {
    struct buf bytes;
    struct source *src;
    struct root_file *file;
    struct root_tree *tree;
    struct root_column column;
    struct error e;
};

static enum status open_built(struct fixture *x, const struct build_file *f)
{
    *x = (struct fixture){0};
    buf_init(&x->bytes, 16 << 20);
    build_file(&x->bytes, f);
    TRY(source_open_memory(x->bytes.data, x->bytes.len, "t.root", &x->src, &x->e));
    TRY(root_open(x->src, &x->file, &x->e));
    return root_tree_get(x->file, f->tree_name ? f->tree_name : "T", &x->tree, &x->e);
}

static void close_built(struct fixture *x)
{
    root_column_fini(&x->column);
    root_close(x->file);
    source_close(x->src);
    buf_fini(&x->bytes);
}

static enum status read_branch(struct fixture *x, const char *name)
{
    const struct root_branch *b = root_branch_find(x->tree, name);
    if (!b)
        fail_msg("no branch %s", name);
    return root_read(x->tree, b, 0, root_tree_entries(x->tree), &x->column, &x->e);
}

#define ASSERT_OK(x, expr)                                                                                             \
    do {                                                                                                               \
        if ((expr) != STATUS_OK)                                                                                       \
            fail_msg("%s", (x)->e.text);                                                                               \
    } while (0)

#define ASSERT_FAILS(x, expr, status_, words)                                                                          \
    do {                                                                                                               \
        assert_int_equal((expr), (status_));                                                                           \
        if (!strstr((x)->e.text, (words)))                                                                             \
            fail_msg("\"%s\" does not say \"%s\"", (x)->e.text, (words));                                              \
    } while (0)

/* Big-endian 1 2 3 ... as 32-bit numbers. */
static const uint8_t ints[] = {0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6};
static const uint8_t counts[] = {0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1};
static const uint32_t offsets[] = {0, 8, 8};

#define LEAF_I(name_, counter_)                                                                                        \
    {                                                                                                                  \
        {                                                                                                              \
            "TLeafI", (name_), 1, 4, false, (counter_)                                                                 \
        }                                                                                                              \
    }

static void assert_i32s(const struct fixture *x, size_t n, const int32_t *v)
{
    assert_int_equal(x->column.type, ROOT_I32);
    assert_int_equal(x->column.offsets[x->column.n_entries], n);
    assert_memory_equal(x->column.values, v, n * sizeof *v);
}

static void test_numbers_come_from_disk_packed_disk_and_tree_alike(void **state)
{
    (void)state;
    uint8_t zeros[400] = {0};
    const struct build_branch b[] = {{.name = "x",
                                      .leaves = LEAF_I("x", -1),
                                      .baskets = {{2, ints, 8, NULL, ON_DISK},
                                                  {100, zeros, 400, NULL, ON_DISK_ZIPPED},
                                                  {3, ints, 12, NULL, IN_TREE}}}};
    for (int big = 0; big < 2; big++)
        for (int zip = 0; zip < 2; zip++) {
            struct fixture x;
            ASSERT_OK(
                &x, open_built(&x, &(struct build_file){.big = big, .zip_tree = zip, .branches = b, .n_branches = 1}));
            assert_int_equal(root_tree_entries(x.tree), 105);
            ASSERT_OK(&x, read_branch(&x, "x"));
            const int32_t *v = x.column.values;
            assert_int_equal(v[0], 1);
            assert_int_equal(v[1], 2);
            assert_int_equal(v[50], 0);
            assert_int_equal(v[102], 1);
            assert_int_equal(v[104], 3);
            struct root_branch_info info = root_branch_info(x.tree, 0);
            assert_int_equal(info.baskets, 2);
            assert_int_equal(info.embedded, 1);
            assert_string_equal(info.codec, "raw");
            assert_int_equal(root_tree_cluster_end(x.tree, 0), 2);
            assert_int_equal(root_tree_cluster_end(x.tree, 2), 105);
            close_built(&x);
        }
}

static void test_jagged_values_follow_their_offsets_on_disk_and_in_the_tree(void **state)
{
    (void)state;
    const struct build_branch b[] = {{.name = "n",
                                      .leaves = LEAF_I("n", -1),
                                      .baskets = {{3, counts, 12, NULL, ON_DISK}, {3, counts, 12, NULL, IN_TREE}}},
                                     {.name = "x",
                                      .leaves = LEAF_I("x", 0),
                                      .baskets = {{3, ints, 12, offsets, ON_DISK}, {3, ints, 12, offsets, IN_TREE}}}};
    struct fixture x;
    ASSERT_OK(&x, open_built(&x, &(struct build_file){.branches = b, .n_branches = 2}));
    ASSERT_OK(&x, read_branch(&x, "x"));
    assert_i32s(&x, 6, (int32_t[]){1, 2, 3, 1, 2, 3});
    const uint64_t want[] = {0, 2, 2, 3, 5, 5, 6};
    assert_memory_equal(x.column.offsets, want, sizeof want);
    close_built(&x);
}

static void test_offsets_that_were_not_written_come_from_the_counter(void **state)
{
    (void)state;
    const struct build_branch b[] = {
        {.name = "n", .leaves = LEAF_I("n", -1), .baskets = {{3, counts, 12, NULL, ON_DISK}}},
        {.name = "x", .leaves = LEAF_I("x", 0), .baskets = {{3, ints, 12, NULL, ON_DISK}}},
        {.name = "y", .leaves = LEAF_I("y", 0), .baskets = {{3, ints, 16, NULL, ON_DISK}}},
        {.name = "z", .leaves = LEAF_I("z", 0), .baskets = {{3, ints, 8, NULL, ON_DISK}}}};
    struct fixture x;
    ASSERT_OK(&x, open_built(&x, &(struct build_file){.branches = b, .n_branches = 4}));
    ASSERT_OK(&x, read_branch(&x, "x"));
    assert_i32s(&x, 3, (int32_t[]){1, 2, 3});
    assert_int_equal(x.column.offsets[1], 2);
    ASSERT_FAILS(&x, read_branch(&x, "y"), STATUS_FORMAT, "4 bytes are left over");
    ASSERT_FAILS(&x, read_branch(&x, "z"), STATUS_FORMAT, "branch z: basket 0: entry 2 has 1 values, 0 bytes remain");
    close_built(&x);
}

static void test_texts_with_and_without_offsets(void **state)
{
    (void)state;
    static const uint32_t at[] = {0, 3};
    const struct build_branch b[] = {
        {.name = "s", .leaves = {{"TLeafC", "s", 1, 1, false, -1}}, .baskets = {{2, "\2ab\1c", 5, at, ON_DISK}}},
        {.name = "t", .leaves = {{"TLeafC", "t", 1, 1, false, -1}}, .baskets = {{2, "\2ab\1c", 5, NULL, ON_DISK}}},
        {.name = "u", .leaves = {{"TLeafC", "u", 1, 1, false, -1}}, .baskets = {{2, "\2ab\2c", 5, at, ON_DISK}}}};
    struct fixture x;
    ASSERT_OK(&x, open_built(&x, &(struct build_file){.branches = b, .n_branches = 3}));
    for (int i = 0; i < 2; i++) {
        ASSERT_OK(&x, read_branch(&x, i ? "t" : "s"));
        assert_int_equal(x.column.type, ROOT_STRING);
        assert_int_equal(x.column.offsets[2], 3);
        assert_memory_equal(x.column.values, "abc", 3);
    }
    ASSERT_FAILS(&x, read_branch(&x, "u"), STATUS_FORMAT, "entry 1: u is cut off");
    close_built(&x);
}

static void test_leaf_lists_and_fixed_arrays(void **state)
{
    (void)state;
    const struct build_branch b[] = {
        {.name = "l",
         .leaves = {{"TLeafI", "a", 1, 4, false, -1}, {"TLeafI", "b", 2, 4, true, -1}},
         .baskets = {{2, ints, 24, (const uint32_t[]){0, 12}, ON_DISK}}},
        {.name = "m",
         .leaves = {{"TLeafI", "a", 1, 4, false, -1}, {"TLeafI", "b", 2, 4, true, -1}},
         .baskets = {{2, ints, 24, NULL, ON_DISK}}},
        {.name = "f", .leaves = {{"TLeafF", "f", 3, 4, false, -1}}, .baskets = {{2, ints, 24, NULL, ON_DISK}}}};
    struct fixture x;
    ASSERT_OK(&x, open_built(&x, &(struct build_file){.branches = b, .n_branches = 3}));
    ASSERT_OK(&x, read_branch(&x, "m.a"));
    assert_i32s(&x, 2, (int32_t[]){1, 4});
    ASSERT_OK(&x, read_branch(&x, "l.a"));
    assert_i32s(&x, 2, (int32_t[]){1, 4});
    ASSERT_OK(&x, read_branch(&x, "l.b"));
    assert_int_equal(x.column.type, ROOT_U32);
    assert_int_equal(x.column.offsets[1], 2);
    assert_int_equal(((uint32_t *)x.column.values)[3], 6);
    ASSERT_FAILS(&x, read_branch(&x, "l"), STATUS_UNSUPPORTED, "read its parts");
    assert_int_equal(root_branch_describe(x.tree, root_branch_find(x.tree, "f")).n_fixed, 3);
    ASSERT_OK(&x, read_branch(&x, "f"));
    assert_int_equal(x.column.offsets[2], 6);
    close_built(&x);
}

/* ---- contradictions --------------------------------------------------------------------------------------------- */

static void fails(const struct build_branch *b, int64_t tree_entries, enum status status, const char *words)
{
    struct fixture x;
    ASSERT_OK(&x, open_built(&x, &(struct build_file){.branches = b, .n_branches = 1, .entries = tree_entries}));
    ASSERT_FAILS(&x, read_branch(&x, b->name), status, words);
    assert_true(strncmp(x.e.text, "t.root: tree T: branch ", 23) == 0);
    assert_int_equal(x.column.n_entries, 0);
    close_built(&x);
}

static void test_entries_that_no_basket_holds_are_an_error(void **state)
{
    (void)state;
    struct build_branch b = {.name = "x", .leaves = LEAF_I("x", -1), .baskets = {{2, ints, 8, NULL, ON_DISK}}};
    fails(&b, 3, STATUS_FORMAT, "entries 0 to 3 of 2 are wanted (the tree says 3)");
    b.entries = 5;
    fails(&b, 5, STATUS_FORMAT, "basket 1 with entries 2 to 5 is nowhere");
    b.entries = 1;
    fails(&b, 1, STATUS_FORMAT, "basket 0 holds entries 0 to 2 of 1");
    b.entries = (int64_t)1 << 40;
    fails(&b, (int64_t)1 << 40, STATUS_FORMAT, "is nowhere");
}

static void test_bytes_that_are_too_many_or_too_few_are_an_error(void **state)
{
    (void)state;
    struct build_branch b = {.name = "x", .leaves = LEAF_I("x", -1), .baskets = {{2, ints, 12, NULL, ON_DISK}}};
    fails(&b, 0, STATUS_FORMAT, "2 entries of 4 bytes in 12 bytes");
    b.baskets[0].place = IN_TREE;
    fails(&b, 0, STATUS_FORMAT, "2 entries of 4 bytes in 12 bytes");
    struct build_branch j = {.name = "x", .leaves = LEAF_I("x", -1), .baskets = {{3, ints, 12, NULL, ON_DISK}}};
    j.baskets[0].offsets = (const uint32_t[]){0, 8, 4};
    fails(&j, 0, STATUS_FORMAT, "entry 2 begins at 4 of 12 bytes, the one before at 8");
    j.baskets[0].offsets = (const uint32_t[]){4, 8, 12};
    fails(&j, 0, STATUS_FORMAT, "4 bytes come before the first entry");
    j.baskets[0].offsets = (const uint32_t[]){0, 8, 16};
    fails(&j, 0, STATUS_FORMAT, "entry 2 begins at 16 of 12 bytes");
    j.baskets[0].offsets = (const uint32_t[]){0, 4, 8};
    j.baskets[0].n_bytes = 10;
    fails(&j, 0, STATUS_FORMAT, "x is cut off");
}

static void test_uneven_jagged_entries_are_an_error(void **state)
{
    (void)state;
    const struct build_branch b[] = {
        {.name = "n", .leaves = LEAF_I("n", -1), .baskets = {{3, counts, 12, NULL, ON_DISK}}},
        {.name = "x", .leaves = LEAF_I("x", 0), .baskets = {{3, ints, 12, (const uint32_t[]){0, 6, 8}, ON_DISK}}}};
    struct fixture x;
    ASSERT_OK(&x, open_built(&x, &(struct build_file){.branches = b, .n_branches = 2}));
    ASSERT_FAILS(&x, read_branch(&x, "x"), STATUS_FORMAT, "not a number of values of 4 bytes");
    close_built(&x);
}

/* Finds a 32-bit number in the record of the first basket and replaces it. */
static void with_patched_basket(uint32_t was, uint32_t is, enum status status, const char *words)
{
    struct fixture x = {0};
    const struct build_branch b[] = {
        {.name = "x", .leaves = LEAF_I("x", -1), .baskets = {{2, ints, 8, NULL, ON_DISK}}}};
    const struct build_file f = {.branches = b, .n_branches = 1};
    buf_init(&x.bytes, 1 << 20);
    build_file(&x.bytes, &f);
    uint8_t *basket = memmem(x.bytes.data, x.bytes.len, "\7TBasket", 8);
    assert_non_null(basket);
    bool found = false;
    for (uint8_t *p = basket - 26; p < basket + 40 && !found; p++)
        if (load_be32(p) == was) {
            patch32(&x.bytes, (size_t)(p - x.bytes.data), is);
            found = true;
        }
    assert_true(found);
    assert_int_equal(source_open_memory(x.bytes.data, x.bytes.len, "t.root", &x.src, &x.e), STATUS_OK);
    ASSERT_OK(&x, root_open(x.src, &x.file, &x.e));
    ASSERT_OK(&x, root_tree_get(x.file, "T", &x.tree, &x.e));
    ASSERT_FAILS(&x, read_branch(&x, "x"), status, words);
    close_built(&x);
}

static void test_lies_in_a_basket_header_are_errors(void **state)
{
    (void)state;
    uint32_t key_bytes = key_length("TBasket", "x", "", false) + BASKET_HEADER_BYTES, n_bytes = key_bytes + 8;
    with_patched_basket(n_bytes, 0x7fffffff, STATUS_FORMAT, "key says 2147483647 bytes");
    with_patched_basket(n_bytes, (uint32_t)-5, STATUS_FORMAT, "negative size");
    with_patched_basket(8, 0x7fffffff, STATUS_FORMAT, "object of 2147483647 bytes, at most");
    with_patched_basket(8, 7, STATUS_FORMAT, "data end at");
    with_patched_basket(0x07544261, 0x07544262, STATUS_FORMAT, "there is no basket at byte");
    with_patched_basket(2, 3, STATUS_FORMAT, "it holds 3 entries, 2 are due");
    with_patched_basket(32000, (uint32_t)-1, STATUS_OK, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_come_from_disk_packed_disk_and_tree_alike),
        cmocka_unit_test(test_jagged_values_follow_their_offsets_on_disk_and_in_the_tree),
        cmocka_unit_test(test_offsets_that_were_not_written_come_from_the_counter),
        cmocka_unit_test(test_texts_with_and_without_offsets),
        cmocka_unit_test(test_leaf_lists_and_fixed_arrays),
        cmocka_unit_test(test_entries_that_no_basket_holds_are_an_error),
        cmocka_unit_test(test_bytes_that_are_too_many_or_too_few_are_an_error),
        cmocka_unit_test(test_uneven_jagged_entries_are_an_error),
        cmocka_unit_test(test_lies_in_a_basket_header_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
