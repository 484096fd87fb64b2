/* core/root/column.c
 *
 * Values of a branch as a column.  Plain numbers are copied basket by basket with their bytes swapped; everything else
 * is walked entry by entry. */
#include "core/root/tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void root_column_fini(struct root_column *c)
{
    mem_free(c->offsets);
    mem_free(c->values);
    *c = (struct root_column){0};
}

static enum status reserve_offsets(struct root_column *c, uint64_t n, struct error *e)
{
    if (n <= c->cap_offsets)
        return STATUS_OK;
    size_t cap = c->cap_offsets + c->cap_offsets / 2;
    cap = cap > n ? cap : (size_t)n;
    uint64_t *p = cap < SIZE_MAX / sizeof *p ? mem_realloc(c->offsets, cap * sizeof *p) : NULL;
    if (!p)
        return root_no_memory(e);
    c->offsets = p;
    c->cap_offsets = cap;
    return STATUS_OK;
}

/* One read over several baskets. */
struct reading {
    struct root_tree *tree;
    const struct root_branch *b;
    struct root_column *out;
    uint64_t n_values; /* in the column so far */
};

/* Entries [first, first + n) of the basket. */
struct piece {
    const struct basket *basket;
    size_t first, n;
};

/* Plain numbers of entries with offsets. */
static enum status copy_jagged(struct reading *g, struct piece p, struct error *e)
{
    const struct shape *s = g->b->shape;
    const uint32_t *off = p.basket->offsets + p.first;
    size_t step = (size_t)s->bytes * s->count, bytes = off[p.n] - off[0];
    uint64_t *to = g->out->offsets + g->out->n_entries;
    uint64_t base = g->n_values;
    uint32_t uneven = 0;
    TRY(column_reserve(g->out, base + bytes / s->bytes, e));
    for (size_t i = 0; i < p.n; i++) {
        to[i + 1] = base + (off[i + 1] - off[0]) / s->bytes;
        uneven |= (off[i + 1] - off[i]) % (uint32_t)step;
    }
    if (uneven)
        return error_set(e, STATUS_FORMAT, "an entry is not a number of values of %zu bytes", step);
    swap_numbers((uint8_t *)g->out->values + base * s->bytes, p.basket->data + off[0], bytes / s->bytes, s->bytes);
    g->n_values += bytes / s->bytes;
    return STATUS_OK;
}

/* Plain numbers, as many in each entry. */
static enum status copy_fixed(struct reading *g, struct piece p, struct error *e)
{
    const struct shape *s = g->b->shape;
    uint64_t *to = g->out->offsets + g->out->n_entries, n = (uint64_t)p.n * s->count;
    TRY(column_reserve(g->out, g->n_values + n, e));
    for (size_t i = 0; i < p.n; i++)
        to[i + 1] = g->n_values + (i + 1) * s->count;
    swap_numbers((uint8_t *)g->out->values + g->n_values * s->bytes, p.basket->data + p.first * p.basket->stride, n,
                 s->bytes);
    g->n_values += n;
    return STATUS_OK;
}

static enum status walk_entries(struct reading *g, struct piece p, struct error *e)
{
    const struct root_branch *b = g->b;
    uint64_t *to = g->out->offsets + g->out->n_entries;
    for (size_t i = 0; i < p.n; i++) {
        size_t from = p.basket->offsets ? p.basket->offsets[p.first + i] : (p.first + i) * p.basket->stride;
        size_t end = p.basket->offsets ? p.basket->offsets[p.first + i + 1] : from + p.basket->stride;
        if (shape_read(b->shape, b->target, b->repeat, p.basket->data + from, end - from, g->out, &g->n_values, e) !=
            STATUS_OK)
            return error_wrap(e, "entry %" PRId64,
                              b->owner->store.places[p.basket->index].first + (int64_t)(p.first + i));
        to[i + 1] = g->n_values;
    }
    return STATUS_OK;
}

/* ---- baskets without offsets whose entries differ in length ------------------------------------------------- */

static const struct root_branch *counter_branch(const struct root_tree *t, const struct root_branch *b)
{
    const struct leaf_object *l = b->leaves.n == 1 ? leaf_of(&b->leaves.items[0]) : NULL;
    const struct leaf_object *counter = l ? leaf_of(&l->counter) : NULL;
    for (size_t i = 0; counter && i < t->n_branches; i++)
        if (t->branches[i]->leaves.n == 1 && t->branches[i]->leaves.items[0].object == counter && t->branches[i] != b)
            return t->branches[i];
    return NULL;
}

static int64_t integer_at(const struct root_column *c, size_t i)
{
    switch (c->type) {
    case ROOT_I8:
        return ((int8_t *)c->values)[i];
    case ROOT_U8:
        return ((uint8_t *)c->values)[i];
    case ROOT_I16:
        return ((int16_t *)c->values)[i];
    case ROOT_U16:
        return ((uint16_t *)c->values)[i];
    case ROOT_I32:
        return ((int32_t *)c->values)[i];
    case ROOT_U32:
        return ((uint32_t *)c->values)[i];
    case ROOT_I64:
    case ROOT_U64:
        return ((int64_t *)c->values)[i];
    default:
        return -1;
    }
}

/* Offsets from the numbers of values that another branch states (ROOT can be told not to write them). */
static enum status offsets_from_counts(const struct root_branch *b, const struct root_column *counts, struct basket *k,
                                       uint32_t *to, size_t n, struct error *e)
{
    const struct shape *s = b->shape;
    uint64_t at = 0, step = (uint64_t)s->bytes * s->count;
    for (size_t i = 0; i < n; i++) {
        int64_t count = integer_at(counts, i);
        to[i] = (uint32_t)at;
        if (count < 0 || (uint64_t)count > (k->n_bytes - at) / step)
            return error_set(e, STATUS_FORMAT, "entry %zu has %" PRId64 " values, %zu bytes remain", i, count,
                             k->n_bytes - (size_t)at);
        at += (uint64_t)count * step;
    }
    to[n] = (uint32_t)at;
    if (at != k->n_bytes)
        return error_set(e, STATUS_FORMAT, "%zu bytes are left over", k->n_bytes - (size_t)at);
    k->offsets = to;
    return STATUS_OK;
}

/* Offsets of elements that say themselves where they end. */
static enum status offsets_from_walk(struct shape *shape, struct basket *k, uint32_t *to, size_t n, struct error *e)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        to[i] = (uint32_t)at;
        if (shape_measure(shape, k->data + at, k->n_bytes - at, &len, e) != STATUS_OK)
            return error_wrap(e, "entry %zu of %zu", i, n);
        at += len;
    }
    to[n] = (uint32_t)at;
    if (at != k->n_bytes)
        return error_set(e, STATUS_FORMAT, "%zu bytes are left over behind %zu entries", k->n_bytes - at, n);
    k->offsets = to;
    return STATUS_OK;
}

static enum status make_offsets(struct root_tree *t, struct root_branch *owner, struct basket *k, struct error *e)
{
    const struct basket_place *p = &owner->store.places[k->index];
    size_t n = (size_t)(p->end - p->first);
    struct buf *buf = &owner->store.offsets;
    buf->len = 0;
    TRY(buf_reserve(buf, (n + 1) * sizeof(uint32_t), e));
    uint32_t *to = (uint32_t *)(void *)buf->data;
    if (!owner->repeat)
        return offsets_from_walk(owner->shape, k, to, n, e);
    const struct root_branch *counter = owner->shape->kind == SHAPE_NUMBER ? counter_branch(t, owner) : NULL;
    if (!counter || counter->repeat || !counter->target)
        return error_set(e, STATUS_UNSUPPORTED, "no offsets of its %zu entries, nor a branch that counts them", n);
    struct root_column counts = {0};
    enum status s = root_read(t, counter, p->first, (int64_t)n, &counts, e);
    if (s == STATUS_OK)
        s = counts.offsets[n] == n ? offsets_from_counts(owner, &counts, k, to, n, e)
                                   : error_set(e, STATUS_FORMAT, "%s does not count entries", counter->name);
    root_column_fini(&counts);
    return s;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static enum status read_piece(struct reading *g, size_t index, int64_t first, int64_t end, struct error *e)
{
    struct root_branch *owner = g->b->owner;
    const struct basket *k;
    TRY(basket_load(g->tree, owner, index, &k, e));
    if (!k->offsets && !k->stride && make_offsets(g->tree, owner, &owner->store.now, e) != STATUS_OK)
        return error_wrap(e, "basket %zu", index);
    /* Only now, that a basket holds these entries, is their number believed. */
    TRY(reserve_offsets(g->out, (uint64_t)g->out->n_entries + (uint64_t)(end - first) + 1, e));
    struct piece p = {k, (size_t)(first - owner->store.places[index].first), (size_t)(end - first)};
    bool plain = owner->shape->kind == SHAPE_NUMBER && g->b->target == owner->shape;
    enum status s = !plain                       ? walk_entries(g, p, e)
                    : k->offsets && g->b->repeat ? copy_jagged(g, p, e)
                    : k->offsets                 ? walk_entries(g, p, e)
                                                 : copy_fixed(g, p, e);
    if (s != STATUS_OK)
        return error_wrap(e, "basket %zu", index);
    g->out->n_entries += p.n;
    return STATUS_OK;
}

static enum status check_range(struct reading *g, int64_t first, int64_t n, struct error *e)
{
    struct root_branch *owner = g->b->owner;
    if (!g->b->target)
        return error_set(e, STATUS_UNSUPPORTED, "%s is not read", g->b->why_not ? g->b->why_not : "a split object");
    if (first < 0 || n < 0 || first > owner->entries || n > owner->entries - first)
        return error_set(e, STATUS_FORMAT,
                         "entries %" PRId64 " to %" PRId64 " of %" PRId64 " are wanted (the tree says %" PRId64 ")",
                         first, first + (n > 0 ? n : 0), owner->entries, g->tree->entries);
    TRY(baskets_prepare(g->tree, owner, e));
    TRY(reserve_offsets(g->out, 1, e));
    g->out->offsets[0] = 0;
    return STATUS_OK;
}

static enum status blame(const struct reading *g, struct error *e)
{
    (void)error_wrap(e, "tree %s: branch %s", g->tree->name, g->b->name);
    return root_wrap(g->tree->file, e);
}

/* Readings of branches with one owner, basket by basket. */
static enum status read_baskets(struct reading *g, size_t n_readings, int64_t first, int64_t n, struct error *e)
{
    struct root_branch *owner = g[0].b->owner;
    int64_t end = first + n;
    for (size_t k = 0; k < n_readings; k++)
        if (check_range(&g[k], first, n, e) != STATUS_OK)
            return blame(&g[k], e);
    for (size_t i = basket_find(owner, first); first < end; i++) {
        int64_t until = owner->store.places[i].end < end ? owner->store.places[i].end : end;
        for (size_t k = 0; k < n_readings; k++)
            if (read_piece(&g[k], i, first, until, e) != STATUS_OK)
                return blame(&g[k], e);
        first = until;
    }
    return STATUS_OK;
}

enum { TOGETHER_MAX = 64 };

enum status root_read_together(struct root_tree *t, const struct root_branch *const *b, size_t n_branches,
                               int64_t first, int64_t n, struct root_column *out, struct error *e)
{
    struct reading g[TOGETHER_MAX];
    enum status s = STATUS_OK;
    check(n_branches <= TOGETHER_MAX);
    for (size_t i = 0; i < n_branches; i++) {
        out[i].type = b[i]->target ? b[i]->target->type : ROOT_OTHER;
        out[i].n_entries = 0;
        g[i] = (struct reading){.tree = t, .b = b[i], .out = &out[i]};
    }
    for (size_t i = 0, k; i < n_branches && s == STATUS_OK; i = k) {
        for (k = i + 1; k < n_branches && b[k]->owner == b[i]->owner; k++)
            ;
        s = read_baskets(&g[i], k - i, first, n, e);
    }
    for (size_t i = 0; i < n_branches && s != STATUS_OK; i++)
        out[i].n_entries = 0;
    return s;
}

enum status root_read(struct root_tree *t, const struct root_branch *b, int64_t first, int64_t n,
                      struct root_column *out, struct error *e)
{
    return root_read_together(t, &b, 1, first, n, out, e);
}

/* ---- clusters ------------------------------------------------------------------------------------------------------
 */

static bool has_values(const struct root_branch *b)
{
    return b->owner == b && b->shape && b->write_basket > 0;
}

static bool begins_basket(const struct root_branch *b, int64_t entry)
{
    size_t low = 0,
           high = (size_t)b->write_basket < b->basket_entry.n ? (size_t)b->write_basket + 1 : b->basket_entry.n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (b->basket_entry.v[mid] < entry)
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->basket_entry.n && b->basket_entry.v[low] == entry;
}

/* Where a basket of the given branch begins in all other branches too. */
static size_t common_borders(const struct root_tree *t, const struct root_branch *least, int64_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)least->write_basket && i < least->basket_entry.n; i++) {
        int64_t entry = least->basket_entry.v[i];
        bool common = entry > (n ? out[n - 1] : 0) && entry < t->entries;
        for (size_t k = 0; common && k < t->n_branches; k++)
            common = !has_values(t->branches[k]) || begins_basket(t->branches[k], entry);
        if (common)
            out[n++] = entry;
    }
    out[n++] = t->entries;
    return n;
}

static void find_clusters(struct root_tree *t)
{
    const struct root_branch *least = NULL;
    for (size_t i = 0; i < t->n_branches; i++)
        if (has_values(t->branches[i]) && (!least || t->branches[i]->write_basket < least->write_basket))
            least = t->branches[i];
    size_t most = least ? least->basket_entry.n + 1 : 1;
    t->clusters = mem_calloc(most, sizeof *t->clusters);
    if (t->clusters)
        t->n_clusters = least ? common_borders(t, least, t->clusters) : (t->clusters[0] = t->entries, 1);
}

int64_t root_tree_cluster_end(const struct root_tree *tree, int64_t entry)
{
    struct root_tree *t = (struct root_tree *)(uintptr_t)tree; /* filled in at the first question */
    if (!t->clusters)
        find_clusters(t);
    for (size_t i = 0; i < t->n_clusters; i++)
        if (t->clusters[i] > entry)
            return t->clusters[i];
    return t->entries;
}
