/* core/codec/codec_crc32.c
 *
 * The checksum of gzip and of Parquet pages: libdeflate's runs at the speed of memory, so pages are always checked. */
#include "core/codec/codec.h"

#include <libdeflate.h>

uint32_t codec_crc32(uint32_t crc, const void *p, size_t n)
{
    return n > 0 ? libdeflate_crc32(crc, p, n) : crc;
}
