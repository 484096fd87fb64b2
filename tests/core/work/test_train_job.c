/* tests/core/work/test_train_job.c
 *
 * Job kind train: what it reads, when it ends, what it tells; killed behind any epoch it goes on with the same bits. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"
#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

#define SAMPLE "tests/fixtures/sample/"

static struct arena arena;
static struct test_host host;
static struct features_result *with_rows, *without_rows, *other;

static void *run_ok(const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    test_host_new_job(&host);
    if (test_host_run(&host, &arena, kind, spec, &result, &e) != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

static void run_fails(const char *spec, enum status expected, const char *why)
{
    struct error e = {0};
    void *result;
    test_host_new_job(&host);
    assert_status(test_host_run(&host, &arena, "train", spec, &result, &e), expected, &e);
    assert_contains(e.text, why);
}

/* Stops after every unit; only what a killed process leaves survives. */
static struct train_result *run_in_pieces(const char *spec)
{
    struct error e = {0};
    void *result;
    test_host_new_job(&host);
    host.stop_after = 1;
    for (int attempt = 0; attempt < 100; attempt++) {
        enum status s = test_host_run(&host, &arena, "train", spec, &result, &e);
        if (s == STATUS_OK) {
            host.stop_after = 0;
            return result;
        }
        if (s != STATUS_CANCELLED)
            fail_msg("train: %s", e.text);
    }
    fail_msg("train: never ended");
    return NULL;
}

static const char *spec_of(const struct features_result *f, const char *more)
{
    return arena_printf(&arena, "dataset = \"%s\"\n%s", f->dataset_id, more);
}

static void test_a_killed_fit_goes_on_with_the_same_bits_whatever_it_does(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "params.optimizer = sgd\nparams.nesterov = true\nparams.learning_rate = 0.05\nparams.schedule = cosine\n"
        "params.warmup_steps = 5\nparams.epochs = 4\n",
        "params.schedule = plateau\nparams.schedule_epochs = 1\nparams.learning_rate = 0.02\nparams.epochs = 9\n"
        "params.patience = 2\nparams.monitor = val_auc\nparams.weight_decay = 0.1\nparams.clip_norm = 0.5\n",
        "params.shuffle_rows = 100\nparams.epochs = 3\nparams.schedule = step\nparams.schedule_epochs = 1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct train_result *whole = run_ok("train", spec_of(without_rows, ways[i]));
        struct train_result *pieces = run_in_pieces(spec_of(without_rows, ways[i]));
        assert_string_equal(whole->sha256, pieces->sha256);
        assert_int_equal(whole->epochs, pieces->epochs);
        assert_int_equal(whole->best_epoch, pieces->best_epoch);
        assert_true(pieces->seconds > 0 && pieces->events_per_second > 0);
    }
}

static void test_a_fit_that_ends_early_says_why_and_keeps_its_best_epoch(void **state)
{
    (void)state;
    struct train_result *r = run_ok("train", spec_of(without_rows, "params.epochs = 60\nparams.patience = 2\n"
                                                                   "params.learning_rate = 0.05\n"));
    assert_true(r->stopped_early);
    assert_int_equal(r->epochs, r->best_epoch + 2);
    assert_true(r->epochs < 60);
    assert_contains(r->stop_reason, "val_loss has not gained");
    assert_contains(r->stop_reason, "patience is 2");
    struct train_result *cut = run_ok("train", spec_of(without_rows, arena_printf(&arena, "params.epochs = %lld\n"
                                                                                  "params.learning_rate = 0.05\n",
                                                                                  (long long)r->best_epoch)));
    assert_true(cut->val_loss == r->val_loss && cut->train_loss == r->train_loss);
    assert_false(cut->stopped_early);
    assert_null(cut->stop_reason);
    assert_int_equal(cut->best_epoch, 0);
}

static void test_a_validation_dataset_must_be_of_the_same_make(void **state)
{
    (void)state;
    struct train_result *r = run_ok("train", spec_of(without_rows, arena_printf(&arena, "validation_dataset = \"%s\"\n"
                                                                                "params.epochs = 2\n",
                                                                                without_rows->test_dataset_id)));
    assert_true(isfinite(r->val_loss));
    run_fails(spec_of(without_rows, arena_printf(&arena, "validation_dataset = \"%s\"\n", without_rows->dataset_id)),
              STATUS_ARGUMENT, "is the one that is trained on");
    run_fails(spec_of(without_rows, arena_printf(&arena, "validation_dataset = \"%s\"\n", other->test_dataset_id)),
              STATUS_ARGUMENT, "another recipe");
    run_fails(spec_of(with_rows, arena_printf(&arena, "model = \"inclusive\"\nvalidation_dataset = \"%s\"\n",
                                              without_rows->test_dataset_id)), STATUS_ARGUMENT, "sequences: true");
    run_fails(spec_of(without_rows, "validation_dataset = \"ds_none\"\n"), STATUS_NOTFOUND, "ds_none");
    run_fails(spec_of(without_rows, "params.validation_fraction = 0\nparams.patience = 3\n"), STATUS_ARGUMENT, "patience");
    run_fails(spec_of(without_rows, "params.class_weights = custom\nparams.class_weight[\"top\"] = 2\n"),
              STATUS_ARGUMENT, "there are qcd, tt");
}

/* Rows that do not fit are streamed: the same rows are held out, and what is learned is as good. */
static void test_rows_beyond_the_limit_are_streamed(void **state)
{
    (void)state;
    static const char *const params = "model = \"inclusive\"\nparams.units = 6\nparams.epochs = 2\nparams.batch_size = 32\n"
                                      "params.learning_rate = 0.01\n";
    struct train_result *memory = run_ok("train", spec_of(with_rows, params));
    struct train_result *disk = run_ok("train", spec_of(with_rows, arena_printf(&arena, "%sparams.memory_limit_mb = 1\n",
                                                                               params)));
    struct train_result *again = run_in_pieces(spec_of(with_rows, arena_printf(&arena, "%sparams.memory_limit_mb = 1\n",
                                                                              params)));
    assert_int_equal(memory->packed_bytes, 0);
    assert_true(disk->packed_bytes > 2 << 20);
    assert_true(disk->parameter_bytes == memory->parameter_bytes && disk->optimizer_bytes == 2 * disk->parameter_bytes);
    assert_true(disk->workspace_bytes > 0);
    assert_string_equal(disk->sha256, again->sha256);
    assert_true(fabs(disk->val_loss - memory->val_loss) < 0.3);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 28);
    test_host_init(&host, 2);
    struct ingest_result *in = run_ok("ingest", "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
                                                "inputs[1].path = \"" SAMPLE "ttbar.root\"\ninputs[1].label = \"tt\"\n");
    with_rows = run_ok("features", arena_printf(&arena, "dataset = \"%s\"\nsequences = true\n", in->dataset_id));
    without_rows = run_ok("features", arena_printf(&arena, "dataset = \"%s\"\nsequences = false\n", in->dataset_id));
    other = run_ok("features", arena_printf(&arena, "dataset = \"%s\"\nsequences = false\nrecipe = \"sparkdltrigger-1\"\n",
                                            in->dataset_id));
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
        cmocka_unit_test(test_a_killed_fit_goes_on_with_the_same_bits_whatever_it_does),
        cmocka_unit_test(test_a_fit_that_ends_early_says_why_and_keeps_its_best_epoch),
        cmocka_unit_test(test_a_validation_dataset_must_be_of_the_same_make),
        cmocka_unit_test(test_rows_beyond_the_limit_are_streamed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
