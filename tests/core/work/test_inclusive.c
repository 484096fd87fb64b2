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

static void train_and_evaluate(struct test_host *h, const struct features_result *f, const char *model)
{
    struct train_result *tr = run_ok(h, "train", arena_printf(&arena, "dataset = \"%s\"\n%s", f->dataset_id, model));
    struct evaluate_result *ev = run_ok(h, "evaluate", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"net\"\n",
                                                                    f->test_dataset_id));
    assert_int_equal(tr->epochs, 2);
    assert_int_equal(ev->n_events, f->test_events);
    assert_true(ev->auc_macro > 0.6);
}

static void test_the_transformer_and_a_declared_network_learn_and_are_evaluated(void **state)
{
    (void)state;
    struct test_host h;
    test_host_init(&h, 2);
    struct ingest_result *in = run_ok(&h, "ingest",
                                      "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
                                      "inputs[1].path = \"" SAMPLE "ttbar.root\"\ninputs[1].label = \"tt\"\n"
                                      "cuts.track_pt = 2\ncuts.photon_et = 3\ncuts.neutral_et = 3\n");
    struct features_result *f = features(&h, in->dataset_id, "true");
    const char *common = "register_as = \"net\"\nparams.epochs = 2\nparams.batch_size = 16\n"
                         "params.learning_rate = 0.005\n";
    train_and_evaluate(&h, f, arena_printf(&arena, "model = \"inclusive-transformer\"\n%s", common));
    train_and_evaluate(&h, f, arena_printf(&arena, "model = \"inclusive\"\n%s"
                                           "params.layers[0].kind = dense\nparams.layers[0].units = 6\n"
                                           "params.layers[0].inputs[0] = \"particles\"\n"
                                           "params.layers[0].activation = relu\n"
                                           "params.layers[1].kind = mean_pool\nparams.layers[1].name = \"mean\"\n"
                                           "params.layers[2].kind = concatenate\n"
                                           "params.layers[2].inputs[0] = \"hlf\"\n"
                                           "params.layers[2].inputs[1] = \"mean\"\n"
                                           "params.layers[3].kind = dense\n", common));
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
        cmocka_unit_test(test_the_transformer_and_a_declared_network_learn_and_are_evaluated),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
