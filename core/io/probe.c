/* core/io/probe.c */
#include "core/io/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_port(struct sockaddr_storage *a, uint16_t port)
{
    if (a->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)a)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)a)->sin_port = htons(port);
}

/* 0, or the error number of a connection that is being made. */
static int await_connection(int fd, int64_t until_ns)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n;
    do {
        int64_t left_ms = (until_ns - time_mono_ns()) / 1000000;
        n = left_ms > 0 ? poll(&p, 1, (int)left_ms) : 0;
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n == 0 ? ETIMEDOUT : errno;
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static int probe_one(const struct addrinfo *a, uint16_t port, int64_t until_ns)
{
    struct sockaddr_storage to = {0};
    if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) || a->ai_addrlen > sizeof to)
        return EAFNOSUPPORT;
    memcpy(&to, a->ai_addr, a->ai_addrlen);
    set_port(&to, port);
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    int error = connect(fd, (const struct sockaddr *)&to, a->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS)
        error = await_connection(fd, until_ns);
    close(fd);
    return error;
}

enum status probe_addresses(const struct addrinfo *list, uint16_t port, int64_t timeout_ms, struct error *e)
{
    int64_t until_ns = time_mono_ns() + timeout_ms * 1000000;
    int error = EADDRNOTAVAIL;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        error = probe_one(a, port, until_ns);
        if (error == 0)
            return STATUS_OK;
    }
    return error_set(e, STATUS_REMOTE, "no connection to port %u: %s", (unsigned)port, strerror(error));
}
