/* server/store/models.h
 *
 * Models that no job has made: imported ones. */
#ifndef DLT_SERVER_STORE_MODELS_H
#define DLT_SERVER_STORE_MODELS_H

#include "server/store/store.h"

/* A folder models/ID that is in place becomes the next version of `name`; *version is its number.  One transaction; OK
 * means durable. */
enum status store_model_add(struct store *s, const char *id, const char *name, const char *sha256, int64_t *version,
                            struct error *e) MUST_USE;

#endif
