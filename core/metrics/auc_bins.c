/* core/metrics/auc_bins.c
 *
 * AUC of scores that are counted, not kept.  A bin is the upper bits of the score's float32: exponent and nine bits of
 * mantissa; above 1/2 of those of one minus the score, so that both ends are equally fine. */
#include "core/metrics.h"

#include <math.h>
#include <string.h>

enum { MANTISSA_BITS = 9, EXPONENTS = 32, SIDE = EXPONENTS << MANTISSA_BITS, BINS = 2 * SIDE };

struct bin {
    double signal, background;
};

struct metrics_auc_bins {
    size_t n_classes;
    struct bin bin[];                  /* [n_classes][BINS], scores ascending */
};

enum status metrics_auc_bins_create(size_t n_classes, struct metrics_auc_bins **out, struct error *e)
{
    check(n_classes > 0 && n_classes <= METRICS_CLASSES_MAX);
    *out = mem_calloc(1, sizeof **out + n_classes * BINS * sizeof(struct bin));
    if (!*out)
        return error_set(e, STATUS_NOMEM, "no memory for the AUCs of %zu classes", n_classes);
    (*out)->n_classes = n_classes;
    return STATUS_OK;
}

void metrics_auc_bins_destroy(struct metrics_auc_bins *b) { mem_free(b); }

void metrics_auc_bins_clear(struct metrics_auc_bins *b)
{
    memset(b->bin, 0, b->n_classes * BINS * sizeof *b->bin);
}

/* Of x in [0, 1/2]: 0 for 2^-33 and below, rising. */
static size_t half_bin(float x)
{
    static const uint32_t lowest = (uint32_t)(127 - EXPONENTS - 1) << MANTISSA_BITS;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits >>= 23 - MANTISSA_BITS;
    size_t bin = bits > lowest ? bits - lowest : 0;
    return bin < SIDE ? bin : SIDE - 1;
}

void metrics_auc_bins_add(struct metrics_auc_bins *b, const float *scores, size_t label, double weight)
{
    for (size_t c = 0; c < b->n_classes; c++) {
        float p = scores[c];
        size_t at = p < 0.5f ? half_bin(p > 0 ? p : 0) : BINS - 1 - half_bin(p < 1 ? 1 - p : 0);
        struct bin *bin = &b->bin[c * BINS + at];
        *(c == label ? &bin->signal : &bin->background) += weight;
    }
}

double metrics_auc_bins_class(const struct metrics_auc_bins *b, size_t i_class)
{
    const struct bin *bin = b->bin + i_class * BINS;
    double below = 0, signal = 0, ordered = 0;
    for (size_t i = 0; i < BINS; i++) {
        ordered += bin[i].signal * (below + bin[i].background / 2);
        below += bin[i].background;
        signal += bin[i].signal;
    }
    return signal > 0 && below > 0 ? ordered / (signal * below) : NAN;
}

double metrics_auc_bins_macro(const struct metrics_auc_bins *b)
{
    double sum = 0, n = 0;
    for (size_t c = 0; c < b->n_classes; c++) {
        double auc = metrics_auc_bins_class(b, c);
        sum += isnan(auc) ? 0 : auc;
        n += !isnan(auc);
    }
    return n > 0 ? sum / n : NAN;
}
