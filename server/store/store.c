/* server/store/store.c
 *
 * Opening and closing: the lock of the data folder, the writer, the readers. */
#include "server/store/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- lock of the folder ------------------------------------------------------------------------------------- */

static enum status lock_taken(int fd, const char *folder, struct error *e)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return error_set(e, STATUS_CONFLICT, "%s is in use by process %ld", folder, pid);
    return error_set(e, STATUS_CONFLICT, "%s is in use by another process", folder);
}

/* The kernel drops the lock with the process, however it ends. */
static enum status lock_folder(struct store *s, struct error *e)
{
    char path[PATH_MAX], text[32];
    if ((size_t)snprintf(path, sizeof path, "%s/lock", s->folder) >= sizeof path)
        return error_set(e, STATUS_ARGUMENT, "the path of the data folder is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(e, "%s: opening lock", s->folder);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        enum status st = errno == EWOULDBLOCK ? lock_taken(fd, s->folder, e) : error_errno(e, "%s: locking", s->folder);
        close(fd);
        return st;
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        enum status st = error_errno(e, "%s: writing lock", s->folder);
        close(fd);
        return st;
    }
    s->lock_fd = fd;
    return STATUS_OK;
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

static char *text_of(const char *s)
{
    char *copy = mem_alloc(strlen(s) + 1);
    return copy ? strcpy(copy, s) : NULL;
}

static enum status set_paths(struct store *s, const char *data_dir, struct error *e)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    TRY(file_make_folder(data_dir, e));
    if (!realpath(data_dir, folder))
        return error_errno(e, "%s", data_dir);
    snprintf(path, sizeof path, "%s/dltrigger.db", folder);
    s->folder = text_of(folder);
    s->db_path = text_of(path);
    return s->folder && s->db_path ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for the store");
}

static enum status check_pages(struct db *db, struct error *e)
{
    struct arena a;
    struct db_rows rows;
    bool more;
    arena_init(&a, 1 << 16);
    enum status st = db_query_values(db, &a, "PRAGMA quick_check(1)", NULL, 0, &rows, e);
    if (st == STATUS_OK)
        st = db_rows_next(&rows, &more, e);
    if (st == STATUS_OK && more) {
        const char *answer = db_column_text(&rows);
        if (!answer || strcmp(answer, "ok") != 0) {
            log_line(LOG_ERROR, "store: quick check: %s", answer ? answer : "no answer");
            st = error_set(e, STATUS_FORMAT, "the data base is damaged: restore it from a backup");
        }
        db_rows_end(&rows);
    }
    arena_fini(&a);
    return st;
}

/* An empty file is a new data base to SQLite.  In a folder that has been worked in, it is one that was lost. */
static enum status check_not_lost(const struct store *s, struct error *e)
{
    static const char *const folders[] = {"work", "datasets", "models", "evaluations"};
    char path[PATH_MAX + 16];
    struct stat st;
    if (stat(s->db_path, &st) == 0 && st.st_size > 0)
        return STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        snprintf(path, sizeof path, "%s/%s", s->folder, folders[i]);
        if (stat(path, &st) == 0)
            return error_set(e, STATUS_FORMAT,
                             "dltrigger.db is missing or empty, but there is a folder %s: restore the data base from a "
                             "backup, or move the folders away to begin anew", folders[i]);
    }
    return STATUS_OK;
}

static enum status open_in(struct store *s, const char *data_dir, struct error *e)
{
    TRY(set_paths(s, data_dir, e));
    TRY(lock_folder(s, e));
    TRY(check_not_lost(s, e));
    TRY(db_open(s->db_path, true, &s->writer, e));
    TRY(check_pages(&s->writer, e));
    TRY(store_migrate(&s->writer, embedded_files, n_embedded_files, &s->schema_version, e));
    return file_sync_folder(s->folder, e);
}

enum status store_open(const char *data_dir, struct store **out, struct error *e)
{
    *out = NULL;
    struct store *s = mem_calloc(1, sizeof *s);
    if (!s)
        return error_set(e, STATUS_NOMEM, "no memory for the store");
    s->lock_fd = -1;
    s->queue_end = &s->queue;
    check(pthread_mutex_init(&s->write_lock, NULL) == 0 && pthread_mutex_init(&s->queue_lock, NULL) == 0);
    check(pthread_mutex_init(&s->readers_lock, NULL) == 0);
    check(pthread_cond_init(&s->reader_back, NULL) == 0);
    if (open_in(s, data_dir, e) != STATUS_OK) {
        store_close(s);
        return error_wrap(e, "data folder %s", data_dir);
    }
    *out = s;
    return STATUS_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    check(s->n_idle == s->n_readers);
    for (size_t i = 0; i < s->n_idle; i++) {
        db_close(s->idle[i]);
        mem_free(s->idle[i]);
    }
    db_close(&s->writer);                         /* last, so that it empties the log */
    if (s->lock_fd >= 0) {
        (void)!ftruncate(s->lock_fd, 0);
        close(s->lock_fd);
    }
    pthread_cond_destroy(&s->reader_back);
    pthread_mutex_destroy(&s->readers_lock);
    pthread_mutex_destroy(&s->queue_lock);
    pthread_mutex_destroy(&s->write_lock);
    mem_free(s->db_path);
    mem_free(s->folder);
    mem_free(s);
}

const char *store_folder(const struct store *s) { return s->folder; }
int store_schema_version(const struct store *s) { return s->schema_version; }

/* ---- readers --------------------------------------------------------------------------------------------------------- */

static enum status open_reader(struct store *s, struct db **out, struct error *e)
{
    struct db *db = mem_alloc(sizeof *db);
    if (!db)
        return error_set(e, STATUS_NOMEM, "no memory for a connection to the data base");
    if (db_open(s->db_path, false, db, e) != STATUS_OK) {
        db_close(db);
        mem_free(db);
        return e->status;
    }
    *out = db;
    return STATUS_OK;
}

enum status store_reader_acquire(struct store *s, struct db **out, struct error *e)
{
    *out = NULL;
    pthread_mutex_lock(&s->readers_lock);
    while (s->n_idle == 0 && s->n_readers == STORE_READERS_MAX)
        pthread_cond_wait(&s->reader_back, &s->readers_lock);
    if (s->n_idle > 0)
        *out = s->idle[--s->n_idle];
    else
        s->n_readers++;
    pthread_mutex_unlock(&s->readers_lock);
    if (*out)
        return STATUS_OK;
    enum status st = open_reader(s, out, e);
    if (st != STATUS_OK) {
        pthread_mutex_lock(&s->readers_lock);
        s->n_readers--;
        pthread_cond_signal(&s->reader_back);
        pthread_mutex_unlock(&s->readers_lock);
    }
    return st;
}

void store_reader_release(struct store *s, struct db *db)
{
    pthread_mutex_lock(&s->readers_lock);
    s->idle[s->n_idle++] = db;
    pthread_cond_signal(&s->reader_back);
    pthread_mutex_unlock(&s->readers_lock);
}

enum status store_select(struct store *s, struct arena *a, const char *sql, const struct db_value *values,
                         size_t n_values, size_t size, void (*read)(void *ctx, struct db_rows *r, void *item), void *ctx,
                         void **items, size_t *n, struct error *e)
{
    struct db *db;
    struct db_rows r;
    *items = NULL;
    *n = 0;
    TRY(store_reader_acquire(s, &db, e));
    enum status st = db_query_values(db, a, sql, values, n_values, &r, e);
    if (st == STATUS_OK)
        st = db_rows_collect(&r, size, read, ctx, items, n, e);
    store_reader_release(s, db);
    return st;
}

enum status store_backup(struct store *s, const char *path, struct error *e)
{
    struct db db;
    if (access(path, F_OK) == 0)
        return error_set(e, STATUS_CONFLICT, "%s exists", path);
    enum status st = db_open(s->db_path, false, &db, e);
    if (st == STATUS_OK)
        st = db_exec(&db, "PRAGMA query_only=0", e);      /* VACUUM INTO writes, though not here */
    if (st == STATUS_OK)
        st = DB_RUN(&db, NULL, e, "VACUUM INTO ?1", db_text(path));
    db_close(&db);
    return st;
}

enum status store_check_file(const char *path, struct error *e)
{
    struct db db = {0};
    int rc = sqlite3_open_v2(path, &db.handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    enum status st = rc == SQLITE_OK ? check_pages(&db, e) : db_error(&db, rc, "opening a copy", e);
    db_close(&db);
    return st == STATUS_OK ? st : error_wrap(e, "the copy");
}
