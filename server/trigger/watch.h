/* server/trigger/watch.h
 *
 * What a running menu has decided: counts of each path, which paths accept together, and distributions of features and
 * scores, for server/trigger/ only.
 *
 * Each workspace counts into a shard of its own, so counting takes no lock and no atomic addition; a shard belongs to
 * its menu and is freed with it.  Once a second the totals go into a ring, from which rates over a window are read. */
#ifndef DLT_SERVER_TRIGGER_WATCH_H
#define DLT_SERVER_TRIGGER_WATCH_H

#include "server/trigger/menu.h"

enum { WATCH_SECONDS_MAX = 3600, WATCH_FEATURE_BINS = 64, WATCH_SCORE_BINS = 50 };

struct decision;
struct watch;
struct watch_shard;

/* For a menu that is about to run; its paths and models are known.  *out is the menu's. */
enum status watch_create(const struct menu *m, struct watch **out, struct error *e) MUST_USE;
void watch_destroy(struct watch *w);              /* NULL allowed; frees all shards */
/* A shard for one more workspace; NULL for want of memory: its decisions are then not counted. */
struct watch_shard *watch_shard(struct watch *w);
/* A number that no other watch of the process has or had. */
uint64_t watch_serial(const struct watch *w);
/* By the shard's only writer.  Features are those of the decision's primary model's recipe. */
void watch_count(struct watch_shard *s, const struct decision *d);
/* The totals of this moment into the ring; one caller at a time. */
void watch_tick(struct watch *w, int64_t now_ns);

/* Rates over the last `seconds` (as far as the menu has run), counts since it runs, overlap.  *out is the caller's. */
enum status watch_rates(struct watch *w, const struct menu *m, int64_t seconds, struct json **out,
                        struct error *e) MUST_USE;
/* Live features against the training part of each model, over the last `seconds`: PSI, KS, chi2; worst first. */
enum status watch_drift(struct watch *w, const struct menu *m, int64_t seconds, struct json **out,
                        struct error *e) MUST_USE;

/* Appends the counters as Prometheus text. */
enum status watch_metrics(struct watch *w, const struct menu *m, struct buf *out, struct error *e) MUST_USE;

#endif
