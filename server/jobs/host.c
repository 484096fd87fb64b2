/* server/jobs/host.c
 *
 * struct job_host: what a job kind of core sees of the engine and the store. */
#include "server/jobs/engine.h"

#include <math.h>
#include <string.h>

static bool host_cancelled(void *host)
{
    struct job_run *run = host;
    return atomic_load_explicit(&run->live->stop, memory_order_relaxed) != 0;
}

static void host_progress(void *host, const struct job_progress *p)
{
    struct job_run *run = host;
    if (live_progress(run->live, p))
        engine_changed(run->jobs);
}

static void host_metric(void *host, const char *key, int64_t step, double value)
{
    struct job_run *run = host;
    struct error e;
    if (!isfinite(value))
        return;                                   /* a gap in the series */
    if (live_metric(run->live, key, step, value))
        return;
    struct job_metric point = {key, step, value};
    if (store_job_metrics_save(run->jobs->store, run->claim->id, &point, 1, &e) != STATUS_OK)
        log_line(LOG_WARN, "job %s: metric %s: %s", run->claim->id, key, e.text);
}

static void host_log(void *host, enum log_level level, const char *text)
{
    struct job_run *run = host;
    struct worker *w = (struct worker *)((char *)run->live - offsetof(struct worker, live));
    struct error e;
    log_line(level, "job %s: %s", run->claim->id, text);
    for (int tries = 0; tries < 2 && !live_log(run->live, level, text); tries++)
        if (live_flush(run->jobs, w, 1, false, &e) != STATUS_OK)
            log_line(LOG_WARN, "job %s: its log: %s", run->claim->id, e.text);
}

static enum status host_checkpoint_save(void *host, const void *data, size_t n, struct error *e)
{
    struct job_run *run = host;
    return store_checkpoint_save(run->jobs->store, run->claim->id, run->token, data, n, e);
}

static enum status host_checkpoint_load(void *host, struct buf *out, bool *found, struct error *e)
{
    struct job_run *run = host;
    return store_checkpoint_load(run->jobs->store, run->claim->id, out, found, e);
}

static enum status host_unit_result(void *host, int phase, int64_t unit, struct buf *out, struct error *e)
{
    struct job_run *run = host;
    return store_unit_result(run->jobs->store, run->claim->id, phase, unit, out, e);
}

static enum status host_resolve_input(void *host, struct arena *a, const char *given, struct field_list *paths,
                                      struct error *e)
{
    struct job_run *run = host;
    if (strncmp(given, INPUT_UPLOAD, strlen(INPUT_UPLOAD)) == 0)
        return input_resolve_upload(run->jobs->store, a, given, paths, e);
    return input_resolve(run->jobs->data_roots, run->jobs->n_data_roots, a, given, paths, e);
}

/* For the recipe: the hash that the job published the artifact with; of a dataset the content's, from its manifest. */
static const char *artifact_sha256(struct arena *a, const struct artifact_row *row)
{
    struct dataset *d;
    struct error e;
    if (row->sha256 || strcmp(row->kind, "dataset") != 0 || dataset_open(row->folder, &d, &e) != STATUS_OK)
        return row->sha256;
    const char *sha256 = dataset_manifest(d)->content_sha256;
    sha256 = sha256 ? arena_strdup(a, sha256) : NULL;
    dataset_close(d);
    return sha256;
}

enum status engine_resolve_artifact(struct job_run *run, struct arena *a, const char *kind, const char *ref,
                                    const char **folder, const char **canonical, struct job_input *in, struct error *e)
{
    struct artifact_row row;
    bool model = strcmp(kind, "model") == 0;
    if (model)
        TRY(store_model_resolve(run->jobs->store, a, ref, &row, e));
    else
        TRY(store_artifact_get(run->jobs->store, a, kind, ref, &row, e));
    *folder = row.folder;
    *canonical = model ? arena_printf(a, "%s@%lld", row.name, (long long)row.version) : row.id;
    if (!*canonical)
        return error_set(e, STATUS_NOMEM, "no memory for a reference");
    *in = (struct job_input){kind, ref, *canonical, artifact_sha256(a, &row)};
    return STATUS_OK;
}

static enum status host_resolve_artifact(void *host, struct arena *a, const char *kind, const char *ref,
                                         const char **folder, const char **canonical, struct error *e)
{
    struct job_run *run = host;
    struct job_input in;
    TRY(engine_resolve_artifact(run, a, kind, ref, folder, canonical, &in, e));
    return store_job_input_note(run->jobs->store, run->claim->id, &in, e);
}

static enum status host_artifact_id(void *host, struct arena *a, const char *prefix, int n, const char **id,
                                    struct error *e)
{
    struct job_run *run = host;
    char text[40];
    store_derived_id(prefix, run->as_id, n, text);
    *id = arena_strdup(a, text);
    return *id ? STATUS_OK : error_set(e, STATUS_NOMEM, "no memory for an id");
}

static enum status host_model_version(void *host, const char *name, int64_t *version, struct error *e)
{
    struct job_run *run = host;
    return store_model_version_reserve(run->jobs->store, run->as_id, name, version, e);
}

static enum status host_publish(void *host, const struct artifact *artifact, struct error *e)
{
    struct job_run *run = host;
    int64_t version;
    /* A model that never asked for its number gets one. */
    if (strcmp(artifact->kind, "model") == 0 && artifact->name)
        TRY(host_model_version(host, artifact->name, &version, e));
    pthread_mutex_lock(&run->lock);
    enum status s = STATUS_OK;
    if (run->n_published == ARRAY_LEN(run->published))
        s = error_set(e, STATUS_BUG, "a job publishes at most %zu artifacts", ARRAY_LEN(run->published));
    else
        s = publication_check(&run->kept, run->work_dir, artifact, &run->published[run->n_published], e);
    run->n_published += s == STATUS_OK;
    pthread_mutex_unlock(&run->lock);
    return s;
}

const struct job_host engine_host = {
    .cancelled = host_cancelled,
    .progress = host_progress,
    .metric = host_metric,
    .log = host_log,
    .checkpoint_save = host_checkpoint_save,
    .checkpoint_load = host_checkpoint_load,
    .unit_result = host_unit_result,
    .resolve_input = host_resolve_input,
    .resolve_artifact = host_resolve_artifact,
    .artifact_id = host_artifact_id,
    .model_version = host_model_version,
    .publish = host_publish,
};
