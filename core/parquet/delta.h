/* core/parquet/delta.h
 *
 * Integers as differences (Encodings.md, "Delta encoding"): a head with the first value, then blocks of a least
 * difference and miniblocks of bit-packed remainders.  Carries integer columns, and the lengths of strings. */
#ifndef DLT_CORE_PARQUET_DELTA_H
#define DLT_CORE_PARQUET_DELTA_H

#include "core/base/bytes.h"

struct delta_reader {
    struct cursor *bytes;              /* the caller's; moves from block to block */
    size_t left;                       /* values not yet read */
    size_t n_minis, per_mini;          /* miniblocks of a block, values of a miniblock (a multiple of 32) */
    uint64_t value;                    /* the next one, when `first`; else the last one */
    bool first;
    uint64_t least;                    /* difference of the present block */
    const uint8_t *widths;             /* of the present block's miniblocks */
    size_t mini;                       /* next miniblock of the block; n_minis: none */
    size_t mini_left;                  /* differences of the present miniblock not yet read */
    struct span packed;                /* of the present miniblock */
    size_t bit;
    unsigned width;                    /* 0 to 64 */
};

/* Reads the head, which must announce exactly n values.  Fails: FORMAT. */
enum status delta_begin(struct delta_reader *r, struct cursor *bytes, size_t n, struct error *e) MUST_USE;
/* The next n <= left values, modulo 2^64.  Fails: FORMAT (the bytes end). */
enum status delta_read(struct delta_reader *r, uint64_t *out, size_t n, struct error *e) MUST_USE;
/* Passes over all that is left by the widths alone: `bytes` then stands behind the last miniblock in use. */
enum status delta_skip(struct delta_reader *r, struct error *e) MUST_USE;

#endif
