/* core/io/http_pieces.c */
#include "core/io/http_pieces.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

size_t http_pieces_count(const struct source_range *ranges, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ranges[i].len / HTTP_PIECE_BYTES_MAX + (ranges[i].len % HTTP_PIECE_BYTES_MAX > 0);
    return count;
}

static int by_offset(const void *a, const void *b)
{
    const struct http_piece *p = a, *q = b;
    return p->offset < q->offset ? -1 : p->offset > q->offset;
}

void http_pieces_split(const struct source_range *ranges, size_t n, struct http_piece *out)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t done = 0, len; done < ranges[i].len; done += len) {
            len = ranges[i].len - done < HTTP_PIECE_BYTES_MAX ? ranges[i].len - done : HTTP_PIECE_BYTES_MAX;
            out[count++] = (struct http_piece){ranges[i].offset + done, len, 0, (uint8_t *)ranges[i].dst + done};
        }
    if (count > 1)
        qsort(out, count, sizeof *out, by_offset);
}

size_t http_pieces_take(const struct http_piece *p, size_t n, size_t bytes_wanted, size_t spans_max)
{
    uint64_t end = p[0].offset + p[0].len;
    size_t bytes = p[0].len, spans = 1, i;
    for (i = 1; i < n && bytes < bytes_wanted; i++) {
        if (p[i].offset > end && ++spans > spans_max)
            break;
        bytes += p[i].len;
        end = p[i].offset + p[i].len > end ? p[i].offset + p[i].len : end;
    }
    return i;
}

size_t http_pieces_text(const struct http_piece *p, size_t n, size_t spans_max, char out[HTTP_RANGE_TEXT_MAX])
{
    size_t spans = 0, at = 0;
    uint64_t first = 0, end = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && p[i].got == p[i].len)
            continue;
        uint64_t from = i < n ? p[i].offset + p[i].got : 0;
        if (i < n && end > 0 && from <= end) {
            end = p[i].offset + p[i].len > end ? p[i].offset + p[i].len : end;
            first = from < first ? from : first;         /* overlapping pieces, of which one has got further */
            continue;
        }
        if (end > 0) {
            at += (size_t)snprintf(out + at, HTTP_RANGE_TEXT_MAX - at, "%s%" PRIu64 "-%" PRIu64, spans ? "," : "",
                                   first, end - 1);
            if (++spans == spans_max)
                return spans;
        }
        if (i < n) {
            first = from;
            end = p[i].offset + p[i].len;
        }
    }
    return spans;
}

size_t http_pieces_deliver(struct http_piece *p, size_t n, uint64_t at, const uint8_t *data, size_t len)
{
    size_t useful = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t next = p[i].offset + p[i].got;          /* the byte that this piece waits for */
        if (p[i].got == p[i].len || next < at || next - at >= len)
            continue;
        size_t skip = (size_t)(next - at), take = len - skip;
        if (take > p[i].len - p[i].got)
            take = p[i].len - p[i].got;
        memcpy(p[i].dst + p[i].got, data + skip, take);
        p[i].got += take;
        useful += take;
    }
    return useful;
}

bool http_pieces_done(const struct http_piece *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i].got < p[i].len)
            return false;
    return true;
}
