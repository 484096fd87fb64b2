/* core/model/modelfile.c
 *
 * Models as bytes. */
#include "core/model/private.h"

#include <string.h>

static const char magic[8] = {'D', 'L', 'T', 'M', 'O', 'D', 'E', 'L'};
enum { DECODE_BYTES_MAX = 32 << 20 };

enum status model_encode(const struct model *m, struct buf *out, struct error *e)
{
    const struct model_header *h = model_header(m);
    struct float_part params = {model_params(m), (size_t)h->n_params};
    return container_encode(magic, MODEL_FORMAT_VERSION, model_header_fields, h, &params, 1, out, e);
}

/* `a` is scratch. */
static enum status decode(struct arena *a, struct span bytes, struct model **out, struct error *e)
{
    struct container c;
    struct model_header header;
    char sha256[65];
    TRY(container_decode(bytes, magic, MODEL_FORMAT_VERSION, &c, e));
    TRY(field_read_text(a, model_header_fields, c.text, &header, e));
    TRY(field_validate(model_header_fields, &header, "/header", e));
    if (strcmp(header.estimator, estimator_names[header.params.model]) != 0)
        return error_set(e, STATUS_UNSUPPORTED, "estimator '%s' with params.model '%s'", header.estimator,
                         estimator_names[header.params.model]);
    if (header.format_version != MODEL_FORMAT_VERSION || header.n_params < 0 ||
        (uint64_t)header.n_params != c.n_floats || header.n_train < 0 || header.epochs_done < 0)
        return error_set(e, STATUS_FORMAT, "the header contradicts the file: %zu numbers present", c.n_floats);
    float *params = mem_alloc(c.n_floats * sizeof *params + 1);     /* trees before the first epoch: none */
    if (!params)
        return error_set(e, STATUS_NOMEM, "no memory for %zu parameters", c.n_floats);
    sha256_hex(bytes.data, bytes.len, sha256);
    enum status s = container_floats(&c, 0, c.n_floats, params, e);
    if (s == STATUS_OK)
        s = model_create(&header, params, c.n_floats, sha256, out, e);
    mem_free(params);
    return s;
}

enum status model_decode(struct span bytes, const char *name, struct model **out, struct error *e)
{
    struct arena a;
    *out = NULL;
    arena_init(&a, DECODE_BYTES_MAX);
    enum status s = decode(&a, bytes, out, e);
    arena_fini(&a);
    if (s == STATUS_OK)
        return s;
    if (s == STATUS_RANGE || s == STATUS_ARGUMENT)            /* of numbers in a file: the file is wrong */
        e->status = STATUS_FORMAT;
    return error_wrap(e, "model %s", name);
}

enum status model_save(const struct model *m, const char *path, struct error *e)
{
    struct buf bytes;
    buf_init(&bytes, CONTAINER_BYTES_MAX);
    enum status s = model_encode(m, &bytes, e);
    if (s == STATUS_OK)
        s = file_write_atomic(path, bytes.data, bytes.len, e);
    buf_fini(&bytes);
    return s;
}

enum status model_load(const char *path, struct model **out, struct error *e)
{
    struct buf bytes;
    const char *slash = strrchr(path, '/');
    *out = NULL;
    buf_init(&bytes, CONTAINER_BYTES_MAX);
    enum status s = file_read(path, &bytes, e);
    if (s == STATUS_OK)
        s = model_decode((struct span){bytes.data, bytes.len}, slash ? slash + 1 : path, out, e);
    buf_fini(&bytes);
    return s;
}
