/* server/cli/submit.c
 *
 * `dltrigger submit`: a job or pipeline to a server.  With --follow it asks until the end: a progress bar on a
 * terminal, else a line whenever a state changes.  Ctrl-C stops following and leaves the job alone; a server that
 * restarts is waited for, since an accepted job outlives it. */
#include "server/cli/cli.h"
#include "server/cli/client.h"
#include "server/cli/progress.h"
#include "server/cli/study.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BODY_MAX = 16 << 20, POLL_MS = 250, PATIENCE_SECONDS = 60, STEPS_MAX = 500 };

struct submit {
    const char *file, *server;
    bool follow, is_pipeline;
    struct client *client;
    struct answer answer;
    struct json *latest;                          /* job, or {id, state, jobs} of a pipeline */
    char id[64], path[160];
    char shown[STEPS_MAX][16];                    /* state of each job when it was last told */
    struct progress_bar bar;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- submission ---------------------------------------------------------------------------------------- */

static enum status send(struct submit *s, struct error *e)
{
    struct buf text;
    struct json *body = NULL;
    buf_init(&text, BODY_MAX);
    enum status st = cli_read(s->file, &text, e);
    if (st == STATUS_OK && json_parse(text.data, text.len, &body, e) != STATUS_OK)
        st = error_wrap(e, "%s", s->file);
    if (st == STATUS_OK) {
        s->is_pipeline = json_get(body, "steps") != NULL;
        st = client_json(s->client, "POST", s->is_pipeline ? "/api/v1/pipelines" : "/api/v1/jobs", text.data, text.len,
                         &s->answer, &s->latest, e);
    }
    if (st == STATUS_OK && !client_is_id(json_str(json_get(s->latest, "id"), "")))
        st = error_set(e, STATUS_REMOTE, "the server's answer has no id");
    if (st == STATUS_OK) {
        text_copy(s->id, sizeof s->id, json_str(json_get(s->latest, "id"), ""));
        snprintf(s->path, sizeof s->path, "/api/v1/%s/%s", s->is_pipeline ? "pipelines" : "jobs", s->id);
    }
    json_free(body);
    buf_fini(&text);
    return st;
}

/* ---- following ----------------------------------------------------------------------------------------- */

static size_t n_jobs(const struct submit *s)
{
    return s->is_pipeline ? json_count(json_get(s->latest, "jobs")) : 1;
}

static const struct json *job_at(const struct submit *s, size_t i)
{
    return s->is_pipeline ? json_at(json_get(s->latest, "jobs"), i) : s->latest;
}

static bool is_final(const char *state)
{
    return strcmp(state, "completed") == 0 || strcmp(state, "cancelled") == 0 || strcmp(state, "discarded") == 0;
}

/* A line for each job whose state is another than last time. */
static void tell_changes(struct submit *s)
{
    for (size_t i = 0; i < n_jobs(s) && i < STEPS_MAX; i++) {
        const struct json *job = job_at(s, i);
        const char *state = json_str(json_get(job, "state"), ""), *step = json_str(json_get(job, "step"), "");
        const char *phase = json_str(json_get(json_get(job, "progress"), "phase"), "");
        if (strcmp(s->shown[i], state) == 0)
            continue;
        text_copy(s->shown[i], sizeof s->shown[i], state);
        progress_bar_clear(&s->bar);
        fprintf(stderr, "%s%s%s %s: %s%s%s\n", step, *step ? " " : "", json_str(json_get(job, "id"), ""),
                json_str(json_get(job, "kind"), ""), state, *phase && !is_final(state) ? ": " : "",
                is_final(state) ? "" : phase);
    }
}

static void draw(struct submit *s)
{
    const struct json *current = NULL;
    size_t n_final = 0, n = n_jobs(s);
    for (size_t i = 0; i < n; i++) {
        const struct json *job = job_at(s, i);
        const char *state = json_str(json_get(job, "state"), "");
        bool runs = strcmp(state, "running") == 0;
        n_final += is_final(state);
        if (!is_final(state) &&
            (!current || (runs && strcmp(json_str(json_get(current, "state"), ""), "running") != 0)))
            current = job;
    }
    if (!current)
        return;
    const struct json *p = json_get(current, "progress");
    const char *what = json_str(json_get(p, "phase"), json_str(json_get(current, "kind"), ""));
    char phase[200];
    if (s->is_pipeline)
        snprintf(phase, sizeof phase, "%zu/%zu %s: %s", n_final + 1, n, json_str(json_get(current, "step"), ""), what);
    else
        snprintf(phase, sizeof phase, "%s", what);
    progress_bar_draw(&s->bar, phase, json_num(json_get(p, "fraction"), 0), json_num(json_get(p, "done"), 0),
                      json_num(json_get(p, "total"), -1), json_str(json_get(p, "unit"), ""),
                      json_num(json_get(p, "rate_per_second"), 0), json_num(json_get(p, "eta_seconds"), -1));
}

static bool all_final(const struct submit *s)
{
    for (size_t i = 0; i < n_jobs(s); i++)
        if (!is_final(json_str(json_get(job_at(s, i), "state"), "")))
            return false;
    return true;
}

static bool all_completed(const struct submit *s)
{
    for (size_t i = 0; i < n_jobs(s); i++)
        if (strcmp(json_str(json_get(job_at(s, i), "state"), ""), "completed") != 0)
            return false;
    return true;
}

/* Asks once more.  An answer that does not come, or 5xx, is waited for: *since is when that began, 0 when
 * all is well. */
static enum status look(struct submit *s, int64_t *since, struct error *e)
{
    struct json *now;
    enum status st = client_json(s->client, "GET", s->path, NULL, 0, &s->answer, &now, e);
    if (st == STATUS_OK) {
        json_free(s->latest);
        s->latest = now;
        *since = 0;
        return STATUS_OK;
    }
    bool may_pass = st == STATUS_REMOTE && (s->answer.status == 0 || s->answer.status >= 500);
    if (may_pass && *since == 0) {
        *since = time_mono_ns();
        progress_bar_clear(&s->bar);
        fprintf(stderr, "dltrigger submit: waiting for the server: %s\n", e->text);
    }
    return may_pass && time_mono_ns() - *since < (int64_t)PATIENCE_SECONDS * 1000000000 ? STATUS_OK : st;
}

static int left_alone(struct submit *s)
{
    progress_bar_clear(&s->bar);
    fprintf(stderr, "dltrigger submit: no longer following; %s goes on.", s->id);
    for (size_t i = 0; i < n_jobs(s); i++)
        if (!is_final(json_str(json_get(job_at(s, i), "state"), "")))
            fprintf(stderr, "%s dltrigger cancel %s --server %s", i == 0 || !s->is_pipeline ? " To cancel:" : "\n  ",
                    json_str(json_get(job_at(s, i), "id"), ""), client_server(s->client));
    fputs("\n", stderr);
    return CLI_FAILED;
}

static int follow(struct submit *s)
{
    struct error e;
    int64_t since = 0;
    for (;;) {
        tell_changes(s);
        draw(s);
        if (all_final(s))
            break;
        if (!interrupted)
            (void)nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
        if (interrupted)
            return left_alone(s);
        if (look(s, &since, &e) != STATUS_OK && !interrupted) {
            progress_bar_clear(&s->bar);
            return cli_failed("submit", &e);
        }
    }
    progress_bar_clear(&s->bar);
    for (size_t i = 0; i < n_jobs(s); i++)
        study_print(stderr, json_get(job_at(s, i), "result"));
    return all_completed(s) ? CLI_DONE : CLI_FAILED;
}

static void explain_ends(const struct submit *s)
{
    for (size_t i = 0; i < n_jobs(s); i++) {
        const struct json *job = job_at(s, i), *errors = json_get(job, "errors");
        const char *detail = json_str(json_get(json_at(errors, json_count(errors) - 1), "detail"), "");
        if (strcmp(json_str(json_get(job, "state"), ""), "completed") != 0 && json_count(errors) > 0)
            fprintf(stderr, "dltrigger submit: %s (%s) %s: %s\n", json_str(json_get(job, "id"), ""),
                    json_str(json_get(job, "kind"), ""), json_str(json_get(job, "state"), ""), detail);
    }
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static int print_latest(const struct submit *s)
{
    struct buf out;
    struct error e;
    buf_init(&out, (size_t)1 << 30);
    enum status st = json_write(s->latest, &out, &e);
    if (st == STATUS_OK)
        st = buf_append(&out, "\n", 1, &e);
    if (st == STATUS_OK)
        st = cli_put(&out, &e);
    buf_fini(&out);
    return st == STATUS_OK ? CLI_DONE : cli_failed("submit", &e);
}

static int submit(struct submit *s)
{
    struct error e;
    if (client_create(s->server, &s->client, &e) != STATUS_OK || send(s, &e) != STATUS_OK)
        return cli_failed("submit", &e);
    int code = s->follow ? follow(s) : CLI_DONE;
    if (interrupted)
        return code;
    if (code != CLI_DONE)
        explain_ends(s);
    int printed = print_latest(s);
    return code != CLI_DONE ? code : printed;
}

int cli_submit(int argc, char **argv)
{
    static struct submit s;                       /* 9 kB, once in the life of the process */
    const struct cli_option options[] = {
        {"--server", "URL", "the service (default DLTRIGGER_SERVER, else " CLIENT_SERVER ")", &s.server, NULL},
        {"--follow", NULL, "wait for the end; exit status 1 when it did not complete", NULL, &s.follow},
    };
    const struct cli_usage usage = {
        "submit", "FILE.json [--server URL] [--follow]",
        "Submits a job {kind, spec} or a pipeline {name, steps}; FILE.json may be - for standard input.\n"
        "The job as it is at the end goes to standard output.",
        options, ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, &s.file, 1);
    if (code != CLI_GO_ON)
        return code;
    struct sigaction act = {.sa_handler = on_interrupt}, before;
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, &before);
    progress_bar_init(&s.bar, stderr);
    answer_init(&s.answer);
    code = submit(&s);
    answer_fini(&s.answer);
    client_destroy(s.client);
    json_free(s.latest);
    sigaction(SIGINT, &before, NULL);
    return code;
}
