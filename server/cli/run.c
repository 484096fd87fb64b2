/* server/cli/run.c
 *
 * `dltrigger run`: the body of POST /api/v1/jobs or /api/v1/pipelines, done here and now by the engine that the daemon
 * has, in a data folder of the same form.  An interrupt (Ctrl-C, SIGTERM) cancels the job; a kill leaves it to be resumed
 * by the next program that opens the folder. */
#include "core/source.h"
#include "server/cli/cli.h"
#include "server/cli/progress.h"
#include "server/cli/study.h"
#include "server/jobs/jobs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { ROOTS_MAX = 64, FOLLOW_MS = 200, EXIT_USAGE = 2 };
#define BODY_MAX ((size_t)16 << 20)
#define ARENA_MAX ((size_t)1 << 30)

struct run_options {
    const char *file, *data_dir, *roots[ROOTS_MAX], *hosts[ROOTS_MAX];
    size_t n_roots, n_hosts, threads;
    bool json;
};

struct run {
    struct run_options options;
    struct arena a;                               /* for the whole run */
    struct arena rows;                            /* for one look at the jobs */
    struct json *body;
    struct store *store;
    struct jobs *jobs;
    char pipeline_id[40];
    const char **ids;
    size_t n_ids;
    bool cancelled;
    struct progress_bar bar;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

static int usage(const char *problem)
{
    if (problem)
        fprintf(stderr, "dltrigger run: %s\n", problem);
    fputs("usage: dltrigger run FILE.json --data-dir DIR [--data-root DIR]... [--source-host HOST]...\n"
          "                     [--threads N] [--json]\n"
          "  FILE.json    a job {kind, spec} or a pipeline {name, steps}, as for POST /api/v1/jobs and /pipelines\n"
          "  --data-dir   where the job store, datasets and models are; made when it is not there\n"
          "  --data-root  a folder that inputs may come from, besides the current one; may be given again\n"
          "  --source-host  a private host that https:// and root:// inputs may come from (public ones may)\n"
          "  --threads    threads of a job (default: the cores)\n"
          "  --json       the result in one line\n",
          problem ? stderr : stdout);
    return problem ? EXIT_USAGE : 0;
}

/* Reads "--name value" and "--name=value". */
static const char *option_value(const char *name, char **argv, int argc, int *i)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    return argv[*i][n] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}

static const char *set_threads(struct run_options *o, const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || end == text || n < 1 || n > 1024)
        return "--threads is a number from 1 to 1024";
    o->threads = (size_t)n;
    return NULL;
}

/* NULL, or what is wrong. */
static const char *read_arguments(int argc, char **argv, struct run_options *o)
{
    *o = (struct run_options){
        .roots = {"."}, .n_roots = 1, .hosts = {"*"}, .n_hosts = 1, .threads = par_cores()};
    for (int i = 1; i < argc; i++) {
        const char *value, *problem = NULL;
        if (strcmp(argv[i], "--json") == 0)
            o->json = true;
        else if ((value = option_value("--data-dir", argv, argc, &i)))
            o->data_dir = value;
        else if ((value = option_value("--threads", argv, argc, &i)))
            problem = set_threads(o, value);
        else if ((value = option_value("--data-root", argv, argc, &i))) {
            if (o->n_roots == ROOTS_MAX)
                return "too many --data-root";
            o->roots[o->n_roots++] = value;
        } else if ((value = option_value("--source-host", argv, argc, &i))) {
            if (o->n_hosts == ROOTS_MAX)
                return "too many --source-host";
            o->hosts[o->n_hosts++] = value;
        } else if (argv[i][0] == '-')
            return "unknown option, or one without its value";
        else if (o->file)
            return "one file only";
        else
            o->file = argv[i];
        if (problem)
            return problem;
    }
    return !o->file ? "which file?" : !o->data_dir ? "--data-dir is needed" : NULL;
}

/* ---- submission --------------------------------------------------------------------------------------------------------- */

static int fail(struct run *r, const struct error *e)
{
    progress_bar_clear(&r->bar);
    fprintf(stderr, "dltrigger run: %s\n", e->text);
    return 1;
}

static enum status read_body(struct run *r, struct error *e)
{
    struct buf text;
    buf_init(&text, BODY_MAX);
    enum status s = file_read(r->options.file, &text, e);
    if (s == STATUS_OK && json_parse(text.data, text.len, &r->body, e) != STATUS_OK)
        s = error_wrap(e, "%s", r->options.file);
    buf_fini(&text);
    return s;
}

static enum status submit_one(struct run *r, struct json_problems *problems, struct error *e)
{
    char id[40];
    TRY(jobs_submit(r->jobs, r->body, id, problems, e));
    r->ids = ARENA_NEW(&r->a, const char *, 1);
    if (!r->ids || !(r->ids[0] = arena_strdup(&r->a, id)))
        return error_set(e, STATUS_NOMEM, "no memory for a job");
    r->n_ids = 1;
    return STATUS_OK;
}

static enum status submit(struct run *r, struct json_problems *problems, struct error *e)
{
    struct field_list ids;
    if (!json_get(r->body, "steps"))
        return submit_one(r, problems, e);
    TRY(jobs_submit_pipeline(r->jobs, r->body, r->pipeline_id, &ids, &r->a, problems, e));
    r->ids = ids.items;
    r->n_ids = ids.n_items;
    return STATUS_OK;
}

static int submit_or_explain(struct run *r)
{
    struct json_problems *problems = ARENA_NEW(&r->a, struct json_problems, 1);
    struct error e;
    if (!problems) {
        error_set(&e, STATUS_NOMEM, "no memory for a job");
        return fail(r, &e);
    }
    if (submit(r, problems, &e) == STATUS_OK)
        return 0;
    if (problems->n == 0)
        return fail(r, &e);
    fprintf(stderr, "dltrigger run: %s is refused:\n", r->options.file);
    for (size_t i = 0; i < problems->n; i++)
        fprintf(stderr, "  %s: %s\n", *problems->items[i].pointer ? problems->items[i].pointer : "/",
                problems->items[i].detail);
    return 1;
}

/* ---- following ------------------------------------------------------------------------------------------------------------ */

static void draw(struct run *r, const struct job_row *row, size_t n_final)
{
    char phase[200];
    bool waits = row->state != JOB_RUNNING && row->state != JOB_CANCELLING;
    const char *what = row->state == JOB_CANCELLING ? "cancelling" : waits ? job_state_name(row->state) : row->phase;
    if (r->n_ids > 1)
        snprintf(phase, sizeof phase, "%zu/%zu %s: %s", n_final + 1, r->n_ids, row->step, what && *what ? what : row->kind);
    else
        snprintf(phase, sizeof phase, "%s", what && *what ? what : row->kind);
    bool has_eta = row->total >= 0 && row->rate_per_second > 0;
    progress_bar_draw(&r->bar, phase, row->fraction, (double)row->done, (double)row->total, row->unit, row->rate_per_second,
                      has_eta ? (double)(row->total - row->done) / row->rate_per_second : -1);
}

/* Looks at all jobs: *current is one that runs, or else the first that is not final; NULL when all are. */
static enum status look(struct run *r, const struct job_row **current, size_t *n_final, struct error *e)
{
    arena_reset(&r->rows);
    struct job_row *rows = ARENA_NEW(&r->rows, struct job_row, r->n_ids);
    if (!rows)
        return error_set(e, STATUS_NOMEM, "no memory for the jobs");
    *current = NULL;
    *n_final = 0;
    for (size_t i = 0; i < r->n_ids; i++) {
        TRY(jobs_get(r->jobs, &r->rows, r->ids[i], &rows[i], e));
        bool final = job_state_final(rows[i].state);
        *n_final += final;
        if (!final && (!*current || (rows[i].state == JOB_RUNNING && (*current)->state != JOB_RUNNING)))
            *current = &rows[i];
    }
    return STATUS_OK;
}

static void cancel_all(struct run *r)
{
    struct error e;
    r->cancelled = true;
    progress_bar_clear(&r->bar);
    fputs("dltrigger run: cancelling\n", stderr);
    for (size_t i = 0; i < r->n_ids; i++)
        if (jobs_cancel(r->jobs, r->ids[i], &e) != STATUS_OK && e.status != STATUS_CONFLICT)
            fprintf(stderr, "dltrigger run: %s\n", e.text);
}

static int follow(struct run *r)
{
    const struct job_row *current = NULL;
    struct error e;
    size_t n_final = 0;
    for (;;) {
        if (look(r, &current, &n_final, &e) != STATUS_OK)
            return fail(r, &e);
        if (!current)
            break;
        draw(r, current, n_final);
        if (interrupted && !r->cancelled)
            cancel_all(r);
        jobs_wait_change(r->jobs, current->id, FOLLOW_MS);
    }
    progress_bar_clear(&r->bar);
    return 0;
}

/* ---- the result -------------------------------------------------------------------------------------------------------------- */

static void explain_end(const struct run *r, const struct job_row *row)
{
    struct json *errors = NULL;
    struct error e;
    const char *detail = "";
    if (json_parse(row->errors, strlen(row->errors), &errors, &e) == STATUS_OK && json_count(errors) > 0)
        detail = json_str(json_get(json_at(errors, json_count(errors) - 1), "detail"), "");
    fprintf(stderr, "dltrigger run: %s%s%s (%s) %s%s%s\n", r->n_ids > 1 ? row->step : "", r->n_ids > 1 ? ": " : "", row->id,
            row->kind, job_state_name(row->state), *detail ? ": " : "", detail);
    json_free(errors);
}

static struct json *job_result(const struct job_row *row)
{
    struct json *v;
    struct error e;
    return json_parse(row->result, strlen(row->result), &v, &e) == STATUS_OK ? v : NULL;
}

/* {pipeline_id, steps: {id: {job_id, kind, result}}} */
static void add_step(struct json *steps, const struct job_row *row)
{
    struct json *step = json_new_object();
    json_set(step, "job_id", json_new_string(row->id));
    json_set(step, "kind", json_new_string(row->kind));
    json_set(step, "result", job_result(row));
    json_set(steps, row->step, step);
}

static int print_value(struct run *r, const struct json *v)
{
    struct buf text;
    struct error e;
    buf_init(&text, ARENA_MAX);
    enum status s = r->options.json ? json_write(v, &text, &e) : json_write_pretty(v, &text, &e);
    if (s == STATUS_OK)
        s = buf_append(&text, "\n", 1, &e);
    if (s == STATUS_OK && (fwrite(text.data, 1, text.len, stdout) != text.len || fflush(stdout) != 0))
        s = error_errno(&e, "writing the result");
    buf_fini(&text);
    return s == STATUS_OK ? 0 : fail(r, &e);
}

static int report(struct run *r)
{
    bool all_done = true;
    struct error e;
    struct json *found;
    struct json *whole = r->pipeline_id[0] ? json_new_object() : NULL, *steps = whole ? json_new_object() : NULL;
    if (whole)
        json_set(whole, "pipeline_id", json_new_string(r->pipeline_id));
    arena_reset(&r->rows);
    for (size_t i = 0; i < r->n_ids; i++) {
        struct job_row row;
        if (jobs_get(r->jobs, &r->rows, r->ids[i], &row, &e) != STATUS_OK)
            return fail(r, &e);
        all_done &= row.state == JOB_COMPLETED;
        if (row.state != JOB_COMPLETED)
            explain_end(r, &row);
        else if (r->pipeline_id[0])
            add_step(steps, &row);
        else
            whole = job_result(&row);
        if (row.state == JOB_COMPLETED && (found = job_result(&row))) {
            study_print(stderr, found);
            json_free(found);
        }
    }
    if (r->pipeline_id[0])
        json_set(whole, "steps", steps);
    int code = all_done ? print_value(r, whole) : 1;
    json_free(whole);
    return code;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------------------- */

static void log_behind_bar(void *ctx, enum log_level level, const char *line)
{
    struct run *r = ctx;
    (void)level;
    fprintf(stderr, "%s%s\n", r->bar.terminal ? "\r\033[K" : "", line);
}

static void say_what_waits(struct run *r)
{
    struct job_count *counts;
    struct error e;
    size_t n;
    int64_t n_waiting = 0;
    if (store_jobs_count(r->store, &r->rows, &counts, &n, &e) != STATUS_OK)
        return;
    for (size_t i = 0; i < n; i++)
        n_waiting += job_state_final(counts[i].state) ? 0 : counts[i].n;
    if (n_waiting > 0)
        fprintf(stderr, "dltrigger run: %lld unfinished jobs of this data folder are resumed too\n", (long long)n_waiting);
}

static int run_in(struct run *r)
{
    struct error e;
    const struct run_options *o = &r->options;
    struct jobs_options options = {.data_dir = o->data_dir, .data_roots = o->roots, .n_data_roots = o->n_roots,
                                   .workers = 1, .threads_per_job = o->threads, .child_kinds = jobs_untrusted_kinds,
                                   .source_hosts = o->hosts, .n_source_hosts = o->n_hosts,
                                   .source_setting = "--source-host"};
    const struct source_policy policy = {.hosts = o->hosts, .n_hosts = o->n_hosts, .setting = "--source-host"};
    if (source_policy_set(&policy, &e) != STATUS_OK || read_body(r, &e) != STATUS_OK ||
        store_open(o->data_dir, &r->store, &e) != STATUS_OK)
        return fail(r, &e);
    say_what_waits(r);
    if (jobs_start(r->store, &options, &r->jobs, &e) != STATUS_OK)
        return fail(r, &e);
    int code = submit_or_explain(r);
    if (code == 0)
        code = follow(r);
    if (code == 0)
        code = report(r);
    return code;
}

int cli_run(int argc, char **argv)
{
    struct run r = {.ids = NULL};
    if (argc > 1 && strcmp(argv[1], "--help") == 0)
        return usage(NULL);
    const char *problem = read_arguments(argc, argv, &r.options);
    if (problem)
        return usage(problem);
    struct sigaction act = {.sa_handler = on_signal}, before_int, before_term;
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, &before_int);
    sigaction(SIGTERM, &act, &before_term);
    progress_bar_init(&r.bar, stderr);
    log_set(LOG_WARN, log_behind_bar, &r);
    arena_init(&r.a, ARENA_MAX);
    arena_init(&r.rows, ARENA_MAX);
    int code = run_in(&r);
    jobs_stop(r.jobs);
    store_close(r.store);
    json_free(r.body);
    arena_fini(&r.rows);
    arena_fini(&r.a);
    log_set(LOG_INFO, NULL, NULL);
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
    return code;
}
