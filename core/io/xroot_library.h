/* core/io/xroot_library.h
 *
 * The few functions of XRootD's POSIX interface that reading takes, loaded when the first root:// URL is opened: the
 * library is optional, and linking it would put its own open() and read() in front of the process's. */
#ifndef DLT_CORE_IO_XROOT_LIBRARY_H
#define DLT_CORE_IO_XROOT_LIBRARY_H

#include "core/base.h"

#include <sys/stat.h>

struct xroot_library {
    int (*open)(const char *url, int flags, ...);        /* as open(2), and so on */
    int (*close)(int fd);
    int (*fstat)(int fd, struct stat *st);
    long long (*pread)(int fd, void *dst, unsigned long long len, long long offset);
    /* "host:port" of the server that redirects have led to; the port, or negative */
    int (*end_point)(int fd, char *text, int cap);
};

/* Fails with UNSUPPORTED, saying what to install.  The environment variable DLT_XROOTD_LIBRARY names the library where
 * it is not on the loader's path.  It stays loaded: it has threads of its own. */
enum status xroot_library_get(const struct xroot_library **out, struct error *e) MUST_USE;

#endif
