/* server/handlers/meta.c
 *
 * What the service says of itself: its version, its API document, its pages for people. */
#include "server/handlers/handlers.h"

#include "server/embedded.h"

#include <string.h>

#define HTML "text/html; charset=utf-8"

static const struct embedded_file *find_embedded(const char *name)
{
    for (size_t i = 0; i < n_embedded_files; i++)
        if (strcmp(embedded_files[i].name, name) == 0)
            return &embedded_files[i];
    return NULL;
}

/* Pages have no script and load nothing. */
static void respond_html(struct request *q, struct response *r, const struct buf *page, enum status s,
                         const struct error *e)
{
    if (s != STATUS_OK) {
        respond_error(q, r, e);
        return;
    }
    response_header(r, "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    respond_text(q, r, 200, HTML, page->data, page->len);
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

/* The dashboard's files hold no data, so they need no key; their scripts ask the API as everybody does. */
static const char *type_of(const char *name)
{
    static const struct { const char *ending, *type; } types[] = {
        {".html", HTML}, {".css", "text/css; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
        {".json", "application/json"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
        if (strcmp(dot, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

static void respond_asset(struct request *q, struct response *r, const struct embedded_file *file)
{
    char tag[65];
    sha256_hex(file->data, file->size, tag);
    response_header(r, "Content-Security-Policy",
                    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    response_header(r, "Referrer-Policy", "no-referrer");
    response_header(r, "Cache-Control", "no-cache");
    if (!respond_unchanged(q, r, arena_strdup(&q->arena, tag)))
        respond_text(q, r, 200, type_of(file->name), file->data, file->size);
}

void handle_index(struct app *app, struct request *q, struct response *r)
{
    const struct embedded_file *file = find_embedded("server/dashboard/index.html");
    (void)app;
    check(file);
    respond_asset(q, r, file);
}

/* /dashboard/demo-pipeline.json is deploy/demo/pipeline.json: the page's button submits what `make demo` does. */
void handle_asset(struct app *app, struct request *q, struct response *r)
{
    static const char folder[] = "server/dashboard/";
    const char *name = q->params[0];
    (void)app;
    if (strcmp(name, "demo-pipeline.json") == 0) {
        respond_asset(q, r, find_embedded("deploy/demo/pipeline.json"));
        return;
    }
    for (size_t i = 0; i < n_embedded_files; i++)
        if (strncmp(embedded_files[i].name, folder, sizeof folder - 1) == 0 &&
            strcmp(embedded_files[i].name + sizeof folder - 1, name) == 0) {
            respond_asset(q, r, &embedded_files[i]);
            return;
        }
    respond_problem(q, r, "not_found", NULL, "The dashboard has no file '%s'.", name);
}

void handle_problem_page(struct app *app, struct request *q, struct response *r)
{
    const struct problem_kind *kind = problem_find(q->params[0]);
    struct buf page;
    struct error e;
    (void)app;
    if (!kind) {
        respond_problem(q, r, "not_found", NULL, "There is no kind of problem '%s'.", q->params[0]);
        return;
    }
    buf_init(&page, 1 << 16);
    enum status s = buf_printf(&page, &e,
                               "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title>\n"
                               "<style>body{font:16px/1.5 sans-serif;max-width:42em;margin:2em auto}</style>\n"
                               "<h1>%s</h1>\n<p>Status %d, code <code>%s</code>. %s</p>\n<p>%s</p>\n"
                               "<p><a href=\"/\">All entry points</a></p></html>\n",
                               kind->title, kind->title, kind->status, kind->code,
                               kind->retryable ? "The same request may succeed later."
                                               : "Repeating the same request does not help.", kind->help);
    respond_html(q, r, &page, s, &e);
    buf_fini(&page);
}

void handle_openapi(struct app *app, struct request *q, struct response *r)
{
    const struct embedded_file *file = find_embedded("api/openapi.yaml");
    (void)app;
    if (file)
        respond_text(q, r, 200, "application/yaml", file->data, file->size);
    else
        respond_problem(q, r, "not_found", NULL, "This build has no API document.");
}

/* ---- info -------------------------------------------------------------------------------------------------------- */

static struct json *limits_to_json(const struct app *app)
{
    struct json *v = json_new_object();
    json_set(v, "connections", json_new_i64(app->config->connection_limit));
    json_set(v, "request_seconds", json_new_i64(app->config->request_seconds));
    json_set(v, "page_items", json_new_i64(PAGE_LIMIT_MAX));
    for (size_t i = 0; i < n_routes; i++)
        if (strcmp(routes[i].operation_id, "decide") == 0)
            json_set(v, "event_bytes", json_new_i64((int64_t)routes[i].body_max));
        else if (strcmp(routes[i].operation_id, "submitJob") == 0)
            json_set(v, "job_bytes", json_new_i64((int64_t)routes[i].body_max));
    return v;
}

static struct json *features_to_json(void)
{
    struct json *v = json_new_object(), *kinds = json_new_array(), *recipes = json_new_array();
    size_t n;
    const struct recipe *recipe = recipe_all(&n);
    for (const struct job_kind *const *k = job_kinds; *k; k++)
        json_push(kinds, json_new_string((*k)->name));
    for (size_t i = 0; i < n; i++)
        json_push(recipes, json_new_string(recipe[i].name));
    json_set(v, "job_kinds", kinds);
    json_set(v, "recipes", recipes);
    return v;
}

void handle_info(struct app *app, struct request *q, struct response *r)
{
    static const char *const cpu_names[] = {"portable", "avx2", "avx512"};
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string("dltrigger"));
    json_set(v, "version", json_new_string(DLT_VERSION));
    json_set(v, "build_id", json_new_string(DLT_BUILD_ID));
    json_set(v, "blas", json_new_string(blas_config()));
    json_set(v, "cpu", json_new_string(cpu_names[cpu_level()]));
    json_set(v, "cores", json_new_i64((int64_t)par_cores()));
    json_set(v, "workers", json_new_i64(app->config->workers));
    json_set(v, "threads_per_job", json_new_i64(app->config->threads));
    json_set(v, "schema_version", json_new_i64(store_schema_version(app->store)));
    json_set(v, "started_at", json_new_time(app->started_us));
    json_set(v, "uptime_seconds", json_new_i64((time_unix_us() - app->started_us) / 1000000));
    json_set(v, "limits", limits_to_json(app));
    json_set(v, "features", features_to_json());
    respond_json(q, r, 200, v);
}
