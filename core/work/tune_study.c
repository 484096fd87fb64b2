/* core/work/tune_study.c
 *
 * From committed units to what is known of each trial: while the search runs, at its end, and between the rungs of
 * successive halving.  Everything follows from the spec and the units, so each attempt comes to the same. */
#include "core/work/tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT_BYTES_MAX = 64 << 20, PROGRESS_MAX = TRIALS_MAX };

/* ---- units ------------------------------------------------------------------------------------------------------- */

/* Groups by everything but the number of epochs: a table by hash would be quicker, and this is some milliseconds. */
enum status tune_fits(struct arena *a, const struct tune_spec *spec, const struct trials *trials, const uint32_t *which,
                      size_t n, struct fit **out, size_t *n_fits, struct error *e)
{
    struct way { char text[17]; } *ways = ARENA_NEW(a, struct way, n + 1);
    struct fit *fits = ARENA_NEW(a, struct fit, n + 1);
    if (!ways || !fits)
        return error_set(e, STATUS_NOMEM, "no memory for %zu trials", n);
    *n_fits = 0;
    for (size_t i = 0; i < n; i++) {
        const struct train_params *p = &trials->items[which[i]].params;
        size_t at = 0;
        TRY(train_params_way(p, ways[*n_fits].text, e));
        for (at = spec->search == SEARCH_HALVING ? *n_fits : 0; at < *n_fits; at++)
            if (memcmp(ways[at].text, ways[*n_fits].text, sizeof ways->text) == 0)
                break;
        struct fit *fit = &fits[at];
        uint32_t *of_fit = ARENA_NEW(a, uint32_t, fit->n + 1);
        if (!of_fit)
            return error_set(e, STATUS_NOMEM, "no memory for %zu trials", n);
        size_t place = 0;
        while (place < fit->n && train_params_epochs(&trials->items[fit->trial[place]].params) <= train_params_epochs(p))
            place++;
        for (size_t k = 0; k < fit->n; k++)
            of_fit[k + (k >= place)] = fit->trial[k];
        of_fit[place] = which[i];
        fit->trial = of_fit;
        fit->n++;
        *n_fits += at == *n_fits;
    }
    *out = fits;
    return STATUS_OK;
}

static enum status take_unit(struct arena *a, struct known *k, struct span text, size_t rung, struct error *e)
{
    struct unit_record unit;
    TRY(field_read_text(a, unit_record_fields, text, &unit, e));
    const struct fold_record *folds = unit.folds.items;
    for (size_t i = 0; i < unit.folds.n_items; i++) {
        const struct fold_record *f = &folds[i];
        if (f->trial < 0 || (size_t)f->trial >= k->n || f->fold < 0 || (size_t)f->fold >= k->k)
            return error_set(e, STATUS_FORMAT, "a unit's result names trial %lld, fold %lld", (long long)f->trial,
                             (long long)f->fold);
        k->fold[(rung * k->n + (size_t)f->trial) * k->k + (size_t)f->fold] = f;
    }
    return STATUS_OK;
}

static enum status read_rung(struct arena *a, const struct tune_spec *spec, const struct job_host *host, void *host_ctx,
                             size_t rung, struct known *k, struct error *e)
{
    size_t n_units = k->rungs.trials[rung];
    struct buf text;
    if (spec->search != SEARCH_HALVING) {
        struct fit *fits;
        uint32_t *all;
        size_t n;
        TRY(known_entrants(a, spec, k, 0, &all, &n, e));
        TRY(tune_fits(a, spec, &k->trials, all, n, &fits, &n_units, e));
    }
    buf_init(&text, UNIT_BYTES_MAX);
    enum status s = STATUS_OK;
    for (size_t i = 0; s == STATUS_OK && i < n_units * k->k; i++) {
        text.len = 0;
        s = host->unit_result(host_ctx, (int)rung, (int64_t)i, &text, e);
        if (s == STATUS_OK)
            s = take_unit(a, k, (struct span){text.data, text.len}, rung, e);
        else if (s == STATUS_NOTFOUND)
            s = STATUS_OK;
    }
    buf_fini(&text);
    return s;
}

enum status known_read(struct arena *a, const struct tune_spec *spec, const struct job_host *host, void *host_ctx,
                       size_t n_rungs, struct known *out, struct error *e)
{
    *out = (struct known){.k = (size_t)spec->folds};
    TRY(tune_trials(a, spec, &out->trials, e));
    out->n = out->trials.n;
    tune_rungs(spec, &out->trials, &out->rungs);
    out->fold = ARENA_NEW(a, const struct fold_record *, out->rungs.n * out->n * out->k);
    if (!out->fold)
        return error_set(e, STATUS_NOMEM, "no memory for %zu trials", out->n);
    for (size_t r = 0; r < n_rungs && r < out->rungs.n; r++)
        TRY(read_rung(a, spec, host, host_ctx, r, out, e));
    return STATUS_OK;
}

static const struct fold_record *fold_of(const struct known *k, size_t rung, size_t trial, size_t fold)
{
    return k->fold[(rung * k->n + trial) * k->k + fold];
}

double known_value(const struct known *k, size_t rung, size_t trial)
{
    double sum = 0;
    for (size_t i = 0; i < k->k; i++) {
        const struct fold_record *f = fold_of(k, rung, trial, i);
        if (!f || f->state != FOLD_OK || f->values.n_items == 0)
            return NAN;
        sum += ((const double *)f->values.items)[0];
    }
    return sum / (double)k->k;
}

/* ---- halving ----------------------------------------------------------------------------------------------------- */

/* What trials are ordered by: how far they came, their value, their number. */
struct standing {
    size_t rung;
    double value;
    uint32_t trial;
};

static bool comes_before(const struct study_objective *o, const struct standing *a, const struct standing *b)
{
    if (a->rung != b->rung)
        return a->rung > b->rung;
    if (a->value != b->value)
        return objective_is_better(o, a->value, b->value);
    return a->trial < b->trial;
}

/* Insertion into runs that are merged: the comparison needs the objective, which qsort's cannot have. */
static void sort_standings(const struct study_objective *o, struct standing *s, struct standing *spare, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2, i = 0, j = half, at = 0;
    sort_standings(o, s, spare, half);
    sort_standings(o, s + half, spare, n - half);
    memcpy(spare, s, n * sizeof *s);
    while (i < half || j < n) {
        bool left = j == n || (i < half && comes_before(o, &spare[i], &spare[j]));
        s[at++] = left ? spare[i++] : spare[j++];
    }
}

enum status known_entrants(struct arena *a, const struct tune_spec *spec, const struct known *k, size_t rung,
                           uint32_t **out, size_t *n, struct error *e)
{
    struct standing *s = ARENA_NEW(a, struct standing, 2 * k->n);
    *out = ARENA_NEW(a, uint32_t, k->n);
    *n = 0;
    if (!s || !*out)
        return error_set(e, STATUS_NOMEM, "no memory for %zu trials", k->n);
    for (size_t i = 0; i < k->n; i++) {
        double value = rung > 0 ? known_value(k, rung - 1, i) : 0;
        if (isfinite(value))
            s[(*n)++] = (struct standing){0, value, (uint32_t)i};
    }
    sort_standings(&spec->objective, s, s + k->n, rung > 0 ? *n : 0);
    *n = *n < k->rungs.trials[rung] ? *n : k->rungs.trials[rung];
    for (size_t i = 0; i < *n; i++)
        (*out)[i] = s[i].trial;
    return STATUS_OK;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static double standard_error(const double *v, size_t n, double mean)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1) / (double)n) : NAN;
}

static enum status fill_values(struct arena *a, const struct tune_spec *spec, const struct known *k, size_t rung,
                               size_t trial, struct study_trial *t, struct error *e)
{
    size_t n = 1 + spec->report.n_items;
    struct study_value *values = ARENA_NEW(a, struct study_value, n);
    double *numbers = ARENA_NEW(a, double, n * k->k);
    if (!values || !numbers)
        return error_set(e, STATUS_NOMEM, "no memory for a table of trials");
    for (size_t o = 0; o < n; o++) {
        double *v = numbers + o * k->k, sum = 0;
        for (size_t i = 0; i < k->k; i++) {
            const struct fold_record *f = fold_of(k, rung, trial, i);
            v[i] = f && o < f->values.n_items ? ((const double *)f->values.items)[o] : NAN;
            sum += v[i];
        }
        double mean = sum / (double)k->k;
        values[o] = (struct study_value){mean, standard_error(v, k->k, mean), {v, k->k}};
    }
    t->objectives = (struct field_list){values, n};
    t->value = values[0].mean;
    t->error = values[0].error;
    return STATUS_OK;
}

/* Folds of the last rung that the trial has any of. */
static enum status fill_trial(struct arena *a, const struct tune_spec *spec, const struct known *k, size_t trial,
                              struct study_trial *t, struct error *e)
{
    bool diverged = false, failed = false;
    *t = (struct study_trial){.trial = (int64_t)trial, .point = k->trials.items[trial].point, .state = "waiting"};
    for (size_t rung = 0; rung < k->rungs.n; rung++)
        for (size_t i = 0; i < k->k; i++) {
            const struct fold_record *f = fold_of(k, rung, trial, i);
            if (!f)
                continue;
            if ((size_t)t->rung != rung)
                t->folds_done = 0, t->loss = t->accuracy = t->train_loss = 0;
            t->rung = (int64_t)rung;
            t->folds_done++;
            t->seconds += f->seconds;
            t->loss += f->loss / (double)k->k;
            t->accuracy += f->accuracy / (double)k->k;
            t->train_loss += f->train_loss / (double)k->k;
            t->epochs = t->epochs > f->epochs ? t->epochs : f->epochs;
            diverged |= f->state == FOLD_DIVERGED;
            failed |= f->state == FOLD_FAILED;
            t->message = t->message ? t->message : f->message;
        }
    bool all = t->folds_done == (int64_t)k->k, last = (size_t)t->rung + 1 == k->rungs.n;
    if (!all)
        t->loss = t->accuracy = t->train_loss = NAN;
    t->state = diverged ? "diverged" : failed ? "failed" : all && last ? "ok" : t->folds_done ? "running" : "waiting";
    return fill_values(a, spec, k, (size_t)t->rung, trial, t, e);
}

/* Which trials of a rung have been stopped: known once all of that rung have all their folds. */
static enum status decide_rungs(struct arena *a, const struct tune_spec *spec, const struct known *k,
                                struct study_trial *trials, struct study_rung *rungs, struct error *e)
{
    for (size_t rung = 0; rung < k->rungs.n; rung++) {
        uint32_t *in, *on;
        size_t n_in, n_on = 0, n_missing = 0;
        TRY(known_entrants(a, spec, k, rung, &in, &n_in, e));
        rungs[rung] = (struct study_rung){k->rungs.epochs[rung], (int64_t)n_in, -1};
        for (size_t i = 0; i < n_in; i++)
            for (size_t f = 0; f < k->k; f++)
                n_missing += !fold_of(k, rung, in[i], f);
        if (n_missing > 0 || n_in == 0)
            return STATUS_OK;
        if (rung + 1 < k->rungs.n)
            TRY(known_entrants(a, spec, k, rung + 1, &on, &n_on, e));
        rungs[rung].kept = (int64_t)n_on;
        for (size_t i = 0; i < n_in && rung + 1 < k->rungs.n; i++) {
            bool goes_on = false;
            for (size_t j = 0; j < n_on; j++)
                goes_on |= on[j] == in[i];
            if (!goes_on && strcmp(trials[in[i]].state, "running") == 0)
                trials[in[i]].state = "stopped";
        }
    }
    return STATUS_OK;
}

static enum status rank(struct arena *a, const struct tune_spec *spec, const struct known *k, struct study_record *out,
                        struct error *e)
{
    struct study_trial *t = out->trials.items;
    struct standing *s = ARENA_NEW(a, struct standing, 2 * k->n);
    size_t n = 0;
    if (!s)
        return error_set(e, STATUS_NOMEM, "no memory for a table of trials");
    for (size_t i = 0; i < k->n; i++) {
        bool sound = strcmp(t[i].state, "diverged") != 0 && strcmp(t[i].state, "failed") != 0;
        for (size_t rung = (size_t)t[i].rung + 1; sound && rung-- > 0;) {
            double value = known_value(k, rung, i);
            if (!isfinite(value))
                continue;
            s[n++] = (struct standing){rung, value, (uint32_t)i};
            break;
        }
    }
    sort_standings(&spec->objective, s, s + k->n, n);
    for (size_t i = 0; i < n; i++)
        t[s[i].trial].rank = (int64_t)i + 1;
    out->best_trial = n > 0 ? (int64_t)s[0].trial : -1;
    if (n == 0)
        return STATUS_OK;
    struct study_trial at = t[s[0].trial];
    TRY(fill_values(a, spec, k, s[0].rung, s[0].trial, &at, e));
    out->best_value = at.value;
    out->best_error = at.error;
    out->best_point = k->trials.items[s[0].trial].point;
    out->best_params = k->trials.items[s[0].trial].params;
    return STATUS_OK;
}

/* ---- what mattered ----------------------------------------------------------------------------------------------- */

static const char *text_of(const struct known *k, size_t trial, size_t axis)
{
    const struct field_axis *point = k->trials.items[trial].point.items;
    return *(const char *const *)point[axis].values.items;
}

/* Variance between the means of trials with the same value, over all variance. */
static double between_groups(const struct known *k, size_t axis, const double *v, double mean, double all)
{
    double between = 0;
    for (size_t i = 0; i < k->n; i++) {
        double sum = 0;
        size_t n = 0;
        bool first = isfinite(v[i]);
        for (size_t j = 0; j < k->n && first; j++) {
            if (!isfinite(v[j]) || strcmp(text_of(k, i, axis), text_of(k, j, axis)) != 0)
                continue;
            first = j >= i;
            sum += v[j];
            n++;
        }
        if (first && n > 0)
            between += (double)n * (sum / (double)n - mean) * (sum / (double)n - mean);
    }
    return between / all;
}

/* Square of the correlation with the value, or with its logarithm. */
static double correlation(const struct known *k, size_t axis, bool is_log, const double *v, double mean, double all)
{
    double sum = 0, sum2 = 0, product = 0, n = 0;
    for (size_t i = 0; i < k->n; i++) {
        double x = strtod(text_of(k, i, axis), NULL);
        x = is_log ? log(x) : x;
        if (!isfinite(v[i]))
            continue;
        sum += x, sum2 += x * x, product += x * (v[i] - mean), n++;
    }
    double spread = sum2 - sum * sum / n;
    return spread > 0 ? product * product / (spread * all) : 0;
}

static enum status explain(struct arena *a, const struct tune_spec *spec, const struct known *k, struct study_record *out,
                           struct error *e)
{
    const struct field_axis *axes = spec->space.items;
    double *v = ARENA_NEW(a, double, k->n), sum = 0, all = 0, n = 0;
    struct field_pair *pairs = ARENA_NEW(a, struct field_pair, spec->space.n_items);
    struct study_step *steps = ARENA_NEW(a, struct study_step, k->n);
    size_t n_steps = 0;
    if (!v || !pairs || !steps)
        return error_set(e, STATUS_NOMEM, "no memory for a table of trials");
    for (size_t i = 0; i < k->n; i++) {
        v[i] = known_value(k, 0, i);                              /* where all trials have had the same chance */
        if (!isfinite(v[i]))
            continue;
        sum += v[i], n++;
        if (n_steps == 0 || objective_is_better(&spec->objective, v[i], steps[n_steps - 1].value))
            steps[n_steps++] = (struct study_step){(int64_t)i, v[i]};
    }
    out->progress = (struct field_list){steps, n_steps};
    for (size_t i = 0; i < k->n; i++)
        all += isfinite(v[i]) ? (v[i] - sum / n) * (v[i] - sum / n) : 0;
    if (!(all > 0))
        return STATUS_OK;
    for (size_t i = 0; i < spec->space.n_items; i++) {
        bool drawn = axes[i].values.n_items == 0 && axes[i].step == 0;
        pairs[i].name = axes[i].path;
        pairs[i].value = drawn ? correlation(k, i, axes[i].log, v, sum / n, all) : between_groups(k, i, v, sum / n, all);
    }
    out->importance = (struct field_list){pairs, spec->space.n_items};
    return STATUS_OK;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static enum status fill_objectives(struct arena *a, const struct tune_spec *spec, struct study_record *out, struct error *e)
{
    size_t n = 1 + spec->report.n_items;
    struct study_objective *o = ARENA_NEW(a, struct study_objective, n);
    if (!o)
        return error_set(e, STATUS_NOMEM, "no memory for a table of trials");
    for (size_t i = 0; i < n; i++) {
        o[i] = *tune_objective(spec, i);
        o[i].direction = objective_is_better(&o[i], 1, 0) ? 1 : 2;
    }
    out->objectives = (struct field_list){o, n};
    return STATUS_OK;
}

static void count(struct study_record *out)
{
    const struct study_trial *t = out->trials.items;
    for (size_t i = 0; i < out->trials.n_items; i++) {
        out->n_ok += strcmp(t[i].state, "ok") == 0;
        out->n_stopped += strcmp(t[i].state, "stopped") == 0;
        out->n_diverged += strcmp(t[i].state, "diverged") == 0;
        out->n_failed += strcmp(t[i].state, "failed") == 0;
        out->seconds += t[i].seconds;
    }
}

enum status study_so_far(struct arena *a, const void *spec_, const struct job_host *host, void *host_ctx,
                         struct study_record *out, struct error *e)
{
    static const char *const searches[] = {"grid", "random", "halving"};
    const struct tune_spec *spec = spec_;
    struct known k;
    field_defaults(study_record_fields, out);
    TRY(known_read(a, spec, host, host_ctx, SIZE_MAX, &k, e));
    struct study_trial *trials = ARENA_NEW(a, struct study_trial, k.n);
    struct study_rung *rungs = ARENA_NEW(a, struct study_rung, k.rungs.n);
    if (!trials || !rungs)
        return error_set(e, STATUS_NOMEM, "no memory for a table of trials");
    for (size_t i = 0; i < k.n; i++)
        TRY(fill_trial(a, spec, &k, i, &trials[i], e));
    out->dataset_id = spec->dataset;
    out->model = estimator_names[k.trials.items[0].params.model];
    out->search = searches[spec->search];
    out->folds = spec->folds;
    out->seed = spec->seed;
    out->n_trials = (int64_t)k.n;
    out->n_fits = (int64_t)(k.n * k.k);
    out->space = spec->space;
    out->trials = (struct field_list){trials, k.n};
    if (spec->search == SEARCH_HALVING) {
        TRY(decide_rungs(a, spec, &k, trials, rungs, e));
        out->rungs = (struct field_list){rungs, k.rungs.n};
    }
    TRY(fill_objectives(a, spec, out, e));
    TRY(rank(a, spec, &k, out, e));
    TRY(explain(a, spec, &k, out, e));
    count(out);
    return STATUS_OK;
}
