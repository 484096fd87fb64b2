/* tests/core/work/test_inclusive.c
 *
 * Classifiers over particle rows through the job kinds: datasets with rows, and without. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"
#include "tests/support/unit.h"

#include <string.h>

#define SAMPLE "tests/fixtures/sample/"

static struct arena arena;

static void *run_ok(struct test_host *h, const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    test_host_new_job(h);
    if (test_host_run(h, &arena, kind, spec, &result, &e) != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

static void assert_wants_rows(struct test_host *h, const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    test_host_new_job(h);
    assert_status(test_host_run(h, &arena, kind, spec, &result, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "sequences: true");
}

static struct features_result *features(struct test_host *h, const char *dataset, const char *sequences)
{
    return run_ok(h, "features", arena_printf(&arena, "dataset = \"%s\"\nsplit.seed = 42\nsequences = %s\n", dataset,
                                              sequences));
}

static void test_inclusive_learns_from_rows_and_says_what_is_missing_without(void **state)
{
    (void)state;
    struct test_host h;
    test_host_init(&h, 2);
    struct ingest_result *in = run_ok(&h, "ingest",
                                      "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
                                      "inputs[1].path = \"" SAMPLE "ttbar.root\"\ninputs[1].label = \"tt\"\n");
    struct features_result *with = features(&h, in->dataset_id, "true");
    struct features_result *without = features(&h, in->dataset_id, "false");
    const char *params = "model = \"inclusive\"\nregister_as = \"inc\"\nparams.epochs = 2\nparams.units = 8\n"
                         "params.batch_size = 16\nparams.learning_rate = 0.005\n";
    assert_wants_rows(&h, "train", arena_printf(&arena, "dataset = \"%s\"\n%s", without->dataset_id, params));
    struct train_result *tr = run_ok(&h, "train", arena_printf(&arena, "dataset = \"%s\"\n%s", with->dataset_id,
                                                               params));
    assert_int_equal(tr->epochs, 2);
    struct train_result *again = run_ok(&h, "train", arena_printf(&arena, "dataset = \"%s\"\n%s", with->dataset_id,
                                                                  params));
    assert_string_equal(tr->sha256, again->sha256);
    struct evaluate_result *ev = run_ok(&h, "evaluate", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"inc\"\n",
                                                                     with->test_dataset_id));
    assert_int_equal(ev->n_events, with->test_events);
    assert_true(ev->auc_macro > 0.7);
    assert_wants_rows(&h, "evaluate", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"inc\"\n",
                                                   without->test_dataset_id));
    test_host_fini(&h);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 28);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inclusive_learns_from_rows_and_says_what_is_missing_without),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
