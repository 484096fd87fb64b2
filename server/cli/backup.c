/* server/cli/backup.c
 *
 * `dltrigger backup`: a consistent copy of a data folder's data base while the service does not run; a running one makes
 * its own (POST /api/v1/admin:backup).  Datasets and models are folders that never change: any copying tool has them. */
#include "server/cli/cli.h"
#include "server/store/store.h"

static const char *data_dir, *out;

static const struct cli_option options[] = {
    {"--data-dir", "DIR", "the service's", &data_dir, NULL},
    {"--out", "FILE", "the copy; must not be there yet", &out, NULL},
};
static const struct cli_usage usage = {
    "backup", "--data-dir DIR --out FILE",
    "Copies the data base of a service that does not run, and checks every page of the copy.", options,
    ARRAY_LEN(options)};

static enum status backup(struct store *store, struct error *e)
{
    TRY(store_backup(store, out, e));
    return store_check_file(out, e);
}

int cli_backup(int argc, char **argv)
{
    struct store *store;
    struct error e;
    int status = cli_parse(&usage, argc, argv, NULL, 0);
    if (status != CLI_GO_ON)
        return status;
    if (!data_dir || !out)
        return cli_misused(&usage, "--data-dir and --out are needed");
    if (store_open(data_dir, &store, &e) != STATUS_OK)
        return cli_failed("backup", &e);
    enum status s = backup(store, &e);
    store_close(store);
    return s == STATUS_OK ? CLI_DONE : cli_failed("backup", &e);
}
