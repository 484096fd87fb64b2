/* core/model/graph.h
 *
 * Networks as lists of layers (struct layer_spec of core/model.h): from a declaration that anybody may have written to
 * a checked network.  What is wrong is told with the layer and the member, as "/params/layers/3/units: ...". */
#ifndef DLT_CORE_MODEL_GRAPH_H
#define DLT_CORE_MODEL_GRAPH_H

#include "core/model.h"
#include "core/nn/net.h"

enum {
    GRAPH_PARAMS_MAX = 1 << 24,        /* parameters of a network */
    GRAPH_NUMBERS_MAX = 1 << 22,       /* numbers of working memory that a row takes while learning ... */
    GRAPH_FLAT_NUMBERS_MAX = 3 * HIDDEN_WIDTH_MAX             /* ... and, without particles, while being scored alone */
};

/* The network of `list` (struct layer_spec): inputs first (the features, if it reads them, then the particles), then the
 * layers, each behind those that it takes, as near to the given order as can be; its outputs are logits.  The caller's:
 * net_destroy().  *resolved is the list in that order with everything filled in (names, inputs, units of the last layer,
 * epsilon), from `a` or pointing to what `list` points to.  `where` is the path of the list in messages.
 * Fails: ARGUMENT, RANGE, NOMEM; then *net is NULL. */
enum status graph_build(struct arena *a, const struct field_list *list, size_t n_classes, const char *where,
                        struct field_list *resolved, struct net **net, struct error *e) MUST_USE;

/* What the layers of a list read; 0: neither. */
int graph_input(const struct field_list *list);

/* The number of classes that a list says it has: units of its last loose end; 0 where it does not say. */
size_t graph_classes(const struct field_list *list);

#endif
