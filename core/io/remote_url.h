/* core/io/remote_url.h
 *
 * The few URLs that remote sources accept, read so strictly that no two parsers can disagree about the host. */
#ifndef DLT_CORE_IO_REMOTE_URL_H
#define DLT_CORE_IO_REMOTE_URL_H

#include "core/base.h"

enum { REMOTE_URL_BYTES_MAX = 8192, REMOTE_HOST_BYTES_MAX = 255 };

struct remote_url {
    char scheme[8];                              /* lower case: http https root roots */
    char host[REMOTE_HOST_BYTES_MAX + 1];        /* lower case, no trailing dot; an IPv6 address without brackets */
    uint16_t port;                               /* the scheme's own where none is given */
    size_t path_at;                              /* where the path starts in the text; may be its end */
};

/* Fails with ARGUMENT, or UNSUPPORTED for another scheme.  Messages never repeat the URL: it may bear a secret. */
enum status remote_url_parse(const uint8_t *text, size_t len, struct remote_url *out, struct error *e) MUST_USE;

#endif
