/* tests/support/test_host.c */
#include "tests/support/test_host.h"
#include "tests/support/support.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

static bool host_cancelled(void *host)
{
    struct test_host *h = host;
    int64_t polls = __atomic_add_fetch(&h->polls, 1, __ATOMIC_RELAXED);
    bool cancel = h->cancel_after_polls > 0 && polls >= h->cancel_after_polls;
    if (cancel)
        __atomic_add_fetch(&h->polls_after_cancel, 1, __ATOMIC_RELAXED);
    return cancel;
}

static void host_progress(void *host, const struct job_progress *p)
{
    struct test_host *h = host;
    pthread_mutex_lock(&h->lock);
    h->last_done = p->done;
    h->last_total = p->total;
    h->progress_calls++;
    pthread_mutex_unlock(&h->lock);
    check(p->total < 0 || p->done <= p->total);
}

static void host_metric(void *host, const char *key, int64_t step, double value)
{
    (void)key, (void)step, (void)value;
    __atomic_add_fetch(&((struct test_host *)host)->metric_calls, 1, __ATOMIC_RELAXED);
}

static void host_log(void *host, enum log_level level, const char *text)
{
    (void)host, (void)level, (void)text;
}

static enum status host_checkpoint_save(void *host, const void *data, size_t n, struct error *e)
{
    struct test_host *h = host;
    pthread_mutex_lock(&h->lock);
    h->checkpoint.len = 0;
    h->has_checkpoint = true;
    enum status s = buf_append(&h->checkpoint, data, n, e);
    pthread_mutex_unlock(&h->lock);
    return s;
}

static enum status host_checkpoint_load(void *host, struct buf *out, bool *found, struct error *e)
{
    struct test_host *h = host;
    *found = h->has_checkpoint;
    return h->has_checkpoint ? buf_append(out, h->checkpoint.data, h->checkpoint.len, e) : STATUS_OK;
}

static struct test_unit *find_unit(struct test_host *h, int phase, int64_t unit)
{
    for (size_t i = 0; i < h->n_units; i++)
        if (h->units[i].phase == phase && h->units[i].unit == unit)
            return &h->units[i];
    return NULL;
}

static enum status host_unit_result(void *host, int phase, int64_t unit, struct buf *out, struct error *e)
{
    struct test_host *h = host;
    pthread_mutex_lock(&h->lock);
    struct test_unit *u = find_unit(h, phase, unit);
    enum status s = u ? buf_append(out, u->text, u->len, e)
                      : error_set(e, STATUS_NOTFOUND, "unit %d.%lld", phase, (long long)unit);
    pthread_mutex_unlock(&h->lock);
    return s;
}

static enum status host_resolve_input(void *host, struct arena *a, const char *given, struct field_list *paths,
                                      struct error *e)
{
    (void)host;
    glob_t g;
    if (strchr(given, '*')) {
        int rc = glob(given, 0, NULL, &g);
        size_t n = rc == 0 ? g.gl_pathc : 0;
        const char **all = ARENA_NEW(a, const char *, n + 1);
        for (size_t i = 0; all && i < n; i++)
            all[i] = arena_strdup(a, g.gl_pathv[i]);
        if (rc == 0)
            globfree(&g);
        *paths = (struct field_list){all, n};
        return n > 0 ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "%s", given);
    }
    const char **one = ARENA_NEW(a, const char *, 1);
    check(one);
    *one = arena_strdup(a, given);
    *paths = (struct field_list){one, 1};
    return *one ? STATUS_OK : error_set(e, STATUS_NOMEM, "path");
}

const char *test_host_artifact(struct test_host *h, const char *id)
{
    for (size_t i = 0; i < h->n_artifacts; i++)
        if (strcmp(h->artifacts[i].id, id) == 0 || strcmp(h->artifacts[i].name, id) == 0)
            return h->artifacts[i].folder;
    return NULL;
}

static enum status host_resolve_artifact(void *host, struct arena *a, const char *kind, const char *ref,
                                         const char **folder, const char **canonical, struct error *e)
{
    const char *found = test_host_artifact(host, ref);
    if (!found)
        return error_set(e, STATUS_NOTFOUND, "no %s %s", kind, ref);
    *folder = arena_strdup(a, found);
    *canonical = arena_strdup(a, ref);
    return STATUS_OK;
}

static enum status host_artifact_id(void *host, struct arena *a, const char *prefix, int n, const char **id,
                                    struct error *e)
{
    struct test_host *h = host;
    *id = arena_printf(a, "%s_%s_%d", prefix, h->job_id, n);
    return *id ? STATUS_OK : error_set(e, STATUS_NOMEM, "id");
}

static enum status host_model_version(void *host, const char *name, int64_t *version, struct error *e)
{
    (void)name, (void)e;
    *version = ((struct test_host *)host)->jobs;
    return STATUS_OK;
}

static enum status host_publish(void *host, const struct artifact *artifact, struct error *e)
{
    struct test_host *h = host;
    pthread_mutex_lock(&h->lock);
    check(h->n_artifacts < TEST_ARTIFACTS_MAX);
    struct test_artifact *t = &h->artifacts[h->n_artifacts];
    text_copy(t->kind, sizeof t->kind, artifact->kind);
    text_copy(t->id, sizeof t->id, artifact->id);
    text_copy(t->name, sizeof t->name, artifact->name ? artifact->name : "");
    snprintf(t->folder, sizeof t->folder, "%s/%s", h->folder, artifact->id);
    enum status s = rename(artifact->staged, t->folder) == 0 ? STATUS_OK : error_errno(e, "publish");
    h->n_artifacts += s == STATUS_OK;
    pthread_mutex_unlock(&h->lock);
    return s;
}

static const struct job_host callbacks = {
    .cancelled = host_cancelled,
    .progress = host_progress,
    .metric = host_metric,
    .log = host_log,
    .checkpoint_save = host_checkpoint_save,
    .checkpoint_load = host_checkpoint_load,
    .unit_result = host_unit_result,
    .resolve_input = host_resolve_input,
    .resolve_artifact = host_resolve_artifact,
    .artifact_id = host_artifact_id,
    .model_version = host_model_version,
    .publish = host_publish,
};

const struct job_host *test_host_callbacks(void) { return &callbacks; }

void test_host_init(struct test_host *h, size_t threads)
{
    *h = (struct test_host){.threads = threads, .folder = temp_folder_create()};
    check(pthread_mutex_init(&h->lock, NULL) == 0);
    arena_init(&h->plans, 64 << 20);
    buf_init(&h->checkpoint, 256 << 20);
    test_host_new_job(h);
}

void test_host_new_job(struct test_host *h)
{
    for (size_t i = 0; i < h->n_units; i++)
        free(h->units[i].text);
    h->n_units = 0;
    h->has_checkpoint = false;
    h->stop_after = h->cancel_after_polls = h->polls = h->polls_after_cancel = h->units_run = h->units_begun = 0;
    h->jobs++;
    snprintf(h->job_id, sizeof h->job_id, "%lld", (long long)h->jobs);
    snprintf(h->work_dir, sizeof h->work_dir, "%s/work-%s", h->folder, h->job_id);
    struct error e;
    check(file_make_folder(h->work_dir, &e) == STATUS_OK);
}

void test_host_fini(struct test_host *h)
{
    for (size_t i = 0; i < h->n_units; i++)
        free(h->units[i].text);
    buf_fini(&h->checkpoint);
    pthread_mutex_destroy(&h->lock);
    arena_fini(&h->plans);
    temp_folder_remove(h->folder);
}

/* Whether one more unit may begin in this attempt. */
static bool may_begin(struct test_host *h)
{
    pthread_mutex_lock(&h->lock);
    bool go = h->stop_after <= 0 || h->units_begun < h->stop_after;
    h->units_begun += go;
    pthread_mutex_unlock(&h->lock);
    return go;
}

static void commit(struct test_host *h, int phase, int64_t unit, const struct buf *text)
{
    char *copy = malloc(text->len + 1);
    check(copy);
    if (text->len)
        memcpy(copy, text->data, text->len);
    pthread_mutex_lock(&h->lock);
    check(h->n_units < TEST_UNITS_MAX && !find_unit(h, phase, unit));
    h->units[h->n_units++] = (struct test_unit){phase, unit, copy, text->len};
    h->units_run++;
    pthread_mutex_unlock(&h->lock);
}

/* One phase: what its threads share. */
struct phase {
    struct test_host *host;
    const struct job_kind *kind;
    struct job_ctx *ctx;
    const void *spec;
    int number;
    int64_t *todo;
    size_t n_todo;
};

static enum status run_unit(struct phase *p, struct job_ctx *ctx, int64_t unit, struct error *e)
{
    struct buf text;
    if (!may_begin(p->host))
        return error_set(e, STATUS_CANCELLED, "stopped after %lld units", (long long)p->host->stop_after);
    buf_init(&text, 64 << 20);
    arena_reset(ctx->arena);
    enum status s = p->kind->run(ctx, p->spec, p->number, unit, &text, e);
    if (s == STATUS_OK)
        commit(p->host, p->number, unit, &text);
    buf_fini(&text);
    return s;
}

/* As the engine does it: a context of its own for each unit of a parallel kind. */
static enum status run_parallel_unit(void *shared, size_t i, size_t thread, struct error *e)
{
    struct phase *p = shared;
    struct arena own;
    struct job_ctx ctx = *p->ctx;
    (void)thread;
    arena_init(&own, (size_t)1 << 30);
    ctx.arena = &own;
    ctx.threads = 1;
    enum status s = run_unit(p, &ctx, p->todo[i], e);
    check(ctx.state == p->ctx->state);
    arena_fini(&own);
    return s;
}

static enum status run_phase(struct phase *p, struct error *e)
{
    if (p->kind->parallel)
        return par_for(p->ctx->threads, p->n_todo, run_parallel_unit, p, e);
    for (size_t i = 0; i < p->n_todo; i++)
        TRY(run_unit(p, p->ctx, p->todo[i], e));
    return STATUS_OK;
}

static enum status run_phases(struct test_host *h, const struct job_kind *kind, struct job_ctx *ctx, const void *spec,
                              struct error *e)
{
    struct phase p = {.host = h, .kind = kind, .ctx = ctx, .spec = spec};
    for (;; p.number++) {
        int64_t n;
        arena_reset(ctx->arena);
        TRY(kind->plan(ctx, spec, p.number, &n, e));
        if (n < 0)
            return STATUS_OK;
        p.n_todo = 0;
        p.todo = ARENA_NEW(&h->plans, int64_t, (size_t)n + 1);
        check(p.todo);
        for (int64_t u = 0; u < n; u++)
            if (!find_unit(h, p.number, u))
                p.todo[p.n_todo++] = u;
        TRY(run_phase(&p, e));
    }
}

enum status test_host_run(struct test_host *h, struct arena *a, const char *kind_name, const char *spec_text,
                          void **result, struct error *e)
{
    const struct job_kind *kind = job_kind_find(kind_name);
    check(kind);
    struct arena scratch;
    arena_init(&scratch, (size_t)1 << 30);
    struct job_ctx ctx = {.host = &callbacks, .host_ctx = h, .arena = &scratch, .job_id = h->job_id,
                          .work_dir = h->work_dir, .created_at = "2026-01-01T00:00:00.000000Z", .threads = h->threads};
    void *spec = ARENA_NEW(a, uint8_t, kind->spec_size);
    void *raw = ARENA_NEW(a, uint8_t, kind->result_size);
    *result = ARENA_NEW(a, uint8_t, kind->result_size);
    check(spec && raw && *result);
    h->units_run = h->units_begun = 0;
    field_defaults(kind->spec_fields, spec);
    enum status s = field_read_text(a, kind->spec_fields,
                                    (struct span){(const uint8_t *)spec_text, strlen(spec_text)}, spec, e);
    if (s == STATUS_OK)
        s = field_validate(kind->spec_fields, spec, "spec", e);
    if (s == STATUS_OK && kind->validate)
        s = kind->validate(spec, e);
    if (s == STATUS_OK)
        s = run_phases(h, kind, &ctx, spec, e);
    if (s == STATUS_OK) {
        arena_reset(&scratch);
        s = kind->finish(&ctx, spec, raw, e);
    }
    if (s == STATUS_OK)
        s = field_copy(a, kind->result_fields, raw, *result, e);
    if (ctx.free_state)
        ctx.free_state(ctx.state);
    arena_fini(&scratch);
    return s;
}
