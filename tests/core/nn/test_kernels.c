/* tests/core/nn/test_kernels.c
 *
 * The kernels against plain loops in float64, and the levels against each other bit for bit. */
#include "core/nn/kernels/kernels.h"

#include "tests/core/nn/nn_support.h"

/* Shapes with all remainders of the tiles, more than one block, and a single number. */
static const struct { size_t n_in, n_out, lanes, ld; } shapes[] = {
    {1, 1, 16, 16}, {14, 50, 128, 144}, {50, 20, 64, 64}, {20, 10, 112, 112}, {10, 3, 48, 80},
    {3, 7, 32, 48}, {64, 5, 96, 112}, {65, 9, 16, 32}, {200, 130, 80, 80}, {7, 66, 16, 16},
};

struct arrays {
    float *x, *w, *b, *d, *out, *d_x, *gw, *gb;
};

static struct arrays arrays_make(size_t n_in, size_t n_out, size_t ld)
{
    struct arrays a = {.x = random_floats(1, n_in * ld, 1), .w = random_floats(2, n_in * n_out, 0.3),
                       .b = random_floats(3, n_out, 0.3), .d = random_floats(4, n_out * ld, 1),
                       .out = floats(n_out * ld), .d_x = random_floats(5, n_in * ld, 1),
                       .gw = random_floats(6, n_in * n_out, 1), .gb = random_floats(7, n_out, 1)};
    return a;
}

static void arrays_free(struct arrays *a)
{
    float *all[] = {a->x, a->w, a->b, a->d, a->out, a->d_x, a->gw, a->gb};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mem_free(all[i]);
}

static void test_dense_sums_what_it_says(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get();
    for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
        size_t n_in = shapes[s].n_in, n_out = shapes[s].n_out, lanes = shapes[s].lanes, ld = shapes[s].ld;
        struct arrays a = arrays_make(n_in, n_out, ld), was = arrays_make(n_in, n_out, ld);
        k->dense_forward(n_in, n_out, lanes, ld, a.w, a.b, true, a.x, a.out);
        k->dense_backward_params(n_in, n_out, lanes, ld, a.x, a.d, a.gw, a.gb);
        k->dense_backward_input(n_in, n_out, lanes, ld, a.w, a.d, true, a.d_x);
        for (size_t j = 0; j < n_out; j++)
            for (size_t r = 0; r < lanes; r++) {
                double sum = a.b[j];
                for (size_t i = 0; i < n_in; i++)
                    sum += (double)a.w[i * n_out + j] * a.x[i * ld + r];
                assert_float_equal(a.out[j * ld + r], sum > 0 ? sum : 0, 1e-5);
            }
        for (size_t i = 0; i < n_in; i++) {
            for (size_t j = 0; j < n_out; j++) {
                double sum = was.gw[i * n_out + j];
                for (size_t r = 0; r < lanes; r++)
                    sum += (double)a.x[i * ld + r] * a.d[j * ld + r];
                assert_float_equal(a.gw[i * n_out + j], sum, 1e-4);
            }
            for (size_t r = 0; r < lanes; r++) {
                double sum = was.d_x[i * ld + r];
                for (size_t j = 0; j < n_out; j++)
                    sum += (double)a.w[i * n_out + j] * a.d[j * ld + r];
                assert_float_equal(a.d_x[i * ld + r], sum, 1e-5);
            }
        }
        for (size_t j = 0; j < n_out; j++) {
            double sum = was.gb[j];
            for (size_t r = 0; r < lanes; r++)
                sum += a.d[j * ld + r];
            assert_float_equal(a.gb[j], sum, 1e-4);
        }
        arrays_free(&a);
        arrays_free(&was);
    }
}

static void test_nothing_outside_the_lanes_is_touched(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get();
    struct arrays a = arrays_make(10, 3, 80), was = arrays_make(10, 3, 80);
    k->dense_forward(10, 3, 48, 80, a.w, a.b, false, a.x, a.out);
    k->dense_backward_input(10, 3, 48, 80, a.w, a.d, false, a.d_x);
    for (size_t i = 0; i < 10; i++)
        assert_same_bits(a.d_x + i * 80 + 48, was.d_x + i * 80 + 48, 32);
    for (size_t j = 0; j < 3; j++)
        assert_same_bits(a.out + j * 80 + 48, was.out + j * 80 + 48, 32);
    arrays_free(&a);
    arrays_free(&was);
}

static void test_a_single_row_has_the_bits_of_a_lane(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get();
    for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
        size_t n_in = shapes[s].n_in, n_out = shapes[s].n_out, ld = shapes[s].ld;
        struct arrays a = arrays_make(n_in, n_out, ld);
        float *row = floats(n_in), *out = floats(n_out + NN_LANES);
        k->dense_forward(n_in, n_out, shapes[s].lanes, ld, a.w, a.b, true, a.x, a.out);
        for (size_t r = 0; r < shapes[s].lanes; r += 7) {
            for (size_t i = 0; i < n_in; i++)
                row[i] = a.x[i * ld + r];
            k->dense_forward_row(n_in, n_out, a.w, a.b, true, row, out);
            for (size_t j = 0; j < n_out; j++)
                assert_same_bits(out + j, a.out + j * ld + r, 1);
        }
        mem_free(row);
        mem_free(out);
        arrays_free(&a);
    }
}

static void dense_all(size_t s, struct arrays *a)
{
    const struct kernels *k = kernels_get();
    size_t n_in = shapes[s].n_in, n_out = shapes[s].n_out, lanes = shapes[s].lanes, ld = shapes[s].ld;
    k->dense_forward(n_in, n_out, lanes, ld, a->w, a->b, true, a->x, a->out);
    k->relu_backward(n_out * ld, a->out, a->d, a->d);
    k->dense_backward_params(n_in, n_out, lanes, ld, a->x, a->d, a->gw, a->gb);
    k->dense_backward_input(n_in, n_out, lanes, ld, a->w, a->d, false, a->d_x);
}

static void test_dense_has_the_same_bits_at_every_level(void **state)
{
    (void)state;
    for (size_t level = 1; level < n_levels(); level++)
        for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
            size_t n_in = shapes[s].n_in, n_out = shapes[s].n_out, ld = shapes[s].ld;
            struct arrays plain = arrays_make(n_in, n_out, ld), fast = arrays_make(n_in, n_out, ld);
            cpu_level_set(CPU_PORTABLE);
            assert_string_equal(kernels_get()->name, "portable");
            dense_all(s, &plain);
            cpu_level_set((enum cpu_level)level);
            assert_string_equal(kernels_get()->name, level_names[level]);
            dense_all(s, &fast);
            assert_same_bits(plain.out, fast.out, n_out * ld);
            assert_same_bits(plain.d_x, fast.d_x, n_in * ld);
            assert_same_bits(plain.gw, fast.gw, n_in * n_out);
            assert_same_bits(plain.gb, fast.gb, n_out);
            arrays_free(&plain);
            arrays_free(&fast);
        }
}

/* Numbers over the whole range, where a fused step that is rounded twice would show. */
static float wild(struct rng *r)
{
    uint32_t u = (uint32_t)rng_u64(r);
    float x;
    if ((u >> 23 & 0xff) == 0xff)
        u &= ~0x40000000u;
    memcpy(&x, &u, sizeof x);
    return x;
}

static void test_portable_products_are_rounded_once(void **state)
{
    (void)state;
    struct rng r = rng_stream(11, 0);
    for (size_t round = 0; round < 20000; round++) {
        float x[NN_LANES], out[NN_LANES], w = wild(&r), b = wild(&r);
        for (size_t l = 0; l < NN_LANES; l++) {
            x[l] = wild(&r);
            if (round % 3 == 0)                               /* near cancellation */
                x[l] = -b / w * (1 + (float)l * 0x1p-23f);
            if (!isfinite(x[l]))
                x[l] = 1;
        }
        kernels_portable.dense_forward(1, 1, NN_LANES, NN_LANES, &w, &b, false, x, out);
        for (size_t l = 0; l < NN_LANES; l++) {
            float exact = fmaf(w, x[l], b);
            assert_memory_equal(&out[l], &exact, sizeof exact);
        }
    }
}

enum { CLASSES = 5, ROWS = 37, LD = 48 };

static void test_softmax_is_right_to_float_precision(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get();
    float *logits = random_floats(3, CLASSES * LD, 5), *p = floats(CLASSES * LD);
    logits[0] = 80;                                           /* steep */
    logits[1] = -300;
    for (size_t c = 0; c < CLASSES; c++)
        logits[c * LD + 2] = 7;                               /* flat */
    k->softmax(CLASSES, LD, LD, logits, p);
    for (size_t r = 0; r < LD; r++) {
        double sum = 0, most = -INFINITY;
        for (size_t c = 0; c < CLASSES; c++) {
            sum += exp((double)logits[c * LD + r]);
            most = fmax(most, (double)logits[c * LD + r]);
        }
        for (size_t c = 0; c < CLASSES; c++) {
            /* the distance to the largest logit is rounded to float32: half a unit in its last place */
            double expected = exp((double)logits[c * LD + r]) / sum, far = most - (double)logits[c * LD + r];
            assert_true(fabs((double)p[c * LD + r] - expected) <= (4e-7 + far * 0x1p-24) * expected + 1e-37);
            assert_true(p[c * LD + r] > 0);
        }
    }
    mem_free(logits);
    mem_free(p);
}

static void test_loss_and_its_gradient_are_right(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get();
    float *logits = random_floats(4, CLASSES * LD, 3), *d = floats(CLASSES * LD), label[LD] = {0}, weight[LD] = {0};
    struct loss_sums sums = {1, 2, 3}, expected = {1, 2, 3};
    for (size_t r = 0; r < ROWS; r++) {
        label[r] = (float)(r % CLASSES);
        weight[r] = 0.5f + (float)r / ROWS;
    }
    k->softmax_loss(CLASSES, LD, LD, logits, label, weight, 0.25f, d, &sums);
    for (size_t r = 0; r < LD; r++) {
        double total = 0;
        size_t best = 0;
        for (size_t c = 0; c < CLASSES; c++) {
            total += exp((double)logits[c * LD + r]);
            best = logits[c * LD + r] > logits[best * LD + r] ? c : best;
        }
        for (size_t c = 0; c < CLASSES; c++) {
            double p = exp((double)logits[c * LD + r]) / total, y = (size_t)label[r] == c;
            assert_float_equal(d[c * LD + r], (p - y) * (double)weight[r] * 0.25, 2e-7);
        }
        expected.loss += (double)weight[r] * (log(total) - (double)logits[(size_t)label[r] * LD + r]);
        expected.hits += best == (size_t)label[r] ? (double)weight[r] : 0;
        expected.weight += (double)weight[r];
    }
    assert_true(fabs(sums.loss - expected.loss) < 1e-5 * expected.loss);
    assert_true(fabs(sums.hits - expected.hits) < 1e-5);
    assert_true(fabs(sums.weight - expected.weight) < 1e-5);
    mem_free(logits);
    mem_free(d);
}

static void test_of_equal_outputs_the_first_counts_as_predicted(void **state)
{
    (void)state;
    float logits[3 * NN_LANES] = {0}, label[NN_LANES], weight[NN_LANES], d[3 * NN_LANES];
    struct loss_sums sums = {0, 0, 0};
    for (size_t r = 0; r < NN_LANES; r++) {
        label[r] = (float)(r % 2);
        weight[r] = 1;
    }
    kernels_get()->softmax_loss(3, NN_LANES, NN_LANES, logits, label, weight, 1, d, &sums);
    assert_float_equal(sums.hits, NN_LANES / 2, 0);
}

static void test_losses_have_the_same_bits_at_every_level(void **state)
{
    (void)state;
    float *logits = random_floats(5, CLASSES * LD, 20), *d[3], *p[3], row[NN_LANES], label[LD], weight[LD];
    struct loss_sums sums[3] = {{0}};
    for (size_t r = 0; r < LD; r++) {
        label[r] = (float)(r % CLASSES);
        weight[r] = (float)r / 7;
    }
    size_t n = n_levels();
    for (size_t level = 0; level < n; level++) {
        cpu_level_set((enum cpu_level)level);
        const struct kernels *k = kernels_get();
        k->softmax_loss(CLASSES, LD, LD, logits, label, weight, 0.1f, d[level] = floats(CLASSES * LD), &sums[level]);
        k->softmax(CLASSES, LD, LD, logits, p[level] = floats(CLASSES * LD));
        assert_same_bits(d[level], d[0], CLASSES * LD);
        assert_same_bits(p[level], p[0], CLASSES * LD);
        assert_memory_equal(&sums[level], &sums[0], sizeof sums[0]);
        for (size_t r = 0; r < LD; r++) {                     /* and alone, in place */
            for (size_t c = 0; c < CLASSES; c++)
                row[c] = logits[c * LD + r];
            k->softmax_row(CLASSES, row, row);
            for (size_t c = 0; c < CLASSES; c++)
                assert_same_bits(&row[c], &p[0][c * LD + r], 1);
        }
    }
    for (size_t level = 0; level < n; level++) {
        mem_free(d[level]);
        mem_free(p[level]);
    }
    mem_free(logits);
}

static void test_elementwise_kernels_have_the_same_bits_at_every_level(void **state)
{
    (void)state;
    static const struct adam_step step = {0.9f, 0.1f, 0.999f, 0.001f, 0.01f, 3, 1e-7f};
    enum { N = 77 };
    float *g = random_floats(1, N, 1), *p[3], *m[3], *v[3];
    size_t n = n_levels();
    float squares[3];
    for (size_t level = 0; level < n; level++) {
        cpu_level_set((enum cpu_level)level);
        const struct kernels *k = kernels_get();
        p[level] = random_floats(2, N, 1);
        m[level] = random_floats(3, N, 1);
        v[level] = floats(N);
        for (size_t t = 0; t < 5; t++)
            k->adam(&step, N - 1, g, p[level], m[level], v[level]);       /* the last number stays */
        k->relu_forward(N, p[level], p[level]);
        k->add(N, m[level], p[level]);
        squares[level] = k->sum_squares(N, p[level]);
        assert_same_bits(p[level], p[0], N);
        assert_same_bits(m[level], m[0], N);
        assert_same_bits(v[level], v[0], N);
        assert_same_bits(&squares[level], &squares[0], 1);
        assert_float_equal(v[level][N - 1], 0, 0);
    }
    double expected = 0;
    for (size_t i = 0; i < N; i++)
        expected += (double)p[0][i] * p[0][i];
    assert_true(fabs(squares[0] - expected) < 1e-5 * expected);
    for (size_t level = 0; level < n; level++) {
        mem_free(p[level]);
        mem_free(m[level]);
        mem_free(v[level]);
    }
    mem_free(g);
}

static void test_relu_lets_what_is_not_a_number_show(void **state)
{
    (void)state;
    for (size_t level = 0; level < n_levels(); level++) {
        float x[4] = {-1, NAN, 2, -INFINITY}, out[4];
        cpu_level_set((enum cpu_level)level);
        kernels_get()->relu_forward(4, x, out);
        assert_true(out[0] == 0 && isnan(out[1]) && out[2] == 2 && out[3] == 0);
    }
}

static void test_rows_turn_into_lanes_with_any_counts(void **state)
{
    (void)state;
    enum { STRIDE = 23, MANY = 70 };
    float *rows = random_floats(8, MANY * STRIDE, 1);
    uint32_t index[MANY];
    struct rng r = rng_stream(1, 1);
    for (size_t i = 0; i < MANY; i++)
        index[i] = (uint32_t)rng_below(&r, MANY);
    for (size_t level = 0; level < n_levels(); level++)
        for (size_t n = 1; n < MANY; n += 5)
            for (size_t n_features = 1; n_features <= STRIDE; n_features += 3) {
                size_t lanes = (n + NN_LANES - 1) / NN_LANES * NN_LANES, ld = lanes + NN_LANES;
                float *out = random_floats(9, n_features * ld, 1);
                cpu_level_set((enum cpu_level)level);
                /* the last row ends the array: reading past it is seen by AddressSanitizer */
                const float *start = n_features % 2 ? rows : rows + (MANY - n) * STRIDE;
                const uint32_t *at = n_features % 2 ? index : NULL;
                kernels_get()->rows_to_lanes(start, STRIDE, at, n, n_features, ld, out);
                for (size_t f = 0; f < n_features; f++)
                    for (size_t l = 0; l < lanes; l++) {
                        float expected = l < n ? start[(at ? at[l] : l) * STRIDE + f] : 0;
                        assert_float_equal(out[f * ld + l], expected, 0);
                    }
                mem_free(out);
            }
    mem_free(rows);
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
        cmocka_unit_test(test_dense_sums_what_it_says),
        cmocka_unit_test(test_nothing_outside_the_lanes_is_touched),
        cmocka_unit_test(test_a_single_row_has_the_bits_of_a_lane),
        cmocka_unit_test_teardown(test_dense_has_the_same_bits_at_every_level, all_levels_again),
        cmocka_unit_test(test_portable_products_are_rounded_once),
        cmocka_unit_test(test_softmax_is_right_to_float_precision),
        cmocka_unit_test(test_loss_and_its_gradient_are_right),
        cmocka_unit_test(test_of_equal_outputs_the_first_counts_as_predicted),
        cmocka_unit_test_teardown(test_losses_have_the_same_bits_at_every_level, all_levels_again),
        cmocka_unit_test_teardown(test_elementwise_kernels_have_the_same_bits_at_every_level, all_levels_again),
        cmocka_unit_test_teardown(test_relu_lets_what_is_not_a_number_show, all_levels_again),
        cmocka_unit_test_teardown(test_rows_turn_into_lanes_with_any_counts, all_levels_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
