/* core/nn/attention.c
 *
 * Multi-head self-attention over the real steps of a sequence.
 *
 * Each row alone, its steps as lanes: then all is products (kernels.h), and steps beyond the row's length cost nothing.
 * Weights exist for one head and one block of queries at a time: [keys][BLOCK] numbers instead of heads x steps x
 * steps, and backward computes them again.  Nothing depends on how rows are batched or steps divided into blocks, but
 * for the gradients of the parameters: those are summed row by row, head by head, block by block. */
#include "core/nn/layer.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 /* queries: weights of 801 keys are 205 kB, which stay in the second cache */ };

static const struct field attention_fields[] = {
    FIELD_I64(struct attention_config, heads, .required = true, .min = 1, .max = 64, .def = 1,
              .doc = "number of heads"),
    FIELD_I64(struct attention_config, key_dim, .required = true, .min = 1, .max = 256, .def = 1,
              .doc = "numbers of a query, key or value in a head"),
    FIELD_END};

/* ---- shapes and parameters ------------------------------------------------------------------------------------- */

static size_t heads_of(const struct layer *l) { return (size_t)((const struct attention_config *)l->config)->heads; }
static size_t dim_of(const struct layer *l) { return (size_t)((const struct attention_config *)l->config)->key_dim; }

static enum status shape(struct layer *l, struct error *e)
{
    TRY(field_validate(attention_fields, l->config, "/attention", e));
    if (l->in[0].steps == 0)
        return error_set(e, STATUS_ARGUMENT, "its input must be a sequence");
    l->out = l->in[0];
    return STATUS_OK;
}

/* Query, key and value: [F][heads][dim] and [heads][dim] each; output: [heads][dim][F] and [F]. */
static size_t part_size(const struct layer *l) { return (l->in[0].features + 1) * heads_of(l) * dim_of(l); }

static size_t n_params(const struct layer *l)
{
    return 3 * part_size(l) + (heads_of(l) * dim_of(l) + 1) * l->in[0].features;
}

/* As Keras: Glorot uniform; of kernels with three axes the last one counts as outputs, the one before as inputs, each
 * times the first one. */
static void init(const struct layer *l, struct rng *r, float *params)
{
    size_t features = l->in[0].features, heads = heads_of(l), dim = dim_of(l), kernel = features * heads * dim;
    memset(params, 0, n_params(l) * sizeof *params);
    for (size_t part = 0; part < 4; part++) {
        size_t fans = part < 3 ? features * heads + features * dim : heads * dim + heads * features;
        double limit = sqrt(6.0 / (double)fans);
        for (size_t i = 0; i < kernel; i++)
            params[part * part_size(l) + i] = (float)(limit * (2 * rng_f64(r) - 1));
    }
}

/* ---- working memory: one row's ---------------------------------------------------------------------------------- */

enum { QUERY, KEY, VALUE, PARTS };

struct work {
    const struct layer *l;
    const struct layer_call *c;
    size_t features, heads, dim;
    size_t ld;                         /* from feature to feature of a row: an odd number of cache lines */
    size_t length, lanes;              /* the row's, and rounded up */
    const float *kernel[PARTS], *bias[PARTS], *out_kernel, *out_bias;
    float *x;                          /* [features][ld] */
    float *part[PARTS];                /* [dim][ld]: of one head */
    float *sum;                        /* [features][ld]: the output; backward: gradient of the input */
    float *weights;                    /* [keys][BLOCK] */
    float *query, *context;            /* [dim][BLOCK] */
    float *inverse;                    /* [BLOCK] */
    float *d_out, *d_part[PARTS];      /* backward: [features][ld], [dim][ld] */
    float *d_weights, *d_block, *d_context;                   /* [keys][BLOCK], [features][BLOCK], [dim][BLOCK] */
};

static size_t row_ld(size_t steps)
{
    size_t groups = (steps + NN_LANES - 1) / NN_LANES;
    return (groups | 1) * NN_LANES;
}

static size_t n_scratch(const struct layer *l, bool training)
{
    size_t features = l->in[0].features, dim = dim_of(l), steps = l->in[0].steps, ld = row_ld(steps);
    size_t forward = (2 * features + PARTS * dim) * ld + (steps + 2 * dim + 1) * BLOCK;
    size_t backward = (features + PARTS * dim) * ld + (steps + features + dim) * BLOCK;
    return forward + (training ? backward : 0);
}

static float *take(float **at, size_t n)
{
    float *taken = *at;
    *at += n;
    return taken;
}

static void work_init(struct work *w, const struct layer *l, const struct layer_call *c)
{
    size_t features = l->in[0].features, heads = heads_of(l), dim = dim_of(l), ld = row_ld(l->in[0].steps);
    float *at = c->scratch;
    *w = (struct work){.l = l, .c = c, .features = features, .heads = heads, .dim = dim, .ld = ld};
    for (size_t p = 0; p < PARTS; p++) {
        w->kernel[p] = c->params + p * part_size(l);
        w->bias[p] = w->kernel[p] + features * heads * dim;
        w->part[p] = take(&at, dim * ld);
    }
    w->out_kernel = c->params + PARTS * part_size(l);
    w->out_bias = w->out_kernel + heads * dim * features;
    w->x = take(&at, features * ld);
    w->sum = take(&at, features * ld);
    w->weights = take(&at, l->in[0].steps * BLOCK);
    w->query = take(&at, dim * BLOCK);
    w->context = take(&at, dim * BLOCK);
    w->inverse = take(&at, BLOCK);
    if (!c->training)
        return;
    w->d_out = take(&at, features * ld);
    for (size_t p = 0; p < PARTS; p++)
        w->d_part[p] = take(&at, dim * ld);
    w->d_weights = take(&at, l->in[0].steps * BLOCK);
    w->d_block = take(&at, features * BLOCK);
    w->d_context = take(&at, dim * BLOCK);
}

static void set_row(struct work *w, size_t r)
{
    w->length = w->c->length ? w->c->length[r] : w->l->in[0].steps;
    w->lanes = (w->length + NN_LANES - 1) / NN_LANES * NN_LANES;
}

/* Row r of a sequence: steps become lanes, zero behind the last one. */
static void gather(const struct work *w, const float *from, size_t r, float *to)
{
    size_t step = w->features * w->c->ld;
    for (size_t f = 0; f < w->features; f++) {
        const float *x = from + f * w->c->ld + r;
        float *out = to + f * w->ld;
        for (size_t t = 0; t < w->length; t++)
            out[t] = x[t * step];
        memset(out + w->length, 0, (w->lanes - w->length) * sizeof *out);
    }
}

static void scatter(const struct work *w, const float *from, size_t r, bool add, float *to)
{
    size_t step = w->features * w->c->ld;
    for (size_t f = 0; f < w->features; f++) {
        const float *x = from + f * w->ld;
        float *out = to + f * w->c->ld + r;
        for (size_t t = 0; t < w->length; t++)
            out[t * step] = add ? out[t * step] + x[t] : x[t];
    }
}

static void copy_block(size_t n, size_t lanes, const float *from, size_t from_ld, float *to, size_t to_ld)
{
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * to_ld, from + i * from_ld, lanes * sizeof *to);
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* Queries (divided by the root of their dimension, as Keras does), keys and values of one head. */
static void project(const struct work *w, size_t head)
{
    size_t row = w->heads * w->dim;
    float factor = 1 / sqrtf((float)w->dim);
    for (size_t p = 0; p < PARTS; p++)
        w->c->k->product(w->features, w->dim, w->lanes, w->ld, w->kernel[p] + head * w->dim, row, 1,
                         w->bias[p] + head * w->dim, false, w->x, w->part[p]);
    for (size_t d = 0; d < w->dim; d++)
        for (size_t t = 0; t < w->lanes; t++)
            w->part[QUERY][d * w->ld + t] *= factor;
}

/* Weights of all keys for the queries of a block, to be multiplied by w->inverse. */
static void weigh(const struct work *w, size_t first, size_t lanes)
{
    const struct kernels *k = w->c->k;
    copy_block(w->dim, lanes, w->part[QUERY] + first, w->ld, w->query, BLOCK);
    k->product(w->dim, w->length, lanes, BLOCK, w->part[KEY], w->ld, 1, NULL, false, w->query, w->weights);
    k->attention_weights(w->length, lanes, BLOCK, w->weights, w->inverse);
}

static void mix_values(const struct work *w, size_t lanes)
{
    w->c->k->product(w->length, w->dim, lanes, BLOCK, w->part[VALUE], 1, w->ld, NULL, false, w->weights, w->context);
}

static size_t block_lanes(const struct work *w, size_t first)
{
    return w->lanes - first < BLOCK ? w->lanes - first : BLOCK;
}

static void forward_head(const struct work *w, size_t head)
{
    const struct kernels *k = w->c->k;
    project(w, head);
    for (size_t first = 0; first < w->lanes; first += BLOCK) {
        size_t lanes = block_lanes(w, first);
        weigh(w, first, lanes);
        mix_values(w, lanes);
        k->scale_lanes(w->dim, lanes, BLOCK, w->inverse, w->context);
        copy_block(w->dim, lanes, w->context, BLOCK, w->part[QUERY] + first, w->ld);      /* that query is done with */
    }
    k->product(w->dim, w->features, w->lanes, w->ld, w->out_kernel + head * w->dim * w->features, w->features, 1,
               head ? NULL : w->out_bias, head > 0, w->part[QUERY], w->sum);
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    struct work w;
    work_init(&w, l, c);
    memset(c->out, 0, layer_steps(&l->out, c) * w.features * c->ld * sizeof *c->out);
    for (size_t r = 0; r < c->n; r++) {
        set_row(&w, r);
        if (w.length == 0)
            continue;
        gather(&w, c->in[0], r, w.x);
        for (size_t head = 0; head < w.heads; head++)
            forward_head(&w, head);
        scatter(&w, w.sum, r, false, c->out);
    }
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

/* gw[i][j] += sum over lanes of x(i) d(j). */
static void outer(const struct work *w, size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *x,
                  const float *d, float *gw, size_t gw_row)
{
    w->c->k->outer_steps(&(struct outer_steps){.n_in = n_in, .n_out = n_out, .lanes = lanes, .ld = ld, .n_steps = 1,
                                               .x = x, .d = d, .gw = gw, .gw_row = gw_row});
}

static void backward_block(const struct work *w, size_t head, size_t first, size_t lanes)
{
    const struct kernels *k = w->c->k;
    size_t dim = w->dim, features = w->features, at = head * dim * features, n = w->length;
    float *grads = w->c->grads + (w->out_kernel - w->c->params) + at;
    weigh(w, first, lanes);
    k->scale_lanes(n, lanes, BLOCK, w->inverse, w->weights);
    mix_values(w, lanes);
    copy_block(features, lanes, w->d_out + first, w->ld, w->d_block, BLOCK);
    outer(w, dim, features, lanes, BLOCK, w->context, w->d_block, grads, features);
    k->product(features, dim, lanes, BLOCK, w->out_kernel + at, 1, features, NULL, false, w->d_block, w->d_context);
    outer(w, dim, n, lanes, BLOCK, w->d_context, w->weights, w->d_part[VALUE], w->ld);
    k->product(dim, n, lanes, BLOCK, w->part[VALUE], w->ld, 1, NULL, false, w->d_context, w->d_weights);
    k->attention_weights_backward(n, lanes, BLOCK, w->weights, w->d_weights);
    outer(w, dim, n, lanes, BLOCK, w->query, w->d_weights, w->d_part[KEY], w->ld);
    k->product(n, dim, lanes, BLOCK, w->part[KEY], 1, w->ld, NULL, false, w->d_weights, w->d_context);
    copy_block(dim, lanes, w->d_context, BLOCK, w->d_part[QUERY] + first, w->ld);
}

static void backward_head(const struct work *w, size_t head)
{
    const struct kernels *k = w->c->k;
    size_t row = w->heads * w->dim;
    float factor = 1 / sqrtf((float)w->dim);
    project(w, head);
    for (size_t p = KEY; p < PARTS; p++)
        memset(w->d_part[p], 0, w->dim * w->ld * sizeof *w->d_part[p]);
    for (size_t first = 0; first < w->lanes; first += BLOCK)
        backward_block(w, head, first, block_lanes(w, first));
    for (size_t d = 0; d < w->dim; d++)
        for (size_t t = 0; t < w->lanes; t++)
            w->d_part[QUERY][d * w->ld + t] *= factor;
    for (size_t p = 0; p < PARTS; p++) {
        float *kernel = w->c->grads + (w->kernel[p] - w->c->params) + head * w->dim;
        outer(w, w->features, w->dim, w->lanes, w->ld, w->x, w->d_part[p], kernel, row);
        k->sum_steps(w->dim, w->lanes, w->ld, 1, 0, w->d_part[p], kernel + w->features * row);
        if (w->c->d_in[0])
            k->product(w->dim, w->features, w->lanes, w->ld, w->kernel[p] + head * w->dim, 1, row, NULL, head + p > 0,
                       w->d_part[p], w->sum);
    }
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    struct work w;
    check(c->training && c->ld > 1);
    work_init(&w, l, c);
    if (c->d_in[0] && !c->add_in[0])
        memset(c->d_in[0], 0, shape_numbers(l->in[0]) * c->ld * sizeof *c->d_in[0]);
    for (size_t r = 0; r < c->n; r++) {
        set_row(&w, r);
        if (w.length == 0)
            continue;
        gather(&w, c->in[0], r, w.x);
        gather(&w, c->d_out, r, w.d_out);
        c->k->sum_steps(w.features, w.lanes, w.ld, 1, 0, w.d_out, c->grads + (w.out_bias - c->params));
        for (size_t head = 0; head < w.heads; head++)
            backward_head(&w, head);
        if (c->d_in[0])
            scatter(&w, w.sum, r, c->add_in[0], c->d_in[0]);
    }
}

const struct layer_kind layer_attention = {
    .name = "attention",
    .doc = "multi-head self-attention",
    .fields = attention_fields,
    .config_size = sizeof(struct attention_config),
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .n_params = n_params,
    .n_scratch = n_scratch,
    .init = init,
    .forward = forward,
    .backward = backward,
};
