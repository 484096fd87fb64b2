/* tests/core/parquet/test_levels.c
 *
 * Runs and bit-packed groups: against the examples of Encodings.md, against each other, and cut or damaged. */
#include "tests/support/unit.h"

#include "core/parquet/format.h"
#include "core/parquet/levels.h"

#include <stdlib.h>
#include <string.h>

/* Values in runs of random lengths, many short ones. */
static size_t random_runs(struct rng *r, uint8_t *out, size_t n, unsigned max)
{
    for (size_t i = 0; i < n;) {
        size_t run = 1 + (size_t)rng_below(r, rng_below(r, 3) ? 5 : 300);
        uint8_t v = (uint8_t)rng_below(r, max + 1);
        for (; run > 0 && i < n; run--)
            out[i++] = v;
    }
    return n;
}

static void write_runs(struct buf *b, const uint8_t *v, size_t n, unsigned width)
{
    struct error e;
    struct rle_writer w;
    rle_writer_init(&w, b, width);
    for (size_t i = 0; i < n; i++)
        assert_ok(rle_put(&w, v[i], 1, &e), &e);
    assert_ok(rle_finish(&w, &e), &e);
}

static void test_random_runs_of_every_width_come_back(void **state)
{
    (void)state;
    struct rng r = rng_stream(5, 0);
    uint8_t v[3000], got[3000];
    uint32_t wide[3000];
    for (int i = 0; i < 400; i++) {
        unsigned width = 1 + (unsigned)rng_below(&r, 8);
        size_t n = random_runs(&r, v, (size_t)rng_below(&r, 3000), (1u << width) - 1);
        struct buf b;
        buf_init(&b, 1 << 20);
        write_runs(&b, v, n, width);
        struct rle_reader reader;
        rle_reader_init(&reader, (struct span){b.data, b.len}, width);
        size_t half = n / 3; /* in two pieces: a run may be left in the middle */
        assert_int_equal(rle_read_u8(&reader, got, half, NULL), half);
        assert_int_equal(rle_read_u8(&reader, got + half, n - half, NULL), n - half);
        if (n > 0)
            assert_memory_equal(got, v, n);
        rle_reader_init(&reader, (struct span){b.data, b.len}, width);
        assert_int_equal(rle_read_u32(&reader, wide, n), n);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(wide[k], v[k]);
        buf_fini(&b);
    }
}

static void test_runs_put_at_once_or_one_by_one_are_the_same_bytes(void **state)
{
    (void)state;
    struct error e;
    struct rng r = rng_stream(6, 0);
    for (int i = 0; i < 200; i++) {
        struct buf one, many;
        struct rle_writer a, b;
        buf_init(&one, 1 << 20);
        buf_init(&many, 1 << 20);
        rle_writer_init(&a, &one, 1);
        rle_writer_init(&b, &many, 1);
        for (size_t run = 0; run < 50; run++) {
            uint8_t v = (uint8_t)rng_below(&r, 2);
            size_t n = (size_t)rng_below(&r, rng_below(&r, 2) ? 4 : 5000);
            assert_ok(rle_put(&a, v, n, &e), &e);
            for (size_t k = 0; k < n; k++)
                assert_ok(rle_put(&b, v, 1, &e), &e);
        }
        assert_ok(rle_finish(&a, &e), &e);
        assert_ok(rle_finish(&b, &e), &e);
        assert_int_equal(one.len, many.len);
        if (one.len > 0)
            assert_memory_equal(one.data, many.data, one.len);
        buf_fini(&one);
        buf_fini(&many);
    }
}

static void test_the_examples_of_the_format_are_read(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0, 1, 2, 3, 4, 5, 6, 7};
    /* Three bits each: bit-packed runs fill bytes from the lowest bit, BIT_PACKED levels from the highest. */
    static const uint8_t run[] = {0x03, 0x88, 0xC6, 0xFA}, levels[] = {0x05, 0x39, 0x77};
    struct error e;
    uint8_t got[8];
    size_t n_max;
    assert_ok(levels_read(PARQUET_RLE, (struct span){run, sizeof run}, 7, got, 8, &n_max, &e), &e);
    assert_memory_equal(got, expected, 8);
    assert_int_equal(n_max, 1);
    assert_ok(levels_read(PARQUET_BIT_PACKED, (struct span){levels, sizeof levels}, 7, got, 8, &n_max, &e), &e);
    assert_memory_equal(got, expected, 8);
    assert_int_equal(n_max, 1);
}

static void test_a_constant_of_a_million_levels_takes_four_bytes(void **state)
{
    (void)state;
    struct error e;
    struct buf b;
    struct rle_writer w;
    size_t n = 1000000, n_max;
    buf_init(&b, 1 << 20);
    rle_writer_init(&w, &b, 1);
    assert_ok(rle_put(&w, 1, n / 2, &e), &e);
    assert_ok(rle_put(&w, 1, n / 2, &e), &e);
    assert_ok(rle_finish(&w, &e), &e);
    assert_int_equal(b.len, 4);
    uint8_t *got = malloc(n);
    assert_ok(levels_read(PARQUET_RLE, (struct span){b.data, b.len}, 1, got, n, &n_max, &e), &e);
    assert_int_equal(n_max, n);
    assert_int_equal(got[0] + got[n - 1], 2);
    free(got);
    buf_fini(&b);
}

/* Packs values of any width as one bit-packed run, bit by bit. */
static size_t pack_slowly(uint8_t *out, const uint32_t *v, size_t n, unsigned width)
{
    size_t n_groups = (n + 7) / 8, at = 0;
    memset(out, 0, 2 + n_groups * width);
    for (size_t head = n_groups << 1 | 1;; head >>= 7) {
        out[at++] = (uint8_t)((head & 0x7f) | (head > 0x7f ? 0x80 : 0));
        if (head <= 0x7f)
            break;
    }
    for (size_t i = 0; i < n; i++)
        for (unsigned bit = 0; bit < width; bit++)
            out[at + (i * width + bit) / 8] |= (uint8_t)((v[i] >> bit & 1) << ((i * width + bit) % 8));
    return at + n_groups * width;
}

static void test_indices_of_0_to_32_bits_are_unpacked(void **state)
{
    (void)state;
    struct rng r = rng_stream(7, 0);
    uint32_t v[100], got[100];
    static uint8_t bytes[1000];
    for (unsigned width = 0; width <= 32; width++) {
        size_t n = 1 + (size_t)rng_below(&r, 100);
        for (size_t i = 0; i < n; i++)
            v[i] = width == 0 ? 0 : (uint32_t)(rng_u64(&r) >> (64 - width));
        size_t len = pack_slowly(bytes, v, n, width);
        uint8_t *exact = malloc(len); /* so that a read beyond the end is seen */
        memcpy(exact, bytes, len);
        struct rle_reader reader;
        rle_reader_init(&reader, (struct span){exact, len}, width);
        assert_int_equal(rle_read_u32(&reader, got, n), n);
        assert_memory_equal(got, v, n * sizeof *v);
        free(exact);
    }
}

static void test_a_last_group_may_be_cut_behind_its_values(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x05, 0xff}; /* two groups of one-bit values, one byte is there */
    uint8_t got[16];
    struct rle_reader r;
    rle_reader_init(&r, (struct span){bytes, 2}, 1);
    assert_int_equal(rle_read_u8(&r, got, 8, NULL), 8);
    rle_reader_init(&r, (struct span){bytes, 2}, 1);
    assert_int_equal(rle_read_u8(&r, got, 9, NULL), 8);
}

static void test_malformed_levels_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        unsigned max;
        const char *says;
    } cases[] = {
        {"", 0, 1, "0 levels"},
        {"\x10", 1, 1, "0 levels"},     /* a run without its value */
        {"\x10\x02", 2, 1, "0 levels"}, /* a value of two bits in a run of one */
        {"\x10\x03", 2, 2, "a level above 2"},
        {"\x03\xff\xff", 3, 2, "a level above 2"},
        {"\x0e\x01", 2, 1, "7 levels, but 8"},
        {"\x00\x01\x00\x01", 4, 1, "0 levels"},             /* runs of nothing */
        {"\xff\xff\xff\xff\xff\xff\x01", 7, 1, "0 levels"}, /* a head without end */
    };
    struct error e;
    uint8_t got[8];
    size_t n_max;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span s = {(const uint8_t *)cases[i].bytes, cases[i].n};
        assert_status(levels_read(PARQUET_RLE, s, cases[i].max, got, 8, &n_max, &e), STATUS_FORMAT, &e);
        assert_contains(e.text, cases[i].says);
    }
    struct span s = {(const uint8_t *)"\x10\x01", 2};
    assert_status(levels_read(PARQUET_BIT_PACKED, s, 3, got, 9, &n_max, &e), STATUS_FORMAT, &e);
    assert_status(levels_read(PARQUET_PLAIN, s, 1, got, 8, &n_max, &e), STATUS_UNSUPPORTED, &e);
    assert_contains(e.text, "encoding 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_runs_of_every_width_come_back),
        cmocka_unit_test(test_runs_put_at_once_or_one_by_one_are_the_same_bytes),
        cmocka_unit_test(test_the_examples_of_the_format_are_read),
        cmocka_unit_test(test_a_constant_of_a_million_levels_takes_four_bytes),
        cmocka_unit_test(test_indices_of_0_to_32_bits_are_unpacked),
        cmocka_unit_test(test_a_last_group_may_be_cut_behind_its_values),
        cmocka_unit_test(test_malformed_levels_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
