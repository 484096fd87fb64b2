/* server/handlers/evaluations.c
 *
 * Evaluations: the list from the store, curves and tables from the record in the evaluation's folder. */
#include "server/handlers/handlers.h"

void handle_evaluation_list(struct app *app, struct request *q, struct response *r)
{
    respond_artifacts(app, q, r, "evaluation");
}

void handle_evaluation_get(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct evaluation_record record;
    struct error e;
    if (!find_artifact(app, q, r, "evaluation", q->params[0], &row))
        return;
    if (evaluation_read(&q->arena, row.folder, &record, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = artifact_to_json(&row), *details = json_encode_fields(evaluation_record_fields, &record);
    if (details) {
        json_merge(v, details);
    } else {
        json_free(v);
        v = NULL;
    }
    respond_json_tagged(q, r, v);
}
