/* core/io/range_cache.h
 *
 * A block cache with read-ahead in front of a source whose requests are slow. */
#ifndef DLT_CORE_IO_RANGE_CACHE_H
#define DLT_CORE_IO_RANGE_CACHE_H

#include "core/io/source_kinds.h"

enum { CACHE_BLOCK_BYTES = 256 << 10 };

struct range_cache_options {
    size_t block_bytes;                          /* [CACHE_BLOCK_BYTES] */
    size_t cache_bytes;                          /* at least 8 blocks are kept */
    bool no_read_ahead;
    struct span head;                            /* the first bytes of the file, where they are known: not kept */
};

/* Takes `behind` on OK; source_close() of *out closes it.  Adjacent missing blocks reach `behind` as ranges that follow
 * each other, all of a read in few calls.  A block is fetched once however many threads want it. */
enum status range_cache_open(struct source *behind, const struct range_cache_options *o, struct source **out,
                             struct error *e) MUST_USE;

#endif
