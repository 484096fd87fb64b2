/* core/work/tune_fit.c
 *
 * One fit on all folds but one, scored on that one, for every trial that it serves: trials that differ only in how far
 * they go are the same fit looked at more than once, and give the same bits as fits of their own. */
#include "core/work/tune.h"

#include <math.h>
#include <string.h>

enum { SCORE_ROWS = 4096, CHECKPOINT_BYTES_MAX = 1 << 30 };

const char *const fold_state_names[] = {"ok", "diverged", "failed", NULL};

static const struct field fold_record_fields[] = {
    FIELD_I64(struct fold_record, trial),
    FIELD_I64(struct fold_record, fold),
    FIELD_I64(struct fold_record, rung),
    FIELD_I64(struct fold_record, epochs),
    FIELD_ENUM(struct fold_record, state, fold_state_names),
    FIELD_F64(struct fold_record, train_loss, .nullable = true, .def = NAN),
    FIELD_F64(struct fold_record, loss, .nullable = true, .def = NAN),
    FIELD_F64(struct fold_record, accuracy, .nullable = true, .def = NAN),
    FIELD_F64(struct fold_record, seconds),
    FIELD_LIST_F64(struct fold_record, values),
    FIELD_STRING(struct fold_record, message),
    FIELD_END,
};
const struct field unit_record_fields[] = {
    FIELD_LIST_OBJECT(struct unit_record, folds, struct fold_record, fold_record_fields),
    FIELD_END,
};

/* One fit under way. */
struct run {
    struct job_ctx *ctx;
    const struct tune_spec *spec;
    struct tune_state *state;
    size_t fold;
    struct trainer *trainer;
    int64_t n_learn, told;             /* rows of an epoch; those of the present one that the tally has already */
    bool diverged;
    int64_t seconds_ns;
    struct train_data held_out;
    float *scores;
};

/* What the data or the host is to blame for ends the job; what the parameters are to blame for ends the trial. */
static bool is_trials_own(enum status s)
{
    return s == STATUS_ARGUMENT || s == STATUS_RANGE || s == STATUS_UNSUPPORTED || s == STATUS_FORMAT;
}

/* ---- while it runs ----------------------------------------------------------------------------------------------- */

static bool watch_cancelled(void *ctx)
{
    struct run *r = ctx;
    return r->ctx->host->cancelled(r->ctx->host_ctx);
}

/* The best so far is part of the phase, so that whoever follows sees it. */
static void tell(struct run *r, int64_t rows)
{
    struct tally *t = &r->state->tally;
    const struct rungs *rungs = &r->state->rungs;
    int64_t done = t->rows_done += rows;
    char phase[160], best_text[80] = "";
    int best = t->best, n_done = t->trials_done;
    if (best >= 0) {
        double sum = 0;
        for (size_t i = 0; i < t->k; i++)
            sum += t->value[(size_t)best * t->k + i];
        snprintf(best_text, sizeof best_text, ", best %s %.5g", study_metric_names[r->spec->objective.metric],
                 sum / (double)t->k);
    }
    if (rungs->n > 1)
        snprintf(phase, sizeof phase, "rung %zu/%zu, trial %d/%zu%s", r->state->rung + 1, rungs->n, n_done,
                 rungs->trials[r->state->rung], best_text);
    else
        snprintf(phase, sizeof phase, "trial %d/%zu%s", n_done, t->n_trials, best_text);
    work_progress(r->ctx, phase, "samples", done < t->rows_total ? done : t->rows_total, t->rows_total, NULL);
}

/* The trainer may hold out some of the rows itself: what counts is how far the epoch is. */
static void watch_progress(void *ctx, int64_t done, int64_t total)
{
    struct run *r = ctx;
    int64_t rows = (int64_t)((double)r->n_learn * (double)done / (double)total);
    tell(r, rows - r->told);
    r->told = rows;
}

/* ---- checkpoints of halving -------------------------------------------------------------------------------------- */

static enum status fit_path(struct run *r, const struct fit *fit, char out[PATH_BYTES_MAX], struct error *e)
{
    return work_path(r->ctx, out, e, "fit-%u-%zu", fit->trial[0], r->fold);
}

/* Goes on where the rung before left the fit; without a sound file from the start, which gives the same bits. */
static enum status restore(struct run *r, const struct fit *fit, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf bytes;
    TRY(fit_path(r, fit, path, e));
    buf_init(&bytes, CHECKPOINT_BYTES_MAX);
    enum status s = file_read(path, &bytes, e);
    if (s == STATUS_OK)
        s = trainer_restore(r->trainer, (struct span){bytes.data, bytes.len}, e);
    buf_fini(&bytes);
    return s == STATUS_NOTFOUND || s == STATUS_FORMAT || s == STATUS_CONFLICT ? STATUS_OK : s;
}

static enum status save(struct run *r, const struct fit *fit, struct error *e)
{
    char path[PATH_BYTES_MAX];
    struct buf bytes;
    TRY(fit_path(r, fit, path, e));
    buf_init(&bytes, CHECKPOINT_BYTES_MAX);
    enum status s = trainer_checkpoint(r->trainer, &bytes, e);
    if (s == STATUS_OK)
        s = file_write_atomic(path, bytes.data, bytes.len, e);
    buf_fini(&bytes);
    return s;
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

static enum status predict(struct run *r, const struct model *m, struct error *e)
{
    const struct train_data *d = &r->held_out;
    size_t k = model_n_classes(m);
    for (size_t i = 0; i < d->n; i += SCORE_ROWS) {
        size_t n = d->n - i < SCORE_ROWS ? d->n - i : SCORE_ROWS;
        struct model_rows rows = {d->hlf + i * HLF_COUNT, d->rows, d->row_first ? d->row_first + i : NULL};
        TRY(work_check_cancelled(r->ctx, e));
        model_predict(m, &rows, n, r->scores + i * k);
    }
    return STATUS_OK;
}

static enum status score(struct run *r, struct fold_record *out, struct error *e)
{
    const struct model_header *h = &r->state->header;
    struct model *m;
    TRY(trainer_model(r->trainer, &m, e));
    out->train_loss = model_header(m)->train_loss;
    out->epochs = model_header(m)->epochs_done;
    enum status s = predict(r, m, e);
    if (s == STATUS_OK)
        s = tune_score(r->ctx->arena, r->spec, r->scores, &r->held_out, h->classes.items, h->classes.n_items, out, e);
    model_release(m);
    return s;
}

/* ---- fitting ----------------------------------------------------------------------------------------------------- */

static enum status start(struct run *r, const struct fit *fit, struct error *e)
{
    struct model_header h = r->state->header;
    struct train_data d = folds_learn(&r->state->folds, r->fold, r->spec->event_weights);
    h.params = r->state->trials.items[fit->trial[fit->n - 1]].params;
    h.params.threads = 1;
    h.scaler = r->state->folds.scaler[r->fold];
    TRY(trainer_create(&h, &d, &r->trainer, e));
    return r->state->rung > 0 ? restore(r, fit, e) : STATUS_OK;
}

static enum status train_to(struct run *r, int64_t epochs, struct error *e)
{
    const struct train_watch watch = {watch_cancelled, watch_progress, r};
    while (trainer_epochs_done(r->trainer) < epochs && !trainer_outcome(r->trainer).stopped) {
        struct epoch_report report;
        int64_t start_ns = time_mono_ns();
        TRY(trainer_epoch(r->trainer, &watch, &report, e));
        r->seconds_ns += time_mono_ns() - start_ns;
        r->told = 0;
    }
    return STATUS_OK;
}

/* The trial's value on this fold becomes known; with the last fold the trial's, and perhaps it is the best so far. */
static void tally_fold(struct run *r, const struct fold_record *f)
{
    struct tally *t = &r->state->tally;
    size_t trial = (size_t)f->trial;
    double sum = 0;
    t->value[trial * t->k + (size_t)f->fold] = f->state == FOLD_OK ? ((const double *)f->values.items)[0] : NAN;
    if (++t->folds_done[trial] < (int)t->k)
        return;
    t->trials_done++;
    for (size_t i = 0; i < t->k; i++)
        sum += t->value[trial * t->k + i];
    double mean = sum / (double)t->k;
    if (!isfinite(mean))
        return;
    r->ctx->host->metric(r->ctx->host_ctx, "objective", f->trial, mean);
    for (int best = t->best; best != (int)trial;) {
        double other = 0;
        for (size_t i = 0; best >= 0 && i < t->k; i++)
            other += t->value[(size_t)best * t->k + i];
        other /= (double)t->k;
        bool better = best < 0 || objective_is_better(&r->spec->objective, mean, other) ||
                      (mean == other && (int)trial < best);
        if (!better || atomic_compare_exchange_strong(&t->best, &best, (int)trial))
            break;
    }
}

static int64_t epochs_of(const struct run *r, const struct fit *fit, size_t i)
{
    return tune_epochs(r->spec, &r->state->trials, &r->state->rungs, r->state->rung, fit->trial[i]);
}

/* Epochs that the rung before has done of this fit. */
static int64_t epochs_before(const struct run *r, const struct fit *fit)
{
    const struct tune_state *t = r->state;
    return t->rung > 0 ? tune_epochs(r->spec, &t->trials, &t->rungs, t->rung - 1, fit->trial[0]) : 0;
}

/* Fits and scores trial i of the fit; what went wrong with it goes into its record, what else went wrong is returned.
 * `begun`: how the beginning of the fit went; `e` says what then. */
static enum status one_trial(struct run *r, const struct fit *fit, size_t i, enum status begun, struct fold_record *out,
                             struct error *e)
{
    *out = (struct fold_record){.trial = fit->trial[i], .fold = (int64_t)r->fold, .rung = (int64_t)r->state->rung,
                                .train_loss = NAN, .loss = NAN, .accuracy = NAN};
    enum status s = begun;
    if (s == STATUS_OK) {
        s = train_to(r, epochs_of(r, fit, i), e);
        r->diverged = s == STATUS_RANGE;
        out->epochs = trainer_epochs_done(r->trainer);
    }
    if (s == STATUS_OK)
        s = score(r, out, e);
    out->seconds = (double)r->seconds_ns * 1e-9;
    if (s != STATUS_OK && !is_trials_own(s))
        return s;
    if (s != STATUS_OK) {
        out->state = r->diverged ? FOLD_DIVERGED : FOLD_FAILED;
        out->message = arena_strdup(r->ctx->arena, e->text);
        out->values = (struct field_list){NULL, 0};
    }
    tally_fold(r, out);
    return STATUS_OK;
}

static enum status all_trials(struct run *r, const struct fit *fit, struct unit_record *out, struct error *e)
{
    struct fold_record *folds = ARENA_NEW(r->ctx->arena, struct fold_record, fit->n);
    bool halving = r->spec->search == SEARCH_HALVING, final = r->state->rung + 1 == r->state->rungs.n;
    if (!folds)
        return error_set(e, STATUS_NOMEM, "no memory for results");
    enum status begun = start(r, fit, e);
    if (begun != STATUS_OK && !is_trials_own(begun))
        return begun;
    *out = (struct unit_record){{folds, fit->n}};
    int64_t before = begun == STATUS_OK ? trainer_epochs_done(r->trainer) : 0;
    r->state->tally.rows_done += (before - epochs_before(r, fit)) * r->n_learn;
    for (size_t i = 0; i < fit->n; i++) {
        TRY(one_trial(r, fit, i, begun, &folds[i], e));
        begun = r->diverged ? STATUS_RANGE : begun;
    }
    int64_t done = begun == STATUS_OK || r->diverged ? trainer_epochs_done(r->trainer) : 0;
    tell(r, (epochs_of(r, fit, fit->n - 1) - done) * r->n_learn - r->told);
    return halving && begun == STATUS_OK && !final ? save(r, fit, e) : STATUS_OK;
}

enum status tune_fit_run(struct job_ctx *ctx, const struct tune_spec *spec, struct tune_state *t, const struct fit *fit,
                         size_t fold, struct unit_record *out, struct error *e)
{
    struct run r = {.ctx = ctx, .spec = spec, .state = t, .fold = fold,
                    .n_learn = (int64_t)folds_n_learn(&t->folds, fold),
                    .held_out = folds_held_out(&t->folds, fold, spec->event_weights)};
    r.scores = mem_alloc((r.held_out.n * t->header.classes.n_items + 1) * sizeof *r.scores);
    if (!r.scores)
        return error_set(e, STATUS_NOMEM, "scores of %zu events", r.held_out.n);
    enum status s = all_trials(&r, fit, out, e);
    trainer_destroy(r.trainer);
    mem_free(r.scores);
    return s;
}
