/* tests/core/root/test_file.c
 *
 * File headers, keys and directories: both seek widths, cycles, nesting, and directories that lead in circles. */
#include "core/root.h"
#include "tests/core/root/build.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct buf bytes;
    struct source *src;
    struct root_file *file;
    struct error e;
};

static enum status open_bytes(struct fixture *x, const void *p, size_t n)
{
    root_close(x->file);
    source_close(x->src);
    x->file = NULL;
    x->e = (struct error){0};
    assert_int_equal(source_open_memory(p, n, "dir/t.root", &x->src, &x->e), STATUS_OK);
    return root_open(x->src, &x->file, &x->e);
}

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    assert_non_null(x);
    buf_init(&x->bytes, 64 << 20);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    root_close(x->file);
    source_close(x->src);
    buf_fini(&x->bytes);
    free(x);
    return 0;
}

static void test_what_is_no_root_file_is_told_from_what_is_cut(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(open_bytes(x, "", 0), STATUS_FORMAT);
    assert_string_equal(x->e.text, "t.root: not a ROOT file: it is empty (0 bytes)");
    assert_int_equal(open_bytes(x, "PK", 2), STATUS_FORMAT);
    assert_string_equal(x->e.text, "t.root: not a ROOT file: it does not begin with \"root\"");
    assert_int_equal(open_bytes(x, "root\0\0\0", 7), STATUS_FORMAT);
    assert_string_equal(x->e.text, "t.root: truncated: the file header is cut at byte 7");
    build_file(&x->bytes, &(struct build_file){0});
    assert_int_equal(open_bytes(x, x->bytes.data, x->bytes.len - 1), STATUS_FORMAT);
    assert_non_null(strstr(x->e.text, "truncated: the header says"));
    assert_int_equal(open_bytes(x, x->bytes.data, x->bytes.len), STATUS_OK);
}

static void test_every_cut_of_a_file_is_an_error(void **state)
{
    struct fixture *x = *state;
    build_file(&x->bytes, &(struct build_file){.zip_tree = true});
    for (size_t n = 0; n < x->bytes.len; n++)
        assert_int_equal(open_bytes(x, x->bytes.data, n), STATUS_FORMAT);
}

static void test_both_widths_of_seeks_are_read(void **state)
{
    struct fixture *x = *state;
    for (int big = 0; big < 2; big++) {
        x->bytes.len = 0;
        build_file(&x->bytes, &(struct build_file){.big = big});
        assert_int_equal(open_bytes(x, x->bytes.data, x->bytes.len), STATUS_OK);
        assert_int_equal(root_version(x->file), 62006);
        assert_int_equal(root_compression(x->file), 101);
        size_t n;
        const struct root_key *k = root_keys(x->file, &n);
        assert_int_equal(n, 1);
        assert_string_equal(k[0].path, "T");
        assert_string_equal(k[0].class_name, "TTree");
        struct root_tree *t;
        assert_int_equal(root_tree_get(x->file, "T", &t, &x->e), STATUS_OK);
        assert_int_equal(root_tree_entries(t), 0);
    }
}

/* As a writer leaves it before it closes the file: records, and a directory that has no list of keys yet. */
static void test_a_file_that_was_not_closed_is_refused_by_that_name(void **state)
{
    struct fixture *x = *state;
    for (int big = 0; big < 2; big++) {
        x->bytes.len = 0;
        size_t directory = build_begin(&x->bytes, big);
        uint64_t info = put_classes(&x->bytes, NULL, 0, big);
        write_directory(&x->bytes, directory, 0, 0, big);
        write_header(&x->bytes, directory, info, (uint32_t)(x->bytes.len - info), big);
        assert_int_equal(open_bytes(x, x->bytes.data, x->bytes.len), STATUS_FORMAT);
        assert_non_null(strstr(x->e.text, "t.root: it was not closed"));
        assert_non_null(strstr(x->e.text, "still being written"));
    }
}

/* ---- directories ------------------------------------------------------------------------------------------------ */

/* A directory's record; its list of keys is set later with write_directory at the returned place. */
static size_t put_directory(struct buf *b, const char *name, struct build_key *key)
{
    struct buf body;
    buf_init(&body, 100);
    for (int i = 0; i < 60; i++)
        put8(&body, 0);
    *key = (struct build_key){"TDirectoryFile", name, 1, b->len};
    put_record(b, "TDirectoryFile", name, &body, false, false, 1);
    buf_fini(&body);
    return b->len - 60;
}

/* "inner/" below "outer/" below the top; each holds what the callback's keys say. */
static void build_directories(struct buf *b, const struct build_key *in_inner, uint32_t n_inner)
{
    size_t top = build_begin(b, false);
    struct build_key outer, inner;
    size_t outer_at = put_directory(b, "outer", &outer), inner_at = put_directory(b, "inner", &inner);
    struct build_key list[8] = {{0}};
    for (uint32_t i = 0; i < n_inner; i++) {
        list[i] = in_inner[i];
        if (list[i].seek == 0) /* a way back up */
            list[i].seek = outer.seek;
    }
    uint64_t keys = put_keys(b, list, n_inner, false);
    write_directory(b, inner_at, keys, (uint32_t)(b->len - keys), false);
    keys = put_keys(b, &inner, 1, false);
    write_directory(b, outer_at, keys, (uint32_t)(b->len - keys), false);
    keys = put_keys(b, &outer, 1, false);
    write_directory(b, top, keys, (uint32_t)(b->len - keys), false);
    write_header(b, top, 0, 0, false);
}

static void test_directories_are_walked_depth_first(void **state)
{
    struct fixture *x = *state;
    build_directories(&x->bytes, (struct build_key[]){{"TH1F", "h", 3, BUILD_BEGIN}, {"TH1F", "h", 4, BUILD_BEGIN}}, 2);
    if (open_bytes(x, x->bytes.data, x->bytes.len) != STATUS_OK)
        fail_msg("%s", x->e.text);
    size_t n;
    const struct root_key *k = root_keys(x->file, &n);
    assert_int_equal(n, 4);
    assert_string_equal(k[0].path, "outer");
    assert_string_equal(k[1].path, "outer/inner");
    assert_string_equal(k[2].path, "outer/inner/h");
    assert_int_equal(k[3].cycle, 4);
    struct root_tree *t;
    assert_int_equal(root_tree_get(x->file, "outer/inner/h", &t, &x->e), STATUS_NOTFOUND);
    assert_string_equal(x->e.text, "t.root: outer/inner/h is a TH1F, not a TTree");
    assert_int_equal(root_tree_get(x->file, "Delphes", &t, &x->e), STATUS_NOTFOUND);
    assert_string_equal(x->e.text, "t.root: no tree Delphes; the file has no trees (4 keys)");
}

static void test_directories_that_lead_in_circles_end(void **state)
{
    struct fixture *x = *state;
    build_directories(&x->bytes, (struct build_key[]){{"TDirectoryFile", "up", 1, 0}}, 1);
    if (open_bytes(x, x->bytes.data, x->bytes.len) != STATUS_OK)
        fail_msg("%s", x->e.text);
    size_t n;
    const struct root_key *k = root_keys(x->file, &n);
    assert_int_equal(n, 3);
    assert_string_equal(k[2].path, "outer/inner/up");
}

static void test_tree_without_class_layouts_is_an_error(void **state)
{
    struct fixture *x = *state;
    struct root_tree *t;
    build_directories(&x->bytes, (struct build_key[]){{"TTree", "t", 1, BUILD_BEGIN}}, 1);
    assert_int_equal(open_bytes(x, x->bytes.data, x->bytes.len), STATUS_OK);
    assert_int_equal(root_tree_get(x->file, "outer/inner/t", &t, &x->e), STATUS_FORMAT);
    assert_non_null(strstr(x->e.text, "no list of class layouts"));
    assert_int_equal(root_tree_get(x->file, "outer/inner/s", &t, &x->e), STATUS_NOTFOUND);
    assert_string_equal(x->e.text, "t.root: no tree outer/inner/s; the file has: outer/inner/t");
}

static void test_more_keys_than_bytes_are_refused(void **state)
{
    struct fixture *x = *state;
    build_file(&x->bytes, &(struct build_file){0});
    uint8_t *list = memmem(x->bytes.data + 200, x->bytes.len - 200, "\5TFile\6t.root\0", 14);
    assert_non_null(list);
    patch32(&x->bytes, (size_t)(list + 14 - x->bytes.data), 0x7fffffff);
    assert_int_equal(open_bytes(x, x->bytes.data, x->bytes.len), STATUS_FORMAT);
    assert_non_null(strstr(x->e.text, "2147483647 keys in a list of"));
}

static void test_the_newest_cycle_wins_and_a_cycle_can_be_asked_for(void **state)
{
    struct fixture *x = *state;
    struct buf *b = &x->bytes;
    size_t top = build_begin(b, false);
    uint64_t info = put_classes(b, NULL, 0, false);
    uint32_t info_bytes = (uint32_t)(b->len - info);
    struct build_key keys[3];
    for (int16_t cycle = 1; cycle <= 3; cycle++) {
        struct buf tree;
        buf_init(&tree, 1 << 16);
        size_t object = object_begin(&tree, 1);
        put_named(&tree, "t", "");
        put64(&tree, (uint64_t)cycle * 10);
        object_end(&tree, array_begin(&tree, 0));
        object_end(&tree, object);
        keys[cycle % 3] = (struct build_key){"TTree", "t", cycle, b->len}; /* 3 1 2 */
        put_record(b, "TTree", "t", &tree, false, false, cycle);
        buf_fini(&tree);
    }
    uint64_t list = put_keys(b, keys, 3, false);
    write_directory(b, top, list, (uint32_t)(b->len - list), false);
    write_header(b, top, info, info_bytes, false);
    assert_int_equal(open_bytes(x, b->data, b->len), STATUS_OK);
    struct root_tree *t, *again;
    assert_int_equal(root_tree_get(x->file, "t", &t, &x->e), STATUS_OK);
    assert_int_equal(root_tree_entries(t), 30);
    assert_int_equal(root_tree_get(x->file, "t;2", &t, &x->e), STATUS_OK);
    assert_int_equal(root_tree_entries(t), 20);
    assert_int_equal(root_tree_get(x->file, "t;2", &again, &x->e), STATUS_OK);
    assert_ptr_equal(t, again);
    assert_int_equal(root_tree_get(x->file, "t;4", &t, &x->e), STATUS_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_no_root_file_is_told_from_what_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_cut_of_a_file_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_widths_of_seeks_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_was_not_closed_is_refused_by_that_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directories_are_walked_depth_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directories_that_lead_in_circles_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tree_without_class_layouts_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_keys_than_bytes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_newest_cycle_wins_and_a_cycle_can_be_asked_for, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
