/* tests/core/parquet/test_schema.c
 *
 * Which shapes of a schema are columns, with which levels, and how the others are named. */
#include "tests/support/unit.h"

#include "core/parquet/schema.h"

#include <string.h>

enum { R = PARQUET_REQUIRED, O = PARQUET_OPTIONAL, M = PARQUET_REPEATED };

static struct schema_element leaf(const char *name, int repetition, int type)
{
    return (struct schema_element){
        .name = name, .type = type, .repetition = repetition, .converted = PARQUET_CONVERTED_NONE};
}

static struct schema_element group(const char *name, int repetition, int converted, int n_children)
{
    return (struct schema_element){
        .name = name, .type = -1, .repetition = repetition, .converted = converted, .n_children = n_children};
}

/* The first column of a schema whose only child is elements[0]. */
static struct schema_column column_of(struct arena *a, const struct schema_element *elements, size_t n)
{
    struct error e;
    struct schema_element all[8] = {group("root", -1, PARQUET_CONVERTED_NONE, 1)};
    struct schema_column *columns;
    size_t n_columns, n_leaves;
    memcpy(all + 1, elements, n * sizeof *elements);
    assert_ok(schema_columns(a, all, n + 1, &columns, &n_columns, &n_leaves, &e), &e);
    assert_int_equal(n_columns, 1);
    assert_string_equal(columns[0].column.name, elements[0].name);
    return columns[0];
}
#define COLUMN_OF(a, ...)                                                                                              \
    column_of((a), (struct schema_element[]){__VA_ARGS__}, ARRAY_LEN(((struct schema_element[]){__VA_ARGS__})))

static void assert_levels(const struct schema_column *c, unsigned rep, unsigned def, int null_row, int empty_row,
                          int null_value)
{
    assert_null(c->column.unsupported);
    assert_int_equal(c->levels.max_rep, rep);
    assert_int_equal(c->levels.max_def, def);
    assert_int_equal(c->levels.null_row, null_row);
    assert_int_equal(c->levels.empty_row, empty_row);
    assert_int_equal(c->levels.null_value, null_value);
    assert_int_equal(c->column.list, rep > 0);
}

static void test_flat_columns_have_a_type_and_perhaps_nulls(void **state)
{
    (void)state;
    static const struct {
        int stored;
        enum pq_type type;
    } types[] = {{PARQUET_BOOLEAN, PQ_BOOL}, {PARQUET_INT32, PQ_I32},  {PARQUET_INT64, PQ_I64},
                 {PARQUET_FLOAT, PQ_F32},    {PARQUET_DOUBLE, PQ_F64}, {PARQUET_BYTE_ARRAY, PQ_STRING}};
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct schema_column c = COLUMN_OF(&a, leaf("x", R, types[i].stored));
        assert_levels(&c, 0, 0, -1, -1, -1);
        assert_int_equal(c.column.type, types[i].type);
        assert_false(c.column.optional);
        c = COLUMN_OF(&a, leaf("x", O, types[i].stored));
        assert_levels(&c, 0, 1, 0, -1, -1);
        assert_true(c.column.optional);
    }
    arena_fini(&a);
}

static void test_every_historical_shape_of_a_list_is_a_list(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct schema_column c = COLUMN_OF(&a, leaf("x", M, PARQUET_FLOAT));
    assert_levels(&c, 1, 1, -1, 0, -1);
    c = COLUMN_OF(&a, group("x", R, PARQUET_LIST, 1), leaf("array", M, PARQUET_FLOAT));
    assert_levels(&c, 1, 1, -1, 0, -1);
    c = COLUMN_OF(&a, group("x", O, PARQUET_LIST, 1), leaf("array", M, PARQUET_FLOAT));
    assert_levels(&c, 1, 2, 0, 1, -1);
    c = COLUMN_OF(&a, group("x", R, PARQUET_LIST, 1), group("list", M, -1, 1), leaf("element", R, PARQUET_FLOAT));
    assert_levels(&c, 1, 1, -1, 0, -1);
    c = COLUMN_OF(&a, group("x", O, PARQUET_LIST, 1), group("list", M, -1, 1), leaf("element", R, PARQUET_FLOAT));
    assert_levels(&c, 1, 2, 0, 1, -1);
    c = COLUMN_OF(&a, group("x", R, PARQUET_LIST, 1), group("list", M, -1, 1), leaf("element", O, PARQUET_FLOAT));
    assert_levels(&c, 1, 2, -1, 0, 1);
    c = COLUMN_OF(&a, group("x", O, PARQUET_LIST, 1), group("bag", M, -1, 1), leaf("array_element", O, PARQUET_FLOAT));
    assert_levels(&c, 1, 3, 0, 1, 2);
    assert_true(c.column.optional);
    struct schema_element by_logical = group("x", O, PARQUET_CONVERTED_NONE, 1);
    by_logical.logical = PARQUET_LOGICAL_LIST;
    c = COLUMN_OF(&a, by_logical, group("list", M, -1, 1), leaf("element", O, PARQUET_FLOAT));
    assert_levels(&c, 1, 3, 0, 1, 2);
    arena_fini(&a);
}

static void test_integer_annotations_of_both_generations_are_understood(void **state)
{
    (void)state;
    static const struct {
        int stored, converted, logical_bits, is_signed, bits, is_unsigned;
    } cases[] = {
        {PARQUET_INT32, PARQUET_INT_8, 0, 0, 8, 0},
        {PARQUET_INT32, PARQUET_INT_16, 0, 0, 16, 0},
        {PARQUET_INT32, PARQUET_INT_32, 0, 0, 0, 0},
        {PARQUET_INT64, PARQUET_INT_64, 0, 0, 0, 0},
        {PARQUET_INT32, PARQUET_UINT_8, 0, 0, 8, 1},
        {PARQUET_INT32, PARQUET_UINT_16, 0, 0, 16, 1},
        {PARQUET_INT32, PARQUET_UINT_32, 0, 0, 0, 1},
        {PARQUET_INT64, PARQUET_UINT_64, 0, 0, 0, 1},
        {PARQUET_INT32, -1, 8, 1, 8, 0},
        {PARQUET_INT32, -1, 16, 0, 16, 1},
        {PARQUET_INT64, -1, 64, 0, 0, 1},
        {PARQUET_INT64, -1, 8, 1, 0, 0},
        {PARQUET_INT32, -1, 0, 0, 0, 0},
    };
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct schema_element s = leaf("x", R, cases[i].stored);
        s.converted = cases[i].converted;
        s.logical = cases[i].logical_bits ? PARQUET_LOGICAL_INTEGER : 0;
        s.int_bits = cases[i].logical_bits;
        s.int_signed = cases[i].is_signed;
        struct schema_column c = COLUMN_OF(&a, s);
        assert_int_equal(c.column.bits, cases[i].bits);
        assert_int_equal(c.column.unsigned_, cases[i].is_unsigned);
    }
    arena_fini(&a);
}

static void test_unsupported_constructs_are_named(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct schema_element decimal = leaf("x", R, PARQUET_INT32);
    decimal.converted = PARQUET_DECIMAL;
    const struct schema_element list = group("x", O, PARQUET_LIST, 1), middle = group("list", M, -1, 1);
    assert_string_equal(COLUMN_OF(&a, leaf("x", R, PARQUET_INT96)).column.unsupported, "INT96 values");
    assert_string_equal(COLUMN_OF(&a, leaf("x", R, 7)).column.unsupported, "FIXED_LEN_BYTE_ARRAY values");
    assert_string_equal(COLUMN_OF(&a, decimal).column.unsupported, "DECIMAL values");
    assert_non_null(strstr(COLUMN_OF(&a, leaf("x", R, 77)).column.unsupported, "unknown to this version"));
    assert_string_equal(COLUMN_OF(&a, group("x", O, -1, 0)).column.unsupported, "structs");
    assert_string_equal(COLUMN_OF(&a, group("x", M, -1, 1), leaf("a", R, 1)).column.unsupported, "lists of structs");
    assert_string_equal(COLUMN_OF(&a, group("x", O, PARQUET_MAP, 1), group("key_value", M, -1, 2), leaf("key", R, 1),
                                  leaf("value", R, 1))
                            .column.unsupported,
                        "maps");
    assert_string_equal(
        COLUMN_OF(&a, list, middle, list, middle, list, middle, leaf("element", R, 1)).column.unsupported,
        "lists nested deeper than two");
    assert_string_equal(COLUMN_OF(&a, list, middle, group("element", R, -1, 1), leaf("a", R, 1)).column.unsupported,
                        "lists of structs");
    assert_string_equal(
        COLUMN_OF(&a, list, group("list", M, -1, 2), leaf("a", R, 1), leaf("b", R, 1)).column.unsupported,
        "lists of structs");
    assert_string_equal(COLUMN_OF(&a, list, group("array", M, -1, 1), leaf("a", R, 1)).column.unsupported,
                        "lists of structs");
    assert_string_equal(COLUMN_OF(&a, list, group("x_tuple", M, -1, 1), leaf("a", R, 1)).column.unsupported,
                        "lists of structs");
    assert_string_equal(
        COLUMN_OF(&a, list, middle, group("element", R, PARQUET_MAP, 1), leaf("a", M, 1)).column.unsupported,
        "lists of maps");
    assert_string_equal(COLUMN_OF(&a, list, leaf("a", O, 1)).column.unsupported, "a LIST group of an unknown shape");
    assert_string_equal(COLUMN_OF(&a, group("x", O, PARQUET_LIST, 0)).column.unsupported,
                        "a LIST group of an unknown shape");
    assert_string_equal(COLUMN_OF(&a, list, middle, leaf("element", R, PARQUET_INT96)).column.unsupported,
                        "INT96 values");
    arena_fini(&a);
}

static void test_leaves_are_counted_past_unsupported_columns(void **state)
{
    (void)state;
    struct error e;
    struct arena a;
    struct schema_column *c;
    size_t n_columns, n_leaves;
    const struct schema_element all[] = {group("root", -1, -1, 3), group("s", M, -1, 2),    leaf("a", R, 1),
                                         group("t", O, -1, 2),     leaf("b", R, 1),         leaf("d", R, 1),
                                         leaf("x", R, 1),          group("empty", O, -1, 0)};
    arena_init(&a, 1 << 20);
    assert_ok(schema_columns(&a, all, ARRAY_LEN(all), &c, &n_columns, &n_leaves, &e), &e);
    assert_int_equal(n_columns, 3);
    assert_int_equal(n_leaves, 4);
    assert_int_equal(c[0].n_leaves, 3);
    assert_int_equal(c[1].first_leaf, 3);
    assert_int_equal(c[2].n_leaves, 0);
    arena_fini(&a);
}

/* As Spark stores its vectors: columns of their own, with the struct's definition level below theirs. */
static void test_members_of_structs_are_columns_with_dotted_names(void **state)
{
    (void)state;
    struct error e;
    struct arena a;
    struct schema_column *c;
    size_t n_columns, n_leaves;
    struct schema_element type = leaf("type", R, PARQUET_INT32);
    type.converted = PARQUET_INT_8;
    const struct schema_element all[] = {group("root", -1, -1, 4),
                                         group("features", O, -1, 4),
                                         type,
                                         leaf("size", O, PARQUET_INT32),
                                         group("indices", O, PARQUET_LIST, 1),
                                         group("list", M, -1, 1),
                                         leaf("element", R, PARQUET_INT32),
                                         group("values", O, PARQUET_LIST, 1),
                                         group("list", M, -1, 1),
                                         leaf("element", R, PARQUET_DOUBLE),
                                         group("required", R, -1, 1),
                                         group("optional", O, -1, 2),
                                         leaf("bare", M, PARQUET_FLOAT),
                                         group("m", O, PARQUET_MAP, 1),
                                         group("key_value", M, -1, 1),
                                         leaf("key", R, 1),
                                         leaf("last", R, PARQUET_FLOAT),
                                         group("empty", O, -1, 0)};
    arena_init(&a, 1 << 20);
    assert_ok(schema_columns(&a, all, ARRAY_LEN(all), &c, &n_columns, &n_leaves, &e), &e);
    static const char *const names[] = {
        "features.type",        "features.size", "features.indices", "features.values", "required.optional.bare",
        "required.optional.m", "last",          "empty"};
    assert_int_equal(n_columns, ARRAY_LEN(names));
    assert_int_equal(n_leaves, 7);
    for (size_t i = 0; i < n_columns; i++) {
        assert_string_equal(c[i].column.name, names[i]);
        assert_int_equal(c[i].first_leaf, i);
    }
    assert_levels(&c[0], 0, 1, 0, -1, -1);
    assert_int_equal(c[0].column.bits, 8);
    assert_true(c[0].column.optional);
    assert_levels(&c[1], 0, 2, 1, -1, -1);
    assert_levels(&c[3], 1, 3, 1, 2, -1);
    assert_levels(&c[4], 1, 2, 0, 1, -1);
    assert_string_equal(c[5].column.unsupported, "maps");
    assert_levels(&c[6], 0, 0, -1, -1, -1);
    assert_string_equal(c[7].column.unsupported, "structs");
    arena_fini(&a);
}

static void test_lists_of_lists_have_levels_for_each_optional_part(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    const struct schema_element middle = group("list", M, -1, 1);
    for (int bits = 0; bits < 8; bits++) {
        int outer = bits & 1, inner = bits >> 1 & 1, element = bits >> 2 & 1;
        struct schema_column c = COLUMN_OF(&a, group("x", outer ? O : R, PARQUET_LIST, 1), middle,
                                           group("element", inner ? O : R, PARQUET_LIST, 1), middle,
                                           leaf("element", element ? O : R, PARQUET_FLOAT));
        assert_levels(&c, 2, (unsigned)(2 + outer + inner + element), outer - 1, outer,
                      element ? outer + inner + 2 : -1);
        assert_int_equal(c.column.depth, 2);
        assert_int_equal(c.levels.null_list, inner ? outer + 1 : -1);
        assert_int_equal(c.levels.empty_list, outer + inner + 1);
    }
    struct schema_column c = COLUMN_OF(&a, group("x", O, PARQUET_LIST, 1), group("array", M, PARQUET_LIST, 1),
                                       leaf("array", M, PARQUET_FLOAT)); /* two levels twice */
    assert_levels(&c, 2, 3, 0, 1, -1);
    assert_int_equal(c.levels.empty_list, 2);
    arena_fini(&a);
}

static void test_trees_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static struct schema_element chain[300];
    struct error e;
    struct arena a;
    struct schema_column *c;
    size_t n_columns, n_leaves;
    arena_init(&a, 1 << 20);
#define REFUSED(says, elements, n)                                                                                     \
    do {                                                                                                               \
        assert_status(schema_columns(&a, (elements), (n), &c, &n_columns, &n_leaves, &e), STATUS_FORMAT, &e);          \
        assert_contains(e.text, says);                                                                                 \
    } while (0)
    for (size_t i = 0; i < ARRAY_LEN(chain); i++)
        chain[i] = group("deeper", O, -1, 1);
    chain[299] = leaf("bottom", R, 1);
    REFUSED("nest deeper than 64", chain, ARRAY_LEN(chain));
    chain[299] = group("no end", R, -1, 1);
    REFUSED("schema:", chain, ARRAY_LEN(chain));
    const struct schema_element greedy[] = {group("root", -1, -1, 1), group("s", O, -1, INT32_MAX), leaf("a", R, 1)};
    REFUSED("claims 2147483647 children", greedy, 3);
    const struct schema_element wide_root[] = {group("root", -1, -1, INT32_MAX), leaf("a", R, 1)};
    REFUSED("the root claims 2147483647 children", wide_root, 2);
    const struct schema_element orphan[] = {group("root", -1, -1, 1), leaf("a", R, 1), leaf("b", R, 1)};
    REFUSED("outside the tree", orphan, 3);
    const struct schema_element stolen[] = {group("root", -1, -1, 2), group("s", O, -1, 2), leaf("a", R, 1),
                                            leaf("b", R, 1)};
    REFUSED("more children than", stolen, 4);
    const struct schema_element no_root[] = {leaf("a", R, 1)};
    REFUSED("no root", no_root, 1);
    REFUSED("no root", no_root, 0);
#undef REFUSED
    arena_fini(&a);
}

static void test_columns_that_cannot_be_written_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct pq_column column;
        enum status status;
    } cases[] = {
        {{.name = "", .type = PQ_I32}, STATUS_ARGUMENT},
        {{.name = NULL, .type = PQ_I32}, STATUS_ARGUMENT},
        {{.name = "line\nbreak", .type = PQ_I32}, STATUS_ARGUMENT},
        {{.name = "x", .type = (enum pq_type)9}, STATUS_ARGUMENT},
        {{.name = "x", .type = PQ_F32, .bits = 8}, STATUS_ARGUMENT},
        {{.name = "x", .type = PQ_I32, .bits = 12}, STATUS_ARGUMENT},
        {{.name = "x", .type = PQ_I64, .bits = 16}, STATUS_ARGUMENT},
        {{.name = "x", .type = PQ_F64, .unsigned_ = true}, STATUS_ARGUMENT},
        {{.name = "x", .type = PQ_I32, .optional = true}, STATUS_UNSUPPORTED},
    };
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_status(schema_check(&cases[i].column, 1, &e), cases[i].status, &e);
    const struct pq_column twins[] = {{.name = "x"}, {.name = "y"}, {.name = "x"}};
    assert_status(schema_check(twins, 3, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "two columns are called x");
    assert_status(schema_check(twins, 0, &e), STATUS_ARGUMENT, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flat_columns_have_a_type_and_perhaps_nulls),
        cmocka_unit_test(test_every_historical_shape_of_a_list_is_a_list),
        cmocka_unit_test(test_integer_annotations_of_both_generations_are_understood),
        cmocka_unit_test(test_unsupported_constructs_are_named),
        cmocka_unit_test(test_leaves_are_counted_past_unsupported_columns),
        cmocka_unit_test(test_members_of_structs_are_columns_with_dotted_names),
        cmocka_unit_test(test_lists_of_lists_have_levels_for_each_optional_part),
        cmocka_unit_test(test_trees_that_do_not_fit_are_refused),
        cmocka_unit_test(test_columns_that_cannot_be_written_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
