/* Members of field tables by path, and single values as text. */
#include "core/base.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const kinds[] = {"dense", "gru", NULL};

struct layer {
    int64_t units;
    double rate;
};
static const struct field layer_fields[] = {
    FIELD_I64(struct layer, units, .min = 1, .max = 10, .def = 5),
    FIELD_F64(struct layer, rate, .def = 0.5),
    FIELD_END,
};
struct params {
    int kind;
    bool flag;
    double rate;
    const char *name;
    struct layer inner;
    struct field_list hidden, layers, map;
};
static const struct field params_fields[] = {
    FIELD_ENUM(struct params, kind, kinds),
    FIELD_BOOL(struct params, flag),
    FIELD_F64(struct params, rate),
    FIELD_STRING(struct params, name),
    FIELD_OBJECT(struct params, inner, layer_fields),
    FIELD_LIST_I64(struct params, hidden),
    FIELD_LIST_OBJECT(struct params, layers, struct layer, layer_fields),
    FIELD_MAP(struct params, map),
    FIELD_END,
};

static struct arena a;

static void set(struct params *p, const char *path, const char *text)
{
    struct error e;
    if (field_path_set(&a, params_fields, p, path, text, &e) != STATUS_OK)
        fail_msg("%s = %s: %s", path, text, e.text);
}

static void test_members_of_objects_and_items_of_lists_are_set_by_path(void **state)
{
    (void)state;
    struct params p;
    field_defaults(params_fields, &p);
    set(&p, "kind", "gru");
    set(&p, "flag", "true");
    set(&p, "rate", "0.1");
    set(&p, "name", "\"a \\\"b\\\"\"");
    set(&p, "inner.units", "9");
    set(&p, "inner/rate", "0.25");
    set(&p, "hidden", "value[0] = 3\nvalue[1] = 4\n");
    set(&p, "hidden/1", "7");
    set(&p, "layers/1/units", "8");
    assert_int_equal(p.kind, 1);
    assert_true(p.flag && p.rate == 0.1);
    assert_string_equal(p.name, "a \"b\"");
    assert_true(p.inner.units == 9 && p.inner.rate == 0.25);
    assert_int_equal(p.hidden.n_items, 2);
    assert_int_equal(((int64_t *)p.hidden.items)[0], 3);
    assert_int_equal(((int64_t *)p.hidden.items)[1], 7);
    assert_int_equal(p.layers.n_items, 2);
    const struct layer *l = p.layers.items;
    assert_true(l[0].units == 5 && l[0].rate == 0.5 && l[1].units == 8 && l[1].rate == 0.5);
    set(&p, "map/a b", "0.5");
    set(&p, "map/c", "2");
    set(&p, "map/a b", "0.25");
    const struct field_pair *pairs = p.map.items;
    assert_int_equal(p.map.n_items, 2);
    assert_string_equal(pairs[0].name, "a b");
    assert_true(pairs[0].value == 0.25 && pairs[1].value == 2);
    set(&p, "hidden", "");
    assert_int_equal(p.hidden.n_items, 0);
    set(&p, "hidden/2", "4");                     /* a gap is zeros, for the table's owner to judge */
    assert_int_equal(p.hidden.n_items, 3);
    assert_int_equal(((int64_t *)p.hidden.items)[0], 0);
}

static void test_wrong_paths_and_values_are_refused_with_what_is_wrong(void **state)
{
    (void)state;
    static const struct { const char *path; enum status status; const char *says; } paths[] = {
        {"", STATUS_NOTFOUND, "member"}, {"rat", STATUS_NOTFOUND, "rat"}, {"rate2", STATUS_NOTFOUND, "rate2"},
        {"inner", STATUS_ARGUMENT, "inner"}, {"inner.", STATUS_NOTFOUND, "inner."}, {"inner/x", STATUS_NOTFOUND, "inner/x"},
        {"map", STATUS_ARGUMENT, "map"}, {"map/", STATUS_NOTFOUND, "name"}, {"map/x/y", STATUS_NOTFOUND, "map/x/y"}, {"hidden/", STATUS_NOTFOUND, "hidden/"},
        {"hidden/x", STATUS_NOTFOUND, "item"}, {"hidden/-1", STATUS_NOTFOUND, "item"},
        {"hidden/1/0", STATUS_NOTFOUND, "hidden/1/0"}, {"hidden/00", STATUS_NOTFOUND, "item"},
        {"hidden/4096", STATUS_ARGUMENT, "4095"}, {"hidden/99999999999999999999", STATUS_ARGUMENT, "4095"},
        {"layers/0", STATUS_ARGUMENT, "layers/0"}, {"/rate", STATUS_NOTFOUND, "member"},
    };
    struct field leaf;
    struct error e;
    struct params p;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (field_path_find(params_fields, paths[i].path, &leaf, &e) != paths[i].status || !strstr(e.text, paths[i].says))
            fail_msg("%s: %s", paths[i].path, e.text);
    }
    field_defaults(params_fields, &p);
    assert_int_equal(field_path_set(&a, params_fields, &p, "inner/units", "x", &e), STATUS_FORMAT);
    assert_int_equal(field_path_set(&a, params_fields, &p, "inner/units", "1\nvalue = 2", &e), STATUS_OK);
    assert_int_equal(p.inner.units, 2);           /* the text codec's rule: the last counts */
    assert_int_equal(field_path_set(&a, params_fields, &p, "kind", "lstm", &e), STATUS_FORMAT);
    assert_int_equal(field_path_set(&a, params_fields, &p, "hidden", "3", &e), STATUS_FORMAT);
}

static void test_values_come_back_from_their_text_bit_by_bit(void **state)
{
    (void)state;
    static const char *const paths[] = {"kind", "flag", "rate", "name", "inner/units", "hidden", "layers"};
    struct params p, q;
    struct buf text;
    struct error e;
    buf_init(&text, 1 << 16);
    field_defaults(params_fields, &p);
    field_defaults(params_fields, &q);
    set(&p, "kind", "gru");
    set(&p, "rate", "0.1");
    set(&p, "name", "\"x\\ny\"");
    set(&p, "hidden/3", "4");
    set(&p, "layers/2/rate", "nan");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct field leaf;
        void *at;
        text.len = 0;
        assert_int_equal(field_path_get(&a, params_fields, &p, paths[i], &leaf, &at, &e), STATUS_OK);
        assert_int_equal(field_value_write(&leaf, at, &text, &e), STATUS_OK);
        assert_int_equal(buf_append(&text, "", 1, &e), STATUS_OK);
        set(&q, paths[i], (const char *)text.data);
    }
    assert_int_equal(q.kind, 1);
    assert_true(q.rate == 0.1);
    assert_string_equal(q.name, "x\ny");
    assert_int_equal(q.hidden.n_items, 4);
    assert_true(isnan(((struct layer *)q.layers.items)[2].rate));
    text.len = 0;
    struct field leaf;
    assert_int_equal(field_path_find(params_fields, "inner/units", &leaf, &e), STATUS_OK);
    assert_int_equal(field_value_write(&leaf, &p.inner.units, &text, &e), STATUS_OK);
    assert_int_equal(text.len, 1);
    assert_memory_equal(text.data, "5", 1);       /* a scalar is what stands behind "=" */
    buf_fini(&text);
}

int main(void)
{
    arena_init(&a, 1 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_of_objects_and_items_of_lists_are_set_by_path),
        cmocka_unit_test(test_wrong_paths_and_values_are_refused_with_what_is_wrong),
        cmocka_unit_test(test_values_come_back_from_their_text_bit_by_bit),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&a);
    return failed;
}
