/* core/base/hash.c
 *
 * XXH64: its output is fixed by its specification, so that splits and file names survive builds and machines. */
#include "core/base.h"

#include <xxhash.h>

uint64_t hash64(const void *p, size_t n, uint64_t seed)
{
    return XXH64(p, n, seed);
}
