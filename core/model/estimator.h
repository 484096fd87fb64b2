/* core/model/estimator.h
 *
 * Kinds of classifiers: one row each of a table.  An estimator says which rows it reads and builds its network;
 * fitting, scoring and storing are the same for all of them (train.c, model.c, modelfile.c). */
#ifndef DLT_CORE_MODEL_ESTIMATOR_H
#define DLT_CORE_MODEL_ESTIMATOR_H

#include "core/model.h"
#include "core/nn/net.h"

enum { CLASSES_MIN = 2, CLASSES_MAX = 64 };

struct estimator {
    const char *name, *doc;
    enum model_input input;
    /* Builds and finishes the network, whose outputs are logits; the caller's: net_destroy().  *out is NULL on
     * error. */
    enum status (*network)(const struct train_params *p, size_t n_classes, struct net **out, struct error *e);
};

/* In the order of estimator_names; p->model must be valid. */
const struct estimator *estimator_get(const struct train_params *p);

#endif
