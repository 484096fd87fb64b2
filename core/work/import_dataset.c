/* core/work/import_dataset.c
 *
 * The last step of an import: parts, sources and counts from what the units left, scaler and histograms, the manifest. */
#include "core/work/import.h"

#include <string.h>
#include <unistd.h>

enum { HISTOGRAM_SAMPLE = 1 << 18 };   /* rows from which ranges and medians are taken */

/* Parts, sources and counts, from what the units left; a file without rows gives no part. */
static enum status gather(struct job_ctx *ctx, const struct import_spec *spec, const struct import_plan *p,
                          const char *folder, struct manifest *m, struct error *e)
{
    size_t n_classes, n = p->files.n_items, n_parts = 0;
    const char *const *names = import_classes(spec, &n_classes);
    const struct import_file *files = p->files.items;
    struct dataset_part *parts = ARENA_NEW(ctx->arena, struct dataset_part, n);
    struct dataset_source *sources = ARENA_NEW(ctx->arena, struct dataset_source, n);
    struct class_count *counts = ARENA_NEW(ctx->arena, struct class_count, n_classes);
    struct cut_row *flow = ARENA_NEW(ctx->arena, struct cut_row, 2 * n_classes);
    if (!parts || !sources || !counts || !flow)
        return error_set(e, STATUS_NOMEM, "list of files");
    for (size_t i = 0; i < n; i++) {
        struct import_unit u;
        char name[48], path[PATH_BYTES_MAX];
        TRY(work_unit_result(ctx, 0, (int64_t)i, import_unit_fields, &u, e));
        sources[i] = (struct dataset_source){files[i].path, files[i].label >= 0 ? names[files[i].label] : NULL, u.sha256,
                                             u.bytes, u.rows, u.rows};
        snprintf(name, sizeof name, "part-%05zu.parquet", i);
        TRY(work_path(ctx, path, e, "dataset/%s", name));
        if (u.rows == 0 && unlink(path) != 0 && access(path, F_OK) == 0)
            return error_errno(e, "an empty part");
        if (u.rows > 0)
            TRY(dataset_part_describe(ctx->arena, folder, name, u.rows, &parts[n_parts++], e));
        for (size_t c = 0; c < n_classes && c < u.counts.n_items; c++)
            counts[c].events += ((const int64_t *)u.counts.items)[c];
    }
    for (size_t c = 0; c < n_classes; c++) {
        counts[c].name = names[c];
        counts[c].weight = (double)counts[c].events;
        flow[2 * c] = (struct cut_row){"read", names[c], counts[c].events, counts[c].weight};
        flow[2 * c + 1] = (struct cut_row){import_split_names[spec->split], names[c], counts[c].events, counts[c].weight};
    }
    m->classes = (struct field_list){(void *)(uintptr_t)names, n_classes};
    m->parts = (struct field_list){parts, n_parts};
    m->sources = (struct field_list){sources, n};
    m->class_counts = (struct field_list){counts, n_classes};
    m->cut_flow = (struct field_list){flow, 2 * n_classes};
    return n_parts > 0 ? STATUS_OK : error_set(e, STATUS_ARGUMENT, "the files hold no rows");
}

struct fit {
    struct scaler_fit hlf;
    struct field_list histograms;
};

static enum status fit_parts(struct job_ctx *ctx, const char *folder, const struct manifest *m, struct fit *f,
                             struct error *e)
{
    const struct dataset_part *parts = m->parts.items;
    struct feature_rows rows;
    enum status s = STATUS_OK;
    feature_rows_init(&rows);
    for (size_t p = 0; s == STATUS_OK && p < m->parts.n_items; p++) {
        char path[PATH_BYTES_MAX];
        struct features_reader *r = NULL;
        s = snprintf(path, sizeof path, "%s/%s", folder, parts[p].file) < (int)sizeof path
                ? features_reader_open(path, &r, e)
                : error_set(e, STATUS_RANGE, "path of a part");
        for (size_t g = 0; s == STATUS_OK && g < features_reader_groups(r); g++) {
            feature_rows_clear(&rows);
            s = features_read(r, g, false, &rows, e);
            if (s == STATUS_OK && f->histograms.n_items == 0)
                s = feature_histograms_create(ctx->arena, rows.hlf, rows.n < HISTOGRAM_SAMPLE ? rows.n : HISTOGRAM_SAMPLE,
                                              &f->histograms, e);
            if (s == STATUS_OK) {
                scaler_fit_hlf(&f->hlf, recipe_find(IMPORT_RECIPE), rows.hlf, rows.n);
                feature_histograms_add(&f->histograms, rows.hlf, rows.weight, rows.n);
                s = work_check_cancelled(ctx, e);
            }
        }
        features_reader_close(r);
    }
    feature_rows_fini(&rows);
    return s;
}

/* Identity for features that stay scaled; the bounds that were given; or what is fitted to features in their units. */
static struct hlf_scaler choose_scaler(const struct import_spec *spec, const struct fit *f)
{
    const double *lo = spec->feature_min.items, *hi = spec->feature_max.items;
    struct hlf_scaler s = {0};
    if (!spec->scaled)
        return scaler_hlf(&f->hlf, recipe_find(IMPORT_RECIPE));
    for (size_t c = 0; c < HLF_COUNT; c++) {
        bool known = spec->feature_min.n_items > 0;
        s.shift[c] = known ? lo[c] : 0;
        s.factor[c] = known ? 1 / (hi[c] - lo[c]) : 1;
    }
    return s;
}

static enum status check_cancelled(void *ctx, struct error *e)
{
    return work_check_cancelled(ctx, e);
}

enum status import_describe(struct job_ctx *ctx, const struct import_spec *spec, const struct import_plan *p,
                            const char *folder, struct manifest *m, struct error *e)
{
    const struct summary_watch watch = {check_cancelled, ctx};
    struct fit f = {0};
    field_defaults(manifest_fields, m);
    m->kind = DATASET_FEATURES;
    m->job_id = ctx->job_id;
    m->created_at = ctx->created_at;
    m->build_id = DLT_BUILD_ID;
    m->recipe = IMPORT_RECIPE;
    m->split = import_split_names[spec->split];
    m->has_rows = p->sequences;
    m->scaled = spec->scaled && spec->feature_min.n_items == 0;
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "ds", 0, &m->id, e));
    TRY(gather(ctx, spec, p, folder, m, e));
    TRY(fit_parts(ctx, folder, m, &f, e));
    struct hlf_scaler hlf = choose_scaler(spec, &f);
    TRY(scaler_record_make(ctx->arena, &hlf, NULL, &m->scaler, e));
    m->histograms = f.histograms;
    return features_summary(folder, m, &watch, ctx->arena, &m->quantiles, &m->correlations, e);
}
