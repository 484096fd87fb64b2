/* core/model/graph.c
 *
 * From a list of layers to a network: names and inputs are looked up, layers are put in order, and each one's members,
 * shape and size are checked. */
#include "core/model/graph.h"

#include <inttypes.h>
#include <string.h>

const char *const layer_kind_names[] = {"dense", "gru", "lstm", "dropout", "concatenate", "add", "mean_pool", "flatten",
                                        "attention", "layer_norm", "relu", NULL};
const char *const layer_activation_names[] = {"linear", "relu", NULL};

enum { NAME_BYTES_MAX = 64, HEADS_MAX = 64, KEY_DIM_MAX = 256, AT_HLF = LAYERS_MAX, AT_PARTICLES };

const struct field layer_spec_fields[] = {
    FIELD_STRING(struct layer_spec, name, .min = 1, .max = NAME_BYTES_MAX,
                 .doc = "how other layers call its value; without: kind and place, as dense_3"),
    FIELD_ENUM(struct layer_spec, kind, layer_kind_names, .required = true, .doc = "what it is"),
    FIELD_LIST_STRING(struct layer_spec, inputs, .max = LAYER_INPUTS_MAX,
                      .doc = "names of layers, hlf (the 14 scaled features) or particles (the sequence of them); "
                             "without: the layer before"),
    FIELD_I64(struct layer_spec, units, .min = 0, .max = HIDDEN_WIDTH_MAX, .def = 0,
              .doc = "dense, gru, lstm: numbers that it gives; the last dense may leave it out: number of classes"),
    FIELD_ENUM(struct layer_spec, activation, layer_activation_names, .def = LAYER_ACTIVATION_LINEAR,
               .doc = "dense: applied to each number"),
    FIELD_BOOL(struct layer_spec, reset_after, .def = 1,
               .doc = "gru: reset gate behind the recurrent product, with two biases, as in Keras"),
    FIELD_F64(struct layer_spec, rate, .min = 0, .max = 0.95, .def = 0,
              .doc = "dropout: part that is dropped while learning"),
    FIELD_I64(struct layer_spec, heads, .min = 0, .max = HEADS_MAX, .def = 0, .doc = "attention: number of heads"),
    FIELD_I64(struct layer_spec, key_dim, .min = 0, .max = KEY_DIM_MAX, .def = 0,
              .doc = "attention: numbers of a query, key or value in a head"),
    FIELD_F64(struct layer_spec, epsilon, .min = 0, .max = 1, .def = 0,
              .doc = "layer_norm: added to the variance; 0: 1e-6"),
    FIELD_END};

/* ---- what a kind has ------------------------------------------------------------------------------------------- */

enum { HAS_UNITS = 1, HAS_ACTIVATION = 2, HAS_RESET = 4, HAS_RATE = 8, HAS_HEADS = 16, HAS_EPSILON = 32 };
enum takes { TAKES_ANY, TAKES_SEQUENCE, TAKES_FLAT, TAKES_FLATS, TAKES_EQUALS };

static const struct kind {
    const char *net_kind;
    unsigned has;
    enum takes takes;
} kinds[] = {
    [LAYER_DENSE] = {"dense", HAS_UNITS | HAS_ACTIVATION, TAKES_ANY},
    [LAYER_GRU] = {"gru", HAS_UNITS | HAS_RESET, TAKES_SEQUENCE},
    [LAYER_LSTM] = {"lstm", HAS_UNITS, TAKES_SEQUENCE},
    [LAYER_DROPOUT] = {"dropout", HAS_RATE, TAKES_ANY},
    [LAYER_CONCATENATE] = {"concat", 0, TAKES_FLATS},
    [LAYER_ADD] = {"add", 0, TAKES_EQUALS},
    [LAYER_MEAN_POOL] = {"mean_pool", 0, TAKES_SEQUENCE},
    [LAYER_FLATTEN] = {"flatten", 0, TAKES_SEQUENCE},
    [LAYER_ATTENTION] = {"attention", HAS_HEADS, TAKES_SEQUENCE},
    [LAYER_NORM] = {"layer_norm", HAS_EPSILON, TAKES_ANY},
    [LAYER_RELU] = {"relu", 0, TAKES_ANY},
};

/* ---- a graph while it is looked at ----------------------------------------------------------------------------- */

struct graph {
    const struct layer_spec *layer;
    size_t n;
    const char *where;
    struct error *e;
    uint8_t input[LAYERS_MAX][LAYER_INPUTS_MAX];              /* layers, or AT_HLF, AT_PARTICLES */
    bool taken[LAYERS_MAX];
    uint8_t order[LAYERS_MAX];
};

static const char *input_name(const struct layer_spec *l, size_t j)
{
    return ((const char *const *)l->inputs.items)[j];
}

static enum status wrong(const struct graph *g, size_t i, const char *member, enum status s, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
static enum status wrong(const struct graph *g, size_t i, const char *member, enum status s, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return error_set(g->e, s, "%s/%zu%s%s: layer '%s' (%s) %s", g->where, i, member ? "/" : "", member ? member : "",
                     g->layer[i].name, layer_kind_names[g->layer[i].kind], text);
}

static enum status check_has(const struct graph *g, size_t i, const char *member, bool has, bool given, bool needed)
{
    if (given && !has)
        return wrong(g, i, member, STATUS_ARGUMENT, "has no such member: leave it out");
    return has && needed && !given ? wrong(g, i, member, STATUS_ARGUMENT, "needs it: 1 or more") : STATUS_OK;
}

static enum status check_members(const struct graph *g, size_t i)
{
    const struct layer_spec *l = &g->layer[i];
    unsigned has = kinds[l->kind].has;
    TRY(check_has(g, i, "units", has & HAS_UNITS, l->units != 0, l->kind != LAYER_DENSE));
    TRY(check_has(g, i, "activation", has & HAS_ACTIVATION, l->activation != 0, false));
    TRY(check_has(g, i, "reset_after", has & HAS_RESET, !l->reset_after, false));
    TRY(check_has(g, i, "rate", has & HAS_RATE, l->rate != 0, false));
    TRY(check_has(g, i, "heads", has & HAS_HEADS, l->heads != 0, true));
    TRY(check_has(g, i, "key_dim", has & HAS_HEADS, l->key_dim != 0, true));
    TRY(check_has(g, i, "epsilon", has & HAS_EPSILON, l->epsilon != 0, false));
    if (kinds[l->kind].has & HAS_UNITS && l->kind != LAYER_DENSE && l->units > RECURRENT_WIDTH_MAX)
        return wrong(g, i, "units", STATUS_RANGE, "has %" PRId64 ", at most %d", l->units, RECURRENT_WIDTH_MAX);
    return STATUS_OK;
}

static int place_of(const struct graph *g, const char *name)
{
    if (strcmp(name, "hlf") == 0)
        return AT_HLF;
    if (strcmp(name, "particles") == 0)
        return AT_PARTICLES;
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->layer[i].name, name) == 0)
            return (int)i;
    return -1;
}

static enum status check_name(const struct graph *g, size_t i)
{
    const char *name = g->layer[i].name;
    if (!*name || strlen(name) > NAME_BYTES_MAX || !text_is_clean(name, strlen(name)))
        return error_set(g->e, STATUS_ARGUMENT, "%s/%zu/name: must have 1 to %d clean bytes", g->where, i,
                         NAME_BYTES_MAX);
    int first = place_of(g, name);
    if (first >= LAYERS_MAX)
        return wrong(g, i, "name", STATUS_ARGUMENT, "cannot have this name: it is an input's");
    return (size_t)first == i ? STATUS_OK : wrong(g, i, "name", STATUS_ARGUMENT, "has the name of layer %d", first);
}

static enum status find_inputs(struct graph *g, size_t i)
{
    const struct layer_spec *l = &g->layer[i];
    if (l->inputs.n_items == 0 || l->inputs.n_items > LAYER_INPUTS_MAX)
        return wrong(g, i, "inputs", STATUS_ARGUMENT, "has %zu inputs, must have 1 to %d: names of layers, hlf or "
                     "particles", l->inputs.n_items, LAYER_INPUTS_MAX);
    for (size_t j = 0; j < l->inputs.n_items; j++) {
        char member[32];
        int place = place_of(g, input_name(l, j));
        snprintf(member, sizeof member, "inputs/%zu", j);
        if (place < 0)
            return wrong(g, i, member, STATUS_ARGUMENT, "takes '%.64s', and there is no such layer; the inputs are hlf "
                         "and particles", input_name(l, j));
        g->input[i][j] = (uint8_t)place;
        if (place < LAYERS_MAX)
            g->taken[place] = true;
    }
    return STATUS_OK;
}

/* ---- order ----------------------------------------------------------------------------------------------------- */

/* Follows inputs that are not placed from layer i on until one comes again: the ring is named. */
static enum status tell_ring(const struct graph *g, const bool *placed, size_t i)
{
    char ring[256] = "";
    bool seen[LAYERS_MAX] = {false};
    size_t at = i, len = 0, first;
    for (int round = 0; round < 2; round++) {                 /* first to get into the ring, then around it */
        memset(seen, 0, sizeof seen);
        len = 0;
        first = at;
        while (!seen[at]) {
            seen[at] = true;
            int n = snprintf(ring + len, sizeof ring - len, "%s'%.24s'", len ? " takes " : "", g->layer[at].name);
            len = len + (size_t)n < sizeof ring ? len + (size_t)n : sizeof ring - 1;
            size_t j = 0;
            while (g->input[at][j] >= LAYERS_MAX || placed[g->input[at][j]])
                j++;
            at = g->input[at][j];
        }
    }
    return wrong(g, first, "inputs", STATUS_ARGUMENT, "is part of a cycle: %s takes '%s'", ring, g->layer[first].name);
}

/* Each time the first layer whose inputs are all there. */
static enum status put_in_order(struct graph *g)
{
    bool placed[LAYERS_MAX] = {false};
    for (size_t n_placed = 0; n_placed < g->n; n_placed++) {
        size_t i = 0;
        for (; i < g->n; i++) {
            bool ready = !placed[i];
            for (size_t j = 0; ready && j < g->layer[i].inputs.n_items; j++)
                ready = g->input[i][j] >= LAYERS_MAX || placed[g->input[i][j]];
            if (ready)
                break;
        }
        if (i == g->n) {
            for (i = 0; placed[i]; i++)
                continue;
            return tell_ring(g, placed, i);
        }
        placed[i] = true;
        g->order[n_placed] = (uint8_t)i;
    }
    return STATUS_OK;
}

static enum status check_ends(const struct graph *g, size_t n_classes)
{
    size_t end = g->n;
    for (size_t i = 0; i < g->n; i++) {
        if (g->taken[i])
            continue;
        if (end < g->n)
            return wrong(g, i, NULL, STATUS_ARGUMENT, "ends loose, as '%s' does: one layer gives the result, all "
                         "others must be somebody's input", g->layer[end].name);
        end = i;
    }
    const struct layer_spec *l = &g->layer[end];
    if (l->kind == LAYER_DENSE && l->units != 0 && (uint64_t)l->units != n_classes)
        return wrong(g, end, "units", STATUS_ARGUMENT, "is the last one and gives %" PRId64 " numbers, but there are "
                     "%zu classes; without units it follows their number", l->units, n_classes);
    if (l->kind != LAYER_DENSE || l->activation != LAYER_ACTIVATION_LINEAR)
        return wrong(g, end, NULL, STATUS_ARGUMENT, "is the last one: it must be dense and linear, a number for each "
                     "class (the softmax is implied)");
    for (size_t i = 0; i < g->n; i++)
        if (g->layer[i].kind == LAYER_DENSE && g->layer[i].units == 0 && i != end)
            return wrong(g, i, "units", STATUS_ARGUMENT, "needs it: 1 or more");
    return STATUS_OK;
}

static enum status look(struct graph *g, size_t n_classes)
{
    for (size_t i = 0; i < g->n; i++)
        TRY(check_name(g, i));
    for (size_t i = 0; i < g->n; i++) {
        TRY(check_members(g, i));
        TRY(find_inputs(g, i));
    }
    TRY(put_in_order(g));
    return check_ends(g, n_classes);
}

/* ---- completing ------------------------------------------------------------------------------------------------ */

static enum status no_memory(const char *where, struct error *e)
{
    return error_set(e, STATUS_NOMEM, "%s: no memory for the layers", where);
}

/* A copy with names and inputs; texts stay those of `list`, or are from `a`. */
static enum status complete(struct arena *a, const struct field_list *list, const char *where, struct layer_spec *out,
                            struct error *e)
{
    memcpy(out, list->items, list->n_items * sizeof *out);
    for (size_t i = 0; i < list->n_items; i++) {
        check(out[i].kind >= 0 && (size_t)out[i].kind < ARRAY_LEN(kinds));
        if (!out[i].name)
            out[i].name = arena_printf(a, "%s_%zu", layer_kind_names[out[i].kind], i);
        if (!out[i].name)
            return no_memory(where, e);
        if (out[i].inputs.n_items > 0)
            continue;
        if (i == 0)
            return error_set(e, STATUS_ARGUMENT, "%s/0/inputs: the first layer must say what it reads: hlf or "
                             "particles", where);
        const char **before = ARENA_NEW(a, const char *, 1);
        if (!before)
            return no_memory(where, e);
        *before = out[i - 1].name;
        out[i].inputs = (struct field_list){before, 1};
    }
    return STATUS_OK;
}

/* ---- the network ----------------------------------------------------------------------------------------------- */

int graph_input(const struct field_list *list)
{
    int input = 0;
    const struct layer_spec *layer = list->items;
    for (size_t i = 0; i < list->n_items; i++)
        for (size_t j = 0; j < layer[i].inputs.n_items; j++) {
            if (strcmp(input_name(&layer[i], j), "hlf") == 0)
                input |= INPUT_HLF;
            if (strcmp(input_name(&layer[i], j), "particles") == 0)
                input |= INPUT_SEQUENCE;
        }
    return input;
}

static bool is_taken(const struct field_list *list, size_t i)
{
    const struct layer_spec *layer = list->items;
    for (size_t k = 0; k < list->n_items; k++)
        for (size_t j = 0; j < layer[k].inputs.n_items; j++)
            if (layer[i].name && strcmp(input_name(&layer[k], j), layer[i].name) == 0)
                return true;
    return i + 1 < list->n_items && layer[i + 1].inputs.n_items == 0;
}

size_t graph_classes(const struct field_list *list)
{
    const struct layer_spec *layer = list->items;
    size_t n = 0;
    for (size_t i = 0; i < list->n_items; i++)
        if (layer[i].kind == LAYER_DENSE && layer[i].units > 0 && !is_taken(list, i))
            n = (size_t)layer[i].units;
    return n;
}

static const char *shape_text(struct shape s) { return s.steps ? "a sequence" : "flat"; }

static enum status check_shapes(const struct graph *g, size_t i, const struct shape *in)
{
    const struct layer_spec *l = &g->layer[i];
    enum takes takes = kinds[l->kind].takes;
    if (takes != TAKES_FLATS && takes != TAKES_EQUALS && l->inputs.n_items > 1)
        return wrong(g, i, "inputs", STATUS_ARGUMENT, "takes one input, not %zu: join them with concatenate or add",
                     l->inputs.n_items);
    for (size_t j = 0; j < l->inputs.n_items; j++) {
        if (takes == TAKES_SEQUENCE && in[j].steps == 0)
            return wrong(g, i, "inputs", STATUS_ARGUMENT, "takes a sequence, and '%s' is flat", input_name(l, j));
        if (takes == TAKES_FLATS && in[j].steps > 0)
            return wrong(g, i, "inputs", STATUS_ARGUMENT, "takes flat values, and '%s' is a sequence: put gru, lstm, "
                         "mean_pool or flatten between", input_name(l, j));
        if (takes == TAKES_EQUALS && !shape_equal(in[j], in[0]))
            return wrong(g, i, "inputs", STATUS_ARGUMENT, "adds equal shapes, but '%s' is %s of %zu and '%s' %s of %zu",
                         input_name(l, 0), shape_text(in[0]), in[0].features, input_name(l, j), shape_text(in[j]),
                         in[j].features);
    }
    return STATUS_OK;
}

static enum status add_layer(const struct graph *g, size_t i, struct net *net, const size_t *value_of, size_t *value)
{
    const struct layer_spec *l = &g->layer[i];
    union {
        struct dense_config dense;
        struct gru_config gru;
        struct lstm_config lstm;
        struct dropout_config dropout;
        struct attention_config attention;
        struct layer_norm_config layer_norm;
    } config;
    size_t in[LAYER_INPUTS_MAX];
    struct shape shape[LAYER_INPUTS_MAX];
    for (size_t j = 0; j < l->inputs.n_items; j++) {
        in[j] = value_of[g->input[i][j]];
        shape[j] = net_value_shape(net, in[j]);
    }
    TRY(check_shapes(g, i, shape));
    memset(&config, 0, sizeof config);
    switch (l->kind) {
    case LAYER_DENSE:
        config.dense = (struct dense_config){
            l->units, l->activation == LAYER_ACTIVATION_RELU ? ACTIVATION_RELU : ACTIVATION_LINEAR};
        break;
    case LAYER_GRU: config.gru = (struct gru_config){l->units, !l->reset_after}; break;
    case LAYER_LSTM: config.lstm = (struct lstm_config){l->units}; break;
    case LAYER_DROPOUT: config.dropout = (struct dropout_config){l->rate}; break;
    case LAYER_ATTENTION: config.attention = (struct attention_config){l->heads, l->key_dim}; break;
    case LAYER_NORM: config.layer_norm = (struct layer_norm_config){l->epsilon}; break;
    default: break;
    }
    if (net_add(net, kinds[l->kind].net_kind, &config, in, l->inputs.n_items, value, g->e) != STATUS_OK)
        return error_wrap(g->e, "%s/%zu: layer '%s'", g->where, i, l->name);
    return STATUS_OK;
}

static enum status check_size(const struct graph *g, const struct net *net, bool sequences)
{
    size_t row = pass_work_size(net, 16, true) / 16, alone = pass_work_size(net, 1, false);
    if (net_n_params(net) > GRAPH_PARAMS_MAX)
        return error_set(g->e, STATUS_RANGE, "%s: the network has %zu parameters, at most %d: make layers narrower",
                         g->where, net_n_params(net), GRAPH_PARAMS_MAX);
    if (row > GRAPH_NUMBERS_MAX)
        return error_set(g->e, STATUS_RANGE, "%s: an event needs %zu numbers of working memory, at most %d: make "
                         "layers narrower or fewer", g->where, row, GRAPH_NUMBERS_MAX);
    if (!sequences && alone > GRAPH_FLAT_NUMBERS_MAX)
        return error_set(g->e, STATUS_RANGE, "%s: scoring an event needs %zu numbers of working memory, at most %d "
                         "where no particles are read: make layers narrower or branches fewer", g->where, alone,
                         GRAPH_FLAT_NUMBERS_MAX);
    return STATUS_OK;
}

static enum status build(const struct graph *g, struct net *net)
{
    size_t value_of[AT_PARTICLES + 1] = {0}, last = g->order[g->n - 1];
    struct field_list list = {(void *)(uintptr_t)g->layer, g->n};
    int input = graph_input(&list);
    if (input & INPUT_HLF)
        TRY(net_input(net, (struct shape){HLF_COUNT, 0}, &value_of[AT_HLF], g->e));
    if (input & INPUT_SEQUENCE)
        TRY(net_input(net, (struct shape){PARTICLE_COLUMNS, PARTICLE_ROWS_MAX}, &value_of[AT_PARTICLES], g->e));
    for (size_t k = 0; k < g->n; k++)
        TRY(add_layer(g, g->order[k], net, value_of, &value_of[g->order[k]]));
    if (net_value_shape(net, value_of[last]).steps > 0)
        return wrong(g, last, "inputs", STATUS_ARGUMENT, "is the last one, and gives a sequence: put gru, lstm, "
                     "mean_pool or flatten before it");
    TRY(net_finish(net, g->e));
    return check_size(g, net, input & INPUT_SEQUENCE);
}

static enum status build_new(const struct graph *g, struct net **out)
{
    TRY(net_create(out, g->e));
    enum status s = build(g, *out);
    if (s == STATUS_OK)
        return s;
    net_destroy(*out);
    *out = NULL;
    return s;
}

enum status graph_build(struct arena *a, const struct field_list *list, size_t n_classes, const char *where,
                        struct field_list *resolved, struct net **net, struct error *e)
{
    size_t n = list->n_items;
    *net = NULL;
    if (n == 0 || n > LAYERS_MAX)
        return error_set(e, STATUS_RANGE, "%s: %zu layers, must be 1 to %d", where, n, LAYERS_MAX);
    struct layer_spec *layer = ARENA_NEW(a, struct layer_spec, n), *ordered = ARENA_NEW(a, struct layer_spec, n);
    if (!layer || !ordered)
        return no_memory(where, e);
    TRY(complete(a, list, where, layer, e));
    struct graph g = {.layer = layer, .n = n, .where = where, .e = e};
    TRY(look(&g, n_classes));
    for (size_t i = 0; i < n; i++) {
        if (layer[i].kind == LAYER_DENSE && layer[i].units == 0)
            layer[i].units = (int64_t)n_classes;
        if (layer[i].kind == LAYER_NORM && layer[i].epsilon == 0)
            layer[i].epsilon = 1e-6;
    }
    for (size_t k = 0; k < n; k++)
        ordered[k] = layer[g.order[k]];
    *resolved = (struct field_list){ordered, n};
    return build_new(&g, net);
}
