/* core/source.h
 *
 * Bytes by URL, read at offsets.  One row of a table per scheme (core/io/source.c): a path or file:// is read from
 * disk, http(s):// through libcurl, root(s):// through XRootD's client library where it is installed; memory serves
 * tests and fuzzers.  Remote sources stand behind a block cache with read-ahead, and behind source_policy_set(). */
#ifndef DLT_CORE_SOURCE_H
#define DLT_CORE_SOURCE_H

#include "core/base.h"

struct source;

struct source_range {
    uint64_t offset;
    size_t len;
    void *dst;                         /* caller's memory, len bytes */
};

/* What was asked of the disk or the wire, not of the cache in front of it. */
struct source_counters {
    uint64_t requests, bytes, retries;
};

/* Opens for reading.  On OK *out is the caller's: source_close().  Fails: NOTFOUND, IO, UNSUPPORTED (scheme); remote
 * ones also REMOTE, FORBIDDEN (policy, or the server says so), ARGUMENT (URL with credentials, host above 255
 * characters, ...), NOSPACE or RANGE (a server without ranges: the file goes to a temporary one). */
enum status source_open(const char *url, struct source **out, struct error *e) MUST_USE;
/* The same, abandoned with CANCELLED soon after `cancelled` returns true; it stays set for reading. */
enum status source_open_cancellable(const char *url, bool (*cancelled)(void *ctx), void *ctx, struct source **out,
                                    struct error *e) MUST_USE;
/* Makes long transfers of a remote source ask `cancelled` (at least every 200 ms, from whichever thread reads) and end
 * with CANCELLED.  Set it before other threads read; NULL: never.  Local files do not ask. */
void source_set_cancel(struct source *s, bool (*cancelled)(void *ctx), void *ctx);
/* Wraps memory that outlives the source; `name` is for messages. */
enum status source_open_memory(const void *data, size_t len, const char *name, struct source **out,
                               struct error *e) MUST_USE;
void source_close(struct source *s);                          /* NULL is allowed */

const char *source_name(const struct source *s);              /* last path component, for messages */
uint64_t source_size(const struct source *s);
struct source_counters source_counters(const struct source *s);
/* Exactly `len` bytes at `offset`, or FORMAT when the range passes the end ("wants bytes A to B of N"), or IO (also: a
 * remote file that has changed since it was opened), REMOTE, CANCELLED.  Safe from several threads at once. */
enum status source_read(struct source *s, uint64_t offset, void *dst, size_t len, struct error *e) MUST_USE;
/* Many ranges in one call: a remote source sends them together. */
enum status source_read_ranges(struct source *s, const struct source_range *ranges, size_t n,
                               struct error *e) MUST_USE;
/* IO when a local file is no longer what was opened (size, time of its last change): what was read may be of both.  A
 * remote source notices by itself. */
enum status source_check_unchanged(struct source *s, struct error *e) MUST_USE;

/* ---- remote hosts ---------------------------------------------------------------------------------------- */

/* Which hosts may be reached, and how patiently.  Zero members mean the default that is given in brackets.
 *
 * A pattern is "host", "*.domain" (what lies below it), "*" (any host with a public address), each also with ":port";
 * an IPv6 address stands in brackets.  Loopback and private addresses are connected to only for a host that a pattern
 * other than "*" names; link-local, multicast and cloud metadata addresses never. */
struct source_policy {
    const char *const *hosts;                    /* patterns [none: every remote URL is FORBIDDEN] */
    size_t n_hosts;
    const char *setting;                         /* what messages say to change ["the list of allowed hosts"] */
    bool token_to_any_host;                      /* see below [only to hosts named by a pattern other than "*"] */
    int64_t attempts;                            /* of a request without progress, in a row [6] */
    int64_t first_wait_ms, wait_max_ms;          /* before the second attempt, doubled each time [200, 20000] */
    int64_t connect_timeout_ms;                  /* [10000] */
    int64_t stall_timeout_ms;                    /* without 1 kB a second for so long: an attempt has failed [30000] */
    size_t cache_bytes;                          /* a source [32 MiB] */
    uint64_t download_bytes_max;                 /* largest file fetched whole from a server without ranges [8 GiB] */
    const char *download_folder;                 /* for that [$TMPDIR, else /var/tmp]; the file there has no name */
};

/* Process-wide, copied; for sources opened from now on.  NULL restores the default: nothing remote is allowed.
 * Fails: ARGUMENT (a malformed pattern), NOMEM; the policy is then as before.
 *
 * The bearer token of the environment (BEARER_TOKEN, else the file BEARER_TOKEN_FILE) goes to the URL's own host, over
 * https only, never to where it redirects.  X509_CERT_DIR and SSL_CERT_FILE name certificate authorities. */
enum status source_policy_set(const struct source_policy *p, struct error *e) MUST_USE;

#endif
