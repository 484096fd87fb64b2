/* server/store/store_private.h
 *
 * The store as its own files see it: one writer behind a mutex, readers handed out one to a caller. */
#ifndef DLT_SERVER_STORE_PRIVATE_H
#define DLT_SERVER_STORE_PRIVATE_H

#include "server/embedded.h"
#include "server/store/db.h"
#include "server/store/store.h"

#include <pthread.h>

enum { STORE_READERS_MAX = 16 };

struct store {
    char *folder, *db_path;                       /* absolute */
    int lock_fd, schema_version;
    const char *stamp_build;                      /* see store_stamp */
    int64_t stamp_threads;
    pthread_mutex_t queue_lock;                   /* of the next four; taken before write_lock, never held with it */
    struct store_pending *queue, **queue_end;     /* writes that wait for the next group: commit.c */
    size_t n_queued;
    bool leading;                                 /* somebody is at a group, or has been told to be */
    pthread_mutex_t write_lock;
    struct db writer;
    pthread_mutex_t readers_lock;
    pthread_cond_t reader_back;
    struct db *idle[STORE_READERS_MAX];
    size_t n_idle, n_readers;
};

/* Takes the writer and begins an immediate transaction.  On OK the caller ends it with store_end. */
enum status store_begin(struct store *s, struct error *e) MUST_USE;
/* Commits when `outcome` is OK, else rolls back; gives the writer back.  OK means durable. */
enum status store_end(struct store *s, enum status outcome, struct error *e) MUST_USE;
/* Runs one function of the store's own in a transaction, perhaps on another thread and with others' in the same one; on
 * return its work is durable, or undone.  It may be called a second time when the first was undone by a neighbour. */
enum status store_write(struct store *s, enum status (*fn)(struct store *s, void *ctx, struct error *e), void *ctx,
                        struct error *e) MUST_USE;

/* A read connection, the caller's until store_reader_release; waits when all are out. */
/* All rows of a query by a reader connection, as db_rows_collect. */
enum status store_select(struct store *s, struct arena *a, const char *sql, const struct db_value *values,
                         size_t n_values, size_t size, void (*read)(void *ctx, struct db_rows *r, void *item), void *ctx,
                         void **items, size_t *n, struct error *e) MUST_USE;
enum status store_reader_acquire(struct store *s, struct db **out, struct error *e) MUST_USE;
void store_reader_release(struct store *s, struct db *db);

/* Applies the files named NNNN_*.sql that are newer than the data base, in their order, each in its own transaction;
 * forward only.  *version is what it is then.  UNSUPPORTED: the data base is newer than the files.  FORMAT: it is not
 * ours. */
enum status store_migrate(struct db *db, const struct embedded_file *files, size_t n_files, int *version,
                          struct error *e) MUST_USE;

/* "DIR/datasets/ds_..." in `a`; NULL without memory. */
const char *store_artifact_folder(const struct store *s, struct arena *a, const char *kind, const char *id);

#endif
