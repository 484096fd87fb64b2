/* core/feature/internal.h
 *
 * What the files of core/feature share: the lists of one event in eta bins, cone sums over them, stable orders, and
 * the workspace of a batch. */
#ifndef DLT_CORE_FEATURE_INTERNAL_H
#define DLT_CORE_FEATURE_INTERNAL_H

#include "core/feature.h"

#include <math.h>
#include <string.h>

#define CONE_RADIUS 0.3
#define TWO_PI 6.283185307179586
#define PI 3.141592653589793

enum { ETA_BINS = 128, CONE_LANES = 8 };

/* Objects of one event in bins of eta: bin by bin, in list order inside a bin.  This order is the order of every cone
 * sum, whatever the machine, the batch or the vector width.  Numbers are the float32 inputs as float64. */
struct cone_list {
    uint32_t first[ETA_BINS + 1];      /* objects of bin b are [first[b], first[b + 1]) */
    double *eta, *phi, *pt;
    uint32_t *index;                   /* in the list that was binned */
};
enum cone_kind { CONE_TRACKS, CONE_PHOTONS, CONE_NEUTRALS, CONE_KINDS };

/* `out` has room for n.  phi beyond what an angle can be is brought back to (-pi, pi]. */
void cone_list_fill(struct cone_list *out, const float *pt, const float *eta, const float *phi, size_t n);

/* Up to CONE_LANES candidates around which pT is summed.  Unused lanes repeat a used one. */
struct cone_group {
    _Alignas(64) double eta[CONE_LANES];
    double phi[CONE_LANES];
};

/* sum[lane] += pt of objects [first, last) with dR < 0.3 to the lane's candidate.  A dphi larger than `wrap_above` is
 * taken less 2 pi. */
typedef void cone_sum_fn(const struct cone_list *list, size_t first, size_t last, const struct cone_group *group,
                         double wrap_above, double sum[CONE_LANES]);
cone_sum_fn *cone_sum_for(enum cpu_level level);

struct isolation {
    double ch, gamma, neu;
};

/* The lists of one event, and how cones are summed over them. */
struct cone_lists {
    struct cone_list list[CONE_KINDS];
    cone_sum_fn *sum;
    double wrap_above;                 /* pi; 2 pi where the recipe does not wrap */
};

/* Isolation of one candidate. */
struct isolation isolation_of(const struct cone_lists *c, double pt, double eta, double phi);
/* Isolation of every object of `candidates`: out_*[candidates->index[i]], n of them. */
void isolation_of_all(const struct cone_lists *c, const struct cone_list *candidates, size_t n, float *out_ch,
                      float *out_gamma, float *out_neu);

/* phi in [-pi, pi]; the float32 next to pi is larger than pi. */
static inline double phi_normal(double phi)
{
    return fabs(phi) > PI ? remainder(phi, TWO_PI) : phi;
}

/* |phi_a - phi_b| the short way round, both in [-float32(pi), float32(pi)]. */
static inline double phi_distance(double phi_a, double phi_b)
{
    double d = fabs(phi_a - phi_b);
    return fabs(d - (d > PI ? TWO_PI : 0));
}

/* Whole number whose increasing order is the decreasing order of the floats (positive NaN first). */
static inline uint32_t order_key_decreasing(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}
/* order[] = 0..n-1 by increasing key, equal keys in index order.  `spare` has room for n. */
void order_stable(const uint32_t *key, size_t n, uint32_t *order, uint32_t *spare);

struct feature_scratch {
    struct cone_lists cones;
    struct cone_list candidates;       /* the rows of one event */
    uint32_t *key, *order, *spare;     /* [cap] */
    size_t cap;                        /* objects that each list has room for */
    void *block;
};

/* One event while it is worked on. */
struct feature_event {
    const struct recipe *recipe;
    const struct event_batch *batch;
    size_t i;                          /* in the batch */
    struct feature_scratch *scratch;
};
size_t event_count(const struct feature_event *ev, enum object_kind kind);

/* Whether the event is kept, and by which lepton.  Fills the event's cone lists on the way. */
enum reject event_select(const struct feature_event *ev, struct lepton *out);
/* Appends the event's rows at rows[at], the lepton first; returns their number. */
size_t event_rows(const struct feature_event *ev, const struct lepton *lep, const struct particle_columns *rows,
                  size_t at);
/* Most rows that the event can have. */
size_t event_rows_bound(const struct event_batch *b, size_t i);
void event_hlf(const struct feature_event *ev, const struct lepton *lep, float hlf[HLF_COUNT]);

/* log1p(max(x, 0)) as hlf_scale takes it: also where scalers are fitted, so that what was constant there is zero. */
double hlf_log(double x);

#endif
