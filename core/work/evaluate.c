/* core/work/evaluate.c
 *
 * Job kind "evaluate": a model and a features dataset in, its figures out: loss, accuracy, confusion, ROC and AUC per
 * class, efficiencies at the working points.  Phase 0 scores, a unit some parts of the dataset, and leaves the scores
 * in a file; phase 1 puts them together.  So a cancelled or killed job does not score twice. */
#include "core/work/private.h"

#include <string.h>

enum {
    SCORE_BATCH = 16384,               /* rows between two looks at whether to stop ... */
    SCORE_PART = 256,                  /* ... and of them, a thread at a time */
    UNIT_ROWS = 100000, UNIT_ROWS_SEQUENCES = 10000,          /* some seconds of one core */
    RECORD_BYTES_MAX = 64 << 20
};
static const size_t scores_bytes_max = (size_t)1 << 40;

struct evaluate_spec {
    const char *model, *dataset;
    bool event_weights;
};
static const struct field spec_fields[] = {
    FIELD_STRING(struct evaluate_spec, model, .required = true, .min = 1, .max = 128,
                 .doc = "name, name@version or name@alias"),
    FIELD_STRING(struct evaluate_spec, dataset, .required = true, .min = 1, .max = 64,
                 .doc = "a features dataset, usually the test part"),
    FIELD_BOOL(struct evaluate_spec, event_weights,
               .doc = "weight by the events' weights: the generator's, scaled by natural_fractions"),
    FIELD_END,
};
static const struct field result_fields[] = {
    FIELD_STRING(struct evaluate_result, evaluation_id),
    FIELD_STRING(struct evaluate_result, model_version),
    FIELD_STRING(struct evaluate_result, dataset_id),
    FIELD_I64(struct evaluate_result, n_events),
    FIELD_F64(struct evaluate_result, loss, .nullable = true),
    FIELD_F64(struct evaluate_result, accuracy, .nullable = true),
    FIELD_F64(struct evaluate_result, auc_macro, .nullable = true),
    FIELD_MAP(struct evaluate_result, auc, .nullable = true, .doc = "one against the rest"),
    FIELD_LIST_OBJECT(struct evaluate_result, working_points, struct working_point, working_point_fields,
                      .doc = "at 99 % signal efficiency"),
    FIELD_END,
};
const struct field evaluation_record_fields[] = {
    FIELD_STRING(struct evaluation_record, id),
    FIELD_STRING(struct evaluation_record, model_version),
    FIELD_STRING(struct evaluation_record, model_sha256),
    FIELD_STRING(struct evaluation_record, dataset_id),
    FIELD_STRING(struct evaluation_record, recipe),
    FIELD_STRING(struct evaluation_record, created_at),
    FIELD_OBJECT(struct evaluation_record, metrics, evaluation_fields),
    FIELD_END,
};

/* Recipe and classes must be those that the model was made with. */
static enum status check_match(const struct model *m, const struct manifest *d, struct error *e)
{
    if (d->kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds events: make features of it first (job kind features)",
                         d->id);
    if (!d->recipe || strcmp(d->recipe, model_recipe(m)->name) != 0)
        return error_set(e, STATUS_ARGUMENT,
                         "the model was made with recipe %s, dataset %s with %s: make features with the model's recipe",
                         model_recipe(m)->name, d->id, d->recipe ? d->recipe : "none");
    bool scaled = scaler_record_is_identity(&model_header(m)->scaler);
    if (model_input(m) != INPUT_SEQUENCE && scaled != d->scaled)
        return error_set(e, STATUS_ARGUMENT, "the model learned from features %s, dataset %s holds them %s: they do not fit",
                         scaled ? "that were scaled before they were imported" : "in their units", d->id,
                         d->scaled ? "scaled" : "in their units");
    bool same = d->classes.n_items == model_n_classes(m);
    for (size_t i = 0; same && i < d->classes.n_items; i++)
        same = strcmp(((const char *const *)d->classes.items)[i], model_class(m, i)) == 0;
    return same ? STATUS_OK
                : error_set(e, STATUS_ARGUMENT, "dataset %s has other classes, or another order of classes, than the model",
                            d->id);
}

struct score_job {
    const struct model *model;
    const struct feature_rows *rows;
    size_t first, n;
    float *scores;
};

static enum status score_part(void *ctx, size_t i, size_t thread, struct error *e)
{
    (void)thread, (void)e;
    const struct score_job *job = ctx;
    size_t from = job->first + i * SCORE_PART, left = job->first + job->n - from;
    struct model_rows rows = {job->rows->hlf + from * HLF_COUNT, NULL, NULL};
    if (model_input(job->model) != INPUT_HLF) {
        rows.rows = &job->rows->rows;
        rows.row_first = job->rows->row_first + from;
    }
    model_predict(job->model, &rows, left < SCORE_PART ? left : SCORE_PART,
                  job->scores + from * model_n_classes(job->model));
    return STATUS_OK;
}

/* ---- units ------------------------------------------------------------------------------------------------------- */

/* What is evaluated: the version is looked up once a job, since an alias may move meanwhile. */
struct evaluated {
    const char *model_version;
};
static const struct field evaluated_fields[] = {
    FIELD_STRING(struct evaluated, model_version, .required = true, .min = 1, .max = 256),
    FIELD_END,
};

/* Kept in memory between the units of one attempt. */
struct scoring {
    struct model *model;
    struct dataset *dataset;
    char model_version[257];
};

static void free_scoring(void *state)
{
    struct scoring *s = state;
    model_release(s->model);
    dataset_close(s->dataset);
    mem_free(s);
}

static enum status open_model(struct job_ctx *ctx, const struct evaluate_spec *spec, struct scoring *out,
                              struct error *e)
{
    struct evaluated which;
    bool found;
    const char *folder, *canonical;
    char path[PATH_BYTES_MAX];
    TRY(work_record_load(ctx, "evaluated", evaluated_fields, &which, &found, e));
    const char *ref = found ? which.model_version : spec->model;
    TRY(ctx->host->resolve_artifact(ctx->host_ctx, ctx->arena, "model", ref, &folder, &canonical, e));
    which.model_version = canonical;
    if (!found)
        TRY(work_record_save(ctx, "evaluated", evaluated_fields, &which, e));
    text_copy(out->model_version, sizeof out->model_version, canonical);
    if (snprintf(path, sizeof path, "%s/%s", folder, MODEL_FILE) >= (int)sizeof path)
        return error_set(e, STATUS_RANGE, "model path");
    return model_load(path, &out->model, e);
}

static enum status open_all(struct job_ctx *ctx, const struct evaluate_spec *spec, struct scoring *out, struct error *e)
{
    TRY(open_model(ctx, spec, out, e));
    TRY(work_dataset_open(ctx, spec->dataset, &out->dataset, e));
    const struct manifest *m = dataset_manifest(out->dataset);
    TRY(check_match(out->model, m, e));
    return model_input(out->model) == INPUT_HLF ? STATUS_OK
                                                : work_check_rows(m, model_header(out->model)->estimator, e);
}

static enum status get_scoring(struct job_ctx *ctx, const struct evaluate_spec *spec, struct scoring **out,
                               struct error *e)
{
    if (!ctx->state) {
        struct scoring *s = mem_calloc(1, sizeof *s);
        if (!s)
            return error_set(e, STATUS_NOMEM, "evaluation");
        if (open_all(ctx, spec, s, e) != STATUS_OK) {
            free_scoring(s);
            return e->status;
        }
        ctx->state = s;
        ctx->free_state = free_scoring;
    }
    *out = ctx->state;
    return STATUS_OK;
}

/* Parts of a unit: [*first, *last), in order, so many that they have enough rows.  Returns whether there is such a
 * unit. */
static bool unit_parts(const struct scoring *s, int64_t unit, size_t *first, size_t *last, int64_t *rows_before)
{
    const struct manifest *m = dataset_manifest(s->dataset);
    const struct dataset_part *parts = m->parts.items;
    int64_t enough = model_input(s->model) == INPUT_HLF ? UNIT_ROWS : UNIT_ROWS_SEQUENCES, rows = 0;
    *first = *last = 0;
    for (*rows_before = 0; *last < m->parts.n_items; *rows_before += rows, unit--) {
        *first = *last;
        for (rows = 0; *last < m->parts.n_items && rows < enough; (*last)++)
            rows += parts[*last].rows;
        if (unit == 0)
            return true;
    }
    return false;
}

static enum status plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    struct scoring *s;
    size_t first, last;
    int64_t before;
    *n_units = phase == 1 ? 1 : -1;
    if (phase != 0)
        return STATUS_OK;
    TRY(get_scoring(ctx, spec, &s, e));
    for (*n_units = 0; unit_parts(s, *n_units, &first, &last, &before);)
        ++*n_units;
    return STATUS_OK;
}

/* ---- scores of a unit: number of rows, labels, weights, scores --------------------------------------------------- */

static enum status score_rows(struct job_ctx *ctx, const struct scoring *s, const struct feature_rows *rows,
                              int64_t before, float *scores, struct error *e)
{
    for (size_t i = 0; i < rows->n; i += SCORE_BATCH) {
        size_t n = rows->n - i < SCORE_BATCH ? rows->n - i : SCORE_BATCH;
        TRY(work_check_cancelled(ctx, e));
        struct score_job job = {s->model, rows, i, n, scores};
        TRY(par_for(ctx->threads, (n + SCORE_PART - 1) / SCORE_PART, score_part, &job, e));
        work_progress(ctx, "scoring", "events", before + (int64_t)(i + n), dataset_manifest(s->dataset)->rows, NULL);
    }
    return STATUS_OK;
}

static enum status save_scores(struct job_ctx *ctx, const struct scoring *s, int64_t unit, int64_t before,
                               const struct feature_rows *rows, struct error *e)
{
    size_t k = model_n_classes(s->model), n = rows->n;
    uint64_t count = n;
    char path[PATH_BYTES_MAX];
    struct buf out;
    TRY(work_path(ctx, path, e, "scores-%05lld", (long long)unit));
    buf_init(&out, scores_bytes_max);
    enum status status = buf_reserve(&out, sizeof count + n * (8 + 4 * k), e);
    if (status == STATUS_OK)
        status = buf_append(&out, &count, sizeof count, e);
    if (status == STATUS_OK)
        status = buf_append(&out, rows->label, n * 4, e);
    if (status == STATUS_OK)
        status = buf_append(&out, rows->weight, n * 4, e);
    if (status == STATUS_OK)
        status = score_rows(ctx, s, rows, before, (float *)(void *)(out.data + out.len), e);
    if (status == STATUS_OK)
        status = file_write_atomic(path, out.data, out.len + n * 4 * k, e);
    buf_fini(&out);
    return status;
}

static enum status run_scores(struct job_ctx *ctx, const struct scoring *s, int64_t unit, struct error *e)
{
    size_t first, last;
    int64_t before;
    struct feature_rows rows;
    check(unit_parts(s, unit, &first, &last, &before));
    feature_rows_init(&rows);
    enum status status = feature_rows_reserve(&rows, 1, 0, e);
    for (; status == STATUS_OK && first < last; first++) {
        struct features_reader *r;
        status = dataset_features_reader(s->dataset, first, &r, e);
        for (size_t g = 0; status == STATUS_OK && g < features_reader_groups(r); g++)
            status = features_read(r, g, model_input(s->model) != INPUT_HLF, &rows, e);
        features_reader_close(r);
    }
    if (status == STATUS_OK)
        status = save_scores(ctx, s, unit, before, &rows, e);
    feature_rows_fini(&rows);
    return status;
}

/* ---- putting them together --------------------------------------------------------------------------------------- */

struct scored {
    size_t n, cap, k;
    int32_t *label;
    float *weight, *scores;
};

static enum status load_scores(struct job_ctx *ctx, int64_t unit, struct scored *s, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf in;
    uint64_t count = UINT64_MAX;
    TRY(work_path(ctx, path, e, "scores-%05lld", (long long)unit));
    buf_init(&in, scores_bytes_max);
    enum status status = file_read(path, &in, e);
    if (status == STATUS_OK && in.len >= sizeof count)
        memcpy(&count, in.data, sizeof count);
    if (status == STATUS_OK && (count > s->cap - s->n || in.len != sizeof count + count * (8 + 4 * s->k)))
        status = error_set(e, STATUS_FORMAT, "scores of unit %lld: not what the unit left", (long long)unit);
    if (status == STATUS_OK) {
        const uint8_t *at = in.data + sizeof count;
        memcpy(s->label + s->n, at, count * 4);
        memcpy(s->weight + s->n, at + count * 4, count * 4);
        memcpy(s->scores + s->n * s->k, at + count * 8, count * 4 * s->k);
        s->n += count;
    }
    buf_fini(&in);
    return status;
}

static enum status evaluate(struct job_ctx *ctx, const struct evaluate_spec *spec, const struct scoring *s,
                            struct scored *all, struct evaluation *out, struct error *e)
{
    size_t first, last;
    int64_t before;
    const char **names = ARENA_NEW(ctx->arena, const char *, all->k);
    all->label = mem_alloc((all->cap + 1) * sizeof *all->label);
    all->weight = mem_alloc((all->cap + 1) * sizeof *all->weight);
    all->scores = mem_alloc((all->cap * all->k + 1) * sizeof *all->scores);
    if (!names || !all->label || !all->weight || !all->scores)
        return error_set(e, STATUS_NOMEM, "scores of %zu events", all->cap);
    for (size_t i = 0; i < all->k; i++) {
        names[i] = arena_strdup(ctx->arena, model_class(s->model, i));
        if (!names[i])
            return error_set(e, STATUS_NOMEM, "class names");
    }
    for (int64_t unit = 0; unit_parts(s, unit, &first, &last, &before); unit++)
        TRY(load_scores(ctx, unit, all, e));
    if (all->n != all->cap)
        return error_set(e, STATUS_FORMAT, "dataset %s: parts hold %zu rows, the manifest says %zu", spec->dataset,
                         all->n, all->cap);
    return metrics_evaluate(ctx->arena, all->scores, all->label, spec->event_weights ? all->weight : NULL, all->n,
                            all->k, names, out, e);
}

static enum status write_record(struct job_ctx *ctx, const struct evaluate_spec *spec, const struct scoring *s,
                                struct evaluation_record *record, struct error *e)
{
    char folder[PATH_BYTES_MAX];
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "ev", 0, &record->id, e));
    record->model_version = s->model_version;
    record->model_sha256 = model_sha256(s->model);
    record->dataset_id = spec->dataset;
    record->recipe = model_recipe(s->model)->name;
    record->created_at = ctx->created_at;
    TRY(work_path(ctx, folder, e, "evaluation"));
    TRY(file_make_folder(folder, e));
    return work_record_save(ctx, "evaluation/" EVALUATION_FILE, evaluation_record_fields, record, e);
}

static enum status run(struct job_ctx *ctx, const void *spec_, int phase, int64_t unit, struct buf *result,
                       struct error *e)
{
    (void)result;
    const struct evaluate_spec *spec = spec_;
    struct evaluation_record record;
    struct scoring *s;
    TRY(get_scoring(ctx, spec, &s, e));
    if (phase == 0)
        return run_scores(ctx, s, unit, e);
    struct scored all = {.cap = (size_t)dataset_manifest(s->dataset)->rows, .k = model_n_classes(s->model)};
    field_defaults(evaluation_record_fields, &record);
    enum status status = evaluate(ctx, spec, s, &all, &record.metrics, e);
    mem_free(all.label);
    mem_free(all.weight);
    mem_free(all.scores);
    return status == STATUS_OK ? write_record(ctx, spec, s, &record, e) : status;
}

static enum status summarise(struct job_ctx *ctx, const struct evaluation_record *record, struct evaluate_result *out,
                             struct error *e)
{
    const struct class_metrics *classes = record->metrics.classes.items;
    size_t n = record->metrics.classes.n_items, n_points = 0;
    struct field_pair *auc = ARENA_NEW(ctx->arena, struct field_pair, n);
    struct working_point *points = ARENA_NEW(ctx->arena, struct working_point, n);
    if (!auc || !points)
        return error_set(e, STATUS_NOMEM, "evaluation result");
    for (size_t i = 0; i < n; i++) {
        auc[i] = (struct field_pair){classes[i].name, classes[i].auc};
        const struct working_point *all = classes[i].working_points.items;
        for (size_t j = 0; j < classes[i].working_points.n_items; j++)
            if (all[j].target_signal_efficiency == 0.99)
                points[n_points++] = all[j];
    }
    *out = (struct evaluate_result){
        .evaluation_id = record->id,
        .model_version = record->model_version,
        .dataset_id = record->dataset_id,
        .n_events = record->metrics.n_events,
        .loss = record->metrics.loss,
        .accuracy = record->metrics.accuracy,
        .auc_macro = record->metrics.auc_macro,
        .auc = {auc, n},
        .working_points = {points, n_points},
    };
    return STATUS_OK;
}

static enum status finish(struct job_ctx *ctx, const void *spec, void *result, struct error *e)
{
    (void)spec;
    struct evaluation_record record;
    bool found;
    char folder[PATH_BYTES_MAX];
    TRY(work_record_load(ctx, "evaluation/" EVALUATION_FILE, evaluation_record_fields, &record, &found, e));
    if (!found)
        return error_set(e, STATUS_BUG, "the unit left no evaluation");
    TRY(summarise(ctx, &record, result, e));
    TRY(work_path(ctx, folder, e, "evaluation"));
    const struct artifact artifact = {
        .kind = "evaluation", .id = record.id, .staged = folder, .name = record.model_version};
    return ctx->host->publish(ctx->host_ctx, &artifact, e);
}

enum status evaluation_read(struct arena *a, const char *folder, struct evaluation_record *out, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf text;
    if (snprintf(path, sizeof path, "%s/%s", folder, EVALUATION_FILE) >= (int)sizeof path)
        return error_set(e, STATUS_RANGE, "evaluation path");
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = file_read(path, &text, e);
    field_defaults(evaluation_record_fields, out);
    if (s == STATUS_OK)
        s = field_read_text(a, evaluation_record_fields, (struct span){text.data, text.len}, out, e);
    buf_fini(&text);
    const char *slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    if (s == STATUS_NOTFOUND)
        return error_set(e, s, "evaluation %s: its folder is gone: restore it, or run the evaluate job again", name);
    return s == STATUS_OK ? s : error_wrap(e, "%s", name);
}

const struct job_kind evaluate_kind = {
    .name = "evaluate",
    .doc = "Scores a dataset with a model: loss, accuracy, confusion, ROC, AUC and working points.",
    .spec_fields = spec_fields,
    .spec_size = sizeof(struct evaluate_spec),
    .result_fields = result_fields,
    .result_size = sizeof(struct evaluate_result),
    .max_attempts = 3,
    .plan = plan,
    .run = run,
    .finish = finish,
};
