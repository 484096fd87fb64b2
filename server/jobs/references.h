/* server/jobs/references.h
 *
 * "$step.member" in the spec of a pipeline's step. */
#ifndef DLT_SERVER_JOBS_REFERENCES_H
#define DLT_SERVER_JOBS_REFERENCES_H

#include "server/jobs/engine.h"

enum { STEP_NAME_MAX = 40, REFERENCE_MEMBER_MAX = 63 };

/* Takes "$step.member" apart; false for any other text. */
bool reference_parse(const char *text, char step[STEP_NAME_MAX + 1], char member[REFERENCE_MEMBER_MAX + 1]);
/* Calls fn for each reference in a value, with the JSON pointer to it. */
void references_visit(const struct json *value, const char *pointer,
                      void (*fn)(void *ctx, const char *pointer, const char *step, const char *member), void *ctx);

#endif
