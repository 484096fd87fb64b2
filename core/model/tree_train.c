/* core/model/tree_train.c
 *
 * Growing forests.  A round is a tree a class; an epoch is TREE_ROUNDS_AN_EPOCH rounds.
 *
 * gradient-boosting: each round corrects the logits of the rounds before it (softmax cross-entropy; Friedman 2001,
 * doi:10.1214/aos/1013203451; derivatives of both orders as in XGBoost, doi:10.1145/2939672.2939785).
 * random-forest: every tree learns from rows of its own, drawn with replacement, which part of the rows in a node is of
 * its class (Breiman 2001, doi:10.1023/A:1010933404324): with derivatives of the squared error at 0, leaves are means.
 *
 * Derivatives are rounded to multiples of a power of two small enough to lose nothing that matters and large enough for
 * every sum of them to be exact in double precision.  So neither the number of threads nor the order in which XGBoost
 * adds changes a bit. */
#include "core/model/tree_fit.h"

#include <math.h>
#include <string.h>

enum { STORED_BYTES_MAX = 1 << 30, BLOCK_ROWS = 16384, ENTRY_BYTES = 8 /* of XGBoost's for a number */ };

struct tree_fit {
    struct tree_grower *grower;
    bool averaged;
    size_t n_classes;
    uint32_t *taken;                   /* [n_learn] how often a round has each row */
    float *gradient, *hessian;         /* [n_learn] of the present tree */
    float *chance;                     /* [n_classes][n_learn] that the trees so far give; boosting only */
    float *sum, *held_sum;             /* [rows][n_classes] of leaves */
    double quantum;
    int64_t rounds;
    struct buf stored;
    size_t best_floats;                /* of `stored`, after the best epoch */
};

static const float *row_of(const struct trainer *t, size_t i)
{
    return t->rows.learned.row + (size_t)t->rows.learn[i] * ROW_STRIDE;
}

/* ---- lifetime ----------------------------------------------------------------------------------------------------- */

/* Trees ask for the features as they are: none is scaled. */
static void scale_nothing(struct hlf_scaler *s)
{
    memset(s, 0, sizeof *s);
    for (size_t f = 0; f < HLF_COUNT; f++)
        s->factor[f] = 1;
}

/* Rows of a stream, all of them. */
struct gathered {
    struct buf hlf, label, weight;
    size_t n;
};

static void gathered_fini(struct gathered *g)
{
    buf_fini(&g->hlf);
    buf_fini(&g->label);
    buf_fini(&g->weight);
}

static enum status gather_some(struct gathered *g, const struct train_data *d, struct error *e)
{
    TRY(buf_append(&g->hlf, d->hlf, d->n * HLF_COUNT * sizeof *d->hlf, e));
    TRY(buf_append(&g->label, d->label, d->n * sizeof *d->label, e));
    for (size_t i = 0; i < d->n; i++) {
        const float weight = d->weight ? d->weight[i] : 1;
        TRY(buf_append(&g->weight, &weight, sizeof weight, e));
    }
    g->n += d->n;
    return STATUS_OK;
}

static enum status gather(const struct train_stream *stream, size_t memory_bytes, struct gathered *g,
                          struct train_data *out, struct error *e)
{
    buf_init(&g->hlf, memory_bytes);
    buf_init(&g->label, memory_bytes);
    buf_init(&g->weight, memory_bytes);
    for (;;) {
        struct train_data d = {0};
        TRY(stream->next(stream->ctx, &d, e));
        if (d.n == 0)
            break;
        if (gather_some(g, &d, e) != STATUS_OK)
            return error_wrap(e, "trees learn from all rows at once, which do not fit into %zu MB: raise "
                              "memory_limit_mb", memory_bytes >> 20);
    }
    *out = (struct train_data){.n = g->n,
                               .hlf = (const float *)(const void *)g->hlf.data,
                               .label = (const int32_t *)(const void *)g->label.data,
                               .weight = (const float *)(const void *)g->weight.data};
    return STATUS_OK;
}

static enum status take_rows(struct trainer *t, const struct train_input *input, struct error *e)
{
    struct gathered learned = {.n = 0}, validation = {.n = 0};
    struct train_data d[2];
    struct scalers none = {0};
    const struct train_data *given = input->data, *held = input->validation;
    enum status s = STATUS_OK;
    scale_nothing(&none.hlf);
    if (input->stream) {
        s = gather(input->stream, input->memory_bytes, &learned, &d[0], e);
        if (s == STATUS_OK && input->validation_stream)
            s = gather(input->validation_stream, input->memory_bytes, &validation, &d[1], e);
        given = &d[0];
        held = input->validation_stream ? &d[1] : NULL;
    }
    if (s == STATUS_OK)
        s = train_rows_init(&t->rows, &t->header, &none, given, held, e);
    gathered_fini(&learned);
    gathered_fini(&validation);
    t->n_learn = t->rows.n_learn;
    t->n_held_out = t->rows.n_held_out;
    t->fingerprint = t->rows.fingerprint;
    t->header.params.shuffle_rows = 0;
    return s;
}

static enum status make_grower(struct trainer *t, struct error *e)
{
    size_t n = t->n_learn;
    float *rows = mem_alloc(n * HLF_COUNT * sizeof *rows + 1);
    if (!rows)
        return error_set(e, STATUS_NOMEM, "no memory for %zu rows", n);
    for (size_t i = 0; i < n; i++)
        memcpy(rows + i * HLF_COUNT, row_of(t, i), HLF_COUNT * sizeof *rows);
    enum status s = tree_grower_create(rows, n, (size_t)t->header.params.threads, &t->trees->grower, e);
    mem_free(rows);
    return s;
}

static enum status make_workspace(struct trainer *t, struct error *e)
{
    struct tree_fit *f = t->trees;
    size_t n = t->n_learn, k = f->n_classes, chances = f->averaged ? 0 : n * k;
    f->taken = mem_alloc(n * sizeof *f->taken + 1);
    f->gradient = mem_alloc(n * sizeof *f->gradient + 1);
    f->hessian = mem_alloc(n * sizeof *f->hessian + 1);
    f->chance = mem_alloc(chances * sizeof *f->chance + 1);
    f->sum = mem_calloc(n * k + 1, sizeof *f->sum);
    f->held_sum = mem_calloc(t->n_held_out * k + 1, sizeof *f->held_sum);
    if (!f->taken || !f->gradient || !f->hessian || !f->chance || !f->sum || !f->held_sum)
        return error_set(e, STATUS_NOMEM, "no memory to learn from %zu rows", n);
    t->memory.workspace = (int64_t)((3 * n + chances + (n + t->n_held_out) * k) * sizeof(float));
    t->memory.rows = (int64_t)((n + t->n_held_out) * (ROW_STRIDE * sizeof(float) + sizeof(uint32_t)) +
                               n * HLF_COUNT * ENTRY_BYTES);
    return t->n_held_out > 0 ? metrics_auc_bins_create(k, &t->auc, e) : STATUS_OK;
}

enum status tree_fit_open(struct trainer *t, const struct train_input *input, struct error *e)
{
    struct tree_fit *f = t->trees = mem_calloc(1, sizeof *f);
    if (!f)
        return error_set(e, STATUS_NOMEM, "no memory for a trainer");
    buf_init(&f->stored, STORED_BYTES_MAX);
    f->averaged = tree_averaged(&t->header.params);
    f->n_classes = t->header.classes.n_items;
    TRY(take_rows(t, input, e));
    TRY(train_params_check_watch(&t->header.params, t->n_held_out > 0, e));
    fit_state_init(&t->fit);
    TRY(make_grower(t, e));
    return make_workspace(t, e);
}

void tree_fit_close(struct tree_fit *f)
{
    if (!f)
        return;
    tree_grower_destroy(f->grower);
    mem_free(f->taken);
    mem_free(f->gradient);
    mem_free(f->hessian);
    mem_free(f->chance);
    mem_free(f->sum);
    mem_free(f->held_sum);
    buf_fini(&f->stored);
    mem_free(f);
}

/* ---- a round ------------------------------------------------------------------------------------------------------ */

/* Rows of the present round, and the quantum of its derivatives: none is larger than its row's weight, so every sum is
 * below 2^52 quanta. */
static void take(struct trainer *t)
{
    struct tree_fit *f = t->trees;
    const struct train_params *p = &t->header.params;
    size_t n = t->n_learn, n_drawn = (size_t)fmax(1, rint(p->trees.subsample * (double)n));
    struct rng r = rng_stream((uint64_t)p->seed, (uint64_t)f->rounds);
    double sum = 0;
    memset(f->taken, 0, n * sizeof *f->taken);
    if (f->averaged)
        for (size_t i = 0; i < n_drawn; i++)
            f->taken[rng_below(&r, n)]++;
    for (size_t i = 0; i < n; i++) {
        if (!f->averaged)
            f->taken[i] = p->trees.subsample >= 1 || rng_f64(&r) < p->trees.subsample;
        sum += (double)f->taken[i] * (double)row_of(t, i)[ROW_WEIGHT];
    }
    f->quantum = exp2(ceil(log2(sum + 1)) - 51);
}

struct block_job {
    struct trainer *t;
    size_t class;
};

static size_t n_blocks(const struct trainer *t) { return (t->n_learn + BLOCK_ROWS - 1) / BLOCK_ROWS; }

static enum status chance_block(void *ctx, size_t block, size_t thread, struct error *e)
{
    (void)thread, (void)e;
    struct trainer *t = ((const struct block_job *)ctx)->t;
    struct tree_fit *f = t->trees;
    size_t n = t->n_learn, first = block * BLOCK_ROWS, last = first + BLOCK_ROWS < n ? first + BLOCK_ROWS : n;
    float chance[CLASSES_MAX];
    for (size_t i = first; i < last; i++) {
        memcpy(chance, f->sum + i * f->n_classes, f->n_classes * sizeof *chance);
        forest_probabilities(false, chance, f->n_classes);
        for (size_t c = 0; c < f->n_classes; c++)
            f->chance[c * n + i] = chance[c];
    }
    return STATUS_OK;
}

static float rounded(double v, double quantum) { return (float)(rint(v / quantum) * quantum); }

static enum status derive_block(void *ctx, size_t block, size_t thread, struct error *e)
{
    (void)thread, (void)e;
    const struct block_job *job = ctx;
    struct trainer *t = job->t;
    struct tree_fit *f = t->trees;
    size_t n = t->n_learn, first = block * BLOCK_ROWS, last = first + BLOCK_ROWS < n ? first + BLOCK_ROWS : n;
    for (size_t i = first; i < last; i++) {
        const float *row = row_of(t, i);
        double weight = (double)(float)((double)row[ROW_WEIGHT] * f->taken[i]);
        double wanted = (size_t)row[ROW_LABEL] == job->class, gradient = -wanted, hessian = 1;
        if (!f->averaged) {
            double chance = (double)f->chance[job->class * n + i];
            gradient = chance - wanted;
            hessian = fmax(2 * chance * (1 - chance), 1e-16);
        }
        f->gradient[i] = rounded((double)(float)(weight * gradient), f->quantum);
        f->hessian[i] = rounded((double)(float)(weight * hessian), f->quantum);
    }
    return STATUS_OK;
}

/* Adds leaves to the sums of all rows. */
static void add_trees(struct trainer *t, const struct forest *trees)
{
    forest_add(trees, t->rows.learned.row, ROW_STRIDE, t->rows.learn, t->n_learn, t->trees->sum);
    forest_add(trees, t->rows.held.row, ROW_STRIDE, t->rows.held_out, t->n_held_out, t->trees->held_sum);
}

static enum status grow_class(struct trainer *t, size_t class, struct error *e)
{
    struct tree_fit *f = t->trees;
    const struct tree_params *p = &t->header.params.trees;
    struct block_job job = {t, class};
    const uint64_t which[] = {(uint64_t)f->rounds, class};
    const struct tree_settings settings = {
        .max_depth = p->max_depth,
        .max_bin = p->max_bin,
        .eta = f->averaged ? 1 : p->eta,
        .colsample_bynode = p->colsample_bynode,
        .min_child_weight = p->min_child_weight,
        .lambda = f->averaged ? 0 : p->lambda,
        .gamma = p->gamma,
        .seed = (uint32_t)(hash64(which, sizeof which, (uint64_t)t->header.params.seed) >> 33),
    };
    TRY(par_for((size_t)t->header.params.threads, n_blocks(t), derive_block, &job, e));
    return tree_grow(f->grower, &settings, f->gradient, f->hessian, &f->stored, e);
}

static enum status grow_round(struct trainer *t, const struct train_watch *watch, int64_t i, int64_t n, struct error *e)
{
    struct tree_fit *f = t->trees;
    struct block_job job = {t, 0};
    size_t before = f->stored.len, k = f->n_classes;
    take(t);
    if (!f->averaged)
        TRY(par_for((size_t)t->header.params.threads, n_blocks(t), chance_block, &job, e));
    for (size_t c = 0; c < k; c++) {
        if (watch && watch->cancelled && watch->cancelled(watch->ctx))
            return error_set(e, STATUS_CANCELLED, "cancelled in round %lld", (long long)f->rounds + 1);
        TRY(grow_class(t, c, e));
        if (watch && watch->progress) {
            double part = (double)((size_t)i * k + c + 1) / (double)((size_t)n * k);
            watch->progress(watch->ctx, (int64_t)((double)t->n_learn * part), (int64_t)t->n_learn);
        }
    }
    struct forest *trees;
    const float *grown = (const float *)(const void *)(f->stored.data + before);
    TRY(forest_create(grown, (f->stored.len - before) / sizeof *grown, k, f->averaged, &trees, e));
    add_trees(t, trees);
    forest_destroy(trees);
    f->rounds++;
    return STATUS_OK;
}

/* ---- an epoch ----------------------------------------------------------------------------------------------------- */

/* Losses are those of probabilities of at least 1e-7, as in Keras: a forest may be certain, and wrong. */
static void measure(const struct trainer *t, const struct row_set *set, const uint32_t *index, size_t n,
                    const float *sums, struct metrics_auc_bins *auc, struct loss_sums *out)
{
    const struct tree_fit *f = t->trees;
    float score[CLASSES_MAX];
    *out = (struct loss_sums){0};
    for (size_t i = 0; i < n; i++) {
        const float *row = set->row + (size_t)index[i] * ROW_STRIDE;
        size_t label = (size_t)row[ROW_LABEL], best = 0;
        memcpy(score, sums + i * f->n_classes, f->n_classes * sizeof *score);
        forest_probabilities(f->averaged, score, f->n_classes);
        for (size_t c = 1; c < f->n_classes; c++)
            best = score[c] > score[best] ? c : best;
        out->loss -= (double)row[ROW_WEIGHT] * log(fmax((double)score[label], 1e-7));
        out->hits += best == label ? (double)row[ROW_WEIGHT] : 0;
        out->weight += (double)row[ROW_WEIGHT];
        if (auc)
            metrics_auc_bins_add(auc, score, label, (double)row[ROW_WEIGHT]);
    }
}

static int64_t rounds_after(const struct trainer *t, int64_t epochs)
{
    int64_t n = epochs * TREE_ROUNDS_AN_EPOCH, most = t->header.params.trees.n_trees;
    return n < most ? n : most;
}

enum status tree_fit_epoch(struct trainer *t, const struct train_watch *watch, struct epoch_report *out,
                           struct error *e)
{
    int64_t start = time_mono_ns();
    struct tree_fit *f = t->trees;
    struct loss_sums learned, held = {0};
    int64_t n = rounds_after(t, t->fit.epochs_done + 1) - f->rounds;
    for (int64_t i = 0; i < n; i++)
        TRY(grow_round(t, watch, i, n, e));
    measure(t, &t->rows.learned, t->rows.learn, t->n_learn, f->sum, NULL, &learned);
    if (t->n_held_out > 0) {
        metrics_auc_bins_clear(t->auc);
        measure(t, &t->rows.held, t->rows.held_out, t->n_held_out, f->held_sum, t->auc, &held);
    }
    double seconds = (double)(time_mono_ns() - start) * 1e-9;
    bool held_out = held.weight > 0;
    t->fit.epochs_done++;
    *out = (struct epoch_report){.epoch = t->fit.epochs_done,
                                 .loss = learned.loss / learned.weight,
                                 .accuracy = learned.hits / learned.weight,
                                 .val_loss = held_out ? held.loss / held.weight : NAN,
                                 .val_accuracy = held_out ? held.hits / held.weight : NAN,
                                 .val_auc = held_out ? metrics_auc_bins_macro(t->auc) : NAN,
                                 .seconds = seconds,
                                 .samples_per_second = seconds > 0 ? (double)n * (double)t->n_learn / seconds : 0,
                                 .gradient_norm = NAN,
                                 .learning_rate = f->averaged ? NAN : t->header.params.trees.eta};
    t->memory.parameters = (int64_t)f->stored.len;
    if (schedule_epoch_ended(&t->header.params, &t->fit, out))
        f->best_floats = f->stored.len / sizeof(float);
    return STATUS_OK;
}

/* ---- what has grown ----------------------------------------------------------------------------------------------- */

struct float_part tree_fit_stored(const struct trainer *t, bool best)
{
    const struct tree_fit *f = t->trees;
    size_t n = best && t->fit.best_epoch > 0 ? f->best_floats : f->stored.len / sizeof(float);
    return (struct float_part){(const float *)(const void *)f->stored.data, n};
}

enum status tree_fit_restore(struct trainer *t, const float *stored, size_t n_floats, const struct fit_state *state,
                             struct error *e)
{
    struct tree_fit *f = t->trees;
    struct forest *trees;
    size_t bytes = n_floats * sizeof *stored, k = f->n_classes;
    TRY(forest_create(stored, n_floats, k, f->averaged, &trees, e));
    enum status s = STATUS_OK;
    if (state->best_epoch > state->epochs_done ||
        forest_n_trees(trees) != (size_t)rounds_after(t, state->epochs_done) * k)
        s = error_set(e, STATUS_FORMAT, "%zu trees after %lld epochs", forest_n_trees(trees),
                      (long long)state->epochs_done);
    if (s == STATUS_OK && bytes > f->stored.len)
        s = buf_reserve(&f->stored, bytes - f->stored.len, e);
    if (s == STATUS_OK) {
        memset(f->sum, 0, t->n_learn * k * sizeof *f->sum);
        memset(f->held_sum, 0, t->n_held_out * k * sizeof *f->held_sum);
        add_trees(t, trees);
        if (bytes > 0)
            memcpy(f->stored.data, stored, bytes);
        f->stored.len = bytes;
        f->best_floats = forest_n_floats(trees, (size_t)rounds_after(t, state->best_epoch) * k);
        f->rounds = rounds_after(t, state->epochs_done);
        t->fit = *state;
        t->broken = false;
    }
    forest_destroy(trees);
    return s;
}
