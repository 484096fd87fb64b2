/* core/base/field_path.c
 *
 * Members of field tables by path, and single values as text: what searches over parameters stand on.  A path is looked
 * up in the table alone, so it can be judged before there is an object. */
#include "core/base.h"

#include <string.h>

enum { INDEX_MAX = 4095, VALUE_BYTES_MAX = 1 << 20, AXIS_VALUES_MAX = 10000 };

const struct field field_axis_fields[] = {
    FIELD_STRING(struct field_axis, path, .required = true, .min = 1, .max = 200),
    FIELD_LIST_STRING(struct field_axis, values, .max = AXIS_VALUES_MAX),
    FIELD_F64(struct field_axis, low),
    FIELD_F64(struct field_axis, high),
    FIELD_F64(struct field_axis, step, .min = 0, .max = -1, .doc = "0: any value; with log a factor"),
    FIELD_BOOL(struct field_axis, log, .doc = "even on a logarithmic scale"),
    FIELD_END};

/* ---- paths ----------------------------------------------------------------------------------------------------- */

/* How far a walk has come; `at` is NULL when there is no object. */
struct walk {
    struct arena *a;
    const struct field *table;         /* the members to choose from, or NULL */
    struct field leaf;                 /* what has been reached */
    const char *path, *rest;
    char *object, *at;
    struct error *e;
};

static enum status not_found(const struct walk *w, size_t len, const char *what)
{
    return error_set(w->e, STATUS_NOTFOUND, "there is no %s \"%.*s\"", what, (int)((size_t)(w->rest - w->path) + len),
                     w->path);
}

/* Makes the list long enough for item `index`. */
static enum status grow(const struct walk *w, struct field_list *list, size_t index)
{
    if (index < list->n_items)
        return STATUS_OK;
    char *items = arena_alloc(w->a, index + 1, w->leaf.item_size);
    if (!items)
        return error_set(w->e, STATUS_NOMEM, "no memory for %zu items of %s", index + 1, w->leaf.name);
    if (list->n_items > 0)
        memcpy(items, list->items, list->n_items * w->leaf.item_size);
    for (size_t i = list->n_items; w->leaf.item == FIELD_KIND_OBJECT && i <= index; i++)
        field_defaults(w->leaf.fields, items + i * w->leaf.item_size);
    *list = (struct field_list){items, index + 1};
    return STATUS_OK;
}

static enum status step_into_list(struct walk *w, size_t len)
{
    size_t index = 0, digits = strspn(w->rest, "0123456789");
    for (size_t i = 0; i < digits && index <= INDEX_MAX; i++)
        index = 10 * index + (size_t)(w->rest[i] - '0');
    if (digits != len || len == 0 || (len > 1 && w->rest[0] == '0'))
        return not_found(w, len, "item");
    if (index > INDEX_MAX)
        return error_set(w->e, STATUS_ARGUMENT, "\"%s\": an index is at most %d", w->path, INDEX_MAX);
    if (w->at) {
        struct field_list *list = (void *)w->at;
        TRY(grow(w, list, index));
        w->at = (char *)list->items + index * w->leaf.item_size;
    }
    w->table = w->leaf.item == FIELD_KIND_OBJECT ? w->leaf.fields : NULL;
    struct field item = {.name = w->leaf.name, .kind = w->leaf.item, .fields = w->leaf.fields, .unit = w->leaf.unit,
                         .doc = w->leaf.doc};
    w->leaf = item;
    w->object = w->at;
    return STATUS_OK;
}

/* The number that a map has under this name; an object's map gets the name, with 0, where it has not. */
static enum status step_into_map(struct walk *w, size_t len)
{
    if (len == 0)
        return not_found(w, len, "name");
    if (w->at) {
        struct field_list *map = (void *)w->at;
        struct field_pair *pairs = map->items;
        size_t i = 0;
        while (i < map->n_items && !(strlen(pairs[i].name) == len && memcmp(pairs[i].name, w->rest, len) == 0))
            i++;
        if (i == map->n_items) {
            TRY(grow(w, map, i));
            pairs = map->items;
            if (!(pairs[i].name = arena_strndup(w->a, w->rest, len)))
                return error_set(w->e, STATUS_NOMEM, "no memory for a name of %s", w->leaf.name);
        }
        w->at = (char *)&pairs[i].value;
    }
    struct field value = {.name = w->leaf.name, .kind = FIELD_KIND_F64, .unit = w->leaf.unit, .doc = w->leaf.doc};
    w->leaf = value;
    w->table = NULL;
    w->object = w->at;
    return STATUS_OK;
}

static enum status step_into_table(struct walk *w, size_t len)
{
    for (const struct field *f = w->table; f && f->name; f++)
        if (strlen(f->name) == len && memcmp(f->name, w->rest, len) == 0) {
            w->leaf = *f;
            w->at = w->object ? w->object + f->offset : NULL;
            w->object = w->at;
            w->table = f->kind == FIELD_KIND_OBJECT ? f->fields : NULL;
            return STATUS_OK;
        }
    return not_found(w, len, "member");
}

static enum status walk(struct walk *w)
{
    for (;;) {
        size_t len = strcspn(w->rest, "/.");
        if (w->leaf.name && w->leaf.kind == FIELD_KIND_LIST)
            TRY(step_into_list(w, len));
        else if (w->leaf.name && w->leaf.kind == FIELD_KIND_MAP)
            TRY(step_into_map(w, len));
        else
            TRY(step_into_table(w, len));
        w->rest += len;
        if (!*w->rest)
            break;
        w->rest++;
    }
    enum field_kind k = w->leaf.kind;
    if (k == FIELD_KIND_OBJECT || k == FIELD_KIND_MAP || k == FIELD_KIND_SPACE || k == FIELD_KIND_POINT)
        return error_set(w->e, STATUS_ARGUMENT, "\"%s\" is no single value: name one of its members", w->path);
    w->leaf.offset = 0;
    return STATUS_OK;
}

enum status field_path_find(const struct field *table, const char *path, struct field *leaf, struct error *e)
{
    struct walk w = {.table = table, .path = path, .rest = path, .e = e};
    enum status s = walk(&w);
    *leaf = w.leaf;
    return s;
}

enum status field_path_get(struct arena *a, const struct field *table, void *object, const char *path,
                           struct field *leaf, void **at, struct error *e)
{
    struct walk w = {.a = a, .table = table, .path = path, .rest = path, .object = object, .e = e};
    enum status s = walk(&w);
    *leaf = w.leaf;
    *at = w.at;
    return s;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static size_t value_size(const struct field *leaf)
{
    switch (leaf->kind) {
    case FIELD_KIND_BOOL: return sizeof(bool);
    case FIELD_KIND_I64: return sizeof(int64_t);
    case FIELD_KIND_F64: return sizeof(double);
    case FIELD_KIND_STRING: return sizeof(char *);
    case FIELD_KIND_ENUM: return sizeof(int);
    case FIELD_KIND_LIST: return sizeof(struct field_list);
    default: check(!"no single value");
    }
}

/* The leaf as the only member of a table. */
static void table_of(const struct field *leaf, struct field table[2])
{
    table[0] = *leaf;
    table[0].name = "value";
    table[0].offset = 0;
    table[1] = (struct field)FIELD_END;
}

enum status field_value_write(const struct field *leaf, const void *at, struct buf *out, struct error *e)
{
    static const char prefix[] = "value = ";
    struct field table[2];
    struct buf text;
    table_of(leaf, table);
    if (leaf->kind == FIELD_KIND_LIST)
        return field_write_text(table, at, out, e);
    buf_init(&text, VALUE_BYTES_MAX);
    enum status s = field_write_text(table, at, &text, e);
    size_t skip = sizeof prefix - 1;
    if (s == STATUS_OK && text.len > skip)                        /* an absent text writes nothing */
        s = buf_append(out, text.data + skip, text.len - skip - 1, e);
    buf_fini(&text);
    return s;
}

enum status field_value_read(struct arena *a, const struct field *leaf, const char *text, void *at, struct error *e)
{
    struct field table[2];
    struct field_slot slot;
    struct buf lines;
    table_of(leaf, table);
    buf_init(&lines, VALUE_BYTES_MAX);
    enum status s = STATUS_OK;
    if (leaf->kind == FIELD_KIND_LIST)
        s = buf_printf(&lines, e, "%s", text);
    else if (*text)
        s = buf_printf(&lines, e, "value = %s\n", text);
    if (s == STATUS_OK)
        s = field_read_text(a, table, (struct span){lines.data, lines.len}, &slot, e);
    buf_fini(&lines);
    if (s == STATUS_OK)
        memcpy(at, &slot, value_size(leaf));
    return s;
}

enum status field_path_set(struct arena *a, const struct field *table, void *object, const char *path,
                           const char *text, struct error *e)
{
    struct field leaf;
    void *at;
    TRY(field_path_get(a, table, object, path, &leaf, &at, e));
    enum status s = field_value_read(a, &leaf, text, at, e);
    return s == STATUS_OK ? s : error_wrap(e, "%s", path);
}
