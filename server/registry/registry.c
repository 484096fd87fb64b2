/* server/registry/registry.c
 *
 * A cache of loaded models by artifact id.  One mutex, also held while a file is read, so that a model which many ask
 * for at once is read once.  Scoring never comes here: it holds its own reference. */
#include "server/registry/registry.h"

#include <pthread.h>
#include <string.h>

#include "core/work.h"

struct entry {
    char id[64], canonical[200];
    struct model *model;
    uint64_t used;                     /* tick of the last get */
};

struct registry {
    struct store *store;
    pthread_mutex_t lock;
    uint64_t tick;
    size_t n;
    struct entry entries[REGISTRY_MODELS_MAX];
};

enum status registry_create(struct store *store, struct registry **out, struct error *e)
{
    *out = mem_calloc(1, sizeof **out);
    if (!*out)
        return error_set(e, STATUS_NOMEM, "no memory for the model registry");
    (*out)->store = store;
    check(pthread_mutex_init(&(*out)->lock, NULL) == 0);
    return STATUS_OK;
}

void registry_destroy(struct registry *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        model_release(r->entries[i].model);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

static enum status load(const struct artifact_row *row, struct model **out, struct error *e)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/" MODEL_FILE, row->folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return error_set(e, STATUS_RANGE, "the path of its folder is too long");
    TRY(model_load(path, out, e));
    if (row->sha256 && strcmp(model_sha256(*out), row->sha256) == 0)
        return STATUS_OK;
    (void)error_set(e, STATUS_FORMAT, "its file has SHA-256 %.12s, registered was %.12s: the file was changed",
                    model_sha256(*out), row->sha256 ? row->sha256 : "none");
    model_release(*out);
    *out = NULL;
    return STATUS_FORMAT;
}

/* The entry of an id, or a free or the longest unused one (*found false), emptied. */
static struct entry *entry_for(struct registry *r, const char *id, bool *found)
{
    struct entry *oldest = &r->entries[0];
    for (size_t i = 0; i < r->n; i++) {
        *found = strcmp(r->entries[i].id, id) == 0;
        if (*found)
            return &r->entries[i];
        if (r->entries[i].used < oldest->used)
            oldest = &r->entries[i];
    }
    *found = false;
    if (r->n < REGISTRY_MODELS_MAX)
        return &r->entries[r->n];
    return oldest;
}

static enum status get_locked(struct registry *r, const struct artifact_row *row, const char *canonical,
                              struct model **out, struct error *e)
{
    bool found;
    struct entry *entry = entry_for(r, row->id, &found);
    if (!found) {
        struct model *m;
        TRY(load(row, &m, e));
        if (entry == &r->entries[r->n])
            r->n++;
        else
            model_release(entry->model);
        entry->model = m;
        text_copy(entry->id, sizeof entry->id, row->id);
        text_copy(entry->canonical, sizeof entry->canonical, canonical);
    }
    entry->used = ++r->tick;
    model_acquire(entry->model);
    *out = entry->model;
    return STATUS_OK;
}

enum status registry_get(struct registry *r, struct arena *a, const char *ref, struct model **out,
                         const char **canonical, struct error *e)
{
    struct artifact_row row;
    *out = NULL;
    TRY(store_model_resolve(r->store, a, ref, &row, e));
    *canonical = arena_printf(a, "%s@%lld", row.name, (long long)row.version);
    if (!*canonical)
        return error_set(e, STATUS_NOMEM, "no memory for a model's name");
    check(strlen(row.id) < sizeof r->entries[0].id);
    pthread_mutex_lock(&r->lock);
    enum status s = get_locked(r, &row, *canonical, out, e);
    pthread_mutex_unlock(&r->lock);
    return s == STATUS_OK ? s : error_wrap(e, "model %s", *canonical);
}

void registry_forget(struct registry *r, const char *canonical)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->entries[i].canonical, canonical) == 0) {
            model_release(r->entries[i].model);
            r->entries[i] = r->entries[--r->n];
            break;
        }
    pthread_mutex_unlock(&r->lock);
}

size_t registry_loaded(struct registry *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->n;
    pthread_mutex_unlock(&r->lock);
    return n;
}
