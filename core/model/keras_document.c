/* core/model/keras_document.c
 *
 * Looking into a document that may be anything. */
#include "core/model/keras.h"

#include <string.h>

const struct document *document_get(const struct document *object, const char *name)
{
    if (!object || object->kind != DOCUMENT_OBJECT)
        return NULL;
    for (const struct document *d = object->first; d; d = d->next)
        if (d->name && strcmp(d->name, name) == 0)
            return d;
    return NULL;
}

const struct document *document_at(const struct document *list, size_t i)
{
    if (!list || list->kind != DOCUMENT_LIST)
        return NULL;
    const struct document *d = list->first;
    while (d && i-- > 0)
        d = d->next;
    return d;
}

size_t document_count(const struct document *list)
{
    size_t n = 0;
    if (list && list->kind == DOCUMENT_LIST)
        for (const struct document *d = list->first; d; d = d->next)
            n++;
    return n;
}

const char *document_text(const struct document *d, const char *otherwise)
{
    return d && d->kind == DOCUMENT_TEXT ? d->text : otherwise;
}

double document_number(const struct document *d, double otherwise)
{
    return d && (d->kind == DOCUMENT_NUMBER || d->kind == DOCUMENT_BOOL) ? d->number : otherwise;
}

bool document_true(const struct document *d)
{
    return d && d->kind == DOCUMENT_BOOL && d->number != 0;
}
bool document_is_null(const struct document *d)
{
    return !d || d->kind == DOCUMENT_NULL;
}
