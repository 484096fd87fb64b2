/* core/sandbox/private.h
 *
 * What parent and child agree on. */
#ifndef DLT_CORE_SANDBOX_PRIVATE_H
#define DLT_CORE_SANDBOX_PRIVATE_H

#include "core/sandbox.h"

/* Arguments of a child: SANDBOX_CHILD TASK MEMORY RESULT SECONDS.  Descriptor 0 is the input (sealed, in memory): the
 * number of parts and the length of each as uint64_t, then the parts; 1 the pipe that takes the answer. */
#define SANDBOX_CHILD "--sandboxed-child"
enum { SANDBOX_ARGUMENTS = 6, SANDBOX_ANSWER_FD = 1 };

/* The answer: this head, then `bytes` bytes.  The parent believes none of it without looking. */
enum sandbox_word { SANDBOX_RESULT = 0x444c5401, SANDBOX_ERROR, SANDBOX_REFUSED };
struct sandbox_head {
    uint32_t word;   /* enum sandbox_word */
    uint32_t status; /* ERROR: enum status; the bytes are its text.  REFUSED: the system call */
    uint64_t bytes;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif

/* child.c: whether this program answers to SANDBOX_CHILD. */
bool sandbox_can_host(void);

/* walls.c, in the child. */

/* No new rights, no core file, death with the parent, no descriptors but 0, 1 and 2 (/dev/null). */
enum status walls_begin(struct error *e) MUST_USE;
/* From here on: memory, and writing to SANDBOX_ANSWER_FD.  What else is tried ends the child with SANDBOX_REFUSED. */
enum status walls_close(size_t memory_bytes, int64_t seconds, bool files_absent, struct error *e) MUST_USE;

#endif
