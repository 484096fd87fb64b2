/* core/codec/codecs.h
 *
 * Between codec.c and the files that each hold one outside library. */
#ifndef DLT_CORE_CODEC_CODECS_H
#define DLT_CORE_CODEC_CODECS_H

#include "core/codec/codec.h"

/* What a thread keeps between calls, because setting a library's context up costs as much as a small basket.
 * Freed when the thread ends. */
struct codec_thread {
    void *inflate, *zstd_reader, *zstd_writer;
};
/* This thread's contexts; NULL when memory is exhausted. */
struct codec_thread *codec_thread(void);

typedef enum status codec_decompress_fn(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e);
/* Compresses into out->data + out->len, where bound(n_src) bytes are free, and advances out->len. */
typedef enum status codec_compress_fn(int level, const uint8_t *src, size_t n_src, struct buf *out, struct error *e);

/* codec_zlib.c: libdeflate */
codec_decompress_fn codec_zlib_decompress, codec_gzip_decompress, codec_deflate_decompress;
codec_compress_fn codec_zlib_compress, codec_gzip_compress;
size_t codec_zlib_bound(size_t n), codec_gzip_bound(size_t n);
void codec_zlib_forget(struct codec_thread *t);

/* codec_zstd.c */
codec_decompress_fn codec_zstd_decompress;
codec_compress_fn codec_zstd_compress;
size_t codec_zstd_bound(size_t n);
void codec_zstd_forget(struct codec_thread *t);

/* codec_lz4.c, codec_lzma.c, codec_snappy.c */
codec_decompress_fn codec_lz4_decompress, codec_lzma_decompress, codec_snappy_decompress;
codec_compress_fn codec_snappy_compress;
size_t codec_snappy_bound(size_t n);

#endif
