/* server/jobs/retention.c
 *
 * What is forgotten by age: jobs, the single points of long series, work folders that nobody has come back for.  What jobs
 * have published stays: artifacts live by references, not by age. */
#include "server/jobs/engine.h"

#include <string.h>

enum { POINTS_KEPT = 500, ROUNDS_MAX = 20 };       /* rounds: the clock has other things to do too */
#define DAY_US (86400 * 1000000LL)
#define EVERY_NS (300 * 1000000000LL)

/* Before when something is too old; 0 days: never. */
static int64_t before(int64_t now_us, int64_t days)
{
    return days > 0 ? now_us - days * DAY_US : INT64_MIN;
}

static void remove_folder(struct jobs *j, const char *id)
{
    char folder[4096];
    struct error e;
    engine_work_dir(j, id, folder);
    if (file_remove_tree(folder, &e) != STATUS_OK)
        log_line(LOG_WARN, "job %s: its work folder stays: %s", id, e.text);
}

static enum status forget_jobs(struct jobs *j, struct arena *a, int64_t now_us, size_t *n, struct error *e)
{
    const struct job_retention r = {before(now_us, j->retention.completed_days), before(now_us, j->retention.discarded_days)};
    struct job_row *rows;
    TRY(store_jobs_forget(j->store, a, &r, &rows, n, e));
    for (size_t i = 0; i < *n; i++)
        remove_folder(j, rows[i].id);
    return STATUS_OK;
}

/* Of each key's series the extremes, as `/metrics` gives them. */
static enum status thin_one(struct jobs *j, struct arena *a, const char *id, struct error *e)
{
    struct job_metric *points;
    size_t n, kept = 0;
    TRY(store_job_metrics(j->store, a, id, NULL, &points, &n, e));
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && strcmp(points[to].key, points[from].key) == 0; to++)
            ;
        size_t left = series_thin(&points[from], to - from, POINTS_KEPT);
        memmove(&points[kept], &points[from], left * sizeof *points);
        kept += left;
    }
    return store_job_metrics_replace(j->store, id, points, kept, e);
}

static enum status thin_metrics(struct jobs *j, struct arena *a, int64_t now_us, size_t *n, struct error *e)
{
    struct job_row *rows;
    TRY(store_jobs_with_old_metrics(j->store, a, before(now_us, j->retention.metrics_days), &rows, n, e));
    for (size_t i = 0; i < *n; i++)
        TRY(thin_one(j, a, rows[i].id, e));
    return STATUS_OK;
}

/* A retry then begins from the start. */
static enum status clear_work(struct jobs *j, struct arena *a, int64_t now_us, size_t *n, struct error *e)
{
    struct job_row *rows;
    TRY(store_jobs_with_old_work(j->store, a, before(now_us, j->retention.work_days), &rows, n, e));
    for (size_t i = 0; i < *n; i++) {
        pthread_mutex_lock(&j->files);            /* not while somebody retries it */
        enum status s = store_job_work_forget(j->store, rows[i].id, e);
        if (s == STATUS_OK)
            remove_folder(j, rows[i].id);
        pthread_mutex_unlock(&j->files);
        if (s != STATUS_OK && s != STATUS_CONFLICT)
            return s;
    }
    return STATUS_OK;
}

enum status retention_run(struct jobs *j, int64_t now_us, struct error *e)
{
    enum status (*const steps[])(struct jobs *, struct arena *, int64_t, size_t *, struct error *) = {forget_jobs, thin_metrics,
                                                                                                     clear_work};
    struct arena a;
    enum status s = STATUS_OK;
    arena_init(&a, 256 << 20);
    for (size_t i = 0; s == STATUS_OK && i < ARRAY_LEN(steps); i++) {
        size_t n = 1, sum = 0;
        for (int round = 0; s == STATUS_OK && n > 0 && round < ROUNDS_MAX && !engine_pause(j, 0); round++) {
            s = steps[i](j, &a, now_us, &n, e);
            arena_reset(&a);
            sum += s == STATUS_OK ? n : 0;
        }
        if (sum > 0)
            log_line(LOG_INFO, "retention: %s %zu jobs", i == 0 ? "forgot" : i == 1 ? "thinned the metrics of" : "cleared", sum);
    }
    arena_fini(&a);
    return s;
}

void retention_tick(struct jobs *j, int64_t *next_ns)
{
    struct error e;
    if (time_mono_ns() < *next_ns)
        return;
    *next_ns = time_mono_ns() + EVERY_NS;
    if (retention_run(j, time_unix_us(), &e) != STATUS_OK)
        log_line(LOG_WARN, "retention: %s", e.text);
}
