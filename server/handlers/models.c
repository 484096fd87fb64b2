/* server/handlers/models.c
 *
 * Models: versions of a name, what a version says of itself, and its file. */
#include "server/handlers/handlers.h"

#include "core/interchange.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAIN_NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define ONNX_BYTES_MAX ((size_t)512 << 20)

void handle_model_list(struct app *app, struct request *q, struct response *r)
{
    respond_artifacts(app, q, r, "model");
}

void handle_model_get(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row *rows;
    struct error e;
    size_t n;
    enum status s = store_artifacts_list(app->store, &q->arena, "model", q->params[0], NULL, PAGE_LIMIT_MAX, &rows, &n,
                                         &e);
    if (s == STATUS_OK && n == 0)
        s = error_set(&e, STATUS_NOTFOUND, "There is no model '%s'.", q->params[0]);
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = json_new_object(), *versions = json_new_array();
    for (size_t i = 0; i < n; i++)
        json_push(versions, artifact_to_json(&rows[i]));
    json_set(v, "name", json_new_string(q->params[0]));
    json_set(v, "latest_version", json_new_i64(rows[0].version));
    json_set(v, "versions", versions);
    respond_json_tagged(q, r, v);
}

/* "{m}@{v}": v is a number or an alias.  NULL: already answered. */
static const char *version_ref(struct request *q, struct response *r)
{
    if (strchr(q->params[0], '@') || strchr(q->params[1], '@')) {
        respond_problem(q, r, "not_found", NULL, "There is no model '%s' with a version '%s'.", q->params[0],
                        q->params[1]);
        return NULL;
    }
    char *ref = arena_printf(&q->arena, "%s@%s", q->params[0], q->params[1]);
    if (!ref)
        respond_problem(q, r, "out_of_memory", NULL, "No memory for the name.");
    return ref;
}

static bool find_version(struct app *app, struct request *q, struct response *r, struct artifact_row *row)
{
    struct error e;
    const char *ref = version_ref(q, r);
    if (!ref)
        return false;
    if (store_model_resolve(app->store, &q->arena, ref, row, &e) == STATUS_OK)
        return true;
    respond_error(q, r, &e);
    return false;
}

void handle_model_version(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct model *m;
    const char *canonical;
    struct error e;
    if (!find_version(app, q, r, &row))
        return;
    if (registry_get(app->registry, &q->arena, row.id, &m, &canonical, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = artifact_to_json(&row);
    json_set(v, "ref", json_new_string(canonical));
    json_set(v, "header", json_encode_fields(model_header_fields, model_header(m)));
    model_release(m);
    respond_json_tagged(q, r, v);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* The model's file, opened and compared with its registered SHA-256; false: already answered. */
static bool open_artifact(struct request *q, struct response *r, const struct artifact_row *row, int *fd,
                          uint64_t *bytes)
{
    struct stat st;
    struct error e;
    char sha256[65];
    int64_t hashed;
    char *path = arena_printf(&q->arena, "%s/%s", row->folder, MODEL_FILE);
    *fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    enum status s = *fd >= 0 && fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)
                        ? sha256_file_hex(path, sha256, &hashed, &e)
                        : error_errno(&e, "%s of %s", MODEL_FILE, row->id);
    bool damaged = s == STATUS_OK && (!row->sha256 || strcmp(sha256, row->sha256) != 0);
    if (s == STATUS_OK && !damaged) {
        *bytes = (uint64_t)st.st_size;
        return true;
    }
    if (*fd >= 0)
        close(*fd);
    if (damaged)
        respond_problem(q, r, "storage_failed", NULL,
                        "The stored file of %s has SHA-256 %.12s..., registered was %.12s...: it was damaged, and is "
                        "not served.", row->id, sha256, row->sha256 ? row->sha256 : "none");
    else
        respond_error(q, r, &e);
    return false;
}

static void name_download(struct request *q, struct response *r, const struct artifact_row *row, const char *ending)
{
    /* Registered names are plain; should one ever not be, it stays out of the header. */
    bool plain = row->name && row->name[strspn(row->name, PLAIN_NAME)] == '\0';
    response_header(r, "Content-Disposition",
                    arena_printf(&q->arena, "attachment; filename=\"%s-%lld.%s\"", plain ? row->name : row->id,
                                 (long long)row->version, ending));
}

/* Made anew at each request, the same bytes each time: so ranges and ETags hold. */
static void respond_onnx(struct app *app, struct request *q, struct response *r, const struct artifact_row *row,
                         bool with_scaler)
{
    struct model *m;
    struct buf onnx;
    struct error e;
    const char *canonical;
    char sha256[65];
    int fd = -1;
    if (registry_get(app->registry, &q->arena, row->id, &m, &canonical, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    buf_init(&onnx, ONNX_BYTES_MAX);
    enum status s = model_to_onnx(m, with_scaler, &onnx, &e);
    model_release(m);
    if (s == STATUS_OK)
        sha256_hex(onnx.data, onnx.len, sha256);
    bool unchanged = s == STATUS_OK && respond_unchanged(q, r, sha256);
    if (s == STATUS_OK && !unchanged) {
        fd = memfd_create("onnx", MFD_CLOEXEC);
        if (fd < 0 || write(fd, onnx.data, onnx.len) != (ssize_t)onnx.len)
            s = error_errno(&e, "room for an ONNX file");
    }
    if (s != STATUS_OK) {
        if (fd >= 0)
            close(fd);
        respond_error(q, r, &e);
    } else if (!unchanged) {
        name_download(q, r, row, "onnx");
        respond_file_range(q, r, fd, onnx.len, "application/octet-stream");
    }
    buf_fini(&onnx);
}

/* "true", "false" or absent; false: already answered. */
static bool query_flag(struct request *q, struct response *r, const char *name, bool *out)
{
    const char *text = request_query(q, name);
    *out = text && strcmp(text, "true") == 0;
    if (!text || *out || strcmp(text, "false") == 0)
        return true;
    respond_problem(q, r, "invalid_query", NULL, "%s is true or false.", name);
    return false;
}

void handle_model_artifact(struct app *app, struct request *q, struct response *r)
{
    const char *format = request_query(q, "format");
    struct artifact_row row;
    bool with_scaler;
    uint64_t bytes;
    int fd;
    bool onnx = format && strcmp(format, "onnx") == 0;
    if (format && !onnx && strcmp(format, "dltrigger") != 0) {
        respond_problem(q, r, "invalid_query", NULL, "format is dltrigger (the default) or onnx.");
        return;
    }
    if (!query_flag(q, r, "with_scaler", &with_scaler) || !find_version(app, q, r, &row))
        return;
    if (onnx) {
        respond_onnx(app, q, r, &row, with_scaler);
        return;
    }
    if (!open_artifact(q, r, &row, &fd, &bytes))
        return;
    if (respond_unchanged(q, r, row.sha256)) {
        close(fd);
        return;
    }
    name_download(q, r, &row, "dltm");
    respond_file_range(q, r, fd, bytes, "application/octet-stream");
}
