/* server/handlers/oip.c
 *
 * Open Inference Protocol v2, all but infer: metadata, health, repository, statistics.  So that clients which speak to
 * Triton or KServe find what they look for. */
#include "server/handlers/oip.h"

#include <string.h>

bool oip_find(struct app *app, struct request *q, struct response *r, struct oip_model *out)
{
    struct error e;
    const char *version = q->params[1];
    const char *ref = version ? arena_printf(&q->arena, "%s@%s", q->params[0], version) : q->params[0];
    *out = (struct oip_model){0};
    if (strchr(q->params[0], '@') || (version && strchr(version, '@'))) {
        respond_problem(q, r, "not_found", NULL, "There is no model of that name.");
        return false;
    }
    enum status s = ref ? registry_get(app->registry, &q->arena, ref, &out->model, &out->ref, &e)
                        : error_set(&e, STATUS_NOMEM, "no memory for a model's name");
    const char *at = s == STATUS_OK ? strrchr(out->ref, '@') : NULL;
    if (at) {
        out->name = arena_strndup(&q->arena, out->ref, (size_t)(at - out->ref));
        out->version = at + 1;
        if (out->name)
            return true;
        s = error_set(&e, STATUS_NOMEM, "no memory for a model's name");
    }
    model_release(out->model);
    respond_error(q, r, &e);
    return false;
}

/* ---- server ---------------------------------------------------------------------------------------------------- */

void handle_oip_server(struct app *app, struct request *q, struct response *r)
{
    static const char *const extensions[] = {"binary_tensor_data", "model_repository", "statistics", "parameters"};
    struct json *v = json_new_object(), *list = json_new_array();
    (void)app;
    for (size_t i = 0; i < ARRAY_LEN(extensions); i++)
        json_push(list, json_new_string(extensions[i]));
    json_set(v, "name", json_new_string("dltrigger"));
    json_set(v, "version", json_new_string(DLT_VERSION));
    json_set(v, "extensions", list);
    respond_json(q, r, 200, v);
}

void handle_oip_live(struct app *app, struct request *q, struct response *r)
{
    struct json *v = json_new_object();
    (void)app;
    json_set(v, "live", json_new_bool(true));
    respond_json(q, r, 200, v);
}

void handle_oip_ready(struct app *app, struct request *q, struct response *r)
{
    if (!app->ready || app->draining) {
        respond_problem(q, r, app->draining ? "draining" : "busy", NULL, "Not ready.");
        return;
    }
    struct json *v = json_new_object();
    json_set(v, "ready", json_new_bool(true));
    respond_json(q, r, 200, v);
}

/* ---- a model --------------------------------------------------------------------------------------------------- */

static struct json *tensor(const char *name, const char *datatype, int64_t second, int64_t third)
{
    struct json *v = json_new_object(), *shape = json_new_array();
    json_push(shape, json_new_i64(-1));
    if (second)
        json_push(shape, json_new_i64(second));
    if (third)
        json_push(shape, json_new_i64(third));
    json_set(v, "name", json_new_string(name));
    json_set(v, "datatype", json_new_string(datatype));
    json_set(v, "shape", shape);
    return v;
}

static struct json *inputs_of(const struct model *m)
{
    struct json *list = json_new_array();
    if (model_input(m) != INPUT_SEQUENCE)
        json_push(list, tensor("hlf", "FP32", HLF_COUNT, 0));
    if (model_input(m) != INPUT_HLF)
        json_push(list, tensor("particles", "FP32", PARTICLE_ROWS_MAX, PARTICLE_COLUMNS));
    return list;
}

static struct json *outputs_of(const struct model *m)
{
    struct json *list = json_new_array();
    json_push(list, tensor("probabilities", "FP32", (int64_t)model_n_classes(m), 0));
    json_push(list, tensor("accept", "BOOL", 0, 0));
    json_push(list, tensor("path_bits", "UINT64", 0, 0));
    return list;
}

static struct json *versions_of(struct app *app, struct request *q, const char *name)
{
    struct artifact_row *rows;
    struct error e;
    size_t n;
    struct json *list = json_new_array();
    if (store_artifacts_list(app->store, &q->arena, "model", name, NULL, PAGE_LIMIT_MAX, &rows, &n, &e) != STATUS_OK)
        n = 0;
    for (size_t i = n; i-- > 0;)
        json_push(list, json_new_string(arena_printf(&q->arena, "%lld", (long long)rows[i].version)));
    return list;
}

void handle_oip_model(struct app *app, struct request *q, struct response *r)
{
    struct oip_model m;
    if (!oip_find(app, q, r, &m))
        return;
    struct json *v = json_new_object(), *classes = json_new_object();
    for (size_t i = 0; i < model_n_classes(m.model); i++)
        json_set(classes, arena_printf(&q->arena, "class_%zu", i), json_new_string(model_class(m.model, i)));
    json_set(classes, "recipe", json_new_string(model_recipe(m.model)->name));
    json_set(classes, "sha256", json_new_string(model_sha256(m.model)));
    json_set(v, "name", json_new_string(m.name));
    json_set(v, "versions", versions_of(app, q, m.name));
    json_set(v, "platform", json_new_string("dltrigger"));
    json_set(v, "inputs", inputs_of(m.model));
    json_set(v, "outputs", outputs_of(m.model));
    json_set(v, "parameters", classes);
    model_release(m.model);
    respond_json(q, r, 200, v);
}

void handle_oip_model_ready(struct app *app, struct request *q, struct response *r)
{
    struct oip_model m;
    if (!oip_find(app, q, r, &m))
        return;
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string(m.name));
    json_set(v, "ready", json_new_bool(true));
    model_release(m.model);
    respond_json(q, r, 200, v);
}

/* What Triton's model configuration says of inputs and outputs; what has no meaning here is left out. */
static struct json *config_tensors(struct json *list)
{
    struct json *out = json_new_array();
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *t = json_at(list, i), *shape = json_get(t, "shape");
        struct json *v = json_new_object(), *dims = json_new_array();
        char type[24];
        snprintf(type, sizeof type, "TYPE_%s", json_str(json_get(t, "datatype"), ""));
        for (size_t k = 1; k < json_count(shape); k++)
            json_push(dims, json_new_copy(json_at(shape, k)));
        if (json_count(shape) == 1)
            json_push(dims, json_new_i64(1));
        json_set(v, "name", json_new_copy(json_get(t, "name")));
        json_set(v, "data_type", json_new_string(type));
        json_set(v, "dims", dims);
        json_push(out, v);
    }
    json_free(list);
    return out;
}

void handle_oip_config(struct app *app, struct request *q, struct response *r)
{
    enum { BATCH_MAX = 65536 };
    struct oip_model m;
    if (!oip_find(app, q, r, &m))
        return;
    struct json *v = json_new_object();
    json_set(v, "name", json_new_string(m.name));
    json_set(v, "platform", json_new_string("dltrigger"));
    json_set(v, "backend", json_new_string("dltrigger"));
    json_set(v, "max_batch_size", json_new_i64(BATCH_MAX));
    json_set(v, "input", config_tensors(inputs_of(m.model)));
    json_set(v, "output", config_tensors(outputs_of(m.model)));
    model_release(m.model);
    respond_json(q, r, 200, v);
}

static struct json *duration(int64_t count, int64_t ns)
{
    struct json *v = json_new_object();
    json_set(v, "count", json_new_i64(count));
    json_set(v, "ns", json_new_i64(ns));
    return v;
}

void handle_oip_stats(struct app *app, struct request *q, struct response *r)
{
    struct oip_model m;
    if (!oip_find(app, q, r, &m))
        return;
    struct infer_count c = infer_stats_of(app->infer_stats, m.ref);
    struct json *v = json_new_object(), *list = json_new_array(), *one = json_new_object(), *stats = json_new_object();
    json_set(stats, "success", duration(c.n_success, c.success_ns));
    json_set(stats, "fail", duration(c.n_fail, c.fail_ns));
    json_set(stats, "queue", duration(c.n_success, 0));
    json_set(stats, "compute_infer", duration(c.n_success, c.compute_ns));
    json_set(one, "name", json_new_string(m.name));
    json_set(one, "version", json_new_string(m.version));
    json_set(one, "last_inference", json_new_i64(c.last_us / 1000));
    json_set(one, "inference_count", json_new_i64(c.n_events));
    json_set(one, "execution_count", json_new_i64(c.n_success));
    json_set(one, "inference_stats", stats);
    json_push(list, one);
    json_set(v, "model_stats", list);
    model_release(m.model);
    respond_json(q, r, 200, v);
}

/* ---- repository ------------------------------------------------------------------------------------------------ */

/* Every version is loaded when it is asked for, so every one is ready. */
void handle_oip_index(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row *rows;
    struct error e;
    size_t n;
    if (store_artifacts_list(app->store, &q->arena, "model", NULL, NULL, PAGE_LIMIT_MAX, &rows, &n, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *list = json_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json *one = json_new_object();
        json_set(one, "name", json_new_string(rows[i].name));
        json_set(one, "version", json_new_string(arena_printf(&q->arena, "%lld", (long long)rows[i].version)));
        json_set(one, "state", json_new_string("READY"));
        json_set(one, "reason", json_new_string(""));
        json_push(list, one);
    }
    respond_json(q, r, 200, list);
}

void handle_oip_load(struct app *app, struct request *q, struct response *r)
{
    struct oip_model m;
    if (!oip_find(app, q, r, &m))
        return;
    model_release(m.model);
    respond_json(q, r, 200, json_new_object());
}

/* Forgets what is in memory; the next who asks loads it again. */
void handle_oip_unload(struct app *app, struct request *q, struct response *r)
{
    struct oip_model m;
    struct error e;
    bool uses;
    if (!oip_find(app, q, r, &m))
        return;
    model_release(m.model);
    if (trigger_uses(app->trigger, m.ref, &uses, &e) != STATUS_OK) {
        respond_error(q, r, &e);
    } else if (uses) {
        respond_problem(q, r, "conflict", NULL, "The active menu decides by %s: activate another menu first.", m.ref);
    } else {
        registry_forget(app->registry, m.ref);
        respond_json(q, r, 200, json_new_object());
    }
}
