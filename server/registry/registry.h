/* server/registry/registry.h
 *
 * Loaded models by reference, counted: a scorer holds what it scores with, a newer version replaces it for the next.
 * All functions are safe from any thread. */
#ifndef DLT_SERVER_REGISTRY_H
#define DLT_SERVER_REGISTRY_H

#include "core/model.h"
#include "server/store/store.h"

/* So many models are kept for the next that asks; the one that was asked for longest ago goes first.  Who holds a model
 * keeps it. */
enum { REGISTRY_MODELS_MAX = 64 };

struct registry;
enum status registry_create(struct store *store, struct registry **out, struct error *e) MUST_USE;
void registry_destroy(struct registry *r);        /* NULL allowed */
/* Model by "name" (newest version), "name@7", "name@alias" or id: loaded once, checked against its stored SHA-256.  The
 * caller's reference: model_release.  *canonical ("name@7") is in `a`.  Fails: NOTFOUND, FORMAT (another SHA-256), and
 * what reading the file gives. */
enum status registry_get(struct registry *r, struct arena *a, const char *ref, struct model **out,
                         const char **canonical, struct error *e) MUST_USE;
/* Drops what is kept of "name@7"; who holds it keeps it. */
void registry_forget(struct registry *r, const char *canonical);
/* Models kept at present. */
size_t registry_loaded(struct registry *r);

#endif
