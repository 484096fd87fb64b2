/* server/trigger/budget.c
 *
 * The limiter is the generic cell rate algorithm (ITU-T I.371): one number, the time when the next event would be due. */
#include "server/trigger/budget.h"

#include <math.h>

const char *const on_budget_names[] = {"prescale", "limit", "report", NULL};

#define BURST_NS 1000000000LL
#define FACTOR_MAX 1e9

void budget_init(struct budget *b, double hz, enum on_budget policy)
{
    b->hz = hz;
    b->policy = policy;
    atomic_init(&b->next_ns, INT64_MIN / 2);
    atomic_init(&b->factor, 1);
}

bool budget_take(struct budget *b, int64_t now_ns)
{
    if (isnan(b->hz))
        return true;
    if (b->hz <= 0)
        return false;
    int64_t step_ns = (int64_t)(1e9 / b->hz), next = atomic_load(&b->next_ns), after;
    int64_t burst_ns = step_ns > BURST_NS ? 0 : BURST_NS - step_ns;
    do {
        int64_t due = next > now_ns ? next : now_ns;
        if (due - now_ns > burst_ns)
            return false;
        after = due + step_ns;
    } while (!atomic_compare_exchange_weak(&b->next_ns, &next, after));
    return true;
}

int64_t budget_prescale(const struct budget *b, int64_t prescale)
{
    int64_t factor = atomic_load_explicit((_Atomic int64_t *)(uintptr_t)&b->factor, memory_order_relaxed), n;
    return __builtin_mul_overflow(prescale, factor, &n) ? INT64_MAX : n;
}

void budget_adapt(struct budget *b, double passed_hz)
{
    if (isnan(b->hz) || b->policy != BUDGET_PRESCALE)
        return;
    double factor = b->hz > 0 ? ceil(passed_hz / b->hz) : FACTOR_MAX;
    atomic_store(&b->factor, (int64_t)fmin(fmax(factor, 1), FACTOR_MAX));
}
