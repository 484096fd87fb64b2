/* server/handlers/submissions.c
 *
 * What posting a job and posting a pipeline have in common: Idempotency-Key (draft-ietf-httpapi-idempotency-key-header),
 * problems, the answer. */
#include "server/handlers/handlers.h"

#include <string.h>

enum { KEY_BYTES_MAX = 255, TRACEPARENT_BYTES = 55, TRACESTATE_BYTES_MAX = 512 };

/* A header of W3C Trace Context, for the job; one that is malformed is as none. */
static const char *trace_header(const struct request *q, const char *name, size_t least, size_t most)
{
    const char *text = request_header(q, name);
    size_t n = text ? strlen(text) : 0;
    if (n < least || n > most)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~')
            return NULL;
    bool parent = least == TRACEPARENT_BYTES;
    if (parent && (strspn(text, "0123456789abcdef-") != n || strncmp(text, "00-", 3) != 0 || text[35] != '-' ||
                   text[52] != '-' || strspn(text + 3, "0") == 32 || strspn(text + 36, "0") == 16))
        return NULL;
    return text;
}

/* False: already answered. */
static bool read_key(struct request *q, struct response *r, struct submit_key *out, char sha256[65])
{
    const char *text = request_header(q, "Idempotency-Key");
    size_t n = text ? strlen(text) : 0;
    *out = (struct submit_key){.route = q->route, .key = text, .body_sha256 = sha256};
    out->traceparent = trace_header(q, "traceparent", TRACEPARENT_BYTES, TRACEPARENT_BYTES);
    out->tracestate = out->traceparent ? trace_header(q, "tracestate", 1, TRACESTATE_BYTES_MAX) : NULL;
    if (!text)
        return true;
    for (size_t i = 0; i < n && n <= KEY_BYTES_MAX; i++)
        if (text[i] <= ' ' || text[i] > '~')
            n = 0;
    if (n == 0 || n > KEY_BYTES_MAX) {
        respond_problem(q, r, "invalid_idempotency_key", NULL, "Idempotency-Key is 1 to %d visible ASCII characters.",
                        KEY_BYTES_MAX);
        return false;
    }
    sha256_hex(q->body, q->body_len, sha256);
    return true;
}

static void respond_outcome(struct request *q, struct response *r, const struct submit_key *key,
                            const struct submit_answer *answer, const char *folder)
{
    struct error e;
    if (answer->outcome == SUBMIT_REUSED) {
        respond_problem(q, r, "idempotency_key_reused", NULL, "Idempotency-Key %s came with another body before.", key->key);
        return;
    }
    if (answer->outcome == SUBMIT_IN_FLIGHT) {
        response_header(r, "Retry-After", "1");
        respond_problem(q, r, "idempotency_key_in_flight", NULL, "A request with Idempotency-Key %s is being answered now.",
                        key->key);
        return;
    }
    response_header(r, "Location", arena_printf(&q->arena, "%s/%s", folder, answer->id));
    if (answer->outcome == SUBMIT_REPLAYED)
        response_header(r, "Idempotency-Replayed", "true");
    respond_text(q, r, 202, "application/json", answer->text, strlen(answer->text));
    if (r->status == 202 && buf_append(&r->body, "\n", 1, &e) != STATUS_OK)
        respond_error(q, r, &e);
}

void respond_submission(struct app *app, struct request *q, struct response *r, bool may_be_empty, accept_fn *accept,
                        const char *folder)
{
    struct json_problems problems = {.n = 0};
    struct submit_answer answer;
    struct submit_key key;
    struct json *body;
    struct error e;
    char sha256[65];
    if (!read_key(q, r, &key, sha256) || !request_json(q, r, may_be_empty, &body))
        return;
    enum status s = accept(app->jobs, &q->arena, body, &key, &answer, &problems, &e);
    json_free(body);
    if (s == STATUS_ARGUMENT)
        respond_problem(q, r, "invalid_request", &problems, "%s", e.text);
    else if (s != STATUS_OK)
        respond_error(q, r, &e);
    else
        respond_outcome(q, r, &key, &answer, folder);
}
