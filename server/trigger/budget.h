/* server/trigger/budget.h
 *
 * Rate budgets of a running menu, for server/trigger/ only: how many events a second a path, or the whole menu, may
 * accept.  Three ways to keep one: "report" only shows that it is exceeded; "limit" accepts while there is room in the
 * second (which events those are depends on when they come); "prescale" raises the path's prescale to a multiple that
 * fits, so that the choice stays a hash of the event. */
#ifndef DLT_SERVER_TRIGGER_BUDGET_H
#define DLT_SERVER_TRIGGER_BUDGET_H

#include <stdatomic.h>

#include "core/base.h"

enum on_budget { BUDGET_PRESCALE, BUDGET_LIMIT, BUDGET_REPORT };
extern const char *const on_budget_names[];       /* NULL-terminated */

struct budget {
    double hz;                                    /* NaN: none */
    enum on_budget policy;
    _Atomic int64_t next_ns;                      /* "limit": when the next event would be due at the budget's rate */
    _Atomic int64_t factor;                       /* "prescale": of the path's own prescale, 1 or more */
};

void budget_init(struct budget *b, double hz, enum on_budget policy);
/* "limit": whether one more event at now_ns (monotonic) is within the budget, and if so takes its place.  A second's
 * worth may come at once.  Any thread. */
bool budget_take(struct budget *b, int64_t now_ns);
/* The prescale to use now, `prescale` or a multiple of it. */
int64_t budget_prescale(const struct budget *b, int64_t prescale);
/* "prescale": sets the factor from the rate that passes the path's own prescale. */
void budget_adapt(struct budget *b, double passed_hz);

#endif
