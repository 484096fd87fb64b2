/* core/interchange.h
 *
 * Models of other programs: Keras files in (.h5 of Keras 2, .keras of Keras 3), ONNX out, and our own ONNX back in.
 * Networks are mapped to and from the list of layers that every model has (struct layer_spec); core/model/README.md
 * says what is understood.  Other people's bytes are parsed in a child process (core/sandbox.h). */
#ifndef DLT_CORE_INTERCHANGE_H
#define DLT_CORE_INTERCHANGE_H

#include "core/model.h"
#include "core/sandbox.h"

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* Appends an ONNX model (opset 17, IR version 8).  Inputs, as far as the network reads them: "hlf" float[batch, 14],
 * "particles" float[batch, steps, 19] and, of ragged recipes, "particle_counts" int32[batch]: the rows of each event
 * that are real, 1 or more; those behind them are padding of any finite value.  Output "probabilities" float[batch,
 * classes]. Inputs are scaled features, or with `with_scaler` raw ones (of dense recipes particles come prepared in
 * either case: sequence_prepare).  Fails: UNSUPPORTED (a model that is no network), NOMEM, RANGE. */
enum status model_to_onnx(const struct model *m, bool with_scaler, struct buf *out, struct error *e) MUST_USE;

/* ---- in ---------------------------------------------------------------------------------------------------------- */

enum model_format {
    MODEL_FORMAT_UNKNOWN,
    MODEL_FORMAT_OWN,
    MODEL_FORMAT_KERAS_H5,
    MODEL_FORMAT_KERAS_ZIP,
    MODEL_FORMAT_ONNX
};
extern const char *const model_format_names[]; /* "unknown", "dltrigger", "h5", "keras", "onnx" */
enum { MODEL_IMPORT_BYTES_MAX = 256 << 20 };
/* By the first bytes. */
enum model_format model_format_of(struct span file);

/* A Keras model has weights and layers; the rest is the importer's to say.  ONNX and our own files have it all. */
struct model_import {
    const char *recipe;        /* NULL: "sparkdltrigger-1" */
    struct field_list classes; /* const char *, in the order of the outputs; empty: qcd, tt, wjets of a network
                                  that gives three numbers */
    bool unnamed;              /* without classes: class_0, class_1, ... (to look into a file, not to use it) */
    const struct scaler_record *scaler; /* NULL: identity (only where the features come scaled) */
    const struct object_cuts *cuts;     /* NULL: the defaults */
    const char *dataset_id;             /* whose scaler it is; may be NULL */
    struct field_list histograms;       /* of that dataset, or empty */
};

/* Reads any of the formats; `name` is for messages.  Keras and ONNX are parsed in a child: the program must have called
 * sandbox_init with a task named MODEL_IMPORT_TASK.  Fails: FORMAT (damaged, hostile), UNSUPPORTED (a layer that is not
 * understood, named), ARGUMENT and RANGE (what does not fit together), NOMEM, IO. */
#define MODEL_IMPORT_TASK "model-import"
enum status model_import(const struct model_import *how, struct span file, const char *name, struct model **out,
                         struct error *e) MUST_USE;

/* ---- what the host supplies -------------------------------------------------------------------------------------- */

/* A document of names, numbers and lists.  Core has no JSON: whoever hosts the child brings a parser of it. */
enum document_kind { DOCUMENT_NULL, DOCUMENT_BOOL, DOCUMENT_NUMBER, DOCUMENT_TEXT, DOCUMENT_LIST, DOCUMENT_OBJECT };
struct document {
    enum document_kind kind;
    const char *name;                    /* in an object; else NULL */
    double number;                       /* NUMBER; BOOL: 0 or 1 */
    const char *text;                    /* TEXT */
    const struct document *first, *next; /* items or members; NULL ends them */
};
/* JSON into a tree in `a`; FORMAT when it is none, or nested deeper than 64. */
typedef enum status document_parser(struct arena *a, struct span json, const struct document **out, struct error *e);

/* The two halves of the child's task. */
enum status model_import_prepare(struct error *e) MUST_USE;
enum status model_import_run(document_parser *parse, const struct span *parts, size_t n_parts, struct buf *out,
                             struct error *e) MUST_USE;

#endif
