/* server/store/aliases.c
 *
 * Names that point at one version of a model, and every move of theirs. */
#include "server/store/store_private.h"

#include <string.h>

struct move {
    const char *name, *alias, *reason;
    int64_t version, expected_seq;                /* version 0: remove */
};

/* Digits are versions, and '@' separates a name from what stands behind it. */
static enum status check_alias(const char *alias, struct error *e)
{
    size_t n = strlen(alias);
    if (n == 0 || n > 64 || strchr(alias, '@') || alias[strspn(alias, "0123456789")] == '\0' || !text_is_clean(alias, n))
        return error_set(e, STATUS_ARGUMENT, "an alias has 1 to 64 bytes, no '@', and is not a number");
    return STATUS_OK;
}

static enum status check_seen(struct store *s, const struct move *m, struct error *e)
{
    int64_t last;
    TRY(DB_NUMBER(&s->writer, 0, &last, e, "SELECT max(seq) FROM alias_moves WHERE name = ?1 AND alias = ?2",
                  db_text(m->name), db_text(m->alias)));
    if (m->expected_seq < 0 || last == m->expected_seq)
        return STATUS_OK;
    return error_set(e, STATUS_CONFLICT, "alias %.64s of model %.60s was moved meanwhile", m->alias, m->name);
}

static enum status note(struct store *s, const struct move *m, struct error *e)
{
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT INTO alias_moves (name, alias, version, reason, at_us) VALUES (?1, ?2, nullif(?3, 0), ?4, ?5)",
                  db_text(m->name), db_text(m->alias), db_i64(m->version), db_text(m->reason), db_i64(time_unix_us()));
}

static enum status alias_set(struct store *s, void *ctx, struct error *e)
{
    const struct move *m = ctx;
    int64_t exists;
    TRY(DB_NUMBER(&s->writer, 0, &exists, e, "SELECT 1 FROM artifacts WHERE kind = 'model' AND name = ?1 AND version = ?2",
                  db_text(m->name), db_i64(m->version)));
    if (!exists)
        return error_set(e, STATUS_NOTFOUND, "model %.60s has no version %lld", m->name, (long long)m->version);
    TRY(check_seen(s, m, e));
    TRY(DB_RUN(&s->writer, NULL, e,
               "INSERT OR REPLACE INTO model_aliases (name, alias, version, moved_us) VALUES (?1, ?2, ?3, ?4)",
               db_text(m->name), db_text(m->alias), db_i64(m->version), db_i64(time_unix_us())));
    return note(s, m, e);
}

enum status store_model_alias_set(struct store *s, const char *name, const char *alias, int64_t version,
                                  const char *reason, int64_t expected_seq, struct error *e)
{
    struct move m = {name, alias, reason, version, expected_seq};
    TRY(check_alias(alias, e));
    return store_write(s, alias_set, &m, e);
}

static enum status alias_remove(struct store *s, void *ctx, struct error *e)
{
    const struct move *m = ctx;
    int64_t n_changed = 0;
    TRY(check_seen(s, m, e));
    TRY(DB_RUN(&s->writer, &n_changed, e, "DELETE FROM model_aliases WHERE name = ?1 AND alias = ?2", db_text(m->name),
               db_text(m->alias)));
    if (n_changed == 0)
        return error_set(e, STATUS_NOTFOUND, "model %.60s has no alias %.60s", m->name, m->alias);
    return note(s, m, e);
}

enum status store_model_alias_remove(struct store *s, const char *name, const char *alias, const char *reason,
                                     int64_t expected_seq, struct error *e)
{
    return store_write(s, alias_remove, &(struct move){name, alias, reason, 0, expected_seq}, e);
}

static void move_columns(void *ctx, struct db_rows *r, void *item)
{
    struct alias_move *m = item;
    (void)ctx;
    m->alias = db_column_text(r);
    m->version = db_column_i64(r);
    m->reason = db_column_text(r);
    m->seq = db_column_i64(r);
    m->at_us = db_column_i64(r);
}

enum status store_model_alias_moves(struct store *s, struct arena *a, const char *name, const char *alias, size_t limit,
                                    struct alias_move **rows, size_t *n, struct error *e)
{
    const struct db_value values[] = {db_text(name), db_text(alias), db_i64((int64_t)limit)};
    return store_select(s, a,
                        "SELECT alias, version, reason, seq, at_us FROM alias_moves"
                        " WHERE name = ?1 AND (?2 IS NULL OR alias = ?2) ORDER BY seq DESC LIMIT ?3",
                        values, ARRAY_LEN(values), sizeof **rows, move_columns, NULL, (void **)rows, n, e);
}
