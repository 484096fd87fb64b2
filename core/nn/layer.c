/* core/nn/layer.c
 *
 * The table of layer kinds. */
#include "core/nn/layer.h"

#include <string.h>

const struct layer_kind *const layer_kinds[] = {&layer_dense,     &layer_relu,      &layer_concat,  &layer_gru,
                                                &layer_lstm,      &layer_dropout,   &layer_mean_pool, &layer_flatten,
                                                &layer_attention, &layer_layer_norm, &layer_add,      NULL};

const struct layer_kind *layer_kind_find(const char *name)
{
    for (size_t i = 0; layer_kinds[i]; i++)
        if (strcmp(layer_kinds[i]->name, name) == 0)
            return layer_kinds[i];
    return NULL;
}

size_t layer_steps(const struct shape *s, const struct layer_call *c)
{
    if (s->steps == 0)
        return 1;
    size_t most = c->length ? 0 : s->steps;
    for (size_t r = 0; c->length && r < c->n; r++)
        most = c->length[r] > most ? c->length[r] : most;
    check(most <= s->steps);
    return most;
}
