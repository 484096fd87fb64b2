/* server/store/jobs_watch.c
 *
 * What followers read: events in their order, lines that a job logged, the artifacts that it read. */
#include "server/store/jobs_rows.h"
#include "server/store/store_jobs.h"

#include <string.h>

/* ---- events -------------------------------------------------------------------------------------------------------- */

static enum status events_list(struct db *db, struct arena *a, const struct job_event_filter *f, struct job_event **rows,
                               size_t *n, struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(DB_QUERY(db, a, &r, e,
                 "SELECT seq, at_us, type, data FROM job_events WHERE job_id = ?1 AND seq > ?2"
                 " AND (?3 IS NULL OR type = ?3) ORDER BY seq LIMIT ?4",
                 db_text(f->job_id), db_i64(f->after), db_text(f->type), db_i64((int64_t)f->limit)));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct job_event *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        struct job_event *event = &(*rows)[(*n)++];
        event->seq = db_column_i64(&r);
        event->at_us = db_column_i64(&r);
        event->type = db_column_text(&r);
        event->data = db_column_text(&r);
    }
}

enum status store_job_events_list(struct store *s, struct arena *a, const struct job_event_filter *filter,
                                  struct job_event **rows, size_t *n, struct error *e)
{
    struct db *db;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = events_list(db, a, filter, rows, n, e);
    store_reader_release(s, db);
    return st;
}

struct lines {
    const char *id;
    const struct job_line *lines;
    size_t n;
};

static enum status lines_save(struct store *s, void *ctx, struct error *e)
{
    const struct lines *l = ctx;
    for (size_t i = 0; i < l->n; i++)
        TRY(DB_RUN(&s->writer, NULL, e, "INSERT INTO job_events (job_id, at_us, type, data) VALUES (?1, ?2, 'log', ?3)",
                   db_text(l->id), db_i64(l->lines[i].at_us), db_text(l->lines[i].data)));
    return DB_RUN(&s->writer, NULL, e,
                  "DELETE FROM job_events WHERE job_id = ?1 AND type = 'log' AND seq <= (SELECT seq FROM job_events"
                  " WHERE job_id = ?1 AND type = 'log' ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                  db_text(l->id), db_i64(STORE_LINES_MAX));
}

enum status store_job_lines_save(struct store *s, const char *id, const struct job_line *lines, size_t n, struct error *e)
{
    return store_write(s, lines_save, &(struct lines){id, lines, n}, e);
}

/* ---- inputs -------------------------------------------------------------------------------------------------------- */

static enum status inputs_list(struct db *db, struct arena *a, const char *job_id, struct job_input **rows, size_t *n,
                               struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(DB_QUERY(db, a, &r, e, "SELECT kind, ref, id, sha256 FROM job_inputs WHERE job_id = ?1 ORDER BY kind, ref",
                 db_text(job_id)));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct job_input *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        struct job_input *in = &(*rows)[(*n)++];
        in->kind = db_column_text(&r);
        in->ref = db_column_text(&r);
        in->id = db_column_text(&r);
        in->sha256 = db_column_text(&r);
    }
}

enum status store_job_inputs_list(struct store *s, struct arena *a, const char *job_id, struct job_input **rows, size_t *n,
                                  struct error *e)
{
    struct db *db;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = inputs_list(db, a, job_id, rows, n, e);
    store_reader_release(s, db);
    return st;
}

struct noted {
    const char *job_id;
    const struct job_input *in;
};

static enum status note_input(struct store *s, void *ctx, struct error *e)
{
    const struct noted *x = ctx;
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT OR REPLACE INTO job_inputs (job_id, kind, ref, id, sha256) VALUES (?1, ?2, ?3, ?4, ?5)",
                  db_text(x->job_id), db_text(x->in->kind), db_text(x->in->ref), db_text(x->in->id), db_text(x->in->sha256));
}

enum status store_job_input_note(struct store *s, const char *job_id, const struct job_input *in, struct error *e)
{
    struct db *db;
    int64_t known;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = DB_NUMBER(db, 0, &known, e,
                               "SELECT count(*) FROM job_inputs WHERE job_id = ?1 AND kind = ?2 AND ref = ?3 AND id = ?4",
                               db_text(job_id), db_text(in->kind), db_text(in->ref), db_text(in->id));
    store_reader_release(s, db);
    TRY(st);
    return known ? STATUS_OK : store_write(s, note_input, &(struct noted){job_id, in}, e);
}
