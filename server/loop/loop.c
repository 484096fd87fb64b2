/* server/loop/loop.c
 *
 * Two signal handles and a timer.  Once the first signal has come both go back to their default action, so that the
 * second one ends the process whatever a slow shutdown is waiting for. */
#include "server/loop/loop.h"

#include <signal.h>
#include <string.h>
#include <uv.h>

struct loop {
    uv_loop_t uv;
    uv_signal_t term, interrupt;
    uv_timer_t grace;
    uint64_t grace_ms;
    void (*drain)(void *ctx);
    void *ctx;
};

void loop_ignore_sigpipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

static void close_all(struct loop *l)
{
    uv_close((uv_handle_t *)&l->term, NULL);
    uv_close((uv_handle_t *)&l->interrupt, NULL);
    uv_close((uv_handle_t *)&l->grace, NULL);
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
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    l->drain(l->ctx);
    uv_timer_start(&l->grace, on_grace_over, l->grace_ms, 0);
}

static enum status uv_error(int code, const char *what, struct error *e)
{
    return error_set(e, STATUS_IO, "%s: %s", what, uv_strerror(code));
}

enum status loop_run(double grace_seconds, void (*drain)(void *ctx), void *ctx, struct error *e)
{
    struct loop l = {.drain = drain, .ctx = ctx, .grace_ms = (uint64_t)(grace_seconds * 1000)};
    int rc = uv_loop_init(&l.uv);
    if (rc != 0)
        return uv_error(rc, "event loop", e);
    /* These three only fail for want of a pipe, which the loop has by now. */
    uv_signal_init(&l.uv, &l.term);
    uv_signal_init(&l.uv, &l.interrupt);
    uv_timer_init(&l.uv, &l.grace);
    l.term.data = l.interrupt.data = l.grace.data = &l;
    rc = uv_signal_start(&l.term, on_signal, SIGTERM);
    if (rc == 0)
        rc = uv_signal_start(&l.interrupt, on_signal, SIGINT);
    if (rc != 0)
        close_all(&l);
    uv_run(&l.uv, UV_RUN_DEFAULT);
    uv_loop_close(&l.uv);
    return rc == 0 ? STATUS_OK : uv_error(rc, "signal handlers", e);
}
