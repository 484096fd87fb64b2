/* core/base/par.c
 *
 * Parallel loops whose outcome does not depend on the number of threads: indices are claimed in order and the
 * lowest failing one decides; a pipeline reads and writes in serial order and writes all items before the first
 * failing one. */
#include "core/base.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS_MAX = 1024 };

/* ---- cores ------------------------------------------------------------------------------------------- */

/* Cores' worth of time that the control group of a container grants; 0 when it sets no limit. */
static size_t cgroup_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f)
        return 0;
    long long quota_us = 0, period_us = 0;
    int n = fscanf(f, "%lld %lld", &quota_us, &period_us);       /* "max 100000" without a limit */
    fclose(f);
    return n == 2 && quota_us > 0 && period_us > 0 ? (size_t)((quota_us + period_us - 1) / period_us) : 0;
}

size_t par_cores(void)
{
    cpu_set_t set;
    size_t cores, granted = cgroup_cores();
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        cores = (size_t)CPU_COUNT(&set);
    } else {                                                     /* more processors than a cpu_set_t has bits */
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cores = online > 0 ? (size_t)online : 1;
    }
    cores = granted > 0 && granted < cores ? granted : cores;
    return cores > 0 ? cores : 1;
}

/* ---- a crew: the same function on several threads -------------------------------------------------------- */

struct member {
    void (*work)(void *shared, size_t thread);
    void *shared;
    size_t thread;
    pthread_t id;
};

static void *member_main(void *arg)
{
    struct member *m = arg;
    m->work(m->shared, m->thread);
    return NULL;
}

/* Runs work(shared, 0..threads-1), number 0 on the calling thread.  A thread that cannot be started is missed,
 * not needed: work is shared out, never assigned. */
static enum status run_crew(size_t threads, void (*work)(void *, size_t), void *shared, struct error *e)
{
    struct member *crew = NULL;
    size_t n_started = 0;
    if (threads > 1) {
        crew = mem_calloc(threads - 1, sizeof *crew);
        if (!crew)
            return error_set(e, STATUS_NOMEM, "no memory to start %zu threads", threads);
    }
    while (n_started + 1 < threads) {
        struct member *m = &crew[n_started];
        *m = (struct member){.work = work, .shared = shared, .thread = n_started + 1};
        if (pthread_create(&m->id, NULL, member_main, m) != 0)
            break;
        n_started++;
    }
    work(shared, 0);
    for (size_t i = 0; i < n_started; i++)
        pthread_join(crew[i].id, NULL);
    mem_free(crew);
    return STATUS_OK;
}

static size_t clamp_threads(size_t threads, size_t most)
{
    threads = threads > THREADS_MAX ? THREADS_MAX : threads;
    threads = threads > most ? most : threads;
    return threads > 0 ? threads : 1;
}

/* ---- par_for ----------------------------------------------------------------------------------------- */

struct loop {
    enum status (*fn)(void *ctx, size_t i, size_t thread, struct error *e);
    void *ctx;
    size_t n;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock;                    /* guards what follows */
    size_t first_failed;
    struct error error;
};

static void loop_work(void *shared, size_t thread)
{
    struct loop *l = shared;
    struct error e;
    while (!atomic_load(&l->failed)) {
        size_t i = atomic_fetch_add(&l->next, 1);
        if (i >= l->n)
            return;
        e = (struct error){.status = STATUS_OK};
        enum status s = l->fn(l->ctx, i, thread, &e);
        if (s == STATUS_OK)
            continue;
        e.status = s;
        pthread_mutex_lock(&l->lock);
        /* Every index below a failing one was claimed before it, so the lowest is known once all are done. */
        if (i < l->first_failed) {
            l->first_failed = i;
            l->error = e;
        }
        pthread_mutex_unlock(&l->lock);
        atomic_store(&l->failed, true);
    }
}

enum status par_for(size_t threads, size_t n, enum status (*fn)(void *ctx, size_t i, size_t thread, struct error *e),
                    void *ctx, struct error *e)
{
    threads = clamp_threads(threads, n);
    if (threads == 1) {
        for (size_t i = 0; i < n; i++)
            TRY(fn(ctx, i, 0, e));
        return STATUS_OK;
    }
    struct loop l = {.fn = fn, .ctx = ctx, .n = n, .lock = PTHREAD_MUTEX_INITIALIZER, .first_failed = SIZE_MAX};
    enum status s = run_crew(threads, loop_work, &l, e);
    pthread_mutex_destroy(&l.lock);
    if (s == STATUS_OK && l.first_failed != SIZE_MAX) {
        *e = l.error;
        s = e->status;
    }
    return s;
}

/* ---- par_pipeline ------------------------------------------------------------------------------------ */

/* Items carry serial numbers; item s lives in slot s % n_slots.  Items below `n_written` are finished, up to
 * `n_claimed` they are computed or being computed, up to `n_read` they are read. */
struct pipeline {
    const struct par_stage_fns *fns;
    void *ctx;
    size_t n_slots;
    pthread_mutex_t lock;                    /* guards what follows */
    pthread_cond_t changed;
    uint64_t n_read, n_claimed, n_written;
    bool reading, writing, end;
    bool *computed;                          /* of the item in each slot */
    uint64_t first_failed;                   /* lowest serial that failed; items below it are still finished */
    struct error error;
};

enum step { STEP_WAIT, STEP_FINISHED, STEP_READ, STEP_COMPUTE, STEP_WRITE };

/* Chooses the next step and its item.  Later stages first: they free slots.  Called with the lock held. */
static enum step choose(struct pipeline *p, uint64_t *serial)
{
    if (p->n_written >= p->first_failed || (p->end && p->n_written == p->n_read))
        return STEP_FINISHED;
    if (!p->writing && p->n_written < p->n_claimed && p->computed[p->n_written % p->n_slots]) {
        p->writing = true;
        *serial = p->n_written;
        return STEP_WRITE;
    }
    if (p->n_claimed < p->n_read && p->n_claimed < p->first_failed) {
        *serial = p->n_claimed++;
        p->computed[*serial % p->n_slots] = false;
        return STEP_COMPUTE;
    }
    if (!p->reading && !p->end && p->first_failed == UINT64_MAX && p->n_read - p->n_written < p->n_slots) {
        p->reading = true;
        *serial = p->n_read;
        return STEP_READ;
    }
    return STEP_WAIT;
}

/* Called without the lock. */
static enum status take_step(struct pipeline *p, enum step step, uint64_t serial, size_t thread, bool *end,
                             struct error *e)
{
    size_t slot = (size_t)(serial % p->n_slots);
    switch (step) {
    case STEP_READ: return p->fns->read(p->ctx, slot, end, e);
    case STEP_COMPUTE: return p->fns->compute(p->ctx, slot, thread, e);
    default: return p->fns->write(p->ctx, slot, e);
    }
}

/* Books the outcome of a step.  Called with the lock held. */
static void book(struct pipeline *p, enum step step, uint64_t serial, bool end, const struct error *e)
{
    bool ok = e->status == STATUS_OK;
    if (!ok && serial < p->first_failed) {
        p->first_failed = serial;
        p->error = *e;
    }
    switch (step) {
    case STEP_READ:
        p->reading = false;
        p->end = p->end || end;
        p->n_read += ok && !end;
        break;
    case STEP_COMPUTE:
        p->computed[serial % p->n_slots] = ok;
        break;
    default:
        p->writing = false;
        p->n_written += ok;
        break;
    }
    pthread_cond_broadcast(&p->changed);
}

static void pipeline_work(void *shared, size_t thread)
{
    struct pipeline *p = shared;
    struct error e;
    uint64_t serial = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        enum step step = choose(p, &serial);
        if (step == STEP_FINISHED)
            break;
        if (step == STEP_WAIT) {
            pthread_cond_wait(&p->changed, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        bool end = false;
        e = (struct error){.status = STATUS_OK};
        e.status = take_step(p, step, serial, thread, &end, &e);
        pthread_mutex_lock(&p->lock);
        book(p, step, serial, end, &e);
    }
    pthread_mutex_unlock(&p->lock);
}

enum status par_pipeline(size_t threads, size_t n_slots, const struct par_stage_fns *fns, void *ctx, struct error *e)
{
    check(n_slots > 0);
    struct pipeline p = {.fns = fns, .ctx = ctx, .n_slots = n_slots, .lock = PTHREAD_MUTEX_INITIALIZER,
                         .changed = PTHREAD_COND_INITIALIZER, .first_failed = UINT64_MAX};
    p.computed = mem_calloc(n_slots, sizeof *p.computed);
    if (!p.computed)
        return error_set(e, STATUS_NOMEM, "no memory for a pipeline of %zu slots", n_slots);
    /* Each step occupies a slot, so more threads than slots could only wait. */
    enum status s = run_crew(clamp_threads(threads, n_slots), pipeline_work, &p, e);
    mem_free(p.computed);
    pthread_cond_destroy(&p.changed);
    pthread_mutex_destroy(&p.lock);
    if (s == STATUS_OK && p.first_failed != UINT64_MAX) {
        *e = p.error;
        s = e->status;
    }
    return s;
}
