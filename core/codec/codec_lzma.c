/* core/codec/codec_lzma.c
 *
 * .xz streams as ROOT writes them (tag "XZ").  The dictionary that a stream asks for is bounded, since a damaged
 * header can ask for gigabytes. */
#include "core/codec/codecs.h"

#include <lzma.h>

/* The decoder of the highest preset (9: 64 MiB dictionary) needs 65 MiB; a ROOT block holds at most 16 MiB. */
static const uint64_t memory_max = 72u << 20;

static void *give(void *opaque, size_t n, size_t size)
{
    (void)opaque;
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : mem_alloc(bytes);
}

static void take(void *opaque, void *p)
{
    (void)opaque;
    mem_free(p);
}

enum status codec_lzma_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    const lzma_allocator allocator = {.alloc = give, .free = take};
    uint64_t memory = memory_max;
    size_t used = 0, made = 0;
    lzma_ret r = lzma_stream_buffer_decode(&memory, 0, &allocator, src, &used, n_src, dst, &made, n_dst);
    switch (r) {
    case LZMA_OK:
        break;
    case LZMA_MEM_ERROR:
        return error_set(e, STATUS_NOMEM, "no memory for a dictionary");
    case LZMA_MEMLIMIT_ERROR:
        return error_set(e, STATUS_UNSUPPORTED, "stream asks for %llu bytes of memory, at most %llu are given",
                         (unsigned long long)memory, (unsigned long long)memory_max);
    case LZMA_OPTIONS_ERROR:
        return error_set(e, STATUS_UNSUPPORTED, "stream uses a filter that this liblzma does not know");
    default:
        return error_set(e, STATUS_FORMAT, "damaged stream of %zu bytes for %zu", n_src, n_dst);
    }
    if (made != n_dst)
        return error_set(e, STATUS_FORMAT, "stream holds %zu bytes, %zu declared", made, n_dst);
    if (used != n_src)
        return error_set(e, STATUS_FORMAT, "stream ends after %zu of %zu bytes", used, n_src);
    return STATUS_OK;
}
