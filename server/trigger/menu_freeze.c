/* server/trigger/menu_freeze.c
 *
 * Activation's first half: aliases become versions, targets become thresholds.  What comes out is stored and is all
 * that a running menu is made from, so that moving an alias or evaluating again never changes a running menu. */
#include "server/trigger/menu.h"

#include <math.h>
#include <string.h>

#include "core/work.h"

/* Two targets are one when they print alike. */
#define TARGET_TOLERANCE 1e-9

static void pointed(struct json_problems *p, size_t i, const char *member, const char *code, const struct error *e)
{
    char pointer[160];
    (void)snprintf(pointer, sizeof pointer, "/paths/%zu/%s", i, member);
    json_problem_add(p, pointer, code, "%.250s", e->text);
}

/* ---- models -------------------------------------------------------------------------------------------- */

/* The path's model, or a problem and NULL.  Only failures of the service itself are errors. */
static enum status path_model(struct arena *a, const struct path_spec *path, size_t i, struct registry *registry,
                              struct model **model, const char **canonical, struct json_problems *problems,
                              struct error *e)
{
    enum status s = registry_get(registry, a, path->model, model, canonical, e);
    if (s == STATUS_NOTFOUND || s == STATUS_ARGUMENT) {
        pointed(problems, i, "model", "unknown_model", e);
        return STATUS_OK;
    }
    TRY(s);
    for (size_t k = 0; k < model_n_classes(*model); k++)
        if (strcmp(model_class(*model, k), path->discriminant) == 0)
            return STATUS_OK;
    char classes[160] = "";
    for (size_t k = 0, len = 0; k < model_n_classes(*model) && len < sizeof classes; k++)
        len += (size_t)snprintf(classes + len, sizeof classes - len, "%s%s", k ? ", " : "", model_class(*model, k));
    (void)error_set(e, STATUS_ARGUMENT, "%s has no such class; it has %s", *canonical, classes);
    pointed(problems, i, "discriminant", "unknown_class", e);
    return STATUS_OK;
}

static enum status finish(struct json_problems *problems, struct error *e)
{
    if (problems->n == 0)
        return STATUS_OK;
    return error_set(e, STATUS_ARGUMENT, "menu: %s: %s", problems->items[0].pointer, problems->items[0].detail);
}

/* ---- thresholds ---------------------------------------------------------------------------------------- */

enum status menu_threshold(const struct evaluation_record *evaluation, const char *class_name, double target,
                           double *threshold, struct error *e)
{
    const struct class_metrics *classes = evaluation->metrics.classes.items, *found = NULL;
    for (size_t i = 0; i < evaluation->metrics.classes.n_items; i++)
        if (strcmp(classes[i].name, class_name) == 0)
            found = &classes[i];
    if (!found)
        return error_set(e, STATUS_RANGE, "evaluation %s has no class %.64s", evaluation->id, class_name);
    const struct working_point *stored = found->working_points.items;
    for (size_t i = 0; i < found->working_points.n_items; i++)
        if (fabs(stored[i].target_signal_efficiency - target) < TARGET_TOLERANCE) {
            *threshold = stored[i].threshold;
            return STATUS_OK;
        }
    const struct roc_point *roc = found->roc.items;
    bool reached = false;
    for (size_t i = 0; i < found->roc.n_items; i++)
        if (roc[i].signal_efficiency >= target && (!reached || roc[i].threshold > *threshold)) {
            *threshold = roc[i].threshold;
            reached = true;
        }
    if (!reached)
        return error_set(e, STATUS_RANGE, "no threshold of evaluation %s keeps %.9g of class %.64s", evaluation->id,
                         target, class_name);
    return STATUS_OK;
}

static enum status find_evaluation(struct arena *a, struct store *store, const char *wanted, const char *model_version,
                                   struct artifact_row *row, struct error *e)
{
    if (strcmp(wanted, "latest") == 0)
        return store_evaluation_latest(store, a, model_version, row, e);
    return store_artifact_get(store, a, "evaluation", wanted, row, e);
}

/* Threshold of a path from the evaluation it names; problems instead of errors where the menu is to blame. */
static enum status path_threshold(struct arena *a, const struct path_spec *path, size_t i, struct store *store,
                                  const char *model_version, double *threshold, const char **evaluation_id,
                                  struct json_problems *problems, struct error *e)
{
    struct artifact_row row;
    struct evaluation_record record;
    *evaluation_id = NULL;
    *threshold = path->working_point.target.threshold;
    if (!isnan(*threshold))
        return STATUS_OK;
    enum status s = find_evaluation(a, store, path->working_point.evaluation, model_version, &row, e);
    if (s == STATUS_NOTFOUND || s == STATUS_ARGUMENT) {
        pointed(problems, i, "working_point/evaluation", "unknown_evaluation", e);
        return STATUS_OK;
    }
    TRY(s);
    TRY(evaluation_read(a, row.folder, &record, e));
    if (strcmp(record.model_version, model_version) != 0) {
        (void)error_set(e, STATUS_ARGUMENT, "%s evaluates %s, the path uses %s", row.id, record.model_version,
                        model_version);
        pointed(problems, i, "working_point/evaluation", "other_model", e);
        return STATUS_OK;
    }
    *evaluation_id = row.id;
    s = menu_threshold(&record, path->discriminant, path->working_point.target.signal_efficiency, threshold, e);
    if (s == STATUS_RANGE)
        pointed(problems, i, "working_point/target", "unreachable", e);
    return s == STATUS_RANGE ? STATUS_OK : s;
}

enum status menu_spec_check_models(struct arena *a, const struct menu_spec *spec, struct store *store,
                                   struct registry *registry, struct json_problems *problems, struct error *e)
{
    const struct path_spec *paths = spec->paths.items;
    for (size_t i = 0; i < spec->paths.n_items; i++) {
        struct model *model;
        const char *canonical, *evaluation_id;
        double threshold;
        enum status s = path_model(a, &paths[i], i, registry, &model, &canonical, problems, e);
        /* "latest" may come into being between now and activation. */
        if (s == STATUS_OK && model && strcmp(paths[i].working_point.evaluation, "latest") != 0)
            s = path_threshold(a, &paths[i], i, store, canonical, &threshold, &evaluation_id, problems, e);
        model_release(model);
        TRY(s);
    }
    return finish(problems, e);
}

/* ---- frozen -------------------------------------------------------------------------------------------- */

static struct json *frozen_path(const struct path_spec *path, const struct model *model, const char *canonical,
                                double threshold, const char *evaluation_id)
{
    struct json *out = json_new_object(), *prescales = json_new_object(), *point = json_new_null();
    const struct field_pair *pairs = path->prescales.items;
    for (size_t i = 0; i < path->prescales.n_items; i++)
        (void)json_set(prescales, pairs[i].name, json_new_i64((int64_t)pairs[i].value));
    if (evaluation_id) {
        json_free(point);
        point = json_new_object();
        (void)json_set(point, "signal_efficiency", json_new_f64(path->working_point.target.signal_efficiency));
        (void)json_set(point, "evaluation_id", json_new_string(evaluation_id));
    }
    (void)json_set(out, "path", json_new_string(path->path));
    (void)json_set(out, "model", json_new_string(canonical));
    (void)json_set(out, "model_sha256", json_new_string(model_sha256(model)));
    (void)json_set(out, "recipe", json_new_string(model_recipe(model)->name));
    (void)json_set(out, "discriminant", json_new_string(path->discriminant));
    (void)json_set(out, "threshold", json_new_f64(threshold));
    (void)json_set(out, "prescales", prescales);
    (void)json_set(out, "shadow", json_new_bool(path->shadow));
    (void)json_set(out, "working_point", point);
    if (!isnan(path->rate_budget_hz)) {
        (void)json_set(out, "rate_budget_hz", json_new_f64(path->rate_budget_hz));
        (void)json_set(out, "on_budget", json_new_string(on_budget_names[path->on_budget]));
    }
    return out;
}

/* Whether memory sufficed for all of it: what was built is asked only when it is written. */
static enum status check_complete(const struct json *v, struct error *e)
{
    struct buf text;
    buf_init(&text, MENU_TEXT_MAX);
    enum status s = json_write(v, &text, e);
    buf_fini(&text);
    return s;
}

enum status menu_freeze(struct arena *a, const struct menu_spec *spec, struct store *store, struct registry *registry,
                        struct json **out, struct json_problems *problems, struct error *e)
{
    const struct path_spec *paths = spec->paths.items;
    const char *const *names = spec->columns.items;
    struct json *frozen = json_new_object(), *columns = json_new_array(), *list = json_new_array();
    enum status s = STATUS_OK;
    *out = NULL;
    for (size_t i = 0; i < spec->columns.n_items; i++)
        (void)json_push(columns, json_new_string(names[i]));
    for (size_t i = 0; i < spec->paths.n_items && s == STATUS_OK; i++) {
        struct model *model;
        const char *canonical, *evaluation_id = NULL;
        double threshold = 0;
        s = path_model(a, &paths[i], i, registry, &model, &canonical, problems, e);
        if (s == STATUS_OK && model)
            s = path_threshold(a, &paths[i], i, store, canonical, &threshold, &evaluation_id, problems, e);
        if (s == STATUS_OK && model)
            (void)json_push(list, frozen_path(&paths[i], model, canonical, threshold, evaluation_id));
        model_release(model);
    }
    (void)json_set(frozen, "columns", columns);
    (void)json_set(frozen, "prescale_seed", json_new_i64(spec->prescale_seed));
    if (!isnan(spec->total_rate_budget_hz))
        (void)json_set(frozen, "total_rate_budget_hz", json_new_f64(spec->total_rate_budget_hz));
    (void)json_set(frozen, "paths", list);
    if (s == STATUS_OK)
        s = finish(problems, e);
    if (s == STATUS_OK)
        s = check_complete(frozen, e);
    if (s == STATUS_OK)
        *out = frozen;
    else
        json_free(frozen);
    return s;
}
