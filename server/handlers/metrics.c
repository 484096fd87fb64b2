/* server/handlers/metrics.c
 *
 * GET /metrics: the counters, and what the store and the trigger know at this moment. */
#include "server/handlers/handlers.h"

void handle_metrics(struct app *app, struct request *q, struct response *r)
{
    struct job_count *jobs;
    struct jobs_counters counters = jobs_counters(app->jobs);
    struct prom_facts facts = {.transitions = counters.transitions, .started_us = app->started_us};
    struct error e;
    if (store_jobs_count(app->store, &q->arena, &jobs, &facts.n_jobs, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    facts.jobs = jobs;
    if (!trigger_ready(app->trigger, &facts.menu, &facts.menu_revision))
        facts.menu = NULL;
    if (prom_write(app->prom, &facts, &r->body, &e) != STATUS_OK ||
        trigger_metrics(app->trigger, &r->body, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    r->status = 200;
    r->content_type = PROM_CONTENT_TYPE;
}
