/* core/nn/kernels/kernels.c
 *
 * Which kernels to use: a table row for each CPU level. */
#include "core/nn/kernels/kernels.h"

static const struct kernels *const by_level[] = {
    [CPU_PORTABLE] = &kernels_portable,
#if defined(__x86_64__)
    [CPU_AVX2] = &kernels_avx2,
    [CPU_AVX512] = &kernels_avx512,
#endif
};

const struct kernels *kernels_get(void)
{
    size_t level = (size_t)cpu_level();
    check(level < ARRAY_LEN(by_level));
    return by_level[level];
}
