/* tests/core/nn/nn_support.h
 *
 * Small networks and data for the tests of core/nn. */
#ifndef DLT_TESTS_NN_SUPPORT_H
#define DLT_TESTS_NN_SUPPORT_H

#include "core/nn/net.h"
#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

static const char *const level_names[] = {"portable", "avx2", "avx512"};

/* Levels that this machine has: 1 to 3. */
static inline size_t n_levels(void)
{
    cpu_level_set(CPU_AVX512);
    return (size_t)cpu_level() + 1;
}

static inline float *floats(size_t n)
{
    float *v = mem_aligned(n * sizeof *v);
    assert_non_null(v);
    return v;
}

static inline float *random_floats(uint64_t seed, size_t n, double deviation)
{
    float *v = floats(n);
    struct rng r = rng_stream(seed, 99);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(deviation * rng_normal(&r));
    return v;
}

static inline void assert_same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("number %zu: %.9g is not %.9g", i, (double)a[i], (double)b[i]);
}

static inline size_t add_dense(struct net *net, int64_t units, enum activation activation, size_t input)
{
    struct error e;
    size_t value;
    struct dense_config config = {units, activation};
    assert_ok(net_add(net, "dense", &config, &input, 1, &value, &e), &e);
    return value;
}

static inline size_t add_input(struct net *net, size_t features)
{
    struct error e;
    size_t value;
    assert_ok(net_input(net, (struct shape){features, 0}, &value, &e), &e);
    return value;
}

/* Inputs, hidden layers with relu, linear output; widths end with 0. */
static inline struct net *dense_net(const int64_t *widths)
{
    struct error e;
    struct net *net;
    assert_ok(net_create(&net, &e), &e);
    size_t value = add_input(net, (size_t)widths[0]);
    for (size_t i = 1; widths[i]; i++)
        value = add_dense(net, widths[i], widths[i + 1] ? ACTIVATION_RELU : ACTIVATION_LINEAR, value);
    assert_ok(net_finish(net, &e), &e);
    return net;
}
#define DENSE_NET(...) dense_net((const int64_t[]){__VA_ARGS__, 0})

/* A network with two branches, a value that is used twice, a layer of its own for relu, and a concat that takes one
 * value twice. */
static inline struct net *branched_net(void)
{
    struct error e;
    struct net *net;
    size_t joined, rectified;
    assert_ok(net_create(&net, &e), &e);
    size_t a = add_input(net, 5), b = add_input(net, 3);
    size_t left = add_dense(net, 6, ACTIVATION_RELU, a), right = add_dense(net, 4, ACTIVATION_LINEAR, b);
    assert_ok(net_add(net, "relu", NULL, &right, 1, &rectified, &e), &e);
    size_t again = add_dense(net, 2, ACTIVATION_LINEAR, right);
    size_t parts[] = {left, rectified, again, left};
    assert_ok(net_add(net, "concat", NULL, parts, 4, &joined, &e), &e);
    size_t hidden = add_dense(net, 7, ACTIVATION_RELU, joined);
    add_dense(net, 3, ACTIVATION_LINEAR, hidden);
    assert_ok(net_finish(net, &e), &e);
    return net;
}

/* One run over n rows; in[i] is [n][features] of input i; out is [n][outputs]: softmax of the logits if `softmax`. */
static inline void run_rows(const struct net *net, const float *params, const float *const *in, size_t n,
                            size_t rows_at_once, bool softmax, float *out)
{
    size_t n_out = net_output(net).features;
    float *work = floats(pass_work_size(net, rows_at_once, false));
    struct pass p;
    pass_init(&p, net, rows_at_once, false, work);
    for (size_t done = 0; done < n; done += rows_at_once) {
        size_t rows = n - done < rows_at_once ? n - done : rows_at_once;
        for (size_t i = 0; i < net_n_inputs(net); i++) {
            size_t features = net_input_shape(net, i).features;
            if (p.ld == 1)
                memcpy(pass_input(&p, i), in[i] + done * features, features * sizeof(float));
            else
                p.k->rows_to_lanes(in[i] + done * features, features, NULL, rows, features, p.ld, pass_input(&p, i));
        }
        pass_forward(&p, params, rows, NULL);
        if (softmax)
            pass_softmax(&p, rows);
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < n_out; c++)
                out[(done + r) * n_out + c] = pass_output(&p)[c * p.ld + r];
    }
    mem_free(work);
}

#endif
