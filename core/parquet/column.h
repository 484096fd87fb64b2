/* core/parquet/column.h
 *
 * A column of a row group as it grows page by page: decoded values, and the rows that levels make of them. */
#ifndef DLT_CORE_PARQUET_COLUMN_H
#define DLT_CORE_PARQUET_COLUMN_H

#include "core/parquet/schema.h"

/* The buffers are kept from one row group to the next.  A dictionary is one as well (values without rows). */
struct column_values {
    enum pq_type type;
    struct buf data;                   /* values; of strings the bytes */
    struct buf ends;                   /* strings: uint64_t offsets into `data`, n_values + 1 */
    struct buf starts;                 /* list: uint64_t index of each row's first value */
    struct buf lists;                  /* list of lists: uint64_t index of each row's first inner list */
    struct buf inner;                  /* list of lists: uint64_t index of each inner list's first value */
    struct buf null;                   /* one byte a row, once `any_null` */
    struct buf value_null;             /* list: one byte a value, once `any_value_null` */
    size_t n_values, n_rows;
    bool any_null, any_value_null;
    bool row_open;                     /* list: the last row is not empty, so the next page may add to it */
    bool list_open;                    /* list of lists: the same of the last inner list */
};

void column_init(struct column_values *c, enum pq_type type, size_t max_bytes);
void column_limit(struct column_values *c, size_t max_bytes);          /* from now on */
void column_fini(struct column_values *c);
/* Empties it, keeping the buffers. */
enum status column_begin(struct column_values *c, struct error *e) MUST_USE;
/* Room for n more values of fixed size, or for n more strings' offsets.  Fails: NOMEM (also beyond the maximum). */
enum status column_slot_reserve(struct column_values *c, size_t n, struct error *e) MUST_USE;

/* The entries of one page.  Either array is NULL when the column has no such levels. */
struct page_levels {
    const uint8_t *rep;
    uint8_t *def;                      /* null elements, once they have their places, are marked as values here */
    size_t n, n_full, n_starts;        /* entries; how many carry a value; how many begin a row */
};
/* Makes rows of entries whose n_full values were appended to `c` just now.
 * Fails: FORMAT (levels that fit no list), UNSUPPORTED (null lists within lists), NOMEM. */
enum status column_add_rows(struct column_values *c, const struct schema_levels *shape,
                            struct page_levels *levels, struct error *e) MUST_USE;

/* Closes the last row and hands out pointers into the buffers. */
enum status column_finish(struct column_values *c, int depth, struct pq_values *out, struct error *e) MUST_USE;

#endif
