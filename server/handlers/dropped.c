/* server/handlers/dropped.c
 *
 * GET /api/v1/dropped-files: what was found in the drop folders, newest first: the job that ingests it, or why there is
 * none. */
#include "server/handlers/handlers.h"
#include "server/store/data.h"

#include <stdlib.h>
#include <string.h>

void handle_dropped_list(struct app *app, struct request *q, struct response *r)
{
    struct page page;
    struct dropped_file *rows;
    struct error e;
    size_t n;
    if (!page_read(q, r, &page))
        return;
    if (store_dropped_list(app->store, &q->arena, page.limit, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *items = json_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json *v = json_new_object();
        json_set(v, "path", json_new_string(rows[i].path));
        json_set(v, "class", json_new_string(rows[i].label));
        json_set(v, "bytes", json_new_i64(rows[i].bytes));
        json_set(v, "changed_at", json_new_time(rows[i].mtime_ns / 1000));
        json_set(v, "job_id", json_new_string(rows[i].job_id));
        json_set(v, "error", json_new_string(rows[i].error));
        json_set(v, "seen_at", json_new_time(rows[i].seen_us));
        json_push(items, v);
    }
    respond_page(q, r, &page, items, NULL);
}
