/* core/io/source.c
 *
 * The table of schemes, the checks that every kind of source shares, and the memory source. */
#include "core/source.h"

#include "core/io/source_kinds.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const struct scheme {
    const char *name;
    enum status (*open)(const char *url, const struct source_cancel *c, struct source **out, struct error *e);
} schemes[] = {
    {"file", source_open_file_url},
    {"https", source_open_https},
    {"http", source_open_https},
    {"root", source_open_xroot},
    {"roots", source_open_xroot},            /* the same over TLS */
};

/* Bytes of the scheme in front of "://", 0 for a plain path. */
static size_t scheme_len(const char *url)
{
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return n > 0 && strncmp(url + n, "://", 3) == 0 ? n : 0;
}

enum status source_open(const char *url, struct source **out, struct error *e)
{
    return source_open_cancellable(url, NULL, NULL, out, e);
}

enum status source_open_cancellable(const char *url, bool (*cancelled)(void *ctx), void *ctx, struct source **out,
                                    struct error *e)
{
    struct source_cancel cancel = {cancelled, ctx};
    *out = NULL;
    size_t n = scheme_len(url);
    if (n == 0)
        return source_open_file(url, out, e);
    for (const struct scheme *s = schemes; s < schemes + ARRAY_LEN(schemes); s++)
        if (strlen(s->name) == n && strncasecmp(s->name, url, n) == 0)
            return s->open(url, &cancel, out, e);
    return error_set(e, STATUS_UNSUPPORTED, "%.*s:// is not known: give a path, or a file://, http(s):// or root(s):// "
                     "URL", n > 32 ? 32 : (int)n, url);
}

void source_set_name(struct source *s, const char *url)
{
    size_t len = scheme_len(url) ? strcspn(url, "?#") : strlen(url);
    const char *slash = memrchr(url, '/', len);
    const char *start = slash ? slash + 1 : url;
    len -= (size_t)(start - url);
    snprintf(s->name, sizeof s->name, "%.*s", len >= SOURCE_NAME_MAX ? SOURCE_NAME_MAX - 1 : (int)len, start);
}

void source_close(struct source *s)
{
    if (s)
        s->ops->close(s);
}

void source_set_cancel(struct source *s, bool (*cancelled)(void *ctx), void *ctx)
{
    s->cancel = (struct source_cancel){cancelled, ctx};
}

enum status source_check_cancel(const struct source_cancel *c, struct error *e)
{
    if (c->cancelled && c->cancelled(c->ctx))
        return error_set(e, STATUS_CANCELLED, "reading was cancelled");
    return STATUS_OK;
}

enum status source_check_unchanged(struct source *s, struct error *e)
{
    return s->ops->check_unchanged ? s->ops->check_unchanged(s, e) : STATUS_OK;
}

const char *source_name(const struct source *s) { return s->name; }
uint64_t source_size(const struct source *s) { return s->size; }

struct source_counters source_counters(const struct source *s)
{
    while (s->counted)
        s = s->counted;
    return (struct source_counters){.requests = s->n_requests, .bytes = s->n_bytes, .retries = s->n_retries};
}

enum status source_read(struct source *s, uint64_t offset, void *dst, size_t len, struct error *e)
{
    struct source_range range = {offset, len, dst};
    return source_read_ranges(s, &range, 1, e);
}

enum status source_read_ranges(struct source *s, const struct source_range *ranges, size_t n, struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        const struct source_range *r = &ranges[i];
        if (r->offset > s->size || r->len > s->size - r->offset)
            return error_set(e, STATUS_FORMAT, "%s: wants bytes %" PRIu64 " to %" PRIu64 " of %" PRIu64, s->name,
                             r->offset, r->offset + r->len < r->offset ? UINT64_MAX : r->offset + r->len, s->size);
    }
    if (s->ops->read_ranges(s, ranges, n, e) != STATUS_OK)
        return error_wrap(e, "%s", s->name);
    return STATUS_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

struct memory_source {
    struct source base;
    const uint8_t *data;
};

static enum status read_memory(struct source *s, const struct source_range *ranges, size_t n, struct error *e)
{
    const struct memory_source *m = (const struct memory_source *)s;
    (void)e;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].len > 0)
            memcpy(ranges[i].dst, m->data + ranges[i].offset, ranges[i].len);
        s->n_bytes += ranges[i].len;
    }
    s->n_requests += n;
    return STATUS_OK;
}

static void close_memory(struct source *s)
{
    mem_free(s);
}

static const struct source_ops memory_ops = {.read_ranges = read_memory, .close = close_memory};

enum status source_open_memory(const void *data, size_t len, const char *name, struct source **out, struct error *e)
{
    struct memory_source *m = mem_calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return error_set(e, STATUS_NOMEM, "no memory to open %s", name);
    m->base.ops = &memory_ops;
    m->base.size = len;
    m->data = data;
    source_set_name(&m->base, name);
    *out = &m->base;
    return STATUS_OK;
}
