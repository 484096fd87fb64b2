/* server/models/import.c
 *
 * An imported file becomes a version: parsed, written as our own format under a new id, and then registered.  A crash
 * in between leaves a folder that no row names, which harms nobody. */
#include "server/models/models.h"

#include "core/dataset.h"
#include "core/work.h"
#include "server/store/models.h"

#include <string.h>

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
enum { NAME_BYTES_MAX = 64, CLASSES_MOST = 64 };

/* ---- what the importer says -------------------------------------------------------------------------------------- */

static enum status check_name(const char *name, struct error *e)
{
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > NAME_BYTES_MAX || name[strspn(name, NAME_BYTES)] != '\0' || name[0] == '.' || name[0] == '-')
        return error_set(e, STATUS_ARGUMENT,
                         "a model's name has 1 to %d letters, digits, '.', '_' or '-', and does not begin "
                         "with '.' or '-'",
                         NAME_BYTES_MAX);
    return STATUS_OK;
}

static enum status split_classes(struct arena *a, const char *text, struct field_list *out, struct error *e)
{
    const char **name = ARENA_NEW(a, const char *, CLASSES_MOST);
    size_t n = 0;
    for (bool more = name && text; more; n++) {
        size_t len = strcspn(text, ",");
        if (n == CLASSES_MOST || len == 0)
            return error_set(e, STATUS_ARGUMENT, "classes are 2 to %d names with commas between them", CLASSES_MOST);
        name[n] = arena_strndup(a, text, len);
        if (!name[n])
            return error_set(e, STATUS_NOMEM, "no memory for the classes");
        more = text[len] == ',';
        text += len + 1;
    }
    if (!name)
        return error_set(e, STATUS_NOMEM, "no memory for the classes");
    *out = (struct field_list){name, n};
    return STATUS_OK;
}

/* A header carries all that is taken, so that one copy is enough. */
static enum status take_manifest(struct arena *a, const struct manifest *m, struct model_import *out, struct error *e)
{
    struct model_header from, *copy = ARENA_NEW(a, struct model_header, 1);
    if (!copy)
        return error_set(e, STATUS_NOMEM, "no memory for a scaler");
    if (m->kind != DATASET_FEATURES)
        return error_set(e, STATUS_ARGUMENT, "dataset %s has no scaler: a features dataset is needed", m->id);
    field_defaults(model_header_fields, &from);
    from.recipe = m->recipe;
    from.dataset_id = m->id;
    from.cuts = m->cuts;
    from.classes = m->classes;
    from.scaler = m->scaler;
    from.histograms = m->histograms;
    TRY(field_copy(a, model_header_fields, &from, copy, e));
    if (out->recipe && strcmp(out->recipe, copy->recipe) != 0)
        return error_set(e, STATUS_ARGUMENT, "dataset %s is of recipe %s, not %.60s", copy->dataset_id, copy->recipe,
                         out->recipe);
    out->recipe = copy->recipe;
    out->dataset_id = copy->dataset_id;
    out->cuts = &copy->cuts;
    out->scaler = &copy->scaler;
    out->histograms = copy->histograms;
    if (out->classes.n_items == 0)
        out->classes = copy->classes;
    return STATUS_OK;
}

static enum status take_dataset(struct arena *a, const char *folder, const char *id, struct model_import *out,
                                struct error *e)
{
    struct dataset *d;
    if (strncmp(id, "ds_", 3) != 0 || id[strspn(id, NAME_BYTES)] != '\0')
        return error_set(e, STATUS_ARGUMENT, "'%.60s' is not the id of a dataset", id);
    const char *path = arena_printf(a, "%s/datasets/%s", folder, id);
    if (!path)
        return error_set(e, STATUS_NOMEM, "no memory for a path");
    TRY(dataset_open(path, &d, e));
    enum status s = take_manifest(a, dataset_manifest(d), out, e);
    dataset_close(d);
    return s;
}

enum status model_import_parameters(struct arena *a, const char *folder, const struct model_import_request *request,
                                    struct model_import *out, struct error *e)
{
    *out = (struct model_import){.recipe = request->recipe};
    if (request->recipe && !recipe_find(request->recipe))
        return error_set(e, STATUS_ARGUMENT, "there is no recipe '%.60s'", request->recipe);
    if (request->classes)
        TRY(split_classes(a, request->classes, &out->classes, e));
    return request->scaler_from ? take_dataset(a, folder, request->scaler_from, out, e) : STATUS_OK;
}

/* ---- publication ------------------------------------------------------------------------------------------------- */

static enum status publish(struct store *s, struct arena *a, const struct model *m, const char *name,
                           struct model_imported *out, struct error *e)
{
    char id[40];
    store_new_id("mdl", id);
    const char *models = arena_printf(a, "%s/models", store_folder(s));
    const char *folder = arena_printf(a, "%s/models/%s", store_folder(s), id);
    const char *path = arena_printf(a, "%s/models/%s/" MODEL_FILE, store_folder(s), id);
    out->id = arena_strdup(a, id);
    out->name = arena_strdup(a, name);
    out->sha256 = arena_strdup(a, model_sha256(m));
    if (!models || !folder || !path || !out->id || !out->name || !out->sha256)
        return error_set(e, STATUS_NOMEM, "no memory for a path");
    TRY(file_make_folder(folder, e));
    enum status st = model_save(m, path, e);
    if (st == STATUS_OK)
        st = file_sync_folder(models, e);
    if (st == STATUS_OK)
        st = store_model_add(s, out->id, out->name, out->sha256, &out->version, e);
    struct error ignored;
    if (st != STATUS_OK && file_remove_tree(folder, &ignored) != STATUS_OK)
        log_line(LOG_WARN, "models/%s: what was written of an import cannot be removed: %s", id, ignored.text);
    return st;
}

enum status model_import_publish(struct store *s, struct arena *a, const struct model_import_request *request,
                                 struct span file, const char *file_name, struct model_imported *out, struct error *e)
{
    struct model_import how;
    struct model *m;
    *out = (struct model_imported){.format = model_format_names[model_format_of(file)]};
    TRY(check_name(request->name, e));
    TRY(model_import_parameters(a, store_folder(s), request, &how, e));
    TRY(model_import(&how, file, file_name, &m, e));
    enum status st = publish(s, a, m, request->name, out, e);
    model_release(m);
    return st;
}
