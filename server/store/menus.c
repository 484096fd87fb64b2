/* server/store/menus.c
 *
 * Trigger menus by name and revision; the one that is active. */
#include "server/store/store_private.h"

#define MENU_COLUMNS "name, revision, body, resolved, comment, created_us, activated_us, active"

struct menu_write {
    const char *name, *body, *comment, *resolved;
    int64_t revision;
};

static enum status insert(struct store *s, void *ctx, struct error *e)
{
    struct menu_write *m = ctx;
    TRY(DB_NUMBER(&s->writer, 1, &m->revision, e, "SELECT max(revision) + 1 FROM menus WHERE name = ?1", db_text(m->name)));
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT INTO menus (name, revision, body, comment, created_us) VALUES (?1, ?2, ?3, ?4, ?5)",
                  db_text(m->name), db_i64(m->revision), db_text(m->body), db_text(m->comment), db_i64(time_unix_us()));
}

enum status store_menu_insert(struct store *s, const char *name, const char *body, const char *comment, int64_t *revision,
                              struct error *e)
{
    struct menu_write m = {.name = name, .body = body, .comment = comment};
    enum status st = store_write(s, insert, &m, e);
    *revision = m.revision;
    return st;
}

static enum status activate(struct store *s, void *ctx, struct error *e)
{
    const struct menu_write *m = ctx;
    int64_t n_changed = 0;
    TRY(DB_RUN(&s->writer, NULL, e, "UPDATE menus SET active = 0 WHERE active = 1"));
    TRY(DB_RUN(&s->writer, &n_changed, e,
               "UPDATE menus SET active = 1, resolved = ?3, activated_us = ?4 WHERE name = ?1 AND revision = ?2",
               db_text(m->name), db_i64(m->revision), db_text(m->resolved), db_i64(time_unix_us())));
    if (n_changed == 0)
        return error_set(e, STATUS_NOTFOUND, "menu %.60s has no revision %lld", m->name, (long long)m->revision);
    return STATUS_OK;
}

enum status store_menu_activate(struct store *s, const char *name, int64_t revision, const char *resolved,
                                struct error *e)
{
    return store_write(s, activate, &(struct menu_write){.name = name, .revision = revision, .resolved = resolved}, e);
}

static enum status collect(struct db_rows *r, struct menu_row **rows, size_t *n, struct error *e)
{
    size_t cap = 0;
    bool more;
    for (;;) {
        TRY(db_rows_next(r, &more, e));
        if (!more)
            return STATUS_OK;
        struct menu_row *bigger = db_grow(r->a, *rows, *n, &cap, sizeof **rows);
        r->no_memory |= !bigger;
        if (r->no_memory)
            continue;
        *rows = bigger;
        struct menu_row *m = &(*rows)[(*n)++];
        m->name = db_column_text(r);
        m->revision = db_column_i64(r);
        m->body = db_column_text(r);
        m->resolved = db_column_text(r);
        m->comment = db_column_text(r);
        m->created_us = db_column_i64(r);
        m->activated_us = db_column_i64(r);
        m->active = db_column_i64(r) != 0;
    }
}

static enum status query(struct store *s, struct arena *a, const char *sql, const struct db_value *values, size_t n_values,
                         struct menu_row **rows, size_t *n, struct error *e)
{
    struct db *db;
    struct db_rows r;
    *rows = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = db_query_values(db, a, sql, values, n_values, &r, e);
    if (st == STATUS_OK)
        st = collect(&r, rows, n, e);
    store_reader_release(s, db);
    return st;
}

enum status store_menu_get(struct store *s, struct arena *a, const char *name, int64_t revision, struct menu_row *out,
                           struct error *e)
{
    struct menu_row *rows;
    size_t n;
    TRY(query(s, a, "SELECT " MENU_COLUMNS " FROM menus WHERE name = ?1 AND revision = ?2",
              (struct db_value[]){db_text(name), db_i64(revision)}, 2, &rows, &n, e));
    if (n == 0)
        return error_set(e, STATUS_NOTFOUND, "there is no menu %.60s with revision %lld", name, (long long)revision);
    *out = rows[0];
    return STATUS_OK;
}

enum status store_menus_list(struct store *s, struct arena *a, size_t limit, struct menu_row **rows, size_t *n,
                             struct error *e)
{
    return query(s, a, "SELECT " MENU_COLUMNS " FROM menus ORDER BY created_us DESC, name, revision DESC LIMIT ?1",
                 (struct db_value[]){db_i64((int64_t)limit)}, 1, rows, n, e);
}

enum status store_menu_active(struct store *s, struct arena *a, struct menu_row *out, struct error *e)
{
    struct menu_row *rows;
    size_t n;
    TRY(query(s, a, "SELECT " MENU_COLUMNS " FROM menus WHERE active = 1", NULL, 0, &rows, &n, e));
    if (n == 0)
        return error_set(e, STATUS_NOTFOUND, "no menu is active");
    *out = rows[0];
    return STATUS_OK;
}
