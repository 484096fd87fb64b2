/* core/nn/net_plan.h
 *
 * What a finished network knows of itself: shared by net.c, which plans it, and pass.c, which runs it.
 * Offsets into working memory are in numbers a row, multiples of NN_LANES: times ld they are floats. */
#ifndef DLT_CORE_NN_NET_PLAN_H
#define DLT_CORE_NN_NET_PLAN_H

#include "core/nn/net.h"

/* What an input or a layer yields. */
struct value {
    struct shape shape;
    bool used;
    size_t scoring, training, gradient;
};

struct node {
    struct layer layer;
    size_t input[LAYER_INPUTS_MAX], output;                   /* values */
    size_t params;                                            /* offset of the layer's parameters */
    size_t state_scoring, state_training;
    bool add_in[LAYER_INPUTS_MAX];
};

struct net {
    struct arena arena;
    size_t n_inputs, n_values, n_layers, n_params;            /* values: the inputs, then each layer's output */
    size_t scoring_numbers, training_numbers;                 /* a row */
    size_t scoring_scratch, training_scratch;                 /* behind those of the rows */
    bool finished;
    struct value value[NET_VALUES_MAX];
    struct node node[NET_VALUES_MAX];
};

#endif
