/* server/handlers/job_kinds.c
 *
 * GET /api/v1/job-kinds: JSON Schemas of each kind's spec and result, from the tables that decode and encode them. */
#include "server/handlers/handlers.h"

void handle_job_kinds(struct app *app, struct request *q, struct response *r)
{
    struct json *v = json_new_object(), *items = json_new_array();
    (void)app;
    for (const struct job_kind *const *k = job_kinds; *k; k++) {
        struct json *one = json_new_object();
        json_set(one, "kind", json_new_string((*k)->name));
        json_set(one, "doc", json_new_string((*k)->doc));
        json_set(one, "max_attempts", json_new_i64((*k)->max_attempts));
        json_set(one, "spec", json_schema_fields((*k)->spec_fields));
        json_set(one, "result", json_schema_fields((*k)->result_fields));
        json_push(items, one);
    }
    json_set(v, "items", items);
    json_set(v, "next_cursor", json_new_null());
    respond_json_tagged(q, r, v);
}
