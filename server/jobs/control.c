/* server/jobs/control.c
 *
 * What people ask of jobs from outside: look, cancel, retry, follow. */
#include "server/jobs/engine.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum status jobs_get(struct jobs *j, struct arena *a, const char *id, struct job_row *out, struct error *e)
{
    TRY(store_job_get(j->store, a, id, out, e));
    if (out->state != JOB_RUNNING && out->state != JOB_CANCELLING)
        return STATUS_OK;
    for (size_t i = 0; i < j->n_workers; i++) {
        live_fold(&j->workers[i].live, a, out, e);
        TRY(e->status);
    }
    return STATUS_OK;
}

/* The worker that has the job at hand, or NULL. */
static struct worker *worker_of(struct jobs *j, const char *id)
{
    for (size_t i = 0; i < j->n_workers; i++) {
        struct live *l = &j->workers[i].live;
        pthread_mutex_lock(&l->lock);
        bool here = l->busy && strcmp(l->id, id) == 0;
        pthread_mutex_unlock(&l->lock);
        if (here)
            return &j->workers[i];
    }
    return NULL;
}

static enum status cancel_locked(struct jobs *j, const char *id, struct error *e)
{
    char upstream[ERROR_ENTRY_MAX], folder[4096];
    enum job_state state;
    bool changed;
    error_entry(upstream, 0, STATUS_CANCELLED, false, "upstream: job %s was cancelled", id);
    TRY(store_job_cancel(j->store, id, upstream, &state, &changed, e));
    struct worker *w = worker_of(j, id);
    if (state == JOB_CANCELLING && w)
        live_stop(&w->live, STOP_CANCEL);
    else if (state == JOB_CANCELLED && !w) {
        struct error why;
        engine_work_dir(j, id, folder);
        if (file_remove_tree(folder, &why) != STATUS_OK)
            log_line(LOG_WARN, "job %s is cancelled, its work folder stays: %s", id, why.text);
    }
    if (changed)
        engine_count(j, state);
    return STATUS_OK;
}

enum status jobs_cancel(struct jobs *j, const char *id, struct error *e)
{
    pthread_mutex_lock(&j->files);
    enum status s = cancel_locked(j, id, e);
    pthread_mutex_unlock(&j->files);
    if (s == STATUS_OK)
        engine_changed(j);
    return s;
}

/* A job that was fenced off, and whose thread is still at it. */
static bool is_stuck(struct worker *w)
{
    pthread_mutex_lock(&w->live.lock);
    bool stuck = w->live.busy && !w->live.ending && (atomic_load(&w->live.stop) & STOP_LOST);
    pthread_mutex_unlock(&w->live.lock);
    return stuck;
}

/* A job that has ended in the store may still have its worker, which is tidying up.  One that was fenced off may have it
 * for ever. */
static enum status wait_for_worker(struct jobs *j, const char *id, struct error *e)
{
    for (;;) {
        pthread_mutex_lock(&j->lock);
        uint64_t seen = j->serial;
        pthread_mutex_unlock(&j->lock);
        struct worker *w = worker_of(j, id);
        if (!w)
            return STATUS_OK;
        if (is_stuck(w))
            return error_set(e, STATUS_CONFLICT, "job %s has not stopped yet", id);
        pthread_mutex_lock(&j->lock);
        while (j->serial == seen)
            pthread_cond_wait(&j->changed, &j->lock);
        pthread_mutex_unlock(&j->lock);
    }
}

static enum status remove_work(struct jobs *j, const char *id, struct error *e)
{
    char folder[4096];
    engine_work_dir(j, id, folder);
    return file_remove_tree(folder, e);
}

static enum status retry_locked(struct jobs *j, const char *id, bool from_start, struct error *e)
{
    struct arena a;
    struct job_row row;
    enum job_state state;
    arena_init(&a, 256 << 20);
    enum status s = store_job_get(j->store, &a, id, &row, e);
    if (s == STATUS_OK && (row.state == JOB_RUNNING || row.state == JOB_CANCELLING))
        s = error_set(e, STATUS_CONFLICT, "job %s is %s: cancel it first", id, job_state_name(row.state));
    /* A retryable job may be taken in any moment, folder and all. */
    if (s == STATUS_OK && from_start && row.state != JOB_CANCELLED && row.state != JOB_DISCARDED)
        s = error_set(e, STATUS_CONFLICT, "job %s is %s: only cancelled and discarded jobs begin from the start", id,
                      job_state_name(row.state));
    arena_fini(&a);
    TRY(s);
    TRY(wait_for_worker(j, id, e));
    if (from_start)
        TRY(remove_work(j, id, e));                    /* units without their folder are forgotten when it runs */
    TRY(store_job_retry(j->store, id, &state, e));
    engine_count(j, state);
    return STATUS_OK;
}

static enum status retry_from(struct jobs *j, const char *id, bool from_start, struct error *e)
{
    pthread_mutex_lock(&j->files);
    enum status s = retry_locked(j, id, from_start, e);
    pthread_mutex_unlock(&j->files);
    if (s == STATUS_OK)
        engine_wake(j);
    return s;
}

enum status jobs_retry(struct jobs *j, const char *id, struct error *e)
{
    return retry_from(j, id, false, e);
}

enum status jobs_retry_from_start(struct jobs *j, const char *id, struct error *e)
{
    return retry_from(j, id, true, e);
}

static enum status delete_locked(struct jobs *j, const char *id, struct error *e)
{
    struct error why;
    TRY(wait_for_worker(j, id, e));
    TRY(store_job_delete(j->store, id, e));
    if (remove_work(j, id, &why) != STATUS_OK)
        log_line(LOG_WARN, "job %s is deleted, its work folder stays: %s", id, why.text);
    return STATUS_OK;
}

enum status jobs_delete(struct jobs *j, const char *id, struct error *e)
{
    struct arena a;
    struct job_row row;
    arena_init(&a, 256 << 20);
    enum status s = store_job_get(j->store, &a, id, &row, e);
    if (s == STATUS_OK && !job_state_final(row.state))
        s = error_set(e, STATUS_CONFLICT, "job %s is %s: cancel it first", id, job_state_name(row.state));
    arena_fini(&a);
    TRY(s);
    pthread_mutex_lock(&j->files);
    s = delete_locked(j, id, e);
    pthread_mutex_unlock(&j->files);
    if (s == STATUS_OK)
        engine_changed(j);
    return s;
}

void jobs_wait_change(struct jobs *j, const char *id, int timeout_ms)
{
    static _Thread_local uint64_t seen;
    struct arena a;
    struct job_row row;
    struct error e;
    arena_init(&a, 256 << 20);
    bool final = store_job_get(j->store, &a, id, &row, &e) != STATUS_OK || job_state_final(row.state);
    arena_fini(&a);
    if (final)
        return;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&j->lock);
    while (!j->stopping && j->serial == seen && pthread_cond_timedwait(&j->changed, &j->lock, &until) != ETIMEDOUT)
        ;
    seen = j->serial;
    pthread_mutex_unlock(&j->lock);
}

struct jobs_counters jobs_counters(struct jobs *j)
{
    struct jobs_counters c = {.running = 0};
    for (int i = 0; i < JOB_STATES; i++)
        c.transitions[i] = atomic_load(&j->transitions[i]);
    pthread_mutex_lock(&j->lock);
    c.running = (int64_t)j->n_running;
    pthread_mutex_unlock(&j->lock);
    return c;
}

void jobs_on_change(struct jobs *j, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&j->lock);
    j->on_change = fn;
    j->on_change_ctx = ctx;
    pthread_mutex_unlock(&j->lock);
}

void jobs_on_published(struct jobs *j, void (*fn)(void *ctx, const char *kind, const char *id), void *ctx)
{
    pthread_mutex_lock(&j->lock);
    j->on_published = fn;
    j->on_published_ctx = ctx;
    pthread_mutex_unlock(&j->lock);
}
