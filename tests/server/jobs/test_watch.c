/* tests/server/jobs/test_watch.c
 *
 * What can be seen of a job while it runs and after: events, lines, thinned series, the recipe. */
#include "tests/server/jobs/engine_fixture.h"

#include <math.h>

/* ---- series --------------------------------------------------------------------------------------------------------- */

static void test_a_thinned_series_keeps_ends_extremes_and_order(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct job_metric points[N];
    for (size_t most = SERIES_POINTS_MIN; most < N + 2; most += 7) {
        for (int i = 0; i < N; i++)
            points[i] = (struct job_metric){"loss", i * 3, i == 637 ? 99 : i == 200 ? -99 : sin(i * 0.01)};
        size_t n = series_thin(points, N, most);
        assert_true(n <= most && n >= 4);
        assert_int_equal(points[0].step, 0);
        assert_int_equal(points[n - 1].step, (N - 1) * 3);
        bool high = false, low = false;
        for (size_t i = 0; i < n; i++) {
            assert_true(i == 0 || points[i].step > points[i - 1].step);
            high |= points[i].value == 99 && points[i].step == 637 * 3;
            low |= points[i].value == -99 && points[i].step == 200 * 3;
        }
        assert_true(high && low);
    }
}

static void test_a_short_series_stays_as_it_is(void **state)
{
    (void)state;
    struct job_metric points[5] = {{"k", 1, 5}, {"k", 2, 5}, {"k", 3, 5}, {"k", 4, 5}, {"k", 5, 5}};
    assert_int_equal(series_thin(points, 5, 5), 5);
    assert_int_equal(series_thin(points, 0, 4), 0);
    assert_int_equal(series_thin(points, 5, 4), 3);            /* constant: one of a stretch is enough */
    assert_int_equal(points[2].step, 5);
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

static size_t events_of(struct fixture *f, const char *id, const char *type, struct job_event **rows)
{
    size_t n;
    struct job_event_filter filter = {.job_id = id, .type = type, .limit = 100000};
    OK(store_job_events_list(f->s, &f->a, &filter, rows, &n, &f->e));
    return n;
}

static void test_states_and_metrics_are_events_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct job_event *rows;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":3}}");
    wait_for(f, id, JOB_COMPLETED);
    assert_int_equal(events_of(f, id, "state", &rows), 3);
    assert_string_equal(rows[0].data, "{\"state\":\"available\",\"attempt\":0}");
    assert_string_equal(rows[1].data, "{\"state\":\"running\",\"attempt\":1}");
    assert_string_equal(rows[2].data, "{\"state\":\"completed\",\"attempt\":1}");
    struct job_row row = look(f, id);
    assert_true(llabs(rows[2].at_us - row.finished_us) < 1000000);
    int64_t running = rows[1].seq, completed = rows[2].seq;
    assert_int_equal(events_of(f, id, "metric", &rows), 3);
    assert_string_equal(rows[2].data, "{\"key\":\"value\",\"step\":2,\"value\":1004.0}");
    assert_true(rows[0].seq > running && rows[2].seq < completed);
    size_t n;
    struct job_event_filter filter = {.job_id = id, .after = running, .limit = 2};
    OK(store_job_events_list(f->s, &f->a, &filter, &rows, &n, &f->e));
    assert_int_equal(n, 2);
    assert_true(rows[0].seq > running);
}

/* ---- lines ---------------------------------------------------------------------------------------------------------- */

static enum status talk(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result, struct error *e)
{
    char text[900];
    (void)spec;
    (void)phase;
    (void)result;
    (void)e;
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "unit %lld \"line\" %d\t\x01", (long long)unit, i);
        ctx->host->log(ctx->host_ctx, i == 7 ? LOG_WARN : LOG_INFO, text);
    }
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ctx->host->log(ctx->host_ctx, LOG_ERROR, text);
    return STATUS_OK;
}

static enum status nothing(struct job_ctx *ctx, const void *spec, void *result, struct error *e)
{
    (void)ctx;
    (void)spec;
    (void)result;
    (void)e;
    return STATUS_OK;
}

static void test_every_line_of_a_job_is_kept_in_order_as_json(void **state)
{
    struct fixture *f = *state;
    struct job_kind kind = fake_sum_kind;
    const struct job_kind *const kinds[] = {&kind, NULL};
    struct job_event *rows;
    kind.run = talk;
    kind.finish = nothing;
    start_with(f, 1, kinds);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":3}}");
    wait_for(f, id, JOB_COMPLETED);
    assert_int_equal(events_of(f, id, "log", &rows), 303);
    for (int i = 0; i < 303; i++) {
        struct json *v;
        char wanted[64];
        OK(json_parse(rows[i].data, strlen(rows[i].data), &v, &f->e));
        snprintf(wanted, sizeof wanted, "unit %d \"line\" %d\t\x01", i / 101, i % 101);
        if (i % 101 < 100)
            assert_string_equal(json_str(json_get(v, "text"), ""), wanted);
        else
            assert_int_equal(strlen(json_str(json_get(v, "text"), "")), 399);
        assert_string_equal(json_str(json_get(v, "level"), ""), i % 101 == 7 ? "warn" : i % 101 == 100 ? "error" : "info");
        json_free(v);
    }
    stop(f);
}

static void test_of_a_jobs_lines_the_newest_stay(void **state)
{
    struct fixture *f = *state;
    struct job_event *rows;
    struct job_line *lines = ARENA_NEW(&f->a, struct job_line, STORE_LINES_MAX + 5);
    struct job_new job = {.id = "job_a", .kind = "sum", .spec = "{}", .spec_sha256 = "", .max_attempts = 1};
    OK(store_jobs_insert(f->s, &job, 1, &f->e));
    for (int i = 0; i < STORE_LINES_MAX + 5; i++)
        lines[i] = (struct job_line){i, "{\"text\":\"x\"}"};
    OK(store_job_lines_save(f->s, "job_a", lines, STORE_LINES_MAX + 5, &f->e));
    assert_int_equal(events_of(f, "job_a", "log", &rows), STORE_LINES_MAX);
    assert_int_equal(rows[0].at_us, 5);
}

/* ---- recipe ----------------------------------------------------------------------------------------------------------- */

static void test_a_recipe_says_what_was_read_and_can_be_submitted_again(void **state)
{
    struct fixture *f = *state;
    struct json *recipe;
    char text[300], again[40];
    start(f, 1);
    const char *first = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":2,\"publish\":\"dataset\"}}");
    struct json *made = result_of(f, first);
    const char *dataset = arena_strdup(&f->a, json_str(json_get(made, "dataset_id"), ""));
    json_free(made);
    snprintf(text, sizeof text, "{\"kind\":\"use\",\"spec\":{\"units\":1,\"dataset\":\"%s\"},\"tags\":[\"t\"],\"priority\":4}",
             dataset);
    const char *id = submit(f, text);
    int64_t sum = sum_of(f, id);
    OK(jobs_recipe(f->j, &f->a, id, &recipe, &f->e));
    const struct json *inputs = json_get(recipe, "inputs"), *body = json_get(recipe, "submission");
    assert_int_equal(json_count(inputs), 1);
    assert_string_equal(json_str(json_get(json_at(inputs, 0), "id"), ""), dataset);
    assert_string_equal(json_str(json_get(json_at(inputs, 0), "sha256"), ""), "5555");
    assert_int_equal(json_int(json_get(recipe, "threads"), 0), 2);
    assert_string_equal(json_str(json_get(recipe, "build_id"), ""), DLT_BUILD_ID);
    assert_int_equal(strlen(json_str(json_get(recipe, "result_sha256"), "")), 64);
    OK(jobs_submit(f->j, body, again, &f->problems, &f->e));
    json_free(recipe);
    assert_int_equal(sum_of(f, again), sum);
    struct job_row a = look(f, id), b = look(f, again);
    assert_string_equal(a.spec_sha256, b.spec_sha256);
    assert_string_equal(a.tags, b.tags);
    assert_int_equal(a.priority, b.priority);
    IS(jobs_recipe(f->j, &f->a, "job_none", &recipe, &f->e), STATUS_NOTFOUND);
}

static void test_a_step_has_a_recipe_once_its_references_are_resolved(void **state)
{
    struct fixture *f = *state;
    struct json *body, *recipe;
    struct field_list ids;
    char pipeline_id[40];
    static const char text[] =
        "{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":2,\"publish\":\"dataset\"}},"
        "{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"units\":0,\"dataset\":\"$a.dataset_id\"}}]}";
    atomic_store(&fake.gate, 1);
    start(f, 1);
    OK(json_parse(text, strlen(text), &body, &f->e));
    OK(jobs_submit_pipeline(f->j, body, pipeline_id, &ids, &f->a, &f->problems, &f->e));
    json_free(body);
    const char *second = ((const char *const *)ids.items)[1];
    IS(jobs_recipe(f->j, &f->a, second, &recipe, &f->e), STATUS_CONFLICT);
    assert_null(recipe);
    atomic_store(&fake.gate, 0);
    wait_for(f, second, JOB_COMPLETED);
    OK(jobs_recipe(f->j, &f->a, second, &recipe, &f->e));
    assert_int_equal(json_count(json_get(recipe, "inputs")), 1);
    json_free(recipe);
}

/* ---- leaving and beginning anew ---------------------------------------------------------------------------------------- */

static int64_t n_units(struct fixture *f, const char *id)
{
    bool done[16];
    int64_t n;
    OK(store_units_committed(f->s, id, 0, 16, done, &n, &f->e));
    return n;
}

static void test_a_job_can_begin_from_the_start_when_it_is_final(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":3,\"fail_unit\":2,\"fails_with\":\"format\"}}");
    wait_for(f, id, JOB_DISCARDED);
    assert_int_equal(n_units(f, id), 2);
    IS(jobs_retry_from_start(f->j, "job_none", &f->e), STATUS_NOTFOUND);
    int before = atomic_load(&fake.units);
    OK(jobs_retry_from_start(f->j, id, &f->e));
    /* The count of its tries is gone with its folder, so that it fails as it did at first, after the same three units. */
    while (atomic_load(&fake.units) < before + 3 || !job_state_final(look(f, id).state))
        jobs_wait_change(f->j, id, 50);
    assert_int_equal(look(f, id).state, JOB_DISCARDED);
    OK(jobs_retry(f->j, id, &f->e));
    assert_int_equal(sum_of(f, id), fake_sum(1, 3));
    IS(jobs_retry_from_start(f->j, id, &f->e), STATUS_CONFLICT);
}

static void test_a_final_job_can_be_deleted_with_all_that_was_kept_of_it(void **state)
{
    struct fixture *f = *state;
    struct job_event *rows;
    struct json *body;
    struct field_list ids;
    char pipeline_id[40];
    static const char text[] = "{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":0}},"
                               "{\"id\":\"b\",\"kind\":\"use\",\"needs\":[\"a\"],\"spec\":{\"units\":3}}]}";
    atomic_store(&fake.gate, 1);
    start(f, 1);
    OK(json_parse(text, strlen(text), &body, &f->e));
    OK(jobs_submit_pipeline(f->j, body, pipeline_id, &ids, &f->a, &f->problems, &f->e));
    json_free(body);
    const char *a = ((const char *const *)ids.items)[0], *b = ((const char *const *)ids.items)[1];
    wait_for(f, b, JOB_RUNNING);
    IS(jobs_delete(f->j, b, &f->e), STATUS_CONFLICT);
    IS(jobs_delete(f->j, a, &f->e), STATUS_CONFLICT);      /* b needs it, and is not final */
    atomic_store(&fake.gate, 0);
    wait_for(f, b, JOB_COMPLETED);
    OK(jobs_delete(f->j, a, &f->e));
    OK(jobs_delete(f->j, b, &f->e));
    IS(jobs_delete(f->j, b, &f->e), STATUS_NOTFOUND);
    assert_int_equal(events_of(f, b, NULL, &rows), 0);
    assert_int_equal(n_units(f, b), 0);
    assert_false(exists(work_dir_of(b, f)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thinned_series_keeps_ends_extremes_and_order),
        cmocka_unit_test(test_a_short_series_stays_as_it_is),
        TEST(test_states_and_metrics_are_events_in_their_order),
        TEST(test_every_line_of_a_job_is_kept_in_order_as_json),
        TEST(test_of_a_jobs_lines_the_newest_stay),
        TEST(test_a_recipe_says_what_was_read_and_can_be_submitted_again),
        TEST(test_a_step_has_a_recipe_once_its_references_are_resolved),
        TEST(test_a_job_can_begin_from_the_start_when_it_is_final),
        TEST(test_a_final_job_can_be_deleted_with_all_that_was_kept_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
