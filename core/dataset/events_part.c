/* core/dataset/events_part.c
 *
 * Events as Parquet: identity columns, then one column per row of event_columns().  Objects are lists of a row; the
 * missing ET, one an event, is flat.  One row group is one batch. */
#include "core/dataset/private.h"

#include <string.h>

enum { IDENTITY_COLUMNS = 4, COLUMNS_MAX = 64 };

static const struct pq_column identity[IDENTITY_COLUMNS] = {
    {.name = "number", .type = PQ_I64},
    {.name = "weight", .type = PQ_F32},
    {.name = "label", .type = PQ_I32},
    {.name = "entry", .type = PQ_I64},
};

static struct pq_column column_of(const struct event_column *c)
{
    return (struct pq_column){
        .name = c->column,
        .type = c->type == EVENT_F32 ? PQ_F32 : PQ_I32,
        .list = c->kind != OBJECT_MET,
        .unsigned_ = c->type == EVENT_U32,
    };
}

/* ---- writing --------------------------------------------------------------------------------------------- */

struct events_writer {
    struct pq_writer *pq;
    uint64_t *offsets[OBJECT_KINDS];   /* 64-bit copies of first[], as Parquet's lists want them */
    size_t cap_events;
};

enum status events_writer_create(const char *path, struct events_writer **out, struct error *e)
{
    size_t n;
    const struct event_column *columns = event_columns(&n);
    struct pq_column schema[COLUMNS_MAX];
    check(IDENTITY_COLUMNS + n <= COLUMNS_MAX);
    memcpy(schema, identity, sizeof identity);
    for (size_t i = 0; i < n; i++)
        schema[IDENTITY_COLUMNS + i] = column_of(&columns[i]);

    *out = NULL;
    struct events_writer *w = mem_calloc(1, sizeof *w);
    if (!w)
        return error_set(e, STATUS_NOMEM, "events writer");
    const struct pq_key_value meta[] = {{"dltrigger.kind", "events"}};
    const struct pq_write_options options = {.codec = CODEC_SNAPPY, .adapt = true, .describe = true, .meta = meta,
                                             .n_meta = ARRAY_LEN(meta)};
    enum status s = pq_writer_create(path, schema, IDENTITY_COLUMNS + n, &options, &w->pq, e);
    if (s != STATUS_OK) {
        mem_free(w);
        return s;
    }
    *out = w;
    return STATUS_OK;
}

static enum status widen_offsets(struct events_writer *w, const struct event_batch *b, struct error *e)
{
    for (int k = 0; k < OBJECT_KINDS; k++) {
        if (b->n_events > w->cap_events || !w->offsets[k]) {
            uint64_t *grown = mem_realloc(w->offsets[k], (b->n_events + 1) * sizeof *grown);
            if (!grown)
                return error_set(e, STATUS_NOMEM, "events writer: %zu events", b->n_events);
            w->offsets[k] = grown;
        }
        for (size_t i = 0; i <= b->n_events; i++)
            w->offsets[k][i] = b->objects[k].first[i];
    }
    if (b->n_events > w->cap_events)
        w->cap_events = b->n_events;
    return STATUS_OK;
}

static enum status check_one_met(const struct event_batch *b, struct error *e)
{
    const uint32_t *first = b->objects[OBJECT_MET].first;
    for (size_t i = 0; i < b->n_events; i++)
        if (first[i + 1] - first[i] != 1)
            return error_set(e, STATUS_FORMAT, "entry %lld: %u objects in MissingET, exactly 1 is expected",
                             (long long)b->entry[i], first[i + 1] - first[i]);
    return STATUS_OK;
}

enum status events_write(struct events_writer *w, const struct event_batch *b, struct error *e)
{
    if (b->n_events == 0)
        return STATUS_OK;
    TRY(check_one_met(b, e));
    TRY(widen_offsets(w, b, e));
    size_t n = b->n_events, n_columns;
    const struct event_column *columns = event_columns(&n_columns);
    struct pq_values values[COLUMNS_MAX] = {
        {.n_rows = n, .n_values = n, .data = b->number},
        {.n_rows = n, .n_values = n, .data = b->weight},
        {.n_rows = n, .n_values = n, .data = b->label},
        {.n_rows = n, .n_values = n, .data = b->entry},
    };
    for (size_t i = 0; i < n_columns; i++) {
        const struct object_columns *o = &b->objects[columns[i].kind];
        values[IDENTITY_COLUMNS + i] = (struct pq_values){
            .n_rows = n,
            .n_values = o->first[n],
            .data = *event_column_data(o, &columns[i]),
            .offsets = columns[i].kind == OBJECT_MET ? NULL : w->offsets[columns[i].kind],
        };
    }
    return pq_write_row_group(w->pq, values, e);
}

static void writer_free(struct events_writer *w)
{
    for (int k = 0; k < OBJECT_KINDS; k++)
        mem_free(w->offsets[k]);
    mem_free(w);
}

enum status part_writer_finish(struct pq_writer *pq, struct part_written *out, struct error *e)
{
    struct pq_written written = {0};
    TRY(pq_writer_finish_described(pq, &written, e));
    *out = (struct part_written){.rows = written.n_rows, .bytes = written.bytes};
    memcpy(out->sha256, written.sha256, sizeof out->sha256);
    return STATUS_OK;
}

enum status events_writer_finish(struct events_writer *w, struct part_written *out, struct error *e)
{
    enum status s = part_writer_finish(w->pq, out, e);
    writer_free(w);
    return s;
}

void events_writer_abort(struct events_writer *w)
{
    if (!w)
        return;
    pq_writer_abort(w->pq);
    writer_free(w);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

struct events_reader {
    struct part_file file;
    bool without_rows;
};

void events_reader_without_rows(struct events_reader *r)
{
    r->without_rows = true;
}

/* Of tracks, selection and high-level features look at momenta alone. */
static bool is_for_rows(const struct event_column *c)
{
    return c->kind == OBJECT_TRACK && c->offset != offsetof(struct object_columns, pt) &&
           c->offset != offsetof(struct object_columns, eta) && c->offset != offsetof(struct object_columns, phi);
}

enum status events_reader_open(const struct dataset *d, size_t part, struct events_reader **out, struct error *e)
{
    char path[PATH_BYTES_MAX];
    *out = NULL;
    if (d->manifest.kind != DATASET_EVENTS)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds features, not events: give the dataset of an ingest job",
                         d->manifest.id);
    TRY(dataset_part_path(d, part, path, e));
    struct events_reader *r = mem_calloc(1, sizeof *r);
    if (!r)
        return error_set(e, STATUS_NOMEM, "events reader");
    enum status s = part_file_open(path, &r->file, e);
    if (s != STATUS_OK) {
        mem_free(r);
        return s;
    }
    *out = r;
    return STATUS_OK;
}

void events_reader_close(struct events_reader *r)
{
    if (!r)
        return;
    part_file_close(&r->file);
    mem_free(r);
}

size_t events_reader_groups(const struct events_reader *r)
{
    return pq_n_row_groups(r->file.reader);
}

int64_t events_reader_rows(const struct events_reader *r, size_t group)
{
    return pq_row_group_rows(r->file.reader, group);
}

static enum status read_identity(struct events_reader *r, size_t group, struct event_batch *out, struct error *e)
{
    void *const dst[IDENTITY_COLUMNS] = {out->number, out->weight, out->label, out->entry};
    for (size_t i = 0; i < IDENTITY_COLUMNS; i++) {
        struct pq_values v;
        TRY(part_file_column(&r->file, group, &identity[i], out->n_events, &v, e));
        memcpy(dst[i], v.data, v.n_values * pq_type_size(identity[i].type));
    }
    return STATUS_OK;
}

/* The first column of a kind brings the offsets; the others must agree with them. */
static enum status adopt_offsets(struct event_batch *out, const struct event_column *c, bool is_first,
                                 const struct pq_values *v, struct error *e)
{
    struct object_columns *o = &out->objects[c->kind];
    if (is_first)
        TRY(event_batch_reserve_objects(out, c->kind, v->n_values, e));
    for (size_t i = 0; i <= out->n_events; i++) {
        uint64_t at = v->offsets ? v->offsets[i] : i;
        if (is_first)
            o->first[i] = (uint32_t)at;
        else if (o->first[i] != at)
            return error_set(e, STATUS_FORMAT, "column %s: list lengths differ from its sisters'", c->column);
    }
    return STATUS_OK;
}

enum status events_read(struct events_reader *r, size_t group, struct event_batch *out, struct error *e)
{
    size_t n_columns;
    const struct event_column *columns = event_columns(&n_columns);
    event_batch_clear(out);
    int64_t n = pq_row_group_rows(r->file.reader, group);
    if (n < 0 || n >= INT32_MAX)
        return error_set(e, STATUS_FORMAT, "row group %zu: %lld rows", group, (long long)n);
    TRY(event_batch_reserve_events(out, (size_t)n, e));
    out->n_events = (size_t)n;
    TRY(read_identity(r, group, out, e));
    for (size_t i = 0; i < n_columns; i++) {
        const struct pq_column want = column_of(&columns[i]);
        struct pq_values v;
        if (r->without_rows && is_for_rows(&columns[i])) {
            const struct object_columns *o = &out->objects[columns[i].kind];
            memset(*event_column_data(o, &columns[i]), 0, o->first[out->n_events] * sizeof(uint32_t));
            continue;
        }
        TRY(part_file_column(&r->file, group, &want, out->n_events, &v, e));
        TRY(adopt_offsets(out, &columns[i], i == 0 || columns[i].kind != columns[i - 1].kind, &v, e));
        memcpy(*event_column_data(&out->objects[columns[i].kind], &columns[i]), v.data,
               v.n_values * pq_type_size(want.type));
    }
    return STATUS_OK;
}
