/* tests/core/model/test_sequence.c
 *
 * Classifiers over particle rows: that they learn, repeat themselves bit for bit, and refuse what they cannot read. */
#include "core/model.h"

#include "tests/core/model/toy.h"
#include "tests/support/support.h"

enum { HLF, SEQUENCE, INCLUSIVE, INCLUSIVE_LSTM };

/* Particles of a toy's events: classes differ in their pT alone.  The toy's estimator becomes `model`; its data.rows is
 * for the caller to set. */
struct particles {
    struct particle_columns columns;
    uint32_t *first;
};

static struct particles particles_make(struct toy *t, int model, const char *recipe, size_t n_most)
{
    struct error e;
    struct particles p = {0};
    struct rng r = rng_stream(4, 4);
    struct hlf_scaler hlf = {{false}, {0}, {0}};
    struct sequence_scaler scaler = {{0}, {0}};
    size_t n = t->data.n, at = 0;
    float **columns[] = {&p.columns.pt, &p.columns.eta, &p.columns.phi, &p.columns.x, &p.columns.y, &p.columns.z,
                         &p.columns.iso_ch, &p.columns.iso_gamma, &p.columns.iso_neu};
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        *columns[c] = ARENA_NEW(&t->arena, float, n * n_most);
    p.columns.kind = ARENA_NEW(&t->arena, int8_t, n * n_most);
    p.columns.charge = ARENA_NEW(&t->arena, int8_t, n * n_most);
    p.first = ARENA_NEW(&t->arena, uint32_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t length = 1 + rng_below(&r, n_most);
        p.first[i] = (uint32_t)at;
        for (size_t j = 0; j < length; j++, at++) {
            for (size_t c = 1; c < ARRAY_LEN(columns); c++)
                (*columns[c])[at] = (float)(0.5 * rng_normal(&r));
            p.columns.pt[at] = 1 + (float)t->label[i] + 0.5f * (float)rng_f64(&r);
            p.columns.kind[at] = (int8_t)(j == 0 ? PARTICLE_MUON : (int)rng_below(&r, 3));
            p.columns.charge[at] = (int8_t)(rng_below(&r, 3)) - 1;
        }
    }
    p.first[n] = (uint32_t)at;
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
        scaler.factor[c] = 0.7;
    for (size_t f = 0; f < HLF_COUNT; f++)
        hlf.factor[f] = 1;
    assert_ok(scaler_record_make(&t->arena, &hlf, recipe_find(recipe)->sequence_dense ? NULL : &scaler,
                                 &t->header.scaler, &e), &e);
    t->header.recipe = recipe;
    t->header.params.model = model;
    t->header.params.units = 6;
    t->header.params.learning_rate = 0.01;
    t->data.row_first = p.first;
    return p;
}

static void sequence_toy(struct toy *t, struct particles *p, size_t n, int model)
{
    toy_init(t, n, 3);
    for (size_t i = 0; i < n * HLF_COUNT; i++)
        t->hlf[i] = (float)(i * 7 % 11) / 11;                 /* says nothing */
    *p = particles_make(t, model, "topology-1", 40);
    t->data.rows = &p->columns;
}

static void predict(const struct model *m, const struct toy *t, const struct particles *p, size_t first, size_t n,
                    float *out)
{
    struct model_rows rows = {t->hlf + first * HLF_COUNT, &p->columns, p->first + first};
    model_predict(m, &rows, n, out);
}

static void test_each_estimator_learns_what_only_the_particles_say(void **state)
{
    (void)state;
    for (int model = SEQUENCE; model <= INCLUSIVE_LSTM; model++) {
        struct toy t;
        struct particles p;
        sequence_toy(&t, &p, 600, model);
        struct trainer *trainer = toy_trainer(&t);
        struct epoch_report report = toy_epochs(trainer, 15);
        assert_true(report.val_accuracy > 0.9);
        struct model *m = toy_model(trainer);
        assert_int_equal(model_input(m), model == SEQUENCE ? INPUT_SEQUENCE : INPUT_BOTH);
        float *scores = mem_alloc(600 * 3 * sizeof *scores);
        size_t right = 0;
        predict(m, &t, &p, 0, 600, scores);
        for (size_t i = 0; i < 600; i++) {
            const float *s = scores + 3 * i;
            int best = s[1] > s[0] ? (s[2] > s[1] ? 2 : 1) : (s[2] > s[0] ? 2 : 0);
            assert_float_equal(s[0] + s[1] + s[2], 1, 1e-5);
            right += best == t.label[i];
        }
        assert_true(right > 540);
        mem_free(scores);
        model_release(m);
        trainer_destroy(trainer);
        toy_fini(&t);
    }
}

static void test_a_fit_is_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    struct toy t;
    struct particles p;
    struct buf expected, b;
    sequence_toy(&t, &p, 300, INCLUSIVE);
    t.header.params.batch_size = 100;
    for (int64_t threads = 1; threads <= 4; threads++) {
        t.header.params.threads = threads;
        struct model *m = toy_train(&t, 2);
        t.header.params.threads = 1;
        float scores[300 * 3], first[300 * 3];
        predict(m, &t, &p, 0, 300, scores);
        b = toy_encode(m);
        if (threads == 1) {
            expected = b;
        } else {
            struct error e;
            struct model *one;
            assert_ok(model_decode((struct span){expected.data, expected.len}, "one", &one, &e), &e);
            predict(one, &t, &p, 0, 300, first);
            assert_memory_equal(scores, first, sizeof scores);
            model_release(one);
            buf_fini(&b);
        }
        model_release(m);
    }
    buf_fini(&expected);
    toy_fini(&t);
}

static void test_a_fit_goes_on_from_a_checkpoint_with_the_same_bits_and_the_same_dropout(void **state)
{
    (void)state;
    struct toy t;
    struct particles p;
    struct error e;
    struct buf checkpoint;
    for (int model = SEQUENCE; model <= INCLUSIVE_LSTM; model++) {
        sequence_toy(&t, &p, 200, model);
        t.header.params.dropout = 0.4;
        struct trainer *through = toy_trainer(&t), *stopped = toy_trainer(&t), *resumed = toy_trainer(&t);
        toy_epochs(through, 3);
        toy_epochs(stopped, 1);
        buf_init(&checkpoint, 1 << 24);
        assert_ok(trainer_checkpoint(stopped, &checkpoint, &e), &e);
        assert_ok(trainer_restore(resumed, (struct span){checkpoint.data, checkpoint.len}, &e), &e);
        toy_epochs(resumed, 2);
        struct model *a = toy_model(through), *b = toy_model(resumed);
        assert_string_equal(model_sha256(a), model_sha256(b));
        model_release(a);
        model_release(b);
        trainer_destroy(through);
        trainer_destroy(stopped);
        trainer_destroy(resumed);
        buf_fini(&checkpoint);
        toy_fini(&t);
    }
}

static void test_a_checkpoint_of_other_particles_is_refused(void **state)
{
    (void)state;
    struct toy t;
    struct particles p;
    struct error e;
    struct buf checkpoint;
    sequence_toy(&t, &p, 60, SEQUENCE);
    struct trainer *a = toy_trainer(&t);
    buf_init(&checkpoint, 1 << 24);
    assert_ok(trainer_checkpoint(a, &checkpoint, &e), &e);
    p.columns.eta[7] += 1;
    struct trainer *b = toy_trainer(&t);
    assert_status(trainer_restore(b, (struct span){checkpoint.data, checkpoint.len}, &e), STATUS_CONFLICT, &e);
    trainer_destroy(a);
    trainer_destroy(b);
    buf_fini(&checkpoint);
    toy_fini(&t);
}

static void test_an_event_scores_the_same_bits_in_any_batch_and_after_storing(void **state)
{
    (void)state;
    enum { N = 1000 };
    static const size_t batches[] = {1, 8, 33, 1000};
    struct toy t;
    struct particles p;
    struct error e;
    float *expected = mem_alloc(N * 3 * sizeof *expected), *out = mem_alloc(N * 3 * sizeof *out);
    for (int model = SEQUENCE; model <= INCLUSIVE_LSTM; model++) {
        sequence_toy(&t, &p, N, model);
        struct model *m = toy_train(&t, 1), *back;
        predict(m, &t, &p, 0, N, expected);
        struct buf bytes = toy_encode(m);
        assert_ok(model_decode((struct span){bytes.data, bytes.len}, "toy", &back, &e), &e);
        for (size_t b = 0; b < ARRAY_LEN(batches); b++) {
            for (size_t done = 0; done < N; done += batches[b]) {
                size_t n = N - done < batches[b] ? N - done : batches[b];
                predict(b % 2 ? back : m, &t, &p, done, n, out + done * 3);
            }
            assert_memory_equal(out, expected, N * 3 * sizeof *out);
        }
        buf_fini(&bytes);
        model_release(m);
        model_release(back);
        toy_fini(&t);
    }
    mem_free(expected);
    mem_free(out);
}

static void test_a_dense_recipe_trains_and_scores_on_801_steps(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 40, 2);
    struct particles p = particles_make(&t, INCLUSIVE, "sparkdltrigger-1", 60);
    t.data.rows = &p.columns;
    float all[40 * 3], one[3];
    struct model *m = toy_train(&t, 1);
    predict(m, &t, &p, 0, 40, all);
    for (size_t i = 0; i < 40; i++) {
        predict(m, &t, &p, i, 1, one);
        assert_memory_equal(one, all + 2 * i, 2 * sizeof *one);
    }
    model_release(m);
    toy_fini(&t);
}

static void test_an_event_without_rows_is_not_a_number_and_its_neighbours_are_not_touched(void **state)
{
    (void)state;
    struct toy t;
    struct particles p;
    sequence_toy(&t, &p, 40, INCLUSIVE);
    struct model *m = toy_train(&t, 1);
    float expected[40 * 3], out[40 * 3];
    predict(m, &t, &p, 0, 40, expected);
    uint32_t first[4] = {p.first[7], p.first[8], p.first[8], p.first[9]};
    float hlf[3 * HLF_COUNT];
    memcpy(hlf, t.hlf + 7 * HLF_COUNT, HLF_COUNT * sizeof *hlf);
    memcpy(hlf + HLF_COUNT, t.hlf, HLF_COUNT * sizeof *hlf);
    memcpy(hlf + 2 * HLF_COUNT, t.hlf + 8 * HLF_COUNT, HLF_COUNT * sizeof *hlf);
    struct model_rows rows = {hlf, &p.columns, first};
    model_predict(m, &rows, 3, out);
    assert_memory_equal(out, expected + 7 * 3, 3 * sizeof *out);
    assert_true(isnan(out[3]) && isnan(out[4]) && isnan(out[5]));
    assert_memory_equal(out + 6, expected + 8 * 3, 3 * sizeof *out);
    model_predict_hlf(m, t.hlf, 1, out);
    assert_true(isnan(out[0]) && isnan(out[2]));
    model_release(m);
    toy_fini(&t);
}

struct contest {
    const struct model *m;
    const struct toy *t;
    const struct particles *p;
    const float *expected;
};

static enum status predict_part(void *ctx, size_t i, size_t thread, struct error *e)
{
    (void)thread;
    const struct contest *c = ctx;
    float out[20 * 3];
    predict(c->m, c->t, c->p, i, 20, out);
    return memcmp(out, c->expected + 3 * i, sizeof out) == 0 ? STATUS_OK : error_set(e, STATUS_BUG, "part %zu", i);
}

static void test_more_threads_than_working_memories_score_the_same_bits(void **state)
{
    (void)state;
    struct toy t;
    struct particles p;
    struct error e;
    float expected[120 * 3];
    sequence_toy(&t, &p, 120, INCLUSIVE);
    struct model *m = toy_train(&t, 1);
    predict(m, &t, &p, 0, 120, expected);
    struct contest c = {m, &t, &p, expected};
    assert_ok(par_for(par_cores() + 6, 100, predict_part, &c, &e), &e);
    model_release(m);
    toy_fini(&t);
}

static void assert_refused(const struct toy *t, const char *why)
{
    struct error e;
    struct trainer *trainer;
    assert_status(trainer_create(&t->header, &t->data, &trainer, &e), STATUS_ARGUMENT, &e);
    assert_null(trainer);
    assert_contains(e.text, why);
}

static void test_what_cannot_be_read_is_refused_with_what_to_do(void **state)
{
    (void)state;
    struct toy t;
    struct particles p;
    sequence_toy(&t, &p, 30, INCLUSIVE);
    t.data.rows = NULL;
    assert_refused(&t, "sequences: true");
    t.data.rows = &p.columns;
    p.columns.x[3] = NAN;
    assert_refused(&t, "a number that is none");
    p.columns.x[3] = 0;
    p.columns.kind[3] = 5;
    assert_refused(&t, "a kind");
    p.columns.kind[3] = 0;
    uint32_t kept = p.first[2];
    p.first[2] = p.first[1];
    assert_refused(&t, "row 1: particle rows");
    p.first[2] = kept;
    t.header.scaler.sequence_mean = t.header.scaler.sequence_factor = (struct field_list){NULL, 0};
    assert_refused(&t, "sequences: true");
    toy_fini(&t);
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct toy t;
    struct particles p;
    struct error e;
    sequence_toy(&t, &p, 30, INCLUSIVE_LSTM);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct trainer *trainer;
        struct model *m = NULL;
        enum status s = trainer_create(&t.header, &t.data, &trainer, &e);
        if (s == STATUS_OK)
            s = trainer_model(trainer, &m, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        model_release(m);
        trainer_destroy(trainer);
    }
    toy_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_estimator_learns_what_only_the_particles_say),
        cmocka_unit_test(test_a_fit_is_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(test_a_fit_goes_on_from_a_checkpoint_with_the_same_bits_and_the_same_dropout),
        cmocka_unit_test(test_a_checkpoint_of_other_particles_is_refused),
        cmocka_unit_test(test_an_event_scores_the_same_bits_in_any_batch_and_after_storing),
        cmocka_unit_test(test_a_dense_recipe_trains_and_scores_on_801_steps),
        cmocka_unit_test(test_an_event_without_rows_is_not_a_number_and_its_neighbours_are_not_touched),
        cmocka_unit_test(test_more_threads_than_working_memories_score_the_same_bits),
        cmocka_unit_test(test_what_cannot_be_read_is_refused_with_what_to_do),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
