/* server/trigger/menu_diff.c
 *
 * What two revisions of a menu say differently.  Members are compared by name, paths by the name of the path wherever
 * they stand, other lists place by place. */
#include <string.h>

#include "server/trigger/menu.h"

enum { DIFF_DEPTH_MAX = 16 };

struct diff {
    struct json *out;
    int depth;
};

static void compare(struct diff *d, const char *pointer, const struct json *from, const struct json *to);

static void differs(struct diff *d, const char *pointer, const struct json *from, const struct json *to)
{
    struct json *v = json_new_object();
    (void)json_set(v, "pointer", json_new_string(pointer));
    (void)json_set(v, "from", from ? json_new_copy(from) : json_new_null());
    (void)json_set(v, "to", to ? json_new_copy(to) : json_new_null());
    (void)json_push(d->out, v);
}

/* ---- objects --------------------------------------------------------------------------------------------- */

struct members {
    struct diff *d;
    const char *pointer;
    const struct json *other;
    bool is_to;                                   /* going through the new one: what the old one has was compared */
};

static void member(void *ctx, const char *key, const struct json *value)
{
    const struct members *m = ctx;
    const struct json *other = json_get(m->other, key);
    char pointer[160];
    json_pointer_child(pointer, m->pointer, key);
    if (m->is_to && !other)
        differs(m->d, pointer, NULL, value);
    else if (!m->is_to)
        compare(m->d, pointer, value, other);
}

static void objects(struct diff *d, const char *pointer, const struct json *from, const struct json *to)
{
    struct members old = {d, pointer, to, false}, new = {d, pointer, from, true};
    json_each(from, member, &old);
    json_each(to, member, &new);
}

/* ---- lists ----------------------------------------------------------------------------------------------- */

static const char *path_name(const struct json *v)
{
    return json_str(json_get(v, "path"), NULL);
}

/* The item of a list that names the same path as `item`; by place where items have no name. */
static const struct json *same_item(const struct json *list, const struct json *item, size_t i)
{
    const char *name = path_name(item);
    for (size_t k = 0; name && k < json_count(list); k++) {
        const char *other = path_name(json_at(list, k));
        if (other && strcmp(other, name) == 0)
            return json_at(list, k);
    }
    return name ? NULL : json_at(list, i);
}

static void lists(struct diff *d, const char *pointer, const struct json *from, const struct json *to)
{
    for (int pass = 0; pass < 2; pass++) {
        const struct json *list = pass ? to : from, *other = pass ? from : to;
        for (size_t i = 0; i < json_count(list); i++) {
            const struct json *item = json_at(list, i), *same = same_item(other, item, i);
            char number[24], child[160];
            snprintf(number, sizeof number, "%zu", i);
            json_pointer_child(child, pointer, path_name(item) ? path_name(item) : number);
            if (pass == 0)
                compare(d, child, item, same);
            else if (!same)
                differs(d, child, NULL, item);
        }
    }
}

/* ---- values ---------------------------------------------------------------------------------------------- */

static bool same_scalar(const struct json *a, const struct json *b)
{
    switch (json_type_of(a)) {
    case JSON_STRING_: return strcmp(json_str(a, ""), json_str(b, "")) == 0;
    case JSON_BOOL_:   return json_bool(a, false) == json_bool(b, false);
    case JSON_I64_:    return json_int(a, 0) == json_int(b, 0);
    case JSON_F64_:    return json_num(a, 0) == json_num(b, 0);
    default:           return true;
    }
}

static void compare(struct diff *d, const char *pointer, const struct json *from, const struct json *to)
{
    enum json_type type = json_type_of(from);
    if (!to || type != json_type_of(to) || d->depth == DIFF_DEPTH_MAX) {
        differs(d, pointer, from, to);
        return;
    }
    d->depth++;
    if (type == JSON_OBJECT_)
        objects(d, pointer, from, to);
    else if (type == JSON_ARRAY_)
        lists(d, pointer, from, to);
    else if (!same_scalar(from, to))
        differs(d, pointer, from, to);
    d->depth--;
}

enum status menu_diff(const struct json *from, const struct json *to, struct json **out, struct error *e)
{
    struct diff d = {.out = json_new_array()};
    compare(&d, "", from, to);
    *out = d.out;
    return d.out ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory to compare menus");
}
