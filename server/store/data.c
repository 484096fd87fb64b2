/* server/store/data.c
 *
 * Uploads, dropped files, facts of artifacts: rows only, the files are their handlers' business. */
#include "server/store/data.h"

#include "server/store/store_private.h"

#include <string.h>

/* ---- facts ------------------------------------------------------------------------------------------------------- */

/* The first column of the first row as text; NULL without one. */
static enum status one_text(struct store *s, struct arena *a, const char *sql, const struct db_value *values, size_t n,
                            const char **out, struct error *e)
{
    struct db *db;
    struct db_rows r;
    bool more = false;
    *out = NULL;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = db_query_values(db, a, sql, values, n, &r, e);
    if (st == STATUS_OK)
        st = db_rows_next(&r, &more, e);
    if (st == STATUS_OK && more) {
        *out = db_column_text(&r);
        if (r.no_memory)
            st = error_set(e, STATUS_NOMEM, "no memory for a row");
        db_rows_end(&r);
    }
    store_reader_release(s, db);
    return st;
}

enum status store_facts_get(struct store *s, struct arena *a, const char *id, const char **out, struct error *e)
{
    return one_text(s, a, "SELECT facts FROM artifact_facts WHERE id = ?1", (struct db_value[]){db_text(id)}, 1, out, e);
}

struct pair {
    const char *id, *text;
};

static enum status facts_set(struct store *s, void *ctx, struct error *e)
{
    const struct pair *p = ctx;
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT OR REPLACE INTO artifact_facts (id, facts) SELECT ?1, ?2"
                  " WHERE EXISTS (SELECT 1 FROM artifacts WHERE id = ?1)", db_text(p->id), db_text(p->text));
}

enum status store_facts_set(struct store *s, const char *id, const char *facts, struct error *e)
{
    return store_write(s, facts_set, &(struct pair){id, facts}, e);
}

static enum status export_delete(struct store *s, void *ctx, struct error *e)
{
    const struct pair *p = ctx;
    int64_t n;
    TRY(DB_RUN(&s->writer, &n, e, "DELETE FROM artifacts WHERE kind = 'export' AND id = ?1", db_text(p->id)));
    return n > 0 ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "there is no export %.60s", p->id);
}

enum status store_export_delete(struct store *s, const char *id, struct error *e)
{
    return store_write(s, export_delete, &(struct pair){id, NULL}, e);
}

/* ---- uploads ----------------------------------------------------------------------------------------------------- */

#define UPLOAD_COLUMNS "name, id, sha256, received, coalesce(total, -1), created_us, changed_us"

static void upload_columns(struct db_rows *r, struct upload_row *out)
{
    out->name = db_column_text(r);
    out->id = db_column_text(r);
    out->sha256 = db_column_text(r);
    out->received = db_column_i64(r);
    out->total = db_column_i64(r);
    out->created_us = db_column_i64(r);
    out->changed_us = db_column_i64(r);
}

static enum status uploads_query(struct db *db, struct arena *a, const char *sql, const struct db_value *values,
                                 size_t n_values, struct upload_row **rows, size_t *n, struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    *rows = NULL;
    *n = 0;
    TRY(db_query_values(db, a, sql, values, n_values, &r, e));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct upload_row *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        upload_columns(&r, &(*rows)[(*n)++]);
    }
}

static enum status uploads_read(struct store *s, struct arena *a, const char *sql, const struct db_value *values,
                                size_t n_values, struct upload_row **rows, size_t *n, struct error *e)
{
    struct db *db;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = uploads_query(db, a, sql, values, n_values, rows, n, e);
    store_reader_release(s, db);
    return st;
}

enum status store_upload_get(struct store *s, struct arena *a, const char *name, struct upload_row *out, struct error *e)
{
    struct upload_row *rows;
    size_t n;
    TRY(uploads_read(s, a, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE name = ?1 OR id = ?1 ORDER BY name = ?1 DESC LIMIT 1",
                     (struct db_value[]){db_text(name)}, 1, &rows, &n, e));
    if (n == 0)
        return error_set(e, STATUS_NOTFOUND, "there is no upload %.80s", name);
    *out = rows[0];
    return STATUS_OK;
}

enum status store_uploads_list(struct store *s, struct arena *a, const char *after, size_t limit, struct upload_row **rows,
                               size_t *n, struct error *e)
{
    return uploads_read(s, a, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE (?1 IS NULL OR name > ?1) ORDER BY name LIMIT ?2",
                        (struct db_value[]){db_text(after), db_i64((int64_t)limit)}, 2, rows, n, e);
}

struct begin {
    struct arena *a;
    const char *name;
    struct upload_row *out;
};

static enum status upload_begin(struct store *s, void *ctx, struct error *e)
{
    const struct begin *b = ctx;
    struct upload_row *rows;
    size_t n;
    char id[40];
    int64_t complete, now = time_unix_us();
    TRY(DB_NUMBER(&s->writer, 0, &complete, e, "SELECT 1 FROM uploads WHERE name = ?1 AND sha256 IS NOT NULL",
                  db_text(b->name)));
    const char *name = complete ? arena_printf(b->a, "%s\x01", b->name) : b->name;
    if (!name)
        return error_set(e, STATUS_NOMEM, "no memory for a name");
    store_new_id("up", id);
    TRY(DB_RUN(&s->writer, NULL, e,
               "INSERT OR IGNORE INTO uploads (name, id, created_us, changed_us) VALUES (?1, ?2, ?3, ?3)", db_text(name),
               db_text(id), db_i64(now)));
    TRY(uploads_query(&s->writer, b->a, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE name = ?1",
                      (struct db_value[]){db_text(name)}, 1, &rows, &n, e));
    if (n != 1)
        return error_set(e, STATUS_BUG, "an upload that was made is not there");
    *b->out = rows[0];
    return STATUS_OK;
}

enum status store_upload_begin(struct store *s, struct arena *a, const char *name, struct upload_row *out, struct error *e)
{
    return store_write(s, upload_begin, &(struct begin){a, name, out}, e);
}

static enum status upload_set(struct store *s, void *ctx, struct error *e)
{
    const struct upload_row *u = ctx;
    int64_t n;
    TRY(DB_RUN(&s->writer, &n, e,
               "UPDATE uploads SET received = ?2, total = ?3, changed_us = ?4 WHERE id = ?1 AND sha256 IS NULL",
               db_text(u->id), db_i64(u->received), u->total >= 0 ? db_i64(u->total) : db_text(NULL),
               db_i64(time_unix_us())));
    return n > 0 ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "the upload was deleted meanwhile");
}

enum status store_upload_set(struct store *s, const char *id, int64_t received, int64_t total, struct error *e)
{
    return store_write(s, upload_set, &(struct upload_row){.id = id, .received = received, .total = total}, e);
}

struct completion {
    struct arena *a;
    const char *id, *sha256, **old;
};

static enum status upload_complete(struct store *s, void *ctx, struct error *e)
{
    struct completion *c = ctx;
    struct upload_row *rows, *before;
    size_t n, n_before;
    int64_t others;
    *c->old = NULL;
    TRY(uploads_query(&s->writer, c->a, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE id = ?1 AND sha256 IS NULL",
                      (struct db_value[]){db_text(c->id)}, 1, &rows, &n, e));
    if (n == 0)
        return error_set(e, STATUS_NOTFOUND, "the upload was deleted meanwhile");
    size_t len = strlen(rows[0].name);
    bool replaces = len > 0 && rows[0].name[len - 1] == '\x01';
    char *name = arena_strndup(c->a, rows[0].name, replaces ? len - 1 : len);
    if (!name)
        return error_set(e, STATUS_NOMEM, "no memory for a name");
    TRY(uploads_query(&s->writer, c->a, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE name = ?1 AND id <> ?2",
                      (struct db_value[]){db_text(name), db_text(c->id)}, 2, &before, &n_before, e));
    TRY(DB_RUN(&s->writer, NULL, e, "DELETE FROM uploads WHERE name = ?1 AND id <> ?2", db_text(name), db_text(c->id)));
    TRY(DB_RUN(&s->writer, NULL, e,
               "UPDATE uploads SET name = ?2, sha256 = ?3, total = received, changed_us = ?4 WHERE id = ?1", db_text(c->id),
               db_text(name), db_text(c->sha256), db_i64(time_unix_us())));
    if (n_before == 0 || !before[0].sha256)
        return STATUS_OK;
    TRY(DB_NUMBER(&s->writer, 0, &others, e, "SELECT count(*) FROM uploads WHERE sha256 = ?1", db_text(before[0].sha256)));
    *c->old = others ? NULL : before[0].sha256;
    return STATUS_OK;
}

enum status store_upload_complete(struct store *s, struct arena *a, const char *id, const char *sha256, const char **old,
                                  struct error *e)
{
    return store_write(s, upload_complete, &(struct completion){a, id, sha256, old}, e);
}

struct upload_deletion {
    const struct upload_row *row;
    bool *unused;
};

static enum status upload_delete(struct store *s, void *ctx, struct error *e)
{
    const struct upload_deletion *d = ctx;
    int64_t n;
    TRY(DB_NUMBER(&s->writer, 0, &n, e,
                  "SELECT count(*) FROM jobs WHERE state NOT IN ('completed', 'cancelled', 'discarded')"
                  " AND (instr(spec, 'upload:' || ?1) > 0 OR instr(spec, 'upload:' || ?2) > 0)",
                  db_text(d->row->name), db_text(d->row->id)));
    if (n > 0)
        return error_set(e, STATUS_CONFLICT, "upload %.80s is needed by %lld unfinished job%s", d->row->name, (long long)n,
                         n == 1 ? "" : "s");
    TRY(DB_RUN(&s->writer, &n, e, "DELETE FROM uploads WHERE id = ?1", db_text(d->row->id)));
    if (n == 0)
        return error_set(e, STATUS_NOTFOUND, "there is no upload %.80s", d->row->name);
    TRY(DB_NUMBER(&s->writer, 0, &n, e, "SELECT count(*) FROM uploads WHERE sha256 = ?1", db_text(d->row->sha256)));
    *d->unused = !d->row->sha256 || n == 0;
    return STATUS_OK;
}

enum status store_upload_delete(struct store *s, const struct upload_row *row, bool *unused, struct error *e)
{
    return store_write(s, upload_delete, &(struct upload_deletion){row, unused}, e);
}

enum status store_uploads_bytes(struct store *s, int64_t *out, struct error *e)
{
    struct db *db;
    *out = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = db_number_values(db,
                                      "SELECT coalesce(sum(n), 0) FROM (SELECT max(received) AS n FROM uploads"
                                      " GROUP BY coalesce(sha256, id))", NULL, 0, 0, out, e);
    store_reader_release(s, db);
    return st;
}

struct expiry {
    struct arena *a;
    int64_t before_us;
    const char ***ids;
    size_t *n;
};

static enum status expire(struct store *s, void *ctx, struct error *e)
{
    const struct expiry *x = ctx;
    struct upload_row *rows;
    TRY(uploads_query(&s->writer, x->a, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE sha256 IS NULL AND changed_us < ?1",
                      (struct db_value[]){db_i64(x->before_us)}, 1, &rows, x->n, e));
    *x->ids = ARENA_NEW(x->a, const char *, *x->n);
    if (!*x->ids)
        return error_set(e, STATUS_NOMEM, "no memory for uploads");
    for (size_t i = 0; i < *x->n; i++)
        (*x->ids)[i] = rows[i].id;
    return DB_RUN(&s->writer, NULL, e, "DELETE FROM uploads WHERE sha256 IS NULL AND changed_us < ?1", db_i64(x->before_us));
}

enum status store_uploads_expire(struct store *s, struct arena *a, int64_t before_us, const char ***ids, size_t *n,
                                 struct error *e)
{
    *n = 0;
    return store_write(s, expire, &(struct expiry){a, before_us, ids, n}, e);
}

/* ---- dropped files ----------------------------------------------------------------------------------------------- */

enum status store_dropped_known(struct store *s, const char *path, int64_t bytes, int64_t mtime_ns, bool *out,
                                struct error *e)
{
    struct db *db;
    int64_t n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = DB_NUMBER(db, 0, &n, e,
                               "SELECT count(*) FROM dropped_files WHERE path = ?1 AND bytes = ?2 AND mtime_ns = ?3",
                               db_text(path), db_i64(bytes), db_i64(mtime_ns));
    store_reader_release(s, db);
    *out = n > 0;
    return st;
}

static enum status dropped_insert(struct store *s, void *ctx, struct error *e)
{
    const struct dropped_file *f = ctx;
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT OR REPLACE INTO dropped_files (path, bytes, mtime_ns, label, job_id, error, seen_us)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", db_text(f->path), db_i64(f->bytes), db_i64(f->mtime_ns),
                  db_text(f->label), db_text(f->job_id), db_text(f->error), db_i64(time_unix_us()));
}

enum status store_dropped_insert(struct store *s, const struct dropped_file *file, struct error *e)
{
    return store_write(s, dropped_insert, (void *)(uintptr_t)file, e);
}

static enum status dropped_rows(struct db *db, struct arena *a, size_t limit, struct dropped_file **rows, size_t *n,
                                struct error *e)
{
    struct db_rows r;
    size_t cap = 0;
    bool more;
    TRY(DB_QUERY(db, a, &r, e,
                 "SELECT path, label, job_id, error, bytes, mtime_ns, seen_us FROM dropped_files"
                 " ORDER BY seen_us DESC LIMIT ?1", db_i64((int64_t)limit)));
    for (;;) {
        TRY(db_rows_next(&r, &more, e));
        if (!more)
            return STATUS_OK;
        struct dropped_file *bigger = db_grow(a, *rows, *n, &cap, sizeof **rows);
        r.no_memory |= !bigger;
        if (r.no_memory)
            continue;
        *rows = bigger;
        struct dropped_file *f = &(*rows)[(*n)++];
        f->path = db_column_text(&r);
        f->label = db_column_text(&r);
        f->job_id = db_column_text(&r);
        f->error = db_column_text(&r);
        f->bytes = db_column_i64(&r);
        f->mtime_ns = db_column_i64(&r);
        f->seen_us = db_column_i64(&r);
    }
}

enum status store_dropped_list(struct store *s, struct arena *a, size_t limit, struct dropped_file **rows, size_t *n,
                               struct error *e)
{
    struct db *db;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = dropped_rows(db, a, limit, rows, n, e);
    store_reader_release(s, db);
    return st;
}
