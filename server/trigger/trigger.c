/* server/trigger/trigger.c
 *
 * The running trigger: workspaces, the menu that is swapped while others decide, activation. */
#include "server/trigger/trigger_private.h"
#include "server/trigger/watch.h"

#include <string.h>
#include <time.h>

enum { WAIT_NS = 50000, HISTORY_MAX = 1000 };
#define ACTIVATION_ARENA_MAX ((size_t)8 << 20)

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

enum status scratch_acquire(struct trigger *t, struct scratch **out, struct error *e)
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

void scratch_release(struct scratch *s)
{
    atomic_store(&s->reading, NULL);
    atomic_store(&s->busy, false);
}

struct menu *menu_read(struct trigger *t, struct scratch *s)
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

/* ---- what it decides ------------------------------------------------------------------------------------- */

/* Once a second, until the trigger ends. */
static void *tick(void *ctx)
{
    struct trigger *t = ctx;
    pthread_mutex_lock(&t->tick_lock);
    while (!t->tick_stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        while (!t->tick_stop && pthread_cond_timedwait(&t->tick_wake, &t->tick_lock, &until) == 0)
            ;
        struct menu *m = menu_read(t, &t->ticker);
        if (m && !t->tick_stop)
            watch_tick(m->watch, time_mono_ns());
        atomic_store(&t->ticker.reading, NULL);
    }
    pthread_mutex_unlock(&t->tick_lock);
    return NULL;
}

static enum status begin_ticking(struct trigger *t, struct error *e)
{
    pthread_condattr_t attributes;
    check(pthread_condattr_init(&attributes) == 0);
    check(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    check(pthread_cond_init(&t->tick_wake, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    check(pthread_mutex_init(&t->tick_lock, NULL) == 0);
    atomic_store(&t->ticker.busy, true);
    atomic_store(&t->scratches, &t->ticker);      /* so that activation waits for it too */
    if (pthread_create(&t->ticking, NULL, tick, t) == 0)
        return STATUS_OK;
    pthread_cond_destroy(&t->tick_wake);
    pthread_mutex_destroy(&t->tick_lock);
    return error_set(e, STATUS_NOMEM, "no thread for the trigger");
}

static void end_ticking(struct trigger *t)
{
    pthread_mutex_lock(&t->tick_lock);
    t->tick_stop = true;
    pthread_cond_signal(&t->tick_wake);
    pthread_mutex_unlock(&t->tick_lock);
    pthread_join(t->ticking, NULL);
    pthread_cond_destroy(&t->tick_wake);
    pthread_mutex_destroy(&t->tick_lock);
}

typedef enum status show_fn(struct watch *w, const struct menu *m, int64_t seconds, struct json **out, struct error *e);

static enum status show(struct trigger *t, show_fn *fn, int64_t seconds, struct json **out, struct error *e)
{
    struct scratch *s;
    *out = NULL;
    TRY(scratch_acquire(t, &s, e));
    const struct menu *m = menu_read(t, s);
    enum status st = m ? fn(m->watch, m, seconds, out, e) : error_set(e, STATUS_NOTFOUND, "no menu is active");
    scratch_release(s);
    return st;
}

enum status trigger_rates(struct trigger *t, int64_t seconds, struct json **out, struct error *e)
{
    return show(t, watch_rates, seconds, out, e);
}

enum status trigger_drift(struct trigger *t, int64_t seconds, struct json **out, struct error *e)
{
    return show(t, watch_drift, seconds, out, e);
}

enum status trigger_metrics(struct trigger *t, struct buf *out, struct error *e)
{
    struct scratch *s;
    TRY(scratch_acquire(t, &s, e));
    const struct menu *m = menu_read(t, s);
    enum status st = m ? watch_metrics(m->watch, m, out, e) : STATUS_OK;
    scratch_release(s);
    return st;
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
static enum status store_frozen(struct trigger *t, struct json *frozen, const struct menu_activation *change,
                                int64_t expected_seq, struct error *e)
{
    int64_t seq;
    struct buf text;
    buf_init(&text, MENU_TEXT_MAX);
    (void)json_set(frozen, "prescale_column", json_new_string(change->column));
    enum status s = json_write(frozen, &text, e);
    if (s == STATUS_OK)
        s = buf_append(&text, "", 1, e);
    if (s == STATUS_OK)
        s = store_menu_activate(t->store, change, expected_seq, (const char *)text.data, &seq, e);
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

static enum status activate(struct trigger *t, struct arena *a, struct menu_activation *wanted, int64_t expected_seq,
                            struct json_problems *problems, struct error *e)
{
    struct menu_row row;
    struct json *frozen;
    const struct shown *shown;
    struct menu *m = NULL;
    TRY(store_menu_get(t->store, a, wanted->name, wanted->revision, &row, e));
    TRY(frozen_form(t, a, &row, &frozen, problems, e));
    enum status s = menu_build(frozen, row.name, row.revision, wanted->column, t->registry, &m, e);
    if (s == STATUS_ARGUMENT)
        json_problem_add(problems, "/prescale_column", "unknown_column", "%.250s", e->text);
    if (s == STATUS_OK)
        s = shown_for(t, row.name, row.revision, &shown, e);
    if (s == STATUS_OK) {
        wanted->column = m->column;
        s = store_frozen(t, frozen, wanted, expected_seq, e);
    }
    json_free(frozen);
    if (s == STATUS_OK)
        run_menu(t, m, shown);
    else
        menu_destroy(m);
    return s;
}

/* The newest change, and in *before the newest of another revision; NULL where there is none. */
static enum status history(struct trigger *t, struct arena *a, const struct menu_activation **last,
                           const struct menu_activation **before, struct error *e)
{
    struct menu_activation *rows;
    size_t n;
    *last = *before = NULL;
    TRY(store_menu_activations(t->store, a, HISTORY_MAX, &rows, &n, e));
    for (size_t i = 0; i < n && !*before; i++) {
        *last = &rows[0];
        if (rows[i].revision != rows[0].revision || strcmp(rows[i].name, rows[0].name) != 0)
            *before = &rows[i];
    }
    return STATUS_OK;
}

static enum status rollback(struct trigger *t, struct arena *a, void *ctx, const struct menu_change *change,
                            struct json_problems *problems, struct error *e)
{
    (void)ctx;
    const struct menu_activation *last, *before;
    TRY(history(t, a, &last, &before, e));
    if (!before)
        return error_set(e, STATUS_CONFLICT, "no other revision has run before");
    struct menu_activation wanted = {.name = before->name, .revision = before->revision, .column = before->column,
                                     .action = "rollback", .reason = change->reason};
    return activate(t, a, &wanted, change->expected_seq, problems, e);
}

static enum status other_column(struct trigger *t, struct arena *a, void *ctx, const struct menu_change *change,
                                struct json_problems *problems, struct error *e)
{
    (void)ctx;
    const struct menu_activation *last, *before;
    TRY(history(t, a, &last, &before, e));
    if (!last)
        return error_set(e, STATUS_CONFLICT, "no menu is active, so there is no prescale column to set");
    struct menu_activation wanted = {.name = last->name, .revision = last->revision, .column = change->column,
                                     .action = "column", .reason = change->reason};
    return activate(t, a, &wanted, change->expected_seq, problems, e);
}

static enum status named(struct trigger *t, struct arena *a, void *ctx, const struct menu_change *change,
                         struct json_problems *problems, struct error *e)
{
    return activate(t, a, ctx, change->expected_seq, problems, e);
}

/* `ctx` is the function's own. */
typedef enum status change_fn(struct trigger *t, struct arena *a, void *ctx, const struct menu_change *change,
                              struct json_problems *problems, struct error *e);

static enum status changed(struct trigger *t, change_fn *fn, void *ctx, const struct menu_change *change,
                           struct json_problems *problems, struct error *e)
{
    struct arena a;
    problems->n = 0;
    arena_init(&a, ACTIVATION_ARENA_MAX);
    pthread_mutex_lock(&t->activating);
    enum status s = fn(t, &a, ctx, change, problems, e);
    pthread_mutex_unlock(&t->activating);
    arena_fini(&a);
    return s;
}

enum status trigger_menu_activate(struct trigger *t, const char *name, int64_t revision, const struct menu_change *change,
                                  struct json_problems *problems, struct error *e)
{
    struct menu_activation wanted = {
        .name = name, .revision = revision, .column = change->column, .action = "activate", .reason = change->reason};
    return changed(t, named, &wanted, change, problems, e);
}

enum status trigger_menu_rollback(struct trigger *t, const struct menu_change *change, struct json_problems *problems,
                                  struct error *e)
{
    return changed(t, rollback, NULL, change, problems, e);
}

enum status trigger_menu_column(struct trigger *t, const struct menu_change *change, struct json_problems *problems,
                                struct error *e)
{
    return changed(t, other_column, NULL, change, problems, e);
}

enum status trigger_menu_pointer(struct trigger *t, struct arena *a, struct menu_pointer *out, struct error *e)
{
    struct menu_activation *rows;
    size_t n;
    *out = (struct menu_pointer){0};
    TRY(store_menu_activations(t->store, a, 1, &rows, &n, e));
    if (n > 0)
        *out = (struct menu_pointer){rows[0].seq, rows[0].revision, rows[0].at_us, rows[0].name, rows[0].column};
    return STATUS_OK;
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
    if (begin_ticking(t, e) != STATUS_OK) {
        pthread_mutex_destroy(&t->activating);
        mem_free(t);
        *out = NULL;
        return e->status;
    }
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
    end_ticking(t);
    menu_destroy(atomic_load(&t->menu));
    for (struct scratch *s = atomic_load(&t->scratches), *next; s != &t->ticker; s = next) {
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
