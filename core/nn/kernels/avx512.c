/* core/nn/kernels/avx512.c
 *
 * The kernels for AVX-512: a vec is one register. */
#include "core/nn/kernels/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define KERNELS_TABLE kernels_avx512
#define KERNELS_NAME "avx512"
#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")))
#define OP static inline TARGET __attribute__((always_inline))
enum {
    TILE_OUT = 5, TILE_GROUPS = 4, TILE_OUT_NARROW = 10, TILE_GROUPS_NARROW = 2, TILE_GRAD = 4,
    ROWS_TILE = 4, ROWS_GROUPS = 5, STEP_GROUPS = 10
};

typedef __m512 vec;

OP vec v_set1(float x) { return _mm512_set1_ps(x); }
OP vec v_load(const float *p) { return _mm512_loadu_ps(p); }
OP void v_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
OP vec v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
OP void v_store_n(float *p, size_t n, vec v) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v); }
OP vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
OP vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
OP vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
OP vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
OP vec v_sqrt(vec a) { return _mm512_sqrt_ps(a); }
OP vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
OP vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
OP vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }

#define PICK(how) return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, how), y, x)
OP vec v_pick_ge(vec a, vec b, vec x, vec y) { PICK(_CMP_GE_OQ); }
OP vec v_pick_gt(vec a, vec b, vec x, vec y) { PICK(_CMP_GT_OQ); }
OP vec v_pick_eq(vec a, vec b, vec x, vec y) { PICK(_CMP_EQ_OQ); }

/* x times 2^n, where n stands in the low bits of t, and x and the product are normal. */
OP vec v_scale2(vec x, vec t)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
OP vec v_split(vec x, vec *exponent)
{
    __m512i u = _mm512_castps_si512(x);
    __m512i n = _mm512_srai_epi32(_mm512_sub_epi32(u, _mm512_set1_epi32(SQRT_HALF_BITS)), 23);
    *exponent = _mm512_cvtepi32_ps(n);
    return _mm512_castsi512_ps(_mm512_sub_epi32(u, _mm512_slli_epi32(n, 23)));
}

OP float v_sum(vec v)
{
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* x and y folded: quarters 0 and 1 of `first`/`second` selections added. */
#define FOLD_QUARTERS(x, y, first, second) \
    _mm512_add_ps(_mm512_shuffle_f32x4(x, y, first), _mm512_shuffle_f32x4(x, y, second))
#define FOLD_LANES(x, y, first, second) \
    _mm512_add_ps(_mm512_shuffle_ps(x, y, first), _mm512_shuffle_ps(x, y, second))

/* out[i * stride + j] += sum of the lanes of acc[j][i], all 16 sums together: each step folds two registers into one
 * (8, 4, 2, then 1 apart), and at the end quarter i holds the sums of row i. */
OP void v_sum_tile(const vec acc[TILE_GRAD][TILE_GRAD], size_t n_i, size_t n_j, size_t stride, float *out)
{
    vec four[TILE_GRAD];
    _Pragma("GCC unroll 4") for (size_t j = 0; j < TILE_GRAD; j++) {
        vec a = FOLD_QUARTERS(acc[j][0], acc[j][1], 0x44, 0xee), b = FOLD_QUARTERS(acc[j][2], acc[j][3], 0x44, 0xee);
        four[j] = FOLD_QUARTERS(a, b, 0x88, 0xdd);
    }
    vec low = FOLD_LANES(four[0], four[1], 0x44, 0xee), high = FOLD_LANES(four[2], four[3], 0x44, 0xee);
    vec sums = FOLD_LANES(low, high, 0x88, 0xdd);
    __mmask8 mask = (__mmask8)((1u << n_j) - 1);
    __m128 row[TILE_GRAD] = {_mm512_castps512_ps128(sums), _mm512_extractf32x4_ps(sums, 1),
                             _mm512_extractf32x4_ps(sums, 2), _mm512_extractf32x4_ps(sums, 3)};
    _Pragma("GCC unroll 4") for (size_t i = 0; i < n_i; i++) {
        float *at = out + i * stride;
        _mm_mask_storeu_ps(at, mask, _mm_add_ps(_mm_maskz_loadu_ps(mask, at), row[i]));
    }
}

#define KERNELS_ROWS_TO_LANES rows_to_lanes
/* Up to four numbers at p; those beyond n are zero, and not read. */
OP __m128 load_quarter(const float *p, size_t n)
{
    return n >= 4 ? _mm_loadu_ps(p) : _mm_maskz_loadu_ps((__mmask8)((1u << n) - 1), p);
}

/* n_features <= 4 of 16 rows; rows from n_rows on are zero.  Register i first takes rows i, i + 4, i + 8 and i + 12, a
 * quarter each; transposing within the quarters leaves one feature of all rows in each. */
OP void quarter_to_lanes(const float *const row[NN_LANES], size_t n_rows, size_t n_features, size_t ld, float *out)
{
    __m512 q[4];
    _Pragma("GCC unroll 4") for (size_t i = 0; i < 4; i++) {
        q[i] = _mm512_castps128_ps512(load_quarter(row[i], i < n_rows ? n_features : 0));
        q[i] = _mm512_insertf32x4(q[i], load_quarter(row[i + 4], i + 4 < n_rows ? n_features : 0), 1);
        q[i] = _mm512_insertf32x4(q[i], load_quarter(row[i + 8], i + 8 < n_rows ? n_features : 0), 2);
        q[i] = _mm512_insertf32x4(q[i], load_quarter(row[i + 12], i + 12 < n_rows ? n_features : 0), 3);
    }
    __m512 a = _mm512_unpacklo_ps(q[0], q[1]), b = _mm512_unpacklo_ps(q[2], q[3]);
    __m512 c = _mm512_unpackhi_ps(q[0], q[1]), d = _mm512_unpackhi_ps(q[2], q[3]);
    _mm512_storeu_ps(out, _mm512_shuffle_ps(a, b, 0x44));
    if (n_features > 1)
        _mm512_storeu_ps(out + ld, _mm512_shuffle_ps(a, b, 0xee));
    if (n_features > 2)
        _mm512_storeu_ps(out + 2 * ld, _mm512_shuffle_ps(c, d, 0x44));
    if (n_features > 3)
        _mm512_storeu_ps(out + 3 * ld, _mm512_shuffle_ps(c, d, 0xee));
}

static TARGET void rows_to_lanes(const float *rows, size_t stride, const uint32_t *index, size_t n, size_t n_features,
                                 size_t ld, float *out)
{
    for (size_t first = 0; first < n; first += NN_LANES) {
        size_t n_rows = n - first < NN_LANES ? n - first : NN_LANES, f = 0;
        const float *row[NN_LANES];
        for (size_t l = 0; l < NN_LANES; l++) {
            size_t r = first + (l < n_rows ? l : 0);
            row[l] = rows + (index ? index[r] : r) * stride;
        }
        for (; f + 4 <= n_features; f += 4) {
            if (n_rows == NN_LANES)
                quarter_to_lanes(row, NN_LANES, 4, ld, out + f * ld + first);
            else
                quarter_to_lanes(row, n_rows, 4, ld, out + f * ld + first);
            for (size_t l = 0; l < NN_LANES; l++)
                row[l] += 4;
        }
        if (f < n_features)
            quarter_to_lanes(row, n_rows, n_features - f, ld, out + f * ld + first);
    }
}

#include "core/nn/kernels/body.h"

#endif
