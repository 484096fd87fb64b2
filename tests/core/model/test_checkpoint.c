/* tests/core/model/test_checkpoint.c
 *
 * Interrupted training goes on with the same bits, and only where it belongs. */
#include "core/model.h"

#include "tests/core/model/toy.h"

static struct buf checkpoint_of(const struct trainer *trainer)
{
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 26);
    assert_ok(trainer_checkpoint(trainer, &b, &e), &e);
    return b;
}

static struct span span_of(const struct buf *b) { return (struct span){b->data, b->len}; }

static void test_restored_training_is_uninterrupted_training_bit_for_bit(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    toy_init(&t, 1500, 3);
    t.data.weight = t.weight;
    struct trainer *whole = toy_trainer(&t);
    toy_epochs(whole, 5);
    struct model *expected = toy_model(whole);
    struct buf bytes = toy_encode(expected);
    for (size_t k = 0; k <= 5; k++) {
        struct trainer *before = toy_trainer(&t), *after = toy_trainer(&t);
        toy_epochs(before, k);
        struct buf saved = checkpoint_of(before);
        trainer_destroy(before);
        toy_epochs(after, 1);                                 /* what is there before does not matter */
        assert_ok(trainer_restore(after, span_of(&saved), &e), &e);
        assert_int_equal(trainer_epochs_done(after), k);
        struct buf again = checkpoint_of(after);
        assert_int_equal(again.len, saved.len);
        assert_memory_equal(again.data, saved.data, saved.len);
        toy_epochs(after, 5 - k);
        struct model *m = toy_model(after);
        assert_string_equal(model_sha256(m), model_sha256(expected));
        model_release(m);
        trainer_destroy(after);
        buf_fini(&saved);
        buf_fini(&again);
    }
    buf_fini(&bytes);
    model_release(expected);
    trainer_destroy(whole);
    toy_fini(&t);
}

static bool cancel_second(void *ctx) { return ++*(int *)ctx == 2; }

static void test_a_cancelled_trainer_can_be_restored(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    struct epoch_report r;
    int polls = 0;
    const struct train_watch watch = {.cancelled = cancel_second, .ctx = &polls};
    toy_init(&t, 1000, 3);
    struct trainer *trainer = toy_trainer(&t);
    toy_epochs(trainer, 1);
    struct buf saved = checkpoint_of(trainer);
    assert_status(trainer_epoch(trainer, &watch, &r, &e), STATUS_CANCELLED, &e);
    assert_ok(trainer_restore(trainer, span_of(&saved), &e), &e);
    toy_epochs(trainer, 1);
    struct trainer *whole = toy_trainer(&t);
    toy_epochs(whole, 2);
    struct model *a = toy_model(trainer), *b = toy_model(whole);
    assert_string_equal(model_sha256(a), model_sha256(b));
    model_release(a);
    model_release(b);
    trainer_destroy(whole);
    trainer_destroy(trainer);
    buf_fini(&saved);
    toy_fini(&t);
}

static void test_more_epochs_and_other_threads_may_follow(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    toy_init(&t, 500, 3);
    struct trainer *before = toy_trainer(&t);
    toy_epochs(before, 1);
    struct buf saved = checkpoint_of(before);
    t.header.params.epochs = 99;
    t.header.params.threads = 2;
    struct trainer *after = toy_trainer(&t);
    assert_ok(trainer_restore(after, span_of(&saved), &e), &e);
    trainer_destroy(before);
    trainer_destroy(after);
    buf_fini(&saved);
    toy_fini(&t);
}

static void expect_conflict(const struct toy *t, const struct buf *saved)
{
    struct error e;
    struct trainer *other = toy_trainer(t);
    assert_status(trainer_restore(other, span_of(saved), &e), STATUS_CONFLICT, &e);
    assert_int_equal(trainer_epochs_done(other), 0);
    trainer_destroy(other);
}

static void test_a_checkpoint_of_other_data_or_parameters_is_refused(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 500, 3);
    struct trainer *trainer = toy_trainer(&t);
    toy_epochs(trainer, 1);
    struct buf saved = checkpoint_of(trainer);
    struct model_header good = t.header;
    t.header.params.seed = 3;
    expect_conflict(&t, &saved);
    t.header = good;
    t.header.params.batch_size = 64;
    expect_conflict(&t, &saved);
    t.header = good;
    TOY_HIDDEN(&t, 50, 20, 9);
    expect_conflict(&t, &saved);
    t.header = good;
    t.data.n = 499;
    expect_conflict(&t, &saved);
    t.data.n = 500;
    t.hlf[0] += 1;
    expect_conflict(&t, &saved);
    t.hlf[0] -= 1;
    t.data.weight = t.weight;
    expect_conflict(&t, &saved);
    trainer_destroy(trainer);
    buf_fini(&saved);
    toy_fini(&t);
}

static void test_damaged_checkpoints_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    toy_init(&t, 300, 3);
    struct trainer *trainer = toy_trainer(&t);
    toy_epochs(trainer, 2);
    struct buf saved = checkpoint_of(trainer), after;
    uint8_t *copy = mem_alloc(saved.len);
    for (size_t at = 0; at < saved.len; at += at < 700 ? 1 : 97) {
        memcpy(copy, saved.data, saved.len);
        copy[at] ^= 0x10;
        assert_status(trainer_restore(trainer, (struct span){copy, saved.len}, &e), STATUS_FORMAT, &e);
    }
    for (size_t n = 0; n < saved.len; n += n < 200 ? 1 : 997)
        assert_status(trainer_restore(trainer, (struct span){saved.data, n}, &e), STATUS_FORMAT, &e);
    /* with a right checksum: a moment that is not a number */
    memcpy(copy, saved.data, saved.len);
    memset(copy + saved.len - 64 - 4, 0xff, 4);
    toy_seal(copy, saved.len);
    assert_status(trainer_restore(trainer, (struct span){copy, saved.len}, &e), STATUS_FORMAT, &e);
    after = checkpoint_of(trainer);
    assert_memory_equal(after.data, saved.data, saved.len);
    mem_free(copy);
    buf_fini(&saved);
    buf_fini(&after);
    trainer_destroy(trainer);
    toy_fini(&t);
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct toy t;
    toy_init(&t, 300, 3);
    struct trainer *trainer = toy_trainer(&t);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct error e;
        struct buf b;
        buf_init(&b, 1 << 26);
        enum status s = trainer_checkpoint(trainer, &b, &e);
        if (s == STATUS_OK)
            s = trainer_restore(trainer, span_of(&b), &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        buf_fini(&b);
    }
    trainer_destroy(trainer);
    toy_fini(&t);
}

/* Its text says that an epoch was kept which this fit never keeps. */
static void test_a_best_epoch_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    toy_init(&t, 300, 3);
    struct trainer *trainer = toy_trainer(&t);
    toy_epochs(trainer, 1);
    struct buf saved = checkpoint_of(trainer);
    char *at = memmem(saved.data, saved.len, "best_epoch = 0", 14);
    assert_non_null(at);
    at[13] = '1';
    toy_seal(saved.data, saved.len);
    assert_status(trainer_restore(trainer, span_of(&saved), &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "is the best of");
    trainer_destroy(trainer);
    buf_fini(&saved);
    toy_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restored_training_is_uninterrupted_training_bit_for_bit),
        cmocka_unit_test(test_a_cancelled_trainer_can_be_restored),
        cmocka_unit_test(test_more_epochs_and_other_threads_may_follow),
        cmocka_unit_test(test_a_checkpoint_of_other_data_or_parameters_is_refused),
        cmocka_unit_test(test_damaged_checkpoints_are_refused_and_change_nothing),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
        cmocka_unit_test(test_a_best_epoch_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
