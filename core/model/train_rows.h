/* core/model/train_rows.h
 *
 * Training rows as the trainer's inner loop wants them: scaled once, each with its label and weight in one cache line
 * (rows are visited in random order), and divided into those that are learned from and those that are held out. */
#ifndef DLT_CORE_MODEL_TRAIN_ROWS_H
#define DLT_CORE_MODEL_TRAIN_ROWS_H

#include "core/model/sequence.h"

enum { ROW_LABEL = HLF_COUNT, ROW_WEIGHT, ROW_STRIDE };       /* floats: the scaled features, then these */

struct train_rows {
    float *row;                        /* [n][ROW_STRIDE]; weights of the learned rows have mean 1 */
    uint32_t *learn, *held_out;        /* row numbers, ascending; one block */
    size_t n, n_learn, n_held_out;
    uint64_t fingerprint;              /* of the given data */
    bool has_sequences;
    struct sequence_source sequences;
};

/* Fails: ARGUMENT (see trainer_create), NOMEM. */
enum status train_rows_init(struct train_rows *t, const struct model_header *header, const struct scalers *scaler,
                            const struct train_data *data, struct error *e) MUST_USE;
void train_rows_fini(struct train_rows *t);                   /* zeroed allowed */

#endif
