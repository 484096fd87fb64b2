/* server/json/infer_v2.h
 *
 * Open Inference Protocol v2: the body of an infer request, as JSON or as a JSON header with binary tensors behind it
 * (Triton's binary extension), and the body of the answer.  Knows tensors, not models.
 * Protocol: https://github.com/kserve/open-inference-protocol; extension: Triton's extension_binary_data.md. */
#ifndef DLT_SERVER_JSON_INFER_V2_H
#define DLT_SERVER_JSON_INFER_V2_H

#include "server/json/json.h"

enum { INFER_INPUTS_MAX = 4, INFER_OUTPUTS_MAX = 4, INFER_DIMENSIONS_MAX = 4 };

struct infer_tensor {
    const char *name;
    size_t n_dimensions, n;            /* n: numbers in all */
    int64_t shape[INFER_DIMENSIONS_MAX];
    float *data;                       /* [n] in the arena, finite */
};
struct infer_wanted {
    const char *name;
    bool binary;
};
struct infer_request {
    const char *id, *menu;             /* or NULL */
    size_t n_inputs, n_outputs;        /* n_outputs 0: all of them */
    struct infer_tensor inputs[INFER_INPUTS_MAX];
    struct infer_wanted outputs[INFER_OUTPUTS_MAX];
    bool binary_by_default;            /* of outputs that are not named */
    int64_t timeout_us;                /* 0: none */
};

/* header_len: of Inference-Header-Content-Length, -1 without it (all is JSON).  Datatype FP32 only.  FORMAT: not JSON, or
 * the lengths of header and tensors are not those of the body; ARGUMENT with problems; UNSUPPORTED: shared memory and
 * sequences; NOMEM. */
enum status infer_request_parse(struct arena *a, const uint8_t *body, size_t len, int64_t header_len,
                                struct infer_request *out, struct json_problems *problems, struct error *e) MUST_USE;

/* An output tensor of the answer: data as the protocol has it on the wire, little-endian. */
struct infer_output {
    const char *name, *datatype;       /* "FP32", "BOOL", "UINT64" */
    size_t n_dimensions;
    int64_t shape[2];
    const void *data;
    size_t n;                          /* numbers */
    bool binary;
};
/* Appends the answer; *header_len is of the JSON part, or -1 when nothing is binary. */
enum status infer_answer_write(const char *model, const char *version, const struct infer_request *q,
                               const struct infer_output *outputs, size_t n_outputs, struct buf *out,
                               int64_t *header_len, struct error *e) MUST_USE;

#endif
