/* tests/core/parquet/table.h
 *
 * Tables for the tests of Parquet files: columns of random values of every kind from a seed, with the values that break
 * things among them (NaN, -0, the extremes, empty strings and lists), written as row groups and compared again. */
#ifndef DLT_TESTS_PARQUET_TABLE_H
#define DLT_TESTS_PARQUET_TABLE_H

#include "core/parquet/parquet.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_COLUMNS_MAX = 32 };

struct table {
    size_t n_columns, n_rows;
    struct pq_column columns[TABLE_COLUMNS_MAX];
    struct pq_values values[TABLE_COLUMNS_MAX];
    char names[TABLE_COLUMNS_MAX][40];
};

static inline void *table_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    check(p);
    return p;
}

static inline uint64_t table_bits(struct rng *r, const struct pq_column *c)
{
    static const double reals[] = {0, -0.0, NAN, INFINITY, -INFINITY, 1e-310, 1.5, -2.25};
    uint64_t bits = rng_u64(r), special = rng_below(r, 6);
    double d = special == 0 ? reals[rng_below(r, 8)] : rng_normal(r);
    float f = (float)d;
    switch (c->type) {
    case PQ_BOOL:
        return bits & 1;
    case PQ_I32:
        if (c->bits) /* the announced width holds the value */
            return (uint32_t)(c->unsigned_ ? (int32_t)(bits & ((1u << c->bits) - 1))
                                           : (int32_t)(bits & ((1u << c->bits) - 1)) - (1 << (c->bits - 1)));
        return (uint32_t)(special == 0 ? INT32_MIN : special == 1 ? INT32_MAX : (int32_t)bits);
    case PQ_I64:
        return special == 0 ? (uint64_t)INT64_MIN : special == 1 ? (uint64_t)INT64_MAX : bits;
    case PQ_F32:
        bits = 0;
        memcpy(&bits, &f, 4);
        return bits;
    case PQ_F64:
        memcpy(&bits, &d, 8);
        return bits;
    case PQ_STRING:
        break;
    }
    return 0;
}

static inline void table_fill_strings(struct rng *r, struct pq_values *v)
{
    static const char *const words[] = {
        "", "a", "muon", "tau\xce\xbb", "\xf0\x9f\x9a\x80", "a longer text with \"quotes\" and \\", "electron"};
    uint64_t end = 0;
    v->string_offsets = table_alloc(v->n_values + 1, sizeof(uint64_t));
    char *data = table_alloc(v->n_values * 48, 1);
    for (size_t i = 0; i < v->n_values; i++) {
        const char *word = words[rng_below(r, 7)];
        memcpy(data + end, word, strlen(word));
        end += strlen(word);
        v->string_offsets[i + 1] = end;
    }
    v->data = data;
}

/* Rows of up to five lists. */
static inline void table_fill_lists(struct rng *r, size_t list_most, struct pq_values *v)
{
    v->offsets = table_alloc(v->n_rows + 1, sizeof(uint64_t));
    v->list_offsets = table_alloc(v->n_rows + 1, sizeof(uint64_t));
    v->inner_offsets = table_alloc(5 * v->n_rows + 1, sizeof(uint64_t));
    for (size_t i = 0; i < v->n_rows; i++) {
        for (uint64_t n = rng_below(r, 3) == 0 ? 0 : rng_below(r, 6); n > 0; n--) {
            uint64_t *inner = &v->inner_offsets[v->n_lists++];
            inner[1] = inner[0] + (rng_below(r, 4) == 0 ? 0 : rng_below(r, list_most / 4 + 2));
        }
        v->list_offsets[i + 1] = v->n_lists;
        v->offsets[i + 1] = v->inner_offsets[v->n_lists];
    }
    v->n_values = (size_t)v->offsets[v->n_rows];
}

static inline void table_fill(struct rng *r, const struct pq_column *c, size_t n_rows, size_t list_most,
                              struct pq_values *v)
{
    *v = (struct pq_values){.n_rows = n_rows, .n_values = n_rows};
    if (c->depth == 2) {
        table_fill_lists(r, list_most, v);
    } else if (c->list) {
        v->offsets = table_alloc(n_rows + 1, sizeof(uint64_t));
        for (size_t i = 0; i < n_rows; i++)
            v->offsets[i + 1] = v->offsets[i] + (rng_below(r, 4) == 0 ? 0 : rng_below(r, list_most + 1));
        v->n_values = (size_t)v->offsets[n_rows];
    }
    if (c->type == PQ_STRING) {
        table_fill_strings(r, v);
        return;
    }
    size_t size = pq_type_size(c->type);
    uint8_t *data = table_alloc(v->n_values, size);
    for (size_t i = 0; i < v->n_values; i++) {
        uint64_t bits = table_bits(r, c);
        memcpy(data + i * size, &bits, size);
    }
    v->data = data;
}

static inline void table_add(struct table *t, struct pq_column column, const char *name)
{
    check(t->n_columns < TABLE_COLUMNS_MAX);
    snprintf(t->names[t->n_columns], sizeof t->names[0], "%s", name);
    column.name = t->names[t->n_columns];
    t->columns[t->n_columns++] = column;
}

/* Every kind of column once, in a fixed order. */
static inline void table_every_kind(struct table *t)
{
    *t = (struct table){0};
    for (int depth = 0; depth < 3; depth++) {
        char name[24];
#define ADD(text, ...)                                                                                                 \
    (snprintf(name, sizeof name, "%s%s", (const char *[]){"", "list_", "nested_"}[depth], text),                                                   \
     table_add(t, (struct pq_column){__VA_ARGS__, .list = depth > 0, .depth = depth}, name))
        ADD("flag", .type = PQ_BOOL);
        ADD("i8", .type = PQ_I32, .bits = 8);
        ADD("u16", .type = PQ_I32, .bits = 16, .unsigned_ = true);
        ADD("i32", .type = PQ_I32);
        ADD("u32", .type = PQ_I32, .unsigned_ = true);
        ADD("i64", .type = PQ_I64);
        ADD("u64", .type = PQ_I64, .unsigned_ = true);
        ADD("f32", .type = PQ_F32);
        ADD("f64", .type = PQ_F64);
        ADD("text", .type = PQ_STRING);
#undef ADD
    }
}

static inline void table_rows(struct table *t, struct rng *r, size_t n_rows, size_t list_most)
{
    t->n_rows = n_rows;
    for (size_t i = 0; i < t->n_columns; i++)
        table_fill(r, &t->columns[i], n_rows, list_most, &t->values[i]);
}

static inline void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        free(t->values[i].data);
        free(t->values[i].offsets);
        free(t->values[i].list_offsets);
        free(t->values[i].inner_offsets);
        free(t->values[i].string_offsets);
    }
    *t = (struct table){0};
}

/* Rows [first, last) as a row group: for lists the offsets are used where they are. */
static inline enum status table_write(struct pq_writer *w, const struct table *t, size_t first, size_t last,
                                      struct error *e)
{
    struct pq_values slice[TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < t->n_columns; i++) {
        const struct pq_column *c = &t->columns[i];
        slice[i] = t->values[i];
        slice[i].n_rows = last - first;
        if (c->depth == 2) {
            slice[i].list_offsets += first;
        } else if (c->list) {
            slice[i].offsets += first;
        } else {
            slice[i].n_values = last - first;
            if (c->type == PQ_STRING)
                slice[i].string_offsets += first;
            else
                slice[i].data = (uint8_t *)slice[i].data + first * pq_type_size(c->type);
        }
    }
    return pq_write_row_group(w, slice, e);
}

/* Whether values [at, at + n) of `a` are those of `b` from `bt` on, bit by bit. */
static inline bool table_same_values(const struct pq_column *c, const struct pq_values *a, size_t at,
                                     const struct pq_values *b, size_t bt, size_t n)
{
    if (c->type != PQ_STRING) {
        size_t size = pq_type_size(c->type);
        return n == 0 || memcmp((uint8_t *)a->data + at * size, (uint8_t *)b->data + bt * size, n * size) == 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t x = (size_t)a->string_offsets[at + i], y = (size_t)b->string_offsets[bt + i];
        size_t len = (size_t)a->string_offsets[at + i + 1] - x;
        if (len != b->string_offsets[bt + i + 1] - y ||
            (len > 0 && memcmp((uint8_t *)a->data + x, (uint8_t *)b->data + y, len) != 0))
            return false;
    }
    return true;
}

static inline bool table_same_lists(const struct pq_values *v, size_t first, const struct pq_values *got)
{
    size_t list = (size_t)v->list_offsets[first];
    for (size_t row = 0; row <= got->n_rows; row++)
        if (got->list_offsets[row] != v->list_offsets[first + row] - list)
            return false;
    for (size_t k = 0; k <= got->n_lists; k++)
        if (got->inner_offsets[k] != v->inner_offsets[list + k] - v->inner_offsets[list])
            return false;
    return got->list_offsets[got->n_rows] == got->n_lists && got->inner_offsets[got->n_lists] == got->n_values;
}

/* Whether `got` is rows [first, first + got->n_rows) of column i. */
static inline bool table_same_rows(const struct table *t, size_t i, size_t first, const struct pq_values *got)
{
    const struct pq_column *c = &t->columns[i];
    const struct pq_values *v = &t->values[i];
    if (!c->list)
        return got->n_values == got->n_rows && table_same_values(c, v, first, got, 0, got->n_rows);
    if (c->depth == 2 && !table_same_lists(v, first, got))
        return false;
    for (size_t row = 0; row <= got->n_rows; row++)
        if (got->offsets[row] != v->offsets[first + row] - v->offsets[first])
            return false;
    return got->offsets[got->n_rows] == got->n_values &&
           table_same_values(c, v, (size_t)v->offsets[first], got, 0, got->n_values);
}

#endif
