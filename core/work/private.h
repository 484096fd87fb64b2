/* core/work/private.h: what the job kinds share. */
#ifndef DLT_CORE_WORK_PRIVATE_H
#define DLT_CORE_WORK_PRIVATE_H

#include "core/work.h"

enum { PATH_BYTES_MAX = 4096 };

extern const struct job_kind export_kind, import_kind, ingest_kind, features_kind, tune_kind, train_kind, evaluate_kind;

/* CANCELLED once the host says so. */
enum status work_check_cancelled(struct job_ctx *ctx, struct error *e) MUST_USE;
void work_progress(struct job_ctx *ctx, const char *phase, const char *unit, int64_t done, int64_t total,
                   const char *message);
void work_log(struct job_ctx *ctx, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* work_dir/NAME, where NAME is formatted. */
enum status work_path(struct job_ctx *ctx, char out[PATH_BYTES_MAX], struct error *e, const char *fmt, ...) MUST_USE
    PRINTF_LIKE(4, 5);
/* A struct kept as field text in work_dir (decisions that must be the same in every attempt). */
enum status work_record_save(struct job_ctx *ctx, const char *name, const struct field *table, const void *record,
                             struct error *e) MUST_USE;
enum status work_record_load(struct job_ctx *ctx, const char *name, const struct field *table, void *record,
                             bool *found, struct error *e) MUST_USE;
/* The result that a committed unit left. */
enum status work_unit_result(struct job_ctx *ctx, int phase, int64_t unit, const struct field *table, void *result,
                             struct error *e) MUST_USE;
/* Opens a published dataset by id. */
enum status work_dataset_open(struct job_ctx *ctx, const char *id, struct dataset **out, struct error *e) MUST_USE;
/* ARGUMENT when the dataset has no particle rows, which `reader` wants. */
enum status work_check_rows(const struct manifest *m, const char *reader, struct error *e) MUST_USE;

/* ---- cut-flow --------------------------------------------------------------------------------------------- */

/* Rows added up by (reason, label), kept in order of first appearance. */
struct cut_flow {
    struct cut_row *rows;
    size_t n, cap;
};
enum status cut_flow_add(struct arena *a, struct cut_flow *f, const char *reason, const char *label, int64_t events,
                         double weight, struct error *e) MUST_USE;
struct field_list cut_flow_list(const struct cut_flow *f);
int64_t cut_flow_events(const struct cut_flow *f, const char *reason);

#endif
