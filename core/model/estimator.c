/* core/model/estimator.c
 *
 * The table of estimators and the parameters of a fit. */
#include "core/model/estimator.h"

#include <inttypes.h>
#include <string.h>

const char *const estimator_names[] = {"hlf", NULL};
const char *const class_weight_names[] = {"natural", "balanced", NULL};
enum { CLASS_WEIGHTS_NATURAL };

const struct field train_params_fields[] = {
    FIELD_ENUM(struct train_params, model, estimator_names, .def = 0, .doc = "estimator"),
    FIELD_LIST_I64(struct train_params, hidden, .max = HIDDEN_LAYERS_MAX,
                   .doc = "widths of the hidden layers, 1 to 1024 each; empty: the estimator's own (hlf: 50, 20, 10)"),
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

static enum status hlf_network(const struct train_params *p, size_t n_classes, struct net **out, struct error *e)
{
    TRY(net_create(out, e));
    enum status s = hlf_build(p, n_classes, *out, e);
    if (s == STATUS_OK)
        return STATUS_OK;
    net_destroy(*out);
    *out = NULL;
    return error_wrap(e, "hlf");
}

static const struct estimator estimators[] = {
    {.name = "hlf", .doc = "dense layers over the 14 high-level features", .input = INPUT_HLF, .network = hlf_network},
};

const struct estimator *estimator_get(const struct train_params *p)
{
    check(p->model >= 0 && (size_t)p->model < ARRAY_LEN(estimators));
    check(strcmp(estimators[p->model].name, estimator_names[p->model]) == 0);
    return &estimators[p->model];
}
