/* core/root/tree.c
 *
 * Opens trees: reads the tree object by its class layout into branch, leaf and basket objects. */
#include "core/root/tree.h"

#include <inttypes.h>
#include <string.h>

/* ---- objects in a tree -------------------------------------------------------------------------------------- */

#define WANT(struct_, member_, name_, kind_)                                                                           \
    {                                                                                                                  \
        (name_), (kind_), offsetof(struct struct_, member_)                                                            \
    }

static const struct want tree_wants[] = {
    WANT(root_tree, name, "fName", WANT_TEXT),         WANT(root_tree, title, "fTitle", WANT_TEXT),
    WANT(root_tree, entries, "fEntries", WANT_I64),    WANT(root_tree, total_bytes, "fTotBytes", WANT_I64),
    WANT(root_tree, zip_bytes, "fZipBytes", WANT_I64), WANT(root_tree, auto_flush, "fAutoFlush", WANT_I64),
    WANT(root_tree, top, "fBranches", WANT_OBJECTS),   {0},
};

static const struct want branch_wants[] = {
    WANT(root_branch, name, "fName", WANT_TEXT),
    WANT(root_branch, title, "fTitle", WANT_TEXT),
    WANT(root_branch, file_name, "fFileName", WANT_TEXT),
    WANT(root_branch, class_name, "fClassName", WANT_TEXT),
    WANT(root_branch, clones_name, "fClonesName", WANT_TEXT),
    WANT(root_branch, entries, "fEntries", WANT_I64),
    WANT(root_branch, first_entry, "fFirstEntry", WANT_I64),
    WANT(root_branch, total_bytes, "fTotBytes", WANT_I64),
    WANT(root_branch, zip_bytes, "fZipBytes", WANT_I64),
    WANT(root_branch, write_basket, "fWriteBasket", WANT_I64),
    WANT(root_branch, max_baskets, "fMaxBaskets", WANT_I64),
    WANT(root_branch, offset_len, "fEntryOffsetLen", WANT_I64),
    WANT(root_branch, class_version, "fClassVersion", WANT_I64),
    WANT(root_branch, checksum, "fCheckSum", WANT_I64),
    WANT(root_branch, id, "fID", WANT_I64),
    WANT(root_branch, type, "fType", WANT_I64),
    WANT(root_branch, streamer_type, "fStreamerType", WANT_I64),
    WANT(root_branch, basket_bytes, "fBasketBytes", WANT_I64S),
    WANT(root_branch, basket_entry, "fBasketEntry", WANT_I64S),
    WANT(root_branch, basket_seek, "fBasketSeek", WANT_I64S),
    WANT(root_branch, branches, "fBranches", WANT_OBJECTS),
    WANT(root_branch, leaves, "fLeaves", WANT_OBJECTS),
    WANT(root_branch, baskets, "fBaskets", WANT_OBJECTS),
    WANT(root_branch, counter, "fBranchCount", WANT_POINTER),
    {0},
};

static const struct want leaf_wants[] = {
    WANT(leaf_object, name, "fName", WANT_TEXT),
    WANT(leaf_object, title, "fTitle", WANT_TEXT),
    WANT(leaf_object, length, "fLen", WANT_I64),
    WANT(leaf_object, type_bytes, "fLenType", WANT_I64),
    WANT(leaf_object, is_unsigned, "fIsUnsigned", WANT_I64),
    WANT(leaf_object, is_virtual, "fVirtual", WANT_I64),
    WANT(leaf_object, counter, "fLeafCount", WANT_POINTER),
    {0},
};

static enum status read_branch(struct object_reader *r, const char *class_name, void **object, struct error *e)
{
    struct root_branch *b = ARENA_NEW(r->arena, struct root_branch, 1);
    if (!b)
        return root_no_memory(e);
    b->type_name = class_name;
    b->name = b->title = b->class_name = b->clones_name = b->file_name = "";
    b->id = b->streamer_type = -1;
    *object = b;
    object_announce(r, b); /* branches below point back as their counter */
    if (members_read(r, class_name, branch_wants, b, e) != STATUS_OK)
        return error_wrap(e, "branch %s", b->name);
    return STATUS_OK;
}

static enum status read_leaf(struct object_reader *r, const char *class_name, void **object, struct error *e)
{
    struct leaf_object *l = ARENA_NEW(r->arena, struct leaf_object, 1);
    if (!l)
        return root_no_memory(e);
    l->class_name = class_name;
    l->name = l->title = "";
    *object = l;
    object_announce(r, l);
    if (members_read(r, class_name, leaf_wants, l, e) != STATUS_OK)
        return error_wrap(e, "leaf %s", l->name);
    return STATUS_OK;
}

/* An array in front of which its length is written. */
static const uint8_t *take_i32s(struct cursor *c, uint32_t *n)
{
    *n = cursor_be32(c);
    return *n <= cursor_left(c) / 4 ? cursor_take(c, (size_t)*n * 4) : cursor_take(c, SIZE_MAX);
}

/* TBasket writes itself by hand.  `flag`: 0 for no data here; its last digit is 2 where no offsets are written;
 * above 10 data follow; above 40 there are displacements too; 80 is added where offsets are not written but can be
 * made. */
static enum status read_basket(struct object_reader *r, void **object, struct error *e)
{
    struct cursor *c = &r->c;
    struct key_header k;
    TRY(key_parse(c, &k, e));
    struct basket_object *b = ARENA_NEW(r->arena, struct basket_object, 1);
    if (!b)
        return root_no_memory(e);
    *object = b;
    uint16_t version = cursor_be16(c);
    cursor_skip(c, 4);               /* buffer size */
    if ((int32_t)cursor_be32(c) < 0) /* room for offsets; its sign says that feature bits follow */
        cursor_skip(c, 1);
    b->key_bytes = k.key_bytes;
    b->n_entries = cursor_be32(c);
    b->last = cursor_be32(c);
    unsigned flag = cursor_u8(c);
    bool made = flag >= 80;
    flag = made ? flag - 80 : flag;
    if (!made && flag && flag % 10 != 2) {
        if (b->n_entries > 0)
            b->offsets = take_i32s(c, &b->n_offsets);
        uint32_t unused;
        if (flag > 40)
            (void)take_i32s(c, &unused);
    }
    if (flag == 1 || flag > 10) {
        if (version <= 1)
            cursor_skip(c, 4);
        b->data = cursor_take(c, b->last);
    }
    if (c->bad || b->last < b->key_bytes)
        return error_set(e, STATUS_FORMAT, "basket inside the tree is cut off (%" PRIu32 " entries, %" PRIu32 " bytes)",
                         b->n_entries, b->last);
    return STATUS_OK;
}

static enum status read_new(struct object_reader *r, const char *class_name, void **object, struct error *e)
{
    *object = NULL;
    if (strncmp(class_name, "TBranch", 7) == 0)
        return read_branch(r, class_name, object, e);
    if (strncmp(class_name, "TLeaf", 5) == 0)
        return read_leaf(r, class_name, object, e);
    if (strcmp(class_name, "TBasket") == 0)
        return read_basket(r, object, e);
    return STATUS_OK;
}

struct root_branch *branch_of(const struct object_ref *ref)
{
    return strncmp(ref->class_name, "TBranch", 7) == 0 ? ref->object : NULL;
}

struct leaf_object *leaf_of(const struct object_ref *ref)
{
    return strncmp(ref->class_name, "TLeaf", 5) == 0 ? ref->object : NULL;
}

/* ---- opening -------------------------------------------------------------------------------------------------- */

bool key_is_tree(const struct root_key *k)
{
    return strcmp(k->class_name, "TTree") == 0 || strcmp(k->class_name, "TNtuple") == 0 ||
           strcmp(k->class_name, "TNtupleD") == 0;
}

static enum status parse_tree(struct root_tree *t, struct error *e)
{
    struct object_reader r;
    object_reader_init(&r, t->file, &t->arena, t->bytes.buf.data, t->bytes.buf.len, t->bytes.displacement);
    r.read_new = read_new;
    enum status s = members_read(&r, t->key->class_name, tree_wants, t, e);
    object_reader_fini(&r);
    TRY(s);
    if (t->entries < 0)
        return error_set(e, STATUS_FORMAT, "%" PRId64 " entries", t->entries);
    return branches_flatten(t, e);
}

static void tree_free(struct root_tree *t)
{
    for (size_t i = 0; i < t->n_branches; i++)
        if (t->branches[i]->owner == t->branches[i])
            basket_store_fini(&t->branches[i]->store);
    mem_free(t->branches);
    mem_free(t->clusters);
    object_bytes_fini(&t->bytes);
    buf_fini(&t->scratch);
    arena_fini(&t->arena);
    mem_free(t);
}

static enum status open_tree(struct root_file *f, const struct root_key *k, const char *path, struct root_tree **out,
                             struct error *e)
{
    TRY(classes_read(f, e));
    struct root_tree *t = mem_calloc(1, sizeof *t);
    if (!t)
        return root_no_memory(e);
    t->file = f;
    t->key = k;
    arena_init(&t->arena, ROOT_ARENA_MAX);
    buf_init(&t->bytes.buf, 0);
    buf_init(&t->scratch, ROOT_OBJECT_MAX);
    t->name = t->title = "";
    t->path = arena_strdup(&t->arena, path);
    enum status s = t->path ? object_read(f, k->seek, k->n_bytes, &t->bytes, e) : root_no_memory(e);
    if (s == STATUS_OK)
        s = parse_tree(t, e);
    if (s != STATUS_OK) {
        tree_free(t);
        return error_wrap(e, "tree %s", path);
    }
    t->next = f->trees;
    f->trees = t;
    *out = t;
    return STATUS_OK;
}

/* "no tree X; the file has: A, B" */
static enum status no_such_tree(const struct root_file *f, const char *path, struct error *e)
{
    char list[600] = "";
    size_t n = 0;
    for (size_t i = 0; i < f->n_keys && n < sizeof list; i++)
        if (key_is_tree(&f->keys[i]))
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", f->keys[i].path);
    for (size_t i = 0; n == 0 && i < f->n_keys && i < 20; i++)
        if (strcmp(f->keys[i].class_name, "ROOT::RNTuple") == 0 || strstr(f->keys[i].class_name, "::RNTuple"))
            return error_set(e, STATUS_NOTFOUND, "no tree %s; %s is an RNTuple, which is not read", path,
                             f->keys[i].path);
    if (n == 0)
        return error_set(e, STATUS_NOTFOUND, "no tree %s; the file has no trees (%zu keys)", path, f->n_keys);
    return error_set(e, STATUS_NOTFOUND, "no tree %s; the file has: %s%s", path, list, n >= sizeof list ? " ..." : "");
}

enum status root_tree_get(struct root_file *f, const char *path, struct root_tree **out, struct error *e)
{
    *out = NULL;
    for (struct root_tree *t = f->trees; t; t = t->next)
        if (strcmp(t->path, path) == 0) {
            *out = t;
            return STATUS_OK;
        }
    const struct root_key *k = key_find(f, path);
    enum status s;
    if (!k)
        s = no_such_tree(f, path, e);
    else if (!key_is_tree(k))
        s = error_set(e, strstr(k->class_name, "RNTuple") ? STATUS_UNSUPPORTED : STATUS_NOTFOUND,
                      "%s is a %s, not a TTree", path, k->class_name);
    else
        s = open_tree(f, k, path, out, e);
    return s == STATUS_OK ? s : root_wrap(f, e);
}

void trees_close(struct root_file *f)
{
    while (f->trees) {
        struct root_tree *t = f->trees;
        f->trees = t->next;
        tree_free(t);
    }
}

const char *root_tree_name(const struct root_tree *t)
{
    return t->name;
}
int64_t root_tree_entries(const struct root_tree *t)
{
    return t->entries;
}
