/* server/store/jobs_end.h
 *
 * What several ends of a job share, inside a transaction of the caller's. */
#ifndef DLT_SERVER_STORE_JOBS_END_H
#define DLT_SERVER_STORE_JOBS_END_H

#include "server/store/store_private.h"

/* SQL for `errors` with the JSON object of a parameter appended; as it was when that is null.  The oldest of more than
 * 50 is dropped, so that a job that crashes for ever (and goes on in between) has a bounded row. */
#define ERRORS_WITH(parameter) \
    "CASE WHEN " parameter " IS NULL THEN errors ELSE json_insert(CASE WHEN json_array_length(errors) >= 50" \
    " THEN json_remove(errors, '$[0]') ELSE errors END, '$[#]', json(" parameter ")) END"

/* The tags that a job is found by. */
enum status jobs_set_tags(struct db *db, const char *id, const char *tags, struct error *e) MUST_USE;
enum status jobs_insert_webhook(struct db *db, const struct job_new *job, int64_t now_us, struct error *e) MUST_USE;
/* Units and checkpoint. */
enum status jobs_forget_units(struct db *db, const char *id, struct error *e) MUST_USE;
/* Cancels all pending jobs that need `id`, directly or through others. */
enum status jobs_cancel_dependents(struct db *db, const char *id, const char *error, struct error *e) MUST_USE;
/* Those that need `id`, now completed, and nothing else any more, may run. */
enum status jobs_release_dependents(struct db *db, const char *id, int64_t now_us, struct error *e) MUST_USE;
/* "The job is no longer this worker's": CANCELLED. */
enum status jobs_lost(const char *id, struct error *e);
/* OK when the job is held under `token`, else lost. */
enum status jobs_check_lease(struct db *db, const char *id, const char *token, struct error *e) MUST_USE;

#endif
