/* tests/core/io/test_source.c */
#include "core/source.h"

#include "tests/support/unit.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES = 100000 };

static char *folder;
static uint8_t content[FILE_BYTES];

static int make_file(void **state)
{
    (void)state;
    struct error e;
    struct rng r = rng_stream(1, 0);
    for (size_t i = 0; i < FILE_BYTES; i++)
        content[i] = (uint8_t)rng_u64(&r);
    folder = temp_folder_create();
    return file_write_atomic(path_in(folder, "some file.root"), content, FILE_BYTES, &e) == STATUS_OK ? 0 : -1;
}

static int remove_file(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    return 0;
}

/* The promises that every kind of source keeps, on one that holds `content`. */
static void assert_reads_content(struct source *s)
{
    uint8_t data[1000], more[10];
    struct error e;
    assert_int_equal(source_size(s), FILE_BYTES);
    assert_ok(source_read(s, 12345, data, sizeof data, &e), &e);
    assert_memory_equal(data, content + 12345, sizeof data);
    assert_ok(source_read(s, FILE_BYTES - 10, data, 10, &e), &e);
    assert_memory_equal(data, content + FILE_BYTES - 10, 10);
    assert_ok(source_read(s, FILE_BYTES, NULL, 0, &e), &e);
    assert_int_equal(source_counters(s).bytes, 1010);
    struct source_range ranges[] = {{50000, 500, data}, {0, 10, more}, {7, 0, NULL}, {50500, 500, data + 500}};
    assert_ok(source_read_ranges(s, ranges, ARRAY_LEN(ranges), &e), &e);
    assert_memory_equal(data, content + 50000, 1000);
    assert_memory_equal(more, content, 10);
    assert_int_equal(source_counters(s).bytes, 2020);
    assert_int_equal(source_counters(s).requests, 7);
    assert_ok(source_read_ranges(s, NULL, 0, &e), &e);
}

static void assert_refuses_what_lies_outside(struct source *s)
{
    static const struct source_range bad[] = {{FILE_BYTES, 1, NULL},     {FILE_BYTES - 1, 2, NULL},
                                              {0, FILE_BYTES + 1, NULL}, {UINT64_MAX, 1, NULL},
                                              {UINT64_MAX - 1, 2, NULL}, {1, SIZE_MAX, NULL}};
    struct error e;
    struct source_counters before = source_counters(s);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_status(source_read(s, bad[i].offset, NULL, bad[i].len, &e), STATUS_FORMAT, &e);
        assert_contains(e.text, " of 100000");
    }
    uint8_t data[4] = {1, 2, 3, 4};
    struct source_range ranges[] = {{0, 4, data}, {FILE_BYTES, 1, data}};
    assert_status(source_read_ranges(s, ranges, 2, &e), STATUS_FORMAT, &e);
    assert_int_equal(data[0], 1); /* all or nothing */
    assert_int_equal(source_counters(s).bytes, before.bytes);
}

static void test_a_path_is_read_at_offsets(void **state)
{
    (void)state;
    struct source *s;
    struct error e;
    assert_ok(source_open(path_in(folder, "some file.root"), &s, &e), &e);
    assert_string_equal(source_name(s), "some file.root");
    assert_reads_content(s);
    assert_refuses_what_lies_outside(s);
    source_close(s);
}

static void test_memory_is_read_at_offsets(void **state)
{
    (void)state;
    struct source *s;
    struct error e;
    assert_ok(source_open_memory(content, FILE_BYTES, "fuzz", &s, &e), &e);
    assert_string_equal(source_name(s), "fuzz");
    assert_reads_content(s);
    assert_refuses_what_lies_outside(s);
    source_close(s);
    assert_ok(source_open_memory(NULL, 0, "empty", &s, &e), &e);
    assert_int_equal(source_size(s), 0);
    assert_ok(source_read(s, 0, NULL, 0, &e), &e);
    source_close(s);
    source_close(NULL);
}

static void test_file_urls_name_absolute_paths_with_escapes(void **state)
{
    (void)state;
    char url[1000];
    struct source *s;
    struct error e;
    static const char *const prefixes[] = {"file://", "FILE://", "file://localhost"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        snprintf(url, sizeof url, "%s%s/some%%20file.root", prefixes[i], folder);
        assert_ok(source_open(url, &s, &e), &e);
        assert_reads_content(s);
        source_close(s);
    }
    static const char *const bad[] = {"file://",     "file://relative/a.root", "file:///a%",
                                      "file:///a%4", "file:///a%zz",           "file:///a%00b"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_status(source_open(bad[i], &s, &e), STATUS_ARGUMENT, &e);
        assert_null(s);
    }
}

static void test_remote_hosts_are_refused_unless_a_policy_allows_them(void **state)
{
    (void)state;
    struct source *s;
    struct error e;
    static const char *const urls[] = {"https://host/a.root", "http://host:8080/a.root", "ROOT://host//a.root",
                                       "roots://host//a.root"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        assert_status(source_open(urls[i], &s, &e), STATUS_FORBIDDEN, &e);
        assert_null(s);
        assert_contains(e.text, "a.root: the host host (port ");
        assert_contains(e.text, "is not allowed: add it to the list of allowed hosts");
    }
    assert_status(source_open("http://user:secret@host/a.root", &s, &e), STATUS_ARGUMENT, &e);
    assert_null(strstr(e.text, "secret"));
    assert_status(source_open("root://user:secret@host", &s, &e), STATUS_ARGUMENT, &e);
    assert_null(strstr(e.text, "secret"));
    assert_status(source_open("gopher://host/a", &s, &e), STATUS_UNSUPPORTED, &e);
    assert_string_equal(e.text, "gopher:// is not known: give a path, or a file://, http(s):// or root(s):// URL");
}

static void test_what_is_no_regular_file_is_refused_without_waiting(void **state)
{
    (void)state;
    struct source *s;
    struct error e;
    assert_int_equal(mkfifo(path_in(folder, "pipe"), 0666), 0);
    assert_status(source_open(path_in(folder, "pipe"), &s, &e), STATUS_ARGUMENT, &e);
    assert_string_equal(e.text, "pipe: is not a regular file");
    assert_status(source_open(folder, &s, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "is a folder");
    assert_status(source_open("/dev/zero", &s, &e), STATUS_ARGUMENT, &e);
    assert_status(source_open(path_in(folder, "absent"), &s, &e), STATUS_NOTFOUND, &e);
    assert_string_equal(e.text, "absent: opening: No such file or directory");
    assert_status(source_open("", &s, &e), STATUS_NOTFOUND, &e);
    assert_null(s);
}

static void test_a_file_that_shrinks_is_an_error_not_old_bytes(void **state)
{
    (void)state;
    struct source *s;
    struct error e;
    uint8_t data[200];
    const char *path = path_in(folder, "some file.root");
    assert_ok(source_open(path, &s, &e), &e);
    assert_int_equal(truncate(path, 5000), 0);
    assert_status(source_read(s, 4900, data, sizeof data, &e), STATUS_IO, &e);
    assert_string_equal(e.text, "some file.root: ends at byte 5000: the file has become shorter since it was opened");
    source_close(s);
}

static void test_a_file_that_changes_while_it_is_read_is_noticed(void **state)
{
    (void)state;
    struct source *s;
    struct error e;
    const char *path = path_in(folder, "growing.root");
    for (int same_size = 0; same_size < 2; same_size++) {
        assert_ok(file_write_atomic(path, content, 1000, &e), &e);
        assert_ok(source_open(path, &s, &e), &e);
        assert_ok(source_check_unchanged(s, &e), &e);
        struct timespec pause = {0, 20000000};     /* the clock of files ticks in milliseconds */
        nanosleep(&pause, NULL);
        int fd = open(path, O_WRONLY | (same_size ? 0 : O_APPEND));
        assert_true(fd >= 0);
        assert_int_equal(write(fd, content, 10), 10);
        close(fd);
        assert_status(source_check_unchanged(s, &e), STATUS_IO, &e);
        assert_non_null(strstr(e.text, same_size ? "growing.root was written to while it was read"
                                                 : "1000 bytes at first, 1010 now"));
        source_close(s);
    }
}

struct readers {
    struct source *source;
    atomic_int n_wrong;
};

static enum status read_random(void *ctx, size_t i, size_t thread, struct error *e)
{
    struct readers *readers = ctx;
    struct rng r = rng_stream(99, i);
    uint8_t data[3000];
    size_t len = (size_t)rng_below(&r, sizeof data), offset = (size_t)rng_below(&r, FILE_BYTES - len);
    (void)thread;
    TRY(source_read(readers->source, offset, data, len, e));
    readers->n_wrong += memcmp(data, content + offset, len) != 0;
    return STATUS_OK;
}

static void test_threads_may_read_at_once(void **state)
{
    (void)state;
    struct readers readers = {.n_wrong = 0};
    struct error e;
    assert_ok(source_open(path_in(folder, "some file.root"), &readers.source, &e), &e);
    assert_ok(par_for(8, 2000, read_random, &readers, &e), &e);
    assert_int_equal(readers.n_wrong, 0);
    assert_int_equal(source_counters(readers.source).requests, 2000);
    source_close(readers.source);
}

static void test_opening_without_memory_is_an_error(void **state)
{
    (void)state;
    struct source *s;
    struct error e;
    assert_true(alloc_fail_begin(1));
    assert_status(source_open(path_in(folder, "some file.root"), &s, &e), STATUS_NOMEM, &e);
    assert_true(alloc_fail_end());
    assert_true(alloc_fail_begin(1));
    assert_status(source_open_memory("", 0, "x", &s, &e), STATUS_NOMEM, &e);
    assert_true(alloc_fail_end());
    assert_null(s);
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_file(test_a_path_is_read_at_offsets),
        with_file(test_memory_is_read_at_offsets),
        with_file(test_file_urls_name_absolute_paths_with_escapes),
        with_file(test_remote_hosts_are_refused_unless_a_policy_allows_them),
        with_file(test_what_is_no_regular_file_is_refused_without_waiting),
        with_file(test_a_file_that_shrinks_is_an_error_not_old_bytes),
        with_file(test_a_file_that_changes_while_it_is_read_is_noticed),
        with_file(test_threads_may_read_at_once),
        with_file(test_opening_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
