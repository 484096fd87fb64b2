/* tests/core/nn/test_descent.c
 *
 * Optimisers against PyTorch in float64 (tests/parity/torch_optim.py made the files), and the same bits at every level. */
#include "tests/core/nn/nn_support.h"
#include "tests/support/support.h"

enum { N_MAX = 64 };
static const double rate = 0.05, decay = 0.3;

static struct npy fixture(const char *name)
{
    struct error e;
    struct npy a;
    char path[128];
    snprintf(path, sizeof path, "tests/fixtures/nn/optim_%s.npy", name);
    assert_ok(npy_load(path, &a, &e), &e);
    return a;
}

struct way {
    const char *name;
    bool adam, nesterov;
    double momentum, decay, clip;
};

/* Parameters behind all of the fixture's steps. */
static size_t walk(const struct way *w, float *params)
{
    struct npy start = fixture("start"), grads = fixture("grads");
    float g[N_MAX] = {0}, m[N_MAX] = {0}, v[N_MAX] = {0};
    size_t n = start.n;
    assert_true(n <= N_MAX && grads.n % n == 0);
    for (size_t i = 0; i < n; i++)
        params[i] = (float)npy_value(&start, i);
    for (size_t t = 0; t < grads.n / n; t++) {
        for (size_t i = 0; i < n; i++)
            g[i] = (float)npy_value(&grads, t * n + i);
        if (w->clip > 0)
            gradient_clip(gradient_norm(n, g), w->clip, n, g);
        if (w->decay > 0)
            weight_decay(rate, w->decay, n, params);
        const struct adam_params adam = {rate, 0.9, 0.999, 1e-7};
        const struct sgd_params sgd = {rate, w->momentum, w->nesterov};
        if (w->adam)
            adam_update(&adam, (int64_t)t + 1, n, g, params, m, v);
        else
            sgd_update(&sgd, n, g, params, m);
    }
    npy_free(&start);
    npy_free(&grads);
    return n;
}

static const struct way ways[] = {
    {.name = "adamw", .adam = true, .decay = decay},
    {.name = "sgd"},
    {.name = "momentum", .momentum = 0.9},
    {.name = "nesterov", .momentum = 0.9, .nesterov = true},
    {.name = "sgdw", .momentum = 0.9, .decay = decay},
    {.name = "clipped", .momentum = 0.9, .clip = 1},
};

static void test_each_optimiser_goes_where_pytorch_goes_in_float64(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(ways); k++) {
        struct npy expected = fixture(ways[k].name);
        float params[N_MAX];
        size_t n = walk(&ways[k], params);
        assert_int_equal(n, expected.n);
        for (size_t i = 0; i < n; i++)
            if (!(fabs((double)params[i] - npy_value(&expected, i)) < 3e-6))
                fail_msg("%s: parameter %zu: %.9g, PyTorch has %.9g", ways[k].name, i, (double)params[i],
                         npy_value(&expected, i));
        npy_free(&expected);
    }
}

static void test_all_levels_give_the_same_bits(void **state)
{
    (void)state;
    size_t levels = n_levels();
    for (size_t k = 0; k < ARRAY_LEN(ways); k++) {
        float first[N_MAX] = {0}, params[N_MAX] = {0};
        for (size_t level = 0; level < levels; level++) {
            cpu_level_set((enum cpu_level)level);
            size_t n = walk(&ways[k], level ? params : first);
            if (level)
                assert_same_bits(params, first, n);
        }
    }
    cpu_level_set(CPU_AVX512);
}

static void test_a_gradient_is_clipped_to_its_length_and_a_short_one_is_left_alone(void **state)
{
    (void)state;
    float g[3] = {3, 0, -4};
    assert_true(gradient_norm(3, g) == 5);
    gradient_clip(5, 5, 3, g);
    assert_true(g[0] == 3 && g[2] == -4);
    gradient_clip(5, 0.5, 3, g);
    assert_true(fabs(gradient_norm(3, g) - 0.5) < 1e-7);
    assert_true(g[1] == 0 && g[0] > 0 && g[2] < 0);
}

static void test_a_gradient_whose_square_overflows_still_has_a_length(void **state)
{
    (void)state;
    float g[2] = {3e30f, 4e30f}, bad[2] = {1, INFINITY};
    assert_true(fabs(gradient_norm(2, g) / 5e30 - 1) < 1e-6);
    assert_false(isfinite(gradient_norm(2, bad)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_optimiser_goes_where_pytorch_goes_in_float64),
        cmocka_unit_test(test_all_levels_give_the_same_bits),
        cmocka_unit_test(test_a_gradient_is_clipped_to_its_length_and_a_short_one_is_left_alone),
        cmocka_unit_test(test_a_gradient_whose_square_overflows_still_has_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
