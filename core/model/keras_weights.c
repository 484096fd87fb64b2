/* core/model/keras_weights.c
 *
 * Weights of Keras layers as our parameters: both keep them in the same order and layout, so that what is done here is
 * finding them and checking every shape. */
#include "core/model/keras.h"

#include <inttypes.h>
#include <string.h>

enum { WEIGHTS_MAX = 8 };

/* A weight as it must be. */
struct wanted {
    const char *role, *group; /* group: below the layer's, in a .keras file; "" its own */
    size_t rank;
    uint64_t dims[3];
    float otherwise; /* when `absent`: the layer was built without it */
    bool absent;
};

static size_t count_of(const struct wanted *w)
{
    size_t n = 1;
    for (size_t i = 0; i < w->rank; i++)
        n *= (size_t)w->dims[i];
    return n;
}

/* In the order of our parameters, and of Keras. */
static size_t list_wanted(const struct layer_spec *l, const struct layer *net_layer, const struct keras_origin *o,
                          struct wanted *w)
{
    uint64_t in = net_layer->in[0].features, units = (uint64_t)l->units;
    uint64_t heads = (uint64_t)l->heads, dim = (uint64_t)l->key_dim;
    uint64_t width = (l->kind == LAYER_GRU ? 3 : 4) * units;
    size_t n = 0;
    switch ((enum layer_spec_kind)l->kind) {
    case LAYER_DENSE:
        w[n++] = (struct wanted){"kernel", "", 2, {in, units}, 0, false};
        w[n++] = (struct wanted){"bias", "", 1, {units}, 0, o->no_bias};
        break;
    case LAYER_GRU:
    case LAYER_LSTM:
        w[n++] = (struct wanted){"kernel", "cell/", 2, {in, width}, 0, false};
        w[n++] = (struct wanted){"recurrent_kernel", "cell/", 2, {units, width}, 0, false};
        if (l->kind == LAYER_GRU && l->reset_after)
            w[n++] = (struct wanted){"bias", "cell/", 2, {2, width}, 0, o->no_bias};
        else
            w[n++] = (struct wanted){"bias", "cell/", 1, {width}, 0, o->no_bias};
        break;
    case LAYER_NORM:
        w[n++] = (struct wanted){"gamma", "", 1, {in}, 1, o->no_gamma};
        w[n++] = (struct wanted){"beta", "", 1, {in}, 0, o->no_beta};
        break;
    case LAYER_ATTENTION: {
        static const char *const part[] = {"query", "key", "value"};
        static const char *const group[] = {"query_dense/", "key_dense/", "value_dense/"};
        for (size_t i = 0; i < ARRAY_LEN(part); i++) {
            w[n++] = (struct wanted){part[i], group[i], 3, {in, heads, dim}, 0, false};
            w[n++] = (struct wanted){part[i], group[i], 2, {heads, dim}, 0, o->no_bias};
        }
        w[n++] = (struct wanted){"attention_output", "output_dense/", 3, {heads, dim, in}, 0, false};
        w[n++] = (struct wanted){"attention_output", "output_dense/", 1, {in}, 0, o->no_bias};
        break;
    }
    default:
        break;
    }
    return n;
}

struct place {
    struct arena *a;
    hdf5_id root;
    bool zip;
    const struct keras_origin *origin;
    struct error *e;
};

static enum status take_array(const struct place *p, hdf5_id dataset, const struct wanted *w, float *out)
{
    struct hdf5_array array;
    TRY(hdf5_array(p->a, dataset, &array, p->e));
    bool same = array.rank == w->rank;
    for (size_t i = 0; same && i < w->rank; i++)
        same = array.dims[i] == w->dims[i];
    if (!same)
        return error_set(p->e, STATUS_FORMAT,
                         "its %s has %zu axes, the first of %" PRIu64 "; by its configuration %zu, the "
                         "first of %" PRIu64,
                         w->role, array.rank, array.dims[0], w->rank, w->dims[0]);
    memcpy(out, array.v, array.n * sizeof *out);
    return STATUS_OK;
}

/* ---- .h5 of Keras 2: an attribute lists the datasets ------------------------------------------------------------- */

static enum status take_listed(const struct place *p, const struct wanted *w, size_t n_wanted, float *out)
{
    const char *names[HDF5_NAMES_MAX];
    hdf5_id group, dataset;
    size_t n_names, used = 0;
    bool found;
    TRY(hdf5_find(p->root, p->origin->name, &group, &found, p->e));
    if (!found)
        return error_set(p->e, STATUS_FORMAT, "its weights are missing");
    TRY(hdf5_names(p->a, group, "weight_names", names, &n_names, p->e));
    for (size_t i = 0; i < n_wanted; out += count_of(&w[i]), i++) {
        for (size_t j = 0; w[i].absent && j < count_of(&w[i]); j++)
            out[j] = w[i].otherwise;
        if (w[i].absent)
            continue;
        if (used == n_names)
            return error_set(p->e, STATUS_FORMAT, "its %s is missing: %zu weights are listed", w[i].role, n_names);
        if (!strstr(names[used], w[i].role))
            return error_set(p->e, STATUS_FORMAT, "weight '%.80s' stands where its %s is expected", names[used],
                             w[i].role);
        TRY(hdf5_find(group, names[used], &dataset, &found, p->e));
        if (!found)
            return error_set(p->e, STATUS_FORMAT, "weight '%.80s' is missing", names[used]);
        TRY(take_array(p, dataset, &w[i], out));
        used++;
    }
    return used == n_names ? STATUS_OK
                           : error_set(p->e, STATUS_FORMAT, "it has %zu weights, %zu are expected", n_names, used);
}

/* ---- .keras: datasets are numbered within groups ----------------------------------------------------------------- */

static enum status take_numbered(const struct place *p, const struct wanted *w, size_t n_wanted, float *out)
{
    size_t number = 0;
    for (size_t i = 0; i < n_wanted; out += count_of(&w[i]), i++) {
        char path[256];
        hdf5_id dataset;
        bool found;
        number = i > 0 && strcmp(w[i].group, w[i - 1].group) == 0 ? number : 0;
        for (size_t j = 0; w[i].absent && j < count_of(&w[i]); j++)
            out[j] = w[i].otherwise;
        if (w[i].absent)
            continue;
        snprintf(path, sizeof path, "layers/%s/%svars/%zu", p->origin->group, w[i].group, number++);
        TRY(hdf5_find(p->root, path, &dataset, &found, p->e));
        if (!found)
            return error_set(p->e, STATUS_FORMAT, "its %s is missing: there is no %s", w[i].role, path);
        TRY(take_array(p, dataset, &w[i], out));
    }
    return STATUS_OK;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static const struct keras_origin *origin_of(const struct keras_network *k, const char *name)
{
    size_t i = 0;
    while (strcmp(k->layer[i].name, name) != 0)
        check(++i < k->n); /* resolving keeps names */
    return &k->origin[i];
}

enum status keras_weights(struct arena *a, const struct keras_network *k, const struct layer_spec *resolved,
                          const struct net *net, hdf5_id root, bool zip, float *params, struct error *e)
{
    struct place p = {.a = a, .root = root, .zip = zip, .e = e};
    bool found = true;
    if (!zip)
        TRY(hdf5_find(root, "model_weights", &p.root, &found, e));
    if (!found)
        return error_set(e, STATUS_FORMAT, "there is no model_weights: save the whole model, not only its weights");
    for (size_t i = 0; i < k->n; i++) {
        struct wanted w[WEIGHTS_MAX];
        float *out = params + net_layer_params(net, i);
        p.origin = origin_of(k, resolved[i].name);
        size_t n = list_wanted(&resolved[i], net_layer(net, i), p.origin, w);
        if (n == 0)
            continue;
        if ((zip ? take_numbered : take_listed)(&p, w, n, out) != STATUS_OK)
            return error_wrap(e, "layer '%.64s'", resolved[i].name);
    }
    return STATUS_OK;
}
