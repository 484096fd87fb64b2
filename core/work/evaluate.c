/* core/work/evaluate.c
 *
 * Job kind "evaluate": a model and a features dataset in, its figures out: loss, accuracy, confusion, ROC and AUC per
 * class, efficiencies at the working points.  One unit: scoring is fast against reading. */
#include "core/work/private.h"

#include <string.h>

enum { SCORE_BATCH = 4096, SCORE_PART = 256 /* of it, a thread at a time */, RECORD_BYTES_MAX = 64 << 20 };

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

static enum status plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    (void)ctx, (void)spec, (void)e;
    *n_units = phase == 0 ? 1 : -1;
    return STATUS_OK;
}

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

static enum status score_all(struct job_ctx *ctx, const struct model *m, const struct feature_rows *rows, float *scores,
                             struct error *e)
{
    size_t k = model_n_classes(m);
    for (size_t i = 0; i < rows->n; i += SCORE_BATCH) {
        size_t n = rows->n - i < SCORE_BATCH ? rows->n - i : SCORE_BATCH;
        TRY(work_check_cancelled(ctx, e));
        struct score_job job = {m, rows, i, n, scores};
        if (model_input(m) == INPUT_HLF)
            model_predict_hlf(m, rows->hlf + i * HLF_COUNT, n, scores + i * k);
        else
            TRY(par_for(ctx->threads, (n + SCORE_PART - 1) / SCORE_PART, score_part, &job, e));
        work_progress(ctx, "scoring", "events", (int64_t)(i + n), (int64_t)rows->n, NULL);
    }
    return STATUS_OK;
}

static enum status evaluate(struct job_ctx *ctx, const struct evaluate_spec *spec, const struct model *m,
                            const struct dataset *d, struct feature_rows *rows, struct evaluation *out, struct error *e)
{
    size_t k = model_n_classes(m);
    TRY(check_match(m, dataset_manifest(d), e));
    bool want_rows = model_input(m) != INPUT_HLF;
    if (want_rows)
        TRY(work_check_rows(dataset_manifest(d), model_header(m)->estimator, e));
    TRY(dataset_read_features(d, want_rows, rows, e));
    const char **names = ARENA_NEW(ctx->arena, const char *, k);
    float *scores = mem_alloc((rows->n * k + 1) * sizeof *scores);
    enum status s = names && scores ? STATUS_OK : error_set(e, STATUS_NOMEM, "scores of %zu events", rows->n);
    for (size_t i = 0; s == STATUS_OK && i < k; i++) {
        names[i] = arena_strdup(ctx->arena, model_class(m, i));
        if (!names[i])
            s = error_set(e, STATUS_NOMEM, "class names");
    }
    if (s == STATUS_OK)
        s = score_all(ctx, m, rows, scores, e);
    if (s == STATUS_OK)
        s = metrics_evaluate(ctx->arena, scores, rows->label, spec->event_weights ? rows->weight : NULL, rows->n, k,
                             names, out, e);
    mem_free(scores);
    return s;
}

static enum status write_record(struct job_ctx *ctx, const struct evaluation_record *record, struct error *e)
{
    char folder[PATH_BYTES_MAX];
    TRY(work_path(ctx, folder, e, "evaluation"));
    TRY(file_make_folder(folder, e));
    return work_record_save(ctx, "evaluation/" EVALUATION_FILE, evaluation_record_fields, record, e);
}

static enum status run(struct job_ctx *ctx, const void *spec_, int phase, int64_t unit, struct buf *result,
                       struct error *e)
{
    (void)phase, (void)unit, (void)result;
    const struct evaluate_spec *spec = spec_;
    struct evaluation_record record;
    const char *folder;
    char path[PATH_BYTES_MAX];
    struct model *m;
    struct dataset *d = NULL;
    struct feature_rows rows;
    field_defaults(evaluation_record_fields, &record);
    TRY(ctx->host->resolve_artifact(ctx->host_ctx, ctx->arena, "model", spec->model, &folder, &record.model_version, e));
    if (snprintf(path, sizeof path, "%s/%s", folder, MODEL_FILE) >= (int)sizeof path)
        return error_set(e, STATUS_RANGE, "model path");
    TRY(model_load(path, &m, e));
    feature_rows_init(&rows);
    enum status s = work_dataset_open(ctx, spec->dataset, &d, e);
    if (s == STATUS_OK)
        s = evaluate(ctx, spec, m, d, &rows, &record.metrics, e);
    if (s == STATUS_OK)
        s = ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "ev", 0, &record.id, e);
    if (s == STATUS_OK) {
        record.model_sha256 = model_sha256(m);
        record.dataset_id = spec->dataset;
        record.recipe = model_recipe(m)->name;
        record.created_at = ctx->created_at;
        s = write_record(ctx, &record, e);
    }
    feature_rows_fini(&rows);
    dataset_close(d);
    model_release(m);
    return s;
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
