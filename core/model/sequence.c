/* core/model/sequence.c
 *
 * Particle rows on their way into a network.  Only one chunk of events is ever expanded: 19 numbers a particle are kept
 * as 11 short ones in the dataset, so the expanded dataset would not fit where the stored one does. */
#include "core/model/sequence.h"

#include <string.h>

size_t sequence_stored(const struct sequence_source *s, size_t i) { return s->row_first[i + 1] - s->row_first[i]; }

size_t sequence_event(const struct sequence_source *s, size_t i, float *expanded, float *out)
{
    size_t n = sequence_stored(s, i);
    if (s->rows->prepared) {
        memcpy(out, s->rows->prepared + (size_t)s->row_first[i] * PARTICLE_COLUMNS, n * PARTICLE_COLUMNS * sizeof *out);
        return n;
    }
    particle_expand(s->rows, s->row_first[i], n, expanded);
    return sequence_prepare(s->recipe, s->scaler, expanded, n, out);
}

void sequence_lanes(const struct sequence_source *s, const struct kernels *k, const uint32_t *index, size_t n,
                    float *scratch, size_t ld, float *lanes, uint32_t *length)
{
    float *rows = scratch + SEQUENCE_NUMBERS;
    size_t most = 0;
    check(n <= SEQUENCE_ROWS);
    for (size_t r = 0; r < n; r++) {
        length[r] = (uint32_t)sequence_event(s, index[r], scratch, rows + r * SEQUENCE_NUMBERS);
        most = length[r] > most ? length[r] : most;
    }
    for (size_t r = 0; r < n; r++)
        memset(rows + r * SEQUENCE_NUMBERS + length[r] * PARTICLE_COLUMNS, 0,
               (most - length[r]) * PARTICLE_COLUMNS * sizeof *rows);
    k->rows_to_lanes(rows, SEQUENCE_NUMBERS, NULL, n, most * PARTICLE_COLUMNS, ld, lanes);
}

void sequence_order(const struct sequence_source *s, const uint32_t *index, size_t n, uint32_t *out)
{
    uint32_t place[PARTICLE_ROWS_MAX + 2] = {0};              /* counting sort: place[801 - length + 1] */
    for (size_t i = 0; i < n; i++)
        place[PARTICLE_ROWS_MAX - sequence_stored(s, index[i]) + 1]++;
    for (size_t l = 1; l < ARRAY_LEN(place); l++)
        place[l] += place[l - 1];
    for (size_t i = 0; i < n; i++)
        out[place[PARTICLE_ROWS_MAX - sequence_stored(s, index[i])]++] = index[i];
}
