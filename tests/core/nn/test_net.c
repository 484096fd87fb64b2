/* tests/core/nn/test_net.c
 *
 * Networks: golden answers, the same bits in any batch, planned memory, and what is refused. */
#include "core/nn/net.h"

#include "tests/core/nn/nn_support.h"

/* Kernel and bias of the layers of reference network A, as core/nn orders them. */
static float *golden_params(const struct net *net)
{
    struct error e;
    float *params = floats(net_n_params(net));
    size_t at = 0;
    for (size_t i = 0; i < 4; i++)
        for (size_t part = 0; part < 2; part++) {
            char path[64];
            struct npy a;
            snprintf(path, sizeof path, "golden/weight_A_dense_%zu_%s.npy", i, part ? "bias" : "kernel");
            assert_ok(npy_load(shared_path(path), &a, &e), &e);
            assert_true(at + a.n <= net_n_params(net));
            for (size_t j = 0; j < a.n; j++)
                params[at++] = (float)npy_value(&a, j);
            npy_free(&a);
        }
    assert_int_equal(at, net_n_params(net));
    return params;
}

static void test_reference_network_a_gives_its_known_answers(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct error e;
    struct npy in, expected;
    assert_ok(npy_load(shared_path("golden/in_hlf.npy"), &in, &e), &e);
    assert_ok(npy_load(shared_path("golden/expect_A.npy"), &expected, &e), &e);
    assert_true(in.f4 && in.shape[1] == 14 && expected.n == in.shape[0] * 3);
    struct net *net = DENSE_NET(14, 50, 20, 10, 3);
    assert_int_equal(net_n_params(net), 2013);
    float *params = golden_params(net), *out = floats(expected.n);
    static const size_t at_once[] = {1, 5, 64};
    for (size_t level = 0; level < n_levels(); level++)
        for (size_t k = 0; k < ARRAY_LEN(at_once); k++) {
            cpu_level_set((enum cpu_level)level);
            run_rows(net, params, (const float *[]){in.f4}, in.shape[0], at_once[k], true, out);
            for (size_t i = 0; i < expected.n; i++)
                assert_true(fabs((double)out[i] - npy_value(&expected, i)) < 1e-6);
        }
    mem_free(params);
    mem_free(out);
    npy_free(&in);
    npy_free(&expected);
    net_destroy(net);
}

static void assert_any_batch_has_the_same_bits(struct net *net)
{
    enum { N = 1000 };
    static const size_t at_once[] = {1, 2, 8, 33, 64, 128, 1000};
    size_t n_out = net_output(net).features;
    float *params = floats(net_n_params(net)), *in[NET_INPUTS_MAX] = {NULL};
    float *one = floats(N * n_out), *many = floats(N * n_out);
    net_init(net, 5, params);
    for (size_t i = 0; i < net_n_inputs(net); i++)
        in[i] = random_floats(i, N * net_input_shape(net, i).features, 1);
    cpu_level_set(CPU_PORTABLE);
    run_rows(net, params, (const float *const *)in, N, 1, true, one);
    for (size_t level = 0; level < n_levels(); level++)
        for (size_t k = 0; k < ARRAY_LEN(at_once); k++) {
            cpu_level_set((enum cpu_level)level);
            run_rows(net, params, (const float *const *)in, N, at_once[k], true, many);
            assert_same_bits(one, many, N * n_out);
        }
    for (size_t i = 0; i < net_n_inputs(net); i++)
        mem_free(in[i]);
    mem_free(params);
    mem_free(one);
    mem_free(many);
    net_destroy(net);
}

static void test_a_row_has_the_same_bits_in_any_batch_at_any_level(void **state)
{
    (void)state;
    assert_any_batch_has_the_same_bits(DENSE_NET(14, 50, 20, 10, 3));
}

static void test_wide_layers_have_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    assert_any_batch_has_the_same_bits(DENSE_NET(14, 129, 70, 64));
}

static void test_branches_have_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    assert_any_batch_has_the_same_bits(branched_net());
}

/* Shared rooms must not hold two living values: scoring gives what training gives, where nothing is shared. */
static void test_scoring_and_training_memory_give_the_same_bits(void **state)
{
    (void)state;
    enum { N = 40 };
    struct net *net = branched_net();
    float *params = floats(net_n_params(net)), *a = random_floats(1, N * 5, 1), *b = random_floats(2, N * 3, 1);
    float *scored = floats(N * 3), *work = floats(pass_work_size(net, N, true));
    struct pass p;
    net_init(net, 6, params);
    run_rows(net, params, (const float *[]){a, b}, N, N, false, scored);
    pass_init(&p, net, N, true, work);
    p.k->rows_to_lanes(a, 5, NULL, N, 5, p.ld, pass_input(&p, 0));
    p.k->rows_to_lanes(b, 3, NULL, N, 3, p.ld, pass_input(&p, 1));
    pass_forward(&p, params, N, NULL);
    for (size_t r = 0; r < N; r++)
        for (size_t c = 0; c < 3; c++)
            assert_same_bits(&scored[r * 3 + c], &pass_output(&p)[c * p.ld + r], 1);
    assert_true(pass_work_size(net, N, false) < pass_work_size(net, N, true) / 2);
    mem_free(params);
    mem_free(a);
    mem_free(b);
    mem_free(scored);
    mem_free(work);
    net_destroy(net);
}

static void test_a_chain_needs_room_for_two_values_only(void **state)
{
    (void)state;
    struct net *chain = DENSE_NET(16, 64, 64, 64, 64, 64, 64, 16);
    /* while the third value is made the input still lives: it may take the first one's end */
    assert_true(pass_work_size(chain, 16, false) <= (2 * 64 + 16) * 16);
    net_destroy(chain);
}

/* The gradient of a sum over rows is the sum of the gradients over its parts. */
static void test_gradients_add_up_over_parts_of_the_rows(void **state)
{
    (void)state;
    enum { N = 90, CUT = 33 };
    struct net *net = DENSE_NET(14, 20, 10, 3);
    size_t n_params = net_n_params(net);
    float *params = floats(n_params), *rows = random_floats(3, N * 14, 1), *whole = floats(n_params);
    float *parts = floats(n_params), *work = floats(pass_work_size(net, N, true)), label[96], weight[96];
    const size_t from[] = {0, 0, CUT}, to[] = {N, CUT, N};
    struct loss_sums sums[3] = {{0}};
    net_init(net, 8, params);
    for (size_t k = 0; k < 3; k++) {
        struct pass p;
        size_t n = to[k] - from[k];
        pass_init(&p, net, N, true, work);
        memset(label, 0, sizeof label);
        memset(weight, 0, sizeof weight);
        for (size_t r = 0; r < n; r++) {
            label[r] = (float)((from[k] + r) % 3);
            weight[r] = 1;
        }
        p.k->rows_to_lanes(rows + from[k] * 14, 14, NULL, n, 14, p.ld, pass_input(&p, 0));
        pass_forward(&p, params, n, NULL);
        pass_loss(&p, n, label, weight, 1.0f / N, &sums[k]);
        pass_backward(&p, params, n, NULL, k == 0 ? whole : parts);
    }
    for (size_t i = 0; i < n_params; i++)
        assert_float_equal(whole[i], parts[i], 1e-6);
    assert_true(fabs(sums[0].loss - sums[1].loss - sums[2].loss) < 1e-4);
    assert_float_equal(sums[1].weight + sums[2].weight, N, 0);
    float *all[] = {params, rows, whole, parts, work};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mem_free(all[i]);
    net_destroy(net);
}

static void test_what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    struct error e;
    struct net *net;
    size_t value, none[LAYER_INPUTS_MAX + 1] = {0};
    struct dense_config wide = {LAYER_WIDTH_MAX + 1, 0}, strange = {3, 7}, good = {3, 0};
    assert_ok(net_create(&net, &e), &e);
    assert_status(net_input(net, (struct shape){0, 0}, &value, &e), STATUS_RANGE, &e);
    size_t x = add_input(net, 4);
    assert_status(net_add(net, "lstm9", NULL, &x, 1, &value, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "lstm9");
    assert_status(net_add(net, "dense", &wide, &x, 1, &value, &e), STATUS_RANGE, &e);
    assert_contains(e.text, "layer 1 (dense)");
    assert_status(net_add(net, "dense", &strange, &x, 1, &value, &e), STATUS_RANGE, &e);
    assert_status(net_add(net, "dense", &good, none, 0, &value, &e), STATUS_ARGUMENT, &e);
    assert_status(net_add(net, "concat", NULL, none, LAYER_INPUTS_MAX + 1, &value, &e), STATUS_ARGUMENT, &e);
    assert_status(net_finish(net, &e), STATUS_ARGUMENT, &e);
    net_destroy(net);
    net_destroy(NULL);
}

static void test_a_value_that_nothing_uses_is_refused(void **state)
{
    (void)state;
    struct error e;
    struct net *net;
    assert_ok(net_create(&net, &e), &e);
    size_t x = add_input(net, 4);
    add_dense(net, 3, ACTIVATION_RELU, x);
    add_dense(net, 2, ACTIVATION_LINEAR, x);
    assert_status(net_finish(net, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "layer 1");
    net_destroy(net);
}

static void test_a_sequence_cannot_be_joined_or_be_the_output(void **state)
{
    (void)state;
    struct error e;
    struct net *net;
    size_t x, value;
    struct dense_config config = {3, 0};
    assert_ok(net_create(&net, &e), &e);
    assert_ok(net_input(net, (struct shape){4, 9}, &x, &e), &e);
    assert_status(net_add(net, "concat", NULL, &x, 1, &value, &e), STATUS_ARGUMENT, &e);
    assert_ok(net_add(net, "dense", &config, &x, 1, &value, &e), &e);
    assert_status(net_finish(net, &e), STATUS_ARGUMENT, &e);
    net_destroy(net);
}

static void test_too_many_layers_are_refused(void **state)
{
    (void)state;
    struct error e;
    struct net *net;
    enum status s = STATUS_OK;
    struct dense_config config = {2, 0};
    assert_ok(net_create(&net, &e), &e);
    size_t value = add_input(net, 2), n = 0;
    for (; s == STATUS_OK && n < 1000; n++)
        s = net_add(net, "dense", &config, &value, 1, &value, &e);
    assert_int_equal(s, STATUS_RANGE);
    assert_int_equal(n, NET_VALUES_MAX);
    net_destroy(net);
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct error e;
        struct net *net = NULL;
        size_t value;
        struct dense_config config = {3, 0};
        enum status s = net_create(&net, &e);
        if (s == STATUS_OK)
            s = net_input(net, (struct shape){4, 0}, &value, &e);
        if (s == STATUS_OK)
            s = net_add(net, "dense", &config, &value, 1, &value, &e);
        if (s == STATUS_OK)
            s = net_finish(net, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        net_destroy(net);
    }
}

static int all_levels_again(void **state)
{
    (void)state;
    cpu_level_set(CPU_AVX512);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_reference_network_a_gives_its_known_answers, all_levels_again),
        cmocka_unit_test_teardown(test_a_row_has_the_same_bits_in_any_batch_at_any_level, all_levels_again),
        cmocka_unit_test_teardown(test_wide_layers_have_the_same_bits_in_any_batch, all_levels_again),
        cmocka_unit_test_teardown(test_branches_have_the_same_bits_in_any_batch, all_levels_again),
        cmocka_unit_test(test_scoring_and_training_memory_give_the_same_bits),
        cmocka_unit_test(test_a_chain_needs_room_for_two_values_only),
        cmocka_unit_test(test_gradients_add_up_over_parts_of_the_rows),
        cmocka_unit_test(test_what_does_not_fit_is_refused_by_name),
        cmocka_unit_test(test_a_value_that_nothing_uses_is_refused),
        cmocka_unit_test(test_a_sequence_cannot_be_joined_or_be_the_output),
        cmocka_unit_test(test_too_many_layers_are_refused),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
