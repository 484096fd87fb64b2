/* core/nn/concat.c
 *
 * Flat inputs one after the other: where the branches of a network meet. */
#include "core/nn/layer.h"

#include <string.h>

static enum status shape(struct layer *l, struct error *e)
{
    l->out = (struct shape){0, 0};
    for (size_t i = 0; i < l->n_inputs; i++) {
        if (l->in[i].steps > 0)
            return error_set(e, STATUS_ARGUMENT, "concat: input %zu is a sequence", i);
        l->out.features += l->in[i].features;
    }
    if (l->out.features > LAYER_WIDTH_MAX)
        return error_set(e, STATUS_RANGE, "concat: %zu features, at most %d", l->out.features, LAYER_WIDTH_MAX);
    return STATUS_OK;
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    float *out = c->out;
    for (size_t i = 0; i < l->n_inputs; i++) {
        memcpy(out, c->in[i], l->in[i].features * c->ld * sizeof *out);
        out += l->in[i].features * c->ld;
    }
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    const float *d = c->d_out;
    for (size_t i = 0; i < l->n_inputs; i++) {
        size_t n = l->in[i].features * c->ld;
        if (c->d_in[i] && c->add_in[i])
            c->k->add(n, d, c->d_in[i]);
        else if (c->d_in[i])
            memcpy(c->d_in[i], d, n * sizeof *d);
        d += n;
    }
}

const struct layer_kind layer_concat = {
    .name = "concat",
    .doc = "flat inputs one after the other",
    .inputs_min = 1,
    .inputs_max = LAYER_INPUTS_MAX,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
