/* core/parquet/meta.c
 *
 * Reading: every list is allocated only after its claimed length was held against the bytes that remain, so a footer
 * costs a small multiple of its own size.  Field numbers are those of parquet.thrift. */
#include "core/parquet/meta.h"

/* Fewest bytes that a well-formed struct takes: its required fields, two bytes each at least, and the stop byte.
 * A root element has a name and children; a ColumnChunk an offset and metadata, plain or encrypted. */
enum { ELEMENT_BYTES = 5, ROW_GROUP_BYTES = 7, CHUNK_BYTES = 8, KEY_VALUE_BYTES = 3, ORDER_BYTES = 1 };

struct footer_reader {
    struct thrift_reader t;
    struct arena *a;
    bool no_memory;
};

/* An array for a list; NULL for an empty list and after any failure. */
static void *list_of(struct footer_reader *r, size_t n, size_t size)
{
    if (n == 0 || r->t.fault)
        return NULL;
    void *p = arena_alloc(r->a, n, size);
    if (!p) {
        r->no_memory = true;
        thrift_fault(&r->t, "out of memory");
    }
    return p;
}

static const char *text_of(struct footer_reader *r, struct span s)
{
    if (r->t.fault)
        return "";
    char *p = arena_strndup(r->a, (const char *)s.data, s.len);
    if (!p) {
        r->no_memory = true;
        thrift_fault(&r->t, "out of memory");
    }
    return p ? p : "";
}

/* ---- schema ---------------------------------------------------------------------------------------------- */

static void read_integer_type(struct thrift_reader *t, struct schema_element *s)
{
    THRIFT_EACH_FIELD(t, f)
    {
        if (f.id == 1)
            s->int_bits = thrift_i32(t, &f);
        else if (f.id == 2)
            s->int_signed = thrift_bool(t, &f);
        else
            thrift_skip(t, &f);
    }
}

static void read_logical(struct thrift_reader *t, struct schema_element *s)
{
    THRIFT_EACH_FIELD(t, f)
    {
        s->logical = f.id;
        if (f.id == PARQUET_LOGICAL_INTEGER && f.type == THRIFT_STRUCT)
            read_integer_type(t, s);
        else
            thrift_skip(t, &f);
    }
}

static void check_element(struct thrift_reader *t, const struct schema_element *s, bool root)
{
    if (!root && (!s->name[0] || !text_is_clean(s->name, strlen(s->name))))
        thrift_fault(t, "a column without a clean name");
    if (!root && (s->repetition < PARQUET_REQUIRED || s->repetition > PARQUET_REPEATED))
        thrift_fault(t, "a column without repetition");
    if (s->n_children < 0 || (s->type >= 0 && s->n_children > 0))
        thrift_fault(t, "a column with impossible children");
}

static void read_element(struct footer_reader *r, struct schema_element *s, bool root)
{
    struct thrift_reader *t = &r->t;
    *s = (struct schema_element){.name = "", .type = -1, .repetition = -1, .converted = PARQUET_CONVERTED_NONE};
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            s->type = thrift_i32(t, &f);
            if (s->type < 0)
                thrift_fault(t, "a negative physical type");
            break;
        case 3:
            s->repetition = thrift_i32(t, &f);
            break;
        case 4:
            s->name = text_of(r, thrift_binary(t, &f));
            break;
        case 5:
            s->n_children = thrift_i32(t, &f);
            break;
        case 6:
            s->converted = thrift_i32(t, &f);
            break;
        case 10:
            thrift_struct(t, &f);
            read_logical(t, s);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
    check_element(t, s, root);
}

/* ---- row groups ------------------------------------------------------------------------------------------ */

static void read_statistics(struct thrift_reader *t, struct meta_statistics *s)
{
    struct meta_statistics old = {0};
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            old.max = thrift_binary(t, &f);
            old.has_max = true;
            break;
        case 2:
            old.min = thrift_binary(t, &f);
            old.has_min = true;
            break;
        case 3:
            s->n_nulls = thrift_i64(t, &f);
            s->has_nulls = true;
            break;
        case 5:
            s->max = thrift_binary(t, &f);
            s->has_max = s->ordered = true;
            break;
        case 6:
            s->min = thrift_binary(t, &f);
            s->has_min = s->ordered = true;
            break;
        case 9:
            s->n_nans = thrift_i64(t, &f);
            s->has_nans = true;
            break;
        default:
            thrift_skip(t, &f);
        }
    }
    if (!s->ordered) {
        s->has_min = old.has_min;
        s->has_max = old.has_max;
        s->min = old.min;
        s->max = old.max;
    }
}

static void read_chunk_meta(struct thrift_reader *t, struct meta_chunk *c)
{
    c->present = true;
    c->type = c->codec = -1;
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            c->type = thrift_i32(t, &f);
            break;
        case 4:
            c->codec = thrift_i32(t, &f);
            break;
        case 5:
            c->n_values = thrift_i64(t, &f);
            break;
        case 6:
            c->uncompressed_bytes = thrift_i64(t, &f);
            break;
        case 7:
            c->compressed_bytes = thrift_i64(t, &f);
            break;
        case 9:
            c->data_page_offset = thrift_i64(t, &f);
            break;
        case 11:
            c->dictionary_page_offset = thrift_i64(t, &f);
            break;
        case 12:
            thrift_struct(t, &f);
            c->statistics = (struct meta_statistics){0};
            read_statistics(t, &c->statistics);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
}

static void read_chunk(struct thrift_reader *t, struct meta_chunk *c)
{
    *c = (struct meta_chunk){0};
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            c->elsewhere = thrift_binary(t, &f).len > 0;
            break;
        case 3:
            thrift_struct(t, &f);
            read_chunk_meta(t, c);
            break;
        case 8:
        case 9:
            c->encrypted = true;
            thrift_skip(t, &f);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
}

static void read_row_group(struct footer_reader *r, struct meta_row_group *g)
{
    struct thrift_reader *t = &r->t;
    *g = (struct meta_row_group){.n_rows = -1};
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            if (g->chunks)
                thrift_fault(t, "columns given twice");
            g->n_chunks = thrift_list(t, &f, THRIFT_STRUCT, CHUNK_BYTES);
            g->chunks = list_of(r, g->n_chunks, sizeof *g->chunks);
            for (size_t i = 0; i < g->n_chunks && g->chunks; i++)
                read_chunk(t, &g->chunks[i]);
            break;
        case 3:
            g->n_rows = thrift_i64(t, &f);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
    if (g->n_rows < 0)
        thrift_fault(t, "a row group without a number of rows");
}

/* ---- file ------------------------------------------------------------------------------------------------ */

static void read_key_value(struct footer_reader *r, struct pq_key_value *kv)
{
    struct thrift_reader *t = &r->t;
    *kv = (struct pq_key_value){"", ""};
    THRIFT_EACH_FIELD(t, f)
    {
        if (f.id == 1)
            kv->key = text_of(r, thrift_binary(t, &f));
        else if (f.id == 2)
            kv->value = text_of(r, thrift_binary(t, &f));
        else
            thrift_skip(t, &f);
    }
}

static void read_order(struct thrift_reader *t, uint8_t *order)
{
    THRIFT_EACH_FIELD(t, f)
    {
        *order = (uint8_t)(f.id > 0 && f.id <= PARQUET_ORDER_IEEE754 ? f.id : PARQUET_ORDER_NONE);
        thrift_skip(t, &f);
    }
}

/* The four lists of FileMetaData. */
static void read_file_list(struct footer_reader *r, const struct thrift_field *f, struct meta_file *m)
{
    struct thrift_reader *t = &r->t;
    if ((f->id == 2 && m->elements) || (f->id == 4 && m->row_groups) || (f->id == 5 && m->meta) ||
        (f->id == 7 && m->orders))
        thrift_fault(t, "a list given twice");
    switch (f->id) {
    case 2:
        m->n_elements = thrift_list(t, f, THRIFT_STRUCT, ELEMENT_BYTES);
        m->elements = list_of(r, m->n_elements, sizeof *m->elements);
        for (size_t i = 0; i < m->n_elements && m->elements; i++)
            read_element(r, &m->elements[i], i == 0);
        break;
    case 4:
        m->n_row_groups = thrift_list(t, f, THRIFT_STRUCT, ROW_GROUP_BYTES);
        m->row_groups = list_of(r, m->n_row_groups, sizeof *m->row_groups);
        for (size_t i = 0; i < m->n_row_groups && m->row_groups; i++)
            read_row_group(r, &m->row_groups[i]);
        break;
    case 5:
        m->n_meta = thrift_list(t, f, THRIFT_STRUCT, KEY_VALUE_BYTES);
        m->meta = list_of(r, m->n_meta, sizeof *m->meta);
        for (size_t i = 0; i < m->n_meta && m->meta; i++)
            read_key_value(r, &m->meta[i]);
        break;
    default:
        m->n_orders = thrift_list(t, f, THRIFT_STRUCT, ORDER_BYTES);
        m->orders = list_of(r, m->n_orders, 1);
        for (size_t i = 0; i < m->n_orders && m->orders; i++)
            read_order(t, &m->orders[i]);
    }
}

enum status meta_read_file(struct arena *a, const uint8_t *p, size_t n, struct meta_file *out, struct error *e)
{
    *out = (struct meta_file){.n_rows = -1, .created_by = ""};
    struct footer_reader r = {.t = thrift_reader_of(p, n), .a = a};
    struct thrift_reader *t = &r.t;
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 2:
        case 4:
        case 5:
        case 7:
            read_file_list(&r, &f, out);
            break;
        case 3:
            out->n_rows = thrift_i64(t, &f);
            break;
        case 6:
            out->created_by = text_of(&r, thrift_binary(t, &f));
            break;
        default:
            thrift_skip(t, &f);
        }
    }
    if (r.no_memory)
        return error_set(e, STATUS_NOMEM, "footer: its contents exceed %zu bytes", a->max);
    TRY(thrift_done(t, "footer", e));
    if (out->n_rows < 0)
        return error_set(e, STATUS_FORMAT, "footer: no number of rows");
    return STATUS_OK;
}

/* ---- page headers ---------------------------------------------------------------------------------------- */

static void read_data_header(struct thrift_reader *t, struct meta_page *p)
{
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            p->n_values = thrift_i32(t, &f);
            break;
        case 2:
            p->encoding = thrift_i32(t, &f);
            break;
        case 3:
            p->def_encoding = thrift_i32(t, &f);
            break;
        case 4:
            p->rep_encoding = thrift_i32(t, &f);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
}

static void read_dictionary_header(struct thrift_reader *t, struct meta_page *p)
{
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            p->n_values = thrift_i32(t, &f);
            break;
        case 2:
            p->encoding = thrift_i32(t, &f);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
}

static void read_data_header_v2(struct thrift_reader *t, struct meta_page *p)
{
    p->is_compressed = true;
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            p->n_values = thrift_i32(t, &f);
            break;
        case 2:
            p->n_nulls = thrift_i32(t, &f);
            break;
        case 3:
            p->n_rows = thrift_i32(t, &f);
            break;
        case 4:
            p->encoding = thrift_i32(t, &f);
            break;
        case 5:
            p->def_bytes = thrift_i32(t, &f);
            break;
        case 6:
            p->rep_bytes = thrift_i32(t, &f);
            break;
        case 7:
            p->is_compressed = thrift_bool(t, &f);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
    p->def_encoding = p->rep_encoding = PARQUET_RLE;
}

/* Header structs by page type: fields 5 to 8 of PageHeader. */
static void read_body_header(struct thrift_reader *t, const struct thrift_field *f, struct meta_page *p)
{
    static const int type_of_field[] = {
        [5] = PARQUET_DATA_PAGE, [6] = PARQUET_INDEX_PAGE, [7] = PARQUET_DICTIONARY_PAGE, [8] = PARQUET_DATA_PAGE_V2};
    if (type_of_field[f->id] != p->type || p->has_body_header || f->id == 6) {
        thrift_skip(t, f);
        return;
    }
    thrift_struct(t, f);
    p->has_body_header = true;
    if (f->id == 8)
        read_data_header_v2(t, p);
    else if (f->id == 7)
        read_dictionary_header(t, p);
    else
        read_data_header(t, p);
}

enum status meta_read_page(const uint8_t *p, size_t n, struct meta_page *out, size_t *header_bytes, struct error *e)
{
    *out = (struct meta_page){.type = -1,
                              .encoding = -1,
                              .def_encoding = -1,
                              .rep_encoding = -1,
                              .uncompressed_bytes = -1,
                              .compressed_bytes = -1};
    *header_bytes = 0;
    struct thrift_reader reader = thrift_reader_of(p, n), *t = &reader;
    THRIFT_EACH_FIELD(t, f)
    {
        switch (f.id) {
        case 1:
            out->type = thrift_i32(t, &f);
            break;
        case 2:
            out->uncompressed_bytes = thrift_i32(t, &f);
            break;
        case 3:
            out->compressed_bytes = thrift_i32(t, &f);
            break;
        case 4:
            out->crc = (uint32_t)thrift_i32(t, &f);
            out->has_crc = true;
            break;
        case 5:
        case 6:
        case 7:
        case 8:
            read_body_header(t, &f, out);
            break;
        default:
            thrift_skip(t, &f);
        }
    }
    if (thrift_short(t))
        return STATUS_OK;
    TRY(thrift_done(t, "page header", e));
    if (out->uncompressed_bytes < 0 || out->compressed_bytes < 0 || out->n_values < 0 || out->n_nulls < 0 ||
        out->n_rows < 0 || out->def_bytes < 0 || out->rep_bytes < 0)
        return error_set(e, STATUS_FORMAT, "page header: a size is absent or negative");
    *header_bytes = cursor_offset(&t->in);
    return STATUS_OK;
}
