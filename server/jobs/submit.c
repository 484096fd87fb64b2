/* server/jobs/submit.c
 *
 * From a posted body to a row: everything that can be wrong is said at once, and what is stored is the canonical text of
 * the decoded spec, defaults and all, so that equal jobs have equal hashes and a later default changes no old job. */
#include "server/jobs/engine.h"

#include <string.h>
#include <time.h>

enum { PRIORITY_DEFAULT = 2, PRIORITY_MAX = 9, ATTEMPTS_MAX = 20, TAGS_MAX = 16, TAG_BYTES_MAX = 64,
       TIMEOUT_SECONDS_MAX = 30 * 24 * 3600 };
#define BODY_ARENA_MAX ((size_t)64 << 20)

enum status json_text(struct arena *a, const struct json *v, const char **text, struct error *e)
{
    struct buf b;
    buf_init(&b, a->max);
    enum status s = json_write(v, &b, e);
    if (s == STATUS_OK && !(*text = arena_strndup(a, (const char *)b.data, b.len)))
        s = error_set(e, STATUS_NOMEM, "no memory for a text of %zu bytes", b.len);
    buf_fini(&b);
    return s;
}

/* ---- spec --------------------------------------------------------------------------------------------------------- */

/* A kind's own check says "/member/0: what is wrong" when it is about one member. */
static void add_invalid(struct json_problems *problems, const char *pointer, const char *text)
{
    char where[160];
    const char *colon = text[0] == '/' ? strstr(text, ": ") : NULL;
    if (colon && (size_t)snprintf(where, sizeof where, "%s%.*s", pointer, (int)(colon - text), text) < sizeof where)
        json_problem_add(problems, where, "invalid", "%s", colon + 2);
    else
        json_problem_add(problems, pointer, "invalid", "%s", text);
}

enum status spec_check(struct arena *a, const struct job_kind *kind, const struct json *value, const char *pointer,
                       void **spec, const char **text, char sha256[65], struct json_problems *problems, struct error *e)
{
    *spec = arena_alloc(a, 1, kind->spec_size);
    if (!*spec)
        return error_set(e, STATUS_NOMEM, "no memory for a spec");
    TRY(json_decode_fields(a, kind->spec_fields, value, pointer, *spec, problems, e));
    enum status s = kind->validate ? kind->validate(*spec, e) : STATUS_OK;
    if (s == STATUS_NOMEM)
        return s;
    if (s != STATUS_OK) {
        add_invalid(problems, pointer, e->text);
        return error_set(e, STATUS_ARGUMENT, "%s", problems->items[problems->n - 1].detail);
    }
    struct json *canonical = json_encode_fields(kind->spec_fields, *spec);
    s = json_text(a, canonical, text, e);
    json_free(canonical);
    TRY(s);
    sha256_hex(*text, strlen(*text), sha256);
    return STATUS_OK;
}

/* Files that may never be read are refused now, not when the job runs.  That a file is not there yet is no fault. */
enum status inputs_check(const struct jobs *j, struct arena *a, const struct json *spec, const char *pointer,
                         struct json_problems *problems, struct error *e)
{
    const struct json *inputs = json_get(spec, "inputs");
    for (size_t i = 0; json_type_of(inputs) == JSON_ARRAY_ && i < json_count(inputs); i++) {
        char where[160];
        struct field_list paths;
        struct error why;
        const char *path = json_str(json_get(json_at(inputs, i), "path"), NULL);
        enum status s = path ? input_resolve(j->data_roots, j->n_data_roots, a, path, &paths, &why) : STATUS_OK;
        snprintf(where, sizeof where, "%.100s/inputs/%zu/path", pointer, i);
        if (s == STATUS_FORBIDDEN)
            json_problem_add(problems, where, "path_forbidden", "%s", why.text);
        if (s == STATUS_NOMEM)
            return error_set(e, s, "%s", why.text);
    }
    return STATUS_OK;
}

/* ---- times ---------------------------------------------------------------------------------------------------------- */

static bool digits(const char **at, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *out = 10 * *out + (**at - '0');
    }
    return true;
}

/* "Z", "+01:00" or "-01:00", as seconds to take away. */
static bool read_zone(const char *at, int64_t *seconds)
{
    int hours, minutes, sign = *at == '-' ? -1 : 1;
    *seconds = 0;
    if (strcmp(at, "Z") == 0 || strcmp(at, "z") == 0)
        return true;
    if (*at != '+' && *at != '-')
        return false;
    at++;
    if (!digits(&at, 2, &hours) || *at++ != ':' || !digits(&at, 2, &minutes) || *at || hours > 23 || minutes > 59)
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool time_parse(const char *text, int64_t *unix_us)
{
    const char *at = text;
    struct tm t = {0};
    int64_t us = 0, zone;
    if (!digits(&at, 4, &t.tm_year) || *at++ != '-' || !digits(&at, 2, &t.tm_mon) || *at++ != '-' ||
        !digits(&at, 2, &t.tm_mday) || (*at != 'T' && *at != 't') || !(at++, digits(&at, 2, &t.tm_hour)) || *at++ != ':' ||
        !digits(&at, 2, &t.tm_min) || *at++ != ':' || !digits(&at, 2, &t.tm_sec))
        return false;
    if (*at == '.') {
        int64_t unit = 100000;
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
            us += (*at - '0') * unit;
    }
    struct tm given = t;
    t.tm_year -= 1900;
    t.tm_mon--;
    if (!read_zone(at, &zone) || given.tm_year < 1970 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 59)
        return false;
    time_t seconds = timegm(&t);                      /* mends the 31st of April into the 1st of May */
    if (t.tm_mon + 1 != given.tm_mon || t.tm_mday != given.tm_mday)
        return false;
    *unix_us = ((int64_t)seconds - zone) * 1000000 + us;
    return *unix_us >= 0;
}

/* ---- the rest of a body --------------------------------------------------------------------------------------------- */

const struct job_kind *kind_read(const struct jobs *j, const struct json *body, const char *pointer, bool admin,
                                 struct json_problems *problems)
{
    char where[160], all[200] = "";
    const struct json *v = json_get(body, "kind");
    const char *name = json_str(v, NULL);
    json_pointer_child(where, pointer, "kind");
    const struct job_kind *kind = name ? engine_kind_find(j, name) : NULL;
    if (kind && (admin || !engine_kind_is_admin(name)))
        return kind;
    for (const struct job_kind *const *k = j->kinds; *k; k++) {
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", at ? ", " : "", (*k)->name);
    }
    if (name)
        json_problem_add(problems, where, "choice", "\"%.60s\" is no job kind; there are %s", name, all);
    else if (v)
        json_problem_add(problems, where, "type", "must be a string, not %s", json_type_name(json_type_of(v)));
    else
        json_problem_add(problems, where, "required", "is required: one of %s", all);
    return NULL;
}

static int read_integer(const struct json *body, const char *pointer, const char *name, int least, int most,
                        int otherwise, struct json_problems *problems)
{
    char where[160];
    const struct json *v = json_get(body, name);
    if (!v)
        return otherwise;
    json_pointer_child(where, pointer, name);
    int64_t given = json_int(v, INT64_MIN);
    if (json_type_of(v) != JSON_I64_)
        json_problem_add(problems, where, "type", "must be an integer, not %s", json_type_name(json_type_of(v)));
    else if (given < least || given > most)
        json_problem_add(problems, where, "out_of_range", "%lld is not within %d to %d", (long long)given, least, most);
    else
        return (int)given;
    return otherwise;
}

static bool is_tag(const char *s)
{
    return s && *s && strlen(s) <= TAG_BYTES_MAX && text_is_clean(s, strlen(s));
}

/* The tags of a body behind `first`, as JSON array text; NULL when there are none. */
static enum status read_tags(struct arena *a, const struct json *body, const char *pointer, const char *first,
                             const char **text, struct json_problems *problems, struct error *e)
{
    char where[160];
    const struct json *given = json_get(body, "tags");
    *text = NULL;
    json_pointer_child(where, pointer, "tags");
    if (given && json_type_of(given) != JSON_ARRAY_)
        json_problem_add(problems, where, "type", "must be an array, not %s", json_type_name(json_type_of(given)));
    else if (json_count(given) > TAGS_MAX)
        json_problem_add(problems, where, "length", "%zu tags, at most %d", json_count(given), TAGS_MAX);
    size_t n = json_type_of(given) == JSON_ARRAY_ && json_count(given) <= TAGS_MAX ? json_count(given) : 0;
    if (n == 0 && !first)
        return STATUS_OK;
    struct json *tags = json_new_array();
    if (first)
        json_push(tags, json_new_string(first));
    for (size_t i = 0; i < n; i++) {
        const char *tag = json_str(json_at(given, i), NULL);
        if (!is_tag(tag))
            json_problem_add(problems, where, "text", "tag %zu is no string of 1 to %d bytes", i, TAG_BYTES_MAX);
        else if (!first || strcmp(tag, first) != 0)
            json_push(tags, json_new_string(tag));
    }
    enum status s = json_text(a, tags, text, e);
    json_free(tags);
    return s;
}

static void read_queue(struct arena *a, const struct json *body, const char *pointer, struct job_new *out,
                       struct json_problems *problems)
{
    char where[160];
    const struct json *v = json_get(body, "queue");
    json_pointer_child(where, pointer, "queue");
    out->queue = NULL;
    if (!v)
        return;
    if (queue_name_ok(json_str(v, NULL)))
        out->queue = arena_strdup(a, json_str(v, NULL));
    else
        json_problem_add(problems, where, "text", "a queue's name is 1 to %d letters, digits, '_' and '-'", QUEUE_NAME_MAX);
}

static void read_run_at(const struct json *body, const char *pointer, struct job_new *out, struct json_problems *problems)
{
    char where[160];
    const struct json *v = json_get(body, "run_at");
    json_pointer_child(where, pointer, "run_at");
    out->run_at_us = 0;
    if (v && json_type_of(v) != JSON_NULL_ && !time_parse(json_str(v, ""), &out->run_at_us))
        json_problem_add(problems, where, "time", "is a time like 2026-11-23T10:00:00Z (RFC 3339)");
}

static void read_cache(const struct json *body, const char *pointer, struct job_new *out, struct json_problems *problems)
{
    char where[160];
    const struct json *v = json_get(body, "cache");
    const char *text = json_str(v, "");
    json_pointer_child(where, pointer, "cache");
    out->cache_off = strcmp(text, "off") == 0;
    if (v && !out->cache_off && strcmp(text, "on") != 0)
        json_problem_add(problems, where, "choice", "is \"on\" or \"off\"");
}

enum status wishes_read(struct arena *a, const struct json *body, const char *pointer, const struct job_kind *kind,
                        const char *first_tag, struct job_new *out, struct json_problems *problems, struct error *e)
{
    int attempts = kind && kind->max_attempts > 0 ? kind->max_attempts : 1;
    out->priority = read_integer(body, pointer, "priority", 0, PRIORITY_MAX, PRIORITY_DEFAULT, problems);
    out->max_attempts = read_integer(body, pointer, "max_attempts", 1, ATTEMPTS_MAX, attempts, problems);
    out->timeout_us = read_integer(body, pointer, "timeout_seconds", 1, TIMEOUT_SECONDS_MAX, 0, problems) * 1000000LL;
    read_queue(a, body, pointer, out, problems);
    if (queue_name_ok(json_str(json_get(body, "queue"), NULL)) && !out->queue)
        return error_set(e, STATUS_NOMEM, "no memory for a job");
    read_run_at(body, pointer, out, problems);
    read_cache(body, pointer, out, problems);
    return read_tags(a, body, pointer, first_tag, &out->tags, problems, e);
}

/* ---- one job ---------------------------------------------------------------------------------------------------------- */

/* Checks a body; what is to be inserted, but for its id, is in `a`. */
static enum status read_job(struct jobs *j, struct arena *a, const struct json *body, bool admin, struct job_new *job,
                            struct json_problems *problems, struct error *e)
{
    static const char *const members[] = {"kind", "spec", "webhook", WISHES, NULL};
    char *sha256 = arena_alloc(a, 1, 65);
    void *spec;
    if (!sha256)
        return error_set(e, STATUS_NOMEM, "no memory for a job");
    json_check_members(body, members, "", problems);
    const struct job_kind *kind = kind_read(j, body, "", admin, problems);
    TRY(wishes_read(a, body, "", kind, NULL, job, problems, e));
    TRY(webhook_read(j, a, body, &job->webhook, problems, e));
    if (!json_get(body, "spec"))
        json_problem_add(problems, "/spec", "required", "is required");
    else if (kind) {
        enum status s = spec_check(a, kind, json_get(body, "spec"), "/spec", &spec, &job->spec, sha256, problems, e);
        if (s != STATUS_OK && s != STATUS_ARGUMENT)
            return s;
        TRY(inputs_check(j, a, json_get(body, "spec"), "/spec", problems, e));
    }
    if (problems->n > 0)
        return error_set(e, STATUS_ARGUMENT, "%s: %s", problems->items[0].pointer, problems->items[0].detail);
    job->kind = kind->name;
    job->spec_sha256 = sha256;
    return STATUS_OK;
}

/* What a kept answer and the rows of the store have in common is in `a`, the rest goes. */
static enum status submit(struct jobs *j, struct arena *a, const struct json *body, bool admin,
                          const struct submit_key *key, char id[40], struct submit_answer *out, struct json_problems *problems, struct error *e)
{
    struct arena own;
    struct job_new job = {.id = id};
    if (json_type_of(body) != JSON_OBJECT_) {
        json_problem_add(problems, "", "type", "must be an object, not %s", json_type_name(json_type_of(body)));
        return error_set(e, STATUS_ARGUMENT, "a job is an object {kind, spec}");
    }
    arena_init(&own, BODY_ARENA_MAX);
    enum status s = read_job(j, &own, body, admin, &job, problems, e);
    if (s == STATUS_OK) {
        if (key) {
            job.traceparent = key->traceparent;
            job.tracestate = key->tracestate;
        }
        store_new_id("job", id);
        job.created_us = time_unix_us();
        s = accept_jobs(j, a, &job, 1, NULL, key, out, e);
    }
    arena_fini(&own);
    return s;
}

enum status jobs_submit(struct jobs *j, const struct json *body, char id[40], struct json_problems *problems,
                        struct error *e)
{
    id[0] = '\0';
    return submit(j, NULL, body, false, NULL, id, NULL, problems, e);
}

enum status jobs_check(struct jobs *j, struct arena *a, const struct json *body, struct job_new *out,
                       struct json_problems *problems, struct error *e)
{
    *out = (struct job_new){.id = NULL};
    if (json_type_of(body) == JSON_OBJECT_)
        return read_job(j, a, body, false, out, problems, e);
    json_problem_add(problems, "", "type", "must be an object, not %s", json_type_name(json_type_of(body)));
    return error_set(e, STATUS_ARGUMENT, "a job is an object {kind, spec}");
}

static enum status accept_one(struct jobs *j, struct arena *a, const struct json *body, bool admin,
                              const struct submit_key *key, struct submit_answer *out, struct json_problems *problems,
                              struct error *e)
{
    struct key_in_flight mine;
    char id[40];
    TRY(accept_begin(j, a, key, &mine, out, e));
    enum status s = STATUS_OK;
    if (out->outcome == SUBMIT_ACCEPTED)
        s = submit(j, a, body, admin, key, id, out, problems, e);
    accept_end(j, &mine);
    return s;
}

enum status jobs_accept(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                        struct submit_answer *out, struct json_problems *problems, struct error *e)
{
    return accept_one(j, a, body, false, key, out, problems, e);
}

enum status jobs_accept_admin(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                              struct submit_answer *out, struct json_problems *problems, struct error *e)
{
    return accept_one(j, a, body, true, key, out, problems, e);
}

/* ---- changing what waits ------------------------------------------------------------------------------------------------ */

enum status jobs_patch(struct jobs *j, const struct job_row *seen, const struct json *body, bool *stale,
                       struct json_problems *problems, struct error *e)
{
    static const char *const members[] = {"priority", "tags", "run_at", NULL};
    struct job_patch patch = {.set_priority = json_get(body, "priority"), .set_tags = json_get(body, "tags"),
                              .set_run_at = json_get(body, "run_at")};
    struct job_new read = {.id = NULL};
    struct arena own;
    *stale = false;
    if (json_type_of(body) != JSON_OBJECT_)
        json_problem_add(problems, "", "type", "must be an object, not %s", json_type_name(json_type_of(body)));
    else
        json_check_members(body, members, "", problems);
    arena_init(&own, BODY_ARENA_MAX);
    enum status s = wishes_read(&own, body, "", NULL, NULL, &read, problems, e);
    if (s == STATUS_OK && problems->n > 0)
        s = error_set(e, STATUS_ARGUMENT, "%s: %s", problems->items[0].pointer, problems->items[0].detail);
    patch.priority = read.priority;
    patch.tags = read.tags;
    patch.run_at_us = read.run_at_us;
    if (s == STATUS_OK)
        s = store_job_patch(j->store, seen->id, seen->revision, seen->state, &patch, stale, e);
    arena_fini(&own);
    if (s == STATUS_OK && !*stale)
        engine_wake(j);
    return s;
}

enum status jobs_queue_set(struct jobs *j, const struct queue_row *row, bool *stale, struct error *e)
{
    TRY(store_queue_set(j->store, row, stale, e));
    if (!*stale)
        engine_wake(j);
    return STATUS_OK;
}
