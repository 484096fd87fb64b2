/* server/json/json_private.h
 *
 * What the files of this folder share: the cast between our name and jansson's, and the mark of a container that lacks
 * a member. */
#ifndef DLT_SERVER_JSON_PRIVATE_H
#define DLT_SERVER_JSON_PRIVATE_H

#include "server/json/json.h"

#include <jansson.h>

static inline json_t *raw(const struct json *v) { return (json_t *)(uintptr_t)v; }
static inline struct json *wrap(json_t *v) { return (struct json *)v; }

#define VALUE_TEXT_MAX ((size_t)1 << 20)          /* of one value of a search space */
extern const struct field json_range_fields[];    /* of struct field_axis: a range as it is in JSON */

/* Whether this very container could not take a member; NULL is incomplete too. */
bool json_is_incomplete(const json_t *v);
/* Whether nothing is missing in the whole tree. */
bool json_is_complete(const struct json *v);

#endif
