/* core/parquet/dictionary.h
 *
 * Writing 32-bit integers of few values: the values once, then an index of at most eight bits each, in runs and
 * bit-packed groups. */
#ifndef DLT_CORE_PARQUET_DICTIONARY_H
#define DLT_CORE_PARQUET_DICTIONARY_H

#include "core/parquet/format.h"

enum { DICTIONARY_MAX = 256, DICTIONARY_SLOTS = 1024 };

struct dictionary {
    int32_t values[DICTIONARY_MAX];    /* in order of appearance */
    size_t n;
    unsigned width;                    /* bits of an index */
    struct buf index;                  /* one byte a value */
    uint16_t slots[DICTIONARY_SLOTS];  /* hash table: 1 + index, 0: free */
};

void dictionary_init(struct dictionary *d);
void dictionary_fini(struct dictionary *d);
/* Indexes v[n].  *pays is false when it has too many values for its length; the index is then good for nothing. */
enum status dictionary_build(struct dictionary *d, const int32_t *v, size_t n, bool *pays, struct error *e) MUST_USE;
/* Appends the width and the indices of values [first, last), as a data page holds them. */
enum status dictionary_put(const struct dictionary *d, size_t first, size_t last, struct buf *out,
                           struct error *e) MUST_USE;

#endif
