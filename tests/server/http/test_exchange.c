/* tests/server/http/test_exchange.c
 *
 * Requests and answers over a real socket: bodies, problems, HEAD, pipelining, lists, tags, files, shutting down. */
#include "tests/server/http/raw_client.h"

#include "tests/support/support.h"

#include <pthread.h>

#define HOST "Host: localhost\r\n"

static struct test_server server;
static struct raw_reply reply;

static int set_up(void **state)
{
    (void)state;
    test_server_start(&server, 30, 30, 64);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_server_stop(&server);
    return 0;
}

static void ask(const char *text)
{
    raw_ask(server.port, text, &reply);
}

static void test_get_answers_with_request_id_and_no_sniffing(void **state)
{
    (void)state;
    ask("GET /plain HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "plain\n");
    assert_int_equal(strlen(raw_header(&reply, "X-Request-Id")), 26);
    assert_string_equal(raw_header(&reply, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(raw_header(&reply, "Content-Type"), "text/plain");
}

static void test_sane_request_ids_are_kept_and_others_replaced(void **state)
{
    (void)state;
    ask("GET /plain HTTP/1.1\r\n" HOST "X-Request-Id: 5f0c7a0e-run3a.7_b\r\n\r\n");
    assert_string_equal(raw_header(&reply, "X-Request-Id"), "5f0c7a0e-run3a.7_b");
    ask("GET /plain HTTP/1.1\r\n" HOST "X-Request-Id: with space\r\n\r\n");
    assert_int_equal(strlen(raw_header(&reply, "X-Request-Id")), 26);
    ask("GET /plain HTTP/1.1\r\n" HOST "X-Request-Id: 0123456789012345678901234567890123456789\r\n\r\n");
    assert_int_equal(strlen(raw_header(&reply, "X-Request-Id")), 26);
    ask("GET /nothing HTTP/1.1\r\n" HOST "X-Request-Id: abc\r\n\r\n");
    assert_problem(&reply, 404, "unknown_route");
    assert_non_null(strstr(reply.body, "\"instance\":\"/nothing#abc\""));
}

static void test_head_is_get_without_body(void **state)
{
    (void)state;
    struct raw *c = raw_open(server.port);
    raw_send(c, "HEAD /plain HTTP/1.1\r\n" HOST "\r\nGET /plain HTTP/1.1\r\n" HOST "\r\n");
    assert_true(raw_read(c, true, &reply));
    assert_int_equal(reply.status, 200);
    assert_string_equal(raw_header(&reply, "Content-Length"), "6");
    assert_true(raw_read(c, false, &reply));
    assert_string_equal(reply.body, "plain\n");
    raw_send(c, "HEAD /echo HTTP/1.1\r\n" HOST "\r\n");
    assert_true(raw_read(c, true, &reply));
    assert_int_equal(reply.status, 405);
    raw_close(c);
}

static void test_wrong_method_is_405_with_allow(void **state)
{
    static const char *const methods[] = {"DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "get"};
    char text[128];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        snprintf(text, sizeof text, "%s /things HTTP/1.1\r\n" HOST "\r\n", methods[i]);
        ask(text);
        assert_problem(&reply, 405, "method_not_allowed");
        assert_string_equal(raw_header(&reply, "Allow"), "GET, POST, HEAD");
    }
    ask("POST /plain HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}");
    assert_problem(&reply, 405, "method_not_allowed");
}

static void test_unknown_paths_are_404(void **state)
{
    static const char *const paths[] = {"/plain/", "//plain", "/PLAIN", "/plain/x", "/things/a:b", "/%2fplain",
                                        "/plain%2f", "/..%2fplain", "/things/", "/v2/models/x"};
    char text[128];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        ask(text);
        assert_problem(&reply, 404, "unknown_route");
    }
    assert_non_null(strstr(reply.body, "\"error\":"));          /* below /v2 */
}

static void test_action_and_parameter_reach_the_handler(void **state)
{
    (void)state;
    while (server.done < server.begun)                 /* what earlier tests asked */
        usleep(1000);
    ask("POST /things/job_01J:cancel HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    assert_int_equal(reply.status, 200);
    assert_string_equal(server.last_param, "job_01J");
    while (server.done < server.begun)
        usleep(1000);
    assert_int_equal(server.last_route, 4);
    assert_int_equal(server.last_status, 200);
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static void test_json_body_is_read_whatever_type_curl_claims(void **state)
{
    (void)state;
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "{\"a\":1}\n");
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n{\"a\":2}");
    assert_string_equal(reply.body, "{\"a\":2}\n");
}

static void test_multipart_and_encoded_bodies_are_415(void **state)
{
    (void)state;
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Type: Multipart/form-data; boundary=x\r\nContent-Length: 2\r\n\r\n{}");
    assert_problem(&reply, 415, "unsupported_media_type");
    assert_string_equal(raw_header(&reply, "Accept-Post"), "application/json");
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}");
    assert_problem(&reply, 415, "unsupported_media_type");
}

static void test_malformed_json_is_400(void **state)
{
    (void)state;
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n{\"a\":");
    assert_problem(&reply, 400, "malformed_json");
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    assert_problem(&reply, 400, "malformed_json");
    ask("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 13\r\n\r\n{\"a\":1,\"a\":2}");
    assert_problem(&reply, 400, "malformed_json");
}

static void test_chunked_body_is_put_together(void **state)
{
    (void)state;
    ask("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n5;x=y\r\n\"a\":3\r\n1\r\n}\r\n0\r\n\r\n");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "{\"a\":3}\n");
}

static void test_thousands_of_one_byte_chunks_are_only_a_body(void **state)
{
    enum { CHUNKS = 600000 };
    struct raw *c = raw_open(server.port);
    char *text = malloc(CHUNKS * 6 + 8);
    (void)state;
    raw_send(c, "POST /big HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < CHUNKS; i++)
        memcpy(text + 6 * i, "1\r\na\r\n", 6);
    memcpy(text + 6 * CHUNKS, "0\r\n\r\n", 5);
    raw_send_bytes(c, text, 6 * CHUNKS + 5);
    assert_true(raw_read(c, false, &reply));
    assert_string_equal(reply.body, "600000 58200000");
    free(text);
    raw_close(c);
}

static void test_body_over_the_limit_is_413_with_the_limit(void **state)
{
    char text[1200];
    struct raw *c = raw_open(server.port);
    (void)state;
    int n = snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n%01001d", 0);
    raw_send_bytes(c, text, (size_t)n);
    assert_true(raw_read(c, false, &reply));
    assert_problem(&reply, 413, "body_too_large");
    assert_non_null(strstr(reply.body, "\"limit_bytes\":1000"));
    raw_send(c, "GET /plain HTTP/1.1\r\n" HOST "\r\n");          /* the connection lives on */
    assert_true(raw_read(c, false, &reply));
    assert_int_equal(reply.status, 200);
    raw_close(c);
    ask("GET /plain HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx");
    assert_problem(&reply, 413, "body_too_large");
}

static void test_chunked_body_over_the_limit_is_413(void **state)
{
    char text[1300];
    struct raw *c = raw_open(server.port);
    (void)state;
    int n = snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3e8\r\n%01000d\r\n"
                     "1\r\n0\r\n0\r\n\r\n", 0);
    raw_send_bytes(c, text, (size_t)n);
    assert_true(raw_read(c, false, &reply));
    assert_problem(&reply, 413, "body_too_large");
    raw_send(c, "GET /plain HTTP/1.1\r\n" HOST "\r\n");
    assert_true(raw_read(c, false, &reply));
    assert_int_equal(reply.status, 200);
    raw_close(c);
}

static void test_huge_declared_body_is_answered_at_once_and_closed(void **state)
{
    struct raw *c = raw_open(server.port);
    (void)state;
    raw_send(c, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n");
    assert_true(raw_read(c, false, &reply));
    assert_problem(&reply, 413, "body_too_large");
    assert_string_equal(raw_header(&reply, "Connection"), "close");
    assert_true(raw_ended(c));
    raw_close(c);
}

static void test_endless_chunked_body_is_cut_off_with_413(void **state)
{
    static char chunk[65536 + 16];
    struct raw *c = raw_open(server.port);
    size_t sent = 0;
    (void)state;
    int head = snprintf(chunk, sizeof chunk, "10000\r\n");
    memset(chunk + head, 'a', 65536);
    memcpy(chunk + head + 65536, "\r\n", 2);
    raw_send(c, "POST /big HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    while (sent < (64u << 20) && raw_send_bytes(c, chunk, (size_t)head + 65538))
        sent += 65536;
    assert_true(sent < (64u << 20));                   /* it was not read for ever */
    assert_true(raw_read(c, false, &reply));
    assert_problem(&reply, 413, "body_too_large");
    raw_close(c);
}

static void test_expected_continue_gets_its_refusal_before_the_body(void **state)
{
    struct raw *c = raw_open(server.port);
    (void)state;
    raw_send(c, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
    assert_true(raw_read(c, false, &reply));
    assert_problem(&reply, 413, "body_too_large");
    raw_close(c);
    c = raw_open(server.port);
    raw_send(c, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_true(raw_read(c, false, &reply));
    assert_int_equal(reply.status, 100);
    raw_send(c, "{}");
    assert_true(raw_read(c, false, &reply));
    assert_int_equal(reply.status, 200);
    raw_close(c);
}

static void test_refused_post_with_body_keeps_the_connection(void **state)
{
    struct raw *c = raw_open(server.port);
    (void)state;
    raw_send(c, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
                "GET /plain HTTP/1.1\r\n" HOST "\r\n");
    assert_true(raw_read(c, false, &reply));
    assert_problem(&reply, 404, "unknown_route");
    assert_true(raw_read(c, false, &reply));
    assert_int_equal(reply.status, 200);
    raw_close(c);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    struct raw *c = raw_open(server.port);
    char text[64 * 64], want[16];
    size_t len = 0;
    (void)state;
    for (int i = 0; i < 64; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "GET /things/t%d HTTP/1.1\r\n" HOST "\r\n", i);
    raw_send_bytes(c, text, len);
    for (int i = 0; i < 64; i++) {
        snprintf(want, sizeof want, "t%d", i);
        assert_true(raw_read(c, false, &reply));
        assert_string_equal(reply.body, want);
    }
    raw_close(c);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void test_handler_without_answer_is_500(void **state)
{
    (void)state;
    log_set(LOG_ERROR + 1, NULL, NULL);
    ask("GET /silent HTTP/1.1\r\n" HOST "\r\n");
    log_set(LOG_ERROR, NULL, NULL);
    assert_problem(&reply, 500, "internal_error");
}

static void test_core_errors_become_problems_without_paths(void **state)
{
    static const struct { const char *status; int number; const char *code; } want[] = {
        {"NOMEM", 503, "out_of_memory"},       {"IO", 500, "storage_failed"},       {"FORMAT", 422, "unreadable_file"},
        {"UNSUPPORTED", 422, "unreadable_file"}, {"RANGE", 422, "invalid_request"}, {"ARGUMENT", 422, "invalid_request"},
        {"NOTFOUND", 404, "not_found"},        {"FORBIDDEN", 403, "path_forbidden"}, {"CONFLICT", 409, "conflict"},
        {"BUSY", 503, "busy"},                 {"CANCELLED", 503, "busy"},          {"NOSPACE", 507, "storage_full"},
        {"REMOTE", 502, "remote_failed"},      {"BUG", 500, "internal_error"},
    };
    char text[128];
    (void)state;
    log_set(LOG_ERROR + 1, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        snprintf(text, sizeof text, "GET /fail/%s HTTP/1.1\r\n" HOST "\r\n", want[i].status);
        ask(text);
        assert_problem(&reply, want[i].number, want[i].code);
        assert_null(strstr(reply.body, "/srv"));
        assert_null(strstr(reply.body, "secret"));
        assert_null(strstr(reply.body, "/var/lib"));
        assert_int_equal(raw_header(&reply, "Retry-After") != NULL, want[i].number == 503);
        if (want[i].number != 500)
            assert_non_null(strstr(reply.body, "tt.root: tree Delphes at x: 3 of 4 bytes"));
    }
    log_set(LOG_ERROR, NULL, NULL);
}

static void test_tagged_answer_is_304_when_unchanged(void **state)
{
    char tag[64], text[256];
    (void)state;
    ask("GET /tagged HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "{\"answer\":42}\n");
    snprintf(tag, sizeof tag, "%s", raw_header(&reply, "ETag"));
    assert_int_equal(tag[0], '"');
    snprintf(text, sizeof text, "GET /tagged HTTP/1.1\r\n" HOST "If-None-Match: \"x\", W/%s\r\n\r\n", tag);
    ask(text);
    assert_int_equal(reply.status, 304);
    assert_string_equal(raw_header(&reply, "ETag"), tag);
    ask("GET /tagged HTTP/1.1\r\n" HOST "If-None-Match: \"other\"\r\n\r\n");
    assert_int_equal(reply.status, 200);
}

static void test_a_change_needs_the_tag_of_what_it_changes(void **state)
{
    (void)state;
    ask("PUT /tagged HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    assert_problem(&reply, 428, "precondition_required");
    assert_string_equal(raw_header(&reply, "ETag"), "\"7\"");
    static const char *const stale[] = {"\"6\"", "W/\"7\"", "7", "\"77\""};
    for (size_t i = 0; i < ARRAY_LEN(stale); i++) {
        char text[200];
        snprintf(text, sizeof text, "PUT /tagged HTTP/1.1\r\n" HOST "If-Match: %s\r\nContent-Length: 0\r\n\r\n", stale[i]);
        ask(text);
        assert_problem(&reply, 412, "precondition_failed");
        assert_string_equal(raw_header(&reply, "ETag"), "\"7\"");
    }
    ask("PUT /tagged HTTP/1.1\r\n" HOST "If-Match: \"6\", \"7\"\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(reply.status, 204);
    ask("PUT /tagged HTTP/1.1\r\n" HOST "If-Match: *\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(reply.status, 204);
}

static void test_file_is_sent_with_its_hash_as_tag(void **state)
{
    (void)state;
    ask("GET /file HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "contents of a file");
    assert_string_equal(raw_header(&reply, "ETag"), "\"b1946ac9\"");
    ask("HEAD /file HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(raw_header(&reply, "Content-Length"), "18");
    ask("GET /file HTTP/1.1\r\n" HOST "If-None-Match: \"b1946ac9\"\r\n\r\n");
    assert_int_equal(reply.status, 304);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static struct json *ask_json(const char *target)
{
    char text[512];
    struct json *v;
    struct error e;
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", target);
    ask(text);
    assert_int_equal(reply.status, 200);
    assert_int_equal(json_parse(reply.body, reply.body_len, &v, &e), STATUS_OK);
    return v;
}

static void test_pages_cover_a_list_once(void **state)
{
    char target[300] = "/things?kind=a&limit=3", seen[64] = "";
    int pages = 0;
    (void)state;
    for (bool more = true; more; pages++) {
        struct json *v = ask_json(target);
        const char *cursor = json_str(json_get(v, "next_cursor"), NULL);
        for (size_t i = 0; i < json_count(json_get(v, "items")); i++)
            strcat(seen, json_str(json_at(json_get(v, "items"), i), "?"));
        assert_int_equal(raw_header(&reply, "Link") != NULL, cursor != NULL);
        more = cursor != NULL;
        if (cursor) {
            snprintf(target, sizeof target, "/things?kind=a&limit=3&cursor=%s", cursor);
            char want[400];
            snprintf(want, sizeof want, "<%s>; rel=\"next\"", target);
            assert_string_equal(raw_header(&reply, "Link"), want);
        }
        json_free(v);
    }
    assert_string_equal(seen, "t7t6t5t4t3t2t1");
    assert_int_equal(pages, 3);
}

static void test_cursor_under_other_filters_is_400(void **state)
{
    char target[300];
    (void)state;
    struct json *v = ask_json("/things?kind=a&limit=3");
    const char *cursor = json_str(json_get(v, "next_cursor"), NULL);
    snprintf(target, sizeof target, "GET /things?kind=b&limit=3&cursor=%s HTTP/1.1\r\n" HOST "\r\n", cursor);
    ask(target);
    assert_problem(&reply, 400, "invalid_cursor");
    snprintf(target, sizeof target, "GET /things?limit=3&cursor=%s HTTP/1.1\r\n" HOST "\r\n", cursor);
    ask(target);
    assert_problem(&reply, 400, "invalid_cursor");
    json_free(v);
    ask("GET /things?cursor=nonsense HTTP/1.1\r\n" HOST "\r\n");
    assert_problem(&reply, 400, "invalid_cursor");
    ask("GET /things?cursor= HTTP/1.1\r\n" HOST "\r\n");
    assert_problem(&reply, 400, "invalid_cursor");
}

static void test_bad_queries_are_400(void **state)
{
    static const char *const bad[] = {"limit=0", "limit=501", "limit=-1", "limit=1e2", "limit=", "limit=99999", "limit=5x",
                                      "limt=3", "offset=3"};
    char text[128];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "GET /things?%s HTTP/1.1\r\n" HOST "\r\n", bad[i]);
        ask(text);
        assert_problem(&reply, 400, "invalid_query");
    }
}

/* ---- shutting down and failing ----------------------------------------------------------------------------------- */

static void *stop_server(void *s)
{
    http_stop(((struct test_server *)s)->http, 30);
    return NULL;
}

static void test_stop_finishes_what_is_in_flight(void **state)
{
    static struct test_server other;
    pthread_t stopper;
    (void)state;
    test_server_start(&other, 30, 30, 8);
    struct raw *busy = raw_open(other.port), *idle = raw_open(other.port);
    raw_send(idle, "GET /plain HTTP/1.1\r\n" HOST "\r\n");
    assert_true(raw_read(idle, false, &reply));
    raw_send(busy, "GET /sleep HTTP/1.1\r\n" HOST "\r\n");
    while (other.handled < 2)
        usleep(1000);
    pthread_create(&stopper, NULL, stop_server, &other);
    assert_true(raw_read(busy, false, &reply));
    assert_string_equal(reply.body, "late");
    assert_string_equal(raw_header(&reply, "Connection"), "close");
    assert_true(raw_ended(busy));
    assert_true(raw_ended(idle));
    pthread_join(stopper, NULL);
    raw_close(busy);
    raw_close(idle);
    assert_int_equal(other.begun, other.done);
}

static void test_taken_port_is_a_clear_conflict(void **state)
{
    struct http *h;
    struct error e;
    (void)state;
    struct http_options o = {.address = "127.0.0.1", .port = server.port, .routes = test_routes, .n_routes = 1};
    assert_int_equal(http_start(NULL, &o, &h, &e), STATUS_CONFLICT);
    assert_non_null(strstr(e.text, "taken"));
    o.address = "localhost";
    assert_int_equal(http_start(NULL, &o, &h, &e), STATUS_ARGUMENT);
}

static void test_loopback_addresses_are_known(void **state)
{
    (void)state;
    assert_true(http_address_is_loopback("127.0.0.1"));
    assert_true(http_address_is_loopback("127.9.9.9"));
    assert_true(http_address_is_loopback("::1"));
    assert_false(http_address_is_loopback("0.0.0.0"));
    assert_false(http_address_is_loopback("::"));
    assert_false(http_address_is_loopback("10.0.0.1"));
    assert_false(http_address_is_loopback("localhost"));
}

/* The listener's whole life is inside, so that its threads never see the hook change. */
static void test_listener_survives_each_failing_allocation(void **state)
{
    static const char *const texts[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 15\r\n\r\n{\"a\":[1,\"two\"]}",
        "GET /things?limit=2 HTTP/1.1\r\n" HOST "\r\n",
        "GET /nothing HTTP/1.1\r\n" HOST "\r\n",
    };
    static const int good[] = {200, 200, 404};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t n = 1; alloc_fail_begin(n); n++) {
            static struct test_server other;
            struct http_options o = test_options(&other, 30, 30, 8);
            struct error e;
            bool answered = false, started = http_start((struct app *)(void *)&other, &o, &other.http, &e) == STATUS_OK;
            if (started) {
                struct raw *c = raw_open(http_port(other.http));
                raw_send(c, texts[i]);
                answered = raw_read(c, false, &reply);
                raw_close(c);
                http_stop(other.http, 30);
            }
            bool failed = alloc_fail_end();
            if (!failed)
                assert_int_equal(reply.status, good[i]);
            else if (!started)
                assert_int_equal(e.status, STATUS_NOMEM);
            else if (answered)
                assert_true(reply.status == 503 || reply.status == good[i]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_answers_with_request_id_and_no_sniffing),
        cmocka_unit_test(test_sane_request_ids_are_kept_and_others_replaced),
        cmocka_unit_test(test_head_is_get_without_body),
        cmocka_unit_test(test_wrong_method_is_405_with_allow),
        cmocka_unit_test(test_unknown_paths_are_404),
        cmocka_unit_test(test_action_and_parameter_reach_the_handler),
        cmocka_unit_test(test_json_body_is_read_whatever_type_curl_claims),
        cmocka_unit_test(test_multipart_and_encoded_bodies_are_415),
        cmocka_unit_test(test_malformed_json_is_400),
        cmocka_unit_test(test_chunked_body_is_put_together),
        cmocka_unit_test(test_thousands_of_one_byte_chunks_are_only_a_body),
        cmocka_unit_test(test_body_over_the_limit_is_413_with_the_limit),
        cmocka_unit_test(test_chunked_body_over_the_limit_is_413),
        cmocka_unit_test(test_huge_declared_body_is_answered_at_once_and_closed),
        cmocka_unit_test(test_endless_chunked_body_is_cut_off_with_413),
        cmocka_unit_test(test_expected_continue_gets_its_refusal_before_the_body),
        cmocka_unit_test(test_refused_post_with_body_keeps_the_connection),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_handler_without_answer_is_500),
        cmocka_unit_test(test_core_errors_become_problems_without_paths),
        cmocka_unit_test(test_tagged_answer_is_304_when_unchanged),
        cmocka_unit_test(test_a_change_needs_the_tag_of_what_it_changes),
        cmocka_unit_test(test_file_is_sent_with_its_hash_as_tag),
        cmocka_unit_test(test_pages_cover_a_list_once),
        cmocka_unit_test(test_cursor_under_other_filters_is_400),
        cmocka_unit_test(test_bad_queries_are_400),
        cmocka_unit_test(test_stop_finishes_what_is_in_flight),
        cmocka_unit_test(test_taken_port_is_a_clear_conflict),
        cmocka_unit_test(test_loopback_addresses_are_known),
        cmocka_unit_test(test_listener_survives_each_failing_allocation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
