/* core/base/keep.h: freed memory that a running job keeps for its next batch.
 *
 * A job allocates and frees the same tens of megabytes batch after batch; given back to the system each time, every
 * page is zeroed and faulted in anew, which took a quarter of an ingest.  The setting is the process's, may be made at
 * any time and again, and changes no result. */
#ifndef DLT_CORE_BASE_KEEP_H
#define DLT_CORE_BASE_KEEP_H

/* From now on up to 128 MB of freed memory stay with the process. */
void mem_keep(void);
/* Gives back what is kept and not in use, and keeps little from now on.  Another job that runs at the same time says
 * mem_keep() again with its next unit. */
void mem_give_back(void);

#endif
