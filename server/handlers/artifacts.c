/* server/handlers/artifacts.c
 *
 * What datasets, models and evaluations have in common: a row of the store, a list in pages. */
#include "server/handlers/handlers.h"

#include <string.h>

struct json *artifact_to_json(const struct artifact_row *row)
{
    struct json *v = json_new_object();
    json_set(v, "id", json_new_string(row->id));
    json_set(v, "kind", json_new_string(row->kind));
    json_set(v, "name", json_new_string(row->name));
    if (row->version > 0)
        json_set(v, "version", json_new_i64(row->version));
    json_set(v, "sha256", json_new_string(row->sha256));
    json_set(v, "job_id", json_new_string(row->job_id && *row->job_id ? row->job_id : NULL));    /* imported: none */
    json_set(v, "created_at", json_new_time(row->created_us));
    return v;
}

void respond_artifacts(struct app *app, struct request *q, struct response *r, const char *kind)
{
    struct page page;
    struct artifact_row *rows;
    struct error e;
    size_t n;
    if (!page_read(q, r, &page))
        return;
    if (store_artifacts_list(app->store, &q->arena, kind, request_query(q, "name"), page.before, page.limit + 1, &rows,
                             &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    bool more = n > page.limit;
    struct json *items = json_new_array();
    for (size_t i = 0; i < (more ? page.limit : n); i++)
        json_push(items, artifact_to_json(&rows[i]));
    respond_page(q, r, &page, items, more ? rows[page.limit - 1].id : NULL);
}

bool find_artifact(struct app *app, struct request *q, struct response *r, const char *kind, const char *id,
                   struct artifact_row *out)
{
    struct error e;
    if (store_artifact_get(app->store, &q->arena, kind, id, out, &e) == STATUS_OK)
        return true;
    respond_error(q, r, &e);
    return false;
}

static void merge_member(void *to, const char *key, const struct json *value)
{
    if (!json_get(to, key))
        json_set(to, key, json_new_copy(value));
}

void json_merge(struct json *to, struct json *from)
{
    json_each(from, merge_member, to);
    json_free(from);
}

struct json *stored_json(const char *text)
{
    struct json *v;
    struct error e;
    if (!text)
        return json_new_null();
    if (json_parse(text, strlen(text), &v, &e) == STATUS_OK)
        return v;
    return e.status == STATUS_NOMEM ? NULL : json_new_null();
}
