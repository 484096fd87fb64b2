/* core/codec/codec_lz4.c
 *
 * One bare LZ4 block (no frame): ROOT's "L4" after its checksum, Parquet's LZ4_RAW. */
#include "core/codec/codecs.h"

#include <lz4.h>

enum status codec_lz4_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    if (n_src > LZ4_MAX_INPUT_SIZE || n_dst > LZ4_MAX_INPUT_SIZE)
        return error_set(e, STATUS_UNSUPPORTED, "block of %zu bytes for %zu, at most %d fit", n_src, n_dst,
                         LZ4_MAX_INPUT_SIZE);
    int made = LZ4_decompress_safe((const char *)src, (char *)dst, (int)n_src, (int)n_dst);
    if (made < 0)
        return error_set(e, STATUS_FORMAT, "damaged block of %zu bytes for %zu", n_src, n_dst);
    if ((size_t)made != n_dst)
        return error_set(e, STATUS_FORMAT, "block holds %d bytes, %zu declared", made, n_dst);
    return STATUS_OK;
}
