/* core/root/object.h
 *
 * How ROOT streams objects, below any class: version headers with byte counts, strings, the two members of TObject,
 * and pointers, which are either a new object, a reference to one that came earlier, or nothing. */
#ifndef DLT_CORE_ROOT_OBJECT_H
#define DLT_CORE_ROOT_OBJECT_H

#include "core/root/file.h"

struct object_reader;

/* What a pointer led to. */
struct object_ref {
    const char *class_name; /* "" for nothing */
    void *object;           /* what read_new made of it; NULL when the class is of no interest */
};

struct object_map_entry {
    uint64_t at;
    struct object_ref ref; /* of a class: its name alone */
};

/* Reads one buffer with objects in it. */
struct object_reader {
    struct cursor c;
    uint32_t displacement; /* references count from here */
    struct root_file *file;
    struct arena *arena;
    /* Makes *object of a class at the cursor.  It need not read to the end of the object; NULL objects are fine. */
    enum status (*read_new)(struct object_reader *r, const char *class_name, void **object, struct error *e);
    void *ctx;
    int depth;
    struct object_map_entry *map; /* ascending */
    size_t n_map, cap_map, slot;  /* slot: of the object that read_new is being called for */
};

void object_reader_init(struct object_reader *r, struct root_file *f, struct arena *a, const uint8_t *p, size_t n,
                        uint32_t displacement);
void object_reader_fini(struct object_reader *r);

/* For read_new, before it reads members that may point back to the object. */
void object_announce(struct object_reader *r, void *object);
/* Reads the pointer at the cursor. */
enum status object_read_pointer(struct object_reader *r, struct object_ref *out, struct error *e) MUST_USE;

/* ---- primitives on a cursor; failures show as c->bad --------------------------------------------------- */

/* The header in front of a streamed object. */
struct version_header {
    uint16_t version;
    const uint8_t *end; /* where the byte count says that the object ends; NULL when there is none */
    uint32_t checksum;  /* classes without a version (version 0) state this instead */
};
struct version_header cursor_version(struct cursor *c);
/* String of one length byte, or 255 and four. */
const uint8_t *cursor_string(struct cursor *c, size_t *n);

struct tobject {
    uint32_t unique_id, bits;
};
/* TObject as it stands in a buffer.  Bit 4 of the bits (referenced) is followed by the number of a process. */
struct tobject cursor_tobject(struct cursor *c);
enum { TOBJECT_REFERENCED = 1 << 4, TOBJECT_HAS_UUID = 1 << 5, TOBJECT_BYPASS_STREAMER = 1 << 12 };

/* ---- the containers that trees are made of ------------------------------------------------------------- */

struct object_list {
    struct object_ref *items;
    size_t n;
};
/* TObjArray and TList, header included. */
enum status object_read_array(struct object_reader *r, struct object_list *out, struct error *e) MUST_USE;
enum status object_read_list(struct object_reader *r, struct object_list *out, struct error *e) MUST_USE;

#endif
