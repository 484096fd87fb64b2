/* core/io/http_text.c */
#include "core/io/http_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool http_header(const uint8_t *line, size_t len, const char *name, struct span *value)
{
    size_t n = strlen(name);
    if (len <= n || line[n] != ':' || strncasecmp((const char *)line, name, n) != 0)
        return false;
    size_t from = n + 1, to = len;
    while (from < to && is_blank(line[from]))
        from++;
    while (to > from && (is_blank(line[to - 1]) || line[to - 1] == '\r' || line[to - 1] == '\n'))
        to--;
    *value = (struct span){line + from, to - from};
    return true;
}

/* ---- Content-Range ------------------------------------------------------------------------------------- */

struct scan {
    const uint8_t *p, *end;
};

static bool scan_byte(struct scan *s, uint8_t c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* At most 18 digits: below 2^63, and sums of two do not overflow. */
static bool scan_number(struct scan *s, uint64_t *out)
{
    const uint8_t *start = s->p;
    uint64_t v = 0;
    while (s->p < s->end && isdigit(*s->p) && s->p - start < 19)
        v = v * 10 + (uint64_t)(*s->p++ - '0');
    *out = v;
    return s->p > start && s->p - start < 19;
}

bool content_range_parse(const uint8_t *value, size_t len, struct content_range *out)
{
    struct scan s = {value, value + len};
    *out = (struct content_range){.total_known = true};
    if (len < 5 || strncasecmp((const char *)value, "bytes", 5) != 0)
        return false;
    s.p += 5;
    if (s.p == s.end || !is_blank(*s.p))
        return false;
    while (s.p < s.end && is_blank(*s.p))
        s.p++;
    if (scan_byte(&s, '*'))
        out->unsatisfied = true;
    else if (!scan_number(&s, &out->first) || !scan_byte(&s, '-') || !scan_number(&s, &out->last))
        return false;
    if (!scan_byte(&s, '/'))
        return false;
    if (!out->unsatisfied && scan_byte(&s, '*'))
        out->total_known = false;
    else if (!scan_number(&s, &out->total))
        return false;
    if (s.p != s.end)
        return false;
    return out->unsatisfied || (out->first <= out->last && (!out->total_known || out->last < out->total));
}

/* ---- multipart/byteranges ------------------------------------------------------------------------------ */

bool multipart_boundary(const uint8_t *value, size_t len, char out[HTTP_BOUNDARY_BYTES_MAX + 1])
{
    static const char type[] = "multipart/byteranges", name[] = "boundary=";
    size_t n = 0;
    if (len < strlen(type) || strncasecmp((const char *)value, type, strlen(type)) != 0)
        return false;
    struct scan s = {value + strlen(type), value + len};
    while (s.p < s.end && (is_blank(*s.p) || *s.p == ';'))
        s.p++;
    if ((size_t)(s.end - s.p) < strlen(name) || strncasecmp((const char *)s.p, name, strlen(name)) != 0)
        return false;
    s.p += strlen(name);
    bool quoted = scan_byte(&s, '"');
    while (s.p < s.end && *s.p != '"' && (quoted || (*s.p != ';' && !is_blank(*s.p)))) {
        if (n == HTTP_BOUNDARY_BYTES_MAX || *s.p < ' ' || *s.p >= 127)
            return false;
        out[n++] = (char)*s.p++;
    }
    out[n] = '\0';
    return n > 0 && (!quoted || scan_byte(&s, '"'));
}

void multipart_init(struct multipart *m, const char *boundary, uint64_t size)
{
    *m = (struct multipart){.state = MULTIPART_DELIMITER, .size = size};
    snprintf(m->delimiter, sizeof m->delimiter, "--%s", boundary);
}

/* In front of the first delimiter anything short is allowed; later only the line end that belongs to it. */
static enum status take_delimiter(struct multipart *m, size_t len, struct error *e)
{
    size_t n = strlen(m->delimiter);
    if (len >= n && memcmp(m->line, m->delimiter, n) == 0) {
        bool last = len >= n + 2 && memcmp(m->line + n, "--", 2) == 0;
        size_t end = last ? n + 2 : n;
        while (end < len && is_blank(m->line[end]))
            end++;
        if (end == len) {
            m->state = last ? MULTIPART_END : MULTIPART_HEADERS;
            m->inside = true;
            m->have_range = false;
            m->n_lines = 0;
            return STATUS_OK;
        }
    }
    if (++m->n_lines > 16 || (m->inside && len > 0))
        return error_set(e, STATUS_FORMAT, "a multipart answer without its boundary where a part ends");
    return STATUS_OK;
}

static enum status take_header(struct multipart *m, size_t len, struct error *e)
{
    struct span value;
    struct content_range range;
    if (len == 0) {
        if (!m->have_range)
            return error_set(e, STATUS_FORMAT, "a part of a multipart answer without Content-Range");
        m->state = MULTIPART_BODY;
        return STATUS_OK;
    }
    if (++m->n_lines > 32)
        return error_set(e, STATUS_FORMAT, "a part of a multipart answer with more than 32 header lines");
    if (!http_header(m->line, len, "Content-Range", &value))
        return STATUS_OK;
    if (m->have_range || !content_range_parse(value.data, value.len, &range) || range.unsatisfied)
        return error_set(e, STATUS_FORMAT, "a part of a multipart answer with a broken Content-Range");
    if (range.total_known ? range.total != m->size : range.last >= m->size)
        return error_set(e, STATUS_IO, "the file has changed since it was opened: an answer speaks of another size "
                         "than %" PRIu64 " bytes", m->size);
    m->have_range = true;
    m->at = range.first;
    m->left = range.last - range.first + 1;
    return STATUS_OK;
}

/* Adds bytes up to the end of a line; *complete when it is there, without its CR LF. */
static enum status take_line(struct multipart *m, const uint8_t *data, size_t len, size_t *used, bool *complete,
                             struct error *e)
{
    const uint8_t *end = memchr(data, '\n', len);
    size_t n = end ? (size_t)(end - data) : len;
    if (n > sizeof m->line - m->line_len)
        return error_set(e, STATUS_FORMAT, "a line of more than %d bytes in a multipart answer", HTTP_LINE_BYTES_MAX);
    memcpy(m->line + m->line_len, data, n);
    m->line_len += n;
    *complete = end != NULL;
    *used = end ? n + 1 : n;
    if (end && m->line_len > 0 && m->line[m->line_len - 1] == '\r')
        m->line_len--;
    return STATUS_OK;
}

enum status multipart_push(struct multipart *m, const uint8_t *data, size_t len,
                           void (*bytes)(void *ctx, uint64_t at, const uint8_t *data, size_t len), void *ctx,
                           struct error *e)
{
    while (len > 0 && m->state != MULTIPART_END) {
        size_t used = 0;
        if (m->state == MULTIPART_BODY) {
            used = m->left < len ? (size_t)m->left : len;
            bytes(ctx, m->at, data, used);
            m->at += used;
            m->left -= used;
            if (m->left == 0) {
                m->state = MULTIPART_DELIMITER;
                m->n_lines = 0;
            }
        } else {
            bool complete;
            TRY(take_line(m, data, len, &used, &complete, e));
            if (complete) {
                TRY(m->state == MULTIPART_HEADERS ? take_header(m, m->line_len, e) : take_delimiter(m, m->line_len, e));
                m->line_len = 0;
            }
        }
        data += used;
        len -= used;
    }
    return STATUS_OK;
}
