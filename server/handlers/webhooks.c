/* server/handlers/webhooks.c
 *
 * What was told of a job, and what its receiver said. */
#include "server/handlers/handlers.h"

#include <string.h>

enum { DELIVERIES_MAX = 500 };

static struct json *delivery_to_json(const struct webhook_delivery *d)
{
    struct json *v = json_new_object();
    const char *state = strchr(d->event, ' ');
    bool waits = strcmp(d->state, "waiting") == 0;
    json_set(v, "delivery", json_new_i64(d->seq));
    json_set(v, "event", json_new_string(state ? state + 1 : d->event));
    json_set(v, "url", json_new_string(d->url));
    json_set(v, "state", json_new_string(d->state));
    json_set(v, "attempts", json_new_i64(d->attempts));
    json_set(v, "http_status", d->http_status ? json_new_i64(d->http_status) : json_new_null());
    json_set(v, "error", json_new_string(d->error));
    json_set(v, "created_at", json_new_time(d->created_us));
    json_set(v, "next_at", waits ? json_new_time(d->next_us) : json_new_null());
    json_set(v, "finished_at", json_new_time(d->finished_us));
    return v;
}

void handle_job_deliveries(struct app *app, struct request *q, struct response *r)
{
    struct webhook_delivery *rows;
    struct job_row row;
    struct error e;
    size_t n = 0;
    enum status s = store_job_get(app->store, &q->arena, q->params[0], &row, &e);
    if (s == STATUS_OK)
        s = store_webhook_deliveries(app->store, &q->arena, q->params[0], 0, DELIVERIES_MAX, &rows, &n, &e);
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = json_new_object(), *items = json_new_array();
    for (size_t i = 0; i < n; i++)
        json_push(items, delivery_to_json(&rows[i]));
    json_set(v, "items", items);
    json_set(v, "next_cursor", json_new_null());
    respond_json_tagged(q, r, v);
}
