/* core/nn/flatten.c
 *
 * All steps of a sequence one after the other, as a flat value of steps x features numbers; those of steps beyond a
 * row's length are zero, whatever stands there. */
#include "core/nn/layer.h"

#include <string.h>

static enum status shape(struct layer *l, struct error *e)
{
    if (l->in[0].steps == 0)
        return error_set(e, STATUS_ARGUMENT, "its input must be a sequence");
    size_t n = shape_numbers(l->in[0]);
    if (n > LAYER_FLAT_MAX)
        return error_set(e, STATUS_RANGE, "%zu steps of %zu features are more than %d numbers: fewer features, or "
                         "mean_pool", l->in[0].steps, l->in[0].features, LAYER_FLAT_MAX);
    l->out = (struct shape){n, 0};
    return STATUS_OK;
}

/* Copies what rows have of `from`, zero elsewhere; adds to `to` if `add`. */
static void copy_real(const struct layer *l, const struct layer_call *c, const float *from, bool add, float *to)
{
    size_t size = l->in[0].features * c->ld, steps = l->in[0].steps, n_steps = layer_steps(&l->in[0], c);
    for (size_t step = 0; step < n_steps; step++) {
        const float *x = from + step * size;
        float *out = to + step * size;
        if (add)
            c->k->add(size, x, out);
        else
            memcpy(out, x, size * sizeof *out);
        for (size_t r = 0; !add && c->length && r < c->n; r++)
            for (size_t f = 0; step >= c->length[r] && f < l->in[0].features; f++)
                out[f * c->ld + r] = 0;
    }
    if (!add)
        memset(to + n_steps * size, 0, (steps - n_steps) * size * sizeof *to);
}

static void forward(const struct layer *l, const struct layer_call *c) { copy_real(l, c, c->in[0], false, c->out); }

/* Gradients of zeros that stand for nothing must not reach the sequence. */
static void backward(const struct layer *l, const struct layer_call *c)
{
    if (!c->d_in[0])
        return;
    if (c->add_in[0])
        copy_real(l, c, c->d_out, false, c->d_out);
    copy_real(l, c, c->d_out, c->add_in[0], c->d_in[0]);
}

const struct layer_kind layer_flatten = {
    .name = "flatten",
    .doc = "all steps of a sequence one after the other",
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
