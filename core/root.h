/* core/root.h
 *
 * Reading ROOT files without ROOT.  Layers: source -> file and keys -> streamer info -> tree, branches, leaves ->
 * baskets -> columns.  Only the branches asked for are read.  Every length in the file is checked against the bytes
 * that are left before it is believed or allocated for; a damaged file gives an error, never other numbers.
 * One struct root_file is used by one thread at a time. */
#ifndef DLT_CORE_ROOT_H
#define DLT_CORE_ROOT_H

#include "core/event.h"
#include "core/source.h"

struct root_file;
struct root_tree;
struct root_branch;

struct root_key {
    const char *path;                  /* "dir/name" */
    const char *class_name, *title;
    int cycle;
    uint64_t seek;
    uint32_t n_bytes, object_bytes, key_bytes;
};

/* Borrows `src`.  On OK *out is the caller's: root_close().  Fails: FORMAT ("not a ROOT file", truncated), IO. */
enum status root_open(struct source *src, struct root_file **out, struct error *e) MUST_USE;
void root_close(struct root_file *f);
uint32_t root_version(const struct root_file *f);            /* ROOT version that wrote it, e.g. 62004 */
int root_compression(const struct root_file *f);
const struct root_key *root_keys(const struct root_file *f, size_t *n);        /* all directories, depth first */

/* Tree by path, newest cycle, or "name;2".  Owned by the file.  NOTFOUND lists the trees that exist. */
enum status root_tree_get(struct root_file *f, const char *path, struct root_tree **out, struct error *e) MUST_USE;
const char *root_tree_name(const struct root_tree *t);
int64_t root_tree_entries(const struct root_tree *t);

enum root_type { ROOT_BOOL, ROOT_I8, ROOT_U8, ROOT_I16, ROOT_U16, ROOT_I32, ROOT_U32, ROOT_I64, ROOT_U64, ROOT_F32,
                 ROOT_F64, ROOT_STRING, ROOT_OTHER };
size_t root_type_size(enum root_type t);                     /* bytes in memory; 0 for STRING and OTHER */
const char *root_type_name(enum root_type t);

struct root_branch_info {
    const char *name;                  /* "Jet.PT", "Jet_size" */
    const char *class_name;            /* of an object branch, else "" */
    const char *title;
    int depth;                         /* 0: top level */
    enum root_type type;               /* OTHER: not a column of basic values (object with parts, unsupported object) */
    const char *why_not;               /* OTHER: the construct, e.g. "std::vector<TLorentzVector>"; else NULL */
    bool jagged;                       /* a different number of values in each entry */
    uint32_t n_fixed;                  /* values an entry, or an object when jagged (1, or a fixed array) */
    bool is_part;                      /* a member of the objects in the stored branch above; shares its baskets */
    int64_t entries, stored_bytes, raw_bytes;
    uint32_t baskets, embedded;        /* on disk; inside the tree object */
    const char *codec;                 /* of the first basket: "ZL", "XZ", "L4", "ZS", "CS", "raw", or "-" (none) */
};
size_t root_tree_branches(const struct root_tree *t);        /* all, depth first */
struct root_branch_info root_branch_info(const struct root_tree *t, size_t i);
/* Branch by full name ("Jet.PT", "Jet_size"; array lengths and a last dot may be left out: "Jet.Tau" finds "Jet.Tau[5]").
 * A split or unsplit TClonesArray "Jet" gives its number of objects ("Jet_" finds it too); members of objects that were
 * not split are parts, by the same names as if they were ("Jet.PT", "Jet.Area.fP.fX").  Of two branches with one
 * name the first that can be read wins.  NULL when absent. */
const struct root_branch *root_branch_find(const struct root_tree *t, const char *name);
struct root_branch_info root_branch_describe(const struct root_tree *t, const struct root_branch *b);

/* Values of a branch for entries [first, first + n): host byte order, packed.  `offsets` has n + 1 elements, values of
 * entry i are [offsets[i], offsets[i+1]).  The buffers are owned by the column and reused by the next read. */
struct root_column {
    enum root_type type;
    size_t n_entries;
    uint64_t *offsets;
    void *values;                      /* ROOT_STRING: bytes, offsets count bytes */
    size_t cap_offsets, cap_values;    /* elements, bytes */
};
void root_column_fini(struct root_column *c);
enum status root_read(struct root_tree *t, const struct root_branch *b, int64_t first, int64_t n,
                      struct root_column *out, struct error *e) MUST_USE;
/* Several branches at once, out[i] for b[i]: parts of the same stored branch (see is_part) are picked from each of its
 * baskets while that is unpacked, not one after the other. */
enum status root_read_together(struct root_tree *t, const struct root_branch *const *b, size_t n_branches,
                               int64_t first, int64_t n, struct root_column *out, struct error *e) MUST_USE;
/* Entry number at which the cluster (basket boundary of most branches) holding `entry` ends: good batch borders. */
int64_t root_tree_cluster_end(const struct root_tree *t, int64_t entry);

/* Human-readable (json = false) or JSON listing of keys, trees, branches, types, entries, bytes and codecs. */
enum status root_describe(struct root_file *f, bool json, struct buf *out, struct error *e) MUST_USE;

/* ---- Delphes -------------------------------------------------------------------------------------------- */

/* Which branch serves each object; NULL or "" takes the default, for muons the first that exists of MuonTight,
 * Muon, MuonLoose. */
struct delphes_branches {
    const char *track, *photon, *neutral, *electron, *muon, *jet, *met, *event;
};
extern const struct field delphes_branches_fields[];

struct delphes;
/* Opens a Delphes tree for reading events.  All missing branches are reported at once, with names the file has. */
enum status delphes_open(struct source *src, const char *tree, const struct delphes_branches *branches,
                         struct delphes **out, struct error *e) MUST_USE;
void delphes_close(struct delphes *d);
int64_t delphes_entries(const struct delphes *d);
/* Entries [first, first + n) appended to nothing: `out` is cleared, then filled (label -1, no cuts applied).
 * NaN, infinities and numbers of objects that disagree between leaves are FORMAT, naming entry and branch. */
enum status delphes_read(struct delphes *d, int64_t first, int64_t n, struct event_batch *out,
                         struct error *e) MUST_USE;
/* A good batch end for a batch that starts at `first`: whole clusters near `want` entries, since two readers that share
 * a cluster both unpack it; where clusters are larger than four times that, `want` entries. */
int64_t delphes_batch_end(const struct delphes *d, int64_t first, int64_t want);
/* Compressed and uncompressed bytes of the branches that are read, time inside decompression. */
struct delphes_stats { uint64_t stored_bytes, raw_bytes; int64_t decompress_ns; };
struct delphes_stats delphes_stats(const struct delphes *d);

#endif
