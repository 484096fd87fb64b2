/* core/codec/codec_zlib.c
 *
 * zlib, gzip and bare DEFLATE streams through libdeflate: two to three times as fast as zlib, and reading is mostly
 * inflating.  Whole buffers only, which is what baskets and pages are. */
#include "core/codec/codecs.h"

#include <libdeflate.h>

/* Level 6 is what zlib and libdeflate call their default. */
enum { DEFAULT_LEVEL = 6, HIGHEST_LEVEL = 12 };

static struct libdeflate_decompressor *decompressor(void)
{
    struct codec_thread *t = codec_thread();
    if (t && !t->inflate)
        t->inflate = libdeflate_alloc_decompressor();
    return t ? t->inflate : NULL;
}

void codec_zlib_forget(struct codec_thread *t)
{
    libdeflate_free_decompressor(t->inflate);
    t->inflate = NULL;
}

static enum status no_memory(struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory for a context");
}

/* Turns libdeflate's answer into ours: all of the input used, all of the output filled. */
static enum status judge(enum libdeflate_result r, size_t used, size_t n_src, size_t made, size_t n_dst,
                         struct error *e)
{
    switch (r) {
    case LIBDEFLATE_SUCCESS:
        break;
    case LIBDEFLATE_INSUFFICIENT_SPACE:
        return error_set(e, STATUS_FORMAT, "stream holds more than the declared %zu bytes", n_dst);
    default:
        return error_set(e, STATUS_FORMAT, "damaged stream of %zu bytes", n_src);
    }
    if (made != n_dst)
        return error_set(e, STATUS_FORMAT, "stream holds %zu bytes, %zu declared", made, n_dst);
    if (used != n_src)
        return error_set(e, STATUS_FORMAT, "stream ends after %zu of %zu bytes", used, n_src);
    return STATUS_OK;
}

enum status codec_zlib_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    struct libdeflate_decompressor *d = decompressor();
    if (!d)
        return no_memory(e);
    size_t used = 0, made = 0;
    enum libdeflate_result r = libdeflate_zlib_decompress_ex(d, src, n_src, dst, n_dst, &used, &made);
    return judge(r, used, n_src, made, n_dst, e);
}

enum status codec_deflate_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    struct libdeflate_decompressor *d = decompressor();
    if (!d)
        return no_memory(e);
    size_t used = 0, made = 0;
    enum libdeflate_result r = libdeflate_deflate_decompress_ex(d, src, n_src, dst, n_dst, &used, &made);
    return judge(r, used, n_src, made, n_dst, e);
}

/* RFC 1952: a gzip file is a series of members. */
enum status codec_gzip_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    struct libdeflate_decompressor *d = decompressor();
    if (!d)
        return no_memory(e);
    size_t in = 0, out = 0;
    do {
        size_t used = 0, made = 0;
        enum libdeflate_result r =
            libdeflate_gzip_decompress_ex(d, src + in, n_src - in, dst + out, n_dst - out, &used, &made);
        if (r != LIBDEFLATE_SUCCESS)
            return judge(r, in, n_src, out, n_dst, e);
        in += used;
        out += made;
    } while (in < n_src);
    return judge(LIBDEFLATE_SUCCESS, in, n_src, out, n_dst, e);
}

size_t codec_zlib_bound(size_t n)
{
    return libdeflate_zlib_compress_bound(NULL, n);
}

size_t codec_gzip_bound(size_t n)
{
    return libdeflate_gzip_compress_bound(NULL, n);
}

typedef size_t compress_fn(struct libdeflate_compressor *c, const void *in, size_t n_in, void *out, size_t n_out);

static enum status compress_with(compress_fn *fn, int level, const uint8_t *src, size_t n_src, struct buf *out,
                                 struct error *e)
{
    if (level < 0 || level > HIGHEST_LEVEL)
        return error_set(e, STATUS_RANGE, "level %d, levels are 1 to %d", level, HIGHEST_LEVEL);
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level ? level : DEFAULT_LEVEL);
    if (!c)
        return no_memory(e);
    size_t n = fn(c, src, n_src, out->data + out->len, out->cap - out->len);
    libdeflate_free_compressor(c);
    if (n == 0)
        return error_set(e, STATUS_BUG, "compressed size of %zu bytes passes its bound", n_src);
    out->len += n;
    return STATUS_OK;
}

enum status codec_zlib_compress(int level, const uint8_t *src, size_t n_src, struct buf *out, struct error *e)
{
    return compress_with(libdeflate_zlib_compress, level, src, n_src, out, e);
}

enum status codec_gzip_compress(int level, const uint8_t *src, size_t n_src, struct buf *out, struct error *e)
{
    return compress_with(libdeflate_gzip_compress, level, src, n_src, out, e);
}
