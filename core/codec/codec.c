/* core/codec/codec.c
 *
 * The table of codecs: one row each, the libraries behind it one file each.  Checks that hold for all of them are
 * made here. */
#include "core/codec/codec.h"

#include "core/codec/codecs.h"

#include <pthread.h>
#include <string.h>

static enum status copy_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    if (n_src != n_dst)
        return error_set(e, STATUS_FORMAT, "%zu bytes stored, %zu wanted", n_src, n_dst);
    memcpy(dst, src, n_src);
    return STATUS_OK;
}

static size_t copy_bound(size_t n)
{
    return n;
}

static enum status copy_compress(int level, const uint8_t *src, size_t n_src, struct buf *out, struct error *e)
{
    (void)level;
    return buf_append(out, src, n_src, e);
}

static const struct codec_row {
    const char *name;
    codec_decompress_fn *decompress;
    size_t (*bound)(size_t n); /* NULL: read only */
    codec_compress_fn *compress;
} codecs[CODEC_COUNT] = {
    [CODEC_NONE] = {"none", copy_decompress, copy_bound, copy_compress},
    [CODEC_ZLIB] = {"zlib", codec_zlib_decompress, codec_zlib_bound, codec_zlib_compress},
    [CODEC_GZIP] = {"gzip", codec_gzip_decompress, codec_gzip_bound, codec_gzip_compress},
    [CODEC_RAW_DEFLATE] = {"deflate", codec_deflate_decompress, NULL, NULL},
    [CODEC_ROOT_OLD] = {"old ROOT", codec_deflate_decompress, NULL, NULL},
    [CODEC_LZMA] = {"lzma", codec_lzma_decompress, NULL, NULL},
    [CODEC_LZ4] = {"lz4", codec_lz4_decompress, NULL, NULL},
    [CODEC_ZSTD] = {"zstd", codec_zstd_decompress, codec_zstd_bound, codec_zstd_compress},
    [CODEC_SNAPPY] = {"snappy", codec_snappy_decompress, codec_snappy_bound, codec_snappy_compress},
};

const char *codec_name(enum codec_id id)
{
    return (unsigned)id < CODEC_COUNT ? codecs[id].name : "unknown codec";
}

enum status codec_decompress(enum codec_id id, const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst,
                             struct error *e)
{
    static const uint8_t nothing[1];
    uint8_t nowhere[1];
    if ((unsigned)id >= CODEC_COUNT)
        return error_set(e, STATUS_UNSUPPORTED, "codec number %d", (int)id);
    if (n_src == 0)
        src = nothing; /* libraries want pointers even for nothing */
    if (n_dst == 0)
        dst = nowhere;
    if (codecs[id].decompress(src, n_src, dst, n_dst, e) != STATUS_OK)
        return error_wrap(e, "%s", codecs[id].name);
    return STATUS_OK;
}

size_t codec_bound(enum codec_id id, size_t n)
{
    return (unsigned)id < CODEC_COUNT && codecs[id].bound ? codecs[id].bound(n) : 0;
}

enum status codec_compress(enum codec_id id, int level, const uint8_t *src, size_t n_src, struct buf *out,
                           struct error *e)
{
    static const uint8_t nothing[1];
    if ((unsigned)id >= CODEC_COUNT || !codecs[id].compress)
        return error_set(e, STATUS_UNSUPPORTED, "this build does not compress with %s", codec_name(id));
    TRY(buf_reserve(out, codecs[id].bound(n_src), e));
    if (codecs[id].compress(level, n_src ? src : nothing, n_src, out, e) != STATUS_OK)
        return error_wrap(e, "%s", codecs[id].name);
    return STATUS_OK;
}

/* ---- contexts of a thread ------------------------------------------------------------------------------ */

static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key;
static bool thread_key_ok;

static void thread_end(void *p)
{
    struct codec_thread *t = p;
    codec_zlib_forget(t);
    codec_zstd_forget(t);
    mem_free(t);
}

static void thread_key_make(void)
{
    thread_key_ok = pthread_key_create(&thread_key, thread_end) == 0;
}

struct codec_thread *codec_thread(void)
{
    (void)pthread_once(&thread_once, thread_key_make);
    if (!thread_key_ok)
        return NULL;
    struct codec_thread *t = pthread_getspecific(thread_key);
    if (t)
        return t;
    t = mem_calloc(1, sizeof *t);
    if (t && pthread_setspecific(thread_key, t) != 0) {
        mem_free(t);
        t = NULL;
    }
    return t;
}
