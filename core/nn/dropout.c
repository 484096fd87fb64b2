/* core/nn/dropout.c
 *
 * Dropout (Srivastava et al. 2014): while learning, each number is zero with probability `rate` and else multiplied by
 * 1 / (1 - rate).  Which ones is a function of the noise's key, the layer and the row's number, so it does not depend
 * on how rows are batched, and a fit that goes on from a checkpoint drops the same numbers. */
#include "core/nn/layer.h"

#include <string.h>

static const struct field dropout_fields[] = {
    FIELD_F64(struct dropout_config, rate, .required = true, .min = 0, .max = 0.95, .def = 0,
              .doc = "probability of being dropped"),
    FIELD_END};

static enum status shape(struct layer *l, struct error *e)
{
    TRY(field_validate(dropout_fields, l->config, "/dropout", e));
    if (l->in[0].steps > 0)
        return error_set(e, STATUS_ARGUMENT, "its input is a sequence");
    l->out = l->in[0];
    return STATUS_OK;
}

/* The factor of each number, kept for backward. */
static size_t n_state(const struct layer *l, bool training) { return training ? l->out.features : 0; }

static void draw(const struct layer *l, const struct layer_call *c)
{
    double rate = ((const struct dropout_config *)l->config)->rate;
    float kept = (float)(1 / (1 - rate));
    for (size_t r = 0; r < c->n; r++) {
        struct rng random = rng_stream(c->noise->key + c->i_layer, c->noise->row[r]);
        for (size_t f = 0; f < l->out.features; f++)
            c->state[f * c->ld + r] = rng_f64(&random) < rate ? 0 : kept;
    }
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    size_t n = l->out.features * c->ld;
    memcpy(c->out, c->in[0], n * sizeof *c->out);
    if (!c->noise)
        return;
    draw(l, c);
    for (size_t f = 0; f < l->out.features; f++)
        for (size_t i = f * c->ld; i < f * c->ld + c->n; i++)
            c->out[i] *= c->state[i];
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    size_t n = l->out.features * c->ld;
    if (!c->d_in[0])
        return;
    for (size_t f = 0; c->noise && f < l->out.features; f++)
        for (size_t i = f * c->ld; i < f * c->ld + c->n; i++)
            c->d_out[i] *= c->state[i];
    if (c->add_in[0])
        c->k->add(n, c->d_out, c->d_in[0]);
    else
        memcpy(c->d_in[0], c->d_out, n * sizeof *c->d_out);
}

const struct layer_kind layer_dropout = {
    .name = "dropout",
    .doc = "drops numbers at random while learning",
    .fields = dropout_fields,
    .config_size = sizeof(struct dropout_config),
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .n_state = n_state,
    .forward = forward,
    .backward = backward,
};
