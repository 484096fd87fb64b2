/* tests/server/http/test_guard.c
 *
 * What must not get through: ambiguous frames (one request that a proxy reads as two), targets with hidden ends, names
 * and origins that are not ours.  Each case is bytes on a socket. */
#include "tests/server/http/raw_client.h"

#define HOST "Host: localhost\r\nConnection: close\r\n"

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

/* One 4xx answer, the connection closed behind it, and no handler was called. */
static void assert_refused(const char *name, const void *bytes, size_t n)
{
    int statuses[4], handled = server.handled, count = raw_replies(server.port, bytes, n, statuses);
    if (count > 1 || (count == 1 && (statuses[0] < 400 || statuses[0] > 499)) || server.handled != handled)
        fail_msg("%s: %d answers, %d %d, handler called %d times", name, count, statuses[0], statuses[1],
                 server.handled - handled);
}

static void refuse_all(const char *const (*cases)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_refused(cases[i][0], cases[i][1], strlen(cases[i][1]));
}

static void test_ambiguous_frames_are_refused_and_closed(void **state)
{
    static const char *const cases[][2] = {
        {"two lengths that differ", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 13\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1"},
        {"two lengths alike", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"},
        {"list of lengths", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2, 2\r\n\r\n{}"},
        {"length and encoding", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "2\r\n{}\r\n0\r\n\r\nGET /plain HTTP/1.1\r\n" HOST "\r\n"},
        {"encoding and length", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"
                                "2\r\n{}\r\n0\r\n\r\n"},
        {"two encodings", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
                          "2\r\n{}\r\n0\r\n\r\n"},
        {"gzip, chunked", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
        {"chunked, identity", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
        {"xchunked", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
        {"identity", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n{}"},
        {"chunked in HTTP/1.0", "POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
        {"negative length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: -2\r\n\r\n{}"},
        {"signed length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: +2\r\n\r\n{}"},
        {"hexadecimal length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x2\r\n\r\n{}"},
        {"length with text", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2 2\r\n\r\n{}"},
        {"length beyond 64 bits", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551618\r\n\r\n{}"},
        {"empty length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n{}"},
        {"space before the colon", "POST /echo HTTP/1.1\r\n" HOST "Content-Length : 2\r\n\r\n{}"},
        {"negative chunk", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n"},
        {"chunk size of 17 digits", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n00000000000000002\r\n{}"
                                    "\r\nfffffffffffffffff\r\n"},
        {"chunk size that is no number", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"},
    };
    (void)state;
    refuse_all(cases, ARRAY_LEN(cases));
}

static void test_hosts_must_be_one(void **state)
{
    static const char *const cases[][2] = {
        {"no host", "GET /plain HTTP/1.1\r\n\r\n"},
        {"two hosts", "GET /plain HTTP/1.1\r\n" HOST "Host: other\r\n\r\n"},
        {"two hosts in 1.0", "GET /plain HTTP/1.0\r\n" HOST "Host: other\r\n\r\n"},
        {"empty host", "GET /plain HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"},
        {"host with path", "GET /plain HTTP/1.1\r\nHost: localhost/x\r\nConnection: close\r\n\r\n"},
        {"host with user", "GET /plain HTTP/1.1\r\nHost: a@localhost\r\nConnection: close\r\n\r\n"},
        {"host with odd port", "GET /plain HTTP/1.1\r\nHost: localhost:80x\r\nConnection: close\r\n\r\n"},
    };
    (void)state;
    refuse_all(cases, ARRAY_LEN(cases));
    raw_ask(server.port, "GET /plain HTTP/1.0\r\n\r\n", &reply);
    assert_int_equal(reply.status, 200);
}

static void test_public_names_are_answered_only_when_configured(void **state)
{
    static const struct { const char *host; int status; } cases[] = {
        {"localhost", 200}, {"localhost:8080", 200}, {"127.0.0.1:1", 200}, {"[::1]:8080", 200}, {"[::1]", 200}, {"node17", 200},
        {"a.localhost", 200}, {"trigger.example.org:443", 200}, {"TRIGGER.example.ORG", 200},
        {"evil.example.org", 403}, {"trigger.example.org.evil.net", 403}, {"127.0.0.1.nip.io", 403}, {"localhost.evil.net", 403},
    };
    char text[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof text, "GET /plain HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].host);
        raw_ask(server.port, text, &reply);
        if (reply.status != cases[i].status)
            fail_msg("%s: %d", cases[i].host, reply.status);
    }
    assert_problem(&reply, 403, "host_not_allowed");
}

static void test_pages_of_other_origins_may_not_post(void **state)
{
    static const struct { const char *origin; int status; } cases[] = {
        {"http://localhost:8080", 200}, {"https://localhost:8080", 200}, {"http://localhost:9090", 403}, {"http://evil.example", 403},
        {"null", 403}, {"http://localhost:8080.evil.net", 403}, {"file://", 403},
    };
    char text[256];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nHost: localhost:8080\r\nOrigin: %s\r\nContent-Length: 2\r\n\r\n{}",
                 cases[i].origin);
        raw_ask(server.port, text, &reply);
        if (reply.status != cases[i].status)
            fail_msg("%s: %d", cases[i].origin, reply.status);
    }
    assert_problem(&reply, 403, "cross_origin");
    raw_ask(server.port, "GET /plain HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", &reply);
    assert_int_equal(reply.status, 200);
}

static void test_hidden_ends_in_targets_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"escaped NUL", "GET /plain%00z HTTP/1.1\r\n" HOST "\r\n"},
        {"escaped line end", "GET /plain%0d%0aX:y HTTP/1.1\r\n" HOST "\r\n"},
        {"escaped DEL", "GET /things/%7f HTTP/1.1\r\n" HOST "\r\n"},
        {"half an escape", "GET /plain%0 HTTP/1.1\r\n" HOST "\r\n"},
        {"control byte", "GET /pl\x01in HTTP/1.1\r\n" HOST "\r\n"},
        {"byte above 127", "GET /pl\xc3\xa4in HTTP/1.1\r\n" HOST "\r\n"},
        {"fragment", "GET /plain#x HTTP/1.1\r\n" HOST "\r\n"},
        {"escaped NUL in the query", "GET /things?kind=%00 HTTP/1.1\r\n" HOST "\r\n"},
        {"no slash", "GET plain HTTP/1.1\r\n" HOST "\r\n"},
        {"asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"},
        {"connect", "CONNECT localhost:22 HTTP/1.1\r\n" HOST "\r\n"},
        {"traversal", "GET /things/../../etc/passwd HTTP/1.1\r\n" HOST "\r\n"},
        {"escaped traversal", "GET /things/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n" HOST "\r\n"},
        {"doubly escaped traversal", "GET /things/x%252F..%252F/.. HTTP/1.1\r\n" HOST "\r\n"},
    };
    (void)state;
    refuse_all(cases, ARRAY_LEN(cases));
}

static void test_problem_of_a_bad_target_is_complete(void **state)
{
    (void)state;
    raw_ask(server.port, "GET /plain%00z HTTP/1.1\r\n" HOST "\r\n", &reply);
    assert_problem(&reply, 400, "malformed_request");
    raw_ask(server.port, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", &reply);
    assert_problem(&reply, 400, "malformed_request");
    assert_string_equal(raw_header(&reply, "Connection"), "close");
}

static void test_wild_header_lines_are_survived(void **state)
{
    static char many[1 << 18];
    static const char *const cases[][2] = {
        {"header name with space", "GET /plain HTTP/1.1\r\n" HOST "X y: 1\r\n\r\n"},
        {"header without colon", "GET /plain HTTP/1.1\r\n" HOST "garbage\r\n\r\n"},
        {"header with control byte", "GET /plain HTTP/1.1\r\n" HOST "X: a\x01" "b\r\n\r\n"},
        {"future version", "GET /plain HTTP/2.0\r\n" HOST "\r\n"},
        {"nonsense version", "GET /plain HTCPCP/1.0\r\n" HOST "\r\n"},
        {"only noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int statuses[4], count = raw_replies(server.port, cases[i][1], strlen(cases[i][1]), statuses);
        if (count > 1 || (count == 1 && statuses[0] == 200))
            fail_msg("%s: %d answers, %d", cases[i][0], count, statuses[0]);
    }
    size_t len = (size_t)snprintf(many, sizeof many, "GET /plain HTTP/1.1\r\n" HOST);
    while (len + 40 < sizeof many)
        len += (size_t)snprintf(many + len, sizeof many - len, "X-%zu: yyyyyyyyyy\r\n", len);
    int statuses[4], count = raw_replies(server.port, many, len, statuses);
    assert_true(count <= 2 && statuses[0] != 200);
    raw_ask(server.port, "GET /plain HTTP/1.1\r\n" HOST "\r\n", &reply);
    assert_int_equal(reply.status, 200);
}

/* Seeded mutations of good requests: whatever comes back, the service goes on. */
static void test_mutated_requests_never_stop_the_service(void **state)
{
    static const char good[] = "POST /things/a%20b:cancel?x=1 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
                               "Content-Type: application/json\r\n\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n";
    struct rng rng = rng_stream(20261123, 1);
    (void)state;
    for (int i = 0; i < 300; i++) {
        char text[sizeof good];
        struct raw *c = raw_open(server.port);
        memcpy(text, good, sizeof good);
        for (int k = 0; k < 1 + (int)rng_below(&rng, 4); k++)
            text[rng_below(&rng, sizeof good - 1)] = (char)rng_below(&rng, 256);
        raw_send_bytes(c, text, sizeof good - 1);
        shutdown(c->fd, SHUT_WR);
        (void)raw_receive(c, 10);
        raw_close(c);
    }
    raw_ask(server.port, "GET /plain HTTP/1.1\r\n" HOST "\r\n", &reply);
    assert_int_equal(reply.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ambiguous_frames_are_refused_and_closed),
        cmocka_unit_test(test_hosts_must_be_one),
        cmocka_unit_test(test_public_names_are_answered_only_when_configured),
        cmocka_unit_test(test_pages_of_other_origins_may_not_post),
        cmocka_unit_test(test_hidden_ends_in_targets_are_refused),
        cmocka_unit_test(test_problem_of_a_bad_target_is_complete),
        cmocka_unit_test(test_wild_header_lines_are_survived),
        cmocka_unit_test(test_mutated_requests_never_stop_the_service),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
