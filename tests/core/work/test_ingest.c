/* What an ingest says of files that it cannot read and of classes that nature makes in other proportions. */
#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SAMPLE "tests/fixtures/sample/"

static struct arena arena;
static char *bad_files;                /* folder of the damaged copies */

static void *run_ok(struct test_host *h, const char *kind, const char *spec)
{
    struct error e = {0};
    void *result;
    test_host_new_job(h);
    if (test_host_run(h, &arena, kind, spec, &result, &e) != STATUS_OK)
        fail_msg("%s: %s", kind, e.text);
    return result;
}

static struct error run_fails(struct test_host *h, const char *kind, const char *spec, enum status expected)
{
    struct error e = {0};
    void *result;
    test_host_new_job(h);
    enum status s = test_host_run(h, &arena, kind, spec, &result, &e);
    if (s != expected)
        fail_msg("%s: %s (%s), %s expected", kind, status_name(s), e.text, status_name(expected));
    return e;
}

static const struct manifest *manifest_of(struct test_host *h, const char *id, struct dataset **d)
{
    struct error e;
    if (dataset_open(test_host_artifact(h, id), d, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return dataset_manifest(*d);
}

static void flow(const struct field_list *list, const char *reason, const char *label, int64_t *events, double *weight)
{
    const struct cut_row *rows = list->items;
    *events = 0;
    *weight = 0;
    for (size_t i = 0; i < list->n_items; i++)
        if ((strcmp(rows[i].reason, "read") == 0) == (strcmp(reason, "read") == 0) &&
            (strcmp(reason, "read") == 0 || strcmp(reason, "*") == 0 || strcmp(rows[i].reason, reason) == 0) &&
            strcmp(rows[i].label, label) == 0) {
            *events += rows[i].events;
            *weight += rows[i].weight;
        }
}

/* What came in of a class is what its other rows add up to, in events and in weights. */
static void assert_closed(const struct field_list *list, const char *label)
{
    int64_t in, out;
    double weight_in, weight_out;
    flow(list, "read", label, &in, &weight_in);
    flow(list, "*", label, &out, &weight_out);
    assert_true(in > 0);
    assert_int_equal(in, out);
    assert_true(fabs(weight_in - weight_out) <= 1e-9 * fabs(weight_in));
}

/* wlnu.root with its last bytes gone, and with zeros where baskets were. */
static int make_bad_files(void **state)
{
    (void)state;
    struct error e;
    struct buf b;
    arena_init(&arena, 64 << 20);
    bad_files = temp_folder_create();
    buf_init(&b, 64 << 20);
    check(file_read(SAMPLE "wlnu.root", &b, &e) == STATUS_OK);
    check(file_write_atomic(path_in(bad_files, "cut.root"), b.data, b.len / 2, &e) == STATUS_OK);
    memset(b.data + b.len / 4, 0, b.len / 2);
    check(file_write_atomic(path_in(bad_files, "holes.root"), b.data, b.len, &e) == STATUS_OK);
    buf_fini(&b);
    return 0;
}

static int remove_bad_files(void **state)
{
    (void)state;
    temp_folder_remove(bad_files);
    arena_fini(&arena);
    return 0;
}

static const char *spec_with_bad_files(const char *on_bad_file)
{
    return arena_printf(&arena, "inputs[0].path = \"" SAMPLE "ttbar.root\"\ninputs[0].label = \"tt\"\n"
                        "inputs[1].path = \"%s/cut.root\"\ninputs[1].label = \"wjets\"\n"
                        "inputs[2].path = \"%s/holes.root\"\ninputs[2].label = \"wjets\"\n"
                        "inputs[3].path = \"" SAMPLE "wlnu.root\"\ninputs[3].label = \"wjets\"\n%s",
                        bad_files, bad_files, on_bad_file);
}

static void test_tree_cycle_and_branches_come_from_the_job(void **state)
{
    (void)state;
    static const char input[] = "inputs[0].path = \"" SAMPLE "ttbar.root\"\ninputs[0].label = \"tt\"\n";
    static const char *const more[] = {"", "tree = \"Delphes;1\"\n",
                                       "branches.muon = \"MuonTight\"\nbranches.track = \"EFlowTrack\"\n"};
    struct error e;
    char content[65] = "";
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        struct test_host h;
        struct dataset *d;
        test_host_init(&h, 2);
        struct ingest_result *in = run_ok(&h, "ingest", arena_printf(&arena, "%s%s", input, more[i]));
        assert_int_equal(dataset_open(test_host_artifact(&h, in->dataset_id), &d, &e), STATUS_OK);
        if (i == 0)
            text_copy(content, sizeof content, dataset_manifest(d)->content_sha256);
        assert_string_equal(dataset_manifest(d)->content_sha256, content);
        dataset_close(d);
        test_host_fini(&h);
    }
    struct test_host h;
    test_host_init(&h, 2);
    e = run_fails(&h, "ingest", arena_printf(&arena, "%stree = \"Delphes;9\"\n", input), STATUS_NOTFOUND);
    assert_non_null(strstr(e.text, "no tree Delphes;9; the file has: Delphes"));
    test_host_fini(&h);
    test_host_init(&h, 2);
    e = run_fails(&h, "ingest",
                  arena_printf(&arena, "%sbranches.muon = \"Muons\"\nbranches.jet = \"Jets\"\n", input),
                  STATUS_NOTFOUND);
    assert_non_null(strstr(e.text, "no branch Muons, Jets"));
    assert_non_null(strstr(e.text, "it has: Event, EFlowTrack"));
    test_host_fini(&h);
}

static void test_a_bad_file_fails_the_job_unless_it_says_otherwise(void **state)
{
    (void)state;
    struct test_host h;
    test_host_init(&h, 2);
    struct error e = run_fails(&h, "ingest", spec_with_bad_files(""), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "cut.root"));
    assert_int_equal(h.n_artifacts, 0);
    test_host_fini(&h);
}

static void test_skipped_files_are_listed_with_reason_and_events_lost_and_the_cut_flow_closes(void **state)
{
    (void)state;
    for (int quarantine = 0; quarantine < 2; quarantine++) {
        struct test_host h;
        struct dataset *d;
        char sha[65];
        int64_t bytes, lost;
        double lost_weight;
        struct error e;
        test_host_init(&h, 2);
        struct ingest_result *in = run_ok(&h, "ingest", spec_with_bad_files(quarantine ? "on_bad_file = quarantine\n"
                                                                                       : "on_bad_file = skip\n"));
        assert_int_equal(in->files_skipped, 2);
        assert_int_equal(in->events_lost, 450);
        assert_int_equal(in->events_read, 500 + 450 + 450);
        assert_int_equal(in->files.n_items, 2);
        const struct skipped_file *skipped = in->skipped_files.items;
        assert_non_null(strstr(skipped[0].path, "cut.root"));
        assert_int_equal(skipped[0].events_lost, -1);
        assert_true(skipped[0].bytes > 0);
        assert_non_null(strstr(skipped[1].path, "holes.root"));
        assert_string_equal(skipped[1].label, "wjets");
        assert_int_equal(skipped[1].events_lost, 450);
        assert_non_null(strstr(skipped[1].reason, "holes.root"));
        assert_int_equal(sha256_file_hex(path_in(bad_files, "holes.root"), sha, &bytes, &e), STATUS_OK);
        assert_int_equal(skipped[1].bytes, bytes);
        if (quarantine)
            assert_string_equal(skipped[1].sha256, sha);
        else
            assert_null(skipped[1].sha256);
        assert_closed(&in->cut_flow, "tt");
        assert_closed(&in->cut_flow, "wjets");
        flow(&in->cut_flow, "bad_file", "wjets", &lost, &lost_weight);
        assert_int_equal(lost, 450);

        const struct manifest *m = manifest_of(&h, in->dataset_id, &d);
        assert_int_equal(m->skipped_files.n_items, 2);
        assert_int_equal(m->sources.n_items, 2);
        assert_int_equal(m->rows, in->events_kept);
        const struct dataset_part *parts = m->parts.items;
        const struct dataset_source *sources = m->sources.items;
        assert_int_equal(m->parts.n_items, 2);
        assert_non_null(strstr(sources[parts[1].source].path, "wlnu.root"));
        assert_int_equal(dataset_verify(d, &e), STATUS_OK);
        dataset_close(d);
        assert_int_equal(folder_count(test_host_artifact(&h, in->dataset_id)), 3);     /* two parts, the manifest */
        test_host_fini(&h);
    }
}

static const char *content_of(struct test_host *h, const char *id)
{
    struct dataset *d;
    const char *sha = arena_strdup(&arena, manifest_of(h, id, &d)->content_sha256);
    dataset_close(d);
    return sha;
}

static void test_skipping_gives_the_same_bytes_with_any_number_of_threads_and_after_stops(void **state)
{
    (void)state;
    const char *sha[3];
    for (int i = 0; i < 3; i++) {
        struct test_host h;
        struct error e = {0};
        void *result = NULL;
        test_host_init(&h, i == 1 ? 8 : 1);
        test_host_new_job(&h);
        h.stop_after = i == 2;
        enum status s = STATUS_CANCELLED;
        for (int attempt = 0; attempt < 20 && s == STATUS_CANCELLED; attempt++)
            s = test_host_run(&h, &arena, "ingest", spec_with_bad_files("on_bad_file = skip\n"), &result, &e);
        assert_int_equal(s, STATUS_OK);
        sha[i] = content_of(&h, ((struct ingest_result *)result)->dataset_id);
        test_host_fini(&h);
    }
    assert_string_equal(sha[0], sha[1]);
    assert_string_equal(sha[0], sha[2]);
}

static void test_when_every_file_is_bad_the_job_fails_with_the_first_reason(void **state)
{
    (void)state;
    struct test_host h;
    test_host_init(&h, 1);
    const char *spec = arena_printf(&arena, "inputs[0].path = \"%s/holes.root\"\ninputs[0].label = \"a\"\n"
                                    "on_bad_file = skip\n", bad_files);
    struct error e = run_fails(&h, "ingest", spec, STATUS_FORMAT);
    assert_non_null(strstr(e.text, "holes.root"));
    assert_int_equal(h.n_artifacts, 0);
    test_host_fini(&h);
}

/* ---- natural fractions ------------------------------------------------------------------------------------- */

static const char three_classes[] =
    "inputs[0].path = \"" SAMPLE "qcd_1.root\"\ninputs[0].label = \"qcd\"\n"
    "inputs[1].path = \"" SAMPLE "qcd_2.root\"\ninputs[1].label = \"qcd\"\n"
    "inputs[2].path = \"" SAMPLE "ttbar.root\"\ninputs[2].label = \"tt\"\n"
    "inputs[3].path = \"" SAMPLE "wlnu.root\"\ninputs[3].label = \"wjets\"\n";

static const char *with_fractions(const char *fractions)
{
    return arena_printf(&arena, "%s%s", three_classes, fractions);
}

static const char published[] = "natural_fractions[\"wjets\"] = 0.634\nnatural_fractions[\"qcd\"] = 0.362\n"
                                "natural_fractions[\"tt\"] = 0.004\n";

static void assert_fractions(struct test_host *h, const char *id)
{
    static const double expected[] = {0.362, 0.004, 0.634};
    struct dataset *d;
    struct error e;
    struct feature_rows rows;
    double sum[3] = {0}, all = 0;
    const struct manifest *m = manifest_of(h, id, &d);
    const struct class_count *counts = m->class_counts.items;
    feature_rows_init(&rows);
    assert_int_equal(dataset_read_features(d, false, &rows, &e), STATUS_OK);
    for (size_t i = 0; i < rows.n; i++) {
        sum[rows.label[i]] += rows.weight[i];
        all += rows.weight[i];
    }
    assert_int_equal(m->classes.n_items, 3);
    assert_int_equal(m->natural_fractions.n_items, 3);
    assert_int_equal(m->weight_factors.n_items, 3);
    for (size_t k = 0; k < 3; k++) {
        const struct field_pair *factor = (const struct field_pair *)m->weight_factors.items + k;
        assert_true(fabs(sum[k] / all - expected[k]) < 1e-6);
        assert_true(fabs(counts[k].weight / sum[k] - 1) < 1e-6);
        assert_string_equal(factor->name, counts[k].name);
        assert_true(factor->value > 0);
        int64_t events;                    /* of the side, in the generator's weights */
        double weight;
        flow(&m->cut_flow, m->split, counts[k].name, &events, &weight);
        assert_int_equal(events, counts[k].events);
        assert_true(fabs(sum[k] / factor->value / weight - 1) < 1e-6);
    }
    feature_rows_fini(&rows);
    dataset_close(d);
}

static void test_natural_fractions_weight_the_features_of_both_parts_and_leave_the_events_alone(void **state)
{
    (void)state;
    static const char *const specs[] = {"", "balance = false\n", "split.method = event_hash\nsequences = false\n"};
    struct test_host h;
    struct dataset *d;
    test_host_init(&h, 2);
    struct ingest_result *plain = run_ok(&h, "ingest", three_classes);
    struct ingest_result *in = run_ok(&h, "ingest", with_fractions(published));
    assert_string_equal(content_of(&h, plain->dataset_id), content_of(&h, in->dataset_id));
    const struct field_pair *pairs = manifest_of(&h, in->dataset_id, &d)->natural_fractions.items;
    assert_string_equal(pairs[0].name, "wjets");
    assert_true(pairs[0].value == 0.634);
    dataset_close(d);
    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct features_result *ft = run_ok(&h, "features", arena_printf(&arena, "dataset = \"%s\"\n%s", in->dataset_id,
                                                                         specs[i]));
        assert_fractions(&h, ft->dataset_id);
        assert_fractions(&h, ft->test_dataset_id);
    }
    test_host_fini(&h);
}

static void test_fractions_that_do_not_fit_the_classes_or_do_not_add_up_are_refused(void **state)
{
    (void)state;
    static const struct { const char *fractions, *says; } bad[] = {
        {"natural_fractions[\"qcd\"] = 0.5\nnatural_fractions[\"tt\"] = 0.5\n", "wjets"},
        {"natural_fractions[\"qcd\"] = 0.5\nnatural_fractions[\"tt\"] = 0.25\nnatural_fractions[\"wjets\"] = 0.2\n",
         "add up to 0.95"},
        {"natural_fractions[\"qcd\"] = 0.5\nnatural_fractions[\"tt\"] = 0.5\nnatural_fractions[\"wjets\"] = 0\n",
         "above 0"},
        {"natural_fractions[\"qcd\"] = 0.5\nnatural_fractions[\"tt\"] = -0.5\nnatural_fractions[\"wjets\"] = 1\n",
         "above 0"},
        {"natural_fractions[\"qcd\"] = 0.4\nnatural_fractions[\"tt\"] = 0.3\nnatural_fractions[\"wjets\"] = 0.2\n"
         "natural_fractions[\"z\"] = 0.1\n", "no input has this label"},
    };
    struct test_host h;
    test_host_init(&h, 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error e = run_fails(&h, "ingest", with_fractions(bad[i].fractions), STATUS_ARGUMENT);
        if (!strstr(e.text, bad[i].says))
            fail_msg("%zu: %s", i, e.text);
    }
    test_host_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree_cycle_and_branches_come_from_the_job),
        cmocka_unit_test(test_a_bad_file_fails_the_job_unless_it_says_otherwise),
        cmocka_unit_test(test_skipped_files_are_listed_with_reason_and_events_lost_and_the_cut_flow_closes),
        cmocka_unit_test(test_skipping_gives_the_same_bytes_with_any_number_of_threads_and_after_stops),
        cmocka_unit_test(test_when_every_file_is_bad_the_job_fails_with_the_first_reason),
        cmocka_unit_test(test_natural_fractions_weight_the_features_of_both_parts_and_leave_the_events_alone),
        cmocka_unit_test(test_fractions_that_do_not_fit_the_classes_or_do_not_add_up_are_refused),
    };
    return cmocka_run_group_tests(tests, make_bad_files, remove_bad_files);
}
