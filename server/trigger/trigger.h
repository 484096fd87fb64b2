/* server/trigger/trigger.h
 *
 * From a posted event to a decision: scan, object cuts, features by the model's recipe, scores, menu paths.  The
 * features come from the same code as the datasets'. */
#ifndef DLT_SERVER_TRIGGER_H
#define DLT_SERVER_TRIGGER_H

#include "core/event.h"
#include "server/json/json.h"
#include "server/registry/registry.h"

struct trigger;
enum status trigger_create(struct store *store, struct registry *registry, struct trigger **out, struct error *e) MUST_USE;
void trigger_destroy(struct trigger *t);

/* Scores one posted event (schemas delphes-event/1 and hlf/1) and appends the decision's JSON to `out`.
 * ARGUMENT with problems: 422.  FORMAT: not JSON, 400.  NOTFOUND: no active menu and no model named, 409 no_active_menu. */
struct decision_brief { bool accept; int64_t parse_us, features_us, compute_us, total_us; const char *reason; };
enum status trigger_decide(struct trigger *t, struct arena *a, const uint8_t *body, size_t len, struct buf *out,
                           struct decision_brief *brief, struct json_problems *problems, struct error *e) MUST_USE;

/* A menu as posted is checked (names, models, classes, targets); the draft's revision is returned. */
enum status trigger_menu_create(struct trigger *t, const struct json *menu, const char **name, int64_t *revision,
                                struct arena *a, struct json_problems *problems, struct error *e) MUST_USE;
/* Resolves aliases to versions and targets to thresholds, freezes both, loads the models and swaps the running menu. */
enum status trigger_menu_activate(struct trigger *t, const char *name, int64_t revision, struct json_problems *problems,
                                  struct error *e) MUST_USE;
/* Whether a menu is active and its models are loaded, for /readyz. */
bool trigger_ready(struct trigger *t, const char **menu_name, int64_t *revision);

struct trigger_counters { int64_t accepted, rejected, errors, by_reason[8]; };
struct trigger_counters trigger_counters(struct trigger *t);

#endif
