/* server/handlers/menus.c
 *
 * Trigger menus: thin calls into server/trigger. */
#include "server/handlers/handlers.h"

/* `whole`: with the menu as posted, and what activation froze. */
static struct json *menu_to_json(const struct menu_row *row, bool whole)
{
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string(row->name));
    json_set(v, "revision", json_new_i64(row->revision));
    json_set(v, "comment", json_new_string(row->comment));
    json_set(v, "active", json_new_bool(row->active));
    json_set(v, "created_at", json_new_time(row->created_us));
    json_set(v, "activated_at", json_new_time(row->activated_us));
    if (whole) {
        json_set(v, "menu", stored_json(row->body));
        json_set(v, "resolved", stored_json(row->resolved));
    }
    return v;
}

static void respond_menu(struct app *app, struct request *q, struct response *r, const char *name, int64_t revision,
                         int status)
{
    struct menu_row row;
    struct error e;
    if (store_menu_get(app->store, &q->arena, name, revision, &row, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else if (status == 200)
        respond_json_tagged(q, r, menu_to_json(&row, true));
    else
        respond_json(q, r, status, menu_to_json(&row, true));
}

void handle_menu_list(struct app *app, struct request *q, struct response *r)
{
    struct page page;
    struct menu_row *rows;
    struct error e;
    size_t n;
    if (!page_read(q, r, &page))
        return;
    if (store_menus_list(app->store, &q->arena, page.limit, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *items = json_new_array();
    for (size_t i = 0; i < n; i++)
        json_push(items, menu_to_json(&rows[i], false));
    respond_page(q, r, &page, items, NULL);            /* the store lists the newest only */
}

void handle_menu_create(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct json *body;
    struct error e;
    const char *name;
    int64_t revision;
    if (!request_json(q, r, false, &body))
        return;
    enum status s = trigger_menu_create(app->trigger, body, &name, &revision, &q->arena, &problems, &e);
    json_free(body);
    if (s == STATUS_ARGUMENT)
        respond_problem(q, r, "invalid_request", &problems, "%s", e.text);
    else if (s != STATUS_OK)
        respond_error(q, r, &e);
    if (s != STATUS_OK)
        return;
    response_header(r, "Location",
                    arena_printf(&q->arena, "/api/v1/menus/%s/revisions/%lld", name, (long long)revision));
    respond_menu(app, q, r, name, revision, 201);
}

void handle_menu_get(struct app *app, struct request *q, struct response *r)
{
    int64_t revision;
    if (request_param_number(q, r, 1, "revision", &revision))
        respond_menu(app, q, r, q->params[0], revision, 200);
}

struct activation {
    const char *prescale_column;
};
static const struct field activation_fields[] = {
    FIELD_STRING(struct activation, prescale_column, .min = 1, .max = 64,
                 .doc = "which of the menu's columns of prescales; absent: its first"),
    FIELD_END,
};

void handle_menu_activate(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct activation wanted;
    struct error e;
    int64_t revision;
    if (!request_param_number(q, r, 1, "revision", &revision) ||
        !request_fields(q, r, true, activation_fields, &wanted))
        return;
    enum status s = trigger_menu_activate_column(app->trigger, q->params[0], revision, wanted.prescale_column,
                                                 &problems, &e);
    if (s == STATUS_OK)
        respond_menu(app, q, r, q->params[0], revision, 200);
    else if (problems.n > 0)
        respond_problem(q, r, "invalid_request", &problems, "%s", e.text);
    else
        respond_error(q, r, &e);
}
