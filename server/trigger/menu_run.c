/* server/trigger/menu_run.c
 *
 * A running menu from its frozen form: models loaded, recipes listed once, and every part of the answer that is the
 * same for each event written out beforehand. */
#include "server/trigger/watch.h"

#include <math.h>
#include <string.h>

/* Text of `v` in the menu's arena; NULL for want of memory, also that of v. */
static const char *text_of(struct menu *m, const struct json *v)
{
    struct buf b;
    struct error e;
    buf_init(&b, MENU_TEXT_MAX);
    const char *text =
        json_write(v, &b, &e) == STATUS_OK ? arena_strndup(&m->arena, (const char *)b.data, b.len) : NULL;
    buf_fini(&b);
    return text;
}

/* The same, and frees v. */
static const char *text_taking(struct menu *m, struct json *v)
{
    const char *text = text_of(m, v);
    json_free(v);
    return text;
}

static enum status no_memory(struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory for the menu");
}

/* A number so that it reads back exactly: nine digits where it is a float, seventeen else. */
static const char *threshold_text(struct menu *m, double v)
{
    return arena_printf(&m->arena, (double)(float)v == v ? ",\"threshold\":%.9g" : ",\"threshold\":%.17g", v);
}

/* ---- models -------------------------------------------------------------------------------------------- */

static enum status add_recipe(struct menu *m, struct menu_model *model, struct error *e)
{
    bool wants_rows = model_input(model->model) != INPUT_HLF;
    for (size_t i = 0; i < m->n_recipes; i++)
        if (m->recipes[i] == model->recipe) {
            model->i_recipe = i;
            m->wants_rows[i] |= wants_rows;
            return STATUS_OK;
        }
    if (m->n_recipes == RECIPES_MAX)
        return error_set(e, STATUS_UNSUPPORTED, "more than %d recipes in one menu", RECIPES_MAX);
    model->i_recipe = m->n_recipes;
    m->wants_rows[m->n_recipes] = wants_rows;
    m->recipes[m->n_recipes++] = model->recipe;
    return STATUS_OK;
}

static const char *model_text(struct menu *m, const struct menu_model *model)
{
    struct json *v = json_new_object();
    const char *at = strrchr(model->name, '@');
    char *name = arena_strndup(&m->arena, model->name, at ? (size_t)(at - model->name) : strlen(model->name));
    long long version = 0;
    (void)json_set(v, "name", json_new_string(name));
    if (at && sscanf(at, "@%lld", &version) == 1)
        (void)json_set(v, "version", json_new_i64(version));
    else
        (void)json_set(v, "version", json_new_null());
    (void)json_set(v, "sha256", json_new_string(model_sha256(model->model)));
    (void)json_set(v, "recipe", json_new_string(model->recipe->name));
    const char *text = text_taking(m, v);
    return name ? text : NULL;
}

/* An event is cut once, so the models of a menu must have learned from events with the same cuts. */
static enum status adopt_cuts(struct menu *m, const struct model *model, const char *name, struct error *e)
{
    const struct object_cuts *cuts = &model_header(model)->cuts;
    if (m->n_models == 1)
        m->cuts = *cuts;
    if (object_cuts_equal(&m->cuts, cuts))
        return STATUS_OK;
    return error_set(e, STATUS_ARGUMENT,
                     "model %s was trained on events with other object cuts than %s: put them into menus of their own",
                     name, m->models[0].name);
}

/* Adds a model to the menu, with a reference of its own. */
static enum status add_model(struct menu *m, struct model *model, const char *name, struct error *e)
{
    struct menu_model *to = &m->models[m->n_models++];
    model_acquire(model);
    to->model = model;
    to->name = arena_strdup(&m->arena, name);
    to->recipe = model_recipe(model);
    to->n_classes = model_n_classes(model);
    to->first_score = m->n_scores;
    to->score_keys = ARENA_NEW(&m->arena, const char *, to->n_classes);
    if (!to->name || !to->score_keys)
        return no_memory(e);
    if (model_input(model) != INPUT_SEQUENCE && scaler_record_is_identity(&model_header(model)->scaler))
        return error_set(e, STATUS_ARGUMENT,
                         "model %s learned from features that were scaled before they were imported, and an event's are not: "
                         "import the data with feature_min and feature_max, and train on that", name);
    m->n_scores += to->n_classes;
    TRY(adopt_cuts(m, model, name, e));
    TRY(add_recipe(m, to, e));
    to->json = model_text(m, to);
    bool complete = to->json != NULL;
    for (size_t i = 0; i < to->n_classes; i++) {
        const char *quoted = text_taking(m, json_new_string(model_class(model, i)));
        to->score_keys[i] = quoted ? arena_printf(&m->arena, "%c%s:", i ? ',' : '{', quoted) : NULL;
        complete &= to->score_keys[i] != NULL;
    }
    return complete ? STATUS_OK : no_memory(e);
}

static enum status load_model(struct menu *m, const struct json *path, struct registry *registry, size_t *i_model,
                              struct error *e)
{
    const char *name = json_str(json_get(path, "model"), ""), *sha256 = json_str(json_get(path, "model_sha256"), "");
    const char *canonical;
    struct model *model;
    for (*i_model = 0; *i_model < m->n_models; ++*i_model)
        if (strcmp(m->models[*i_model].name, name) == 0)
            return STATUS_OK;
    TRY(registry_get(registry, &m->arena, name, &model, &canonical, e));
    enum status s = STATUS_OK;
    if (strcmp(model_sha256(model), sha256) != 0)
        s = error_set(e, STATUS_FORMAT, "model %s has SHA-256 %.12s, the menu was activated with %.12s", name,
                      model_sha256(model), sha256);
    else
        s = add_model(m, model, name, e);
    model_release(model);
    return s;
}

/* ---- paths --------------------------------------------------------------------------------------------- */

static enum status path_texts(struct menu *m, struct menu_path *to, const struct json *path, struct error *e)
{
    const char *name = text_of(m, json_get(path, "path"));
    const char *discriminant = text_of(m, json_get(path, "discriminant"));
    const char *point = text_of(m, json_get(path, "working_point"));
    const char *model = text_taking(m, json_new_string(m->models[to->i_model].name));
    if (!name || !discriminant || !point || !model)
        return no_memory(e);
    to->json_name = name;
    to->json_head = arena_printf(&m->arena, "{\"path\":%s,\"discriminant\":%s,\"score\":", name, discriminant);
    to->json_threshold = threshold_text(m, to->threshold);
    to->json_tail = arena_printf(&m->arena, ",\"shadow\":%s,\"working_point\":%s,\"model\":%s}",
                                 to->shadow ? "true" : "false", point, model);
    return to->json_head && to->json_threshold && to->json_tail ? STATUS_OK : no_memory(e);
}

/* From the frozen form; a menu that was frozen before there were budgets has none. */
static enum status add_budget(struct menu *m, const struct json *of, const char *member, struct budget **out,
                              struct error *e)
{
    const char *policy = json_str(json_get(of, "on_budget"), on_budget_names[BUDGET_LIMIT]);
    *out = ARENA_NEW(&m->arena, struct budget, 1);
    if (!*out)
        return no_memory(e);
    for (unsigned i = 0; on_budget_names[i]; i++)
        if (strcmp(on_budget_names[i], policy) == 0)
            budget_init(*out, json_num(json_get(of, member), NAN), (enum on_budget)i);
    return STATUS_OK;
}

static enum status add_path(struct menu *m, const struct json *path, struct registry *registry, struct error *e)
{
    struct menu_path *to = &m->paths[m->n_paths++];
    const char *class_name = json_str(json_get(path, "discriminant"), "");
    to->name = arena_strdup(&m->arena, json_str(json_get(path, "path"), ""));
    if (!to->name)
        return no_memory(e);
    TRY(load_model(m, path, registry, &to->i_model, e));
    const struct menu_model *model = &m->models[to->i_model];
    for (to->i_class = 0; to->i_class < model->n_classes; to->i_class++)
        if (strcmp(model_class(model->model, to->i_class), class_name) == 0)
            break;
    to->threshold = json_num(json_get(path, "threshold"), NAN);
    if (to->i_class == model->n_classes || isnan(to->threshold))
        return error_set(e, STATUS_FORMAT, "path %s: no class %.64s in model %s, or no threshold", to->name, class_name,
                         model->name);
    to->prescale = m->column ? json_int(json_get(json_get(path, "prescales"), m->column), 1) : 1;
    to->shadow = json_bool(json_get(path, "shadow"), false);
    TRY(add_budget(m, path, "rate_budget_hz", &to->budget, e));
    return path_texts(m, to, path, e);
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static enum status choose_column(struct menu *m, const struct json *columns, const char *wanted, struct error *e)
{
    if (!wanted && json_count(columns) > 0)
        wanted = json_str(json_at(columns, 0), "");
    if (!wanted)
        return STATUS_OK;
    for (size_t i = 0; i < json_count(columns); i++)
        if (strcmp(json_str(json_at(columns, i), ""), wanted) == 0) {
            m->column = arena_strdup(&m->arena, wanted);
            return m->column ? STATUS_OK : no_memory(e);
        }
    return error_set(e, STATUS_ARGUMENT, "menu %s has no prescale column %.64s", m->name, wanted);
}

static enum status menu_text(struct menu *m, struct error *e)
{
    struct json *v = json_new_object();
    (void)json_set(v, "name", json_new_string(m->name));
    (void)json_set(v, "revision", json_new_i64(m->revision));
    (void)json_set(v, "prescale_column", json_new_string(m->column));
    (void)json_set(v, "arm", json_new_string("stable"));
    m->json = text_taking(m, v);
    return m->json ? STATUS_OK : no_memory(e);
}

static enum status menu_create(size_t n_models, size_t n_paths, struct menu **out, struct error *e)
{
    struct menu *m = *out = mem_calloc(1, sizeof *m);
    if (!m)
        return no_memory(e);
    arena_init(&m->arena, 4 * MENU_TEXT_MAX);
    m->models = ARENA_NEW(&m->arena, struct menu_model, n_models);
    m->paths = ARENA_NEW(&m->arena, struct menu_path, n_paths);
    return m->models && m->paths ? STATUS_OK : no_memory(e);
}

static enum status fill(struct menu *m, const struct json *frozen, const char *name, int64_t revision,
                        const char *column, struct registry *registry, struct error *e)
{
    const struct json *paths = json_get(frozen, "paths");
    m->name = arena_strdup(&m->arena, name);
    if (!m->name)
        return no_memory(e);
    m->revision = revision;
    m->seed = (uint64_t)json_int(json_get(frozen, "prescale_seed"), 0);
    TRY(choose_column(m, json_get(frozen, "columns"), column, e));
    TRY(add_budget(m, frozen, "total_rate_budget_hz", &m->total, e));
    for (size_t i = 0; i < json_count(paths); i++)
        TRY(add_path(m, json_at(paths, i), registry, e));
    TRY(menu_text(m, e));
    return watch_create(m, &m->watch, e);
}

enum status menu_build(const struct json *frozen, const char *name, int64_t revision, const char *column,
                       struct registry *registry, struct menu **out, struct error *e)
{
    size_t n = json_count(json_get(frozen, "paths"));
    if (n == 0 || n > MENU_PATHS_MAX) {
        *out = NULL;
        return error_set(e, STATUS_FORMAT, "menu %.64s has %zu paths, must be 1 to %d", name, n, MENU_PATHS_MAX);
    }
    enum status s = menu_create(n, n, out, e);
    if (s == STATUS_OK)
        s = fill(*out, frozen, name, revision, column, registry, e);
    if (s == STATUS_OK)
        return s;
    menu_destroy(*out);
    *out = NULL;
    return error_wrap(e, "menu %.64s revision %lld", name, (long long)revision);
}

enum status menu_of_model(struct model *model, const char *name, struct menu **out, struct error *e)
{
    enum status s = menu_create(1, 1, out, e);
    if (s == STATUS_OK)
        s = add_model(*out, model, name, e);
    if (s == STATUS_OK) {
        (*out)->json = "null";
        return s;
    }
    menu_destroy(*out);
    *out = NULL;
    return s;
}

void menu_destroy(struct menu *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_models; i++)
        model_release(m->models[i].model);
    watch_destroy(m->watch);
    arena_fini(&m->arena);
    mem_free(m);
}
