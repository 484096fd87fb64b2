/* server/jobs/message.c
 *
 * Frames between a job's process and the engine. */
#include "server/jobs/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define NO_TEXT UINT32_MAX

static const char *const names[] = {
#define X(name) #name,
    MESSAGE_TYPES(X)
#undef X
};

const char *message_name(enum message_type t)
{
    return (unsigned)t < N_MESSAGE_TYPES ? names[t] : "?";
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

void message_out_init(struct message_out *m)
{
    buf_init(&m->body, MESSAGE_BODY_MAX);
    m->bad = false;
}

void message_out_fini(struct message_out *m)
{
    buf_fini(&m->body);
}

static void put(struct message_out *m, const void *p, size_t n)
{
    struct error e;
    m->bad |= buf_append(&m->body, p, n, &e) != STATUS_OK;
}

void put_u32(struct message_out *m, uint32_t v)
{
    uint8_t b[4];
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(v >> 8 * i);
    put(m, b, sizeof b);
}

void put_i64(struct message_out *m, int64_t v)
{
    put_u32(m, (uint32_t)(uint64_t)v);
    put_u32(m, (uint32_t)((uint64_t)v >> 32));
}

void put_f64(struct message_out *m, double v)
{
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_i64(m, bits);
}

void put_bytes(struct message_out *m, const void *p, size_t n)
{
    if (n > MESSAGE_BODY_MAX) {
        m->bad = true;
        return;
    }
    put_u32(m, (uint32_t)n);
    if (n > 0)
        put(m, p, n);
}

void put_text(struct message_out *m, const char *s)
{
    if (s)
        put_bytes(m, s, strlen(s));
    else
        put_u32(m, NO_TEXT);
}

enum status message_send(int fd, enum message_type type, const struct message_out *m, struct error *e)
{
    uint8_t header[MESSAGE_HEADER_BYTES] = {'D', 'J', (uint8_t)type, 0};
    size_t len = m ? m->body.len : 0, sent = 0, all = sizeof header + len;
    if (m && m->bad)
        return error_set(e, STATUS_NOMEM, "a message %s is too long", message_name(type));
    for (int i = 0; i < 4; i++)
        header[4 + i] = (uint8_t)(len >> 8 * i);
    while (sent < all) {
        size_t of_header = sent < sizeof header ? sizeof header - sent : 0, of_body = sent - (sizeof header - of_header);
        struct iovec parts[2] = {{header + sizeof header - of_header, of_header},
                                 {len ? m->body.data + of_body : NULL, len - of_body}};
        struct msghdr message = {.msg_iov = of_header ? parts : parts + 1, .msg_iovlen = of_header ? 2 : 1};
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return error_errno(e, "sending %s", message_name(type));
        sent += n > 0 ? (size_t)n : 0;
    }
    return STATUS_OK;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

struct message_in message_in(const struct buf *body, struct arena *a)
{
    return (struct message_in){.body = {body->data, body->len}, .a = a};
}

static const uint8_t *take(struct message_in *m, size_t n)
{
    if (m->bad || n > m->body.len - m->at) {
        m->bad = true;
        return NULL;
    }
    const uint8_t *p = m->body.data + m->at;
    m->at += n;
    return p;
}

uint32_t get_u32(struct message_in *m)
{
    const uint8_t *p = take(m, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

int64_t get_i64(struct message_in *m)
{
    uint64_t low = get_u32(m), high = get_u32(m);
    return m->bad ? 0 : (int64_t)(high << 32 | low);
}

double get_f64(struct message_in *m)
{
    int64_t bits = get_i64(m);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

struct span get_bytes(struct message_in *m)
{
    uint32_t n = get_u32(m);
    if (m->bad || n == NO_TEXT)
        return (struct span){NULL, 0};
    const uint8_t *p = take(m, n);
    return (struct span){p, p ? n : 0};
}

const char *get_text(struct message_in *m)
{
    struct span s = get_bytes(m);
    if (!s.data)
        return NULL;
    const char *text = memchr(s.data, 0, s.len) ? NULL : arena_strndup(m->a, (const char *)s.data, s.len);
    m->bad |= !text;
    return text;
}

bool message_whole(const struct message_in *m)
{
    return !m->bad && m->at == m->body.len;
}

bool message_header(const uint8_t b[MESSAGE_HEADER_BYTES], enum message_type *type, size_t *len)
{
    *type = (enum message_type)b[2];
    *len = (size_t)b[4] | (size_t)b[5] << 8 | (size_t)b[6] << 16 | (size_t)b[7] << 24;
    return b[0] == 'D' && b[1] == 'J' && b[2] < N_MESSAGE_TYPES && b[3] == 0;
}

/* Exactly n bytes; *end: the other side closed before the first. */
static enum status receive(int fd, uint8_t *to, size_t n, bool *end, struct error *e)
{
    size_t have = 0;
    *end = false;
    while (have < n) {
        ssize_t got = recv(fd, to + have, n - have, 0);
        if (got < 0 && errno != EINTR)
            return error_errno(e, "receiving");
        if (got == 0) {
            *end = have == 0;
            return *end ? STATUS_OK : error_set(e, STATUS_IO, "the other side closed within a message");
        }
        have += got > 0 ? (size_t)got : 0;
    }
    return STATUS_OK;
}

enum status message_receive(int fd, enum message_type *type, struct buf *body, bool *end, struct error *e)
{
    uint8_t header[MESSAGE_HEADER_BYTES];
    size_t len;
    bool cut;
    body->len = 0;
    TRY(receive(fd, header, sizeof header, end, e));
    if (*end)
        return STATUS_OK;
    if (!message_header(header, type, &len))
        return error_set(e, STATUS_FORMAT, "not a message: %02x %02x %02x %02x", header[0], header[1], header[2], header[3]);
    if (len > body->max)
        return error_set(e, STATUS_RANGE, "a message %s of %zu bytes", message_name(*type), len);
    TRY(buf_reserve(body, len + 1, e));
    TRY(receive(fd, body->data, len, &cut, e));
    if (cut && len > 0)
        return error_set(e, STATUS_IO, "the other side closed within a message");
    body->len = len;
    return STATUS_OK;
}
