/* core/nn/gru_row.c
 *
 * Scoring a single row through a GRU that resets after the product: no lanes to fill, so the work is in reading the
 * weights.  They are laid out anew for each call, in whole aligned vectors (a copy costs about as much as two steps);
 * the input's products are made for 16 steps at a time. */
#include "core/nn/layer.h"

#include <string.h>

enum { BLOCK_STEPS = 16 };

static size_t padded(size_t n) { return (n + NN_LANES - 1) / NN_LANES * NN_LANES; }

size_t gru_row_scratch(size_t n_in, size_t units)
{
    size_t width = padded(3 * units), state = padded(units);
    return (n_in + units + 2 + BLOCK_STEPS) * width + (BLOCK_STEPS + 2) * state;
}

static float *laid_out(size_t n_rows, size_t n, size_t width, const float *from, float *to)
{
    for (size_t i = 0; i < n_rows; i++) {
        memcpy(to + i * width, from + i * n, n * sizeof *to);
        memset(to + i * width + n, 0, (width - n) * sizeof *to);
    }
    return to + n_rows * width;
}

void gru_row_forward(const struct layer *l, const struct layer_call *c)
{
    size_t n_in = l->in[0].features, units = l->out.features, n = 3 * units, width = padded(n), state = padded(units);
    size_t n_steps = layer_steps(&l->in[0], c);
    const float *bias = c->params + (n_in + units) * n, *recurrent_bias = bias + n;
    float *kernel = c->scratch, *recurrent = laid_out(n_in, n, width, c->params, kernel);
    float *start = laid_out(units, n, width, c->params + n_in * n, recurrent);
    float *sums = laid_out(1, n, width, bias, start);         /* read beyond their end, up to a state more */
    float *sums_x = sums + width + state, *input = sums_x + BLOCK_STEPS * width;
    float *h = input + BLOCK_STEPS * state;
    for (size_t j = 0; j < 2 * units; j++)
        start[j] += recurrent_bias[j];
    memset(sums, 0, (width + state) * sizeof *sums);
    memset(h, 0, state * sizeof *h);
    memset(input, 0, BLOCK_STEPS * state * sizeof *input);
    for (size_t first = 0; first < n_steps; first += BLOCK_STEPS) {
        size_t steps = n_steps - first < BLOCK_STEPS ? n_steps - first : BLOCK_STEPS;
        c->k->product_rows(steps, n_in, width, kernel, width, start, c->in[0] + first * n_in, n_in, sums_x, width);
        for (size_t t = 0; t < steps; t++) {                  /* the candidate's: kept apart, a bias in their place */
            float *candidate = sums_x + t * width + 2 * units;
            memcpy(input + t * state, candidate, units * sizeof *input);
            memcpy(candidate, recurrent_bias + 2 * units, units * sizeof *input);
        }
        c->k->gru_row(&(struct gru_row){.n_steps = steps, .units = units, .width = width, .recurrent = recurrent,
                                        .start = sums_x, .input = input, .input_row = state, .h = h, .sums = sums});
    }
    memcpy(c->out, h, units * sizeof *h);
}
