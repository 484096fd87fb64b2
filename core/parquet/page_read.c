/* core/parquet/page_read.c
 *
 * Every size that a page header states is held against the chunk, the codec's best ratio and the stated maximum before
 * memory is asked for; entries and rows are counted by the caller of chunk_read() as well. */
#include "core/parquet/page_read.h"

#include "core/parquet/encoding.h"
#include "core/parquet/levels.h"
#include "core/source.h"

#include <inttypes.h>

enum {
    WINDOW_BYTES = 256 << 10, /* read at once where pages are small: fewer calls, still within the cache */
    HEADER_GUESS = 256        /* read behind a page, so that the next header comes with it */
};

void page_buffers_init(struct page_buffers *b)
{
    buf_init(&b->window, (size_t)PARQUET_PAGE_BYTES_MAX + PARQUET_PAGE_HEADER_BYTES_MAX + WINDOW_BYTES + HEADER_GUESS);
    buf_init(&b->body, PARQUET_PAGE_BYTES_MAX);
    buf_init(&b->rep, PARQUET_PAGE_ENTRIES_MAX);
    buf_init(&b->def, PARQUET_PAGE_ENTRIES_MAX);
}

void page_buffers_fini(struct page_buffers *b)
{
    buf_fini(&b->window);
    buf_fini(&b->body);
    buf_fini(&b->rep);
    buf_fini(&b->def);
}

/* ---- window ---------------------------------------------------------------------------------------------- */

static size_t in_window(const struct chunk_reader *r)
{
    return r->buffers->window.len - r->window_at;
}
static uint64_t chunk_left(const struct chunk_reader *r)
{
    return r->end - r->offset + in_window(r);
}
static uint64_t position(const struct chunk_reader *r)
{
    return r->offset - in_window(r);
}

/* At least `need` unread bytes in the window (need <= chunk_left), more where that saves a call. */
static enum status fill_window(struct chunk_reader *r, size_t need, struct error *e)
{
    struct buf *w = &r->buffers->window;
    size_t have = in_window(r);
    if (have >= need)
        return STATUS_OK;
    if (have > 0)
        memmove(w->data, w->data + r->window_at, have);
    r->window_at = 0;
    w->len = have;
    size_t more = need - have < WINDOW_BYTES ? WINDOW_BYTES : need - have;
    if (more > r->end - r->offset)
        more = (size_t)(r->end - r->offset);
    TRY(buf_reserve(w, more, e));
    TRY(source_read(r->source, r->offset, w->data + have, more, e));
    w->len += more;
    r->offset += more;
    return STATUS_OK;
}

/* ---- headers --------------------------------------------------------------------------------------------- */

static enum status next_header(struct chunk_reader *r, struct meta_page *page, struct error *e)
{
    for (size_t need = HEADER_GUESS;; need *= 4) {
        uint64_t left = chunk_left(r);
        TRY(fill_window(r, need < left ? need : (size_t)left, e));
        size_t header_bytes;
        TRY(meta_read_page(r->buffers->window.data + r->window_at, in_window(r), page, &header_bytes, e));
        if (header_bytes > 0) {
            r->window_at += header_bytes;
            return STATUS_OK;
        }
        if (in_window(r) == left)
            return error_set(e, STATUS_FORMAT, "the chunk ends inside a page header");
        if (need >= PARQUET_PAGE_HEADER_BYTES_MAX)
            return error_set(e, STATUS_FORMAT, "a page header of more than %d bytes", PARQUET_PAGE_HEADER_BYTES_MAX);
    }
}

static enum status check_sizes(struct chunk_reader *r, const struct meta_page *page, struct error *e)
{
    size_t packed = (size_t)page->compressed_bytes, plain = (size_t)page->uncompressed_bytes;
    if (packed > chunk_left(r))
        return error_set(e, STATUS_FORMAT, "it claims %zu bytes, %" PRIu64 " remain in the chunk", packed,
                         chunk_left(r));
    if (plain > PARQUET_PAGE_BYTES_MAX || packed > PARQUET_PAGE_BYTES_MAX)
        return error_set(e, STATUS_RANGE, "it claims %zu bytes (%zu stored); at most %d are read", plain, packed,
                         PARQUET_PAGE_BYTES_MAX);
    if (plain > packed * r->codec->most_ratio + 64)
        return error_set(e, STATUS_FORMAT, "%zu bytes cannot come of %zu by %s", plain, packed, r->codec->name);
    if (plain > r->budget)
        return error_set(e, STATUS_RANGE, "the chunk's pages hold more than is read of a column");
    r->budget -= plain;
    return STATUS_OK;
}

/* ---- bodies ---------------------------------------------------------------------------------------------- */

/* `packed` decompressed into the body buffer; without compression the bytes themselves. */
static enum status unpack(struct chunk_reader *r, struct span packed, size_t n, bool compressed, struct span *out,
                          struct error *e)
{
    if (!compressed || r->codec->codec == CODEC_NONE) {
        if (packed.len != n)
            return error_set(e, STATUS_FORMAT, "%zu bytes stored as they are, %zu announced", packed.len, n);
        *out = packed;
        return STATUS_OK;
    }
    struct buf *body = &r->buffers->body;
    body->len = 0;
    TRY(buf_reserve(body, n, e));
    *out = (struct span){body->data, n};
    return n == 0 ? STATUS_OK : codec_decompress(r->codec->codec, packed.data, packed.len, body->data, n, e);
}

struct page_parts {
    struct span rep, def, values;
};

/* v1: everything is compressed together; levels that exist are preceded by their length, except BIT_PACKED ones. */
static enum status take_levels_v1(struct cursor *c, int encoding, unsigned max, size_t n, struct span *out,
                                  struct error *e)
{
    if (max == 0)
        return STATUS_OK;
    size_t len = encoding == PARQUET_BIT_PACKED ? (n * levels_width(max) + 7) / 8 : cursor_le32(c);
    const uint8_t *p = cursor_take(c, len);
    if (!p)
        return error_set(e, STATUS_FORMAT, "%zu bytes of levels, %zu are there", len, cursor_left(c));
    *out = (struct span){p, len};
    return STATUS_OK;
}

static enum status split_v1(struct chunk_reader *r, const struct meta_page *page, struct span stored,
                            struct page_parts *parts, struct error *e)
{
    struct span body = {0};
    const struct schema_levels *shape = &r->column->levels;
    TRY(unpack(r, stored, (size_t)page->uncompressed_bytes, true, &body, e));
    struct cursor c = cursor_of(body.data, body.len);
    size_t n = (size_t)page->n_values;
    TRY(take_levels_v1(&c, page->rep_encoding, shape->max_rep, n, &parts->rep, e));
    TRY(take_levels_v1(&c, page->def_encoding, shape->max_def, n, &parts->def, e));
    parts->values = (struct span){c.p, cursor_left(&c)};
    return STATUS_OK;
}

/* v2: levels stand before the compressed values, with their lengths in the header. */
static enum status split_v2(struct chunk_reader *r, const struct meta_page *page, struct span stored,
                            struct page_parts *parts, struct error *e)
{
    size_t rep = (size_t)page->rep_bytes, def = (size_t)page->def_bytes, levels = rep + def;
    if (levels > stored.len || levels > (size_t)page->uncompressed_bytes)
        return error_set(e, STATUS_FORMAT, "%zu bytes of levels in a page of %zu", levels, stored.len);
    parts->rep = (struct span){stored.data, rep};
    parts->def = (struct span){stored.data + rep, def};
    return unpack(r, (struct span){stored.data + levels, stored.len - levels},
                  (size_t)page->uncompressed_bytes - levels, page->is_compressed, &parts->values, e);
}

static size_t count_starts(const uint8_t *rep, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += rep[i] == 0;
    return count;
}

static enum status read_levels(struct chunk_reader *r, const struct meta_page *page, const struct page_parts *parts,
                               struct page_levels *out, struct error *e)
{
    const struct schema_levels *shape = &r->column->levels;
    struct page_buffers *b = r->buffers;
    size_t n = (size_t)page->n_values, n_inner;
    *out = (struct page_levels){.n = n, .n_full = n, .n_starts = n};
    b->rep.len = b->def.len = 0;
    if (shape->max_rep > 0) {
        TRY(buf_reserve(&b->rep, n, e));
        if (levels_read(page->rep_encoding, parts->rep, shape->max_rep, b->rep.data, n, &n_inner, e) != STATUS_OK)
            return error_wrap(e, "repetition levels");
        out->rep = b->rep.data;
        out->n_starts = shape->max_rep == 1 ? n - n_inner : count_starts(b->rep.data, n);
    }
    if (shape->max_def > 0) {
        TRY(buf_reserve(&b->def, n, e));
        if (levels_read(page->def_encoding, parts->def, shape->max_def, b->def.data, n, &out->n_full, e) != STATUS_OK)
            return error_wrap(e, "definition levels");
        out->def = b->def.data;
    }
    return STATUS_OK;
}

static enum status read_data_page(struct chunk_reader *r, const struct meta_page *page, struct span stored,
                                  struct column_values *out, struct error *e)
{
    struct page_parts parts = {0};
    struct page_levels levels;
    bool v2 = page->type == PARQUET_DATA_PAGE_V2;
    TRY((v2 ? split_v2 : split_v1)(r, page, stored, &parts, e));
    TRY(read_levels(r, page, &parts, &levels, e));
    if (v2 && levels.n_starts != (size_t)page->n_rows)
        return error_set(e, STATUS_FORMAT, "%zu rows where the header says %d", levels.n_starts, (int)page->n_rows);
    if (v2 && levels.n > 0 && levels.rep && levels.rep[0] != 0)
        return error_set(e, STATUS_FORMAT, "it begins inside a row");
    struct encoded_values values = {parts.values, levels.n_full, r->has_dictionary ? r->dictionary : NULL};
    if (encoding_decode(page->encoding, &values, out, e) != STATUS_OK)
        return error_wrap(e, "values");
    return column_add_rows(out, &r->column->levels, &levels, e);
}

static enum status read_dictionary_page(struct chunk_reader *r, const struct meta_page *page, struct span stored,
                                        struct column_values *out, struct error *e)
{
    if (r->has_dictionary || out->n_rows > 0)
        return error_set(e, STATUS_FORMAT, "a dictionary that is not the chunk's first page");
    if (page->encoding != PARQUET_PLAIN && page->encoding != PARQUET_PLAIN_DICTIONARY)
        return error_set(e, STATUS_UNSUPPORTED, "a dictionary of encoding %d", page->encoding);
    struct span body = {0};
    TRY(unpack(r, stored, (size_t)page->uncompressed_bytes, true, &body, e));
    struct encoded_values values = {body, (size_t)page->n_values, NULL};
    if (encoding_decode(PARQUET_PLAIN, &values, r->dictionary, e) != STATUS_OK)
        return error_wrap(e, "dictionary");
    r->has_dictionary = true;
    return STATUS_OK;
}

/* ---- chunk ----------------------------------------------------------------------------------------------- */

/* One page; *n_left is what its entries may still be. */
static enum status read_page(struct chunk_reader *r, int64_t *n_left, struct column_values *out, struct error *e)
{
    struct meta_page page;
    TRY(next_header(r, &page, e));
    TRY(check_sizes(r, &page, e));
    size_t packed = (size_t)page.compressed_bytes;
    uint64_t left = chunk_left(r), ahead = (uint64_t)packed + HEADER_GUESS;
    TRY(fill_window(r, in_window(r) >= packed ? packed : (size_t)(ahead < left ? ahead : left), e));
    struct span stored = {r->buffers->window.data + r->window_at, packed};
    r->window_at += packed;
    if (page.type == PARQUET_INDEX_PAGE)
        return STATUS_OK;
    if (!page.has_body_header)
        return error_set(e, STATUS_FORMAT, "a page of type %d without its header", page.type);
    if (page.has_crc && codec_crc32(0, stored.data, stored.len) != page.crc)
        return error_set(e, STATUS_FORMAT, "its checksum differs");
    if (page.type == PARQUET_DICTIONARY_PAGE)
        return read_dictionary_page(r, &page, stored, out, e);
    if (page.n_values > PARQUET_PAGE_ENTRIES_MAX)
        return error_set(e, STATUS_RANGE, "%d values in one page; at most %d are read", (int)page.n_values,
                         PARQUET_PAGE_ENTRIES_MAX);
    if (page.n_values > *n_left)
        return error_set(e, STATUS_FORMAT, "%d values, %" PRId64 " remain of the chunk's", (int)page.n_values, *n_left);
    *n_left -= page.n_values;
    return read_data_page(r, &page, stored, out, e);
}

enum status chunk_read(struct chunk_reader *r, int64_t n_values, struct column_values *out, struct error *e)
{
    int64_t n_left = n_values;
    r->buffers->window.len = r->window_at = 0;
    r->has_dictionary = false;
    TRY(column_begin(r->dictionary, e));
    while (chunk_left(r) > 0) {
        uint64_t at = position(r);
        if (read_page(r, &n_left, out, e) != STATUS_OK)
            return error_wrap(e, "page at byte %" PRIu64, at);
    }
    if (n_left > 0)
        return error_set(e, STATUS_FORMAT, "its pages end %" PRId64 " values early", n_left);
    return STATUS_OK;
}
