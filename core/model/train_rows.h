/* core/model/train_rows.h
 *
 * Training rows as the trainer's inner loop wants them: scaled once, each with its label and weight in one cache line
 * (rows are visited in random order), and divided into those that are learned from and those that are held out. */
#ifndef DLT_CORE_MODEL_TRAIN_ROWS_H
#define DLT_CORE_MODEL_TRAIN_ROWS_H

#include "core/model/sequence.h"

enum { ROW_LABEL = HLF_COUNT, ROW_WEIGHT, ROW_STRIDE };       /* floats: the scaled features, then these */

/* Rows in one place: a dataset's, or a window of a streamed one. */
struct row_set {
    float *row;                        /* [n][ROW_STRIDE] */
    const uint32_t *number;            /* [n] of each in its dataset; NULL: its place here */
    struct sequence_source sequences;
};

/* What the weights of each class are multiplied by, and what that follows from. */
struct class_sums {
    double sum[CLASSES_MAX];           /* of weights of learned rows */
    double factor[CLASSES_MAX];
};

struct train_rows {
    struct row_set learned, held;      /* weights of the learned rows have mean 1; held may be the same rows */
    uint32_t *learn, *held_out;        /* row numbers, ascending; one block */
    size_t n_learn, n_held_out;
    uint64_t fingerprint;              /* of the given data */
    float *own[2];                     /* blocks behind learned and held */
};

/* What it takes to make rows of events. */
struct row_maker {
    const struct model_header *header;
    const struct scalers *scaler;
    bool sequences;
    size_t first;                      /* number of the first event, for messages */
};

/* Checks and scales the events of `d` into row[d->n][ROW_STRIDE].  ARGUMENT, naming the row. */
enum status rows_make(const struct row_maker *m, const struct train_data *d, float *row, struct error *e) MUST_USE;
/* Whether a row is held out: the same rows whatever the number of epochs, threads or other rows. */
bool row_is_held_out(const struct train_params *p, uint64_t number);
/* Continues the hash `h` of data (any number at first). */
uint64_t rows_fingerprint(const struct train_data *d, bool sequences, uint64_t h);
/* Fills c->factor so that weights of the learned rows have mean 1.  ARGUMENT: fewer than two classes, or a class that
 * does not exist in params.class_weight. */
enum status class_factors(struct class_sums *c, const struct model_header *h, size_t n_learn, struct error *e) MUST_USE;
/* Multiplies the weights of n rows. */
void rows_weigh(const struct class_sums *c, float *row, size_t n);

/* `validation` NULL: a part of `data` is held out.  Fails: ARGUMENT (see trainer_create), NOMEM. */
enum status train_rows_init(struct train_rows *t, const struct model_header *header, const struct scalers *scaler,
                            const struct train_data *data, const struct train_data *validation,
                            struct error *e) MUST_USE;
void train_rows_fini(struct train_rows *t);                   /* zeroed allowed */

#endif
