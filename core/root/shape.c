/* core/root/shape.c
 *
 * From class layouts to shapes.  A class that the file does not describe, or a container that we do not read, becomes
 * something to skip; what cannot even be skipped ends the object and is named. */
#include "core/root/shape.h"

#include <string.h>

enum {
    SHAPES_MAX = 40000, /* of one tree; a Delphes tree that was not split has about 600 */
    DEPTH_MAX = 12,
};

static struct shape *fail(struct error *e)
{
    (void)root_no_memory(e);
    return NULL;
}

struct shape *shape_new(struct shape_maker *m, enum shape_kind kind, const char *name, struct error *e)
{
    if (m->n_made == SHAPES_MAX) {
        (void)error_set(e, STATUS_UNSUPPORTED, "classes with more than %d members in all", SHAPES_MAX);
        return NULL;
    }
    struct shape *s = ARENA_NEW(m->arena, struct shape, 1);
    if (!s)
        return fail(e);
    m->n_made++;
    s->kind = kind;
    s->name = name;
    s->class_name = "";
    s->type = ROOT_OTHER;
    s->count = 1;
    return s;
}

struct shape *shape_number(struct shape_maker *m, const char *name, enum root_type type, uint32_t count,
                           struct error *e)
{
    struct shape *s = shape_new(m, SHAPE_NUMBER, name, e);
    if (s) {
        s->type = type;
        s->bytes = (uint32_t)root_type_size(type);
        s->count = count ? count : 1;
    }
    return s;
}

struct shape *shape_opaque(struct shape_maker *m, const char *name, const char *why, struct error *e)
{
    struct shape *s = shape_new(m, SHAPE_OPAQUE, name, e);
    if (s)
        s->why = why;
    return s;
}

static struct shape *add_child(struct shape *parent, struct shape **tail, struct shape *child)
{
    if (child) {
        if (*tail)
            (*tail)->next = child;
        else
            parent->child = child;
        *tail = child;
    }
    return child;
}

/* ---- classes that every file has --------------------------------------------------------------------------- */

static struct shape *tobject_like(struct shape_maker *m, enum shape_kind kind, const char *name, struct error *e)
{
    struct shape *s = shape_new(m, kind, name, e), *tail = NULL, *bits;
    if (!s || !add_child(s, &tail, shape_number(m, "fUniqueID", ROOT_U32, 1, e)))
        return NULL;
    bits = add_child(s, &tail, shape_new(m, SHAPE_BITS, "fBits", e));
    if (!bits)
        return NULL;
    bits->type = ROOT_U32;
    return s;
}

static struct shape *tref_array(struct shape_maker *m, const char *name, struct error *e)
{
    struct shape *s = shape_new(m, SHAPE_TREF_ARRAY, name, e), *tail = NULL;
    if (!s || !add_child(s, &tail, shape_number(m, "size", ROOT_I32, 1, e)) ||
        !add_child(s, &tail, shape_number(m, "fUIDs", ROOT_U32, 1, e)))
        return NULL;
    return s;
}

/* Element type of "vector<T>" for a basic T; ROOT_OTHER for all else. */
static enum root_type vector_of(const char *class_name)
{
    static const struct {
        const char *name;
        enum root_type type;
    } basics[] = {
        {"bool", ROOT_BOOL},         {"char", ROOT_I8},          {"signed char", ROOT_I8},
        {"unsigned char", ROOT_U8},  {"short", ROOT_I16},        {"unsigned short", ROOT_U16},
        {"int", ROOT_I32},           {"unsigned int", ROOT_U32}, {"long", ROOT_I64},
        {"unsigned long", ROOT_U64}, {"long long", ROOT_I64},    {"unsigned long long", ROOT_U64},
        {"float", ROOT_F32},         {"double", ROOT_F64},       {"Bool_t", ROOT_BOOL},
        {"Char_t", ROOT_I8},         {"UChar_t", ROOT_U8},       {"Short_t", ROOT_I16},
        {"UShort_t", ROOT_U16},      {"Int_t", ROOT_I32},        {"UInt_t", ROOT_U32},
        {"Long64_t", ROOT_I64},      {"ULong64_t", ROOT_U64},    {"Float_t", ROOT_F32},
        {"Double_t", ROOT_F64},
    };
    if (strncmp(class_name, "std::", 5) == 0)
        class_name += 5;
    if (strncmp(class_name, "vector<", 7) != 0)
        return ROOT_OTHER;
    const char *item = class_name + 7;
    size_t n = strcspn(item, ">,");
    if (strcmp(item + n, ">") != 0) /* nested, or with an allocator of its own */
        return ROOT_OTHER;
    while (n > 0 && item[n - 1] == ' ')
        n--;
    for (size_t i = 0; i < ARRAY_LEN(basics); i++)
        if (strlen(basics[i].name) == n && memcmp(basics[i].name, item, n) == 0)
            return basics[i].type;
    return ROOT_OTHER;
}

static struct shape *skipped(struct shape_maker *m, const char *name, const char *why, struct error *e)
{
    struct shape *s = shape_new(m, SHAPE_SKIP, name, e);
    if (s)
        s->why = why;
    return s;
}

/* Containers of the C++ library, of which strings and vectors of numbers are read. */
static struct shape *container(struct shape_maker *m, const char *name, const char *class_name, struct error *e)
{
    enum root_type type = vector_of(class_name);
    if (strcmp(class_name, "string") == 0 || strcmp(class_name, "std::string") == 0) {
        struct shape *text = shape_new(m, SHAPE_STD_STRING, name, e);
        if (text)
            text->type = ROOT_STRING;
        return text;
    }
    if (type == ROOT_OTHER)
        return skipped(m, name, class_name, e);
    struct shape *s = shape_number(m, name, type, 1, e);
    if (s)
        s->kind = SHAPE_VECTOR;
    return s;
}

/* ---- members and classes ------------------------------------------------------------------------------------ */

static bool is_container(const char *class_name)
{
    static const char *const starts[] = {"vector<",   "std::vector<",   "map<",           "set<",
                                         "list<",     "deque<",         "pair<",          "multimap<",
                                         "multiset<", "unordered_map<", "unordered_set<", "bitset<"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        if (strncmp(class_name, starts[i], strlen(starts[i])) == 0)
            return true;
    return strcmp(class_name, "string") == 0;
}

/* Fills `s` with the members of a class; stops behind one that cannot be skipped. */
static bool add_members(struct shape_maker *m, struct shape *s, const struct class_info *info, struct error *e)
{
    struct shape *tail = NULL;
    for (size_t i = 0; i < info->n_members; i++) {
        const struct class_member *member = &info->members[i];
        struct shape *child = shape_member(m, member, e);
        if (!add_child(s, &tail, child))
            return false;
        if (child->kind != SHAPE_COUNTED)
            continue;
        for (struct shape *c = s->child; c != child; c = c->next)
            if (c->kind == SHAPE_NUMBER && strcmp(c->name, member->counter) == 0)
                child->counter = c;
        if (!child->counter) {
            child->kind = SHAPE_OPAQUE;
            child->why = "array whose length is not in its object";
        }
    }
    return true;
}

struct shape *shape_class(struct shape_maker *m, const char *name, const char *class_name,
                          const struct class_info *info, struct error *e)
{
    if (strcmp(class_name, "TObject") == 0)
        return tobject_like(m, SHAPE_TOBJECT, name, e);
    if (strcmp(class_name, "TRef") == 0)
        return tobject_like(m, SHAPE_TREF, name, e);
    if (strcmp(class_name, "TRefArray") == 0)
        return tref_array(m, name, e);
    if (is_container(class_name))
        return container(m, name, class_name, e);
    if (!info)
        info = class_newest(m->file, class_name);
    /* These write themselves by hand, not by their layout. */
    bool by_hand = strcmp(class_name, "TClonesArray") == 0 || strcmp(class_name, "TObjArray") == 0 ||
                   strcmp(class_name, "TList") == 0;
    if (!info || by_hand || m->depth >= DEPTH_MAX)
        return skipped(m, name, class_name, e);
    struct shape *s = shape_new(m, SHAPE_OBJECT, name, e);
    if (!s)
        return NULL;
    s->class_name = class_name;
    s->version = info->version;
    s->checksum = info->checksum;
    m->depth++;
    bool ok = add_members(m, s, info, e);
    m->depth--;
    return ok ? s : NULL;
}

/* Streamed member by member, an array of objects has one header for all its containers, and lengths of arrays would
 * have to be kept for every item. */
static void refuse_varying(struct shape *s)
{
    for (struct shape *c = s->child; c; c = c->next) {
        if (c->kind == SHAPE_OBJECT && !*c->name)
            refuse_varying(c);
        bool is_base = !*c->name;
        if (c->kind == SHAPE_COUNTED || c->kind == SHAPE_VECTOR || c->kind == SHAPE_STD_STRING ||
            (c->kind == SHAPE_SKIP && (is_base || is_container(c->why)))) {
            c->why = c->kind == SHAPE_SKIP ? c->why : "member of varying length in a TClonesArray";
            c->kind = SHAPE_OPAQUE;
        }
    }
}

struct shape *shape_clones(struct shape_maker *m, const char *name, const char *class_name, struct error *e)
{
    const struct class_info *info = class_newest(m->file, class_name);
    if (!info)
        return shape_opaque(
            m, name, arena_printf(m->arena, "TClonesArray of %s, which the file does not describe", class_name), e);
    struct shape *s = shape_class(m, name, class_name, info, e);
    if (!s || s->kind != SHAPE_OBJECT)
        return s ? shape_opaque(m, name, arena_printf(m->arena, "TClonesArray of %s", class_name), e) : NULL;
    s->kind = SHAPE_CLONES;
    s->type = ROOT_I32; /* as a column: the number of items */
    refuse_varying(s);
    return s;
}

static struct shape *basic_member(struct shape_maker *m, const struct class_member *member, struct error *e)
{
    enum root_type type;
    size_t bytes;
    if (member->type % MEMBER_ARRAY == MEMBER_BITS && member->type < MEMBER_ARRAY) {
        struct shape *s = shape_new(m, SHAPE_BITS, member->name, e);
        if (s)
            s->type = ROOT_U32;
        return s;
    }
    if (!member_basic(member, &type, &bytes))
        return shape_opaque(m, member->name, arena_printf(m->arena, "%s %s", member->type_name, member->title), e);
    bool is_array = member->type > MEMBER_ARRAY && member->type < MEMBER_POINTER;
    struct shape *s = shape_number(m, member->name, type, is_array ? member->length : 1, e);
    if (s && member->type > MEMBER_POINTER)
        s->kind = SHAPE_COUNTED;
    return s;
}

struct shape *shape_member(struct shape_maker *m, const struct class_member *member, struct error *e)
{
    int type = member->type;
    if (type > 0 && type < 60 && type != MEMBER_ARRAY && type != MEMBER_POINTER)
        return basic_member(m, member, e);
    switch (type) {
    case MEMBER_BASE:
    case MEMBER_TOBJECT:
    case MEMBER_TNAMED:
        return shape_class(m, "", member->name, class_find(m->file, member->name, member->base_version, 0), e);
    case MEMBER_OBJECT:
    case MEMBER_ANY:
    case MEMBER_OBJECT_INLINE:
    case MEMBER_ANY_INLINE:
        return shape_class(m, member->name, member->type_name, NULL, e);
    case MEMBER_OBJECT + MEMBER_ARRAY:
    case MEMBER_ANY + MEMBER_ARRAY: {
        struct shape *s = shape_class(m, member->name, member->type_name, NULL, e);
        if (s)
            s->count = member->length ? member->length : 1;
        return s;
    }
    case MEMBER_TSTRING: {
        struct shape *s = shape_new(m, SHAPE_TEXT, member->name, e);
        if (s)
            s->type = ROOT_STRING;
        return s;
    }
    case MEMBER_OBJECT_POINTER:
    case MEMBER_ANY_POINTER:
    case MEMBER_ANY_POINTER_NO_VIRTUAL: {
        struct shape *s = shape_new(m, SHAPE_SKIP_POINTER, member->name, e);
        if (s)
            s->why = member->type_name;
        return s;
    }
    default: /* containers are of kind STL or STREAMER */
        return container(m, member->name, member->type_name, e);
    }
}

/* ---- finishing ------------------------------------------------------------------------------------------------ */

/* `behind`: why nothing more can be read at this place; survives the end of a child only where the child has no byte
 * count to skip by. */
static const char *finish(struct shape *s, uint32_t *index, const char *behind)
{
    s->index = (*index)++;
    if (behind)
        s->why = behind;
    const char *inside = s->kind == SHAPE_OPAQUE && !behind ? s->why : behind;
    for (struct shape *c = s->child; c; c = c->next)
        inside = finish(c, index, inside);
    s->last = *index - 1;
    bool counted = s->kind == SHAPE_OBJECT || s->kind == SHAPE_CLONES;
    return counted ? behind : inside;
}

void shape_finish(struct shape *s)
{
    uint32_t index = 0;
    (void)finish(s, &index, NULL);
}
