/* server/jobs/ticker.c
 *
 * What happens by the clock while jobs run: progress and leases are written, attempts end whose time is up, and jobs that
 * do not stop when they are told to are fenced off. */
#include "server/jobs/engine.h"

#include <string.h>

/* An attempt that has had its time is told to stop, as by a cancel. */
static void enforce_timeout(struct worker *w)
{
    pthread_mutex_lock(&w->live.lock);
    bool over = w->live.busy && !w->live.ending && w->live.deadline_ns && time_mono_ns() > w->live.deadline_ns &&
                !(atomic_load(&w->live.stop) & (STOP_TIMEOUT | STOP_CANCEL | STOP_LOST));
    pthread_mutex_unlock(&w->live.lock);
    if (over)
        live_stop(&w->live, STOP_TIMEOUT);
}

/* A job that was told to stop and does not, as it was when somebody looked. */
struct late {
    char id[40], token[64];
    int64_t timeout_us;
    bool cancelled;                               /* else its time was up */
};

static bool is_late(struct jobs *j, struct worker *w, struct late *out)
{
    struct live *l = &w->live;
    pthread_mutex_lock(&l->lock);
    int stop = atomic_load(&l->stop);
    bool late = l->busy && !l->ending && l->cancel_at_ns && !(stop & STOP_LOST) &&
                time_mono_ns() - l->cancel_at_ns > j->cancel_deadline_us * 1000;
    memcpy(out->id, l->id, sizeof out->id);
    memcpy(out->token, l->token, sizeof out->token);
    out->timeout_us = l->timeout_us;
    out->cancelled = stop & STOP_CANCEL;
    pthread_mutex_unlock(&l->lock);
    return late;
}

static enum status fence_off(struct jobs *j, const struct late *late, struct error *e)
{
    char entry[ERROR_ENTRY_MAX], upstream[ERROR_ENTRY_MAX];
    long long seconds = (long long)(j->cancel_deadline_us / 1000000);
    error_entry(upstream, 0, STATUS_CANCELLED, false, "upstream: job %s was cancelled", late->id);
    if (late->cancelled) {
        error_entry(entry, 0, STATUS_CANCELLED, false,
                    "did not stop within %lld s of the cancel; its result is fenced off", seconds);
        return store_job_cancelled_forced(j->store, late->id, late->token, entry, upstream, e);
    }
    /* No further attempt: it would run beside this one. */
    error_entry_named(entry, 0, "TIMEOUT", false,
                      "ran longer than its timeout_seconds of %lld and did not stop within %lld s of that",
                      (long long)(late->timeout_us / 1000000), seconds);
    return store_job_fail(j->store, late->id, late->token, -1, entry, upstream, e);
}

/* Whatever a job that was fenced off still does is thrown away. */
static void enforce_deadline(struct jobs *j, struct worker *w)
{
    struct late late;
    struct error e;
    if (!is_late(j, w, &late) || fence_off(j, &late, &e) != STATUS_OK)
        return;                                   /* not late, or it has just ended, or the next tick tries again */
    log_line(LOG_WARN, "job %s does not stop: its result is fenced off", late.id);
    engine_count(j, late.cancelled ? JOB_CANCELLED : JOB_DISCARDED);
    pthread_mutex_lock(&w->live.lock);
    if (w->live.busy && strcmp(w->live.token, late.token) == 0)
        atomic_fetch_or(&w->live.stop, STOP_LOST);
    pthread_mutex_unlock(&w->live.lock);
    engine_changed(j);
}

void *engine_tick(void *jobs)
{
    struct jobs *j = jobs;
    int64_t renewed_ns = time_mono_ns(), retention_ns = 0;
    struct error e;
    while (!engine_pause(j, TICK_MS)) {
        bool renew = time_mono_ns() - renewed_ns >= RENEW_LEASE_MS * 1000000LL;
        renewed_ns = renew ? time_mono_ns() : renewed_ns;
        if (live_flush(j, j->workers, j->n_workers, renew, &e) != STATUS_OK)
            log_line(LOG_WARN, "jobs: writing progress: %s", e.text);
        for (size_t i = 0; i < j->n_workers; i++) {
            enforce_timeout(&j->workers[i]);
            enforce_deadline(j, &j->workers[i]);
        }
        retention_tick(j, &retention_ns);
    }
    return NULL;
}
