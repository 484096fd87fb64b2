/* server/app.h
 *
 * What a handler can reach, created in main in this order and destroyed in reverse. */
#ifndef DLT_SERVER_APP_H
#define DLT_SERVER_APP_H

#include "server/access/access.h"
#include "server/config.h"
#include "server/http/http.h"
#include "server/jobs/jobs.h"
#include "server/live/infer_stats.h"
#include "server/live/prom.h"
#include "server/live/webhook.h"
#include "server/registry/registry.h"
#include "server/store/store.h"
#include "server/trigger/trigger.h"

struct app {
    const struct config *config;
    struct store *store;
    struct access *access;
    struct registry *registry;
    struct trigger *trigger;
    struct jobs *jobs;
    struct webhooks *webhooks;         /* NULL: there is nobody to be told */
    struct prom *prom;
    struct infer_stats *infer_stats;
    struct http *http;
    struct buf tls_certificate, tls_key;           /* PEM texts that http uses */
    int64_t started_us;
    _Atomic bool ready;                /* everything above is there */
    _Atomic bool draining;             /* SIGTERM has come */
    _Atomic bool inspecting;           /* one files:inspect at a time: see server/handlers/files.c */
};

#endif
