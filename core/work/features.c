/* core/work/features.c
 *
 * Job kind "features": an events dataset in, two features datasets out (train and test).  The phases are described in
 * core/work/features.h; this file holds the parameters, the plan, and the manifests with scaler and histograms. */
#include "core/work/features.h"

#include "core/base/keep.h"

#include <string.h>
#include <sys/stat.h>

enum { HISTOGRAM_SAMPLE = 1 << 18 };      /* rows from which ranges and medians are taken (the train part is shuffled) */

static const char *const split_names[] = {"stratified", "event_hash", NULL};
static const struct field split_fields[] = {
    FIELD_F64(struct split_spec, test, .min = 0, .max = 0.9, .def = 0.2, .doc = "share of the test part"),
    FIELD_ENUM(struct split_spec, method, split_names,
               .doc = "stratified: exact shares of each class; event_hash: by the event's identity"),
    FIELD_I64(struct split_spec, seed, .min = 0, .max = 9007199254740992.0, .def = 1,
              .doc = "of balance, split and shuffle"),
    FIELD_END,
};
static const struct field spec_fields[] = {
    FIELD_STRING(struct features_spec, dataset, .required = true, .min = 1, .max = 64, .doc = "an events dataset"),
    FIELD_STRING(struct features_spec, recipe, .def_text = "topology-1", .min = 1, .max = 64,
                 .doc = "selection and features: sparkdltrigger-1 or topology-1"),
    FIELD_OBJECT(struct features_spec, split, split_fields),
    FIELD_BOOL(struct features_spec, balance, .def = 1, .doc = "undersample every class to the smallest"),
    FIELD_BOOL(struct features_spec, sequences, .def = 1, .doc = "keep the particle rows, not only the 14 features"),
    FIELD_END,
};
static const struct field result_fields[] = {
    FIELD_STRING(struct features_result, dataset_id, .doc = "train part"),
    FIELD_STRING(struct features_result, test_dataset_id),
    FIELD_STRING(struct features_result, recipe),
    FIELD_I64(struct features_result, events_read),
    FIELD_I64(struct features_result, events_selected),
    FIELD_I64(struct features_result, train_events),
    FIELD_I64(struct features_result, test_events),
    FIELD_LIST_OBJECT(struct features_result, cut_flow, struct cut_row, cut_row_fields),
    FIELD_LIST_OBJECT(struct features_result, class_counts, struct class_count, class_count_fields,
                      .doc = "of the train part"),
    FIELD_END,
};

static enum status validate(const void *spec_, struct error *e)
{
    const struct features_spec *spec = spec_;
    if (recipe_find(spec->recipe))
        return STATUS_OK;
    size_t n;
    const struct recipe *all = recipe_all(&n);
    return error_set(e, STATUS_ARGUMENT, "/recipe: no recipe %s (there are %s and %s)", spec->recipe, all[0].name,
                     all[n - 1].name);
}

enum status features_input_open(struct job_ctx *ctx, const struct features_spec *spec, struct features_input *out,
                                struct error *e)
{
    *out = (struct features_input){.recipe = recipe_find(spec->recipe)};
    if (!out->recipe)
        return error_set(e, STATUS_ARGUMENT, "no recipe %s", spec->recipe);
    TRY(work_dataset_open(ctx, spec->dataset, &out->events, e));
    out->manifest = dataset_manifest(out->events);
    if (out->manifest->kind == DATASET_EVENTS)
        return STATUS_OK;
    dataset_close(out->events);
    out->events = NULL;
    return error_set(e, STATUS_ARGUMENT, "dataset %s holds features already; features are made of an events dataset",
                     spec->dataset);
}

static enum status plan(struct job_ctx *ctx, const void *spec_, int phase, int64_t *n_units, struct error *e)
{
    const struct features_spec *spec = spec_;
    struct features_input in;
    struct assignment a;
    *n_units = -1;
    if (phase > PHASE_GATHER)
        return STATUS_OK;
    TRY(features_input_open(ctx, spec, &in, e));
    enum status s = STATUS_OK;
    if (phase == PHASE_GATHER) {
        s = assignment_get(ctx, spec, in.manifest, &a, e);
        if (s == STATUS_OK)
            *n_units = train_buckets(&a) + test_buckets(&a);
    } else {
        *n_units = (int64_t)in.manifest->parts.n_items;
    }
    dataset_close(in.events);
    return s;
}

static enum status run(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result,
                       struct error *e)
{
    mem_keep();
    switch (phase) {
    case PHASE_SELECT:
        return select_run(ctx, spec, unit, result, e);
    case PHASE_SCATTER:
        return scatter_run(ctx, spec, unit, result, e);
    default:
        return gather_run(ctx, spec, unit, result, e);
    }
}

/* ---- row groups of parts, in order ------------------------------------------------------------------------------ */

struct loop_slot {
    int64_t part;
    size_t group;
    struct feature_rows rows;
};
struct loop_reader {                   /* of one thread */
    int64_t part;                      /* that is open; -1: none */
    struct features_reader *file;
};
/* FOLDER/part-00000 ... by their pattern: read on several threads, taken in order. */
struct part_loop {
    struct job_ctx *ctx;
    const char *pattern;
    int64_t n_parts;
    bool want_rows;
    enum status (*take)(void *take_ctx, const struct feature_rows *rows, struct error *e);
    void *take_ctx;
    int64_t part;
    size_t group;
    struct loop_reader ahead;          /* knows how many row groups the present part has */
    struct loop_slot *slots;
    struct loop_reader *readers;
};

static enum status loop_open(struct part_loop *l, int64_t part, struct loop_reader *r, struct error *e)
{
    char path[PATH_BYTES_MAX];
    if (r->part == part)
        return STATUS_OK;
    features_reader_close(r->file);
    *r = (struct loop_reader){.part = -1};
    TRY(work_path(l->ctx, path, e, "%s-%05lld.parquet", l->pattern, (long long)part));
    TRY(features_reader_open(path, &r->file, e));
    r->part = part;
    return STATUS_OK;
}

static enum status loop_next(void *ctx, size_t slot, bool *end, struct error *e)
{
    struct part_loop *l = ctx;
    TRY(work_check_cancelled(l->ctx, e));
    for (; l->part < l->n_parts; l->part++, l->group = 0) {
        TRY(loop_open(l, l->part, &l->ahead, e));
        if (l->group < features_reader_groups(l->ahead.file))
            break;
    }
    *end = l->part >= l->n_parts;
    l->slots[slot].part = l->part;
    l->slots[slot].group = l->group++;
    return STATUS_OK;
}

static enum status loop_read(void *ctx, size_t slot, size_t thread, struct error *e)
{
    struct part_loop *l = ctx;
    struct loop_slot *s = &l->slots[slot];
    TRY(loop_open(l, s->part, &l->readers[thread], e));
    feature_rows_clear(&s->rows);
    return features_read(l->readers[thread].file, s->group, l->want_rows, &s->rows, e);
}

static enum status loop_take(void *ctx, size_t slot, struct error *e)
{
    struct part_loop *l = ctx;
    return l->take(l->take_ctx, &l->slots[slot].rows, e);
}

static enum status loop_run(struct part_loop *l, struct error *e)
{
    static const struct par_stage_fns stages = {loop_next, loop_read, loop_take};
    size_t threads = l->ctx->threads ? l->ctx->threads : 1, n_slots = threads + 1;
    l->slots = ARENA_NEW(l->ctx->arena, struct loop_slot, n_slots);
    l->readers = ARENA_NEW(l->ctx->arena, struct loop_reader, threads);
    if (!l->slots || !l->readers)
        return error_set(e, STATUS_NOMEM, "reading %s", l->pattern);
    l->ahead.part = -1;
    for (size_t i = 0; i < threads; i++)
        l->readers[i].part = -1;
    for (size_t i = 0; i < n_slots; i++)
        feature_rows_init(&l->slots[i].rows);
    enum status s = par_pipeline(threads, n_slots, &stages, l, e);
    for (size_t i = 0; i < n_slots; i++)
        feature_rows_fini(&l->slots[i].rows);
    for (size_t i = 0; i < threads; i++)
        features_reader_close(l->readers[i].file);
    features_reader_close(l->ahead.file);
    return s;
}

/* ---- scaler and histograms -------------------------------------------------------------------------------------- */

struct fit {
    struct job_ctx *ctx;
    const struct recipe *recipe;
    bool hlf_from_train, ragged;
    struct scaler_fit hlf, rows;
    float *expanded;                   /* one event's full rows */
    struct field_list histograms;
};

static enum status fit_selected(void *ctx, const struct feature_rows *group, struct error *e)
{
    struct fit *f = ctx;
    (void)e;
    scaler_fit_hlf(&f->hlf, f->recipe, group->hlf, group->n);
    return STATUS_OK;
}

static enum status fit_train(void *ctx, const struct feature_rows *group, struct error *e)
{
    struct fit *f = ctx;
    if (f->hlf_from_train)
        scaler_fit_hlf(&f->hlf, f->recipe, group->hlf, group->n);
    for (size_t i = 0; f->ragged && i < group->n; i++) {
        size_t first = group->row_first[i], n = group->row_first[i + 1] - first;
        particle_expand(&group->rows, first, n, f->expanded);
        scaler_fit_rows(&f->rows, f->expanded, n);
    }
    if (f->histograms.n_items == 0) {
        size_t n = group->n < HISTOGRAM_SAMPLE ? group->n : HISTOGRAM_SAMPLE;
        TRY(feature_histograms_create(f->ctx->arena, group->hlf, n, &f->histograms, e));
    }
    feature_histograms_add(&f->histograms, group->hlf, group->weight, group->n);
    return STATUS_OK;
}

/* Fitted where the recipe says: on the train part, or on everything selected. */
static enum status fit_scaler(struct fit *f, const struct features_spec *spec, const struct assignment *a,
                              size_t n_inputs, struct scaler_record *out, struct error *e)
{
    f->hlf_from_train = f->recipe->scale_train_only;
    f->ragged = spec->sequences && !f->recipe->sequence_dense;
    f->expanded = ARENA_NEW(f->ctx->arena, float, (size_t)PARTICLE_ROWS_MAX * PARTICLE_COLUMNS);
    if (!f->expanded)
        return error_set(e, STATUS_NOMEM, "scaler");
    struct part_loop selected = {
        .ctx = f->ctx, .pattern = "select", .n_parts = (int64_t)n_inputs, .take = fit_selected, .take_ctx = f};
    struct part_loop train = {.ctx = f->ctx,
                              .pattern = "train/part",
                              .n_parts = train_buckets(a),
                              .want_rows = f->ragged,
                              .take = fit_train,
                              .take_ctx = f};
    if (!f->hlf_from_train)
        TRY(loop_run(&selected, e));
    TRY(loop_run(&train, e));
    struct hlf_scaler hlf = scaler_hlf(&f->hlf, f->recipe);
    struct sequence_scaler rows = scaler_sequence(&f->rows);
    return scaler_record_make(f->ctx->arena, &hlf, f->ragged ? &rows : NULL, out, e);
}

/* ---- the two datasets ---------------------------------------------------------------------------------------------- */

static enum status gather_cut_flow(struct job_ctx *ctx, const struct assignment *a, size_t n_inputs, size_t n_classes,
                                   struct cut_flow *flow, struct error *e)
{
    for (size_t p = 0; p < n_inputs; p++) {
        struct select_unit unit;
        TRY(work_unit_result(ctx, PHASE_SELECT, (int64_t)p, select_unit_fields, &unit, e));
        const struct cut_row *rows = unit.cut_flow.items;
        for (size_t i = 0; i < unit.cut_flow.n_items; i++)
            TRY(cut_flow_add(ctx->arena, flow, rows[i].reason, rows[i].label, rows[i].events, rows[i].weight, e));
    }
    const struct cut_row *away = a->balanced_away.items;
    for (size_t k = 0; k < a->balanced_away.n_items; k++)
        TRY(cut_flow_add(ctx->arena, flow, "balance", away[k].label, away[k].events, away[k].weight, e));
    const struct class_count *counts = a->class_counts.items;
    for (size_t k = 0; k < a->class_counts.n_items; k++)
        TRY(cut_flow_add(ctx->arena, flow, k < n_classes ? "train" : "test", counts[k].name, counts[k].events,
                         counts[k].weight, e));
    return STATUS_OK;
}

/* The parts of one side, as their units described them; they are seen to be there. */
static enum status describe_parts(struct job_ctx *ctx, const char *folder, int64_t first_bucket, int64_t n_buckets,
                                  struct field_list *out, struct error *e)
{
    struct dataset_part *parts = ARENA_NEW(ctx->arena, struct dataset_part, (size_t)n_buckets + 1);
    if (!parts)
        return error_set(e, STATUS_NOMEM, "list of parts");
    for (int64_t i = 0; i < n_buckets; i++) {
        char name[48], path[PATH_BYTES_MAX];
        struct gather_unit unit;
        struct stat st;
        TRY(work_unit_result(ctx, PHASE_GATHER, first_bucket + i, gather_unit_fields, &unit, e));
        snprintf(name, sizeof name, "part-%05lld.parquet", (long long)i);
        TRY(work_path(ctx, path, e, "%s/%s", folder, name));
        if (stat(path, &st) != 0)
            return error_errno(e, "%s/%s", folder, name);
        if (!unit.sha256 || st.st_size != unit.bytes)
            return error_set(e, STATUS_FORMAT, "%s/%s holds %lld bytes, %lld were written", folder, name,
                             (long long)st.st_size, (long long)unit.bytes);
        struct part_written written = {.rows = unit.events, .bytes = unit.bytes};
        text_copy(written.sha256, sizeof written.sha256, unit.sha256);
        TRY(dataset_part_written(ctx->arena, name, &written, &parts[i], e));
    }
    *out = (struct field_list){parts, (size_t)n_buckets};
    return STATUS_OK;
}

/* Counts of one side, in the weights that its rows have; and the factors, when there are fractions. */
static enum status weigh_counts(struct job_ctx *ctx, const struct manifest *events, const struct assignment *a, bool test,
                                struct manifest *m, struct error *e)
{
    double factors[METRICS_CLASSES_MAX];
    size_t n = events->classes.n_items;
    TRY(weight_factors(events, a, test, factors, e));
    const struct class_count *side = (const struct class_count *)a->class_counts.items + (test ? n : 0);
    struct class_count *counts = ARENA_NEW(ctx->arena, struct class_count, n);
    struct field_pair *pairs = ARENA_NEW(ctx->arena, struct field_pair, n);
    if (!counts || !pairs)
        return error_set(e, STATUS_NOMEM, "class counts");
    for (size_t k = 0; k < n; k++) {
        counts[k] = (struct class_count){side[k].name, side[k].events, side[k].weight * factors[k]};
        pairs[k] = (struct field_pair){side[k].name, factors[k]};
    }
    m->class_counts = (struct field_list){counts, n};
    m->weight_factors = (struct field_list){pairs, events->natural_fractions.n_items > 0 ? n : 0};
    return STATUS_OK;
}

static enum status check_cancelled(void *ctx, struct error *e)
{
    return work_check_cancelled(ctx, e);
}

/* Writes and publishes one side; `m` is complete but for id, split, counts and parts. */
static enum status publish_side(struct job_ctx *ctx, const struct manifest *events, struct manifest *m,
                                const struct assignment *a, bool test, const char *const ids[2], struct error *e)
{
    char folder[PATH_BYTES_MAX];
    m->split = test ? "test" : "train";
    m->id = ids[test];
    m->sibling_id = ids[!test];
    TRY(weigh_counts(ctx, events, a, test, m, e));
    TRY(work_path(ctx, folder, e, "%s", m->split));
    TRY(file_make_folder(folder, e));
    TRY(describe_parts(ctx, m->split, test ? train_buckets(a) : 0, test ? test_buckets(a) : train_buckets(a), &m->parts,
                       e));
    const struct summary_watch watch = {check_cancelled, ctx};
    TRY(features_summary(folder, m, &watch, ctx->arena, &m->quantiles, &m->correlations, e));
    TRY(manifest_write(folder, m, e));
    const struct artifact artifact = {.kind = "dataset", .id = m->id, .staged = folder, .name = m->split};
    return ctx->host->publish(ctx->host_ctx, &artifact, e);
}

static enum status finish_open(struct job_ctx *ctx, const struct features_spec *spec, const struct features_input *in,
                               struct features_result *result, struct error *e)
{
    struct assignment a;
    struct cut_flow flow = {0};
    const char *ids[2];
    size_t n_inputs = in->manifest->parts.n_items, n_classes = in->manifest->classes.n_items;
    TRY(assignment_get(ctx, spec, in->manifest, &a, e));
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "ds", 0, &ids[0], e));
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "ds", 1, &ids[1], e));
    TRY(gather_cut_flow(ctx, &a, n_inputs, n_classes, &flow, e));

    struct manifest m;
    field_defaults(manifest_fields, &m);
    m.kind = DATASET_FEATURES;
    m.job_id = ctx->job_id;
    m.parent_id = spec->dataset;
    m.created_at = ctx->created_at;
    m.build_id = DLT_BUILD_ID;
    m.recipe = in->recipe->name;
    m.seed = spec->split.seed;
    m.has_rows = spec->sequences;
    m.classes = in->manifest->classes;
    m.sources = in->manifest->sources;
    m.natural_fractions = in->manifest->natural_fractions;
    m.cuts = in->manifest->cuts;
    m.cut_flow = cut_flow_list(&flow);
    struct fit f = {.ctx = ctx, .recipe = in->recipe};
    enum status s = fit_scaler(&f, spec, &a, n_inputs, &m.scaler, e);
    m.histograms = f.histograms;
    TRY(s);
    TRY(publish_side(ctx, in->manifest, &m, &a, false, ids, e));
    const struct field_list train_counts = m.class_counts;
    TRY(publish_side(ctx, in->manifest, &m, &a, true, ids, e));
    *result = (struct features_result){
        .dataset_id = ids[0],
        .test_dataset_id = ids[1],
        .recipe = in->recipe->name,
        .events_read = in->manifest->rows,
        .events_selected = a.n_selected,
        .train_events = a.n_train,
        .test_events = a.n_test,
        .cut_flow = m.cut_flow,
        .class_counts = train_counts,
    };
    return STATUS_OK;
}

static enum status finish(struct job_ctx *ctx, const void *spec, void *result, struct error *e)
{
    struct features_input in;
    TRY(features_input_open(ctx, spec, &in, e));
    enum status s = finish_open(ctx, spec, &in, result, e);
    /* Names in the result live in the manifest's arena: copy before it goes. */
    struct features_result copy;
    if (s == STATUS_OK)
        s = field_copy(ctx->arena, result_fields, result, &copy, e);
    if (s == STATUS_OK)
        *(struct features_result *)result = copy;
    dataset_close(in.events);
    mem_give_back();
    return s;
}

const struct job_kind features_kind = {
    .name = "features",
    .doc = "Selects events, computes features by a recipe, balances, splits and shuffles: a train and a test dataset.",
    .spec_fields = spec_fields,
    .spec_size = sizeof(struct features_spec),
    .result_fields = result_fields,
    .result_size = sizeof(struct features_result),
    .max_attempts = 3,
    .validate = validate,
    .plan = plan,
    .run = run,
    .finish = finish,
};
