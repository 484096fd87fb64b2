/* server/jobs/recipe.c
 *
 * Everything that a job's result came from: a body that can be posted again as it is, the artifacts that were read with
 * their hashes, seed, threads, build.  Files that an ingest read are in the manifest of the dataset that it made. */
#include "server/jobs/references.h"

#include <string.h>

enum { TAGS_MAX = 16, ATTEMPTS_MAX = 20 };

struct seed {
    struct json *value;
};

static void find_seed(void *ctx, const char *key, const struct json *value)
{
    struct seed *s = ctx;
    if (s->value)
        return;
    if (strcmp(key, "seed") == 0)
        s->value = json_new_copy(value);
    else if (json_type_of(value) == JSON_OBJECT_)
        json_each(value, find_seed, s);
}

static void note_reference(void *ctx, const char *pointer, const char *step, const char *member)
{
    (void)pointer;
    (void)step;
    (void)member;
    *(bool *)ctx = true;
}

static struct json *tags_of(const struct job_row *row, struct error *e)
{
    struct json *all, *tags = json_new_array();
    if (json_parse(row->tags, strlen(row->tags), &all, e) != STATUS_OK)
        return tags;
    for (size_t i = 0; i < json_count(all) && i < TAGS_MAX; i++)   /* the name of a pipeline may be one too many */
        json_push(tags, json_new_copy(json_at(all, i)));
    json_free(all);
    return tags;
}

static struct json *submission_of(const struct job_row *row, const struct json *spec, struct error *e)
{
    struct json *v = json_new_object();
    json_set(v, "kind", json_new_string(row->kind));
    json_set(v, "spec", json_new_copy(spec));
    json_set(v, "priority", json_new_i64(row->priority));
    /* Crashes and retries of its own have added to it. */
    json_set(v, "max_attempts", json_new_i64(row->max_attempts > ATTEMPTS_MAX ? ATTEMPTS_MAX : row->max_attempts));
    json_set(v, "queue", json_new_string(row->queue));
    if (row->timeout_us)
        json_set(v, "timeout_seconds", json_new_i64(row->timeout_us / 1000000));
    if (row->tags)
        json_set(v, "tags", tags_of(row, e));
    return v;
}

static struct json *inputs_to_json(const struct job_input *inputs, size_t n)
{
    struct json *list = json_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json *one = json_new_object();
        json_set(one, "kind", json_new_string(inputs[i].kind));
        json_set(one, "ref", json_new_string(inputs[i].ref));
        json_set(one, "id", json_new_string(inputs[i].id));
        json_set(one, "sha256", json_new_string(inputs[i].sha256));
        json_push(list, one);
    }
    return list;
}

enum status jobs_recipe(struct jobs *j, struct arena *a, const char *id, struct json **out, struct error *e)
{
    struct job_row row;
    struct job_input *inputs;
    struct seed seed = {NULL};
    struct json *spec;
    size_t n;
    bool open = false;
    *out = NULL;
    TRY(store_job_get(j->store, a, id, &row, e));
    TRY(store_job_inputs_list(j->store, a, id, &inputs, &n, e));
    TRY(json_parse(row.spec, strlen(row.spec), &spec, e));
    if (row.step)
        references_visit(spec, "", note_reference, &open);
    if (open) {
        json_free(spec);
        return error_set(e, STATUS_CONFLICT, "the spec of job %s still refers to results of other steps: it has a recipe"
                         " once it has started", id);
    }
    json_each(spec, find_seed, &seed);
    struct json *v = json_new_object();
    json_set(v, "job_id", json_new_string(row.id));
    json_set(v, "submission", submission_of(&row, spec, e));
    json_set(v, "spec_sha256", json_new_string(row.spec_sha256));
    json_set(v, "inputs", inputs_to_json(inputs, n));
    json_set(v, "seed", seed.value ? seed.value : json_new_null());
    json_set(v, "threads", row.run_threads > 0 ? json_new_i64(row.run_threads) : json_new_null());
    json_set(v, "build_id", json_new_string(row.run_build));
    json_set(v, "result_sha256", json_new_null());
    if (row.result) {
        char sha256[65];
        sha256_hex(row.result, strlen(row.result), sha256);
        json_set(v, "result_sha256", json_new_string(sha256));
    }
    json_free(spec);
    *out = v;
    return STATUS_OK;
}
