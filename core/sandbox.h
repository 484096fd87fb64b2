/* core/sandbox.h
 *
 * Parsers that are not to be trusted with the process: a function of ours runs in a child that is this program started
 * again (posix_spawn of /proc/self/exe: never fork, OpenBLAS has threads).  The child can compute, allocate up to a
 * limit, and write its answer; no file, network, process or other system call is open to it.  Whatever the input makes
 * of it, the parent gets bytes or an error. */
#ifndef DLT_CORE_SANDBOX_H
#define DLT_CORE_SANDBOX_H

#include "core/base.h"

enum { SANDBOX_PARTS_MAX = 8 };

/* What a child may be asked to do.  prepare (may be NULL) runs before the walls go up and before any input is looked
 * at: it opens libraries and draws random seeds.  run gets the parts that sandbox_run was given and appends its answer.
 */
struct sandbox_task {
    const char *name;
    enum status (*prepare)(struct error *e);
    enum status (*run)(const struct span *parts, size_t n_parts, struct buf *out, struct error *e);
    bool files_absent; /* opening a file says that there is none, instead of ending the child: for
                          libraries that look before they do without */
};

/* First in main() of a program that hosts children.  In a child it does not return; else it notes that this program
 * answers to the hidden first argument.  `tasks` ends with NULL. */
void sandbox_init(int argc, char **argv, const struct sandbox_task *const *tasks);

struct sandbox_limits {
    size_t memory_bytes; /* that the child may allocate (not in builds with sanitizers) */
    size_t result_bytes;
    int64_t seconds; /* of processor time, and twice as much by the clock */
};

/* Runs the task on the parts and appends its answer to `out`.  Takes some milliseconds more than the function itself.
 * Fails: as the task does (NOMEM becomes RANGE: its memory is what the limits say); FORMAT when the input made it
 * crash, loop, answer too much or try what it may not, saying which; UNSUPPORTED where there can be no child; NOMEM,
 * IO. */
enum status sandbox_run(const char *task, const struct span *parts, size_t n_parts, const struct sandbox_limits *limits,
                        struct buf *out, struct error *e) MUST_USE;

#endif
