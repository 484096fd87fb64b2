/* tests/core/nn/test_adam.c
 *
 * Adam against values worked out by hand, and whole training steps against PyTorch (tests/parity/torch_adam.py made the
 * files of tests/fixtures/nn). */
#include "core/nn/net.h"

#include "tests/core/nn/nn_support.h"

static const struct adam_params published = {1e-3, 0.9, 0.999, 1e-7};

static void test_the_first_step_is_the_learning_rate_against_the_sign(void **state)
{
    (void)state;
    /* m / (1 - beta1) = g and sqrt(v / (1 - beta2)) = |g|, so the step is rate * g / (|g| + epsilon). */
    float g[4] = {0.5f, -2, 1e-6f, 0}, p[4] = {1, 1, 1, 1}, m[4] = {0}, v[4] = {0};
    adam_update(&published, 1, 4, g, p, m, v);
    assert_float_equal(p[0], 1 - 1e-3, 1e-7);
    assert_float_equal(p[1], 1 + 1e-3, 1e-7);
    assert_float_equal(p[2], 1 - 1e-3 / 1.1, 1e-7);
    assert_float_equal(p[3], 1, 0);
    assert_float_equal(m[0], 0.05, 1e-8);
    assert_float_equal(v[0], 0.00025, 1e-10);
}

static void test_three_steps_follow_the_paper(void **state)
{
    (void)state;
    static const float g[3] = {1, -0.5f, 0.25f};
    double m = 0, v = 0, p = 0.3;
    float fp = 0.3f, fm = 0, fv = 0;
    for (int64_t t = 1; t <= 3; t++) {
        m = 0.9 * m + 0.1 * (double)g[t - 1];
        v = 0.999 * v + 0.001 * (double)g[t - 1] * (double)g[t - 1];
        p -= 1e-3 * (m / (1 - pow(0.9, (double)t))) / (sqrt(v / (1 - pow(0.999, (double)t))) + 1e-7);
        adam_update(&published, t, 1, &g[t - 1], &fp, &fm, &fv);
        assert_true(fabs((double)fp - p) < 1e-7);
        assert_true(fabs((double)fm - m) < 1e-7 && fabs((double)fv - v) < 1e-9);
    }
}

static struct npy fixture(const char *name)
{
    struct error e;
    struct npy a;
    char path[128];
    snprintf(path, sizeof path, "tests/fixtures/nn/adam_%s.npy", name);
    assert_ok(npy_load(path, &a, &e), &e);
    return a;
}

static void assert_near(const float *ours, const char *name, double tolerance)
{
    struct npy theirs = fixture(name);
    for (size_t i = 0; i < theirs.n; i++)
        if (!(fabs((double)ours[i] - npy_value(&theirs, i)) < tolerance))
            fail_msg("%s[%zu]: %.9g, PyTorch has %.9g", name, i, (double)ours[i], npy_value(&theirs, i));
    npy_free(&theirs);
}

static void test_ten_steps_agree_with_pytorch(void **state)
{
    (void)state;
    struct npy x = fixture("x"), label = fixture("label"), weight = fixture("weight"), loss = fixture("loss");
    struct npy start = fixture("params_0");
    struct net *net = DENSE_NET(14, 50, 20, 10, 3);
    size_t n_params = net_n_params(net), n = label.n;
    assert_true(x.f4 && start.f4 && n <= 48 && start.n == n_params);
    float *block = floats(4 * n_params), *grads = block + n_params, *m = grads + n_params, *v = m + n_params;
    float *work = floats(pass_work_size(net, n, true)), labels[48] = {0}, weights[48] = {0};
    struct pass p;
    memcpy(block, start.f4, n_params * sizeof *block);
    for (size_t i = 0; i < n; i++) {
        labels[i] = (float)npy_value(&label, i);
        weights[i] = (float)npy_value(&weight, i);
    }
    pass_init(&p, net, n, true, work);
    for (int64_t t = 1; t <= (int64_t)loss.n; t++) {
        struct loss_sums sums = {0, 0, 0};
        memset(grads, 0, n_params * sizeof *grads);
        p.k->rows_to_lanes(x.f4, 14, NULL, n, 14, p.ld, pass_input(&p, 0));
        pass_forward(&p, block, n, NULL);
        pass_loss(&p, n, labels, weights, 1 / (float)n, &sums);
        pass_backward(&p, block, n, NULL, grads);
        assert_true(fabs(sums.loss / (double)n - npy_value(&loss, (size_t)t - 1)) < 1e-6);
        if (t == 1)
            assert_near(grads, "grad", 1e-7);
        adam_update(&published, t, n_params, grads, block, m, v);
        if (t == 1)
            assert_near(block, "params_1", 2e-6);             /* numbers near 0 have a gradient of few digits */
        if (t == 2)
            assert_near(block, "params_2", 4e-6);
    }
    assert_near(block, "params_10", 2e-5);
    mem_free(block);
    mem_free(work);
    net_destroy(net);
    struct npy *all[] = {&x, &label, &weight, &loss, &start};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        npy_free(all[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_step_is_the_learning_rate_against_the_sign),
        cmocka_unit_test(test_three_steps_follow_the_paper),
        cmocka_unit_test(test_ten_steps_agree_with_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
