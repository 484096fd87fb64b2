/* tests/fuzz/fuzz_infer_v2.c
 *
 * Bodies of Open Inference Protocol requests.  The first byte says where the JSON header ends: 0, all is JSON; else so many
 * 16ths of what follows. */
#include "server/json/infer_v2.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_problems problems;
    struct infer_request request;
    struct arena a;
    struct error e;
    if (size == 0)
        return 0;
    size_t n = size - 1;
    int64_t header = data[0] == 0 ? -1 : data[0] > 16 ? (int64_t)data[0] : (int64_t)(n * data[0] / 16);
    arena_init(&a, 64 << 20);
    enum status s = infer_request_parse(&a, data + 1, n, header, &request, &problems, &e);
    for (size_t i = 0; s == STATUS_OK && i < request.n_inputs; i++) {
        const struct infer_tensor *t = &request.inputs[i];
        size_t count = 1;
        for (size_t k = 0; k < t->n_dimensions; k++)
            count *= (size_t)t->shape[k];
        if (count != t->n || !t->name)
            abort();
        for (size_t k = 0; k < t->n; k++)
            if (!isfinite(t->data[k]))
                abort();
    }
    if (s == STATUS_ARGUMENT && problems.n == 0)
        abort();
    arena_fini(&a);
    return 0;
}

#define FUZZ_NAME "infer_v2"
#include "tests/fuzz/replay.h"
