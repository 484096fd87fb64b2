/* tests/core/nn/test_recurrent.c
 *
 * Layers over sequences: gradients, the reference networks, and the same bits however rows are run. */
#include "core/nn/net.h"

#include "tests/core/nn/nn_support.h"
#include "tests/support/support.h"

static size_t add(struct net *net, const char *kind, const void *config, size_t input)
{
    struct error e;
    size_t value;
    assert_ok(net_add(net, kind, config, &input, 1, &value, &e), &e);
    return value;
}

static size_t add_sequence(struct net *net, size_t features, size_t steps)
{
    struct error e;
    size_t value;
    assert_ok(net_input(net, (struct shape){features, steps}, &value, &e), &e);
    return value;
}

enum recurrent { GRU_AFTER, GRU_BEFORE, LSTM, POOL };

static size_t add_recurrent(struct net *net, enum recurrent which, int64_t units, size_t input)
{
    struct gru_config gru = {units, which == GRU_BEFORE};
    struct lstm_config lstm = {units};
    if (which == POOL)
        return add(net, "mean_pool", NULL, input);
    return which == LSTM ? add(net, "lstm", &lstm, input) : add(net, "gru", &gru, input);
}

/* Sequence (after a dense layer for each step if `particles`), dropout, joined with flat features, dense. */
static struct net *sequence_net(enum recurrent which, int64_t units, size_t features, size_t steps, bool particles,
                                double rate)
{
    struct error e;
    struct net *net;
    struct dropout_config dropout = {rate};
    size_t joined;
    assert_ok(net_create(&net, &e), &e);
    size_t flat = add_input(net, 4), value = add_sequence(net, features, steps);
    if (particles)
        value = add_dense(net, 5, ACTIVATION_RELU, value);
    value = add_recurrent(net, which, units, value);
    value = add(net, "dropout", &dropout, value);
    assert_ok(net_add(net, "concat", NULL, (size_t[]){value, flat}, 2, &joined, &e), &e);
    add_dense(net, 3, ACTIVATION_LINEAR, add_dense(net, 6, ACTIVATION_RELU, joined));
    assert_ok(net_finish(net, &e), &e);
    return net;
}

static float *starting_values(const struct net *net, uint64_t seed)
{
    float *params = floats(net_n_params(net));
    net_init(net, seed, params);
    for (size_t i = 0; i < net_n_params(net); i++)
        params[i] += params[i] == 0 ? 0.03f * (float)(i % 7) : 0;
    return params;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void assert_gradients(struct net *net, size_t steps)
{
    enum { N = 18 };
    struct error e;
    struct gradient_report report;
    uint32_t length[N];
    float label[32] = {0}, weight[32] = {0}, *params = starting_values(net, 5);
    float *in[2] = {random_floats(1, 4 * pass_ld(N), 1), random_floats(2, 3 * steps * pass_ld(N), 1)};
    for (size_t r = 0; r < N; r++) {
        length[r] = r == 3 ? 0 : r == 5 ? (uint32_t)steps : (uint32_t)(r * 7 % (steps + 1));
        label[r] = (float)(r % 3);
        weight[r] = 0.5f + (float)(r % 3);
    }
    assert_ok(gradient_check(net, params, (const float *const *)in, length, label, weight, N, 0x1p-8, &report, &e), &e);
    if (!(report.worst < 4e-3))
        fail_msg("parameter %zu is off by %g", report.worst_at, report.worst);
    assert_true(report.n_skipped <= net_n_params(net) / 2);
    mem_free(in[0]);
    mem_free(in[1]);
    mem_free(params);
    net_destroy(net);
}

static void test_gru_that_resets_after_has_right_gradients(void **state)
{
    (void)state;
    assert_gradients(sequence_net(GRU_AFTER, 7, 3, 20, false, 0), 20);
}

static void test_gru_that_resets_before_has_right_gradients(void **state)
{
    (void)state;
    assert_gradients(sequence_net(GRU_BEFORE, 7, 3, 20, false, 0), 20);
}

static void test_lstm_has_right_gradients(void **state)
{
    (void)state;
    assert_gradients(sequence_net(LSTM, 7, 3, 20, false, 0), 20);
}

static void test_mean_pool_behind_a_layer_for_each_particle_has_right_gradients(void **state)
{
    (void)state;
    assert_gradients(sequence_net(POOL, 0, 3, 6, true, 0), 6);
}

static void test_gradients_pass_through_recurrent_layers_to_what_is_before_them(void **state)
{
    (void)state;
    for (int which = GRU_AFTER; which <= LSTM; which++)
        assert_gradients(sequence_net(which, 4, 3, 6, true, 0), 6);
}

static void test_dropout_has_right_gradients(void **state)
{
    (void)state;
    assert_gradients(sequence_net(GRU_AFTER, 6, 3, 9, false, 0.4), 9);
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

/* Rows in batches of `at_once`; sequences are [row][steps][features], scores [row][3]. */
static void score(const struct net *net, const float *params, const float *flat, const float *sequence,
                  const uint32_t *length, size_t n, size_t at_once, float *out)
{
    struct pass p;
    size_t wide = shape_numbers(net_input_shape(net, 1));
    float *work = floats(pass_work_size(net, at_once, false));
    pass_init(&p, net, at_once, false, work);
    for (size_t done = 0; done < n; done += at_once) {
        size_t rows = n - done < at_once ? n - done : at_once;
        if (p.ld == 1) {
            memcpy(pass_input(&p, 0), flat + done * 4, 4 * sizeof *flat);
            memcpy(pass_input(&p, 1), sequence + done * wide, wide * sizeof *flat);
        } else {
            p.k->rows_to_lanes(flat + done * 4, 4, NULL, rows, 4, p.ld, pass_input(&p, 0));
            p.k->rows_to_lanes(sequence + done * wide, wide, NULL, rows, wide, p.ld, pass_input(&p, 1));
        }
        pass_forward(&p, params, rows, length + done);
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < 3; c++)
                out[(done + r) * 3 + c] = pass_output(&p)[c * p.ld + r];
    }
    mem_free(work);
}

static void test_a_row_scores_the_same_bits_in_any_batch_and_with_any_kernels(void **state)
{
    (void)state;
    enum { N = 1000, N_PORTABLE = 66, STEPS = 19, FEATURES = 19 };      /* portable: slow without fused steps */
    static const size_t batches[] = {1, 8, 33, 1000};
    float *flat = random_floats(1, N * 4, 1), *sequence = random_floats(2, N * STEPS * FEATURES, 1);
    float *expected = floats(N * 3), *out = floats(N * 3);
    uint32_t *length = mem_alloc(N * sizeof *length);
    for (size_t i = 0; i < N; i++)
        length[i] = (uint32_t)(i * 31 % (STEPS + 1));
    size_t levels = n_levels();
    for (int which = GRU_AFTER; which <= POOL; which++) {
        struct net *net = sequence_net(which, which == LSTM ? 21 : 50, FEATURES, STEPS, which == POOL, 0.2);
        float *params = starting_values(net, 3);
        cpu_level_set(CPU_AVX512);
        score(net, params, flat, sequence, length, N, N, expected);
        for (size_t level = 0; level < levels; level++)
            for (size_t b = 0; b < ARRAY_LEN(batches); b++) {
                size_t n = level == CPU_PORTABLE ? N_PORTABLE : N;
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
    mem_free(expected);
    mem_free(out);
    mem_free(length);
}

/* Gradients of n rows under random noise. */
static void gradients(const struct net *net, const float *params, const float *flat, const float *sequence,
                      const uint32_t *length, size_t n, float *grads)
{
    struct pass p;
    size_t wide = shape_numbers(net_input_shape(net, 1));
    float *work = floats(pass_work_size(net, n, true)), label[64] = {0}, weight[64] = {0};
    uint32_t row[64];
    struct loss_sums loss = {0, 0, 0};
    for (size_t r = 0; r < n; r++) {
        row[r] = (uint32_t)r;
        label[r] = (float)(r % 3);
        weight[r] = 1;
    }
    struct noise noise = {77, row};
    pass_init(&p, net, n, true, work);
    p.noise = &noise;
    p.k->rows_to_lanes(flat, 4, NULL, n, 4, p.ld, pass_input(&p, 0));
    p.k->rows_to_lanes(sequence, wide, NULL, n, wide, p.ld, pass_input(&p, 1));
    pass_forward(&p, params, n, length);
    pass_loss(&p, n, label, weight, 1, &loss);
    memset(grads, 0, net_n_params(net) * sizeof *grads);
    pass_backward(&p, params, n, length, grads);
    mem_free(work);
}

static void test_gradients_are_the_same_bits_with_any_kernels_and_ignore_what_is_beyond_a_rows_length(void **state)
{
    (void)state;
    enum { N = 40, STEPS = 19, FEATURES = 19 };
    float *flat = random_floats(1, N * 4, 1), *sequence = random_floats(2, N * STEPS * FEATURES, 1);
    uint32_t length[N];
    for (size_t i = 0; i < N; i++)
        length[i] = (uint32_t)(i * 31 % (STEPS + 1));
    size_t levels = n_levels();
    for (int which = GRU_AFTER; which <= LSTM; which++) {
        struct net *net = sequence_net(which, 50, FEATURES, STEPS, which == LSTM, 0.3);
        size_t n_params = net_n_params(net);
        float *params = starting_values(net, 3), *expected = floats(n_params), *out = floats(n_params);
        gradients(net, params, flat, sequence, length, N, expected);
        for (size_t i = 0; i < N; i++)
            for (size_t j = length[i] * FEATURES; j < STEPS * FEATURES; j++)
                sequence[i * STEPS * FEATURES + j] = (float)(j % 5);
        for (size_t level = 0; level < levels; level++) {
            cpu_level_set((enum cpu_level)level);
            gradients(net, params, flat, sequence, length, N, out);
            assert_same_bits(out, expected, net_n_params(net));
        }
        mem_free(params);
        mem_free(expected);
        mem_free(out);
        net_destroy(net);
    }
    cpu_level_set(CPU_AVX512);
    mem_free(flat);
    mem_free(sequence);
}

/* ---- dropout -------------------------------------------------------------------------------------------------- */

static void test_dropout_drops_its_share_by_key_and_row_and_keeps_the_mean(void **state)
{
    (void)state;
    enum { UNITS = 40, LD = 512 };
    struct dropout_config config = {0.25};
    struct layer l = {.kind = &layer_dropout, .config = &config, .n_inputs = 1, .in = {{UNITS, 0}}};
    struct error e;
    assert_ok(layer_dropout.shape(&l, &e), &e);
    float *in = floats(UNITS * LD), *out = floats(UNITS * LD), *kept = floats(UNITS * LD), *s = floats(UNITS * LD);
    uint32_t row[LD], dropped = 0;
    for (size_t i = 0; i < UNITS * LD; i++)
        in[i] = 1;
    for (uint32_t r = 0; r < LD; r++)
        row[r] = r;
    struct noise noise = {9, row}, other = {10, row};
    struct layer_call c = {.k = kernels_get(), .n = LD, .lanes = LD, .ld = LD, .in = {in}, .out = out, .state = s,
                           .training = true, .noise = &noise};
    layer_dropout.forward(&l, &c);
    for (size_t i = 0; i < UNITS * LD; i++) {
        assert_true(out[i] == 0 || out[i] == (float)(1 / 0.75));
        dropped += out[i] == 0;
    }
    assert_in_range(dropped, UNITS * LD / 4 - 310, UNITS * LD / 4 + 310);         /* five deviations */
    c.out = kept;
    layer_dropout.forward(&l, &c);
    assert_same_bits(kept, out, UNITS * LD);
    c.noise = &other;
    layer_dropout.forward(&l, &c);
    assert_memory_not_equal(kept, out, UNITS * LD * sizeof *out);
    c.noise = NULL;
    layer_dropout.forward(&l, &c);
    assert_same_bits(kept, in, UNITS * LD);
    mem_free(in);
    mem_free(out);
    mem_free(kept);
    mem_free(s);
}

/* ---- shapes and starting values --------------------------------------------------------------------------------- */

static void test_layers_refuse_what_is_not_a_sequence_or_is_one(void **state)
{
    (void)state;
    struct error e;
    struct gru_config gru = {5, false}, huge = {RECURRENT_UNITS_MAX + 1, false};
    const struct {
        const char *kind;
        const void *config;
        size_t steps;
        enum status s;
    } cases[] = {{"gru", &gru, 0, STATUS_ARGUMENT}, {"lstm", &gru, 0, STATUS_ARGUMENT},
                 {"mean_pool", NULL, 0, STATUS_ARGUMENT},
                 {"gru", &huge, 3, STATUS_RANGE}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct net *net;
        size_t value;
        assert_ok(net_create(&net, &e), &e);
        size_t x = add_sequence(net, 4, cases[i].steps);
        assert_status(net_add(net, cases[i].kind, cases[i].config, &x, 1, &value, &e), cases[i].s, &e);
        net_destroy(net);
    }
}

static void test_recurrent_weights_start_with_orthonormal_rows(void **state)
{
    (void)state;
    enum { UNITS = 50, WIDTH = 150 };
    struct error e;
    struct net *net;
    assert_ok(net_create(&net, &e), &e);
    add_recurrent(net, GRU_AFTER, UNITS, add_sequence(net, 19, 5));
    assert_ok(net_finish(net, &e), &e);
    assert_int_equal(net_n_params(net), (19 + UNITS + 2) * WIDTH);
    float *params = floats(net_n_params(net)), *rows = params + 19 * WIDTH;
    net_init(net, 1, params);
    for (size_t i = 0; i < UNITS; i++)
        for (size_t j = 0; j <= i; j++) {
            double dot = 0;
            for (size_t k = 0; k < WIDTH; k++)
                dot += (double)rows[i * WIDTH + k] * (double)rows[j * WIDTH + k];
            assert_float_equal(dot, i == j, 1e-6);
        }
    mem_free(params);
    net_destroy(net);
}

/* ---- the reference networks ------------------------------------------------------------------------------------- */

static struct npy golden(const char *model, const char *name)
{
    struct error e;
    struct npy a;
    char path[128];
    snprintf(path, sizeof path, "golden/%s%s.npy", model, name);
    assert_ok(npy_load(shared_path(path), &a, &e), &e);
    return a;
}

/* Copies the named arrays, one after the other, into params. */
static void load_params(const char *model, const char *const *names, float *params, size_t n_params)
{
    size_t at = 0;
    for (size_t i = 0; names[i]; i++) {
        char part[64];
        snprintf(part, sizeof part, "_%s", names[i]);
        char prefix[32];
        snprintf(prefix, sizeof prefix, "weight_%s", model);
        struct npy a = golden(prefix, part);
        assert_true(at + a.n <= n_params);
        for (size_t j = 0; j < a.n; j++)
            params[at + j] = (float)npy_value(&a, j);
        at += a.n;
        npy_free(&a);
    }
    assert_int_equal(at, n_params);
}

static void assert_near(const char *what, const float *out, const char *file, double tolerance)
{
    struct npy expected = golden(file, "");
    double worst = 0;
    for (size_t i = 0; i < expected.n; i++)
        worst = fmax(worst, fabs((double)out[i] - npy_value(&expected, i)));
    if (!(worst <= tolerance))
        fail_msg("%s %s: off by %g", what, file, worst);
    npy_free(&expected);
}

enum { EVENTS = 64, STEPS = 801, COLUMNS = 19 };

/* Sequences as rows; with a mask, steps of zeros are taken out, which is what skipping them means. */
static void load_sequences(const char *name, bool mask, float *rows, uint32_t *length)
{
    struct npy a = golden(name, "");
    assert_int_equal(a.n, EVENTS * STEPS * COLUMNS);
    for (size_t i = 0; i < EVENTS; i++) {
        length[i] = 0;
        for (size_t t = 0; t < STEPS; t++) {
            bool real = !mask;
            for (size_t c = 0; c < COLUMNS; c++)
                real |= npy_value(&a, (i * STEPS + t) * COLUMNS + c) != 0;
            for (size_t c = 0; real && c < COLUMNS; c++)
                rows[(i * STEPS + length[i]) * COLUMNS + c] = (float)npy_value(&a, (i * STEPS + t) * COLUMNS + c);
            length[i] += real;
        }
    }
    npy_free(&a);
}

static struct net *golden_net(bool inclusive)
{
    struct error e;
    struct net *net;
    size_t flat = 0;
    assert_ok(net_create(&net, &e), &e);
    if (inclusive)
        flat = add_input(net, 14);
    size_t value = add_recurrent(net, GRU_AFTER, 50, add_sequence(net, COLUMNS, STEPS));
    if (inclusive) {
        assert_ok(net_add(net, "concat", NULL, (size_t[]){value, flat}, 2, &value, &e), &e);
        value = add_dense(net, 25, ACTIVATION_RELU, value);
    }
    add_dense(net, 3, ACTIVATION_LINEAR, value);
    assert_ok(net_finish(net, &e), &e);
    return net;
}

/* The first events alone, as they are scored one by one, give the logits of the pass over all of them. */
static void assert_alone(const struct net *net, const float *params, const float *rows, const uint32_t *length,
                         const struct pass *all, const float *logits)
{
    enum { ALONE = 5 };
    bool inclusive = net_n_inputs(net) == 2;
    float *work = floats(pass_work_size(net, 1, false));
    struct pass p;
    pass_init(&p, net, 1, false, work);
    for (size_t r = 0; r < ALONE; r++) {
        for (size_t f = 0; inclusive && f < 14; f++)
            pass_input(&p, 0)[f] = pass_input(all, 0)[f * all->ld + r];
        memcpy(pass_input(&p, inclusive), rows + r * STEPS * COLUMNS, STEPS * COLUMNS * sizeof *rows);
        pass_forward(&p, params, 1, length + r);
        assert_same_bits(pass_output(&p), logits + r * 3, 3);
    }
    mem_free(work);
}

/* States through the layer's own output while training, logits, probabilities. */
static void run_golden(const char *model, bool inclusive, const char *sequences, bool mask, const char *suffix)
{
    static const char *const names_b[] = {"gru_kernel", "gru_recurrent", "gru_bias", "dense_0_kernel", "dense_0_bias",
                                          "dense_1_kernel", "dense_1_bias", NULL};
    static const char *const names_c[] = {"gru_kernel", "gru_recurrent", "gru_bias", "dense_0_kernel", "dense_0_bias",
                                          NULL};
    struct net *net = golden_net(inclusive);
    float *params = floats(net_n_params(net)), *rows = floats(EVENTS * STEPS * COLUMNS);
    float *states = floats(EVENTS * 50), *logits = floats(EVENTS * 3), *scores = floats(EVENTS * 3);
    float *work = floats(pass_work_size(net, EVENTS, true));
    uint32_t length[EVENTS];
    char file[64];
    struct pass p;
    load_params(model, inclusive ? names_b : names_c, params, net_n_params(net));
    load_sequences(sequences, mask, rows, length);
    pass_init(&p, net, EVENTS, true, work);
    if (inclusive) {
        struct npy hlf = golden("in_hlf", "");
        for (size_t r = 0; r < EVENTS; r++)
            for (size_t f = 0; f < 14; f++)
                pass_input(&p, 0)[f * p.ld + r] = (float)npy_value(&hlf, r * 14 + f);
        npy_free(&hlf);
    }
    p.k->rows_to_lanes(rows, STEPS * COLUMNS, NULL, EVENTS, STEPS * COLUMNS, p.ld, pass_input(&p, inclusive));
    pass_forward(&p, params, EVENTS, length);
    for (size_t r = 0; r < EVENTS; r++) {
        for (size_t u = 0; u < 50; u++)
            states[r * 50 + u] = pass_layer_output(&p, 0)[u * p.ld + r];
        for (size_t c = 0; c < 3; c++)
            logits[r * 3 + c] = pass_output(&p)[c * p.ld + r];
    }
    assert_alone(net, params, rows, length, &p, logits);
    pass_softmax(&p, EVENTS);
    for (size_t i = 0; i < EVENTS * 3; i++)
        scores[i] = pass_output(&p)[i % 3 * p.ld + i / 3];
    snprintf(file, sizeof file, "expect_%s_%s", model, suffix);
    assert_near("probabilities", scores, file, inclusive ? 5e-5 : 1e-6);
    if (inclusive) {
        snprintf(file, sizeof file, "expect_%s_%s_state", model, suffix);
        assert_near("states", states, file, 1e-4);
        snprintf(file, sizeof file, "expect_%s_%s_logits", model, suffix);
        assert_near("logits", logits, file, 3e-4);
    }
    float *all[] = {params, rows, states, logits, scores, work};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mem_free(all[i]);
    net_destroy(net);
}

static void test_the_published_inclusive_models_give_the_reference_states_and_scores(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    run_golden("B", true, "in_seq", false, "seq");
    run_golden("B", true, "in_mseq", true, "mseq");
    run_golden("Bk3", true, "in_seq", false, "seq");
    run_golden("Bk3", true, "in_mseq", true, "mseq");
}

static void test_a_gru_alone_gives_the_reference_scores_with_and_without_mask(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    run_golden("C", false, "in_seq", false, "seq");
    run_golden("C", false, "in_mseq", true, "mseq");
    run_golden("C", false, "in_mseq", false, "mseq_nomask");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gru_that_resets_after_has_right_gradients),
        cmocka_unit_test(test_gru_that_resets_before_has_right_gradients),
        cmocka_unit_test(test_lstm_has_right_gradients),
        cmocka_unit_test(test_mean_pool_behind_a_layer_for_each_particle_has_right_gradients),
        cmocka_unit_test(test_gradients_pass_through_recurrent_layers_to_what_is_before_them),
        cmocka_unit_test(test_dropout_has_right_gradients),
        cmocka_unit_test(test_a_row_scores_the_same_bits_in_any_batch_and_with_any_kernels),
        cmocka_unit_test(test_gradients_are_the_same_bits_with_any_kernels_and_ignore_what_is_beyond_a_rows_length),
        cmocka_unit_test(test_dropout_drops_its_share_by_key_and_row_and_keeps_the_mean),
        cmocka_unit_test(test_layers_refuse_what_is_not_a_sequence_or_is_one),
        cmocka_unit_test(test_recurrent_weights_start_with_orthonormal_rows),
        cmocka_unit_test(test_the_published_inclusive_models_give_the_reference_states_and_scores),
        cmocka_unit_test(test_a_gru_alone_gives_the_reference_scores_with_and_without_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
