/* tests/core/io/http_server.h
 *
 * A small HTTP/1.1 server on loopback that serves one array, well or badly: a test's script looks at each request and
 * changes how it is answered.  One thread a connection. */
#ifndef DLT_TESTS_CORE_IO_HTTP_SERVER_H
#define DLT_TESTS_CORE_IO_HTTP_SERVER_H

#include "tests/support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVER_CONNECTIONS_MAX = 4096, SERVER_RANGES_MAX = 64 };

struct server_range {
    size_t first, last;
};

struct server_request {
    size_t number; /* from 0, in order of arrival */
    char path[512], host[128], authorization[128], range[2048];
    struct server_range ranges[SERVER_RANGES_MAX];
    size_t n_ranges;
};

/* Zero: as it should be. */
struct server_reply {
    int status;             /* other than 200 and 206: an error with a short body */
    const char *headers;    /* more lines, each with its CR LF */
    const uint8_t *content; /* another content of the same or another size */
    size_t size;
    bool no_ranges;  /* 200 and everything */
    bool no_several; /* 200 where several ranges were asked for */
    bool first_range_only, reversed, skip_a_part, junk_between_parts;
    bool chunked, close_delimited; /* of whole answers */
    bool no_content_range;
    int64_t shift;      /* added to what Content-Range says */
    int64_t total_add;  /* likewise to its total */
    int64_t length_add; /* likewise to Content-Length */
    size_t cut_after;   /* drops the connection after so many bytes of body; 0: never */
    bool drip;          /* a byte every 20 ms */
    bool silent;        /* never answers */
    bool hang_up;       /* closes without an answer */
};

struct server;
typedef void server_script(struct server *s, const struct server_request *request, struct server_reply *reply);

struct server {
    const uint8_t *content;
    size_t size;
    server_script *_Atomic script; /* NULL: a good server; called under the lock */
    int port, fd;
    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_t thread, threads[SERVER_CONNECTIONS_MAX];
    int fds[SERVER_CONNECTIONS_MAX];
    size_t n_connections, n_open, n_open_max;
    atomic_size_t n_requests, n_several; /* n_several: that asked for more than one range */
    atomic_size_t marker;                /* the script's own */
    char last_range[2048], last_authorization[128];
};

struct server_connection {
    struct server *server;
    size_t index;
    int fd;
};

/* ---- sending --------------------------------------------------------------------------------------------- */

static bool server_send(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

struct server_body {
    struct server *server;
    const struct server_reply *reply;
    int fd;
    size_t sent;
};

/* Part of a body, as the reply wants it; false when the connection is to end. */
static bool server_send_body(struct server_body *b, const void *data, size_t len)
{
    const struct server_reply *r = b->reply;
    bool cut = r->cut_after > 0 && b->sent + len >= r->cut_after;
    if (cut)
        len = r->cut_after - b->sent;
    for (size_t i = 0; r->drip && i < len; i++) {
        if (b->server->stopping || !server_send(b->fd, (const char *)data + i, 1))
            return false;
        usleep(20000);
    }
    b->sent += len;
    return (r->drip || server_send(b->fd, data, len)) && !cut;
}

static size_t server_part_header(const struct server_reply *r, const struct server_range *range, size_t size, char *out,
                                 size_t cap)
{
    return (size_t)snprintf(out, cap,
                            "\r\n--frontier\r\nContent-Type: application/octet-stream\r\n"
                            "Content-Range: bytes %lld-%lld/%lld\r\n\r\n",
                            (long long)range->first + r->shift, (long long)range->last + r->shift,
                            (long long)size + r->total_add);
}

static bool server_send_several(struct server_body *b, const struct server_request *q, const uint8_t *content,
                                size_t size)
{
    static const char end[] = "\r\n--frontier--\r\n";
    const struct server_reply *r = b->reply;
    char head[1024], part[512];
    size_t length = strlen(end), n = q->n_ranges - r->skip_a_part;
    for (size_t i = 0; i < n; i++)
        length += server_part_header(r, &q->ranges[i], size, part, sizeof part) + q->ranges[i].last -
                  q->ranges[i].first + 1 + (r->junk_between_parts ? 4 : 0);
    snprintf(head, sizeof head,
             "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=frontier\r\n"
             "Content-Length: %lld\r\n%s\r\n",
             (long long)length + r->length_add, r->headers ? r->headers : "");
    if (!server_send(b->fd, head, strlen(head)))
        return false;
    for (size_t k = 0; k < n; k++) {
        const struct server_range *range = &q->ranges[r->reversed ? n - 1 - k : k];
        size_t len = server_part_header(r, range, size, part, sizeof part);
        if (!server_send_body(b, part, len) ||
            !server_send_body(b, content + range->first, range->last - range->first + 1) ||
            (r->junk_between_parts && !server_send_body(b, "junk", 4)))
            return false;
    }
    return server_send_body(b, end, strlen(end));
}

static bool server_send_one(struct server_body *b, const struct server_range *range, const uint8_t *content,
                            size_t size)
{
    const struct server_reply *r = b->reply;
    char head[1024], content_range[128] = "";
    size_t len = range->last - range->first + 1;
    if (!r->no_content_range)
        snprintf(content_range, sizeof content_range, "Content-Range: bytes %lld-%lld/%lld\r\n",
                 (long long)range->first + r->shift, (long long)range->last + r->shift, (long long)size + r->total_add);
    snprintf(head, sizeof head, "HTTP/1.1 206 Partial Content\r\nContent-Length: %lld\r\n%s%s\r\n",
             (long long)len + r->length_add, content_range, r->headers ? r->headers : "");
    return server_send(b->fd, head, strlen(head)) && server_send_body(b, content + range->first, len);
}

static bool server_send_whole(struct server_body *b, const uint8_t *content, size_t size)
{
    const struct server_reply *r = b->reply;
    char head[1024], length[64] = "";
    if (r->chunked)
        snprintf(length, sizeof length, "Transfer-Encoding: chunked\r\n");
    else if (!r->close_delimited)
        snprintf(length, sizeof length, "Content-Length: %lld\r\n", (long long)size + r->length_add);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s%s\r\n", length, r->headers ? r->headers : "");
    if (!server_send(b->fd, head, strlen(head)))
        return false;
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < 50000 ? size - at : 50000;
        char chunk[32];
        snprintf(chunk, sizeof chunk, "%zx\r\n", n);
        if ((r->chunked && !server_send(b->fd, chunk, strlen(chunk))) || !server_send_body(b, content + at, n) ||
            (r->chunked && !server_send(b->fd, "\r\n", 2)))
            return false;
    }
    return !r->chunked || server_send(b->fd, "0\r\n\r\n", 5);
}

static bool server_send_error(struct server_body *b, int status)
{
    char head[1024];
    snprintf(head, sizeof head, "HTTP/1.1 %d Scripted\r\nContent-Length: 5\r\n%s\r\noops\n", status,
             b->reply->headers ? b->reply->headers : "");
    return server_send(b->fd, head, strlen(head));
}

/* ---- one request ----------------------------------------------------------------------------------------- */

static void server_take_header(const char *head, const char *name, char *out, size_t cap)
{
    const char *line = strcasestr(head, name);
    out[0] = '\0';
    if (line) {
        line += strlen(name);
        snprintf(out, cap, "%.*s", (int)strcspn(line, "\r"), line);
    }
}

static void server_parse(const char *head, size_t size, struct server_request *q)
{
    if (sscanf(head, "%*s %511s", q->path) != 1)
        q->path[0] = '\0';
    server_take_header(head, "\r\nHost: ", q->host, sizeof q->host);
    server_take_header(head, "\r\nAuthorization: ", q->authorization, sizeof q->authorization);
    server_take_header(head, "\r\nRange: bytes=", q->range, sizeof q->range);
    q->n_ranges = 0;
    for (const char *p = q->range; *p && q->n_ranges < SERVER_RANGES_MAX;) {
        struct server_range *r = &q->ranges[q->n_ranges];
        int used = 0;
        if (sscanf(p, "%zu-%zu%n", &r->first, &r->last, &used) != 2)
            break;
        if (r->first < size) {
            r->last = r->last < size ? r->last : size - 1;
            q->n_ranges++;
        }
        p += used + (p[used] == ',');
    }
}

/* False when the connection is to end. */
static bool server_answer(struct server *s, int fd, const char *head)
{
    struct server_reply r = {.content = s->content, .size = s->size};
    struct server_body b = {s, &r, fd, 0};
    struct server_request *q = calloc(1, sizeof *q);
    bool goes_on;
    server_parse(head, s->size, q);
    pthread_mutex_lock(&s->lock);
    q->number = s->n_requests++;
    s->n_several += q->n_ranges > 1;
    text_copy(s->last_range, sizeof s->last_range, q->range);
    text_copy(s->last_authorization, sizeof s->last_authorization, q->authorization);
    server_script *script = s->script;
    if (script)
        script(s, q, &r);
    pthread_mutex_unlock(&s->lock);
    if (r.size != s->size)
        server_parse(head, r.size, q);
    while (r.silent && !s->stopping)
        usleep(1000);
    if (r.hang_up || r.silent)
        goes_on = false;
    else if (r.status != 0 && r.status != 200 && r.status != 206)
        goes_on = server_send_error(&b, r.status);
    else if (r.no_ranges || !q->range[0] || (r.no_several && q->n_ranges > 1))
        goes_on = server_send_whole(&b, r.content, r.size) && !r.close_delimited && r.length_add == 0;
    else if (q->n_ranges == 0) {
        char unsatisfied[64];
        snprintf(unsatisfied, sizeof unsatisfied, "Content-Range: bytes */%zu\r\n", r.size);
        r.headers = unsatisfied;
        goes_on = server_send_error(&b, 416);
    } else if (q->n_ranges == 1 || r.first_range_only) {
        goes_on = server_send_one(&b, &q->ranges[0], r.content, r.size) && r.length_add == 0;
    } else {
        goes_on = server_send_several(&b, q, r.content, r.size) && r.length_add == 0;
    }
    free(q);
    return goes_on;
}

/* ---- connections ----------------------------------------------------------------------------------------- */

static void *server_run_connection(void *arg)
{
    struct server_connection c = *(struct server_connection *)arg;
    struct server *s = c.server;
    char *head = malloc(8192);
    size_t len = 0;
    free(arg);
    for (;;) {
        ssize_t n = recv(c.fd, head + len, 8191 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        head[len] = '\0';
        if (!strstr(head, "\r\n\r\n"))
            continue;
        if (!server_answer(s, c.fd, head))
            break;
        len = 0; /* nobody pipelines */
    }
    free(head);
    pthread_mutex_lock(&s->lock);
    s->fds[c.index] = -1;
    s->n_open--;
    pthread_mutex_unlock(&s->lock);
    shutdown(c.fd, SHUT_RDWR);
    close(c.fd);
    return NULL;
}

static void *server_run(void *arg)
{
    struct server *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct server_connection *c = malloc(sizeof *c);
        pthread_mutex_lock(&s->lock);
        check(s->n_connections < SERVER_CONNECTIONS_MAX);
        size_t i = s->n_connections++;
        *c = (struct server_connection){s, i, fd};
        s->fds[i] = fd;
        s->n_open++;
        s->n_open_max = s->n_open > s->n_open_max ? s->n_open : s->n_open_max;
        check(pthread_create(&s->threads[i], NULL, server_run_connection, c) == 0);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static struct server *server_start(const uint8_t *content, size_t size)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->content = content;
    s->size = size;
    pthread_mutex_init(&s->lock, NULL);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(s->fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(s->fd, 64) == 0);
    check(getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
    s->port = ntohs(a.sin_port);
    check(pthread_create(&s->thread, NULL, server_run, s) == 0);
    return s;
}

static void server_stop(struct server *s)
{
    s->stopping = true;
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_connections; i++)
        if (s->fds[i] >= 0)
            shutdown(s->fds[i], SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_connections; i++)
        pthread_join(s->threads[i], NULL);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

#endif
