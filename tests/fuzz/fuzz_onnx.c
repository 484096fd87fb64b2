/* tests/fuzz/fuzz_onnx.c
 *
 * ONNX from hostile bytes.  What is accepted is a sound model, which goes out again and comes back the same. */
#include "core/interchange.h"
#include "core/model/onnx.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct arena *a, const struct onnx_model *read)
{
    struct model *m;
    struct error e;
    struct buf out;
    struct onnx_model back;
    if (model_create(&read->header, read->params, read->n_params, NULL, &m, &e) != STATUS_OK)
        return;
    buf_init(&out, 64 << 20);
    check(model_to_onnx(m, read->with_scaler, &out, &e) == STATUS_OK);
    check(onnx_read(a, (struct span){out.data, out.len}, &back, &e) == STATUS_OK);
    check(back.n_params == read->n_params);
    check(memcmp(back.params, read->params, read->n_params * sizeof(float)) == 0);
    buf_fini(&out);
    model_release(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct onnx_model m;
    struct error e;
    arena_init(&a, 256 << 20);
    if (onnx_read(&a, (struct span){data, size}, &m, &e) == STATUS_OK)
        use(&a, &m);
    arena_fini(&a);
    return 0;
}

#define FUZZ_NAME "onnx"
#include "tests/fuzz/replay.h"
