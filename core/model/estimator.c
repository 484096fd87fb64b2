/* core/model/estimator.c
 *
 * The parameters of a fit, and what can be said against them without data. */
#include "core/model/estimator.h"

#include <inttypes.h>
#include <string.h>

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
    FIELD_LIST_OBJECT(struct train_params, layers, struct layer_spec, layer_spec_fields, .max = LAYERS_MAX,
                      .doc = "the network, layer by layer, instead of the estimator's own; hidden, units and dropout then "
                             "say nothing"),
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
    return estimator_check(p, where, e);
}
