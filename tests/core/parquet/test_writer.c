/* tests/core/parquet/test_writer.c
 *
 * What the writer refuses, what it leaves behind when it fails, and what its footer says. */
#include "tests/support/unit.h"

#include "core/parquet/parquet.h"
#include "tests/core/parquet/table.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct pq_column list_of_f32 = {.name = "x", .type = PQ_F32, .list = true};
static const struct pq_write_options plain = {.codec = CODEC_NONE};

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static struct pq_writer *create(const char *path, const struct pq_column *columns, size_t n)
{
    struct error e;
    struct pq_writer *w;
    assert_ok(pq_writer_create(path, columns, n, &plain, &w, &e), &e);
    return w;
}

static void test_values_that_do_not_fit_together_are_refused_and_the_writer_goes_on(void **state)
{
    (void)state;
    static const struct pq_column columns[] = {{.name = "x", .type = PQ_F32, .list = true},
                                               {.name = "s", .type = PQ_STRING}};
    float data[4] = {1, 2, 3, 4};
    char text[] = "abcd";
    const struct pq_values good[] = {
        {.n_rows = 2, .n_values = 4, .data = data, .offsets = (uint64_t[]){0, 1, 4}},
        {.n_rows = 2, .n_values = 2, .data = text, .string_offsets = (uint64_t[]){0, 1, 4}}};
    struct error e;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "t");
    struct pq_writer *w = create(path, columns, 2);
    uint64_t falling[] = {0, 3, 1}, beyond[] = {0, 1, 5};
    for (int lie = 0; lie < 9; lie++) {
        struct pq_values v[] = {good[0], good[1]};
        switch (lie) {
        case 0:
            v[1].n_rows = 3;
            break;
        case 1:
            v[0].n_rows = v[1].n_rows = 0;
            break;
        case 2:
            v[0].offsets = falling;
            break;
        case 3:
            v[0].offsets = beyond;
            break;
        case 4:
            v[0].offsets = NULL;
            break;
        case 5:
            v[1].n_values = 3;
            break;
        case 6:
            v[1].string_offsets = falling;
            break;
        case 7:
            v[1].string_offsets = NULL;
            break;
        default:
            v[0].data = NULL;
            break;
        }
        assert_status(pq_write_row_group(w, v, &e), STATUS_ARGUMENT, &e);
        assert_contains(e.text, "t: row group 0: column ");
    }
    struct pq_values null[] = {good[0], good[1]};
    null[0].null = (uint8_t[]){0, 1};
    assert_status(pq_write_row_group(w, null, &e), STATUS_UNSUPPORTED, &e);
    null[0].null = (uint8_t[]){0, 0};
    assert_ok(pq_write_row_group(w, null, &e), &e);
    assert_ok(pq_writer_finish(w, &e), &e);
    assert_true(exists(path));
    temp_folder_remove(folder);
}

static void test_rows_and_row_groups_beyond_a_reader_are_refused(void **state)
{
    (void)state;
    struct error e;
    char *folder = temp_folder_create();
    struct pq_writer *w = create(path_in(folder, "t"), &list_of_f32, 1);
    float nothing[1] = {0}; /* the sizes are judged before the values are touched */
    size_t n = 70u << 20;
    struct pq_values row = {.n_rows = 1, .n_values = n, .data = nothing, .offsets = (uint64_t[]){0, n}};
    assert_status(pq_write_row_group(w, &row, &e), STATUS_RANGE, &e);
    assert_contains(e.text, "row 0 holds 293601281 bytes");
    assert_status(pq_write_row_group(w, &row, &e), STATUS_ARGUMENT, &e);
    assert_contains(e.text, "an earlier row group failed");
    assert_status(pq_writer_finish(w, &e), STATUS_ARGUMENT, &e);
    assert_false(exists(path_in(folder, "t")));
    w = create(path_in(folder, "t"), &list_of_f32, 1);
    row.n_values = (size_t)1 << 29;
    assert_status(pq_write_row_group(w, &row, &e), STATUS_RANGE, &e);
    assert_contains(e.text, "smaller row groups");
    pq_writer_abort(w);
    temp_folder_remove(folder);
}

static void test_options_that_do_not_exist_are_refused_before_a_file_is_made(void **state)
{
    (void)state;
    const struct pq_write_options bad[] = {
        {.codec = CODEC_LZ4},
        {.codec = CODEC_ROOT_OLD},
        {.codec = CODEC_NONE, .page_version = 3},
        {.codec = CODEC_NONE, .page_version = -1},
        {.codec = CODEC_NONE, .page_bytes = (size_t)1 << 30},
        {.codec = CODEC_NONE, .meta = &(const struct pq_key_value){NULL, "x"}, .n_meta = 1}};
    struct error e;
    struct pq_writer *w;
    char *folder = temp_folder_create();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_status(pq_writer_create(path_in(folder, "t"), &list_of_f32, 1, &bad[i], &w, &e), STATUS_ARGUMENT, &e);
        assert_null(w);
    }
    assert_status(pq_writer_create(path_in(folder, "t"), &list_of_f32, 0, &plain, &w, &e), STATUS_ARGUMENT, &e);
    assert_status(pq_writer_create(path_in(folder, "no/t"), &list_of_f32, 1, &plain, &w, &e), STATUS_NOTFOUND, &e);
    assert_contains(e.text, "t: create");
    assert_null(strstr(e.text, folder)); /* messages show the last component alone */
    assert_int_equal(folder_count(folder), 0);
    temp_folder_remove(folder);
}

static void test_an_aborted_file_is_gone(void **state)
{
    (void)state;
    struct error e;
    char *folder = temp_folder_create();
    struct pq_writer *w = create(path_in(folder, "t"), &list_of_f32, 1);
    struct pq_values v = {.n_rows = 1, .n_values = 1, .data = (float[]){1}, .offsets = (uint64_t[]){0, 1}};
    assert_ok(pq_write_row_group(w, &v, &e), &e);
    pq_writer_abort(w);
    pq_writer_abort(NULL);
    assert_int_equal(folder_count(folder), 0);
    temp_folder_remove(folder);
}

/* Row groups until one fails, or the end. */
static enum status write_much(struct pq_writer *w, size_t n_groups, struct error *e)
{
    enum { N = 1 << 18 };
    float *data = table_alloc(N, sizeof *data);
    struct pq_values v = {.n_rows = 1, .n_values = N, .data = data, .offsets = (uint64_t[]){0, N}};
    enum status s = STATUS_OK;
    for (size_t i = 0; i < n_groups && s == STATUS_OK; i++)
        s = pq_write_row_group(w, &v, e);
    free(data);
    return s;
}

static void test_a_full_disk_is_nospace_and_a_device_is_not_unlinked(void **state)
{
    (void)state;
    struct error e;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "full.parquet");
    assert_int_equal(symlink("/dev/full", path), 0);
    struct pq_writer *w = create(path, &list_of_f32, 1);
    assert_status(write_much(w, 3, &e), STATUS_NOSPACE, &e);
    assert_contains(e.text, "full.parquet: row group 0: column x: write");
    pq_writer_abort(w);
    assert_true(exists("/dev/full"));
    w = create(path, &list_of_f32, 1); /* small enough to fail only at the end */
    assert_status(pq_writer_finish(w, &e), STATUS_NOSPACE, &e);
    assert_contains(e.text, "full.parquet: write");
    assert_true(exists("/dev/full"));
    temp_folder_remove(folder);
}

static void test_a_write_that_fails_midway_is_io_and_leaves_nothing(void **state)
{
    (void)state;
    struct error e;
    struct rlimit before, small;
    char *folder = temp_folder_create();
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){3 << 20, before.rlim_max};
    struct pq_writer *w = create(path_in(folder, "t"), &list_of_f32, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum status s = write_much(w, 10, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(s, STATUS_IO);
    assert_contains(e.text, "t: row group 2: column x: write");
    assert_status(pq_writer_finish(w, &e), STATUS_ARGUMENT, &e);
    assert_int_equal(folder_count(folder), 0);
    temp_folder_remove(folder);
}

static void test_every_failing_allocation_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    struct error e;
    struct table t;
    struct rng r = rng_stream(8, 0);
    char *folder = temp_folder_create();
    const struct pq_key_value meta[] = {{"k", "v"}};
    table_every_kind(&t);
    table_rows(&t, &r, 20, 10);
    for (int version = 1; version <= 2; version++)
        for (size_t n = 1; alloc_fail_begin(n); n++) {
            const struct pq_write_options options = {
                .codec = CODEC_SNAPPY, .page_version = version, .meta = meta, .n_meta = 1};
            struct pq_writer *w = NULL;
            enum status s = pq_writer_create(path_in(folder, "t"), t.columns, t.n_columns, &options, &w, &e);
            if (s == STATUS_OK && (s = table_write(w, &t, 0, 20, &e)) != STATUS_OK)
                pq_writer_abort(w);
            else if (s == STATUS_OK)
                s = pq_writer_finish(w, &e);
            bool failed = alloc_fail_end();
            assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
            assert_int_equal(folder_count(folder), failed ? 0 : 1);
            (void)unlink(path_in(folder, "t"));
        }
    table_free(&t);
    temp_folder_remove(folder);
}

static void test_a_list_columns_statistics_hold_its_values_and_count_its_empty_rows(void **state)
{
    (void)state;
    struct error e;
    char *folder = temp_folder_create();
    struct pq_writer *w = create(path_in(folder, "t"), &list_of_f32, 1);
    struct pq_values v = {
        .n_rows = 4, .n_values = 6, .data = (float[]){99, 2, NAN, -3, 0, 99}, .offsets = (uint64_t[]){1, 1, 4, 4, 5}};
    assert_ok(pq_write_row_group(w, &v, &e), &e);
    v = (struct pq_values){.n_rows = 1, .n_values = 0, .data = (float[]){0}, .offsets = (uint64_t[]){0, 0}};
    assert_ok(pq_write_row_group(w, &v, &e), &e);
    assert_ok(pq_writer_finish(w, &e), &e);
    struct source *source;
    struct pq_reader *reader;
    assert_ok(source_open(path_in(folder, "t"), &source, &e), &e);
    assert_ok(pq_open(source, &reader, &e), &e);
    struct pq_statistics s = pq_stats(reader, 0, 0);
    assert_true(s.present && s.min == -3 && s.max == 2);
    assert_int_equal(s.nulls, 2);
    s = pq_stats(reader, 1, 0);
    assert_false(s.present);
    assert_int_equal(s.nulls, 1);
    pq_close(reader);
    source_close(source);
    temp_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_that_do_not_fit_together_are_refused_and_the_writer_goes_on),
        cmocka_unit_test(test_rows_and_row_groups_beyond_a_reader_are_refused),
        cmocka_unit_test(test_options_that_do_not_exist_are_refused_before_a_file_is_made),
        cmocka_unit_test(test_an_aborted_file_is_gone),
        cmocka_unit_test(test_a_full_disk_is_nospace_and_a_device_is_not_unlinked),
        cmocka_unit_test(test_a_write_that_fails_midway_is_io_and_leaves_nothing),
        cmocka_unit_test(test_every_failing_allocation_is_an_error_and_leaves_nothing),
        cmocka_unit_test(test_a_list_columns_statistics_hold_its_values_and_count_its_empty_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
