/* core/model/train_schedule.h
 *
 * The learning rate of each step, and what a fit concludes from the held-out rows after each epoch.  All of its state
 * is in struct fit_state, which a checkpoint stores whole. */
#ifndef DLT_CORE_MODEL_TRAIN_SCHEDULE_H
#define DLT_CORE_MODEL_TRAIN_SCHEDULE_H

#include "core/model.h"

struct fit_state {
    int64_t steps, epochs_done;
    double train_loss, val_loss;       /* of the last epoch; NaN when there was none */
    double factor;                     /* of the rate, by plateaus */
    double plateau_best;               /* lowest val_loss that was a gain; NaN: none yet */
    int64_t plateau_waited;            /* epochs without gain */
    double best;                       /* of what is monitored; NaN: none yet */
    int64_t best_epoch, waited;
    double best_train_loss, best_val_loss;
    bool stopped;
};
extern const struct field fit_state_fields[];
void fit_state_init(struct fit_state *s);

/* Whether the best epoch's parameters are kept. */
bool schedule_keeps_best(const struct train_params *p);

/* Of the step that takes the `rows` rows behind the first `done` of `all` in this epoch. */
double schedule_rate(const struct train_params *p, const struct fit_state *s, size_t done, size_t rows, size_t all);

/* Takes in the epoch that just ended (s->epochs_done counts it already).  Returns whether it is the best so far. */
bool schedule_epoch_ended(const struct train_params *p, struct fit_state *s, const struct epoch_report *r);

#endif
