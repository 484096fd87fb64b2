/* core/model/sequence.h
 *
 * Particle rows on their way into a network: expanded, sorted and scaled (core/feature.h), a chunk of events at a time,
 * for training and scoring alike. */
#ifndef DLT_CORE_MODEL_SEQUENCE_H
#define DLT_CORE_MODEL_SEQUENCE_H

#include "core/model/private.h"

enum {
    SEQUENCE_ROWS = 32,                /* events that go through a network at once */
    SEQUENCE_NUMBERS = PARTICLE_ROWS_MAX * PARTICLE_COLUMNS,
    SEQUENCE_SCRATCH = (SEQUENCE_ROWS + 1) * SEQUENCE_NUMBERS      /* floats */
};

struct sequence_source {
    const struct recipe *recipe;
    const struct sequence_scaler *scaler;
    const struct particle_columns *rows;
    const uint32_t *row_first;         /* [n + 1] */
};

/* Stored rows of event i; a network's steps for it (dense recipes: 801). */
size_t sequence_stored(const struct sequence_source *s, size_t i);
/* Event i into out [steps][19], rows as sequence_stored in [1, 801]; returns the steps.  `expanded` [801][19]. */
size_t sequence_event(const struct sequence_source *s, size_t i, float *expanded, float *out);
/* Events index[0..n), n <= SEQUENCE_ROWS, as lanes [steps][19][ld] with zeros behind each, and their lengths. */
void sequence_lanes(const struct sequence_source *s, const struct kernels *k, const uint32_t *index, size_t n,
                    float *scratch, size_t ld, float *lanes, uint32_t *length);
/* out: the same numbers in falling order of length, equal ones as they come. */
void sequence_order(const struct sequence_source *s, const uint32_t *index, size_t n, uint32_t *out);

#endif
