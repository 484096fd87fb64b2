/* core/root/streamer.h
 *
 * Class layouts.  A file describes every class that it holds (TStreamerInfo), member by member, and those
 * descriptions differ between versions of ROOT and Delphes: nothing about members is assumed here but their names. */
#ifndef DLT_CORE_ROOT_STREAMER_H
#define DLT_CORE_ROOT_STREAMER_H

#include "core/root/object.h"

/* Kinds of members, as ROOT numbers them. */
enum member_type {
    MEMBER_BASE = 0,
    MEMBER_CHAR = 1,
    MEMBER_SHORT = 2,
    MEMBER_INT = 3,
    MEMBER_LONG = 4,
    MEMBER_FLOAT = 5,
    MEMBER_COUNTER = 6,
    MEMBER_CHAR_STAR = 7,
    MEMBER_DOUBLE = 8,
    MEMBER_DOUBLE32 = 9,
    MEMBER_LEGACY_CHAR = 10,
    MEMBER_UCHAR = 11,
    MEMBER_USHORT = 12,
    MEMBER_UINT = 13,
    MEMBER_ULONG = 14,
    MEMBER_BITS = 15,
    MEMBER_LONG64 = 16,
    MEMBER_ULONG64 = 17,
    MEMBER_BOOL = 18,
    MEMBER_FLOAT16 = 19,
    MEMBER_ARRAY = 20,   /* added to a basic type or object: fixed length */
    MEMBER_POINTER = 40, /* added to a basic type: length in another member */
    MEMBER_OBJECT = 61,
    MEMBER_ANY = 62,
    MEMBER_OBJECT_INLINE = 63,
    MEMBER_OBJECT_POINTER = 64,
    MEMBER_TSTRING = 65,
    MEMBER_TOBJECT = 66,
    MEMBER_TNAMED = 67,
    MEMBER_ANY_INLINE = 68,
    MEMBER_ANY_POINTER = 69,
    MEMBER_ANY_POINTER_NO_VIRTUAL = 70,
    MEMBER_STL = 300,
    MEMBER_STL_STRING = 365,
    MEMBER_STREAMER = 500,
    MEMBER_STREAM_LOOP = 501,
};

struct class_member {
    const char *name, *title, *type_name;
    int type;            /* enum member_type */
    uint32_t length;     /* product of the dimensions of a fixed array, else 0 */
    int base_version;    /* MEMBER_BASE */
    const char *counter; /* MEMBER_POINTER: the member that holds the length */
};

struct class_info {
    const char *name;
    int version;
    uint32_t checksum;
    struct class_member *members;
    size_t n_members;
    bool listed;
    struct class_info *next;
};

/* Reads the layouts once; later calls return at once. */
enum status classes_read(struct root_file *f, struct error *e) MUST_USE;
/* Layout of exactly this version (version 0: of this checksum); NULL when the file has none. */
const struct class_info *class_find(const struct root_file *f, const char *name, int version, uint32_t checksum);
/* Layout of the highest version; may be NULL. */
const struct class_info *class_newest(const struct root_file *f, const char *name);

/* ---- reading objects member by member --------------------------------------------------------------------- */

enum want_kind {
    WANT_I64,     /* int64_t: any integer, or a floating number without a fraction */
    WANT_TEXT,    /* const char *: TString */
    WANT_I64S,    /* struct i64_list: array with a counter */
    WANT_OBJECTS, /* struct object_list: TObjArray */
    WANT_POINTER, /* struct object_ref */
};

struct i64_list {
    int64_t *v;
    size_t n;
};

/* A member that the caller wants stored at `offset` of its struct; a table of them ends with name NULL. */
struct want {
    const char *name;
    enum want_kind kind;
    size_t offset;
};

/* Reads the object of class `name` at the cursor, version header included, with all its bases, and stores what the
 * table wants; other members are skipped.  `version` may be NULL. */
enum status members_read(struct object_reader *r, const char *name, const struct want *wants, void *out,
                         struct error *e) MUST_USE;

/* Type of the values of a basic member (1 to 19) and their bytes in the file; false for what is not stored as a
 * plain number (TObject's bits, truncated floating-point numbers, C strings). */
bool member_basic(const struct class_member *m, enum root_type *type, size_t *bytes);
enum root_type member_type_number(int basic); /* ROOT_OTHER when not plain */

#endif
