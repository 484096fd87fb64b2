/* tests/server/cli/test_run.c
 *
 * `dltrigger run` in a child process, with the fake job kinds in place of core's: exit status, what goes where, and what
 * a signal does. */
#include "server/cli/progress.c"
#include "server/cli/run.c"
#include "server/cli/study.c"
#include "tests/server/jobs/fake_kinds.h"

#include <setjmp.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Stand in for core's table; the archive's is then not linked. */
const struct job_kind *const job_kinds[] = {&fake_sum_kind, &fake_use_kind, NULL};
const struct job_kind *job_kind_find(const char *name)
{
    for (const struct job_kind *const *k = job_kinds; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    return NULL;
}

struct outcome {
    int code;
    char out[4096], err[4096];
};

static void read_text(const char *path, char text[4096])
{
    struct buf b;
    struct error e;
    buf_init(&b, 4095);
    assert_int_equal(file_read(path, &b, &e), STATUS_OK);
    if (b.len > 0)
        memcpy(text, b.data, b.len);
    text[b.len] = '\0';
    buf_fini(&b);
}

static pid_t begin_run(const char *folder, int argc, const char *const *argv)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        check(freopen(path_in(folder, "out"), "w", stdout) && freopen(path_in(folder, "err"), "w", stderr));
        exit(cli_run(argc, (char **)(uintptr_t)argv));
    }
    return child;
}

static struct outcome end_run_of(const char *folder, pid_t child)
{
    struct outcome o;
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    o.code = WEXITSTATUS(status);
    read_text(path_in(folder, "out"), o.out);
    read_text(path_in(folder, "err"), o.err);
    return o;
}

/* Runs a body as a file. */
static struct outcome run_body(const char *folder, const char *body, const char *option)
{
    struct error e;
    char file[1024], data[1024];
    text_copy(file, sizeof file, path_in(folder, "body.json"));
    text_copy(data, sizeof data, path_in(folder, "data"));
    assert_int_equal(file_write_atomic(file, body, strlen(body), &e), STATUS_OK);
    const char *argv[] = {"run", file, "--data-dir", data, "--threads=2", option, NULL};
    return end_run_of(folder, begin_run(folder, option ? 6 : 5, argv));
}

static void test_a_job_prints_its_result_and_nothing_else(void **state)
{
    (void)state;
    char *folder = temp_folder_create(), expected[100];
    struct outcome o = run_body(folder, "{\"kind\":\"sum\",\"spec\":{\"units\":3}}", "--json");
    snprintf(expected, sizeof expected, "{\"sum\":%lld,", (long long)fake_sum(1, 3));
    assert_int_equal(o.code, 0);
    assert_memory_equal(o.out, expected, strlen(expected));
    assert_ptr_equal(strchr(o.out, '\n'), o.out + strlen(o.out) - 1);
    assert_string_equal(o.err, "");
    o = run_body(folder, "{\"kind\":\"sum\",\"spec\":{\"units\":3}}", NULL);
    assert_int_equal(o.code, 0);
    assert_memory_equal(o.out, "{\n  \"sum\": ", 11);
    temp_folder_remove(folder);
}

static void test_a_pipeline_prints_the_results_of_its_steps(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    struct json *v;
    struct error e;
    struct outcome o = run_body(folder,
                                "{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":2,\"publish\":\"dataset\"}},"
                                "{\"id\":\"b\",\"kind\":\"use\",\"spec\":{\"units\":0,\"dataset\":\"$a.dataset_id\"}}]}",
                                "--json");
    assert_int_equal(o.code, 0);
    assert_int_equal(json_parse(o.out, strlen(o.out), &v, &e), STATUS_OK);
    const struct json *b = json_get(json_get(v, "steps"), "b");
    assert_string_equal(json_str(json_get(b, "kind"), ""), "use");
    assert_int_equal(json_int(json_get(json_get(b, "result"), "sum"), 0), fake_sum(1, 2));
    json_free(v);
    temp_folder_remove(folder);
}

static void test_wrong_bodies_and_failures_exit_1_and_say_why(void **state)
{
    (void)state;
    static const struct { const char *body, *says; } cases[] = {
        {"{\"kind\":\"sum\",\"spec\":{\"unts\":3}}", "/spec/unts: there is no member \"unts\"; did you mean \"units\"?"},
        {"{\"kind\":\"sum\",", "JSON: line 1"},
        {"{\"kind\":\"sum\",\"spec\":{\"fail_unit\":1,\"fail_attempts\":9,\"fails_with\":\"format\"}}",
         "discarded: unit 1 fails on purpose"},
        {"{\"steps\":[{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"input\":\"/etc/passwd\"}}]}", "not inside a data root"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *folder = temp_folder_create();
        struct outcome o = run_body(folder, cases[i].body, "--json");
        assert_int_equal(o.code, 1);
        assert_string_equal(o.out, "");
        if (!strstr(o.err, cases[i].says))
            fail_msg("\"%s\" does not say \"%s\"", o.err, cases[i].says);
        temp_folder_remove(folder);
    }
}

static void test_wrong_usage_exits_2_and_help_0(void **state)
{
    (void)state;
    static const struct { int argc; const char *argv[7]; int code; } cases[] = {
        {1, {"run"}, 2},
        {2, {"run", "x.json"}, 2},
        {3, {"run", "--data-dir", "d"}, 2},
        {3, {"run", "x.json", "--data-dir"}, 2},
        {5, {"run", "x.json", "--data-dir", "d", "--nope"}, 2},
        {5, {"run", "x.json", "y.json", "--data-dir", "d"}, 2},
        {6, {"run", "x.json", "--data-dir", "d", "--threads", "0"}, 2},
        {2, {"run", "--help"}, 0},
    };
    char *folder = temp_folder_create();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outcome o = end_run_of(folder, begin_run(folder, cases[i].argc, cases[i].argv));
        assert_int_equal(o.code, cases[i].code);
        assert_non_null(strstr(cases[i].code ? o.err : o.out, "usage: dltrigger run"));
    }
    assert_false(access("d", F_OK) == 0);
    temp_folder_remove(folder);
}

static void test_a_signal_cancels_the_job(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        char *folder = temp_folder_create(), file[1024], data[1024];
        struct error e;
        static const char body[] = "{\"kind\":\"sum\",\"spec\":{\"until_cancelled\":true}}";
        text_copy(file, sizeof file, path_in(folder, "body.json"));
        text_copy(data, sizeof data, path_in(folder, "data"));
        assert_int_equal(file_write_atomic(file, body, strlen(body), &e), STATUS_OK);
        const char *argv[] = {"run", file, "--data-dir", data, NULL};
        pid_t child = begin_run(folder, 4, argv);
        while (access(path_in(data, "work"), F_OK) != 0 || folder_count(path_in(data, "work")) == 0)
            usleep(1000);
        kill(child, signals[i]);
        struct outcome o = end_run_of(folder, child);
        assert_int_equal(o.code, 1);
        assert_string_equal(o.out, "");
        assert_non_null(strstr(o.err, "cancelling"));
        assert_non_null(strstr(o.err, "cancelled"));
        assert_int_equal(folder_count(path_in(data, "work")), 0);
        temp_folder_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_prints_its_result_and_nothing_else),
        cmocka_unit_test(test_a_pipeline_prints_the_results_of_its_steps),
        cmocka_unit_test(test_wrong_bodies_and_failures_exit_1_and_say_why),
        cmocka_unit_test(test_wrong_usage_exits_2_and_help_0),
        cmocka_unit_test(test_a_signal_cancels_the_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
