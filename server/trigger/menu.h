/* server/trigger/menu.h
 *
 * A menu in its three forms, for server/trigger/ only: as posted (menu_spec), frozen by activation (JSON text in the
 * store: versions and thresholds instead of aliases and targets), and running (menu: models loaded, the parts of the
 * answer that never change already written out). */
#ifndef DLT_SERVER_TRIGGER_MENU_H
#define DLT_SERVER_TRIGGER_MENU_H

#include "server/trigger/budget.h"
#include "server/trigger/trigger.h"

enum { MENU_PATHS_MAX = 64, MENU_COLUMNS_MAX = 32, MENU_TEXT_MAX = 1 << 20, RECIPES_MAX = 8 };

/* ---- as posted ----------------------------------------------------------------------------------------- */

struct target_spec {
    double signal_efficiency, threshold;          /* exactly one; the other is NaN */
};
struct working_point_spec {
    struct target_spec target;
    const char *evaluation;                       /* "latest" or an id */
};
struct path_spec {
    const char *path, *model, *discriminant;
    struct working_point_spec working_point;
    struct field_list prescales;                  /* struct field_pair: column to N; columns not named have 1 */
    bool shadow;
    double rate_budget_hz;                        /* NaN: none */
    int on_budget;                                /* enum on_budget */
};
struct menu_spec {
    const char *name, *comment;
    double input_rate_hz;                         /* NaN: not given; of record only */
    double total_rate_budget_hz;                  /* NaN: none */
    struct field_list columns;                    /* const char * */
    int64_t prescale_seed;
    struct field_list paths;                      /* struct path_spec */
};
/* Everything that can be said without models; strings in `a`.  ARGUMENT with problems. */
enum status menu_spec_decode(struct arena *a, const struct json *body, struct menu_spec *out,
                             struct json_problems *problems, struct error *e) MUST_USE;

/* ---- resolved ------------------------------------------------------------------------------------------ */

/* Whether each path's model exists and has the class; explicit evaluations exist. */
enum status menu_spec_check_models(struct arena *a, const struct menu_spec *spec, struct store *store,
                                   struct registry *registry, struct json_problems *problems, struct error *e) MUST_USE;
/* The frozen form: model versions with SHA-256, thresholds, the evaluations they came from.  *out is the caller's. */
enum status menu_freeze(struct arena *a, const struct menu_spec *spec, struct store *store, struct registry *registry,
                        struct json **out, struct json_problems *problems, struct error *e) MUST_USE;

struct watch;

/* ---- running ------------------------------------------------------------------------------------------- */

struct menu_model {
    struct model *model;                          /* a reference */
    const char *name;                             /* "topology-hlf@7" */
    const struct recipe *recipe;
    size_t i_recipe, n_classes, first_score;      /* place of its scores among those of all models */
    const char *json;                             /* the decision's "model" */
    const char **score_keys;                      /* [n_classes] "{\"qcd\":", ",\"tt\":" */
};
struct menu_path {
    const char *name;
    size_t i_model, i_class;
    double threshold;                             /* raw: score >= threshold */
    int64_t prescale;
    bool shadow;
    struct budget *budget;                        /* the one part of a menu that changes while it runs */
    const char *json_name;                        /* quoted */
    const char *json_head;                        /* {"path":...,"discriminant":..., */
    const char *json_threshold;                   /* ,"threshold":... */
    const char *json_tail;                        /* ,"shadow":...,"working_point":...,"model":...} */
};
struct menu {
    struct arena arena;
    const char *name, *column;                    /* column: NULL when the menu has none */
    int64_t revision;
    uint64_t seed;
    struct menu_model *models;
    struct menu_path *paths;
    const struct recipe *recipes[RECIPES_MAX];    /* of its models, each once */
    bool wants_rows[RECIPES_MAX];                 /* a model of the recipe reads particle rows */
    struct object_cuts cuts;                      /* of all its models */
    size_t n_models, n_paths, n_recipes, n_scores;
    struct budget *total;                         /* of all paths together */
    const char *json;                             /* the decision's "menu" */
    struct watch *watch;                          /* what it decided; NULL for the menu of a model */
};
/* From the frozen form.  Models are loaded and their SHA-256 compared with the frozen one.  Fails: ARGUMENT (no such
 * column), NOTFOUND, FORMAT, NOMEM.  On OK *out is the caller's: menu_destroy(). */
enum status menu_build(const struct json *frozen, const char *name, int64_t revision, const char *column,
                       struct registry *registry, struct menu **out, struct error *e) MUST_USE;
/* A menu of one model and no path; takes a reference. */
enum status menu_of_model(struct model *model, const char *name, struct menu **out, struct error *e) MUST_USE;
void menu_destroy(struct menu *m);                /* NULL allowed */

/* Threshold of a class for a signal efficiency from a stored evaluation: a stored working point when the target is one
 * of those, else the highest threshold of the ROC with at least that signal efficiency.  RANGE: unreachable. */
struct evaluation_record;
enum status menu_threshold(const struct evaluation_record *evaluation, const char *class_name, double target,
                           double *threshold, struct error *e) MUST_USE;

#endif
