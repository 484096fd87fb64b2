/* core/work/features.h
 *
 * Job kind "features" in three phases, each linear in events and flat in memory:
 *   0 select   a unit an events part: selection and the 14 features; small file of the selected events
 *     assign   once: balance, split and shuffle as a permutation of the selected events, from the seed
 *   1 scatter  a unit an events part: particle rows of the events that were chosen, grouped by destination bucket
 *   2 gather   a unit a bucket: its events from all scatter files, put in order, written as one part
 * A bucket is what fits comfortably in memory, so an exact global shuffle never holds the dataset at once. */
#ifndef DLT_CORE_WORK_FEATURES_H
#define DLT_CORE_WORK_FEATURES_H

#include "core/work/private.h"

enum { PHASE_SELECT, PHASE_SCATTER, PHASE_GATHER };
enum split_method { SPLIT_STRATIFIED, SPLIT_EVENT_HASH };

struct split_spec {
    double test;
    int method;                        /* enum split_method */
    int64_t seed;
};
struct features_spec {
    const char *dataset, *recipe;
    struct split_spec split;
    bool balance, sequences;
};

/* What unit i of phase 0 left. */
struct select_unit {
    int64_t selected;
    struct field_list cut_flow;        /* struct cut_row */
};
extern const struct field select_unit_fields[];

/* What unit i of phase 1 left: the bucket of each row group of its scatter file. */
struct scatter_unit {
    struct field_list buckets;         /* int64_t */
};
extern const struct field scatter_unit_fields[];

/* What a unit of phase 2 left: its part. */
struct gather_unit {
    int64_t events, bytes;
    const char *sha256;
};
extern const struct field gather_unit_fields[];

/* Selected events are numbered through all parts, in order.  positions[i] says where event i goes. */
enum { POSITION_DROPPED = 0xFFFFFFFFu, POSITION_TEST = 0x80000000u, POSITION_MASK = 0x7FFFFFFFu };
struct assignment {
    int64_t n_selected, n_train, n_test, bucket_events;
    struct field_list part_first;      /* int64_t, parts + 1: number of a part's first selected event */
    struct field_list balanced_away;   /* struct cut_row, by class */
    struct field_list class_counts;    /* struct class_count of the train part, then of the test part */
    uint32_t *positions;               /* [n_selected], mem_free; only after assignment_load with_positions */
};

static inline int64_t train_buckets(const struct assignment *a)
{
    return (a->n_train + a->bucket_events - 1) / a->bucket_events;
}
static inline int64_t test_buckets(const struct assignment *a)
{
    return (a->n_test + a->bucket_events - 1) / a->bucket_events;
}
/* Bucket of a position that is not DROPPED: the train part's first, then the test part's. */
static inline int64_t bucket_of(const struct assignment *a, uint32_t position)
{
    int64_t in_split = (int64_t)(position & POSITION_MASK) / a->bucket_events;
    return position & POSITION_TEST ? train_buckets(a) + in_split : in_split;
}

/* Natural fractions as weights.  factors[label] for one side of the split: fraction * W / W_class over the generator's
 * weights of the side, so that each class has its fraction of the side's sum of weights, and the sum stays what it was.
 * All 1 when the events dataset states no fractions or the side is empty.  ARGUMENT: a class without weight. */
enum status weight_factors(const struct manifest *events, const struct assignment *a, bool test,
                           double factors[METRICS_CLASSES_MAX], struct error *e) MUST_USE;

/* The events dataset and recipe of a job, opened. */
struct features_input {
    struct dataset *events;
    const struct manifest *manifest;
    const struct recipe *recipe;
};
enum status features_input_open(struct job_ctx *ctx, const struct features_spec *spec, struct features_input *out,
                                struct error *e) MUST_USE;

enum status select_run(struct job_ctx *ctx, const struct features_spec *spec, int64_t part, struct buf *result,
                       struct error *e) MUST_USE;
/* Computes the assignment once, then loads it from the work folder. */
enum status assignment_get(struct job_ctx *ctx, const struct features_spec *spec, const struct manifest *m,
                           struct assignment *out, struct error *e) MUST_USE;
enum status assignment_positions(struct job_ctx *ctx, struct assignment *a, struct error *e) MUST_USE;
enum status scatter_run(struct job_ctx *ctx, const struct features_spec *spec, int64_t part, struct buf *result,
                        struct error *e) MUST_USE;
enum status gather_run(struct job_ctx *ctx, const struct features_spec *spec, int64_t bucket, struct buf *result,
                       struct error *e) MUST_USE;

/* Computes features of every row group of one events part on ctx->threads and hands them over in order. */
enum status part_events_run(struct job_ctx *ctx, const struct features_input *in, size_t part, bool want_rows,
                            enum status (*take)(void *take_ctx, const struct event_batch *events,
                                                const struct feature_batch *features, struct error *e),
                            void *take_ctx, struct error *e) MUST_USE;
/* Event i of a batch, with its rows, appended to `out`. */
enum status feature_rows_take(struct feature_rows *out, const struct event_batch *events,
                              const struct feature_batch *features, size_t i, int32_t source,
                              struct error *e) MUST_USE;

#endif
