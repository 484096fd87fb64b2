/* core/io/read_streams.c */
#include "core/io/read_streams.h"

enum { SLACK = 8 };                              /* blocks that a read may lie off the end of the one before */

static bool carries_on(const struct read_stream *s, uint64_t first)
{
    return s->used > 0 && first <= s->front + SLACK && first + SLACK >= s->front;
}

/* The stream that the read belongs to, or the one unused for longest. */
static struct read_stream *find_stream(struct read_streams *all, uint64_t first)
{
    struct read_stream *oldest = all->streams;
    for (struct read_stream *s = all->streams; s < all->streams + READ_STREAMS; s++) {
        if (carries_on(s, first))
            return s;
        if (s->used < oldest->used)
            oldest = s;
    }
    return oldest;
}

bool read_streams_note(struct read_streams *all, uint64_t first, uint64_t end, uint64_t touched, uint64_t ahead_max,
                       uint64_t *from, uint64_t *to)
{
    struct read_stream *s = find_stream(all, first);
    bool known = carries_on(s, first);
    s->used = ++all->tick;
    if (!known) {
        *s = (struct read_stream){.front = end, .used = s->used};
        return false;
    }
    if (end <= s->front)
        return false;
    s->streak = touched * 2 >= end - first ? s->streak + 1 : 0;
    s->front = end;
    if (s->streak < 2)
        return false;
    uint64_t ahead = (end - first) << (s->streak < 8 ? s->streak - 1 : 7);
    ahead = ahead < ahead_max ? ahead : ahead_max;
    *from = s->ahead_end > end ? s->ahead_end : end;
    if (*from > end + ahead / 2)                 /* in few large requests, not one whenever a block has been read */
        return false;
    s->ahead_end = *to = end + ahead;
    return *from < *to;
}
