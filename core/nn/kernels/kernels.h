/* core/nn/kernels/kernels.h
 *
 * The arithmetic of the layers, once for each CPU level.  Every sum has one stated order and every product-and-sum is
 * one fused step (rounded once), so all levels, batch sizes and thread counts give the same bits.
 *
 * Layout: a matrix of `features` x rows is feature-major: feature f of row r is at [f * ld + r].  Rows are the lanes of
 * the vectors, in groups of NN_LANES; `lanes` is the number of rows rounded up to that, and ld >= lanes.  Lanes behind
 * the last row hold finite numbers that nobody reads; their gradients must be zero. */
#ifndef DLT_CORE_NN_KERNELS_H
#define DLT_CORE_NN_KERNELS_H

#include "core/base.h"

enum { NN_LANES = 16, SQRT_HALF_BITS = 0x3f3504f3 /* of the float32 nearest to sqrt(1/2) */ };

/* One Adam step (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1), with the corrections for the step number done. */
struct adam_step {
    float beta1, one_minus_beta1, beta2, one_minus_beta2;
    float rate;                        /* learning rate / (1 - beta1^t) */
    float v_scale;                     /* 1 / sqrt(1 - beta2^t) */
    float epsilon;
};

struct loss_sums {
    double loss, hits, weight;         /* each weighted; hits: the largest output is the label's */
};

struct kernels {
    const char *name;

    /* out(j, r) = act(b[j] + w[0][j] x(0, r) + w[1][j] x(1, r) + ...), summed in that order; w is [n_in][n_out],
     * act is max(0, .) when `relu`. */
    void (*dense_forward)(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *w, const float *b, bool relu,
                          const float *x, float *out);
    /* The same for one row, ld 1: the lanes of the vectors are outputs.  The same bits.  `out` has room for a whole
     * number of NN_LANES. */
    void (*dense_forward_row)(size_t n_in, size_t n_out, const float *w, const float *b, bool relu, const float *x,
                              float *out);
    /* d_x(k, r) = [d_x(k, r) if `add`] + w[k][0] d(0, r) + w[k][1] d(1, r) + ... */
    void (*dense_backward_input)(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *w, const float *d,
                                 bool add, float *d_x);
    /* gw[k][j] += sum over rows of x(k, r) d(j, r);  gb[j] += sum of d(j, r).  Each lane adds its rows r, r + 16, ...;
     * then lanes are folded 8, 4, 2 and 1 apart. */
    void (*dense_backward_params)(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *x, const float *d,
                                  float *gw, float *gb);

    void (*relu_forward)(size_t n, const float *x, float *out);                 /* n floats; in place allowed */
    void (*relu_backward)(size_t n, const float *out, const float *d, float *d_x);     /* d_x = out > 0 ? d : 0 */

    /* Probabilities from logits, both [n_classes][ld]; in place allowed.  Never zero: at least e^-87 / n_classes. */
    void (*softmax)(size_t n_classes, size_t lanes, size_t ld, const float *logits, float *out);
    void (*softmax_row)(size_t n_classes, const float *logits, float *out);    /* one row, ld 1: the same bits */
    /* Cross-entropy of softmax: d(c, r) = (p(c, r) - (label[r] == c)) * weight[r] * scale, and adds to *sums.  In place
     * allowed.  Rows that do not exist have weight 0. */
    void (*softmax_loss)(size_t n_classes, size_t lanes, size_t ld, const float *logits, const float *label,
                         const float *weight, float scale, float *d, struct loss_sums *sums);

    void (*adam)(const struct adam_step *step, size_t n, const float *g, float *p, float *m, float *v);
    float (*sum_squares)(size_t n, const float *v);       /* lanes as in dense_backward_params */
    void (*add)(size_t n, const float *x, float *sum);    /* sum[i] += x[i] */

    /* Rows into lanes: out(f, r) = rows[index[r] * stride + f] for f < n_features, r < n (index NULL: r itself); zero
     * for n <= r < lanes. */
    void (*rows_to_lanes)(const float *rows, size_t stride, const uint32_t *index, size_t n, size_t n_features,
                          size_t ld, float *out);
};

/* The kernels of cpu_level(). */
const struct kernels *kernels_get(void);

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

#endif
