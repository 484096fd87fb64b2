/* server/json/events_in_number.c
 *
 * Numbers and arrays of numbers: nearly all bytes of a posted event.  Digits are read eight at a time in one 64-bit
 * word; tests/bench/bench_events_in has the figures.  Rounding is always that of strtod:
 *   mantissa below 2^53 and power of ten up to 22: both are exact doubles, so one multiplication or division rounds
 *     once (Clinger 1990, doi:10.1145/93548.93557);
 *   mantissa below 2^64 over 10^1..10^19: 128-bit integer division with a sticky remainder, rounded once;
 *   everything else: strtod itself. */
#include "server/json/events_in_scan.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static const double pow10_f64[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const uint64_t pow10_u64[] = {
    1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u, 10000000000u, 100000000000u,
    1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u, 100000000000000000u,
    1000000000000000000u, 10000000000000000000u};
/* Dividing by these gives the sign for nothing; a branch on it would be mispredicted every other time. */
static const double signed_pow10[2][16] = {
    {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15},
    {-1e0, -1e1, -1e2, -1e3, -1e4, -1e5, -1e6, -1e7, -1e8, -1e9, -1e10, -1e11, -1e12, -1e13, -1e14, -1e15}};
enum { POW10_EXACT = 22, POW10_DIVIDE = 19, DIGITS_MAX = 19, SHORT_BYTES = 16, QUICK_BYTES = 40 };
#define MANTISSA_EXACT (UINT64_C(1) << 53)

/* ---- eight digits in a word ---------------------------------------------------------------------------- */

static inline uint64_t load8(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* The top bit of each byte that is no digit. */
static inline uint64_t not_digits(uint64_t w)
{
    uint64_t t = w ^ UINT64_C(0x3030303030303030);     /* digits become 0 to 9 */
    return (((t & UINT64_C(0x7f7f7f7f7f7f7f7f)) + UINT64_C(0x7676767676767676)) | t) & UINT64_C(0x8080808080808080);
}

/* How many of the first eight characters are digits before the first that is none. */
static inline unsigned digits_leading(uint64_t w)
{
    uint64_t none = not_digits(w);
    return none ? (unsigned)__builtin_ctzll(none) / 8 : 8;
}

/* Value of the first n (1 to 8) characters, digits all: shifted to the end of the word, pairs, fours, eight. */
static inline uint64_t digits_value(uint64_t w, unsigned n)
{
    w = (w & UINT64_C(0x0f0f0f0f0f0f0f0f)) << (8 * (8 - n));
    w = (w * 10 + (w >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    w = (w * 100 + (w >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (w * 10000 + (w >> 32)) & UINT64_C(0xffffffff);
}

/* ---- rounding ------------------------------------------------------------------------------------------ */

/* m / 10^k, rounded once to nearest even; m > 0, k in [1, 19].  The quotient of the two numbers with their top bits
 * set has 63 or 64 bits; what the division leaves only decides ties, so it is or-ed into the last bit. */
static double divide_pow10(uint64_t m, unsigned k)
{
    uint64_t d = pow10_u64[k];
    int shift_m = __builtin_clzll(m), shift_d = __builtin_clzll(d);
    unsigned __int128 top = (unsigned __int128)(m << shift_m) << 63;
    d <<= shift_d;
    uint64_t q = (uint64_t)(top / d);
    q |= (uint64_t)(top % d != 0);
    uint64_t power = (uint64_t)(1023 + shift_d - shift_m - 63) << 52;          /* 2^(...): never near a denormal */
    double scale;
    memcpy(&scale, &power, sizeof scale);
    return (double)q * scale;
}

/* m * 10^exponent when one of the exact ways applies; false: ask strtod. */
static inline bool round_exact(uint64_t m, int64_t exponent, double *out)
{
    if (m < MANTISSA_EXACT && exponent >= -POW10_EXACT && exponent <= POW10_EXACT)
        *out = exponent < 0 ? (double)m / pow10_f64[-exponent] : (double)m * pow10_f64[exponent];
    else if (m == 0 || exponent == 0)
        *out = (double)m;
    else if (exponent < 0 && exponent >= -POW10_DIVIDE)
        *out = divide_pow10(m, (unsigned)-exponent);
    else
        return false;
    return true;
}

/* The number's text is not terminated, strtod wants it so. */
static bool round_strtod(const uint8_t *p, size_t len, struct arena *a, double *out)
{
    char small[128];
    if (len < sizeof small) {
        memcpy(small, p, len);
        small[len] = '\0';
        *out = strtod(small, NULL);
        return true;
    }
    char *copy = arena_strndup(a, (const char *)p, len);
    if (copy)
        *out = strtod(copy, NULL);
    return copy != NULL;
}

static inline bool is_digit(const uint8_t *p, const uint8_t *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* Digits gathered into a mantissa of at most 19 significant ones; the rest is counted away and marks it inexact. */
struct digits {
    uint64_t m;
    int n;                             /* significant digits in m */
    bool inexact;
};

static const uint8_t *gather(const uint8_t *p, const uint8_t *end, bool fraction, struct digits *d, int64_t *exponent)
{
    for (; is_digit(p, end); p++) {
        unsigned v = *p - '0';
        if (d->n == DIGITS_MAX) {
            d->inexact |= v != 0;
            *exponent += !fraction;
            continue;
        }
        d->m = d->m * 10 + v;
        d->n += d->m != 0;
        *exponent -= fraction;
    }
    return p;
}

static const uint8_t *exponent_part(const uint8_t *p, const uint8_t *end, int64_t *exponent)
{
    bool minus = p < end && *p == '-';
    p += p < end && (*p == '-' || *p == '+');
    if (!is_digit(p, end))
        return NULL;
    int64_t v = 0;
    for (; is_digit(p, end); p++)
        v = v < 100000000 ? v * 10 + (*p - '0') : v;
    *exponent += minus ? -v : v;
    return p;
}

const uint8_t *number_scan(const uint8_t *p, const uint8_t *end, struct arena *a, struct scan_number *out,
                           bool *no_memory)
{
    const uint8_t *start = p;
    struct digits d = {0};
    int64_t exponent = 0;
    bool minus = p < end && *p == '-', only_digits = true;
    p += minus;
    if (!is_digit(p, end))
        return NULL;
    if (*p == '0')
        p++;
    else
        p = gather(p, end, false, &d, &exponent);
    if (p < end && *p == '.') {
        only_digits = false;
        if (!is_digit(++p, end))
            return NULL;
        p = gather(p, end, true, &d, &exponent);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        only_digits = false;
        p = exponent_part(p + 1, end, &exponent);
        if (!p)
            return NULL;
    }
    double v = 0;
    if (d.inexact || !round_exact(d.m, exponent, &v)) {
        if (!round_strtod(start, (size_t)(p - start), a, &v)) {
            *no_memory = true;
            return NULL;
        }
    } else if (minus) {
        v = -v;
    }
    out->value = v;
    if (only_digits && exponent == 0 && d.m <= (uint64_t)INT64_MAX) {
        out->is_integer = true;                       /* exact, also above 2^53 */
        out->integer = minus ? -(int64_t)d.m : (int64_t)d.m;
    } else {
        out->is_integer = !only_digits && fabs(v) <= (double)MANTISSA_EXACT && v == trunc(v);
        out->integer = out->is_integer ? (int64_t)v : 0;
    }
    return p;
}

/* Bit i is set when character i of the 16 at p is no digit. */
static inline unsigned not_digits16(const uint8_t *p)
{
#if defined(__SSE2__)
    __m128i t = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8((char)('0' + 128)));
    return (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(t, _mm_set1_epi8(9 - 128)));
#else
    const uint64_t gather_bits = UINT64_C(0x0102040810204080);
    uint64_t low = not_digits(load8(p)) >> 7, high = not_digits(load8(p + 8)) >> 7;
    return (unsigned)(low * gather_bits >> 56 | high * gather_bits >> 56 << 8);
#endif
}

/* The hot loop's two ways, for numbers without exponent.  Each returns the end, or NULL when another has to look. */

/* At most 15 characters, from one load of SHORT_BYTES: where the next number begins is known before this one's value.
 * Branches that depend on the digits are avoided: they are mispredicted every other time. */
__attribute__((always_inline)) static inline const uint8_t *number_short(const uint8_t *p, double *out)
{
    unsigned minus = *p == '-', none = not_digits16(p) >> minus, behind = none & (none - 1);
    if (behind == 0)
        return NULL;
    p += minus;
    unsigned n_int = (unsigned)__builtin_ctz(none);
    unsigned point = p[n_int] == '.', n = point ? (unsigned)__builtin_ctz(behind) - 1 : n_int;
    const uint8_t *end = p + n + point;
    /* No digit or more than 7 before the point, none behind it, a leading zero, an exponent. */
    if ((n_int - 1 > 6) | ((n == n_int) & point) | ((n_int > 1) & (*p == '0')) | ((*end | 0x20) == 'e'))
        return NULL;
    uint64_t before = (UINT64_C(1) << (8 * n_int)) - 1;
    uint64_t digits = (load8(p) & before) | (load8(p + point) & ~before);      /* the point taken out */
    uint64_t m = digits_value(digits, n < 8 ? n : 8);
    if (n > 8)
        m = m * pow10_u64[n - 8] + digits_value(load8(p + 8 + point), n - 8);
    *out = (double)(int64_t)m / signed_pow10[minus][n - n_int];
    return end;
}

/* Whether a double that is off by 2 units in its last place still becomes the float of the right double: not near the
 * middle between two floats.  (A mantissa rounded to double, then a division: 2^-53 each.) */
static inline bool rounds_alike(double v)
{
    enum { LOW_BITS = 29, MARGIN = 8 };
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint64_t low = bits & ((UINT64_C(1) << LOW_BITS) - 1), middle = UINT64_C(1) << (LOW_BITS - 1);
    return low - (middle - MARGIN) > 2 * MARGIN;
}

/* At most 7 digits before the point, 19 in all.  QUICK_BYTES can be read at p.  `for_f32`: the double may be off where
 * its float is not. */
static const uint8_t *number_long(const uint8_t *p, bool for_f32, double *out)
{
    bool minus = *p == '-';
    p += minus;
    uint64_t w = load8(p), m;
    unsigned n_int = digits_leading(w), n_frac = 0, n;
    if (n_int - 1 > 6 || (n_int > 1 && (w & 0xff) == '0'))
        return NULL;                                  /* none, eight or more, or a leading zero */
    m = digits_value(w, n_int);
    p += n_int;
    if (*p == '.') {
        p++;
        do {
            w = load8(p);
            n = digits_leading(w);
            if (n == 0)
                break;
            n_frac += n;
            if (n_int + n_frac > DIGITS_MAX)
                return NULL;
            m = m * pow10_u64[n] + digits_value(w, n);
            p += n;
        } while (n == 8);
        if (n_frac == 0)
            return NULL;
    }
    if (*p == 'e' || *p == 'E')
        return NULL;
    double v;
    /* 17 digits are what programs print for a float made double. */
    if (m < MANTISSA_EXACT || (for_f32 && rounds_alike((double)m / pow10_f64[n_frac])))
        v = (double)m / pow10_f64[n_frac];
    else
        v = divide_pow10(m, n_frac);
    *out = minus ? -v : v;
    return p;
}

/* ---- values -------------------------------------------------------------------------------------------- */

/* NaN, Infinity and -Infinity are what Python writes for them: not JSON, but better answered with their place. */
static bool take_not_finite(struct scan *s)
{
    static const char *const words[] = {"null", "NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
            s->p += n;
            return true;
        }
    }
    return false;
}

/* A number of any kind at the cursor, or a problem and *ok false. */
static enum status scan_value(struct scan *s, const char *expected, struct scan_number *out, bool *ok)
{
    bool no_memory = false;
    int c = scan_peek(s);
    *ok = false;
    if ((c == 'n' || c == 'N' || c == 'I' || c == '-') && take_not_finite(s)) {
        scan_problem(s, "not_finite", "null, NaN and infinities are not allowed");
        return STATUS_OK;
    }
    if (c != '-' && !(c >= '0' && c <= '9'))
        return scan_wrong_type(s, expected);
    const uint8_t *next = number_scan(s->p, s->end, s->arena, out, &no_memory);
    if (no_memory)
        return error_set(s->e, STATUS_NOMEM, "no memory for a number of the event");
    if (!next)
        return scan_fail(s, "a number");
    s->p = next;
    *ok = true;
    return STATUS_OK;
}

static bool to_f32(double v, float *out)
{
    *out = (float)v;
    return isfinite(*out);
}

enum status scan_f32(struct scan *s, float *out, bool *ok)
{
    struct scan_number number;
    TRY(scan_value(s, "a number", &number, ok));
    if (*ok && !to_f32(number.value, out)) {
        scan_problem(s, "out_of_range", "beyond the range of a 32-bit float");
        *ok = false;
    }
    return STATUS_OK;
}

enum status scan_integer(struct scan *s, int64_t min, int64_t max, int64_t *out, bool *ok)
{
    struct scan_number number;
    TRY(scan_value(s, "an integer", &number, ok));
    if (!*ok)
        return STATUS_OK;
    *ok = number.is_integer && number.integer >= min && number.integer <= max;
    if (*ok)
        *out = number.integer;
    else if (!number.is_integer && number.value != trunc(number.value))
        scan_problem(s, "type", "expected an integer, found a fraction");
    else
        scan_problem(s, "out_of_range", "expected an integer from %lld to %lld", (long long)min, (long long)max);
    return STATUS_OK;
}

/* ---- arrays -------------------------------------------------------------------------------------------- */

/* Begins an array: *open says whether elements follow. */
static enum status array_begin(struct scan *s, bool *is_array, bool *open)
{
    *open = false;
    *is_array = scan_peek(s) == '[';
    if (!*is_array)
        return scan_wrong_type(s, "an array of numbers");
    check(s->depth < s->depth_max);                   /* arrays of numbers have a known, small depth */
    s->p++;
    *open = !scan_take(s, ']');
    return STATUS_OK;
}

/* Behind an element: *more when another follows. */
static enum status array_next(struct scan *s, bool *more)
{
    *more = scan_take(s, ',');
    return *more || scan_take(s, ']') ? STATUS_OK : scan_fail(s, "',' or ']'");
}

/* As many elements as can be had the short ways, the cursor at an element before and after: `store` takes each value
 * and says whether it was good.  Returns how many were taken.  The cursor is kept in a register, and an element is
 * taken to look like the one before: as long, and with a space (Python's ", ") before it or not. */
__attribute__((always_inline)) static inline size_t quick_run(struct scan *s, void *out, size_t room, bool for_f32,
                                                              bool (*store)(void *out, size_t i, double v))
{
    const uint8_t *p = s->p, *const last = s->end - QUICK_BYTES, *next;
    size_t i = 0, space = 0;
    bool is_long = false;
    for (; i < room && p < last; i++) {
        double v;
        if (*p == ' ' ? space == 0 : space == 1)
            space = !space;
        next = is_long ? NULL : number_short(p + space, &v);
        if (!next) {
            next = number_long(p + space, for_f32, &v);
            is_long = next && next - p > SHORT_BYTES;
        }
        if (!next || *next != ',' || !store(out, i, v))
            break;                                    /* the last one too: what is behind it is not for here */
        p = next + 1;
    }
    s->p = p;
    return i;
}

static inline bool store_f32(void *out, size_t i, double v)
{
    ((float *)out)[i] = (float)v;                     /* eight digits before the point: never out of range */
    return true;
}

enum status scan_f32_array(struct scan *s, float *out, size_t max, size_t *n, bool *is_array)
{
    bool more, ok;
    size_t i = 0;
    *n = 0;
    TRY(array_begin(s, is_array, &more));
    while (more) {
        if (i < max && s->end - s->p > QUICK_BYTES)
            i += quick_run(s, out + i, max - i, true, store_f32);
        float v;
        s->index = i;
        TRY(scan_f32(s, &v, &ok));
        s->index = SCAN_NO_INDEX;
        if (ok && i < max)
            out[i] = v;
        i++;
        TRY(array_next(s, &more));
    }
    *n = i;
    return STATUS_OK;
}

static inline bool store_i32(void *out, size_t i, double v)
{
    int32_t word = v >= INT32_MIN && v <= INT32_MAX ? (int32_t)v : 0;
    ((int32_t *)out)[i] = word;
    return (double)word == v;
}

static inline bool store_u32(void *out, size_t i, double v)
{
    uint32_t word = v >= 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
    ((uint32_t *)out)[i] = word;
    return (double)word == v;
}

/* An element that the short way did not take. */
static enum status integer_element(struct scan *s, size_t i, int64_t min, int64_t max, int64_t *out)
{
    bool ok;
    *out = 0;
    s->index = i;
    TRY(scan_integer(s, min, max, out, &ok));
    s->index = SCAN_NO_INDEX;
    return STATUS_OK;
}

enum status scan_i32_array(struct scan *s, int32_t *out, size_t max, size_t *n, bool *is_array)
{
    bool more;
    int64_t v;
    size_t i = 0;
    *n = 0;
    TRY(array_begin(s, is_array, &more));
    for (; more; i++) {
        if (i < max && s->end - s->p > QUICK_BYTES)
            i += quick_run(s, out + i, max - i, false, store_i32);
        TRY(integer_element(s, i, INT32_MIN, INT32_MAX, &v));
        if (i < max)
            out[i] = (int32_t)v;
        TRY(array_next(s, &more));
    }
    *n = i;
    return STATUS_OK;
}

enum status scan_u32_array(struct scan *s, uint32_t *out, size_t max, size_t *n, bool *is_array)
{
    bool more;
    int64_t v;
    size_t i = 0;
    *n = 0;
    TRY(array_begin(s, is_array, &more));
    for (; more; i++) {
        if (i < max && s->end - s->p > QUICK_BYTES)
            i += quick_run(s, out + i, max - i, false, store_u32);
        TRY(integer_element(s, i, 0, UINT32_MAX, &v));
        if (i < max)
            out[i] = (uint32_t)v;
        TRY(array_next(s, &more));
    }
    *n = i;
    return STATUS_OK;
}
