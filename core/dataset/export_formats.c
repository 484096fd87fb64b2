/* core/dataset/export_formats.c
 *
 * The formats of exported datasets: each begins a part, adds batches, ends the part.  What a batch holds has been
 * computed by export.c; here it is only laid out. */
#include "core/dataset/export_private.h"
#include "core/dataset/tfrecord.h"

#include <stdio.h>
#include <string.h>

static const char hlf_name[] = "HLF_input", steps_name[] = "GRU_input", label_name[] = "encoded_label";

size_t export_file_names(const struct exporter *x, size_t part, char names[EXPORT_FILES][48])
{
    size_t n = 0;
    switch ((enum export_format)x->o->format) {
    case EXPORT_PARQUET:
        snprintf(names[n++], 48, "part-%05zu.%sparquet", part, x->o->compression == EXPORT_SNAPPY ? "snappy." : "");
        return n;
    case EXPORT_TFRECORD:
        snprintf(names[n++], 48, "part-%05zu.tfrecord", part);
        return n;
    case EXPORT_CSV:
        snprintf(names[n++], 48, "rows.csv");
        return n;
    case EXPORT_NPY:
        break;
    }
    if (!x->published)
        snprintf(names[n++], 48, "features.npy");
    else if (x->hlf)
        snprintf(names[n++], 48, "%s.npy", hlf_name);
    if (x->sequence)
        snprintf(names[n++], 48, "%s.npy", steps_name);
    snprintf(names[n++], 48, "%s.npy", x->published ? label_name : "label");
    if (x->sequence && !x->recipe->sequence_dense)
        snprintf(names[n++], 48, "GRU_length.npy");
    else if (!x->sequence || !x->hlf)
        snprintf(names[n++], 48, "weight.npy");
    return n;
}

/* ---- Parquet ----------------------------------------------------------------------------------------------------- */

static size_t published_columns(const struct exporter *x, struct pq_column out[3])
{
    size_t n = 0;
    if (x->hlf)
        out[n++] = (struct pq_column){.name = hlf_name, .type = PQ_F64, .list = true};
    if (x->sequence)
        out[n++] = (struct pq_column){.name = steps_name, .type = PQ_F64, .list = true,
                                      .depth = x->o->layout == EXPORT_FLAT ? 1 : 2};
    out[n++] = (struct pq_column){.name = label_name, .type = PQ_F64, .list = true};
    return n;
}

static size_t feature_columns(struct pq_column out[5 + HLF_COUNT])
{
    static const struct pq_column identity[] = {
        {.name = "label", .type = PQ_I32}, {.name = "weight", .type = PQ_F32}, {.name = "number", .type = PQ_I64},
        {.name = "entry", .type = PQ_I64}, {.name = "source", .type = PQ_I32}};
    memcpy(out, identity, sizeof identity);
    for (size_t i = 0; i < HLF_COUNT; i++)
        out[ARRAY_LEN(identity) + i] = (struct pq_column){.name = hlf_info[i].name, .type = PQ_F32};
    return ARRAY_LEN(identity) + HLF_COUNT;
}

static enum status parquet_begin(struct exporter *x, int64_t at, struct error *e)
{
    static const enum codec_id codecs[] = {[EXPORT_SNAPPY] = CODEC_SNAPPY, [EXPORT_UNCOMPRESSED] = CODEC_NONE,
                                           [EXPORT_GZIP] = CODEC_GZIP, [EXPORT_ZSTD] = CODEC_ZSTD};
    struct pq_column columns[5 + HLF_COUNT];
    char names[EXPORT_FILES][48], path[PATH_BYTES_MAX];
    const struct pq_write_options options = {.codec = codecs[x->o->compression]};
    (void)at;
    size_t n = x->published ? published_columns(x, columns) : feature_columns(columns);
    export_file_names(x, x->part, names);
    TRY(path_join(path, x->folder, names[0], e));
    return pq_writer_create(path, columns, n, &options, &x->pq, e);
}

/* Lists of `width` numbers a row, as doubles, behind *wide. */
static struct pq_values widen(const struct exporter *x, const float *from, size_t width, uint64_t *offsets, double **wide)
{
    double *to = *wide;
    for (size_t i = 0; i <= x->n; i++)
        offsets[i] = i * width;
    for (size_t i = 0; i < x->n * width; i++)
        to[i] = from[i];
    *wide += x->n * width;
    return (struct pq_values){.n_rows = x->n, .n_values = x->n * width, .data = to, .offsets = offsets};
}

static struct pq_values widen_steps(struct exporter *x, uint64_t *offsets, double *wide)
{
    size_t n_steps = x->step_first[x->n], n = n_steps * PARTICLE_COLUMNS;
    for (size_t i = 0; i < n; i++)
        wide[i] = x->steps[i];
    struct pq_values v = {.n_rows = x->n, .n_values = n, .data = wide, .offsets = offsets};
    for (size_t i = 0; i <= x->n; i++)
        offsets[i] = x->step_first[i] * PARTICLE_COLUMNS;
    if (x->o->layout == EXPORT_FLAT)
        return v;
    for (size_t i = 0; i <= n_steps; i++)
        x->inner[i] = i * PARTICLE_COLUMNS;
    v.offsets = NULL;
    v.n_lists = n_steps;
    v.list_offsets = x->step_first;
    v.inner_offsets = x->inner;
    return v;
}

static enum status parquet_add_published(struct exporter *x, struct error *e)
{
    struct pq_values values[3];
    size_t n = 0, n_steps = x->sequence ? x->step_first[x->n] : 0;
    size_t numbers = x->n * (HLF_COUNT + x->n_classes) + n_steps * PARTICLE_COLUMNS;
    TRY(export_grow(&x->wide, &x->cap_wide, numbers, sizeof *x->wide, e));
    TRY(export_grow(&x->inner, &x->cap_inner, n_steps + 1, sizeof *x->inner, e));
    TRY(export_grow(&x->offsets, &x->cap_offsets, 3 * (x->n + 1), sizeof *x->offsets, e));
    double *wide = x->wide;
    uint64_t *offsets = x->offsets;
    if (x->hlf)
        values[n++] = widen(x, x->scaled, HLF_COUNT, offsets, &wide);
    if (x->sequence) {
        values[n++] = widen_steps(x, offsets + x->n + 1, wide);
        wide += n_steps * PARTICLE_COLUMNS;
    }
    values[n++] = widen(x, x->one_hot, x->n_classes, offsets + 2 * (x->n + 1), &wide);
    return pq_write_row_group(x->pq, values, e);
}

static enum status parquet_add(struct exporter *x, struct error *e)
{
    if (x->published)
        return parquet_add_published(x, e);
    const struct feature_rows *f = &x->rows;
    size_t n = x->n, first = x->first;
    struct pq_values values[5 + HLF_COUNT] = {{.data = f->label + first},  {.data = f->weight + first},
                                              {.data = f->number + first}, {.data = f->entry + first},
                                              {.data = f->source + first}};
    TRY(export_grow(&x->wide, &x->cap_wide, n * HLF_COUNT, sizeof *x->wide, e));
    float *columns = (float *)x->wide;
    for (size_t c = 0; c < HLF_COUNT; c++) {
        for (size_t i = 0; i < n; i++)
            columns[c * n + i] = f->hlf[(first + i) * HLF_COUNT + c];
        values[5 + c].data = columns + c * n;
    }
    for (size_t c = 0; c < ARRAY_LEN(values); c++)
        values[c].n_rows = values[c].n_values = n;
    return pq_write_row_group(x->pq, values, e);
}

static enum status parquet_end(struct exporter *x, struct error *e)
{
    struct pq_writer *w = x->pq;
    x->pq = NULL;
    return pq_writer_finish(w, e);
}

/* ---- TFRecord ---------------------------------------------------------------------------------------------------- */

static enum status tfrecord_begin(struct exporter *x, int64_t at, struct error *e)
{
    char names[EXPORT_FILES][48];
    (void)at;
    export_file_names(x, x->part, names);
    return export_open(x, 0, names[0], 0, e);
}

static enum status tfrecord_add(struct exporter *x, struct error *e)
{
    struct buf record;
    enum status s = STATUS_OK;
    buf_init(&record, 64 << 20);
    for (size_t i = 0; s == STATUS_OK && i < x->n; i++) {
        struct float_feature features[3];
        size_t n = 0;
        if (x->hlf)
            features[n++] = (struct float_feature){hlf_name, x->scaled + i * HLF_COUNT, HLF_COUNT};
        if (x->sequence)
            features[n++] = (struct float_feature){steps_name, x->steps + x->step_first[i] * PARTICLE_COLUMNS,
                                                   (x->step_first[i + 1] - x->step_first[i]) * PARTICLE_COLUMNS};
        features[n++] = (struct float_feature){label_name, x->one_hot + i * x->n_classes, x->n_classes};
        record.len = 0;
        s = tfrecord_append(&record, features, n, e);
        if (s == STATUS_OK)
            s = export_put(x, 0, record.data, record.len, e);
    }
    buf_fini(&record);
    return s;
}

static enum status cut_and_close(struct exporter *x, struct error *e)
{
    return export_close(x, true, e);
}

/* ---- NumPy ------------------------------------------------------------------------------------------------------- */

enum { NPY_HEAD = 128 };               /* a multiple of 64, as the format wants it */

/* Format 1.0: magic, length of the rest of the head, a Python literal padded with blanks. */
static enum status npy_head(struct exporter *x, size_t i, const char *descr, const char *shape, struct error *e)
{
    char text[NPY_HEAD], head[NPY_HEAD];
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%lld,%s), }", descr,
             (long long)x->m->rows, shape);
    int n = snprintf(head, sizeof head, "%-*s\n", NPY_HEAD - 10 - 1, text);
    check(n == NPY_HEAD - 10);
    const uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, NPY_HEAD - 10, 0};
    TRY(export_put(x, i, magic, sizeof magic, e));
    return export_put(x, i, head, (size_t)n, e);
}

/* One of the arrays: its numbers a row, and those of the present batch. */
struct npy_array {
    const char *descr;
    char shape[32];                    /* behind the number of rows */
    size_t row_bytes;
    const void *data;                  /* of the batch; NULL: steps, padded */
};

static size_t npy_arrays(const struct exporter *x, struct npy_array out[EXPORT_FILES])
{
    size_t n = 0;
    const size_t hlf_bytes = HLF_COUNT * sizeof(float);
    if (!x->published)
        out[n++] = (struct npy_array){"<f4", " 14", hlf_bytes, x->rows.hlf + x->first * HLF_COUNT};
    else if (x->hlf)
        out[n++] = (struct npy_array){"<f4", " 14", hlf_bytes, x->scaled};
    if (x->sequence) {
        struct npy_array *a = &out[n++];
        *a = (struct npy_array){"<f4", "", sizeof(float) * PARTICLE_ROWS_MAX * PARTICLE_COLUMNS, NULL};
        snprintf(a->shape, sizeof a->shape, x->o->layout == EXPORT_FLAT ? " %d" : " %d, 19",
                 x->o->layout == EXPORT_FLAT ? PARTICLE_ROWS_MAX * PARTICLE_COLUMNS : PARTICLE_ROWS_MAX);
    }
    if (x->published) {
        struct npy_array *a = &out[n++];
        *a = (struct npy_array){"<f4", "", x->n_classes * sizeof(float), x->one_hot};
        snprintf(a->shape, sizeof a->shape, " %zu", x->n_classes);
    } else {
        out[n++] = (struct npy_array){"<i4", "", sizeof(int32_t), x->rows.label + x->first};
    }
    if (x->sequence && !x->recipe->sequence_dense)
        out[n++] = (struct npy_array){"<i4", "", sizeof(int32_t), NULL};
    else if (!x->sequence || !x->hlf)
        out[n++] = (struct npy_array){"<f4", "", sizeof(float), x->rows.weight + x->first};
    return n;
}

static enum status npy_begin(struct exporter *x, int64_t at, struct error *e)
{
    struct npy_array arrays[EXPORT_FILES];
    char names[EXPORT_FILES][48];
    size_t n = npy_arrays(x, arrays);
    check(n == export_file_names(x, x->part, names));
    (void)at;
    for (size_t i = 0; i < n; i++) {
        bool first = x->part == 0;
        TRY(export_open(x, i, names[i], first ? 0 : NPY_HEAD + x->first_row * (int64_t)arrays[i].row_bytes, e));
        if (first)
            TRY(npy_head(x, i, arrays[i].descr, arrays[i].shape, e));
    }
    return STATUS_OK;
}

static enum status npy_add_steps(struct exporter *x, size_t file, struct error *e)
{
    static const float nothing[64 * PARTICLE_COLUMNS];
    for (size_t i = 0; i < x->n; i++) {
        size_t n = x->step_first[i + 1] - x->step_first[i];
        TRY(export_put(x, file, x->steps + x->step_first[i] * PARTICLE_COLUMNS, n * PARTICLE_COLUMNS * sizeof(float), e));
        for (size_t left = PARTICLE_ROWS_MAX - n, take; left > 0; left -= take) {
            take = left < 64 ? left : 64;
            TRY(export_put(x, file, nothing, take * PARTICLE_COLUMNS * sizeof(float), e));
        }
    }
    return STATUS_OK;
}

static enum status npy_add_lengths(struct exporter *x, size_t file, struct error *e)
{
    for (size_t i = 0; i < x->n; i++) {
        int32_t n = (int32_t)(x->step_first[i + 1] - x->step_first[i]);
        TRY(export_put(x, file, &n, sizeof n, e));
    }
    return STATUS_OK;
}

static enum status npy_add(struct exporter *x, struct error *e)
{
    struct npy_array arrays[EXPORT_FILES];
    size_t n = npy_arrays(x, arrays);
    for (size_t i = 0; i < n; i++) {
        if (arrays[i].data)
            TRY(export_put(x, i, arrays[i].data, x->n * arrays[i].row_bytes, e));
        else
            TRY(arrays[i].row_bytes > sizeof(int32_t) ? npy_add_steps(x, i, e) : npy_add_lengths(x, i, e));
    }
    return STATUS_OK;
}

static enum status close_only(struct exporter *x, struct error *e)
{
    return export_close(x, false, e);
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

/* A text field by RFC 4180: quoted, quotes doubled. */
static enum status put_quoted(struct buf *line, const char *text, struct error *e)
{
    TRY(buf_append(line, "\"", 1, e));
    for (const char *c = text; *c; c++)
        TRY(buf_append(line, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1, e));
    return buf_append(line, "\"", 1, e);
}

static enum status csv_begin(struct exporter *x, int64_t at, struct error *e)
{
    char names[EXPORT_FILES][48];
    static const char head[] = "class,label,weight,number,entry,source";
    export_file_names(x, 0, names);
    TRY(export_open(x, 0, names[0], at, e));
    if (at > 0)
        return STATUS_OK;
    TRY(export_put(x, 0, head, sizeof head - 1, e));
    for (size_t i = 0; i < HLF_COUNT; i++) {
        TRY(export_put(x, 0, ",", 1, e));
        TRY(export_put(x, 0, hlf_info[i].name, strlen(hlf_info[i].name), e));
    }
    return export_put(x, 0, "\r\n", 2, e);
}

static enum status csv_line(const struct exporter *x, size_t i, struct buf *line, struct error *e)
{
    const struct feature_rows *f = &x->rows;
    TRY(put_quoted(line, ((const char *const *)x->m->classes.items)[f->label[i]], e));
    TRY(buf_printf(line, e, ",%d,%.9g,%lld,%lld,%d", f->label[i], (double)f->weight[i], (long long)f->number[i],
                   (long long)f->entry[i], f->source[i]));
    for (size_t c = 0; c < HLF_COUNT; c++)
        TRY(buf_printf(line, e, ",%.9g", (double)f->hlf[i * HLF_COUNT + c]));
    return buf_append(line, "\r\n", 2, e);
}

static enum status csv_add(struct exporter *x, struct error *e)
{
    struct buf line;
    enum status s = STATUS_OK;
    buf_init(&line, 1 << 20);
    for (size_t i = 0; s == STATUS_OK && i < x->n; i++) {
        line.len = 0;
        s = csv_line(x, x->first + i, &line, e);
        if (s == STATUS_OK)
            s = export_put(x, 0, line.data, line.len, e);
    }
    buf_fini(&line);
    return s;
}

const struct export_format_fns export_formats[] = {
    [EXPORT_PARQUET] = {parquet_begin, parquet_add, parquet_end},
    [EXPORT_TFRECORD] = {tfrecord_begin, tfrecord_add, cut_and_close},
    [EXPORT_NPY] = {npy_begin, npy_add, close_only},
    [EXPORT_CSV] = {csv_begin, csv_add, cut_and_close},
};
