/* server/trigger/watch_json.c
 *
 * Rates and drift as the API shows them.  A rate is a difference of totals over the time between them; before the first
 * tick of a window, since the menu began. */
#include "server/trigger/watch_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum status no_memory(struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory for the rates");
}

/* Newest entry of a ring that is at least `seconds` old, NULL: none; then the window begins with the menu. */
static const uint64_t *entry_before(int64_t now_ns, int64_t seconds, const int64_t *at_ns, const uint64_t *rows,
                                    size_t n_entries, size_t room, size_t width, int64_t *from_ns)
{
    for (size_t back = 0; back < n_entries && back < room; back++) {
        size_t i = (n_entries - 1 - back) % room;
        if (now_ns - at_ns[i] >= seconds * 1000000000LL) {
            *from_ns = at_ns[i];
            return rows + i * width;
        }
    }
    /* The ring has lost what came before its oldest entry. */
    if (n_entries > room) {
        size_t oldest = n_entries % room;
        *from_ns = at_ns[oldest];
        return rows + oldest * width;
    }
    return NULL;
}

/* ---- rates ----------------------------------------------------------------------------------------------- */

struct rates {
    const struct watch *w;
    double seconds;                               /* of the window, above 0 */
    const uint64_t *now, *before;                 /* before: NULL when the window begins with the menu */
};

static double rate(const struct rates *r, size_t i)
{
    return (double)(r->now[i] - (r->before ? r->before[i] : 0)) / r->seconds;
}

static struct json *path_rates(const struct rates *r, const struct menu *m, size_t i)
{
    static const struct { enum path_stage stage; const char *hz, *count; } stages[] = {
        {PATH_EVALUATED, "evaluated_hz", "evaluated"}, {PATH_RAW, "raw_hz", "raw"},
        {PATH_PRESCALED, "prescaled_hz", "prescaled"}, {PATH_ACCEPTED, "accepted_hz", "accepted"},
        {PATH_LIMITED, "limited_hz", "limited"},       {PATH_UNIQUE, "unique_hz", "unique"},
        {PATH_SHADOW, "shadow_hz", "shadow"}};
    const struct menu_path *path = &m->paths[i];
    struct json *v = json_new_object(), *counts = json_new_object();
    (void)json_set(v, "path", json_new_string(path->name));
    (void)json_set(v, "model", json_new_string(m->models[path->i_model].name));
    (void)json_set(v, "shadow", json_new_bool(path->shadow));
    (void)json_set(v, "threshold", json_new_f64(path->threshold));
    (void)json_set(v, "prescale", json_new_i64(budget_prescale(path->budget, path->prescale)));
    (void)json_set(v, "rate_budget_hz", json_new_f64(path->budget->hz));
    (void)json_set(v, "on_budget",
                   isnan(path->budget->hz) ? json_new_null() : json_new_string(on_budget_names[path->budget->policy]));
    (void)json_set(v, "over_budget",
                   json_new_bool(rate(r, r->w->at.paths + i * PATH_STAGES + PATH_ACCEPTED) > path->budget->hz));
    for (size_t k = 0; k < ARRAY_LEN(stages); k++) {
        size_t at = r->w->at.paths + i * PATH_STAGES + stages[k].stage;
        (void)json_set(v, stages[k].hz, json_new_f64(rate(r, at)));
        (void)json_set(counts, stages[k].count, json_new_i64((int64_t)r->now[at]));
    }
    (void)json_set(v, "counts", counts);
    return v;
}

static struct json *overlap(const struct watch *w, const struct menu *m, uint64_t *room)
{
    struct json *v = json_new_object(), *names = json_new_array(), *rows = json_new_array();
    watch_sum(w, w->at.overlap, m->n_paths * m->n_paths, room);
    for (size_t i = 0; i < m->n_paths; i++) {
        struct json *row = json_new_array();
        for (size_t k = 0; k < m->n_paths; k++)
            (void)json_push(row, json_new_i64((int64_t)room[i * m->n_paths + k]));
        (void)json_push(names, json_new_string(m->paths[i].name));
        (void)json_push(rows, row);
    }
    (void)json_set(v, "paths", names);
    (void)json_set(v, "accepted_by_both", rows);
    return v;
}

static struct json *reasons(const struct rates *r, bool as_rate)
{
    struct json *v = json_new_object();
    for (unsigned i = 0; i < TRIGGER_REASONS; i++) {
        size_t at = r->w->at.reasons + i;
        (void)json_set(v, trigger_reason_name((enum trigger_reason)i),
                       as_rate ? json_new_f64(rate(r, at)) : json_new_i64((int64_t)r->now[at]));
    }
    return v;
}

static struct json *menu_json(const struct watch *w, const struct menu *m)
{
    struct json *v = json_new_object();
    (void)json_set(v, "name", json_new_string(m->name));
    (void)json_set(v, "revision", json_new_i64(m->revision));
    (void)json_set(v, "prescale_column", json_new_string(m->column));
    (void)json_set(v, "since", json_new_time(w->started_us));
    return v;
}

static struct json *rates_json(const struct rates *r, const struct menu *m, uint64_t *room)
{
    struct json *v = json_new_object(), *paths = json_new_array();
    (void)json_set(v, "menu", menu_json(r->w, m));
    (void)json_set(v, "window_seconds", json_new_f64(r->seconds));
    (void)json_set(v, "input_hz", json_new_f64(rate(r, r->w->at.events)));
    (void)json_set(v, "accept_hz", json_new_f64(rate(r, r->w->at.accepted)));
    (void)json_set(v, "total_rate_budget_hz", json_new_f64(m->total->hz));
    (void)json_set(v, "events", json_new_i64((int64_t)r->now[r->w->at.events]));
    (void)json_set(v, "accepted", json_new_i64((int64_t)r->now[r->w->at.accepted]));
    (void)json_set(v, "reasons_hz", reasons(r, true));
    (void)json_set(v, "reasons", reasons(r, false));
    for (size_t i = 0; i < m->n_paths; i++)
        (void)json_push(paths, path_rates(r, m, i));
    (void)json_set(v, "paths", paths);
    (void)json_set(v, "overlap", overlap(r->w, m, room));
    return v;
}

enum status watch_rates(struct watch *w, const struct menu *m, int64_t seconds, struct json **out, struct error *e)
{
    size_t n_overlap = m->n_paths * m->n_paths;
    uint64_t *room = mem_alloc((2 * w->at.n_sampled + n_overlap) * sizeof *room);
    struct rates r = {.w = w, .now = room};
    *out = NULL;
    if (!room)
        return no_memory(e);
    int64_t now_ns = time_mono_ns(), from_ns = w->started_ns;
    watch_sum(w, 0, w->at.n_sampled, room);
    pthread_mutex_lock(&w->lock);
    r.before = entry_before(now_ns, seconds, w->tick_ns, w->ticks, w->n_ticks, WATCH_SECONDS_MAX, w->at.n_sampled,
                            &from_ns);
    if (r.before)
        r.before = memcpy(room + w->at.n_sampled, r.before, w->at.n_sampled * sizeof *room);
    pthread_mutex_unlock(&w->lock);
    r.seconds = fmax((double)(now_ns - from_ns) * 1e-9, 1e-9);
    *out = rates_json(&r, m, room + 2 * w->at.n_sampled);
    mem_free(room);
    return *out ? STATUS_OK : no_memory(e);
}

/* ---- drift ----------------------------------------------------------------------------------------------- */

/* Shares below this count as this much, so that an empty bin does not make the index infinite. */
#define SHARE_LEAST 1e-4
/* The usual reading of the population stability index: below 0.1 stable, above 0.25 another population. */
#define PSI_WATCH 0.1
#define PSI_ALERT 0.25
/* With fewer events the index says more of their number than of their distribution: its mean for two samples of one
 * distribution is about bins / events. */
enum { DRIFT_EVENTS_MIN = 500 };

static const char *drift_status(const struct feature_drift *d)
{
    if (d->n_live < DRIFT_EVENTS_MIN)
        return "too_few";
    return d->psi > PSI_ALERT ? "alert" : d->psi > PSI_WATCH ? "watch" : "ok";
}

/* Live counts against the training histogram, both as shares. */
static struct feature_drift compare(const double *expected, const uint64_t *live, size_t n)
{
    struct feature_drift d = {.n_bins = (int64_t)n};
    double sum_expected = 0, sum_live = 0, cdf = 0;
    for (size_t i = 0; i < n; i++) {
        sum_expected += expected[i];
        sum_live += (double)live[i];
    }
    for (size_t i = 0; i < n; i++) {
        double p = expected[i] / sum_expected, q = (double)live[i] / sum_live;
        cdf += q - p;
        d.ks = fmax(d.ks, fabs(cdf));
        d.chi2 += p > 0 ? (q - p) * (q - p) / p * sum_live : 0;
        p = fmax(p, SHARE_LEAST);
        q = fmax(q, SHARE_LEAST);
        d.psi += (q - p) * log(q / p);
    }
    return d;
}

bool watch_compare(const struct watch *w, const struct menu *m, size_t i_model, size_t i_feature, const uint64_t *live,
                   struct feature_drift *out)
{
    const struct feature_histogram *h = model_header(m->models[i_model].model)->histograms.items;
    size_t n = w->models[i_model].n_bins[i_feature];
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += live[i];
    if (sum == 0)
        return false;
    *out = compare(h[i_feature].counts.items, live, n);
    out->i_feature = i_feature;
    out->n_live = (int64_t)sum;
    return true;
}

static int worst_first(const void *a, const void *b)
{
    double x = ((const struct feature_drift *)a)->psi, y = ((const struct feature_drift *)b)->psi;
    return (x < y) - (x > y);
}

static struct json *feature_json(const struct watch *w, size_t i_model, const struct feature_drift *d,
                                 const struct feature_histogram *h, const uint64_t *now)
{
    struct json *v = json_new_object(), *live = json_new_array(), *expected = json_new_array();
    size_t at = i_model * HLF_COUNT + d->i_feature, base = w->at.n_sampled;
    const uint64_t *counts = now + w->at.features - base + at * WATCH_FEATURE_BINS;
    const uint64_t *outside = now + w->at.outside - base + at * 2;
    const double *training = h->counts.items;
    for (size_t i = 0; i < h->counts.n_items; i++) {
        (void)json_push(live, json_new_i64((int64_t)counts[i]));
        (void)json_push(expected, json_new_f64(training[i]));
    }
    (void)json_set(v, "feature", json_new_string(h->feature));
    (void)json_set(v, "psi", json_new_f64(d->psi));
    (void)json_set(v, "ks", json_new_f64(d->ks));
    (void)json_set(v, "chi2", json_new_f64(d->chi2));
    (void)json_set(v, "bins", json_new_i64(d->n_bins));
    (void)json_set(v, "status", json_new_string(drift_status(d)));
    (void)json_set(v, "below", json_new_i64((int64_t)outside[0]));
    (void)json_set(v, "above", json_new_i64((int64_t)outside[1]));
    (void)json_set(v, "lo", json_new_f64(h->lo));
    (void)json_set(v, "hi", json_new_f64(h->hi));
    (void)json_set(v, "live", live);
    (void)json_set(v, "training", expected);
    return v;
}

static struct json *scores_json(const struct watch *w, const struct menu_model *model, const uint64_t *now)
{
    struct json *v = json_new_object();
    for (size_t i = 0; i < model->n_classes; i++) {
        const uint64_t *counts =
            now + w->at.scores - w->at.n_sampled + (model->first_score + i) * WATCH_SCORE_BINS;
        struct json *bins = json_new_array();
        for (size_t k = 0; k < WATCH_SCORE_BINS; k++)
            (void)json_push(bins, json_new_i64((int64_t)counts[k]));
        (void)json_set(v, model_class(model->model, i), bins);
    }
    return v;
}

static struct json *model_drift(const struct watch *w, const struct menu *m, size_t i_model, const uint64_t *now)
{
    const struct model_header *header = model_header(m->models[i_model].model);
    const struct feature_histogram *h = header->histograms.items;
    struct feature_drift drift[HLF_COUNT];
    size_t n = 0;
    int64_t n_live = 0;
    for (size_t i = 0; i < HLF_COUNT; i++) {
        const uint64_t *live =
            now + w->at.features - w->at.n_sampled + (i_model * HLF_COUNT + i) * WATCH_FEATURE_BINS;
        if (!watch_compare(w, m, i_model, i, live, &drift[n]))
            continue;
        n_live = drift[n].n_live > n_live ? drift[n].n_live : n_live;
        n++;
    }
    qsort(drift, n, sizeof *drift, worst_first);
    struct json *v = json_new_object(), *features = json_new_array();
    for (size_t i = 0; i < n; i++)
        (void)json_push(features, feature_json(w, i_model, &drift[i], &h[drift[i].i_feature], now));
    (void)json_set(v, "model", json_new_string(m->models[i_model].name));
    (void)json_set(v, "events", json_new_i64(n_live));
    (void)json_set(v, "worst_psi", n ? json_new_f64(drift[0].psi) : json_new_null());
    (void)json_set(v, "features", features);
    (void)json_set(v, "scores", scores_json(w, &m->models[i_model], now));
    return v;
}

enum status watch_drift(struct watch *w, const struct menu *m, int64_t seconds, struct json **out, struct error *e)
{
    size_t width = w->at.n - w->at.n_sampled;
    uint64_t *now = mem_alloc(width * sizeof *now);
    *out = NULL;
    if (!now)
        return no_memory(e);
    int64_t now_ns = time_mono_ns(), from_ns = w->started_ns;
    watch_sum(w, w->at.n_sampled, width, now);
    pthread_mutex_lock(&w->lock);
    const uint64_t *before = entry_before(now_ns, seconds, w->minute_ns, w->minutes, w->n_minutes, WATCH_MINUTES, width,
                                          &from_ns);
    for (size_t i = 0; before && i < width; i++)
        now[i] -= before[i];
    pthread_mutex_unlock(&w->lock);
    struct json *v = json_new_object(), *models = json_new_array();
    for (size_t i = 0; i < m->n_models; i++)
        (void)json_push(models, model_drift(w, m, i, now));
    (void)json_set(v, "menu", menu_json(w, m));
    (void)json_set(v, "window_seconds", json_new_f64((double)(now_ns - from_ns) * 1e-9));
    (void)json_set(v, "models", models);
    mem_free(now);
    *out = v;
    return v ? STATUS_OK : no_memory(e);
}
