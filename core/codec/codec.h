/* core/codec/codec.h
 *
 * Compression, one file per outside library, one row per codec in core/codec/codec.c.  Decompression takes untrusted
 * bytes and must fill exactly the declared size: anything else is FORMAT.  Safe from any thread. */
#ifndef DLT_CORE_CODEC_H
#define DLT_CORE_CODEC_H

#include "core/base.h"

enum codec_id { CODEC_NONE, CODEC_ZLIB, CODEC_GZIP, CODEC_RAW_DEFLATE, CODEC_ROOT_OLD, CODEC_LZMA, CODEC_LZ4, CODEC_ZSTD,
                CODEC_SNAPPY, CODEC_COUNT };

const char *codec_name(enum codec_id id);

/* src[0..n_src) -> dst[0..n_dst): exactly n_dst bytes out of exactly n_src.  LZ4 is one bare block, GZIP may be several
 * members, ROOT_OLD (tag "CS") is a bare DEFLATE stream.  Fails: FORMAT (damaged, other size), UNSUPPORTED, NOMEM. */
enum status codec_decompress(enum codec_id id, const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst,
                             struct error *e) MUST_USE;
/* Upper bound of the compressed size of n bytes; 0 when this build does not compress with `id`
 * (ROOT_OLD, RAW_DEFLATE, LZMA and LZ4 are read only). */
size_t codec_bound(enum codec_id id, size_t n);
/* Appends to `out`.  level 0: the codec's default.  The same input gives the same bytes. */
enum status codec_compress(enum codec_id id, int level, const uint8_t *src, size_t n_src, struct buf *out,
                           struct error *e) MUST_USE;

/* CRC-32 as in gzip (polynomial 0x04C11DB7, reflected).  `crc` is 0 at first and the last result when going on. */
uint32_t codec_crc32(uint32_t crc, const void *p, size_t n);

/* A ROOT compressed object: blocks of at most 16 MiB, each with a 9-byte header (tag "ZL", "XZ", "L4", "ZS", "CS";
 * method; 3-byte little-endian compressed and uncompressed size), together exactly n_dst bytes.
 * An unknown tag is UNSUPPORTED and named in the error. */
enum status codec_root_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst,
                                  struct error *e) MUST_USE;
/* The sum of the sizes that the block headers declare, so that a caller can compare before it allocates. */
enum status codec_root_size(const uint8_t *src, size_t n_src, size_t *n_dst, struct error *e) MUST_USE;
/* The two-letter tag of the first block into tag[3]; "raw" cases are the caller's. */
void codec_root_tag(const uint8_t *src, size_t n_src, char tag[3]);

#endif
