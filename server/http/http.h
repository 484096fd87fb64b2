/* server/http/http.h
 *
 * Requests, responses and the route table.  libmicrohttpd lives in this folder only.  A handler gets a parsed request,
 * fills the response and returns; it never touches a socket.  Router and listener know nothing of handlers: the table
 * in server/http/routes.c is handed in by main. */
#ifndef DLT_SERVER_HTTP_H
#define DLT_SERVER_HTTP_H

#include "server/json/json.h"

struct app;

enum http_method { HTTP_GET = 1, HTTP_POST = 2, HTTP_PUT = 4, HTTP_DELETE = 8, HTTP_PATCH = 16, HTTP_HEAD = 32 };

enum { PATH_PARAMS_MAX = 4 };
struct request {
    enum http_method method;
    const char *path, *route;          /* path as sent (decoded); route: the template that matched */
    const char *params[PATH_PARAMS_MAX];           /* values of {name} parts, decoded, in order */
    const uint8_t *body;
    size_t body_len;
    char request_id[40];
    int64_t arrived_ns;                /* monotonic, when the headers were read */
    struct arena arena;                /* freed when the request completes */
    void *connection;                  /* the listener's own */
};
const char *request_query(const struct request *r, const char *name);          /* NULL when absent */
const char *request_header(const struct request *r, const char *name);

enum { RESPONSE_HEADERS_MAX = 12 };
struct response {
    int status;                        /* 0 until set */
    const char *content_type;
    struct buf body;
    struct { const char *name, *value; } headers[RESPONSE_HEADERS_MAX];        /* strings live in the request's arena */
    size_t n_headers;
};
void response_header(struct response *r, const char *name, const char *value);
/* Takes `v`; 500 when it is NULL. */
void respond_json(struct request *q, struct response *r, int status, struct json *v);
void respond_text(struct request *q, struct response *r, int status, const char *content_type, const void *text, size_t len);
void respond_empty(struct response *r, int status);
/* application/problem+json (RFC 9457): status from `code`'s row in problem.c.  `problems` may be NULL. */
void respond_problem(struct request *q, struct response *r, const char *code, const struct json_problems *problems,
                     const char *fmt, ...) PRINTF_LIKE(5, 6);
/* From core's status; the only place where a status meets an HTTP number. */
void respond_error(struct request *q, struct response *r, const struct error *e);

struct route {
    enum http_method method;
    const char *path;                  /* "/api/v1/jobs/{id}:cancel" */
    const char *scope;                 /* "read", "jobs:write", ... or "" for none */
    size_t body_max;                   /* bytes; 0: no body allowed */
    void (*handle)(struct app *app, struct request *q, struct response *r);
    const char *operation_id;
};
extern const struct route routes[];
extern const size_t n_routes;

struct http_options {
    const char *address;               /* numeric host */
    uint16_t port;                     /* 0: any free one */
    size_t threads;
    size_t connection_limit;
    int request_seconds;               /* from first byte to the whole body, else the connection is shut */
};
struct http;
enum status http_start(struct app *app, const struct http_options *options, struct http **out, struct error *e) MUST_USE;
uint16_t http_port(const struct http *h);
void http_drain(struct http *h);       /* from now on "Connection: close" */
void http_stop(struct http *h);        /* finishes what is in flight */

#endif
