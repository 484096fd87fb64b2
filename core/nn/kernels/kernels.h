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

/* One step of gradient descent with momentum (Sutskever et al. 2013, in the form whose velocity has the size of a
 * gradient): v = momentum v + g; p -= rate v, or rate (g + momentum v) with nesterov. */
struct sgd_step {
    float rate, momentum;
    bool nesterov;
};

struct loss_sums {
    double loss, hits, weight;         /* each weighted; hits: the largest output is the label's */
};

/* Gradients over several steps of a sequence; see outer_steps below. */
struct outer_steps {
    size_t n_in, n_out, lanes, ld, n_steps;
    const float *x, *d;
    size_t x_step, d_step;             /* floats from one step to the next */
    float *gw;
    size_t gw_row;                     /* floats from one input's gradients to the next */
};

/* Where the numbers of one step of a recurrent layer are.  Gate g of unit u in lane i: [g * gate + u * ld + i]; states
 * as gate 0.  One row without lanes: 1 unit of n lanes, which then are the units. */
struct recurrent_step {
    size_t units, n, ld, gate;
    const float *length;               /* [n] steps that each lane has, or NULL: all have this one ... */
    float step;                        /* ... whose number is this: a lane goes on where length > step */
};

/* Layer norm of one step: gamma [n_features], x [n_features][ld]. */
struct layer_norm_step {
    size_t n_features, lanes, ld;
    const float *gamma, *x;
    float epsilon;
};

/* Steps of one row through a GRU that resets after the product.  `width`: 3 units rounded up to whole vectors. */
struct gru_row {
    size_t n_steps, units, width, input_row;
    const float *recurrent;            /* [units][width] */
    const float *start;                /* [n_steps][width]: z, r: sums of the input; candidate: its recurrent bias */
    const float *input;                /* [n_steps][input_row]: the candidate's sums of the input */
    float *h;                          /* [units, whole vectors]: the state before, then behind */
    float *sums;                       /* scratch: width and a whole state more */
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

    /* What the dense products are made of.  out(i, r) = start + w[i * w_out] x(0, r) + w[i * w_out + w_in] x(1, r) +
     * ...; start is start[i], or what `out` holds with `add`, or zero. */
    void (*product)(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *w, size_t w_in, size_t w_out,
                    const float *start, bool add, const float *x, float *out);
    /* One row: out[j] = start[j] + w[j] x[0] + w[w_in + j] x[1] + ...; out == start allowed.  Writes n_out numbers. */
    void (*product_row)(size_t n_in, size_t n_out, const float *w, size_t w_in, const float *start, const float *x,
                        float *out);
    /* Rows x without lanes, outputs in lanes: out[r][j] = start[j] + w[j] x[r][0] + w[w_in + j] x[r][1] + ...; n_out a
     * whole number of NN_LANES. */
    void (*product_rows)(size_t n_rows, size_t n_in, size_t n_out, const float *w, size_t w_in, const float *start,
                         const float *x, size_t x_row, float *out, size_t out_row);
    void (*gru_row)(const struct gru_row *s);
    /* gw[k * gw_row + j] += sum over steps and rows of x(k, r) d(j, r), in lanes as dense_backward_params: a lane adds
     * its rows of the first step, then those of the second, ... */
    void (*outer_steps)(const struct outer_steps *o);
    void (*sum_steps)(size_t n_out, size_t lanes, size_t ld, size_t n_steps, size_t d_step, const float *d, float *gb);

    /* GRU (Cho et al. 2014, arXiv:1406.1078), element by element.  `g` holds gates z, r, candidate, and a fourth part:
     * with the reset after the product the candidate's recurrent sum, else r h.
     * gru_forward: sums in, gates out, h = z h_before + (1 - z) tanh(g2 + r g3).
     * gru_gates: z, r and r h_before from their sums; gru_output: the rest, h = z h_before + (1 - z) tanh(g2).
     * A lane that does not go on keeps h_before.  h == h_before allowed. */
    void (*gru_forward)(const struct recurrent_step *s, float *g, const float *h_before, float *h);
    void (*gru_gates)(const struct recurrent_step *s, float *g, const float *h_before);
    void (*gru_output)(const struct recurrent_step *s, float *g, const float *h_before, float *h);
    /* Gradients of the sums into d, laid out as g (zero where a lane does not go on); dh, of h, becomes the part of
     * that of h_before which does not pass through the sums.
     * gru_backward_output: of z and the candidate, dh stays; then d3 is to hold the gradient of r h_before, and
     * gru_backward_gates does the rest. */
    void (*gru_backward)(const struct recurrent_step *s, const float *g, const float *h_before, float *dh, float *d);
    void (*gru_backward_output)(const struct recurrent_step *s, const float *g, const float *h_before, const float *dh,
                                float *d);
    void (*gru_backward_gates)(const struct recurrent_step *s, const float *g, const float *h_before, float *dh,
                               float *d);
    /* LSTM (Hochreiter and Schmidhuber 1997; gates i, f, candidate, o as in Keras):
     * c = f c_before + i candidate, h = o tanh(c). */
    void (*lstm_forward)(const struct recurrent_step *s, float *g, const float *c_before, const float *h_before,
                         float *c, float *h);
    void (*lstm_backward)(const struct recurrent_step *s, const float *g, const float *c_before, const float *c,
                          float *dh, float *dc, float *d);

    void (*relu_forward)(size_t n, const float *x, float *out);                 /* n floats; in place allowed */
    void (*relu_backward)(size_t n, const float *out, const float *d, float *d_x);     /* d_x = out > 0 ? d : 0 */

    /* Attention: scores [n_keys][ld] become e^(score - largest), of which inverse[lane] is 1 / sum.  Backward: with
     * weights that sum to 1, d, their gradient, becomes that of the scores: weight (d - sum of weight d). */
    void (*attention_weights)(size_t n_keys, size_t lanes, size_t ld, float *scores, float *inverse);
    void (*attention_weights_backward)(size_t n_keys, size_t lanes, size_t ld, const float *weights, float *d);
    void (*scale_lanes)(size_t n, size_t lanes, size_t ld, const float *factor, float *x);    /* x(i, r) *= factor[r] */

    /* out = gamma (x - mean) / sqrt(variance + epsilon) + beta, over the features of each lane.  Backward stores d_x
     * (or adds to it; NULL: not wanted) and adds to sums [2 n_features][NN_LANES] what a lane's rows give to the
     * gradients of gamma, then beta. */
    void (*layer_norm_forward)(const struct layer_norm_step *s, const float *beta, float *out);
    void (*layer_norm_backward)(const struct layer_norm_step *s, const float *d, bool add, float *d_x, float *sums);

    /* Probabilities from logits, both [n_classes][ld]; in place allowed.  Never zero: at least e^-87 / n_classes. */
    void (*softmax)(size_t n_classes, size_t lanes, size_t ld, const float *logits, float *out);
    void (*softmax_row)(size_t n_classes, const float *logits, float *out);    /* one row, ld 1: the same bits */
    /* Cross-entropy of softmax: d(c, r) = (p(c, r) - (label[r] == c)) * weight[r] * scale, and adds to *sums.  In place
     * allowed.  Rows that do not exist have weight 0. */
    void (*softmax_loss)(size_t n_classes, size_t lanes, size_t ld, const float *logits, const float *label,
                         const float *weight, float scale, float *d, struct loss_sums *sums);

    void (*adam)(const struct adam_step *step, size_t n, const float *g, float *p, float *m, float *v);
    void (*sgd)(const struct sgd_step *step, size_t n, const float *g, float *p, float *v);
    float (*sum_squares)(size_t n, const float *v);       /* lanes as in dense_backward_params */
    void (*add)(size_t n, const float *x, float *sum);    /* sum[i] += x[i] */
    void (*scale)(size_t n, float factor, float *x);

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
