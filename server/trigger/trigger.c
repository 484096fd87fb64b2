/* server/trigger/trigger.c
 *
 * The running trigger: the menu that is swapped while others decide, the workspaces, the counters.
 *
 * A thread that decides announces the menu in its workspace and looks again whether it is still the running one; only
 * then does it read it.  Activation swaps the pointer first and then waits until nobody announces the old menu, before
 * it frees it.  All of it is sequentially consistent: either the reader sees the new menu, or activation sees the
 * reader. */
#include "server/trigger/trigger.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "server/trigger/decide.h"

enum { WAIT_NS = 50000 };
#define ACTIVATION_ARENA_MAX ((size_t)8 << 20)

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
    _Atomic int64_t accepted, rejected, errors, by_reason[TRIGGER_REASONS];
};
_Static_assert(TRIGGER_REASONS <= ARRAY_LEN(((struct trigger_counters *)0)->by_reason),
               "counters have a place for each");

const char *trigger_reason_name(enum trigger_reason r)
{
    static const char *const names[] = {
#define X(name, text) text,
        TRIGGER_REASON_TABLE(X)
#undef X
    };
    check((unsigned)r < TRIGGER_REASONS);
    return names[r];
}

/* ---- workspaces and the running menu ------------------------------------------------------------------- */

static enum status scratch_acquire(struct trigger *t, struct scratch **out, struct error *e)
{
    for (struct scratch *s = atomic_load(&t->scratches); s; s = s->next)
        if (!atomic_load(&s->busy) && !atomic_exchange(&s->busy, true)) {
            *out = s;
            return STATUS_OK;
        }
    TRY(scratch_create(out, e));
    atomic_store(&(*out)->busy, true);
    (*out)->next = atomic_load(&t->scratches);
    while (!atomic_compare_exchange_weak(&t->scratches, &(*out)->next, *out))
        ;
    return STATUS_OK;
}

static void scratch_release(struct scratch *s)
{
    atomic_store(&s->reading, NULL);
    atomic_store(&s->busy, false);
}

/* The running menu, announced; NULL when none runs. */
static struct menu *menu_read(struct trigger *t, struct scratch *s)
{
    for (;;) {
        struct menu *m = atomic_load(&t->menu);
        atomic_store(&s->reading, m);
        if (atomic_load(&t->menu) == m)
            return m;
    }
}

static void menu_swap(struct trigger *t, struct menu *m)
{
    struct menu *old = atomic_exchange(&t->menu, m);
    for (struct scratch *s = atomic_load(&t->scratches); s && old; s = s->next)
        while (atomic_load(&s->reading) == old)
            (void)nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    menu_destroy(old);
}

/* ---- one event ----------------------------------------------------------------------------------------- */

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

static enum status no_menu(struct work *w, struct error *e)
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
        return no_menu(w, e);
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

/* The menu to decide by: of the model that is given or named, else the running one. */
static enum status choose_menu(struct work *w, const struct posted_event *event, const struct menu **out,
                               struct error *e)
{
    if (event->menu && strcmp(event->menu, "active") != 0) {
        json_problem_add(w->problems, "/options/menu", "choice", "events are decided by the menu \"active\" only");
        return error_set(e, STATUS_ARGUMENT, "event: /options/menu: only \"active\" can be asked for");
    }
    if (w->model)
        TRY(menu_of_model(w->model, w->model_name, &w->own, e));
    else if (event->model)
        TRY(named_model(w, event->model, e));
    *out = w->own ? w->own : menu_read(w->t, w->s);
    return *out ? STATUS_OK : no_menu(w, e);
}

static enum status check_deadline(struct work *w, const struct posted_event *event, struct error *e)
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

static enum status decide_one(struct work *w, struct span body, struct buf *out, struct error *e)
{
    struct posted_event event;
    struct decision d = {.event = &event};
    int64_t start = time_mono_ns();
    TRY(events_in_scan(w->a, body.data, body.len, &w->s->batch, &event, w->problems, e));
    int64_t parsed = time_mono_ns();
    TRY(choose_menu(w, &event, &d.menu, e));
    TRY(decide_features(&d, w->s, w->problems, e));
    int64_t featured = time_mono_ns();
    TRY(check_deadline(w, &event, e));
    TRY(decide_paths(&d, w->a, w->problems, e));
    int64_t computed = time_mono_ns();
    d.parse_ns = parsed - start;
    d.features_ns = featured - parsed;
    d.compute_ns = computed - featured;
    d.total_ns = computed - w->arrived_ns;
    char id[40];
    store_new_id("dec", id);
    text_copy(d.id, sizeof d.id, strchr(id, '_') + 1);         /* the answer's ids are plain ULIDs */
    TRY(decision_write(&d, out, e));
    fill_brief(w->brief, &d);
    atomic_fetch_add_explicit(d.accept ? &w->t->accepted : &w->t->rejected, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->t->by_reason[d.reason], 1, memory_order_relaxed);
    return STATUS_OK;
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

/* ---- menus --------------------------------------------------------------------------------------------- */

enum status trigger_menu_create(struct trigger *t, const struct json *menu, const char **name, int64_t *revision,
                                struct arena *a, struct json_problems *problems, struct error *e)
{
    struct menu_spec spec;
    struct buf text;
    TRY(menu_spec_decode(a, menu, &spec, problems, e));
    TRY(menu_spec_check_models(a, &spec, t->store, t->registry, problems, e));
    *name = spec.name;
    buf_init(&text, MENU_TEXT_MAX);
    enum status s = json_write(menu, &text, e);
    if (s == STATUS_OK)
        s = buf_append(&text, "", 1, e);
    if (s == STATUS_OK)
        s = store_menu_insert(t->store, spec.name, (const char *)text.data, spec.comment, revision, e);
    buf_fini(&text);
    return s;
}

/* The frozen form: as stored when the revision was active before, else frozen now. */
static enum status frozen_form(struct trigger *t, struct arena *a, const struct menu_row *row, struct json **out,
                               struct json_problems *problems, struct error *e)
{
    struct menu_spec spec;
    struct json *body;
    *out = NULL;
    if (row->resolved)
        return json_parse(row->resolved, strlen(row->resolved), out, e);
    TRY(json_parse(row->body, strlen(row->body), &body, e));
    enum status s = menu_spec_decode(a, body, &spec, problems, e);
    if (s == STATUS_OK)
        s = menu_freeze(a, &spec, t->store, t->registry, out, problems, e);
    json_free(body);
    return s;
}

/* `column` is stored with the frozen form, so that a restart runs the same prescales. */
static enum status store_frozen(struct trigger *t, const struct menu_row *row, struct json *frozen, const char *column,
                                struct error *e)
{
    struct buf text;
    buf_init(&text, MENU_TEXT_MAX);
    (void)json_set(frozen, "prescale_column", json_new_string(column));
    enum status s = json_write(frozen, &text, e);
    if (s == STATUS_OK)
        s = buf_append(&text, "", 1, e);
    if (s == STATUS_OK)
        s = store_menu_activate(t->store, row->name, row->revision, (const char *)text.data, e);
    buf_fini(&text);
    return s;
}

static enum status shown_for(struct trigger *t, const char *name, int64_t revision, const struct shown **out,
                             struct error *e)
{
    for (const struct shown *x = t->all_shown; x; x = x->next)
        if (strcmp(x->name, name) == 0 && x->revision == revision) {
            *out = x;
            return STATUS_OK;
        }
    struct shown *x = ARENA_NEW(&t->shown_arena, struct shown, 1);
    char *copy = arena_strdup(&t->shown_arena, name);
    if (!x || !copy)
        return error_set(e, STATUS_NOMEM, "no memory for the menu's name");
    *x = (struct shown){t->all_shown, copy, revision};
    *out = t->all_shown = x;
    return STATUS_OK;
}

/* Makes a menu the running one; takes it. */
static void run_menu(struct trigger *t, struct menu *m, const struct shown *shown)
{
    menu_swap(t, m);
    atomic_store(&t->shown, shown);
}

bool trigger_ready(struct trigger *t, const char **menu_name, int64_t *revision)
{
    const struct shown *shown = atomic_load(&t->shown);
    *menu_name = shown ? shown->name : NULL;
    *revision = shown ? shown->revision : 0;
    return shown != NULL;
}

static enum status activate(struct trigger *t, struct arena *a, const char *name, int64_t revision, const char *column,
                            struct json_problems *problems, struct error *e)
{
    struct menu_row row;
    struct json *frozen;
    const struct shown *shown;
    struct menu *m = NULL;
    TRY(store_menu_get(t->store, a, name, revision, &row, e));
    TRY(frozen_form(t, a, &row, &frozen, problems, e));
    enum status s = menu_build(frozen, row.name, row.revision, column, t->registry, &m, e);
    if (s == STATUS_ARGUMENT)
        json_problem_add(problems, "/prescale_column", "unknown_column", "%.250s", e->text);
    if (s == STATUS_OK)
        s = shown_for(t, row.name, row.revision, &shown, e);
    if (s == STATUS_OK)
        s = store_frozen(t, &row, frozen, m->column, e);
    json_free(frozen);
    if (s == STATUS_OK)
        run_menu(t, m, shown);
    else
        menu_destroy(m);
    return s;
}

enum status trigger_menu_activate_column(struct trigger *t, const char *name, int64_t revision, const char *column,
                                         struct json_problems *problems, struct error *e)
{
    struct arena a;
    problems->n = 0;
    arena_init(&a, ACTIVATION_ARENA_MAX);
    pthread_mutex_lock(&t->activating);
    enum status s = activate(t, &a, name, revision, column, problems, e);
    pthread_mutex_unlock(&t->activating);
    arena_fini(&a);
    return s;
}

enum status trigger_menu_activate(struct trigger *t, const char *name, int64_t revision, struct json_problems *problems,
                                  struct error *e)
{
    return trigger_menu_activate_column(t, name, revision, NULL, problems, e);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static enum status restore(struct trigger *t, struct arena *a, struct error *e)
{
    struct menu_row row;
    struct json *frozen;
    const struct shown *shown;
    struct menu *m;
    enum status s = store_menu_active(t->store, a, &row, e);
    if (s == STATUS_NOTFOUND)
        return STATUS_OK;
    TRY(s);
    if (!row.resolved)
        return error_set(e, STATUS_FORMAT, "menu %.64s has no frozen form", row.name);
    TRY(shown_for(t, row.name, row.revision, &shown, e));
    TRY(json_parse(row.resolved, strlen(row.resolved), &frozen, e));
    s = menu_build(frozen, row.name, row.revision, json_str(json_get(frozen, "prescale_column"), NULL), t->registry, &m,
                   e);
    json_free(frozen);
    if (s == STATUS_OK)
        run_menu(t, m, shown);
    return s;
}

enum status trigger_create(struct store *store, struct registry *registry, struct trigger **out, struct error *e)
{
    struct trigger *t = *out = mem_calloc(1, sizeof *t);
    struct error why;
    struct arena a;
    if (!t)
        return error_set(e, STATUS_NOMEM, "no memory for the trigger");
    t->store = store;
    t->registry = registry;
    check(pthread_mutex_init(&t->activating, NULL) == 0);
    arena_init(&t->shown_arena, 1 << 20);
    arena_init(&a, ACTIVATION_ARENA_MAX);
    if (store && restore(t, &a, &why) != STATUS_OK) {
        text_copy(t->why_none, sizeof t->why_none, why.text);
        log_line(LOG_ERROR, "trigger: the active menu could not be restored, none runs: %s", why.text);
    }
    arena_fini(&a);
    return STATUS_OK;
}

void trigger_destroy(struct trigger *t)
{
    if (!t)
        return;
    menu_destroy(atomic_load(&t->menu));
    for (struct scratch *s = atomic_load(&t->scratches), *next; s; s = next) {
        check(!atomic_load(&s->busy));
        next = s->next;
        scratch_destroy(s);
    }
    arena_fini(&t->shown_arena);
    pthread_mutex_destroy(&t->activating);
    mem_free(t);
}

struct trigger_counters trigger_counters(struct trigger *t)
{
    struct trigger_counters c = {.accepted = atomic_load(&t->accepted), .rejected = atomic_load(&t->rejected),
                                 .errors = atomic_load(&t->errors)};
    for (size_t i = 0; i < TRIGGER_REASONS; i++)
        c.by_reason[i] = atomic_load(&t->by_reason[i]);
    return c;
}
