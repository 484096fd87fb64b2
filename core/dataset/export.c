/* core/dataset/export.c
 *
 * Features datasets for other tools: one loop over a part's rows that computes what the layouts hold, a batch at a time,
 * for the formats of export_formats.c; and the record that an exported folder has of itself.  The job kind `export` and
 * the command `dltrigger export` both come through here. */
#include "core/dataset/export_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLASSES_MAX = 64, CHUNK_BYTES = 1 << 20, RECORD_BYTES_MAX = 64 << 20,
       BATCH_HLF = 65536, BATCH_SEQUENCE = 128 /* 16 MB as doubles */ };

const char *const export_format_names[] = {"parquet", "tfrecord", "npy", "csv", NULL};
const char *const export_layout_names[] = {"published", "flat", "features", NULL};
const char *const export_what_names[] = {"hlf", "sequence", "both", NULL};
const char *const export_compression_names[] = {"snappy", "none", "gzip", "zstd", NULL};

const struct field export_file_fields[] = {
    FIELD_STRING(struct export_file, file, .doc = "name inside the folder"),
    FIELD_STRING(struct export_file, sha256),
    FIELD_I64(struct export_file, bytes, .unit = "bytes"),
    FIELD_END,
};
const struct field export_record_fields[] = {
    FIELD_STRING(struct export_record, id),
    FIELD_STRING(struct export_record, job_id, .doc = "job that made it"),
    FIELD_STRING(struct export_record, dataset_id, .doc = "dataset that it was made from"),
    FIELD_STRING(struct export_record, created_at),
    FIELD_STRING(struct export_record, build_id),
    FIELD_STRING(struct export_record, recipe),
    FIELD_STRING(struct export_record, content_sha256, .doc = "over the files' hashes"),
    FIELD_ENUM(struct export_record, format, export_format_names),
    FIELD_ENUM(struct export_record, layout, export_layout_names),
    FIELD_ENUM(struct export_record, what, export_what_names),
    FIELD_ENUM(struct export_record, compression, export_compression_names),
    FIELD_I64(struct export_record, rows),
    FIELD_I64(struct export_record, bytes, .unit = "bytes"),
    FIELD_LIST_STRING(struct export_record, classes, .doc = "in the order of encoded_label"),
    FIELD_OBJECT(struct export_record, scaler, scaler_record_fields, .doc = "that HLF_input was scaled with"),
    FIELD_LIST_OBJECT(struct export_record, files, struct export_file, export_file_fields),
    FIELD_END,
};

enum status export_options_check(const struct export_options *o, struct error *e)
{
    bool columns = o->format == EXPORT_CSV || o->layout == EXPORT_FEATURES;
    if (o->format == EXPORT_TFRECORD && columns)
        return error_set(e, STATUS_ARGUMENT, "/layout: TFRecord has the layout published (or flat, which is the same there)");
    if (o->format == EXPORT_CSV && o->layout == EXPORT_FLAT)
        return error_set(e, STATUS_ARGUMENT, "/layout: csv has one column a feature: leave layout out");
    if (columns && o->what != EXPORT_HLF)
        return error_set(e, STATUS_ARGUMENT, "/what: particle sequences have the layouts published and flat");
    if (o->format != EXPORT_PARQUET && o->compression != EXPORT_SNAPPY)
        return error_set(e, STATUS_ARGUMENT, "/compression: only Parquet is compressed: leave it out");
    return STATUS_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

enum status export_grow(void *array, size_t *cap, size_t n, size_t size, struct error *e)
{
    void **p = array;
    if (n <= *cap && *p)
        return STATUS_OK;
    void *bigger = mem_realloc(*p, (n ? n : 1) * size);
    if (!bigger)
        return error_set(e, STATUS_NOMEM, "export: %zu x %zu bytes", n, size);
    *p = bigger;
    *cap = n;
    return STATUS_OK;
}

enum status export_open(struct exporter *x, size_t i, const char *name, int64_t at, struct error *e)
{
    char path[PATH_BYTES_MAX];
    TRY(path_join(path, x->folder, name, e));
    x->files[i].at = x->files[i].first = at;
    x->files[i].fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    return x->files[i].fd >= 0 ? STATUS_OK : error_errno(e, "%s", name);
}

static enum status flush(struct export_output *f, struct error *e)
{
    for (size_t done = 0; done < f->pending.len;) {
        ssize_t n = pwrite(f->fd, f->pending.data + done, f->pending.len - done, (off_t)f->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_errno(e, "exported file");
        done += (size_t)n;
        f->at += n;
    }
    f->pending.len = 0;
    return STATUS_OK;
}

enum status export_put(struct exporter *x, size_t i, const void *p, size_t n, struct error *e)
{
    struct export_output *f = &x->files[i];
    for (size_t done = 0, take; done < n; done += take) {
        take = n - done < CHUNK_BYTES ? n - done : CHUNK_BYTES;
        if (f->pending.len + take > 2 * CHUNK_BYTES)
            TRY(flush(f, e));
        TRY(buf_append(&f->pending, (const uint8_t *)p + done, take, e));
    }
    return STATUS_OK;
}

enum status export_close(struct exporter *x, bool cut, struct error *e)
{
    enum status s = STATUS_OK;
    for (size_t i = 0; i < EXPORT_FILES; i++) {
        struct export_output *f = &x->files[i];
        if (f->fd < 0)
            continue;
        if (s == STATUS_OK)
            s = flush(f, e);
        if (s == STATUS_OK && ((cut && ftruncate(f->fd, (off_t)f->at) != 0) || fsync(f->fd) != 0))
            s = error_errno(e, "exported file");
        if (close(f->fd) != 0 && s == STATUS_OK)
            s = error_errno(e, "exported file");
        f->fd = -1;
    }
    return s;
}

/* ---- one batch --------------------------------------------------------------------------------------------------- */

static enum status prepare_steps(struct exporter *x, struct error *e)
{
    const struct feature_rows *f = &x->rows;
    const struct sequence_scaler *scaler = &x->rows_scaler;
    TRY(export_grow(&x->steps, &x->cap_steps, x->n * PARTICLE_ROWS_MAX * PARTICLE_COLUMNS, sizeof *x->steps, e));
    x->step_first[0] = 0;
    for (size_t i = 0; i < x->n; i++) {
        size_t first = f->row_first[x->first + i], n = f->row_first[x->first + i + 1] - first;
        float *out = x->steps + x->step_first[i] * PARTICLE_COLUMNS;
        if (n == 0 || n > PARTICLE_ROWS_MAX)
            return error_set(e, STATUS_FORMAT, "an event with %zu particle rows", n);
        if (f->prepared) {
            memcpy(out, f->rows.prepared + first * PARTICLE_COLUMNS, n * PARTICLE_COLUMNS * sizeof *out);
        } else {
            particle_expand(&f->rows, first, n, x->expanded);
            n = sequence_prepare(x->recipe, scaler, x->expanded, n, out);
        }
        x->step_first[i + 1] = x->step_first[i] + n;
    }
    return STATUS_OK;
}

static enum status prepare_batch(struct exporter *x, struct error *e)
{
    size_t n = x->n;
    TRY(export_grow(&x->scaled, &x->cap_scaled, n * HLF_COUNT, sizeof *x->scaled, e));
    TRY(export_grow(&x->one_hot, &x->cap_one_hot, n * x->n_classes, sizeof *x->one_hot, e));
    TRY(export_grow(&x->step_first, &x->cap_first, n + 1, sizeof *x->step_first, e));
    hlf_scale(&x->scaler, x->rows.hlf + x->first * HLF_COUNT, n, x->scaled);
    memset(x->one_hot, 0, n * x->n_classes * sizeof *x->one_hot);
    for (size_t i = 0; i < n; i++) {
        int32_t label = x->rows.label[x->first + i];
        if (label < 0 || (size_t)label >= x->n_classes)
            return error_set(e, STATUS_FORMAT, "label %d of %zu classes", label, x->n_classes);
        x->one_hot[i * x->n_classes + (size_t)label] = 1;
    }
    return x->sequence ? prepare_steps(x, e) : STATUS_OK;
}

static enum status export_group(struct exporter *x, const struct export_watch *watch, struct error *e)
{
    size_t batch = x->sequence ? BATCH_SEQUENCE : BATCH_HLF;
    for (x->first = 0; x->first < x->rows.n; x->first += x->n) {
        x->n = x->rows.n - x->first < batch ? x->rows.n - x->first : batch;
        TRY(prepare_batch(x, e));
        TRY(export_formats[x->o->format].add(x, e));
        if (watch && watch->rows)
            TRY(watch->rows(watch->ctx, (int64_t)x->n, e));
    }
    return STATUS_OK;
}

/* ---- one part ---------------------------------------------------------------------------------------------------- */

static enum status exporter_init(struct exporter *x, const struct dataset *d, const struct export_options *o,
                                 const char *folder, struct error *e)
{
    bool has_sequence;
    *x = (struct exporter){.d = d, .m = &d->manifest, .o = o, .folder = folder, .n_classes = d->manifest.classes.n_items};
    for (size_t i = 0; i < EXPORT_FILES; i++) {
        x->files[i].fd = -1;
        buf_init(&x->files[i].pending, 4 * CHUNK_BYTES);
    }
    feature_rows_init(&x->rows);
    x->published = o->format != EXPORT_CSV && o->layout != EXPORT_FEATURES;
    x->hlf = o->what != EXPORT_SEQUENCE;
    x->sequence = o->what != EXPORT_HLF;
    if (x->m->kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds events: make features of it first (job kind features)",
                         x->m->id);
    if (x->n_classes == 0 || x->n_classes > CLASSES_MAX)
        return error_set(e, STATUS_FORMAT, "dataset %s: %zu classes", x->m->id, x->n_classes);
    if (x->m->parts.n_items == 0)
        return error_set(e, STATUS_ARGUMENT, "dataset %s has no rows", x->m->id);
    if (x->sequence && !x->m->has_rows)
        return error_set(e, STATUS_ARGUMENT, "GRU_input needs particle rows, and dataset %s has none: make features with "
                         "sequences: true", x->m->id);
    x->recipe = x->m->recipe ? recipe_find(x->m->recipe) : NULL;
    if (!x->recipe)
        return error_set(e, STATUS_UNSUPPORTED, "dataset %s: recipe %s, which this build does not know", x->m->id,
                         x->m->recipe ? x->m->recipe : "none");
    x->expanded = mem_alloc((size_t)PARTICLE_ROWS_MAX * PARTICLE_COLUMNS * sizeof *x->expanded);
    if (!x->expanded)
        return error_set(e, STATUS_NOMEM, "export");
    return scaler_record_read(&x->m->scaler, &x->scaler, &x->rows_scaler, &has_sequence, e);
}

static void exporter_fini(struct exporter *x)
{
    pq_writer_abort(x->pq);
    for (size_t i = 0; i < EXPORT_FILES; i++) {
        /* Not finished: a full disk gets back what this part took. */
        if (x->files[i].fd >= 0 && ftruncate(x->files[i].fd, (off_t)x->files[i].first) != 0)
            log_line(LOG_DEBUG, "export: an unfinished part keeps its room");
        if (x->files[i].fd >= 0)
            close(x->files[i].fd);
        buf_fini(&x->files[i].pending);
    }
    feature_rows_fini(&x->rows);
    mem_free(x->expanded);
    mem_free(x->scaled);
    mem_free(x->one_hot);
    mem_free(x->steps);
    mem_free(x->step_first);
    mem_free(x->wide);
    mem_free(x->offsets);
    mem_free(x->inner);
}

static enum status run_part(struct exporter *x, const struct export_watch *watch, int64_t *end, struct error *e)
{
    const struct dataset_part *parts = x->m->parts.items;
    char path[PATH_BYTES_MAX];
    struct features_reader *r;
    int64_t rows = 0;
    for (size_t i = 0; i < x->part; i++)
        x->first_row += parts[i].rows;
    TRY(dataset_part_path(x->d, x->part, path, e));
    TRY(features_reader_open(path, &r, e));
    enum status s = export_formats[x->o->format].begin(x, *end, e);
    for (size_t g = 0; s == STATUS_OK && g < features_reader_groups(r); g++) {
        feature_rows_clear(&x->rows);
        s = features_read(r, g, x->sequence, &x->rows, e);
        if (s == STATUS_OK)
            s = export_group(x, watch, e);
        rows += (int64_t)x->rows.n;
    }
    features_reader_close(r);
    if (s == STATUS_OK && rows != parts[x->part].rows)
        s = error_set(e, STATUS_FORMAT, "part %s holds %lld rows, the manifest says %lld", parts[x->part].file,
                      (long long)rows, (long long)parts[x->part].rows);
    if (s == STATUS_OK)
        s = export_formats[x->o->format].end(x, e);
    *end = s == STATUS_OK ? x->files[0].at : *end;
    return s;
}

enum status export_part(const struct dataset *d, const struct export_options *o, size_t part, const char *folder,
                        const struct export_watch *watch, int64_t *end, struct error *e)
{
    struct exporter x;
    check(export_options_check(o, e) == STATUS_OK);
    enum status s = exporter_init(&x, d, o, folder, e);
    x.part = part;
    if (s == STATUS_OK)
        s = run_part(&x, watch, end, e);
    exporter_fini(&x);
    return s == STATUS_OK || s == STATUS_CANCELLED ? s : error_wrap(e, "export of dataset %s", d->manifest.id);
}

/* ---- the record -------------------------------------------------------------------------------------------------- */

static enum status describe_file(struct arena *a, const char *folder, const char *name, struct export_file *out,
                                 struct error *e)
{
    char path[PATH_BYTES_MAX], sha[65];
    TRY(path_join(path, folder, name, e));
    TRY(sha256_file_hex(path, sha, &out->bytes, e));
    out->file = arena_strdup(a, name);
    out->sha256 = arena_strdup(a, sha);
    return out->file && out->sha256 ? STATUS_OK : error_set(e, STATUS_NOMEM, "list of exported files");
}

static enum status describe_files(const struct exporter *x, struct arena *a, struct export_record *out, struct error *e)
{
    size_t n_parts = x->m->parts.n_items;
    bool by_part = x->o->format == EXPORT_PARQUET || x->o->format == EXPORT_TFRECORD;
    struct export_file *files = ARENA_NEW(a, struct export_file, (by_part ? n_parts : 1) * EXPORT_FILES);
    struct sha256 all;
    char sha[65];
    size_t n = 0;
    if (!files)
        return error_set(e, STATUS_NOMEM, "list of exported files");
    sha256_init(&all);
    for (size_t p = 0; p < (by_part ? n_parts : 1); p++) {
        char names[EXPORT_FILES][48];
        size_t n_names = export_file_names(x, p, names);
        for (size_t i = 0; i < n_names; i++, n++) {
            TRY(describe_file(a, x->folder, names[i], &files[n], e));
            sha256_update(&all, files[n].sha256, 64);
            out->bytes += files[n].bytes;
        }
    }
    sha256_final_hex(&all, sha);
    out->files = (struct field_list){files, n};
    out->content_sha256 = arena_strdup(a, sha);
    return out->content_sha256 ? STATUS_OK : error_set(e, STATUS_NOMEM, "list of exported files");
}

static enum status write_record(const char *folder, const struct export_record *record, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf text;
    TRY(path_join(path, folder, EXPORT_FILE, e));
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = field_write_text(export_record_fields, record, &text, e);
    if (s == STATUS_OK)
        s = file_write_atomic(path, text.data, text.len, e);
    buf_fini(&text);
    return s;
}

enum status export_finish(const struct dataset *d, const struct export_options *o, const char *folder, struct arena *a,
                          struct export_record *out, struct error *e)
{
    struct exporter x;
    enum status s = exporter_init(&x, d, o, folder, e);
    if (s == STATUS_OK) {
        out->dataset_id = x.m->id;
        out->build_id = DLT_BUILD_ID;
        out->recipe = x.m->recipe;
        out->format = o->format;
        out->layout = x.published ? o->layout : EXPORT_FEATURES;
        out->what = o->what;
        out->compression = o->format == EXPORT_PARQUET ? o->compression : EXPORT_UNCOMPRESSED;
        out->rows = x.m->rows;
        out->bytes = 0;
        out->classes = x.m->classes;
        out->scaler = x.m->scaler;
        s = describe_files(&x, a, out, e);
    }
    if (s == STATUS_OK)
        s = write_record(folder, out, e);
    if (s == STATUS_OK)
        s = file_sync_folder(folder, e);
    exporter_fini(&x);
    return s;
}

enum status export_read(struct arena *a, const char *folder, struct export_record *out, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf text;
    TRY(path_join(path, folder, EXPORT_FILE, e));
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = file_read(path, &text, e);
    field_defaults(export_record_fields, out);
    if (s == STATUS_OK)
        s = field_read_text(a, export_record_fields, (struct span){text.data, text.len}, out, e);
    buf_fini(&text);
    return s;
}

/* ---- all at once ------------------------------------------------------------------------------------------------- */

static enum status export_into(const struct dataset *d, const struct export_options *o, const char *folder,
                               struct error *e)
{
    struct arena a;
    struct export_record record;
    int64_t end = 0;
    for (size_t p = 0; p < d->manifest.parts.n_items; p++)
        TRY(export_part(d, o, p, folder, NULL, &end, e));
    arena_init(&a, RECORD_BYTES_MAX);
    field_defaults(export_record_fields, &record);
    enum status s = export_finish(d, o, folder, &a, &record, e);
    arena_fini(&a);
    return s;
}

enum status dataset_export(const struct dataset *d, const struct export_options *o, const char *folder, struct error *e)
{
    char partial[PATH_BYTES_MAX];
    struct error ignored;
    struct stat st;
    TRY(export_options_check(o, e));
    if (lstat(folder, &st) == 0)
        return error_set(e, STATUS_CONFLICT, "%s is there already: name a new folder", folder);
    if (snprintf(partial, sizeof partial, "%s.partial", folder) >= (int)sizeof partial)
        return error_set(e, STATUS_RANGE, "path longer than %d bytes", PATH_BYTES_MAX - 1);
    TRY(file_remove_tree(partial, e));                 /* what an interrupted export left */
    TRY(file_make_folder(partial, e));
    enum status s = export_into(d, o, partial, e);
    if (s == STATUS_OK && rename(partial, folder) != 0)
        s = error_errno(e, "naming the finished folder");
    if (s != STATUS_OK && file_remove_tree(partial, &ignored) != STATUS_OK)
        log_line(LOG_WARN, "export: %s", ignored.text);
    return s;
}
