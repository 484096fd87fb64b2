/* core/model/train_stream.c
 *
 * Training from disk.  The dataset is read once, when the trainer is made: rows are checked, scaled and packed, the
 * held-out ones apart.  An epoch takes the blocks of learned rows in an order shuffled anew, a window of blocks at a
 * time; while one window is learned from, a thread reads the next.  Where all blocks fit into one window, this gives the same
 * bits as rows in memory. */
#include "core/model/trainer.h"

enum { WINDOW_BYTES_MIN = 4 << 20, MADE_ROWS = 1024 };

/* ---- packing ----------------------------------------------------------------------------------------------------- */

struct packing {
    struct trainer *t;
    struct row_maker maker;
    float *row;                        /* [MADE_ROWS][ROW_STRIDE] */
    size_t n;                          /* rows so far */
};

static enum status pack_some(struct packing *k, const struct train_data *d, bool all_held_out, struct error *e)
{
    struct trainer *t = k->t;
    struct train_data part = *d;
    for (size_t first = 0; first < d->n; first += part.n) {
        part.n = d->n - first < MADE_ROWS ? d->n - first : MADE_ROWS;
        part.hlf = d->hlf + first * HLF_COUNT;
        part.label = d->label + first;
        part.weight = d->weight ? d->weight + first : NULL;
        part.row_first = d->row_first ? d->row_first + first : NULL;
        k->maker.first = k->n;
        TRY(rows_make(&k->maker, &part, k->row, e));
        for (size_t i = 0; i < part.n; i++, k->n++) {
            const float *row = k->row + i * ROW_STRIDE;
            if (k->n >= UINT32_MAX)
                return error_set(e, STATUS_ARGUMENT, "more than %u events", UINT32_MAX);
            bool held_out = all_held_out || row_is_held_out(&t->header.params, k->n);
            TRY(pack_add(held_out ? &t->feed->held_out : &t->feed->learn, &part, i, row, (uint32_t)k->n, e));
            if (!held_out)
                t->classes.sum[(size_t)row[ROW_LABEL]] += (double)row[ROW_WEIGHT];
        }
    }
    t->fingerprint = rows_fingerprint(d, k->maker.sequences, t->fingerprint);
    return STATUS_OK;
}

static enum status pack_all(struct packing *k, const struct train_stream *stream, bool all_held_out, struct error *e)
{
    k->n = 0;
    for (;;) {
        struct train_data d = {0};
        TRY(stream->next(stream->ctx, &d, e));
        if (d.n == 0)
            break;
        TRY(pack_some(k, &d, all_held_out, e));
    }
    if (k->n == 0)
        return error_set(e, STATUS_ARGUMENT, "there are no events to train with");
    return STATUS_OK;
}

static enum status pack_input(struct trainer *t, const struct train_input *input, struct error *e)
{
    struct packing k = {.t = t, .maker = {&t->header, &t->scaler, t->input != INPUT_HLF, 0}};
    struct train_params *p = &t->header.params;
    double fraction = p->validation_fraction;
    k.row = mem_aligned(MADE_ROWS * ROW_STRIDE * sizeof *k.row);
    enum status s = k.row ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory to pack rows");
    p->validation_fraction = input->validation_stream ? 0 : fraction;
    if (s == STATUS_OK)
        s = pack_open(&t->feed->learn, input->folder, &k.maker, e);
    if (s == STATUS_OK)
        s = pack_open(&t->feed->held_out, input->folder, &k.maker, e);
    if (s == STATUS_OK)
        s = pack_all(&k, input->stream, false, e);
    if (s == STATUS_OK && input->validation_stream && pack_all(&k, input->validation_stream, true, e) != STATUS_OK)
        s = error_wrap(e, "validation dataset");
    if (s == STATUS_OK)
        s = pack_finish(&t->feed->learn, e);
    if (s == STATUS_OK)
        s = pack_finish(&t->feed->held_out, e);
    p->validation_fraction = fraction;
    mem_free(k.row);
    return s;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

size_t feed_window_rows(const struct feed *f) { return f->window[0].cap; }

/* Blocks of a window: as many as the caller's rows, or his memory, hold. */
static size_t blocks_of(const struct feed *f, const struct train_input *input, int64_t shuffle_rows)
{
    size_t each = input->memory_bytes / WINDOWS, most = f->learn.n_blocks, n = 1;
    each = each > WINDOW_BYTES_MIN ? each : WINDOW_BYTES_MIN;
    if (shuffle_rows > 0)
        n = (size_t)shuffle_rows / (f->learn.most_rows ? f->learn.most_rows : 1);
    else
        while (n < most && pack_window_bytes(&f->learn, n + 1) <= each)
            n++;
    n = n > 0 ? n : 1;
    return n < most ? n : most;
}

enum status feed_open(struct trainer *t, const struct train_input *input, struct error *e)
{
    struct feed *f = t->feed = mem_calloc(1, sizeof *f);
    if (!f)
        return error_set(e, STATUS_NOMEM, "no memory to stream rows");
    f->learn.fd = f->held_out.fd = -1;
    TRY(pack_input(t, input, e));
    t->n_learn = f->learn.n;
    t->n_held_out = f->held_out.n;
    TRY(class_factors(&t->classes, &t->header, t->n_learn, e));
    f->window_blocks = blocks_of(f, input, t->header.params.shuffle_rows);
    /* A window serves both files, so it is as large as the larger one's blocks want it. */
    struct pack both = f->learn;
    if (f->held_out.n > 0 && f->held_out.prepared != f->learn.prepared)
        return error_set(e, STATUS_ARGUMENT, "particle rows as measured and prepared ones in the same fit");
    both.most_rows = both.most_rows > f->held_out.most_rows ? both.most_rows : f->held_out.most_rows;
    both.most_particles =
        both.most_particles > f->held_out.most_particles ? both.most_particles : f->held_out.most_particles;
    struct sequence_source as = {recipe_find(t->header.recipe), &t->scaler.sequence, NULL, NULL};
    for (size_t i = 0; i < WINDOWS; i++) {
        TRY(window_init(&f->window[i], &both, f->window_blocks, &as, e));
        t->memory.rows += (int64_t)f->window[i].bytes;
    }
    size_t most = f->learn.n_blocks > f->held_out.n_blocks ? f->learn.n_blocks : f->held_out.n_blocks;
    f->blocks = mem_alloc(most * sizeof *f->blocks);
    if (!f->blocks)
        return error_set(e, STATUS_NOMEM, "no memory for %zu blocks of rows", most);
    t->header.params.shuffle_rows = (int64_t)(f->window_blocks * f->learn.most_rows);
    t->memory.window_rows = t->header.params.shuffle_rows;
    t->memory.packed = (int64_t)(f->learn.bytes + f->held_out.bytes);
    t->memory.rows += (int64_t)(most * sizeof *f->blocks);
    t->memory.rows += (int64_t)((f->learn.cap + f->held_out.cap) * sizeof(struct pack_block));
    return STATUS_OK;
}

void feed_close(struct feed *f)
{
    if (!f)
        return;
    pack_close(&f->learn);
    pack_close(&f->held_out);
    for (size_t i = 0; i < WINDOWS; i++)
        window_fini(&f->window[i]);
    mem_free(f->blocks);
    mem_free(f);
}

/* ---- a pass ------------------------------------------------------------------------------------------------------ */

struct feeding {
    struct trainer *t;
    const struct pack *pack;
    size_t next;                       /* block */
    enum status (*use)(void *ctx, struct window *w, struct error *e);
    void *ctx;
};

/* A window's blocks are read in the order of the file; its rows are shuffled anyway. */
static void sort_blocks(uint32_t *v, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2)               /* Shell's sort */
        for (size_t i = gap; i < n; i++)
            for (size_t j = i; j >= gap && v[j - gap] > v[j]; j -= gap) {
                uint32_t kept = v[j];
                v[j] = v[j - gap];
                v[j - gap] = kept;
            }
}

static enum status read_window(void *ctx, size_t slot, bool *end, struct error *e)
{
    struct feeding *k = ctx;
    struct feed *f = k->t->feed;
    size_t left = k->pack->n_blocks - k->next, n = left < f->window_blocks ? left : f->window_blocks;
    if (n == 0) {
        *end = true;
        return STATUS_OK;
    }
    uint32_t *blocks = f->blocks + k->next;
    sort_blocks(blocks, n);
    k->next += n;
    struct window *w = &f->window[slot];
    TRY(window_read(w, k->pack, blocks, n, e));
    rows_weigh(&k->t->classes, w->set.row, w->n);
    return STATUS_OK;
}

static enum status ready(void *ctx, size_t slot, size_t thread, struct error *e)
{
    (void)ctx, (void)slot, (void)thread, (void)e;
    return STATUS_OK;
}

static enum status use_window(void *ctx, size_t slot, struct error *e)
{
    struct feeding *k = ctx;
    return k->use(k->ctx, &k->t->feed->window[slot], e);
}

static enum status pass(struct trainer *t, const struct pack *pack, bool shuffled,
                        enum status (*use)(void *ctx, struct window *w, struct error *e), void *ctx, struct error *e)
{
    static const struct par_stage_fns fns = {read_window, ready, use_window};
    struct feeding k = {t, pack, 0, use, ctx};
    for (size_t i = 0; i < pack->n_blocks; i++)
        t->feed->blocks[i] = (uint32_t)i;
    if (shuffled) {
        struct rng r = rng_stream((uint64_t)t->header.params.seed, ~(uint64_t)t->fit.epochs_done);
        rng_shuffle_u32(&r, t->feed->blocks, pack->n_blocks);
    }
    return par_pipeline(WINDOWS, WINDOWS, &fns, &k, e);       /* one thread reads ahead, one uses */
}

enum status feed_learn(struct trainer *t, enum status (*use)(void *ctx, struct window *w, struct error *e), void *ctx,
                       struct error *e)
{
    return pass(t, &t->feed->learn, true, use, ctx, e);
}

enum status feed_held_out(struct trainer *t, enum status (*use)(void *ctx, struct window *w, struct error *e),
                          void *ctx, struct error *e)
{
    return pass(t, &t->feed->held_out, false, use, ctx, e);
}
