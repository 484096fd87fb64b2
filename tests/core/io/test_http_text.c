/* tests/core/io/test_http_text.c */
#include "core/io/http_text.h"

#include "core/io/http_pieces.h"
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

static bool parse_range(const char *text, struct content_range *out)
{
    return content_range_parse((const uint8_t *)text, strlen(text), out);
}

static void test_content_ranges(void **state)
{
    (void)state;
    struct content_range r;
    assert_true(parse_range("bytes 0-99/1000", &r));
    assert_true(r.first == 0 && r.last == 99 && r.total == 1000 && r.total_known && !r.unsatisfied);
    assert_true(parse_range("Bytes  5-5/6", &r));
    assert_true(r.first == 5 && r.last == 5 && r.total == 6);
    assert_true(parse_range("bytes 7-8/*", &r));
    assert_true(r.first == 7 && r.last == 8 && !r.total_known);
    assert_true(parse_range("bytes */0", &r));
    assert_true(r.unsatisfied && r.total == 0);
    assert_true(parse_range("bytes 1-999999999999999998/999999999999999999", &r));
    static const char *const bad[] = {"",
                                      "bytes",
                                      "bytes ",
                                      "bytes 1",
                                      "bytes 1-",
                                      "bytes 1-2",
                                      "bytes 1-2/",
                                      "bytes -2/3",
                                      "bytes 2-1/3",
                                      "bytes 0-3/3",
                                      "bytes 0-0/0",
                                      "bytes */*",
                                      "bytes 0-1/2x",
                                      "bytes 0-1/2 ",
                                      "items 0-1/2",
                                      "bytes=0-1/2",
                                      "bytes0-1/2",
                                      "bytes 0-1000000000000000000/*",
                                      "bytes 0-1/18446744073709551617",
                                      "bytes +0-1/2",
                                      "bytes 0 -1/2",
                                      "bytes 0x0-1/2"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parse_range(bad[i], &r))
            fail_msg("\"%s\" was accepted", bad[i]);
}

static void test_header_lines(void **state)
{
    (void)state;
    static const char line[] = "ETag: \t \"x\" \r\n";
    struct span v;
    assert_true(http_header((const uint8_t *)line, strlen(line), "etag", &v));
    assert_int_equal(v.len, 3);
    assert_memory_equal(v.data, "\"x\"", 3);
    assert_false(http_header((const uint8_t *)line, strlen(line), "eta", &v));
    assert_false(http_header((const uint8_t *)line, 4, "etag", &v));
    assert_true(http_header((const uint8_t *)"a:", 2, "A", &v));
    assert_int_equal(v.len, 0);
}

static void test_boundaries(void **state)
{
    (void)state;
    char out[HTTP_BOUNDARY_BYTES_MAX + 1], text[200];
    static const struct {
        const char *type, *boundary;
    } cases[] = {{"multipart/byteranges; boundary=THIS", "THIS"},
                 {"Multipart/ByteRanges;Boundary=\"a b\"", "a b"},
                 {"multipart/byteranges; boundary=x; other=1", "x"},
                 {"multipart/byteranges", NULL},
                 {"multipart/byteranges; boundary=", NULL},
                 {"multipart/byteranges; boundary=\"", NULL},
                 {"multipart/byteranges; boundary=\"x", NULL},
                 {"multipart/mixed; boundary=x", NULL},
                 {"text/html", NULL},
                 {"", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool found = multipart_boundary((const uint8_t *)cases[i].type, strlen(cases[i].type), out);
        assert_int_equal(found, cases[i].boundary != NULL);
        if (found)
            assert_string_equal(out, cases[i].boundary);
    }
    for (int n = 69; n < 73; n++) {
        snprintf(text, sizeof text, "multipart/byteranges; boundary=%0*d", n, 0);
        assert_int_equal(multipart_boundary((const uint8_t *)text, strlen(text), out), n <= 70);
    }
}

static uint8_t gathered[1000];

static void gather(void *ctx, uint64_t at, const uint8_t *data, size_t len)
{
    (void)ctx;
    assert_true(at + len <= sizeof gathered);
    memcpy(gathered + at, data, len);
}

/* Pushes `text` in pieces of `step` bytes. */
static enum status push(const char *text, uint64_t size, size_t step, struct multipart *m, struct error *e)
{
    size_t len = strlen(text);
    memset(gathered, '.', sizeof gathered);
    multipart_init(m, "B", size);
    for (size_t at = 0; at < len; at += step)
        TRY(multipart_push(m, (const uint8_t *)text + at, len - at < step ? len - at : step, gather, NULL, e));
    return STATUS_OK;
}

static void test_parts_arrive_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const char body[] =
        "preamble\r\n--B\r\nContent-Type: x\r\nContent-Range: bytes 10-14/100\r\n\r\nhello\r\n--B  \r\n"
        "content-range: bytes 0-2/*\r\n\r\n--B\r\n--B\nContent-Range: bytes 20-21/100\n\nab\n--B--\r\nepilogue";
    struct multipart m;
    struct error e;
    for (size_t step = 1; step < sizeof body; step++) {
        assert_ok(push(body, 100, step, &m, &e), &e);
        assert_int_equal(m.state, MULTIPART_END);
        assert_memory_equal(gathered, "--B.......hello.....ab..", 24);
    }
}

static void test_malformed_parts_are_errors(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum status status;
    } cases[] = {
        {"--B\r\n\r\nhello", STATUS_FORMAT},                            /* no range */
        {"--B\r\nContent-Range: bytes 0-4/99\r\n\r\nhello", STATUS_IO}, /* another size */
        {"--B\r\nContent-Range: bytes 98-100/*\r\n\r\nhel", STATUS_IO},
        {"--B\r\nContent-Range: bytes 4-0/100\r\n\r\nhello", STATUS_FORMAT},
        {"--B\r\nContent-Range: bytes */100\r\n\r\nhello", STATUS_FORMAT},
        {"--B\r\nContent-Range: bytes 0-4/100\r\nContent-Range: bytes 0-4/100\r\n\r\nhello", STATUS_FORMAT},
        {"--B\r\nContent-Range: bytes 0-4/100\r\n\r\nhello world\r\n--B--\r\n",
         STATUS_FORMAT},                                                                  /* longer than its range */
        {"--B\r\nContent-Range: bytes 0-4/100\r\n\r\nhel\r\n--B\r\n\r\n", STATUS_FORMAT}, /* shorter */
        {"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\n", STATUS_FORMAT},
    };
    struct multipart m;
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step < 100; step += 7)
            assert_status(push(cases[i].body, 100, step, &m, &e), cases[i].status, &e);
    char line[HTTP_LINE_BYTES_MAX + 100];
    memset(line, 'x', sizeof line);
    multipart_init(&m, "B", 100);
    assert_status(multipart_push(&m, (const uint8_t *)line, sizeof line, gather, NULL, &e), STATUS_FORMAT, &e);
}

/* ---- pieces ---------------------------------------------------------------------------------------------- */

static void test_pieces_ask_for_what_is_missing(void **state)
{
    (void)state;
    uint8_t a[100], b[100], c[50];
    char text[HTTP_RANGE_TEXT_MAX];
    struct http_piece p[3];
    struct source_range ranges[] = {{500, 50, c}, {100, 100, a}, {700, 0, NULL}, {200, 100, b}};
    assert_int_equal(http_pieces_count(ranges, 4), 3);
    http_pieces_split(ranges, 4, p);
    assert_int_equal(http_pieces_text(p, 3, 16, text), 2);
    assert_string_equal(text, "100-299,500-549");
    assert_int_equal(http_pieces_text(p, 3, 1, text), 1);
    assert_string_equal(text, "100-299");
    assert_int_equal(http_pieces_take(p, 3, 1000, 16), 3);
    assert_int_equal(http_pieces_take(p, 3, 1000, 1), 2);
    assert_int_equal(http_pieces_take(p, 3, 1, 16), 1);
    uint8_t bytes[150];
    memset(bytes, 7, sizeof bytes);
    assert_int_equal(http_pieces_deliver(p, 3, 50, bytes, 150), 100); /* more than was asked for, on both sides */
    assert_int_equal(http_pieces_deliver(p, 3, 210, bytes, 20), 0);   /* behind a hole */
    assert_int_equal(http_pieces_deliver(p, 3, 190, bytes, 30), 20);
    assert_int_equal(http_pieces_text(p, 3, 16, text), 2);
    assert_string_equal(text, "220-299,500-549");
    assert_int_equal(http_pieces_deliver(p, 3, 520, bytes, 100), 0);
    assert_int_equal(http_pieces_deliver(p, 3, 500, bytes, 50), 50);
    assert_int_equal(http_pieces_deliver(p, 3, 220, bytes, 80), 80);
    assert_true(http_pieces_done(p, 3));
    assert_int_equal(http_pieces_text(p, 3, 16, text), 0);
}

static void test_pieces_in_any_order_give_the_file(void **state)
{
    (void)state;
    enum { SIZE = 5000 };
    static uint8_t file[SIZE];
    struct rng r = rng_stream(5, 0);
    for (size_t i = 0; i < SIZE; i++)
        file[i] = (uint8_t)rng_u64(&r);
    for (size_t round = 0; round < 300; round++) {
        struct source_range ranges[10];
        struct http_piece p[10];
        char text[HTTP_RANGE_TEXT_MAX];
        size_t n = 1 + rng_below(&r, 10);
        for (size_t i = 0; i < n; i++) {
            size_t len = 1 + rng_below(&r, 600);
            ranges[i] = (struct source_range){rng_below(&r, SIZE - len), len, calloc(len, 1)};
        }
        http_pieces_split(ranges, n, p);
        for (size_t spans; (spans = http_pieces_text(p, n, 1 + rng_below(&r, 16), text)) > 0;) {
            char *at = text;
            for (size_t i = 0; i < spans; i++, at += *at == ',') {
                size_t first = strtoul(at, &at, 10), last = strtoul(at + 1, &at, 10);
                assert_true(first <= last && last < SIZE);
                size_t cut = rng_below(&r, 4) ? last - first + 1 : rng_below(&r, last - first + 1);
                http_pieces_deliver(p, n, first, file + first, cut);
            }
        }
        assert_true(http_pieces_done(p, n));
        for (size_t i = 0; i < n; i++) {
            assert_memory_equal(ranges[i].dst, file + ranges[i].offset, ranges[i].len);
            free(ranges[i].dst);
        }
    }
}

static void test_large_ranges_become_several_pieces(void **state)
{
    (void)state;
    static uint8_t nowhere;
    struct http_piece p[4];
    struct source_range range = {10, (size_t)3 * HTTP_PIECE_BYTES_MAX + 1, &nowhere};
    assert_int_equal(http_pieces_count(&range, 1), 4);
    http_pieces_split(&range, 1, p);
    assert_int_equal(p[3].len, 1);
    assert_int_equal(p[3].offset, 10 + 3 * (uint64_t)HTTP_PIECE_BYTES_MAX);
    assert_int_equal(http_pieces_take(p, 4, (size_t)2 * HTTP_PIECE_BYTES_MAX, 1), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_ranges),
        cmocka_unit_test(test_header_lines),
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_parts_arrive_in_pieces_of_any_size),
        cmocka_unit_test(test_malformed_parts_are_errors),
        cmocka_unit_test(test_pieces_ask_for_what_is_missing),
        cmocka_unit_test(test_pieces_in_any_order_give_the_file),
        cmocka_unit_test(test_large_ranges_become_several_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
