/* tests/fuzz/fuzz_trees.c
 *
 * Trees from hostile numbers, and XGBoost's UBJSON from hostile bytes.  What is accepted must score within memory and give
 * the same bits alone and in a batch; what the UBJSON reader gives must be accepted unless a tree is too deep. */
#include "core/model/tree_forest.h"
#include "core/model/tree_xgboost.h"

#include <math.h>
#include <string.h>

enum { ROWS = 11, CLASSES = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_forest(const struct forest *f, size_t n_classes)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, 0, 1, -1, 3e38f};
    float hlf[ROWS * HLF_COUNT], all[ROWS * CLASSES], alone[CLASSES];
    for (size_t i = 0; i < ARRAY_LEN(hlf); i++)
        hlf[i] = i / HLF_COUNT < 8 ? (float)(i % 17) - 8 : special[i % ARRAY_LEN(special)];
    forest_predict(f, hlf, ROWS, all);
    for (size_t i = 0; i < ROWS; i++) {
        forest_predict(f, hlf + i * HLF_COUNT, 1, alone);
        check(memcmp(alone, all + i * n_classes, n_classes * sizeof *alone) == 0);
    }
    check(forest_n_floats(f, forest_n_trees(f)) == forest_n_floats(f, SIZE_MAX));
}

static void try_numbers(const float *stored, size_t n)
{
    struct error e;
    struct forest *f;
    for (size_t n_classes = 1; n_classes <= CLASSES; n_classes++)
        if (forest_create(stored, n, n_classes, n_classes == 2, &f, &e) == STATUS_OK) {
            check(forest_n_trees(f) % n_classes == 0);
            use_forest(f, n_classes);
            forest_destroy(f);
        } else {
            check(f == NULL && e.status == STATUS_FORMAT && e.text[0]);
        }
}

/* A byte a node: its sign bit a leaf, else the feature; so that the fuzzer finds shapes quickly. */
static void try_shape(const uint8_t *data, size_t size)
{
    float stored[2 * 512];
    size_t n = size < ARRAY_LEN(stored) / 2 ? size : ARRAY_LEN(stored) / 2;
    for (size_t i = 0; i < n; i++) {
        stored[2 * i] = data[i] & 0x80 ? -1 : (float)(data[i] & 15);
        stored[2 * i + 1] = (float)(data[i] & 0x70) - 50;
    }
    try_numbers(stored, 2 * n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e;
    struct buf stored;
    struct forest *f;
    float numbers[512];
    size_t n = size / sizeof(float) < ARRAY_LEN(numbers) ? size / sizeof(float) : ARRAY_LEN(numbers);
    memcpy(numbers, data, n * sizeof(float));
    try_numbers(numbers, n);
    try_shape(data, size);
    buf_init(&stored, 1 << 20);
    if (tree_read_ubjson((struct span){data, size}, &stored, &e) != STATUS_OK) {
        check(stored.len == 0 && e.text[0]);
    } else if (forest_create((const float *)(const void *)stored.data, stored.len / sizeof(float), 1, false, &f, &e) ==
               STATUS_OK) {
        check(forest_n_trees(f) == 1);
        use_forest(f, 1);
        forest_destroy(f);
    } else {
        check(strstr(e.text, "deeper"));
    }
    buf_fini(&stored);
    return 0;
}

#define FUZZ_NAME "trees"
#include "tests/fuzz/replay.h"
