/* core/io/read_streams.h
 *
 * Guesses from the blocks that have been read which ones will be. */
#ifndef DLT_CORE_IO_READ_STREAMS_H
#define DLT_CORE_IO_READ_STREAMS_H

#include "core/base.h"

enum { READ_STREAMS = 8 };

/* One place in the file from which somebody reads onwards. */
struct read_stream {
    uint64_t front;                              /* one behind the last block read */
    uint64_t ahead_end;                          /* one behind the last block that was to be fetched ahead */
    uint64_t used;                               /* tick of the last read; 0: never */
    unsigned streak;                             /* reads that followed each other */
};

/* All zero at first. */
struct read_streams {
    struct read_stream streams[READ_STREAMS];
    uint64_t tick;
};

/* A read has touched `touched` of the blocks [first, end).  Where it carries on from one before, and leaves out less
 * than half of the way, the blocks behind it are wanted soon: at first as many as the read had, then more, up to
 * `ahead_max`.  True: fetch [*from, *to). */
bool read_streams_note(struct read_streams *all, uint64_t first, uint64_t end, uint64_t touched, uint64_t ahead_max,
                       uint64_t *from, uint64_t *to);

#endif
