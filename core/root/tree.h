/* core/root/tree.h
 *
 * Trees, branches and baskets.  A branch as users see it is either one that the file stores (it owns its baskets), or
 * a part: one member of the objects in a stored branch, whose baskets it shares. */
#ifndef DLT_CORE_ROOT_TREE_H
#define DLT_CORE_ROOT_TREE_H

#include "core/root/shape.h"

/* TBasket inside the tree object. */
struct basket_object {
    uint32_t key_bytes, n_entries, last;
    const uint8_t *data;    /* [last] with key_bytes unused bytes in front; NULL when it holds none */
    const uint8_t *offsets; /* [n_offsets] big-endian, counted from the start of data */
    uint32_t n_offsets;
};

struct leaf_object {
    const char *class_name, *name, *title;
    int64_t length, type_bytes, is_unsigned, is_virtual;
    struct object_ref counter;
};

struct basket_place {
    int64_t first, end; /* entries */
    uint64_t seek;
    uint32_t n_bytes;  /* of the record; 0: see its key */
    size_t fetched_at; /* where in `fetched` it waits */
    const struct basket_object *embedded;
};

/* The entries of one basket, unpacked. */
struct basket {
    size_t index; /* in places */
    const uint8_t *data;
    size_t n_bytes;
    uint32_t *offsets; /* [entries + 1] into data, or NULL: all entries take `stride` bytes, or 0 */
    size_t stride;
};

/* What a stored branch keeps between reads. */
struct basket_store {
    bool prepared;
    struct basket_place *places;
    size_t n_places;
    bool loaded;
    struct basket now;
    struct buf raw, offsets;
    size_t fetched_first, fetched_end; /* baskets whose stored bytes wait in `fetched` */
    struct buf fetched;
};

/* As the file states it, and what we made of it. */
struct root_branch {
    const char *type_name, *name, *title, *class_name, *clones_name, *file_name;
    int64_t entries, first_entry, total_bytes, zip_bytes, write_basket, max_baskets, offset_len;
    int64_t class_version, checksum, id, type, streamer_type; /* TBranchElement */
    struct i64_list basket_bytes, basket_entry, basket_seek;
    struct object_list branches, leaves, baskets;
    struct object_ref counter;

    bool visited;
    int depth;
    struct root_branch *owner;  /* itself when it is stored */
    struct shape *shape;        /* of the owner's elements; NULL: no values */
    const struct shape *target; /* whose values this branch gives; NULL: none */
    bool repeat;                /* elements follow each other to the end of the entry */
    bool jagged;
    uint32_t n_fixed;
    const char *why_not;
    const char *codec;         /* NULL: not looked at yet */
    struct basket_store store; /* of an owner */
};

struct root_tree {
    struct root_file *file;
    struct root_tree *next;
    const char *path; /* as it was asked for: the key of this list */
    const struct root_key *key;
    const char *name, *title;
    int64_t entries, total_bytes, zip_bytes, auto_flush;
    struct object_list top;
    struct arena arena;            /* branches, shapes */
    struct object_bytes bytes;     /* the tree object: embedded baskets point into it */
    struct buf scratch;            /* stored bytes of one basket */
    struct root_branch **branches; /* depth first, stored ones and parts */
    size_t n_branches, cap_branches;
    int64_t *clusters; /* common basket boundaries, ascending, the last is `entries` */
    size_t n_clusters;
    int64_t decompress_ns;            /* spent inside codecs since the tree was opened */
    uint64_t stored_bytes, raw_bytes; /* of the baskets that were unpacked */
};

void trees_close(struct root_file *f);
bool key_is_tree(const struct root_key *k);

/* branch.c: from branch objects to the flat list. */
enum status branches_flatten(struct root_tree *t, struct error *e) MUST_USE;
/* leaf.c: shape, target and name of the branches that leaves or class layouts describe. */
enum status branch_describe(struct root_tree *t, struct shape_maker *m, struct root_branch *b,
                            struct error *e) MUST_USE;
struct root_branch *branch_of(const struct object_ref *ref); /* NULL when it is none */
struct leaf_object *leaf_of(const struct object_ref *ref);

/* basket.c */
enum status baskets_prepare(struct root_tree *t, struct root_branch *owner, struct error *e) MUST_USE;
/* The basket of places[index], unpacked; valid until the next load on this branch. */
enum status basket_load(struct root_tree *t, struct root_branch *owner, size_t index, const struct basket **out,
                        struct error *e) MUST_USE;
size_t basket_find(const struct root_branch *owner, int64_t entry); /* index of the place that holds the entry */
void basket_store_fini(struct basket_store *s);
/* Tag of the first basket on disk: "ZL" ..., "raw", or "-".  The first question reads those of all branches at once. */
const char *basket_codec(struct root_tree *t, const struct root_branch *owner);

/* Fetches the stored bytes of the baskets of [first, first + n) of many branches in one request to the source.  Reading
 * works without it; a remote source needs it. */
enum status root_prefetch(struct root_tree *t, const struct root_branch *const *branches, size_t n_branches,
                          int64_t first, int64_t n, struct error *e) MUST_USE;

#endif
