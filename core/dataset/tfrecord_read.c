/* core/dataset/tfrecord_read.c
 *
 * Reading TFRecord files and the lists of numbers in their tf.train.Example messages; both sums of a record are checked.
 * Untrusted bytes: every length is held against what is left, and nothing is allocated by a length alone. */
#include "core/dataset/tfrecord.h"

#include <string.h>

enum { RECORD_BYTES_MAX = 64 << 20, WINDOW_BYTES = 1 << 20, FRAME = 12, VALUES_MAX = 1 << 24 };

/* ---- protobuf ---------------------------------------------------------------------------------------------------- */

struct message {
    const uint8_t *at, *end;
};

static bool take_varint(struct message *m, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && m->at < m->end; shift += 7) {
        uint8_t byte = *m->at++;
        *out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

/* The next field: its number, wire type, and what it holds (`inner` for type 2, *value for type 0, 4 or 8 bytes in `inner`
 * for types 5 and 1). */
static bool take_field(struct message *m, uint64_t *number, unsigned *type, struct message *inner, uint64_t *value)
{
    uint64_t tag, len;
    if (!take_varint(m, &tag))
        return false;
    *number = tag >> 3;
    *type = (unsigned)(tag & 7);
    *value = 0;
    *inner = (struct message){m->at, m->at};
    if (*type == 0)
        return take_varint(m, value);
    if (*type == 1 || *type == 5)
        len = *type == 1 ? 8 : 4;
    else if (*type != 2 || !take_varint(m, &len))
        return false;
    if (len > (uint64_t)(m->end - m->at))
        return false;
    inner->at = m->at;
    inner->end = m->at += len;
    return true;
}

static enum status damaged(struct error *e)
{
    return error_set(e, STATUS_FORMAT, "the message is not a tf.train.Example");
}

static enum status add_values(struct example_list *out, const void *values, size_t n, struct error *e)
{
    if (out->n + n > VALUES_MAX)
        return error_set(e, STATUS_RANGE, "feature %s: more than %d values", out->name, VALUES_MAX);
    TRY(buf_append(&out->floats, values, n * sizeof(float), e));
    out->n += n;
    return STATUS_OK;
}

/* FloatList.value(1): packed, or one by one. */
static enum status take_floats(struct message m, struct example_list *out, struct error *e)
{
    uint64_t number, value;
    unsigned type;
    struct message inner;
    while (m.at < m.end) {
        if (!take_field(&m, &number, &type, &inner, &value))
            return damaged(e);
        size_t bytes = (size_t)(inner.end - inner.at);
        if (number == 1 && (type == 2 || type == 5)) {
            if (bytes % sizeof(float) != 0)
                return damaged(e);
            TRY(add_values(out, inner.at, bytes / sizeof(float), e));
        }
    }
    return STATUS_OK;
}

/* Int64List.value(1), as floats: labels. */
static enum status take_integers(struct message m, struct example_list *out, struct error *e)
{
    uint64_t number, value;
    unsigned type;
    struct message inner;
    while (m.at < m.end) {
        if (!take_field(&m, &number, &type, &inner, &value))
            return damaged(e);
        float f = (float)(int64_t)value;
        if (number == 1 && type == 0)
            TRY(add_values(out, &f, 1, e));
        while (number == 1 && type == 2 && inner.at < inner.end) {
            if (!take_varint(&inner, &value))
                return damaged(e);
            f = (float)(int64_t)value;
            TRY(add_values(out, &f, 1, e));
        }
    }
    return STATUS_OK;
}

static enum status take_feature(struct message m, struct example_list *out, struct error *e)
{
    uint64_t number, value;
    unsigned type;
    struct message inner;
    while (m.at < m.end) {
        if (!take_field(&m, &number, &type, &inner, &value))
            return damaged(e);
        if (number == 1 && type == 2)
            return error_set(e, STATUS_FORMAT, "feature %s is a list of byte strings, not of numbers", out->name);
        if (number == 2 && type == 2)
            TRY(take_floats(inner, out, e));
        if (number == 3 && type == 2)
            TRY(take_integers(inner, out, e));
    }
    return STATUS_OK;
}

/* One entry of the map: key(1), Feature(2); of a key that comes twice the last counts. */
static enum status take_entry(struct message m, struct example_list *lists, size_t n, struct error *e)
{
    struct message key = {0}, feature = {0}, inner;
    uint64_t number, value;
    unsigned type;
    while (m.at < m.end) {
        if (!take_field(&m, &number, &type, &inner, &value))
            return damaged(e);
        if (number == 1 && type == 2)
            key = inner;
        if (number == 2 && type == 2)
            feature = inner;
    }
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(lists[i].name);
        if ((size_t)(key.end - key.at) != len || (len && memcmp(key.at, lists[i].name, len) != 0))
            continue;
        lists[i].present = true;
        lists[i].n = lists[i].floats.len = 0;
        TRY(take_feature(feature, &lists[i], e));
    }
    return STATUS_OK;
}

enum status example_parse(struct span bytes, struct example_list *lists, size_t n, struct error *e)
{
    struct message m = {bytes.data, bytes.data + bytes.len}, features, entry;
    uint64_t number, value;
    unsigned type;
    for (size_t i = 0; i < n; i++) {
        lists[i].present = false;
        lists[i].n = lists[i].floats.len = 0;
    }
    while (m.at < m.end) {
        if (!take_field(&m, &number, &type, &features, &value))
            return damaged(e);
        while (number == 1 && type == 2 && features.at < features.end) {
            uint64_t inner_number;
            unsigned inner_type;
            if (!take_field(&features, &inner_number, &inner_type, &entry, &value))
                return damaged(e);
            if (inner_number == 1 && inner_type == 2)
                TRY(take_entry(entry, lists, n, e));
        }
    }
    return STATUS_OK;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

void tfrecord_reader_init(struct tfrecord_reader *r, struct source *src)
{
    *r = (struct tfrecord_reader){.source = src, .size = source_size(src)};
    buf_init(&r->window, RECORD_BYTES_MAX + WINDOW_BYTES);
}

void tfrecord_reader_fini(struct tfrecord_reader *r)
{
    buf_fini(&r->window);
}

/* The next n bytes of the file in the window. */
static enum status want(struct tfrecord_reader *r, size_t n, const uint8_t **out, struct error *e)
{
    if (n > r->size - r->offset)
        return error_set(e, STATUS_FORMAT, "record %lld at byte %llu is cut short", (long long)r->n_records,
                         (unsigned long long)r->offset);
    if (r->offset < r->window_at || r->offset + n > r->window_at + r->window.len) {
        uint64_t left = r->size - r->offset;
        size_t take = n > WINDOW_BYTES ? n : left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        r->window.len = 0;
        TRY(buf_reserve(&r->window, take, e));
        TRY(source_read(r->source, r->offset, r->window.data, take, e));
        r->window.len = take;
        r->window_at = r->offset;
    }
    *out = r->window.data + (r->offset - r->window_at);
    return STATUS_OK;
}

enum status tfrecord_next(struct tfrecord_reader *r, struct span *out, bool *end, struct error *e)
{
    const uint8_t *p;
    uint64_t length;
    uint32_t sum;
    *out = (struct span){0};
    *end = r->offset == r->size;
    if (*end)
        return STATUS_OK;
    TRY(want(r, FRAME, &p, e));
    memcpy(&length, p, sizeof length);
    memcpy(&sum, p + sizeof length, sizeof sum);
    if (sum != crc32c_masked(p, sizeof length))
        return error_set(e, STATUS_FORMAT, "record %lld at byte %llu: the sum of its length is wrong%s",
                         (long long)r->n_records, (unsigned long long)r->offset,
                         r->offset == 0 ? " (this is no TFRecord file, or it is compressed)" : "");
    if (length > RECORD_BYTES_MAX)
        return error_set(e, STATUS_RANGE, "record %lld has %llu bytes, at most %d are read", (long long)r->n_records,
                         (unsigned long long)length, RECORD_BYTES_MAX);
    TRY(want(r, FRAME + (size_t)length + sizeof sum, &p, e));
    memcpy(&sum, p + FRAME + length, sizeof sum);
    if (sum != crc32c_masked(p + FRAME, (size_t)length))
        return error_set(e, STATUS_FORMAT, "record %lld at byte %llu: its sum is wrong", (long long)r->n_records,
                         (unsigned long long)r->offset);
    *out = (struct span){p + FRAME, (size_t)length};
    r->offset += FRAME + length + sizeof sum;
    r->n_records++;
    return STATUS_OK;
}
