/* server/registry/registry.h
 *
 * Loaded models by reference, counted: a scorer holds what it scores with, a newer version replaces it for the next. */
#ifndef DLT_SERVER_REGISTRY_H
#define DLT_SERVER_REGISTRY_H

#include "core/model.h"
#include "server/store/store.h"

struct registry;
enum status registry_create(struct store *store, struct registry **out, struct error *e) MUST_USE;
void registry_destroy(struct registry *r);
/* Model by "name", "name@7", "name@alias": loaded once, checked against its stored SHA-256.  The caller's reference:
 * model_release.  *canonical ("name@7") is in `a`. */
enum status registry_get(struct registry *r, struct arena *a, const char *ref, struct model **out, const char **canonical,
                         struct error *e) MUST_USE;

#endif
