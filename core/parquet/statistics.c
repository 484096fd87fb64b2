/* core/parquet/statistics.c
 *
 * The loops over numbers keep one bound per lane, so that they run at the speed of memory without reordering flags;
 * minimum and maximum do not depend on the order.  `v < lo ? v : lo` keeps `lo` when v is NaN. */
#include "core/parquet/statistics.h"

#include <math.h>

/* ---- gathering ------------------------------------------------------------------------------------------- */

enum { LANES = 16 };

#define DEFINE_RANGE(name, type)                                                                                       \
    static size_t name(const type *v, size_t n, type *min, type *max)                                                  \
    {                                                                                                                  \
        type lo[LANES], hi[LANES];                                                                                     \
        uint32_t nan[LANES] = {0};                                                                                     \
        size_t i = 0, n_nans = 0;                                                                                      \
        for (int k = 0; k < LANES; k++) {                                                                              \
            lo[k] = *min;                                                                                              \
            hi[k] = *max;                                                                                              \
        }                                                                                                              \
        for (; n - i >= LANES; i += LANES)                                                                             \
            for (int k = 0; k < LANES; k++) {                                                                          \
                type x = v[i + k];                                                                                     \
                lo[k] = x < lo[k] ? x : lo[k];                                                                         \
                hi[k] = x > hi[k] ? x : hi[k];                                                                         \
                nan[k] += x != x;                                                                                      \
            }                                                                                                          \
        for (; i < n; i++) {                                                                                           \
            lo[0] = v[i] < lo[0] ? v[i] : lo[0];                                                                       \
            hi[0] = v[i] > hi[0] ? v[i] : hi[0];                                                                       \
            nan[0] += v[i] != v[i];                                                                                    \
        }                                                                                                              \
        for (int k = 0; k < LANES; k++) {                                                                              \
            *min = lo[k] < *min ? lo[k] : *min;                                                                        \
            *max = hi[k] > *max ? hi[k] : *max;                                                                        \
            n_nans += nan[k];                                                                                          \
        }                                                                                                              \
        return n_nans;                                                                                                 \
    }
DEFINE_RANGE(range_u8, uint8_t)
DEFINE_RANGE(range_i32, int32_t)
DEFINE_RANGE(range_u32, uint32_t)
DEFINE_RANGE(range_i64, int64_t)
DEFINE_RANGE(range_u64, uint64_t)
DEFINE_RANGE(range_f32, float)
DEFINE_RANGE(range_f64, double)

void statistics_begin(struct statistics *s, const struct pq_column *column)
{
    *s = (struct statistics){.type = column->type, .unsigned_ = column->unsigned_};
    if (s->type == PQ_F32) {
        s->min.f32 = INFINITY;
        s->max.f32 = -INFINITY;
    } else if (s->type == PQ_F64) {
        s->min.f64 = INFINITY;
        s->max.f64 = -INFINITY;
    } else if (s->type == PQ_BOOL || s->unsigned_) {
        s->min.u64 = UINT64_MAX; /* all ones in each of the narrower members, too */
        s->max.u64 = 0;
    } else if (s->type == PQ_I32) {
        s->min.i32 = INT32_MAX;
        s->max.i32 = INT32_MIN;
    } else {
        s->min.i64 = INT64_MAX;
        s->max.i64 = INT64_MIN;
    }
}

static int compare(struct span a, struct span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n > 0 ? memcmp(a.data, b.data, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static void add_strings(struct statistics *s, const struct pq_values *v, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        uint64_t at = v->string_offsets[i];
        struct span x = {(const uint8_t *)v->data + at, (size_t)(v->string_offsets[i + 1] - at)};
        bool none = s->n_bounded == 0 && i == first;
        if (none || compare(x, s->string_min) < 0)
            s->string_min = x;
        if (none || compare(x, s->string_max) > 0)
            s->string_max = x;
    }
}

void statistics_add(struct statistics *s, const struct pq_values *v, size_t first, size_t last)
{
    size_t n = last - first, n_nans = 0;
    const uint8_t *p =
        n > 0 ? (const uint8_t *)v->data + (s->type == PQ_STRING ? 0 : first * pq_type_size(s->type)) : NULL;
    if (n == 0)
        return;
    switch (s->type) {
    case PQ_BOOL:
        (void)range_u8(p, n, &s->min.u8, &s->max.u8);
        break;
    case PQ_I32:
        if (s->unsigned_)
            (void)range_u32((const uint32_t *)p, n, &s->min.u32, &s->max.u32);
        else
            (void)range_i32((const int32_t *)p, n, &s->min.i32, &s->max.i32);
        break;
    case PQ_I64:
        if (s->unsigned_)
            (void)range_u64((const uint64_t *)p, n, &s->min.u64, &s->max.u64);
        else
            (void)range_i64((const int64_t *)p, n, &s->min.i64, &s->max.i64);
        break;
    case PQ_F32:
        n_nans = range_f32((const float *)p, n, &s->min.f32, &s->max.f32);
        break;
    case PQ_F64:
        n_nans = range_f64((const double *)p, n, &s->min.f64, &s->max.f64);
        break;
    case PQ_STRING:
        add_strings(s, v, first, last);
        break;
    }
    s->n_bounded += n - n_nans;
    s->n_nans += n_nans;
}

struct meta_statistics statistics_finish(struct statistics *s, int64_t n_nulls)
{
    struct meta_statistics out = {.has_nulls = true, .n_nulls = n_nulls};
    size_t size = pq_type_size(s->type);
    out.has_nans = s->type == PQ_F32 || s->type == PQ_F64;
    out.n_nans = (int64_t)s->n_nans;
    out.has_min = out.has_max = s->n_bounded > 0;
    if (s->type == PQ_STRING) {
        out.min = s->string_min;
        out.max = s->string_max;
        out.has_min = out.has_min && out.min.len <= STATISTICS_STRING_MAX;
        out.has_max = out.has_max && out.max.len <= STATISTICS_STRING_MAX;
        return out;
    }
    if (s->type == PQ_F32) {
        s->min.f32 = s->min.f32 == 0 ? -0.0f : s->min.f32;
        s->max.f32 = s->max.f32 == 0 ? 0.0f : s->max.f32;
    } else if (s->type == PQ_F64) {
        s->min.f64 = s->min.f64 == 0 ? -0.0 : s->min.f64;
        s->max.f64 = s->max.f64 == 0 ? 0.0 : s->max.f64;
    } else if (s->type == PQ_BOOL) {
        s->min.u8 = s->min.u8 != 0; /* any byte but 0 is stored as true */
        s->max.u8 = s->max.u8 != 0;
    }
    out.min = (struct span){(const uint8_t *)&s->min, size};
    out.max = (struct span){(const uint8_t *)&s->max, size};
    return out;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* The double next to a 64-bit integer, not above it (or not below it). */
static double outward(long double exact, bool down)
{
    double d = (double)exact;
    if (down && (long double)d > exact)
        return nextafter(d, -INFINITY);
    if (!down && (long double)d < exact)
        return nextafter(d, INFINITY);
    return d;
}

static double bound(struct span bytes, const struct pq_column *c, bool is_min)
{
    union statistics_bound b = {.u64 = 0};
    if (bytes.len != pq_type_size(c->type))
        return NAN;
    memcpy(&b, bytes.data, bytes.len);
    switch (c->type) {
    case PQ_BOOL:
        return b.u8 & 1;
    case PQ_I32:
        return c->unsigned_ ? (double)b.u32 : (double)b.i32;
    case PQ_I64:
        return outward(c->unsigned_ ? (long double)b.u64 : (long double)b.i64, is_min);
    case PQ_F32:
        return b.f32 == 0 ? (is_min ? -0.0 : 0.0) : b.f32;
    case PQ_F64:
        return b.f64 == 0 ? (is_min ? -0.0 : 0.0) : b.f64;
    case PQ_STRING:
        break;
    }
    return NAN;
}

struct pq_statistics statistics_read(const struct meta_statistics *s, const struct pq_column *column, bool trust_order)
{
    struct pq_statistics out = {.nulls = s->has_nulls && s->n_nulls >= 0 ? s->n_nulls : -1};
    bool comparable = s->ordered ? trust_order : !column->unsigned_;
    if (column->unsupported || column->type == PQ_STRING || !comparable || !s->has_min || !s->has_max)
        return out;
    out.min = bound(s->min, column, true);
    out.max = bound(s->max, column, false);
    out.present = out.min <= out.max;
    return out;
}
