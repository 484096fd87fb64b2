/* tests/core/nn/test_attention.c
 *
 * Attention and the layers around it: reference values of an independent implementation, gradients, and the same bits
 * however rows are run and whatever stands beyond their length. */
#include "core/nn/net.h"

#include "tests/core/nn/nn_support.h"

#include <stdio.h>

enum { FLAT = 4 };

static size_t add(struct net *net, const char *kind, const void *config, size_t input)
{
    struct error e;
    size_t value;
    assert_ok(net_add(net, kind, config, &input, 1, &value, &e), &e);
    return value;
}

static size_t join(struct net *net, const char *kind, size_t a, size_t b)
{
    struct error e;
    size_t value;
    assert_ok(net_add(net, kind, NULL, (size_t[]){a, b}, 2, &value, &e), &e);
    return value;
}

struct shape_of_net {
    size_t features, steps;
    int64_t heads, dim;
    bool residual, before;             /* a layer for each particle before, so that gradients pass through */
    double rate;
};

static struct net *transformer(struct shape_of_net s)
{
    struct error e;
    struct net *net;
    size_t x;
    struct attention_config attention = {s.heads, s.dim};
    struct layer_norm_config norm = {1e-6};
    struct dropout_config dropout = {s.rate};
    assert_ok(net_create(&net, &e), &e);
    size_t flat = add_input(net, FLAT);
    assert_ok(net_input(net, (struct shape){s.features, s.steps}, &x, &e), &e);
    if (s.before)
        x = add_dense(net, (int64_t)s.features, ACTIVATION_LINEAR, x);
    size_t y = add(net, "attention", &attention, x);
    if (s.residual)
        y = join(net, "add", y, x);
    y = add(net, "layer_norm", &norm, y);
    if (s.rate > 0)
        y = add(net, "dropout", &dropout, y);
    y = add_dense(net, 4, ACTIVATION_RELU, y);
    y = add_dense(net, 5, ACTIVATION_RELU, add(net, "flatten", NULL, y));
    add_dense(net, 3, ACTIVATION_LINEAR, join(net, "concat", y, flat));
    assert_ok(net_finish(net, &e), &e);
    return net;
}

/* Scores (logits) of rows in batches of `at_once`; sequences are [row][steps][features]. */
static void score(const struct net *net, const float *params, const float *flat, const float *sequence,
                  const uint32_t *length, size_t n, size_t at_once, float *out)
{
    size_t wide = shape_numbers(net_input_shape(net, 1));
    float *work = floats(pass_work_size(net, at_once, false));
    struct pass p;
    pass_init(&p, net, at_once, false, work);
    for (size_t done = 0; done < n; done += at_once) {
        size_t rows = n - done < at_once ? n - done : at_once;
        if (p.ld == 1) {
            memcpy(pass_input(&p, 0), flat + done * FLAT, FLAT * sizeof *flat);
            memcpy(pass_input(&p, 1), sequence + done * wide, wide * sizeof *flat);
        } else {
            p.k->rows_to_lanes(flat + done * FLAT, FLAT, NULL, rows, FLAT, p.ld, pass_input(&p, 0));
            p.k->rows_to_lanes(sequence + done * wide, wide, NULL, rows, wide, p.ld, pass_input(&p, 1));
        }
        pass_forward(&p, params, rows, length ? length + done : NULL);
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < 3; c++)
                out[(done + r) * 3 + c] = pass_output(&p)[c * p.ld + r];
    }
    mem_free(work);
}

static void gradients(const struct net *net, const float *params, const float *flat, const float *sequence,
                      const uint32_t *length, const float *weight, size_t n, bool noisy, float *grads)
{
    struct pass p;
    size_t wide = shape_numbers(net_input_shape(net, 1));
    float *work = floats(pass_work_size(net, n, true)), label[64] = {0}, weights[64] = {0};
    uint32_t row[64];
    struct loss_sums loss = {0, 0, 0};
    for (size_t r = 0; r < n; r++) {
        row[r] = (uint32_t)r;
        label[r] = (float)(r % 3);
        weights[r] = weight[r];
    }
    struct noise noise = {77, row};
    pass_init(&p, net, n, true, work);
    p.noise = noisy ? &noise : NULL;
    p.k->rows_to_lanes(flat, FLAT, NULL, n, FLAT, p.ld, pass_input(&p, 0));
    p.k->rows_to_lanes(sequence, wide, NULL, n, wide, p.ld, pass_input(&p, 1));
    pass_forward(&p, params, n, length);
    pass_loss(&p, n, label, weights, 1, &loss);
    memset(grads, 0, net_n_params(net) * sizeof *grads);
    pass_backward(&p, params, n, length, grads);
    mem_free(work);
}

/* ---- reference --------------------------------------------------------------------------------------------------- */

/* The numbers of a line of the file that reference_attention.py wrote. */
static float *reference(const char *name, size_t n)
{
    FILE *f = fopen("tests/fixtures/nn/attention.txt", "r");
    char word[64];
    size_t count;
    assert_non_null(f);
    while (fscanf(f, "%63s %zu", word, &count) == 2) {
        float *v = floats(count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(fscanf(f, "%f", &v[i]), 1);
        if (strcmp(word, name) == 0) {
            assert_int_equal(count, n);
            fclose(f);
            return v;
        }
        mem_free(v);
    }
    fail_msg("no %s in the reference", name);
    return NULL;
}

static void test_scores_and_gradients_are_those_of_the_reference(void **state)
{
    (void)state;
    enum { N = 6, STEPS = 21, FEATURES = 6 };
    static const uint32_t length[N] = {21, 16, 17, 1, 0, 9};
    static const float weight[N] = {1, 0.5f, 2, 1, 0.25f, 1.5f};
    float *flat = reference("flat", N * FLAT), *sequence = reference("sequence", N * STEPS * FEATURES), out[N * 3];
    for (int residual = 0; residual < 2; residual++) {
        char name[24];
        struct net *net = transformer((struct shape_of_net){FEATURES, STEPS, 3, 5, residual, false, 0});
        size_t n = net_n_params(net);
        float *params = reference("params", n), *grads = floats(n);
        snprintf(name, sizeof name, "logits%d", residual);
        float *expected = reference(name, N * 3);
        snprintf(name, sizeof name, "grads%d", residual);
        float *expected_grads = reference(name, n);
        score(net, params, flat, sequence, length, N, N, out);
        for (size_t i = 0; i < N * 3; i++)
            assert_float_equal(out[i], expected[i], 2e-5);
        gradients(net, params, flat, sequence, length, weight, N, false, grads);
        for (size_t i = 0; i < n; i++)
            assert_float_equal(grads[i], expected_grads[i], 2e-5 * (1 + fabs((double)expected_grads[i])));
        mem_free(params);
        mem_free(grads);
        mem_free(expected);
        mem_free(expected_grads);
        net_destroy(net);
    }
    mem_free(flat);
    mem_free(sequence);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void assert_gradients(struct shape_of_net s)
{
    enum { N = 18 };
    struct error e;
    struct gradient_report report;
    struct net *net = transformer(s);
    uint32_t length[N];
    float label[32] = {0}, weight[32] = {0}, *params = floats(net_n_params(net));
    float *in[2] = {random_floats(1, FLAT * pass_ld(N), 1), random_floats(2, s.features * s.steps * pass_ld(N), 1)};
    net_init(net, 5, params);
    for (size_t i = 0; i < net_n_params(net); i++)
        params[i] += params[i] == 0 ? 0.03f * (float)(i % 7) : 0;
    for (size_t r = 0; r < N; r++) {
        length[r] = r == 3 ? 0 : r == 5 ? (uint32_t)s.steps : (uint32_t)(r * 7 % (s.steps + 1));
        label[r] = (float)(r % 3);
        weight[r] = 0.5f + (float)(r % 3);
    }
    assert_ok(gradient_check(net, params, (const float *const *)in, length, label, weight, N, 0x1p-8, &report, &e), &e);
    if (!(report.worst < 8e-3))
        fail_msg("parameter %zu is off by %g", report.worst_at, report.worst);
    assert_true(report.n_skipped <= net_n_params(net) * 3 / 4);
    mem_free(in[0]);
    mem_free(in[1]);
    mem_free(params);
    net_destroy(net);
}

static void test_attention_layer_norm_and_flatten_have_right_gradients(void **state)
{
    (void)state;
    assert_gradients((struct shape_of_net){3, 6, 2, 4, false, false, 0});
}

static void test_gradients_pass_through_attention_a_residual_and_dropout(void **state)
{
    (void)state;
    assert_gradients((struct shape_of_net){3, 5, 2, 3, true, true, 0.3});
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

static void fill_beyond(const uint32_t *length, size_t n, size_t steps, size_t features, float *sequence)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = length[i] * features; j < steps * features; j++)
            sequence[i * steps * features + j] = (float)(j % 5);
}

static void test_scores_are_the_same_bits_in_any_batch_with_any_kernels_and_whatever_is_beyond(void **state)
{
    (void)state;
    enum { N = 19, STEPS = 83, FEATURES = 19 };
    static const size_t batches[] = {1, 2, 16, 19};
    float *flat = random_floats(1, N * FLAT, 1), *sequence = random_floats(2, N * STEPS * FEATURES, 1);
    float expected[N * 3], out[N * 3];
    uint32_t length[N];
    for (size_t i = 0; i < N; i++)
        length[i] = (uint32_t)(i * 31 % (STEPS + 1));
    size_t levels = n_levels();
    for (int residual = 0; residual < 2; residual++) {
        struct net *net = transformer((struct shape_of_net){FEATURES, STEPS, 8, 19, residual, residual, 0.2});
        float *params = floats(net_n_params(net));
        net_init(net, 3, params);
        cpu_level_set(CPU_AVX512);
        score(net, params, flat, sequence, length, N, N, expected);
        fill_beyond(length, N, STEPS, FEATURES, sequence);
        for (size_t level = 0; level < levels; level++)
            for (size_t b = 0; b < ARRAY_LEN(batches); b++) {
                size_t n = level == CPU_PORTABLE ? 5 : N;
                cpu_level_set((enum cpu_level)level);
                score(net, params, flat, sequence, length, n, batches[b] < n ? batches[b] : n, out);
                assert_same_bits(out, expected, n * 3);
            }
        mem_free(params);
        net_destroy(net);
    }
    cpu_level_set(CPU_AVX512);
    mem_free(flat);
    mem_free(sequence);
}

static void test_gradients_are_the_same_bits_with_any_kernels_and_whatever_is_beyond(void **state)
{
    (void)state;
    enum { N = 18, STEPS = 70, FEATURES = 7 };
    float *flat = random_floats(1, N * FLAT, 1), *sequence = random_floats(2, N * STEPS * FEATURES, 1), weight[N];
    uint32_t length[N];
    for (size_t i = 0; i < N; i++) {
        length[i] = (uint32_t)(i * 31 % (STEPS + 1));
        weight[i] = 1;
    }
    struct net *net = transformer((struct shape_of_net){FEATURES, STEPS, 2, 6, true, true, 0.2});
    size_t n_params = net_n_params(net), levels = n_levels();
    float *params = floats(n_params), *expected = floats(n_params), *out = floats(n_params);
    net_init(net, 3, params);
    gradients(net, params, flat, sequence, length, weight, N, true, expected);
    fill_beyond(length, N, STEPS, FEATURES, sequence);
    for (size_t level = 0; level < levels; level++) {
        cpu_level_set((enum cpu_level)level);
        gradients(net, params, flat, sequence, length, weight, N, true, out);
        assert_same_bits(out, expected, n_params);
    }
    cpu_level_set(CPU_AVX512);
    mem_free(params);
    mem_free(expected);
    mem_free(out);
    mem_free(flat);
    mem_free(sequence);
    net_destroy(net);
}

/* ---- memory and shapes ------------------------------------------------------------------------------------------- */

/* The weights of one head alone would be 801 x 801 numbers a row. */
static void test_memory_grows_with_the_steps_and_not_with_their_square(void **state)
{
    (void)state;
    struct net *net = transformer((struct shape_of_net){19, 801, 8, 19, false, false, 0.2});
    size_t one = pass_work_size(net, 1, false), many = pass_work_size(net, 32, true);
    struct net_memory memory = net_memory(net, 32);
    assert_int_equal(memory.training_bytes, many * sizeof(float));
    assert_int_equal(memory.params_bytes, net_n_params(net) * sizeof(float));
    assert_true(one < 260000);
    assert_true(many < 32 * 801 * 19 * 12);
    net_destroy(net);
}

static void test_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct error e;
    struct attention_config good = {2, 3}, none = {0, 3}, huge = {2, 257};
    struct layer_norm_config norm = {0};
    const struct {
        const char *kind;
        const void *config;
        struct shape in;
        enum status s;
    } cases[] = {{"attention", &good, {4, 0}, STATUS_ARGUMENT}, {"attention", &none, {4, 3}, STATUS_RANGE},
                 {"attention", &huge, {4, 3}, STATUS_RANGE},    {"layer_norm", &norm, {4, 3}, STATUS_RANGE},
                 {"flatten", NULL, {4, 0}, STATUS_ARGUMENT},    {"flatten", NULL, {82, 801}, STATUS_RANGE}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net *net;
        size_t x, value;
        assert_ok(net_create(&net, &e), &e);
        assert_ok(net_input(net, cases[i].in, &x, &e), &e);
        assert_status(net_add(net, cases[i].kind, cases[i].config, &x, 1, &value, &e), cases[i].s, &e);
        net_destroy(net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_and_gradients_are_those_of_the_reference),
        cmocka_unit_test(test_attention_layer_norm_and_flatten_have_right_gradients),
        cmocka_unit_test(test_gradients_pass_through_attention_a_residual_and_dropout),
        cmocka_unit_test(test_scores_are_the_same_bits_in_any_batch_with_any_kernels_and_whatever_is_beyond),
        cmocka_unit_test(test_gradients_are_the_same_bits_with_any_kernels_and_whatever_is_beyond),
        cmocka_unit_test(test_memory_grows_with_the_steps_and_not_with_their_square),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
