/* core/nn/dense.c
 *
 * The fully connected layer, with its activation: a separate pass for relu would cost as much as a narrow layer. */
#include "core/nn/layer.h"

#include <math.h>
#include <string.h>

enum { BLOCK_STEPS = 16 };

static const char *const activation_names[] = {"linear", "relu", NULL};

static const struct field dense_fields[] = {
    FIELD_I64(struct dense_config, units, .required = true, .min = 1, .max = LAYER_WIDTH_MAX, .def = 1,
              .doc = "number of outputs"),
    FIELD_ENUM(struct dense_config, activation, activation_names, .def = ACTIVATION_LINEAR,
               .doc = "what is applied to each output"),
    FIELD_END};

static bool is_relu(const struct layer *l)
{
    return ((const struct dense_config *)l->config)->activation == ACTIVATION_RELU;
}

static enum status shape(struct layer *l, struct error *e)
{
    const struct dense_config *config = l->config;
    TRY(field_validate(dense_fields, config, "/dense", e));
    l->out = (struct shape){(size_t)config->units, l->in[0].steps};
    return STATUS_OK;
}

static size_t n_params(const struct layer *l)
{
    return (l->in[0].features + 1) * l->out.features;
}

static void init(const struct layer *l, struct rng *r, float *params)
{
    size_t n_in = l->in[0].features, n_out = l->out.features;
    double limit = sqrt(6.0 / (double)(n_in + n_out));
    for (size_t i = 0; i < n_in * n_out; i++)
        params[i] = (float)(limit * (2 * rng_f64(r) - 1));
    for (size_t j = 0; j < n_out; j++)
        params[n_in * n_out + j] = 0;
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    size_t n_in = l->in[0].features, n_out = l->out.features;
    size_t n_steps = layer_steps(&l->out, c);
    const float *w = c->params, *b = w + n_in * n_out;
    for (size_t step = 0; step < n_steps; step++) {
        const float *x = c->in[0] + step * n_in * c->ld;
        float *out = c->out + step * n_out * c->ld;
        if (c->ld == 1 && l->out.steps == 0) {
            c->k->dense_forward_row(n_in, n_out, w, b, is_relu(l), x, out);
        } else if (c->ld == 1) {                              /* no room for whole vectors between the steps */
            c->k->product_row(n_in, n_out, w, n_out, b, x, out);
            if (is_relu(l))
                c->k->relu_forward(n_out, out, out);
        } else {
            c->k->dense_forward(n_in, n_out, c->lanes, c->ld, w, b, is_relu(l), x, out);
        }
    }
}

/* The gradients of the parameters are summed over BLOCK_STEPS steps at a time: a sum over lanes costs as much as one
 * over several steps. */
static void backward(const struct layer *l, const struct layer_call *c)
{
    size_t n_in = l->in[0].features, n_out = l->out.features, n_steps = layer_steps(&l->out, c), ld = c->ld;
    const float *w = c->params;
    if (c->d_in[0] && !c->add_in[0] && n_steps < l->out.steps)
        memset(c->d_in[0] + n_steps * n_in * ld, 0, (l->out.steps - n_steps) * n_in * ld * sizeof *w);
    for (size_t first = 0; first < n_steps; first += BLOCK_STEPS) {
        size_t last = first + BLOCK_STEPS < n_steps ? first + BLOCK_STEPS : n_steps;
        const float *x = c->in[0] + first * n_in * ld, *out = c->out + first * n_out * ld;
        float *d = c->d_out + first * n_out * ld;
        if (is_relu(l))
            c->k->relu_backward((last - first) * n_out * ld, out, d, d);
        c->k->outer_steps(&(struct outer_steps){.n_in = n_in, .n_out = n_out, .lanes = c->lanes, .ld = ld,
                                                .n_steps = last - first, .x = x, .d = d, .x_step = n_in * ld,
                                                .d_step = n_out * ld, .gw = c->grads, .gw_row = n_out});
        c->k->sum_steps(n_out, c->lanes, ld, last - first, n_out * ld, d, c->grads + n_in * n_out);
        for (size_t step = first; c->d_in[0] && step < last; step++)
            c->k->dense_backward_input(n_in, n_out, c->lanes, ld, w, c->d_out + step * n_out * ld, c->add_in[0],
                                       c->d_in[0] + step * n_in * ld);
    }
}

const struct layer_kind layer_dense = {
    .name = "dense",
    .doc = "fully connected: act(b + x W)",
    .fields = dense_fields,
    .config_size = sizeof(struct dense_config),
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .n_params = n_params,
    .init = init,
    .forward = forward,
    .backward = backward,
};
