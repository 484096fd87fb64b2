/* server/http/reaper.c
 *
 * Deadlines.  The library's own timeout counts from the last byte, so a client that sends a byte a second holds its
 * socket for ever.  Here every connection has one deadline, moved forward only when it gets somewhere (connected,
 * request line read, answered), and a thread that shuts the socket down behind it: the library then sees an end of
 * stream and cleans up as for any client that went away.
 *
 * The library reports a connection closed before it closes the descriptor, and the report takes the lock that shutting
 * down holds: a descriptor in the list is never another's. */
#include "server/http/http_private.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

enum { TICK_MS = 200 };

void conn_deadline(struct conn *c, int64_t seconds)
{
    atomic_store_explicit(&c->deadline_ns, time_mono_ns() + seconds * 1000000000, memory_order_relaxed);
}

static struct conn *conn_create(struct http *h, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct conn *c = info ? mem_calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->fd = info->connect_fd;
    c->exchange.http = h;
    c->exchange.conn = c;
    c->exchange.mhd = mhd;
    arena_init(&c->exchange.q.arena, REQUEST_ARENA_MAX);
    buf_init(&c->exchange.body, 0);
    response_init(&c->exchange.r);
    conn_deadline(c, h->options.request_seconds);
    pthread_mutex_lock(&h->lock);
    c->next = h->conns;
    if (c->next)
        c->next->prev = c;
    h->conns = c;
    pthread_mutex_unlock(&h->lock);
    return c;
}

static void conn_destroy(struct http *h, struct conn *c)
{
    pthread_mutex_lock(&h->lock);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        h->conns = c->next;
    pthread_mutex_unlock(&h->lock);
    arena_fini(&c->exchange.q.arena);
    buf_fini(&c->exchange.body);
    response_fini(&c->exchange.r);
    mem_free(c);
}

void reaper_on_connection(void *http, struct MHD_Connection *mhd, void **conn, enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *conn = conn_create(http, mhd);
    } else if (*conn) {
        conn_destroy(http, *conn);
        *conn = NULL;
    }
}

static void reap(struct http *h)
{
    int64_t now = time_mono_ns();
    for (struct conn *c = h->conns; c; c = c->next)
        if (atomic_load_explicit(&c->deadline_ns, memory_order_relaxed) < now) {
            shutdown(c->fd, SHUT_RDWR);
            conn_deadline(c, h->options.request_seconds);      /* not again at every tick until it is closed */
        }
}

static void *reaper_main(void *http)
{
    struct http *h = http;
    pthread_mutex_lock(&h->lock);
    while (!h->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&h->wake, &h->lock, &until) == ETIMEDOUT)
            reap(h);
        pthread_mutex_unlock(&h->lock);
        wait_tick(h);
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

enum status reaper_start(struct http *h, struct error *e)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->waiting_lock, NULL);
    pthread_cond_init(&h->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    errno = pthread_create(&h->reaper, NULL, reaper_main, h);
    if (errno != 0)
        return error_errno(e, "thread that watches connections");
    h->reaper_runs = true;
    return STATUS_OK;
}

void reaper_stop(struct http *h)
{
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    if (h->reaper_runs)
        pthread_join(h->reaper, NULL);
    h->reaper_runs = false;
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->waiting_lock);
    pthread_cond_destroy(&h->wake);
}
