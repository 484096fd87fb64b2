/* core/work/train.c
 *
 * Job kind "train": a features dataset in, a model out.  One unit an epoch; each ends with a checkpoint that holds the
 * trainer's whole state and the epoch's report, so a killed job goes on with the same bits. */
#include "core/work/private.h"

#include <math.h>
#include <string.h>

enum { CHECKPOINT_BYTES_MAX = 1 << 30, REPORT_BYTES_MAX = 64 << 10 };

struct train_spec {
    const char *dataset, *model, *register_as;
    bool event_weights;
    struct train_params params;
};
static const struct field spec_fields[] = {
    FIELD_STRING(struct train_spec, dataset, .required = true, .min = 1, .max = 64,
                 .doc = "the train part of a features dataset"),
    FIELD_STRING(struct train_spec, model, .min = 1, .max = 64, .doc = "estimator; the same as params.model"),
    FIELD_STRING(struct train_spec, register_as, .min = 1, .max = 64,
                 .doc = "name in the registry; default: the estimator's"),
    FIELD_BOOL(struct train_spec, event_weights,
               .doc = "weight the loss by the events' weights: the generator's, scaled by natural_fractions"),
    FIELD_OBJECT(struct train_spec, params, train_params_fields),
    FIELD_END,
};
static const struct field result_fields[] = {
    FIELD_STRING(struct train_result, model, .doc = "registered name"),
    FIELD_STRING(struct train_result, model_version, .doc = "name@version"),
    FIELD_STRING(struct train_result, model_id),
    FIELD_STRING(struct train_result, sha256, .doc = "of the model file"),
    FIELD_I64(struct train_result, version),
    FIELD_I64(struct train_result, epochs),
    FIELD_F64(struct train_result, train_loss, .nullable = true),
    FIELD_F64(struct train_result, val_loss, .nullable = true),
    FIELD_END,
};
static const struct field report_fields[] = {
    FIELD_I64(struct epoch_report, epoch),
    FIELD_F64(struct epoch_report, loss, .nullable = true),
    FIELD_F64(struct epoch_report, accuracy, .nullable = true),
    FIELD_F64(struct epoch_report, val_loss, .nullable = true),
    FIELD_F64(struct epoch_report, val_accuracy, .nullable = true),
    FIELD_F64(struct epoch_report, seconds),
    FIELD_F64(struct epoch_report, samples_per_second),
    FIELD_F64(struct epoch_report, gradient_norm, .nullable = true),
    FIELD_F64(struct epoch_report, val_auc, .nullable = true, .def = NAN),
    FIELD_F64(struct epoch_report, learning_rate, .nullable = true, .def = NAN),
    FIELD_END,
};

/* Kept in memory between the epochs of one attempt. */
struct train_state {
    struct dataset *dataset;
    struct feature_rows rows;
    struct trainer *trainer;
    struct epoch_report last;          /* of the newest epoch */
    int64_t samples_total;             /* an epoch's */
    struct job_ctx *ctx;
    char phase[64], message[64];
    int64_t epoch, epochs;
};

static void free_state(void *state)
{
    struct train_state *t = state;
    trainer_destroy(t->trainer);
    feature_rows_fini(&t->rows);
    dataset_close(t->dataset);
    mem_free(t);
}

static int model_index(const struct train_spec *spec)
{
    for (int i = 0; spec->model && estimator_names[i]; i++)
        if (strcmp(estimator_names[i], spec->model) == 0)
            return i;
    return spec->model ? -1 : spec->params.model;
}

static enum status validate(const void *spec_, struct error *e)
{
    const struct train_spec *spec = spec_;
    if (model_index(spec) < 0)
        return error_set(e, STATUS_ARGUMENT, "/model: no estimator %s in this build", spec->model);
    if (spec->register_as && spec->register_as[0] == '.')
        return error_set(e, STATUS_ARGUMENT, "/register_as: a name must not begin with '.'");
    for (const char *c = spec->register_as; c && *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *c))
            return error_set(e, STATUS_ARGUMENT,
                             "/register_as: a name has letters, digits, '-', '_' and '.' only");
    return train_params_check(&spec->params, "/params", e);
}

/* ---- checkpoint: length of the report, report as field text, trainer's state --------------------------------------- */

static enum status save_checkpoint(struct job_ctx *ctx, const struct train_state *t, struct error *e)
{
    struct buf blob, report;
    uint64_t length;
    buf_init(&blob, CHECKPOINT_BYTES_MAX);
    buf_init(&report, REPORT_BYTES_MAX);
    enum status s = field_write_text(report_fields, &t->last, &report, e);
    length = report.len;
    if (s == STATUS_OK)
        s = buf_append(&blob, &length, sizeof length, e);
    if (s == STATUS_OK)
        s = buf_append(&blob, report.data, report.len, e);
    if (s == STATUS_OK)
        s = trainer_checkpoint(t->trainer, &blob, e);
    if (s == STATUS_OK)
        s = ctx->host->checkpoint_save(ctx->host_ctx, blob.data, blob.len, e);
    buf_fini(&report);
    buf_fini(&blob);
    return s;
}

static enum status load_checkpoint(struct job_ctx *ctx, struct train_state *t, struct error *e)
{
    struct buf blob;
    bool found;
    buf_init(&blob, CHECKPOINT_BYTES_MAX);
    enum status s = ctx->host->checkpoint_load(ctx->host_ctx, &blob, &found, e);
    if (s == STATUS_OK && found) {
        uint64_t length = UINT64_MAX;
        if (blob.len >= sizeof length)
            memcpy(&length, blob.data, sizeof length);
        const uint8_t *report = blob.data + sizeof length;
        if (blob.len < sizeof length || length > blob.len - sizeof length)
            s = error_set(e, STATUS_FORMAT, "checkpoint: cut short");
        if (s == STATUS_OK)
            s = field_read_text(ctx->arena, report_fields, (struct span){report, length}, &t->last, e);
        if (s == STATUS_OK)
            s = trainer_restore(t->trainer, (struct span){report + length, blob.len - sizeof length - length}, e);
    }
    buf_fini(&blob);
    return s;
}

/* ---- starting ------------------------------------------------------------------------------------------------------- */

static enum status make_trainer(struct job_ctx *ctx, const struct train_spec *spec, struct train_state *t,
                                struct error *e)
{
    TRY(work_dataset_open(ctx, spec->dataset, &t->dataset, e));
    const struct manifest *m = dataset_manifest(t->dataset);
    struct train_params params = spec->params;
    params.model = model_index(spec);
    bool want_rows = estimator_input(&params) != INPUT_HLF;
    if (want_rows)
        TRY(work_check_rows(m, estimator_names[model_index(spec)], e));
    TRY(dataset_read_features(t->dataset, want_rows, &t->rows, e));
    if (m->split && strcmp(m->split, "test") == 0)
        work_log(ctx, LOG_WARN, "training on %s, a test part", m->id);
    struct model_header h;
    field_defaults(model_header_fields, &h);
    h.recipe = m->recipe;
    h.cuts = m->cuts;
    h.dataset_id = m->id;
    h.params = spec->params;
    h.params.model = model_index(spec);
    h.classes = m->classes;
    h.scaler = m->scaler;
    h.histograms = m->histograms;
    h.build_id = DLT_BUILD_ID;
    const struct train_data data = {
        .n = t->rows.n,
        .hlf = t->rows.hlf,
        .label = t->rows.label,
        .weight = spec->event_weights ? t->rows.weight : NULL,
        .rows = want_rows ? &t->rows.rows : NULL,
        .row_first = want_rows ? t->rows.row_first : NULL,
    };
    TRY(trainer_create(&h, &data, &t->trainer, e));
    return load_checkpoint(ctx, t, e);
}

static enum status get_state(struct job_ctx *ctx, const struct train_spec *spec, struct train_state **out,
                             struct error *e)
{
    if (!ctx->state) {
        struct train_state *t = mem_calloc(1, sizeof *t);
        if (!t)
            return error_set(e, STATUS_NOMEM, "training");
        feature_rows_init(&t->rows);
        t->last = (struct epoch_report){.loss = NAN, .val_loss = NAN};
        enum status s = make_trainer(ctx, spec, t, e);
        if (s != STATUS_OK) {
            free_state(t);
            return s;
        }
        ctx->state = t;
        ctx->free_state = free_state;
    }
    *out = ctx->state;
    (*out)->ctx = ctx;
    return STATUS_OK;
}

/* ---- epochs ---------------------------------------------------------------------------------------------------------- */

static bool watch_cancelled(void *ctx)
{
    struct train_state *t = ctx;
    return t->ctx->host->cancelled(t->ctx->host_ctx);
}

static void watch_progress(void *ctx, int64_t done, int64_t total)
{
    struct train_state *t = ctx;
    work_progress(t->ctx, t->phase, "samples", t->epoch * total + done, t->epochs * total,
                  t->message[0] ? t->message : NULL);
}

static void tell_metrics(struct job_ctx *ctx, const struct epoch_report *r)
{
    const struct {
        const char *key;
        double value;
    } metrics[] = {
        {"loss", r->loss},       {"accuracy", r->accuracy},           {"val_loss", r->val_loss},
        {"val_accuracy", r->val_accuracy}, {"samples_per_second", r->samples_per_second}, {"gradient_norm", r->gradient_norm},
        {"val_auc", r->val_auc}, {"learning_rate", r->learning_rate},
    };
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        if (isfinite(metrics[i].value))
            ctx->host->metric(ctx->host_ctx, metrics[i].key, r->epoch, metrics[i].value);
}

static enum status plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    (void)ctx, (void)e;
    *n_units = phase == 0 ? ((const struct train_spec *)spec)->params.epochs : -1;
    return STATUS_OK;
}

static enum status run(struct job_ctx *ctx, const void *spec_, int phase, int64_t unit, struct buf *result,
                       struct error *e)
{
    (void)phase;
    const struct train_spec *spec = spec_;
    struct train_state *t;
    TRY(get_state(ctx, spec, &t, e));
    t->epoch = unit;
    t->epochs = spec->params.epochs;
    snprintf(t->phase, sizeof t->phase, "epoch %lld/%lld", (long long)unit + 1, (long long)t->epochs);
    int64_t done = trainer_epochs_done(t->trainer);
    if (done < unit || done > unit + 1)
        return error_set(e, STATUS_BUG, "epoch %lld is next, but the checkpoint is of epoch %lld", (long long)unit + 1,
                         (long long)done);
    if (done == unit) {                /* else: killed between checkpoint and commit; the checkpoint has the report */
        const struct train_watch watch = {watch_cancelled, watch_progress, t};
        TRY(trainer_epoch(t->trainer, &watch, &t->last, e));
        TRY(save_checkpoint(ctx, t, e));
    }
    if (isfinite(t->last.val_loss))
        snprintf(t->message, sizeof t->message, "loss %.4f, val_loss %.4f", t->last.loss, t->last.val_loss);
    else
        snprintf(t->message, sizeof t->message, "loss %.4f", t->last.loss);
    tell_metrics(ctx, &t->last);
    return field_write_text(report_fields, &t->last, result, e);
}

static enum status finish(struct job_ctx *ctx, const void *spec_, void *result_, struct error *e)
{
    const struct train_spec *spec = spec_;
    struct train_result *result = result_;
    struct train_state *t;
    struct model *m;
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    TRY(get_state(ctx, spec, &t, e));
    TRY(work_path(ctx, folder, e, "model"));
    TRY(file_make_folder(folder, e));
    TRY(work_path(ctx, path, e, "model/%s", MODEL_FILE));
    TRY(trainer_model(t->trainer, &m, e));
    enum status s = model_save(m, path, e);
    result->sha256 = arena_strdup(ctx->arena, model_sha256(m));
    model_release(m);
    TRY(s);
    result->model = spec->register_as ? spec->register_as : estimator_names[model_index(spec)];
    result->epochs = trainer_epochs_done(t->trainer);
    result->train_loss = t->last.loss;
    result->val_loss = t->last.val_loss;
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "mdl", 0, &result->model_id, e));
    TRY(ctx->host->model_version(ctx->host_ctx, result->model, &result->version, e));
    result->model_version = arena_printf(ctx->arena, "%s@%lld", result->model, (long long)result->version);
    if (!result->sha256 || !result->model_version)
        return error_set(e, STATUS_NOMEM, "training result");
    const struct artifact artifact = {
        .kind = "model", .id = result->model_id, .staged = folder, .name = result->model, .sha256 = result->sha256};
    return ctx->host->publish(ctx->host_ctx, &artifact, e);
}

const struct job_kind train_kind = {
    .name = "train",
    .doc = "Trains a classifier on the train part of a features dataset and registers it.",
    .spec_fields = spec_fields,
    .spec_size = sizeof(struct train_spec),
    .result_fields = result_fields,
    .result_size = sizeof(struct train_result),
    .max_attempts = 1,
    .validate = validate,
    .plan = plan,
    .run = run,
    .finish = finish,
};
