/* server/config.h
 *
 * The daemon's settings: one field table, read from defaults, then a JSON file, then DLTRIGGER_* variables, then flags;
 * the later wins.  --help, --print-config and the README's list come from the same table. */
#ifndef DLT_SERVER_CONFIG_H
#define DLT_SERVER_CONFIG_H

#include "core/base.h"

struct config {
    const char *listen;                /* as given; host and port are its parts */
    const char *data_dir;
    struct field_list data_root;       /* const char *: real paths */
    struct field_list drop_folder;     /* const char *: "DIR" or "DIR=CLASS", real paths; they are data roots too */
    double drop_settle_seconds;
    int64_t upload_mb, uploads_mb;
    struct field_list source_host;     /* const char *: patterns of source_policy_set() */
    int64_t http_threads, workers, threads;        /* 0 in the input: chosen from the cores; never 0 after loading */
    int64_t connection_limit, request_seconds, idle_seconds;
    double drain_grace_seconds, drain_seconds;
    struct field_list webhook_host;    /* const char *: hosts that webhooks may go to */
    const char *webhook_secret_dir;    /* NULL: no secrets */
    int64_t keep_completed_days, keep_discarded_days, keep_metrics_days, keep_work_days;
    int log_level;                     /* enum log_level */
    const char *port_file;
    const char *tls_certificate, *tls_key;        /* PEM files, or NULL */
    struct field_list allowed_host;    /* const char * */

    char host[64];                     /* numeric */
    uint16_t port;
};
extern const struct field config_fields[];

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_PRINT, CONFIG_ROUTES };

/* Strings live in `a`; get_env is getenv but in tests.  ARGUMENT, RANGE, FORMAT, NOTFOUND: say what is wrong and where it
 * came from.  With an action other than RUN and PRINT nothing is checked but the flags up to it. */
enum status config_load(struct arena *a, int argc, char **argv, char *(*get_env)(const char *name), struct config *out,
                        enum config_action *action, struct error *e) MUST_USE;
/* The list of flags, as --help prints it. */
enum status config_print_help(struct buf *out, struct error *e) MUST_USE;
/* The settings as a JSON file that --config reads back. */
enum status config_print_json(const struct config *c, struct buf *out, struct error *e) MUST_USE;

#endif
