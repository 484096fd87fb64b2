/* server/store/keys.c
 *
 * Keys and the audit log. */
#include "server/store/store_private.h"

#define KEY_COLUMNS "id, name, sha256, scopes, rate_per_second, created_us, expires_us, revoked_us"

static enum status key_insert(struct store *s, void *ctx, struct error *e)
{
    const struct key_row *k = ctx;
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT INTO keys (id, name, sha256, scopes, rate_per_second, created_us, expires_us)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                  db_text(k->id), db_text(k->name), db_text(k->sha256), db_text(k->scopes),
                  k->rate_per_second > 0 ? db_f64(k->rate_per_second) : db_text(NULL), db_i64(k->created_us),
                  k->expires_us ? db_i64(k->expires_us) : db_text(NULL));
}

enum status store_key_insert(struct store *s, const struct key_row *key, struct error *e)
{
    return store_write(s, key_insert, (void *)(uintptr_t)key, e);
}

static enum status key_revoke(struct store *s, void *ctx, struct error *e)
{
    int64_t n_changed = 0;
    const char *id = ctx;
    TRY(DB_RUN(&s->writer, &n_changed, e, "UPDATE keys SET revoked_us = ?2 WHERE id = ?1 AND revoked_us IS NULL",
               db_text(id), db_i64(time_unix_us())));
    return n_changed ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "there is no key %.60s that is in force", id);
}

enum status store_key_revoke(struct store *s, const char *id, struct error *e)
{
    return store_write(s, key_revoke, (void *)(uintptr_t)id, e);
}

static void key_columns(void *ctx, struct db_rows *r, void *item)
{
    struct key_row *k = item;
    (void)ctx;
    k->id = db_column_text(r);
    k->name = db_column_text(r);
    k->sha256 = db_column_text(r);
    k->scopes = db_column_text(r);
    k->rate_per_second = db_column_f64(r);
    k->created_us = db_column_i64(r);
    k->expires_us = db_column_i64(r);
    k->revoked_us = db_column_i64(r);
}

enum status store_keys_list(struct store *s, struct arena *a, struct key_row **rows, size_t *n, struct error *e)
{
    return store_select(s, a, "SELECT " KEY_COLUMNS " FROM keys ORDER BY created_us DESC, id DESC", NULL, 0, sizeof **rows,
                        key_columns, NULL, (void **)rows, n, e);
}

/* ---- audit ------------------------------------------------------------------------------------------------------ */

static enum status audit_insert(struct store *s, void *ctx, struct error *e)
{
    const struct audit_row *a = ctx;
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT INTO audit (at_us, key_id, action, target, status, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                  db_i64(a->at_us), db_text(a->key_id), db_text(a->action), db_text(a->target), db_i64(a->status),
                  db_text(a->request_id));
}

enum status store_audit_insert(struct store *s, const struct audit_row *row, struct error *e)
{
    return store_write(s, audit_insert, (void *)(uintptr_t)row, e);
}

static void audit_columns(void *ctx, struct db_rows *r, void *item)
{
    struct audit_row *a = item;
    (void)ctx;
    a->seq = db_column_i64(r);
    a->at_us = db_column_i64(r);
    a->key_id = db_column_text(r);
    a->action = db_column_text(r);
    a->target = db_column_text(r);
    a->status = db_column_i64(r);
    a->request_id = db_column_text(r);
}

enum status store_audit_list(struct store *s, struct arena *a, int64_t before, size_t limit, struct audit_row **rows,
                             size_t *n, struct error *e)
{
    const struct db_value values[] = {db_i64(before), db_i64((int64_t)limit)};
    return store_select(s, a,
                        "SELECT seq, at_us, key_id, action, target, status, request_id FROM audit"
                        " WHERE ?1 = 0 OR seq < ?1 ORDER BY seq DESC LIMIT ?2",
                        values, ARRAY_LEN(values), sizeof **rows, audit_columns, NULL, (void **)rows, n, e);
}
