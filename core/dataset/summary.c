/* core/dataset/summary.c
 *
 * What a features dataset says of its features without being read again: exact quantiles, and the correlations of the
 * features within each class.  Two passes over the parts, flat in memory: the first counts the upper half of each
 * number's bits (in the order of the numbers), and sums; the second counts the lower half, only where a quantile is. */
#include "core/dataset/private.h"

#include <math.h>
#include <string.h>

enum { HALF = 1 << 16, QUANTILES = 7, CLASSES_MAX = 64 };
static const double quantile_at[QUANTILES] = {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99};

const struct field feature_quantiles_fields[] = {
    FIELD_STRING(struct feature_quantiles, feature),
    FIELD_F64(struct feature_quantiles, min),
    FIELD_F64(struct feature_quantiles, p01),
    FIELD_F64(struct feature_quantiles, p05),
    FIELD_F64(struct feature_quantiles, p25),
    FIELD_F64(struct feature_quantiles, p50),
    FIELD_F64(struct feature_quantiles, p75),
    FIELD_F64(struct feature_quantiles, p95),
    FIELD_F64(struct feature_quantiles, p99),
    FIELD_F64(struct feature_quantiles, max),
    FIELD_F64(struct feature_quantiles, mean),
    FIELD_F64(struct feature_quantiles, deviation, .doc = "of the events, divided by their number"),
    FIELD_END,
};
const struct field class_correlations_fields[] = {
    FIELD_STRING(struct class_correlations, name, .doc = "class"),
    FIELD_I64(struct class_correlations, events),
    FIELD_LIST_F64(struct class_correlations, matrix, .max = HLF_COUNT * HLF_COUNT,
                   .doc = "Pearson's coefficients, row after row; 0 where a feature is constant, but 1 with itself"),
    FIELD_END,
};

/* The event at each quantile of one feature: in which upper half, and how many events of that half come before it. */
struct search {
    uint32_t upper[QUANTILES];
    uint64_t before[QUANTILES];
    uint32_t *lower[QUANTILES];        /* counts; of equal upper halves the first's, which the others share */
};
struct summary {
    const char *folder;
    const struct manifest *m;
    const struct summary_watch *watch;
    struct arena *a;
    struct feature_rows rows;
    uint32_t *counts;                  /* [HLF_COUNT][HALF] */
    struct search search[HLF_COUNT];
    int64_t n, n_class[CLASSES_MAX];
    double min[HLF_COUNT], max[HLF_COUNT], sum[HLF_COUNT];
    double (*class_sum)[HLF_COUNT];                          /* [classes] */
    double (*products)[HLF_COUNT * HLF_COUNT];               /* [classes], of deviations from the class's mean */
};

/* Bits that rise with the number; -0 counts as 0. */
static uint32_t ordered(float x)
{
    uint32_t bits;
    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static double number_of(uint32_t bits)
{
    float x;
    bits = bits & 0x80000000u ? bits & 0x7FFFFFFFu : ~bits;
    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static enum status each_group(struct summary *s, void (*fn)(struct summary *s), struct error *e)
{
    const struct dataset_part *parts = s->m->parts.items;
    for (size_t p = 0; p < s->m->parts.n_items; p++) {
        char path[PATH_BYTES_MAX];
        struct features_reader *r;
        TRY(path_join(path, s->folder, parts[p].file, e));
        TRY(features_reader_open(path, &r, e));
        enum status status = STATUS_OK;
        for (size_t g = 0; status == STATUS_OK && g < features_reader_groups(r); g++) {
            feature_rows_clear(&s->rows);
            status = features_read(r, g, false, &s->rows, e);
            for (size_t i = 0; status == STATUS_OK && i < s->rows.n; i++)
                if (s->rows.label[i] < 0 || (size_t)s->rows.label[i] >= s->m->classes.n_items)
                    status = error_set(e, STATUS_FORMAT, "label %d of %zu classes", s->rows.label[i], s->m->classes.n_items);
            if (status == STATUS_OK)
                fn(s);
            if (status == STATUS_OK && s->watch && s->watch->tick)
                status = s->watch->tick(s->watch->ctx, e);
        }
        features_reader_close(r);
        TRY(status);
    }
    return STATUS_OK;
}

static void count_upper(struct summary *s)
{
    for (size_t i = 0; i < s->rows.n; i++) {
        const float *row = s->rows.hlf + i * HLF_COUNT;
        double *class_sum = s->class_sum[s->rows.label[i]];
        s->n_class[s->rows.label[i]]++;
        for (size_t f = 0; f < HLF_COUNT; f++) {
            double x = (double)row[f];
            s->counts[f * HALF + (ordered(row[f]) >> 16)]++;
            s->min[f] = x < s->min[f] ? x : s->min[f];
            s->max[f] = x > s->max[f] ? x : s->max[f];
            s->sum[f] += x;
            class_sum[f] += x;
        }
    }
    s->n += (int64_t)s->rows.n;
}

static void count_lower(struct summary *s)
{
    for (size_t i = 0; i < s->rows.n; i++) {
        const float *row = s->rows.hlf + i * HLF_COUNT;
        int32_t label = s->rows.label[i];
        double d[HLF_COUNT], *products = s->products[label], events = (double)s->n_class[label];
        for (size_t f = 0; f < HLF_COUNT; f++) {
            uint32_t bits = ordered(row[f]);
            const struct search *search = &s->search[f];
            for (size_t q = 0; q < QUANTILES; q++)
                if (search->upper[q] == bits >> 16 && (q == 0 || search->upper[q] != search->upper[q - 1]))
                    search->lower[q][bits & (HALF - 1)]++;
            d[f] = (double)row[f] - s->class_sum[label][f] / events;
        }
        for (size_t f = 0; f < HLF_COUNT; f++)
            for (size_t k = 0; k <= f; k++)
                products[f * HLF_COUNT + k] += d[f] * d[k];
    }
}

/* The event of rank ceil(p n), as of a list in order; so p50 of an even number is the lower middle one. */
static uint64_t rank_of(const struct summary *s, size_t q)
{
    uint64_t rank = (uint64_t)ceil(quantile_at[q] * (double)s->n);
    return rank > 0 ? rank - 1 : 0;
}

static enum status find_upper(struct summary *s, size_t f, struct error *e)
{
    struct search *search = &s->search[f];
    const uint32_t *counts = s->counts + f * HALF;
    uint64_t seen = 0;
    uint32_t half = 0;
    for (size_t q = 0; q < QUANTILES; q++) {
        uint64_t rank = rank_of(s, q);
        while (seen + counts[half] <= rank)
            seen += counts[half++];
        search->upper[q] = half;
        search->before[q] = rank - seen;
        bool shared = q > 0 && search->upper[q - 1] == half;
        search->lower[q] = shared ? search->lower[q - 1] : ARENA_NEW(s->a, uint32_t, HALF);
        if (!search->lower[q])
            return error_set(e, STATUS_NOMEM, "quantiles");
    }
    return STATUS_OK;
}

static double quantile(const struct search *s, size_t q)
{
    uint32_t low = 0;
    for (uint64_t before = s->before[q]; before >= s->lower[q][low]; low++)
        before -= s->lower[q][low];
    return number_of(s->upper[q] << 16 | low);
}

static void fill_quantiles(const struct summary *s, struct feature_quantiles *out)
{
    for (size_t f = 0; f < HLF_COUNT; f++) {
        double *to[QUANTILES] = {&out[f].p01, &out[f].p05, &out[f].p25, &out[f].p50, &out[f].p75, &out[f].p95, &out[f].p99};
        double mean = s->sum[f] / (double)s->n, squares = 0;
        for (size_t q = 0; q < QUANTILES; q++)
            *to[q] = quantile(&s->search[f], q);
        for (size_t c = 0; c < s->m->classes.n_items; c++)
            if (s->n_class[c] > 0) {
                double apart = s->class_sum[c][f] / (double)s->n_class[c] - mean;
                squares += s->products[c][f * HLF_COUNT + f] + (double)s->n_class[c] * apart * apart;
            }
        out[f].feature = hlf_info[f].name;
        out[f].min = s->min[f];
        out[f].max = s->max[f];
        out[f].mean = mean;
        out[f].deviation = sqrt(squares / (double)s->n);
    }
}

static enum status fill_correlations(const struct summary *s, struct arena *a, struct class_correlations *out,
                                     struct error *e)
{
    for (size_t c = 0; c < s->m->classes.n_items; c++) {
        const double *p = s->products[c];
        double *matrix = ARENA_NEW(a, double, HLF_COUNT * HLF_COUNT);
        if (!matrix)
            return error_set(e, STATUS_NOMEM, "correlations");
        for (size_t f = 0; f < HLF_COUNT; f++)
            for (size_t k = 0; k <= f; k++) {
                double both = sqrt(p[f * HLF_COUNT + f]) * sqrt(p[k * HLF_COUNT + k]);
                double r = f == k ? 1 : both > 0 ? p[f * HLF_COUNT + k] / both : 0;
                matrix[f * HLF_COUNT + k] = matrix[k * HLF_COUNT + f] = r > 1 ? 1 : r < -1 ? -1 : r;
            }
        out[c] = (struct class_correlations){((const char *const *)s->m->classes.items)[c], s->n_class[c],
                                             {matrix, HLF_COUNT * HLF_COUNT}};
    }
    return STATUS_OK;
}

static enum status run(struct summary *s, struct arena *a, struct field_list *quantiles, struct field_list *correlations,
                       struct error *e)
{
    size_t n_classes = s->m->classes.n_items;
    struct feature_quantiles *features = ARENA_NEW(a, struct feature_quantiles, HLF_COUNT);
    struct class_correlations *classes = ARENA_NEW(a, struct class_correlations, n_classes);
    s->counts = ARENA_NEW(s->a, uint32_t, (size_t)HLF_COUNT * HALF);
    s->class_sum = arena_alloc(s->a, n_classes, sizeof *s->class_sum);
    s->products = arena_alloc(s->a, n_classes, sizeof *s->products);
    if (!features || !classes || !s->counts || !s->class_sum || !s->products)
        return error_set(e, STATUS_NOMEM, "summary of the features");
    for (size_t f = 0; f < HLF_COUNT; f++) {
        s->min[f] = INFINITY;
        s->max[f] = -INFINITY;
    }
    TRY(each_group(s, count_upper, e));
    if (s->n == 0)
        return STATUS_OK;
    for (size_t f = 0; f < HLF_COUNT; f++)
        TRY(find_upper(s, f, e));
    TRY(each_group(s, count_lower, e));
    fill_quantiles(s, features);
    TRY(fill_correlations(s, a, classes, e));
    *quantiles = (struct field_list){features, HLF_COUNT};
    *correlations = (struct field_list){classes, n_classes};
    return STATUS_OK;
}

enum status features_summary(const char *folder, const struct manifest *m, const struct summary_watch *watch,
                             struct arena *a, struct field_list *quantiles, struct field_list *correlations,
                             struct error *e)
{
    struct arena work;
    *quantiles = *correlations = (struct field_list){NULL, 0};
    check(m->classes.n_items <= CLASSES_MAX);
    arena_init(&work, 64 << 20);
    struct summary *s = ARENA_NEW(&work, struct summary, 1);
    if (!s) {
        arena_fini(&work);
        return error_set(e, STATUS_NOMEM, "summary of the features");
    }
    s->folder = folder;
    s->m = m;
    s->watch = watch;
    s->a = &work;
    feature_rows_init(&s->rows);
    enum status status = run(s, a, quantiles, correlations, e);
    feature_rows_fini(&s->rows);
    arena_fini(&work);
    return status;
}
