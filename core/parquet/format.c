/* core/parquet/format.c
 *
 * Parquet's compressions and which of ours reads each.  The best ratios follow from the formats: a snappy copy makes 64
 * bytes of 3; DEFLATE 258 bytes of 2 bits; a zstd block 128 KiB of 4 bytes; each further byte of an LZ4 length 255 bytes. */
#include "core/parquet/format.h"

/* clang-format off */
static const struct parquet_codec codecs[] = {
    {0, "UNCOMPRESSED",             true,  CODEC_NONE,   1},
    {1, "SNAPPY",                   true,  CODEC_SNAPPY, 22},
    {2, "GZIP",                     true,  CODEC_GZIP,   1032},
    {3, "LZO",                      false, CODEC_NONE,   1},
    {4, "BROTLI",                   false, CODEC_NONE,   1},
    {5, "LZ4 (deprecated framing)", false, CODEC_NONE,   1},
    {6, "ZSTD",                     true,  CODEC_ZSTD,   32768},
    {7, "LZ4_RAW",                  true,  CODEC_LZ4,    255},
};
/* clang-format on */

const struct parquet_codec *parquet_codec_find(int id)
{
    return id >= 0 && (size_t)id < ARRAY_LEN(codecs) ? &codecs[id] : NULL;
}

const struct parquet_codec *parquet_codec_of(enum codec_id codec)
{
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
        if (codecs[i].readable && codecs[i].codec == codec)
            return &codecs[i];
    return NULL;
}
