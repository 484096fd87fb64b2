/* tests/server/access/test_access.c
 *
 * Keys: what is stored of them, what they open, how they end; and that every route asks for a scope that exists. */
#include "server/access/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/http/http.h"
#include "tests/support/support.h"

struct fixture {
    char *folder;
    struct store *store;
    struct access *access;
    struct error e;
    int64_t wait;
    char who[40];
};

#define OK(expr)                                                                                                          \
    do {                                                                                                                  \
        if ((expr) != STATUS_OK)                                                                                          \
            fail_msg("%s: %s", #expr, f->e.text);                                                                         \
    } while (0)

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof *f);
    f->folder = temp_folder_create();
    OK(store_open(f->folder, &f->store, &f->e));
    OK(access_create(f->store, &f->access, &f->e));
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    access_destroy(f->access);
    store_close(f->store);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}

static void make(struct fixture *f, const char *scopes, double rate, int64_t expires_us, char id[40],
                 char token[ACCESS_TOKEN_BYTES])
{
    OK(access_key_make(f->store, "test", scopes, rate, expires_us, id, token, &f->e));
    OK(access_reload(f->access, &f->e));
}

static enum access_answer ask(struct fixture *f, const char *token, const char *scope)
{
    return access_check(f->access, token, scope, f->who, &f->wait);
}

static void test_without_keys_everything_is_allowed_and_the_first_key_ends_that(void **state)
{
    struct fixture *f = *state;
    char id[40], token[ACCESS_TOKEN_BYTES];
    assert_false(access_has_keys(f->access));
    assert_int_equal(ask(f, NULL, "admin"), ACCESS_ALLOWED);
    make(f, "read", 0, 0, id, token);
    assert_true(access_has_keys(f->access));
    assert_int_equal(ask(f, NULL, "read"), ACCESS_NO_KEY);
    assert_int_equal(ask(f, NULL, ""), ACCESS_ALLOWED);
    assert_int_equal(ask(f, token, "read"), ACCESS_ALLOWED);
    assert_string_equal(f->who, id);
}

static void test_a_key_is_160_random_bits_of_which_the_store_has_only_the_digest(void **state)
{
    struct fixture *f = *state;
    char id[40], token[ACCESS_TOKEN_BYTES], other[ACCESS_TOKEN_BYTES], digest[65];
    struct arena a;
    struct key_row *rows;
    size_t n;
    make(f, "read", 0, 0, id, token);
    assert_int_equal(strlen(token), 36);
    assert_memory_equal(token, "dlt_", 4);
    assert_int_equal(strspn(token + 4, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 32);
    arena_init(&a, 1 << 20);
    OK(store_keys_list(f->store, &a, &rows, &n, &f->e));
    assert_int_equal(n, 1);
    sha256_hex(token, strlen(token), digest);
    assert_string_equal(rows[0].sha256, digest);
    arena_fini(&a);
    make(f, "read", 0, 0, id, other);
    assert_string_not_equal(token, other);
}

static void test_a_key_opens_its_scopes_only_and_admin_opens_all(void **state)
{
    struct fixture *f = *state;
    char id[40], token[ACCESS_TOKEN_BYTES], admin[ACCESS_TOKEN_BYTES];
    make(f, "read jobs:write", 0, 0, id, token);
    make(f, "admin", 0, 0, id, admin);
    assert_int_equal(ask(f, token, "read"), ACCESS_ALLOWED);
    assert_int_equal(ask(f, token, "jobs:write"), ACCESS_ALLOWED);
    assert_int_equal(ask(f, token, "jobs:admin"), ACCESS_NO_SCOPE);
    assert_int_equal(ask(f, token, "jobs"), ACCESS_NO_SCOPE);
    for (size_t i = 0; access_scopes[i]; i++)
        assert_int_equal(ask(f, admin, access_scopes[i]), ACCESS_ALLOWED);
    assert_int_equal(ask(f, "dlt_nothing", "read"), ACCESS_UNKNOWN_KEY);
    assert_int_equal(ask(f, "", "read"), ACCESS_UNKNOWN_KEY);
}

static void test_a_revoked_or_expired_key_opens_nothing_at_once(void **state)
{
    struct fixture *f = *state;
    char id[40], other[40], token[ACCESS_TOKEN_BYTES], old[ACCESS_TOKEN_BYTES];
    make(f, "read", 0, time_unix_us() - 1, other, old);
    make(f, "read", 0, 0, id, token);
    assert_int_equal(ask(f, old, "read"), ACCESS_UNKNOWN_KEY);
    assert_int_equal(ask(f, token, "read"), ACCESS_ALLOWED);
    assert_true(access_last_used(f->access, id) > 0);
    OK(store_key_revoke(f->store, id, &f->e));
    OK(access_reload(f->access, &f->e));
    assert_int_equal(ask(f, token, "read"), ACCESS_UNKNOWN_KEY);
    assert_int_equal(store_key_revoke(f->store, id, &f->e), STATUS_NOTFOUND);
}

static void test_the_last_key_that_ends_does_not_open_the_service(void **state)
{
    struct fixture *f = *state;
    char id[40], token[ACCESS_TOKEN_BYTES];
    make(f, "admin", 0, 0, id, token);
    OK(store_key_revoke(f->store, id, &f->e));
    OK(access_reload(f->access, &f->e));
    assert_true(access_has_keys(f->access));
    assert_int_equal(ask(f, NULL, "read"), ACCESS_NO_KEY);
}

static void test_a_key_with_a_limit_is_told_when_to_come_again(void **state)
{
    struct fixture *f = *state;
    char id[40], token[ACCESS_TOKEN_BYTES];
    int n = 0;
    make(f, "read", 5, 0, id, token);
    int64_t start = time_mono_ns();
    for (int i = 0; i < 100; i++)
        n += ask(f, token, "read") == ACCESS_ALLOWED;
    assert_true(n >= 5 && n <= 6 + 5 * (double)(time_mono_ns() - start) * 1e-9);
    assert_int_equal(ask(f, token, "read"), ACCESS_TOO_FAST);
    assert_int_equal(f->wait, 1);
}

static void test_scopes_are_read_by_name_and_by_set_and_kept_in_order(void **state)
{
    struct error e;
    char out[ACCESS_SCOPES_BYTES];
    (void)state;
    assert_int_equal(access_scopes_read("jobs:write,read", out, &e), STATUS_OK);
    assert_string_equal(out, "read jobs:write");
    assert_int_equal(access_scopes_read("submitter metrics:read read", out, &e), STATUS_OK);
    assert_string_equal(out, "read data:write jobs:write metrics:read");
    assert_int_equal(access_scopes_read("reed", out, &e), STATUS_ARGUMENT);
    assert_non_null(strstr(e.text, "'reed'"));
    assert_non_null(strstr(e.text, "trigger:score"));
    assert_int_equal(access_scopes_read(" , ", out, &e), STATUS_ARGUMENT);
    for (size_t i = 0; i < access_n_presets; i++)
        assert_int_equal(access_scopes_read(access_presets[i].name, out, &e), STATUS_OK);
}

static void test_every_route_asks_for_a_scope_that_exists_but_probes_and_pages(void **state)
{
    static const char *const open[] = {"/",          "/healthz",        "/readyz",         "/startupz", "/openapi.yaml",
                                       "/problems/{slug}", "/dashboard/{file}", "/v2/health/live", "/v2/health/ready"};
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        bool may_be_open = false, known = false;
        for (size_t k = 0; k < ARRAY_LEN(open); k++)
            may_be_open |= strcmp(routes[i].path, open[k]) == 0;
        for (size_t k = 0; access_scopes[k]; k++)
            known |= strcmp(routes[i].scope, access_scopes[k]) == 0;
        if (!known && !(may_be_open && *routes[i].scope == '\0'))
            fail_msg("%s %s asks for the scope '%s'", http_method_name(routes[i].method), routes[i].path, routes[i].scope);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_keys_everything_is_allowed_and_the_first_key_ends_that),
        TEST(test_a_key_is_160_random_bits_of_which_the_store_has_only_the_digest),
        TEST(test_a_key_opens_its_scopes_only_and_admin_opens_all),
        TEST(test_a_revoked_or_expired_key_opens_nothing_at_once),
        TEST(test_the_last_key_that_ends_does_not_open_the_service),
        TEST(test_a_key_with_a_limit_is_told_when_to_come_again),
        cmocka_unit_test(test_scopes_are_read_by_name_and_by_set_and_kept_in_order),
        cmocka_unit_test(test_every_route_asks_for_a_scope_that_exists_but_probes_and_pages),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
