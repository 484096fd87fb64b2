/* server/handlers/dataset_rows.c
 *
 * Rows of a dataset in pages: JSON, CSV, or a NumPy array of records, as the Accept header asks. */
#include "server/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>

enum rows_format { ROWS_JSON, ROWS_CSV, ROWS_NPY, ROWS_NONE };
static const struct { const char *type; enum rows_format format; } formats[] = {
    {"application/json", ROWS_JSON}, {"text/csv", ROWS_CSV},      {"application/x-npy", ROWS_NPY},
    {"application/*", ROWS_JSON},    {"text/*", ROWS_CSV},        {"*/*", ROWS_JSON},
};

/* The format of one media range "type;q=0.5"; *quality is 1 without q. */
static enum rows_format parse_range(const char *text, size_t len, double *quality)
{
    while (len > 0 && (*text == ' ' || *text == '\t'))
        text++, len--;
    size_t n = 0;
    while (n < len && text[n] != ';' && text[n] != ' ' && text[n] != '\t')
        n++;
    *quality = 1;
    for (size_t i = n; i + 2 < len; i++)
        if ((text[i] == 'q' || text[i] == 'Q') && text[i + 1] == '=')
            *quality = text[i + 2] == '0' ? (i + 4 < len && text[i + 3] == '.' ? 0.1 * (text[i + 4] - '0') : 0) : 1;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strlen(formats[i].type) == n && strncasecmp(formats[i].type, text, n) == 0)
            return formats[i].format;
    return ROWS_NONE;
}

static enum rows_format choose_format(const char *accept)
{
    enum rows_format best = ROWS_NONE;
    double best_quality = 0, quality;
    if (!accept || !*accept)
        return ROWS_JSON;
    for (const char *at = accept; *at;) {
        size_t n = strcspn(at, ",");
        enum rows_format format = parse_range(at, n, &quality);
        if (format != ROWS_NONE && quality > best_quality) {
            best = format;
            best_quality = quality;
        }
        at += at[n] ? n + 1 : n;
    }
    return best;
}

/* ---- particle rows ----------------------------------------------------------------------------------------------- */

enum { PARTICLES_EVENTS_MAX = 20 };    /* a page: 801 rows of 19 numbers each are 2 MB of JSON */

/* ?particles=true, false or absent; *wanted.  False: already answered. */
static bool read_particles_query(struct request *q, struct response *r, const struct page *page, const struct manifest *m,
                                 bool *wanted)
{
    const char *given = request_query(q, "particles");
    *wanted = given && strcmp(given, "true") == 0;
    if (given && !*wanted && strcmp(given, "false") != 0)
        respond_problem(q, r, "invalid_query", NULL, "particles is true or false.");
    else if (*wanted && !m->has_rows)
        respond_problem(q, r, "invalid_request", NULL, "Dataset %s has no particle rows.", m->id);
    else if (*wanted && page->limit > PARTICLES_EVENTS_MAX)
        respond_problem(q, r, "invalid_query", NULL, "With particles, limit is at most %d.", PARTICLES_EVENTS_MAX);
    else
        return true;
    return false;
}

static double nine_digits(float x);

/* Row after row of 19 numbers, in the order of GET /api/v1/recipes/{name}; as stored, or as they were prepared elsewhere. */
static struct json *particles_to_json(const struct feature_rows *f, size_t i, float *expanded)
{
    struct json *rows = json_new_array();
    size_t first = f->row_first[i], n = f->row_first[i + 1] - first;
    const float *numbers = f->prepared ? f->rows.prepared + first * PARTICLE_COLUMNS : expanded;
    if (!f->prepared)
        particle_expand(&f->rows, first, n, expanded);
    for (size_t k = 0; k < n; k++) {
        struct json *row = json_new_array();
        for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
            json_push(row, json_new_f64(nine_digits(numbers[k * PARTICLE_COLUMNS + c])));
        json_push(rows, row);
    }
    return rows;
}

static enum status add_particles(struct request *q, struct dataset *d, int64_t first, struct json *items, struct error *e)
{
    struct feature_rows rows;
    float *expanded = ARENA_NEW(&q->arena, float, (size_t)PARTICLE_ROWS_MAX * PARTICLE_COLUMNS);
    if (!expanded)
        return error_set(e, STATUS_NOMEM, "particle rows");
    feature_rows_init(&rows);
    enum status s = dataset_rows_read(d, first, json_count(items), &rows, e);
    for (size_t i = 0; s == STATUS_OK && i < rows.n; i++) {
        if (rows.row_first[i + 1] - rows.row_first[i] > PARTICLE_ROWS_MAX)
            s = error_set(e, STATUS_FORMAT, "row %lld: too many particles", (long long)first + (long long)i);
        else
            json_set((struct json *)(uintptr_t)json_at(items, i), "particles", particles_to_json(&rows, i, expanded));
    }
    feature_rows_fini(&rows);
    return s;
}

/* ---- one page ---------------------------------------------------------------------------------------------------- */

struct rows_page {
    struct dataset *dataset;
    const struct table_column *columns;
    size_t n_columns, n;
    int64_t first;
    struct buf packed;                 /* as dataset_table_read leaves them */
};

/* A float as a double that prints with the 9 digits it has. */
static double nine_digits(float x)
{
    char text[32];
    snprintf(text, sizeof text, "%.9g", (double)x);
    return strtod(text, NULL);
}

static const char *class_of(const struct rows_page *p, int32_t label)
{
    const struct manifest *m = dataset_manifest(p->dataset);
    return label >= 0 && (size_t)label < m->classes.n_items ? ((const char *const *)m->classes.items)[label] : NULL;
}

/* One value; *at moves on. */
static struct json *value_to_json(enum table_type type, const uint8_t **at)
{
    union { int32_t i32; int64_t i64; float f32; } v = {0};
    memcpy(&v, *at, table_type_size(type));
    *at += table_type_size(type);
    return type == TABLE_F32 ? json_new_f64(nine_digits(v.f32)) : json_new_i64(type == TABLE_I64 ? v.i64 : v.i32);
}

static struct json *rows_to_json(const struct rows_page *p)
{
    struct json *items = json_new_array();
    const uint8_t *at = p->packed.data;
    for (size_t i = 0; i < p->n; i++) {
        struct json *row = json_new_object();
        int32_t label;
        memcpy(&label, at, sizeof label);                  /* the first column of every table */
        json_set(row, "row", json_new_i64(p->first + (int64_t)i));
        json_set(row, "class", json_new_string(class_of(p, label)));
        for (size_t c = 0; c < p->n_columns; c++)
            json_set(row, p->columns[c].name, value_to_json(p->columns[c].type, &at));
        json_push(items, row);
    }
    return items;
}

static enum status value_to_csv(enum table_type type, const uint8_t **at, struct buf *out, struct error *e)
{
    union { int32_t i32; int64_t i64; float f32; } v = {0};
    memcpy(&v, *at, table_type_size(type));
    *at += table_type_size(type);
    if (type == TABLE_F32)
        return buf_printf(out, e, ",%.9g", (double)v.f32);
    return buf_printf(out, e, ",%lld", (long long)(type == TABLE_I64 ? v.i64 : v.i32));
}

/* A text field by RFC 4180: quoted, quotes doubled. */
static enum status quote(const char *text, struct buf *out, struct error *e)
{
    TRY(buf_append(out, "\"", 1, e));
    for (const char *c = text ? text : ""; *c; c++)
        TRY(buf_append(out, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1, e));
    return buf_append(out, "\"", 1, e);
}

static enum status rows_to_csv(const struct rows_page *p, struct buf *out, struct error *e)
{
    const uint8_t *at = p->packed.data;
    TRY(buf_printf(out, e, "row,class"));
    for (size_t c = 0; c < p->n_columns; c++)
        TRY(buf_printf(out, e, ",%s", p->columns[c].name));
    TRY(buf_append(out, "\r\n", 2, e));
    for (size_t i = 0; i < p->n; i++) {
        int32_t label;
        memcpy(&label, at, sizeof label);
        TRY(buf_printf(out, e, "%lld,", (long long)(p->first + (int64_t)i)));
        TRY(quote(class_of(p, label), out, e));
        for (size_t c = 0; c < p->n_columns; c++)
            TRY(value_to_csv(p->columns[c].type, &at, out, e));
        TRY(buf_append(out, "\r\n", 2, e));
    }
    return STATUS_OK;
}

/* NumPy's format 1.0: magic, version, length of the header, a Python dict padded to 64 bytes, the records as packed. */
static enum status rows_to_npy(const struct rows_page *p, struct buf *out, struct error *e)
{
    static const char *const descr[] = {[TABLE_I32] = "<i4", [TABLE_I64] = "<i8", [TABLE_F32] = "<f4"};
    struct buf head;
    buf_init(&head, 1 << 16);
    enum status s = buf_printf(&head, e, "{'descr': [");
    for (size_t c = 0; s == STATUS_OK && c < p->n_columns; c++)
        s = buf_printf(&head, e, "('%s', '%s'), ", p->columns[c].name, descr[p->columns[c].type]);
    if (s == STATUS_OK)
        s = buf_printf(&head, e, "], 'fortran_order': False, 'shape': (%zu,), }", p->n);
    while (s == STATUS_OK && (10 + head.len + 1) % 64 != 0)
        s = buf_append(&head, " ", 1, e);
    if (s == STATUS_OK)
        s = buf_append(&head, "\n", 1, e);
    if (s == STATUS_OK) {
        const uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)head.len, (uint8_t)(head.len >> 8)};
        s = buf_append(out, magic, sizeof magic, e);
    }
    if (s == STATUS_OK)
        s = buf_append(out, head.data, head.len, e);
    if (s == STATUS_OK && p->packed.len > 0)
        s = buf_append(out, p->packed.data, p->packed.len, e);
    buf_fini(&head);
    return s;
}

static enum status read_page(struct request *q, const struct page *page, struct rows_page *p, struct error *e)
{
    p->first = page->before ? strtoll(page->before, NULL, 10) + 1 : 0;
    TRY(dataset_table_columns(p->dataset, &q->arena, &p->columns, &p->n_columns, e));
    return dataset_table_read(p->dataset, p->first, page->limit, &p->packed, &p->n, e);
}

static void respond_rows(struct request *q, struct response *r, const struct page *page, const struct rows_page *p,
                         enum rows_format format, bool particles)
{
    char last[24];
    struct buf body;
    struct error e;
    bool more = p->first + (int64_t)p->n < dataset_manifest(p->dataset)->rows && p->n > 0;
    snprintf(last, sizeof last, "%lld", (long long)(p->first + (int64_t)p->n - 1));
    response_header(r, "Vary", "Accept");
    if (format == ROWS_JSON) {
        struct json *items = rows_to_json(p);
        if (items && particles && add_particles(q, p->dataset, p->first, items, &e) != STATUS_OK) {
            json_free(items);
            respond_error(q, r, &e);
            return;
        }
        respond_page(q, r, page, items, more ? last : NULL);
        return;
    }
    buf_init(&body, 16 << 20);
    enum status s = format == ROWS_CSV ? rows_to_csv(p, &body, &e) : rows_to_npy(p, &body, &e);
    if (s == STATUS_OK) {
        if (more)
            page_link(q, r, page, last);
        respond_text(q, r, 200, format == ROWS_CSV ? "text/csv; charset=utf-8; header=present" : "application/x-npy",
                     body.data, body.len);
    } else {
        respond_error(q, r, &e);
    }
    buf_fini(&body);
}

void handle_dataset_rows(struct app *app, struct request *q, struct response *r)
{
    enum rows_format format = choose_format(request_header(q, "Accept"));
    struct artifact_row row;
    struct rows_page p = {0};
    struct page page;
    struct error e;
    if (format == ROWS_NONE) {
        respond_problem(q, r, "not_acceptable", NULL, "Rows are application/json, text/csv or application/x-npy.");
        return;
    }
    if (!page_read(q, r, &page) || !find_artifact(app, q, r, "dataset", q->params[0], &row))
        return;
    buf_init(&p.packed, 1 << 20);
    enum status s = dataset_open(row.folder, &p.dataset, &e);
    if (s == STATUS_OK)
        s = read_page(q, &page, &p, &e);
    bool particles = false;
    if (s != STATUS_OK)
        respond_error(q, r, &e);
    else if (read_particles_query(q, r, &page, dataset_manifest(p.dataset), &particles))
        respond_rows(q, r, &page, &p, particles ? ROWS_JSON : format, particles);
    buf_fini(&p.packed);
    dataset_close(p.dataset);
}
