/* tests/core/feature/test_reference.c
 *
 * Selection, features and sequences of the sample files against independent programs: the published notebooks' own
 * functions for sparkdltrigger-1, a NumPy program for topology-1. */
#include "tests/core/feature/events.h"

enum { FULL_EVENTS = 8 };              /* rows are on record for the first survivors only */

struct sample {
    const struct recipe *recipe;
    const char *prefix;                /* of the reference files */
    size_t n_entries;
    struct event_batch events;         /* after the object cuts */
    struct feature_batch features;
};

static void sample_open(struct sample *s, const char *file, const char *recipe, const char *prefix)
{
    *s = (struct sample){.recipe = recipe_find(recipe), .prefix = prefix};
    event_batch_init(&s->events);
    feature_batch_init(&s->features);
    load_sample(file, &s->events);
    s->n_entries = s->events.n_events;
    cut_default(&s->events);
    compute(recipe, &s->events, true, &s->features);
}

static void sample_close(struct sample *s)
{
    event_batch_fini(&s->events);
    feature_batch_fini(&s->features);
}

/* Array `what` of the sample file `file`; npy_free(). */
static void reference(const struct sample *s, const char *file, const char *what, struct npy *out)
{
    char path[256];
    struct error e;
    snprintf(path, sizeof path, "features/%s/%s_%s.npy", file, s->prefix, what);
    must(npy_load(shared_path(path), out, &e), &e);
}

/* The i-th kept event, as index into the batch. */
static size_t kept_event(const struct sample *s, size_t i)
{
    size_t ev = 0;
    for (;; ev++)
        if (s->features.reject[ev] == REJECT_NONE && i-- == 0)
            return ev;
}

static void assert_near(double ours, double reference_value, double relative, double absolute, const char *what,
                        size_t i, size_t c)
{
    if (!(fabs(ours - reference_value) <= relative * fabs(reference_value) + absolute))
        fail_msg("%s: event %zu element %zu: %.9g, reference %.9g", what, i, c, ours, reference_value);
}

static void check_entries_and_hlf(const char *file, const char *recipe, const char *prefix)
{
    struct sample s;
    struct npy entries, hlf;
    sample_open(&s, file, recipe, prefix);
    reference(&s, file, "entries", &entries);
    reference(&s, file, "hlf", &hlf);
    size_t kept = 0;
    for (size_t i = 0; i < s.features.n_events; i++) {
        if (s.features.reject[i] != REJECT_NONE)
            continue;
        assert_true(kept < entries.n);
        assert_int_equal(s.events.entry[i], npy_value(&entries, kept));
        for (size_t c = 0; c < HLF_COUNT; c++) {
            double ours = (double)s.features.hlf[i * HLF_COUNT + c];
            assert_near(ours, npy_value(&hlf, kept * HLF_COUNT + c), 1e-6, 1e-9, file, kept, c);
        }
        kept++;
    }
    assert_int_equal(kept, entries.n);
    npy_free(&entries);
    npy_free(&hlf);
    sample_close(&s);
}

static void test_topology_keeps_the_reference_entries_with_the_reference_features(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    for (size_t f = 0; f < SAMPLE_FILES; f++)
        check_entries_and_hlf(sample_files[f], "topology-1", "topology1");
}

static void test_sparkdltrigger_keeps_the_published_entries_with_the_published_features(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    for (size_t f = 0; f < SAMPLE_FILES; f++)
        check_entries_and_hlf(sample_files[f], "sparkdltrigger-1", "sdt1");
}

static void check_reasons(const char *file)
{
    char path[256], word[64];
    struct sample s;
    snprintf(path, sizeof path, "features/%s/topology1_reason.txt", file);
    FILE *reasons = fopen(shared_path(path), "r");
    assert_non_null(reasons);
    sample_open(&s, file, "topology-1", "topology1");
    size_t next = 0, entry = 0;
    for (; fscanf(reasons, "%63s", word) == 1; entry++) {
        bool cut = next >= s.events.n_events || s.events.entry[next] != (int64_t)entry;
        assert_string_equal(word, reject_name(cut ? REJECT_NO_LEPTON_ABOVE_PT : s.features.reject[next]));
        next += !cut;
    }
    assert_int_equal(entry, s.n_entries);
    assert_int_equal(next, s.events.n_events);
    fclose(reasons);
    sample_close(&s);
}

static void test_every_entry_is_rejected_for_the_reference_reason(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    for (size_t f = 0; f < SAMPLE_FILES; f++)
        check_reasons(sample_files[f]);
}

/* Expands event `ev`; returns its rows. */
static size_t expand(const struct sample *s, size_t ev, float *rows19)
{
    size_t first = s->features.row_first[ev], n = s->features.row_first[ev + 1] - first;
    particle_expand(&s->features.rows, first, n, rows19);
    return n;
}

static void check_topology_rows(const char *file)
{
    static float rows19[PARTICLE_ROWS_MAX * PARTICLE_COLUMNS];
    struct sample s;
    struct npy counts, rows;
    sample_open(&s, file, "topology-1", "topology1");
    reference(&s, file, "row_counts", &counts);
    reference(&s, file, "rows", &rows);
    assert_int_equal(counts.n, FULL_EVENTS);
    size_t at = 0;
    for (size_t i = 0; i < FULL_EVENTS; i++) {
        size_t n = expand(&s, kept_event(&s, i), rows19);
        assert_int_equal(n, npy_value(&counts, i));
        for (size_t j = 0; j < n * PARTICLE_COLUMNS; j++)
            assert_near((double)rows19[j], npy_value(&rows, at++), 1e-6, 1e-9, file, i, j);
    }
    assert_int_equal(at, rows.n);
    npy_free(&counts);
    npy_free(&rows);
    sample_close(&s);
}

static void test_topology_rows_equal_the_reference(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    for (size_t f = 0; f < SAMPLE_FILES; f++)
        check_topology_rows(sample_files[f]);
}

static void check_sparkdltrigger_counts(const char *file)
{
    struct sample s;
    struct npy counts;
    sample_open(&s, file, "sparkdltrigger-1", "sdt1");
    reference(&s, file, "particles", &counts);
    for (size_t i = 0; i < counts.n; i++) {
        size_t ev = kept_event(&s, i);
        assert_int_equal(s.features.row_first[ev + 1] - s.features.row_first[ev], npy_value(&counts, i));
    }
    npy_free(&counts);
    sample_close(&s);
}

static void test_sparkdltrigger_row_counts_equal_the_published(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    for (size_t f = 0; f < SAMPLE_FILES; f++)
        check_sparkdltrigger_counts(sample_files[f]);
}

/* 801 x 19 before and after preparation. */
static void check_sparkdltrigger_sequences(const char *file)
{
    enum { ALL = PARTICLE_ROWS_MAX * PARTICLE_COLUMNS };
    static float rows19[ALL], sequence[ALL];
    struct sample s;
    struct npy raw, prepared;
    sample_open(&s, file, "sparkdltrigger-1", "sdt1");
    reference(&s, file, "lfeatures", &raw);
    reference(&s, file, "gru_input", &prepared);
    assert_int_equal(raw.n, FULL_EVENTS * ALL);
    assert_int_equal(prepared.n, FULL_EVENTS * ALL);
    for (size_t i = 0; i < FULL_EVENTS; i++) {
        memset(rows19, 0, sizeof rows19);
        size_t n = expand(&s, kept_event(&s, i), rows19);
        for (size_t j = 0; j < ALL; j++)
            assert_near((double)rows19[j], npy_value(&raw, i * ALL + j), 1e-6, 1e-9, file, i, j);
        assert_int_equal(sequence_prepare(s.recipe, NULL, rows19, n, sequence), PARTICLE_ROWS_MAX);
        for (size_t j = 0; j < ALL; j++)
            assert_near((double)sequence[j], npy_value(&prepared, i * ALL + j), 2e-6, 1e-6, file, i, j);
    }
    npy_free(&raw);
    npy_free(&prepared);
    sample_close(&s);
}

static void test_sparkdltrigger_sequences_equal_the_published(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    for (size_t f = 0; f < SAMPLE_FILES; f++)
        check_sparkdltrigger_sequences(sample_files[f]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topology_keeps_the_reference_entries_with_the_reference_features),
        cmocka_unit_test(test_sparkdltrigger_keeps_the_published_entries_with_the_published_features),
        cmocka_unit_test(test_every_entry_is_rejected_for_the_reference_reason),
        cmocka_unit_test(test_topology_rows_equal_the_reference),
        cmocka_unit_test(test_sparkdltrigger_row_counts_equal_the_published),
        cmocka_unit_test(test_sparkdltrigger_sequences_equal_the_published),
    };
    return cmocka_run_group_tests_name("feature_reference", tests, NULL, NULL);
}
