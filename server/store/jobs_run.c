/* server/store/jobs_run.c
 *
 * What a running job leaves along the way: units, checkpoints, metrics, its resolved spec, the number of its model, and
 * what it is about to publish. */
#include "server/store/jobs_end.h"
#include "server/store/store_jobs.h"

#include <string.h>

/* A write of a running job, under its lease. */
struct leased {
    const char *id, *token;
    int phase;
    int64_t unit;
    struct span data;
    const char *text, *sha256;
    const struct job_publication *items;
    size_t n_items;
};

/* ---- units ------------------------------------------------------------------------------------------------------- */

static enum status unit_commit(struct store *s, void *ctx, struct error *e)
{
    const struct leased *x = ctx;
    int64_t n_changed = 0;
    TRY(DB_RUN(&s->writer, &n_changed, e, "UPDATE jobs SET crashes = 0 WHERE id = ?1 AND lease_token = ?2", db_text(x->id),
               db_text(x->token)));
    if (n_changed == 0)
        return jobs_lost(x->id, e);
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT OR REPLACE INTO job_units (job_id, phase, unit, attempt, committed_us, result)"
                  " SELECT id, ?2, ?3, attempt, ?4, ?5 FROM jobs WHERE id = ?1",
                  db_text(x->id), db_i64(x->phase), db_i64(x->unit), db_i64(time_unix_us()),
                  db_blob(x->data.data, x->data.len));
}

enum status store_unit_commit(struct store *s, const char *id, const char *token, int phase, int64_t unit,
                              struct span result, struct error *e)
{
    struct leased x = {.id = id, .token = token, .phase = phase, .unit = unit, .data = result};
    return store_write(s, unit_commit, &x, e);
}

static enum status mark_committed(struct db *db, const char *id, int phase, int64_t n_units, bool *done, int64_t *n_done,
                                  struct error *e)
{
    struct db_rows r;
    bool more;
    TRY(DB_QUERY(db, NULL, &r, e, "SELECT unit FROM job_units WHERE job_id = ?1 AND phase = ?2", db_text(id),
                 db_i64(phase)));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        int64_t unit = db_column_i64(&r);
        if (unit >= 0 && unit < n_units) {
            done[unit] = true;
            (*n_done)++;
        }
    }
}

enum status store_units_committed(struct store *s, const char *id, int phase, int64_t n_units, bool *done, int64_t *n_done,
                                  struct error *e)
{
    struct db *db;
    *n_done = 0;
    memset(done, 0, (size_t)n_units);
    TRY(store_reader_acquire(s, &db, e));
    enum status st = mark_committed(db, id, phase, n_units, done, n_done, e);
    store_reader_release(s, db);
    return st;
}

static enum status unit_result(struct db *db, const char *id, int phase, int64_t unit, struct buf *out, struct error *e)
{
    struct db_rows r;
    bool found;
    TRY(DB_QUERY(db, NULL, &r, e, "SELECT result FROM job_units WHERE job_id = ?1 AND phase = ?2 AND unit = ?3", db_text(id),
                 db_i64(phase), db_i64(unit)));
    TRY(db_rows_next(&r, &found, e));
    if (!found)
        return error_set(e, STATUS_NOTFOUND, "unit %lld of phase %d is not committed", (long long)unit, phase);
    struct span blob = db_column_blob(&r);
    enum status st = buf_append(out, blob.data, blob.len, e);
    db_rows_end(&r);
    return st;
}

enum status store_unit_result(struct store *s, const char *id, int phase, int64_t unit, struct buf *out, struct error *e)
{
    struct db *db;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = unit_result(db, id, phase, unit, out, e);
    store_reader_release(s, db);
    return st;
}

static enum status units_clear(struct store *s, void *ctx, struct error *e)
{
    const struct leased *x = ctx;
    int64_t n;
    TRY(jobs_check_lease(&s->writer, x->id, x->token, e));
    TRY(DB_NUMBER(&s->writer, 0, &n, e,
                  "SELECT EXISTS (SELECT 1 FROM job_units WHERE job_id = ?1)"
                  " OR EXISTS (SELECT 1 FROM job_checkpoints WHERE job_id = ?1)",
                  db_text(x->id)));
    if (n == 0)
        return STATUS_OK;
    log_line(LOG_WARN, "job %s: its work folder is gone, it starts from the beginning", x->id);
    return jobs_forget_units(&s->writer, x->id, e);
}

enum status store_units_clear(struct store *s, const char *id, const char *token, struct error *e)
{
    return store_write(s, units_clear, &(struct leased){.id = id, .token = token}, e);
}

/* ---- checkpoint ------------------------------------------------------------------------------------------------------ */

static enum status checkpoint_save(struct store *s, void *ctx, struct error *e)
{
    const struct leased *x = ctx;
    int64_t n_changed = 0, now_us = time_unix_us();
    TRY(DB_RUN(&s->writer, &n_changed, e, "UPDATE jobs SET checkpoint_us = ?3 WHERE id = ?1 AND lease_token = ?2",
               db_text(x->id), db_text(x->token), db_i64(now_us)));
    if (n_changed == 0)
        return jobs_lost(x->id, e);
    return DB_RUN(&s->writer, NULL, e, "INSERT OR REPLACE INTO job_checkpoints (job_id, saved_us, data) VALUES (?1, ?2, ?3)",
                  db_text(x->id), db_i64(now_us), db_blob(x->data.data, x->data.len));
}

enum status store_checkpoint_save(struct store *s, const char *id, const char *token, const void *data, size_t n,
                                  struct error *e)
{
    return store_write(s, checkpoint_save, &(struct leased){.id = id, .token = token, .data = {data, n}}, e);
}

static enum status checkpoint_load(struct db *db, const char *id, struct buf *out, bool *found, struct error *e)
{
    struct db_rows r;
    TRY(DB_QUERY(db, NULL, &r, e, "SELECT data FROM job_checkpoints WHERE job_id = ?1", db_text(id)));
    TRY(db_rows_next(&r, found, e));
    if (!*found)
        return STATUS_OK;
    struct span blob = db_column_blob(&r);
    enum status st = buf_append(out, blob.data, blob.len, e);
    db_rows_end(&r);
    return st;
}

enum status store_checkpoint_load(struct store *s, const char *id, struct buf *out, bool *found, struct error *e)
{
    struct db *db;
    *found = false;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = checkpoint_load(db, id, out, found, e);
    store_reader_release(s, db);
    return st;
}

/* ---- metrics, spec, steps ---------------------------------------------------------------------------------------------- */

struct points {
    const char *id;
    const struct job_metric *points;
    size_t n;
};

static enum status metrics_save(struct store *s, void *ctx, struct error *e)
{
    const struct points *p = ctx;
    int64_t now_us = time_unix_us();
    for (size_t i = 0; i < p->n; i++) {
        const struct job_metric *m = &p->points[i];
        TRY(DB_RUN(&s->writer, NULL, e, "INSERT OR REPLACE INTO job_metrics (job_id, key, step, value) VALUES (?1, ?2, ?3, ?4)",
                   db_text(p->id), db_text(m->key), db_i64(m->step), db_f64(m->value)));
        TRY(DB_RUN(&s->writer, NULL, e,
                   "INSERT INTO job_events (job_id, at_us, type, data)"
                   " VALUES (?1, ?2, 'metric', json_object('key', ?3, 'step', ?4, 'value', ?5))",
                   db_text(p->id), db_i64(now_us), db_text(m->key), db_i64(m->step), db_f64(m->value)));
    }
    return STATUS_OK;
}

enum status store_job_metrics_save(struct store *s, const char *id, const struct job_metric *points, size_t n,
                                   struct error *e)
{
    return store_write(s, metrics_save, &(struct points){id, points, n}, e);
}

static enum status spec_set(struct store *s, void *ctx, struct error *e)
{
    const struct leased *x = ctx;
    int64_t n_changed = 0;
    TRY(DB_RUN(&s->writer, &n_changed, e, "UPDATE jobs SET spec = ?3, spec_sha256 = ?4 WHERE id = ?1 AND lease_token = ?2",
               db_text(x->id), db_text(x->token), db_text(x->text), db_text(x->sha256)));
    return n_changed == 0 ? jobs_lost(x->id, e) : STATUS_OK;
}

enum status store_job_spec_set(struct store *s, const char *id, const char *token, const char *spec, const char *sha256,
                               struct error *e)
{
    return store_write(s, spec_set, &(struct leased){.id = id, .token = token, .text = spec, .sha256 = sha256}, e);
}

enum status store_step_result(struct store *s, struct arena *a, const char *pipeline_id, const char *step,
                              const char **kind, const char **result, struct error *e)
{
    struct db *db;
    struct db_rows r;
    bool found = false;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = DB_QUERY(db, a, &r, e,
                              "SELECT kind, result FROM jobs WHERE pipeline_id = ?1 AND step = ?2 AND result IS NOT NULL",
                              db_text(pipeline_id), db_text(step));
    if (st == STATUS_OK)
        st = db_rows_next(&r, &found, e);
    if (st == STATUS_OK && found) {
        *kind = db_column_text(&r);
        *result = db_column_text(&r);
        st = r.no_memory ? error_set(e, STATUS_NOMEM, "no memory for a result") : STATUS_OK;
        db_rows_end(&r);
    } else if (st == STATUS_OK) {
        st = error_set(e, STATUS_NOTFOUND, "step %s has no result", step);
    }
    store_reader_release(s, db);
    return st;
}

/* ---- publications -------------------------------------------------------------------------------------------------------- */

static enum status publications_set(struct store *s, void *ctx, struct error *e)
{
    const struct leased *x = ctx;
    TRY(jobs_check_lease(&s->writer, x->id, x->token, e));
    TRY(DB_RUN(&s->writer, NULL, e, "DELETE FROM job_publications WHERE job_id = ?1", db_text(x->id)));
    for (size_t i = 0; i < x->n_items; i++) {
        const struct job_publication *p = &x->items[i];
        TRY(DB_RUN(&s->writer, NULL, e,
                   "INSERT INTO job_publications (job_id, id, kind, name, sha256, staged) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                   db_text(x->id), db_text(p->id), db_text(p->kind), db_text(p->name), db_text(p->sha256),
                   db_text(p->staged)));
    }
    return STATUS_OK;
}

enum status store_publications_set(struct store *s, const char *id, const char *token, const struct job_publication *items,
                                   size_t n, struct error *e)
{
    return store_write(s, publications_set, &(struct leased){.id = id, .token = token, .items = items, .n_items = n}, e);
}

static enum status publications_list(struct db *db, struct arena *a, const char *job_id, struct job_publication **items,
                                     size_t *n, struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(DB_QUERY(db, a, &r, e,
                 "SELECT job_id, id, kind, name, sha256, staged FROM job_publications WHERE ?1 IS NULL OR job_id = ?1"
                 " ORDER BY job_id, id",
                 db_text(job_id)));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct job_publication *bigger = db_grow(a, *items, *n, &cap, sizeof **items);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *items = bigger;
        struct job_publication *p = &(*items)[(*n)++];
        p->job_id = db_column_text(&r);
        p->id = db_column_text(&r);
        p->kind = db_column_text(&r);
        p->name = db_column_text(&r);
        p->sha256 = db_column_text(&r);
        p->staged = db_column_text(&r);
    }
}

enum status store_publications_list(struct store *s, struct arena *a, const char *job_id, struct job_publication **items,
                                    size_t *n, struct error *e)
{
    struct db *db;
    *items = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = publications_list(db, a, job_id, items, n, e);
    store_reader_release(s, db);
    return st;
}

static enum status publications_clear(struct store *s, void *ctx, struct error *e)
{
    return DB_RUN(&s->writer, NULL, e, "DELETE FROM job_publications WHERE job_id = ?1", db_text(ctx));
}

enum status store_publications_clear(struct store *s, const char *job_id, struct error *e)
{
    return store_write(s, publications_clear, (void *)(uintptr_t)job_id, e);
}
