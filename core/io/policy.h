/* core/io/policy.h
 *
 * May this host be reached?  Asked with the host of every URL and of every redirect, and again with every address
 * that a connection is about to be made to, since names resolve to what their owner likes. */
#ifndef DLT_CORE_IO_POLICY_H
#define DLT_CORE_IO_POLICY_H

#include "core/io/remote_url.h"
#include "core/source.h"

#include <sys/socket.h>

/* LOCAL: loopback, private and other ranges that are not the public internet's.  NEVER: link-local, multicast,
 * unspecified, and the addresses at which clouds hand out credentials. */
enum address_kind { ADDRESS_PUBLIC, ADDRESS_LOCAL, ADDRESS_NEVER };
/* An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as itself; other families are NEVER. */
enum address_kind address_kind(const struct sockaddr *a);

struct policy_grant {
    bool named;                                  /* by a pattern other than "*": local addresses are allowed */
    bool token;                                  /* the bearer token may be sent */
};

/* FORBIDDEN, naming the host and the setting. */
enum status policy_check_host(const struct remote_url *u, struct policy_grant *out, struct error *e) MUST_USE;
/* FORBIDDEN for an address that `grant` does not cover. */
enum status policy_check_address(const char *host, const struct sockaddr *a, const struct policy_grant *grant,
                                 struct error *e) MUST_USE;

/* The present policy with defaults in place of zeros; hosts and n_hosts are not set. */
struct policy_limits {
    int64_t attempts, first_wait_ms, wait_max_ms, connect_timeout_ms, stall_timeout_ms;
    size_t cache_bytes;
    uint64_t download_bytes_max;
    char download_folder[512];
};
void policy_limits(struct policy_limits *out);

#endif
