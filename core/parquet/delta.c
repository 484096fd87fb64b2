/* core/parquet/delta.c
 *
 * The head's counts are untrusted: they are held against each other, and a miniblock's bytes against what is there,
 * before a value is taken.  Sums wrap, as the format says. */
#include "core/parquet/delta.h"

enum { MINI_MULTIPLE = 32, BLOCK_VALUES_MAX = 1 << 24 };

static uint64_t take_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = cursor_u8(c);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    c->bad = true;
    return 0;
}

static uint64_t take_zigzag(struct cursor *c)
{
    uint64_t v = take_varint(c);
    return v >> 1 ^ -(v & 1);
}

enum status delta_begin(struct delta_reader *r, struct cursor *bytes, size_t n, struct error *e)
{
    *r = (struct delta_reader){.bytes = bytes, .left = n, .first = true};
    uint64_t per_block = take_varint(bytes), n_minis = take_varint(bytes), total = take_varint(bytes);
    r->value = take_zigzag(bytes);
    if (bytes->bad)
        return error_set(e, STATUS_FORMAT, "it ends inside its head");
    if (n_minis == 0 || per_block > BLOCK_VALUES_MAX || per_block % n_minis != 0 || per_block == 0 ||
        per_block / n_minis % MINI_MULTIPLE != 0)
        return error_set(e, STATUS_FORMAT, "blocks of %llu values in %llu miniblocks", (unsigned long long)per_block,
                         (unsigned long long)n_minis);
    if (total != n)
        return error_set(e, STATUS_FORMAT, "%llu values where %zu were announced", (unsigned long long)total, n);
    r->n_minis = r->mini = (size_t)n_minis;
    r->per_mini = (size_t)(per_block / n_minis);
    return STATUS_OK;
}

/* Widths of miniblocks that are not needed may be anything: only those in use are looked at. */
static enum status next_mini(struct delta_reader *r, struct error *e)
{
    if (r->mini == r->n_minis) {
        r->least = take_zigzag(r->bytes);
        r->widths = cursor_take(r->bytes, r->n_minis);
        r->mini = 0;
        if (r->bytes->bad)
            return error_set(e, STATUS_FORMAT, "it ends with %zu values to come", r->left);
    }
    r->width = r->widths[r->mini++];
    if (r->width > 64)
        return error_set(e, STATUS_FORMAT, "differences of %u bits", r->width);
    r->packed.len = r->per_mini / 8 * r->width;
    r->packed.data = cursor_take(r->bytes, r->packed.len);
    if (!r->packed.data)
        return error_set(e, STATUS_FORMAT, "it ends with %zu values to come", r->left);
    r->bit = 0;
    r->mini_left = r->per_mini;
    return STATUS_OK;
}

/* `width` <= 64 bits from `bit` on; nothing behind the miniblock is touched. */
static uint64_t packed_at(const struct delta_reader *r, size_t bit)
{
    const uint8_t *p = r->packed.data + bit / 8;
    size_t left = r->packed.len - bit / 8;
    unsigned shift = bit % 8, width = r->width;
    uint64_t v = 0;
    if (left >= 8)
        v = load_le64(p);
    else
        for (size_t i = 0; i < left; i++)
            v |= (uint64_t)p[i] << (8 * i);
    v >>= shift;
    if (shift + width > 64)
        v |= (uint64_t)p[8] << (64 - shift);
    return width < 64 ? v & ((1ull << width) - 1) : v;
}

static void take_values(struct delta_reader *r, uint64_t *out, size_t n)
{
    uint64_t value = r->value;
    if (r->width == 0)
        for (size_t i = 0; i < n; i++)
            out[i] = value += r->least;
    else
        for (size_t i = 0; i < n; i++, r->bit += r->width)
            out[i] = value += r->least + packed_at(r, r->bit);
    r->value = value;
    r->mini_left -= n;
    r->left -= n;
}

enum status delta_read(struct delta_reader *r, uint64_t *out, size_t n, struct error *e)
{
    check(n <= r->left);
    if (n > 0 && r->first) {
        *out++ = r->value;
        r->first = false;
        r->left--;
        n--;
    }
    while (n > 0) {
        if (r->mini_left == 0)
            TRY(next_mini(r, e));
        size_t k = n < r->mini_left ? n : r->mini_left;
        take_values(r, out, k);
        out += k;
        n -= k;
    }
    return STATUS_OK;
}

enum status delta_skip(struct delta_reader *r, struct error *e)
{
    if (r->first && r->left > 0) {
        r->first = false;
        r->left--;
    }
    while (r->left > 0) {
        if (r->mini_left == 0)
            TRY(next_mini(r, e));
        size_t k = r->left < r->mini_left ? r->left : r->mini_left;
        r->mini_left -= k;
        r->left -= k;
    }
    return STATUS_OK;
}
