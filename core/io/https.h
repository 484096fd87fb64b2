/* core/io/https.h
 *
 * Between the reading side of http(s) sources (https_reader.c) and the transfers (source_https.c, libcurl). */
#ifndef DLT_CORE_IO_HTTPS_H
#define DLT_CORE_IO_HTTPS_H

#include "core/io/http_answer.h"
#include "core/io/policy.h"
#include "core/io/source_kinds.h"

enum { HTTPS_CONNECTIONS = 4, HTTPS_REDIRECTS_MAX = 5 };

/* One read, or the opening: done when none of its requests is left. */
struct https_call {
    size_t n_left;
    bool abandoned;                              /* failed or cancelled: what is left is dropped */
    struct error e;
};

struct https_request {
    /* set by whoever reads */
    struct http_piece *pieces;                   /* ordered by offset */
    size_t n_pieces;
    /* the transfers' own, zero at first */
    struct https_request *next;
    struct https_call *call;
    int64_t attempts, not_before_ns;
    size_t progress;                             /* useful bytes since the last attempt that counted */
    bool at_origin;                              /* where redirects led did not work */
    unsigned n_redirects;
    char *url;                                   /* where a redirect of this request led; owned */
};

struct https_target {
    const char *url;
    struct remote_url host;
    struct policy_grant grant;
};

enum https_verdict { VERDICT_DONE, VERDICT_GO_ON, VERDICT_RETRY, VERDICT_FAIL };

/* An answer that brought no part of the file.  GO_ON: the request, and *target, go to where `location` (absolute, may
 * be NULL) points, which the policy allows; otherwise `e` is set. */
enum https_verdict https_judge_status(struct https_request *r, struct https_target *target, long code,
                                      const char *location, struct error *e);

struct https_engine;

/* Connections to one file, and the thread that drives them.  `origin` and what it points to are copied;
 * `authorization` (a header line for the origin alone, may be NULL) and `counted` outlive the engine. */
enum status https_engine_create(const struct https_target *origin, const char *authorization,
                                const struct policy_limits *limits, struct source *counted,
                                struct https_engine **out, struct error *e) MUST_USE;
void https_engine_destroy(struct https_engine *t);           /* NULL is allowed; no call may be running */

/* Asks for the first bytes.  *identity is then the file's; *fd >= 0 is the caller's and holds the whole file, where
 * the server does not serve ranges, otherwise `head` is filled as far as the file goes. */
enum status https_engine_open(struct https_engine *t, uint8_t *head, size_t head_bytes, const struct source_cancel *c,
                              struct http_identity *identity, int *fd, struct error *e) MUST_USE;
/* Fills the pieces of all requests, or fails.  Safe from several threads at once. */
enum status https_engine_read(struct https_engine *t, struct https_request *requests, size_t n,
                              const struct source_cancel *c, struct error *e) MUST_USE;
/* How many ranges a request may ask for. */
size_t https_engine_spans_max(struct https_engine *t);

#endif
