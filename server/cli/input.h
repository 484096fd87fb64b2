/* server/cli/input.h
 *
 * Delphes files as the commands read them: opened by path or URL, events in batches, entries as the user names them. */
#ifndef DLT_SERVER_CLI_INPUT_H
#define DLT_SERVER_CLI_INPUT_H

#include "core/root.h"

struct input {
    struct source *source;
    struct delphes *delphes;
    struct event_batch batch;
    int64_t n_entries;
};

/* Opens a path or URL; hosts of URLs given on the command line are reached without further leave. */
enum status input_source(const char *url, struct source **out, struct error *e) MUST_USE;
/* On OK and on error input_close() is due. */
enum status input_open(struct input *in, const char *url, const char *tree, struct error *e) MUST_USE;
void input_close(struct input *in);
/* "A:B" (B not included), "A:", ":B", "A"; NULL: all.  false: malformed. */
bool input_entries(const char *text, int64_t *first, int64_t *end);
/* Entries within the file; `end` is cut to it, a first entry beyond it is RANGE. */
enum status input_range(const struct input *in, int64_t first, int64_t *end, struct error *e) MUST_USE;

#endif
