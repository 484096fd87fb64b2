/* core/model/onnx_export.c
 *
 * A model as ONNX: inputs, scaler, layers, softmax, and what the model says of itself as metadata. */
#include "core/interchange.h"
#include "core/model/onnx_build.h"

#include <stdlib.h>
#include <string.h>

enum { SCRATCH_MAX = 512 << 20, INPUTS_MAX = 3, METADATA_MAX = 12 };

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static bool has_flatten(const struct onnx_build *b)
{
    for (size_t i = 0; i < b->n_layers; i++)
        if (b->layer[i].kind == LAYER_FLATTEN)
            return true;
    return false;
}

static void write_inputs(struct onnx_build *b, const struct onnx_source *source, int reads)
{
    bool all_steps = !b->ragged || has_flatten(b), raw = source->with_scaler;
    if (reads & INPUT_HLF)
        onnx_value(b, false, "hlf", ONNX_FLOAT, raw ? "the 14 features as measured" : "the 14 features, scaled",
                   (const char *const[]){"batch", NULL}, (const int64_t[]){0, HLF_COUNT}, 2);
    if (!(reads & INPUT_SEQUENCE))
        return;
    onnx_value(b, false, "particles", ONNX_FLOAT,
               !b->ragged ? "the 801 particle rows, sorted by falling dR and standardised per event"
               : raw ? "particle rows as measured, sorted by falling dR; behind the event's last row anything finite"
                     : "particle rows, sorted by falling dR and scaled; behind the event's last row anything finite",
               (const char *const[]){"batch", all_steps ? NULL : "steps", NULL},
               (const int64_t[]){0, PARTICLE_ROWS_MAX, PARTICLE_COLUMNS}, 3);
    if (b->ragged)
        onnx_value(b, false, "particle_counts", ONNX_INT32, "real rows of each event, 1 or more",
                   (const char *const[]){"batch"}, (const int64_t[]){0}, 1);
}

/* ---- scaler: in float64, as ours --------------------------------------------------------------------------------- */

static const char *cast(struct onnx_build *b, const char *in, int type, const char *what)
{
    const char *out = onnx_name(b, what);
    onnx_attribute_int(b, onnx_node(b, "Cast", ONNX_IN(in), out), "to", type);
    return out;
}

static const char *doubles(struct onnx_build *b, const char *what, const double *v, size_t n)
{
    return onnx_constant(b, what, ONNX_DOUBLE, ONNX_SHAPE((int64_t)n), v, n * sizeof *v);
}

static const char *scale_line(struct onnx_build *b, const char *in, const double *shift, const double *factor, size_t n)
{
    const char *moved = onnx_op(b, "Sub", ONNX_IN(in, doubles(b, "shift", shift, n)), "shifted");
    return cast(b, onnx_op(b, "Mul", ONNX_IN(moved, doubles(b, "factor", factor, n)), "scaled"), ONNX_FLOAT, "out");
}

static const char *scale_hlf(struct onnx_build *b, const struct hlf_scaler *s)
{
    static const double zero = 0, one = 1;
    uint8_t log[HLF_COUNT];
    bool any = false;
    text_copy(b->scope, sizeof b->scope, "hlf_scaler");
    const char *x = cast(b, "hlf", ONNX_DOUBLE, "in");
    for (size_t i = 0; i < HLF_COUNT; i++) {
        log[i] = s->log[i];
        any |= s->log[i];
    }
    if (any) {
        const char *least = onnx_constant(b, "zero", ONNX_DOUBLE, (struct onnx_shape){0}, &zero, sizeof zero);
        const char *more = onnx_constant(b, "one", ONNX_DOUBLE, (struct onnx_shape){0}, &one, sizeof one);
        const char *which = onnx_constant(b, "which", ONNX_BOOL, ONNX_SHAPE(HLF_COUNT), log, sizeof log);
        const char *positive = onnx_op(b, "Max", ONNX_IN(x, least), "positive");
        const char *logged =
            onnx_op(b, "Log", ONNX_IN(onnx_op(b, "Add", ONNX_IN(positive, more), "plus_one")), "logged");
        x = onnx_op(b, "Where", ONNX_IN(which, logged, x), "chosen");
    }
    return scale_line(b, x, s->shift, s->factor, HLF_COUNT);
}

static const char *scale_particles(struct onnx_build *b, const struct sequence_scaler *s)
{
    text_copy(b->scope, sizeof b->scope, "row_scaler");
    return scale_line(b, cast(b, "particles", ONNX_DOUBLE, "in"), s->mean, s->factor, PARTICLE_COLUMNS);
}

/* ---- graph ------------------------------------------------------------------------------------------------------- */

static void fill_graph(struct onnx_build *b, const struct onnx_source *source)
{
    int reads = estimator_input(&source->header->params);
    b->ragged = (reads & INPUT_SEQUENCE) && !recipe_find(source->header->recipe)->sequence_dense;
    b->hlf = "hlf";
    b->particles = "particles";
    write_inputs(b, source, reads);
    if (source->with_scaler && (reads & INPUT_HLF))
        b->hlf = scale_hlf(b, &source->scaler->hlf);
    if (source->with_scaler && b->ragged)
        b->particles = scale_particles(b, &source->scaler->sequence);
    const char *logits = onnx_layers(b);
    if (b->status != STATUS_OK)
        return;
    onnx_attribute_int(b, onnx_node(b, "Softmax", ONNX_IN(logits), "probabilities"), "axis", -1);
    onnx_value(b, true, "probabilities", ONNX_FLOAT, "of each class", (const char *const[]){"batch", NULL},
               (const int64_t[]){0, (int64_t)source->header->classes.n_items}, 2);
}

enum status onnx_graph(struct onnx_build *b, const struct onnx_source *source)
{
    struct field_list resolved;
    struct net *net;
    b->status = STATUS_OK;
    TRY(graph_build(b->a, &source->header->params.layers, source->header->classes.n_items, "/params/layers", &resolved,
                    &net, b->e));
    b->net = net;
    b->layer = resolved.items;
    b->n_layers = resolved.n_items;
    b->graph = onnx_alloc(b, 1, sizeof *b->graph);
    if (b->graph) {
        onnx__graph_proto__init(b->graph);
        b->graph->node = onnx_alloc(b, ONNX_NODES_MAX, sizeof *b->graph->node);
        b->graph->initializer = onnx_alloc(b, ONNX_TENSORS_MAX, sizeof *b->graph->initializer);
        b->graph->input = onnx_alloc(b, INPUTS_MAX, sizeof *b->graph->input);
        b->graph->output = onnx_alloc(b, 1, sizeof *b->graph->output);
        b->graph->name = (char *)(uintptr_t) "dltrigger";
    }
    if (b->status == STATUS_OK)
        fill_graph(b, source);
    net_destroy(net);
    return b->status;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

static void put_metadata(struct onnx_build *b, Onnx__ModelProto *m, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = onnx_alloc(b, 1, sizeof *entry);
    if (!value)
        onnx_fail(b, STATUS_NOMEM, "no memory for an ONNX model");
    if (!entry || !value)
        return;
    onnx__string_string_entry_proto__init(entry);
    entry->key = (char *)(uintptr_t)key;
    entry->value = (char *)(uintptr_t)value;
    check(m->n_metadata_props < METADATA_MAX);
    m->metadata_props[m->n_metadata_props++] = entry;
}

static const char *class_names(struct onnx_build *b, const struct model_header *h)
{
    const char *const *name = h->classes.items;
    const char *all = "";
    for (size_t i = 0; i < h->classes.n_items && all; i++)
        all = arena_printf(b->a, "%s%s%s", all, i ? "," : "", name[i]);
    return all;
}

static void describe(struct onnx_build *b, const struct model *model, bool with_scaler, Onnx__ModelProto *m)
{
    const struct model_header *h = model_header(model);
    struct buf text;
    char sum[65];
    buf_init(&text, CONTAINER_TEXT_MAX);
    m->metadata_props = onnx_alloc(b, METADATA_MAX, sizeof *m->metadata_props);
    if (field_write_text(model_header_fields, h, &text, b->e) != STATUS_OK)
        b->status = b->e->status;
    if (b->status == STATUS_OK) {
        sha256_hex(model_params(model), (size_t)h->n_params * sizeof(float), sum);
        put_metadata(b, m, "dltrigger.sha256", model_sha256(model));
        put_metadata(b, m, "dltrigger.recipe", h->recipe);
        put_metadata(b, m, "dltrigger.classes", class_names(b, h));
        put_metadata(b, m, ONNX_SCALER_KEY, with_scaler ? "inside" : "outside");
        put_metadata(b, m, ONNX_PARAMETERS_KEY, arena_strdup(b->a, sum));
        put_metadata(b, m, ONNX_HEADER_KEY, arena_strndup(b->a, (const char *)text.data, text.len));
    }
    buf_fini(&text);
}

static enum status pack(struct onnx_build *b, Onnx__ModelProto *m, struct buf *out)
{
    size_t bytes = onnx__model_proto__get_packed_size(m);
    TRY(buf_reserve(out, bytes, b->e));
    size_t wrote = onnx__model_proto__pack(m, out->data + out->len);
    check(wrote == bytes);
    out->len += bytes;
    return STATUS_OK;
}

static enum status export_model(struct arena *a, const struct model *model, bool with_scaler, struct buf *out,
                                struct error *e)
{
    const struct model_header *h = model_header(model);
    struct scalers scaler;
    TRY(header_check(h, &scaler, e));
    struct onnx_build b = {.a = a, .e = e, .params = (float *)(uintptr_t)model_params(model)};
    TRY(onnx_graph(&b, &(struct onnx_source){h, &scaler, with_scaler}));
    Onnx__ModelProto m = ONNX__MODEL_PROTO__INIT;
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[] = {&opset};
    opset.domain = (char *)(uintptr_t) "";
    opset.has_version = true;
    opset.version = ONNX_OPSET;
    m.has_ir_version = true;
    m.ir_version = ONNX_IR_VERSION;
    m.producer_name = (char *)(uintptr_t) "dltrigger";
    m.producer_version = (char *)(uintptr_t)DLT_VERSION;
    m.graph = b.graph;
    m.n_opset_import = 1;
    m.opset_import = opsets;
    describe(&b, model, with_scaler, &m);
    TRY(b.status);
    return pack(&b, &m, out);
}

enum status model_to_onnx(const struct model *m, bool with_scaler, struct buf *out, struct error *e)
{
    struct arena a;
    if (model_header(m)->params.layers.n_items == 0)
        return error_set(e, STATUS_UNSUPPORTED, "%s is not a network: only networks are exported as ONNX",
                         model_header(m)->estimator);
    arena_init(&a, SCRATCH_MAX);
    enum status s = export_model(&a, m, with_scaler, out, e);
    arena_fini(&a);
    return s;
}
