/* server/trigger/batch.h
 *
 * What the two forms of a batch (lines of JSON, binary columns) have in common, for server/trigger/ only: events are
 * taken one by one, gathered 64 at a time, and scored with one call of each model. */
#ifndef DLT_SERVER_TRIGGER_BATCH_H
#define DLT_SERVER_TRIGGER_BATCH_H

#include "server/trigger/trigger_private.h"

enum { CHUNK_EVENTS = 64 };

/* ---- binary events (binary.c) ---------------------------------------------------------------------------- */

enum { BINARY_VERSION = 1, BINARY_COLUMNS_MAX = 48, BINARY_REFUSED = 255 };

/* The columns of a body that has been checked; they lie in it, unaligned and little-endian. */
struct binary_events {
    enum posted_schema schema;
    size_t n;
    int64_t deadline_ms;                          /* -1: none */
    const uint8_t *run, *lumi, *event;            /* int64 [n] */
    const uint8_t *hlf;                           /* float [HLF_COUNT][n], or NULL */
    const uint8_t *count[OBJECT_KINDS];           /* uint32 [n], or NULL */
    const uint8_t *column[BINARY_COLUMNS_MAX];    /* as event_columns(): 4 bytes for each object of the kind */
};
/* Lengths and header; FORMAT says what at which byte.  Values are looked at when an event is loaded. */
enum status binary_events_parse(const uint8_t *body, size_t len, struct binary_events *out, struct error *e) MUST_USE;

/* How far loading has come: objects before the next event. */
struct binary_cursor {
    size_t i_event, object[OBJECT_KINDS];
};
/* The next event as events_in_scan would leave it.  ARGUMENT with a problem: its numbers are not an event's. */
enum status binary_event_load(const struct binary_events *b, struct binary_cursor *at, struct event_batch *batch,
                              struct posted_event *out, struct json_problems *problems, struct error *e) MUST_USE;

/* The answer's columns, one entry an event. */
struct binary_answer {
    size_t n;
    uint8_t *accept, *reason;                     /* BINARY_REFUSED: no decision */
    uint64_t *accepted, *raw;                     /* bit i: path i of the menu */
    float *score;                                 /* [n_paths][n], NaN where the path has none */
};
enum status binary_answer_init(struct binary_answer *a, struct arena *arena, const struct menu *menu, size_t n,
                               struct error *e) MUST_USE;
void binary_answer_put(struct binary_answer *a, size_t i, const struct decision *d);
void binary_answer_refuse(struct binary_answer *a, size_t i);
/* Header and columns. */
enum status binary_answer_write(const struct binary_answer *a, const struct menu *menu, struct buf *out,
                                struct error *e) MUST_USE;

#endif
