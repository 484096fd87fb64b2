/* server/handlers/datasets.c
 *
 * Datasets: the list from the store, the details from the manifest in the dataset's folder; histograms of features; and
 * deletion, as long as nothing was made of them. */
#include "server/handlers/dependencies.h"
#include "server/handlers/facts.h"
#include "server/handlers/handlers.h"

#include <stdlib.h>
#include <string.h>

void handle_dataset_list(struct app *app, struct request *q, struct response *r)
{
    respond_artifacts_with_facts(app, q, r, "dataset");
}

void handle_dataset_get(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct dataset *d;
    struct error e;
    if (!find_artifact(app, q, r, "dataset", q->params[0], &row))
        return;
    if (dataset_open(row.folder, &d, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = artifact_to_json(&row);
    struct json *manifest = json_encode_fields(manifest_fields, dataset_manifest(d));
    dataset_close(d);
    if (!manifest) {
        json_free(v);
        v = NULL;
    } else {
        json_set(v, "dataset_kind", json_new_copy(json_get(manifest, "kind")));
        json_merge(v, manifest);
    }
    respond_json_tagged(q, r, v);
}

/* ---- histograms ---------------------------------------------------------------------------------------------------- */

enum { BINS = 50, BINS_MAX = 1000 };

struct histogram_query {
    int feature, label;                /* label -1: all classes */
    size_t bins;
    bool weighted;
};

/* A number of at most four digits; -1 for any other text. */
static int small_number(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && len <= 4 && text[len] == '\0' ? atoi(text) : -1;
}

static bool read_histogram_query(struct request *q, struct response *r, const struct manifest *m,
                                 struct histogram_query *out)
{
    const char *feature = request_query(q, "feature"), *class = request_query(q, "class");
    const char *bins = request_query(q, "bins"), *weighted = request_query(q, "weighted");
    const char *wrong = NULL;
    *out = (struct histogram_query){-1, -1, BINS, !weighted || strcmp(weighted, "true") == 0};
    for (int i = 0; feature && i < HLF_COUNT; i++)
        if (strcmp(hlf_info[i].name, feature) == 0)
            out->feature = i;
    for (size_t i = 0; class && i < m->classes.n_items; i++)
        if (strcmp(((const char *const *)m->classes.items)[i], class) == 0)
            out->label = (int)i;
    int n = bins ? small_number(bins) : BINS;
    if (out->feature < 0)
        wrong = "feature is one of the 14 names of GET /api/v1/recipes/{name}";
    else if (class && out->label < 0)
        wrong = "class is one of the dataset's classes, or absent for all";
    else if (n < 1 || n > BINS_MAX)
        wrong = "bins is a number from 1 to 1000";
    else if (weighted && !out->weighted && strcmp(weighted, "false") != 0)
        wrong = "weighted is true or false";
    out->bins = wrong ? 0 : (size_t)n;
    if (wrong)
        respond_problem(q, r, "invalid_query", NULL, "%s.", wrong);
    return !wrong;
}

static struct json *f64_list(const struct field_list *list)
{
    struct json *v = json_new_array();
    for (size_t i = 0; i < list->n_items; i++)
        json_push(v, json_new_f64(((const double *)list->items)[i]));
    return v;
}

static struct json *histogram_to_json(const struct manifest *m, const struct histogram_query *x,
                                      const struct dataset_histogram *h)
{
    struct json *v = json_new_object(), *edges = json_new_array();
    const struct recipe *recipe = m->recipe ? recipe_find(m->recipe) : NULL;
    for (size_t i = 0; i <= x->bins; i++)
        json_push(edges, json_new_f64(h->lo + (h->hi - h->lo) * (double)i / (double)x->bins));
    json_set(v, "dataset_id", json_new_string(m->id));
    json_set(v, "feature", json_new_string(hlf_info[x->feature].name));
    json_set(v, "unit", json_new_string(recipe ? hlf_unit(recipe, (enum hlf_index)x->feature) : NULL));
    json_set(v, "class", json_new_string(x->label >= 0 ? ((const char *const *)m->classes.items)[x->label] : NULL));
    json_set(v, "weighted", json_new_bool(x->weighted));
    json_set(v, "events", json_new_i64(h->events));
    json_set(v, "sum", json_new_f64(h->sum));
    json_set(v, "underflow", json_new_f64(h->underflow));
    json_set(v, "overflow", json_new_f64(h->overflow));
    json_set(v, "edges", edges);
    json_set(v, "counts", f64_list(&h->counts));
    json_set(v, "sum_of_squared_weights", f64_list(&h->squares));
    return v;
}

void handle_dataset_histogram(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct dataset *d;
    struct histogram_query x;
    struct dataset_histogram h;
    struct error e;
    if (!find_artifact(app, q, r, "dataset", q->params[0], &row))
        return;
    if (dataset_open(row.folder, &d, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    if (read_histogram_query(q, r, dataset_manifest(d), &x)) {
        if (dataset_histogram(d, (enum hlf_index)x.feature, x.label, x.weighted, x.bins, &q->arena, &h, &e) == STATUS_OK)
            respond_json_tagged(q, r, histogram_to_json(dataset_manifest(d), &x, &h));
        else
            respond_error(q, r, &e);
    }
    dataset_close(d);
}

/* ---- deletion ------------------------------------------------------------------------------------------------------- */

enum { DELETE_ATTEMPTS = 5, DEPENDENCIES_BYTES_MAX = 256 << 20 };

/* CONFLICT names the first dataset or model that was made of it.  Evaluations and studies do not hold their dataset: they
 * state their figures by themselves; nor do exports, which are copies. */
static enum status check_unused(const struct dependencies *g, const char *id, struct error *e)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct artifact_row *row = &g->nodes[i].row;
        bool holds = strcmp(row->kind, "dataset") == 0 || strcmp(row->kind, "model") == 0;
        if (holds && dependency_has_input(&g->nodes[i], id))
            return error_set(e, STATUS_CONFLICT, "%s %.60s was made of dataset %.60s, which is kept for it", row->kind,
                             row->id, id);
    }
    return STATUS_OK;
}

/* Again when an artifact came up between reading and deleting. */
static enum status delete_unused(struct store *store, const char *id, struct error *e)
{
    bool changed = true;
    for (int attempt = 0; changed && attempt < DELETE_ATTEMPTS; attempt++) {
        struct arena a;
        struct dependencies g;
        arena_init(&a, DEPENDENCIES_BYTES_MAX);
        enum status s = dependencies_read(store, &a, &g, e);
        if (s == STATUS_OK)
            s = check_unused(&g, id, e);
        if (s == STATUS_OK)
            s = store_dataset_delete(store, id, g.state, &changed, e);
        arena_fini(&a);
        TRY(s);
    }
    return changed ? error_set(e, STATUS_BUSY, "datasets and models are being published at the moment") : STATUS_OK;
}

void handle_dataset_delete(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct error e;
    if (!find_artifact(app, q, r, "dataset", q->params[0], &row))
        return;
    if (delete_unused(app->store, row.id, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    /* It is gone for everybody; files that cannot be removed only take room. */
    if (file_remove_tree(row.folder, &e) != STATUS_OK)
        log_line(LOG_WARN, "folder of deleted dataset %s: %s", row.id, e.text);
    respond_empty(r, 204);
}
