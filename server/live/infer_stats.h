/* server/live/infer_stats.h
 *
 * How often each model version was asked through the Open Inference Protocol, and how long it took. */
#ifndef DLT_SERVER_INFER_STATS_H
#define DLT_SERVER_INFER_STATS_H

#include "core/base.h"

enum { INFER_STATS_MAX = 256 };
struct infer_count {
    char model[160];                   /* "name@7" */
    int64_t n_success, n_fail, n_events, success_ns, fail_ns, compute_ns, last_us;
};
struct infer_stats;
enum status infer_stats_create(struct infer_stats **out, struct error *e) MUST_USE;
void infer_stats_destroy(struct infer_stats *s);           /* NULL allowed */
/* A request that was answered or refused.  Model versions beyond INFER_STATS_MAX are not counted. */
void infer_stats_add(struct infer_stats *s, const char *model, bool success, int64_t n_events, int64_t total_ns,
                     int64_t compute_ns);
/* Zero counts when the model was not asked yet. */
struct infer_count infer_stats_of(struct infer_stats *s, const char *model);

#endif
