/* core/model/onnx_build.c
 *
 * Nodes, constants and parameters of an ONNX graph in an arena. */
#include "core/model/onnx_build.h"

#include <string.h>

void onnx_fail(struct onnx_build *b, enum status s, const char *fmt, ...)
{
    char text[512];
    va_list args;
    if (b->status != STATUS_OK)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    b->status = error_set(b->e, s, "%s", text);
}

void *onnx_alloc(struct onnx_build *b, size_t n, size_t size)
{
    void *p = b->status == STATUS_OK ? arena_alloc(b->a, n, size) : NULL;
    if (!p)
        onnx_fail(b, STATUS_NOMEM, "no memory for an ONNX graph");
    return p;
}

static char *copy_text(struct onnx_build *b, const char *text)
{
    char *copy = b->status == STATUS_OK ? arena_strdup(b->a, text) : NULL;
    if (!copy)
        onnx_fail(b, STATUS_NOMEM, "no memory for an ONNX graph");
    return copy;
}

const char *onnx_name(struct onnx_build *b, const char *what)
{
    char *name = b->status == STATUS_OK ? arena_printf(b->a, "%s.%s", b->scope, what) : NULL;
    if (!name)
        onnx_fail(b, STATUS_NOMEM, "no memory for an ONNX graph");
    return name;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

Onnx__NodeProto *onnx_node(struct onnx_build *b, const char *op, const char *const *inputs, const char *output)
{
    size_t n = 0;
    while (inputs[n])
        n++;
    Onnx__NodeProto *node = onnx_alloc(b, 1, sizeof *node);
    char **in = onnx_alloc(b, n ? n : 1, sizeof *in), **out = onnx_alloc(b, 1, sizeof *out);
    if (!node || !in || !out || !output)
        return NULL;
    check(b->graph->n_node < ONNX_NODES_MAX);
    onnx__node_proto__init(node);
    for (size_t i = 0; i < n; i++)
        in[i] = copy_text(b, inputs[i]);
    out[0] = copy_text(b, output);
    node->input = in;
    node->n_input = n;
    node->output = out;
    node->n_output = 1;
    node->name = out[0];
    node->op_type = copy_text(b, op);
    node->attribute = onnx_alloc(b, 4, sizeof *node->attribute);
    b->graph->node[b->graph->n_node++] = node;
    return b->status == STATUS_OK ? node : NULL;
}

const char *onnx_op(struct onnx_build *b, const char *op, const char *const *inputs, const char *what)
{
    const char *name = onnx_name(b, what);
    return onnx_node(b, op, inputs, name) ? name : NULL;
}

/* Codes of AttributeProto.type. */
enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_INTS = 7 };

static Onnx__AttributeProto *attribute(struct onnx_build *b, Onnx__NodeProto *node, const char *name, int type)
{
    Onnx__AttributeProto *attr = onnx_alloc(b, 1, sizeof *attr);
    if (!attr || !node)
        return NULL;
    onnx__attribute_proto__init(attr);
    attr->name = copy_text(b, name);
    attr->has_type = true;
    attr->type = type;
    check(node->n_attribute < 4);
    node->attribute[node->n_attribute++] = attr;
    return attr;
}

void onnx_attribute_int(struct onnx_build *b, Onnx__NodeProto *node, const char *name, int64_t v)
{
    Onnx__AttributeProto *attr = attribute(b, node, name, ATTRIBUTE_INT);
    if (attr)
        attr->has_i = true, attr->i = v;
}

void onnx_attribute_float(struct onnx_build *b, Onnx__NodeProto *node, const char *name, float v)
{
    Onnx__AttributeProto *attr = attribute(b, node, name, ATTRIBUTE_FLOAT);
    if (attr)
        attr->has_f = true, attr->f = v;
}

void onnx_attribute_ints(struct onnx_build *b, Onnx__NodeProto *node, const char *name, const int64_t *v, size_t n)
{
    Onnx__AttributeProto *attr = attribute(b, node, name, ATTRIBUTE_INTS);
    int64_t *copy = onnx_alloc(b, n, sizeof *copy);
    if (!attr || !copy)
        return;
    memcpy(copy, v, n * sizeof *copy);
    attr->ints = copy;
    attr->n_ints = n;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* With room for `bytes`, which the caller fills. */
static Onnx__TensorProto *tensor(struct onnx_build *b, const char *name, int type, struct onnx_shape shape,
                                 size_t bytes)
{
    Onnx__TensorProto *t = onnx_alloc(b, 1, sizeof *t);
    int64_t *dims = onnx_alloc(b, shape.n_dims ? shape.n_dims : 1, sizeof *dims);
    uint8_t *data = onnx_alloc(b, bytes, 1);
    if (!t || !dims || !data || !name)
        return NULL;
    check(b->graph->n_initializer < ONNX_TENSORS_MAX);
    onnx__tensor_proto__init(t);
    memcpy(dims, shape.dims, shape.n_dims * sizeof *dims);
    t->dims = dims;
    t->n_dims = shape.n_dims;
    t->has_data_type = true;
    t->data_type = type;
    t->name = copy_text(b, name);
    t->has_raw_data = true;
    t->raw_data = (ProtobufCBinaryData){bytes, data};
    b->graph->initializer[b->graph->n_initializer++] = t;
    return b->status == STATUS_OK ? t : NULL;
}

const char *onnx_constant(struct onnx_build *b, const char *what, int type, struct onnx_shape shape, const void *data,
                          size_t bytes)
{
    const char *name = onnx_name(b, what);
    Onnx__TensorProto *t = tensor(b, name, type, shape, bytes);
    if (!t)
        return NULL;
    memcpy(t->raw_data.data, data, bytes);
    return name;
}

const char *onnx_ints(struct onnx_build *b, const char *what, const int64_t *v, size_t n)
{
    return onnx_constant(b, what, ONNX_INT64, ONNX_SHAPE((int64_t)n), v, n * sizeof *v);
}

const char *onnx_float(struct onnx_build *b, const char *what, float v)
{
    return onnx_constant(b, what, ONNX_FLOAT, (struct onnx_shape){0}, &v, sizeof v);
}

/* The same tensor of the graph that is imported; its numbers are checked later, as part of the whole. */
static const Onnx__TensorProto *find_tensor(struct onnx_build *b, const char *name, size_t bytes)
{
    for (size_t i = 0; i < b->from->n_initializer; i++) {
        const Onnx__TensorProto *t = b->from->initializer[i];
        if (t->name && strcmp(t->name, name) == 0 && t->has_raw_data && t->raw_data.len == bytes)
            return t;
    }
    onnx_fail(b, STATUS_FORMAT, "initializer '%.80s' of %zu bytes is missing", name, bytes);
    return NULL;
}

const char *onnx_weights(struct onnx_build *b, const char *what, struct onnx_shape shape, size_t first,
                         int64_t (*place)(const void *ctx, size_t j), const void *ctx)
{
    const char *name = onnx_name(b, what);
    size_t n = 1;
    for (size_t i = 0; i < shape.n_dims; i++)
        n *= (size_t)shape.dims[i];
    Onnx__TensorProto *t = tensor(b, name, ONNX_FLOAT, shape, n * sizeof(float));
    const Onnx__TensorProto *from = t && b->from ? find_tensor(b, name, n * sizeof(float)) : NULL;
    if (!t || (b->from && !from))
        return NULL;
    uint8_t *data = t->raw_data.data;
    for (size_t j = 0; j < n; j++) {
        int64_t at = place ? place(ctx, j) : (int64_t)j;
        if (at < 0)
            continue; /* the arena's memory is zero */
        float *param = b->params + first + at;
        if (from)
            memcpy(param, from->raw_data.data + j * sizeof *param, sizeof *param);
        memcpy(data + j * sizeof *param, param, sizeof *param);
    }
    return name;
}

/* ---- inputs and outputs ------------------------------------------------------------------------------------------ */

static Onnx__TensorShapeProto__Dimension *dimension(struct onnx_build *b, const char *name, int64_t size)
{
    Onnx__TensorShapeProto__Dimension *d = onnx_alloc(b, 1, sizeof *d);
    if (!d)
        return NULL;
    onnx__tensor_shape_proto__dimension__init(d);
    if (name)
        d->dim_param = copy_text(b, name);
    else
        d->has_dim_value = true, d->dim_value = size;
    return d;
}

void onnx_value(struct onnx_build *b, bool output, const char *name, int type, const char *doc,
                const char *const *dim_names, const int64_t *dims, size_t n_dims)
{
    Onnx__ValueInfoProto *v = onnx_alloc(b, 1, sizeof *v);
    Onnx__TypeProto *t = onnx_alloc(b, 1, sizeof *t);
    Onnx__TypeProto__Tensor *tensor_type = onnx_alloc(b, 1, sizeof *tensor_type);
    Onnx__TensorShapeProto *shape = onnx_alloc(b, 1, sizeof *shape);
    Onnx__TensorShapeProto__Dimension **dim = onnx_alloc(b, n_dims, sizeof *dim);
    if (b->status != STATUS_OK)
        return;
    onnx__value_info_proto__init(v);
    onnx__type_proto__init(t);
    onnx__type_proto__tensor__init(tensor_type);
    onnx__tensor_shape_proto__init(shape);
    for (size_t i = 0; i < n_dims; i++)
        dim[i] = dimension(b, dim_names[i], dims[i]);
    shape->dim = dim;
    shape->n_dim = n_dims;
    tensor_type->has_elem_type = true;
    tensor_type->elem_type = type;
    tensor_type->shape = shape;
    t->tensor_type = tensor_type;
    v->name = copy_text(b, name);
    v->doc_string = copy_text(b, doc);
    v->type = t;
    if (output)
        b->graph->output[b->graph->n_output++] = v;
    else
        b->graph->input[b->graph->n_input++] = v;
}
