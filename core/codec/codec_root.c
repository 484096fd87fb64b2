/* core/codec/codec_root.c
 *
 * ROOT's framing of compressed objects.  Each block: tag[2] method[1] compressed[3] uncompressed[3], sizes
 * little-endian, then the compressed bytes.  Of the LZ4 block the first 8 bytes are the big-endian XXH64 of the rest.
 */
#include "core/codec/codec.h"

#include "core/base/bytes.h"

enum { HEADER_BYTES = 9, LZ4_CHECKSUM_BYTES = 8 };

static const struct root_codec {
    char tag[3];
    enum codec_id id;
} root_codecs[] = {
    {"ZL", CODEC_ZLIB}, {"XZ", CODEC_LZMA}, {"L4", CODEC_LZ4}, {"ZS", CODEC_ZSTD}, {"CS", CODEC_ROOT_OLD},
};

static const struct root_codec *find_codec(const uint8_t *header)
{
    for (size_t i = 0; i < ARRAY_LEN(root_codecs); i++)
        if (memcmp(root_codecs[i].tag, header, 2) == 0)
            return &root_codecs[i];
    return NULL;
}

static size_t load_le24(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
}

/* A byte as it may stand in a message. */
static char printable(uint8_t c)
{
    return c > 32 && c < 127 ? (char)c : '?';
}

void codec_root_tag(const uint8_t *src, size_t n_src, char tag[3])
{
    tag[0] = n_src > 0 ? printable(src[0]) : '?';
    tag[1] = n_src > 1 ? printable(src[1]) : '?';
    tag[2] = 0;
}

static enum status one_block(const struct root_codec *codec, const uint8_t *src, size_t n_src, uint8_t *dst,
                             size_t n_dst, struct error *e)
{
    if (codec->id == CODEC_LZ4) {
        if (n_src < LZ4_CHECKSUM_BYTES)
            return error_set(e, STATUS_FORMAT, "lz4: %zu bytes, the checksum alone takes 8", n_src);
        uint64_t stated = load_be64(src);
        src += LZ4_CHECKSUM_BYTES;
        n_src -= LZ4_CHECKSUM_BYTES;
        if (hash64(src, n_src, 0) != stated)
            return error_set(e, STATUS_FORMAT, "lz4: checksum of %zu bytes differs: damaged", n_src);
    }
    return codec_decompress(codec->id, src, n_src, dst, n_dst, e);
}

/* A checked block header. */
struct block {
    const struct root_codec *codec;
    const uint8_t *data;
    size_t stored, raw;
};

/* The block at *in; moves *in behind it. */
static enum status next_block(const uint8_t *src, size_t n_src, size_t *in, struct block *b, struct error *e)
{
    if (n_src - *in < HEADER_BYTES)
        return error_set(e, STATUS_FORMAT, "header of 9 bytes, %zu remain", n_src - *in);
    const uint8_t *header = src + *in;
    *in += HEADER_BYTES;
    *b = (struct block){find_codec(header), src + *in, load_le24(header + 3), load_le24(header + 6)};
    if (!b->codec) {
        char tag[3];
        codec_root_tag(header, 2, tag);
        return error_set(e, STATUS_UNSUPPORTED, "unknown codec tag \"%s\" (bytes %02x %02x); known: ZL XZ L4 ZS CS",
                         tag, header[0], header[1]);
    }
    if (b->stored == 0 || b->stored > n_src - *in)
        return error_set(e, STATUS_FORMAT, "%s header says %zu compressed bytes, %zu remain", b->codec->tag, b->stored,
                         n_src - *in);
    *in += b->stored;
    return STATUS_OK;
}

enum status codec_root_size(const uint8_t *src, size_t n_src, size_t *n_dst, struct error *e)
{
    struct block b;
    *n_dst = 0;
    for (size_t in = 0, i = 0; in < n_src; i++, *n_dst += b.raw)
        if (next_block(src, n_src, &in, &b, e) != STATUS_OK)
            return error_wrap(e, "block %zu", i);
    return STATUS_OK;
}

enum status codec_root_decompress(const uint8_t *src, size_t n_src, uint8_t *dst, size_t n_dst, struct error *e)
{
    size_t in = 0, out = 0, i = 0;
    for (; in < n_src; i++) {
        struct block b;
        if (next_block(src, n_src, &in, &b, e) != STATUS_OK)
            return error_wrap(e, "block %zu", i);
        if (b.raw == 0 || b.raw > n_dst - out)
            return error_set(e, STATUS_FORMAT, "block %zu: %s header says %zu bytes, %zu of %zu are missing", i,
                             b.codec->tag, b.raw, n_dst - out, n_dst);
        if (one_block(b.codec, b.data, b.stored, dst + out, b.raw, e) != STATUS_OK)
            return error_wrap(e, "block %zu", i);
        out += b.raw;
    }
    if (out != n_dst)
        return error_set(e, STATUS_FORMAT, "%zu blocks hold %zu bytes, %zu declared", i, out, n_dst);
    return STATUS_OK;
}
