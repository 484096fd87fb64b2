/* server/http/listen.c
 *
 * The socket and the library behind it: a pool of threads, each with its own epoll loop and its own connections. */
#include "server/http/http_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    THREADS_MIN = 2, THREADS_MAX = 8,
    CONNECTION_MEMORY = 32 << 10,      /* headers, and the window of a body; zeroed by the library for each request */
    THREAD_STACK = 8 << 20,            /* jansson recurses up to 2048 levels deep */
    IDLE_SECONDS = 60,
    BACKLOG = 512,
    STOP_BODY_SECONDS = 2,             /* at the end, for a body that is still under way */
};

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static enum status numeric_address(const char *address, uint16_t port, struct sockaddr_storage *out, socklen_t *len,
                                   struct error *e)
{
    char service[8];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &found) != 0)
        return error_set(e, STATUS_ARGUMENT, "'%s' is not a numeric address", address);
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return STATUS_OK;
}

bool http_address_is_loopback(const char *address)
{
    struct sockaddr_storage a;
    socklen_t len;
    struct error e;
    if (numeric_address(address, 0, &a, &len, &e) != STATUS_OK)
        return false;
    if (a.ss_family == AF_INET)
        return ntohl(((struct sockaddr_in *)&a)->sin_addr.s_addr) >> 24 == 127;
    return a.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&a)->sin6_addr);
}

bool http_address_is_numeric(const char *address)
{
    struct sockaddr_storage a;
    socklen_t len;
    struct error e;
    return numeric_address(address, 0, &a, &len, &e) == STATUS_OK;
}

static enum status listen_socket(struct http *h, int *family, struct error *e)
{
    struct sockaddr_storage a;
    socklen_t len;
    const int yes = 1;
    TRY(numeric_address(h->options.address, h->options.port, &a, &len, e));
    *family = a.ss_family;
    h->listen_fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->listen_fd < 0)
        return error_errno(e, "socket");
    setsockopt(h->listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(h->listen_fd, (struct sockaddr *)&a, len) != 0 && errno == EADDRINUSE)
        return error_set(e, STATUS_CONFLICT, "port %u of %s is taken by another process; choose another with --listen",
                         h->options.port, h->options.address);
    len = sizeof a;
    if (listen(h->listen_fd, BACKLOG) != 0 || getsockname(h->listen_fd, (struct sockaddr *)&a, &len) != 0)
        return error_errno(e, "listening on %s port %u", h->options.address, h->options.port);
    h->port = ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                            : ((struct sockaddr_in *)&a)->sin_port);
    return STATUS_OK;
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

static void log_library(void *ctx, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static void log_library(void *ctx, const char *fmt, va_list args)
{
    char line[512];
    (void)ctx;
    vsnprintf(line, sizeof line, fmt, args);
    line[strcspn(line, "\n")] = '\0';
    log_line(LOG_DEBUG, "libmicrohttpd: %s", line);
}

/* The library's own timeout, on top of ours. */
static unsigned longest_silence(const struct http_options *o)
{
    return (unsigned)(o->idle_seconds > o->request_seconds ? o->idle_seconds : o->request_seconds);
}

static enum status start_library(struct http *h, int family, struct error *e)
{
    const struct http_options *o = &h->options;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
                     (family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0) | (o->tls_key ? (unsigned)MHD_USE_TLS : 0);
    const struct MHD_OptionItem tls[] = {
        {o->tls_key ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, (void *)(uintptr_t)o->tls_key},
        {o->tls_key ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)(uintptr_t)o->tls_certificate},
        {MHD_OPTION_END, 0, NULL},
    };
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, exchange_on_data, h,
        MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL,
        MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)o->threads,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->connection_limit,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)o->address_limit,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, longest_silence(o),
        MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, reaper_on_connection, h,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_on_target, h,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_on_completed, h,
        MHD_OPTION_ARRAY, tls,
        MHD_OPTION_END);
    if (h->daemon)
        return STATUS_OK;
    return error_set(e, STATUS_IO, o->tls_key ? "libmicrohttpd did not start: do the TLS certificate and key belong together?"
                                              : "libmicrohttpd did not start");
}

static void take_options(struct http *h, struct app *app, const struct http_options *options)
{
    struct http_options *o = &h->options;
    *o = *options;
    o->threads = o->threads < THREADS_MIN ? THREADS_MIN : o->threads > THREADS_MAX ? THREADS_MAX : o->threads;
    /* The library divides the limit among its threads; each needs one connection. */
    o->connection_limit = o->connection_limit < 2 * o->threads ? 2 * o->threads : o->connection_limit;
    o->address_limit = o->address_limit ? o->address_limit : o->connection_limit;
    o->request_seconds = o->request_seconds > 0 ? o->request_seconds : 30;
    o->idle_seconds = o->idle_seconds > 0 ? o->idle_seconds : IDLE_SECONDS;
    h->app = app;
    h->listen_fd = -1;
    if (getrandom(&h->id_seed, sizeof h->id_seed, 0) != sizeof h->id_seed)
        h->id_seed = (uint64_t)time_mono_ns() ^ (uint64_t)getpid();
}

static void destroy(struct http *h)
{
    if (h->daemon) {
        http_drain(h);                                 /* from here on nothing is suspended */
        wait_tick(h);                                  /* and this resumes what is */
        MHD_stop_daemon(h->daemon);
    }
    reaper_stop(h);
    if (h->listen_fd >= 0)
        close(h->listen_fd);
    router_destroy(h->router);
    mem_free(h);
}

enum status http_start(struct app *app, const struct http_options *options, struct http **out, struct error *e)
{
    int family;
    *out = NULL;
    struct http *h = mem_calloc(1, sizeof *h);
    if (!h)
        return error_set(e, STATUS_NOMEM, "no memory for the listener");
    take_options(h, app, options);
    TRY_OR(reaper_start(h, e), fail);
    TRY_OR(router_create(options->routes, options->n_routes, &h->router, e), fail);
    TRY_OR(listen_socket(h, &family, e), fail);
    TRY_OR(start_library(h, family, e), fail);
    *out = h;
    return STATUS_OK;
fail:
    destroy(h);
    return e->status;
}

uint16_t http_port(const struct http *h)
{
    return h->port;
}

size_t http_in_flight(const struct http *h)
{
    return atomic_load(&h->in_flight);
}

void http_drain(struct http *h)
{
    atomic_store(&h->draining, true);
}

void http_stop(struct http *h, int seconds)
{
    int64_t now_ns = time_mono_ns(), body_until_ns = now_ns + STOP_BODY_SECONDS * 1000000000LL;
    int64_t until_ns = now_ns + (int64_t)seconds * 1000000000;
    http_drain(h);
    MHD_quiesce_daemon(h->daemon);
    shutdown(h->listen_fd, SHUT_RD);                   /* refuses from now on; closed behind the library's threads */
    /* With edge-triggered epoll the library misses an end of stream that arrives together with data: such a client is
     * gone, but counts as sending its body until its deadline. */
    for (; now_ns < until_ns && atomic_load(&h->in_flight) > 0; now_ns = time_mono_ns()) {
        if (now_ns > body_until_ns && atomic_load(&h->answering) == 0)
            break;
        usleep(2000);
    }
    destroy(h);
}
