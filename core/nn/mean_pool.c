/* core/nn/mean_pool.c
 *
 * Mean over the real steps of a sequence; zero for a row without any. */
#include "core/nn/layer.h"

#include <string.h>

static enum status shape(struct layer *l, struct error *e)
{
    if (l->in[0].steps == 0)
        return error_set(e, STATUS_ARGUMENT, "its input must be a sequence");
    l->out = (struct shape){l->in[0].features, 0};
    return STATUS_OK;
}

static size_t length_of(const struct layer *l, const struct layer_call *c, size_t r)
{
    return c->length ? c->length[r] : l->in[0].steps;
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    size_t features = l->out.features, most = layer_steps(&l->in[0], c);
    memset(c->out, 0, features * c->ld * sizeof *c->out);
    for (size_t step = 0; step < most; step++)
        for (size_t f = 0; f < features; f++) {
            const float *in = c->in[0] + (step * features + f) * c->ld;
            float *out = c->out + f * c->ld;
            for (size_t r = 0; r < c->n; r++)
                out[r] += step < length_of(l, c, r) ? in[r] : 0;
        }
    for (size_t r = 0; r < c->n; r++)
        for (size_t f = 0; length_of(l, c, r) > 0 && f < features; f++)
            c->out[f * c->ld + r] /= (float)length_of(l, c, r);
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    size_t features = l->out.features, steps = l->in[0].steps;
    if (!c->d_in[0])
        return;
    if (!c->add_in[0])
        memset(c->d_in[0], 0, steps * features * c->ld * sizeof *c->d_in[0]);
    for (size_t r = 0; r < c->n; r++)
        for (size_t f = 0; length_of(l, c, r) > 0 && f < features; f++)
            c->d_out[f * c->ld + r] /= (float)length_of(l, c, r);
    for (size_t step = 0; step < layer_steps(&l->in[0], c); step++)
        for (size_t f = 0; f < features; f++) {
            const float *d = c->d_out + f * c->ld;
            float *d_in = c->d_in[0] + (step * features + f) * c->ld;
            for (size_t r = 0; r < c->n; r++)
                d_in[r] += step < length_of(l, c, r) ? d[r] : 0;
        }
}

const struct layer_kind layer_mean_pool = {
    .name = "mean_pool",
    .doc = "mean over the real steps of a sequence",
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .forward = forward,
    .backward = backward,
};
