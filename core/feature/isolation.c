/* core/feature/isolation.c
 *
 * How much activity surrounds a particle: sum of pT in a cone of dR < 0.3, relative to its own pT.
 *
 * The one quadratic term of ingestion (tests/bench/bench_feature has the figures).  Two things keep it small: objects
 * lie in bins of eta, so that a cone visits only the bins that it can reach, and eight candidates that are neighbours
 * in eta share one pass over the objects, a candidate a vector lane.  A lane adds up its objects one by one in the
 * order of the binned list; skipped objects would have added nothing.  So the sum of a candidate is the same bits for
 * every vector width and whoever shares its pass. */
#include "core/feature/internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ETA_BIN_WIDTH 0.1              /* 128 bins: |eta| < 6.4, the outer bins take the rest */
#define ETA_LOW (-0.5 * ETA_BINS * ETA_BIN_WIDTH)
#define CONE_REACH (CONE_RADIUS + 1e-6)        /* so that rounding never hides a bin */
#define CONE_RADIUS2 (CONE_RADIUS * CONE_RADIUS)

static uint32_t eta_bin(double eta)
{
    double bin = (eta - ETA_LOW) * (1 / ETA_BIN_WIDTH);
    if (!(bin > 0))
        return 0;
    return bin < ETA_BINS ? (uint32_t)bin : ETA_BINS - 1;
}

void cone_list_fill(struct cone_list *out, const float *pt, const float *eta, const float *phi, size_t n)
{
    memset(out->first, 0, sizeof out->first);
    for (size_t i = 0; i < n; i++)
        out->first[eta_bin((double)eta[i]) + 1]++;
    for (size_t b = 0; b < ETA_BINS; b++)
        out->first[b + 1] += out->first[b];
    uint32_t next[ETA_BINS];
    memcpy(next, out->first, sizeof next);
    for (size_t i = 0; i < n; i++) {
        double phi_rad = (double)phi[i];
        uint32_t at = next[eta_bin((double)eta[i])]++;
        out->eta[at] = (double)eta[i];
        out->phi[at] = fabs(phi_rad) < 3.2 ? phi_rad : remainder(phi_rad, TWO_PI);
        out->pt[at] = (double)pt[i];
        out->index[at] = (uint32_t)i;
    }
}

/* ---- cone sums ----------------------------------------------------------------------------------------- */

/* Two lanes at a time through the compiler's own vectors: half the comparisons come out either way, and a branch on
 * them costs more than the arithmetic. */
static void cone_sum_portable(const struct cone_list *list, size_t first, size_t last,
                              const struct cone_group *group, double wrap_above, double sum[CONE_LANES])
{
    typedef double pair __attribute__((vector_size(16)));
    typedef int64_t pair_bits __attribute__((vector_size(16)));
    enum { PAIRS = CONE_LANES / 2 };
    const pair zero = {0, 0}, two_pi = zero + TWO_PI;
    pair eta[PAIRS], phi[PAIRS], total[PAIRS];
    memcpy(eta, group->eta, sizeof eta);
    memcpy(phi, group->phi, sizeof phi);
    memcpy(total, sum, sizeof total);
    for (size_t j = first; j < last; j++) {
        pair pt = zero + list->pt[j];
        for (size_t k = 0; k < PAIRS; k++) {
            pair d_eta = list->eta[j] - eta[k], d_phi = list->phi[j] - phi[k];
            d_phi = (pair)((pair_bits)d_phi & INT64_MAX);
            d_phi -= (pair)((pair_bits)two_pi & (pair_bits)(d_phi > wrap_above));
            pair_bits inside = (pair_bits)(d_eta * d_eta + d_phi * d_phi < CONE_RADIUS2);
            total[k] += (pair)((pair_bits)pt & inside);
        }
    }
    memcpy(sum, total, sizeof total);
}

#if defined(__x86_64__)

/* Adds one object to four lanes. */
__attribute__((target("avx2"), always_inline)) static inline __m256d
cone_add_avx2(__m256d sum, __m256d d_eta, __m256d d_phi, __m256d pt, __m256d wrap_above)
{
    d_phi = _mm256_andnot_pd(_mm256_set1_pd(-0.0), d_phi);
    __m256d wrap = _mm256_and_pd(_mm256_cmp_pd(d_phi, wrap_above, _CMP_GT_OQ), _mm256_set1_pd(TWO_PI));
    d_phi = _mm256_sub_pd(d_phi, wrap);
    __m256d d2 = _mm256_add_pd(_mm256_mul_pd(d_eta, d_eta), _mm256_mul_pd(d_phi, d_phi));
    __m256d inside = _mm256_cmp_pd(d2, _mm256_set1_pd(CONE_RADIUS2), _CMP_LT_OQ);
    return _mm256_add_pd(sum, _mm256_and_pd(inside, pt));
}

__attribute__((target("avx2"))) static void cone_sum_avx2(const struct cone_list *list, size_t first, size_t last,
                                                          const struct cone_group *group, double wrap_above,
                                                          double sum[CONE_LANES])
{
    __m256d eta0 = _mm256_load_pd(group->eta), eta1 = _mm256_load_pd(group->eta + 4);
    __m256d phi0 = _mm256_load_pd(group->phi), phi1 = _mm256_load_pd(group->phi + 4);
    __m256d sum0 = _mm256_loadu_pd(sum), sum1 = _mm256_loadu_pd(sum + 4);
    __m256d above = _mm256_set1_pd(wrap_above);
    for (size_t j = first; j < last; j++) {
        __m256d eta = _mm256_broadcast_sd(&list->eta[j]), phi = _mm256_broadcast_sd(&list->phi[j]);
        __m256d pt = _mm256_broadcast_sd(&list->pt[j]);
        sum0 = cone_add_avx2(sum0, _mm256_sub_pd(eta, eta0), _mm256_sub_pd(phi, phi0), pt, above);
        sum1 = cone_add_avx2(sum1, _mm256_sub_pd(eta, eta1), _mm256_sub_pd(phi, phi1), pt, above);
    }
    _mm256_storeu_pd(sum, sum0);
    _mm256_storeu_pd(sum + 4, sum1);
}

__attribute__((target("avx512f"))) static void cone_sum_avx512(const struct cone_list *list, size_t first,
                                                               size_t last, const struct cone_group *group,
                                                               double wrap_above, double sum[CONE_LANES])
{
    __m512d eta = _mm512_load_pd(group->eta), phi = _mm512_load_pd(group->phi), total = _mm512_loadu_pd(sum);
    __m512d above = _mm512_set1_pd(wrap_above), two_pi = _mm512_set1_pd(TWO_PI);
    __m512d radius2 = _mm512_set1_pd(CONE_RADIUS2);
    for (size_t j = first; j < last; j++) {
        __m512d d_eta = _mm512_sub_pd(_mm512_set1_pd(list->eta[j]), eta);
        __m512d d_phi = _mm512_abs_pd(_mm512_sub_pd(_mm512_set1_pd(list->phi[j]), phi));
        d_phi = _mm512_mask_sub_pd(d_phi, _mm512_cmp_pd_mask(d_phi, above, _CMP_GT_OQ), d_phi, two_pi);
        __m512d d2 = _mm512_add_pd(_mm512_mul_pd(d_eta, d_eta), _mm512_mul_pd(d_phi, d_phi));
        __mmask8 inside = _mm512_cmp_pd_mask(d2, radius2, _CMP_LT_OQ);
        total = _mm512_mask_add_pd(total, inside, total, _mm512_set1_pd(list->pt[j]));
    }
    _mm512_storeu_pd(sum, total);
}

cone_sum_fn *cone_sum_for(enum cpu_level level)
{
    return level >= CPU_AVX512 ? cone_sum_avx512 : level >= CPU_AVX2 ? cone_sum_avx2 : cone_sum_portable;
}

#else

cone_sum_fn *cone_sum_for(enum cpu_level level)
{
    (void)level;
    return cone_sum_portable;
}

#endif

/* ---- isolation ------------------------------------------------------------------------------------------- */

/* Cone sums of a group over the three lists; eta_min and eta_max bound the candidates. */
static void group_sums(const struct cone_lists *c, const struct cone_group *group, double eta_min, double eta_max,
                       double sum[CONE_KINDS][CONE_LANES])
{
    uint32_t low = eta_bin(eta_min - CONE_REACH), high = eta_bin(eta_max + CONE_REACH);
    memset(sum, 0, sizeof(double) * CONE_KINDS * CONE_LANES);
    for (size_t k = 0; k < CONE_KINDS; k++)
        c->sum(&c->list[k], c->list[k].first[low], c->list[k].first[high + 1], group, c->wrap_above, sum[k]);
}

static struct isolation isolation_from(double sum[CONE_KINDS][CONE_LANES], size_t lane, double pt)
{
    if (!(pt > 0))
        return (struct isolation){0};
    return (struct isolation){
        .ch = sum[CONE_TRACKS][lane] / pt - 1,         /* the candidate's own track is in the list */
        .gamma = sum[CONE_PHOTONS][lane] / pt,
        .neu = sum[CONE_NEUTRALS][lane] / pt,
    };
}

struct isolation isolation_of(const struct cone_lists *c, double pt, double eta, double phi)
{
    struct cone_group group;
    double sum[CONE_KINDS][CONE_LANES];
    for (size_t k = 0; k < CONE_LANES; k++) {
        group.eta[k] = eta;
        group.phi[k] = phi_normal(phi);
    }
    group_sums(c, &group, eta, eta, sum);
    return isolation_from(sum, 0, pt);
}

void isolation_of_all(const struct cone_lists *c, const struct cone_list *candidates, size_t n, float *out_ch,
                      float *out_gamma, float *out_neu)
{
    struct cone_group group;
    double sum[CONE_KINDS][CONE_LANES];
    for (size_t at = 0; at < n; at += CONE_LANES) {
        double eta_min = candidates->eta[at], eta_max = eta_min;
        for (size_t k = 0; k < CONE_LANES; k++) {
            size_t i = at + k < n ? at + k : n - 1;
            group.eta[k] = candidates->eta[i];
            group.phi[k] = phi_normal(candidates->phi[i]);
            eta_min = group.eta[k] < eta_min ? group.eta[k] : eta_min;
            eta_max = group.eta[k] > eta_max ? group.eta[k] : eta_max;
        }
        group_sums(c, &group, eta_min, eta_max, sum);
        for (size_t k = 0; k < CONE_LANES && at + k < n; k++) {
            struct isolation iso = isolation_from(sum, k, candidates->pt[at + k]);
            out_ch[candidates->index[at + k]] = (float)iso.ch;
            out_gamma[candidates->index[at + k]] = (float)iso.gamma;
            out_neu[candidates->index[at + k]] = (float)iso.neu;
        }
    }
}
