/* core/base/blas.c
 *
 * Matrix products by OpenBLAS, the only file that knows it.  One BLAS thread: parallelism is ours, so that results
 * do not depend on the number of cores and scoring threads do not fight over them. */
#include "core/base.h"

#include <cblas.h>
#include <limits.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void use_one_thread(void)
{
    openblas_set_num_threads(1);
}

/* OpenBLAS with k == 0 refuses leading dimensions of 0; the product is then only beta C. */
static void scale(size_t m, size_t n, float beta, float *c, size_t ldc)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
}

void blas_sgemm(bool trans_a, bool trans_b, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
                const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    check(m <= INT_MAX && n <= INT_MAX && k <= INT_MAX && lda <= INT_MAX && ldb <= INT_MAX && ldc <= INT_MAX);
    if (m == 0 || n == 0)
        return;
    check(ldc >= n);
    if (k == 0) {
        scale(m, n, beta, c, ldc);
        return;
    }
    check(lda >= (trans_a ? m : k) && ldb >= (trans_b ? k : n));
    pthread_once(&once, use_one_thread);
    cblas_sgemm(CblasRowMajor, trans_a ? CblasTrans : CblasNoTrans, trans_b ? CblasTrans : CblasNoTrans, (int)m,
                (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

const char *blas_config(void)
{
    return openblas_get_config();
}
