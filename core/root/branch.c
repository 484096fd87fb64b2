/* core/root/branch.c
 *
 * From the branch objects of a tree to one list, depth first, with a row for every member that can be read: branches
 * that the file stores, and the parts of those that hold whole objects. */
#include "core/root/tree.h"

#include <inttypes.h>
#include <string.h>

enum { BRANCHES_MAX = 200000 };

static enum status append(struct root_tree *t, struct root_branch *b, struct error *e)
{
    if (t->n_branches == BRANCHES_MAX)
        return error_set(e, STATUS_UNSUPPORTED, "more than %d branches", BRANCHES_MAX);
    if (t->n_branches == t->cap_branches) {
        size_t cap = t->cap_branches ? 2 * t->cap_branches : 64;
        void *p = mem_realloc(t->branches, cap * sizeof *t->branches);
        if (!p)
            return root_no_memory(e);
        t->branches = p;
        t->cap_branches = cap;
    }
    t->branches[t->n_branches++] = b;
    return STATUS_OK;
}

/* ---- parts ------------------------------------------------------------------------------------------------- */

struct place {
    const char *prefix; /* of the names of parts */
    bool jagged;        /* some container around */
    uint32_t n_fixed;
};

static bool is_column(const struct shape *s)
{
    return s->type != ROOT_OTHER && s->kind != SHAPE_OPAQUE && s->kind != SHAPE_SKIP;
}

/* What the branch's values are, when they are those of `s`. */
static void aim(struct root_branch *b, const struct shape *s, struct place at)
{
    b->target = is_column(s) && !s->why ? s : NULL;
    b->why_not = s->why;
    b->jagged = at.jagged || s->kind == SHAPE_VECTOR || s->kind == SHAPE_COUNTED;
    b->n_fixed = at.n_fixed * s->count;
    if (b->target && at.jagged && (s->kind == SHAPE_VECTOR || s->kind == SHAPE_COUNTED)) {
        b->target = NULL; /* where one ends and the next begins would be lost */
        b->why_not = "array of varying length in an array";
    }
    if (b->target && s->type == ROOT_STRING && b->jagged) {
        b->target = NULL;
        b->why_not = "TString in an array";
    }
}

static enum status add_part(struct root_tree *t, struct root_branch *owner, const struct shape *s, const char *name,
                            struct place at, struct error *e)
{
    struct root_branch *p = ARENA_NEW(&t->arena, struct root_branch, 1);
    if (!p)
        return root_no_memory(e);
    p->type_name = "";
    p->name = name;
    p->title = p->clones_name = p->file_name = "";
    p->class_name = is_column(s) ? "" : s->class_name;
    p->entries = owner->entries;
    p->depth = owner->depth + 1;
    p->owner = owner;
    p->shape = owner->shape;
    p->repeat = owner->repeat;
    aim(p, s, at);
    return append(t, p, e);
}

static enum status add_parts(struct root_tree *t, struct root_branch *owner, const struct shape *parent,
                             struct place at, struct error *e)
{
    for (const struct shape *s = parent->child; s; s = s->next) {
        struct place here = at;
        const char *name = *s->name ? arena_printf(&t->arena, "%s.%s", at.prefix, s->name) : at.prefix;
        if (!name)
            return root_no_memory(e);
        if (!s->child) {
            here.jagged |= parent->kind == SHAPE_TREF_ARRAY && strcmp(s->name, "fUIDs") == 0;
            TRY(add_part(t, owner, s, name, here, e));
            continue;
        }
        here.prefix = name;
        here.n_fixed *= s->count;
        TRY(add_parts(t, owner, s, here, e));
    }
    return STATUS_OK;
}

/* ---- stored branches ------------------------------------------------------------------------------------------ */

/* The shape has a list of children of its own only where the branch holds whole objects. */
static enum status aim_stored(struct root_tree *t, struct root_branch *b, struct error *e)
{
    if (!b->shape)
        return STATUS_OK;
    shape_finish(b->shape);
    struct place at = {.prefix = b->name, .jagged = b->repeat, .n_fixed = 1};
    size_t n = strcspn(b->name, "[");
    if (n > 0 && b->name[n - 1] == '.') /* "event." names its members "event.x" */
        n--;
    at.prefix = arena_strndup(&t->arena, b->name, n);
    if (!at.prefix)
        return root_no_memory(e);
    aim(b, b->shape, at);
    if (!b->shape->child)
        return STATUS_OK;
    if (b->shape->kind != SHAPE_CLONES) {
        b->target = NULL;
        b->why_not = *b->shape->class_name ? b->shape->class_name : "several members: read its parts";
    }
    at.n_fixed = b->n_fixed;
    at.jagged |= b->shape->kind == SHAPE_CLONES;
    return add_parts(t, b, b->shape, at, e);
}

static enum status flatten(struct root_tree *t, struct shape_maker *m, const struct object_list *list, int depth,
                           struct error *e)
{
    for (size_t i = 0; i < list->n; i++) {
        struct root_branch *b = branch_of(&list->items[i]);
        if (!b)
            return error_set(e, STATUS_FORMAT, "branch %zu is a %s", i,
                             *list->items[i].class_name ? list->items[i].class_name : "null pointer");
        if (b->visited)
            return error_set(e, STATUS_FORMAT, "branch %s is listed twice", b->name);
        b->visited = true;
        b->depth = depth;
        b->owner = b;
        TRY(append(t, b, e));
        if (branch_describe(t, m, b, e) != STATUS_OK || aim_stored(t, b, e) != STATUS_OK)
            return error_wrap(e, "branch %s", b->name);
        TRY(flatten(t, m, &b->branches, depth + 1, e));
    }
    return STATUS_OK;
}

enum status branches_flatten(struct root_tree *t, struct error *e)
{
    struct shape_maker m = {.file = t->file, .arena = &t->arena};
    return flatten(t, &m, &t->top, 0, e);
}

/* ---- what users see -------------------------------------------------------------------------------------------- */

size_t root_tree_branches(const struct root_tree *t)
{
    return t->n_branches;
}

struct root_branch_info root_branch_describe(const struct root_tree *t, const struct root_branch *b)
{
    struct root_branch_info info = {
        .name = b->name,
        .class_name = *b->clones_name ? b->clones_name : b->class_name,
        .title = b->title,
        .depth = b->depth,
        .type = b->target ? b->target->type : ROOT_OTHER,
        .why_not = b->target    ? NULL
                   : b->why_not ? b->why_not
                                : "nothing of its own: read the branches below",
        .jagged = b->jagged,
        .n_fixed = b->n_fixed ? b->n_fixed : 1,
        .is_part = b->owner != b,
        .entries = b->entries,
        .stored_bytes = b->zip_bytes,
        .raw_bytes = b->total_bytes,
        .codec = "-",
    };
    if (info.is_part)
        return info;
    info.baskets = b->write_basket > 0 ? (uint32_t)b->write_basket : 0;
    for (size_t i = 0; i < b->baskets.n; i++)
        info.embedded += b->baskets.items[i].object != NULL;
    info.codec = basket_codec((struct root_tree *)(uintptr_t)t, b); /* looked up at the first question */
    return info;
}

struct root_branch_info root_branch_info(const struct root_tree *t, size_t i)
{
    check(i < t->n_branches);
    return root_branch_describe(t, t->branches[i]);
}

/* "Edges[4]" and "event." are found as "Edges" and "event" too; "Jet_" is the counter that "Jet" holds. */
static bool is_named(const struct root_branch *b, const char *name, size_t len)
{
    if (strncmp(b->name, name, len) != 0) {
        const struct leaf_object *l = b->leaves.n == 1 ? leaf_of(&b->leaves.items[0]) : NULL;
        return l && (b->type == 3 || b->type == 4) && strcmp(l->name, name) == 0;
    }
    const char *rest = b->name + len;
    if (*rest == 0 || *rest == '[' || (rest[0] == '.' && rest[1] == 0))
        return true;
    return false;
}

const struct root_branch *root_branch_find(const struct root_tree *t, const char *name)
{
    const struct root_branch *first = NULL;
    size_t len = strlen(name);
    for (size_t i = 0; i < t->n_branches; i++) {
        const struct root_branch *b = t->branches[i];
        if (!is_named(b, name, len))
            continue;
        if (b->target)
            return b;
        if (!first)
            first = b;
    }
    return first;
}

/* ---- types ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [ROOT_BOOL] = {"bool", 1},   [ROOT_I8] = {"int8", 1},     [ROOT_U8] = {"uint8", 1},
    [ROOT_I16] = {"int16", 2},   [ROOT_U16] = {"uint16", 2},  [ROOT_I32] = {"int32", 4},
    [ROOT_U32] = {"uint32", 4},  [ROOT_I64] = {"int64", 8},   [ROOT_U64] = {"uint64", 8},
    [ROOT_F32] = {"float32", 4}, [ROOT_F64] = {"float64", 8}, [ROOT_STRING] = {"string", 0},
    [ROOT_OTHER] = {"other", 0},
};

size_t root_type_size(enum root_type t)
{
    return (unsigned)t < ARRAY_LEN(types) ? types[t].size : 0;
}
const char *root_type_name(enum root_type t)
{
    return (unsigned)t < ARRAY_LEN(types) ? types[t].name : "?";
}
