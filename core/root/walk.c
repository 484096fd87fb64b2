/* core/root/walk.c
 *
 * Walks the bytes of one entry by the shape of its branch and appends the values of one member to a column.  Every
 * byte of the entry must be accounted for. */
#include "core/root/shape.h"

#include <inttypes.h>
#include <string.h>

struct walker {
    struct cursor c;
    const struct shape *target;
    struct root_column *out;
    uint64_t n_values; /* in the column so far */
    bool stopped;      /* the target is behind us and what follows cannot be read */
    struct error *e;
};

/* ---- columns ---------------------------------------------------------------------------------------------- */

enum status column_reserve(struct root_column *c, uint64_t n, struct error *e)
{
    size_t size = c->type == ROOT_STRING ? 1 : root_type_size(c->type);
    if (n > SIZE_MAX / 16 / size)
        return error_set(e, STATUS_RANGE, "%" PRIu64 " values in one read", n);
    size_t want = (size_t)n * size;
    if (want <= c->cap_values)
        return STATUS_OK;
    size_t cap = c->cap_values + c->cap_values / 2;
    cap = cap > want ? cap : want;
    void *p = mem_realloc(c->values, cap);
    if (!p)
        return root_no_memory(e);
    c->values = p;
    c->cap_values = cap;
    return STATUS_OK;
}

/* Eight at a time: the inner loops have a fixed length, so that the compiler makes byte shuffles of them. */
#define SWAP_LOOP(type, swap)                                                                                          \
    do {                                                                                                               \
        type *to = dst;                                                                                                \
        size_t i = 0;                                                                                                  \
        for (; i + 8 <= n; i += 8)                                                                                     \
            for (size_t k = 0; k < 8; k++) {                                                                           \
                type v;                                                                                                \
                memcpy(&v, src + (i + k) * sizeof v, sizeof v);                                                        \
                to[i + k] = swap(v);                                                                                   \
            }                                                                                                          \
        for (; i < n; i++) {                                                                                           \
            type v;                                                                                                    \
            memcpy(&v, src + i * sizeof v, sizeof v);                                                                  \
            to[i] = swap(v);                                                                                           \
        }                                                                                                              \
    } while (0)

void swap_numbers(void *dst, const uint8_t *src, size_t n, size_t size)
{
    switch (size) {
    case 1:
        if (n > 0)
            memcpy(dst, src, n);
        break;
    case 2:
        SWAP_LOOP(uint16_t, __builtin_bswap16);
        break;
    case 4:
        SWAP_LOOP(uint32_t, __builtin_bswap32);
        break;
    default:
        SWAP_LOOP(uint64_t, __builtin_bswap64);
        break;
    }
}

static enum status emit(struct walker *w, const uint8_t *p, size_t n, size_t size)
{
    if (column_reserve(w->out, w->n_values + n, w->e) != STATUS_OK)
        return w->e->status;
    swap_numbers((uint8_t *)w->out->values + w->n_values * size, p, n, size);
    w->n_values += n;
    return STATUS_OK;
}

static enum status emit_u32(struct walker *w, uint32_t v)
{
    uint32_t big = __builtin_bswap32(v);
    return emit(w, (const uint8_t *)&big, 1, sizeof big);
}

/* ---- shapes ------------------------------------------------------------------------------------------------ */

static enum status cut_off(struct walker *w, const struct shape *s)
{
    return error_set(w->e, STATUS_FORMAT, "%s%s is cut off", *s->name ? s->name : s->class_name,
                     s->kind == SHAPE_OBJECT ? " object" : "");
}

static enum status walk(struct walker *w, struct shape *s);

static enum status walk_children(struct walker *w, struct shape *s)
{
    for (struct shape *c = s->child; c; c = c->next) {
        if (c->kind == SHAPE_OPAQUE) {
            w->stopped = true;
            return STATUS_OK;
        }
        TRY(walk(w, c));
        if (w->stopped)
            return STATUS_OK;
    }
    return STATUS_OK;
}

/* Ends an object with a byte count: all of it was read, or reading had to stop inside. */
static enum status close_object(struct walker *w, const struct shape *s, const uint8_t *end)
{
    if (w->c.bad || (end && w->c.p > end))
        return cut_off(w, s);
    if (!end)
        return STATUS_OK;
    if (w->c.p < end && !w->stopped)
        return error_set(w->e, STATUS_FORMAT, "%s: %td bytes are left over in the object",
                         *s->class_name ? s->class_name : s->name, end - w->c.p);
    w->c.p = end;
    w->stopped = false;
    return STATUS_OK;
}

static enum status walk_number(struct walker *w, struct shape *s)
{
    const uint8_t *p = cursor_take(&w->c, (size_t)s->count * s->bytes);
    if (!p)
        return cut_off(w, s);
    if (s == w->target)
        return emit(w, p, s->count, s->bytes);
    if (s->count == 1) /* it may be the length of an array further on */
        switch (s->bytes) {
        case 1:
            s->value = *p;
            break;
        case 2:
            s->value = (int16_t)load_be16(p);
            break;
        case 4:
            s->value = (int32_t)load_be32(p);
            break;
        default:
            s->value = (int64_t)load_be64(p);
            break;
        }
    return STATUS_OK;
}

static enum status walk_bits(struct walker *w, const struct shape *s, uint32_t *bits)
{
    *bits = cursor_be32(&w->c);
    if (*bits & TOBJECT_REFERENCED)
        cursor_skip(&w->c, 2);
    if (w->c.bad)
        return cut_off(w, s);
    return s == w->target ? emit_u32(w, *bits) : STATUS_OK;
}

static enum status walk_tobject(struct walker *w, struct shape *s)
{
    if (cursor_be16(&w->c) & 0x4000) /* in fact the upper half of a byte count */
        cursor_skip(&w->c, 4);
    uint32_t bits;
    TRY(walk_number(w, s->child));
    TRY(walk_bits(w, s->child->next, &bits));
    if (s->kind == SHAPE_TREF) {
        size_t n;
        if (bits & TOBJECT_HAS_UUID)
            (void)cursor_string(&w->c, &n);
        else
            cursor_skip(&w->c, 2);
    }
    return w->c.bad ? cut_off(w, s) : STATUS_OK;
}

static enum status walk_tref_array(struct walker *w, struct shape *s)
{
    struct version_header h = cursor_version(&w->c);
    (void)cursor_tobject(&w->c);
    size_t n;
    (void)cursor_string(&w->c, &n);
    uint32_t size = cursor_be32(&w->c);
    cursor_skip(&w->c, 4 + 2); /* lower bound, process number */
    if (w->c.bad || size > cursor_left(&w->c) / 4)
        return cut_off(w, s);
    const uint8_t *ids = cursor_take(&w->c, (size_t)size * 4);
    if (w->target == s->child)
        TRY(emit_u32(w, size));
    if (w->target == s->child->next)
        TRY(emit(w, ids, size, 4));
    return close_object(w, s, h.end);
}

static enum status walk_vector(struct walker *w, const struct shape *s)
{
    struct version_header h = cursor_version(&w->c);
    uint32_t n = cursor_be32(&w->c);
    if (h.version & 0x4000)
        return error_set(w->e, STATUS_UNSUPPORTED, "%s: vector streamed member by member", s->name);
    if (w->c.bad || n > cursor_left(&w->c) / s->bytes)
        return cut_off(w, s);
    const uint8_t *p = cursor_take(&w->c, (size_t)n * s->bytes);
    if (s == w->target)
        TRY(emit(w, p, n, s->bytes));
    return close_object(w, s, h.end);
}

static enum status walk_counted(struct walker *w, const struct shape *s)
{
    uint64_t n = cursor_u8(&w->c) ? cursor_left(&w->c) / s->bytes : 0;
    if (s->counter && n > 0) {
        if (s->counter->value < 0 || (uint64_t)s->counter->value > n)
            return cut_off(w, s);
        n = (uint64_t)s->counter->value;
    }
    const uint8_t *p = cursor_take(&w->c, (size_t)n * s->bytes);
    if (!p)
        return cut_off(w, s);
    return s == w->target ? emit(w, p, (size_t)n, s->bytes) : STATUS_OK;
}

static enum status walk_text(struct walker *w, const struct shape *s)
{
    size_t n;
    const uint8_t *p = cursor_string(&w->c, &n);
    if (!p)
        return cut_off(w, s);
    return s == w->target ? emit(w, p, n, 1) : STATUS_OK;
}

static enum status walk_std_string(struct walker *w, const struct shape *s)
{
    struct version_header h = cursor_version(&w->c);
    TRY(walk_text(w, s));
    return close_object(w, s, h.end);
}

static enum status check_version(struct walker *w, const struct shape *s, struct version_header h)
{
    bool same = h.version ? h.version == s->version : h.checksum == s->checksum;
    if (w->c.bad)
        return cut_off(w, s);
    if (!same)
        return error_set(w->e, STATUS_UNSUPPORTED, "%s: object of version %u, the file describes version %d",
                         s->class_name, h.version, s->version);
    return STATUS_OK;
}

static enum status walk_object(struct walker *w, struct shape *s)
{
    struct version_header h = cursor_version(&w->c);
    TRY(check_version(w, s, h));
    if (h.end && !shape_contains(s, w->target)) {
        w->c.p = h.end;
        return STATUS_OK;
    }
    TRY(walk_children(w, s));
    return close_object(w, s, h.end);
}

static enum status walk_skip(struct walker *w, const struct shape *s)
{
    struct version_header h = cursor_version(&w->c);
    if (w->c.bad)
        return cut_off(w, s);
    if (!h.end)
        return error_set(w->e, STATUS_UNSUPPORTED, "%s: %s without a byte count", s->name, s->why);
    w->c.p = h.end;
    return STATUS_OK;
}

static enum status walk_skip_pointer(struct walker *w, const struct shape *s)
{
    uint32_t tag = cursor_be32(&w->c);
    if (tag != UINT32_MAX && tag & 0x40000000)
        cursor_skip(&w->c, tag & ~0x40000000u);
    else if (tag & 0x80000000)
        return error_set(w->e, STATUS_UNSUPPORTED, "%s: pointer to a %s without a byte count", s->name, s->why);
    return w->c.bad ? cut_off(w, s) : STATUS_OK;
}

/* ---- TClonesArray ------------------------------------------------------------------------------------------- */

/* The same number of each of n items, one behind the other. */
static enum status walk_numbers(struct walker *w, struct shape *s, uint32_t n)
{
    size_t values, bytes;
    if (n == 0)
        return STATUS_OK;
    if (__builtin_mul_overflow((size_t)n, s->count, &values) || __builtin_mul_overflow(values, s->bytes, &bytes) ||
        bytes > cursor_left(&w->c))
        return cut_off(w, s);
    if (s == w->target)
        return emit(w, cursor_take(&w->c, bytes), values, s->bytes);
    (void)cursor_take(&w->c, bytes - (size_t)s->count * s->bytes);
    return walk_number(w, s);          /* the last one stays known */
}

/* All items' first member, all items' second member, ...; the members of bases without a header of their own. */
static enum status walk_clones_by_member(struct walker *w, struct shape *s, uint32_t n)
{
    for (struct shape *c = s->child; c; c = c->next) {
        if (c->kind == SHAPE_OPAQUE) {
            w->stopped = true;
            return STATUS_OK;
        }
        if (c->kind == SHAPE_NUMBER) {
            TRY(walk_numbers(w, c, n));
            continue;
        }
        bool is_base = c->kind == SHAPE_OBJECT && !*c->name;
        if (is_base)
            TRY(walk_clones_by_member(w, c, n));
        for (uint32_t i = 0; i < n && !w->stopped && !is_base; i++)
            TRY(walk(w, c));
        if (w->stopped)
            return STATUS_OK;
    }
    return STATUS_OK;
}

/* Items one by one, each behind a byte that says whether it is there; missing ones would shift the rest. */
static enum status walk_clones_by_object(struct walker *w, struct shape *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (cursor_u8(&w->c) != 1)
            return error_set(w->e, STATUS_UNSUPPORTED, "item %" PRIu32 " of a TClonesArray is missing", i);
        struct version_header h = cursor_version(&w->c);
        TRY(check_version(w, s, h));
        TRY(walk_children(w, s));
        TRY(close_object(w, s, h.end));
        if (w->stopped)
            return STATUS_OK;
    }
    return STATUS_OK;
}

/* The class is stated as "Name;version". */
static enum status check_class(struct walker *w, const struct shape *s)
{
    char want[256];
    size_t n;
    const uint8_t *p = cursor_string(&w->c, &n);
    snprintf(want, sizeof want, "%s;%d", s->class_name, s->version);
    if (!p || n != strlen(want) || memcmp(p, want, n) != 0)
        return error_set(w->e, STATUS_UNSUPPORTED, "TClonesArray of another class or version than %s", want);
    return STATUS_OK;
}

static enum status walk_clones(struct walker *w, struct shape *s)
{
    struct version_header h = cursor_version(&w->c);
    struct tobject self = cursor_tobject(&w->c);
    size_t n_name;
    (void)cursor_string(&w->c, &n_name);
    TRY(check_class(w, s));
    uint32_t n = cursor_be32(&w->c);
    cursor_skip(&w->c, 4);                  /* lower bound */
    if (w->c.bad || n > cursor_left(&w->c)) /* an item takes a byte at least */
        return error_set(w->e, STATUS_FORMAT, "TClonesArray of %" PRIu32 " items, %zu bytes remain", n,
                         cursor_left(&w->c));
    if (s == w->target)
        TRY(emit_u32(w, n));
    if (self.bits & TOBJECT_BYPASS_STREAMER)
        TRY(walk_clones_by_member(w, s, n));
    else
        TRY(walk_clones_by_object(w, s, n));
    return close_object(w, s, h.end);
}

void clones_class(const uint8_t *p, size_t n, bool has_prefix, char *text, size_t cap)
{
    struct cursor c = cursor_of(p, n);
    if (has_prefix)
        cursor_skip(&c, (size_t)cursor_u8(&c) + 1);
    (void)cursor_version(&c);
    (void)cursor_tobject(&c);
    size_t len;
    (void)cursor_string(&c, &len);
    const uint8_t *name = cursor_string(&c, &len);
    snprintf(text, cap, "%.*s", name && len < cap ? (int)len : 0, name ? (const char *)name : "");
    if (!text_is_clean(text, strlen(text)))
        *text = 0;
}

/* Objects in branches of old kind say their class in front, since a derived class may stand there. */
static enum status walk_prefix(struct walker *w, const struct shape *s)
{
    size_t n = cursor_u8(&w->c), want = strlen(s->prefix_class);
    const uint8_t *name = cursor_take(&w->c, n + 1);
    if (!name)
        return cut_off(w, s);
    if (n != want || memcmp(name, s->prefix_class, n) != 0)
        return error_set(w->e, STATUS_UNSUPPORTED, "object of another class than %s", s->prefix_class);
    return STATUS_OK;
}

static enum status walk_one(struct walker *w, struct shape *s)
{
    uint32_t bits;
    if (s->prefix_class)
        TRY(walk_prefix(w, s));
    switch (s->kind) {
    case SHAPE_NUMBER:
        return walk_number(w, s);
    case SHAPE_BITS:
        return walk_bits(w, s, &bits);
    case SHAPE_TEXT:
        return walk_text(w, s);
    case SHAPE_STD_STRING:
        return walk_std_string(w, s);
    case SHAPE_FLAT:
        return walk_children(w, s);
    case SHAPE_OBJECT:
        return walk_object(w, s);
    case SHAPE_TOBJECT:
    case SHAPE_TREF:
        return walk_tobject(w, s);
    case SHAPE_TREF_ARRAY:
        return walk_tref_array(w, s);
    case SHAPE_VECTOR:
        return walk_vector(w, s);
    case SHAPE_COUNTED:
        return walk_counted(w, s);
    case SHAPE_CLONES:
        return walk_clones(w, s);
    case SHAPE_SKIP:
        return walk_skip(w, s);
    case SHAPE_SKIP_POINTER:
        return walk_skip_pointer(w, s);
    case SHAPE_OPAQUE:
        w->stopped = true;
        return STATUS_OK;
    }
    check(false);
}

static enum status walk(struct walker *w, struct shape *s)
{
    if (s->kind == SHAPE_NUMBER)
        return walk_number(w, s);
    for (uint32_t i = 0; i < s->count && !w->stopped; i++)
        TRY(walk_one(w, s));
    return STATUS_OK;
}

enum status shape_read(struct shape *root, const struct shape *target, bool repeat, const uint8_t *p, size_t n,
                       struct root_column *out, uint64_t *n_values, struct error *e)
{
    struct walker w = {.c = cursor_of(p, n), .target = target, .out = out, .n_values = *n_values, .e = e};
    if (!repeat)
        TRY(walk(&w, root));
    while (repeat && w.c.p < w.c.end && !w.stopped) {
        const uint8_t *before = w.c.p;
        TRY(walk(&w, root));
        if (w.c.p == before)
            return error_set(e, STATUS_FORMAT, "%td bytes are left over in the entry", w.c.end - w.c.p);
    }
    if (w.c.p < w.c.end && !w.stopped)
        return error_set(e, STATUS_FORMAT, "%td bytes are left over in the entry", w.c.end - w.c.p);
    *n_values = w.n_values;
    return STATUS_OK;
}

enum status shape_measure(struct shape *root, const uint8_t *p, size_t n, size_t *len, struct error *e)
{
    static const struct shape nothing = {.index = UINT32_MAX};
    struct walker w = {.c = cursor_of(p, n), .target = &nothing, .e = e};
    if (root->kind == SHAPE_COUNTED && !root->counter)
        return error_set(e, STATUS_UNSUPPORTED, "array of unknown length");
    TRY(walk(&w, root));
    if (w.stopped)
        return error_set(e, STATUS_UNSUPPORTED, "%s of unknown length", root->name);
    *len = cursor_offset(&w.c);
    return STATUS_OK;
}
