/* server/json/fields.c
 *
 * Field tables from JSON: the one place where a request's parameters become a struct.  Decoding gathers every problem
 * with its pointer, for a person who would rather fix a spec once than twenty times.  The way back is encode.c. */
#include "server/json/json_private.h"
#include "server/json/problems.h"

#include <math.h>
#include <string.h>

struct decoder {
    struct arena *a;
    struct json_problems *problems;
    size_t n_found;                               /* problems, also those past the maximum */
    struct json_problem first;
    bool no_memory;
};

static void problem(struct decoder *d, const char *pointer, const char *code, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void problem(struct decoder *d, const char *pointer, const char *code, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (d->n_found++ == 0) {
        text_copy(d->first.pointer, sizeof d->first.pointer, pointer);
        text_copy(d->first.detail, sizeof d->first.detail, text);
    }
    json_problem_add(d->problems, pointer, code, "%s", text);
}

static void wrong_type(struct decoder *d, const char *pointer, const char *wanted, const json_t *v)
{
    problem(d, pointer, "type", "must be %s, not %s", wanted, json_type_name(json_type_of(wrap((json_t *)(uintptr_t)v))));
}

/* ---- decoding: numbers and text --------------------------------------------------------------------------------- */

/* Bounds as core/base.h defines them: none when both are 0, no maximum when it is below the minimum. */
static bool has_minimum(const struct field *f) { return f->min != 0 || f->max != 0; }
static bool has_maximum(const struct field *f) { return has_minimum(f) && f->max >= f->min; }

static bool within(const struct field *f, double value)
{
    return !(has_minimum(f) && value < f->min) && !(has_maximum(f) && value > f->max);
}

static void out_of_bounds(struct decoder *d, const struct field *f, const char *pointer, const char *code,
                          const char *what, double value, const char *unit)
{
    const char *gap = unit && *unit ? " " : "";
    unit = unit ? unit : "";
    if (has_maximum(f))
        problem(d, pointer, code, "%s%.15g is not within %.15g to %.15g%s%s", what, value, f->min, f->max, gap, unit);
    else
        problem(d, pointer, code, "%s%.15g is below the minimum %.15g%s%s", what, value, f->min, gap, unit);
}

static void decode_i64(struct decoder *d, const struct field *f, bool item, const json_t *v, const char *pointer,
                       int64_t *to)
{
    double real = json_number_value(v);
    if (json_is_integer(v))
        *to = json_integer_value(v);
    else if (json_is_real(v) && real == floor(real) && fabs(real) <= 9007199254740992.0)       /* 2^53: exact */
        *to = (int64_t)real;
    else
        return wrong_type(d, pointer, "an integer", v);
    if (!item && (double)*to != f->def && !within(f, (double)*to))
        out_of_bounds(d, f, pointer, "out_of_range", "", (double)*to, f->unit);
}

static void decode_f64(struct decoder *d, const struct field *f, bool item, const json_t *v, const char *pointer,
                       double *to)
{
    if (json_is_null(v) && !item && (f->nullable || isnan(f->def))) {
        *to = NAN;
        return;
    }
    if (!json_is_number(v))
        return wrong_type(d, pointer, "a number", v);
    *to = json_number_value(v);
    if (!item && *to != f->def && !within(f, *to))
        out_of_bounds(d, f, pointer, "out_of_range", "", *to, f->unit);
}

static void decode_string(struct decoder *d, const struct field *f, bool item, const json_t *v, const char *pointer,
                          const char **to)
{
    if (json_is_null(v) && !item && !f->required)
        return;
    if (!json_is_string(v))
        return wrong_type(d, pointer, "a string", v);
    const char *s = json_string_value(v);
    size_t len = json_string_length(v);
    bool is_default = f->def_text && strcmp(s, f->def_text) == 0;
    if (!text_is_clean(s, len))
        return problem(d, pointer, "text", "must not have control characters");
    if (!item && !is_default && !within(f, (double)len))
        return out_of_bounds(d, f, pointer, "length", "length ", (double)len, "bytes");
    *to = arena_strndup(d->a, s, len);
    d->no_memory |= !*to;
}

static void decode_enum(struct decoder *d, const struct field *f, const json_t *v, const char *pointer, int *to)
{
    if (!json_is_string(v))
        return wrong_type(d, pointer, "a string", v);
    const char *given = json_string_value(v);
    struct json_nearest nearest = {NULL, 0};
    char all[200] = "";
    for (int i = 0; f->choices[i]; i++) {
        if (strcmp(f->choices[i], given) == 0) {
            *to = i;
            return;
        }
        json_nearest_offer(&nearest, given, f->choices[i]);
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", f->choices[i]);
    }
    if (nearest.name)
        problem(d, pointer, "choice", "\"%.60s\" is none of %s; did you mean \"%s\"?", given, all, nearest.name);
    else
        problem(d, pointer, "choice", "\"%.60s\" is none of %s", given, all);
}

/* ---- decoding: objects and lists ---------------------------------------------------------------------------------- */

static void decode_object(struct decoder *d, const struct field *table, const json_t *v, const char *pointer, void *to);

static void decode_scalar(struct decoder *d, const struct field *f, enum field_kind kind, bool item, const json_t *v,
                          const char *pointer, void *to)
{
    switch (kind) {
    case FIELD_KIND_BOOL:
        if (!json_is_boolean(v))
            return wrong_type(d, pointer, "true or false", v);
        *(bool *)to = json_is_true(v);
        return;
    case FIELD_KIND_I64: return decode_i64(d, f, item, v, pointer, to);
    case FIELD_KIND_F64: return decode_f64(d, f, item, v, pointer, to);
    case FIELD_KIND_STRING: return decode_string(d, f, item, v, pointer, to);
    case FIELD_KIND_ENUM: return decode_enum(d, f, v, pointer, to);
    case FIELD_KIND_OBJECT:
        if (json_is_null(v) && !item && f->nullable)
            return;
        return decode_object(d, f->fields, v, pointer, to);
    default: check(!"field table with a list of lists");
    }
}

/* Room for n items, or NULL with no_memory set. */
static void *list_room(struct decoder *d, const struct field *f, size_t n, const char *pointer, struct field_list *to)
{
    if (!(n == 0 && !f->required) && !within(f, (double)n)) {
        out_of_bounds(d, f, pointer, "length", "count ", (double)n, "items");
        return NULL;
    }
    if (n == 0)
        return NULL;
    void *items = arena_alloc(d->a, n, f->item_size);
    d->no_memory |= !items;
    if (items)
        *to = (struct field_list){items, n};
    return items;
}

static void decode_list(struct decoder *d, const struct field *f, const json_t *v, const char *pointer,
                        struct field_list *to)
{
    if (!json_is_array(v))
        return wrong_type(d, pointer, "an array", v);
    char *items = list_room(d, f, json_array_size(v), pointer, to);
    for (size_t i = 0; items && i < json_array_size(v) && !d->no_memory; i++) {
        char where[160], index[24];
        snprintf(index, sizeof index, "%zu", i);
        json_pointer_child(where, pointer, index);
        decode_scalar(d, f, f->item, true, json_array_get(v, i), where, items + i * f->item_size);
    }
}

static void decode_map(struct decoder *d, const struct field *f, json_t *v, const char *pointer, struct field_list *to)
{
    if (!json_is_object(v))
        return wrong_type(d, pointer, "an object", v);
    struct field_pair *pair = list_room(d, f, json_object_size(v), pointer, to);
    if (!pair)
        return;
    for (void *i = json_object_iter(v); i && !d->no_memory; i = json_object_iter_next(v, i), pair++) {
        const char *key = json_object_iter_key(i);
        char where[160];
        json_pointer_child(where, pointer, key);
        if (!*key || !text_is_clean(key, strlen(key)))
            problem(d, where, "text", "a name must be neither empty nor have control characters");
        pair->name = arena_strdup(d->a, key);
        d->no_memory |= !pair->name;
        if (json_is_number(json_object_iter_value(i)))
            pair->value = json_number_value(json_object_iter_value(i));
        else
            wrong_type(d, where, "a number", json_object_iter_value(i));
    }
}

/* ---- decoding: values for members of another table ------------------------------------------------------------------ */

/* One value of the member that `leaf` describes, as its text; NULL when it is none. */
static const char *decode_value(struct decoder *d, const struct field *leaf, const json_t *v, const char *pointer)
{
    struct field_slot slot = {{0}};
    struct buf text;
    struct error e;
    size_t found = d->n_found;
    const char *copy = NULL;
    if (leaf->kind == FIELD_KIND_LIST)
        decode_list(d, leaf, v, pointer, (struct field_list *)(void *)&slot);
    else
        decode_scalar(d, leaf, leaf->kind, false, v, pointer, &slot);
    if (d->no_memory || d->n_found > found)
        return NULL;
    buf_init(&text, VALUE_TEXT_MAX);
    if (field_value_write(leaf, &slot, &text, &e) == STATUS_OK)
        d->no_memory |= !(copy = arena_strndup(d->a, text.len ? (const char *)text.data : "", text.len));
    else
        problem(d, pointer, "length", "%s", e.text);
    buf_fini(&text);
    return copy;
}

static void decode_choices(struct decoder *d, const struct field *leaf, const json_t *v, const char *pointer,
                           struct field_axis *axis)
{
    size_t n = json_array_size(v);
    const char **texts = n ? ARENA_NEW(d->a, const char *, n) : NULL;
    if (n == 0)
        return problem(d, pointer, "length", "needs at least one value");
    d->no_memory |= !texts;
    for (size_t i = 0; i < n && !d->no_memory; i++) {
        char where[160], index[24];
        snprintf(index, sizeof index, "%zu", i);
        json_pointer_child(where, pointer, index);
        texts[i] = decode_value(d, leaf, json_array_get(v, i), where);
        for (size_t k = 0; texts[i] && k < i; k++)
            if (texts[k] && strcmp(texts[i], texts[k]) == 0)
                problem(d, where, "duplicate", "is the same as value %zu", k);
    }
    axis->values = (struct field_list){texts, n};
}

static void decode_range(struct decoder *d, const struct field *leaf, const json_t *v, const char *pointer,
                         struct field_axis *axis)
{
    const double *numbers[] = {&axis->low, &axis->high, &axis->step};
    size_t found = d->n_found;
    bool whole = leaf->kind == FIELD_KIND_I64;
    if (!whole && leaf->kind != FIELD_KIND_F64)
        return problem(d, pointer, "type", "only a number can have a range: give an array of values");
    decode_object(d, json_range_fields, v, pointer, axis);
    for (size_t i = 0; i < ARRAY_LEN(numbers) && d->n_found == found; i++) {
        char where[160];
        json_pointer_child(where, pointer, json_range_fields[i].name);
        if (whole && *numbers[i] != floor(*numbers[i]) && !(i == 2 && axis->log))
            problem(d, where, "type", "must be an integer, not %.15g", *numbers[i]);
        else if (i < 2 && !within(leaf, *numbers[i]))
            out_of_bounds(d, leaf, where, "out_of_range", "", *numbers[i], leaf->unit);
    }
    if (d->n_found > found)
        return;
    if (axis->low > axis->high)
        problem(d, pointer, "out_of_range", "low %.15g is above high %.15g", axis->low, axis->high);
    else if (axis->log && axis->low <= 0)
        problem(d, pointer, "out_of_range", "a logarithmic range begins above 0, not at %.15g", axis->low);
    else if (axis->log && axis->step != 0 && axis->step <= 1)
        problem(d, pointer, "out_of_range", "the step of a logarithmic range is a factor above 1, not %.15g", axis->step);
}

static void unknown_path(struct decoder *d, const struct field *f, const char *key, const char *where,
                         const struct error *e)
{
    struct json_nearest nearest = {NULL, 0};
    for (const struct field *i = f->into; i->name; i++)
        json_nearest_offer(&nearest, key, i->name);
    const char *code = e->status == STATUS_NOTFOUND ? "unknown_member" : "type";
    if (nearest.name)
        problem(d, where, code, "%s; did you mean \"%s\"?", e->text, nearest.name);
    else
        problem(d, where, code, "%s", e->text);
}

static void decode_axes(struct decoder *d, const struct field *f, json_t *v, const char *pointer, struct field_list *to)
{
    if (!json_is_object(v))
        return wrong_type(d, pointer, "an object", v);
    struct field_axis *axis = list_room(d, f, json_object_size(v), pointer, to);
    if (!axis)
        return;
    for (void *i = json_object_iter(v); i && !d->no_memory; i = json_object_iter_next(v, i), axis++) {
        json_t *given = json_object_iter_value(i);
        struct field leaf;
        struct error e;
        char where[160];
        json_pointer_child(where, pointer, json_object_iter_key(i));
        if (field_path_find(f->into, json_object_iter_key(i), &leaf, &e) != STATUS_OK) {
            unknown_path(d, f, json_object_iter_key(i), where, &e);
            continue;
        }
        const char **one = f->kind == FIELD_KIND_POINT ? ARENA_NEW(d->a, const char *, 1) : NULL;
        if (one) {
            *one = decode_value(d, &leaf, given, where);
            axis->values = (struct field_list){one, 1};
        } else if (f->kind == FIELD_KIND_POINT) {
            d->no_memory = true;
        } else if (json_is_array(given)) {
            decode_choices(d, &leaf, given, where, axis);
        } else if (json_is_object(given)) {
            decode_range(d, &leaf, given, where, axis);
        } else {
            wrong_type(d, where, "an array of values or a range {low, high}", given);
        }
        axis->path = arena_strdup(d->a, json_object_iter_key(i));
        d->no_memory |= !axis->path;
    }
}

static void decode_members(struct decoder *d, const struct field *table, json_t *v, const char *pointer)
{
    for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i)) {
        const char *key = json_object_iter_key(i);
        if (field_find(table, key))
            continue;
        struct json_nearest nearest = {NULL, 0};
        for (const struct field *f = table; f->name; f++)
            json_nearest_offer(&nearest, key, f->name);
        char where[160];
        json_pointer_child(where, pointer, key);
        if (d->n_found++ == 0) {
            text_copy(d->first.pointer, sizeof d->first.pointer, where);
            text_copy(d->first.detail, sizeof d->first.detail, "there is no such member");
        }
        json_problem_unknown(d->problems, where, key, nearest.name);
    }
}

static void decode_object(struct decoder *d, const struct field *table, const json_t *v, const char *pointer, void *to)
{
    field_defaults(table, to);
    if (!json_is_object(v))
        return wrong_type(d, pointer, "an object", v);
    decode_members(d, table, (json_t *)(uintptr_t)v, pointer);
    for (const struct field *f = table; f->name && !d->no_memory; f++) {
        json_t *member = json_object_get(v, f->name);
        void *at = (char *)to + f->offset;
        char where[160];
        json_pointer_child(where, pointer, f->name);
        if (!member && f->required)
            problem(d, where, "required", "is required");
        if (!member)
            continue;
        if (f->kind == FIELD_KIND_LIST)
            decode_list(d, f, member, where, at);
        else if (f->kind == FIELD_KIND_MAP)
            decode_map(d, f, member, where, at);
        else if (f->kind == FIELD_KIND_SPACE || f->kind == FIELD_KIND_POINT)
            decode_axes(d, f, member, where, at);
        else
            decode_scalar(d, f, f->kind, false, member, where, at);
    }
}

enum status json_decode_fields(struct arena *a, const struct field *table, const struct json *value, const char *pointer,
                               void *object, struct json_problems *problems, struct error *e)
{
    struct decoder d = {.a = a, .problems = problems};
    decode_object(&d, table, raw(value), pointer, object);
    if (d.no_memory)
        return error_set(e, STATUS_NOMEM, "no memory for the parameters");
    if (d.n_found == 0)
        return STATUS_OK;
    if (d.n_found == 1)
        return error_set(e, STATUS_ARGUMENT, "%s: %s", d.first.pointer, d.first.detail);
    return error_set(e, STATUS_ARGUMENT, "%zu problems, the first at %s: %s", d.n_found, d.first.pointer, d.first.detail);
}
