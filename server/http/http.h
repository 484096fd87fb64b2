/* server/http/http.h
 *
 * Requests, responses and the route table.  libmicrohttpd lives in this folder only.  A handler gets a parsed request,
 * fills the response and returns; it never touches a socket.  Router and listener know nothing of handlers: the table
 * in server/http/routes.c is handed in by main. */
#ifndef DLT_SERVER_HTTP_H
#define DLT_SERVER_HTTP_H

#include "server/json/json.h"

struct app;

enum http_method { HTTP_GET = 1, HTTP_POST = 2, HTTP_PUT = 4, HTTP_DELETE = 8, HTTP_PATCH = 16, HTTP_HEAD = 32,
                   HTTP_OTHER = 64 /* any other token; never in a route */ };
const char *http_method_name(enum http_method m);      /* "OTHER" for what is not in the list */

/* ---- requests ---------------------------------------------------------------------------------------------------- */

enum { PATH_PARAMS_MAX = 4, PATH_PARAM_BYTES_MAX = 200, QUERY_MAX = 16 };
struct query_pair { const char *name, *value; };
struct request {
    enum http_method method;
    const char *path, *route;          /* path as sent, not decoded, without query; route: the template, "" when none */
    const char *params[PATH_PARAMS_MAX];           /* values of {name} parts in order: decoded, clean UTF-8, no '/' */
    const char *query_text;            /* what follows '?', as sent; "" when absent */
    struct query_pair query[QUERY_MAX];            /* decoded; no name occurs twice */
    size_t n_query;
    const uint8_t *body;
    size_t body_len;
    char request_id[40], key_id[40];   /* key_id: of the key that it came with, "" without */
    int64_t arrived_ns;                /* monotonic, when the headers were read */
    bool may_wait;                     /* respond_later and respond_stream are open to the handler now */
    const void *memo;                  /* the handler's own, from call to call of one request; NULL at first */
    void *taking;                      /* likewise, of a body that is taken in pieces; see struct body_taker */
    struct arena arena;                /* freed when the request completes */
    void *connection;                  /* the listener's own */
};
const char *request_query(const struct request *r, const char *name);          /* NULL when absent */
const char *request_header(const struct request *r, const char *name);

/* One step of a stream: appends to `out` what there is.  MORE: call again at once; WAIT: at the next http_wake or at
 * *wake_ns (monotonic), whatever comes first; END: this was all.  Called from http threads, must be quick. */
enum stream_step { STREAM_MORE, STREAM_WAIT, STREAM_END };
typedef enum stream_step stream_fn(struct app *app, void *ctx, struct buf *out, int64_t *wake_ns);

enum { RESPONSE_HEADERS_MAX = 12 };
struct response {
    int status;                        /* 0 until set */
    const char *content_type;
    struct buf body;
    int file;                          /* -1, or a file descriptor; closed after */
    uint64_t file_first, file_bytes;   /* which bytes of it are the body */
    bool close;                        /* end the connection behind this response */
    int64_t later_ns;                  /* not 0: no answer yet, see respond_later */
    stream_fn *stream;                 /* not NULL: the body, see respond_stream */
    void *stream_ctx;
    struct { const char *name, *value; } headers[RESPONSE_HEADERS_MAX];        /* strings live in the request's arena */
    size_t n_headers;
};

/* Decoded body of a JSON route.  False: not JSON, already answered with malformed_json.  An absent body is {} where
 * `may_be_empty`.  The caller's: json_free(). */
bool request_json(struct request *q, struct response *r, bool may_be_empty, struct json **out) MUST_USE;
/* Body by field table into *object (strings in q->arena).  False: already answered (malformed_json, invalid_request). */
bool request_fields(struct request *q, struct response *r, bool may_be_empty, const struct field *table,
                    void *object) MUST_USE;
/* Query parameter as an integer within bounds, `otherwise` when absent; false: already answered with invalid_query. */
bool request_query_number(struct request *q, struct response *r, const char *name, int64_t least, int64_t most,
                          int64_t otherwise, int64_t *out) MUST_USE;
/* Path parameter i as an integer >= 1; false: already answered with not_found, naming `what`. */
bool request_param_number(struct request *q, struct response *r, size_t i, const char *what, int64_t *out) MUST_USE;

/* ---- responses --------------------------------------------------------------------------------------------------- */

void response_header(struct response *r, const char *name, const char *value);
/* Takes `v`; 500 when it is NULL. */
void respond_json(struct request *q, struct response *r, int status, struct json *v);
/* 200 with a strong ETag over the body; 304 without body when If-None-Match has it.  Takes `v`. */
void respond_json_tagged(struct request *q, struct response *r, struct json *v);
void respond_text(struct request *q, struct response *r, int status, const char *content_type, const void *text,
                  size_t len);
void respond_empty(struct response *r, int status);
/* No answer yet: the handler is called again after the next http_wake, or at until_ns (monotonic), and its q->may_wait
 * is false when that has passed.  Only where q->may_wait is true. */
void respond_later(struct response *r, int64_t until_ns);
/* 200 with a body that comes in steps; `ctx` is in the request's arena. */
void respond_stream(struct response *r, const char *content_type, stream_fn *next, void *ctx);
/* Whether If-Match has the quoted `tag` (strong comparison) or "*"; false: already answered 428 (no If-Match) or 412,
 * with the present ETag. */
bool request_if_match(struct request *q, struct response *r, const char *tag) MUST_USE;
/* An open file of `bytes` bytes as 200; takes the descriptor. */
void respond_file(struct response *r, int fd, uint64_t bytes, const char *content_type);
/* The same, or the part of it that a Range header asks for (206; one range of bytes; If-Range is held against the ETag that
 * respond_unchanged has set), or 416.  Several ranges are answered with the whole, as RFC 9110 allows. */
void respond_file_range(struct request *q, struct response *r, int fd, uint64_t bytes, const char *content_type);
/* Sets ETag to the quoted `tag`; true when If-None-Match has it and 304 has been answered. */
bool respond_unchanged(struct request *q, struct response *r, const char *tag);
/* application/problem+json (RFC 9457): status from `code`'s row in problem.c.  `problems` may be NULL; `fmt` is the
 * detail: what is wrong, where, and what to do. */
void respond_problem(struct request *q, struct response *r, const char *code, const struct json_problems *problems,
                     const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The same document as a value, for answers that hold several; NULL without memory. */
struct json *problem_line(const struct request *q, const char *code, const struct json_problems *problems,
                          const char *detail);
const char *problem_of_status(enum status s);
/* From core's status; the only place where a status meets an HTTP number.  Absolute paths in the text are cut to
 * their last component; what is the service's own affair (IO, BUG) goes to the log instead. */
void respond_error(struct request *q, struct response *r, const struct error *e);

/* ---- the kinds of problems --------------------------------------------------------------------------------------- */

struct problem_kind {
    const char *code;                  /* "no_active_menu"; '-' for '_' makes the slug of its page */
    int status;
    bool retryable;                    /* the same request may succeed later */
    const char *title, *help;          /* help: for /problems/{slug}: what happened and what to do */
};
extern const struct problem_kind problem_kinds[];
extern const size_t n_problem_kinds;
const struct problem_kind *problem_find(const char *code_or_slug);             /* NULL when unknown */

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* ?limit=1..500 (50) &cursor=; all other parameters of the query are filters. */
enum { PAGE_LIMIT = 50, PAGE_LIMIT_MAX = 500 };
struct page {
    size_t limit;
    const char *before;                /* id from the cursor: rows older than this; NULL on the first page */
    uint64_t filter_hash;
};
/* False: already answered (invalid_query, invalid_cursor: also when filters changed under an old cursor). */
bool page_read(struct request *q, struct response *r, struct page *out) MUST_USE;
/* Answers {"items":[...],"next_cursor":...} and a Link header; last_id: of the last item when there is a next page,
 * else NULL.  Takes `items`. */
void respond_page(struct request *q, struct response *r, const struct page *page, struct json *items,
                  const char *last_id);
/* The Link header alone, for pages that are not JSON: there is a next page behind `last_id`. */
void page_link(struct request *q, struct response *r, const struct page *page, const char *last_id);

/* ---- routes ------------------------------------------------------------------------------------------------------ */

/* For bodies that do not fit into memory: begin() when the headers are there, piece() for each that arrives, both false
 * when they have answered with a problem; then the route's handler, with q->body empty.  end() is called at the end
 * of the request if begin() was, however it ended.  A body has request_seconds, and a second more for each 64 kB. */
struct body_taker {
    bool (*begin)(struct app *app, struct request *q, struct response *r);
    bool (*piece)(struct app *app, struct request *q, struct response *r, const void *data, size_t n);
    void (*end)(struct app *app, struct request *q);
};
struct route {
    enum http_method method;
    const char *path;                  /* "/api/v1/jobs/{id}:cancel" */
    const char *scope;                 /* "read", "jobs:write", ... or "" for none */
    size_t body_max;                   /* bytes; 0: no body allowed */
    void (*handle)(struct app *app, struct request *q, struct response *r);
    const char *operation_id;
    const char *query;                 /* "limit cursor": parameters it takes, others are 400; NULL: none; "*": any */
};
extern const struct route routes[];
extern const size_t n_routes;
const struct body_taker *route_taker(const struct route *route);

/* ---- the listener ------------------------------------------------------------------------------------------------ */

/* What the listener tells of its requests; called from its threads, must not block.  route: index into the table, or
 * n_routes when none matched. */
struct http_observer {
    void *ctx;
    void (*begun)(void *ctx);
    void (*done)(void *ctx, size_t route, enum http_method method, int status, int64_t duration_ns);
};

struct http_options {
    const char *address;               /* numeric host */
    uint16_t port;                     /* 0: any free one */
    size_t threads;
    size_t connection_limit;
    size_t address_limit;              /* connections from one address; 0: as connection_limit */
    int request_seconds;               /* from first byte to the whole body, else the connection is shut */
    int idle_seconds;                  /* between two requests of a connection; 0: 60 */
    const char *const *hosts;          /* names with a dot that a Host header may have; outlive the listener */
    size_t n_hosts;
    const struct route *routes;        /* outlives the listener */
    size_t n_routes;
    /* Whether the request may use the route; false: it has answered.  NULL: everybody may everything. */
    bool (*authorize)(struct app *app, struct request *q, struct response *r, const struct route *route);
    /* After the handler of a route has answered; may be NULL. */
    void (*handled)(struct app *app, const struct request *q, const struct route *route, int status);
    const char *tls_certificate, *tls_key;        /* PEM texts, which outlive the listener; NULL: no TLS */
    struct http_observer observer;     /* its functions may be NULL */
    /* Who takes the body of a route in pieces; NULL, or when it says NULL: the body is in memory when the handler is called. */
    const struct body_taker *(*taker_of)(const struct route *route);
};
struct http;
/* ARGUMENT for an address that is not numeric or a bad template, CONFLICT when the port is taken, IO. */
enum status http_start(struct app *app, const struct http_options *options, struct http **out,
                       struct error *e) MUST_USE;
uint16_t http_port(const struct http *h);
size_t http_in_flight(const struct http *h);
/* What waiting requests look at has changed.  From any thread; costs one addition. */
void http_wake(struct http *h);
void http_drain(struct http *h);       /* from now on "Connection: close" */
/* Stops accepting, waits up to `seconds` for answers that are owed and 2 for requests still coming in, closes all.
 * Frees h. */
void http_stop(struct http *h, int seconds);

/* Whether a numeric address is loopback: without keys nothing else is served. */
bool http_address_is_loopback(const char *address);
bool http_address_is_numeric(const char *address);

#endif
