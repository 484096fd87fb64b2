/* server/json/events_in_scan.c
 *
 * Tokens of JSON (RFC 8259) over a cursor.  Recursion is bounded by depth_max, and nothing is allocated: a hostile body
 * costs one pass over its bytes. */
#include "server/json/events_in_scan.h"

#include <string.h>

void scan_init(struct scan *s, const uint8_t *text, size_t len, int depth_max, struct arena *a,
               struct json_problems *problems, struct error *e)
{
    s->begin = s->p = text;
    s->end = text + len;
    s->depth = 0;
    s->depth_max = depth_max;
    s->arena = a;
    s->problems = problems;
    s->e = e;
    s->where[0] = '\0';
    s->where_len = 0;
    s->index = SCAN_NO_INDEX;
}

enum status scan_fail(struct scan *s, const char *expected)
{
    size_t line = 1, column = 1;
    for (const uint8_t *q = s->begin; q < s->p; q++) {
        column = *q == '\n' ? 1 : column + 1;
        line += *q == '\n';
    }
    if (s->p == s->end)
        return error_set(s->e, STATUS_FORMAT, "not JSON: the text ends at line %zu, column %zu, where %s should be",
                         line, column, expected);
    if (*s->p > 0x20 && *s->p < 0x7f)
        return error_set(s->e, STATUS_FORMAT, "not JSON: '%c' at line %zu, column %zu, where %s should be", *s->p, line,
                         column, expected);
    return error_set(s->e, STATUS_FORMAT, "not JSON: byte 0x%02x at line %zu, column %zu, where %s should be", *s->p,
                     line, column, expected);
}

void scan_problem(struct scan *s, const char *code, const char *fmt, ...)
{
    char detail[sizeof s->problems->items[0].detail];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    size_t mark = s->where_len;
    if (s->index != SCAN_NO_INDEX)
        (void)scan_enter_index(s, s->index);
    json_problem_add(s->problems, s->where, code, "%s", detail);
    scan_leave(s, mark);
}

/* ---- where --------------------------------------------------------------------------------------------- */

static void where_byte(struct scan *s, char c)
{
    if (s->where_len + 1 < sizeof s->where)
        s->where[s->where_len++] = c;
}

size_t scan_enter(struct scan *s, const char *name, size_t len)
{
    size_t mark = s->where_len;
    where_byte(s, '/');
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)name[i];
        bool is_c1 = c == 0xc2 && i + 1 < len && (uint8_t)name[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || is_c1) {         /* control characters are not shown */
            where_byte(s, '?');
            i += is_c1;
        } else if (c == '~' || c == '/') {            /* RFC 6901 */
            where_byte(s, '~');
            where_byte(s, c == '~' ? '0' : '1');
        } else {
            where_byte(s, (char)c);
        }
    }
    /* A name cut in the middle of a character would make the answer's text malformed. */
    if (s->where_len + 1 == sizeof s->where)
        while (s->where_len > mark && (uint8_t)s->where[s->where_len - 1] >= 0x80)
            s->where_len--;
    s->where[s->where_len] = '\0';
    return mark;
}

size_t scan_enter_index(struct scan *s, size_t i)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%zu", i);
    return scan_enter(s, digits, (size_t)n);
}

void scan_leave(struct scan *s, size_t mark)
{
    s->where_len = mark;
    s->where[mark] = '\0';
}

/* ---- tokens -------------------------------------------------------------------------------------------- */

int scan_peek(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
    return s->p < s->end ? *s->p : 0;
}

bool scan_take(struct scan *s, char c)
{
    if (scan_peek(s) != c)
        return false;
    s->p++;
    return true;
}

enum status scan_end(struct scan *s)
{
    (void)scan_peek(s);
    return s->p == s->end ? STATUS_OK : scan_fail(s, "the end of the text");
}

const char *scan_type_name(int first)
{
    switch (first) {
    case '{': return "an object";
    case '[': return "an array";
    case '"': return "a string";
    case 't':
    case 'f': return "a boolean";
    case 'n': return "null";
    default: return "a number";
    }
}

/* Bytes of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), 0 when there is none. */
static size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
    uint8_t c = *p, lo = 0x80, hi = 0xbf;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || (size_t)(end - p) < n)
        return 0;
    if (c == 0xe0)
        lo = 0xa0;                                    /* overlong */
    if (c == 0xed)
        hi = 0x9f;                                    /* surrogates */
    if (c == 0xf0)
        lo = 0x90;
    if (c == 0xf4)
        hi = 0x8f;                                    /* above U+10FFFF */
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

static enum status hex4(struct scan *s, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        int c = s->p < s->end ? *s->p : 0;
        int v = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
        if (v < 0)
            return scan_fail(s, "a hexadecimal digit");
        *out = *out * 16 + (uint32_t)v;
    }
    return STATUS_OK;
}

static size_t utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | c);
    return n;
}

/* One escape, the cursor behind the backslash.  out[4] receives UTF-8. */
static enum status escape(struct scan *s, char out[4], size_t *n)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    int c = s->p < s->end ? *s->p : 0;
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) {
        s->p++;
        out[0] = meant[found - letters];
        *n = 1;
        return STATUS_OK;
    }
    if (c != 'u')
        return scan_fail(s, "an escape (one of \" \\ / b f n r t u)");
    s->p++;
    uint32_t hi, lo;
    TRY(hex4(s, &hi));
    if (hi >= 0xdc00 && hi < 0xe000)
        return scan_fail(s, "the high half of a surrogate pair before its low half");
    if (hi >= 0xd800 && hi < 0xdc00) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
            return scan_fail(s, "the low half of a surrogate pair");
        s->p += 2;
        TRY(hex4(s, &lo));
        if (lo < 0xdc00 || lo > 0xdfff)
            return scan_fail(s, "the low half of a surrogate pair");
        hi = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
    }
    *n = utf8_encode(hi, out);
    return STATUS_OK;
}

/* The rest of a string that has an escape at the cursor; what came before it is copied first. */
static enum status string_decoded(struct scan *s, const uint8_t *start, struct scan_text *out)
{
    size_t len = 0;
    for (const uint8_t *q = start; q < s->p && len < SCAN_TEXT_MAX; q++)
        s->text[len++] = (char)*q;
    while (s->p < s->end && *s->p != '"') {
        char bytes[4];
        size_t n = 1;
        if (*s->p == '\\') {
            s->p++;
            TRY(escape(s, bytes, &n));
        } else {
            n = *s->p < 0x20 ? 0 : *s->p < 0x80 ? 1 : utf8_length(s->p, s->end);
            if (n == 0)
                return scan_fail(s, "a character of a UTF-8 string");
            memcpy(bytes, s->p, n);
            s->p += n;
        }
        for (size_t i = 0; i < n && len + n - i <= SCAN_TEXT_MAX; i++)
            s->text[len++] = bytes[i];
    }
    if (s->p == s->end)
        return scan_fail(s, "the closing quote of a string");
    s->p++;
    *out = (struct scan_text){s->text, len};
    return STATUS_OK;
}

enum status scan_string(struct scan *s, struct scan_text *out)
{
    if (!scan_take(s, '"'))
        return scan_fail(s, "a string");
    const uint8_t *start = s->p;
    while (s->p < s->end) {
        uint8_t c = *s->p;
        if (c == '"') {
            *out = (struct scan_text){(const char *)start, (size_t)(s->p - start)};
            s->p++;
            return STATUS_OK;
        }
        if (c == '\\')
            return string_decoded(s, start, out);
        size_t n = c < 0x20 ? 0 : c < 0x80 ? 1 : utf8_length(s->p, s->end);
        if (n == 0)
            return scan_fail(s, "a character of a UTF-8 string");
        s->p += n;
    }
    return scan_fail(s, "the closing quote of a string");
}

static enum status deeper(struct scan *s)
{
    if (++s->depth > s->depth_max) {
        scan_problem(s, "too_deep", "objects and arrays inside each other deeper than %d", s->depth_max);
        return error_set(s->e, STATUS_ARGUMENT, "nested deeper than %d at byte %zu", s->depth_max,
                         (size_t)(s->p - s->begin));
    }
    s->p++;
    return STATUS_OK;
}

enum status scan_object(struct scan *s, enum status (*member)(struct scan *s, void *ctx, struct scan_text key),
                        void *ctx, bool *is_object)
{
    if (is_object)
        *is_object = scan_peek(s) == '{';
    if (scan_peek(s) != '{')
        return scan_wrong_type(s, "an object");
    TRY(deeper(s));
    if (!scan_take(s, '}')) {
        do {
            struct scan_text key;
            if (scan_peek(s) != '"')
                return scan_fail(s, "the name of a member");
            TRY(scan_string(s, &key));
            if (!scan_take(s, ':'))
                return scan_fail(s, "':'");
            size_t mark = scan_enter(s, key.s, key.len);
            TRY(member(s, ctx, key));
            scan_leave(s, mark);
        } while (scan_take(s, ','));
        if (!scan_take(s, '}'))
            return scan_fail(s, "',' or '}'");
    }
    s->depth--;
    return STATUS_OK;
}

static enum status skip_member(struct scan *s, void *ctx, struct scan_text key)
{
    (void)ctx;
    (void)key;
    return scan_skip(s);
}

static enum status skip_array(struct scan *s)
{
    TRY(deeper(s));
    if (!scan_take(s, ']')) {
        do
            TRY(scan_skip(s));
        while (scan_take(s, ','));
        if (!scan_take(s, ']'))
            return scan_fail(s, "',' or ']'");
    }
    s->depth--;
    return STATUS_OK;
}

static enum status skip_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return scan_fail(s, "a value");
    s->p += n;
    return STATUS_OK;
}

enum status scan_skip(struct scan *s)
{
    struct scan_text text;
    struct scan_number number;
    bool no_memory = false;
    const uint8_t *next;
    int c = scan_peek(s);
    switch (c) {
    case '{': return scan_object(s, skip_member, NULL, NULL);
    case '[': return skip_array(s);
    case '"': return scan_string(s, &text);
    case 't': return skip_word(s, "true");
    case 'f': return skip_word(s, "false");
    case 'n': return skip_word(s, "null");
    default:
        next = c == '-' || (c >= '0' && c <= '9') ? number_scan(s->p, s->end, s->arena, &number, &no_memory) : NULL;
        if (no_memory)
            return error_set(s->e, STATUS_NOMEM, "no memory for a number of the event");
        if (!next)
            return scan_fail(s, "a value");
        s->p = next;
        return STATUS_OK;
    }
}

enum status scan_unknown(struct scan *s, const char *known)
{
    scan_problem(s, "unknown_member", "not a member here; known are %s", known);
    return scan_skip(s);
}

enum status scan_wrong_type(struct scan *s, const char *expected)
{
    int first = scan_peek(s);
    TRY(scan_skip(s));                                /* first: a syntax error is no problem of type */
    scan_problem(s, "type", "expected %s, found %s", expected, scan_type_name(first));
    return STATUS_OK;
}

enum status scan_name(struct scan *s, const char **out)
{
    struct scan_text t;
    *out = NULL;
    if (scan_peek(s) != '"')
        return scan_wrong_type(s, "a string");
    TRY(scan_string(s, &t));
    if (t.len == 0 || t.len >= SCAN_TEXT_MAX || !text_is_clean(t.s, t.len)) {
        scan_problem(s, "text", "expected 1 to %d characters without control characters", SCAN_TEXT_MAX - 1);
        return STATUS_OK;
    }
    *out = arena_strndup(s->arena, t.s, t.len);
    return *out ? STATUS_OK : error_set(s->e, STATUS_NOMEM, "no memory for a name of the event");
}
