/* core/io/source_kinds.h
 *
 * What a kind of source supplies.  A new scheme is a file with an open function and a row in source.c. */
#ifndef DLT_CORE_IO_SOURCE_KINDS_H
#define DLT_CORE_IO_SOURCE_KINDS_H

#include "core/source.h"

#include <stdatomic.h>

enum { SOURCE_NAME_MAX = 128, SOURCE_POLL_MS = 100 };        /* how often those who wait ask whether to give up */

struct source_ops {
    /* Ranges lie inside the size; they may be empty.  All or an error.  Called from several threads at once.
     * A remote kind joins ranges that follow each other. */
    enum status (*read_ranges)(struct source *s, const struct source_range *ranges, size_t n, struct error *e);
    void (*close)(struct source *s);         /* frees `s` with what it holds */
    enum status (*check_unchanged)(struct source *s, struct error *e);     /* NULL: nothing to ask */
};

struct source_cancel {
    bool (*cancelled)(void *ctx);            /* NULL: never */
    void *ctx;
};

/* First member of every kind's own struct.  Opening functions fill all of it. */
struct source {
    const struct source_ops *ops;
    uint64_t size;
    char name[SOURCE_NAME_MAX];
    struct source_cancel cancel;
    const struct source *counted;            /* the source behind this one, whose counters count; may be NULL */
    atomic_uint_fast64_t n_requests, n_bytes, n_retries;
};

/* A plain path; file:///path with %NN escapes.  Not cancellable: a disk answers. */
enum status source_open_file(const char *path, struct source **out, struct error *e) MUST_USE;
enum status source_open_file_url(const char *url, const struct source_cancel *c, struct source **out,
                                 struct error *e) MUST_USE;
/* Takes the descriptor of a regular file of `size` bytes, also when it fails. */
enum status source_open_descriptor(int fd, uint64_t size, const char *url, struct source **out,
                                   struct error *e) MUST_USE;
/* Remote ones, with the cache in front of them. */
enum status source_open_https(const char *url, const struct source_cancel *c, struct source **out,
                              struct error *e) MUST_USE;
enum status source_open_xroot(const char *url, const struct source_cancel *c, struct source **out,
                              struct error *e) MUST_USE;

/* Whether whoever waits should give up: then CANCELLED with a text. */
enum status source_check_cancel(const struct source_cancel *c, struct error *e) MUST_USE;

/* The last component of a path or URL, without query and fragment, into name[SOURCE_NAME_MAX]. */
void source_set_name(struct source *s, const char *url);

#endif
