/* server/jobs/live.c
 *
 * One running job as the rest of the process sees it: progress in memory, written to the store twice a second at most;
 * the flags that tell it to stop. */
#include "server/jobs/engine.h"

#include <math.h>
#include <string.h>

/* Rates are taken over at least this long, and smoothed over about five such samples; followers are told of progress
 * ten times a second at most. */
#define RATE_SAMPLE_NS (500 * 1000000LL)
#define RATE_WEIGHT 0.2
#define TELL_NS (100 * 1000000LL)
/* Points and lines as text: LINES_MAX lines whose every byte is escaped, and room for the rest. */
#define FLUSH_TEXT_BYTES ((size_t)512 << 10)

void live_begin(struct live *l, const struct job_claim *claim, const char *token)
{
    pthread_mutex_lock(&l->lock);
    atomic_store(&l->stop, 0);
    l->busy = true;
    l->ending = false;
    text_copy(l->id, sizeof l->id, claim->id);
    text_copy(l->token, sizeof l->token, token);
    l->cancel_at_ns = 0;
    l->timeout_us = claim->timeout_us;
    l->deadline_ns = claim->timeout_us > 0 ? time_mono_ns() + claim->timeout_us * 1000 : 0;
    l->phase[0] = l->unit[0] = l->message[0] = '\0';
    l->done = 0;
    l->total = -1;
    l->fraction = l->rate_per_second = 0;
    l->sample_ns = l->sample_done = l->told_ns = 0;
    l->dirty = false;
    l->n_points = l->n_lines = 0;
    pthread_mutex_unlock(&l->lock);
}

void live_ending(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    l->ending = true;
    pthread_mutex_unlock(&l->lock);
}

void live_end(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    l->busy = false;
    l->id[0] = l->token[0] = '\0';
    l->n_points = l->n_lines = 0;
    pthread_mutex_unlock(&l->lock);
}

void live_stop(struct live *l, int why)
{
    pthread_mutex_lock(&l->lock);
    if ((why & (STOP_CANCEL | STOP_TIMEOUT)) && l->cancel_at_ns == 0)
        l->cancel_at_ns = time_mono_ns();
    pthread_mutex_unlock(&l->lock);
    atomic_fetch_or(&l->stop, why);
}

/* The rate is of what was done since the sample before, smoothed; a `done` that falls starts anew. */
static void take_rate(struct live *l, int64_t now_ns)
{
    if (l->sample_ns == 0 || l->done < l->sample_done) {
        l->sample_ns = now_ns;
        l->sample_done = l->done;
        return;
    }
    if (now_ns - l->sample_ns < RATE_SAMPLE_NS)
        return;
    double rate = (double)(l->done - l->sample_done) / ((double)(now_ns - l->sample_ns) * 1e-9);
    l->rate_per_second = l->rate_per_second > 0 ? l->rate_per_second + RATE_WEIGHT * (rate - l->rate_per_second) : rate;
    l->sample_ns = now_ns;
    l->sample_done = l->done;
}

bool live_progress(struct live *l, const struct job_progress *p)
{
    int64_t now_ns = time_mono_ns();
    pthread_mutex_lock(&l->lock);
    text_copy(l->phase, sizeof l->phase, p->phase ? p->phase : "");
    text_copy(l->unit, sizeof l->unit, p->unit ? p->unit : "");
    text_copy(l->message, sizeof l->message, p->message ? p->message : "");
    l->total = p->total < 0 ? -1 : p->total;
    l->done = p->done < 0 ? 0 : p->done;
    if (l->total >= 0 && l->done > l->total)
        l->done = l->total;
    double fraction = l->total > 0 ? (double)l->done / (double)l->total : 0;
    l->fraction = fraction > l->fraction ? fraction : l->fraction;
    take_rate(l, now_ns);
    l->dirty = true;
    bool tell = now_ns - l->told_ns >= TELL_NS;
    l->told_ns = tell ? now_ns : l->told_ns;
    pthread_mutex_unlock(&l->lock);
    return tell;
}

bool live_metric(struct live *l, const char *key, int64_t step, double value)
{
    pthread_mutex_lock(&l->lock);
    bool room = l->n_points < METRICS_MAX;
    if (room) {
        struct metric_point *p = &l->points[l->n_points++];
        text_copy(p->key, sizeof p->key, key);
        p->step = step;
        p->value = value;
    }
    pthread_mutex_unlock(&l->lock);
    return room;
}

bool live_log(struct live *l, enum log_level level, const char *text)
{
    pthread_mutex_lock(&l->lock);
    bool room = l->n_lines < LINES_MAX;
    if (room) {
        struct live_line *line = &l->lines[l->n_lines++];
        line->at_us = time_unix_us();
        line->level = level;
        text_copy(line->text, sizeof line->text, text);
    }
    pthread_mutex_unlock(&l->lock);
    return room;
}

void live_fold(struct live *l, struct arena *a, struct job_row *row, struct error *e)
{
    e->status = STATUS_OK;
    pthread_mutex_lock(&l->lock);
    if (l->busy && strcmp(l->id, row->id) == 0) {
        row->phase = arena_strdup(a, l->phase);
        row->unit = arena_strdup(a, l->unit);
        row->message = arena_strdup(a, l->message);
        row->done = l->done;
        row->total = l->total;
        row->fraction = l->fraction;
        row->rate_per_second = l->rate_per_second;
        if (!row->phase || !row->unit || !row->message)
            (void)error_set(e, STATUS_NOMEM, "no memory for a job's progress");
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

struct snapshot {
    char id[40], token[64], phase[120], unit[32], message[200];
    struct metric_point points[METRICS_MAX];
    size_t n_points;
    struct live_line lines[LINES_MAX];
    size_t n_lines;
};

/* Takes what is to be written out of `l`; false when nothing is. */
static bool take(struct live *l, bool renew, struct snapshot *to, struct job_flush *f)
{
    pthread_mutex_lock(&l->lock);
    bool wanted = l->busy && !l->ending && (l->dirty || renew || l->n_points > 0 || l->n_lines > 0);
    if (wanted) {
        memcpy(to->id, l->id, sizeof to->id);
        memcpy(to->token, l->token, sizeof to->token);
        memcpy(to->phase, l->phase, sizeof to->phase);
        memcpy(to->unit, l->unit, sizeof to->unit);
        memcpy(to->message, l->message, sizeof to->message);
        memcpy(to->points, l->points, l->n_points * sizeof l->points[0]);
        to->n_points = l->n_points;
        memcpy(to->lines, l->lines, l->n_lines * sizeof l->lines[0]);
        to->n_lines = l->n_lines;
        *f = (struct job_flush){.id = to->id, .token = to->token, .phase = to->phase, .unit = to->unit,
                                .message = to->message, .done = l->done, .total = l->total, .fraction = l->fraction,
                                .rate_per_second = l->rate_per_second};
        l->dirty = false;
        l->n_points = l->n_lines = 0;
    }
    pthread_mutex_unlock(&l->lock);
    return wanted;
}

static enum status save_points(struct jobs *j, struct arena *a, const struct snapshot *from, struct error *e)
{
    if (from->n_points == 0)
        return STATUS_OK;
    struct job_metric *m = ARENA_NEW(a, struct job_metric, from->n_points);
    if (!m)
        return error_set(e, STATUS_NOMEM, "no memory for metrics");
    for (size_t i = 0; i < from->n_points; i++)
        m[i] = (struct job_metric){from->points[i].key, from->points[i].step, from->points[i].value};
    return store_job_metrics_save(j->store, from->id, m, from->n_points, e);
}

static enum status line_text(struct arena *a, const struct live_line *line, const char **text, struct error *e)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    struct json *v = json_new_object();
    json_set(v, "level", json_new_string(levels[line->level]));
    json_set(v, "text", json_new_string(line->text));
    enum status s = json_text(a, v, text, e);
    json_free(v);
    return s;
}

static enum status save_lines(struct jobs *j, struct arena *a, const struct snapshot *from, struct error *e)
{
    if (from->n_lines == 0)
        return STATUS_OK;
    struct job_line *lines = ARENA_NEW(a, struct job_line, from->n_lines);
    if (!lines)
        return error_set(e, STATUS_NOMEM, "no memory for log lines");
    for (size_t i = 0; i < from->n_lines; i++) {
        lines[i].at_us = from->lines[i].at_us;
        TRY(line_text(a, &from->lines[i], &lines[i].data, e));
    }
    return store_job_lines_save(j->store, from->id, lines, from->n_lines, e);
}

/* Only if it still is the same run: the worker may have gone on to another job. */
static void tell_lost(struct worker *w, const struct job_flush *f)
{
    pthread_mutex_lock(&w->live.lock);
    bool same = w->live.busy && !w->live.ending && strcmp(w->live.token, f->token) == 0;
    if (same)
        atomic_fetch_or(&w->live.stop, STOP_LOST);
    pthread_mutex_unlock(&w->live.lock);
    if (same)
        log_line(LOG_WARN, "job %s: its lease is lost, it stops", f->id);
}

enum status live_flush(struct jobs *j, struct worker *workers, size_t n, bool renew, struct error *e)
{
    struct arena a;
    arena_init(&a, (n + 1) * (sizeof(struct snapshot) + FLUSH_TEXT_BYTES));
    struct snapshot *taken = ARENA_NEW(&a, struct snapshot, n);
    struct job_flush *flush = ARENA_NEW(&a, struct job_flush, n);
    struct worker **of = ARENA_NEW(&a, struct worker *, n);
    size_t n_taken = 0;
    enum status s = STATUS_OK;
    if (!taken || !flush || !of)
        s = error_set(e, STATUS_NOMEM, "no memory for progress");
    for (size_t i = 0; s == STATUS_OK && i < n; i++)
        if (take(&workers[i].live, renew, &taken[n_taken], &flush[n_taken]))
            of[n_taken++] = &workers[i];
    if (n_taken > 0)
        s = store_jobs_flush(j->store, flush, n_taken, time_unix_us() + LEASE_US, e);
    for (size_t i = 0; s == STATUS_OK && i < n_taken; i++) {
        if (flush[i].lost)
            tell_lost(of[i], &flush[i]);
        else
            s = save_points(j, &a, &taken[i], e);
        if (s == STATUS_OK && !flush[i].lost)
            s = save_lines(j, &a, &taken[i], e);
    }
    arena_fini(&a);
    return s;
}
