/* core/nn/relu.c
 *
 * max(0, x), element by element; for outputs of layers that have no activation of their own. */
#include "core/nn/layer.h"

static enum status shape(struct layer *l, struct error *e)
{
    (void)e;
    l->out = l->in[0];
    return STATUS_OK;
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    c->k->relu_forward(shape_numbers(l->out) * c->ld, c->in[0], c->out);
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    size_t n = shape_numbers(l->out) * c->ld;
    if (!c->d_in[0])
        return;
    if (!c->add_in[0]) {
        c->k->relu_backward(n, c->out, c->d_out, c->d_in[0]);
        return;
    }
    c->k->relu_backward(n, c->out, c->d_out, c->d_out);
    c->k->add(n, c->d_out, c->d_in[0]);
}

const struct layer_kind layer_relu = {
    .name = "relu",
    .doc = "max(0, x)",
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
