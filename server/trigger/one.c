/* server/trigger/one.c
 *
 * One posted event: scanned, decided, written. */
#include "server/trigger/trigger_private.h"
#include "server/trigger/watch.h"

#include <string.h>

enum status work_no_menu(struct work *w, struct error *e)
{
    w->brief->reason = "no_active_menu";
    if (w->t->why_none[0])
        return error_set(e, STATUS_NOTFOUND, "no menu is active: %.900s", w->t->why_none);
    return error_set(e, STATUS_NOTFOUND, "no menu is active; activate one or name a model in options.model");
}

static enum status named_model(struct work *w, const char *ref, struct error *e)
{
    struct model *model;
    const char *canonical;
    if (!w->t->registry)
        return work_no_menu(w, e);
    enum status s = registry_get(w->t->registry, w->a, ref, &model, &canonical, e);
    if (s == STATUS_NOTFOUND || s == STATUS_ARGUMENT) {
        json_problem_add(w->problems, "/options/model", "unknown_model", "%.250s", e->text);
        return error_set(e, STATUS_ARGUMENT, "event: /options/model: there is no model %.80s", ref);
    }
    TRY(s);
    s = menu_of_model(model, canonical, &w->own, e);
    model_release(model);
    return s;
}

enum status work_menu_option(struct work *w, const struct posted_event *event, struct error *e)
{
    if (!event->menu || strcmp(event->menu, "active") == 0)
        return STATUS_OK;
    json_problem_add(w->problems, "/options/menu", "choice", "events are decided by the menu \"active\" only");
    return error_set(e, STATUS_ARGUMENT, "event: /options/menu: only \"active\" can be asked for");
}

enum status work_menu(struct work *w, const struct posted_event *event, const struct menu **out, struct error *e)
{
    TRY(work_menu_option(w, event, e));
    if (w->model)
        TRY(menu_of_model(w->model, w->model_name, &w->own, e));
    else if (event->model)
        TRY(named_model(w, event->model, e));
    *out = w->own ? w->own : menu_read(w->t, w->s);
    return *out ? STATUS_OK : work_no_menu(w, e);
}

enum status work_deadline(struct work *w, const struct posted_event *event, struct error *e)
{
    int64_t passed_ns = time_mono_ns() - w->arrived_ns;
    if (event->deadline_ms < 0 || passed_ns < event->deadline_ms * 1000000)
        return STATUS_OK;
    w->brief->reason = "deadline_exceeded";
    return error_set(e, STATUS_BUSY, "the deadline of %lld ms had passed (%lld us) before the event was scored",
                     (long long)event->deadline_ms, (long long)(passed_ns / 1000));
}

static void fill_brief(struct decision_brief *brief, const struct decision *d)
{
    brief->accept = d->accept;
    brief->reason = trigger_reason_name(d->reason);
    brief->parse_us = d->parse_ns / 1000;
    brief->features_us = d->features_ns / 1000;
    brief->compute_us = d->compute_ns / 1000;
    brief->total_us = d->total_ns / 1000;
}

/* The workspace's counters for the menu; NULL: the menu counts nothing, or there is no memory. */
static struct watch_shard *shard_for(struct scratch *s, const struct menu *m)
{
    if (!m->watch)
        return NULL;
    if (s->shard_of != watch_serial(m->watch)) {
        s->shard = watch_shard(m->watch);
        s->shard_of = s->shard ? watch_serial(m->watch) : 0;
    }
    return s->shard;
}

void work_count(struct work *w, const struct decision *d)
{
    struct watch_shard *shard = shard_for(w->s, d->menu);
    if (shard)
        watch_count(shard, d);
    fill_brief(w->brief, d);
    atomic_fetch_add_explicit(d->accept ? &w->t->accepted : &w->t->rejected, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->t->by_reason[d->reason], 1, memory_order_relaxed);
}

enum status work_finish(struct work *w, struct decision *d, struct buf *out, struct error *e)
{
    char id[40];
    store_new_id("dec", id);
    text_copy(d->id, sizeof d->id, strchr(id, '_') + 1);       /* the answer's ids are plain ULIDs */
    TRY(decision_write(d, out, e));
    work_count(w, d);
    return STATUS_OK;
}

enum status work_decide(struct work *w, struct decision *d, int64_t start_ns, int64_t parsed_ns, struct buf *out,
                        struct error *e)
{
    TRY(decide_features(d, w->s, w->problems, e));
    int64_t featured_ns = time_mono_ns();
    TRY(work_deadline(w, d->event, e));
    TRY(decide_paths(d, w->a, w->problems, e));
    int64_t computed_ns = time_mono_ns();
    d->parse_ns = parsed_ns - start_ns;
    d->features_ns = featured_ns - parsed_ns;
    d->compute_ns = computed_ns - featured_ns;
    d->total_ns = computed_ns - w->arrived_ns;
    return work_finish(w, d, out, e);
}

static enum status decide_one(struct work *w, struct span body, struct buf *out, struct error *e)
{
    struct posted_event event;
    struct decision d = {.event = &event};
    int64_t start_ns = time_mono_ns();
    TRY(events_in_scan(w->a, body.data, body.len, &w->s->batch, &event, w->problems, e));
    int64_t parsed_ns = time_mono_ns();
    TRY(work_menu(w, &event, &d.menu, e));
    return work_decide(w, &d, start_ns, parsed_ns, out, e);
}

static enum status decide(struct work *w, struct span body, struct buf *out, struct error *e)
{
    *w->brief = (struct decision_brief){0};
    w->problems->n = 0;
    enum status s = scratch_acquire(w->t, &w->s, e);
    if (s == STATUS_OK) {
        s = decide_one(w, body, out, e);
        scratch_release(w->s);
    }
    menu_destroy(w->own);
    if (s != STATUS_OK)
        atomic_fetch_add_explicit(&w->t->errors, 1, memory_order_relaxed);
    return s;
}

enum status trigger_decide_at(struct trigger *t, struct arena *a, int64_t arrived_ns, const uint8_t *body, size_t len,
                              struct buf *out, struct decision_brief *brief, struct json_problems *problems,
                              struct error *e)
{
    struct work w = {.t = t, .a = a, .arrived_ns = arrived_ns, .problems = problems, .brief = brief};
    return decide(&w, (struct span){body, len}, out, e);
}

enum status trigger_decide(struct trigger *t, struct arena *a, const uint8_t *body, size_t len, struct buf *out,
                           struct decision_brief *brief, struct json_problems *problems, struct error *e)
{
    return trigger_decide_at(t, a, time_mono_ns(), body, len, out, brief, problems, e);
}

enum status trigger_decide_model(struct trigger *t, struct arena *a, struct model *model, const char *name,
                                 const uint8_t *body, size_t len, struct buf *out, struct decision_brief *brief,
                                 struct json_problems *problems, struct error *e)
{
    struct work w = {.t = t, .a = a, .model = model, .model_name = name, .arrived_ns = time_mono_ns(),
                     .problems = problems, .brief = brief};
    return decide(&w, (struct span){body, len}, out, e);
}

