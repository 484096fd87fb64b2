/* server/jobs/reuse.c
 *
 * Results that are there already, and results that are made again.
 *
 * A step that is about to run is the same as a finished one when kind, spec, build and everything that it reads are the
 * same: files by their SHA-256, artifacts by theirs.  It then takes that one's result.  What cannot be compared (a URL, a
 * file that is not there) is run.
 *
 * A job that verifies another runs under its name and time, so that ids, folders and results are the same bytes when the
 * work is, and compares them instead of publishing. */
#include "server/jobs/references.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 16 };

/* ---- the key of a step ------------------------------------------------------------------------------------------------- */

struct keying {
    struct job_run *run;
    struct arena *a;
    struct sha256 hash;
    bool known;                                   /* everything so far could be taken into the hash */
    int depth;
    struct error *e;
};

static void hash_text(struct keying *k, const char *text)
{
    sha256_update(&k->hash, text, strlen(text) + 1);
}

/* The files that a path of the spec stands for, with what is in them. */
static void hash_files(struct keying *k, const char *path)
{
    const struct jobs *j = k->run->jobs;
    struct field_list files;
    char sha256[65];
    int64_t bytes;
    if (strstr(path, "://") || input_resolve(j->data_roots, j->n_data_roots, k->a, path, &files, k->e) != STATUS_OK) {
        k->known = false;
        return;
    }
    for (size_t i = 0; k->known && i < files.n_items; i++) {
        const char *file = ((const char *const *)files.items)[i];
        k->known = atomic_load(&k->run->live->stop) == 0 && sha256_file_hex(file, sha256, &bytes, k->e) == STATUS_OK;
        hash_text(k, file);
        hash_text(k, sha256);
    }
}

static void hash_artifact(struct keying *k, const char *kind, const char *ref)
{
    const char *folder, *canonical;
    struct job_input in;
    enum status s = engine_resolve_artifact(k->run, k->a, kind, ref, &folder, &canonical, &in, k->e);
    if (s == STATUS_NOTFOUND)
        return;                                   /* the name of an estimator, which the spec's text has; or it will fail */
    if (s != STATUS_OK || !in.sha256) {
        k->known = false;
        return;
    }
    hash_text(k, canonical);
    hash_text(k, in.sha256);
}

/* Artifacts are named by members that are called after their kinds; files by members called "path". */
static void hash_member(void *ctx, const char *key, const struct json *value)
{
    struct keying *k = ctx;
    const char *text = json_str(value, NULL);
    if (!k->known)
        return;
    if (text && strcmp(key, "path") == 0)
        hash_files(k, text);
    else if (text && strcmp(key, "dataset") == 0)
        hash_artifact(k, "dataset", text);
    else if (text && strcmp(key, "model") == 0)
        hash_artifact(k, "model", text);
    else if (text && strcmp(key, "evaluation") == 0)
        hash_artifact(k, "evaluation", text);
    if (++k->depth < DEPTH_MAX) {
        if (json_type_of(value) == JSON_OBJECT_)
            json_each(value, hash_member, k);
        for (size_t i = 0; json_type_of(value) == JSON_ARRAY_ && i < json_count(value); i++)
            hash_member(k, "", json_at(value, i));
    } else {
        k->known = false;
    }
    k->depth--;
}

/* *known false: this run has no key. */
static enum status step_key(struct job_run *run, const struct job_kind *kind, const char *spec_text, char key[65],
                            bool *known, struct error *e)
{
    struct json *spec;
    struct arena a;
    TRY(json_parse(spec_text, strlen(spec_text), &spec, e));
    arena_init(&a, 64 << 20);
    struct error why;
    struct keying k = {.run = run, .a = &a, .known = true, .e = &why};
    sha256_init(&k.hash);
    hash_text(&k, DLT_BUILD_ID);
    hash_text(&k, kind->name);
    hash_text(&k, spec_text);
    json_each(spec, hash_member, &k);
    sha256_final_hex(&k.hash, key);
    *known = k.known;
    json_free(spec);
    arena_fini(&a);
    return STATUS_OK;
}

/* ---- whether a result is still worth something -------------------------------------------------------------------------- */

struct still {
    struct jobs *jobs;
    struct arena *a;
    bool there;
};

/* Every artifact that a result names must be there. */
static void check_member(void *ctx, const char *key, const struct json *value)
{
    static const char *const kinds[][2] = {{"ds_", "dataset"}, {"mdl_", "model"}, {"ev_", "evaluation"}, {"exp_", "export"}};
    struct still *s = ctx;
    struct artifact_row row;
    struct error e;
    const char *text = json_str(value, NULL);
    (void)key;
    for (size_t i = 0; text && s->there && i < ARRAY_LEN(kinds); i++) {
        size_t n = strlen(kinds[i][0]);
        if (strncmp(text, kinds[i][0], n) == 0 && strlen(text) == n + 26)
            s->there = strcmp(kinds[i][1], "model") == 0
                           ? store_model_resolve(s->jobs->store, s->a, text, &row, &e) == STATUS_OK
                           : store_artifact_get(s->jobs->store, s->a, kinds[i][1], text, &row, &e) == STATUS_OK;
    }
    if (json_type_of(value) == JSON_OBJECT_)
        json_each(value, check_member, s);
    for (size_t i = 0; json_type_of(value) == JSON_ARRAY_ && i < json_count(value); i++)
        check_member(s, "", json_at(value, i));
}

static bool is_still_there(struct jobs *j, struct arena *a, const char *result)
{
    struct still s = {j, a, true};
    struct json *v;
    struct error e;
    if (json_parse(result, strlen(result), &v, &e) != STATUS_OK)
        return false;
    json_each(v, check_member, &s);
    json_free(v);
    return s.there;
}

bool reuse_wanted(const struct job_run *run)
{
    return run->claim->step && !run->claim->cache_off && !run->claim->verify_of;
}

enum status reuse_find(struct job_run *run, const struct job_kind *kind, const char *spec_text, struct buf *result,
                       bool *found, struct error *e)
{
    struct jobs *j = run->jobs;
    struct arena a;
    struct job_row row;
    bool known;
    *found = false;
    TRY(step_key(run, kind, spec_text, run->cache_key, &known, e));
    if (!known) {
        run->cache_key[0] = '\0';
        return STATUS_OK;
    }
    arena_init(&a, 256 << 20);
    enum status s = store_job_reusable(j->store, &a, run->cache_key, &row, found, e);
    if (s == STATUS_OK && *found && row.result && is_still_there(j, &a, row.result)) {
        text_copy(run->reused_from, sizeof run->reused_from, row.id);
        run->partial = row.outcome && strcmp(row.outcome, "partial") == 0;
        s = buf_append(result, row.result, strlen(row.result) + 1, e);
    } else {
        *found = false;
    }
    arena_fini(&a);
    return s;
}

/* ---- verification ------------------------------------------------------------------------------------------------------- */

static bool same_bytes(const char *a, const char *b)
{
    char one[65], other[65];
    int64_t n;
    struct error e;
    return sha256_file_hex(a, one, &n, &e) == STATUS_OK && sha256_file_hex(b, other, &n, &e) == STATUS_OK &&
           strcmp(one, other) == 0;
}

/* Every file of `mine` is in `theirs` with the same bytes; names of those that differ go to `list`. */
static bool compare_folders(const char *mine, const char *theirs, struct json *list)
{
    char one[4400], other[4400];
    struct stat st;
    bool equal = true;
    DIR *dir = opendir(mine);
    if (!dir)
        return false;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        snprintf(one, sizeof one, "%s/%s", mine, entry->d_name);
        snprintf(other, sizeof other, "%s/%s", theirs, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || lstat(one, &st) != 0 ||
            strcmp(entry->d_name, MEASURED_FILE) == 0)
            continue;
        bool same = S_ISDIR(st.st_mode) ? compare_folders(one, other, list) : same_bytes(one, other);
        if (!same && !S_ISDIR(st.st_mode))
            json_push(list, json_new_string(entry->d_name));
        equal &= same;
    }
    closedir(dir);
    return equal;
}

/* How long something took is measured, not computed. */
static bool is_measured(const char *key)
{
    static const char *const ends[] = {"seconds", "_per_second"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t n = strlen(ends[i]), len = strlen(key);
        if (len >= n && strcmp(key + len - n, ends[i]) == 0)
            return true;
    }
    return false;
}

static struct json *computed(const struct json *v);

static void keep_computed(void *object, const char *key, const struct json *value)
{
    if (!is_measured(key))
        json_set(object, key, computed(value));
}

/* A copy without what was measured. */
static struct json *computed(const struct json *v)
{
    if (json_type_of(v) == JSON_OBJECT_) {
        struct json *object = json_new_object();
        if (object)
            json_each(v, keep_computed, object);
        return object;
    }
    if (json_type_of(v) != JSON_ARRAY_)
        return json_new_copy(v);
    struct json *list = json_new_array();
    for (size_t i = 0; i < json_count(v); i++)
        json_push(list, computed(json_at(v, i)));
    return list;
}

static enum status computed_text(struct arena *a, const char *text, const char **out, struct error *e)
{
    struct json *v;
    TRY(json_parse(text, strlen(text), &v, e));
    struct json *kept = computed(v);
    enum status s = json_text(a, kept, out, e);
    json_free(kept);
    json_free(v);
    return s;
}

static struct json *compare_artifact(struct jobs *j, struct arena *a, const struct job_publication *p, bool *all)
{
    struct artifact_row row;
    struct error e;
    struct json *v = json_new_object(), *differ = json_new_array();
    enum status s = strcmp(p->kind, "model") == 0 ? store_model_resolve(j->store, a, p->id, &row, &e)
                                                  : store_artifact_get(j->store, a, p->kind, p->id, &row, &e);
    bool equal = s == STATUS_OK && compare_folders(p->staged, row.folder, differ) &&
                 compare_folders(row.folder, p->staged, NULL);
    json_set(v, "kind", json_new_string(p->kind));
    json_set(v, "id", json_new_string(p->id));
    json_set(v, "found", json_new_bool(s == STATUS_OK));
    json_set(v, "equal", json_new_bool(equal));
    json_set(v, "files_that_differ", differ);
    *all &= equal;
    return v;
}

enum status verify_compare(struct job_run *run, const char *result, const char **text, struct error *e)
{
    struct job_row original;
    TRY(store_job_get(run->jobs->store, &run->kept, run->claim->verify_of, &original, e));
    const char *mine, *theirs;
    TRY(computed_text(&run->kept, result, &mine, e));
    TRY(computed_text(&run->kept, original.result ? original.result : "null", &theirs, e));
    struct json *v = json_new_object(), *artifacts = json_new_array();
    bool same_result = strcmp(mine, theirs) == 0, all = same_result;
    for (size_t i = 0; i < run->n_published; i++)
        json_push(artifacts, compare_artifact(run->jobs, &run->kept, &run->published[i], &all));
    json_set(v, "equal", json_new_bool(all));
    json_set(v, "result_equal", json_new_bool(same_result));
    json_set(v, "build_equal", json_new_bool(original.run_build && strcmp(original.run_build, DLT_BUILD_ID) == 0));
    json_set(v, "artifacts", artifacts);
    enum status s = json_text(&run->kept, v, text, e);
    json_free(v);
    return s;
}

static void note_reference(void *ctx, const char *pointer, const char *step, const char *member)
{
    (void)pointer;
    (void)step;
    (void)member;
    *(bool *)ctx = true;
}

enum status jobs_verify(struct jobs *j, struct arena *a, const char *id, const char **new_id, struct error *e)
{
    struct job_row row;
    struct json *spec;
    bool open = false;
    char *fresh = arena_alloc(a, 1, 40);
    if (!fresh)
        return error_set(e, STATUS_NOMEM, "no memory for a job");
    TRY(store_job_get(j->store, a, id, &row, e));
    if (row.state != JOB_COMPLETED)
        return error_set(e, STATUS_CONFLICT, "job %s is %s: only what is completed can be verified", id,
                         job_state_name(row.state));
    if (row.reused_from)
        return error_set(e, STATUS_CONFLICT, "job %s has the result of job %s: verify that one", id, row.reused_from);
    if (row.verify_of || engine_kind_is_admin(row.kind))
        return error_set(e, STATUS_CONFLICT, "job %s has made nothing that could be compared", id);
    TRY(json_parse(row.spec, strlen(row.spec), &spec, e));
    references_visit(spec, "", note_reference, &open);
    json_free(spec);
    if (open)
        return error_set(e, STATUS_CONFLICT, "the spec of job %s still refers to results of other steps", id);
    store_new_id("job", fresh);
    struct job_new job = {.id = fresh, .kind = row.kind, .spec = row.spec, .spec_sha256 = row.spec_sha256,
                          .priority = row.priority, .max_attempts = row.max_attempts, .queue = row.queue,
                          .timeout_us = row.timeout_us, .cache_off = true, .verify_of = id, .created_us = time_unix_us()};
    TRY(accept_jobs(j, a, &job, 1, NULL, NULL, NULL, e));
    *new_id = fresh;
    return STATUS_OK;
}
