/* server/cli/export_model.c
 *
 * `dltrigger export MODEL --format onnx`: a model file, or a version in a data folder, as ONNX. */
#include "core/interchange.h"
#include "server/cli/cli.h"
#include "server/registry/registry.h"

#include <string.h>

enum { ONNX_BYTES_MAX = 512 << 20 };

static enum status load(const char *ref, const char *data_dir, struct model **out, struct error *e)
{
    struct arena a;
    struct store *store;
    struct registry *registry = NULL;
    const char *canonical;
    *out = NULL;
    if (!data_dir)
        return model_load(ref, out, e);
    TRY(store_open(data_dir, &store, e));
    arena_init(&a, 1 << 20);
    enum status s = registry_create(store, &registry, e);
    if (s == STATUS_OK)
        s = registry_get(registry, &a, ref, out, &canonical, e);
    registry_destroy(registry);
    arena_fini(&a);
    store_close(store);
    return s;
}

enum status cli_export_model(const char *ref, const char *data_dir, bool with_scaler, const char *path, struct error *e)
{
    struct model *m;
    struct buf onnx;
    TRY(load(ref, data_dir, &m, e));
    buf_init(&onnx, ONNX_BYTES_MAX);
    enum status s = model_to_onnx(m, with_scaler, &onnx, e);
    model_release(m);
    if (s == STATUS_OK)
        s = file_write_atomic(path, onnx.data, onnx.len, e);
    buf_fini(&onnx);
    return s;
}
