/* What a child may do is answer; everything else is refused and told. */
#include "core/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* ---- tasks: these run in the child ------------------------------------------------------------------------------- */

static int prepared_fd = -1;

static enum status prepare_open(struct error *e)
{
    prepared_fd = open("/etc/passwd", O_RDONLY); /* before the walls this is allowed */
    return prepared_fd >= 0 ? STATUS_OK : error_errno(e, "passwd");
}

static enum status run_echo(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    for (size_t i = 0; i < n; i++)
        TRY(buf_append(out, parts[i].data, parts[i].len, e));
    return STATUS_OK;
}

static enum status run_error(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)n, (void)out;
    return error_set(e, STATUS_UNSUPPORTED, "layer %.*s is unknown", (int)parts[0].len, (const char *)parts[0].data);
}

static enum status run_segfault(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)n, (void)out, (void)e;
    raise(SIGSEGV);
    *(volatile char *)(uintptr_t)parts[0].len = 1;
    return STATUS_OK;
}

static enum status run_abort(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)parts, (void)n, (void)out, (void)e;
    abort();
}

static enum status run_loop(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    volatile uint64_t x = n;
    (void)parts, (void)out, (void)e;
    while (x)
        x += 2 * n;
    return STATUS_OK;
}

static enum status run_bomb(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)parts, (void)n, (void)out;
    for (size_t i = 0; i < 1024; i++) {
        char *p = mem_alloc(16 << 20);
        if (!p)
            return error_set(e, STATUS_NOMEM, "no memory after %zu blocks", i);
        memset(p, 1, 16 << 20);
    }
    return STATUS_OK;
}

static enum status run_open(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)parts, (void)n;
    int fd = open("/etc/passwd", O_RDONLY);
    return fd < 0 ? error_errno(e, "open") : buf_append(out, "opened", 6, e);
}

static enum status run_read(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    char text[16];
    (void)parts, (void)n;
    return read(prepared_fd, text, sizeof text) < 0 ? error_errno(e, "read") : buf_append(out, text, sizeof text, e);
}

static enum status run_connect(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)parts, (void)n;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)connect(fd, (const struct sockaddr *)&to, sizeof to);
    return buf_append(out, "connected", 9, e);
}

static enum status run_fork(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)parts, (void)n;
    return fork() < 0 ? error_errno(e, "fork") : buf_append(out, "forked", 6, e);
}

static enum status run_exec(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    char *argv[] = {(char[]){"/bin/true"}, NULL};
    (void)parts, (void)n;
    execv(argv[0], argv);
    return buf_append(out, "still here", 10, e);
}

static enum status run_executable(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)parts, (void)n;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? error_errno(e, "mmap") : buf_append(out, "mapped", 6, e);
}

static enum status run_kill(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)parts, (void)n;
    kill(getpid(), 0);
    return buf_append(out, "killed", 6, e);
}

/* As if taken over: writes past its protocol for ever. */
static enum status run_flood(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    static char block[65536];
    (void)parts, (void)n, (void)out, (void)e;
    for (;;)
        if (write(1, block, sizeof block) < 0)
            _exit(0);
}

static enum status run_lie(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)n, (void)out, (void)e;
    (void)!write(1, parts[0].data, parts[0].len);
    _exit(0);
}

static enum status run_quit(const struct span *parts, size_t n, struct buf *out, struct error *e)
{
    (void)parts, (void)n, (void)out, (void)e;
    _exit(7);
}

static const struct sandbox_task task_list[] = {
    {"echo", NULL, run_echo, false},
    {"error", NULL, run_error, false},
    {"segfault", NULL, run_segfault, false},
    {"abort", NULL, run_abort, false},
    {"loop", NULL, run_loop, false},
    {"bomb", NULL, run_bomb, false},
    {"open", NULL, run_open, false},
    {"read", prepare_open, run_read, false},
    {"connect", NULL, run_connect, false},
    {"fork", NULL, run_fork, false},
    {"exec", NULL, run_exec, false},
    {"executable", NULL, run_executable, false},
    {"kill", NULL, run_kill, false},
    {"flood", NULL, run_flood, false},
    {"lie", NULL, run_lie, false},
    {"quit", NULL, run_quit, false},
    {"absent", NULL, run_open, .files_absent = true},
};

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static const struct sandbox_limits limits = {.memory_bytes = 64 << 20, .result_bytes = 1 << 20, .seconds = 30};

static struct span span_of(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

static enum status run_task(const char *task, const char *input, struct buf *out, struct error *e)
{
    struct span part = span_of(input);
    buf_init(out, 1 << 20);
    *e = (struct error){0};
    return sandbox_run(task, &part, 1, &limits, out, e);
}

static void refused(const char *task, const char *words)
{
    struct buf out;
    struct error e;
    assert_int_equal(run_task(task, "x", &out, &e), STATUS_FORMAT);
    if (!strstr(e.text, words))
        fail_msg("%s: '%s' does not say '%s'", task, e.text, words);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void test_the_answer_is_what_the_function_made_of_all_parts(void **state)
{
    (void)state;
    struct span parts[3] = {span_of("one "), span_of(""), span_of("two")};
    struct buf out;
    struct error e;
    buf_init(&out, 1 << 20);
    assert_int_equal(sandbox_run("echo", parts, 3, &limits, &out, &e), STATUS_OK);
    assert_int_equal(out.len, 7);
    assert_memory_equal(out.data, "one two", 7);
    buf_fini(&out);
}

static void test_input_and_answer_larger_than_a_pipe_come_through(void **state)
{
    (void)state;
    enum { BYTES = 900 << 10 };
    uint8_t *bytes = test_malloc(BYTES);
    struct rng r = rng_stream(1, 1);
    struct buf out;
    struct error e;
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)rng_u64(&r);
    buf_init(&out, BYTES);
    assert_int_equal(sandbox_run("echo", &(struct span){bytes, BYTES}, 1, &limits, &out, &e), STATUS_OK);
    assert_int_equal(out.len, BYTES);
    assert_memory_equal(out.data, bytes, BYTES);
    buf_fini(&out);
    test_free(bytes);
}

static void test_errors_of_the_function_come_with_status_and_text(void **state)
{
    (void)state;
    struct buf out;
    struct error e;
    assert_int_equal(run_task("error", "Lambda", &out, &e), STATUS_UNSUPPORTED);
    assert_string_equal(e.text, "layer Lambda is unknown");
    buf_fini(&out);
}

static void test_a_crash_is_an_error_that_names_it(void **state)
{
    (void)state;
    refused("segfault", SANITIZED ? "" : "signal 11");
    refused("abort", SANITIZED ? "" : "signal 6");
    refused("quit", "exit status 7");
}

static void test_an_endless_loop_is_stopped(void **state)
{
    (void)state;
    struct sandbox_limits short_limits = limits;
    struct span part = span_of("x");
    struct buf out;
    struct error e;
    short_limits.seconds = 1;
    buf_init(&out, 1 << 20);
    assert_int_equal(sandbox_run("loop", &part, 1, &short_limits, &out, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "took more than"));
    buf_fini(&out);
}

static void test_memory_ends_at_the_limit(void **state)
{
    (void)state;
    struct buf out;
    struct error e;
    if (SANITIZED) {
        print_message("skipped: sanitizers reserve more addresses than any limit\n");
        skip();
    }
    assert_int_equal(run_task("bomb", "x", &out, &e), STATUS_RANGE);
    assert_non_null(strstr(e.text, "needs more than 64 MB"));
    buf_fini(&out);
}

static void test_files_are_closed_to_it(void **state)
{
    (void)state;
    refused("open", "open a file");
    refused("read", "read from a descriptor");
    struct buf out;
    struct error e;
    assert_int_equal(run_task("absent", "x", &out, &e), STATUS_NOTFOUND);
    buf_fini(&out);
}

static void test_network_processes_and_new_code_are_closed_to_it(void **state)
{
    (void)state;
    refused("connect", "open a network connection");
    refused("fork", "start a process");
    refused("exec", "start a program");
    refused("executable", "make memory executable");
    refused("kill", "signal a process");
}

static void test_an_answer_without_end_is_cut(void **state)
{
    (void)state;
    refused("flood", "gave more than");
}

static void test_an_answer_against_the_protocol_is_an_error(void **state)
{
    (void)state;
    refused("lie", "without an answer");
    static const uint32_t heads[][4] = {
        {0x444c5401, 0, 100, 0}, /* more bytes than come */
        {0x444c5401, 0, 0xffffffff, 0xffffffff},
        {0x444c5402, 0, 0, 0}, /* an error without a status */
        {0x444c5402, 999, 0, 0},
        {0x12345678, 1, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct span part = {(const uint8_t *)heads[i], sizeof heads[i]};
        struct buf out;
        struct error e;
        buf_init(&out, 1 << 20);
        assert_int_equal(sandbox_run("lie", &part, 1, &limits, &out, &e), STATUS_FORMAT);
        assert_int_equal(out.len, 0);
        buf_fini(&out);
    }
}

static void test_a_task_that_is_not_there_harms_only_the_child(void **state)
{
    (void)state;
    struct buf out;
    struct error e;
    assert_int_equal(run_task("no such task", "x", &out, &e), STATUS_FORMAT);
    buf_fini(&out);
}

static void *echo_often(void *ok)
{
    for (int i = 0; i < 5; i++) {
        struct buf out;
        struct error e;
        if (run_task("echo", "abc", &out, &e) == STATUS_OK && out.len == 3)
            (*(int *)ok)++;
        buf_fini(&out);
    }
    return NULL;
}

static void test_children_of_several_threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    pthread_t thread[4];
    int ok[4] = {0};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, echo_often, &ok[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(ok[i], 5);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and none is left */
}

int main(int argc, char **argv)
{
    const struct sandbox_task *tasks[ARRAY_LEN(task_list) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(task_list); i++)
        tasks[i] = &task_list[i];
    sandbox_init(argc, argv, tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_answer_is_what_the_function_made_of_all_parts),
        cmocka_unit_test(test_input_and_answer_larger_than_a_pipe_come_through),
        cmocka_unit_test(test_errors_of_the_function_come_with_status_and_text),
        cmocka_unit_test(test_a_crash_is_an_error_that_names_it),
        cmocka_unit_test(test_an_endless_loop_is_stopped),
        cmocka_unit_test(test_memory_ends_at_the_limit),
        cmocka_unit_test(test_files_are_closed_to_it),
        cmocka_unit_test(test_network_processes_and_new_code_are_closed_to_it),
        cmocka_unit_test(test_an_answer_without_end_is_cut),
        cmocka_unit_test(test_an_answer_against_the_protocol_is_an_error),
        cmocka_unit_test(test_a_task_that_is_not_there_harms_only_the_child),
        cmocka_unit_test(test_children_of_several_threads_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
