/* server/http/guard.c
 *
 * What the library lets through and a proxy in front may read otherwise.  libmicrohttpd 0.9.75 takes the first of two
 * Content-Length headers and answers both halves of Content-Length with Transfer-Encoding, in strict mode too, which is
 * how one request becomes two (CWE-444).  Here anything ambiguous is a 400 and the end of the connection.
 *
 * Host and Origin are checked because the service trusts who reaches it on loopback: a web page in a browser on the
 * same machine must not, neither by a name that it points at 127.0.0.1 nor by a form that posts there. */
#include "server/http/http_private.h"

#include <arpa/inet.h>
#include <string.h>

struct header_facts {
    size_t n_length, n_encoding, n_host;
    const char *length, *encoding, *host;
    const char *bad;                   /* what is wrong with a name or value, NULL: nothing */
};

/* RFC 9110 5.6.2. */
static const bool in_token[256] = {
    ['!'] = true, ['#' ... '\''] = true, ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['0' ... '9'] = true,
    ['A' ... 'Z'] = true, ['^' ... 'z'] = true, ['|'] = true, ['~'] = true,
};

static bool is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!in_token[(unsigned char)s[i]])
            return false;
    return len > 0;
}

static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7F)
            return false;
    return true;
}

static enum MHD_Result look_at_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                      const char *value, size_t value_len)
{
    struct header_facts *f = ctx;
    (void)kind;
    if (!value) {
        value = "";
        value_len = 0;
    }
    if (!is_token(name, name_len))
        f->bad = "a header name is not a token";
    else if (!is_plain(value, value_len))
        f->bad = "a header value has control characters";
    else if (strcasecmp(name, "Content-Length") == 0)
        f->n_length++, f->length = value;
    else if (strcasecmp(name, "Transfer-Encoding") == 0)
        f->n_encoding++, f->encoding = value;
    else if (strcasecmp(name, "Host") == 0)
        f->n_host++, f->host = value;
    return MHD_YES;
}

static bool is_number(const char *s)
{
    size_t len = strspn(s, "0123456789");
    return len > 0 && len <= 18 && s[len] == '\0';
}

/* What is ambiguous about the request's frame; NULL: nothing. */
static const char *framing_fault(const struct header_facts *f, bool http_1_0)
{
    if (f->bad)
        return f->bad;
    if (f->n_length > 1)
        return "more than one Content-Length";
    if (f->n_length && !is_number(f->length))
        return "Content-Length is not a number";
    if (f->n_encoding && f->n_length)
        return "both Content-Length and Transfer-Encoding";
    if (f->n_encoding > 1 || (f->n_encoding && strcasecmp(f->encoding, "chunked") != 0))
        return "a Transfer-Encoding other than chunked";
    if (f->n_encoding && http_1_0)
        return "Transfer-Encoding in HTTP/1.0";
    if (f->n_host > 1 || (f->n_host == 0 && !http_1_0))
        return "not exactly one Host";
    return NULL;
}

/* Splits "name:port" or "[v6]:port"; false when it is neither. */
static bool host_name(const char *host, char *name, size_t cap)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    if (!end || end == host)
        return false;
    const char *begin = host[0] == '[' ? host + 1 : host, *tail = host[0] == '[' ? end + 1 : end;
    size_t len = (size_t)(end - begin);
    if (len == 0 || len >= cap || (*tail != '\0' && (*tail != ':' || tail[1 + strspn(tail + 1, "0123456789")] != '\0')))
        return false;
    memcpy(name, begin, len);
    name[len] = '\0';
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_%")] == '\0';
}

static bool ends_with(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcasecmp(s + n - m, tail) == 0;
}

/* A name that somebody else may own in the public DNS could point here: only numeric addresses, names without a dot,
 * *.localhost and the configured ones are answered. */
static bool host_is_ours(const struct http *h, const char *name)
{
    uint8_t address[16];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return true;
    if (!strchr(name, '.') || ends_with(name, ".localhost"))
        return true;
    for (size_t i = 0; i < h->options.n_hosts; i++)
        if (strcasecmp(h->options.hosts[i], name) == 0)
            return true;
    return false;
}

/* Browsers send Origin with every POST; it must name the host that was asked. */
static bool origin_is_ours(const char *origin, const char *host)
{
    const char *rest = strncasecmp(origin, "http://", 7) == 0 ? origin + 7
                     : strncasecmp(origin, "https://", 8) == 0 ? origin + 8 : NULL;
    return rest && strcasecmp(rest, host) == 0;
}

static bool guard_names(struct exchange *x, const char *host)
{
    char name[256];
    if (!host_name(host, name, sizeof name)) {
        respond_problem(&x->q, &x->r, "malformed_request", NULL, "The Host header is not a host name.");
        return false;
    }
    if (!host_is_ours(x->http, name)) {
        respond_problem(&x->q, &x->r, "host_not_allowed", NULL,
                        "This service does not answer for the host name '%s'; use its address, or list the name in "
                        "allowed_host.", name);
        return false;
    }
    const char *origin = request_header(&x->q, "Origin");
    if (origin && x->q.method != HTTP_GET && x->q.method != HTTP_HEAD && !origin_is_ours(origin, host)) {
        respond_problem(&x->q, &x->r, "cross_origin", NULL, "A page of another origin may not change things here.");
        return false;
    }
    return true;
}

bool guard_headers(struct exchange *x, const char *version, bool *close)
{
    struct header_facts facts = {0};
    bool http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, look_at_header, &facts);
    const char *fault = strncmp(version, "HTTP/1.", 7) == 0 ? framing_fault(&facts, http_1_0) : "not HTTP/1.0 or 1.1";
    *close = fault != NULL;
    if (fault) {
        respond_problem(&x->q, &x->r, "malformed_request", NULL, "The request is refused: %s.", fault);
        return false;
    }
    return facts.n_host == 0 || guard_names(x, facts.host);
}

int64_t guard_body_bytes(const struct exchange *x)
{
    const char *length = request_header(&x->q, MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t bytes = 0;
    if (request_header(&x->q, MHD_HTTP_HEADER_TRANSFER_ENCODING))
        return -1;
    for (; length && *length; length++)
        bytes = bytes * 10 + (*length - '0');          /* guard_headers saw at most 18 digits */
    return bytes;
}
