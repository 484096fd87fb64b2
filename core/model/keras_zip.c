/* core/model/keras_zip.c */
#include "core/model/keras_zip.h"

#include "core/base/bytes.h"
#include "core/codec/codec.h"

#include <string.h>

enum {
    END_BYTES = 22,
    CENTRAL_BYTES = 46,
    LOCAL_BYTES = 30,
    COMMENT_MAX = 65535,
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    FLAG_ENCRYPTED = 1,
};

struct entry {
    uint16_t flags, method;
    uint32_t crc, packed, bytes, local;
    const uint8_t *name;
    size_t name_len;
};

static enum status damaged(struct error *e, const char *what)
{
    return error_set(e, STATUS_FORMAT, "ZIP: %s: cut short or damaged", what);
}

/* The end record is the last thing in the file but for a comment, whose length it states. */
static const uint8_t *find_end(struct span file)
{
    for (size_t comment = 0; comment <= COMMENT_MAX && file.len >= END_BYTES + comment; comment++) {
        const uint8_t *p = file.data + file.len - END_BYTES - comment;
        if (memcmp(p, "PK\5\6", 4) == 0 && load_le16(p + 20) == comment)
            return p;
    }
    return NULL;
}

static bool read_entry(struct cursor *c, struct entry *out)
{
    const uint8_t *p = cursor_take(c, CENTRAL_BYTES);
    if (!p || memcmp(p, "PK\1\2", 4) != 0)
        return false;
    *out = (struct entry){.flags = load_le16(p + 8),
                          .method = load_le16(p + 10),
                          .crc = load_le32(p + 16),
                          .packed = load_le32(p + 20),
                          .bytes = load_le32(p + 24),
                          .local = load_le32(p + 42),
                          .name_len = load_le16(p + 28)};
    size_t rest = (size_t)load_le16(p + 30) + load_le16(p + 32);
    out->name = cursor_take(c, out->name_len);
    return out->name && cursor_take(c, rest);
}

static enum status find_entry(struct span file, const char *name, struct entry *out, struct error *e)
{
    const uint8_t *end = find_end(file);
    if (!end)
        return damaged(e, "no table of contents");
    size_t n = load_le16(end + 10), at = load_le32(end + 16), room = (size_t)(end - file.data), n_found = 0;
    if (at > room || n > ZIP_MEMBERS_MAX)
        return error_set(e, STATUS_FORMAT, "ZIP: %zu members, at byte %zu of %zu: at most %d, of a file below 4 GB", n,
                         at, file.len, ZIP_MEMBERS_MAX);
    struct cursor c = cursor_of(file.data + at, room - at);
    for (size_t i = 0; i < n; i++) {
        struct entry one;
        if (!read_entry(&c, &one))
            return damaged(e, "table of contents");
        if (one.name_len != strlen(name) || memcmp(one.name, name, one.name_len) != 0)
            continue;
        *out = one;
        n_found++;
    }
    if (n_found > 1)
        return error_set(e, STATUS_FORMAT, "ZIP: %zu members are named %s", n_found, name);
    return n_found == 1 ? STATUS_OK : error_set(e, STATUS_NOTFOUND, "ZIP: there is no %s", name);
}

/* Where the packed bytes are: the local header has a name and extra bytes of its own. */
static enum status find_bytes(struct span file, const struct entry *entry, const char *name, const uint8_t **out,
                              struct error *e)
{
    if (entry->local > file.len)
        return damaged(e, name);
    struct cursor c = cursor_of(file.data + entry->local, file.len - entry->local);
    const uint8_t *p = cursor_take(&c, LOCAL_BYTES);
    if (!p || memcmp(p, "PK\3\4", 4) != 0 || !cursor_take(&c, (size_t)load_le16(p + 26) + load_le16(p + 28)))
        return damaged(e, name);
    *out = cursor_take(&c, entry->packed);
    return *out ? STATUS_OK : damaged(e, name);
}

enum status zip_member(struct arena *a, struct span file, const char *name, size_t most, struct span *out,
                       struct error *e)
{
    struct entry entry = {0};
    const uint8_t *packed = NULL;
    TRY(find_entry(file, name, &entry, e));
    if ((entry.flags & FLAG_ENCRYPTED) || (entry.method != METHOD_STORED && entry.method != METHOD_DEFLATED))
        return error_set(e, STATUS_UNSUPPORTED,
                         "ZIP: %s is encrypted or compressed by method %d: store it, or deflate it", name,
                         entry.method);
    if (entry.bytes > most)
        return error_set(e, STATUS_RANGE, "ZIP: %s has %u bytes, at most %zu", name, entry.bytes, most);
    TRY(find_bytes(file, &entry, name, &packed, e));
    if (entry.method == METHOD_STORED) {
        if (entry.packed != entry.bytes)
            return damaged(e, name);
        *out = (struct span){packed, entry.bytes};
    } else {
        /* 1032 is the most that DEFLATE shrinks: who claims more lies. */
        uint8_t *bytes = entry.bytes / 1032 <= entry.packed ? arena_alloc(a, entry.bytes ? entry.bytes : 1, 1) : NULL;
        if (!bytes)
            return error_set(e, entry.bytes / 1032 <= entry.packed ? STATUS_NOMEM : STATUS_FORMAT,
                             "ZIP: %s of %u bytes out of %u", name, entry.bytes, entry.packed);
        if (codec_decompress(CODEC_RAW_DEFLATE, packed, entry.packed, bytes, entry.bytes, e) != STATUS_OK)
            return error_wrap(e, "ZIP: %s", name);
        *out = (struct span){bytes, entry.bytes};
    }
    return codec_crc32(0, out->data, out->len) == entry.crc
               ? STATUS_OK
               : error_set(e, STATUS_FORMAT, "ZIP: the checksum of %s is wrong", name);
}
