/* core/work/export.c
 *
 * Job kind "export": a features dataset in a layout for other tools, published as an artifact whose files can be
 * downloaded.  One unit a part of the dataset, written by the code of core/dataset/export.c, which the command
 * `dltrigger export` uses too. */
#include "core/work/private.h"

#include <string.h>

struct export_spec {
    const char *dataset;
    int format, layout, what, compression;         /* as in struct export_options */
};
static const struct field spec_fields[] = {
    FIELD_STRING(struct export_spec, dataset, .required = true, .min = 1, .max = 64, .doc = "a features dataset"),
    FIELD_ENUM(struct export_spec, format, export_format_names,
               .doc = "parquet and tfrecord: a file a part; npy: a file an array; csv: one table"),
    FIELD_ENUM(struct export_spec, layout, export_layout_names,
               .doc = "published: HLF_input, GRU_input and encoded_label as CERN publishes them; flat: GRU_input as one "
                      "array; features: a column a feature, in its units (csv always)"),
    FIELD_ENUM(struct export_spec, what, export_what_names,
               .doc = "hlf: HLF_input; sequence: GRU_input; both"),
    FIELD_ENUM(struct export_spec, compression, export_compression_names, .doc = "of Parquet"),
    FIELD_END,
};
static const struct field result_fields[] = {
    FIELD_STRING(struct export_result, export_id),
    FIELD_STRING(struct export_result, dataset_id, .doc = "that was exported"),
    FIELD_I64(struct export_result, rows),
    FIELD_I64(struct export_result, bytes, .unit = "bytes"),
    FIELD_STRING(struct export_result, content_sha256, .doc = "over the files' hashes"),
    FIELD_LIST_OBJECT(struct export_result, files, struct export_file, export_file_fields),
    FIELD_END,
};

/* What a unit leaves: where the next part of a common file begins. */
struct export_unit {
    int64_t end;
};
static const struct field unit_fields[] = {
    FIELD_I64(struct export_unit, end, .unit = "bytes"),
    FIELD_END,
};

static struct export_options options_of(const struct export_spec *s)
{
    return (struct export_options){s->format, s->layout, s->what, s->compression};
}

static enum status validate(const void *spec, struct error *e)
{
    const struct export_options o = options_of(spec);
    return export_options_check(&o, e);
}

static enum status plan(struct job_ctx *ctx, const void *spec_, int phase, int64_t *n_units, struct error *e)
{
    const struct export_spec *spec = spec_;
    struct dataset *d;
    *n_units = -1;
    if (phase > 0)
        return STATUS_OK;
    TRY(work_dataset_open(ctx, spec->dataset, &d, e));
    *n_units = (int64_t)dataset_manifest(d)->parts.n_items;
    dataset_close(d);
    return STATUS_OK;
}

struct export_run {
    struct job_ctx *ctx;
    int64_t done, total;
};

static enum status tell_rows(void *ctx, int64_t n, struct error *e)
{
    struct export_run *r = ctx;
    r->done += n;
    work_progress(r->ctx, "exporting", "events", r->done, r->total, NULL);
    return work_check_cancelled(r->ctx, e);
}

static enum status run(struct job_ctx *ctx, const void *spec_, int phase, int64_t unit, struct buf *result,
                       struct error *e)
{
    const struct export_spec *spec = spec_;
    const struct export_options o = options_of(spec);
    struct export_unit before = {0}, after;
    char folder[PATH_BYTES_MAX];
    struct dataset *d;
    if (unit > 0)
        TRY(work_unit_result(ctx, phase, unit - 1, unit_fields, &before, e));
    TRY(work_path(ctx, folder, e, "export"));
    TRY(file_make_folder(folder, e));
    TRY(work_dataset_open(ctx, spec->dataset, &d, e));
    const struct manifest *m = dataset_manifest(d);
    struct export_run r = {ctx, 0, m->rows};
    const struct export_watch watch = {tell_rows, &r};
    for (int64_t i = 0; i < unit; i++)
        r.done += ((const struct dataset_part *)m->parts.items)[i].rows;
    after = before;
    enum status s = export_part(d, &o, (size_t)unit, folder, &watch, &after.end, e);
    dataset_close(d);
    TRY(s);
    return field_write_text(unit_fields, &after, result, e);
}

static enum status finish(struct job_ctx *ctx, const void *spec_, void *result_, struct error *e)
{
    const struct export_spec *spec = spec_;
    const struct export_options o = options_of(spec);
    struct export_result *result = result_;
    struct export_record record;
    char folder[PATH_BYTES_MAX];
    struct dataset *d;
    field_defaults(export_record_fields, &record);
    record.job_id = ctx->job_id;
    record.created_at = ctx->created_at;
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "ex", 0, &record.id, e));
    TRY(work_path(ctx, folder, e, "export"));
    TRY(file_make_folder(folder, e));
    TRY(work_dataset_open(ctx, spec->dataset, &d, e));
    enum status s = export_finish(d, &o, folder, ctx->arena, &record, e);
    *result = (struct export_result){record.id, spec->dataset, record.rows, record.bytes, record.content_sha256,
                                     record.files};
    dataset_close(d);
    TRY(s);
    const struct artifact artifact = {.kind = "export", .id = record.id, .staged = folder,
                                      .name = export_format_names[spec->format], .sha256 = record.content_sha256};
    return ctx->host->publish(ctx->host_ctx, &artifact, e);
}

const struct job_kind export_kind = {
    .name = "export",
    .doc = "Writes a features dataset for other tools: Parquet, TFRecord, NumPy or CSV, in the published layouts.",
    .spec_fields = spec_fields,
    .spec_size = sizeof(struct export_spec),
    .result_fields = result_fields,
    .result_size = sizeof(struct export_result),
    .max_attempts = 3,
    .validate = validate,
    .plan = plan,
    .run = run,
    .finish = finish,
};
