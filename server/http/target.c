/* server/http/target.c
 *
 * The request target, from bytes.  The library would decode "%00" to the end of a string and match "/healthz%00z" as
 * "/healthz", so the target is parsed here, from what was sent, and refused when it is anything but plain. */
#include "server/http/router.h"

#include <string.h>

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes in place; `plus` makes '+' a space, as in queries.  The result must be UTF-8 without control characters. */
static enum status decode(char *text, size_t len, bool plus, size_t *out_len, struct error *e)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 1 < len ? hex_digit(text[i + 1]) : -1, low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return error_set(e, STATUS_ARGUMENT, "'%%' is not followed by two hexadecimal digits");
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        text[to++] = c;
    }
    text[to] = '\0';
    *out_len = to;
    if (!text_is_clean(text, to))
        return error_set(e, STATUS_ARGUMENT, "an escape stands for a control character or is not UTF-8");
    return STATUS_OK;
}

static enum status parse_query(struct arena *a, struct target *t, struct error *e)
{
    char *at = arena_strdup(a, t->query_text);
    if (!at)
        return error_set(e, STATUS_NOMEM, "no memory for the query");
    while (at && *at) {
        char *next = strchr(at, '&');
        if (next)
            *next++ = '\0';
        char *equals = strchr(at, '=');
        char *value = equals ? equals + 1 : at + strlen(at);
        size_t len;
        if (t->n_query == QUERY_MAX)
            return error_set(e, STATUS_ARGUMENT, "more than %d query parameters", (int)QUERY_MAX);
        TRY(decode(value, strlen(value), true, &len, e));
        TRY(decode(at, equals ? (size_t)(equals - at) : strlen(at), true, &len, e));
        for (size_t i = 0; i < t->n_query; i++)
            if (strcmp(t->query[i].name, at) == 0)
                return error_set(e, STATUS_ARGUMENT, "query parameter '%s' is given twice", at);
        t->query[t->n_query++] = (struct query_pair){at, value};
        at = next;
    }
    return STATUS_OK;
}

static enum status parse_segments(struct arena *a, struct target *t, struct error *e)
{
    char *at = arena_strdup(a, t->path);
    if (!at)
        return error_set(e, STATUS_NOMEM, "no memory for the path");
    for (at++; at;) {
        char *next = strchr(at, '/');
        if (next)
            *next++ = '\0';
        size_t len;
        TRY(decode(at, strlen(at), false, &len, e));
        if (t->n_segments == SEGMENTS_MAX) {
            t->n_segments = 0;
            return STATUS_OK;
        }
        t->segments[t->n_segments++] = (struct segment){at, len};
        at = next;
    }
    return STATUS_OK;
}

/* RFC 9112 3.2.2: a server must take the absolute form as well. */
static const char *after_authority(const char *s)
{
    if (strncasecmp(s, "http://", 7) != 0)
        return s;
    size_t host = strcspn(s + 7, "/?");
    return s[7 + host] == '/' ? s + 7 + host : "/";
}

enum status target_parse(struct arena *a, const uint8_t *text, size_t len, struct target *out, struct error *e)
{
    *out = (struct target){.path = "/", .query_text = ""};
    if (len == 0 || len > TARGET_BYTES_MAX)
        return error_set(e, STATUS_ARGUMENT, "the request target is empty or longer than %d bytes",
                         (int)TARGET_BYTES_MAX);
    for (size_t i = 0; i < len; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7F || text[i] == '#')
            return error_set(e, STATUS_ARGUMENT, "byte 0x%02x at offset %zu does not belong into a request target",
                             text[i], i);
    char *copy = arena_strndup(a, (const char *)text, len);
    if (!copy)
        return error_set(e, STATUS_NOMEM, "no memory for the request target");
    const char *start = after_authority(copy);
    if (start[0] != '/')
        return error_set(e, STATUS_ARGUMENT, "the request target does not begin with '/'");
    char *question = strchr(start, '?');
    if (question) {
        *question = '\0';
        out->query_text = question + 1;
    }
    out->path = start;
    TRY(parse_segments(a, out, e));
    return parse_query(a, out, e);
}
