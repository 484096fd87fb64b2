/* core/model/onnx_layers.c
 *
 * Each kind of layer as ONNX operators.  Flat values are [batch, features], sequences [batch, steps, features].  Of
 * ragged events the steps beyond an event's count hold anything finite: recurrent layers are told the counts, and what
 * looks over all steps masks them. */
#include "core/model/onnx_build.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* What a layer sees while it is written. */
struct place {
    const struct layer_spec *spec;
    const struct layer *layer;
    size_t params; /* where its own start */
    const char *in[LAYER_INPUTS_MAX];
    const char *out;
};

/* ---- which steps are real ---------------------------------------------------------------------------------------- */

/* Makes b->counts and b->mask once, in a scope of their own. */
static void need_mask(struct onnx_build *b)
{
    char scope[sizeof b->scope];
    if (b->mask || b->status != STATUS_OK)
        return;
    memcpy(scope, b->scope, sizeof scope);
    text_copy(b->scope, sizeof b->scope, "mask");
    static const int64_t zero = 0, one = 1;
    const char *start = onnx_constant(b, "zero", ONNX_INT64, (struct onnx_shape){0}, &zero, sizeof zero);
    const char *delta = onnx_constant(b, "one", ONNX_INT64, (struct onnx_shape){0}, &one, sizeof one);
    const char *axis_0 = onnx_ints(b, "axis_0", &zero, 1), *axis_1 = onnx_ints(b, "axis_1", &one, 1);
    const char *shape = onnx_name(b, "shape");
    Onnx__NodeProto *node = onnx_node(b, "Shape", ONNX_IN("particles"), shape);
    onnx_attribute_int(b, node, "start", 1);
    onnx_attribute_int(b, node, "end", 2);
    const char *steps = onnx_op(b, "Squeeze", ONNX_IN(shape, axis_0), "steps");
    const char *range = onnx_op(b, "Range", ONNX_IN(start, steps, delta), "range");
    const char *row = onnx_op(b, "Unsqueeze", ONNX_IN(range, axis_0), "row");
    b->counts = onnx_name(b, "counts");
    node = onnx_node(b, "Cast", ONNX_IN("particle_counts"), b->counts);
    onnx_attribute_int(b, node, "to", ONNX_INT64);
    const char *column = onnx_op(b, "Unsqueeze", ONNX_IN(b->counts, axis_1), "column");
    b->mask = onnx_op(b, "Less", ONNX_IN(row, column), "real");
    memcpy(b->scope, scope, sizeof scope);
}

static const char *axes(struct onnx_build *b, const char *what, int64_t first, int64_t second)
{
    int64_t v[2] = {first, second};
    return onnx_ints(b, what, v, second < 0 ? 1 : 2);
}

/* The sequence with zeros in steps that are not real. */
static const char *real_steps(struct onnx_build *b, const char *in)
{
    if (!b->ragged)
        return in;
    need_mask(b);
    const char *mask = onnx_op(b, "Unsqueeze", ONNX_IN(b->mask, axes(b, "mask_axis", 2, -1)), "mask");
    return onnx_op(b, "Where", ONNX_IN(mask, in, onnx_float(b, "nothing", 0)), "real");
}

/* ---- layers over features ---------------------------------------------------------------------------------------- */

static const char *product(struct onnx_build *b, const char *what, const char *in, size_t n_in, size_t n_out,
                           size_t first)
{
    char name[48];
    snprintf(name, sizeof name, "%s_kernel", what);
    const char *kernel = onnx_weights(b, name, ONNX_SHAPE((int64_t)n_in, (int64_t)n_out), first, NULL, NULL);
    snprintf(name, sizeof name, "%s_bias", what);
    const char *bias = onnx_weights(b, name, ONNX_SHAPE((int64_t)n_out), first + n_in * n_out, NULL, NULL);
    snprintf(name, sizeof name, "%s_product", what);
    const char *raw = onnx_op(b, "MatMul", ONNX_IN(in, kernel), name);
    snprintf(name, sizeof name, "%s_sum", what);
    return onnx_op(b, "Add", ONNX_IN(raw, bias), name);
}

static void dense(struct onnx_build *b, const struct place *p)
{
    const char *sum = product(b, "dense", p->in[0], p->layer->in[0].features, (size_t)p->spec->units, p->params);
    onnx_node(b, p->spec->activation == LAYER_ACTIVATION_RELU ? "Relu" : "Identity", ONNX_IN(sum), p->out);
}

static void layer_norm(struct onnx_build *b, const struct place *p)
{
    size_t n = p->layer->in[0].features;
    const char *gamma = onnx_weights(b, "gamma", ONNX_SHAPE((int64_t)n), p->params, NULL, NULL);
    const char *beta = onnx_weights(b, "beta", ONNX_SHAPE((int64_t)n), p->params + n, NULL, NULL);
    Onnx__NodeProto *node = onnx_node(b, "LayerNormalization", ONNX_IN(p->in[0], gamma, beta), p->out);
    onnx_attribute_int(b, node, "axis", -1);
    onnx_attribute_float(b, node, "epsilon", (float)p->spec->epsilon);
}

static void concatenate(struct onnx_build *b, const struct place *p)
{
    const char *in[LAYER_INPUTS_MAX + 1] = {NULL};
    memcpy(in, p->in, p->layer->n_inputs * sizeof *in);
    onnx_attribute_int(b, onnx_node(b, "Concat", in, p->out), "axis", -1);
}

static void add(struct onnx_build *b, const struct place *p)
{
    const char *in[LAYER_INPUTS_MAX + 1] = {NULL};
    memcpy(in, p->in, p->layer->n_inputs * sizeof *in);
    onnx_node(b, "Sum", in, p->out);
}

/* ---- recurrent layers -------------------------------------------------------------------------------------------- */

/* Ours: kernel [in][gates units], recurrent [units][gates units], bias; theirs: [1][gates units][in] and so on, with
 * gates in another order. */
struct gates {
    size_t n_gates, units, n_in;
    size_t order[4]; /* their gate g is our order[g] */
    bool two_biases;
};

static size_t our_column(const struct gates *g, size_t row)
{
    return g->order[row / g->units] * g->units + row % g->units;
}

static int64_t place_kernel(const void *ctx, size_t j)
{
    const struct gates *g = ctx;
    return (int64_t)(j % g->n_in * g->n_gates * g->units + our_column(g, j / g->n_in));
}

static int64_t place_recurrent(const void *ctx, size_t j)
{
    const struct gates *g = ctx;
    return (int64_t)(j % g->units * g->n_gates * g->units + our_column(g, j / g->units));
}

/* First those of the input's product, then those of the state's, which are zero where we have one set. */
static int64_t place_bias(const void *ctx, size_t j)
{
    const struct gates *g = ctx;
    size_t width = g->n_gates * g->units, set = j / width;
    return set > 0 && !g->two_biases ? -1 : (int64_t)(set * width + our_column(g, j % width));
}

static void recurrent(struct onnx_build *b, const struct place *p, const struct gates *g)
{
    int64_t width = (int64_t)(g->n_gates * g->units), n_in = (int64_t)g->n_in, units = (int64_t)g->units;
    static const int64_t swap[] = {1, 0, 2};
    const char *steps_first = onnx_name(b, "steps_first");
    onnx_attribute_ints(b, onnx_node(b, "Transpose", ONNX_IN(p->in[0]), steps_first), "perm", swap, 3);
    const char *w = onnx_weights(b, "kernel", ONNX_SHAPE(1, width, n_in), p->params, place_kernel, g);
    const char *r = onnx_weights(b, "recurrent", ONNX_SHAPE(1, width, units), p->params + (size_t)(n_in * width),
                                 place_recurrent, g);
    const char *bias =
        onnx_weights(b, "bias", ONNX_SHAPE(1, 2 * width), p->params + (size_t)((n_in + units) * width), place_bias, g);
    Onnx__NodeProto *node =
        onnx_node(b, p->spec->kind == LAYER_GRU ? "GRU" : "LSTM",
                  ONNX_IN(steps_first, w, r, bias, b->ragged ? "particle_counts" : ""), onnx_name(b, "last"));
    onnx_attribute_int(b, node, "hidden_size", units);
    if (p->spec->kind == LAYER_GRU)
        onnx_attribute_int(b, node, "linear_before_reset", p->spec->reset_after);
    char **outputs = onnx_alloc(b, 2, sizeof *outputs);
    if (!node || !outputs)
        return;
    outputs[0] = (char *)(uintptr_t) ""; /* the states of all steps: nobody reads them */
    outputs[1] = node->output[0];
    node->output = outputs;
    node->n_output = 2;
    onnx_node(b, "Squeeze", ONNX_IN(outputs[1], axes(b, "direction", 0, -1)), p->out);
}

static void gru(struct onnx_build *b, const struct place *p)
{
    struct gates g = {3, (size_t)p->spec->units, p->layer->in[0].features, {0, 1, 2}, p->spec->reset_after};
    recurrent(b, p, &g);
}

/* i, f, candidate, o are ours; i, o, f, candidate theirs. */
static void lstm(struct onnx_build *b, const struct place *p)
{
    struct gates g = {4, (size_t)p->spec->units, p->layer->in[0].features, {0, 3, 1, 2}, false};
    recurrent(b, p, &g);
}

/* ---- over all steps ---------------------------------------------------------------------------------------------- */

static void flatten(struct onnx_build *b, const struct place *p)
{
    onnx_attribute_int(b, onnx_node(b, "Flatten", ONNX_IN(real_steps(b, p->in[0])), p->out), "axis", 1);
}

static void mean_pool(struct onnx_build *b, const struct place *p)
{
    static const int64_t steps_axis = 1;
    if (!b->ragged) {
        Onnx__NodeProto *node = onnx_node(b, "ReduceMean", ONNX_IN(p->in[0]), p->out);
        onnx_attribute_ints(b, node, "axes", &steps_axis, 1);
        onnx_attribute_int(b, node, "keepdims", 0);
        return;
    }
    const char *sum = onnx_name(b, "sum"), *count = onnx_name(b, "count");
    const char *real = real_steps(b, p->in[0]), *axis = axes(b, "axis", 1, -1);
    onnx_attribute_int(b, onnx_node(b, "ReduceSum", ONNX_IN(real, axis), sum), "keepdims", 0);
    const char *column = onnx_op(b, "Unsqueeze", ONNX_IN(b->counts, axis), "column");
    onnx_attribute_int(b, onnx_node(b, "Cast", ONNX_IN(column), count), "to", ONNX_FLOAT);
    onnx_node(b, "Div", ONNX_IN(sum, count), p->out);
}

/* [batch, steps, heads x dim] as [batch, heads, steps, dim], or with steps last. */
static const char *by_head(struct onnx_build *b, const char *what, const char *in, const char *shape, bool steps_last)
{
    char name[48];
    const int64_t perm[4] = {0, 2, steps_last ? 3 : 1, steps_last ? 1 : 3};
    snprintf(name, sizeof name, "%s_split", what);
    const char *split = onnx_op(b, "Reshape", ONNX_IN(in, shape), name);
    snprintf(name, sizeof name, "%s_heads", what);
    const char *out = onnx_name(b, name);
    onnx_attribute_ints(b, onnx_node(b, "Transpose", ONNX_IN(split), out), "perm", perm, 4);
    return out;
}

static void attention(struct onnx_build *b, const struct place *p)
{
    size_t features = p->layer->in[0].features, width = (size_t)(p->spec->heads * p->spec->key_dim);
    size_t part = (features + 1) * width;
    const int64_t split[] = {0, 0, p->spec->heads, p->spec->key_dim}, joined[] = {0, 0, (int64_t)width};
    static const int64_t back[] = {0, 2, 1, 3};
    const char *heads = onnx_ints(b, "heads", split, 4);
    const char *query = product(b, "query", p->in[0], features, width, p->params);
    const char *key = product(b, "key", p->in[0], features, width, p->params + part);
    const char *value = product(b, "value", p->in[0], features, width, p->params + 2 * part);
    const char *factor = onnx_float(b, "factor", 1 / sqrtf((float)p->spec->key_dim));
    query = onnx_op(b, "Mul", ONNX_IN(query, factor), "query_scaled");
    query = by_head(b, "query", query, heads, false);
    key = by_head(b, "key", key, heads, true);
    value = by_head(b, "value", value, heads, false);
    const char *score = onnx_op(b, "MatMul", ONNX_IN(query, key), "score");
    if (b->ragged) {
        need_mask(b);
        const char *mask = onnx_op(b, "Unsqueeze", ONNX_IN(b->mask, axes(b, "mask_axes", 1, 2)), "mask");
        score = onnx_op(b, "Where", ONNX_IN(mask, score, onnx_float(b, "never", -FLT_MAX)), "score_masked");
    }
    const char *weights = onnx_name(b, "weights"), *steps = onnx_name(b, "steps");
    onnx_attribute_int(b, onnx_node(b, "Softmax", ONNX_IN(score), weights), "axis", -1);
    const char *context = onnx_op(b, "MatMul", ONNX_IN(weights, value), "context");
    onnx_attribute_ints(b, onnx_node(b, "Transpose", ONNX_IN(context), steps), "perm", back, 4);
    const char *all = onnx_op(b, "Reshape", ONNX_IN(steps, onnx_ints(b, "joined", joined, 3)), "heads_joined");
    onnx_node(b, "Identity", ONNX_IN(product(b, "output", all, width, features, p->params + 3 * part)), p->out);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void write_layer(struct onnx_build *b, const struct place *p)
{
    switch ((enum layer_spec_kind)p->spec->kind) {
    case LAYER_DENSE:
        dense(b, p);
        return;
    case LAYER_GRU:
        gru(b, p);
        return;
    case LAYER_LSTM:
        lstm(b, p);
        return;
    case LAYER_DROPOUT:
        onnx_node(b, "Identity", ONNX_IN(p->in[0]), p->out);
        return;
    case LAYER_CONCATENATE:
        concatenate(b, p);
        return;
    case LAYER_ADD:
        add(b, p);
        return;
    case LAYER_MEAN_POOL:
        mean_pool(b, p);
        return;
    case LAYER_FLATTEN:
        flatten(b, p);
        return;
    case LAYER_ATTENTION:
        attention(b, p);
        return;
    case LAYER_NORM:
        layer_norm(b, p);
        return;
    case LAYER_RELU:
        onnx_node(b, "Relu", ONNX_IN(p->in[0]), p->out);
        return;
    }
    onnx_fail(b, STATUS_UNSUPPORTED, "layer '%s' has no ONNX form", p->spec->name);
}

static const char *value_named(const struct onnx_build *b, const char *const *value, size_t n, const char *name)
{
    if (strcmp(name, "hlf") == 0)
        return b->hlf;
    if (strcmp(name, "particles") == 0)
        return b->particles;
    for (size_t i = 0; i < n; i++)
        if (strcmp(b->layer[i].name, name) == 0)
            return value[i];
    return NULL;
}

const char *onnx_layers(struct onnx_build *b)
{
    const char *value[LAYERS_MAX] = {NULL};
    for (size_t i = 0; i < b->n_layers && b->status == STATUS_OK; i++) {
        struct place p = {.spec = &b->layer[i], .layer = net_layer(b->net, i), .params = net_layer_params(b->net, i)};
        const char *const *inputs = p.spec->inputs.items;
        for (size_t j = 0; j < p.spec->inputs.n_items; j++) {
            p.in[j] = value_named(b, value, i, inputs[j]);
            check(p.in[j]); /* resolved lists are in order */
        }
        snprintf(b->scope, sizeof b->scope, "%zu", i);
        p.out = value[i] = arena_printf(b->a, "%zu:%s", i, p.spec->name);
        if (!p.out)
            onnx_fail(b, STATUS_NOMEM, "no memory for an ONNX graph");
        else
            write_layer(b, &p);
    }
    return value[b->n_layers - 1];
}
