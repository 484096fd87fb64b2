/* server/store/artifacts.c
 *
 * Published datasets, models and evaluations: what exists, and which model a reference means. */
#include "server/store/store_jobs.h"
#include "server/store/store_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ARTIFACT_COLUMNS "id, kind, name, version, job_id, sha256, created_us"

const char *store_kind_folder(const char *kind)
{
    static const char *const folders[][2] = {{"dataset", "datasets"}, {"model", "models"}, {"evaluation", "evaluations"},
                                             {"export", "exports"}, {"study", "studies"}};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (strcmp(folders[i][0], kind) == 0)
            return folders[i][1];
    return "others";
}

const char *store_artifact_folder(const struct store *s, struct arena *a, const char *kind, const char *id)
{
    return arena_printf(a, "%s/%s/%s", s->folder, store_kind_folder(kind), id);
}

static void artifact_columns(void *ctx, struct db_rows *r, void *item)
{
    const struct store *s = ctx;
    struct artifact_row *out = item;
    *out = (struct artifact_row){0};
    out->id = db_column_text(r);
    out->kind = db_column_text(r);
    out->name = db_column_text(r);
    out->version = db_column_i64(r);
    out->job_id = db_column_text(r);
    out->sha256 = db_column_text(r);
    out->created_us = db_column_i64(r);
    out->folder = r->no_memory ? NULL : store_artifact_folder(s, r->a, out->kind, out->id);
    r->no_memory |= !out->folder;
}

/* All rows of a query whose values are given; `sql` selects ARTIFACT_COLUMNS. */
static enum status query(struct store *s, struct arena *a, const char *sql, const struct db_value *values, size_t n_values,
                         struct artifact_row **rows, size_t *n, struct error *e)
{
    return store_select(s, a, sql, values, n_values, sizeof **rows, artifact_columns, s, (void **)rows, n, e);
}

/* The first row; *found false when there is none. */
static enum status query_one(struct store *s, struct arena *a, const char *sql, const struct db_value *values,
                             size_t n_values, struct artifact_row *out, bool *found, struct error *e)
{
    struct artifact_row *rows;
    size_t n;
    TRY(query(s, a, sql, values, n_values, &rows, &n, e));
    *found = n > 0;
    if (n > 0)
        *out = rows[0];
    return STATUS_OK;
}

enum status store_artifact_get(struct store *s, struct arena *a, const char *kind, const char *id,
                               struct artifact_row *out, struct error *e)
{
    bool found;
    TRY(query_one(s, a, "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE kind = ?1 AND id = ?2",
                  (struct db_value[]){db_text(kind), db_text(id)}, 2, out, &found, e));
    return found ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "there is no %s %.60s", kind, id);
}

enum status store_artifacts_list(struct store *s, struct arena *a, const char *kind, const char *name, const char *before,
                                 size_t limit, struct artifact_row **rows, size_t *n, struct error *e)
{
    return query(s, a,
                 "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR name = ?2)"
                 " AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4",
                 (struct db_value[]){db_text(kind), db_text(name), db_text(before), db_i64((int64_t)limit)}, 4, rows, n, e);
}

enum status store_evaluation_latest(struct store *s, struct arena *a, const char *model_version, struct artifact_row *out,
                                    struct error *e)
{
    bool found;
    TRY(query_one(s, a,
                  "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE kind = 'evaluation' AND name = ?1"
                  " ORDER BY created_us DESC, id DESC LIMIT 1",
                  (struct db_value[]){db_text(model_version)}, 1, out, &found, e));
    return found ? STATUS_OK
                 : error_set(e, STATUS_NOTFOUND, "there is no evaluation of model %.80s: run an evaluate job first",
                             model_version);
}

/* ---- models --------------------------------------------------------------------------------------------------------- */

/* 7 for "7", -1 for what is no version number. */
static int64_t version_number(const char *text)
{
    if (!*text || strlen(text) > 15)
        return -1;
    for (const char *c = text; *c; c++)
        if (!isdigit((unsigned char)*c))
            return -1;
    return strtoll(text, NULL, 10);
}

static enum status model_by_version(struct store *s, struct arena *a, const char *name, int64_t version,
                                    struct artifact_row *out, struct error *e)
{
    bool found;
    TRY(query_one(s, a, "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE kind = 'model' AND name = ?1 AND version = ?2",
                  (struct db_value[]){db_text(name), db_i64(version)}, 2, out, &found, e));
    return found ? STATUS_OK
                 : error_set(e, STATUS_NOTFOUND, "model %.60s has no version %lld", name, (long long)version);
}

static enum status model_by_alias(struct store *s, struct arena *a, const char *name, const char *alias,
                                  struct artifact_row *out, struct error *e)
{
    bool found;
    TRY(query_one(s, a,
                  "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE kind = 'model' AND name = ?1 AND version ="
                  " (SELECT version FROM model_aliases WHERE name = ?1 AND alias = ?2)",
                  (struct db_value[]){db_text(name), db_text(alias)}, 2, out, &found, e));
    return found ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "model %.60s has no alias %.60s", name, alias);
}

enum status store_model_resolve(struct store *s, struct arena *a, const char *ref, struct artifact_row *out,
                                struct error *e)
{
    const char *at = strrchr(ref, '@');
    if (at) {
        char *name = arena_strndup(a, ref, (size_t)(at - ref));
        if (!name)
            return error_set(e, STATUS_NOMEM, "no memory for a model's name");
        int64_t version = version_number(at + 1);
        return version >= 0 ? model_by_version(s, a, name, version, out, e) : model_by_alias(s, a, name, at + 1, out, e);
    }
    bool found;
    TRY(query_one(s, a,
                  "SELECT " ARTIFACT_COLUMNS " FROM artifacts WHERE kind = 'model' AND (name = ?1 OR id = ?1)"
                  " ORDER BY id = ?1 DESC, version DESC LIMIT 1",
                  (struct db_value[]){db_text(ref)}, 1, out, &found, e));
    return found ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "there is no model %.80s", ref);
}

struct naming {
    const char *name, *job_id;
    int64_t version;
};

static enum status version_reserve(struct store *s, void *ctx, struct error *e)
{
    struct naming *x = ctx;
    TRY(DB_RUN(&s->writer, NULL, e,
               "INSERT OR IGNORE INTO model_versions (name, version, job_id)"
               " VALUES (?1, (SELECT coalesce(max(version), 0) + 1 FROM model_versions WHERE name = ?1), ?2)",
               db_text(x->name), db_text(x->job_id)));
    return DB_NUMBER(&s->writer, 0, &x->version, e, "SELECT version FROM model_versions WHERE name = ?1 AND job_id = ?2",
                     db_text(x->name), db_text(x->job_id));
}

enum status store_model_version_reserve(struct store *s, const char *job_id, const char *name, int64_t *version,
                                        struct error *e)
{
    struct naming x = {.name = name, .job_id = job_id};
    enum status st = store_write(s, version_reserve, &x, e);
    *version = x.version;
    return st;
}
