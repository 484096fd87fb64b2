/* server/trigger/trigger.h
 *
 * From a posted event to a decision: scan, object cuts, features by the model's recipe, scores, menu paths.  The
 * features come from the same code as the datasets'.
 *
 * Threads: any number decide at once, without a lock; the running menu is immutable, activation swaps the pointer and
 * waits for those that still read the old one. */
#ifndef DLT_SERVER_TRIGGER_H
#define DLT_SERVER_TRIGGER_H

#include "core/event.h"
#include "server/json/json.h"
#include "server/registry/registry.h"

struct trigger;
/* Restores the active menu from the store with its models checked by SHA-256; when that fails, the reason is logged and
 * no menu runs (trigger_ready is false).  `store` and `registry` are borrowed; both NULL: a trigger without menus, for
 * trigger_decide_model only. */
enum status trigger_create(struct store *store, struct registry *registry, struct trigger **out,
                           struct error *e) MUST_USE;
void trigger_destroy(struct trigger *t);          /* NULL allowed; nobody may be deciding */

/* ---- decisions ----------------------------------------------------------------------------------------- */

/* Why a decision is what it is.  overload_* do not occur in this version. */
#define TRIGGER_REASON_TABLE(X) \
    X(PATH, "path") X(NO_PATH, "no_path") X(PRESELECTION, "preselection") X(PRESCALED, "prescaled") \
    X(RATE_LIMITED, "rate_limited") X(OVERLOAD_PASS, "overload_pass") X(OVERLOAD_REJECT, "overload_reject")
enum trigger_reason {
#define X(name, text) TRIGGER_##name,
    TRIGGER_REASON_TABLE(X)
#undef X
    TRIGGER_REASONS
};
const char *trigger_reason_name(enum trigger_reason r);

/* What the response's headers need.  `reason`: of the decision, or on errors "no_active_menu" (NOTFOUND),
 * "deadline_exceeded" (BUSY), NULL otherwise. */
struct decision_brief { bool accept; int64_t parse_us, features_us, compute_us, total_us; const char *reason; };

/* Scores one posted event (schemas delphes-event/1 and hlf/1) and appends the decision's JSON to `out`; on errors `out`
 * is as it was.  ARGUMENT with problems: 422.  FORMAT: not JSON, 400.  NOTFOUND: no active menu and no model named, 409
 * no_active_menu.  BUSY: the event's deadline passed before scoring, 504. */
enum status trigger_decide(struct trigger *t, struct arena *a, const uint8_t *body, size_t len, struct buf *out,
                           struct decision_brief *brief, struct json_problems *problems, struct error *e) MUST_USE;
/* The same for a request that arrived at `arrived_ns` (time_mono_ns): its deadline and total_us count from there. */
enum status trigger_decide_at(struct trigger *t, struct arena *a, int64_t arrived_ns, const uint8_t *body, size_t len,
                              struct buf *out, struct decision_brief *brief, struct json_problems *problems,
                              struct error *e) MUST_USE;
/* The same with this model, no menu, and options.model ignored; `name` ("name@7" or a file's) is for the answer. */
enum status trigger_decide_model(struct trigger *t, struct arena *a, struct model *model, const char *name,
                                 const uint8_t *body, size_t len, struct buf *out, struct decision_brief *brief,
                                 struct json_problems *problems, struct error *e) MUST_USE;

enum { BATCH_EVENTS_MAX = 10000 };
struct batch_brief { int64_t n_events, n_accepted, n_refused; };
/* `refused` appends the line of an event that got no decision, without a newline: brief->reason, problems and why as
 * trigger_decide leaves them; line is 1-based in the body.  `decided` is told of each decision; may be NULL. */
struct batch_host {
    void *ctx;
    enum status (*refused)(void *ctx, int64_t line, const struct decision_brief *brief,
                           const struct json_problems *problems, const struct error *why, struct buf *out,
                           struct error *e);
    void (*decided)(void *ctx, const struct decision_brief *brief);
};
/* One event a line (NDJSON), one decision or problem a line, in order; blank lines count for nothing.  The menu that
 * runs at the start decides all of them, scores come 64 events at a time, and an event's decision is the same bits as
 * alone.  Fails as a whole: ARGUMENT (no event, more than BATCH_EVENTS_MAX), NOMEM; `out` is then as it was. */
enum status trigger_decide_lines(struct trigger *t, int64_t arrived_ns, const uint8_t *body, size_t len,
                                 const struct batch_host *host, struct buf *out, struct batch_brief *brief,
                                 struct error *e) MUST_USE;

/* The same for events as binary columns, answered as binary columns (api/binary.md).  `refused` is told of each event
 * that got no decision; what it appends is not in the answer.  Fails as a whole: FORMAT (lengths, header), NOTFOUND (no
 * active menu), NOMEM. */
enum status trigger_decide_columns(struct trigger *t, int64_t arrived_ns, const uint8_t *body, size_t len,
                                   const struct batch_host *host, struct buf *out, struct batch_brief *brief,
                                   struct error *e) MUST_USE;

/* ---- what the running menu decides ------------------------------------------------------------------------ */

/* For the API: rates of each path over the last seconds (1 to 3600, as far as the menu has run), counts and overlap since it
 * runs; and live feature distributions against those of training.  NOTFOUND: no active menu.  *out is the caller's. */
enum status trigger_rates(struct trigger *t, int64_t seconds, struct json **out, struct error *e) MUST_USE;
enum status trigger_drift(struct trigger *t, int64_t seconds, struct json **out, struct error *e) MUST_USE;
/* The same for a scrape, as Prometheus text; nothing without an active menu. */
enum status trigger_metrics(struct trigger *t, struct buf *out, struct error *e) MUST_USE;

/* What the running menu's thresholds make of scores of one model ("name@7"), for inference without events: no prescales, no
 * budgets, nothing counted.  *found false: no menu runs, or it has no path of this model.  Bit i: path i of the menu. */
struct threshold_answer { uint64_t bits; bool accept; };
enum status trigger_thresholds(struct trigger *t, const char *model, const float *scores, size_t n, size_t n_classes,
                               struct threshold_answer *out, bool *found, struct error *e) MUST_USE;
/* Whether the running menu has a path of this model. */
enum status trigger_uses(struct trigger *t, const char *model, bool *uses, struct error *e) MUST_USE;

/* ---- menus --------------------------------------------------------------------------------------------- */

/* A menu as posted is checked (names, models, classes, targets); the draft's revision is returned. */
enum status trigger_menu_create(struct trigger *t, const struct json *menu, const char **name, int64_t *revision,
                                struct arena *a, struct json_problems *problems, struct error *e) MUST_USE;
/* What runs: a menu's revision with one of its columns.  seq counts the changes, 0: there was none. */
struct menu_pointer {
    int64_t seq, revision, since_us;
    const char *name, *column;         /* NULL: nothing runs; the menu has no columns */
};
/* As the store has it, strings in `a`. */
enum status trigger_menu_pointer(struct trigger *t, struct arena *a, struct menu_pointer *out, struct error *e) MUST_USE;
/* A change of what runs.  expected_seq: of the pointer that the caller has seen, else CONFLICT; -1: whatever it is. */
struct menu_change {
    const char *column, *reason;       /* NULL: the menu's first column, or none; no reason given */
    int64_t expected_seq;
};
/* Resolves aliases to versions and targets to thresholds, freezes both, loads the models and swaps the running menu.
 * An activated revision stays as it was frozen: activating it again runs the same models and thresholds. */
enum status trigger_menu_activate(struct trigger *t, const char *name, int64_t revision, const struct menu_change *change,
                                  struct json_problems *problems, struct error *e) MUST_USE;
/* Back to the revision that ran before the present one, with the column that it had: twice is back again.  The change's
 * column is not looked at.  CONFLICT: there was none. */
enum status trigger_menu_rollback(struct trigger *t, const struct menu_change *change, struct json_problems *problems,
                                  struct error *e) MUST_USE;
/* The running revision with another column.  CONFLICT: nothing runs. */
enum status trigger_menu_column(struct trigger *t, const struct menu_change *change, struct json_problems *problems,
                                struct error *e) MUST_USE;
/* What another revision has else: [{"pointer", "from", "to"}]; paths are compared by name.  *out is the caller's. */
enum status menu_diff(const struct json *from, const struct json *to, struct json **out, struct error *e) MUST_USE;
/* Whether a menu is active and its models are loaded, for /readyz.  *menu_name lives as long as the trigger. */
bool trigger_ready(struct trigger *t, const char **menu_name, int64_t *revision);

/* Whether prescale `n` of path keeps the event: hash64 over path, run, lumi, event with the menu's seed, modulo n, is
 * 0. The same on every machine, and in replay.  n = 0 keeps nothing. */
bool trigger_prescale_keeps(uint64_t seed, const char *path, int64_t run, int64_t lumi, int64_t event, int64_t n);

/* errors: events that were refused.  by_reason[enum trigger_reason]. */
struct trigger_counters { int64_t accepted, rejected, errors, by_reason[8]; };
struct trigger_counters trigger_counters(struct trigger *t);

#endif
