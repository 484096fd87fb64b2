/* tests/core/root/test_describe.c
 *
 * The listing of a file, as a table and as JSON. */
#include "core/root.h"
#include "tests/core/root/build.h"

#include <jansson.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void describe(struct source *src, bool json, struct buf *out)
{
    struct error e = {0};
    struct root_file *f;
    buf_init(out, 16 << 20);
    if (root_open(src, &f, &e) != STATUS_OK || root_describe(f, json, out, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    assert_int_equal(buf_append(out, "", 1, &e), STATUS_OK);
    root_close(f);
}

static struct source *open_sample(void)
{
    struct source *src;
    struct error e = {0};
    if (source_open("tests/fixtures/sample/wlnu.root", &src, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return src;
}

static void test_table_names_trees_branches_types_and_codecs(void **state)
{
    (void)state;
    struct source *src = open_sample();
    struct buf out;
    describe(src, false, &out);
    const char *text = (const char *)out.data;
    assert_non_null(strstr(text, "wlnu.root: 7248032 bytes, written by ROOT 5.34/30, compression 9\n"));
    assert_non_null(strstr(text, "tree Delphes;1\n  450 entries, "));
    const char *pt = strstr(text, "EFlowTrack.PT ");
    assert_non_null(pt);
    assert_non_null(strstr(pt, "float32[]"));
    assert_true(strstr(pt, " ZL ") < strchr(pt, '\n'));
    buf_fini(&out);
    source_close(src);
}

static void test_json_holds_the_same_facts(void **state)
{
    (void)state;
    struct source *src = open_sample();
    struct buf out;
    describe(src, true, &out);
    json_t *all = json_loads((const char *)out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(all);
    assert_int_equal(json_integer_value(json_object_get(all, "bytes")), 7248032);
    assert_int_equal(json_integer_value(json_object_get(all, "root_version")), 53430);
    const json_t *tree = json_array_get(json_object_get(all, "trees"), 0),
                 *branches = json_object_get(tree, "branches");
    assert_int_equal(json_integer_value(json_object_get(tree, "entries")), 450);
    size_t i, n_found = 0;
    json_t *b;
    json_array_foreach(branches, i, b)
    {
        assert_int_equal(json_integer_value(json_object_get(b, "entries")), 450);
        if (strcmp(json_string_value(json_object_get(b, "name")), "Jet.BTag") != 0)
            continue;
        n_found++;
        assert_string_equal(json_string_value(json_object_get(b, "type")), "uint32");
        assert_string_equal(json_string_value(json_object_get(b, "codec")), "ZL");
        assert_true(json_is_true(json_object_get(b, "jagged")));
        assert_true(json_integer_value(json_object_get(b, "stored_bytes")) > 0);
    }
    assert_int_equal(n_found, 1);
    json_decref(all);
    buf_fini(&out);
    source_close(src);
}

/* Names that would break JSON or a terminal, and a tree that cannot be opened. */
static void test_odd_names_and_broken_trees_are_listed_all_the_same(void **state)
{
    (void)state;
    static const uint8_t data[8] = {0};
    const struct build_branch b = {.name = "a\"b\\c\x1b[2J\xff",
                                   .leaves = {{"TLeafI", "x", 2, 4, false, -1}},
                                   .baskets = {{1, data, 8, NULL, IN_TREE}}};
    struct buf file, out;
    struct error e;
    buf_init(&file, 1 << 20);
    build_file(&file, &(struct build_file){.branches = &b, .n_branches = 1});
    for (int broken = 0; broken < 2; broken++) {
        struct source *src;
        if (broken) {
            uint8_t *p = memmem(file.data, file.len, "TBranch\0", 8);
            assert_non_null(p);
            memcpy(p, "Tbranch", 7);
        }
        assert_int_equal(source_open_memory(file.data, file.len, "odd.root", &src, &e), STATUS_OK);
        describe(src, true, &out);
        json_t *all = json_loads((const char *)out.data, 0, NULL);
        assert_non_null(all);
        const json_t *tree = json_array_get(json_object_get(all, "trees"), 0);
        if (broken)
            assert_non_null(strstr(json_string_value(json_object_get(tree, "error")), "branch 0 is a Tbranch"));
        else
            assert_string_equal(
                json_string_value(json_object_get(json_array_get(json_object_get(tree, "branches"), 0), "name")),
                "a\"b\\c?[2J?");
        json_decref(all);
        buf_fini(&out);
        describe(src, false, &out);
        assert_true(!strchr((const char *)out.data, '\x1b'));
        assert_int_equal(strstr((const char *)out.data, "cannot be read: odd.root: ") != NULL, broken);
        buf_fini(&out);
        source_close(src);
    }
    buf_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_names_trees_branches_types_and_codecs),
        cmocka_unit_test(test_json_holds_the_same_facts),
        cmocka_unit_test(test_odd_names_and_broken_trees_are_listed_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
