/* tests/core/feature/test_recipe.c
 *
 * Recipes are frozen: names, values and units that stored data and models rely on. */
#include "tests/core/feature/events.h"

static void test_recipes_hold_their_frozen_values(void **state)
{
    (void)state;
    size_t n;
    const struct recipe *all = recipe_all(&n);
    assert_int_equal(n, 2);
    assert_string_equal(all[0].name, "topology-1");
    const struct recipe *t = recipe_find("topology-1"), *s = recipe_find("sparkdltrigger-1");
    assert_true(t->allow_empty_lists && t->wrap_isolation_dphi && !t->lepton_by_eta && t->order_by_pt && t->mt_sqrt);
    assert_true(t->scale_log && t->scale_train_only && !t->sequence_dense && t->scaling == HLF_SCALE_STANDARD);
    assert_true(t->btag_mask == 1 && t->iso_max == 0.45);
    assert_true(!s->allow_empty_lists && !s->wrap_isolation_dphi && s->lepton_by_eta && !s->order_by_pt && !s->mt_sqrt);
    assert_true(!s->scale_log && !s->scale_train_only && s->sequence_dense && s->scaling == HLF_SCALE_MINMAX);
    assert_true(s->btag_mask == 0 && s->iso_max == 0.45);
}

static void test_unknown_recipe_is_not_found(void **state)
{
    (void)state;
    assert_null(recipe_find("topology-2"));
    assert_null(recipe_find(""));
    assert_null(recipe_find(NULL));
}

static void test_features_have_the_names_of_posted_events(void **state)
{
    (void)state;
    static const char *const names[HLF_COUNT] = {
        "HT", "MET", "MET_phi", "MT", "nJets", "nBJets", "lepPt", "lepEta", "lepPhi", "lepIsoCh", "lepIsoGamma",
        "lepIsoNeu", "lepCharge", "lepIsEle"};
    for (size_t i = 0; i < HLF_COUNT; i++) {
        assert_string_equal(hlf_info[i].name, names[i]);
        assert_true(hlf_info[i].unit && hlf_info[i].formula && hlf_info[i].min < hlf_info[i].max);
    }
    assert_true(hlf_info[HLF_LEP_IS_ELE].whole && hlf_info[HLF_LEP_IS_ELE].max == 1);
    assert_true(hlf_info[HLF_LEP_CHARGE].min == -1 && hlf_info[HLF_LEP_ISO_CH].min == -1);
}

static void test_transverse_mass_has_the_unit_of_its_recipe(void **state)
{
    (void)state;
    assert_string_equal(hlf_unit(recipe_find("topology-1"), HLF_MT), "GeV");
    assert_string_equal(hlf_unit(recipe_find("sparkdltrigger-1"), HLF_MT), "GeV^2");
    assert_string_equal(hlf_unit(recipe_find("sparkdltrigger-1"), HLF_MET), "GeV");
}

static void test_rejects_have_the_names_of_the_cut_flow(void **state)
{
    (void)state;
    assert_string_equal(reject_name(REJECT_NONE), "pass");
    assert_string_equal(reject_name(REJECT_NO_LEPTON_ABOVE_PT), "no_lepton_above_pt");
    assert_string_equal(reject_name(REJECT_NO_NEUTRAL_HADRONS), "no_neutral_hadrons");
    for (int r = 0; r < REJECT_COUNT; r++)
        assert_non_null(reject_name((enum reject)r));
}

static void test_particle_columns_have_the_published_order(void **state)
{
    (void)state;
    assert_string_equal(particle_column_names[0], "E");
    assert_string_equal(particle_column_names[5], "Eta");
    assert_string_equal(particle_column_names[11], "GammaPFIso");
    assert_string_equal(particle_column_names[18], "Charge");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipes_hold_their_frozen_values),
        cmocka_unit_test(test_unknown_recipe_is_not_found),
        cmocka_unit_test(test_features_have_the_names_of_posted_events),
        cmocka_unit_test(test_transverse_mass_has_the_unit_of_its_recipe),
        cmocka_unit_test(test_rejects_have_the_names_of_the_cut_flow),
        cmocka_unit_test(test_particle_columns_have_the_published_order),
    };
    return cmocka_run_group_tests_name("feature_recipe", tests, NULL, NULL);
}
