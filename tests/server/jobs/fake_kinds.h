/* tests/server/jobs/fake_kinds.h
 *
 * Job kinds for tests: "sum" does units that can be slow, fail, hang or kill the process, and checks on the way what the
 * engine promises a kind; "use" takes what a "sum" made; "many" is a "sum" whose units run at the same time. */
#ifndef DLT_TESTS_SERVER_JOBS_FAKE_KINDS_H
#define DLT_TESTS_SERVER_JOBS_FAKE_KINDS_H

#include "server/jobs/jobs.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the kinds did, across all jobs of this process. */
static struct {
    atomic_int polls, units, active, peak, broken;
    atomic_int states;                 /* that kinds keep between units and nobody has freed */
    atomic_bool hang;                  /* ignore cancels until this is false */
    atomic_int gate;                   /* not 0: units from this one on wait until it is opened */
    atomic_int done[3][1000];          /* how often a unit of "many" came to its end */
    char broken_promise[256];
} fake;

static const char *const fake_failures[] = {"none", "io", "format", "nomem", NULL};

struct fake_spec {
    int64_t units, phases, delay_ms, fail_unit, fail_attempts;
    int fails_with;
    int64_t kill_unit;
    const char *input, *dataset, *model, *publish, *name;
    double scale;
    struct field_list numbers;
    bool until_cancelled, checkpoint, deaf;
};
static const struct field fake_spec_fields[] = {
    FIELD_I64(struct fake_spec, units, .min = 0, .max = 1000, .def = 3),
    FIELD_I64(struct fake_spec, phases, .min = 1, .max = 3, .def = 1),
    FIELD_I64(struct fake_spec, delay_ms, .min = 0, .max = 10000),
    FIELD_I64(struct fake_spec, fail_unit, .def = -1),
    FIELD_I64(struct fake_spec, fail_attempts, .def = 1),
    FIELD_ENUM(struct fake_spec, fails_with, fake_failures),
    FIELD_I64(struct fake_spec, kill_unit, .def = -1),
    FIELD_STRING(struct fake_spec, input),
    FIELD_STRING(struct fake_spec, dataset, .min = 3, .max = 40),
    FIELD_STRING(struct fake_spec, model),
    FIELD_STRING(struct fake_spec, publish),
    FIELD_STRING(struct fake_spec, name),
    FIELD_F64(struct fake_spec, scale, .def = 1),
    FIELD_LIST_F64(struct fake_spec, numbers),
    FIELD_BOOL(struct fake_spec, until_cancelled),
    FIELD_BOOL(struct fake_spec, checkpoint),
    FIELD_BOOL(struct fake_spec, deaf),
    FIELD_END,
};

struct fake_result {
    int64_t sum, n_files;
    const char *dataset_id, *model_version, *read;
    double scale;
    struct field_list numbers;
};
static const struct field fake_result_fields[] = {
    FIELD_I64(struct fake_result, sum),
    FIELD_I64(struct fake_result, n_files),
    FIELD_STRING(struct fake_result, dataset_id),
    FIELD_STRING(struct fake_result, model_version),
    FIELD_STRING(struct fake_result, read),
    FIELD_F64(struct fake_result, scale, .def = 2.5),
    FIELD_LIST_F64(struct fake_result, numbers),
    FIELD_END,
};

static inline void fake_break(const char *promise)
{
    if (atomic_fetch_add(&fake.broken, 1) == 0)
        text_copy(fake.broken_promise, sizeof fake.broken_promise, promise);
}

/* What unit u of a phase adds to the sum. */
static inline int64_t fake_value(int phase, int64_t unit)
{
    return (phase + 1) * 1000 + unit * unit;
}

static inline int64_t fake_sum(int64_t phases, int64_t units)
{
    int64_t sum = 0;
    for (int phase = 0; phase < phases; phase++)
        for (int64_t unit = 0; unit < units; unit++)
            sum += fake_value(phase, unit);
    return sum;
}

static inline enum status fake_validate(const void *spec, struct error *e)
{
    const struct fake_spec *s = spec;
    if (s->units == 14)
        return error_set(e, STATUS_ARGUMENT, "/units: 14 units: bring worse");
    return s->units == 13 ? error_set(e, STATUS_ARGUMENT, "13 units bring bad luck") : STATUS_OK;
}

static inline enum status fake_plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    const struct fake_spec *s = spec;
    (void)ctx;
    (void)e;
    *n_units = phase < s->phases ? s->units : -1;
    return STATUS_OK;
}

static inline void fake_path(const struct job_ctx *ctx, const char *name, char out[1024])
{
    check(snprintf(out, 1024, "%s/%s", ctx->work_dir, name) < 1024);
}

static inline bool is_shut(int64_t unit)
{
    int gate = atomic_load(&fake.gate);
    return gate > 0 && unit >= gate;
}

/* Sleeps in slices of a millisecond, as a kind that polls should. */
static inline enum status fake_work(struct job_ctx *ctx, const struct fake_spec *s, int64_t unit, struct error *e)
{
    for (int64_t ms = 0; s->until_cancelled || is_shut(unit) || ms < s->delay_ms; ms++) {
        atomic_fetch_add(&fake.polls, 1);
        if (ctx->host->cancelled(ctx->host_ctx) && !atomic_load(&fake.hang) && !s->deaf)
            return error_set(e, STATUS_CANCELLED, "stopped between slices");
        usleep(1000);
    }
    return STATUS_OK;
}

static inline enum status fake_fail(const struct fake_spec *s, struct error *e)
{
    static const enum status statuses[] = {STATUS_BUG, STATUS_IO, STATUS_FORMAT, STATUS_NOMEM};
    return error_set(e, statuses[s->fails_with], "unit %lld fails on purpose", (long long)s->fail_unit);
}

/* How often the unit that fails was tried, in the work folder. */
static inline int64_t fake_tries(const struct job_ctx *ctx)
{
    char path[1024];
    fake_path(ctx, "tries", path);
    FILE *f = fopen(path, "a");
    check(f);
    fputc('x', f);
    long n = ftell(f);
    fclose(f);
    return n;
}

static inline void fake_check_promises(struct job_ctx *ctx, int phase, int64_t unit, int lock)
{
    struct buf b;
    struct error e;
    buf_init(&b, 4096);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        fake_break("a job runs twice at once");
    if (ctx->host->unit_result(ctx->host_ctx, phase, unit, &b, &e) != STATUS_NOTFOUND)
        fake_break("a committed unit is run again");
    if (unit > 0 && ctx->host->unit_result(ctx->host_ctx, phase, unit - 1, &b, &e) != STATUS_OK)
        fake_break("units are not run in order");
    if (phase > 0 && unit == 0 && ctx->host->unit_result(ctx->host_ctx, phase - 1, 0, &b, &e) != STATUS_OK)
        fake_break("a phase begins before the one before is done");
    buf_fini(&b);
}

static inline enum status fake_unit(struct job_ctx *ctx, const struct fake_spec *s, int phase, int64_t unit, struct buf *result,
                                    struct error *e)
{
    char path[1024], name[64];
    int64_t value = fake_value(phase, unit);
    struct job_progress p = {.phase = "adding", .unit = "numbers", .done = phase * s->units + unit,
                             .total = s->phases * s->units, .message = "so far"};
    ctx->host->progress(ctx->host_ctx, &p);
    ctx->host->metric(ctx->host_ctx, "value", unit, (double)value);
    TRY(fake_work(ctx, s, unit, e));
    if (s->kill_unit == unit)
        kill(getpid(), SIGKILL);
    if (s->fail_unit == unit && fake_tries(ctx) <= s->fail_attempts)
        return fake_fail(s, e);
    snprintf(name, sizeof name, "unit-%d-%lld", phase, (long long)unit);
    fake_path(ctx, name, path);
    TRY(file_write_atomic(path, &value, sizeof value, e));
    if (s->checkpoint)
        TRY(ctx->host->checkpoint_save(ctx->host_ctx, &unit, sizeof unit, e));
    return buf_printf(result, e, "%lld", (long long)value);
}

static inline void fake_free_state(void *state)
{
    mem_free(state);
    atomic_fetch_sub(&fake.states, 1);
}

static inline void fake_keep_state(struct job_ctx *ctx)
{
    if (ctx->state)
        return;
    ctx->state = mem_alloc(100);
    check(ctx->state);
    ctx->free_state = fake_free_state;
    atomic_fetch_add(&fake.states, 1);
}

static inline enum status fake_run(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result,
                                   struct error *e)
{
    char path[1024];
    fake_keep_state(ctx);
    fake_path(ctx, "lock", path);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return error_errno(e, "opening the lock");
    int active = atomic_fetch_add(&fake.active, 1) + 1, peak = atomic_load(&fake.peak);
    while (active > peak && !atomic_compare_exchange_weak(&fake.peak, &peak, active))
        ;
    fake_check_promises(ctx, phase, unit, lock);
    atomic_fetch_add(&fake.units, 1);
    enum status st = fake_unit(ctx, spec, phase, unit, result, e);
    atomic_fetch_sub(&fake.active, 1);
    close(lock);
    return st;
}

/* Adds up results and files: both must be there for every unit. */
static inline enum status fake_add(struct job_ctx *ctx, const struct fake_spec *s, int64_t *sum, struct error *e)
{
    struct buf b;
    *sum = 0;
    buf_init(&b, 4096);
    for (int phase = 0; phase < s->phases; phase++)
        for (int64_t unit = 0; unit < s->units; unit++) {
            char path[1024], name[64];
            int64_t in_file;
            b.len = 0;
            TRY(ctx->host->unit_result(ctx->host_ctx, phase, unit, &b, e));
            TRY(buf_append(&b, "", 1, e));
            *sum += atoll((char *)b.data);
            snprintf(name, sizeof name, "unit-%d-%lld", phase, (long long)unit);
            fake_path(ctx, name, path);
            b.len = 0;
            TRY(file_read(path, &b, e));
            memcpy(&in_file, b.data, sizeof in_file);
            if (in_file != fake_value(phase, unit))
                fake_break("a unit's file is not what it left");
        }
    buf_fini(&b);
    return STATUS_OK;
}

/* Stages a folder with the sum in it, moving a unit's file there as a kind may. */
static inline enum status fake_stage(struct job_ctx *ctx, const struct fake_spec *s, struct fake_result *r, struct error *e)
{
    char folder[1024], path[1100];
    bool model = strcmp(s->publish, "model") == 0;
    int64_t version;
    const char *prefix = model ? "mdl" : strcmp(s->publish, "dataset") == 0 ? "ds" : "ev";
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, prefix, 0, &r->dataset_id, e));
    if (model) {
        TRY(ctx->host->model_version(ctx->host_ctx, s->name, &version, e));
        r->model_version = arena_printf(ctx->arena, "%s@%lld", s->name, (long long)version);
    }
    fake_path(ctx, "staged", folder);
    TRY(file_make_folder(folder, e));
    snprintf(path, sizeof path, "%s/sum", folder);
    TRY(file_write_atomic(path, &r->sum, sizeof r->sum, e));
    struct artifact artifact = {s->publish, r->dataset_id, folder, s->name, "5555"};
    return ctx->host->publish(ctx->host_ctx, &artifact, e);
}

/* Reads what an earlier job published. */
static inline enum status fake_use(struct job_ctx *ctx, const char *kind, const char *ref, struct fake_result *r,
                                   struct error *e)
{
    const char *folder, *canonical;
    char path[1100];
    struct buf b;
    int64_t sum;
    TRY(ctx->host->resolve_artifact(ctx->host_ctx, ctx->arena, kind, ref, &folder, &canonical, e));
    snprintf(path, sizeof path, "%s/sum", folder);
    buf_init(&b, 4096);
    enum status st = file_read(path, &b, e);
    if (st == STATUS_OK) {
        memcpy(&sum, b.data, sizeof sum);
        r->sum += sum;
        r->read = arena_strdup(ctx->arena, canonical);
    }
    buf_fini(&b);
    return st;
}

static inline enum status fake_finish(struct job_ctx *ctx, const void *spec, void *result, struct error *e)
{
    const struct fake_spec *s = spec;
    struct fake_result *r = result;
    struct field_list paths;
    if (r->scale != 2.5 || r->sum != 0 || r->dataset_id)
        fake_break("the result does not begin with its defaults");
    if (strlen(ctx->created_at) != 27 || !ctx->job_id || ctx->threads < 1)
        fake_break("the context is not whole");
    TRY(fake_add(ctx, s, &r->sum, e));
    r->scale = s->scale;
    TRY(field_copy(ctx->arena, fake_spec_fields, s, &(struct fake_spec){0}, e));
    r->numbers = s->numbers;
    if (s->input) {
        TRY(ctx->host->resolve_input(ctx->host_ctx, ctx->arena, s->input, &paths, e));
        r->n_files = (int64_t)paths.n_items;
    }
    if (s->dataset)
        TRY(fake_use(ctx, "dataset", s->dataset, r, e));
    if (s->model)
        TRY(fake_use(ctx, "model", s->model, r, e));
    return s->publish ? fake_stage(ctx, s, r, e) : STATUS_OK;
}

/* Its plan keeps the phase, which the units of that phase read. */
static inline enum status many_plan(struct job_ctx *ctx, const void *spec, int phase, int64_t *n_units, struct error *e)
{
    fake_keep_state(ctx);
    memcpy(ctx->state, &phase, sizeof phase);
    return fake_plan(ctx, spec, phase, n_units, e);
}

static inline void many_check_promises(struct job_ctx *ctx, const struct fake_spec *s, int phase, int64_t unit)
{
    struct buf b;
    struct error e;
    buf_init(&b, 4096);
    if (ctx->threads != 1)
        fake_break("a unit that runs beside others has one thread");
    if (!ctx->state || memcmp(ctx->state, &phase, sizeof phase) != 0)
        fake_break("units find the state that the plan of their phase left");
    if (ctx->host->unit_result(ctx->host_ctx, phase, unit, &b, &e) != STATUS_NOTFOUND)
        fake_break("a committed unit is run again");
    for (int64_t u = 0; phase > 0 && u < s->units; u++)
        if (ctx->host->unit_result(ctx->host_ctx, phase - 1, u, &b, &e) != STATUS_OK)
            fake_break("a phase begins before the one before is done");
    buf_fini(&b);
}

/* All units from fail_unit on fail, the lowest last. */
static inline enum status many_fail(const struct fake_spec *s, int64_t unit, struct error *e)
{
    usleep((useconds_t)(20000 / (1 + unit - s->fail_unit)));
    return error_set(e, STATUS_FORMAT, "unit %lld fails on purpose", (long long)unit);
}

static inline enum status many_run(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result,
                                   struct error *e)
{
    const struct fake_spec *s = spec;
    struct fake_spec calm = *s;
    char *own = arena_printf(ctx->arena, "%d.%lld", phase, (long long)unit), was[32];
    check(own);
    text_copy(was, sizeof was, own);
    int active = atomic_fetch_add(&fake.active, 1) + 1, peak = atomic_load(&fake.peak);
    while (active > peak && !atomic_compare_exchange_weak(&fake.peak, &peak, active))
        ;
    many_check_promises(ctx, s, phase, unit);
    atomic_fetch_add(&fake.units, 1);
    calm.fail_unit = -1;
    enum status st = s->fail_unit >= 0 && unit >= s->fail_unit ? many_fail(s, unit, e)
                                                               : fake_unit(ctx, &calm, phase, unit, result, e);
    if (strcmp(own, was) != 0)
        fake_break("a unit's arena is its own");
    if (st == STATUS_OK)
        atomic_fetch_add(&fake.done[phase][unit], 1);
    atomic_fetch_sub(&fake.active, 1);
    return st;
}

static const struct job_kind fake_sum_kind = {
    .name = "sum", .doc = "adds up", .spec_fields = fake_spec_fields, .spec_size = sizeof(struct fake_spec),
    .result_fields = fake_result_fields, .result_size = sizeof(struct fake_result), .max_attempts = 3,
    .validate = fake_validate, .plan = fake_plan, .run = fake_run, .finish = fake_finish,
};
static const struct job_kind fake_use_kind = {
    .name = "use", .doc = "adds up what others made", .spec_fields = fake_spec_fields,
    .spec_size = sizeof(struct fake_spec), .result_fields = fake_result_fields, .result_size = sizeof(struct fake_result),
    .max_attempts = 1, .plan = fake_plan, .run = fake_run, .finish = fake_finish,
};
static const struct job_kind fake_many_kind = {
    .name = "many", .doc = "adds up, all at once", .spec_fields = fake_spec_fields,
    .spec_size = sizeof(struct fake_spec), .result_fields = fake_result_fields, .result_size = sizeof(struct fake_result),
    .max_attempts = 3, .parallel = true, .plan = many_plan, .run = many_run, .finish = fake_finish,
};
static const struct job_kind *const fake_kinds[] = {&fake_sum_kind, &fake_use_kind, &fake_many_kind, NULL};

#endif
