/* server/cli/keys.c
 *
 * `dltrigger keys`: the service's keys, made on its machine while it does not run; a running one has them under
 * /api/v1/keys. */
#include "server/access/access.h"
#include "server/cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const char *data_dir, *name, *scopes, *days, *rate;

static const struct cli_option options[] = {
    {"--data-dir", "DIR", "the service's", &data_dir, NULL},
    {"--name", "NAME", "create: whose key it is", &name, NULL},
    {"--scopes", "LIST", "create: scopes, or dashboard, submitter, filter, shifter, release-manager, admin", &scopes, NULL},
    {"--expires", "DAYS", "create: after so many days", &days, NULL},
    {"--rate", "N", "create: at most so many requests a second", &rate, NULL},
};
static const struct cli_usage usage = {
    "keys", "create | list | revoke:ID --data-dir DIR [options]",
    "Keys of the service in a data folder, while it does not run.  With the first key every request needs one.", options,
    ARRAY_LEN(options)};

static enum status number(const char *text, const char *what, double *out, struct error *e)
{
    char *end = NULL;
    *out = text ? strtod(text, &end) : 0;
    if (text && (end == text || *end != '\0' || !(*out > 0 && *out < 1e9)))
        return error_set(e, STATUS_ARGUMENT, "%s: '%.40s' is not a number above 0", what, text);
    return STATUS_OK;
}

static enum status create(struct store *store, struct error *e)
{
    char list[ACCESS_SCOPES_BYTES], id[40], token[ACCESS_TOKEN_BYTES];
    double n_days, per_second;
    TRY(access_scopes_read(scopes, list, e));
    TRY(number(days, "--expires", &n_days, e));
    TRY(number(rate, "--rate", &per_second, e));
    int64_t expires_us = n_days > 0 ? time_unix_us() + (int64_t)(n_days * 86400e6) : 0;
    TRY(access_key_make(store, name, list, per_second, expires_us, id, token, e));
    fprintf(stderr, "%s (%s): this is the only time that the key is shown\n", id, list);
    printf("%s\n", token);
    return STATUS_OK;
}

static enum status list(struct store *store, struct error *e)
{
    struct arena a;
    struct key_row *rows;
    size_t n;
    arena_init(&a, 16 << 20);
    enum status s = store_keys_list(store, &a, &rows, &n, e);
    for (size_t i = 0; i < n && s == STATUS_OK; i++)
        printf("%s\t%s\t%s\t%s\n", rows[i].id, rows[i].revoked_us ? "revoked" : "in force", rows[i].name, rows[i].scopes);
    arena_fini(&a);
    return s;
}

static enum status act(const char *what, struct store *store, struct error *e)
{
    if (strcmp(what, "create") == 0)
        return create(store, e);
    if (strcmp(what, "list") == 0)
        return list(store, e);
    return store_key_revoke(store, what + strlen("revoke:"), e);
}

int cli_keys(int argc, char **argv)
{
    const char *what;
    struct store *store;
    struct error e;
    int status = cli_parse(&usage, argc, argv, &what, 1);
    if (status != CLI_GO_ON)
        return status;
    bool is_create = strcmp(what, "create") == 0;
    if (!is_create && strcmp(what, "list") != 0 && strncmp(what, "revoke:", 7) != 0)
        return cli_misused(&usage, "create, list or revoke:ID");
    if (!data_dir || (is_create && (!name || !scopes)))
        return cli_misused(&usage, is_create ? "--data-dir, --name and --scopes are needed" : "--data-dir is needed");
    if (store_open(data_dir, &store, &e) != STATUS_OK)
        return cli_failed("keys", &e);
    enum status s = act(what, store, &e);
    store_close(store);
    return s == STATUS_OK ? CLI_DONE : cli_failed("keys", &e);
}
