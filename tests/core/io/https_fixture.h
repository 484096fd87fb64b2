/* tests/core/io/https_fixture.h
 *
 * A scripted server with random content, and a policy that allows it and loses patience soon. */
#ifndef DLT_TESTS_CORE_IO_HTTPS_FIXTURE_H
#define DLT_TESTS_CORE_IO_HTTPS_FIXTURE_H

#include "core/source.h"
#include "tests/core/io/http_server.h"

enum { BLOCK = 256 << 10, CONTENT_BYTES = 40 * BLOCK + 12345 };

static uint8_t *content;
static struct server *server;
static char url[256];

static const char *const loopback_hosts[] = {"127.0.0.1"};
static const struct source_policy quick = {.hosts = loopback_hosts,
                                           .n_hosts = 1,
                                           .setting = "the test's hosts",
                                           .attempts = 3,
                                           .first_wait_ms = 1,
                                           .wait_max_ms = 5,
                                           .connect_timeout_ms = 2000,
                                           .stall_timeout_ms = 1000};

static int make_content(void **state)
{
    (void)state;
    struct rng r = rng_stream(7, 0);
    content = malloc(CONTENT_BYTES);
    for (size_t i = 0; i < CONTENT_BYTES; i++)
        content[i] = (uint8_t)rng_u64(&r);
    return 0;
}

static int free_content(void **state)
{
    (void)state;
    free(content);
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
static __attribute__((unused)) void assert_open_fails(enum status status, const char *part)
{
    struct source *s;
    struct error e;
    assert_status(source_open(url, &s, &e), status, &e);
    assert_contains(e.text, part);
    assert_null(s);
}

/* So does a read behind the first bytes, which opening has fetched; afterwards the source is still of use. */
static __attribute__((unused)) void assert_read_fails(struct source *s, size_t offset, enum status status,
                                                      const char *part)
{
    struct error e;
    uint8_t data[100];
    assert_status(source_read(s, offset, data, sizeof data, &e), status, &e);
    assert_contains(e.text, "file.root: ");
    assert_contains(e.text, part);
    assert_range(s, 100, 50);
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, start_server, stop_server)

#endif
