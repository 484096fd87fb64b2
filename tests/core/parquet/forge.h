/* tests/core/parquet/forge.h
 *
 * Parquet files of one column that no writer of ours would write: any schema, any pages, any lie in the footer. */
#ifndef DLT_TESTS_PARQUET_FORGE_H
#define DLT_TESTS_PARQUET_FORGE_H

#include "tests/support/unit.h"

#include "core/parquet/levels.h"
#include "core/parquet/meta.h"

#include <stdlib.h>
#include <string.h>

enum { F32 = PARQUET_FLOAT, I32 = PARQUET_INT32, TEXT = PARQUET_BYTE_ARRAY };
enum { REQUIRED = PARQUET_REQUIRED, OPTIONAL = PARQUET_OPTIONAL };

enum { FORGE_ELEMENTS_MAX = 8 };

struct forge {
    struct error e;
    struct buf file, body;                              /* the file so far; the page body that is being made */
    struct schema_element elements[FORGE_ELEMENTS_MAX]; /* behind the root */
    size_t n_elements;
    struct meta_chunk chunk; /* sizes and counts are kept as pages are put; lie before forge_finish() */
    int64_t group_rows, file_rows;
    bool no_chunk_meta, no_orders;
    int order;                    /* enum parquet_order of the column */
    struct span old_min, old_max; /* deprecated statistics */
};

static inline void forge_must(const struct forge *f, enum status s)
{
    if (s != STATUS_OK)
        fprintf(stderr, "forge: %s\n", f->e.text);
    check(s == STATUS_OK);
}

static inline void forge_begin(struct forge *f, int type)
{
    *f = (struct forge){.order = PARQUET_ORDER_TYPE};
    buf_init(&f->file, 1 << 24);
    buf_init(&f->body, 1 << 24);
    f->chunk = (struct meta_chunk){.type = type, .data_page_offset = PARQUET_MAGIC_LEN};
    forge_must(f, buf_append(&f->file, PARQUET_MAGIC, PARQUET_MAGIC_LEN, &f->e));
}

static inline void forge_end(struct forge *f)
{
    buf_fini(&f->file);
    buf_fini(&f->body);
}

static inline void forge_element(struct forge *f, const char *name, int type, int repetition, int converted,
                                 int n_children)
{
    check(f->n_elements < FORGE_ELEMENTS_MAX);
    f->elements[f->n_elements++] = (struct schema_element){
        .name = name, .type = type, .repetition = repetition, .converted = converted, .n_children = n_children};
}

/* optional group x (LIST) { repeated group list { optional element } } */
static inline void forge_list_schema(struct forge *f, int type, int list, int element)
{
    forge_element(f, "x", -1, list, PARQUET_LIST, 1);
    forge_element(f, "list", -1, PARQUET_REPEATED, -1, 1);
    forge_element(f, "element", type, element, -1, 0);
}

/* ---- page bodies ------------------------------------------------------------------------------------------- */

static inline void forge_bytes(struct forge *f, const void *p, size_t n)
{
    forge_must(f, buf_append(&f->body, p, n, &f->e));
}

/* Levels as text ("0112"), with their length before them unless `bare`. */
static inline size_t forge_levels(struct forge *f, const char *levels, unsigned width, bool bare)
{
    struct rle_writer w;
    size_t at = f->body.len;
    if (!bare)
        forge_bytes(f, "\0\0\0", 4);
    size_t start = f->body.len;
    rle_writer_init(&w, &f->body, width);
    for (const char *p = levels; *p; p++)
        forge_must(f, rle_put(&w, (uint8_t)(*p - '0'), 1, &f->e));
    forge_must(f, rle_finish(&w, &f->e));
    if (!bare)
        store_le32(f->body.data + at, (uint32_t)(f->body.len - start));
    return f->body.len - start;
}

#define FORGE_VALUES(f, type, ...) forge_bytes((f), (const type[]){__VA_ARGS__}, sizeof((const type[]){__VA_ARGS__}))

static inline void forge_string(struct forge *f, const char *s)
{
    uint32_t n = (uint32_t)strlen(s);
    forge_bytes(f, &n, 4);
    forge_bytes(f, s, n);
}

/* ---- pages --------------------------------------------------------------------------------------------------- */

/* Header as given (its sizes too), then the body made so far. */
static inline void forge_page_as_is(struct forge *f, const struct meta_page *page)
{
    size_t start = f->file.len;
    forge_must(f, meta_put_page(&f->file, page, &f->e));
    f->chunk.uncompressed_bytes += (int64_t)(f->file.len - start) + page->uncompressed_bytes;
    forge_must(f, buf_append(&f->file, f->body.data, f->body.len, &f->e));
    f->chunk.compressed_bytes += (int64_t)(f->file.len - start);
    f->body.len = 0;
    if (page->type == PARQUET_DICTIONARY_PAGE) {
        f->chunk.dictionary_page_offset = (int64_t)start;
        f->chunk.data_page_offset = (int64_t)f->file.len;
    } else {
        f->chunk.n_values += page->n_values;
    }
}

static inline struct meta_page forge_header(const struct forge *f, int type, int encoding, int n_values)
{
    return (struct meta_page){.type = type,
                              .encoding = encoding,
                              .n_values = n_values,
                              .def_encoding = PARQUET_RLE,
                              .rep_encoding = PARQUET_RLE,
                              .uncompressed_bytes = (int32_t)f->body.len,
                              .compressed_bytes = (int32_t)f->body.len,
                              .has_crc = true,
                              .crc = codec_crc32(0, f->body.data, f->body.len)};
}

static inline void forge_page(struct forge *f, int type, int encoding, int n_values)
{
    struct meta_page page = forge_header(f, type, encoding, n_values);
    forge_page_as_is(f, &page);
}

/* ---- footer ---------------------------------------------------------------------------------------------------- */

static inline void forge_put_element(struct thrift_writer *w, const struct schema_element *s)
{
    thrift_put_begin(w);
    if (s->type >= 0)
        thrift_put_i32(w, 1, s->type);
    if (s->repetition >= 0)
        thrift_put_i32(w, 3, s->repetition);
    thrift_put_string(w, 4, s->name);
    if (s->n_children != 0)
        thrift_put_i32(w, 5, s->n_children);
    if (s->converted >= 0)
        thrift_put_i32(w, 6, s->converted);
    thrift_put_end(w);
}

static inline void forge_put_chunk(struct thrift_writer *w, const struct forge *f)
{
    const struct meta_chunk *c = &f->chunk;
    thrift_put_begin(w);
    if (c->elsewhere)
        thrift_put_string(w, 1, "other.parquet");
    thrift_put_i64(w, 2, 0);
    if (!f->no_chunk_meta) {
        thrift_put_struct(w, 3);
        thrift_put_i32(w, 1, c->type);
        thrift_put_i32(w, 4, c->codec);
        thrift_put_i64(w, 5, c->n_values);
        thrift_put_i64(w, 6, c->uncompressed_bytes);
        thrift_put_i64(w, 7, c->compressed_bytes);
        thrift_put_i64(w, 9, c->data_page_offset);
        if (c->dictionary_page_offset)
            thrift_put_i64(w, 11, c->dictionary_page_offset);
        thrift_put_struct(w, 12);
        if (f->old_max.data)
            thrift_put_binary(w, 1, f->old_max.data, f->old_max.len);
        if (f->old_min.data)
            thrift_put_binary(w, 2, f->old_min.data, f->old_min.len);
        if (c->statistics.has_nulls)
            thrift_put_i64(w, 3, c->statistics.n_nulls);
        if (c->statistics.has_max)
            thrift_put_binary(w, 5, c->statistics.max.data, c->statistics.max.len);
        if (c->statistics.has_min)
            thrift_put_binary(w, 6, c->statistics.min.data, c->statistics.min.len);
        thrift_put_end(w);
        thrift_put_end(w);
    }
    if (c->encrypted) {
        thrift_put_struct(w, 8);
        thrift_put_struct(w, 1);
        thrift_put_end(w);
        thrift_put_end(w);
    }
    thrift_put_end(w);
}

/* Appends the footer and the tail. */
static inline void forge_finish(struct forge *f)
{
    size_t start = f->file.len;
    struct thrift_writer w = thrift_writer_of(&f->file, &f->e);
    struct schema_element root = {.name = "root", .type = -1, .repetition = -1, .converted = -1, .n_children = 1};
    thrift_put_begin(&w);
    thrift_put_i32(&w, 1, 1);
    thrift_put_list(&w, 2, THRIFT_STRUCT, f->n_elements + 1);
    forge_put_element(&w, &root);
    for (size_t i = 0; i < f->n_elements; i++)
        forge_put_element(&w, &f->elements[i]);
    thrift_put_i64(&w, 3, f->file_rows);
    thrift_put_list(&w, 4, THRIFT_STRUCT, 1);
    thrift_put_begin(&w);
    thrift_put_list(&w, 1, THRIFT_STRUCT, 1);
    forge_put_chunk(&w, f);
    thrift_put_i64(&w, 2, f->chunk.uncompressed_bytes);
    thrift_put_i64(&w, 3, f->group_rows);
    thrift_put_end(&w);
    if (!f->no_orders) {
        thrift_put_list(&w, 7, THRIFT_STRUCT, 1);
        thrift_put_begin(&w);
        thrift_put_struct(&w, f->order);
        thrift_put_end(&w);
        thrift_put_end(&w);
    }
    thrift_put_end(&w);
    forge_must(f, w.status);
    uint8_t tail[PARQUET_TAIL_LEN];
    store_le32(tail, (uint32_t)(f->file.len - start));
    memcpy(tail + 4, PARQUET_MAGIC, PARQUET_MAGIC_LEN);
    forge_must(f, buf_append(&f->file, tail, sizeof tail, &f->e));
}

/* ---- reading it ------------------------------------------------------------------------------------------------ */

/* An open file in memory of exactly its size. */
struct opened {
    uint8_t *bytes;
    struct source *source;
    struct pq_reader *reader;
    struct pq_values v;
    struct error e;
};

static inline enum status open_bytes(struct opened *o, const uint8_t *p, size_t n)
{
    *o = (struct opened){.bytes = malloc(n ? n : 1)};
    memcpy(o->bytes, p, n);
    assert_ok(source_open_memory(o->bytes, n, "forged.parquet", &o->source, &o->e), &o->e);
    return pq_open(o->source, &o->reader, &o->e);
}

static inline void close_opened(struct opened *o)
{
    pq_close(o->reader);
    source_close(o->source);
    free(o->bytes);
}

static inline enum status open_and_read(struct opened *o, const struct forge *f)
{
    enum status s = open_bytes(o, f->file.data, f->file.len);
    return s == STATUS_OK ? pq_read(o->reader, 0, 0, &o->v, &o->e) : s;
}

/* Reads the only column; the forge is at its end. */
static inline void read_forged(struct opened *o, struct forge *f)
{
    forge_finish(f);
    assert_ok(open_and_read(o, f), &o->e);
    forge_end(f);
}

/* The forged file fails like this. */
static inline void assert_refused(struct forge *f, enum status expected, const char *says)
{
    struct opened o;
    forge_finish(f);
    assert_status(open_and_read(&o, f), expected, &o.e);
    assert_contains(o.e.text, says);
    assert_contains(o.e.text, "forged.parquet");
    assert_null(o.v.data);
    close_opened(&o);
    forge_end(f);
}

static inline void rows(struct forge *f, int64_t n)
{
    f->group_rows = f->file_rows = n;
}

/* A required flat column of the integers 1, 2, 3 in one page. */
static inline void forge_three(struct forge *f)
{
    forge_begin(f, I32);
    forge_element(f, "x", I32, REQUIRED, -1, 0);
    FORGE_VALUES(f, int32_t, 1, 2, 3);
    forge_page(f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 3);
    rows(f, 3);
}

#endif
