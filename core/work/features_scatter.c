/* core/work/features_scatter.c
 *
 * Phase 1 of "features": the rows of an events part, grouped by the bucket of the shuffle that they go to. */
#include "core/work/features.h"

#include <string.h>

/* Held rows go out when a bucket has a row group's worth on average, or at the bound of memory. */
enum { HELD_BYTES_MAX = 64 << 20, HELD_BYTES_A_BUCKET = 8 << 20 };

const struct field scatter_unit_fields[] = {
    FIELD_LIST_I64(struct scatter_unit, buckets),
    FIELD_END,
};

/* ---- phase 1 ------------------------------------------------------------------------------------------------ */

struct scatter {
    struct job_ctx *ctx;
    struct assignment *assignment;
    struct features_writer *writer;
    struct feature_rows *held;         /* [n_buckets] */
    int64_t n_buckets;
    size_t held_bytes;
    int64_t next;                      /* number of the next selected event */
    int64_t done, total;
    int32_t source;
    struct buf groups;                 /* int64_t: bucket of each row group written */
};

static size_t event_bytes(const struct feature_batch *f, size_t i)
{
    return 84 + 38 * (size_t)(f->row_first[i + 1] - f->row_first[i]);
}

static enum status flush_all(struct scatter *r, struct error *e)
{
    for (int64_t b = 0; b < r->n_buckets; b++) {
        struct feature_rows *rows = &r->held[b];
        if (rows->n == 0)
            continue;
        TRY(features_write(r->writer, rows, e));
        TRY(buf_append(&r->groups, &b, sizeof b, e));
        feature_rows_clear(rows);
        if (r->n_buckets > 64)             /* many buckets: do not let each keep its high-water mark */
            feature_rows_fini(rows);
    }
    r->held_bytes = 0;
    return STATUS_OK;
}

static enum status scatter_batch(void *ctx, const struct event_batch *events, const struct feature_batch *features,
                                 struct error *e)
{
    struct scatter *r = ctx;
    for (size_t i = 0; i < events->n_events; i++) {
        if (features->reject[i] != REJECT_NONE)
            continue;
        uint32_t position = r->assignment->positions[r->next++];
        if (position == POSITION_DROPPED)
            continue;
        TRY(feature_rows_take(&r->held[bucket_of(r->assignment, position)], events, features, i, r->source, e));
        r->held_bytes += event_bytes(features, i);
    }
    r->done += (int64_t)events->n_events;
    work_progress(r->ctx, "particle rows", "events", r->done, r->total, NULL);
    size_t worth = (size_t)r->n_buckets * HELD_BYTES_A_BUCKET;
    return r->held_bytes > (worth < HELD_BYTES_MAX ? worth : HELD_BYTES_MAX) ? flush_all(r, e) : STATUS_OK;
}

static enum status scatter_part(struct scatter *r, const struct features_input *in, int64_t part, bool want_rows,
                                struct error *e)
{
    char path[PATH_BYTES_MAX];
    int64_t rows, end = ((const int64_t *)r->assignment->part_first.items)[part + 1];
    TRY(work_path(r->ctx, path, e, "scatter-%05lld.parquet", (long long)part));
    TRY(features_writer_create(path, want_rows, false, &r->writer, e));
    enum status s = part_events_run(r->ctx, in, (size_t)part, want_rows, scatter_batch, r, e);
    if (s == STATUS_OK)
        s = flush_all(r, e);
    if (s == STATUS_OK && r->next != end)
        s = error_set(e, STATUS_BUG, "part %lld: selected event %lld reached, %lld expected", (long long)part,
                      (long long)r->next, (long long)end);
    if (s != STATUS_OK) {
        features_writer_abort(r->writer);
        return s;
    }
    return features_writer_finish(r->writer, &rows, e);
}

enum status scatter_run(struct job_ctx *ctx, const struct features_spec *spec, int64_t part, struct buf *result,
                        struct error *e)
{
    struct features_input in;
    struct assignment a;
    TRY(features_input_open(ctx, spec, &in, e));
    enum status s = assignment_get(ctx, spec, in.manifest, &a, e);
    if (s == STATUS_OK)
        s = assignment_positions(ctx, &a, e);
    struct scatter r = {.ctx = ctx, .assignment = &a};
    buf_init(&r.groups, 64 << 20);
    if (s == STATUS_OK) {
        const struct dataset_part *parts = in.manifest->parts.items;
        r.source = (int32_t)parts[part].source;
        r.n_buckets = train_buckets(&a) + test_buckets(&a);
        r.next = ((const int64_t *)a.part_first.items)[part];
        r.total = in.manifest->rows * 2;
        r.done = in.manifest->rows;
        for (int64_t i = 0; i < part; i++)
            r.done += parts[i].rows;
        r.held = ARENA_NEW(ctx->arena, struct feature_rows, (size_t)r.n_buckets);
        s = r.held ? scatter_part(&r, &in, part, spec->sequences, e) : error_set(e, STATUS_NOMEM, "buckets");
    }
    if (s == STATUS_OK) {
        const struct scatter_unit unit = {{r.groups.data, r.groups.len / sizeof(int64_t)}};
        s = field_write_text(scatter_unit_fields, &unit, result, e);
    }
    for (int64_t b = 0; r.held && b < r.n_buckets; b++)
        feature_rows_fini(&r.held[b]);
    buf_fini(&r.groups);
    mem_free(a.positions);
    dataset_close(in.events);
    return s;
}
