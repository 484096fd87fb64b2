/* core/metrics/curve.c
 *
 * Ranks events by one class's score and walks down: cumulative sums give AUC, ROC and working points.  Events of equal
 * score are one step of the walk, so ties are exact. */
#include "core/metrics/curve.h"

#include <math.h>
#include <string.h>

enum { RADIX_BITS = 11, RADIX_SIZE = 1 << RADIX_BITS };

/* ---- ranking --------------------------------------------------------------------------------------------------- */

enum status ranking_init(struct ranking *r, size_t n, struct error *e)
{
    *r = (struct ranking){NULL, NULL, NULL};
    if (n > UINT32_MAX)
        return error_set(e, STATUS_ARGUMENT, "%zu events, at most %u", n, UINT32_MAX);
    r->block = mem_alloc(2 * n * sizeof *r->key);
    if (!r->block)
        return error_set(e, STATUS_NOMEM, "no memory to rank %zu events", n);
    r->key = r->block;
    r->spare = r->key + n;
    return STATUS_OK;
}

void ranking_fini(struct ranking *r)
{
    mem_free(r->block);
    *r = (struct ranking){NULL, NULL, NULL};
}

/* Unsigned numbers in the opposite order of the scores; -0 counts as 0. */
static uint32_t descending_bits(float score)
{
    uint32_t u;
    score += 0.0f;
    memcpy(&u, &score, sizeof u);
    return u & 0x80000000u ? u : ~u & 0x7fffffffu;
}

static float score_of(uint64_t key)
{
    uint32_t d = (uint32_t)(key >> 32), u = d & 0x80000000u ? d : ~d & 0x7fffffffu;
    float score;
    memcpy(&score, &u, sizeof score);
    return score;
}

/* key[] = (descending bits, event), sorted by the first and, as the sort is stable, by the second. */
static void rank(struct ranking *r, const struct sample *s, size_t signal)
{
    for (size_t i = 0; i < s->n; i++)
        r->key[i] = (uint64_t)descending_bits(s->scores[i * s->n_classes + signal]) << 32 | i;
    for (unsigned shift = 32; shift < 64; shift += RADIX_BITS) {
        uint32_t start[RADIX_SIZE] = {0};
        for (size_t i = 0; i < s->n; i++)
            start[r->key[i] >> shift & (RADIX_SIZE - 1)]++;
        uint32_t at = 0;
        for (size_t b = 0; b < RADIX_SIZE; b++) {
            uint32_t n = start[b];
            start[b] = at;
            at += n;
        }
        for (size_t i = 0; i < s->n; i++)
            r->spare[start[r->key[i] >> shift & (RADIX_SIZE - 1)]++] = r->key[i];
        uint64_t *sorted = r->spare;
        r->spare = r->key;
        r->key = sorted;
    }
}

/* ---- points of the ROC ----------------------------------------------------------------------------------------- */

/* Few points are all kept.  Of many, one is kept when the curve has moved on a grid: in length (so that no piece is
 * long), in the logarithm of the background efficiency and in that of the signal inefficiency (so that the corners
 * where triggers work are resolved). */
enum { GRID_STEPS = (ROC_POINTS_MAX - 2) / 3 };

struct thinner {
    struct roc_point *point;
    size_t n;
    bool keep_all;
    double length, log_background, log_loss;                  /* next grid lines; log_background NaN: not started */
    double step_log_background, step_log_loss;
};

static void emit(struct thinner *t, struct roc_point p, bool last)
{
    const double loss = 1 - p.signal_efficiency, length = p.signal_efficiency + p.background_efficiency;
    bool keep = t->keep_all || last;
    if (length >= t->length) {
        keep = true;
        while (t->length <= length)
            t->length += 2.0 / GRID_STEPS;
    }
    if (p.background_efficiency > 0) {
        double at = log(p.background_efficiency);
        if (isnan(t->log_background)) {                       /* from the first one to log 1 */
            t->log_background = at;
            t->step_log_background = fmax(-at, 1e-9) / (GRID_STEPS - 1);
        }
        keep |= at >= t->log_background;
        while (t->log_background <= at)
            t->log_background += t->step_log_background;
    }
    if (loss > 0 && log(loss) <= t->log_loss) {
        keep = true;
        while (t->log_loss >= log(loss))
            t->log_loss -= t->step_log_loss;
    }
    if (keep && t->n < (size_t)ROC_POINTS_MAX - !last)         /* there is always room for the last one */
        t->point[t->n++] = p;
}

/* ---- the walk -------------------------------------------------------------------------------------------------- */

struct walk {
    double passed[METRICS_CLASSES_MAX];
    double signal, background;         /* passed */
    double all_signal, all_background;
    double least_loss;                 /* smallest signal inefficiency that one event can make */
    size_t n_steps;
};

/* Totals in the order of the walk, so that the last step reaches them exactly. */
static void count_walk(const struct ranking *r, const struct sample *s, size_t signal, struct walk *w)
{
    *w = (struct walk){0};
    for (size_t i = 0; i < s->n; i++) {
        size_t event = (uint32_t)r->key[i];
        bool is_signal = (size_t)s->labels[event] == signal;
        w->all_signal += is_signal ? sample_weight(s, event) : 0;
        w->all_background += is_signal ? 0 : sample_weight(s, event);
        w->n_steps += i == 0 || r->key[i] >> 32 != r->key[i - 1] >> 32;
    }
    w->least_loss = s->count[signal] > 0 ? 1 / (double)s->count[signal] : 1;
}

/* Takes the events of equal score from i on; returns the first one behind them. */
static size_t take_step(const struct ranking *r, const struct sample *s, size_t signal, size_t i, struct walk *w)
{
    uint64_t here = r->key[i] >> 32;
    for (; i < s->n && r->key[i] >> 32 == here; i++) {
        size_t event = (uint32_t)r->key[i], label = (size_t)s->labels[event];
        double weight = sample_weight(s, event);
        w->passed[label] += weight;
        w->signal += label == signal ? weight : 0;
        w->background += label == signal ? 0 : weight;
    }
    return i;
}

static void note_targets(struct curve *c, const struct walk *w, double threshold)
{
    for (size_t k = 0; k < c->n_targets; k++) {
        struct reached *r = &c->reached[k];
        if (r->found || !(w->signal >= r->target * w->all_signal))
            continue;
        r->found = true;
        r->threshold = threshold;
        memcpy(r->passed, w->passed, sizeof r->passed);
    }
}

static enum status thinner_init(struct thinner *t, struct arena *a, const struct walk *w, struct error *e)
{
    size_t n = w->n_steps < ROC_POINTS_MAX ? w->n_steps + 1 : ROC_POINTS_MAX;
    *t = (struct thinner){.point = ARENA_NEW(a, struct roc_point, n),
                          .keep_all = w->n_steps < ROC_POINTS_MAX,
                          .length = 0,
                          .log_background = NAN,
                          .step_log_loss = fmax(-log(w->least_loss), 1e-9) / (GRID_STEPS - 1)};
    return t->point ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for a ROC of %zu points", n);
}

enum status curve_walk(struct ranking *r, const struct sample *s, size_t signal, struct arena *a, struct curve *c,
                       struct error *e)
{
    struct walk w;
    struct thinner t = {0};
    rank(r, s, signal);
    count_walk(r, s, signal, &w);
    bool two_sides = w.all_signal > 0 && w.all_background > 0;
    if (a && two_sides) {
        TRY(thinner_init(&t, a, &w, e));
        emit(&t, (struct roc_point){nextafterf(score_of(r->key[0]), INFINITY), 0, 0}, false);
    }
    double area = 0;
    for (size_t i = 0; i < s->n;) {
        double signal_before = w.signal, background_before = w.background;
        double threshold = (double)score_of(r->key[i]);
        i = take_step(r, s, signal, i, &w);
        area += (w.background - background_before) * (signal_before + w.signal) / 2;
        note_targets(c, &w, threshold);
        struct roc_point here = {threshold, w.signal / w.all_signal, w.background / w.all_background};
        if (t.point)
            emit(&t, here, i == s->n);
    }
    c->auc = two_sides ? area / (w.all_signal * w.all_background) : NAN;
    c->roc = (struct field_list){t.point, t.n};
    return STATUS_OK;
}

/* ---- working points -------------------------------------------------------------------------------------------- */

enum status curve_working_point(struct arena *a, const struct sample *s, const struct reached *r, size_t signal,
                                const char *const *names, struct working_point *out, struct error *e)
{
    struct named_efficiency *others = ARENA_NEW(a, struct named_efficiency, s->n_classes - 1);
    double passed = 0, total = 0, total_w2 = 0;
    size_t n = 0;
    if (!others)
        return error_set(e, STATUS_NOMEM, "no memory for a working point");
    for (size_t c = 0; c < s->n_classes; c++) {
        if (c == signal)
            continue;
        struct efficiency one = efficiency_of(r->passed[c], s->sum[c], s->sum_w2[c]);
        others[n++] = (struct named_efficiency){names[c], one.value, one.lo, one.hi};
        passed += r->passed[c];
        total += s->sum[c];
        total_w2 += s->sum_w2[c];
    }
    *out = (struct working_point){
        .class_name = names[signal],
        .target_signal_efficiency = r->target,
        .threshold = r->threshold,
        .signal_efficiency = efficiency_of(r->passed[signal], s->sum[signal], s->sum_w2[signal]),
        .background_efficiency = {others, n},
        .background_total = efficiency_of(passed, total, total_w2)};
    return STATUS_OK;
}
