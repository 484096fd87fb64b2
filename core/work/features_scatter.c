/* core/work/features_scatter.c
 *
 * Phases 1 and 2 of "features": an exact global shuffle of ragged rows that never holds more than a bucket. */
#include "core/work/features.h"

#include <string.h>

/* Held rows go out when a bucket has a row group's worth on average, or at the bound of memory. */
enum { HELD_BYTES_MAX = 64 << 20, HELD_BYTES_A_BUCKET = 8 << 20, GROUP_EVENTS = 500, GROUP_EVENTS_HLF = 50000 };

/* Bucket of each row group of a scatter file. */
struct scatter_unit {
    struct field_list buckets;         /* int64_t */
};
static const struct field scatter_fields[] = {
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
        s = field_write_text(scatter_fields, &unit, result, e);
    }
    for (int64_t b = 0; r.held && b < r.n_buckets; b++)
        feature_rows_fini(&r.held[b]);
    buf_fini(&r.groups);
    mem_free(a.positions);
    dataset_close(in.events);
    return s;
}

/* ---- phase 2 ------------------------------------------------------------------------------------------------ */

/* Reads the row groups of one bucket from scatter file `part`, in the order in which they were written. */
static enum status read_bucket(struct job_ctx *ctx, int64_t part, int64_t bucket, bool want_rows,
                               struct feature_rows *out, struct error *e)
{
    struct scatter_unit unit;
    struct features_reader *reader;
    char path[PATH_BYTES_MAX];
    TRY(work_unit_result(ctx, PHASE_SCATTER, part, scatter_fields, &unit, e));
    TRY(work_path(ctx, path, e, "scatter-%05lld.parquet", (long long)part));
    TRY(features_reader_open(path, &reader, e));
    const int64_t *buckets = unit.buckets.items;
    enum status s = features_reader_groups(reader) == unit.buckets.n_items
                        ? STATUS_OK
                        : error_set(e, STATUS_FORMAT, "scatter file %lld: %zu row groups, its unit counted %zu",
                                    (long long)part, features_reader_groups(reader), unit.buckets.n_items);
    for (size_t g = 0; s == STATUS_OK && g < unit.buckets.n_items; g++)
        if (buckets[g] == bucket)
            s = features_read(reader, g, want_rows, out, e);
    features_reader_close(reader);
    return s;
}

/* order[position in the bucket] = index in the order of reading. */
static enum status order_bucket(struct job_ctx *ctx, const struct assignment *a, int64_t bucket, size_t n,
                                uint32_t **order, struct error *e)
{
    *order = ARENA_NEW(ctx->arena, uint32_t, n + 1);
    if (!*order)
        return error_set(e, STATUS_NOMEM, "order of a bucket");
    size_t i_read = 0;
    for (int64_t i = 0; i < a->n_selected; i++) {
        uint32_t position = a->positions[i];
        if (position == POSITION_DROPPED || bucket_of(a, position) != bucket)
            continue;
        size_t at = (size_t)((int64_t)(position & POSITION_MASK) % a->bucket_events);
        if (at >= n || i_read >= n)
            return error_set(e, STATUS_FORMAT, "bucket %lld: more events than its scatter files hold",
                             (long long)bucket);
        (*order)[at] = (uint32_t)i_read++;
    }
    return i_read == n ? STATUS_OK
                       : error_set(e, STATUS_FORMAT, "bucket %lld: %zu events in the scatter files, %zu expected",
                                   (long long)bucket, n, i_read);
}

static enum status write_bucket(struct job_ctx *ctx, const char *path, const struct feature_rows *rows,
                                const uint32_t *order, bool want_rows, struct error *e)
{
    struct features_writer *w;
    struct feature_rows group;
    int64_t written = 0;
    size_t group_events = want_rows ? GROUP_EVENTS : GROUP_EVENTS_HLF;
    TRY(features_writer_create(path, want_rows, true, &w, e));
    feature_rows_init(&group);
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < rows->n; i++) {
        s = feature_rows_append(&group, rows, order[i], e);
        if (s == STATUS_OK && (group.n == group_events || i + 1 == rows->n)) {
            s = features_write(w, &group, e);
            feature_rows_clear(&group);
            if (s == STATUS_OK)
                s = work_check_cancelled(ctx, e);
        }
    }
    feature_rows_fini(&group);
    if (s != STATUS_OK) {
        features_writer_abort(w);
        return s;
    }
    return features_writer_finish(w, &written, e);
}

/* Gives the events of a bucket the weights that they have in the dataset. */
static enum status weigh(const struct manifest *events, const struct assignment *a, bool test, struct feature_rows *rows,
                         struct error *e)
{
    double factors[METRICS_CLASSES_MAX];
    TRY(weight_factors(events, a, test, factors, e));
    for (size_t i = 0; events->natural_fractions.n_items > 0 && i < rows->n; i++) {
        if (rows->label[i] < 0 || (size_t)rows->label[i] >= events->classes.n_items)
            return error_set(e, STATUS_FORMAT, "label %d of %zu classes", rows->label[i], events->classes.n_items);
        rows->weight[i] = (float)(rows->weight[i] * factors[rows->label[i]]);
    }
    return STATUS_OK;
}

enum status gather_run(struct job_ctx *ctx, const struct features_spec *spec, int64_t bucket, struct buf *result,
                       struct error *e)
{
    (void)result;
    struct features_input in;
    struct assignment a;
    struct feature_rows rows;
    char path[PATH_BYTES_MAX];
    uint32_t *order;
    TRY(features_input_open(ctx, spec, &in, e));
    feature_rows_init(&rows);
    enum status s = assignment_get(ctx, spec, in.manifest, &a, e);
    if (s == STATUS_OK)
        s = assignment_positions(ctx, &a, e);
    for (size_t p = 0; s == STATUS_OK && p < in.manifest->parts.n_items; p++) {
        s = work_check_cancelled(ctx, e);
        if (s == STATUS_OK)
            s = read_bucket(ctx, (int64_t)p, bucket, spec->sequences, &rows, e);
    }
    if (s == STATUS_OK)
        s = order_bucket(ctx, &a, bucket, rows.n, &order, e);
    if (s == STATUS_OK)
        s = weigh(in.manifest, &a, bucket >= train_buckets(&a), &rows, e);
    if (s == STATUS_OK) {
        bool test = bucket >= train_buckets(&a);
        const char *side = test ? "test" : "train";
        char folder[PATH_BYTES_MAX];
        s = work_path(ctx, folder, e, "%s", side);
        if (s == STATUS_OK)
            s = file_make_folder(folder, e);
        if (s == STATUS_OK)
            s = work_path(ctx, path, e, "%s/part-%05lld.parquet", side,
                          (long long)(test ? bucket - train_buckets(&a) : bucket));
        if (s == STATUS_OK)
            s = write_bucket(ctx, path, &rows, order, spec->sequences, e);
        work_progress(ctx, "shuffling", "events", in.manifest->rows * 2, in.manifest->rows * 2, NULL);
    }
    feature_rows_fini(&rows);
    mem_free(a.positions);
    dataset_close(in.events);
    return s;
}
