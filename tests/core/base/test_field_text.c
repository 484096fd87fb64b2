/* tests/core/base/test_field_text.c */
#include "tests/support/unit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct leaf {
    const char *name;
    double value;
    int64_t count;
    struct field_list parts;                 /* struct leaf with part_fields */
};

struct tree {
    bool on;
    int64_t count;
    double value;
    int mode;
    const char *title;
    struct leaf first;
    struct field_list names, numbers, flags, ids, leaves, shares;
};

static const char *const modes[] = {"slow", "fast", "faster", NULL};
static const struct field part_fields[] = {
    FIELD_STRING(struct leaf, name), FIELD_F64(struct leaf, value, .def = 1), FIELD_END};
static const struct field name_only[] = {FIELD_STRING(struct leaf, name), FIELD_END};
static const struct field leaf_fields[] = {
    FIELD_STRING(struct leaf, name), FIELD_F64(struct leaf, value), FIELD_I64(struct leaf, count, .def = 3),
    FIELD_LIST_OBJECT(struct leaf, parts, struct leaf, part_fields), FIELD_END};
static const struct field tree_fields[] = {
    FIELD_BOOL(struct tree, on, .def = 1),
    FIELD_I64(struct tree, count, .def = 7),
    FIELD_F64(struct tree, value, .def = 0.5),
    FIELD_ENUM(struct tree, mode, modes),
    FIELD_STRING(struct tree, title),
    FIELD_OBJECT(struct tree, first, leaf_fields),
    FIELD_LIST_STRING(struct tree, names),
    FIELD_LIST_F64(struct tree, numbers),
    FIELD_LIST_OF(struct tree, flags, FIELD_KIND_BOOL, sizeof(bool)),
    FIELD_LIST_I64(struct tree, ids),
    FIELD_LIST_OBJECT(struct tree, leaves, struct leaf, leaf_fields),
    FIELD_MAP(struct tree, shares),
    FIELD_END};

static struct span span_of(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

static enum status read_tree(struct arena *a, const char *text, struct tree *t, struct error *e)
{
    return field_read_text(a, tree_fields, span_of(text), t, e);
}

static void test_a_tree_is_written_line_by_line(void **state)
{
    (void)state;
    struct leaf parts[2] = {{.name = "p0", .value = -0.0}, {.value = NAN}};
    struct leaf leaves[2] = {{.name = "l0", .count = 1}, {.parts = {parts, 2}}};
    const char *names[] = {"", "a\"b\\c\nd\te\xC3\xA9\xFF"};
    double numbers[] = {0.1, INFINITY, -INFINITY, 1e300};
    bool flags[] = {true, false};
    struct field_pair shares[] = {{"q c\"d]", 0.25}, {"tt", 3}};
    struct tree t = {.on = false, .count = INT64_MIN, .value = 1.0 / 3, .mode = 2, .names = {names, 2},
                     .numbers = {numbers, 4}, .flags = {flags, 2}, .leaves = {leaves, 2}, .shares = {shares, 2}};
    struct buf out;
    struct error e;
    buf_init(&out, 1 << 16);
    assert_ok(field_write_text(tree_fields, &t, &out, &e), &e);
    assert_ok(buf_append(&out, "", 1, &e), &e);
    assert_string_equal((const char *)out.data,
                        "on = false\n"
                        "count = -9223372036854775808\n"
                        "value = 0.33333333333333331\n"
                        "mode = faster\n"
                        "first.value = 0\n"
                        "first.count = 0\n"
                        "names[0] = \"\"\n"
                        "names[1] = \"a\\\"b\\\\c\\nd\\x09e\xC3\xA9\\xff\"\n"
                        "numbers[0] = 0.10000000000000001\n"
                        "numbers[1] = inf\n"
                        "numbers[2] = -inf\n"
                        "numbers[3] = 1.0000000000000001e+300\n"
                        "flags[0] = true\n"
                        "flags[1] = false\n"
                        "leaves[0].name = \"l0\"\n"
                        "leaves[0].value = 0\n"
                        "leaves[0].count = 1\n"
                        "leaves[1].value = 0\n"
                        "leaves[1].count = 0\n"
                        "leaves[1].parts[0].name = \"p0\"\n"
                        "leaves[1].parts[0].value = -0\n"
                        "leaves[1].parts[1].value = nan\n"
                        "shares[\"q c\\\"d]\"] = 0.25\n"
                        "shares[\"tt\"] = 3\n");
    buf_fini(&out);
}

/* ---- random trees: written, read and written again ---------------------------------------------------------- */

static const char *random_text(struct arena *a, struct rng *r)
{
    static const char *const pieces[] = {"\"", "\\", "\n", "\t", "\x01", "\xFF", "\xC3\xA9", "\xE2\x82\xAC", "\xC3",
                                         " = ", "]", "x", "\\x41", "#", ".", "\x7F", "\xC2\x85", "\xED\xA0\x80"};
    char text[64] = "";
    for (uint64_t n = rng_below(r, 12); n > 0; n--)
        strcat(text, pieces[rng_below(r, ARRAY_LEN(pieces))]);
    char *copy = arena_strdup(a, text);
    assert_non_null(copy);
    return copy;
}

static double random_number(struct rng *r)
{
    uint64_t bits = rng_u64(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    switch (rng_below(r, 6)) {
    case 0: return (double)(int64_t)rng_below(r, 100) - 50;
    case 1: return DBL_TRUE_MIN * (double)rng_below(r, 1000);
    case 2: return rng_below(r, 2) ? INFINITY : -INFINITY;
    case 3: return rng_below(r, 2) ? DBL_MAX : -DBL_MAX;
    default: return isnan(value) ? NAN : value;
    }
}

static struct field_list random_list(struct arena *a, struct rng *r, size_t item_size, uint64_t most)
{
    struct field_list list = {NULL, (size_t)rng_below(r, most + 1)};
    if (list.n_items > 0) {
        list.items = arena_alloc(a, list.n_items, item_size);
        assert_non_null(list.items);
    }
    return list;
}

static struct leaf random_leaf(struct arena *a, struct rng *r, bool inner)
{
    struct leaf leaf = {.name = rng_below(r, 3) ? random_text(a, r) : NULL, .value = random_number(r)};
    if (inner)
        return leaf;
    leaf.count = (int64_t)rng_u64(r);
    leaf.parts = random_list(a, r, sizeof(struct leaf), 9);
    for (size_t i = 0; i < leaf.parts.n_items; i++)
        ((struct leaf *)leaf.parts.items)[i] = random_leaf(a, r, true);
    return leaf;
}

static struct tree random_tree(struct arena *a, struct rng *r)
{
    struct tree t = {.on = rng_below(r, 2), .count = (int64_t)rng_u64(r), .value = random_number(r),
                     .mode = (int)rng_below(r, 3), .title = rng_below(r, 2) ? random_text(a, r) : NULL,
                     .first = random_leaf(a, r, false)};
    t.names = random_list(a, r, sizeof(char *), 9);
    for (size_t i = 0; i < t.names.n_items; i++)
        ((const char **)t.names.items)[i] = random_text(a, r);
    t.numbers = random_list(a, r, sizeof(double), 40);
    for (size_t i = 0; i < t.numbers.n_items; i++)
        ((double *)t.numbers.items)[i] = random_number(r);
    t.flags = random_list(a, r, sizeof(bool), 5);
    for (size_t i = 0; i < t.flags.n_items; i++)
        ((bool *)t.flags.items)[i] = rng_below(r, 2);
    t.ids = random_list(a, r, sizeof(int64_t), 5);
    for (size_t i = 0; i < t.ids.n_items; i++)
        ((int64_t *)t.ids.items)[i] = (int64_t)rng_u64(r);
    t.leaves = random_list(a, r, sizeof(struct leaf), 6);
    for (size_t i = 0; i < t.leaves.n_items; i++)
        ((struct leaf *)t.leaves.items)[i] = random_leaf(a, r, false);
    t.shares = random_list(a, r, sizeof(struct field_pair), 5);
    for (size_t i = 0; i < t.shares.n_items; i++)
        ((struct field_pair *)t.shares.items)[i] =
            (struct field_pair){arena_printf(a, "%zu%s", i, random_text(a, r)), random_number(r)};
    return t;
}

static bool same_number(double x, double y)
{
    return (isnan(x) && isnan(y)) || memcmp(&x, &y, sizeof x) == 0;
}

static bool same_text(const char *x, const char *y)
{
    return x && y ? strcmp(x, y) == 0 : x == y;
}

static void assert_same_leaf(const struct leaf *x, const struct leaf *y)
{
    assert_true(same_text(x->name, y->name));
    assert_true(same_number(x->value, y->value));
    assert_int_equal(x->parts.n_items, y->parts.n_items);
    for (size_t i = 0; i < x->parts.n_items; i++)
        assert_same_leaf((struct leaf *)x->parts.items + i, (struct leaf *)y->parts.items + i);
}

static void assert_same_tree(const struct tree *x, const struct tree *y)
{
    assert_true(x->on == y->on && x->count == y->count && x->mode == y->mode);
    assert_true(same_number(x->value, y->value) && same_text(x->title, y->title));
    assert_same_leaf(&x->first, &y->first);
    assert_int_equal(x->names.n_items, y->names.n_items);
    for (size_t i = 0; i < x->names.n_items; i++)
        assert_string_equal(((char **)x->names.items)[i], ((char **)y->names.items)[i]);
    assert_int_equal(x->numbers.n_items, y->numbers.n_items);
    for (size_t i = 0; i < x->numbers.n_items; i++)
        assert_true(same_number(((double *)x->numbers.items)[i], ((double *)y->numbers.items)[i]));
    assert_int_equal(x->flags.n_items, y->flags.n_items);
    assert_true(x->flags.n_items == 0 || memcmp(x->flags.items, y->flags.items, x->flags.n_items) == 0);
    assert_int_equal(x->ids.n_items, y->ids.n_items);
    assert_true(x->ids.n_items == 0 || memcmp(x->ids.items, y->ids.items, 8 * x->ids.n_items) == 0);
    assert_int_equal(x->leaves.n_items, y->leaves.n_items);
    for (size_t i = 0; i < x->leaves.n_items; i++)
        assert_same_leaf((struct leaf *)x->leaves.items + i, (struct leaf *)y->leaves.items + i);
    assert_int_equal(x->shares.n_items, y->shares.n_items);
    for (size_t i = 0; i < x->shares.n_items; i++) {
        const struct field_pair *p = (struct field_pair *)x->shares.items + i;
        const struct field_pair *q = (struct field_pair *)y->shares.items + i;
        assert_string_equal(p->name, q->name);
        assert_true(same_number(p->value, q->value));
    }
}

static void test_what_is_written_is_read_back_bit_by_bit(void **state)
{
    (void)state;
    struct rng r = rng_stream(2024, 0);
    for (int round = 0; round < 2000; round++) {
        struct arena a;
        struct buf first, second;
        struct error e;
        struct tree again;
        arena_init(&a, 1 << 22);
        buf_init(&first, 1 << 22);
        buf_init(&second, 1 << 22);
        struct tree t = random_tree(&a, &r);
        assert_ok(field_write_text(tree_fields, &t, &first, &e), &e);
        assert_ok(field_read_text(&a, tree_fields, (struct span){first.data, first.len}, &again, &e), &e);
        assert_same_tree(&t, &again);
        assert_ok(field_write_text(tree_fields, &again, &second, &e), &e);
        assert_int_equal(first.len, second.len);
        assert_memory_equal(first.data, second.data, first.len);
        buf_fini(&second);
        buf_fini(&first);
        arena_fini(&a);
    }
}

static void test_items_without_any_value_keep_their_place(void **state)
{
    (void)state;
    struct holder { struct field_list items; };
    static const struct field fields[] = {FIELD_LIST_OBJECT(struct holder, items, struct leaf, name_only), FIELD_END};
    struct leaf leaves[3] = {{.name = NULL}, {.name = "b"}, {.name = NULL}};
    struct holder h = {{leaves, 3}}, again;
    struct arena a;
    struct buf out;
    struct error e;
    arena_init(&a, 1 << 16);
    buf_init(&out, 1 << 16);
    assert_ok(field_write_text(fields, &h, &out, &e), &e);
    assert_int_equal(out.len, strlen("items[0] = {}\nitems[1].name = \"b\"\nitems[2] = {}\n"));
    assert_ok(field_read_text(&a, fields, (struct span){out.data, out.len}, &again, &e), &e);
    assert_int_equal(again.items.n_items, 3);
    assert_null(((struct leaf *)again.items.items)[2].name);
    buf_fini(&out);
    arena_fini(&a);
}

static void test_absent_members_take_their_defaults_also_in_items(void **state)
{
    (void)state;
    struct arena a;
    struct tree t;
    struct error e;
    arena_init(&a, 1 << 16);
    memset(&t, 0xEE, sizeof t);
    assert_ok(read_tree(&a, "# a remark\n\nleaves[0].name = \"x\"\nleaves[0].parts[0] = {}\n", &t, &e), &e);
    assert_true(t.on);
    assert_int_equal(t.count, 7);
    assert_true(t.value == 0.5);
    assert_null(t.title);
    assert_int_equal(t.first.count, 3);
    const struct leaf *leaf = t.leaves.items;
    assert_int_equal(leaf->count, 3);
    assert_true(((const struct leaf *)leaf->parts.items)->value == 1);
    assert_ok(field_read_text(&a, tree_fields, (struct span){NULL, 0}, &t, &e), &e);
    assert_int_equal(t.leaves.n_items, 0);
    arena_fini(&a);
}

static const struct { const char *text, *message; } malformed[] = {
    {"nothing = 1\n", "line 1: unknown name at column 1"},
    {"count = 1\n\n#\nfirst.x = 1\n", "line 4: unknown name at column 7"},
    {"count = 1", "line 1: the last line has no end"},
    {"count=1\n", "' = ' is missing at column 6"},
    {" count = 1\n", "unknown name"},
    {"count = 1 \n", "whole number"},
    {"count = \n", "no word"},
    {"count = 9223372036854775808\n", "64 bits"},
    {"count = 1-1\n", "whole number"},
    {"count = 0x10\n", "whole number"},
    {"count = 1.5\n", "whole number"},
    {"value = 1e999\n", "fits"},
    {"value = infinity\n", "must be a number"},
    {"value = nan(1)\n", "must be a number"},
    {"value = 0x1p3\n", "must be a number"},
    {"value = --1\n", "fits"},
    {"value = 1,5\n", "must be a number"},
    {"on = yes\n", "true or false"},
    {"on = truely\n", "something follows"},
    {"mode = fas\n", "no choice of mode"},
    {"mode = fastest\n", "no choice of mode"},
    {"title = x\n", "'\"' is missing"},
    {"title = \"x\n", "'\"' is missing"},
    {"title = \"x\" \n", "something follows"},
    {"title = \"\\q\"\n", "unknown escape"},
    {"title = \"\\x0\"\n", "unknown escape"},
    {"title = \"\\x00\"\n", "unknown escape"},
    {"title = \"\\", "no end"},
    {"title = \"\\\n", "unknown escape"},
    {"title = \"a\tb\"\n", "control or malformed"},
    {"title = \"\xFF\"\n", "control or malformed"},
    {"names[1] = \"x\"\n", "index 1 does not follow the 0 items"},
    {"names[0] = \"x\"\nnames[0] = \"x\"\n", "line 2: item 0 is given twice"},
    {"names[-1] = \"x\"\n", "']' is missing"},
    {"names[] = \"x\"\n", "does not follow"},
    {"names[99999999999999999999] = \"x\"\n", "']' is missing"},
    {"names = \"x\"\n", "'[' is missing"},
    {"names[0].x = \"x\"\n", "' = ' is missing"},
    {"leaves[0] = 1\n", "'.' is missing"},
    {"leaves[0] = {} \n", "something follows"},
    {"leaves[0].count = 1\nleaves[2].count = 1\n", "line 2: index 2 does not follow the 1 items"},
    {"leaves[0] = {}\nleaves[1] = {}\nleaves[0].count = 1\n", "line 3: index 0"},
    {"leaves[0] = {}\nleaves[0] = {}\n", "line 2: '.' is missing"},
    {"first = 1\n", "'.' is missing"},
    {"first.parts[0].parts[0].name = \"x\"\n", "unknown name"},
    {"shares[tt] = 1\n", "'\"' is missing"},
    {"shares[\"tt\"] = \"x\"\n", "must be a number"},
    {"shares[\"tt\"] = 1\nshares[\"t\\x74\"] = 1\n", "line 2: this name is given twice"},
    {"count = 1\r\n", "whole number"},
};

static void test_malformed_lines_are_refused_with_their_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        struct arena a;
        struct tree t;
        struct error e;
        arena_init(&a, 1 << 16);
        assert_status(read_tree(&a, malformed[i].text, &t, &e), STATUS_FORMAT, &e);
        assert_contains(e.text, malformed[i].message);
        assert_contains(e.text, "line ");
        arena_fini(&a);
    }
}

static void test_a_zero_byte_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const char text[] = "count = 12\ntitle = \"abc\"\nnames[0] = \"x\"\nmode = fast\nshares[\"a\"] = 2\n";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char hurt[sizeof text];
        struct arena a;
        struct tree t;
        struct error e;
        memcpy(hurt, text, sizeof text);
        hurt[i] = '\0';
        arena_init(&a, 1 << 16);
        assert_status(field_read_text(&a, tree_fields, (struct span){(const uint8_t *)hurt, sizeof text - 1}, &t, &e),
                      STATUS_FORMAT, &e);
        arena_fini(&a);
    }
}

static void test_every_shortened_text_is_refused_or_whole_lines(void **state)
{
    (void)state;
    static const char text[] = "count = 123\ntitle = \"abc\"\nleaves[0].parts[0].value = 1.5\nshares[\"a\"] = 2\n";
    for (size_t n = 0; n < sizeof text; n++) {
        struct arena a;
        struct tree t;
        struct error e;
        arena_init(&a, 1 << 16);
        enum status s = field_read_text(&a, tree_fields, (struct span){(const uint8_t *)text, n}, &t, &e);
        assert_int_equal(s, n == 0 || text[n - 1] == '\n' || n == sizeof text - 1 ? STATUS_OK : STATUS_FORMAT);
        arena_fini(&a);
    }
}

static void test_long_lines_and_large_maps_are_bounded_both_ways(void **state)
{
    (void)state;
    size_t n = (1 << 20) + 100;
    char *text = malloc(n + 2);
    struct arena a;
    struct tree t;
    struct error e;
    struct buf out;
    assert_non_null(text);
    memset(text, '#', n);
    memcpy(text + n, "\n", 2);
    arena_init(&a, 1 << 26);
    buf_init(&out, 1 << 26);
    assert_status(read_tree(&a, text, &t, &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "longer than");
    field_defaults(tree_fields, &t);
    t.title = text;
    assert_status(field_write_text(tree_fields, &t, &out, &e), STATUS_RANGE, &e);
    assert_contains(e.text, "title");
    assert_int_equal(out.len, 0);
    text[250000] = '\0';                                      /* the longest texts pass both ways */
    assert_ok(field_write_text(tree_fields, &t, &out, &e), &e);
    assert_ok(field_read_text(&a, tree_fields, (struct span){out.data, out.len}, &t, &e), &e);
    assert_int_equal(strlen(t.title), 250000);
    struct field_pair *pairs = arena_alloc(&a, 16385, sizeof *pairs);
    for (size_t i = 0; i < 16385; i++)
        pairs[i] = (struct field_pair){arena_printf(&a, "%zu", i), 1};
    t.shares = (struct field_list){pairs, 16385};
    assert_status(field_write_text(tree_fields, &t, &out, &e), STATUS_RANGE, &e);
    buf_fini(&out);
    arena_fini(&a);
    free(text);
}

static void test_writing_refuses_what_could_not_be_read(void **state)
{
    (void)state;
    const char *names[] = {"a", NULL};
    struct tree t;
    struct buf out;
    struct error e;
    buf_init(&out, 1 << 16);
    field_defaults(tree_fields, &t);
    t.names = (struct field_list){names, 2};
    assert_status(field_write_text(tree_fields, &t, &out, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "names[1]");
    t.names.n_items = 1;
    t.mode = 3;
    assert_status(field_write_text(tree_fields, &t, &out, &e), STATUS_RANGE, &e);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void test_memory_limits_and_failing_allocations_are_reported(void **state)
{
    (void)state;
    struct arena a;
    struct buf text, out;
    struct error e;
    struct rng r = rng_stream(11, 0);
    arena_init(&a, 1 << 22);
    buf_init(&text, 1 << 20);
    struct tree t = random_tree(&a, &r), again;
    assert_ok(field_write_text(tree_fields, &t, &text, &e), &e);
    for (size_t max = 0; max < text.len; max += 97) {
        struct arena small;
        arena_init(&small, max);
        enum status s = field_read_text(&small, tree_fields, (struct span){text.data, text.len}, &again, &e);
        assert_true(s == STATUS_OK || s == STATUS_NOMEM);
        arena_fini(&small);
        buf_init(&out, max);
        assert_status(field_write_text(tree_fields, &t, &out, &e), STATUS_NOMEM, &e);
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct arena small;
        arena_init(&small, 1 << 22);
        enum status s = field_read_text(&small, tree_fields, (struct span){text.data, text.len}, &again, &e);
        assert_int_equal(s, alloc_fail_end() ? STATUS_NOMEM : STATUS_OK);
        arena_fini(&small);
    }
    buf_fini(&text);
    arena_fini(&a);
}

/* A table that contains itself would nest without end. */
struct chain {
    struct field_list next;
};
static const struct field chain_fields[] = {FIELD_LIST_OBJECT(struct chain, next, struct chain, chain_fields),
                                            FIELD_END};

static void test_nesting_is_bounded_both_ways(void **state)
{
    (void)state;
    struct chain links[100];
    struct arena a;
    struct buf out;
    struct error e;
    for (size_t i = 0; i < 99; i++)
        links[i].next = (struct field_list){&links[i + 1], 1};
    links[99].next = (struct field_list){NULL, 0};
    arena_init(&a, 1 << 16);
    buf_init(&out, 1 << 16);
    assert_status(field_write_text(chain_fields, links, &out, &e), STATUS_RANGE, &e);
    for (int i = 0; i < 100; i++)
        assert_ok(buf_printf(&out, &e, "%snext[0]", i ? "." : ""), &e);
    assert_ok(buf_printf(&out, &e, " = {}\n"), &e);
    struct chain again;
    assert_status(field_read_text(&a, chain_fields, (struct span){out.data, out.len}, &again, &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "nested deeper");
    buf_fini(&out);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tree_is_written_line_by_line),
        cmocka_unit_test(test_what_is_written_is_read_back_bit_by_bit),
        cmocka_unit_test(test_items_without_any_value_keep_their_place),
        cmocka_unit_test(test_absent_members_take_their_defaults_also_in_items),
        cmocka_unit_test(test_malformed_lines_are_refused_with_their_number),
        cmocka_unit_test(test_a_zero_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(test_every_shortened_text_is_refused_or_whole_lines),
        cmocka_unit_test(test_long_lines_and_large_maps_are_bounded_both_ways),
        cmocka_unit_test(test_writing_refuses_what_could_not_be_read),
        cmocka_unit_test(test_memory_limits_and_failing_allocations_are_reported),
        cmocka_unit_test(test_nesting_is_bounded_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
