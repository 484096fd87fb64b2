/* core/parquet/schema.h
 *
 * From the flattened schema tree of a footer to columns: one struct schema_column for each child of the root, readable
 * or with the construct named that is not.  And back: the elements that describe our own columns. */
#ifndef DLT_CORE_PARQUET_SCHEMA_H
#define DLT_CORE_PARQUET_SCHEMA_H

#include "core/parquet/format.h"
#include "core/parquet/parquet.h"
#include "core/parquet/thrift.h"

/* SchemaElement as read from the footer. */
struct schema_element {
    const char *name;                  /* clean text, never empty except for the root */
    int type;                          /* enum parquet_type, -1: a group */
    int repetition;                    /* enum parquet_repetition, -1: not given (root) */
    int converted;                     /* enum parquet_converted */
    int logical;                       /* field number of LogicalType, 0: none */
    int int_bits;                      /* of LogicalType INTEGER */
    bool int_signed;
    int32_t n_children;
};

/* Levels of a supported column.  An entry with definition `max_def` carries a value. */
struct schema_levels {
    unsigned max_rep, max_def;         /* max_rep 1: list, 2: list of lists */
    int null_row;                      /* up to this definition the row is null, -1: no row is */
    int empty_row;                     /* list: definition of an empty list, -1: flat */
    int null_value;                    /* list: definition of a null element, -1: elements are required */
    int null_list, empty_list;         /* list of lists: definitions of a null (-1: none is) and an empty inner list */
};

struct schema_column {
    struct pq_column column;           /* `unsupported` set: but for the leaves, the rest of this is meaningless */
    struct schema_levels levels;
    size_t first_leaf, n_leaves;       /* column chunks of a row group that belong to it */
    enum parquet_type type;
};

/* Walks `elements` (depth first, root first).  Columns and texts are allocated from `a`.
 * Fails: FORMAT (the tree does not fit its element count, nests too deeply), NOMEM. */
enum status schema_columns(struct arena *a, const struct schema_element *elements, size_t n_elements,
                           struct schema_column **columns, size_t *n_columns, size_t *n_leaves,
                           struct error *e) MUST_USE;

/* How a column of ours is stored. */
enum parquet_type schema_type_of(enum pq_type t);
/* 0 flat, 1 list, 2 list of lists. */
int schema_depth_of(const struct pq_column *c);
/* Whether our columns can be written: distinct clean names, widths that exist. */
enum status schema_check(const struct pq_column *columns, size_t n, struct error *e) MUST_USE;
/* FileMetaData.schema, as field `id`. */
void schema_put(struct thrift_writer *w, int id, const struct pq_column *columns, size_t n);
/* ColumnMetaData.path_in_schema, as field `id`. */
void schema_put_path(struct thrift_writer *w, int id, const struct pq_column *c);

#endif
