/* core/parquet/levels.c
 *
 * Runs are handled as runs: levels of long lists are two or three of them, whatever the number of values. */
#include "core/parquet/levels.h"

#include "core/parquet/format.h"

/* ---- reading --------------------------------------------------------------------------------------------- */

void rle_reader_init(struct rle_reader *r, struct span bytes, unsigned width)
{
    check(width <= 32);
    *r = (struct rle_reader){.p = bytes.data, .end = bytes.data + bytes.len, .width = width};
}

static bool read_varint(struct rle_reader *r, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (r->p == r->end)
            return false;
        uint8_t b = *r->p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* Values of a bit-packed run lie in bytes that may be cut short behind the last value in use. */
static void begin_packed(struct rle_reader *r, uint64_t n_groups)
{
    size_t left = (size_t)(r->end - r->p);
    uint64_t n = n_groups * 8, bytes = n_groups * r->width;
    if (bytes > left) {
        bytes = left;
        n = r->width ? (uint64_t)left * 8 / r->width : n;
    }
    r->packed = r->p;
    r->packed_bytes = (size_t)bytes;
    r->packed_bit = 0;
    r->packed_left = (size_t)n;
    r->p += bytes;
}

void rle_reader_init_packed(struct rle_reader *r, struct span bytes, unsigned width)
{
    rle_reader_init(r, bytes, width);
    begin_packed(r, bytes.len / width + 1);
}

static bool begin_run(struct rle_reader *r)
{
    uint64_t head;
    if (!read_varint(r, &head))
        return false;
    if (head & 1) {
        begin_packed(r, head >> 1);
        return true;
    }
    size_t n_bytes = (r->width + 7) / 8;
    if (n_bytes > (size_t)(r->end - r->p))
        return false;
    uint32_t v = 0;
    for (size_t i = 0; i < n_bytes; i++)
        v |= (uint32_t)*r->p++ << (8 * i);
    if (r->width < 32 && v >> r->width)
        return false;
    r->value = v;
    r->run_left = (size_t)(head >> 1);
    return true;
}

static uint32_t packed_at(const struct rle_reader *r, uint64_t bit)
{
    size_t byte = (size_t)(bit / 8), left = r->packed_bytes - byte;
    uint64_t v = 0;
    if (left >= 8) {
        v = load_le64(r->packed + byte);
    } else {
        for (size_t i = 0; i < left; i++)
            v |= (uint64_t)r->packed[byte + i] << (8 * i);
    }
    return (uint32_t)((v >> (bit % 8)) & ((1ull << r->width) - 1));
}

static void unpack_u32(struct rle_reader *r, uint32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++, r->packed_bit += r->width)
        out[i] = packed_at(r, r->packed_bit);
}

/* Eight one-bit values at a time: each bit becomes a byte. */
static size_t unpack_bits(struct rle_reader *r, uint8_t *out, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n && r->packed_bit % 8 == 0; i += 8, r->packed_bit += 8) {
        uint64_t spread = (0x0101010101010101ull * r->packed[r->packed_bit / 8]) & 0x8040201008040201ull;
        store_le64(out + i, ((spread + 0x7f7f7f7f7f7f7f7full) >> 7) & 0x0101010101010101ull);
    }
    return i;
}

static void unpack_u8(struct rle_reader *r, uint8_t *out, size_t n)
{
    size_t i = 0;
    if (r->width == 1)
        while (i < n) {
            i += unpack_bits(r, out + i, n - i);
            if (i < n) {
                out[i++] = (uint8_t)packed_at(r, r->packed_bit);
                r->packed_bit++;
            }
        }
    for (; i < n; i++, r->packed_bit += r->width)
        out[i] = (uint8_t)packed_at(r, r->packed_bit);
}

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t rle_read_u32(struct rle_reader *r, uint32_t *out, size_t n)
{
    size_t done = 0;
    while (done < n) {
        size_t k = at_most(n - done, r->run_left ? r->run_left : r->packed_left);
        if (k == 0) {
            if (!begin_run(r))
                break;
        } else if (r->run_left) {
            for (size_t i = 0; i < k; i++)
                out[done + i] = r->value;
            r->run_left -= k;
        } else {
            unpack_u32(r, out + done, k);
            r->packed_left -= k;
        }
        done += k;
    }
    return done;
}

/* How many of v[n] equal max; with a max of 1 all are 0 or 1, and eight are added at a time. */
static size_t count_max(const uint8_t *v, size_t n, unsigned max, bool *above)
{
    size_t i = 0, count = 0;
    if (max == 1)
        for (; n - i >= 8; i += 8)
            count += load_le64(v + i) * 0x0101010101010101ull >> 56;
    for (; i < n; i++) {
        count += v[i] == max;
        *above |= v[i] > max;
    }
    return count;
}

size_t rle_read_u8(struct rle_reader *r, uint8_t *out, size_t n, struct level_count *count)
{
    check(r->width <= 8);
    size_t done = 0;
    while (done < n) {
        size_t k = at_most(n - done, r->run_left ? r->run_left : r->packed_left);
        if (k == 0) {
            if (!begin_run(r))
                break;
        } else if (r->run_left) {
            memset(out + done, (int)r->value, k);
            r->run_left -= k;
            if (count) {
                count->n_max += r->value == count->max ? k : 0;
                count->above |= r->value > count->max;
            }
        } else {
            unpack_u8(r, out + done, k);
            r->packed_left -= k;
            if (count)
                count->n_max += count_max(out + done, k, count->max, &count->above);
        }
        done += k;
    }
    return done;
}

/* BIT_PACKED: no runs, most significant bit first. */
static size_t read_bit_packed(struct span bytes, unsigned width, uint8_t *out, size_t n)
{
    size_t fit = at_most(n, bytes.len * 8 / width);
    for (size_t i = 0; i < fit; i++) {
        unsigned v = 0;
        for (size_t bit = i * width; bit < (i + 1) * width; bit++)
            v = v << 1 | (bytes.data[bit / 8] >> (7 - bit % 8) & 1u);
        out[i] = (uint8_t)v;
    }
    return fit;
}

unsigned levels_width(unsigned max)
{
    unsigned width = 0;
    for (; max; max >>= 1)
        width++;
    return width;
}

enum status levels_read(int encoding, struct span bytes, unsigned max, uint8_t *out, size_t n, size_t *n_max,
                        struct error *e)
{
    unsigned width = levels_width(max);
    check(max >= 1 && width <= 8);
    size_t n_read;
    struct level_count count = {.max = max};
    if (encoding == PARQUET_RLE) {
        struct rle_reader r;
        rle_reader_init(&r, bytes, width);
        n_read = rle_read_u8(&r, out, n, &count);
    } else if (encoding == PARQUET_BIT_PACKED) {
        n_read = read_bit_packed(bytes, width, out, n);
        count.n_max = count_max(out, n_read, max, &count.above);
    } else {
        return error_set(e, STATUS_UNSUPPORTED, "levels of encoding %d; RLE and BIT_PACKED are read", encoding);
    }
    if (n_read < n)
        return error_set(e, STATUS_FORMAT, "%zu levels, but %zu values", n_read, n);
    if (count.above)
        return error_set(e, STATUS_FORMAT, "a level above %u", max);
    *n_max = count.n_max;
    return STATUS_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

enum { GROUPS_MAX = 63 }; /* of a bit-packed run: its head then stays one byte */

void rle_writer_init(struct rle_writer *w, struct buf *out, unsigned width)
{
    check(width >= 1 && width <= 8);
    *w = (struct rle_writer){.out = out, .width = width};
}

static void put_byte(struct buf *out, uint8_t b)
{
    out->data[out->len++] = b;
}

static enum status put_group(struct rle_writer *w, struct error *e)
{
    TRY(buf_reserve(w->out, 9, e));
    if (w->n_groups == 0) {
        w->head_at = w->out->len;
        put_byte(w->out, 0);
    }
    uint64_t bits = 0;
    for (unsigned i = 0; i < 8; i++)
        bits |= (uint64_t)w->group[i] << (i * w->width);
    for (unsigned i = 0; i < w->width; i++)
        put_byte(w->out, (uint8_t)(bits >> (8 * i)));
    w->n_group = 0;
    w->n_groups++;
    w->out->data[w->head_at] = (uint8_t)(w->n_groups << 1 | 1);
    if (w->n_groups == GROUPS_MAX)
        w->n_groups = 0;
    return STATUS_OK;
}

static enum status put_long_run(struct rle_writer *w, uint8_t value, size_t n, struct error *e)
{
    TRY(buf_reserve(w->out, 11, e));
    w->n_groups = 0;
    uint64_t head = (uint64_t)n << 1;
    for (; head >= 0x80; head >>= 7)
        put_byte(w->out, (uint8_t)(head | 0x80));
    put_byte(w->out, (uint8_t)head);
    put_byte(w->out, value);
    return STATUS_OK;
}

/* A run completes the begun group first: only the last group of all may be padded. */
static enum status flush_run(struct rle_writer *w, struct error *e)
{
    size_t n = w->run;
    w->run = 0;
    while (n > 0) {
        if (w->n_group == 0 && n >= 8)
            return put_long_run(w, w->value, n, e);
        unsigned k = (unsigned)at_most(8 - w->n_group, n);
        memset(w->group + w->n_group, w->value, k);
        w->n_group += k;
        n -= k;
        if (w->n_group == 8)
            TRY(put_group(w, e));
    }
    return STATUS_OK;
}

enum status rle_put(struct rle_writer *w, uint8_t value, size_t n, struct error *e)
{
    if (n == 0)
        return STATUS_OK;
    if (w->run > 0 && w->value != value)
        TRY(flush_run(w, e));
    w->value = value;
    w->run += n;
    return STATUS_OK;
}

enum status rle_finish(struct rle_writer *w, struct error *e)
{
    TRY(flush_run(w, e));
    if (w->n_group == 0)
        return STATUS_OK;
    memset(w->group + w->n_group, 0, 8 - w->n_group);
    return put_group(w, e);
}
