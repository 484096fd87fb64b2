/* server/jobs/references.c
 *
 * References to results of earlier steps: found in a spec, and replaced when the step starts. */
#include "server/jobs/references.h"

#include <string.h>

enum { DEPTH_MAX = 64 };                          /* deeper than any field table */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static size_t name_len(const char *s)
{
    size_t n = 0;
    while (is_name_char(s[n]))
        n++;
    return n;
}

bool reference_parse(const char *text, char step[STEP_NAME_MAX + 1], char member[REFERENCE_MEMBER_MAX + 1])
{
    if (text[0] != '$')
        return false;
    size_t n_step = name_len(text + 1);
    const char *rest = text + 1 + n_step;
    size_t n_member = *rest == '.' ? name_len(rest + 1) : 0;
    if (n_step == 0 || n_step > STEP_NAME_MAX || n_member == 0 || n_member > REFERENCE_MEMBER_MAX || rest[1 + n_member])
        return false;
    memcpy(step, text + 1, n_step);
    step[n_step] = '\0';
    memcpy(member, rest + 1, n_member);
    member[n_member] = '\0';
    return true;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

struct visitor {
    void (*fn)(void *ctx, const char *pointer, const char *step, const char *member);
    void *ctx;
    const char *pointer;
    size_t depth;
};

static void visit(const struct visitor *v, const struct json *value);

static void visit_member(void *ctx, const char *key, const struct json *value)
{
    const struct visitor *up = ctx;
    char pointer[160];
    json_pointer_child(pointer, up->pointer, key);
    struct visitor inner = {up->fn, up->ctx, pointer, up->depth + 1};
    visit(&inner, value);
}

static void visit(const struct visitor *v, const struct json *value)
{
    char step[STEP_NAME_MAX + 1], member[REFERENCE_MEMBER_MAX + 1], index[24];
    void *self = (void *)(uintptr_t)v;
    if (v->depth > DEPTH_MAX)
        return;
    switch (json_type_of(value)) {
    case JSON_STRING_:
        if (reference_parse(json_str(value, ""), step, member))
            v->fn(v->ctx, v->pointer, step, member);
        break;
    case JSON_OBJECT_: json_each(value, visit_member, self); break;
    case JSON_ARRAY_:
        for (size_t i = 0; i < json_count(value); i++) {
            snprintf(index, sizeof index, "%zu", i);
            visit_member(self, index, json_at(value, i));
        }
        break;
    default: break;
    }
}

void references_visit(const struct json *value, const char *pointer,
                      void (*fn)(void *ctx, const char *pointer, const char *step, const char *member), void *ctx)
{
    struct visitor v = {fn, ctx, pointer, 0};
    visit(&v, value);
}

/* ---- replacing --------------------------------------------------------------------------------------------------- */

struct resolver {
    struct jobs *jobs;
    struct arena *a;
    const char *pipeline_id;
    struct error *e;
    enum status status;                           /* of the first that failed */
    size_t depth;
    struct json *object;                          /* being built */
};

static struct json *resolved(struct resolver *r, const struct json *value);

/* The value that a reference stands for, or NULL with r->status set. */
static struct json *looked_up(struct resolver *r, const char *step, const char *member)
{
    const char *kind, *text;
    struct json *result;
    r->status = store_step_result(r->jobs->store, r->a, r->pipeline_id, step, &kind, &text, r->e);
    if (r->status == STATUS_OK)
        r->status = json_parse(text, strlen(text), &result, r->e);
    if (r->status != STATUS_OK)
        return NULL;
    const struct json *value = json_get(result, member);
    if (!value)
        r->status = error_set(r->e, STATUS_ARGUMENT, "the result of step %s (%s) has no member \"%s\"", step, kind, member);
    struct json *copy = value ? json_new_copy(value) : NULL;
    json_free(result);
    return copy;
}

static void resolve_member(void *ctx, const char *key, const struct json *value)
{
    struct resolver *r = ctx;
    struct json *object = r->object;              /* `resolved` builds others meanwhile */
    json_set(object, key, resolved(r, value));
    r->object = object;
}

static struct json *resolved(struct resolver *r, const struct json *value)
{
    char step[STEP_NAME_MAX + 1], member[REFERENCE_MEMBER_MAX + 1];
    if (r->status != STATUS_OK || r->depth > DEPTH_MAX)
        return json_new_copy(value);
    enum json_type type = json_type_of(value);
    if (type == JSON_STRING_ && reference_parse(json_str(value, ""), step, member))
        return looked_up(r, step, member);
    if (type != JSON_OBJECT_ && type != JSON_ARRAY_)
        return json_new_copy(value);
    struct json *v = type == JSON_OBJECT_ ? json_new_object() : json_new_array();
    r->depth++;
    if (v && type == JSON_OBJECT_) {
        r->object = v;
        json_each(value, resolve_member, r);
    }
    for (size_t i = 0; v && type == JSON_ARRAY_ && i < json_count(value); i++)
        json_push(v, resolved(r, json_at(value, i)));
    r->depth--;
    return v;
}

enum status references_resolve(struct jobs *j, struct arena *a, const char *pipeline_id, struct json **spec,
                               struct error *e)
{
    struct resolver r = {.jobs = j, .a = a, .pipeline_id = pipeline_id, .e = e};
    struct json *v = resolved(&r, *spec);
    if (r.status == STATUS_OK && !v)
        r.status = error_set(e, STATUS_NOMEM, "no memory for a spec");
    if (r.status != STATUS_OK) {
        json_free(v);
        return r.status;
    }
    json_free(*spec);
    *spec = v;
    return STATUS_OK;
}
