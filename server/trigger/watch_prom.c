/* server/trigger/watch_prom.c
 *
 * The running menu's counters as Prometheus text.  Names of paths and models are letters, digits and . _ - by the
 * menu's rules; class names lose what a label cannot hold. */
#include "server/trigger/watch_private.h"

#include <math.h>
#include <string.h>

enum { LABEL_BYTES = 80, SCORE_BUCKETS = 10 };
_Static_assert(WATCH_SCORE_BINS % SCORE_BUCKETS == 0, "a bucket is a whole number of bins");

struct text {
    struct buf *out;
    struct error *e;
    enum status status;
};

static void put(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    check(n >= 0 && (size_t)n < sizeof line);
    if (t->status == STATUS_OK)
        t->status = buf_append(t->out, line, (size_t)n, t->e);
}

static const char *label(const char *name, char out[LABEL_BYTES])
{
    text_copy(out, LABEL_BYTES, name);
    for (char *p = out; *p; p++)
        *p = *p == '"' || *p == '\\' || (unsigned char)*p < 0x20 ? '_' : *p;
    return out;
}

static void put_paths(struct text *t, const struct watch *w, const struct menu *m, const uint64_t *v)
{
    static const char *const stages[PATH_STAGES] = {"evaluated", "raw", "prescaled", "limited", "accepted", "unique", "shadow"};
    put(t, "# HELP dltrigger_trigger_path_events_total Events of the active menu by path and stage, since it runs.\n"
           "# TYPE dltrigger_trigger_path_events_total counter\n");
    for (size_t i = 0; i < m->n_paths; i++)
        for (size_t k = 0; k < PATH_STAGES; k++)
            put(t, "dltrigger_trigger_path_events_total{path=\"%s\",stage=\"%s\"} %llu\n", m->paths[i].name, stages[k],
                (unsigned long long)v[w->at.paths + i * PATH_STAGES + k]);
}

static void put_score(struct text *t, const struct menu_model *model, size_t i_class, const uint64_t *bins)
{
    char class_name[LABEL_BYTES];
    const char *at = strrchr(model->name, '@');
    int n = at ? (int)(at - model->name) : (int)strlen(model->name);
    uint64_t sum = 0;
    double total = 0;
    label(model_class(model->model, i_class), class_name);
    for (size_t k = 0; k < WATCH_SCORE_BINS; k++) {
        sum += bins[k];
        total += (double)bins[k] * ((double)k + 0.5) / WATCH_SCORE_BINS;
        if ((k + 1) % (WATCH_SCORE_BINS / SCORE_BUCKETS) == 0)
            put(t, "dltrigger_score_bucket{model=\"%.*s\",version=\"%s\",class=\"%s\",le=\"%g\"} %llu\n", n, model->name,
                at ? at + 1 : "", class_name, (double)(k + 1) / WATCH_SCORE_BINS, (unsigned long long)sum);
    }
    put(t, "dltrigger_score_bucket{model=\"%.*s\",version=\"%s\",class=\"%s\",le=\"+Inf\"} %llu\n", n, model->name,
        at ? at + 1 : "", class_name, (unsigned long long)sum);
    put(t, "dltrigger_score_sum{model=\"%.*s\",version=\"%s\",class=\"%s\"} %.6f\n", n, model->name, at ? at + 1 : "",
        class_name, total);
    put(t, "dltrigger_score_count{model=\"%.*s\",version=\"%s\",class=\"%s\"} %llu\n", n, model->name, at ? at + 1 : "",
        class_name, (unsigned long long)sum);
}

static void put_budgets(struct text *t, const struct menu *m)
{
    put(t, "# HELP dltrigger_trigger_rate_budget_hertz What a path may accept a second; path \"\" is all of them.\n"
           "# TYPE dltrigger_trigger_rate_budget_hertz gauge\n");
    for (size_t i = 0; i < m->n_paths; i++)
        if (!isnan(m->paths[i].budget->hz))
            put(t, "dltrigger_trigger_rate_budget_hertz{path=\"%s\"} %.9g\n", m->paths[i].name, m->paths[i].budget->hz);
    if (!isnan(m->total->hz))
        put(t, "dltrigger_trigger_rate_budget_hertz{path=\"\"} %.9g\n", m->total->hz);
}

static void put_scores(struct text *t, const struct watch *w, const struct menu *m, const uint64_t *v)
{
    put(t, "# HELP dltrigger_score Scores of the active menu's models (the sum is that of bin centres).\n"
           "# TYPE dltrigger_score histogram\n");
    for (size_t i = 0; i < m->n_models; i++)
        for (size_t c = 0; c < m->models[i].n_classes; c++)
            put_score(t, &m->models[i], c, v + w->at.scores + (m->models[i].first_score + c) * WATCH_SCORE_BINS);
}

static void put_drift(struct text *t, const struct watch *w, const struct menu *m, const uint64_t *v, bool psi)
{
    const char *name = psi ? "dltrigger_drift_psi_ratio" : "dltrigger_drift_ks_ratio";
    put(t, "# HELP %s %s of live features against the training part, since the menu runs.\n# TYPE %s gauge\n", name,
        psi ? "Population stability index" : "Largest difference of the cumulative distributions", name);
    for (size_t i = 0; i < m->n_models; i++)
        for (size_t f = 0; f < HLF_COUNT; f++) {
            struct feature_drift d;
            const uint64_t *live = v + w->at.features + (i * HLF_COUNT + f) * WATCH_FEATURE_BINS;
            if (watch_compare(w, m, i, f, live, &d))
                put(t, "%s{model=\"%s\",feature=\"%s\"} %.6g\n", name, m->models[i].name, hlf_info[f].name,
                    psi ? d.psi : d.ks);
        }
}

enum status watch_metrics(struct watch *w, const struct menu *m, struct buf *out, struct error *e)
{
    struct text t = {out, e, STATUS_OK};
    uint64_t *v = mem_alloc(w->at.n * sizeof *v);
    if (!v)
        return error_set(e, STATUS_NOMEM, "no memory for the trigger's metrics");
    watch_sum(w, 0, w->at.n, v);
    put_paths(&t, w, m, v);
    put_budgets(&t, m);
    put_scores(&t, w, m, v);
    put_drift(&t, w, m, v, true);
    put_drift(&t, w, m, v, false);
    mem_free(v);
    return t.status;
}
