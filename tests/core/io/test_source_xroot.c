/* tests/core/io/test_source_xroot.c
 *
 * root:// through XRootD's client against a server of our own that speaks the few requests which reading takes, and can
 * misbehave where the real one (tests/e2e/xrootd.sh) does not. */
#include "core/source.h"

#include "core/io/xroot_library.h"
#include "tests/support/unit.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTENT_BYTES = 3000000 };

/* Request and answer codes of the XRootD protocol specification. */
enum {
    KXR_PROTOCOL = 3006,
    KXR_LOGIN = 3007,
    KXR_OPEN = 3010,
    KXR_READ = 3013,
    KXR_STAT = 3017,
    KXR_ERROR = 4003,
    KXR_REDIRECT = 4004,
    KXR_NOT_FOUND = 3011,
    KXR_NOT_AUTHORIZED = 3010
};

static uint8_t *content;

static struct {
    int fd, port;
    char redirect[128];       /* where opening leads; empty: nowhere */
    atomic_int redirect_port; /* -1: `redirect` is a URL */
    atomic_int error;         /* of opening */
    atomic_bool silent_open, silent_read;
    atomic_size_t size, n_reads;
    pthread_t thread;
} server;

static bool receive(int fd, void *data, size_t len)
{
    return len == 0 || recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static bool answer(int fd, const uint8_t *request, uint16_t status, const void *data, size_t len)
{
    uint8_t head[8] = {request[0], request[1], (uint8_t)(status >> 8), (uint8_t)status};
    uint32_t be = htobe32((uint32_t)len);
    memcpy(head + 4, &be, 4);
    return send(fd, head, 8, MSG_NOSIGNAL) == 8 && (len == 0 || send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static bool answer_number(int fd, const uint8_t *request, uint16_t status, uint32_t number, const char *text)
{
    uint8_t body[256];
    uint32_t be = htobe32(number);
    memcpy(body, &be, 4);
    memcpy(body + 4, text, strlen(text) + 1);
    return answer(fd, request, status, body, 4 + strlen(text) + (status == KXR_ERROR));
}

static bool serve_open(int fd, const uint8_t *request)
{
    uint8_t body[128] = {1, 2, 3, 4}; /* handle, no compression, status */
    while (server.silent_open)
        usleep(1000);
    if (server.error)
        return answer_number(fd, request, KXR_ERROR, (uint32_t)server.error, "scripted");
    if (server.redirect[0])
        return answer_number(fd, request, KXR_REDIRECT, (uint32_t)server.redirect_port, server.redirect);
    int n = snprintf((char *)body + 12, sizeof body - 12, "7 %zu 16 1700000000", (size_t)server.size);
    return answer(fd, request, 0, body, 12 + (size_t)n + 1);
}

static bool serve_request(int fd, const uint8_t request[24])
{
    uint64_t offset;
    uint32_t len;
    char text[64];
    uint32_t version[2] = {htobe32(0x500), htobe32(1)}; /* 5.0, a data server */
    switch (request[2] << 8 | request[3]) {
    case KXR_PROTOCOL:
        return answer(fd, request, 0, version, sizeof version);
    case KXR_LOGIN:
        return answer(fd, request, 0, "0123456789abcdef", 16);
    case KXR_OPEN:
        return serve_open(fd, request);
    case KXR_STAT:
        snprintf(text, sizeof text, "7 %zu 16 1700000000", (size_t)server.size);
        return answer(fd, request, 0, text, strlen(text) + 1);
    case KXR_READ:
        server.n_reads++;
        while (server.silent_read)
            usleep(1000);
        memcpy(&offset, request + 8, 8);
        memcpy(&len, request + 16, 4);
        offset = be64toh(offset);
        len = be32toh(len);
        offset = offset < CONTENT_BYTES ? offset : CONTENT_BYTES;
        return answer(fd, request, 0, content + offset, len < CONTENT_BYTES - offset ? len : CONTENT_BYTES - offset);
    default:
        return answer(fd, request, 0, NULL, 0);
    }
}

static void *run_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    uint8_t hello[20], request[24], skipped[4096];
    uint32_t version[2] = {htobe32(0x500), htobe32(1)};
    bool goes_on = receive(fd, hello, sizeof hello) && answer(fd, (const uint8_t *)"\0\0", 0, version, sizeof version);
    while (goes_on && receive(fd, request, sizeof request)) {
        uint32_t len;
        memcpy(&len, request + 20, 4);
        len = be32toh(len);
        goes_on = len <= sizeof skipped && receive(fd, skipped, len) && serve_request(fd, request);
    }
    close(fd);
    return NULL;
}

static void *run_server(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(server.fd, NULL, NULL)) >= 0;) {
        pthread_t thread; /* it ends when the client's library, hence the process, does */
        check(pthread_create(&thread, NULL, run_connection, (void *)(intptr_t)fd) == 0);
        pthread_detach(thread);
    }
    return NULL;
}

static int start_server(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct rng r = rng_stream(21, 0);
    content = malloc(CONTENT_BYTES);
    for (size_t i = 0; i < CONTENT_BYTES; i++)
        content[i] = (uint8_t)rng_u64(&r);
    server.size = CONTENT_BYTES;
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server.fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(server.fd, 16) != 0 ||
        getsockname(server.fd, (struct sockaddr *)&a, &len) != 0)
        return -1;
    server.port = ntohs(a.sin_port);
    return pthread_create(&server.thread, NULL, run_server, NULL);
}

static void set_policy(const char *host)
{
    const char *const hosts[] = {host};
    struct source_policy p = {.hosts = hosts, .n_hosts = 1, .connect_timeout_ms = 1000, .stall_timeout_ms = 1000};
    struct error e;
    assert_ok(source_policy_set(&p, &e), &e);
}

static const char *url_of(const char *path)
{
    static char url[512];
    snprintf(url, sizeof url, "root://127.0.0.1:%d%s", server.port, path);
    return url;
}

/* ThreadSanitizer does not see the locks of a library that is not built for it. */
#ifdef __SANITIZE_THREAD__
enum { LIBRARY_IS_BLIND = true };
#else
enum { LIBRARY_IS_BLIND = false };
#endif

#define SKIP_WITHOUT_LIBRARY()                                                                                         \
    do {                                                                                                               \
        const struct xroot_library *library_;                                                                          \
        struct error e_;                                                                                               \
        if (LIBRARY_IS_BLIND) {                                                                                        \
            print_message("skipped: XRootD's client library is not built for ThreadSanitizer\n");                      \
            skip();                                                                                                    \
        }                                                                                                              \
        if (xroot_library_get(&library_, &e_) != STATUS_OK) {                                                          \
            print_message("skipped: XRootD's client library is not installed (libxrdposix3)\n");                       \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* ---- tests ----------------------------------------------------------------------------------------------- */

static void test_a_missing_library_says_what_to_install(void **state)
{
    (void)state;
    set_policy("127.0.0.1");
    pid_t child = fork(); /* the library is looked for once in a process */
    assert_true(child >= 0);
    if (child == 0) {
        struct source *s;
        struct error e;
        (void)setenv("DLT_XROOTD_LIBRARY", "/absent/libXrdPosixPreload.so", 1);
        bool good = source_open(url_of("//a.root"), &s, &e) == STATUS_UNSUPPORTED && strstr(e.text, "libxrdposix3") &&
                    strstr(e.text, "DLT_XROOTD_LIBRARY");
        if (!good)
            fprintf(stderr, "%s\n", e.text);
        _exit(good ? 0 : 1);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_int_equal(code, 0);
}

static void test_urls_that_steer_the_client_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum status status;
        const char *part;
    } cases[] = {
        {"//a.root?xrd.wantprot=unix", STATUS_ARGUMENT, "parameters for the client"},
        {"//a.root?x=1&XRDCL.unzip=x", STATUS_ARGUMENT, "parameters for the client"},
        {"//a.meta4", STATUS_UNSUPPORTED, "metalinks"},
        {"//a.METALINK?x=1", STATUS_UNSUPPORTED, "metalinks"},
        {"", STATUS_ARGUMENT, "without a path"},
        {"/", STATUS_ARGUMENT, "without a path"},
    };
    struct source *s;
    struct error e;
    set_policy("127.0.0.1");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_status(source_open(url_of(cases[i].path), &s, &e), cases[i].status, &e);
        assert_contains(e.text, cases[i].part);
    }
    set_policy("*.cern.ch");
    assert_status(source_open(url_of("//a.root"), &s, &e), STATUS_FORBIDDEN, &e);
}

static void test_a_file_is_read_at_random_places(void **state)
{
    (void)state;
    SKIP_WITHOUT_LIBRARY();
    struct source *s;
    struct error e;
    struct rng r = rng_stream(5, 5);
    uint8_t *data = malloc(CONTENT_BYTES);
    set_policy("127.0.0.1");
    assert_ok(source_open(url_of("//folder/a.root?authz=x"), &s, &e), &e);
    assert_int_equal(source_size(s), CONTENT_BYTES);
    assert_string_equal(source_name(s), "a.root");
    for (size_t i = 0; i < 50; i++) {
        size_t len = rng_below(&r, 100000), offset = rng_below(&r, CONTENT_BYTES - len);
        assert_ok(source_read(s, offset, data, len, &e), &e);
        assert_memory_equal(data, content + offset, len);
    }
    assert_ok(source_read(s, 0, data, CONTENT_BYTES, &e), &e);
    assert_memory_equal(data, content, CONTENT_BYTES);
    assert_int_equal(source_counters(s).bytes, CONTENT_BYTES); /* each block once */
    source_close(s);
    free(data);
}

static void test_a_file_that_is_shorter_than_it_said_is_an_error(void **state)
{
    (void)state;
    SKIP_WITHOUT_LIBRARY();
    struct source *s;
    struct error e;
    uint8_t data[100];
    set_policy("127.0.0.1");
    server.size = CONTENT_BYTES + 1000000;
    assert_ok(source_open(url_of("//a.root"), &s, &e), &e);
    assert_status(source_read(s, CONTENT_BYTES + 500000, data, 100, &e), STATUS_IO, &e);
    assert_contains(e.text, "a.root: ends at byte ");
    source_close(s);
    server.size = CONTENT_BYTES;
}

static void test_the_servers_errors_have_their_status(void **state)
{
    (void)state;
    SKIP_WITHOUT_LIBRARY();
    struct source *s;
    struct error e;
    set_policy("127.0.0.1");
    server.error = KXR_NOT_FOUND;
    assert_status(source_open(url_of("//a.root"), &s, &e), STATUS_NOTFOUND, &e);
    server.error = KXR_NOT_AUTHORIZED;
    assert_status(source_open(url_of("//a.root"), &s, &e), STATUS_FORBIDDEN, &e);
    server.error = 0;
}

static void assert_redirect_fails(const char *to, int port, const char *part)
{
    struct source *s;
    struct error e;
    server.redirect_port = port;
    text_copy(server.redirect, sizeof server.redirect, to);
    assert_status(source_open(url_of("//a.root"), &s, &e), STATUS_FORBIDDEN, &e);
    assert_contains(e.text, part);
    server.redirect[0] = '\0';
}

static void test_a_server_cannot_make_the_client_read_this_machines_files(void **state)
{
    (void)state;
    SKIP_WITHOUT_LIBRARY();
    char *folder = temp_folder_create();
    char url[512];
    struct error e;
    set_policy("127.0.0.1");
    assert_ok(file_write_atomic(path_in(folder, "private"), "secret", 6, &e), &e);
    snprintf(url, sizeof url, "file://localhost%s", path_in(folder, "private"));
    assert_redirect_fails(url, -1, "127.0.0.1 redirects to what is no server");
    snprintf(url, sizeof url, "file://localhost:%d%s", server.port, path_in(folder, "private"));
    assert_redirect_fails(url, -1, "127.0.0.1 redirects to what is no server");
    temp_folder_remove(folder);
}

static void test_silence_ends_reads_and_openings(void **state)
{
    (void)state;
    SKIP_WITHOUT_LIBRARY();
    struct source *s, *other;
    struct error e;
    uint8_t data[100];
    set_policy("127.0.0.1");
    assert_ok(source_open(url_of("//a.root"), &s, &e), &e);
    server.silent_read = true;
    assert_status(source_read(s, 1000000, data, 100, &e), STATUS_REMOTE, &e);
    assert_contains(e.text, "127.0.0.1 has not answered for 1 s");
    server.silent_read = false;
    assert_ok(source_read(s, 1000000, data, 100, &e), &e);
    assert_memory_equal(data, content + 1000000, 100);
    source_close(s);
    server.silent_open = true;
    assert_status(source_open(url_of("//a.root"), &other, &e), STATUS_REMOTE, &e);
    assert_contains(e.text, "a.root: 127.0.0.1 has not answered for 2 s");
    server.silent_open = false;
}

static bool is_set(void *ctx)
{
    atomic_int *n = ctx;
    return ++*n > 3;
}

static void test_reads_and_openings_are_abandoned_on_request(void **state)
{
    (void)state;
    SKIP_WITHOUT_LIBRARY();
    struct source *s, *other;
    struct error e;
    atomic_int n = 0;
    uint8_t data[100];
    set_policy("127.0.0.1");
    assert_ok(source_open(url_of("//a.root"), &s, &e), &e);
    source_set_cancel(s, is_set, &n);
    server.silent_read = true;
    assert_status(source_read(s, 1000000, data, 100, &e), STATUS_CANCELLED, &e);
    source_close(s); /* while its requests are under way */
    server.silent_read = false;
    server.silent_open = true;
    n = 0;
    assert_status(source_open_cancellable(url_of("//a.root"), is_set, &n, &other, &e), STATUS_CANCELLED, &e);
    server.silent_open = false;
}

static void test_no_memory_is_an_error(void **state)
{
    (void)state;
    SKIP_WITHOUT_LIBRARY();
    struct error e;
    uint8_t data[200];
    set_policy("127.0.0.1");
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct source *s = NULL;
        struct source_range ranges[] = {{2000000, 100, data + 100}, {1000000, 100, data}};
        enum status status = source_open(url_of("//a.root"), &s, &e);
        if (status == STATUS_OK)
            status = source_read_ranges(s, ranges, 2, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(status, failed ? STATUS_NOMEM : STATUS_OK);
        if (status == STATUS_OK)
            assert_memory_equal(data, content + 1000000, 100);
        source_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missing_library_says_what_to_install),
        cmocka_unit_test(test_urls_that_steer_the_client_are_refused),
        cmocka_unit_test(test_a_file_is_read_at_random_places),
        cmocka_unit_test(test_a_file_that_is_shorter_than_it_said_is_an_error),
        cmocka_unit_test(test_the_servers_errors_have_their_status),
        cmocka_unit_test(test_a_server_cannot_make_the_client_read_this_machines_files),
        cmocka_unit_test(test_silence_ends_reads_and_openings),
        cmocka_unit_test(test_reads_and_openings_are_abandoned_on_request),
        cmocka_unit_test(test_no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, start_server, NULL);
}
