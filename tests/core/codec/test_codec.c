/* tests/core/codec/test_codec.c
 *
 * Every codec: what is compressed comes back, a damaged or mis-declared stream is refused. */
#include "core/codec/codec.h"

#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { N = 100000 };

struct sample {
    uint8_t raw[N];
    struct buf packed;
};

/* Compressible but not trivial: random bytes of a small alphabet with repeats. */
static int setup(void **state)
{
    struct sample *s = calloc(1, sizeof *s);
    assert_non_null(s);
    struct rng r = rng_stream(7, 0);
    for (size_t i = 0; i < N; i++)
        s->raw[i] = i > 100 && rng_below(&r, 4) ? s->raw[i - 1 - rng_below(&r, 50)] : (uint8_t)rng_u64(&r);
    buf_init(&s->packed, 10 * N);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct sample *s = *state;
    buf_fini(&s->packed);
    free(s);
    return 0;
}

static void lz4_pack(const uint8_t *raw, size_t n, struct buf *out)
{
    struct error e;
    assert_int_equal(buf_reserve(out, (size_t)LZ4_compressBound((int)n), &e), STATUS_OK);
    int len = LZ4_compress_default((const char *)raw, (char *)out->data + out->len, (int)n, (int)(out->cap - out->len));
    assert_true(len > 0);
    out->len += (size_t)len;
}

static void xz_pack(const uint8_t *raw, size_t n, struct buf *out)
{
    struct error e;
    assert_int_equal(buf_reserve(out, lzma_stream_buffer_bound(n), &e), STATUS_OK);
    assert_int_equal(lzma_easy_buffer_encode(5, LZMA_CHECK_CRC32, NULL, raw, n, out->data, &out->len, out->cap),
                     LZMA_OK);
}

/* Bare DEFLATE: the zlib stream without its 2 bytes in front and 4 behind (RFC 1950). */
static void deflate_pack(const uint8_t *raw, size_t n, struct buf *out)
{
    struct error e;
    struct buf z;
    buf_init(&z, 10 * N);
    assert_int_equal(codec_compress(CODEC_ZLIB, 6, raw, n, &z, &e), STATUS_OK);
    assert_int_equal(buf_append(out, z.data + 2, z.len - 6, &e), STATUS_OK);
    buf_fini(&z);
}

static void pack(enum codec_id id, const uint8_t *raw, size_t n, struct buf *out)
{
    struct error e;
    out->len = 0;
    if (id == CODEC_LZ4)
        lz4_pack(raw, n, out);
    else if (id == CODEC_LZMA)
        xz_pack(raw, n, out);
    else if (id == CODEC_RAW_DEFLATE || id == CODEC_ROOT_OLD)
        deflate_pack(raw, n, out);
    else
        assert_int_equal(codec_compress(id, 0, raw, n, out, &e), STATUS_OK);
}

static void test_what_is_compressed_comes_back(void **state)
{
    struct sample *s = *state;
    uint8_t *back = malloc(N);
    for (int id = 0; id < CODEC_COUNT; id++)
        for (size_t n = 1; n <= N; n = n * 10 + 7) {
            struct error e = {0};
            pack((enum codec_id)id, s->raw, n, &s->packed);
            memset(back, 0xee, N);
            if (codec_decompress((enum codec_id)id, s->packed.data, s->packed.len, back, n, &e) != STATUS_OK)
                fail_msg("%s, %zu bytes: %s", codec_name((enum codec_id)id), n, e.text);
            assert_memory_equal(back, s->raw, n);
        }
    free(back);
}

static void test_every_codec_refuses_a_wrong_size_and_a_cut_stream(void **state)
{
    struct sample *s = *state;
    uint8_t *back = malloc(N + 1);
    for (int i = 0; i < CODEC_COUNT; i++) {
        enum codec_id id = (enum codec_id)i;
        struct error e = {0};
        pack(id, s->raw, N, &s->packed);
        assert_int_equal(codec_decompress(id, s->packed.data, s->packed.len, back, N - 1, &e), STATUS_FORMAT);
        assert_non_null(strstr(e.text, codec_name(id)));
        assert_int_equal(codec_decompress(id, s->packed.data, s->packed.len, back, N + 1, &e), STATUS_FORMAT);
        assert_int_equal(codec_decompress(id, s->packed.data, s->packed.len / 2, back, N, &e), STATUS_FORMAT);
        assert_int_equal(codec_decompress(id, s->packed.data, 0, back, N, &e), STATUS_FORMAT);
    }
    free(back);
}

static void test_streams_with_checksums_notice_every_flipped_byte(void **state)
{
    static const enum codec_id checked[] = {CODEC_ZLIB, CODEC_GZIP, CODEC_LZMA};
    struct sample *s = *state;
    uint8_t back[2000];
    for (size_t i = 0; i < ARRAY_LEN(checked); i++) {
        pack(checked[i], s->raw, sizeof back, &s->packed);
        /* Behind the headers, whose flags and times may differ without harm. */
        for (size_t at = 12; at + 12 < s->packed.len; at += 3) {
            struct error e = {0};
            s->packed.data[at] ^= 0x10;
            assert_int_not_equal(codec_decompress(checked[i], s->packed.data, s->packed.len, back, sizeof back, &e),
                                 STATUS_OK);
            s->packed.data[at] ^= 0x10;
        }
    }
}

static void test_nothing_compresses_to_something_that_gives_nothing(void **state)
{
    struct sample *s = *state;
    static const enum codec_id writers[] = {CODEC_NONE, CODEC_ZLIB, CODEC_GZIP, CODEC_ZSTD, CODEC_SNAPPY};
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        struct error e = {0};
        s->packed.len = 0;
        assert_int_equal(codec_compress(writers[i], 0, NULL, 0, &s->packed, &e), STATUS_OK);
        assert_int_equal(codec_decompress(writers[i], s->packed.data, s->packed.len, NULL, 0, &e), STATUS_OK);
    }
}

static void test_compression_appends_and_gives_the_same_bytes_again(void **state)
{
    struct sample *s = *state;
    struct error e = {0};
    static const enum codec_id writers[] = {CODEC_NONE, CODEC_ZLIB, CODEC_GZIP, CODEC_ZSTD, CODEC_SNAPPY};
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        s->packed.len = 0;
        assert_int_equal(codec_compress(writers[i], 0, s->raw, N, &s->packed, &e), STATUS_OK);
        size_t one = s->packed.len;
        assert_true(one <= codec_bound(writers[i], N));
        assert_int_equal(codec_compress(writers[i], 0, s->raw, N, &s->packed, &e), STATUS_OK);
        assert_int_equal(s->packed.len, 2 * one);
        assert_memory_equal(s->packed.data, s->packed.data + one, one);
    }
}

static void test_two_gzip_members_are_one_stream(void **state)
{
    struct sample *s = *state;
    struct error e = {0};
    s->packed.len = 0;
    assert_int_equal(codec_compress(CODEC_GZIP, 1, s->raw, 1000, &s->packed, &e), STATUS_OK);
    assert_int_equal(codec_compress(CODEC_GZIP, 9, s->raw + 1000, 500, &s->packed, &e), STATUS_OK);
    uint8_t back[1500];
    assert_int_equal(codec_decompress(CODEC_GZIP, s->packed.data, s->packed.len, back, 1500, &e), STATUS_OK);
    assert_memory_equal(back, s->raw, 1500);
}

static void test_read_only_codecs_say_that_they_do_not_compress(void **state)
{
    struct sample *s = *state;
    static const enum codec_id readers[] = {CODEC_RAW_DEFLATE, CODEC_ROOT_OLD, CODEC_LZMA, CODEC_LZ4};
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        struct error e = {0};
        assert_int_equal(codec_bound(readers[i], N), 0);
        assert_int_equal(codec_compress(readers[i], 0, s->raw, N, &s->packed, &e), STATUS_UNSUPPORTED);
        assert_non_null(strstr(e.text, codec_name(readers[i])));
    }
}

static void test_levels_outside_the_codec_are_refused(void **state)
{
    struct sample *s = *state;
    struct error e = {0};
    assert_int_equal(codec_compress(CODEC_GZIP, 13, s->raw, N, &s->packed, &e), STATUS_RANGE);
    assert_int_equal(codec_compress(CODEC_ZSTD, 99, s->raw, N, &s->packed, &e), STATUS_RANGE);
    assert_int_equal(codec_compress(CODEC_SNAPPY, 1, s->raw, N, &s->packed, &e), STATUS_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_compressed_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_codec_refuses_a_wrong_size_and_a_cut_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_with_checksums_notice_every_flipped_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_compresses_to_something_that_gives_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compression_appends_and_gives_the_same_bytes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_gzip_members_are_one_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only_codecs_say_that_they_do_not_compress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels_outside_the_codec_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
