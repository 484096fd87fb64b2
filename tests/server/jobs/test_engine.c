/* tests/server/jobs/test_engine.c
 *
 * Jobs from submission to their ends: completion, failure, cancel, stop and resume, publication. */
#include "tests/server/jobs/engine_fixture.h"

/* ---- completion ---------------------------------------------------------------------------------------------------- */

static void test_a_job_runs_its_units_and_leaves_its_result(void **state)
{
    struct fixture *f = *state;
    start(f, 2);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":5,\"phases\":2,\"scale\":0.1}}");
    assert_int_equal(sum_of(f, id), fake_sum(2, 5));
    struct job_row row = look(f, id);
    assert_int_equal(row.attempt, 1);
    assert_true(row.fraction == 1 && row.finished_us >= row.started_us && row.started_us >= row.created_us);
    assert_int_equal(atomic_load(&fake.units), 10);
    stop(f);
    assert_false(exists(work_dir_of(id, f)));
}

static void wait_for_units(int n)
{
    while (atomic_load(&fake.units) < n)
        usleep(1000);
}

static void test_jobs_run_on_all_workers_at_once_and_on_no_more(void **state)
{
    struct fixture *f = *state;
    const char *ids[6];
    start(f, 3);
    atomic_store(&fake.gate, 1);
    for (int i = 0; i < 6; i++)
        ids[i] = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":2}}");
    wait_for_units(6);                            /* the second unit of three jobs waits at the gate */
    assert_int_equal(jobs_counters(f->j).running, 3);
    atomic_store(&fake.gate, 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(sum_of(f, ids[i]), fake_sum(1, 2));
    assert_int_equal(atomic_load(&fake.peak), 3);
    while (jobs_counters(f->j).transitions[JOB_COMPLETED] < 6)        /* counted right after the row says so */
        usleep(1000);
    assert_int_equal(jobs_counters(f->j).transitions[JOB_RUNNING], 6);
}

static void test_a_job_without_units_completes(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    assert_int_equal(sum_of(f, submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":0}}")), 0);
}

static void test_what_is_stored_is_the_canonical_spec_with_its_hash(void **state)
{
    struct fixture *f = *state;
    char sha256[65];
    start(f, 1);
    struct job_row one = wait_for(f, submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":2,\"scale\":0.5}}"), JOB_COMPLETED);
    struct job_row two = wait_for(f, submit(f, "{\"spec\":{\"scale\":5e-1,\"units\":2,\"phases\":1},\"kind\":\"sum\"}"),
                                  JOB_COMPLETED);
    assert_string_equal(one.spec, two.spec);
    assert_string_equal(one.spec_sha256, two.spec_sha256);
    sha256_hex(one.spec, strlen(one.spec), sha256);
    assert_string_equal(one.spec_sha256, sha256);
    assert_non_null(strstr(one.spec, "\"fail_unit\":-1"));
}

static void test_the_job_object_has_the_members_of_the_api_in_order(void **state)
{
    struct fixture *f = *state;
    static const char expected[] =
        "id kind state outcome queue priority pipeline_id step needs tags attempt max_attempts timeout_seconds created_at "
        "run_at started_at finished_at lease progress checkpoint spec spec_sha256 result errors forced cache reused_from "
        "verify_of verification traceparent links ";
    struct buf names;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"until_cancelled\":true},\"tags\":[\"a\",\"b\"],\"priority\":0}");
    struct job_row row = wait_for(f, id, JOB_RUNNING);
    while (!look(f, id).phase || strcmp(look(f, id).phase, "adding") != 0)
        jobs_wait_change(f->j, id, 20);
    row = look(f, id);
    struct json *v = jobs_to_json(&row);
    buf_init(&names, 4096);
    OK(json_write(v, &names, &f->e));
    names.len = 0;
    for (const char *c = expected; *c;) {
        char name[32];
        size_t n = strcspn(c, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, c);
        if (!json_get(v, name))
            fail_msg("no member %s", name);
        c += n + 1;
    }
    assert_int_equal(json_count(v), 31);
    assert_string_equal(json_str(json_get(v, "state"), ""), "running");
    assert_int_equal(json_int(json_get(v, "priority"), -1), 0);
    assert_int_equal(json_count(json_get(v, "tags")), 2);
    assert_int_equal(json_count(json_get(v, "needs")), 0);
    assert_string_equal(json_str(json_get(json_get(v, "lease"), "worker"), ""), "w1");
    assert_int_equal(strlen(json_str(json_get(json_get(v, "lease"), "expires_at"), "")), 27);
    assert_int_equal(strlen(json_str(json_get(v, "created_at"), "")), 27);
    assert_int_equal(json_type_of(json_get(v, "finished_at")), JSON_NULL_);
    assert_int_equal(json_type_of(json_get(v, "result")), JSON_NULL_);
    assert_int_equal(json_type_of(json_get(v, "errors")), JSON_ARRAY_);
    const struct json *progress = json_get(v, "progress");
    assert_int_equal(json_int(json_get(progress, "total"), 0), 3);
    assert_string_equal(json_str(json_get(progress, "unit"), ""), "numbers");
    assert_string_equal(json_str(json_get(progress, "message"), ""), "so far");
    assert_int_equal(json_type_of(json_get(progress, "eta_seconds")), JSON_NULL_);
    assert_string_equal(json_str(json_get(json_get(v, "links"), "self"), "") + strlen("/api/v1/jobs/"), id);
    assert_int_equal(json_type_of(json_get(json_get(v, "spec"), "numbers")), JSON_ARRAY_);
    json_free(v);
    buf_fini(&names);
    OK(jobs_cancel(f->j, id, &f->e));
    wait_for(f, id, JOB_CANCELLED);
}

static void test_progress_never_falls_and_metrics_and_checkpoints_are_kept(void **state)
{
    struct fixture *f = *state;
    double last = 0;
    struct job_metric *rows;
    size_t n;
    start(f, 1);
    atomic_store(&fake.gate, 4);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":8,\"delay_ms\":5,\"checkpoint\":true}}");
    for (struct job_row row = look(f, id); !job_state_final(row.state); row = look(f, id)) {
        assert_true(row.fraction >= last && row.done <= (row.total < 0 ? 0 : row.total));
        last = row.fraction;
        if (last == 0.5)
            atomic_store(&fake.gate, 0);
        jobs_wait_change(f->j, id, 10);
    }
    assert_true(last >= 0.5);
    OK(store_job_metrics(f->s, &f->a, id, "value", &rows, &n, &f->e));
    assert_int_equal(n, 8);
    assert_true(rows[7].value == fake_value(0, 7));
}

/* ---- failure -------------------------------------------------------------------------------------------------------------- */

static void test_a_failure_that_may_pass_is_retried_and_committed_units_are_kept(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":4,\"fail_unit\":2,\"fail_attempts\":2,\"fails_with\":\"io\"}}");
    assert_int_equal(sum_of(f, id), fake_sum(1, 4));
    struct job_row row = look(f, id);
    assert_int_equal(row.attempt, 3);
    struct json *errors;
    OK(json_parse(row.errors, strlen(row.errors), &errors, &f->e));
    assert_int_equal(json_count(errors), 2);
    const struct json *second = json_at(errors, 1);
    assert_int_equal(json_int(json_get(second, "attempt"), 0), 2);
    assert_string_equal(json_str(json_get(second, "status"), ""), "IO");
    assert_string_equal(json_str(json_get(second, "detail"), ""), "unit 2 fails on purpose");
    assert_true(json_bool(json_get(second, "retryable"), false));
    assert_int_equal(strlen(json_str(json_get(second, "at"), "")), 27);
    json_free(errors);
    assert_int_equal(atomic_load(&fake.units), 6);        /* 0 1 2, 2, 2 3 */
    assert_int_equal(jobs_counters(f->j).transitions[JOB_RETRYABLE], 2);
}

static void test_attempts_run_out_and_a_retry_by_hand_goes_on_where_it_was(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"max_attempts\":2,\"spec\":{\"units\":4,\"fail_unit\":3,\"fail_attempts\":2,"
                               "\"fails_with\":\"nomem\"}}");
    wait_for(f, id, JOB_DISCARDED);
    assert_int_equal(look(f, id).attempt, 2);
    assert_int_equal(atomic_load(&fake.units), 5);
    IS(jobs_cancel(f->j, id, &f->e), STATUS_CONFLICT);
    OK(jobs_retry(f->j, id, &f->e));
    assert_int_equal(sum_of(f, id), fake_sum(1, 4));
    assert_int_equal(atomic_load(&fake.units), 6);
    IS(jobs_retry(f->j, id, &f->e), STATUS_CONFLICT);
}

static void test_a_failure_for_good_is_not_retried(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"fail_unit\":0,\"fail_attempts\":9,\"fails_with\":\"format\"}}");
    struct job_row row = wait_for(f, id, JOB_DISCARDED);
    assert_int_equal(row.attempt, 1);
    assert_non_null(strstr(row.errors, "\"status\":\"FORMAT\""));
    assert_non_null(strstr(row.errors, "\"retryable\":false"));
}

static void test_a_kind_that_this_build_lacks_is_said_so(void **state)
{
    struct fixture *f = *state;
    static const struct job_kind *const fewer[] = {&fake_use_kind, NULL};
    char id[40] = "job_01JDCQ3V9Z6M0K7Q8T5R4W2XYN";
    struct job_new job = {.id = id, .kind = "sum", .spec = "{}", .spec_sha256 = "", .max_attempts = 3};
    OK(store_jobs_insert(f->s, &job, 1, &f->e));
    start_with(f, 1, fewer);
    assert_non_null(strstr(wait_for(f, id, JOB_DISCARDED).errors, "no job kind sum"));
}

static void test_backoff_doubles_to_an_hour_with_a_fifth_of_jitter(void **state)
{
    (void)state;
    const int64_t base = 15 * 1000000LL;
    assert_int_equal(backoff_us(base, 1, 0.5), base);
    assert_int_equal(backoff_us(base, 2, 0.5), 2 * base);
    assert_int_equal(backoff_us(base, 5, 0.5), 16 * base);
    assert_int_equal(backoff_us(base, 9, 0.5), 3600 * 1000000LL);
    assert_int_equal(backoff_us(base, 1000000, 0.5), 3600 * 1000000LL);
    assert_true(backoff_us(base, 1, 0) == 12 * 1000000LL && backoff_us(base, 1, 1) == 18 * 1000000LL);
}

/* ---- cancel ---------------------------------------------------------------------------------------------------------------- */

static void test_a_cancelled_job_stops_at_its_next_poll_and_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"until_cancelled\":true,\"publish\":\"dataset\"}}");
    wait_for(f, id, JOB_RUNNING);
    while (atomic_load(&fake.polls) < 3)
        usleep(1000);
    assert_true(exists(work_dir_of(id, f)));
    OK(jobs_cancel(f->j, id, &f->e));
    int polls = atomic_load(&fake.polls);
    wait_for(f, id, JOB_CANCELLED);
    assert_true(atomic_load(&fake.polls) <= polls + 1);
    OK(jobs_cancel(f->j, id, &f->e));
    stop(f);
    assert_false(exists(work_dir_of(id, f)));
    assert_false(exists(path_in(f->folder, "datasets")));
}

static void test_a_waiting_job_is_cancelled_at_once_and_can_be_retried(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *first = submit(f, "{\"kind\":\"sum\",\"spec\":{\"until_cancelled\":true}}");
    wait_for(f, first, JOB_RUNNING);
    const char *second = submit(f, "{\"kind\":\"sum\",\"spec\":{}}");
    OK(jobs_cancel(f->j, second, &f->e));
    assert_int_equal(look(f, second).state, JOB_CANCELLED);
    IS(jobs_retry(f->j, first, &f->e), STATUS_CONFLICT);
    OK(jobs_retry(f->j, second, &f->e));
    OK(jobs_cancel(f->j, first, &f->e));
    assert_int_equal(sum_of(f, second), fake_sum(1, 3));
    IS(jobs_cancel(f->j, "job_none", &f->e), STATUS_NOTFOUND);
    IS(jobs_retry(f->j, "job_none", &f->e), STATUS_NOTFOUND);
}

static void test_a_cancelled_job_that_is_retried_at_once_begins_anew(void **state)
{
    struct fixture *f = *state;
    start(f, 2);
    for (int i = 0; i < 10; i++) {
        atomic_store(&fake.gate, 2);
        const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":4}}");
        wait_for_units(7 * i + 3);                /* two are committed, the third waits */
        OK(jobs_cancel(f->j, id, &f->e));
        wait_for(f, id, JOB_CANCELLED);
        atomic_store(&fake.gate, 0);
        OK(jobs_retry(f->j, id, &f->e));
        assert_int_equal(sum_of(f, id), fake_sum(1, 4));
        assert_int_equal(atomic_load(&fake.units), 7 * (i + 1));
    }
}

static void test_a_job_that_ignores_its_cancel_is_fenced_off(void **state)
{
    struct fixture *f = *state;
    atomic_store(&fake.hang, true);
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"until_cancelled\":true,\"publish\":\"dataset\"}}");
    while (atomic_load(&fake.polls) < 1)
        usleep(1000);
    OK(jobs_cancel(f->j, id, &f->e));
    struct job_row row = wait_for(f, id, JOB_CANCELLED);
    assert_non_null(strstr(row.errors, "did not stop"));
    IS(jobs_retry(f->j, id, &f->e), STATUS_CONFLICT);         /* its thread is still at it */
    atomic_store(&fake.hang, false);
    stop(f);
    assert_false(exists(work_dir_of(id, f)));
    start(f, 1);
    assert_int_equal(look(f, id).state, JOB_CANCELLED);
}

/* ---- stop and resume --------------------------------------------------------------------------------------------------------- */

static void test_a_stop_gives_the_job_back_and_the_next_start_goes_on(void **state)
{
    struct fixture *f = *state;
    struct job_row row;
    start(f, 1);
    atomic_store(&fake.gate, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"max_attempts\":1,\"spec\":{\"units\":5}}");
    for (int i = 1; i <= 4; i++) {
        wait_for_units(2 * i);                    /* unit i waits at the gate, the ones before are committed */
        stop(f);
        OK(store_job_get(f->s, &f->a, id, &row, &f->e));
        assert_int_equal(row.state, JOB_AVAILABLE);
        assert_int_equal(row.attempt, 0);
        assert_string_equal(row.errors, "[]");
        atomic_store(&fake.gate, i + 1);
        start(f, 1);
    }
    assert_int_equal(sum_of(f, id), fake_sum(1, 5));
    assert_int_equal(atomic_load(&fake.units), 9);        /* 0 1, 1 2, 2 3, 3 4, 4: one cut short by each stop */
}

static void test_a_stop_during_a_backoff_and_with_waiting_jobs_loses_none(void **state)
{
    struct fixture *f = *state;
    const char *ids[5];
    start(f, 1);
    for (int i = 0; i < 5; i++)
        ids[i] = submit(f, "{\"kind\":\"sum\",\"spec\":{\"fail_unit\":1,\"fail_attempts\":1,\"fails_with\":\"io\",\"delay_ms\":2}}");
    stop(f);
    start(f, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(sum_of(f, ids[i]), fake_sum(1, 3));
}

static void test_units_without_their_work_folder_are_run_again(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    atomic_store(&fake.gate, 3);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":6,\"checkpoint\":true}}");
    wait_for_units(4);
    stop(f);
    OK(file_remove_tree(work_dir_of(id, f), &f->e));
    atomic_store(&fake.gate, 0);
    start(f, 1);
    assert_int_equal(sum_of(f, id), fake_sum(1, 6));
    assert_int_equal(atomic_load(&fake.units), 4 + 6);
}

static void test_leftovers_that_no_job_owns_are_removed_at_start(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"fail_unit\":0,\"fail_attempts\":9,\"fails_with\":\"format\"}}");
    wait_for(f, id, JOB_DISCARDED);
    stop(f);
    OK(file_make_folder(work_dir_of("job_nobody", f), &f->e));
    start(f, 1);
    stop(f);
    assert_false(exists(work_dir_of("job_nobody", f)));
    assert_true(exists(work_dir_of(id, f)));      /* a discarded one may be retried */
}

/* ---- publication ----------------------------------------------------------------------------------------------------------------- */

static char told[200];

static void on_published(void *ctx, const char *kind, const char *id)
{
    struct fixture *f = ctx;
    struct arena a;
    struct artifact_row row;
    struct error e;
    arena_init(&a, 1 << 20);
    bool there = store_artifact_get(f->s, &a, kind, id, &row, &e) == STATUS_OK && exists(path_in(row.folder, "sum"));
    snprintf(told, sizeof told, "%s %s %s", kind, id, there ? "in place" : "missing");
    arena_fini(&a);
}

static void test_artifacts_are_in_place_when_the_job_is_completed(void **state)
{
    struct fixture *f = *state;
    char expected[200];
    start(f, 1);
    jobs_on_published(f->j, on_published, f);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"publish\":\"dataset\"}}");
    struct json *result = result_of(f, id);
    const char *dataset = json_str(json_get(result, "dataset_id"), "");
    stop(f);
    snprintf(expected, sizeof expected, "dataset %s in place", dataset);
    assert_string_equal(told, expected);
    assert_int_equal(folder_count(path_in(f->folder, "datasets")), 1);
    assert_true(exists(path_in(path_in(path_in(f->folder, "datasets"), dataset), "sum")));
    json_free(result);
}

static void test_later_jobs_find_datasets_and_models_by_reference(void **state)
{
    struct fixture *f = *state;
    char text[200];
    start(f, 1);
    struct json *made = result_of(f, submit(f, "{\"kind\":\"sum\",\"spec\":{\"publish\":\"dataset\",\"units\":2}}"));
    snprintf(text, sizeof text, "{\"kind\":\"use\",\"spec\":{\"units\":0,\"dataset\":\"%s\"}}",
             json_str(json_get(made, "dataset_id"), ""));
    assert_int_equal(sum_of(f, submit(f, text)), fake_sum(1, 2));
    json_free(made);
    for (int units = 1; units <= 3; units++) {
        snprintf(text, sizeof text, "{\"kind\":\"sum\",\"spec\":{\"publish\":\"model\",\"name\":\"hlf\",\"units\":%d}}", units);
        made = result_of(f, submit(f, text));
        snprintf(text, sizeof text, "hlf@%d", units);
        assert_string_equal(json_str(json_get(made, "model_version"), ""), text);
        json_free(made);
    }
    OK(store_model_alias_set(f->s, "hlf", "champion", 2, NULL, -1, &f->e));
    static const struct { const char *ref, *read; int units; } uses[] = {
        {"hlf", "hlf@3", 3}, {"hlf@1", "hlf@1", 1}, {"hlf@champion", "hlf@2", 2}};
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        snprintf(text, sizeof text, "{\"kind\":\"use\",\"spec\":{\"units\":0,\"model\":\"%s\"}}", uses[i].ref);
        made = result_of(f, submit(f, text));
        assert_string_equal(json_str(json_get(made, "read"), ""), uses[i].read);
        assert_int_equal(json_int(json_get(made, "sum"), 0), fake_sum(1, uses[i].units));
        json_free(made);
    }
    const char *id = submit(f, "{\"kind\":\"use\",\"spec\":{\"model\":\"hlf@9\"}}");
    assert_non_null(strstr(wait_for(f, id, JOB_DISCARDED).errors, "has no version 9"));
}

/* As a kill between the renames and the commit leaves it: the note, and the folder in its place. */
static void test_a_folder_that_moved_before_a_crash_goes_back_and_is_published_once(void **state)
{
    struct fixture *f = *state;
    char id[40], dataset[40], staged[4200], final[4200];
    struct job_claim claim;
    bool found;
    int64_t next;
    store_new_id("job", id);
    store_derived_id("ds", id, 0, dataset);
    struct job_new job = {.id = id, .kind = "sum", .spec = "{\"publish\":\"dataset\",\"units\":0}", .spec_sha256 = "",
                          .max_attempts = 1};
    OK(store_jobs_insert(f->s, &job, 1, &f->e));
    struct job_claim_request q = {"old", "token", "w1", time_unix_us(), 1000000, true};
    OK(store_job_claim(f->s, &f->a, &q, &claim, &found, &next, &f->e));
    snprintf(staged, sizeof staged, "%s/staged", work_dir_of(id, f));
    snprintf(final, sizeof final, "%s/datasets/%s", store_folder(f->s), dataset);
    struct job_publication p = {.id = dataset, .kind = "dataset", .staged = staged};
    OK(store_publications_set(f->s, id, "token", &p, 1, &f->e));
    OK(file_make_folder(work_dir_of(id, f), &f->e));
    OK(file_make_folder(final, &f->e));
    OK(file_write_atomic(path_in(final, "kept"), "x", 1, &f->e));
    store_close(f->s);
    OK(store_open(f->folder, &f->s, &f->e));
    start(f, 1);
    assert_int_equal(sum_of(f, id), 0);
    stop(f);
    assert_true(exists(path_in(final, "sum")) && exists(path_in(final, "kept")));
    assert_int_equal(folder_count(path_in(f->folder, "datasets")), 1);
    struct artifact_row row;
    OK(store_artifact_get(f->s, &f->a, "dataset", dataset, &row, &f->e));
}

/* The same crash, but the user cancels instead of going on: nothing may be left in datasets/. */
static void test_a_folder_that_moved_before_a_crash_is_not_left_in_its_place(void **state)
{
    struct fixture *f = *state;
    char staged[4200], final[4200];
    struct job_claim claim;
    bool found;
    int64_t next;
    enum job_state st;
    struct job_new job = {.id = "job_1", .kind = "sum", .spec = "{}", .spec_sha256 = "", .max_attempts = 1};
    OK(store_jobs_insert(f->s, &job, 1, &f->e));
    struct job_claim_request q = {"old", "token", "w1", time_unix_us(), 1000000, true};
    OK(store_job_claim(f->s, &f->a, &q, &claim, &found, &next, &f->e));
    snprintf(staged, sizeof staged, "%s/staged", work_dir_of("job_1", f));
    snprintf(final, sizeof final, "%s/datasets/ds_1", store_folder(f->s));
    struct job_publication p = {.id = "ds_1", .kind = "dataset", .staged = staged};
    OK(store_publications_set(f->s, "job_1", "token", &p, 1, &f->e));
    OK(file_make_folder(final, &f->e));
    OK(store_job_cancel(f->s, "job_1", "{}", &st, &f->changed, &f->e));
    start(f, 1);
    stop(f);
    assert_false(exists(final));
    struct job_publication *items;
    size_t n;
    OK(store_publications_list(f->s, &f->a, NULL, &items, &n, &f->e));
    assert_int_equal(n, 0);
}

static void test_what_is_not_a_jobs_own_cannot_be_published(void **state)
{
    struct fixture *f = *state;
    struct job_publication out;
    char work[4200], inside[4300], other[4300];
    snprintf(work, sizeof work, "%s/work/job_1", store_folder(f->s));
    snprintf(inside, sizeof inside, "%s/staged", work);
    snprintf(other, sizeof other, "%s/../job_2", work);
    OK(file_make_folder(inside, &f->e));
    OK(file_make_folder(other, &f->e));
    const struct artifact good = {"dataset", "ds_1", inside, "train", NULL};
    OK(publication_check(&f->a, work, &good, &out, &f->e));
    const struct artifact bad[] = {
        {"dataset", "ds_1", other, NULL, NULL},  {"dataset", "ds_1", work, NULL, NULL},
        {"dataset", "ds_1", "/etc", NULL, NULL}, {"dataset", "../x", inside, NULL, NULL},
        {"dataset", "ds_a/b", inside, NULL, NULL}, {"model", "mdl_1", inside, NULL, NULL},
        {"thing", "ds_1", inside, NULL, NULL},   {"dataset", "ds_1", "nowhere", NULL, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        IS(publication_check(&f->a, work, &bad[i], &out, &f->e), STATUS_BUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_job_runs_its_units_and_leaves_its_result),
        TEST(test_jobs_run_on_all_workers_at_once_and_on_no_more),
        TEST(test_a_job_without_units_completes),
        TEST(test_what_is_stored_is_the_canonical_spec_with_its_hash),
        TEST(test_the_job_object_has_the_members_of_the_api_in_order),
        TEST(test_progress_never_falls_and_metrics_and_checkpoints_are_kept),
        TEST(test_a_failure_that_may_pass_is_retried_and_committed_units_are_kept),
        TEST(test_attempts_run_out_and_a_retry_by_hand_goes_on_where_it_was),
        TEST(test_a_failure_for_good_is_not_retried),
        TEST(test_a_kind_that_this_build_lacks_is_said_so),
        TEST(test_backoff_doubles_to_an_hour_with_a_fifth_of_jitter),
        TEST(test_a_cancelled_job_stops_at_its_next_poll_and_leaves_nothing),
        TEST(test_a_waiting_job_is_cancelled_at_once_and_can_be_retried),
        TEST(test_a_cancelled_job_that_is_retried_at_once_begins_anew),
        TEST(test_a_job_that_ignores_its_cancel_is_fenced_off),
        TEST(test_a_stop_gives_the_job_back_and_the_next_start_goes_on),
        TEST(test_a_stop_during_a_backoff_and_with_waiting_jobs_loses_none),
        TEST(test_units_without_their_work_folder_are_run_again),
        TEST(test_leftovers_that_no_job_owns_are_removed_at_start),
        TEST(test_artifacts_are_in_place_when_the_job_is_completed),
        TEST(test_later_jobs_find_datasets_and_models_by_reference),
        TEST(test_a_folder_that_moved_before_a_crash_goes_back_and_is_published_once),
        TEST(test_a_folder_that_moved_before_a_crash_is_not_left_in_its_place),
        TEST(test_what_is_not_a_jobs_own_cannot_be_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
