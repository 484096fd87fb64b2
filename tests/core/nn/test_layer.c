/* tests/core/nn/test_layer.c
 *
 * Layer kinds: their gradients against finite differences, and the rules of their shapes. */
#include "core/nn/layer.h"

#include "tests/core/nn/nn_support.h"

/* Gradients of all parameters over 18 random rows: no larger deviation than rounding allows, few numbers skipped. */
static void assert_gradients(struct net *net, uint64_t seed)
{
    enum { N = 18 };
    struct error e;
    struct gradient_report report;
    float *in[NET_INPUTS_MAX] = {NULL}, label[32] = {0}, weight[32] = {0};
    float *params = floats(net_n_params(net));
    net_init(net, seed, params);
    for (size_t i = 0; i < net_n_params(net); i++)
        params[i] += params[i] == 0 ? 0.05f * (float)(i % 7) : 0;         /* biases too */
    for (size_t i = 0; i < net_n_inputs(net); i++)
        in[i] = random_floats(seed + i, net_input_shape(net, i).features * pass_ld(N), 1);
    for (size_t r = 0; r < N; r++) {
        label[r] = (float)(r % net_output(net).features);
        weight[r] = 0.5f + (float)(r % 3);
    }
    assert_ok(gradient_check(net, params, (const float *const *)in, NULL, label, weight, N, 0x1p-8, &report, &e), &e);
    if (!(report.worst < 2e-3))
        fail_msg("parameter %zu is off by %g", report.worst_at, report.worst);
    assert_int_equal(report.n_checked + report.n_skipped, net_n_params(net));
    assert_true(report.n_skipped <= net_n_params(net) / 4);
    for (size_t i = 0; i < net_n_inputs(net); i++)
        mem_free(in[i]);
    mem_free(params);
    net_destroy(net);
}

static void test_dense_without_activation_has_right_gradients(void **state)
{
    (void)state;
    assert_gradients(DENSE_NET(6, 4), 1);
}

static void test_dense_with_relu_has_right_gradients_through_several_layers(void **state)
{
    (void)state;
    assert_gradients(DENSE_NET(5, 9, 8, 7, 3), 2);
}

static void test_the_published_network_has_right_gradients(void **state)
{
    (void)state;
    assert_gradients(DENSE_NET(14, 50, 20, 10, 3), 3);
}

static void test_relu_and_concat_have_right_gradients_when_values_are_shared(void **state)
{
    (void)state;
    assert_gradients(branched_net(), 4);
}

static void test_dense_on_a_sequence_is_dense_on_each_step(void **state)
{
    (void)state;
    enum { IN = 3, UNITS = 5, STEPS = 4, LD = 32 };
    struct dense_config config = {UNITS, ACTIVATION_RELU};
    struct layer l = {.kind = &layer_dense, .config = &config, .n_inputs = 1, .in = {{IN, STEPS}}};
    struct error e;
    assert_ok(layer_dense.shape(&l, &e), &e);
    assert_true(shape_equal(l.out, (struct shape){UNITS, STEPS}));
    size_t n_params = layer_dense.n_params(&l);
    assert_int_equal(n_params, (IN + 1) * UNITS);
    float *params = random_floats(1, n_params, 1), *x = random_floats(2, STEPS * IN * LD, 1);
    float *out = floats(STEPS * UNITS * LD), *d_out = random_floats(3, STEPS * UNITS * LD, 1);
    float *d_in = floats(STEPS * IN * LD), *grads = floats(n_params);
    struct layer_call c = {.k = kernels_get(), .n = LD, .lanes = LD, .ld = LD, .params = params, .in = {x}, .out = out,
                           .d_out = d_out, .d_in = {d_in}, .grads = grads};
    float *out2 = floats(UNITS * LD), *d2 = random_floats(3, STEPS * UNITS * LD, 1), *d_in2 = floats(IN * LD);
    float *grads2 = floats(n_params);
    layer_dense.forward(&l, &c);
    layer_dense.backward(&l, &c);
    struct layer flat = l;
    flat.in[0].steps = 0;
    assert_ok(layer_dense.shape(&flat, &e), &e);
    for (size_t step = 0; step < STEPS; step++) {
        struct layer_call one = c;
        one.in[0] = x + step * IN * LD;
        one.out = out2;
        one.d_out = d2 + step * UNITS * LD;
        one.d_in[0] = d_in2;
        one.grads = grads2;
        layer_dense.forward(&flat, &one);
        layer_dense.backward(&flat, &one);
        assert_same_bits(out2, out + step * UNITS * LD, UNITS * LD);
        assert_same_bits(d_in2, d_in + step * IN * LD, IN * LD);
    }
    for (size_t i = 0; i < n_params; i++)                     /* summed over steps before lanes are folded */
        assert_float_equal(grads2[i], grads[i], 1e-4);
    float *all[] = {params, x, out, d_out, d_in, grads, out2, d2, d_in2, grads2};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mem_free(all[i]);
}

static void test_dense_starts_glorot_uniform_with_zero_biases(void **state)
{
    (void)state;
    struct net *net = DENSE_NET(200, 300, 3);
    float *params = floats(net_n_params(net));
    net_init(net, 7, params);
    double limit = sqrt(6.0 / 500), sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < 60000; i++) {
        assert_true(fabs((double)params[i]) <= limit);
        most = fmax(most, fabs((double)params[i]));
        sum += (double)params[i];
        squares += (double)params[i] * (double)params[i];
    }
    assert_true(most > 0.999 * limit);
    assert_true(fabs(sum / 60000) < 5 * limit / sqrt(3.0 * 60000));       /* five deviations of the mean */
    assert_true(fabs(squares / 60000 / (limit * limit / 3) - 1) < 0.02);
    for (size_t i = 60000; i < 60300; i++)
        assert_float_equal(params[i], 0, 0);
    mem_free(params);
    net_destroy(net);
}

static void test_starting_values_follow_the_seed(void **state)
{
    (void)state;
    struct net *net = DENSE_NET(14, 50, 3);
    size_t n = net_n_params(net);
    float *a = floats(n), *b = floats(n), *c = floats(n);
    net_init(net, 1, a);
    net_init(net, 1, b);
    net_init(net, 2, c);
    assert_same_bits(a, b, n);
    assert_memory_not_equal(a, c, n * sizeof *a);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    net_destroy(net);
}

static void test_each_kind_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; layer_kinds[i]; i++) {
        assert_ptr_equal(layer_kind_find(layer_kinds[i]->name), layer_kinds[i]);
        assert_non_null(layer_kinds[i]->doc);
    }
    assert_null(layer_kind_find("none"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense_without_activation_has_right_gradients),
        cmocka_unit_test(test_dense_with_relu_has_right_gradients_through_several_layers),
        cmocka_unit_test(test_the_published_network_has_right_gradients),
        cmocka_unit_test(test_relu_and_concat_have_right_gradients_when_values_are_shared),
        cmocka_unit_test(test_dense_on_a_sequence_is_dense_on_each_step),
        cmocka_unit_test(test_dense_starts_glorot_uniform_with_zero_biases),
        cmocka_unit_test(test_starting_values_follow_the_seed),
        cmocka_unit_test(test_each_kind_is_found_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
