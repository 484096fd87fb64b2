/* server/http/http_private.h
 *
 * What the files of server/http share: the listener, its connections, and the one exchange (request and response) that a
 * connection has at a time and reuses for the next. */
#ifndef DLT_SERVER_HTTP_PRIVATE_H
#define DLT_SERVER_HTTP_PRIVATE_H

#include "server/http/router.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    REQUEST_ARENA_MAX = 64 << 20,      /* of one request: parsed body, rows of a list */
    RESPONSE_BODY_MAX = 64 << 20,
    DISCARD_MAX = 8 << 20,             /* bytes of a refused body that are read to answer on a living connection */
    REPLY_SECONDS = 30,                /* for a client to take a response, and one second more for each */
    REPLY_BYTES_A_SECOND = 64 << 10,
};

enum exchange_state { EXCHANGE_TARGET, EXCHANGE_BODY, EXCHANGE_DISCARD, EXCHANGE_WAITING, EXCHANGE_ANSWERED };

struct exchange {
    struct http *http;
    struct conn *conn;
    struct MHD_Connection *mhd;
    enum exchange_state state;
    bool begun;                        /* the observer has heard of it */
    bool complete;                     /* the whole request is there: its answer is owed */
    enum status target_status;         /* of parsing the target, told once the headers are there */
    char target_fault[160];
    size_t body_max, discarded;
    struct target target;
    struct route_match match;
    struct request q;                  /* its arena serves the whole exchange */
    struct response r;
    struct buf body;
    size_t taken;                      /* bytes that a body_taker has had */
    const struct body_taker *taker;    /* its begin() was called, its end() not yet; else NULL */
    struct exchange *next_waiting;     /* http.waiting, under http.waiting_lock */
    int64_t wait_until_ns;             /* of what it waits for now */
    size_t streamed;                   /* bytes of r.body that have gone out */
    bool stream_ended;
};

struct conn {
    struct exchange exchange;
    struct conn *next, *prev;          /* http.conns, under http.lock */
    int fd;
    _Atomic int64_t deadline_ns;       /* monotonic; the reaper shuts the socket behind it */
};

struct http {
    struct app *app;
    struct http_options options;
    struct router *router;
    struct MHD_Daemon *daemon;
    int listen_fd;
    uint16_t port;
    _Atomic bool draining;
    atomic_size_t in_flight;           /* requests whose headers have been read and whose answer is not yet sent */
    atomic_size_t answering;           /* those of them that are complete */
    atomic_uint_fast64_t next_id;
    uint64_t id_seed;
    pthread_mutex_t lock;              /* conns and stopping */
    pthread_cond_t wake;
    pthread_t reaper;
    bool reaper_runs, stopping;
    struct conn *conns;
    pthread_mutex_t waiting_lock;      /* of waiting and wakes_told; a leaf but for the library's own */
    struct exchange *waiting;          /* suspended, see waiting.c */
    atomic_size_t n_waiting;
    atomic_uint_fast64_t wakes;        /* counted by http_wake */
    uint64_t wakes_told;
};

/* exchange.c: the library's callbacks for one request. */
void *exchange_on_target(void *http, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result exchange_on_data(void *http, struct MHD_Connection *mhd, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **exchange);
void exchange_on_completed(void *http, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode why);

/* guard.c: framing, Host and Origin of a request whose headers have been read.  False: r holds the problem; *close
 * says that the bytes that follow cannot be told apart from a next request. */
bool guard_headers(struct exchange *x, const char *version, bool *close);
/* Declared length of the body; -1: chunked. */
int64_t guard_body_bytes(const struct exchange *x);

/* reply.c */
void response_init(struct response *r);
void response_clear(struct response *r);               /* for the next answer; keeps the body's memory */
void response_fini(struct response *r);
enum MHD_Result reply_queue(struct exchange *x);
/* A bare 413, or the 507 that has been answered, straight onto the socket, for a body that goes on and on: the library takes
 * no answer in mid-body. */
void reply_too_large_raw(struct exchange *x);

/* problem.c */
void respond_too_large(struct request *q, struct response *r, size_t limit);
void respond_method_not_allowed(struct request *q, struct response *r, unsigned methods);

/* reaper.c: the list of connections and the thread that ends the slow ones. */
enum status reaper_start(struct http *h, struct error *e) MUST_USE;
void reaper_stop(struct http *h);
void reaper_on_connection(void *http, struct MHD_Connection *mhd, void **conn, enum MHD_ConnectionNotificationCode what);
void conn_deadline(struct conn *c, int64_t seconds);   /* from now */

/* waiting.c */
bool wait_allowed(struct http *h);
/* Suspends the connection until woken or until_ns.  False: something was woken since `seen` was read from http.wakes, or
 * the listener drains: look again at once. */
bool wait_suspend(struct exchange *x, uint64_t seen, int64_t until_ns);
/* Resumes who is due; all when the listener drains. */
void wait_tick(struct http *h);

/* request.c */
void request_make_id(struct http *h, char out[40]);
bool request_id_is_sane(const char *id);
struct exchange *exchange_of(const struct request *q);

#endif
