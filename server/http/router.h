/* server/http/router.h
 *
 * Request targets and templates.  A target is split and decoded once, in place; a template is compiled once.  Pure
 * functions on bytes: no socket, no library. */
#ifndef DLT_SERVER_HTTP_ROUTER_H
#define DLT_SERVER_HTTP_ROUTER_H

#include "server/http/http.h"

enum { SEGMENTS_MAX = 12, TARGET_BYTES_MAX = 8192 };

struct segment {
    const char *text;                  /* decoded, terminated */
    size_t len;
};
struct target {
    const char *path, *query_text;     /* as sent */
    struct segment segments[SEGMENTS_MAX];
    size_t n_segments;                 /* 0: more than SEGMENTS_MAX, which no route has */
    struct query_pair query[QUERY_MAX];
    size_t n_query;
};
/* Parses "/path?query" or "http://host/path?query".  Everything but visible ASCII is refused, as are '#', broken escapes,
 * escaped control characters and text that is not UTF-8.  On ARGUMENT, `e` says what; strings live in `a`. */
enum status target_parse(struct arena *a, const uint8_t *text, size_t len, struct target *out, struct error *e) MUST_USE;

struct router;
/* Compiles the table, which must outlive the router.  ARGUMENT names a bad template or a pair that can both match. */
enum status router_create(const struct route *table, size_t n, struct router **out, struct error *e) MUST_USE;
void router_destroy(struct router *r);

struct route_match {
    const struct route *route;         /* NULL: none for this path and method */
    size_t index;
    unsigned methods;                  /* enum http_method bits that the path has; 0: no such path */
    const char *params[PATH_PARAMS_MAX];
};
/* HEAD is served by GET's route.  params point into the target; the target's ":verb" tails are cut off in place. */
void router_match(const struct router *r, struct target *t, enum http_method method, struct route_match *out);

#endif
