/* server/loop/loop.c
 *
 * Two signal handles and a timer.  Once the first signal has come both go back to their default action, so that the
 * second one ends the process whatever a slow shutdown is waiting for. */
#include "server/loop/loop.h"

#include <signal.h>
#include <string.h>
#include <uv.h>

enum { WATCHED_MAX = 32, SOON_MS = 200 };

struct loop {
    uv_loop_t uv;
    uv_signal_t term, interrupt;
    uv_timer_t grace;
    uint64_t grace_ms;
    void (*drain)(void *ctx);
    void *ctx;
    const struct loop_watch *watch;
    uv_timer_t look;
    uv_fs_event_t changes[WATCHED_MAX];
    size_t n_changes;
};

void loop_ignore_sigpipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

static void watch_stop(struct loop *l);

static void close_all(struct loop *l)
{
    watch_stop(l);
    uv_close((uv_handle_t *)&l->term, NULL);
    uv_close((uv_handle_t *)&l->interrupt, NULL);
    uv_close((uv_handle_t *)&l->grace, NULL);
}

/* ---- watched folders --------------------------------------------------------------------------------------------- */

static void on_look(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    l->watch->look(l->watch->ctx);
    uv_timer_start(&l->look, on_look, l->watch->every_ms, 0);
}

/* Soon, but once for many changes. */
static void on_change(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct loop *l = handle->data;
    (void)name, (void)events, (void)status;
    if (uv_timer_get_due_in(&l->look) > SOON_MS)
        uv_timer_start(&l->look, on_look, SOON_MS, 0);
}

static void watch_start(struct loop *l)
{
    uv_timer_init(&l->uv, &l->look);
    l->look.data = l;
    if (!l->watch)
        return;
    for (size_t i = 0; i < l->watch->n_folders && i < WATCHED_MAX; i++) {
        uv_fs_event_t *changes = &l->changes[l->n_changes++];
        uv_fs_event_init(&l->uv, changes);
        changes->data = l;
        int rc = uv_fs_event_start(changes, on_change, l->watch->folders[i], 0);
        if (rc != 0)
            log_line(LOG_INFO, "folder %s: changes are not told (%s); it is looked at every %llu ms", l->watch->folders[i],
                     uv_strerror(rc), (unsigned long long)l->watch->every_ms);
    }
    uv_timer_start(&l->look, on_look, 0, 0);
}

static void watch_stop(struct loop *l)
{
    if (uv_is_closing((uv_handle_t *)&l->look))
        return;
    uv_close((uv_handle_t *)&l->look, NULL);
    for (size_t i = 0; i < l->n_changes; i++)
        uv_close((uv_handle_t *)&l->changes[i], NULL);
}

static void on_grace_over(uv_timer_t *timer)
{
    close_all(timer->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop *l = handle->data;
    log_line(LOG_INFO, "%s: draining; a second signal ends at once", number == SIGTERM ? "SIGTERM" : "SIGINT");
    uv_signal_stop(&l->term);
    uv_signal_stop(&l->interrupt);
    watch_stop(l);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    l->drain(l->ctx);
    uv_timer_start(&l->grace, on_grace_over, l->grace_ms, 0);
}

static enum status uv_error(int code, const char *what, struct error *e)
{
    return error_set(e, STATUS_IO, "%s: %s", what, uv_strerror(code));
}

enum status loop_run(double grace_seconds, void (*drain)(void *ctx), void *ctx, const struct loop_watch *watch,
                     struct error *e)
{
    struct loop l = {.drain = drain, .ctx = ctx, .grace_ms = (uint64_t)(grace_seconds * 1000), .watch = watch};
    int rc = uv_loop_init(&l.uv);
    if (rc != 0)
        return uv_error(rc, "event loop", e);
    /* These three only fail for want of a pipe, which the loop has by now. */
    uv_signal_init(&l.uv, &l.term);
    uv_signal_init(&l.uv, &l.interrupt);
    uv_timer_init(&l.uv, &l.grace);
    l.term.data = l.interrupt.data = l.grace.data = &l;
    watch_start(&l);
    rc = uv_signal_start(&l.term, on_signal, SIGTERM);
    if (rc == 0)
        rc = uv_signal_start(&l.interrupt, on_signal, SIGINT);
    if (rc != 0)
        close_all(&l);
    uv_run(&l.uv, UV_RUN_DEFAULT);
    uv_loop_close(&l.uv);
    return rc == 0 ? STATUS_OK : uv_error(rc, "signal handlers", e);
}
