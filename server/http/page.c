/* server/http/page.c
 *
 * Lists in pages.  A cursor is "ID.HASH": the last id seen, and a hash over the filters and that id, so that a cursor
 * under other filters is refused instead of skipping rows silently.  It is opaque to clients. */
#include "server/http/http_private.h"

#include <stdlib.h>
#include <string.h>

enum { CURSOR_MAX = PATH_PARAM_BYTES_MAX + 24 };

/* Everything in the query that chooses rows: not the cursor, not the limit. */
static uint64_t hash_filters(const struct request *q)
{
    uint64_t h = hash64(q->route, strlen(q->route), 0);
    for (size_t i = 0; i < q->n_query; i++) {
        const char *name = q->query[i].name, *value = q->query[i].value;
        if (strcmp(name, "cursor") == 0 || strcmp(name, "limit") == 0)
            continue;
        /* A sum: the order of the parameters does not matter. */
        h += hash64(value, strlen(value), hash64(name, strlen(name), 1));
    }
    for (size_t i = 0; i < PATH_PARAMS_MAX && q->params[i]; i++)
        h = hash64(q->params[i], strlen(q->params[i]), h);
    return h;
}

static uint64_t cursor_hash(uint64_t filter_hash, const char *id, size_t len)
{
    return hash64(id, len, filter_hash);
}

static bool read_limit(const struct request *q, size_t *limit)
{
    const char *text = request_query(q, "limit");
    *limit = PAGE_LIMIT;
    if (!text)
        return true;
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 4 || text[len] != '\0')
        return false;
    *limit = (size_t)strtoul(text, NULL, 10);
    return *limit >= 1 && *limit <= PAGE_LIMIT_MAX;
}

static bool read_cursor(struct request *q, struct page *out)
{
    const char *text = request_query(q, "cursor");
    if (!text)
        return true;
    const char *dot = strrchr(text, '.');
    size_t len = dot ? (size_t)(dot - text) : 0;
    if (len == 0 || len > PATH_PARAM_BYTES_MAX || strlen(dot + 1) != 16)
        return false;
    char expected[20];
    snprintf(expected, sizeof expected, "%016llx", (unsigned long long)cursor_hash(out->filter_hash, text, len));
    out->before = arena_strndup(&q->arena, text, len);
    return out->before && strcmp(dot + 1, expected) == 0;
}

bool page_read(struct request *q, struct response *r, struct page *out)
{
    *out = (struct page){.filter_hash = hash_filters(q)};
    if (!read_limit(q, &out->limit)) {
        respond_problem(q, r, "invalid_query", NULL, "limit is a number from 1 to %d.", (int)PAGE_LIMIT_MAX);
        return false;
    }
    if (!read_cursor(q, out)) {
        respond_problem(q, r, "invalid_cursor", NULL, "This cursor does not belong to this list with these filters.");
        return false;
    }
    return true;
}

/* The query as sent, with its cursor replaced. */
static char *next_link(struct request *q, const char *cursor)
{
    size_t len = strlen(q->query_text), to = 0;
    char *kept = arena_alloc(&q->arena, len + 2, 1);
    if (!kept)
        return NULL;
    for (const char *at = q->query_text; *at;) {
        size_t n = strcspn(at, "&");
        if (n > 0 && strncmp(at, "cursor=", 7) != 0) {
            memcpy(kept + to, at, n);
            to += n;
            kept[to++] = '&';
        }
        at += at[n] ? n + 1 : n;
    }
    return arena_printf(&q->arena, "<%s?%.*scursor=%s>; rel=\"next\"", q->path, (int)to, kept, cursor);
}

static void write_cursor(const struct page *page, const char *last_id, char cursor[CURSOR_MAX])
{
    snprintf(cursor, CURSOR_MAX, "%s.%016llx", last_id,
             (unsigned long long)cursor_hash(page->filter_hash, last_id, strlen(last_id)));
}

void page_link(struct request *q, struct response *r, const struct page *page, const char *last_id)
{
    char cursor[CURSOR_MAX];
    write_cursor(page, last_id, cursor);
    response_header(r, MHD_HTTP_HEADER_LINK, next_link(q, cursor));
}

void respond_page(struct request *q, struct response *r, const struct page *page, struct json *items,
                  const char *last_id)
{
    char cursor[CURSOR_MAX];
    struct json *v = json_new_object();
    if (last_id)
        write_cursor(page, last_id, cursor);
    json_set(v, "items", items);
    json_set(v, "next_cursor", last_id ? json_new_string(cursor) : json_new_null());
    if (last_id)
        response_header(r, MHD_HTTP_HEADER_LINK, next_link(q, cursor));
    respond_json(q, r, 200, v);
}
