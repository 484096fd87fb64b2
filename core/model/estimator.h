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
    /* Adds inputs (the features, if it reads them, then the particles) and layers, and finishes. */
    enum status (*build)(const struct train_params *p, size_t n_classes, struct net *net, struct error *e);
};

/* The network of p->model, whose outputs are logits; the caller's: net_destroy().  *out is NULL on error. */
enum status estimator_network(const struct train_params *p, size_t n_classes, struct net **out,
                              struct error *e) MUST_USE;

/* In the order of estimator_names; p->model must be valid. */
const struct estimator *estimator_get(const struct train_params *p);

#endif
