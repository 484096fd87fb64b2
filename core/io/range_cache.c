/* core/io/range_cache.c
 *
 * Blocks of a file in memory, least recently used first out.  A read walks its ranges in windows of blocks: pins those
 * that are there, claims and fetches those that are not in one call, waits for those that another thread is fetching,
 * copies outside the lock, and unpins.  The next window, and where reads follow each other the blocks to come, are
 * fetched meanwhile by two threads of the cache's own (one's batch is under way while the other's is asked for), so
 * that the wire never waits for the reader. */
#include "core/io/range_cache.h"

#include "core/io/read_streams.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WINDOW_MAX = 64, AHEAD_QUEUE = 2 * WINDOW_MAX, AHEAD_THREADS = 2, BLOCKS_MIN = 8 };

enum block_state { BLOCK_EMPTY, BLOCK_LOADING, BLOCK_READY, BLOCK_FAILED };

struct block {
    uint64_t index;
    uint64_t used;                               /* tick of the last use */
    enum block_state state;
    uint32_t pins;                               /* a pinned block keeps its index and its bytes */
    int32_t next;                                /* in its hash chain, -1: end */
    uint8_t *data;
};

struct range_cache {
    struct source base;
    struct source *behind;
    size_t block_bytes, n_blocks, window, n_heads;
    uint64_t n_file_blocks;
    pthread_mutex_t lock;
    pthread_cond_t changed, work;                /* a block's state or pins; the queue, or closing */
    size_t n_waiting;                            /* for `changed`: mostly nobody */
    struct block *blocks;
    int32_t *heads;
    uint64_t tick;
    struct read_streams streams;
    uint64_t queue[AHEAD_QUEUE];                 /* blocks to fetch ahead, a ring */
    size_t queue_first, queue_len;
    bool read_ahead;
    atomic_bool closing;
    size_t n_threads;
    pthread_t threads[AHEAD_THREADS];
};

/* ---- blocks, under the lock ---------------------------------------------------------------------------- */

static int32_t *chain_of(struct range_cache *c, uint64_t index)
{
    return &c->heads[(index * 0x9E3779B97F4A7C15u >> 32) & (c->n_heads - 1)];
}

static struct block *find_block(struct range_cache *c, uint64_t index)
{
    int32_t i = *chain_of(c, index);
    while (i >= 0 && c->blocks[i].index != index)
        i = c->blocks[i].next;
    return i >= 0 ? &c->blocks[i] : NULL;
}

static void forget_block(struct range_cache *c, struct block *b)
{
    int32_t *link = chain_of(c, b->index), self = (int32_t)(b - c->blocks);
    while (*link != self)
        link = &c->blocks[*link].next;
    *link = b->next;
    b->state = BLOCK_EMPTY;
}

/* A block for `index`, loading and pinned by the caller; NULL when all are pinned.  Its bytes may yet be missing. */
static struct block *claim_block(struct range_cache *c, uint64_t index)
{
    struct block *oldest = NULL;
    for (struct block *b = c->blocks; b < c->blocks + c->n_blocks; b++) {
        if (b->state == BLOCK_EMPTY) {
            oldest = b;
            break;
        }
        if (b->pins == 0 && (!oldest || b->used < oldest->used))
            oldest = b;
    }
    if (!oldest)
        return NULL;
    if (oldest->state != BLOCK_EMPTY)
        forget_block(c, oldest);
    oldest->index = index;
    oldest->state = BLOCK_LOADING;
    oldest->pins = 1;
    oldest->used = ++c->tick;
    oldest->next = *chain_of(c, index);
    *chain_of(c, index) = (int32_t)(oldest - c->blocks);
    return oldest;
}

static void unpin(struct range_cache *c, struct block *b)
{
    if (--b->pins == 0 && b->state == BLOCK_FAILED)
        forget_block(c, b);
}

static void tell_change(struct range_cache *c)
{
    if (c->n_waiting > 0)
        pthread_cond_broadcast(&c->changed);
}

/* Waits for a change, at most as long as one may leave `cancel` unasked. */
static void wait_for_change(struct range_cache *c)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += SOURCE_POLL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    c->n_waiting++;
    pthread_cond_timedwait(&c->changed, &c->lock, &until);
    c->n_waiting--;
}

/* ---- fetching -------------------------------------------------------------------------------------------- */

static size_t block_len(const struct range_cache *c, uint64_t index)
{
    uint64_t left = c->base.size - index * c->block_bytes;
    return left < c->block_bytes ? (size_t)left : c->block_bytes;
}

/* Fills claimed blocks in one call to the source behind, and publishes them.  Called and returns with the lock. */
static enum status fetch_blocks(struct range_cache *c, struct block *const *mine, size_t n, struct error *e)
{
    struct source_range ranges[WINDOW_MAX];
    enum status s = STATUS_OK;
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < n && s == STATUS_OK; i++) {
        if (!mine[i]->data)
            mine[i]->data = mem_alloc(c->block_bytes);
        if (!mine[i]->data)
            s = error_set(e, STATUS_NOMEM, "no memory for a block of %zu bytes", c->block_bytes);
        ranges[i] = (struct source_range){mine[i]->index * c->block_bytes, block_len(c, mine[i]->index), mine[i]->data};
    }
    if (s == STATUS_OK)
        s = c->behind->ops->read_ranges(c->behind, ranges, n, e);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < n; i++)
        mine[i]->state = s == STATUS_OK ? BLOCK_READY : BLOCK_FAILED;
    tell_change(c);
    return s;
}

/* ---- read-ahead ------------------------------------------------------------------------------------------ */

static void *run_ahead(void *arg)
{
    struct range_cache *c = arg;
    struct block *mine[WINDOW_MAX];
    struct error ignored;                        /* whoever needs the block tries again and tells */
    pthread_mutex_lock(&c->lock);
    while (!c->closing) {
        size_t n = 0;
        while (c->queue_len > 0 && n < c->window) {
            uint64_t index = c->queue[c->queue_first];
            c->queue_first = (c->queue_first + 1) % AHEAD_QUEUE;
            c->queue_len--;
            if (!find_block(c, index) && (mine[n] = claim_block(c, index)))
                n++;
        }
        if (n == 0) {
            pthread_cond_wait(&c->work, &c->lock);
            continue;
        }
        (void)!fetch_blocks(c, mine, n, &ignored);
        for (size_t i = 0; i < n; i++)
            unpin(c, mine[i]);
        tell_change(c);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* Without the threads everything works, only slower.  Signals belong to those of whoever uses the library. */
static void start_threads(struct range_cache *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (c->n_threads < AHEAD_THREADS && pthread_create(&c->threads[c->n_threads], NULL, run_ahead, c) == 0)
        c->n_threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    c->read_ahead = c->n_threads > 0;
}

static void enqueue_ahead(struct range_cache *c, uint64_t index)
{
    if (!c->read_ahead || index >= c->n_file_blocks || c->queue_len == AHEAD_QUEUE || find_block(c, index))
        return;
    if (c->n_threads == 0)
        start_threads(c);
    c->queue[(c->queue_first + c->queue_len++) % AHEAD_QUEUE] = index;
    pthread_cond_signal(&c->work);
}

static void note_read(struct range_cache *c, uint64_t first, uint64_t end, uint64_t touched)
{
    uint64_t from, to;
    if (read_streams_note(&c->streams, first, end, touched, 2 * c->window, &from, &to))
        for (; from < to; from++)
            enqueue_ahead(c, from);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* Position in a list of ranges. */
struct walk {
    const struct source_range *ranges;
    size_t n, i;
    size_t done;                                 /* of range i */
};

struct step {
    uint64_t index;
    size_t at, len;                              /* inside the block */
    uint8_t *dst;
};

static bool walk_next(struct walk *w, size_t block_bytes, struct step *out)
{
    while (w->i < w->n && w->done == w->ranges[w->i].len) {
        w->i++;
        w->done = 0;
    }
    if (w->i == w->n)
        return false;
    const struct source_range *r = &w->ranges[w->i];
    uint64_t offset = r->offset + w->done;
    out->index = offset / block_bytes;
    out->at = (size_t)(offset % block_bytes);
    out->len = block_bytes - out->at < r->len - w->done ? block_bytes - out->at : r->len - w->done;
    out->dst = (uint8_t *)r->dst + w->done;
    w->done += out->len;
    return true;
}

struct window {
    size_t n;
    uint64_t index[WINDOW_MAX];
    struct block *block[WINDOW_MAX];
    bool mine[WINDOW_MAX];
    size_t hint;
};

/* Where `index` is in the window, or its n.  Steps mostly stay or go on by one. */
static size_t window_find(struct window *w, uint64_t index)
{
    for (size_t k = 0; k < w->n; k++) {
        size_t i = (w->hint + k) % w->n;
        if (w->index[i] == index)
            return w->hint = i;
    }
    return w->n;
}

/* Takes steps of `w` until the window is full; false when there was none. */
static bool window_collect(struct window *win, struct walk *w, size_t n_max, size_t block_bytes)
{
    struct step step;
    win->n = win->hint = 0;
    for (;;) {
        struct walk before = *w;
        if (!walk_next(w, block_bytes, &step))
            return win->n > 0;
        if (window_find(win, step.index) < win->n)
            continue;
        if (win->n == n_max) {
            *w = before;
            return true;
        }
        win->index[win->n++] = step.index;
    }
}

/* Pins every block of the window, or none: whoever waits holds nothing, so two readers never wait for each other. */
static bool window_pin(struct range_cache *c, struct window *win)
{
    for (size_t i = 0; i < win->n; i++) {
        struct block *b = find_block(c, win->index[i]);
        win->mine[i] = !b || b->state == BLOCK_FAILED;
        if (b) {
            b->pins++;
            b->used = ++c->tick;
            b->state = win->mine[i] ? BLOCK_LOADING : b->state;
        } else if (!(b = claim_block(c, win->index[i]))) {
            while (i-- > 0) {
                if (win->mine[i])
                    win->block[i]->state = BLOCK_FAILED;
                unpin(c, win->block[i]);
            }
            tell_change(c);
            return false;
        }
        win->block[i] = b;
    }
    return true;
}

/* All blocks of the pinned window are there afterwards.  A block that another thread failed to fetch is tried here:
 * that thread may have been cancelled, or had other blocks with it. */
static enum status window_load(struct range_cache *c, struct window *win, struct error *e)
{
    for (;;) {
        struct block *mine[WINDOW_MAX];
        size_t n = 0;
        bool waits = false;
        for (size_t i = 0; i < win->n; i++) {
            struct block *b = win->block[i];
            if (b->state == BLOCK_FAILED) {
                b->state = BLOCK_LOADING;
                win->mine[i] = true;
            }
            if (b->state == BLOCK_LOADING && win->mine[i])
                mine[n++] = b;
            else if (b->state == BLOCK_LOADING)
                waits = true;
            win->mine[i] = false;
        }
        if (n > 0) {
            TRY(fetch_blocks(c, mine, n, e));
        } else if (waits) {
            TRY(source_check_cancel(&c->base.cancel, e));
            wait_for_change(c);
        } else {
            return STATUS_OK;
        }
    }
}

static void window_copy(struct range_cache *c, struct window *win, struct walk from, const struct walk *to)
{
    struct step step;
    while ((from.i < to->i || from.done < to->done) && walk_next(&from, c->block_bytes, &step))
        memcpy(step.dst, win->block[window_find(win, step.index)]->data + step.at, step.len);
}

/* Reads one window of `w` and moves it on.  Called and returns with the lock. */
static enum status read_window(struct range_cache *c, struct window *win, struct walk from, const struct walk *to,
                               struct error *e)
{
    while (!window_pin(c, win)) {
        TRY(source_check_cancel(&c->base.cancel, e));
        wait_for_change(c);
    }
    enum status s = window_load(c, win, e);
    if (s == STATUS_OK) {
        pthread_mutex_unlock(&c->lock);
        window_copy(c, win, from, to);
        pthread_mutex_lock(&c->lock);
    }
    for (size_t i = 0; i < win->n; i++)
        unpin(c, win->block[i]);
    tell_change(c);
    return s;
}

static enum status read_sorted(struct range_cache *c, const struct source_range *ranges, size_t n, struct error *e)
{
    struct walk at = {.ranges = ranges, .n = n}, start = at;
    struct window win, coming;
    uint64_t first = UINT64_MAX, end = 0, touched = 0;
    enum status s = STATUS_OK;
    bool more = window_collect(&win, &at, c->window, c->block_bytes);
    pthread_mutex_lock(&c->lock);
    while (more && s == STATUS_OK) {
        struct walk here = at;
        more = window_collect(&coming, &at, c->window, c->block_bytes);
        for (size_t i = 0; more && i < coming.n; i++)
            enqueue_ahead(c, coming.index[i]);
        for (size_t i = 0; i < win.n; i++) {
            first = win.index[i] < first ? win.index[i] : first;
            end = win.index[i] >= end ? win.index[i] + 1 : end;
        }
        touched += win.n;
        s = read_window(c, &win, start, &here, e);
        start = here;
        win = coming;
    }
    if (s == STATUS_OK && end > 0)
        note_read(c, first, end, touched);
    pthread_mutex_unlock(&c->lock);
    return s;
}

static int by_offset(const void *a, const void *b)
{
    const struct source_range *p = a, *q = b;
    return p->offset < q->offset ? -1 : p->offset > q->offset;
}

static enum status read_cached(struct source *s, const struct source_range *ranges, size_t n, struct error *e)
{
    struct range_cache *c = (struct range_cache *)s;
    bool sorted = true;
    for (size_t i = 1; i < n && sorted; i++)
        sorted = ranges[i - 1].offset <= ranges[i].offset;
    if (sorted)
        return read_sorted(c, ranges, n, e);
    struct source_range *copy = mem_alloc(n * sizeof *copy);
    if (!copy)
        return error_set(e, STATUS_NOMEM, "no memory for %zu ranges", n);
    memcpy(copy, ranges, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, by_offset);
    enum status status = read_sorted(c, copy, n, e);
    mem_free(copy);
    return status;
}

/* ---- lifetime -------------------------------------------------------------------------------------------- */

static bool is_cancelled(void *ctx)
{
    const struct range_cache *c = ctx;
    return c->closing || (c->base.cancel.cancelled && c->base.cancel.cancelled(c->base.cancel.ctx));
}

static void free_cache(struct range_cache *c)
{
    for (size_t i = 0; c->blocks && i < c->n_blocks; i++)
        mem_free(c->blocks[i].data);
    mem_free(c->blocks);
    mem_free(c->heads);
    mem_free(c);
}

static void close_cached(struct source *s)
{
    struct range_cache *c = (struct range_cache *)s;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->n_threads; i++)
        pthread_join(c->threads[i], NULL);
    source_close(c->behind);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    pthread_cond_destroy(&c->work);
    free_cache(c);
}

static const struct source_ops cached_ops = {.read_ranges = read_cached, .close = close_cached};

/* The bytes that opening has fetched anyway. */
static void keep_head(struct range_cache *c, struct span head)
{
    for (uint64_t i = 0; i < c->n_file_blocks && i < c->window; i++) {
        size_t len = block_len(c, i), at = (size_t)i * c->block_bytes;
        uint8_t *data = at + len <= head.len ? mem_alloc(c->block_bytes) : NULL;
        if (!data)
            return;
        struct block *b = claim_block(c, i);
        memcpy(data, head.data + at, len);
        b->data = data;
        b->state = BLOCK_READY;
        b->pins = 0;
    }
}

enum status range_cache_open(struct source *behind, const struct range_cache_options *o, struct source **out,
                             struct error *e)
{
    struct range_cache *c = mem_calloc(1, sizeof *c);
    pthread_condattr_t monotonic;
    *out = NULL;
    if (!c)
        return error_set(e, STATUS_NOMEM, "cache of %s", behind->name);
    c->block_bytes = o->block_bytes ? o->block_bytes : CACHE_BLOCK_BYTES;
    c->n_file_blocks = behind->size / c->block_bytes + (behind->size % c->block_bytes > 0);
    c->n_blocks = o->cache_bytes / c->block_bytes > BLOCKS_MIN ? o->cache_bytes / c->block_bytes : BLOCKS_MIN;
    if (c->n_blocks > INT32_MAX / 2)
        c->n_blocks = INT32_MAX / 2;
    if (c->n_blocks > c->n_file_blocks + BLOCKS_MIN)
        c->n_blocks = (size_t)c->n_file_blocks + BLOCKS_MIN;
    c->window = c->n_blocks / 4 < WINDOW_MAX ? c->n_blocks / 4 : WINDOW_MAX;
    for (c->n_heads = 1; c->n_heads < 2 * c->n_blocks;)
        c->n_heads *= 2;
    c->blocks = mem_calloc(c->n_blocks, sizeof *c->blocks);
    c->heads = mem_alloc(c->n_heads * sizeof *c->heads);
    if (!c->blocks || !c->heads) {
        free_cache(c);
        return error_set(e, STATUS_NOMEM, "cache of %s", behind->name);
    }
    memset(c->heads, 0xFF, c->n_heads * sizeof *c->heads);
    c->read_ahead = !o->no_read_ahead;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_cond_init(&c->work, NULL);
    pthread_condattr_destroy(&monotonic);
    c->base.ops = &cached_ops;
    c->base.size = behind->size;
    memcpy(c->base.name, behind->name, sizeof c->base.name);
    c->base.cancel = behind->cancel;
    c->base.counted = behind;
    c->behind = behind;
    behind->cancel = (struct source_cancel){is_cancelled, c};
    keep_head(c, o->head);
    *out = &c->base;
    return STATUS_OK;
}
