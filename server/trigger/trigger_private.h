/* server/trigger/trigger_private.h
 *
 * The running trigger as its own files see it: the menu that is swapped while others decide, the workspaces, the
 * counters.
 *
 * A thread that decides announces the menu in its workspace and looks again whether it is still the running one; only
 * then does it read it.  Activation swaps the pointer first and then waits until nobody announces the old menu, before
 * it frees it.  All of it is sequentially consistent: either the reader sees the new menu, or activation sees the
 * reader. */
#ifndef DLT_SERVER_TRIGGER_PRIVATE_H
#define DLT_SERVER_TRIGGER_PRIVATE_H

#include <pthread.h>

#include "server/trigger/decide.h"

/* A menu that was active: kept to the end, so that trigger_ready can give it away. */
struct shown {
    struct shown *next;
    const char *name;
    int64_t revision;
};

struct trigger {
    struct store *store;
    struct registry *registry;
    _Atomic(struct menu *) menu;
    _Atomic(struct scratch *) scratches;
    pthread_mutex_t activating;
    struct arena shown_arena;
    struct shown *all_shown;
    _Atomic(const struct shown *) shown;          /* of the running menu */
    char why_none[ERROR_TEXT_MAX];                /* why no menu ran from the start, when one should */
    struct scratch ticker;                        /* announces the menu for the thread that ticks */
    pthread_t ticking;
    pthread_mutex_t tick_lock;                    /* of these two */
    pthread_cond_t tick_wake;
    bool tick_stop;
    _Atomic int64_t accepted, rejected, errors, by_reason[TRIGGER_REASONS];
};

/* ---- workspaces and the running menu (trigger.c) --------------------------------------------------------- */

enum status scratch_acquire(struct trigger *t, struct scratch **out, struct error *e) MUST_USE;
void scratch_release(struct scratch *s);
/* The running menu, announced; NULL when none runs. */
struct menu *menu_read(struct trigger *t, struct scratch *s);

/* ---- one event (one.c) ----------------------------------------------------------------------------------- */

struct work {
    struct trigger *t;
    struct arena *a;
    struct scratch *s;
    struct menu *own;                             /* of a model: freed behind the decision */
    struct model *model;                          /* given by the caller, or NULL */
    const char *model_name;
    int64_t arrived_ns;
    struct json_problems *problems;
    struct decision_brief *brief;
};

/* The menu to decide by: of the model that is given or named, else the running one. */
enum status work_menu(struct work *w, const struct posted_event *event, const struct menu **out,
                      struct error *e) MUST_USE;
enum status work_menu_option(struct work *w, const struct posted_event *event, struct error *e) MUST_USE;
enum status work_no_menu(struct work *w, struct error *e) MUST_USE;               /* NOTFOUND, and why */
/* BUSY when the event's deadline has passed. */
enum status work_deadline(struct work *w, const struct posted_event *event, struct error *e) MUST_USE;
/* From the event that has been scanned to its text, with a menu that was chosen; start_ns is when scanning began. */
enum status work_decide(struct work *w, struct decision *d, int64_t start_ns, int64_t parsed_ns, struct buf *out,
                        struct error *e) MUST_USE;
/* Brief and counters of a decision that is made. */
void work_count(struct work *w, const struct decision *d);
/* Id, text, brief and counters of a decision that is made. */
enum status work_finish(struct work *w, struct decision *d, struct buf *out, struct error *e) MUST_USE;

#endif
