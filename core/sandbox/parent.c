/* core/sandbox/parent.c
 *
 * Starting a child, giving it its input, and taking its answer for what it is: bytes from somebody who may have been
 * taken over. */
#include "core/sandbox/private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- input ------------------------------------------------------------------------------------------------------- */

static enum status write_all(int fd, const void *p, size_t n, struct error *e)
{
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t wrote = write(fd, at, n);
        if (wrote < 0 && errno != EINTR)
            return error_errno(e, "input of a sandboxed child");
        if (wrote > 0) {
            at += wrote;
            n -= (size_t)wrote;
        }
    }
    return STATUS_OK;
}

/* In memory, and unchangeable once it is complete. */
static enum status make_input(const struct span *parts, size_t n_parts, int *out, struct error *e)
{
    uint64_t head[SANDBOX_PARTS_MAX + 1] = {n_parts};
    check(n_parts <= SANDBOX_PARTS_MAX);
    for (size_t i = 0; i < n_parts; i++)
        head[i + 1] = parts[i].len;
    int fd = memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_errno(e, "input of a sandboxed child");
    enum status s = write_all(fd, head, (n_parts + 1) * sizeof head[0], e);
    for (size_t i = 0; s == STATUS_OK && i < n_parts; i++)
        s = write_all(fd, parts[i].data, parts[i].len, e);
    if (s == STATUS_OK && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        s = error_errno(e, "input of a sandboxed child");
    if (s == STATUS_OK)
        *out = fd;
    else
        close(fd);
    return s;
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

/* Of the environment only what finds libraries, and what tests need; one BLAS thread, so that none starts. */
static void make_environment(char texts[4][1024], char *environment[8])
{
    static const char *const kept[] = {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"};
    static char one_thread[] = "OPENBLAS_NUM_THREADS=1", one_arena[] = "MALLOC_ARENA_MAX=1";
    size_t n = 0;
    environment[n++] = one_thread;
    environment[n++] = one_arena;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *value = getenv(kept[i]);
        if (value && snprintf(texts[i], 1024, "%s=%s", kept[i], value) < 1024)
            environment[n++] = texts[i];
    }
    environment[n] = NULL;
}

static int spawn(const char *task, const struct sandbox_limits *l, int input, int answer, pid_t *pid)
{
    char memory[24], result[24], seconds[24], texts[4][1024], *environment[8];
    char *argv[] = {
        (char[]){"dltrigger-sandbox"}, (char[]){SANDBOX_CHILD}, (char *)(uintptr_t)task, memory, result, seconds, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    snprintf(memory, sizeof memory, "%zu", l->memory_bytes);
    snprintf(result, sizeof result, "%zu", l->result_bytes);
    snprintf(seconds, sizeof seconds, "%" PRId64, l->seconds);
    make_environment(texts, environment);
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&files) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&how) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return ENOMEM;
    }
    int failed = posix_spawnattr_setsigmask(&how, &none);
    failed = failed ? failed : posix_spawnattr_setsigdefault(&how, &all);
    failed = failed ? failed : posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&files, answer, SANDBOX_ANSWER_FD);
    if (!failed && !SANDBOX_SANITIZED)
        failed = posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    failed = failed ? failed : posix_spawn(pid, "/proc/self/exe", &files, &how, argv, environment);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return failed;
}

/* *answer is the pipe's end that reads. */
static enum status start(const char *task, const struct span *parts, size_t n_parts, const struct sandbox_limits *l,
                         pid_t *pid, int *answer, struct error *e)
{
    int input = -1, ends[2];
    if (!sandbox_can_host())
        return error_set(e, STATUS_UNSUPPORTED, "this program starts no sandboxed children");
    TRY(make_input(parts, n_parts, &input, e));
    if (pipe2(ends, O_CLOEXEC) != 0) {
        close(input);
        return error_errno(e, "pipe of a sandboxed child");
    }
    int failed = spawn(task, l, input, ends[1], pid);
    close(input);
    close(ends[1]);
    if (!failed) {
        *answer = ends[0];
        return STATUS_OK;
    }
    close(ends[0]);
    errno = failed;
    return error_errno(e, "starting a sandboxed child");
}

/* ---- answer ------------------------------------------------------------------------------------------------------ */

enum ending { ENDING_DONE, ENDING_TOO_LATE, ENDING_TOO_MUCH };

/* Reads until the pipe ends, time is up, or there is more than `most`. */
static enum ending take_answer(int answer, int64_t deadline_ns, struct buf *got, enum status *s, struct error *e)
{
    uint8_t block[8 << 10];
    for (*s = STATUS_OK;;) {
        int64_t left_ms = (deadline_ns - time_mono_ns()) / 1000000;
        struct pollfd p = {.fd = answer, .events = POLLIN};
        if (left_ms <= 0)
            return ENDING_TOO_LATE;
        if (poll(&p, 1, left_ms < 60000 ? (int)left_ms : 60000) <= 0)
            continue;
        ssize_t n = read(answer, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ENDING_DONE;
        if ((size_t)n > got->max - got->len)
            return ENDING_TOO_MUCH;
        *s = buf_append(got, block, (size_t)n, e);
        if (*s != STATUS_OK)
            return ENDING_TOO_MUCH;
    }
}

/* The exit status; who has closed the pipe and still runs is killed when time is up. */
static int wait_for(pid_t pid, int64_t deadline_ns, bool kill_now)
{
    int status = 0, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int64_t left_ms = (deadline_ns - time_mono_ns()) / 1000000;
    if (kill_now || pidfd < 0 || poll(&p, 1, left_ms > 0 ? (int)(left_ms < 1000 ? left_ms : 1000) : 0) != 1)
        kill(pid, SIGKILL); /* of one that has ended already, this means nothing */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (pidfd >= 0)
        close(pidfd);
    return status;
}

/* ---- what became of it ------------------------------------------------------------------------------------------- */

static const char *call_words(uint32_t number)
{
    static const struct {
        uint32_t number;
        const char *words;
    } known[] = {
        {SYS_openat, "open a file"},
        {SYS_socket, "open a network connection"},
        {SYS_connect, "open a network connection"},
        {SYS_execve, "start a program"},
        {SYS_clone, "start a process"},
        {SYS_clone3, "start a process"},
        {SYS_mmap, "make memory executable"},
        {SYS_mprotect, "make memory executable"},
        {SYS_ptrace, "watch a process"},
#ifdef SYS_open
        {SYS_open, "open a file"},
        {SYS_stat, "look for a file"},
        {SYS_fork, "start a process"},
        {SYS_vfork, "start a process"},
        {SYS_unlink, "remove a file"},
        {SYS_access, "look for a file"},
#endif
        {SYS_newfstatat, "look for a file"},
        {SYS_unlinkat, "remove a file"},
        {SYS_read, "read from a descriptor"},
        {SYS_write, "write to a descriptor"},
        {SYS_kill, "signal a process"},
        {SYS_tgkill, "signal a process"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].number == number)
            return known[i].words;
    return "make a system call";
}

static enum status explain_end(int status, const struct sandbox_limits *l, struct error *e)
{
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        return error_set(e, STATUS_FORMAT, "reading it took more than %" PRId64 " s of processor time: stopped",
                         l->seconds);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return error_set(e, STATUS_NOMEM, "the process that read it was killed: by the system, for memory, or by hand");
    if (WIFSIGNALED(status))
        return error_set(e, STATUS_FORMAT, "reading it crashed (signal %d, %s), in a process of its own",
                         WTERMSIG(status), strsignal(WTERMSIG(status)));
    return error_set(e, STATUS_FORMAT, "reading it ended without an answer (exit status %d)", WEXITSTATUS(status));
}

static enum status judge(const struct buf *got, int status, const struct sandbox_limits *l, struct buf *out,
                         struct error *e)
{
    struct sandbox_head head;
    if (got->len < sizeof head)
        return explain_end(status, l, e);
    memcpy(&head, got->data, sizeof head);
    const char *text = (const char *)got->data + sizeof head;
    size_t n = got->len - sizeof head;
    if (head.word == SANDBOX_REFUSED && n == 0)
        return error_set(e, STATUS_FORMAT, "reading it tried to %s (system call %u): refused", call_words(head.status),
                         head.status);
    if (head.bytes != n || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return explain_end(status, l, e);
    if (head.word == SANDBOX_RESULT)
        return buf_append(out, text, n, e);
    if (head.word != SANDBOX_ERROR || head.status == STATUS_OK || head.status > STATUS_BUG)
        return error_set(e, STATUS_FORMAT, "reading it gave no sound answer");
    if (head.status == STATUS_NOMEM)
        return error_set(e, STATUS_RANGE, "needs more than %zu MB to be read: %.*s", l->memory_bytes >> 20,
                         (int)(n < 512 ? n : 512), text);
    return error_set(e, (enum status)head.status, "%.*s", (int)(n < ERROR_TEXT_MAX ? n : ERROR_TEXT_MAX), text);
}

enum status sandbox_run(const char *task, const struct span *parts, size_t n_parts, const struct sandbox_limits *limits,
                        struct buf *out, struct error *e)
{
    struct buf got;
    pid_t pid;
    int answer = -1;
    enum status s;
    TRY(start(task, parts, n_parts, limits, &pid, &answer, e));
    int64_t deadline_ns = time_mono_ns() + 2 * limits->seconds * 1000000000;
    size_t room = limits->result_bytes > ERROR_TEXT_MAX ? limits->result_bytes : ERROR_TEXT_MAX;
    buf_init(&got, room + sizeof(struct sandbox_head));
    enum ending ending = take_answer(answer, deadline_ns, &got, &s, e);
    close(answer);
    int status = wait_for(pid, deadline_ns, ending != ENDING_DONE);
    if (s == STATUS_OK && ending == ENDING_TOO_LATE)
        s = error_set(e, STATUS_FORMAT, "reading it took more than %" PRId64 " s: stopped", 2 * limits->seconds);
    else if (s == STATUS_OK && ending == ENDING_TOO_MUCH)
        s = error_set(e, STATUS_FORMAT, "reading it gave more than %zu bytes: stopped", limits->result_bytes);
    else if (s == STATUS_OK)
        s = judge(&got, status, limits, out, e);
    buf_fini(&got);
    return s;
}
