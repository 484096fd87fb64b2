/* server/store/jobs_rows.h
 *
 * Rows of the table of jobs, for the files of this folder that read them. */
#ifndef DLT_SERVER_STORE_JOBS_ROWS_H
#define DLT_SERVER_STORE_JOBS_ROWS_H

#include "server/store/store_private.h"

/* The columns in the order in which store_job_columns reads them. */
#define JOB_COLUMNS \
    "id, kind, state, spec, spec_sha256, result, errors, pipeline_id, step, needs, tags, priority, attempt, max_attempts," \
    " created_us, run_at_us, started_us, finished_us, worker, lease_expires_us, checkpoint_us, phase, unit, message," \
    " done, total, fraction, rate_per_second, cancel_at_us, run_build, run_threads, queue, revision,"\
    " timeout_us, outcome, forced, traceparent, tracestate, cache_mode, reused_from, verify_of, verification"

void store_job_columns(struct db_rows *r, struct job_row *out);
/* All rows of "SELECT JOB_COLUMNS ..." into an arena array. */
enum status store_jobs_query(struct db *db, struct arena *a, const char *sql, const struct db_value *values,
                             size_t n_values, struct job_row **rows, size_t *n, struct error *e) MUST_USE;

#endif
