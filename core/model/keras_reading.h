/* core/model/keras_reading.h
 *
 * A Keras configuration while it is read: what the layers so far give, and the layer at hand. */
#ifndef DLT_CORE_MODEL_KERAS_READING_H
#define DLT_CORE_MODEL_KERAS_READING_H

#include "core/model/keras.h"

enum value_kind { VALUE_FLAT, VALUE_SEQUENCE, VALUE_MASK, VALUE_MASK_ELEMENTS, VALUE_PROBABILITIES };

/* A Keras layer that has been understood. */
struct value {
    const char *name; /* Keras' */
    const char *ours; /* whose output it is in our list; "hlf", "particles" */
    enum value_kind kind;
    bool masked; /* sequences: rows that are no particles are left out */
};

struct reading {
    struct arena *a;
    struct keras_network *out;
    struct value value[2 * LAYERS_MAX];
    size_t n_values;
    const char *name, *class_name; /* of the layer at hand */
    const struct document *config;
    const struct value *in[LAYER_INPUTS_MAX];
    size_t n_in;
    bool masks; /* it was given a mask of its own */
    struct error *e;
};

/* keras_layers.c */
enum status keras_refuse(const struct reading *r, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
const struct value *keras_value(const struct reading *r, const char *name); /* NULL when there is none yet */
/* The layer at hand, by its class: a layer of ours, or another name of what it takes. */
enum status keras_layer(struct reading *r) MUST_USE;
enum status keras_input(struct reading *r) MUST_USE; /* what an InputLayer says */

#endif
