/* core/model/train_schedule.c
 *
 * Learning rates and early stopping.  Time is counted in epochs, x = epochs done + part of the rows seen in this one,
 * so that a schedule does not depend on how an epoch is cut into steps. */
#include "core/model/train_schedule.h"

#include <math.h>

const struct field fit_state_fields[] = {
    FIELD_I64(struct fit_state, steps, .min = 0, .max = 9e15),
    FIELD_I64(struct fit_state, epochs_done, .min = 0, .max = 9e15),
    FIELD_F64(struct fit_state, train_loss, .nullable = true, .def = NAN),
    FIELD_F64(struct fit_state, val_loss, .nullable = true, .def = NAN),
    FIELD_F64(struct fit_state, factor, .min = 0, .max = 1, .def = 1),
    FIELD_F64(struct fit_state, plateau_best, .nullable = true, .def = NAN),
    FIELD_I64(struct fit_state, plateau_waited, .min = 0, .max = 9e15),
    FIELD_F64(struct fit_state, best, .nullable = true, .def = NAN),
    FIELD_I64(struct fit_state, best_epoch, .min = 0, .max = 9e15),
    FIELD_I64(struct fit_state, waited, .min = 0, .max = 9e15),
    FIELD_F64(struct fit_state, best_train_loss, .nullable = true, .def = NAN),
    FIELD_F64(struct fit_state, best_val_loss, .nullable = true, .def = NAN),
    FIELD_BOOL(struct fit_state, stopped),
    FIELD_END};

void fit_state_init(struct fit_state *s) { field_defaults(fit_state_fields, s); }

bool schedule_keeps_best(const struct train_params *p) { return p->patience > 0 || p->keep_best; }

enum status train_params_check_watch(const struct train_params *p, bool has_held_out, struct error *e)
{
    const char *who = p->schedule == SCHEDULE_PLATEAU ? "schedule: plateau watches val_loss"
                      : p->patience > 0               ? "patience: it watches held-out rows"
                      : p->keep_best                  ? "keep_best: the best epoch is known by held-out rows"
                                                      : NULL;
    if (!who || has_held_out)
        return STATUS_OK;
    return error_set(e, STATUS_ARGUMENT,
                     "/params/%s, and there are none: set validation_fraction above 0 or give a validation dataset",
                     who);
}

/* x^n by squaring: the same bits with every C library. */
static double power(double x, int64_t n)
{
    double result = 1;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1)
            result *= x;
    return result;
}

static double scheduled(const struct train_params *p, const struct fit_state *s, double x)
{
    static const double pi = 3.14159265358979323846;
    double low = p->learning_rate_min, span = p->learning_rate - low, rate = p->learning_rate;
    switch ((enum schedule)p->schedule) {
    case SCHEDULE_CONSTANT: break;
    case SCHEDULE_STEP: rate *= power(p->schedule_factor, s->epochs_done / p->schedule_epochs); break;
    case SCHEDULE_EXPONENTIAL: rate *= power(p->schedule_factor, s->epochs_done); break;
    case SCHEDULE_COSINE:
        x = x < (double)p->epochs ? x / (double)p->epochs : 1;
        rate = low + span * (1 + cos(pi * x)) / 2;
        break;
    case SCHEDULE_PLATEAU: rate *= s->factor; break;
    }
    return rate > low ? rate : low;
}

double schedule_rate(const struct train_params *p, const struct fit_state *s, size_t done, size_t rows, size_t all)
{
    double x = (double)s->epochs_done + (double)done / (double)all, warm = 1;
    if (p->warmup_steps > 0)
        warm = (double)(s->steps + 1) / (double)p->warmup_steps;
    else if (p->warmup_epochs > 0)
        warm = ((double)s->epochs_done + (double)(done + rows) / (double)all) / (double)p->warmup_epochs;
    return scheduled(p, s, x) * (warm < 1 ? warm : 1);
}

bool schedule_epoch_ended(const struct train_params *p, struct fit_state *s, const struct epoch_report *r)
{
    s->train_loss = r->loss;
    s->val_loss = r->val_loss;
    if (p->schedule == SCHEDULE_PLATEAU) {
        bool gain = isnan(s->plateau_best) || r->val_loss < s->plateau_best - p->min_delta;
        s->plateau_best = gain ? r->val_loss : s->plateau_best;
        s->plateau_waited = gain ? 0 : s->plateau_waited + 1;
        if (s->plateau_waited >= p->schedule_epochs) {
            s->factor *= p->schedule_factor;
            s->plateau_waited = 0;
        }
    }
    if (!schedule_keeps_best(p))
        return false;
    const double values[] = {-r->val_loss, r->val_accuracy, r->val_auc};
    double value = values[p->monitor], sign = p->monitor == MONITOR_VAL_LOSS ? -1 : 1;
    if (isnan(value) || !(isnan(s->best) || value > sign * s->best + p->min_delta)) {
        s->waited++;
        s->stopped = s->stopped || (p->patience > 0 && s->waited >= p->patience);
        return false;
    }
    s->best = sign * value;
    s->best_epoch = s->epochs_done;
    s->best_train_loss = r->loss;
    s->best_val_loss = r->val_loss;
    s->waited = 0;
    return true;
}
