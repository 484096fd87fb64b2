/* server/http/problem.c
 *
 * Errors as application/problem+json (RFC 9457), and the table of their kinds: the only place where a status of core
 * meets an HTTP number.  Nothing of the service's inside (paths, SQL, addresses) gets into a body. */
#include "server/http/http_private.h"

#include <string.h>

const struct problem_kind problem_kinds[] = {
    {"malformed_request", 400, false, "Malformed request",
     "The request line or the headers are not plain HTTP/1.1, or can be read in two ways (two Content-Length headers, "
     "Content-Length with Transfer-Encoding, escaped control characters).  The connection is closed where the end of "
     "the request is in doubt."},
    {"malformed_json", 400, false, "Malformed JSON",
     "The body is not one well-formed JSON text in UTF-8, or has a key twice.  The detail gives line and column."},
    {"invalid_query", 400, false, "Invalid query",
     "A query parameter is unknown, occurs twice, or has a value out of its range."},
    {"invalid_cursor", 400, false, "Invalid cursor",
     "The cursor is not one that this list handed out, or a filter was changed behind it.  Start again without cursor."},
    {"invalid_idempotency_key", 400, false, "Invalid Idempotency-Key",
     "The key is 1 to 255 visible ASCII characters that the client makes up, a new one for each new request."},
    {"unauthenticated", 401, false, "Key required",
     "The service has keys, and this route needs one: Authorization: Bearer dlt_... or X-API-Key.  Whoever runs the service "
     "makes keys with POST /api/v1/keys or dltrigger keys create."},
    {"missing_scope", 403, false, "The key lacks a scope",
     "The key is good, but not for this: the detail names the scope that the route needs."},
    {"first_key", 403, false, "The first key is made on the machine",
     "An open service gives out no keys: stop it and run dltrigger keys create on its data folder."},
    {"path_forbidden", 403, false, "Path outside the data roots",
     "Files are read only below the folders that the service was started with (--data-root).  Copy or link the file "
     "there, or ask whoever runs the service to add its folder."},
    {"host_not_allowed", 403, false, "Host name not allowed",
     "The Host header has a public name that this service was not told about.  Use the numeric address or localhost, "
     "or list the name under allowed_host."},
    {"cross_origin", 403, false, "Request from another origin",
     "A browser sent this from a page of another origin.  Pages may change things only on the service they came from."},
    {"not_found", 404, false, "Not found", "There is no such thing: see the list that the path begins with."},
    {"unknown_route", 404, false, "No such path",
     "Nothing is served at this path.  Paths are case-sensitive and have no trailing slash; GET / lists them."},
    {"method_not_allowed", 405, false, "Method not allowed", "The Allow header lists the methods of this path."},
    {"not_acceptable", 406, false, "Not acceptable",
     "The Accept header names no type that this path can give; the detail lists those that it can."},
    {"conflict", 409, false, "Conflict with the current state",
     "The request is fine, but not in the state that the thing is in now.  Read it again before repeating."},
    {"idempotency_key_in_flight", 409, true, "Request in flight",
     "The first request with this Idempotency-Key is being answered in this moment.  Repeat the request: it then gets the "
     "first one's answer."},
    {"no_active_menu", 409, false, "No active menu",
     "The trigger decides by a menu, and none is active.  POST one to /api/v1/menus and activate its revision, or name "
     "a model in the event's options."},
    {"precondition_failed", 412, false, "Changed meanwhile",
     "Somebody changed it since you read it: the ETag header of this answer has its present tag.  Read it again, look, and "
     "repeat with the new tag in If-Match."},
    {"body_too_large", 413, false, "Body too large", "The body is longer than limit_bytes."},
    {"offset_mismatch", 409, false, "Offset mismatch",
     "The bytes that Content-Range announces do not begin where the upload ends.  The Range header of this answer says what is "
     "there; go on behind it."},
    {"range_not_satisfiable", 416, false, "Range not satisfiable", "The file ends before the range that was asked for begins."},
    {"digest_mismatch", 422, false, "Digest mismatch",
     "The body is not what Content-Digest says: it was changed on the way, and nothing of it is kept.  Send it again."},
    {"unsupported_media_type", 415, false, "Unsupported media type",
     "Bodies are JSON without content encoding.  Any Content-Type is read as JSON but multipart."},
    {"invalid_request", 422, false, "Request failed validation",
     "The body is JSON, but not what is wanted; errors[] points at each place.  Unknown members are refused, so that "
     "a misspelt parameter never passes silently.  GET /api/v1/job-kinds has the schema of every kind of job."},
    {"idempotency_key_reused", 422, false, "Idempotency-Key reused",
     "This key came with another body within the last 24 hours.  A new request needs a new key; a repeated one must be the "
     "same, byte by byte."},
    {"invalid_event", 422, false, "Event failed validation",
     "The event is JSON, but cannot be scored; errors[] points at each place.  A missing collection is an error, an "
     "empty one is not."},
    {"unreadable_file", 422, false, "File cannot be read",
     "The file is damaged or of a format or codec that is not supported; the detail says where."},
    {"precondition_required", 428, false, "If-Match required",
     "This changes what others rely on, so the request says which state it was decided on: send If-Match with the ETag that "
     "reading it gave, or * to change it whatever it is."},
    {"too_many_requests", 429, true, "Too many requests",
     "The key has a limit of requests a second, which is used up.  Retry-After says when to try again."},
    {"internal_error", 500, false, "Internal error",
     "A fault of the service.  Its log has the request id with the cause; please report it."},
    {"storage_failed", 500, true, "Storage failed",
     "Reading or writing on the service's disk failed; its log has the request id with the cause."},
    {"not_implemented", 501, false, "Not implemented",
     "The protocol has it, this service does not; the detail says what."},
    {"remote_failed", 502, true, "Remote side failed", "A server that this request needs did not answer as it should."},
    {"busy", 503, true, "Busy", "A limit of the service is reached for the moment.  Retry-After says when to try again."},
    {"draining", 503, true, "Draining", "The service is shutting down; what it has accepted is kept."},
    {"out_of_memory", 503, true, "Out of memory", "The request needs more memory than a request may have, or is left."},
    {"deadline_exceeded", 504, true, "Deadline exceeded",
     "The event's deadline_ms had passed before it was scored; nothing was scored."},
    {"storage_full", 507, true, "Storage full", "The disk or quota of the data folder is full."},
};
const size_t n_problem_kinds = ARRAY_LEN(problem_kinds);

static const char *const code_of_status[] = {
    [STATUS_NOMEM] = "out_of_memory",     [STATUS_IO] = "storage_failed",        [STATUS_FORMAT] = "unreadable_file",
    [STATUS_UNSUPPORTED] = "unreadable_file", [STATUS_RANGE] = "invalid_request", [STATUS_ARGUMENT] = "invalid_request",
    [STATUS_NOTFOUND] = "not_found",      [STATUS_FORBIDDEN] = "path_forbidden", [STATUS_CONFLICT] = "conflict",
    [STATUS_BUSY] = "busy",               [STATUS_CANCELLED] = "busy",           [STATUS_NOSPACE] = "storage_full",
    [STATUS_REMOTE] = "remote_failed",    [STATUS_BUG] = "internal_error",
};

/* "no_active_menu" and "no-active-menu" are one. */
static bool same_code(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '_' || *a == '-') && (*b == '_' || *b == '-')))
            return false;
    return *a == *b;
}

const struct problem_kind *problem_find(const char *code_or_slug)
{
    for (size_t i = 0; i < n_problem_kinds; i++)
        if (same_code(problem_kinds[i].code, code_or_slug))
            return &problem_kinds[i];
    return NULL;
}

/* ---- what may be said ---------------------------------------------------------------------------------------------- */

static bool is_path_byte(char c)
{
    return c != '\0' && !strchr(" \t'\"(),;:<>", c);
}

/* Cuts "/srv/data/x.root" to "x.root" wherever a word begins with '/'. */
static void cut_paths(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        bool word_begins = at == text || !is_path_byte(at[-1]) || at[-1] == '=';
        if (!word_begins || *at != '/') {
            *to++ = *at++;
            continue;
        }
        const char *last = at;
        for (; is_path_byte(*at); at++)
            if (*at == '/' && is_path_byte(at[1]))
                last = at + 1;
        while (last < at)
            *to++ = *last++;
    }
    *to = '\0';
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

static struct json *errors_to_json(const struct json_problems *problems)
{
    struct json *list = json_new_array();
    for (size_t i = 0; problems && i < problems->n; i++) {
        struct json *one = json_new_object();
        json_set(one, "pointer", json_new_string(problems->items[i].pointer));
        json_set(one, "code", json_new_string(problems->items[i].code));
        json_set(one, "detail", json_new_string(problems->items[i].detail));
        json_push(list, one);
    }
    return list;
}

static struct json *problem_to_json(const struct request *q, const struct problem_kind *kind,
                                    const struct json_problems *problems, const char *detail)
{
    char type[64], instance[TARGET_BYTES_MAX + 64];
    struct json *v = json_new_object();
    snprintf(type, sizeof type, "/problems/%s", kind->code);
    for (char *p = type; *p; p++)
        *p = *p == '_' ? '-' : *p;
    snprintf(instance, sizeof instance, "%s#%s", q->path, q->request_id);
    json_set(v, "type", json_new_string(type));
    json_set(v, "title", json_new_string(kind->title));
    json_set(v, "status", json_new_i64(kind->status));
    json_set(v, "detail", json_new_string(detail));
    json_set(v, "instance", json_new_string(instance));
    json_set(v, "code", json_new_string(kind->code));
    json_set(v, "errors", errors_to_json(problems));
    json_set(v, "request_id", json_new_string(q->request_id));
    json_set(v, "retryable", json_new_bool(kind->retryable));
    /* Open Inference Protocol clients read body["error"] of whatever failed. */
    if (strncmp(q->path, "/v2", 3) == 0)
        json_set(v, "error", json_new_string(detail));
    return v;
}

/* When there is no memory even for the error: a constant. */
static void respond_last_resort(struct response *r)
{
    static const char text[] =
        "{\"type\":\"/problems/out-of-memory\",\"title\":\"Out of memory\",\"status\":503,\"detail\":\"No memory for the "
        "answer.\",\"instance\":null,\"code\":\"out_of_memory\",\"errors\":[],\"request_id\":null,\"retryable\":true}\n";
    struct error e;
    r->body.len = 0;
    r->status = 503;
    if (buf_append(&r->body, text, sizeof text - 1, &e) != STATUS_OK)
        r->body.len = 0;                               /* the status line must do */
}

static void send_problem(struct response *r, const struct problem_kind *kind, struct json *v)
{
    struct error e;
    r->body.len = 0;
    r->status = kind->status;
    if (json_write(v, &r->body, &e) != STATUS_OK || buf_append(&r->body, "\n", 1, &e) != STATUS_OK)
        respond_last_resort(r);
    json_free(v);
    r->content_type = "application/problem+json";
    if (r->status == 503)
        response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

void respond_problem(struct request *q, struct response *r, const char *code, const struct json_problems *problems,
                     const char *fmt, ...)
{
    const struct problem_kind *kind = problem_find(code);
    char detail[ERROR_TEXT_MAX + 256];
    va_list args;
    check(kind);
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    send_problem(r, kind, problem_to_json(q, kind, problems, detail));
}

struct json *problem_line(const struct request *q, const char *code, const struct json_problems *problems,
                          const char *detail)
{
    const struct problem_kind *kind = problem_find(code);
    char text[ERROR_TEXT_MAX];
    check(kind);
    text_copy(text, sizeof text, detail);
    cut_paths(text);
    return problem_to_json(q, kind, problems, text);
}

const char *problem_of_status(enum status s)
{
    check(s > STATUS_OK && (size_t)s < ARRAY_LEN(code_of_status));
    return code_of_status[s];
}

void respond_too_large(struct request *q, struct response *r, size_t limit)
{
    const struct problem_kind *kind = problem_find("body_too_large");
    char detail[96];
    snprintf(detail, sizeof detail, "A body of at most %zu bytes is taken here.", limit);
    struct json *v = problem_to_json(q, kind, NULL, detail);
    json_set(v, "limit_bytes", json_new_i64((int64_t)limit));
    send_problem(r, kind, v);
}

void respond_method_not_allowed(struct request *q, struct response *r, unsigned methods)
{
    char allow[64];
    size_t len = 0;
    for (unsigned m = HTTP_GET; m < HTTP_OTHER; m <<= 1)
        if (methods & m)
            len += (size_t)snprintf(allow + len, sizeof allow - len, "%s%s", len ? ", " : "",
                                    http_method_name((enum http_method)m));
    response_header(r, MHD_HTTP_HEADER_ALLOW, arena_strdup(&q->arena, allow));
    respond_problem(q, r, "method_not_allowed", NULL, "This path has %s.", allow);
}

/* ---- from core's errors ------------------------------------------------------------------------------------------ */

void respond_error(struct request *q, struct response *r, const struct error *e)
{
    check(e->status > STATUS_OK && (size_t)e->status < ARRAY_LEN(code_of_status));
    const char *code = code_of_status[e->status];
    if (e->status == STATUS_IO || e->status == STATUS_BUG) {
        log_line(LOG_ERROR, "%s %s: %s [%s]", http_method_name(q->method), q->path, e->text, q->request_id);
        respond_problem(q, r, code, NULL, "%s; the log of the service has the cause under this request_id.",
                        e->status == STATUS_IO ? "Reading or writing failed" : "An internal fault");
        return;
    }
    char text[ERROR_TEXT_MAX];
    text_copy(text, sizeof text, e->text);
    cut_paths(text);
    respond_problem(q, r, code, NULL, "%s", text);
}
