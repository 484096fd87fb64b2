/* core/dataset/export.c
 *
 * A features dataset in the layouts of the published SparkDLTrigger data: HLF_input, the 14 scaled features, and
 * encoded_label, the class as a one-hot vector.  One row group is in memory at a time; everything is written to a folder
 * beside the wanted one, which gets its name when it is complete. */
#include "core/dataset/private.h"
#include "core/dataset/tfrecord.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLASSES_MAX = 64, CHUNK_BYTES = 1 << 20, CHUNK_BYTES_MAX = 64 << 20 };

const char *const export_format_names[] = {"parquet", "tfrecord", "npy", "csv", NULL};

struct exporter {
    const struct dataset *d;
    const struct manifest *m;
    enum export_format format;
    char folder[PATH_BYTES_MAX];       /* the temporary one */
    struct hlf_scaler scaler;
    size_t n_classes;
    struct feature_rows rows;          /* the present group */
    float *hlf;                        /* [rows.n][HLF_COUNT] scaled */
    float *one_hot;                    /* [rows.n][n_classes] */
    double *wide;                      /* both as float64, for Parquet: [rows.n][HLF_COUNT + n_classes] */
    uint64_t *offsets;                 /* [2][rows.n + 1] */
    size_t cap;
    struct pq_writer *pq;
    FILE *files[3];
    struct buf chunk;
};

/* ---- files ---------------------------------------------------------------------------------------------------- */

static enum status open_file(struct exporter *x, size_t i, const char *name, struct error *e)
{
    char path[PATH_BYTES_MAX];
    TRY(path_join(path, x->folder, name, e));
    x->files[i] = fopen(path, "wbx");
    return x->files[i] ? STATUS_OK : error_errno(e, "%s", name);
}

static enum status put(struct exporter *x, size_t i, const void *p, size_t n, struct error *e)
{
    return fwrite(p, 1, n, x->files[i]) == n ? STATUS_OK : error_errno(e, "exported file");
}

static enum status put_chunk(struct exporter *x, struct error *e)
{
    size_t n = x->chunk.len;
    x->chunk.len = 0;
    return n ? put(x, 0, x->chunk.data, n, e) : STATUS_OK;
}

static enum status close_files(struct exporter *x, struct error *e)
{
    enum status s = STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(x->files); i++) {
        FILE *f = x->files[i];
        x->files[i] = NULL;
        if (!f)
            continue;
        if (s == STATUS_OK && (fflush(f) != 0 || fsync(fileno(f)) != 0))
            s = error_errno(e, "exported file");
        if (fclose(f) != 0 && s == STATUS_OK)
            s = error_errno(e, "exported file");
    }
    return s;
}

/* ---- formats: begin a file, add the present group, end ---------------------------------------------------------- */

static enum status parquet_begin(struct exporter *x, size_t part, struct error *e)
{
    static const struct pq_column columns[] = {{.name = "HLF_input", .type = PQ_F64, .list = true},
                                               {.name = "encoded_label", .type = PQ_F64, .list = true}};
    static const struct pq_write_options options = {.codec = CODEC_SNAPPY};
    char name[48], path[PATH_BYTES_MAX];
    snprintf(name, sizeof name, "part-%05zu.parquet", part);
    TRY(path_join(path, x->folder, name, e));
    return pq_writer_create(path, columns, ARRAY_LEN(columns), &options, &x->pq, e);
}

static enum status parquet_add(struct exporter *x, struct error *e)
{
    size_t n = x->rows.n, widths[2] = {HLF_COUNT, x->n_classes};
    const float *from[2] = {x->hlf, x->one_hot};
    double *to[2] = {x->wide, x->wide + n * HLF_COUNT};
    struct pq_values values[2];
    for (size_t c = 0; c < 2; c++) {
        uint64_t *offsets = x->offsets + c * (n + 1);
        for (size_t i = 0; i <= n; i++)
            offsets[i] = i * widths[c];
        for (size_t i = 0; i < n * widths[c]; i++)
            to[c][i] = from[c][i];
        values[c] = (struct pq_values){.n_rows = n, .n_values = n * widths[c], .data = to[c], .offsets = offsets};
    }
    return pq_write_row_group(x->pq, values, e);
}

static enum status parquet_end(struct exporter *x, struct error *e)
{
    struct pq_writer *w = x->pq;
    x->pq = NULL;
    return pq_writer_finish(w, e);
}

static enum status tfrecord_begin(struct exporter *x, size_t part, struct error *e)
{
    char name[48];
    snprintf(name, sizeof name, "part-%05zu.tfrecord", part);
    return open_file(x, 0, name, e);
}

static enum status tfrecord_add(struct exporter *x, struct error *e)
{
    for (size_t i = 0; i < x->rows.n; i++) {
        const struct float_feature features[] = {{"HLF_input", x->hlf + i * HLF_COUNT, HLF_COUNT},
                                                 {"encoded_label", x->one_hot + i * x->n_classes, x->n_classes}};
        TRY(tfrecord_append(&x->chunk, features, ARRAY_LEN(features), e));
        if (x->chunk.len > CHUNK_BYTES)
            TRY(put_chunk(x, e));
    }
    return put_chunk(x, e);
}

/* Format 1.0: the header's length makes the data start at a multiple of 64. */
static enum status npy_head(struct exporter *x, size_t i, const char *name, size_t columns, struct error *e)
{
    char text[128], head[256];
    TRY(open_file(x, i, name, e));
    if (columns > 0)
        snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %zu), }",
                 (long long)x->m->rows, columns);
    else
        snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld,), }",
                 (long long)x->m->rows);
    int n = snprintf(head, sizeof head, "%-*s\n", (int)(128 - 10 - 1), text);
    check(n == 128 - 10);
    const uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 128 - 10, 0};
    TRY(put(x, i, magic, sizeof magic, e));
    return put(x, i, head, (size_t)n, e);
}

static enum status npy_begin(struct exporter *x, size_t part, struct error *e)
{
    if (part > 0)
        return STATUS_OK;
    TRY(npy_head(x, 0, "HLF_input.npy", HLF_COUNT, e));
    TRY(npy_head(x, 1, "encoded_label.npy", x->n_classes, e));
    return npy_head(x, 2, "weight.npy", 0, e);
}

static enum status npy_add(struct exporter *x, struct error *e)
{
    size_t n = x->rows.n;
    TRY(put(x, 0, x->hlf, n * HLF_COUNT * sizeof *x->hlf, e));
    TRY(put(x, 1, x->one_hot, n * x->n_classes * sizeof *x->one_hot, e));
    return put(x, 2, x->rows.weight, n * sizeof *x->rows.weight, e);
}

/* A text field by RFC 4180: quoted, quotes doubled. */
static enum status put_quoted(struct exporter *x, const char *text, struct error *e)
{
    TRY(buf_append(&x->chunk, "\"", 1, e));
    for (const char *c = text; *c; c++)
        TRY(buf_append(&x->chunk, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1, e));
    return buf_append(&x->chunk, "\"", 1, e);
}

static enum status csv_begin(struct exporter *x, size_t part, struct error *e)
{
    if (part > 0)
        return STATUS_OK;
    TRY(open_file(x, 0, "rows.csv", e));
    TRY(buf_printf(&x->chunk, e, "class,label,weight,number,entry,source"));
    for (size_t i = 0; i < HLF_COUNT; i++)
        TRY(buf_printf(&x->chunk, e, ",%s", hlf_info[i].name));
    return buf_printf(&x->chunk, e, "\r\n");
}

/* For people: the features in their units, not scaled. */
static enum status csv_add(struct exporter *x, struct error *e)
{
    const struct feature_rows *f = &x->rows;
    for (size_t i = 0; i < f->n; i++) {
        TRY(put_quoted(x, ((const char *const *)x->m->classes.items)[f->label[i]], e));
        TRY(buf_printf(&x->chunk, e, ",%d,%.9g,%lld,%lld,%d", f->label[i], (double)f->weight[i],
                       (long long)f->number[i], (long long)f->entry[i], f->source[i]));
        for (size_t c = 0; c < HLF_COUNT; c++)
            TRY(buf_printf(&x->chunk, e, ",%.9g", (double)f->hlf[i * HLF_COUNT + c]));
        TRY(buf_printf(&x->chunk, e, "\r\n"));
        if (x->chunk.len > CHUNK_BYTES)
            TRY(put_chunk(x, e));
    }
    return put_chunk(x, e);
}

static enum status keep_open(struct exporter *x, struct error *e)
{
    (void)x;
    (void)e;
    return STATUS_OK;
}

static const struct {
    enum status (*begin)(struct exporter *x, size_t part, struct error *e);
    enum status (*add)(struct exporter *x, struct error *e);
    enum status (*end)(struct exporter *x, struct error *e);       /* of a part */
} formats[] = {
    [EXPORT_PARQUET] = {parquet_begin, parquet_add, parquet_end},
    [EXPORT_TFRECORD] = {tfrecord_begin, tfrecord_add, close_files},
    [EXPORT_NPY] = {npy_begin, npy_add, keep_open},
    [EXPORT_CSV] = {csv_begin, csv_add, keep_open},
};

/* ---- the loop --------------------------------------------------------------------------------------------------- */

static enum status grow(void **p, size_t n, size_t size, struct error *e)
{
    void *bigger = mem_realloc(*p, n * size);
    if (!bigger)
        return error_set(e, STATUS_NOMEM, "export of %zu rows", n);
    *p = bigger;
    return STATUS_OK;
}

/* Scaled features and one-hot labels of the present group. */
static enum status prepare_group(struct exporter *x, struct error *e)
{
    size_t n = x->rows.n;
    if (n > x->cap) {
        TRY(grow((void **)&x->hlf, n * HLF_COUNT, sizeof *x->hlf, e));
        TRY(grow((void **)&x->one_hot, n * x->n_classes, sizeof *x->one_hot, e));
        TRY(grow((void **)&x->wide, n * (HLF_COUNT + x->n_classes), sizeof *x->wide, e));
        TRY(grow((void **)&x->offsets, 2 * (n + 1), sizeof *x->offsets, e));
        x->cap = n;
    }
    hlf_scale(&x->scaler, x->rows.hlf, n, x->hlf);
    memset(x->one_hot, 0, n * x->n_classes * sizeof *x->one_hot);
    for (size_t i = 0; i < n; i++) {
        int32_t label = x->rows.label[i];
        if (label < 0 || (size_t)label >= x->n_classes)
            return error_set(e, STATUS_FORMAT, "label %d of %zu classes", label, x->n_classes);
        x->one_hot[i * x->n_classes + (size_t)label] = 1;
    }
    return STATUS_OK;
}

static enum status export_part(struct exporter *x, size_t part, int64_t *rows, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct features_reader *r;
    TRY(dataset_part_path(x->d, part, path, e));
    TRY(formats[x->format].begin(x, part, e));
    TRY(features_reader_open(path, &r, e));
    enum status s = STATUS_OK;
    for (size_t g = 0; s == STATUS_OK && g < features_reader_groups(r); g++) {
        feature_rows_clear(&x->rows);
        s = features_read(r, g, false, &x->rows, e);
        if (s == STATUS_OK && x->rows.n > 0)
            s = prepare_group(x, e);
        if (s == STATUS_OK && x->rows.n > 0)
            s = formats[x->format].add(x, e);
        *rows += (int64_t)x->rows.n;
    }
    features_reader_close(r);
    return s == STATUS_OK ? formats[x->format].end(x, e) : s;
}

static enum status export_all(struct exporter *x, struct error *e)
{
    int64_t rows = 0;
    for (size_t p = 0; p < x->m->parts.n_items; p++)
        TRY(export_part(x, p, &rows, e));
    if (rows != x->m->rows)
        return error_set(e, STATUS_FORMAT, "dataset %s: parts hold %lld rows, the manifest says %lld", x->m->id,
                         (long long)rows, (long long)x->m->rows);
    TRY(close_files(x, e));
    return file_sync_folder(x->folder, e);
}

static enum status begin_export(struct exporter *x, const struct dataset *d, enum export_format format,
                                const char *folder, struct error *e)
{
    struct sequence_scaler sequence;
    bool has_sequence;
    struct stat st;
    *x = (struct exporter){.d = d, .m = &d->manifest, .format = format, .n_classes = d->manifest.classes.n_items};
    buf_init(&x->chunk, CHUNK_BYTES_MAX);
    feature_rows_init(&x->rows);
    if (x->m->kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds events: make features of it first (job kind features)",
                         x->m->id);
    if (x->n_classes == 0 || x->n_classes > CLASSES_MAX)
        return error_set(e, STATUS_FORMAT, "dataset %s: %zu classes", x->m->id, x->n_classes);
    TRY(scaler_record_read(&x->m->scaler, &x->scaler, &sequence, &has_sequence, e));
    if (lstat(folder, &st) == 0)
        return error_set(e, STATUS_CONFLICT, "%s is there already: name a new folder", folder);
    if (snprintf(x->folder, sizeof x->folder, "%s.partial", folder) >= (int)sizeof x->folder)
        return error_set(e, STATUS_RANGE, "path longer than %d bytes", PATH_BYTES_MAX - 1);
    TRY(file_remove_tree(x->folder, e));               /* what an interrupted export left */
    return file_make_folder(x->folder, e);
}

enum status dataset_export(const struct dataset *d, enum export_format format, const char *folder, struct error *e)
{
    struct exporter x;
    struct error ignored;
    enum status s = begin_export(&x, d, format, folder, e);
    bool begun = s == STATUS_OK;
    if (s == STATUS_OK)
        s = export_all(&x, e);
    if (s == STATUS_OK && rename(x.folder, folder) != 0)
        s = error_errno(e, "naming the finished folder");
    pq_writer_abort(x.pq);
    if (close_files(&x, &ignored) != STATUS_OK || (begun && s != STATUS_OK && file_remove_tree(x.folder, &ignored) != STATUS_OK))
        log_line(LOG_WARN, "export: %s", ignored.text);
    feature_rows_fini(&x.rows);
    buf_fini(&x.chunk);
    mem_free(x.hlf);
    mem_free(x.one_hot);
    mem_free(x.wide);
    mem_free(x.offsets);
    return s;
}
