/* core/codec/codec_snappy.c
 *
 * Snappy's raw format (no framing), as Parquet pages use it. */
#include "core/codec/codecs.h"

#include <snappy-c.h>

enum status codec_snappy_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    size_t declared = 0;
    if (snappy_uncompressed_length((const char *)src, n_src, &declared) != SNAPPY_OK)
        return error_set(e, STATUS_FORMAT, "damaged length in a block of %zu bytes", n_src);
    if (declared != n_dst)
        return error_set(e, STATUS_FORMAT, "block holds %zu bytes, %zu declared", declared, n_dst);
    size_t made = n_dst;
    if (snappy_uncompress((const char *)src, n_src, (char *)dst, &made) != SNAPPY_OK || made != n_dst)
        return error_set(e, STATUS_FORMAT, "damaged block of %zu bytes for %zu", n_src, n_dst);
    return STATUS_OK;
}

size_t codec_snappy_bound(size_t n)
{
    return snappy_max_compressed_length(n);
}

enum status codec_snappy_compress(int level, const uint8_t *src, size_t n_src, struct buf *out, struct error *e)
{
    if (level != 0)
        return error_set(e, STATUS_RANGE, "level %d: snappy has no levels", level);
    size_t n = out->cap - out->len;
    if (snappy_compress((const char *)src, n_src, (char *)out->data + out->len, &n) != SNAPPY_OK)
        return error_set(e, STATUS_BUG, "compressing %zu bytes failed", n_src);
    out->len += n;
    return STATUS_OK;
}
