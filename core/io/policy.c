/* core/io/policy.c
 *
 * The process's policy: set once at start, read by each open and connection.  One lock; patterns are few. */
#include "core/io/policy.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses --------------------------------------------------------------------------------------- */

struct prefix4 {
    uint32_t address;
    unsigned bits;
    enum address_kind kind;
};

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* IANA's special-purpose registry (RFC 6890 and later); the first match counts. */
static const struct prefix4 prefixes4[] = {
    {IPV4(169, 254, 0, 0), 16, ADDRESS_NEVER},           /* link-local; 169.254.169.254 is most clouds' metadata */
    {IPV4(100, 100, 100, 200), 32, ADDRESS_NEVER},       /* Alibaba's metadata */
    {IPV4(168, 63, 129, 16), 32, ADDRESS_NEVER},         /* Azure's */
    {IPV4(192, 0, 0, 192), 32, ADDRESS_NEVER},           /* Oracle's */
    {IPV4(0, 0, 0, 0), 8, ADDRESS_NEVER},                /* "this host": connects to loopback */
    {IPV4(224, 0, 0, 0), 4, ADDRESS_NEVER},              /* multicast */
    {IPV4(240, 0, 0, 0), 4, ADDRESS_NEVER},              /* reserved, broadcast */
    {IPV4(127, 0, 0, 0), 8, ADDRESS_LOCAL},
    {IPV4(10, 0, 0, 0), 8, ADDRESS_LOCAL},
    {IPV4(172, 16, 0, 0), 12, ADDRESS_LOCAL},
    {IPV4(192, 168, 0, 0), 16, ADDRESS_LOCAL},
    {IPV4(100, 64, 0, 0), 10, ADDRESS_LOCAL},            /* carrier NAT */
    {IPV4(192, 0, 0, 0), 24, ADDRESS_LOCAL},
    {IPV4(192, 0, 2, 0), 24, ADDRESS_LOCAL},             /* documentation, here and two below */
    {IPV4(198, 51, 100, 0), 24, ADDRESS_LOCAL},
    {IPV4(203, 0, 113, 0), 24, ADDRESS_LOCAL},
    {IPV4(198, 18, 0, 0), 15, ADDRESS_LOCAL},            /* benchmarks */
};

static enum address_kind kind4(uint32_t address)
{
    for (size_t i = 0; i < ARRAY_LEN(prefixes4); i++)
        if ((address ^ prefixes4[i].address) >> (32 - prefixes4[i].bits) == 0)
            return prefixes4[i].kind;
    return ADDRESS_PUBLIC;
}

static uint32_t be32_at(const uint8_t *p)
{
    return IPV4(p[0], p[1], p[2], p[3]);
}

static enum address_kind kind6(const uint8_t a[16])
{
    static const uint8_t zeros[15] = {0}, mapped[12] = {[10] = 0xFF, [11] = 0xFF},
                         nat64[12] = {0x00, 0x64, 0xFF, 0x9B},
                         aws[16] = {0xFD, 0x00, 0x0E, 0xC2, [14] = 0x02, [15] = 0x54};
    if (memcmp(a, aws, 16) == 0)                         /* Amazon's metadata */
        return ADDRESS_NEVER;
    if (memcmp(a, zeros, 15) == 0)
        return a[15] == 1 ? ADDRESS_LOCAL : ADDRESS_NEVER;
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return kind4(be32_at(a + 12));
    if (memcmp(a, zeros, 12) == 0)                       /* "IPv4-compatible", long deprecated */
        return ADDRESS_NEVER;
    if (a[0] == 0x20 && a[1] == 0x02)                    /* 6to4 */
        return kind4(be32_at(a + 2));
    if (a[0] == 0x00 && a[1] == 0x64)                    /* NAT64 with a prefix of the site's own */
        return ADDRESS_LOCAL;
    if (a[0] == 0xFF || (a[0] == 0xFE && (a[1] & 0xC0) == 0x80))
        return ADDRESS_NEVER;                            /* multicast, link-local */
    if ((a[0] & 0xFE) == 0xFC || (a[0] == 0xFE && (a[1] & 0xC0) == 0xC0))
        return ADDRESS_LOCAL;                            /* unique local, old site-local */
    return (a[0] & 0xE0) == 0x20 ? ADDRESS_PUBLIC : ADDRESS_LOCAL;       /* 2000::/3 is what is given out */
}

enum address_kind address_kind(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return kind4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family == AF_INET6)
        return kind6(((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr);
    return ADDRESS_NEVER;
}

/* ---- policy ------------------------------------------------------------------------------------------ */

struct pattern {
    char *host;                                  /* lower case; "*", "*.domain" or a host without brackets */
    uint16_t port;                               /* 0: any */
};

/* An empty folder: what the environment says when it is asked for. */
#define DEFAULT_LIMITS                                                                                            \
    {                                                                                                             \
        .attempts = 6, .first_wait_ms = 200, .wait_max_ms = 20000, .connect_timeout_ms = 10000,                   \
        .stall_timeout_ms = 30000, .cache_bytes = (size_t)32 << 20, .download_bytes_max = (uint64_t)8 << 30       \
    }

struct state {
    struct pattern *patterns;
    size_t n_patterns;
    bool token_to_any_host;
    char setting[128];
    struct policy_limits limits;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct state now = {
    .setting = "the list of allowed hosts",
    .limits = DEFAULT_LIMITS,
};

static void state_fini(struct state *s)
{
    for (size_t i = 0; i < s->n_patterns; i++)
        mem_free(s->patterns[i].host);
    mem_free(s->patterns);
}

/* A pattern is a host with "*" or "*." in front: the URL parser checks the rest. */
static enum status parse_pattern(const char *text, struct pattern *out, struct error *e)
{
    char url[REMOTE_HOST_BYTES_MAX + 64];
    struct remote_url u;
    struct error why;
    bool any = text[0] == '*' && (text[1] == '\0' || text[1] == ':'), below = text[0] == '*' && text[1] == '.';
    const char *rest = any ? text + 1 : below ? text + 2 : text;
    int n = snprintf(url, sizeof url, "http://%s%s", any ? "any" : "", rest);
    bool good = n > 0 && (size_t)n < sizeof url && !strpbrk(rest, "/?#*") &&
                remote_url_parse((const uint8_t *)url, (size_t)n, &u, &why) == STATUS_OK;
    if (!good)
        return error_set(e, STATUS_ARGUMENT, "\"%.100s\" is no pattern of hosts: write host, *.domain or *, with or "
                         "without :port", text);
    const char *colon = strrchr(rest, ':');
    bool has_port = colon && !strchr(colon, ']');
    size_t size = strlen(u.host) + 3;
    out->host = mem_alloc(size);
    if (!out->host)
        return error_set(e, STATUS_NOMEM, "policy of remote hosts");
    snprintf(out->host, size, "%s%s", any ? "*" : below ? "*." : "", any ? "" : u.host);
    out->port = has_port ? u.port : 0;
    return STATUS_OK;
}

static struct policy_limits limits_of(const struct source_policy *p)
{
    struct policy_limits l = DEFAULT_LIMITS;
    l.attempts = p->attempts > 0 ? p->attempts : l.attempts;
    l.first_wait_ms = p->first_wait_ms > 0 ? p->first_wait_ms : l.first_wait_ms;
    l.wait_max_ms = p->wait_max_ms > 0 ? p->wait_max_ms : l.wait_max_ms;
    l.connect_timeout_ms = p->connect_timeout_ms > 0 ? p->connect_timeout_ms : l.connect_timeout_ms;
    l.stall_timeout_ms = p->stall_timeout_ms > 0 ? p->stall_timeout_ms : l.stall_timeout_ms;
    l.cache_bytes = p->cache_bytes > 0 ? p->cache_bytes : l.cache_bytes;
    l.download_bytes_max = p->download_bytes_max > 0 ? p->download_bytes_max : l.download_bytes_max;
    text_copy(l.download_folder, sizeof l.download_folder, p->download_folder ? p->download_folder : "");
    return l;
}

enum status source_policy_set(const struct source_policy *p, struct error *e)
{
    static const struct source_policy none = {.hosts = NULL};
    struct state next = {.patterns = NULL};
    p = p ? p : &none;
    text_copy(next.setting, sizeof next.setting, p->setting ? p->setting : "the list of allowed hosts");
    next.token_to_any_host = p->token_to_any_host;
    next.limits = limits_of(p);
    if (p->n_hosts > 0) {
        next.patterns = mem_calloc(p->n_hosts, sizeof *next.patterns);
        if (!next.patterns)
            return error_set(e, STATUS_NOMEM, "policy of remote hosts");
    }
    for (size_t i = 0; i < p->n_hosts; i++) {
        if (parse_pattern(p->hosts[i], &next.patterns[i], e) != STATUS_OK) {
            state_fini(&next);
            return e->status;
        }
        next.n_patterns++;
    }
    pthread_mutex_lock(&lock);
    struct state before = now;
    now = next;
    pthread_mutex_unlock(&lock);
    state_fini(&before);
    return STATUS_OK;
}

void policy_limits(struct policy_limits *out)
{
    const char *folder = getenv("TMPDIR");
    pthread_mutex_lock(&lock);
    *out = now.limits;
    pthread_mutex_unlock(&lock);
    if (!out->download_folder[0])
        text_copy(out->download_folder, sizeof out->download_folder, folder && *folder ? folder : "/var/tmp");
}

static bool pattern_matches(const struct pattern *p, const struct remote_url *u)
{
    if (p->port != 0 && p->port != u->port)
        return false;
    if (strcmp(p->host, "*") == 0 || strcmp(p->host, u->host) == 0)
        return true;
    size_t host = strlen(u->host), suffix = strlen(p->host) - 1;
    return strncmp(p->host, "*.", 2) == 0 && host > suffix && strcmp(u->host + host - suffix, p->host + 1) == 0;
}

enum status policy_check_host(const struct remote_url *u, struct policy_grant *out, struct error *e)
{
    bool allowed = false, named = false;
    enum status s = STATUS_OK;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < now.n_patterns; i++)
        if (pattern_matches(&now.patterns[i], u)) {
            allowed = true;
            named |= strcmp(now.patterns[i].host, "*") != 0;
        }
    *out = (struct policy_grant){.named = named, .token = named || (allowed && now.token_to_any_host)};
    if (!allowed)
        s = error_set(e, STATUS_FORBIDDEN, "the host %s (port %u) is not allowed: add it to %s", u->host,
                      (unsigned)u->port, now.setting);
    pthread_mutex_unlock(&lock);
    return s;
}

enum status policy_check_address(const char *host, const struct sockaddr *a, const struct policy_grant *grant,
                                 struct error *e)
{
    enum address_kind kind = address_kind(a);
    if (kind == ADDRESS_NEVER)
        return error_set(e, STATUS_FORBIDDEN, "the host %s has an address that is never connected to (link-local, "
                         "metadata, multicast or none)", host);
    if (kind == ADDRESS_LOCAL && !grant->named) {
        pthread_mutex_lock(&lock);
        (void)error_set(e, STATUS_FORBIDDEN, "the host %s has a loopback or private address: name the host itself in "
                        "%s", host, now.setting);
        pthread_mutex_unlock(&lock);
        return STATUS_FORBIDDEN;
    }
    return STATUS_OK;
}
