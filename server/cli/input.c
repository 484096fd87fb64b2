/* server/cli/input.c
 *
 * Delphes files for the commands. */
#include "server/cli/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A URL on the command line is leave to reach its host (also a private one), and public hosts that it redirects to. */
static enum status allow_host(const char *url, struct error *e)
{
    char host[300];
    const char *start = strstr(url, "://");
    if (!start)
        return STATUS_OK;
    start += 3;
    size_t n = strcspn(start, "/?#");
    if (n == 0 || n >= sizeof host)
        return STATUS_OK;                             /* opening says what is wrong with it */
    memcpy(host, start, n);
    host[n] = '\0';
    const char *const hosts[] = {host, "*"};
    enum status s = source_policy_set(&(struct source_policy){.hosts = hosts, .n_hosts = ARRAY_LEN(hosts)}, e);
    return s == STATUS_ARGUMENT ? STATUS_OK : s;      /* the same */
}

enum status input_source(const char *url, struct source **out, struct error *e)
{
    TRY(allow_host(url, e));
    return source_open(url, out, e);
}

enum status input_open(struct input *in, const char *url, const char *tree, struct error *e)
{
    *in = (struct input){0};
    event_batch_init(&in->batch);
    TRY(input_source(url, &in->source, e));
    TRY(delphes_open(in->source, tree, NULL, &in->delphes, e));
    in->n_entries = delphes_entries(in->delphes);
    return STATUS_OK;
}

void input_close(struct input *in)
{
    event_batch_fini(&in->batch);
    delphes_close(in->delphes);
    source_close(in->source);
}

/* A number of entries at *p, which is moved behind it; `otherwise` when there is none. */
static bool read_entry(const char **p, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (**p < '0' || **p > '9')
        return true;
    char *end;
    errno = 0;
    *out = strtoll(*p, &end, 10);
    *p = end;
    return errno == 0;
}

bool input_entries(const char *text, int64_t *first, int64_t *end)
{
    *first = 0;
    *end = INT64_MAX;
    if (!text)
        return true;
    const char *p = text;
    if (*p == '\0' || !read_entry(&p, 0, first))
        return false;
    if (*p == '\0') {
        *end = *first + 1;
        return true;
    }
    if (*p++ != ':' || !read_entry(&p, INT64_MAX, end))
        return false;
    return *p == '\0' && *first <= *end;
}

enum status input_range(const struct input *in, int64_t first, int64_t *end, struct error *e)
{
    if (first > in->n_entries || (first == in->n_entries && first > 0))
        return error_set(e, STATUS_RANGE, "%s has entries 0 to %lld", source_name(in->source),
                         (long long)in->n_entries - 1);
    if (*end > in->n_entries)
        *end = in->n_entries;
    return STATUS_OK;
}
