/* tests/core/feature/test_select.c
 *
 * Which events are kept, by which lepton, and why the others are not. */
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

/* An event with one soft object in each list, far from where the tests put their leptons. */
static void add_quiet_event(struct event_batch *b)
{
    add_event(b);
    add_object(b, OBJECT_TRACK, (struct object){.pt = 1, .eta = -3, .phi = -2, .charge = 1});
    add_object(b, OBJECT_PHOTON, (struct object){.pt = 1, .eta = -3, .phi = -2});
    add_object(b, OBJECT_NEUTRAL, (struct object){.pt = 1, .eta = -3, .phi = -2});
    add_object(b, OBJECT_MET, (struct object){.pt = 1});
}

static const struct object electron_30 = {.pt = 30, .eta = 1, .phi = 0.5f, .charge = -1};
static const struct object muon_40 = {.pt = 40, .eta = -1, .phi = 2.5f, .charge = 1};

/* The lepton of the only event. */
static const struct lepton *kept_by(struct fixture *f, const char *recipe)
{
    compute(recipe, &f->events, false, &f->features);
    assert_int_equal(f->features.n_events, 1);
    assert_int_equal(f->features.reject[0], REJECT_NONE);
    return &f->features.lepton[0];
}

static enum reject rejected_by(struct fixture *f, const char *recipe)
{
    compute(recipe, &f->events, true, &f->features);
    assert_int_equal(f->features.n_events, 1);
    assert_int_equal(f->features.row_first[1], 0);
    for (size_t i = 0; i < HLF_COUNT; i++)
        assert_true(f->features.hlf[i] == 0);
    return f->features.reject[0];
}

static void test_topology_keeps_the_lepton_of_larger_pt_and_the_published_recipe_that_of_larger_eta(void **state)
{
    struct fixture *f = *state;
    add_quiet_event(&f->events);
    add_object(&f->events, OBJECT_ELECTRON, electron_30);
    add_object(&f->events, OBJECT_MUON, muon_40);
    assert_int_equal(kept_by(f, "topology-1")->kind, PARTICLE_MUON);
    const struct lepton *published = kept_by(f, "sparkdltrigger-1");
    assert_int_equal(published->kind, PARTICLE_ELECTRON);
    assert_true(published->pt == 30 && published->eta == 1 && published->phi == 0.5f);
    assert_int_equal(published->charge, -1);
}

static void test_equal_leptons_give_the_muon(void **state)
{
    struct fixture *f = *state;
    struct object twin = electron_30;
    twin.phi = 2;
    add_quiet_event(&f->events);
    add_object(&f->events, OBJECT_ELECTRON, electron_30);
    add_object(&f->events, OBJECT_MUON, twin);
    assert_int_equal(kept_by(f, "topology-1")->kind, PARTICLE_MUON);
    assert_int_equal(kept_by(f, "sparkdltrigger-1")->kind, PARTICLE_MUON);
}

static void test_first_isolated_lepton_of_a_kind_is_taken_even_if_a_later_one_is_harder(void **state)
{
    struct fixture *f = *state;
    add_quiet_event(&f->events);
    add_object(&f->events, OBJECT_MUON, (struct object){.pt = 50, .eta = 2, .phi = 3, .charge = 1});
    add_object(&f->events, OBJECT_MUON, muon_40);
    add_object(&f->events, OBJECT_MUON, (struct object){.pt = 90, .eta = 0, .phi = 0, .charge = 1});
    add_object(&f->events, OBJECT_NEUTRAL, (struct object){.pt = 100, .eta = 2, .phi = 3});
    const struct lepton *lep = kept_by(f, "topology-1");
    assert_int_equal(lep->index, 1);
    assert_true(lep->pt == 40);
}

/* isoCh + isoNeu + isoGamma with the own track: 0 + neutral / 30 + photon / 30. */
static void test_isolation_must_be_below_the_limit(void **state)
{
    struct fixture *f = *state;
    static const float photon[] = {3, 3.75f, 4.5f};
    static const enum reject expected[] = {REJECT_NONE, REJECT_NO_ISOLATED_LEPTON, REJECT_NO_ISOLATED_LEPTON};
    for (size_t i = 0; i < 3; i++) {
        add_quiet_event(&f->events);
        add_object(&f->events, OBJECT_ELECTRON, electron_30);
        add_object(&f->events, OBJECT_TRACK, electron_30);
        add_object(&f->events, OBJECT_NEUTRAL, (struct object){.pt = 9.75f, .eta = 1, .phi = 0.6f});
        add_object(&f->events, OBJECT_PHOTON, (struct object){.pt = photon[i], .eta = 1.1f, .phi = 0.5f});
    }
    compute("topology-1", &f->events, false, &f->features);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(f->features.reject[i], expected[i]);
    assert_true(f->features.lepton[0].iso_ch == 0);
    assert_true(f->features.lepton[0].iso_gamma == 0.1);
    assert_true(f->features.lepton[0].iso_neu == 0.325);
}

static void test_event_without_lepton_is_rejected_first_of_all(void **state)
{
    struct fixture *f = *state;
    add_event(&f->events);
    assert_int_equal(rejected_by(f, "topology-1"), REJECT_NO_LEPTON);
    assert_int_equal(rejected_by(f, "sparkdltrigger-1"), REJECT_NO_LEPTON);
}

static void test_published_recipe_names_the_empty_list_and_topology_allows_it(void **state)
{
    struct fixture *f = *state;
    static const enum object_kind lists[] = {OBJECT_TRACK, OBJECT_PHOTON, OBJECT_NEUTRAL};
    static const enum reject reasons[] = {REJECT_NO_TRACKS, REJECT_NO_PHOTONS, REJECT_NO_NEUTRAL_HADRONS};
    for (size_t empty = 0; empty < 3; empty++) {
        event_batch_clear(&f->events);
        add_event(&f->events);
        add_object(&f->events, OBJECT_ELECTRON, electron_30);
        for (size_t l = 0; l < 3; l++)
            if (l != empty)
                add_object(&f->events, lists[l], (struct object){.pt = 1, .eta = -3, .phi = 0, .charge = 1});
        assert_int_equal(rejected_by(f, "sparkdltrigger-1"), reasons[empty]);
        assert_int_equal(kept_by(f, "topology-1")->kind, PARTICLE_ELECTRON);
    }
}

static void test_lepton_in_an_empty_detector_is_kept_by_topology(void **state)
{
    struct fixture *f = *state;
    add_event(&f->events);
    add_object(&f->events, OBJECT_MUON, muon_40);
    const struct lepton *lep = kept_by(f, "topology-1");
    assert_true(lep->iso_ch == -1 && lep->iso_gamma == 0 && lep->iso_neu == 0);
    compute("topology-1", &f->events, true, &f->features);
    assert_int_equal(f->features.row_first[1], 1);
    assert_int_equal(rejected_by(f, "sparkdltrigger-1"), REJECT_NO_TRACKS);
}

/* One photon across the seam at pi: the published recipe does not see it. */
static void test_published_recipe_keeps_a_lepton_whose_neighbour_is_across_pi(void **state)
{
    struct fixture *f = *state;
    add_quiet_event(&f->events);
    add_object(&f->events, OBJECT_ELECTRON, (struct object){.pt = 30, .eta = 1, .phi = 3.13f, .charge = 1});
    add_object(&f->events, OBJECT_TRACK, (struct object){.pt = 30, .eta = 1, .phi = 3.13f, .charge = 1});
    add_object(&f->events, OBJECT_PHOTON, (struct object){.pt = 30, .eta = 1, .phi = -3.13f});
    assert_true(kept_by(f, "sparkdltrigger-1")->iso_gamma == 0);
    assert_int_equal(rejected_by(f, "topology-1"), REJECT_NO_ISOLATED_LEPTON);
}

static void test_lepton_phi_never_leaves_an_angle(void **state)
{
    struct fixture *f = *state;
    add_quiet_event(&f->events);
    add_object(&f->events, OBJECT_ELECTRON, (struct object){.pt = 30, .eta = 1, .phi = 3.14159274f, .charge = 1});
    assert_true(fabs((double)kept_by(f, "topology-1")->phi) <= 3.14159265358979);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_topology_keeps_the_lepton_of_larger_pt_and_the_published_recipe_that_of_larger_eta),
        T(test_equal_leptons_give_the_muon),
        T(test_first_isolated_lepton_of_a_kind_is_taken_even_if_a_later_one_is_harder),
        T(test_isolation_must_be_below_the_limit),
        T(test_event_without_lepton_is_rejected_first_of_all),
        T(test_published_recipe_names_the_empty_list_and_topology_allows_it),
        T(test_lepton_in_an_empty_detector_is_kept_by_topology),
        T(test_published_recipe_keeps_a_lepton_whose_neighbour_is_across_pi),
        T(test_lepton_phi_never_leaves_an_angle),
    };
    return cmocka_run_group_tests_name("feature_select", tests, NULL, NULL);
}
