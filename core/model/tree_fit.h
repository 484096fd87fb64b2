/* core/model/tree_fit.h
 *
 * Fitting trees behind the same struct trainer as networks: train.c and checkpoint.c hand over to these where the
 * estimator is one of trees. */
#ifndef DLT_CORE_MODEL_TREE_FIT_H
#define DLT_CORE_MODEL_TREE_FIT_H

#include "core/model/tree_forest.h"
#include "core/model/tree_xgboost.h"
#include "core/model/trainer.h"

bool tree_estimator(const struct train_params *p);
bool tree_averaged(const struct train_params *p);             /* leaves are parts of a class, not logits */
enum status tree_params_check(const struct train_params *p, const char *where, struct error *e) MUST_USE;
/* Fills in what the estimator decides, and epochs. */
void tree_params_resolve(struct train_params *p);

/* Fills t->trees, t->rows and what else a trainer of trees has; t->header must be there. */
enum status tree_fit_open(struct trainer *t, const struct train_input *input, struct error *e) MUST_USE;
void tree_fit_close(struct tree_fit *f);                      /* NULL allowed */
/* As trainer_epoch(): the next TREE_ROUNDS_AN_EPOCH rounds, or those that are left. */
enum status tree_fit_epoch(struct trainer *t, const struct train_watch *watch, struct epoch_report *out,
                           struct error *e) MUST_USE;
/* The trees so far, as tree_forest.h stores them; those of the best epoch where it is kept and `best`. */
struct float_part tree_fit_stored(const struct trainer *t, bool best);
/* Goes on from stored trees of state->epochs_done epochs; on error the trainer is as it was. */
enum status tree_fit_restore(struct trainer *t, const float *stored, size_t n_floats, const struct fit_state *state,
                             struct error *e) MUST_USE;

#endif
