/* core/model/private.h
 *
 * What the files of core/model share. */
#ifndef DLT_CORE_MODEL_PRIVATE_H
#define DLT_CORE_MODEL_PRIVATE_H

#include "core/model/container.h"
#include "core/model/estimator.h"

struct scalers {
    struct hlf_scaler hlf;
    struct sequence_scaler sequence;   /* zero where there is none */
};

/* Parameters, classes, recipe, scaler and histograms; fills *out.  ARGUMENT, RANGE, FORMAT, UNSUPPORTED. */
enum status header_check(const struct model_header *h, struct scalers *out, struct error *e) MUST_USE;

/* A model of a copy of `header` (checked here; estimator, format_version and n_params are set) and of `params`
 * [n_params], ARGUMENT when that is not the network's number.  `sha256` is the file's, NULL: to be computed. */
enum status model_create(const struct model_header *header, const float *params, size_t n_params, const char *sha256,
                         struct model **out, struct error *e) MUST_USE;
const float *model_params(const struct model *m);

#endif
