/* server/handlers/exports.c
 *
 * Exported datasets: what there is, what each holds, and its files, whole or in ranges. */
#include "server/handlers/facts.h"
#include "server/handlers/handlers.h"
#include "server/store/data.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void handle_export_list(struct app *app, struct request *q, struct response *r)
{
    respond_artifacts_with_facts(app, q, r, "export");
}

static bool read_export(struct app *app, struct request *q, struct response *r, struct artifact_row *row,
                        struct export_record *record)
{
    struct error e;
    if (!find_artifact(app, q, r, "export", q->params[0], row))
        return false;
    if (export_read(&q->arena, row->folder, record, &e) == STATUS_OK)
        return true;
    respond_error(q, r, &e);
    return false;
}

void handle_export_get(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct export_record record;
    if (!read_export(app, q, r, &row, &record))
        return;
    struct json *v = artifact_to_json(&row), *said = json_encode_fields(export_record_fields, &record);
    if (said)
        json_merge(v, said);
    respond_json_tagged(q, r, v);
}

/* One of the files that the record lists: no other name leads anywhere. */
void handle_export_file(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct export_record record;
    struct stat st;
    struct error e;
    const struct export_file *file = NULL;
    if (!read_export(app, q, r, &row, &record))
        return;
    for (size_t i = 0; i < record.files.n_items; i++)
        if (strcmp(((const struct export_file *)record.files.items)[i].file, q->params[1]) == 0)
            file = (const struct export_file *)record.files.items + i;
    if (!file || strchr(file->file, '/')) {
        respond_problem(q, r, "not_found", NULL, "Export %s has no file '%s'.", row.id, q->params[1]);
        return;
    }
    if (respond_unchanged(q, r, file->sha256))
        return;
    char *path = arena_printf(&q->arena, "%s/%s", row.folder, file->file);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != file->bytes) {
        (void)error_set(&e, STATUS_IO, "file %s of export %s is not as it was written", file->file, row.id);
        if (fd >= 0)
            close(fd);
        respond_error(q, r, &e);
        return;
    }
    response_header(r, "Content-Disposition", arena_printf(&q->arena, "attachment; filename=\"%s\"", file->file));
    respond_file_range(q, r, fd, (uint64_t)st.st_size, "application/octet-stream");
}

void handle_export_delete(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct error e;
    if (!find_artifact(app, q, r, "export", q->params[0], &row))
        return;
    if (store_export_delete(app->store, row.id, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    if (file_remove_tree(row.folder, &e) != STATUS_OK)
        log_line(LOG_WARN, "folder of deleted export %s: %s", row.id, e.text);
    respond_empty(r, 204);
}
