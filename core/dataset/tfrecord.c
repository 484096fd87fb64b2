/* core/dataset/tfrecord.c
 *
 * A record is: length (64 bits, little-endian), masked CRC-32C of these 8 bytes, the message, its masked CRC-32C.  The
 * message is protobuf: Example.features(1) = Features; Features.feature(1) = map entries {key(1), value(2)};
 * Feature.float_list(2) = FloatList; FloatList.value(1) = packed floats. */
#include "core/dataset/tfrecord.h"

#include <string.h>

/* Four bits at a time: what is left of each value of the lowest four. */
static const uint32_t remainders[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};

#if defined(__x86_64__)
/* The processor's own instruction; a record with a sequence has 61 kB. */
__attribute__((target("sse4.2"))) static uint32_t crc32c_fast(const uint8_t *b, size_t n)
{
    uint64_t crc = 0xFFFFFFFFu, word;
    for (; n >= sizeof word; n -= sizeof word, b += sizeof word) {
        memcpy(&word, b, sizeof word);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    uint32_t low = (uint32_t)crc;
    for (; n > 0; n--, b++)
        low = __builtin_ia32_crc32qi(low, *b);
    return ~low;
}
#endif

uint32_t crc32c(const void *p, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_fast(p, n);
#endif
    uint32_t crc = 0xFFFFFFFFu;
    for (const uint8_t *b = p; n > 0; n--, b++) {
        crc ^= *b;
        crc = (crc >> 4) ^ remainders[crc & 15];
        crc = (crc >> 4) ^ remainders[crc & 15];
    }
    return ~crc;
}

uint32_t crc32c_masked(const void *p, size_t n)
{
    uint32_t crc = crc32c(p, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static size_t varint_bytes(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

/* A field of bytes: number, wire type 2, length. */
static size_t field_bytes(size_t len)
{
    return 1 + varint_bytes(len) + len;
}

static enum status put_field(struct buf *out, uint8_t number, size_t len, struct error *e)
{
    uint8_t head[11] = {(uint8_t)(number << 3 | 2)};
    size_t n = 1;
    uint64_t v = len;
    for (; v >= 0x80; v >>= 7)
        head[n++] = (uint8_t)(v | 0x80);
    head[n++] = (uint8_t)v;
    return buf_append(out, head, n, e);
}

static size_t feature_bytes(const struct float_feature *f)
{
    return field_bytes(field_bytes(4 * f->n));       /* Feature.float_list { FloatList.value } */
}

static size_t entry_bytes(const struct float_feature *f)
{
    return field_bytes(strlen(f->name)) + field_bytes(feature_bytes(f));
}

static enum status put_entry(struct buf *out, const struct float_feature *f, struct error *e)
{
    TRY(put_field(out, 1, entry_bytes(f), e));
    TRY(put_field(out, 1, strlen(f->name), e));
    TRY(buf_append(out, f->name, strlen(f->name), e));
    TRY(put_field(out, 2, feature_bytes(f), e));
    TRY(put_field(out, 2, field_bytes(4 * f->n), e));
    TRY(put_field(out, 1, 4 * f->n, e));
    return f->n ? buf_append(out, f->values, 4 * f->n, e) : STATUS_OK;
}

static enum status append_record(struct buf *out, const struct float_feature *features, size_t n, struct error *e)
{
    size_t inner = 0, start = out->len;
    for (size_t i = 0; i < n; i++)
        inner += field_bytes(entry_bytes(&features[i]));
    uint64_t length = field_bytes(inner);
    uint32_t sum = crc32c_masked(&length, sizeof length);
    TRY(buf_append(out, &length, sizeof length, e));
    TRY(buf_append(out, &sum, sizeof sum, e));
    TRY(put_field(out, 1, inner, e));
    for (size_t i = 0; i < n; i++)
        TRY(put_entry(out, &features[i], e));
    check(out->len - start - 12 == length);
    sum = crc32c_masked(out->data + start + 12, (size_t)length);
    return buf_append(out, &sum, sizeof sum, e);
}

enum status tfrecord_append(struct buf *out, const struct float_feature *features, size_t n, struct error *e)
{
    size_t start = out->len;
    enum status s = append_record(out, features, n, e);
    if (s != STATUS_OK)
        out->len = start;
    return s;
}
