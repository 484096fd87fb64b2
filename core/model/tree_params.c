/* core/model/tree_params.c
 *
 * Parameters of the tree estimators, and what they are where none are given. */
#include "core/model/tree_fit.h"

#include <math.h>

/* Of the published forest, with Spark's bins (a tree of a forest is deep: with XGBoost's bins it takes nine times as long
 * and is no better); XGBoost's defaults. */
enum { FOREST_DEPTH = 10, FOREST_BINS = 32, BOOSTED_DEPTH = 6, BOOSTED_BINS = 256 };

const struct field tree_params_fields[] = {
    FIELD_I64(struct tree_params, n_trees, .min = 1, .max = 10000, .def = 100,
              .doc = "a class: the rounds of boosting, or the trees of the forest"),
    FIELD_I64(struct tree_params, max_depth, .min = 0, .max = TREE_DEPTH_MAX, .def = 0,
              .doc = "steps from root to leaf; 0: the estimator's own (random-forest: 10, gradient-boosting: 6)"),
    FIELD_F64(struct tree_params, eta, .min = 1e-6, .max = 1, .def = 0.3,
              .doc = "gradient-boosting: part of each tree's correction that is taken, its learning rate"),
    FIELD_F64(struct tree_params, subsample, .min = 0.001, .max = 1, .def = 1,
              .doc = "random-forest: rows drawn for each tree, with replacement, as part of all; gradient-boosting: part "
                     "of the rows that each round learns from"),
    FIELD_F64(struct tree_params, colsample_bynode, .min = 0, .max = 1, .def = 0,
              .doc = "part of the features that each node may ask for; 0: the estimator's own (random-forest: the square "
                     "root of their number, which is 3; gradient-boosting: all)"),
    FIELD_F64(struct tree_params, min_child_weight, .min = 0, .max = 1e12, .def = 1,
              .doc = "least sum in a node: random-forest of weights, gradient-boosting of second derivatives"),
    FIELD_F64(struct tree_params, lambda, .min = 0, .max = 1e6, .def = 1,
              .doc = "gradient-boosting: penalty of the squares of the leaves"),
    FIELD_F64(struct tree_params, gamma, .min = 0, .max = 1e6, .def = 0, .doc = "gain that a split must bring"),
    FIELD_I64(struct tree_params, max_bin, .min = 0, .max = 4096, .def = 0,
              .doc = "bins of each feature, between which splits are looked for: at least 2; 0: the estimator's own "
                     "(random-forest: 32, gradient-boosting: 256)"),
    FIELD_END};

bool tree_estimator(const struct train_params *p) { return estimator_get(p)->trees != TREES_NONE; }
bool tree_averaged(const struct train_params *p) { return estimator_get(p)->trees == TREES_AVERAGED; }

enum status tree_params_check(const struct train_params *p, const char *where, struct error *e)
{
    if (p->layers.n_items > 0 || p->hidden.n_items > 0)
        return error_set(e, STATUS_ARGUMENT, "%s/%s: %s is made of trees and has no layers", where,
                         p->layers.n_items > 0 ? "layers" : "hidden", estimator_get(p)->name);
    if (p->trees.max_bin == 1)
        return error_set(e, STATUS_RANGE, "%s/trees/max_bin: 1 bin cannot be split", where);
    return STATUS_OK;
}

void tree_params_resolve(struct train_params *p)
{
    bool averaged = tree_averaged(p);
    struct tree_params *t = &p->trees;
    t->max_depth = t->max_depth > 0 ? t->max_depth : averaged ? FOREST_DEPTH : BOOSTED_DEPTH;
    t->max_bin = t->max_bin > 0 ? t->max_bin : averaged ? FOREST_BINS : BOOSTED_BINS;
    if (t->colsample_bynode == 0)
        t->colsample_bynode = averaged ? floor(sqrt(HLF_COUNT)) / HLF_COUNT : 1;
    p->epochs = train_params_epochs(p);
}

int64_t train_params_epochs(const struct train_params *p)
{
    return tree_estimator(p) ? (p->trees.n_trees + TREE_ROUNDS_AN_EPOCH - 1) / TREE_ROUNDS_AN_EPOCH : p->epochs;
}

enum status train_params_ready(const struct train_params *p, const char *where, struct error *e)
{
    if (!tree_estimator(p) || tree_library_check(e) == STATUS_OK)
        return STATUS_OK;
    return error_wrap(e, "%s/model: %s", where, estimator_get(p)->name);
}
