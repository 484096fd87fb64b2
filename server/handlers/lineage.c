/* server/handlers/lineage.c
 *
 * Where an artifact comes from and what was made of it: files -> events -> features -> model -> evaluation, as one graph
 * of nodes and edges. */
#include "server/handlers/dependencies.h"
#include "server/handlers/handlers.h"

#include <string.h>

enum { LINEAGE_BYTES_MAX = 256 << 20 };

static void mark_up(struct dependencies *g, struct dependency *node)
{
    if (!node || node->up)
        return;
    node->up = true;
    for (size_t i = 0; i < node->n_inputs; i++)      /* at most four kinds deep */
        mark_up(g, dependencies_find(g, node->inputs[i]));
}

static bool made_of_marked(const struct dependencies *g, const struct dependency *node)
{
    for (size_t k = 0; k < node->n_inputs; k++) {
        const struct dependency *input = dependencies_find(g, node->inputs[k]);
        if (input && input->down)
            return true;
    }
    return false;
}

/* Until nothing is added: one pass a step of the chain. */
static void mark_down(struct dependencies *g, struct dependency *root)
{
    root->down = true;
    for (bool added = true; added;) {
        added = false;
        for (size_t i = 0; i < g->n; i++)
            if (!g->nodes[i].down && made_of_marked(g, &g->nodes[i]))
                g->nodes[i].down = added = true;
    }
}

static void push_edge(struct json *edges, const char *from, const char *to)
{
    struct json *edge = json_new_object();
    json_set(edge, "from", json_new_string(from));
    json_set(edge, "to", json_new_string(to));
    json_push(edges, edge);
}

/* The input files of an events dataset. */
static void push_files(const struct dependency *node, struct json *nodes, struct json *edges)
{
    struct dataset *d;
    struct error e;
    if (dataset_open(node->row.folder, &d, &e) != STATUS_OK)
        return;
    const struct manifest *m = dataset_manifest(d);
    const struct dataset_source *sources = m->sources.items;
    for (size_t i = 0; m->kind == DATASET_EVENTS && i < m->sources.n_items; i++) {
        char id[128];
        snprintf(id, sizeof id, "file_%.64s", sources[i].sha256 ? sources[i].sha256 : "");
        struct json *v = json_new_object();
        json_set(v, "id", json_new_string(id));
        json_set(v, "kind", json_new_string("file"));
        json_set(v, "path", json_new_string(sources[i].path));
        json_set(v, "label", json_new_string(sources[i].label));
        json_set(v, "sha256", json_new_string(sources[i].sha256));
        json_set(v, "entries", json_new_i64(sources[i].entries));
        json_push(nodes, v);
        push_edge(edges, id, node->row.id);
    }
    dataset_close(d);
}

/* An input that is not there any more. */
static void push_gone(const char *id, struct json *nodes)
{
    struct json *v = json_new_object();
    json_set(v, "id", json_new_string(id));
    json_set(v, "kind", json_new_string("gone"));
    json_push(nodes, v);
}

static void push_node(const struct dependencies *g, const struct dependency *node, struct json *nodes,
                      struct json *edges)
{
    bool dataset = strcmp(node->row.kind, "dataset") == 0;
    if (dataset && node->up)
        push_files(node, nodes, edges);
    struct json *v = artifact_to_json(&node->row);
    json_set(v, "readable", json_new_bool(node->readable));
    json_push(nodes, v);
    for (size_t i = 0; i < node->n_inputs; i++) {
        const struct dependency *input = dependencies_find(g, node->inputs[i]);
        if (!input)
            push_gone(node->inputs[i], nodes);
        /* What a descendant needs besides is not part of this graph. */
        if (!input || input->up || input->down)
            push_edge(edges, node->inputs[i], node->row.id);
    }
}

void handle_lineage(struct app *app, struct request *q, struct response *r)
{
    struct arena a;
    struct dependencies g;
    struct error e;
    arena_init(&a, LINEAGE_BYTES_MAX);
    enum status s = dependencies_read(app->store, &a, &g, &e);
    struct dependency *root = s == STATUS_OK ? dependencies_find(&g, q->params[0]) : NULL;
    if (s == STATUS_OK && !root)
        s = error_set(&e, STATUS_NOTFOUND, "there is no dataset, model or evaluation with the id %.60s", q->params[0]);
    if (s != STATUS_OK) {
        respond_error(q, r, &e);
        arena_fini(&a);
        return;
    }
    mark_up(&g, root);
    mark_down(&g, root);
    struct json *v = json_new_object(), *nodes = json_new_array(), *edges = json_new_array();
    for (size_t i = g.n; i-- > 0;)
        if (g.nodes[i].up || g.nodes[i].down)
            push_node(&g, &g.nodes[i], nodes, edges);
    json_set(v, "id", json_new_string(root->row.id));
    json_set(v, "nodes", nodes);
    json_set(v, "edges", edges);
    arena_fini(&a);
    respond_json_tagged(q, r, v);
}
