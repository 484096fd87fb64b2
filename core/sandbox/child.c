/* core/sandbox/child.c
 *
 * The child's whole life: prepare, take the input, close the walls, run, answer. */
#include "core/sandbox/private.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_all(const void *p, size_t n)
{
    const uint8_t *at = p;
    while (n > 0) {
        ssize_t wrote = write(SANDBOX_ANSWER_FD, at, n);
        if (wrote <= 0 && errno != EINTR)
            _exit(1); /* the parent has gone, or has seen enough */
        if (wrote > 0) {
            at += wrote;
            n -= (size_t)wrote;
        }
    }
}

static _Noreturn void answer(uint32_t word, uint32_t status, const void *p, size_t n)
{
    struct sandbox_head head = {word, status, n};
    write_all(&head, sizeof head);
    write_all(p, n);
    _exit(0); /* no handlers of exit: they belong to the program that this is not */
}

static _Noreturn void answer_error(const struct error *e)
{
    answer(SANDBOX_ERROR, (uint32_t)e->status, e->text, strlen(e->text));
}

/* Reads descriptor 0 as memory, before that is all there is. */
static enum status map_input(struct span *parts, size_t *n_parts, struct error *e)
{
    struct stat st;
    uint64_t n, at;
    if (fstat(STDIN_FILENO, &st) != 0)
        return error_errno(e, "input of the child");
    size_t bytes = (size_t)st.st_size;
    const uint8_t *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
    if (p == MAP_FAILED)
        return error_errno(e, "input of the child");
    close(STDIN_FILENO);
    memcpy(&n, p, sizeof n);
    check(n <= SANDBOX_PARTS_MAX);
    at = sizeof n * (n + 1);
    for (size_t i = 0; i < n; i++) {
        uint64_t len;
        memcpy(&len, p + sizeof n * (i + 1), sizeof len);
        check(at <= bytes && len <= bytes - at);
        parts[i] = (struct span){p + at, len};
        at += len;
    }
    *n_parts = (size_t)n;
    return STATUS_OK;
}

static enum status run(const struct sandbox_task *task, char **argv, struct buf *out, struct error *e)
{
    struct span parts[SANDBOX_PARTS_MAX];
    size_t n_parts = 0;
    buf_init(out, (size_t)strtoull(argv[4], NULL, 10));
    TRY(walls_begin(e));
    if (task->prepare)
        TRY(task->prepare(e));
    TRY(map_input(parts, &n_parts, e));
    TRY(walls_close((size_t)strtoull(argv[3], NULL, 10), strtoll(argv[5], NULL, 10), task->files_absent, e));
    return task->run(parts, n_parts, out, e);
}

static _Noreturn void child(char **argv, const struct sandbox_task *const *tasks)
{
    struct buf out;
    struct error e;
    size_t i = 0;
    while (tasks[i] && strcmp(tasks[i]->name, argv[2]) != 0)
        i++;
    check(tasks[i]);
    if (run(tasks[i], argv, &out, &e) != STATUS_OK)
        answer_error(&e);
    answer(SANDBOX_RESULT, STATUS_OK, out.data, out.len);
}

static atomic_bool can_host;

bool sandbox_can_host(void)
{
    return atomic_load(&can_host);
}

void sandbox_init(int argc, char **argv, const struct sandbox_task *const *tasks)
{
    if (argc == SANDBOX_ARGUMENTS && strcmp(argv[1], SANDBOX_CHILD) == 0)
        child(argv, tasks);
    atomic_store(&can_host, true);
}
