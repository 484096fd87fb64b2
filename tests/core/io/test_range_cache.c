/* tests/core/io/test_range_cache.c
 *
 * The cache over a source that counts, may fail, and checks what it is asked for. */
#include "core/io/range_cache.h"

#include "tests/support/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 64, FILE_BYTES = 200 * BLOCK + 17 };

static uint8_t content[FILE_BYTES];

struct behind {
    struct source base;
    atomic_size_t n_calls, n_blocks, fail_calls;   /* fail_calls: so many calls from now on fail */
    atomic_size_t fetched[FILE_BYTES / BLOCK + 1]; /* how often each block was */
    atomic_bool held;                              /* calls wait while it is set */
    atomic_size_t n_waiting;
    unsigned fail_one_in, delay_us;
};

static enum status read_behind(struct source *s, const struct source_range *ranges, size_t n, struct error *e)
{
    struct behind *b = (struct behind *)s;
    size_t call = b->n_calls++;
    b->n_waiting++;
    while (b->held) {
        TRY(source_check_cancel(&s->cancel, e));
        usleep(100);
    }
    b->n_waiting--;
    usleep(b->delay_us);
    if (b->fail_calls > 0 && b->fail_calls-- > 0)
        return error_set(e, STATUS_REMOTE, "call %zu fails", call);
    if (b->fail_one_in > 0 && hash64(&call, sizeof call, 1) % b->fail_one_in == 0)
        return error_set(e, STATUS_REMOTE, "call %zu fails", call);
    for (size_t i = 0; i < n; i++) {
        size_t block = ranges[i].offset / BLOCK;
        assert_int_equal(ranges[i].offset % BLOCK, 0);
        assert_true(ranges[i].len <= BLOCK && ranges[i].offset + ranges[i].len <= FILE_BYTES);
        memcpy(ranges[i].dst, content + ranges[i].offset, ranges[i].len);
        b->fetched[block]++;
        b->n_blocks++;
        s->n_bytes += ranges[i].len;
    }
    s->n_requests++;
    return STATUS_OK;
}

static void close_behind(struct source *s)
{
    (void)s; /* the test's */
}

static const struct source_ops behind_ops = {.read_ranges = read_behind, .close = close_behind};

static struct source *open_cache(struct behind *b, size_t n_blocks, bool read_ahead)
{
    struct range_cache_options o = {
        .block_bytes = BLOCK, .cache_bytes = n_blocks * BLOCK, .no_read_ahead = !read_ahead};
    struct source *s;
    struct error e;
    memset(b, 0, sizeof *b);
    b->base.ops = &behind_ops;
    b->base.size = FILE_BYTES;
    snprintf(b->base.name, sizeof b->base.name, "behind");
    assert_ok(range_cache_open(&b->base, &o, &s, &e), &e);
    return s;
}

static int make_content(void **state)
{
    (void)state;
    struct rng r = rng_stream(11, 0);
    for (size_t i = 0; i < FILE_BYTES; i++)
        content[i] = (uint8_t)rng_u64(&r);
    return 0;
}

static void assert_range(struct source *s, size_t offset, size_t len)
{
    struct error e;
    uint8_t data[FILE_BYTES];
    assert_ok(source_read(s, offset, data, len, &e), &e);
    assert_memory_equal(data, content + offset, len);
}

static void test_a_block_is_fetched_once(void **state)
{
    (void)state;
    struct behind b;
    struct source *s = open_cache(&b, 400, false);
    for (size_t i = 0; i < 3; i++)
        for (size_t at = 0; at + 50 <= FILE_BYTES; at += 37)
            assert_range(s, at, 50);
    assert_int_equal(source_counters(s).bytes, FILE_BYTES);
    assert_int_equal(b.n_blocks, 201);
    source_close(s);
}

static void test_missing_blocks_of_a_read_come_in_one_call(void **state)
{
    (void)state;
    struct behind b;
    struct error e;
    uint8_t data[3][20];
    struct source *s = open_cache(&b, 400, false);
    assert_range(s, 10 * BLOCK, 1);
    assert_range(s, 8 * BLOCK, 5 * BLOCK);
    assert_int_equal(b.n_calls, 2);
    assert_int_equal(b.n_blocks, 5);
    struct source_range ranges[] = {
        {150 * BLOCK, 20, data[0]}, {9 * BLOCK, 20, data[1]}, {100 * BLOCK - 10, 20, data[2]}};
    assert_ok(source_read_ranges(s, ranges, 3, &e), &e);
    assert_int_equal(b.n_calls, 3);
    assert_int_equal(b.n_blocks, 8);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(data[i], content + ranges[i].offset, 20);
    source_close(s);
}

static void test_the_least_recently_used_block_leaves(void **state)
{
    (void)state;
    struct behind b;
    struct source *s = open_cache(&b, 10, false);
    for (size_t i = 0; i < 30; i++) {
        assert_range(s, (20 + i) * BLOCK, 1);
        assert_range(s, 3 * BLOCK, 1);
    }
    assert_int_equal(b.fetched[3], 1);
    assert_int_equal(b.fetched[20], 1);
    assert_range(s, 20 * BLOCK, 1);
    assert_int_equal(b.fetched[20], 2);
    source_close(s);
}

static void test_reads_in_order_are_fetched_ahead(void **state)
{
    (void)state;
    struct behind b;
    struct source *s = open_cache(&b, 64, true);
    b.delay_us = 2000; /* slow as a wire: the reader is the quicker one */
    for (size_t at = 0; at < FILE_BYTES; at += 10)
        assert_range(s, at, FILE_BYTES - at < 10 ? FILE_BYTES - at : 10);
    assert_int_equal(source_counters(s).bytes, FILE_BYTES);
    assert_true(b.n_calls < 60);
    source_close(s);
    s = open_cache(&b, 64, true);
    struct rng r = rng_stream(2, 0);
    for (size_t i = 0; i < 100; i++) /* but not those without order */
        assert_range(s, rng_below(&r, 200) * BLOCK, 10);
    assert_true(b.n_blocks < 140);
    source_close(s);
}

static void test_the_known_head_is_not_fetched(void **state)
{
    (void)state;
    struct behind b = {.base = {.ops = &behind_ops, .size = FILE_BYTES}};
    struct range_cache_options o = {.block_bytes = BLOCK, .cache_bytes = 64 * BLOCK, .head = {content, 2 * BLOCK + 5}};
    struct source *s;
    struct error e;
    assert_ok(range_cache_open(&b.base, &o, &s, &e), &e);
    assert_range(s, 0, 2 * BLOCK);
    assert_int_equal(b.n_calls, 0);
    assert_range(s, 2 * BLOCK, 5);
    assert_int_equal(b.n_calls, 1);
    source_close(s);
}

static void test_a_failed_fetch_is_told_and_tried_again(void **state)
{
    (void)state;
    struct behind b;
    struct error e;
    uint8_t data[FILE_BYTES];
    struct source *s = open_cache(&b, 16, false);
    b.fail_calls = 1;
    assert_status(source_read(s, 1000, data, 500, &e), STATUS_REMOTE, &e);
    assert_string_equal(e.text, "behind: call 0 fails");
    assert_range(s, 1000, 500);
    source_close(s);
}

struct reader {
    struct source *source;
    bool may_fail;
};

static enum status read_random(void *ctx, size_t i, size_t thread, struct error *e)
{
    const struct reader *reader = ctx;
    struct rng r = rng_stream(99, i);
    uint8_t data[3000];
    struct source_range ranges[3];
    size_t at = 0;
    (void)thread;
    for (size_t k = 0; k < 3; k++) {
        size_t len = rng_below(&r, i % 10 == 0 ? 1000 : 100);
        ranges[k] = (struct source_range){rng_below(&r, FILE_BYTES - len), len, data + at};
        at += len;
    }
    enum status s = source_read_ranges(reader->source, ranges, 3, e);
    if (s == STATUS_REMOTE && reader->may_fail)
        return STATUS_OK;
    for (size_t k = 0; k < 3 && s == STATUS_OK; k++)
        if (memcmp(ranges[k].dst, content + ranges[k].offset, ranges[k].len) != 0)
            s = error_set(e, STATUS_BUG, "wrong bytes");
    return s;
}

static void test_threads_that_crowd_a_small_cache_all_get_their_bytes(void **state)
{
    (void)state;
    struct behind b;
    struct error e;
    for (size_t n_blocks = 8; n_blocks < 80; n_blocks *= 3)
        for (unsigned fail_one_in = 0; fail_one_in < 20; fail_one_in += 9) {
            struct reader reader = {open_cache(&b, n_blocks, true), fail_one_in > 0};
            b.fail_one_in = fail_one_in;
            assert_ok(par_for(12, 2000, read_random, &reader, &e), &e);
            source_close(reader.source);
        }
}

struct waiter {
    struct source *source;
    enum status status;
    struct error e;
    uint8_t data[10];
};

static void *run_waiter(void *arg)
{
    struct waiter *w = arg;
    w->status = source_read(w->source, 50 * BLOCK, w->data, sizeof w->data, &w->e);
    return NULL;
}

static void test_threads_that_want_one_block_fetch_it_once(void **state)
{
    (void)state;
    struct behind b;
    struct waiter waiters[5];
    pthread_t threads[5];
    for (size_t fails = 0; fails < 2; fails++) {
        struct source *s = open_cache(&b, 16, false);
        b.held = true;
        b.fail_calls = fails;
        for (size_t i = 0; i < 5; i++) {
            waiters[i].source = s;
            assert_int_equal(pthread_create(&threads[i], NULL, run_waiter, &waiters[i]), 0);
        }
        while (b.n_waiting == 0)
            usleep(100);
        usleep(20000); /* most of the others wait by now; whatever they do is right */
        b.held = false;
        size_t n_failed = 0;
        for (size_t i = 0; i < 5; i++) {
            pthread_join(threads[i], NULL);
            n_failed += waiters[i].status != STATUS_OK;
            if (waiters[i].status == STATUS_OK)
                assert_memory_equal(waiters[i].data, content + 50 * BLOCK, 10);
        }
        assert_int_equal(n_failed, fails); /* one thread's failure is not the others' */
        assert_int_equal(b.fetched[50], 1);
        source_close(s);
    }
}

static bool is_set(void *ctx)
{
    return *(atomic_bool *)ctx;
}

static void test_waiting_ends_when_it_is_cancelled(void **state)
{
    (void)state;
    struct behind b;
    struct waiter w[2];
    pthread_t threads[2];
    atomic_bool flag = false;
    struct source *s = open_cache(&b, 16, false);
    source_set_cancel(s, is_set, &flag);
    b.held = true;
    for (size_t i = 0; i < 2; i++) {
        w[i].source = s;
        assert_int_equal(pthread_create(&threads[i], NULL, run_waiter, &w[i]), 0);
    }
    while (b.n_waiting == 0)
        usleep(100);
    flag = true;
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w[i].status, STATUS_CANCELLED);
        assert_string_equal(w[i].e.text, "behind: reading was cancelled");
    }
    source_close(s);
}

static void test_no_memory_is_an_error(void **state)
{
    (void)state;
    struct behind b = {.base = {.ops = &behind_ops, .size = FILE_BYTES}};
    struct range_cache_options o = {.block_bytes = BLOCK, .cache_bytes = 16 * BLOCK, .no_read_ahead = true};
    struct error e;
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct source *s;
        uint8_t data[600];
        struct source_range ranges[] = {{3000, 300, data + 300}, {1000, 300, data}};
        enum status status = range_cache_open(&b.base, &o, &s, &e);
        if (status == STATUS_OK)
            status = source_read_ranges(s, ranges, 2, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(status, failed ? STATUS_NOMEM : STATUS_OK);
        if (s)
            assert_range(s, 1000, 3000);
        source_close(s);
        b.base.cancel = (struct source_cancel){NULL, NULL};
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_is_fetched_once),
        cmocka_unit_test(test_missing_blocks_of_a_read_come_in_one_call),
        cmocka_unit_test(test_the_least_recently_used_block_leaves),
        cmocka_unit_test(test_reads_in_order_are_fetched_ahead),
        cmocka_unit_test(test_the_known_head_is_not_fetched),
        cmocka_unit_test(test_a_failed_fetch_is_told_and_tried_again),
        cmocka_unit_test(test_threads_that_crowd_a_small_cache_all_get_their_bytes),
        cmocka_unit_test(test_threads_that_want_one_block_fetch_it_once),
        cmocka_unit_test(test_waiting_ends_when_it_is_cancelled),
        cmocka_unit_test(test_no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_content, NULL);
}
