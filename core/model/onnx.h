/* core/model/onnx.h
 *
 * ONNX as the rest of core/model sees it; onnx_build.h is for those who know the format. */
#ifndef DLT_CORE_MODEL_ONNX_H
#define DLT_CORE_MODEL_ONNX_H

#include "core/model/private.h"

/* Bytes to the header and parameters of the model that was exported, all in `a`. */
struct onnx_model {
    struct model_header header;
    float *params;
    size_t n_params;
    bool with_scaler;
};
enum status onnx_read(struct arena *a, struct span bytes, struct onnx_model *out, struct error *e) MUST_USE;

#endif
