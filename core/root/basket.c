/* core/root/basket.c
 *
 * Baskets: which entries each holds, its bytes from disk or from the tree object, unpacked and with its offsets
 * checked.  The entries of all baskets must be all entries of the branch: a damaged file gives an error, never fewer.
 */
#include "core/root/tree.h"

#include "core/codec/codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    PREFETCH_BYTES_MAX = 64 << 20, /* of all branches in one request */
    KEY_SEEN = 256,                /* bytes of a basket that show its key and its codec */
    KEYS_AT_ONCE = 1024,
};

void basket_store_fini(struct basket_store *s)
{
    mem_free(s->places);
    if (s->prepared) {
        buf_fini(&s->raw);
        buf_fini(&s->offsets);
        buf_fini(&s->fetched);
    }
    *s = (struct basket_store){0};
}

/* ---- which entries are where ------------------------------------------------------------------------------- */

static const struct basket_object *embedded_basket(const struct root_branch *b, size_t i)
{
    if (i >= b->baskets.n || strcmp(b->baskets.items[i].class_name, "TBasket") != 0)
        return NULL;
    const struct basket_object *o = b->baskets.items[i].object;
    return o && o->data && o->n_entries > 0 ? o : NULL;
}

/* Basket i of the file's arrays, ending before `end`; `keep` is false for one without entries. */
static enum status place_basket(const struct root_branch *b, size_t i, int64_t end, struct basket_place *p, bool *keep,
                                struct error *e)
{
    int64_t first = b->basket_entry.v[i];
    if (first < 0 || end < first || end > b->entries)
        return error_set(e, STATUS_FORMAT, "basket %zu holds entries %" PRId64 " to %" PRId64 " of %" PRId64, i, first,
                         end, b->entries);
    *keep = end > first;
    if (!*keep)
        return STATUS_OK;
    *p = (struct basket_place){.first = first, .end = end, .embedded = embedded_basket(b, i)};
    int64_t seek = i < b->basket_seek.n ? b->basket_seek.v[i] : 0;
    int64_t n_bytes = i < b->basket_bytes.n ? b->basket_bytes.v[i] : 0;
    if (seek > 0)
        p->embedded = NULL;
    else if (!p->embedded)
        return error_set(e, STATUS_FORMAT, "basket %zu with entries %" PRId64 " to %" PRId64 " is nowhere", i, first,
                         end);
    if (p->embedded && p->embedded->n_entries != (uint64_t)(end - first))
        return error_set(e, STATUS_FORMAT, "basket %zu inside the tree holds %" PRIu32 " entries, %" PRId64 " are due",
                         i, p->embedded->n_entries, end - first);
    if (!p->embedded && (n_bytes < 0 || n_bytes > ROOT_OBJECT_MAX))
        return error_set(e, STATUS_FORMAT, "basket %zu of %" PRId64 " bytes", i, n_bytes);
    p->seek = seek > 0 ? (uint64_t)seek : 0;
    p->n_bytes = p->embedded ? 0 : (uint32_t)n_bytes;
    return STATUS_OK;
}

static enum status place_all(struct root_branch *b, struct error *e)
{
    struct basket_store *s = &b->store;
    size_t n_file = (size_t)b->write_basket;
    bool has_open = n_file < b->basket_entry.n && b->basket_entry.v[n_file] < b->entries;
    size_t n = n_file + has_open;
    s->places = mem_calloc(n ? n : 1, sizeof *s->places);
    if (!s->places)
        return root_no_memory(e);
    int64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t end = i + 1 < n                                 ? b->basket_entry.v[i + 1]
                      : !has_open && n_file < b->basket_entry.n ? b->basket_entry.v[n_file]
                                                                : b->entries;
        bool keep = false;
        struct basket_place p = {0};
        TRY(place_basket(b, i, end, &p, &keep, e));
        if (!keep)
            continue;
        if (p.first != at)
            return error_set(e, STATUS_FORMAT, "basket %zu begins with entry %" PRId64 ", %" PRId64 " is next", i,
                             p.first, at);
        at = p.end;
        s->places[s->n_places++] = p;
    }
    if (at != b->entries)
        return error_set(e, STATUS_FORMAT, "its %zu baskets hold %" PRId64 " entries, the branch says %" PRId64, n, at,
                         b->entries);
    return STATUS_OK;
}

enum status baskets_prepare(struct root_tree *t, struct root_branch *b, struct error *e)
{
    struct basket_store *s = &b->store;
    (void)t;
    if (s->prepared)
        return STATUS_OK;
    if (b->entries < 0 || b->write_basket < 0 || (uint64_t)b->write_basket > b->basket_entry.n)
        return error_set(e, STATUS_FORMAT, "%" PRId64 " entries in %" PRId64 " baskets, %zu are listed", b->entries,
                         b->write_basket, b->basket_entry.n);
    if (place_all(b, e) != STATUS_OK) {
        mem_free(s->places);
        *s = (struct basket_store){0};
        return e->status;
    }
    buf_init(&s->raw, ROOT_OBJECT_MAX);
    buf_init(&s->offsets, ROOT_OBJECT_MAX);
    buf_init(&s->fetched, PREFETCH_BYTES_MAX);
    s->prepared = true;
    return STATUS_OK;
}

size_t basket_find(const struct root_branch *b, int64_t entry)
{
    size_t low = 0, high = b->store.n_places;
    while (low + 1 < high) {
        size_t mid = low + (high - low) / 2;
        if (b->store.places[mid].first <= entry)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* ---- stored bytes ---------------------------------------------------------------------------------------------- */

/* The record of one basket, from what was fetched ahead or from the source into `scratch`. */
static enum status stored_bytes(struct root_tree *t, struct root_branch *b, size_t index, struct buf *scratch,
                                struct span *out, struct error *e)
{
    struct basket_store *s = &b->store;
    struct basket_place *p = &s->places[index];
    if (index >= s->fetched_first && index < s->fetched_end) {
        *out = (struct span){s->fetched.data + p->fetched_at, p->n_bytes};
        return STATUS_OK;
    }
    if (p->n_bytes == 0) { /* not listed: the key knows */
        uint8_t first[4];
        TRY(file_bytes(t->file, p->seek, first, sizeof first, e));
        if (load_be32(first) > ROOT_OBJECT_MAX)
            return error_set(e, STATUS_FORMAT, "key of %" PRIu32 " bytes", load_be32(first));
        p->n_bytes = load_be32(first);
    }
    if (p->seek > t->file->size || p->n_bytes > t->file->size - p->seek)
        return error_set(e, STATUS_FORMAT, "%" PRIu32 " bytes at byte %" PRIu64 ", the file ends at byte %" PRIu64,
                         p->n_bytes, p->seek, t->file->size);
    scratch->len = 0;
    TRY(buf_reserve(scratch, p->n_bytes, e));
    TRY(file_bytes(t->file, p->seek, scratch->data, p->n_bytes, e));
    *out = (struct span){scratch->data, p->n_bytes};
    return STATUS_OK;
}

/* The basket's own header, between the end of an ordinary key and the data. */
struct basket_header {
    uint32_t key_bytes, object_bytes, n_entries, last;
};

static enum status parse_header(const struct basket_place *p, struct span record, struct basket_header *h,
                                struct error *e)
{
    struct cursor c = cursor_of(record.data, record.len);
    struct key_header k;
    TRY(key_parse(&c, &k, e));
    if (k.class_len != 7 || memcmp(k.class_name, "TBasket", 7) != 0)
        return error_set(e, STATUS_FORMAT, "there is no basket at byte %" PRIu64, p->seek);
    if (k.n_bytes != record.len || k.seek != p->seek)
        return error_set(e, STATUS_FORMAT,
                         "key says %" PRIu32 " bytes at byte %" PRIu64 ", the branch %zu at byte %" PRIu64, k.n_bytes,
                         k.seek, record.len, p->seek);
    cursor_skip(&c, 2 + 4);           /* version, buffer size */
    if ((int32_t)cursor_be32(&c) < 0) /* room for offsets; its sign says that feature bits follow */
        cursor_skip(&c, 1);
    h->n_entries = cursor_be32(&c);
    h->last = cursor_be32(&c);
    h->key_bytes = k.key_bytes;
    h->object_bytes = k.object_bytes;
    if (c.bad || cursor_offset(&c) > k.key_bytes)
        return error_set(e, STATUS_FORMAT, "header is cut off");
    if (h->n_entries != (uint64_t)(p->end - p->first))
        return error_set(e, STATUS_FORMAT, "it holds %" PRIu32 " entries, %" PRId64 " are due", h->n_entries,
                         p->end - p->first);
    if (h->last < h->key_bytes || h->last - h->key_bytes > h->object_bytes)
        return error_set(e, STATUS_FORMAT, "data end at %" PRIu32 " of %" PRIu32 " + %" PRIu32 " bytes", h->last,
                         h->key_bytes, h->object_bytes);
    return STATUS_OK;
}

/* ---- offsets --------------------------------------------------------------------------------------------------- */

/* big[0..n): where entries begin, counted from `base` bytes before the data.  Makes n_entries + 1 offsets into them. */
static enum status set_offsets(struct basket_store *s, const uint8_t *big, uint32_t n, uint32_t n_entries,
                               uint32_t base, struct error *e)
{
    struct basket *k = &s->now;
    if (n != n_entries && n != (uint64_t)n_entries + 1)
        return error_set(e, STATUS_FORMAT, "%" PRIu32 " offsets for %" PRIu32 " entries", n, n_entries);
    s->offsets.len = 0;
    TRY(buf_reserve(&s->offsets, ((size_t)n_entries + 1) * sizeof(uint32_t), e));
    uint32_t *to = (uint32_t *)(void *)s->offsets.data, before = base;
    for (uint32_t i = 0; i < n_entries; i++) {
        uint32_t at = load_be32(big + (size_t)i * 4);
        if (at < before || at - base > k->n_bytes)
            return error_set(e, STATUS_FORMAT,
                             "entry %" PRIu32 " begins at %" PRIu32 " of %zu bytes, the one before at %" PRIu32, i,
                             at - base, k->n_bytes, before - base);
        before = at;
        to[i] = at - base;
    }
    if (n_entries > 0 && to[0] != 0)
        return error_set(e, STATUS_FORMAT, "%" PRIu32 " bytes come before the first entry", to[0]);
    to[n_entries] = (uint32_t)k->n_bytes;
    k->offsets = to;
    return STATUS_OK;
}

/* Without offsets every entry takes the same bytes, or one must be read to find the next. */
static enum status set_stride(const struct root_branch *b, struct basket *k, uint32_t n_entries, struct error *e)
{
    const struct shape *s = b->shape;
    k->offsets = NULL;
    k->stride = 0;
    if (!s || s->kind != SHAPE_NUMBER || b->repeat)
        return STATUS_OK;
    k->stride = (size_t)s->count * s->bytes;
    if (k->n_bytes != (uint64_t)k->stride * n_entries)
        return error_set(e, STATUS_FORMAT, "%" PRIu32 " entries of %zu bytes in %zu bytes", n_entries, k->stride,
                         k->n_bytes);
    return STATUS_OK;
}

/* ---- loading --------------------------------------------------------------------------------------------------- */

static enum status load_embedded(struct root_branch *b, const struct basket_object *o, struct error *e)
{
    struct basket *k = &b->store.now;
    k->data = o->data + o->key_bytes;
    k->n_bytes = o->last - o->key_bytes;
    if (o->offsets)
        return set_offsets(&b->store, o->offsets, o->n_offsets, o->n_entries, o->key_bytes, e);
    return set_stride(b, k, o->n_entries, e);
}

static enum status load_record(struct root_tree *t, struct root_branch *b, const struct basket_place *p,
                               struct span record, struct error *e)
{
    struct basket_store *s = &b->store;
    struct basket_header h = {0};
    TRY(parse_header(p, record, &h, e));
    int64_t start = time_mono_ns();
    enum status status = object_unpack(record.data + h.key_bytes, record.len - h.key_bytes, h.object_bytes, &s->raw, e);
    t->decompress_ns += time_mono_ns() - start;
    t->stored_bytes += record.len;
    t->raw_bytes += h.object_bytes;
    TRY(status);
    struct basket *k = &s->now;
    k->data = s->raw.data;
    k->n_bytes = h.last - h.key_bytes;
    if (k->n_bytes == s->raw.len)
        return set_stride(b, k, h.n_entries, e);
    struct cursor c = cursor_of(s->raw.data + k->n_bytes, s->raw.len - k->n_bytes);
    uint32_t n = cursor_be32(&c);
    if (c.bad || (uint64_t)n * 4 != cursor_left(&c))
        return error_set(e, STATUS_UNSUPPORTED, "%zu bytes behind the data are not the offsets of %" PRIu32 " entries",
                         s->raw.len - k->n_bytes, h.n_entries);
    return set_offsets(s, c.p, n, h.n_entries, h.key_bytes, e);
}

enum status basket_load(struct root_tree *t, struct root_branch *b, size_t index, const struct basket **out,
                        struct error *e)
{
    struct basket_store *s = &b->store;
    check(s->prepared && index < s->n_places);
    *out = &s->now;
    if (s->loaded && s->now.index == index)
        return STATUS_OK;
    s->loaded = false;
    const struct basket_place *p = &s->places[index];
    enum status status;
    if (p->embedded) {
        status = load_embedded(b, p->embedded, e);
    } else {
        struct span record = {0};
        status = stored_bytes(t, b, index, &t->scratch, &record, e);
        if (status == STATUS_OK)
            status = load_record(t, b, p, record, e);
    }
    if (status != STATUS_OK)
        return error_wrap(e, "basket %zu", index);
    s->now.index = index;
    s->loaded = true;
    return STATUS_OK;
}

/* ---- ahead of reading ---------------------------------------------------------------------------------------------
 */

/* Room for the baskets of [first, end) that are not there yet, as far as *budget bytes go; how many ranges they are. */
static enum status plan_fetch(struct root_tree *t, struct root_branch *b, int64_t first, int64_t end, size_t *budget,
                              size_t *n, struct error *e)
{
    struct basket_store *s = &b->store;
    TRY(baskets_prepare(t, b, e));
    s->fetched_first = s->fetched_end = 0;
    *n = 0;
    if (s->n_places == 0 || first >= end || first >= b->entries)
        return STATUS_OK;
    size_t from = basket_find(b, first), to = from, bytes = 0;
    if (s->loaded && s->now.index == from)
        to = ++from;
    for (; to < s->n_places && s->places[to].first < end; to++) {
        struct basket_place *p = &s->places[to];
        /* What cannot be fetched ahead is left to the reading, which says what is wrong with it. */
        if (p->embedded || p->n_bytes == 0 || p->seek > t->file->size || p->n_bytes > t->file->size - p->seek ||
            bytes + p->n_bytes > *budget)
            break;
        p->fetched_at = bytes;
        bytes += p->n_bytes;
    }
    s->fetched.len = 0;
    TRY(buf_reserve(&s->fetched, bytes, e));
    s->fetched_first = from;
    s->fetched_end = to;
    *budget -= bytes;
    *n = to - from;
    return STATUS_OK;
}

/* Whether an earlier branch of the list has the same baskets. */
static bool is_repeated(const struct root_branch *const *branches, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (branches[k]->owner == branches[i]->owner)
            return true;
    return false;
}

static enum status fetch(struct root_tree *t, const struct root_branch *const *branches, size_t n_branches,
                         size_t n_ranges, struct error *e)
{
    struct source_range *ranges = mem_calloc(n_ranges, sizeof *ranges);
    if (!ranges)
        return root_no_memory(e);
    size_t n = 0;
    for (size_t i = 0; i < n_branches; i++) {
        struct basket_store *s = &branches[i]->owner->store;
        if (is_repeated(branches, i))
            continue;
        for (size_t k = s->fetched_first; k < s->fetched_end && n < n_ranges; k++)
            ranges[n++] = (struct source_range){s->places[k].seek, s->places[k].n_bytes,
                                                s->fetched.data + s->places[k].fetched_at};
    }
    enum status status = source_read_ranges(t->file->src, ranges, n, e);
    mem_free(ranges);
    return status;
}

enum status root_prefetch(struct root_tree *t, const struct root_branch *const *branches, size_t n_branches,
                          int64_t first, int64_t n, struct error *e)
{
    size_t n_ranges = 0, budget = PREFETCH_BYTES_MAX;
    for (size_t i = 0; i < n_branches; i++) {
        size_t mine;
        if (is_repeated(branches, i))
            continue;
        if (plan_fetch(t, branches[i]->owner, first, first + n, &budget, &mine, e) != STATUS_OK) {
            (void)error_wrap(e, "tree %s: branch %s", t->name, branches[i]->name);
            return root_wrap(t->file, e);
        }
        n_ranges += mine;
    }
    if (n_ranges == 0)
        return STATUS_OK;
    enum status s = fetch(t, branches, n_branches, n_ranges, e);
    if (s != STATUS_OK)
        for (size_t i = 0; i < n_branches; i++)
            branches[i]->owner->store.fetched_first = branches[i]->owner->store.fetched_end = 0;
    return s == STATUS_OK ? s : root_wrap(t->file, e);
}

/* ---- codec ----------------------------------------------------------------------------------------------------------
 */

/* What the first bytes of a record say of its codec. */
static const char *codec_in(const uint8_t *p, size_t n)
{
    static const char *const known[] = {"ZL", "XZ", "L4", "ZS", "CS"};
    struct cursor c = cursor_of(p, n);
    struct key_header k;
    struct error e;
    if (key_parse(&c, &k, &e) != STATUS_OK)
        return "?";
    if (k.object_bytes <= k.n_bytes - k.key_bytes)
        return "raw";
    for (size_t i = 0; i < ARRAY_LEN(known) && k.key_bytes + 2u <= n; i++)
        if (memcmp(known[i], p + k.key_bytes, 2) == 0)
            return known[i];
    return "?";
}

/* Codecs of branches [from, to) in one request. */
static void read_codecs(struct root_tree *t, size_t from, size_t to, struct source_range *ranges, uint8_t *bytes)
{
    struct error e;
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        struct root_branch *b = t->branches[i];
        int64_t seek = b->write_basket > 0 && b->basket_seek.n > 0 ? b->basket_seek.v[0] : 0;
        b->codec = seek > 0 ? "?" : "-";
        if (seek <= 0 || (uint64_t)seek >= t->file->size)
            continue;
        size_t left = (size_t)(t->file->size - (uint64_t)seek);
        ranges[n] = (struct source_range){(uint64_t)seek, left < KEY_SEEN ? left : KEY_SEEN, bytes + n * KEY_SEEN};
        n++;
    }
    if (n == 0 || source_read_ranges(t->file->src, ranges, n, &e) != STATUS_OK)
        return;
    for (size_t i = from, k = 0; i < to; i++)
        if (k < n && t->branches[i]->write_basket > 0 && t->branches[i]->basket_seek.n > 0 &&
            t->branches[i]->basket_seek.v[0] == (int64_t)ranges[k].offset) {
            t->branches[i]->codec = codec_in(ranges[k].dst, ranges[k].len);
            k++;
        }
}

const char *basket_codec(struct root_tree *t, const struct root_branch *b)
{
    if (b->codec)
        return b->codec;
    struct source_range *ranges = mem_calloc(KEYS_AT_ONCE, sizeof *ranges);
    uint8_t *bytes = mem_alloc((size_t)KEYS_AT_ONCE * KEY_SEEN);
    for (size_t from = 0; ranges && bytes && from < t->n_branches; from += KEYS_AT_ONCE)
        read_codecs(t, from, from + KEYS_AT_ONCE < t->n_branches ? from + KEYS_AT_ONCE : t->n_branches, ranges, bytes);
    mem_free(ranges);
    mem_free(bytes);
    return b->codec ? b->codec : "?";
}
