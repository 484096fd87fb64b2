/* server/jobs/accept.c
 *
 * The last step of a submission: the answer is written before the jobs are inserted, so that both are one transaction, and
 * a client that never saw the answer and asks again under its key gets these very bytes. */
#include "server/jobs/engine.h"

#include <string.h>

/* ---- keys ------------------------------------------------------------------------------------------------------------- */

static bool same_key(const struct submit_key *a, const struct submit_key *b)
{
    return strcmp(a->key, b->key) == 0 && strcmp(a->route, b->route) == 0;
}

/* False when another request has it. */
static bool take_key(struct jobs *j, struct key_in_flight *mine)
{
    bool free_key = true;
    pthread_mutex_lock(&j->lock);
    for (const struct key_in_flight *k = j->keys_in_flight; k && free_key; k = k->next)
        free_key = !same_key(k->key, mine->key);
    if (free_key) {
        mine->next = j->keys_in_flight;
        j->keys_in_flight = mine;
    }
    pthread_mutex_unlock(&j->lock);
    return free_key;
}

void accept_end(struct jobs *j, struct key_in_flight *mine)
{
    if (!mine->key)
        return;
    pthread_mutex_lock(&j->lock);
    struct key_in_flight **at = &j->keys_in_flight;
    while (*at != mine)
        at = &(*at)->next;
    *at = mine->next;
    pthread_mutex_unlock(&j->lock);
    mine->key = NULL;
}

enum status accept_begin(struct jobs *j, struct arena *a, const struct submit_key *key, struct key_in_flight *mine,
                         struct submit_answer *out, struct error *e)
{
    struct submit_record record;
    bool found;
    *out = (struct submit_answer){SUBMIT_ACCEPTED, "", ""};
    *mine = (struct key_in_flight){NULL, NULL};
    if (!key || !key->key)
        return STATUS_OK;
    mine->key = key;
    if (!take_key(j, mine)) {
        mine->key = NULL;
        out->outcome = SUBMIT_IN_FLIGHT;
        return STATUS_OK;
    }
    enum status s = store_submit_record_find(j->store, a, key->route, key->key, time_unix_us(), &record, &found, e);
    if (s != STATUS_OK)
        accept_end(j, mine);
    if (s != STATUS_OK || !found)
        return s;
    if (strcmp(record.body_sha256, key->body_sha256) != 0)
        out->outcome = SUBMIT_REUSED;
    else
        *out = (struct submit_answer){SUBMIT_REPLAYED, record.id, record.answer};
    return STATUS_OK;
}

/* ---- the answer --------------------------------------------------------------------------------------------------------- */

static enum job_state state_of(const struct job_new *job)
{
    return job->needs ? JOB_PENDING : job->run_at_us > job->created_us ? JOB_SCHEDULED : JOB_AVAILABLE;
}

/* The row as it will be when it has been inserted. */
static struct job_row row_of(const struct job_new *job)
{
    return (struct job_row){.id = job->id, .kind = job->kind, .spec = job->spec, .spec_sha256 = job->spec_sha256,
                            .errors = "[]", .pipeline_id = job->pipeline_id, .step = job->step, .needs = job->needs,
                            .tags = job->tags, .state = state_of(job), .priority = job->priority,
                            .max_attempts = job->max_attempts, .created_us = job->created_us,
                            .run_at_us = job->run_at_us > job->created_us ? job->run_at_us : job->created_us,
                            .queue = job->queue ? job->queue : job->kind, .revision = 1, .timeout_us = job->timeout_us,
                            .traceparent = job->traceparent, .tracestate = job->tracestate,
                            .cache_off = job->cache_off, .verify_of = job->verify_of, .total = -1};
}

static enum status write_answer(struct arena *a, const struct job_new *jobs, size_t n, const char *pipeline_id,
                                struct submit_answer *out, struct error *e)
{
    struct job_row *rows = ARENA_NEW(a, struct job_row, n);
    out->id = arena_strdup(a, pipeline_id ? pipeline_id : jobs[0].id);
    if (!rows || !out->id)
        return error_set(e, STATUS_NOMEM, "no memory for an answer");
    for (size_t i = 0; i < n; i++)
        rows[i] = row_of(&jobs[i]);
    struct json *v = pipeline_id ? jobs_pipeline_to_json(pipeline_id, rows, n) : jobs_to_json(&rows[0]);
    enum status s = json_text(a, v, &out->text, e);
    json_free(v);
    return s;
}

enum status accept_jobs(struct jobs *j, struct arena *a, const struct job_new *jobs, size_t n, const char *pipeline_id,
                        const struct submit_key *key, struct submit_answer *out, struct error *e)
{
    struct submit_record record;
    bool keep = out && key && key->key;
    if (out)
        TRY(write_answer(a, jobs, n, pipeline_id, out, e));
    if (keep)
        record = (struct submit_record){key->route, key->key, key->body_sha256, out->id, out->text, jobs[0].created_us};
    TRY(store_jobs_insert_answered(j->store, jobs, n, keep ? &record : NULL, e));
    for (size_t i = 0; i < n; i++)
        engine_count(j, state_of(&jobs[i]));
    engine_wake(j);
    return STATUS_OK;
}
