/* core/parquet/parquet.h
 *
 * A Parquet writer and reader of our own for flat and one-level list columns.  It knows no physics: a schema describes
 * the columns.  Format: parquet-format 2.x (Thrift compact footer, data pages v1 and v2, PLAIN, RLE, dictionaries on
 * reading).  The reader takes untrusted bytes; each size is checked against the bytes left and against stated maxima.
 * A writer or reader is used by one thread at a time; several readers may share a source. */
#ifndef DLT_CORE_PARQUET_H
#define DLT_CORE_PARQUET_H

#include "core/codec/codec.h"
#include "core/source.h"

enum pq_type { PQ_BOOL, PQ_I32, PQ_I64, PQ_F32, PQ_F64, PQ_STRING };
/* In memory: uint8_t (0/1), int32_t, int64_t, float, double, and for strings uint64_t ends (see pq_values). */
size_t pq_type_size(enum pq_type t);

struct pq_column {
    const char *name;
    enum pq_type type;
    bool list;                         /* one list of `type` a row (elements required) */
    int bits;                          /* I32: 8 or 16 announces a narrower integer (INT_8, INT_16); 0: plain */
    bool unsigned_;                    /* I32, I64: announces UINT */
    bool optional;                     /* reader only: nulls may occur */
};

struct pq_key_value { const char *key, *value; };

/* Values of one column for a run of rows.  Flat: n_values == n_rows.  List: values of row i are
 * [offsets[i], offsets[i+1]).  Strings: bytes of value j are data[string_offsets[j], string_offsets[j+1]).
 * `null` is NULL or one byte a row (1: null; the value there is zero). */
struct pq_values {
    size_t n_rows, n_values;
    void *data;
    uint64_t *offsets;                 /* list only, n_rows + 1 */
    uint64_t *string_offsets;          /* strings only, n_values + 1 */
    uint8_t *null;
};

/* ---- writing --------------------------------------------------------------------------------------------- */

struct pq_writer;
struct pq_write_options {
    enum codec_id codec;               /* NONE, SNAPPY, ZSTD, GZIP */
    int level;
    size_t page_bytes;                 /* of values before compression, 0: 1 MiB */
    const struct pq_key_value *meta;   /* footer key-value metadata */
    size_t n_meta;
};
/* Writes to `path` itself (the caller names and renames; see core/io/sink.h for the durable way).
 * Column names must be distinct and non-empty. */
enum status pq_writer_create(const char *path, const struct pq_column *columns, size_t n_columns,
                             const struct pq_write_options *options, struct pq_writer **out,
                             struct error *e) MUST_USE;
/* One row group from one pq_values per column, all with the same n_rows (> 0).  Nothing is kept of `columns`. */
enum status pq_write_row_group(struct pq_writer *w, const struct pq_values *columns, struct error *e) MUST_USE;
/* Footer, fsync, close.  The writer is gone afterwards, also on error. */
enum status pq_writer_finish(struct pq_writer *w, struct error *e) MUST_USE;
void pq_writer_abort(struct pq_writer *w);                   /* closes and unlinks; NULL allowed */

/* ---- reading --------------------------------------------------------------------------------------------- */

struct pq_reader;
/* Borrows `src`.  Columns that cannot be read (deeper nesting, INT96, ...) appear in the schema as unsupported and
 * fail only when they are asked for, with the construct named. */
enum status pq_open(struct source *src, struct pq_reader **out, struct error *e) MUST_USE;
void pq_close(struct pq_reader *r);
size_t pq_n_columns(const struct pq_reader *r);
const struct pq_column *pq_column_at(const struct pq_reader *r, size_t i);
int pq_column_find(const struct pq_reader *r, const char *name);                 /* -1: absent */
size_t pq_n_row_groups(const struct pq_reader *r);
int64_t pq_n_rows(const struct pq_reader *r);
int64_t pq_row_group_rows(const struct pq_reader *r, size_t group);
const char *pq_meta(const struct pq_reader *r, const char *key);                 /* NULL: absent */
const char *pq_created_by(const struct pq_reader *r);
/* One column of one row group.  `out` points into buffers owned by the reader's slot for this column, valid until the
 * next pq_read of the same column or pq_close. */
enum status pq_read(struct pq_reader *r, size_t group, size_t column, struct pq_values *out, struct error *e) MUST_USE;

struct pq_statistics { bool present; double min, max; int64_t nulls; };         /* numbers only */
struct pq_statistics pq_stats(const struct pq_reader *r, size_t group, size_t column);

#endif
