/* core/work/features_gather.c
 *
 * Phase 2 of "features": the events of one bucket from all scatter files, put in order and written as one part.  Row
 * groups are read, and the columns of a row group written, on ctx->threads; the bytes do not depend on them. */
#include "core/work/features.h"

#include <string.h>

enum { GROUP_EVENTS = 500, GROUP_EVENTS_HLF = 50000 };

const struct field gather_unit_fields[] = {
    FIELD_I64(struct gather_unit, events),
    FIELD_I64(struct gather_unit, bytes),
    FIELD_STRING(struct gather_unit, sha256),
    FIELD_END,
};

/* A row group of a scatter file that belongs to the bucket. */
struct piece {
    int64_t part;
    size_t group, n_groups;            /* of all in the file */
    struct feature_rows rows;
};
struct place {
    uint32_t piece, row;
};
struct bucket {
    struct job_ctx *ctx;
    const struct features_spec *spec;
    struct piece *pieces;
    size_t n_pieces, n;                /* n: events */
    struct place *order;               /* [n]: the event at each position */
    size_t next;                       /* position at which the next row group begins */
    struct feature_rows *groups;       /* [threads] row groups on their way out */
};

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* The bucket's row groups in the order in which they were written. */
static enum status list_pieces(struct bucket *b, size_t n_parts, int64_t bucket, struct error *e)
{
    size_t cap = 0;
    for (int pass = 0; pass < 2; pass++) {
        b->n_pieces = 0;
        for (size_t p = 0; p < n_parts; p++) {
            struct scatter_unit unit;
            TRY(work_unit_result(b->ctx, PHASE_SCATTER, (int64_t)p, scatter_unit_fields, &unit, e));
            const int64_t *buckets = unit.buckets.items;
            for (size_t g = 0; g < unit.buckets.n_items; g++) {
                if (buckets[g] != bucket)
                    continue;
                if (pass == 1)
                    b->pieces[b->n_pieces] = (struct piece){(int64_t)p, g, unit.buckets.n_items, {0}};
                b->n_pieces++;
            }
        }
        if (pass == 1 || b->n_pieces == 0)
            break;
        cap = b->n_pieces;
        b->pieces = ARENA_NEW(b->ctx->arena, struct piece, cap);
        if (!b->pieces)
            return error_set(e, STATUS_NOMEM, "bucket of %zu row groups", cap);
    }
    for (size_t i = 0; i < b->n_pieces; i++)
        feature_rows_init(&b->pieces[i].rows);
    return STATUS_OK;
}

static enum status read_piece(void *ctx, size_t i, size_t thread, struct error *e)
{
    const struct bucket *b = ctx;
    struct piece *p = &b->pieces[i];
    struct features_reader *reader;
    char path[PATH_BYTES_MAX];
    (void)thread;
    TRY(work_check_cancelled(b->ctx, e));
    TRY(work_path(b->ctx, path, e, "scatter-%05lld.parquet", (long long)p->part));
    TRY(features_reader_open(path, &reader, e));
    enum status s = features_reader_groups(reader) == p->n_groups
                        ? features_read(reader, p->group, b->spec->sequences, &p->rows, e)
                        : error_set(e, STATUS_FORMAT, "scatter file %lld: %zu row groups, its unit counted %zu",
                                    (long long)p->part, features_reader_groups(reader), p->n_groups);
    features_reader_close(reader);
    return s;
}

static enum status order_bucket(struct bucket *b, const struct assignment *a, int64_t bucket, struct error *e)
{
    for (size_t i = 0; i < b->n_pieces; i++)
        b->n += b->pieces[i].rows.n;
    b->order = ARENA_NEW(b->ctx->arena, struct place, b->n + 1);
    if (!b->order)
        return error_set(e, STATUS_NOMEM, "order of a bucket");
    size_t n_placed = 0;
    struct place from = {0, 0};
    for (int64_t i = 0; i < a->n_selected; i++) {
        uint32_t position = a->positions[i];
        if (position == POSITION_DROPPED || bucket_of(a, position) != bucket)
            continue;
        size_t at = (size_t)((int64_t)(position & POSITION_MASK) % a->bucket_events);
        if (at >= b->n || n_placed >= b->n)
            return error_set(e, STATUS_FORMAT, "bucket %lld: more events than its scatter files hold",
                             (long long)bucket);
        while (from.row == b->pieces[from.piece].rows.n)
            from = (struct place){from.piece + 1, 0};
        b->order[at] = from;
        from.row++;
        n_placed++;
    }
    return n_placed == b->n ? STATUS_OK
                            : error_set(e, STATUS_FORMAT, "bucket %lld: %zu events in the scatter files, %zu expected",
                                        (long long)bucket, b->n, n_placed);
}

/* Gives the events of a bucket the weights that they have in the dataset. */
static enum status weigh(const struct manifest *events, const struct assignment *a, bool test,
                         struct feature_rows *rows, struct error *e)
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

/* ---- writing --------------------------------------------------------------------------------------------------- */

static size_t group_events(const struct bucket *b)
{
    return b->spec->sequences ? GROUP_EVENTS : GROUP_EVENTS_HLF;
}

/* Row group `i` of those that are assembled together. */
static enum status assemble(void *ctx, size_t i, size_t thread, struct error *e)
{
    const struct bucket *b = ctx;
    (void)thread;
    size_t first = b->next + i * group_events(b), end = first + group_events(b);
    struct feature_rows *to = &b->groups[i];
    feature_rows_clear(to);
    for (size_t at = first; at < end && at < b->n; at++)
        TRY(feature_rows_append(to, &b->pieces[b->order[at].piece].rows, b->order[at].row, e));
    return STATUS_OK;
}

static enum status write_groups(struct bucket *b, size_t threads, struct features_writer *w, struct error *e)
{
    for (b->next = 0; b->next < b->n; b->next += threads * group_events(b)) {
        size_t left = (b->n - b->next + group_events(b) - 1) / group_events(b), n = left < threads ? left : threads;
        TRY(par_for(threads, n, assemble, b, e));
        for (size_t i = 0; i < n; i++) {
            TRY(features_write(w, &b->groups[i], e));
            TRY(work_check_cancelled(b->ctx, e));
        }
    }
    return STATUS_OK;
}

static enum status write_bucket(struct bucket *b, const char *path, struct part_written *written, struct error *e)
{
    struct features_writer *w;
    size_t threads = b->ctx->threads ? b->ctx->threads : 1;
    b->groups = ARENA_NEW(b->ctx->arena, struct feature_rows, threads);
    if (!b->groups)
        return error_set(e, STATUS_NOMEM, "row groups");
    TRY(features_writer_create(path, b->spec->sequences, true, &w, e));
    for (size_t i = 0; i < threads; i++)
        feature_rows_init(&b->groups[i]);
    enum status s = features_writer_threads(w, threads, e);
    if (s == STATUS_OK)
        s = write_groups(b, threads, w, e);
    for (size_t i = 0; i < threads; i++)
        feature_rows_fini(&b->groups[i]);
    if (s != STATUS_OK) {
        features_writer_abort(w);
        return s;
    }
    return features_writer_finish_described(w, written, e);
}

/* ---- a unit ---------------------------------------------------------------------------------------------------- */

static enum status gather_bucket(struct bucket *b, const struct features_input *in, const struct assignment *a,
                                 int64_t bucket, struct part_written *written, struct error *e)
{
    bool test = bucket >= train_buckets(a);
    const char *side = test ? "test" : "train";
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    TRY(list_pieces(b, in->manifest->parts.n_items, bucket, e));
    TRY(par_for(b->ctx->threads, b->n_pieces, read_piece, b, e));
    TRY(order_bucket(b, a, bucket, e));
    for (size_t i = 0; i < b->n_pieces; i++)
        TRY(weigh(in->manifest, a, test, &b->pieces[i].rows, e));
    TRY(work_path(b->ctx, folder, e, "%s", side));
    TRY(file_make_folder(folder, e));
    TRY(work_path(b->ctx, path, e, "%s/part-%05lld.parquet", side,
                  (long long)(test ? bucket - train_buckets(a) : bucket)));
    return write_bucket(b, path, written, e);
}

enum status gather_run(struct job_ctx *ctx, const struct features_spec *spec, int64_t bucket, struct buf *result,
                       struct error *e)
{
    struct features_input in;
    struct assignment a = {0};
    struct part_written written;
    struct bucket b = {.ctx = ctx, .spec = spec};
    TRY(features_input_open(ctx, spec, &in, e));
    enum status s = assignment_get(ctx, spec, in.manifest, &a, e);
    if (s == STATUS_OK)
        s = assignment_positions(ctx, &a, e);
    if (s == STATUS_OK)
        s = gather_bucket(&b, &in, &a, bucket, &written, e);
    if (s == STATUS_OK) {
        const struct gather_unit unit = {written.rows, written.bytes, written.sha256};
        s = field_write_text(gather_unit_fields, &unit, result, e);
        work_progress(ctx, "shuffling", "events", in.manifest->rows * 2, in.manifest->rows * 2, NULL);
    }
    for (size_t i = 0; i < b.n_pieces; i++)
        feature_rows_fini(&b.pieces[i].rows);
    mem_free(a.positions);
    dataset_close(in.events);
    return s;
}
