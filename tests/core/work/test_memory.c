/* tests/core/work/test_memory.c
 *
 * Ingest and features take the same memory whatever the file's size, and files beyond 2 GiB are read at the right
 * places.  As a tool, for `make soak`: test_memory soak TIMES HOLE_BYTES runs both jobs on the sample repeated TIMES
 * times behind a hole, and fails above 512 MB. */
#include "tests/support/unit.h"

#include "core/work.h"
#include "tests/core/root/repeat.h"
#include "tests/support/test_host.h"

#include <sys/resource.h>
#include <sys/wait.h>

static const char sample[] = "tests/fixtures/sample/ttbar.root";
enum { MEMORY_MAX_MB = 512, THREADS = 2 };

struct outcome {
    int64_t read, kept, train;
    char content[80];                  /* content_sha256 of the events */
};

/* Both jobs, in this process. */
static struct outcome run_jobs(const char *path)
{
    struct test_host h;
    struct arena a;
    struct error e = {0};
    void *result;
    struct outcome out = {0};
    arena_init(&a, (size_t)1 << 30);
    test_host_init(&h, THREADS);
    const char *spec = arena_printf(&a, "inputs[0].path = \"%s\"\ninputs[0].label = \"tt\"\n", path);
    if (test_host_run(&h, &a, "ingest", spec, &result, &e) != STATUS_OK) {
        fprintf(stderr, "ingest: %s\n", e.text);
        exit(2);
    }
    const struct ingest_result *in = result;
    struct dataset *d;
    check(dataset_open(test_host_artifact(&h, in->dataset_id), &d, &e) == STATUS_OK);
    out.read = in->events_read;
    out.kept = in->events_kept;
    snprintf(out.content, sizeof out.content, "%s", dataset_manifest(d)->content_sha256);
    dataset_close(d);
    spec = arena_printf(&a, "dataset = \"%s\"\n", in->dataset_id);
    test_host_new_job(&h);
    if (test_host_run(&h, &a, "features", spec, &result, &e) != STATUS_OK) {
        fprintf(stderr, "features: %s\n", e.text);
        exit(2);
    }
    out.train = ((const struct features_result *)result)->train_events;
    test_host_fini(&h);
    arena_fini(&a);
    return out;
}

/* The same in a process of its own; *mb receives the most memory that it held. */
static struct outcome run_apart(const char *path, long *mb)
{
    int ends[2], status;
    struct outcome out = {0};
    struct rusage usage;
    check(pipe(ends) == 0);
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        out = run_jobs(path);
        _exit(write(ends[1], &out, sizeof out) == (ssize_t)sizeof out ? 0 : 2);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], &out, sizeof out);
    close(ends[0]);
    check(wait4(child, &status, 0, &usage) == child);
    check(got == (ssize_t)sizeof out && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    *mb = usage.ru_maxrss / 1024;
    return out;
}

static void test_memory_does_not_grow_with_the_file(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "many.root");
    long once_mb, many_mb;
    int64_t entries = repeat_root(sample, path, 1, 0);
    struct outcome once = run_apart(path, &once_mb), many;
    assert_int_equal(once.read, entries);
    assert_int_equal(repeat_root(sample, path, 5, 0), 5 * entries);
    many = run_apart(path, &many_mb);
    assert_int_equal(many.read, 5 * once.read);
    assert_int_equal(many.kept, 5 * once.kept);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    printf("memory: %ld MB for %lld entries, %ld MB for %lld\n", once_mb, (long long)once.read, many_mb,
           (long long)many.read);
    assert_in_range(many_mb, 1, MEMORY_MAX_MB / 2);
#endif
    temp_folder_remove(folder);
}

static void test_a_file_beyond_two_gigabytes_gives_the_same_dataset(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "one.root");
    struct delphes *d;
    struct source *src;
    struct error e;
    struct event_batch small, large;
    event_batch_init(&small);
    event_batch_init(&large);
    for (int big = 0; big < 2; big++) {
        struct event_batch *b = big ? &large : &small;
        int64_t n = repeat_root(sample, path, 1, big ? (uint64_t)5 << 30 : 0);
        assert_ok(source_open(path, &src, &e), &e);
        assert_true(source_size(src) > (big ? (uint64_t)5 << 30 : 1));
        assert_ok(delphes_open(src, NULL, NULL, &d, &e), &e);
        assert_ok(delphes_read(d, 0, n, b, &e), &e);
        delphes_close(d);
        source_close(src);
    }
    assert_int_equal(small.n_events, large.n_events);
    size_t n_columns;
    const struct event_column *columns = event_columns(&n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        const struct object_columns *x = &small.objects[columns[i].kind], *y = &large.objects[columns[i].kind];
        size_t n = x->first[small.n_events];
        assert_memory_equal(x->first, y->first, (small.n_events + 1) * sizeof *x->first);
        assert_memory_equal(*event_column_data(x, &columns[i]), *event_column_data(y, &columns[i]), n * 4);
    }
    event_batch_fini(&small);
    event_batch_fini(&large);
    temp_folder_remove(folder);
}

static void test_a_repeated_file_holds_what_the_original_does(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "copy.root"), *paths[] = {sample, path};
    struct event_batch batch[2];
    int64_t n = repeat_root(sample, path, 2, 0) / 2;
    for (int i = 0; i < 2; i++) {
        struct source *src;
        struct delphes *d;
        struct error e;
        event_batch_init(&batch[i]);
        assert_ok(source_open(paths[i], &src, &e), &e);
        assert_ok(delphes_open(src, NULL, NULL, &d, &e), &e);
        assert_ok(delphes_read(d, i ? n : 0, n, &batch[i], &e), &e); /* of the copy, the second time round */
        delphes_close(d);
        source_close(src);
    }
    size_t n_columns;
    const struct event_column *columns = event_columns(&n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        const struct object_columns *x = &batch[0].objects[columns[i].kind], *y = &batch[1].objects[columns[i].kind];
        assert_memory_equal(x->first, y->first, ((size_t)n + 1) * sizeof *x->first);
        assert_memory_equal(*event_column_data(x, &columns[i]), *event_column_data(y, &columns[i]), x->first[n] * 4);
    }
    assert_memory_equal(batch[0].number, batch[1].number, (size_t)n * sizeof *batch[0].number);
    event_batch_fini(&batch[0]);
    event_batch_fini(&batch[1]);
    temp_folder_remove(folder);
}

static int soak(size_t times, uint64_t hole)
{
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "soak.root");
    long mb;
    int64_t entries = repeat_root(sample, path, times, hole), start = time_mono_ns();
    struct outcome out = run_apart(path, &mb);
    double seconds = (double)(time_mono_ns() - start) / 1e9;
    printf("soak\t%lld entries\t%.0f entries/s\t%ld MB at most\n", (long long)entries, (double)entries / seconds, mb);
    temp_folder_remove(folder);
    return out.read == entries && mb < MEMORY_MAX_MB ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "soak") == 0)
        return soak(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_repeated_file_holds_what_the_original_does),
        cmocka_unit_test(test_memory_does_not_grow_with_the_file),
        cmocka_unit_test(test_a_file_beyond_two_gigabytes_gives_the_same_dataset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
