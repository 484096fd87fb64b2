/* core/io/source_kinds.h
 *
 * What a kind of source supplies.  A new scheme is a file with an open function and a row in source.c. */
#ifndef DLT_CORE_IO_SOURCE_KINDS_H
#define DLT_CORE_IO_SOURCE_KINDS_H

#include "core/source.h"

#include <stdatomic.h>

enum { SOURCE_NAME_MAX = 128 };

struct source_ops {
    /* Ranges lie inside the size; they may be empty.  All or an error.  Called from several threads at once. */
    enum status (*read_ranges)(struct source *s, const struct source_range *ranges, size_t n, struct error *e);
    void (*close)(struct source *s);         /* frees `s` with what it holds */
};

/* First member of every kind's own struct.  Opening functions fill all of it. */
struct source {
    const struct source_ops *ops;
    uint64_t size;
    char name[SOURCE_NAME_MAX];
    atomic_uint_fast64_t n_requests, n_bytes;
};

/* A plain path; file:///path with %NN escapes. */
enum status source_open_file(const char *path, struct source **out, struct error *e) MUST_USE;
enum status source_open_file_url(const char *url, struct source **out, struct error *e) MUST_USE;

/* The last component of a path or URL, without query and fragment, into name[SOURCE_NAME_MAX]. */
void source_set_name(struct source *s, const char *url);

#endif
