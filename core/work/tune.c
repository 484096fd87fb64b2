/* core/work/tune.c
 *
 * Job kind "tune": a search over the parameters of a fit by cross-validation.  One unit a fit and fold, each on one thread;
 * the rungs of successive halving are phases.  The rows are read once an attempt and shared.
 *
 * Each fold's scaler is fitted on the rows that the fold learns from, so that what is held out has no part in a fit.  The
 * train job that takes the best parameters then uses the dataset's scaler, of all training rows.  README.md has more. */
#include "core/work/tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_CLASS_ROWS = 32, TOP_MAX = 10, RECORD_BYTES_MAX = 64 << 20 };
#define STATE_ARENA_MAX ((size_t)512 << 20)

static void free_state(void *state)
{
    struct tune_state *t = state;
    folds_fini(&t->folds);
    feature_rows_fini(&t->small);
    dataset_close(t->dataset);
    arena_fini(&t->rung_arena);
    arena_fini(&t->arena);
    mem_free(t);
}

/* ---- spec -------------------------------------------------------------------------------------------------------- */

static enum status check_objective(const struct study_objective *o, const char *where, struct error *e)
{
    bool background = strncmp(study_metric_names[o->metric], "background", 10) == 0;
    if (background && !o->class)
        return error_set(e, STATUS_ARGUMENT, "%s/class: %s is of one class against the others: which?", where,
                         study_metric_names[o->metric]);
    return STATUS_OK;
}

static enum status validate(const void *spec_, struct error *e)
{
    const struct tune_spec *spec = spec_;
    struct trials trials;
    struct arena a;
    TRY(check_objective(&spec->objective, "/objective", e));
    for (size_t i = 0; i < spec->report.n_items; i++) {
        char where[32];
        snprintf(where, sizeof where, "/report/%zu", i);
        TRY(check_objective(tune_objective(spec, i + 1), where, e));
    }
    if (spec->search == SEARCH_RANDOM && spec->n_trials == 0)
        return error_set(e, STATUS_ARGUMENT, "/n_trials: a random search needs their number, 1 to %d", TRIALS_MAX);
    if (spec->search == SEARCH_GRID && spec->n_trials != 0)
        return error_set(e, STATUS_ARGUMENT, "/n_trials: a grid has as many trials as points");
    arena_init(&a, STATE_ARENA_MAX);
    enum status s = tune_trials(&a, spec, &trials, e);
    arena_fini(&a);
    return s;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* Some rows of each class: enough to make a network and ask for its size. */
static enum status take_small(struct tune_state *t, const struct feature_rows *rows, struct error *e)
{
    size_t taken[METRICS_CLASSES_MAX] = {0};
    for (size_t i = 0; i < rows->n; i++) {
        size_t label = (size_t)rows->label[i];
        if (label < ARRAY_LEN(taken) && taken[label]++ < SMALL_CLASS_ROWS)
            TRY(feature_rows_append(&t->small, rows, i, e));
    }
    return STATUS_OK;
}

static enum status read_rows(struct job_ctx *ctx, const struct tune_spec *spec, struct tune_state *t, struct error *e)
{
    const struct manifest *m = dataset_manifest(t->dataset);
    struct feature_rows rows;
    feature_rows_init(&rows);
    enum status s = dataset_read_features(t->dataset, t->want_rows, &rows, e);
    if (s == STATUS_OK)
        s = work_check_cancelled(ctx, e);
    if (s == STATUS_OK)
        s = take_small(t, &rows, e);
    if (s == STATUS_OK)
        s = folds_make(&t->folds, &t->arena, spec, m, &rows, t->want_rows, ctx->threads, e);
    feature_rows_fini(&rows);
    return s;
}

static enum status start(struct job_ctx *ctx, const struct tune_spec *spec, struct tune_state *t, struct error *e)
{
    TRY(tune_trials(&t->arena, spec, &t->trials, e));
    tune_rungs(spec, &t->trials, &t->rungs);
    TRY(work_dataset_open(ctx, spec->dataset, &t->dataset, e));
    const struct manifest *m = dataset_manifest(t->dataset);
    TRY(tune_check_classes(spec, m, e));
    if (m->split && strcmp(m->split, "test") == 0)
        work_log(ctx, LOG_WARN, "tuning on %s, a test part", m->id);
    for (size_t i = 0; i < t->trials.n; i++) {
        const struct train_params *p = &t->trials.items[i].params;
        if (estimator_input(p) == INPUT_HLF)
            continue;
        t->want_rows = true;
        TRY(work_check_rows(m, estimator_names[p->model], e));
    }
    field_defaults(model_header_fields, &t->header);
    t->header.recipe = m->recipe;
    t->header.cuts = m->cuts;
    t->header.dataset_id = m->id;
    t->header.classes = m->classes;
    t->header.build_id = DLT_BUILD_ID;
    return read_rows(ctx, spec, t, e);
}

static enum status get_state(struct job_ctx *ctx, const struct tune_spec *spec, struct tune_state **out, struct error *e)
{
    if (!ctx->state) {
        struct tune_state *t = mem_calloc(1, sizeof *t);
        if (!t)
            return error_set(e, STATUS_NOMEM, "a search");
        arena_init(&t->arena, STATE_ARENA_MAX);
        arena_init(&t->rung_arena, STATE_ARENA_MAX);
        feature_rows_init(&t->small);
        feature_rows_init(&t->folds.rows);
        enum status s = start(ctx, spec, t, e);
        if (s != STATUS_OK) {
            free_state(t);
            return s;
        }
        ctx->state = t;
        ctx->free_state = free_state;
    }
    *out = ctx->state;
    return STATUS_OK;
}

/* ---- a rung ------------------------------------------------------------------------------------------------------ */

/* Epochs that a fit does in this rung. */
static int64_t epochs_of(const struct tune_spec *spec, const struct tune_state *t, const struct fit *fit)
{
    size_t trial = fit->trial[fit->n - 1];
    int64_t before = t->rung > 0 ? tune_epochs(spec, &t->trials, &t->rungs, t->rung - 1, trial) : 0;
    return tune_epochs(spec, &t->trials, &t->rungs, t->rung, trial) - before;
}

/* Parameters of the network; 0 when there is none: the fit will then say why. */
static double network_size(const struct tune_state *t, const struct train_params *p)
{
    struct model_header h = t->header;
    struct trainer *trainer;
    struct model *m;
    struct error e;
    double n = 0;
    const struct train_data d = {.n = t->small.n, .hlf = t->small.hlf, .label = t->small.label,
                                 .rows = t->want_rows ? &t->small.rows : NULL,
                                 .row_first = t->want_rows ? t->small.row_first : NULL};
    h.params = *p;
    h.scaler = t->folds.scaler[0];
    if (trainer_create(&h, &d, &trainer, &e) != STATUS_OK)
        return 0;
    if (trainer_model(trainer, &m, &e) == STATUS_OK) {
        n = (double)model_header(m)->n_params;
        model_release(m);
    }
    trainer_destroy(trainer);
    return n;
}

/* The update after each step costs about as much as four rows. */
static double cost_of(const struct tune_spec *spec, const struct tune_state *t, const struct fit *fit)
{
    const struct train_params *p = &t->trials.items[fit->trial[fit->n - 1]].params;
    return (double)epochs_of(spec, t, fit) * (500 + network_size(t, p) * (1 + 4 / (double)p->batch_size));
}

static int longest_first(const void *a_, const void *b_)
{
    const struct fit *a = a_, *b = b_;
    if (a->cost != b->cost)
        return a->cost > b->cost ? -1 : 1;
    return a->trial[0] < b->trial[0] ? -1 : 1;
}

static enum status make_fits(const struct tune_spec *spec, struct tune_state *t, const struct known *k, size_t *n,
                             struct error *e)
{
    uint32_t *entrants;
    TRY(known_entrants(&t->rung_arena, spec, k, t->rung, &entrants, n, e));
    TRY(tune_fits(&t->rung_arena, spec, &t->trials, entrants, *n, &t->fits, &t->n_fits, e));
    for (size_t i = 0; i < t->n_fits; i++)
        t->fits[i].cost = cost_of(spec, t, &t->fits[i]);
    qsort(t->fits, t->n_fits, sizeof *t->fits, longest_first);
    return STATUS_OK;
}

static int64_t rows_of_rungs(const struct tune_spec *spec, const struct tune_state *t, size_t n_rungs)
{
    int64_t epochs = 0, rows = (int64_t)(t->folds.n * (t->folds.k - 1));
    if (spec->search != SEARCH_HALVING) {
        for (size_t i = 0; i < t->n_fits && n_rungs > 0; i++)
            epochs += epochs_of(spec, t, &t->fits[i]);
        return epochs * rows;
    }
    for (size_t r = 0; r < n_rungs; r++)
        epochs += (int64_t)t->rungs.trials[r] * (t->rungs.epochs[r] - (r > 0 ? t->rungs.epochs[r - 1] : 0));
    return epochs * rows;
}

/* What the units of this rung that are committed already have found. */
static void refill_tally(const struct tune_spec *spec, struct tune_state *t, const struct known *k)
{
    struct tally *tally = &t->tally;
    for (size_t i = 0; i < t->n_fits; i++)
        for (size_t f = 0; f < k->k; f++)
            if (k->fold[(t->rung * k->n + t->fits[i].trial[0]) * k->k + f])
                tally->rows_done += epochs_of(spec, t, &t->fits[i]) * (int64_t)folds_n_learn(&t->folds, f);
    for (size_t i = 0; i < k->n; i++) {
        for (size_t f = 0; f < k->k; f++) {
            const struct fold_record *r = k->fold[(t->rung * k->n + i) * k->k + f];
            tally->value[i * k->k + f] = r && r->state == FOLD_OK ? ((const double *)r->values.items)[0] : NAN;
            tally->folds_done[i] += r != NULL;
        }
        double value = known_value(k, t->rung, i);
        tally->trials_done += tally->folds_done[i] == (int)k->k;
        if (isfinite(value) && (tally->best < 0 || objective_is_better(&spec->objective, value,
                                                                       known_value(k, t->rung, (size_t)tally->best))))
            tally->best = (int)i;
    }
}

static enum status start_rung(struct job_ctx *ctx, const struct tune_spec *spec, struct tune_state *t, size_t rung,
                              size_t *n_entrants, struct error *e)
{
    struct known known;
    struct tally *tally = &t->tally;
    arena_reset(&t->rung_arena);
    t->rung = rung;
    TRY(known_read(&t->rung_arena, spec, ctx->host, ctx->host_ctx, rung + 1, &known, e));
    TRY(make_fits(spec, t, &known, n_entrants, e));
    *tally = (struct tally){.n_trials = t->trials.n, .k = t->folds.k};
    tally->value = ARENA_NEW(&t->rung_arena, double, tally->n_trials * tally->k);
    tally->folds_done = ARENA_NEW(&t->rung_arena, _Atomic int, tally->n_trials);
    if (!tally->value || !tally->folds_done)
        return error_set(e, STATUS_NOMEM, "no memory for %zu trials", tally->n_trials);
    tally->best = -1;
    tally->rows_done = rows_of_rungs(spec, t, rung);
    tally->rows_total = rows_of_rungs(spec, t, t->rungs.n);
    refill_tally(spec, t, &known);
    return STATUS_OK;
}

static enum status plan(struct job_ctx *ctx, const void *spec_, int phase, int64_t *n_units, struct error *e)
{
    const struct tune_spec *spec = spec_;
    struct tune_state *t = NULL;
    size_t n_entrants = 0;
    *n_units = -1;
    TRY(get_state(ctx, spec, &t, e));
    if ((size_t)phase >= t->rungs.n)
        return STATUS_OK;
    TRY(start_rung(ctx, spec, t, (size_t)phase, &n_entrants, e));
    if (n_entrants == 0)               /* all have failed: finish says so */
        return STATUS_OK;
    if (spec->max_parallel > 0 && (size_t)spec->max_parallel < ctx->threads)
        ctx->threads = (size_t)spec->max_parallel;
    *n_units = (int64_t)(t->n_fits * t->folds.k);
    return STATUS_OK;
}

static enum status run(struct job_ctx *ctx, const void *spec, int phase, int64_t unit, struct buf *result, struct error *e)
{
    struct tune_state *t = ctx->state;
    struct unit_record record;
    size_t k = t->folds.k;
    check((size_t)phase == t->rung && (size_t)unit < t->n_fits * k);
    TRY(tune_fit_run(ctx, spec, t, &t->fits[(size_t)unit / k], (size_t)unit % k, &record, e));
    return field_write_text(unit_record_fields, &record, result, e);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static enum status none_ended_well(const struct study_record *s, struct error *e)
{
    const struct study_trial *t = s->trials.items;
    for (size_t i = 0; i < s->trials.n_items; i++)
        if (t[i].message)
            return error_set(e, STATUS_ARGUMENT, "none of %lld trials ended well; trial %zu: %.800s",
                             (long long)s->n_trials, i, t[i].message);
    return error_set(e, STATUS_BUG, "none of %lld trials has a result", (long long)s->n_trials);
}

/* Moves the times out of the record: what stays follows from the spec and the data alone. */
static enum status take_times(struct arena *a, struct study_record *record, struct study_times *out, struct error *e)
{
    struct study_trial *t = record->trials.items;
    double *seconds = ARENA_NEW(a, double, record->trials.n_items + 1);
    if (!seconds)
        return error_set(e, STATUS_NOMEM, "no memory for a study");
    *out = (struct study_times){record->seconds, {seconds, record->trials.n_items}};
    for (size_t i = 0; i < record->trials.n_items; i++) {
        seconds[i] = t[i].seconds;
        t[i].seconds = 0;
    }
    record->seconds = 0;
    return STATUS_OK;
}

/* SHA-256 of all but the names: equal searches have equal hashes. */
static enum status content_sha256(struct arena *a, const struct study_record *record, const char **out, struct error *e)
{
    struct study_record copy = *record;
    struct buf text;
    char hex[65];
    copy.id = copy.job_id = copy.created_at = NULL;
    buf_init(&text, RECORD_BYTES_MAX);
    enum status s = field_write_text(study_record_fields, &copy, &text, e);
    if (s == STATUS_OK) {
        sha256_hex(text.data, text.len, hex);
        *out = arena_strdup(a, hex);
        if (!*out)
            s = error_set(e, STATUS_NOMEM, "no memory for a hash");
    }
    buf_fini(&text);
    return s;
}

static enum status summarise(struct job_ctx *ctx, const struct study_record *s, struct tune_result *out, struct error *e)
{
    const struct study_trial *trials = s->trials.items;
    struct tune_top *top = ARENA_NEW(ctx->arena, struct tune_top, TOP_MAX);
    size_t n = 0;
    if (!top)
        return error_set(e, STATUS_NOMEM, "no memory for a result");
    for (size_t i = 0; i < s->trials.n_items; i++) {
        const struct study_trial *t = &trials[i];
        if (t->rank < 1 || t->rank > TOP_MAX)
            continue;
        top[t->rank - 1] = (struct tune_top){t->trial, t->epochs, t->value, t->error, t->point};
        n++;
    }
    *out = (struct tune_result){
        .study_id = s->id,
        .dataset_id = s->dataset_id,
        .n_trials = s->n_trials,
        .n_ok = s->n_ok,
        .n_stopped = s->n_stopped,
        .n_diverged = s->n_diverged,
        .n_failed = s->n_failed,
        .folds = s->folds,
        .best_trial = s->best_trial,
        .best_value = s->best_value,
        .best_error = s->best_error,
        .best_point = s->best_point,
        .best_params = s->best_params,
        .importance = s->importance,
        .progress = s->progress,
        .top = {top, n},
    };
    return STATUS_OK;
}

static enum status finish(struct job_ctx *ctx, const void *spec, void *result, struct error *e)
{
    struct study_record record;
    struct study_times times;
    char folder[PATH_BYTES_MAX];
    const char *sha256;
    TRY(study_so_far(ctx->arena, spec, ctx->host, ctx->host_ctx, &record, e));
    if (record.best_trial < 0)
        return none_ended_well(&record, e);
    if (record.n_diverged + record.n_failed > 0)
        work_log(ctx, LOG_WARN, "of %lld trials %lld diverged and %lld failed", (long long)record.n_trials,
                 (long long)record.n_diverged, (long long)record.n_failed);
    TRY(ctx->host->artifact_id(ctx->host_ctx, ctx->arena, "st", 0, &record.id, e));
    record.job_id = ctx->job_id;
    record.created_at = ctx->created_at;
    TRY(take_times(ctx->arena, &record, &times, e));
    TRY(content_sha256(ctx->arena, &record, &sha256, e));
    TRY(work_path(ctx, folder, e, "study"));
    TRY(file_make_folder(folder, e));
    TRY(work_record_save(ctx, "study/" STUDY_FILE, study_record_fields, &record, e));
    TRY(work_record_save(ctx, "study/" MEASURED_FILE, study_times_fields, &times, e));
    TRY(summarise(ctx, &record, result, e));
    const struct artifact artifact = {
        .kind = "study", .id = record.id, .staged = folder, .name = record.model, .sha256 = sha256};
    return ctx->host->publish(ctx->host_ctx, &artifact, e);
}

const struct job_kind tune_kind = {
    .name = "tune",
    .doc = "Searches the parameters of a fit by cross-validation: grid, random or successive halving.",
    .spec_fields = tune_spec_fields,
    .spec_size = sizeof(struct tune_spec),
    .result_fields = tune_result_fields,
    .result_size = sizeof(struct tune_result),
    .max_attempts = 3,
    .parallel = true,
    .validate = validate,
    .plan = plan,
    .run = run,
    .finish = finish,
};
