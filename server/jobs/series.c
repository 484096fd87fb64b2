/* server/jobs/series.c
 *
 * A long series in few points: of each stretch of steps the lowest and the highest value stay, where they were, so that
 * a spike that is one step wide is still there.  First and last point always stay. */
#include "server/jobs/jobs.h"

size_t series_thin(struct job_metric *points, size_t n, size_t most)
{
    check(most >= SERIES_POINTS_MIN);
    if (n <= most)
        return n;
    size_t stretches = (most - 2) / 2, kept = 1;
    for (size_t k = 0; k < stretches; k++) {
        size_t from = 1 + k * (n - 2) / stretches, to = 1 + (k + 1) * (n - 2) / stretches, low = from, high = from;
        for (size_t i = from; i < to; i++) {
            low = points[i].value < points[low].value ? i : low;
            high = points[i].value > points[high].value ? i : high;
        }
        /* What is written lies at or before what is still to be read: a stretch has two points at least. */
        struct job_metric first = points[low < high ? low : high], second = points[low < high ? high : low];
        points[kept++] = first;
        if (low != high)
            points[kept++] = second;
    }
    points[kept++] = points[n - 1];
    return kept;
}
