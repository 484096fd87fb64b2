/* core/dataset/table.c
 *
 * A dataset as a plain table for people and their tools: one row an event, columns of one number each.  Of features the
 * 14 high-level ones; of events the missing ET and how many objects of each kind there are. */
#include "core/dataset/private.h"

#include <string.h>

enum { IDENTITY = 5, EVENT_EXTRA = 8, TABLE_COLUMNS_MAX = IDENTITY + HLF_COUNT };

static const struct table_column events_columns[] = {
    {"label", TABLE_I32},       {"weight", TABLE_F32},     {"number", TABLE_I64},     {"entry", TABLE_I64},
    {"source", TABLE_I32},      {"MET", TABLE_F32},        {"MET_phi", TABLE_F32},    {"nTracks", TABLE_I32},
    {"nPhotons", TABLE_I32},    {"nNeutrals", TABLE_I32},  {"nElectrons", TABLE_I32}, {"nMuons", TABLE_I32},
    {"nJets", TABLE_I32},
};
_Static_assert(ARRAY_LEN(events_columns) == IDENTITY + EVENT_EXTRA, "one column a value of put_event");

size_t table_type_size(enum table_type t)
{
    return t == TABLE_I64 ? 8 : 4;
}

enum status dataset_table_columns(const struct dataset *d, struct arena *a, const struct table_column **out, size_t *n,
                                  struct error *e)
{
    if (d->manifest.kind == DATASET_EVENTS) {
        *out = events_columns;
        *n = ARRAY_LEN(events_columns);
        return STATUS_OK;
    }
    struct table_column *columns = ARENA_NEW(a, struct table_column, TABLE_COLUMNS_MAX);
    if (!columns)
        return error_set(e, STATUS_NOMEM, "columns");
    memcpy(columns, events_columns, IDENTITY * sizeof *columns);
    for (size_t i = 0; i < HLF_COUNT; i++)
        columns[IDENTITY + i] = (struct table_column){hlf_info[i].name, TABLE_F32};
    *out = columns;
    *n = TABLE_COLUMNS_MAX;
    return STATUS_OK;
}

/* ---- packing ------------------------------------------------------------------------------------------------ */

struct identity {
    int32_t label;
    float weight;
    int64_t number, entry;
    int32_t source;
};

static enum status put_identity(struct buf *out, const struct identity *id, struct error *e)
{
    TRY(buf_append(out, &id->label, sizeof id->label, e));
    TRY(buf_append(out, &id->weight, sizeof id->weight, e));
    TRY(buf_append(out, &id->number, sizeof id->number, e));
    TRY(buf_append(out, &id->entry, sizeof id->entry, e));
    return buf_append(out, &id->source, sizeof id->source, e);
}

static enum status put_feature(struct buf *out, const struct feature_rows *f, size_t i, struct error *e)
{
    const struct identity id = {f->label[i], f->weight[i], f->number[i], f->entry[i], f->source[i]};
    TRY(put_identity(out, &id, e));
    return buf_append(out, f->hlf + i * HLF_COUNT, HLF_COUNT * sizeof *f->hlf, e);
}

static int32_t object_count(const struct event_batch *b, enum object_kind kind, size_t i)
{
    return (int32_t)(b->objects[kind].first[i + 1] - b->objects[kind].first[i]);
}

static enum status put_event(struct buf *out, const struct event_batch *b, int32_t source, size_t i, struct error *e)
{
    static const enum object_kind kinds[] = {OBJECT_TRACK,    OBJECT_PHOTON, OBJECT_NEUTRAL,
                                             OBJECT_ELECTRON, OBJECT_MUON,   OBJECT_JET};
    const struct identity id = {b->label[i], b->weight[i], b->number[i], b->entry[i], source};
    const struct object_columns *met = &b->objects[OBJECT_MET];
    bool has_met = object_count(b, OBJECT_MET, i) > 0;
    const float vector[2] = {has_met ? met->pt[met->first[i]] : 0, has_met ? met->phi[met->first[i]] : 0};
    TRY(put_identity(out, &id, e));
    TRY(buf_append(out, vector, sizeof vector, e));
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        int32_t n = object_count(b, kinds[k], i);
        TRY(buf_append(out, &n, sizeof n, e));
    }
    return STATUS_OK;
}

/* ---- reading a range ------------------------------------------------------------------------------------------ */

/* Rows that are still to be passed over, and still to be taken. */
struct range {
    int64_t skip;
    size_t want;
    struct buf *out;
};

static enum status take_features_part(const struct dataset *d, size_t part, struct range *g, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct features_reader *r;
    struct feature_rows rows;
    TRY(dataset_part_path(d, part, path, e));
    TRY(features_reader_open(path, &r, e));
    feature_rows_init(&rows);
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && g->want > 0 && i < features_reader_groups(r); i++) {
        int64_t n = features_reader_rows(r, i);
        if (g->skip >= n) {
            g->skip -= n;
            continue;
        }
        feature_rows_clear(&rows);
        s = features_read(r, i, false, &rows, e);
        for (size_t j = (size_t)g->skip; s == STATUS_OK && g->want > 0 && j < rows.n; j++, g->want--)
            s = put_feature(g->out, &rows, j, e);
        g->skip = 0;
    }
    feature_rows_fini(&rows);
    features_reader_close(r);
    return s;
}

static enum status take_events_part(const struct dataset *d, size_t part, struct range *g, struct error *e)
{
    int32_t source = (int32_t)((const struct dataset_part *)d->manifest.parts.items)[part].source;
    struct events_reader *r;
    struct event_batch batch;
    TRY(events_reader_open(d, part, &r, e));
    event_batch_init(&batch);
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && g->want > 0 && i < events_reader_groups(r); i++) {
        int64_t n = events_reader_rows(r, i);
        if (g->skip >= n) {
            g->skip -= n;
            continue;
        }
        s = events_read(r, i, &batch, e);
        for (size_t j = (size_t)g->skip; s == STATUS_OK && g->want > 0 && j < batch.n_events; j++, g->want--)
            s = put_event(g->out, &batch, source, j, e);
        g->skip = 0;
    }
    event_batch_fini(&batch);
    events_reader_close(r);
    return s;
}

enum status dataset_table_read(const struct dataset *d, int64_t first, size_t n, struct buf *out, size_t *n_read,
                               struct error *e)
{
    const struct dataset_part *parts = d->manifest.parts.items;
    struct range g = {.skip = first, .want = n, .out = out};
    check(first >= 0);
    *n_read = 0;
    for (size_t p = 0; p < d->manifest.parts.n_items && g.want > 0; p++) {
        if (g.skip >= parts[p].rows) {
            g.skip -= parts[p].rows;
            continue;
        }
        TRY(d->manifest.kind == DATASET_EVENTS ? take_events_part(d, p, &g, e) : take_features_part(d, p, &g, e));
    }
    *n_read = n - g.want;
    return STATUS_OK;
}

/* Of one part: passes over *skip rows, takes up to *want. */
static enum status take_rows(const struct dataset *d, size_t part, int64_t *skip, size_t *want, struct feature_rows *out,
                             struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct features_reader *r;
    struct feature_rows group;
    TRY(dataset_part_path(d, part, path, e));
    TRY(features_reader_open(path, &r, e));
    feature_rows_init(&group);
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && *want > 0 && i < features_reader_groups(r); i++) {
        int64_t n = features_reader_rows(r, i);
        if (*skip >= n) {
            *skip -= n;
            continue;
        }
        feature_rows_clear(&group);
        s = features_read(r, i, d->manifest.has_rows, &group, e);
        for (size_t j = (size_t)*skip; s == STATUS_OK && *want > 0 && j < group.n; j++, --*want)
            s = feature_rows_append(out, &group, j, e);
        *skip = 0;
    }
    feature_rows_fini(&group);
    features_reader_close(r);
    return s;
}

enum status dataset_rows_read(const struct dataset *d, int64_t first, size_t n, struct feature_rows *out, struct error *e)
{
    const struct dataset_part *parts = d->manifest.parts.items;
    check(first >= 0);
    feature_rows_clear(out);
    if (d->manifest.kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds events: make features of it first (job kind features)",
                         d->manifest.id);
    for (size_t p = 0; p < d->manifest.parts.n_items && n > 0; p++) {
        if (first >= parts[p].rows)
            first -= parts[p].rows;
        else
            TRY(take_rows(d, p, &first, &n, out, e));
    }
    return STATUS_OK;
}
