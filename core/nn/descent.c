/* core/nn/descent.c
 *
 * What optimisers share: plain gradient descent, weight decay, and the length of gradients. */
#include "core/nn/net.h"

#include <math.h>

void sgd_update(const struct sgd_params *s, size_t n, const float *grads, float *params, float *velocity)
{
    const struct sgd_step step = {(float)s->rate, (float)s->momentum, s->nesterov};
    kernels_get()->sgd(&step, n, grads, params, velocity);
}

void weight_decay(double rate, double decay, size_t n, float *params)
{
    kernels_get()->scale(n, (float)(1 - rate * decay), params);
}

double gradient_norm(size_t n, const float *grads)
{
    float square = kernels_get()->sum_squares(n, grads);
    if (isfinite(square))
        return sqrt((double)square);
    double sum = 0;                                           /* large but perhaps finite */
    for (size_t i = 0; i < n; i++)
        sum += (double)grads[i] * (double)grads[i];
    return sqrt(sum);
}

void gradient_clip(double norm, double most, size_t n, float *grads)
{
    if (norm > most)
        kernels_get()->scale(n, (float)(most / norm), grads);
}
