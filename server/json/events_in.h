/* server/json/events_in.h
 *
 * A posted event ("delphes-event/1", "hlf/1") scanned straight from the request's bytes into the columns of an
 * event_batch: no tree of values, one pass, no allocation but names.  Strict JSON (RFC 8259): UTF-8 is checked,
 * duplicate and unknown members are problems, every number must be finite, all arrays of a collection have one length.
 * Numbers are rounded as strtod rounds them (to double, then to float), so an event that was printed with nine digits
 * comes back bit for bit. */
#ifndef DLT_SERVER_JSON_EVENTS_IN_H
#define DLT_SERVER_JSON_EVENTS_IN_H

#include "core/feature.h"
#include "server/json/json.h"

enum {
    EVENTS_IN_OBJECTS_MAX = 5000,      /* a collection */
    EVENTS_IN_BYTES_MAX = 2 << 20,
    EVENTS_IN_DEPTH_MAX = 8,           /* objects and arrays inside each other */
};
#define EVENTS_IN_DEADLINE_MS_MAX 3600000

enum posted_schema { POSTED_DELPHES, POSTED_HLF };
extern const char *const posted_schema_names[];              /* "delphes-event/1", "hlf/1", NULL */

/* Parts of a decision that options.return asks for. */
enum { POSTED_SCORES = 1, POSTED_PATHS = 2, POSTED_TIMING = 4, POSTED_ALL = 7 };

struct posted_event {
    enum posted_schema schema;
    bool has_identity;                 /* member "event"; without it run, lumi and event are 0 */
    int64_t run, lumi, event;
    const char *recipe;                /* the recipe that the client counts on, or NULL */
    float hlf[HLF_COUNT];              /* POSTED_HLF: raw features in recipe order */
    const char *menu, *model;          /* options.menu, options.model ("name@version"), or NULL */
    int64_t deadline_ms;               /* options.deadline_ms after arrival, -1: none */
    unsigned parts;                    /* POSTED_SCORES | ... */
};

/* Scans one event.  POSTED_DELPHES: `batch` (initialised by the caller, reused from event to event) is cleared and then
 * holds this one event, no cuts applied, number = event, weight 1, label -1.  POSTED_HLF: `batch` holds no event.
 * Names are copied into `a`.
 * FORMAT: not JSON, with line and column.  ARGUMENT: JSON, but not an event; `problems` says what is wrong where (they
 * are gathered through to the end of the text).  NOMEM. */
enum status events_in_scan(struct arena *a, const uint8_t *text, size_t len, struct event_batch *batch,
                           struct posted_event *out, struct json_problems *problems, struct error *e) MUST_USE;

/* Appends event `i` of a batch as a delphes-event/1 body; floats with nine digits, which is exact.  Run and lumi are 0:
 * Delphes numbers events only. */
enum status events_in_print(const struct event_batch *batch, size_t i, struct buf *out, struct error *e) MUST_USE;

#endif
