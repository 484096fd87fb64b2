/* server/jobs/webhook_spec.c
 *
 * The member `webhook` of a job or pipeline: checked when it is submitted, so that nobody waits for a call that may never be
 * made. */
#include "server/jobs/engine.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { URL_MAX = 2000, HOST_MAX = 255, SECRET_NAME_MAX = 64 };

/* "host" or "host:port" of an http(s) URL without user, in lower case; false when it is none. */
static bool host_of(const char *url, char host[HOST_MAX + 8], size_t *n_name)
{
    const char *at = strncmp(url, "https://", 8) == 0 ? url + 8 : strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
    size_t n = at ? strcspn(at, "/?#") : 0;
    if (n == 0 || n >= HOST_MAX || strlen(url) > URL_MAX || memchr(at, '@', n) || memchr(at, '\\', n))
        return false;
    for (const char *c = url; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    for (size_t i = 0; i < n; i++)
        host[i] = (char)tolower((unsigned char)at[i]);
    host[n] = '\0';
    const char *port = host[0] == '[' ? strchr(host, ']') : host;
    port = port ? strchr(port, ':') : NULL;
    *n_name = port ? (size_t)(port - host) : n;
    return *n_name > 0 && (!port || (strspn(port + 1, "0123456789") == strlen(port + 1) && port[1]));
}

bool webhook_url_allowed(const char *url, const char *const *hosts, size_t n_hosts)
{
    char host[HOST_MAX + 8];
    size_t n;
    if (!host_of(url, host, &n))
        return false;
    for (size_t i = 0; i < n_hosts; i++) {
        const char *pattern = hosts[i];
        size_t len = strlen(pattern);
        bool below = strncmp(pattern, "*.", 2) == 0;
        if (strcasecmp(pattern, host) == 0 || (len == n && strncasecmp(pattern, host, n) == 0))
            return true;
        if (below && n > len - 1 && strncasecmp(pattern + 1, host + n - (len - 1), len - 1) == 0)
            return true;
    }
    return false;
}

static void read_events(struct arena *a, const struct json *v, const char *where, struct job_webhook *out,
                        struct json_problems *problems, struct error *e, enum status *s)
{
    out->events = "[\"end\"]";
    if (!v)
        return;
    bool good = json_type_of(v) == JSON_ARRAY_ && json_count(v) > 0 && json_count(v) <= JOB_STATES + 1;
    for (size_t i = 0; good && i < json_count(v); i++) {
        const char *name = json_str(json_at(v, i), "");
        good = strcmp(name, "end") == 0 || job_state_parse(name) >= 0;
    }
    if (!good)
        json_problem_add(problems, where, "choice", "is an array of states of a job, or \"end\" for the final ones");
    else
        *s = json_text(a, v, &out->events, e);
}

static bool is_secret_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= SECRET_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

enum status webhook_read(const struct jobs *j, struct arena *a, const struct json *body, const struct job_webhook **out,
                         struct json_problems *problems, struct error *e)
{
    static const char *const members[] = {"url", "events", "secret_ref", NULL};
    const struct json *v = json_get(body, "webhook"), *secret = json_get(v, "secret_ref");
    const char *url = json_str(json_get(v, "url"), NULL);
    enum status s = STATUS_OK;
    *out = NULL;
    if (!v)
        return STATUS_OK;
    if (json_type_of(v) != JSON_OBJECT_) {
        json_problem_add(problems, "/webhook", "type", "must be an object, not %s", json_type_name(json_type_of(v)));
        return STATUS_OK;
    }
    struct job_webhook *w = ARENA_NEW(a, struct job_webhook, 1);
    if (!w)
        return error_set(e, STATUS_NOMEM, "no memory for a webhook");
    json_check_members(v, members, "/webhook", problems);
    read_events(a, json_get(v, "events"), "/webhook/events", w, problems, e, &s);
    TRY(s);
    if (!url)
        json_problem_add(problems, "/webhook/url", "required", "is required: an http:// or https:// URL");
    else if (!webhook_url_allowed(url, j->webhook_hosts, j->n_webhook_hosts))
        json_problem_add(problems, "/webhook/url", "host_forbidden", "its host is not in the service's setting webhook_host");
    if (secret && !is_secret_name(json_str(secret, "")))
        json_problem_add(problems, "/webhook/secret_ref", "text", "is a name of 1 to %d letters, digits, '_' and '-'",
                         SECRET_NAME_MAX);
    w->url = url ? arena_strdup(a, url) : "";
    w->secret_ref = secret ? arena_strdup(a, json_str(secret, "")) : NULL;
    if (!w->url || (secret && !w->secret_ref))
        return error_set(e, STATUS_NOMEM, "no memory for a webhook");
    *out = w;
    return STATUS_OK;
}
