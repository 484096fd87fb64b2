/* server/store/lineage.c
 *
 * Deleting a dataset.  Whether another artifact was made of it stands in the artifacts' own files, which the caller reads;
 * the store sees to it that no artifact came up meanwhile, and that no unfinished job needs the dataset. */
#include "server/store/store_private.h"

#include <string.h>

#define STATE_SQL "SELECT coalesce(sum(rowid + created_us), 0) FROM artifacts"

enum status store_artifacts_state(struct store *s, int64_t *state, struct error *e)
{
    struct db *db;
    *state = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = db_number_values(db, STATE_SQL, NULL, 0, 0, state, e);
    store_reader_release(s, db);
    return st;
}

struct deletion {
    const char *id;
    int64_t state;
    bool *changed;
};

/* A step of a pipeline names the job that makes the dataset, other jobs name the dataset. */
#define NEEDED_SQL "SELECT count(*) FROM jobs j WHERE j.state NOT IN ('completed', 'cancelled', 'discarded') AND" \
    " (instr(j.spec, ?1) > 0 OR EXISTS (SELECT 1 FROM job_needs n JOIN artifacts a ON a.job_id = n.need_id" \
    " WHERE n.job_id = j.id AND a.id = ?1))"

static enum status delete_dataset(struct store *s, void *ctx, struct error *e)
{
    const struct deletion *x = ctx;
    struct db *db = &s->writer;
    int64_t state, n_jobs, n_changed;
    TRY(db_number_values(db, STATE_SQL, NULL, 0, 0, &state, e));
    *x->changed = state != x->state;
    if (*x->changed)
        return STATUS_OK;
    TRY(DB_NUMBER(db, 0, &n_jobs, e, NEEDED_SQL, db_text(x->id)));
    if (n_jobs > 0)
        return error_set(e, STATUS_CONFLICT, "dataset %.60s is needed by %lld unfinished job%s", x->id,
                         (long long)n_jobs, n_jobs == 1 ? "" : "s");
    TRY(DB_RUN(db, &n_changed, e, "DELETE FROM artifacts WHERE kind = 'dataset' AND id = ?1", db_text(x->id)));
    return n_changed > 0 ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "there is no dataset %.60s", x->id);
}

enum status store_dataset_delete(struct store *s, const char *id, int64_t state, bool *changed, struct error *e)
{
    *changed = false;
    return store_write(s, delete_dataset, &(struct deletion){id, state, changed}, e);
}
