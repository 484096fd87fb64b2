/* server/jobs/engine.c
 *
 * Starting and stopping, and the workers' loop. */
#include "server/jobs/engine.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long an idle worker sleeps when nothing is due: a net under the clock being set. */
enum { IDLE_MS = 60000, TROUBLE_MS = 1000 };

/* ---- small things the other files use ----------------------------------------------------------------------------- */

void engine_count(struct jobs *j, enum job_state to)
{
    atomic_fetch_add(&j->transitions[to], 1);
}

void engine_changed(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    j->serial++;
    if (j->on_change)
        j->on_change(j->on_change_ctx);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

void engine_wake(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    j->serial++;
    j->work_serial++;
    if (j->on_change)
        j->on_change(j->on_change_ctx);
    pthread_cond_broadcast(&j->wake);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

static struct timespec deadline_in(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_nsec -= 1000000000L;
        t.tv_sec++;
    }
    return t;
}

bool engine_pause(struct jobs *j, int ms)
{
    struct timespec until = deadline_in(ms);
    pthread_mutex_lock(&j->lock);
    while (!j->stopping && pthread_cond_timedwait(&j->wake, &j->lock, &until) != ETIMEDOUT)
        ;
    bool stopping = j->stopping;
    pthread_mutex_unlock(&j->lock);
    return stopping;
}

const struct job_kind *engine_kind_find(const struct jobs *j, const char *name)
{
    for (const struct job_kind *const *k = j->kinds; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    for (const struct job_kind *const *k = admin_kinds; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    return NULL;
}

bool engine_kind_is_admin(const char *name)
{
    for (const struct job_kind *const *k = admin_kinds; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return true;
    return false;
}

const struct job_kind *jobs_kind_find(const struct jobs *j, const char *name)
{
    return engine_kind_find(j, name);
}

void engine_work_dir(const struct jobs *j, const char *job_id, char out[4096])
{
    check(snprintf(out, 4096, "%s/work/%s", store_folder(j->store), job_id) < 4096);
}

/* ---- workers ------------------------------------------------------------------------------------------------------- */

/* Waits for this worker's turn to claim: one at a time, none while a suspect runs.  False: the engine stops.  *seen is
 * taken before the look at the queue, so that what is put in after it is noticed. */
static bool begin_claim(struct jobs *j, bool *alone, uint64_t *seen)
{
    pthread_mutex_lock(&j->lock);
    while (!j->stopping && (j->claiming || j->suspect_running))
        pthread_cond_wait(&j->wake, &j->lock);
    bool go = !j->stopping;
    j->claiming = go;
    *alone = j->n_running == 0;
    *seen = j->work_serial;
    pthread_mutex_unlock(&j->lock);
    return go;
}

static void end_claim(struct jobs *j, struct worker *w, const struct job_claim *claim, const char *token)
{
    if (claim)
        live_begin(&w->live, claim, token);
    pthread_mutex_lock(&j->lock);
    j->claiming = false;
    if (claim) {
        j->n_running++;
        j->suspect_running = claim->suspect;
        if (j->stopping)
            atomic_fetch_or(&w->live.stop, STOP_INTERRUPT);
    }
    j->serial++;
    pthread_cond_broadcast(&j->wake);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

static void end_run(struct jobs *j, struct worker *w)
{
    live_end(&w->live);
    pthread_mutex_lock(&j->lock);
    j->n_running--;
    j->suspect_running = false;                   /* it ran alone, if it was this one */
    j->serial++;
    j->work_serial++;                             /* its dependents, or its own backoff */
    pthread_cond_broadcast(&j->wake);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

/* A cancel that came between the claim and live_begin found nobody to tell. */
static void notice_early_cancel(struct jobs *j, struct worker *w, struct arena *a, const char *id)
{
    struct job_row row;
    struct error e;
    if (store_job_get(j->store, a, id, &row, &e) == STATUS_OK && row.state == JOB_CANCELLING)
        live_stop(&w->live, STOP_CANCEL);
}

/* Sleeps until something may be available or the next backoff ends. */
static void wait_for_work(struct jobs *j, uint64_t seen, int64_t next_us)
{
    int64_t ms = next_us ? (next_us - time_unix_us()) / 1000 + 1 : IDLE_MS;
    struct timespec until = deadline_in((int)(ms < 1 ? 1 : ms > IDLE_MS ? IDLE_MS : ms));
    pthread_mutex_lock(&j->lock);
    while (!j->stopping && j->work_serial == seen && pthread_cond_timedwait(&j->wake, &j->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&j->lock);
}

static void work_once(struct jobs *j, struct worker *w, struct arena *a, bool alone, uint64_t seen)
{
    struct job_claim claim;
    struct error e;
    char token[64];
    bool found = false;
    int64_t next_us = 0;
    snprintf(token, sizeof token, "%s:%llu", j->boot, (unsigned long long)atomic_fetch_add(&j->n_tokens, 1));
    struct job_claim_request request = {j->boot, token, w->name, time_unix_us(), LEASE_US, alone};
    enum status s = store_job_claim(j->store, a, &request, &claim, &found, &next_us, &e);
    end_claim(j, w, found ? &claim : NULL, token);
    if (found) {
        engine_count(j, JOB_RUNNING);
        notice_early_cancel(j, w, a, claim.id);
        run_job(j, w, &claim);
        end_run(j, w);
    } else if (s == STATUS_OK) {
        wait_for_work(j, seen, next_us);
    } else {
        log_line(LOG_ERROR, "jobs: taking a job: %s", e.text);
        engine_pause(j, TROUBLE_MS);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct arena a;
    bool alone;
    uint64_t seen;
    arena_init(&a, 256 << 20);
    while (begin_claim(w->jobs, &alone, &seen)) {
        work_once(w->jobs, w, &a, alone, seen);
        arena_reset(&a);
    }
    arena_fini(&a);
    return NULL;
}

/* ---- start ------------------------------------------------------------------------------------------------------------- */

static enum status copy_roots(struct jobs *j, const struct jobs_options *o, struct error *e)
{
    j->data_roots = ARENA_NEW(&j->kept, const char *, o->n_data_roots + 1);
    for (size_t i = 0; j->data_roots && i < o->n_data_roots; i++) {
        char real[PATH_MAX];
        if (!realpath(o->data_roots[i], real))
            return error_errno(e, "data root %s", o->data_roots[i]);
        j->data_roots[j->n_data_roots++] = arena_strdup(&j->kept, real);
        if (!j->data_roots[i])
            j->data_roots = NULL;
    }
    return j->data_roots ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for the job engine");
}

static enum status copy_hosts(struct jobs *j, const struct jobs_options *o, struct error *e)
{
    j->source_hosts = ARENA_NEW(&j->kept, const char *, o->n_source_hosts + 1);
    j->source_setting = arena_strdup(&j->kept, o->source_setting ? o->source_setting : "the list of allowed hosts");
    bool whole = j->source_hosts && j->source_setting;
    for (size_t i = 0; whole && i < o->n_source_hosts; i++)
        whole = (j->source_hosts[j->n_source_hosts++] = arena_strdup(&j->kept, o->source_hosts[i])) != NULL;
    return whole ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for the job engine");
}

static enum status rescue(struct jobs *j, struct error *e)
{
    char entry[ERROR_ENTRY_MAX], upstream[ERROR_ENTRY_MAX];
    struct arena a;
    struct job_row *rows;
    size_t n;
    error_entry(entry, 0, STATUS_CANCELLED, true, "the process ended while the job ran");
    error_entry(upstream, 0, STATUS_CANCELLED, false, "upstream: a job that this one needs was ended by a crash");
    arena_init(&a, 1 << 30);
    enum status s = store_jobs_rescue(j->store, &a, j->boot, entry, upstream, &rows, &n, e);
    for (size_t i = 0; i < n; i++)
        log_line(LOG_WARN, "job %s (%s) was interrupted in attempt %d", rows[i].id, rows[i].kind, rows[i].attempt);
    arena_fini(&a);
    return s;
}

/* Whether a work folder's job may still want it. */
static bool is_wanted(struct jobs *j, struct arena *a, const char *id)
{
    struct job_row row;
    struct error e;
    enum status s = store_job_get(j->store, a, id, &row, &e);
    return s == STATUS_OK ? row.state != JOB_COMPLETED && row.state != JOB_CANCELLED : s != STATUS_NOTFOUND;
}

static enum status remove_leftovers(struct jobs *j, struct error *e)
{
    char folder[PATH_MAX], path[PATH_MAX];
    struct arena a;
    snprintf(folder, sizeof folder, "%s/work", store_folder(j->store));
    TRY(file_make_folder(folder, e));
    DIR *dir = opendir(folder);
    if (!dir)
        return error_errno(e, "listing work folders");
    arena_init(&a, 64 << 20);
    enum status s = STATUS_OK;
    for (struct dirent *entry = readdir(dir); entry && s == STATUS_OK; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strlen(entry->d_name) > 40 ||
            is_wanted(j, &a, entry->d_name))
            continue;
        engine_work_dir(j, entry->d_name, path);
        s = file_remove_tree(path, e);
        arena_reset(&a);
    }
    arena_fini(&a);
    closedir(dir);
    return s;
}

/* Signals are the main thread's business. */
static enum status start_thread(pthread_t *thread, void *(*fn)(void *), void *arg, struct error *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = rc;
    return rc == 0 ? STATUS_OK : error_errno(e, "starting a thread");
}

static enum status start_threads(struct jobs *j, size_t n, struct error *e)
{
    j->workers = mem_calloc(n, sizeof *j->workers);
    if (!j->workers)
        return error_set(e, STATUS_NOMEM, "no memory for %zu workers", n);
    j->n_workers = n;
    for (size_t i = 0; i < n; i++) {
        j->workers[i].jobs = j;
        check(pthread_mutex_init(&j->workers[i].live.lock, NULL) == 0);
        snprintf(j->workers[i].name, sizeof j->workers[i].name, "w%zu", i + 1);
    }
    TRY(start_thread(&j->ticker, engine_tick, j, e));
    j->has_ticker = true;
    for (; j->n_threads < n; j->n_threads++)
        TRY(start_thread(&j->workers[j->n_threads].thread, worker_main, &j->workers[j->n_threads], e));
    return STATUS_OK;
}

static enum status start(struct jobs *j, const struct jobs_options *o, struct error *e)
{
    TRY(copy_roots(j, o, e));
    TRY(copy_hosts(j, o, e));
    TRY(rescue(j, e));
    TRY(publications_undo(j, NULL, e));
    TRY(remove_leftovers(j, e));
    return start_threads(j, o->workers > 0 ? o->workers : 1, e);
}

enum status jobs_start(struct store *store, const struct jobs_options *options, struct jobs **out, struct error *e)
{
    *out = NULL;
    struct jobs *j = mem_calloc(1, sizeof *j);
    if (!j)
        return error_set(e, STATUS_NOMEM, "no memory for the job engine");
    j->store = store;
    j->kinds = options->kinds ? options->kinds : job_kinds;
    j->threads_per_job = options->threads_per_job > 0 ? options->threads_per_job : 1;
    j->child_kinds = options->child_kinds;
    j->retention = options->retention;
    j->webhook_hosts = options->webhook_hosts;
    j->n_webhook_hosts = options->n_webhook_hosts;
    j->retry_base_us = options->retry_base_us > 0 ? options->retry_base_us : 15 * 1000000LL;
    j->cancel_deadline_us = options->cancel_deadline_us > 0 ? options->cancel_deadline_us : 30 * 1000000LL;
    store_new_id("boot", j->boot);
    store_stamp(store, DLT_BUILD_ID, (int64_t)j->threads_per_job);
    arena_init(&j->kept, 1 << 20);
    pthread_condattr_t monotonic;
    check(pthread_condattr_init(&monotonic) == 0 && pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    check(pthread_mutex_init(&j->files, NULL) == 0 && pthread_mutex_init(&j->lock, NULL) == 0);
    check(pthread_cond_init(&j->wake, &monotonic) == 0 && pthread_cond_init(&j->changed, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    if (start(j, options, e) != STATUS_OK) {
        jobs_stop(j);
        return error_wrap(e, "job engine");
    }
    *out = j;
    return STATUS_OK;
}

/* ---- stop ------------------------------------------------------------------------------------------------------------- */

void jobs_stop(struct jobs *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->stopping = true;
    for (size_t i = 0; i < j->n_workers; i++)
        atomic_fetch_or(&j->workers[i].live.stop, STOP_INTERRUPT);
    pthread_cond_broadcast(&j->wake);
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    for (size_t i = 0; i < j->n_threads; i++)
        pthread_join(j->workers[i].thread, NULL);
    if (j->has_ticker)
        pthread_join(j->ticker, NULL);
    for (size_t i = 0; i < j->n_workers; i++)
        pthread_mutex_destroy(&j->workers[i].live.lock);
    pthread_cond_destroy(&j->changed);
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    pthread_mutex_destroy(&j->files);
    mem_free(j->workers);
    arena_fini(&j->kept);
    mem_free(j);
}
