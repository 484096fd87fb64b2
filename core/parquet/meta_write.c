/* core/parquet/meta_write.c
 *
 * Page headers, row groups and the footer, as our writer states them.  Field numbers are those of parquet.thrift. */
#include "core/parquet/meta.h"

#define CREATED_BY "dltrigger " DLT_VERSION

enum status meta_put_page(struct buf *out, const struct meta_page *page, struct error *e)
{
    struct thrift_writer w = thrift_writer_of(out, e);
    thrift_put_begin(&w);
    thrift_put_i32(&w, 1, page->type);
    thrift_put_i32(&w, 2, page->uncompressed_bytes);
    thrift_put_i32(&w, 3, page->compressed_bytes);
    if (page->has_crc)
        thrift_put_i32(&w, 4, (int32_t)page->crc);
    if (page->type == PARQUET_DATA_PAGE_V2) {
        thrift_put_struct(&w, 8);
        thrift_put_i32(&w, 1, page->n_values);
        thrift_put_i32(&w, 2, page->n_nulls);
        thrift_put_i32(&w, 3, page->n_rows);
        thrift_put_i32(&w, 4, page->encoding);
        thrift_put_i32(&w, 5, page->def_bytes);
        thrift_put_i32(&w, 6, page->rep_bytes);
        thrift_put_bool(&w, 7, page->is_compressed);
    } else {
        bool dictionary = page->type == PARQUET_DICTIONARY_PAGE;
        thrift_put_struct(&w, dictionary ? 7 : 5);
        thrift_put_i32(&w, 1, page->n_values);
        thrift_put_i32(&w, 2, page->encoding);
        if (!dictionary) {
            thrift_put_i32(&w, 3, page->def_encoding);
            thrift_put_i32(&w, 4, page->rep_encoding);
        }
    }
    thrift_put_end(&w);
    thrift_put_end(&w);
    return w.status;
}

static void put_statistics(struct thrift_writer *w, int id, const struct meta_statistics *s)
{
    thrift_put_struct(w, id);
    if (s->has_nulls)
        thrift_put_i64(w, 3, s->n_nulls);
    if (s->has_max)
        thrift_put_binary(w, 5, s->max.data, s->max.len);
    if (s->has_min)
        thrift_put_binary(w, 6, s->min.data, s->min.len);
    if (s->has_nans)
        thrift_put_i64(w, 9, s->n_nans);
    thrift_put_end(w);
}

static void put_page_count(struct thrift_writer *w, int page_type, int encoding, int32_t n)
{
    thrift_put_begin(w);
    thrift_put_i32(w, 1, page_type);
    thrift_put_i32(w, 2, encoding);
    thrift_put_i32(w, 3, n);
    thrift_put_end(w);
}

static void put_chunk(struct thrift_writer *w, const struct pq_column *column, const struct meta_chunk *c)
{
    thrift_put_begin(w);
    thrift_put_i64(w, 2, 0); /* file_offset: deprecated, 0 says that the metadata is here alone */
    thrift_put_struct(w, 3);
    thrift_put_i32(w, 1, c->type);
    bool dictionary = c->dictionary_page_offset > 0;
    thrift_put_list(w, 2, THRIFT_I32, dictionary ? 3 : 2);
    thrift_put_item_i32(w, PARQUET_PLAIN);
    thrift_put_item_i32(w, PARQUET_RLE);
    if (dictionary)
        thrift_put_item_i32(w, PARQUET_RLE_DICTIONARY);
    schema_put_path(w, 3, column);
    thrift_put_i32(w, 4, c->codec);
    thrift_put_i64(w, 5, c->n_values);
    thrift_put_i64(w, 6, c->uncompressed_bytes);
    thrift_put_i64(w, 7, c->compressed_bytes);
    thrift_put_i64(w, 9, c->data_page_offset);
    if (dictionary)
        thrift_put_i64(w, 11, c->dictionary_page_offset);
    put_statistics(w, 12, &c->statistics);
    thrift_put_list(w, 13, THRIFT_STRUCT, dictionary ? 2 : 1); /* encoding_stats */
    if (dictionary)
        put_page_count(w, PARQUET_DICTIONARY_PAGE, PARQUET_PLAIN, 1);
    put_page_count(w, c->data_page_type, dictionary ? PARQUET_RLE_DICTIONARY : PARQUET_PLAIN, c->n_data_pages);
    thrift_put_end(w);
    thrift_put_end(w);
}

enum status meta_put_row_group(struct buf *out, const struct pq_column *columns, const struct meta_chunk *chunks,
                               size_t n_columns, int64_t n_rows, size_t ordinal, struct error *e)
{
    struct thrift_writer w = thrift_writer_of(out, e);
    int64_t uncompressed = 0, compressed = 0;
    for (size_t i = 0; i < n_columns; i++) {
        uncompressed += chunks[i].uncompressed_bytes;
        compressed += chunks[i].compressed_bytes;
    }
    thrift_put_begin(&w);
    thrift_put_list(&w, 1, THRIFT_STRUCT, n_columns);
    for (size_t i = 0; i < n_columns; i++)
        put_chunk(&w, &columns[i], &chunks[i]);
    thrift_put_i64(&w, 2, uncompressed);
    thrift_put_i64(&w, 3, n_rows);
    thrift_put_i64(&w, 5, chunks[0].dictionary_page_offset ? chunks[0].dictionary_page_offset
                                                           : chunks[0].data_page_offset);
    thrift_put_i64(&w, 6, compressed);
    if (ordinal <= INT16_MAX)
        thrift_put_i16(&w, 7, (int16_t)ordinal);
    thrift_put_end(&w);
    return w.status;
}

static void put_orders(struct thrift_writer *w, int id, size_t n_columns)
{
    thrift_put_list(w, id, THRIFT_STRUCT, n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        thrift_put_begin(w);
        thrift_put_struct(w, PARQUET_ORDER_TYPE);
        thrift_put_end(w);
        thrift_put_end(w);
    }
}

enum status meta_put_footer(struct buf *out, const struct meta_footer *footer, struct error *e)
{
    struct thrift_writer w = thrift_writer_of(out, e);
    thrift_put_begin(&w);
    thrift_put_i32(&w, 1, 1); /* version: "writers should always populate 1" */
    schema_put(&w, 2, footer->columns, footer->n_columns);
    thrift_put_i64(&w, 3, footer->n_rows);
    thrift_put_list(&w, 4, THRIFT_STRUCT, footer->n_row_groups);
    thrift_put_raw(&w, footer->row_groups.data, footer->row_groups.len);
    if (footer->n_meta > 0) {
        thrift_put_list(&w, 5, THRIFT_STRUCT, footer->n_meta);
        for (size_t i = 0; i < footer->n_meta; i++) {
            thrift_put_begin(&w);
            thrift_put_string(&w, 1, footer->meta[i].key);
            if (footer->meta[i].value)
                thrift_put_string(&w, 2, footer->meta[i].value);
            thrift_put_end(&w);
        }
    }
    thrift_put_string(&w, 6, CREATED_BY);
    put_orders(&w, 7, footer->n_columns);
    thrift_put_end(&w);
    return w.status;
}
