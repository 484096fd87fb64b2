/* server/handlers/models_import.c
 *
 * POST of a model file: Keras, ONNX or our own, as the next version of a name. */
#include "server/handlers/handlers.h"

#include "server/models/models.h"

#include <stdatomic.h>
#include <string.h>

static void answer(struct request *q, struct response *r, const struct model_imported *m)
{
    struct json *v = json_new_object();
    json_set(v, "id", json_new_string(m->id));
    json_set(v, "name", json_new_string(m->name));
    json_set(v, "version", json_new_i64(m->version));
    json_set(v, "sha256", json_new_string(m->sha256));
    json_set(v, "imported_from", json_new_string(m->format));
    response_header(r, "Location",
                    arena_printf(&q->arena, "/api/v1/models/%s/versions/%lld", m->name, (long long)m->version));
    respond_json(q, r, 201, v);
}

/* A file that needs more memory to be read than a parser gets is the file's fault, and so is one that is no model. */
void handle_model_import(struct app *app, struct request *q, struct response *r)
{
    static atomic_flag busy = ATOMIC_FLAG_INIT; /* one child at a time: each may take a core and memory */
    const struct model_import_request request = {.name = q->params[0],
                                                 .recipe = request_query(q, "recipe"),
                                                 .classes = request_query(q, "classes"),
                                                 .scaler_from = request_query(q, "scaler_from")};
    struct model_imported m;
    struct error e;
    if (q->body_len == 0) {
        respond_problem(q, r, "invalid_request", NULL,
                        "The body is the model's file: .h5 or .keras of Keras, or .onnx or "
                        ".dltm of ours, as application/octet-stream.");
        return;
    }
    if (atomic_flag_test_and_set(&busy)) {
        respond_problem(q, r, "busy", NULL, "Another model is being imported.");
        return;
    }
    enum status s =
        model_import_publish(app->store, &q->arena, &request, (struct span){q->body, q->body_len}, "the file", &m, &e);
    atomic_flag_clear(&busy);
    if (s == STATUS_OK)
        answer(q, r, &m);
    else
        respond_error(q, r, &e);
}
