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
    const struct train_data *data;
    const struct hlf_scaler *scaler;
    const struct model_header *header;
    float *row;
    bool sequences;
};

/* Particle rows of event i: their number, and each of them. */
static enum status check_particles(const struct fill_job *job, size_t i, struct error *e)
{
    const struct train_data *d = job->data;
    const struct particle_columns *p = d->rows;
    const char *dataset = job->header->dataset_id ? job->header->dataset_id : "the data";
    const float *const columns[] = {p->pt, p->eta, p->phi, p->x, p->y, p->z, p->iso_ch, p->iso_gamma, p->iso_neu};
    if (d->row_first[i + 1] <= d->row_first[i] || d->row_first[i + 1] - d->row_first[i] > PARTICLE_ROWS_MAX)
        return error_set(e, STATUS_ARGUMENT, "%s: row %zu: particle rows %u to %u, an event has 1 to %d", dataset, i,
                         d->row_first[i], d->row_first[i + 1], PARTICLE_ROWS_MAX);
    for (size_t j = d->row_first[i]; j < d->row_first[i + 1]; j++) {
        bool sound = p->kind[j] >= PARTICLE_CHARGED && p->kind[j] <= PARTICLE_MUON;
        for (size_t c = 0; c < ARRAY_LEN(columns); c++)
            sound &= isfinite(columns[c][j]) != 0;
        if (!sound)
            return error_set(e, STATUS_ARGUMENT, "%s: row %zu: particle %zu has a kind or a number that is none",
                             dataset, i, j - d->row_first[i]);
    }
    return STATUS_OK;
}

static enum status check_row(const struct fill_job *job, size_t i, struct error *e)
{
    const struct train_data *d = job->data;
    const char *dataset = job->header->dataset_id ? job->header->dataset_id : "the data";
    for (size_t f = 0; f < HLF_COUNT; f++)
        if (!isfinite(d->hlf[i * HLF_COUNT + f]) || !isfinite(job->row[i * ROW_STRIDE + f]))
            return error_set(e, STATUS_ARGUMENT, "%s: row %zu: %s is %g%s, which cannot be trained with", dataset, i,
                             hlf_info[f].name, (double)d->hlf[i * HLF_COUNT + f],
                             isfinite(d->hlf[i * HLF_COUNT + f]) ? " and not finite when scaled" : "");
    if (d->label[i] < 0 || (size_t)d->label[i] >= job->header->classes.n_items)
        return error_set(e, STATUS_ARGUMENT, "%s: row %zu: label %" PRId32 ", there are %zu classes", dataset, i,
                         d->label[i], job->header->classes.n_items);
    if (d->weight && !(d->weight[i] >= 0 && isfinite(d->weight[i])))
        return error_set(e, STATUS_ARGUMENT, "%s: row %zu: weight %g, must be finite and not negative", dataset, i,
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
        hlf_scale(job->scaler, job->data->hlf + i * HLF_COUNT, 1, row);
        TRY(check_row(job, i, e));
        if (job->sequences)
            TRY(check_particles(job, i, e));
        row[ROW_LABEL] = (float)job->data->label[i];
        row[ROW_WEIGHT] = job->data->weight ? job->data->weight[i] : 1;
    }
    return STATUS_OK;
}

/* A row is held out when a hash of seed and its number falls below the fraction: the same rows whatever the number of
 * epochs, threads or later rows. */
static void divide(struct train_rows *t, const struct train_params *p)
{
    uint64_t below = (uint64_t)(p->validation_fraction * 0x1p64);      /* the fraction is at most 0.9 */
    for (uint64_t i = 0; i < t->n; i++) {
        bool held_out = hash64(&i, sizeof i, (uint64_t)p->seed) < below;
        t->n_held_out += held_out;
        t->learn[held_out ? t->n - t->n_held_out : t->n_learn++] = (uint32_t)i;
    }
    t->held_out = t->learn + t->n_learn;
    for (size_t i = 0; i < t->n_held_out / 2; i++) {          /* they were filled in from the end */
        uint32_t *a = &t->held_out[i], *b = &t->held_out[t->n_held_out - 1 - i], kept = *a;
        *a = *b;
        *b = kept;
    }
}

/* Sums of weights by class over the learned rows must allow learning; then scales all weights to mean 1 of the
 * learned. */
static enum status set_weights(struct train_rows *t, const struct model_header *h, struct error *e)
{
    double sum[CLASSES_MAX] = {0}, all = 0, present = 0, factor[CLASSES_MAX];
    for (size_t i = 0; i < t->n_learn; i++) {
        const float *row = t->row + (size_t)t->learn[i] * ROW_STRIDE;
        sum[(size_t)row[ROW_LABEL]] += (double)row[ROW_WEIGHT];
    }
    for (size_t c = 0; c < CLASSES_MAX; c++) {
        all += sum[c];
        present += sum[c] > 0;
    }
    if (present < 2)
        return error_set(e, STATUS_ARGUMENT,
                         "%zu rows to learn from, with events (and weight) of %.0f classes: at least 2 are needed",
                         t->n_learn, present);
    bool balanced = strcmp(class_weight_names[h->params.class_weights], "balanced") == 0;
    for (size_t c = 0; c < CLASSES_MAX; c++) {
        double class_factor = balanced && sum[c] > 0 ? all / (present * sum[c]) : 1;
        factor[c] = class_factor * (double)t->n_learn / all;
    }
    for (size_t i = 0; i < t->n; i++) {
        float *row = t->row + i * ROW_STRIDE;
        row[ROW_WEIGHT] = (float)((double)row[ROW_WEIGHT] * factor[(size_t)row[ROW_LABEL]]);
    }
    return STATUS_OK;
}

static uint64_t particles_fingerprint(const struct train_data *d, uint64_t h)
{
    const struct particle_columns *p = d->rows;
    const float *const columns[] = {p->pt, p->eta, p->phi, p->x, p->y, p->z, p->iso_ch, p->iso_gamma, p->iso_neu};
    size_t first = d->row_first[0], n = d->row_first[d->n] - first;
    h = hash64(d->row_first, (d->n + 1) * sizeof *d->row_first, h);
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        h = hash64(columns[c] + first, n * sizeof *columns[c], h);
    h = hash64(p->kind + first, n, h);
    return hash64(p->charge + first, n, h);
}

static uint64_t fingerprint_of(const struct train_data *d)
{
    uint64_t h = hash64(d->hlf, d->n * HLF_COUNT * sizeof *d->hlf, d->n);
    h = hash64(d->label, d->n * sizeof *d->label, h);
    return d->weight ? hash64(d->weight, d->n * sizeof *d->weight, h) : h;
}

enum status train_rows_init(struct train_rows *t, const struct model_header *header, const struct scalers *scaler,
                            const struct train_data *data, struct error *e)
{
    *t = (struct train_rows){.n = data->n};
    if (data->n == 0)
        return error_set(e, STATUS_ARGUMENT, "there are no events to train with");
    if (data->n > UINT32_MAX)
        return error_set(e, STATUS_ARGUMENT, "%zu events, at most %u", data->n, UINT32_MAX);
    t->has_sequences = estimator_input(&header->params) != INPUT_HLF;
    if (t->has_sequences && (!data->rows || !data->row_first))
        return error_set(e, STATUS_ARGUMENT, "%s reads particle rows, and there are none: make features with "
                         "sequences: true", estimator_names[header->params.model]);
    t->sequences =
        (struct sequence_source){recipe_find(header->recipe), &scaler->sequence, data->rows, data->row_first};
    t->row = mem_aligned(data->n * ROW_STRIDE * sizeof *t->row);
    t->learn = mem_alloc(data->n * sizeof *t->learn);
    if (!t->row || !t->learn)
        return error_set(e, STATUS_NOMEM, "no memory for %zu rows", data->n);
    struct fill_job job = {data, &scaler->hlf, header, t->row, t->has_sequences};
    TRY(par_for((size_t)header->params.threads, (data->n + BLOCK_ROWS - 1) / BLOCK_ROWS, fill_block, &job, e));
    divide(t, &header->params);
    t->fingerprint = fingerprint_of(data);
    if (t->has_sequences)
        t->fingerprint = particles_fingerprint(data, t->fingerprint);
    return set_weights(t, header, e);
}

void train_rows_fini(struct train_rows *t)
{
    mem_free(t->row);
    mem_free(t->learn);
    *t = (struct train_rows){0};
}
