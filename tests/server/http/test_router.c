/* tests/server/http/test_router.c
 *
 * Request targets and route templates, without a socket. */
#include "server/http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct route table[] = {
    {.method = HTTP_GET, .path = "/", .operation_id = "root"},
    {.method = HTTP_GET, .path = "/healthz", .operation_id = "health"},
    {.method = HTTP_GET, .path = "/jobs", .operation_id = "list"},
    {.method = HTTP_POST, .path = "/jobs", .operation_id = "submit"},
    {.method = HTTP_GET, .path = "/jobs/{id}", .operation_id = "get"},
    {.method = HTTP_DELETE, .path = "/jobs/{id}", .operation_id = "delete"},
    {.method = HTTP_POST, .path = "/jobs/{id}:cancel", .operation_id = "cancel"},
    {.method = HTTP_POST, .path = "/jobs/{id}:retry", .operation_id = "retry"},
    {.method = HTTP_POST, .path = "/jobs:bulk", .operation_id = "bulk"},
    {.method = HTTP_GET, .path = "/jobs/summary", .operation_id = "summary"},
    {.method = HTTP_GET, .path = "/models/{m}/versions/{v}", .operation_id = "version"},
    {.method = HTTP_POST, .path = "/menus/{m}/revisions/{r}:activate", .operation_id = "activate"},
};

struct fixture {
    struct arena arena;
    struct router *router;
    struct target target;
    struct route_match match;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct error e;
    arena_init(&f.arena, 1 << 20);
    assert_int_equal(router_create(table, ARRAY_LEN(table), &f.router, &e), STATUS_OK);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    router_destroy(f->router);
    arena_fini(&f->arena);
    return 0;
}

static enum status parse(struct fixture *f, const char *text, struct error *e)
{
    return target_parse(&f->arena, (const uint8_t *)text, strlen(text), &f->target, e);
}

/* The operation that answers; "" for none. */
static const char *find(struct fixture *f, enum http_method method, const char *text)
{
    struct error e;
    if (parse(f, text, &e) != STATUS_OK)
        return "refused";
    router_match(f->router, &f->target, method, &f->match);
    assert_true(!f->match.route || f->match.route == &table[f->match.index]);
    return f->match.route ? f->match.route->operation_id : "";
}

static void test_literal_paths_match_exactly(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_GET, "/"), "root");
    assert_string_equal(find(f, HTTP_GET, "/healthz"), "health");
    assert_string_equal(find(f, HTTP_GET, "/healthz/"), "");
    assert_string_equal(find(f, HTTP_GET, "//healthz"), "");
    assert_string_equal(find(f, HTTP_GET, "/Healthz"), "");
    assert_string_equal(find(f, HTTP_GET, "/healthz/../healthz"), "");
    assert_string_equal(find(f, HTTP_GET, "/./healthz"), "");
    assert_string_equal(find(f, HTTP_GET, "/healthzz"), "");
    assert_string_equal(find(f, HTTP_GET, "/health"), "");
}

static void test_parameters_are_decoded(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_GET, "/jobs/job_01J"), "get");
    assert_string_equal(f->match.params[0], "job_01J");
    assert_string_equal(find(f, HTTP_GET, "/jobs/a%20b"), "get");
    assert_string_equal(f->match.params[0], "a b");
    assert_string_equal(find(f, HTTP_GET, "/jobs/a+b"), "get");
    assert_string_equal(f->match.params[0], "a+b");
    assert_string_equal(find(f, HTTP_GET, "/models/top%C3%B6/versions/7"), "version");
    assert_string_equal(f->match.params[0], "top\xC3\xB6");
    assert_string_equal(f->match.params[1], "7");
    assert_string_equal(find(f, HTTP_GET, "/%6aobs/x"), "get");
}

static void test_actions_are_cut_off_the_parameter(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_POST, "/jobs/job_01J:cancel"), "cancel");
    assert_string_equal(f->match.params[0], "job_01J");
    assert_string_equal(find(f, HTTP_POST, "/jobs/job_01J%3Aretry"), "retry");
    assert_string_equal(f->match.params[0], "job_01J");
    assert_string_equal(find(f, HTTP_POST, "/menus/run3/revisions/12:activate"), "activate");
    assert_string_equal(f->match.params[0], "run3");
    assert_string_equal(f->match.params[1], "12");
    assert_string_equal(find(f, HTTP_POST, "/jobs:bulk"), "bulk");
}

static void test_unknown_actions_are_unknown_paths(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_POST, "/jobs/job_01J:explode"), "");
    assert_int_equal(f->match.methods, 0);
    assert_string_equal(find(f, HTTP_GET, "/jobs/job_01J:"), "");
    assert_string_equal(find(f, HTTP_POST, "/jobs/:cancel"), "");
    assert_string_equal(find(f, HTTP_POST, "/jobs/a:b:cancel"), "");
    assert_string_equal(find(f, HTTP_GET, "/jobs/a:b"), "");
}

static void test_parameters_never_hold_separators(void **state)
{
    struct fixture *f = *state;
    char longer[300] = "/jobs/";
    assert_string_equal(find(f, HTTP_GET, "/jobs/"), "");
    assert_string_equal(find(f, HTTP_GET, "/jobs/a%2Fb"), "");
    assert_string_equal(find(f, HTTP_GET, "/jobs/..%2F..%2Fetc%2Fpasswd"), "");
    assert_string_equal(find(f, HTTP_GET, "/jobs/..%5C.."), "");
    assert_string_equal(find(f, HTTP_GET, "/jobs%2Fx"), "");
    memset(longer + 6, 'x', PATH_PARAM_BYTES_MAX);
    assert_string_equal(find(f, HTTP_GET, longer), "get");
    longer[6 + PATH_PARAM_BYTES_MAX] = 'x';
    assert_string_equal(find(f, HTTP_GET, longer), "");
}

static void test_literal_wins_over_parameter(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_GET, "/jobs/summary"), "summary");
    assert_string_equal(find(f, HTTP_DELETE, "/jobs/summary"), "delete");
}

static void test_wrong_method_lists_the_right_ones(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_PUT, "/jobs"), "");
    assert_int_equal(f->match.methods, HTTP_GET | HTTP_HEAD | HTTP_POST);
    assert_string_equal(find(f, HTTP_GET, "/jobs/x:cancel"), "");
    assert_int_equal(f->match.methods, HTTP_POST);
    assert_string_equal(find(f, HTTP_OTHER, "/healthz"), "");
    assert_int_equal(f->match.methods, HTTP_GET | HTTP_HEAD);
    assert_string_equal(find(f, HTTP_HEAD, "/healthz"), "health");
    assert_string_equal(find(f, HTTP_HEAD, "/jobs:bulk"), "");
}

static void test_query_is_decoded_and_kept_apart(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_GET, "/jobs?state=running&tag=a+b%26c&empty=&bare"), "list");
    assert_int_equal(f->target.n_query, 4);
    assert_string_equal(f->target.query[0].name, "state");
    assert_string_equal(f->target.query[0].value, "running");
    assert_string_equal(f->target.query[1].value, "a b&c");
    assert_string_equal(f->target.query[2].value, "");
    assert_string_equal(f->target.query[3].name, "bare");
    assert_string_equal(f->target.query[3].value, "");
    assert_string_equal(f->target.path, "/jobs");
    assert_string_equal(f->target.query_text, "state=running&tag=a+b%26c&empty=&bare");
}

static void test_absolute_form_is_taken(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(find(f, HTTP_GET, "http://localhost:8080/healthz"), "health");
    assert_string_equal(find(f, HTTP_GET, "HTTP://x/jobs?limit=3"), "list");
    assert_int_equal(f->target.n_query, 1);
    assert_string_equal(find(f, HTTP_GET, "http://localhost"), "root");
}

static void test_hostile_targets_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "*", "healthz", "localhost:80", "ftp://x/healthz", "/healthz%00z", "/healthz%00", "/healthz%0d%0aX: y",
        "/healthz%0", "/healthz%", "/healthz%zz", "/health\x01z", "/health z", "/healthz\x7f", "/\xff", "/%ff", "/%C0%AF",
        "/%ED%A0%80", "/healthz#x", "/jobs?a=%00", "/jobs?a=%", "/jobs?a=1&a=2", "/jobs?%0a=1",
        "/jobs?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17",
    };
    struct fixture *f = *state;
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parse(f, bad[i], &e) != STATUS_ARGUMENT)
            fail_msg("'%s' was taken", bad[i]);
}

static void test_long_and_deep_targets_are_harmless(void **state)
{
    struct fixture *f = *state;
    struct error e;
    static char text[TARGET_BYTES_MAX + 2];
    memset(text, '/', TARGET_BYTES_MAX);
    assert_string_equal(find(f, HTTP_GET, text), "");
    memset(text, 'a', TARGET_BYTES_MAX + 1);
    text[0] = '/';
    assert_int_equal(parse(f, text, &e), STATUS_ARGUMENT);
}

static void test_bad_templates_are_refused_at_start(void **state)
{
    static const char *const bad[] = {"jobs", "/jobs/{id", "/jobs/id}", "/jobs/x{id}", "/jobs/{}", "/jobs/{id}cancel",
                                      "/jobs/{id}:", "/{a}/{b}/{c}/{d}/{e}", "/1/2/3/4/5/6/7/8/9/10/11/12/13"};
    struct router *r;
    struct error e;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct route one = {.method = HTTP_GET, .path = bad[i]};
        if (router_create(&one, 1, &r, &e) != STATUS_ARGUMENT)
            fail_msg("'%s' was taken", bad[i]);
    }
    struct route twins[] = {{.method = HTTP_GET, .path = "/a/{x}"}, {.method = HTTP_GET, .path = "/a/{y}"}};
    assert_int_equal(router_create(twins, 2, &r, &e), STATUS_ARGUMENT);
    twins[1].method = HTTP_POST;
    assert_int_equal(router_create(twins, 2, &r, &e), STATUS_OK);
    router_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal_paths_match_exactly),
        cmocka_unit_test(test_parameters_are_decoded),
        cmocka_unit_test(test_actions_are_cut_off_the_parameter),
        cmocka_unit_test(test_unknown_actions_are_unknown_paths),
        cmocka_unit_test(test_parameters_never_hold_separators),
        cmocka_unit_test(test_literal_wins_over_parameter),
        cmocka_unit_test(test_wrong_method_lists_the_right_ones),
        cmocka_unit_test(test_query_is_decoded_and_kept_apart),
        cmocka_unit_test(test_absolute_form_is_taken),
        cmocka_unit_test(test_hostile_targets_are_refused),
        cmocka_unit_test(test_long_and_deep_targets_are_harmless),
        cmocka_unit_test(test_bad_templates_are_refused_at_start),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
