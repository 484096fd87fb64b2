/* core/parquet/meta.h
 *
 * The footer (FileMetaData) and page headers as C structs: read from untrusted bytes and written.  Offsets and sizes
 * are as the file states them; who uses one holds it against the file first. */
#ifndef DLT_CORE_PARQUET_META_H
#define DLT_CORE_PARQUET_META_H

#include "core/parquet/schema.h"

/* Bounds of a column chunk.  Reading: spans into the footer.  Writing: see statistics.h. */
struct meta_statistics {
    bool has_min, has_max, has_nulls, has_nans;
    struct span min, max;              /* PLAIN, byte arrays without their length */
    bool ordered;                      /* reading: min and max follow the column order (not the deprecated fields) */
    int64_t n_nulls, n_nans;
};

struct meta_chunk {
    bool present;                      /* ColumnMetaData was there */
    bool encrypted, elsewhere;         /* crypto metadata; data in another file */
    int type, codec;
    int64_t n_values, compressed_bytes, uncompressed_bytes;
    int64_t data_page_offset, dictionary_page_offset;          /* the latter 0: none */
    struct meta_statistics statistics;
    int32_t n_data_pages;              /* writing only, for encoding_stats */
    int data_page_type;                /* the same */
};

struct meta_row_group {
    struct meta_chunk *chunks;
    size_t n_chunks;
    int64_t n_rows;
};

struct meta_file {
    struct schema_element *elements;
    size_t n_elements;
    struct meta_row_group *row_groups;
    size_t n_row_groups;
    int64_t n_rows;
    struct pq_key_value *meta;
    size_t n_meta;
    const char *created_by;            /* "" when absent */
    uint8_t *orders;                   /* enum parquet_order a leaf; NULL: not given */
    size_t n_orders;
};

/* Reads a footer.  Spans point into [p, p+n), which must outlive `out`; the rest is allocated from `a`, whose maximum
 * bounds what a hostile footer can cost.  Fails: FORMAT, NOMEM. */
enum status meta_read_file(struct arena *a, const uint8_t *p, size_t n, struct meta_file *out,
                           struct error *e) MUST_USE;

struct meta_page {
    int type;                          /* enum parquet_page_type */
    int32_t uncompressed_bytes, compressed_bytes;              /* without the header */
    bool has_crc;
    uint32_t crc;
    bool has_body_header;              /* the struct that `type` asks for was there */
    int32_t n_values, n_nulls, n_rows; /* the latter two: v2 only */
    int encoding, def_encoding, rep_encoding;
    int32_t def_bytes, rep_bytes;      /* v2 only */
    bool is_compressed;                /* v2 only */
};

/* Reads one page header from the front of [p, p+n).  *header_bytes receives its length; 0 when more bytes are needed to
 * tell (OK is returned, *out is meaningless).  Fails: FORMAT. */
enum status meta_read_page(const uint8_t *p, size_t n, struct meta_page *out, size_t *header_bytes,
                           struct error *e) MUST_USE;

/* ---- writing --------------------------------------------------------------------------------------------- */

enum status meta_put_page(struct buf *out, const struct meta_page *page, struct error *e) MUST_USE;
/* One RowGroup struct, ready to be an item of FileMetaData.row_groups; `chunks` has one entry per column. */
enum status meta_put_row_group(struct buf *out, const struct pq_column *columns, const struct meta_chunk *chunks,
                               size_t n_columns, int64_t n_rows, size_t ordinal, struct error *e) MUST_USE;
/* The whole footer; `row_groups` are the bytes of n_row_groups structs. */
struct meta_footer {
    const struct pq_column *columns;
    size_t n_columns;
    struct span row_groups;
    size_t n_row_groups;
    int64_t n_rows;
    const struct pq_key_value *meta;
    size_t n_meta;
};
enum status meta_put_footer(struct buf *out, const struct meta_footer *footer, struct error *e) MUST_USE;

#endif
