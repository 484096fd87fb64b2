/* server/handlers/studies.c
 *
 * Studies: what a tune job has found, by the study's id once it is published, by the job's id at any time.  While the job
 * runs, the table is made of the units that it has committed. */
#include "server/handlers/handlers.h"
#include "server/store/store_jobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 48 };
#define STUDY_ARENA_MAX ((size_t)512 << 20)

void handle_study_list(struct app *app, struct request *q, struct response *r)
{
    respond_artifacts(app, q, r, "study");
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* The part of a job's host that reading its units needs. */
struct reader {
    struct store *store;
    const char *job_id;
};

static enum status read_unit(void *host, int phase, int64_t unit, struct buf *out, struct error *e)
{
    const struct reader *r = host;
    return store_unit_result(r->store, r->job_id, phase, unit, out, e);
}

static enum status read_running(struct app *app, struct arena *a, const struct job_row *job, struct study_record *out,
                                struct error *e)
{
    static const struct job_host host = {.unit_result = read_unit};
    const struct job_kind *kind = job_kind_find("tune");
    struct reader reader = {app->store, job->id};
    struct json_problems *problems = ARENA_NEW(a, struct json_problems, 1);
    void *spec = arena_alloc(a, 1, kind->spec_size);
    struct json *v;
    if (!problems || !spec)
        return error_set(e, STATUS_NOMEM, "no memory for a study");
    TRY(json_parse(job->spec, strlen(job->spec), &v, e));
    enum status s = json_decode_fields(a, kind->spec_fields, v, "/spec", spec, problems, e);
    json_free(v);
    if (s == STATUS_ARGUMENT)                     /* references to steps before it */
        return error_set(e, STATUS_CONFLICT, "job %s has not started: there is nothing to tell of its study yet", job->id);
    TRY(s);
    TRY(study_so_far(a, spec, &host, &reader, out, e));
    out->job_id = job->id;
    return STATUS_OK;
}

static enum status read_published(struct app *app, struct arena *a, const char *id, struct study_record *out,
                                  struct error *e)
{
    struct artifact_row row;
    TRY(store_artifact_get(app->store, a, "study", id, &row, e));
    return study_read(a, row.folder, out, e);
}

static const char *study_id_of(struct arena *a, const struct job_row *job)
{
    struct json *v;
    struct error e;
    if (!job->result || json_parse(job->result, strlen(job->result), &v, &e) != STATUS_OK)
        return NULL;
    const char *id = json_str(json_get(v, "study_id"), NULL);
    id = id ? arena_strdup(a, id) : NULL;
    json_free(v);
    return id;
}

/* By either id; *state is the job's, "completed" for what is published. */
static enum status read_study(struct app *app, struct arena *a, const char *id, struct study_record *out,
                              const char **state, struct error *e)
{
    struct job_row job;
    *state = job_state_name(JOB_COMPLETED);
    if (strncmp(id, "job_", 4) != 0)
        return read_published(app, a, id, out, e);
    TRY(store_job_get(app->store, a, id, &job, e));
    if (strcmp(job.kind, "tune") != 0)
        return error_set(e, STATUS_NOTFOUND, "job %s is of kind %s and has no study", id, job.kind);
    *state = job_state_name(job.state);
    const char *published = job.state == JOB_COMPLETED ? study_id_of(a, &job) : NULL;
    return published ? read_published(app, a, published, out, e) : read_running(app, a, &job, out, e);
}

/* ---- one study --------------------------------------------------------------------------------------------------- */

static struct json *summary_to_json(const struct study_record *record, const char *state)
{
    struct field fields[FIELDS_MAX];
    size_t n = 0;
    for (const struct field *f = study_record_fields; f->name; f++)
        if (strcmp(f->name, "trials") != 0 && (record->best_trial >= 0 || strcmp(f->name, "best_params") != 0)) {
            check(n + 1 < FIELDS_MAX);
            fields[n++] = *f;
        }
    fields[n] = (struct field)FIELD_END;
    struct json *v = json_encode_fields(fields, record);
    if (record->best_trial < 0)
        json_set(v, "best_params", json_new_null());
    json_set(v, "state", json_new_string(state));
    return v;
}

void handle_study_get(struct app *app, struct request *q, struct response *r)
{
    struct study_record record;
    struct arena a;
    struct error e;
    const char *state;
    arena_init(&a, STUDY_ARENA_MAX);
    if (read_study(app, &a, q->params[0], &record, &state, &e) == STATUS_OK)
        respond_json_tagged(q, r, summary_to_json(&record, state));
    else
        respond_error(q, r, &e);
    arena_fini(&a);
}

/* ---- its trials -------------------------------------------------------------------------------------------------- */

static const char *const sort_names[] = {"rank", "trial", "value", "loss", "accuracy", "epochs", "seconds"};

static double sort_key(const struct study_trial *t, size_t by)
{
    const double keys[] = {t->rank > 0 ? (double)t->rank : NAN, (double)t->trial, t->value, t->loss, t->accuracy,
                           (double)t->epochs, t->seconds};
    _Static_assert(ARRAY_LEN(keys) == ARRAY_LEN(sort_names), "a key for each name");
    return keys[by];
}

struct sorted {
    double key;
    size_t i;
};

/* What has no key comes last, whichever way the rest is sorted. */
static int by_key(const void *a_, const void *b_)
{
    const struct sorted *a = a_, *b = b_;
    if (isnan(a->key) != isnan(b->key))
        return isnan(a->key) ? 1 : -1;
    if (!isnan(a->key) && a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->i < b->i ? -1 : a->i > b->i;
}

static bool read_sort(struct request *q, struct response *r, size_t *by, bool *falling)
{
    const char *name = request_query(q, "sort");
    *by = 0;
    *falling = name && name[0] == '-';
    if (!name)
        return true;
    for (; *by < ARRAY_LEN(sort_names); ++*by)
        if (strcmp(sort_names[*by], name + *falling) == 0)
            return true;
    respond_problem(q, r, "invalid_query", NULL, "sort is one of rank, trial, value, loss, accuracy, epochs and seconds, "
                    "with '-' before it for the largest first.");
    return false;
}

static void respond_trials(struct request *q, struct response *r, const struct page *page,
                           const struct study_record *record, size_t by, bool falling)
{
    const struct study_trial *trials = record->trials.items;
    const char *state = request_query(q, "state");
    struct sorted *order = ARENA_NEW(&q->arena, struct sorted, record->trials.n_items + 1);
    size_t n = 0, first = page->before ? strtoull(page->before, NULL, 10) + 1 : 0;
    struct json *items = json_new_array();
    for (size_t i = 0; order && i < record->trials.n_items; i++)
        if (!state || strcmp(state, trials[i].state) == 0) {
            double key = sort_key(&trials[i], by);
            order[n++] = (struct sorted){falling ? -key : key, i};
        }
    if (order)
        qsort(order, n, sizeof *order, by_key);
    size_t end = first + page->limit < n ? first + page->limit : n;
    for (size_t i = first; i < end; i++)
        json_push(items, json_encode_fields(study_trial_fields, &trials[order[i].i]));
    char last[24];
    snprintf(last, sizeof last, "%zu", end > 0 ? end - 1 : 0);
    if (!order) {
        json_free(items);
        items = NULL;
    }
    respond_page(q, r, page, items, end < n ? last : NULL);
}

void handle_study_trials(struct app *app, struct request *q, struct response *r)
{
    struct study_record record;
    struct page page;
    struct arena a;
    struct error e;
    const char *state;
    size_t by;
    bool falling;
    if (!page_read(q, r, &page) || !read_sort(q, r, &by, &falling))
        return;
    arena_init(&a, STUDY_ARENA_MAX);
    if (read_study(app, &a, q->params[0], &record, &state, &e) == STATUS_OK)
        respond_trials(q, r, &page, &record, by, falling);
    else
        respond_error(q, r, &e);
    arena_fini(&a);
}
