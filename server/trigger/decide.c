/* server/trigger/decide.c
 *
 * From columns to accept or reject.  The cuts and features are those of ingestion (event_batch_cut, features_compute),
 * once for each recipe that the menu's models use. */
#include "server/trigger/decide.h"

#include <math.h>
#include <string.h>

static const enum object_kind lepton_kinds[2] = {OBJECT_ELECTRON, OBJECT_MUON};

/* ---- workspace ----------------------------------------------------------------------------------------- */

enum status scratch_create(struct scratch **out, struct error *e)
{
    struct scratch *s = *out = mem_calloc(1, sizeof *s);
    if (!s)
        return error_set(e, STATUS_NOMEM, "no memory for the trigger's workspace");
    event_batch_init(&s->batch);
    for (size_t i = 0; i < RECIPES_MAX; i++)
        feature_batch_init(&s->features[i]);
    return STATUS_OK;
}

void scratch_destroy(struct scratch *s)
{
    event_batch_fini(&s->batch);
    for (size_t i = 0; i < RECIPES_MAX; i++)
        feature_batch_fini(&s->features[i]);
    mem_free(s->posted_pt[0]);
    mem_free(s->posted_pt[1]);
    chunk_destroy(s->chunk);
    mem_free(s);
}

/* ---- features ------------------------------------------------------------------------------------------ */

/* The leptons' pT as posted: the cuts renumber them, the answer names them as the client did. */
static enum status keep_posted_pt(struct scratch *s, struct error *e)
{
    for (size_t k = 0; k < 2; k++) {
        const struct object_columns *o = &s->batch.objects[lepton_kinds[k]];
        size_t n = o->first[1];
        if (n > s->cap_posted_pt[k]) {
            float *bigger = mem_realloc(s->posted_pt[k], n * sizeof *bigger);
            if (!bigger)
                return error_set(e, STATUS_NOMEM, "no memory for %zu leptons", n);
            s->posted_pt[k] = bigger;
            s->cap_posted_pt[k] = n;
        }
        if (n > 0)
            memcpy(s->posted_pt[k], o->pt, n * sizeof *o->pt);
        s->n_posted_pt[k] = n;
    }
    return STATUS_OK;
}

/* Place before the cuts of the lepton that has place `index` behind them. */
static uint32_t posted_index(const struct scratch *s, const struct lepton *lepton, const struct object_cuts *cuts)
{
    size_t k = lepton->kind == PARTICLE_MUON;
    double pt_min = k ? cuts->muon_pt : cuts->electron_pt;
    uint32_t kept = 0;
    for (size_t i = 0; i < s->n_posted_pt[k]; i++)
        if ((double)s->posted_pt[k][i] > pt_min && kept++ == lepton->index)
            return (uint32_t)i;
    return lepton->index;
}

/* First recipe of the first path that keeps the event, else of the first path: what "scores", "model" and
 * "preselection" of the answer are of. */
static size_t primary_model(const struct decision *d)
{
    const struct menu *m = d->menu;
    for (size_t i = 0; i < m->n_paths; i++)
        if (d->reject[m->models[m->paths[i].i_model].i_recipe] == REJECT_NONE)
            return m->paths[i].i_model;
    return m->n_paths ? m->paths[0].i_model : 0;
}

static enum status check_finite(const float *values, size_t n, struct json_problems *problems, const char *pointer,
                                const char *what, struct error *e)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) {
            json_problem_add(problems, pointer, "out_of_range", "its numbers are so large that %s are not finite",
                             what);
            return error_set(e, STATUS_ARGUMENT, "event: %s are not finite", what);
        }
    return STATUS_OK;
}

/* The features of one recipe: from the cut batch, or as posted. */
static enum status recipe_features(struct decision *d, struct scratch *s, size_t i_recipe,
                                   struct json_problems *problems, struct error *e)
{
    struct feature_batch *f = &s->features[i_recipe];
    TRY(features_compute(d->menu->recipes[i_recipe], &s->batch, d->menu->wants_rows[i_recipe], f, e));
    d->reject[i_recipe] = f->reject[0];
    d->hlf[i_recipe] = f->hlf;
    if (f->reject[0] != REJECT_NONE)
        return STATUS_OK;
    return check_finite(f->hlf, HLF_COUNT, problems, "/collections", "the features", e);
}

/* A recipe that the client counts on must be that of every model; features that were posted have only one. */
static enum status check_recipe(const struct decision *d, struct json_problems *problems, struct error *e)
{
    const struct menu *m = d->menu;
    const char *wanted = d->event->recipe;
    if (wanted && !recipe_find(wanted)) {
        json_problem_add(problems, "/recipe", "choice", "this build has no such recipe");
        return error_set(e, STATUS_ARGUMENT, "event: /recipe: this build has no such recipe");
    }
    for (size_t i = 0; i < m->n_models && wanted; i++)
        if (strcmp(m->models[i].recipe->name, wanted) != 0) {
            json_problem_add(problems, "/recipe", "recipe_mismatch", "model %.90s is of recipe %s", m->models[i].name,
                             m->models[i].recipe->name);
            return error_set(e, STATUS_ARGUMENT, "event: /recipe: model %.90s is of recipe %s", m->models[i].name,
                             m->models[i].recipe->name);
        }
    for (size_t i = 0; i < m->n_models && d->event->schema == POSTED_HLF; i++)
        if (model_input(m->models[i].model) != INPUT_HLF) {
            json_problem_add(problems, "/hlf", "needs_particles", "model %.90s reads particles: post collections",
                             m->models[i].name);
            return error_set(e, STATUS_ARGUMENT, "event: /hlf: model %.90s reads particles", m->models[i].name);
        }
    if (d->event->schema == POSTED_HLF && m->n_recipes > 1) {
        json_problem_add(problems, "/hlf", "recipe_mismatch",
                         "the menu's models use recipes %s and %s; features are of one: post collections",
                         m->recipes[0]->name, m->recipes[1]->name);
        return error_set(e, STATUS_ARGUMENT, "event: /hlf: the menu's models use several recipes");
    }
    return STATUS_OK;
}

static void all_reject(struct decision *d, enum reject why)
{
    for (size_t i = 0; i < d->menu->n_recipes; i++)
        d->reject[i] = why;
}

static enum status collections(struct decision *d, struct scratch *s, struct json_problems *problems, struct error *e)
{
    struct cut_counts counts = {0};
    const struct object_columns *o = s->batch.objects;
    bool had_lepton = o[OBJECT_ELECTRON].first[1] + o[OBJECT_MUON].first[1] > 0;
    TRY(keep_posted_pt(s, e));
    event_batch_cut(&s->batch, &d->menu->cuts, &counts);
    if (s->batch.n_events == 0) {
        all_reject(d, had_lepton ? REJECT_NO_LEPTON_ABOVE_PT : REJECT_NO_LEPTON);
        return STATUS_OK;
    }
    for (size_t i = 0; i < d->menu->n_recipes; i++) {
        TRY(recipe_features(d, s, i, problems, e));
        d->pass |= d->reject[i] == REJECT_NONE;
    }
    return STATUS_OK;
}

enum status decide_features(struct decision *d, struct scratch *s, struct json_problems *problems, struct error *e)
{
    TRY(check_recipe(d, problems, e));
    d->scratch = s;
    if (d->event->schema == POSTED_HLF) {
        all_reject(d, REJECT_NONE);
        for (size_t i = 0; i < d->menu->n_recipes; i++)
            d->hlf[i] = d->event->hlf;
        d->pass = true;
    } else {
        TRY(collections(d, s, problems, e));
    }
    d->i_primary = primary_model(d);
    size_t i_recipe = d->menu->models[d->i_primary].i_recipe;
    if (d->pass && d->event->schema == POSTED_DELPHES) {
        d->lepton = s->features[i_recipe].lepton[0];
        d->lepton_index = posted_index(s, &d->lepton, &d->menu->cuts);
    }
    return STATUS_OK;
}

/* ---- paths --------------------------------------------------------------------------------------------- */

static bool keeps(const struct decision *d, const struct menu_path *path, int64_t prescale)
{
    const struct posted_event *event = d->event;
    return trigger_prescale_keeps(d->menu->seed, path->name, event->run, event->lumi, event->event, prescale);
}

static void decide_path(struct decision *d, size_t i, int64_t now_ns)
{
    const struct menu_path *path = &d->menu->paths[i];
    const struct menu_model *model = &d->menu->models[path->i_model];
    struct path_outcome *o = &d->paths[i];
    if (d->reject[model->i_recipe] != REJECT_NONE)
        return;
    o->has_score = true;
    o->score = d->scores[model->first_score + path->i_class];
    o->raw = (double)o->score >= path->threshold;
    o->prescale = budget_prescale(path->budget, path->prescale);
    o->prescale_pass = o->raw && keeps(d, path, path->prescale);
    if (o->prescale_pass && !path->shadow)
        o->rate_limited = (o->prescale != path->prescale && !keeps(d, path, o->prescale)) ||
                          (path->budget->policy == BUDGET_LIMIT && !budget_take(path->budget, now_ns));
    o->accept = o->prescale_pass && !o->rate_limited && !path->shadow;
    d->accept |= o->accept;
    d->any_raw |= o->raw && !path->shadow;
    d->any_limited |= o->rate_limited;
    if (o->prescale > 1 && !d->event->has_identity)
        d->warning = "the event has no run, lumi and event number: prescales took them as 0";
}

enum status decide_room(struct decision *d, struct arena *a, struct error *e)
{
    if (!d->pass)
        return STATUS_OK;
    d->scores = ARENA_NEW(a, float, d->menu->n_scores);
    d->paths = ARENA_NEW(a, struct path_outcome, d->menu->n_paths + 1);
    return d->scores && d->paths ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for the scores");
}

enum status decide_check_scores(const struct decision *d, size_t i_model, struct json_problems *problems,
                                struct error *e)
{
    const struct menu_model *model = &d->menu->models[i_model];
    bool posted = d->event->schema == POSTED_HLF;
    return check_finite(d->scores + model->first_score, model->n_classes, problems, posted ? "/hlf" : "/collections",
                        "the scores", e);
}

static enum status score(struct decision *d, struct json_problems *problems, struct error *e)
{
    const struct menu *m = d->menu;
    for (size_t i = 0; i < m->n_models; i++) {
        const struct menu_model *model = &m->models[i];
        if (d->reject[model->i_recipe] != REJECT_NONE)
            continue;
        const struct feature_batch *f = &d->scratch->features[model->i_recipe];
        const float *hlf = d->event->schema == POSTED_HLF ? d->event->hlf : f->hlf;
        const struct model_rows rows = {hlf, &f->rows, f->row_first};
        model_predict(model->model, &rows, 1, d->scores + model->first_score);
        TRY(decide_check_scores(d, i, problems, e));
    }
    return STATUS_OK;
}

/* What all paths together may accept was reached: none of them does. */
static void limit_all(struct decision *d)
{
    for (size_t i = 0; i < d->menu->n_paths; i++) {
        d->paths[i].rate_limited |= d->paths[i].accept;
        d->paths[i].accept = false;
    }
    d->accept = false;
    d->any_limited = true;
}

void decide_verdict(struct decision *d, int64_t now_ns)
{
    if (!d->pass) {
        d->reason = TRIGGER_PRESELECTION;
        return;
    }
    for (size_t i = 0; i < d->menu->n_paths; i++)
        decide_path(d, i, now_ns);
    if (d->accept && d->menu->total && !budget_take(d->menu->total, now_ns))
        limit_all(d);
    d->reason = d->accept        ? TRIGGER_PATH
                : d->any_limited ? TRIGGER_RATE_LIMITED
                : d->any_raw     ? TRIGGER_PRESCALED
                                 : TRIGGER_NO_PATH;
}

enum status decide_paths(struct decision *d, struct arena *a, struct json_problems *problems, struct error *e)
{
    d->batch_size = 1;
    TRY(decide_room(d, a, e));
    if (d->pass)
        TRY(score(d, problems, e));
    decide_verdict(d, time_mono_ns());
    return STATUS_OK;
}
