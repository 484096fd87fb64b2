/* core/model/keras_layers.c
 *
 * Layers of a Keras model as ours, one by one.  A value is known by the name of the layer that makes it; layers that
 * compute nothing when a model is scored (inputs, masks) are other names of what they take. */
#include "core/model/keras_reading.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- saying what is wrong ---------------------------------------------------------------------------------------- */

enum status keras_refuse(const struct reading *r, enum status s, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return error_set(r->e, s, "layer '%.64s' (%.40s) %s", r->name, r->class_name, text);
}

static const struct document *option(const struct reading *r, const char *name)
{
    return document_get(r->config, name);
}

/* Options that must have the value that we compute with. */
static enum status must_be_off(const struct reading *r, const char *name)
{
    const struct document *d = option(r, name);
    bool off = document_is_null(d) || (d->kind != DOCUMENT_TEXT && document_number(d, 0) == 0 &&
                                       d->kind != DOCUMENT_OBJECT && d->kind != DOCUMENT_LIST);
    return off ? STATUS_OK : keras_refuse(r, STATUS_UNSUPPORTED, "has %s: not supported", name);
}

/* Name of a function: a text, or the form of Keras 3 with the text inside; "linear" when there is none. */
static const char *function_name(const struct document *d)
{
    if (document_is_null(d))
        return "linear";
    return document_text(d, document_text(document_get(d, "config"), "an unknown function"));
}

static enum status must_be_function(const struct reading *r, const char *name, const char *wanted)
{
    const struct document *d = option(r, name);
    const char *given = d ? function_name(d) : wanted;
    return strcmp(given, wanted) == 0
               ? STATUS_OK
               : keras_refuse(r, STATUS_UNSUPPORTED, "has %s '%.40s': only '%s' is supported", name, given, wanted);
}

static enum status whole_number(const struct reading *r, const char *name, int64_t most, int64_t *out)
{
    double v = document_number(option(r, name), 0);
    if (!(v >= 1 && v <= (double)most) || v != floor(v))
        return keras_refuse(r, STATUS_FORMAT, "needs %s: a whole number of 1 to %" PRId64, name, most);
    *out = (int64_t)v;
    return STATUS_OK;
}

/* ---- what layers give -------------------------------------------------------------------------------------------- */

static enum status add_value(struct reading *r, struct value v)
{
    if (r->n_values == ARRAY_LEN(r->value))
        return error_set(r->e, STATUS_RANGE, "more than %zu layers", ARRAY_LEN(r->value));
    v.name = r->name;
    r->value[r->n_values++] = v;
    return STATUS_OK;
}

const struct value *keras_value(const struct reading *r, const char *name)
{
    for (size_t i = 0; i < r->n_values; i++)
        if (strcmp(r->value[i].name, name) == 0)
            return &r->value[i];
    return NULL;
}

/* "MultiHeadAttention" is multi_head_attention, the second one multi_head_attention_1: as Keras 3 names its groups. */
static const char *group_name(const struct reading *r)
{
    char text[96];
    size_t n = 0, same = 0;
    for (const char *c = r->class_name; *c && n + 2 < sizeof text; c++) {
        bool upper = *c >= 'A' && *c <= 'Z', before = c > r->class_name && c[-1] >= 'a' && c[-1] <= 'z';
        bool after = c[0] && c[1] >= 'a' && c[1] <= 'z';
        if (upper && c > r->class_name && (before || after))
            text[n++] = '_';
        text[n++] = upper ? (char)(*c - 'A' + 'a') : *c;
    }
    text[n] = '\0';
    for (size_t i = 0; i < r->out->n; i++) {
        const char *other = r->out->origin[i].group;
        same += strncmp(other, text, n) == 0 &&
                (other[n] == '\0' || (other[n] == '_' && other[n + 1] >= '0' && other[n + 1] <= '9'));
    }
    return same ? arena_printf(r->a, "%s_%zu", text, same) : arena_strdup(r->a, text);
}

/* A layer of ours behind those that the Keras layer takes. */
static enum status add_layer(struct reading *r, struct layer_spec spec, struct keras_origin origin,
                             enum value_kind kind)
{
    struct keras_network *out = r->out;
    if (out->n == LAYERS_MAX)
        return keras_refuse(r, STATUS_RANGE, "is one too many: at most %d that compute", LAYERS_MAX);
    const char **inputs = ARENA_NEW(r->a, const char *, LAYER_INPUTS_MAX);
    origin.name = spec.name = arena_strdup(r->a, r->name);
    origin.group = group_name(r);
    if (!inputs || !spec.name || !origin.group)
        return error_set(r->e, STATUS_NOMEM, "no memory for layers");
    bool masked = false;
    for (size_t i = 0; i < r->n_in; i++) {
        inputs[i] = r->in[i]->ours;
        masked |= r->in[i]->masked;
    }
    spec.inputs = (struct field_list){inputs, r->n_in};
    if (spec.kind != LAYER_GRU)
        spec.reset_after = true;
    out->layer[out->n] = spec;
    out->origin[out->n++] = origin;
    return add_value(r, (struct value){.ours = spec.name, .kind = kind, .masked = masked});
}

static enum status add_alias(struct reading *r, struct value v)
{
    return add_value(r, v);
}

static enum status takes(const struct reading *r, enum value_kind kind)
{
    if (r->n_in != 1)
        return keras_refuse(r, STATUS_UNSUPPORTED, "takes %zu values, must take one", r->n_in);
    if (kind == VALUE_SEQUENCE && r->in[0]->kind != VALUE_SEQUENCE)
        return keras_refuse(r, STATUS_UNSUPPORTED, "must take a sequence of particles");
    return STATUS_OK;
}

/* Looks over steps whose number was fixed: are those that are padding left out? */
static void note_steps(struct reading *r)
{
    if (!r->in[0]->masked && !r->masks)
        r->out->padded = true;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

enum status keras_input(struct reading *r)
{
    const struct document *shape = option(r, "batch_shape");
    shape = shape ? shape : option(r, "batch_input_shape");
    size_t rank = document_count(shape);
    double last = document_number(document_at(shape, rank ? rank - 1 : 0), 0);
    double steps = document_number(document_at(shape, 1), 0);
    if (rank == 2 && last == HLF_COUNT)
        return add_alias(r, (struct value){.ours = "hlf", .kind = VALUE_FLAT});
    if (rank == 3 && last == PARTICLE_COLUMNS && (steps == 0 || steps == PARTICLE_ROWS_MAX))
        return add_alias(r, (struct value){.ours = "particles", .kind = VALUE_SEQUENCE, .masked = steps == 0});
    return keras_refuse(r, STATUS_UNSUPPORTED,
                        "is an input of %zu axes, the last of %g: inputs are the %d features, or up to %d "
                        "particle rows of %d",
                        rank, last, HLF_COUNT, PARTICLE_ROWS_MAX, PARTICLE_COLUMNS);
}

static enum status read_masking(struct reading *r)
{
    TRY(takes(r, VALUE_SEQUENCE));
    TRY(must_be_off(r, "mask_value"));
    return add_alias(r, (struct value){.ours = r->in[0]->ours, .kind = VALUE_SEQUENCE, .masked = true});
}

static enum status read_recurrent(struct reading *r)
{
    static const char *const off[] = {"return_sequences", "return_state", "go_backwards", "stateful", "time_major"};
    bool gru = strcmp(r->class_name, "GRU") == 0;
    struct layer_spec spec = {.kind = gru ? LAYER_GRU : LAYER_LSTM};
    const struct document *bias = option(r, "use_bias"), *after = option(r, "reset_after");
    TRY(takes(r, VALUE_SEQUENCE));
    for (size_t i = 0; i < ARRAY_LEN(off); i++)
        TRY(must_be_off(r, off[i]));
    TRY(must_be_function(r, "activation", "tanh"));
    TRY(must_be_function(r, "recurrent_activation", "sigmoid"));
    TRY(whole_number(r, "units", RECURRENT_WIDTH_MAX, &spec.units));
    /* Keras 2 of before reset_after wrote no such member, and reset before. */
    spec.reset_after = !gru || document_true(after);
    note_steps(r);
    return add_layer(r, spec, (struct keras_origin){.no_bias = bias && !document_true(bias)}, VALUE_FLAT);
}

static enum status read_dense(struct reading *r)
{
    struct layer_spec spec = {.kind = LAYER_DENSE};
    const char *activation = function_name(option(r, "activation"));
    const struct document *bias = option(r, "use_bias");
    bool softmax = strcmp(activation, "softmax") == 0;
    TRY(takes(r, VALUE_FLAT));
    TRY(must_be_off(r, "lora_rank"));
    TRY(must_be_off(r, "quantization_config"));
    TRY(whole_number(r, "units", HIDDEN_WIDTH_MAX, &spec.units));
    if (strcmp(activation, "relu") == 0)
        spec.activation = LAYER_ACTIVATION_RELU;
    else if (!softmax && strcmp(activation, "linear") != 0)
        return keras_refuse(r, STATUS_UNSUPPORTED,
                            "has activation '%.40s': linear, relu and, at the end, softmax are supported", activation);
    return add_layer(r, spec, (struct keras_origin){.no_bias = bias && !document_true(bias)},
                     softmax ? VALUE_PROBABILITIES : r->in[0]->kind);
}

static enum status read_dropout(struct reading *r)
{
    double rate = document_number(option(r, "rate"), 0);
    TRY(takes(r, VALUE_FLAT));
    if (!(rate >= 0 && rate <= 0.95))
        return keras_refuse(r, STATUS_UNSUPPORTED, "has rate %g: 0 to 0.95", rate);
    return add_layer(r, (struct layer_spec){.kind = LAYER_DROPOUT, .rate = rate}, (struct keras_origin){0},
                     r->in[0]->kind);
}

static enum status read_concatenate(struct reading *r)
{
    double axis = document_number(option(r, "axis"), -1);
    if (axis != -1 && axis != 1)
        return keras_refuse(r, STATUS_UNSUPPORTED, "joins along axis %g: only the last one", axis);
    for (size_t i = 0; i < r->n_in; i++)
        if (r->in[i]->kind == VALUE_SEQUENCE)
            return keras_refuse(r, STATUS_UNSUPPORTED, "joins sequences: only flat values");
    return add_layer(r, (struct layer_spec){.kind = LAYER_CONCATENATE}, (struct keras_origin){0}, VALUE_FLAT);
}

static enum status read_add(struct reading *r)
{
    return add_layer(r, (struct layer_spec){.kind = LAYER_ADD}, (struct keras_origin){0}, r->in[0]->kind);
}

static enum status read_flatten(struct reading *r)
{
    TRY(takes(r, VALUE_FLAT));
    if (r->in[0]->kind != VALUE_SEQUENCE)
        return add_alias(r, *r->in[0]);
    r->out->flattens = true;
    return add_layer(r, (struct layer_spec){.kind = LAYER_FLATTEN}, (struct keras_origin){0}, VALUE_FLAT);
}

static enum status read_pool(struct reading *r)
{
    const char *format = document_text(option(r, "data_format"), "channels_last");
    TRY(takes(r, VALUE_SEQUENCE));
    TRY(must_be_off(r, "keepdims"));
    if (strcmp(format, "channels_last") != 0)
        return keras_refuse(r, STATUS_UNSUPPORTED, "has data_format '%.40s'", format);
    note_steps(r);
    return add_layer(r, (struct layer_spec){.kind = LAYER_MEAN_POOL}, (struct keras_origin){0}, VALUE_FLAT);
}

static enum status read_norm(struct reading *r)
{
    const struct document *axis = option(r, "axis"), *center = option(r, "center"), *scale = option(r, "scale");
    struct layer_spec spec = {.kind = LAYER_NORM, .epsilon = document_number(option(r, "epsilon"), 1e-3)};
    TRY(takes(r, VALUE_FLAT));
    if (axis && axis->kind == DOCUMENT_LIST)
        axis = document_count(axis) == 1 ? axis->first : NULL;
    double last = r->in[0]->kind == VALUE_SEQUENCE ? 2 : 1, given = axis ? document_number(axis, -1) : 0;
    if (given != -1 && given != last)
        return keras_refuse(r, STATUS_UNSUPPORTED, "normalises other axes than the last one");
    TRY(must_be_off(r, "rms_scaling"));
    if (!(spec.epsilon >= 1e-12 && spec.epsilon <= 1))
        return keras_refuse(r, STATUS_UNSUPPORTED, "has epsilon %g: 1e-12 to 1", spec.epsilon);
    struct keras_origin origin = {.no_gamma = scale && !document_true(scale),
                                  .no_beta = center && !document_true(center)};
    return add_layer(r, spec, origin, r->in[0]->kind);
}

static enum status read_attention(struct reading *r)
{
    struct layer_spec spec = {.kind = LAYER_ATTENTION};
    const struct document *bias = option(r, "use_bias"), *axes = option(r, "attention_axes");
    double value_dim = document_number(option(r, "value_dim"), 0);
    for (size_t i = 1; i < r->n_in; i++)
        if (r->in[i] != r->in[0])
            return keras_refuse(r, STATUS_UNSUPPORTED, "looks from one value at another: only self-attention");
    r->n_in = r->n_in > 0;
    TRY(takes(r, VALUE_SEQUENCE));
    TRY(must_be_off(r, "output_shape"));
    TRY(must_be_off(r, "use_gate"));
    TRY(whole_number(r, "num_heads", 64, &spec.heads));
    TRY(whole_number(r, "key_dim", 256, &spec.key_dim));
    if (value_dim != 0 && value_dim != (double)spec.key_dim)
        return keras_refuse(r, STATUS_UNSUPPORTED, "has value_dim %g other than key_dim", value_dim);
    if (!document_is_null(axes) && !(document_count(axes) == 1 && document_number(axes->first, 0) == 1))
        return keras_refuse(r, STATUS_UNSUPPORTED, "attends along other axes than the particles");
    note_steps(r);
    return add_layer(r, spec, (struct keras_origin){.no_bias = bias && !document_true(bias)}, VALUE_SEQUENCE);
}

static enum status read_activation(struct reading *r)
{
    const char *name =
        strcmp(r->class_name, "Activation") == 0 ? function_name(option(r, "activation")) : r->class_name;
    TRY(takes(r, VALUE_FLAT));
    if (strcmp(name, "linear") == 0)
        return add_alias(r, *r->in[0]);
    if (strcmp(name, "softmax") == 0 || strcmp(name, "Softmax") == 0) {
        double axis = document_number(option(r, "axis"), -1);
        if ((axis != -1 && axis != 1) || r->in[0]->kind != VALUE_FLAT)
            return keras_refuse(r, STATUS_UNSUPPORTED, "is not over the last axis of a flat value");
        return add_alias(r, (struct value){.ours = r->in[0]->ours, .kind = VALUE_PROBABILITIES});
    }
    if (strcmp(name, "relu") != 0 && strcmp(name, "ReLU") != 0)
        return keras_refuse(r, STATUS_UNSUPPORTED, "is '%.40s': linear, relu and, at the end, softmax are supported",
                            name);
    TRY(must_be_off(r, "max_value"));
    TRY(must_be_off(r, "negative_slope"));
    TRY(must_be_off(r, "threshold"));
    return add_layer(r, (struct layer_spec){.kind = LAYER_RELU}, (struct keras_origin){0}, r->in[0]->kind);
}

/* Keras 3 writes Masking's mask as operations of its own: any(not_equal(x, 0)). */
static enum status read_not_equal(struct reading *r)
{
    TRY(takes(r, VALUE_SEQUENCE));
    return add_alias(r, (struct value){.ours = r->in[0]->ours, .kind = VALUE_MASK_ELEMENTS});
}

static enum status read_any(struct reading *r)
{
    if (r->n_in != 1 || r->in[0]->kind != VALUE_MASK_ELEMENTS || document_number(option(r, "axis"), 0) != -1 ||
        document_true(option(r, "keepdims")))
        return keras_refuse(r, STATUS_UNSUPPORTED, "is not the mask of padded particles");
    return add_alias(r, (struct value){.ours = r->in[0]->ours, .kind = VALUE_MASK});
}

static const struct {
    const char *class_name;
    enum status (*read)(struct reading *r);
} classes[] = {
    {"InputLayer", keras_input},
    {"Masking", read_masking},
    {"GRU", read_recurrent},
    {"LSTM", read_recurrent},
    {"Dense", read_dense},
    {"Dropout", read_dropout},
    {"Concatenate", read_concatenate},
    {"Add", read_add},
    {"Flatten", read_flatten},
    {"GlobalAveragePooling1D", read_pool},
    {"LayerNormalization", read_norm},
    {"MultiHeadAttention", read_attention},
    {"Activation", read_activation},
    {"Softmax", read_activation},
    {"ReLU", read_activation},
    {"NotEqual", read_not_equal},
    {"Any", read_any},
};

enum status keras_layer(struct reading *r)
{
    for (size_t i = 0; i < r->n_in; i++) {
        bool mask = r->in[i]->kind == VALUE_MASK || r->in[i]->kind == VALUE_MASK_ELEMENTS;
        if (r->in[i]->kind == VALUE_PROBABILITIES || (mask && strcmp(r->class_name, "Any") != 0))
            return keras_refuse(r, STATUS_UNSUPPORTED, "takes '%.64s', which is %s", r->in[i]->name,
                                mask ? "a mask" : "softmax: that is supported at the end only");
    }
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strcmp(r->class_name, classes[i].class_name) == 0)
            return classes[i].read(r);
    return keras_refuse(r, STATUS_UNSUPPORTED,
                        "is of a class that is not supported, and nothing in a file is ever run: Dense, GRU, "
                        "LSTM, MultiHeadAttention, LayerNormalization, Dropout, Concatenate, Add, Flatten, "
                        "GlobalAveragePooling1D, Masking, Activation, ReLU and Softmax are");
}
