/* core/model/trainer.h
 *
 * The trainer's state: shared by train.c, which runs epochs, and checkpoint.c, which stores it. */
#ifndef DLT_CORE_MODEL_TRAINER_H
#define DLT_CORE_MODEL_TRAINER_H

#include "core/model/train_rows.h"

enum {
    CHUNK_ROWS = 256,                  /* rows that go through the network at once */
    SHARDS_MAX = 8
};

/* A part of a step's rows, with memory of its own, so that parts can run side by side. */
struct shard {
    float *block;                      /* what the pointers below point into */
    float *label, *weight;             /* a chunk's lanes */
    float *scratch;                    /* SEQUENCE_SCRATCH, or NULL */
    uint32_t length[SEQUENCE_ROWS];
    struct noise noise;
    float *grads;
    struct pass pass;
    struct loss_sums sums;
    const uint32_t *index;             /* rows of the present step or of the held-out part ... */
    const uint32_t *index_end;         /* ... and where the row numbers that follow them end */
    size_t n_rows;
    float scale;                       /* 1 / rows of the step */
};

struct trainer {
    struct arena arena;
    struct model_header header;        /* params and what was given; the rest is current after each epoch */
    struct scalers scaler;
    struct net *net;
    struct train_rows rows;
    uint32_t *order;                   /* of the learned rows, in this epoch */
    uint32_t *by_length, *dealt;       /* of a step's sequences; one block, or NULL */
    uint64_t noise_key;                /* of the present step */
    enum model_input input;
    size_t n_params, n_shards;
    float *state;                      /* params, Adam m, Adam v: one block */
    float *params, *m, *v;
    struct shard shards[SHARDS_MAX];
    int64_t steps;
    bool broken;                       /* an epoch failed half way */
};

#endif
