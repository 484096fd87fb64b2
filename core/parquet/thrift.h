/* core/parquet/thrift.h
 *
 * Thrift's compact protocol, as much of it as Parquet's footers and page headers use.  The reader takes untrusted
 * bytes: after its first fault it yields zeros and ends every loop, so a parser reads a whole struct and asks once.
 * Nesting is bounded, and a list's claimed length is held against the bytes that remain. */
#ifndef DLT_CORE_PARQUET_THRIFT_H
#define DLT_CORE_PARQUET_THRIFT_H

#include "core/base/bytes.h"

enum thrift_type {
    THRIFT_STOP, THRIFT_TRUE, THRIFT_FALSE, THRIFT_BYTE, THRIFT_I16, THRIFT_I32, THRIFT_I64, THRIFT_DOUBLE,
    THRIFT_BINARY, THRIFT_LIST, THRIFT_SET, THRIFT_MAP, THRIFT_STRUCT
};

/* Parquet's own structs nest seven deep; room for what later versions of the format add. */
enum { THRIFT_DEPTH_MAX = 32 };

/* ---- reading --------------------------------------------------------------------------------------------- */

struct thrift_reader {
    struct cursor in;
    unsigned depth;
    const char *fault;                 /* NULL while all is well */
};

/* The header of one field; its `id` also carries the running field number, so one struct keeps one thrift_field. */
struct thrift_field {
    int id;
    enum thrift_type type;
};

struct thrift_reader thrift_reader_of(const uint8_t *p, size_t n);
/* Walks the fields of a struct; the body must consume each field (a value function or thrift_skip) and must not
 * leave the loop early.
 *     THRIFT_EACH_FIELD(t, f)
 *         switch (f.id) { case 1: x = thrift_i32(t, &f); break; default: thrift_skip(t, &f); }  */
#define THRIFT_EACH_FIELD(t, f) for (struct thrift_field f = thrift_enter(t); thrift_next(t, &f);)
struct thrift_field thrift_enter(struct thrift_reader *t);
bool thrift_next(struct thrift_reader *t, struct thrift_field *f);

/* The value of the present field; a field of another type is a fault. */
bool thrift_bool(struct thrift_reader *t, const struct thrift_field *f);
int32_t thrift_i32(struct thrift_reader *t, const struct thrift_field *f);        /* also i8 and i16 */
int64_t thrift_i64(struct thrift_reader *t, const struct thrift_field *f);
struct span thrift_binary(struct thrift_reader *t, const struct thrift_field *f); /* points into the input */
void thrift_struct(struct thrift_reader *t, const struct thrift_field *f);        /* checks that a struct follows */
void thrift_skip(struct thrift_reader *t, const struct thrift_field *f);
/* Head of a list of `item`; returns its length.  A list that claims more items than the remaining bytes can hold at
 * `item_bytes` (> 0: the fewest that one item takes) is a fault.  The caller then reads the items. */
size_t thrift_list(struct thrift_reader *t, const struct thrift_field *f, enum thrift_type item, size_t item_bytes);
int32_t thrift_item_i32(struct thrift_reader *t);
struct span thrift_item_binary(struct thrift_reader *t);

/* Records a fault of the caller's own ("field given twice"); the first one stays.  `why` must be a literal. */
void thrift_fault(struct thrift_reader *t, const char *why);
/* Whether the input ended too early (as opposed to being wrong): more bytes may mend it. */
bool thrift_short(const struct thrift_reader *t);
/* OK, or FORMAT: "<what>: <fault> at byte N". */
enum status thrift_done(const struct thrift_reader *t, const char *what, struct error *e) MUST_USE;

/* ---- writing --------------------------------------------------------------------------------------------- */

/* Appends to `out`; the first failure (NOMEM) sticks and is asked for once, at the end. */
struct thrift_writer {
    struct buf *out;
    struct error *e;
    enum status status;
    unsigned depth;
    int last_id[THRIFT_DEPTH_MAX];
};

struct thrift_writer thrift_writer_of(struct buf *out, struct error *e);
void thrift_put_begin(struct thrift_writer *w);                  /* a struct that is a list's item or the outermost */
void thrift_put_end(struct thrift_writer *w);                    /* of any struct */
void thrift_put_bool(struct thrift_writer *w, int id, bool v);
void thrift_put_byte(struct thrift_writer *w, int id, int8_t v);
void thrift_put_i16(struct thrift_writer *w, int id, int16_t v);
void thrift_put_i32(struct thrift_writer *w, int id, int32_t v);
void thrift_put_i64(struct thrift_writer *w, int id, int64_t v);
void thrift_put_binary(struct thrift_writer *w, int id, const void *p, size_t n);
void thrift_put_string(struct thrift_writer *w, int id, const char *s);
void thrift_put_struct(struct thrift_writer *w, int id);         /* begins it; thrift_put_end() ends it */
void thrift_put_list(struct thrift_writer *w, int id, enum thrift_type item, size_t n);
void thrift_put_item_i32(struct thrift_writer *w, int32_t v);
void thrift_put_item_string(struct thrift_writer *w, const char *s);
void thrift_put_raw(struct thrift_writer *w, const void *p, size_t n);          /* bytes that are encoded already */

#endif
