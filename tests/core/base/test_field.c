/* tests/core/base/test_field.c */
#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

struct part {
    const char *name;
    double share;
};

struct layer {
    const char *kind;
    int64_t units;
    struct field_list parts;
};

struct spec {
    bool shuffle;
    int64_t epochs;
    double rate, momentum;
    int optimizer;
    const char *name, *note;
    struct layer head;
    struct field_list layers, tags, seeds, weights;
    int not_in_the_table;
};

static const char *const optimizers[] = {"sgd", "adam", NULL};
static const struct field part_fields[] = {
    FIELD_STRING(struct part, name, .required = true), FIELD_F64(struct part, share, .max = 1), FIELD_END};
static const struct field layer_fields[] = {
    FIELD_STRING(struct layer, kind, .def_text = "dense"),
    FIELD_I64(struct layer, units, .min = 1, .max = 1000, .def = 10),
    FIELD_LIST_OBJECT(struct layer, parts, struct part, part_fields, .max = 3),
    FIELD_END};
static const struct field spec_fields[] = {
    FIELD_BOOL(struct spec, shuffle, .def = 1),
    FIELD_I64(struct spec, epochs, .min = 1, .max = 0, .def = 5),
    FIELD_F64(struct spec, rate, .min = 1e-7, .max = 1, .def = 1e-3, .unit = "1/step"),
    FIELD_F64(struct spec, momentum, .nullable = true, .def = NAN, .max = 1),
    FIELD_ENUM(struct spec, optimizer, optimizers, .def = 1),
    FIELD_STRING(struct spec, name, .required = true, .min = 1, .max = 8),
    FIELD_STRING(struct spec, note, .def_text = "none"),
    FIELD_OBJECT(struct spec, head, layer_fields),
    FIELD_LIST_OBJECT(struct spec, layers, struct layer, layer_fields),
    FIELD_LIST_STRING(struct spec, tags),
    FIELD_LIST_I64(struct spec, seeds, .min = 1, .max = 3),
    FIELD_MAP(struct spec, weights, .max = 2),
    FIELD_END};

/* A spec that validates, with every member in use. */
struct filled {
    struct spec spec;
    struct part parts[2];
    struct layer layers[2];
    const char *tags[2];
    int64_t seeds[2];
    struct field_pair weights[2];
};

static void fill(struct filled *f)
{
    memset(f, 0, sizeof *f);
    field_defaults(spec_fields, &f->spec);
    f->parts[0] = (struct part){"a", 0.25};
    f->parts[1] = (struct part){"b", 0.75};
    field_defaults(layer_fields, &f->layers[0]);
    field_defaults(layer_fields, &f->layers[1]);
    f->layers[1].parts = (struct field_list){f->parts, 2};
    f->tags[0] = "x";
    f->tags[1] = "y";
    f->seeds[0] = 1;
    f->seeds[1] = INT64_MIN;
    f->weights[0] = (struct field_pair){"qcd", 0.5};
    f->weights[1] = (struct field_pair){"tt", 2};
    f->spec.name = "run-1";
    f->spec.layers = (struct field_list){f->layers, 2};
    f->spec.tags = (struct field_list){f->tags, 2};
    f->spec.seeds = (struct field_list){f->seeds, 2};
    f->spec.weights = (struct field_list){f->weights, 2};
}

static void test_defaults_fill_every_member_of_the_table_and_no_other(void **state)
{
    (void)state;
    struct spec s;
    memset(&s, 0xA5, sizeof s);
    field_defaults(spec_fields, &s);
    assert_true(s.shuffle);
    assert_int_equal(s.epochs, 5);
    assert_true(s.rate == 1e-3);
    assert_true(isnan(s.momentum));
    assert_int_equal(s.optimizer, 1);
    assert_null(s.name);
    assert_string_equal(s.note, "none");
    assert_string_equal(s.head.kind, "dense");
    assert_int_equal(s.head.units, 10);
    assert_int_equal(s.head.parts.n_items, 0);
    assert_int_equal(s.layers.n_items, 0);
    assert_null(s.weights.items);
    assert_int_equal(s.not_in_the_table, (int)0xA5A5A5A5);
}

static void test_find_gives_the_row_or_null(void **state)
{
    (void)state;
    assert_ptr_equal(field_find(spec_fields, "rate"), &spec_fields[2]);
    assert_null(field_find(spec_fields, "rat"));
    assert_null(field_find(spec_fields, "rates"));
    assert_null(field_find(spec_fields, ""));
}

static void test_a_filled_spec_validates(void **state)
{
    (void)state;
    struct filled f;
    struct error e;
    fill(&f);
    assert_ok(field_validate(spec_fields, &f.spec, "/spec", &e), &e);
    f.spec.epochs = 1000000;                                  /* max < min: no upper bound */
    f.spec.momentum = 0.5;
    assert_ok(field_validate(spec_fields, &f.spec, "/spec", &e), &e);
}

#define assert_violation(change, expected_status, expected_text)                                                  \
    do {                                                                                                          \
        struct filled f;                                                                                          \
        struct error e;                                                                                           \
        fill(&f);                                                                                                 \
        change;                                                                                                   \
        assert_status(field_validate(spec_fields, &f.spec, "/spec", &e), expected_status, &e);                    \
        assert_string_equal(e.text, expected_text);                                                               \
    } while (0)

static void test_violations_name_the_path_the_value_and_the_bounds(void **state)
{
    (void)state;
    assert_violation(f.spec.epochs = 0, STATUS_RANGE, "/spec/epochs: 0 is below the minimum 1");
    assert_violation(f.spec.rate = 2, STATUS_RANGE, "/spec/rate: 2 is not within 1e-07 to 1 1/step");
    assert_violation(f.spec.rate = NAN, STATUS_RANGE, "/spec/rate: is not a number");
    assert_violation(f.spec.rate = INFINITY, STATUS_RANGE, "/spec/rate: inf is not within 1e-07 to 1 1/step");
    assert_violation(f.spec.optimizer = 2, STATUS_RANGE, "/spec/optimizer: choice number 2 does not exist");
    assert_violation(f.spec.optimizer = -1, STATUS_RANGE, "/spec/optimizer: choice number -1 does not exist");
    assert_violation(f.spec.name = NULL, STATUS_ARGUMENT, "/spec/name: is required");
    assert_violation(f.spec.name = "", STATUS_RANGE, "/spec/name: length 0 is not within 1 to 8");
    assert_violation(f.spec.name = "123456789", STATUS_RANGE, "/spec/name: length 9 is not within 1 to 8");
    assert_violation(f.spec.head.units = 1001, STATUS_RANGE, "/spec/head/units: 1001 is not within 1 to 1000");
    assert_violation(f.parts[1].share = 1.5, STATUS_RANGE, "/spec/layers/1/parts/1/share: 1.5 is not within 0 to 1");
    assert_violation(f.parts[0].name = NULL, STATUS_ARGUMENT, "/spec/layers/1/parts/0/name: is required");
    assert_violation(f.tags[1] = NULL, STATUS_ARGUMENT, "/spec/tags/1: is required");
    assert_violation(f.weights[0].name = NULL, STATUS_ARGUMENT, "/spec/weights/0: has no name");
    assert_violation(f.spec.seeds.n_items = 0, STATUS_RANGE, "/spec/seeds: count 0 is not within 1 to 3");
    assert_violation(f.spec.weights.n_items = 3, STATUS_RANGE, "/spec/weights: count 3 is not within 0 to 2");
}

static void test_the_first_violation_in_table_order_is_reported(void **state)
{
    (void)state;
    assert_violation((f.spec.name = NULL, f.spec.rate = 5, f.spec.head.units = 0), STATUS_RANGE,
                     "/spec/rate: 5 is not within 1e-07 to 1 1/step");
}

static void test_a_copy_shares_nothing_with_its_source(void **state)
{
    (void)state;
    struct filled f;
    struct spec copy;
    struct arena a;
    struct error e;
    char name[] = "run-1";
    fill(&f);
    f.spec.name = name;
    memset(&copy, 0, sizeof copy);
    arena_init(&a, 1 << 20);
    assert_ok(field_copy(&a, spec_fields, &f.spec, &copy, &e), &e);
    name[0] = 'X';
    memset(&f, 0xFF, sizeof f);
    assert_string_equal(copy.name, "run-1");
    assert_string_equal(copy.note, "none");
    assert_int_equal(copy.layers.n_items, 2);
    const struct layer *layers = copy.layers.items;
    const struct part *parts = layers[1].parts.items;
    assert_string_equal(parts[1].name, "b");
    assert_true(parts[1].share == 0.75);
    assert_string_equal(((const char **)copy.tags.items)[1], "y");
    assert_true(((const int64_t *)copy.seeds.items)[1] == INT64_MIN);
    assert_string_equal(((const struct field_pair *)copy.weights.items)[1].name, "tt");
    assert_true(((const struct field_pair *)copy.weights.items)[1].value == 2);
    assert_null(layers[0].parts.items);
    assert_ok(field_validate(spec_fields, &copy, "", &e), &e);
    arena_fini(&a);
}

static void test_copying_fails_cleanly_at_each_allocation(void **state)
{
    (void)state;
    struct filled f;
    size_t n_failed = 0;
    fill(&f);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct spec copy;
        struct arena a;
        struct error e;
        arena_init(&a, 1 << 20);
        enum status s = field_copy(&a, spec_fields, &f.spec, &copy, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        n_failed += failed;
        arena_fini(&a);
    }
    assert_true(n_failed >= 1);
    for (size_t max = 0; max < 1500; max += 64) {             /* and at each limit of the arena */
        struct spec copy;
        struct arena a;
        struct error e;
        arena_init(&a, max);
        enum status s = field_copy(&a, spec_fields, &f.spec, &copy, &e);
        assert_true(s == STATUS_OK || s == STATUS_NOMEM);
        assert_true(s == STATUS_OK || strncmp(e.text, "no memory to copy ", 18) == 0);
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_fill_every_member_of_the_table_and_no_other),
        cmocka_unit_test(test_find_gives_the_row_or_null),
        cmocka_unit_test(test_a_filled_spec_validates),
        cmocka_unit_test(test_violations_name_the_path_the_value_and_the_bounds),
        cmocka_unit_test(test_the_first_violation_in_table_order_is_reported),
        cmocka_unit_test(test_a_copy_shares_nothing_with_its_source),
        cmocka_unit_test(test_copying_fails_cleanly_at_each_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
