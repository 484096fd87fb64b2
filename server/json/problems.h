/* server/json/problems.h
 *
 * The nearest known name for one that is not: shared by members and choices. */
#ifndef DLT_SERVER_JSON_PROBLEMS_H
#define DLT_SERVER_JSON_PROBLEMS_H

#include "server/json/json.h"

/* Start from {NULL, 0}, offer every known name; `name` is then the best that is near enough, or NULL. */
struct json_nearest {
    const char *name;
    size_t distance;
};
void json_nearest_offer(struct json_nearest *n, const char *given, const char *known);
void json_problem_unknown(struct json_problems *p, const char *pointer, const char *key, const char *nearest);

#endif
