/* tests/fuzz/fuzz_tfrecord.c
 *
 * Hostile bytes as a TFRecord file, and as the message of a record whose sums are right. */
#include "core/dataset/tfrecord.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(struct span message)
{
    struct example_list lists[] = {{.name = "HLF_input"}, {.name = "label"}};
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        buf_init(&lists[i].floats, 64 << 20);
    if (example_parse(message, lists, ARRAY_LEN(lists), &e) == STATUS_OK)
        for (size_t i = 0; i < ARRAY_LEN(lists); i++)
            check(lists[i].floats.len == lists[i].n * sizeof(float) && (lists[i].present || lists[i].n == 0));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        buf_fini(&lists[i].floats);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source *src;
    struct tfrecord_reader r;
    struct span record;
    struct error e;
    bool end = false;
    parse((struct span){data, size});
    check(source_open_memory(data, size, "fuzz", &src, &e) == STATUS_OK);
    tfrecord_reader_init(&r, src);
    while (!end && tfrecord_next(&r, &record, &end, &e) == STATUS_OK)
        parse(record);
    tfrecord_reader_fini(&r);
    source_close(src);
    return 0;
}

#define FUZZ_NAME "tfrecord"
#include "tests/fuzz/replay.h"
