/* core/nn/add.c
 *
 * The sum of values of one shape: residual connections. */
#include "core/nn/layer.h"

#include <string.h>

static enum status shape(struct layer *l, struct error *e)
{
    for (size_t i = 1; i < l->n_inputs; i++)
        if (!shape_equal(l->in[i], l->in[0]))
            return error_set(e, STATUS_ARGUMENT, "input %zu has another shape than input 0", i);
    l->out = l->in[0];
    return STATUS_OK;
}

static size_t n_numbers(const struct layer *l, const struct layer_call *c)
{
    return layer_steps(&l->out, c) * l->out.features * c->ld;
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    size_t n = n_numbers(l, c);
    memcpy(c->out, c->in[0], n * sizeof *c->out);
    for (size_t i = 1; i < l->n_inputs; i++)
        c->k->add(n, c->in[i], c->out);
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    size_t n = n_numbers(l, c), all = shape_numbers(l->out) * c->ld;
    for (size_t i = 0; i < l->n_inputs; i++) {
        if (c->d_in[i] && c->add_in[i])
            c->k->add(n, c->d_out, c->d_in[i]);
        else if (c->d_in[i])
            memcpy(c->d_in[i], c->d_out, all * sizeof *c->d_out);
    }
}

const struct layer_kind layer_add = {
    .name = "add",
    .doc = "sum of values of one shape",
    .inputs_min = 1,
    .inputs_max = LAYER_INPUTS_MAX,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
