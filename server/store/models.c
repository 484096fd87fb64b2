/* server/store/models.c */
#include "server/store/models.h"

#include "server/store/store_private.h"

struct addition {
    const char *id, *name, *sha256;
    int64_t version;
};

/* A version's number belongs to a job; here the model's own id stands for it, and the artifact has none. */
static enum status add(struct store *s, void *ctx, struct error *e)
{
    struct addition *x = ctx;
    TRY(DB_RUN(&s->writer, NULL, e,
               "INSERT INTO model_versions (name, version, job_id)"
               " VALUES (?1, (SELECT coalesce(max(version), 0) + 1 FROM model_versions WHERE name = ?1), ?2)",
               db_text(x->name), db_text(x->id)));
    TRY(DB_NUMBER(&s->writer, 0, &x->version, e, "SELECT version FROM model_versions WHERE name = ?1 AND job_id = ?2",
                  db_text(x->name), db_text(x->id)));
    return DB_RUN(&s->writer, NULL, e,
                  "INSERT INTO artifacts (id, kind, name, version, job_id, sha256, created_us)"
                  " VALUES (?1, 'model', ?2, ?3, '', ?4, ?5)",
                  db_text(x->id), db_text(x->name), db_i64(x->version), db_text(x->sha256), db_i64(time_unix_us()));
}

enum status store_model_add(struct store *s, const char *id, const char *name, const char *sha256, int64_t *version,
                            struct error *e)
{
    struct addition x = {.id = id, .name = name, .sha256 = sha256};
    enum status st = store_write(s, add, &x, e);
    *version = x.version;
    return st;
}
