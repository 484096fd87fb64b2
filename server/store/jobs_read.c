/* server/store/jobs_read.c
 *
 * Reading jobs: one, a page, counts, what they reported. */
#include "server/store/jobs_rows.h"
#include "server/store/store_jobs.h"

#include <string.h>

static const char *const state_names[] = {
#define X(name, text, final) text,
    JOB_STATE_TABLE(X)
#undef X
};
static const bool state_finals[] = {
#define X(name, text, final) final,
    JOB_STATE_TABLE(X)
#undef X
};

const char *job_state_name(enum job_state s)
{
    check((unsigned)s < JOB_STATES);
    return state_names[s];
}

bool job_state_final(enum job_state s)
{
    check((unsigned)s < JOB_STATES);
    return state_finals[s];
}

int job_state_parse(const char *name)
{
    for (int i = 0; i < JOB_STATES; i++)
        if (strcmp(state_names[i], name) == 0)
            return i;
    return -1;
}

void store_job_columns(struct db_rows *r, struct job_row *out)
{
    *out = (struct job_row){0};
    out->id = db_column_text(r);
    out->kind = db_column_text(r);
    const char *state = db_column_text(r);
    int parsed = state ? job_state_parse(state) : -1;
    out->state = parsed < 0 ? JOB_DISCARDED : (enum job_state)parsed;      /* the table's CHECK allows no other */
    out->spec = db_column_text(r);
    out->spec_sha256 = db_column_text(r);
    out->result = db_column_text(r);
    out->errors = db_column_text(r);
    out->pipeline_id = db_column_text(r);
    out->step = db_column_text(r);
    out->needs = db_column_text(r);
    out->tags = db_column_text(r);
    out->priority = (int)db_column_i64(r);
    out->attempt = (int)db_column_i64(r);
    out->max_attempts = (int)db_column_i64(r);
    out->created_us = db_column_i64(r);
    out->run_at_us = db_column_i64(r);
    out->started_us = db_column_i64(r);
    out->finished_us = db_column_i64(r);
    out->worker = db_column_text(r);
    out->lease_expires_us = db_column_i64(r);
    out->checkpoint_us = db_column_i64(r);
    out->phase = db_column_text(r);
    out->unit = db_column_text(r);
    out->message = db_column_text(r);
    out->done = db_column_i64(r);
    out->total = db_column_i64(r);
    out->fraction = db_column_f64(r);
    out->rate_per_second = db_column_f64(r);
    out->cancel_requested = db_column_i64(r) != 0;
    out->run_build = db_column_text(r);
    out->run_threads = db_column_i64(r);
    out->queue = db_column_text(r);
    out->revision = db_column_i64(r);
    out->timeout_us = db_column_i64(r);
    out->outcome = db_column_text(r);
    out->forced = db_column_i64(r) != 0;
    out->traceparent = db_column_text(r);
    out->tracestate = db_column_text(r);
    out->cache_off = db_column_text(r) != NULL;
    out->reused_from = db_column_text(r);
    out->verify_of = db_column_text(r);
    out->verification = db_column_text(r);
}

/* All rows of a query into an arena array. */
static enum status collect(struct db_rows *r, struct arena *a, struct job_row **rows, size_t *n, struct error *e)
{
    size_t cap = 0;
    bool more;
    *rows = NULL;
    *n = 0;
    for (;;) {
        TRY(db_rows_next(r, &more, e));
        if (!more)
            return STATUS_OK;
        struct job_row *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        if (!bigger) {
            r->no_memory = true;
            continue;
        }
        *rows = bigger;
        store_job_columns(r, &(*rows)[(*n)++]);
    }
}

enum status store_jobs_query(struct db *db, struct arena *a, const char *sql, const struct db_value *values,
                             size_t n_values, struct job_row **rows, size_t *n, struct error *e)
{
    struct db_rows r;
    TRY(db_query_values(db, a, sql, values, n_values, &r, e));
    return collect(&r, a, rows, n, e);
}

enum status store_job_get(struct store *s, struct arena *a, const char *id, struct job_row *out, struct error *e)
{
    struct db *db;
    struct job_row *rows = NULL;
    size_t n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = store_jobs_query(db, a, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?1",
                                      (struct db_value[]){db_text(id)}, 1, &rows, &n, e);
    store_reader_release(s, db);
    TRY(st);
    if (n == 0)
        return error_set(e, STATUS_NOTFOUND, "there is no job %.60s", id);
    *out = rows[0];
    return STATUS_OK;
}

enum status store_job_reusable(struct store *s, struct arena *a, const char *cache_key, struct job_row *out, bool *found,
                               struct error *e)
{
    struct db *db;
    struct job_row *rows = NULL;
    size_t n = 0;
    *found = false;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = store_jobs_query(db, a,
                                      "SELECT " JOB_COLUMNS " FROM jobs WHERE cache_key = ?1 AND state = 'completed'"
                                      " AND reused_from IS NULL AND verify_of IS NULL ORDER BY id DESC LIMIT 1",
                                      (struct db_value[]){db_text(cache_key)}, 1, &rows, &n, e);
    store_reader_release(s, db);
    *found = st == STATUS_OK && n > 0;
    if (*found)
        *out = rows[0];
    return st;
}

enum status store_jobs_list(struct store *s, struct arena *a, const struct job_filter *filter, struct job_row **rows,
                            size_t *n, struct error *e)
{
    struct db *db;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = store_jobs_query(
        db, a,
        "SELECT " JOB_COLUMNS " FROM jobs WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR state = ?2)"
        " AND (?3 IS NULL OR pipeline_id = ?3) AND (?4 IS NULL OR id < ?4)"
        " AND (?5 IS NULL OR id IN (SELECT job_id FROM job_tags WHERE tag = ?5)) AND (?6 IS NULL OR queue = ?6)"
        " AND (?7 = 0 OR created_us > ?7) AND (?8 = 0 OR created_us <= ?8) ORDER BY id DESC LIMIT ?9",
        (struct db_value[]){db_text(filter->kind), db_text(filter->state), db_text(filter->pipeline_id),
                            db_text(filter->before), db_text(filter->tag), db_text(filter->queue),
                            db_i64(filter->created_after_us), db_i64(filter->created_before_us),
                            db_i64((int64_t)filter->limit)},
        9, rows, n, e);
    store_reader_release(s, db);
    return st;
}

static enum status collect_counts(struct db *db, struct arena *a, struct job_count **rows, size_t *n, struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(db_query_values(db, a, "SELECT kind, state, count(*) FROM jobs GROUP BY kind, state ORDER BY kind, state", NULL, 0,
                        &r, e));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct job_count *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        const char *kind = db_column_text(&r), *state = db_column_text(&r);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        (*rows)[(*n)++] = (struct job_count){kind, (enum job_state)job_state_parse(state), db_column_i64(&r)};
    }
}

enum status store_jobs_count(struct store *s, struct arena *a, struct job_count **rows, size_t *n, struct error *e)
{
    struct db *db;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = collect_counts(db, a, rows, n, e);
    store_reader_release(s, db);
    return st;
}

static enum status collect_metrics(struct db *db, struct arena *a, const char *job_id, const char *key,
                                   struct job_metric **rows, size_t *n, struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(DB_QUERY(db, a, &r, e,
                 "SELECT key, step, value FROM job_metrics WHERE job_id = ?1 AND (?2 IS NULL OR key = ?2)"
                 " ORDER BY key, step",
                 db_text(job_id), db_text(key)));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct job_metric *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        struct job_metric *m = &(*rows)[(*n)++];
        m->key = db_column_text(&r);
        m->step = db_column_i64(&r);
        m->value = db_column_f64(&r);
    }
}

enum status store_job_metrics(struct store *s, struct arena *a, const char *job_id, const char *key,
                              struct job_metric **rows, size_t *n, struct error *e)
{
    struct db *db;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = collect_metrics(db, a, job_id, key, rows, n, e);
    store_reader_release(s, db);
    return st;
}
