/* server/cli/import.c
 *
 * `dltrigger import`: a model's file (Keras, ONNX of ours, or our own) as the next version of a name in a data folder
 * whose service does not run; a running service takes it by POST /api/v1/models/NAME/versions. */
#include "server/cli/cli.h"
#include "server/models/models.h"

#include <string.h>

enum { FILE_BYTES_MAX = 1 << 30, ARENA_BYTES_MAX = 64 << 20 };

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum status import_into(struct store *store, const struct model_import_request *request, struct span bytes,
                               const char *file, struct error *e)
{
    struct arena a;
    struct model_imported m;
    arena_init(&a, ARENA_BYTES_MAX);
    enum status s = model_import_publish(store, &a, request, bytes, base_name(file), &m, e);
    if (s == STATUS_OK)
        printf("%s@%lld  %s  from %s, sha256 %s\n", m.name, (long long)m.version, m.id, m.format, m.sha256);
    arena_fini(&a);
    return s;
}

int cli_import(int argc, char **argv)
{
    static struct model_import_request request;
    const char *file, *data_dir = NULL;
    struct store *store;
    struct buf bytes;
    struct error e;
    const struct cli_option options[] = {
        {"--name", "NAME", "that it is registered under", &request.name, NULL},
        {"--recipe", "NAME", "of a Keras model (default sparkdltrigger-1)", &request.recipe, NULL},
        {"--classes", "A,B,C", "of a Keras model, in the order of its outputs (default qcd,tt,wjets)", &request.classes,
         NULL},
        {"--scaler-from", "DATASET", "of a Keras model: a features dataset (default: no scaling)", &request.scaler_from,
         NULL},
        {"--data-dir", "DIR", "the folder of a service that does not run", &data_dir, NULL},
    };
    const struct cli_usage usage = {
        "import", "FILE --name NAME --data-dir DIR [--recipe NAME] [--classes A,B,C] [--scaler-from DATASET]",
        "Registers a Keras model (.h5, .keras), an ONNX file that dltrigger exported, or a model file.", options,
        ARRAY_LEN(options)};
    int code = cli_parse(&usage, argc, argv, &file, 1);
    if (code != CLI_GO_ON)
        return code;
    if (!request.name || !data_dir)
        return cli_misused(&usage, "--name and --data-dir are needed");
    buf_init(&bytes, FILE_BYTES_MAX);
    enum status s = cli_read(file, &bytes, &e);
    if (s == STATUS_OK)
        s = store_open(data_dir, &store, &e);
    if (s == STATUS_OK) {
        s = import_into(store, &request, (struct span){bytes.data, bytes.len}, file, &e);
        store_close(store);
    }
    buf_fini(&bytes);
    return s == STATUS_OK ? CLI_DONE : cli_failed("import", &e);
}
