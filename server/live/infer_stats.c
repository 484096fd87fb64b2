/* server/live/infer_stats.c
 *
 * A short table behind a mutex that is held for an addition. */
#include "server/live/infer_stats.h"

#include <pthread.h>
#include <string.h>

#include "core/base.h"

struct infer_stats {
    pthread_mutex_t lock;
    size_t n;
    struct infer_count counts[INFER_STATS_MAX];
};

enum status infer_stats_create(struct infer_stats **out, struct error *e)
{
    *out = mem_calloc(1, sizeof **out);
    if (!*out)
        return error_set(e, STATUS_NOMEM, "no memory to count inferences");
    check(pthread_mutex_init(&(*out)->lock, NULL) == 0);
    return STATUS_OK;
}

void infer_stats_destroy(struct infer_stats *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static struct infer_count *find(struct infer_stats *s, const char *model)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->counts[i].model, model) == 0)
            return &s->counts[i];
    return NULL;
}

void infer_stats_add(struct infer_stats *s, const char *model, bool success, int64_t n_events, int64_t total_ns,
                     int64_t compute_ns)
{
    pthread_mutex_lock(&s->lock);
    struct infer_count *c = find(s, model);
    if (!c && s->n < INFER_STATS_MAX) {
        c = &s->counts[s->n++];
        text_copy(c->model, sizeof c->model, model);
    }
    if (c && success) {
        c->n_success++;
        c->n_events += n_events;
        c->success_ns += total_ns;
        c->compute_ns += compute_ns;
        c->last_us = time_unix_us();
    } else if (c) {
        c->n_fail++;
        c->fail_ns += total_ns;
    }
    pthread_mutex_unlock(&s->lock);
}

struct infer_count infer_stats_of(struct infer_stats *s, const char *model)
{
    struct infer_count out = {.n_success = 0};
    pthread_mutex_lock(&s->lock);
    const struct infer_count *c = find(s, model);
    if (c)
        out = *c;
    pthread_mutex_unlock(&s->lock);
    text_copy(out.model, sizeof out.model, model);
    return out;
}
