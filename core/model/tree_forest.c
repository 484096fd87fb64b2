/* core/model/tree_forest.c
 *
 * Scoring trees.  A step down takes a handful of cycles of waiting, so LANES of them go side by side: LANES rows in one
 * tree, or one row in LANES trees.  Leaves lead to themselves, so that all lanes take the same number of steps and
 * nothing branches.  Leaves are added up tree by tree for each row, which makes its bits those of any batch. */
#include "core/model/tree_forest.h"

#include <math.h>
#include <string.h>

enum { LANES = 8, BLOCK_ROWS = 256, FEATURE_BITS = 4, FEATURE_MASK = (1 << FEATURE_BITS) - 1 };

_Static_assert(HLF_COUNT <= 1 << FEATURE_BITS, "a feature's number fits");

/* threshold NaN: a leaf; nothing is greater, so it is its own next node. */
struct node {
    float threshold;
    uint32_t next;                     /* left child << FEATURE_BITS | feature */
};

struct tree {
    uint32_t root, depth;
};

struct forest {
    size_t n_trees, n_nodes, n_classes;
    bool averaged;
    struct tree *tree;
    struct node *node;
    float *leaf;                       /* [n_nodes] */
};

/* ---- from numbers ---------------------------------------------------------------------------------------------- */

/* Follows the tree that begins at `root`; out may be NULL. */
static enum status read_tree(const float *stored, size_t n_nodes, size_t root, struct forest *out, size_t *n,
                             uint32_t *depth, struct error *e)
{
    size_t n_inner = 0, level_end = 1, i = 0;
    for (*depth = 0; i < 2 * n_inner + 1; i++) {
        if (root + i >= n_nodes)
            return error_set(e, STATUS_FORMAT, "the last tree is cut short behind %zu nodes", i);
        if (i == level_end) {
            level_end = 2 * n_inner + 1;
            if (++*depth > TREE_DEPTH_MAX)
                return error_set(e, STATUS_FORMAT, "a tree is deeper than %d", TREE_DEPTH_MAX);
        }
        float feature = stored[2 * (root + i)], value = stored[2 * (root + i) + 1];
        if (!(feature >= -1 && feature < HLF_COUNT) || feature != floorf(feature) || !isfinite(value))
            return error_set(e, STATUS_FORMAT, "node %zu asks for feature %g with %g, there are %d", root + i,
                             (double)feature, (double)value, HLF_COUNT);
        size_t next = feature < 0 ? root + i : root + 2 * n_inner + 1;
        if (out) {
            out->leaf[root + i] = feature < 0 ? value : 0;
            out->node[root + i] = (struct node){feature < 0 ? NAN : value,
                                                (uint32_t)next << FEATURE_BITS | (feature < 0 ? 0 : (uint32_t)feature)};
        }
        n_inner += feature >= 0;
    }
    *n = i;
    return STATUS_OK;
}

static enum status read_all(struct forest *f, const float *stored, struct error *e)
{
    size_t root, n = 0;
    uint32_t depth = 0;
    for (root = 0; root < f->n_nodes; root += n, f->n_trees++)
        TRY(read_tree(stored, f->n_nodes, root, NULL, &n, &depth, e));
    if (f->n_trees % f->n_classes != 0)
        return error_set(e, STATUS_FORMAT, "%zu trees for %zu classes", f->n_trees, f->n_classes);
    f->tree = mem_alloc(f->n_trees * sizeof *f->tree + 1);
    f->node = mem_aligned(f->n_nodes * sizeof *f->node + 1);
    f->leaf = mem_aligned(f->n_nodes * sizeof *f->leaf + 1);
    if (!f->tree || !f->node || !f->leaf)
        return error_set(e, STATUS_NOMEM, "no memory for trees of %zu nodes", f->n_nodes);
    root = 0;
    for (size_t i = 0; i < f->n_trees; i++, root += n) {
        TRY(read_tree(stored, f->n_nodes, root, f, &n, &depth, e));
        f->tree[i] = (struct tree){(uint32_t)root, depth};
    }
    return STATUS_OK;
}

enum status forest_create(const float *stored, size_t n_floats, size_t n_classes, bool averaged, struct forest **out,
                          struct error *e)
{
    *out = NULL;
    if (n_floats % TREE_NODE_FLOATS != 0 || n_floats / TREE_NODE_FLOATS >= UINT32_MAX >> FEATURE_BITS)
        return error_set(e, STATUS_FORMAT, "%zu numbers are not those of trees", n_floats);
    struct forest *f = mem_calloc(1, sizeof *f);
    if (!f)
        return error_set(e, STATUS_NOMEM, "no memory for trees");
    *f = (struct forest){.n_nodes = n_floats / TREE_NODE_FLOATS, .n_classes = n_classes, .averaged = averaged};
    enum status s = read_all(f, stored, e);
    if (s != STATUS_OK)
        forest_destroy(f);
    else
        *out = f;
    return s;
}

void forest_destroy(struct forest *f)
{
    if (!f)
        return;
    mem_free(f->tree);
    mem_free(f->node);
    mem_free(f->leaf);
    mem_free(f);
}

size_t forest_n_trees(const struct forest *f) { return f->n_trees; }

size_t forest_n_floats(const struct forest *f, size_t n_trees)
{
    return TREE_NODE_FLOATS * (n_trees < f->n_trees ? f->tree[n_trees].root : f->n_nodes);
}

/* ---- scoring --------------------------------------------------------------------------------------------------- */

/* at[i]: from a root to the leaf of row x[i]. */
static inline void descend(const struct node *node, uint32_t depth, const float *const x[LANES], uint32_t at[LANES])
{
    for (uint32_t d = 0; d < depth; d++)
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++) {
            struct node here = node[at[i]];
            at[i] = (here.next >> FEATURE_BITS) + (x[i][here.next & FEATURE_MASK] >= here.threshold);
        }
}

/* LANES trees at a time. */
static void add_row(const struct forest *f, const float *row, float *sum)
{
    const float *const x[LANES] = {row, row, row, row, row, row, row, row};
    size_t c = 0;
    for (size_t first = 0; first < f->n_trees; first += LANES) {
        uint32_t at[LANES] = {0}, depth = 0;
        size_t n = f->n_trees - first < LANES ? f->n_trees - first : LANES;
        for (size_t i = 0; i < n; i++) {
            const struct tree *t = &f->tree[first + i];
            at[i] = t->root;
            depth = depth > t->depth ? depth : t->depth;
        }
        descend(f->node, depth, x, at);
        for (size_t i = 0; i < n; i++, c = c + 1 < f->n_classes ? c + 1 : 0)
            sum[c] += f->leaf[at[i]];
    }
}

/* LANES rows at a time. */
static void add_rows(const struct forest *f, const float *const *row, size_t n, float *sum)
{
    size_t in_lanes = n / LANES * LANES, c = 0;
    for (size_t t = 0; t < f->n_trees; t++, c = c + 1 < f->n_classes ? c + 1 : 0) {
        const struct tree *tree = &f->tree[t];
        for (size_t first = 0; first < in_lanes; first += LANES) {
            uint32_t at[LANES];
            for (int i = 0; i < LANES; i++)
                at[i] = tree->root;
            descend(f->node, tree->depth, row + first, at);
            for (size_t i = 0; i < LANES; i++)
                sum[(first + i) * f->n_classes + c] += f->leaf[at[i]];
        }
    }
    for (size_t i = in_lanes; i < n; i++)
        add_row(f, row[i], sum + i * f->n_classes);
}

void forest_add(const struct forest *f, const float *rows, size_t stride, const uint32_t *index, size_t n, float *sum)
{
    const float *row[BLOCK_ROWS];
    for (size_t done = 0; done < n; done += BLOCK_ROWS) {
        size_t block = n - done < BLOCK_ROWS ? n - done : BLOCK_ROWS;
        for (size_t i = 0; i < block; i++)
            row[i] = rows + (size_t)index[done + i] * stride;
        add_rows(f, row, block, sum + done * f->n_classes);
    }
}

void forest_probabilities(bool averaged, float *sum, size_t n_classes)
{
    double total = 0, most = (double)sum[0], value[64];
    check(n_classes <= ARRAY_LEN(value));
    for (size_t c = 1; c < n_classes; c++)
        most = fmax(most, (double)sum[c]);
    for (size_t c = 0; c < n_classes; c++) {
        value[c] = averaged ? fmax((double)sum[c], 0) : exp((double)sum[c] - most);
        total += value[c];
    }
    for (size_t c = 0; c < n_classes; c++)
        sum[c] = (float)(total > 0 ? value[c] / total : 1 / (double)n_classes);
}

static bool finite_row(const float *row)
{
    bool finite = true;
    for (size_t i = 0; i < HLF_COUNT; i++)
        finite &= isfinite(row[i]) != 0;
    return finite;
}

void forest_predict(const struct forest *f, const float *hlf, size_t n, float *out)
{
    const float *row[BLOCK_ROWS];
    memset(out, 0, n * f->n_classes * sizeof *out);
    for (size_t done = 0; done < n; done += BLOCK_ROWS) {
        size_t block = n - done < BLOCK_ROWS ? n - done : BLOCK_ROWS;
        for (size_t i = 0; i < block; i++)
            row[i] = hlf + (done + i) * HLF_COUNT;
        add_rows(f, row, block, out + done * f->n_classes);
        for (size_t i = 0; i < block; i++) {
            float *scores = out + (done + i) * f->n_classes;
            forest_probabilities(f->averaged, scores, f->n_classes);
            for (size_t c = 0; c < f->n_classes && !finite_row(row[i]); c++)
                scores[c] = NAN;
        }
    }
}
