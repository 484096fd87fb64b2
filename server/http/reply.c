/* server/http/reply.c
 *
 * Filling a response, and handing it to the library.  The body stays in the exchange's buffer, which outlives the
 * sending; only headers are copied. */
#include "server/http/http_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void response_init(struct response *r)
{
    *r = (struct response){.file = -1};
    buf_init(&r->body, RESPONSE_BODY_MAX);
}

void response_clear(struct response *r)
{
    if (r->file >= 0)
        close(r->file);
    struct buf body = r->body;
    response_init(r);
    r->body = body;
    r->body.len = 0;
}

void response_fini(struct response *r)
{
    response_clear(r);
    buf_fini(&r->body);
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

void response_header(struct response *r, const char *name, const char *value)
{
    check(r->n_headers < RESPONSE_HEADERS_MAX);
    if (value)                                         /* NULL: the arena was full; the answer goes without it */
        r->headers[r->n_headers++].name = name, r->headers[r->n_headers - 1].value = value;
}

static void no_memory(struct request *q, struct response *r, const struct error *e)
{
    struct error copy = *e;
    respond_error(q, r, &copy);
}

void respond_json(struct request *q, struct response *r, int status, struct json *v)
{
    struct error e;
    r->body.len = 0;
    enum status s = json_write(v, &r->body, &e);
    json_free(v);
    if (s == STATUS_OK && buf_append(&r->body, "\n", 1, &e) == STATUS_OK) {
        r->status = status;
        r->content_type = "application/json";
    } else {
        no_memory(q, r, &e);
    }
}

void respond_text(struct request *q, struct response *r, int status, const char *content_type, const void *text,
                  size_t len)
{
    struct error e;
    r->body.len = 0;
    if (buf_append(&r->body, text, len, &e) != STATUS_OK) {
        no_memory(q, r, &e);
        return;
    }
    r->status = status;
    r->content_type = content_type;
}

void respond_empty(struct response *r, int status)
{
    r->body.len = 0;
    r->content_type = NULL;
    r->status = status;
}

void respond_later(struct response *r, int64_t until_ns)
{
    r->later_ns = until_ns;
}

void respond_stream(struct response *r, const char *content_type, stream_fn *next, void *ctx)
{
    respond_empty(r, 200);
    r->content_type = content_type;
    r->stream = next;
    r->stream_ctx = ctx;
}

void respond_file(struct response *r, int fd, uint64_t bytes, const char *content_type)
{
    respond_empty(r, 200);
    r->content_type = content_type;
    r->file = fd;
    r->file_bytes = bytes;
}

/* ---- conditional requests ---------------------------------------------------------------------------------------- */

/* RFC 9110 13.1: a list of tags or "*". */
static bool tag_listed(const char *list, const char *quoted, bool strong)
{
    size_t len = strlen(quoted);
    for (const char *at = list; *at;) {
        at += strspn(at, " \t,");
        if (at[0] == '*')
            return true;
        bool weak = strncmp(at, "W/", 2) == 0;
        at += weak ? 2 : 0;
        if (!(strong && weak) && strncmp(at, quoted, len) == 0)
            return true;
        at += strcspn(at, ",");
    }
    return false;
}

bool respond_unchanged(struct request *q, struct response *r, const char *tag)
{
    char *quoted = arena_printf(&q->arena, "\"%s\"", tag);
    const char *wanted = request_header(q, MHD_HTTP_HEADER_IF_NONE_MATCH);
    response_header(r, MHD_HTTP_HEADER_ETAG, quoted);
    response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    if (!quoted || !wanted || !tag_listed(wanted, quoted, false))
        return false;
    respond_empty(r, 304);
    return true;
}

bool request_if_match(struct request *q, struct response *r, const char *tag)
{
    char *quoted = arena_printf(&q->arena, "\"%s\"", tag);
    const char *wanted = request_header(q, MHD_HTTP_HEADER_IF_MATCH);
    if (wanted && quoted && tag_listed(wanted, quoted, true))
        return true;
    response_header(r, MHD_HTTP_HEADER_ETAG, quoted);
    if (wanted)
        respond_problem(q, r, "precondition_failed", NULL, "If-Match has %.80s, the present ETag is %.80s.", wanted,
                        quoted ? quoted : "another");
    else
        respond_problem(q, r, "precondition_required", NULL,
                        "Send If-Match with the present ETag (%.80s), or * to change it whatever it is.",
                        quoted ? quoted : "see GET");
    return false;
}

void respond_json_tagged(struct request *q, struct response *r, struct json *v)
{
    char tag[20];
    respond_json(q, r, 200, v);
    if (r->status != 200)
        return;
    snprintf(tag, sizeof tag, "%016llx", (unsigned long long)hash64(r->body.data, r->body.len, 0));
    (void)respond_unchanged(q, r, tag);
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

static bool take_number(const char **at, uint64_t *out)
{
    const char *begin = *at;
    *out = 0;
    for (; **at >= '0' && **at <= '9' && *at - begin < 18; ++*at)
        *out = *out * 10 + (uint64_t)(**at - '0');
    return *at > begin && !(**at >= '0' && **at <= '9');
}

enum range { RANGE_NONE, RANGE_GOOD, RANGE_BEYOND };

/* "bytes=A-B", "bytes=A-" or "bytes=-N".  Anything else counts as absent. */
static enum range parse_range(const char *text, uint64_t bytes, uint64_t *first, uint64_t *n)
{
    uint64_t last = bytes ? bytes - 1 : 0, count;
    if (strncasecmp(text, "bytes=", 6) != 0)
        return RANGE_NONE;
    text += 6;
    if (*text == '-') {
        text++;
        if (!take_number(&text, &count) || *text)
            return RANGE_NONE;
        *first = count < bytes ? bytes - count : 0;
        *n = bytes - *first;
        return count > 0 && bytes > 0 ? RANGE_GOOD : RANGE_BEYOND;
    }
    if (!take_number(&text, first) || *text++ != '-')
        return RANGE_NONE;
    if (*text && (!take_number(&text, &last) || *text || last < *first))
        return RANGE_NONE;
    if (*first >= bytes)
        return RANGE_BEYOND;
    last = last < bytes ? last : bytes - 1;
    *n = last - *first + 1;
    return RANGE_GOOD;
}

static const char *header_set(const struct response *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    return NULL;
}

void respond_file_range(struct request *q, struct response *r, int fd, uint64_t bytes, const char *content_type)
{
    const char *range = request_header(q, MHD_HTTP_HEADER_RANGE), *only = request_header(q, MHD_HTTP_HEADER_IF_RANGE);
    const char *tag = header_set(r, MHD_HTTP_HEADER_ETAG);
    uint64_t first = 0, n = bytes;
    enum range wanted = range && (!only || (tag && strcmp(only, tag) == 0)) ? parse_range(range, bytes, &first, &n)
                                                                             : RANGE_NONE;
    response_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    if (wanted == RANGE_BEYOND) {
        close(fd);
        response_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, arena_printf(&q->arena, "bytes */%llu", (unsigned long long)bytes));
        respond_problem(q, r, "range_not_satisfiable", NULL, "The file has %llu bytes.", (unsigned long long)bytes);
        return;
    }
    respond_file(r, fd, n, content_type);
    if (wanted != RANGE_GOOD)
        return;
    r->status = 206;
    r->file_first = first;
    response_header(r, MHD_HTTP_HEADER_CONTENT_RANGE,
                    arena_printf(&q->arena, "bytes %llu-%llu/%llu", (unsigned long long)first,
                                 (unsigned long long)(first + n - 1), (unsigned long long)bytes));
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

enum { STREAM_BLOCK = 16 << 10, STREAM_STEPS_MAX = 16 };

/* Makes the next bytes ready in r.body; false when there are none now. */
static bool stream_on(struct exchange *x, bool *suspended)
{
    struct response *r = &x->r;
    for (int steps = 0; x->streamed == r->body.len && !x->stream_ended && steps < STREAM_STEPS_MAX; steps++) {
        uint64_t seen = atomic_load_explicit(&x->http->wakes, memory_order_acquire);
        int64_t wake_ns = 0;
        x->streamed = r->body.len = 0;
        enum stream_step step = r->stream(x->http->app, r->stream_ctx, &r->body, &wake_ns);
        x->stream_ended = step == STREAM_END || atomic_load(&x->http->draining);
        if (step == STREAM_WAIT && !x->stream_ended && r->body.len == 0 && wait_suspend(x, seen, wake_ns)) {
            *suspended = true;
            return false;
        }
    }
    return x->streamed < r->body.len;
}

/* The library asks for bytes when the client can take some. */
static ssize_t stream_read(void *exchange, uint64_t at, char *to, size_t room)
{
    struct exchange *x = exchange;
    bool suspended = false;
    (void)at;
    if (!stream_on(x, &suspended))
        return x->stream_ended ? MHD_CONTENT_READER_END_OF_STREAM : 0;
    size_t n = x->r.body.len - x->streamed;
    n = n < room ? n : room;
    memcpy(to, x->r.body.data + x->streamed, n);
    x->streamed += n;
    conn_deadline(x->conn, REPLY_SECONDS);
    return (ssize_t)n;
}

static struct MHD_Response *make_response(struct exchange *x)
{
    struct response *r = &x->r;
    if (r->stream)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, x, NULL);
    if (r->file < 0)
        return MHD_create_response_from_buffer(r->body.len, r->body.data, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *m = MHD_create_response_from_fd_at_offset64(r->file_bytes, r->file, r->file_first);
    if (m)
        r->file = -1;                                  /* the library closes it */
    return m;
}

static bool has_header(const struct response *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return true;
    return false;
}

static bool add_headers(struct exchange *x, struct MHD_Response *m)
{
    const struct response *r = &x->r;
    bool ok = MHD_add_response_header(m, "X-Request-Id", x->q.request_id) == MHD_YES;
    if (r->content_type) {
        ok = ok && MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, r->content_type) == MHD_YES;
        ok = ok && MHD_add_response_header(m, "X-Content-Type-Options", "nosniff") == MHD_YES;
    }
    if (!has_header(r, MHD_HTTP_HEADER_CACHE_CONTROL))
        ok = ok && MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") == MHD_YES;
    for (size_t i = 0; i < r->n_headers; i++)
        ok = ok && MHD_add_response_header(m, r->headers[i].name, r->headers[i].value) == MHD_YES;
    if (r->close || atomic_load_explicit(&x->http->draining, memory_order_relaxed))
        ok = ok && MHD_add_response_header(m, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES;
    return ok;
}

enum MHD_Result reply_queue(struct exchange *x)
{
    uint64_t bytes = x->r.file >= 0 ? x->r.file_bytes : x->r.body.len;
    struct MHD_Response *m = make_response(x);
    x->state = EXCHANGE_ANSWERED;
    if (!m)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (add_headers(x, m))
        result = MHD_queue_response(x->mhd, (unsigned)x->r.status, m);
    MHD_destroy_response(m);
    conn_deadline(x->conn, REPLY_SECONDS + (int64_t)(bytes / REPLY_BYTES_A_SECOND));
    return result;
}

void reply_too_large_raw(struct exchange *x)
{
    char head[512];
    bool full = x->r.status == 507;                    /* a body that was taken in pieces, until the disk was full */
    if (!full)
        respond_too_large(&x->q, &x->r, x->body_max);
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "X-Request-Id: %s\r\n\r\n", full ? "507 Insufficient Storage" : "413 Content Too Large",
                     x->r.content_type, x->r.body.len, x->q.request_id);
    check(n > 0 && (size_t)n < sizeof head);
    /* Best effort: whoever has not stopped sending by now may not read either. */
    if (send(x->conn->fd, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
        (void)!send(x->conn->fd, x->r.body.data, x->r.body.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    x->state = EXCHANGE_ANSWERED;
}
