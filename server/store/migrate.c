/* server/store/migrate.c
 *
 * Numbered migrations, forward only.  PRAGMA user_version says how far a data base is; it changes in the same
 * transaction as what the file does, so a crash leaves either the one or the other. */
#include "server/store/store_private.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* What PRAGMA application_id says in files of ours: "DLTR". */
#define APPLICATION_ID 0x444C5452

/* 12 for ".../0012_name.sql", else 0. */
static int migration_number(const char *path)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t len = strlen(name);
    if (len < 9 || strcmp(name + len - 4, ".sql") != 0 || name[4] != '_')
        return 0;
    for (size_t i = 0; i < 4; i++)
        if (!isdigit((unsigned char)name[i]))
            return 0;
    return atoi(name);
}

static const struct embedded_file *migration_find(const struct embedded_file *files, size_t n, int number)
{
    for (size_t i = 0; i < n; i++)
        if (migration_number(files[i].name) == number)
            return &files[i];
    return NULL;
}

static enum status pragma_number(struct db *db, const char *sql, int64_t *out, struct error *e)
{
    return db_number_values(db, sql, NULL, 0, 0, out, e);
}

/* A new file, one of ours, or somebody else's? */
static enum status check_owner(struct db *db, int64_t version, struct error *e)
{
    int64_t application, n_tables;
    TRY(pragma_number(db, "PRAGMA application_id", &application, e));
    TRY(pragma_number(db, "SELECT count(*) FROM sqlite_schema", &n_tables, e));
    if (application == APPLICATION_ID || (version == 0 && application == 0 && n_tables == 0))
        return STATUS_OK;
    return error_set(e, STATUS_FORMAT, "dltrigger.db is a data base of another program");
}

static enum status apply(struct db *db, const struct embedded_file *file, int number, struct error *e)
{
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", APPLICATION_ID, number);
    TRY(db_exec(db, "BEGIN IMMEDIATE", e));
    enum status s = db_exec(db, (const char *)file->data, e);
    if (s == STATUS_OK)
        s = db_exec(db, mark, e);
    if (s == STATUS_OK)
        return s;
    struct error ignored;
    if (!sqlite3_get_autocommit(db->handle))
        (void)!db_exec(db, "ROLLBACK", &ignored);
    return error_wrap(e, "migration %s", file->name);
}

enum status store_migrate(struct db *db, const struct embedded_file *files, size_t n_files, int *version,
                          struct error *e)
{
    int64_t now;
    int newest = 0;
    while (migration_find(files, n_files, newest + 1))
        newest++;
    TRY(pragma_number(db, "PRAGMA user_version", &now, e));
    TRY(check_owner(db, now, e));
    if (now > newest)
        return error_set(e, STATUS_UNSUPPORTED,
                         "dltrigger.db has schema %lld, this build knows schemas up to %d: use the newer dltrigger",
                         (long long)now, newest);
    for (int number = (int)now + 1; number <= newest; number++) {
        const struct embedded_file *file = migration_find(files, n_files, number);
        check(file);                              /* `newest` is where the numbers end */
        TRY(apply(db, file, number, e));
        if (now > 0)
            log_line(LOG_INFO, "store: schema %d", number);
    }
    *version = newest;
    return STATUS_OK;
}
