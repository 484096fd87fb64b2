/* core/io/probe.h: does anybody listen there?  For libraries that take a minute to say that nobody does. */
#ifndef DLT_CORE_IO_PROBE_H
#define DLT_CORE_IO_PROBE_H

#include "core/base.h"

#include <netdb.h>

/* Connects to one address after the other until one accepts, and hangs up.  Fails: REMOTE, with what the last one said,
 * or after `timeout_ms` in all. */
enum status probe_addresses(const struct addrinfo *list, uint16_t port, int64_t timeout_ms, struct error *e) MUST_USE;

#endif
