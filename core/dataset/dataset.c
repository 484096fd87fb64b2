/* core/dataset/dataset.c
 *
 * Opening a dataset's folder, checking it, and reading all of a features dataset at once. */
#include "core/dataset/private.h"

#include <string.h>

enum { DATASET_ARENA_MAX = 256 << 20 };

/* For messages: a published dataset's folder has its id for a name. */
static const char *last_part(const char *folder)
{
    const char *slash = strrchr(folder, '/');
    return slash && slash[1] ? slash + 1 : folder;
}

enum status dataset_open(const char *folder, struct dataset **out, struct error *e)
{
    *out = NULL;
    struct dataset *d = mem_calloc(1, sizeof *d);
    if (!d)
        return error_set(e, STATUS_NOMEM, "dataset");
    arena_init(&d->arena, DATASET_ARENA_MAX);
    d->folder = arena_strdup(&d->arena, folder);
    if (!d->folder)
        FAIL_OR(fail, e, STATUS_NOMEM, "dataset");
    TRY_OR(manifest_read(&d->arena, folder, &d->manifest, e), fail);
    *out = d;
    return STATUS_OK;
fail:
    dataset_close(d);
    if (e->status == STATUS_NOTFOUND)
        return error_set(e, STATUS_NOTFOUND,
                         "dataset %s: there is no manifest: its folder was removed, or is no dataset's folder",
                         last_part(folder));
    return error_wrap(e, "dataset %s", last_part(folder));
}

void dataset_close(struct dataset *d)
{
    if (!d)
        return;
    arena_fini(&d->arena);
    mem_free(d);
}

const struct manifest *dataset_manifest(const struct dataset *d)
{
    return &d->manifest;
}

enum status dataset_part_path(const struct dataset *d, size_t part, char out[PATH_BYTES_MAX], struct error *e)
{
    const struct dataset_part *parts = d->manifest.parts.items;
    check(part < d->manifest.parts.n_items);
    if (strchr(parts[part].file, '/'))
        return error_set(e, STATUS_FORMAT, "part %zu: a file name with a slash", part);
    return path_join(out, d->folder, parts[part].file, e);
}

enum status dataset_verify(const struct dataset *d, struct error *e)
{
    const struct dataset_part *parts = d->manifest.parts.items;
    for (size_t i = 0; i < d->manifest.parts.n_items; i++) {
        char path[PATH_BYTES_MAX], sha[65];
        int64_t bytes;
        TRY(dataset_part_path(d, i, path, e));
        TRY(sha256_file_hex(path, sha, &bytes, e));
        if (bytes != parts[i].bytes || strcmp(sha, parts[i].sha256) != 0)
            return error_set(e, STATUS_FORMAT, "dataset %s: part %s is not what the manifest says (size or SHA-256)",
                             d->manifest.id, parts[i].file);
    }
    return STATUS_OK;
}

enum status dataset_part_describe(struct arena *a, const char *folder, const char *file, int64_t rows,
                                  struct dataset_part *out, struct error *e)
{
    char path[PATH_BYTES_MAX], sha[65];
    TRY(path_join(path, folder, file, e));
    *out = (struct dataset_part){.rows = rows, .source = -1};
    TRY(sha256_file_hex(path, sha, &out->bytes, e));
    out->file = arena_strdup(a, file);
    out->sha256 = arena_strdup(a, sha);
    if (!out->file || !out->sha256)
        return error_set(e, STATUS_NOMEM, "part %s", file);
    return STATUS_OK;
}

enum status dataset_part_written(struct arena *a, const char *file, const struct part_written *written,
                                 struct dataset_part *out, struct error *e)
{
    *out = (struct dataset_part){.rows = written->rows, .bytes = written->bytes, .source = -1};
    out->file = arena_strdup(a, file);
    out->sha256 = arena_strdup(a, written->sha256);
    return out->file && out->sha256 ? STATUS_OK : error_set(e, STATUS_NOMEM, "part %s", file);
}

enum status dataset_features_reader(const struct dataset *d, size_t part, struct features_reader **out, struct error *e)
{
    char path[PATH_BYTES_MAX];
    *out = NULL;
    TRY(dataset_part_path(d, part, path, e));
    return features_reader_open(path, out, e);
}

enum status dataset_read_features(const struct dataset *d, bool want_rows, struct feature_rows *out, struct error *e)
{
    feature_rows_clear(out);
    if (d->manifest.kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds events: make features of it first (job kind features)",
                         d->manifest.id);
    for (size_t i = 0; i < d->manifest.parts.n_items; i++) {
        char path[PATH_BYTES_MAX];
        struct features_reader *r;
        TRY(dataset_part_path(d, i, path, e));
        TRY(features_reader_open(path, &r, e));
        enum status s = STATUS_OK;
        for (size_t g = 0; s == STATUS_OK && g < features_reader_groups(r); g++)
            s = features_read(r, g, want_rows, out, e);
        features_reader_close(r);
        TRY(s);
    }
    if ((int64_t)out->n != d->manifest.rows)
        return error_set(e, STATUS_FORMAT, "dataset %s: parts hold %zu rows, the manifest says %lld", d->manifest.id,
                         out->n, (long long)d->manifest.rows);
    return STATUS_OK;
}

/* ---- part files ------------------------------------------------------------------------------------------ */

enum status part_file_open(const char *path, struct part_file *out, struct error *e)
{
    *out = (struct part_file){0};
    TRY(source_open(path, &out->source, e));
    enum status s = pq_open(out->source, &out->reader, e);
    if (s != STATUS_OK) {
        s = error_wrap(e, "%s", source_name(out->source));
        part_file_close(out);
    }
    return s;
}

void part_file_close(struct part_file *p)
{
    pq_close(p->reader);
    source_close(p->source);
    *p = (struct part_file){0};
}

enum status part_file_column(struct part_file *p, size_t group, const struct pq_column *column, size_t n_rows,
                             struct pq_values *out, struct error *e)
{
    const char *file = source_name(p->source);
    int i = pq_column_find(p->reader, column->name);
    if (i < 0)
        return error_set(e, STATUS_FORMAT, "%s: no column %s", file, column->name);
    const struct pq_column *found = pq_column_at(p->reader, (size_t)i);
    if (found->type != column->type || found->depth != column->list)
        return error_set(e, STATUS_FORMAT, "%s: column %s has another type", file, column->name);
    if (pq_read(p->reader, group, (size_t)i, out, e) != STATUS_OK)
        return error_wrap(e, "%s: column %s: row group %zu", file, column->name, group);
    if (out->n_rows != n_rows || out->null || out->value_null)
        return error_set(e, STATUS_FORMAT, "%s: column %s: row group %zu: %s", file, column->name, group,
                         out->null || out->value_null ? "null values" : "another number of rows");
    if (out->n_values >= UINT32_MAX)
        return error_set(e, STATUS_RANGE, "%s: column %s: row group %zu: %zu values", file, column->name, group,
                         out->n_values);
    return STATUS_OK;
}
