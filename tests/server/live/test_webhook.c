/* tests/server/live/test_webhook.c
 *
 * Webhooks: who may be called, what is signed, and that a receiver that fails is asked again. */
#include "server/live/webhook.h"
#include "tests/server/jobs/engine_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* A receiver: keeps what it gets, answers the first `failures` requests with 500 and one with a redirect. */
static struct receiver {
    int fd, failures;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    int n;
    char requests[8][16384];
} receiver = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void serve_one(int fd)
{
    static char text[16384];
    size_t len = 0, whole = 0;
    while (len + 1 < sizeof text && (whole == 0 || len < whole)) {
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
        char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (body && length)
            whole = (size_t)(body + 4 - text) + (size_t)atoi(length + 16);
    }
    pthread_mutex_lock(&receiver.lock);
    int i = receiver.n++;
    if (i < 8)
        text_copy(receiver.requests[i], sizeof receiver.requests[i], text);
    const char *answer = i < receiver.failures ? "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                                               : "HTTP/1.1 204 Yes\r\nConnection: close\r\n\r\n";
    if (i == 0 && receiver.failures > 1)
        answer = "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    pthread_mutex_unlock(&receiver.lock);
    (void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    close(fd);
}

static void *receiver_main(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(receiver.fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        serve_one(fd);
    }
}

static void receiver_start(int failures)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    receiver.n = 0;
    receiver.failures = failures;
    receiver.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(receiver.fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(receiver.fd, 8), 0);
    assert_int_equal(getsockname(receiver.fd, (struct sockaddr *)&a, &len), 0);
    receiver.port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&receiver.thread, NULL, receiver_main, NULL), 0);
}

static void receiver_stop(void)
{
    shutdown(receiver.fd, SHUT_RDWR);
    pthread_join(receiver.thread, NULL);
    close(receiver.fd);
}

static const char *const hosts[] = {"127.0.0.1", "*.example.org", "ci.example.com:8443"};

static struct webhooks *start_webhooks(struct fixture *f)
{
    struct jobs_options o = options_of(f, 1);
    struct webhooks *w;
    o.webhook_hosts = hosts;
    o.n_webhook_hosts = ARRAY_LEN(hosts);
    OK(jobs_start(f->s, &o, &f->j, &f->e));
    struct webhooks_options wo = {.hosts = hosts, .n_hosts = ARRAY_LEN(hosts), .secret_dir = f->folder,
                                  .first_wait_us = 1000, .look_ms = 10};
    OK(webhooks_start(f->s, f->j, &wo, &w, &f->e));
    return w;
}

static size_t wait_for_deliveries(struct fixture *f, const char *job, const char *state, size_t n)
{
    struct webhook_delivery *rows;
    size_t n_rows = 0, n_there;
    do {
        usleep(5000);
        OK(store_webhook_deliveries(f->s, &f->a, job, 0, 100, &rows, &n_rows, &f->e));
        n_there = 0;
        for (size_t i = 0; i < n_rows; i++)
            n_there += strcmp(rows[i].state, state) == 0;
    } while (n_there < n);
    return n_rows;
}

static void test_the_signature_is_that_of_the_standard(void **state)
{
    (void)state;
    char text[72];
    webhook_signature("Jefe", 4, "what do ya want for nothing?", 28, text);        /* RFC 4231, 4.3 */
    assert_string_equal(text, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    char key[131];
    memset(key, 0xaa, sizeof key);                                                  /* RFC 4231, 4.7 */
    webhook_signature(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, text);
    assert_string_equal(text, "sha256=60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void test_only_listed_hosts_are_called(void **state)
{
    (void)state;
    static const char *const good[] = {"http://127.0.0.1:99/x", "https://a.example.org/", "https://CI.example.com:8443/h?q"};
    static const char *const bad[] = {"http://127.0.0.2/", "https://example.org/", "https://ci.example.com/",
                                      "https://ci.example.com:443/", "ftp://127.0.0.1/", "file:///etc/passwd",
                                      "http://127.0.0.1@evil.org/", "http://evil.org/#.example.org", "http://evilexample.org/",
                                      "http:///", "", "http://127.0.0.1:x/", "http://127.0.0.1 /", "http://127.0.0.1\\@evil.org/"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(webhook_url_allowed(good[i], hosts, ARRAY_LEN(hosts)));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(webhook_url_allowed(bad[i], hosts, ARRAY_LEN(hosts)));
    assert_false(webhook_url_allowed(good[0], NULL, 0));
}

static void test_the_end_of_a_job_is_told_signed_and_again_until_it_is_taken(void **state)
{
    struct fixture *f = *state;
    char text[400], signature[72];
    receiver_start(2);
    OK(file_write_atomic(path_in(f->folder, "ci"), "hush\n", 5, &f->e));
    struct webhooks *w = start_webhooks(f);
    snprintf(text, sizeof text, "{\"kind\":\"sum\",\"spec\":{},\"webhook\":{\"url\":\"http://127.0.0.1:%u/hook\",\"secret_ref\":\"ci\"}}",
             receiver.port);
    const char *id = submit(f, text);
    wait_for(f, id, JOB_COMPLETED);
    assert_int_equal(wait_for_deliveries(f, id, "delivered", 1), 1);
    webhooks_stop(w);
    receiver_stop();
    assert_int_equal(receiver.n, 3);               /* a redirect that was not followed, a failure, and then */
    const char *body = strstr(receiver.requests[2], "\r\n\r\n") + 4;
    webhook_signature("hush", 4, body, strlen(body), signature);
    assert_non_null(strstr(receiver.requests[2], signature));
    assert_non_null(strstr(receiver.requests[2], "POST /hook "));
    assert_non_null(strstr(body, "\"event\":\"completed\""));
    assert_non_null(strstr(body, id));
}

static void test_a_pipelines_webhook_hears_of_every_step(void **state)
{
    struct fixture *f = *state;
    char text[600], pipeline_id[40];
    struct field_list ids;
    struct json *body;
    receiver_start(0);
    struct webhooks *w = start_webhooks(f);
    snprintf(text, sizeof text,
             "{\"webhook\":{\"url\":\"http://127.0.0.1:%u/\",\"events\":[\"running\",\"end\"]},\"steps\":["
             "{\"id\":\"a\",\"kind\":\"sum\",\"spec\":{\"units\":1}},{\"id\":\"b\",\"kind\":\"sum\",\"needs\":[\"a\"],\"spec\":{\"units\":2}}]}",
             receiver.port);
    OK(json_parse(text, strlen(text), &body, &f->e));
    OK(jobs_submit_pipeline(f->j, body, pipeline_id, &ids, &f->a, &f->problems, &f->e));
    json_free(body);
    wait_for_deliveries(f, NULL, "delivered", 4);
    webhooks_stop(w);
    receiver_stop();
    assert_non_null(strstr(receiver.requests[0], "\"event\":\"running\""));
    assert_non_null(strstr(receiver.requests[3], "\"event\":\"completed\""));
    assert_null(strstr(receiver.requests[0], "X-Dltrigger-Signature"));
}

static void test_what_may_not_be_called_is_refused_when_it_is_submitted(void **state)
{
    struct fixture *f = *state;
    char id[40];
    struct webhooks *w = start_webhooks(f);
    IS(try_submit(f, "{\"kind\":\"sum\",\"spec\":{},\"webhook\":{\"url\":\"http://evil.org/\",\"events\":[\"ended\"],\"x\":1}}", id),
       STATUS_ARGUMENT);
    assert_int_equal(f->problems.n, 3);
    webhooks_stop(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_signature_is_that_of_the_standard),
        cmocka_unit_test(test_only_listed_hosts_are_called),
        TEST(test_the_end_of_a_job_is_told_signed_and_again_until_it_is_taken),
        TEST(test_a_pipelines_webhook_hears_of_every_step),
        TEST(test_what_may_not_be_called_is_refused_when_it_is_submitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
