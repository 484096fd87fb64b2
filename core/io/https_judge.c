/* core/io/https_judge.c
 *
 * What an answer means that is not the file: redirects, refusals, servers in trouble. */
#include "core/io/https.h"

#include <string.h>

/* The request goes to where the answer points, if that is allowed. */
static enum https_verdict follow(struct https_request *r, struct https_target *target, const char *location,
                                 struct error *e)
{
    struct https_target to;
    const char *from = target->host.host;
    if (!location || ++r->n_redirects > HTTPS_REDIRECTS_MAX) {
        (void)error_set(e, STATUS_REMOTE, "%s redirects %s", from, location ? "too often" : "to nowhere");
        return VERDICT_FAIL;
    }
    size_t len = strlen(location);
    if (remote_url_parse((const uint8_t *)location, len, &to.host, e) != STATUS_OK ||
        strncmp(to.host.scheme, "http", 4) != 0) {
        (void)error_set(e, STATUS_FORBIDDEN, "%s redirects to what is no http:// or https:// URL of a plain host",
                        from);
        return VERDICT_FAIL;
    }
    if (policy_check_host(&to.host, &to.grant, e) != STATUS_OK) {
        (void)error_wrap(e, "%s redirects elsewhere", from);
        return VERDICT_FAIL;
    }
    char *copy = mem_alloc(len + 1);
    if (!copy) {
        (void)error_set(e, STATUS_NOMEM, "no memory for a redirect");
        return VERDICT_FAIL;
    }
    memcpy(copy, location, len + 1);
    mem_free(r->url);
    r->url = copy;
    *target = to;
    target->url = copy;
    return VERDICT_GO_ON;
}

enum https_verdict https_judge_status(struct https_request *r, struct https_target *target, long code,
                                      const char *location, struct error *e)
{
    const char *host = target->host.host;
    if ((code >= 301 && code <= 303) || code == 307 || code == 308)
        return follow(r, target, location, e);
    if (code == 404 || code == 410) {
        (void)error_set(e, STATUS_NOTFOUND, "%s has no such file (HTTP %ld)", host, code);
    } else if (code == 401 || code == 403) {
        (void)error_set(e, STATUS_FORBIDDEN, "%s does not allow to read it (HTTP %ld): a bearer token goes into "
                        "BEARER_TOKEN or BEARER_TOKEN_FILE", host, code);
    } else if (code == 416) {
        (void)error_set(e, STATUS_IO, "%s says that the range lies outside the file (HTTP 416): has it become shorter?",
                        host);
    } else {
        (void)error_set(e, STATUS_REMOTE, "%s answers with HTTP %ld", host, code);
        if (code >= 500 || code == 408 || code == 425 || code == 429)
            return VERDICT_RETRY;
    }
    return VERDICT_FAIL;
}
