/* core/io/https_reader.c
 *
 * http(s) sources as readers see them: opening, cutting reads into requests, the token of the environment.  The
 * transfers are source_https.c's. */
#include "core/io/https.h"

#include "core/io/range_cache.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    REQUEST_BYTES_MIN = 1 << 20,                 /* a read is cut so that all connections have a share, but not finer */
    TOKEN_BYTES_MAX = 16 << 10,
};

struct https_source {
    struct source base;
    struct https_engine *engine;
    char *authorization;
};

static enum status read_https(struct source *base, const struct source_range *ranges, size_t n, struct error *e)
{
    struct https_source *s = (struct https_source *)base;
    size_t n_pieces = http_pieces_count(ranges, n), n_requests = 0, bytes = 0;
    if (n_pieces == 0)
        return STATUS_OK;
    struct http_piece *pieces = mem_calloc(n_pieces, sizeof *pieces);
    struct https_request *requests = mem_calloc(n_pieces, sizeof *requests);
    if (!pieces || !requests) {
        mem_free(pieces);
        mem_free(requests);
        return error_set(e, STATUS_NOMEM, "no memory for %zu requests", n_pieces);
    }
    http_pieces_split(ranges, n, pieces);
    for (size_t i = 0; i < n_pieces; i++)
        bytes += pieces[i].len;
    bytes = bytes / HTTPS_CONNECTIONS > REQUEST_BYTES_MIN ? bytes / HTTPS_CONNECTIONS : REQUEST_BYTES_MIN;
    size_t n_spans = n_pieces <= HTTPS_CONNECTIONS ? 1 : https_engine_spans_max(s->engine);
    for (size_t i = 0; i < n_pieces; i += requests[n_requests++].n_pieces)
        requests[n_requests] = (struct https_request){
            .pieces = pieces + i, .n_pieces = http_pieces_take(pieces + i, n_pieces - i, bytes, n_spans)};
    enum status status = https_engine_read(s->engine, requests, n_requests, &base->cancel, e);
    mem_free(pieces);
    mem_free(requests);
    return status;
}

static void close_https(struct source *base)
{
    struct https_source *s = (struct https_source *)base;
    https_engine_destroy(s->engine);
    mem_free(s->authorization);
    mem_free(s);
}

static const struct source_ops https_ops = {.read_ranges = read_https, .close = close_https};

/* ---- opening --------------------------------------------------------------------------------------------- */

/* The header line for the bearer token of the environment, as the WLCG's token discovery has it; NULL: there is
 * none. */
static enum status find_token(char **out, struct error *e)
{
    static const char header[] = "Authorization: Bearer ";
    const char *text = getenv("BEARER_TOKEN"), *path = getenv("BEARER_TOKEN_FILE");
    struct buf b;
    enum status status = STATUS_OK;
    *out = NULL;
    buf_init(&b, TOKEN_BYTES_MAX);
    if (text && *text)
        status = buf_append(&b, text, strlen(text), e);
    else if (path && *path)
        status = file_read(path, &b, e);
    size_t from = 0, to = b.len;
    while (from < to && b.data[from] <= ' ')
        from++;
    while (to > from && b.data[to - 1] <= ' ')
        to--;
    for (size_t i = from; i < to && status == STATUS_OK; i++)
        if (b.data[i] <= ' ' || b.data[i] >= 127)
            status = error_set(e, STATUS_ARGUMENT, "is not one word of ASCII characters");
    if (status == STATUS_OK && to > from) {
        size_t cap = sizeof header + to - from;
        *out = mem_alloc(cap);
        if (*out)
            snprintf(*out, cap, "%s%.*s", header, (int)(to - from), (const char *)b.data + from);
        else
            status = error_set(e, STATUS_NOMEM, "no memory");
    }
    buf_fini(&b);
    if (status != STATUS_OK)
        (void)error_wrap(e, "the bearer token of %s", text && *text ? "BEARER_TOKEN" : "BEARER_TOKEN_FILE");
    return status;
}

/* What opening found becomes a source: the cache over ranges, or the temporary file.  Takes `s` on OK. */
static enum status adopt(struct https_source *s, int fd, const uint8_t *head, const struct policy_limits *limits,
                         struct source **out, struct error *e)
{
    struct range_cache_options options = {.cache_bytes = limits->cache_bytes, .head = {head, CACHE_BLOCK_BYTES}};
    if (fd < 0)
        return range_cache_open(&s->base, &options, out, e);
    TRY(source_open_descriptor(fd, s->base.size, s->base.name, out, e));
    (*out)->n_requests = s->base.n_requests;
    (*out)->n_bytes = s->base.n_bytes;
    (*out)->n_retries = s->base.n_retries;
    close_https(&s->base);
    return STATUS_OK;
}

static enum status open_checked(struct https_source *s, const char *url, struct source **out, struct error *e)
{
    struct https_target origin = {.url = url};
    struct policy_limits limits;
    struct http_identity identity;
    int fd;
    TRY(remote_url_parse((const uint8_t *)url, strlen(url), &origin.host, e));
    source_set_name(&s->base, url);
    TRY(policy_check_host(&origin.host, &origin.grant, e));
    policy_limits(&limits);
    if (origin.grant.token && strcmp(origin.host.scheme, "https") == 0)
        TRY(find_token(&s->authorization, e));
    TRY(https_engine_create(&origin, s->authorization, &limits, &s->base, &s->engine, e));
    uint8_t *head = mem_alloc(CACHE_BLOCK_BYTES);
    if (!head)
        return error_set(e, STATUS_NOMEM, "no memory to open a URL");
    enum status status = https_engine_open(s->engine, head, CACHE_BLOCK_BYTES, &s->base.cancel, &identity, &fd, e);
    if (status == STATUS_OK) {
        s->base.size = identity.size;
        status = adopt(s, fd, head, &limits, out, e);
    }
    mem_free(head);
    return status;
}

enum status source_open_https(const char *url, const struct source_cancel *c, struct source **out, struct error *e)
{
    struct https_source *s = mem_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return error_set(e, STATUS_NOMEM, "no memory to open a URL");
    s->base.ops = &https_ops;
    s->base.cancel = *c;
    if (open_checked(s, url, out, e) == STATUS_OK)
        return STATUS_OK;
    if (s->base.name[0])
        (void)error_wrap(e, "%s", s->base.name);
    close_https(&s->base);
    return e->status;
}
