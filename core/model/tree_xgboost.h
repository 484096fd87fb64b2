/* core/model/tree_xgboost.h
 *
 * Trees are grown by XGBoost, a library that is loaded when the first fit with trees asks for it.  Nothing of it is
 * needed to read or score a model. */
#ifndef DLT_CORE_MODEL_TREE_XGBOOST_H
#define DLT_CORE_MODEL_TREE_XGBOOST_H

#include "core/feature.h"

/* UNSUPPORTED, saying what to install, where the library is not.  The environment variable DLT_XGBOOST_LIBRARY names
 * it where it is not on the loader's path. */
enum status tree_library_check(struct error *e) MUST_USE;

struct tree_settings {
    int64_t max_depth, max_bin;
    double eta, colsample_bynode, min_child_weight, lambda, gamma;
    uint32_t seed;                     /* of the features that each node may ask for */
};

struct tree_grower;

/* For rows [n][HLF_COUNT], copied; n > 0.  Fails: UNSUPPORTED, NOMEM, ARGUMENT (what XGBoost says). */
enum status tree_grower_create(const float *rows, size_t n, size_t threads, struct tree_grower **out,
                               struct error *e) MUST_USE;
void tree_grower_destroy(struct tree_grower *g);              /* NULL allowed */
/* Appends one tree, as tree_forest.h stores it, that lowers the loss whose derivatives of first and second order by the
 * rows' scores are given. */
enum status tree_grow(struct tree_grower *g, const struct tree_settings *s, float *gradient, float *hessian,
                      struct buf *stored, struct error *e) MUST_USE;

/* The tree of an XGBoost model with one tree, as that library writes it ("ubj"), appended as above.  Takes bytes from
 * anywhere.  Fails: FORMAT, NOMEM. */
enum status tree_read_ubjson(struct span bytes, struct buf *stored, struct error *e) MUST_USE;

#endif
