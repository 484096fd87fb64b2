/* server/trigger/prescale.c
 *
 * Prescales without state: the same events are kept on every node, after a restart and in replay. */
#include "server/trigger/trigger.h"

#include <string.h>

static void put_le64(uint8_t *p, int64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)((uint64_t)v >> (8 * i));
}

bool trigger_prescale_keeps(uint64_t seed, const char *path, int64_t run, int64_t lumi, int64_t event, int64_t n)
{
    uint8_t key[256];
    size_t len = strlen(path);
    if (n <= 1)
        return n == 1;
    check(len <= sizeof key - 24);                    /* menus have names of up to 64 bytes */
    memcpy(key, path, len);
    put_le64(key + len, run);
    put_le64(key + len + 8, lumi);
    put_le64(key + len + 16, event);
    return hash64(key, len + 24, seed) % (uint64_t)n == 0;
}
