/* tests/fuzz/fuzz_http_answer.c
 *
 * An HTTP answer from anywhere, header lines and body: no crash, nothing outside the pieces' memory, and every byte
 * that a piece takes is one that the answer put at that offset.  The first byte chooses the cut of the input, the
 * second how many ranges were asked for. */
#include "core/io/http_answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_BYTES = 1000, PIECES = 3 };

/* Feeds header lines up to the empty one, then the rest in pieces of `step` bytes. */
static void feed(struct http_answer *a, const uint8_t *data, size_t size, size_t step)
{
    long status = 0;
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end ? (size_t)(end - data) + 1 : size;
        bool empty = len <= 2 && (data[0] == '\n' || data[0] == '\r');
        if (len > 12 && memcmp(data, "HTTP/1.1 ", 9) == 0)
            status = (data[9] % 10) * 100 + (data[10] % 10) * 10 + data[11] % 10;
        if (!http_answer_line(a, data, len, status))
            return;
        data += len;
        size -= len;
        if (empty && status >= 200)
            break;
    }
    for (size_t len; size > 0 && a->outcome != ANSWER_OPEN; data += len, size -= len) {
        len = size < step ? size : step;
        if (!http_answer_body(a, data, len))
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct http_identity known = {.size = FILE_BYTES};
    const struct source_range asked[PIECES] = {{0, 10, malloc(10)}, {200, 300, malloc(300)}, {990, 10, malloc(10)}};
    struct http_piece pieces[PIECES];
    struct http_answer *a = malloc(sizeof *a);
    size_t n = 1 + data[1] % PIECES;
    http_pieces_split(asked, n, pieces);
    http_answer_init(a, data[1] & 0x80 ? NULL : &known, pieces, n, n, NULL);
    feed(a, data + 2, size - 2, 1 + data[0]);
    for (size_t i = 0; i < n; i++)
        check(pieces[i].got <= pieces[i].len);
    if (a->outcome == ANSWER_BROKEN)
        check(a->e.status != STATUS_OK && text_is_clean(a->e.text, strlen(a->e.text)));
    if (a->outcome == ANSWER_PIECES && !a->known)
        check(a->identity.size > 0);
    for (size_t i = 0; i < PIECES; i++)
        free(asked[i].dst);
    free(a);
    return 0;
}

#define FUZZ_NAME "http_answer"
#include "tests/fuzz/replay.h"
