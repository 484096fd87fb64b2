/* tests/server/jobs/test_queues.c
 *
 * Who runs when: queues with limits, paused and resumed; times and priorities that change; limits of time; many jobs at
 * once. */
#include "tests/server/jobs/engine_fixture.h"

static void set_queue(struct fixture *f, const char *name, int64_t concurrency, bool paused)
{
    struct queue_row row;
    bool stale;
    OK(store_queue_get(f->s, &f->a, name, &row, &f->e));
    row.concurrency = concurrency;
    row.paused = paused;
    OK(jobs_queue_set(f->j, &row, &stale, &f->e));
    assert_false(stale);
}

static void wait_for_running(struct fixture *f, int64_t n)
{
    while (jobs_counters(f->j).running != n)
        usleep(1000);
}

static void test_a_queue_holds_back_what_is_beyond_its_limit_and_no_other(void **state)
{
    struct fixture *f = *state;
    const char *narrow[4], *wide[2];
    start(f, 4);
    set_queue(f, "narrow", 1, false);
    atomic_store(&fake.gate, 1);
    for (int i = 0; i < 4; i++)
        narrow[i] = submit(f, "{\"kind\":\"sum\",\"queue\":\"narrow\",\"spec\":{\"units\":2}}");
    for (int i = 0; i < 2; i++)
        wide[i] = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":2}}");
    wait_for_running(f, 3);
    usleep(20000);
    assert_int_equal(jobs_counters(f->j).running, 3);
    assert_string_equal(look(f, narrow[0]).queue, "narrow");
    assert_string_equal(look(f, wide[0]).queue, "sum");
    assert_int_equal(look(f, narrow[1]).state, JOB_AVAILABLE);
    set_queue(f, "narrow", 2, false);                              /* widened while they run */
    wait_for_running(f, 4);
    atomic_store(&fake.gate, 0);
    for (int i = 0; i < 4; i++)
        wait_for(f, narrow[i], JOB_COMPLETED);
    for (int i = 0; i < 2; i++)
        wait_for(f, wide[i], JOB_COMPLETED);
}

static void test_a_paused_queue_waits_and_goes_on_when_it_is_resumed(void **state)
{
    struct fixture *f = *state;
    struct queue_row *rows;
    size_t n;
    start(f, 2);
    set_queue(f, "sum", -1, true);
    const char *waits = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":1}}");
    const char *other = submit(f, "{\"kind\":\"use\",\"spec\":{\"units\":1}}");
    wait_for(f, other, JOB_COMPLETED);
    assert_int_equal(look(f, waits).state, JOB_AVAILABLE);
    OK(store_queues_list(f->s, &f->a, &rows, &n, &f->e));
    assert_int_equal(n, 1);
    assert_true(strcmp(rows[0].name, "sum") == 0 && rows[0].paused && rows[0].n_waiting == 1 && rows[0].n_running == 0);
    set_queue(f, "sum", -1, false);
    wait_for(f, waits, JOB_COMPLETED);
}

static void test_a_queue_that_somebody_else_changed_is_not_changed(void **state)
{
    struct fixture *f = *state;
    struct queue_row mine, theirs;
    bool stale;
    start(f, 1);
    OK(store_queue_get(f->s, &f->a, "q", &mine, &f->e));
    theirs = mine;
    OK(jobs_queue_set(f->j, &theirs, &stale, &f->e));
    assert_false(stale);
    mine.paused = true;
    OK(jobs_queue_set(f->j, &mine, &stale, &f->e));
    assert_true(stale);
    OK(store_queue_get(f->s, &f->a, "q", &theirs, &f->e));
    assert_true(theirs.revision == 1 && !theirs.paused);
}

static struct json *parsed(struct fixture *f, const char *text)
{
    struct json *v;
    OK(json_parse(text, strlen(text), &v, &f->e));
    return v;
}

static enum status patch(struct fixture *f, const struct job_row *seen, const char *text, bool *stale)
{
    struct json *body = parsed(f, text);
    f->problems.n = 0;
    enum status s = jobs_patch(f->j, seen, body, stale, &f->problems, &f->e);
    json_free(body);
    return s;
}

static void test_what_waits_can_change_its_priority_and_tags(void **state)
{
    struct fixture *f = *state;
    struct job_row *rows;
    bool stale;
    size_t n;
    start(f, 1);
    set_queue(f, "sum", -1, true);
    const char *first = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":1}}");
    const char *second = submit(f, "{\"kind\":\"sum\",\"tags\":[\"a\"],\"spec\":{\"units\":1}}");
    struct job_row seen = look(f, second);
    OK(patch(f, &seen, "{\"priority\":0,\"tags\":[\"b\",\"c\"]}", &stale));
    assert_false(stale);
    assert_int_equal(look(f, second).priority, 0);
    struct job_filter by_tag = {.tag = "c", .limit = 10};
    OK(store_jobs_list(f->s, &f->a, &by_tag, &rows, &n, &f->e));
    assert_true(n == 1 && strcmp(rows[0].id, second) == 0);
    by_tag.tag = "a";
    OK(store_jobs_list(f->s, &f->a, &by_tag, &rows, &n, &f->e));
    assert_int_equal(n, 0);
    OK(patch(f, &seen, "{\"priority\":9}", &stale));
    assert_true(stale);                                            /* against what was seen before the first change */
    IS(patch(f, &seen, "{\"priority\":10,\"colour\":1}", &stale), STATUS_ARGUMENT);
    assert_int_equal(f->problems.n, 2);
    set_queue(f, "sum", -1, false);
    wait_for(f, first, JOB_COMPLETED);
    struct job_row done = wait_for(f, second, JOB_COMPLETED);
    assert_true(done.started_us <= look(f, first).started_us);
    IS(patch(f, &done, "{\"priority\":1}", &stale), STATUS_CONFLICT);
}

static void test_a_job_waits_for_its_time_which_can_be_moved(void **state)
{
    struct fixture *f = *state;
    bool stale;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"run_at\":\"2200-01-01T00:00:00+02:00\",\"spec\":{\"units\":1}}");
    struct job_row row = look(f, id);
    assert_int_equal(row.state, JOB_SCHEDULED);
    OK(patch(f, &row, "{\"run_at\":null}", &stale));
    wait_for(f, id, JOB_COMPLETED);
    char text[200], at[40];
    json_time_text(time_unix_us() + 300000, at);
    snprintf(text, sizeof text, "{\"kind\":\"sum\",\"run_at\":\"%s\",\"spec\":{\"units\":1}}", at);
    row = wait_for(f, submit(f, text), JOB_COMPLETED);
    assert_true(row.started_us >= row.run_at_us && row.run_at_us > row.created_us);
}

static void test_times_are_read_with_their_offset_and_nonsense_is_not(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "2026-11-23", "2026-11-23T10:00:00", "2026-02-29T10:00:00Z", "2026-11-23T24:00:00Z",
                                      "2026-11-23T10:00:00+1:00", "2026-11-23T10:00:00Zx", "1969-12-31T00:00:00Z"};
    int64_t us, other;
    assert_true(time_parse("2026-11-23T10:00:00.25Z", &us));
    assert_true(us == 1795428000250000);
    assert_true(time_parse("2026-11-23T12:30:00.250000+02:30", &other) && other == us);
    assert_true(time_parse("2028-02-29t00:00:00z", &us));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(time_parse(bad[i], &us));
}

static void test_an_attempt_beyond_its_time_is_stopped_and_says_so(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"timeout_seconds\":1,\"max_attempts\":2,"
                               "\"spec\":{\"units\":3,\"until_cancelled\":true}}");
    struct job_row row = wait_for(f, id, JOB_DISCARDED);
    assert_int_equal(row.attempt, 2);
    assert_true(row.timeout_us == 1000000);
    assert_non_null(strstr(row.errors, "\"status\":\"TIMEOUT\""));
    assert_non_null(strstr(row.errors, "timeout_seconds of 1"));
}

static void test_many_jobs_are_cancelled_and_deleted_by_a_filter(void **state)
{
    struct fixture *f = *state;
    struct json *body;
    struct submit_answer answer;
    start(f, 2);
    set_queue(f, "sum", -1, true);
    for (int i = 0; i < 250; i++)
        submit(f, i % 2 ? "{\"kind\":\"sum\",\"tags\":[\"x\"],\"spec\":{}}" : "{\"kind\":\"sum\",\"spec\":{}}");
    static const char *const bodies[] = {
        "{\"kind\":\"bulk\",\"spec\":{\"action\":\"cancel\",\"filter\":{\"tag\":\"x\"}}}",
        "{\"kind\":\"bulk\",\"spec\":{\"action\":\"delete\",\"filter\":{\"kind\":\"sum\"}}}"};
    static const int64_t expected[][3] = {{125, 125, 0}, {250, 125, 125}};
    for (int i = 0; i < 2; i++) {
        body = parsed(f, bodies[i]);
        OK(jobs_accept_admin(f->j, &f->a, body, NULL, &answer, &f->problems, &f->e));
        json_free(body);
        struct json *v = result_of(f, answer.id);
        assert_int_equal(json_int(json_get(v, "matched"), -1), expected[i][0]);
        assert_int_equal(json_int(json_get(v, "changed"), -1), expected[i][1]);
        assert_int_equal(json_int(json_get(v, "refused"), -1), expected[i][2]);
        json_free(v);
    }
    char id[40];
    IS(try_submit(f, bodies[0], id), STATUS_ARGUMENT);             /* only by its own route */
}

static void test_a_backup_is_a_store_that_opens(void **state)
{
    struct fixture *f = *state;
    struct submit_answer answer;
    char path[4096], folder[4096];
    struct store *copy;
    struct job_row row;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{}}");
    wait_for(f, id, JOB_COMPLETED);
    struct json *body = parsed(f, "{\"kind\":\"backup\",\"spec\":{}}");
    OK(jobs_accept_admin(f->j, &f->a, body, NULL, &answer, &f->problems, &f->e));
    json_free(body);
    struct json *v = result_of(f, answer.id);
    snprintf(path, sizeof path, "%s/%s", store_folder(f->s), json_str(json_get(v, "file"), ""));
    snprintf(folder, sizeof folder, "%s/restored", f->folder);
    OK(file_make_folder(folder, &f->e));
    assert_int_equal(rename(path, path_in(folder, "dltrigger.db")), 0);
    json_free(v);
    OK(store_open(folder, &copy, &f->e));
    OK(store_job_get(copy, &f->a, id, &row, &f->e));
    assert_int_equal(row.state, JOB_COMPLETED);
    store_close(copy);
}

static void test_what_is_old_is_forgotten_and_what_is_needed_is_not(void **state)
{
    struct fixture *f = *state;
    struct jobs_options o = options_of(f, 1);
    const int64_t day_us = 86400 * 1000000LL;
    struct job_row row;
    struct job_metric *points;
    size_t n;
    o.retention = (struct jobs_retention){.completed_days = 30, .discarded_days = 90, .metrics_days = 7, .work_days = 7};
    OK(jobs_start(f->s, &o, &f->j, &f->e));
    const char *done = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":700}}");
    const char *failed = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":2,\"fail_unit\":1,\"fails_with\":\"format\"}}");
    wait_for(f, done, JOB_COMPLETED);
    wait_for(f, failed, JOB_DISCARDED);
    assert_true(exists(work_dir_of(failed, f)));
    OK(retention_run(f->j, time_unix_us() + 6 * day_us, &f->e));
    OK(store_job_metrics(f->s, &f->a, done, NULL, &points, &n, &f->e));
    assert_int_equal(n, 700);
    OK(retention_run(f->j, time_unix_us() + 8 * day_us, &f->e));
    OK(store_job_metrics(f->s, &f->a, done, NULL, &points, &n, &f->e));
    assert_true(n >= 400 && n <= 500 && points[n - 1].step == 699);
    assert_false(exists(work_dir_of(failed, f)));
    OK(jobs_get(f->j, &f->a, done, &row, &f->e));
    OK(retention_run(f->j, time_unix_us() + 31 * day_us, &f->e));
    IS(jobs_get(f->j, &f->a, done, &row, &f->e), STATUS_NOTFOUND);
    OK(jobs_get(f->j, &f->a, failed, &row, &f->e));
    OK(retention_run(f->j, time_unix_us() + 91 * day_us, &f->e));
    IS(jobs_get(f->j, &f->a, failed, &row, &f->e), STATUS_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_queue_holds_back_what_is_beyond_its_limit_and_no_other),
        TEST(test_a_paused_queue_waits_and_goes_on_when_it_is_resumed),
        TEST(test_a_queue_that_somebody_else_changed_is_not_changed),
        TEST(test_what_waits_can_change_its_priority_and_tags),
        TEST(test_a_job_waits_for_its_time_which_can_be_moved),
        cmocka_unit_test(test_times_are_read_with_their_offset_and_nonsense_is_not),
        TEST(test_an_attempt_beyond_its_time_is_stopped_and_says_so),
        TEST(test_many_jobs_are_cancelled_and_deleted_by_a_filter),
        TEST(test_a_backup_is_a_store_that_opens),
        TEST(test_what_is_old_is_forgotten_and_what_is_needed_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
