/* tests/server/http/test_slow.c
 *
 * Clients that take their time: each is ended by its deadline, however often it sends a byte, and others are served
 * meanwhile.  Nothing here measures how long it takes. */
#include "tests/server/http/raw_client.h"

#define HOST "Host: localhost\r\n"

static struct test_server server;
static struct raw_reply reply;

static int set_up(void **state)
{
    (void)state;
    test_server_start(&server, 1, 1, 24);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_server_stop(&server);
    return 0;
}

/* Sends `head`, then 'x' every 50 ms until the other side has enough; false if it never has. */
static bool is_ended_while_dripping(const char *head)
{
    struct raw *c = raw_open(server.port);
    bool ended = false;
    raw_send(c, head);
    for (int ms = 0; ms < GIVE_UP_MS && !ended; ms += 50) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 50) > 0)
            ended = !raw_receive(c, 0);
        raw_send(c, "x");
    }
    raw_close(c);
    return ended;
}

static void test_headers_that_drip_are_ended(void **state)
{
    (void)state;
    assert_true(is_ended_while_dripping("GET /plain HTTP/1.1\r\n" HOST "X-Slow: "));
    assert_true(is_ended_while_dripping("GET /"));
    assert_true(is_ended_while_dripping(""));
}

static void test_bodies_that_drip_are_ended(void **state)
{
    (void)state;
    assert_true(is_ended_while_dripping("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n"));
    assert_true(is_ended_while_dripping("POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n"));
    assert_true(is_ended_while_dripping("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"));
}

static void test_second_request_of_a_connection_has_its_deadline_too(void **state)
{
    (void)state;
    assert_true(is_ended_while_dripping("GET /plain HTTP/1.1\r\n" HOST "\r\nGET /plain HTTP/1.1\r\n" HOST "X-Slow: "));
}

static void test_idle_connection_is_ended(void **state)
{
    struct raw *silent = raw_open(server.port), *used = raw_open(server.port);
    (void)state;
    raw_send(used, "GET /plain HTTP/1.1\r\n" HOST "\r\n");
    assert_true(raw_read(used, false, &reply));
    assert_true(raw_ended(used));
    assert_true(raw_ended(silent));
    raw_close(used);
    raw_close(silent);
}

static void test_slow_clients_up_to_the_limit_make_room_again(void **state)
{
    enum { SLOW = 40 };                                /* more than the 24 connections there are */
    struct raw *slow[SLOW];
    bool served = false;
    (void)state;
    for (int i = 0; i < SLOW; i++) {
        slow[i] = raw_open(server.port);
        raw_send(slow[i], "GET /plain HTTP/1.1\r\n");
    }
    for (int tries = 0; tries < 600 && !served; tries++) {
        struct raw *c = raw_open(server.port);
        raw_send(c, "GET /plain HTTP/1.1\r\n" HOST "\r\n");
        served = raw_read_within(c, false, 100, &reply) && reply.status == 200;
        raw_close(c);
    }
    assert_true(served);
    for (int i = 0; i < SLOW; i++)
        raw_close(slow[i]);
}

static void test_clients_that_vanish_leave_nothing_behind(void **state)
{
    static const char *const heads[] = {"", "GET /pl", "GET /plain HTTP/1.1\r\n" HOST,
                                        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nabc",
                                        "GET /sleep HTTP/1.1\r\n" HOST "\r\n"};
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct raw *c = raw_open(server.port);
        raw_send(c, heads[i % (int)ARRAY_LEN(heads)]);
        raw_close(c);
    }
    while (server.done < server.begun || http_in_flight(server.http) > 0)
        usleep(10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_that_drip_are_ended),
        cmocka_unit_test(test_bodies_that_drip_are_ended),
        cmocka_unit_test(test_second_request_of_a_connection_has_its_deadline_too),
        cmocka_unit_test(test_idle_connection_is_ended),
        cmocka_unit_test(test_slow_clients_up_to_the_limit_make_room_again),
        cmocka_unit_test(test_clients_that_vanish_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
