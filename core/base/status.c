/* core/base/status.c
 *
 * Status texts, errors that gather context on their way out, and the assertion for wrong programs. */
#include "core/base.h"

#include "core/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
    bool retryable;
} statuses[] = {
#define X(name, text, retryable) {#name, text, retryable},
    STATUS_TABLE(X)
#undef X
};

const char *status_name(enum status s)
{
    check((size_t)s < ARRAY_LEN(statuses));
    return statuses[s].name;
}

const char *status_text(enum status s)
{
    check((size_t)s < ARRAY_LEN(statuses));
    return statuses[s].text;
}

bool status_retryable(enum status s)
{
    check((size_t)s < ARRAY_LEN(statuses));
    return statuses[s].retryable;
}

enum status error_set(struct error *e, enum status s, const char *fmt, ...)
{
    char text[ERROR_TEXT_MAX];               /* not e->text: an argument may point into it */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text_clean(text);
    e->status = s;
    text_copy(e->text, sizeof e->text, text);
    return s;
}

static enum status status_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT: return STATUS_NOSPACE;
    case ENOENT: return STATUS_NOTFOUND;
    case ENOMEM: return STATUS_NOMEM;
    default: return STATUS_IO;
    }
}

enum status error_errno(struct error *e, const char *fmt, ...)
{
    int number = errno;
    char text[ERROR_TEXT_MAX], reason[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return error_set(e, status_of_errno(number), "%s: %s", text, strerror_r(number, reason, sizeof reason));
}

enum status error_wrap(struct error *e, const char *fmt, ...)
{
    char text[2 * ERROR_TEXT_MAX];           /* both parts whole; what is too long is cut behind */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, ERROR_TEXT_MAX - 2, fmt, args);
    va_end(args);
    strcat(strcat(text, ": "), e->text);
    text_clean(text);
    text_copy(e->text, sizeof e->text, text);
    return e->status;
}

_Noreturn void check_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, cond);
    abort();
}
