/* core/work/work.c
 *
 * The table of job kinds, and the small things that all of them need from their host. */
#include "core/work/private.h"

#include <string.h>

enum { RECORD_BYTES_MAX = 64 << 20 };

const struct job_kind *const job_kinds[] = {&ingest_kind, &import_kind, &features_kind, &export_kind,   &tune_kind,
                                             &train_kind,  &evaluate_kind, NULL};

const struct job_kind *job_kind_find(const char *name)
{
    for (size_t i = 0; job_kinds[i]; i++)
        if (strcmp(job_kinds[i]->name, name) == 0)
            return job_kinds[i];
    return NULL;
}

enum status work_check_cancelled(struct job_ctx *ctx, struct error *e)
{
    return ctx->host->cancelled(ctx->host_ctx) ? error_set(e, STATUS_CANCELLED, "cancelled") : STATUS_OK;
}

void work_progress(struct job_ctx *ctx, const char *phase, const char *unit, int64_t done, int64_t total,
                   const char *message)
{
    const struct job_progress p = {phase, unit, done, total, message};
    ctx->host->progress(ctx->host_ctx, &p);
}

void work_log(struct job_ctx *ctx, enum log_level level, const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ctx->host->log(ctx->host_ctx, level, text);
}

enum status work_path(struct job_ctx *ctx, char out[PATH_BYTES_MAX], struct error *e, const char *fmt, ...)
{
    int n = snprintf(out, PATH_BYTES_MAX, "%s/", ctx->work_dir);
    if (n > 0 && n < PATH_BYTES_MAX) {
        va_list args;
        va_start(args, fmt);
        n += vsnprintf(out + n, (size_t)(PATH_BYTES_MAX - n), fmt, args);
        va_end(args);
    }
    return n > 0 && n < PATH_BYTES_MAX ? STATUS_OK
                                       : error_set(e, STATUS_RANGE, "work folder: path longer than %d bytes",
                                                   PATH_BYTES_MAX - 1);
}

enum status work_record_save(struct job_ctx *ctx, const char *name, const struct field *table, const void *record,
                             struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf text;
    TRY(work_path(ctx, path, e, "%s", name));
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = field_write_text(table, record, &text, e);
    if (s == STATUS_OK)
        s = file_write_atomic(path, text.data, text.len, e);
    buf_fini(&text);
    return s;
}

enum status work_record_load(struct job_ctx *ctx, const char *name, const struct field *table, void *record,
                             bool *found, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf text;
    TRY(work_path(ctx, path, e, "%s", name));
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = file_read(path, &text, e);
    *found = s == STATUS_OK;
    field_defaults(table, record);
    if (s == STATUS_OK)
        s = field_read_text(ctx->arena, table, (struct span){text.data, text.len}, record, e);
    else if (s == STATUS_NOTFOUND)
        s = STATUS_OK;
    buf_fini(&text);
    return s;
}

enum status work_unit_result(struct job_ctx *ctx, int phase, int64_t unit, const struct field *table, void *result,
                             struct error *e)
{
    struct buf text;
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = ctx->host->unit_result(ctx->host_ctx, phase, unit, &text, e);
    if (s == STATUS_OK) {
        field_defaults(table, result);
        s = field_read_text(ctx->arena, table, (struct span){text.data, text.len}, result, e);
    }
    buf_fini(&text);
    return s == STATUS_OK ? s : error_wrap(e, "result of unit %d.%lld", phase, (long long)unit);
}

enum status work_dataset_open(struct job_ctx *ctx, const char *id, struct dataset **out, struct error *e)
{
    const char *folder, *canonical;
    *out = NULL;
    TRY(ctx->host->resolve_artifact(ctx->host_ctx, ctx->arena, "dataset", id, &folder, &canonical, e));
    return dataset_open(folder, out, e);
}

enum status work_check_rows(const struct manifest *m, const char *reader, struct error *e)
{
    if (m->has_rows)
        return STATUS_OK;
    return error_set(e, STATUS_ARGUMENT,
                     "%s reads particle rows, and dataset %s has none: make features with sequences: true", reader, m->id);
}

/* ---- cut-flow --------------------------------------------------------------------------------------------- */

enum status cut_flow_add(struct arena *a, struct cut_flow *f, const char *reason, const char *label, int64_t events,
                         double weight, struct error *e)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->rows[i].reason, reason) == 0 && strcmp(f->rows[i].label, label) == 0) {
            f->rows[i].events += events;
            f->rows[i].weight += weight;
            return STATUS_OK;
        }
    if (f->n == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 32;
        struct cut_row *rows = ARENA_NEW(a, struct cut_row, cap);
        if (!rows)
            return error_set(e, STATUS_NOMEM, "cut-flow");
        if (f->n)
            memcpy(rows, f->rows, f->n * sizeof *rows);
        f->rows = rows;
        f->cap = cap;
    }
    struct cut_row *row = &f->rows[f->n];
    *row = (struct cut_row){arena_strdup(a, reason), arena_strdup(a, label), events, weight};
    if (!row->reason || !row->label)
        return error_set(e, STATUS_NOMEM, "cut-flow");
    f->n++;
    return STATUS_OK;
}

struct field_list cut_flow_list(const struct cut_flow *f)
{
    return (struct field_list){f->rows, f->n};
}

int64_t cut_flow_events(const struct cut_flow *f, const char *reason)
{
    int64_t sum = 0;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->rows[i].reason, reason) == 0)
            sum += f->rows[i].events;
    return sum;
}
