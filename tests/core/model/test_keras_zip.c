/* tests/core/model/test_keras_zip.c
 *
 * Members of ZIP archives: as stored, as deflated, and from every damaged one an error.  The archives are those of the
 * fuzzer's corpus, written by Python's zipfile. */
#include "core/model/keras_zip.h"

#include "tests/support/unit.h"

#include <string.h>

enum { MOST = 1 << 20 };

static void load(const char *name, struct buf *out)
{
    char path[128];
    struct error e;
    buf_init(out, MOST);
    snprintf(path, sizeof path, "tests/fuzz/corpus/keras_zip/%s", name);
    assert_ok(file_read(path, out, &e), &e);
}

static void test_stored_and_deflated_members_are_the_same(void **state)
{
    (void)state;
    struct buf stored, deflated;
    struct span a, b;
    struct arena arena;
    struct error e;
    arena_init(&arena, MOST);
    load("good_stored.keras", &stored);
    load("good_deflated.keras", &deflated);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "model.weights.h5" : "config.json";
        assert_ok(zip_member(&arena, (struct span){stored.data, stored.len}, name, MOST, &a, &e), &e);
        assert_ok(zip_member(&arena, (struct span){deflated.data, deflated.len}, name, MOST, &b, &e), &e);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.data, b.data, a.len);
    }
    assert_status(zip_member(&arena, (struct span){stored.data, stored.len}, "config", MOST, &a, &e), STATUS_NOTFOUND,
                  &e);
    assert_status(zip_member(&arena, (struct span){stored.data, stored.len}, "config.json", 10, &a, &e), STATUS_RANGE,
                  &e);
    buf_fini(&stored);
    buf_fini(&deflated);
    arena_fini(&arena);
}

static void test_an_archive_with_a_comment_is_read(void **state)
{
    (void)state;
    struct buf file;
    struct span out;
    struct arena arena;
    struct error e;
    arena_init(&arena, MOST);
    load("comment.zip", &file);
    assert_ok(zip_member(&arena, (struct span){file.data, file.len}, "x", MOST, &out, &e), &e);
    assert_int_equal(out.len, 100000);
    buf_fini(&file);
    arena_fini(&arena);
}

static void test_no_cut_archive_is_read(void **state)
{
    (void)state;
    struct buf file;
    load("good_deflated.keras", &file);
    for (size_t n = 0; n < file.len; n++) {
        struct arena arena;
        struct span out;
        struct error e;
        arena_init(&arena, MOST);
        assert_int_not_equal(zip_member(&arena, (struct span){file.data, n}, "config.json", MOST, &out, &e), STATUS_OK);
        arena_fini(&arena);
    }
    buf_fini(&file);
}

/* A byte may change what nobody looks at (times, a name elsewhere), never what is read. */
static void test_no_changed_byte_changes_what_is_read(void **state)
{
    (void)state;
    struct buf file;
    struct arena keep;
    struct span whole, out;
    struct error e;
    arena_init(&keep, MOST);
    load("good_deflated.keras", &file);
    assert_ok(zip_member(&keep, (struct span){file.data, file.len}, "model.weights.h5", MOST, &whole, &e), &e);
    for (size_t i = 0; i < file.len; i++) {
        struct arena arena;
        arena_init(&arena, MOST);
        file.data[i] ^= (uint8_t)(1 << i % 8);
        if (zip_member(&arena, (struct span){file.data, file.len}, "model.weights.h5", MOST, &out, &e) == STATUS_OK) {
            assert_int_equal(out.len, whole.len);
            assert_memory_equal(out.data, whole.data, whole.len);
        }
        file.data[i] ^= (uint8_t)(1 << i % 8);
        arena_fini(&arena);
    }
    buf_fini(&file);
    arena_fini(&keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_and_deflated_members_are_the_same),
        cmocka_unit_test(test_an_archive_with_a_comment_is_read),
        cmocka_unit_test(test_no_cut_archive_is_read),
        cmocka_unit_test(test_no_changed_byte_changes_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
