/* core/feature/hlf_scale.c
 *
 * Scaling of high-level features: in front of every score, so it must cost less than the network behind it.  The
 * logarithm is our own: the C library's would cost half of the time, and differ from machine to machine. */
#include "core/feature/internal.h"

#include <string.h>

_Static_assert((int)HLF_COUNT > 8 && (int)HLF_COUNT <= 16, "a row is two vectors of 8");

enum { BLOCK_ROWS = 16 };

#define SQRT_HALF_BITS_F64 0x3fe6a09e667f3bcdu     /* of the float64 nearest to sqrt(1/2) */
#define LN2_HIGH 0x1.62e42fee00000p-1              /* 32 bits: a product with a whole number below 2^21 is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33

#define HLF_SCALE_NAME scale_portable
#define HLF_SCALE_LANES 2
#define HLF_SCALE_TARGET
#define HLF_SCALE_VEC(what) portable_##what
#include "core/feature/hlf_scale_body.h"

#if defined(__x86_64__)
#define HLF_SCALE_NAME scale_avx2
#define HLF_SCALE_LANES 4
#define HLF_SCALE_TARGET __attribute__((target("avx2")))
#define HLF_SCALE_VEC(what) avx2_##what
#include "core/feature/hlf_scale_body.h"

#define HLF_SCALE_NAME scale_avx512
#define HLF_SCALE_LANES 8
#define HLF_SCALE_TARGET __attribute__((target("avx512f,avx512dq")))
#define HLF_SCALE_VEC(what) avx512_##what
#include "core/feature/hlf_scale_body.h"
#else
#define scale_avx2 scale_portable
#define scale_avx512 scale_portable
#define avx2_lanes portable_lanes
#define avx512_lanes portable_lanes
#endif

double hlf_log(double x)
{
    portable_d v = {x};
    return portable_log(v)[0];
}

void hlf_scale(const struct hlf_scaler *s, const float *in, size_t n, float *out)
{
    enum cpu_level level = cpu_level();
    (level >= CPU_AVX512 ? scale_avx512 : level >= CPU_AVX2 ? scale_avx2 : scale_portable)(s, in, n, out);
}

void hlf_scale_lanes(const struct hlf_scaler *s, size_t lanes, size_t ld, float *x)
{
    enum cpu_level level = cpu_level();
    check(lanes % 8 == 0 && ld >= lanes);
    (level >= CPU_AVX512 ? avx512_lanes : level >= CPU_AVX2 ? avx2_lanes : portable_lanes)(s, lanes, ld, x);
}
