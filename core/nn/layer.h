/* core/nn/layer.h
 *
 * What a layer is: one row of a table.  A network (net.h) is a list of layers in which each takes the outputs of
 * earlier ones; the network owns all memory, a layer only computes.
 *
 * A kind has a private configuration struct, described by its field table.  To add a kind: write its functions in a
 * file of its own, add its row in layer.c, and a gradient check in tests/core/nn/test_layer.c.
 *
 * Values are feature-major: a flat value of `features` numbers a row is [features][ld]; a sequence is
 * [steps][features][ld], of which row r has length[r] real steps.  Rows are lanes (kernels/kernels.h); with ld 1
 * there is one row and no lanes. */
#ifndef DLT_CORE_NN_LAYER_H
#define DLT_CORE_NN_LAYER_H

#include "core/nn/kernels/kernels.h"

enum { LAYER_INPUTS_MAX = 8, LAYER_WIDTH_MAX = 4096, LAYER_FLAT_MAX = 1 << 16 /* numbers out of flatten */ };

struct shape {
    size_t features;
    size_t steps;                      /* 0: flat; else a sequence of at most so many steps */
};

static inline size_t shape_numbers(struct shape s) { return s.features * (s.steps ? s.steps : 1); }
static inline bool shape_equal(struct shape a, struct shape b)
{
    return a.features == b.features && a.steps == b.steps;
}

/* A layer in its network: fixed when the network is built. */
struct layer {
    const struct layer_kind *kind;
    const void *config;                /* the kind's struct */
    size_t n_inputs;
    struct shape in[LAYER_INPUTS_MAX], out;
};

/* Random numbers of a step while learning: of layers that drop.  Fixed, so a step can be repeated. */
struct noise {
    uint64_t key;                      /* of seed, epoch and step */
    const uint32_t *row;               /* [n] number of each row */
};

/* One call of forward or backward: `n` rows in `lanes` lanes. */
struct layer_call {
    const struct kernels *k;
    size_t n, lanes, ld;
    const uint32_t *length;            /* [n] real steps of each row; NULL when the network has no sequence */
    const float *params;               /* the layer's own */
    const float *in[LAYER_INPUTS_MAX];
    float *out;
    bool training;                     /* a pass that keeps state for backward */
    size_t i_layer;
    const struct noise *noise;         /* NULL: nothing is dropped */
    float *state;                      /* what the kind asked for: kept from forward to backward */
    float *scratch;                    /* the same, but not kept: the layers share it */
    /* Backward only.  d_out may be overwritten; it is zero in lanes that hold no row and in steps beyond a row's
     * length.  Parameter gradients are added to `grads`; input gradients are stored to d_in, or added where add_in;
     * a NULL d_in is not wanted. */
    float *grads, *d_out, *d_in[LAYER_INPUTS_MAX];
    bool add_in[LAYER_INPUTS_MAX];
};

struct layer_kind {
    const char *name, *doc;
    const struct field *fields;        /* of the configuration */
    size_t config_size;
    size_t inputs_min, inputs_max;
    /* Sets l->out from l->in, or says what does not fit (ARGUMENT). */
    enum status (*shape)(struct layer *l, struct error *e);
    size_t (*n_params)(const struct layer *l);                        /* NULL: none */
    size_t (*n_state)(const struct layer *l, bool training);          /* numbers a row; NULL: none */
    size_t (*n_scratch)(const struct layer *l, bool training);        /* numbers, however many rows; NULL: none */
    void (*init)(const struct layer *l, struct rng *r, float *params);      /* NULL with n_params */
    void (*forward)(const struct layer *l, const struct layer_call *c);
    void (*backward)(const struct layer *l, const struct layer_call *c);
};

extern const struct layer_kind *const layer_kinds[];          /* NULL-terminated */
const struct layer_kind *layer_kind_find(const char *name);   /* may be NULL */

extern const struct layer_kind layer_dense, layer_relu, layer_concat, layer_gru, layer_lstm, layer_dropout,
    layer_mean_pool, layer_flatten, layer_add, layer_attention, layer_layer_norm;

/* Steps that the longest row of the call has; 1 for a flat shape. */
size_t layer_steps(const struct shape *s, const struct layer_call *c);

/* dense: out = act(b + x W), W [features in][units] as in Keras, then b [units]; on a sequence, each step alone.
 * Starts Glorot uniform (Glorot and Bengio 2010: +-sqrt(6 / (in + out))) with zero b. */
enum activation { ACTIVATION_LINEAR, ACTIVATION_RELU };
struct dense_config {
    int64_t units;
    int activation;
};

/* gru: a sequence in, the state behind each row's last step out.  Gates z, r, candidate; kernel [in][3 units],
 * recurrent [units][3 units], bias [2][3 units] (of the input's and of the recurrent product), or [3 units] with
 * reset_before: as Keras' reset_after=True and False.  lstm: gates i, f, candidate, o; bias [4 units]. */
enum { RECURRENT_UNITS_MAX = 1024 };
struct gru_config {
    int64_t units;
    bool reset_before;
};
struct lstm_config {
    int64_t units;
};

/* One row through a GRU that resets after, while scoring: floats of scratch; the same bits as in lanes. */
size_t gru_row_scratch(size_t n_in, size_t units);
void gru_row_forward(const struct layer *l, const struct layer_call *c);

/* dropout: also of sequences; mean_pool and flatten: a sequence in, flat out, no configuration. */
struct dropout_config {
    double rate;
};

/* attention: multi-head self-attention over a sequence (Vaswani et al. 2017, arXiv:1706.03762), as Keras'
 * MultiHeadAttention with query, key and value the same, and the steps beyond a row's length masked as keys; there the
 * output is zero.  With F features: kernels of query, key and value [F][heads][key_dim], each followed by its bias
 * [heads][key_dim], then output [heads][key_dim][F], bias [F]. */
struct attention_config {
    int64_t heads, key_dim;
};

/* layer_norm (Ba et al. 2016, arXiv:1607.06450): over the features, of a sequence in each step: gamma (x - mean) /
 * sqrt(variance + epsilon) + beta.  gamma [F], beta [F]. */
struct layer_norm_config {
    double epsilon;
};

/* relu and concat have no configuration: NULL.  concat: flat inputs, one after the other. */

#endif
