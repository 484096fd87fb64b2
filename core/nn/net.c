/* core/nn/net.c
 *
 * Building a network and planning its working memory. */
#include "core/nn/net.h"

#include "core/nn/net_plan.h"

#include <string.h>

enum { NET_ARENA_MAX = 1 << 20 };

/* Random streams of initial values start here, far from those of epochs. */
static const uint64_t init_stream = (uint64_t)1 << 32;

enum status net_create(struct net **out, struct error *e)
{
    *out = NULL;
    struct net *net = mem_calloc(1, sizeof *net);
    if (!net)
        return error_set(e, STATUS_NOMEM, "no memory for a network");
    arena_init(&net->arena, NET_ARENA_MAX);
    *out = net;
    return STATUS_OK;
}

void net_destroy(struct net *net)
{
    if (!net)
        return;
    arena_fini(&net->arena);
    mem_free(net);
}

static enum status add_value(struct net *net, struct shape shape, size_t *value, struct error *e)
{
    if (net->n_values == NET_VALUES_MAX)
        return error_set(e, STATUS_RANGE, "a network has at most %d inputs and layers", NET_VALUES_MAX);
    *value = net->n_values++;
    net->value[*value] = (struct value){.shape = shape};
    return STATUS_OK;
}

enum status net_input(struct net *net, struct shape shape, size_t *value, struct error *e)
{
    check(!net->finished && net->n_values == net->n_inputs);
    if (net->n_inputs == NET_INPUTS_MAX || shape.features == 0 || shape.features > LAYER_WIDTH_MAX)
        return error_set(e, STATUS_RANGE, "input %zu of %zu features: a network has at most %d inputs of 1 to %d",
                         net->n_inputs, shape.features, NET_INPUTS_MAX, LAYER_WIDTH_MAX);
    TRY(add_value(net, shape, value, e));
    net->n_inputs++;
    return STATUS_OK;
}

static enum status layer_make(struct net *net, const struct layer_kind *kind, const void *config,
                              const size_t *inputs, size_t n_inputs, struct node *node, struct error *e)
{
    struct layer *l = &node->layer;
    if (n_inputs < kind->inputs_min || n_inputs > kind->inputs_max)
        return error_set(e, STATUS_ARGUMENT, "%zu inputs, it takes %zu to %zu", n_inputs, kind->inputs_min,
                         kind->inputs_max);
    *l = (struct layer){.kind = kind, .n_inputs = n_inputs};
    for (size_t i = 0; i < n_inputs; i++) {
        check(inputs[i] < net->n_values);
        node->input[i] = inputs[i];
        l->in[i] = net->value[inputs[i]].shape;
        net->value[inputs[i]].used = true;
    }
    if (kind->fields) {
        void *copy = arena_alloc(&net->arena, 1, kind->config_size);
        if (!copy)
            return error_set(e, STATUS_NOMEM, "no memory for its configuration");
        TRY(field_copy(&net->arena, kind->fields, config, copy, e));
        l->config = copy;
    }
    return kind->shape(l, e);
}

enum status net_add(struct net *net, const char *kind_name, const void *config, const size_t *inputs, size_t n_inputs,
                    size_t *value, struct error *e)
{
    check(!net->finished);
    const struct layer_kind *kind = layer_kind_find(kind_name);
    if (!kind)
        return error_set(e, STATUS_ARGUMENT, "there is no layer kind '%s'", kind_name);
    struct node node = {.params = net->n_params};
    if (layer_make(net, kind, config, inputs, n_inputs, &node, e) != STATUS_OK)
        return error_wrap(e, "layer %zu (%s)", net->n_layers + 1, kind->name);
    TRY(add_value(net, node.layer.out, value, e));
    node.output = *value;
    net->n_params += kind->n_params ? kind->n_params(&node.layer) : 0;
    net->node[net->n_layers++] = node;
    return STATUS_OK;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* Numbers a row, rounded up: with one row a value is written by whole vectors. */
static size_t numbers(struct shape s)
{
    return (shape_numbers(s) + NN_LANES - 1) / NN_LANES * NN_LANES;
}

static size_t state_numbers(const struct layer *l, bool training)
{
    size_t n = l->kind->n_state ? l->kind->n_state(l, training) : 0;
    return (n + NN_LANES - 1) / NN_LANES * NN_LANES;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* While scoring, a value's room is free again behind its last use: first fit among the values that live then. */
struct room {
    size_t offset, size, until;        /* last layer that needs it */
};

static size_t fit(const struct room *rooms, size_t n_rooms, size_t size, size_t now)
{
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < n_rooms; i++) {
            const struct room *r = &rooms[i];
            if (r->until >= now && offset < r->offset + r->size && r->offset < offset + size) {
                offset = r->offset + r->size;
                moved = true;
            }
        }
    }
    return offset;
}

static size_t last_use(const struct net *net, size_t value)
{
    size_t last = net->n_layers;                              /* the output outlives all layers */
    for (size_t i = 0; value + 1 < net->n_values && i < net->n_layers; i++)
        for (size_t j = 0; j < net->node[i].layer.n_inputs; j++)
            if (net->node[i].input[j] == value)
                last = i;
    return last;
}

static void plan_scoring(struct net *net)
{
    struct room rooms[NET_VALUES_MAX];
    size_t most = 0;
    for (size_t v = 0; v < net->n_values; v++) {
        /* Inputs are there before layer 0 runs; layer i makes value n_inputs + i. */
        size_t now = v < net->n_inputs ? 0 : v - net->n_inputs;
        size_t size = numbers(net->value[v].shape);
        size_t offset = fit(rooms, v, size, now);
        rooms[v] = (struct room){offset, size, last_use(net, v)};
        net->value[v].scoring = offset;
        most = offset + size > most ? offset + size : most;
    }
    for (size_t i = 0; i < net->n_layers; i++) {
        const struct layer *l = &net->node[i].layer;
        net->node[i].state_scoring = most;                    /* scratch: not shared out, none of the kinds is big */
        most += state_numbers(l, false);
        net->scoring_scratch = larger(net->scoring_scratch, l->kind->n_scratch ? l->kind->n_scratch(l, false) : 0);
    }
    net->scoring_numbers = most;
}

/* While training everything is kept: values, their gradients, states. */
static void plan_training(struct net *net)
{
    size_t at = 0;
    for (size_t v = 0; v < net->n_values; v++) {
        net->value[v].training = at;
        at += numbers(net->value[v].shape);
    }
    for (size_t v = net->n_inputs; v < net->n_values; v++) {
        net->value[v].gradient = at;
        at += numbers(net->value[v].shape);
    }
    for (size_t i = 0; i < net->n_layers; i++) {
        const struct layer *l = &net->node[i].layer;
        net->node[i].state_training = at;
        at += state_numbers(l, true);
        net->training_scratch = larger(net->training_scratch, l->kind->n_scratch ? l->kind->n_scratch(l, true) : 0);
    }
    net->training_numbers = at;
}

/* Backward goes through the layers from the last to the first: who comes second to a value's gradient adds to it. */
static void plan_gradients(struct net *net)
{
    bool written[NET_VALUES_MAX] = {false};
    for (size_t i = net->n_layers; i-- > 0;) {
        struct node *n = &net->node[i];
        for (size_t j = 0; j < n->layer.n_inputs; j++) {
            n->add_in[j] = written[n->input[j]];
            written[n->input[j]] = true;
        }
    }
}

enum status net_finish(struct net *net, struct error *e)
{
    check(!net->finished);
    if (net->n_layers == 0 || net->value[net->n_values - 1].shape.steps > 0)
        return error_set(e, STATUS_ARGUMENT, "a network needs a last layer with flat output");
    for (size_t v = 0; v + 1 < net->n_values; v++)
        if (!net->value[v].used)
            return error_set(e, STATUS_ARGUMENT, "nothing uses %s %zu of the network",
                             v < net->n_inputs ? "input" : "layer", v < net->n_inputs ? v : v - net->n_inputs + 1);
    plan_scoring(net);
    plan_training(net);
    plan_gradients(net);
    net->finished = true;
    return STATUS_OK;
}

/* ---- asking ---------------------------------------------------------------------------------------------------- */

size_t net_n_params(const struct net *net) { return net->n_params; }
size_t net_n_inputs(const struct net *net) { return net->n_inputs; }
size_t net_n_layers(const struct net *net) { return net->n_layers; }
struct shape net_output(const struct net *net) { return net->value[net->n_values - 1].shape; }

struct shape net_input_shape(const struct net *net, size_t i_input)
{
    check(i_input < net->n_inputs);
    return net->value[i_input].shape;
}

struct shape net_value_shape(const struct net *net, size_t value)
{
    check(value < net->n_values);
    return net->value[value].shape;
}

const struct layer *net_layer(const struct net *net, size_t i_layer)
{
    check(i_layer < net->n_layers);
    return &net->node[i_layer].layer;
}

size_t net_layer_params(const struct net *net, size_t i_layer)
{
    check(i_layer < net->n_layers);
    return net->node[i_layer].params;
}

void net_init(const struct net *net, uint64_t seed, float *params)
{
    for (size_t i = 0; i < net->n_layers; i++) {
        const struct layer *l = &net->node[i].layer;
        struct rng r = rng_stream(seed, init_stream + i);
        if (l->kind->init)
            l->kind->init(l, &r, params + net->node[i].params);
    }
}
