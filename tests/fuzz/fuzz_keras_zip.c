/* tests/fuzz/fuzz_keras_zip.c
 *
 * ZIP archives from hostile bytes. */
#include "core/model/keras_zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.json", "model.weights.h5", "x"};
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct arena a;
        struct span out;
        struct error e;
        arena_init(&a, 64 << 20);
        if (zip_member(&a, (struct span){data, size}, names[i], 16 << 20, &out, &e) == STATUS_OK)
            sum += hash64(out.data, out.len, 0);               /* every byte is there */
        arena_fini(&a);
    }
    check(sum != 1);
    return 0;
}

#define FUZZ_NAME "keras_zip"
#include "tests/fuzz/replay.h"
