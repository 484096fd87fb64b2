/* core/source.h
 *
 * Bytes by URL, read at offsets.  One row of a table per scheme (core/io/source.c): a path or file:// is read from
 * disk; memory serves tests and fuzzers.  A scheme that is not built in is a row that says what is missing. */
#ifndef DLT_CORE_SOURCE_H
#define DLT_CORE_SOURCE_H

#include "core/base.h"

struct source;

struct source_range {
    uint64_t offset;
    size_t len;
    void *dst;                         /* caller's memory, len bytes */
};

struct source_counters {
    uint64_t requests, bytes;
};

/* Opens for reading.  On OK *out is the caller's: source_close().  Fails: NOTFOUND, IO, UNSUPPORTED (scheme). */
enum status source_open(const char *url, struct source **out, struct error *e) MUST_USE;
/* Wraps memory that outlives the source; `name` is for messages. */
enum status source_open_memory(const void *data, size_t len, const char *name, struct source **out,
                               struct error *e) MUST_USE;
void source_close(struct source *s);                          /* NULL is allowed */

const char *source_name(const struct source *s);              /* last path component, for messages */
uint64_t source_size(const struct source *s);
struct source_counters source_counters(const struct source *s);
/* Exactly `len` bytes at `offset`, or FORMAT when the range passes the end ("wants bytes A to B of N"), or IO.
 * Safe from several threads at once. */
enum status source_read(struct source *s, uint64_t offset, void *dst, size_t len, struct error *e) MUST_USE;
/* Many ranges in one call: a remote source sends them together. */
enum status source_read_ranges(struct source *s, const struct source_range *ranges, size_t n,
                               struct error *e) MUST_USE;

#endif
