/* core/dataset/histogram.c
 *
 * The distribution of one high-level feature over a dataset, for one class or all, group by group: flat in memory. */
#include "core/dataset/private.h"

#include <math.h>

static enum status each_group(const struct dataset *d, void (*fn)(void *ctx, const struct feature_rows *rows), void *ctx,
                              struct error *e)
{
    struct feature_rows rows;
    enum status s = STATUS_OK;
    feature_rows_init(&rows);
    for (size_t p = 0; s == STATUS_OK && p < d->manifest.parts.n_items; p++) {
        char path[PATH_BYTES_MAX];
        struct features_reader *r = NULL;
        s = dataset_part_path(d, p, path, e);
        if (s == STATUS_OK)
            s = features_reader_open(path, &r, e);
        for (size_t g = 0; s == STATUS_OK && g < features_reader_groups(r); g++) {
            feature_rows_clear(&rows);
            s = features_read(r, g, false, &rows, e);
            if (s == STATUS_OK)
                fn(ctx, &rows);
        }
        features_reader_close(r);
    }
    feature_rows_fini(&rows);
    return s;
}

struct filling {
    enum hlf_index feature;
    int32_t label;
    bool weighted;
    struct dataset_histogram *out;
};

static void find_range(void *ctx, const struct feature_rows *rows)
{
    struct dataset_histogram *h = ((struct filling *)ctx)->out;
    for (size_t i = 0; i < rows->n; i++) {
        double x = rows->hlf[i * HLF_COUNT + (size_t)((struct filling *)ctx)->feature];
        h->lo = x < h->lo ? x : h->lo;
        h->hi = x > h->hi ? x : h->hi;
    }
}

static void fill(void *ctx, const struct feature_rows *rows)
{
    const struct filling *f = ctx;
    struct dataset_histogram *h = f->out;
    double *counts = h->counts.items, *squares = h->squares.items, n_bins = (double)h->counts.n_items;
    for (size_t i = 0; i < rows->n; i++) {
        if (f->label >= 0 && rows->label[i] != f->label)
            continue;
        double x = rows->hlf[i * HLF_COUNT + (size_t)f->feature], w = f->weighted ? rows->weight[i] : 1;
        h->events++;
        h->sum += w;
        if (x < h->lo) {
            h->underflow += w;
        } else if (x > h->hi) {
            h->overflow += w;
        } else {
            size_t bin = (size_t)((x - h->lo) / (h->hi - h->lo) * n_bins);
            bin = bin < h->counts.n_items ? bin : h->counts.n_items - 1;      /* the last bin holds its upper edge */
            counts[bin] += w;
            squares[bin] += w * w;
        }
    }
}

/* The range of the training part's histogram, so that all classes and both parts share their edges. */
static enum status choose_range(const struct dataset *d, struct filling *f, struct error *e)
{
    const struct feature_histogram *known = d->manifest.histograms.items;
    struct dataset_histogram *h = f->out;
    if (d->manifest.histograms.n_items == HLF_COUNT) {
        h->lo = known[f->feature].lo;
        h->hi = known[f->feature].hi;
    } else {
        h->lo = INFINITY;
        h->hi = -INFINITY;
        TRY(each_group(d, find_range, f, e));
    }
    if (!(isfinite(h->lo) && isfinite(h->hi)))
        h->lo = h->hi = 0;
    if (!(h->hi > h->lo))
        h->hi = h->lo + 1;
    return STATUS_OK;
}

enum status dataset_histogram(const struct dataset *d, enum hlf_index feature, int32_t label, bool weighted,
                              size_t n_bins, struct arena *a, struct dataset_histogram *out, struct error *e)
{
    struct filling f = {feature, label, weighted, out};
    *out = (struct dataset_histogram){0};
    if (d->manifest.kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s holds events: make features of it first (job kind features)",
                         d->manifest.id);
    check(n_bins > 0);
    out->counts = (struct field_list){ARENA_NEW(a, double, n_bins), n_bins};
    out->squares = (struct field_list){ARENA_NEW(a, double, n_bins), n_bins};
    if (!out->counts.items || !out->squares.items)
        return error_set(e, STATUS_NOMEM, "histogram of %zu bins", n_bins);
    TRY(choose_range(d, &f, e));
    return each_group(d, fill, &f, e);
}
