/* tests/core/work/test_evaluate.c
 *
 * Job kind evaluate: parts scored unit by unit give the figures of all rows at once, also when the job is killed between
 * them; weights and every estimator. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"
#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

#define SAMPLE "tests/fixtures/sample/"

static struct arena arena;
static struct test_host host;
static struct features_result *sample;

static void *run_ok(const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    test_host_new_job(&host);
    if (test_host_run(&host, &arena, kind, spec, &result, &e) != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

static void train(const char *model, const char *more)
{
    run_ok("train", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"%s\"\nregister_as = \"%s\"\nparams.epochs = 1\n"
                                 "params.units = 6\nparams.batch_size = 32\n%s", sample->dataset_id, model, model, more));
}

static struct evaluation record_of(const struct evaluate_result *r)
{
    struct error e;
    struct evaluation_record record;
    assert_ok(evaluation_read(&arena, test_host_artifact(&host, r->evaluation_id), &record, &e), &e);
    return record.metrics;
}

static void test_every_estimator_is_evaluated(void **state)
{
    (void)state;
    for (size_t i = 0; estimator_names[i]; i++) {
        if (strcmp(estimator_names[i], "inclusive-transformer") == 0)
            continue;                                         /* seconds; test_inclusive.c evaluates one */
        train(estimator_names[i], "");
        struct evaluate_result *r = run_ok("evaluate", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"%s\"\n",
                                                                    sample->test_dataset_id, estimator_names[i]));
        assert_int_equal(r->n_events, sample->test_events);
        assert_true(r->auc_macro > 0.5 && r->auc_macro <= 1);
        assert_int_equal(r->auc.n_items, 2);
    }
}

enum { PARTS = 5, PART_ROWS = 60000 };

/* The sample's test part again and again, in parts, with weights of their own; published as ds_many. */
static void make_many(void)
{
    struct error e;
    struct dataset *d;
    struct feature_rows rows, part;
    static struct dataset_part parts[PARTS];
    const char *from = test_host_artifact(&host, sample->test_dataset_id), *folder = path_in(host.folder, "ds_many");
    feature_rows_init(&rows);
    feature_rows_init(&part);
    assert_ok(dataset_open(from, &d, &e), &e);
    assert_ok(dataset_read_features(d, false, &rows, &e), &e);
    assert_ok(file_make_folder(folder, &e), &e);
    struct manifest m = *dataset_manifest(d);
    struct rng r = rng_stream(1, 1);
    for (size_t p = 0; p < PARTS; p++) {
        struct features_writer *w;
        const char *file = arena_printf(&arena, "part-%05zu.parquet", p);
        int64_t n;
        feature_rows_clear(&part);
        for (size_t i = 0; i < PART_ROWS; i++)
            assert_ok(feature_rows_append(&part, &rows, (size_t)rng_below(&r, rows.n), &e), &e);
        for (size_t i = 0; i < PART_ROWS; i++)
            part.weight[i] = (float)(0.5 + rng_f64(&r));
        part.n_rows = 0;
        memset(part.row_first, 0, (PART_ROWS + 1) * sizeof *part.row_first);
        assert_ok(features_writer_create(path_in(folder, file), false, false, &w, &e), &e);
        assert_ok(features_write(w, &part, &e), &e);
        n = PART_ROWS;
        assert_ok(features_writer_finish(w, &n, &e), &e);
        assert_ok(dataset_part_describe(&arena, folder, file, n, &parts[p], &e), &e);
    }
    m.id = "ds_many";
    m.has_rows = false;
    m.parts = (struct field_list){parts, PARTS};
    assert_ok(manifest_write(folder, &m, &e), &e);
    struct test_artifact *a = &host.artifacts[host.n_artifacts++];
    text_copy(a->kind, sizeof a->kind, "dataset");
    text_copy(a->id, sizeof a->id, "ds_many");
    text_copy(a->folder, sizeof a->folder, folder);
    feature_rows_fini(&rows);
    feature_rows_fini(&part);
    dataset_close(d);
}

static void same(const struct evaluation *a, const struct evaluation *b)
{
    assert_true(a->loss == b->loss && a->accuracy == b->accuracy && a->auc_macro == b->auc_macro);
    assert_true(a->sum_weight == b->sum_weight && a->n_events == b->n_events);
}

static void test_a_job_killed_between_its_units_gives_the_same_figures(void **state)
{
    (void)state;
    struct error e = {0};
    void *result;
    make_many();
    train("hlf", "");
    const char *spec = "dataset = \"ds_many\"\nmodel = \"hlf\"\nevent_weights = true\n";
    struct evaluation whole = record_of(run_ok("evaluate", spec));
    assert_int_equal(whole.n_events, PARTS * PART_ROWS);
    assert_true(whole.weighted && fabs(whole.sum_weight / (PARTS * PART_ROWS) - 1) < 0.01);
    test_host_new_job(&host);
    host.stop_after = 1;
    int attempts = 1;
    enum status s = test_host_run(&host, &arena, "evaluate", spec, &result, &e);
    for (; s == STATUS_CANCELLED; attempts++)
        s = test_host_run(&host, &arena, "evaluate", spec, &result, &e);
    host.stop_after = 0;
    assert_int_equal(s, STATUS_OK);
    assert_true(attempts >= 4);                               /* 2 + 2 + 1 parts, and putting together */
    struct evaluation pieces = record_of(result);
    same(&whole, &pieces);
    struct evaluation plain = record_of(run_ok("evaluate", "dataset = \"ds_many\"\nmodel = \"hlf\"\n"));
    assert_true(!plain.weighted && plain.loss != whole.loss && fabs(plain.loss - whole.loss) < 0.01);
}

static void test_a_cancelled_evaluation_stops_soon_and_leaves_nothing(void **state)
{
    (void)state;
    struct error e = {0};
    void *result;
    size_t published = host.n_artifacts;
    test_host_new_job(&host);
    host.cancel_after_polls = host.polls + 4;
    host.polls_after_cancel = 0;
    assert_status(test_host_run(&host, &arena, "evaluate", "dataset = \"ds_many\"\nmodel = \"hlf\"\n", &result, &e),
                  STATUS_CANCELLED, &e);
    assert_true(host.polls_after_cancel <= 4);
    assert_int_equal(host.n_artifacts, published);
    host.cancel_after_polls = 0;
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 28);
    test_host_init(&host, 2);
    struct ingest_result *in = run_ok("ingest", "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
                                                "inputs[1].path = \"" SAMPLE "ttbar.root\"\ninputs[1].label = \"tt\"\n");
    sample = run_ok("features", arena_printf(&arena, "dataset = \"%s\"\nsequences = true\n", in->dataset_id));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_host_fini(&host);
    arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_estimator_is_evaluated),
        cmocka_unit_test(test_a_job_killed_between_its_units_gives_the_same_figures),
        cmocka_unit_test(test_a_cancelled_evaluation_stops_soon_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
