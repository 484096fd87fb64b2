/* tests/server/jobs/test_units.c
 *
 * Units of a kind that lets them run at the same time: how many at once, what is kept when a job stops, whose error it
 * is. */
#include "tests/server/jobs/engine_fixture.h"

static void wait_for_units(int n)
{
    while (atomic_load(&fake.units) < n)
        usleep(1000);
}

static void assert_each_done_once(int phases, int units)
{
    for (int phase = 0; phase < phases; phase++)
        for (int unit = 0; unit < units; unit++)
            assert_int_equal(atomic_load(&fake.done[phase][unit]), 1);
}

static void test_units_run_on_all_threads_of_a_job_and_on_no_more(void **state)
{
    struct fixture *f = *state;
    start_threads_per_job(f, 4);
    atomic_store(&fake.gate, 1);
    const char *id = submit(f, "{\"kind\":\"many\",\"spec\":{\"units\":9,\"phases\":2}}");
    wait_for_units(5);                            /* unit 0, and four that wait at the gate */
    usleep(20000);
    assert_int_equal(atomic_load(&fake.units), 5);
    atomic_store(&fake.gate, 0);
    assert_int_equal(sum_of(f, id), fake_sum(2, 9));
    assert_int_equal(atomic_load(&fake.peak), 4);
    assert_each_done_once(2, 9);
}

static void test_one_thread_and_eight_give_the_same_result(void **state)
{
    struct fixture *f = *state;
    char results[2][65];
    for (int i = 0; i < 2; i++) {
        start_threads_per_job(f, i ? 8 : 1);
        const char *id = submit(f, "{\"kind\":\"many\",\"spec\":{\"units\":40,\"phases\":3,\"numbers\":[1,2.5]}}");
        struct job_row row = wait_for(f, id, JOB_COMPLETED);
        sha256_hex(row.result, strlen(row.result), results[i]);
        stop(f);
    }
    assert_string_equal(results[0], results[1]);
    for (int unit = 0; unit < 40; unit++)
        assert_int_equal(atomic_load(&fake.done[2][unit]), 2);
}

static void test_units_that_ended_before_a_stop_are_not_run_again(void **state)
{
    struct fixture *f = *state;
    start_threads_per_job(f, 3);
    atomic_store(&fake.gate, 7);
    const char *id = submit(f, "{\"kind\":\"many\",\"spec\":{\"units\":20}}");
    wait_for_units(10);                           /* 0 to 6 are done or about to be, three wait */
    stop(f);
    assert_int_equal(atomic_load(&fake.states), 0);
    atomic_store(&fake.gate, 0);
    start_threads_per_job(f, 3);
    assert_int_equal(sum_of(f, id), fake_sum(1, 20));
    assert_int_equal(look(f, id).attempt, 1);
    assert_each_done_once(1, 20);
}

static void test_the_error_of_the_lowest_unit_is_the_jobs(void **state)
{
    struct fixture *f = *state;
    start_threads_per_job(f, 8);
    const char *id = submit(f, "{\"kind\":\"many\",\"spec\":{\"units\":40,\"fail_unit\":3}}");
    struct job_row row = wait_for(f, id, JOB_DISCARDED);
    assert_non_null(strstr(row.errors, "unit 3 fails on purpose"));
    for (int unit = 0; unit < 3; unit++)
        assert_int_equal(atomic_load(&fake.done[0][unit]), 1);
}

static void test_a_cancel_reaches_every_unit_that_runs(void **state)
{
    struct fixture *f = *state;
    start_threads_per_job(f, 4);
    const char *id = submit(f, "{\"kind\":\"many\",\"spec\":{\"units\":50,\"until_cancelled\":true}}");
    wait_for_units(4);
    OK(jobs_cancel(f->j, id, &f->e));
    wait_for(f, id, JOB_CANCELLED);
    assert_int_equal(atomic_load(&fake.units), 4);
    while (atomic_load(&fake.active) > 0)
        usleep(1000);
    stop(f);
    assert_false(exists(work_dir_of(id, f)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_units_run_on_all_threads_of_a_job_and_on_no_more),
        TEST(test_one_thread_and_eight_give_the_same_result),
        TEST(test_units_that_ended_before_a_stop_are_not_run_again),
        TEST(test_the_error_of_the_lowest_unit_is_the_jobs),
        TEST(test_a_cancel_reaches_every_unit_that_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
