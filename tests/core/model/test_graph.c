/* tests/core/model/test_graph.c
 *
 * Networks as lists of layers: what is completed and in which order, the estimators' own lists, models of declared
 * networks, and each way to declare nonsense. */
#include "core/model/graph.h"

#include "core/model/estimator.h"
#include "tests/core/model/toy.h"

static struct arena arena;

/* Layers as lines of field text, as a model's header or a spec holds them. */
static struct train_params params_of(const char *text)
{
    struct error e;
    struct train_params p;
    assert_ok(field_read_text(&arena, train_params_fields, (struct span){(const uint8_t *)text, strlen(text)}, &p, &e),
              &e);
    return p;
}

static const struct layer_spec *layer(const struct field_list *list, size_t i)
{
    assert_true(i < list->n_items);
    return (const struct layer_spec *)list->items + i;
}

static const char *input(const struct layer_spec *l, size_t i) { return ((const char *const *)l->inputs.items)[i]; }

/* A hidden layer, three classes; 16 x 15 + 3 x 17 parameters. */
#define SMALL \
    "layers[0].kind = dense\nlayers[0].units = 16\nlayers[0].activation = relu\nlayers[0].inputs[0] = \"hlf\"\n"
#define LAST(i) "layers[" #i "].kind = dense\n"
#define LAYER(i, kind) "layers[" #i "].kind = " kind "\n"
#define NAMED(i, name) "layers[" #i "].name = \"" name "\"\n"
#define INPUT(i, j, name) "layers[" #i "].inputs[" #j "] = \"" name "\"\n"
#define UNITS(i, n) "layers[" #i "].units = " #n "\n"

/* ---- completing -------------------------------------------------------------------------------------------------- */

static void test_names_inputs_and_units_are_completed(void **state)
{
    (void)state;
    struct error e;
    struct train_params p = params_of(SMALL LAYER(1, "layer_norm") LAST(2));
    assert_ok(train_params_check(&p, "/params", &e), &e);
    assert_int_equal(estimator_input(&p), INPUT_HLF);
    assert_ok(estimator_resolve(&arena, &p, 4, &e), &e);
    assert_int_equal(p.layers.n_items, 3);
    assert_string_equal(layer(&p.layers, 0)->name, "dense_0");
    assert_string_equal(layer(&p.layers, 1)->name, "layer_norm_1");
    assert_string_equal(input(layer(&p.layers, 1), 0), "dense_0");
    assert_float_equal(layer(&p.layers, 1)->epsilon, 1e-6, 0);
    assert_int_equal(layer(&p.layers, 2)->units, 4);
    struct train_params again = p;
    assert_ok(estimator_resolve(&arena, &again, 4, &e), &e);
    assert_string_equal(layer(&again.layers, 2)->name, "dense_2");
}

static void test_layers_may_stand_in_any_order_and_follow_their_inputs(void **state)
{
    (void)state;
    struct error e;
    struct net *net;
    struct train_params p = params_of(LAYER(0, "dense") NAMED(0, "end") INPUT(0, 0, "both")
                                      LAYER(1, "concatenate") NAMED(1, "both") INPUT(1, 0, "left") INPUT(1, 1, "hlf")
                                      LAYER(2, "gru") NAMED(2, "left") INPUT(2, 0, "particles") UNITS(2, 5));
    assert_ok(train_params_check(&p, "/params", &e), &e);
    assert_int_equal(estimator_input(&p), INPUT_BOTH);
    assert_ok(estimator_network(&p, 3, &net, &e), &e);
    assert_int_equal(net_n_params(net), (19 + 5 + 2) * 15 + (5 + 14 + 1) * 3);
    net_destroy(net);
    assert_ok(estimator_resolve(&arena, &p, 3, &e), &e);
    static const char *const expected[] = {"left", "both", "end"};
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(layer(&p.layers, i)->name, expected[i]);
}

/* ---- the estimators' own ----------------------------------------------------------------------------------------- */

static void test_the_published_networks_have_the_published_numbers_of_parameters(void **state)
{
    (void)state;
    static const struct { const char *name; enum model_input input; size_t n_layers, n_params; } published[] = {
        {"hlf", INPUT_HLF, 4, 2013},
        {"sequence", INPUT_SEQUENCE, 3, 10803},
        {"inclusive", INPUT_BOTH, 6, 12353},
        {"inclusive-lstm", INPUT_BOTH, 6, 15703},
        {"inclusive-transformer", INPUT_BOTH, 10, 173378},    /* as the published notebook's summary says */
    };
    for (size_t i = 0; i < ARRAY_LEN(published); i++) {
        struct error e;
        struct net *net;
        struct train_params p;
        train_params_defaults(&p);
        while (strcmp(estimator_names[p.model], published[i].name) != 0)
            p.model++;
        assert_ok(train_params_check(&p, "", &e), &e);
        assert_int_equal(estimator_input(&p), published[i].input);
        assert_ok(estimator_network(&p, 3, &net, &e), &e);
        assert_int_equal(net_n_params(net), published[i].n_params);
        net_destroy(net);
        assert_ok(estimator_resolve(&arena, &p, 3, &e), &e);
        assert_int_equal(p.layers.n_items, published[i].n_layers);
        assert_int_equal(estimator_input(&p), published[i].input);
    }
}

static void test_numbers_of_the_parameters_fill_the_estimators_places(void **state)
{
    (void)state;
    struct error e;
    struct train_params p = params_of("model = inclusive\nunits = 7\ndropout = 0.4\nhidden[0] = 9\nhidden[1] = 8\n");
    assert_ok(estimator_resolve(&arena, &p, 2, &e), &e);
    assert_int_equal(p.layers.n_items, 7);
    assert_int_equal(layer(&p.layers, 0)->units, 7);
    assert_float_equal(layer(&p.layers, 1)->rate, 0.4, 0);
    assert_string_equal(input(layer(&p.layers, 3), 1), "hlf_dropout");
    assert_int_equal(layer(&p.layers, 4)->units, 9);
    assert_int_equal(layer(&p.layers, 5)->units, 8);
    assert_int_equal(layer(&p.layers, 6)->units, 2);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

static void test_a_declared_network_learns_and_is_in_the_models_file(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    float out[40 * 3], back[40 * 3];
    toy_init(&t, 400, 3);
    t.header.params.layers = params_of(SMALL LAYER(1, "dropout") "layers[1].rate = 0.1\n" LAST(2)).layers;
    t.header.params.learning_rate = 0.01;
    struct model *m = toy_train(&t, 20), *read;
    assert_true(model_header(m)->train_loss < 0.7);
    const struct field_list *layers = &model_header(m)->params.layers;
    assert_int_equal(layers->n_items, 3);
    assert_int_equal(layer(layers, 2)->units, 3);
    struct buf bytes = toy_encode(m);
    assert_ok(model_decode((struct span){bytes.data, bytes.len}, "m", &read, &e), &e);
    model_predict_hlf(m, t.hlf, 40, out);
    model_predict_hlf(read, t.hlf, 40, back);
    assert_memory_equal(out, back, sizeof out);
    buf_fini(&bytes);
    model_release(m);
    model_release(read);
    toy_fini(&t);
}

/* Files of version 0.1 say nothing of layers. */
static void test_a_file_that_names_no_layers_has_its_estimators_own(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    float out[40 * 2], back[40 * 2];
    toy_init(&t, 100, 2);
    struct model *m = toy_train(&t, 1), *read;
    struct buf bytes = toy_encode(m);
    uint32_t text_len;
    memcpy(&text_len, bytes.data + 12, sizeof text_len);
    char *text = (char *)bytes.data + 24, *first = strstr(text, "params.layers[0]"), *last = first;
    for (char *line = first; strncmp(line, "params.layers", 13) == 0; line = last)
        last = strchr(line, '\n') + 1;
    memmove(first, last, (size_t)((char *)bytes.data + bytes.len - last));
    bytes.len -= (size_t)(last - first);
    text_len -= (uint32_t)(last - first);
    memcpy(bytes.data + 12, &text_len, sizeof text_len);
    toy_seal(bytes.data, bytes.len);
    assert_ok(model_decode((struct span){bytes.data, bytes.len}, "old", &read, &e), &e);
    assert_int_equal(model_header(read)->params.layers.n_items, 4);
    model_predict_hlf(m, t.hlf, 40, out);
    model_predict_hlf(read, t.hlf, 40, back);
    assert_memory_equal(out, back, sizeof out);
    buf_fini(&bytes);
    model_release(m);
    model_release(read);
    toy_fini(&t);
}

/* ---- nonsense ---------------------------------------------------------------------------------------------------- */

static void refused(const char *text, const char *where, const char *why)
{
    struct error e = {0};
    struct train_params p = params_of(text);
    enum status s = train_params_check(&p, "/spec/params", &e);
    if (s != STATUS_ARGUMENT && s != STATUS_RANGE)
        fail_msg("%s\nis %s instead of refused: %s", text, status_name(s), e.text);
    assert_contains(e.text, where);
    assert_contains(e.text, why);
}

static void test_what_makes_no_network_is_refused_with_layer_and_member(void **state)
{
    (void)state;
    refused(LAYER(0, "dense"), "/spec/params/layers/0/inputs", "must say what it reads");
    refused(SMALL LAYER(1, "dense") INPUT(1, 0, "nobody"), "/spec/params/layers/1/inputs/0", "'nobody'");
    refused(SMALL NAMED(0, "hlf") LAST(1), "/spec/params/layers/0/name", "input's");
    refused(SMALL NAMED(0, "a") LAST(1) NAMED(1, "a"), "/spec/params/layers/1/name", "name of layer 0");
    refused(SMALL LAYER(1, "lstm") UNITS(1, 4) LAST(2), "/spec/params/layers/1/inputs", "takes a sequence");
    refused(SMALL LAYER(1, "flatten") LAST(2), "/spec/params/layers/1/inputs", "takes a sequence");
    refused(SMALL LAYER(1, "attention") "layers[1].heads = 2\nlayers[1].key_dim = 3\n" LAST(2),
            "/spec/params/layers/1/inputs", "takes a sequence");
    refused(LAYER(0, "dense") INPUT(0, 0, "particles"), "/spec/params/layers/0/inputs", "gives a sequence");
    refused(LAYER(0, "gru") INPUT(0, 0, "particles") LAST(1), "/spec/params/layers/0/units", "needs it");
    refused(LAYER(0, "gru") INPUT(0, 0, "particles") UNITS(0, 513) LAST(1), "/spec/params/layers/0/units",
            "at most 512");
    refused(LAYER(0, "dense") INPUT(0, 0, "hlf") LAST(1), "/spec/params/layers/0/units", "needs it");
    refused(SMALL LAYER(1, "relu") UNITS(1, 3) LAST(2), "/spec/params/layers/1/units", "no such member");
    refused(SMALL LAST(1) "layers[1].rate = 0.5\n", "/spec/params/layers/1/rate", "no such member");
    refused(SMALL LAST(1) "layers[1].reset_after = false\n", "/spec/params/layers/1/reset_after", "no such member");
    refused(SMALL LAST(1) "layers[1].activation = relu\n", "/spec/params/layers/1", "dense and linear");
    refused(SMALL LAYER(1, "relu"), "/spec/params/layers/1", "dense and linear");
    refused(SMALL UNITS(0, 5000) LAST(1), "/spec/params/layers/0/units", "5000");
    refused(SMALL LAYER(1, "attention") LAST(2), "/spec/params/layers/1/heads", "needs it");
    refused(LAYER(0, "concatenate") INPUT(0, 0, "hlf") INPUT(0, 1, "particles") LAST(1), "/spec/params/layers/0/inputs",
            "'particles' is a sequence");
    refused(LAYER(0, "dense") INPUT(0, 0, "hlf") INPUT(0, 1, "hlf"), "/spec/params/layers/0/inputs",
            "one input, not 2");
    refused(SMALL LAYER(1, "add") INPUT(1, 0, "dense_0") INPUT(1, 1, "hlf") LAST(2), "/spec/params/layers/1/inputs",
            "equal shapes");
}

static void test_cycles_and_loose_ends_are_named(void **state)
{
    (void)state;
    refused(LAYER(0, "dense") NAMED(0, "a") INPUT(0, 0, "c") UNITS(0, 4) LAYER(1, "relu") NAMED(1, "b") INPUT(1, 0, "a")
            LAYER(2, "relu") NAMED(2, "c") INPUT(2, 0, "b") LAST(3) NAMED(3, "d") INPUT(3, 0, "c"),
            "/spec/params/layers/0/inputs", "'a' takes 'c' takes 'b' takes 'a'");
    refused(LAYER(0, "relu") NAMED(0, "self") INPUT(0, 0, "self") LAST(1), "/spec/params/layers/0/inputs",
            "'self' takes 'self'");
    refused(SMALL LAST(1) LAST(2) INPUT(2, 0, "dense_0"), "/spec/params/layers/2", "'dense_1'");
}

static void test_absurd_sizes_are_refused_before_anything_is_allocated_for_them(void **state)
{
    (void)state;
    char text[8192];
    size_t at = 0;
    for (int i = 0; i < 20; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "layers[%d].kind = dense\nlayers[%d].units = 1024\n", i, i);
    snprintf(text + at, sizeof text - at, LAST(20));
    char *whole = arena_printf(&arena, "%s%s", INPUT(0, 0, "hlf"), text);
    assert_non_null(whole);
    refused(whole, "/spec/params/layers", "parameters, at most");
    refused(LAYER(0, "dense") INPUT(0, 0, "particles") UNITS(0, 400) LAYER(1, "flatten") LAST(2),
            "/spec/params/layers/1", "65536");
    refused(LAYER(0, "gru") INPUT(0, 0, "particles") UNITS(0, 512)
            LAYER(1, "lstm") INPUT(1, 0, "particles") UNITS(1, 512)
            LAYER(2, "concatenate") INPUT(2, 0, "gru_0") INPUT(2, 1, "lstm_1") LAST(3), "/spec/params/layers",
            "working memory");
    refused(SMALL UNITS(0, 1024) LAYER(1, "dense") INPUT(1, 0, "dense_0") UNITS(1, 1024)
            LAYER(2, "concatenate") INPUT(2, 0, "dense_0") INPUT(2, 1, "dense_1") LAST(3), "/spec/params/layers",
            "no particles are read");
}

static void test_the_number_of_classes_must_be_that_of_the_last_layer(void **state)
{
    (void)state;
    struct error e;
    struct net *net;
    struct train_params p = params_of(SMALL LAST(1) UNITS(1, 5));
    assert_ok(train_params_check(&p, "", &e), &e);
    assert_ok(estimator_network(&p, 5, &net, &e), &e);
    net_destroy(net);
    assert_status(estimator_network(&p, 3, &net, &e), STATUS_ARGUMENT, &e);
    assert_null(net);
    assert_contains(e.text, "/params/layers/1/units");
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct train_params p;
    train_params_defaults(&p);
    while (strcmp(estimator_names[p.model], "inclusive-transformer") != 0)
        p.model++;
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct error e;
        enum status s = estimator_check(&p, "", &e);
        if (alloc_fail_end())
            assert_status(s, STATUS_NOMEM, &e);
        else
            assert_ok(s, &e);
    }
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)1 << 28);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_inputs_and_units_are_completed),
        cmocka_unit_test(test_layers_may_stand_in_any_order_and_follow_their_inputs),
        cmocka_unit_test(test_the_published_networks_have_the_published_numbers_of_parameters),
        cmocka_unit_test(test_numbers_of_the_parameters_fill_the_estimators_places),
        cmocka_unit_test(test_a_declared_network_learns_and_is_in_the_models_file),
        cmocka_unit_test(test_a_file_that_names_no_layers_has_its_estimators_own),
        cmocka_unit_test(test_what_makes_no_network_is_refused_with_layer_and_member),
        cmocka_unit_test(test_cycles_and_loose_ends_are_named),
        cmocka_unit_test(test_absurd_sizes_are_refused_before_anything_is_allocated_for_them),
        cmocka_unit_test(test_the_number_of_classes_must_be_that_of_the_last_layer),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
