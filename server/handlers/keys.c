/* server/handlers/keys.c
 *
 * Keys over HTTP, the check that every route with a scope passes, and the audit log. */
#include "server/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- the check ---------------------------------------------------------------------------------------------------- */

static const char *token_of(const struct request *q)
{
    const char *bearer = request_header(q, "Authorization"), *key = request_header(q, "X-API-Key");
    if (bearer && strncasecmp(bearer, "Bearer ", 7) == 0)
        return bearer + 7 + strspn(bearer + 7, " ");
    return key;
}

static void refuse(struct request *q, struct response *r, enum access_answer answer, const char *scope,
                   int64_t wait_seconds)
{
    switch (answer) {
    case ACCESS_NO_KEY:
    case ACCESS_UNKNOWN_KEY:
        response_header(r, "WWW-Authenticate", "Bearer");
        respond_problem(q, r, "unauthenticated", NULL,
                        answer == ACCESS_NO_KEY ? "This needs a key: Authorization: Bearer dlt_..."
                                                : "The key is unknown, revoked or has expired.");
        break;
    case ACCESS_NO_SCOPE:
        respond_problem(q, r, "missing_scope", NULL, "The key lacks the scope %s.", scope);
        break;
    default:
        response_header(r, "Retry-After", arena_printf(&q->arena, "%lld", (long long)wait_seconds));
        respond_problem(q, r, "too_many_requests", NULL, "The key's requests a second are used up.");
        break;
    }
}

bool authorize(struct app *app, struct request *q, struct response *r, const struct route *route)
{
    int64_t wait_seconds;
    enum access_answer answer = access_check(app->access, token_of(q), route->scope, q->key_id, &wait_seconds);
    if (answer == ACCESS_ALLOWED)
        return true;
    refuse(q, r, answer, route->scope, wait_seconds);
    return false;
}

/* What is noted: changes of what others rely on.  Jobs and data have a history of their own. */
static bool is_audited(const struct route *route)
{
    static const char *const scopes[] = {"admin", "jobs:admin", "models:promote", "models:write", "trigger:admin"};
    for (size_t i = 0; i < ARRAY_LEN(scopes) && route->method != HTTP_GET; i++)
        if (strcmp(route->scope, scopes[i]) == 0)
            return true;
    return false;
}

void audit(struct app *app, const struct request *q, const struct route *route, int status)
{
    struct error e;
    if (!is_audited(route))
        return;
    const struct audit_row row = {.at_us = time_unix_us(), .key_id = q->key_id[0] ? q->key_id : NULL,
                                  .action = route->operation_id, .target = q->path, .status = status,
                                  .request_id = q->request_id};
    if (store_audit_insert(app->store, &row, &e) != STATUS_OK)
        log_line(LOG_ERROR, "audit: %s by %s was not noted: %s", row.action, q->key_id[0] ? q->key_id : "nobody", e.text);
}

/* ---- keys --------------------------------------------------------------------------------------------------------- */

static struct json *scopes_to_json(const char *scopes)
{
    struct json *list = json_new_array();
    for (const char *at = scopes; *at;) {
        size_t n = strcspn(at, " ");
        char one[40];
        snprintf(one, sizeof one, "%.*s", (int)n, at);
        json_push(list, json_new_string(one));
        at += n + strspn(at + n, " ");
    }
    return list;
}

static struct json *key_to_json(struct app *app, const struct key_row *k)
{
    struct json *v = json_new_object();
    json_set(v, "id", json_new_string(k->id));
    json_set(v, "name", json_new_string(k->name));
    json_set(v, "scopes", scopes_to_json(k->scopes));
    json_set(v, "rate_per_second", k->rate_per_second > 0 ? json_new_f64(k->rate_per_second) : json_new_null());
    json_set(v, "created_at", json_new_time(k->created_us));
    json_set(v, "expires_at", json_new_time(k->expires_us));
    json_set(v, "revoked_at", json_new_time(k->revoked_us));
    json_set(v, "last_used_at", json_new_time(access_last_used(app->access, k->id)));
    return v;
}

void handle_key_list(struct app *app, struct request *q, struct response *r)
{
    struct key_row *rows;
    struct error e;
    size_t n;
    if (store_keys_list(app->store, &q->arena, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = json_new_object(), *items = json_new_array();
    for (size_t i = 0; i < n; i++)
        json_push(items, key_to_json(app, &rows[i]));
    json_set(v, "items", items);
    respond_json(q, r, 200, v);
}

struct key_body {
    const char *name;
    struct field_list scopes;
    double rate_per_second, expires_days;
};
static const struct field key_fields[] = {
    FIELD_STRING(struct key_body, name, .required = true, .min = 1, .max = 100, .doc = "whose it is"),
    FIELD_LIST_STRING(struct key_body, scopes, .required = true, .min = 1, .max = 16,
                      .doc = "scopes, or one of the sets dashboard, submitter, filter, shifter, release-manager"),
    FIELD_F64(struct key_body, rate_per_second, .min = 0, .max = 1e9, .doc = "requests a second; 0: no limit"),
    FIELD_F64(struct key_body, expires_days, .min = 0, .max = 36500, .unit = "days", .doc = "0: never"),
    FIELD_END,
};

static bool read_scopes(struct request *q, struct response *r, const struct key_body *wanted,
                        char scopes[ACCESS_SCOPES_BYTES])
{
    struct json_problems problems = {.n = 0};
    const char *const *names = wanted->scopes.items;
    char text[512] = "";
    struct error e;
    for (size_t i = 0, len = 0; i < wanted->scopes.n_items && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s ", names[i]);
    if (access_scopes_read(text, scopes, &e) == STATUS_OK)
        return true;
    json_problem_add(&problems, "/scopes", "choice", "%.250s", e.text);
    respond_problem(q, r, "invalid_request", &problems, "%s", e.text);
    return false;
}

void handle_key_create(struct app *app, struct request *q, struct response *r)
{
    struct key_body wanted;
    char id[40], token[ACCESS_TOKEN_BYTES], scopes[ACCESS_SCOPES_BYTES];
    struct error e;
    if (!request_fields(q, r, false, key_fields, &wanted) || !read_scopes(q, r, &wanted, scopes))
        return;
    /* Whoever can reach an open service must not become its only administrator. */
    if (!access_has_keys(app->access)) {
        respond_problem(q, r, "first_key", NULL, "The first key is made on the machine: stop the service, then "
                                                 "dltrigger keys create --name NAME --scopes admin --data-dir DIR.");
        return;
    }
    int64_t expires_us = wanted.expires_days > 0 ? time_unix_us() + (int64_t)(wanted.expires_days * 86400e6) : 0;
    if (access_key_make(app->store, wanted.name, scopes, wanted.rate_per_second, expires_us, id, token, &e) != STATUS_OK ||
        access_reload(app->access, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = json_new_object();
    json_set(v, "id", json_new_string(id));
    json_set(v, "name", json_new_string(wanted.name));
    json_set(v, "scopes", scopes_to_json(scopes));
    json_set(v, "expires_at", json_new_time(expires_us));
    json_set(v, "token", json_new_string(token));
    response_header(r, "Cache-Control", "no-store");
    respond_json(q, r, 201, v);
}

void handle_key_revoke(struct app *app, struct request *q, struct response *r)
{
    struct error e;
    if (store_key_revoke(app->store, q->params[0], &e) != STATUS_OK || access_reload(app->access, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else
        respond_empty(r, 204);
}

void handle_audit(struct app *app, struct request *q, struct response *r)
{
    struct page page;
    struct audit_row *rows;
    struct error e;
    size_t n;
    if (!page_read(q, r, &page))
        return;
    int64_t before = page.before ? strtoll(page.before, NULL, 10) : 0;
    if (store_audit_list(app->store, &q->arena, before, page.limit + 1, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    bool more = n > page.limit;
    n = more ? page.limit : n;
    struct json *items = json_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json *one = json_new_object();
        json_set(one, "at", json_new_time(rows[i].at_us));
        json_set(one, "key_id", json_new_string(rows[i].key_id));
        json_set(one, "action", json_new_string(rows[i].action));
        json_set(one, "target", json_new_string(rows[i].target));
        json_set(one, "status", json_new_i64(rows[i].status));
        json_set(one, "request_id", json_new_string(rows[i].request_id));
        json_push(items, one);
    }
    respond_page(q, r, &page, items, more ? arena_printf(&q->arena, "%lld", (long long)rows[n - 1].seq) : NULL);
}
