/* core/model/header.c
 *
 * What a model says of itself: its field table, and whether it makes sense. */
#include "core/model/private.h"

#include <math.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64, TEXT_BYTES_MAX = 256, HISTOGRAM_BINS_MAX = 1000 };

const struct field model_header_fields[] = {
    FIELD_I64(struct model_header, format_version, .def = MODEL_FORMAT_VERSION, .doc = "of the model file"),
    FIELD_STRING(struct model_header, estimator, .required = true, .min = 1, .max = NAME_BYTES_MAX),
    FIELD_STRING(struct model_header, recipe, .required = true, .min = 1, .max = NAME_BYTES_MAX,
                 .doc = "selection and features that it was trained with and is scored with"),
    FIELD_STRING(struct model_header, dataset_id, .min = 0, .max = TEXT_BYTES_MAX, .doc = "what it was trained on"),
    FIELD_OBJECT(struct model_header, cuts, object_cuts_fields,
                 .doc = "object cuts of the events that it learned from; scoring applies the same"),
    FIELD_OBJECT(struct model_header, params, train_params_fields),
    FIELD_LIST_STRING(struct model_header, classes, .min = CLASSES_MIN, .max = CLASSES_MAX,
                      .doc = "names, in the order of the outputs"),
    FIELD_OBJECT(struct model_header, scaler, scaler_record_fields),
    FIELD_I64(struct model_header, n_params, .doc = "number of trained parameters"),
    FIELD_I64(struct model_header, n_train, .unit = "rows", .doc = "rows that it learned from"),
    FIELD_I64(struct model_header, epochs_done),
    FIELD_F64(struct model_header, train_loss, .nullable = true, .def = NAN,
              .doc = "mean cross-entropy in the epoch whose parameters these are"),
    FIELD_F64(struct model_header, val_loss, .nullable = true, .def = NAN, .doc = "of the held-out rows"),
    FIELD_I64(struct model_header, best_epoch, .doc = "whose parameters these are, when the best one was kept; else 0"),
    FIELD_BOOL(struct model_header, stopped_early, .doc = "by patience, before all epochs were done"),
    FIELD_LIST_OBJECT(struct model_header, histograms, struct feature_histogram, feature_histogram_fields,
                      .max = HLF_COUNT, .doc = "the training rows' features: what drift is measured against"),
    FIELD_STRING(struct model_header, created_at, .min = 0, .max = TEXT_BYTES_MAX),
    FIELD_STRING(struct model_header, build_id, .min = 0, .max = TEXT_BYTES_MAX),
    FIELD_END};

static enum status check_classes(const struct model_header *h, struct error *e)
{
    const char *const *name = h->classes.items;
    if (h->classes.n_items < CLASSES_MIN || h->classes.n_items > CLASSES_MAX)
        return error_set(e, STATUS_ARGUMENT, "%zu classes, must be %d to %d", h->classes.n_items, CLASSES_MIN,
                         CLASSES_MAX);
    for (size_t i = 0; i < h->classes.n_items; i++) {
        if (!name[i] || !*name[i] || strlen(name[i]) > NAME_BYTES_MAX || !text_is_clean(name[i], strlen(name[i])))
            return error_set(e, STATUS_ARGUMENT, "the name of class %zu must have 1 to %d clean bytes", i,
                             NAME_BYTES_MAX);
        for (size_t j = 0; j < i; j++)
            if (strcmp(name[i], name[j]) == 0)
                return error_set(e, STATUS_ARGUMENT, "two classes have the name '%s'", name[i]);
    }
    return STATUS_OK;
}

static enum status check_histograms(const struct model_header *h, struct error *e)
{
    const struct feature_histogram *f = h->histograms.items;
    if (h->histograms.n_items != 0 && h->histograms.n_items != HLF_COUNT)
        return error_set(e, STATUS_ARGUMENT, "%zu histograms, must be %d or none", h->histograms.n_items, HLF_COUNT);
    for (size_t i = 0; i < h->histograms.n_items; i++) {
        const double *count = f[i].counts.items;
        bool ok = f[i].feature && strcmp(f[i].feature, hlf_info[i].name) == 0 && isfinite(f[i].lo) &&
                  isfinite(f[i].hi) && f[i].lo < f[i].hi && isfinite(f[i].median) && f[i].counts.n_items > 0 &&
                  f[i].counts.n_items <= HISTOGRAM_BINS_MAX;
        for (size_t j = 0; ok && j < f[i].counts.n_items; j++)
            ok = isfinite(count[j]);
        if (!ok)
            return error_set(e, STATUS_ARGUMENT, "histogram %zu is not a sound one of %s", i, hlf_info[i].name);
    }
    return STATUS_OK;
}

enum status header_check(const struct model_header *h, struct scalers *out, struct error *e)
{
    bool has_sequence;
    TRY(train_params_check(&h->params, "/params", e));
    TRY(check_classes(h, e));
    if (!h->recipe || !recipe_find(h->recipe))
        return error_set(e, STATUS_UNSUPPORTED, "this build has no recipe '%s'", h->recipe ? h->recipe : "");
    TRY(scaler_record_read(&h->scaler, &out->hlf, &out->sequence, &has_sequence, e));
    if (estimator_input(&h->params) != INPUT_HLF && !recipe_find(h->recipe)->sequence_dense && !has_sequence)
        return error_set(e, STATUS_ARGUMENT,
                         "%s reads particle rows, and there is no scaler for them: make features with sequences: true",
                         estimator_names[h->params.model]);
    return check_histograms(h, e);
}
