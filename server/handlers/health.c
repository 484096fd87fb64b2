/* server/handlers/health.c
 *
 * Probes.  healthz touches nothing, so that a full disk never makes an orchestrator kill a process that could still
 * drain; readyz asks each thing that an answer depends on. */
#include "server/handlers/handlers.h"

#include <sys/statvfs.h>

/* Below this a commit, its log and a checkpoint may not fit any more. */
#define DISK_FREE_MIN ((uint64_t)64 << 20)

void handle_health(struct app *app, struct request *q, struct response *r)
{
    (void)app;
    respond_text(q, r, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

void handle_started(struct app *app, struct request *q, struct response *r)
{
    if (app->ready)
        respond_text(q, r, 200, "text/plain; charset=utf-8", "started\n", 8);
    else
        respond_text(q, r, 503, "text/plain; charset=utf-8", "starting\n", 9);
}

/* One row of readyz; returns `ok`. */
static bool add_check(struct json *checks, const char *name, bool ok, const char *detail)
{
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string(name));
    json_set(v, "ok", json_new_bool(ok));
    json_set(v, "detail", json_new_string(detail));
    json_push(checks, v);
    return ok;
}

/* No active menu is a state to start from (jobs run, models can be named); an active one that is not loaded is not. */
static bool check_menu(struct app *app, struct request *q, struct json *checks)
{
    struct menu_row row;
    struct error e;
    const char *name = NULL;
    int64_t revision = 0;
    if (trigger_ready(app->trigger, &name, &revision))
        return add_check(checks, "menu", true,
                         arena_printf(&q->arena, "%.200s revision %lld", name, (long long)revision));
    enum status s = store_menu_active(app->store, &q->arena, &row, &e);
    if (s == STATUS_NOTFOUND)
        return add_check(checks, "menu", true, "none is active");
    return add_check(checks, "menu", false,
                     s == STATUS_OK ? "the active menu is not loaded" : "the store cannot be read");
}

static bool check_disk(struct app *app, struct request *q, struct json *checks)
{
    struct statvfs disk;
    if (statvfs(store_folder(app->store), &disk) != 0)
        return add_check(checks, "disk", false, "the data folder cannot be asked for its free space");
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    bool ok = free_bytes >= DISK_FREE_MIN && (disk.f_files == 0 || disk.f_favail > 0);
    return add_check(checks, "disk", ok,
                     ok ? NULL : arena_printf(&q->arena, "%llu MiB are free, %llu are needed",
                                              (unsigned long long)(free_bytes >> 20),
                                              (unsigned long long)(DISK_FREE_MIN >> 20)));
}

void handle_ready(struct app *app, struct request *q, struct response *r)
{
    struct json *v = json_new_object(), *checks = json_new_array();
    struct error e;
    bool ok = add_check(checks, "started", app->ready, NULL);
    ok &= add_check(checks, "not_draining", !app->draining, NULL);
    bool writable = store_ping(app->store, &e) == STATUS_OK;
    if (!writable)
        log_line(LOG_ERROR, "readyz: store: %s", e.text);
    ok &= add_check(checks, "store", writable, writable ? NULL : "the store cannot be written");
    ok &= check_disk(app, q, checks);
    ok &= check_menu(app, q, checks);
    json_set(v, "status", json_new_string(ok ? "ready" : app->draining ? "draining" : "not_ready"));
    json_set(v, "checks", checks);
    respond_json(q, r, ok ? 200 : 503, v);
}
