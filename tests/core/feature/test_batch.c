/* tests/core/feature/test_batch.c
 *
 * An event has the same features whatever the batch, the vector path, or the order in which its objects came. */
#include "tests/core/feature/events.h"

enum { EVENTS = 60 };

struct fixture {
    struct event_batch events, other;
    struct feature_batch features, again;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    event_batch_init(&f->events);
    event_batch_init(&f->other);
    feature_batch_init(&f->features);
    feature_batch_init(&f->again);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_batch_fini(&f->events);
    event_batch_fini(&f->other);
    feature_batch_fini(&f->features);
    feature_batch_fini(&f->again);
    free(f);
    return 0;
}

static const char *recipe_name(size_t i)
{
    size_t n;
    const struct recipe *all = recipe_all(&n);
    assert_true(i < n);
    return all[i].name;
}

/* Random events, some of them rejected; lists of up to 600 objects. */
static void add_events(struct event_batch *b)
{
    struct rng r = rng_stream(13, 0);
    for (size_t i = 0; i < EVENTS; i++)
        add_random_event(b, &r, i % 5 == 0 ? 600 : 1 + i);
    add_event(b);                      /* empty */
}

static void test_a_batch_of_n_equals_n_batches_of_1(void **state)
{
    struct fixture *f = *state;
    add_events(&f->events);
    for (size_t r = 0; r < 2; r++) {
        size_t kept = 0;
        compute(recipe_name(r), &f->events, true, &f->features);
        for (size_t i = 0; i < f->events.n_events; i++) {
            event_batch_clear(&f->other);
            copy_event(&f->other, &f->events, i, OBJECT_KINDS, NULL);
            compute(recipe_name(r), &f->other, true, &f->again);
            assert_same_event(&f->features, i, &f->again, 0, true);
            kept += f->features.reject[i] == REJECT_NONE;
        }
        assert_true(kept > EVENTS / 4 && kept < EVENTS);
    }
}

static void test_every_vector_path_gives_the_same_bits(void **state)
{
    struct fixture *f = *state;
    add_events(&f->events);
    for (size_t r = 0; r < 2; r++) {
        cpu_level_set(CPU_PORTABLE);
        compute(recipe_name(r), &f->events, true, &f->features);
        for (int level = CPU_AVX2; level <= CPU_AVX512; level++) {
            cpu_level_set((enum cpu_level)level);
            compute(recipe_name(r), &f->events, true, &f->again);
            for (size_t i = 0; i < f->events.n_events; i++)
                assert_same_event(&f->features, i, &f->again, i, true);
        }
    }
}

static void test_features_without_rows_equal_those_with_rows(void **state)
{
    struct fixture *f = *state;
    add_events(&f->events);
    for (size_t r = 0; r < 2; r++) {
        compute(recipe_name(r), &f->events, true, &f->features);
        compute(recipe_name(r), &f->events, false, &f->again);
        for (size_t i = 0; i < f->events.n_events; i++) {
            assert_same_event(&f->features, i, &f->again, i, false);
            assert_int_equal(f->again.row_first[i + 1], 0);
        }
    }
}

static void test_a_reused_batch_equals_a_new_one(void **state)
{
    struct fixture *f = *state;
    struct rng r = rng_stream(14, 0);
    for (size_t round = 0; round < 4; round++) {
        static const size_t most[] = {500, 3, 1000, 1};
        struct feature_batch fresh;
        feature_batch_init(&fresh);
        event_batch_clear(&f->events);
        for (size_t i = 0; i < 5 + round; i++)
            add_random_event(&f->events, &r, most[round]);
        compute("topology-1", &f->events, true, &f->features);
        compute("topology-1", &f->events, true, &fresh);
        for (size_t i = 0; i < f->events.n_events; i++)
            assert_same_event(&f->features, i, &fresh, i, true);
        feature_batch_fini(&fresh);
    }
}

/* pT in whole GeV and all different, so that sums and orders leave no choice. */
static void make_exact(struct event_batch *b, enum object_kind kind)
{
    struct object_columns *o = &b->objects[kind];
    for (size_t i = 0; i < o->first[b->n_events]; i++)
        o->pt[i] = (float)(2 + i);
}

static void test_topology_does_not_depend_on_the_order_of_tracks_photons_and_neutral_hadrons(void **state)
{
    struct fixture *f = *state;
    static const enum object_kind lists[] = {OBJECT_TRACK, OBJECT_PHOTON, OBJECT_NEUTRAL};
    struct rng r = rng_stream(15, 0);
    struct error e;
    struct recipe anything = *recipe_find("topology-1");
    anything.iso_max = INFINITY;
    for (size_t i = 0; i < 20; i++)
        add_random_event(&f->events, &r, 700);
    for (size_t l = 0; l < 3; l++)
        make_exact(&f->events, lists[l]);
    must(features_compute(&anything, &f->events, true, &f->features, &e), &e);
    for (size_t i = 0; i < f->events.n_events; i++) {
        enum object_kind kind = lists[i % 3];
        uint32_t order[800], n = f->events.objects[kind].first[i + 1] - f->events.objects[kind].first[i];
        for (uint32_t j = 0; j < n; j++)
            order[j] = j;
        rng_shuffle_u32(&r, order, n);
        event_batch_clear(&f->other);
        copy_event(&f->other, &f->events, i, kind, order);
        must(features_compute(&anything, &f->other, true, &f->again, &e), &e);
        assert_int_equal(f->features.reject[i], REJECT_NONE);
        assert_same_event(&f->features, i, &f->again, 0, true);
    }
}

static void test_five_thousand_objects_a_list_are_no_trouble(void **state)
{
    struct fixture *f = *state;
    struct rng r = rng_stream(16, 0);
    struct error e;
    static const enum object_kind lists[] = {OBJECT_TRACK, OBJECT_PHOTON, OBJECT_NEUTRAL, OBJECT_JET};
    struct recipe anything = *recipe_find("topology-1");
    anything.iso_max = INFINITY;
    add_random_event(&f->events, &r, 2);
    for (size_t l = 0; l < 4; l++)
        for (size_t i = 0; i < 5000; i++)
            add_object(&f->events, lists[l], random_object(&r, 1, 5));
    must(features_compute(&anything, &f->events, true, &f->features, &e), &e);
    assert_int_equal(f->features.row_first[1], PARTICLE_ROWS_MAX);
    assert_true(f->features.hlf[HLF_N_JETS] >= 5000);
    for (size_t i = 0; i < PARTICLE_ROWS_MAX; i++)
        assert_true(f->features.rows.iso_gamma[i] > 0 && isfinite(f->features.rows.iso_gamma[i]));
}

static void test_thousands_of_leptons_are_searched_for_the_first_isolated(void **state)
{
    struct fixture *f = *state;
    add_event(&f->events);
    for (size_t i = 0; i < 5000; i++)
        add_object(&f->events, OBJECT_MUON, (struct object){.pt = 30, .eta = i == 4000 ? 1 : -1, .phi = 1});
    add_object(&f->events, OBJECT_PHOTON, (struct object){.pt = 90, .eta = -1, .phi = 1});
    compute("topology-1", &f->events, false, &f->features);
    assert_int_equal(f->features.reject[0], REJECT_NONE);
    assert_int_equal(f->features.lepton[0].index, 4000);
}

/* Readers refuse NaN and infinities; here they must at least do no harm. */
static void test_numbers_of_any_bits_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct rng r = rng_stream(17, 0);
    struct error e;
    struct recipe anything = *recipe_find("topology-1");
    anything.iso_max = INFINITY;
    add_events(&f->events);
    size_t n_columns;
    const struct event_column *c = event_columns(&n_columns);
    for (size_t j = 0; j < n_columns; j++) {
        const struct object_columns *o = &f->events.objects[c[j].kind];
        uint32_t *v = *event_column_data(o, &c[j]);
        for (size_t i = 0; i < o->first[f->events.n_events]; i++)
            v[i] = rng_below(&r, 4) ? v[i] : (uint32_t)rng_u64(&r);
    }
    must(features_compute(&anything, &f->events, true, &f->features, &e), &e);
    float *rows19 = malloc(sizeof(float) * 2 * PARTICLE_ROWS_MAX * PARTICLE_COLUMNS);
    for (size_t i = 0; i < f->events.n_events; i++) {
        size_t first = f->features.row_first[i], n = f->features.row_first[i + 1] - first;
        assert_true(n <= PARTICLE_ROWS_MAX && (n > 0) == (f->features.reject[i] == REJECT_NONE));
        particle_expand(&f->features.rows, first, n, rows19);
        if (n > 0)
            assert_int_equal(sequence_prepare(recipe_find("sparkdltrigger-1"), NULL, rows19, n,
                                              rows19 + PARTICLE_ROWS_MAX * PARTICLE_COLUMNS),
                             PARTICLE_ROWS_MAX);
    }
    free(rows19);
}

static void test_no_events_give_no_features(void **state)
{
    struct fixture *f = *state;
    compute("topology-1", &f->events, true, &f->features);
    assert_int_equal(f->features.n_events, 0);
    assert_int_equal(f->features.row_first[0], 0);
}

static void test_each_failing_allocation_is_reported_and_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    add_events(&f->events);
    compute("topology-1", &f->events, true, &f->features);
    size_t failures = 0;
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct error e;
        struct feature_batch out;
        feature_batch_init(&out);
        enum status s = features_compute(recipe_find("topology-1"), &f->events, true, &out, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        assert_int_equal(out.n_events, failed ? 0 : f->events.n_events);
        failures += failed;
        compute("topology-1", &f->events, true, &out);           /* the batch is still good */
        assert_same_event(&f->features, 0, &out, 0, true);
        feature_batch_fini(&out);
    }
    assert_int_equal(failures, 4);     /* events, rows, workspace and its columns */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_batch_of_n_equals_n_batches_of_1),
        T(test_every_vector_path_gives_the_same_bits),
        T(test_features_without_rows_equal_those_with_rows),
        T(test_a_reused_batch_equals_a_new_one),
        T(test_topology_does_not_depend_on_the_order_of_tracks_photons_and_neutral_hadrons),
        T(test_five_thousand_objects_a_list_are_no_trouble),
        T(test_thousands_of_leptons_are_searched_for_the_first_isolated),
        T(test_numbers_of_any_bits_do_no_harm),
        T(test_no_events_give_no_features),
        T(test_each_failing_allocation_is_reported_and_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("feature_batch", tests, NULL, NULL);
}
