/* tests/core/model/test_schedule.c
 *
 * Learning rates against PyTorch's schedules (tests/parity/torch_optim.py), and what ends a fit. */
#include "core/model/train_schedule.h"

#include "tests/core/model/toy.h"
#include "tests/support/support.h"

static struct npy fixture(const char *name)
{
    struct error e;
    struct npy a;
    char path[128];
    snprintf(path, sizeof path, "tests/fixtures/nn/optim_%s.npy", name);
    assert_ok(npy_load(path, &a, &e), &e);
    return a;
}

static struct train_params params_of(enum schedule schedule)
{
    struct train_params p;
    train_params_defaults(&p);
    p.schedule = (int)schedule;
    p.learning_rate = 0.05;
    return p;
}

/* `steps` an epoch; the file has one number for each of them, or one an epoch. */
static void compare(const struct train_params *p, const char *name, size_t steps, bool each_step)
{
    struct npy expected = fixture(name);
    struct fit_state s;
    fit_state_init(&s);
    for (size_t i = 0; i < expected.n; i++) {
        size_t in_epoch = each_step ? i % steps : 0;
        s.epochs_done = (int64_t)(each_step ? i / steps : i);
        double rate = schedule_rate(p, &s, in_epoch * 10, 10, steps * 10);
        if (!(fabs(rate / npy_value(&expected, i) - 1) < 1e-12))
            fail_msg("%s: number %zu: %.17g, PyTorch has %.17g", name, i, rate, npy_value(&expected, i));
        s.steps++;
    }
    npy_free(&expected);
}

static void test_schedules_are_those_of_pytorch(void **state)
{
    (void)state;
    struct train_params p = params_of(SCHEDULE_COSINE);
    p.epochs = 12;
    p.learning_rate_min = 0.001;
    compare(&p, "rate_cosine", 5, true);
    p = params_of(SCHEDULE_STEP);
    p.schedule_factor = 0.3;
    p.schedule_epochs = 4;
    compare(&p, "rate_step", 5, false);
    p = params_of(SCHEDULE_EXPONENTIAL);
    p.schedule_factor = 0.8;
    compare(&p, "rate_exponential", 5, false);
    p = params_of(SCHEDULE_CONSTANT);
    p.warmup_steps = 7;
    compare(&p, "rate_warm", 3, true);
}

static void test_a_warm_up_in_epochs_is_one_in_their_steps(void **state)
{
    (void)state;
    struct train_params epochs = params_of(SCHEDULE_COSINE), steps = epochs;
    struct fit_state s;
    epochs.epochs = steps.epochs = 5;
    epochs.warmup_epochs = 2;
    steps.warmup_steps = 16;
    fit_state_init(&s);
    for (size_t i = 0; i < 40; i++, s.steps++) {
        s.epochs_done = (int64_t)i / 8;
        double a = schedule_rate(&epochs, &s, i % 8 * 32, 32, 256), b = schedule_rate(&steps, &s, i % 8 * 32, 32, 256);
        assert_true(fabs(a - b) < 1e-15);
        assert_true(i >= 15 || a < 0.05 * (double)(i + 1) / 16 + 1e-15);
    }
}

static void test_a_plateau_lowers_the_rate_as_in_pytorch(void **state)
{
    (void)state;
    struct npy losses = fixture("losses"), expected = fixture("rate_plateau");
    struct train_params p = params_of(SCHEDULE_PLATEAU);
    struct fit_state s;
    p.schedule_epochs = 3;
    p.min_delta = 0.01;
    fit_state_init(&s);
    for (size_t i = 0; i < losses.n; i++) {
        const struct epoch_report r = {.val_loss = npy_value(&losses, i)};
        s.epochs_done++;
        assert_false(schedule_epoch_ended(&p, &s, &r));
        assert_true(schedule_rate(&p, &s, 0, 1, 1) == npy_value(&expected, i));
    }
    assert_true(s.factor < 0.1);
    npy_free(&losses);
    npy_free(&expected);
}

/* Values of an epoch's monitored figure; returns the epoch behind which the fit ends. */
static int64_t end_of(struct train_params *p, const double *values, size_t n, struct fit_state *s)
{
    fit_state_init(s);
    for (size_t i = 0; i < n && !s->stopped; i++) {
        const struct epoch_report r = {.loss = (double)i, .val_loss = values[i], .val_accuracy = values[i],
                                       .val_auc = values[i]};
        s->epochs_done++;
        bool best = schedule_epoch_ended(p, s, &r);
        assert_true(best == (s->best_epoch == s->epochs_done));
    }
    return s->epochs_done;
}

static void test_a_fit_ends_when_patience_runs_out(void **state)
{
    (void)state;
    static const double falling[] = {5, 4, 4.5, 3, 3.5, 2.95, 4, 1}, rising[] = {0.1, 0.5, 0.4, 0.45, 0.6, 0.7};
    struct train_params p = params_of(SCHEDULE_CONSTANT);
    struct fit_state s;
    p.patience = 2;
    assert_int_equal(end_of(&p, falling, ARRAY_LEN(falling), &s), 8);
    assert_int_equal(s.best_epoch, 8);
    assert_false(s.stopped);
    p.min_delta = 0.1;                                        /* 2.95 is then no gain over 3 */
    assert_int_equal(end_of(&p, falling, ARRAY_LEN(falling), &s), 6);
    assert_true(s.stopped && s.best == 3 && s.best_epoch == 4 && s.best_train_loss == 3 && s.best_val_loss == 3);
    p.min_delta = 0;
    for (p.monitor = MONITOR_VAL_ACCURACY; p.monitor <= MONITOR_VAL_AUC; p.monitor++) {
        assert_int_equal(end_of(&p, rising, ARRAY_LEN(rising), &s), 4);
        assert_true(s.stopped && s.best == 0.5 && s.best_epoch == 2);
    }
    p.monitor = MONITOR_VAL_AUC;
    p.patience = 0;
    p.keep_best = true;
    assert_int_equal(end_of(&p, rising, ARRAY_LEN(rising), &s), 6);
    assert_true(!s.stopped && s.best_epoch == 6);
}

static void test_what_is_not_a_number_is_no_gain(void **state)
{
    (void)state;
    static const double values[] = {NAN, 1, NAN, NAN, 0.5};
    struct train_params p = params_of(SCHEDULE_CONSTANT);
    struct fit_state s;
    p.patience = 2;
    assert_int_equal(end_of(&p, values, ARRAY_LEN(values), &s), 4);
    assert_int_equal(s.best_epoch, 2);
}

static void refused(const struct train_params *p, enum status expected, const char *why)
{
    struct error e;
    assert_status(train_params_check(p, "/params", &e), expected, &e);
    assert_contains(e.text, why);
}

static void test_settings_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct error e;
    struct train_params p = params_of(SCHEDULE_COSINE);
    p.learning_rate_min = 0.1;
    refused(&p, STATUS_RANGE, "/params/learning_rate_min");
    p = params_of(SCHEDULE_CONSTANT);
    p.warmup_epochs = p.warmup_steps = 1;
    refused(&p, STATUS_ARGUMENT, "/params/warmup_steps");
    p = params_of(SCHEDULE_CONSTANT);
    p.optimizer = OPTIMIZER_SGD;
    p.nesterov = true;
    p.momentum = 0;
    refused(&p, STATUS_ARGUMENT, "/params/nesterov");
    p = params_of(SCHEDULE_PLATEAU);
    assert_ok(train_params_check_watch(&p, true, &e), &e);
    assert_status(train_params_check_watch(&p, false, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "/params/schedule");
    p = params_of(SCHEDULE_CONSTANT);
    p.patience = 1;
    assert_status(train_params_check_watch(&p, false, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "validation_fraction");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules_are_those_of_pytorch),
        cmocka_unit_test(test_a_warm_up_in_epochs_is_one_in_their_steps),
        cmocka_unit_test(test_a_plateau_lowers_the_rate_as_in_pytorch),
        cmocka_unit_test(test_a_fit_ends_when_patience_runs_out),
        cmocka_unit_test(test_what_is_not_a_number_is_no_gain),
        cmocka_unit_test(test_settings_that_contradict_each_other_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
