/* core/model/estimator.c
 *
 * The table of estimators and the parameters of a fit. */
#include "core/model/estimator.h"

#include <inttypes.h>
#include <string.h>

const char *const estimator_names[] = {"hlf", "sequence", "inclusive", "inclusive-lstm", NULL};
const char *const class_weight_names[] = {"natural", "balanced", NULL};
enum { CLASS_WEIGHTS_NATURAL };

const struct field train_params_fields[] = {
    FIELD_ENUM(struct train_params, model, estimator_names, .def = 0, .doc = "estimator"),
    FIELD_LIST_I64(struct train_params, hidden, .max = HIDDEN_LAYERS_MAX,
                   .doc = "widths of the dense hidden layers, 1 to 1024 each; empty: the estimator's own (hlf: 50, 20, "
                          "10; sequence: none; inclusive: 25)"),
    FIELD_I64(struct train_params, units, .min = 1, .max = RECURRENT_WIDTH_MAX, .def = 50,
              .doc = "size of the recurrent state; hlf has none"),
    FIELD_F64(struct train_params, dropout, .min = 0, .max = 0.95, .def = 0.2,
              .doc = "part that is dropped behind the recurrent layer and of the features beside it; not in hlf"),
    FIELD_I64(struct train_params, epochs, .min = 1, .max = 10000, .def = 5, .doc = "passes over the training rows"),
    FIELD_I64(struct train_params, batch_size, .min = 1, .max = 1 << 20, .def = 128, .unit = "rows",
              .doc = "rows of one step"),
    FIELD_I64(struct train_params, seed, .min = 0, .max = 9007199254740991, .def = 1,
              .doc = "of starting weights, order of rows and the held-out part"),
    FIELD_F64(struct train_params, learning_rate, .min = 1e-8, .max = 1, .def = 1e-3, .doc = "Adam's step size"),
    FIELD_F64(struct train_params, beta1, .min = 0, .max = 0.9999, .def = 0.9,
              .doc = "Adam: decay of the mean gradient"),
    FIELD_F64(struct train_params, beta2, .min = 0, .max = 0.999999, .def = 0.999,
              .doc = "Adam: decay of the mean squared gradient"),
    FIELD_F64(struct train_params, epsilon, .min = 1e-12, .max = 1, .def = 1e-7,
              .doc = "Adam: added to the root of the mean squared gradient"),
    FIELD_F64(struct train_params, validation_fraction, .min = 0, .max = 0.9, .def = 0.1,
              .doc = "part of the rows that is held out for val_loss; 0: none"),
    FIELD_ENUM(struct train_params, class_weights, class_weight_names, .def = CLASS_WEIGHTS_NATURAL,
               .doc = "balanced: each class has the same sum of weights"),
    FIELD_I64(struct train_params, threads, .min = 1, .max = 256, .def = 1,
              .doc = "at most so many; the result is the same for any number"),
    FIELD_END};

void train_params_defaults(struct train_params *p)
{
    field_defaults(train_params_fields, p);
}

enum status train_params_check(const struct train_params *p, const char *where, struct error *e)
{
    TRY(field_validate(train_params_fields, p, where, e));
    const int64_t *width = p->hidden.items;
    for (size_t i = 0; i < p->hidden.n_items; i++)
        if (width[i] < 1 || width[i] > HIDDEN_WIDTH_MAX)
            return error_set(e, STATUS_RANGE, "%s/hidden/%zu: %" PRId64 " is not within 1 to %d", where, i, width[i],
                             HIDDEN_WIDTH_MAX);
    return STATUS_OK;
}

/* ---- hlf: dense layers with relu over the 14 high-level features ----------------------------------------------- */

static enum status hlf_build(const struct train_params *p, size_t n_classes, struct net *net, struct error *e)
{
    static const int64_t published[] = {50, 20, 10};
    struct field_list hidden = p->hidden;
    if (hidden.n_items == 0)
        hidden = (struct field_list){(void *)(uintptr_t)published, ARRAY_LEN(published)};
    size_t value;
    TRY(net_input(net, (struct shape){HLF_COUNT, 0}, &value, e));
    for (size_t i = 0; i < hidden.n_items; i++) {
        struct dense_config dense = {((const int64_t *)hidden.items)[i], ACTIVATION_RELU};
        TRY(net_add(net, "dense", &dense, &value, 1, &value, e));
    }
    struct dense_config last = {(int64_t)n_classes, ACTIVATION_LINEAR};
    TRY(net_add(net, "dense", &last, &value, 1, &value, e));
    return net_finish(net, e);
}

/* ---- recurrent: a GRU or LSTM over the particles, with or without the high-level features ---------------------- */

static enum status dropped(const struct train_params *p, struct net *net, size_t *value, struct error *e)
{
    struct dropout_config dropout = {p->dropout};
    return net_add(net, "dropout", &dropout, value, 1, value, e);
}

static enum status recurrent(const struct train_params *p, bool lstm, struct net *net, size_t *value, struct error *e)
{
    struct gru_config gru_config = {p->units, false};
    struct lstm_config lstm_config = {p->units};
    TRY(net_input(net, (struct shape){PARTICLE_COLUMNS, PARTICLE_ROWS_MAX}, value, e));
    TRY(net_add(net, lstm ? "lstm" : "gru", lstm ? (const void *)&lstm_config : (const void *)&gru_config, value, 1,
                value, e));
    return dropped(p, net, value, e);
}

static enum status dense_end(const int64_t *width, size_t n, size_t n_classes, struct net *net, size_t value,
                             struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        struct dense_config dense = {width[i], ACTIVATION_RELU};
        TRY(net_add(net, "dense", &dense, &value, 1, &value, e));
    }
    struct dense_config last = {(int64_t)n_classes, ACTIVATION_LINEAR};
    TRY(net_add(net, "dense", &last, &value, 1, &value, e));
    return net_finish(net, e);
}

static enum status sequence_build(const struct train_params *p, size_t n_classes, struct net *net, struct error *e)
{
    size_t value;
    TRY(recurrent(p, false, net, &value, e));
    return dense_end(p->hidden.items, p->hidden.n_items, n_classes, net, value, e);
}

/* The state first, then the features, as in the published models. */
static enum status inclusive_of(const struct train_params *p, bool lstm, size_t n_classes, struct net *net,
                                struct error *e)
{
    static const int64_t published[] = {25};
    size_t parts[2], value;
    TRY(net_input(net, (struct shape){HLF_COUNT, 0}, &parts[1], e));
    TRY(recurrent(p, lstm, net, &parts[0], e));
    TRY(dropped(p, net, &parts[1], e));
    TRY(net_add(net, "concat", NULL, parts, 2, &value, e));
    bool own = p->hidden.n_items == 0;
    return dense_end(own ? published : p->hidden.items, own ? ARRAY_LEN(published) : p->hidden.n_items, n_classes, net,
                     value, e);
}

static enum status inclusive_build(const struct train_params *p, size_t n_classes, struct net *net, struct error *e)
{
    return inclusive_of(p, false, n_classes, net, e);
}

static enum status inclusive_lstm_build(const struct train_params *p, size_t n_classes, struct net *net,
                                        struct error *e)
{
    return inclusive_of(p, true, n_classes, net, e);
}

static const struct estimator estimators[] = {
    {.name = "hlf", .doc = "dense layers over the 14 high-level features", .input = INPUT_HLF, .build = hlf_build},
    {.name = "sequence", .doc = "GRU over the particles", .input = INPUT_SEQUENCE, .build = sequence_build},
    {.name = "inclusive", .doc = "GRU over the particles, joined with the high-level features", .input = INPUT_BOTH,
     .build = inclusive_build},
    {.name = "inclusive-lstm", .doc = "LSTM over the particles, joined with the high-level features",
     .input = INPUT_BOTH, .build = inclusive_lstm_build},
};

enum status estimator_network(const struct train_params *p, size_t n_classes, struct net **out, struct error *e)
{
    const struct estimator *estimator = estimator_get(p);
    TRY(net_create(out, e));
    enum status s = estimator->build(p, n_classes, *out, e);
    if (s == STATUS_OK)
        return STATUS_OK;
    net_destroy(*out);
    *out = NULL;
    return error_wrap(e, "%s", estimator->name);
}

enum model_input estimator_input(int model)
{
    check(model >= 0 && (size_t)model < ARRAY_LEN(estimators));
    return estimators[model].input;
}

const struct estimator *estimator_get(const struct train_params *p)
{
    check(p->model >= 0 && (size_t)p->model < ARRAY_LEN(estimators));
    check(strcmp(estimators[p->model].name, estimator_names[p->model]) == 0);
    return &estimators[p->model];
}
