/* core/model/onnx_import.c
 *
 * Our own ONNX back.  The metadata says which network it should be; the graph that this network is exported as is built
 * again, with the parameters taken from the file, and must be the file's graph, node by node.  Takes bytes from
 * anywhere. */
#include "core/model/onnx_build.h"

#include <math.h>
#include <string.h>

enum { PARSED_MAX = 600 << 20 };

/* ---- memory of the parser ---------------------------------------------------------------------------------------- */

static void *take(void *arena, size_t n)
{
    return arena_alloc(arena, n ? n : 1, 1);
}
static void leave(void *arena, void *p)
{
    (void)arena, (void)p;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static bool same_message(struct arena *a, const ProtobufCMessage *x, const ProtobufCMessage *y)
{
    size_t n = protobuf_c_message_get_packed_size(x);
    if (protobuf_c_message_get_packed_size(y) != n)
        return false;
    uint8_t *bytes = arena_alloc(a, 2 * n + 1, 1);
    if (!bytes)
        return false;
    protobuf_c_message_pack(x, bytes);
    protobuf_c_message_pack(y, bytes + n);
    return memcmp(bytes, bytes + n, n) == 0;
}

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static enum status foreign_node(const Onnx__NodeProto *node, size_t i, const char *why, struct error *e)
{
    return error_set(e, STATUS_UNSUPPORTED,
                     "node %zu ('%.60s', operator %.40s) %s: only graphs that dltrigger has exported "
                     "are imported, and as they were",
                     i, text_of(node->name), text_of(node->op_type), why);
}

static enum status compare_nodes(struct arena *a, const Onnx__GraphProto *mine, const Onnx__GraphProto *theirs,
                                 struct error *e)
{
    for (size_t i = 0; i < theirs->n_node; i++)
        if (i >= mine->n_node || !same_message(a, &theirs->node[i]->base, &mine->node[i]->base))
            return foreign_node(theirs->node[i], i, "is not of the network that its header describes", e);
    return mine->n_node == theirs->n_node
               ? STATUS_OK
               : error_set(e, STATUS_FORMAT, "node '%.60s' is missing", mine->node[theirs->n_node]->name);
}

static enum status compare_values(struct arena *a, Onnx__ValueInfoProto *const *mine, size_t n_mine,
                                  Onnx__ValueInfoProto *const *theirs, size_t n_theirs, struct error *e)
{
    for (size_t i = 0; i < n_mine; i++)
        if (i >= n_theirs || !same_message(a, &mine[i]->base, &theirs[i]->base))
            return error_set(e, STATUS_FORMAT, "'%.60s' is not among its inputs and outputs, or has another shape",
                             mine[i]->name);
    return n_mine == n_theirs
               ? STATUS_OK
               : error_set(e, STATUS_FORMAT, "'%.60s' is an input or output too many", text_of(theirs[n_mine]->name));
}

static enum status compare_tensors(struct arena *a, const Onnx__GraphProto *mine, const Onnx__GraphProto *theirs,
                                   struct error *e)
{
    for (size_t i = 0; i < theirs->n_initializer; i++)
        if (i >= mine->n_initializer || !same_message(a, &theirs->initializer[i]->base, &mine->initializer[i]->base))
            return error_set(e, STATUS_FORMAT, "initializer '%.60s' is not what its header says",
                             text_of(theirs->initializer[i]->name));
    return mine->n_initializer == theirs->n_initializer ? STATUS_OK
                                                        : error_set(e, STATUS_FORMAT, "initializer '%.60s' is missing",
                                                                    mine->initializer[theirs->n_initializer]->name);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static const char *metadata(const Onnx__ModelProto *m, const char *key)
{
    for (size_t i = 0; i < m->n_metadata_props; i++)
        if (strcmp(text_of(m->metadata_props[i]->key), key) == 0)
            return text_of(m->metadata_props[i]->value);
    return NULL;
}

static enum status read_header(struct arena *a, const Onnx__ModelProto *m, struct onnx_model *out, struct error *e)
{
    const char *text = metadata(m, ONNX_HEADER_KEY), *scaler = metadata(m, ONNX_SCALER_KEY);
    if (!text || !scaler) {
        if (m->graph->n_node > 0)
            return foreign_node(m->graph->node[0], 0, "is of another program's graph", e);
        return error_set(e, STATUS_UNSUPPORTED, "a graph without nodes, and not one that dltrigger has exported");
    }
    if (strlen(text) > CONTAINER_TEXT_MAX)
        return error_set(e, STATUS_FORMAT, "header of %zu bytes", strlen(text));
    TRY(field_read_text(a, model_header_fields, (struct span){(const uint8_t *)text, strlen(text)}, &out->header, e));
    TRY(field_validate(model_header_fields, &out->header, "/header", e));
    out->with_scaler = strcmp(scaler, "inside") == 0;
    return STATUS_OK;
}

static enum status check_params(const Onnx__ModelProto *m, const struct onnx_model *out, struct error *e)
{
    char sum[65];
    const char *stated = metadata(m, ONNX_PARAMETERS_KEY);
    for (size_t i = 0; i < out->n_params; i++)
        if (!isfinite(out->params[i]))
            return error_set(e, STATUS_FORMAT, "parameter %zu is not finite", i);
    sha256_hex(out->params, out->n_params * sizeof *out->params, sum);
    return stated && strcmp(stated, sum) == 0
               ? STATUS_OK
               : error_set(e, STATUS_FORMAT, "its parameters are not those that were exported: damaged or changed");
}

static enum status read_model(struct arena *a, const Onnx__ModelProto *m, struct onnx_model *out, struct error *e)
{
    struct scalers scaler;
    if (!m->graph)
        return error_set(e, STATUS_FORMAT, "no graph");
    TRY(read_header(a, m, out, e));
    TRY(header_check(&out->header, &scaler, e));
    if (out->header.params.layers.n_items == 0 || out->header.n_params < 1 || out->header.n_params > GRAPH_PARAMS_MAX)
        return error_set(e, STATUS_FORMAT, "the header names no network");
    /* Never more than the file itself has. */
    size_t given = 0;
    for (size_t i = 0; i < m->graph->n_initializer; i++)
        given += m->graph->initializer[i]->raw_data.len / sizeof(float);
    out->n_params = (size_t)out->header.n_params;
    if (out->n_params > given)
        return error_set(e, STATUS_FORMAT, "the header says %zu parameters, the graph holds %zu numbers", out->n_params,
                         given);
    struct field_list resolved;
    struct net *net;
    TRY(graph_build(a, &out->header.params.layers, out->header.classes.n_items, "/params/layers", &resolved, &net, e));
    size_t n = net_n_params(net);
    net_destroy(net);
    if (n != out->n_params)
        return error_set(e, STATUS_FORMAT, "the header says %zu parameters, its network has %zu", out->n_params, n);
    out->params = arena_alloc(a, n, sizeof *out->params);
    if (!out->params)
        return error_set(e, STATUS_NOMEM, "no memory for %zu parameters", n);
    struct onnx_build b = {.a = a, .e = e, .params = out->params, .from = m->graph};
    enum status s = onnx_graph(&b, &(struct onnx_source){&out->header, &scaler, out->with_scaler});
    if (s == STATUS_OK)
        s = compare_nodes(a, b.graph, m->graph, e);
    TRY(s);
    TRY(compare_values(a, b.graph->input, b.graph->n_input, m->graph->input, m->graph->n_input, e));
    TRY(compare_values(a, b.graph->output, b.graph->n_output, m->graph->output, m->graph->n_output, e));
    TRY(compare_tensors(a, b.graph, m->graph, e));
    return check_params(m, out, e);
}

enum status onnx_read(struct arena *a, struct span bytes, struct onnx_model *out, struct error *e)
{
    struct arena parsed;
    *out = (struct onnx_model){0};
    arena_init(&parsed, PARSED_MAX);
    ProtobufCAllocator allocator = {take, leave, &parsed};
    const Onnx__ModelProto *m = onnx__model_proto__unpack(&allocator, bytes.len, bytes.data);
    enum status s = m ? read_model(a, m, out, e) : error_set(e, STATUS_FORMAT, "not a sound ONNX file");
    arena_fini(&parsed);
    if (s != STATUS_OK && (e->status == STATUS_RANGE || e->status == STATUS_ARGUMENT))
        s = e->status = STATUS_FORMAT;
    return s == STATUS_OK ? s : error_wrap(e, "ONNX");
}
