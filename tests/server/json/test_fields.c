/* tests/server/json/test_fields.c
 *
 * Field tables from JSON, to JSON, and as a schema. */
#include "server/json/json.h"
#include "tests/support/support.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const colours[] = {"red", "green", "blue", NULL};

struct inner {
    const char *path;
    int64_t count;
};
static const struct field inner_fields[] = {
    FIELD_STRING(struct inner, path, .required = true, .min = 1, .max = 20),
    FIELD_I64(struct inner, count, .min = 1, .max = 100, .def = 5),
    FIELD_END,
};

struct outer {
    bool flag;
    int64_t integer, at_least;
    double number, maybe;
    const char *text, *named;
    int colour;
    struct inner inner;
    struct field_list items, numbers, integers, texts, flags, fractions;
};
static const struct field outer_fields[] = {
    FIELD_BOOL(struct outer, flag, .def = 1),
    FIELD_I64(struct outer, integer, .min = -10, .max = 10, .def = 99, .unit = "events", .doc = "how many"),
    FIELD_I64(struct outer, at_least, .min = 1, .def = 1),
    FIELD_F64(struct outer, number, .min = 0, .max = 1, .def = 0.5),
    FIELD_F64(struct outer, maybe, .nullable = true),
    FIELD_STRING(struct outer, text),
    FIELD_STRING(struct outer, named, .def_text = "Delphes", .min = 3, .max = 30),
    FIELD_ENUM(struct outer, colour, colours, .def = 2),
    FIELD_OBJECT(struct outer, inner, inner_fields),
    FIELD_LIST_OBJECT(struct outer, items, struct inner, inner_fields, .required = true, .min = 1, .max = 3),
    FIELD_LIST_F64(struct outer, numbers),
    FIELD_LIST_I64(struct outer, integers, .min = 2, .max = 4),
    FIELD_LIST_STRING(struct outer, texts),
    FIELD_LIST_OF(struct outer, flags, FIELD_KIND_BOOL, sizeof(bool)),
    FIELD_MAP(struct outer, fractions, .max = 2),
    FIELD_END,
};

static enum status decode(struct arena *a, const char *text, struct outer *out, struct json_problems *problems,
                          struct error *e)
{
    struct json *v;
    TRY(json_parse(text, strlen(text), &v, e));
    problems->n = 0;
    enum status s = json_decode_fields(a, outer_fields, v, "/spec", out, problems, e);
    json_free(v);
    return s;
}

static void test_members_are_filled_and_absent_ones_have_their_defaults(void **state)
{
    (void)state;
    struct arena a;
    struct outer o;
    struct json_problems problems;
    struct error e;
    arena_init(&a, 1 << 20);
    assert_int_equal(decode(&a, "{\"items\":[{\"path\":\"x\"},{\"path\":\"y\",\"count\":7}],\"integer\":3.0,\"number\":1,"
                                "\"colour\":\"green\",\"fractions\":{\"tt\":0.25,\"qcd\":1},\"inner\":{\"path\":\"p\"},"
                                "\"integers\":[1,2],\"texts\":[\"a\",\"\"],\"flags\":[true,false],\"maybe\":null}",
                            &o, &problems, &e),
                     STATUS_OK);
    assert_true(o.flag);
    assert_int_equal(o.integer, 3);
    assert_int_equal(o.at_least, 1);
    assert_true(o.number == 1 && isnan(o.maybe));
    assert_null(o.text);
    assert_string_equal(o.named, "Delphes");
    assert_int_equal(o.colour, 1);
    assert_int_equal(o.items.n_items, 2);
    const struct inner *items = o.items.items;
    assert_int_equal(items[0].count, 5);
    assert_string_equal(items[1].path, "y");
    assert_int_equal(items[1].count, 7);
    assert_int_equal(((int64_t *)o.integers.items)[1], 2);
    assert_true(((bool *)o.flags.items)[0] && !((bool *)o.flags.items)[1]);
    const struct field_pair *pairs = o.fractions.items;
    assert_string_equal(pairs[0].name, "tt");
    assert_true(pairs[1].value == 1);
    assert_int_equal(o.numbers.n_items, 0);
    arena_fini(&a);
}

/* text, then pointer, code and words of the one problem it has */
static void test_each_problem_has_its_pointer_code_and_sentence(void **state)
{
    (void)state;
#define GOOD "\"items\":[{\"path\":\"x\"}]"
    static const struct { const char *text, *pointer, *code, *says; } cases[] = {
        {"[]", "/spec", "type", "must be an object, not an array"},
        {"{}", "/spec/items", "required", "is required"},
        {"{" GOOD ",\"colr\":\"red\"}", "/spec/colr", "unknown_member", "did you mean \"colour\"?"},
        {"{" GOOD ",\"a/b~c\":1}", "/spec/a~1b~0c", "unknown_member", "a/b~c"},
        {"{" GOOD ",\"flag\":1}", "/spec/flag", "type", "must be true or false, not an integer"},
        {"{" GOOD ",\"integer\":11}", "/spec/integer", "out_of_range", "11 is not within -10 to 10 events"},
        {"{" GOOD ",\"integer\":1.5}", "/spec/integer", "type", "must be an integer, not a number"},
        {"{" GOOD ",\"integer\":1e300}", "/spec/integer", "type", "must be an integer"},
        {"{" GOOD ",\"integer\":null}", "/spec/integer", "type", "not null"},
        {"{" GOOD ",\"at_least\":0}", "/spec/at_least", "out_of_range", "0 is below the minimum 1"},
        {"{" GOOD ",\"number\":-0.1}", "/spec/number", "out_of_range", "-0.1 is not within 0 to 1"},
        {"{" GOOD ",\"number\":\"1\"}", "/spec/number", "type", "must be a number, not a string"},
        {"{" GOOD ",\"text\":3}", "/spec/text", "type", "must be a string"},
        {"{" GOOD ",\"text\":\"a\\u001bb\"}", "/spec/text", "text", "control characters"},
        {"{" GOOD ",\"named\":\"ab\"}", "/spec/named", "length", "length 2 is not within 3 to 30 bytes"},
        {"{" GOOD ",\"colour\":\"gren\"}", "/spec/colour", "choice", "none of red, green, blue; did you mean \"green\"?"},
        {"{" GOOD ",\"colour\":1}", "/spec/colour", "type", "must be a string"},
        {"{" GOOD ",\"inner\":{\"path\":\"\"}}", "/spec/inner/path", "length", "length 0"},
        {"{" GOOD ",\"inner\":{}}", "/spec/inner/path", "required", "is required"},
        {"{" GOOD ",\"inner\":3}", "/spec/inner", "type", "must be an object"},
        {"{\"items\":[]}", "/spec/items", "length", "count 0 is not within 1 to 3 items"},
        {"{\"items\":{}}", "/spec/items", "type", "must be an array"},
        {"{\"items\":[{\"path\":\"x\"},{\"path\":\"y\",\"coun\":1}]}", "/spec/items/1/coun", "unknown_member", "\"count\""},
        {"{\"items\":[{\"path\":\"x\",\"count\":0}]}", "/spec/items/0/count", "out_of_range", "not within 1 to 100"},
        {"{\"items\":[null]}", "/spec/items/0", "type", "must be an object, not null"},
        {"{" GOOD ",\"numbers\":[1,null]}", "/spec/numbers/1", "type", "must be a number, not null"},
        {"{" GOOD ",\"integers\":[1]}", "/spec/integers", "length", "count 1 is not within 2 to 4 items"},
        {"{" GOOD ",\"fractions\":{\"a\":1,\"b\":2,\"c\":3}}", "/spec/fractions", "length", "count 3"},
        {"{" GOOD ",\"fractions\":{\"a\":\"x\"}}", "/spec/fractions/a", "type", "must be a number"},
        {"{" GOOD ",\"fractions\":{\"\":1}}", "/spec/fractions/", "text", "empty"},
        {"{" GOOD ",\"fractions\":[1]}", "/spec/fractions", "type", "must be an object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct outer o;
        struct json_problems problems;
        struct error e;
        arena_init(&a, 1 << 20);
        assert_int_equal(decode(&a, cases[i].text, &o, &problems, &e), STATUS_ARGUMENT);
        const struct json_problem *p = &problems.items[0];
        if (problems.n != 1 || strcmp(p->pointer, cases[i].pointer) != 0 || strcmp(p->code, cases[i].code) != 0 ||
            !strstr(p->detail, cases[i].says))
            fail_msg("%s: %zu problems, first %s %s: %s", cases[i].text, problems.n, p->pointer, p->code, p->detail);
        assert_non_null(strstr(e.text, cases[i].pointer));
        arena_fini(&a);
    }
}

static void test_all_problems_of_a_body_are_gathered(void **state)
{
    (void)state;
    struct arena a;
    struct outer o;
    struct json_problems problems;
    struct error e;
    arena_init(&a, 1 << 20);
    assert_int_equal(decode(&a, "{\"x\":1,\"flag\":3,\"integer\":1000,\"colour\":\"pink\",\"items\":[{},{\"path\":1}]}", &o,
                            &problems, &e),
                     STATUS_ARGUMENT);
    assert_int_equal(problems.n, 6);
    assert_non_null(strstr(e.text, "6 problems, the first at /spec/x"));
    char many[2000] = "{\"items\":[{\"path\":\"x\"}]";
    for (int i = 0; i < 60; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), ",\"z%d\":1", i);
    strcat(many, "}");
    assert_int_equal(decode(&a, many, &o, &problems, &e), STATUS_ARGUMENT);
    assert_int_equal(problems.n, JSON_PROBLEMS_MAX);
    assert_non_null(strstr(e.text, "60 problems"));
    arena_fini(&a);
}

/* Defaults out of bounds, lists empty below their minimum, NaN, absent texts: all must survive being written. */
static void test_what_is_encoded_decodes_to_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"items\":[{\"path\":\"x\"}]}",
        "{\"items\":[{\"path\":\"x\"},{\"path\":\"y\",\"count\":100}],\"flag\":false,\"integer\":-10,\"number\":0.1,"
        "\"maybe\":2.5,\"text\":\"\xc3\xa9\\\"\",\"named\":\"abc\",\"colour\":\"red\",\"inner\":{\"path\":\"p\"},"
        "\"numbers\":[1e-9,2],\"integers\":[9007199254740993,2],\"texts\":[\"\"],\"flags\":[true],\"fractions\":{\"a\":0.1}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct arena a;
        struct outer one, two;
        struct json_problems problems;
        struct error e;
        struct buf first, second;
        arena_init(&a, 1 << 20);
        buf_init(&first, 1 << 16);
        buf_init(&second, 1 << 16);
        assert_int_equal(decode(&a, texts[i], &one, &problems, &e), STATUS_OK);
        if (i == 0)
            one.inner.path = "needed";
        struct json *v = json_encode_fields(outer_fields, &one);
        assert_int_equal(json_write(v, &first, &e), STATUS_OK);
        assert_int_equal(buf_append(&first, "", 1, &e), STATUS_OK);
        if (decode(&a, (const char *)first.data, &two, &problems, &e) != STATUS_OK)
            fail_msg("%s: %s", (const char *)first.data, e.text);
        struct json *w = json_encode_fields(outer_fields, &two);
        assert_int_equal(json_write(w, &second, &e), STATUS_OK);
        assert_int_equal(buf_append(&second, "", 1, &e), STATUS_OK);
        assert_string_equal(first.data, second.data);
        if (i == 1)
            assert_int_equal(((int64_t *)two.integers.items)[0], 9007199254740993);
        json_free(w);
        json_free(v);
        buf_fini(&second);
        buf_fini(&first);
        arena_fini(&a);
    }
}

struct holder {
    struct inner inner;
    int colour;
};
static const struct field holder_fields[] = {
    FIELD_OBJECT(struct holder, inner, inner_fields, .nullable = true),
    FIELD_ENUM(struct holder, colour, colours),
    FIELD_END,
};

static void test_a_nullable_object_without_its_first_member_is_null(void **state)
{
    (void)state;
    struct holder h = {.inner = {NULL, 3}, .colour = 17};
    struct json *v = json_encode_fields(holder_fields, &h);
    assert_int_equal(json_type_of(json_get(v, "inner")), JSON_NULL_);
    assert_int_equal(json_type_of(json_get(v, "colour")), JSON_NULL_);
    json_free(v);
    h = (struct holder){.inner = {"x", 3}, .colour = 1};
    v = json_encode_fields(holder_fields, &h);
    assert_string_equal(json_str(json_get(json_get(v, "inner"), "path"), ""), "x");
    json_free(v);
}

static void test_decoding_without_memory_is_nomem(void **state)
{
    (void)state;
    static const char text[] = "{\"items\":[{\"path\":\"x\"},{\"path\":\"y\"}],\"text\":\"t\",\"fractions\":{\"a\":1},\"texts\":[\"b\"]}";
    struct json *v;
    struct error e;
    assert_int_equal(json_parse(text, strlen(text), &v, &e), STATUS_OK);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct arena a;
        struct outer o;
        struct json_problems problems = {0};
        arena_init(&a, 1 << 20);
        enum status s = json_decode_fields(&a, outer_fields, v, "", &o, &problems, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        arena_fini(&a);
    }
    struct arena small;
    struct outer o;
    struct json_problems problems = {0};
    arena_init(&small, 1);
    assert_int_equal(json_decode_fields(&small, outer_fields, v, "", &o, &problems, &e), STATUS_NOMEM);
    arena_fini(&small);
    json_free(v);
}

static void test_encoding_without_memory_cannot_be_written(void **state)
{
    (void)state;
    struct inner items[2] = {{"x", 1}, {"y", 2}};
    struct field_pair pairs[2] = {{"a", 1}, {"b", NAN}};
    struct outer o = {.items = {items, 2}, .fractions = {pairs, 2}, .text = "t"};
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct json *v = json_encode_fields(outer_fields, &o);
        bool failed = alloc_fail_end();
        struct buf b;
        struct error e;
        buf_init(&b, 1 << 16);
        assert_int_equal(json_write(v, &b, &e), failed ? STATUS_NOMEM : STATUS_OK);
        buf_fini(&b);
        json_free(v);
    }
}

static void test_the_schema_says_what_decoding_enforces(void **state)
{
    (void)state;
    struct json *v = json_schema_fields(outer_fields);
    const struct json *properties = json_get(v, "properties"), *integer = json_get(properties, "integer");
    assert_int_equal(json_count(properties), ARRAY_LEN(outer_fields) - 1);
    assert_false(json_bool(json_get(v, "additionalProperties"), true));
    assert_string_equal(json_str(json_at(json_get(v, "required"), 0), ""), "items");
    assert_int_equal(json_count(json_get(v, "required")), 1);
    assert_string_equal(json_str(json_get(integer, "type"), ""), "integer");
    assert_int_equal(json_int(json_get(integer, "minimum"), 0), -10);
    assert_int_equal(json_int(json_get(integer, "maximum"), 0), 10);
    assert_int_equal(json_int(json_get(integer, "default"), 0), 99);
    assert_string_equal(json_str(json_get(integer, "x-unit"), ""), "events");
    assert_string_equal(json_str(json_get(integer, "description"), ""), "how many");
    assert_int_equal(json_int(json_get(json_get(properties, "at_least"), "minimum"), 0), 1);
    assert_null(json_get(json_get(properties, "at_least"), "maximum"));
    assert_string_equal(json_str(json_get(json_get(properties, "colour"), "default"), ""), "blue");
    assert_int_equal(json_count(json_get(json_get(properties, "colour"), "enum")), 3);
    assert_int_equal(json_type_of(json_get(json_get(properties, "maybe"), "type")), JSON_ARRAY_);
    const struct json *items = json_get(properties, "items");
    assert_int_equal(json_int(json_get(items, "maxItems"), 0), 3);
    assert_non_null(json_get(json_get(json_get(items, "items"), "properties"), "path"));
    assert_string_equal(json_str(json_get(json_get(json_get(properties, "fractions"), "additionalProperties"), "type"), ""),
                        "number");
    json_free(v);
}

/* ---- search spaces ----------------------------------------------------------------------------------------------- */

struct search {
    struct field_list space, point;
};
static const struct field search_fields[] = {
    FIELD_SPACE(struct search, space, outer_fields, .max = 4),
    FIELD_POINT(struct search, point, outer_fields),
    FIELD_END,
};

static enum status decode_search(struct arena *a, const char *text, struct search *out, struct json_problems *problems,
                                 struct error *e)
{
    struct json *v;
    TRY(json_parse(text, strlen(text), &v, e));
    problems->n = 0;
    enum status s = json_decode_fields(a, search_fields, v, "/spec", out, problems, e);
    json_free(v);
    return s;
}

static void test_a_search_space_reads_values_of_another_table_and_is_written_as_it_was_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"space\":{\"integer\":[1,-3],\"integers\":[[1,2],[3,4,5]],\"colour\":[\"red\",\"blue\"],"
        "\"number\":{\"low\":0.25,\"high\":1.0,\"step\":2.0,\"log\":true}},"
        "\"point\":{\"inner.count\":7,\"items\":[{\"path\":\"p\",\"count\":3},{\"path\":\"q\",\"count\":5}],\"fractions/tt\":0.5,\"integers/1\":50,\"items/0/path\":\"a b\",\"flag\":false}}";
    struct arena a;
    struct search s;
    struct json_problems problems;
    struct error e;
    struct buf out;
    arena_init(&a, 1 << 20);
    buf_init(&out, 1 << 20);
    assert_int_equal(decode_search(&a, text, &s, &problems, &e), STATUS_OK);
    const struct field_axis *axes = s.space.items;
    assert_int_equal(s.space.n_items, 4);
    assert_string_equal(axes[0].path, "integer");
    assert_string_equal(((const char **)axes[0].values.items)[1], "-3");
    assert_int_equal(axes[3].values.n_items, 0);
    assert_true(axes[3].log && axes[3].low == 0.25);
    struct json *v = json_encode_fields(search_fields, &s);
    assert_int_equal(json_write(v, &out, &e), STATUS_OK);
    json_free(v);
    assert_int_equal(buf_append(&out, "", 1, &e), STATUS_OK);
    assert_string_equal((const char *)out.data, text);

    /* And through the text codec. */
    struct search back;
    out.len = 0;
    assert_int_equal(field_write_text(search_fields, &s, &out, &e), STATUS_OK);
    assert_int_equal(field_read_text(&a, search_fields, (struct span){out.data, out.len}, &back, &e), STATUS_OK);
    v = json_encode_fields(search_fields, &back);
    out.len = 0;
    assert_int_equal(json_write(v, &out, &e), STATUS_OK);
    json_free(v);
    assert_int_equal(out.len, sizeof text - 1);
    assert_memory_equal(out.data, text, out.len);
    buf_fini(&out);
    arena_fini(&a);
}

static void test_all_problems_of_a_search_space_are_told_with_their_places(void **state)
{
    (void)state;
    static const struct { const char *text, *pointer, *code; } cases[] = {
        {"{\"space\":{\"interger\":[1]}}", "/spec/space/interger", "unknown_member"},
        {"{\"space\":{\"inner/cuont\":[1]}}", "/spec/space/inner~1cuont", "unknown_member"},
        {"{\"space\":{\"inner\":[{}]}}", "/spec/space/inner", "type"},
        {"{\"space\":{\"fractions\":[{}]}}", "/spec/space/fractions", "type"},
        {"{\"space\":{\"integer\":[1,\"x\",3]}}", "/spec/space/integer/1", "type"},
        {"{\"space\":{\"integer\":[1,2,11]}}", "/spec/space/integer/2", "out_of_range"},
        {"{\"space\":{\"integers\":[[1,2],[1]]}}", "/spec/space/integers/1", "length"},
        {"{\"space\":{\"integers\":[[1,\"a\"]]}}", "/spec/space/integers/0/1", "type"},
        {"{\"space\":{\"integers/x\":[1]}}", "/spec/space/integers~1x", "unknown_member"},
        {"{\"space\":{\"integers/01\":[1]}}", "/spec/space/integers~101", "unknown_member"},
        {"{\"space\":{\"integer/0\":[1]}}", "/spec/space/integer~10", "unknown_member"},
        {"{\"space\":{\"colour\":[\"rde\"]}}", "/spec/space/colour/0", "choice"},
        {"{\"space\":{\"integer\":[]}}", "/spec/space/integer", "length"},
        {"{\"space\":{\"integer\":[1,1]}}", "/spec/space/integer/1", "duplicate"},
        {"{\"space\":{\"integer\":7}}", "/spec/space/integer", "type"},
        {"{\"space\":[]}", "/spec/space", "type"},
        {"{\"space\":{\"colour\":{\"low\":1,\"high\":2}}}", "/spec/space/colour", "type"},
        {"{\"space\":{\"integer\":{\"low\":1}}}", "/spec/space/integer/high", "required"},
        {"{\"space\":{\"integer\":{\"low\":1.5,\"high\":2}}}", "/spec/space/integer/low", "type"},
        {"{\"space\":{\"integer\":{\"low\":1,\"high\":12}}}", "/spec/space/integer/high", "out_of_range"},
        {"{\"space\":{\"integer\":{\"low\":3,\"high\":2}}}", "/spec/space/integer", "out_of_range"},
        {"{\"space\":{\"integer\":{\"low\":0,\"high\":2,\"log\":true}}}", "/spec/space/integer", "out_of_range"},
        {"{\"space\":{\"number\":{\"low\":0.1,\"high\":1,\"log\":true,\"step\":1}}}", "/spec/space/number", "out_of_range"},
        {"{\"point\":{\"number\":3}}", "/spec/point/number", "out_of_range"},
    };
    struct arena a;
    struct search s;
    struct json_problems problems;
    struct error e;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(decode_search(&a, cases[i].text, &s, &problems, &e), STATUS_ARGUMENT);
        if (problems.n != 1 || strcmp(problems.items[0].pointer, cases[i].pointer) != 0 ||
            strcmp(problems.items[0].code, cases[i].code) != 0)
            fail_msg("%s: %zu problems, first %s %s: %s", cases[i].text, problems.n, problems.items[0].pointer,
                     problems.items[0].code, problems.items[0].detail);
    }
    assert_int_equal(decode_search(&a, "{\"space\":{\"intger\":[1],\"integer\":[\"x\",98],\"colour\":[]}}", &s, &problems, &e),
                     STATUS_ARGUMENT);
    assert_int_equal(problems.n, 4);
    assert_non_null(strstr(problems.items[0].detail, "did you mean \"integer\""));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_filled_and_absent_ones_have_their_defaults),
        cmocka_unit_test(test_each_problem_has_its_pointer_code_and_sentence),
        cmocka_unit_test(test_all_problems_of_a_body_are_gathered),
        cmocka_unit_test(test_what_is_encoded_decodes_to_the_same),
        cmocka_unit_test(test_a_nullable_object_without_its_first_member_is_null),
        cmocka_unit_test(test_decoding_without_memory_is_nomem),
        cmocka_unit_test(test_encoding_without_memory_cannot_be_written),
        cmocka_unit_test(test_the_schema_says_what_decoding_enforces),
        cmocka_unit_test(test_a_search_space_reads_values_of_another_table_and_is_written_as_it_was_read),
        cmocka_unit_test(test_all_problems_of_a_search_space_are_told_with_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
