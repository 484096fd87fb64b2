/* core/root/leaf.c
 *
 * What one branch holds: plain leaves say it themselves, branches of class members (TBranchElement) by the layout of
 * their class. */
#include "core/root/tree.h"

#include <string.h>

/* Types of TBranchElement. */
enum { ELEMENT_CLONES = 3, ELEMENT_STL = 4, ELEMENT_IN_CLONES = 31, ELEMENT_IN_STL = 41 };

static enum status done(struct root_branch *b, struct shape *s, struct error *e)
{
    b->shape = s;
    return s ? STATUS_OK : e->status;
}

/* ---- plain leaves --------------------------------------------------------------------------------------------- */

static const struct {
    const char *leaf;
    enum root_type type, of_unsigned;
} leaf_types[] = {
    {"TLeafO", ROOT_BOOL, ROOT_BOOL}, {"TLeafB", ROOT_I8, ROOT_U8},   {"TLeafS", ROOT_I16, ROOT_U16},
    {"TLeafI", ROOT_I32, ROOT_U32},   {"TLeafL", ROOT_I64, ROOT_U64}, {"TLeafG", ROOT_I64, ROOT_U64},
    {"TLeafF", ROOT_F32, ROOT_F32},   {"TLeafD", ROOT_F64, ROOT_F64},
};

static struct shape *leaf_shape(struct root_tree *t, struct shape_maker *m, const struct leaf_object *l,
                                struct error *e)
{
    if (strcmp(l->class_name, "TLeafC") == 0) {
        struct shape *s = shape_new(m, SHAPE_TEXT, l->name, e);
        if (s)
            s->type = ROOT_STRING;
        return s;
    }
    for (size_t i = 0; i < ARRAY_LEN(leaf_types); i++) {
        if (strcmp(l->class_name, leaf_types[i].leaf) != 0)
            continue;
        enum root_type type = l->is_unsigned ? leaf_types[i].of_unsigned : leaf_types[i].type;
        if (l->type_bytes != (int64_t)root_type_size(type) || l->length < 1 || l->length > UINT32_MAX / 8) {
            (void)error_set(e, STATUS_FORMAT, "leaf %s of %lld values of %lld bytes", l->name, (long long)l->length,
                            (long long)l->type_bytes);
            return NULL;
        }
        return shape_number(m, l->name, type, (uint32_t)l->length, e);
    }
    return shape_opaque(m, l->name, arena_printf(&t->arena, "%s %s", l->class_name, l->title), e);
}

/* A leaf list "a/F:b/I": one behind the other in each entry. */
static enum status leaf_list(struct root_tree *t, struct shape_maker *m, struct root_branch *b, struct error *e)
{
    struct shape *list = shape_new(m, SHAPE_FLAT, b->name, e), *tail = NULL;
    for (size_t i = 0; list && i < b->leaves.n; i++) {
        const struct leaf_object *l = leaf_of(&b->leaves.items[i]);
        struct shape *s = !l                  ? shape_opaque(m, "?", b->leaves.items[i].class_name, e)
                          : l->counter.object ? shape_opaque(m, l->name, "leaf list with a leaf of varying length", e)
                                              : leaf_shape(t, m, l, e);
        if (!s)
            return e->status;
        if (tail)
            tail->next = s;
        else
            list->child = s;
        tail = s;
    }
    return done(b, list, e);
}

static enum status describe_leaves(struct root_tree *t, struct shape_maker *m, struct root_branch *b, struct error *e)
{
    if (b->leaves.n == 0)
        return STATUS_OK;
    if (b->leaves.n > 1)
        return leaf_list(t, m, b, e);
    const struct leaf_object *l = leaf_of(&b->leaves.items[0]);
    if (!l)
        return done(b, shape_opaque(m, b->name, b->leaves.items[0].class_name, e), e);
    b->repeat = l->counter.object != NULL;
    return done(b, leaf_shape(t, m, l, e), e);
}

/* ---- members of classes ----------------------------------------------------------------------------------------- */

/* "Jet.FracPt[5]" -> "FracPt". */
static const char *member_name(struct root_tree *t, const struct root_branch *b)
{
    size_t n = strcspn(b->name, "[");
    const char *end = b->name + n, *start = end;
    if (start > b->name && start[-1] == '.')
        end = --start;
    while (start > b->name && start[-1] != '.')
        start--;
    return arena_strndup(&t->arena, start, (size_t)(end - start));
}

static const struct class_member *find_member(struct root_tree *t, const struct root_branch *b, const char *name)
{
    const struct class_info *info = class_find(t->file, b->class_name, (int)b->class_version, (uint32_t)b->checksum);
    if (!info)
        info = class_newest(t->file, b->class_name);
    for (size_t i = 0; info && i < info->n_members; i++)
        if (strcmp(info->members[i].name, name) == 0)
            return &info->members[i];
    return NULL;
}

/* In an array of objects, ROOT streams variable-length members in ways of their own. */
static bool varies(const struct shape *s)
{
    return s->kind == SHAPE_COUNTED || s->kind == SHAPE_VECTOR || s->kind == SHAPE_SKIP ||
           s->kind == SHAPE_STD_STRING || s->kind == SHAPE_SKIP_POINTER;
}

static enum status describe_member(struct root_tree *t, struct shape_maker *m, struct root_branch *b, struct error *e)
{
    const char *name = member_name(t, b);
    if (!name)
        return root_no_memory(e);
    b->repeat = b->type == ELEMENT_IN_CLONES || b->type == ELEMENT_IN_STL;
    if (b->streamer_type == MEMBER_BITS) {
        struct shape *s = shape_new(m, SHAPE_BITS, name, e);
        if (s)
            s->type = ROOT_U32;
        return done(b, s, e);
    }
    enum root_type type = b->streamer_type > 0 && b->streamer_type < MEMBER_ARRAY
                              ? member_type_number((int)b->streamer_type)
                              : ROOT_OTHER;
    const struct class_member *member = find_member(t, b, name);
    if (type != ROOT_OTHER && member && member->type > 0 && member->type < MEMBER_ARRAY &&
        member_type_number(member->type) != type && member_type_number(member->type) != ROOT_OTHER)
        return error_set(e, STATUS_FORMAT, "it says that it holds %s, its class %s", root_type_name(type),
                         root_type_name(member_type_number(member->type)));
    if (type != ROOT_OTHER)
        return done(b, shape_number(m, name, type, 1, e), e);
    if (!member)
        return done(b,
                    shape_opaque(m, name,
                                 arena_printf(&t->arena,
                                              "member of class %s, which the file does not "
                                              "describe",
                                              b->class_name),
                                 e),
                    e);
    struct shape *s = shape_member(m, member, e);
    if (s && b->repeat && varies(s))
        s = shape_opaque(m, name, arena_printf(&t->arena, "%s in an array", member->type_name), e);
    return done(b, s, e);
}

static enum status describe_element(struct root_tree *t, struct shape_maker *m, struct root_branch *b, struct error *e)
{
    if (b->type == ELEMENT_CLONES || b->type == ELEMENT_STL)
        return done(b, shape_number(m, b->name, ROOT_I32, 1, e), e); /* the number of items */
    if (b->branches.n > 0)                                           /* split: the values are below */
        return STATUS_OK;
    if (b->id >= 0)
        return describe_member(t, m, b, e);
    if (strcmp(b->class_name, "TClonesArray") == 0)
        return done(b, shape_clones(m, b->name, b->clones_name, e), e);
    if (strcmp(b->class_name, "string") == 0 || strcmp(b->class_name, "TString") == 0) {
        struct shape *s = shape_new(m, SHAPE_TEXT, b->name, e);
        if (s)
            s->type = ROOT_STRING;
        return done(b, s, e);
    }
    const struct class_info *info = class_find(t->file, b->class_name, (int)b->class_version, (uint32_t)b->checksum);
    return done(b, shape_class(m, b->name, b->class_name, info, e), e);
}

/* ---- whole objects ------------------------------------------------------------------------------------------------
 */

/* The first entry that the branch holds; false when there is none that can be read. */
static bool first_entry(struct root_tree *t, struct root_branch *b, struct span *out)
{
    struct error e;
    const struct basket *k;
    if (baskets_prepare(t, b, &e) != STATUS_OK || b->store.n_places == 0 || basket_load(t, b, 0, &k, &e) != STATUS_OK)
        return false;
    *out = (struct span){k->data, k->offsets ? k->offsets[1] : k->n_bytes};
    return true;
}

/* A branch with whole objects of one class (TBranchObject): what split level 0 makes.  Of a TClonesArray it does not
 * state the class of the items; the first entry does. */
static enum status describe_object(struct root_tree *t, struct shape_maker *m, struct root_branch *b, struct error *e)
{
    const struct leaf_object *l = b->leaves.n == 1 ? leaf_of(&b->leaves.items[0]) : NULL;
    if (!l)
        return done(b, shape_opaque(m, b->name, b->type_name, e), e);
    struct shape *s;
    if (strcmp(b->class_name, "TClonesArray") == 0) {
        char item[200] = "";
        struct span entry;
        if (first_entry(t, b, &entry))
            clones_class(entry.data, entry.len, l->is_virtual, item, sizeof item);
        item[strcspn(item, ";")] = 0;
        const char *name = arena_strdup(&t->arena, item);
        if (!name)
            return root_no_memory(e);
        b->clones_name = name;
        s = shape_clones(m, b->name, name, e);
    } else {
        s = shape_class(m, b->name, b->class_name, NULL, e);
    }
    if (s && l->is_virtual)
        s->prefix_class = b->class_name;
    return done(b, s, e);
}

enum status branch_describe(struct root_tree *t, struct shape_maker *m, struct root_branch *b, struct error *e)
{
    if (*b->file_name)
        return done(
            b, shape_opaque(m, b->name, arena_printf(&t->arena, "baskets in another file (%s)", b->file_name), e), e);
    if (strcmp(b->type_name, "TBranch") == 0)
        return describe_leaves(t, m, b, e);
    if (strcmp(b->type_name, "TBranchElement") == 0)
        return describe_element(t, m, b, e);
    if (strcmp(b->type_name, "TBranchObject") == 0 && b->branches.n == 0)
        return describe_object(t, m, b, e);
    return done(b, shape_opaque(m, b->name, b->type_name, e), e);
}
