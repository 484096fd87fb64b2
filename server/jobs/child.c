/* server/jobs/child.c
 *
 * A job in a process of its own, as that process sees it: it gets the job over a socket, runs its units with the code that
 * the engine has, and asks the engine for everything that a host does.  When a file makes it crash, an attempt is lost and
 * nothing else. */
#include "core/source.h"
#include "server/jobs/engine.h"
#include "server/jobs/message.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { HOSTS_MAX = 64 };
#define ARENA_MAX_BYTES ((size_t)2 << 30)
#define SMALL_MAX ((size_t)256 << 20)

struct child {
    int fd;
    atomic_bool stop;
    pthread_mutex_t asking;                       /* held from a question to its answer */
    pthread_mutex_t sending;
    pthread_mutex_t lock;                         /* of what follows */
    pthread_cond_t came;
    bool answered;
    struct buf answer;
    const struct job_kind *kind;
    struct arena a;                               /* of the start message */
    const char *job_id, *work_dir, *created_at, *spec_text;
    size_t threads;
};

/* The engine is gone: so is the reason to be here. */
static _Noreturn void leave(void)
{
    _exit(1);
}

/* ---- asking ------------------------------------------------------------------------------------------------------------ */

static void tell(struct child *c, enum message_type type, const struct message_out *m)
{
    struct error e;
    pthread_mutex_lock(&c->sending);
    if (message_send(c->fd, type, m, &e) == STATUS_IO)
        leave();
    pthread_mutex_unlock(&c->sending);
}

/* Sends a question, takes it, and waits.  *answer is the caller's to free; *in reads behind status and error. */
static enum status ask(struct child *c, enum message_type type, struct message_out *m, struct arena *a,
                       struct buf *answer, struct message_in *in, struct error *e)
{
    pthread_mutex_lock(&c->asking);
    pthread_mutex_lock(&c->lock);
    c->answered = false;
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_lock(&c->sending);
    enum status s = message_send(c->fd, type, m, e);
    pthread_mutex_unlock(&c->sending);
    message_out_fini(m);
    if (s == STATUS_IO)
        leave();
    buf_init(answer, MESSAGE_BODY_MAX);
    if (s == STATUS_OK) {
        pthread_mutex_lock(&c->lock);
        while (!c->answered)
            pthread_cond_wait(&c->came, &c->lock);
        *answer = c->answer;
        buf_init(&c->answer, MESSAGE_BODY_MAX);
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_unlock(&c->asking);
    TRY(s);
    struct arena own;
    arena_init(&own, 1 << 16);
    *in = message_in(answer, &own);
    uint32_t status = get_u32(in);
    const char *text = get_text(in);
    if (in->bad || status > STATUS_BUG)
        s = error_set(e, STATUS_BUG, "the engine's answer to %s is malformed", message_name(type));
    else if (status != STATUS_OK)
        s = error_set(e, (enum status)status, "%s", text ? text : "");
    arena_fini(&own);
    in->a = a;
    return s;
}

/* For questions whose answer is a status. */
static enum status ask_status(struct child *c, enum message_type type, struct message_out *m, struct error *e)
{
    struct buf answer;
    struct message_in in;
    enum status s = ask(c, type, m, NULL, &answer, &in, e);
    buf_fini(&answer);
    return s;
}

/* For questions whose answer is one blob. */
static enum status ask_bytes(struct child *c, enum message_type type, struct message_out *m, struct buf *out, bool *found,
                             struct error *e)
{
    struct buf answer;
    struct message_in in;
    enum status s = ask(c, type, m, NULL, &answer, &in, e);
    if (s == STATUS_OK) {
        struct span bytes = get_bytes(&in);
        *found = bytes.data != NULL;
        s = in.bad ? error_set(e, STATUS_BUG, "a malformed answer") : buf_append(out, bytes.data, bytes.len, e);
    }
    buf_fini(&answer);
    return s;
}

static void *reader_main(void *child)
{
    struct child *c = child;
    struct buf body;
    struct error e;
    enum message_type type;
    bool end;
    for (;;) {
        buf_init(&body, MESSAGE_BODY_MAX);
        if (message_receive(c->fd, &type, &body, &end, &e) != STATUS_OK || end)
            leave();
        if (type == MESSAGE_CANCEL)
            atomic_store(&c->stop, true);
        if (type != MESSAGE_REPLY) {
            buf_fini(&body);
            continue;
        }
        pthread_mutex_lock(&c->lock);
        buf_fini(&c->answer);
        c->answer = body;
        c->answered = true;
        pthread_cond_signal(&c->came);
        pthread_mutex_unlock(&c->lock);
    }
    return NULL;
}

/* ---- the host ------------------------------------------------------------------------------------------------------------ */

static bool child_cancelled(void *host)
{
    return atomic_load_explicit(&((struct child *)host)->stop, memory_order_relaxed);
}

static void child_progress(void *host, const struct job_progress *p)
{
    struct message_out m;
    message_out_init(&m);
    put_text(&m, p->phase);
    put_text(&m, p->unit);
    put_text(&m, p->message);
    put_i64(&m, p->done);
    put_i64(&m, p->total);
    tell(host, MESSAGE_PROGRESS, &m);
    message_out_fini(&m);
}

static void child_metric(void *host, const char *key, int64_t step, double value)
{
    struct message_out m;
    message_out_init(&m);
    put_text(&m, key);
    put_i64(&m, step);
    put_f64(&m, value);
    tell(host, MESSAGE_METRIC, &m);
    message_out_fini(&m);
}

static void tell_line(struct child *c, enum message_type type, enum log_level level, const char *text)
{
    struct message_out m;
    message_out_init(&m);
    put_u32(&m, level);
    put_text(&m, text);
    tell(c, type, &m);
    message_out_fini(&m);
}

static void child_log(void *host, enum log_level level, const char *text)
{
    tell_line(host, MESSAGE_LOG, level, text);
}

static void log_to_engine(void *child, enum log_level level, const char *line)
{
    tell_line(child, MESSAGE_LINE, level, line);
}

static enum status child_checkpoint_save(void *host, const void *data, size_t n, struct error *e)
{
    struct message_out m;
    message_out_init(&m);
    put_bytes(&m, data, n);
    return ask_status(host, MESSAGE_CHECKPOINT_SAVE, &m, e);
}

static enum status child_checkpoint_load(void *host, struct buf *out, bool *found, struct error *e)
{
    struct message_out m;
    message_out_init(&m);
    return ask_bytes(host, MESSAGE_CHECKPOINT_LOAD, &m, out, found, e);
}

static enum status child_unit_result(void *host, int phase, int64_t unit, struct buf *out, struct error *e)
{
    struct message_out m;
    bool found;
    message_out_init(&m);
    put_i64(&m, phase);
    put_i64(&m, unit);
    return ask_bytes(host, MESSAGE_UNIT_RESULT, &m, out, &found, e);
}

static enum status child_resolve_input(void *host, struct arena *a, const char *given, struct field_list *paths,
                                       struct error *e)
{
    struct message_out m;
    struct buf answer;
    struct message_in in;
    message_out_init(&m);
    put_text(&m, given);
    enum status s = ask(host, MESSAGE_RESOLVE_INPUT, &m, a, &answer, &in, e);
    uint32_t n = s == STATUS_OK ? get_u32(&in) : 0;
    const char **list = s == STATUS_OK && n <= MESSAGE_TEXTS_MAX ? ARENA_NEW(a, const char *, n + 1) : NULL;
    for (uint32_t i = 0; list && i < n; i++)
        if (!(list[i] = get_text(&in)))
            list = NULL;
    buf_fini(&answer);
    TRY(s);
    *paths = (struct field_list){list, n};
    return list ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for %u paths", n);
}

static enum status child_resolve_artifact(void *host, struct arena *a, const char *kind, const char *ref,
                                          const char **folder, const char **canonical, struct error *e)
{
    struct message_out m;
    struct buf answer;
    struct message_in in;
    message_out_init(&m);
    put_text(&m, kind);
    put_text(&m, ref);
    enum status s = ask(host, MESSAGE_RESOLVE_ARTIFACT, &m, a, &answer, &in, e);
    *folder = s == STATUS_OK ? get_text(&in) : NULL;
    *canonical = s == STATUS_OK ? get_text(&in) : NULL;
    buf_fini(&answer);
    TRY(s);
    return *folder && *canonical ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for an artifact");
}

static enum status child_artifact_id(void *host, struct arena *a, const char *prefix, int n, const char **id,
                                     struct error *e)
{
    struct message_out m;
    struct buf answer;
    struct message_in in;
    message_out_init(&m);
    put_text(&m, prefix);
    put_i64(&m, n);
    enum status s = ask(host, MESSAGE_ARTIFACT_ID, &m, a, &answer, &in, e);
    *id = s == STATUS_OK ? get_text(&in) : NULL;
    buf_fini(&answer);
    TRY(s);
    return *id ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for an id");
}

static enum status child_model_version(void *host, const char *name, int64_t *version, struct error *e)
{
    struct message_out m;
    struct buf answer;
    struct message_in in;
    message_out_init(&m);
    put_text(&m, name);
    enum status s = ask(host, MESSAGE_MODEL_VERSION, &m, NULL, &answer, &in, e);
    *version = s == STATUS_OK ? get_i64(&in) : 0;
    buf_fini(&answer);
    return s;
}

static enum status child_publish(void *host, const struct artifact *artifact, struct error *e)
{
    struct message_out m;
    message_out_init(&m);
    put_text(&m, artifact->kind);
    put_text(&m, artifact->id);
    put_text(&m, artifact->staged);
    put_text(&m, artifact->name);
    put_text(&m, artifact->sha256);
    return ask_status(host, MESSAGE_PUBLISH, &m, e);
}

static const struct job_host child_host = {
    .cancelled = child_cancelled,
    .progress = child_progress,
    .metric = child_metric,
    .log = child_log,
    .checkpoint_save = child_checkpoint_save,
    .checkpoint_load = child_checkpoint_load,
    .unit_result = child_unit_result,
    .resolve_input = child_resolve_input,
    .resolve_artifact = child_resolve_artifact,
    .artifact_id = child_artifact_id,
    .model_version = child_model_version,
    .publish = child_publish,
};

/* ---- units --------------------------------------------------------------------------------------------------------------- */

static enum status child_check_stop(void *ctx, struct error *e)
{
    return child_cancelled(ctx) ? error_set(e, STATUS_CANCELLED, "stopped") : STATUS_OK;
}

static enum status child_units_committed(void *ctx, int phase, int64_t n_units, bool *done, struct error *e)
{
    struct message_out m;
    struct buf bytes;
    bool found;
    message_out_init(&m);
    put_i64(&m, phase);
    put_i64(&m, n_units);
    buf_init(&bytes, SMALL_MAX);
    enum status s = ask_bytes(ctx, MESSAGE_UNITS_COMMITTED, &m, &bytes, &found, e);
    if (s == STATUS_OK && bytes.len != (size_t)n_units)
        s = error_set(e, STATUS_BUG, "a malformed answer");
    for (size_t i = 0; s == STATUS_OK && i < bytes.len; i++)
        done[i] = bytes.data[i] == 1;
    buf_fini(&bytes);
    return s;
}

static enum status child_unit_commit(void *ctx, int phase, int64_t unit, struct span result, struct error *e)
{
    struct message_out m;
    message_out_init(&m);
    put_i64(&m, phase);
    put_i64(&m, unit);
    put_bytes(&m, result.data, result.len);
    return ask_status(ctx, MESSAGE_UNIT_COMMIT, &m, e);
}

static const struct run_ops child_ops = {child_check_stop, child_units_committed, child_unit_commit};

/* ---- a run ----------------------------------------------------------------------------------------------------------------- */

static enum status read_start(struct child *c, const struct job_kind *const *kinds, struct error *e)
{
    struct buf body;
    enum message_type type;
    bool end;
    const char *hosts[HOSTS_MAX];
    buf_init(&body, SMALL_MAX);
    enum status s = message_receive(c->fd, &type, &body, &end, e);
    if (s != STATUS_OK || end || type != MESSAGE_START)
        leave();
    struct message_in m = message_in(&body, &c->a);
    int64_t threads = get_i64(&m);
    const char *kind = get_text(&m);
    c->job_id = get_text(&m);
    c->work_dir = get_text(&m);
    c->created_at = get_text(&m);
    c->spec_text = get_text(&m);
    struct source_policy policy = {.hosts = hosts, .setting = get_text(&m)};
    uint32_t n = get_u32(&m);
    for (; policy.n_hosts < n && n <= HOSTS_MAX; policy.n_hosts++)
        hosts[policy.n_hosts] = get_text(&m);
    if (!message_whole(&m) || !kind || !c->job_id || !c->work_dir || !c->created_at || !c->spec_text || threads < 1)
        leave();
    c->threads = (size_t)threads;
    for (; *kinds && !c->kind; kinds++)
        c->kind = strcmp((*kinds)->name, kind) == 0 ? *kinds : NULL;
    buf_fini(&body);
    if (!c->kind)
        return error_set(e, STATUS_UNSUPPORTED, "this program has no job kind %s", kind);
    return source_policy_set(&policy, e);          /* also without hosts: a refusal names the setting */
}

static enum status run_it(struct child *c, struct arena *unit_arena, bool *partial, struct buf *result, struct error *e)
{
    struct json_problems *problems = ARENA_NEW(&c->a, struct json_problems, 1);
    struct json *value;
    const char *text;
    char sha256[65];
    void *spec;
    if (!problems)
        return error_set(e, STATUS_NOMEM, "no memory for a spec");
    TRY(json_parse(c->spec_text, strlen(c->spec_text), &value, e));
    enum status s = spec_check(&c->a, c->kind, value, "/spec", &spec, &text, sha256, problems, e);
    json_free(value);
    TRY(s);
    struct job_ctx ctx = {.host = &child_host, .host_ctx = c, .arena = unit_arena, .job_id = c->job_id,
                          .work_dir = c->work_dir, .created_at = c->created_at, .threads = c->threads};
    s = run_phases(&child_ops, c, &ctx, c->kind, spec, e);
    if (s == STATUS_OK)
        s = run_finish(&child_ops, c, &ctx, c->kind, spec, partial, result, e);
    if (ctx.free_state)
        ctx.free_state(ctx.state);
    return s;
}

/* No core dumps of other people's data, no life without the engine, and an end to memory before the machine's. */
static void limit(pid_t engine)
{
    const struct rlimit no_core = {0, 0};
    (void)!setrlimit(RLIMIT_CORE, &no_core);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) {
        /* Address space, of which stacks and caches of threads take more than they use. */
        rlim_t most = (rlim_t)pages * (rlim_t)page + ((rlim_t)4 << 30);
        const struct rlimit memory = {most, most};
        (void)!setrlimit(RLIMIT_AS, &memory);
    }
#endif
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (engine > 0 && getppid() != engine)
        leave();
}

int jobs_child_main(int argc, char **argv, const struct job_kind *const *kinds)
{
    struct child c = {.fd = JOB_CHILD_FD};
    struct arena unit_arena;
    struct buf result;
    struct error e = {.text = ""};
    struct message_out m;
    pthread_t reader;
    bool partial = false;
    limit(argc > 2 ? (pid_t)strtol(argv[2], NULL, 10) : 0);
    log_set(LOG_INFO, log_to_engine, &c);
    check(pthread_mutex_init(&c.asking, NULL) == 0 && pthread_mutex_init(&c.sending, NULL) == 0);
    check(pthread_mutex_init(&c.lock, NULL) == 0 && pthread_cond_init(&c.came, NULL) == 0);
    arena_init(&c.a, SMALL_MAX);
    arena_init(&unit_arena, ARENA_MAX_BYTES);
    buf_init(&result, MESSAGE_BODY_MAX);
    buf_init(&c.answer, MESSAGE_BODY_MAX);
    enum status s = read_start(&c, kinds ? kinds : job_kinds, &e);
    if (pthread_create(&reader, NULL, reader_main, &c) != 0)
        leave();
    if (s == STATUS_OK)
        s = run_it(&c, &unit_arena, &partial, &result, &e);
    message_out_init(&m);
    put_u32(&m, s);
    put_text(&m, s == STATUS_OK ? "" : e.text);
    put_u32(&m, partial);
    put_bytes(&m, result.data, result.len);
    tell(&c, MESSAGE_END, &m);
    _exit(0);                                     /* the reader is still in its call; nothing here outlives the process */
}
