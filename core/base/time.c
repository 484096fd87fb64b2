/* core/base/time.c
 *
 * Two clocks: one for durations, one for dates. */
#include "core/base.h"

#include <time.h>

int64_t time_mono_ns(void)
{
    struct timespec t;
    check(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t time_unix_us(void)
{
    struct timespec t;
    check(clock_gettime(CLOCK_REALTIME, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
