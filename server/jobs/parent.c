/* server/jobs/parent.c
 *
 * A job in a process of its own, as the engine sees it: the process is this very program, started with a socket; what it
 * asks for is what a host gives, and nothing that it says is believed before it is checked. */
#include "server/jobs/engine.h"
#include "server/jobs/message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* SILENCE: in the middle of a message. */
enum { LOOK_MS = 50, GRACE_MS = 2000, SILENCE_SECONDS = 30 };
#define ANSWER_ARENA_MAX ((size_t)256 << 20)

const char *const jobs_untrusted_kinds[] = {"ingest", "import", NULL};

struct link {
    struct job_run *run;
    int fd;
    pid_t pid;
    bool cancel_sent, ended;                      /* ended: END has come, and what follows is it */
    enum status status;
    struct buf *result;
    struct error *e;
};

bool engine_in_child(const struct jobs *j, const struct job_kind *kind)
{
    for (const char *const *name = j->child_kinds; name && *name; name++)
        if (strcmp(*name, kind->name) == 0)
            return true;
    return false;
}

/* ---- the process ------------------------------------------------------------------------------------------------------- */

/* The environment with one BLAS thread: the library starts its threads when it is loaded. */
static char **child_environment(struct arena *a)
{
    size_t n = 0;
    while (environ[n])
        n++;
    char **list = ARENA_NEW(a, char *, n + 2);
    for (size_t i = 0, to = 0; list && i < n; i++)
        if (strncmp(environ[i], "OPENBLAS_NUM_THREADS=", 21) != 0)
            list[to++] = environ[i];
    for (size_t i = 0; list; i++)
        if (!list[i]) {
            list[i] = arena_strdup(a, "OPENBLAS_NUM_THREADS=1");
            break;
        }
    return list;
}

/* Nothing of ours but the socket and standard error; signals as they are by default, and a group of its own, so that
 * Ctrl-C reaches the engine, which cancels the job. */
static int spawn_with(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int fd, char **environment,
                      pid_t *pid)
{
    sigset_t none, all;
    char engine[24];
    char *arguments[] = {(char *)(uintptr_t)"dltrigger", (char *)(uintptr_t)JOBS_CHILD_WORD, engine, NULL};
    snprintf(engine, sizeof engine, "%ld", (long)getpid());
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setpgroup(attributes, 0);
    int rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(actions, fd, JOB_CHILD_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, JOB_CHILD_FD + 1);
    if (rc == 0)
        rc = posix_spawn(pid, "/proc/self/exe", actions, attributes, arguments, environment);
    return rc;
}

static enum status start_process(struct link *l, struct error *e)
{
    int fds[2];
    struct arena a;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return error_errno(e, "a socket for the job's process");
    arena_init(&a, 1 << 20);
    char **environment = child_environment(&a);
    int rc = environment ? posix_spawn_file_actions_init(&actions) : ENOMEM;
    if (rc == 0) {
        rc = posix_spawnattr_init(&attributes);
        if (rc == 0) {
            /* dup2 onto itself would keep close-on-exec. */
            int fd = fds[1] == JOB_CHILD_FD ? fcntl(fds[1], F_DUPFD_CLOEXEC, JOB_CHILD_FD + 1) : fds[1];
            rc = fd < 0 ? errno : spawn_with(&actions, &attributes, fd, environment, &l->pid);
            if (fd >= 0 && fd != fds[1])
                close(fd);
            posix_spawnattr_destroy(&attributes);
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    arena_fini(&a);
    close(fds[1]);
    l->fd = fds[0];
    const struct timeval silence = {.tv_sec = SILENCE_SECONDS};
    setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
    setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence);
    if (rc == 0)
        return STATUS_OK;
    close(fds[0]);
    errno = rc;
    return error_errno(e, "starting a process for the job");
}

static enum status send_start(struct link *l, const struct job_kind *kind, const char *spec_text, struct error *e)
{
    const struct jobs *j = l->run->jobs;
    char created_at[40];
    struct message_out m;
    json_time_text(l->run->as_created_us, created_at);
    message_out_init(&m);
    put_i64(&m, (int64_t)j->threads_per_job);
    put_text(&m, kind->name);
    put_text(&m, l->run->as_id);
    put_text(&m, l->run->work_dir);
    put_text(&m, created_at);
    put_text(&m, spec_text);
    put_text(&m, j->source_setting);
    put_u32(&m, (uint32_t)j->n_source_hosts);
    for (size_t i = 0; i < j->n_source_hosts; i++)
        put_text(&m, j->source_hosts[i]);
    enum status s = message_send(l->fd, MESSAGE_START, &m, e);
    message_out_fini(&m);
    return s;
}

/* ---- what it tells ---------------------------------------------------------------------------------------------------- */

static void on_tell(struct link *l, enum message_type type, struct message_in *m)
{
    struct job_run *run = l->run;
    if (type == MESSAGE_PROGRESS) {
        struct job_progress p;
        p.phase = get_text(m);
        p.unit = get_text(m);
        p.message = get_text(m);
        p.done = get_i64(m);
        p.total = get_i64(m);
        if (message_whole(m))
            engine_host.progress(run, &p);
    } else if (type == MESSAGE_METRIC) {
        const char *key = get_text(m);
        int64_t step = get_i64(m);
        double value = get_f64(m);
        if (message_whole(m) && key)
            engine_host.metric(run, key, step, value);
    } else {
        uint32_t level = get_u32(m);
        const char *text = get_text(m);
        if (!message_whole(m) || level > LOG_ERROR || !text)
            m->bad = true;
        else if (type == MESSAGE_LOG)
            engine_host.log(run, (enum log_level)level, text);
        else
            log_line((enum log_level)level, "job %s: its process: %s", run->claim->id, text);
    }
}

/* Its last word.  A result that is no JSON object is no result. */
static void on_end(struct link *l, struct message_in *m)
{
    uint32_t status = get_u32(m);
    const char *text = get_text(m);
    l->run->partial = get_u32(m) == 1;
    struct span result = get_bytes(m);
    struct json *v = NULL;
    if (!message_whole(m) || status > STATUS_BUG || !text)
        return;
    l->ended = true;
    l->status = (enum status)status;
    if (status != STATUS_OK) {
        (void)error_set(l->e, l->status, "%s", text);
        return;
    }
    if (result.len < 2 || result.data[result.len - 1] != '\0')
        l->status = error_set(l->e, STATUS_BUG, "the job's process left no result");
    else
        l->status = json_parse(result.data, result.len - 1, &v, l->e);
    if (l->status == STATUS_OK && json_type_of(v) != JSON_OBJECT_)
        l->status = error_set(l->e, STATUS_BUG, "the result of the job's process is no object");
    json_free(v);
    if (l->status == STATUS_OK)
        l->status = buf_append(l->result, result.data, result.len, l->e);
}

/* ---- what it asks ------------------------------------------------------------------------------------------------------ */

static enum status answer_units(struct link *l, enum message_type type, struct message_in *m, struct message_out *out,
                                struct error *e)
{
    int64_t phase = get_i64(m), unit = get_i64(m);
    struct span given = type == MESSAGE_UNIT_COMMIT ? get_bytes(m) : (struct span){NULL, 0};
    struct buf bytes;
    if (!message_whole(m) || phase < 0 || phase > 1000 || unit < 0 || unit > PHASE_UNITS_MAX)
        return error_set(e, STATUS_BUG, "a malformed %s", message_name(type));
    if (type == MESSAGE_UNIT_COMMIT)
        return engine_ops.commit(l->run, (int)phase, unit, given, e);
    buf_init(&bytes, MESSAGE_BODY_MAX);
    enum status s;
    if (type == MESSAGE_UNIT_RESULT) {
        s = engine_host.unit_result(l->run, (int)phase, unit, &bytes, e);
    } else {
        s = buf_reserve(&bytes, (size_t)unit + 1, e);
        if (s == STATUS_OK)
            s = engine_ops.committed(l->run, (int)phase, unit, (bool *)bytes.data, e);
        bytes.len = s == STATUS_OK ? (size_t)unit : 0;
    }
    if (s == STATUS_OK)
        put_bytes(out, bytes.data, bytes.len);
    buf_fini(&bytes);
    return s;
}

static enum status answer_checkpoint(struct link *l, enum message_type type, struct message_in *m, struct message_out *out,
                                     struct error *e)
{
    struct buf bytes;
    bool found = false;
    if (type == MESSAGE_CHECKPOINT_SAVE) {
        struct span given = get_bytes(m);
        if (!message_whole(m))
            return error_set(e, STATUS_BUG, "a malformed %s", message_name(type));
        return engine_host.checkpoint_save(l->run, given.data, given.len, e);
    }
    buf_init(&bytes, MESSAGE_BODY_MAX);
    enum status s = engine_host.checkpoint_load(l->run, &bytes, &found, e);
    if (s == STATUS_OK && found)
        put_bytes(out, bytes.data, bytes.len);
    else
        put_text(out, NULL);
    buf_fini(&bytes);
    return s;
}

static enum status answer_input(struct link *l, struct arena *a, struct message_in *m, struct message_out *out,
                                struct error *e)
{
    struct field_list paths;
    const char *given = get_text(m);
    if (!message_whole(m) || !given)
        return error_set(e, STATUS_BUG, "a malformed RESOLVE_INPUT");
    TRY(engine_host.resolve_input(l->run, a, given, &paths, e));
    put_u32(out, (uint32_t)paths.n_items);
    for (size_t i = 0; i < paths.n_items; i++)
        put_text(out, ((const char *const *)paths.items)[i]);
    return STATUS_OK;
}

static enum status answer_names(struct link *l, enum message_type type, struct arena *a, struct message_in *m,
                                struct message_out *out, struct error *e)
{
    const char *first = get_text(m), *second = type == MESSAGE_RESOLVE_ARTIFACT ? get_text(m) : "", *folder, *id;
    int64_t n = type == MESSAGE_ARTIFACT_ID ? get_i64(m) : 0;
    if (!message_whole(m) || !first || !second || n < 0 || n > 1000000 ||
        (type == MESSAGE_ARTIFACT_ID && strlen(first) > 12))
        return error_set(e, STATUS_BUG, "a malformed %s", message_name(type));
    switch (type) {
    case MESSAGE_RESOLVE_ARTIFACT:
        TRY(engine_host.resolve_artifact(l->run, a, first, second, &folder, &id, e));
        put_text(out, folder);
        put_text(out, id);
        return STATUS_OK;
    case MESSAGE_ARTIFACT_ID:
        TRY(engine_host.artifact_id(l->run, a, first, (int)n, &id, e));
        put_text(out, id);
        return STATUS_OK;
    default:
        TRY(engine_host.model_version(l->run, first, &n, e));
        put_i64(out, n);
        return STATUS_OK;
    }
}

static enum status answer_publish(struct link *l, struct message_in *m, struct error *e)
{
    struct artifact artifact;
    artifact.kind = get_text(m);
    artifact.id = get_text(m);
    artifact.staged = get_text(m);
    artifact.name = get_text(m);
    artifact.sha256 = get_text(m);
    if (!message_whole(m) || !artifact.kind || !artifact.id || !artifact.staged)
        return error_set(e, STATUS_BUG, "a malformed PUBLISH");
    return engine_host.publish(l->run, &artifact, e);
}

static enum status answer(struct link *l, enum message_type type, struct arena *a, struct message_in *m,
                          struct message_out *out, struct error *e)
{
    switch (type) {
    case MESSAGE_CHECKPOINT_SAVE:
    case MESSAGE_CHECKPOINT_LOAD: return answer_checkpoint(l, type, m, out, e);
    case MESSAGE_UNITS_COMMITTED:
    case MESSAGE_UNIT_COMMIT:
    case MESSAGE_UNIT_RESULT: return answer_units(l, type, m, out, e);
    case MESSAGE_RESOLVE_INPUT: return answer_input(l, a, m, out, e);
    case MESSAGE_RESOLVE_ARTIFACT:
    case MESSAGE_ARTIFACT_ID:
    case MESSAGE_MODEL_VERSION: return answer_names(l, type, a, m, out, e);
    case MESSAGE_PUBLISH: return answer_publish(l, m, e);
    default: return error_set(e, STATUS_BUG, "nobody asks with %s", message_name(type));
    }
}

static enum status reply(struct link *l, enum status status, const struct error *why, struct message_out *found,
                         struct error *e)
{
    struct message_out m;
    message_out_init(&m);
    put_u32(&m, status);
    put_text(&m, status == STATUS_OK ? "" : why->text);
    struct error no_memory;
    m.bad |= found->bad;
    if (found->body.len > 0 && buf_append(&m.body, found->body.data, found->body.len, &no_memory) != STATUS_OK)
        m.bad = true;
    enum status s = message_send(l->fd, MESSAGE_REPLY, &m, e);
    message_out_fini(&m);
    return s;
}

/* One message; *e: the process cannot be talked to any longer. */
static enum status handle(struct link *l, enum message_type type, struct buf *body, struct error *e)
{
    struct arena a;
    struct error why = {.text = ""};
    struct message_out found;
    enum status s = STATUS_OK;
    arena_init(&a, ANSWER_ARENA_MAX);
    struct message_in m = message_in(body, &a);
    if (type == MESSAGE_END) {
        on_end(l, &m);
    } else if (type == MESSAGE_PROGRESS || type == MESSAGE_METRIC || type == MESSAGE_LOG || type == MESSAGE_LINE) {
        on_tell(l, type, &m);
    } else {
        message_out_init(&found);
        enum status answered = answer(l, type, &a, &m, &found, &why);
        s = reply(l, answered, &why, &found, e);
        message_out_fini(&found);
    }
    if (m.bad && s == STATUS_OK)
        s = error_set(e, STATUS_FORMAT, "a malformed %s", message_name(type));
    arena_fini(&a);
    return s;
}

/* ---- from start to end ------------------------------------------------------------------------------------------------- */

/* Passes a stop on; a process that does not heed it, long after others have given up on the job, is ended. */
static void pass_stop(struct link *l, int64_t *stopped_ns)
{
    struct error e;
    int stop = atomic_load(&l->run->live->stop);
    if (stop == 0)
        return;
    int64_t now_ns = time_mono_ns(), deadline_ns = l->run->jobs->cancel_deadline_us * 1000;
    if (!l->cancel_sent && message_send(l->fd, MESSAGE_CANCEL, NULL, &e) == STATUS_OK) {
        l->cancel_sent = true;
        *stopped_ns = now_ns;
    }
    bool patience_is_over = l->cancel_sent && now_ns - *stopped_ns > deadline_ns + GRACE_MS * 1000000LL;
    if ((stop & STOP_LOST) || patience_is_over)
        kill(l->pid, SIGKILL);
}

static enum status serve(struct link *l, struct error *e)
{
    struct buf body;
    enum status s = STATUS_OK;
    int64_t stopped_ns = 0;
    bool end = false;
    buf_init(&body, MESSAGE_BODY_MAX);
    while (s == STATUS_OK && !l->ended && !end) {
        struct pollfd p = {.fd = l->fd, .events = POLLIN};
        enum message_type type;
        int n = poll(&p, 1, LOOK_MS);
        pass_stop(l, &stopped_ns);
        if (n <= 0)
            continue;
        s = message_receive(l->fd, &type, &body, &end, e);
        if (s == STATUS_OK && !end)
            s = handle(l, type, &body, e);
    }
    buf_fini(&body);
    return s;
}

/* How the process ended, when it did so without a last word. */
static enum status explain_exit(struct link *l, int status, enum status talked, struct error *e)
{
    if (atomic_load(&l->run->live->stop) != 0)
        return error_set(e, STATUS_CANCELLED, "stopped");
    l->run->crashed = true;
    if (WIFSIGNALED(status) && (talked == STATUS_OK || talked == STATUS_IO))
        return error_set(e, STATUS_IO, "the job's process was ended by signal %d (%s): its input may be the cause",
                         WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (talked != STATUS_OK)
        return error_wrap(e, "the job's process");
    return error_set(e, STATUS_IO, "the job's process ended with status %d and no result", WEXITSTATUS(status));
}

enum status run_in_child(struct job_run *run, const struct job_kind *kind, const char *spec_text, struct buf *result,
                         struct error *e)
{
    struct link l = {.run = run, .result = result, .e = e};
    int status = 0;
    TRY(start_process(&l, e));
    enum status s = send_start(&l, kind, spec_text, e);
    if (s == STATUS_OK)
        s = serve(&l, e);
    kill(l.pid, SIGKILL);                         /* it has ended, or it is of no use any more */
    close(l.fd);
    while (waitpid(l.pid, &status, 0) < 0 && errno == EINTR)
        ;
    return l.ended ? l.status : explain_exit(&l, status, s, e);
}
