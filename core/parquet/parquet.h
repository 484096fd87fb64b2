/* core/parquet/parquet.h
 *
 * A Parquet writer and reader of our own for flat columns, lists, and lists of lists.  It knows no physics: a schema
 * describes the columns.  Format: parquet-format 2.x (Thrift compact footer, data pages v1 and v2; values are written
 * PLAIN or through a dictionary, and read in every encoding of the format).  The reader takes untrusted bytes; each size is checked against the bytes
 * left and against stated maxima.
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
    bool list;                         /* a list of `type` a row (elements required), or a list of lists */
    int depth;                         /* of lists: 0 none, 1 a list, 2 a list of lists; writing, 0: as `list` says */
    int bits;                          /* I32: 8 or 16 announces a narrower integer (INT_8, INT_16); 0: plain */
    bool unsigned_;                    /* I32, I64: announces UINT */
    bool optional;                     /* reader only: nulls (of a list: null lists) may occur */
    const char *unsupported;           /* reader only: the construct that makes pq_read refuse it; NULL: readable */
};

struct pq_key_value { const char *key, *value; };

/* Values of one column for a run of rows.  Flat: n_values == n_rows.  List, of whatever depth: values of row i are
 * [offsets[i], offsets[i+1]).  List of lists: lists of row i are [list_offsets[i], list_offsets[i+1]), values of list k
 * are [inner_offsets[k], inner_offsets[k+1]); `offsets` follows from both, and is not looked at when writing.  Strings: bytes of value j are data[string_offsets[j], string_offsets[j+1]).
 * `null` is NULL or one byte a row (1: null; the value there is zero).  `value_null`, reading lists only, is NULL or one
 * byte a value: 1 for a null element, which stands as zero (of strings as the empty one). */
struct pq_values {
    size_t n_rows, n_values;
    void *data;
    uint64_t *offsets;                 /* list only, n_rows + 1 */
    size_t n_lists;                    /* list of lists only: inner lists, empty ones too */
    uint64_t *list_offsets;            /* list of lists only, n_rows + 1 */
    uint64_t *inner_offsets;           /* list of lists only, n_lists + 1 */
    uint64_t *string_offsets;          /* strings only, n_values + 1 */
    uint8_t *null;
    uint8_t *value_null;
};

/* ---- writing --------------------------------------------------------------------------------------------- */

struct pq_writer;
struct pq_write_options {
    enum codec_id codec;               /* NONE, SNAPPY, ZSTD, GZIP */
    int level;
    size_t page_bytes;                 /* of values before compression, 0: 1 MiB, at most 64 MiB */
    int page_version;                  /* of data pages: 1 (also 0) or 2 */
    bool adapt;                        /* each column of a row group as suits it: 32-bit integers of few values by a
                                        * dictionary, and uncompressed where its first page would not halve */
    bool describe;                     /* hash the file while it is written */
    const struct pq_key_value *meta;   /* footer key-value metadata */
    size_t n_meta;
};
/* Creates `path` itself, or empties what is there.  To publish durably the caller names a temporary file here and
 * renames it after pq_writer_finish(), which syncs.  Column names must be distinct, clean and non-empty; `columns` and
 * `options` are copied.  Strings are announced as UTF-8: the caller's bytes must be.
 * Fails: ARGUMENT, UNSUPPORTED (optional columns), NOSPACE and IO (naming the path's last component), NOMEM. */
enum status pq_writer_create(const char *path, const struct pq_column *columns, size_t n_columns,
                             const struct pq_write_options *options, struct pq_writer **out,
                             struct error *e) MUST_USE;
/* One row group from one pq_values per column, all with the same n_rows (> 0).  Nothing is kept of `columns`.
 * offsets[0] need not be 0; a row of a list or string column may hold up to 240 MiB.
 * Fails: ARGUMENT (values that do not fit together: nothing is written, the writer goes on), UNSUPPORTED (nulls),
 * RANGE, NOSPACE, IO, NOMEM: the file cannot be finished any more. */
enum status pq_write_row_group(struct pq_writer *w, const struct pq_values *columns, struct error *e) MUST_USE;
/* Footer, sync, close.  The writer is gone afterwards; on error so is the file. */
enum status pq_writer_finish(struct pq_writer *w, struct error *e) MUST_USE;
void pq_writer_abort(struct pq_writer *w);                   /* closes and unlinks; NULL allowed */
/* From now on the columns of a row group are encoded on up to `threads` threads, at the cost of holding the row group
 * as it is stored.  The bytes are the same for any number. */
enum status pq_writer_threads(struct pq_writer *w, size_t threads, struct error *e) MUST_USE;
/* pq_writer_finish, and what was written: needs the option `describe`. */
struct pq_written {
    int64_t n_rows, bytes;
    char sha256[65];                   /* of the file */
};
enum status pq_writer_finish_described(struct pq_writer *w, struct pq_written *out, struct error *e) MUST_USE;

/* ---- reading --------------------------------------------------------------------------------------------- */

struct pq_reader;
/* Members of structs, those of Spark's vectors too, are columns with dotted names ("features.values"); where the struct
 * is null they are.  Borrows `src`, which must outlive the reader.  Columns that cannot be read (structs within lists, maps, INT96, ...) appear in the
 * schema as unsupported and fail only when they are asked for, with the construct named.  Dates and times are read as
 * the integers that are stored, strings as bytes of any kind.
 * Fails: FORMAT, UNSUPPORTED (encrypted footer), RANGE (footer beyond 16 MiB), NOMEM, IO. */
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
/* From now on a column of a row group may take at most `bytes` of decoded values (at first 1 GiB, the most there is):
 * what would take more is NOMEM or RANGE.  Offsets and null flags are bounded likewise. */
void pq_limit(struct pq_reader *r, size_t bytes);
/* One column of one row group.  `out` points into buffers owned by the reader's slot for this column, valid until the
 * next pq_read of the same column or pq_close.  A null list is empty and has its flag in `null`.  Checksums of pages
 * are verified where the file has them, and counts of values and rows always.
 * Fails: FORMAT, UNSUPPORTED (construct, encoding or codec named; a null list within a list), RANGE, NOMEM, IO; *out is then
 * all zeros and the reader can go on with other columns. */
enum status pq_read(struct pq_reader *r, size_t group, size_t column, struct pq_values *out, struct error *e) MUST_USE;

/* Bounds of the values in a column of a row group, as the file states them: of numbers only; 64-bit integers are
 * rounded outwards to doubles; NaNs are no bounds and may be there besides.  Empty lists count as nulls. */
struct pq_statistics { bool present; double min, max; int64_t nulls; };          /* nulls -1: not stated */
struct pq_statistics pq_stats(const struct pq_reader *r, size_t group, size_t column);
/* Whether a value in [lo, hi] may be in a column of a row group, as far as its statistics tell: false lets the caller
 * pass the group by.  Without statistics, of strings, and where lo or hi is NaN it is true; nulls and NaNs are no values
 * of any range. */
bool pq_group_may_contain(const struct pq_reader *r, size_t group, size_t column, double lo, double hi);

#endif
