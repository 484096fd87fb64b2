/* core/feature/scale.c
 *
 * Scalers: fitted in one streaming pass over features, kept as a record of lists in manifests and model files, applied
 * before a network sees a number.  All arithmetic in float64. */
#include "core/feature/internal.h"

#include <math.h>
#include <string.h>

static bool is_logged(const struct recipe *r, size_t i)
{
    return r->scale_log && (i == HLF_HT || i == HLF_MET || i == HLF_MT || i == HLF_LEP_PT);
}

/* ---- fit --------------------------------------------------------------------------------------------------- */

/* `inverse_n` is 1 / (n + 1), n values having gone before. */
static void fit_add(struct scaler_fit *fit, size_t c, double x, double inverse_n)
{
    bool first = fit->n[c]++ == 0;
    double delta = x - fit->mean[c];
    fit->mean[c] += delta * inverse_n;
    fit->m2[c] += delta * (x - fit->mean[c]);
    fit->min[c] = first || x < fit->min[c] ? x : fit->min[c];
    fit->max[c] = first || x > fit->max[c] ? x : fit->max[c];
}

void scaler_fit_hlf(struct scaler_fit *fit, const struct recipe *r, const float *hlf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double inverse_n = 1 / ((double)fit->n[0] + 1);
        for (size_t c = 0; c < HLF_COUNT; c++) {
            double x = (double)hlf[i * HLF_COUNT + c];
            fit_add(fit, c, is_logged(r, c) ? hlf_log(x) : x, inverse_n);
        }
    }
}

enum { FIT_PADDED = 24 };
_Static_assert((int)PARTICLE_COLUMNS > 16 && (int)PARTICLE_COLUMNS < (int)FIT_PADDED, "the last vector is not full");

struct padded {
    double mean[FIT_PADDED], m2[FIT_PADDED], min[FIT_PADDED], max[FIT_PADDED];
};

static void pad_fit(const struct scaler_fit *fit, struct padded *p)
{
    *p = (struct padded){0};
    memcpy(p->mean, fit->mean, sizeof fit->mean);
    memcpy(p->m2, fit->m2, sizeof fit->m2);
    memcpy(p->min, fit->min, sizeof fit->min);
    memcpy(p->max, fit->max, sizeof fit->max);
}

static void unpad_fit(const struct padded *p, size_t n, struct scaler_fit *fit)
{
    memcpy(fit->mean, p->mean, sizeof fit->mean);
    memcpy(fit->m2, p->m2, sizeof fit->m2);
    memcpy(fit->min, p->min, sizeof fit->min);
    memcpy(fit->max, p->max, sizeof fit->max);
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
        fit->n[c] += (int64_t)n;
}

#define FIT_NAME fit_rows_portable
#define FIT_LANES 2
#define FIT_TARGET
#include "core/feature/fit_body.h"

#if defined(__x86_64__)
#define FIT_NAME fit_rows_avx2
#define FIT_LANES 4
#define FIT_TARGET __attribute__((target("avx2")))
#include "core/feature/fit_body.h"

#define FIT_NAME fit_rows_avx512
#define FIT_LANES 8
#define FIT_TARGET __attribute__((target("avx512f")))
#include "core/feature/fit_body.h"
#else
#define fit_rows_avx2 fit_rows_portable
#define fit_rows_avx512 fit_rows_portable
#endif

void scaler_fit_rows(struct scaler_fit *fit, const float *rows19, size_t n)
{
    if (n > 0 && fit->n[0] == 0) {     /* the first row sets the bounds */
        for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
            fit_add(fit, c, (double)rows19[c], 1);
        rows19 += PARTICLE_COLUMNS;
        n--;
    }
    enum cpu_level level = cpu_level();
    (level >= CPU_AVX512 ? fit_rows_avx512 : level >= CPU_AVX2 ? fit_rows_avx2 : fit_rows_portable)(fit, rows19, n);
}

/* ---- scalers ----------------------------------------------------------------------------------------------- */

struct line {
    double shift, factor;
};

static struct line standard_line(const struct scaler_fit *fit, size_t c)
{
    if (fit->n[c] == 0)
        return (struct line){0, 1};
    double deviation = sqrt(fit->m2[c] / (double)fit->n[c]);
    bool constant = !(fit->max[c] > fit->min[c]) || !(deviation > 0);
    return (struct line){fit->mean[c], constant ? 1 : 1 / deviation};
}

static struct line minmax_line(const struct scaler_fit *fit, size_t c)
{
    if (fit->n[c] == 0)
        return (struct line){0, 1};
    double range = fit->max[c] - fit->min[c];
    if (!(range > 0))
        return (struct line){-0x1p99, 0x1p-100};       /* (x + 2^99) 2^-100 is 0.5 for every |x| < 2^45 */
    return (struct line){fit->min[c], 1 / range};
}

struct hlf_scaler scaler_hlf(const struct scaler_fit *fit, const struct recipe *r)
{
    struct hlf_scaler s;
    for (size_t c = 0; c < HLF_COUNT; c++) {
        struct line l = r->scaling == HLF_SCALE_MINMAX ? minmax_line(fit, c) : standard_line(fit, c);
        s.log[c] = is_logged(r, c);
        s.shift[c] = l.shift;
        s.factor[c] = l.factor;
    }
    return s;
}

struct sequence_scaler scaler_sequence(const struct scaler_fit *fit)
{
    struct sequence_scaler s;
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++) {
        struct line l = standard_line(fit, c);
        s.mean[c] = l.shift;
        s.factor[c] = l.factor;
    }
    return s;
}

/* ---- record ------------------------------------------------------------------------------------------------ */

const struct field scaler_record_fields[] = {
    FIELD_LIST_I64(struct scaler_record, hlf_log, .max = HLF_COUNT,
                   .doc = "1 where log1p comes before the scaling, in the order of the features"),
    FIELD_LIST_F64(struct scaler_record, hlf_shift, .max = HLF_COUNT, .doc = "subtracted from each feature"),
    FIELD_LIST_F64(struct scaler_record, hlf_factor, .max = HLF_COUNT, .doc = "multiplies each shifted feature"),
    FIELD_LIST_F64(struct scaler_record, sequence_mean, .max = PARTICLE_COLUMNS,
                   .doc = "mean of each particle column; empty where rows are standardised per event"),
    FIELD_LIST_F64(struct scaler_record, sequence_factor, .max = PARTICLE_COLUMNS,
                   .doc = "inverse deviation of each particle column"),
    FIELD_END,
};

static bool list_of_f64(struct arena *a, const double *v, size_t n, struct field_list *out)
{
    double *copy = ARENA_NEW(a, double, n);
    if (!copy)
        return false;
    memcpy(copy, v, n * sizeof *v);
    *out = (struct field_list){copy, n};
    return true;
}

enum status scaler_record_make(struct arena *a, const struct hlf_scaler *hlf, const struct sequence_scaler *sequence,
                               struct scaler_record *out, struct error *e)
{
    *out = (struct scaler_record){0};
    int64_t *log = ARENA_NEW(a, int64_t, HLF_COUNT);
    bool ok = log && list_of_f64(a, hlf->shift, HLF_COUNT, &out->hlf_shift) &&
              list_of_f64(a, hlf->factor, HLF_COUNT, &out->hlf_factor);
    if (ok && sequence)
        ok = list_of_f64(a, sequence->mean, PARTICLE_COLUMNS, &out->sequence_mean) &&
             list_of_f64(a, sequence->factor, PARTICLE_COLUMNS, &out->sequence_factor);
    if (!ok)
        return error_set(e, STATUS_NOMEM, "scaler: no memory for its record");
    for (size_t c = 0; c < HLF_COUNT; c++)
        log[c] = hlf->log[c];
    out->hlf_log = (struct field_list){log, HLF_COUNT};
    return STATUS_OK;
}

static enum status read_f64(const struct field_list *list, const char *name, size_t n, double *out, struct error *e)
{
    if (list->n_items != n)
        return error_set(e, STATUS_FORMAT, "scaler: %s has %zu numbers, must have %zu", name, list->n_items, n);
    memcpy(out, list->items, n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return error_set(e, STATUS_FORMAT, "scaler: %s[%zu] is not a finite number", name, i);
    return STATUS_OK;
}

enum status scaler_record_read(const struct scaler_record *record, struct hlf_scaler *hlf,
                               struct sequence_scaler *sequence, bool *has_sequence, struct error *e)
{
    *hlf = (struct hlf_scaler){0};
    *sequence = (struct sequence_scaler){0};
    *has_sequence = false;
    if (record->hlf_log.n_items != HLF_COUNT)
        return error_set(e, STATUS_FORMAT, "scaler: hlf_log has %zu numbers, must have %d", record->hlf_log.n_items,
                         HLF_COUNT);
    for (size_t c = 0; c < HLF_COUNT; c++)
        hlf->log[c] = ((const int64_t *)record->hlf_log.items)[c] != 0;
    TRY(read_f64(&record->hlf_shift, "hlf_shift", HLF_COUNT, hlf->shift, e));
    TRY(read_f64(&record->hlf_factor, "hlf_factor", HLF_COUNT, hlf->factor, e));
    if (record->sequence_mean.n_items == 0 && record->sequence_factor.n_items == 0)
        return STATUS_OK;
    TRY(read_f64(&record->sequence_mean, "sequence_mean", PARTICLE_COLUMNS, sequence->mean, e));
    TRY(read_f64(&record->sequence_factor, "sequence_factor", PARTICLE_COLUMNS, sequence->factor, e));
    *has_sequence = true;
    return STATUS_OK;
}

bool scaler_record_is_identity(const struct scaler_record *record)
{
    struct hlf_scaler hlf;
    struct sequence_scaler sequence;
    bool has_sequence;
    struct error e;
    if (scaler_record_read(record, &hlf, &sequence, &has_sequence, &e) != STATUS_OK)
        return false;
    for (size_t c = 0; c < HLF_COUNT; c++)
        if (hlf.log[c] || hlf.shift[c] != 0 || hlf.factor[c] != 1)
            return false;
    return true;
}
