/* core/parquet/page_write.c
 *
 * Plain values are one copy of the caller's memory; levels are put as runs, so their cost goes by rows, not values. */
#include "core/parquet/page_write.h"

#include "core/parquet/levels.h"

enum { PAGE_BYTES_DEFAULT = 1 << 20, LEVEL_RESERVE = 16 << 20, SAMPLE_BYTES = 32 << 10 };

/* A page is the values of its rows and their levels: what a row may hold leaves room for the latter. */
#define ROW_BYTES_MAX ((size_t)PARQUET_PAGE_BYTES_MAX - LEVEL_RESERVE)

static void init_buffers(struct page_writer *w)
{
    buf_init(&w->rep, PARQUET_PAGE_BYTES_MAX);
    buf_init(&w->def, PARQUET_PAGE_BYTES_MAX);
    buf_init(&w->body, PARQUET_PAGE_BYTES_MAX);
    buf_init(&w->packed, 2 * (size_t)PARQUET_PAGE_BYTES_MAX);
    buf_init(&w->header, 4096);
    dictionary_init(&w->dictionary);
}

void page_writer_init(struct page_writer *w, const struct parquet_codec *codec, const struct pq_write_options *options)
{
    *w = (struct page_writer){.codec = codec,
                              .file_codec = codec,
                              .adapt = options->adapt,
                              .level = options->level,
                              .page_bytes = options->page_bytes ? options->page_bytes : PAGE_BYTES_DEFAULT,
                              .v2 = options->page_version == 2};
    init_buffers(w);
}

void page_writer_init_like(struct page_writer *w, const struct page_writer *other)
{
    *w = *other;
    init_buffers(w);
}

void page_writer_fini(struct page_writer *w)
{
    buf_fini(&w->rep);
    buf_fini(&w->def);
    buf_fini(&w->body);
    buf_fini(&w->packed);
    buf_fini(&w->header);
    dictionary_fini(&w->dictionary);
}

void page_value_range(const struct pq_column *c, const struct pq_values *v, size_t first, size_t last, size_t *value,
                      size_t *end)
{
    if (schema_depth_of(c) == 2) {
        *value = (size_t)v->inner_offsets[v->list_offsets[first]];
        *end = (size_t)v->inner_offsets[v->list_offsets[last]];
        return;
    }
    *value = c->list ? (size_t)v->offsets[first] : first;
    *end = c->list ? (size_t)v->offsets[last] : last;
}

/* Whether the codec halves the first bytes: what it saves of others is not worth its time (400 MB/s and less). */
static enum status judge_codec(struct page_writer *w, const uint8_t *p, size_t n, struct error *e)
{
    n = n < SAMPLE_BYTES ? n : SAMPLE_BYTES;
    w->packed.len = 0;
    TRY(codec_compress(w->codec->codec, w->level, p, n, &w->packed, e));
    if (w->packed.len > n / 2)
        w->codec = parquet_codec_of(CODEC_NONE);
    return STATUS_OK;
}

enum status page_writer_begin(struct page_writer *w, const struct pq_column *c, const struct pq_values *v,
                              struct error *e)
{
    size_t value, end;
    w->codec = w->file_codec;
    w->by_dictionary = false;
    if (!w->adapt || c->type == PQ_STRING || c->type == PQ_BOOL)
        return STATUS_OK;
    page_value_range(c, v, 0, v->n_rows, &value, &end);
    const uint8_t *first = end > value ? (const uint8_t *)v->data + value * pq_type_size(c->type) : NULL;
    if (c->type == PQ_I32 && end > value)
        TRY(dictionary_build(&w->dictionary, (const int32_t *)(const void *)first, end - value, &w->by_dictionary, e));
    w->dictionary_from = value;
    if (w->by_dictionary)
        w->codec = parquet_codec_of(CODEC_NONE);
    else if (end > value && w->codec->codec != CODEC_NONE)
        return judge_codec(w, first, (end - value) * pq_type_size(c->type), e);
    return STATUS_OK;
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

/* PLAIN bytes of values [value, end). */
static size_t plain_bytes(const struct pq_column *c, const struct pq_values *v, size_t value, size_t end)
{
    size_t n = end - value;
    if (c->type == PQ_BOOL)
        return (n + 7) / 8;
    if (c->type == PQ_STRING)
        return n * 4 + (size_t)(n ? v->string_offsets[end] - v->string_offsets[value] : 0);
    return n * pq_type_size(c->type);
}

enum status page_last_row(const struct page_writer *w, const struct pq_column *c, const struct pq_values *v,
                          size_t first, size_t *last, struct error *e)
{
    size_t bytes = 0, row = first;
    if (!c->list && c->type != PQ_STRING) {
        size_t n = w->page_bytes / pq_type_size(c->type), left = v->n_rows - first;
        *last = first + (n < 1 ? 1 : n < left ? n : left);
        return STATUS_OK;
    }
    for (; row < v->n_rows; row++) {
        size_t value, end;
        page_value_range(c, v, row, row + 1, &value, &end);
        size_t more = c->type == PQ_BOOL ? end - value : plain_bytes(c, v, value, end);
        more++; /* rows and lists without values fill a page as well */
        if (schema_depth_of(c) == 2)
            more += (size_t)(v->list_offsets[row + 1] - v->list_offsets[row]);
        if (more > ROW_BYTES_MAX)
            return error_set(e, STATUS_RANGE, "row %zu holds %zu bytes; at most %zu can be written", row, more,
                             ROW_BYTES_MAX);
        if (row > first && bytes + more > w->page_bytes)
            break;
        bytes += more;
    }
    *last = row;
    return STATUS_OK;
}

/* ---- parts ----------------------------------------------------------------------------------------------- */

static enum status put_list_levels(struct page_writer *w, const struct pq_values *v, size_t first, size_t last,
                                   struct page_bytes *out, struct error *e)
{
    struct rle_writer rep, def;
    rle_writer_init(&rep, &w->rep, 1);
    rle_writer_init(&def, &w->def, 1);
    for (size_t row = first; row < last; row++) {
        size_t n = (size_t)(v->offsets[row + 1] - v->offsets[row]);
        TRY(rle_put(&rep, 0, 1, e));
        TRY(rle_put(&rep, 1, n ? n - 1 : 0, e));
        TRY(rle_put(&def, n > 0, n ? n : 1, e));
        out->n_gaps += n == 0;
    }
    out->n_entries += out->n_gaps;
    TRY(rle_finish(&rep, e));
    return rle_finish(&def, e);
}

/* The same of lists of lists: definitions are 0 for an empty row, 1 for an empty list, 2 for a value. */
static enum status put_nested_levels(struct page_writer *w, const struct pq_values *v, size_t first, size_t last,
                                     struct page_bytes *out, struct error *e)
{
    struct rle_writer rep, def;
    rle_writer_init(&rep, &w->rep, 2);
    rle_writer_init(&def, &w->def, 2);
    for (size_t row = first; row < last; row++) {
        size_t list = (size_t)v->list_offsets[row], end = (size_t)v->list_offsets[row + 1];
        if (list == end) {
            TRY(rle_put(&rep, 0, 1, e));
            TRY(rle_put(&def, 0, 1, e));
            out->n_gaps++;
        }
        for (uint8_t begins = 0; list < end; list++, begins = 1) {
            size_t n = (size_t)(v->inner_offsets[list + 1] - v->inner_offsets[list]);
            TRY(rle_put(&rep, begins, 1, e));
            TRY(rle_put(&rep, 2, n ? n - 1 : 0, e));
            TRY(rle_put(&def, n ? 2 : 1, n ? n : 1, e));
            out->n_gaps += n == 0;
        }
    }
    out->n_entries += out->n_gaps;
    TRY(rle_finish(&rep, e));
    return rle_finish(&def, e);
}

static void pack_bools(uint8_t *to, const uint8_t *v, size_t n)
{
    memset(to, 0, (n + 7) / 8);
    for (size_t i = 0; i < n; i++)
        to[i / 8] |= (uint8_t)((v[i] != 0) << (i % 8));
}

static void put_strings(uint8_t *to, const struct pq_values *v, size_t value, size_t end)
{
    for (size_t i = value; i < end; i++) {
        size_t at = (size_t)v->string_offsets[i], len = (size_t)v->string_offsets[i + 1] - at;
        store_le32(to, (uint32_t)len);
        if (len > 0)
            memcpy(to + 4, (const uint8_t *)v->data + at, len);
        to += 4 + len;
    }
}

static enum status put_values(struct buf *out, const struct pq_column *c, const struct pq_values *v, size_t value,
                              size_t end, struct error *e)
{
    size_t n = plain_bytes(c, v, value, end);
    TRY(buf_reserve(out, n, e));
    uint8_t *to = out->data + out->len;
    if (c->type == PQ_BOOL)
        pack_bools(to, (const uint8_t *)v->data + value, end - value);
    else if (c->type == PQ_STRING)
        put_strings(to, v, value, end);
    else if (n > 0)
        memcpy(to, (const uint8_t *)v->data + value * pq_type_size(c->type), n);
    out->len += n;
    return STATUS_OK;
}

static enum status put_sized(struct buf *out, const struct buf *levels, struct error *e)
{
    uint8_t len[4];
    store_le32(len, (uint32_t)levels->len);
    TRY(buf_append(out, len, sizeof len, e));
    return buf_append(out, levels->data, levels->len, e);
}

/* The body as stored; *compressed says whether by the codec.  v2 may keep bytes that do not shrink, v1 may not. */
static enum status pack(struct page_writer *w, bool *compressed, struct span *out, struct error *e)
{
    *compressed = w->codec->codec != CODEC_NONE && w->body.len > 0;
    if (w->codec->codec != CODEC_NONE && (w->body.len > 0 || !w->v2)) {
        w->packed.len = 0;
        TRY(codec_compress(w->codec->codec, w->level, w->body.data, w->body.len, &w->packed, e));
        *out = (struct span){w->packed.data, w->packed.len};
        if (!w->v2 || w->packed.len < w->body.len)
            return STATUS_OK;
    }
    *compressed = false;
    *out = (struct span){w->body.data, w->body.len};
    return STATUS_OK;
}

static enum status put_header(struct page_writer *w, const struct meta_page *page, struct page_bytes *out,
                              struct error *e)
{
    w->header.len = 0;
    TRY(meta_put_page(&w->header, page, e));
    out->parts[0] = (struct span){w->header.data, w->header.len};
    out->stored = w->header.len + (size_t)page->compressed_bytes;
    out->uncompressed = w->header.len + (size_t)page->uncompressed_bytes;
    return STATUS_OK;
}

static uint32_t checksum(const struct page_bytes *page)
{
    uint32_t crc = 0;
    for (size_t i = 1; i < PAGE_PARTS; i++)
        crc = codec_crc32(crc, page->parts[i].data, page->parts[i].len);
    return crc;
}

/* Levels (v1) and values: numbers that are stored as they are go out from the caller's memory. */
static enum status put_body(struct page_writer *w, const struct pq_column *c, const struct pq_values *v, size_t value,
                            size_t end, bool *compressed, struct page_bytes *out, struct error *e)
{
    bool direct = w->codec->codec == CODEC_NONE && !w->by_dictionary && c->type != PQ_BOOL && c->type != PQ_STRING;
    size_t size = pq_type_size(c->type);
    if (w->by_dictionary)
        TRY(dictionary_put(&w->dictionary, value - w->dictionary_from, end - w->dictionary_from, &w->body, e));
    else if (direct && end > value)
        out->parts[4] = (struct span){(const uint8_t *)v->data + value * size, (end - value) * size};
    else
        TRY(put_values(&w->body, c, v, value, end, e));
    return pack(w, compressed, &out->parts[3], e);
}

enum status page_encode_dictionary(struct page_writer *w, struct page_bytes *out, struct error *e)
{
    *out = (struct page_bytes){.n_entries = w->dictionary.n};
    out->parts[1] = (struct span){(const uint8_t *)w->dictionary.values, w->dictionary.n * sizeof(int32_t)};
    struct meta_page page = {.type = PARQUET_DICTIONARY_PAGE,
                             .uncompressed_bytes = (int32_t)out->parts[1].len,
                             .compressed_bytes = (int32_t)out->parts[1].len,
                             .has_crc = true,
                             .crc = checksum(out),
                             .n_values = (int32_t)w->dictionary.n,
                             .encoding = PARQUET_PLAIN};
    return put_header(w, &page, out, e);
}

enum status page_encode(struct page_writer *w, const struct pq_column *c, const struct pq_values *v, size_t first,
                        size_t last, struct page_bytes *out, struct error *e)
{
    size_t value, end, levels = 0;
    page_value_range(c, v, first, last, &value, &end);
    *out = (struct page_bytes){.n_entries = end - value};
    w->rep.len = w->def.len = w->body.len = 0;
    if (c->list)
        TRY((schema_depth_of(c) == 2 ? put_nested_levels : put_list_levels)(w, v, first, last, out, e));
    if (c->list && !w->v2) {
        TRY(put_sized(&w->body, &w->rep, e));
        TRY(put_sized(&w->body, &w->def, e));
    }
    if (w->v2) {
        out->parts[1] = (struct span){w->rep.data, w->rep.len};
        out->parts[2] = (struct span){w->def.data, w->def.len};
        levels = w->rep.len + w->def.len;
    }
    bool compressed = false;
    TRY(put_body(w, c, v, value, end, &compressed, out, e));
    size_t stored = out->parts[3].len + out->parts[4].len, plain = compressed ? w->body.len : stored;
    struct meta_page page = {.type = w->v2 ? PARQUET_DATA_PAGE_V2 : PARQUET_DATA_PAGE,
                             .uncompressed_bytes = (int32_t)(plain + levels),
                             .compressed_bytes = (int32_t)(stored + levels),
                             .has_crc = true,
                             .crc = checksum(out),
                             .n_values = (int32_t)out->n_entries,
                             .n_nulls = (int32_t)out->n_gaps,
                             .n_rows = (int32_t)(last - first),
                             .encoding = w->by_dictionary ? PARQUET_RLE_DICTIONARY : PARQUET_PLAIN,
                             .def_encoding = PARQUET_RLE,
                             .rep_encoding = PARQUET_RLE,
                             .def_bytes = (int32_t)w->def.len,
                             .rep_bytes = (int32_t)w->rep.len,
                             .is_compressed = compressed};
    return put_header(w, &page, out, e);
}
