/* server/json/document.c
 *
 * JSON for core, which has none: a document as core/interchange.h wants it, and the task of the child that reads other
 * people's models. */
#include "server/json/document.h"

#include "server/json/json.h"

#include <string.h>

enum { DEPTH_MAX = 64 };

struct filling {
    struct arena *a;
    const struct document **end; /* where the next item goes */
    int depth;
    enum status status;
    struct error *e;
};

static void add_item(void *ctx, const char *key, const struct json *value);

static const char *copy(struct filling *f, const char *text)
{
    const char *t = text ? arena_strdup(f->a, text) : NULL;
    if (text && !t)
        f->status = error_set(f->e, STATUS_NOMEM, "no memory for a JSON document");
    return t;
}

static void fill(struct filling *f, struct document *d, const struct json *value)
{
    struct filling inner = {f->a, &d->first, f->depth + 1, STATUS_OK, f->e};
    switch (json_type_of(value)) {
    case JSON_NULL_:
        d->kind = DOCUMENT_NULL;
        break;
    case JSON_BOOL_:
        d->kind = DOCUMENT_BOOL, d->number = json_bool(value, false);
        break;
    case JSON_I64_:
    case JSON_F64_:
        d->kind = DOCUMENT_NUMBER, d->number = json_num(value, 0);
        break;
    case JSON_STRING_:
        d->kind = DOCUMENT_TEXT, d->text = copy(f, json_str(value, ""));
        break;
    case JSON_ARRAY_:
        d->kind = DOCUMENT_LIST;
        for (size_t i = 0; i < json_count(value) && inner.status == STATUS_OK; i++)
            add_item(&inner, NULL, json_at(value, i));
        break;
    case JSON_OBJECT_:
        d->kind = DOCUMENT_OBJECT;
        json_each(value, add_item, &inner);
        break;
    }
    if (inner.status != STATUS_OK)
        f->status = inner.status;
}

static void add_item(void *ctx, const char *key, const struct json *value)
{
    struct filling *f = ctx;
    struct document *d = f->status == STATUS_OK ? ARENA_NEW(f->a, struct document, 1) : NULL;
    if (f->status == STATUS_OK && f->depth > DEPTH_MAX)
        f->status = error_set(f->e, STATUS_FORMAT, "JSON: nested deeper than %d", DEPTH_MAX);
    else if (f->status == STATUS_OK && !d)
        f->status = error_set(f->e, STATUS_NOMEM, "no memory for a JSON document");
    if (f->status != STATUS_OK)
        return;
    d->name = copy(f, key);
    fill(f, d, value);
    *f->end = d;
    f->end = &d->next;
}

enum status document_parse(struct arena *a, struct span json, const struct document **out, struct error *e)
{
    struct json *v;
    *out = NULL;
    TRY(json_parse(json.data, json.len, &v, e));
    struct filling f = {a, out, 0, STATUS_OK, e};
    add_item(&f, NULL, v);
    json_free(v);
    return f.status;
}

/* ---- the child's task -------------------------------------------------------------------------------------------- */

/* The parser's table of names is seeded at the first object: now, while that may be read from the system. */
static enum status prepare(struct error *e)
{
    struct json *v;
    TRY(json_parse("{\"a\":1}", 7, &v, e));
    json_free(v);
    return model_import_prepare(e);
}

static enum status run(const struct span *parts, size_t n_parts, struct buf *out, struct error *e)
{
    return model_import_run(document_parse, parts, n_parts, out, e);
}

/* HDF5 looks whether there is a file before it takes the image in memory. */
static const struct sandbox_task import_task = {MODEL_IMPORT_TASK, prepare, run, .files_absent = true};
const struct sandbox_task *const sandboxed_tasks[] = {&import_task, NULL};
