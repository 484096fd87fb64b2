/* core/nn/net.h
 *
 * Networks: layers in order, each taking outputs of earlier ones; the last one's output is the network's.  Parameters,
 * gradients and optimiser moments are flat arrays of net_n_params floats that the caller owns, layer after layer.
 *
 * A net is immutable once finished and may be shared by threads; a pass is one thread's run over up to `rows` rows in
 * working memory that was planned when the net was finished.  Behind net_finish only gradient_check allocates. */
#ifndef DLT_CORE_NN_NET_H
#define DLT_CORE_NN_NET_H

#include "core/nn/layer.h"

enum { NET_VALUES_MAX = 64, NET_INPUTS_MAX = 4 };

struct net;

/* ---- building -------------------------------------------------------------------------------------------------- */

/* Inputs first, then layers; a value is known by its number, which counts both.  After an error only net_destroy may
 * follow.  net_add copies the configuration.  Fails: ARGUMENT and RANGE (what does not fit, naming the layer),
 * NOMEM. */
enum status net_create(struct net **out, struct error *e) MUST_USE;
void net_destroy(struct net *net);                            /* NULL allowed */
enum status net_input(struct net *net, struct shape shape, size_t *value, struct error *e) MUST_USE;
enum status net_add(struct net *net, const char *kind, const void *config, const size_t *inputs, size_t n_inputs,
                    size_t *value, struct error *e) MUST_USE;
/* Plans the memory.  ARGUMENT when there is no layer or a value other than the last one is not used. */
enum status net_finish(struct net *net, struct error *e) MUST_USE;

size_t net_n_params(const struct net *net);
size_t net_n_inputs(const struct net *net);
struct shape net_input_shape(const struct net *net, size_t i_input);
struct shape net_value_shape(const struct net *net, size_t value);         /* also while it is built */
size_t net_n_layers(const struct net *net);
const struct layer *net_layer(const struct net *net, size_t i_layer);
/* Where layer i's parameters start. */
size_t net_layer_params(const struct net *net, size_t i_layer);
struct shape net_output(const struct net *net);
/* Starting values of all parameters: a stream of random numbers for each layer. */
void net_init(const struct net *net, uint64_t seed, float *params);

/* ---- running --------------------------------------------------------------------------------------------------- */

struct pass {
    const struct net *net;
    const struct kernels *k;
    size_t ld;                         /* 1: a single row */
    bool training;
    float *work;
    const struct noise *noise;         /* set by the caller between passes; NULL (at first): nothing is dropped */
};

/* Distance between two features for up to `rows` rows. */
size_t pass_ld(size_t rows);
/* Floats of working memory that a pass over up to `rows` rows needs; training keeps every value and its gradient. */
size_t pass_work_size(const struct net *net, size_t rows, bool training);
/* Bytes that a network takes: parameters, and working memory of a pass over up to `rows` rows (pass_work_size). */
struct net_memory {
    size_t params_bytes, scoring_bytes, training_bytes;
};
struct net_memory net_memory(const struct net *net, size_t rows);
/* `work`: pass_work_size() floats, 64-byte aligned, finite at first; the caller's.  Uses the kernels of cpu_level(). */
void pass_init(struct pass *p, const struct net *net, size_t rows, bool training, float *work);

/* Where the caller puts the i-th input's rows before forward, feature-major; lanes behind the last row must be finite
 * (zero, say). */
float *pass_input(const struct pass *p, size_t i_input);
/* `length` [n] is read when an input is a sequence. */
void pass_forward(const struct pass *p, const float *params, size_t n, const uint32_t *length);
/* [features][ld] of the last layer; the caller may change it (softmax in place). */
float *pass_output(const struct pass *p);
/* The same of layer i, of a pass for training (while scoring, values share their room). */
const float *pass_layer_output(const struct pass *p, size_t i_layer);
void pass_softmax(const struct pass *p, size_t n);

/* Softmax and weighted cross-entropy on the output; leaves the output's gradient for pass_backward.  label and weight
 * have one float a lane, weight 0 behind the last row; the gradient is that of `scale` times the sum of weighted
 * losses.  Adds to *sums. */
void pass_loss(const struct pass *p, size_t n, const float *label, const float *weight, float scale,
               struct loss_sums *sums);
/* Adds the gradients to `grads`; after pass_forward and pass_loss with the same rows. */
void pass_backward(const struct pass *p, const float *params, size_t n, const uint32_t *length, float *grads);

/* ---- learning -------------------------------------------------------------------------------------------------- */

struct adam_params {
    double rate, beta1, beta2, epsilon;
};
/* Step number t = 1, 2, ...: updates params and the moments m, v (zero before step 1). */
void adam_update(const struct adam_params *a, int64_t t, size_t n, const float *grads, float *params, float *m,
                 float *v);

struct sgd_params {
    double rate, momentum;
    bool nesterov;
};
/* A step of gradient descent; `velocity` is zero before the first. */
void sgd_update(const struct sgd_params *s, size_t n, const float *grads, float *params, float *velocity);
/* Weight decay apart from the gradient, before a step (Loshchilov and Hutter, arXiv:1711.05101): params times
 * 1 - rate x decay. */
void weight_decay(double rate, double decay, size_t n, float *params);
/* Length of the gradient of all parameters; may be infinite or NaN when one of them is. */
double gradient_norm(size_t n, const float *grads);
/* Shortens a gradient of length `norm` to `most`; a shorter one stays. */
void gradient_clip(double norm, double most, size_t n, float *grads);

/* Largest disagreement between gradients and central finite differences of the mean loss over given rows.  Differences
 * are taken over +-step; where a relu turns on or off within it, there is no slope to compare and the number is
 * skipped. */
struct gradient_report {
    size_t n_checked, n_skipped;
    double worst;                      /* |analytic - numeric| / max(0.05, |analytic|, |numeric|) */
    size_t worst_at;                   /* number of the parameter */
};
/* Numbers are dropped as by noise of key 1 and rows 0, 1, ...
 * inputs[i]: feature-major with leading dimension pass_ld(max(n, 2)), one for each input.  Fails: NOMEM. */
enum status gradient_check(const struct net *net, const float *params, const float *const *inputs,
                           const uint32_t *length, const float *label, const float *weight, size_t n, double step,
                           struct gradient_report *out, struct error *e) MUST_USE;

#endif
