/* core/model/trainer.h
 *
 * The trainer's state: shared by train.c, which makes it and runs epochs, train_step.c, which runs their steps,
 * train_stream.c, which feeds it from disk, and checkpoint.c, which stores it. */
#ifndef DLT_CORE_MODEL_TRAINER_H
#define DLT_CORE_MODEL_TRAINER_H

#include "core/model/train_pack.h"
#include "core/model/train_schedule.h"

enum {
    CHUNK_ROWS = 256,                  /* rows that go through the network at once */
    SHARDS_MAX = 8,
    WINDOWS = 2                        /* streamed: one is learned from while the other is read */
};

/* A part of a step's rows, with memory of its own, so that parts can run side by side. */
struct shard {
    float *block;                      /* what the pointers below point into */
    float *label, *weight;             /* a chunk's lanes */
    float *scratch;                    /* SEQUENCE_SCRATCH, or NULL */
    uint32_t length[SEQUENCE_ROWS];
    uint32_t number[CHUNK_ROWS];       /* of a chunk's rows, in their dataset */
    struct noise noise;
    float *grads;
    struct pass pass;
    struct loss_sums sums;
    const struct row_set *set;
    const uint32_t *index;             /* rows of the present step or of the held-out part ... */
    const uint32_t *index_end;         /* ... and where the row numbers that follow them end */
    float *scores;                     /* [n_rows][classes] of the held-out part, or NULL */
    size_t n_rows;
    float scale;                       /* 1 / rows of the step */
};

/* Rows on disk and the windows that they are read into; the learned rows and the held-out ones. */
struct feed {
    struct pack learn, held_out;
    struct window window[WINDOWS];
    size_t window_blocks;
    uint32_t *blocks;                  /* of a pass, in its order */
    uint64_t fingerprint;
};

struct trainer {
    struct arena arena;
    struct model_header header;        /* params and what was given */
    struct scalers scaler;
    struct net *net;
    struct train_rows rows;            /* all in memory ... */
    struct feed *feed;                 /* ... or streamed; then rows is empty */
    struct class_sums classes;         /* streamed: what the weights of windows are multiplied by */
    size_t n_learn, n_held_out;
    uint64_t fingerprint;              /* of the data */
    uint32_t *order;                   /* of the learned rows in this epoch, or of a window */
    uint32_t *by_length, *dealt;       /* of a step's sequences; one block, or NULL */
    float *scores;                     /* of held-out rows */
    struct metrics_auc_bins *auc;      /* NULL: nothing is held out */
    uint64_t noise_key;                /* of the present step */
    enum model_input input;
    size_t n_params, n_shards, n_state;
    float *state;                      /* params, moments, best: one block */
    float *params, *m, *v, *best;      /* v, best: or NULL */
    struct shard shards[SHARDS_MAX];
    struct train_memory memory;
    struct fit_state fit;
    bool broken;                       /* an epoch failed half way */
    struct tree_fit *trees;            /* of trees: instead of net, state, shards and order (tree_fit.h); else NULL */
};

/* Sums over an epoch so far. */
struct epoch_sums {
    struct loss_sums learned, held_out;
    double norms, rate;                /* rate: the last step's */
    int64_t n_steps;
    size_t n_done;                     /* rows */
};

/* ---- train_step.c ------------------------------------------------------------------------------------------------ */

/* Shards for a step of so many rows. */
size_t shards_for(const struct trainer *t, size_t n_rows);
enum status shard_init(struct shard *s, const struct trainer *t, size_t chunk_rows, size_t *bytes,
                       struct error *e) MUST_USE;
/* A step on rows index[0..n) of `set`; up to index_end are those that will be wanted next. */
enum status step_run(struct trainer *t, const struct row_set *set, const uint32_t *index, size_t n,
                     const uint32_t *index_end, struct epoch_sums *sums, struct error *e) MUST_USE;
/* Losses and AUC of held-out rows, added to what is there. */
enum status held_out_run(struct trainer *t, const struct row_set *set, const uint32_t *index, size_t n,
                         struct epoch_sums *sums, struct error *e) MUST_USE;

/* ---- train_stream.c ---------------------------------------------------------------------------------------------- */

enum status feed_open(struct trainer *t, const struct train_input *input, struct error *e) MUST_USE;
void feed_close(struct feed *f);                              /* NULL allowed */
size_t feed_window_rows(const struct feed *f);
/* Calls use(ctx, window) with each window of a pass, in order, while the next one is read.  The order follows from seed
 * and epoch. */
enum status feed_learn(struct trainer *t, enum status (*use)(void *ctx, struct window *w, struct error *e), void *ctx,
                       struct error *e) MUST_USE;
enum status feed_held_out(struct trainer *t, enum status (*use)(void *ctx, struct window *w, struct error *e),
                          void *ctx, struct error *e) MUST_USE;

#endif
