/* core/base/keep.c
 *
 * glibc's allocator returns blocks above a threshold, and the end of its heap, to the system as they are freed. */
#include "core/base/keep.h"

#include <stdlib.h>

#ifdef __GLIBC__
#include <malloc.h>

enum {
    KEPT_BYTES = 128 << 20,
    OWN_MAPPING_BYTES = 32 << 20, /* the most that the allocator takes for this threshold */
    PAD_BYTES = 4 << 20,
    IDLE_KEPT_BYTES = 1 << 20,
    IDLE_PAD_BYTES = 128 << 10
};

void mem_keep(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, PAD_BYTES);
}

void mem_give_back(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, IDLE_KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, IDLE_PAD_BYTES);
    (void)malloc_trim(0);
}

#else

void mem_keep(void) {}
void mem_give_back(void) {}

#endif
