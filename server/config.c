/* server/config.c
 *
 * Settings from defaults, file, environment and command line, all walking one field table. */
#include "server/config.h"

#include "server/http/http.h"
#include "server/json/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_FILE_MAX = 1 << 20, LIST_MAX = 64 };

static const char *const level_names[] = {"debug", "info", "warn", "error", NULL};

/* `unit` of a text is the shape of its value, for --help. */
const struct field config_fields[] = {
    FIELD_STRING(struct config, listen, .def_text = "127.0.0.1:8080", .unit = "ADDRESS:PORT",
                 .doc = "numeric address (or localhost) and port; port 0 takes a free one"),
    FIELD_STRING(struct config, data_dir, .unit = "DIR",
                 .doc = "where jobs, datasets and models are kept; made if absent"),
    FIELD_LIST_STRING(struct config, data_root, .unit = "DIR",
                      .doc = "folder that input files may come from; may be given several times"),
    FIELD_LIST_STRING(struct config, source_host, .unit = "HOST",
                      .doc = "host whose https:// and root:// files jobs may read: name, *.domain, host:port, or * for "
                             "every public one; may be given several times"),
    FIELD_LIST_STRING(struct config, drop_folder, .unit = "DIR[=CLASS]",
                      .doc = "folder whose ROOT files are ingested once each, as they come: DIR/CLASS/file.root by the name of "
                             "their folder, DIR/file.root as CLASS; may be given several times"),
    FIELD_F64(struct config, drop_settle_seconds, .min = 0.1, .max = 3600, .def = 5, .unit = "SECONDS",
              .doc = "that a dropped file must have stood still before it is taken (file.root.done: at once)"),
    FIELD_I64(struct config, upload_mb, .min = 1, .max = 100000000, .def = 20000, .unit = "MB",
              .doc = "largest file that is uploaded"),
    FIELD_I64(struct config, uploads_mb, .min = 1, .max = 1000000000, .def = 100000, .unit = "MB",
              .doc = "that all uploads may take together"),
    FIELD_I64(struct config, http_threads, .min = 0, .max = 8, .unit = "N",
              .doc = "threads that answer requests, 2 to 8; 0: as many as cores"),
    FIELD_I64(struct config, workers, .min = 0, .max = 256, .unit = "N",
              .doc = "jobs that run at the same time; 0: 2, or 1 on a single core"),
    FIELD_I64(struct config, threads, .min = 0, .max = 256, .unit = "N",
              .doc = "threads of one job; 0: as many as cores"),
    FIELD_I64(struct config, connection_limit, .min = 16, .max = 65536, .def = 1024, .unit = "N",
              .doc = "connections at the same time"),
    FIELD_I64(struct config, request_seconds, .min = 1, .max = 3600, .def = 30, .unit = "SECONDS",
              .doc = "in which a request must have arrived, else its connection is shut"),
    FIELD_I64(struct config, idle_seconds, .min = 1, .max = 3600, .def = 60, .unit = "SECONDS",
              .doc = "that a connection may wait for its next request"),
    FIELD_F64(struct config, drain_grace_seconds, .min = 0, .max = 3600, .def = 1, .unit = "SECONDS",
              .doc = "between SIGTERM (readyz turns 503) and the end of accepting; behind a load balancer, longer "
                     "than its probe interval"),
    FIELD_F64(struct config, drain_seconds, .min = 0, .max = 3600, .def = 30, .unit = "SECONDS",
              .doc = "that requests in flight may take to finish after that"),
    FIELD_LIST_STRING(struct config, webhook_host, .unit = "HOST",
                      .doc = "host that webhooks may go to: name, *.domain or host:port; may be given several times"),
    FIELD_STRING(struct config, webhook_secret_dir, .unit = "DIR",
                 .doc = "has a file NAME with the key that signs webhooks of secret_ref NAME"),
    FIELD_I64(struct config, keep_completed_days, .min = 0, .max = 36500, .def = 30, .unit = "DAYS",
              .doc = "that completed jobs are kept, 0: for ever; what they published always stays"),
    FIELD_I64(struct config, keep_discarded_days, .min = 0, .max = 36500, .def = 90, .unit = "DAYS",
              .doc = "that discarded and cancelled jobs are kept"),
    FIELD_I64(struct config, keep_metrics_days, .min = 0, .max = 36500, .def = 7, .unit = "DAYS",
              .doc = "that all points of a final job's series are kept; then 500 a series"),
    FIELD_I64(struct config, keep_work_days, .min = 0, .max = 36500, .def = 7, .unit = "DAYS",
              .doc = "that work folders of discarded jobs are kept for a retry"),
    FIELD_ENUM(struct config, log_level, level_names, .def = LOG_INFO, .doc = "debug, info, warn or error"),
    FIELD_STRING(struct config, tls_certificate, .unit = "FILE", .doc = "PEM, with its chain; together with tls_key: https"),
    FIELD_STRING(struct config, tls_key, .unit = "FILE", .doc = "PEM, unencrypted; keep it readable by the service only"),
    FIELD_STRING(struct config, port_file, .unit = "FILE", .doc = "gets the address that is listened on, once it is"),
    FIELD_LIST_STRING(struct config, allowed_host, .unit = "NAME",
                      .doc = "public name that a Host header may have (addresses and names without a dot always may); "
                             "may be given several times"),
    FIELD_END,
};

/* ---- one value from text ----------------------------------------------------------------------------------------- */

static enum status add_item(struct arena *a, struct field_list *list, const char *text, struct error *e)
{
    const char **items = list->items;
    if (!items)
        items = list->items = ARENA_NEW(a, const char *, LIST_MAX);
    if (!items)
        return error_set(e, STATUS_NOMEM, "no memory");
    if (list->n_items == LIST_MAX)
        return error_set(e, STATUS_RANGE, "more than %d values", (int)LIST_MAX);
    if (*text == '\0')
        return error_set(e, STATUS_ARGUMENT, "is empty");
    items[list->n_items++] = text;
    return STATUS_OK;
}

static enum status set_number(const struct field *f, void *member, const char *text, struct error *e)
{
    char *end;
    errno = 0;
    if (f->kind == FIELD_KIND_I64)
        *(int64_t *)member = strtoll(text, &end, 10);
    else
        *(double *)member = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0)
        return error_set(e, STATUS_ARGUMENT, "'%s' is not a number", text);
    return STATUS_OK;
}

static enum status set_choice(const struct field *f, int *member, const char *text, struct error *e)
{
    for (int i = 0; f->choices[i]; i++)
        if (strcmp(f->choices[i], text) == 0) {
            *member = i;
            return STATUS_OK;
        }
    return error_set(e, STATUS_ARGUMENT, "'%s' is none of %s", text, f->doc);
}

/* Lists grow by one. */
static enum status set_text(struct arena *a, const struct field *f, struct config *c, const char *text, struct error *e)
{
    void *member = (char *)c + f->offset;
    switch (f->kind) {
    case FIELD_KIND_STRING:
        *(const char **)member = text;
        return STATUS_OK;
    case FIELD_KIND_ENUM:
        return set_choice(f, member, text, e);
    case FIELD_KIND_LIST:
        return add_item(a, member, text, e);
    default:
        check(f->kind == FIELD_KIND_I64 || f->kind == FIELD_KIND_F64);
        return set_number(f, member, text, e);
    }
}

static void clear_list(const struct field *f, struct config *c)
{
    if (f->kind == FIELD_KIND_LIST)
        *(struct field_list *)((char *)c + f->offset) = (struct field_list){NULL, 0};
}

/* ---- sources ----------------------------------------------------------------------------------------------------- */

static enum status read_file(struct arena *a, const char *path, struct config *out, struct error *e)
{
    struct buf text;
    struct json *v = NULL;
    buf_init(&text, CONFIG_FILE_MAX);
    enum status s = file_read(path, &text, e);
    if (s == STATUS_OK)
        s = json_parse(text.data, text.len, &v, e);
    buf_fini(&text);
    struct json_problems *problems = ARENA_NEW(a, struct json_problems, 1);
    if (s == STATUS_OK && !problems)
        s = error_set(e, STATUS_NOMEM, "no memory");
    if (s == STATUS_OK)
        s = json_decode_fields(a, config_fields, v, "", out, problems, e);
    if (s == STATUS_ARGUMENT && problems->n > 0)
        s = error_set(e, s, "%s: %s", problems->items[0].pointer, problems->items[0].detail);
    json_free(v);
    return s == STATUS_OK ? s : error_wrap(e, "configuration file %s", path);
}

static void upper_name(const struct field *f, char out[64])
{
    int n = snprintf(out, 64, "DLTRIGGER_");
    for (const char *p = f->name; *p && n < 63; p++)
        out[n++] = (char)toupper((unsigned char)*p);
    out[n] = '\0';
}

/* Lists in a variable are separated by ':', as in PATH. */
static enum status read_variable(struct arena *a, const struct field *f, struct config *out, const char *value,
                                 struct error *e)
{
    char *text = arena_strdup(a, value);
    if (!text)
        return error_set(e, STATUS_NOMEM, "no memory");
    if (f->kind != FIELD_KIND_LIST)
        return set_text(a, f, out, text, e);
    clear_list(f, out);
    for (char *next; text; text = next) {
        next = strchr(text, ':');
        if (next)
            *next++ = '\0';
        TRY(set_text(a, f, out, text, e));
    }
    return STATUS_OK;
}

static enum status read_environment(struct arena *a, char *(*get_env)(const char *), struct config *out, struct error *e)
{
    char name[64];
    for (const struct field *f = config_fields; f->name; f++) {
        upper_name(f, name);
        const char *value = get_env(name);
        if (value && read_variable(a, f, out, value, e) != STATUS_OK)
            return error_wrap(e, "%s", name);
    }
    return STATUS_OK;
}

/* "--data-dir" and "data_dir" are one; *value is what follows '=', or NULL. */
static const struct field *find_flag(const char *flag, const char **value)
{
    const char *equals = strchr(flag, '=');
    size_t len = equals ? (size_t)(equals - flag) : strlen(flag);
    *value = equals ? equals + 1 : NULL;
    for (const struct field *f = config_fields; f->name; f++) {
        size_t i = 0;
        while (i < len && f->name[i] && (f->name[i] == flag[i] || (f->name[i] == '_' && flag[i] == '-')))
            i++;
        if (i == len && f->name[i] == '\0')
            return f;
    }
    return NULL;
}

static enum config_action find_action(const char *arg)
{
    static const struct { const char *flag; enum config_action action; } actions[] = {
        {"--help", CONFIG_HELP}, {"-h", CONFIG_HELP}, {"--version", CONFIG_VERSION},
        {"--print-config", CONFIG_PRINT}, {"--print-routes", CONFIG_ROUTES},
    };
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (strcmp(arg, actions[i].flag) == 0)
            return actions[i].action;
    return CONFIG_RUN;
}

struct command_line {
    const char *config_file;
    enum config_action action;
};

/* Walks the flags; sets values only when `out` is given, so that the first walk finds --config and the actions. */
static enum status read_flags(struct arena *a, int argc, char **argv, struct config *out, struct command_line *line,
                              struct error *e)
{
    bool seen[ARRAY_LEN(config_fields)] = {false};
    for (int i = 1; i < argc; i++) {
        const char *value = NULL, *arg = argv[i];
        enum config_action action = find_action(arg);
        if (action != CONFIG_RUN) {
            line->action = action;
            if (action != CONFIG_PRINT)
                return STATUS_OK;
            continue;
        }
        bool is_file = strncmp(arg, "--config", 8) == 0 && (arg[8] == '\0' || arg[8] == '=');
        const struct field *f = strncmp(arg, "--", 2) == 0 ? find_flag(arg + 2, &value) : NULL;
        if (!f && !is_file)
            return error_set(e, STATUS_ARGUMENT, "unknown argument '%s'; --help lists the flags", arg);
        if (!value && i + 1 == argc)
            return error_set(e, STATUS_ARGUMENT, "%s wants a value", arg);
        value = value ? value : argv[++i];
        if (is_file) {
            line->config_file = value;
        } else if (out) {
            if (!seen[f - config_fields])
                clear_list(f, out);                    /* flags replace what file and environment listed */
            seen[f - config_fields] = true;
            if (set_text(a, f, out, value, e) != STATUS_OK)
                return error_wrap(e, "%s", arg);
        }
    }
    return STATUS_OK;
}

/* ---- what is checked and derived --------------------------------------------------------------------------------- */

static enum status split_listen(struct config *c, struct error *e)
{
    const char *colon = strrchr(c->listen, ':');
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : -1;
    if (!colon || end == colon + 1 || *end != '\0' || port < 0 || port > 65535 || !isdigit((unsigned char)colon[1]))
        return error_set(e, STATUS_ARGUMENT, "listen: '%s' is not ADDRESS:PORT, as 127.0.0.1:8080", c->listen);
    const char *begin = c->listen;
    size_t len = (size_t)(colon - begin);
    if (len > 2 && begin[0] == '[' && begin[len - 1] == ']')
        begin++, len -= 2;
    if (len == 0 || len >= sizeof c->host)
        return error_set(e, STATUS_ARGUMENT, "listen: '%s' has no address", c->listen);
    memcpy(c->host, begin, len);
    c->host[len] = '\0';
    if (strcmp(c->host, "localhost") == 0)
        text_copy(c->host, sizeof c->host, "127.0.0.1");
    c->port = (uint16_t)port;
    if (!http_address_is_numeric(c->host))
        return error_set(e, STATUS_ARGUMENT, "listen: '%s' is not a numeric address (names are for allowed_host)", c->listen);
    return STATUS_OK;
}

static enum status real_roots(struct arena *a, struct config *c, struct error *e)
{
    const char **roots = c->data_root.items;
    for (size_t i = 0; i < c->data_root.n_items; i++) {
        char *real = realpath(roots[i], NULL);
        if (!real)
            return error_errno(e, "data_root: folder %s", roots[i]);
        roots[i] = arena_strdup(a, real);
        free(real);
        if (!roots[i])
            return error_set(e, STATUS_NOMEM, "no memory");
    }
    return STATUS_OK;
}

/* Real paths, which become data roots. */
static enum status real_drop_folders(struct arena *a, struct config *c, struct error *e)
{
    const char **given = c->drop_folder.items;
    size_t n = c->data_root.n_items;
    const char **roots = ARENA_NEW(a, const char *, n + c->drop_folder.n_items);
    if (!roots)
        return error_set(e, STATUS_NOMEM, "no memory");
    if (n)
        memcpy(roots, c->data_root.items, n * sizeof *roots);
    for (size_t i = 0; i < c->drop_folder.n_items; i++) {
        const char *equals = strrchr(given[i], '=');
        char *folder = arena_strndup(a, given[i], equals ? (size_t)(equals - given[i]) : strlen(given[i]));
        char *real = folder ? realpath(folder, NULL) : NULL;
        if (!folder || !real)
            return folder ? error_errno(e, "drop_folder: folder %s", folder) : error_set(e, STATUS_NOMEM, "no memory");
        roots[n] = arena_strdup(a, real);
        given[i] = arena_printf(a, "%s%s", real, equals ? equals : "");
        free(real);
        if (!roots[n++] || !given[i])
            return error_set(e, STATUS_NOMEM, "no memory");
        if (equals && !equals[1])
            return error_set(e, STATUS_ARGUMENT, "drop_folder: no class behind '='");
    }
    c->data_root = (struct field_list){roots, n};
    return STATUS_OK;
}

static void choose_threads(struct config *c)
{
    int64_t cores = (int64_t)par_cores();
    if (c->http_threads == 0)
        c->http_threads = cores;
    c->http_threads = c->http_threads < 2 ? 2 : c->http_threads > 8 ? 8 : c->http_threads;
    if (c->workers == 0)
        c->workers = cores < 2 ? 1 : 2;
    if (c->threads == 0)
        c->threads = cores;
}

static enum status complete(struct arena *a, struct config *c, struct error *e)
{
    TRY(field_validate(config_fields, c, "", e));
    if (!c->data_dir || *c->data_dir == '\0')
        return error_set(e, STATUS_ARGUMENT, "no data folder: give --data-dir DIR or set DLTRIGGER_DATA_DIR");
    TRY(split_listen(c, e));
    TRY(real_roots(a, c, e));
    TRY(real_drop_folders(a, c, e));
    choose_threads(c);
    return STATUS_OK;
}

enum status config_load(struct arena *a, int argc, char **argv, char *(*get_env)(const char *name), struct config *out,
                        enum config_action *action, struct error *e)
{
    struct command_line line = {NULL, CONFIG_RUN};
    memset(out, 0, sizeof *out);
    field_defaults(config_fields, out);
    TRY(read_flags(a, argc, argv, NULL, &line, e));
    *action = line.action;
    if (line.action != CONFIG_RUN && line.action != CONFIG_PRINT)
        return STATUS_OK;
    if (!line.config_file)
        line.config_file = get_env("DLTRIGGER_CONFIG");
    if (line.config_file)
        TRY(read_file(a, line.config_file, out, e));
    TRY(read_environment(a, get_env, out, e));
    TRY(read_flags(a, argc, argv, out, &line, e));
    return complete(a, out, e);
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static enum status print_default(const struct field *f, struct buf *out, struct error *e)
{
    if (f->kind == FIELD_KIND_STRING)
        return f->def_text ? buf_printf(out, e, " [%s]", f->def_text) : STATUS_OK;
    if (f->kind == FIELD_KIND_ENUM)
        return buf_printf(out, e, " [%s]", f->choices[(int)f->def]);
    return f->kind == FIELD_KIND_LIST ? STATUS_OK : buf_printf(out, e, " [%.15g]", f->def);
}

enum status config_print_help(struct buf *out, struct error *e)
{
    TRY(buf_printf(out, e, "usage: dltriggerd --data-dir DIR [--data-root DIR]... [--listen ADDRESS:PORT] [--config FILE]\n\n"
                           "Serves event ingestion, training and trigger decisions over HTTP on this machine.\n"
                           "Later wins: defaults, configuration file (JSON), environment, flags.\n\n"));
    for (const struct field *f = config_fields; f->name; f++) {
        char flag[64], name[64];
        snprintf(flag, sizeof flag, "%s", f->name);
        for (char *p = flag; *p; p++)
            *p = *p == '_' ? '-' : *p;
        upper_name(f, name);
        TRY(buf_printf(out, e, "  --%s %s  (%s)\n      %s", flag, f->unit ? f->unit : "LEVEL", name, f->doc));
        TRY(print_default(f, out, e));
        TRY(buf_append(out, "\n", 1, e));
    }
    return buf_printf(out, e, "  --config FILE  (DLTRIGGER_CONFIG)\n      JSON file with the members above, '_' for '-'\n"
                              "  --print-config   print the settings as such a file and exit\n"
                              "  --print-routes   print METHOD PATH OPERATION of every route and exit\n"
                              "  --version        print the version and exit\n"
                              "  --help           print this and exit\n\n"
                              "Lists in the environment are separated by ':'.  Exit status: 0 stopped as asked, 1 failed,\n"
                              "2 wrong usage.\n");
}

enum status config_print_json(const struct config *c, struct buf *out, struct error *e)
{
    struct json *v = json_encode_fields(config_fields, c);
    enum status s = json_write_pretty(v, out, e);
    json_free(v);
    return s == STATUS_OK ? buf_append(out, "\n", 1, e) : s;
}
