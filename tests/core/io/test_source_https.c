/* tests/core/io/test_source_https.c
 *
 * http sources against a server that follows a script: reading, ranges, whole downloads, giving up. */
#include "core/source.h"

#include "tests/core/io/https_fixture.h"

/* ---- reading --------------------------------------------------------------------------------------------- */

static void read_random_ranges(size_t cache_bytes)
{
    struct source_policy small = quick;
    struct source_range ranges[20];
    struct rng r = rng_stream(3, 1);
    struct error e;
    small.cache_bytes = cache_bytes;
    assert_ok(source_policy_set(&small, &e), &e);
    struct source *s = open_it();
    for (size_t round = 0; round < 60; round++) {
        size_t n = 1 + rng_below(&r, ARRAY_LEN(ranges));
        for (size_t i = 0; i < n; i++) {
            size_t len = rng_below(&r, round % 10 == 0 ? 3 * BLOCK : 20000),
                   offset = rng_below(&r, CONTENT_BYTES - len);
            ranges[i] = (struct source_range){offset, len, malloc(len + 1)};
        }
        assert_ok(source_read_ranges(s, ranges, n, &e), &e);
        for (size_t i = 0; i < n; i++) {
            assert_memory_equal(ranges[i].dst, content + ranges[i].offset, ranges[i].len);
            free(ranges[i].dst);
        }
    }
    assert_true(server->n_open_max <= 4);
    source_close(s);
}

static void test_random_ranges_are_the_bytes_of_the_file(void **state)
{
    (void)state;
    read_random_ranges(8 * BLOCK); /* so that blocks leave the cache */
    assert_int_equal(server->n_several, 0);
}

static void test_random_ranges_that_travel_together_are_the_bytes_of_the_file(void **state)
{
    (void)state;
    read_random_ranges(36 * BLOCK);
    assert_true(server->n_several > 0);
}

static void test_a_file_read_in_order_comes_once_and_in_few_requests(void **state)
{
    (void)state;
    struct source *s = open_it();
    for (size_t at = 0; at < CONTENT_BYTES; at += 10000)
        assert_range(s, at, CONTENT_BYTES - at < 10000 ? CONTENT_BYTES - at : 10000);
    for (size_t at = 0; at < CONTENT_BYTES; at += 500000)
        assert_range(s, at, 100);
    struct source_counters c = source_counters(s);
    assert_int_equal(c.bytes, CONTENT_BYTES);
    assert_true(c.requests < 30);
    assert_int_equal(c.requests, server->n_requests);
    assert_int_equal(c.retries, 0);
    source_close(s);
}

static void test_a_read_larger_than_the_cache_is_whole(void **state)
{
    (void)state;
    struct source_policy small = quick;
    struct error e;
    small.cache_bytes = 1;
    assert_ok(source_policy_set(&small, &e), &e);
    struct source *s = open_it();
    assert_range(s, 0, CONTENT_BYTES);
    assert_range(s, 12345, CONTENT_BYTES - 12345);
    source_close(s);
}

static enum status read_random(void *ctx, size_t i, size_t thread, struct error *e)
{
    struct rng r = rng_stream(99, i);
    size_t len = rng_below(&r, 30000), offset = rng_below(&r, CONTENT_BYTES - len);
    uint8_t *data = malloc(len + 1);
    (void)thread;
    enum status s = source_read(ctx, offset, data, len, e);
    if (s == STATUS_OK && memcmp(data, content + offset, len) != 0)
        s = error_set(e, STATUS_BUG, "wrong bytes");
    free(data);
    return s;
}

static void test_many_threads_share_four_connections(void **state)
{
    (void)state;
    struct source_policy small = quick;
    struct error e;
    small.cache_bytes = 8 * BLOCK;
    assert_ok(source_policy_set(&small, &e), &e);
    struct source *s = open_it();
    assert_ok(par_for(16, 600, read_random, s, &e), &e);
    assert_true(server->n_open_max <= 4);
    source_close(s);
}

static void script_silent_after_opening(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->silent = q->number > 2;
}

static void script_silent_beyond_three_blocks(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->silent = q->n_ranges > 0 && q->ranges[0].last >= 3 * BLOCK;
}

static void test_closing_does_not_wait_for_what_is_read_ahead(void **state)
{
    (void)state;
    struct source_policy patient = quick;
    struct error e;
    patient.stall_timeout_ms = 1000000; /* closing is what ends the requests */
    assert_ok(source_policy_set(&patient, &e), &e);
    server->script = script_silent_beyond_three_blocks;
    for (size_t i = 0; i < 20; i++) {
        struct source *s = open_it();
        for (size_t block = 0; block < 3; block++)
            assert_range(s, block * BLOCK, 10);
        for (size_t k = 0; k < 100 && i % 2 && server->n_requests < 4 * (i + 1); k++)
            usleep(1000); /* let the request arrive, every other time */
        source_close(s);
    }
}

/* ---- several ranges in one request ---------------------------------------------------------------------------- */

/* Eight blocks far from each other. */
static void read_scattered(struct source *s)
{
    struct source_range ranges[8];
    uint8_t data[8][500];
    struct error e;
    for (size_t i = 0; i < 8; i++)
        ranges[i] = (struct source_range){(3 + 4 * i) * BLOCK + 77, 500, data[i]};
    assert_ok(source_read_ranges(s, ranges, 8, &e), &e);
    for (size_t i = 0; i < 8; i++)
        assert_memory_equal(data[i], content + ranges[i].offset, 500);
}

static void test_scattered_ranges_travel_in_one_request(void **state)
{
    (void)state;
    struct source *s = open_it();
    read_scattered(s);
    assert_true(server->n_several >= 1);
    assert_true(server->n_requests <= 1 + 4);
    assert_int_equal(source_counters(s).retries, 0);
    source_close(s);
}

static void script_reversed(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->reversed = true;
}

static void script_first_range_only(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->first_range_only = true;
}

static void script_no_several(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->no_several = true;
}

static void script_skip_a_part(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->skip_a_part = true;
}

static void script_cut_in_a_part(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->cut_after = q->n_ranges > 1 ? 300000 : 0;
}

static void script_junk_once(struct server *s, const struct server_request *q, struct server_reply *r)
{
    r->junk_between_parts = q->n_ranges > 1 && s->marker++ == 0;
}

static void test_servers_may_answer_several_ranges_in_their_own_way(void **state)
{
    (void)state;
    server_script *const scripts[] = {script_reversed,    script_first_range_only, script_no_several,
                                      script_skip_a_part, script_cut_in_a_part,    script_junk_once};
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        server->script = scripts[i];
        struct source *s = open_it();
        read_scattered(s);
        source_close(s);
        assert_true(server->n_several > i);
    }
}

/* ---- servers without ranges ------------------------------------------------------------------------------------ */

static void script_no_ranges(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)q;
    r->no_ranges = true;
    r->chunked = s->marker == 1;
    r->close_delimited = s->marker == 2;
}

static void test_a_server_without_ranges_is_read_once_into_a_temporary_file(void **state)
{
    (void)state;
    struct error e;
    char *folder = temp_folder_create();
    struct source_policy p = quick;
    p.download_folder = folder;
    assert_ok(source_policy_set(&p, &e), &e);
    server->script = script_no_ranges;
    for (size_t i = 0; i < 3; i++) {
        server->marker = i;
        struct source *s = open_it();
        assert_range(s, 0, CONTENT_BYTES);
        assert_range(s, 777, 10);
        assert_int_equal(server->n_requests, i + 1);
        assert_int_equal(folder_count(folder), 0); /* it has no name */
        source_close(s);
    }
    p.download_bytes_max = CONTENT_BYTES - 1;
    assert_ok(source_policy_set(&p, &e), &e);
    for (size_t i = 0; i < 3; i++) {
        server->marker = i;
        assert_open_fails(STATUS_RANGE, "the server does not serve ranges and the whole file is ");
    }
    p.download_bytes_max = CONTENT_BYTES;
    p.download_folder = "/absent";
    assert_ok(source_policy_set(&p, &e), &e);
    assert_open_fails(STATUS_NOTFOUND, "the server does not serve ranges, and the temporary file");
    temp_folder_remove(folder);
}

static void script_no_ranges_cut_once(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->no_ranges = true;
    r->cut_after = q->number == 0 ? 1000000 : 0;
}

static void test_a_whole_download_that_breaks_off_starts_again(void **state)
{
    (void)state;
    server->script = script_no_ranges_cut_once;
    struct source *s = open_it();
    assert_range(s, 0, CONTENT_BYTES);
    assert_int_equal(source_counters(s).retries, 1);
    source_close(s);
}

static void test_empty_and_tiny_files(void **state)
{
    (void)state;
    struct error e;
    struct source *s;
    for (size_t size = 0; size < 3; size++)
        for (size_t ranges = 0; ranges < 2; ranges++) {
            uint8_t data[2];
            server->size = size;
            server->script = ranges ? NULL : script_no_ranges;
            assert_ok(source_open(url, &s, &e), &e);
            assert_int_equal(source_size(s), size);
            assert_ok(source_read(s, 0, data, size, &e), &e);
            assert_memory_equal(data, content, size);
            assert_status(source_read(s, 0, data, size + 1, &e), STATUS_FORMAT, &e);
            source_close(s);
        }
    server->size = CONTENT_BYTES;
}

/* ---- giving up
 * --------------------------------------------------------------------------------------------------------- */

static bool is_set(void *ctx)
{
    atomic_int *n = ctx;
    return ++*n > 3;
}

static void test_reads_and_openings_are_abandoned_on_request(void **state)
{
    (void)state;
    struct error e;
    atomic_int n = 0;
    uint8_t data[10];
    struct source *s = open_it(), *other;
    server->script = script_silent_after_opening;
    server->n_requests = 3;
    source_set_cancel(s, is_set, &n);
    assert_status(source_read(s, 9 * BLOCK, data, 10, &e), STATUS_CANCELLED, &e);
    assert_string_equal(e.text, "file.root: reading was cancelled");
    source_set_cancel(s, NULL, NULL);
    server->script = NULL;
    assert_range(s, 9 * BLOCK, 10);
    source_close(s);
    server->script = script_silent_after_opening;
    n = 0;
    assert_status(source_open_cancellable(url, is_set, &n, &other, &e), STATUS_CANCELLED, &e);
    assert_null(other);
}

static void test_no_memory_is_an_error_everywhere(void **state)
{
    (void)state;
    struct error e;
    uint8_t data[2000];
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct source *s = NULL;
        enum status status = source_open(url, &s, &e);
        struct source_range ranges[2] = {{9 * BLOCK, 1000, data}, {BLOCK, 1000, data + 1000}};
        if (status == STATUS_OK)
            status = source_read_ranges(s, ranges, 2, &e);
        (void)alloc_fail_end(); /* a block of the head may be left out without harm */
        assert_true(status == STATUS_OK || status == STATUS_NOMEM);
        if (status == STATUS_OK)
            assert_memory_equal(data, content + 9 * BLOCK, 1000);
        source_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(test_random_ranges_are_the_bytes_of_the_file),
        with_server(test_random_ranges_that_travel_together_are_the_bytes_of_the_file),
        with_server(test_a_file_read_in_order_comes_once_and_in_few_requests),
        with_server(test_a_read_larger_than_the_cache_is_whole),
        with_server(test_many_threads_share_four_connections),
        with_server(test_closing_does_not_wait_for_what_is_read_ahead),
        with_server(test_scattered_ranges_travel_in_one_request),
        with_server(test_servers_may_answer_several_ranges_in_their_own_way),
        with_server(test_a_server_without_ranges_is_read_once_into_a_temporary_file),
        with_server(test_a_whole_download_that_breaks_off_starts_again),
        with_server(test_empty_and_tiny_files),
        with_server(test_reads_and_openings_are_abandoned_on_request),
        with_server(test_no_memory_is_an_error_everywhere),
    };
    return cmocka_run_group_tests(tests, make_content, free_content);
}
