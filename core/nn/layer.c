/* core/nn/layer.c
 *
 * The table of layer kinds. */
#include "core/nn/layer.h"

#include <string.h>

const struct layer_kind *const layer_kinds[] = {&layer_dense, &layer_relu, &layer_concat, NULL};

const struct layer_kind *layer_kind_find(const char *name)
{
    for (size_t i = 0; layer_kinds[i]; i++)
        if (strcmp(layer_kinds[i]->name, name) == 0)
            return layer_kinds[i];
    return NULL;
}
