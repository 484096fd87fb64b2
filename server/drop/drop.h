/* server/drop/drop.h
 *
 * Watched folders: each ROOT file that is dropped there is ingested once, by a job of its own.
 *   DIR/CLASS/file.root     class CLASS: the name of the sub-folder
 *   DIR/file.root           the class that the folder was given with (DIR=CLASS); without one it is refused, visibly
 * A file is complete when its size and time of change have stood still for settle_seconds, or at once when a file of its
 * name with ".done" behind it is there.  Taken is a path with its size and time: the store remembers, a restart ingests
 * nothing twice, and a file that was replaced is taken again. */
#ifndef DLT_SERVER_DROP_H
#define DLT_SERVER_DROP_H

#include "server/jobs/jobs.h"

struct drop;
struct drop_options {
    const char *const *folders;        /* "DIR" or "DIR=CLASS", real paths */
    size_t n_folders;
    double settle_seconds;
    struct store *store;
    struct jobs *jobs;
};
enum status drop_create(const struct drop_options *o, struct drop **out, struct error *e) MUST_USE;
void drop_destroy(struct drop *d);     /* NULL allowed */
/* Looks at all folders; from one thread.  What goes wrong is logged, and listed as a dropped file when it is about one. */
void drop_scan(struct drop *d);
/* "DIR" of "DIR=CLASS" into out; *label is what follows, or NULL. */
void drop_split(const char *given, char out[4096], const char **label);

#endif
