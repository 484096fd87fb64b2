/* core/root/key.c
 *
 * Keys (the header in front of every record) and the directories that list them.  A directory may point anywhere,
 * so each list of keys is read once, and only so deep. */
#include "core/root/file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    BIG_SEEKS = 1000, /* versions above it have 64-bit seeks */
    DEPTH_MAX = 32,
    KEYS_MAX = 1000000,
    DIRECTORY_BYTES_MAX = 42, /* version, two dates, two sizes, three 64-bit seeks */
};

/* A string of the file: one byte of length, or 255 and four. */
static size_t take_string(struct cursor *c, const uint8_t **p)
{
    size_t n = cursor_u8(c);
    if (n == 255)
        n = cursor_be32(c);
    *p = cursor_take(c, n);
    return *p ? n : 0;
}

enum status key_parse(struct cursor *c, struct key_header *k, struct error *e)
{
    size_t start = cursor_offset(c);
    k->n_bytes = cursor_be32(c);
    k->version = cursor_be16(c);
    k->object_bytes = cursor_be32(c);
    cursor_skip(c, 4); /* date */
    k->key_bytes = cursor_be16(c);
    k->cycle = (int16_t)cursor_be16(c);
    bool big = k->version > BIG_SEEKS;
    k->seek = big ? cursor_be64(c) : cursor_be32(c);
    cursor_skip(c, big ? 8 : 4); /* of its directory */
    k->class_len = take_string(c, &k->class_name);
    k->name_len = take_string(c, &k->name);
    k->title_len = take_string(c, &k->title);
    if (c->bad)
        return error_set(e, STATUS_FORMAT, "key is cut off");
    if (k->n_bytes > INT32_MAX || k->object_bytes > INT32_MAX)
        return error_set(e, STATUS_FORMAT, "key with negative size (%" PRId32 " bytes, object of %" PRId32 ")",
                         (int32_t)k->n_bytes, (int32_t)k->object_bytes);
    if (k->key_bytes < cursor_offset(c) - start || k->key_bytes > k->n_bytes)
        return error_set(e, STATUS_FORMAT, "key of %" PRIu32 " bytes says that its header takes %u, it takes %zu",
                         k->n_bytes, k->key_bytes, cursor_offset(c) - start);
    return STATUS_OK;
}

/* ---- directories --------------------------------------------------------------------------------------- */

struct directory {
    uint64_t seek_keys;
    uint32_t keys_bytes;
};

struct walk {
    struct root_file *f;
    uint64_t *seen; /* seeks of key lists, in the order of reading */
    size_t n_seen, cap_seen;
};

static enum status read_directory(struct root_file *f, uint64_t at, struct directory *d, struct error *e)
{
    uint8_t bytes[DIRECTORY_BYTES_MAX];
    size_t n = at < f->size && f->size - at < sizeof bytes ? (size_t)(f->size - at) : sizeof bytes;
    TRY(file_bytes(f, at, bytes, n, e));
    struct cursor c = cursor_of(bytes, n);
    uint16_t version = cursor_be16(&c);
    cursor_skip(&c, 8); /* dates */
    d->keys_bytes = cursor_be32(&c);
    cursor_skip(&c, 4);
    bool big = version > BIG_SEEKS;
    cursor_skip(&c, big ? 16 : 8); /* this directory, its parent */
    d->seek_keys = big ? cursor_be64(&c) : cursor_be32(&c);
    if (c.bad)
        return error_set(e, STATUS_FORMAT, "directory at byte %" PRIu64 " is cut off", at);
    return STATUS_OK;
}

static enum status add_key(struct root_file *f, const struct key_header *k, const char *prefix, struct error *e)
{
    if (f->n_keys == KEYS_MAX)
        return error_set(e, STATUS_FORMAT, "more than %d keys", KEYS_MAX);
    if (f->n_keys == f->cap_keys) {
        size_t cap = f->cap_keys ? 2 * f->cap_keys : 16;
        void *p = mem_realloc(f->keys, cap * sizeof *f->keys);
        if (!p)
            return root_no_memory(e);
        f->keys = p;
        f->cap_keys = cap;
    }
    const char *name = root_text(&f->arena, k->name, k->name_len);
    struct root_key key = {
        .path = name && *prefix ? arena_printf(&f->arena, "%s/%s", prefix, name) : name,
        .class_name = root_text(&f->arena, k->class_name, k->class_len),
        .title = root_text(&f->arena, k->title, k->title_len),
        .cycle = k->cycle,
        .seek = k->seek,
        .n_bytes = k->n_bytes,
        .object_bytes = k->object_bytes,
        .key_bytes = k->key_bytes,
    };
    if (!key.path || !key.class_name || !key.title)
        return root_no_memory(e);
    f->keys[f->n_keys++] = key;
    return STATUS_OK;
}

static bool is_directory(const struct root_key *k)
{
    return strcmp(k->class_name, "TDirectory") == 0 || strcmp(k->class_name, "TDirectoryFile") == 0;
}

static enum status remember(struct walk *w, uint64_t seek, bool *is_new, struct error *e)
{
    *is_new = false;
    for (size_t i = 0; i < w->n_seen; i++)
        if (w->seen[i] == seek)
            return STATUS_OK;
    if (w->n_seen == w->cap_seen) {
        size_t cap = w->cap_seen ? 2 * w->cap_seen : 16;
        void *p = mem_realloc(w->seen, cap * sizeof *w->seen);
        if (!p)
            return root_no_memory(e);
        w->seen = p;
        w->cap_seen = cap;
    }
    w->seen[w->n_seen++] = seek;
    *is_new = true;
    return STATUS_OK;
}

static enum status walk_directory(struct walk *w, uint64_t at, const char *prefix, int depth, struct error *e);

/* One key of a list, and, if it is a directory, what is below. */
static enum status walk_key(struct walk *w, struct cursor *c, const char *prefix, int depth, struct error *e)
{
    struct key_header k;
    TRY(key_parse(c, &k, e));
    TRY(add_key(w->f, &k, prefix, e));
    struct root_key added = w->f->keys[w->f->n_keys - 1];
    if (!is_directory(&added))
        return STATUS_OK;
    if (k.seek > w->f->size)
        return error_set(e, STATUS_FORMAT, "directory %s at byte %" PRIu64 ", the file ends at byte %" PRIu64,
                         added.path, k.seek, w->f->size);
    if (walk_directory(w, k.seek + k.key_bytes, added.path, depth + 1, e) != STATUS_OK)
        return error_wrap(e, "directory %s", added.path);
    return STATUS_OK;
}

static enum status walk_list(struct walk *w, const struct buf *list, const char *prefix, int depth, struct error *e)
{
    struct cursor c = cursor_of(list->data, list->len);
    struct key_header own;
    TRY(key_parse(&c, &own, e));
    c = cursor_of(list->data, list->len);
    cursor_skip(&c, own.key_bytes);
    uint32_t n = cursor_be32(&c);
    if (c.bad || n > cursor_left(&c) / KEY_BYTES_MIN)
        return error_set(e, STATUS_FORMAT, "%" PRIu32 " keys in a list of %zu bytes", n, list->len);
    for (uint32_t i = 0; i < n; i++)
        if (walk_key(w, &c, prefix, depth, e) != STATUS_OK)
            return error_wrap(e, "key %" PRIu32, i);
    return STATUS_OK;
}

static enum status walk_directory(struct walk *w, uint64_t at, const char *prefix, int depth, struct error *e)
{
    struct directory d;
    bool is_new;
    if (depth > DEPTH_MAX)
        return error_set(e, STATUS_FORMAT, "directories more than %d deep", DEPTH_MAX);
    TRY(read_directory(w->f, at, &d, e));
    if (d.seek_keys == 0 && depth == 0)    /* what its writer saved so far would be fewer events than it made */
        return error_set(e, STATUS_FORMAT, "it was not closed, so that it has no list of keys: it is still being "
                         "written, or its writer was stopped");
    if (d.seek_keys == 0) /* a directory that was never written to */
        return STATUS_OK;
    TRY(remember(w, d.seek_keys, &is_new, e));
    if (!is_new)
        return STATUS_OK;
    if (d.seek_keys > w->f->size || d.keys_bytes > w->f->size - d.seek_keys || d.keys_bytes > ROOT_OBJECT_MAX)
        return error_set(e, STATUS_FORMAT,
                         "list of keys: %" PRIu32 " bytes at byte %" PRIu64 ", the file ends at byte %" PRIu64,
                         d.keys_bytes, d.seek_keys, w->f->size);
    struct buf list;
    buf_init(&list, ROOT_OBJECT_MAX);
    enum status s = buf_reserve(&list, d.keys_bytes, e);
    if (s == STATUS_OK)
        s = file_bytes(w->f, d.seek_keys, list.data, d.keys_bytes, e);
    if (s == STATUS_OK) {
        list.len = d.keys_bytes;
        s = walk_list(w, &list, prefix, depth, e);
    }
    buf_fini(&list);
    return s;
}

enum status keys_read(struct root_file *f, uint64_t begin, uint32_t name_bytes, struct error *e)
{
    struct walk w = {.f = f};
    enum status s = walk_directory(&w, begin + name_bytes, "", 0, e);
    mem_free(w.seen);
    return s;
}

const struct root_key *key_find(const struct root_file *f, const char *path)
{
    size_t len = strcspn(path, ";");
    const char *cycle = path[len] ? path + len + 1 : NULL;
    const struct root_key *found = NULL;
    for (size_t i = 0; i < f->n_keys; i++) {
        const struct root_key *k = &f->keys[i];
        if (strncmp(k->path, path, len) != 0 || k->path[len] != 0)
            continue;
        if (cycle ? k->cycle == atoi(cycle) : !found || k->cycle > found->cycle)
            found = k;
    }
    return found;
}
