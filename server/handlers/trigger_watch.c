/* server/handlers/trigger_watch.c
 *
 * What the running menu decides: rates of its paths, and how live events compare with those of training. */
#include "server/handlers/handlers.h"

enum { RATES_SECONDS = 60, DRIFT_SECONDS = 3600, SECONDS_MAX = 3600 };

typedef enum status show_fn(struct trigger *t, int64_t seconds, struct json **out, struct error *e);

static void respond_window(struct app *app, struct request *q, struct response *r, show_fn *show, int64_t otherwise)
{
    struct json *v;
    struct error e;
    int64_t seconds;
    if (!request_query_number(q, r, "window", 1, SECONDS_MAX, otherwise, &seconds))
        return;
    enum status s = show(app->trigger, seconds, &v, &e);
    if (s == STATUS_OK)
        respond_json(q, r, 200, v);
    else if (s == STATUS_NOTFOUND)
        respond_problem(q, r, "no_active_menu", NULL, "No menu is active, so nothing is counted.");
    else
        respond_error(q, r, &e);
}

void handle_trigger_rates(struct app *app, struct request *q, struct response *r)
{
    respond_window(app, q, r, trigger_rates, RATES_SECONDS);
}

void handle_trigger_drift(struct app *app, struct request *q, struct response *r)
{
    respond_window(app, q, r, trigger_drift, DRIFT_SECONDS);
}
