/* core/model/train.c
 *
 * Fitting a network: epochs of shuffled minibatches, softmax cross-entropy, Adam.
 *
 * A step's rows are divided into shards by the amount of work alone, never by the number of threads; each shard
 * sums its rows' gradients, and shards are added in their order.  So the result is the same bits for any number of
 * threads.  Small networks have one shard: a step of 128 rows of `hlf` takes less time than waking a thread.
 * Sequences: a shard for each 32 rows of a step.  The rows are put in falling order of length and dealt out by groups
 * of 16, so that shards have equal work and a chunk's rows end at about the same step. */
#include "core/model/trainer.h"

#include <math.h>
#include <string.h>

enum { PROGRESS_ROWS = 16384 };
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

static size_t shards_for(const struct trainer *t, size_t n_rows)
{
    if (t->input != INPUT_HLF)
        return sequence_shards(t, n_rows);
    size_t by_work = n_rows / (shard_work / t->n_params + 1), by_memory = shard_memory / t->n_params;
    size_t n = by_work < by_memory ? by_work : by_memory;
    return n < 1 ? 1 : n > SHARDS_MAX ? SHARDS_MAX : n;
}

/* ---- lifetime -------------------------------------------------------------------------------------------------- */

static enum status shard_init(struct shard *s, const struct trainer *t, size_t chunk_rows, struct error *e)
{
    size_t lanes = pass_ld(chunk_rows > 1 ? chunk_rows : 2), work = pass_work_size(t->net, chunk_rows, true);
    size_t grads = (t->n_params + NN_LANES - 1) / NN_LANES * NN_LANES;
    size_t scratch = t->input != INPUT_HLF ? SEQUENCE_SCRATCH : 0;
    s->block = mem_aligned((work + grads + 2 * lanes + scratch) * sizeof *s->block);
    if (!s->block)
        return error_set(e, STATUS_NOMEM, "no memory to train %zu parameters", t->n_params);
    pass_init(&s->pass, t->net, chunk_rows, true, s->block);
    s->grads = s->block + work;
    s->label = s->grads + grads;
    s->weight = s->label + lanes;
    s->scratch = scratch ? s->weight + lanes : NULL;
    return STATUS_OK;
}

static enum status trainer_init(struct trainer *t, const struct model_header *header, const struct train_data *data,
                                struct error *e)
{
    TRY(header_check(header, &t->scaler, e));
    TRY(field_copy(&t->arena, model_header_fields, header, &t->header, e));
    TRY(train_rows_init(&t->rows, &t->header, &t->scaler, data, e));
    t->input = estimator_input(&t->header.params);
    TRY(estimator_resolve(&t->arena, &t->header.params, t->header.classes.n_items, e));
    TRY(estimator_network(&t->header.params, t->header.classes.n_items, &t->net, e));
    t->n_params = net_n_params(t->net);
    t->header.estimator = estimator_names[t->header.params.model];
    t->header.n_params = (int64_t)t->n_params;
    t->header.n_train = (int64_t)t->rows.n_learn;
    t->header.epochs_done = 0;
    t->header.train_loss = t->header.val_loss = NAN;

    size_t batch = (size_t)t->header.params.batch_size;
    batch = batch < t->rows.n_learn ? batch : t->rows.n_learn;
    size_t for_step = shards_for(t, batch), for_held_out = shards_for(t, t->rows.n_held_out);
    t->n_shards = for_step > for_held_out ? for_step : for_held_out;
    t->order = mem_alloc(t->rows.n_learn * sizeof *t->order);
    t->state = mem_aligned(3 * t->n_params * sizeof *t->state);
    size_t most = batch > t->rows.n_held_out ? batch : t->rows.n_held_out;
    if (t->input != INPUT_HLF)
        t->by_length = mem_alloc(2 * most * sizeof *t->by_length);
    t->dealt = t->by_length ? t->by_length + most : NULL;
    if (!t->order || !t->state || (t->input != INPUT_HLF && !t->by_length))
        return error_set(e, STATUS_NOMEM, "no memory to train %zu parameters", t->n_params);
    t->params = t->state;
    t->m = t->params + t->n_params;
    t->v = t->m + t->n_params;
    net_init(t->net, (uint64_t)t->header.params.seed, t->params);
    size_t chunk = batch < CHUNK_ROWS && t->rows.n_held_out == 0 ? batch : CHUNK_ROWS;
    chunk = t->input != INPUT_HLF ? SEQUENCE_ROWS : chunk;
    for (size_t i = 0; i < t->n_shards; i++)
        TRY(shard_init(&t->shards[i], t, chunk, e));
    return STATUS_OK;
}

enum status trainer_create(const struct model_header *header, const struct train_data *data, struct trainer **out,
                           struct error *e)
{
    *out = NULL;
    struct trainer *t = mem_calloc(1, sizeof *t);
    if (!t)
        return error_set(e, STATUS_NOMEM, "no memory for a trainer");
    arena_init(&t->arena, 16 << 20);
    enum status s = trainer_init(t, header, data, e);
    if (s != STATUS_OK) {
        trainer_destroy(t);
        return error_wrap(e, "training");
    }
    *out = t;
    return STATUS_OK;
}

void trainer_destroy(struct trainer *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_shards; i++)
        mem_free(t->shards[i].block);
    mem_free(t->state);
    mem_free(t->order);
    mem_free(t->by_length);
    train_rows_fini(&t->rows);
    net_destroy(t->net);
    arena_fini(&t->arena);
    mem_free(t);
}

int64_t trainer_epochs_done(const struct trainer *t) { return t->header.epochs_done; }

enum status trainer_model(const struct trainer *t, struct model **out, struct error *e)
{
    return model_create(&t->header, t->params, t->n_params, NULL, out, e);
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
        __builtin_prefetch(t->rows.row + (size_t)next[i] * ROW_STRIDE);
    if (t->input != INPUT_SEQUENCE)
        k->rows_to_lanes(t->rows.row, ROW_STRIDE, index, n, HLF_COUNT, s->pass.ld, pass_input(&s->pass, 0));
    if (t->input != INPUT_HLF)
        sequence_lanes(&t->rows.sequences, k, index, n, s->scratch, s->pass.ld,
                       pass_input(&s->pass, t->input == INPUT_BOTH), s->length);
    k->rows_to_lanes(t->rows.row + ROW_LABEL, ROW_STRIDE, index, n, 1, s->pass.ld, s->label);
    k->rows_to_lanes(t->rows.row + ROW_WEIGHT, ROW_STRIDE, index, n, 1, s->pass.ld, s->weight);
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
        s->noise = (struct noise){t->noise_key, s->index + first};
        s->pass.noise = learn ? &s->noise : NULL;
        pass_forward(&s->pass, t->params, n, s->length);
        pass_loss(&s->pass, n, s->label, s->weight, s->scale, &s->sums);
        if (learn)
            pass_backward(&s->pass, t->params, n, s->length, s->grads);
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
static const uint32_t *deal(const struct trainer *t, const uint32_t *index, size_t n, size_t n_shards,
                            size_t *shard_rows)
{
    size_t at = 0, groups = (n + NN_LANES - 1) / NN_LANES;
    sequence_order(&t->rows.sequences, index, n, t->by_length);
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

/* Losses, and gradients if `learn`, of rows index[0..n); gradients of all shards end up in the first one.  Row numbers
 * up to index_end are those that will be wanted next. */
static enum status run_rows(struct trainer *t, const uint32_t *index, size_t n, const uint32_t *index_end, bool learn,
                            struct loss_sums *sums, struct error *e)
{
    size_t n_shards = shards_for(t, n), groups = (n + NN_LANES - 1) / NN_LANES, shard_rows[SHARDS_MAX];
    for (size_t i = 0; i < n_shards; i++) {
        size_t from = groups * i / n_shards * NN_LANES, to = groups * (i + 1) / n_shards * NN_LANES;
        shard_rows[i] = (to < n ? to : n) - from;
    }
    if (t->input != INPUT_HLF) {
        index = deal(t, index, n, n_shards, shard_rows);
        index_end = index + n;
    }
    for (size_t i = 0; i < n_shards; i++) {
        t->shards[i].index = index;
        t->shards[i].index_end = index_end;
        t->shards[i].n_rows = shard_rows[i];
        t->shards[i].scale = 1 / (float)n;
        index += shard_rows[i];
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
        s->noise = (struct noise){t->noise_key, index + first};
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
                     "epoch %lld, step %lld: %s is no longer finite; a smaller learning_rate than %g may help",
                     (long long)t->header.epochs_done + 1, (long long)step, where,
                     t->header.params.learning_rate);
}

/* ---- an epoch -------------------------------------------------------------------------------------------------- */

static double norm(const struct kernels *k, const float *grads, size_t n)
{
    float square = k->sum_squares(n, grads);
    if (isfinite(square))
        return sqrt((double)square);
    double sum = 0;                                           /* large but perhaps finite */
    for (size_t i = 0; i < n; i++)
        sum += (double)grads[i] * (double)grads[i];
    return sqrt(sum);
}

static enum status step(struct trainer *t, const uint32_t *index, size_t n, int64_t i_step, struct loss_sums *sums,
                        double *norms, struct error *e)
{
    const struct train_params *p = &t->header.params;
    struct loss_sums own = {0, 0, 0};
    uint64_t which[] = {(uint64_t)t->header.epochs_done, (uint64_t)i_step};
    t->noise_key = hash64(which, sizeof which, (uint64_t)p->seed);
    TRY(run_rows(t, index, n, t->order + t->rows.n_learn, true, &own, e));
    const float *grads = t->shards[0].grads;
    double length = norm(t->shards[0].pass.k, grads, t->n_params);
    if (!isfinite(own.loss) || !isfinite(length))
        return not_finite(t, index, n, i_step, e);
    struct adam_params adam = {p->learning_rate, p->beta1, p->beta2, p->epsilon};
    adam_update(&adam, ++t->steps, t->n_params, grads, t->params, t->m, t->v);
    sums->loss += own.loss;
    sums->hits += own.hits;
    sums->weight += own.weight;
    *norms += length;
    return STATUS_OK;
}

static enum status steps(struct trainer *t, const struct train_watch *watch, struct loss_sums *sums, double *norms,
                         int64_t *n_steps, struct error *e)
{
    size_t n = t->rows.n_learn, batch = (size_t)t->header.params.batch_size, told = 0;
    for (size_t done = 0; done < n;) {
        if (watch && watch->cancelled && watch->cancelled(watch->ctx))
            return error_set(e, STATUS_CANCELLED, "cancelled in epoch %lld after %zu of %zu rows",
                             (long long)t->header.epochs_done + 1, done, n);
        size_t rows = n - done < batch ? n - done : batch;
        TRY(step(t, t->order + done, rows, ++*n_steps, sums, norms, e));
        done += rows;
        if (watch && watch->progress && (done - told >= PROGRESS_ROWS || done == n)) {
            watch->progress(watch->ctx, (int64_t)done, (int64_t)n);
            told = done;
        }
    }
    return STATUS_OK;
}

static enum status epoch(struct trainer *t, const struct train_watch *watch, struct epoch_report *out, struct error *e)
{
    int64_t start = time_mono_ns(), n_steps = 0;
    struct rng r = rng_stream((uint64_t)t->header.params.seed, (uint64_t)t->header.epochs_done);
    struct loss_sums sums = {0, 0, 0}, held_out = {0, 0, 0};
    double norms = 0;
    memcpy(t->order, t->rows.learn, t->rows.n_learn * sizeof *t->order);
    rng_shuffle_u32(&r, t->order, t->rows.n_learn);
    TRY(steps(t, watch, &sums, &norms, &n_steps, e));
    if (!all_finite(t->params, t->n_params))
        return error_set(e, STATUS_RANGE, "epoch %lld, step %lld: the parameters are no longer finite",
                         (long long)t->header.epochs_done + 1, (long long)n_steps);
    if (t->rows.n_held_out > 0)
        TRY(run_rows(t, t->rows.held_out, t->rows.n_held_out, t->rows.held_out + t->rows.n_held_out, false, &held_out,
                     e));
    double seconds = (double)(time_mono_ns() - start) * 1e-9;
    t->header.epochs_done++;
    *out = (struct epoch_report){.epoch = t->header.epochs_done,
                                 .loss = sums.loss / sums.weight,
                                 .accuracy = sums.hits / sums.weight,
                                 .val_loss = held_out.weight > 0 ? held_out.loss / held_out.weight : NAN,
                                 .val_accuracy = held_out.weight > 0 ? held_out.hits / held_out.weight : NAN,
                                 .seconds = seconds,
                                 .samples_per_second = seconds > 0 ? (double)t->rows.n_learn / seconds : 0,
                                 .gradient_norm = norms / (double)n_steps};
    t->header.train_loss = out->loss;
    t->header.val_loss = out->val_loss;
    return STATUS_OK;
}

enum status trainer_epoch(struct trainer *t, const struct train_watch *watch, struct epoch_report *out,
                          struct error *e)
{
    check(!t->broken);
    enum status s = epoch(t, watch, out, e);
    t->broken = s != STATUS_OK;
    return s == STATUS_OK ? s : error_wrap(e, "training");
}
