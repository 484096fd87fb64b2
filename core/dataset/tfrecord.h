/* core/dataset/tfrecord.h
 *
 * TensorFlow's record files: framed records with masked CRC-32C, and tf.train.Example messages of float lists. */
#ifndef DLT_CORE_DATASET_TFRECORD_H
#define DLT_CORE_DATASET_TFRECORD_H

#include "core/base.h"

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

#endif
