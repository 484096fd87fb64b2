/* core/nn/gradcheck.c
 *
 * Hand-written gradients against finite differences.  Losses are float32 sums, so a step is chosen large against their
 * rounding and small against their curvature (2^-8 serves).  A relu that turns on or off within the step has no slope
 * there: the pattern of outputs above zero tells. */
#include "core/nn/net.h"

#include <math.h>
#include <string.h>

struct checker {
    const struct net *net;
    struct pass pass;
    float *params;
    const float *const *inputs;
    const uint32_t *length;
    const float *label, *weight;
    size_t n;
    float scale;                       /* 1 / sum of weights */
};

/* Mean loss, leaving values and the output's gradient in the pass. */
static double mean_loss(const struct checker *c)
{
    struct loss_sums sums = {0, 0, 0};
    for (size_t i = 0; i < net_n_inputs(c->net); i++) {
        struct shape s = net_input_shape(c->net, i);
        memcpy(pass_input(&c->pass, i), c->inputs[i], shape_numbers(s) * c->pass.ld * sizeof(float));
    }
    pass_forward(&c->pass, c->params, c->n, c->length);
    pass_loss(&c->pass, c->n, c->label, c->weight, c->scale, &sums);
    return sums.loss * (double)c->scale;
}

/* Which outputs of the layers but the last are above zero, as a hash. */
static uint64_t pattern(const struct checker *c)
{
    uint64_t hash = 0;
    for (size_t i = 0; i + 1 < net_n_layers(c->net); i++) {
        const float *out = pass_layer_output(&c->pass, i);
        for (size_t f = 0; f < shape_numbers(net_layer(c->net, i)->out); f++)
            for (size_t r = 0; r < c->n; r++)
                hash = hash * 0x9E3779B97F4A7C15u + (out[f * c->pass.ld + r] > 0) + 1;
    }
    return hash;
}

static void check_one(const struct checker *c, size_t i, double analytic, double step, uint64_t here,
                      struct gradient_report *out)
{
    float kept = c->params[i];
    c->params[i] = (float)(kept + step);
    double width = (double)c->params[i], up = mean_loss(c);
    bool corner = pattern(c) != here;
    c->params[i] = (float)(kept - step);
    width -= (double)c->params[i];
    double down = mean_loss(c);
    corner |= pattern(c) != here;
    c->params[i] = kept;
    if (corner) {
        out->n_skipped++;
        return;
    }
    double numeric = (up - down) / width;
    double off = fabs(analytic - numeric) / fmax(0.05, fmax(fabs(analytic), fabs(numeric)));
    out->n_checked++;
    if (!(off <= out->worst)) {                               /* NaN counts as worst */
        out->worst = off;
        out->worst_at = i;
    }
}

enum status gradient_check(const struct net *net, const float *params, const float *const *inputs,
                           const uint32_t *length, const float *label, const float *weight, size_t n, double step,
                           struct gradient_report *out, struct error *e)
{
    size_t n_params = net_n_params(net), work_size = pass_work_size(net, n, true);
    float *block = mem_aligned((work_size + 2 * n_params) * sizeof *block);
    uint32_t *row = mem_alloc(n * sizeof *row);
    if (!block || !row) {
        mem_free(block);
        mem_free(row);
        return error_set(e, STATUS_NOMEM, "no memory for a gradient check of %zu parameters", n_params);
    }
    for (size_t r = 0; r < n; r++)
        row[r] = (uint32_t)r;
    struct checker c = {.net = net, .params = block + work_size, .inputs = inputs, .length = length, .label = label,
                        .weight = weight, .n = n};
    float *grads = c.params + n_params;
    memcpy(c.params, params, n_params * sizeof *params);
    pass_init(&c.pass, net, n, true, block);
    struct noise noise = {1, row};
    c.pass.noise = &noise;
    double sum_weight = 0;
    for (size_t r = 0; r < n; r++)
        sum_weight += weight[r];
    c.scale = (float)(1 / sum_weight);
    (void)mean_loss(&c);
    uint64_t here = pattern(&c);
    pass_backward(&c.pass, c.params, n, length, grads);
    *out = (struct gradient_report){0};
    for (size_t i = 0; i < n_params; i++)
        check_one(&c, i, grads[i], step, here, out);
    mem_free(block);
    mem_free(row);
    return STATUS_OK;
}
