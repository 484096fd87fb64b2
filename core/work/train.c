/* core/work/train.c
 *
 * Job kind "train": a features dataset in, a model out.  One unit an epoch; each ends with a checkpoint that holds the
 * trainer's whole state and the epoch's report, so a killed job goes on with the same bits. */
#include "core/work/train_input.h"

#include <math.h>
#include <string.h>

enum { CHECKPOINT_BYTES_MAX = 1 << 30, REPORT_BYTES_MAX = 64 << 10 };

struct train_spec {
    const char *dataset, *validation_dataset, *model, *register_as;
    bool event_weights;
    struct train_params params;
};
static const struct field spec_fields[] = {
    FIELD_STRING(struct train_spec, dataset, .required = true, .min = 1, .max = 64,
                 .doc = "the train part of a features dataset"),
    FIELD_STRING(struct train_spec, validation_dataset, .min = 1, .max = 64,
                 .doc = "held-out rows: another features dataset of the same recipe, classes and scaler; then no part "
                        "of the first is held out"),
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
    FIELD_I64(struct train_result, best_epoch,
              .doc = "whose parameters the model has, when the best one was kept; else 0"),
    FIELD_BOOL(struct train_result, stopped_early),
    FIELD_STRING(struct train_result, stop_reason, .doc = "what ended the fit before all epochs"),
    FIELD_F64(struct train_result, seconds, .unit = "s", .doc = "of all epochs, in all attempts"),
    FIELD_F64(struct train_result, events_per_second),
    FIELD_I64(struct train_result, parameter_bytes, .unit = "bytes"),
    FIELD_I64(struct train_result, optimizer_bytes, .unit = "bytes", .doc = "moments, and the best epoch's parameters"),
    FIELD_I64(struct train_result, workspace_bytes, .unit = "bytes", .doc = "planned once, for all steps"),
    FIELD_I64(struct train_result, rows_bytes, .unit = "bytes", .doc = "of events in memory"),
    FIELD_I64(struct train_result, packed_bytes, .unit = "bytes",
              .doc = "streamed: of the packed file; 0: all in memory"),
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

/* Where the rows of a fit are: decided once a job, since a window's size decides the bits. */
struct placement {
    bool streamed;
    int64_t bytes;                     /* of rows in memory, at most */
};
static const struct field placement_fields[] = {
    FIELD_BOOL(struct placement, streamed),
    FIELD_I64(struct placement, bytes),
    FIELD_END,
};

/* Kept in memory between the epochs of one attempt. */
struct train_state {
    struct training_set learned, validation;
    int64_t set_bytes;                 /* of rows as read */
    struct trainer *trainer;
    struct epoch_report last;          /* of the newest epoch */
    int64_t samples_total;             /* an epoch's */
    struct job_ctx *ctx;
    char phase[64], message[96];
    int64_t epoch, epochs;
};

static void free_state(void *state)
{
    struct train_state *t = state;
    trainer_destroy(t->trainer);
    training_set_close(&t->learned);
    training_set_close(&t->validation);
    mem_free(t);
}

static int model_index(const struct train_spec *spec)
{
    for (int i = 0; spec->model && estimator_names[i]; i++)
        if (strcmp(estimator_names[i], spec->model) == 0)
            return i;
    return spec->model ? -1 : spec->params.model;
}

/* With the estimator that the spec names, in either place. */
static struct train_params fit_params(const struct train_spec *spec)
{
    struct train_params p = spec->params;
    p.model = model_index(spec);
    return p;
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
    const struct train_params p = fit_params(spec);
    TRY(train_params_check(&p, "/params", e));
    TRY(train_params_check_watch(&p, spec->validation_dataset || p.validation_fraction > 0, e));
    return train_params_ready(&p, "/params", e);
}

/* ---- checkpoint: length of the report, report as field text, trainer's state ------------------------------------- */

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

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* Reads the rows into memory, or finds that they do not fit. */
static enum status place(struct job_ctx *ctx, const struct train_params *p, struct train_state *t,
                         struct placement *out, struct error *e)
{
    int64_t used = 0, more = 0;
    bool found, fits = true;
    TRY(work_record_load(ctx, "placement", placement_fields, out, &found, e));
    if (!found) {
        out->bytes = p->memory_limit_mb > 0 ? p->memory_limit_mb << 20 : memory_available() / 2;
        out->streamed = p->shuffle_rows > 0;
    }
    if (!out->streamed)
        TRY(training_set_read(&t->learned, found ? INT64_MAX : out->bytes, &used, &fits, e));
    if (!out->streamed && fits && t->validation.dataset)
        TRY(training_set_read(&t->validation, found ? INT64_MAX : out->bytes - used, &more, &fits, e));
    if (!fits)
        feature_rows_fini(&t->learned.rows);
    out->streamed = out->streamed || !fits;
    t->set_bytes = out->streamed ? 0 : used + more;
    return found ? STATUS_OK : work_record_save(ctx, "placement", placement_fields, out, e);
}

static enum status open_sets(struct job_ctx *ctx, const struct train_spec *spec, const struct train_params *p,
                             struct train_state *t, struct error *e)
{
    TRY(training_set_open(ctx, spec->dataset, p, spec->event_weights, &t->learned, e));
    const struct manifest *m = dataset_manifest(t->learned.dataset);
    if (m->split && strcmp(m->split, "test") == 0)
        work_log(ctx, LOG_WARN, "training on %s, a test part", m->id);
    if (!spec->validation_dataset)
        return STATUS_OK;
    TRY(training_set_open(ctx, spec->validation_dataset, p, spec->event_weights, &t->validation, e));
    return training_set_match(ctx, &t->learned, &t->validation, e);
}

/* "12.3 MB" */
static const char *sized(char out[32], int64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double size = (double)bytes;
    size_t u = 0;
    for (; size >= 1000 && u + 1 < ARRAY_LEN(units); u++)
        size /= 1000;
    snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", size, units[u]);
    return out;
}

static void tell_memory(struct job_ctx *ctx, const struct train_state *t)
{
    const struct train_memory m = trainer_memory(t->trainer);
    char parameters[32], optimizer[32], workspace[32], rows[32], packed[32];
    work_log(ctx, LOG_INFO, "memory of the fit: parameters %s, optimiser %s, workspace %s in %lld shards, rows %s",
             sized(parameters, m.parameters), sized(optimizer, m.optimizer), sized(workspace, m.workspace),
             (long long)m.shards, sized(rows, m.rows + t->set_bytes));
    if (m.packed > 0)
        work_log(ctx, LOG_INFO, "rows are streamed from disk: %s packed, %lld rows shuffled together",
                 sized(packed, m.packed), (long long)m.window_rows);
}

static enum status make_trainer(struct job_ctx *ctx, const struct train_spec *spec, struct train_state *t,
                                struct error *e)
{
    struct train_params params = fit_params(spec);
    struct placement placement;
    TRY(open_sets(ctx, spec, &params, t, e));
    TRY(place(ctx, &params, t, &placement, e));
    const struct manifest *m = dataset_manifest(t->learned.dataset);
    struct model_header h;
    field_defaults(model_header_fields, &h);
    h.recipe = m->recipe;
    h.cuts = m->cuts;
    h.dataset_id = m->id;
    h.params = params;
    h.classes = m->classes;
    h.scaler = m->scaler;
    h.histograms = m->histograms;
    h.build_id = DLT_BUILD_ID;
    const struct train_data learned = training_set_data(&t->learned), validation = training_set_data(&t->validation);
    const struct train_stream stream = {training_set_next, &t->learned};
    const struct train_stream validation_stream = {training_set_next, &t->validation};
    bool validated = t->validation.dataset != NULL, streamed = placement.streamed;
    const struct train_input input = {
        .data = streamed ? NULL : &learned,
        .validation = validated && !streamed ? &validation : NULL,
        .stream = streamed ? &stream : NULL,
        .validation_stream = validated && streamed ? &validation_stream : NULL,
        .folder = ctx->work_dir,
        .memory_bytes = (size_t)placement.bytes,
    };
    TRY(trainer_create_from(&h, &input, &t->trainer, e));
    tell_memory(ctx, t);
    return load_checkpoint(ctx, t, e);
}

static enum status get_state(struct job_ctx *ctx, const struct train_spec *spec, struct train_state **out,
                             struct error *e)
{
    if (!ctx->state) {
        struct train_state *t = mem_calloc(1, sizeof *t);
        if (!t)
            return error_set(e, STATUS_NOMEM, "training");
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

/* ---- epochs ------------------------------------------------------------------------------------------------------ */

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
        {"val_accuracy", r->val_accuracy}, {"samples_per_second", r->samples_per_second},
        {"gradient_norm", r->gradient_norm}, {"val_auc", r->val_auc}, {"learning_rate", r->learning_rate},
    };
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        if (isfinite(metrics[i].value))
            ctx->host->metric(ctx->host_ctx, metrics[i].key, r->epoch, metrics[i].value);
}

static enum status plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    (void)ctx, (void)e;
    const struct train_params p = fit_params(spec);
    *n_units = phase == 0 ? train_params_epochs(&p) : -1;
    return STATUS_OK;
}

/* What ended the fit; NULL when nothing did. */
static const char *stop_reason(struct job_ctx *ctx, const struct train_spec *spec, const struct train_state *t)
{
    const struct train_params *p = &spec->params;
    const struct train_outcome o = trainer_outcome(t->trainer);
    if (!o.stopped)
        return NULL;
    return arena_printf(ctx->arena, "%s has not gained more than %g since epoch %lld (%.6g): patience is %lld",
                        monitor_names[p->monitor], p->min_delta, (long long)o.best_epoch, o.best,
                        (long long)p->patience);
}

static enum status run_epoch(struct job_ctx *ctx, const struct train_spec *spec, struct train_state *t, struct error *e)
{
    const struct train_watch watch = {watch_cancelled, watch_progress, t};
    TRY(trainer_epoch(t->trainer, &watch, &t->last, e));
    TRY(save_checkpoint(ctx, t, e));
    if (trainer_outcome(t->trainer).stopped)
        work_log(ctx, LOG_INFO, "the fit ends behind epoch %lld: %s", (long long)trainer_epochs_done(t->trainer),
                 stop_reason(ctx, spec, t));
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
    const struct train_params params = fit_params(spec);
    t->epochs = train_params_epochs(&params);
    snprintf(t->phase, sizeof t->phase, "epoch %lld/%lld", (long long)unit + 1, (long long)t->epochs);
    int64_t done = trainer_epochs_done(t->trainer);
    bool stopped = trainer_outcome(t->trainer).stopped;
    if (stopped && done <= unit)       /* the units that are left have nothing to do */
        return STATUS_OK;
    if (done < unit || done > unit + 1)
        return error_set(e, STATUS_BUG, "epoch %lld is next, but the checkpoint is of epoch %lld", (long long)unit + 1,
                         (long long)done);
    if (done == unit)                  /* else: killed between checkpoint and commit; the checkpoint has the report */
        TRY(run_epoch(ctx, spec, t, e));
    if (isfinite(t->last.val_loss))
        snprintf(t->message, sizeof t->message, "loss %.4f, val_loss %.4f, val_auc %.4f", t->last.loss,
                 t->last.val_loss, t->last.val_auc);
    else
        snprintf(t->message, sizeof t->message, "loss %.4f", t->last.loss);
    tell_metrics(ctx, &t->last);
    return field_write_text(report_fields, &t->last, result, e);
}

/* Of the epochs, from what their units left. */
static enum status sum_seconds(struct job_ctx *ctx, int64_t epochs, struct train_result *result, struct error *e)
{
    double events = 0;
    for (int64_t i = 0; i < epochs; i++) {
        struct epoch_report r;
        TRY(work_unit_result(ctx, 0, i, report_fields, &r, e));
        result->seconds += r.seconds;
        events += r.samples_per_second * r.seconds;
    }
    result->events_per_second = result->seconds > 0 ? events / result->seconds : 0;
    return STATUS_OK;
}

static enum status describe_fit(struct job_ctx *ctx, const struct train_spec *spec, const struct train_state *t,
                                const struct model *m, struct train_result *result, struct error *e)
{
    const struct train_memory memory = trainer_memory(t->trainer);
    const struct model_header *h = model_header(m);
    result->sha256 = arena_strdup(ctx->arena, model_sha256(m));
    result->epochs = h->epochs_done;
    result->train_loss = h->train_loss;
    result->val_loss = h->val_loss;
    result->best_epoch = h->best_epoch;
    result->stopped_early = h->stopped_early;
    result->stop_reason = stop_reason(ctx, spec, t);
    result->parameter_bytes = memory.parameters;
    result->optimizer_bytes = memory.optimizer;
    result->workspace_bytes = memory.workspace;
    result->rows_bytes = memory.rows + t->set_bytes;
    result->packed_bytes = memory.packed;
    return sum_seconds(ctx, h->epochs_done, result, e);
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
    if (s == STATUS_OK)
        s = describe_fit(ctx, spec, t, m, result, e);
    model_release(m);
    TRY(s);
    result->model = spec->register_as ? spec->register_as : estimator_names[model_index(spec)];
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
