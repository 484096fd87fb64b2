/* server/jobs/job_json.c
 *
 * A row as the API's job object. */
#include "server/jobs/jobs.h"

#include <string.h>

/* JSON text of the store as a value; null for NULL. */
static struct json *stored(const char *text)
{
    struct json *v;
    struct error e;
    if (!text)
        return json_new_null();
    if (json_parse(text, strlen(text), &v, &e) == STATUS_OK)
        return v;
    return e.status == STATUS_NOMEM ? NULL : json_new_null();
}

static struct json *stored_array(const char *text)
{
    return text ? stored(text) : json_new_array();
}

static struct json *text_or_null(const char *s)
{
    return s && *s ? json_new_string(s) : json_new_null();
}

static struct json *lease(const struct job_row *row)
{
    if (row->state != JOB_RUNNING && row->state != JOB_CANCELLING)
        return json_new_null();
    struct json *v = json_new_object();
    json_set(v, "worker", json_new_string(row->worker));
    json_set(v, "expires_at", json_new_time(row->lease_expires_us));
    return v;
}

static struct json *progress(const struct job_row *row)
{
    bool running = row->state == JOB_RUNNING || row->state == JOB_CANCELLING;
    bool has_eta = running && row->total >= 0 && row->rate_per_second > 0;
    struct json *v = json_new_object();
    json_set(v, "phase", text_or_null(row->phase));
    json_set(v, "unit", text_or_null(row->unit));
    json_set(v, "done", json_new_i64(row->done));
    json_set(v, "total", row->total >= 0 ? json_new_i64(row->total) : json_new_null());
    json_set(v, "fraction", json_new_f64(row->fraction));
    json_set(v, "rate_per_second", json_new_f64(row->rate_per_second));
    json_set(v, "eta_seconds",
             has_eta ? json_new_f64((double)(row->total - row->done) / row->rate_per_second) : json_new_null());
    json_set(v, "message", text_or_null(row->message));
    return v;
}

static struct json *checkpoint(const struct job_row *row)
{
    if (row->checkpoint_us == 0)
        return json_new_null();
    struct json *v = json_new_object();
    json_set(v, "at", json_new_time(row->checkpoint_us));
    return v;
}

static struct json *links(const struct job_row *row)
{
    static const char *const names[] = {"events", "metrics", "recipe"};
    char path[160];
    struct json *v = json_new_object();
    snprintf(path, sizeof path, "/api/v1/jobs/%s", row->id);
    json_set(v, "self", json_new_string(path));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "/api/v1/jobs/%s/%s", row->id, names[i]);
        json_set(v, names[i], json_new_string(path));
    }
    return v;
}

struct json *jobs_to_json(const struct job_row *row)
{
    struct json *v = json_new_object();
    json_set(v, "id", json_new_string(row->id));
    json_set(v, "kind", json_new_string(row->kind));
    json_set(v, "state", json_new_string(job_state_name(row->state)));
    json_set(v, "outcome", row->state == JOB_COMPLETED ? json_new_string(row->outcome) : json_new_null());
    json_set(v, "queue", json_new_string(row->queue));
    json_set(v, "priority", json_new_i64(row->priority));
    json_set(v, "pipeline_id", text_or_null(row->pipeline_id));
    json_set(v, "step", text_or_null(row->step));
    json_set(v, "needs", stored_array(row->needs));
    json_set(v, "tags", stored_array(row->tags));
    json_set(v, "attempt", json_new_i64(row->attempt));
    json_set(v, "max_attempts", json_new_i64(row->max_attempts));
    json_set(v, "timeout_seconds", row->timeout_us ? json_new_i64(row->timeout_us / 1000000) : json_new_null());
    json_set(v, "created_at", json_new_time(row->created_us));
    json_set(v, "run_at", json_new_time(row->run_at_us));
    json_set(v, "started_at", json_new_time(row->started_us));
    json_set(v, "finished_at", json_new_time(row->finished_us));
    json_set(v, "lease", lease(row));
    json_set(v, "progress", progress(row));
    json_set(v, "checkpoint", checkpoint(row));
    json_set(v, "spec", stored(row->spec));
    json_set(v, "spec_sha256", json_new_string(row->spec_sha256));
    json_set(v, "result", stored(row->result));
    json_set(v, "errors", stored_array(row->errors));
    json_set(v, "forced", json_new_bool(row->forced));
    json_set(v, "cache", json_new_string(row->cache_off ? "off" : "on"));
    json_set(v, "reused_from", text_or_null(row->reused_from));
    json_set(v, "verify_of", text_or_null(row->verify_of));
    json_set(v, "verification", stored(row->verification));
    json_set(v, "traceparent", text_or_null(row->traceparent));
    json_set(v, "links", links(row));
    return v;
}

/* ---- pipelines ------------------------------------------------------------------------------------------------------------ */

/* One word for all steps: what is worst, else what is going on. */
static const char *state_of(const struct job_row *rows, size_t n)
{
    size_t counts[JOB_STATES] = {0}, n_final = 0;
    for (size_t i = 0; i < n; i++) {
        counts[rows[i].state]++;
        n_final += job_state_final(rows[i].state);
    }
    if (n_final == n)
        return counts[JOB_DISCARDED] ? "discarded" : counts[JOB_CANCELLED] ? "cancelled" : "completed";
    if (n_final + counts[JOB_PENDING] + counts[JOB_AVAILABLE] + counts[JOB_SCHEDULED] == n && counts[JOB_COMPLETED] == 0)
        return "available";
    return "running";
}

struct json *jobs_pipeline_to_json(const char *id, const struct job_row *rows, size_t n)
{
    struct json *v = json_new_object(), *jobs = json_new_array();
    for (size_t i = 0; i < n; i++)
        json_push(jobs, jobs_to_json(&rows[i]));
    json_set(v, "id", json_new_string(id));
    json_set(v, "state", json_new_string(state_of(rows, n)));
    json_set(v, "jobs", jobs);
    return v;
}
