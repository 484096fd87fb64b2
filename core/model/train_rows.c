/* core/model/train_rows.c
 *
 * From given events to rows to learn from: checks, scaling, the held-out part, weights. */
#include "core/model/train_rows.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BLOCK_ROWS = 8192 };

_Static_assert(ROW_STRIDE * sizeof(float) == 64, "a row is one cache line");

struct fill_job {
    const struct row_maker *maker;
    const struct train_data *data;
    float *row;
};

static const char *dataset_of(const struct row_maker *m)
{
    return m->header->dataset_id ? m->header->dataset_id : "the data";
}

/* Particle rows of event i: their number, and each of them. */
static enum status check_particles(const struct fill_job *job, size_t i, struct error *e)
{
    const struct train_data *d = job->data;
    const struct particle_columns *p = d->rows;
    const char *dataset = dataset_of(job->maker);
    size_t number = job->maker->first + i;
    const float *const columns[] = {p->pt, p->eta, p->phi, p->x, p->y, p->z, p->iso_ch, p->iso_gamma, p->iso_neu};
    if (d->row_first[i + 1] <= d->row_first[i] || d->row_first[i + 1] - d->row_first[i] > PARTICLE_ROWS_MAX)
        return error_set(e, STATUS_ARGUMENT, "%s: row %zu: particle rows %u to %u, an event has 1 to %d", dataset,
                         number, d->row_first[i], d->row_first[i + 1], PARTICLE_ROWS_MAX);
    for (size_t j = (size_t)d->row_first[i] * PARTICLE_COLUMNS;
         p->prepared && j < (size_t)d->row_first[i + 1] * PARTICLE_COLUMNS; j++)
        if (!isfinite(p->prepared[j]))
            return error_set(e, STATUS_ARGUMENT, "%s: row %zu: a number of its particles is not finite", dataset,
                             number);
    for (size_t j = d->row_first[i]; !p->prepared && j < d->row_first[i + 1]; j++) {
        bool sound = p->kind[j] >= PARTICLE_CHARGED && p->kind[j] <= PARTICLE_MUON;
        for (size_t c = 0; c < ARRAY_LEN(columns); c++)
            sound &= isfinite(columns[c][j]) != 0;
        if (!sound)
            return error_set(e, STATUS_ARGUMENT, "%s: row %zu: particle %zu has a kind or a number that is none",
                             dataset, number, j - d->row_first[i]);
    }
    return STATUS_OK;
}

static enum status check_row(const struct fill_job *job, size_t i, struct error *e)
{
    const struct train_data *d = job->data;
    const char *dataset = dataset_of(job->maker);
    size_t number = job->maker->first + i;
    for (size_t f = 0; f < HLF_COUNT; f++)
        if (!isfinite(d->hlf[i * HLF_COUNT + f]) || !isfinite(job->row[i * ROW_STRIDE + f]))
            return error_set(e, STATUS_ARGUMENT, "%s: row %zu: %s is %g%s, which cannot be trained with", dataset,
                             number, hlf_info[f].name, (double)d->hlf[i * HLF_COUNT + f],
                             isfinite(d->hlf[i * HLF_COUNT + f]) ? " and not finite when scaled" : "");
    if (d->label[i] < 0 || (size_t)d->label[i] >= job->maker->header->classes.n_items)
        return error_set(e, STATUS_ARGUMENT, "%s: row %zu: label %" PRId32 ", there are %zu classes", dataset, number,
                         d->label[i], job->maker->header->classes.n_items);
    if (d->weight && !(d->weight[i] >= 0 && isfinite(d->weight[i])))
        return error_set(e, STATUS_ARGUMENT, "%s: row %zu: weight %g, must be finite and not negative", dataset, number,
                         (double)d->weight[i]);
    return STATUS_OK;
}

static enum status fill_block(void *ctx, size_t i_block, size_t thread, struct error *e)
{
    (void)thread;
    const struct fill_job *job = ctx;
    size_t first = i_block * BLOCK_ROWS, last = first + BLOCK_ROWS < job->data->n ? first + BLOCK_ROWS : job->data->n;
    for (size_t i = first; i < last; i++) {
        float *row = job->row + i * ROW_STRIDE;
        hlf_scale(&job->maker->scaler->hlf, job->data->hlf + i * HLF_COUNT, 1, row);
        TRY(check_row(job, i, e));
        if (job->maker->sequences)
            TRY(check_particles(job, i, e));
        row[ROW_LABEL] = (float)job->data->label[i];
        row[ROW_WEIGHT] = job->data->weight ? job->data->weight[i] : 1;
    }
    return STATUS_OK;
}

enum status rows_make(const struct row_maker *m, const struct train_data *d, float *row, struct error *e)
{
    struct fill_job job = {m, d, row};
    if (m->sequences && (!d->rows || !d->row_first))
        return error_set(e, STATUS_ARGUMENT, "%s reads particle rows, and there are none: make features with "
                         "sequences: true", estimator_names[m->header->params.model]);
    return par_for((size_t)m->header->params.threads, (d->n + BLOCK_ROWS - 1) / BLOCK_ROWS, fill_block, &job, e);
}

bool row_is_held_out(const struct train_params *p, uint64_t number)
{
    uint64_t below = (uint64_t)(p->validation_fraction * 0x1p64);      /* the fraction is at most 0.9 */
    return hash64(&number, sizeof number, (uint64_t)p->seed) < below;
}

static void divide(struct train_rows *t, const struct train_params *p, size_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        bool held_out = row_is_held_out(p, i);
        t->n_held_out += held_out;
        t->learn[held_out ? n - t->n_held_out : t->n_learn++] = (uint32_t)i;
    }
    t->held_out = t->learn + t->n_learn;
    for (size_t i = 0; i < t->n_held_out / 2; i++) {          /* they were filled in from the end */
        uint32_t *a = &t->held_out[i], *b = &t->held_out[t->n_held_out - 1 - i], kept = *a;
        *a = *b;
        *b = kept;
    }
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

static enum status unknown_class(const struct model_header *h, const char *name, struct error *e)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t c = 0; c < h->classes.n_items && used + 1 < sizeof known; c++) {
        int n = snprintf(known + used, sizeof known - used, "%s%s", c ? ", " : "",
                         ((const char *const *)h->classes.items)[c]);
        used += n > 0 ? (size_t)n : 0;
    }
    return error_set(e, STATUS_ARGUMENT, "/params/class_weight/%s: there is no such class; there are %s", name, known);
}

static enum status wanted_weights(const struct class_sums *c, const struct model_header *h, double present, double all,
                                  double out[CLASSES_MAX], struct error *e)
{
    const struct field_pair *pair = h->params.class_weight.items;
    bool balanced = h->params.class_weights == CLASS_WEIGHTS_BALANCED;
    for (size_t i = 0; i < CLASSES_MAX; i++)
        out[i] = balanced && c->sum[i] > 0 ? all / (present * c->sum[i]) : 1;
    for (size_t i = 0; i < h->params.class_weight.n_items; i++) {
        size_t at = 0;
        while (at < h->classes.n_items && strcmp(((const char *const *)h->classes.items)[at], pair[i].name) != 0)
            at++;
        if (at == h->classes.n_items)
            return unknown_class(h, pair[i].name, e);
        out[at] = pair[i].value;
    }
    return STATUS_OK;
}

enum status class_factors(struct class_sums *c, const struct model_header *h, size_t n_learn, struct error *e)
{
    double all = 0, weighted = 0, present = 0, wanted[CLASSES_MAX];
    for (size_t i = 0; i < CLASSES_MAX; i++) {
        all += c->sum[i];
        present += c->sum[i] > 0;
    }
    if (present < 2)
        return error_set(e, STATUS_ARGUMENT,
                         "%zu rows to learn from, with events (and weight) of %.0f classes: at least 2 are needed",
                         n_learn, present);
    TRY(wanted_weights(c, h, present, all, wanted, e));
    present = 0;
    for (size_t i = 0; i < CLASSES_MAX; i++) {
        weighted += wanted[i] * c->sum[i];
        present += wanted[i] * c->sum[i] > 0;
    }
    if (present < 2)
        return error_set(e, STATUS_ARGUMENT,
                         "/params/class_weight: leaves weight to %.0f classes: at least 2 are needed", present);
    for (size_t i = 0; i < CLASSES_MAX; i++)
        c->factor[i] = wanted[i] * (double)n_learn / weighted;
    return STATUS_OK;
}

void rows_weigh(const struct class_sums *c, float *row, size_t n)
{
    bool all_one = true;
    for (size_t i = 0; i < CLASSES_MAX; i++)
        all_one &= c->factor[i] == 1;
    for (size_t i = 0; !all_one && i < n; i++, row += ROW_STRIDE)
        row[ROW_WEIGHT] = (float)((double)row[ROW_WEIGHT] * c->factor[(size_t)row[ROW_LABEL]]);
}

/* ---- fingerprints ------------------------------------------------------------------------------------------------ */

static uint64_t particles_fingerprint(const struct train_data *d, uint64_t h)
{
    const struct particle_columns *p = d->rows;
    const float *const columns[] = {p->pt, p->eta, p->phi, p->x, p->y, p->z, p->iso_ch, p->iso_gamma, p->iso_neu};
    size_t first = d->row_first[0], n = d->row_first[d->n] - first;
    h = hash64(d->row_first, (d->n + 1) * sizeof *d->row_first, h);
    if (p->prepared)
        return hash64(p->prepared + first * PARTICLE_COLUMNS, n * PARTICLE_COLUMNS * sizeof *p->prepared, h);
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        h = hash64(columns[c] + first, n * sizeof *columns[c], h);
    h = hash64(p->kind + first, n, h);
    return hash64(p->charge + first, n, h);
}

uint64_t rows_fingerprint(const struct train_data *d, bool sequences, uint64_t h)
{
    h = hash64(d->hlf, d->n * HLF_COUNT * sizeof *d->hlf, h);
    h = hash64(d->label, d->n * sizeof *d->label, h);
    h = d->weight ? hash64(d->weight, d->n * sizeof *d->weight, h) : h;
    return sequences ? particles_fingerprint(d, h) : h;
}

/* ---- all in memory ----------------------------------------------------------------------------------------------- */

static enum status make_set(const struct row_maker *m, const struct train_data *d, float **own, struct row_set *out,
                            struct error *e)
{
    if (d->n == 0)
        return error_set(e, STATUS_ARGUMENT, "there are no events to train with");
    if (d->n > UINT32_MAX)
        return error_set(e, STATUS_ARGUMENT, "%zu events, at most %u", d->n, UINT32_MAX);
    *own = mem_aligned(d->n * ROW_STRIDE * sizeof **own);
    if (!*own)
        return error_set(e, STATUS_NOMEM, "no memory for %zu rows", d->n);
    out->row = *own;
    out->sequences = (struct sequence_source){recipe_find(m->header->recipe), &m->scaler->sequence, d->rows,
                                              d->row_first};
    return rows_make(m, d, *own, e);
}

static enum status set_weights(struct train_rows *t, const struct model_header *h, size_t n, size_t n_validation,
                               struct error *e)
{
    struct class_sums c = {0};
    for (size_t i = 0; i < t->n_learn; i++) {
        const float *row = t->learned.row + (size_t)t->learn[i] * ROW_STRIDE;
        c.sum[(size_t)row[ROW_LABEL]] += (double)row[ROW_WEIGHT];
    }
    TRY(class_factors(&c, h, t->n_learn, e));
    rows_weigh(&c, t->learned.row, n);
    if (n_validation > 0)
        rows_weigh(&c, t->held.row, n_validation);
    return STATUS_OK;
}

enum status train_rows_init(struct train_rows *t, const struct model_header *header, const struct scalers *scaler,
                            const struct train_data *data, const struct train_data *validation, struct error *e)
{
    struct row_maker maker = {header, scaler, estimator_input(&header->params) != INPUT_HLF, 0};
    struct train_params p = header->params;
    size_t n_validation = validation ? validation->n : 0;
    *t = (struct train_rows){0};
    TRY(make_set(&maker, data, &t->own[0], &t->learned, e));
    t->held = t->learned;
    if (validation && make_set(&maker, validation, &t->own[1], &t->held, e) != STATUS_OK)
        return error_wrap(e, "validation dataset");
    t->learn = mem_alloc((data->n + n_validation) * sizeof *t->learn);
    if (!t->learn)
        return error_set(e, STATUS_NOMEM, "no memory for %zu rows", data->n + n_validation);
    p.validation_fraction = validation ? 0 : p.validation_fraction;
    divide(t, &p, data->n);
    for (size_t i = 0; i < n_validation; i++)
        t->held_out[t->n_held_out++] = (uint32_t)i;
    t->fingerprint = rows_fingerprint(data, maker.sequences, data->n);
    if (validation)
        t->fingerprint = rows_fingerprint(validation, maker.sequences, t->fingerprint);
    return set_weights(t, header, data->n, n_validation, e);
}

void train_rows_fini(struct train_rows *t)
{
    mem_free(t->own[0]);
    mem_free(t->own[1]);
    mem_free(t->learn);
    *t = (struct train_rows){0};
}
