/* server/handlers/facts.c: see facts.h. */
#include "server/handlers/facts.h"

#include "core/work.h"
#include "server/handlers/handlers.h"
#include "server/store/data.h"

#include <string.h>
#include <unistd.h>

static void add_input(struct json *v, const char *id)
{
    if (id && *id)
        json_push((struct json *)(uintptr_t)json_get(v, "inputs"), json_new_string(id));
}

static struct json *counts_to_json(const struct field_list *counts)
{
    struct json *v = json_new_array();
    const struct class_count *c = counts->items;
    for (size_t i = 0; i < counts->n_items; i++)
        json_push(v, json_encode_fields(class_count_fields, &c[i]));
    return v;
}

static struct json *strings_to_json(const struct field_list *list)
{
    struct json *v = json_new_array();
    for (size_t i = 0; i < list->n_items; i++)
        json_push(v, json_new_string(((const char *const *)list->items)[i]));
    return v;
}

static enum status say_dataset(const struct artifact_row *row, struct arena *a, struct json *v, struct error *e)
{
    struct dataset *d;
    (void)a;
    TRY(dataset_open(row->folder, &d, e));
    const struct manifest *m = dataset_manifest(d);
    add_input(v, m->parent_id);
    json_set(v, "dataset_kind", json_new_string(dataset_kind_names[m->kind]));
    json_set(v, "parent_id", json_new_string(m->parent_id));
    json_set(v, "recipe", json_new_string(m->recipe));
    json_set(v, "split", json_new_string(m->split));
    json_set(v, "sibling_id", json_new_string(m->sibling_id));
    json_set(v, "rows", json_new_i64(m->rows));
    json_set(v, "bytes", json_new_i64(m->bytes));
    json_set(v, "n_files", json_new_i64((int64_t)m->sources.n_items));
    json_set(v, "n_skipped_files", json_new_i64((int64_t)m->skipped_files.n_items));
    json_set(v, "has_rows", json_new_bool(m->has_rows));
    json_set(v, "scaled", json_new_bool(m->scaled));
    json_set(v, "classes", strings_to_json(&m->classes));
    json_set(v, "class_counts", counts_to_json(&m->class_counts));
    json_set(v, "content_sha256", json_new_string(m->content_sha256));
    dataset_close(d);
    return STATUS_OK;
}

static enum status say_model(const struct artifact_row *row, struct arena *a, struct json *v, struct error *e)
{
    struct model *m;
    const char *path = arena_printf(a, "%s/%s", row->folder, MODEL_FILE);
    if (!path)
        return error_set(e, STATUS_NOMEM, "model");
    TRY(model_load(path, &m, e));
    const struct model_header *h = model_header(m);
    add_input(v, h->dataset_id);
    json_set(v, "dataset_id", json_new_string(h->dataset_id));
    json_set(v, "estimator", json_new_string(h->estimator));
    json_set(v, "recipe", json_new_string(h->recipe));
    json_set(v, "classes", strings_to_json(&h->classes));
    model_release(m);
    return STATUS_OK;
}

static enum status say_evaluation(const struct artifact_row *row, struct arena *a, struct json *v, struct error *e)
{
    struct evaluation_record record;
    TRY(evaluation_read(a, row->folder, &record, e));
    add_input(v, record.dataset_id);
    json_set(v, "dataset_id", json_new_string(record.dataset_id));
    json_set(v, "model_version", json_new_string(record.model_version));
    return STATUS_OK;
}

static enum status say_export(const struct artifact_row *row, struct arena *a, struct json *v, struct error *e)
{
    struct export_record x;
    TRY(export_read(a, row->folder, &x, e));
    add_input(v, x.dataset_id);
    json_set(v, "dataset_id", json_new_string(x.dataset_id));
    json_set(v, "format", json_new_string(export_format_names[x.format]));
    json_set(v, "layout", json_new_string(export_layout_names[x.layout]));
    json_set(v, "what", json_new_string(export_what_names[x.what]));
    json_set(v, "rows", json_new_i64(x.rows));
    json_set(v, "bytes", json_new_i64(x.bytes));
    json_set(v, "n_files", json_new_i64((int64_t)x.files.n_items));
    return STATUS_OK;
}

static enum status say_study(const struct artifact_row *row, struct arena *a, struct json *v, struct error *e)
{
    struct study_record x;
    struct arena own;                  /* its table of trials is not wanted here */
    (void)a;
    arena_init(&own, (size_t)512 << 20);
    enum status s = study_read(&own, row->folder, &x, e);
    if (s == STATUS_OK) {
        add_input(v, x.dataset_id);
        json_set(v, "dataset_id", json_new_string(x.dataset_id));
        json_set(v, "estimator", json_new_string(x.model));
        json_set(v, "search", json_new_string(x.search));
        json_set(v, "n_trials", json_new_i64(x.n_trials));
        json_set(v, "folds", json_new_i64(x.folds));
        json_set(v, "best_trial", json_new_i64(x.best_trial));
        json_set(v, "best_value", json_new_f64(x.best_value));
    }
    arena_fini(&own);
    return s;
}

static const struct {
    const char *kind, *file;           /* without this file the artifact is not readable */
    enum status (*say)(const struct artifact_row *row, struct arena *a, struct json *v, struct error *e);
} kinds[] = {
    {"dataset", MANIFEST_FILE, say_dataset},
    {"model", MODEL_FILE, say_model},
    {"evaluation", EVALUATION_FILE, say_evaluation},
    {"export", EXPORT_FILE, say_export},
    {"study", STUDY_FILE, say_study},
};

static enum status read_facts(struct store *s, struct arena *a, const struct artifact_row *row, size_t kind,
                              struct json **out, struct error *e)
{
    struct buf text;
    struct json *v = json_new_object();
    json_set(v, "inputs", json_new_array());
    enum status status = v ? kinds[kind].say(row, a, v, e) : error_set(e, STATUS_NOMEM, "facts");
    if (status != STATUS_OK) {
        json_free(v);
        return status == STATUS_NOMEM ? status : STATUS_OK;
    }
    buf_init(&text, 1 << 20);
    status = json_write(v, &text, e);
    if (status == STATUS_OK)
        status = buf_append(&text, "", 1, e);
    if (status == STATUS_OK && store_facts_set(s, row->id, (const char *)text.data, e) != STATUS_OK)
        log_line(LOG_WARN, "facts of %s %s: %s", row->kind, row->id, e->text);
    buf_fini(&text);
    if (status == STATUS_OK)
        *out = v;
    else
        json_free(v);
    return status;
}

enum status artifact_facts(struct store *s, struct arena *a, const struct artifact_row *row, struct json **out,
                           struct error *e)
{
    const char *text;
    size_t kind = 0;
    *out = NULL;
    while (kind < ARRAY_LEN(kinds) && strcmp(kinds[kind].kind, row->kind) != 0)
        kind++;
    if (kind == ARRAY_LEN(kinds))
        return STATUS_OK;
    const char *path = arena_printf(a, "%s/%s", row->folder, kinds[kind].file);
    if (!path)
        return error_set(e, STATUS_NOMEM, "facts");
    if (access(path, R_OK) != 0)
        return STATUS_OK;
    TRY(store_facts_get(s, a, row->id, &text, e));
    return text ? json_parse(text, strlen(text), out, e) : read_facts(s, a, row, kind, out, e);
}

void respond_artifacts_with_facts(struct app *app, struct request *q, struct response *r, const char *kind)
{
    struct page page;
    struct artifact_row *rows;
    struct error e;
    size_t n;
    if (!page_read(q, r, &page))
        return;
    enum status s = store_artifacts_list(app->store, &q->arena, kind, request_query(q, "name"), page.before, page.limit + 1,
                                         &rows, &n, &e);
    bool more = s == STATUS_OK && n > page.limit;
    struct json *items = json_new_array();
    for (size_t i = 0; s == STATUS_OK && i < (more ? page.limit : n); i++) {
        struct json *facts, *v = artifact_to_json(&rows[i]);
        s = artifact_facts(app->store, &q->arena, &rows[i], &facts, &e);
        json_set(v, "readable", json_new_bool(s == STATUS_OK && facts));
        if (s == STATUS_OK && facts)
            json_merge(v, facts);
        json_push(items, v);
    }
    if (s == STATUS_OK) {
        respond_page(q, r, &page, items, more ? rows[page.limit - 1].id : NULL);
    } else {
        json_free(items);
        respond_error(q, r, &e);
    }
}
