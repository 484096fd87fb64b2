/* core/root/streamer.c
 *
 * Parses the list of class layouts.  The layout of the layouts themselves is fixed since ROOT 3. */
#include "core/root/streamer.h"

#include <inttypes.h>
#include <string.h>

enum { DIMENSIONS_MAX = 5 };

/* ---- one member ---------------------------------------------------------------------------------------- */

static enum status text_member(struct object_reader *r, const char **out, struct error *e)
{
    size_t n;
    const uint8_t *p = cursor_string(&r->c, &n);
    if (!p)
        return error_set(e, STATUS_FORMAT, "text is cut off");
    *out = root_text(r->arena, p, n);
    return *out ? STATUS_OK : root_no_memory(e);
}

static enum status read_named(struct object_reader *r, const char **name, const char **title, struct error *e)
{
    struct version_header h = cursor_version(&r->c);
    (void)cursor_tobject(&r->c);
    TRY(text_member(r, name, e));
    TRY(text_member(r, title, e));
    if (h.end && r->c.p > h.end)
        return error_set(e, STATUS_FORMAT, "name is cut off");
    if (h.end)
        r->c.p = h.end;
    return STATUS_OK;
}

/* The part that all kinds of members share (TStreamerElement). */
static enum status read_element(struct object_reader *r, struct class_member *m, struct error *e)
{
    struct version_header h = cursor_version(&r->c);
    TRY(read_named(r, &m->name, &m->title, e));
    m->type = (int)cursor_be32(&r->c);
    cursor_skip(&r->c, 4); /* size in memory */
    m->length = cursor_be32(&r->c);
    cursor_skip(&r->c, 4); /* number of dimensions */
    uint32_t n_dimensions = h.version == 1 ? cursor_be32(&r->c) : DIMENSIONS_MAX;
    cursor_skip(&r->c, (size_t)n_dimensions * 4);
    TRY(text_member(r, &m->type_name, e));
    if (r->c.bad || (h.end && r->c.p > h.end))
        return error_set(e, STATUS_FORMAT, "member %s is cut off", m->name);
    if (h.end)
        r->c.p = h.end;
    return STATUS_OK;
}

static enum status read_member(struct object_reader *r, const char *class_name, struct class_member *m, struct error *e)
{
    struct version_header h = cursor_version(&r->c);
    if (strcmp(class_name, "TStreamerSTLstring") == 0)
        (void)cursor_version(&r->c); /* it derives from TStreamerSTL, which has a header too */
    TRY(read_element(r, m, e));
    m->counter = "";
    if (strcmp(class_name, "TStreamerBase") == 0 && h.version > 1) {
        m->base_version = (int)cursor_be32(&r->c);
    } else if (strcmp(class_name, "TStreamerBasicPointer") == 0 || strcmp(class_name, "TStreamerLoop") == 0) {
        cursor_skip(&r->c, 4);
        TRY(text_member(r, &m->counter, e));
    }
    if (r->c.bad || (h.end && r->c.p > h.end))
        return error_set(e, STATUS_FORMAT, "member %s is cut off", m->name);
    if (h.end)
        r->c.p = h.end;
    return STATUS_OK;
}

/* ---- one class ------------------------------------------------------------------------------------------ */

static bool is_member_class(const char *name)
{
    return strncmp(name, "TStreamer", 9) == 0 && strcmp(name, "TStreamerInfo") != 0;
}

static enum status read_info(struct object_reader *r, struct class_info *info, struct error *e)
{
    (void)cursor_version(&r->c);
    const char *title;
    TRY(read_named(r, &info->name, &title, e));
    info->checksum = cursor_be32(&r->c);
    info->version = (int)cursor_be32(&r->c);
    struct object_ref elements;
    TRY(object_read_pointer(r, &elements, e));
    const struct object_list *list = elements.object;
    if (!list || strcmp(elements.class_name, "TObjArray") != 0)
        return error_set(e, STATUS_FORMAT, "class %s has no list of members", info->name);
    info->members = ARENA_NEW(r->arena, struct class_member, list->n);
    if (list->n > 0 && !info->members)
        return root_no_memory(e);
    for (size_t i = 0; i < list->n; i++) {
        if (!is_member_class(list->items[i].class_name) || !list->items[i].object)
            return error_set(e, STATUS_FORMAT, "class %s: member %zu is a %s", info->name, i,
                             *list->items[i].class_name ? list->items[i].class_name : "null pointer");
        info->members[info->n_members++] = *(struct class_member *)list->items[i].object;
    }
    return STATUS_OK;
}

/* Objects inside the list of layouts. */
static enum status read_new(struct object_reader *r, const char *class_name, void **object, struct error *e)
{
    *object = NULL;
    if (strcmp(class_name, "TStreamerInfo") == 0) {
        struct class_info *info = ARENA_NEW(r->arena, struct class_info, 1);
        if (!info)
            return root_no_memory(e);
        *object = info;
        return read_info(r, info, e);
    }
    if (strcmp(class_name, "TObjArray") == 0) {
        struct object_list *list = ARENA_NEW(r->arena, struct object_list, 1);
        if (!list)
            return root_no_memory(e);
        *object = list;
        return object_read_array(r, list, e);
    }
    if (is_member_class(class_name)) {
        struct class_member *m = ARENA_NEW(r->arena, struct class_member, 1);
        if (!m)
            return root_no_memory(e);
        *object = m;
        return read_member(r, class_name, m, e);
    }
    return STATUS_OK; /* e.g. rules of schema evolution: skipped by byte count */
}

static enum status parse_classes(struct root_file *f, const struct object_bytes *bytes, struct error *e)
{
    struct object_reader r;
    struct object_list list = {0};
    object_reader_init(&r, f, &f->arena, bytes->buf.data, bytes->buf.len, bytes->displacement);
    r.read_new = read_new;
    enum status s = object_read_list(&r, &list, e);
    object_reader_fini(&r);
    for (size_t i = 0; s == STATUS_OK && i < list.n; i++)
        if (strcmp(list.items[i].class_name, "TStreamerInfo") == 0) {
            struct class_info *info = list.items[i].object;
            if (!info || info->listed) /* the same object twice would close a ring */
                continue;
            info->listed = true;
            info->next = f->classes;
            f->classes = info;
        }
    return s;
}

enum status classes_read(struct root_file *f, struct error *e)
{
    if (f->classes_read)
        return STATUS_OK;
    struct object_bytes bytes;
    if (f->seek_info == 0)
        return error_set(e, STATUS_FORMAT, "the file has no list of class layouts (TStreamerInfo): not closed?");
    enum status s = object_read(f, f->seek_info, f->info_bytes, &bytes, e);
    if (s == STATUS_OK) {
        s = parse_classes(f, &bytes, e);
        object_bytes_fini(&bytes);
    }
    if (s != STATUS_OK) {
        f->classes = NULL;
        return error_wrap(e, "list of class layouts (TStreamerInfo)");
    }
    f->classes_read = true;
    return STATUS_OK;
}

/* ---- lookups -------------------------------------------------------------------------------------------- */

const struct class_info *class_find(const struct root_file *f, const char *name, int version, uint32_t checksum)
{
    for (const struct class_info *i = f->classes; i; i = i->next)
        if (strcmp(i->name, name) == 0 && (version > 0 ? i->version == version : i->checksum == checksum))
            return i;
    return NULL;
}

const struct class_info *class_newest(const struct root_file *f, const char *name)
{
    const struct class_info *best = NULL;
    for (const struct class_info *i = f->classes; i; i = i->next)
        if (strcmp(i->name, name) == 0 && (!best || i->version > best->version))
            best = i;
    return best;
}

enum root_type member_type_number(int basic)
{
    switch (basic) {
    case MEMBER_CHAR:
    case MEMBER_LEGACY_CHAR:
        return ROOT_I8;
    case MEMBER_UCHAR:
        return ROOT_U8;
    case MEMBER_SHORT:
        return ROOT_I16;
    case MEMBER_USHORT:
        return ROOT_U16;
    case MEMBER_INT:
    case MEMBER_COUNTER:
        return ROOT_I32;
    case MEMBER_UINT:
        return ROOT_U32;
    case MEMBER_LONG:
    case MEMBER_LONG64:
        return ROOT_I64; /* Long_t takes 8 bytes in files, always */
    case MEMBER_ULONG:
    case MEMBER_ULONG64:
        return ROOT_U64;
    case MEMBER_FLOAT:
        return ROOT_F32;
    case MEMBER_DOUBLE:
        return ROOT_F64;
    case MEMBER_BOOL:
        return ROOT_BOOL;
    default:
        return ROOT_OTHER;
    }
}

bool member_basic(const struct class_member *m, enum root_type *type, size_t *bytes)
{
    int basic = m->type % MEMBER_ARRAY;
    if (m->type <= 0 || m->type >= 60)
        return false;
    *type = member_type_number(basic);
    /* Double32_t is stored as a float unless its comment gives a range or a number of bits: "[min,max,bits]". */
    if (basic == MEMBER_DOUBLE32 && !strchr(m->title, '['))
        *type = ROOT_F32;
    *bytes = root_type_size(*type);
    return *type != ROOT_OTHER;
}
