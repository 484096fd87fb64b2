/* core/model/onnx_build.h
 *
 * A network as an ONNX graph: one function builds it, for export from parameters and for import the other way round
 * (parameters are taken from a graph that should be the same).  So what is written and what is understood cannot
 * differ. */
#ifndef DLT_CORE_MODEL_ONNX_BUILD_H
#define DLT_CORE_MODEL_ONNX_BUILD_H

#include "core/model/graph.h"
#include "core/model/onnx.h"

#include "core/model/onnx_schema.pb-c.h"

enum { ONNX_IR_VERSION = 8, ONNX_OPSET = 17, ONNX_NODES_MAX = 2048, ONNX_TENSORS_MAX = 1024 };
enum { ONNX_FLOAT = 1, ONNX_INT32 = 6, ONNX_INT64 = 7, ONNX_BOOL = 9, ONNX_DOUBLE = 11 };
#define ONNX_HEADER_KEY     "dltrigger.header"
#define ONNX_SCALER_KEY     "dltrigger.scaler"
#define ONNX_PARAMETERS_KEY "dltrigger.parameters_sha256"

/* The first failure stays in `e` and makes all that follows do nothing; status says so. */
struct onnx_build {
    struct arena *a;
    enum status status;
    struct error *e;
    const struct net *net;
    const struct layer_spec *layer; /* resolved: layer i is net's layer i */
    size_t n_layers;
    bool ragged;   /* rows beyond an event's count are padding */
    float *params; /* read, or with `from` written */
    const Onnx__GraphProto *from;
    Onnx__GraphProto *graph;
    const char *hlf, *particles; /* values that the layers read */
    const char *mask, *counts;   /* bool [batch, steps], int64 [batch]; NULL until somebody needs them */
    char scope[24];              /* of names of intermediate values */
};

/* Values are named; NULL after a failure.  `what` is unique within the scope. */
const char *onnx_name(struct onnx_build *b, const char *what);
/* A node with one output, named like it.  inputs ends with NULL; "" is an input left out. */
Onnx__NodeProto *onnx_node(struct onnx_build *b, const char *op, const char *const *inputs, const char *output);
#define ONNX_IN(...) ((const char *const[]){__VA_ARGS__, NULL})
/* The same; the output is named by `what`, and returned. */
const char *onnx_op(struct onnx_build *b, const char *op, const char *const *inputs, const char *what);
void onnx_attribute_int(struct onnx_build *b, Onnx__NodeProto *node, const char *name, int64_t v);
void onnx_attribute_ints(struct onnx_build *b, Onnx__NodeProto *node, const char *name, const int64_t *v, size_t n);
void onnx_attribute_float(struct onnx_build *b, Onnx__NodeProto *node, const char *name, float v);

/* Constants, as initializers. */
struct onnx_shape {
    size_t n_dims;
    int64_t dims[4];
};
#define ONNX_SHAPE(...) ((struct onnx_shape){sizeof((int64_t[]){__VA_ARGS__}) / 8, {__VA_ARGS__}})
const char *onnx_constant(struct onnx_build *b, const char *what, int type, struct onnx_shape shape, const void *data,
                          size_t bytes);
const char *onnx_ints(struct onnx_build *b, const char *what, const int64_t *v, size_t n);
const char *onnx_float(struct onnx_build *b, const char *what, float v); /* scalar */
/* Parameters: number j of the tensor is params[first + place(ctx, j)], or 0 where that is negative.  place NULL: j. */
const char *onnx_weights(struct onnx_build *b, const char *what, struct onnx_shape shape, size_t first,
                         int64_t (*place)(const void *ctx, size_t j), const void *ctx);

void onnx_value(struct onnx_build *b, bool output, const char *name, int type, const char *doc,
                const char *const *dim_names, const int64_t *dims, size_t n_dims);
void onnx_fail(struct onnx_build *b, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
void *onnx_alloc(struct onnx_build *b, size_t n, size_t size); /* NULL after a failure */

/* onnx_layers.c: the nodes of all layers; returns the value of the last one (logits). */
const char *onnx_layers(struct onnx_build *b);

/* onnx_export.c: the whole graph into b->graph.  What b needs besides: a, e, params, from. */
struct onnx_source {
    const struct model_header *header;
    const struct scalers *scaler;
    bool with_scaler;
};
enum status onnx_graph(struct onnx_build *b, const struct onnx_source *source) MUST_USE;

#endif
