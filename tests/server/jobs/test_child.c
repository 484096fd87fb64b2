/* tests/server/jobs/test_child.c
 *
 * Jobs in processes of their own: the same results, and a process that dies costs an attempt and nothing else.  This
 * program is started again as such a process: see main. */
#include "tests/server/jobs/engine_fixture.h"

static const char *const in_children[] = {"sum", "many", NULL};

static void start_children(struct fixture *f, size_t workers, size_t threads)
{
    struct jobs_options o = options_of(f, workers);
    o.child_kinds = in_children;
    o.threads_per_job = threads;
    OK(jobs_start(f->s, &o, &f->j, &f->e));
}

static void test_a_job_in_a_process_of_its_own_leaves_the_same_result(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[] = {
        "{\"kind\":\"sum\",\"spec\":{\"units\":5,\"phases\":2,\"checkpoint\":true,\"scale\":0.1,\"input\":\"*.db\"}}",
        "{\"kind\":\"many\",\"spec\":{\"units\":30,\"phases\":3,\"numbers\":[1,2,3]}}",
        "{\"kind\":\"sum\",\"spec\":{\"units\":0}}"};
    const char *here[3];
    start(f, 1);
    for (int i = 0; i < 3; i++)
        here[i] = wait_for(f, submit(f, bodies[i]), JOB_COMPLETED).result;
    stop(f);
    int units = atomic_load(&fake.units);
    start_children(f, 1, 4);
    for (int i = 0; i < 3; i++) {
        const char *id = submit(f, bodies[i]);
        assert_string_equal(wait_for(f, id, JOB_COMPLETED).result, here[i]);
        stop(f);
        assert_false(exists(work_dir_of(id, f)));
        start_children(f, 1, 4);
    }
    assert_int_equal(atomic_load(&fake.units), units);             /* none of them ran in this process */
}

static void test_progress_metrics_and_artifacts_come_from_the_process(void **state)
{
    struct fixture *f = *state;
    struct artifact_row artifact;
    struct job_metric *rows;
    size_t n;
    start_children(f, 2, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":4,\"publish\":\"model\",\"name\":\"m\"}}");
    struct json *v = result_of(f, id);
    assert_string_equal(json_str(json_get(v, "model_version"), ""), "m@1");
    json_free(v);
    OK(store_model_resolve(f->s, &f->a, "m@1", &artifact, &f->e));
    assert_true(exists(artifact.folder));
    OK(store_job_metrics(f->s, &f->a, id, "value", &rows, &n, &f->e));
    assert_int_equal(n, 4);
    assert_int_equal(look(f, id).done, 3);
    v = result_of(f, submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":1,\"model\":\"m\"}}"));
    assert_int_equal(json_int(json_get(v, "sum"), 0), fake_sum(1, 4) + fake_sum(1, 1));
    json_free(v);
}

static void test_a_process_that_dies_costs_an_attempt_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    start_children(f, 2, 1);
    const char *poison = submit(f, "{\"kind\":\"sum\",\"max_attempts\":3,\"spec\":{\"units\":5,\"kill_unit\":3}}");
    const char *good = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":5,\"delay_ms\":20}}");
    struct job_row row = wait_for(f, poison, JOB_DISCARDED);
    assert_int_equal(row.attempt, 3);
    assert_non_null(strstr(row.errors, "\"status\":\"CRASHED\""));
    assert_non_null(strstr(row.errors, "signal 9 (Killed)"));
    assert_int_equal(sum_of(f, good), fake_sum(1, 5));
    assert_int_equal(look(f, good).attempt, 1);
}

static void test_an_error_in_the_process_is_the_jobs_own(void **state)
{
    struct fixture *f = *state;
    start_children(f, 1, 2);
    const char *id = submit(f, "{\"kind\":\"many\",\"spec\":{\"units\":9,\"fail_unit\":4}}");
    struct job_row row = wait_for(f, id, JOB_DISCARDED);
    assert_non_null(strstr(row.errors, "unit 4 fails on purpose"));
    assert_non_null(strstr(row.errors, "\"status\":\"FORMAT\""));
    id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":1,\"input\":\"../*\"}}");
    assert_non_null(strstr(wait_for(f, id, JOB_DISCARDED).errors, "\"status\":\"FORBIDDEN\""));
}

/* Waits until the process has told of its progress, and so is at work. */
static void wait_for_progress(struct fixture *f, const char *id)
{
    while (!look(f, id).phase || strcmp(look(f, id).phase, "adding") != 0)
        jobs_wait_change(f->j, id, 20);
}

static void test_a_cancel_reaches_the_process(void **state)
{
    struct fixture *f = *state;
    start_children(f, 1, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":3,\"until_cancelled\":true}}");
    wait_for_progress(f, id);
    OK(jobs_cancel(f->j, id, &f->e));
    struct job_row row = wait_for(f, id, JOB_CANCELLED);
    assert_false(row.forced);
    stop(f);
    assert_false(exists(work_dir_of(id, f)));
}

static void test_a_process_that_heeds_no_cancel_is_ended_and_the_worker_goes_on(void **state)
{
    struct fixture *f = *state;
    start_children(f, 1, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":3,\"until_cancelled\":true,\"deaf\":true}}");
    wait_for_progress(f, id);
    OK(jobs_cancel(f->j, id, &f->e));
    assert_true(wait_for(f, id, JOB_CANCELLED).forced);
    assert_int_equal(sum_of(f, submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":2}}")), fake_sum(1, 2));
}

static void test_a_stop_gives_the_job_back_and_the_next_process_goes_on(void **state)
{
    struct fixture *f = *state;
    start_children(f, 1, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":40,\"delay_ms\":10}}");
    while (look(f, id).done < 5)
        jobs_wait_change(f->j, id, 20);
    stop(f);
    start_children(f, 1, 1);                                       /* units that were committed break a promise if run */
    assert_int_equal(sum_of(f, id), fake_sum(1, 40));
    assert_int_equal(look(f, id).attempt, 1);
}

int main(int argc, char **argv)
{
    if (jobs_is_child(argc, argv))
        return jobs_child_main(argc, argv, fake_kinds);
    const struct CMUnitTest tests[] = {
        TEST(test_a_job_in_a_process_of_its_own_leaves_the_same_result),
        TEST(test_progress_metrics_and_artifacts_come_from_the_process),
        TEST(test_a_process_that_dies_costs_an_attempt_and_nothing_else),
        TEST(test_an_error_in_the_process_is_the_jobs_own),
        TEST(test_a_cancel_reaches_the_process),
        TEST(test_a_process_that_heeds_no_cancel_is_ended_and_the_worker_goes_on),
        TEST(test_a_stop_gives_the_job_back_and_the_next_process_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
