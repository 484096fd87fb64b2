/* server/cli/export.c
 *
 * `dltrigger export`: a features dataset of a data folder in a layout that other tools read. */
#include "core/dataset.h"
#include "server/cli/cli.h"

#include <string.h>

static const char *data_dir, *format_name, *out_folder;
static bool sequences;

static const struct cli_option options[] = {
    {"--format", "NAME", "parquet, tfrecord, npy or csv", &format_name, NULL},
    {"--out", "DIR", "a new folder; it appears when it is complete", &out_folder, NULL},
    {"--data-dir", "DIR", "where the dataset is", &data_dir, NULL},
    {"--sequences", NULL, "GRU_input too (refused: not written in any format)", NULL, &sequences},
};
static const struct cli_usage usage = {
    "export", "DATASET --format NAME --out DIR --data-dir DIR",
    "Writes a features dataset as HLF_input and encoded_label: Parquet, TFRecord, NumPy; or as a CSV table.",
    options, ARRAY_LEN(options)};

static enum status export_dataset(const char *id, enum export_format format, struct error *e)
{
    char folder[4096];
    struct dataset *d;
    if (strchr(id, '/') || id[0] == '.' || id[0] == '\0')
        return error_set(e, STATUS_ARGUMENT, "%.60s is not the id of a dataset", id);
    if (snprintf(folder, sizeof folder, "%s/datasets/%s", data_dir, id) >= (int)sizeof folder)
        return error_set(e, STATUS_RANGE, "--data-dir is too long");
    TRY(dataset_open(folder, &d, e));
    enum status s = dataset_export(d, format, out_folder, e);
    dataset_close(d);
    return s;
}

int cli_export(int argc, char **argv)
{
    const char *id;
    struct error e;
    int status = cli_parse(&usage, argc, argv, &id, 1), format = -1;
    if (status != CLI_GO_ON)
        return status;
    if (!format_name || !out_folder || !data_dir)
        return cli_misused(&usage, "--format, --out and --data-dir are needed");
    for (int i = 0; export_format_names[i]; i++)
        if (strcmp(export_format_names[i], format_name) == 0)
            format = i;
    if (format < 0)
        return cli_misused(&usage, "--format is parquet, tfrecord, npy or csv");
    if (sequences) {
        (void)error_set(&e, STATUS_UNSUPPORTED, "GRU_input needs lists of lists, which this build does not write: leave "
                        "--sequences out for HLF_input and encoded_label");
        return cli_failed("export", &e);
    }
    return export_dataset(id, (enum export_format)format, &e) == STATUS_OK ? CLI_DONE : cli_failed("export", &e);
}
