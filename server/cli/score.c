/* server/cli/score.c
 *
 * `dltrigger score`: decisions on posted events, by a server's active menu or here by a model.  FILE.json is one event,
 * FILE.ndjson one a line; one decision a line comes out, in order.  A line that is refused gives a line that says so,
 * and the rest goes on. */
#include "server/cli/cli.h"
#include "server/cli/client.h"
#include "server/json/events_in.h"
#include "server/trigger/trigger.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)2 << 30)
#define DECISION_MAX ((size_t)1 << 20)
#define SERVER_PATH "/api/v1/trigger/decisions"

struct score {
    const char *file, *server, *data_dir, *model_ref, *model_name;
    struct client *client;
    struct answer answer;
    struct store *store;
    struct registry *registry;
    struct trigger *trigger;
    struct model *model;
    struct arena arena;
    struct buf out;
    struct json_problems problems;
    size_t n_refused;
};

/* ---- one event ----------------------------------------------------------------------------------------- */

/* The refusal as a line: {"line":3,"status":"ARGUMENT","detail":...,"errors":[{pointer, code, detail}]} */
static enum status put_refusal(struct score *s, size_t line, const struct error *why, struct error *e)
{
    struct json *v = json_new_object(), *errors = json_new_array();
    for (size_t i = 0; i < s->problems.n; i++) {
        struct json *item = json_new_object();
        (void)json_set(item, "pointer", json_new_string(s->problems.items[i].pointer));
        (void)json_set(item, "code", json_new_string(s->problems.items[i].code));
        (void)json_set(item, "detail", json_new_string(s->problems.items[i].detail));
        (void)json_push(errors, item);
    }
    (void)json_set(v, "line", json_new_i64((int64_t)line));
    (void)json_set(v, "status", json_new_string(status_name(why->status)));
    (void)json_set(v, "detail", json_new_string(why->text));
    (void)json_set(v, "errors", errors);
    enum status st = json_write(v, &s->out, e);
    json_free(v);
    return st;
}

/* Whether an error is the event's own fault, so that the next may fare better. */
static bool is_refusal(enum status s)
{
    return s == STATUS_ARGUMENT || s == STATUS_FORMAT || s == STATUS_RANGE || s == STATUS_BUSY;
}

static enum status score_here(struct score *s, size_t line, const uint8_t *event, size_t len, struct error *e)
{
    struct decision_brief brief;
    enum status st = trigger_decide_model(s->trigger, &s->arena, s->model, s->model_name, event, len, &s->out, &brief,
                                          &s->problems, e);
    arena_reset(&s->arena);
    if (st == STATUS_OK || !is_refusal(st))
        return st;
    s->n_refused++;
    fprintf(stderr, "dltrigger score: line %zu: %s\n", line, e->text);
    struct error why = *e;
    return put_refusal(s, line, &why, e);
}

static enum status score_there(struct score *s, size_t line, const uint8_t *event, size_t len, struct error *e)
{
    TRY(client_request(s->client, "POST", SERVER_PATH, event, len, &s->answer, e));
    size_t n = s->answer.body.len;
    while (n > 0 && s->answer.body.data[n - 1] == '\n')
        n--;
    if (s->answer.status < 200 || s->answer.status > 299) {
        struct error why;
        (void)client_problem(&s->answer, &why);
        if (n == 0 || s->answer.body.data[0] != '{')               /* not from dltriggerd */
            return error_set(e, STATUS_REMOTE, "%.900s", why.text);
        s->n_refused++;
        fprintf(stderr, "dltrigger score: line %zu: %s\n", line, why.text);
    }
    return buf_append(&s->out, s->answer.body.data, n, e);
}

static enum status score_event(struct score *s, size_t line, const uint8_t *event, size_t len, struct error *e)
{
    TRY(s->client ? score_there(s, line, event, len, e) : score_here(s, line, event, len, e));
    TRY(buf_append(&s->out, "\n", 1, e));
    return cli_put(&s->out, e);
}

/* ---- files --------------------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static enum status score_lines(struct score *s, const struct buf *text, struct error *e)
{
    size_t line = 1;
    for (size_t at = 0; at < text->len; line++) {
        const uint8_t *start = text->data + at, *end = memchr(start, '\n', text->len - at);
        size_t len = end ? (size_t)(end - start) : text->len - at;
        at += len + 1;
        bool blank = true;
        for (size_t i = 0; i < len && blank; i++)
            blank = start[i] == ' ' || start[i] == '\t' || start[i] == '\r';
        if (!blank)
            TRY(score_event(s, line, start, len, e));
    }
    return STATUS_OK;
}

static enum status score_file(struct score *s, struct error *e)
{
    struct buf text;
    buf_init(&text, FILE_MAX);
    enum status st = cli_read(s->file, &text, e);
    if (st == STATUS_OK && (ends_with(s->file, ".ndjson") || ends_with(s->file, ".jsonl")))
        st = score_lines(s, &text, e);
    else if (st == STATUS_OK)
        st = score_event(s, 1, text.data, text.len, e);
    buf_fini(&text);
    return st;
}

/* ---- with what ----------------------------------------------------------------------------------------- */

static enum status load_model(struct score *s, struct error *e)
{
    if (!s->data_dir) {
        const char *slash = strrchr(s->model_ref, '/');
        s->model_name = slash ? slash + 1 : s->model_ref;
        return model_load(s->model_ref, &s->model, e);
    }
    if (store_open(s->data_dir, &s->store, e) != STATUS_OK) {
        enum status st = error_wrap(e, "--data-dir");
        return st != STATUS_CONFLICT ? st
                                     : error_set(e, st, "%.900s: score with --server while the service runs", e->text);
    }
    struct arena keep;                            /* the name outlives the arena that is reset for each event */
    const char *canonical;
    arena_init(&keep, 1 << 20);
    enum status st = registry_create(s->store, &s->registry, e);
    if (st == STATUS_OK)
        st = registry_get(s->registry, &keep, s->model_ref, &s->model, &canonical, e);
    if (st == STATUS_OK) {
        static char name[256];
        text_copy(name, sizeof name, canonical);
        s->model_name = name;
    }
    arena_fini(&keep);
    return st;
}

static enum status prepare(struct score *s, struct error *e)
{
    if (!s->model_ref)
        return client_create(s->server, &s->client, e);
    TRY(load_model(s, e));
    return trigger_create(NULL, NULL, &s->trigger, e);
}

static int score(struct score *s)
{
    struct error e;
    arena_init(&s->arena, (size_t)64 << 20);
    buf_init(&s->out, DECISION_MAX);
    answer_init(&s->answer);
    enum status st = prepare(s, &e);
    if (st == STATUS_OK)
        st = score_file(s, &e);
    trigger_destroy(s->trigger);
    model_release(s->model);
    registry_destroy(s->registry);
    store_close(s->store);
    client_destroy(s->client);
    answer_fini(&s->answer);
    buf_fini(&s->out);
    arena_fini(&s->arena);
    if (st != STATUS_OK)
        return cli_failed("score", &e);
    return s->n_refused == 0 ? CLI_DONE : CLI_FAILED;
}

int cli_score(int argc, char **argv)
{
    static struct score s;                        /* 9 kB, once in the life of the process */
    const struct cli_option options[] = {
        {"--server", "URL", "the service (default DLTRIGGER_SERVER, else " CLIENT_SERVER ")", &s.server, NULL},
        {"--model", "MODEL", "score here by this model: a file, or with --data-dir NAME[@VERSION or @ALIAS]",
         &s.model_ref, NULL},
        {"--data-dir", "DIR", "the folder of a service that does not run, where --model is looked up", &s.data_dir,
         NULL},
    };
    const struct cli_usage usage = {
        "score", "FILE.json|FILE.ndjson [--server URL | --model FILE.dltm | --data-dir DIR --model NAME]",
        "Decisions on events (schemas delphes-event/1 and hlf/1), one line each; - is standard input.\n"
        "Without --model a service decides by its active menu.",
        options, ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, &s.file, 1);
    if (code != CLI_GO_ON)
        return code;
    if (s.server && (s.model_ref || s.data_dir))
        return cli_misused(&usage, "either --server or --model");
    if (s.data_dir && !s.model_ref)
        return cli_misused(&usage, "--data-dir needs --model");
    return score(&s);
}
