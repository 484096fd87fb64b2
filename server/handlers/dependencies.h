/* server/handlers/dependencies.h
 *
 * All artifacts with what each was made of: for lineage, and for refusing to delete what is needed. */
#ifndef DLT_SERVER_HANDLERS_DEPENDENCIES_H
#define DLT_SERVER_HANDLERS_DEPENDENCIES_H

#include "core/work.h"
#include "server/store/store.h"

enum { DEPENDENCY_INPUTS_MAX = 3 };

struct dependency {
    struct artifact_row row;
    const char *inputs[DEPENDENCY_INPUTS_MAX];     /* ids; of artifacts that may be gone */
    size_t n_inputs;
    const char *model_version;         /* evaluations: "name@3" */
    bool readable, up, down;           /* up, down: the caller's marks */
};
struct dependencies {
    struct arena *arena;
    struct dependency *nodes;          /* by id, falling: newest first within a kind */
    size_t n;
    int64_t state;                     /* store_artifacts_state() before they were read */
};
/* Reads every artifact's own description; one that cannot be read has no inputs and is not `readable`. */
enum status dependencies_read(struct store *store, struct arena *a, struct dependencies *out, struct error *e) MUST_USE;
struct dependency *dependencies_find(const struct dependencies *g, const char *id);      /* NULL when absent */
bool dependency_has_input(const struct dependency *node, const char *id);

#endif
