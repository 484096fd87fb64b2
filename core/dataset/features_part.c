/* core/dataset/features_part.c
 *
 * Features as Parquet: label, weight and origin, the 14 high-level features as flat columns by name, the particle rows
 * as list columns of what is measured (the other columns of a row follow: particle_expand). */
#include "core/dataset/feature_rows.h"

#include <string.h>

enum { COLUMNS_MAX = FEATURE_EVENT_COLUMNS + HLF_COUNT + FEATURE_PARTICLE_COLUMNS };

/* Rows that came prepared: 19 numbers a row, row after row. */
static const struct pq_column prepared_column = {.name = "particles_prepared", .type = PQ_F32, .list = true, .depth = 1};

static struct pq_column stored_column(const struct feature_column *c, bool list)
{
    return (struct pq_column){.name = c->name, .type = c->type, .list = list, .bits = c->size == 1 ? 8 : 0};
}

/* ---- writing --------------------------------------------------------------------------------------------- */

struct features_writer {
    struct pq_writer *pq;
    int64_t rows;
    bool has_rows, prepared;
    float *hlf[HLF_COUNT];             /* columns of the row-major hlf[] */
    uint64_t *offsets;
    int32_t *wide[FEATURE_PARTICLE_COLUMNS];       /* 8-bit columns as 32-bit integers */
    size_t cap, cap_rows;
};

static enum status create(const char *path, bool has_rows, bool prepared, bool keep, struct features_writer **out,
                          struct error *e)
{
    struct pq_column schema[COLUMNS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < FEATURE_EVENT_COLUMNS; i++)
        schema[n++] = stored_column(&feature_event_columns[i], false);
    for (size_t i = 0; i < HLF_COUNT; i++)
        schema[n++] = (struct pq_column){.name = hlf_info[i].name, .type = PQ_F32};
    for (size_t i = 0; has_rows && i < FEATURE_PARTICLE_COLUMNS; i++)
        schema[n++] = stored_column(&feature_particle_columns[i], true);
    if (prepared)
        schema[n++] = prepared_column;

    *out = NULL;
    struct features_writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set(e, STATUS_NOMEM, "features writer");
    w->has_rows = has_rows;
    w->prepared = prepared;
    const struct pq_key_value meta[] = {{"dltrigger.kind", "features"}};
    const struct pq_write_options options = {.codec = keep ? CODEC_SNAPPY : CODEC_NONE, .adapt = true,
                                             .describe = keep, .meta = meta,
                                             .n_meta = ARRAY_LEN(meta)};
    enum status s = pq_writer_create(path, schema, n, &options, &w->pq, e);
    if (s != STATUS_OK) {
        mem_free(w);
        return s;
    }
    *out = w;
    return STATUS_OK;
}

enum status features_writer_create(const char *path, bool has_rows, bool keep, struct features_writer **out,
                                   struct error *e)
{
    return create(path, has_rows, false, keep, out, e);
}

enum status features_writer_create_prepared(const char *path, struct features_writer **out, struct error *e)
{
    return create(path, false, true, true, out, e);
}

static enum status grow(void *array, size_t n, size_t size, struct error *e)
{
    void **p = array, *bigger = mem_realloc(*p, n * size);
    if (!bigger)
        return error_set(e, STATUS_NOMEM, "features writer: %zu x %zu bytes", n, size);
    *p = bigger;
    return STATUS_OK;
}

static enum status reserve(struct features_writer *w, const struct feature_rows *f, struct error *e)
{
    if (f->n > w->cap) {
        for (size_t i = 0; i < HLF_COUNT; i++)
            TRY(grow(&w->hlf[i], f->n, sizeof(float), e));
        TRY(grow(&w->offsets, f->n + 1, sizeof *w->offsets, e));
        w->cap = f->n;
    }
    if (w->has_rows && f->n_rows > w->cap_rows) {
        for (size_t i = 0; i < FEATURE_PARTICLE_COLUMNS; i++)
            if (feature_particle_columns[i].size == 1)
                TRY(grow(&w->wide[i], f->n_rows, sizeof(int32_t), e));
        w->cap_rows = f->n_rows;
    }
    return STATUS_OK;
}

static void transpose(struct features_writer *w, const struct feature_rows *f)
{
    for (size_t i = 0; i < f->n; i++)
        for (size_t c = 0; c < HLF_COUNT; c++)
            w->hlf[c][i] = f->hlf[i * HLF_COUNT + c];
    for (size_t i = 0; i <= f->n; i++)
        w->offsets[i] = (uint64_t)f->row_first[i] * (w->prepared ? PARTICLE_COLUMNS : 1);
    for (size_t c = 0; w->has_rows && c < FEATURE_PARTICLE_COLUMNS; c++)
        if (feature_particle_columns[c].size == 1) {
            const int8_t *narrow = *feature_column_data(f, &feature_particle_columns[c]);
            for (size_t i = 0; i < f->n_rows; i++)
                w->wide[c][i] = narrow[i];
        }
}

enum status features_write(struct features_writer *w, const struct feature_rows *f, struct error *e)
{
    if (f->n == 0)
        return STATUS_OK;
    if ((w->prepared || w->has_rows) && f->n_rows > 0 && w->prepared != f->prepared)
        return error_set(e, STATUS_BUG, "particle rows as measured and prepared ones in one part");
    TRY(reserve(w, f, e));
    transpose(w, f);
    struct pq_values values[COLUMNS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < FEATURE_EVENT_COLUMNS; i++)
        values[n++] = (struct pq_values){.n_rows = f->n, .n_values = f->n,
                                         .data = *feature_column_data(f, &feature_event_columns[i])};
    for (size_t i = 0; i < HLF_COUNT; i++)
        values[n++] = (struct pq_values){.n_rows = f->n, .n_values = f->n, .data = w->hlf[i]};
    for (size_t i = 0; w->has_rows && i < FEATURE_PARTICLE_COLUMNS; i++) {
        const struct feature_column *c = &feature_particle_columns[i];
        values[n++] = (struct pq_values){.n_rows = f->n, .n_values = f->n_rows, .offsets = w->offsets,
                                         .data = c->size == 1 ? (void *)w->wide[i] : *feature_column_data(f, c)};
    }
    if (w->prepared)
        values[n++] = (struct pq_values){.n_rows = f->n, .n_values = f->n_rows * PARTICLE_COLUMNS, .offsets = w->offsets,
                                         .data = f->rows.prepared};
    TRY(pq_write_row_group(w->pq, values, e));
    w->rows += (int64_t)f->n;
    return STATUS_OK;
}

static void writer_free(struct features_writer *w)
{
    for (size_t i = 0; i < HLF_COUNT; i++)
        mem_free(w->hlf[i]);
    for (size_t i = 0; i < FEATURE_PARTICLE_COLUMNS; i++)
        mem_free(w->wide[i]);
    mem_free(w->offsets);
    mem_free(w);
}

enum status features_writer_threads(struct features_writer *w, size_t threads, struct error *e)
{
    return pq_writer_threads(w->pq, threads, e);
}

enum status features_writer_finish_described(struct features_writer *w, struct part_written *out, struct error *e)
{
    enum status s = part_writer_finish(w->pq, out, e);
    writer_free(w);
    return s;
}

enum status features_writer_finish(struct features_writer *w, int64_t *rows, struct error *e)
{
    *rows = w->rows;
    enum status s = pq_writer_finish(w->pq, e);
    writer_free(w);
    return s;
}

void features_writer_abort(struct features_writer *w)
{
    if (!w)
        return;
    pq_writer_abort(w->pq);
    writer_free(w);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

struct features_reader {
    struct part_file file;
};

enum status features_reader_open(const char *path, struct features_reader **out, struct error *e)
{
    *out = NULL;
    struct features_reader *r = mem_calloc(1, sizeof *r);
    if (!r)
        return error_set(e, STATUS_NOMEM, "features reader");
    enum status s = part_file_open(path, &r->file, e);
    if (s != STATUS_OK) {
        mem_free(r);
        return s;
    }
    *out = r;
    return STATUS_OK;
}

void features_reader_close(struct features_reader *r)
{
    if (!r)
        return;
    part_file_close(&r->file);
    mem_free(r);
}

size_t features_reader_groups(const struct features_reader *r)
{
    return pq_n_row_groups(r->file.reader);
}

int64_t features_reader_rows(const struct features_reader *r, size_t group)
{
    return pq_row_group_rows(r->file.reader, group);
}

static enum status read_flat(struct features_reader *r, size_t group, size_t n, struct feature_rows *out,
                             struct error *e)
{
    struct pq_values v;
    for (size_t i = 0; i < FEATURE_EVENT_COLUMNS; i++) {
        const struct feature_column *c = &feature_event_columns[i];
        const struct pq_column want = stored_column(c, false);
        TRY(part_file_column(&r->file, group, &want, n, &v, e));
        memcpy((uint8_t *)*feature_column_data(out, c) + out->n * c->size, v.data, n * c->size);
    }
    for (size_t i = 0; i < HLF_COUNT; i++) {
        const struct pq_column want = {.name = hlf_info[i].name, .type = PQ_F32};
        TRY(part_file_column(&r->file, group, &want, n, &v, e));
        const float *column = v.data;
        for (size_t j = 0; j < n; j++)
            out->hlf[(out->n + j) * HLF_COUNT + i] = column[j];
    }
    return STATUS_OK;
}

static enum status adopt_offsets(struct feature_rows *out, const struct feature_column *c, bool is_first,
                                 const struct pq_values *v, size_t n, struct error *e)
{
    if (is_first)
        TRY(feature_rows_reserve(out, out->n + n, out->n_rows + v->n_values, e));
    for (size_t i = 0; i <= n; i++) {
        uint64_t at = out->n_rows + v->offsets[i];
        if (is_first)
            out->row_first[out->n + i] = (uint32_t)at;
        else if (out->row_first[out->n + i] != at)
            return error_set(e, STATUS_FORMAT, "column %s: list lengths differ from its sisters'", c->name);
    }
    return STATUS_OK;
}

static enum status read_particles(struct features_reader *r, size_t group, size_t n, struct feature_rows *out,
                                  size_t *n_rows, struct error *e)
{
    for (size_t i = 0; i < FEATURE_PARTICLE_COLUMNS; i++) {
        const struct feature_column *c = &feature_particle_columns[i];
        const struct pq_column want = stored_column(c, true);
        struct pq_values v;
        TRY(part_file_column(&r->file, group, &want, n, &v, e));
        TRY(adopt_offsets(out, c, i == 0, &v, n, e));
        uint8_t *dst = (uint8_t *)*feature_column_data(out, c) + out->n_rows * c->size;
        if (c->size == 1)
            for (size_t j = 0; j < v.n_values; j++)
                ((int8_t *)dst)[j] = (int8_t)((const int32_t *)v.data)[j];
        else
            memcpy(dst, v.data, v.n_values * c->size);
        *n_rows = v.n_values;
    }
    return STATUS_OK;
}

static enum status read_prepared(struct features_reader *r, size_t group, size_t n, struct feature_rows *out,
                                 size_t *n_rows, struct error *e)
{
    struct pq_values v;
    TRY(part_file_column(&r->file, group, &prepared_column, n, &v, e));
    TRY(feature_rows_reserve(out, out->n + n, out->n_rows + v.n_values / PARTICLE_COLUMNS, e));
    for (size_t i = 0; i <= n; i++) {
        if (v.offsets[i] % PARTICLE_COLUMNS != 0)
            return error_set(e, STATUS_FORMAT, "column %s: row group %zu: row %zu is not of whole particles",
                             prepared_column.name, group, i);
        out->row_first[out->n + i] = (uint32_t)(out->n_rows + v.offsets[i] / PARTICLE_COLUMNS);
    }
    memcpy(out->rows.prepared + out->n_rows * PARTICLE_COLUMNS, v.data, v.n_values * sizeof(float));
    *n_rows = v.n_values / PARTICLE_COLUMNS;
    return STATUS_OK;
}

enum status features_read(struct features_reader *r, size_t group, bool want_rows, struct feature_rows *out,
                          struct error *e)
{
    int64_t n_signed = pq_row_group_rows(r->file.reader, group);
    if (n_signed < 0 || n_signed >= INT32_MAX)
        return error_set(e, STATUS_FORMAT, "row group %zu: %lld rows", group, (long long)n_signed);
    size_t n = (size_t)n_signed, n_rows = 0;
    TRY(feature_rows_reserve(out, out->n + n, out->n_rows, e));
    TRY(read_flat(r, group, n, out, e));
    bool prepared = pq_column_find(r->file.reader, prepared_column.name) >= 0;
    if (want_rows)
        TRY(feature_rows_be_prepared(out, prepared, e));
    if (want_rows)
        TRY(prepared ? read_prepared(r, group, n, out, &n_rows, e) : read_particles(r, group, n, out, &n_rows, e));
    else
        for (size_t i = 0; i <= n; i++)
            out->row_first[out->n + i] = (uint32_t)out->n_rows;
    out->n += n;
    out->n_rows += n_rows;
    return STATUS_OK;
}
