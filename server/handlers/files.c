/* server/handlers/files.c
 *
 * POST /api/v1/files:inspect: trees and branches of one file on the server, below the data roots.  The file is a
 * stranger's: reading its directory may take a while, so one is read at a time and the other threads keep serving. */
#include "server/handlers/handlers.h"

#include "server/jobs/engine.h"

#include <stdatomic.h>

struct inspect_request {
    const char *path;
};
static const struct field inspect_fields[] = {
    FIELD_STRING(struct inspect_request, path, .required = true, .min = 1, .max = 4096,
                 .doc = "of a ROOT file on the server, absolute or relative to a data root"),
    FIELD_END,
};

static enum status resolve(const struct app *app, struct request *q, const char *given, const char **path,
                           struct error *e)
{
    struct field_list paths;
    const struct field_list *roots = &app->config->data_root;
    TRY(input_resolve(roots->items, roots->n_items, &q->arena, given, &paths, e));
    if (paths.n_items != 1)
        return error_set(e, STATUS_ARGUMENT, "%zu files match; give the path of one", paths.n_items);
    *path = ((const char **)paths.items)[0];
    return STATUS_OK;
}

static enum status describe(const char *path, struct buf *out, struct error *e)
{
    struct source *src;
    struct root_file *f = NULL;
    TRY(source_open(path, &src, e));
    enum status s = root_open(src, &f, e);
    if (s == STATUS_OK)
        s = root_describe(f, true, out, e);
    root_close(f);
    source_close(src);
    return s;
}

void handle_file_inspect(struct app *app, struct request *q, struct response *r)
{
    struct inspect_request wanted;
    const char *path = NULL;
    struct error e;
    if (!request_fields(q, r, false, inspect_fields, &wanted))
        return;
    enum status s = resolve(app, q, wanted.path, &path, &e);
    if (s == STATUS_OK && atomic_exchange(&app->inspecting, true)) {
        respond_problem(q, r, "busy", NULL, "Another file is being inspected.");
        return;
    }
    if (s == STATUS_OK) {
        s = describe(path, &r->body, &e);
        atomic_store(&app->inspecting, false);
    }
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    r->status = 200;
    r->content_type = "application/json";
}
