/* core/model/keras_config.c
 *
 * The graph of a Keras model, of a Sequential or a functional one: who takes whom, and which output is the model's. */
#include "core/model/keras_reading.h"

#include <string.h>

/* ---- who takes whom ---------------------------------------------------------------------------------------------- */

static enum status take_named(struct reading *r, const char *name, bool as_mask)
{
    const struct value *v = name ? keras_value(r, name) : NULL;
    if (!v)
        return keras_refuse(r, STATUS_FORMAT, "takes '%.64s', which no layer before it makes", name ? name : "");
    if (as_mask) {
        r->masks |= v->kind == VALUE_MASK;
        return v->kind == VALUE_MASK ? STATUS_OK
                                     : keras_refuse(r, STATUS_UNSUPPORTED, "has a mask that is not Masking's");
    }
    if (r->n_in == LAYER_INPUTS_MAX)
        return keras_refuse(r, STATUS_UNSUPPORTED, "takes more than %d values", LAYER_INPUTS_MAX);
    r->in[r->n_in++] = v;
    return STATUS_OK;
}

/* The layer whose output a tensor of Keras 3 is; NULL for what is no tensor. */
static const char *tensor_of(const struct document *d)
{
    if (strcmp(document_text(document_get(d, "class_name"), ""), "__keras_tensor__") != 0)
        return NULL;
    return document_text(document_at(document_get(document_get(d, "config"), "keras_history"), 0), "");
}

static enum status take_argument(struct reading *r, const struct document *d, int depth)
{
    const char *name = tensor_of(d);
    if (name)
        return take_named(r, name, false);
    if (d->kind == DOCUMENT_LIST && depth == 0) {
        for (const struct document *item = d->first; item; item = item->next)
            TRY(take_argument(r, item, 1));
        return STATUS_OK;
    }
    /* The only number that is passed so is the 0 of not_equal. */
    if (document_is_null(d) || (d->kind == DOCUMENT_NUMBER && d->number == 0))
        return STATUS_OK;
    return keras_refuse(r, STATUS_UNSUPPORTED, "is called with arguments that are not values of layers");
}

static enum status take_keyword(struct reading *r, const struct document *d)
{
    const char *name = tensor_of(d);
    bool value = strcmp(d->name, "value") == 0 || strcmp(d->name, "key") == 0 || strcmp(d->name, "query") == 0;
    if (name)
        return take_named(r, name, !value);
    if (value && d->kind == DOCUMENT_LIST) /* Keras 2: ["layer", 0, 0] */
        return take_named(r, document_text(document_at(d, 0), NULL), false);
    if (document_is_null(d) || d->kind == DOCUMENT_BOOL)
        return d->kind == DOCUMENT_BOOL && d->number != 0
                   ? keras_refuse(r, STATUS_UNSUPPORTED, "is called with %.40s", d->name)
                   : STATUS_OK;
    return keras_refuse(r, STATUS_UNSUPPORTED, "is called with %.40s", d->name);
}

static enum status take_keywords(struct reading *r, const struct document *kwargs)
{
    for (const struct document *d = kwargs && kwargs->kind == DOCUMENT_OBJECT ? kwargs->first : NULL; d; d = d->next)
        TRY(take_keyword(r, d));
    return STATUS_OK;
}

/* inbound_nodes: of Keras 3 [{"args": [...], "kwargs": {...}}], of Keras 2 [[["layer", 0, 0, {}], ...]]. */
static enum status take_inputs(struct reading *r, const struct document *nodes)
{
    const struct document *node = document_at(nodes, 0);
    if (document_count(nodes) > 1)
        return keras_refuse(r, STATUS_UNSUPPORTED, "is used %zu times: shared layers are not supported",
                            document_count(nodes));
    if (node && node->kind == DOCUMENT_OBJECT) {
        const struct document *args = document_get(node, "args");
        for (const struct document *d = args && args->kind == DOCUMENT_LIST ? args->first : NULL; d; d = d->next)
            TRY(take_argument(r, d, 0));
        return take_keywords(r, document_get(node, "kwargs"));
    }
    for (size_t i = 0; i < document_count(node); i++) {
        const struct document *call = document_at(node, i);
        TRY(take_named(r, document_text(document_at(call, 0), NULL), false));
        TRY(take_keywords(r, document_at(call, 3)));
    }
    return STATUS_OK;
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static enum status begin_layer(struct reading *r, const struct document *layer)
{
    r->config = document_get(layer, "config");
    r->class_name = document_text(document_get(layer, "class_name"), "");
    r->name = document_text(document_get(layer, "name"), document_text(document_get(r->config, "name"), ""));
    r->n_in = 0;
    r->masks = false;
    if (!*r->name || !*r->class_name || !r->config)
        return error_set(r->e, STATUS_FORMAT, "a layer without name, class or configuration");
    return keras_value(r, r->name) ? keras_refuse(r, STATUS_FORMAT, "has the name of another one") : STATUS_OK;
}

static enum status read_functional(struct reading *r, const struct document *config)
{
    const struct document *layers = document_get(config, "layers"), *outputs = document_get(config, "output_layers");
    for (const struct document *d = layers && layers->kind == DOCUMENT_LIST ? layers->first : NULL; d; d = d->next) {
        TRY(begin_layer(r, d));
        TRY(take_inputs(r, document_get(d, "inbound_nodes")));
        if (r->n_in == 0 && strcmp(r->class_name, "InputLayer") != 0)
            return keras_refuse(r, STATUS_FORMAT, "takes nothing");
        TRY(keras_layer(r));
    }
    /* [["dense", 0, 0]], or of a single output ["dense", 0, 0]. */
    const struct document *first = document_at(outputs, 0);
    if (first && first->kind == DOCUMENT_LIST && document_count(outputs) > 1)
        return error_set(r->e, STATUS_UNSUPPORTED, "a model with %zu outputs: only one", document_count(outputs));
    const char *name = document_text(first, document_text(document_at(first, 0), ""));
    const struct value *v = keras_value(r, name);
    if (!v || v->kind != VALUE_PROBABILITIES)
        return error_set(r->e, STATUS_UNSUPPORTED,
                         "output '%.64s' is not softmax: probabilities of the classes are needed", name);
    return STATUS_OK;
}

/* The first layer of a Sequential may say itself what it reads. */
static enum status input_of_first(struct reading *r, const struct document *layer)
{
    if (r->n_values > 0 || strcmp(document_text(document_get(layer, "class_name"), ""), "InputLayer") == 0)
        return STATUS_OK;
    TRY(begin_layer(r, layer));
    r->name = "input of the first layer";
    return keras_input(r);
}

static enum status read_sequential(struct reading *r, const struct document *config)
{
    const struct document *layers = config && config->kind == DOCUMENT_LIST ? config : document_get(config, "layers");
    for (const struct document *d = layers && layers->kind == DOCUMENT_LIST ? layers->first : NULL; d; d = d->next) {
        TRY(input_of_first(r, d));
        TRY(begin_layer(r, d));
        if (r->n_values > 0)
            r->in[r->n_in++] = &r->value[r->n_values - 1];
        TRY(keras_layer(r));
    }
    if (r->n_values == 0 || r->value[r->n_values - 1].kind != VALUE_PROBABILITIES)
        return error_set(r->e, STATUS_UNSUPPORTED,
                         "the last layer is not softmax: probabilities of the classes are needed");
    return STATUS_OK;
}

enum status keras_config(struct arena *a, const struct document *config, struct keras_network *out, struct error *e)
{
    const char *class_name = document_text(document_get(config, "class_name"), "");
    struct reading *r = ARENA_NEW(a, struct reading, 1);
    *out = (struct keras_network){.n = 0};
    if (!r)
        return error_set(e, STATUS_NOMEM, "no memory for layers");
    r->a = a;
    r->out = out;
    r->e = e;
    config = document_get(config, "config");
    if (strcmp(class_name, "Sequential") == 0)
        TRY(read_sequential(r, config));
    else if (strcmp(class_name, "Functional") == 0 || strcmp(class_name, "Model") == 0)
        TRY(read_functional(r, config));
    else
        return error_set(e, STATUS_UNSUPPORTED,
                         "a model of class '%.60s': Sequential and functional models are supported", class_name);
    return out->n > 0 ? STATUS_OK : error_set(e, STATUS_FORMAT, "a model without layers");
}
