/* server/handlers/dependencies.c
 *
 * What was made of what, as the artifacts themselves say (facts.h): a dataset's manifest names its parent, a model's
 * header its dataset, an evaluation its model and dataset, an export its dataset.  Jobs may be forgotten, these stay. */
#include "server/handlers/dependencies.h"

#include "server/handlers/facts.h"

#include <string.h>

enum { READ_AT_ONCE = 500 };

static enum status read_node(struct store *store, struct dependencies *g, struct dependency *node, struct error *e)
{
    struct json *facts;
    TRY(artifact_facts(store, g->arena, &node->row, &facts, e));
    node->readable = facts != NULL;
    const struct json *inputs = json_get(facts, "inputs");
    for (size_t i = 0; facts && i < json_count(inputs) && node->n_inputs + 1 < DEPENDENCY_INPUTS_MAX; i++)
        node->inputs[node->n_inputs++] = arena_strdup(g->arena, json_str(json_at(inputs, i), ""));
    const char *version = json_str(json_get(facts, "model_version"), NULL);
    node->model_version = version ? arena_strdup(g->arena, version) : NULL;
    json_free(facts);
    return version && !node->model_version ? error_set(e, STATUS_NOMEM, "list of artifacts") : STATUS_OK;
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
            TRY(read_node(store, out, node, e));
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
