/* core/model/estimator.c
 *
 * The parameters of a fit, and what can be said against them without data. */
#include "core/model/estimator.h"

#include <inttypes.h>

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
                      .doc = "the network, layer by layer, instead of the estimator's own; hidden, units and dropout "
                             "then say nothing"),
    FIELD_OBJECT(struct train_params, trees, tree_params_fields,
                 .doc = "random-forest, gradient-boosting: instead of layers and of what says how networks take steps"),
    FIELD_I64(struct train_params, epochs, .min = 1, .max = 10000, .def = 5,
              .doc = "passes over the training rows; trees: follows from trees.n_trees, ten trees a class in each"),
    FIELD_I64(struct train_params, batch_size, .min = 1, .max = 1 << 20, .def = 128, .unit = "rows",
              .doc = "rows of one step"),
    FIELD_I64(struct train_params, seed, .min = 0, .max = 9007199254740991, .def = 1,
              .doc = "of starting weights, order of rows and the held-out part"),
    FIELD_ENUM(struct train_params, optimizer, optimizer_names, .def = OPTIMIZER_ADAM, .doc = "what takes the steps"),
    FIELD_F64(struct train_params, learning_rate, .min = 1e-8, .max = 1, .def = 1e-3, .doc = "size of a step"),
    FIELD_F64(struct train_params, beta1, .min = 0, .max = 0.9999, .def = 0.9,
              .doc = "Adam: decay of the mean gradient"),
    FIELD_F64(struct train_params, beta2, .min = 0, .max = 0.999999, .def = 0.999,
              .doc = "Adam: decay of the mean squared gradient"),
    FIELD_F64(struct train_params, epsilon, .min = 1e-12, .max = 1, .def = 1e-7,
              .doc = "Adam: added to the root of the mean squared gradient"),
    FIELD_F64(struct train_params, momentum, .min = 0, .max = 0.9999, .def = 0.9,
              .doc = "sgd: part of the last step's velocity that stays; 0: plain gradient descent"),
    FIELD_BOOL(struct train_params, nesterov, .doc = "sgd: look ahead along the velocity"),
    FIELD_F64(struct train_params, weight_decay, .min = 0, .max = 100, .def = 0, .unit = "1/step",
              .doc = "all parameters shrink by learning rate x this before each step, apart from the gradient (AdamW)"),
    FIELD_F64(struct train_params, clip_norm, .min = 0, .max = 1e6, .def = 0,
              .doc = "a step's gradient is shortened to this length; 0: never"),
    FIELD_ENUM(struct train_params, schedule, schedule_names, .def = SCHEDULE_CONSTANT,
               .doc = "of the learning rate; step: x schedule_factor every schedule_epochs epochs; exponential: x "
                      "schedule_factor after each epoch; cosine: down to learning_rate_min at the end of all epochs; "
                      "plateau: x schedule_factor after schedule_epochs epochs in which val_loss has not fallen"),
    FIELD_F64(struct train_params, schedule_factor, .min = 1e-6, .max = 1, .def = 0.5,
              .doc = "see schedule"),
    FIELD_I64(struct train_params, schedule_epochs, .min = 1, .max = 10000, .def = 10, .unit = "epochs",
              .doc = "see schedule"),
    FIELD_F64(struct train_params, learning_rate_min, .min = 0, .max = 1, .def = 0,
              .doc = "no schedule goes below; at most learning_rate"),
    FIELD_I64(struct train_params, warmup_steps, .min = 0, .max = 1000000000, .def = 0, .unit = "steps",
              .doc = "at the start the rate grows in equal steps to the schedule's"),
    FIELD_I64(struct train_params, warmup_epochs, .min = 0, .max = 10000, .def = 0, .unit = "epochs",
              .doc = "the same, given in epochs; only one of the two"),
    FIELD_I64(struct train_params, patience, .min = 0, .max = 10000, .def = 0, .unit = "epochs",
              .doc = "the fit ends after so many epochs without gain and keeps the best one; 0: it never ends early"),
    FIELD_ENUM(struct train_params, monitor, monitor_names, .def = MONITOR_VAL_LOSS, .doc = "what the best epoch is best in"),
    FIELD_F64(struct train_params, min_delta, .min = 0, .max = 1, .def = 0,
              .doc = "a smaller change of what is watched (also by the schedule plateau) is no gain"),
    FIELD_BOOL(struct train_params, keep_best, .doc = "keep the best epoch's parameters; always so with patience"),
    FIELD_F64(struct train_params, validation_fraction, .min = 0, .max = 0.9, .def = 0.1,
              .doc = "part of the rows that is held out for val_loss; 0: none; no part with a validation dataset"),
    FIELD_ENUM(struct train_params, class_weights, class_weight_names, .def = CLASS_WEIGHTS_NATURAL,
               .doc = "balanced: each class has the same sum of weights; custom: those of class_weight"),
    FIELD_MAP(struct train_params, class_weight, .max = 64,
              .doc = "custom: factor of the weights of each class named; 1 for the others"),
    FIELD_I64(struct train_params, memory_limit_mb, .min = 0, .max = 1 << 24, .def = 0, .unit = "MB",
              .doc = "rows that do not fit are streamed from disk; 0: half of the memory that is free at the start"),
    FIELD_I64(struct train_params, shuffle_rows, .min = 0, .max = 4000000000, .def = 0, .unit = "rows",
              .doc = "streamed: rows that are shuffled together, at most; 0: what the memory limit holds"),
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
    TRY(estimator_check(p, where, e));
    return train_settings_check(p, where, e);
}
