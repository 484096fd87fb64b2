/* core/dataset/tfrecord.h
 *
 * TensorFlow's record files: framed records with masked CRC-32C, and tf.train.Example messages of float lists. */
#ifndef DLT_CORE_DATASET_TFRECORD_H
#define DLT_CORE_DATASET_TFRECORD_H

#include "core/source.h"

/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of `n` bytes. */
uint32_t crc32c(const void *p, size_t n);
/* As TFRecord stores it: rotated right by 15 bits, plus 0xa282ead8. */
uint32_t crc32c_masked(const void *p, size_t n);

struct float_feature {
    const char *name;
    const float *values;
    size_t n;
};
/* Appends one record with an Example of the features: length, its masked sum, the message, its masked sum. */
enum status tfrecord_append(struct buf *out, const struct float_feature *features, size_t n, struct error *e) MUST_USE;

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* A list that is wanted of each Example, as floats; lists of 64-bit integers are rounded to them. */
struct example_list {
    const char *name;
    bool present;
    size_t n;
    struct buf floats;                 /* the caller's: buf_init() before, buf_fini() after */
};
/* Fills the lists from the bytes of an Example; what else it holds is passed over.  FORMAT, RANGE, NOMEM. */
enum status example_parse(struct span bytes, struct example_list *lists, size_t n, struct error *e) MUST_USE;

struct tfrecord_reader {
    struct source *source;
    uint64_t size, offset, window_at;
    int64_t n_records;                 /* that have been read */
    struct buf window;
};
/* Borrows `src`. */
void tfrecord_reader_init(struct tfrecord_reader *r, struct source *src);
void tfrecord_reader_fini(struct tfrecord_reader *r);
/* The next record's bytes, valid until the next call.  Fails: FORMAT (a sum, a record that is cut short), RANGE, IO. */
enum status tfrecord_next(struct tfrecord_reader *r, struct span *out, bool *end, struct error *e) MUST_USE;

#endif
