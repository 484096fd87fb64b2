/* server/handlers/models.c
 *
 * Models: versions of a name, what a version says of itself, and its file. */
#include "server/handlers/handlers.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAIN_NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

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

/* The model's file, opened; false: already answered. */
static bool open_artifact(struct request *q, struct response *r, const struct artifact_row *row, int *fd,
                          uint64_t *bytes)
{
    struct stat st;
    struct error e;
    char *path = arena_printf(&q->arena, "%s/%s", row->folder, MODEL_FILE);
    *fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (*fd >= 0 && fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) {
        *bytes = (uint64_t)st.st_size;
        return true;
    }
    (void)error_errno(&e, "%s of %s", MODEL_FILE, row->id);
    if (*fd >= 0)
        close(*fd);
    respond_error(q, r, &e);
    return false;
}

void handle_model_artifact(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    uint64_t bytes;
    int fd;
    if (!find_version(app, q, r, &row) || respond_unchanged(q, r, row.sha256) ||
        !open_artifact(q, r, &row, &fd, &bytes))
        return;
    /* Registered names are plain; should one ever not be, it stays out of the header. */
    bool plain = row.name && row.name[strspn(row.name, PLAIN_NAME)] == '\0';
    response_header(r, "Content-Disposition",
                    arena_printf(&q->arena, "attachment; filename=\"%s-%lld.dltm\"", plain ? row.name : row.id,
                                 (long long)row.version));
    respond_file(r, fd, bytes, "application/octet-stream");
}
