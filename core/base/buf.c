/* core/base/buf.c
 *
 * Growing buffer.  One byte more than `cap` is allocated, so that printing may leave its terminator behind `len`
 * even when the buffer is full to its maximum. */
#include "core/base.h"

#include <string.h>

enum { CAP_LEAST = 256 };

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){NULL, 0, 0, max_bytes};
}

void buf_fini(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){NULL, 0, 0, b->max};
}

enum status buf_reserve(struct buf *b, size_t more, struct error *e)
{
    if (b->data && more <= b->cap - b->len)
        return STATUS_OK;
    if (b->len > b->max || more > b->max - b->len)
        return error_set(e, STATUS_NOMEM, "buffer of at most %zu bytes holds %zu and cannot take %zu more", b->max,
                         b->len, more);
    size_t need = b->len + more, cap = b->cap > b->max / 2 ? b->max : 2 * b->cap;
    cap = cap < CAP_LEAST ? CAP_LEAST : cap;
    cap = cap > b->max ? b->max : cap;
    cap = cap < need ? need : cap;
    uint8_t *data = cap == SIZE_MAX ? NULL : mem_realloc(b->data, cap + 1);
    if (!data)
        return error_set(e, STATUS_NOMEM, "no memory for a buffer of %zu bytes", cap);
    b->data = data;
    b->cap = cap;
    return STATUS_OK;
}

enum status buf_append(struct buf *b, const void *p, size_t n, struct error *e)
{
    TRY(buf_reserve(b, n, e));
    if (n > 0)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    return STATUS_OK;
}

enum status buf_printf(struct buf *b, struct error *e, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    enum status s = len < 0 ? error_set(e, STATUS_BUG, "text of this format cannot be printed")
                            : buf_reserve(b, (size_t)len, e);
    if (s == STATUS_OK) {
        vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, again);
        b->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
    return s;
}
