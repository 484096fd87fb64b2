/* tests/core/feature/test_scale.c
 *
 * Scalers: fitted, applied, and kept as records. */
#include "tests/core/feature/events.h"

enum { N = 1000 };

static void random_hlf(float *hlf, size_t n)
{
    struct rng r = rng_stream(10, 0);
    for (size_t i = 0; i < n * HLF_COUNT; i++)
        hlf[i] = (float)(rng_normal(&r) * 5 + 40);
}

static struct hlf_scaler fitted(const struct recipe *r, const float *hlf, size_t n)
{
    struct scaler_fit fit = {0};
    scaler_fit_hlf(&fit, r, hlf, n);
    return scaler_hlf(&fit, r);
}

static bool is_logged(size_t c)
{
    return c == HLF_HT || c == HLF_MET || c == HLF_MT || c == HLF_LEP_PT;
}

static void test_standard_scaler_gives_mean_0_and_deviation_1_after_the_logarithm(void **state)
{
    (void)state;
    static float hlf[N * HLF_COUNT], scaled[N * HLF_COUNT];
    random_hlf(hlf, N);
    struct hlf_scaler s = fitted(recipe_find("topology-1"), hlf, N);
    hlf_scale(&s, hlf, N, scaled);
    for (size_t c = 0; c < HLF_COUNT; c++) {
        double sum = 0, sum2 = 0;
        for (size_t i = 0; i < N; i++) {
            double x = (double)scaled[i * HLF_COUNT + c];
            sum += x;
            sum2 += x * x;
        }
        assert_int_equal(s.log[c], is_logged(c));
        assert_float_equal(sum / N, 0, 1e-6);
        assert_float_equal(sum2 / N, 1, 1e-5);
        double x = (double)hlf[c];
        assert_float_equal(scaled[c], ((is_logged(c) ? log1p(x) : x) - s.shift[c]) * s.factor[c], 1e-6);
    }
}

static void test_minmax_scaler_maps_the_fitted_range_to_0_and_1(void **state)
{
    (void)state;
    static float hlf[N * HLF_COUNT], scaled[N * HLF_COUNT];
    random_hlf(hlf, N);
    struct hlf_scaler s = fitted(recipe_find("sparkdltrigger-1"), hlf, N);
    hlf_scale(&s, hlf, N, scaled);
    for (size_t c = 0; c < HLF_COUNT; c++) {
        float low = 2, high = -1;
        for (size_t i = 0; i < N; i++) {
            low = fminf(low, scaled[i * HLF_COUNT + c]);
            high = fmaxf(high, scaled[i * HLF_COUNT + c]);
        }
        assert_true(low == 0 && high == 1);
        assert_false(s.log[c]);
    }
}

static void test_constant_feature_maps_to_one_half_under_minmax_and_to_0_standardised(void **state)
{
    (void)state;
    static const float constants[] = {0, 1, -1, 23.5f, 1e6f};
    for (size_t k = 0; k < ARRAY_LEN(constants); k++) {
        float hlf[3 * HLF_COUNT], scaled[3 * HLF_COUNT], other[HLF_COUNT];
        for (size_t i = 0; i < ARRAY_LEN(hlf); i++)
            hlf[i] = constants[k];
        for (size_t i = 0; i < HLF_COUNT; i++)
            other[i] = constants[k] + 7;
        struct hlf_scaler minmax = fitted(recipe_find("sparkdltrigger-1"), hlf, 3);
        struct hlf_scaler standard = fitted(recipe_find("topology-1"), hlf, 3);
        hlf_scale(&minmax, hlf, 3, scaled);
        for (size_t i = 0; i < ARRAY_LEN(hlf); i++)
            assert_true(scaled[i] == 0.5f);
        hlf_scale(&minmax, other, 1, scaled);          /* Spark: 0.5 for whatever comes later, too */
        for (size_t i = 0; i < HLF_COUNT; i++)
            assert_true(scaled[i] == 0.5f);
        hlf_scale(&standard, hlf, 3, scaled);
        for (size_t i = 0; i < ARRAY_LEN(hlf); i++)
            assert_true(scaled[i] == 0);
        for (size_t i = 0; i < HLF_COUNT; i++)
            assert_true(standard.factor[i] == 1);
    }
}

static void test_fit_does_not_depend_on_how_values_are_cut_into_calls(void **state)
{
    (void)state;
    static float rows19[N * PARTICLE_COLUMNS];
    struct rng r = rng_stream(11, 0);
    struct scaler_fit whole = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows19); i++)
        rows19[i] = (float)rng_normal(&r);
    scaler_fit_rows(&whole, rows19, N);
    for (size_t step = 1; step < N; step = 3 * step + 1) {
        struct scaler_fit parts = {0};
        for (size_t first = 0; first < N; first += step)
            scaler_fit_rows(&parts, rows19 + first * PARTICLE_COLUMNS, N - first < step ? N - first : step);
        assert_same_bits(&whole, &parts, 1);
    }
}

static void test_fit_is_the_same_bits_with_every_kernel(void **state)
{
    (void)state;
    static float rows19[N * PARTICLE_COLUMNS];
    struct rng r = rng_stream(12, 0);
    struct scaler_fit fits[CPU_AVX512 + 1] = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows19); i++)
        rows19[i] = (float)(rng_normal(&r) * (double)(i % 19));
    for (int level = CPU_PORTABLE; level <= CPU_AVX512; level++) {
        cpu_level_set((enum cpu_level)level);
        scaler_fit_rows(&fits[level], rows19, N);
        assert_same_bits(&fits[CPU_PORTABLE], &fits[level], 1);
    }
    assert_int_equal(fits[CPU_PORTABLE].n[18], N);
}

/* Values around a large offset, where sums of squares would lose everything. */
static void test_fit_is_accurate_far_from_zero(void **state)
{
    (void)state;
    static float rows19[N * PARTICLE_COLUMNS];
    struct scaler_fit fit = {0};
    for (size_t i = 0; i < N; i++)
        for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
            rows19[i * PARTICLE_COLUMNS + c] = 8388608.0f + (float)(i % 2);
    scaler_fit_rows(&fit, rows19, N);
    struct sequence_scaler s = scaler_sequence(&fit);
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++) {
        assert_float_equal(s.mean[c], 8388608.5, 1e-6);
        assert_float_equal(s.factor[c], 2, 1e-9);
    }
}

static void test_nothing_fitted_scales_nothing(void **state)
{
    (void)state;
    struct scaler_fit fit = {0};
    struct hlf_scaler minmax = scaler_hlf(&fit, recipe_find("sparkdltrigger-1"));
    struct sequence_scaler sequence = scaler_sequence(&fit);
    float hlf[HLF_COUNT], scaled[HLF_COUNT];
    random_hlf(hlf, 1);
    hlf_scale(&minmax, hlf, 1, scaled);
    assert_same_bits(hlf, scaled, HLF_COUNT);
    assert_true(sequence.mean[7] == 0 && sequence.factor[7] == 1);
}

static void test_scaling_in_place_equals_scaling_apart_and_negative_values_stay_numbers(void **state)
{
    (void)state;
    static float hlf[N * HLF_COUNT], scaled[N * HLF_COUNT];
    random_hlf(hlf, N);
    struct hlf_scaler s = fitted(recipe_find("topology-1"), hlf, N);
    for (size_t i = 0; i < N; i += 2)
        hlf[i * HLF_COUNT + HLF_MET] = -5;             /* log1p(-5) does not exist */
    hlf_scale(&s, hlf, N, scaled);
    hlf_scale(&s, hlf, N, hlf);
    assert_same_bits(hlf, scaled, N * HLF_COUNT);
    for (size_t i = 0; i < N * HLF_COUNT; i++)
        assert_true(isfinite(hlf[i]));
}

/* Rows alone, in blocks and by every kind of vector; the logarithm near 0, near powers of two and far away. */
static void test_scaled_features_are_the_same_bits_for_any_number_of_rows_and_any_vectors(void **state)
{
    (void)state;
    enum { ROWS = 101, LD = 112 };
    static float lanes[HLF_COUNT * LD], hlf[ROWS * HLF_COUNT], expected[ROWS * HLF_COUNT], scaled[ROWS * HLF_COUNT];
    struct hlf_scaler s;
    random_hlf(hlf, ROWS);
    for (size_t c = 0; c < HLF_COUNT; c++) {
        s.log[c] = c % 3 != 1;
        s.shift[c] = 0.25 * (double)c;
        s.factor[c] = 1 + 0.125 * (double)c;
    }
    for (size_t i = 0; i < ROWS * HLF_COUNT; i++)
        hlf[i] = i % 5 == 0 ? (float)pow(1.09, (double)i - 800) : i % 5 == 1 ? (float)(i / 5) - 40 : hlf[i];
    cpu_level_set(CPU_AVX512);
    enum cpu_level best = cpu_level();
    for (int level = CPU_PORTABLE; level <= (int)best; level++) {
        cpu_level_set((enum cpu_level)level);
        hlf_scale(&s, hlf, ROWS, scaled);
        if (level == CPU_PORTABLE)
            memcpy(expected, scaled, sizeof expected);
        assert_same_bits(scaled, expected, ROWS * HLF_COUNT);
        for (size_t i = 0; i < ROWS; i++)
            hlf_scale(&s, hlf + i * HLF_COUNT, 1, scaled + i * HLF_COUNT);
        assert_same_bits(scaled, expected, ROWS * HLF_COUNT);
        for (size_t i = 0; i < ROWS * HLF_COUNT; i++)
            lanes[i % HLF_COUNT * LD + i / HLF_COUNT] = hlf[i];
        hlf_scale_lanes(&s, LD, LD, lanes);
        for (size_t i = 0; i < ROWS * HLF_COUNT; i++)
            assert_same_bits(&lanes[i % HLF_COUNT * LD + i / HLF_COUNT], &expected[i], 1);
    }
    cpu_level_set(CPU_AVX512);
    for (size_t i = 0; i < ROWS * HLF_COUNT; i++) {
        size_t c = i % HLF_COUNT;
        double x = (double)hlf[i];
        x = ((s.log[c] ? log1p(x > 0 ? x : 0) : x) - s.shift[c]) * s.factor[c];
        assert_true(fabs((double)expected[i] - x) <= 0x1p-24 * fabs(x) + 3e-12);
    }
}

static void test_features_that_are_not_finite_do_not_become_numbers(void **state)
{
    (void)state;
    struct hlf_scaler s = {{true}, {0}, {0}};
    float hlf[HLF_COUNT] = {INFINITY, NAN}, scaled[HLF_COUNT];
    for (size_t c = 0; c < HLF_COUNT; c++)
        s.factor[c] = 1;
    hlf_scale(&s, hlf, 1, scaled);
    assert_false(isfinite(scaled[0]));
    assert_false(isfinite(scaled[1]));
    assert_true(scaled[2] == 0);
}

/* ---- records --------------------------------------------------------------------------------------------- */

static void make_scalers(struct hlf_scaler *hlf, struct sequence_scaler *sequence)
{
    static float rows19[N * PARTICLE_COLUMNS];
    struct rng r = rng_stream(12, 0);
    struct scaler_fit fit = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows19); i++)
        rows19[i] = (float)rng_f64(&r);
    scaler_fit_rows(&fit, rows19, N);
    *hlf = scaler_hlf(&fit, recipe_find("topology-1"));
    *sequence = scaler_sequence(&fit);
}

static void assert_same_scalers(const struct hlf_scaler *a, const struct hlf_scaler *b,
                                const struct sequence_scaler *sa, const struct sequence_scaler *sb)
{
    for (size_t c = 0; c < HLF_COUNT; c++)
        assert_int_equal(a->log[c], b->log[c]);
    assert_same_bits(a->shift, b->shift, HLF_COUNT);
    assert_same_bits(a->factor, b->factor, HLF_COUNT);
    assert_same_bits(sa, sb, 1);
}

static void test_record_survives_being_written_as_text(void **state)
{
    (void)state;
    struct error e;
    struct arena a;
    struct buf text;
    struct hlf_scaler hlf, hlf_back;
    struct sequence_scaler sequence, sequence_back;
    struct scaler_record record, back;
    bool has_sequence;
    arena_init(&a, 1 << 20);
    buf_init(&text, 1 << 20);
    make_scalers(&hlf, &sequence);
    must(scaler_record_make(&a, &hlf, &sequence, &record, &e), &e);
    must(field_validate(scaler_record_fields, &record, "", &e), &e);
    must(field_write_text(scaler_record_fields, &record, &text, &e), &e);
    field_defaults(scaler_record_fields, &back);
    must(field_read_text(&a, scaler_record_fields, (struct span){text.data, text.len}, &back, &e), &e);
    must(scaler_record_read(&back, &hlf_back, &sequence_back, &has_sequence, &e), &e);
    assert_true(has_sequence);
    assert_same_scalers(&hlf, &hlf_back, &sequence, &sequence_back);
    buf_fini(&text);
    arena_fini(&a);
}

static void test_record_without_sequence_says_so(void **state)
{
    (void)state;
    struct error e;
    struct arena a;
    struct hlf_scaler hlf, hlf_back;
    struct sequence_scaler sequence;
    struct scaler_record record;
    bool has_sequence = true;
    arena_init(&a, 1 << 20);
    make_scalers(&hlf, &sequence);
    must(scaler_record_make(&a, &hlf, NULL, &record, &e), &e);
    must(scaler_record_read(&record, &hlf_back, &sequence, &has_sequence, &e), &e);
    assert_false(has_sequence);
    assert_true(sequence.factor[0] == 0);
    arena_fini(&a);
}

/* The record as `breaks` leaves it must be refused with a text that holds `word`. */
static void check_refused(void (*breaks)(struct scaler_record *), const char *word)
{
    struct error e;
    struct arena a;
    struct hlf_scaler hlf;
    struct sequence_scaler sequence;
    struct scaler_record record;
    bool has_sequence;
    arena_init(&a, 1 << 20);
    make_scalers(&hlf, &sequence);
    must(scaler_record_make(&a, &hlf, &sequence, &record, &e), &e);
    breaks(&record);
    assert_int_equal(scaler_record_read(&record, &hlf, &sequence, &has_sequence, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, word));
    assert_false(has_sequence);
    arena_fini(&a);
}

static void empty_all(struct scaler_record *r)
{
    *r = (struct scaler_record){0};
}
static void shorten_shift(struct scaler_record *r)
{
    r->hlf_shift.n_items--;
}
static void spoil_factor(struct scaler_record *r)
{
    ((double *)r->hlf_factor.items)[3] = NAN;
}
static void drop_sequence_mean(struct scaler_record *r)
{
    r->sequence_mean = (struct field_list){NULL, 0};
}
static void spoil_sequence_factor(struct scaler_record *r)
{
    ((double *)r->sequence_factor.items)[18] = INFINITY;
}

static void test_damaged_records_are_refused_by_name(void **state)
{
    (void)state;
    check_refused(empty_all, "hlf_log has 0 numbers");
    check_refused(shorten_shift, "hlf_shift has 13 numbers");
    check_refused(spoil_factor, "hlf_factor[3]");
    check_refused(drop_sequence_mean, "sequence_mean has 0 numbers");
    check_refused(spoil_sequence_factor, "sequence_factor[18]");
}

static void test_record_without_memory_is_an_error(void **state)
{
    (void)state;
    struct hlf_scaler hlf;
    struct sequence_scaler sequence;
    make_scalers(&hlf, &sequence);
    for (size_t max = 64; max < 1024; max += 64) {
        struct error e;
        struct arena a;
        struct scaler_record record;
        arena_init(&a, max);
        enum status s = scaler_record_make(&a, &hlf, &sequence, &record, &e);
        assert_true(s == STATUS_OK || s == STATUS_NOMEM);
        assert_true(s == STATUS_NOMEM || record.sequence_factor.n_items == PARTICLE_COLUMNS);
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard_scaler_gives_mean_0_and_deviation_1_after_the_logarithm),
        cmocka_unit_test(test_minmax_scaler_maps_the_fitted_range_to_0_and_1),
        cmocka_unit_test(test_constant_feature_maps_to_one_half_under_minmax_and_to_0_standardised),
        cmocka_unit_test(test_fit_does_not_depend_on_how_values_are_cut_into_calls),
        cmocka_unit_test(test_fit_is_the_same_bits_with_every_kernel),
        cmocka_unit_test(test_fit_is_accurate_far_from_zero),
        cmocka_unit_test(test_nothing_fitted_scales_nothing),
        cmocka_unit_test(test_scaling_in_place_equals_scaling_apart_and_negative_values_stay_numbers),
        cmocka_unit_test(test_scaled_features_are_the_same_bits_for_any_number_of_rows_and_any_vectors),
        cmocka_unit_test(test_features_that_are_not_finite_do_not_become_numbers),
        cmocka_unit_test(test_record_survives_being_written_as_text),
        cmocka_unit_test(test_record_without_sequence_says_so),
        cmocka_unit_test(test_damaged_records_are_refused_by_name),
        cmocka_unit_test(test_record_without_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("feature_scale", tests, NULL, NULL);
}
