/* server/handlers/facts.h
 *
 * What an artifact says of itself in its folder, in short: an object with `inputs` (ids that it was made of), for
 * evaluations `model_version`, and what a list should show.  Artifacts never change, so it is read once and kept in the
 * store. */
#ifndef DLT_SERVER_HANDLERS_FACTS_H
#define DLT_SERVER_HANDLERS_FACTS_H

#include "server/http/http.h"
#include "server/store/store.h"

/* The caller's: json_free().  *out NULL when the artifact cannot be read, which is not kept.  Fails: NOMEM, and what the
 * store fails with. */
enum status artifact_facts(struct store *s, struct arena *a, const struct artifact_row *row, struct json **out,
                           struct error *e) MUST_USE;
/* As respond_artifacts, each item with its facts. */
void respond_artifacts_with_facts(struct app *app, struct request *q, struct response *r, const char *kind);

#endif
