/* tests/core/parquet/test_hostile.c
 *
 * Files that lie.  A lie costs an error that names it: never memory beyond the stated maxima, never other numbers. */
#include "tests/core/parquet/forge.h"

#include <math.h>

/* ---- pages that lie -------------------------------------------------------------------------------------------- */

static void test_a_page_with_a_flipped_bit_fails_its_checksum(void **state)
{
    (void)state;
    struct forge f;
    forge_three(&f);
    f.file.data[f.file.len - 2] ^= 1;
    assert_refused(&f, STATUS_FORMAT, "x: page at byte 4: its checksum differs");
}

static void test_page_sizes_are_believed_only_within_bounds(void **state)
{
    (void)state;
    static const struct {
        int codec;
        int32_t uncompressed, compressed;
        enum status status;
        const char *says;
    } cases[] = {
        {0, INT32_MAX, 12, STATUS_RANGE, "at most 268435456"},
        {0, 12, INT32_MAX, STATUS_FORMAT, "remain in the chunk"},
        {0, 13, 12, STATUS_FORMAT, "12 bytes stored as they are, 13 announced"},
        {1, 200 << 20, 12, STATUS_FORMAT, "cannot come of 12 by SNAPPY"},
        {2, 200 << 20, 12, STATUS_FORMAT, "cannot come of 12 by GZIP"},
        {6, 200 << 20, 12, STATUS_FORMAT, "cannot come of 12 by ZSTD"},
        {6, 300 << 10, 12, STATUS_FORMAT, "zstd"},
        {0, -1, 12, STATUS_FORMAT, "negative"},
        {0, 12, -5, STATUS_FORMAT, "negative"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        forge_begin(&f, I32);
        forge_element(&f, "x", I32, REQUIRED, -1, 0);
        FORGE_VALUES(&f, int32_t, 1, 2, 3);
        struct meta_page page = forge_header(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 3);
        page.uncompressed_bytes = cases[i].uncompressed;
        page.compressed_bytes = cases[i].compressed;
        forge_page_as_is(&f, &page);
        f.chunk.codec = cases[i].codec;
        rows(&f, 3);
        assert_refused(&f, cases[i].status, cases[i].says);
    }
}

static void test_counts_of_pages_chunk_and_rows_must_agree(void **state)
{
    (void)state;
    struct forge f;
    forge_three(&f);
    f.chunk.n_values = 4;
    rows(&f, 4);
    assert_refused(&f, STATUS_FORMAT, "its pages end 1 values early");
    forge_three(&f);
    f.chunk.n_values = 2;
    rows(&f, 2);
    assert_refused(&f, STATUS_FORMAT, "3 values, 2 remain of the chunk's");
    forge_three(&f);
    rows(&f, 2);
    assert_refused(&f, STATUS_FORMAT, "3 values in");
    forge_three(&f);
    f.file_rows = 4;
    assert_refused(&f, STATUS_FORMAT, "row groups of 3 rows together, the footer says 4");
    forge_three(&f);
    f.chunk.n_values = f.group_rows = f.file_rows = INT64_MAX;
    assert_refused(&f, STATUS_RANGE, "values; at most");
    forge_three(&f);
    f.chunk.n_values = -3;
    assert_refused(&f, STATUS_FORMAT, "-3 values");
    for (int n = 2; n <= 4; n += 2) { /* the page's own count against its bytes */
        forge_begin(&f, I32);
        forge_element(&f, "x", I32, REQUIRED, -1, 0);
        FORGE_VALUES(&f, int32_t, 1, 2, 3);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, n);
        rows(&f, n);
        assert_refused(&f, STATUS_FORMAT, "12 bytes for");
    }
    forge_begin(&f, F32); /* as many values as rows, but in fewer rows */
    forge_list_schema(&f, F32, REQUIRED, REQUIRED);
    forge_levels(&f, "01", 1, false);
    forge_levels(&f, "11", 1, false);
    FORGE_VALUES(&f, float, 1, 2);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 2);
    rows(&f, 2);
    assert_refused(&f, STATUS_FORMAT, "1 rows, the row group has 2");
}

static void test_strings_stay_within_their_page(void **state)
{
    (void)state;
    static const struct {
        uint32_t lens[2];
        const char *says;
    } cases[] = {{{4, 5}, "passes the end"},
                 {{UINT32_MAX, 0}, "passes the end"},
                 {{3, 4}, "remain behind"},
                 {{8, 0}, "passes the end"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        forge_begin(&f, TEXT);
        forge_element(&f, "x", TEXT, REQUIRED, -1, 0);
        forge_bytes(&f, &cases[i].lens[0], 4);
        forge_bytes(&f, "abcd", cases[i].lens[0] == 3 ? 3 : 4);
        forge_bytes(&f, &cases[i].lens[1], 4);
        forge_bytes(&f, "abcde", cases[i].lens[0] == 4 ? 4 : 5);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 2);
        rows(&f, 2);
        assert_refused(&f, STATUS_FORMAT, cases[i].says);
    }
}

static void test_v2_pages_must_keep_their_word(void **state)
{
    (void)state;
    for (int lie = 0; lie < 6; lie++) {
        static const char *const says[] = {"2 rows where the header says 3",
                                           "bytes of levels in a page",
                                           "repetition levels",
                                           "begins inside a row",
                                           "stored as they are",
                                           "definition levels"};
        struct forge f;
        forge_begin(&f, F32);
        forge_list_schema(&f, F32, REQUIRED, REQUIRED);
        int rep = (int)forge_levels(&f, lie == 3 ? "101" : "010", 1, true), def = (int)forge_levels(&f, "111", 1, true);
        FORGE_VALUES(&f, float, 1, 2, 3);
        struct meta_page page = forge_header(&f, PARQUET_DATA_PAGE_V2, PARQUET_PLAIN, 3);
        page.rep_bytes = rep;
        page.def_bytes = def;
        page.n_rows = lie == 0 ? 3 : lie == 3 ? 1 : 2;
        if (lie == 1)
            page.def_bytes = 1 << 20;
        else if (lie == 2)
            page.rep_bytes = 0, page.def_bytes = def + rep;
        else if (lie == 4)
            page.uncompressed_bytes += 4;
        else if (lie == 5)
            page.def_bytes = 0;
        forge_page_as_is(&f, &page);
        rows(&f, lie == 3 ? 1 : 2);
        assert_refused(&f, STATUS_FORMAT, says[lie]);
    }
}

static void test_a_run_cannot_cost_more_memory_than_allowed(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, PARQUET_INT64);
    forge_element(&f, "x", PARQUET_INT64, OPTIONAL, -1, 0);
    forge_bytes(&f, "\x06\0\0\0\x80\x80\x80\x80\x02\x00", 10); /* 2^28 nulls in ten bytes: 2 GiB */
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 1 << 28);
    rows(&f, 1 << 28);
    assert_refused(&f, STATUS_RANGE, "at most 1073741824 bytes are read at once");
    forge_begin(&f, PARQUET_BOOLEAN);
    forge_element(&f, "x", PARQUET_BOOLEAN, OPTIONAL, -1, 0);
    forge_bytes(&f, "\x06\0\0\0\x82\x80\x80\x80\x02\x00", 10);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, (1 << 28) + 1);
    rows(&f, (1 << 28) + 1);
    assert_refused(&f, STATUS_RANGE, "268435457 values in one page");
    forge_three(&f);
    forge_finish(&f);
    assert_ok(open_bytes(&o, f.file.data, f.file.len), &o.e);
    pq_limit(o.reader, 11);
    assert_status(pq_read(o.reader, 0, 0, &o.v, &o.e), STATUS_RANGE, &o.e);
    pq_limit(o.reader, 12);
    assert_ok(pq_read(o.reader, 0, 0, &o.v, &o.e), &o.e);
    close_opened(&o);
    forge_end(&f);
}

/* ---- footers that lie ------------------------------------------------------------------------------------------ */

static void test_chunks_must_lie_within_the_file(void **state)
{
    (void)state;
    static const struct {
        int64_t offset, bytes;
    } cases[] = {{0, 20}, {-1, 20}, {INT64_MAX, 20}, {4, INT64_MAX}, {4, 100000}, {INT64_MIN, 4}};
    struct forge f;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        forge_three(&f);
        f.chunk.data_page_offset = cases[i].offset;
        f.chunk.compressed_bytes = cases[i].bytes;
        assert_refused(&f, STATUS_FORMAT, "outside the file's data");
    }
    forge_three(&f);
    f.chunk.compressed_bytes = -1;
    assert_refused(&f, STATUS_FORMAT, "in -1 bytes");
    forge_three(&f);
    f.chunk.compressed_bytes -= 1;
    assert_refused(&f, STATUS_FORMAT, "12 bytes, 11 remain in the chunk");
    forge_three(&f);
    f.chunk.compressed_bytes = 5;
    assert_refused(&f, STATUS_FORMAT, "inside a page header");
}

static void test_chunks_that_are_elsewhere_or_encrypted_are_named(void **state)
{
    (void)state;
    struct forge f;
    forge_three(&f);
    f.chunk.elsewhere = true;
    assert_refused(&f, STATUS_UNSUPPORTED, "in another file");
    forge_three(&f);
    f.chunk.encrypted = f.no_chunk_meta = true;
    assert_refused(&f, STATUS_UNSUPPORTED, "encrypted columns");
    forge_three(&f);
    f.no_chunk_meta = true;
    assert_refused(&f, STATUS_FORMAT, "physical type");
    forge_three(&f);
    f.chunk.type = F32;
    assert_refused(&f, STATUS_FORMAT, "the row group says physical type 4, the schema 1");
    static const struct {
        int codec;
        const char *says;
    } codecs[] = {{3, "LZO"}, {4, "BROTLI"}, {5, "LZ4"}, {99, "unknown (99)"}, {-1, "unknown (-1)"}};
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++) {
        forge_three(&f);
        f.chunk.codec = codecs[i].codec;
        assert_refused(&f, STATUS_UNSUPPORTED, codecs[i].says);
    }
}

static void assert_bytes_refused(const void *p, size_t n, enum status expected, const char *says)
{
    struct opened o;
    assert_status(open_bytes(&o, p, n), expected, &o.e);
    assert_contains(o.e.text, says);
    assert_null(o.reader);
    close_opened(&o);
}

static void test_what_is_no_parquet_file_is_said_so(void **state)
{
    (void)state;
    assert_bytes_refused("", 0, STATUS_FORMAT, "too few");
    assert_bytes_refused("PAR1PAR1", 8, STATUS_FORMAT, "too few");
    assert_bytes_refused("PAR1\0\0\0\0root", 12, STATUS_FORMAT, "not a Parquet file");
    assert_bytes_refused("PAR1\0\0\0\0PAR1", 12, STATUS_FORMAT, "footer: ends too early");
    assert_bytes_refused("PAR1\1\0\0\0PAR1", 12, STATUS_FORMAT, "a footer of 1 bytes in a file of 12");
    assert_bytes_refused("PAR1\xff\xff\xff\xffPAR1", 12, STATUS_RANGE, "a footer of 4294967295 bytes");
    assert_bytes_refused("PARE\0\0\0\0PARE", 12, STATUS_UNSUPPORTED, "encrypted");
}

/* A footer of these bytes. */
static void footer_refused(const uint8_t *footer, size_t n, const char *says)
{
    struct error e;
    struct buf b;
    uint8_t len[4];
    buf_init(&b, 1 << 24);
    store_le32(len, (uint32_t)n);
    assert_ok(buf_append(&b, "PAR1", 4, &e), &e);
    assert_ok(buf_append(&b, footer, n, &e), &e);
    assert_ok(buf_append(&b, len, 4, &e), &e);
    assert_ok(buf_append(&b, "PAR1", 4, &e), &e);
    assert_bytes_refused(b.data, b.len, STATUS_FORMAT, says);
    buf_fini(&b);
}

static void test_footer_bombs_cost_an_error(void **state)
{
    (void)state;
    static uint8_t bytes[1 << 20];
    memset(bytes, 0x1c, sizeof bytes); /* thrift structs nested */
    footer_refused(bytes, sizeof bytes, "structs nested too deeply");
    memset(bytes, 0, sizeof bytes); /* list claims: schema, row groups, metadata, orders */
    for (int field = 2; field <= 7; field++) {
        static const uint8_t huge[] = {0xfc, 0xff, 0xff, 0xff, 0xff, 0x07};
        if (field == 3 || field == 6)
            continue;
        bytes[0] = (uint8_t)(field << 4 | THRIFT_LIST);
        memcpy(bytes + 1, huge, sizeof huge);
        footer_refused(bytes, sizeof bytes, "list claims more items than the remaining bytes hold");
    }
    bytes[0] = 0x29; /* as many schema elements as bytes could hold, all empty */
    memcpy(bytes + 1, (uint8_t[]){0xfc, 0x99, 0x99, 0x0c}, 4);
    footer_refused(bytes, sizeof bytes, "footer:");
}

static void test_a_schema_chain_is_refused(void **state)
{
    (void)state;
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct thrift_writer w = thrift_writer_of(&b, &e);
    enum { DEPTH = 10000 };
    thrift_put_begin(&w);
    thrift_put_list(&w, 2, THRIFT_STRUCT, DEPTH);
    for (int i = 0; i < DEPTH; i++) {
        thrift_put_begin(&w);
        thrift_put_i32(&w, 3, PARQUET_OPTIONAL);
        thrift_put_string(&w, 4, "g");
        thrift_put_i32(&w, 5, 1);
        thrift_put_end(&w);
    }
    thrift_put_i64(&w, 3, 0);
    thrift_put_end(&w);
    assert_int_equal(w.status, STATUS_OK);
    footer_refused(b.data, b.len, "groups nest deeper than 64");
    buf_fini(&b);
}

/* ---- damage of every kind --------------------------------------------------------------------------------------- */

static const struct pq_column small_columns[] = {{.name = "x", .type = PQ_F32, .list = true},
                                                 {.name = "n", .type = PQ_I32, .bits = 8},
                                                 {.name = "s", .type = PQ_STRING},
                                                 {.name = "b", .type = PQ_BOOL, .list = true}};

/* A small file of ours with lists, strings and two row groups. */
static void write_small(const char *path, enum codec_id codec, int version)
{
    struct error e;
    struct pq_writer *w;
    const struct pq_write_options options = {.codec = codec, .page_version = version, .page_bytes = 24};
    struct pq_values v[] = {
        {.n_rows = 4, .n_values = 6, .data = (float[]){1, 2, NAN, -0.0f, 5, 6}, .offsets = (uint64_t[]){0, 2, 2, 5, 6}},
        {.n_rows = 4, .n_values = 4, .data = (int32_t[]){-1, 2, 3, 100}},
        {.n_rows = 4, .n_values = 4, .data = (char[]){"muonetau"}, .string_offsets = (uint64_t[]){0, 4, 5, 5, 8}},
        {.n_rows = 4, .n_values = 5, .data = (uint8_t[]){1, 0, 1, 1, 1}, .offsets = (uint64_t[]){0, 0, 2, 4, 5}},
    };
    assert_ok(pq_writer_create(path, small_columns, 4, &options, &w, &e), &e);
    assert_ok(pq_write_row_group(w, v, &e), &e);
    assert_ok(pq_write_row_group(w, v, &e), &e);
    assert_ok(pq_writer_finish(w, &e), &e);
}

/* Everything that a reader hands out, as one text of bytes.  An error of any column ends it. */
static enum status read_all(const uint8_t *p, size_t n, struct buf *out, struct error *e)
{
    struct opened o;
    enum status s = open_bytes(&o, p, n);
    out->len = 0;
    for (size_t g = 0; s == STATUS_OK && g < pq_n_row_groups(o.reader); g++)
        for (size_t i = 0; s == STATUS_OK && i < pq_n_columns(o.reader); i++) {
            s = pq_read(o.reader, g, i, &o.v, &o.e);
            if (s != STATUS_OK)
                break;
            size_t bytes = pq_column_at(o.reader, i)->type == PQ_STRING
                               ? (size_t)o.v.string_offsets[o.v.n_values]
                               : o.v.n_values * pq_type_size(pq_column_at(o.reader, i)->type);
            assert_ok(buf_append(out, o.v.data, bytes, e), e);
            if (o.v.offsets)
                assert_ok(buf_append(out, o.v.offsets, (o.v.n_rows + 1) * 8, e), e);
            if (o.v.string_offsets)
                assert_ok(buf_append(out, o.v.string_offsets, (o.v.n_values + 1) * 8, e), e);
        }
    *e = o.e;
    close_opened(&o);
    return s;
}

static void test_a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct error e;
    struct buf file, out;
    char *folder = temp_folder_create();
    buf_init(&file, 1 << 20);
    buf_init(&out, 1 << 20);
    write_small(path_in(folder, "t"), CODEC_SNAPPY, 1);
    assert_ok(file_read(path_in(folder, "t"), &file, &e), &e);
    for (size_t n = 0; n < file.len; n++)
        assert_status(read_all(file.data, n, &out, &e), STATUS_FORMAT, &e);
    assert_ok(read_all(file.data, file.len, &out, &e), &e);
    buf_fini(&file);
    buf_fini(&out);
    temp_folder_remove(folder);
}

static void test_a_flipped_bit_gives_an_error_or_the_same_values(void **state)
{
    (void)state;
    static const enum codec_id codecs[] = {CODEC_NONE, CODEC_ZSTD};
    struct error e;
    struct buf file, out, good;
    char *folder = temp_folder_create();
    buf_init(&out, 1 << 20);
    buf_init(&good, 1 << 20);
    for (int i = 0; i < 4; i++) {
        size_t same = 0;
        buf_init(&file, 1 << 20);
        write_small(path_in(folder, "t"), codecs[i % 2], 1 + i / 2);
        assert_ok(file_read(path_in(folder, "t"), &file, &e), &e);
        assert_ok(read_all(file.data, file.len, &good, &e), &e);
        for (size_t bit = 0; bit < 8 * file.len; bit++) {
            file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (read_all(file.data, file.len, &out, &e) == STATUS_OK) {
                if (out.len != good.len || memcmp(out.data, good.data, good.len) != 0)
                    fail_msg("codec %d, version %d: bit %zu of byte %zu changes the values", (int)codecs[i % 2],
                             1 + i / 2, bit % 8, bit / 8);
                same++;
            }
            file.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        assert_true(same > 0 && same < 8 * file.len);
        buf_fini(&file);
    }
    buf_fini(&out);
    buf_fini(&good);
    temp_folder_remove(folder);
}

static void test_every_failing_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    struct error e;
    struct buf file;
    char *folder = temp_folder_create();
    buf_init(&file, 1 << 20);
    write_small(path_in(folder, "t"), CODEC_ZSTD, 1);
    assert_ok(file_read(path_in(folder, "t"), &file, &e), &e);
    struct source *source;
    assert_ok(source_open_memory(file.data, file.len, "t", &source, &e), &e);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct pq_reader *r = NULL;
        struct pq_values v;
        enum status s = pq_open(source, &r, &e);
        for (size_t i = 0; s == STATUS_OK && i < 4; i++)
            s = pq_read(r, 1, i, &v, &e);
        pq_close(r);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
    }
    source_close(source);
    buf_fini(&file);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_with_a_flipped_bit_fails_its_checksum),
        cmocka_unit_test(test_page_sizes_are_believed_only_within_bounds),
        cmocka_unit_test(test_counts_of_pages_chunk_and_rows_must_agree),
        cmocka_unit_test(test_strings_stay_within_their_page),
        cmocka_unit_test(test_v2_pages_must_keep_their_word),
        cmocka_unit_test(test_a_run_cannot_cost_more_memory_than_allowed),
        cmocka_unit_test(test_chunks_must_lie_within_the_file),
        cmocka_unit_test(test_chunks_that_are_elsewhere_or_encrypted_are_named),
        cmocka_unit_test(test_what_is_no_parquet_file_is_said_so),
        cmocka_unit_test(test_footer_bombs_cost_an_error),
        cmocka_unit_test(test_a_schema_chain_is_refused),
        cmocka_unit_test(test_a_file_cut_anywhere_is_refused),
        cmocka_unit_test(test_a_flipped_bit_gives_an_error_or_the_same_values),
        cmocka_unit_test(test_every_failing_allocation_is_an_error_without_a_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
