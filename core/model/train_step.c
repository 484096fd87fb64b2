/* core/model/train_step.c
 *
 * One step: losses, gradients, update.
 *
 * A step's rows are divided into shards by the amount of work alone, never by the number of threads; each shard
 * sums its rows' gradients, and shards are added in their order.  So the result is the same bits for any number of
 * threads.  Small networks have one shard: a step of 128 rows of `hlf` takes less time than waking a thread.
 * Sequences: a shard for each 32 rows of a step.  The rows are put in falling order of length and dealt out by groups
 * of 16, so that shards have equal work and a chunk's rows end at about the same step. */
#include "core/model/trainer.h"

#include <math.h>
#include <string.h>

static const size_t shard_work = (size_t)1 << 26;             /* rows x parameters worth a thread: some milliseconds */
static const size_t shard_memory = (size_t)1 << 24;           /* floats of gradients over all shards */
static const size_t sequence_memory = (size_t)1 << 28;        /* floats of working memory over all shards */

static size_t sequence_shards(const struct trainer *t, size_t n_rows)
{
    size_t n = (n_rows + SEQUENCE_ROWS - 1) / SEQUENCE_ROWS;
    size_t by_memory = sequence_memory / pass_work_size(t->net, SEQUENCE_ROWS, true);
    n = n < by_memory ? n : by_memory;
    return n < 1 ? 1 : n > SHARDS_MAX ? SHARDS_MAX : n;
}

size_t shards_for(const struct trainer *t, size_t n_rows)
{
    if (t->input != INPUT_HLF)
        return sequence_shards(t, n_rows);
    size_t by_work = n_rows / (shard_work / t->n_params + 1), by_memory = shard_memory / t->n_params;
    size_t n = by_work < by_memory ? by_work : by_memory;
    return n < 1 ? 1 : n > SHARDS_MAX ? SHARDS_MAX : n;
}

enum status shard_init(struct shard *s, const struct trainer *t, size_t chunk_rows, size_t *bytes, struct error *e)
{
    size_t lanes = pass_ld(chunk_rows > 1 ? chunk_rows : 2), work = pass_work_size(t->net, chunk_rows, true);
    size_t grads = (t->n_params + NN_LANES - 1) / NN_LANES * NN_LANES;
    size_t scratch = t->input != INPUT_HLF ? SEQUENCE_SCRATCH : 0;
    *bytes = (work + grads + 2 * lanes + scratch) * sizeof *s->block;
    s->block = mem_aligned(*bytes);
    if (!s->block)
        return error_set(e, STATUS_NOMEM, "no memory to train %zu parameters", t->n_params);
    pass_init(&s->pass, t->net, chunk_rows, true, s->block);
    s->grads = s->block + work;
    s->label = s->grads + grads;
    s->weight = s->label + lanes;
    s->scratch = scratch ? s->weight + lanes : NULL;
    return STATUS_OK;
}

/* ---- one step -------------------------------------------------------------------------------------------------- */

static size_t chunk_rows(const struct shard *s)
{
    size_t most = s->scratch ? SEQUENCE_ROWS : CHUNK_ROWS;
    return s->pass.ld < most ? s->pass.ld : most;
}

/* Rows [first, first + n) of the shard into the pass: features, labels, weights.  Rows are read in random order
 * from far more memory than the caches hold, so those of the next chunk are asked for now, to be there after this
 * one's work. */
static void load_chunk(const struct trainer *t, struct shard *s, size_t first, size_t n)
{
    const struct kernels *k = s->pass.k;
    const uint32_t *index = s->index + first, *next = index + n;
    size_t n_next = (size_t)(s->index_end - next) < n ? (size_t)(s->index_end - next) : n;
    for (size_t i = 0; i < n_next; i++)
        __builtin_prefetch(s->set->row + (size_t)next[i] * ROW_STRIDE);
    if (t->input != INPUT_SEQUENCE)
        k->rows_to_lanes(s->set->row, ROW_STRIDE, index, n, HLF_COUNT, s->pass.ld, pass_input(&s->pass, 0));
    if (t->input != INPUT_HLF)
        sequence_lanes(&s->set->sequences, k, index, n, s->scratch, s->pass.ld,
                       pass_input(&s->pass, t->input == INPUT_BOTH), s->length);
    k->rows_to_lanes(s->set->row + ROW_LABEL, ROW_STRIDE, index, n, 1, s->pass.ld, s->label);
    k->rows_to_lanes(s->set->row + ROW_WEIGHT, ROW_STRIDE, index, n, 1, s->pass.ld, s->weight);
    for (size_t i = 0; i < n && s->set->number; i++)
        s->number[i] = s->set->number[index[i]];
    s->noise = (struct noise){t->noise_key, s->set->number ? s->number : index};
}

/* Probabilities of the held-out rows in the pass, behind those of the shard's rows before them. */
static void keep_scores(struct shard *s, size_t first, size_t n)
{
    size_t n_classes = net_output(s->pass.net).features, ld = s->pass.ld;
    float *out = s->scores + first * n_classes;
    const float *p = pass_output(&s->pass);
    pass_softmax(&s->pass, n);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < n_classes; c++)
            out[i * n_classes + c] = p[c * ld + i];
}

static void run_shard(const struct trainer *t, struct shard *s, bool learn)
{
    size_t room = chunk_rows(s);
    s->sums = (struct loss_sums){0, 0, 0};
    if (learn)
        memset(s->grads, 0, t->n_params * sizeof *s->grads);
    for (size_t first = 0; first < s->n_rows; first += room) {
        size_t n = s->n_rows - first < room ? s->n_rows - first : room;
        load_chunk(t, s, first, n);
        s->pass.noise = learn ? &s->noise : NULL;
        pass_forward(&s->pass, t->params, n, s->length);
        pass_loss(&s->pass, n, s->label, s->weight, s->scale, &s->sums);
        if (learn)
            pass_backward(&s->pass, t->params, n, s->length, s->grads);
        else if (s->scores)
            keep_scores(s, first, n);
    }
}

struct shard_job {
    struct trainer *t;
    bool learn;
};

static enum status run_one(void *ctx, size_t i, size_t thread, struct error *e)
{
    (void)thread, (void)e;
    const struct shard_job *job = ctx;
    run_shard(job->t, &job->t->shards[i], job->learn);
    return STATUS_OK;
}

/* Rows of a step of sequences as the shards take them: groups of 16, longest first, one to each shard in turn. */
static const uint32_t *deal(const struct trainer *t, const struct row_set *set, const uint32_t *index, size_t n,
                            size_t n_shards, size_t *shard_rows)
{
    size_t at = 0, groups = (n + NN_LANES - 1) / NN_LANES;
    sequence_order(&set->sequences, index, n, t->by_length);
    for (size_t i = 0; i < n_shards; i++) {
        size_t before = at;
        for (size_t g = i; g < groups; g += n_shards) {
            size_t first = g * NN_LANES, rows = n - first < NN_LANES ? n - first : NN_LANES;
            memcpy(t->dealt + at, t->by_length + first, rows * sizeof *t->dealt);
            at += rows;
        }
        shard_rows[i] = at - before;
    }
    return t->dealt;
}

/* Losses, and gradients if `learn`, of rows index[0..n) of `set`; gradients of all shards end up in the first one.  Row
 * numbers up to index_end are those that will be wanted next.  Scores of held-out rows, where they are wanted, lie in
 * the order of the shards' rows: *taken. */
static enum status run_rows(struct trainer *t, const struct row_set *set, const uint32_t *index, size_t n,
                            const uint32_t *index_end, bool learn, struct loss_sums *sums, const uint32_t **taken,
                            struct error *e)
{
    size_t n_classes = t->header.classes.n_items, at = 0;
    size_t n_shards = shards_for(t, n), groups = (n + NN_LANES - 1) / NN_LANES, shard_rows[SHARDS_MAX];
    for (size_t i = 0; i < n_shards; i++) {
        size_t from = groups * i / n_shards * NN_LANES, to = groups * (i + 1) / n_shards * NN_LANES;
        shard_rows[i] = (to < n ? to : n) - from;
    }
    if (t->input != INPUT_HLF) {
        index = deal(t, set, index, n, n_shards, shard_rows);
        index_end = index + n;
    }
    *taken = index;
    for (size_t i = 0; i < n_shards; i++) {
        t->shards[i].set = set;
        t->shards[i].scores = learn ? NULL : t->scores + at * n_classes;
        t->shards[i].index = index;
        t->shards[i].index_end = index_end;
        t->shards[i].n_rows = shard_rows[i];
        t->shards[i].scale = 1 / (float)n;
        index += shard_rows[i];
        at += shard_rows[i];
    }
    struct shard_job job = {t, learn};
    if (n_shards == 1)
        run_shard(t, &t->shards[0], learn);
    else
        TRY(par_for((size_t)t->header.params.threads, n_shards, run_one, &job, e));
    for (size_t i = 0; i < n_shards; i++) {
        const struct shard *s = &t->shards[i];
        if (learn && i > 0)
            s->pass.k->add(t->n_params, s->grads, t->shards[0].grads);
        sums->loss += s->sums.loss;
        sums->hits += s->sums.hits;
        sums->weight += s->sums.weight;
    }
    return STATUS_OK;
}

/* ---- numbers that are not finite ------------------------------------------------------------------------------- */

static bool all_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

/* First layer whose output or, if all outputs are sound, last layer whose gradient is not finite in this step; n_layers
 * when it is the loss itself. */
static size_t guilty_layer(struct trainer *t, const uint32_t *index, size_t n)
{
    struct shard *s = &t->shards[0];
    size_t n_layers = net_n_layers(t->net), first_bad = n_layers;
    for (size_t i = n_layers; first_bad == n_layers && i-- > 0;) {
        size_t from = net_layer_params(t->net, i);
        size_t to = i + 1 < n_layers ? net_layer_params(t->net, i + 1) : t->n_params;
        if (!all_finite(s->grads + from, to - from))
            first_bad = i;
    }
    size_t room = chunk_rows(s), bad_output = n_layers;
    s->index = index;
    s->index_end = index + n;
    for (size_t first = 0; first < n; first += room) {
        size_t rows = n - first < room ? n - first : room;
        load_chunk(t, s, first, rows);
        s->pass.noise = &s->noise;
        pass_forward(&s->pass, t->params, rows, s->length);
        for (size_t i = 0; i < bad_output; i++) {
            struct shape shape = net_layer(t->net, i)->out;
            const float *out = pass_layer_output(&s->pass, i);
            for (size_t f = 0; f < shape_numbers(shape); f++)
                if (!all_finite(out + f * s->pass.ld, rows))
                    bad_output = i;
        }
    }
    return bad_output < n_layers ? bad_output : first_bad;
}

static enum status not_finite(struct trainer *t, const uint32_t *index, size_t n, int64_t step, struct error *e)
{
    size_t layer = guilty_layer(t, index, n), n_layers = net_n_layers(t->net);
    char where[64] = "the loss";
    if (layer < n_layers)
        snprintf(where, sizeof where, "layer %zu (%s)", layer + 1, net_layer(t->net, layer)->kind->name);
    return error_set(e, STATUS_RANGE,
                     "epoch %lld, step %lld: %s is no longer finite; a smaller learning_rate than %g, or "
                     "clip_norm, may help",
                     (long long)t->fit.epochs_done + 1, (long long)step, where,
                     t->header.params.learning_rate);
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

static void update(struct trainer *t, double rate, double length)
{
    const struct train_params *p = &t->header.params;
    float *grads = t->shards[0].grads;
    t->fit.steps++;
    if (p->clip_norm > 0)
        gradient_clip(length, p->clip_norm, t->n_params, grads);
    if (p->weight_decay > 0)
        weight_decay(rate, p->weight_decay, t->n_params, t->params);
    if (p->optimizer == OPTIMIZER_ADAM) {
        const struct adam_params adam = {rate, p->beta1, p->beta2, p->epsilon};
        adam_update(&adam, t->fit.steps, t->n_params, grads, t->params, t->m, t->v);
    } else {
        const struct sgd_params sgd = {rate, p->momentum, p->nesterov};
        sgd_update(&sgd, t->n_params, grads, t->params, t->m);
    }
}

enum status step_run(struct trainer *t, const struct row_set *set, const uint32_t *index, size_t n,
                     const uint32_t *index_end, struct epoch_sums *sums, struct error *e)
{
    struct loss_sums own = {0, 0, 0};
    const uint32_t *taken;
    uint64_t which[] = {(uint64_t)t->fit.epochs_done, (uint64_t)++sums->n_steps};
    t->noise_key = hash64(which, sizeof which, (uint64_t)t->header.params.seed);
    TRY(run_rows(t, set, index, n, index_end, true, &own, &taken, e));
    double length = gradient_norm(t->n_params, t->shards[0].grads);
    if (!isfinite(own.loss) || !isfinite(length))
        return not_finite(t, index, n, sums->n_steps, e);
    sums->rate = schedule_rate(&t->header.params, &t->fit, sums->n_done, n, t->n_learn);
    update(t, sums->rate, length);
    sums->learned.loss += own.loss;
    sums->learned.hits += own.hits;
    sums->learned.weight += own.weight;
    sums->norms += length;
    sums->n_done += n;
    return STATUS_OK;
}

enum status held_out_run(struct trainer *t, const struct row_set *set, const uint32_t *index, size_t n,
                         struct epoch_sums *sums, struct error *e)
{
    const uint32_t *taken;
    size_t n_classes = t->header.classes.n_items;
    TRY(run_rows(t, set, index, n, index + n, false, &sums->held_out, &taken, e));
    for (size_t i = 0; i < n; i++) {
        const float *row = set->row + (size_t)taken[i] * ROW_STRIDE;
        metrics_auc_bins_add(t->auc, t->scores + i * n_classes, (size_t)row[ROW_LABEL], (double)row[ROW_WEIGHT]);
    }
    return STATUS_OK;
}
