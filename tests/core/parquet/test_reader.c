/* tests/core/parquet/test_reader.c
 *
 * Files that our writer does not write: nulls, older lists, dictionaries, rows over page borders. */
#include "tests/core/parquet/forge.h"

/* ---- nulls ------------------------------------------------------------------------------------------------- */

static void test_nulls_of_a_flat_column_are_zeros_with_a_flag(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, I32);
    forge_element(&f, "x", I32, OPTIONAL, -1, 0);
    forge_levels(&f, "11", 1, false); /* a page without nulls first */
    FORGE_VALUES(&f, int32_t, 7, 8);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 2);
    forge_levels(&f, "01001", 1, false);
    FORGE_VALUES(&f, int32_t, 9, 10);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 5);
    forge_levels(&f, "1", 1, false);
    FORGE_VALUES(&f, int32_t, 11);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 1);
    rows(&f, 8);
    read_forged(&o, &f);
    assert_int_equal(o.v.n_values, 8);
    assert_memory_equal(o.v.data, ((int32_t[]){7, 8, 0, 9, 0, 0, 10, 11}), 32);
    assert_memory_equal(o.v.null, ((uint8_t[]){0, 0, 1, 0, 1, 1, 0, 0}), 8);
    assert_true(pq_column_at(o.reader, 0)->optional);
    close_opened(&o);
}

static void test_nulls_of_every_type_are_spread(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, PARQUET_DOUBLE);
    forge_element(&f, "x", PARQUET_DOUBLE, OPTIONAL, -1, 0);
    forge_levels(&f, "0110", 1, false);
    FORGE_VALUES(&f, double, 1.5, -2.5);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 4);
    rows(&f, 4);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, ((double[]){0, 1.5, -2.5, 0}), 32);
    close_opened(&o);
    forge_begin(&f, PARQUET_BOOLEAN);
    forge_element(&f, "x", PARQUET_BOOLEAN, OPTIONAL, -1, 0);
    forge_levels(&f, "101", 1, false);
    FORGE_VALUES(&f, uint8_t, 0x02);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 3);
    rows(&f, 3);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, ((uint8_t[]){0, 0, 1}), 3);
    close_opened(&o);
    forge_begin(&f, TEXT);
    forge_element(&f, "x", TEXT, OPTIONAL, PARQUET_UTF8, 0);
    forge_levels(&f, "01001", 1, false);
    forge_string(&f, "muon");
    forge_string(&f, "tau");
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 5);
    forge_levels(&f, "00", 1, false);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 2);
    rows(&f, 7);
    read_forged(&o, &f);
    assert_memory_equal(o.v.string_offsets, ((uint64_t[]){0, 0, 4, 4, 4, 7, 7, 7}), 64);
    assert_memory_equal(o.v.data, "muontau", 7);
    close_opened(&o);
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

static void test_null_and_empty_lists_differ_by_their_flag(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, F32);
    forge_list_schema(&f, F32, OPTIONAL, OPTIONAL); /* definitions: 0 null, 1 empty, 2 null element, 3 value */
    forge_levels(&f, "01000", 1, false);
    forge_levels(&f, "33103", 2, false);
    FORGE_VALUES(&f, float, 1, 2, 3);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 5);
    rows(&f, 4);
    read_forged(&o, &f);
    assert_int_equal(o.v.n_values, 3);
    assert_memory_equal(o.v.offsets, ((uint64_t[]){0, 2, 2, 2, 3}), 40);
    assert_memory_equal(o.v.null, ((uint8_t[]){0, 0, 1, 0}), 4);
    close_opened(&o);
}

static void test_null_elements_are_zeros_with_a_flag(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, F32);
    forge_list_schema(&f, F32, OPTIONAL, OPTIONAL); /* definitions: 0 null, 1 empty, 2 null element, 3 value */
    forge_levels(&f, "01", 1, false);
    forge_levels(&f, "33", 2, false);
    FORGE_VALUES(&f, float, 1, 2);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 2);
    forge_levels(&f, "1000110", 1, false);
    forge_levels(&f, "2012322", 2, false);
    FORGE_VALUES(&f, float, 3);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 7);
    forge_levels(&f, "01", 1, false); /* without nulls once more */
    forge_levels(&f, "33", 2, false);
    FORGE_VALUES(&f, float, 4, 5);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 2);
    rows(&f, 6);
    read_forged(&o, &f);
    assert_int_equal(o.v.n_values, 9);
    assert_memory_equal(o.v.data, ((float[]){1, 2, 0, 0, 3, 0, 0, 4, 5}), 36);
    assert_memory_equal(o.v.value_null, ((uint8_t[]){0, 0, 1, 1, 0, 1, 1, 0, 0}), 9);
    assert_memory_equal(o.v.offsets, ((uint64_t[]){0, 3, 3, 3, 6, 7, 9}), 56);
    assert_memory_equal(o.v.null, ((uint8_t[]){0, 1, 0, 0, 0, 0}), 6);
    close_opened(&o);
}

static void test_two_level_and_bare_lists_are_read(void **state)
{
    (void)state;
    for (int shape = 0; shape < 2; shape++) {
        struct forge f;
        struct opened o;
        forge_begin(&f, F32);
        if (shape == 0)
            forge_element(&f, "x", -1, REQUIRED, PARQUET_LIST, 1);
        forge_element(&f, shape == 0 ? "array" : "x", F32, PARQUET_REPEATED, -1, 0);
        forge_levels(&f, "0010", 1, false);
        forge_levels(&f, "0110", 1, false);
        FORGE_VALUES(&f, float, 1, 2);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 4);
        rows(&f, 3);
        read_forged(&o, &f);
        assert_memory_equal(o.v.offsets, ((uint64_t[]){0, 0, 2, 2}), 32);
        assert_null(o.v.null);
        close_opened(&o);
    }
}

static void test_a_row_may_go_on_over_v1_pages(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, F32);
    forge_list_schema(&f, F32, REQUIRED, REQUIRED);
    static const struct {
        const char *rep, *def;
        size_t n_values;
    } pages[] = {{"001", "011", 2}, {"111", "111", 3}, {"", "", 0}, {"10", "10", 1}};
    const float values[] = {1, 2, 3, 4, 5, 6};
    for (size_t i = 0, at = 0; i < ARRAY_LEN(pages); i++) {
        forge_levels(&f, pages[i].rep, 1, false);
        forge_levels(&f, pages[i].def, 1, false);
        forge_bytes(&f, values + at, pages[i].n_values * sizeof(float));
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, (int)strlen(pages[i].rep));
        at += pages[i].n_values;
    }
    rows(&f, 3);
    read_forged(&o, &f);
    assert_memory_equal(o.v.offsets, ((uint64_t[]){0, 0, 6, 6}), 32);
    assert_memory_equal(o.v.data, values, sizeof values);
    close_opened(&o);
}

static void test_levels_that_fit_no_list_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *rep, *def;
        int list, element;
        enum status status;
        const char *says;
    } cases[] = {
        {"10", "11", REQUIRED, REQUIRED, STATUS_FORMAT, "not begun"},
        {"01", "01", REQUIRED, REQUIRED, STATUS_FORMAT, "fits no list"},
        {"01", "10", REQUIRED, REQUIRED, STATUS_FORMAT, "fits no list"},
        {"001", "101", REQUIRED, REQUIRED, STATUS_FORMAT, "fits no list"},
        {"01", "20", REQUIRED, OPTIONAL, STATUS_FORMAT, "fits no list"},
        {"00", "23", OPTIONAL, REQUIRED, STATUS_FORMAT, "a level above 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        unsigned max = 1u + (cases[i].list == OPTIONAL) + (cases[i].element == OPTIONAL);
        size_t n_full = 0;
        for (const char *p = cases[i].def; *p; p++)
            n_full += *p - '0' == (int)max;
        forge_begin(&f, F32);
        forge_list_schema(&f, F32, cases[i].list, cases[i].element);
        forge_levels(&f, cases[i].rep, 1, false);
        forge_levels(&f, cases[i].def, levels_width(max), false);
        forge_bytes(&f, (float[4]){0}, n_full * sizeof(float));
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, (int)strlen(cases[i].rep));
        rows(&f, 2);
        assert_refused(&f, cases[i].status, cases[i].says);
    }
}

/* ---- lists of lists ---------------------------------------------------------------------------------------- */

/* optional list of optional lists of required floats; definitions: 0 null row, 1 empty row, 2 null list, 3 empty list,
 * 4 value */
static void begin_nested(struct forge *f)
{
    forge_begin(f, F32);
    forge_element(f, "x", -1, OPTIONAL, PARQUET_LIST, 1);
    forge_element(f, "list", -1, PARQUET_REPEATED, -1, 1);
    forge_element(f, "element", -1, OPTIONAL, PARQUET_LIST, 1);
    forge_element(f, "list", -1, PARQUET_REPEATED, -1, 1);
    forge_element(f, "element", F32, REQUIRED, -1, 0);
}

static void forge_nested_page(struct forge *f, const char *rep, const char *def)
{
    float value = (float)f->file.len;
    forge_levels(f, rep, 2, false);
    forge_levels(f, def, 3, false);
    for (const char *p = def; *p; p++)
        if (*p == '4')
            forge_bytes(f, &value, sizeof value);
    forge_page(f, PARQUET_DATA_PAGE, PARQUET_PLAIN, (int)strlen(rep));
}

static void test_lists_of_lists_with_null_and_empty_rows_go_on_over_pages(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    begin_nested(&f);
    forge_nested_page(&f, "022100", "444310"); /* [[.,.,.],[]]; empty row; null row */
    forge_nested_page(&f, "0", "4");           /* [[. */
    forge_nested_page(&f, "2112", "4344");     /* .],[],[.,.]] */
    rows(&f, 4);
    read_forged(&o, &f);
    assert_int_equal(pq_column_at(o.reader, 0)->depth, 2);
    assert_int_equal(o.v.n_values, 7);
    assert_int_equal(o.v.n_lists, 5);
    assert_memory_equal(o.v.list_offsets, ((uint64_t[]){0, 2, 2, 2, 5}), 40);
    assert_memory_equal(o.v.inner_offsets, ((uint64_t[]){0, 3, 3, 5, 5, 7}), 48);
    assert_memory_equal(o.v.offsets, ((uint64_t[]){0, 3, 3, 3, 7}), 40);
    assert_memory_equal(o.v.null, ((uint8_t[]){0, 0, 1, 0}), 4);
    close_opened(&o);
}

static void test_levels_that_fit_no_list_of_lists_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *rep, *def;
        enum status status;
        const char *says;
    } cases[] = {
        {"2", "4", STATUS_FORMAT, "not begun"},           {"1", "4", STATUS_FORMAT, "not begun"},
        {"01", "14", STATUS_FORMAT, "not begun"},         {"01", "04", STATUS_FORMAT, "not begun"},
        {"02", "34", STATUS_FORMAT, "not begun"},         {"02", "14", STATUS_FORMAT, "not begun"},
        {"012", "434", STATUS_FORMAT, "not begun"},       {"01", "41", STATUS_UNSUPPORTED, "null list"},
        {"02", "43", STATUS_UNSUPPORTED, "null list"}, {"01", "42", STATUS_UNSUPPORTED, "null list"},
        {"03", "44", STATUS_FORMAT, "a level above 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        begin_nested(&f);
        forge_nested_page(&f, cases[i].rep, cases[i].def);
        rows(&f, 1);
        assert_refused(&f, cases[i].status, cases[i].says);
    }
}

/* ---- structs ------------------------------------------------------------------------------------------------ */

static void test_a_null_struct_makes_its_members_null(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, I32);
    forge_element(&f, "s", -1, OPTIONAL, -1, 1);
    forge_element(&f, "size", I32, OPTIONAL, -1, 0);
    forge_levels(&f, "0212", 2, false); /* the struct is null; a value; the member is null; a value */
    FORGE_VALUES(&f, int32_t, 5, 6);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 4);
    rows(&f, 4);
    read_forged(&o, &f);
    assert_int_equal(pq_column_find(o.reader, "s.size"), 0);
    assert_memory_equal(o.v.data, ((int32_t[]){0, 5, 0, 6}), 16);
    assert_memory_equal(o.v.null, ((uint8_t[]){1, 0, 1, 0}), 4);
    close_opened(&o);
    forge_begin(&f, F32);
    forge_element(&f, "s", -1, OPTIONAL, -1, 1);
    forge_list_schema(&f, F32, OPTIONAL, REQUIRED); /* definitions: 0 null struct, 1 null list, 2 empty, 3 value */
    forge_levels(&f, "00001", 1, false);
    forge_levels(&f, "01233", 2, false);
    FORGE_VALUES(&f, float, 1, 2);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 5);
    rows(&f, 4);
    read_forged(&o, &f);
    assert_int_equal(pq_column_find(o.reader, "s.x"), 0);
    assert_memory_equal(o.v.offsets, ((uint64_t[]){0, 0, 0, 0, 2}), 40);
    assert_memory_equal(o.v.null, ((uint8_t[]){1, 1, 0, 0}), 4);
    close_opened(&o);
}

/* ---- dictionaries and encodings ------------------------------------------------------------------------------ */

/* Indices 0 2 1 2 2 2 2 2 2 2 2 as width byte, a packed group and a run. */
static void forge_indices(struct forge *f)
{
    forge_bytes(f, "\x02\x03\x98\xaa\x06\x02", 6);
}

static void test_dictionaries_of_both_names_are_read(void **state)
{
    (void)state;
    static const int encodings[] = {PARQUET_PLAIN_DICTIONARY, PARQUET_RLE_DICTIONARY};
    for (size_t i = 0; i < 2; i++) {
        struct forge f;
        struct opened o;
        forge_begin(&f, TEXT);
        forge_element(&f, "x", TEXT, REQUIRED, -1, 0);
        forge_string(&f, "e");
        forge_string(&f, "");
        forge_string(&f, "muon");
        forge_page(&f, PARQUET_DICTIONARY_PAGE, i == 0 ? PARQUET_PLAIN_DICTIONARY : PARQUET_PLAIN, 3);
        forge_indices(&f);
        forge_page(&f, PARQUET_DATA_PAGE, encodings[i], 11);
        forge_string(&f, "plain"); /* writers fall back to PLAIN within a chunk */
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 1);
        rows(&f, 12);
        read_forged(&o, &f);
        assert_memory_equal(o.v.data, "emuonmuonmuonmuonmuonmuonmuonmuonmuonplain", 42);
        assert_int_equal(o.v.string_offsets[12], 42);
        close_opened(&o);
        forge_begin(&f, PARQUET_INT64);
        forge_element(&f, "x", PARQUET_INT64, OPTIONAL, -1, 0);
        FORGE_VALUES(&f, int64_t, 10, 20, 30);
        forge_page(&f, PARQUET_DICTIONARY_PAGE, PARQUET_PLAIN, 3);
        forge_levels(&f, "0101", 1, false);
        forge_bytes(&f, "\x02\x03\x98\xaa", 4);
        forge_page(&f, PARQUET_DATA_PAGE, encodings[i], 4);
        rows(&f, 4);
        read_forged(&o, &f);
        assert_memory_equal(o.v.data, ((int64_t[]){0, 10, 0, 30}), 32);
        close_opened(&o);
    }
}

static void test_a_dictionary_of_one_value_needs_no_bits(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, F32);
    forge_element(&f, "x", F32, REQUIRED, -1, 0);
    FORGE_VALUES(&f, float, 2.5f);
    forge_page(&f, PARQUET_DICTIONARY_PAGE, PARQUET_PLAIN, 1);
    forge_bytes(&f, "\x00\xd0\x0f", 3); /* width 0, a run of 1000 */
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_RLE_DICTIONARY, 1000);
    rows(&f, 1000);
    read_forged(&o, &f);
    assert_true(((float *)o.v.data)[0] == 2.5f && ((float *)o.v.data)[999] == 2.5f);
    close_opened(&o);
}

static void test_damaged_dictionaries_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *indices;
        size_t n;
        const char *says;
    } cases[] = {
        {"\x02\x16\x03", 3, "index 3 into a dictionary of 3"},
        {"\x21\x16\x00", 3, "width of 0 to 32"},
        {"", 0, "width of 0 to 32"},
        {"\x02\x14\x00", 3, "10 indices where 11"},
        {"\x01\x16\x02", 3, "0 indices where 11"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        forge_begin(&f, F32);
        forge_element(&f, "x", F32, REQUIRED, -1, 0);
        FORGE_VALUES(&f, float, 1, 2, 3);
        forge_page(&f, PARQUET_DICTIONARY_PAGE, PARQUET_PLAIN, 3);
        forge_bytes(&f, cases[i].indices, cases[i].n);
        forge_page(&f, PARQUET_DATA_PAGE, PARQUET_RLE_DICTIONARY, 11);
        rows(&f, 11);
        assert_refused(&f, STATUS_FORMAT, cases[i].says);
    }
    struct forge f;
    forge_begin(&f, F32);
    forge_element(&f, "x", F32, REQUIRED, -1, 0);
    forge_indices(&f);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_RLE_DICTIONARY, 11);
    rows(&f, 11);
    assert_refused(&f, STATUS_FORMAT, "without a dictionary");
    for (int twice = 0; twice < 2; twice++) {
        forge_three(&f);
        f.chunk.dictionary_page_offset = 0;
        if (twice) {
            forge_end(&f);
            forge_begin(&f, I32);
            forge_element(&f, "x", I32, REQUIRED, -1, 0);
            FORGE_VALUES(&f, int32_t, 1);
            forge_page(&f, PARQUET_DICTIONARY_PAGE, PARQUET_PLAIN, 1);
        }
        FORGE_VALUES(&f, int32_t, 1);
        forge_page(&f, PARQUET_DICTIONARY_PAGE, PARQUET_PLAIN, 1);
        f.chunk.data_page_offset = PARQUET_MAGIC_LEN;
        f.chunk.dictionary_page_offset = 0;
        rows(&f, 3);
        f.chunk.n_values = 3;
        assert_refused(&f, STATUS_FORMAT, "not the chunk's first page");
    }
}

static void test_booleans_as_runs_are_read(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, PARQUET_BOOLEAN);
    forge_element(&f, "x", PARQUET_BOOLEAN, REQUIRED, -1, 0);
    forge_levels(&f, "1111111111110", 1, false);
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_RLE, 13);
    rows(&f, 13);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, ((uint8_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0}), 13);
    close_opened(&o);
}

static void test_bit_packed_levels_are_read(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, I32);
    forge_element(&f, "x", I32, OPTIONAL, -1, 0);
    FORGE_VALUES(&f, uint8_t, 0xB0); /* 1 0 1 1 from the highest bit */
    FORGE_VALUES(&f, int32_t, 1, 2, 3);
    struct meta_page page = forge_header(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 4);
    page.def_encoding = PARQUET_BIT_PACKED;
    forge_page_as_is(&f, &page);
    rows(&f, 4);
    read_forged(&o, &f);
    assert_memory_equal(o.v.data, ((int32_t[]){1, 0, 2, 3}), 16);
    close_opened(&o);
}

static void test_unsupported_encodings_are_named(void **state)
{
    (void)state;
    static const struct {
        int id;
        const char *says;
    } cases[] = {{PARQUET_BIT_PACKED, "BIT_PACKED"}, {42, "unknown encoding (42)"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct forge f;
        forge_begin(&f, F32);
        forge_element(&f, "x", F32, REQUIRED, -1, 0);
        FORGE_VALUES(&f, float, 1);
        forge_page(&f, PARQUET_DATA_PAGE, cases[i].id, 1);
        rows(&f, 1);
        assert_refused(&f, STATUS_UNSUPPORTED, cases[i].says);
    }
}

static void test_a_column_can_be_read_again_after_an_error(void **state)
{
    (void)state;
    struct forge f;
    struct opened o;
    forge_begin(&f, TEXT);
    forge_element(&f, "x", TEXT, OPTIONAL, -1, 0);
    forge_levels(&f, "101", 1, false);
    forge_string(&f, "a");
    forge_string(&f, "bc");
    forge_page(&f, PARQUET_DATA_PAGE, PARQUET_PLAIN, 3);
    rows(&f, 3);
    forge_finish(&f);
    assert_ok(open_and_read(&o, &f), &o.e);
    o.bytes[40] ^= 0x10; /* inside the page body */
    assert_status(pq_read(o.reader, 0, 0, &o.v, &o.e), STATUS_FORMAT, &o.e);
    o.bytes[40] ^= 0x10;
    assert_ok(pq_read(o.reader, 0, 0, &o.v, &o.e), &o.e);
    assert_memory_equal(o.v.string_offsets, ((uint64_t[]){0, 1, 1, 3}), 32);
    assert_memory_equal(o.v.null, ((uint8_t[]){0, 1, 0}), 3);
    close_opened(&o);
    forge_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nulls_of_a_flat_column_are_zeros_with_a_flag),
        cmocka_unit_test(test_nulls_of_every_type_are_spread),
        cmocka_unit_test(test_null_and_empty_lists_differ_by_their_flag),
        cmocka_unit_test(test_null_elements_are_zeros_with_a_flag),
        cmocka_unit_test(test_two_level_and_bare_lists_are_read),
        cmocka_unit_test(test_a_row_may_go_on_over_v1_pages),
        cmocka_unit_test(test_levels_that_fit_no_list_are_refused),
        cmocka_unit_test(test_lists_of_lists_with_null_and_empty_rows_go_on_over_pages),
        cmocka_unit_test(test_levels_that_fit_no_list_of_lists_are_refused),
        cmocka_unit_test(test_a_null_struct_makes_its_members_null),
        cmocka_unit_test(test_dictionaries_of_both_names_are_read),
        cmocka_unit_test(test_a_dictionary_of_one_value_needs_no_bits),
        cmocka_unit_test(test_damaged_dictionaries_are_refused),
        cmocka_unit_test(test_booleans_as_runs_are_read),
        cmocka_unit_test(test_bit_packed_levels_are_read),
        cmocka_unit_test(test_unsupported_encodings_are_named),
        cmocka_unit_test(test_a_column_can_be_read_again_after_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
