/* server/handlers/trigger.c
 *
 * POST /api/v1/trigger/decisions and decisions:batch: the hot path.  Decisions are written straight into the response. */
#include "server/handlers/handlers.h"

#include <strings.h>

/* The code of the problem, as api.md has it for this route; NULL: what the status alone says. */
static const char *problem_of(enum status s, const struct decision_brief *brief)
{
    switch (s) {
    case STATUS_FORMAT:   return "malformed_json";
    case STATUS_ARGUMENT:
    case STATUS_RANGE:    return "invalid_event";
    case STATUS_NOTFOUND:
    case STATUS_BUSY:     return brief->reason;        /* no_active_menu, deadline_exceeded */
    default:              return NULL;
    }
}

static void respond_undecided(struct app *app, struct request *q, struct response *r,
                              const struct decision_brief *brief, const struct json_problems *problems,
                              const struct error *e)
{
    const char *code = problem_of(e->status, brief);
    prom_undecided(app->prom, code ? code : "other");
    if (code)
        respond_problem(q, r, code, problems, "%s", e->text);
    else
        respond_error(q, r, e);
}

/* Milliseconds with three decimals, which are the microseconds: no floating point to print. */
static const char *server_timing(struct arena *a, const struct decision_brief *b)
{
    enum { BYTES = 160 };
    char *text = arena_alloc(a, BYTES, 1);
#define MS(us) (long long)(us) / 1000, (long long)(us) % 1000
    if (text)
        snprintf(text, BYTES, "parse;dur=%lld.%03lld, feat;dur=%lld.%03lld, infer;dur=%lld.%03lld, total;dur=%lld.%03lld",
                 MS(b->parse_us), MS(b->features_us), MS(b->compute_us), MS(b->total_us));
#undef MS
    return text;
}

void handle_decide(struct app *app, struct request *q, struct response *r)
{
    struct decision_brief brief = {.reason = NULL};
    struct json_problems problems;
    struct error e;
    problems.n = 0;                                    /* its 9 kB need no zeroing */
    enum status s = trigger_decide_at(app->trigger, &q->arena, q->arrived_ns, q->body, q->body_len, &r->body, &brief,
                                      &problems, &e);
    if (s != STATUS_OK) {
        respond_undecided(app, q, r, &brief, &problems, &e);
        return;
    }
    prom_decided(app->prom, &brief);
    response_header(r, "X-Trigger-Accept", brief.accept ? "1" : "0");
    response_header(r, "Server-Timing", server_timing(&q->arena, &brief));
    r->status = 200;
    r->content_type = "application/json";
}

/* ---- many events ------------------------------------------------------------------------------------------------- */

struct batch_call {
    struct app *app;
    struct request *q;
};

/* A refused event's line: the problem document of the single route, with the line it is of. */
static enum status batch_refused(void *ctx, int64_t line, const struct decision_brief *brief,
                                 const struct json_problems *problems, const struct error *why, struct buf *out,
                                 struct error *e)
{
    const struct batch_call *call = ctx;
    const char *code = problem_of(why->status, brief);
    prom_undecided(call->app->prom, code ? code : "other");
    struct json *v = problem_line(call->q, code ? code : problem_of_status(why->status), problems, why->text);
    (void)json_set(v, "line", json_new_i64(line));
    enum status s = json_write(v, out, e);
    json_free(v);
    return s;
}

static void batch_decided(void *ctx, const struct decision_brief *brief)
{
    const struct batch_call *call = ctx;
    prom_decided(call->app->prom, brief);
}

#define BINARY_EVENTS "application/vnd.dltrigger.events"
#define BINARY_DECISIONS "application/vnd.dltrigger.decisions"

static bool is_binary(const struct request *q)
{
    const char *type = request_header(q, "Content-Type");
    size_t n = sizeof BINARY_EVENTS - 1;
    return type && strncasecmp(type, BINARY_EVENTS, n) == 0 && (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

static void respond_no_batch(struct request *q, struct response *r, const struct error *e)
{
    if (e->status == STATUS_ARGUMENT || e->status == STATUS_FORMAT)
        respond_problem(q, r, "invalid_request", NULL, "%s", e->text);
    else if (e->status == STATUS_NOTFOUND)
        respond_problem(q, r, "no_active_menu", NULL, "%s", e->text);
    else
        respond_error(q, r, e);
}

void handle_decide_batch(struct app *app, struct request *q, struct response *r)
{
    struct batch_call call = {app, q};
    const struct batch_host host = {&call, batch_refused, batch_decided};
    struct batch_brief brief;
    struct error e;
    bool binary = is_binary(q);
    enum status s = (binary ? trigger_decide_columns : trigger_decide_lines)(
        app->trigger, q->arrived_ns, q->body, q->body_len, &host, &r->body, &brief, &e);
    if (s != STATUS_OK) {
        respond_no_batch(q, r, &e);
        return;
    }
    response_header(r, "X-Trigger-Events", arena_printf(&q->arena, "%lld", (long long)brief.n_events));
    response_header(r, "X-Trigger-Accepted", arena_printf(&q->arena, "%lld", (long long)brief.n_accepted));
    response_header(r, "X-Trigger-Refused", arena_printf(&q->arena, "%lld", (long long)brief.n_refused));
    r->status = 200;
    r->content_type = binary ? BINARY_DECISIONS : "application/x-ndjson";
}
