/* core/base/cpu.c
 *
 * Which kernels this machine can run.  DLT_KERNEL and cpu_level_set() only lower the level: a kernel that the
 * processor cannot run is never chosen. */
#include "core/base.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum cpu_level available;
static atomic_int cap = CPU_AVX512;

static enum cpu_level detect(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return avx2 && avx512 ? CPU_AVX512 : avx2 ? CPU_AVX2 : CPU_PORTABLE;
#else
    return CPU_PORTABLE;
#endif
}

static void find_level(void)
{
    static const char *const names[] = {"portable", "avx2", "avx512"};
    available = detect();
    const char *wanted = getenv("DLT_KERNEL");
    if (!wanted || !*wanted)
        return;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(wanted, names[i]) == 0) {
            available = i < available ? (enum cpu_level)i : available;
            return;
        }
    log_line(LOG_WARN, "DLT_KERNEL=%.32s is none of portable, avx2, avx512: ignored", wanted);
}

enum cpu_level cpu_level(void)
{
    pthread_once(&once, find_level);
    enum cpu_level most = (enum cpu_level)atomic_load_explicit(&cap, memory_order_relaxed);
    return most < available ? most : available;
}

void cpu_level_set(enum cpu_level most)
{
    atomic_store(&cap, (int)most);
}
