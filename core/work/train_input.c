/* core/work/train_input.c
 *
 * Features datasets on their way into a fit.  Whether one fits into memory is found by reading it: what its row groups
 * take in memory is not known before. */
#include "core/work/train_input.h"

#include <string.h>

enum {
    EVENT_BYTES = HLF_COUNT * 4 + 4 + 4 + 8 + 8 + 4 + 4 + 64 + 4,   /* here and in the trainer */
    PARTICLE_BYTES = 9 * 4 + 2,
    PREPARED_BYTES = PARTICLE_COLUMNS * 4
};

enum status training_set_open(struct job_ctx *ctx, const char *id, const struct train_params *p, bool weighted,
                              struct training_set *out, struct error *e)
{
    *out = (struct training_set){.want_rows = estimator_input(p) != INPUT_HLF, .weighted = weighted, .ctx = ctx};
    feature_rows_init(&out->rows);
    TRY(work_dataset_open(ctx, id, &out->dataset, e));
    const struct manifest *m = dataset_manifest(out->dataset);
    if (m->kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds events: make features of it first (job kind features)",
                         m->id);
    return out->want_rows ? work_check_rows(m, estimator_names[p->model], e) : STATUS_OK;
}

void training_set_close(struct training_set *s)
{
    features_reader_close(s->reader);
    feature_rows_fini(&s->rows);
    dataset_close(s->dataset);
    *s = (struct training_set){0};
}

/* Appends the next row group to s->rows; *end when there is none. */
static enum status read_group(struct training_set *s, bool *end, struct error *e)
{
    const struct manifest *m = dataset_manifest(s->dataset);
    TRY(work_check_cancelled(s->ctx, e));
    while (!s->reader || s->group == features_reader_groups(s->reader)) {
        features_reader_close(s->reader);
        s->reader = NULL;
        *end = s->part == m->parts.n_items;
        if (*end)
            return STATUS_OK;
        TRY(dataset_features_reader(s->dataset, s->part++, &s->reader, e));
        s->group = 0;
    }
    size_t before = s->rows.n;
    *end = false;
    TRY(features_read(s->reader, s->group++, s->want_rows, &s->rows, e));
    s->n_read += (int64_t)(s->rows.n - before);
    return STATUS_OK;
}

static void rewind_set(struct training_set *s)
{
    features_reader_close(s->reader);
    s->reader = NULL;
    s->part = s->group = 0;
    s->n_read = 0;
}

static enum status check_complete(const struct training_set *s, struct error *e)
{
    const struct manifest *m = dataset_manifest(s->dataset);
    if (s->n_read != m->rows)
        return error_set(e, STATUS_FORMAT, "dataset %s: parts hold %lld rows, the manifest says %lld", m->id,
                         (long long)s->n_read, (long long)m->rows);
    return STATUS_OK;
}

enum status training_set_read(struct training_set *s, int64_t most, int64_t *used, bool *fits, struct error *e)
{
    bool end = false;
    *fits = true;
    *used = 0;
    while (*fits) {
        TRY(read_group(s, &end, e));
        *used = (int64_t)(s->rows.n * EVENT_BYTES +
                          s->rows.n_rows * (s->rows.prepared ? PREPARED_BYTES : PARTICLE_BYTES));
        if (end)
            break;
        *fits = *used <= most;
    }
    if (*fits)
        return check_complete(s, e);
    feature_rows_fini(&s->rows);
    rewind_set(s);
    return STATUS_OK;
}

struct train_data training_set_data(const struct training_set *s)
{
    return (struct train_data){
        .n = s->rows.n,
        .hlf = s->rows.hlf,
        .label = s->rows.label,
        .weight = s->weighted ? s->rows.weight : NULL,
        .rows = s->want_rows ? &s->rows.rows : NULL,
        .row_first = s->want_rows ? s->rows.row_first : NULL,
    };
}

enum status training_set_next(void *set, struct train_data *out, struct error *e)
{
    struct training_set *s = set;
    bool end = false;
    do {
        feature_rows_clear(&s->rows);
        TRY(read_group(s, &end, e));
    } while (!end && s->rows.n == 0);
    work_progress(s->ctx, "packing rows", "events", s->n_read, dataset_manifest(s->dataset)->rows, NULL);
    *out = training_set_data(s);
    if (!end)
        return STATUS_OK;
    out->n = 0;
    TRY(check_complete(s, e));
    feature_rows_fini(&s->rows);
    rewind_set(s);
    return STATUS_OK;
}

/* ---- a second set ------------------------------------------------------------------------------------------------ */

static enum status same_scaler(const struct manifest *a, const struct manifest *b, bool *same, struct error *e)
{
    struct buf x, y;
    buf_init(&x, 1 << 20);
    buf_init(&y, 1 << 20);
    enum status s = field_write_text(scaler_record_fields, &a->scaler, &x, e);
    if (s == STATUS_OK)
        s = field_write_text(scaler_record_fields, &b->scaler, &y, e);
    *same = s == STATUS_OK && x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
    buf_fini(&x);
    buf_fini(&y);
    return s;
}

enum status training_set_match(struct job_ctx *ctx, const struct training_set *a, const struct training_set *b,
                               struct error *e)
{
    (void)ctx;
    const struct manifest *x = dataset_manifest(a->dataset), *y = dataset_manifest(b->dataset);
    const char *what = NULL;
    bool same;
    if (!x->recipe || !y->recipe || strcmp(x->recipe, y->recipe) != 0)
        what = "recipe";
    if (x->classes.n_items != y->classes.n_items)
        what = "number of classes";
    for (size_t i = 0; !what && i < x->classes.n_items; i++)
        if (strcmp(((const char *const *)x->classes.items)[i], ((const char *const *)y->classes.items)[i]) != 0)
            what = "list of classes";
    if (!what) {
        TRY(same_scaler(x, y, &same, e));
        what = same ? NULL : "scaler";
    }
    if (!what && strcmp(x->id, y->id) == 0)
        return error_set(e, STATUS_ARGUMENT, "validation dataset %s is the one that is trained on", y->id);
    if (!what)
        return STATUS_OK;
    return error_set(e, STATUS_ARGUMENT,
                     "validation dataset %s has another %s than %s: it must come from the same features job, or from "
                     "one that was given the same", y->id, what, x->id);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* The number behind `key` ("": the first) at the start of a line; -1 when there is none. */
static int64_t number_in(const char *path, const char *key)
{
    char line[256];
    long long value = -1;
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    while (value < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%lld", &value) != 1)
            break;
    fclose(f);
    return value;
}

int64_t memory_available(void)
{
    static const int64_t assumed = (int64_t)1 << 30;          /* where neither is told */
    int64_t kilobytes = number_in("/proc/meminfo", "MemAvailable:");
    int64_t most = number_in("/sys/fs/cgroup/memory.max", ""), used = number_in("/sys/fs/cgroup/memory.current", "");
    int64_t available = kilobytes > 0 ? kilobytes * 1024 : assumed;
    if (most > 0 && used >= 0 && most - used < available)
        available = most > used ? most - used : 0;
    return available;
}
