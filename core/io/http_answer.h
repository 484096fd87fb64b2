/* core/io/http_answer.h
 *
 * One answer to a ranged GET as it arrives: header lines, then a body that is one range, several parts, or the whole
 * file.  Knows HTTP's texts and the file's identity, but not who transports them. */
#ifndef DLT_CORE_IO_HTTP_ANSWER_H
#define DLT_CORE_IO_HTTP_ANSWER_H

#include "core/io/http_pieces.h"
#include "core/io/http_text.h"

/* What tells one version of a file from another; hashes of header values, 0 where the server sends none. */
struct http_identity {
    uint64_t size, etag, modified;
};

/* A file without a name that takes a whole body; fd -1 until it is opened. */
struct http_spool {
    int fd;
    uint64_t bytes, bytes_max;
    const char *folder;
};

enum http_outcome {
    ANSWER_OPEN,                                 /* not at its end */
    ANSWER_IGNORED,                              /* not the file: redirects, errors */
    ANSWER_PIECES,                               /* bytes of ranges, given to the pieces */
    ANSWER_WHOLE,                                /* the whole file is in the spool */
    ANSWER_EMPTY_FILE,                           /* the file has no bytes */
    ANSWER_NOT_SEVERAL,                          /* the server does not do several ranges in one request */
    ANSWER_BROKEN                                /* `e` says why */
};

struct http_answer {
    /* set by http_answer_init() */
    const struct http_identity *known;           /* NULL while the file is being opened */
    struct http_piece *pieces;
    size_t n_pieces, n_spans;                    /* n_spans: how many were asked for */
    struct http_spool *spool;                    /* NULL: a whole file is not taken */
    /* from the headers of the last answer seen */
    struct http_identity identity;
    bool encoded, have_range, location;
    struct content_range range;
    char boundary[HTTP_BOUNDARY_BYTES_MAX + 1];
    uint64_t content_length;                     /* UINT64_MAX: not said */
    /* the body */
    enum http_outcome outcome;
    bool again;                                  /* ANSWER_BROKEN: asking again may help */
    uint64_t at, ignored;
    size_t useful;                               /* bytes that a piece took */
    struct multipart multipart;
    struct error e;
};

void http_answer_init(struct http_answer *a, const struct http_identity *known, struct http_piece *pieces, size_t n,
                      size_t n_spans, struct http_spool *spool);
/* A header line with or without its end; a status line starts anew.  `status` is the code of the line's answer.
 * False: stop the transfer, the outcome is known. */
bool http_answer_line(struct http_answer *a, const uint8_t *line, size_t len, long status);
bool http_answer_body(struct http_answer *a, const uint8_t *data, size_t len);

#endif
