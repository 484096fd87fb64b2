/* server/store/menus.c
 *
 * Trigger menus by name and revision; the one that is active. */
#include "server/store/store_private.h"

#define MENU_COLUMNS "name, revision, body, resolved, comment, created_us, activated_us, active, rowid"

struct menu_write {
    const char *name, *body, *comment, *resolved;
    int64_t revision;
    const struct menu_activation *change;
    int64_t expected_seq, seq;
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
    struct menu_write *m = ctx;
    const struct menu_activation *c = m->change;
    int64_t n_changed = 0, last, now_us = time_unix_us();
    TRY(DB_NUMBER(&s->writer, 0, &last, e, "SELECT max(seq) FROM menu_activations"));
    if (m->expected_seq >= 0 && last != m->expected_seq)
        return error_set(e, STATUS_CONFLICT, "the active menu changed meanwhile (change %lld, not %lld)", (long long)last,
                         (long long)m->expected_seq);
    TRY(DB_RUN(&s->writer, NULL, e, "UPDATE menus SET active = 0 WHERE active = 1"));
    TRY(DB_RUN(&s->writer, &n_changed, e,
               "UPDATE menus SET active = 1, resolved = ?3, activated_us = ?4 WHERE name = ?1 AND revision = ?2",
               db_text(c->name), db_i64(c->revision), db_text(m->resolved), db_i64(now_us)));
    if (n_changed == 0)
        return error_set(e, STATUS_NOTFOUND, "menu %.60s has no revision %lld", c->name, (long long)c->revision);
    return DB_NUMBER(&s->writer, 0, &m->seq, e,
                     "INSERT INTO menu_activations (name, revision, prescale_column, action, reason, at_us)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING seq",
                     db_text(c->name), db_i64(c->revision), db_text(c->column), db_text(c->action), db_text(c->reason),
                     db_i64(now_us));
}

enum status store_menu_activate(struct store *s, const struct menu_activation *change, int64_t expected_seq,
                                const char *resolved, int64_t *seq, struct error *e)
{
    struct menu_write m = {.change = change, .resolved = resolved, .expected_seq = expected_seq};
    enum status st = store_write(s, activate, &m, e);
    *seq = m.seq;
    return st;
}

static void activation_columns(void *ctx, struct db_rows *r, void *item)
{
    struct menu_activation *c = item;
    (void)ctx;
    c->seq = db_column_i64(r);
    c->name = db_column_text(r);
    c->revision = db_column_i64(r);
    c->column = db_column_text(r);
    c->action = db_column_text(r);
    c->reason = db_column_text(r);
    c->at_us = db_column_i64(r);
}

enum status store_menu_activations(struct store *s, struct arena *a, size_t limit, struct menu_activation **rows,
                                   size_t *n, struct error *e)
{
    const struct db_value values[] = {db_i64((int64_t)limit)};
    return store_select(s, a,
                        "SELECT seq, name, revision, prescale_column, action, reason, at_us"
                        " FROM menu_activations ORDER BY seq DESC LIMIT ?1",
                        values, ARRAY_LEN(values), sizeof **rows, activation_columns, NULL, (void **)rows, n, e);
}

static void menu_columns(void *ctx, struct db_rows *r, void *item)
{
    struct menu_row *m = item;
    (void)ctx;
    m->name = db_column_text(r);
    m->revision = db_column_i64(r);
    m->body = db_column_text(r);
    m->resolved = db_column_text(r);
    m->comment = db_column_text(r);
    m->created_us = db_column_i64(r);
    m->activated_us = db_column_i64(r);
    m->active = db_column_i64(r) != 0;
    m->id = db_column_i64(r);
}

static enum status query(struct store *s, struct arena *a, const char *sql, const struct db_value *values, size_t n_values,
                         struct menu_row **rows, size_t *n, struct error *e)
{
    return store_select(s, a, sql, values, n_values, sizeof **rows, menu_columns, NULL, (void **)rows, n, e);
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

enum status store_menus_list(struct store *s, struct arena *a, int64_t before, size_t limit, struct menu_row **rows,
                             size_t *n, struct error *e)
{
    return query(s, a,
                 "SELECT " MENU_COLUMNS " FROM menus WHERE ?1 = 0 OR rowid < ?1 ORDER BY rowid DESC LIMIT ?2",
                 (struct db_value[]){db_i64(before), db_i64((int64_t)limit)}, 2, rows, n, e);
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
