/* server/cli/export.c
 *
 * `dltrigger export`: a features dataset of a data folder in a layout that other tools read; what the job kind `export`
 * does, without a server and into a folder of one's choice. */
#include "core/dataset.h"
#include "server/cli/cli.h"

#include <string.h>

static const char *data_dir, *format_name, *layout_name, *what_name, *compression_name, *out_folder;
static bool sequences, with_scaler;

static const struct cli_option options[] = {
    {"--format", "NAME", "parquet, tfrecord, npy or csv; of a model onnx", &format_name, NULL},
    {"--layout", "NAME", "published (default), flat or features", &layout_name, NULL},
    {"--what", "NAME", "hlf (default), sequence or both", &what_name, NULL},
    {"--sequences", NULL, "the same as --what both", NULL, &sequences},
    {"--compression", "NAME", "of Parquet: snappy (default), none, gzip or zstd", &compression_name, NULL},
    {"--with-scaler", NULL, "onnx: features come as measured, the scaler is in the graph", NULL, &with_scaler},
    {"--out", "DIR", "a new folder, onnx: a file; it appears when it is complete", &out_folder, NULL},
    {"--data-dir", "DIR", "where the dataset or model is", &data_dir, NULL},
};
static const struct cli_usage usage = {
    "export", "DATASET --format NAME --out DIR --data-dir DIR\n"
    "       dltrigger export MODEL[@VERSION] --format onnx [--with-scaler] --out FILE --data-dir DIR",
    "Writes a features dataset as HLF_input, GRU_input and encoded_label: Parquet, TFRecord, NumPy; or as a table.\n"
    "Writes a model (without --data-dir: a model file) as ONNX.",
    options, ARRAY_LEN(options)};

static enum status export_dataset(const char *id, const struct export_options *o, struct error *e)
{
    char folder[4096];
    struct dataset *d;
    if (strchr(id, '/') || id[0] == '.' || id[0] == '\0')
        return error_set(e, STATUS_ARGUMENT, "%.60s is not the id of a dataset", id);
    if (snprintf(folder, sizeof folder, "%s/datasets/%s", data_dir, id) >= (int)sizeof folder)
        return error_set(e, STATUS_RANGE, "--data-dir is too long");
    TRY(dataset_open(folder, &d, e));
    enum status s = dataset_export(d, o, out_folder, e);
    dataset_close(d);
    return s;
}

/* Index of `name` among `names`; the first when it was not given, -1 when there is no such. */
static int choice(const char *name, const char *const *names)
{
    for (int i = 0; name && names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return name ? -1 : 0;
}

int cli_export(int argc, char **argv)
{
    const char *id;
    struct error e;
    int status = cli_parse(&usage, argc, argv, &id, 1);
    if (status != CLI_GO_ON)
        return status;
    if (format_name && strcmp(format_name, "onnx") == 0) {
        if (!out_folder)
            return cli_misused(&usage, "--out is needed");
        return cli_export_model(id, data_dir, with_scaler, out_folder, &e) == STATUS_OK ? CLI_DONE
                                                                                        : cli_failed("export", &e);
    }
    if (!format_name || !out_folder || !data_dir)
        return cli_misused(&usage, "--format, --out and --data-dir are needed");
    const struct export_options o = {choice(format_name, export_format_names), choice(layout_name, export_layout_names),
                                     sequences && !what_name ? EXPORT_BOTH : choice(what_name, export_what_names),
                                     choice(compression_name, export_compression_names)};
    if (o.format < 0)
        return cli_misused(&usage, "--format is parquet, tfrecord, npy or csv");
    if (o.layout < 0 || o.what < 0 || o.compression < 0)
        return cli_misused(&usage, "--layout, --what or --compression has a value that there is not");
    return export_dataset(id, &o, &e) == STATUS_OK ? CLI_DONE : cli_failed("export", &e);
}
