/* core/nn/kernels/portable.c
 *
 * The kernels in plain C, for any machine.  Where the machine has no fused multiply-add, one is computed exactly out of
 * float64 operations: slower, but the same bits as everywhere else. */
#include "core/nn/kernels/kernels.h"

#include <math.h>
#include <string.h>

#define KERNELS_TABLE kernels_portable
#define KERNELS_NAME "portable"
#define TARGET
#define INLINE static inline
#define UNROLL
enum {
    TILE_OUT = 1, TILE_GROUPS = 1, TILE_OUT_NARROW = 1, TILE_GROUPS_NARROW = 0, TILE_GRAD = 1,
    ROWS_TILE = 1, ROWS_GROUPS = 1, STEP_GROUPS = 1
};

typedef struct { float f[NN_LANES]; } vec;

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Operations on a vec are calls where a fused step is computed: they cost little next to it, and inlining all of it
 * makes a sanitizer build of this file take minutes. */
#ifdef __FP_FAST_FMAF
#define OP static inline
static inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
#define OP static __attribute__((noinline))
/* a * b + c rounded once.  The product of two float32 is exact in float64; the sum is not, so it is rounded to odd
 * (the last bit of an inexact sum is set), after which rounding to float32 is right: 53 >= 24 + 2 bits
 * (Boldo and Melquiond 2008, doi:10.1109/TC.2007.70819). */
static inline float fused(float a, float b, float c)
{
    double product = (double)a * b, sum = product + c;
    double back = sum - product, lost = (product - (sum - back)) + ((double)c - back);
    uint64_t u;
    memcpy(&u, &sum, sizeof u);
    if (lost != 0 && (u & 1) == 0 && isfinite(sum)) {
        u = (lost > 0) == (sum > 0) ? u + 1 : u - 1;
        memcpy(&sum, &u, sizeof u);
    }
    return (float)sum;
}
#endif

#define LANEWISE(expr) vec r; for (size_t l = 0; l < NN_LANES; l++) r.f[l] = (expr); return r

OP vec v_set1(float x) { LANEWISE(x); }
OP vec v_load(const float *p) { LANEWISE(p[l]); }
OP vec v_load_n(const float *p, size_t n) { LANEWISE(l < n ? p[l] : 0); }
OP void v_store(float *p, vec v) { memcpy(p, v.f, sizeof v.f); }
OP void v_store_n(float *p, size_t n, vec v) { memcpy(p, v.f, n * sizeof *p); }
OP vec v_add(vec a, vec b) { LANEWISE(a.f[l] + b.f[l]); }
OP vec v_sub(vec a, vec b) { LANEWISE(a.f[l] - b.f[l]); }
OP vec v_mul(vec a, vec b) { LANEWISE(a.f[l] * b.f[l]); }
OP vec v_div(vec a, vec b) { LANEWISE(a.f[l] / b.f[l]); }
OP vec v_sqrt(vec a) { LANEWISE(sqrtf(a.f[l])); }
OP vec v_max(vec a, vec b) { LANEWISE(a.f[l] > b.f[l] ? a.f[l] : b.f[l]); }
OP vec v_min(vec a, vec b) { LANEWISE(a.f[l] < b.f[l] ? a.f[l] : b.f[l]); }
OP vec v_fma(vec a, vec b, vec c) { LANEWISE(fused(a.f[l], b.f[l], c.f[l])); }
OP vec v_pick_ge(vec a, vec b, vec x, vec y) { LANEWISE(a.f[l] >= b.f[l] ? x.f[l] : y.f[l]); }
OP vec v_pick_gt(vec a, vec b, vec x, vec y) { LANEWISE(a.f[l] > b.f[l] ? x.f[l] : y.f[l]); }
OP vec v_pick_eq(vec a, vec b, vec x, vec y) { LANEWISE(a.f[l] == b.f[l] ? x.f[l] : y.f[l]); }
/* x times 2^n, where n stands in the low bits of t, and x and the product are normal. */
OP vec v_scale2(vec x, vec t) { LANEWISE(float_of(bits_of(x.f[l]) + (bits_of(t.f[l]) << 23))); }
OP vec v_split(vec x, vec *exponent)
{
    vec m;
    for (size_t l = 0; l < NN_LANES; l++) {
        uint32_t u = bits_of(x.f[l]);
        int32_t n = (int32_t)(u - SQRT_HALF_BITS) >> 23;
        exponent->f[l] = (float)n;
        m.f[l] = float_of(u - ((uint32_t)n << 23));
    }
    return m;
}
OP float v_sum(vec v)
{
    for (size_t apart = NN_LANES / 2; apart > 0; apart /= 2)
        for (size_t l = 0; l < apart; l++)
            v.f[l] += v.f[l + apart];
    return v.f[0];
}
/* out[i * n_j + j] += sum of the lanes of acc[j][i]. */
OP void v_sum_tile(const vec acc[TILE_GRAD][TILE_GRAD], size_t n_i, size_t n_j, size_t stride, float *out)
{
    for (size_t i = 0; i < n_i; i++)
        for (size_t j = 0; j < n_j; j++)
            out[i * stride + j] += v_sum(acc[j][i]);
}

#include "core/nn/kernels/body.h"
