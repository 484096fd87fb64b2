/* server/handlers/dependencies.c
 *
 * What was made of what, read from the artifacts themselves: a dataset's manifest names its parent, a model's header its
 * dataset, an evaluation its model and dataset.  Jobs may be forgotten, these stay. */
#include "server/handlers/dependencies.h"

#include <string.h>

enum { READ_AT_ONCE = 500 };

static void read_dataset(struct dependencies *g, struct dependency *node)
{
    struct dataset *d;
    struct error e;
    node->readable = dataset_open(node->row.folder, &d, &e) == STATUS_OK;
    if (!node->readable)
        return;
    const struct manifest *m = dataset_manifest(d);
    if (m->parent_id)
        node->inputs[node->n_inputs++] = arena_strdup(g->arena, m->parent_id);
    dataset_close(d);
}

static void read_model(struct dependencies *g, struct dependency *node)
{
    char path[4096];
    struct model *m;
    struct error e;
    int n = snprintf(path, sizeof path, "%s/%s", node->row.folder, MODEL_FILE);
    node->readable = n > 0 && n < (int)sizeof path && model_load(path, &m, &e) == STATUS_OK;
    if (!node->readable)
        return;
    const char *dataset = model_header(m)->dataset_id;
    if (dataset && *dataset)
        node->inputs[node->n_inputs++] = arena_strdup(g->arena, dataset);
    model_release(m);
}

static void read_evaluation(struct dependencies *g, struct dependency *node)
{
    struct evaluation_record record;
    struct error e;
    node->readable = evaluation_read(g->arena, node->row.folder, &record, &e) == STATUS_OK;
    if (!node->readable)
        return;
    node->model_version = record.model_version;
    if (record.dataset_id)
        node->inputs[node->n_inputs++] = record.dataset_id;
}

static void read_study(struct dependencies *g, struct dependency *node)
{
    struct study_record record;
    struct arena a;                    /* its table of trials is not wanted here */
    struct error e;
    arena_init(&a, (size_t)512 << 20);
    node->readable = study_read(&a, node->row.folder, &record, &e) == STATUS_OK;
    if (node->readable && record.dataset_id)
        node->inputs[node->n_inputs++] = arena_strdup(g->arena, record.dataset_id);
    arena_fini(&a);
}

static void read_node(struct dependencies *g, struct dependency *node)
{
    if (strcmp(node->row.kind, "dataset") == 0)
        read_dataset(g, node);
    else if (strcmp(node->row.kind, "model") == 0)
        read_model(g, node);
    else if (strcmp(node->row.kind, "study") == 0)
        read_study(g, node);
    else
        read_evaluation(g, node);
}

/* "name@3" of an evaluation to the id of that model. */
static void name_models(struct dependencies *g)
{
    for (size_t i = 0; i < g->n; i++) {
        const char *ref = g->nodes[i].model_version, *at = ref ? strrchr(ref, '@') : NULL;
        for (size_t k = 0; at && k < g->n; k++) {
            const struct artifact_row *m = &g->nodes[k].row;
            char version[32];
            snprintf(version, sizeof version, "%lld", (long long)m->version);
            if (strcmp(m->kind, "model") == 0 && m->name && strlen(m->name) == (size_t)(at - ref) &&
                strncmp(m->name, ref, (size_t)(at - ref)) == 0 && strcmp(version, at + 1) == 0)
                g->nodes[i].inputs[g->nodes[i].n_inputs++] = m->id;
        }
    }
}

enum status dependencies_read(struct store *store, struct arena *a, struct dependencies *out, struct error *e)
{
    const char *before = NULL;
    size_t cap = 0, n;
    *out = (struct dependencies){.arena = a};
    TRY(store_artifacts_state(store, &out->state, e));
    do {
        struct artifact_row *rows;
        TRY(store_artifacts_list(store, a, NULL, NULL, before, READ_AT_ONCE, &rows, &n, e));
        if (out->n + n > cap) {
            cap = 2 * cap + n;
            struct dependency *nodes = ARENA_NEW(a, struct dependency, cap);
            if (!nodes)
                return error_set(e, STATUS_NOMEM, "list of artifacts");
            if (out->n)
                memcpy(nodes, out->nodes, out->n * sizeof *nodes);
            out->nodes = nodes;
        }
        for (size_t i = 0; i < n; i++) {
            struct dependency *node = &out->nodes[out->n++];
            node->row = rows[i];
            read_node(out, node);
            for (size_t k = 0; k < node->n_inputs; k++)
                if (!node->inputs[k])
                    return error_set(e, STATUS_NOMEM, "list of artifacts");
            before = rows[i].id;
        }
    } while (n == READ_AT_ONCE);
    name_models(out);
    return STATUS_OK;
}

struct dependency *dependencies_find(const struct dependencies *g, const char *id)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->nodes[i].row.id, id) == 0)
            return &g->nodes[i];
    return NULL;
}

bool dependency_has_input(const struct dependency *node, const char *id)
{
    for (size_t i = 0; i < node->n_inputs; i++)
        if (strcmp(node->inputs[i], id) == 0)
            return true;
    return false;
}
