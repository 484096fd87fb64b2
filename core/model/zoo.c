/* core/model/zoo.c
 *
 * The estimators: networks of the papers as lists of layers, with places that the parameters of a fit fill in. */
#include "core/model/estimator.h"

#include "core/model/graph.h"
#include "core/model/tree_fit.h"

#include <string.h>

const char *const estimator_names[] = {"hlf", "sequence", "inclusive", "inclusive-lstm", "inclusive-transformer",
                                       "random-forest", "gradient-boosting", NULL};

enum {
    FROM_UNITS = -1,                   /* units: those of the parameters */
    FROM_DROPOUT = -1,                 /* rate: dropout of the parameters */
    HIDDEN_HERE = -1                   /* kind: dense layers with relu, as many as the parameters' hidden has */
};

#define TAKES(...) .inputs = {(void *)(uintptr_t)(const char *const[]){__VA_ARGS__}, \
                              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)}
#define LAYER(name_, kind_, ...) {.name = (name_), .kind = (kind_), .reset_after = true, __VA_ARGS__}
#define HIDDEN {.kind = HIDDEN_HERE}
#define CLASSES LAYER("classes", LAYER_DENSE)

static const struct layer_spec hlf_layers[] = {
    HIDDEN, CLASSES,
};
static const struct layer_spec sequence_layers[] = {
    LAYER("gru", LAYER_GRU, .units = FROM_UNITS, TAKES("particles")),
    LAYER("gru_dropout", LAYER_DROPOUT, .rate = FROM_DROPOUT),
    HIDDEN, CLASSES,
};
/* The state first, then the features, as in the published models. */
static const struct layer_spec inclusive_layers[] = {
    LAYER("gru", LAYER_GRU, .units = FROM_UNITS, TAKES("particles")),
    LAYER("gru_dropout", LAYER_DROPOUT, .rate = FROM_DROPOUT),
    LAYER("hlf_dropout", LAYER_DROPOUT, .rate = FROM_DROPOUT, TAKES("hlf")),
    LAYER("joined", LAYER_CONCATENATE, TAKES("gru_dropout", "hlf_dropout")),
    HIDDEN, CLASSES,
};
static const struct layer_spec lstm_layers[] = {
    LAYER("lstm", LAYER_LSTM, .units = FROM_UNITS, TAKES("particles")),
    LAYER("lstm_dropout", LAYER_DROPOUT, .rate = FROM_DROPOUT),
    LAYER("hlf_dropout", LAYER_DROPOUT, .rate = FROM_DROPOUT, TAKES("hlf")),
    LAYER("joined", LAYER_CONCATENATE, TAKES("lstm_dropout", "hlf_dropout")),
    HIDDEN, CLASSES,
};
/* The published one has no residual connections and no masking; here steps beyond an event's length are masked. */
static const struct layer_spec transformer_layers[] = {
    LAYER("attention", LAYER_ATTENTION, .heads = 8, .key_dim = 19, TAKES("particles")),
    LAYER("norm", LAYER_NORM, .epsilon = 1e-6),
    LAYER("norm_dropout", LAYER_DROPOUT, .rate = FROM_DROPOUT),
    LAYER("particle_dense", LAYER_DENSE, .units = 20, .activation = LAYER_ACTIVATION_RELU),
    LAYER("flat", LAYER_FLATTEN),
    LAYER("flat_dense", LAYER_DENSE, .units = 10, .activation = LAYER_ACTIVATION_RELU),
    LAYER("hlf_dropout", LAYER_DROPOUT, .rate = FROM_DROPOUT, TAKES("hlf")),
    LAYER("joined", LAYER_CONCATENATE, TAKES("flat_dense", "hlf_dropout")),
    HIDDEN, CLASSES,
};

static const int64_t hlf_hidden[] = {50, 20, 10}, inclusive_hidden[] = {25};

#define LIST_OF(array) (array), ARRAY_LEN(array)
static const struct estimator estimators[] = {
    {"hlf", "dense layers over the 14 high-level features", INPUT_HLF, LIST_OF(hlf_layers), LIST_OF(hlf_hidden), TREES_NONE},
    {"sequence", "GRU over the particles", INPUT_SEQUENCE, LIST_OF(sequence_layers), NULL, 0, TREES_NONE},
    {"inclusive", "GRU over the particles, joined with the high-level features", INPUT_BOTH, LIST_OF(inclusive_layers),
     LIST_OF(inclusive_hidden), TREES_NONE},
    {"inclusive-lstm", "LSTM over the particles, joined with the high-level features", INPUT_BOTH, LIST_OF(lstm_layers),
     LIST_OF(inclusive_hidden), TREES_NONE},
    {"inclusive-transformer", "self-attention over the particles, joined with the high-level features", INPUT_BOTH,
     LIST_OF(transformer_layers), LIST_OF(inclusive_hidden), TREES_NONE},
    {.name = "random-forest", .doc = "trees of rows drawn anew for each, averaged; over the 14 high-level features",
     .input = INPUT_HLF, .trees = TREES_AVERAGED},
    {.name = "gradient-boosting", .doc = "trees that correct each other; over the 14 high-level features",
     .input = INPUT_HLF, .trees = TREES_BOOSTED},
};

const struct estimator *estimator_get(const struct train_params *p)
{
    check(p->model >= 0 && (size_t)p->model < ARRAY_LEN(estimators));
    check(strcmp(estimators[p->model].name, estimator_names[p->model]) == 0);
    return &estimators[p->model];
}

enum model_input estimator_input(const struct train_params *p)
{
    return p->layers.n_items ? (enum model_input)graph_input(&p->layers) : estimator_get(p)->input;
}

/* The estimator's own layers with the parameters' numbers. */
static enum status fill_in(struct arena *a, const struct train_params *p, struct field_list *out, struct error *e)
{
    const struct estimator *estimator = estimator_get(p);
    bool own = p->hidden.n_items == 0;
    const int64_t *hidden = own ? estimator->hidden : p->hidden.items;
    size_t n_hidden = own ? estimator->n_hidden : p->hidden.n_items, n = 0;
    struct layer_spec *layer = ARENA_NEW(a, struct layer_spec, estimator->n_layers + n_hidden);
    if (!layer)
        return error_set(e, STATUS_NOMEM, "no memory for the layers");
    for (size_t i = 0; i < estimator->n_layers; i++) {
        const struct layer_spec *from = &estimator->layers[i];
        if (from->kind != HIDDEN_HERE) {
            layer[n] = *from;
            layer[n].units = from->units == FROM_UNITS ? p->units : from->units;
            layer[n].rate = from->rate < 0 ? p->dropout : from->rate;
            n++;
            continue;
        }
        for (size_t j = 0; j < n_hidden; j++, n++) {
            const char *name = arena_printf(a, "hidden_%zu", j + 1);
            if (!name)
                return error_set(e, STATUS_NOMEM, "no memory for the layers");
            layer[n] = (struct layer_spec)LAYER(name, LAYER_DENSE, .units = hidden[j],
                                                .activation = LAYER_ACTIVATION_RELU);
        }
    }
    if (n > 0 && layer[0].inputs.n_items == 0) {
        static const char *const features[] = {"hlf"};
        layer[0].inputs = (struct field_list){(void *)(uintptr_t)features, 1};
    }
    *out = (struct field_list){layer, n};
    return STATUS_OK;
}

static enum status network_of(struct arena *a, const struct train_params *p, size_t n_classes, const char *where,
                              struct field_list *resolved, struct net **net, struct error *e)
{
    struct field_list list = p->layers;
    char path[256];
    *net = NULL;
    if (tree_estimator(p))
        return error_set(e, STATUS_UNSUPPORTED, "%s is made of trees, there is no network", estimator_get(p)->name);
    snprintf(path, sizeof path, "%s/layers", where);
    if (list.n_items == 0) {
        TRY(fill_in(a, p, &list, e));
        snprintf(path, sizeof path, "%s: layers of %s", where, estimator_get(p)->name);
    }
    return graph_build(a, &list, n_classes, path, resolved, net, e);
}

enum status estimator_network(const struct train_params *p, size_t n_classes, struct net **out, struct error *e)
{
    struct arena a;
    struct field_list resolved;
    arena_init(&a, ESTIMATOR_SCRATCH_MAX);
    enum status s = network_of(&a, p, n_classes, "/params", &resolved, out, e);
    arena_fini(&a);
    return s;
}

enum status estimator_resolve(struct arena *a, struct train_params *p, size_t n_classes, struct error *e)
{
    struct arena scratch;
    struct net *net;
    struct train_params resolved = *p;
    if (tree_estimator(p)) {
        tree_params_resolve(p);
        return STATUS_OK;
    }
    arena_init(&scratch, ESTIMATOR_SCRATCH_MAX);
    enum status s = network_of(&scratch, p, n_classes, "/params", &resolved.layers, &net, e);
    net_destroy(net);
    if (s == STATUS_OK)
        s = field_copy(a, train_params_fields, &resolved, p, e);
    arena_fini(&scratch);
    return s;
}

/* Classes are not known here: so many as the last layer gives, or three. */
enum status estimator_check(const struct train_params *p, const char *where, struct error *e)
{
    struct arena a;
    struct field_list resolved;
    struct net *net;
    size_t n_classes = graph_classes(&p->layers);
    if (tree_estimator(p))
        return tree_params_check(p, where, e);
    arena_init(&a, ESTIMATOR_SCRATCH_MAX);
    enum status s = network_of(&a, p, n_classes ? n_classes : 3, where, &resolved, &net, e);
    net_destroy(net);
    arena_fini(&a);
    return s;
}
