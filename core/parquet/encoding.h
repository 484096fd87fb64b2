/* core/parquet/encoding.h
 *
 * How values are laid out inside a data page: one row of a table per encoding of the format.  An encoding without a
 * decode function is known by name and refused; to read it, give it one. */
#ifndef DLT_CORE_PARQUET_ENCODING_H
#define DLT_CORE_PARQUET_ENCODING_H

#include "core/parquet/column.h"

struct encoded_values {
    struct span bytes;
    size_t n;                          /* values, nulls not counted */
    const struct column_values *dictionary;            /* NULL: the chunk has none */
};

struct encoding {
    int id;                            /* enum parquet_encoding */
    const char *name;
    /* Appends exactly `in->n` values of out->type to `out`.  Fails: FORMAT, UNSUPPORTED (for this type), NOMEM. */
    enum status (*decode)(const struct encoded_values *in, struct column_values *out, struct error *e);
};

/* Decodes, or fails with UNSUPPORTED naming the encoding. */
enum status encoding_decode(int id, const struct encoded_values *in, struct column_values *out,
                            struct error *e) MUST_USE;

#endif
