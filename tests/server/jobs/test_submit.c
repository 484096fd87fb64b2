/* tests/server/jobs/test_submit.c
 *
 * Bodies of jobs and pipelines: what is refused and how it is said; references between steps. */
#include "tests/server/jobs/engine_fixture.h"

struct refusal {
    const char *text, *pointer, *code, *says;
};

static void assert_refused(struct fixture *f, const struct refusal *c, enum status s)
{
    const struct json_problem *p = &f->problems.items[0];
    if (s != STATUS_ARGUMENT || f->problems.n != 1 || strcmp(p->pointer, c->pointer) != 0 || strcmp(p->code, c->code) != 0 ||
        !strstr(p->detail, c->says))
        fail_msg("%s: %s, %zu problems, first %s %s: %s", c->text, status_name(s), f->problems.n, p->pointer, p->code,
                 p->detail);
}

static size_t n_jobs(struct fixture *f)
{
    struct job_row *rows;
    size_t n;
    struct job_filter filter = {.limit = 1000};
    OK(store_jobs_list(f->s, &f->a, &filter, &rows, &n, &f->e));
    return n;
}

/* ---- jobs ------------------------------------------------------------------------------------------------------------ */

static void test_a_wrong_body_is_refused_with_the_pointer_to_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    static const struct refusal cases[] = {
        {"[]", "", "type", "an object"},
        {"null", "", "type", "an object"},
        {"{\"spec\":{}}", "/kind", "required", "one of sum, use"},
        {"{\"kind\":7,\"spec\":{}}", "/kind", "type", "a string"},
        {"{\"kind\":\"train\",\"spec\":{}}", "/kind", "choice", "there are sum, use"},
        {"{\"kind\":\"sum\"}", "/spec", "required", "required"},
        {"{\"kind\":\"sum\",\"spec\":[]}", "/spec", "type", "an object"},
        {"{\"kind\":\"sum\",\"spec\":{\"unit\":1}}", "/spec/unit", "unknown_member", "\"units\""},
        {"{\"kind\":\"sum\",\"spec\":{\"units\":-1}}", "/spec/units", "out_of_range", "within 0 to 1000"},
        {"{\"kind\":\"sum\",\"spec\":{\"units\":13}}", "/spec", "invalid", "bad luck"},
        {"{\"kind\":\"sum\",\"spec\":{\"units\":14}}", "/spec/units", "invalid", "14 units: bring worse"},
        {"{\"kind\":\"sum\",\"spec\":{},\"priorty\":1}", "/priorty", "unknown_member", "\"priority\""},
        {"{\"kind\":\"sum\",\"spec\":{},\"priority\":10}", "/priority", "out_of_range", "0 to 9"},
        {"{\"kind\":\"sum\",\"spec\":{},\"priority\":1.0}", "/priority", "type", "an integer"},
        {"{\"kind\":\"sum\",\"spec\":{},\"max_attempts\":0}", "/max_attempts", "out_of_range", "1 to 20"},
        {"{\"kind\":\"sum\",\"spec\":{},\"max_attempts\":9223372036854775807}", "/max_attempts", "out_of_range", "1 to 20"},
        {"{\"kind\":\"sum\",\"spec\":{},\"tags\":\"x\"}", "/tags", "type", "an array"},
        {"{\"kind\":\"sum\",\"spec\":{},\"tags\":[\"\"]}", "/tags", "text", "tag 0"},
        {"{\"kind\":\"sum\",\"spec\":{},\"tags\":[\"a\",3]}", "/tags", "text", "tag 1"},
        {"{\"kind\":\"sum\",\"spec\":{},\"tags\":[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7]}", "/tags", "length", "17 tags"},
    };
    char id[40];
    start(f, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_refused(f, &cases[i], try_submit(f, cases[i].text, id));
        assert_string_equal(id, "");
    }
    assert_int_equal(n_jobs(f), 0);
}

static void test_all_problems_of_a_job_are_told_at_once(void **state)
{
    struct fixture *f = *state;
    char id[40];
    start(f, 1);
    IS(try_submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":\"x\",\"nope\":1},\"priority\":99,\"tags\":{},\"z\":1}", id),
       STATUS_ARGUMENT);
    assert_int_equal(f->problems.n, 5);
}

static void test_checking_a_spec_without_memory_is_nomem_and_no_problem_of_the_spec(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "{\"units\":3,\"numbers\":[1,2],\"publish\":\"dataset\"}";
    struct json *value;
    OK(json_parse(text, strlen(text), &value, &f->e));
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct arena a;
        struct json_problems problems = {0};
        const char *canonical;
        char sha256[65];
        void *spec;
        arena_init(&a, 1 << 20);
        enum status s = spec_check(&a, &fake_sum_kind, value, "/spec", &spec, &canonical, sha256, &problems, &f->e);
        bool failed = alloc_fail_end();
        IS(s, failed ? STATUS_NOMEM : STATUS_OK);
        assert_int_equal(problems.n, 0);
        arena_fini(&a);
    }
    json_free(value);
}

/* ---- pipelines ----------------------------------------------------------------------------------------------------------- */

static enum status try_pipeline(struct fixture *f, const char *text, char id[40], struct field_list *ids)
{
    struct json *body;
    f->problems.n = 0;
    OK(json_parse(text, strlen(text), &body, &f->e));
    enum status s = jobs_submit_pipeline(f->j, body, id, ids, &f->a, &f->problems, &f->e);
    json_free(body);
    return s;
}

static const char *const *pipeline(struct fixture *f, const char *text)
{
    char id[40];
    struct field_list ids;
    OK(try_pipeline(f, text, id, &ids));
    assert_memory_equal(id, "pl_", 3);
    return ids.items;
}

static void test_steps_run_in_order_of_their_needs_with_results_put_in(void **state)
{
    struct fixture *f = *state;
    start(f, 2);
    const char *const *ids = pipeline(
        f, "{\"name\":\"chain\",\"steps\":["
           "{\"id\":\"last\",\"kind\":\"use\",\"spec\":{\"units\":1,\"dataset\":\"$mid.dataset_id\",\"scale\":\"$in.scale\","
           "\"numbers\":\"$in.numbers\"},\"tags\":[\"x\"]},"
           "{\"id\":\"in\",\"kind\":\"sum\",\"spec\":{\"units\":2,\"publish\":\"dataset\",\"scale\":0.25,\"numbers\":[1,2.5]}},"
           "{\"id\":\"mid\",\"kind\":\"use\",\"needs\":[\"in\"],\"spec\":{\"units\":0,\"dataset\":\"$in.dataset_id\","
           "\"publish\":\"dataset\"}}]}");
    assert_int_equal(sum_of(f, ids[0]), fake_sum(1, 2) + fake_sum(1, 1));
    assert_int_equal(sum_of(f, ids[2]), fake_sum(1, 2));
    struct job_row first = look(f, ids[1]), mid = look(f, ids[2]), last = look(f, ids[0]);
    assert_true(first.finished_us <= mid.started_us && mid.finished_us <= last.started_us);
    assert_string_equal(last.pipeline_id, first.pipeline_id);
    assert_string_equal(last.step, "last");
    assert_string_equal(last.tags, "[\"chain\",\"x\"]");
    assert_non_null(strstr(last.needs, ids[1]));
    assert_non_null(strstr(last.needs, ids[2]));
    /* the stored spec is the resolved one, canonical and hashed */
    assert_null(strchr(last.spec, '$'));
    assert_non_null(strstr(last.spec, "\"numbers\":[1.0,2.5]"));
    assert_non_null(strstr(last.spec, "\"scale\":0.25"));
    char sha256[65];
    sha256_hex(last.spec, strlen(last.spec), sha256);
    assert_string_equal(last.spec_sha256, sha256);
}

static void test_a_wrong_pipeline_is_refused_as_a_whole(void **state)
{
    struct fixture *f = *state;
#define A "{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{}}"
    static const struct refusal cases[] = {
        {"7", "", "type", "an object"},
        {"{}", "/steps", "length", "1 to 100"},
        {"{\"steps\":[]}", "/steps", "length", "1 to 100"},
        {"{\"steps\":[" A "],\"nam\":\"x\"}", "/nam", "unknown_member", "\"name\""},
        {"{\"name\":\"\",\"steps\":[" A "]}", "/name", "text", "1 to 64"},
        {"{\"steps\":[" A "," A "]}", "/steps/1/id", "duplicate", "already"},
        {"{\"steps\":[{\"id\":\"a b\",\"kind\":\"sum\",\"spec\":{}}]}", "/steps/0/id", "text", "letters"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sam\",\"spec\":{}}]}", "/steps/0/kind", "choice", "sum, use"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\"}]}", "/steps/0/spec", "required", "required"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":-4}}]}", "/steps/0/spec/units", "out_of_range", "-4"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{},\"neds\":[]}]}", "/steps/0/neds", "unknown_member", "needs"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{},\"needs\":[\"b\"]}]}", "/steps/0/needs", "reference", "\"b\""},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{},\"needs\":\"b\"}]}", "/steps/0/needs", "type", "an array"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{},\"needs\":[\"a\"]}]}", "/steps/0", "circle", "itself"},
        {"{\"steps\":[" A ",{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"dataset\":\"$c.dataset_id\"}}]}",
         "/steps/1/spec/dataset", "reference", "no step \"c\""},
        {"{\"steps\":[" A ",{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"dataset\":\"$a.datset\"}}]}",
         "/steps/1/spec/dataset", "reference", "no member \"datset\""},
        {"{\"steps\":[" A ",{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"dataset\":\"$a.dataset_id\",\"unts\":1}}]}",
         "/steps/1/spec/unts", "unknown_member", "units"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"use\",\"spec\":{\"dataset\":\"$b.dataset_id\"}},"
         "{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"dataset\":\"$a.dataset_id\"}}]}", "/steps/0", "circle", "itself"},
    };
    char id[40];
    struct field_list ids;
    start(f, 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_refused(f, &cases[i], try_pipeline(f, cases[i].text, id, &ids));
        assert_string_equal(id, "");
        assert_int_equal(ids.n_items, 0);
    }
    assert_int_equal(n_jobs(f), 0);
}

static void test_a_value_that_does_not_fit_is_found_when_the_step_starts(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *const *ids = pipeline(f, "{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":40}},"
                                         "{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"units\":\"$a.sum\"}},"
                                         "{\"id\":\"c\",\"kind\":\"use\",\"spec\":{\"dataset\":\"$b.dataset_id\"}}]}");
    wait_for(f, ids[0], JOB_COMPLETED);
    assert_non_null(strstr(wait_for(f, ids[1], JOB_DISCARDED).errors, "/spec/units"));
    struct job_row row = wait_for(f, ids[2], JOB_CANCELLED);
    assert_non_null(strstr(row.errors, "upstream"));
    assert_non_null(strstr(row.errors, ids[1]));
}

static void test_cancelling_a_step_cancels_what_needs_it_and_a_retry_brings_it_back(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    atomic_store(&fake.gate, 1);
    const char *const *ids = pipeline(f, "{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":2,\"publish\":\"dataset\"}},"
                                         "{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"units\":0,\"dataset\":\"$a.dataset_id\"}}]}");
    while (atomic_load(&fake.units) < 2)
        usleep(1000);
    OK(jobs_cancel(f->j, ids[0], &f->e));
    wait_for(f, ids[0], JOB_CANCELLED);
    assert_int_equal(look(f, ids[1]).state, JOB_CANCELLED);
    IS(jobs_retry(f->j, ids[1], &f->e), STATUS_CONFLICT);
    atomic_store(&fake.gate, 0);
    OK(jobs_retry(f->j, ids[0], &f->e));
    assert_int_equal(sum_of(f, ids[1]), fake_sum(1, 2));
}

static void test_dollars_outside_a_pipeline_are_just_text(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"name\":\"$in.dataset_id\"}}");
    assert_non_null(strstr(wait_for(f, id, JOB_COMPLETED).spec, "\"$in.dataset_id\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_wrong_body_is_refused_with_the_pointer_to_what_is_wrong),
        TEST(test_all_problems_of_a_job_are_told_at_once),
        TEST(test_checking_a_spec_without_memory_is_nomem_and_no_problem_of_the_spec),
        TEST(test_steps_run_in_order_of_their_needs_with_results_put_in),
        TEST(test_a_wrong_pipeline_is_refused_as_a_whole),
        TEST(test_a_value_that_does_not_fit_is_found_when_the_step_starts),
        TEST(test_cancelling_a_step_cancels_what_needs_it_and_a_retry_brings_it_back),
        TEST(test_dollars_outside_a_pipeline_are_just_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
