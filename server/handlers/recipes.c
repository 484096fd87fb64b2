/* server/handlers/recipes.c
 *
 * Recipes: what the features are, in order, with unit, formula and range, and the choices that a recipe freezes. */
#include "server/handlers/handlers.h"

static struct json *feature_to_json(size_t index)
{
    const struct feature_info *f = &hlf_info[index];
    struct json *v = json_new_object();
    json_set(v, "index", json_new_i64((int64_t)index));
    json_set(v, "name", json_new_string(f->name));
    json_set(v, "unit", json_new_string(f->unit));
    json_set(v, "formula", json_new_string(f->formula));
    json_set(v, "min", json_new_f64(f->min));          /* null: no bound */
    json_set(v, "max", json_new_f64(f->max));
    return v;
}

static struct json *policy_to_json(const struct recipe *p)
{
    struct json *v = json_new_object();
    json_set(v, "allow_empty_lists", json_new_bool(p->allow_empty_lists));
    json_set(v, "wrap_isolation_dphi", json_new_bool(p->wrap_isolation_dphi));
    json_set(v, "lepton_by_eta", json_new_bool(p->lepton_by_eta));
    json_set(v, "order_by_pt", json_new_bool(p->order_by_pt));
    json_set(v, "mt_sqrt", json_new_bool(p->mt_sqrt));
    json_set(v, "btag_mask", json_new_i64(p->btag_mask));
    json_set(v, "scaling", json_new_string(p->scaling == HLF_SCALE_STANDARD ? "standard" : "minmax"));
    json_set(v, "scale_log", json_new_bool(p->scale_log));
    json_set(v, "scale_train_only", json_new_bool(p->scale_train_only));
    json_set(v, "sequence_dense", json_new_bool(p->sequence_dense));
    json_set(v, "iso_max", json_new_f64(p->iso_max));
    return v;
}

static struct json *recipe_to_json(const struct recipe *p, bool whole)
{
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string(p->name));
    json_set(v, "doc", json_new_string(p->doc));
    if (!whole)
        return v;
    struct json *features = json_new_array(), *columns = json_new_array(), *reasons = json_new_array();
    for (size_t i = 0; i < HLF_COUNT; i++)
        json_push(features, feature_to_json(i));
    for (size_t i = 0; i < PARTICLE_COLUMNS; i++)
        json_push(columns, json_new_string(particle_column_names[i]));
    for (int i = REJECT_NONE + 1; i < REJECT_COUNT; i++)
        json_push(reasons, json_new_string(reject_name((enum reject)i)));
    json_set(v, "features", features);
    json_set(v, "particle_columns", columns);
    json_set(v, "reject_reasons", reasons);
    json_set(v, "policy", policy_to_json(p));
    return v;
}

void handle_recipe_list(struct app *app, struct request *q, struct response *r)
{
    size_t n;
    const struct recipe *recipe = recipe_all(&n);
    struct json *v = json_new_object(), *items = json_new_array();
    (void)app;
    for (size_t i = 0; i < n; i++)
        json_push(items, recipe_to_json(&recipe[i], false));
    json_set(v, "items", items);
    json_set(v, "next_cursor", json_new_null());
    respond_json_tagged(q, r, v);
}

void handle_recipe_get(struct app *app, struct request *q, struct response *r)
{
    const struct recipe *recipe = recipe_find(q->params[0]);
    (void)app;
    if (recipe)
        respond_json_tagged(q, r, recipe_to_json(recipe, true));
    else
        respond_problem(q, r, "not_found", NULL, "There is no recipe '%s'; GET /api/v1/recipes lists them.",
                        q->params[0]);
}
