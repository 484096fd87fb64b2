/* core/root/file.h
 *
 * The bottom of the reader: the open file, its keys, and the bytes of one object.  Above it stand object.h (how
 * objects are streamed), streamer.h (how classes are laid out), tree.h (trees, branches, baskets). */
#ifndef DLT_CORE_ROOT_FILE_H
#define DLT_CORE_ROOT_FILE_H

#include "core/base/bytes.h"
#include "core/root.h"

/* What one file may cost in memory, however it lies: names, keys, classes and branches of the largest known files
 * take a few MB, and no basket or tree object comes near the second figure. */
enum { ROOT_ARENA_MAX = 256 << 20, ROOT_OBJECT_MAX = 256 << 20 };

struct class_info;

struct root_file {
    struct source *src;
    struct arena arena; /* lives as long as the file */
    uint32_t version;
    int compression;
    uint64_t size;      /* bytes of the source */
    uint64_t seek_info; /* key of the list of class layouts */
    uint32_t info_bytes;
    struct root_key *keys;
    size_t n_keys, cap_keys;
    struct class_info *classes; /* linked list; see streamer.h */
    bool classes_read;
    struct root_tree *trees; /* linked list of those that were asked for */
};

/* ---- keys -------------------------------------------------------------------------------------------- */

struct key_header {
    uint32_t n_bytes;      /* whole record: header and stored object */
    uint16_t version;      /* above 1000: 64-bit seeks */
    uint32_t object_bytes; /* uncompressed */
    uint16_t key_bytes;    /* of the header */
    int16_t cycle;
    uint64_t seek;
    const uint8_t *class_name, *name, *title;
    size_t class_len, name_len, title_len;
};

enum { KEY_BYTES_MIN = 29 }; /* with empty names and 32-bit seeks */

/* Parses the header at the cursor, leaving the cursor behind it; FORMAT for what cannot be a key. */
enum status key_parse(struct cursor *c, struct key_header *k, struct error *e) MUST_USE;
/* Fills f->keys, directories depth first, each key list once. */
enum status keys_read(struct root_file *f, uint64_t begin, uint32_t name_bytes, struct error *e) MUST_USE;
/* "path" (newest cycle) or "path;cycle"; NULL when there is none. */
const struct root_key *key_find(const struct root_file *f, const char *path);

/* ---- bytes ------------------------------------------------------------------------------------------- */

/* As source_read, with our own words for a range outside the file. */
enum status file_bytes(struct root_file *f, uint64_t offset, void *dst, size_t len, struct error *e) MUST_USE;

/* An uncompressed object.  References inside it count from the start of its key: position + displacement. */
struct object_bytes {
    struct buf buf;
    uint32_t displacement;
};
void object_bytes_fini(struct object_bytes *o);
/* Reads the record of n_bytes at `seek`; on OK the caller owns it. */
enum status object_read(struct root_file *f, uint64_t seek, uint32_t n_bytes, struct object_bytes *out,
                        struct error *e) MUST_USE;
/* stored[0..n) -> out of object_bytes: copies or decompresses; the size is believed only after the block headers
 * agree with it. */
enum status object_unpack(const uint8_t *stored, size_t n, size_t object_bytes, struct buf *out,
                          struct error *e) MUST_USE;

/* Text from the file into the arena, control and malformed bytes replaced by '?', so that it may be printed. */
char *root_text(struct arena *a, const uint8_t *p, size_t n) MUST_USE;
/* Puts the file's name before the error unless it is there already. */
enum status root_wrap(const struct root_file *f, struct error *e);
enum status root_no_memory(struct error *e);

#endif
