/* core/io/remote_url.c
 *
 * scheme://host[:port]/path, in visible ASCII.  Whatever else a URL may contain by the book (user names, zones of IPv6
 * addresses, backslashes, escapes in host names) is refused: it serves to make a checker and a client see two hosts. */
#include "core/io/remote_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

static const struct scheme_port {
    const char *scheme;
    uint16_t port;
} scheme_ports[] = {{"http", 80}, {"https", 443}, {"root", 1094}, {"roots", 1094}};

static enum status check_text(const uint8_t *text, size_t len, struct error *e)
{
    if (len > REMOTE_URL_BYTES_MAX)
        return error_set(e, STATUS_ARGUMENT, "a URL of %zu bytes, at most %d are allowed", len, REMOTE_URL_BYTES_MAX);
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] >= 127 || text[i] == '\\')
            return error_set(e, STATUS_ARGUMENT, "a URL with byte 0x%02X at %zu: write spaces, backslashes, control "
                             "and non-ASCII characters as %%NN", text[i], i);
    return STATUS_OK;
}

/* Copies lower-cased; false when it does not fit. */
static bool copy_lower(char *dst, size_t cap, const uint8_t *src, size_t len)
{
    if (len >= cap)
        return false;
    for (size_t i = 0; i < len; i++)
        dst[i] = (char)tolower(src[i]);
    dst[len] = '\0';
    return true;
}

static enum status parse_scheme(const uint8_t *text, size_t len, struct remote_url *out, size_t *used, struct error *e)
{
    const uint8_t *colon = memmem(text, len, "://", 3);
    if (!colon)
        return error_set(e, STATUS_ARGUMENT, "a URL starts with scheme://");
    if (copy_lower(out->scheme, sizeof out->scheme, text, (size_t)(colon - text)))
        for (size_t i = 0; i < ARRAY_LEN(scheme_ports); i++)
            if (strcmp(out->scheme, scheme_ports[i].scheme) == 0) {
                out->port = scheme_ports[i].port;
                *used = (size_t)(colon - text) + 3;
                return STATUS_OK;
            }
    return error_set(e, STATUS_UNSUPPORTED, "%.16s:// is not a remote scheme that can be read", out->scheme);
}

static enum status parse_port(const uint8_t *text, size_t len, uint16_t *port, struct error *e)
{
    uint32_t value = 0;
    bool good = len > 0 && len <= 5;
    for (size_t i = 0; good && i < len; i++) {
        good = isdigit(text[i]);
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    if (!good || value == 0 || value > 65535)
        return error_set(e, STATUS_ARGUMENT, "a URL whose port is not a number from 1 to 65535");
    *port = (uint16_t)value;
    return STATUS_OK;
}

/* Labels of letters, digits, '-' and '_' between single dots. */
static bool is_host_name(const char *host)
{
    char before = '.';
    for (const char *p = host; *p; before = *p++) {
        if (*p == '.' ? before == '.' : !isalnum((unsigned char)*p) && *p != '-' && *p != '_')
            return false;
    }
    return before != '.';
}

static enum status parse_host(const uint8_t *text, size_t len, bool brackets, struct remote_url *out, struct error *e)
{
    struct in6_addr v6;
    if (!brackets && len > 1 && text[len - 1] == '.')        /* "host." is the same host */
        len--;
    if (len == 0)
        return error_set(e, STATUS_ARGUMENT, "a URL without a host");
    if (!copy_lower(out->host, sizeof out->host, text, len))
        return error_set(e, STATUS_ARGUMENT, "a URL with a host name of %zu characters, at most %d are allowed", len,
                         REMOTE_HOST_BYTES_MAX);
    if (brackets ? inet_pton(AF_INET6, out->host, &v6) != 1 : !is_host_name(out->host))
        return error_set(e, STATUS_ARGUMENT, "a URL whose host is neither a name nor an address");
    return STATUS_OK;
}

enum status remote_url_parse(const uint8_t *text, size_t len, struct remote_url *out, struct error *e)
{
    size_t at = 0, end, host_end;
    *out = (struct remote_url){.port = 0};
    TRY(check_text(text, len, e));
    TRY(parse_scheme(text, len, out, &at, e));
    for (end = at; end < len && !memchr("/?#", text[end], 3); end++)
        if (text[end] == '@')
            return error_set(e, STATUS_ARGUMENT, "a URL with a user name or password: give a token in the environment "
                             "(BEARER_TOKEN or BEARER_TOKEN_FILE) instead");
    out->path_at = end;
    bool brackets = at < end && text[at] == '[';
    if (brackets) {
        const uint8_t *close = memchr(text + at, ']', end - at);
        if (!close)
            return error_set(e, STATUS_ARGUMENT, "a URL with [ but without ]");
        host_end = (size_t)(close - text);
        TRY(parse_host(text + at + 1, host_end - at - 1, true, out, e));
        host_end++;
    } else {
        const uint8_t *colon = memchr(text + at, ':', end - at);
        host_end = colon ? (size_t)(colon - text) : end;
        TRY(parse_host(text + at, host_end - at, false, out, e));
    }
    if (host_end == end)
        return STATUS_OK;
    if (text[host_end] != ':')
        return error_set(e, STATUS_ARGUMENT, "a URL with text behind ]");
    return parse_port(text + host_end + 1, end - host_end - 1, &out->port, e);
}
