/* tests/core/model/test_tree_library.c
 *
 * Where XGBoost's library is not: fits of trees are refused, models of trees are read and scored. */
#include "tests/core/model/toy.h"

#include <stdlib.h>

static struct train_params forest_params(void)
{
    struct train_params p;
    train_params_defaults(&p);
    while (strcmp(estimator_names[p.model], "random-forest") != 0)
        p.model++;
    return p;
}

static void test_a_fit_is_refused_and_told_what_to_install(void **state)
{
    (void)state;
    struct error e;
    struct trainer *trainer;
    struct toy t;
    const struct train_params p = forest_params();
    assert_ok(train_params_check(&p, "/params", &e), &e);
    assert_int_equal(train_params_ready(&p, "/params", &e), STATUS_UNSUPPORTED);
    assert_non_null(strstr(e.text, "/params/model: random-forest"));
    assert_non_null(strstr(e.text, "libxgboost0"));
    assert_non_null(strstr(e.text, "DLT_XGBOOST_LIBRARY"));
    toy_init(&t, 20, 2);
    t.header.params.model = p.model;
    assert_int_equal(trainer_create(&t.header, &t.data, &trainer, &e), STATUS_UNSUPPORTED);
    toy_fini(&t);
}

static void test_networks_are_ready(void **state)
{
    (void)state;
    struct train_params p;
    struct error e;
    train_params_defaults(&p);
    assert_ok(train_params_ready(&p, "/params", &e), &e);
}

static void test_a_model_of_trees_is_read_and_scored(void **state)
{
    (void)state;
    static const char *const files[] = {"tests/fuzz/corpus/model/forest.dltm", "tests/fuzz/corpus/model/boosted.dltm"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct error e;
        struct model *m;
        float hlf[HLF_COUNT] = {3, -1, -1, 3, -1, -1, 3, -1, -1, 3}, out[3];
        assert_ok(model_load(files[i], &m, &e), &e);
        model_predict_hlf(m, hlf, 1, out);
        assert_true(out[0] > out[1] && out[0] > out[2]);
        assert_float_equal(out[0] + out[1] + out[2], 1, 1e-6);
        model_release(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fit_is_refused_and_told_what_to_install),
        cmocka_unit_test(test_networks_are_ready),
        cmocka_unit_test(test_a_model_of_trees_is_read_and_scored),
    };
    setenv("DLT_XGBOOST_LIBRARY", "/nonexistent/libxgboost.so", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
