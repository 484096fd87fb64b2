/* server/cli/study.h: what a search found, as a table for people. */
#ifndef DLT_SERVER_CLI_STUDY_H
#define DLT_SERVER_CLI_STUDY_H

#include "server/json/json.h"

/* The best trials of a tune job's result, a line each; nothing when `result` is of another kind of job. */
void study_print(FILE *out, const struct json *result);

#endif
