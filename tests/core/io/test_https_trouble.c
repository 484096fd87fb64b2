/* tests/core/io/test_https_trouble.c
 *
 * http sources against servers that are busy, break off, lie, change the file, or lead elsewhere. */
#include "core/source.h"

#include "tests/core/io/https_fixture.h"

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void script_503_twice(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    if (q->number % 3 != 2) {
        r->status = q->number % 2 ? 503 : 429;
        r->headers = "Retry-After: 3600\r\n"; /* the policy's wait_max_ms is the most that is honoured */
    }
}

static void script_503(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->status = 503;
}

static void script_hang_up(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->hang_up = true;
}

static void test_busy_servers_are_asked_again(void **state)
{
    (void)state;
    server->script = script_503_twice;
    struct source *s = open_it();
    assert_range(s, 5 * BLOCK, 1000);
    assert_int_equal(source_counters(s).retries, 4);
    server->script = script_503;
    assert_read_fails(s, 20 * BLOCK, STATUS_REMOTE, "127.0.0.1 answers with HTTP 503 (3 attempts)");
    server->script = script_hang_up;
    assert_read_fails(s, 20 * BLOCK, STATUS_REMOTE, "(3 attempts)");
    server->script = NULL;
    assert_range(s, 20 * BLOCK, 100); /* and it recovers */
    source_close(s);
    server->script = script_503;
    assert_open_fails(STATUS_REMOTE, "file.root: 127.0.0.1 answers with HTTP 503 (3 attempts)");
}

static void script_cut_after_300k(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->cut_after = q->number > 0 ? 300000 : 0;
}

static void script_cut_at_once(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->cut_after = q->number > 0 ? 10 : 0;
}

static void test_a_dropped_connection_goes_on_where_it_broke_off(void **state)
{
    (void)state;
    struct source *s = open_it();
    server->script = script_cut_after_300k;
    assert_range(s, BLOCK, 20 * BLOCK); /* each attempt brings something: never too many of them */
    assert_true(source_counters(s).retries > 10);
    assert_int_equal(source_counters(s).bytes, 21 * BLOCK);
    server->script = script_cut_at_once;
    assert_read_fails(s, 30 * BLOCK, STATUS_REMOTE, "127.0.0.1: ");
    source_close(s);
}

static void script_status(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)q;
    r->status = (int)s->marker;
}

static void test_refusals_are_told_and_not_repeated(void **state)
{
    (void)state;
    static const struct {
        int code;
        enum status status;
        const char *part;
    } cases[] = {{404, STATUS_NOTFOUND, "has no such file"}, {410, STATUS_NOTFOUND, "has no such file"},
                 {401, STATUS_FORBIDDEN, "BEARER_TOKEN"},    {403, STATUS_FORBIDDEN, "BEARER_TOKEN"},
                 {400, STATUS_REMOTE, "HTTP 400"},           {304, STATUS_REMOTE, "HTTP 304"},
                 {204, STATUS_REMOTE, "HTTP 204"},           {416, STATUS_IO, "HTTP 416"}};
    struct source *s = open_it();
    server->script = script_status;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        server->marker = (size_t)cases[i].code;
        size_t before = server->n_requests;
        assert_open_fails(cases[i].status, cases[i].part);
        assert_int_equal(server->n_requests, before + 1);
        assert_read_fails(s, 9 * BLOCK, cases[i].status, cases[i].part);
        assert_int_equal(server->n_requests, before + 2);
    }
    source_close(s);
}

static void script_drip(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->drip = q->number > 0;
}

static void test_a_server_that_drips_is_given_up(void **state)
{
    (void)state;
    struct source_policy p = quick;
    struct error e;
    p.attempts = 2;
    assert_ok(source_policy_set(&p, &e), &e);
    struct source *s = open_it();
    server->script = script_drip;
    assert_read_fails(s, 9 * BLOCK, STATUS_REMOTE, "(2 attempts)");
    source_close(s);
}

static void test_a_port_where_nobody_listens_is_remote_trouble(void **state)
{
    (void)state;
    struct source *s = open_it();
    struct error e;
    struct source *none;
    char closed[64];
    struct server *brief = server_start(content, 10);
    snprintf(closed, sizeof closed, "http://127.0.0.1:%d/a.root", brief->port);
    server_stop(brief);
    assert_status(source_open(closed, &none, &e), STATUS_REMOTE, &e);
    assert_contains(e.text, "a.root: 127.0.0.1: ");
    source_close(s);
}

/* ---- lies ----------------------------------------------------------------------------------------------------------
 */

struct lie {
    struct server_reply reply;
    enum status status;
    const char *part;
};

static const struct lie *lie;

static void script_lie(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)q;
    if (!s->marker)
        return;
    *r = lie->reply;
    r->content = r->content ? r->content : s->content;
    r->size = r->size ? r->size : s->size;
}

static void test_answers_that_contradict_themselves_are_errors(void **state)
{
    (void)state;
    const struct lie lies[] = {
        {{.shift = 10}, STATUS_REMOTE, "other or fewer bytes"},
        {{.shift = -50}, STATUS_OK, NULL}, /* it says so, so its bytes are not taken for those asked for */
        {{.no_content_range = true}, STATUS_REMOTE, "without a Content-Range"},
        {{.headers = "Content-Range: bytes x-y/z\r\n", .no_content_range = true}, STATUS_REMOTE, "that can be read"},
        {{.total_add = 1}, STATUS_IO, "the file has changed since it was opened: its size"},
        {{.length_add = 1000}, STATUS_OK, NULL},
        {{.length_add = -100000}, STATUS_REMOTE, "(3 attempts)"},
        {{.headers = "Content-Encoding: gzip\r\n"}, STATUS_UNSUPPORTED, "Content-Encoding"},
        {{.no_ranges = true}, STATUS_REMOTE, "has stopped to serve ranges"},
        {{.size = BLOCK * 2}, STATUS_IO, "the file has changed since it was opened: its size"},
    };
    server->script = script_lie;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct error e;
        uint8_t data[100];
        lie = &lies[i];
        server->marker = 0;
        struct source *s = open_it();
        server->marker = 1;
        enum status status = source_read(s, 9 * BLOCK, data, sizeof data, &e);
        if (status == STATUS_OK) /* only ever with the right bytes */
            assert_memory_equal(data, content + 9 * BLOCK, sizeof data);
        if (lies[i].status != STATUS_OK) {
            assert_int_equal(status, lies[i].status);
            assert_contains(e.text, lies[i].part);
        }
        source_close(s);
    }
}

static void test_opening_refuses_packed_and_unmeasured_files(void **state)
{
    (void)state;
    const struct lie lies[] = {
        {{.headers = "Content-Encoding: gzip\r\n"}, STATUS_UNSUPPORTED, "Content-Encoding"},
        {{.headers = "Content-Encoding: br\r\n", .no_ranges = true}, STATUS_UNSUPPORTED, "Content-Encoding"},
        {{.headers = "Content-Range: bytes 0-99/*\r\n", .no_content_range = true}, STATUS_REMOTE, "without its size"},
        {{.no_content_range = true}, STATUS_REMOTE, "without a Content-Range"},
        {{.length_add = 1 << 30, .no_ranges = true}, STATUS_REMOTE, "127.0.0.1: "},
    };
    server->script = script_lie;
    server->marker = 1;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        lie = &lies[i];
        assert_open_fails(lies[i].status, lies[i].part);
    }
}

static void test_a_file_that_changes_is_an_error_that_says_so(void **state)
{
    (void)state;
    const struct {
        const char *before, *after, *part;
    } cases[] = {
        {"ETag: \"one\"\r\n", "ETag: \"two\"\r\n", "its entity tag (ETag) is another"},
        {"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n", "Last-Modified: Mon, 01 Jan 2024 00:00:01 GMT\r\n",
         "its date (Last-Modified) is another"},
    };
    uint8_t *other_content = malloc(CONTENT_BYTES);
    for (size_t i = 0; i < CONTENT_BYTES; i++)
        other_content[i] = (uint8_t)~content[i];
    server->script = script_lie;
    server->marker = 1;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct lie before = {.reply = {.headers = cases[i].before}};
        struct lie after = {.reply = {.headers = cases[i].after, .content = other_content}};
        lie = &before;
        struct source *s = open_it();
        assert_range(s, 5 * BLOCK, 10);
        lie = &after;
        assert_read_fails(s, 9 * BLOCK, STATUS_IO, "the file has changed since it was opened: ");
        assert_read_fails(s, 9 * BLOCK, STATUS_IO, cases[i].part);
        after.reply.no_ranges = true;
        assert_read_fails(s, 9 * BLOCK, STATUS_IO, cases[i].part);
        source_close(s);
    }
    free(other_content);
}

/* ---- redirects
 * ------------------------------------------------------------------------------------------------------- */

static char location[512];

static void script_redirect(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    if (strstr(q->path, "file.root") && !strstr(q->path, "moved")) {
        r->status = s->marker ? (int)s->marker : 302;
        r->headers = location;
    }
}

static void test_redirects_are_followed_and_remembered(void **state)
{
    (void)state;
    static const int codes[] = {301, 302, 303, 307, 308};
    static const char *const places[] = {"Location: /moved/file.root\r\n", "Location: moved/file.root?a=b\r\n"};
    server->script = script_redirect;
    for (size_t i = 0; i < ARRAY_LEN(codes) * 2; i++) {
        server->marker = (size_t)codes[i / 2];
        snprintf(location, sizeof location, "%s", places[i % 2]);
        struct source *s = open_it();
        size_t before = server->n_requests;
        assert_range(s, 9 * BLOCK, 10);
        assert_int_equal(server->n_requests, before + 1);
        source_close(s);
    }
}

static void script_redirect_expires(struct server *s, const struct server_request *q, struct server_reply *r)
{
    if (!strstr(q->path, "moved")) {
        r->status = 307;
        r->headers = s->marker == 0 ? "Location: /moved/1\r\n" : "Location: /moved/2\r\n";
    } else if (s->marker == 1 && strstr(q->path, "/1")) {
        r->status = 403;
    }
}

static void test_where_a_redirect_has_expired_the_origin_is_asked_again(void **state)
{
    (void)state;
    server->script = script_redirect_expires;
    struct source *s = open_it();
    server->marker = 1;
    assert_range(s, 9 * BLOCK, 10);
    assert_range(s, 19 * BLOCK, 10);
    assert_int_equal(source_counters(s).retries, 1);
    source_close(s);
}

static void test_redirects_lead_only_where_the_policy_allows(void **state)
{
    (void)state;
    static const struct {
        const char *to;
        enum status status;
        const char *part;
    } cases[] = {
        {"file:///etc/passwd", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"FILE://localhost/etc/passwd", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"gopher://127.0.0.1:70/", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"root://127.0.0.1//a", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"http://other.example/", STATUS_FORBIDDEN, "redirects elsewhere: the host other.example"},
        {"http://127.0.0.1.other.example/", STATUS_FORBIDDEN, "redirects elsewhere"},
        {"http://127.0.0.1@other.example/", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"http://other.example\\@127.0.0.1/", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"http://169.254.169.254/latest/meta-data/", STATUS_FORBIDDEN, "redirects elsewhere"},
        {"http://[::1]/", STATUS_FORBIDDEN, "redirects elsewhere"},
        {"file.root", STATUS_REMOTE, "redirects too often"},
        {"", STATUS_REMOTE, "redirects to nowhere"},
    };
    server->script = script_redirect;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t before = server->n_requests;
        snprintf(location, sizeof location, "Location: %s\r\n", cases[i].to);
        assert_open_fails(cases[i].status, cases[i].part);
        assert_int_equal(server->n_requests, before + (strstr(cases[i].part, "too often") ? 6 : 1));
    }
}

static void test_addresses_are_judged_when_a_connection_is_made(void **state)
{
    (void)state;
    struct error e;
    struct source *s;
    char text[128];
    static const char *const everybody[] = {"*"}, *const cloud[] = {"*", "169.254.169.254", "fd00:ec2::254"};
    static const char *const loopbacks[] = {"127.0.0.1", "localhost",         "127.1", "2130706433", "0x7f000001",
                                            "[::1]",     "[::ffff:127.0.0.1]"};
    struct source_policy p = quick;
    p.hosts = everybody;
    assert_ok(source_policy_set(&p, &e), &e);
    for (size_t i = 0; i < ARRAY_LEN(loopbacks); i++) {
        snprintf(text, sizeof text, "http://%s:%d/file.root", loopbacks[i], server->port);
        assert_status(source_open(text, &s, &e), STATUS_FORBIDDEN, &e);
        assert_contains(e.text, "has a loopback or private address: name the host itself in the test's hosts");
    }
    static const char *const never[] = {"169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]", "[::ffff:169.254.169.254]"};
    p.hosts = cloud;
    p.n_hosts = 2;
    assert_ok(source_policy_set(&p, &e), &e);
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        snprintf(text, sizeof text, "http://%s:%d/file.root", never[i], server->port);
        assert_status(source_open(text, &s, &e), STATUS_FORBIDDEN, &e);
        assert_contains(e.text, "never connected to");
    }
    assert_int_equal(server->n_requests, 0);
}

static void test_a_name_without_address_is_remote_trouble(void **state)
{
    (void)state;
    struct error e;
    struct source *s;
    static const char *const nobody[] = {"nohost.invalid"};      /* RFC 6761: never resolves */
    struct source_policy p = quick;
    p.hosts = nobody;
    p.n_hosts = 1;
    p.attempts = 2;
    assert_ok(source_policy_set(&p, &e), &e);
    assert_status(source_open("http://nohost.invalid/file.root", &s, &e), STATUS_REMOTE, &e);
    assert_contains(e.text, "nohost.invalid");
    assert_contains(e.text, "(2 attempts)");
}

static void test_a_token_never_travels_unencrypted(void **state)
{
    (void)state;
    assert_int_equal(setenv("BEARER_TOKEN", "secret-token", 1), 0);
    struct source *s = open_it();
    assert_string_equal(server->last_authorization, "");
    source_close(s);
    assert_int_equal(unsetenv("BEARER_TOKEN"), 0);
}

static void test_a_proxy_of_the_environment_is_not_used(void **state)
{
    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    source_close(open_it());
    assert_int_equal(unsetenv("http_proxy"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(test_busy_servers_are_asked_again),
        with_server(test_a_dropped_connection_goes_on_where_it_broke_off),
        with_server(test_refusals_are_told_and_not_repeated),
        with_server(test_a_server_that_drips_is_given_up),
        with_server(test_a_port_where_nobody_listens_is_remote_trouble),
        with_server(test_answers_that_contradict_themselves_are_errors),
        with_server(test_opening_refuses_packed_and_unmeasured_files),
        with_server(test_a_file_that_changes_is_an_error_that_says_so),
        with_server(test_redirects_are_followed_and_remembered),
        with_server(test_where_a_redirect_has_expired_the_origin_is_asked_again),
        with_server(test_redirects_lead_only_where_the_policy_allows),
        with_server(test_addresses_are_judged_when_a_connection_is_made),
        with_server(test_a_name_without_address_is_remote_trouble),
        with_server(test_a_token_never_travels_unencrypted),
        with_server(test_a_proxy_of_the_environment_is_not_used),
    };
    return cmocka_run_group_tests(tests, make_content, free_content);
}
