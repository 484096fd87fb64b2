/* server/live/prom.h
 *
 * Counters of the running service and their text for Prometheus.  Counting is an atomic addition, from any thread; what
 * is kept elsewhere (jobs by state, the active menu) is read when a scrape asks. */
#ifndef DLT_SERVER_PROM_H
#define DLT_SERVER_PROM_H

#include "server/http/http.h"
#include "server/jobs/jobs.h"
#include "server/trigger/trigger.h"

struct prom;
/* `table` outlives it. */
enum status prom_create(const struct route *table, size_t n, struct prom **out, struct error *e) MUST_USE;
void prom_destroy(struct prom *p);                     /* NULL allowed */

/* For struct http_observer: ctx is the struct prom. */
void prom_http_begun(void *prom);
void prom_http_done(void *prom, size_t route, enum http_method method, int status, int64_t duration_ns);

/* A decision; and a posted event that got none, by the code of its problem. */
void prom_decided(struct prom *p, const struct decision_brief *brief);
void prom_undecided(struct prom *p, const char *problem_code);

/* What a scrape reads elsewhere; absent: NULL and 0. */
struct prom_facts {
    const struct job_count *jobs;
    size_t n_jobs;
    const int64_t *transitions;        /* [JOB_STATES] */
    const char *menu;                  /* active, or NULL */
    int64_t menu_revision;
    int64_t started_us;
};
/* Text format 0.0.4. */
#define PROM_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
enum status prom_write(const struct prom *p, const struct prom_facts *facts, struct buf *out, struct error *e) MUST_USE;

#endif
