/* core/io/http_pieces.h
 *
 * What one read still wants, as pieces of the file that answers fill in whatever order and size they come. */
#ifndef DLT_CORE_IO_HTTP_PIECES_H
#define DLT_CORE_IO_HTTP_PIECES_H

#include "core/source.h"

enum { HTTP_PIECE_BYTES_MAX = 8 << 20, HTTP_SPANS_MAX = 16, HTTP_RANGE_TEXT_MAX = HTTP_SPANS_MAX * 44 };

struct http_piece {
    uint64_t offset;
    size_t len, got;                             /* its first `got` bytes are there */
    uint8_t *dst;
};

/* Number of pieces that the ranges become: none longer than HTTP_PIECE_BYTES_MAX. */
size_t http_pieces_count(const struct source_range *ranges, size_t n);
/* Fills `out` with that many, ordered by offset. */
void http_pieces_split(const struct source_range *ranges, size_t n, struct http_piece *out);

/* Number of leading pieces of `p` that one request should fetch, at least 1: about `bytes_wanted` bytes in at most
 * `spans_max` spans. */
size_t http_pieces_take(const struct http_piece *p, size_t n, size_t bytes_wanted, size_t spans_max);

/* Writes what is still missing as the value of a Range header behind "bytes=", at most `spans_max` spans of it; pieces
 * that touch or overlap are one span.  Returns the number of spans, 0 when nothing is missing. */
size_t http_pieces_text(const struct http_piece *p, size_t n, size_t spans_max, char out[HTTP_RANGE_TEXT_MAX]);

/* Bytes of the file at `at` have come: stores what continues a piece, and returns how many bytes were of use. */
size_t http_pieces_deliver(struct http_piece *p, size_t n, uint64_t at, const uint8_t *data, size_t len);
bool http_pieces_done(const struct http_piece *p, size_t n);

#endif
