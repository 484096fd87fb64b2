/* server/http/waiting.c
 *
 * Requests that wait for something without a thread: the connection is suspended, and the thread that watches deadlines
 * resumes it when somebody called http_wake, when its time is up, or when the listener drains.  Whoever wakes only counts
 * up a number, so that a thousand waiting readers cost the waker nothing; they see it within a tick of that thread.
 *
 * A wake between a handler's look and the suspension is not lost: the number is read before the look and compared under
 * the lock.  Nothing is suspended once draining has begun, and all are resumed before the library is stopped, which
 * aborts on suspended connections. */
#include "server/http/http_private.h"

void http_wake(struct http *h)
{
    atomic_fetch_add_explicit(&h->wakes, 1, memory_order_release);
}

bool wait_allowed(struct http *h)
{
    return !atomic_load(&h->draining) && atomic_load(&h->n_waiting) < h->options.connection_limit / 2;
}

bool wait_suspend(struct exchange *x, uint64_t seen, int64_t until_ns)
{
    struct http *h = x->http;
    bool suspended = false;
    pthread_mutex_lock(&h->waiting_lock);
    if (!atomic_load(&h->draining) && atomic_load_explicit(&h->wakes, memory_order_acquire) == seen) {
        conn_deadline(x->conn, REPLY_SECONDS + (until_ns - time_mono_ns()) / 1000000000);
        x->wait_until_ns = until_ns;
        x->next_waiting = h->waiting;
        h->waiting = x;
        atomic_fetch_add(&h->n_waiting, 1);
        MHD_suspend_connection(x->mhd);
        suspended = true;
    }
    pthread_mutex_unlock(&h->waiting_lock);
    return suspended;
}

void wait_tick(struct http *h)
{
    int64_t now_ns = time_mono_ns();
    pthread_mutex_lock(&h->waiting_lock);
    uint64_t wakes = atomic_load_explicit(&h->wakes, memory_order_acquire);
    bool all = wakes != h->wakes_told || atomic_load(&h->draining);
    h->wakes_told = wakes;
    for (struct exchange **at = &h->waiting; *at;) {
        struct exchange *x = *at;
        if (!all && x->wait_until_ns > now_ns) {
            at = &x->next_waiting;
            continue;
        }
        *at = x->next_waiting;
        x->next_waiting = NULL;
        atomic_fetch_sub(&h->n_waiting, 1);
        MHD_resume_connection(x->mhd);
    }
    pthread_mutex_unlock(&h->waiting_lock);
}
