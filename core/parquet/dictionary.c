/* core/parquet/dictionary.c
 *
 * Runs begin and end at multiples of eight values, so that groups need no moving: what is equal over sixteen values
 * and more becomes a run, the rest is packed. */
#include "core/parquet/dictionary.h"

#include "core/parquet/levels.h"

enum { GROUP = 8, GROUPS_MAX = 63, /* of a bit-packed run: its head then stays one byte */
       RUN_HEAD_MAX = 11, VALUES_A_VALUE = 4 /* least repetition that pays */ };

static const uint64_t ONES = 0x0101010101010101u;

void dictionary_init(struct dictionary *d)
{
    buf_init(&d->index, PARQUET_COLUMN_BYTES_MAX);
}

void dictionary_fini(struct dictionary *d)
{
    buf_fini(&d->index);
}

/* Slot of a value: where it is or would be. */
static inline size_t slot_of(const struct dictionary *d, int32_t v)
{
    size_t at = (uint32_t)v * 2654435761u >> 22;
    while (d->slots[at] && d->values[d->slots[at] - 1] != v)
        at = (at + 1) % DICTIONARY_SLOTS;
    return at;
}

enum status dictionary_build(struct dictionary *d, const int32_t *v, size_t n, bool *pays, struct error *e)
{
    *pays = false;
    d->n = 0;
    d->index.len = 0;
    memset(d->slots, 0, sizeof d->slots);
    TRY(buf_reserve(&d->index, n + GROUP, e));
    uint8_t *index = d->index.data;
    for (size_t i = 0; i < n; i++) {
        size_t slot = slot_of(d, v[i]);
        if (!d->slots[slot]) {
            if (d->n == DICTIONARY_MAX)
                return STATUS_OK;
            d->values[d->n++] = v[i];
            d->slots[slot] = (uint16_t)d->n;
        }
        index[i] = (uint8_t)(d->slots[slot] - 1);
    }
    d->index.len = n;
    d->width = d->n > 2 ? levels_width((unsigned)d->n - 1) : 1;
    *pays = n > 0 && d->n <= n / VALUES_A_VALUE;
    return STATUS_OK;
}

/* Packs eight indices into `width` bytes. */
static uint64_t pack_group(uint64_t group, unsigned width)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < GROUP; i++)
        bits |= (group >> (8 * i) & 0xff) << (i * width);
    return bits;
}

static size_t put_run(uint8_t *to, uint8_t value, size_t n)
{
    size_t len = 0;
    uint64_t head = (uint64_t)n << 1;
    for (; head >= 0x80; head >>= 7)
        to[len++] = (uint8_t)(head | 0x80);
    to[len++] = (uint8_t)head;
    to[len++] = value;
    return len;
}

enum status dictionary_put(const struct dictionary *d, size_t first, size_t last, struct buf *out, struct error *e)
{
    size_t n = last - first, n_groups = (n + GROUP - 1) / GROUP, full = n / GROUP;
    const uint8_t *index = d->index.data + first;
    TRY(buf_reserve(out, 1 + n_groups * (d->width + 1) + RUN_HEAD_MAX + sizeof(uint64_t), e));
    uint8_t *to = out->data + out->len, *head = NULL;
    *to++ = (uint8_t)d->width;
    for (size_t g = 0; g < n_groups;) {
        uint64_t group = 0;
        size_t same = 0;
        if (g < full) {
            group = load_le64(index + g * GROUP);
            uint64_t run = index[g * GROUP] * ONES;
            while (group == run && g + same < full && load_le64(index + (g + same) * GROUP) == run)
                same++;
        } else {
            for (size_t i = g * GROUP; i < n; i++)
                group |= (uint64_t)index[i] << (8 * (i % GROUP));
        }
        if (same >= 2) {
            to += put_run(to, index[g * GROUP], same * GROUP);
            head = NULL;
            g += same;
            continue;
        }
        if (!head || *head >> 1 == GROUPS_MAX) {
            head = to++;
            *head = 1;
        }
        uint64_t bits = pack_group(group, d->width);
        store_le64(to, bits);
        to += d->width;
        *head = (uint8_t)(*head + 2);
        g++;
    }
    out->len = (size_t)(to - out->data);
    return STATUS_OK;
}
