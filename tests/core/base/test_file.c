/* tests/core/base/test_file.c */
#include "tests/support/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder;

static int make_folder(void **state)
{
    (void)state;
    folder = temp_folder_create();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

static void write_text(const char *path, const char *text)
{
    struct error e;
    assert_ok(file_write_atomic(path, text, strlen(text), &e), &e);
}

static void assert_file_holds(const char *path, const char *text)
{
    struct buf b;
    struct error e;
    buf_init(&b, 1 << 20);
    assert_ok(file_read(path, &b, &e), &e);
    assert_int_equal(b.len, strlen(text));
    assert_true(b.len == 0 || memcmp(b.data, text, b.len) == 0);
    buf_fini(&b);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* ---- write ------------------------------------------------------------------------------------------- */

static void test_a_written_file_is_whole_and_alone(void **state)
{
    (void)state;
    const char *path = path_in(folder, "a");
    write_text(path, "first");
    assert_file_holds(path, "first");
    write_text(path, "second, longer than the first");
    assert_file_holds(path, "second, longer than the first");
    write_text(path, "");
    assert_file_holds(path, "");
    assert_int_equal(folder_count(folder), 1);
}

static void test_a_failed_write_leaves_nothing_behind(void **state)
{
    (void)state;
    struct error e;
    const char *taken = path_in(folder, "taken");
    assert_status(file_write_atomic(path_in(folder, "no/such/folder"), "x", 1, &e), STATUS_NOTFOUND, &e);
    assert_contains(e.text, "writing folder: ");
    assert_int_equal(folder_count(folder), 0);
    assert_int_equal(mkdir(taken, 0777), 0);                  /* renaming over a folder fails last of all */
    assert_status(file_write_atomic(taken, "x", 1, &e), STATUS_IO, &e);
    assert_int_equal(folder_count(folder), 1);
}

static void test_a_full_disk_keeps_the_former_file(void **state)
{
    (void)state;
    static char data[100000];
    struct rlimit former, small;
    struct error e;
    const char *path = path_in(folder, "a");
    write_text(path, "former");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    small = (struct rlimit){50000, former.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status s = file_write_atomic(path, data, sizeof data, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &former), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(s, STATUS_IO);
    assert_contains(e.text, "writing a: ");
    assert_file_holds(path, "former");
    assert_int_equal(folder_count(folder), 1);
}

static void test_a_leftover_of_a_crash_is_written_over(void **state)
{
    (void)state;
    const char *path = path_in(folder, "a"), *tmp = path_in(folder, "a.tmp");
    write_text(tmp, "half of something much longer");
    write_text(path, "whole");
    assert_file_holds(path, "whole");
    assert_int_equal(folder_count(folder), 1);
}

static void test_a_link_under_the_temporary_name_is_not_followed(void **state)
{
    (void)state;
    struct error e;
    const char *path = path_in(folder, "a"), *victim = path_in(folder, "victim");
    write_text(victim, "untouched");
    assert_int_equal(symlink(victim, path_in(folder, "a.tmp")), 0);
    assert_status(file_write_atomic(path, "x", 1, &e), STATUS_IO, &e);
    assert_file_holds(victim, "untouched");
}

static void *write_often(void *arg)
{
    char text[4096];
    struct error e;
    memset(text, *(const char *)arg, sizeof text);
    for (int i = 0; i < 25; i++)
        if (file_write_atomic(path_in(folder, "shared"), text, sizeof text, &e) != STATUS_OK)
            return arg;
    return NULL;
}

static void test_writers_of_one_path_never_mix(void **state)
{
    (void)state;
    pthread_t threads[4];
    char letters[] = "abcd";
    struct buf b;
    struct error e;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_often, &letters[i]), 0);
    for (int i = 0; i < 200; i++) {
        b.len = 0;
        enum status s = file_read(path_in(folder, "shared"), &b, &e);
        if (s == STATUS_NOTFOUND)
            continue;
        assert_int_equal(s, STATUS_OK);
        assert_int_equal(b.len, 4096);
        for (size_t j = 1; j < b.len; j++)
            assert_int_equal(b.data[j], b.data[0]);
    }
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(folder_count(folder), 1);
    buf_fini(&b);
}

/* ---- read -------------------------------------------------------------------------------------------- */

static void test_reading_appends_and_respects_the_maximum(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    write_text(path_in(folder, "a"), "0123456789");
    buf_init(&b, 15);
    assert_ok(buf_append(&b, "abcde", 5, &e), &e);
    assert_ok(file_read(path_in(folder, "a"), &b, &e), &e);
    assert_memory_equal(b.data, "abcde0123456789", 15);
    assert_status(file_read(path_in(folder, "a"), &b, &e), STATUS_RANGE, &e);
    assert_int_equal(b.len, 15);
    buf_fini(&b);
    buf_init(&b, 9);
    assert_status(file_read(path_in(folder, "a"), &b, &e), STATUS_RANGE, &e);
    assert_string_equal(e.text, "a: 10 bytes, at most 9 are read here");
    buf_fini(&b);
}

static void test_files_that_hide_their_size_are_read_to_the_end(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    buf_init(&b, 1 << 20);
    assert_ok(file_read("/proc/self/status", &b, &e), &e);    /* says 0 bytes */
    assert_true(b.len > 100);
    buf_fini(&b);
    buf_init(&b, 10);
    assert_status(file_read("/proc/self/status", &b, &e), STATUS_RANGE, &e);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

static void test_what_is_no_file_is_refused_without_waiting(void **state)
{
    (void)state;
    struct buf b;
    struct error e;
    buf_init(&b, 100);
    assert_int_equal(mkfifo(path_in(folder, "pipe"), 0666), 0);
    assert_status(file_read(path_in(folder, "pipe"), &b, &e), STATUS_ARGUMENT, &e);
    assert_status(file_read(folder, &b, &e), STATUS_ARGUMENT, &e);
    assert_status(file_read("/dev/zero", &b, &e), STATUS_ARGUMENT, &e);
    assert_status(file_read(path_in(folder, "absent"), &b, &e), STATUS_NOTFOUND, &e);
    assert_null(strstr(e.text, folder));                      /* where data lies is not told */
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

/* ---- folders ----------------------------------------------------------------------------------------- */

static void test_folders_are_made_with_their_parents(void **state)
{
    (void)state;
    struct error e;
    assert_ok(file_make_folder(path_in(folder, "a/b/c"), &e), &e);
    assert_ok(file_make_folder(path_in(folder, "a/b/c"), &e), &e);
    assert_ok(file_make_folder(path_in(folder, "a//b/d//"), &e), &e);
    assert_int_equal(folder_count(path_in(folder, "a/b")), 2);
    write_text(path_in(folder, "file"), "x");
    assert_status(file_make_folder(path_in(folder, "file"), &e), STATUS_IO, &e);
    assert_status(file_make_folder(path_in(folder, "file/below"), &e), STATUS_IO, &e);
    assert_status(file_make_folder("", &e), STATUS_ARGUMENT, &e);
    assert_ok(file_make_folder("/", &e), &e);
    assert_ok(file_sync_folder(path_in(folder, "a"), &e), &e);
    assert_status(file_sync_folder(path_in(folder, "absent"), &e), STATUS_NOTFOUND, &e);
}

static void test_remove_tree_takes_everything_inside(void **state)
{
    (void)state;
    struct error e;
    assert_ok(file_make_folder(path_in(folder, "top/a/b/c"), &e), &e);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "top/a/b/file%d", i);
        int fd = open(path_in(folder, name), O_CREAT | O_WRONLY, 0666);
        assert_true(fd >= 0);
        close(fd);
    }
    const char *top = path_in(folder, "top");
    assert_int_equal(mkfifo(path_in(top, "a/pipe"), 0666), 0);
    assert_ok(file_remove_tree(top, &e), &e);
    assert_false(exists(top));
    assert_ok(file_remove_tree(top, &e), &e);                 /* absent is fine */
}

static void test_remove_tree_never_follows_links(void **state)
{
    (void)state;
    struct error e;
    const char *top = path_in(folder, "top"), *kept = path_in(folder, "kept"), *link = path_in(folder, "link");
    assert_ok(file_make_folder(top, &e), &e);
    assert_ok(file_make_folder(kept, &e), &e);
    write_text(path_in(kept, "data"), "precious");
    assert_int_equal(symlink(kept, path_in(top, "to_folder")), 0);
    assert_int_equal(symlink(path_in(kept, "data"), path_in(top, "to_file")), 0);
    assert_int_equal(symlink("nowhere", path_in(top, "dangling")), 0);
    assert_ok(file_remove_tree(top, &e), &e);
    assert_false(exists(top));
    assert_file_holds(path_in(kept, "data"), "precious");
    assert_int_equal(symlink(kept, link), 0);
    assert_status(file_remove_tree(link, &e), STATUS_IO, &e);
    assert_status(file_remove_tree(path_in(link, ""), &e), STATUS_IO, &e);    /* "link/" */
    assert_file_holds(path_in(kept, "data"), "precious");
    assert_true(exists(link));
}

static void test_remove_tree_refuses_what_is_not_a_tree_to_remove(void **state)
{
    (void)state;
    struct error e;
    assert_status(file_remove_tree("", &e), STATUS_ARGUMENT, &e);
    assert_status(file_remove_tree("/", &e), STATUS_ARGUMENT, &e);
    assert_status(file_remove_tree("///", &e), STATUS_ARGUMENT, &e);
    assert_status(file_remove_tree(".", &e), STATUS_ARGUMENT, &e);
    write_text(path_in(folder, "file"), "x");
    assert_status(file_remove_tree(path_in(folder, "file"), &e), STATUS_IO, &e);
    assert_true(exists(path_in(folder, "file")));
}

static void test_remove_tree_stops_at_absurd_depth(void **state)
{
    (void)state;
    struct error e;
    char path[1000];
    int at = snprintf(path, sizeof path, "%s/top", folder);
    for (int i = 0; i < 80; i++)
        at += snprintf(path + at, sizeof path - (size_t)at, "/d");
    assert_ok(file_make_folder(path, &e), &e);
    assert_status(file_remove_tree(path_in(folder, "top"), &e), STATUS_RANGE, &e);
    path[strlen(folder) + strlen("/top") + 2 * 40] = '\0';    /* in two goes it works */
    assert_ok(file_remove_tree(path, &e), &e);
    assert_ok(file_remove_tree(path_in(folder, "top"), &e), &e);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(test_a_written_file_is_whole_and_alone),
        in_folder(test_a_failed_write_leaves_nothing_behind),
        in_folder(test_a_full_disk_keeps_the_former_file),
        in_folder(test_a_leftover_of_a_crash_is_written_over),
        in_folder(test_a_link_under_the_temporary_name_is_not_followed),
        in_folder(test_writers_of_one_path_never_mix),
        in_folder(test_reading_appends_and_respects_the_maximum),
        in_folder(test_files_that_hide_their_size_are_read_to_the_end),
        in_folder(test_what_is_no_file_is_refused_without_waiting),
        in_folder(test_folders_are_made_with_their_parents),
        in_folder(test_remove_tree_takes_everything_inside),
        in_folder(test_remove_tree_never_follows_links),
        in_folder(test_remove_tree_refuses_what_is_not_a_tree_to_remove),
        in_folder(test_remove_tree_stops_at_absurd_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
