/* tests/core/codec/test_codec_root.c
 *
 * ROOT's framing: several blocks of several codecs, and every way in which a header can lie. */
#include "core/codec/codec.h"

#include "core/base/bytes.h"

#include <lz4.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { RAW = 5000 };

static uint8_t raw[RAW];

static void put_header(struct buf *b, const char *tag, uint8_t method, size_t stored, size_t size)
{
    struct error e;
    uint8_t h[9] = {(uint8_t)tag[0], (uint8_t)tag[1],        method,
                    (uint8_t)stored, (uint8_t)(stored >> 8), (uint8_t)(stored >> 16),
                    (uint8_t)size,   (uint8_t)(size >> 8),   (uint8_t)(size >> 16)};
    assert_int_equal(buf_append(b, h, sizeof h, &e), STATUS_OK);
}

static void put_block(struct buf *b, const char *tag, enum codec_id id, const uint8_t *p, size_t n)
{
    struct error e;
    struct buf z;
    buf_init(&z, 1 << 20);
    assert_int_equal(codec_compress(id, 0, p, n, &z, &e), STATUS_OK);
    put_header(b, tag, 8, z.len, n);
    assert_int_equal(buf_append(b, z.data, z.len, &e), STATUS_OK);
    buf_fini(&z);
}

static void put_lz4(struct buf *b, const uint8_t *p, size_t n)
{
    struct error e;
    uint8_t z[2 * RAW];
    int len = LZ4_compress_default((const char *)p, (char *)z + 8, (int)n, sizeof z - 8);
    assert_true(len > 0);
    uint64_t sum = __builtin_bswap64(hash64(z + 8, (size_t)len, 0));
    memcpy(z, &sum, 8);
    put_header(b, "L4", 1, (size_t)len + 8, n);
    assert_int_equal(buf_append(b, z, (size_t)len + 8, &e), STATUS_OK);
}

static int setup(void **state)
{
    for (size_t i = 0; i < RAW; i++)
        raw[i] = (uint8_t)(i * i / 7);
    struct buf *b = malloc(sizeof *b);
    assert_non_null(b);
    buf_init(b, 1 << 20);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    buf_fini(*state);
    free(*state);
    return 0;
}

static enum status unpack(const struct buf *b, size_t n, uint8_t *out, struct error *e)
{
    *e = (struct error){0};
    return codec_root_decompress(b->data, b->len, out, n, e);
}

static void test_blocks_of_different_codecs_follow_each_other(void **state)
{
    struct buf *b = *state;
    struct error e;
    uint8_t out[RAW];
    put_block(b, "ZL", CODEC_ZLIB, raw, 1000);
    put_lz4(b, raw + 1000, 1000);
    put_block(b, "ZS", CODEC_ZSTD, raw + 2000, RAW - 2000);
    char tag[3];
    codec_root_tag(b->data, b->len, tag);
    assert_string_equal(tag, "ZL");
    size_t size;
    assert_int_equal(codec_root_size(b->data, b->len, &size, &e), STATUS_OK);
    assert_int_equal(size, RAW);
    if (unpack(b, RAW, out, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    assert_memory_equal(out, raw, RAW);
}

static void test_sum_of_blocks_must_be_the_declared_size(void **state)
{
    struct buf *b = *state;
    struct error e;
    uint8_t out[RAW];
    put_block(b, "ZL", CODEC_ZLIB, raw, 1000);
    assert_int_equal(unpack(b, 1001, out, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "hold 1000 bytes, 1001 declared"));
    put_block(b, "ZL", CODEC_ZLIB, raw, 1000);
    assert_int_equal(unpack(b, 1500, out, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "block 1: ZL header says 1000 bytes, 500 of 1500 are missing"));
    assert_int_equal(unpack(b, 0, out, &e), STATUS_FORMAT);
    b->len = 0;
    assert_int_equal(unpack(b, 1, out, &e), STATUS_FORMAT);
    assert_int_equal(unpack(b, 0, out, &e), STATUS_OK);
}

static void test_unknown_tag_is_unsupported_and_named(void **state)
{
    struct buf *b = *state;
    struct error e;
    uint8_t out[RAW];
    put_block(b, "QQ", CODEC_ZLIB, raw, 1000);
    assert_int_equal(unpack(b, 1000, out, &e), STATUS_UNSUPPORTED);
    assert_non_null(strstr(e.text, "\"QQ\""));
}

static void test_header_sizes_are_checked_against_the_bytes_left(void **state)
{
    struct buf *b = *state;
    struct error e;
    uint8_t out[RAW];
    put_header(b, "ZL", 8, 0, 100);
    assert_int_equal(unpack(b, 100, out, &e), STATUS_FORMAT);
    b->len = 0;
    put_header(b, "ZL", 8, 0xffffff, 100);
    assert_int_equal(unpack(b, 100, out, &e), STATUS_FORMAT);
    assert_non_null(strstr(e.text, "16777215 compressed bytes, 0 remain"));
    b->len = 8;
    assert_int_equal(unpack(b, 100, out, &e), STATUS_FORMAT);
    b->len = 0;
    put_header(b, "L4", 1, 7, 100);
    assert_int_equal(buf_append(b, "1234567", 7, &e), STATUS_OK);
    assert_int_equal(unpack(b, 100, out, &e), STATUS_FORMAT);
}

static void test_lz4_checksum_notices_every_flipped_byte(void **state)
{
    struct buf *b = *state;
    struct error e;
    uint8_t out[RAW];
    put_lz4(b, raw, RAW);
    assert_int_equal(unpack(b, RAW, out, &e), STATUS_OK);
    for (size_t at = 9; at < b->len; at++) {
        b->data[at] ^= 1;
        assert_int_equal(unpack(b, RAW, out, &e), STATUS_FORMAT);
        assert_non_null(strstr(e.text, "checksum"));
        b->data[at] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_blocks_of_different_codecs_follow_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sum_of_blocks_must_be_the_declared_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_tag_is_unsupported_and_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header_sizes_are_checked_against_the_bytes_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lz4_checksum_notices_every_flipped_byte, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
