/* Exports and imports as jobs: killed after any unit and gone on with, they give the bytes of an undisturbed run; what goes
 * out comes in again; and a disk that fills up leaves nothing half-visible. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define SAMPLE "tests/fixtures/sample/"

static struct arena arena;
static struct test_host h;
static const char *events, *train, *test, *both;      /* both: imported, in two parts */

static void *run_ok(const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    if (test_host_run(&h, &arena, kind, spec, &result, &e) != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

/* The same job, stopped after each unit. */
static void *run_in_pieces(const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    enum status s;
    int64_t before = h.units_run;
    h.stop_after = 1;
    while ((s = test_host_run(&h, &arena, kind, spec, &result, &e)) == STATUS_CANCELLED)
        assert_true(h.units_run - before < TEST_UNITS_MAX);
    h.stop_after = 0;
    if (s != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 256 << 20);
    test_host_init(&h, 2);
    struct ingest_result *in = run_ok("ingest", "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
                                                "inputs[1].path = \"" SAMPLE "ttbar.root\"\ninputs[1].label = \"tt\"\n");
    test_host_new_job(&h);
    struct features_result *ft = run_ok("features", arena_printf(&arena, "dataset = \"%s\"\nrecipe = \"sparkdltrigger-1\"\n"
                                                                         "split.test = 0.5\n", in->dataset_id));
    events = in->dataset_id;
    train = ft->dataset_id;
    test = ft->test_dataset_id;
    test_host_new_job(&h);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_host_fini(&h);
    arena_fini(&arena);
    return 0;
}

static const char *export_spec(const char *dataset, const char *more)
{
    return arena_printf(&arena, "dataset = \"%s\"\n%s", dataset, more);
}

static const char *content_of(const char *id)
{
    struct error e;
    struct dataset *d;
    assert_int_equal(dataset_open(test_host_artifact(&h, id), &d, &e), STATUS_OK);
    assert_int_equal(dataset_verify(d, &e), STATUS_OK);
    assert_true(dataset_manifest(d)->scaled && scaler_record_is_identity(&dataset_manifest(d)->scaler));
    const char *sha = arena_strdup(&arena, dataset_manifest(d)->content_sha256);
    dataset_close(d);
    return sha;
}

static void test_an_import_in_pieces_is_the_dataset_of_one_at_once(void **state)
{
    (void)state;
    const char *spec = "";
    const char *ids[2] = {train, test};
    for (size_t i = 0; i < 2; i++) {
        struct export_result *x = run_ok("export", export_spec(ids[i], "what = both\n"));
        spec = arena_printf(&arena, "%sinputs[%zu].path = \"%s\"\n", spec, i, test_host_artifact(&h, x->export_id));
        test_host_new_job(&h);
    }
    struct import_result *whole = run_ok("import", arena_printf(&arena, "%sclasses[0] = \"qcd\"\nclasses[1] = \"tt\"\n", spec));
    test_host_new_job(&h);
    struct import_result *pieces =
        run_in_pieces("import", arena_printf(&arena, "%sclasses[0] = \"qcd\"\nclasses[1] = \"tt\"\n", spec));
    test_host_new_job(&h);
    assert_int_equal(whole->files, 2);
    assert_true(whole->events > 0 && whole->sequences && whole->scaled);
    assert_string_equal(content_of(whole->dataset_id), content_of(pieces->dataset_id));
    both = whole->dataset_id;
}

static void test_an_export_in_pieces_has_the_bytes_of_one_at_once(void **state)
{
    (void)state;
    static const char *const kinds[] = {"what = both\n", "format = tfrecord\nwhat = both\n",
                                        "format = npy\nwhat = sequence\n", "format = csv\n",
                                        "layout = features\ncompression = zstd\n"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct export_result *whole = run_ok("export", export_spec(both, kinds[i]));
        test_host_new_job(&h);
        struct export_result *pieces = run_in_pieces("export", export_spec(both, kinds[i]));
        test_host_new_job(&h);
        assert_string_equal(whole->content_sha256, pieces->content_sha256);
        assert_true(whole->rows > 0 && whole->rows == pieces->rows && whole->bytes == pieces->bytes);
    }
}

static void test_quantiles_are_those_of_the_sorted_rows(void **state)
{
    (void)state;
    struct error e;
    struct dataset *d;
    struct feature_rows rows;
    assert_int_equal(dataset_open(test_host_artifact(&h, train), &d, &e), STATUS_OK);
    feature_rows_init(&rows);
    assert_int_equal(dataset_read_features(d, false, &rows, &e), STATUS_OK);
    const struct feature_quantiles *q = dataset_manifest(d)->quantiles.items;
    assert_int_equal(dataset_manifest(d)->quantiles.n_items, HLF_COUNT);
    for (size_t f = 0; f < HLF_COUNT; f++) {
        const double at[] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};
        const double got[] = {q[f].p01, q[f].p05, q[f].p25, q[f].p50, q[f].p75, q[f].p95, q[f].p99};
        for (size_t k = 0; k < ARRAY_LEN(at); k++) {
            size_t below = 0, not_above = 0;           /* of the rank ceil(p n), counted from 1 */
            for (size_t i = 0; i < rows.n; i++) {
                below += (double)rows.hlf[i * HLF_COUNT + f] < got[k];
                not_above += (double)rows.hlf[i * HLF_COUNT + f] <= got[k];
            }
            double rank = at[k] * (double)rows.n;
            assert_true((double)below < rank && (double)not_above >= rank);
        }
    }
    const struct class_correlations *c = dataset_manifest(d)->correlations.items;
    const double *m = c[0].matrix.items;
    for (size_t i = 0; i < HLF_COUNT * HLF_COUNT; i++)
        assert_true(m[i] >= -1 && m[i] <= 1 && m[i] == m[i % HLF_COUNT * HLF_COUNT + i / HLF_COUNT]);
    feature_rows_fini(&rows);
    dataset_close(d);
}

/* A limit on the size of files stands in for a full disk: a write fails, and works again when there is room. */
static void test_a_full_disk_leaves_nothing_and_works_again_later(void **state)
{
    (void)state;
    struct rlimit before, small;
    struct error e = {0};
    void *result;
    const struct {
        const char *kind, *spec;
    } jobs[] = {{"export", export_spec(train, "format = npy\nwhat = both\n")},
                {"export", export_spec(train, "what = both\ncompression = none\n")},
                {"features", export_spec(events, "")}};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        size_t published = h.n_artifacts;
        small = before;
        small.rlim_cur = 100000;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        enum status s = test_host_run(&h, &arena, jobs[i].kind, jobs[i].spec, &result, &e);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_true(s == STATUS_NOSPACE || s == STATUS_IO);
        assert_true(e.text[0] != '\0');
        assert_int_equal(h.n_artifacts, published);
        run_ok(jobs[i].kind, jobs[i].spec);            /* the same job, gone on with */
        assert_true(h.n_artifacts > published);
        test_host_new_job(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_import_in_pieces_is_the_dataset_of_one_at_once),
        cmocka_unit_test(test_an_export_in_pieces_has_the_bytes_of_one_at_once),
        cmocka_unit_test(test_quantiles_are_those_of_the_sorted_rows),
        cmocka_unit_test(test_a_full_disk_leaves_nothing_and_works_again_later),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
