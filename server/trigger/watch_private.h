/* server/trigger/watch_private.h
 *
 * The counters of a menu, for watch.c (counting) and watch_json.c (reading). */
#ifndef DLT_SERVER_TRIGGER_WATCH_PRIVATE_H
#define DLT_SERVER_TRIGGER_WATCH_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/trigger/decide.h"
#include "server/trigger/watch.h"

enum path_stage { PATH_EVALUATED, PATH_RAW, PATH_PRESCALED, PATH_LIMITED, PATH_ACCEPTED, PATH_UNIQUE, PATH_SHADOW, PATH_STAGES };

/* Written by one thread, read by others: a relaxed load and store, no lock prefix. */
typedef _Atomic uint64_t counter;
static inline void count_up(counter *c)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* One block of counters; `n` of them laid out as struct layout says. */
struct watch_shard {
    struct watch_shard *next;
    struct watch *watch;
    counter v[];
};

struct layout {
    size_t events, accepted, reasons;             /* reasons: TRIGGER_REASONS */
    size_t paths;                                 /* [n_paths][PATH_STAGES] */
    size_t n_sampled;                             /* all before here goes into the ring each second */
    size_t overlap;                               /* [n_paths][n_paths], accepted by both; the diagonal: by it */
    size_t features;                              /* [n_models][HLF_COUNT][WATCH_FEATURE_BINS] */
    size_t outside;                               /* [n_models][HLF_COUNT][2]: below, above the training range */
    size_t scores;                                /* [n_scores][WATCH_SCORE_BINS] */
    size_t n;
};

/* Binning of a model's features, from its header; bins 0: it has no histograms. */
struct watch_model {
    size_t n_bins[HLF_COUNT];
    double lo[HLF_COUNT], hi[HLF_COUNT], scale[HLF_COUNT];
};

struct watch {
    uint64_t serial;
    const struct menu *menu;                      /* whose it is */
    struct layout at;
    struct watch_model *models;                   /* [n_models] */
    _Atomic(struct watch_shard *) shards;
    int64_t started_ns, started_us;
    pthread_mutex_t lock;                         /* of all that follows */
    size_t n_ticks;                               /* since the start; entry k is in place k % WATCH_SECONDS_MAX */
    int64_t *tick_ns;                             /* [WATCH_SECONDS_MAX] */
    uint64_t *ticks;                              /* [WATCH_SECONDS_MAX][at.n_sampled] */
    size_t n_minutes;
    int64_t *minute_ns;                           /* [WATCH_MINUTES] */
    uint64_t *minutes;                            /* [WATCH_MINUTES][at.n - at.n_sampled]: distributions */
};
enum { WATCH_MINUTES = 61 };

/* Sums of counters [first, first + n) over all shards. */
void watch_sum(const struct watch *w, size_t first, size_t n, uint64_t *out);

/* One feature, live against training. */
struct feature_drift {
    size_t i_feature;
    double psi, ks, chi2;
    int64_t n_bins, n_live;
};
/* `live`: [WATCH_FEATURE_BINS].  False: nothing to compare. */
bool watch_compare(const struct watch *w, const struct menu *m, size_t i_model, size_t i_feature, const uint64_t *live,
                   struct feature_drift *out);

#endif
