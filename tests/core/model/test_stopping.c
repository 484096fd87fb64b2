/* tests/core/model/test_stopping.c
 *
 * Early stopping, the best epoch's parameters, validation sets and weights of classes; and that a fit with all of it goes
 * on from a checkpoint with the same bits. */
#include "core/model.h"

#include "tests/core/model/toy.h"

static struct span span_of(const struct buf *b) { return (struct span){b->data, b->len}; }

/* Learns noise: labels that the features do not tell, so that the held-out loss soon rises. */
static void overfitting(struct toy *t)
{
    toy_init(t, 600, 3);
    struct rng r = rng_stream(8, 8);
    for (size_t i = 0; i < 600; i++)
        t->label[i] = (int32_t)(rng_f64(&r) < 0.6 ? i % 3 : rng_below(&r, 3));
    t->header.params.learning_rate = 0.01;
    t->header.params.validation_fraction = 0.3;
    t->header.params.epochs = 40;
}

/* Runs until it stops, `most` epochs at most. */
static struct train_outcome run(struct trainer *t, size_t most)
{
    for (size_t i = 0; i < most && !trainer_outcome(t).stopped; i++)
        toy_epochs(t, 1);
    return trainer_outcome(t);
}

static void test_the_model_is_that_of_the_best_epoch(void **state)
{
    (void)state;
    struct toy t;
    overfitting(&t);
    t.header.params.patience = 3;
    struct trainer *trainer = toy_trainer(&t);
    struct train_outcome o = run(trainer, 40);
    assert_true(o.stopped && o.best_epoch > 0);
    assert_int_equal(trainer_epochs_done(trainer), o.best_epoch + 3);
    struct model *kept = toy_model(trainer);
    const struct model_header *h = model_header(kept);
    assert_int_equal(h->best_epoch, o.best_epoch);
    assert_true(h->stopped_early && h->val_loss == o.best);
    assert_int_equal(h->epochs_done, o.best_epoch + 3);

    t.header.params.patience = 0;                             /* the same fit, cut at that epoch */
    struct trainer *plain = toy_trainer(&t);
    toy_epochs(plain, (size_t)o.best_epoch);
    struct model *expected = toy_model(plain);
    assert_int_equal(model_header(expected)->best_epoch, 0);
    float a[300], b[300];
    model_predict_hlf(kept, t.hlf, 100, a);
    model_predict_hlf(expected, t.hlf, 100, b);
    assert_memory_equal(a, b, sizeof a);
    model_release(kept);
    model_release(expected);
    trainer_destroy(trainer);
    trainer_destroy(plain);
    toy_fini(&t);
}

/* All that a checkpoint has to hold; killed and restored behind every epoch. */
static void resume_everywhere(struct toy *t)
{
    struct error e;
    struct trainer *whole = toy_trainer(t);
    struct train_outcome o = run(whole, 12);
    int64_t n = trainer_epochs_done(whole);
    struct model *expected = toy_model(whole);
    struct trainer *pieces = toy_trainer(t);
    for (int64_t k = 0; k < n; k++) {
        struct buf saved;
        toy_epochs(pieces, 1);
        buf_init(&saved, 1 << 24);
        assert_ok(trainer_checkpoint(pieces, &saved, &e), &e);
        trainer_destroy(pieces);
        pieces = toy_trainer(t);
        assert_ok(trainer_restore(pieces, span_of(&saved), &e), &e);
        buf_fini(&saved);
    }
    struct model *m = toy_model(pieces);
    assert_int_equal(trainer_outcome(pieces).stopped, o.stopped);
    assert_string_equal(model_sha256(m), model_sha256(expected));
    model_release(m);
    model_release(expected);
    trainer_destroy(pieces);
    trainer_destroy(whole);
}

static void test_every_optimiser_and_schedule_goes_on_with_the_same_bits(void **state)
{
    (void)state;
    static const enum schedule schedules[] = {SCHEDULE_STEP, SCHEDULE_EXPONENTIAL, SCHEDULE_COSINE, SCHEDULE_PLATEAU};
    for (size_t i = 0; i < 2 * ARRAY_LEN(schedules); i++) {
        struct toy t;
        overfitting(&t);
        struct train_params *p = &t.header.params;
        p->optimizer = i % 2 ? OPTIMIZER_SGD : OPTIMIZER_ADAM;
        p->nesterov = i % 4 == 1;
        p->schedule = (int)schedules[i / 2];
        p->schedule_epochs = 2;
        p->epochs = 12;
        p->warmup_epochs = i % 3;
        p->weight_decay = 0.1;
        p->clip_norm = 0.3;
        p->patience = 4;
        p->monitor = (int)(i % 3);
        resume_everywhere(&t);
        toy_fini(&t);
    }
}

static void test_a_cosine_over_other_epochs_is_another_fit(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    overfitting(&t);
    t.header.params.schedule = SCHEDULE_COSINE;
    struct trainer *a = toy_trainer(&t);
    struct buf saved;
    buf_init(&saved, 1 << 24);
    toy_epochs(a, 1);
    assert_ok(trainer_checkpoint(a, &saved, &e), &e);
    t.header.params.epochs++;
    struct trainer *b = toy_trainer(&t);
    assert_status(trainer_restore(b, span_of(&saved), &e), STATUS_CONFLICT, &e);
    trainer_destroy(a);
    trainer_destroy(b);
    buf_fini(&saved);
    toy_fini(&t);
}

static void test_a_validation_set_is_watched_and_not_learned_from(void **state)
{
    (void)state;
    struct toy t, v;
    struct error e;
    toy_init(&t, 500, 3);
    toy_init(&v, 200, 3);
    for (size_t i = 0; i < 200; i++)
        v.label[i] = (v.label[i] + 1) % 3;                    /* wrong everywhere */
    t.header.params.learning_rate = 0.01;
    const struct train_input input = {.data = &t.data, .validation = &v.data};
    struct trainer *with, *without;
    assert_ok(trainer_create_from(&t.header, &input, &with, &e), &e);
    t.header.params.validation_fraction = 0;
    without = toy_trainer(&t);
    struct epoch_report a = toy_epochs(with, 20), b = toy_epochs(without, 20);
    assert_true(a.loss == b.loss && a.accuracy > 0.9);
    assert_true(a.val_accuracy < 0.1 && a.val_loss > a.loss && a.val_auc < 0.5);
    assert_true(isnan(b.val_loss) && isnan(b.val_auc));
    struct model *ma = toy_model(with), *mb = toy_model(without);
    assert_int_equal(model_header(ma)->n_train, 500);
    float p[30], q[30];
    model_predict_hlf(ma, t.hlf, 10, p);
    model_predict_hlf(mb, t.hlf, 10, q);
    assert_memory_equal(p, q, sizeof p);
    model_release(ma);
    model_release(mb);
    trainer_destroy(with);
    trainer_destroy(without);
    v.hlf[5 * HLF_COUNT] = NAN;
    assert_status(trainer_create_from(&t.header, &input, &with, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "validation dataset");
    assert_contains(e.text, "row 5");
    toy_fini(&t);
    toy_fini(&v);
}

static void test_the_learning_rate_is_reported(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 256, 3);
    t.header.params.validation_fraction = 0;
    t.header.params.schedule = SCHEDULE_STEP;
    t.header.params.schedule_epochs = 1;
    t.header.params.schedule_factor = 0.5;
    struct trainer *trainer = toy_trainer(&t);
    for (double rate = 1e-3; rate > 1e-4; rate /= 2)
        assert_true(toy_epochs(trainer, 1).learning_rate == rate);
    trainer_destroy(trainer);
    toy_fini(&t);
}

/* The first loss of one batch is that of the starting weights: it can be recomputed. */
static void test_custom_weights_of_classes_weigh_the_loss(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 300, 3);
    struct field_pair pairs[] = {{"class2", 5}, {"class0", 0.5}};
    static const double weight[] = {0.5, 1, 5};
    t.header.params.class_weights = CLASS_WEIGHTS_CUSTOM;
    t.header.params.class_weight = (struct field_list){pairs, 2};
    t.header.params.validation_fraction = 0;
    t.header.params.batch_size = 300;
    struct trainer *trainer = toy_trainer(&t);
    struct model *m = toy_model(trainer);
    float *p = mem_alloc(300 * 3 * sizeof *p);
    double loss = 0, sum = 0;
    model_predict_hlf(m, t.hlf, 300, p);
    for (size_t i = 0; i < 300; i++) {
        loss -= weight[t.label[i]] * log((double)p[i * 3 + (size_t)t.label[i]]);
        sum += weight[t.label[i]];
    }
    assert_true(fabs(toy_epochs(trainer, 1).loss - loss / sum) < 1e-5);
    mem_free(p);
    model_release(m);
    trainer_destroy(trainer);
    toy_fini(&t);
}

static void refused(const struct toy *t, const char *why)
{
    struct error e;
    struct trainer *trainer;
    assert_status(trainer_create(&t->header, &t->data, &trainer, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, why);
}

static void test_weights_of_classes_that_do_not_exist_are_refused_with_those_that_do(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 100, 3);
    struct field_pair pairs[] = {{"class1", 2}, {"top", 1}};
    struct train_params *p = &t.header.params;
    p->class_weight = (struct field_list){pairs, 2};
    refused(&t, "class_weights is custom");
    p->class_weights = CLASS_WEIGHTS_CUSTOM;
    refused(&t, "/params/class_weight/top: there is no such class; there are class0, class1, class2");
    p->class_weight.n_items = 0;
    refused(&t, "name a class");
    struct field_pair zeros[] = {{"class1", 0}, {"class2", 0}};
    p->class_weight = (struct field_list){zeros, 2};
    refused(&t, "leaves weight to 1 classes");
    p->class_weights = CLASS_WEIGHTS_NATURAL;
    p->class_weight.n_items = 0;
    p->validation_fraction = 0;
    p->patience = 2;
    refused(&t, "/params/patience");
    toy_fini(&t);
}

static void test_steps_that_run_away_are_named_with_every_optimiser(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct toy t;
        struct error e;
        struct epoch_report r;
        toy_init(&t, 400, 3);
        t.header.params.optimizer = i;
        t.header.params.learning_rate = 1;
        t.header.params.weight_decay = 100;                   /* each step multiplies by -99 */
        struct trainer *trainer = toy_trainer(&t);
        enum status s = STATUS_OK;
        for (size_t k = 0; s == STATUS_OK && k < 30; k++)
            s = trainer_epoch(trainer, NULL, &r, &e);
        assert_int_equal(s, STATUS_RANGE);
        assert_contains(e.text, "step");
        assert_contains(e.text, "no longer finite");
        trainer_destroy(trainer);
        toy_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_model_is_that_of_the_best_epoch),
        cmocka_unit_test(test_every_optimiser_and_schedule_goes_on_with_the_same_bits),
        cmocka_unit_test(test_a_cosine_over_other_epochs_is_another_fit),
        cmocka_unit_test(test_a_validation_set_is_watched_and_not_learned_from),
        cmocka_unit_test(test_the_learning_rate_is_reported),
        cmocka_unit_test(test_custom_weights_of_classes_weigh_the_loss),
        cmocka_unit_test(test_weights_of_classes_that_do_not_exist_are_refused_with_those_that_do),
        cmocka_unit_test(test_steps_that_run_away_are_named_with_every_optimiser),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
