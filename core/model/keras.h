/* core/model/keras.h
 *
 * Keras models: what config.json says, as a list of layers, and where the weights of each are. */
#ifndef DLT_CORE_MODEL_KERAS_H
#define DLT_CORE_MODEL_KERAS_H

#include "core/interchange.h"
#include "core/model/graph.h"
#include "core/model/keras_hdf5.h"

/* Of a layer of ours: the Keras layer that has its weights. */
struct keras_origin {
    const char *name;  /* in a .h5 file: its group */
    const char *group; /* in a .keras file: class name in snake case, numbered from the second on */
    bool no_bias, no_gamma, no_beta;
};

struct keras_network {
    struct layer_spec layer[LAYERS_MAX];
    struct keras_origin origin[LAYERS_MAX];
    size_t n;
    bool padded;   /* particles come as 801 rows, and nothing masks those that are none */
    bool flattens; /* looks at all rows by their place */
};

/* The architecture; strings are the document's or from `a`.  Nothing in it is ever evaluated.  Takes any document.
 * Fails: FORMAT, UNSUPPORTED (naming the layer), NOMEM. */
enum status keras_config(struct arena *a, const struct document *config, struct keras_network *out,
                         struct error *e) MUST_USE;

/* The weights of the resolved layers [n] as parameters of `net`: of an .h5 of Keras 2 (zip false: groups by name below
 * model_weights) or of a .keras file's model.weights.h5.  params [net_n_params]. */
enum status keras_weights(struct arena *a, const struct keras_network *k, const struct layer_spec *resolved,
                          const struct net *net, hdf5_id root, bool zip, float *params, struct error *e) MUST_USE;

/* document.c: looking into documents; NULL and other kinds than expected give the default. */
const struct document *document_get(const struct document *object, const char *name);
const struct document *document_at(const struct document *list, size_t i);
size_t document_count(const struct document *list);
const char *document_text(const struct document *d, const char *otherwise);
double document_number(const struct document *d, double otherwise);
bool document_true(const struct document *d);
bool document_is_null(const struct document *d); /* also when it is not there */

#endif
