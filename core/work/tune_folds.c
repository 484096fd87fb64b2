/* core/work/tune_folds.c
 *
 * Rows of a dataset divided for cross-validation.  The division follows from the seed and from what the events are (or
 * from their places): it is the same for each trial, for any number of threads and in every attempt. */
#include "core/work/tune.h"

#include <stdlib.h>
#include <string.h>

struct order {
    uint64_t key;
    int32_t label;
    uint32_t row;
};

static int by_label_and_key(const void *a_, const void *b_)
{
    const struct order *a = a_, *b = b_;
    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

static uint64_t key_of(const struct tune_spec *spec, const struct feature_rows *f, size_t i)
{
    uint64_t place = i;
    if (spec->fold_by == FOLD_BY_SHUFFLE)
        return hash64(&place, sizeof place, (uint64_t)spec->seed);
    int64_t event[] = {f->source[i], f->entry[i], f->number[i]};
    return hash64(event, sizeof event, (uint64_t)spec->seed);
}

/* Rows of a class in the order of their keys are dealt out to the folds in turn; the next class goes on where this one
 * stopped, so that folds have equal sizes too. */
static void deal(const struct tune_spec *spec, struct order *order, size_t n, uint8_t *fold)
{
    qsort(order, n, sizeof *order, by_label_and_key);
    for (size_t i = 0; i < n; i++)
        fold[order[i].row] = (uint8_t)(i % (size_t)spec->folds);
}

static enum status check_classes(const struct tune_spec *spec, const struct manifest *m, const struct order *order,
                                 size_t n, struct error *e)
{
    const char *const *names = m->classes.items;
    if (n < 2 * (size_t)spec->folds)
        return error_set(e, STATUS_ARGUMENT, "dataset %s: %zu events cannot be divided into %lld folds", m->id, n,
                         (long long)spec->folds);
    for (size_t i = 0, first = 0; i < n; i++)
        if (i + 1 == n || order[i + 1].label != order[i].label) {
            if (i + 1 - first < (size_t)spec->folds)
                return error_set(e, STATUS_ARGUMENT, "dataset %s: %zu events of class %s, fewer than %lld folds", m->id,
                                 i + 1 - first, (size_t)order[i].label < m->classes.n_items ? names[order[i].label] : "?",
                                 (long long)spec->folds);
            first = i + 1;
        }
    return STATUS_OK;
}

static enum status assign(const struct tune_spec *spec, const struct manifest *m, const struct feature_rows *f,
                          uint8_t *fold, struct error *e)
{
    struct order *order = mem_alloc((f->n + 1) * sizeof *order);
    if (!order)
        return error_set(e, STATUS_NOMEM, "no memory to divide %zu events", f->n);
    for (size_t i = 0; i < f->n; i++)
        order[i] = (struct order){key_of(spec, f, i), f->label[i], (uint32_t)i};
    deal(spec, order, f->n, fold);
    enum status s = check_classes(spec, m, order, f->n, e);
    mem_free(order);
    return s;
}

/* ---- arranging --------------------------------------------------------------------------------------------------- */

static enum status append_part(struct folds *out, const struct feature_rows *source, const uint8_t *fold, size_t part,
                               struct error *e)
{
    out->first[part] = out->rows.n;
    for (size_t i = 0; i < source->n; i++)
        if (fold[i] == part % out->k)
            TRY(feature_rows_append(&out->rows, source, i, e));
    return STATUS_OK;
}

static enum status arrange(struct folds *out, const struct feature_rows *source, const uint8_t *fold, struct error *e)
{
    if (2 * source->n > UINT32_MAX || 2 * source->n_rows > UINT32_MAX)
        return error_set(e, STATUS_RANGE, "%zu events with %zu particle rows are too many for a search", source->n,
                         source->n_rows);
    TRY(feature_rows_reserve(&out->rows, 2 * source->n, 2 * source->n_rows, e));
    for (size_t part = 0; part < 2 * out->k - 1; part++)
        TRY(append_part(out, source, fold, part, e));
    out->first[2 * out->k - 1] = out->rows.n;
    return STATUS_OK;
}

/* ---- scalers ----------------------------------------------------------------------------------------------------- */

struct scaling {
    struct folds *folds;
    const struct recipe *recipe;
    bool sequences;
    struct hlf_scaler hlf[FOLDS_MAX];
    struct sequence_scaler sequence[FOLDS_MAX];
};

static enum status fit_sequences(const struct train_data *d, struct sequence_scaler *out, struct error *e)
{
    struct scaler_fit fit = {.n = {0}};
    float *expanded = mem_alloc((size_t)PARTICLE_ROWS_MAX * PARTICLE_COLUMNS * sizeof *expanded);
    if (!expanded)
        return error_set(e, STATUS_NOMEM, "scaler");
    for (size_t i = 0; i < d->n; i++) {
        size_t first = d->row_first[i], n = d->row_first[i + 1] - first;
        particle_expand(d->rows, first, n, expanded);
        scaler_fit_rows(&fit, expanded, n);
    }
    mem_free(expanded);
    *out = scaler_sequence(&fit);
    return STATUS_OK;
}

static enum status fit_fold(void *ctx, size_t i, size_t thread, struct error *e)
{
    (void)thread;
    struct scaling *s = ctx;
    struct scaler_fit fit = {.n = {0}};
    struct train_data d = folds_learn(s->folds, i, false);
    scaler_fit_hlf(&fit, s->recipe, d.hlf, d.n);
    s->hlf[i] = scaler_hlf(&fit, s->recipe);
    return s->sequences ? fit_sequences(&d, &s->sequence[i], e) : STATUS_OK;
}

static enum status fit_scalers(struct folds *out, struct arena *a, const struct manifest *m, bool want_rows,
                               size_t threads, struct error *e)
{
    if (m->scaled) {                   /* elsewhere: the rows are taken as they are, as train does */
        for (size_t i = 0; i < out->k; i++)
            TRY(field_copy(a, scaler_record_fields, &m->scaler, &out->scaler[i], e));
        return STATUS_OK;
    }
    struct scaling *s = ARENA_NEW(a, struct scaling, 1);
    if (!s)
        return error_set(e, STATUS_NOMEM, "scalers");
    s->folds = out;
    s->recipe = recipe_find(m->recipe);
    s->sequences = want_rows && m->scaler.sequence_mean.n_items > 0;
    if (!s->recipe)
        return error_set(e, STATUS_UNSUPPORTED, "this build has no recipe '%s'", m->recipe ? m->recipe : "");
    TRY(par_for(threads, out->k, fit_fold, s, e));
    for (size_t i = 0; i < out->k; i++)
        TRY(scaler_record_make(a, &s->hlf[i], s->sequences ? &s->sequence[i] : NULL, &out->scaler[i], e));
    return STATUS_OK;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------- */

enum status folds_make(struct folds *out, struct arena *a, const struct tune_spec *spec, const struct manifest *m,
                       const struct feature_rows *source, bool want_rows, size_t threads, struct error *e)
{
    *out = (struct folds){.k = (size_t)spec->folds, .n = source->n};
    feature_rows_init(&out->rows);
    uint8_t *fold = mem_alloc(source->n + 1);
    enum status s = fold ? assign(spec, m, source, fold, e) : error_set(e, STATUS_NOMEM, "no memory to divide rows");
    if (s == STATUS_OK)
        s = arrange(out, source, fold, e);
    mem_free(fold);
    if (s == STATUS_OK)
        s = fit_scalers(out, a, m, want_rows, threads, e);
    if (s != STATUS_OK)
        folds_fini(out);
    return s;
}

void folds_fini(struct folds *f)
{
    feature_rows_fini(&f->rows);
    *f = (struct folds){.k = 0};
}

static struct train_data stretch(const struct folds *f, size_t first, size_t end, bool weights)
{
    return (struct train_data){
        .n = end - first,
        .hlf = f->rows.hlf + first * HLF_COUNT,
        .label = f->rows.label + first,
        .weight = weights ? f->rows.weight + first : NULL,
        .rows = f->rows.n_rows ? &f->rows.rows : NULL,
        .row_first = f->rows.n_rows ? f->rows.row_first + first : NULL,
    };
}

struct train_data folds_learn(const struct folds *f, size_t fold, bool weights)
{
    return stretch(f, f->first[fold + 1], f->first[fold + f->k], weights);
}

struct train_data folds_held_out(const struct folds *f, size_t fold, bool weights)
{
    return stretch(f, f->first[fold], f->first[fold + 1], weights);
}

size_t folds_n_learn(const struct folds *f, size_t fold)
{
    return f->first[fold + f->k] - f->first[fold + 1];
}
