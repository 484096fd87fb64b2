/* core/parquet/statistics.h
 *
 * Bounds of a column chunk, by the format's rules for TYPE_ORDER: NaN never is a bound, a zero minimum is written as
 * -0 and a zero maximum as +0, unsigned integers compare as such, strings byte by byte. */
#ifndef DLT_CORE_PARQUET_STATISTICS_H
#define DLT_CORE_PARQUET_STATISTICS_H

#include "core/parquet/meta.h"

/* Longer bounds of strings are left out: the footer is no place for texts. */
enum { STATISTICS_STRING_MAX = 64 };

union statistics_bound {
    uint8_t u8;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
};

struct statistics {
    enum pq_type type;
    bool unsigned_;
    size_t n_bounded, n_nans;          /* values that the bounds hold; NaNs apart from them */
    union statistics_bound min, max;
    struct span string_min, string_max;                /* into the caller's values */
};

void statistics_begin(struct statistics *s, const struct pq_column *column);
/* Values [first, last) of `v`, which must live until statistics_finish() has been used. */
void statistics_add(struct statistics *s, const struct pq_values *v, size_t first, size_t last);
/* In the footer's form; its spans point into `s` and the values. */
struct meta_statistics statistics_finish(struct statistics *s, int64_t n_nulls);

/* Reading: bounds of numbers as doubles, rounded outwards where a 64-bit integer is not one. */
struct pq_statistics statistics_read(const struct meta_statistics *s, const struct pq_column *column, bool trust_order);

#endif
