/* server/jobs/admin_kinds.c
 *
 * Job kinds of the service itself, submitted by routes of their own: doing something to many jobs, a backup of the data
 * base.  They know the engine behind their host. */
#include "server/jobs/engine.h"

#include <string.h>
#include <sys/stat.h>

enum { PAGE_JOBS = 200 };

/* ---- bulk ------------------------------------------------------------------------------------------------------------ */

enum { BULK_CANCEL, BULK_RETRY, BULK_DELETE };
static const char *const bulk_actions[] = {"cancel", "retry", "delete", NULL};

struct bulk_filter {
    const char *kind, *state, *tag, *queue, *pipeline_id, *created_after, *created_before;
};
struct bulk_spec {
    int action;
    struct bulk_filter filter;
};
struct bulk_result {
    int64_t matched, changed, refused;
};
static const struct field bulk_filter_fields[] = {
    FIELD_STRING(struct bulk_filter, kind, .doc = "of this kind"),
    FIELD_STRING(struct bulk_filter, state, .doc = "in this state"),
    FIELD_STRING(struct bulk_filter, tag, .doc = "with this tag"),
    FIELD_STRING(struct bulk_filter, queue, .doc = "in this queue"),
    FIELD_STRING(struct bulk_filter, pipeline_id, .doc = "of this pipeline"),
    FIELD_STRING(struct bulk_filter, created_after, .doc = "made after this time (RFC 3339)"),
    FIELD_STRING(struct bulk_filter, created_before, .doc = "made at this time or before"),
    FIELD_END,
};
static const struct field bulk_spec_fields[] = {
    FIELD_ENUM(struct bulk_spec, action, bulk_actions, .required = true, .doc = "what to do to each job"),
    FIELD_OBJECT(struct bulk_spec, filter, bulk_filter_fields, .required = true, .doc = "which jobs; at least one member"),
    FIELD_END,
};
static const struct field bulk_result_fields[] = {
    FIELD_I64(struct bulk_result, matched, .doc = "jobs that the filter chose"),
    FIELD_I64(struct bulk_result, changed, .doc = "jobs of them to which it was done"),
    FIELD_I64(struct bulk_result, refused, .doc = "jobs whose state did not allow it"),
    FIELD_END,
};

static enum status bulk_filter_read(const struct bulk_filter *f, struct job_filter *out, struct error *e)
{
    *out = (struct job_filter){.kind = f->kind, .state = f->state, .tag = f->tag, .queue = f->queue,
                               .pipeline_id = f->pipeline_id, .limit = PAGE_JOBS};
    if (f->state && job_state_parse(f->state) < 0)
        return error_set(e, STATUS_ARGUMENT, "/filter/state: there is no job state \"%.40s\"", f->state);
    if (f->created_after && !time_parse(f->created_after, &out->created_after_us))
        return error_set(e, STATUS_ARGUMENT, "/filter/created_after: is no time like 2026-11-23T10:00:00Z");
    if (f->created_before && !time_parse(f->created_before, &out->created_before_us))
        return error_set(e, STATUS_ARGUMENT, "/filter/created_before: is no time like 2026-11-23T10:00:00Z");
    if (!f->kind && !f->state && !f->tag && !f->queue && !f->pipeline_id && !f->created_after && !f->created_before)
        return error_set(e, STATUS_ARGUMENT, "/filter: needs at least one member");
    return STATUS_OK;
}

static enum status bulk_validate(const void *spec, struct error *e)
{
    struct job_filter filter;
    return bulk_filter_read(&((const struct bulk_spec *)spec)->filter, &filter, e);
}

static enum status one_unit(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    (void)ctx;
    (void)spec;
    (void)e;
    *n_units = phase == 0 ? 1 : -1;
    return STATUS_OK;
}

static enum status bulk_do(struct jobs *j, int action, const char *id, struct error *e)
{
    switch (action) {
    case BULK_CANCEL: return jobs_cancel(j, id, e);
    case BULK_RETRY: return jobs_retry(j, id, e);
    default: return jobs_delete(j, id, e);
    }
}

/* One page; *before becomes its last id, NULL behind the last page. */
static enum status bulk_page(struct job_ctx *ctx, const struct bulk_spec *spec, struct job_filter *filter,
                             char before[40], struct bulk_result *sum, bool *more, struct error *e)
{
    struct job_run *run = ctx->host_ctx;
    struct job_row *rows;
    size_t n;
    TRY(store_jobs_list(run->jobs->store, ctx->arena, filter, &rows, &n, e));
    for (size_t i = 0; i < n; i++) {
        if (ctx->host->cancelled(ctx->host_ctx))
            return error_set(e, STATUS_CANCELLED, "cancelled");
        text_copy(before, 40, rows[i].id);
        if (strcmp(rows[i].kind, bulk_kind.name) == 0)            /* neither itself nor others of its like */
            continue;
        sum->matched++;
        enum status s = bulk_do(run->jobs, spec->action, rows[i].id, e);
        if (s != STATUS_OK && s != STATUS_CONFLICT && s != STATUS_NOTFOUND)
            return s;
        sum->changed += s == STATUS_OK;
        sum->refused += s != STATUS_OK;
        ctx->host->progress(ctx->host_ctx, &(struct job_progress){bulk_actions[spec->action], "jobs", sum->matched, -1, NULL});
    }
    *more = n == filter->limit;
    filter->before = before;
    return STATUS_OK;
}

static enum status bulk_run(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result,
                            struct error *e)
{
    struct bulk_result sum = {0};
    struct job_filter filter;
    char before[40];
    (void)phase;
    (void)unit;
    TRY(bulk_filter_read(&((const struct bulk_spec *)spec)->filter, &filter, e));
    for (bool more = true; more; arena_reset(ctx->arena))
        TRY(bulk_page(ctx, spec, &filter, before, &sum, &more, e));
    return field_write_text(bulk_result_fields, &sum, result, e);
}

/* The result of the only unit, which is the job's. */
static enum status read_unit(struct job_ctx *ctx, const struct field *fields, void *result, struct error *e)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    enum status s = ctx->host->unit_result(ctx->host_ctx, 0, 0, &text, e);
    if (s == STATUS_OK)
        s = field_read_text(ctx->arena, fields, (struct span){text.data, text.len}, result, e);
    buf_fini(&text);
    return s;
}

static enum status bulk_finish(struct job_ctx *ctx, const void *spec, void *result, struct error *e)
{
    (void)spec;
    return read_unit(ctx, bulk_result_fields, result, e);
}

const struct job_kind bulk_kind = {
    .name = "bulk", .doc = "cancels, retries or deletes all jobs that a filter chooses", .spec_fields = bulk_spec_fields,
    .spec_size = sizeof(struct bulk_spec), .result_fields = bulk_result_fields, .result_size = sizeof(struct bulk_result),
    .max_attempts = 3, .validate = bulk_validate, .plan = one_unit, .run = bulk_run, .finish = bulk_finish,
};

/* ---- backup ------------------------------------------------------------------------------------------------------------ */

struct backup_spec {
    bool check;
};
struct backup_result {
    const char *file, *sha256;
    int64_t bytes;
};
static const struct field backup_spec_fields[] = {
    FIELD_BOOL(struct backup_spec, check, .def = true, .doc = "reads the copy back and checks it"),
    FIELD_END,
};
static const struct field backup_result_fields[] = {
    FIELD_STRING(struct backup_result, file, .doc = "the copy, below the data folder"),
    FIELD_STRING(struct backup_result, sha256),
    FIELD_I64(struct backup_result, bytes, .unit = "byte"),
    FIELD_END,
};

static enum status backup_run(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result,
                              struct error *e)
{
    struct job_run *run = ctx->host_ctx;
    const char *folder = store_folder(run->jobs->store);
    char name[80], path[4200], path_new[4200], sha256[65];
    struct backup_result r = {.file = name, .sha256 = sha256};
    (void)phase;
    (void)unit;
    snprintf(name, sizeof name, "backups/%s.db", ctx->job_id);
    snprintf(path, sizeof path, "%s/backups", folder);
    TRY(file_make_folder(path, e));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(path_new, sizeof path_new, "%s/backup.db", ctx->work_dir);
    remove(path_new);                                  /* of an attempt that was interrupted */
    TRY(store_backup(run->jobs->store, path_new, e));
    if (((const struct backup_spec *)spec)->check)
        TRY(store_check_file(path_new, e));
    TRY(sha256_file_hex(path_new, sha256, &r.bytes, e));
    if (rename(path_new, path) != 0)
        return error_errno(e, "moving the backup to its place");
    char backups[4200];
    snprintf(backups, sizeof backups, "%s/backups", folder);
    TRY(file_sync_folder(backups, e));
    return field_write_text(backup_result_fields, &r, result, e);
}

static enum status backup_finish(struct job_ctx *ctx, const void *spec, void *result, struct error *e)
{
    (void)spec;
    return read_unit(ctx, backup_result_fields, result, e);
}

const struct job_kind backup_kind = {
    .name = "backup", .doc = "writes a consistent copy of the data base while work goes on",
    .spec_fields = backup_spec_fields, .spec_size = sizeof(struct backup_spec), .result_fields = backup_result_fields,
    .result_size = sizeof(struct backup_result), .max_attempts = 3, .plan = one_unit, .run = backup_run,
    .finish = backup_finish,
};

const struct job_kind *const admin_kinds[] = {&bulk_kind, &backup_kind, NULL};
