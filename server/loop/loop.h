/* server/loop/loop.h
 *
 * The main thread's event loop: waits for the signal to stop, and lets the service drain.  libuv lives here and in
 * main.c only. */
#ifndef DLT_SERVER_LOOP_H
#define DLT_SERVER_LOOP_H

#include "core/base.h"

/* Folders that are looked at when something in them changes, and every `every_ms` besides: a network's file system tells
 * nothing of changes.  look() is called on this thread, until drain() is. */
struct loop_watch {
    const char *const *folders;
    size_t n_folders;
    uint64_t every_ms;
    void (*look)(void *ctx);
    void *ctx;
};

/* Blocks until SIGTERM or SIGINT, calls drain(ctx) once, waits `grace_seconds`, returns.  A second signal, in the grace
 * or any time after, ends the process at once (by that signal).  `watch` may be NULL. */
enum status loop_run(double grace_seconds, void (*drain)(void *ctx), void *ctx, const struct loop_watch *watch,
                     struct error *e) MUST_USE;
/* Makes a write to a closed socket an error instead of a signal.  First thing in main, before any thread. */
void loop_ignore_sigpipe(void);

#endif
