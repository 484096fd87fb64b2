/* server/http/exchange.c
 *
 * One request from its first line to its answer, as the library's callbacks tell it:
 *
 *   TARGET --headers--> BODY ------last byte--> handler --> ANSWERED
 *             |          '--too large--.
 *             |--refused, short body--> DISCARD --last byte--> ANSWERED (the connection lives on)
 *             |                                    '--respond_later--> WAITING (suspended) --resumed--> handler
 *             '--refused, frame ambiguous, body long or not yet sent--> ANSWERED, connection closed */
#include "server/http/http_private.h"

#include <string.h>

enum { KEEP_BYTES = 64 << 10, REQUEST_BODY_FIRST = 16 << 10 };

static enum http_method parse_method(const char *name)
{
    static const enum http_method known[] = {HTTP_GET, HTTP_POST, HTTP_HEAD, HTTP_PUT, HTTP_DELETE, HTTP_PATCH};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(name, http_method_name(known[i])) == 0)
            return known[i];
    return HTTP_OTHER;
}

/* ---- request line ------------------------------------------------------------------------------------------------ */

static void reset(struct exchange *x)
{
    arena_reset(&x->q.arena);
    x->q = (struct request){.arena = x->q.arena, .connection = x, .path = "", .route = "", .query_text = ""};
    x->body.len = 0;
    response_clear(&x->r);
    x->state = EXCHANGE_TARGET;
    x->begun = x->complete = false;
    x->body_max = x->discarded = x->streamed = x->taken = 0;
    x->stream_ended = false;
    x->match = (struct route_match){.index = x->http->options.n_routes};
}

void *exchange_on_target(void *http, const char *uri, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *c = info ? info->socket_context : NULL;
    struct error e;
    (void)http;
    if (!c)
        return NULL;
    struct exchange *x = &c->exchange;
    reset(x);
    x->q.arrived_ns = time_mono_ns();
    conn_deadline(c, x->http->options.request_seconds);
    x->target_status = target_parse(&x->q.arena, (const uint8_t *)uri, strlen(uri), &x->target, &e);
    if (x->target_status != STATUS_OK)
        text_copy(x->target_fault, sizeof x->target_fault, e.text);
    return x;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static void begin(struct exchange *x, const char *method)
{
    const char *id = request_header(&x->q, "X-Request-Id");
    x->begun = true;
    x->q.method = parse_method(method);
    x->q.path = x->target.path;
    x->q.query_text = x->target.query_text;
    x->q.n_query = x->target.n_query;
    memcpy(x->q.query, x->target.query, x->target.n_query * sizeof x->q.query[0]);
    if (id && request_id_is_sane(id))
        text_copy(x->q.request_id, sizeof x->q.request_id, id);
    else
        request_make_id(x->http, x->q.request_id);
    atomic_fetch_add(&x->http->in_flight, 1);
    if (x->http->options.observer.begun)
        x->http->options.observer.begun(x->http->options.observer.ctx);
}

static bool target_is_ours(struct exchange *x)
{
    if (x->target_status == STATUS_OK)
        return true;
    respond_problem(&x->q, &x->r, x->target_status == STATUS_NOMEM ? "out_of_memory" : "malformed_request", NULL,
                    "The request target is refused: %s.", x->target_fault);
    return false;
}

static bool find_route(struct exchange *x)
{
    router_match(x->http->router, &x->target, x->q.method, &x->match);
    if (!x->match.route && x->match.methods)
        respond_method_not_allowed(&x->q, &x->r, x->match.methods);
    else if (!x->match.route)
        respond_problem(&x->q, &x->r, "unknown_route", NULL,
                        "Nothing is served at this path; GET / lists what is.");
    if (!x->match.route)
        return false;
    x->q.route = x->match.route->path;
    memcpy(x->q.params, x->match.params, sizeof x->q.params);
    x->body_max = x->match.route->body_max;
    return true;
}

/* Whether `name` is one of the words of `list`. */
static bool is_listed(const char *name, const char *list)
{
    size_t len = strlen(name);
    for (const char *at = list; *at;) {
        size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, name, n) == 0)
            return true;
        at += n + strspn(at + n, " ");
    }
    return false;
}

static bool is_authorized(struct exchange *x)
{
    const struct http_options *o = &x->http->options;
    return !o->authorize || o->authorize(x->http->app, &x->q, &x->r, x->match.route);
}

static bool query_is_ours(struct exchange *x)
{
    const char *known = x->match.route->query ? x->match.route->query : "";
    for (size_t i = 0; i < x->q.n_query && strcmp(known, "*") != 0; i++)
        if (!is_listed(x->q.query[i].name, known)) {
            respond_problem(&x->q, &x->r, "invalid_query", NULL, "Unknown query parameter '%s'.", x->q.query[i].name);
            return false;
        }
    return true;
}

/* Any content type is read as JSON, since `curl -d @event.json` says it sends a form; multipart cannot be meant. */
static bool media_is_ours(struct exchange *x)
{
    const char *type = request_header(&x->q, MHD_HTTP_HEADER_CONTENT_TYPE);
    const char *encoding = request_header(&x->q, MHD_HTTP_HEADER_CONTENT_ENCODING);
    if (type && strncasecmp(type, "multipart/", 10) == 0) {
        response_header(&x->r, "Accept-Post", "application/json");
        respond_problem(&x->q, &x->r, "unsupported_media_type", NULL, "The body is JSON here, not multipart.");
        return false;
    }
    if (encoding && strcasecmp(encoding, "identity") != 0) {
        respond_problem(&x->q, &x->r, "unsupported_media_type", NULL, "Send the body without Content-Encoding.");
        return false;
    }
    return true;
}

static bool size_is_ours(struct exchange *x)
{
    int64_t bytes = guard_body_bytes(x);
    if (bytes >= 0 && (uint64_t)bytes > x->body_max) {
        respond_too_large(&x->q, &x->r, x->body_max);
        return false;
    }
    return true;
}

static enum MHD_Result on_headers(struct exchange *x, const char *method, const char *version)
{
    bool close = false;
    begin(x, method);
    bool taken = guard_headers(x, version, &close) && target_is_ours(x) && find_route(x) && is_authorized(x) && query_is_ours(x) &&
                 size_is_ours(x) && media_is_ours(x);
    if (taken && x->http->options.taker_of)
        x->taker = x->http->options.taker_of(x->match.route);
    if (taken && x->taker)
        taken = x->taker->begin(x->http->app, &x->q, &x->r);
    x->state = taken ? EXCHANGE_BODY : EXCHANGE_DISCARD;
    if (taken)
        return MHD_YES;
    if (!close && !request_header(&x->q, MHD_HTTP_HEADER_EXPECT) && guard_body_bytes(x) <= DISCARD_MAX)
        return MHD_YES;
    x->r.close = true;
    return reply_queue(x);
}

/* ---- body -------------------------------------------------------------------------------------------------------- */

enum { TAKEN_BYTES_A_SECOND = 64 << 10 };

/* A long body has its time as long as it comes. */
static bool take_piece(struct exchange *x, const char *data, size_t size)
{
    int64_t seconds = x->http->options.request_seconds + (int64_t)(x->taken / TAKEN_BYTES_A_SECOND);
    x->taken += size;
    atomic_store(&x->conn->deadline_ns, x->q.arrived_ns + seconds * 1000000000);
    return x->taker->piece(x->http->app, &x->q, &x->r, data, size);
}

static enum MHD_Result on_body(struct exchange *x, const char *data, size_t size)
{
    struct error e;
    if (x->state == EXCHANGE_BODY && size > x->body_max - x->body.len - x->taken) {
        respond_too_large(&x->q, &x->r, x->body_max);
        x->state = EXCHANGE_DISCARD;
    } else if (x->state == EXCHANGE_BODY && x->taker) {
        if (!take_piece(x, data, size))
            x->state = EXCHANGE_DISCARD;
    } else if (x->state == EXCHANGE_BODY) {
        x->body.max = x->body_max;
        if (buf_append(&x->body, data, size, &e) != STATUS_OK) {
            respond_error(&x->q, &x->r, &e);
            x->state = EXCHANGE_DISCARD;
        }
    }
    if (x->state != EXCHANGE_DISCARD)
        return MHD_YES;
    x->discarded += size;
    if (x->discarded <= DISCARD_MAX)
        return MHD_YES;
    reply_too_large_raw(x);
    return MHD_NO;
}

/* False: the handler wants to be called again, and the connection is suspended until then. */
static bool call_handler(struct exchange *x, bool may_wait)
{
    for (;;) {
        uint64_t seen = atomic_load_explicit(&x->http->wakes, memory_order_acquire);
        x->q.may_wait = may_wait && wait_allowed(x->http);
        x->r.later_ns = 0;
        x->match.route->handle(x->http->app, &x->q, &x->r);
        if (x->r.status != 0 || x->r.later_ns == 0 || !x->q.may_wait)
            return true;
        x->state = EXCHANGE_WAITING;
        if (wait_suspend(x, seen, x->r.later_ns))
            return false;
    }
}

static enum MHD_Result on_end(struct exchange *x)
{
    bool again = x->state == EXCHANGE_WAITING;
    if (!again) {
        x->complete = true;
        atomic_fetch_add(&x->http->answering, 1);
    }
    if (x->state == EXCHANGE_BODY || again) {
        x->q.body = x->body.data;
        x->q.body_len = x->body.len;
        if (!call_handler(x, !again || time_mono_ns() < x->wait_until_ns))
            return MHD_YES;
        if (x->r.status == 0) {
            log_line(LOG_ERROR, "%s %s: the handler gave no answer [%s]", http_method_name(x->q.method), x->q.route,
                     x->q.request_id);
            respond_problem(&x->q, &x->r, "internal_error", NULL, "The service has no answer to this request.");
        }
        if (x->http->options.handled)
            x->http->options.handled(x->http->app, &x->q, x->match.route, x->r.status);
    }
    return reply_queue(x);
}

enum MHD_Result exchange_on_data(void *http, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **exchange)
{
    struct exchange *x = *exchange;
    (void)http, (void)mhd, (void)url;
    if (!x)
        return MHD_NO;                                 /* no memory when the connection began */
    if (x->state == EXCHANGE_TARGET)
        return on_headers(x, method, version);
    if (x->state == EXCHANGE_ANSWERED)
        return MHD_NO;
    if (*size == 0)
        return on_end(x);
    size_t n = *size;
    *size = 0;
    return on_body(x, data, n);
}

/* ---- end --------------------------------------------------------------------------------------------------------- */

/* A connection that waits for its next request keeps little. */
static void shrink(struct exchange *x)
{
    if (x->body.cap > KEEP_BYTES)
        buf_fini(&x->body);
    if (x->r.body.cap > KEEP_BYTES)
        buf_fini(&x->r.body);
    if (x->q.arena.used > KEEP_BYTES)
        arena_fini(&x->q.arena);
}

void exchange_on_completed(void *http, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode why)
{
    struct http *h = http;
    struct exchange *x = *exchange;
    (void)mhd;
    *exchange = NULL;
    if (!x)
        return;
    if (x->taker)
        x->taker->end(h->app, &x->q);
    x->taker = NULL;
    if (x->begun) {
        int64_t ns = time_mono_ns() - x->q.arrived_ns;
        bool sent = why == MHD_REQUEST_TERMINATED_COMPLETED_OK;
        log_line(LOG_DEBUG, "%s %s %d in %lld us%s [%s]", http_method_name(x->q.method), x->q.path, x->r.status,
                 (long long)(ns / 1000), sent ? "" : ", client gone", x->q.request_id);
        if (h->options.observer.done)
            h->options.observer.done(h->options.observer.ctx, x->match.index, x->q.method,
                                     x->state == EXCHANGE_ANSWERED ? x->r.status : 0, ns);
        atomic_fetch_sub(&h->answering, x->complete ? 1 : 0);
        atomic_fetch_sub(&h->in_flight, 1);
    }
    reset(x);
    shrink(x);
    conn_deadline(x->conn, h->options.idle_seconds);
}
