/* server/json/schema.c
 *
 * JSON Schema (draft 2020-12) of a field table: the same bounds, defaults and sentences that decoding applies, for
 * GET /api/v1/job-kinds, for form builders, and for the test that compares api/openapi.yaml with the code. */
#include "server/json/json.h"

#include <math.h>

static struct json *schema_object(const struct field *table);

static const char *type_of(enum field_kind kind)
{
    switch (kind) {
    case FIELD_KIND_BOOL: return "boolean";
    case FIELD_KIND_I64: return "integer";
    case FIELD_KIND_F64: return "number";
    case FIELD_KIND_LIST: return "array";
    case FIELD_KIND_STRING:
    case FIELD_KIND_ENUM: return "string";
    default: return "object";
    }
}

static struct json *typed(const char *type, bool or_null)
{
    if (!or_null)
        return json_new_string(type);
    struct json *types = json_new_array();
    json_push(types, json_new_string(type));
    json_push(types, json_new_string("null"));
    return types;
}

static struct json *bound(const struct field *f, double value)
{
    bool whole = f->kind != FIELD_KIND_F64 && fabs(value) <= 9007199254740992.0;      /* 2^53 */
    return whole ? json_new_i64((int64_t)value) : json_new_f64(value);
}

/* As base.h: none when both are 0, no maximum when it is below the minimum. */
static void set_bounds(struct json *o, const struct field *f, const char *least, const char *most)
{
    if (f->min == 0 && f->max == 0)
        return;
    json_set(o, least, bound(f, f->min));
    if (f->max >= f->min)
        json_set(o, most, bound(f, f->max));
}

static void set_enum(struct json *o, const struct field *f)
{
    struct json *names = json_new_array();
    for (int i = 0; f->choices[i]; i++) {
        json_push(names, json_new_string(f->choices[i]));
        if (i == (int)f->def && !f->required)
            json_set(o, "default", json_new_string(f->choices[i]));
    }
    json_set(o, "enum", names);
}

static void set_default(struct json *o, const struct field *f)
{
    if (f->required)
        return;
    if (f->kind == FIELD_KIND_BOOL)
        json_set(o, "default", json_new_bool(f->def != 0));
    else if (f->kind == FIELD_KIND_I64)
        json_set(o, "default", json_new_i64((int64_t)f->def));
    else if (f->kind == FIELD_KIND_F64)
        json_set(o, "default", json_new_f64(f->def));
    else if (f->kind == FIELD_KIND_STRING && f->def_text)
        json_set(o, "default", json_new_string(f->def_text));
}

static void set_items(struct json *o, const struct field *f)
{
    struct json *item = f->item == FIELD_KIND_OBJECT ? schema_object(f->fields) : json_new_object();
    if (f->item != FIELD_KIND_OBJECT && item)
        json_set(item, "type", json_new_string(type_of(f->item)));
    json_set(o, f->kind == FIELD_KIND_LIST ? "items" : "additionalProperties", item);
}

/* Values by path: what a path may be and what its values are is in the table that it leads into, hence the names. */
static void set_axes(struct json *o, const struct field *f)
{
    struct json *names = json_new_array(), *value = json_new_object();
    for (const struct field *i = f->into; i->name; i++)
        json_push(names, json_new_string(i->name));
    json_set(o, "x-paths", names);
    if (f->kind == FIELD_KIND_SPACE) {
        struct json *types = json_new_array();
        json_push(types, json_new_string("array"));
        json_push(types, json_new_string("object"));
        json_set(value, "type", types);
        json_set(value, "description", json_new_string("values to try, or a range {low, high, step, log}"));
    }
    json_set(o, "additionalProperties", value);
}

static struct json *schema_of(const struct field *f)
{
    bool or_null = (f->kind == FIELD_KIND_F64 && (f->nullable || isnan(f->def))) ||
                   (f->kind == FIELD_KIND_STRING && !f->required) || (f->kind == FIELD_KIND_OBJECT && f->nullable);
    struct json *o = f->kind == FIELD_KIND_OBJECT ? schema_object(f->fields) : json_new_object();
    if (!o)
        return NULL;
    json_set(o, "type", typed(type_of(f->kind), or_null));
    if (f->doc)
        json_set(o, "description", json_new_string(f->doc));
    if (f->unit)
        json_set(o, "x-unit", json_new_string(f->unit));
    switch (f->kind) {
    case FIELD_KIND_I64:
    case FIELD_KIND_F64: set_bounds(o, f, "minimum", "maximum"); break;
    case FIELD_KIND_STRING: set_bounds(o, f, "minLength", "maxLength"); break;
    case FIELD_KIND_ENUM: set_enum(o, f); break;
    case FIELD_KIND_LIST:
        set_bounds(o, f, "minItems", "maxItems");
        set_items(o, f);
        break;
    case FIELD_KIND_MAP:
        set_bounds(o, f, "minProperties", "maxProperties");
        set_items(o, f);
        break;
    case FIELD_KIND_SPACE:
    case FIELD_KIND_POINT:
        set_bounds(o, f, "minProperties", "maxProperties");
        set_axes(o, f);
        break;
    default: break;
    }
    set_default(o, f);
    return o;
}

static struct json *schema_object(const struct field *table)
{
    struct json *o = json_new_object(), *properties = json_new_object(), *required = json_new_array();
    for (const struct field *f = table; f->name && properties; f++) {
        json_set(properties, f->name, schema_of(f));
        if (f->required)
            json_push(required, json_new_string(f->name));
    }
    json_set(o, "type", json_new_string("object"));
    json_set(o, "additionalProperties", json_new_bool(false));
    json_set(o, "properties", properties);
    json_set(o, "required", required);
    return o;
}

struct json *json_schema_fields(const struct field *table)
{
    struct json *o = schema_object(table);
    json_set(o, "$schema", json_new_string("https://json-schema.org/draft/2020-12/schema"));
    return o;
}
