/* server/http/router.c
 *
 * Templates and the match.  Grammar of a template: '/' separated segments, each a literal ("jobs"), a parameter
 * ("{id}") or a parameter with an action ("{id}:cancel").  A parameter never matches an empty segment, nor one with a
 * ':' in it, so that an unknown action is an unknown path instead of an odd id. */
#include "server/http/router.h"

#include <string.h>

struct part {
    const char *text;                  /* literal, or the action with its ':' ("" when there is none) */
    size_t len;
    bool is_param;
};
struct pattern {
    struct part parts[SEGMENTS_MAX];
    size_t n_parts;
};
struct router {
    const struct route *table;
    size_t n;
    struct pattern patterns[];
};

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static enum status compile_part(const char *text, size_t len, struct part *out, size_t *n_params, struct error *e)
{
    const char *brace = memchr(text, '{', len);
    if (!brace) {
        *out = (struct part){text, len, false};
        return memchr(text, '}', len) ? error_set(e, STATUS_ARGUMENT, "'}' without '{'") : STATUS_OK;
    }
    const char *end = memchr(text, '}', len);
    if (brace != text || !end || end == text + 1)
        return error_set(e, STATUS_ARGUMENT, "a parameter is a whole segment, as {id}");
    size_t tail = len - (size_t)(end + 1 - text);
    if (tail == 1 || (tail > 0 && end[1] != ':'))
        return error_set(e, STATUS_ARGUMENT, "behind a parameter only an action may follow, as {id}:cancel");
    if (++*n_params > PATH_PARAMS_MAX)
        return error_set(e, STATUS_ARGUMENT, "more than %d parameters", (int)PATH_PARAMS_MAX);
    *out = (struct part){end + 1, tail, true};
    return STATUS_OK;
}

static enum status compile(const char *path, struct pattern *out, struct error *e)
{
    size_t n_params = 0;
    if (path[0] != '/')
        return error_set(e, STATUS_ARGUMENT, "route '%s' does not begin with '/'", path);
    for (const char *at = path; at;) {
        const char *text = at + 1, *next = strchr(text, '/');
        size_t len = next ? (size_t)(next - text) : strlen(text);
        if (out->n_parts == SEGMENTS_MAX)
            return error_set(e, STATUS_ARGUMENT, "route '%s' has more than %d segments", path, (int)SEGMENTS_MAX);
        if (compile_part(text, len, &out->parts[out->n_parts++], &n_params, e) != STATUS_OK)
            return error_wrap(e, "route '%s'", path);
        at = next;
    }
    return STATUS_OK;
}

/* Two routes of one method and one shape: which of them answers would depend on the table's order. */
static bool same_shape(const struct pattern *a, const struct pattern *b)
{
    if (a->n_parts != b->n_parts)
        return false;
    for (size_t i = 0; i < a->n_parts; i++) {
        const struct part *p = &a->parts[i], *q = &b->parts[i];
        if (p->is_param != q->is_param || p->len != q->len || memcmp(p->text, q->text, p->len) != 0)
            return false;
    }
    return true;
}

enum status router_create(const struct route *table, size_t n, struct router **out, struct error *e)
{
    *out = NULL;
    struct router *r = mem_calloc(1, sizeof *r + n * sizeof r->patterns[0]);
    if (!r)
        return error_set(e, STATUS_NOMEM, "no memory for %zu routes", n);
    r->table = table;
    r->n = n;
    for (size_t i = 0; i < n; i++) {
        TRY_OR(compile(table[i].path, &r->patterns[i], e), fail);
        for (size_t j = 0; j < i; j++)
            if (table[i].method == table[j].method && same_shape(&r->patterns[i], &r->patterns[j]))
                FAIL_OR(fail, e, STATUS_ARGUMENT, "routes '%s' and '%s' are the same", table[j].path, table[i].path);
    }
    *out = r;
    return STATUS_OK;
fail:
    mem_free(r);
    return e->status;
}

void router_destroy(struct router *r)
{
    mem_free(r);
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static bool param_fits(const char *text, size_t len)
{
    return len > 0 && len <= PATH_PARAM_BYTES_MAX && !memchr(text, ':', len) && !memchr(text, '/', len) &&
           !memchr(text, '\\', len);
}

static bool part_matches(const struct part *p, const struct segment *s)
{
    if (!p->is_param)
        return p->len == s->len && memcmp(p->text, s->text, s->len) == 0;
    return s->len > p->len && memcmp(s->text + s->len - p->len, p->text, p->len) == 0 &&
           param_fits(s->text, s->len - p->len);
}

static bool pattern_matches(const struct pattern *p, const struct target *t)
{
    if (p->n_parts != t->n_segments)
        return false;
    /* Backwards: the routes' first segments are all alike, their last ones are not. */
    for (size_t i = p->n_parts; i-- > 0;)
        if (!part_matches(&p->parts[i], &t->segments[i]))
            return false;
    return true;
}

static bool has_param(const struct pattern *p)
{
    for (size_t i = 0; i < p->n_parts; i++)
        if (p->parts[i].is_param)
            return true;
    return false;
}

/* Copies the parameters out; the action behind one is cut off by a terminator in the target's own copy. */
static void take_params(const struct pattern *p, struct target *t, struct route_match *out)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_parts; i++) {
        if (!p->parts[i].is_param)
            continue;
        char *text = (char *)(uintptr_t)t->segments[i].text;       /* target_parse made it in the arena */
        text[t->segments[i].len - p->parts[i].len] = '\0';
        out->params[n++] = text;
    }
}

void router_match(const struct router *r, struct target *t, enum http_method method, struct route_match *out)
{
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    size_t best = r->n;
    *out = (struct route_match){.index = r->n};
    for (size_t i = 0; i < r->n; i++) {
        if (!pattern_matches(&r->patterns[i], t))
            continue;
        out->methods |= (unsigned)r->table[i].method;
        /* A literal path wins over a parameter that would match it too. */
        if (r->table[i].method == wanted && (best == r->n || !has_param(&r->patterns[i])))
            best = i;
    }
    if (out->methods & HTTP_GET)
        out->methods |= HTTP_HEAD;
    if (best == r->n)
        return;
    out->route = &r->table[best];
    out->index = best;
    take_params(&r->patterns[best], t, out);
}
