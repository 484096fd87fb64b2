/* server/store/id.c
 *
 * Typed ids: a prefix and a ULID (48 bits of milliseconds, 80 random bits, Crockford base 32).  Within one millisecond,
 * or when the clock steps back, the last one is counted up, so ids of a process sort in the order they were given. */
#include "server/store/store.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

enum { ULID_BYTES = 16, ULID_CHARS = 26 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t last[ULID_BYTES];

static void encode(const uint8_t bytes[ULID_BYTES], char out[ULID_CHARS + 1])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    unsigned value = 0, n_bits = 2;               /* 130 bits: the text begins with two zero bits */
    size_t i_byte = 0;
    for (size_t i = 0; i < ULID_CHARS; i++) {
        while (n_bits < 5) {
            value = value << 8 | bytes[i_byte++];
            n_bits += 8;
        }
        n_bits -= 5;
        out[i] = digits[value >> n_bits & 31];
        value &= (1u << n_bits) - 1;
    }
    out[ULID_CHARS] = '\0';
}

static void next_ulid(uint8_t out[ULID_BYTES])
{
    uint64_t ms = (uint64_t)time_unix_us() / 1000;
    uint8_t fresh[ULID_BYTES];
    for (int i = 0; i < 6; i++)
        fresh[i] = (uint8_t)(ms >> (40 - 8 * i));
    pthread_mutex_lock(&lock);
    if (memcmp(fresh, last, 6) > 0) {
        check(getrandom(fresh + 6, 10, 0) == 10);         /* up to 256 bytes never come short */
        memcpy(last, fresh, sizeof last);
    } else {
        for (int i = ULID_BYTES - 1; i >= 0 && ++last[i] == 0; i--)
            ;
    }
    memcpy(out, last, sizeof last);
    pthread_mutex_unlock(&lock);
}

void store_new_id(const char *prefix, char out[40])
{
    uint8_t bytes[ULID_BYTES];
    char text[ULID_CHARS + 1];
    check(strlen(prefix) <= 12);
    next_ulid(bytes);
    encode(bytes, text);
    snprintf(out, 40, "%s_%s", prefix, text);
}

void store_derived_id(const char *prefix, const char *of, int n, char out[40])
{
    struct sha256 h;
    char hex[65], text[ULID_CHARS + 1], salt[64];
    uint8_t bytes[ULID_BYTES] = {0};
    int len = snprintf(salt, sizeof salt, "|%s|%d", prefix, n);
    sha256_init(&h);
    sha256_update(&h, of, strlen(of));
    sha256_update(&h, salt, (size_t)len);
    sha256_final_hex(&h, hex);
    for (int i = 6; i < ULID_BYTES; i++) {
        unsigned byte;
        check(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        bytes[i] = (uint8_t)byte;
    }
    encode(bytes, text);
    /* The first ten characters are the time: taken over, so that it still sorts. */
    const char *time = strrchr(of, '_') ? strrchr(of, '_') + 1 : of;
    if (strlen(time) == ULID_CHARS)
        memcpy(text, time, 10);
    check(strlen(prefix) <= 12);
    snprintf(out, 40, "%s_%s", prefix, text);
}
