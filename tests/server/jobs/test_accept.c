/* tests/server/jobs/test_accept.c
 *
 * Submissions under a key of the client's: replayed, refused, in flight, kept with the jobs. */
#include "tests/server/jobs/engine_fixture.h"

#define SUM "{\"kind\":\"sum\",\"spec\":{\"units\":2},\"tags\":[\"x\"]}"
#define PIPELINE "{\"name\":\"p\",\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{}}," \
    "{\"id\":\"b\",\"kind\":\"use\",\"needs\":[\"a\"],\"spec\":{}}]}"

static struct submit_answer accept(struct fixture *f, const char *text, const char *key)
{
    struct submit_answer answer;
    struct json *body;
    char sha256[65];
    sha256_hex(text, strlen(text), sha256);
    struct submit_key k = {.route = "/api/v1/jobs", .key = key, .body_sha256 = sha256};
    f->problems.n = 0;
    OK(json_parse(text, strlen(text), &body, &f->e));
    OK(jobs_accept(f->j, &f->a, body, &k, &answer, &f->problems, &f->e));
    json_free(body);
    return answer;
}

static struct submit_answer accept_pipeline(struct fixture *f, const char *text, const char *key)
{
    struct submit_answer answer;
    struct json *body;
    char sha256[65];
    sha256_hex(text, strlen(text), sha256);
    struct submit_key k = {.route = "/api/v1/pipelines", .key = key, .body_sha256 = sha256};
    OK(json_parse(text, strlen(text), &body, &f->e));
    OK(jobs_accept_pipeline(f->j, &f->a, body, &k, &answer, &f->problems, &f->e));
    json_free(body);
    return answer;
}

static size_t n_jobs(struct fixture *f)
{
    struct job_row *rows;
    size_t n;
    OK(store_jobs_list(f->s, &f->a, &(struct job_filter){.limit = 1000}, &rows, &n, &f->e));
    return n;
}

static void test_the_answer_is_the_job_as_it_was_accepted(void **state)
{
    struct fixture *f = *state;
    struct json *v;
    start(f, 1);
    struct submit_answer a = accept(f, SUM, NULL);
    struct job_row row = wait_for(f, a.id, JOB_COMPLETED);
    OK(json_parse(a.text, strlen(a.text), &v, &f->e));
    assert_string_equal(json_str(json_get(v, "id"), ""), a.id);
    assert_string_equal(json_str(json_get(v, "state"), ""), "available");
    assert_string_equal(json_str(json_get(v, "spec_sha256"), ""), row.spec_sha256);
    assert_string_equal(json_str(json_at(json_get(v, "tags"), 0), ""), "x");
    struct json *now = jobs_to_json(&row);
    assert_string_equal(json_str(json_get(v, "created_at"), ""), json_str(json_get(now, "created_at"), "?"));
    assert_int_equal(json_count(v), json_count(now));
    json_free(now);
    json_free(v);
}

static void test_the_same_key_and_body_get_the_first_answer_also_after_a_restart(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    struct submit_answer first = accept(f, SUM, "k-1");
    assert_int_equal(first.outcome, SUBMIT_ACCEPTED);
    wait_for(f, first.id, JOB_COMPLETED);
    struct submit_answer again = accept(f, SUM, "k-1");
    assert_int_equal(again.outcome, SUBMIT_REPLAYED);
    assert_string_equal(again.id, first.id);
    assert_string_equal(again.text, first.text);
    stop(f);
    store_close(f->s);
    OK(store_open(f->folder, &f->s, &f->e));
    start(f, 1);
    again = accept(f, SUM, "k-1");
    assert_int_equal(again.outcome, SUBMIT_REPLAYED);
    assert_string_equal(again.text, first.text);
    assert_int_equal(n_jobs(f), 1);
    struct submit_answer other = accept(f, SUM, "k-2");
    assert_int_equal(other.outcome, SUBMIT_ACCEPTED);
    assert_int_equal(n_jobs(f), 2);
}

static void test_a_key_with_another_body_is_refused_but_belongs_to_its_route(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    accept(f, SUM, "k");
    struct submit_answer a = accept(f, "{\"kind\":\"sum\",\"spec\":{\"units\":3}}", "k");
    assert_int_equal(a.outcome, SUBMIT_REUSED);
    assert_int_equal(n_jobs(f), 1);
    a = accept_pipeline(f, PIPELINE, "k");
    assert_int_equal(a.outcome, SUBMIT_ACCEPTED);
    struct submit_answer again = accept_pipeline(f, PIPELINE, "k");
    assert_int_equal(again.outcome, SUBMIT_REPLAYED);
    assert_string_equal(again.text, a.text);
    assert_non_null(strstr(a.text, "\"state\":\"pending\""));
    assert_int_equal(n_jobs(f), 3);
}

static void test_a_refused_body_leaves_its_key_free(void **state)
{
    struct fixture *f = *state;
    struct submit_answer answer;
    struct json *body;
    struct submit_key k = {.route = "/api/v1/jobs", .key = "k", .body_sha256 = "00"};
    start(f, 1);
    OK(json_parse("{}", 2, &body, &f->e));
    IS(jobs_accept(f->j, &f->a, body, &k, &answer, &f->problems, &f->e), STATUS_ARGUMENT);
    IS(jobs_accept_pipeline(f->j, &f->a, body, &k, &answer, &f->problems, &f->e), STATUS_ARGUMENT);
    json_free(body);
    assert_int_equal(accept(f, SUM, "k").outcome, SUBMIT_ACCEPTED);
}

static void test_an_answer_is_forgotten_after_a_day(void **state)
{
    struct fixture *f = *state;
    struct submit_record found_record;
    bool found;
    start(f, 1);
    int64_t now_us = time_unix_us();
    struct job_new jobs[] = {{.id = "job_a", .kind = "sum", .spec = "{}", .spec_sha256 = "", .max_attempts = 1},
                             {.id = "job_b", .kind = "sum", .spec = "{}", .spec_sha256 = "", .max_attempts = 1}};
    struct submit_record old = {"r", "k", "00", "job_a", "{}", now_us - SUBMIT_ANSWER_US - 1};
    struct submit_record fresh = {"r", "k", "11", "job_b", "{}", now_us};
    OK(store_jobs_insert_answered(f->s, &jobs[0], 1, &old, &f->e));
    OK(store_submit_record_find(f->s, &f->a, "r", "k", now_us, &found_record, &found, &f->e));
    assert_false(found);
    OK(store_jobs_insert_answered(f->s, &jobs[1], 1, &fresh, &f->e));
    OK(store_submit_record_find(f->s, &f->a, "r", "k", now_us, &found_record, &found, &f->e));
    assert_true(found);
    assert_string_equal(found_record.body_sha256, "11");
    /* a key that is taken takes the job with it: both or none */
    struct job_new c = {.id = "job_c", .kind = "sum", .spec = "{}", .spec_sha256 = "", .max_attempts = 1};
    IS(store_jobs_insert_answered(f->s, &c, 1, &fresh, &f->e), STATUS_CONFLICT);
    IS(store_job_get(f->s, &f->a, "job_c", &(struct job_row){0}, &f->e), STATUS_NOTFOUND);
}

/* ---- in flight ------------------------------------------------------------------------------------------------------ */

static struct fixture *inside;

/* Submits the same again from within the first request. */
static enum status submit_again(const void *spec, struct error *e)
{
    (void)spec;
    (void)e;
    struct fixture *f = inside;
    inside = NULL;
    if (f) {
        assert_int_equal(accept(f, SUM, "k").outcome, SUBMIT_IN_FLIGHT);
        assert_int_equal(accept(f, SUM, "other").outcome, SUBMIT_ACCEPTED);
    }
    return STATUS_OK;
}

static void test_a_key_in_flight_is_refused_until_its_request_is_done(void **state)
{
    struct fixture *f = *state;
    struct job_kind kind = fake_sum_kind;
    const struct job_kind *const kinds[] = {&kind, NULL};
    kind.validate = submit_again;
    start_with(f, 1, kinds);
    inside = f;
    assert_int_equal(accept(f, SUM, "k").outcome, SUBMIT_ACCEPTED);
    assert_null(inside);
    assert_int_equal(accept(f, SUM, "k").outcome, SUBMIT_REPLAYED);
    assert_int_equal(n_jobs(f), 2);
    stop(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_answer_is_the_job_as_it_was_accepted),
        TEST(test_the_same_key_and_body_get_the_first_answer_also_after_a_restart),
        TEST(test_a_key_with_another_body_is_refused_but_belongs_to_its_route),
        TEST(test_a_refused_body_leaves_its_key_free),
        TEST(test_an_answer_is_forgotten_after_a_day),
        TEST(test_a_key_in_flight_is_refused_until_its_request_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
