/* server/json/json_write.c
 *
 * JSON as text.  Our own writer rather than jansson's, which prints 0.1 as 0.10000000000000001: here a number has the
 * fewest digits that read back equal, and equal values have equal text, so that a spec's hash means something. */
#include "server/json/json_private.h"

#include <stdlib.h>
#include <string.h>

bool json_is_complete(const struct json *value)
{
    const json_t *v = raw(value);
    if (json_is_incomplete(v))
        return false;
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++)
            if (!json_is_complete(wrap(json_array_get(v, i))))
                return false;
    } else if (json_is_object(v)) {
        json_t *o = raw(value);
        for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i))
            if (!json_is_complete(wrap(json_object_iter_value(i))))
                return false;
    }
    return true;
}

/* `indent` < 0: compact. */
static enum status write_value(json_t *v, int indent, struct buf *out, struct error *e);

static enum status write_text(const char *s, size_t len, struct buf *out, struct error *e)
{
    TRY(buf_append(out, "\"", 1, e));
    for (size_t i = 0, plain; i < len; i++) {
        for (plain = i; plain < len && (uint8_t)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\';)
            plain++;
        TRY(buf_append(out, s + i, plain - i, e));
        i = plain;
        if (i == len)
            break;
        if (s[i] == '"' || s[i] == '\\')
            TRY(buf_printf(out, e, "\\%c", s[i]));
        else if (s[i] == '\n')
            TRY(buf_append(out, "\\n", 2, e));
        else
            TRY(buf_printf(out, e, "\\u%04x", (unsigned)(uint8_t)s[i]));
    }
    return buf_append(out, "\"", 1, e);
}

/* A real keeps a point or an exponent, so that it reads back as a real. */
static enum status write_real(double v, struct buf *out, struct error *e)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return buf_printf(out, e, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static enum status new_line(int indent, struct buf *out, struct error *e)
{
    return indent < 0 ? STATUS_OK : buf_printf(out, e, "\n%*s", indent, "");
}

static enum status write_array(json_t *v, int indent, struct buf *out, struct error *e)
{
    int inner = indent < 0 ? -1 : indent + 2;
    size_t n = json_array_size(v);
    TRY(buf_append(out, "[", 1, e));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            TRY(buf_append(out, ",", 1, e));
        TRY(new_line(inner, out, e));
        TRY(write_value(json_array_get(v, i), inner, out, e));
    }
    if (n > 0)
        TRY(new_line(indent, out, e));
    return buf_append(out, "]", 1, e);
}

static enum status write_object(json_t *v, int indent, struct buf *out, struct error *e)
{
    int inner = indent < 0 ? -1 : indent + 2;
    bool first = true;
    TRY(buf_append(out, "{", 1, e));
    for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i)) {
        const char *key = json_object_iter_key(i);
        if (!first)
            TRY(buf_append(out, ",", 1, e));
        first = false;
        TRY(new_line(inner, out, e));
        TRY(write_text(key, strlen(key), out, e));
        TRY(buf_append(out, ": ", indent < 0 ? 1 : 2, e));
        TRY(write_value(json_object_iter_value(i), inner, out, e));
    }
    if (!first)
        TRY(new_line(indent, out, e));
    return buf_append(out, "}", 1, e);
}

static enum status write_value(json_t *v, int indent, struct buf *out, struct error *e)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return write_object(v, indent, out, e);
    case JSON_ARRAY: return write_array(v, indent, out, e);
    case JSON_STRING: return write_text(json_string_value(v), json_string_length(v), out, e);
    case JSON_INTEGER: return buf_printf(out, e, "%lld", (long long)json_integer_value(v));
    case JSON_REAL: return write_real(json_real_value(v), out, e);
    case JSON_TRUE: return buf_append(out, "true", 4, e);
    case JSON_FALSE: return buf_append(out, "false", 5, e);
    case JSON_NULL: break;
    }
    return buf_append(out, "null", 4, e);
}

static enum status write_whole(const struct json *v, int indent, struct buf *out, struct error *e)
{
    if (!json_is_complete(v))
        return error_set(e, STATUS_NOMEM, "no memory for a JSON value");
    size_t len_before = out->len;
    enum status s = write_value(raw(v), indent, out, e);
    if (s != STATUS_OK)
        out->len = len_before;
    return s;
}

enum status json_write(const struct json *v, struct buf *out, struct error *e)
{
    return write_whole(v, -1, out, e);
}

enum status json_write_pretty(const struct json *v, struct buf *out, struct error *e)
{
    return write_whole(v, 0, out, e);
}
