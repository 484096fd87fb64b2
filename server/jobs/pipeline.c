/* server/jobs/pipeline.c
 *
 * Several jobs in one body.  A step may refer to another's result before there is one ("$ft.dataset_id"): at submission
 * the reference itself is checked and what it stands for is taken on trust; when the step starts, the value is put in
 * and the whole spec is validated as if it had been posted so. */
#include "server/jobs/references.h"

#include <string.h>

enum { STEPS_MAX = 100, NAME_MAX_BYTES = 64, REFERENCES_MAX = 64 };

struct step {
    const char *name;
    const struct job_kind *kind;
    const struct json *body;
    bool needs[STEPS_MAX];
    char id[40], sha256[65], pointer[32];
    struct job_new job;
};

struct pipeline {
    struct jobs *jobs;
    struct arena *a;
    const char *name;
    char id[40];
    struct step *steps;
    size_t n;
    struct json_problems *problems;
    struct arena *answer_arena;
    const struct submit_key *key;
    const struct job_webhook *webhook;
    struct submit_answer *answer;                 /* NULL: nobody wants one */
};

/* ---- checking a step ---------------------------------------------------------------------------------------------------- */

static size_t step_find(const struct pipeline *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].name && strcmp(p->steps[i].name, name) == 0)
            return i;
    return STEPS_MAX;
}

struct references {
    struct pipeline *pipeline;
    struct step *step;
    size_t n;
    char pointers[REFERENCES_MAX][160];
};

/* The step and the member must exist; the referring step then needs the other. */
static void note_reference(void *ctx, const char *pointer, const char *step, const char *member)
{
    struct references *r = ctx;
    struct json_problems *problems = r->pipeline->problems;
    size_t i = step_find(r->pipeline, step);
    if (r->n == REFERENCES_MAX) {
        json_problem_add(problems, pointer, "reference", "more than %d references in a step", REFERENCES_MAX);
        return;
    }
    text_copy(r->pointers[r->n++], sizeof r->pointers[0], pointer);
    if (i == STEPS_MAX) {
        json_problem_add(problems, pointer, "reference", "there is no step \"%s\"", step);
        return;
    }
    r->step->needs[i] = true;
    const struct job_kind *kind = r->pipeline->steps[i].kind;
    if (kind && !field_find(kind->result_fields, member))
        json_problem_add(problems, pointer, "reference", "the result of %s (%s) has no member \"%s\"", step, kind->name,
                         member);
}

static bool is_reference(const struct references *r, const char *pointer)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->pointers[i], pointer) == 0)
            return true;
    return false;
}

/* The kind's own check of a spec that decodes as it stands, all its references being texts.  What it says of a reference,
 * or of no member in particular, does not count: the value is not there yet. */
static enum status check_own(struct pipeline *p, const struct step *s, const void *decoded, const struct references *r,
                             const char *where, struct error *e)
{
    char pointer[160];
    struct error why;
    enum status st = s->kind->validate ? s->kind->validate(decoded, &why) : STATUS_OK;
    const char *colon = st != STATUS_OK && why.text[0] == '/' ? strstr(why.text, ": ") : NULL;
    if (st == STATUS_NOMEM)
        return error_set(e, st, "%s", why.text);
    if (!colon || (size_t)snprintf(pointer, sizeof pointer, "%s%.*s", where, (int)(colon - why.text), why.text) >=
                      sizeof pointer)
        return STATUS_OK;
    if (!is_reference(r, pointer))
        json_problem_add(p->problems, pointer, "invalid", "%s", colon + 2);
    return STATUS_OK;
}

/* A spec with references is decoded as it stands, and what is wrong at a reference does not count. */
static enum status check_with_references(struct pipeline *p, struct step *s, const struct json *spec,
                                         const struct references *r, const char *where, struct error *e)
{
    struct json_problems *found = ARENA_NEW(p->a, struct json_problems, 1);
    void *decoded = arena_alloc(p->a, 1, s->kind->spec_size);
    if (!found || !decoded)
        return error_set(e, STATUS_NOMEM, "no memory for a spec");
    enum status st = json_decode_fields(p->a, s->kind->spec_fields, spec, where, decoded, found, e);
    if (st != STATUS_OK && st != STATUS_ARGUMENT)
        return st;
    for (size_t i = 0; i < found->n; i++)
        if (!is_reference(r, found->items[i].pointer))
            json_problem_add(p->problems, found->items[i].pointer, found->items[i].code, "%s", found->items[i].detail);
    if (st == STATUS_OK)
        TRY(check_own(p, s, decoded, r, where, e));
    TRY(json_text(p->a, spec, &s->job.spec, e));
    sha256_hex(s->job.spec, strlen(s->job.spec), s->sha256);
    return STATUS_OK;
}

static enum status check_spec(struct pipeline *p, struct step *s, struct error *e)
{
    char where[160];
    void *decoded;
    const struct json *spec = json_get(s->body, "spec");
    json_pointer_child(where, s->pointer, "spec");
    if (!spec)
        json_problem_add(p->problems, where, "required", "is required");
    if (!spec || !s->kind)
        return STATUS_OK;
    struct references *r = ARENA_NEW(p->a, struct references, 1);
    if (!r)
        return error_set(e, STATUS_NOMEM, "no memory for references");
    r->pipeline = p;
    r->step = s;
    references_visit(spec, where, note_reference, r);
    TRY(inputs_check(p->jobs, p->a, spec, where, p->problems, e));
    if (r->n > 0)
        return check_with_references(p, s, spec, r, where, e);
    enum status st = spec_check(p->a, s->kind, spec, where, &decoded, &s->job.spec, s->sha256, p->problems, e);
    return st == STATUS_ARGUMENT ? STATUS_OK : st;
}

static void check_needs(struct pipeline *p, struct step *s)
{
    char where[160];
    const struct json *needs = json_get(s->body, "needs");
    json_pointer_child(where, s->pointer, "needs");
    if (needs && json_type_of(needs) != JSON_ARRAY_)
        json_problem_add(p->problems, where, "type", "must be an array, not %s", json_type_name(json_type_of(needs)));
    for (size_t i = 0; json_type_of(needs) == JSON_ARRAY_ && i < json_count(needs); i++) {
        const char *name = json_str(json_at(needs, i), "");
        size_t at = step_find(p, name);
        if (at == STEPS_MAX)
            json_problem_add(p->problems, where, "reference", "there is no step \"%.60s\"", name);
        else
            s->needs[at] = true;
    }
}

static enum status check_step(struct pipeline *p, struct step *s, struct error *e)
{
    static const char *const members[] = {"id", "kind", "spec", "needs", WISHES, NULL};
    json_check_members(s->body, members, s->pointer, p->problems);
    check_needs(p, s);
    TRY(wishes_read(p->a, s->body, s->pointer, s->kind, p->name, &s->job, p->problems, e));
    return check_spec(p, s, e);
}

/* ---- the pipeline --------------------------------------------------------------------------------------------------------- */

static void read_name(struct pipeline *p, const struct json *body)
{
    const struct json *v = json_get(body, "name");
    const char *name = json_str(v, NULL);
    if (!v)
        return;
    if (!name || !*name || strlen(name) > NAME_MAX_BYTES || !text_is_clean(name, strlen(name)))
        json_problem_add(p->problems, "/name", "text", "must be a string of 1 to %d bytes", NAME_MAX_BYTES);
    else
        p->name = name;
}

static bool is_step_name(const char *name)
{
    char step[STEP_NAME_MAX + 1], member[REFERENCE_MEMBER_MAX + 1], text[STEP_NAME_MAX + 8];
    if (strlen(name) > STEP_NAME_MAX)
        return false;
    snprintf(text, sizeof text, "$%s.m", name);
    return reference_parse(text, step, member);
}

/* Names and kinds of all steps, before anything refers to them. */
static void read_steps(struct pipeline *p, const struct json *steps)
{
    for (size_t i = 0; i < p->n; i++) {
        struct step *s = &p->steps[i];
        char where[160];
        s->body = json_at(steps, i);
        snprintf(s->pointer, sizeof s->pointer, "/steps/%zu", i);
        json_pointer_child(where, s->pointer, "id");
        const char *name = json_str(json_get(s->body, "id"), "");
        if (json_type_of(s->body) != JSON_OBJECT_)
            json_problem_add(p->problems, s->pointer, "type", "must be an object");
        else if (!is_step_name(name))
            json_problem_add(p->problems, where, "text", "a step's id has 1 to %d letters, digits, '_' and '-'",
                             STEP_NAME_MAX);
        else if (step_find(p, name) != STEPS_MAX)
            json_problem_add(p->problems, where, "duplicate", "there is a step \"%s\" already", name);
        else
            s->name = name;
        s->kind = kind_read(p->jobs, s->body, s->pointer, false, p->problems);
    }
}

/* Takes away, again and again, the steps that need none of the rest: what stays is a circle. */
static void check_circles(struct pipeline *p)
{
    bool gone[STEPS_MAX] = {false};
    size_t n_gone = 0;
    for (bool some = true; some;) {
        some = false;
        for (size_t i = 0; i < p->n; i++) {
            bool waits = gone[i];
            for (size_t k = 0; k < p->n && !waits; k++)
                waits = p->steps[i].needs[k] && !gone[k];
            if (waits)
                continue;
            gone[i] = some = true;
            n_gone++;
        }
    }
    for (size_t i = 0; i < p->n && n_gone < p->n; i++)
        if (!gone[i]) {
            json_problem_add(p->problems, p->steps[i].pointer, "circle", "the step needs itself, directly or by others");
            return;
        }
}

/* The ids of the steps that a step needs, as JSON array text. */
static enum status write_needs(struct pipeline *p, struct step *s, struct error *e)
{
    struct json *ids = json_new_array();
    for (size_t k = 0; k < p->n; k++)
        if (s->needs[k])
            json_push(ids, json_new_string(p->steps[k].id));
    enum status st = json_count(ids) > 0 || !ids ? json_text(p->a, ids, &s->job.needs, e) : STATUS_OK;
    json_free(ids);
    return st;
}

static enum status insert_steps(struct pipeline *p, struct error *e)
{
    struct job_new *jobs = ARENA_NEW(p->a, struct job_new, p->n);
    int64_t now_us = time_unix_us();
    if (!jobs)
        return error_set(e, STATUS_NOMEM, "no memory for a pipeline");
    store_new_id("pl", p->id);
    for (size_t i = 0; i < p->n; i++)
        store_new_id("job", p->steps[i].id);
    for (size_t i = 0; i < p->n; i++) {
        struct step *s = &p->steps[i];
        TRY(write_needs(p, s, e));
        s->job.id = s->id;
        s->job.kind = s->kind->name;
        s->job.spec_sha256 = s->sha256;
        s->job.pipeline_id = p->id;
        s->job.step = s->name;
        s->job.created_us = now_us;
        s->job.traceparent = p->key ? p->key->traceparent : NULL;
        s->job.tracestate = p->key ? p->key->tracestate : NULL;
        jobs[i] = s->job;
    }
    jobs[0].webhook = p->webhook;
    return accept_jobs(p->jobs, p->answer_arena, jobs, p->n, p->id, p->key, p->answer, e);
}

static enum status submit(struct pipeline *p, const struct json *body, struct error *e)
{
    static const char *const members[] = {"name", "steps", "webhook", NULL};
    const struct json *steps = json_get(body, "steps");
    if (json_type_of(body) != JSON_OBJECT_) {
        json_problem_add(p->problems, "", "type", "must be an object, not %s", json_type_name(json_type_of(body)));
        return error_set(e, STATUS_ARGUMENT, "a pipeline is an object {name, steps}");
    }
    json_check_members(body, members, "", p->problems);
    read_name(p, body);
    struct job_webhook *webhook = NULL;
    TRY(webhook_read(p->jobs, p->a, body, (const struct job_webhook **)&webhook, p->problems, e));
    if (webhook)
        webhook->whole_pipeline = true;
    p->webhook = webhook;
    p->n = json_type_of(steps) == JSON_ARRAY_ ? json_count(steps) : 0;
    if (p->n == 0 || p->n > STEPS_MAX) {
        json_problem_add(p->problems, "/steps", "length", "must be an array of 1 to %d steps", STEPS_MAX);
        p->n = 0;
    }
    p->steps = ARENA_NEW(p->a, struct step, p->n + 1);
    if (!p->steps)
        return error_set(e, STATUS_NOMEM, "no memory for a pipeline");
    read_steps(p, steps);
    for (size_t i = 0; i < p->n; i++)
        TRY(check_step(p, &p->steps[i], e));
    check_circles(p);
    if (p->problems->n > 0)
        return error_set(e, STATUS_ARGUMENT, "%s: %s", p->problems->items[0].pointer, p->problems->items[0].detail);
    return insert_steps(p, e);
}

#define PIPELINE_ARENA_MAX ((size_t)256 << 20)

static enum status copy_ids(const struct pipeline *p, struct field_list *job_ids, struct arena *a, struct error *e)
{
    const char **ids = ARENA_NEW(a, const char *, p->n);
    for (size_t i = 0; ids && i < p->n; i++)
        if (!(ids[i] = arena_strdup(a, p->steps[i].id)))
            ids = NULL;
    if (!ids)
        return error_set(e, STATUS_NOMEM, "no memory for the ids of a pipeline");
    *job_ids = (struct field_list){ids, p->n};
    return STATUS_OK;
}

enum status jobs_submit_pipeline(struct jobs *j, const struct json *body, char pipeline_id[40], struct field_list *job_ids,
                                 struct arena *a, struct json_problems *problems, struct error *e)
{
    struct arena own;
    *job_ids = (struct field_list){NULL, 0};
    pipeline_id[0] = '\0';
    arena_init(&own, PIPELINE_ARENA_MAX);
    struct pipeline p = {.jobs = j, .a = &own, .problems = problems};
    enum status s = submit(&p, body, e);
    if (s == STATUS_OK) {
        memcpy(pipeline_id, p.id, sizeof p.id);
        s = copy_ids(&p, job_ids, a, e);
    }
    arena_fini(&own);
    return s;
}

enum status jobs_accept_pipeline(struct jobs *j, struct arena *a, const struct json *body, const struct submit_key *key,
                                 struct submit_answer *out, struct json_problems *problems, struct error *e)
{
    struct arena own;
    struct key_in_flight mine;
    TRY(accept_begin(j, a, key, &mine, out, e));
    arena_init(&own, PIPELINE_ARENA_MAX);
    struct pipeline p = {.jobs = j, .a = &own, .problems = problems, .answer_arena = a, .key = key, .answer = out};
    enum status s = out->outcome == SUBMIT_ACCEPTED ? submit(&p, body, e) : STATUS_OK;
    arena_fini(&own);
    accept_end(j, &mine);
    return s;
}
