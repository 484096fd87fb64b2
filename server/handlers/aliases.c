/* server/handlers/aliases.c
 *
 * Aliases of a model ("champion"): where they point, moving them, and their history.  Who moves one has seen where it
 * pointed (If-Match), and a running menu keeps the versions that it was activated with. */
#include "server/handlers/handlers.h"

#include <string.h>

enum { HISTORY = 100 };

/* Number of the alias's last move; 0: none. */
static enum status last_move(struct app *app, struct request *q, struct alias_move *out, struct error *e)
{
    struct alias_move *rows;
    size_t n;
    *out = (struct alias_move){0};
    TRY(store_model_alias_moves(app->store, &q->arena, q->params[0], q->params[1], 1, &rows, &n, e));
    if (n > 0)
        *out = rows[0];
    return STATUS_OK;
}

static const char *tag_of(struct request *q, const struct alias_move *m)
{
    const char *tag = arena_printf(&q->arena, "%lld", (long long)m->seq);
    return tag ? tag : "";
}

static struct json *alias_to_json(const struct request *q, const struct alias_move *m)
{
    struct json *v = json_new_object();
    json_set(v, "model", json_new_string(q->params[0]));
    json_set(v, "alias", json_new_string(m->alias));
    json_set(v, "version", json_new_i64(m->version));
    json_set(v, "reason", json_new_string(m->reason));
    json_set(v, "moved_at", json_new_time(m->at_us));
    return v;
}

static void respond_missing(struct request *q, struct response *r)
{
    respond_problem(q, r, "not_found", NULL, "Model '%s' has no alias '%s'.", q->params[0], q->params[1]);
}

void handle_alias_get(struct app *app, struct request *q, struct response *r)
{
    struct alias_move m;
    struct error e;
    if (last_move(app, q, &m, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else if (m.version == 0)
        respond_missing(q, r);
    else if (!respond_unchanged(q, r, tag_of(q, &m)))
        respond_json(q, r, 200, alias_to_json(q, &m));
}

struct alias_body {
    int64_t version;
    const char *reason;
};
static const struct field alias_fields[] = {
    FIELD_I64(struct alias_body, version, .required = true, .min = 1, .max = 9007199254740991.0, .doc = "to point at"),
    FIELD_STRING(struct alias_body, reason, .min = 1, .max = 500, .doc = "for the history"),
    FIELD_END,
};

void handle_alias_put(struct app *app, struct request *q, struct response *r)
{
    struct alias_body wanted;
    struct alias_move m;
    struct error e;
    if (!request_fields(q, r, false, alias_fields, &wanted))
        return;
    if (last_move(app, q, &m, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    if (!request_if_match(q, r, tag_of(q, &m)))
        return;
    if (store_model_alias_set(app->store, q->params[0], q->params[1], wanted.version, wanted.reason, m.seq, &e) !=
            STATUS_OK ||
        last_move(app, q, &m, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    response_header(r, "ETag", arena_printf(&q->arena, "\"%s\"", tag_of(q, &m)));
    respond_json(q, r, 200, alias_to_json(q, &m));
}

void handle_alias_delete(struct app *app, struct request *q, struct response *r)
{
    struct alias_move m;
    struct error e;
    if (last_move(app, q, &m, &e) != STATUS_OK)
        respond_error(q, r, &e);
    else if (m.version == 0)
        respond_missing(q, r);
    else if (!request_if_match(q, r, tag_of(q, &m)))
        return;
    else if (store_model_alias_remove(app->store, q->params[0], q->params[1], request_query(q, "reason"), m.seq, &e) !=
             STATUS_OK)
        respond_error(q, r, &e);
    else
        respond_empty(r, 204);
}

void handle_model_history(struct app *app, struct request *q, struct response *r)
{
    struct alias_move *rows;
    struct error e;
    int64_t limit;
    size_t n;
    if (!request_query_number(q, r, "limit", 1, PAGE_LIMIT_MAX, HISTORY, &limit))
        return;
    if (store_model_alias_moves(app->store, &q->arena, q->params[0], NULL, (size_t)limit, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = json_new_object(), *items = json_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json *one = json_new_object();
        json_set(one, "alias", json_new_string(rows[i].alias));
        json_set(one, "version", rows[i].version ? json_new_i64(rows[i].version) : json_new_null());
        json_set(one, "reason", json_new_string(rows[i].reason));
        json_set(one, "at", json_new_time(rows[i].at_us));
        json_push(items, one);
    }
    json_set(v, "model", json_new_string(q->params[0]));
    json_set(v, "items", items);
    respond_json(q, r, 200, v);
}
