/* tests/server/http/test_waiting.c
 *
 * Requests that wait and bodies that come in steps, over a real socket: woken, timed out, refused, stopped. */
#include "tests/server/http/raw_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define HOST "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static struct scene {
    struct http *http;
    atomic_int value, looks, steps;
} scene;
static struct raw_reply reply;

/* Answers once the value is not 0, or when it may not wait any longer. */
static void handle_value(struct app *app, struct request *q, struct response *r)
{
    char text[32];
    (void)app;
    atomic_fetch_add(&scene.looks, 1);
    int value = atomic_load(&scene.value);
    if (value == 0 && q->may_wait) {
        int64_t seconds = request_query(q, "long") ? 50 : 1;
        q->memo = q->memo ? q->memo : "kept";
        respond_later(r, q->arrived_ns + seconds * 1000000000);
        return;
    }
    int n = snprintf(text, sizeof text, "%d %s", value, q->memo ? (const char *)q->memo : "at once");
    respond_text(q, r, 200, "text/plain", text, (size_t)n);
}

/* Tells the value whenever it has grown; ends at 3. */
static enum stream_step next(struct app *app, void *ctx, struct buf *out, int64_t *wake_ns)
{
    struct error e;
    int *told = ctx, value = atomic_load(&scene.value);
    (void)app;
    atomic_fetch_add(&scene.steps, 1);
    *wake_ns = time_mono_ns() + 50000000000;
    if (*told < value && buf_printf(out, &e, "%d\n", ++*told) != STATUS_OK)
        return STREAM_END;
    return *told == 3 ? STREAM_END : *told < value ? STREAM_MORE : STREAM_WAIT;
}

static void handle_stream(struct app *app, struct request *q, struct response *r)
{
    (void)app;
    int *told = ARENA_NEW(&q->arena, int, 1);
    check(told);
    *told = 0;
    respond_stream(r, "text/plain", next, told);
}

static void handle_now(struct app *app, struct request *q, struct response *r)
{
    (void)app;
    respond_text(q, r, 200, "text/plain", "now", 3);
}

static const struct route waiting_routes[] = {
    {HTTP_GET, "/value", "", 0, handle_value, "value", "long"},
    {HTTP_GET, "/stream", "", 0, handle_stream, "stream", NULL},
    {HTTP_GET, "/now", "", 0, handle_now, "now", NULL},
};

static int set_up(void **state)
{
    struct error e;
    struct http_options o = {.address = "127.0.0.1", .threads = 2, .connection_limit = 64, .request_seconds = 30,
                             .idle_seconds = 30, .routes = waiting_routes, .n_routes = ARRAY_LEN(waiting_routes)};
    (void)state;
    memset(&scene, 0, sizeof scene);
    return http_start(NULL, &o, &scene.http, &e) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    if (scene.http)
        http_stop(scene.http, 5);
    return 0;
}

static void set_value(int value)
{
    atomic_store(&scene.value, value);
    http_wake(scene.http);
}

static struct raw *ask_on(const char *text)
{
    struct raw *c = raw_open(http_port(scene.http));
    raw_send(c, text);
    return c;
}

static void wait_until(atomic_int *n, int least)
{
    while (atomic_load(n) < least)
        usleep(1000);
}

static void test_a_wake_lets_all_look_again_and_others_are_served_meanwhile(void **state)
{
    enum { N = 20 };
    struct raw *waiting[N];
    (void)state;
    for (int i = 0; i < N; i++)
        waiting[i] = ask_on(GET("/value?long=1"));
    wait_until(&scene.looks, N);
    for (int i = 0; i < 50; i++) {
        raw_ask(http_port(scene.http), GET("/now"), &reply);
        assert_int_equal(reply.status, 200);
    }
    http_wake(scene.http);                             /* nothing has changed: they wait on */
    wait_until(&scene.looks, 2 * N);
    set_value(7);
    for (int i = 0; i < N; i++) {
        assert_true(raw_read(waiting[i], false, &reply));
        assert_string_equal(reply.body, "7 kept");
        raw_send(waiting[i], GET("/value"));           /* the connection lives on, and the memo was the request's */
        assert_true(raw_read(waiting[i], false, &reply));
        assert_string_equal(reply.body, "7 at once");
        raw_close(waiting[i]);
    }
}

static void test_when_its_time_is_up_a_request_is_answered_as_things_are(void **state)
{
    (void)state;
    raw_ask(http_port(scene.http), GET("/value"), &reply);
    assert_string_equal(reply.body, "0 kept");
    assert_true(atomic_load(&scene.looks) >= 2);
}

static void test_half_of_the_connections_may_wait_and_the_rest_are_answered_at_once(void **state)
{
    enum { N = 32 };
    struct raw *waiting[N];
    (void)state;
    for (int i = 0; i < N; i++)
        waiting[i] = ask_on(GET("/value?long=1"));
    wait_until(&scene.looks, N);
    usleep(100000);                                    /* from the look to the suspension */
    raw_ask(http_port(scene.http), GET("/value?long=1"), &reply);
    assert_string_equal(reply.body, "0 at once");
    set_value(1);
    for (int i = 0; i < N; i++) {
        assert_true(raw_read(waiting[i], false, &reply));
        raw_close(waiting[i]);
    }
}

static void test_a_stream_tells_each_step_and_ends(void **state)
{
    (void)state;
    struct raw *c = ask_on(GET("/stream"));
    wait_until(&scene.steps, 1);
    set_value(1);
    wait_until(&scene.steps, 3);
    set_value(3);
    assert_true(raw_read(c, false, &reply));
    assert_int_equal(reply.status, 200);
    assert_string_equal(raw_header(&reply, "Transfer-Encoding"), "chunked");
    while (!memmem(c->buf, c->n, "\r\n0\r\n\r\n", 7))  /* the last chunk */
        assert_true(raw_receive(c, GIVE_UP_MS));
    for (char line[] = "1\n"; line[0] <= '3'; line[0]++)
        assert_non_null(memmem(c->buf, c->n, line, 2));
    raw_close(c);
    struct raw *head = ask_on("HEAD /stream HTTP/1.1\r\n" HOST "\r\n");
    assert_true(raw_read(head, true, &reply));
    assert_int_equal(reply.status, 200);
    raw_close(head);
}

static void test_stopping_answers_all_that_wait_and_ends_streams(void **state)
{
    enum { N = 8 };
    struct raw *waiting[N], *streams[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        waiting[i] = ask_on(GET("/value?long=1"));
        streams[i] = ask_on(GET("/stream"));
    }
    wait_until(&scene.looks, N);
    wait_until(&scene.steps, N);
    http_stop(scene.http, 30);
    scene.http = NULL;
    for (int i = 0; i < N; i++) {
        assert_true(raw_read(waiting[i], false, &reply));
        assert_string_equal(reply.body, "0 kept");
        assert_string_equal(raw_header(&reply, "Connection"), "close");
        raw_close(waiting[i]);
        assert_true(raw_read(streams[i], false, &reply));
        assert_int_equal(reply.status, 200);
        raw_close(streams[i]);
    }
}

static void test_clients_that_go_while_they_wait_do_no_harm(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        raw_close(ask_on(GET("/value?long=1")));
        raw_close(ask_on(GET("/stream")));
    }
    wait_until(&scene.looks, 10);
    set_value(1);
    raw_ask(http_port(scene.http), GET("/now"), &reply);
    assert_int_equal(reply.status, 200);
}

static void *wake_often(void *stop)
{
    while (!atomic_load((atomic_bool *)stop)) {
        http_wake(scene.http);
        usleep(100);
    }
    return NULL;
}

static void test_no_wake_is_lost_between_the_look_and_the_suspension(void **state)
{
    atomic_bool stop = false;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wake_often, &stop), 0);
    for (int i = 0; i < 20; i++) {
        atomic_store(&scene.value, 0);
        int looks = atomic_load(&scene.looks);
        struct raw *c = ask_on(GET("/value?long=1"));
        wait_until(&scene.looks, looks + 1);
        set_value(i + 1);
        assert_true(raw_read(c, false, &reply));
        assert_int_equal(atoi(reply.body), i + 1);
        raw_close(c);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_wake_lets_all_look_again_and_others_are_served_meanwhile),
        TEST(test_when_its_time_is_up_a_request_is_answered_as_things_are),
        TEST(test_half_of_the_connections_may_wait_and_the_rest_are_answered_at_once),
        TEST(test_a_stream_tells_each_step_and_ends),
        TEST(test_stopping_answers_all_that_wait_and_ends_streams),
        TEST(test_clients_that_go_while_they_wait_do_no_harm),
        TEST(test_no_wake_is_lost_between_the_look_and_the_suspension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
