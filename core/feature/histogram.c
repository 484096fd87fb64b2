/* core/feature/histogram.c
 *
 * Histograms of the 14 features of a training part: equal-width bins between the 0.1 % and 99.9 % quantiles, outliers in
 * the outer bins.  They travel with the dataset and with each model: what live data is compared with. */
#include "core/feature.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HISTOGRAM_BINS = 50 };

const struct field feature_histogram_fields[] = {
    FIELD_STRING(struct feature_histogram, feature),
    FIELD_F64(struct feature_histogram, lo, .doc = "lower edge of the first bin"),
    FIELD_F64(struct feature_histogram, hi, .doc = "upper edge of the last bin"),
    FIELD_F64(struct feature_histogram, median),
    FIELD_LIST_F64(struct feature_histogram, counts, .doc = "sum of weights a bin; outliers in the outer bins"),
    FIELD_END,
};

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(const float *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    double frac = at - (double)i;
    return i + 1 < n ? sorted[i] * (1 - frac) + sorted[i + 1] * frac : sorted[n - 1];
}

enum status feature_histograms_create(struct arena *a, const float *hlf, size_t n, struct field_list *out,
                                      struct error *e)
{
    if (n == 0)
        return error_set(e, STATUS_ARGUMENT, "histograms of no events");
    struct feature_histogram *h = ARENA_NEW(a, struct feature_histogram, HLF_COUNT);
    float *column = mem_alloc(n * sizeof *column);
    enum status s = h && column ? STATUS_OK : error_set(e, STATUS_NOMEM, "histograms of %zu events", n);
    for (size_t c = 0; s == STATUS_OK && c < HLF_COUNT; c++) {
        for (size_t i = 0; i < n; i++)
            column[i] = hlf[i * HLF_COUNT + c];
        qsort(column, n, sizeof *column, by_value);
        double *counts = ARENA_NEW(a, double, HISTOGRAM_BINS);
        h[c] = (struct feature_histogram){.feature = hlf_info[c].name,
                                          .lo = quantile(column, n, 0.001),
                                          .hi = quantile(column, n, 0.999),
                                          .median = quantile(column, n, 0.5),
                                          .counts = {counts, HISTOGRAM_BINS}};
        if (!(h[c].hi > h[c].lo))
            h[c].hi = h[c].lo + 1;
        if (!counts)
            s = error_set(e, STATUS_NOMEM, "histograms");
    }
    mem_free(column);
    *out = (struct field_list){h, s == STATUS_OK ? HLF_COUNT : 0};
    return s;
}

void feature_histograms_add(struct field_list *histograms, const float *hlf, const float *weight, size_t n)
{
    struct feature_histogram *h = histograms->items;
    for (size_t c = 0; c < histograms->n_items; c++) {
        double *counts = h[c].counts.items, scale = HISTOGRAM_BINS / (h[c].hi - h[c].lo);
        for (size_t i = 0; i < n; i++) {
            double at = floor((hlf[i * HLF_COUNT + c] - h[c].lo) * scale);
            size_t bin = at <= 0 ? 0 : at >= HISTOGRAM_BINS - 1 ? HISTOGRAM_BINS - 1 : (size_t)at;
            counts[bin] += weight ? weight[i] : 1;
        }
    }
}
