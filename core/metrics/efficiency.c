/* core/metrics/efficiency.c
 *
 * Efficiencies with intervals that stay within [0, 1] and are sensible at none and at all passed. */
#include "core/metrics.h"

#include <math.h>

struct efficiency efficiency_of(double passed, double total, double total_w2)
{
    if (!(total > 0) || !(total_w2 > 0))
        return (struct efficiency){NAN, NAN, NAN};
    const double z2 = 1;                                      /* one standard deviation */
    double n = total * total / total_w2, value = passed / total;
    double p = fmin(1, fmax(0, value));                       /* weights of both signs may lead outside */
    double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n);
    return (struct efficiency){value, fmin(p, fmax(0, middle - half)), fmax(p, fmin(1, middle + half))};
}
