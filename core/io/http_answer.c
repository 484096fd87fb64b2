/* core/io/http_answer.c
 *
 * Nothing that a server says is believed twice: each answer must speak of the same size, entity tag and date as the
 * first one, its bytes go where its own Content-Range puts them, and only bytes that were asked for are kept. */
#include "core/io/http_answer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { IGNORED_BYTES_MAX = 64 << 10 };           /* of an error page: the connection is worth that much */

void http_answer_init(struct http_answer *a, const struct http_identity *known, struct http_piece *pieces, size_t n,
                      size_t n_spans, struct http_spool *spool)
{
    *a = (struct http_answer){.known = known, .pieces = pieces, .n_pieces = n, .n_spans = n_spans, .spool = spool,
                              .content_length = UINT64_MAX};
    a->e.status = STATUS_OK;
}

static bool broken(struct http_answer *a, bool again)
{
    a->outcome = ANSWER_BROKEN;
    a->again = again;
    return false;
}

/* ---- headers --------------------------------------------------------------------------------------------- */

static void read_header(struct http_answer *a, const uint8_t *line, size_t len)
{
    struct span v;
    if (http_header(line, len, "Content-Range", &v)) {
        a->have_range = content_range_parse(v.data, v.len, &a->range);
    } else if (http_header(line, len, "Content-Type", &v)) {
        if (!multipart_boundary(v.data, v.len, a->boundary))
            a->boundary[0] = '\0';
    } else if (http_header(line, len, "Content-Encoding", &v)) {
        a->encoded = v.len > 0 && (v.len != 8 || strncasecmp((const char *)v.data, "identity", 8) != 0);
    } else if (http_header(line, len, "Content-Length", &v)) {
        a->content_length = 0;
        for (size_t i = 0; i < v.len && i < 18 && v.data[i] >= '0' && v.data[i] <= '9'; i++)
            a->content_length = a->content_length * 10 + (uint64_t)(v.data[i] - '0');
    } else if (http_header(line, len, "ETag", &v)) {
        a->identity.etag = hash64(v.data, v.len, 1) | 1;
    } else if (http_header(line, len, "Last-Modified", &v)) {
        a->identity.modified = hash64(v.data, v.len, 2) | 1;
    } else if (http_header(line, len, "Location", &v)) {
        a->location = v.len > 0;
    }
}

static bool differs(uint64_t known, uint64_t now)
{
    return known != 0 && now != 0 && known != now;
}

/* The file that this answer speaks of is the one that was opened. */
static bool is_same_file(struct http_answer *a)
{
    const char *what = NULL;
    if (!a->known)
        return true;
    if (differs(a->known->etag, a->identity.etag))
        what = "entity tag (ETag)";
    else if (differs(a->known->modified, a->identity.modified))
        what = "date (Last-Modified)";
    else if (a->have_range && a->range.total_known && a->range.total != a->known->size)
        what = "size";
    if (!what)
        return true;
    (void)error_set(&a->e, STATUS_IO, "the file has changed since it was opened: its %s is another", what);
    return broken(a, false);
}

static bool begin_ranges(struct http_answer *a)
{
    if (a->boundary[0] != '\0' && a->known) {
        multipart_init(&a->multipart, a->boundary, a->known->size);
        a->outcome = ANSWER_PIECES;
        return true;
    }
    if (!a->have_range || a->range.unsatisfied || (!a->known && !a->range.total_known)) {
        (void)error_set(&a->e, STATUS_REMOTE, "a part of the file came %s",
                        a->have_range ? "without its size in Content-Range"
                                      : "without a Content-Range that can be read");
        return broken(a, false);
    }
    if (!a->known)
        a->identity.size = a->range.total;
    a->boundary[0] = '\0';
    a->at = a->range.first;
    a->outcome = ANSWER_PIECES;
    return true;
}

/* The server sends the whole file instead of ranges. */
static bool begin_whole(struct http_answer *a)
{
    struct http_spool *s = a->spool;
    if (!s && a->n_spans > 1) {
        a->outcome = ANSWER_NOT_SEVERAL;
        return false;
    }
    if (!s) {
        (void)error_set(&a->e, STATUS_REMOTE, "the server has stopped to serve ranges of the file");
        return broken(a, false);
    }
    if (a->content_length != UINT64_MAX && a->content_length > s->bytes_max) {
        (void)error_set(&a->e, STATUS_RANGE, "the server does not serve ranges and the whole file is %" PRIu64
                        " bytes, at most %" PRIu64 " are downloaded: copy it and give its path", a->content_length,
                        s->bytes_max);
        return broken(a, false);
    }
    if (s->fd < 0)
        s->fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 || ftruncate(s->fd, 0) != 0 || lseek(s->fd, 0, SEEK_SET) != 0) {
        (void)error_errno(&a->e, "the server does not serve ranges, and the temporary file for the whole");
        return broken(a, false);
    }
    s->bytes = 0;
    a->outcome = ANSWER_WHOLE;
    return true;
}

static bool end_of_headers(struct http_answer *a, long status)
{
    if (status >= 100 && status < 200)
        return true;
    a->outcome = ANSWER_IGNORED;
    if (status == 416 && a->have_range && a->range.unsatisfied) {
        if (a->known)
            return is_same_file(a);
        if (a->range.total == 0)
            a->outcome = ANSWER_EMPTY_FILE;
        return true;
    }
    if (status != 200 && status != 206)
        return true;
    if (a->encoded) {
        (void)error_set(&a->e, STATUS_UNSUPPORTED, "the server packs the file under way (Content-Encoding), so that "
                        "its bytes have no offsets");
        return broken(a, false);
    }
    if (!is_same_file(a))
        return false;
    return status == 206 ? begin_ranges(a) : begin_whole(a);
}

bool http_answer_line(struct http_answer *a, const uint8_t *line, size_t len, long status)
{
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    if (len == 0)
        return end_of_headers(a, status);
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0)
        http_answer_init(a, a->known, a->pieces, a->n_pieces, a->n_spans, a->spool);
    else if (a->outcome == ANSWER_OPEN)                  /* not the trailers of a chunked body */
        read_header(a, line, len);
    return true;
}

/* ---- body ------------------------------------------------------------------------------------------------ */

static void deliver(void *ctx, uint64_t at, const uint8_t *data, size_t len)
{
    struct http_answer *a = ctx;
    a->useful += http_pieces_deliver(a->pieces, a->n_pieces, at, data, len);
}

static bool store_whole(struct http_answer *a, const uint8_t *data, size_t len)
{
    struct http_spool *s = a->spool;
    if (len > s->bytes_max - s->bytes) {
        (void)error_set(&a->e, STATUS_RANGE, "the server does not serve ranges and the whole file is above the %" PRIu64
                        " bytes that are downloaded: copy it and give its path", s->bytes_max);
        return broken(a, false);
    }
    while (len > 0) {
        ssize_t n = write(s->fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            (void)error_errno(&a->e, "the server does not serve ranges, and writing the temporary file");
            return broken(a, false);
        }
        data += n;
        len -= (size_t)n;
        s->bytes += (uint64_t)n;
        a->useful += (size_t)n;
    }
    return true;
}

bool http_answer_body(struct http_answer *a, const uint8_t *data, size_t len)
{
    switch (a->outcome) {
    case ANSWER_WHOLE:
        return store_whole(a, data, len);
    case ANSWER_PIECES:
        if (a->boundary[0] != '\0')
            return multipart_push(&a->multipart, data, len, deliver, a, &a->e) == STATUS_OK ||
                   broken(a, a->e.status != STATUS_IO);
        if (len > a->range.last + 1 - a->at) {
            (void)error_set(&a->e, STATUS_REMOTE, "more bytes came than the answer's Content-Range says");
            return broken(a, true);
        }
        deliver(a, a->at, data, len);
        a->at += len;
        return true;
    case ANSWER_IGNORED:
    case ANSWER_EMPTY_FILE:
        a->ignored += len;
        return a->ignored <= IGNORED_BYTES_MAX;
    default:
        return false;
    }
}
