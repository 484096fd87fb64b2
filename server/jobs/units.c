/* server/jobs/units.c
 *
 * The phases of a running job and their units.  A unit whose row is committed is not run again; a kind that says so has
 * its units run at the same time, each in a context of its own. */
#include "server/jobs/engine.h"

#include <string.h>

#define UNIT_ARENA_MAX ((size_t)2 << 30)
#define UNIT_RESULT_MAX ((size_t)64 << 20)

/* One phase under way. */
struct phase {
    const struct run_ops *ops;
    void *ops_ctx;
    struct job_ctx *ctx;
    const struct job_kind *kind;
    const void *spec;
    int number;
    int64_t *todo;                                /* units that are not committed, in their order */
    size_t n_todo;
};

static enum status run_unit(const struct phase *p, struct job_ctx *ctx, int64_t unit, struct error *e)
{
    struct buf result;
    buf_init(&result, UNIT_RESULT_MAX);
    enum status s = p->ops->check_stop(p->ops_ctx, e);
    if (s == STATUS_OK)
        s = p->kind->run(ctx, p->spec, p->number, unit, &result, e);
    if (s == STATUS_OK)
        s = p->ops->commit(p->ops_ctx, p->number, unit, (struct span){result.data, result.len}, e);
    arena_reset(ctx->arena);
    buf_fini(&result);
    return s;
}

/* ---- at the same time ------------------------------------------------------------------------------------------------ */

struct crew {
    const struct phase *phase;
    struct arena *arenas;                         /* one a thread, so that a unit's memory is its own */
};

static enum status run_on_thread(void *shared, size_t i, size_t thread, struct error *e)
{
    const struct crew *crew = shared;
    const struct phase *p = crew->phase;
    struct job_ctx own = *p->ctx;
    own.arena = &crew->arenas[thread];
    own.threads = 1;
    enum status s = run_unit(p, &own, p->todo[i], e);
    check(own.state == p->ctx->state);            /* plan() sets it; units that run together only read it */
    return s;
}

static enum status run_together(const struct phase *p, size_t threads, struct error *e)
{
    struct crew crew = {p, mem_calloc(threads, sizeof *crew.arenas)};
    if (!crew.arenas)
        return error_set(e, STATUS_NOMEM, "no memory for %zu threads", threads);
    for (size_t i = 0; i < threads; i++)
        arena_init(&crew.arenas[i], UNIT_ARENA_MAX);
    enum status s = par_for(threads, p->n_todo, run_on_thread, &crew, e);
    for (size_t i = 0; i < threads; i++)
        arena_fini(&crew.arenas[i]);
    mem_free(crew.arenas);
    return s;
}

/* ---- phases ---------------------------------------------------------------------------------------------------------- */

static enum status find_todo(struct phase *p, int64_t n_units, struct error *e)
{
    bool *done = mem_calloc((size_t)n_units + 1, sizeof *done);
    p->todo = mem_calloc((size_t)n_units + 1, sizeof *p->todo);
    enum status s = STATUS_OK;
    if (!done || !p->todo)
        s = error_set(e, STATUS_NOMEM, "no memory for %lld units", (long long)n_units);
    if (s == STATUS_OK)
        s = p->ops->committed(p->ops_ctx, p->number, n_units, done, e);
    for (int64_t unit = 0; s == STATUS_OK && unit < n_units; unit++)
        if (!done[unit])
            p->todo[p->n_todo++] = unit;
    mem_free(done);
    return s;
}

static enum status run_phase(struct phase *p, int64_t n_units, struct error *e)
{
    if (n_units > PHASE_UNITS_MAX)
        return error_set(e, STATUS_RANGE, "%lld units, at most %d in a phase", (long long)n_units, PHASE_UNITS_MAX);
    enum status s = find_todo(p, n_units, e);
    size_t threads = p->ctx->threads < p->n_todo ? p->ctx->threads : p->n_todo;
    if (s == STATUS_OK && p->kind->parallel && p->n_todo > 0)
        s = run_together(p, threads, e);
    else
        for (size_t i = 0; s == STATUS_OK && i < p->n_todo; i++)
            s = run_unit(p, p->ctx, p->todo[i], e);
    mem_free(p->todo);
    return s;
}

enum status run_phases(const struct run_ops *ops, void *ops_ctx, struct job_ctx *ctx, const struct job_kind *kind,
                       const void *spec, struct error *e)
{
    for (int number = 0;; number++) {
        int64_t n_units = -1;
        TRY(ops->check_stop(ops_ctx, e));
        enum status s = kind->plan(ctx, spec, number, &n_units, e);
        arena_reset(ctx->arena);
        TRY(s);
        if (n_units < 0)
            return STATUS_OK;
        struct phase p = {.ops = ops, .ops_ctx = ops_ctx, .ctx = ctx, .kind = kind, .spec = spec, .number = number};
        TRY(run_phase(&p, n_units, e));
    }
}

/* ---- finish ---------------------------------------------------------------------------------------------------------- */

static enum status result_text(const struct job_kind *kind, const void *result, struct buf *out, struct error *e)
{
    struct json *v = json_encode_fields(kind->result_fields, result);
    enum status s = json_write(v, out, e);
    json_free(v);
    return s == STATUS_OK ? buf_append(out, "", 1, e) : s;
}

/* A job that was told to pass over bad files, and did. */
static bool is_partial(const struct job_kind *kind, const void *result)
{
    const struct field *f = field_find(kind->result_fields, "files_skipped");
    int64_t n = 0;
    if (f && f->kind == FIELD_KIND_I64)
        memcpy(&n, (const char *)result + f->offset, sizeof n);
    return n > 0;
}

enum status run_finish(const struct run_ops *ops, void *ops_ctx, struct job_ctx *ctx, const struct job_kind *kind,
                       const void *spec, bool *partial, struct buf *text, struct error *e)
{
    TRY(ops->check_stop(ops_ctx, e));
    void *result = arena_alloc(ctx->arena, 1, kind->result_size);
    if (!result)
        return error_set(e, STATUS_NOMEM, "no memory for a result");
    field_defaults(kind->result_fields, result);
    TRY(kind->finish(ctx, spec, result, e));
    *partial = is_partial(kind, result);
    TRY(result_text(kind, result, text, e));
    arena_reset(ctx->arena);
    return STATUS_OK;
}
