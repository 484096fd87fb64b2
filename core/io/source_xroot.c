/* core/io/source_xroot.c
 *
 * root:// and roots:// through XRootD's POSIX interface, whose calls block for as long as XRootD likes (minutes, where
 * a server is gone).  So they run in threads that nobody has to wait for: a reader that gives up leaves its jobs
 * behind, each with memory of its own, and whoever is last frees what they share. */
#include "core/io/source_kinds.h"

#include "core/io/policy.h"
#include "core/io/probe.h"
#include "core/io/range_cache.h"
#include "core/io/xroot_library.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    THREADS = 8,                                 /* reads in flight: there is no vector read, so round trips overlap */
    JOB_BYTES_MAX = 1 << 20,
};

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE };

struct job {
    struct job *next;                            /* in the queue */
    enum job_state state;
    bool orphan;                                 /* its reader has gone: whoever runs it frees it */
    uint64_t offset;
    size_t len;
    struct error e;
    uint8_t data[];
};

/* What the source and its threads share; freed by the last of them. */
struct xroot {
    const struct xroot_library *library;
    struct remote_url url;
    struct policy_grant grant;
    struct policy_limits limits;
    pthread_mutex_t lock;
    pthread_cond_t work, progress;
    struct job *queue;
    unsigned n_threads;
    bool closing, open_done;
    int fd;                                      /* the library's, -1: none */
    uint64_t size;
    struct error open_error;
    char end_point[REMOTE_HOST_BYTES_MAX + 64];  /* the server that was accepted at opening */
    char text[];                                 /* the URL */
};

struct xroot_source {
    struct source base;
    struct xroot *x;
};

/* ---- in the threads -------------------------------------------------------------------------------------- */

static enum status error_of(int error, const char *doing, struct error *e)
{
    enum status s = error == ENOENT ? STATUS_NOTFOUND : error == EACCES || error == EPERM ? STATUS_FORBIDDEN
                  : error == ENOMEM ? STATUS_NOMEM : error == EISDIR ? STATUS_ARGUMENT : STATUS_REMOTE;
    return error_set(e, s, "%s: %s", doing, strerror(error));
}

/* Every address of the host is one that may be connected to; with probe_ms, one of them answers within that time.
 * XRootD resolves the name again, so that a name server which changes its mind is not caught here: root:// hosts are
 * best named one by one. */
static enum status check_addresses(const struct remote_url *u, const struct policy_grant *grant, int64_t probe_ms,
                                   struct error *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    enum status s = STATUS_OK;
    int failed = getaddrinfo(u->host, NULL, &hints, &list);
    if (failed)
        return error_set(e, STATUS_REMOTE, "%s: %s", u->host, gai_strerror(failed));
    for (struct addrinfo *a = list; a && s == STATUS_OK; a = a->ai_next)
        s = policy_check_address(u->host, a->ai_addr, grant, e);
    if (s == STATUS_OK && probe_ms > 0 && probe_addresses(list, u->port, probe_ms, e) != STATUS_OK)
        s = error_wrap(e, "%s", u->host);
    freeaddrinfo(list);
    return s;
}

/* Redirects may have led to another server, or to a file of this very machine, since XRootD's protocol has those and
 * its client follows them (tried with 5.5.3): the end point is then "localhost", mostly without a port. */
static enum status check_end_point(const struct xroot *x, int fd, char accepted[REMOTE_HOST_BYTES_MAX + 64],
                                   struct error *e)
{
    char url[8 + REMOTE_HOST_BYTES_MAX + 64] = "root://", *text = url + strlen(url);
    struct remote_url u;
    struct policy_grant grant;
    int port = x->library->end_point(fd, text, REMOTE_HOST_BYTES_MAX + 64);
    if (port >= 0 && accepted[0] && strcmp(text, accepted) == 0)
        return STATUS_OK;
    if (port < 0 || !strrchr(text, ':') || remote_url_parse((const uint8_t *)url, strlen(url), &u, e) != STATUS_OK ||
        (strcmp(u.host, "localhost") == 0 && strcmp(x->url.host, u.host) != 0))
        return error_set(e, STATUS_FORBIDDEN, "%s redirects to what is no server", x->url.host);
    if ((strcmp(u.host, x->url.host) != 0 || u.port != x->url.port) &&
        (policy_check_host(&u, &grant, e) != STATUS_OK || check_addresses(&u, &grant, 0, e) != STATUS_OK))
        return error_wrap(e, "%s redirects elsewhere", x->url.host);
    text_copy(accepted, REMOTE_HOST_BYTES_MAX + 64, text);
    return STATUS_OK;
}

static enum status open_file(struct xroot *x, int *fd, uint64_t *size, struct error *e)
{
    struct stat st;
    TRY(check_addresses(&x->url, &x->grant, x->limits.connect_timeout_ms, e)); /* XRootD would try for minutes */
    errno = 0;
    *fd = x->library->open(x->text, O_RDONLY);
    if (*fd < 0)
        return error_of(errno ? errno : EIO, "opening", e);
    TRY(check_end_point(x, *fd, x->end_point, e));
    if (x->library->fstat(*fd, &st) != 0)
        return error_of(errno, "reading its size", e);
    if (!S_ISREG(st.st_mode))
        return error_set(e, STATUS_ARGUMENT, "%s", S_ISDIR(st.st_mode) ? "is a folder, give a file in it"
                                                                       : "is not a regular file");
    *size = (uint64_t)st.st_size;
    return STATUS_OK;
}

static enum status run_job(const struct xroot *x, struct job *j, struct error *e)
{
    char end_point[sizeof x->end_point];
    for (size_t done = 0; done < j->len;) {
        long long n = x->library->pread(x->fd, j->data + done, j->len - done, (long long)(j->offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_of(errno, "reading", e);
        if (n == 0)
            return error_set(e, STATUS_IO, "ends at byte %" PRIu64 ": the file has become shorter since it was opened",
                             j->offset + done);
        done += (size_t)n;
    }
    text_copy(end_point, sizeof end_point, x->end_point);
    return check_end_point(x, x->fd, end_point, e);      /* after a lost connection the client may have been led on */
}

static void open_first(struct xroot *x)          /* called and returns with the lock */
{
    int fd = -1;
    uint64_t size = 0;
    struct error e = {.status = STATUS_OK};
    pthread_mutex_unlock(&x->lock);
    enum status s = open_file(x, &fd, &size, &e);
    pthread_mutex_lock(&x->lock);
    x->fd = fd;
    x->size = size;
    x->open_error = e;
    x->open_error.status = s;
    x->open_done = true;
    pthread_cond_broadcast(&x->progress);
}

/* The last thread frees; the source has said that it is closing before. */
static void leave(struct xroot *x)
{
    bool last = --x->n_threads == 0;
    pthread_mutex_unlock(&x->lock);
    if (!last)
        return;
    if (x->fd >= 0)
        x->library->close(x->fd);
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->work);
    pthread_cond_destroy(&x->progress);
    mem_free(x);
}

static void *run_thread(void *arg)
{
    struct xroot *x = arg;
    pthread_mutex_lock(&x->lock);
    if (!x->open_done)
        open_first(x);
    while (!x->closing) {
        struct job *j = x->queue;
        if (!j) {
            pthread_cond_wait(&x->work, &x->lock);
            continue;
        }
        x->queue = j->next;
        j->state = JOB_RUNNING;
        pthread_mutex_unlock(&x->lock);
        enum status s = run_job(x, j, &j->e);
        pthread_mutex_lock(&x->lock);
        j->e.status = s;
        j->state = JOB_DONE;
        if (j->orphan)
            mem_free(j);
        else
            pthread_cond_broadcast(&x->progress);
    }
    leave(x);
    return NULL;
}

/* Adds a detached thread; called with the lock. */
static int add_thread(struct xroot *x)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);                            /* signals belong to the threads of whoever uses the library */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, run_thread, x);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) {
        pthread_detach(thread);
        x->n_threads++;
    }
    return failed;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* Waits for `progress`, not longer than one may leave `c` unasked; CANCELLED, or REMOTE when nothing has happened
 * since `since_ns` for `limit_ms`. */
static enum status wait_for_progress(struct xroot *x, const struct source_cancel *c, int64_t since_ns, int64_t limit_ms,
                                     struct error *e)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += SOURCE_POLL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&x->progress, &x->lock, &until);
    TRY(source_check_cancel(c, e));
    if (time_mono_ns() - since_ns > limit_ms * 1000000)
        return error_set(e, STATUS_REMOTE, "%s has not answered for %" PRId64 " s", x->url.host, limit_ms / 1000);
    return STATUS_OK;
}

/* Bytes of sorted ranges that follow each other, from ranges[0] at `done`, up to a job's size. */
static size_t run_length(const struct source_range *ranges, size_t n, size_t done)
{
    size_t len = ranges[0].len - done;
    for (size_t i = 1; i < n && len < JOB_BYTES_MAX; i++) {
        if (ranges[i].offset != ranges[i - 1].offset + ranges[i - 1].len)
            break;
        len += ranges[i].len;
    }
    return len < JOB_BYTES_MAX ? len : JOB_BYTES_MAX;
}

/* Hands `jobs` over and waits for all; called with the lock. */
static enum status run_jobs(struct xroot *x, struct job **jobs, size_t n, const struct source_cancel *c,
                            struct error *e)
{
    struct job **end = &x->queue;
    while (*end)
        end = &(*end)->next;
    for (size_t i = 0; i < n; i++, end = &(*end)->next)
        *end = jobs[i];
    pthread_cond_broadcast(&x->work);
    int64_t since = time_mono_ns();
    for (size_t i = 0; i < n;) {
        if (jobs[i]->state == JOB_DONE) {
            if (jobs[i]->e.status != STATUS_OK) {
                *e = jobs[i]->e;
                return e->status;
            }
            since = time_mono_ns();
            i++;
        } else {
            TRY(wait_for_progress(x, c, since, x->limits.stall_timeout_ms, e));
        }
    }
    return STATUS_OK;
}

/* What nobody runs is freed now, the rest by whoever runs it; called with the lock. */
static void release_jobs(struct xroot *x, struct job **jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct job **at = &x->queue;
        while (*at && *at != jobs[i])
            at = &(*at)->next;
        if (*at)
            *at = jobs[i]->next;
        if (jobs[i]->state == JOB_RUNNING)
            jobs[i]->orphan = true;
        else
            mem_free(jobs[i]);
    }
}

/* Cuts the ranges into jobs; a job covers ranges that follow each other.  Jobs made are in jobs[0, *n_jobs) also when
 * it fails. */
static enum status make_jobs(const struct source_range *ranges, size_t n, struct job **jobs, size_t *n_jobs,
                             struct error *e)
{
    size_t done = 0;                             /* of range i */
    for (size_t i = 0; i < n;) {
        if (done == ranges[i].len) {
            i++;
            done = 0;
            continue;
        }
        size_t len = run_length(ranges + i, n - i, done);
        struct job *j = mem_alloc(sizeof *j + len);
        if (!j)
            return error_set(e, STATUS_NOMEM, "no memory to read %zu bytes", len);
        *j = (struct job){.offset = ranges[i].offset + done, .len = len};
        jobs[(*n_jobs)++] = j;
        for (done += len; done > ranges[i].len; i++)
            done -= ranges[i].len;
    }
    return STATUS_OK;
}

static void copy_out(const struct source_range *ranges, size_t n, struct job *const *jobs)
{
    size_t at = 0, take;                         /* in **jobs */
    for (size_t i = 0; i < n; i++)
        for (size_t got = 0; got < ranges[i].len; got += take, at += take) {
            if (at == (*jobs)->len) {
                jobs++;
                at = 0;
            }
            take = (*jobs)->len - at < ranges[i].len - got ? (*jobs)->len - at : ranges[i].len - got;
            memcpy((uint8_t *)ranges[i].dst + got, (*jobs)->data + at, take);
        }
}

/* The cache asks in order; what comes out of order is only read less well. */
static enum status read_xroot(struct source *base, const struct source_range *ranges, size_t n, struct error *e)
{
    struct xroot *x = ((struct xroot_source *)base)->x;
    size_t jobs_max = 0, n_jobs = 0;
    for (size_t i = 0; i < n; i++)
        jobs_max += ranges[i].len / JOB_BYTES_MAX + 1;
    struct job **jobs = mem_calloc(jobs_max + 1, sizeof *jobs);
    if (!jobs)
        return error_set(e, STATUS_NOMEM, "no memory for %zu reads", jobs_max);
    enum status status = make_jobs(ranges, n, jobs, &n_jobs, e);
    pthread_mutex_lock(&x->lock);
    if (status == STATUS_OK)
        status = run_jobs(x, jobs, n_jobs, &base->cancel, e);
    if (status == STATUS_OK) {
        pthread_mutex_unlock(&x->lock);
        copy_out(ranges, n, jobs);
        for (size_t i = 0; i < n_jobs; i++)
            base->n_bytes += jobs[i]->len;
        base->n_requests += n_jobs;
        pthread_mutex_lock(&x->lock);
    }
    release_jobs(x, jobs, n_jobs);
    pthread_mutex_unlock(&x->lock);
    mem_free(jobs);
    return status;
}

static void close_xroot(struct source *base)
{
    struct xroot_source *s = (struct xroot_source *)base;
    if (s->x) {
        pthread_mutex_lock(&s->x->lock);
        s->x->closing = true;
        pthread_cond_broadcast(&s->x->work);
        pthread_mutex_unlock(&s->x->lock);       /* the threads free it */
    }
    mem_free(s);
}

static const struct source_ops xroot_ops = {.read_ranges = read_xroot, .close = close_xroot};

/* ---- opening --------------------------------------------------------------------------------------------- */

/* Parameters for the client (xrd.*, xrdcl.*) would choose its credentials and its behaviour; a metalink is a list of
 * further URLs that nobody has checked. */
static enum status check_path(const char *text, const struct remote_url *u, struct error *e)
{
    const char *path = text + u->path_at, *query = strchr(path, '?');
    size_t len = query ? (size_t)(query - path) : strlen(path);
    if (len < 2 || path[0] != '/')
        return error_set(e, STATUS_ARGUMENT, "a root:// URL without a path: write root://host//folder/name");
    for (const char *p = query; p; p = strpbrk(p + 1, "?&"))
        if (strncasecmp(p + 1, "xrd", 3) == 0)
            return error_set(e, STATUS_ARGUMENT, "a root:// URL with parameters for the client (xrd...) is not "
                             "accepted");
    if ((len > 6 && strncasecmp(path + len - 6, ".meta4", 6) == 0) ||
        (len > 9 && strncasecmp(path + len - 9, ".metalink", 9) == 0))
        return error_set(e, STATUS_UNSUPPORTED, "metalinks are not followed: give the file's own URL");
    return STATUS_OK;
}

static enum status create(const char *url, struct source *named, struct xroot **out, struct error *e)
{
    const struct xroot_library *library;
    struct remote_url u;
    struct policy_grant grant;
    pthread_condattr_t monotonic;
    size_t len = strlen(url);
    TRY(remote_url_parse((const uint8_t *)url, len, &u, e));
    source_set_name(named, url);
    TRY(check_path(url, &u, e));
    TRY(policy_check_host(&u, &grant, e));
    TRY(xroot_library_get(&library, e));
    struct xroot *x = mem_calloc(1, sizeof *x + len + 1);
    if (!x)
        return error_set(e, STATUS_NOMEM, "no memory to open a URL");
    memcpy(x->text, url, len + 1);
    x->library = library;
    x->url = u;
    x->grant = grant;
    x->fd = -1;
    policy_limits(&x->limits);
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&x->work, &monotonic);
    pthread_cond_init(&x->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_lock(&x->lock);
    int failed = add_thread(x);
    pthread_mutex_unlock(&x->lock);
    if (failed) {
        mem_free(x);
        return error_set(e, STATUS_NOMEM, "starting a thread: %s", strerror(failed));
    }
    *out = x;
    return STATUS_OK;
}

static enum status wait_open(struct xroot_source *s, struct error *e)
{
    struct xroot *x = s->x;
    int64_t since = time_mono_ns(), limit_ms = x->limits.connect_timeout_ms + x->limits.stall_timeout_ms;
    enum status status = STATUS_OK;
    pthread_mutex_lock(&x->lock);
    while (!x->open_done && status == STATUS_OK)
        status = wait_for_progress(x, &s->base.cancel, since, limit_ms, e);
    if (status == STATUS_OK && x->open_error.status != STATUS_OK) {
        *e = x->open_error;
        status = e->status;
    }
    s->base.size = x->size;
    for (size_t i = 1; i < THREADS && status == STATUS_OK; i++)
        (void)add_thread(x);                     /* one is enough, more are faster */
    pthread_mutex_unlock(&x->lock);
    return status;
}

enum status source_open_xroot(const char *url, const struct source_cancel *c, struct source **out, struct error *e)
{
    struct xroot_source *s = mem_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return error_set(e, STATUS_NOMEM, "no memory to open a URL");
    s->base.ops = &xroot_ops;
    s->base.cancel = *c;
    enum status status = create(url, &s->base, &s->x, e);
    if (status == STATUS_OK)
        status = wait_open(s, e);
    if (status == STATUS_OK) {
        struct range_cache_options options = {.cache_bytes = s->x->limits.cache_bytes};
        status = range_cache_open(&s->base, &options, out, e);
    }
    if (status != STATUS_OK) {
        if (s->base.name[0])
            (void)error_wrap(e, "%s", s->base.name);
        close_xroot(&s->base);
    }
    return status;
}
