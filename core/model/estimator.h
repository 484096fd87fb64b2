/* core/model/estimator.h
 *
 * Kinds of classifiers: one row each of a table.  An estimator says which rows it reads and declares its network;
 * fitting, scoring and storing are the same for all of them (train.c, model.c, modelfile.c). */
#ifndef DLT_CORE_MODEL_ESTIMATOR_H
#define DLT_CORE_MODEL_ESTIMATOR_H

#include "core/model.h"
#include "core/nn/net.h"

enum { CLASSES_MIN = 2, CLASSES_MAX = 64, ESTIMATOR_SCRATCH_MAX = 4 << 20 };

enum estimator_trees { TREES_NONE, TREES_AVERAGED, TREES_BOOSTED };

struct estimator {
    const char *name, *doc;
    enum model_input input;
    const struct layer_spec *layers;   /* with places that zoo.c fills in */
    size_t n_layers;
    const int64_t *hidden;             /* widths, where the parameters name none */
    size_t n_hidden;
    enum estimator_trees trees;        /* then there are no layers */
};

/* The network of p->layers or else of p->model, whose outputs are logits; the caller's: net_destroy().  *out is NULL on
 * error: ARGUMENT, RANGE, NOMEM, UNSUPPORTED (trees). */
enum status estimator_network(const struct train_params *p, size_t n_classes, struct net **out,
                              struct error *e) MUST_USE;
/* Writes that network's layers into p->layers, complete and in its order; what p points to is then from `a`. */
enum status estimator_resolve(struct arena *a, struct train_params *p, size_t n_classes, struct error *e) MUST_USE;
/* Whether the layers make a network, or the parameters trees, of whatever number of classes. */
enum status estimator_check(const struct train_params *p, const char *where, struct error *e) MUST_USE;

/* In the order of estimator_names; p->model must be valid. */
const struct estimator *estimator_get(const struct train_params *p);

/* What bounds alone do not say of optimiser, schedule, early stopping and class weights.  ARGUMENT, RANGE. */
enum status train_settings_check(const struct train_params *p, const char *where, struct error *e) MUST_USE;

#endif
