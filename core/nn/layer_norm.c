/* core/nn/layer_norm.c
 *
 * Layer norm over the features of a row, or of each step of a sequence.  A single row has no lanes: there the steps are
 * taken 16 at a time as lanes, which gives the same bits. */
#include "core/nn/layer.h"

#include <string.h>

static const struct field layer_norm_fields[] = {
    FIELD_F64(struct layer_norm_config, epsilon, .min = 1e-12, .max = 1, .def = 1e-6, .doc = "added to the variance"),
    FIELD_END};

static enum status shape(struct layer *l, struct error *e)
{
    TRY(field_validate(layer_norm_fields, l->config, "/layer_norm", e));
    l->out = l->in[0];
    return STATUS_OK;
}

static size_t n_params(const struct layer *l) { return 2 * l->out.features; }

static void init(const struct layer *l, struct rng *r, float *params)
{
    (void)r;
    for (size_t f = 0; f < l->out.features; f++) {
        params[f] = 1;
        params[l->out.features + f] = 0;
    }
}

/* 16 steps as lanes, before and behind; while learning, sums of gamma's and beta's gradients. */
static size_t n_scratch(const struct layer *l, bool training)
{
    (void)training;
    return 2 * l->out.features * NN_LANES;
}

static struct layer_norm_step step_of(const struct layer *l, const struct layer_call *c, size_t step)
{
    size_t features = l->out.features;
    return (struct layer_norm_step){.n_features = features, .lanes = c->lanes, .ld = c->ld, .gamma = c->params,
                                    .epsilon = (float)((const struct layer_norm_config *)l->config)->epsilon,
                                    .x = c->in[0] + step * features * c->ld};
}

/* n <= 16 steps from `first` on of the only row. */
static void forward_row(const struct layer *l, const struct layer_call *c, size_t first, size_t n)
{
    size_t features = l->out.features;
    float *x = c->scratch, *out = c->scratch + features * NN_LANES;
    struct layer_norm_step s = step_of(l, c, 0);
    s.x = x;
    s.lanes = s.ld = NN_LANES;
    c->k->rows_to_lanes(c->in[0] + first * features, features, NULL, n, features, NN_LANES, x);
    c->k->layer_norm_forward(&s, c->params + features, out);
    for (size_t t = 0; t < n; t++)
        for (size_t f = 0; f < features; f++)
            c->out[(first + t) * features + f] = out[f * NN_LANES + t];
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    size_t n_steps = layer_steps(&l->out, c), features = l->out.features;
    for (size_t step = 0; c->ld == 1 && step < n_steps; step += NN_LANES)
        forward_row(l, c, step, n_steps - step < NN_LANES ? n_steps - step : NN_LANES);
    for (size_t step = 0; c->ld > 1 && step < n_steps; step++) {
        struct layer_norm_step s = step_of(l, c, step);
        c->k->layer_norm_forward(&s, c->params + features, c->out + step * features * c->ld);
    }
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    size_t n_steps = layer_steps(&l->out, c), features = l->out.features, size = features * c->ld;
    check(c->ld > 1);
    memset(c->scratch, 0, 2 * features * NN_LANES * sizeof *c->scratch);
    if (c->d_in[0] && !c->add_in[0] && n_steps < l->out.steps)
        memset(c->d_in[0] + n_steps * size, 0, (l->out.steps - n_steps) * size * sizeof *c->d_in[0]);
    for (size_t step = 0; step < n_steps; step++) {
        struct layer_norm_step s = step_of(l, c, step);
        float *d_in = c->d_in[0] ? c->d_in[0] + step * size : NULL;
        c->k->layer_norm_backward(&s, c->d_out + step * size, c->add_in[0], d_in, c->scratch);
    }
    c->k->sum_steps(2 * features, NN_LANES, NN_LANES, 1, 0, c->scratch, c->grads);
}

const struct layer_kind layer_layer_norm = {
    .name = "layer_norm",
    .doc = "each step's features to mean 0 and variance 1, then scaled and shifted",
    .fields = layer_norm_fields,
    .config_size = sizeof(struct layer_norm_config),
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .n_params = n_params,
    .n_scratch = n_scratch,
    .init = init,
    .forward = forward,
    .backward = backward,
};
