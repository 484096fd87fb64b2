/* server/trigger/thresholds.c
 *
 * Scores of one model against the running menu's thresholds, for clients that bring features and no event: without run,
 * lumi and event there are no prescales, and nothing is counted. */
#include "server/trigger/trigger_private.h"

#include <string.h>

static size_t model_in(const struct menu *m, const char *name)
{
    for (size_t i = 0; m && i < m->n_models; i++)
        if (strcmp(m->models[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

static void compare(const struct menu *m, size_t i_model, const float *scores, struct threshold_answer *out)
{
    *out = (struct threshold_answer){0};
    for (size_t i = 0; i < m->n_paths; i++) {
        const struct menu_path *path = &m->paths[i];
        if (path->i_model != i_model || !((double)scores[path->i_class] >= path->threshold))
            continue;
        out->bits |= UINT64_C(1) << i;
        out->accept |= !path->shadow;
    }
}

enum status trigger_thresholds(struct trigger *t, const char *model, const float *scores, size_t n, size_t n_classes,
                               struct threshold_answer *out, bool *found, struct error *e)
{
    struct scratch *s;
    *found = false;
    TRY(scratch_acquire(t, &s, e));
    const struct menu *m = menu_read(t, s);
    size_t i_model = model_in(m, model);
    *found = i_model != SIZE_MAX && m->models[i_model].n_classes == n_classes;
    for (size_t i = 0; i < n && *found; i++)
        compare(m, i_model, scores + i * n_classes, &out[i]);
    scratch_release(s);
    return STATUS_OK;
}

enum status trigger_uses(struct trigger *t, const char *model, bool *uses, struct error *e)
{
    struct scratch *s;
    TRY(scratch_acquire(t, &s, e));
    *uses = model_in(menu_read(t, s), model) != SIZE_MAX;
    scratch_release(s);
    return STATUS_OK;
}
