/* core/work/features_select.c
 *
 * Phase 0 of "features": selection and high-level features of one events part.  Also the loop over a part's row groups
 * that phase 1 shares. */
#include "core/work/features.h"

#include <string.h>
#include <unistd.h>

const struct field select_unit_fields[] = {
    FIELD_I64(struct select_unit, selected),
    FIELD_LIST_OBJECT(struct select_unit, cut_flow, struct cut_row, cut_row_fields),
    FIELD_END,
};

/* ---- row groups -> features, in order ----------------------------------------------------------------------- */

struct group_slot {
    struct event_batch events;
    struct feature_batch features;
};
struct part_run {
    struct job_ctx *ctx;
    const struct recipe *recipe;
    struct events_reader *reader;
    size_t next_group;
    bool want_rows;
    struct group_slot *slots;
    enum status (*take)(void *take_ctx, const struct event_batch *, const struct feature_batch *, struct error *);
    void *take_ctx;
};

static enum status read_group(void *ctx, size_t slot, bool *end, struct error *e)
{
    struct part_run *r = ctx;
    TRY(work_check_cancelled(r->ctx, e));
    *end = r->next_group >= events_reader_groups(r->reader);
    return *end ? STATUS_OK : events_read(r->reader, r->next_group++, &r->slots[slot].events, e);
}

static enum status compute_group(void *ctx, size_t slot, size_t thread, struct error *e)
{
    (void)thread;
    struct part_run *r = ctx;
    return features_compute(r->recipe, &r->slots[slot].events, r->want_rows, &r->slots[slot].features, e);
}

static enum status take_group(void *ctx, size_t slot, struct error *e)
{
    struct part_run *r = ctx;
    return r->take(r->take_ctx, &r->slots[slot].events, &r->slots[slot].features, e);
}

enum status part_events_run(struct job_ctx *ctx, const struct features_input *in, size_t part, bool want_rows,
                            enum status (*take)(void *take_ctx, const struct event_batch *events,
                                                const struct feature_batch *features, struct error *e),
                            void *take_ctx, struct error *e)
{
    static const struct par_stage_fns stages = {read_group, compute_group, take_group};
    size_t threads = ctx->threads ? ctx->threads : 1, n_slots = threads + 1;
    struct part_run r = {.ctx = ctx, .recipe = in->recipe, .want_rows = want_rows, .take = take, .take_ctx = take_ctx};
    r.slots = ARENA_NEW(ctx->arena, struct group_slot, n_slots);
    if (!r.slots)
        return error_set(e, STATUS_NOMEM, "features");
    TRY(events_reader_open(in->events, part, &r.reader, e));
    if (!want_rows)
        events_reader_without_rows(r.reader);
    for (size_t i = 0; i < n_slots; i++) {
        event_batch_init(&r.slots[i].events);
        feature_batch_init(&r.slots[i].features);
    }
    enum status s = par_pipeline(threads, n_slots, &stages, &r, e);
    for (size_t i = 0; i < n_slots; i++) {
        event_batch_fini(&r.slots[i].events);
        feature_batch_fini(&r.slots[i].features);
    }
    events_reader_close(r.reader);
    return s;
}

enum status feature_rows_take(struct feature_rows *out, const struct event_batch *events,
                              const struct feature_batch *features, size_t i, int32_t source, struct error *e)
{
    const uint32_t bounds[2] = {features->row_first[i], features->row_first[i + 1]};
    size_t n_rows = bounds[1] - bounds[0], at = out->n, row = out->n_rows;
    TRY(feature_rows_reserve(out, at + 1, row + n_rows, e));
    out->label[at] = events->label[i];
    out->weight[at] = events->weight[i];
    out->number[at] = events->number[i];
    out->entry[at] = events->entry[i];
    out->source[at] = source;
    memcpy(out->hlf + at * HLF_COUNT, features->hlf + i * HLF_COUNT, HLF_COUNT * sizeof(float));
    const struct particle_columns *from = &features->rows;
    struct particle_columns *to = &out->rows;
#define COPY(member) memcpy(to->member + row, from->member + bounds[0], n_rows * sizeof *to->member)
    if (n_rows > 0) {
        COPY(pt), COPY(eta), COPY(phi), COPY(x), COPY(y), COPY(z);
        COPY(iso_ch), COPY(iso_gamma), COPY(iso_neu), COPY(kind), COPY(charge);
    }
#undef COPY
    out->n = at + 1;
    out->n_rows = row + n_rows;
    out->row_first[out->n] = (uint32_t)out->n_rows;
    return STATUS_OK;
}

/* ---- phase 0 ----------------------------------------------------------------------------------------------- */

struct select_run {
    struct job_ctx *ctx;
    const struct manifest *manifest;
    struct features_writer *writer;
    struct feature_rows rows;
    struct cut_flow flow;
    int32_t source;
    int64_t done, total;
};

static enum status select_batch(void *ctx, const struct event_batch *events, const struct feature_batch *features,
                                struct error *e)
{
    struct select_run *r = ctx;
    const char *const *classes = r->manifest->classes.items;
    feature_rows_clear(&r->rows);
    for (size_t i = 0; i < events->n_events; i++) {
        int32_t label = events->label[i];
        if (label < 0 || (size_t)label >= r->manifest->classes.n_items)
            return error_set(e, STATUS_FORMAT, "entry %lld: label %d of %zu classes", (long long)events->entry[i],
                             label, r->manifest->classes.n_items);
        enum reject reject = features->reject[i];
        TRY(cut_flow_add(r->ctx->arena, &r->flow, "read", classes[label], 1, events->weight[i], e));
        TRY(cut_flow_add(r->ctx->arena, &r->flow, reject == REJECT_NONE ? "selected" : reject_name(reject),
                         classes[label], 1, events->weight[i], e));
        if (reject == REJECT_NONE)
            TRY(feature_rows_take(&r->rows, events, features, i, r->source, e));
    }
    r->done += (int64_t)events->n_events;
    work_progress(r->ctx, "selecting", "events", r->done, r->total, NULL);
    return features_write(r->writer, &r->rows, e);
}

enum status select_run(struct job_ctx *ctx, const struct features_spec *spec, int64_t part, struct buf *result,
                       struct error *e)
{
    struct features_input in;
    char path[PATH_BYTES_MAX];
    int64_t selected = 0;
    TRY(features_input_open(ctx, spec, &in, e));
    const struct dataset_part *parts = in.manifest->parts.items;
    struct select_run r = {.ctx = ctx, .manifest = in.manifest, .source = (int32_t)parts[part].source};
    r.total = in.manifest->rows * 2;
    for (int64_t i = 0; i < part; i++)
        r.done += parts[i].rows;
    feature_rows_init(&r.rows);
    enum status s = work_path(ctx, path, e, "select-%05lld.parquet", (long long)part);
    if (s == STATUS_OK)
        s = features_writer_create(path, false, false, &r.writer, e);
    if (s == STATUS_OK) {
        s = part_events_run(ctx, &in, (size_t)part, false, select_batch, &r, e);
        if (s == STATUS_OK)
            s = features_writer_finish(r.writer, &selected, e);
        else
            features_writer_abort(r.writer);
    }
    if (s == STATUS_OK) {
        const struct select_unit unit = {selected, cut_flow_list(&r.flow)};
        s = field_write_text(select_unit_fields, &unit, result, e);
    }
    feature_rows_fini(&r.rows);
    dataset_close(in.events);
    return s;
}
