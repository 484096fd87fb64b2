/* core/model/train.c
 *
 * Fitting a network: epochs of shuffled minibatches, softmax cross-entropy.  What happens to a step's rows is in
 * train_step.c. */
#include "core/model/trainer.h"

#include "core/model/graph.h"
#include "core/model/tree_fit.h"

#include <math.h>
#include <string.h>

enum { PROGRESS_ROWS = 16384 };

/* ---- lifetime ---------------------------------------------------------------------------------------------------- */

static enum status no_memory(const struct trainer *t, struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory to train %zu parameters", t->n_params);
}

static enum status make_network(struct trainer *t, const struct model_header *header, struct error *e)
{
    TRY(header_check(header, &t->scaler, e));
    TRY(field_copy(&t->arena, model_header_fields, header, &t->header, e));
    t->input = estimator_input(&t->header.params);
    TRY(estimator_resolve(&t->arena, &t->header.params, t->header.classes.n_items, e));
    t->header.estimator = estimator_names[t->header.params.model];
    if (tree_estimator(&t->header.params))
        return STATUS_OK;
    TRY(estimator_network(&t->header.params, t->header.classes.n_items, &t->net, e));
    t->n_params = net_n_params(t->net);
    t->header.n_params = (int64_t)t->n_params;
    return STATUS_OK;
}

static enum status take_input(struct trainer *t, const struct train_input *input, struct error *e)
{
    if (input->stream)
        return feed_open(t, input, e);
    TRY(train_rows_init(&t->rows, &t->header, &t->scaler, input->data, input->validation, e));
    t->n_learn = t->rows.n_learn;
    t->n_held_out = t->rows.n_held_out;
    t->fingerprint = t->rows.fingerprint;
    t->header.params.shuffle_rows = 0;
    size_t n = input->data->n + (input->validation ? input->validation->n : 0);
    t->memory.rows = (int64_t)(n * (ROW_STRIDE * sizeof(float) + sizeof(uint32_t)));
    return STATUS_OK;
}

/* Parameters, moments, and the best epoch's parameters where they are kept. */
static enum status make_state(struct trainer *t, struct error *e)
{
    const struct train_params *p = &t->header.params;
    size_t n = t->n_params, moments = p->optimizer == OPTIMIZER_ADAM ? 2 : 1, best = schedule_keeps_best(p);
    t->n_state = (1 + moments + best) * n;
    t->state = mem_aligned(t->n_state * sizeof *t->state);
    if (!t->state)
        return no_memory(t, e);
    t->params = t->state;
    t->m = t->params + n;
    t->v = moments == 2 ? t->m + n : NULL;
    t->best = best ? t->m + moments * n : NULL;
    t->memory.parameters = (int64_t)(n * sizeof *t->state);
    t->memory.optimizer = (int64_t)((t->n_state - n) * sizeof *t->state);
    net_init(t->net, (uint64_t)p->seed, t->params);
    return STATUS_OK;
}

/* All working memory of all epochs. */
static enum status make_workspace(struct trainer *t, struct error *e)
{
    size_t batch = (size_t)t->header.params.batch_size, room = t->feed ? feed_window_rows(t->feed) : t->n_learn;
    batch = batch < room ? batch : room;
    size_t held = t->feed && t->n_held_out > room ? room : t->n_held_out, most = batch > held ? batch : held;
    size_t for_step = shards_for(t, batch), for_held_out = shards_for(t, held);
    t->n_shards = for_step > for_held_out ? for_step : for_held_out;
    t->order = mem_alloc(room * sizeof *t->order);
    t->scores = mem_alloc(held * t->header.classes.n_items * sizeof *t->scores + 1);
    if (t->input != INPUT_HLF)
        t->by_length = mem_alloc(2 * most * sizeof *t->by_length);
    if (!t->order || !t->scores || (t->input != INPUT_HLF && !t->by_length))
        return no_memory(t, e);
    t->dealt = t->by_length ? t->by_length + most : NULL;
    if (t->n_held_out > 0)
        TRY(metrics_auc_bins_create(t->header.classes.n_items, &t->auc, e));
    t->memory.rows += (int64_t)(room * sizeof *t->order + held * t->header.classes.n_items * sizeof *t->scores);
    size_t chunk = batch < CHUNK_ROWS && held == 0 ? batch : CHUNK_ROWS, bytes;
    chunk = t->input != INPUT_HLF ? SEQUENCE_ROWS : chunk;
    for (size_t i = 0; i < t->n_shards; i++) {
        TRY(shard_init(&t->shards[i], t, chunk, &bytes, e));
        t->memory.workspace += (int64_t)bytes;
    }
    t->memory.shards = (int64_t)t->n_shards;
    return STATUS_OK;
}

static enum status trainer_init(struct trainer *t, const struct model_header *header, const struct train_input *input,
                                struct error *e)
{
    TRY(make_network(t, header, e));
    if (tree_estimator(&t->header.params))
        return tree_fit_open(t, input, e);
    TRY(take_input(t, input, e));
    TRY(train_params_check_watch(&t->header.params, t->n_held_out > 0, e));
    fit_state_init(&t->fit);
    TRY(make_state(t, e));
    return make_workspace(t, e);
}

enum status trainer_create_from(const struct model_header *header, const struct train_input *input,
                                struct trainer **out, struct error *e)
{
    *out = NULL;
    struct trainer *t = mem_calloc(1, sizeof *t);
    if (!t)
        return error_set(e, STATUS_NOMEM, "no memory for a trainer");
    arena_init(&t->arena, 16 << 20);
    enum status s = trainer_init(t, header, input, e);
    if (s != STATUS_OK) {
        trainer_destroy(t);
        return error_wrap(e, "training");
    }
    *out = t;
    return STATUS_OK;
}

enum status trainer_create(const struct model_header *header, const struct train_data *data, struct trainer **out,
                           struct error *e)
{
    const struct train_input input = {.data = data};
    return trainer_create_from(header, &input, out, e);
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
    mem_free(t->scores);
    metrics_auc_bins_destroy(t->auc);
    feed_close(t->feed);
    tree_fit_close(t->trees);
    train_rows_fini(&t->rows);
    net_destroy(t->net);
    arena_fini(&t->arena);
    mem_free(t);
}

int64_t trainer_epochs_done(const struct trainer *t) { return t->fit.epochs_done; }
struct train_memory trainer_memory(const struct trainer *t) { return t->memory; }

struct train_outcome trainer_outcome(const struct trainer *t)
{
    return (struct train_outcome){t->fit.stopped, t->fit.best_epoch, t->fit.best};
}

enum status trainer_model(const struct trainer *t, struct model **out, struct error *e)
{
    struct model_header h = t->header;
    bool best = t->fit.best_epoch > 0;
    h.n_train = (int64_t)t->n_learn;
    h.epochs_done = t->fit.epochs_done;
    h.train_loss = best ? t->fit.best_train_loss : t->fit.train_loss;
    h.val_loss = best ? t->fit.best_val_loss : t->fit.val_loss;
    h.best_epoch = t->fit.best_epoch;
    h.stopped_early = t->fit.stopped;
    if (t->trees) {
        struct float_part stored = tree_fit_stored(t, best);
        return model_create(&h, stored.v, stored.n, NULL, out, e);
    }
    return model_create(&h, best ? t->best : t->params, t->n_params, NULL, out, e);
}

/* ---- an epoch ---------------------------------------------------------------------------------------------------- */

struct epoch {
    struct trainer *t;
    const struct train_watch *watch;
    struct rng rng;
    struct epoch_sums sums;
    size_t told;
};

/* Steps over rows index[0..n), which are put in random order. */
static enum status learn(struct epoch *k, const struct row_set *set, uint32_t *index, size_t n, struct error *e)
{
    struct trainer *t = k->t;
    const struct train_watch *watch = k->watch;
    size_t batch = (size_t)t->header.params.batch_size;
    rng_shuffle_u32(&k->rng, index, n);
    for (size_t done = 0; done < n;) {
        if (watch && watch->cancelled && watch->cancelled(watch->ctx))
            return error_set(e, STATUS_CANCELLED, "cancelled in epoch %lld after %zu of %zu rows",
                             (long long)t->fit.epochs_done + 1, k->sums.n_done, t->n_learn);
        size_t rows = n - done < batch ? n - done : batch;
        TRY(step_run(t, set, index + done, rows, index + n, &k->sums, e));
        done += rows;
        if (watch && watch->progress && (k->sums.n_done - k->told >= PROGRESS_ROWS || k->sums.n_done == t->n_learn)) {
            watch->progress(watch->ctx, (int64_t)k->sums.n_done, (int64_t)t->n_learn);
            k->told = k->sums.n_done;
        }
    }
    return STATUS_OK;
}

static uint32_t *all_of(struct trainer *t, const struct window *w)
{
    for (size_t i = 0; i < w->n; i++)
        t->order[i] = (uint32_t)i;
    return t->order;
}

static enum status learn_window(void *ctx, struct window *w, struct error *e)
{
    struct epoch *k = ctx;
    return learn(k, &w->set, all_of(k->t, w), w->n, e);
}

static enum status hold_window(void *ctx, struct window *w, struct error *e)
{
    struct epoch *k = ctx;
    if (k->watch && k->watch->cancelled && k->watch->cancelled(k->watch->ctx))
        return error_set(e, STATUS_CANCELLED, "cancelled behind the rows of epoch %lld",
                         (long long)k->t->fit.epochs_done + 1);
    return held_out_run(k->t, &w->set, all_of(k->t, w), w->n, &k->sums, e);
}

static enum status learn_all(struct epoch *k, struct error *e)
{
    struct trainer *t = k->t;
    if (t->feed)
        return feed_learn(t, learn_window, k, e);
    memcpy(t->order, t->rows.learn, t->n_learn * sizeof *t->order);
    return learn(k, &t->rows.learned, t->order, t->n_learn, e);
}

static enum status hold_all(struct epoch *k, struct error *e)
{
    struct trainer *t = k->t;
    if (t->n_held_out == 0)
        return STATUS_OK;
    metrics_auc_bins_clear(t->auc);
    if (t->feed)
        return feed_held_out(t, hold_window, k, e);
    return held_out_run(t, &t->rows.held, t->rows.held_out, t->n_held_out, &k->sums, e);
}

static bool all_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

static enum status epoch(struct trainer *t, const struct train_watch *watch, struct epoch_report *out, struct error *e)
{
    int64_t start = time_mono_ns();
    struct epoch k = {.t = t, .watch = watch};
    k.rng = rng_stream((uint64_t)t->header.params.seed, (uint64_t)t->fit.epochs_done);
    const struct epoch_sums *s = &k.sums;
    TRY(learn_all(&k, e));
    if (!all_finite(t->params, t->n_params))
        return error_set(e, STATUS_RANGE, "epoch %lld, step %lld: the parameters are no longer finite",
                         (long long)t->fit.epochs_done + 1, (long long)s->n_steps);
    TRY(hold_all(&k, e));
    double seconds = (double)(time_mono_ns() - start) * 1e-9;
    bool held_out = s->held_out.weight > 0;
    t->fit.epochs_done++;
    *out = (struct epoch_report){.epoch = t->fit.epochs_done,
                                 .loss = s->learned.loss / s->learned.weight,
                                 .accuracy = s->learned.hits / s->learned.weight,
                                 .val_loss = held_out ? s->held_out.loss / s->held_out.weight : NAN,
                                 .val_accuracy = held_out ? s->held_out.hits / s->held_out.weight : NAN,
                                 .val_auc = held_out ? metrics_auc_bins_macro(t->auc) : NAN,
                                 .seconds = seconds,
                                 .samples_per_second = seconds > 0 ? (double)t->n_learn / seconds : 0,
                                 .gradient_norm = s->norms / (double)s->n_steps,
                                 .learning_rate = s->rate};
    if (schedule_epoch_ended(&t->header.params, &t->fit, out))
        memcpy(t->best, t->params, t->n_params * sizeof *t->best);
    return STATUS_OK;
}

enum status trainer_epoch(struct trainer *t, const struct train_watch *watch, struct epoch_report *out,
                          struct error *e)
{
    check(!t->broken);
    enum status s = t->trees ? tree_fit_epoch(t, watch, out, e) : epoch(t, watch, out, e);
    t->broken = s != STATUS_OK;
    return s == STATUS_OK ? s : error_wrap(e, "training");
}
