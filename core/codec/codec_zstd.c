/* core/codec/codec_zstd.c
 *
 * Zstandard frames.  Contexts are kept by thread: making one costs more than a small basket. */
#include "core/codec/codecs.h"

#include <zstd.h>
#include <zstd_errors.h>

enum { DEFAULT_LEVEL = 3 }; /* the library's own default (ZSTD_CLEVEL_DEFAULT) */

void codec_zstd_forget(struct codec_thread *t)
{
    ZSTD_freeDCtx(t->zstd_reader);
    ZSTD_freeCCtx(t->zstd_writer);
    t->zstd_reader = t->zstd_writer = NULL;
}

static enum status no_memory(struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory for a context");
}

enum status codec_zstd_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    struct codec_thread *t = codec_thread();
    if (t && !t->zstd_reader)
        t->zstd_reader = ZSTD_createDCtx();
    if (!t || !t->zstd_reader)
        return no_memory(e);
    size_t made = ZSTD_decompressDCtx(t->zstd_reader, dst, n_dst, src, n_src);
    if (ZSTD_isError(made))
        return error_set(e, STATUS_FORMAT, "damaged stream of %zu bytes for %zu: %s", n_src, n_dst,
                         ZSTD_getErrorName(made));
    if (made != n_dst)
        return error_set(e, STATUS_FORMAT, "stream holds %zu bytes, %zu declared", made, n_dst);
    return STATUS_OK;
}

size_t codec_zstd_bound(size_t n)
{
    return ZSTD_compressBound(n);
}

enum status codec_zstd_compress(int level, const uint8_t *src, size_t n_src, struct buf *out, struct error *e)
{
    if (level < 0 || level > ZSTD_maxCLevel())
        return error_set(e, STATUS_RANGE, "level %d, levels are 1 to %d", level, ZSTD_maxCLevel());
    struct codec_thread *t = codec_thread();
    if (t && !t->zstd_writer)
        t->zstd_writer = ZSTD_createCCtx();
    if (!t || !t->zstd_writer)
        return no_memory(e);
    size_t n = ZSTD_compressCCtx(t->zstd_writer, out->data + out->len, out->cap - out->len, src, n_src,
                                 level ? level : DEFAULT_LEVEL);
    if (ZSTD_isError(n))
        return error_set(e, ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? STATUS_NOMEM : STATUS_BUG,
                         "compressing %zu bytes: %s", n_src, ZSTD_getErrorName(n));
    out->len += n;
    return STATUS_OK;
}
