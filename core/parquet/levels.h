/* core/parquet/levels.h
 *
 * The hybrid of runs and bit-packed groups (Encodings.md, "RLE") that carries repetition and definition levels,
 * dictionary indices and booleans; and the older BIT_PACKED levels, for reading. */
#ifndef DLT_CORE_PARQUET_LEVELS_H
#define DLT_CORE_PARQUET_LEVELS_H

#include "core/base/bytes.h"

/* ---- reading --------------------------------------------------------------------------------------------- */

struct rle_reader {
    const uint8_t *p, *end;
    unsigned width;                    /* bits of a value, 0 to 32 */
    uint32_t value;                    /* of the present run */
    size_t run_left;
    size_t packed_left;                /* values left in the present bit-packed run, which starts at `packed` */
    const uint8_t *packed;
    uint64_t packed_bit;
    size_t packed_bytes;
};

void rle_reader_init(struct rle_reader *r, struct span bytes, unsigned width);
/* The same over bytes that are one bit-packed run without a head. */
void rle_reader_init_packed(struct rle_reader *r, struct span bytes, unsigned width);
/* Up to n values; fewer when the bytes end or are malformed (a run's value of more than `width` bits). */
size_t rle_read_u32(struct rle_reader *r, uint32_t *out, size_t n) MUST_USE;
/* The same for width <= 8; counts along the runs where `count` is not NULL. */
struct level_count {
    unsigned max;                      /* in: the value to count */
    size_t n_max;
    bool above;                        /* whether there was a value beyond max */
};
size_t rle_read_u8(struct rle_reader *r, uint8_t *out, size_t n, struct level_count *count) MUST_USE;

/* Bits that hold 0 .. max. */
unsigned levels_width(unsigned max);
/* n levels of 0 .. max (max >= 1) by `encoding` (PARQUET_RLE without length prefix, PARQUET_BIT_PACKED) into out[n].
 * *n_max receives how many equal max.  Fails: FORMAT (too few, a level above max), UNSUPPORTED (encoding). */
enum status levels_read(int encoding, struct span bytes, unsigned max, uint8_t *out, size_t n, size_t *n_max,
                        struct error *e) MUST_USE;

/* ---- writing --------------------------------------------------------------------------------------------- */

/* Fed with runs, so a row of thousands of values costs as much as a row of one. */
struct rle_writer {
    struct buf *out;
    unsigned width;                    /* 1 to 8 */
    uint8_t value;                     /* of the run that is not yet written */
    size_t run;
    uint8_t group[8];                  /* begun group of a bit-packed run */
    unsigned n_group;
    size_t head_at;                    /* where the present bit-packed run's head is, when n_groups > 0 */
    unsigned n_groups;
};

void rle_writer_init(struct rle_writer *w, struct buf *out, unsigned width);
enum status rle_put(struct rle_writer *w, uint8_t value, size_t n, struct error *e) MUST_USE;
enum status rle_finish(struct rle_writer *w, struct error *e) MUST_USE;

#endif
