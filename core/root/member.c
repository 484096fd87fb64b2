/* core/root/member.c
 *
 * Reads an object by the layout that the file gives for its class, keeping the members that the caller named.  Trees
 * and branches are read this way, so that any version of ROOT that describes itself can be read. */
#include "core/root/streamer.h"

#include <inttypes.h>
#include <string.h>

enum { COUNTERS_MAX = 8, BASES_MAX = 12 };

/* Integers of the object so far, since a later array may name one of them as its length. */
struct counters {
    const char *name[COUNTERS_MAX];
    int64_t value[COUNTERS_MAX];
    size_t n;
};

struct reading {
    struct object_reader *r;
    const struct want *wants;
    uint8_t *out;
    struct counters counters;
    int depth;
};

static const struct want *find_want(const struct reading *g, const char *name)
{
    for (const struct want *w = g->wants; w->name; w++)
        if (strcmp(w->name, name) == 0)
            return w;
    return NULL;
}

static enum status mismatch(const struct class_member *m, const char *wanted, struct error *e)
{
    return error_set(e, STATUS_UNSUPPORTED, "member %s is a %s (kind %d), not %s", m->name, m->type_name, m->type,
                     wanted);
}

static int64_t number_at(const uint8_t *p, enum root_type type)
{
    union {
        uint32_t u;
        float f;
    } f32;
    union {
        uint64_t u;
        double d;
    } f64;
    switch (type) {
    case ROOT_BOOL:
    case ROOT_U8:
        return *p;
    case ROOT_I8:
        return (int8_t)*p;
    case ROOT_I16:
        return (int16_t)load_be16(p);
    case ROOT_U16:
        return load_be16(p);
    case ROOT_I32:
        return (int32_t)load_be32(p);
    case ROOT_U32:
        return load_be32(p);
    case ROOT_I64:
    case ROOT_U64:
        return (int64_t)load_be64(p);
    case ROOT_F32:
        f32.u = load_be32(p);
        return f32.f >= -0x1p62f && f32.f <= 0x1p62f ? (int64_t)f32.f : INT64_MIN;
    default: /* old trees count entries in a Double_t */
        f64.u = load_be64(p);
        return f64.d >= -0x1p62 && f64.d <= 0x1p62 ? (int64_t)f64.d : INT64_MIN;
    }
}

/* ---- members of each kind ---------------------------------------------------------------------------------- */

static enum status read_number(struct reading *g, const struct class_member *m, struct error *e)
{
    enum root_type type;
    size_t bytes;
    if (!member_basic(m, &type, &bytes))
        return mismatch(m, "a plain number", e);
    const uint8_t *p = cursor_take(&g->r->c, bytes);
    if (!p)
        return error_set(e, STATUS_FORMAT, "member %s is cut off", m->name);
    const struct want *w = find_want(g, m->name);
    if (w && w->kind != WANT_I64)
        return mismatch(m, "what trees have there", e);
    int64_t v = number_at(p, type);
    if (w)
        memcpy(g->out + w->offset, &v, sizeof v);
    if (m->type == MEMBER_COUNTER && g->counters.n < COUNTERS_MAX) {
        g->counters.name[g->counters.n] = m->name;
        g->counters.value[g->counters.n++] = v;
    }
    return STATUS_OK;
}

/* An array with its length in a counter: one byte says whether it is there. */
static enum status read_pointer_array(struct reading *g, const struct class_member *m, struct error *e)
{
    enum root_type type;
    size_t bytes;
    const struct want *w = find_want(g, m->name);
    if (!member_basic(m, &type, &bytes))
        return mismatch(m, "an array of plain numbers", e);
    size_t i = 0;
    while (i < g->counters.n && strcmp(g->counters.name[i], m->counter) != 0)
        i++;
    if (i == g->counters.n)
        return error_set(e, STATUS_FORMAT, "array %s has its length in %s, which does not come before it", m->name,
                         m->counter);
    int64_t n = cursor_u8(&g->r->c) ? g->counters.value[i] : 0;
    if (n < 0 || (uint64_t)n > cursor_left(&g->r->c) / bytes)
        return error_set(e, STATUS_FORMAT, "array %s of %" PRId64 " numbers, %zu bytes remain", m->name, n,
                         cursor_left(&g->r->c));
    const uint8_t *p = cursor_take(&g->r->c, (size_t)n * bytes);
    if (!w || !p)
        return p ? STATUS_OK : error_set(e, STATUS_FORMAT, "array %s is cut off", m->name);
    if (w->kind != WANT_I64S)
        return mismatch(m, "what trees have there", e);
    struct i64_list list = {ARENA_NEW(g->r->arena, int64_t, (size_t)n), (size_t)n};
    if (n > 0 && !list.v)
        return root_no_memory(e);
    for (size_t k = 0; k < list.n; k++)
        list.v[k] = number_at(p + k * bytes, type);
    memcpy(g->out + w->offset, &list, sizeof list);
    return STATUS_OK;
}

static enum status read_text(struct reading *g, const struct class_member *m, struct error *e)
{
    size_t n;
    const uint8_t *p = cursor_string(&g->r->c, &n);
    const struct want *w = find_want(g, m->name);
    if (!p)
        return error_set(e, STATUS_FORMAT, "text %s is cut off", m->name);
    if (!w || w->kind != WANT_TEXT)
        return STATUS_OK;
    const char *text = root_text(g->r->arena, p, n);
    if (!text)
        return root_no_memory(e);
    memcpy(g->out + w->offset, &text, sizeof text);
    return STATUS_OK;
}

/* Skips what has a version header with a byte count. */
static enum status skip_counted(struct reading *g, const struct class_member *m, struct error *e)
{
    struct version_header h = cursor_version(&g->r->c);
    if (g->r->c.bad || !h.end)
        return error_set(e, STATUS_FORMAT, "member %s (%s) has no byte count", m->name, m->type_name);
    g->r->c.p = h.end;
    return STATUS_OK;
}

static enum status read_pointer(struct reading *g, const struct class_member *m, struct error *e)
{
    struct object_ref ref;
    const struct want *w = find_want(g, m->name);
    if (object_read_pointer(g->r, &ref, e) != STATUS_OK)
        return error_wrap(e, "%s", m->name);
    if (w && w->kind == WANT_POINTER)
        memcpy(g->out + w->offset, &ref, sizeof ref);
    return STATUS_OK;
}

/* TArrayD and its like: a length and the numbers, with no header. */
static enum status skip_array_object(struct reading *g, const struct class_member *m, struct error *e)
{
    static const struct {
        const char *name;
        size_t bytes;
    } arrays[] = {{"TArrayC", 1},   {"TArrayS", 2}, {"TArrayI", 4}, {"TArrayL", 8},
                  {"TArrayL64", 8}, {"TArrayF", 4}, {"TArrayD", 8}};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        if (strcmp(arrays[i].name, m->type_name) != 0)
            continue;
        uint32_t n = cursor_be32(&g->r->c);
        return cursor_skip(&g->r->c, (size_t)n * arrays[i].bytes)
                   ? STATUS_OK
                   : error_set(e, STATUS_FORMAT, "array %s is cut off", m->name);
    }
    return skip_counted(g, m, e);
}

static enum status read_object(struct reading *g, const struct class_member *m, struct error *e)
{
    const struct want *w = find_want(g, m->name);
    if (!w || w->kind != WANT_OBJECTS)
        return skip_array_object(g, m, e);
    if (strcmp(m->type_name, "TObjArray") != 0)
        return mismatch(m, "a TObjArray", e);
    struct object_list list;
    if (object_read_array(g->r, &list, e) != STATUS_OK)
        return error_wrap(e, "%s", m->name);
    memcpy(g->out + w->offset, &list, sizeof list);
    return STATUS_OK;
}

/* TNamed, wherever it is met: its layout is in no file of some writers. */
static enum status read_tnamed(struct reading *g, struct error *e)
{
    static const struct class_member name = {.name = "fName"}, title = {.name = "fTitle"};
    struct version_header h = cursor_version(&g->r->c);
    (void)cursor_tobject(&g->r->c);
    TRY(read_text(g, &name, e));
    TRY(read_text(g, &title, e));
    if (h.end && g->r->c.p > h.end)
        return error_set(e, STATUS_FORMAT, "TNamed is cut off");
    if (h.end)
        g->r->c.p = h.end;
    return STATUS_OK;
}

static enum status read_class(struct reading *g, const char *name, struct error *e);

static enum status read_base(struct reading *g, const struct class_member *m, struct error *e)
{
    if (strcmp(m->name, "TObject") == 0) {
        (void)cursor_tobject(&g->r->c);
        return STATUS_OK;
    }
    if (strcmp(m->name, "TNamed") == 0)
        return read_tnamed(g, e);
    if (class_newest(g->r->file, m->name))
        return read_class(g, m->name, e);
    return skip_counted(g, m, e);
}

static enum status read_member(struct reading *g, const struct class_member *m, struct error *e)
{
    enum root_type type;
    size_t bytes;
    if (m->type > 0 && m->type < MEMBER_ARRAY)
        return read_number(g, m, e);
    if (m->type > MEMBER_ARRAY && m->type < MEMBER_POINTER) {
        if (!member_basic(m, &type, &bytes) || !cursor_skip(&g->r->c, (size_t)m->length * bytes))
            return error_set(e, STATUS_FORMAT, "array %s is cut off", m->name);
        return STATUS_OK;
    }
    if (m->type > MEMBER_POINTER && m->type < 60)
        return read_pointer_array(g, m, e);
    switch (m->type) {
    case MEMBER_BASE:
    case MEMBER_TOBJECT:
    case MEMBER_TNAMED:
        return read_base(g, m, e);
    case MEMBER_TSTRING:
        return read_text(g, m, e);
    case MEMBER_OBJECT_POINTER:
    case MEMBER_ANY_POINTER:
        return read_pointer(g, m, e);
    case MEMBER_OBJECT:
    case MEMBER_ANY:
    case MEMBER_OBJECT_INLINE:
    case MEMBER_ANY_INLINE:
        return read_object(g, m, e);
    default:
        return skip_counted(g, m, e);
    }
}

/* Whether anything from member i on may be wanted: if not, the rest of the object need not be understood. */
static bool wanted_from(const struct reading *g, const struct class_info *info, size_t i)
{
    for (; i < info->n_members; i++)
        if (info->members[i].type == MEMBER_BASE || find_want(g, info->members[i].name))
            return true;
    return false;
}

static enum status read_class(struct reading *g, const char *name, struct error *e)
{
    struct version_header h = cursor_version(&g->r->c);
    if (g->r->c.bad)
        return error_set(e, STATUS_FORMAT, "%s: object is cut off", name);
    const struct class_info *info = class_find(g->r->file, name, h.version, h.checksum);
    if (!info)
        return error_set(e, STATUS_UNSUPPORTED, "%s: the file does not describe version %u of it", name, h.version);
    if (g->depth == BASES_MAX)
        return error_set(e, STATUS_FORMAT, "%s: bases more than %d deep", name, BASES_MAX);
    g->depth++;
    for (size_t i = 0; i < info->n_members && !(h.end && !wanted_from(g, info, i)); i++)
        if (read_member(g, &info->members[i], e) != STATUS_OK)
            return error_wrap(e, "%s", name);
    g->depth--;
    if (g->r->c.bad || (h.end && g->r->c.p > h.end))
        return error_set(e, STATUS_FORMAT, "%s: members take more bytes than the object has", name);
    if (h.end)
        g->r->c.p = h.end;
    return STATUS_OK;
}

enum status members_read(struct object_reader *r, const char *name, const struct want *wants, void *out,
                         struct error *e)
{
    struct reading g = {.r = r, .wants = wants, .out = out};
    return read_class(&g, name, e);
}
