/* core/base/file.c
 *
 * Files that are published whole or not at all, and folders that are made and removed.  Messages name the last path
 * component only: where data lies on the server is nobody else's business. */
#include "core/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TREE_DEPTH_MAX = 64 };

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The folder of `path` into folder[PATH_MAX]: "." for a bare name. */
static enum status folder_of(const char *path, char folder[PATH_MAX], struct error *e)
{
    const char *slash = strrchr(path, '/');
    size_t len = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (len >= PATH_MAX)
        return error_set(e, STATUS_ARGUMENT, "path of %zu bytes is too long", strlen(path));
    memcpy(folder, slash ? path : ".", slash ? len : 1);
    folder[slash ? len : 1] = '\0';
    return STATUS_OK;
}

/* ---- write ------------------------------------------------------------------------------------------- */

static enum status write_all(int fd, const void *data, size_t n, struct error *e)
{
    const uint8_t *p = data;
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_errno(e, "writing");
        p += done;
        n -= (size_t)done;
    }
    return STATUS_OK;
}

/* Opens and locks the temporary file.  A second writer of the same path waits here until the first has renamed its
 * file, then finds another (or no) file under the name and starts again: nobody publishes another's half. */
static enum status open_temporary(const char *tmp, int *fd, struct error *e)
{
    for (;;) {
        struct stat mine, there;
        *fd = open(tmp, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
        if (*fd < 0)
            return error_errno(e, "creating");
        while (flock(*fd, LOCK_EX) != 0 && errno == EINTR)
            ;
        if (fstat(*fd, &mine) == 0 && lstat(tmp, &there) == 0 && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev) {
            if (S_ISREG(mine.st_mode) && ftruncate(*fd, 0) == 0)
                return STATUS_OK;
            close(*fd);
            return error_set(e, STATUS_IO, "the temporary name is taken by something that is not a file");
        }
        close(*fd);
    }
}

static enum status sync_fd(int fd, struct error *e)
{
    return fsync(fd) == 0 ? STATUS_OK : error_errno(e, "syncing");
}

/* Writes and renames; on failure removes the temporary file. */
static enum status publish(const char *tmp, const char *path, const void *data, size_t n, struct error *e)
{
    int fd;
    TRY(open_temporary(tmp, &fd, e));
    enum status s = write_all(fd, data, n, e);
    if (s == STATUS_OK)
        s = sync_fd(fd, e);
    if (s == STATUS_OK && rename(tmp, path) != 0)
        s = error_errno(e, "renaming");
    if (s != STATUS_OK)
        unlink(tmp);
    close(fd);                               /* last: it also ends the lock */
    return s;
}

enum status file_write_atomic(const char *path, const void *data, size_t n, struct error *e)
{
    char tmp[PATH_MAX], folder[PATH_MAX];
    int len = snprintf(tmp, sizeof tmp, "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof tmp)
        return error_set(e, STATUS_ARGUMENT, "path of %zu bytes is too long", strlen(path));
    TRY(folder_of(path, folder, e));
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0) {
        (void)error_errno(e, "opening its folder");
        return error_wrap(e, "writing %s", last_component(path));
    }
    enum status s = publish(tmp, path, data, n, e);
    if (s == STATUS_OK)
        s = sync_fd(folder_fd, e);
    close(folder_fd);
    return s == STATUS_OK ? s : error_wrap(e, "writing %s", last_component(path));
}

/* ---- read -------------------------------------------------------------------------------------------- */

static enum status read_all(int fd, struct buf *b, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return error_errno(e, "reading its size");
    if (!S_ISREG(st.st_mode))
        return error_set(e, STATUS_ARGUMENT, "not a regular file");
    size_t room = b->max - b->len;
    if ((uint64_t)st.st_size > room)
        return error_set(e, STATUS_RANGE, "%lld bytes, at most %zu are read here", (long long)st.st_size, room);
    size_t want = (size_t)st.st_size;
    for (;;) {                               /* to the end, wherever that has moved meanwhile */
        uint8_t probe;
        TRY(buf_reserve(b, want, e));
        ssize_t got = read(fd, want ? b->data + b->len : &probe, want ? want : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(e, "reading");
        if (got == 0)
            return STATUS_OK;
        if (want == 0) {
            if (b->len == b->max)
                return error_set(e, STATUS_RANGE, "longer than the %zu bytes that are read here", room);
            TRY(buf_append(b, &probe, 1, e));
            want = b->max - b->len < 4096 ? b->max - b->len : 4096;
        } else {
            b->len += (size_t)got;
            want -= (size_t)got;
        }
    }
}

enum status file_read(const char *path, struct buf *b, struct error *e)
{
    size_t len_before = b->len;
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum status s = fd < 0 ? error_errno(e, "opening") : read_all(fd, b, e);
    if (fd >= 0)
        close(fd);
    if (s == STATUS_OK)
        return s;
    b->len = len_before;
    return error_wrap(e, "%s", last_component(path));
}

/* ---- folders ----------------------------------------------------------------------------------------- */

enum status file_sync_folder(const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status s = fd < 0 ? error_errno(e, "opening") : sync_fd(fd, e);
    if (fd >= 0)
        close(fd);
    return s == STATUS_OK ? s : error_wrap(e, "folder %s", last_component(path));
}

/* Makes one folder and makes its name durable. */
static enum status make_one(const char *path, struct error *e)
{
    char parent[PATH_MAX];
    struct stat st;
    if (mkdir(path, 0777) == 0) {
        TRY(folder_of(path, parent, e));
        return file_sync_folder(parent, e);
    }
    if (errno == EEXIST && stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return STATUS_OK;
        errno = ENOTDIR;
    }
    return error_errno(e, "making folder %s", last_component(path));
}

enum status file_make_folder(const char *path, struct error *e)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0 || len >= sizeof part)
        return error_set(e, STATUS_ARGUMENT, "a folder's path has 1 to %d bytes, this has %zu", PATH_MAX - 1, len);
    memcpy(part, path, len);
    part[len] = '\0';
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        TRY(make_one(part, e));
        *slash = '/';
    }
    return make_one(part, e);
}

static enum status empty_folder(int fd, size_t depth, struct error *e);

/* Removes one entry of the folder `fd`.  Folders are told by opening them, which never follows a link. */
static enum status remove_entry(int fd, const char *name, size_t depth, struct error *e)
{
    if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
        return STATUS_OK;
    if (errno != EISDIR && errno != EPERM)
        return error_errno(e, "removing %s", name);
    int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0)
        return errno == ENOENT ? STATUS_OK : error_errno(e, "opening %s", name);
    enum status s = empty_folder(child, depth + 1, e);
    if (s == STATUS_OK && unlinkat(fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        s = error_errno(e, "removing folder %s", name);
    return s;
}

/* Takes fd, also when it fails. */
static enum status empty_folder(int fd, size_t depth, struct error *e)
{
    if (depth > TREE_DEPTH_MAX) {
        close(fd);
        return error_set(e, STATUS_RANGE, "folders nested deeper than %d", TREE_DEPTH_MAX);
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        enum status s = error_errno(e, "listing");
        close(fd);
        return s;
    }
    enum status s = STATUS_OK;
    while (s == STATUS_OK) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            s = errno ? error_errno(e, "listing") : STATUS_OK;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            s = remove_entry(fd, entry->d_name, depth, e);
    }
    closedir(dir);
    return s;
}

enum status file_remove_tree(const char *path, struct error *e)
{
    char clean[PATH_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')  /* "link/" would be followed */
        len--;
    if (len == 0 || len >= sizeof clean || (len == 1 && (*path == '/' || *path == '.')))
        return error_set(e, STATUS_ARGUMENT, "this path is not a folder that may be removed");
    memcpy(clean, path, len);
    clean[len] = '\0';
    int fd = open(clean, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return STATUS_OK;
    enum status s = fd < 0 ? error_errno(e, "opening") : empty_folder(fd, 0, e);
    if (s == STATUS_OK && rmdir(clean) != 0 && errno != ENOENT)
        s = error_errno(e, "removing");
    return s == STATUS_OK ? s : error_wrap(e, "removing folder %s", last_component(clean));
}
