/* tests/core/root/build.h
 *
 * Writes small ROOT files into memory, so that tests can hold every construct and every lie that a file may contain.
 * Class layouts are made up with only the members that matter: the reader goes by what the file says. */
#ifndef DLT_TESTS_CORE_ROOT_BUILD_H
#define DLT_TESTS_CORE_ROOT_BUILD_H

#include "core/base/bytes.h"
#include "core/codec/codec.h"
#include "core/root.h"

enum { BUILD_BEGIN = 100 };

/* ---- numbers --------------------------------------------------------------------------------------------------- */

static inline void put(struct buf *b, const void *p, size_t n)
{
    struct error e;
    check(buf_append(b, p, n, &e) == STATUS_OK);
}
static inline void put8(struct buf *b, uint8_t v)
{
    put(b, &v, 1);
}
static inline void put16(struct buf *b, uint16_t v)
{
    v = __builtin_bswap16(v);
    put(b, &v, 2);
}
static inline void put32(struct buf *b, uint32_t v)
{
    v = __builtin_bswap32(v);
    put(b, &v, 4);
}
static inline void put64(struct buf *b, uint64_t v)
{
    v = __builtin_bswap64(v);
    put(b, &v, 8);
}
static inline void putf(struct buf *b, float f)
{
    uint32_t v;
    memcpy(&v, &f, 4);
    put32(b, v);
}
static inline void patch32(struct buf *b, size_t at, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(b->data + at, &v, 4);
}

static inline void put_string(struct buf *b, const char *s)
{
    size_t n = strlen(s);
    put8(b, n < 255 ? (uint8_t)n : 255);
    if (n >= 255)
        put32(b, (uint32_t)n);
    put(b, s, n);
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

/* Version header with a byte count that object_end fills in. */
static inline size_t object_begin(struct buf *b, uint16_t version)
{
    size_t at = b->len;
    put32(b, 0);
    put16(b, version);
    return at;
}
static inline void object_end(struct buf *b, size_t at)
{
    patch32(b, at, 0x40000000u | (uint32_t)(b->len - at - 4));
}
/* A pointer to a new object of a class; the object's own header follows. */
static inline size_t pointer_begin(struct buf *b, const char *class_name)
{
    size_t at = b->len;
    put32(b, 0);
    put32(b, 0xffffffff);
    put(b, class_name, strlen(class_name) + 1);
    return at;
}
static inline void put_tobject(struct buf *b, uint32_t id, uint32_t bits)
{
    put16(b, 1);
    put32(b, id);
    put32(b, bits);
    if (bits & 0x10)
        put16(b, 0);
}
static inline void put_named(struct buf *b, const char *name, const char *title)
{
    size_t at = object_begin(b, 1);
    put_tobject(b, 0, 0);
    put_string(b, name);
    put_string(b, title);
    object_end(b, at);
}
static inline size_t array_begin(struct buf *b, uint32_t n)
{
    size_t at = object_begin(b, 3);
    put_tobject(b, 0, 0);
    put_string(b, "");
    put32(b, n);
    put32(b, 0);
    return at;
}

/* ---- class layouts --------------------------------------------------------------------------------------------- */

struct build_member {
    const char *kind; /* "Base", "BasicType", "BasicPointer", "Object", "ObjectPointer", "String", ... */
    const char *name, *type_name;
    uint32_t type, length;
    const char *counter;
    uint32_t base_version;
};

struct build_class {
    const char *name;
    uint32_t version;
    struct build_member members[16];
};

#define NAMED_BASE                                                                                                     \
    {                                                                                                                  \
        "Base", "TNamed", "BASE", 67, 0, "", 1                                                                         \
    }
static const struct build_class build_tree_classes[] = {
    {"TTree",
     1,
     {NAMED_BASE,
      {"BasicType", "fEntries", "Long64_t", 16, 0, "", 0},
      {"Object", "fBranches", "TObjArray", 61, 0, "", 0}}},
    {"TBranch",
     1,
     {NAMED_BASE,
      {"BasicType", "fEntryOffsetLen", "Int_t", 3, 0, "", 0},
      {"BasicType", "fWriteBasket", "Int_t", 3, 0, "", 0},
      {"BasicType", "fEntries", "Long64_t", 16, 0, "", 0},
      {"BasicType", "fMaxBaskets", "Int_t", 6, 0, "", 0},
      {"Object", "fBranches", "TObjArray", 61, 0, "", 0},
      {"Object", "fLeaves", "TObjArray", 61, 0, "", 0},
      {"Object", "fBaskets", "TObjArray", 61, 0, "", 0},
      {"BasicPointer", "fBasketBytes", "Int_t*", 43, 0, "fMaxBaskets", 0},
      {"BasicPointer", "fBasketEntry", "Long64_t*", 56, 0, "fMaxBaskets", 0},
      {"BasicPointer", "fBasketSeek", "Long64_t*", 56, 0, "fMaxBaskets", 0}}},
    {"TBranchElement",
     1,
     {{"Base", "TBranch", "BASE", 0, 0, "", 1},
      {"String", "fClassName", "TString", 65, 0, "", 0},
      {"String", "fClonesName", "TString", 65, 0, "", 0},
      {"BasicType", "fClassVersion", "Int_t", 3, 0, "", 0},
      {"BasicType", "fID", "Int_t", 3, 0, "", 0},
      {"BasicType", "fType", "Int_t", 3, 0, "", 0},
      {"BasicType", "fStreamerType", "Int_t", 3, 0, "", 0}}},
    {"TLeaf",
     1,
     {NAMED_BASE,
      {"BasicType", "fLen", "Int_t", 3, 0, "", 0},
      {"BasicType", "fLenType", "Int_t", 3, 0, "", 0},
      {"BasicType", "fIsUnsigned", "Bool_t", 18, 0, "", 0},
      {"ObjectPointer", "fLeafCount", "TLeaf*", 64, 0, "", 0}}},
    {"TLeafI", 1, {{"Base", "TLeaf", "BASE", 0, 0, "", 1}}},
    {"TLeafF", 1, {{"Base", "TLeaf", "BASE", 0, 0, "", 1}}},
    {"TLeafC", 1, {{"Base", "TLeaf", "BASE", 0, 0, "", 1}}},
    {"TLeafElement", 1, {{"Base", "TLeaf", "BASE", 0, 0, "", 1}}},
};

static inline void put_member(struct buf *b, const struct build_member *m)
{
    char kind[64];
    snprintf(kind, sizeof kind, "TStreamer%s", m->kind);
    size_t pointer = pointer_begin(b, kind), outer = object_begin(b, strcmp(m->kind, "Base") == 0 ? 3 : 2);
    bool twice = strcmp(m->kind, "STLstring") == 0; /* it derives from TStreamerSTL */
    size_t between = twice ? object_begin(b, 3) : 0, inner = object_begin(b, 4);
    put_named(b, m->name, "");
    put32(b, m->type);
    put32(b, 0);
    put32(b, m->length);
    for (int i = 0; i < 6; i++) /* dimensions */
        put32(b, 0);
    put_string(b, m->type_name);
    object_end(b, inner);
    if (twice)
        object_end(b, between);
    if (strcmp(m->kind, "Base") == 0)
        put32(b, m->base_version);
    if (strcmp(m->kind, "BasicPointer") == 0) {
        put32(b, 1);
        put_string(b, m->counter);
        put_string(b, "");
    }
    object_end(b, outer);
    object_end(b, pointer);
}

static inline void put_class(struct buf *b, const struct build_class *c)
{
    uint32_t n = 0;
    while (n < ARRAY_LEN(c->members) && c->members[n].kind)
        n++;
    size_t pointer = pointer_begin(b, "TStreamerInfo"), info = object_begin(b, 9);
    put_named(b, c->name, "");
    put32(b, 0xc0ffee);
    put32(b, c->version);
    size_t list = pointer_begin(b, "TObjArray"), array = array_begin(b, n);
    for (uint32_t i = 0; i < n; i++)
        put_member(b, &c->members[i]);
    object_end(b, array);
    object_end(b, list);
    object_end(b, info);
    object_end(b, pointer);
    put8(b, 0); /* the list's option string */
}

/* ---- branches -------------------------------------------------------------------------------------------------- */

enum build_place { ON_DISK, ON_DISK_ZIPPED, IN_TREE };

struct build_basket {
    uint32_t n_entries;
    const void *data; /* as it stands in the file */
    size_t n_bytes;
    const uint32_t *offsets; /* [n_entries], into data; NULL: none are written */
    enum build_place place;
};

struct build_leaf {
    const char *class_name, *name; /* class_name "TLeafI", ... */
    uint32_t length, type_bytes;
    bool is_unsigned;
    int counter; /* branch whose first leaf counts the values, or -1 */
};

struct build_branch {
    const char *name;
    struct build_leaf leaves[3];
    struct build_basket baskets[4];
    int64_t entries;                      /* 0: sum over baskets */
    const char *class_name, *clones_name; /* class_name set: a TBranchElement */
    int32_t class_version, id, type, streamer_type;
};

/* Key header; n_bytes is patched by the caller when it is not known yet. */
static inline uint16_t key_length(const char *class_name, const char *name, const char *title, bool big)
{
    return (uint16_t)(26 + (big ? 8 : 0) + 3 + strlen(class_name) + strlen(name) + strlen(title));
}

static inline void put_key(struct buf *b, const char *class_name, const char *name, const char *title, uint32_t n_bytes,
                           uint32_t object_bytes, uint16_t key_bytes, int16_t cycle, uint64_t seek, bool big)
{
    put32(b, n_bytes);
    put16(b, big ? 1004 : 4);
    put32(b, object_bytes);
    put32(b, 0);
    put16(b, key_bytes);
    put16(b, (uint16_t)cycle);
    if (big) {
        put64(b, seek);
        put64(b, BUILD_BEGIN);
    } else {
        put32(b, (uint32_t)seek);
        put32(b, BUILD_BEGIN);
    }
    put_string(b, class_name);
    put_string(b, name);
    put_string(b, title);
}

/* ROOT's framing around a zlib stream, appended when it is smaller. */
static inline void put_packed(struct buf *b, const struct buf *raw, bool zip)
{
    struct buf z;
    struct error e;
    buf_init(&z, 16 << 20);
    check(codec_compress(CODEC_ZLIB, 1, raw->data, raw->len, &z, &e) == STATUS_OK);
    if (zip && z.len + 9 < raw->len) {
        uint8_t h[9] = {'Z',
                        'L',
                        8,
                        (uint8_t)z.len,
                        (uint8_t)(z.len >> 8),
                        (uint8_t)(z.len >> 16),
                        (uint8_t)raw->len,
                        (uint8_t)(raw->len >> 8),
                        (uint8_t)(raw->len >> 16)};
        put(b, h, 9);
        put(b, z.data, z.len);
    } else {
        put(b, raw->data, raw->len);
    }
    buf_fini(&z);
}

/* A record: key and object. */
static inline void put_record(struct buf *b, const char *class_name, const char *name, const struct buf *object,
                              bool zip, bool big, int16_t cycle)
{
    size_t at = b->len;
    uint16_t key_bytes = key_length(class_name, name, "", big);
    put_key(b, class_name, name, "", 0, (uint32_t)object->len, key_bytes, cycle, at, big);
    check(b->len - at == key_bytes);
    put_packed(b, object, zip);
    patch32(b, at, (uint32_t)(b->len - at));
}

/* What stands between a basket's key and its data; `flag` as in TBasket. */
static inline void put_basket_header(struct buf *b, const struct build_basket *k, uint16_t key_bytes, uint8_t flag)
{
    put16(b, 3);
    put32(b, 32000);
    put32(b, k->n_entries + 1);
    put32(b, k->n_entries);
    put32(b, key_bytes + (uint32_t)k->n_bytes);
    put8(b, flag);
}

static inline void put_offsets(struct buf *b, const struct build_basket *k, uint16_t key_bytes)
{
    put32(b, k->n_entries + 1);
    for (uint32_t i = 0; i < k->n_entries; i++)
        put32(b, key_bytes + k->offsets[i]);
    put32(b, 0);
}

enum { BASKET_HEADER_BYTES = 19 };

/* Returns the place of the record. */
static inline uint64_t put_disk_basket(struct buf *b, const char *branch, const struct build_basket *k, bool big)
{
    size_t at = b->len;
    struct buf object;
    buf_init(&object, 16 << 20);
    uint16_t key_bytes = (uint16_t)(key_length("TBasket", branch, "", big) + BASKET_HEADER_BYTES);
    put(&object, k->data, k->n_bytes);
    if (k->offsets)
        put_offsets(&object, k, key_bytes);
    put_key(b, "TBasket", branch, "", 0, (uint32_t)object.len, key_bytes, 1, at, big);
    put_basket_header(b, k, key_bytes, 0);
    check(b->len - at == key_bytes);
    put_packed(b, &object, k->place == ON_DISK_ZIPPED);
    patch32(b, at, (uint32_t)(b->len - at));
    buf_fini(&object);
    return at;
}

static inline void put_tree_basket(struct buf *b, const char *branch, const struct build_basket *k)
{
    size_t pointer = pointer_begin(b, "TBasket");
    uint16_t key_bytes = (uint16_t)(key_length("TBasket", branch, "", false) + BASKET_HEADER_BYTES);
    put_key(b, "TBasket", branch, "", key_bytes, 0, key_bytes, 1, 0, false);
    put_basket_header(b, k, key_bytes, k->offsets ? 11 : 12);
    if (k->offsets)
        put_offsets(b, k, key_bytes);
    for (uint16_t i = 0; i < key_bytes; i++)
        put8(b, 0);
    put(b, k->data, k->n_bytes);
    object_end(b, pointer);
}

/* ---- trees and files --------------------------------------------------------------------------------------------- */

struct build_file {
    bool big; /* 64-bit header and seeks */
    bool zip_tree;
    const struct build_class *classes; /* beyond those of trees */
    size_t n_classes;
    const struct build_branch *branches;
    size_t n_branches;
    int64_t entries;       /* of the tree; 0: of its first branch */
    const char *tree_name; /* default "T" */
};

static inline size_t count_baskets(const struct build_branch *d)
{
    size_t n = 0;
    while (n < ARRAY_LEN(d->baskets) && (d->baskets[n].data || d->baskets[n].n_entries))
        n++;
    return n;
}

static inline int64_t count_entries(const struct build_branch *d)
{
    int64_t n = 0;
    for (size_t i = 0; i < count_baskets(d); i++)
        n += d->baskets[i].n_entries;
    return d->entries ? d->entries : n;
}

struct build_state {
    struct buf tree;
    uint32_t displacement;
    uint32_t leaf_at[64]; /* references to each branch's first leaf */
};

static inline void put_leaf(struct build_state *s, const struct build_leaf *l, int i_branch, bool is_first)
{
    struct buf *b = &s->tree;
    if (is_first)
        s->leaf_at[i_branch] = (uint32_t)b->len + s->displacement + 2;
    size_t pointer = pointer_begin(b, l->class_name), outer = object_begin(b, 1), inner = object_begin(b, 1);
    put_named(b, l->name, l->name);
    put32(b, l->length);
    put32(b, l->type_bytes);
    put8(b, l->is_unsigned);
    put32(b, l->counter >= 0 ? s->leaf_at[l->counter] : 0);
    object_end(b, inner);
    object_end(b, outer);
    object_end(b, pointer);
}

/* Long64_t or Int_t array with its byte in front. */
static inline void put_i64s(struct buf *b, const int64_t *v, size_t n, bool narrow)
{
    put8(b, 1);
    for (size_t i = 0; i < n; i++) {
        if (narrow)
            put32(b, (uint32_t)v[i]);
        else
            put64(b, (uint64_t)v[i]);
    }
}

static inline void put_tbranch(struct buf *file, struct build_state *s, const struct build_branch *d, int i_branch,
                               bool big)
{
    struct buf *b = &s->tree;
    size_t n = count_baskets(d), n_leaves = 0, write_basket = 0;
    int64_t bytes[5] = {0}, first[5] = {0}, seek[5] = {0};
    for (size_t i = 0; i < n; i++) {
        const struct build_basket *k = &d->baskets[i];
        first[i + 1] = first[i] + k->n_entries;
        if (k->place == IN_TREE)
            continue;
        seek[i] = (int64_t)put_disk_basket(file, d->name, k, big);
        bytes[i] = (int64_t)(file->len - (size_t)seek[i]);
        write_basket = i + 1;
    }
    while (n_leaves < ARRAY_LEN(d->leaves) && d->leaves[n_leaves].class_name)
        n_leaves++;
    size_t object = object_begin(b, 1);
    put_named(b, d->name, d->name);
    put32(b, n && d->baskets[0].offsets ? 1000 : 0);
    put32(b, (uint32_t)write_basket);
    put64(b, (uint64_t)count_entries(d));
    put32(b, 5);
    object_end(b, array_begin(b, 0));
    size_t leaves = array_begin(b, (uint32_t)n_leaves);
    for (size_t i = 0; i < n_leaves; i++)
        put_leaf(s, &d->leaves[i], i_branch, i == 0);
    object_end(b, leaves);
    size_t baskets = array_begin(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        if (d->baskets[i].place == IN_TREE)
            put_tree_basket(b, d->name, &d->baskets[i]);
        else
            put32(b, 0);
    }
    object_end(b, baskets);
    put_i64s(b, bytes, 5, true);
    put_i64s(b, first, 5, false);
    put_i64s(b, seek, 5, false);
    object_end(b, object);
}

static inline void put_branch(struct buf *file, struct build_state *s, const struct build_branch *d, int i_branch,
                              bool big)
{
    struct buf *b = &s->tree;
    if (!d->class_name) {
        size_t pointer = pointer_begin(b, "TBranch");
        put_tbranch(file, s, d, i_branch, big);
        object_end(b, pointer);
        return;
    }
    size_t pointer = pointer_begin(b, "TBranchElement"), object = object_begin(b, 1);
    put_tbranch(file, s, d, i_branch, big);
    put_string(b, d->class_name);
    put_string(b, d->clones_name ? d->clones_name : "");
    put32(b, (uint32_t)d->class_version);
    put32(b, (uint32_t)d->id);
    put32(b, (uint32_t)d->type);
    put32(b, (uint32_t)d->streamer_type);
    object_end(b, object);
    object_end(b, pointer);
}

/* File header, then the record of the file itself with its directory, both patched by build_end. */
static inline size_t build_begin(struct buf *b, bool big)
{
    for (int i = 0; i < BUILD_BEGIN; i++)
        put8(b, 0);
    uint16_t key_bytes = key_length("TFile", "t.root", "", big);
    put_key(b, "TFile", "t.root", "", key_bytes, 0, key_bytes, 1, BUILD_BEGIN, big);
    put_string(b, "t.root");
    put_string(b, "");
    size_t directory = b->len;
    for (int i = 0; i < 60; i++)
        put8(b, 0);
    return directory;
}

static inline void write_directory(struct buf *b, size_t at, uint64_t seek_keys, uint32_t keys_bytes, bool big)
{
    struct buf d;
    buf_init(&d, 100);
    put16(&d, big ? 1005 : 5);
    put64(&d, 0);
    put32(&d, keys_bytes);
    put32(&d, 0);
    for (int i = 0; i < 2; i++) {
        if (big)
            put64(&d, 0);
        else
            put32(&d, 0);
    }
    if (big)
        put64(&d, seek_keys);
    else
        put32(&d, (uint32_t)seek_keys);
    memcpy(b->data + at, d.data, d.len);
    buf_fini(&d);
}

static inline void write_header(struct buf *b, size_t directory, uint64_t seek_info, uint32_t info_bytes, bool big)
{
    struct buf h;
    buf_init(&h, 100);
    put(&h, "root", 4);
    put32(&h, big ? 1062006 : 62006);
    put32(&h, BUILD_BEGIN);
    if (big) {
        put64(&h, b->len);
        put64(&h, b->len);
    } else {
        put32(&h, (uint32_t)b->len);
        put32(&h, (uint32_t)b->len);
    }
    put64(&h, 0);
    put32(&h, (uint32_t)(directory - BUILD_BEGIN));
    put8(&h, big ? 8 : 4);
    put32(&h, 101);
    if (big)
        put64(&h, seek_info);
    else
        put32(&h, (uint32_t)seek_info);
    put32(&h, info_bytes);
    memcpy(b->data, h.data, h.len);
    buf_fini(&h);
}

/* One key of a list: a copy of the header of the record at `seek`. */
struct build_key {
    const char *class_name, *name;
    int16_t cycle;
    uint64_t seek;
};

static inline uint64_t put_keys(struct buf *b, const struct build_key *keys, uint32_t n, bool big)
{
    uint64_t at = b->len;
    uint16_t own = key_length("TFile", "t.root", "", big);
    put_key(b, "TFile", "t.root", "", 0, 0, own, 1, at, big);
    put32(b, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct build_key *k = &keys[i];
        put_key(b, k->class_name, k->name, "", load_be32(b->data + k->seek), load_be32(b->data + k->seek + 6),
                load_be16(b->data + k->seek + 14), k->cycle, k->seek, big);
    }
    patch32(b, at, (uint32_t)(b->len - at));
    return at;
}

static inline uint64_t put_classes(struct buf *b, const struct build_class *more, size_t n_more, bool big)
{
    struct buf list;
    uint64_t at = b->len;
    buf_init(&list, 1 << 20);
    size_t object = array_begin(&list, (uint32_t)(ARRAY_LEN(build_tree_classes) + n_more));
    list.len -= 4; /* a TList has no lower bound */
    for (size_t i = 0; i < ARRAY_LEN(build_tree_classes); i++)
        put_class(&list, &build_tree_classes[i]);
    for (size_t i = 0; i < n_more; i++)
        put_class(&list, &more[i]);
    object_end(&list, object);
    put_record(b, "TList", "StreamerInfo", &list, true, big, 1);
    buf_fini(&list);
    return at;
}

/* A whole file with one tree, appended to an empty buffer. */
static inline void build_file(struct buf *b, const struct build_file *f)
{
    const char *name = f->tree_name ? f->tree_name : "T";
    size_t directory = build_begin(b, f->big);
    uint64_t seek_info = put_classes(b, f->classes, f->n_classes, f->big);
    uint32_t info_bytes = (uint32_t)(b->len - seek_info);
    struct build_state s = {.displacement = key_length("TTree", name, "", f->big)};
    buf_init(&s.tree, 16 << 20);
    size_t object = object_begin(&s.tree, 1);
    put_named(&s.tree, name, "");
    put64(&s.tree, (uint64_t)(f->entries ? f->entries : f->n_branches ? count_entries(&f->branches[0]) : 0));
    size_t array = array_begin(&s.tree, (uint32_t)f->n_branches);
    for (size_t i = 0; i < f->n_branches; i++)
        put_branch(b, &s, &f->branches[i], (int)i, f->big);
    object_end(&s.tree, array);
    object_end(&s.tree, object);
    struct build_key key = {"TTree", name, 1, b->len};
    put_record(b, "TTree", name, &s.tree, f->zip_tree, f->big, 1);
    buf_fini(&s.tree);
    uint64_t seek_keys = put_keys(b, &key, 1, f->big);
    write_directory(b, directory, seek_keys, (uint32_t)(b->len - seek_keys), f->big);
    write_header(b, directory, seek_info, info_bytes, f->big);
}

#endif
