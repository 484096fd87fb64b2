/* tests/core/parquet/test_encodings.c
 *
 * Encodings that our writer does not use: differences of integers, lengths and prefixes of strings, split streams; and
 * LZ4_RAW.  An encoder of the differences stands here, beside examples worked out by hand. */
#include "tests/core/parquet/forge.h"

/* ---- an encoder of differences ----------------------------------------------------------------------------- */

static void put_varint(struct forge *f, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        FORGE_VALUES(f, uint8_t, (uint8_t)(v | 0x80));
    FORGE_VALUES(f, uint8_t, (uint8_t)v);
}

static void put_zigzag(struct forge *f, uint64_t v)
{
    put_varint(f, v << 1 ^ (uint64_t)((int64_t)v >> 63));
}

enum { BLOCK = 128, MINI = 32 };

static void put_mini(struct forge *f, const uint64_t *v, unsigned width)
{
    uint8_t bytes[MINI * 8] = {0};
    for (size_t i = 0; i < MINI; i++)
        for (size_t bit = 0; bit < width; bit++)
            bytes[(i * width + bit) / 8] |= (uint8_t)((v[i] >> bit & 1) << ((i * width + bit) % 8));
    forge_bytes(f, bytes, MINI / 8 * width);
}

/* Widths of miniblocks without values are nonsense on purpose, as the format allows. */
static void put_block(struct forge *f, const uint64_t *v, size_t n)
{
    uint64_t rest[BLOCK] = {0}, least = v[1] - v[0];
    unsigned width[BLOCK / MINI] = {0};
    for (size_t i = 1; i <= n; i++)
        if ((int64_t)(v[i] - v[i - 1]) < (int64_t)least)
            least = v[i] - v[i - 1];
    for (size_t i = 0; i < n; i++) {
        rest[i] = v[i + 1] - v[i] - least;
        while (width[i / MINI] < 64 && rest[i] >> width[i / MINI])
            width[i / MINI]++;
    }
    put_zigzag(f, least);
    for (size_t i = 0; i < BLOCK / MINI; i++)
        FORGE_VALUES(f, uint8_t, i * MINI < n ? (uint8_t)width[i] : 0xee);
    for (size_t i = 0; i * MINI < n; i++)
        put_mini(f, rest + i * MINI, width[i]);
}

static void put_deltas(struct forge *f, const uint64_t *v, size_t n)
{
    put_varint(f, BLOCK);
    put_varint(f, BLOCK / MINI);
    put_varint(f, n);
    put_zigzag(f, v[0]);
    for (size_t i = 0; i + 1 < n; i += BLOCK)
        put_block(f, v + i, n - 1 - i < BLOCK ? n - 1 - i : BLOCK);
}

/* ---- integers ------------------------------------------------------------------------------------------------ */

static void begin_column(struct forge *f, int type)
{
    forge_begin(f, type);
    forge_element(f, "x", type, REQUIRED, -1, 0);
}

static void test_the_formats_own_example_of_differences_is_read(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    begin_column(&f, I32); /* 7 5 3 1 2 3 4 5: least difference -2, remainders 0 0 0 3 3 3 3 of two bits */
    forge_bytes(&f, "\x80\x01\x04\x08\x0e\x03\x02\x00\x00\x00\xc0\x3f\x00\x00\x00\x00\x00\x00", 18);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA, 8);
    rows(&f, 8);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, ((int32_t[]){7, 5, 3, 1, 2, 3, 4, 5}), 32);
    close_opened(&o);
}

static uint64_t random_value(struct rng *r, unsigned bits)
{
    return bits == 0 ? 42 : rng_u64(r) >> (64 - bits);
}

static void test_differences_of_every_width_and_count_come_back(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 32, 33, 34, 128, 129, 130, 1000, 3000};
    uint64_t v[3000];
    struct rng r = rng_stream(5, 0);
    for (unsigned bits = 0; bits <= 64; bits++) {
        struct forge f;
        struct opened o;
        size_t n = counts[bits % ARRAY_LEN(counts)];
        for (size_t i = 0; i < n; i++)
            v[i] = random_value(&r, bits);
        begin_column(&f, PARQUET_INT64);
        put_deltas(&f, v, n);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA, (int)n);
        rows(&f, (int64_t)n);
        read_forged(&o, &f);
        assert_memory_equal(o.v.data, v, n * 8);
        close_opened(&o);
        begin_column(&f, I32); /* sums wrap: only the low half counts */
        put_deltas(&f, v, n);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA, (int)n);
        rows(&f, (int64_t)n);
        read_forged(&o, &f);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(((uint32_t *)o.v.data)[i], (uint32_t)v[i]);
        close_opened(&o);
    }
}

static void test_differences_with_nulls_over_pages_come_back(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, PARQUET_INT64);
    forge_element(&f, "x", PARQUET_INT64, OPTIONAL, -1, 0);
    forge_levels(&f, "0110", 1, false);
    put_deltas(&f, (uint64_t[]){7, (uint64_t)-9}, 2);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA, 4);
    forge_levels(&f, "00", 1, false); /* no values: no head either */
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA, 2);
    forge_levels(&f, "1", 1, false);
    put_deltas(&f, (uint64_t[]){5}, 1);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA, 1);
    rows(&f, 7);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, ((int64_t[]){0, 7, -9, 0, 0, 0, 5}), 56);
    close_opened(&o);
}

static void test_damaged_differences_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } cases[] = {
        {"", 0, "inside its head"},
        {"\x80\x01\x04\x08", 4, "inside its head"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x04\x08\x0e", 15, "inside its head"},
        {"\x80\x01\x00\x08\x0e", 5, "in 0 miniblocks"},
        {"\x00\x04\x08\x0e", 4, "blocks of 0 values"},
        {"\x80\x01\x03\x08\x0e", 5, "in 3 miniblocks"},
        {"\x80\x01\x08\x08\x0e", 5, "in 8 miniblocks"},
        {"\x80\x80\x80\x80\x10\x01\x08\x0e", 8, "blocks of 4294967296"},
        {"\x80\x01\x04\x09\x0e", 5, "9 values where 8"},
        {"\x80\x01\x04\x08\x0e\x03\x02\x00\x00", 9, "7 values to come"},
        {"\x80\x01\x04\x08\x0e\x03\x02\x00\x00\x00\xc0\x3f\x00\x00\x00\x00\x00", 17, "7 values to come"},
        {"\x80\x01\x04\x08\x0e\x03\x41\x00\x00\x00", 10, "65 bits"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        begin_column(&f, I32);
        forge_bytes(&f, cases[i].bytes, cases[i].n);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA, 8);
        rows(&f, 8);
        assert_refused(&f, STATUS_FORMAT, cases[i].says);
    }
}

/* ---- strings ------------------------------------------------------------------------------------------------- */

static void test_strings_with_their_lengths_in_front_come_back(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    begin_column(&f, TEXT);
    for (int page = 0; page < 2; page++) {
        put_deltas(&f, (uint64_t[]){4, 0, 3, 0}, 4);
        forge_bytes(&f, "muontau", 7);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA_LENGTHS, 4);
    }
    rows(&f, 8);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, "muontaumuontau", 14);
    assert_memory_equal(o.v.string_offsets, ((uint64_t[]){0, 4, 4, 7, 7, 11, 11, 14, 14}), 72);
    close_opened(&o);
}

static void test_strings_that_share_prefixes_come_back(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    begin_column(&f, TEXT);
    put_deltas(&f, (uint64_t[]){0, 5, 5, 0, 0}, 5);
    put_deltas(&f, (uint64_t[]){5, 2, 0, 1, 0}, 5);
    forge_bytes(&f, "axis-esb", 8);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA_STRINGS, 5);
    put_deltas(&f, (uint64_t[]){0}, 1); /* a page begins anew */
    put_deltas(&f, (uint64_t[]){2}, 1);
    forge_bytes(&f, "zz", 2);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_DELTA_STRINGS, 1);
    rows(&f, 6);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, "axis-axis-esaxis-bzz", 20);
    assert_memory_equal(o.v.string_offsets, ((uint64_t[]){0, 5, 12, 17, 18, 18, 20}), 56);
    close_opened(&o);
}

/* Two strings: what is kept, lengths, bytes; lengths alone when kept[0] is -1. */
static void assert_strings_refused(const int kept[2], const int len[2], const char *bytes, const char *says)
{
    struct forge f;
    begin_column(&f, TEXT);
    if (kept[0] >= 0)
        put_deltas(&f, (uint64_t[]){(uint64_t)kept[0], (uint64_t)kept[1]}, 2);
    put_deltas(&f, (uint64_t[]){(uint64_t)(int64_t)len[0], (uint64_t)(int64_t)len[1]}, 2);
    forge_bytes(&f, bytes, strlen(bytes));
    forge_page(&f, PARQUET_DATA_PAGE, kept[0] >= 0 ? PARQUET_DELTA_STRINGS : PARQUET_DELTA_LENGTHS, 2);
    rows(&f, 2);
    assert_refused(&f, STATUS_FORMAT, says);
}

static void test_damaged_lengths_of_strings_are_refused(void **state)
{
    (void)state;
    const int none[] = {-1, 0};
    assert_strings_refused(none, (int[]){2, 3}, "abcd", "string 1 of 2 passes the end");
    assert_strings_refused(none, (int[]){-1, 3}, "abcd", "string 0 of 2 passes the end");
    assert_strings_refused(none, (int[]){1, 2}, "abcd", "1 bytes remain");
    assert_strings_refused((int[]){1, 0}, (int[]){1, 1}, "ab", "keeps 1 bytes of one of 0");
    assert_strings_refused((int[]){0, 2}, (int[]){1, 1}, "ab", "keeps 2 bytes of one of 1");
    assert_strings_refused((int[]){0, 1}, (int[]){1, -1}, "ab", "passes the end");
    assert_strings_refused((int[]){0, 1}, (int[]){1, 2}, "ab", "passes the end");
    assert_strings_refused((int[]){0, 1}, (int[]){1, 1}, "abc", "1 bytes remain");
}

/* ---- split streams --------------------------------------------------------------------------------------------- */

static void test_split_streams_of_every_number_come_back(void **state)
{
    (void)state;
    static const int types[] = {PARQUET_FLOAT, I32, PARQUET_DOUBLE, PARQUET_INT64};
    uint8_t bytes[8 * 37];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 73 + 5);
    for (size_t k = 0; k < ARRAY_LEN(types); k++) {
        struct forge f;
        struct opened o;
        size_t size = k < 2 ? 4 : 8;
        begin_column(&f, types[k]);
        for (size_t byte = 0; byte < size; byte++)
            for (size_t i = 0; i < 37; i++)
                forge_bytes(&f, bytes + i * size + byte, 1);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_SPLIT, 37);
        rows(&f, 37);
        read_forged(&o, &f);
        assert_memory_equal(o.v.data, bytes, 37 * size);
        close_opened(&o);
    }
    struct forge f;
    begin_column(&f, F32);
    forge_bytes(&f, bytes, 11);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_SPLIT, 3);
    rows(&f, 3);
    assert_refused(&f, STATUS_FORMAT, "11 bytes for 3 values of 4 bytes");
}

static void test_an_encoding_that_is_not_for_the_type_is_refused(void **state)
{
    (void)state;
    static const struct {
        int type, encoding;
        const char *says;
    } cases[] = {{F32, PARQUET_DELTA, "DELTA_BINARY_PACKED"},
                 {TEXT, PARQUET_DELTA, "of integers alone"},
                 {I32, PARQUET_DELTA_LENGTHS, "DELTA_LENGTH_BYTE_ARRAY"},
                 {I32, PARQUET_DELTA_STRINGS, "DELTA_BYTE_ARRAY"},
                 {TEXT, PARQUET_SPLIT, "BYTE_STREAM_SPLIT"},
                 {PARQUET_BOOLEAN, PARQUET_SPLIT, "of numbers alone"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        begin_column(&f, cases[i].type);
        forge_bytes(&f, "\0\0\0", 4);
        forge_page(&f, PARQUET_DATA_PAGE, cases[i].encoding, 1);
        rows(&f, 1);
        assert_refused(&f, STATUS_FORMAT, cases[i].says);
    }
}

/* ---- LZ4_RAW ----------------------------------------------------------------------------------------------------- */

static void test_a_raw_lz4_page_is_read(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    begin_column(&f, I32);
    f.chunk.codec = 7;
    /* Four literals, a copy of 31 from 4 bytes before (15 in the token, 12 in the length byte, 4 always), 5 literals. */
    forge_bytes(&f, "\x4f\x07\x00\x00\x00\x04\x00\x0c\x50\x00\x08\x00\x00\x00", 14);
    struct meta_page page = forge_header(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 10);
    page.uncompressed_bytes = 40;
    forge_page_as_is(&f, &page);
    rows(&f, 10);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, ((int32_t[]){7, 7, 7, 7, 7, 7, 7, 7, 7, 8}), 40);
    close_opened(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_formats_own_example_of_differences_is_read),
        cmocka_unit_test(test_differences_of_every_width_and_count_come_back),
        cmocka_unit_test(test_differences_with_nulls_over_pages_come_back),
        cmocka_unit_test(test_damaged_differences_are_refused),
        cmocka_unit_test(test_strings_with_their_lengths_in_front_come_back),
        cmocka_unit_test(test_strings_that_share_prefixes_come_back),
        cmocka_unit_test(test_damaged_lengths_of_strings_are_refused),
        cmocka_unit_test(test_split_streams_of_every_number_come_back),
        cmocka_unit_test(test_an_encoding_that_is_not_for_the_type_is_refused),
        cmocka_unit_test(test_a_raw_lz4_page_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
