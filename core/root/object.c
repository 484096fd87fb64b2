/* core/root/object.c
 *
 * Streamed objects below any class.  A pointer is written as an optional byte count and a tag: 0 for nothing, a new
 * class with its name, a class seen before, or an object seen before; the last two by their offset in the buffer. */
#include "core/root/object.h"

#include <inttypes.h>
#include <string.h>

enum {
    DEPTH_MAX = 48, /* of pointers in objects; a tree needs about a dozen */
    OBJECTS_MAX = 4000000,
    MAP_OFFSET = 2, /* added to every offset, because 0 and 1 have a meaning */
};

static const uint32_t BYTE_COUNT_MASK = 0x40000000, NEW_CLASS_TAG = 0xffffffff, CLASS_MASK = 0x80000000;

void object_reader_init(struct object_reader *r, struct root_file *f, struct arena *a, const uint8_t *p, size_t n,
                        uint32_t displacement)
{
    *r = (struct object_reader){.c = cursor_of(p, n), .displacement = displacement, .file = f, .arena = a};
}

void object_reader_fini(struct object_reader *r)
{
    mem_free(r->map);
    r->map = NULL;
}

/* ---- primitives ------------------------------------------------------------------------------------------ */

struct version_header cursor_version(struct cursor *c)
{
    struct version_header h = {0};
    if (cursor_left(c) >= 4 && load_be32(c->p) & BYTE_COUNT_MASK) {
        size_t n = cursor_be32(c) & ~BYTE_COUNT_MASK;
        if (n < 2 || n > cursor_left(c)) {
            c->bad = true;
            return h;
        }
        h.end = c->p + n;
    }
    h.version = cursor_be16(c);
    if (h.version == 0 && h.end && h.end - c->p >= 4)
        h.checksum = cursor_be32(c);
    return h;
}

const uint8_t *cursor_string(struct cursor *c, size_t *n)
{
    *n = cursor_u8(c);
    if (*n == 255)
        *n = cursor_be32(c);
    const uint8_t *p = cursor_take(c, *n);
    if (!p)
        *n = 0;
    return p;
}

struct tobject cursor_tobject(struct cursor *c)
{
    struct tobject o;
    if (cursor_be16(c) & 0x4000) /* in fact the upper half of a byte count */
        cursor_skip(c, 4);
    o.unique_id = cursor_be32(c);
    o.bits = cursor_be32(c);
    if (o.bits & TOBJECT_REFERENCED)
        cursor_skip(c, 2);
    return o;
}

/* ---- pointers ---------------------------------------------------------------------------------------------- */

static enum status remember(struct object_reader *r, uint64_t at, struct object_ref ref, size_t *index, struct error *e)
{
    if (r->n_map == OBJECTS_MAX)
        return error_set(e, STATUS_FORMAT, "more than %d objects", OBJECTS_MAX);
    if (r->n_map == r->cap_map) {
        size_t cap = r->cap_map ? 2 * r->cap_map : 64;
        void *p = mem_realloc(r->map, cap * sizeof *r->map);
        if (!p)
            return root_no_memory(e);
        r->map = p;
        r->cap_map = cap;
    }
    *index = r->n_map;
    r->map[r->n_map++] = (struct object_map_entry){at, ref};
    return STATUS_OK;
}

static const struct object_map_entry *recall(const struct object_reader *r, uint64_t at)
{
    size_t low = 0, high = r->n_map;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->map[mid].at < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low < r->n_map && r->map[low].at == at ? &r->map[low] : NULL;
}

static uint64_t position(const struct object_reader *r)
{
    return cursor_offset(&r->c) + r->displacement + MAP_OFFSET;
}

/* The class that a tag names; the cursor stands behind the tag. */
static enum status read_class(struct object_reader *r, uint32_t tag, uint64_t tag_at, const char **name,
                              struct error *e)
{
    if (tag != NEW_CLASS_TAG) {
        const struct object_map_entry *m = recall(r, tag & ~CLASS_MASK);
        if (!m || m->ref.object)
            return error_set(e, STATUS_FORMAT, "reference to a class at offset %" PRIu32 ", where none was",
                             tag & ~CLASS_MASK);
        *name = m->ref.class_name;
        return STATUS_OK;
    }
    const uint8_t *zero = memchr(r->c.p, 0, cursor_left(&r->c));
    if (!zero || zero == r->c.p)
        return error_set(e, STATUS_FORMAT, "class name without an end");
    size_t n = (size_t)(zero - r->c.p), unused;
    *name = root_text(r->arena, r->c.p, n);
    if (!*name)
        return root_no_memory(e);
    cursor_skip(&r->c, n + 1);
    return remember(r, tag_at, (struct object_ref){.class_name = *name}, &unused, e);
}

static enum status read_new_object(struct object_reader *r, uint32_t tag, uint64_t tag_at, uint64_t object_at,
                                   const uint8_t *end, struct object_ref *out, struct error *e)
{
    const char *name = "";
    size_t slot;
    /* The place of the object comes before the place of its class: the map stays ascending. */
    TRY(remember(r, object_at, (struct object_ref){"", NULL}, &slot, e));
    TRY(read_class(r, tag, tag_at, &name, e));
    out->class_name = name;
    if (r->depth >= DEPTH_MAX)
        return error_set(e, STATUS_FORMAT, "objects more than %d deep", DEPTH_MAX);
    r->depth++;
    r->map[slot].ref.class_name = name;
    r->slot = slot;
    enum status s = r->read_new(r, name, &out->object, e);
    r->depth--;
    if (s != STATUS_OK)
        return s;
    r->map[slot].ref = *out;
    if (r->c.bad || (end && r->c.p > end))
        return error_set(e, STATUS_FORMAT, "%s object is cut off", name);
    if (end)
        r->c.p = end;
    else if (!out->object)
        return error_set(e, STATUS_UNSUPPORTED, "%s object without a byte count", name);
    return STATUS_OK;
}

void object_announce(struct object_reader *r, void *object)
{
    r->map[r->slot].ref.object = object;
}

enum status object_read_pointer(struct object_reader *r, struct object_ref *out, struct error *e)
{
    *out = (struct object_ref){"", NULL};
    uint64_t object_at = position(r), tag_at = object_at;
    const uint8_t *end = NULL;
    uint32_t tag = cursor_be32(&r->c);
    if (tag & BYTE_COUNT_MASK && tag != NEW_CLASS_TAG) {
        uint32_t n = tag & ~BYTE_COUNT_MASK;
        if (n > cursor_left(&r->c))
            return error_set(e, STATUS_FORMAT, "object says %" PRIu32 " bytes, %zu remain", n, cursor_left(&r->c));
        end = r->c.p + n;
        tag_at = position(r);
        tag = cursor_be32(&r->c);
    }
    if (r->c.bad || (end && r->c.p > end))
        return error_set(e, STATUS_FORMAT, "object is cut off");
    if (tag & CLASS_MASK)
        return read_new_object(r, tag, tag_at, object_at, end, out, e);
    if (tag == 0)
        return STATUS_OK;
    const struct object_map_entry *m = recall(r, tag);
    if (!m)
        return error_set(e, STATUS_FORMAT, "reference to an object at offset %" PRIu32 ", where none was", tag);
    *out = m->ref;
    return STATUS_OK;
}

/* ---- containers -------------------------------------------------------------------------------------------- */

static enum status read_items(struct object_reader *r, struct object_list *out, uint32_t n, bool with_option,
                              struct error *e)
{
    if (r->c.bad || n > cursor_left(&r->c) / 4) /* a pointer takes 4 bytes at least */
        return error_set(e, STATUS_FORMAT, "list of %" PRIu32 " objects, %zu bytes remain", n, cursor_left(&r->c));
    out->n = 0;
    out->items = ARENA_NEW(r->arena, struct object_ref, n);
    if (n > 0 && !out->items)
        return root_no_memory(e);
    for (; out->n < n; out->n++) {
        if (object_read_pointer(r, &out->items[out->n], e) != STATUS_OK)
            return error_wrap(e, "object %zu of %" PRIu32, out->n, n);
        size_t option_len;
        if (with_option)
            (void)cursor_string(&r->c, &option_len);
    }
    return STATUS_OK;
}

/* Both begin alike; only TObjArray has a lower bound, and only TList's items carry an option string. */
static enum status read_container(struct object_reader *r, struct object_list *out, bool is_array, struct error *e)
{
    struct version_header h = cursor_version(&r->c);
    (void)cursor_tobject(&r->c);
    size_t name_len;
    (void)cursor_string(&r->c, &name_len);
    uint32_t n = cursor_be32(&r->c);
    if (is_array)
        cursor_skip(&r->c, 4);
    TRY(read_items(r, out, n, !is_array, e));
    if (r->c.bad || (h.end && r->c.p > h.end))
        return error_set(e, STATUS_FORMAT, "list of %" PRIu32 " objects is cut off", n);
    if (h.end)
        r->c.p = h.end;
    return STATUS_OK;
}

enum status object_read_array(struct object_reader *r, struct object_list *out, struct error *e)
{
    return read_container(r, out, true, e);
}

enum status object_read_list(struct object_reader *r, struct object_list *out, struct error *e)
{
    return read_container(r, out, false, e);
}
