/* tests/core/work/test_remote_ingest.c
 *
 * An ingest over http from a server with a long way to it: the same dataset as from disk, each byte over the wire about
 * once, few round trips; and a cancelled job ends while the server is silent. */
#include "tests/core/io/http_server.h"

#include "core/work.h"
#include "tests/support/support.h"
#include "tests/support/test_host.h"

static const char sample[] = "tests/fixtures/sample/ttbar.root";
static const char *const loopback[] = {"127.0.0.1"};
static atomic_size_t bytes_sent, n_answers;

static void far_away(struct server *s, const struct server_request *request, struct server_reply *reply)
{
    (void)s;
    (void)reply;
    usleep(10000);
    atomic_fetch_add(&n_answers, 1);
    for (size_t i = 0; i < request->n_ranges; i++)
        atomic_fetch_add(&bytes_sent, request->ranges[i].last - request->ranges[i].first + 1);
}

static void silent_from_the_third(struct server *s, const struct server_request *request, struct server_reply *reply)
{
    (void)s;
    reply->silent = request->number >= 2;
}

static char *content_of(struct test_host *h, const char *path, struct arena *a)
{
    struct error e = {0};
    void *result;
    struct dataset *d;
    const char *spec = arena_printf(a, "inputs[0].path = \"%s\"\ninputs[0].label = \"tt\"\n", path);
    assert_ok(test_host_run(h, a, "ingest", spec, &result, &e), &e);
    assert_ok(dataset_open(test_host_artifact(h, ((struct ingest_result *)result)->dataset_id), &d, &e), &e);
    char *content = arena_strdup(a, dataset_manifest(d)->content_sha256);
    dataset_close(d);
    test_host_new_job(h);
    return content;
}

struct fixture {
    uint8_t *bytes;
    size_t size;
    struct server *server;
    char url[64];
};

static void serve(struct fixture *x, server_script *script, int64_t stall_ms)
{
    struct error e;
    struct source *src;
    const struct source_policy policy = {.hosts = loopback, .n_hosts = 1, .attempts = 2, .stall_timeout_ms = stall_ms};
    assert_ok(source_open(sample, &src, &e), &e);
    x->size = (size_t)source_size(src);
    x->bytes = malloc(x->size);
    assert_ok(source_read(src, 0, x->bytes, x->size, &e), &e);
    source_close(src);
    x->server = server_start(x->bytes, x->size);
    x->server->script = script;
    snprintf(x->url, sizeof x->url, "http://127.0.0.1:%d/ttbar.root", x->server->port);
    assert_ok(source_policy_set(&policy, &e), &e);
}

static void stop(struct fixture *x)
{
    struct error e;
    server_stop(x->server);
    free(x->bytes);
    assert_ok(source_policy_set(NULL, &e), &e);
}

static void test_a_far_server_gives_the_same_dataset_in_few_round_trips(void **state)
{
    (void)state;
    struct fixture x;
    struct test_host h;
    struct arena a;
    serve(&x, far_away, 20000);
    arena_init(&a, (size_t)1 << 30);
    test_host_init(&h, 2);
    const char *here = content_of(&h, sample, &a), *there = content_of(&h, x.url, &a);
    assert_string_equal(there, here);
    size_t blocks = x.size / (256 << 10) + 1;
    printf("%zu answers, %zu bytes of a file of %zu\n", (size_t)n_answers, (size_t)bytes_sent, x.size);
    assert_in_range(bytes_sent, x.size, x.size + x.size / 3);
    assert_in_range(n_answers, 1, blocks + 10);
    test_host_fini(&h);
    arena_fini(&a);
    stop(&x);
}

static void test_a_cancelled_job_ends_while_the_server_is_silent(void **state)
{
    (void)state;
    struct fixture x;
    struct test_host h;
    struct arena a;
    struct error e = {0};
    void *result;
    serve(&x, silent_from_the_third, 600000);
    arena_init(&a, 1 << 24);
    test_host_init(&h, 2);
    h.cancel_after_polls = 20;
    const char *spec = arena_printf(&a, "inputs[0].path = \"%s\"\ninputs[0].label = \"tt\"\n", x.url);
    assert_int_equal(test_host_run(&h, &a, "ingest", spec, &result, &e), STATUS_CANCELLED);
    test_host_fini(&h);
    arena_fini(&a);
    stop(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_far_server_gives_the_same_dataset_in_few_round_trips),
        cmocka_unit_test(test_a_cancelled_job_ends_while_the_server_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
