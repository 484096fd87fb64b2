/* tests/server/jobs/test_inputs.c
 *
 * Which files an input stands for, and that none outside the data roots can be reached or probed. */
#include "server/jobs/engine.h"
#include "tests/support/support.h"

#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char *folder;
    char one[PATH_MAX], two[PATH_MAX], outside[PATH_MAX];
    const char *roots[2];
    struct arena a;
    struct error e;
};

static void put(const char *folder, const char *name)
{
    struct error e;
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(file_make_folder(path, &e), STATUS_OK);
    *slash = '/';
    assert_int_equal(file_write_atomic(path, name, strlen(name), &e), STATUS_OK);
}

/* one/{b.root,a.root,c.txt,sub/d.root,sub/[x].root}  two/{e.root,sub/f.root}  outside/{secret.root} and links */
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char real[PATH_MAX];
    f->folder = temp_folder_create();
    check(realpath(f->folder, real));
    snprintf(f->one, sizeof f->one, "%.4000s/one", real);
    snprintf(f->two, sizeof f->two, "%.4000s/two", real);
    snprintf(f->outside, sizeof f->outside, "%.4000s/one-outside", real);
    f->roots[0] = f->one;
    f->roots[1] = f->two;
    static const char *const names[] = {"b.root", "a.root", "c.txt", "sub/d.root", "sub/[x].root", "empty/x.txt"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        put(f->one, names[i]);
    put(f->two, "e.root");
    put(f->two, "sub/f.root");
    put(f->outside, "secret.root");
    check(symlink(f->outside, path_in(f->one, "way-out")) == 0);
    check(symlink(path_in(f->outside, "secret.root"), path_in(f->two, "leak.root")) == 0);
    check(symlink("../two/e.root", path_in(f->one, "inner.root")) == 0);
    check(symlink("nowhere", path_in(f->one, "dangling.root")) == 0);
    check(mkfifo(path_in(f->one, "pipe"), 0600) == 0);
    arena_init(&f->a, 1 << 24);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_fini(&f->a);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

static enum status resolve(struct fixture *f, const char *given, struct field_list *paths)
{
    return input_resolve(f->roots, 2, &f->a, given, paths, &f->e);
}

/* `expected`: paths below the fixture's folder, separated by spaces. */
static void assert_files(struct fixture *f, const char *given, const char *expected)
{
    struct field_list paths;
    char text[4096] = "";
    size_t skip = strlen(f->one) - strlen("one");
    if (resolve(f, given, &paths) != STATUS_OK)
        fail_msg("%s: %s", given, f->e.text);
    for (size_t i = 0; i < paths.n_items; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                 ((const char **)paths.items)[i] + skip);
    assert_string_equal(text, expected);
}

static void test_paths_patterns_and_folders_give_files_in_order(void **state)
{
    struct fixture *f = *state;
    assert_files(f, "a.root", "one/a.root");
    assert_files(f, "sub/../a.root", "one/a.root");
    assert_files(f, "./sub//d.root", "one/sub/d.root");
    assert_files(f, "e.root", "two/e.root");
    assert_files(f, "sub/f.root", "two/sub/f.root");
    assert_files(f, path_in(f->two, "e.root"), "two/e.root");
    assert_files(f, "inner.root", "two/e.root");
    assert_files(f, "[ab].root", "one/a.root one/b.root");
    assert_files(f, "sub/*.root", "one/sub/[x].root one/sub/d.root");
    assert_files(f, "sub/[x].root", "one/sub/[x].root");
    assert_files(f, "sub", "one/sub/[x].root one/sub/d.root");
    assert_files(f, "s?b/*", "one/sub/[x].root one/sub/d.root");
    assert_files(f, "c.txt", "one/c.txt");
    char url[PATH_MAX + 32];
    snprintf(url, sizeof url, "file://%s/b.root", f->one);
    assert_files(f, url, "one/b.root");
    assert_files(f, "file://b.root", "one/b.root");
}

static void test_urls_are_passed_on_as_they_are(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {"root://host//store/x.root", "https://host/../x", "gopher://x"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct field_list paths;
        assert_int_equal(resolve(f, urls[i], &paths), STATUS_OK);
        assert_int_equal(paths.n_items, 1);
        assert_string_equal(((const char **)paths.items)[0], urls[i]);
    }
}

static void test_nothing_outside_the_roots_is_reached_or_told_apart(void **state)
{
    struct fixture *f = *state;
    struct field_list paths;
    static const char *const names[] = {
        "/etc/passwd", "/etc/no-such-file", "/", "../one-outside/secret.root", "../one-outside/none.root", "way-out",
        "way-out/secret.root", "way-out/*", "leak.root", "le*k.root", "../../../../etc/passwd", "sub/../../x", "..",
        "/etc/*", "file:///etc/passwd", "../one-outside/*.root", "*/secret.root"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum status s = resolve(f, names[i], &paths);
        if (s != STATUS_FORBIDDEN)
            fail_msg("%s: %s", names[i], s == STATUS_OK ? "reached" : f->e.text);
        assert_non_null(strstr(f->e.text, "not inside a data root"));
        assert_int_equal(paths.n_items, 0);
    }
    assert_int_equal(resolve(f, f->outside, &paths), STATUS_FORBIDDEN);
}

static void test_what_is_not_there_or_no_file_is_said_so(void **state)
{
    struct fixture *f = *state;
    struct field_list paths;
    static const struct { const char *given; enum status status; } cases[] = {
        {"none.root", STATUS_NOTFOUND}, {"*.nothing", STATUS_NOTFOUND}, {"dangling.root", STATUS_NOTFOUND},
        {"empty", STATUS_NOTFOUND}, {"pipe", STATUS_ARGUMENT}, {"", STATUS_ARGUMENT}, {"a\nb", STATUS_ARGUMENT},
        {"sub/x*/../../a.root", STATUS_ARGUMENT}, {"[", STATUS_NOTFOUND}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (resolve(f, cases[i].given, &paths) != cases[i].status)
            fail_msg("%s: %s %s", cases[i].given, status_name(f->e.status), f->e.text);
    char longer[2 * PATH_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(resolve(f, longer, &paths), STATUS_ARGUMENT);
    assert_int_equal(input_resolve(NULL, 0, &f->a, "a.root", &paths, &f->e), STATUS_NOTFOUND);
    assert_int_equal(input_resolve(NULL, 0, &f->a, "/etc/passwd", &paths, &f->e), STATUS_FORBIDDEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_paths_patterns_and_folders_give_files_in_order),
        TEST(test_urls_are_passed_on_as_they_are),
        TEST(test_nothing_outside_the_roots_is_reached_or_told_apart),
        TEST(test_what_is_not_there_or_no_file_is_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
