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
    l->out = l->in[0];
    return STATUS_OK;
}

/* The factor of each number, kept for backward. */
static size_t n_state(const struct layer *l, bool training) { return training ? shape_numbers(l->out) : 0; }

static double rate_of(const struct layer *l) { return ((const struct dropout_config *)l->config)->rate; }
static bool drops(const struct layer *l, const struct layer_call *c) { return c->noise && rate_of(l) > 0; }

/* Whether row r has the step; a flat value is one step that all have. */
static bool has_step(const struct layer *l, const struct layer_call *c, size_t r, size_t step)
{
    return l->out.steps == 0 || !c->length || step < c->length[r];
}

/* Output i of a row's stream of random numbers is for its number i. */
static void draw(const struct layer *l, const struct layer_call *c, size_t step)
{
    size_t features = l->out.features;
    double rate = rate_of(l);
    float kept = (float)(1 / (1 - rate)), *state = c->state + step * features * c->ld;
    for (size_t r = 0; r < c->n; r++) {
        struct rng random = rng_stream(c->noise->key + c->i_layer, c->noise->row[r]);
        random.counter += step * features;
        for (size_t f = 0; has_step(l, c, r, step) && f < features; f++)
            state[f * c->ld + r] = rng_f64(&random) < rate ? 0 : kept;
    }
}

static void multiply(const struct layer *l, const struct layer_call *c, size_t step, float *x)
{
    size_t first = step * l->out.features;
    for (size_t f = first; f < first + l->out.features; f++)
        for (size_t r = 0; r < c->n; r++)
            x[f * c->ld + r] *= has_step(l, c, r, step) ? c->state[f * c->ld + r] : 1;
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    size_t n_steps = layer_steps(&l->out, c);
    memcpy(c->out, c->in[0], n_steps * l->out.features * c->ld * sizeof *c->out);
    for (size_t step = 0; drops(l, c) && step < n_steps; step++) {
        draw(l, c, step);
        multiply(l, c, step, c->out);
    }
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    size_t n = shape_numbers(l->out) * c->ld;
    if (!c->d_in[0])
        return;
    for (size_t step = 0; drops(l, c) && step < layer_steps(&l->out, c); step++)
        multiply(l, c, step, c->d_out);
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
