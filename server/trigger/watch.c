/* server/trigger/watch.c
 *
 * Counting what a menu decides.  An event costs a few dozen plain additions in memory that no other thread writes. */
#include "server/trigger/watch_private.h"

#include <math.h>
#include <string.h>

enum { ADAPT_SECONDS = 10 };

/* ---- layout ---------------------------------------------------------------------------------------------- */

static struct layout layout_of(const struct menu *m)
{
    struct layout at = {.events = 0, .accepted = 1, .reasons = 2};
    at.paths = at.reasons + TRIGGER_REASONS;
    at.n_sampled = at.overlap = at.paths + m->n_paths * PATH_STAGES;
    at.features = at.overlap + m->n_paths * m->n_paths;
    at.outside = at.features + m->n_models * HLF_COUNT * WATCH_FEATURE_BINS;
    at.scores = at.outside + m->n_models * HLF_COUNT * 2;
    at.n = at.scores + m->n_scores * WATCH_SCORE_BINS;
    return at;
}

static void model_bins(const struct menu_model *model, struct watch_model *out)
{
    const struct model_header *header = model_header(model->model);
    const struct feature_histogram *h = header->histograms.items;
    for (size_t i = 0; i < HLF_COUNT && i < header->histograms.n_items; i++) {
        size_t n = h[i].counts.n_items;
        if (n == 0 || n > WATCH_FEATURE_BINS || !(h[i].hi > h[i].lo))
            continue;
        out->n_bins[i] = n;
        out->lo[i] = h[i].lo;
        out->hi[i] = h[i].hi;
        out->scale[i] = (double)n / (h[i].hi - h[i].lo);
    }
}

static _Atomic uint64_t n_watches;

uint64_t watch_serial(const struct watch *w) { return w->serial; }

/* ---- life ------------------------------------------------------------------------------------------------ */

enum status watch_create(const struct menu *m, struct watch **out, struct error *e)
{
    struct watch *w = *out = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set(e, STATUS_NOMEM, "no memory to count decisions");
    w->menu = m;
    w->serial = atomic_fetch_add(&n_watches, 1) + 1;
    w->at = layout_of(m);
    check(pthread_mutex_init(&w->lock, NULL) == 0);
    w->models = mem_calloc(m->n_models, sizeof *w->models);
    w->tick_ns = mem_calloc(WATCH_SECONDS_MAX, sizeof *w->tick_ns);
    w->ticks = mem_calloc(WATCH_SECONDS_MAX * w->at.n_sampled, sizeof *w->ticks);
    w->minute_ns = mem_calloc(WATCH_MINUTES, sizeof *w->minute_ns);
    w->minutes = mem_calloc(WATCH_MINUTES * (w->at.n - w->at.n_sampled), sizeof *w->minutes);
    if (!w->models || !w->tick_ns || !w->ticks || !w->minute_ns || !w->minutes) {
        watch_destroy(w);
        *out = NULL;
        return error_set(e, STATUS_NOMEM, "no memory to count decisions");
    }
    for (size_t i = 0; i < m->n_models; i++)
        model_bins(&m->models[i], &w->models[i]);
    w->started_ns = time_mono_ns();
    w->started_us = time_unix_us();
    return STATUS_OK;
}

void watch_destroy(struct watch *w)
{
    if (!w)
        return;
    for (struct watch_shard *s = atomic_load(&w->shards), *next; s; s = next) {
        next = s->next;
        mem_free(s);
    }
    mem_free(w->models);
    mem_free(w->tick_ns);
    mem_free(w->ticks);
    mem_free(w->minute_ns);
    mem_free(w->minutes);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

struct watch_shard *watch_shard(struct watch *w)
{
    struct watch_shard *s = mem_calloc(1, sizeof *s + w->at.n * sizeof s->v[0]);
    if (!s)
        return NULL;
    s->watch = w;
    s->next = atomic_load(&w->shards);
    while (!atomic_compare_exchange_weak(&w->shards, &s->next, s))
        ;
    return s;
}

/* ---- one decision ---------------------------------------------------------------------------------------- */

static void count_features(struct watch_shard *s, size_t i_model, const float *hlf)
{
    const struct watch *w = s->watch;
    const struct watch_model *bins = &w->models[i_model];
    for (size_t i = 0; i < HLF_COUNT; i++) {
        if (bins->n_bins[i] == 0)
            continue;
        size_t n = bins->n_bins[i], at = i_model * HLF_COUNT + i;
        double v = (double)hlf[i], place = (v - bins->lo[i]) * bins->scale[i];
        size_t bin = place <= 0 ? 0 : place >= (double)n - 1 ? n - 1 : (size_t)place;
        count_up(&s->v[w->at.features + at * WATCH_FEATURE_BINS + bin]);
        if (v < bins->lo[i] || v > bins->hi[i])
            count_up(&s->v[w->at.outside + at * 2 + (v > bins->hi[i])]);
    }
}

static void count_scores(struct watch_shard *s, const struct menu_model *model, const float *scores)
{
    for (size_t i = 0; i < model->n_classes; i++) {
        double place = (double)scores[i] * WATCH_SCORE_BINS;
        size_t bin = place <= 0 ? 0 : place >= WATCH_SCORE_BINS - 1 ? WATCH_SCORE_BINS - 1 : (size_t)place;
        count_up(&s->v[s->watch->at.scores + (model->first_score + i) * WATCH_SCORE_BINS + bin]);
    }
}

static void count_paths(struct watch_shard *s, const struct decision *d)
{
    const struct menu *m = d->menu;
    const struct layout *at = &s->watch->at;
    size_t accepted[MENU_PATHS_MAX], n_accepted = 0;
    for (size_t i = 0; i < m->n_paths; i++) {
        const struct path_outcome *o = &d->paths[i];
        counter *stage = &s->v[at->paths + i * PATH_STAGES];
        if (o->has_score)
            count_up(&stage[PATH_EVALUATED]);
        if (o->raw)
            count_up(&stage[PATH_RAW]);
        if (o->prescale_pass)
            count_up(&stage[m->paths[i].shadow ? PATH_SHADOW : PATH_PRESCALED]);
        if (o->rate_limited)
            count_up(&stage[PATH_LIMITED]);
        if (o->accept) {
            count_up(&stage[PATH_ACCEPTED]);
            accepted[n_accepted++] = i;
        }
    }
    if (n_accepted == 1)
        count_up(&s->v[at->paths + accepted[0] * PATH_STAGES + PATH_UNIQUE]);
    for (size_t i = 0; i < n_accepted; i++)
        for (size_t k = 0; k < n_accepted; k++)
            count_up(&s->v[at->overlap + accepted[i] * m->n_paths + accepted[k]]);
}

void watch_count(struct watch_shard *s, const struct decision *d)
{
    const struct menu *m = d->menu;
    const struct layout *at = &s->watch->at;
    count_up(&s->v[at->events]);
    count_up(&s->v[at->reasons + d->reason]);
    if (d->accept)
        count_up(&s->v[at->accepted]);
    if (!d->pass)
        return;
    count_paths(s, d);
    for (size_t i = 0; i < m->n_models; i++) {
        const struct menu_model *model = &m->models[i];
        if (d->reject[model->i_recipe] != REJECT_NONE)
            continue;
        if (d->hlf[model->i_recipe])
            count_features(s, i, d->hlf[model->i_recipe]);
        count_scores(s, model, d->scores + model->first_score);
    }
}

/* ---- totals ---------------------------------------------------------------------------------------------- */

void watch_sum(const struct watch *w, size_t first, size_t n, uint64_t *out)
{
    memset(out, 0, n * sizeof *out);
    for (struct watch_shard *s = atomic_load((_Atomic(struct watch_shard *) *)(uintptr_t)&w->shards); s; s = s->next)
        for (size_t i = 0; i < n; i++)
            out[i] += atomic_load_explicit(&s->v[first + i], memory_order_relaxed);
}

/* Budgets that are kept by prescaling follow what passes the path's own prescale, over the last ten seconds. */
static void adapt_budgets(const struct watch *w, size_t newest)
{
    size_t back = newest < ADAPT_SECONDS ? newest : ADAPT_SECONDS, oldest = newest - back;
    const uint64_t *to = w->ticks + newest % WATCH_SECONDS_MAX * w->at.n_sampled;
    const uint64_t *from = w->ticks + oldest % WATCH_SECONDS_MAX * w->at.n_sampled;
    int64_t from_ns = back ? w->tick_ns[oldest % WATCH_SECONDS_MAX] : w->started_ns;
    double seconds = (double)(w->tick_ns[newest % WATCH_SECONDS_MAX] - from_ns) * 1e-9;
    for (size_t i = 0; i < w->menu->n_paths && seconds > 0; i++) {
        size_t at = w->at.paths + i * PATH_STAGES + PATH_PRESCALED;
        budget_adapt(w->menu->paths[i].budget, (double)(to[at] - (back ? from[at] : 0)) / seconds);
    }
}

void watch_tick(struct watch *w, int64_t now_ns)
{
    size_t n_rest = w->at.n - w->at.n_sampled;
    pthread_mutex_lock(&w->lock);
    size_t i = w->n_ticks % WATCH_SECONDS_MAX;
    watch_sum(w, 0, w->at.n_sampled, w->ticks + i * w->at.n_sampled);
    w->tick_ns[i] = now_ns;
    adapt_budgets(w, w->n_ticks);
    w->n_ticks++;
    int64_t last_ns = w->n_minutes ? w->minute_ns[(w->n_minutes - 1) % WATCH_MINUTES] : w->started_ns;
    if (now_ns - last_ns >= 60 * 1000000000LL) {
        size_t k = w->n_minutes % WATCH_MINUTES;
        watch_sum(w, w->at.n_sampled, n_rest, w->minutes + k * n_rest);
        w->minute_ns[k] = now_ns;
        w->n_minutes++;
    }
    pthread_mutex_unlock(&w->lock);
}
