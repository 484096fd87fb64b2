/* server/store/retention.c
 *
 * What is forgotten by age, a few jobs in a transaction, so that nobody waits long for the writer. */
#include "server/store/jobs_rows.h"
#include "server/store/store_jobs.h"

enum { JOBS_A_TIME = 100 };

struct age {
    const struct job_retention *r;
    struct arena *a;
    struct job_row *rows;
    size_t n;
};

/* Final jobs beyond their time that no unfinished job needs. */
static enum status forget(struct store *s, void *ctx, struct error *e)
{
    struct age *x = ctx;
    struct db *db = &s->writer;
    TRY(store_jobs_query(db, x->a,
                         "SELECT " JOB_COLUMNS " FROM jobs WHERE finished_us IS NOT NULL AND ((state = 'completed'"
                         " AND finished_us < ?1) OR (state IN ('cancelled', 'discarded') AND finished_us < ?2))"
                         " AND NOT EXISTS (SELECT 1 FROM job_needs n JOIN jobs down ON down.id = n.job_id"
                         " WHERE n.need_id = jobs.id AND down.state NOT IN ('completed', 'cancelled', 'discarded'))"
                         " ORDER BY finished_us LIMIT ?3",
                         (struct db_value[]){db_i64(x->r->completed_before_us), db_i64(x->r->discarded_before_us),
                                             db_i64(JOBS_A_TIME)},
                         3, &x->rows, &x->n, e));
    for (size_t i = 0; i < x->n; i++)
        TRY(DB_RUN(db, NULL, e, "DELETE FROM jobs WHERE id = ?1", db_text(x->rows[i].id)));
    return STATUS_OK;
}

enum status store_jobs_forget(struct store *s, struct arena *a, const struct job_retention *r, struct job_row **rows,
                              size_t *n, struct error *e)
{
    struct age x = {r, a, NULL, 0};
    enum status st = store_write(s, forget, &x, e);
    *rows = x.rows;
    *n = st == STATUS_OK ? x.n : 0;
    return st;
}

enum status store_jobs_with_old_metrics(struct store *s, struct arena *a, int64_t before_us, struct job_row **rows,
                                        size_t *n, struct error *e)
{
    struct db *db;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = store_jobs_query(db, a,
                                      "SELECT " JOB_COLUMNS " FROM jobs WHERE finished_us < ?1 AND metrics_thinned = 0"
                                      " ORDER BY finished_us LIMIT ?2",
                                      (struct db_value[]){db_i64(before_us), db_i64(JOBS_A_TIME)}, 2, rows, n, e);
    store_reader_release(s, db);
    return st;
}

enum status store_jobs_with_old_work(struct store *s, struct arena *a, int64_t before_us, struct job_row **rows, size_t *n,
                                     struct error *e)
{
    struct db *db;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = store_jobs_query(db, a,
                                      "SELECT " JOB_COLUMNS " FROM jobs WHERE finished_us < ?1 AND state = 'discarded'"
                                      " AND EXISTS (SELECT 1 FROM job_units u WHERE u.job_id = jobs.id UNION ALL"
                                      " SELECT 1 FROM job_checkpoints c WHERE c.job_id = jobs.id) LIMIT ?2",
                                      (struct db_value[]){db_i64(before_us), db_i64(JOBS_A_TIME)}, 2, rows, n, e);
    store_reader_release(s, db);
    return st;
}

struct thinned {
    const char *id;
    const struct job_metric *points;
    size_t n;
};

/* The points that stay; the events that said the same one by one go. */
static enum status replace_metrics(struct store *s, void *ctx, struct error *e)
{
    const struct thinned *t = ctx;
    struct db *db = &s->writer;
    TRY(DB_RUN(db, NULL, e, "DELETE FROM job_events WHERE job_id = ?1 AND type = 'metric'", db_text(t->id)));
    TRY(DB_RUN(db, NULL, e, "DELETE FROM job_metrics WHERE job_id = ?1", db_text(t->id)));
    for (size_t i = 0; i < t->n; i++)
        TRY(DB_RUN(db, NULL, e, "INSERT INTO job_metrics (job_id, key, step, value) VALUES (?1, ?2, ?3, ?4)",
                   db_text(t->id), db_text(t->points[i].key), db_i64(t->points[i].step), db_f64(t->points[i].value)));
    return DB_RUN(db, NULL, e, "UPDATE jobs SET metrics_thinned = 1 WHERE id = ?1", db_text(t->id));
}

enum status store_job_metrics_replace(struct store *s, const char *id, const struct job_metric *points, size_t n,
                                      struct error *e)
{
    return store_write(s, replace_metrics, &(struct thinned){id, points, n}, e);
}

static enum status forget_work(struct store *s, void *ctx, struct error *e)
{
    const char *id = ctx;
    int64_t n;
    TRY(DB_NUMBER(&s->writer, 0, &n, e, "SELECT count(*) FROM jobs WHERE id = ?1 AND state = 'discarded'", db_text(id)));
    TRY(n == 1 ? STATUS_OK : error_set(e, STATUS_CONFLICT, "job %s is no longer discarded", id));
    TRY(DB_RUN(&s->writer, NULL, e, "DELETE FROM job_units WHERE job_id = ?1", db_text(id)));
    return DB_RUN(&s->writer, NULL, e, "DELETE FROM job_checkpoints WHERE job_id = ?1", db_text(id));
}

enum status store_job_work_forget(struct store *s, const char *id, struct error *e)
{
    return store_write(s, forget_work, (void *)(uintptr_t)id, e);
}
