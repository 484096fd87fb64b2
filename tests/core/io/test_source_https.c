/* tests/core/io/test_source_https.c
 *
 * http sources against a server that follows a script. */
#include "core/source.h"

#include "tests/core/io/http_server.h"

enum { BLOCK = 256 << 10, CONTENT_BYTES = 40 * BLOCK + 12345 };

static uint8_t *content, *other_content;
static struct server *server;
static char url[256];

static const char *const loopback_hosts[] = {"127.0.0.1"};
static const struct source_policy quick = {
    .hosts = loopback_hosts, .n_hosts = 1, .setting = "the test's hosts", .attempts = 3, .first_wait_ms = 1,
    .wait_max_ms = 5, .connect_timeout_ms = 2000, .stall_timeout_ms = 1000};

static int make_content(void **state)
{
    (void)state;
    struct rng r = rng_stream(7, 0);
    content = malloc(CONTENT_BYTES);
    other_content = malloc(CONTENT_BYTES);
    for (size_t i = 0; i < CONTENT_BYTES; i++) {
        content[i] = (uint8_t)rng_u64(&r);
        other_content[i] = (uint8_t)~content[i];
    }
    return 0;
}

static int free_content(void **state)
{
    (void)state;
    free(content);
    free(other_content);
    return 0;
}

static int start_server(void **state)
{
    (void)state;
    struct error e;
    server = server_start(content, CONTENT_BYTES);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/folder/file.root?x=1", server->port);
    return source_policy_set(&quick, &e) == STATUS_OK ? 0 : -1;
}

static int stop_server(void **state)
{
    (void)state;
    struct error e;
    server_stop(server);
    return source_policy_set(NULL, &e) == STATUS_OK ? 0 : -1;
}

static void assert_range(struct source *s, size_t offset, size_t len)
{
    struct error e;
    uint8_t *data = malloc(len + 1);
    assert_ok(source_read(s, offset, data, len, &e), &e);
    assert_memory_equal(data, content + offset, len);
    free(data);
}

static struct source *open_it(void)
{
    struct source *s;
    struct error e;
    assert_ok(source_open(url, &s, &e), &e);
    assert_int_equal(source_size(s), CONTENT_BYTES);
    assert_string_equal(source_name(s), "file.root");
    return s;
}

/* Opening fails like this. */
static void assert_open_fails(enum status status, const char *part)
{
    struct source *s;
    struct error e;
    assert_status(source_open(url, &s, &e), status, &e);
    assert_contains(e.text, part);
    assert_null(s);
}

/* So does a read behind the first bytes, which opening has fetched; afterwards the source is still of use. */
static void assert_read_fails(struct source *s, size_t offset, enum status status, const char *part)
{
    struct error e;
    uint8_t data[100];
    assert_status(source_read(s, offset, data, sizeof data, &e), status, &e);
    assert_contains(e.text, "file.root: ");
    assert_contains(e.text, part);
    assert_range(s, 100, 50);
}

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
            size_t len = rng_below(&r, round % 10 == 0 ? 3 * BLOCK : 20000), offset = rng_below(&r, CONTENT_BYTES - len);
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
    read_random_ranges(8 * BLOCK);               /* so that blocks leave the cache */
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
    patient.stall_timeout_ms = 1000000;          /* closing is what ends the requests */
    assert_ok(source_policy_set(&patient, &e), &e);
    server->script = script_silent_beyond_three_blocks;
    for (size_t i = 0; i < 20; i++) {
        struct source *s = open_it();
        for (size_t block = 0; block < 3; block++)
            assert_range(s, block * BLOCK, 10);
        for (size_t k = 0; k < 100 && i % 2 && server->n_requests < 4 * (i + 1); k++)
            usleep(1000);                        /* let the request arrive, every other time */
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
    server_script *const scripts[] = {
        script_reversed, script_first_range_only, script_no_several, script_skip_a_part, script_cut_in_a_part,
        script_junk_once};
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
        assert_int_equal(folder_count(folder), 0);       /* it has no name */
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

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void script_503_twice(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    if (q->number % 3 != 2) {
        r->status = q->number % 2 ? 503 : 429;
        r->headers = "Retry-After: 3600\r\n";            /* the policy's wait_max_ms is the most that is honoured */
    }
}

static void script_503(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->status = 503;
}

static void script_hang_up(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    (void)q;
    r->hang_up = true;
}

static void test_busy_servers_are_asked_again(void **state)
{
    (void)state;
    server->script = script_503_twice;
    struct source *s = open_it();
    assert_range(s, 5 * BLOCK, 1000);
    assert_int_equal(source_counters(s).retries, 4);
    server->script = script_503;
    assert_read_fails(s, 20 * BLOCK, STATUS_REMOTE, "127.0.0.1 answers with HTTP 503 (3 attempts)");
    server->script = script_hang_up;
    assert_read_fails(s, 20 * BLOCK, STATUS_REMOTE, "(3 attempts)");
    server->script = NULL;
    assert_range(s, 20 * BLOCK, 100);            /* and it recovers */
    source_close(s);
    server->script = script_503;
    assert_open_fails(STATUS_REMOTE, "file.root: 127.0.0.1 answers with HTTP 503 (3 attempts)");
}

static void script_cut_after_300k(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->cut_after = q->number > 0 ? 300000 : 0;
}

static void script_cut_at_once(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->cut_after = q->number > 0 ? 10 : 0;
}

static void test_a_dropped_connection_goes_on_where_it_broke_off(void **state)
{
    (void)state;
    struct source *s = open_it();
    server->script = script_cut_after_300k;
    assert_range(s, BLOCK, 20 * BLOCK);          /* each attempt brings something: never too many of them */
    assert_true(source_counters(s).retries > 10);
    assert_int_equal(source_counters(s).bytes, 21 * BLOCK);
    server->script = script_cut_at_once;
    assert_read_fails(s, 30 * BLOCK, STATUS_REMOTE, "127.0.0.1: ");
    source_close(s);
}

static void script_status(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)q;
    r->status = (int)s->marker;
}

static void test_refusals_are_told_and_not_repeated(void **state)
{
    (void)state;
    static const struct { int code; enum status status; const char *part; } cases[] = {
        {404, STATUS_NOTFOUND, "has no such file"}, {410, STATUS_NOTFOUND, "has no such file"},
        {401, STATUS_FORBIDDEN, "BEARER_TOKEN"},    {403, STATUS_FORBIDDEN, "BEARER_TOKEN"},
        {400, STATUS_REMOTE, "HTTP 400"},           {304, STATUS_REMOTE, "HTTP 304"},
        {204, STATUS_REMOTE, "HTTP 204"},           {416, STATUS_IO, "HTTP 416"}};
    struct source *s = open_it();
    server->script = script_status;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        server->marker = (size_t)cases[i].code;
        size_t before = server->n_requests;
        assert_open_fails(cases[i].status, cases[i].part);
        assert_int_equal(server->n_requests, before + 1);
        assert_read_fails(s, 9 * BLOCK, cases[i].status, cases[i].part);
        assert_int_equal(server->n_requests, before + 2);
    }
    source_close(s);
}

static void script_drip(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    r->drip = q->number > 0;
}

static void test_a_server_that_drips_is_given_up(void **state)
{
    (void)state;
    struct source_policy p = quick;
    struct error e;
    p.attempts = 2;
    assert_ok(source_policy_set(&p, &e), &e);
    struct source *s = open_it();
    server->script = script_drip;
    assert_read_fails(s, 9 * BLOCK, STATUS_REMOTE, "(2 attempts)");
    source_close(s);
}

static void test_a_port_where_nobody_listens_is_remote_trouble(void **state)
{
    (void)state;
    struct source *s = open_it();
    struct error e;
    struct source *none;
    char closed[64];
    struct server *brief = server_start(content, 10);
    snprintf(closed, sizeof closed, "http://127.0.0.1:%d/a.root", brief->port);
    server_stop(brief);
    assert_status(source_open(closed, &none, &e), STATUS_REMOTE, &e);
    assert_contains(e.text, "a.root: 127.0.0.1: ");
    source_close(s);
}

/* ---- lies ---------------------------------------------------------------------------------------------------------- */

struct lie {
    struct server_reply reply;
    enum status status;
    const char *part;
};

static const struct lie *lie;

static void script_lie(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)q;
    if (!s->marker)
        return;
    *r = lie->reply;
    r->content = r->content ? r->content : s->content;
    r->size = r->size ? r->size : s->size;
}

static void test_answers_that_contradict_themselves_are_errors(void **state)
{
    (void)state;
    const struct lie lies[] = {
        {{.shift = 10}, STATUS_REMOTE, "other or fewer bytes"},
        {{.shift = -50}, STATUS_OK, NULL},       /* it says so, so its bytes are not taken for those asked for */
        {{.no_content_range = true}, STATUS_REMOTE, "without a Content-Range"},
        {{.headers = "Content-Range: bytes x-y/z\r\n", .no_content_range = true}, STATUS_REMOTE, "that can be read"},
        {{.total_add = 1}, STATUS_IO, "the file has changed since it was opened: its size"},
        {{.length_add = 1000}, STATUS_OK, NULL},
        {{.length_add = -100000}, STATUS_REMOTE, "(3 attempts)"},
        {{.headers = "Content-Encoding: gzip\r\n"}, STATUS_UNSUPPORTED, "Content-Encoding"},
        {{.no_ranges = true}, STATUS_REMOTE, "has stopped to serve ranges"},
        {{.size = BLOCK * 2}, STATUS_IO, "the file has changed since it was opened: its size"},
    };
    server->script = script_lie;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct error e;
        uint8_t data[100];
        lie = &lies[i];
        server->marker = 0;
        struct source *s = open_it();
        server->marker = 1;
        enum status status = source_read(s, 9 * BLOCK, data, sizeof data, &e);
        if (status == STATUS_OK)                 /* only ever with the right bytes */
            assert_memory_equal(data, content + 9 * BLOCK, sizeof data);
        if (lies[i].status != STATUS_OK) {
            assert_int_equal(status, lies[i].status);
            assert_contains(e.text, lies[i].part);
        }
        source_close(s);
    }
}

static void test_opening_refuses_packed_and_unmeasured_files(void **state)
{
    (void)state;
    const struct lie lies[] = {
        {{.headers = "Content-Encoding: gzip\r\n"}, STATUS_UNSUPPORTED, "Content-Encoding"},
        {{.headers = "Content-Encoding: br\r\n", .no_ranges = true}, STATUS_UNSUPPORTED, "Content-Encoding"},
        {{.headers = "Content-Range: bytes 0-99/*\r\n", .no_content_range = true}, STATUS_REMOTE, "without its size"},
        {{.no_content_range = true}, STATUS_REMOTE, "without a Content-Range"},
        {{.length_add = 1 << 30, .no_ranges = true}, STATUS_REMOTE, "127.0.0.1: "},
    };
    server->script = script_lie;
    server->marker = 1;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        lie = &lies[i];
        assert_open_fails(lies[i].status, lies[i].part);
    }
}

static void test_a_file_that_changes_is_an_error_that_says_so(void **state)
{
    (void)state;
    const struct { const char *before, *after, *part; } cases[] = {
        {"ETag: \"one\"\r\n", "ETag: \"two\"\r\n", "its entity tag (ETag) is another"},
        {"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n", "Last-Modified: Mon, 01 Jan 2024 00:00:01 GMT\r\n",
         "its date (Last-Modified) is another"},
    };
    server->script = script_lie;
    server->marker = 1;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct lie before = {.reply = {.headers = cases[i].before}};
        struct lie after = {.reply = {.headers = cases[i].after, .content = other_content}};
        lie = &before;
        struct source *s = open_it();
        assert_range(s, 5 * BLOCK, 10);
        lie = &after;
        assert_read_fails(s, 9 * BLOCK, STATUS_IO, "the file has changed since it was opened: ");
        assert_read_fails(s, 9 * BLOCK, STATUS_IO, cases[i].part);
        after.reply.no_ranges = true;
        assert_read_fails(s, 9 * BLOCK, STATUS_IO, cases[i].part);
        source_close(s);
    }
}

/* ---- redirects ------------------------------------------------------------------------------------------------------- */

static char location[512];

static void script_redirect(struct server *s, const struct server_request *q, struct server_reply *r)
{
    (void)s;
    if (strstr(q->path, "file.root") && !strstr(q->path, "moved")) {
        r->status = s->marker ? (int)s->marker : 302;
        r->headers = location;
    }
}

static void test_redirects_are_followed_and_remembered(void **state)
{
    (void)state;
    static const int codes[] = {301, 302, 303, 307, 308};
    static const char *const places[] = {"Location: /moved/file.root\r\n", "Location: moved/file.root?a=b\r\n"};
    server->script = script_redirect;
    for (size_t i = 0; i < ARRAY_LEN(codes) * 2; i++) {
        server->marker = (size_t)codes[i / 2];
        snprintf(location, sizeof location, "%s", places[i % 2]);
        struct source *s = open_it();
        size_t before = server->n_requests;
        assert_range(s, 9 * BLOCK, 10);
        assert_int_equal(server->n_requests, before + 1);
        source_close(s);
    }
}

static void script_redirect_expires(struct server *s, const struct server_request *q, struct server_reply *r)
{
    if (!strstr(q->path, "moved")) {
        r->status = 307;
        r->headers = s->marker == 0 ? "Location: /moved/1\r\n" : "Location: /moved/2\r\n";
    } else if (s->marker == 1 && strstr(q->path, "/1")) {
        r->status = 403;
    }
}

static void test_where_a_redirect_has_expired_the_origin_is_asked_again(void **state)
{
    (void)state;
    server->script = script_redirect_expires;
    struct source *s = open_it();
    server->marker = 1;
    assert_range(s, 9 * BLOCK, 10);
    assert_range(s, 19 * BLOCK, 10);
    assert_int_equal(source_counters(s).retries, 1);
    source_close(s);
}

static void test_redirects_lead_only_where_the_policy_allows(void **state)
{
    (void)state;
    static const struct { const char *to; enum status status; const char *part; } cases[] = {
        {"file:///etc/passwd", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"FILE://localhost/etc/passwd", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"gopher://127.0.0.1:70/", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"root://127.0.0.1//a", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"http://other.example/", STATUS_FORBIDDEN, "redirects elsewhere: the host other.example"},
        {"http://127.0.0.1.other.example/", STATUS_FORBIDDEN, "redirects elsewhere"},
        {"http://127.0.0.1@other.example/", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"http://other.example\\@127.0.0.1/", STATUS_FORBIDDEN, "redirects to what is no http"},
        {"http://169.254.169.254/latest/meta-data/", STATUS_FORBIDDEN, "redirects elsewhere"},
        {"http://[::1]/", STATUS_FORBIDDEN, "redirects elsewhere"},
        {"file.root", STATUS_REMOTE, "redirects too often"},
        {"", STATUS_REMOTE, "redirects to nowhere"},
    };
    server->script = script_redirect;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t before = server->n_requests;
        snprintf(location, sizeof location, "Location: %s\r\n", cases[i].to);
        assert_open_fails(cases[i].status, cases[i].part);
        assert_int_equal(server->n_requests, before + (strstr(cases[i].part, "too often") ? 6 : 1));
    }
}

static void test_addresses_are_judged_when_a_connection_is_made(void **state)
{
    (void)state;
    struct error e;
    struct source *s;
    char text[128];
    static const char *const everybody[] = {"*"}, *const cloud[] = {"*", "169.254.169.254", "fd00:ec2::254"};
    static const char *const loopbacks[] = {"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]",
                                            "[::ffff:127.0.0.1]"};
    struct source_policy p = quick;
    p.hosts = everybody;
    assert_ok(source_policy_set(&p, &e), &e);
    for (size_t i = 0; i < ARRAY_LEN(loopbacks); i++) {
        snprintf(text, sizeof text, "http://%s:%d/file.root", loopbacks[i], server->port);
        assert_status(source_open(text, &s, &e), STATUS_FORBIDDEN, &e);
        assert_contains(e.text, "has a loopback or private address: name the host itself in the test's hosts");
    }
    static const char *const never[] = {"169.254.169.254", "[fe80::1]", "0.0.0.0", "[::]", "[::ffff:169.254.169.254]"};
    p.hosts = cloud;
    p.n_hosts = 2;
    assert_ok(source_policy_set(&p, &e), &e);
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        snprintf(text, sizeof text, "http://%s:%d/file.root", never[i], server->port);
        assert_status(source_open(text, &s, &e), STATUS_FORBIDDEN, &e);
        assert_contains(e.text, "never connected to");
    }
    assert_int_equal(server->n_requests, 0);
}

static void test_a_token_never_travels_unencrypted(void **state)
{
    (void)state;
    assert_int_equal(setenv("BEARER_TOKEN", "secret-token", 1), 0);
    struct source *s = open_it();
    assert_string_equal(server->last_authorization, "");
    source_close(s);
    assert_int_equal(unsetenv("BEARER_TOKEN"), 0);
}

static void test_a_proxy_of_the_environment_is_not_used(void **state)
{
    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
    source_close(open_it());
    assert_int_equal(unsetenv("http_proxy"), 0);
}

/* ---- giving up --------------------------------------------------------------------------------------------------------- */

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
        (void)alloc_fail_end();                  /* a block of the head may be left out without harm */
        assert_true(status == STATUS_OK || status == STATUS_NOMEM);
        if (status == STATUS_OK)
            assert_memory_equal(data, content + 9 * BLOCK, 1000);
        source_close(s);
    }
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

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
        with_server(test_busy_servers_are_asked_again),
        with_server(test_a_dropped_connection_goes_on_where_it_broke_off),
        with_server(test_refusals_are_told_and_not_repeated),
        with_server(test_a_server_that_drips_is_given_up),
        with_server(test_a_port_where_nobody_listens_is_remote_trouble),
        with_server(test_answers_that_contradict_themselves_are_errors),
        with_server(test_opening_refuses_packed_and_unmeasured_files),
        with_server(test_a_file_that_changes_is_an_error_that_says_so),
        with_server(test_redirects_are_followed_and_remembered),
        with_server(test_where_a_redirect_has_expired_the_origin_is_asked_again),
        with_server(test_redirects_lead_only_where_the_policy_allows),
        with_server(test_addresses_are_judged_when_a_connection_is_made),
        with_server(test_a_token_never_travels_unencrypted),
        with_server(test_a_proxy_of_the_environment_is_not_used),
        with_server(test_reads_and_openings_are_abandoned_on_request),
        with_server(test_no_memory_is_an_error_everywhere),
    };
    return cmocka_run_group_tests(tests, make_content, free_content);
}
