/* tests/core/parquet/test_statistics.c
 *
 * Bounds by the format's rules, gathered when writing and believed when reading. */
#include "tests/core/parquet/forge.h"

#include "core/parquet/statistics.h"

#include <math.h>

static struct meta_statistics gather(struct statistics *s, const struct pq_column *c, const struct pq_values *v)
{
    statistics_begin(s, c);
    statistics_add(s, v, 0, v->n_values / 2); /* in two pages */
    statistics_add(s, v, v->n_values / 2, v->n_values);
    return statistics_finish(s, 0);
}

#define GATHER(s, column, type, ...)                                                                                   \
    gather((s), (column),                                                                                              \
           &(struct pq_values){.n_values = ARRAY_LEN(((type[]){__VA_ARGS__})), .data = (type[]){__VA_ARGS__}})

#define assert_bounds(m, type, low, high)                                                                              \
    do {                                                                                                               \
        assert_true((m).has_min && (m).has_max);                                                                       \
        assert_int_equal((m).min.len, sizeof(type));                                                                   \
        assert_memory_equal((m).min.data, &(type){low}, sizeof(type));                                                 \
        assert_memory_equal((m).max.data, &(type){high}, sizeof(type));                                                \
    } while (0)

static void test_floats_leave_nan_out_and_widen_zero(void **state)
{
    (void)state;
    const struct pq_column f32 = {.type = PQ_F32}, f64 = {.type = PQ_F64};
    struct statistics s;
    struct meta_statistics m = GATHER(&s, &f32, float, NAN, 3, -2, NAN, 1);
    assert_bounds(m, float, -2, 3);
    assert_int_equal(m.n_nans, 2);
    m = GATHER(&s, &f32, float, NAN, NAN);
    assert_false(m.has_min || m.has_max);
    assert_int_equal(m.n_nans, 2);
    m = GATHER(&s, &f32, float, 0.0f, 0.0f, NAN);
    assert_bounds(m, float, -0.0f, 0.0f);
    m = GATHER(&s, &f64, double, -0.0, -0.0);
    assert_bounds(m, double, -0.0, 0.0);
    m = GATHER(&s, &f64, double, 0.0, -1e-310, INFINITY);
    assert_bounds(m, double, -1e-310, INFINITY);
    m = GATHER(&s, &f64, double, INFINITY, INFINITY);
    assert_bounds(m, double, INFINITY, INFINITY);
    m = GATHER(&s, &f64, double, -INFINITY, -INFINITY);
    assert_bounds(m, double, -INFINITY, -INFINITY);
}

static void test_long_columns_agree_with_a_plain_search(void **state)
{
    (void)state;
    static float v[1000];
    const struct pq_column c = {.type = PQ_F32};
    struct rng r = rng_stream(9, 0);
    for (size_t n = 1; n < ARRAY_LEN(v); n += 7) {
        float low = INFINITY, high = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            v[i] = rng_below(&r, 10) == 0 ? NAN : (float)rng_normal(&r);
            low = fminf(low, v[i]);
            high = fmaxf(high, v[i]);
        }
        struct statistics s;
        struct meta_statistics m = gather(&s, &c, &(struct pq_values){.n_values = n, .data = v});
        if (low <= high)
            assert_bounds(m, float, low, high);
        else
            assert_false(m.has_min);
    }
}

static void test_integers_compare_as_announced(void **state)
{
    (void)state;
    const struct pq_column i32 = {.type = PQ_I32}, u32 = {.type = PQ_I32, .unsigned_ = true}, i64 = {.type = PQ_I64},
                           u64 = {.type = PQ_I64, .unsigned_ = true}, flag = {.type = PQ_BOOL};
    struct statistics s;
    struct meta_statistics m = GATHER(&s, &i32, int32_t, 5, -1, 3);
    assert_bounds(m, int32_t, -1, 5);
    m = GATHER(&s, &u32, int32_t, 5, -1, 3);
    assert_bounds(m, int32_t, 3, -1);
    m = GATHER(&s, &i64, int64_t, INT64_MAX, INT64_MIN);
    assert_bounds(m, int64_t, INT64_MIN, INT64_MAX);
    m = GATHER(&s, &u64, int64_t, -1, -2);
    assert_bounds(m, int64_t, -2, -1);
    m = GATHER(&s, &flag, uint8_t, 0, 0);
    assert_bounds(m, uint8_t, 0, 0);
    m = GATHER(&s, &flag, uint8_t, 0, 7, 0);
    assert_bounds(m, uint8_t, 0, 1);
    assert_false(m.has_nans);
}

static void test_strings_compare_byte_by_byte_and_long_ones_are_left_out(void **state)
{
    (void)state;
    const struct pq_column c = {.type = PQ_STRING};
    struct statistics s;
    char text[200] = "b"
                     "\xce\xbb"
                     "a"
                     "ab";
    memset(text + 7, 'z', 100);
    struct meta_statistics m =
        gather(&s, &c, &(struct pq_values){.n_values = 4, .data = text, .string_offsets = (uint64_t[]){0, 1, 3, 4, 6}});
    assert_true(m.has_min && m.has_max);
    assert_int_equal(m.min.len, 1);
    assert_memory_equal(m.min.data, "a", 1);
    assert_memory_equal(m.max.data, "\xce\xbb", 2);
    memset(text + 6, 'z', 100);
    m = gather(&s, &c, &(struct pq_values){.n_values = 3, .data = text, .string_offsets = (uint64_t[]){0, 1, 1, 1}});
    assert_true(m.has_min);
    assert_int_equal(m.min.len, 0);
    m = gather(&s, &c, &(struct pq_values){.n_values = 2, .data = text, .string_offsets = (uint64_t[]){5, 6, 106}});
    assert_true(m.has_min);
    assert_false(m.has_max);
    m = gather(&s, &c, &(struct pq_values){.n_values = 0, .data = text, .string_offsets = (uint64_t[]){0}});
    assert_false(m.has_min || m.has_max);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static struct pq_statistics read_statistics(struct forge *f)
{
    struct opened o;
    forge_finish(f);
    assert_ok(open_bytes(&o, f->file.data, f->file.len), &o.e);
    struct pq_statistics s = pq_stats(o.reader, 0, 0);
    close_opened(&o);
    forge_end(f);
    return s;
}

#define BYTES(type, x) ((struct span){(const uint8_t *)&(const type){x}, sizeof(type)})

static void forge_bounds(struct forge *f, int type, struct span low, struct span high)
{
    forge_begin(f, type);
    forge_element(f, "x", type, REQUIRED, -1, 0);
    f->chunk.statistics = (struct meta_statistics){
        .has_min = true, .has_max = true, .has_nulls = true, .min = low, .max = high, .n_nulls = 4};
}

static void test_bounds_are_read_as_doubles(void **state)
{
    (void)state;
    struct forge f;
    forge_bounds(&f, F32, BYTES(float, -1.5f), BYTES(float, 2.5f));
    struct pq_statistics s = read_statistics(&f);
    assert_true(s.present && s.min == -1.5 && s.max == 2.5);
    assert_int_equal(s.nulls, 4);
    forge_bounds(&f, F32, BYTES(float, 0.0f), BYTES(float, -0.0f));
    s = read_statistics(&f); /* written by the letter, read with the zeros widened */
    assert_true(s.present && signbit(s.min) && !signbit(s.max));
    forge_bounds(&f, PARQUET_INT64, BYTES(int64_t, (1ll << 53) + 1), BYTES(int64_t, (1ll << 53) + 1));
    s = read_statistics(&f);
    assert_true(s.present && s.min == 9007199254740992.0 && s.max == 9007199254740994.0);
    forge_bounds(&f, PARQUET_INT64, BYTES(int64_t, INT64_MIN), BYTES(int64_t, INT64_MAX));
    s = read_statistics(&f);
    assert_true(s.present && s.min == -0x1p63 && s.max == 0x1p63);
    forge_bounds(&f, I32, BYTES(int32_t, 1), BYTES(int32_t, -1));
    f.elements[0].converted = PARQUET_UINT_32;
    s = read_statistics(&f);
    assert_true(s.present && s.min == 1 && s.max == 4294967295.0);
}

static void test_bounds_that_mean_nothing_are_absent(void **state)
{
    (void)state;
    struct forge f;
    forge_bounds(&f, F32, BYTES(float, NAN), BYTES(float, 1));
    assert_false(read_statistics(&f).present);
    forge_bounds(&f, F32, BYTES(float, 2), BYTES(float, 1));
    assert_false(read_statistics(&f).present);
    forge_bounds(&f, F32, BYTES(double, 1), BYTES(double, 2));
    assert_false(read_statistics(&f).present);
    forge_bounds(&f, F32, BYTES(float, 1), BYTES(float, 2));
    f.no_orders = true; /* without an order min_value has no meaning */
    assert_false(read_statistics(&f).present);
    forge_bounds(&f, F32, BYTES(float, 1), BYTES(float, 2));
    f.order = 9;
    assert_false(read_statistics(&f).present);
    forge_bounds(&f, F32, BYTES(float, 1), BYTES(float, 2));
    f.order = PARQUET_ORDER_IEEE754;
    assert_true(read_statistics(&f).present);
    forge_bounds(&f, TEXT, BYTES(uint8_t, 'a'), BYTES(uint8_t, 'b'));
    assert_false(read_statistics(&f).present);
    forge_begin(&f, F32);
    forge_element(&f, "x", F32, REQUIRED, -1, 0);
    struct pq_statistics s = read_statistics(&f);
    assert_false(s.present);
    assert_int_equal(s.nulls, -1);
}

static void test_deprecated_bounds_count_for_signed_types_only(void **state)
{
    (void)state;
    for (int is_unsigned = 0; is_unsigned < 2; is_unsigned++) {
        struct forge f;
        forge_begin(&f, I32);
        forge_element(&f, "x", I32, REQUIRED, is_unsigned ? PARQUET_UINT_32 : PARQUET_INT_32, 0);
        f.no_orders = true;
        f.old_min = BYTES(int32_t, -7);
        f.old_max = BYTES(int32_t, 9);
        struct pq_statistics s = read_statistics(&f);
        assert_int_equal(s.present, !is_unsigned);
        if (s.present)
            assert_true(s.min == -7 && s.max == 9);
    }
}

/* ---- passing groups by ----------------------------------------------------------------------------------------- */

static bool may_contain(struct forge *f, double lo, double hi)
{
    struct opened o;
    assert_ok(open_bytes(&o, f->file.data, f->file.len), &o.e);
    bool may = pq_group_may_contain(o.reader, 0, 0, lo, hi);
    close_opened(&o);
    return may;
}

static void test_a_group_is_passed_by_only_when_its_bounds_exclude_the_range(void **state)
{
    (void)state;
    struct forge f;
    forge_bounds(&f, F32, BYTES(float, -1.5f), BYTES(float, 2.5f));
    forge_finish(&f);
    assert_true(may_contain(&f, 0, 1));
    assert_true(may_contain(&f, -100, 100));
    assert_true(may_contain(&f, 2.5, 9)); /* bounds are values */
    assert_true(may_contain(&f, -INFINITY, -1.5));
    assert_false(may_contain(&f, 2.6, INFINITY));
    assert_false(may_contain(&f, -INFINITY, -1.6));
    assert_true(may_contain(&f, NAN, NAN));
    forge_end(&f);
    forge_bounds(&f, F32, BYTES(float, 0.0f), BYTES(float, 0.0f));
    forge_finish(&f);
    assert_true(may_contain(&f, -0.0, -0.0));
    forge_end(&f);
    forge_bounds(&f, PARQUET_INT64, BYTES(int64_t, (1ll << 53) + 1), BYTES(int64_t, (1ll << 53) + 1));
    forge_finish(&f); /* a value that is no double is found on both sides of it */
    assert_true(may_contain(&f, 0x1p53, 0x1p53) && may_contain(&f, 0x1p53 + 2, 0x1p53 + 2));
    assert_false(may_contain(&f, 0x1p53 + 4, INFINITY));
    forge_end(&f);
    forge_bounds(&f, TEXT, BYTES(uint8_t, 'a'), BYTES(uint8_t, 'b'));
    forge_finish(&f);
    assert_true(may_contain(&f, 5, 6)); /* no bounds of numbers: nothing is known */
    forge_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats_leave_nan_out_and_widen_zero),
        cmocka_unit_test(test_long_columns_agree_with_a_plain_search),
        cmocka_unit_test(test_integers_compare_as_announced),
        cmocka_unit_test(test_strings_compare_byte_by_byte_and_long_ones_are_left_out),
        cmocka_unit_test(test_bounds_are_read_as_doubles),
        cmocka_unit_test(test_bounds_that_mean_nothing_are_absent),
        cmocka_unit_test(test_deprecated_bounds_count_for_signed_types_only),
        cmocka_unit_test(test_a_group_is_passed_by_only_when_its_bounds_exclude_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
