/* tests/core/feature/test_hlf.c
 *
 * The 14 features against their formulas. */
#include "tests/core/feature/events.h"

struct fixture {
    struct event_batch events;
    struct feature_batch features;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    event_batch_init(&f->events);
    feature_batch_init(&f->features);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    event_batch_fini(&f->events);
    feature_batch_fini(&f->features);
    free(f);
    return 0;
}

static const struct object electron = {.pt = 30, .eta = 1, .phi = 0.5f, .charge = -1};

/* An electron of 30 GeV with its track and one soft object in each list. */
static void add_electron_event(struct event_batch *b)
{
    add_event(b);
    add_object(b, OBJECT_ELECTRON, electron);
    add_object(b, OBJECT_TRACK, electron);
    add_object(b, OBJECT_TRACK, (struct object){.pt = 3, .eta = 1.1f, .phi = 0.4f, .charge = 1});
    add_object(b, OBJECT_PHOTON, (struct object){.pt = 1.5f, .eta = 1.1f, .phi = 0.4f});
    add_object(b, OBJECT_NEUTRAL, (struct object){.pt = 6, .eta = 0.9f, .phi = 0.4f});
}

static const float *hlf_of(struct fixture *f, const char *recipe)
{
    compute(recipe, &f->events, false, &f->features);
    assert_int_equal(f->features.reject[0], REJECT_NONE);
    return f->features.hlf;
}

static void test_features_follow_their_formulas(void **state)
{
    struct fixture *f = *state;
    add_electron_event(&f->events);
    add_object(&f->events, OBJECT_MET, (struct object){.pt = 50, .phi = -2});
    add_object(&f->events, OBJECT_JET, (struct object){.pt = 100, .btag = 1});
    add_object(&f->events, OBJECT_JET, (struct object){.pt = 50.5f, .btag = 0});
    const float *hlf = hlf_of(f, "topology-1");
    assert_true(hlf[HLF_HT] == 150.5f);
    assert_true(hlf[HLF_MET] == 50 && hlf[HLF_MET_PHI] == -2);
    assert_float_equal(hlf[HLF_MT], sqrt(2 * 50 * 30 * (1 - cos(2.5))), 1e-5);
    assert_true(hlf[HLF_N_JETS] == 2 && hlf[HLF_N_BJETS] == 1);
    assert_true(hlf[HLF_LEP_PT] == 30 && hlf[HLF_LEP_ETA] == 1 && hlf[HLF_LEP_PHI] == 0.5f);
    assert_float_equal(hlf[HLF_LEP_ISO_CH], 0.1, 1e-7);
    assert_float_equal(hlf[HLF_LEP_ISO_GAMMA], 0.05, 1e-7);
    assert_float_equal(hlf[HLF_LEP_ISO_NEU], 0.2, 1e-7);
    assert_true(hlf[HLF_LEP_CHARGE] == -1 && hlf[HLF_LEP_IS_ELE] == 1);
}

static void test_published_transverse_mass_has_no_root(void **state)
{
    struct fixture *f = *state;
    add_electron_event(&f->events);
    add_object(&f->events, OBJECT_MET, (struct object){.pt = 50, .phi = -2});
    assert_float_equal(hlf_of(f, "sparkdltrigger-1")[HLF_MT], 2 * 50 * 30 * (1 - cos(2.5)), 1e-3);
}

static void test_btag_counts_bit_0_or_any_bit_or_the_asked_bits(void **state)
{
    struct fixture *f = *state;
    struct error e;
    add_electron_event(&f->events);
    for (uint32_t tag = 0; tag < 8; tag++)
        add_object(&f->events, OBJECT_JET, (struct object){.pt = 40, .btag = tag});
    assert_true(hlf_of(f, "topology-1")[HLF_N_BJETS] == 4);
    assert_true(hlf_of(f, "sparkdltrigger-1")[HLF_N_BJETS] == 7);
    struct recipe medium_or_tight = *recipe_find("topology-1");
    medium_or_tight.btag_mask = 6;
    must(features_compute(&medium_or_tight, &f->events, false, &f->features, &e), &e);
    assert_true(f->features.hlf[HLF_N_BJETS] == 6);
}

static void test_event_without_jets_and_missing_energy_has_zeros(void **state)
{
    struct fixture *f = *state;
    add_electron_event(&f->events);
    const float *hlf = hlf_of(f, "topology-1");
    assert_true(hlf[HLF_HT] == 0 && hlf[HLF_N_JETS] == 0 && hlf[HLF_N_BJETS] == 0);
    assert_true(hlf[HLF_MET] == 0 && hlf[HLF_MET_PHI] == 0 && hlf[HLF_MT] == 0);
}

static void test_muon_is_not_an_electron(void **state)
{
    struct fixture *f = *state;
    add_event(&f->events);
    add_object(&f->events, OBJECT_MUON, (struct object){.pt = 25, .eta = -1, .phi = 3, .charge = 1});
    const float *hlf = hlf_of(f, "topology-1");
    assert_true(hlf[HLF_LEP_IS_ELE] == 0 && hlf[HLF_LEP_CHARGE] == 1 && hlf[HLF_LEP_ISO_CH] == -1);
}

static void test_sample_features_lie_in_their_ranges(void **state)
{
    struct fixture *f = *state;
    load_sample("ttbar", &f->events);
    cut_default(&f->events);
    size_t n_recipes;
    const struct recipe *all = recipe_all(&n_recipes);
    for (size_t r = 0; r < n_recipes; r++) {
        compute(all[r].name, &f->events, false, &f->features);
        for (size_t i = 0; i < f->features.n_events; i++) {
            if (f->features.reject[i] != REJECT_NONE)
                continue;
            for (size_t c = 0; c < HLF_COUNT; c++) {
                double x = (double)f->features.hlf[i * HLF_COUNT + c];
                assert_true(x >= hlf_info[c].min && x <= hlf_info[c].max);
                assert_true(!hlf_info[c].whole || x == floor(x));
            }
        }
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_features_follow_their_formulas),
        T(test_published_transverse_mass_has_no_root),
        T(test_btag_counts_bit_0_or_any_bit_or_the_asked_bits),
        T(test_event_without_jets_and_missing_energy_has_zeros),
        T(test_muon_is_not_an_electron),
        T(test_sample_features_lie_in_their_ranges),
    };
    return cmocka_run_group_tests_name("feature_hlf", tests, NULL, NULL);
}
