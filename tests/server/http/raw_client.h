/* tests/server/http/raw_client.h
 *
 * A client that sends exactly the bytes it is given, and a listener with a handful of routes of its own.  Functions are
 * static, since each test is one translation unit.  The receive timeout only keeps a broken service from hanging the
 * test. */
#ifndef DLT_TESTS_SERVER_HTTP_RAW_CLIENT_H
#define DLT_TESTS_SERVER_HTTP_RAW_CLIENT_H

#include "server/http/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MAYBE_UNUSED __attribute__((unused))

/* ---- client ------------------------------------------------------------------------------------------------------ */

enum { GIVE_UP_MS = 60000 };

struct raw {
    int fd;
    size_t n;                          /* bytes received and not yet taken */
    char buf[1 << 18];
};
struct raw_reply {
    int status;
    char head[8192], body[1 << 17];
    size_t body_len;
};

MAYBE_UNUSED static struct raw *raw_open(uint16_t port)
{
    struct raw *c = calloc(1, sizeof *c);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_non_null(c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof a), 0);
    return c;
}

MAYBE_UNUSED static void raw_close(struct raw *c)
{
    close(c->fd);
    free(c);
}

/* What the other side no longer takes is nobody's failure. */
MAYBE_UNUSED static bool raw_send_bytes(struct raw *c, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t sent = send(c->fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

MAYBE_UNUSED static bool raw_send(struct raw *c, const char *text)
{
    return raw_send_bytes(c, text, strlen(text));
}

/* More bytes into the buffer; false at the end of the stream or after `ms` without any. */
MAYBE_UNUSED static bool raw_receive(struct raw *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (c->n == sizeof c->buf - 1 || poll(&p, 1, ms) <= 0)
        return false;
    ssize_t got = recv(c->fd, c->buf + c->n, sizeof c->buf - 1 - c->n, 0);
    if (got <= 0)
        return false;
    c->n += (size_t)got;
    c->buf[c->n] = '\0';
    return true;
}

/* Value of a header, valid until the next call, or NULL. */
MAYBE_UNUSED static const char *raw_header(const struct raw_reply *r, const char *name)
{
    static char value[1024];
    size_t len = strlen(name);
    for (const char *at = strstr(r->head, "\r\n"); at; at = strstr(at + 2, "\r\n"))
        if (strncasecmp(at + 2, name, len) == 0 && at[2 + len] == ':') {
            const char *begin = at + 3 + len + strspn(at + 3 + len, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(begin, "\r"), begin);
            return value;
        }
    return NULL;
}

/* One response within `ms` of silence; false at the end of the stream.  `no_body`: the answer to a HEAD request. */
MAYBE_UNUSED static bool raw_read_within(struct raw *c, bool no_body, int ms, struct raw_reply *out)
{
    char *end;
    memset(out, 0, sizeof *out);
    c->buf[c->n] = '\0';
    while (!(end = memmem(c->buf, c->n, "\r\n\r\n", 4)))
        if (!raw_receive(c, ms))
            return false;
    size_t head = (size_t)(end + 4 - c->buf);
    assert_true(head < sizeof out->head);
    memcpy(out->head, c->buf, head);
    assert_int_equal(sscanf(out->head, "HTTP/1.1 %d", &out->status), 1);
    const char *length = raw_header(out, "Content-Length");
    out->body_len = length && !no_body && out->status != 304 && out->status != 100 ? strtoul(length, NULL, 10) : 0;
    assert_true(out->body_len < sizeof out->body);
    while (c->n < head + out->body_len)
        if (!raw_receive(c, ms))
            return false;
    memcpy(out->body, c->buf + head, out->body_len);
    c->n -= head + out->body_len;
    memmove(c->buf, c->buf + head + out->body_len, c->n);
    return true;
}

MAYBE_UNUSED static bool raw_read(struct raw *c, bool no_body, struct raw_reply *out)
{
    return raw_read_within(c, no_body, GIVE_UP_MS, out);
}

/* Whether the other side ends the stream, after anything it still sends. */
MAYBE_UNUSED static bool raw_ended(struct raw *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    do {
        c->n = 0;
        if (poll(&p, 1, GIVE_UP_MS) <= 0)
            return false;
    } while (raw_receive(c, GIVE_UP_MS));
    return true;
}

/* Opens, sends, reads one response and closes. */
MAYBE_UNUSED static void raw_ask(uint16_t port, const char *text, struct raw_reply *out)
{
    struct raw *c = raw_open(port);
    raw_send(c, text);
    assert_true(raw_read(c, strncmp(text, "HEAD ", 5) == 0, out));
    raw_close(c);
}

/* Number of responses to these bytes until the stream ends or the other side is silent for a second; their statuses go
 * to statuses[4]. */
MAYBE_UNUSED static int raw_replies(uint16_t port, const void *bytes, size_t n, int statuses[4])
{
    static struct raw_reply reply;
    struct raw *c = raw_open(port);
    int count = 0;
    raw_send_bytes(c, bytes, n);
    memset(statuses, 0, 4 * sizeof *statuses);
    while (count < 4 && raw_read_within(c, false, 1000, &reply))
        statuses[count++] = reply.status;
    raw_close(c);
    return count;
}

/* ---- a listener of the tests' own -------------------------------------------------------------------------------- */

struct test_server {
    struct http *http;
    uint16_t port;
    _Atomic int begun, done, handled, last_status;
    _Atomic size_t last_route;
    char last_param[PATH_PARAM_BYTES_MAX + 1];
};
static struct test_server *test_server_of(struct app *app)
{
    return (struct test_server *)(void *)app;
}

static void handle_plain(struct app *app, struct request *q, struct response *r)
{
    test_server_of(app)->handled++;
    respond_text(q, r, 200, "text/plain", "plain\n", 6);
}

static void handle_thing(struct app *app, struct request *q, struct response *r)
{
    test_server_of(app)->handled++;
    snprintf(test_server_of(app)->last_param, sizeof test_server_of(app)->last_param, "%s", q->params[0]);
    respond_text(q, r, 200, "text/plain", q->params[0], strlen(q->params[0]));
}

static void handle_tagged(struct app *app, struct request *q, struct response *r)
{
    struct json *v = json_new_object();
    (void)app;
    json_set(v, "answer", json_new_i64(42));
    respond_json_tagged(q, r, v);
}

static void handle_matched(struct app *app, struct request *q, struct response *r)
{
    (void)app;
    if (request_if_match(q, r, "7"))
        respond_empty(r, 204);
}

/* Seven things, newest first: t7 ... t1. */
static void handle_list(struct app *app, struct request *q, struct response *r)
{
    struct page page;
    char id[16] = "";
    (void)app;
    if (!page_read(q, r, &page))
        return;
    int first = page.before ? atoi(page.before + 1) - 1 : 7, n = 0;
    struct json *items = json_new_array();
    for (int i = first; i >= 1 && n < (int)page.limit; i--, n++) {
        snprintf(id, sizeof id, "t%d", i);
        json_push(items, json_new_string(id));
    }
    respond_page(q, r, &page, items, first - n >= 1 ? id : NULL);
}

static void handle_echo(struct app *app, struct request *q, struct response *r)
{
    struct json *body;
    test_server_of(app)->handled++;
    if (request_json(q, r, false, &body))
        respond_json(q, r, 200, body);
}

static void handle_count(struct app *app, struct request *q, struct response *r)
{
    char text[64];
    size_t sum = 0;
    test_server_of(app)->handled++;
    for (size_t i = 0; i < q->body_len; i++)
        sum += q->body[i];
    int n = snprintf(text, sizeof text, "%zu %zu", q->body_len, sum);
    respond_text(q, r, 200, "text/plain", text, (size_t)n);
}

static void handle_file(struct app *app, struct request *q, struct response *r)
{
    int fd = memfd_create("answer", MFD_CLOEXEC);
    (void)app;
    assert_int_equal(write(fd, "contents of a file", 18), 18);
    if (respond_unchanged(q, r, "b1946ac9"))
        close(fd);
    else
        respond_file(r, fd, 18, "application/octet-stream");
}

static void handle_silent(struct app *app, struct request *q, struct response *r)
{
    (void)app, (void)q, (void)r;
}

static void handle_fail(struct app *app, struct request *q, struct response *r)
{
    struct error e;
    (void)app;
    for (int s = STATUS_NOMEM; s <= STATUS_BUG; s++)
        if (strcmp(q->params[0], status_name((enum status)s)) == 0) {
            (void)error_set(&e, (enum status)s, "/srv/secret/data/tt.root: tree Delphes at /var/lib/x: 3 of 4 bytes");
            respond_error(q, r, &e);
        }
}

static void handle_sleep(struct app *app, struct request *q, struct response *r)
{
    test_server_of(app)->handled++;
    usleep(300000);
    respond_text(q, r, 200, "text/plain", "late", 4);
}

static const struct route test_routes[] = {
    {HTTP_GET, "/plain", "", 0, handle_plain, "plain", NULL},
    {HTTP_GET, "/things", "read", 0, handle_list, "list", "kind limit cursor"},
    {HTTP_POST, "/things", "write", 1000, handle_echo, "create", NULL},
    {HTTP_GET, "/things/{id}", "read", 0, handle_thing, "thing", NULL},
    {HTTP_POST, "/things/{id}:cancel", "write", 64, handle_thing, "cancel", NULL},
    {HTTP_POST, "/echo", "write", 1000, handle_echo, "echo", NULL},
    {HTTP_POST, "/big", "write", 2 << 20, handle_count, "big", NULL},
    {HTTP_GET, "/tagged", "read", 0, handle_tagged, "tagged", NULL},
    {HTTP_PUT, "/tagged", "read", 64, handle_matched, "matched", NULL},
    {HTTP_GET, "/file", "read", 0, handle_file, "file", NULL},
    {HTTP_GET, "/silent", "read", 0, handle_silent, "silent", NULL},
    {HTTP_GET, "/fail/{status}", "read", 0, handle_fail, "fail", NULL},
    {HTTP_GET, "/sleep", "read", 0, handle_sleep, "sleep", NULL},
};

static void count_begun(void *ctx)
{
    ((struct test_server *)ctx)->begun++;
}

static void count_done(void *ctx, size_t route, enum http_method method, int status, int64_t duration_ns)
{
    struct test_server *s = ctx;
    (void)method;
    assert_true(duration_ns >= 0);
    s->last_route = route;
    s->last_status = status;
    s->done++;
}

MAYBE_UNUSED static struct http_options test_options(struct test_server *s, int request_seconds, int idle_seconds,
                                                     size_t connections)
{
    static const char *const hosts[] = {"trigger.example.org"};
    return (struct http_options){.address = "127.0.0.1", .threads = 2, .connection_limit = connections,
                                 .request_seconds = request_seconds, .idle_seconds = idle_seconds, .hosts = hosts, .n_hosts = 1,
                                 .routes = test_routes, .n_routes = ARRAY_LEN(test_routes),
                                 .observer = {s, count_begun, count_done}};
}

MAYBE_UNUSED static void test_server_start(struct test_server *s, int request_seconds, int idle_seconds, size_t connections)
{
    struct error e;
    memset(s, 0, sizeof *s);
    struct http_options o = test_options(s, request_seconds, idle_seconds, connections);
    log_set(LOG_ERROR, NULL, NULL);
    if (http_start((struct app *)(void *)s, &o, &s->http, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    s->port = http_port(s->http);
}

MAYBE_UNUSED static void test_server_stop(struct test_server *s)
{
    http_stop(s->http, 30);
    assert_int_equal(s->begun, s->done);
}

/* The answer's problem document has this code; its other members are there and agree with the response. */
MAYBE_UNUSED static void assert_problem(const struct raw_reply *r, int status, const char *code)
{
    static const char *const members[] = {"type", "title", "status", "detail", "instance", "code", "errors",
                                          "request_id", "retryable"};
    struct json *v;
    struct error e;
    assert_int_equal(r->status, status);
    assert_string_equal(raw_header(r, "Content-Type"), "application/problem+json");
    assert_int_equal(json_parse(r->body, r->body_len, &v, &e), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        assert_non_null(json_get(v, members[i]));
    assert_string_equal(json_str(json_get(v, "code"), ""), code);
    assert_int_equal(json_int(json_get(v, "status"), 0), status);
    assert_string_equal(json_str(json_get(v, "request_id"), ""), raw_header(r, "X-Request-Id"));
    assert_int_equal(json_type_of(json_get(v, "errors")), JSON_ARRAY_);
    assert_ptr_equal(problem_find(json_str(json_get(v, "type"), "") + strlen("/problems/")), problem_find(code));
    json_free(v);
}

#endif
