/* core/base/rng.c
 *
 * Output i of a stream is mix(key + (i + 1) * gamma): SplitMix64 with its state written as key and counter. */
#include "core/base.h"

#include <math.h>

static const uint64_t gamma64 = 0x9E3779B97F4A7C15u;          /* 2^64 / golden ratio, odd */

static uint64_t mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

struct rng rng_stream(uint64_t seed, uint64_t stream)
{
    /* mix64 and multiplication by an odd number are bijections: streams of one seed never share a key. */
    return (struct rng){mix64(mix64(seed + gamma64) + stream * gamma64), 0};
}

uint64_t rng_u64(struct rng *r)
{
    return mix64(r->key + ++r->counter * gamma64);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    check(n > 0);
    /* Lemire 2019, doi:10.1145/3230636: the high half of draw * n; low halves below 2^64 mod n are one too many. */
    unsigned __int128 product = (unsigned __int128)rng_u64(r) * n;
    if ((uint64_t)product < n) {
        uint64_t surplus = -n % n;
        while ((uint64_t)product < surplus)
            product = (unsigned __int128)rng_u64(r) * n;
    }
    return (uint64_t)(product >> 64);
}

double rng_f64(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_normal(struct rng *r)
{
    double radius = sqrt(-2 * log(1 - rng_f64(r)));           /* 1 - [0, 1) is never 0 */
    return radius * cos(2 * M_PI * rng_f64(r));
}

void rng_shuffle_u32(struct rng *r, uint32_t *v, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(r, i);
        uint32_t kept = v[i - 1];
        v[i - 1] = v[j];
        v[j] = kept;
    }
}
