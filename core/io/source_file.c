/* core/io/source_file.c
 *
 * Files on disk, read with pread: no position, hence no lock.  Only regular files: a pipe or a device would make a
 * job wait for ever. */
#include "core/io/source_kinds.h"

#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct file_source {
    struct source base;
    int fd;
    struct timespec changed;           /* when it was opened; 0: of no interest */
};

static enum status read_at(int fd, uint64_t offset, void *dst, size_t len, struct error *e)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got = pread(fd, (char *)dst + done, len - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(e, "reading at byte %" PRIu64, offset + done);
        if (got == 0)
            return error_set(e, STATUS_IO, "ends at byte %" PRIu64 ": the file has become shorter since it was opened",
                             offset + done);
        done += (size_t)got;
    }
    return STATUS_OK;
}

static enum status read_file(struct source *s, const struct source_range *ranges, size_t n, struct error *e)
{
    const struct file_source *f = (const struct file_source *)s;
    for (size_t i = 0; i < n; i++) {
        TRY(read_at(f->fd, ranges[i].offset, ranges[i].dst, ranges[i].len, e));
        s->n_requests++;
        s->n_bytes += ranges[i].len;
    }
    return STATUS_OK;
}

static void close_file(struct source *s)
{
    close(((struct file_source *)s)->fd);
    mem_free(s);
}

static enum status check_file(struct source *s, struct error *e)
{
    const struct file_source *f = (const struct file_source *)s;
    struct stat st;
    if (f->changed.tv_sec == 0)
        return STATUS_OK;
    if (fstat(f->fd, &st) != 0)
        return error_errno(e, "%s: reading its size", s->name);
    if ((uint64_t)st.st_size != s->size)
        return error_set(e, STATUS_IO, "%s was changed while it was read: %" PRIu64 " bytes at first, %lld now; it may "
                         "still be being written", s->name, s->size, (long long)st.st_size);
    if (st.st_mtim.tv_sec != f->changed.tv_sec || st.st_mtim.tv_nsec != f->changed.tv_nsec)
        return error_set(e, STATUS_IO, "%s was written to while it was read", s->name);
    return STATUS_OK;
}

static const struct source_ops file_ops = {read_file, close_file, check_file};

/* Opens and measures; *fd is open on OK only. */
static enum status open_regular(const char *path, int *fd, uint64_t *size, struct timespec *changed, struct error *e)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return error_errno(e, "opening");
    enum status s = STATUS_OK;
    if (fstat(*fd, &st) != 0)
        s = error_errno(e, "reading its size");
    else if (!S_ISREG(st.st_mode))
        s = error_set(e, STATUS_ARGUMENT, "%s", S_ISDIR(st.st_mode) ? "is a folder, give a file in it"
                                                                     : "is not a regular file");
    if (s != STATUS_OK) {
        close(*fd);
        return s;
    }
    *size = (uint64_t)st.st_size;
    *changed = st.st_mtim;
    return STATUS_OK;
}

enum status source_open_descriptor(int fd, uint64_t size, const char *url, struct source **out, struct error *e)
{
    struct file_source *f = mem_calloc(1, sizeof *f);
    *out = NULL;
    if (!f) {
        close(fd);
        return error_set(e, STATUS_NOMEM, "no memory to open a file");
    }
    source_set_name(&f->base, url);
    f->base.ops = &file_ops;
    f->base.size = size;
    f->fd = fd;
    *out = &f->base;
    return STATUS_OK;
}

enum status source_open_file(const char *path, struct source **out, struct error *e)
{
    struct file_source *f = mem_calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return error_set(e, STATUS_NOMEM, "no memory to open a file");
    source_set_name(&f->base, path);
    f->base.ops = &file_ops;
    if (open_regular(path, &f->fd, &f->base.size, &f->changed, e) != STATUS_OK) {
        (void)error_wrap(e, "%s", f->base.name);
        mem_free(f);
        return e->status;
    }
    *out = &f->base;
    return STATUS_OK;
}

/* Resolves %NN; false for a broken or zero one, or when it does not fit. */
static bool decode_percent(const char *s, char *out, size_t cap)
{
    size_t n = 0;
    for (; *s && n + 1 < cap; s++) {
        out[n] = *s;
        if (*s == '%') {
            int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
            if (low < 0 || high + low == 0)
                return false;
            out[n] = (char)(high * 16 + low);
            s += 2;
        }
        n++;
    }
    out[n] = '\0';
    return *s == '\0';
}

enum status source_open_file_url(const char *url, const struct source_cancel *c, struct source **out, struct error *e)
{
    char path[PATH_MAX];
    (void)c;
    const char *rest = url + strlen("file://");
    *out = NULL;
    if (strncasecmp(rest, "localhost/", strlen("localhost/")) == 0)
        rest += strlen("localhost");
    if (*rest != '/')
        return error_set(e, STATUS_ARGUMENT, "a file URL names an absolute path: file:///folder/name");
    if (!decode_percent(rest, path, sizeof path))
        return error_set(e, STATUS_ARGUMENT, "a file URL with a broken %%NN or longer than %d bytes", PATH_MAX - 1);
    return source_open_file(path, out, e);
}
