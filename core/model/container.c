/* core/model/container.c
 *
 * Header text and floats with a checksum.  The checksum is looked at before anything that it covers is believed. */
#include "core/model/container.h"

#include "core/base/bytes.h"

#include <math.h>
#include <string.h>

enum { HEAD_BYTES = 24, CHECKSUM_BYTES = 64 };

enum status container_encode(const char magic[8], uint32_t version, const struct field *table, const void *header,
                             const struct float_part *parts, size_t n_parts, struct buf *out, struct error *e)
{
    size_t start = out->len, n_floats = 0;
    uint8_t head[HEAD_BYTES] = {0};
    char sum[CHECKSUM_BYTES + 1];
    TRY_OR(buf_append(out, head, sizeof head, e), undo);
    TRY_OR(field_write_text(table, header, out, e), undo);
    size_t text_bytes = out->len - start - sizeof head;
    if (text_bytes > CONTAINER_TEXT_MAX)
        FAIL_OR(undo, e, STATUS_RANGE, "header of %zu bytes, at most %d", text_bytes, CONTAINER_TEXT_MAX);
    for (size_t i = 0; i < n_parts; i++) {
        TRY_OR(buf_append(out, parts[i].v, parts[i].n * sizeof(float), e), undo);
        n_floats += parts[i].n;
    }
    memcpy(out->data + start, magic, 8);
    store_le32(out->data + start + 8, version);
    store_le32(out->data + start + 12, (uint32_t)text_bytes);
    store_le64(out->data + start + 16, n_floats);
    sha256_hex(out->data + start, out->len - start, sum);
    TRY_OR(buf_append(out, sum, CHECKSUM_BYTES, e), undo);
    return STATUS_OK;
undo:
    out->len = start;
    return e->status;
}

enum status container_decode(struct span bytes, const char magic[8], uint32_t version, struct container *out,
                             struct error *e)
{
    *out = (struct container){0};
    if (bytes.len < HEAD_BYTES + CHECKSUM_BYTES || memcmp(bytes.data, magic, 8) != 0)
        return error_set(e, STATUS_FORMAT, "does not start with %.8s and a header", magic);
    char sum[CHECKSUM_BYTES + 1];
    size_t covered = bytes.len - CHECKSUM_BYTES;
    sha256_hex(bytes.data, covered, sum);
    if (memcmp(sum, bytes.data + covered, CHECKSUM_BYTES) != 0)
        return error_set(e, STATUS_FORMAT, "the checksum of its %zu bytes is wrong: cut short or damaged", bytes.len);
    struct cursor c = cursor_of(bytes.data + 8, covered - 8);
    out->version = cursor_le32(&c);
    if (out->version != version)
        return error_set(e, STATUS_UNSUPPORTED, "version %u, this build reads %u", out->version, version);
    out->text.len = cursor_le32(&c);
    uint64_t n_floats = cursor_le64(&c);
    out->text.data = cursor_take(&c, out->text.len);
    if (c.bad || out->text.len > CONTAINER_TEXT_MAX)
        return error_set(e, STATUS_FORMAT, "header of %zu bytes does not fit in", out->text.len);
    if (n_floats > cursor_left(&c) / sizeof(float) || n_floats * sizeof(float) != cursor_left(&c))
        return error_set(e, STATUS_FORMAT, "%llu numbers announced, %zu bytes present", (unsigned long long)n_floats,
                         cursor_left(&c));
    out->n_floats = (size_t)n_floats;
    out->floats = c.p;
    return STATUS_OK;
}

enum status container_floats(const struct container *c, size_t first, size_t n, float *out, struct error *e)
{
    check(first <= c->n_floats && n <= c->n_floats - first);
    memcpy(out, c->floats + first * sizeof *out, n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return error_set(e, STATUS_FORMAT, "number %zu is not finite", first + i);
    return STATUS_OK;
}
