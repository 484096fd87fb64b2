/* core/dataset/published.c
 *
 * Reading the published layouts; see core/dataset.h.  A Parquet row group is decoded column by column and handed out in
 * batches, so that a group of sequences is in memory once as doubles and never again as a whole. */
#include "core/dataset/feature_rows.h"
#include "core/dataset/tfrecord.h"

#include <math.h>
#include <string.h>

enum { BATCH_HLF = 16384, BATCH_SEQUENCE = 256, STEPS = PARTICLE_ROWS_MAX * PARTICLE_COLUMNS, EXAMPLE_LISTS = 4,
       CLASSES_MAX = 64 };

/* A column of vectors: an array, or the members of Spark's struct; -1: not there. */
struct vector_column {
    const char *name;
    int array, type, size, indices, values;
    struct pq_values v, v_type, v_size, v_indices;   /* of the present row group; v: array or values */
};

struct published {
    struct published_options o;
    struct source *source;
    struct pq_reader *pq;                            /* NULL: TFRecord */
    struct vector_column hlf, one_hot;
    struct pq_values steps, label;
    int steps_at, label_at;
    size_t group, row;                               /* the next row is `row` of group `group - 1` */
    size_t n_rows;                                   /* of that group */
    int64_t n_read;
    struct tfrecord_reader records;
    struct example_list lists[EXAMPLE_LISTS];        /* hlf, encoded_label, label, sequence */
};

static const char *file_of(const struct published *p) { return source_name(p->source); }

/* ---- numbers of a row -------------------------------------------------------------------------------------------- */

static double number_at(const struct pq_values *v, enum pq_type type, size_t i)
{
    switch (type) {
    case PQ_F64: return ((const double *)v->data)[i];
    case PQ_F32: return (double)((const float *)v->data)[i];
    case PQ_I64: return (double)((const int64_t *)v->data)[i];
    default:     return (double)((const int32_t *)v->data)[i];
    }
}

static enum status wrong(const struct published *p, const char *column, size_t row, const char *what, struct error *e)
{
    if (!p->pq)
        return error_set(e, STATUS_FORMAT, "%s: feature %s: record %lld: %s", file_of(p), column, (long long)p->n_read, what);
    return error_set(e, STATUS_FORMAT, "%s: column %s: row group %zu: row %zu: %s", file_of(p), column, p->group - 1, row,
                     what);
}

static enum status wrong_width(const struct published *p, const char *column, size_t row, uint64_t n, size_t width,
                               struct error *e)
{
    char text[96];
    snprintf(text, sizeof text, "%llu numbers, %zu are expected", (unsigned long long)n, width);
    return wrong(p, column, row, text, e);
}

/* Values [from, from + n) of `v` as floats. */
static enum status take_numbers(const struct published *p, const char *column, size_t row, const struct pq_values *v,
                                enum pq_type type, size_t from, size_t n, float *out, struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)number_at(v, type, from + i);
        if (v->value_null && v->value_null[from + i])
            return wrong(p, column, row, "a number is null", e);
        if (!isfinite(out[i]))
            return wrong(p, column, row, "a number is not finite", e);
    }
    return STATUS_OK;
}

static enum status take_sparse(const struct published *p, const struct vector_column *c, size_t row, size_t width,
                               float *out, struct error *e)
{
    uint64_t from = c->v.offsets[row], n = c->v.offsets[row + 1] - from, at = c->v_indices.offsets[row];
    int64_t size = (int64_t)number_at(&c->v_size, PQ_I32, row), last = -1;
    if (c->v_size.null && c->v_size.null[row])
        return wrong(p, c->name, row, "a sparse vector without its size", e);
    if (size != (int64_t)width)
        return wrong_width(p, c->name, row, (uint64_t)size, width, e);
    if (c->v_indices.offsets[row + 1] - at != n)
        return wrong(p, c->name, row, "a sparse vector with as many indices as it has values is expected", e);
    memset(out, 0, width * sizeof *out);
    for (uint64_t i = 0; i < n; i++) {
        int64_t index = (int64_t)number_at(&c->v_indices, PQ_I32, at + i);
        if (index <= last || index >= (int64_t)width || (c->v_indices.value_null && c->v_indices.value_null[at + i]))
            return wrong(p, c->name, row, "the indices of a sparse vector do not rise within its size", e);
        TRY(take_numbers(p, c->name, row, &c->v, pq_column_at(p->pq, (size_t)c->values)->type, from + i, 1, out + index,
                         e));
        last = index;
    }
    return STATUS_OK;
}

static enum status take_vector(const struct published *p, const struct vector_column *c, size_t row, size_t width,
                               float *out, struct error *e)
{
    bool array = c->array >= 0;
    enum pq_type type = pq_column_at(p->pq, (size_t)(array ? c->array : c->values))->type;
    uint64_t from = c->v.offsets[row], n = c->v.offsets[row + 1] - from;
    if (c->v.null && c->v.null[row])
        return wrong(p, c->name, row, "is null", e);
    double kind = array ? 1 : number_at(&c->v_type, PQ_I32, row);
    if (kind == 0)
        return take_sparse(p, c, row, width, out, e);
    if (kind != 1)
        return wrong(p, c->name, row, "a vector is neither dense nor sparse", e);
    if (n != width)
        return wrong_width(p, c->name, row, n, width, e);
    return take_numbers(p, c->name, row, &c->v, type, from, width, out, e);
}

static enum status class_of(const struct published *p, size_t row, const float *one_hot, int32_t *out, struct error *e)
{
    *out = -1;
    for (size_t i = 0; i < p->o.n_classes; i++) {
        bool is = one_hot[i] == 1;
        if ((!is && one_hot[i] != 0) || (is && *out >= 0))
            return wrong(p, p->o.label, row, "not one-hot: a single 1 among zeros is expected", e);
        if (is)
            *out = (int32_t)i;
    }
    return *out >= 0 ? STATUS_OK : wrong(p, p->o.label, row, "not one-hot: all numbers are zero", e);
}

static enum status check_class(const struct published *p, size_t row, double label, int32_t *out, struct error *e)
{
    char text[96];
    *out = (int32_t)label;
    if (label >= 0 && label < (double)p->o.n_classes && (double)*out == label)
        return STATUS_OK;
    snprintf(text, sizeof text, "label %g, there are %zu classes", label, p->o.n_classes);
    return wrong(p, "label", row, text, e);
}

/* ---- Parquet ----------------------------------------------------------------------------------------------------- */

static int member_find(const struct pq_reader *r, const char *column, const char *member)
{
    char name[300];
    int n = snprintf(name, sizeof name, "%s.%s", column, member);
    return n > 0 && n < (int)sizeof name ? pq_column_find(r, name) : -1;
}

static bool is_number(const struct pq_reader *r, int i, int depth, bool whole)
{
    if (i < 0)
        return false;
    const struct pq_column *c = pq_column_at(r, (size_t)i);
    bool fits = whole ? c->type == PQ_I32 : c->type == PQ_F32 || c->type == PQ_F64;
    return c->depth == depth && fits && !c->unsupported;
}

/* False: there is no such column; one of another type is an error. */
static enum status find_vector(const struct published *p, const char *name, struct vector_column *out, bool *found,
                               struct error *e)
{
    const struct pq_reader *r = p->pq;
    *out = (struct vector_column){.name = name, .array = pq_column_find(r, name), .type = member_find(r, name, "type"),
                                  .size = member_find(r, name, "size"), .indices = member_find(r, name, "indices"),
                                  .values = member_find(r, name, "values")};
    *found = out->array >= 0 || out->values >= 0;
    if (!*found)
        return STATUS_OK;
    if (out->array >= 0 ? is_number(r, out->array, 1, false)
                        : is_number(r, out->type, 0, true) && is_number(r, out->size, 0, true) &&
                              is_number(r, out->indices, 1, true) && is_number(r, out->values, 1, false))
        return STATUS_OK;
    return error_set(e, STATUS_FORMAT, "%s: column %s is neither an array of float or double nor a vector of Spark's",
                     file_of(p), name);
}

static enum status no_column(const struct published *p, const char *name, struct error *e)
{
    char have[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < pq_n_columns(p->pq) && used + 1 < sizeof have; i++) {
        int n = snprintf(have + used, sizeof have - used, "%s%s", i ? ", " : "", pq_column_at(p->pq, i)->name);
        used += n > 0 ? (size_t)n : 0;
    }
    return error_set(e, STATUS_FORMAT, "%s: no column %s; the file has %s", file_of(p), name, have);
}

static enum status find_columns(struct published *p, struct error *e)
{
    bool found, plain;
    TRY(find_vector(p, p->o.hlf, &p->hlf, &found, e));
    if (!found)
        return no_column(p, p->o.hlf, e);
    TRY(find_vector(p, p->o.label, &p->one_hot, &found, e));
    p->label_at = found ? -1 : pq_column_find(p->pq, "label");
    plain = p->label_at >= 0 && pq_column_at(p->pq, (size_t)p->label_at)->depth == 0 &&
            pq_column_at(p->pq, (size_t)p->label_at)->type != PQ_STRING;
    if (!found && p->label_at >= 0 && !plain)
        return error_set(e, STATUS_FORMAT, "%s: column label is not a number a row", file_of(p));
    if (!found) {
        p->one_hot.array = p->one_hot.values = -1;
        if (p->label_at < 0 && p->o.class_of_file < 0)
            return no_column(p, p->o.label, e);
    }
    p->steps_at = p->o.sequence ? pq_column_find(p->pq, p->o.sequence) : -1;
    if (p->o.sequence && p->steps_at < 0)
        return no_column(p, p->o.sequence, e);
    if (p->o.sequence && !is_number(p->pq, p->steps_at, 1, false) && !is_number(p->pq, p->steps_at, 2, false))
        return error_set(e, STATUS_FORMAT, "%s: column %s is not an array (of arrays) of float or double", file_of(p),
                         p->o.sequence);
    return STATUS_OK;
}

static enum status read_column(struct published *p, int column, struct pq_values *out, struct error *e)
{
    if (column < 0)
        return STATUS_OK;
    if (pq_read(p->pq, p->group, (size_t)column, out, e) != STATUS_OK)
        return error_wrap(e, "%s: column %s: row group %zu", file_of(p), pq_column_at(p->pq, (size_t)column)->name,
                          p->group);
    if (out->n_rows != p->n_rows)
        return error_set(e, STATUS_FORMAT, "%s: column %s: row group %zu: %zu rows, %zu are expected", file_of(p),
                         pq_column_at(p->pq, (size_t)column)->name, p->group, out->n_rows, p->n_rows);
    return STATUS_OK;
}

static enum status read_vector(struct published *p, struct vector_column *c, struct error *e)
{
    if (c->array >= 0)
        return read_column(p, c->array, &c->v, e);
    if (c->values < 0)
        return STATUS_OK;
    TRY(read_column(p, c->type, &c->v_type, e));
    TRY(read_column(p, c->size, &c->v_size, e));
    TRY(read_column(p, c->indices, &c->v_indices, e));
    return read_column(p, c->values, &c->v, e);
}

static enum status next_group(struct published *p, struct error *e)
{
    int64_t n = pq_row_group_rows(p->pq, p->group);
    if (n < 0 || n >= INT32_MAX)
        return error_set(e, STATUS_FORMAT, "%s: row group %zu: %lld rows", file_of(p), p->group, (long long)n);
    p->n_rows = (size_t)n;
    TRY(read_vector(p, &p->hlf, e));
    TRY(read_vector(p, &p->one_hot, e));
    TRY(read_column(p, p->label_at, &p->label, e));
    TRY(read_column(p, p->steps_at, &p->steps, e));
    p->group++;
    p->row = 0;
    return STATUS_OK;
}

static enum status take_steps(const struct published *p, size_t row, float *out, struct error *e)
{
    const struct pq_values *v = &p->steps;
    const struct pq_column *c = pq_column_at(p->pq, (size_t)p->steps_at);
    uint64_t from = v->offsets[row], n = v->offsets[row + 1] - from;
    if (v->null && v->null[row])
        return wrong(p, p->o.sequence, row, "is null", e);
    if (n != STEPS)
        return wrong_width(p, p->o.sequence, row, n, STEPS, e);
    for (uint64_t k = c->depth == 2 ? v->list_offsets[row] : 1; c->depth == 2 && k < v->list_offsets[row + 1]; k++)
        if (v->inner_offsets[k + 1] - v->inner_offsets[k] != PARTICLE_COLUMNS)
            return wrong(p, p->o.sequence, row, "a particle does not have 19 numbers", e);
    return take_numbers(p, p->o.sequence, row, v, c->type, from, STEPS, out, e);
}

static enum status take_row(const struct published *p, size_t row, float *hlf, int32_t *label, float *steps, struct error *e)
{
    float one_hot[CLASSES_MAX];
    TRY(take_vector(p, &p->hlf, row, HLF_COUNT, hlf, e));
    *label = p->o.class_of_file;
    if (p->one_hot.array >= 0 || p->one_hot.values >= 0) {
        TRY(take_vector(p, &p->one_hot, row, p->o.n_classes, one_hot, e));
        TRY(class_of(p, row, one_hot, label, e));
    } else if (p->label_at >= 0) {
        if (p->label.null && p->label.null[row])
            return wrong(p, "label", row, "is null", e);
        TRY(check_class(p, row, number_at(&p->label, pq_column_at(p->pq, (size_t)p->label_at)->type, row), label, e));
    }
    return steps ? take_steps(p, row, steps, e) : STATUS_OK;
}

/* ---- TFRecord ---------------------------------------------------------------------------------------------------- */

static enum status take_list(const struct published *p, const struct example_list *l, size_t width, float *out,
                             struct error *e)
{
    if (!l->present)
        return wrong(p, l->name, 0, "is not there", e);
    if (l->n != width)
        return wrong_width(p, l->name, 0, l->n, width, e);
    memcpy(out, l->floats.data, width * sizeof *out);
    for (size_t i = 0; i < width; i++)
        if (!isfinite(out[i]))
            return wrong(p, l->name, 0, "a number is not finite", e);
    return STATUS_OK;
}

static enum status take_record(struct published *p, float *hlf, int32_t *label, float *steps, bool *end, struct error *e)
{
    struct span bytes;
    float one_hot[CLASSES_MAX];
    enum status s = tfrecord_next(&p->records, &bytes, end, e);
    if (s == STATUS_OK && !*end)
        s = example_parse(bytes, p->lists, EXAMPLE_LISTS, e);
    if (s != STATUS_OK)
        return error_wrap(e, "%s: record %lld", file_of(p), (long long)p->n_read);
    if (*end)
        return STATUS_OK;
    TRY(take_list(p, &p->lists[0], HLF_COUNT, hlf, e));
    *label = p->o.class_of_file;
    if (p->lists[1].present) {
        TRY(take_list(p, &p->lists[1], p->o.n_classes, one_hot, e));
        TRY(class_of(p, 0, one_hot, label, e));
    } else if (p->lists[2].present || *label < 0) {
        float number = -1;
        TRY(take_list(p, p->lists[2].present ? &p->lists[2] : &p->lists[1], 1, &number, e));
        TRY(check_class(p, 0, (double)number, label, e));
    }
    return steps ? take_list(p, &p->lists[3], STEPS, steps, e) : STATUS_OK;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static bool is_parquet(struct source *src)
{
    char magic[4];
    struct error e;
    return source_size(src) >= 12 && source_read(src, 0, magic, sizeof magic, &e) == STATUS_OK &&
           memcmp(magic, "PAR1", sizeof magic) == 0;
}

enum status published_open(const char *path, const struct published_options *o, struct published **out, struct error *e)
{
    *out = NULL;
    check(o->n_classes <= CLASSES_MAX);
    struct published *p = mem_calloc(1, sizeof *p);
    if (!p)
        return error_set(e, STATUS_NOMEM, "published data");
    p->o = *o;
    const char *const names[EXAMPLE_LISTS] = {o->hlf, o->label, "label", o->sequence ? o->sequence : ""};
    for (size_t i = 0; i < EXAMPLE_LISTS; i++) {
        p->lists[i].name = names[i];
        buf_init(&p->lists[i].floats, 64 << 20);
    }
    enum status s = source_open(path, &p->source, e);
    if (s == STATUS_OK && is_parquet(p->source)) {
        s = pq_open(p->source, &p->pq, e);
        s = s == STATUS_OK ? find_columns(p, e) : error_wrap(e, "%s", file_of(p));
    } else if (s == STATUS_OK) {
        tfrecord_reader_init(&p->records, p->source);
    }
    if (s == STATUS_OK)
        *out = p;
    else
        published_close(p);
    return s;
}

void published_close(struct published *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < EXAMPLE_LISTS; i++)
        buf_fini(&p->lists[i].floats);
    tfrecord_reader_fini(&p->records);
    pq_close(p->pq);
    source_close(p->source);
    mem_free(p);
}

enum status published_has(const char *path, const char *column, bool *out, struct error *e)
{
    struct source *src;
    struct pq_reader *pq;
    *out = false;
    TRY(source_open(path, &src, e));
    enum status s;
    if (is_parquet(src)) {
        s = pq_open(src, &pq, e);
        if (s == STATUS_OK)
            *out = pq_column_find(pq, column) >= 0;
        pq_close(pq);
    } else {
        struct tfrecord_reader r;
        struct example_list list = {.name = column};
        struct span bytes;
        bool end;
        buf_init(&list.floats, 64 << 20);
        tfrecord_reader_init(&r, src);
        s = tfrecord_next(&r, &bytes, &end, e);
        if (s == STATUS_OK && !end)
            s = example_parse(bytes, &list, 1, e);
        *out = list.present;
        tfrecord_reader_fini(&r);
        buf_fini(&list.floats);
    }
    if (s != STATUS_OK)
        s = error_wrap(e, "%s", source_name(src));
    source_close(src);
    return s;
}

enum status published_read(struct published *p, struct feature_rows *out, struct error *e)
{
    size_t batch = p->o.sequence ? BATCH_SEQUENCE : BATCH_HLF;
    bool end = false;
    feature_rows_clear(out);
    if (p->o.sequence)
        TRY(feature_rows_be_prepared(out, true, e));
    while (out->n < batch && !end) {
        size_t i = out->n;
        while (p->pq && p->row == p->n_rows && !end) {
            end = p->group == pq_n_row_groups(p->pq);
            if (!end)
                TRY(next_group(p, e));
        }
        if (end)
            break;
        TRY(feature_rows_reserve(out, i + 1, p->o.sequence ? out->n_rows + PARTICLE_ROWS_MAX : 0, e));
        float *steps = p->o.sequence ? out->rows.prepared + out->n_rows * PARTICLE_COLUMNS : NULL;
        if (p->pq)
            TRY(take_row(p, p->row++, out->hlf + i * HLF_COUNT, &out->label[i], steps, e));
        else
            TRY(take_record(p, out->hlf + i * HLF_COUNT, &out->label[i], steps, &end, e));
        if (end)
            break;
        out->weight[i] = 1;
        out->number[i] = out->entry[i] = p->n_read++;
        out->source[i] = 0;
        out->n_rows += steps ? PARTICLE_ROWS_MAX : 0;
        out->row_first[++out->n] = (uint32_t)out->n_rows;
    }
    return STATUS_OK;
}
