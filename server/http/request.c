/* server/http/request.c
 *
 * What a handler asks of its request: header, query, body as JSON, path parameters.  Whatever is wrong is answered
 * here, so that a handler reads "if (!request_...) return;". */
#include "server/http/http_private.h"

#include <stdlib.h>
#include <string.h>

const char *http_method_name(enum http_method m)
{
    switch (m) {
    case HTTP_GET:    return "GET";
    case HTTP_POST:   return "POST";
    case HTTP_PUT:    return "PUT";
    case HTTP_DELETE: return "DELETE";
    case HTTP_PATCH:  return "PATCH";
    case HTTP_HEAD:   return "HEAD";
    case HTTP_OTHER:  break;
    }
    return "OTHER";
}

struct exchange *exchange_of(const struct request *q)
{
    return q->connection;
}

const char *request_header(const struct request *q, const char *name)
{
    return MHD_lookup_connection_value(exchange_of(q)->mhd, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *q, const char *name)
{
    for (size_t i = 0; i < q->n_query; i++)
        if (strcmp(q->query[i].name, name) == 0)
            return q->query[i].value;
    return NULL;
}

bool request_param_number(struct request *q, struct response *r, size_t i, const char *what, int64_t *out)
{
    const char *text = q->params[i];
    int64_t value = 0;
    size_t len = strlen(text);
    bool good = len > 0 && len <= 9 && text[0] != '0';
    for (size_t k = 0; good && k < len; k++) {
        good = text[k] >= '0' && text[k] <= '9';
        value = value * 10 + (text[k] - '0');
    }
    if (!good)
        respond_problem(q, r, "not_found", NULL, "There is no %s '%s': it is a number from 1.", what, text);
    *out = value;
    return good;
}

bool request_json(struct request *q, struct response *r, bool may_be_empty, struct json **out)
{
    struct error e;
    bool empty = q->body_len == 0;
    *out = NULL;
    if (empty && !may_be_empty) {
        respond_problem(q, r, "malformed_json", NULL, "The body is empty, a JSON object is wanted.");
        return false;
    }
    enum status s = json_parse(empty ? "{}" : (const void *)q->body, empty ? 2 : q->body_len, out, &e);
    if (s == STATUS_OK)
        return true;
    if (s == STATUS_FORMAT)
        respond_problem(q, r, "malformed_json", NULL, "%s.", e.text);
    else
        respond_error(q, r, &e);
    return false;
}

bool request_fields(struct request *q, struct response *r, bool may_be_empty, const struct field *table, void *object)
{
    struct json *body;
    struct error e;
    if (!request_json(q, r, may_be_empty, &body))
        return false;
    struct json_problems *problems = ARENA_NEW(&q->arena, struct json_problems, 1);
    enum status s = problems ? json_decode_fields(&q->arena, table, body, "", object, problems, &e)
                             : error_set(&e, STATUS_NOMEM, "no memory for the request");
    json_free(body);
    if (s == STATUS_OK)
        return true;
    if (s == STATUS_ARGUMENT && problems->n > 0)
        respond_problem(q, r, "invalid_request", problems, "%s", e.text);
    else
        respond_error(q, r, &e);
    return false;
}

bool request_query_number(struct request *q, struct response *r, const char *name, int64_t least, int64_t most,
                          int64_t otherwise, int64_t *out)
{
    const char *text = request_query(q, name);
    *out = otherwise;
    if (!text)
        return true;
    size_t n = strspn(text, "0123456789");
    *out = n > 0 && n <= 18 && text[n] == '\0' ? strtoll(text, NULL, 10) : -1;
    if (*out >= least && *out <= most)
        return true;
    respond_problem(q, r, "invalid_query", NULL, "%s is a number from %lld to %lld.", name, (long long)least,
                    (long long)most);
    return false;
}

/* ---- request ids ------------------------------------------------------------------------------------------------- */

/* A client's id is taken when it can neither break a log line nor a header: 1 to 39 of [A-Za-z0-9._-]. */
bool request_id_is_sane(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strspn(id, allowed);
    return len > 0 && id[len] == '\0' && len < sizeof ((struct request *)NULL)->request_id;
}

/* 26 characters as a ULID: 48 bits of milliseconds, 80 of a keyed hash over a counter; sortable, not guessable. */
void request_make_id(struct http *h, char out[40])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t counter = atomic_fetch_add_explicit(&h->next_id, 1, memory_order_relaxed);
    uint64_t ms = (uint64_t)time_unix_us() / 1000;
    uint64_t low = hash64(&counter, sizeof counter, h->id_seed), high = hash64(&counter, sizeof counter, ~h->id_seed);
    for (int i = 9; i >= 0; i--, ms >>= 5)
        out[i] = digits[ms & 31];
    for (int i = 0; i < 8; i++, low >>= 5, high >>= 5) {
        out[10 + i] = digits[low & 31];
        out[18 + i] = digits[high & 31];
    }
    out[26] = '\0';
}
