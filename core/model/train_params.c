/* core/model/train_params.c
 *
 * What the settings of a fit must be to each other, beyond their bounds. */
#include "core/model/estimator.h"

#include <math.h>
#include <string.h>

const char *const class_weight_names[] = {"natural", "balanced", "custom", NULL};
const char *const optimizer_names[] = {"adam", "sgd", NULL};
const char *const schedule_names[] = {"constant", "step", "exponential", "cosine", "plateau", NULL};
const char *const monitor_names[] = {"val_loss", "val_accuracy", "val_auc", NULL};

static enum status check_class_weight(const struct train_params *p, const char *where, struct error *e)
{
    const struct field_pair *pair = p->class_weight.items;
    size_t n = p->class_weight.n_items;
    if (p->class_weights == CLASS_WEIGHTS_CUSTOM && n == 0)
        return error_set(e, STATUS_ARGUMENT, "%s/class_weight: class_weights is custom, so name a class and its weight",
                         where);
    if (p->class_weights != CLASS_WEIGHTS_CUSTOM && n > 0)
        return error_set(e, STATUS_ARGUMENT, "%s/class_weight: is read only when class_weights is custom, which is %s",
                         where, class_weight_names[p->class_weights]);
    for (size_t i = 0; i < n; i++) {
        if (!(pair[i].value >= 0 && pair[i].value <= 1e9))
            return error_set(e, STATUS_RANGE, "%s/class_weight/%s: %g is not within 0 to 1e9", where, pair[i].name,
                             pair[i].value);
        for (size_t j = 0; j < i; j++)
            if (strcmp(pair[i].name, pair[j].name) == 0)
                return error_set(e, STATUS_ARGUMENT, "%s/class_weight/%s: is given twice", where, pair[i].name);
    }
    return STATUS_OK;
}

enum status train_settings_check(const struct train_params *p, const char *where, struct error *e)
{
    if (p->learning_rate_min > p->learning_rate)
        return error_set(e, STATUS_RANGE, "%s/learning_rate_min: %g is above learning_rate, %g", where,
                         p->learning_rate_min, p->learning_rate);
    if (p->warmup_steps > 0 && p->warmup_epochs > 0)
        return error_set(e, STATUS_ARGUMENT, "%s/warmup_steps: warmup_epochs is given too; only one of them can be",
                         where);
    if (p->nesterov && p->optimizer == OPTIMIZER_SGD && p->momentum == 0)
        return error_set(e, STATUS_ARGUMENT, "%s/nesterov: needs a momentum above 0", where);
    return check_class_weight(p, where, e);
}
