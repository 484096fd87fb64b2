/* tests/core/model/test_train.c
 *
 * Fitting: that it learns, that it repeats, and what it refuses. */
#include "core/model.h"

#include "tests/core/model/toy.h"

static double accuracy(const struct model *m, const struct toy *t)
{
    size_t n_classes = model_n_classes(m), hits = 0;
    float *out = mem_alloc(t->data.n * n_classes * sizeof *out);
    model_predict_hlf(m, t->data.hlf, t->data.n, out);
    for (size_t i = 0; i < t->data.n; i++) {
        size_t best = 0;
        for (size_t c = 1; c < n_classes; c++)
            best = out[i * n_classes + c] > out[i * n_classes + best] ? c : best;
        hits += best == (size_t)t->data.label[i];
    }
    mem_free(out);
    return (double)hits / (double)t->data.n;
}

static void test_an_exclusive_or_is_learned(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 4000, 2);
    t.header.params.learning_rate = 5e-3;
    t.header.params.validation_fraction = 0.25;
    struct trainer *trainer = toy_trainer(&t);
    struct epoch_report first = toy_epochs(trainer, 1), last = toy_epochs(trainer, 29);
    struct model *m = toy_model(trainer);
    assert_true(first.accuracy < 0.9 && last.accuracy > 0.98);
    assert_true(last.val_accuracy > 0.96);
    assert_true(last.loss < first.loss / 3);
    assert_true(accuracy(m, &t) > 0.97);
    assert_int_equal(last.epoch, 30);
    assert_true(last.samples_per_second > 0 && last.seconds > 0 && last.gradient_norm > 0);
    const struct model_header *h = model_header(m);
    assert_int_equal(h->epochs_done, 30);
    assert_float_equal(h->train_loss, last.loss, 0);
    assert_float_equal(h->val_loss, last.val_loss, 0);
    assert_true(h->n_train > 2800 && h->n_train < 3200);
    assert_string_equal(h->estimator, "hlf");
    assert_int_equal(h->n_params, 14 * 50 + 50 + 50 * 20 + 20 + 20 * 10 + 10 + 10 * 2 + 2);
    model_release(m);
    trainer_destroy(trainer);
    toy_fini(&t);
}

static void test_many_classes_are_learned(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 5000, 64);
    t.header.params.learning_rate = 2e-3;
    t.header.params.validation_fraction = 0;
    TOY_HIDDEN(&t, 96, 96);
    struct model *m = toy_train(&t, 30);
    assert_int_equal(model_n_classes(m), 64);
    assert_true(accuracy(m, &t) > 0.9);
    model_release(m);
    toy_fini(&t);
}

static struct buf trained_bytes(const struct toy *t, size_t epochs)
{
    struct model *m = toy_train(t, epochs);
    struct buf b = toy_encode(m);
    model_release(m);
    return b;
}

static void assert_same_model(struct buf *a, struct buf *b)
{
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->data, b->data, a->len);
}

static void test_the_same_seed_gives_the_same_bytes_and_another_does_not(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 1000, 3);
    struct buf a = trained_bytes(&t, 3), b = trained_bytes(&t, 3);
    assert_same_model(&a, &b);
    t.header.params.seed = 2;
    struct buf c = trained_bytes(&t, 3);
    assert_memory_not_equal(a.data, c.data, a.len < c.len ? a.len : c.len);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&c);
    toy_fini(&t);
}

static void test_all_kernels_train_the_same_bytes(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 300, 3);
    cpu_level_set(CPU_PORTABLE);
    struct buf a = trained_bytes(&t, 2);
    cpu_level_set(CPU_AVX2);
    struct buf b = trained_bytes(&t, 2);
    cpu_level_set(CPU_AVX512);
    struct buf c = trained_bytes(&t, 2);
    assert_same_model(&a, &b);
    assert_same_model(&a, &c);
    buf_fini(&a);
    buf_fini(&b);
    buf_fini(&c);
    toy_fini(&t);
}

/* Wide enough for several shards a step. */
static void test_any_number_of_threads_trains_the_same_weights(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 1100, 3);
    t.header.params.batch_size = 1024;
    t.header.params.validation_fraction = 0.05;
    TOY_HIDDEN(&t, 400, 400);
    float scores[2][3 * 100];
    for (int64_t threads = 1; threads <= 3; threads += 2) {
        t.header.params.threads = threads;
        struct model *m = toy_train(&t, 2);
        model_predict_hlf(m, t.hlf, 100, scores[threads > 1]);
        model_release(m);
    }
    assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
    toy_fini(&t);
}

static void test_partial_batches_and_odd_sizes_train(void **state)
{
    (void)state;
    static const int64_t batches[] = {1, 2, 100, 128, 256, 257, 999, 1000, 1 << 20};
    struct toy t;
    toy_init(&t, 1000, 3);
    t.header.params.validation_fraction = 0;
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        t.header.params.batch_size = batches[i];
        struct trainer *trainer = toy_trainer(&t);
        struct epoch_report r = toy_epochs(trainer, 2);
        assert_true(isfinite(r.loss) && r.loss < 1.5);
        assert_true(isnan(r.val_loss) && isnan(r.val_accuracy));
        trainer_destroy(trainer);
    }
    toy_fini(&t);
}

/* With one batch an epoch, the first loss is that of the starting weights over all rows: it can be recomputed. */
static void test_the_reported_loss_is_the_weighted_mean(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 500, 3);
    t.header.params.validation_fraction = 0;
    t.header.params.batch_size = 500;
    t.data.weight = t.weight;
    struct trainer *trainer = toy_trainer(&t);
    struct model *m = toy_model(trainer);
    float *p = mem_alloc(500 * 3 * sizeof *p);
    double loss = 0, sum = 0, hits = 0;
    model_predict_hlf(m, t.hlf, 500, p);
    for (size_t i = 0; i < 500; i++) {
        size_t best = 0;
        for (size_t c = 1; c < 3; c++)
            best = p[i * 3 + c] > p[i * 3 + best] ? c : best;
        loss -= (double)t.weight[i] * log((double)p[i * 3 + (size_t)t.label[i]]);
        hits += best == (size_t)t.label[i] ? (double)t.weight[i] : 0;
        sum += (double)t.weight[i];
    }
    struct epoch_report r = toy_epochs(trainer, 1);
    assert_true(fabs(r.loss - loss / sum) < 1e-5);
    assert_true(fabs(r.accuracy - hits / sum) < 1e-5);
    mem_free(p);
    model_release(m);
    trainer_destroy(trainer);
    toy_fini(&t);
}

static void test_weights_count_like_repeated_rows(void **state)
{
    (void)state;
    struct toy once, twice;
    toy_init(&once, 200, 3);
    toy_init(&twice, 400, 3);
    for (size_t i = 0; i < 200; i++) {
        once.weight[i] = i % 2 ? 3 : 1;
        size_t first = i % 2 ? 50 * 2 + (i / 2) * 3 : i / 2;  /* 100 single rows, then 100 three times */
        for (size_t k = 0; k < (i % 2 ? 3u : 1u); k++) {
            memcpy(twice.hlf + (first + k) * HLF_COUNT, once.hlf + i * HLF_COUNT, HLF_COUNT * sizeof(float));
            twice.label[first + k] = once.label[i];
        }
    }
    once.data.weight = once.weight;
    once.header.params.validation_fraction = twice.header.params.validation_fraction = 0;
    once.header.params.batch_size = 200;
    twice.header.params.batch_size = 400;
    struct trainer *a = toy_trainer(&once), *b = toy_trainer(&twice);
    struct epoch_report ra = toy_epochs(a, 3), rb = toy_epochs(b, 3);
    assert_true(fabs(ra.loss - rb.loss) < 1e-5);
    assert_true(fabs(ra.gradient_norm - rb.gradient_norm) < 1e-5);
    trainer_destroy(a);
    trainer_destroy(b);
    toy_fini(&once);
    toy_fini(&twice);
}

static void test_balanced_classes_weigh_the_same(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 900, 3);
    for (size_t i = 0; i < 900; i++)                          /* 750, 100, 50 */
        t.label[i] = i < 750 ? 0 : i < 850 ? 1 : 2;
    t.header.params.validation_fraction = 0;
    t.header.params.class_weights = 1;
    assert_string_equal(class_weight_names[1], "balanced");
    t.header.params.batch_size = 900;
    struct trainer *trainer = toy_trainer(&t);
    struct model *m = toy_model(trainer);
    float *p = mem_alloc(900 * 3 * sizeof *p);
    double loss[3] = {0};
    static const double n[3] = {750, 100, 50};
    model_predict_hlf(m, t.hlf, 900, p);
    for (size_t i = 0; i < 900; i++)
        loss[t.label[i]] -= log((double)p[i * 3 + (size_t)t.label[i]]) / n[t.label[i]];
    struct epoch_report r = toy_epochs(trainer, 1);
    assert_true(fabs(r.loss - (loss[0] + loss[1] + loss[2]) / 3) < 1e-5);
    mem_free(p);
    model_release(m);
    trainer_destroy(trainer);
    toy_fini(&t);
}

struct watched {
    int64_t polls, cancel_at, told, last_done, last_total;
};

static bool cancelled(void *ctx)
{
    struct watched *w = ctx;
    return ++w->polls == w->cancel_at;
}

static void progress(void *ctx, int64_t done, int64_t total)
{
    struct watched *w = ctx;
    assert_true(done > w->last_done && done <= total);
    w->told++;
    w->last_done = done;
    w->last_total = total;
}

static void test_the_host_is_told_progress_and_can_cancel(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    struct epoch_report r;
    struct watched w = {0};
    const struct train_watch watch = {cancelled, progress, &w};
    toy_init(&t, 40000, 3);
    t.header.params.validation_fraction = 0;
    struct trainer *trainer = toy_trainer(&t);
    assert_ok(trainer_epoch(trainer, &watch, &r, &e), &e);
    assert_int_equal(w.polls, (40000 + 127) / 128);
    assert_true(w.told >= 3 && w.told < 10);
    assert_int_equal(w.last_done, 40000);
    assert_int_equal(w.last_total, 40000);
    w = (struct watched){.cancel_at = 5};
    assert_status(trainer_epoch(trainer, &watch, &r, &e), STATUS_CANCELLED, &e);
    assert_contains(e.text, "epoch 2");
    assert_int_equal(w.polls, 5);
    assert_int_equal(trainer_epochs_done(trainer), 1);
    trainer_destroy(trainer);
    toy_fini(&t);
}

static void expect_run_away(float size, double rate, const char *where)
{
    struct toy t;
    struct error e;
    struct epoch_report r;
    toy_init(&t, 400, 3);
    for (size_t i = 0; i < 400 * HLF_COUNT; i++)
        t.hlf[i] = t.hlf[i] > 0 ? size : -size;
    t.header.params.validation_fraction = 0;
    t.header.params.learning_rate = rate;
    struct trainer *trainer = toy_trainer(&t);
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < 20; i++)
        s = trainer_epoch(trainer, NULL, &r, &e);
    assert_int_equal(s, STATUS_RANGE);
    assert_contains(e.text, where);
    trainer_destroy(trainer);
    toy_fini(&t);
}

static void test_numbers_that_run_away_are_reported_with_epoch_step_and_layer(void **state)
{
    (void)state;
    expect_run_away(3e38f, 1e-3, "epoch 1, step 1: layer 1 (dense)");     /* already the first sum overflows */
    expect_run_away(1e37f, 1, "epoch 1, step 1: the loss");               /* outputs are finite, their sum is not */
}

static void expect_refusal(const struct toy *t, enum status expected, const char *why)
{
    struct error e;
    struct trainer *trainer = (struct trainer *)1;
    assert_status(trainer_create(&t->header, &t->data, &trainer, &e), expected, &e);
    assert_null(trainer);
    assert_contains(e.text, why);
}

static void test_data_that_cannot_be_trained_with_is_refused(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 100, 3);
    t.data.n = 0;
    expect_refusal(&t, STATUS_ARGUMENT, "no events");
    t.data.n = 100;
    t.hlf[7 * HLF_COUNT + HLF_MET] = NAN;
    expect_refusal(&t, STATUS_ARGUMENT, "row 7: MET");
    t.hlf[7 * HLF_COUNT + HLF_MET] = INFINITY;
    expect_refusal(&t, STATUS_ARGUMENT, "row 7: MET");
    t.hlf[7 * HLF_COUNT + HLF_MET] = 1;
    t.label[8] = 3;
    expect_refusal(&t, STATUS_ARGUMENT, "row 8: label 3");
    t.label[8] = -1;
    expect_refusal(&t, STATUS_ARGUMENT, "row 8: label -1");
    t.label[8] = 2;
    t.data.weight = t.weight;
    t.weight[9] = -1;
    expect_refusal(&t, STATUS_ARGUMENT, "row 9: weight");
    t.weight[9] = NAN;
    expect_refusal(&t, STATUS_ARGUMENT, "row 9: weight");
    memset(t.weight, 0, 100 * sizeof *t.weight);
    expect_refusal(&t, STATUS_ARGUMENT, "0 classes");
    t.data.weight = NULL;
    for (size_t i = 0; i < 100; i++)
        t.label[i] = 1;
    expect_refusal(&t, STATUS_ARGUMENT, "1 classes");
    t.data.n = 1;
    expect_refusal(&t, STATUS_ARGUMENT, "classes");
    toy_fini(&t);
}

static void test_parameters_out_of_bounds_are_refused_by_name(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 100, 3);
    struct model_header good = t.header;
    t.header.params.epochs = 0;
    expect_refusal(&t, STATUS_RANGE, "/params/epochs");
    t.header = good;
    t.header.params.learning_rate = NAN;
    expect_refusal(&t, STATUS_RANGE, "/params/learning_rate");
    t.header = good;
    t.header.params.beta1 = 1;
    expect_refusal(&t, STATUS_RANGE, "/params/beta1");
    t.header = good;
    t.header.params.validation_fraction = 1;
    expect_refusal(&t, STATUS_RANGE, "/params/validation_fraction");
    t.header = good;
    TOY_HIDDEN(&t, 10, 1025);
    expect_refusal(&t, STATUS_RANGE, "/params/hidden/1");
    TOY_HIDDEN(&t, 0);
    expect_refusal(&t, STATUS_RANGE, "/params/hidden/0");
    TOY_HIDDEN(&t, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    expect_refusal(&t, STATUS_RANGE, "/params/hidden");
    t.header = good;
    t.header.recipe = "nobody-9";
    expect_refusal(&t, STATUS_UNSUPPORTED, "nobody-9");
    t.header = good;
    toy_classes(&t, 1);
    expect_refusal(&t, STATUS_ARGUMENT, "classes");
    toy_classes(&t, 65);
    expect_refusal(&t, STATUS_ARGUMENT, "classes");
    toy_classes(&t, 3);
    ((const char **)t.header.classes.items)[2] = "class1";
    expect_refusal(&t, STATUS_ARGUMENT, "class1");
    ((const char **)t.header.classes.items)[2] = "a\nb";
    expect_refusal(&t, STATUS_ARGUMENT, "class 2");
    t.header = good;
    t.header.scaler.hlf_shift.n_items = 13;
    expect_refusal(&t, STATUS_FORMAT, "hlf_shift");
    toy_fini(&t);
}

static void test_defaults_are_the_published_ones(void **state)
{
    (void)state;
    struct error e;
    struct train_params p;
    train_params_defaults(&p);
    assert_ok(train_params_check(&p, "", &e), &e);
    assert_string_equal(estimator_names[p.model], "hlf");
    assert_int_equal(p.batch_size, 128);
    assert_true(p.learning_rate == 1e-3 && p.beta1 == 0.9 && p.beta2 == 0.999 && p.epsilon == 1e-7);
    struct toy t;
    toy_init(&t, 50, 3);
    struct model *m = toy_train(&t, 0);
    assert_int_equal(model_header(m)->n_params, 2013);
    assert_true(isnan(model_header(m)->train_loss));
    model_release(m);
    toy_fini(&t);
}

static void test_held_out_rows_do_not_change_with_epochs_or_batches(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 2000, 3);
    t.header.params.validation_fraction = 0.3;
    struct trainer *a = toy_trainer(&t);
    t.header.params.epochs = 50;
    t.header.params.batch_size = 32;
    struct trainer *b = toy_trainer(&t);
    struct model *ma = toy_model(a), *mb = toy_model(b);
    assert_int_equal(model_header(ma)->n_train, model_header(mb)->n_train);
    assert_in_range(model_header(ma)->n_train, 1300, 1500);
    model_release(ma);
    model_release(mb);
    trainer_destroy(a);
    trainer_destroy(b);
    toy_fini(&t);
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 300, 3);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct error e;
        struct trainer *trainer = NULL;
        struct model *m = NULL;
        struct epoch_report r;
        enum status s = trainer_create(&t.header, &t.data, &trainer, &e);
        if (s == STATUS_OK)
            s = trainer_epoch(trainer, NULL, &r, &e);
        if (s == STATUS_OK)
            s = trainer_model(trainer, &m, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        if (failed)
            assert_null(m);
        model_release(m);
        trainer_destroy(trainer);
    }
    toy_fini(&t);
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
        cmocka_unit_test(test_an_exclusive_or_is_learned),
        cmocka_unit_test(test_many_classes_are_learned),
        cmocka_unit_test(test_the_same_seed_gives_the_same_bytes_and_another_does_not),
        cmocka_unit_test_teardown(test_all_kernels_train_the_same_bytes, all_levels_again),
        cmocka_unit_test(test_any_number_of_threads_trains_the_same_weights),
        cmocka_unit_test(test_partial_batches_and_odd_sizes_train),
        cmocka_unit_test(test_the_reported_loss_is_the_weighted_mean),
        cmocka_unit_test(test_weights_count_like_repeated_rows),
        cmocka_unit_test(test_balanced_classes_weigh_the_same),
        cmocka_unit_test(test_the_host_is_told_progress_and_can_cancel),
        cmocka_unit_test(test_numbers_that_run_away_are_reported_with_epoch_step_and_layer),
        cmocka_unit_test(test_data_that_cannot_be_trained_with_is_refused),
        cmocka_unit_test(test_parameters_out_of_bounds_are_refused_by_name),
        cmocka_unit_test(test_defaults_are_the_published_ones),
        cmocka_unit_test(test_held_out_rows_do_not_change_with_epochs_or_batches),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
