/* core/io/http_text.h
 *
 * The header values that ranges depend on, and multipart/byteranges bodies.  Bytes from anywhere: nothing here trusts
 * a number before it is checked. */
#ifndef DLT_CORE_IO_HTTP_TEXT_H
#define DLT_CORE_IO_HTTP_TEXT_H

#include "core/base.h"

enum { HTTP_BOUNDARY_BYTES_MAX = 70, HTTP_LINE_BYTES_MAX = 1024 };

/* The value of "NAME: value" without blanks around it; false when the line is another header. */
bool http_header(const uint8_t *line, size_t len, const char *name, struct span *value);

struct content_range {
    uint64_t first, last;                        /* inclusive; undefined when unsatisfied */
    uint64_t total;
    bool total_known;                            /* "*" otherwise */
    bool unsatisfied;                            /* a star instead of first-last: a 416 answer */
};

/* "bytes 0-99/1000", with a star for the total or for first-last: first <= last < total, all below 2^63. */
bool content_range_parse(const uint8_t *value, size_t len, struct content_range *out);

/* The boundary of a "multipart/byteranges; boundary=..." content type; false for any other. */
bool multipart_boundary(const uint8_t *value, size_t len, char out[HTTP_BOUNDARY_BYTES_MAX + 1]);

/* Splits a multipart/byteranges body that arrives in pieces of any size. */
struct multipart {
    enum { MULTIPART_DELIMITER, MULTIPART_HEADERS, MULTIPART_BODY, MULTIPART_END } state;
    char delimiter[2 + HTTP_BOUNDARY_BYTES_MAX + 1];     /* "--" and the boundary */
    uint64_t size;                               /* what each part must say about the whole */
    bool inside;                                 /* a delimiter was seen */
    bool have_range;
    unsigned n_lines;                            /* of this part's header, or in front of a delimiter */
    uint64_t at, left;                           /* of the part's body */
    size_t line_len;
    uint8_t line[HTTP_LINE_BYTES_MAX];
};

void multipart_init(struct multipart *m, const char *boundary, uint64_t size);
/* Gives the parts' bytes to `bytes` with their offset in the file.  Fails: FORMAT, or IO when a part speaks of another
 * size than `size`; the parser is then of no more use. */
enum status multipart_push(struct multipart *m, const uint8_t *data, size_t len,
                           void (*bytes)(void *ctx, uint64_t at, const uint8_t *data, size_t len), void *ctx,
                           struct error *e) MUST_USE;

#endif
