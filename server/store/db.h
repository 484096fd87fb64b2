/* server/store/db.h
 *
 * One SQLite connection: prepared statements by their text, values to bind, rows to read, errors in our words.  SQLite is
 * included by this folder only.  A connection is used by one thread at a time; its owner (store.c) sees to that. */
#ifndef DLT_SERVER_STORE_DB_H
#define DLT_SERVER_STORE_DB_H

#include "core/base.h"

#include <sqlite3.h>

enum { DB_STATEMENTS_MAX = 256 };

struct db {
    sqlite3 *handle;
    struct { const char *sql; sqlite3_stmt *statement; } prepared[DB_STATEMENTS_MAX];
    size_t n_prepared;
};

/* A writer checkpoints, syncs every commit and waits for nobody; a reader can only read and never checkpoints. */
enum status db_open(const char *path, bool writer, struct db *db, struct error *e) MUST_USE;
void db_close(struct db *db);                     /* also one that db_open failed on */

/* Sets status and text from SQLite's answer `rc`; names of tables and SQL go to the log only. */
enum status db_error(struct db *db, int rc, const char *what, struct error *e);
/* One or more statements without values and rows. */
enum status db_exec(struct db *db, const char *sql, struct error *e) MUST_USE;

/* A value to bind; text and bytes must stay until the statement is done. */
struct db_value {
    enum { DB_NULL, DB_TEXT, DB_I64, DB_F64, DB_BLOB } type;
    union { const char *text; int64_t i64; double f64; struct span blob; };
};
static inline struct db_value db_text(const char *s)
{
    return s ? (struct db_value){.type = DB_TEXT, .text = s} : (struct db_value){.type = DB_NULL};
}
static inline struct db_value db_i64(int64_t v) { return (struct db_value){.type = DB_I64, .i64 = v}; }
static inline struct db_value db_f64(double v) { return (struct db_value){.type = DB_F64, .f64 = v}; }
static inline struct db_value db_blob(const void *p, size_t n)
{
    return (struct db_value){.type = DB_BLOB, .blob = {p, n}};
}

/* A statement under way.  Columns are read in their order; text is copied into `a`. */
struct db_rows {
    struct db *db;
    sqlite3_stmt *statement;
    struct arena *a;
    int column;
    bool no_memory;
};
/* Binds the values ?1, ?2, ...; `sql` is a literal: prepared statements are kept by its address. */
enum status db_query_values(struct db *db, struct arena *a, const char *sql, const struct db_value *values, size_t n,
                            struct db_rows *out, struct error *e) MUST_USE;
#define DB_QUERY(db, a, rows, e, sql, ...) \
    db_query_values(db, a, sql, (const struct db_value[]){__VA_ARGS__}, \
                    sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), rows, e)
/* The next row; *more false at the end.  On error and at the end the statement is released; else db_rows_end. */
enum status db_rows_next(struct db_rows *r, bool *more, struct error *e) MUST_USE;
void db_rows_end(struct db_rows *r);
const char *db_column_text(struct db_rows *r);    /* NULL for null */
int64_t db_column_i64(struct db_rows *r);         /* 0 for null */
double db_column_f64(struct db_rows *r);
struct span db_column_blob(struct db_rows *r);    /* until the next row */

/* All rows into an arena array of items of `size` bytes: read(ctx, r, item) takes a row's columns.  *items and *n are set also
 * when there is none. */
enum status db_rows_collect(struct db_rows *r, size_t size, void (*read)(void *ctx, struct db_rows *r, void *item),
                            void *ctx, void **items, size_t *n, struct error *e) MUST_USE;

/* Runs a statement that gives no rows; n_changed may be NULL. */
enum status db_run_values(struct db *db, const char *sql, const struct db_value *values, size_t n, int64_t *n_changed,
                          struct error *e) MUST_USE;
#define DB_RUN(db, n_changed, e, sql, ...) \
    db_run_values(db, sql, (const struct db_value[]){__VA_ARGS__}, \
                  sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), n_changed, e)

/* The single integer of a query, or `otherwise` when there is no row or it is null. */
enum status db_number_values(struct db *db, const char *sql, const struct db_value *values, size_t n, int64_t otherwise,
                             int64_t *out, struct error *e) MUST_USE;
#define DB_NUMBER(db, otherwise, out, e, sql, ...) \
    db_number_values(db, sql, (const struct db_value[]){__VA_ARGS__}, \
                     sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), otherwise, out, e)

/* Room for one more item of `size` bytes in an arena array that doubles; NULL without memory. */
void *db_grow(struct arena *a, void *items, size_t n, size_t *cap, size_t size);

#endif
