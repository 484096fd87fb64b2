/* core/parquet/encoding.c
 *
 * Value decoders.  Counts are held against the bytes before memory is asked for, except where a run is shorter than
 * what it stands for; there the column's stated maximum bounds it. */
#include "core/parquet/encoding.h"

#include "core/parquet/delta.h"
#include "core/parquet/levels.h"

enum { BATCH = 1024 }; /* dictionary indices or differences decoded at a time, on the stack */

/* ---- plain ----------------------------------------------------------------------------------------------- */

static enum status plain_fixed(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    size_t size = pq_type_size(out->type);
    if (in->bytes.len / size != in->n || in->bytes.len % size != 0)
        return error_set(e, STATUS_FORMAT, "%zu bytes for %zu values of %zu bytes", in->bytes.len, in->n, size);
    TRY(buf_append(&out->data, in->bytes.data, in->bytes.len, e));
    out->n_values += in->n;
    return STATUS_OK;
}

static enum status unpack_bools(struct rle_reader *r, const struct encoded_values *in, struct column_values *out,
                                struct error *e)
{
    TRY(column_slot_reserve(out, in->n, e));
    size_t n = rle_read_u8(r, out->data.data + out->data.len, in->n, NULL);
    if (n < in->n)
        return error_set(e, STATUS_FORMAT, "%zu booleans where %zu were announced", n, in->n);
    out->data.len += n;
    out->n_values += n;
    return STATUS_OK;
}

/* Bits, the first value in the lowest: one bit-packed run without its head. */
static enum status plain_bool(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    if (in->bytes.len != in->n / 8 + (in->n % 8 != 0))
        return error_set(e, STATUS_FORMAT, "%zu bytes for %zu booleans", in->bytes.len, in->n);
    struct rle_reader r;
    rle_reader_init_packed(&r, in->bytes, 1);
    return unpack_bools(&r, in, out, e);
}

static enum status plain_string(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    if (in->n > in->bytes.len / 4)
        return error_set(e, STATUS_FORMAT, "%zu bytes for %zu strings", in->bytes.len, in->n);
    TRY(column_slot_reserve(out, in->n, e));
    TRY(buf_reserve(&out->data, in->bytes.len - 4 * in->n, e));
    struct cursor c = cursor_of(in->bytes.data, in->bytes.len);
    uint8_t *to = out->data.data + out->data.len;
    uint64_t *ends = (uint64_t *)out->ends.data + out->n_values + 1, end = out->data.len;
    for (size_t i = 0; i < in->n; i++) {
        uint32_t len = cursor_le32(&c);
        const uint8_t *p = cursor_take(&c, len);
        if (!p || cursor_left(&c) < 4 * (in->n - i - 1))
            return error_set(e, STATUS_FORMAT, "string %zu of %zu passes the end of its page", i, in->n);
        memcpy(to, p, len);
        to += len;
        ends[i] = end += len;
    }
    if (cursor_left(&c) > 0)
        return error_set(e, STATUS_FORMAT, "%zu bytes remain behind the last string", cursor_left(&c));
    out->data.len = end;
    out->ends.len += in->n * sizeof(uint64_t);
    out->n_values += in->n;
    return STATUS_OK;
}

static enum status decode_plain(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    return out->type == PQ_BOOL     ? plain_bool(in, out, e)
           : out->type == PQ_STRING ? plain_string(in, out, e)
                                    : plain_fixed(in, out, e);
}

/* ---- runs of booleans ------------------------------------------------------------------------------------ */

static enum status decode_rle(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    if (out->type != PQ_BOOL)
        return error_set(e, STATUS_FORMAT, "encoding RLE is for booleans alone");
    struct cursor c = cursor_of(in->bytes.data, in->bytes.len);
    uint32_t len = cursor_le32(&c);
    const uint8_t *p = cursor_take(&c, len);
    if (!p)
        return error_set(e, STATUS_FORMAT, "a length of %u bytes, %zu are there", (unsigned)len, in->bytes.len);
    struct rle_reader r;
    rle_reader_init(&r, (struct span){p, len}, 1);
    return unpack_bools(&r, in, out, e);
}

/* ---- dictionaries ---------------------------------------------------------------------------------------- */

#define DEFINE_GATHER(name, type)                                                                                      \
    static void name(void *to, const void *from, const uint32_t *index, size_t n)                                      \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++)                                                                                 \
            ((type *)to)[i] = ((const type *)from)[index[i]];                                                          \
    }
DEFINE_GATHER(gather_u8, uint8_t)
DEFINE_GATHER(gather_u32, uint32_t)
DEFINE_GATHER(gather_u64, uint64_t)

static void gather_fixed(void *to, const void *from, size_t size, const uint32_t *index, size_t n)
{
    if (size == 1)
        gather_u8(to, from, index, n);
    else if (size == 4)
        gather_u32(to, from, index, n);
    else
        gather_u64(to, from, index, n);
}

static enum status gather_strings(const struct column_values *d, const uint32_t *index, size_t n,
                                  struct column_values *out, struct error *e)
{
    const uint64_t *from = (const uint64_t *)d->ends.data;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += from[index[i] + 1] - from[index[i]];
    TRY(buf_reserve(&out->data, bytes, e));
    uint64_t *ends = (uint64_t *)out->ends.data + out->n_values + 1;
    for (size_t i = 0; i < n; i++) {
        size_t len = from[index[i] + 1] - from[index[i]];
        if (len > 0)
            memcpy(out->data.data + out->data.len, d->data.data + from[index[i]], len);
        ends[i] = out->data.len += len;
    }
    out->ends.len += n * sizeof(uint64_t);
    return STATUS_OK;
}

static enum status gather(const struct column_values *d, const uint32_t *index, size_t n, struct column_values *out,
                          struct error *e)
{
    size_t size = pq_type_size(out->type);
    if (out->type == PQ_STRING)
        TRY(gather_strings(d, index, n, out, e));
    else
        gather_fixed(out->data.data + out->data.len, d->data.data, size, index, n);
    if (out->type != PQ_STRING)
        out->data.len += n * size;
    out->n_values += n;
    return STATUS_OK;
}

/* One byte with the width of an index, then indices in runs. */
static enum status decode_dictionary(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    const struct column_values *d = in->dictionary;
    if (in->n == 0)
        return STATUS_OK;
    if (!d)
        return error_set(e, STATUS_FORMAT, "indices without a dictionary page before them");
    if (in->bytes.len == 0 || in->bytes.data[0] > 32)
        return error_set(e, STATUS_FORMAT, "indices without a width of 0 to 32 bits");
    struct rle_reader r;
    rle_reader_init(&r, (struct span){in->bytes.data + 1, in->bytes.len - 1}, in->bytes.data[0]);
    TRY(column_slot_reserve(out, in->n, e));
    uint32_t index[BATCH];
    for (size_t done = 0, n; done < in->n; done += n) {
        size_t wanted = in->n - done < BATCH ? in->n - done : BATCH;
        n = rle_read_u32(&r, index, wanted);
        if (n < wanted)
            return error_set(e, STATUS_FORMAT, "%zu indices where %zu were announced", done + n, in->n);
        uint32_t most = 0;
        for (size_t i = 0; i < n; i++)
            most = index[i] > most ? index[i] : most;
        if (most >= d->n_values)
            return error_set(e, STATUS_FORMAT, "index %u into a dictionary of %zu", (unsigned)most, d->n_values);
        TRY(gather(d, index, n, out, e));
    }
    return STATUS_OK;
}

/* ---- differences ----------------------------------------------------------------------------------------- */

static enum status decode_delta(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    if (out->type != PQ_I32 && out->type != PQ_I64)
        return error_set(e, STATUS_FORMAT, "differences are of integers alone");
    if (in->n == 0)
        return STATUS_OK;
    struct cursor c = cursor_of(in->bytes.data, in->bytes.len);
    struct delta_reader r;
    TRY(delta_begin(&r, &c, in->n, e));
    TRY(column_slot_reserve(out, in->n, e));
    uint8_t *to = out->data.data + out->data.len;
    if (out->type == PQ_I64) {
        TRY(delta_read(&r, (uint64_t *)to, in->n, e));
    } else {
        uint64_t wide[BATCH];
        for (size_t done = 0, n; done < in->n; done += n) {
            n = in->n - done < BATCH ? in->n - done : BATCH;
            TRY(delta_read(&r, wide, n, e));
            for (size_t i = 0; i < n; i++)
                ((uint32_t *)to)[done + i] = (uint32_t)wide[i];
        }
    }
    out->data.len += in->n * pq_type_size(out->type);
    out->n_values += in->n;
    return STATUS_OK;
}

/* Lengths as differences, then the bytes of all strings. */
static enum status decode_delta_lengths(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    if (out->type != PQ_STRING)
        return error_set(e, STATUS_FORMAT, "lengths are of strings alone");
    if (in->n == 0)
        return STATUS_OK;
    struct cursor c = cursor_of(in->bytes.data, in->bytes.len);
    struct delta_reader r;
    TRY(delta_begin(&r, &c, in->n, e));
    TRY(column_slot_reserve(out, in->n, e));
    uint64_t *ends = (uint64_t *)out->ends.data + out->n_values + 1, end = out->data.len;
    TRY(delta_read(&r, ends, in->n, e));
    uint64_t most = end + cursor_left(&c);
    for (size_t i = 0; i < in->n; i++) {
        if (ends[i] > most - end)
            return error_set(e, STATUS_FORMAT, "string %zu of %zu passes the end of its page", i, in->n);
        ends[i] = end += ends[i];
    }
    if (end != most)
        return error_set(e, STATUS_FORMAT, "%zu bytes remain behind the last string", (size_t)(most - end));
    TRY(buf_append(&out->data, c.p, cursor_left(&c), e));
    out->ends.len += in->n * sizeof(uint64_t);
    out->n_values += in->n;
    return STATUS_OK;
}

/* One string: `kept` bytes of the one before it in this page, and the next `len` of the suffixes. */
static enum status add_suffixed(struct column_values *out, size_t before, uint64_t kept, uint64_t len,
                                struct cursor *suffixes, struct error *e)
{
    struct buf *data = &out->data;
    if (kept > data->len - before)
        return error_set(e, STATUS_FORMAT, "a string that keeps %llu bytes of one of %zu", (unsigned long long)kept,
                         data->len - before);
    const uint8_t *suffix = len <= SIZE_MAX ? cursor_take(suffixes, (size_t)len) : NULL;
    if (!suffix)
        return error_set(e, STATUS_FORMAT, "a string passes the end of its page");
    TRY(buf_reserve(data, (size_t)kept + (size_t)len, e));
    if (kept > 0)
        memcpy(data->data + data->len, data->data + before, (size_t)kept);
    if (len > 0)
        memcpy(data->data + data->len + kept, suffix, (size_t)len);
    data->len += (size_t)kept + (size_t)len;
    return STATUS_OK;
}

/* Lengths of what is kept of the string before, lengths of suffixes, suffixes.  The streams are read side by side: the
 * first two are passed over once to find where the next begins. */
static enum status decode_delta_strings(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    if (out->type != PQ_STRING)
        return error_set(e, STATUS_FORMAT, "prefixes are of strings alone");
    if (in->n == 0)
        return STATUS_OK;
    struct cursor kept_bytes = cursor_of(in->bytes.data, in->bytes.len), len_bytes = kept_bytes, suffixes;
    struct delta_reader kept_reader, len_reader;
    TRY(delta_begin(&kept_reader, &len_bytes, in->n, e));
    TRY(delta_skip(&kept_reader, e));
    suffixes = len_bytes;
    TRY(delta_begin(&len_reader, &suffixes, in->n, e));
    TRY(delta_skip(&len_reader, e));
    TRY(delta_begin(&kept_reader, &kept_bytes, in->n, e));
    TRY(delta_begin(&len_reader, &len_bytes, in->n, e));
    TRY(column_slot_reserve(out, in->n, e));
    uint64_t *ends = (uint64_t *)out->ends.data + out->n_values + 1, kept[BATCH / 2], len[BATCH / 2];
    size_t before = out->data.len;
    for (size_t done = 0, n; done < in->n; done += n) {
        n = in->n - done < ARRAY_LEN(kept) ? in->n - done : ARRAY_LEN(kept);
        TRY(delta_read(&kept_reader, kept, n, e));
        TRY(delta_read(&len_reader, len, n, e));
        for (size_t i = 0; i < n; i++) {
            size_t start = out->data.len;
            TRY(add_suffixed(out, before, kept[i], len[i], &suffixes, e));
            before = start;
            ends[done + i] = out->data.len;
        }
    }
    if (cursor_left(&suffixes) > 0)
        return error_set(e, STATUS_FORMAT, "%zu bytes remain behind the last string", cursor_left(&suffixes));
    out->ends.len += in->n * sizeof(uint64_t);
    out->n_values += in->n;
    return STATUS_OK;
}

/* ---- split streams --------------------------------------------------------------------------------------- */

static void join_u32(uint32_t *to, const uint8_t *p, size_t n)
{
    const uint8_t *b = p + n, *c = b + n, *d = c + n;
    for (size_t i = 0; i < n; i++)
        to[i] = p[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24;
}

static void join_u64(uint64_t *to, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 0;
        for (size_t k = 0; k < 8; k++)
            v |= (uint64_t)p[k * n + i] << (8 * k);
        to[i] = v;
    }
}

/* The first bytes of all values, then the second bytes, and so on. */
static enum status decode_split(const struct encoded_values *in, struct column_values *out, struct error *e)
{
    size_t size = pq_type_size(out->type);
    if (out->type == PQ_BOOL || out->type == PQ_STRING)
        return error_set(e, STATUS_FORMAT, "bytes are split of numbers alone");
    if (in->bytes.len / size != in->n || in->bytes.len % size != 0)
        return error_set(e, STATUS_FORMAT, "%zu bytes for %zu values of %zu bytes", in->bytes.len, in->n, size);
    TRY(column_slot_reserve(out, in->n, e));
    void *to = out->data.data + out->data.len;
    if (size == 4)
        join_u32(to, in->bytes.data, in->n);
    else
        join_u64(to, in->bytes.data, in->n);
    out->data.len += in->bytes.len;
    out->n_values += in->n;
    return STATUS_OK;
}

/* ---- table ----------------------------------------------------------------------------------------------- */

/* clang-format off */
static const struct encoding encodings[] = {
    {PARQUET_PLAIN,            "PLAIN",                   decode_plain},
    {PARQUET_PLAIN_DICTIONARY, "PLAIN_DICTIONARY",        decode_dictionary},
    {PARQUET_RLE,              "RLE",                     decode_rle},
    {PARQUET_BIT_PACKED,       "BIT_PACKED",              NULL},
    {PARQUET_DELTA,            "DELTA_BINARY_PACKED",     decode_delta},
    {PARQUET_DELTA_LENGTHS,    "DELTA_LENGTH_BYTE_ARRAY", decode_delta_lengths},
    {PARQUET_DELTA_STRINGS,    "DELTA_BYTE_ARRAY",        decode_delta_strings},
    {PARQUET_RLE_DICTIONARY,   "RLE_DICTIONARY",          decode_dictionary},
    {PARQUET_SPLIT,            "BYTE_STREAM_SPLIT",       decode_split},
};
/* clang-format on */

enum status encoding_decode(int id, const struct encoded_values *in, struct column_values *out, struct error *e)
{
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        const struct encoding *row = &encodings[i];
        if (row->id != id)
            continue;
        if (!row->decode)
            return error_set(e, STATUS_UNSUPPORTED, "values of encoding %s", row->name);
        return row->decode(in, out, e) == STATUS_OK ? STATUS_OK : error_wrap(e, "%s", row->name);
    }
    return error_set(e, STATUS_UNSUPPORTED, "values of an unknown encoding (%d)", id);
}
