/* core/nn/kernels/avx2.c
 *
 * The kernels for AVX2 with FMA: a vec is two registers of 8 lanes. */
#include "core/nn/kernels/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define KERNELS_TABLE kernels_avx2
#define KERNELS_NAME "avx2"
#define TARGET __attribute__((target("avx2,fma")))
#define OP static inline TARGET __attribute__((always_inline))
enum {
    TILE_OUT = 5, TILE_GROUPS = 1, TILE_OUT_NARROW = 5, TILE_GROUPS_NARROW = 0, TILE_GRAD = 2,
    ROWS_TILE = 4, ROWS_GROUPS = 1, STEP_GROUPS = 5
};

typedef struct { __m256 lo, hi; } vec;

#define BOTH(expr_lo, expr_hi) return (vec){(expr_lo), (expr_hi)}

OP vec v_set1(float x) { BOTH(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
OP vec v_load(const float *p) { BOTH(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
OP void v_store(float *p, vec v) { _mm256_storeu_ps(p, v.lo); _mm256_storeu_ps(p + 8, v.hi); }

/* Lanes [from, from + 8) below n. */
OP __m256i lanes_below(size_t n, int from)
{
    __m256i lane = _mm256_add_epi32(_mm256_set1_epi32(from), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}
OP vec v_load_n(const float *p, size_t n)
{
    if (n == NN_LANES)
        return v_load(p);
    BOTH(_mm256_maskload_ps(p, lanes_below(n, 0)), _mm256_maskload_ps(p + 8, lanes_below(n, 8)));
}
OP void v_store_n(float *p, size_t n, vec v)
{
    if (n == NN_LANES) {
        v_store(p, v);
        return;
    }
    _mm256_maskstore_ps(p, lanes_below(n, 0), v.lo);
    _mm256_maskstore_ps(p + 8, lanes_below(n, 8), v.hi);
}
OP vec v_add(vec a, vec b) { BOTH(_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)); }
OP vec v_sub(vec a, vec b) { BOTH(_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)); }
OP vec v_mul(vec a, vec b) { BOTH(_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)); }
OP vec v_div(vec a, vec b) { BOTH(_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)); }
OP vec v_sqrt(vec a) { BOTH(_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)); }
OP vec v_max(vec a, vec b) { BOTH(_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)); }
OP vec v_min(vec a, vec b) { BOTH(_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)); }
OP vec v_fma(vec a, vec b, vec c) { BOTH(_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)); }

#define PICK(how) BOTH(_mm256_blendv_ps(y.lo, x.lo, _mm256_cmp_ps(a.lo, b.lo, how)), \
                       _mm256_blendv_ps(y.hi, x.hi, _mm256_cmp_ps(a.hi, b.hi, how)))
OP vec v_pick_ge(vec a, vec b, vec x, vec y) { PICK(_CMP_GE_OQ); }
OP vec v_pick_gt(vec a, vec b, vec x, vec y) { PICK(_CMP_GT_OQ); }
OP vec v_pick_eq(vec a, vec b, vec x, vec y) { PICK(_CMP_EQ_OQ); }

/* x times 2^n, where n stands in the low bits of t, and x and the product are normal. */
OP __m256 scale2_8(__m256 x, __m256 t)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
OP vec v_scale2(vec x, vec t) { BOTH(scale2_8(x.lo, t.lo), scale2_8(x.hi, t.hi)); }

OP __m256 split_8(__m256 x, __m256 *exponent)
{
    __m256i u = _mm256_castps_si256(x);
    __m256i n = _mm256_srai_epi32(_mm256_sub_epi32(u, _mm256_set1_epi32(SQRT_HALF_BITS)), 23);
    *exponent = _mm256_cvtepi32_ps(n);
    return _mm256_castsi256_ps(_mm256_sub_epi32(u, _mm256_slli_epi32(n, 23)));
}
OP vec v_split(vec x, vec *exponent) { BOTH(split_8(x.lo, &exponent->lo), split_8(x.hi, &exponent->hi)); }

OP float v_sum(vec v)
{
    __m256 eight = _mm256_add_ps(v.lo, v.hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
/* out[i * stride + j] += sum of the lanes of acc[j][i]. */
OP void v_sum_tile(const vec acc[TILE_GRAD][TILE_GRAD], size_t n_i, size_t n_j, size_t stride, float *out)
{
    for (size_t i = 0; i < n_i; i++)
        for (size_t j = 0; j < n_j; j++)
            out[i * stride + j] += v_sum(acc[j][i]);
}

#include "core/nn/kernels/body.h"

#endif
