/* server/store/db.c
 *
 * SQLite, behind five verbs. */
#include "server/store/db.h"

#include <string.h>

enum { BUSY_MS = 10000 };

/* ---- connection --------------------------------------------------------------------------------------------- */

enum status db_error(struct db *db, int rc, const char *what, struct error *e)
{
    enum status s;
    switch (rc & 0xff) {                          /* the primary code; the rest says more of the same */
    case SQLITE_FULL: s = STATUS_NOSPACE; break;
    case SQLITE_NOMEM: s = STATUS_NOMEM; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: s = STATUS_BUSY; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: s = STATUS_FORMAT; break;
    case SQLITE_CONSTRAINT: s = STATUS_CONFLICT; break;
    case SQLITE_TOOBIG: s = STATUS_RANGE; break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: s = STATUS_IO; break;
    default: s = STATUS_BUG; break;
    }
    const char *detail = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
    log_line(s == STATUS_CONFLICT ? LOG_DEBUG : LOG_ERROR, "store: %s: %s (SQLite %d)", what, detail, rc);
    if (s == STATUS_FORMAT)
        return error_set(e, s, "%s: the data base is damaged (%s): restore it from a backup", what, sqlite3_errstr(rc));
    return error_set(e, s, "%s: %s", what, sqlite3_errstr(rc));
}

enum status db_exec(struct db *db, const char *sql, struct error *e)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? STATUS_OK : db_error(db, rc, "data base", e);
}

/* WAL must really be on: some file systems cannot, and a rollback journal would let readers block the writer. */
static enum status use_wal(struct db *db, struct error *e)
{
    struct arena a;
    struct db_rows rows;
    bool more = false;
    arena_init(&a, 1 << 16);
    enum status s = db_query_values(db, &a, "PRAGMA journal_mode=WAL", NULL, 0, &rows, e);
    if (s == STATUS_OK)
        s = db_rows_next(&rows, &more, e);
    if (s == STATUS_OK && more) {
        const char *mode = db_column_text(&rows);
        if (!mode || strcmp(mode, "wal") != 0)
            s = error_set(e, STATUS_UNSUPPORTED, "this file system cannot hold a write-ahead log (journal mode %s)",
                          mode ? mode : "unknown");
        db_rows_end(&rows);
    }
    arena_fini(&a);
    return s;
}

enum status db_open(const char *path, bool writer, struct db *db, struct error *e)
{
    *db = (struct db){0};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (writer ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(path, &db->handle, flags, NULL);
    if (rc != SQLITE_OK)
        return db_error(db, rc, "opening the data base", e);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    if (!writer) {
        /* Only the writer checkpoints: Debian's 3.40.1 is in the range of the WAL-reset bug, which needs two. */
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
        return db_exec(db, "PRAGMA query_only=1; PRAGMA wal_autocheckpoint=0;", e);
    }
    TRY(use_wal(db, e));
    /* FULL: with NORMAL a power cut takes acknowledged commits with it. */
    return db_exec(db, "PRAGMA synchronous=FULL; PRAGMA foreign_keys=1; PRAGMA wal_autocheckpoint=1000;"
                       "PRAGMA temp_store=MEMORY;", e);
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < db->n_prepared; i++)
        sqlite3_finalize(db->prepared[i].statement);
    if (db->handle)
        sqlite3_close(db->handle);
    *db = (struct db){0};
}

/* ---- statements ----------------------------------------------------------------------------------------------- */

static enum status prepare(struct db *db, const char *sql, sqlite3_stmt **out, struct error *e)
{
    for (size_t i = 0; i < db->n_prepared; i++)
        if (db->prepared[i].sql == sql) {
            *out = db->prepared[i].statement;
            return STATUS_OK;
        }
    check(db->n_prepared < DB_STATEMENTS_MAX);
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
    if (rc != SQLITE_OK)
        return db_error(db, rc, "data base", e);
    db->prepared[db->n_prepared].sql = sql;
    db->prepared[db->n_prepared++].statement = *out;
    return STATUS_OK;
}

static int bind(sqlite3_stmt *statement, int i, const struct db_value *v)
{
    switch (v->type) {
    case DB_NULL: return sqlite3_bind_null(statement, i);
    case DB_TEXT: return sqlite3_bind_text(statement, i, v->text, -1, SQLITE_STATIC);
    case DB_I64: return sqlite3_bind_int64(statement, i, v->i64);
    case DB_F64: return sqlite3_bind_double(statement, i, v->f64);
    case DB_BLOB:
        if (v->blob.len == 0)
            return sqlite3_bind_zeroblob(statement, i, 0);
        return sqlite3_bind_blob64(statement, i, v->blob.data, v->blob.len, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

enum status db_query_values(struct db *db, struct arena *a, const char *sql, const struct db_value *values, size_t n,
                            struct db_rows *out, struct error *e)
{
    *out = (struct db_rows){.db = db, .a = a};
    TRY(prepare(db, sql, &out->statement, e));
    for (size_t i = 0; i < n; i++) {
        int rc = bind(out->statement, (int)i + 1, &values[i]);
        if (rc != SQLITE_OK) {
            enum status s = db_error(db, rc, "data base", e);
            db_rows_end(out);
            return s;
        }
    }
    return STATUS_OK;
}

enum status db_rows_next(struct db_rows *r, bool *more, struct error *e)
{
    *more = false;
    if (r->no_memory) {
        db_rows_end(r);
        return error_set(e, STATUS_NOMEM, "no memory for a row of the data base");
    }
    int rc = sqlite3_step(r->statement);
    r->column = 0;
    *more = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW)
        return STATUS_OK;
    enum status s = rc == SQLITE_DONE ? STATUS_OK : db_error(r->db, rc, "data base", e);
    db_rows_end(r);
    return s;
}

void db_rows_end(struct db_rows *r)
{
    if (r->statement) {
        sqlite3_reset(r->statement);
        sqlite3_clear_bindings(r->statement);
    }
    r->statement = NULL;
}

const char *db_column_text(struct db_rows *r)
{
    int i = r->column++;
    if (sqlite3_column_type(r->statement, i) == SQLITE_NULL)
        return NULL;
    const char *s = (const char *)sqlite3_column_text(r->statement, i);
    char *copy = s ? arena_strndup(r->a, s, (size_t)sqlite3_column_bytes(r->statement, i)) : NULL;
    r->no_memory |= !copy;
    return copy;
}

int64_t db_column_i64(struct db_rows *r) { return sqlite3_column_int64(r->statement, r->column++); }
double db_column_f64(struct db_rows *r) { return sqlite3_column_double(r->statement, r->column++); }

struct span db_column_blob(struct db_rows *r)
{
    int i = r->column++;
    const void *data = sqlite3_column_blob(r->statement, i);
    return (struct span){data, data ? (size_t)sqlite3_column_bytes(r->statement, i) : 0};
}

enum status db_run_values(struct db *db, const char *sql, const struct db_value *values, size_t n, int64_t *n_changed,
                          struct error *e)
{
    struct db_rows rows;
    bool more;
    TRY(db_query_values(db, NULL, sql, values, n, &rows, e));
    do
        TRY(db_rows_next(&rows, &more, e));
    while (more);
    if (n_changed)
        *n_changed = sqlite3_changes64(db->handle);
    return STATUS_OK;
}

enum status db_number_values(struct db *db, const char *sql, const struct db_value *values, size_t n, int64_t otherwise,
                             int64_t *out, struct error *e)
{
    struct db_rows rows;
    bool more;
    *out = otherwise;
    TRY(db_query_values(db, NULL, sql, values, n, &rows, e));
    TRY(db_rows_next(&rows, &more, e));
    if (more && sqlite3_column_type(rows.statement, 0) != SQLITE_NULL)
        *out = db_column_i64(&rows);
    db_rows_end(&rows);
    return STATUS_OK;
}

void *db_grow(struct arena *a, void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    size_t more = *cap ? 2 * *cap : 16;
    void *bigger = arena_alloc(a, more, size);
    if (bigger && n > 0)
        memcpy(bigger, items, n * size);
    *cap = bigger ? more : *cap;
    return bigger;
}

enum status db_rows_collect(struct db_rows *r, size_t size, void (*read)(void *ctx, struct db_rows *r, void *item),
                            void *ctx, void **items, size_t *n, struct error *e)
{
    size_t cap = 0;
    bool more;
    *items = NULL;
    *n = 0;
    for (;;) {
        TRY(db_rows_next(r, &more, e));
        if (!more)
            return STATUS_OK;
        void *bigger = db_grow(r->a, *items, *n, &cap, size);
        r->no_memory |= !bigger;
        if (r->no_memory)
            continue;
        *items = bigger;
        read(ctx, r, (char *)bigger + (*n)++ * size);
    }
}
