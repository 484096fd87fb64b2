/* core/model/container.h
 *
 * The file form that model files and checkpoints share:
 *
 *   offset            bytes
 *   0                 8          magic
 *   8                 4          version, little-endian like all that follows
 *   12                4          t, length of the header text
 *   16                8          n, number of floats
 *   24                t          header: field text
 *   24 + t            4 n        float32
 *   24 + t + 4 n      64         SHA-256 of all before it, as lower-case hexadecimal digits
 *
 * and nothing behind. */
#ifndef DLT_CORE_MODEL_CONTAINER_H
#define DLT_CORE_MODEL_CONTAINER_H

#include "core/base.h"

enum { CONTAINER_TEXT_MAX = 4 << 20, CONTAINER_BYTES_MAX = 1 << 30 };

struct container {
    uint32_t version;
    struct span text;
    const uint8_t *floats;             /* unaligned */
    size_t n_floats;
};

/* Appends; `n_parts` arrays of floats follow each other. */
struct float_part { const float *v; size_t n; };
enum status container_encode(const char magic[8], uint32_t version, const struct field *table, const void *header,
                             const struct float_part *parts, size_t n_parts, struct buf *out, struct error *e) MUST_USE;
/* Spans point into `bytes`.  Fails: FORMAT; UNSUPPORTED when the version is not `version`. */
enum status container_decode(struct span bytes, const char magic[8], uint32_t version, struct container *out,
                             struct error *e) MUST_USE;
/* Copies floats [first, first + n); FORMAT when one is not finite, naming it. */
enum status container_floats(const struct container *c, size_t first, size_t n, float *out, struct error *e) MUST_USE;

#endif
