/* core/root/file.c
 *
 * The file header, and the way from a key to the bytes of its object. */
#include "core/root/file.h"

#include "core/codec/codec.h"
#include "core/root/streamer.h"
#include "core/root/tree.h"

#include <inttypes.h>
#include <string.h>

enum {
    HEADER_BYTES = 63,          /* of the larger, 64-bit form, up to the identifier that nobody needs */
    BIG_FILE_VERSION = 1000000, /* added to the version of files with 64-bit seeks */
};

enum status root_no_memory(struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory, or the file asks for more than this reader gives");
}

enum status root_wrap(const struct root_file *f, struct error *e)
{
    const char *name = source_name(f->src);
    size_t n = strlen(name);
    if (strncmp(e->text, name, n) == 0 && e->text[n] == ':')
        return e->status;
    return error_wrap(e, "%s", name);
}

char *root_text(struct arena *a, const uint8_t *p, size_t n)
{
    char *text = arena_strndup(a, n ? (const char *)p : "", n);
    if (text && !text_is_clean(text, n))
        for (size_t i = 0; i < n; i++)
            if (text[i] < 32 || text[i] == 127) /* char is signed: bytes above 127 too */
                text[i] = '?';
    return text;
}

enum status file_bytes(struct root_file *f, uint64_t offset, void *dst, size_t len, struct error *e)
{
    if (offset > f->size || len > f->size - offset)
        return error_set(e, STATUS_FORMAT, "%zu bytes at byte %" PRIu64 " are wanted, the file ends at byte %" PRIu64,
                         len, offset, f->size);
    return source_read(f->src, offset, dst, len, e);
}

/* ---- header ------------------------------------------------------------------------------------------ */

struct file_header {
    uint64_t end;
    uint32_t begin, name_bytes;
};

static enum status parse_header(struct root_file *f, struct cursor *c, struct file_header *h, struct error *e)
{
    cursor_skip(c, 4);
    f->version = cursor_be32(c);
    bool big = f->version >= BIG_FILE_VERSION;
    f->version %= BIG_FILE_VERSION;
    h->begin = cursor_be32(c);
    h->end = big ? cursor_be64(c) : cursor_be32(c);
    cursor_skip(c, big ? 8 : 4); /* list of free segments */
    cursor_skip(c, 8);           /* its size and number */
    h->name_bytes = cursor_be32(c);
    cursor_skip(c, 1); /* size of pointers */
    f->compression = (int)cursor_be32(c);
    f->seek_info = big ? cursor_be64(c) : cursor_be32(c);
    f->info_bytes = cursor_be32(c);
    if (c->bad)
        return error_set(e, STATUS_FORMAT, "truncated: the file header is cut at byte %" PRIu64, f->size);
    if (h->end > f->size)
        return error_set(e, STATUS_FORMAT, "truncated: the header says %" PRIu64 " bytes, %" PRIu64 " are here", h->end,
                         f->size);
    if (h->begin >= h->end || h->name_bytes >= h->end - h->begin)
        return error_set(e, STATUS_FORMAT,
                         "file header: first record of %" PRIu32 " bytes at byte %" PRIu32 " of %" PRIu64,
                         h->name_bytes, h->begin, h->end);
    return STATUS_OK;
}

static enum status read_header(struct root_file *f, struct error *e)
{
    uint8_t bytes[HEADER_BYTES];
    if (f->size == 0)
        return error_set(e, STATUS_FORMAT, "not a ROOT file: it is empty (0 bytes)");
    size_t n = f->size < sizeof bytes ? (size_t)f->size : sizeof bytes;
    TRY(file_bytes(f, 0, bytes, n, e));
    if (n < 4 || memcmp(bytes, "root", 4) != 0)
        return error_set(e, STATUS_FORMAT, "not a ROOT file: it does not begin with \"root\"");
    struct cursor c = cursor_of(bytes, n);
    struct file_header h = {0};
    TRY(parse_header(f, &c, &h, e));
    return keys_read(f, h.begin, h.name_bytes, e);
}

enum status root_open(struct source *src, struct root_file **out, struct error *e)
{
    *out = NULL;
    struct root_file *f = mem_calloc(1, sizeof *f);
    if (!f)
        return root_no_memory(e);
    f->src = src;
    f->size = source_size(src);
    arena_init(&f->arena, ROOT_ARENA_MAX);
    if (read_header(f, e) != STATUS_OK) {
        enum status s = root_wrap(f, e);
        root_close(f);
        return s;
    }
    *out = f;
    return STATUS_OK;
}

void root_close(struct root_file *f)
{
    if (!f)
        return;
    trees_close(f);
    mem_free(f->keys);
    arena_fini(&f->arena);
    mem_free(f);
}

uint32_t root_version(const struct root_file *f)
{
    return f->version;
}
int root_compression(const struct root_file *f)
{
    return f->compression;
}

const struct root_key *root_keys(const struct root_file *f, size_t *n)
{
    *n = f->n_keys;
    return f->keys;
}

/* ---- objects ------------------------------------------------------------------------------------------- */

void object_bytes_fini(struct object_bytes *o)
{
    buf_fini(&o->buf);
}

enum status object_unpack(const uint8_t *stored, size_t n, size_t object_bytes, struct buf *out, struct error *e)
{
    if (object_bytes > ROOT_OBJECT_MAX)
        return error_set(e, STATUS_FORMAT, "object of %zu bytes, at most %d are read", object_bytes, ROOT_OBJECT_MAX);
    if (object_bytes < n)
        return error_set(e, STATUS_FORMAT, "object of %zu bytes is stored in %zu", object_bytes, n);
    out->len = 0;
    if (object_bytes == n)
        return buf_append(out, stored, n, e);
    size_t declared;
    TRY(codec_root_size(stored, n, &declared, e));
    if (declared != object_bytes)
        return error_set(e, STATUS_FORMAT, "key says %zu bytes, its compressed blocks %zu", object_bytes, declared);
    TRY(buf_reserve(out, object_bytes, e));
    TRY(codec_root_decompress(stored, n, out->data, object_bytes, e));
    out->len = object_bytes;
    return STATUS_OK;
}

enum status object_read(struct root_file *f, uint64_t seek, uint32_t n_bytes, struct object_bytes *out, struct error *e)
{
    struct buf stored;
    buf_init(&stored, ROOT_OBJECT_MAX);
    buf_init(&out->buf, ROOT_OBJECT_MAX);
    if (seek > f->size || n_bytes > f->size - seek)
        FAIL_OR(failed, e, STATUS_FORMAT,
                "key says %" PRIu32 " bytes at byte %" PRIu64 ", the file ends at byte %" PRIu64, n_bytes, seek,
                f->size);
    TRY_OR(buf_reserve(&stored, n_bytes, e), failed);
    TRY_OR(file_bytes(f, seek, stored.data, n_bytes, e), failed);
    struct cursor c = cursor_of(stored.data, n_bytes);
    struct key_header k;
    TRY_OR(key_parse(&c, &k, e), failed);
    if (k.n_bytes != n_bytes || k.seek != seek)
        FAIL_OR(failed, e, STATUS_FORMAT,
                "record at byte %" PRIu64 " says %" PRIu32 " bytes at byte %" PRIu64 ", its directory %" PRIu32, seek,
                k.n_bytes, k.seek, n_bytes);
    out->displacement = k.key_bytes;
    TRY_OR(object_unpack(stored.data + k.key_bytes, n_bytes - k.key_bytes, k.object_bytes, &out->buf, e), failed);
    buf_fini(&stored);
    return STATUS_OK;
failed:
    buf_fini(&stored);
    buf_fini(&out->buf);
    return e->status;
}
