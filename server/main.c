/* server/main.c
 *
 * dltriggerd, from top to bottom: settings, log, store, registry, trigger, jobs, http, loop; then the same backwards.
 * What each part does when the process stops is in server/README.md. */
#include "server/app.h"

#include "core/source.h"
#include "server/handlers/handlers.h"
#include "server/drop/drop.h"
#include "server/json/document.h"
#include "server/loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, DROP_FOLDERS_MAX = 16, PEM_BYTES_MAX = 1 << 20 };

/* ---- what only prints -------------------------------------------------------------------------------------------- */

static int print_routes(void)
{
    for (size_t i = 0; i < n_routes; i++)
        printf("%s %s %s\n", http_method_name(routes[i].method), routes[i].path, routes[i].operation_id);
    return EXIT_DONE;
}

static int print(enum config_action action, const struct config *config)
{
    struct buf text;
    struct error e;
    enum status s = STATUS_OK;
    if (action == CONFIG_ROUTES)
        return print_routes();
    buf_init(&text, 1 << 20);
    if (action == CONFIG_HELP)
        s = config_print_help(&text, &e);
    else if (action == CONFIG_PRINT)
        s = config_print_json(config, &text, &e);
    else
        s = buf_printf(&text, &e, "dltriggerd %s (%s)\n", DLT_VERSION, DLT_BUILD_ID);
    if (s == STATUS_OK)
        fwrite(text.data, 1, text.len, stdout);
    else
        fprintf(stderr, "dltriggerd: %s\n", e.text);
    buf_fini(&text);
    return s == STATUS_OK ? EXIT_DONE : EXIT_FAILED;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

/* Each connection is a descriptor, and so is each file of a job. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

#define SOURCE_SETTING "the setting source_host of dltriggerd"

static enum status set_source_policy(const struct config *c, struct error *e)
{
    const struct source_policy policy = {
        .hosts = c->source_host.items,
        .n_hosts = c->source_host.n_items,
        .setting = SOURCE_SETTING,
    };
    return source_policy_set(&policy, e);
}

static enum status start_jobs(struct app *app, struct error *e)
{
    const struct config *c = app->config;
    struct jobs_options o = {
        .data_dir = c->data_dir,
        .data_roots = c->data_root.items,
        .n_data_roots = c->data_root.n_items,
        .workers = (size_t)c->workers,
        .threads_per_job = (size_t)c->threads,
        .child_kinds = jobs_untrusted_kinds,
        .webhook_hosts = c->webhook_host.items,
        .n_webhook_hosts = c->webhook_host.n_items,
        .retention = {c->keep_completed_days, c->keep_discarded_days, c->keep_metrics_days, c->keep_work_days},
        .source_hosts = c->source_host.items,
        .n_source_hosts = c->source_host.n_items,
        .source_setting = SOURCE_SETTING,
    };
    return jobs_start(app->store, &o, &app->jobs, e);
}

/* A PEM file as text; NULL when the setting is absent. */
static enum status read_pem(const char *path, const char *setting, struct buf *text, const char **out, struct error *e)
{
    buf_init(text, PEM_BYTES_MAX);
    *out = NULL;
    if (!path)
        return STATUS_OK;
    enum status s = file_read(path, text, e);
    if (s == STATUS_OK)
        s = buf_append(text, "", 1, e);
    if (s != STATUS_OK)
        return error_wrap(e, "%s", setting);
    *out = (const char *)text->data;
    return STATUS_OK;
}

static enum status read_tls(struct app *app, const char **certificate, const char **key, struct error *e)
{
    const struct config *c = app->config;
    if (!c->tls_certificate != !c->tls_key)
        return error_set(e, STATUS_ARGUMENT, "tls_certificate and tls_key go together");
    TRY(read_pem(c->tls_certificate, "tls_certificate", &app->tls_certificate, certificate, e));
    return read_pem(c->tls_key, "tls_key", &app->tls_key, key, e);
}

/* Without keys everybody who can connect may do everything. */
static enum status check_open(const struct app *app, struct error *e)
{
    const struct config *c = app->config;
    if (access_has_keys(app->access) || http_address_is_loopback(c->host))
        return STATUS_OK;
    return error_set(e, STATUS_FORBIDDEN,
                     "listen: '%s' is not a loopback address, and without keys the service is for this machine only. Make a "
                     "key (dltrigger keys create --name NAME --scopes admin --data-dir %s), or listen on 127.0.0.1 and reach "
                     "it with: ssh -L %u:localhost:%u HOST", c->listen, c->data_dir, c->port, c->port);
}

static enum status start_webhooks(struct app *app, struct error *e)
{
    const struct config *c = app->config;
    struct webhooks_options o = {.hosts = c->webhook_host.items, .n_hosts = c->webhook_host.n_items,
                                 .secret_dir = c->webhook_secret_dir};
    return c->webhook_host.n_items > 0 ? webhooks_start(app->store, app->jobs, &o, &app->webhooks, e) : STATUS_OK;
}

static enum status start_http(struct app *app, struct error *e)
{
    const struct config *c = app->config;
    const char *certificate, *key;
    TRY(read_tls(app, &certificate, &key, e));
    struct http_options o = {
        .address = c->host,
        .port = c->port,
        .threads = (size_t)c->http_threads,
        .connection_limit = (size_t)c->connection_limit,
        .request_seconds = (int)c->request_seconds,
        .idle_seconds = (int)c->idle_seconds,
        .hosts = c->allowed_host.items,
        .n_hosts = c->allowed_host.n_items,
        .routes = routes,
        .n_routes = n_routes,
        .authorize = authorize,
        .handled = audit,
        .tls_certificate = certificate,
        .tls_key = key,
        .observer = {app->prom, prom_http_begun, prom_http_done},
        .taker_of = route_taker,
    };
    return http_start(app, &o, &app->http, e);
}

/* "127.0.0.1:43211", for whoever started the service on port 0. */
static enum status write_port_file(const struct app *app, struct error *e)
{
    char text[96];
    if (!app->config->port_file)
        return STATUS_OK;
    int n = snprintf(text, sizeof text, strchr(app->config->host, ':') ? "[%s]:%u\n" : "%s:%u\n", app->config->host,
                     http_port(app->http));
    if (file_write_atomic(app->config->port_file, text, (size_t)n, e) != STATUS_OK)
        return error_wrap(e, "port_file");
    return STATUS_OK;
}

static void announce(const struct app *app)
{
    bool v6 = strchr(app->config->host, ':') != NULL;
    if (!access_has_keys(app->access))
        fprintf(stderr, "no keys configured: loopback only\n");
    else if (!app->config->tls_key && !http_address_is_loopback(app->config->host))
        log_line(LOG_WARN, "keys travel unencrypted: set tls_certificate and tls_key, or put a TLS proxy in front");
    fprintf(stderr, "dltriggerd %s ready on %s://%s%s%s:%u\n", DLT_VERSION, app->config->tls_key ? "https" : "http",
            v6 ? "[" : "", app->config->host, v6 ? "]" : "", http_port(app->http));
}

static void wake_followers(void *http)
{
    http_wake(http);
}

static void begin_drain(void *ctx)
{
    struct app *app = ctx;
    app->draining = true;
    http_drain(app->http);
}

static void look_at_drops(void *ctx)
{
    drop_scan(ctx);
}

/* Waits for the signal to stop; with drop folders, looks at them meanwhile. */
static enum status run_loop(struct app *app, struct error *e)
{
    const struct config *c = app->config;
    const char *folders[DROP_FOLDERS_MAX];
    const char *label;
    struct drop *d;
    size_t n = c->drop_folder.n_items;
    if (n == 0)
        return loop_run(c->drain_grace_seconds, begin_drain, app, NULL, e);
    if (n > DROP_FOLDERS_MAX)
        return error_set(e, STATUS_ARGUMENT, "more than %d drop folders", DROP_FOLDERS_MAX);
    char (*paths)[4096] = mem_calloc(n, sizeof *paths);
    if (!paths)
        return error_set(e, STATUS_NOMEM, "drop folders");
    for (size_t i = 0; i < n; i++) {
        drop_split(((const char *const *)c->drop_folder.items)[i], paths[i], &label);
        folders[i] = paths[i];
    }
    const struct drop_options o = {c->drop_folder.items, n, c->drop_settle_seconds, app->store, app->jobs};
    enum status s = drop_create(&o, &d, e);
    const struct loop_watch watch = {folders, n, c->drop_settle_seconds < 2 ? 500 : 2000, look_at_drops, d};
    if (s == STATUS_OK)
        s = loop_run(c->drain_grace_seconds, begin_drain, app, &watch, e);
    drop_destroy(d);
    mem_free(paths);
    return s;
}

/* ---- from top to bottom ------------------------------------------------------------------------------------------ */

static enum status serve(struct app *app, struct error *e)
{
    const struct config *c = app->config;
    enum status s;
    TRY(set_source_policy(c, e));
    TRY(store_open(c->data_dir, &app->store, e));
    TRY_OR(s = access_create(app->store, &app->access, e), close_store);
    TRY_OR(s = check_open(app, e), destroy_access);
    TRY_OR(s = registry_create(app->store, &app->registry, e), destroy_access);
    TRY_OR(s = trigger_create(app->store, app->registry, &app->trigger, e), destroy_registry);
    TRY_OR(s = prom_create(routes, n_routes, &app->prom, e), destroy_trigger);
    TRY_OR(s = infer_stats_create(&app->infer_stats, e), destroy_prom);
    TRY_OR(s = start_jobs(app, e), destroy_stats);
    TRY_OR(s = start_webhooks(app, e), stop_jobs);
    TRY_OR(s = start_http(app, e), stop_jobs);
    jobs_on_change(app->jobs, wake_followers, app->http);
    app->ready = true;
    s = write_port_file(app, e);
    if (s == STATUS_OK) {
        announce(app);
        s = run_loop(app, e);
    }
    if (c->port_file)
        unlink(c->port_file);
    jobs_on_change(app->jobs, NULL, NULL);
    http_stop(app->http, (int)c->drain_seconds);
stop_jobs:
    webhooks_stop(app->webhooks);
    jobs_stop(app->jobs);
destroy_stats:
    infer_stats_destroy(app->infer_stats);
destroy_prom:
    prom_destroy(app->prom);
destroy_trigger:
    trigger_destroy(app->trigger);
destroy_registry:
    registry_destroy(app->registry);
destroy_access:
    access_destroy(app->access);
    buf_fini(&app->tls_certificate);
    buf_fini(&app->tls_key);
close_store:
    store_close(app->store);
    return s;
}

int main(int argc, char **argv)
{
    struct arena arena;
    struct config config;
    enum config_action action = CONFIG_RUN;
    struct error e;
    sandbox_init(argc, argv, sandboxed_tasks);
    if (jobs_is_child(argc, argv))
        return jobs_child_main(argc, argv, NULL);
    loop_ignore_sigpipe();
    arena_init(&arena, 8 << 20);
    if (config_load(&arena, argc, argv, getenv, &config, &action, &e) != STATUS_OK) {
        fprintf(stderr, "dltriggerd: %s\n", e.text);
        arena_fini(&arena);
        return EXIT_USAGE;
    }
    int exit_status = EXIT_DONE;
    if (action == CONFIG_RUN) {
        struct app app = {.config = &config, .started_us = time_unix_us()};
        log_set((enum log_level)config.log_level, NULL, NULL);
        raise_descriptor_limit();
        if (serve(&app, &e) != STATUS_OK) {
            fprintf(stderr, "dltriggerd: %s\n", e.text);
            exit_status = e.status == STATUS_FORBIDDEN ? EXIT_USAGE : EXIT_FAILED;
        } else {
            log_line(LOG_INFO, "stopped");
        }
    } else {
        exit_status = print(action, &config);
    }
    arena_fini(&arena);
    return exit_status;
}
