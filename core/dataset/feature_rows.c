/* core/dataset/feature_rows.c
 *
 * Selected events in memory: the columns of a features dataset.  Two small tables name the columns, so that growing,
 * copying, writing and reading walk the same list. */
#include "core/dataset/feature_rows.h"

#include <string.h>

#define EVENT(member_, name_, type_, size_) \
    { .name = (name_), .type = (type_), .offset = offsetof(struct feature_rows, member_), .size = (size_) }
const struct feature_column feature_event_columns[FEATURE_EVENT_COLUMNS] = {
    EVENT(label, "label", PQ_I32, 4),
    EVENT(weight, "weight", PQ_F32, 4),
    EVENT(number, "number", PQ_I64, 8),
    EVENT(entry, "entry", PQ_I64, 8),
    EVENT(source, "source", PQ_I32, 4),
};

#define ROW(member_, name_, type_, size_) \
    { .name = (name_), .type = (type_), .offset = offsetof(struct feature_rows, rows.member_), .size = (size_) }
const struct feature_column feature_particle_columns[FEATURE_PARTICLE_COLUMNS] = {
    ROW(pt, "particle_pt", PQ_F32, 4),
    ROW(eta, "particle_eta", PQ_F32, 4),
    ROW(phi, "particle_phi", PQ_F32, 4),
    ROW(x, "particle_x", PQ_F32, 4),
    ROW(y, "particle_y", PQ_F32, 4),
    ROW(z, "particle_z", PQ_F32, 4),
    ROW(iso_ch, "particle_iso_ch", PQ_F32, 4),
    ROW(iso_gamma, "particle_iso_gamma", PQ_F32, 4),
    ROW(iso_neu, "particle_iso_neu", PQ_F32, 4),
    ROW(kind, "particle_kind", PQ_I32, 1),
    ROW(charge, "particle_charge", PQ_I32, 1),
};

void **feature_column_data(const struct feature_rows *f, const struct feature_column *c)
{
    return (void **)((uint8_t *)(uintptr_t)f + c->offset);
}

void feature_rows_init(struct feature_rows *f)
{
    *f = (struct feature_rows){0};
}

void feature_rows_fini(struct feature_rows *f)
{
    for (size_t i = 0; i < FEATURE_EVENT_COLUMNS; i++)
        mem_free(*feature_column_data(f, &feature_event_columns[i]));
    for (size_t i = 0; i < FEATURE_PARTICLE_COLUMNS; i++)
        mem_free(*feature_column_data(f, &feature_particle_columns[i]));
    mem_free(f->rows.prepared);
    mem_free(f->hlf);
    mem_free(f->row_first);
    feature_rows_init(f);
}

void feature_rows_clear(struct feature_rows *f)
{
    f->n = f->n_rows = 0;
}

static enum status grow(void **array, size_t n, size_t size, struct error *e)
{
    size_t bytes;
    void *p = __builtin_mul_overflow(n, size, &bytes) ? NULL : mem_realloc(*array, bytes);
    if (!p)
        return error_set(e, STATUS_NOMEM, "feature rows: %zu x %zu bytes", n, size);
    *array = p;
    return STATUS_OK;
}

static size_t grown(size_t have, size_t want)
{
    size_t more = have + have / 2;
    return want > more ? want : more;
}

enum status feature_rows_reserve(struct feature_rows *f, size_t n, size_t n_rows, struct error *e)
{
    if (n > f->cap || !f->row_first) {
        size_t cap = grown(f->cap, n ? n : 1);
        for (size_t i = 0; i < FEATURE_EVENT_COLUMNS; i++)
            TRY(grow(feature_column_data(f, &feature_event_columns[i]), cap, feature_event_columns[i].size, e));
        TRY(grow((void **)&f->hlf, cap, HLF_COUNT * sizeof *f->hlf, e));
        TRY(grow((void **)&f->row_first, cap + 1, sizeof *f->row_first, e));
        if (f->n == 0)
            f->row_first[0] = 0;
        f->cap = cap;
    }
    if (n_rows > f->cap_rows) {
        if (n_rows >= UINT32_MAX)
            return error_set(e, STATUS_RANGE, "feature rows: %zu particle rows in memory", n_rows);
        size_t cap = grown(f->cap_rows, n_rows);
        if (f->prepared)
            TRY(grow((void **)&f->rows.prepared, cap, PARTICLE_COLUMNS * sizeof *f->rows.prepared, e));
        for (size_t i = 0; !f->prepared && i < FEATURE_PARTICLE_COLUMNS; i++)
            TRY(grow(feature_column_data(f, &feature_particle_columns[i]), cap, feature_particle_columns[i].size, e));
        f->cap_rows = cap;
    }
    return STATUS_OK;
}

enum status feature_rows_be_prepared(struct feature_rows *f, bool prepared, struct error *e)
{
    if (f->prepared == prepared)
        return STATUS_OK;
    if (f->n_rows > 0)
        return error_set(e, STATUS_FORMAT, "particle rows as measured and prepared ones in the same dataset");
    for (size_t i = 0; i < FEATURE_PARTICLE_COLUMNS; i++) {
        void **column = feature_column_data(f, &feature_particle_columns[i]);
        mem_free(*column);
        *column = NULL;
    }
    mem_free(f->rows.prepared);
    f->rows.prepared = NULL;
    f->cap_rows = 0;
    f->prepared = prepared;
    return STATUS_OK;
}

enum status feature_rows_append(struct feature_rows *f, const struct feature_rows *src, size_t i, struct error *e)
{
    size_t from = src->row_first[i], n_rows = src->row_first[i + 1] - from, at = f->n;
    if (n_rows > 0)
        TRY(feature_rows_be_prepared(f, src->prepared, e));
    TRY(feature_rows_reserve(f, f->n + 1, f->n_rows + n_rows, e));
    for (size_t c = 0; c < FEATURE_EVENT_COLUMNS; c++) {
        const struct feature_column *column = &feature_event_columns[c];
        memcpy((uint8_t *)*feature_column_data(f, column) + at * column->size,
               (const uint8_t *)*feature_column_data(src, column) + i * column->size, column->size);
    }
    memcpy(f->hlf + at * HLF_COUNT, src->hlf + i * HLF_COUNT, HLF_COUNT * sizeof *f->hlf);
    if (f->prepared && n_rows > 0)
        memcpy(f->rows.prepared + f->n_rows * PARTICLE_COLUMNS, src->rows.prepared + from * PARTICLE_COLUMNS,
               n_rows * PARTICLE_COLUMNS * sizeof *f->rows.prepared);
    for (size_t c = 0; !f->prepared && n_rows > 0 && c < FEATURE_PARTICLE_COLUMNS; c++) {
        const struct feature_column *column = &feature_particle_columns[c];
        memcpy((uint8_t *)*feature_column_data(f, column) + f->n_rows * column->size,
               (const uint8_t *)*feature_column_data(src, column) + from * column->size, n_rows * column->size);
    }
    f->n++;
    f->n_rows += n_rows;
    f->row_first[f->n] = (uint32_t)f->n_rows;
    return STATUS_OK;
}
