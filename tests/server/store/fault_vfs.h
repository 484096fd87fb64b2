/* tests/server/store/fault_vfs.h
 *
 * A disk for SQLite that can fail: a VFS in front of the system's own that remembers of every file what has been synced, so
 * that a power cut can be played (everything that was not synced is lost, or half of it), and that fails the n-th write or
 * sync with a full disk or an input/output error.  It becomes the default VFS. */
#ifndef DLT_TESTS_SERVER_STORE_FAULT_VFS_H
#define DLT_TESTS_SERVER_STORE_FAULT_VFS_H

#include "core/base.h"

#include <sqlite3.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum fault { FAULT_NONE, FAULT_FULL, FAULT_WRITE, FAULT_SYNC };

static struct {
    pthread_rwlock_t moment;                      /* held by whatever changes a file; by a power cut alone: one moment */
    pthread_mutex_t lock;
    sqlite3_vfs *below;
    enum fault fault;
    int64_t after;                                /* calls of the kind that fails that still go well */
    int64_t n_times;                              /* how many then fail; -1: all */
    int64_t writes, syncs;                        /* since fault_set */
    struct fault_image *images;
} disk = {.moment = PTHREAD_RWLOCK_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER};

/* What a file will hold after a power cut. */
struct fault_image {
    char path[1024];
    uint8_t *bytes;
    size_t len;
    struct fault_image *next;
};

struct fault_file {
    sqlite3_file base;
    struct fault_image *image;                    /* NULL: temporary */
    sqlite3_file below[];
};

static inline void fault_set(enum fault fault, int64_t after, int64_t n_times)
{
    pthread_mutex_lock(&disk.lock);
    disk.fault = fault;
    disk.after = after;
    disk.n_times = n_times;
    disk.writes = disk.syncs = 0;
    pthread_mutex_unlock(&disk.lock);
}

/* Whether this call is one that fails. */
static inline bool fault_hits(bool sync)
{
    pthread_mutex_lock(&disk.lock);
    (*(sync ? &disk.syncs : &disk.writes))++;
    bool counts = disk.fault != FAULT_NONE && (disk.fault == FAULT_SYNC) == sync, hit = false;
    if (counts && disk.after > 0)
        disk.after--;
    else if (counts && disk.n_times != 0) {
        hit = true;
        disk.n_times -= disk.n_times > 0;
    }
    pthread_mutex_unlock(&disk.lock);
    return hit;
}

static inline struct fault_file *fault_of(sqlite3_file *f) { return (struct fault_file *)f; }
#define BELOW(f) (fault_of(f)->below)
#define CALL(f, method, ...) (BELOW(f)->pMethods->method(BELOW(f), ##__VA_ARGS__))

static int fault_close(sqlite3_file *f) { return CALL(f, xClose); }
static int fault_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) { return CALL(f, xRead, p, n, at); }
static int fault_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (fault_of(f)->image && fault_hits(false))
        return disk.fault == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    pthread_rwlock_rdlock(&disk.moment);
    int rc = CALL(f, xWrite, p, n, at);
    pthread_rwlock_unlock(&disk.moment);
    return rc;
}
static int fault_truncate(sqlite3_file *f, sqlite3_int64 n)
{
    pthread_rwlock_rdlock(&disk.moment);
    int rc = CALL(f, xTruncate, n);
    pthread_rwlock_unlock(&disk.moment);
    return rc;
}

/* Takes the file as it is now for what a power cut leaves. */
static inline void fault_keep(sqlite3_file *f, struct fault_image *image)
{
    sqlite3_int64 n = 0;
    if (CALL(f, xFileSize, &n) != SQLITE_OK)
        return;
    pthread_mutex_lock(&disk.lock);
    image->bytes = realloc(image->bytes, (size_t)n + 1);
    check(image->bytes);
    image->len = (size_t)n;
    if (n > 0)
        check(CALL(f, xRead, image->bytes, (int)n, 0) == SQLITE_OK);
    pthread_mutex_unlock(&disk.lock);
}

static int fault_sync(sqlite3_file *f, int flags)
{
    if (fault_of(f)->image && fault_hits(true))
        return SQLITE_IOERR_FSYNC;
    pthread_rwlock_rdlock(&disk.moment);
    int rc = CALL(f, xSync, flags);
    if (rc == SQLITE_OK && fault_of(f)->image)
        fault_keep(f, fault_of(f)->image);
    pthread_rwlock_unlock(&disk.moment);
    return rc;
}
static int fault_size(sqlite3_file *f, sqlite3_int64 *n) { return CALL(f, xFileSize, n); }
static int fault_lock(sqlite3_file *f, int level) { return CALL(f, xLock, level); }
static int fault_unlock(sqlite3_file *f, int level) { return CALL(f, xUnlock, level); }
static int fault_reserved(sqlite3_file *f, int *out) { return CALL(f, xCheckReservedLock, out); }
static int fault_control(sqlite3_file *f, int op, void *arg) { return CALL(f, xFileControl, op, arg); }
static int fault_sector(sqlite3_file *f) { return CALL(f, xSectorSize); }
static int fault_device(sqlite3_file *f) { return CALL(f, xDeviceCharacteristics); }
static int fault_shm_map(sqlite3_file *f, int i, int n, int extend, void volatile **p)
{
    return CALL(f, xShmMap, i, n, extend, p);
}
static int fault_shm_lock(sqlite3_file *f, int at, int n, int flags) { return CALL(f, xShmLock, at, n, flags); }
static void fault_shm_barrier(sqlite3_file *f) { CALL(f, xShmBarrier); }
static int fault_shm_unmap(sqlite3_file *f, int gone) { return CALL(f, xShmUnmap, gone); }

/* No xFetch: nothing is mapped, so that every write comes by here. */
static const sqlite3_io_methods fault_methods = {
    2, fault_close, fault_read, fault_write, fault_truncate, fault_sync, fault_size, fault_lock, fault_unlock,
    fault_reserved, fault_control, fault_sector, fault_device, fault_shm_map, fault_shm_lock, fault_shm_barrier,
    fault_shm_unmap, NULL, NULL};

static inline struct fault_image *fault_image_of(const char *path)
{
    pthread_mutex_lock(&disk.lock);
    struct fault_image *image = disk.images;
    while (image && strcmp(image->path, path) != 0)
        image = image->next;
    if (!image) {
        image = calloc(1, sizeof *image);
        check(image);
        text_copy(image->path, sizeof image->path, path);
        image->next = disk.images;
        disk.images = image;
    }
    pthread_mutex_unlock(&disk.lock);
    return image;
}

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out)
{
    struct fault_file *file = fault_of(f);
    (void)vfs;
    file->base.pMethods = NULL;
    file->image = name ? fault_image_of(name) : NULL;
    int rc = disk.below->xOpen(disk.below, name, BELOW(f), flags, out);
    if (rc == SQLITE_OK)
        file->base.pMethods = &fault_methods;
    return rc;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    return disk.below->xDelete(disk.below, name, sync);
}

static inline void fault_vfs_install(void)
{
    static sqlite3_vfs vfs;
    disk.below = sqlite3_vfs_find(NULL);
    vfs = *disk.below;
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(struct fault_file) + disk.below->szOsFile;
    vfs.xOpen = fault_open;
    vfs.xDelete = fault_delete;
    check(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

/* Writes into `folder` what a power cut now would have left of the data base in `from`: of what was written since its last
 * sync nothing, or a random half of the pages (`torn`), as a disk may have done already. */
static inline void fault_power_cut(const char *from, const char *folder, struct rng *torn)
{
    static const char *const names[] = {"dltrigger.db", "dltrigger.db-wal"};
    pthread_rwlock_wrlock(&disk.moment);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[1024], to[1024];
        struct buf now;
        struct error e;
        snprintf(path, sizeof path, "%s/%s", from, names[i]);
        snprintf(to, sizeof to, "%s/%s", folder, names[i]);
        struct fault_image *image = fault_image_of(path);
        buf_init(&now, (size_t)1 << 30);
        check(file_read(path, &now, &e) == STATUS_OK || e.status == STATUS_NOTFOUND);
        size_t len = torn && now.len > image->len ? now.len : image->len;
        uint8_t *bytes = calloc(1, len + 1);
        check(bytes);
        pthread_mutex_lock(&disk.lock);
        if (image->len > 0)
            memcpy(bytes, image->bytes, image->len);
        pthread_mutex_unlock(&disk.lock);
        for (size_t at = 0; torn && at < now.len; at += 512) {
            size_t n = now.len - at < 512 ? now.len - at : 512;
            if (at + n <= len && rng_below(torn, 2) == 0)
                memcpy(bytes + at, now.data + at, n);
        }
        check(file_write_atomic(to, bytes, len, &e) == STATUS_OK);
        free(bytes);
        buf_fini(&now);
    }
    pthread_rwlock_unlock(&disk.moment);
}

#endif
