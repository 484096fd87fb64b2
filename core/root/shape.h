/* core/root/shape.h
 *
 * What the bytes of one element of a branch look like, compiled from class layouts, so that the values of one member
 * can be picked out of objects that were not split into branches of their own. */
#ifndef DLT_CORE_ROOT_SHAPE_H
#define DLT_CORE_ROOT_SHAPE_H

#include "core/root/streamer.h"

enum shape_kind {
    SHAPE_NUMBER,     /* `count` numbers */
    SHAPE_BITS,       /* TObject's bits: 4 bytes, 2 more when it is referenced */
    SHAPE_TEXT,       /* length and characters */
    SHAPE_STD_STRING, /* version header, text: std::string as a member */
    SHAPE_FLAT,       /* children, one behind the other */
    SHAPE_OBJECT,     /* version header, children */
    SHAPE_TOBJECT,    /* version, children: unique id and bits */
    SHAPE_TREF,       /* as TOBJECT, and a process number or identifier */
    SHAPE_TREF_ARRAY, /* children: size, unique ids */
    SHAPE_VECTOR,     /* version header, length, numbers */
    SHAPE_COUNTED,    /* one byte; if it is set, as many numbers as `counter` says, or to the end */
    SHAPE_CLONES,     /* TClonesArray; children: members of the class of its items */
    SHAPE_SKIP,       /* version header with byte count, skipped */
    SHAPE_SKIP_POINTER,
    SHAPE_OPAQUE, /* nothing behind it can be read */
};

struct shape {
    enum shape_kind kind;
    const char *name; /* "" for a base class, whose members count as the object's own */
    const char *class_name;
    enum root_type type;
    uint32_t bytes;           /* of one number in the file */
    uint32_t count;           /* elements of a fixed array, else 1 */
    const char *prefix_class; /* each element begins with the name of this class; NULL: it does not */
    const char *why;          /* SKIP, OPAQUE: the construct; any kind: why no column can be made of it */
    int version;              /* of the class */
    uint32_t checksum;
    int64_t value;               /* of an integer that a later array has as its length, in this object */
    const struct shape *counter; /* COUNTED */
    struct shape *child, *next;
    uint32_t index, last; /* in depth-first order; last: of its last descendant */
};

struct shape_maker {
    struct root_file *file;
    struct arena *arena;
    uint32_t n_made; /* over all branches of a tree: bounds what a file can make of nested classes */
    int depth;
};

/* All return NULL when memory is exhausted, or the file nests classes beyond reason: then `e` says so. */
struct shape *shape_new(struct shape_maker *m, enum shape_kind kind, const char *name, struct error *e);
struct shape *shape_number(struct shape_maker *m, const char *name, enum root_type type, uint32_t count,
                           struct error *e);
struct shape *shape_opaque(struct shape_maker *m, const char *name, const char *why, struct error *e);
/* One member of an object. */
struct shape *shape_member(struct shape_maker *m, const struct class_member *member, struct error *e);
/* A whole object: `info` NULL takes the newest layout.  vector<...>, TRef, TRefArray, TString are known by name. */
struct shape *shape_class(struct shape_maker *m, const char *name, const char *class_name,
                          const struct class_info *info, struct error *e);
/* A TClonesArray of class_name. */
struct shape *shape_clones(struct shape_maker *m, const char *name, const char *class_name, struct error *e);
/* The class of the items, as an entry p[0..n) with a TClonesArray states it ("Jet;2"), into text; "" when it does not.
 */
void clones_class(const uint8_t *p, size_t n, bool has_prefix, char *text, size_t cap);
/* Numbers the finished shape; sets `why` of members behind an opaque one. */
void shape_finish(struct shape *s);

static inline bool shape_contains(const struct shape *s, const struct shape *target)
{
    return target->index >= s->index && target->index <= s->last;
}

/* ---- reading values by shape (walk.c) --------------------------------------------------------------------- */

/* Appends the values of `target` in one entry p[0..n) to the column.  `repeat`: elements follow each other to the end
 * of the entry. */
enum status shape_read(struct shape *root, const struct shape *target, bool repeat, const uint8_t *p, size_t n,
                       struct root_column *out, uint64_t *n_values, struct error *e) MUST_USE;
/* Bytes that one element takes at p; UNSUPPORTED when only the end of the entry would tell. */
enum status shape_measure(struct shape *root, const uint8_t *p, size_t n, size_t *len, struct error *e) MUST_USE;
/* Room for n values (bytes for text) in the column. */
enum status column_reserve(struct root_column *c, uint64_t n, struct error *e) MUST_USE;
/* n big-endian numbers of the given size into host order. */
void swap_numbers(void *dst, const uint8_t *src, size_t n, size_t size);

#endif
