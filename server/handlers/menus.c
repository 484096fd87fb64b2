/* server/handlers/menus.c
 *
 * Trigger menus: thin calls into server/trigger. */
#include "server/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>

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
    int64_t before = page.before ? strtoll(page.before, NULL, 10) : 0;
    if (store_menus_list(app->store, &q->arena, before, page.limit + 1, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    bool more = n > page.limit;
    n = more ? page.limit : n;
    struct json *items = json_new_array();
    for (size_t i = 0; i < n; i++)
        json_push(items, menu_to_json(&rows[i], false));
    respond_page(q, r, &page, items, more ? arena_printf(&q->arena, "%lld", (long long)rows[n - 1].id) : NULL);
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

/* ---- what runs --------------------------------------------------------------------------------------------------- */

static struct json *pointer_to_json(const struct menu_pointer *p)
{
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string(p->name));
    json_set(v, "revision", p->name ? json_new_i64(p->revision) : json_new_null());
    json_set(v, "prescale_column", json_new_string(p->column));
    json_set(v, "since", json_new_time(p->since_us));
    return v;
}

/* The tag of what runs is the number of its last change. */
static const char *pointer_tag(struct request *q, const struct menu_pointer *p)
{
    const char *tag = arena_printf(&q->arena, "%lld", (long long)p->seq);
    return tag ? tag : "";
}

void handle_running_menu(struct app *app, struct request *q, struct response *r)
{
    struct menu_pointer p;
    struct error e;
    if (trigger_menu_pointer(app->trigger, &q->arena, &p, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else if (!respond_unchanged(q, r, pointer_tag(q, &p)))
        respond_json(q, r, 200, pointer_to_json(&p));
}

void handle_menu_history(struct app *app, struct request *q, struct response *r)
{
    struct menu_activation *rows;
    struct error e;
    int64_t limit;
    size_t n;
    if (!request_query_number(q, r, "limit", 1, PAGE_LIMIT_MAX, PAGE_LIMIT, &limit))
        return;
    if (store_menu_activations(app->store, &q->arena, (size_t)limit, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = json_new_object(), *items = json_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json *one = json_new_object();
        json_set(one, "name", json_new_string(rows[i].name));
        json_set(one, "revision", json_new_i64(rows[i].revision));
        json_set(one, "prescale_column", json_new_string(rows[i].column));
        json_set(one, "action", json_new_string(rows[i].action));
        json_set(one, "reason", json_new_string(rows[i].reason));
        json_set(one, "at", json_new_time(rows[i].at_us));
        json_push(items, one);
    }
    json_set(v, "items", items);
    respond_json(q, r, 200, v);
}

/* Whoever changes what runs says which state he saw.  False: already answered. */
static bool change_begin(struct app *app, struct request *q, struct response *r, struct menu_change *change)
{
    struct menu_pointer p;
    struct error e;
    if (trigger_menu_pointer(app->trigger, &q->arena, &p, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return false;
    }
    change->expected_seq = p.seq;
    return request_if_match(q, r, pointer_tag(q, &p));
}

static void change_end(struct app *app, struct request *q, struct response *r, enum status s,
                       const struct json_problems *problems, const struct error *e)
{
    struct menu_pointer p;
    struct menu_row row;
    struct error why = *e;
    if (s == STATUS_OK)
        s = trigger_menu_pointer(app->trigger, &q->arena, &p, &why);
    if (s == STATUS_OK)
        s = store_menu_get(app->store, &q->arena, p.name, p.revision, &row, &why);
    if (s == STATUS_OK) {
        struct json *v = menu_to_json(&row, true);
        json_set(v, "prescale_column", json_new_string(p.column));
        response_header(r, "ETag", arena_printf(&q->arena, "\"%s\"", pointer_tag(q, &p)));
        respond_json(q, r, 200, v);
    } else if (problems->n > 0) {
        respond_problem(q, r, "invalid_request", problems, "%s", why.text);
    } else {
        respond_error(q, r, &why);
    }
}

struct activation {
    const char *prescale_column, *reason;
};
static const struct field activation_fields[] = {
    FIELD_STRING(struct activation, prescale_column, .min = 1, .max = 64,
                 .doc = "which of the menu's columns of prescales; absent: its first"),
    FIELD_STRING(struct activation, reason, .min = 1, .max = 500, .doc = "for the history"),
    FIELD_END,
};

void handle_menu_activate(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct activation wanted;
    struct menu_change change;
    struct error e = {0};
    int64_t revision;
    if (!request_param_number(q, r, 1, "revision", &revision) ||
        !request_fields(q, r, true, activation_fields, &wanted) || !change_begin(app, q, r, &change))
        return;
    change.column = wanted.prescale_column;
    change.reason = wanted.reason;
    change_end(app, q, r, trigger_menu_activate(app->trigger, q->params[0], revision, &change, &problems, &e), &problems,
               &e);
}

struct rollback {
    const char *reason;
};
static const struct field rollback_fields[] = {
    FIELD_STRING(struct rollback, reason, .min = 1, .max = 500, .doc = "for the history"),
    FIELD_END,
};

void handle_menu_rollback(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct rollback wanted;
    struct menu_change change = {0};
    struct error e = {0};
    if (!request_fields(q, r, true, rollback_fields, &wanted) || !change_begin(app, q, r, &change))
        return;
    change.reason = wanted.reason;
    change_end(app, q, r, trigger_menu_rollback(app->trigger, &change, &problems, &e), &problems, &e);
}

static const struct field column_fields[] = {
    FIELD_STRING(struct activation, prescale_column, .required = true, .min = 1, .max = 64,
                 .doc = "one of the running menu's columns"),
    FIELD_STRING(struct activation, reason, .min = 1, .max = 500, .doc = "for the history"),
    FIELD_END,
};

void handle_prescale_column(struct app *app, struct request *q, struct response *r)
{
    struct json_problems problems = {.n = 0};
    struct activation wanted;
    struct menu_change change;
    struct error e = {0};
    if (!request_fields(q, r, false, column_fields, &wanted) || !change_begin(app, q, r, &change))
        return;
    change.column = wanted.prescale_column;
    change.reason = wanted.reason;
    change_end(app, q, r, trigger_menu_column(app->trigger, &change, &problems, &e), &problems, &e);
}

/* ---- two revisions ----------------------------------------------------------------------------------------------- */

/* "7" of the same menu, or "other@7"; false: already answered. */
static bool read_against(struct request *q, struct response *r, const char **name, int64_t *revision)
{
    const char *text = request_query(q, "against"), *at = text ? strrchr(text, '@') : NULL;
    const char *number = at ? at + 1 : text;
    size_t n = number ? strspn(number, "0123456789") : 0;
    *name = at ? arena_strndup(&q->arena, text, (size_t)(at - text)) : q->params[0];
    *revision = n > 0 && n <= 18 && number[n] == '\0' ? strtoll(number, NULL, 10) : 0;
    if (*name && *revision > 0)
        return true;
    respond_problem(q, r, "invalid_query", NULL, "against is a revision of this menu (7) or of another (other@7).");
    return false;
}

void handle_menu_diff(struct app *app, struct request *q, struct response *r)
{
    struct menu_row to, from;
    struct error e;
    const char *name;
    int64_t revision, against;
    if (!request_param_number(q, r, 1, "revision", &revision) || !read_against(q, r, &name, &against))
        return;
    if (store_menu_get(app->store, &q->arena, name, against, &from, &e) != STATUS_OK ||
        store_menu_get(app->store, &q->arena, q->params[0], revision, &to, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *a = stored_json(from.body), *b = stored_json(to.body), *items, *v = json_new_object();
    enum status s = menu_diff(a, b, &items, &e);
    json_free(a);
    json_free(b);
    if (s != STATUS_OK) {
        json_free(v);
        respond_error(q, r, &e);
        return;
    }
    json_set(v, "from", json_new_string(arena_printf(&q->arena, "%s@%lld", from.name, (long long)from.revision)));
    json_set(v, "to", json_new_string(arena_printf(&q->arena, "%s@%lld", to.name, (long long)to.revision)));
    json_set(v, "items", items);
    respond_json_tagged(q, r, v);
}
