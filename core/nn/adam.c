/* core/nn/adam.c
 *
 * Adam: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1 (epsilon is added to the corrected root, as there and in
 * PyTorch). */
#include "core/nn/net.h"

#include <math.h>

/* x^n by squaring: the same bits with every C library. */
static double power(double x, int64_t n)
{
    double result = 1;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1)
            result *= x;
    return result;
}

void adam_update(const struct adam_params *a, int64_t t, size_t n, const float *grads, float *params, float *m,
                 float *v)
{
    check(t > 0);
    struct adam_step step = {
        .beta1 = (float)a->beta1,
        .one_minus_beta1 = (float)(1 - a->beta1),
        .beta2 = (float)a->beta2,
        .one_minus_beta2 = (float)(1 - a->beta2),
        .rate = (float)(a->rate / (1 - power(a->beta1, t))),
        .v_scale = (float)(1 / sqrt(1 - power(a->beta2, t))),
        .epsilon = (float)a->epsilon,
    };
    kernels_get()->adam(&step, n, grads, params, m, v);
}
