/* server/json/encode.c
 *
 * Field tables to JSON.  Whatever is written here reads back by fields.c as the same values. */
#include "server/json/json_private.h"

const struct field json_range_fields[] = {
    FIELD_F64(struct field_axis, low, .required = true),
    FIELD_F64(struct field_axis, high, .required = true),
    FIELD_F64(struct field_axis, step, .min = 0, .max = -1),
    FIELD_BOOL(struct field_axis, log),
    FIELD_END,
};

static bool is_nothing(const struct field *f, const void *from)
{
    switch (f->kind) {
    case FIELD_KIND_BOOL: return !*(const bool *)from;
    case FIELD_KIND_I64: return *(const int64_t *)from == 0;
    case FIELD_KIND_F64: return *(const double *)from == 0;
    case FIELD_KIND_STRING: return !*(const char *const *)from;
    case FIELD_KIND_ENUM: return *(const int *)from == 0;
    case FIELD_KIND_OBJECT: return is_nothing(f->fields, (const char *)from + f->fields->offset);
    case FIELD_KIND_LIST:
    case FIELD_KIND_SPACE:
    case FIELD_KIND_POINT:
    case FIELD_KIND_MAP: return ((const struct field_list *)from)->n_items == 0;
    default: return false;
    }
}

static struct json *encode_enum(const struct field *f, int index)
{
    for (int i = 0; f->choices[i]; i++)
        if (i == index)
            return json_new_string(f->choices[i]);
    return json_new_null();
}

static struct json *encode_value(const struct field *f, enum field_kind kind, const void *from)
{
    switch (kind) {
    case FIELD_KIND_BOOL: return json_new_bool(*(const bool *)from);
    case FIELD_KIND_I64: return json_new_i64(*(const int64_t *)from);
    case FIELD_KIND_F64: return json_new_f64(*(const double *)from);
    case FIELD_KIND_STRING: return json_new_string(*(const char *const *)from);
    case FIELD_KIND_ENUM: return encode_enum(f, *(const int *)from);
    case FIELD_KIND_OBJECT:
        if (f->nullable && f->kind == FIELD_KIND_OBJECT && is_nothing(f, from))
            return json_new_null();
        return json_encode_fields(f->fields, from);
    default: check(!"field table with a list of lists");
    }
}

static struct json *encode_list(const struct field *f, const struct field_list *list)
{
    bool map = f->kind == FIELD_KIND_MAP;
    struct json *v = map ? json_new_object() : json_new_array();
    for (size_t i = 0; v && i < list->n_items; i++) {
        const char *item = (const char *)list->items + i * f->item_size;
        const struct field_pair *pair = (const void *)item;
        if (map)
            json_set(v, pair->name, json_new_f64(pair->value));
        else
            json_push(v, encode_value(f, f->item, item));
    }
    return v;
}

/* A value from its text; null when it is none of `leaf`. */
static struct json *encode_text(struct arena *a, const struct field *leaf, const char *text)
{
    struct field_slot slot;
    struct error e;
    if (field_value_read(a, leaf, text, &slot, &e) != STATUS_OK)
        return e.status == STATUS_NOMEM ? NULL : json_new_null();
    if (leaf->kind == FIELD_KIND_LIST)
        return encode_list(leaf, (const struct field_list *)(const void *)&slot);
    return encode_value(leaf, leaf->kind, &slot);
}

static struct json *encode_axis(struct arena *a, const struct field *f, const struct field_axis *axis)
{
    const char *const *texts = axis->values.items;
    struct field leaf;
    struct error e;
    if (field_path_find(f->into, axis->path, &leaf, &e) != STATUS_OK)
        return json_new_null();
    if (f->kind == FIELD_KIND_POINT)
        return axis->values.n_items > 0 ? encode_text(a, &leaf, texts[0]) : json_new_null();
    if (axis->values.n_items == 0)
        return json_encode_fields(json_range_fields, axis);
    struct json *v = json_new_array();
    for (size_t i = 0; i < axis->values.n_items; i++)
        json_push(v, encode_text(a, &leaf, texts[i]));
    return v;
}

static struct json *encode_axes(const struct field *f, const struct field_list *list)
{
    const struct field_axis *axes = list->items;
    struct json *v = json_new_object();
    struct arena a;
    arena_init(&a, VALUE_TEXT_MAX);
    for (size_t i = 0; i < list->n_items; i++) {
        json_set(v, axes[i].path, encode_axis(&a, f, &axes[i]));
        arena_reset(&a);
    }
    arena_fini(&a);
    return v;
}

static struct json *encode_member(const struct field *f, const void *member)
{
    switch (f->kind) {
    case FIELD_KIND_LIST:
    case FIELD_KIND_MAP: return encode_list(f, member);
    case FIELD_KIND_SPACE:
    case FIELD_KIND_POINT: return encode_axes(f, member);
    default: return encode_value(f, f->kind, member);
    }
}

struct json *json_encode_fields(const struct field *table, const void *object)
{
    struct json *v = json_new_object();
    for (const struct field *f = table; v && f->name; f++)
        json_set(v, f->name, encode_member(f, (const char *)object + f->offset));
    return v;
}
