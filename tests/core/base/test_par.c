/* tests/core/base/test_par.c */
#include "tests/support/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* ---- par_for ----------------------------------------------------------------------------------------- */

struct visits {
    atomic_int counts[5000];
    atomic_size_t thread_seen[16];
    pthread_t caller;
    atomic_bool elsewhere;
    size_t fail_from, fail_step;                              /* fails at fail_from + k * fail_step */
    atomic_size_t n_calls;
};

static enum status visit(void *ctx, size_t i, size_t thread, struct error *e)
{
    struct visits *v = ctx;
    v->counts[i]++;
    v->n_calls++;
    v->thread_seen[thread]++;
    if (!pthread_equal(pthread_self(), v->caller))
        v->elsewhere = true;
    if (v->fail_step > 0 && i >= v->fail_from && (i - v->fail_from) % v->fail_step == 0)
        return error_set(e, STATUS_FORMAT, "item %zu", i);
    return STATUS_OK;
}

static void test_each_index_is_visited_once_whatever_the_threads(void **state)
{
    (void)state;
    for (size_t threads = 0; threads <= 16; threads = 2 * threads + 1) {
        static struct visits v;
        struct error e;
        memset(&v, 0, sizeof v);
        v.caller = pthread_self();
        assert_ok(par_for(threads, 5000, visit, &v, &e), &e);
        for (size_t i = 0; i < 5000; i++)
            assert_int_equal(v.counts[i], 1);
        for (size_t t = threads ? threads : 1; t < 16; t++)
            assert_int_equal(v.thread_seen[t], 0);
        assert_true(threads > 1 || !v.elsewhere);
    }
}

static void test_one_thread_runs_in_order_on_the_calling_thread(void **state)
{
    (void)state;
    static struct visits v;
    struct error e;
    v = (struct visits){.caller = pthread_self(), .fail_from = 10, .fail_step = 1};
    assert_status(par_for(1, 100, visit, &v, &e), STATUS_FORMAT, &e);
    assert_string_equal(e.text, "item 10");
    assert_int_equal(v.n_calls, 11);
    assert_false(v.elsewhere);
}

static void test_the_lowest_failing_index_is_reported_and_the_rest_not_started(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        static struct visits v;
        struct error e;
        memset(&v, 0, sizeof v);
        v.caller = pthread_self();
        v.fail_from = 37 + (size_t)round;
        v.fail_step = 3;
        assert_status(par_for(8, 5000, visit, &v, &e), STATUS_FORMAT, &e);
        char text[32];
        snprintf(text, sizeof text, "item %zu", v.fail_from);
        assert_string_equal(e.text, text);
        for (size_t i = 0; i <= v.fail_from; i++)
            assert_int_equal(v.counts[i], 1);
    }
}

static void test_nothing_to_do_is_done(void **state)
{
    (void)state;
    struct error e;
    assert_ok(par_for(8, 0, visit, NULL, &e), &e);
    assert_true(par_cores() >= 1);
}

static void test_threads_that_cannot_be_paid_for_are_an_error(void **state)
{
    (void)state;
    static struct visits v;
    struct error e;
    assert_true(alloc_fail_begin(1));
    enum status s = par_for(4, 10, visit, &v, &e);
    assert_true(alloc_fail_end());
    assert_int_equal(s, STATUS_NOMEM);
}

/* ---- par_pipeline ------------------------------------------------------------------------------------ */

enum { SLOTS_MAX = 8, ITEMS_MAX = 3000 };

struct stages {
    size_t n_items, n_slots;
    size_t n_read, n_written;
    uint64_t slot_value[SLOTS_MAX], slot_serial[SLOTS_MAX];
    atomic_bool reading, writing, slot_busy[SLOTS_MAX], broken;
    size_t fail_read, fail_compute, fail_write;               /* serial that fails, SIZE_MAX: none */
    size_t fail_compute_too;
    uint64_t out[ITEMS_MAX];
};

static void use_slot(struct stages *s, size_t slot)
{
    if (slot >= s->n_slots || atomic_exchange(&s->slot_busy[slot], true))
        s->broken = true;
}

static void leave_slot(struct stages *s, size_t slot)
{
    atomic_store(&s->slot_busy[slot], false);
}

static enum status read_item(void *ctx, size_t slot, bool *end, struct error *e)
{
    struct stages *s = ctx;
    if (atomic_exchange(&s->reading, true))
        s->broken = true;
    use_slot(s, slot);
    enum status status = STATUS_OK;
    if (s->n_read == s->fail_read)
        status = error_set(e, STATUS_IO, "read %zu", s->n_read);
    else if (s->n_read == s->n_items)
        *end = true;
    else
        s->slot_serial[slot] = s->slot_value[slot] = s->n_read++;
    leave_slot(s, slot);
    s->reading = false;
    return status;
}

static enum status compute_item(void *ctx, size_t slot, size_t thread, struct error *e)
{
    struct stages *s = ctx;
    (void)thread;
    use_slot(s, slot);
    uint64_t serial = s->slot_serial[slot];
    for (uint64_t i = 0; i < hash64(&serial, 8, 1) % 4; i++)
        sched_yield();                                        /* items overtake each other */
    s->slot_value[slot] = hash64(&s->slot_value[slot], 8, 2);
    leave_slot(s, slot);
    if (serial == s->fail_compute || serial == s->fail_compute_too)
        return error_set(e, STATUS_FORMAT, "compute %zu", (size_t)serial);
    return STATUS_OK;
}

static enum status write_item(void *ctx, size_t slot, struct error *e)
{
    struct stages *s = ctx;
    if (atomic_exchange(&s->writing, true))
        s->broken = true;
    use_slot(s, slot);
    enum status status = STATUS_OK;
    if (s->slot_serial[slot] != s->n_written)
        s->broken = true;
    if (s->n_written == s->fail_write)
        status = error_set(e, STATUS_NOSPACE, "write %zu", s->n_written);
    else
        s->out[s->n_written++] = s->slot_value[slot];
    leave_slot(s, slot);
    s->writing = false;
    return status;
}

static const struct par_stage_fns fns = {read_item, compute_item, write_item};
static struct stages stages;

static void reset(size_t n_items, size_t n_slots)
{
    memset(&stages, 0, sizeof stages);
    stages.n_items = n_items;
    stages.n_slots = n_slots;
    stages.fail_read = stages.fail_compute = stages.fail_compute_too = stages.fail_write = SIZE_MAX;
}

static void test_a_pipeline_gives_the_same_bytes_whatever_the_threads(void **state)
{
    (void)state;
    static uint64_t expected[ITEMS_MAX];
    struct error e;
    reset(ITEMS_MAX, 3);
    assert_ok(par_pipeline(1, 3, &fns, &stages, &e), &e);
    assert_int_equal(stages.n_written, ITEMS_MAX);
    memcpy(expected, stages.out, sizeof expected);
    for (size_t threads = 0; threads <= 8; threads++)
        for (size_t n_slots = 1; n_slots <= SLOTS_MAX; n_slots += 2) {
            reset(ITEMS_MAX, n_slots);
            assert_ok(par_pipeline(threads, n_slots, &fns, &stages, &e), &e);
            assert_false(stages.broken);
            assert_int_equal(stages.n_written, ITEMS_MAX);
            assert_memory_equal(stages.out, expected, sizeof expected);
        }
}

static void test_an_empty_pipeline_ends(void **state)
{
    (void)state;
    struct error e;
    for (size_t threads = 1; threads <= 8; threads++)
        for (size_t n_items = 0; n_items <= 2; n_items++) {
            reset(n_items, 4);
            assert_ok(par_pipeline(threads, 4, &fns, &stages, &e), &e);
            assert_int_equal(stages.n_written, n_items);
        }
}

static void run_failing(size_t threads, size_t fail_read, size_t fail_compute, size_t too, size_t fail_write,
                        struct error *e)
{
    reset(1000, 5);
    stages.fail_read = fail_read;
    stages.fail_compute = fail_compute;
    stages.fail_compute_too = too;
    stages.fail_write = fail_write;
    assert_int_not_equal(par_pipeline(threads, 5, &fns, &stages, e), STATUS_OK);
    assert_false(stages.broken);
}

static void test_the_first_failing_item_decides_and_all_before_it_are_written(void **state)
{
    (void)state;
    struct error e;
    for (int round = 0; round < 50; round++)
        for (size_t threads = 1; threads <= 8; threads *= 2) {
            run_failing(threads, 100, SIZE_MAX, SIZE_MAX, SIZE_MAX, &e);
            assert_string_equal(e.text, "read 100");
            assert_int_equal(stages.n_written, 100);
            run_failing(threads, SIZE_MAX, 200, 202, SIZE_MAX, &e);
            assert_string_equal(e.text, "compute 200");
            assert_int_equal(e.status, STATUS_FORMAT);
            assert_int_equal(stages.n_written, 200);
            run_failing(threads, SIZE_MAX, SIZE_MAX, SIZE_MAX, 300, &e);
            assert_string_equal(e.text, "write 300");
            assert_int_equal(stages.n_written, 300);
            run_failing(threads, 52, 51, SIZE_MAX, 50, &e);   /* found in the other order by many threads */
            assert_string_equal(e.text, "write 50");
            assert_int_equal(stages.n_written, 50);
            run_failing(threads, 0, SIZE_MAX, SIZE_MAX, SIZE_MAX, &e);
            assert_string_equal(e.text, "read 0");
            assert_int_equal(stages.n_written, 0);
        }
}

static void test_a_pipeline_without_memory_is_an_error(void **state)
{
    (void)state;
    struct error e;
    size_t n_failed = 0;
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        reset(10, 4);
        enum status s = par_pipeline(4, 4, &fns, &stages, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        n_failed += failed;
    }
    assert_int_equal(n_failed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_index_is_visited_once_whatever_the_threads),
        cmocka_unit_test(test_one_thread_runs_in_order_on_the_calling_thread),
        cmocka_unit_test(test_the_lowest_failing_index_is_reported_and_the_rest_not_started),
        cmocka_unit_test(test_nothing_to_do_is_done),
        cmocka_unit_test(test_threads_that_cannot_be_paid_for_are_an_error),
        cmocka_unit_test(test_a_pipeline_gives_the_same_bytes_whatever_the_threads),
        cmocka_unit_test(test_an_empty_pipeline_ends),
        cmocka_unit_test(test_the_first_failing_item_decides_and_all_before_it_are_written),
        cmocka_unit_test(test_a_pipeline_without_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
