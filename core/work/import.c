/* core/work/import.c
 *
 * Job kind "import": the published SparkDLTrigger data, or an export in its layout, as a features dataset of recipe
 * sparkdltrigger-1.  One unit a file, one part a unit; core/dataset.h says what the files may hold.
 *
 * The published features are scaled already.  They are stored as they come, with the identity for a scaler: training takes
 * them as they are, and a model that was trained on them is refused where events are scored as they were measured.  Who
 * knows the bounds that they were scaled with gives feature_min and feature_max, and gets features in their units. */
#include "core/work/import.h"

#include <string.h>

enum { CLASSES_MAX = METRICS_CLASSES_MAX, HASH_CHUNK = 1 << 20, PATTERNS = 4 };

static const char plan_name[] = "import-plan";
const char *const import_split_names[] = {"train", "test", NULL};
static const char *const standard_classes[] = {"qcd", "tt", "wjets"};

static const struct field input_fields[] = {
    FIELD_STRING(struct import_input, path, .required = true, .min = 1, .max = 4096,
                 .doc = "file, folder or glob, below a data root; of a folder the files of all parts, also those in folders "
                        "like label=1; names that begin with _ or . are passed over"),
    FIELD_STRING(struct import_input, label, .min = 1, .max = 64,
                 .doc = "class, for files without a column of labels whose folder is not label=..."),
    FIELD_END,
};
static const struct field columns_fields[] = {
    FIELD_STRING(struct import_columns, hlf, .def_text = "HLF_input", .min = 1, .max = 200,
                 .doc = "14 numbers: an array or a vector of Spark's"),
    FIELD_STRING(struct import_columns, label, .def_text = "encoded_label", .min = 1, .max = 200,
                 .doc = "one-hot; without it, label as an integer"),
    FIELD_STRING(struct import_columns, sequence, .def_text = "GRU_input", .min = 1, .max = 200,
                 .doc = "801 x 19 numbers: an array of arrays, or one array"),
    FIELD_END,
};
static const struct field spec_fields[] = {
    FIELD_LIST_OBJECT(struct import_spec, inputs, struct import_input, input_fields, .required = true, .min = 1,
                      .max = 100000, .doc = "Parquet or TFRecord files in the published layout"),
    FIELD_LIST_STRING(struct import_spec, classes, .max = CLASSES_MAX,
                      .doc = "in the order of encoded_label; default: qcd, tt, wjets"),
    FIELD_OBJECT(struct import_spec, columns, columns_fields, .doc = "names of the columns"),
    FIELD_BOOL(struct import_spec, sequences, .def = 1, .doc = "take GRU_input too, if the first file has it"),
    FIELD_ENUM(struct import_spec, split, import_split_names, .doc = "which part this is"),
    FIELD_BOOL(struct import_spec, scaled, .def = 1,
               .doc = "the features are scaled already, as the published ones are; false: they are in their units, and a "
                      "scaler is fitted to them"),
    FIELD_LIST_F64(struct import_spec, feature_min, .max = HLF_COUNT,
                   .doc = "14 numbers: what each feature was before it was scaled to 0; with feature_max, the features are "
                          "stored in their units"),
    FIELD_LIST_F64(struct import_spec, feature_max, .max = HLF_COUNT, .doc = "14 numbers: what was scaled to 1"),
    FIELD_END,
};
static const struct field result_fields[] = {
    FIELD_STRING(struct import_result, dataset_id),
    FIELD_STRING(struct import_result, recipe),
    FIELD_STRING(struct import_result, split),
    FIELD_I64(struct import_result, events),
    FIELD_I64(struct import_result, files),
    FIELD_BOOL(struct import_result, sequences),
    FIELD_BOOL(struct import_result, scaled, .doc = "the features are stored as they were scaled before"),
    FIELD_LIST_OBJECT(struct import_result, class_counts, struct class_count, class_count_fields),
    FIELD_END,
};

static const struct field file_fields[] = {
    FIELD_STRING(struct import_file, path),
    FIELD_I64(struct import_file, label),
    FIELD_END,
};
static const struct field plan_fields[] = {
    FIELD_LIST_OBJECT(struct import_plan, files, struct import_file, file_fields),
    FIELD_BOOL(struct import_plan, sequences),
    FIELD_END,
};
const struct field import_unit_fields[] = {
    FIELD_I64(struct import_unit, rows),
    FIELD_I64(struct import_unit, bytes),
    FIELD_STRING(struct import_unit, sha256),
    FIELD_LIST_I64(struct import_unit, counts),
    FIELD_END,
};

const char *const *import_classes(const struct import_spec *spec, size_t *n)
{
    *n = spec->classes.n_items ? spec->classes.n_items : ARRAY_LEN(standard_classes);
    return spec->classes.n_items ? spec->classes.items : (const void *)standard_classes;
}

static int64_t class_index(const struct import_spec *spec, const char *name, size_t len)
{
    size_t n;
    const char *const *names = import_classes(spec, &n);
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return (int64_t)i;
    return -1;
}

static enum status validate(const void *spec_, struct error *e)
{
    const struct import_spec *spec = spec_;
    const struct import_input *inputs = spec->inputs.items;
    const double *lo = spec->feature_min.items, *hi = spec->feature_max.items;
    size_t n_min = spec->feature_min.n_items, n_max = spec->feature_max.n_items;
    const char *const *classes = spec->classes.items;
    for (size_t i = 0; i < spec->classes.n_items; i++)
        if (class_index(spec, classes[i], strlen(classes[i])) != (int64_t)i)
            return error_set(e, STATUS_ARGUMENT, "/classes/%zu: %s is named twice", i, classes[i]);
    if (spec->classes.n_items == 1)
        return error_set(e, STATUS_ARGUMENT, "/classes: at least two");
    for (size_t i = 0; i < spec->inputs.n_items; i++)
        if (inputs[i].label && class_index(spec, inputs[i].label, strlen(inputs[i].label)) < 0)
            return error_set(e, STATUS_ARGUMENT, "/inputs/%zu/label: %s is not among the classes", i, inputs[i].label);
    if (n_min != n_max || (n_min != 0 && n_min != HLF_COUNT))
        return error_set(e, STATUS_ARGUMENT, "/feature_min: %zu numbers, and %zu of feature_max: %d of both, or none",
                         n_min, n_max, HLF_COUNT);
    for (size_t i = 0; i < n_min; i++)
        if (!(hi[i] > lo[i]))
            return error_set(e, STATUS_ARGUMENT, "/feature_max/%zu: %g, must be above feature_min, %g", i, hi[i], lo[i]);
    if (n_min > 0 && !spec->scaled)
        return error_set(e, STATUS_ARGUMENT, "/feature_min: features that are not scaled need no bounds");
    return STATUS_OK;
}

/* ---- which files ------------------------------------------------------------------------------------------------- */

/* "label=1" or "encoded_label=tt" among the folders of a path: a number or name of a class.  *out -1: none says. */
static enum status class_of_path(const struct import_spec *spec, const char *path, int64_t *out, struct error *e)
{
    size_t n_classes;
    *out = -1;
    import_classes(spec, &n_classes);
    for (const char *at = path; (at = strchr(at, '/')); ) {
        const char *part = ++at, *end = strchr(part, '/'), *equals = memchr(part, '=', end ? (size_t)(end - part) : 0);
        if (!equals)
            continue;
        size_t name = (size_t)(equals - part), len = (size_t)(end - equals - 1);
        bool ours = (name == 5 && memcmp(part, "label", 5) == 0) ||
                    (name == strlen(spec->columns.label) && memcmp(part, spec->columns.label, name) == 0);
        if (!ours)
            continue;
        int64_t index = class_index(spec, equals + 1, len);
        if (index < 0 && len == 1 && equals[1] >= '0' && (size_t)(equals[1] - '0') < n_classes)
            index = equals[1] - '0';
        if (index < 0)
            return error_set(e, STATUS_ARGUMENT, "folder %.*s: there is no such class", (int)(end - part), part);
        *out = index;
    }
    return STATUS_OK;
}

static bool is_data(const char *path)
{
    static const char *const others[] = {".crc", ".html", ".root"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (len > strlen(others[i]) && strcmp(name + len - strlen(others[i]), others[i]) == 0)
            return false;
    return name[0] != '_' && name[0] != '.';
}

static enum status add_files(struct job_ctx *ctx, const struct import_spec *spec, const struct import_input *input,
                             const struct field_list *paths, struct import_plan *plan, struct error *e)
{
    const char *const *path = paths->items;
    struct import_file *files = ARENA_NEW(ctx->arena, struct import_file, plan->files.n_items + paths->n_items);
    size_t n = plan->files.n_items;
    if (!files)
        return error_set(e, STATUS_NOMEM, "list of input files");
    if (n)
        memcpy(files, plan->files.items, n * sizeof *files);
    for (size_t i = 0; i < paths->n_items; i++) {
        if (!is_data(path[i]))
            continue;
        files[n].path = path[i];
        TRY(class_of_path(spec, path[i], &files[n].label, e));
        if (files[n].label < 0 && input->label)
            files[n].label = class_index(spec, input->label, strlen(input->label));
        n++;
    }
    plan->files = (struct field_list){files, n};
    return STATUS_OK;
}

/* A folder stands for its files and those of partitions below it; a file, URL or glob for itself. */
static enum status plan_input(struct job_ctx *ctx, const struct import_spec *spec, const struct import_input *input,
                              struct import_plan *plan, struct error *e)
{
    static const char *const below[PATTERNS] = {"/*", "/*=*/*", "/*=*/*=*/*", "/*=*/*=*/*=*/*"};
    size_t len = strlen(input->path), before = plan->files.n_items;
    bool plain = !strpbrk(input->path, "*?[") && !strstr(input->path, "://");
    struct field_list paths;
    struct error ignored;
    while (len > 1 && input->path[len - 1] == '/')
        len--;
    for (size_t i = 0; plain && i < PATTERNS; i++) {
        const char *pattern = arena_printf(ctx->arena, "%.*s%s", (int)len, input->path, below[i]);
        if (!pattern)
            return error_set(e, STATUS_NOMEM, "list of input files");
        if (ctx->host->resolve_input(ctx->host_ctx, ctx->arena, pattern, &paths, &ignored) == STATUS_OK)
            TRY(add_files(ctx, spec, input, &paths, plan, e));
    }
    if (plan->files.n_items > before)
        return STATUS_OK;
    TRY(ctx->host->resolve_input(ctx->host_ctx, ctx->arena, input->path, &paths, e));
    TRY(add_files(ctx, spec, input, &paths, plan, e));
    return plan->files.n_items > before
               ? STATUS_OK
               : error_set(e, STATUS_NOTFOUND, "%.200s: no data files (names that begin with _ or . do not count)",
                           input->path);
}

static enum status plan_get(struct job_ctx *ctx, const struct import_spec *spec, struct import_plan *plan, struct error *e)
{
    bool found;
    TRY(work_record_load(ctx, plan_name, plan_fields, plan, &found, e));
    if (found)
        return STATUS_OK;
    const struct import_input *inputs = spec->inputs.items;
    for (size_t i = 0; i < spec->inputs.n_items; i++)
        TRY(plan_input(ctx, spec, &inputs[i], plan, e));
    if (spec->sequences)
        TRY(published_has(((const struct import_file *)plan->files.items)[0].path, spec->columns.sequence,
                          &plan->sequences, e));
    return work_record_save(ctx, plan_name, plan_fields, plan, e);
}

static enum status plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    struct import_plan p;
    *n_units = -1;
    if (phase > 0)
        return STATUS_OK;
    TRY(plan_get(ctx, spec, &p, e));
    *n_units = (int64_t)p.files.n_items;
    return STATUS_OK;
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

struct import_run {
    struct job_ctx *ctx;
    const struct import_spec *spec;
    const struct import_plan *plan;
    struct published *from;
    struct features_writer *to;
    struct feature_rows rows;
    int64_t done, counts[CLASSES_MAX];
    int32_t source;
};

/* From scaled to what was measured, where the bounds are known. */
static void unscale(const struct import_spec *spec, struct feature_rows *f)
{
    const double *lo = spec->feature_min.items, *hi = spec->feature_max.items;
    for (size_t i = 0; spec->feature_min.n_items > 0 && i < f->n * HLF_COUNT; i++) {
        size_t c = i % HLF_COUNT;
        f->hlf[i] = (float)((double)f->hlf[i] * (hi[c] - lo[c]) + lo[c]);
    }
}

static enum status copy_rows(struct import_run *r, struct error *e)
{
    for (;;) {
        TRY(work_check_cancelled(r->ctx, e));
        TRY(published_read(r->from, &r->rows, e));
        if (r->rows.n == 0)
            return STATUS_OK;
        unscale(r->spec, &r->rows);
        for (size_t i = 0; i < r->rows.n; i++) {
            r->rows.source[i] = r->source;
            r->counts[r->rows.label[i]]++;
        }
        TRY(features_write(r->to, &r->rows, e));
        r->done += (int64_t)r->rows.n;
        work_progress(r->ctx, "importing", "events", r->done, -1, NULL);
    }
}

static enum status hash_source(struct job_ctx *ctx, const char *path, char sha[65], int64_t *bytes, struct error *e)
{
    struct source *src;
    struct sha256 h;
    TRY(source_open(path, &src, e));
    enum status s = STATUS_OK;
    uint8_t *chunk = mem_alloc(HASH_CHUNK);
    if (!chunk)
        s = error_set(e, STATUS_NOMEM, "hash of a file");
    uint64_t size = source_size(src);
    sha256_init(&h);
    for (uint64_t at = 0, n; s == STATUS_OK && at < size; at += n) {
        n = size - at < HASH_CHUNK ? size - at : HASH_CHUNK;
        s = work_check_cancelled(ctx, e);
        if (s == STATUS_OK)
            s = source_read(src, at, chunk, (size_t)n, e);
        if (s == STATUS_OK)
            sha256_update(&h, chunk, (size_t)n);
    }
    sha256_final_hex(&h, sha);
    *bytes = (int64_t)size;
    mem_free(chunk);
    source_close(src);
    return s;
}

static enum status run_file(struct import_run *r, const struct import_file *file, const char *path, int64_t *rows,
                            struct error *e)
{
    size_t n_classes;
    import_classes(r->spec, &n_classes);
    const struct published_options o = {r->spec->columns.hlf, r->spec->columns.label,
                                        r->plan->sequences ? r->spec->columns.sequence : NULL, n_classes,
                                        (int32_t)file->label};
    TRY(published_open(file->path, &o, &r->from, e));
    enum status s = r->plan->sequences ? features_writer_create_prepared(path, &r->to, e)
                                       : features_writer_create(path, false, true, &r->to, e);
    if (s == STATUS_OK) {
        s = copy_rows(r, e);
        if (s == STATUS_OK)
            s = features_writer_finish(r->to, rows, e);
        else
            features_writer_abort(r->to);
    }
    published_close(r->from);
    return s;
}

static enum status run(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result, struct error *e)
{
    struct import_plan p;
    struct import_unit before, left = {0};
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX], sha[65];
    struct import_run r = {.ctx = ctx, .spec = spec, .plan = &p, .source = (int32_t)unit};
    size_t n_classes;
    import_classes(spec, &n_classes);
    TRY(plan_get(ctx, spec, &p, e));
    for (int64_t i = 0; i < unit; i++) {
        TRY(work_unit_result(ctx, phase, i, import_unit_fields, &before, e));
        r.done += before.rows;
    }
    const struct import_file *file = (const struct import_file *)p.files.items + unit;
    TRY(work_path(ctx, folder, e, "dataset"));
    TRY(file_make_folder(folder, e));
    TRY(work_path(ctx, path, e, "dataset/part-%05lld.parquet", (long long)unit));
    TRY(hash_source(ctx, file->path, sha, &left.bytes, e));
    feature_rows_init(&r.rows);
    enum status s = run_file(&r, file, path, &left.rows, e);
    feature_rows_fini(&r.rows);
    TRY(s);
    left.sha256 = sha;
    left.counts = (struct field_list){r.counts, n_classes};
    return field_write_text(import_unit_fields, &left, result, e);
}

static enum status finish(struct job_ctx *ctx, const void *spec, void *result_, struct error *e)
{
    struct import_result *result = result_;
    struct import_plan p;
    struct manifest m;
    char folder[PATH_BYTES_MAX];
    TRY(plan_get(ctx, spec, &p, e));
    TRY(work_path(ctx, folder, e, "dataset"));
    TRY(import_describe(ctx, spec, &p, folder, &m, e));
    TRY(manifest_write(folder, &m, e));
    *result = (struct import_result){m.id, m.recipe, m.split, m.rows, (int64_t)p.files.n_items, m.has_rows, m.scaled,
                                     m.class_counts};
    const struct artifact artifact = {.kind = "dataset", .id = m.id, .staged = folder, .name = m.split};
    return ctx->host->publish(ctx->host_ctx, &artifact, e);
}

const struct job_kind import_kind = {
    .name = "import",
    .doc = "Reads the published SparkDLTrigger data, Parquet or TFRecord, as a features dataset of recipe sparkdltrigger-1.",
    .spec_fields = spec_fields,
    .spec_size = sizeof(struct import_spec),
    .result_fields = result_fields,
    .result_size = sizeof(struct import_result),
    .max_attempts = 3,
    .validate = validate,
    .plan = plan,
    .run = run,
    .finish = finish,
};
