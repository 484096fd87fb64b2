/* The chain ingest -> features -> train -> evaluate on the simulated sample, without a server. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SAMPLE "tests/fixtures/sample/"

static const char ingest_all[] =
    "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
    "inputs[1].path = \"" SAMPLE "qcd_2.root\"\ninputs[1].label = \"qcd\"\n"
    "inputs[2].path = \"" SAMPLE "ttbar.root\"\ninputs[2].label = \"tt\"\n"
    "inputs[3].path = \"" SAMPLE "wlnu.root\"\ninputs[3].label = \"wjets\"\n";

static struct arena arena;

static void *run_ok(struct test_host *h, const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    if (test_host_run(h, &arena, kind, spec, &result, &e) != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

static struct error run_fails(struct test_host *h, const char *kind, const char *spec, enum status expected)
{
    struct error e = {0};
    void *result;
    enum status s = test_host_run(h, &arena, kind, spec, &result, &e);
    if (s != expected)
        fail_msg("%s: %s (%s), %s expected", kind, status_name(s), e.text, status_name(expected));
    assert_int_equal(folder_count(h->folder), 1);       /* the work folder: nothing was published */
    return e;
}

static const char *content_of(struct test_host *h, const char *id)
{
    struct error e;
    struct dataset *d;
    assert_int_equal(dataset_open(test_host_artifact(h, id), &d, &e), STATUS_OK);
    const char *sha = arena_strdup(&arena, dataset_manifest(d)->content_sha256);
    dataset_close(d);
    return sha;
}

static int64_t flow(const struct field_list *list, const char *reason, const char *label)
{
    const struct cut_row *rows = list->items;
    int64_t sum = 0;
    for (size_t i = 0; i < list->n_items; i++)
        if (strcmp(rows[i].reason, reason) == 0 && (!label || strcmp(rows[i].label, label) == 0))
            sum += rows[i].events;
    return sum;
}

static const char *features_spec(const char *dataset, const char *more)
{
    return arena_printf(&arena, "dataset = \"%s\"\n%s", dataset, more);
}

/* ---- tests ------------------------------------------------------------------------------------------------ */

static void test_the_chain_ends_in_a_classifier_far_better_than_chance(void **state)
{
    (void)state;
    struct test_host h;
    test_host_init(&h, 2);
    struct ingest_result *in = run_ok(&h, "ingest", ingest_all);
    assert_int_equal(in->events_read, 327 + 327 + 500 + 450);
    assert_int_equal(flow(&in->cut_flow, "read", NULL), in->events_read);
    assert_int_equal(flow(&in->cut_flow, "kept", NULL) + flow(&in->cut_flow, "no_lepton_above_pt", NULL),
                     in->events_read);
    assert_int_equal(flow(&in->cut_flow, "no_lepton_above_pt", NULL), 138);     /* the reference's reasons */

    test_host_new_job(&h);
    struct features_result *ft = run_ok(&h, "features", features_spec(in->dataset_id, "split.seed = 42\n"));
    assert_int_equal(ft->events_selected, 1280);
    assert_int_equal(flow(&ft->cut_flow, "no_isolated_lepton", NULL), 186);
    assert_int_equal(flow(&ft->cut_flow, "balance", NULL) + ft->train_events + ft->test_events, ft->events_selected);
    assert_int_equal(flow(&ft->cut_flow, "train", "qcd"), flow(&ft->cut_flow, "train", "wjets"));

    test_host_new_job(&h);
    struct train_result *tr = run_ok(&h, "train", arena_printf(&arena, "dataset = \"%s\"\nregister_as = \"topology\"\n"
                                                               "params.epochs = 30\nparams.seed = 1\n", ft->dataset_id));
    assert_int_equal(tr->epochs, 30);
    assert_true(tr->train_loss < 0.6);

    test_host_new_job(&h);
    struct evaluate_result *ev = run_ok(&h, "evaluate", arena_printf(&arena, "dataset = \"%s\"\nmodel = \"topology\"\n",
                                                                     ft->test_dataset_id));
    assert_int_equal(ev->n_events, ft->test_events);
    assert_true(ev->auc_macro > 0.93);
    assert_int_equal(ev->working_points.n_items, 3);
    test_host_fini(&h);
}

static void test_one_thread_and_eight_give_the_same_bytes(void **state)
{
    (void)state;
    const char *events[2], *train[2], *test[2];
    for (int i = 0; i < 2; i++) {
        struct test_host h;
        test_host_init(&h, i == 0 ? 1 : 8);
        struct ingest_result *in = run_ok(&h, "ingest", ingest_all);
        events[i] = content_of(&h, in->dataset_id);
        test_host_new_job(&h);
        struct features_result *ft = run_ok(&h, "features", features_spec(in->dataset_id, ""));
        train[i] = content_of(&h, ft->dataset_id);
        test[i] = content_of(&h, ft->test_dataset_id);
        test_host_fini(&h);
    }
    assert_string_equal(events[0], events[1]);
    assert_string_equal(train[0], train[1]);
    assert_string_equal(test[0], test[1]);
}

/* Stops after every unit in turn; the work folder and the committed units are all that survives. */
static void *run_in_pieces(struct test_host *h, const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    h->stop_after = 1;
    for (int attempt = 0; attempt < 100; attempt++) {
        enum status s = test_host_run(h, &arena, kind, spec, &result, &e);
        if (s == STATUS_OK)
            return result;
        if (s != STATUS_CANCELLED)
            fail_msg("%s: %s", kind, e.text);
    }
    fail_msg("%s: never ended", kind);
    return NULL;
}

static void test_a_job_resumed_after_each_unit_gives_the_same_bytes_as_an_uninterrupted_one(void **state)
{
    (void)state;
    const char *train[2], *model[2];
    for (int i = 0; i < 2; i++) {
        void *(*run)(struct test_host *, const char *, const char *) = i == 0 ? run_ok : run_in_pieces;
        struct test_host h;
        test_host_init(&h, 2);
        struct ingest_result *in = run(&h, "ingest", ingest_all);
        test_host_new_job(&h);
        struct features_result *ft = run(&h, "features", features_spec(in->dataset_id, ""));
        train[i] = content_of(&h, ft->dataset_id);
        test_host_new_job(&h);
        struct train_result *tr = run(&h, "train", arena_printf(&arena, "dataset = \"%s\"\nparams.epochs = 4\n",
                                                                ft->dataset_id));
        model[i] = arena_strdup(&arena, tr->sha256);
        test_host_fini(&h);
    }
    assert_string_equal(train[0], train[1]);
    assert_string_equal(model[0], model[1]);
}

static void test_cancel_is_seen_within_a_batch_of_every_job_kind(void **state)
{
    (void)state;
    struct test_host h;
    struct error e = {0};
    void *result;
    test_host_init(&h, 2);
    h.cancel_after_polls = 3;
    assert_int_equal(test_host_run(&h, &arena, "ingest", ingest_all, &result, &e), STATUS_CANCELLED);
    assert_in_range(h.polls_after_cancel, 1, 4);
    assert_int_equal(h.n_artifacts, 0);

    test_host_new_job(&h);
    struct ingest_result *in = run_ok(&h, "ingest", ingest_all);
    size_t published = h.n_artifacts;
    test_host_new_job(&h);
    h.cancel_after_polls = 5;
    assert_int_equal(test_host_run(&h, &arena, "features", features_spec(in->dataset_id, ""), &result, &e),
                     STATUS_CANCELLED);
    assert_in_range(h.polls_after_cancel, 1, 4);
    assert_int_equal(h.n_artifacts, published);
    test_host_fini(&h);
}

static void test_another_seed_gives_another_split_and_the_same_seed_the_same(void **state)
{
    (void)state;
    struct test_host h;
    test_host_init(&h, 2);
    struct ingest_result *in = run_ok(&h, "ingest", ingest_all);
    const char *sha[3];
    const char *seeds[] = {"split.seed = 7\nsequences = false\n", "split.seed = 7\nsequences = false\n",
                           "split.seed = 8\nsequences = false\n"};
    for (int i = 0; i < 3; i++) {
        test_host_new_job(&h);
        struct features_result *ft = run_ok(&h, "features", features_spec(in->dataset_id, seeds[i]));
        sha[i] = content_of(&h, ft->dataset_id);
    }
    assert_string_equal(sha[0], sha[1]);
    assert_string_not_equal(sha[0], sha[2]);
    test_host_fini(&h);
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_no_event_is_in_both_parts_and_none_twice(void **state)
{
    (void)state;
    struct test_host h;
    struct error e;
    test_host_init(&h, 2);
    struct ingest_result *in = run_ok(&h, "ingest", ingest_all);
    test_host_new_job(&h);
    struct features_result *ft = run_ok(&h, "features", features_spec(in->dataset_id, "split.method = event_hash\n"
                                                                      "split.test = 0.3\n"));
    int64_t keys[4000];
    size_t n = 0;
    const char *ids[] = {ft->dataset_id, ft->test_dataset_id};
    for (int side = 0; side < 2; side++) {
        struct dataset *d;
        struct feature_rows rows;
        feature_rows_init(&rows);
        assert_int_equal(dataset_open(test_host_artifact(&h, ids[side]), &d, &e), STATUS_OK);
        assert_int_equal(dataset_verify(d, &e), STATUS_OK);
        assert_int_equal(dataset_read_features(d, true, &rows, &e), STATUS_OK);
        for (size_t i = 0; i < rows.n; i++) {
            assert_true(rows.row_first[i + 1] > rows.row_first[i]);
            keys[n++] = rows.source[i] * 1000000 + rows.entry[i];
        }
        feature_rows_fini(&rows);
        dataset_close(d);
    }
    assert_int_equal(n, ft->train_events + ft->test_events);
    qsort(keys, n, sizeof *keys, compare_i64);
    for (size_t i = 1; i < n; i++)
        assert_true(keys[i] != keys[i - 1]);
    test_host_fini(&h);
}

static void test_bad_input_is_told_apart_and_leaves_nothing_visible(void **state)
{
    (void)state;
    struct test_host h;
    test_host_init(&h, 1);
    struct error e = run_fails(&h, "ingest", "inputs[0].path = \"tests/fixtures/none.root\"\ninputs[0].label = \"a\"\n",
                               STATUS_NOTFOUND);
    assert_non_null(strstr(e.text, "none.root"));
    e = run_fails(&h, "ingest", "inputs[0].path = \"LICENSE\"\ninputs[0].label = \"a\"\n", STATUS_FORMAT);
    assert_non_null(strstr(e.text, "not a ROOT file"));
    e = run_fails(&h, "ingest", "inputs[0].path = \"" SAMPLE "wlnu.root\"\ninputs[0].label = \"a\"\ntree = \"Nope\"\n",
                  STATUS_NOTFOUND);
    assert_non_null(strstr(e.text, "Delphes"));
    e = run_fails(&h, "ingest", "inputs[0].path = \"" SAMPLE "wlnu.root\"\ninputs[0].label = \"a\"\n"
                  "branches.photon = \"NoPhoton\"\nbranches.jet = \"NoJet\"\n", STATUS_NOTFOUND);
    assert_non_null(strstr(e.text, "NoPhoton"));
    assert_non_null(strstr(e.text, "NoJet"));
    e = run_fails(&h, "features", "dataset = \"ds_none\"\n", STATUS_NOTFOUND);
    e = run_fails(&h, "features", "dataset = \"ds_none\"\nrecipe = \"topology-9\"\n", STATUS_ARGUMENT);
    assert_non_null(strstr(e.text, "topology-9"));
    e = run_fails(&h, "train", "dataset = \"ds_none\"\nregister_as = \"..\"\n", STATUS_ARGUMENT);
    assert_non_null(strstr(e.text, "/register_as"));
    test_host_fini(&h);
    /* Cuts that nothing passes: the file is read, and the error says which spec member to change. */
    test_host_init(&h, 1);
    e = run_fails(&h, "ingest", "inputs[0].path = \"" SAMPLE "wlnu.root\"\ninputs[0].label = \"a\"\n"
                  "cuts.electron_pt = 9000\ncuts.muon_pt = 9000\n", STATUS_ARGUMENT);
    assert_non_null(strstr(e.text, "no event"));
    test_host_fini(&h);
}

static void test_a_model_refuses_a_dataset_of_another_recipe(void **state)
{
    (void)state;
    struct test_host h;
    struct error e = {0};
    void *result;
    test_host_init(&h, 2);
    struct ingest_result *in = run_ok(&h, "ingest", ingest_all);
    test_host_new_job(&h);
    struct features_result *ft = run_ok(&h, "features", features_spec(in->dataset_id, "sequences = false\n"));
    test_host_new_job(&h);
    run_ok(&h, "train", arena_printf(&arena, "dataset = \"%s\"\nregister_as = \"m\"\nparams.epochs = 1\n", ft->dataset_id));
    test_host_new_job(&h);
    struct features_result *old = run_ok(&h, "features", features_spec(in->dataset_id, "recipe = \"sparkdltrigger-1\"\n"
                                                                       "sequences = false\n"));
    test_host_new_job(&h);
    const char *spec = arena_printf(&arena, "dataset = \"%s\"\nmodel = \"m\"\n", old->test_dataset_id);
    assert_int_equal(test_host_run(&h, &arena, "evaluate", spec, &result, &e), STATUS_ARGUMENT);
    assert_non_null(strstr(e.text, "topology-1"));
    assert_non_null(strstr(e.text, "sparkdltrigger-1"));
    test_host_new_job(&h);
    spec = arena_printf(&arena, "dataset = \"%s\"\nmodel = \"m\"\n", in->dataset_id);
    assert_int_equal(test_host_run(&h, &arena, "evaluate", spec, &result, &e), STATUS_ARGUMENT);
    assert_non_null(strstr(e.text, "holds events"));
    test_host_fini(&h);
}

static void test_a_changed_manifest_and_a_changed_part_are_noticed(void **state)
{
    (void)state;
    struct test_host h;
    struct error e;
    struct dataset *d;
    test_host_init(&h, 1);
    struct ingest_result *in = run_ok(&h, "ingest", "inputs[0].path = \"" SAMPLE "wlnu.root\"\ninputs[0].label = \"w\"\n");
    const char *folder = test_host_artifact(&h, in->dataset_id);
    FILE *f = fopen(path_in(folder, "part-00000.parquet"), "r+b");
    assert_non_null(f);
    fseek(f, 5000, SEEK_SET);
    int c = fgetc(f);
    fseek(f, 5000, SEEK_SET);
    fputc(c ^ 1, f);
    fclose(f);
    assert_int_equal(dataset_open(folder, &d, &e), STATUS_OK);
    assert_int_equal(dataset_verify(d, &e), STATUS_FORMAT);
    dataset_close(d);
    f = fopen(path_in(folder, MANIFEST_FILE), "r+b");
    assert_non_null(f);
    fseek(f, 20, SEEK_SET);
    fputc('7', f);
    fclose(f);
    assert_int_equal(dataset_open(folder, &d, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "checksum"));
    assert_int_equal(unlink(path_in(folder, MANIFEST_FILE)), 0);
    assert_int_equal(dataset_open(folder, &d, &e), STATUS_NOTFOUND);
    assert_non_null(strstr(e.text, in->dataset_id));
    test_host_fini(&h);
}

int main(void)
{
    arena_init(&arena, (size_t)1 << 30);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_chain_ends_in_a_classifier_far_better_than_chance),
        cmocka_unit_test(test_one_thread_and_eight_give_the_same_bytes),
        cmocka_unit_test(test_a_job_resumed_after_each_unit_gives_the_same_bytes_as_an_uninterrupted_one),
        cmocka_unit_test(test_cancel_is_seen_within_a_batch_of_every_job_kind),
        cmocka_unit_test(test_another_seed_gives_another_split_and_the_same_seed_the_same),
        cmocka_unit_test(test_no_event_is_in_both_parts_and_none_twice),
        cmocka_unit_test(test_bad_input_is_told_apart_and_leaves_nothing_visible),
        cmocka_unit_test(test_a_model_refuses_a_dataset_of_another_recipe),
        cmocka_unit_test(test_a_changed_manifest_and_a_changed_part_are_noticed),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return failed;
}
