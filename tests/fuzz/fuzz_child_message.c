/* tests/fuzz/fuzz_child_message.c
 *
 * Frames between a job's process and the engine: the first byte says which of the readers of a body is tried, after a
 * frame's header; whatever the bytes, a reader ends with all of a body or says that it is bad. */
#include "server/jobs/message.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FUZZ_NAME "child_message"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that a body can hold, in an order that the bytes choose. */
static void read_body(struct message_in *m)
{
    for (size_t i = 0; i < 64 && !m->bad && m->at < m->body.len; i++)
        switch (m->body.data[m->at] % 5) {
        case 0: (void)get_u32(m); break;
        case 1: (void)get_i64(m); break;
        case 2: (void)get_f64(m); break;
        case 3: {
            const char *s = get_text(m);
            check(!s || strlen(s) <= m->body.len);
            break;
        }
        default: {
            struct span s = get_bytes(m);
            check(!s.data || (s.data >= m->body.data && s.len <= (size_t)(m->body.data + m->body.len - s.data)));
            break;
        }
        }
    check(m->at <= m->body.len);
    check(!message_whole(m) || m->at == m->body.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct buf body;
    struct error e;
    int fds[2];
    arena_init(&a, 1 << 20);
    buf_init(&body, 1 << 16);
    if (size < 60000 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0) {
        enum message_type type;
        bool end = false;
        check(size == 0 || send(fds[0], data, size, 0) == (ssize_t)size);
        close(fds[0]);
        while (!end && message_receive(fds[1], &type, &body, &end, &e) == STATUS_OK)
            if (!end) {
                struct message_in m = message_in(&body, &a);
                read_body(&m);
                arena_reset(&a);
            }
        close(fds[1]);
    }
    buf_fini(&body);
    arena_fini(&a);
    return 0;
}

#include "tests/fuzz/replay.h"
