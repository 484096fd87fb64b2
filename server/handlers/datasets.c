/* server/handlers/datasets.c
 *
 * Datasets: the list from the store, the details from the manifest in the dataset's folder. */
#include "server/handlers/handlers.h"

void handle_dataset_list(struct app *app, struct request *q, struct response *r)
{
    respond_artifacts(app, q, r, "dataset");
}

void handle_dataset_get(struct app *app, struct request *q, struct response *r)
{
    struct artifact_row row;
    struct dataset *d;
    struct error e;
    if (!find_artifact(app, q, r, "dataset", q->params[0], &row))
        return;
    if (dataset_open(row.folder, &d, &e) != STATUS_OK) {
        respond_error(q, r, &e);
        return;
    }
    struct json *v = artifact_to_json(&row);
    struct json *manifest = json_encode_fields(manifest_fields, dataset_manifest(d));
    dataset_close(d);
    if (!manifest) {
        json_free(v);
        v = NULL;
    } else {
        json_set(v, "dataset_kind", json_new_copy(json_get(manifest, "kind")));
        json_merge(v, manifest);
    }
    respond_json_tagged(q, r, v);
}
