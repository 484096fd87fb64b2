/* tests/support/alloc_fail.c
 *
 * Fails the n-th allocation in turn, through the hook of core/base.h. */
#include "tests/support/support.h"

#include <stdatomic.h>

static atomic_size_t n_seen;
static size_t first_failing;
static bool all_behind, was_reached = true;

static bool fail_now(size_t bytes)
{
    (void)bytes;
    size_t i = atomic_fetch_add(&n_seen, 1) + 1;
    return i == first_failing || (all_behind && i > first_failing);
}

static void start(size_t n, bool behind)
{
    check(n > 0);
    first_failing = n;
    all_behind = behind;
    atomic_store(&n_seen, 0);
    mem_fail_hook = fail_now;
}

bool alloc_fail_begin(size_t n)
{
    if (n > 1 && !was_reached) {
        was_reached = true;
        return false;
    }
    start(n, false);
    return true;
}

void alloc_fail_all_from(size_t n)
{
    start(n, true);
}

bool alloc_fail_end(void)
{
    mem_fail_hook = NULL;
    was_reached = atomic_load(&n_seen) >= first_failing;
    return was_reached;
}
