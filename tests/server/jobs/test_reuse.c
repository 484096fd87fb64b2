/* tests/server/jobs/test_reuse.c
 *
 * Steps whose result is there already, and jobs that are run again to compare. */
#include "tests/server/jobs/engine_fixture.h"

#include <dirent.h>

/* The ids of the steps, in the test's arena. */
static const char *const *submit_steps(struct fixture *f, const char *text)
{
    struct json *body;
    struct field_list ids;
    char pipeline_id[40];
    f->problems.n = 0;
    OK(json_parse(text, strlen(text), &body, &f->e));
    OK(jobs_submit_pipeline(f->j, body, pipeline_id, &ids, &f->a, &f->problems, &f->e));
    json_free(body);
    return ids.items;
}

#define CHAIN \
    "{\"name\":\"p\",\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":4,\"publish\":\"dataset\"}}," \
    "{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"units\":1,\"dataset\":\"$a.dataset_id\"}}]}"

static void test_a_step_that_was_done_before_takes_its_result(void **state)
{
    struct fixture *f = *state;
    struct job_row first[2], second[2];
    struct job_input *inputs;
    size_t n;
    start(f, 1);
    const char *const *ids = submit_steps(f, CHAIN);
    for (int i = 0; i < 2; i++)
        first[i] = wait_for(f, ids[i], JOB_COMPLETED);
    int units = atomic_load(&fake.units);
    ids = submit_steps(f, CHAIN);
    for (int i = 0; i < 2; i++) {
        second[i] = wait_for(f, ids[i], JOB_COMPLETED);
        assert_string_equal(second[i].result, first[i].result);
        assert_null(first[i].reused_from);
    }
    assert_string_equal(second[0].reused_from, first[0].id);
    /* The hash that "sum" publishes its dataset with is the same, so "use" has read the same. */
    assert_string_equal(second[1].reused_from, first[1].id);
    assert_int_equal(atomic_load(&fake.units), units);
    OK(store_job_inputs_list(f->s, &f->a, second[1].id, &inputs, &n, &f->e));
    assert_int_equal(n, 1);
}

static void test_a_step_is_done_again_when_told_so_or_when_it_differs(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        "{\"name\":\"p\",\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":4}}]}",
        "{\"name\":\"p\",\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"cache\":\"off\",\"spec\":{\"units\":4}}]}",
        "{\"name\":\"p\",\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":5}}]}"};
    start(f, 1);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_null(wait_for(f, submit_steps(f, texts[i])[0], JOB_COMPLETED).reused_from);
    assert_null(wait_for(f, submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":4}}"), JOB_COMPLETED).reused_from);
    assert_int_equal(atomic_load(&fake.units), 4 + 4 + 5 + 4);
    assert_non_null(wait_for(f, submit_steps(f, texts[0])[0], JOB_COMPLETED).reused_from);
}

static void test_a_result_whose_dataset_is_gone_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct artifact_row *rows;
    int64_t artifacts;
    bool changed;
    size_t n;
    start(f, 1);
    const char *const *ids = submit_steps(f, CHAIN);
    wait_for(f, ids[1], JOB_COMPLETED);
    OK(store_artifacts_list(f->s, &f->a, "dataset", NULL, NULL, 10, &rows, &n, &f->e));
    assert_int_equal(n, 1);
    OK(store_artifacts_state(f->s, &artifacts, &f->e));
    OK(store_dataset_delete(f->s, rows[0].id, artifacts, &changed, &f->e));
    ids = submit_steps(f, CHAIN);
    assert_null(wait_for(f, ids[0], JOB_COMPLETED).reused_from);
}

static struct json *verification_of(struct fixture *f, const char *id)
{
    struct json *v;
    const char *again;
    OK(jobs_verify(f->j, &f->a, id, &again, &f->e));
    struct job_row row = wait_for(f, again, JOB_COMPLETED);
    assert_string_equal(row.verify_of, id);
    OK(json_parse(row.verification, strlen(row.verification), &v, &f->e));
    return v;
}

static void test_what_is_made_again_is_compared_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    struct artifact_row *rows;
    size_t n;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":4,\"publish\":\"model\",\"name\":\"m\"}}");
    wait_for(f, id, JOB_COMPLETED);
    struct json *v = verification_of(f, id);
    assert_true(json_bool(json_get(v, "equal"), false) && json_bool(json_get(v, "result_equal"), false));
    json_free(v);
    OK(store_artifacts_list(f->s, &f->a, "model", NULL, NULL, 10, &rows, &n, &f->e));
    assert_int_equal(n, 1);                                        /* nothing was published, no number was used up */
    assert_int_equal(file_write_atomic(path_in(rows[0].folder, "sum"), "12345678", 8, &f->e), STATUS_OK);
    v = verification_of(f, id);
    assert_false(json_bool(json_get(v, "equal"), true));
    assert_true(json_bool(json_get(v, "result_equal"), false));
    const struct json *artifact = json_at(json_get(v, "artifacts"), 0);
    assert_string_equal(json_str(json_at(json_get(artifact, "files_that_differ"), 0), ""), "sum");
    json_free(v);
}

static void test_only_what_has_a_result_of_its_own_is_verified(void **state)
{
    struct fixture *f = *state;
    const char *again;
    start(f, 1);
    const char *id = submit(f, "{\"kind\":\"sum\",\"spec\":{\"units\":1,\"fail_unit\":0,\"fails_with\":\"format\"}}");
    wait_for(f, id, JOB_DISCARDED);
    IS(jobs_verify(f->j, &f->a, id, &again, &f->e), STATUS_CONFLICT);
    IS(jobs_verify(f->j, &f->a, "job_none", &again, &f->e), STATUS_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_step_that_was_done_before_takes_its_result),
        TEST(test_a_step_is_done_again_when_told_so_or_when_it_differs),
        TEST(test_a_result_whose_dataset_is_gone_is_not_taken),
        TEST(test_what_is_made_again_is_compared_byte_by_byte),
        TEST(test_only_what_has_a_result_of_its_own_is_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
