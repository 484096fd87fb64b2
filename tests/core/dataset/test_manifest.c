/* Manifests that lie, parts that are not what the manifest says, and memory that runs out at every place. */
#include "core/dataset/private.h"
#include "tests/support/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PART_ROWS = 5, PARTS = 3 };

/* Row i of the whole dataset: label i % 2, HT i, weight i + 1. */
static void write_part(const char *path, size_t first)
{
    struct features_writer *w;
    struct feature_rows rows;
    struct error e;
    int64_t n;
    feature_rows_init(&rows);
    assert_int_equal(feature_rows_reserve(&rows, PART_ROWS, 0, &e), STATUS_OK);
    for (size_t i = 0; i < PART_ROWS; i++) {
        size_t at = first + i;
        rows.label[i] = (int32_t)(at % 2);
        rows.weight[i] = (float)(at + 1);
        rows.number[i] = (int64_t)at * 1000000000000;
        rows.entry[i] = (int64_t)at;
        rows.source[i] = 0;
        rows.row_first[i + 1] = 0;
        for (size_t c = 0; c < HLF_COUNT; c++)
            rows.hlf[i * HLF_COUNT + c] = c == HLF_HT ? (float)at : 0;
    }
    rows.n = PART_ROWS;
    assert_int_equal(features_writer_create(path, false, true, &w, &e), STATUS_OK);
    assert_int_equal(features_write(w, &rows, &e), STATUS_OK);
    assert_int_equal(features_writer_finish(w, &n, &e), STATUS_OK);
    feature_rows_fini(&rows);
}

static char *make_dataset(struct arena *a)
{
    static const char *const classes[] = {"qcd", "tt"};
    static struct dataset_part parts[PARTS];
    struct hlf_scaler scaler = {{false}, {0}, {0}};
    struct manifest m;
    struct error e;
    char *folder = temp_folder_create();
    field_defaults(manifest_fields, &m);
    for (size_t p = 0; p < PARTS; p++) {
        char *name = arena_printf(a, "part-%05zu.parquet", p);
        write_part(path_in(folder, name), p * PART_ROWS);
        assert_int_equal(dataset_part_describe(a, folder, name, PART_ROWS, &parts[p], &e), STATUS_OK);
    }
    for (size_t c = 0; c < HLF_COUNT; c++)
        scaler.factor[c] = 0.5;
    assert_int_equal(scaler_record_make(a, &scaler, NULL, &m.scaler, &e), STATUS_OK);
    m.id = "ds_1";
    m.kind = DATASET_FEATURES;
    m.recipe = "topology-1";
    m.classes = (struct field_list){(void *)(uintptr_t)classes, 2};
    m.parts = (struct field_list){parts, PARTS};
    assert_int_equal(manifest_write(folder, &m, &e), STATUS_OK);
    return folder;
}

static struct arena arena;
static char *folder;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 64 << 20);
    folder = make_dataset(&arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_folder_remove(folder);
    arena_fini(&arena);
    return 0;
}

static enum status parse(const char *text, size_t len, struct error *e)
{
    char sha[65];
    struct buf b;
    struct arena a;
    struct manifest m;
    arena_init(&a, 16 << 20);
    buf_init(&b, 16 << 20);
    assert_int_equal(buf_append(&b, text, len, e), STATUS_OK);
    sha256_hex(b.data, b.len, sha);
    assert_int_equal(buf_printf(&b, e, "sha256 %s\n", sha), STATUS_OK);
    enum status s = manifest_parse(&a, (struct span){b.data, b.len}, &m, e);
    buf_fini(&b);
    arena_fini(&a);
    return s;
}

/* ---- tests --------------------------------------------------------------------------------------------------- */

static void test_every_cut_and_every_changed_byte_is_noticed(void **state)
{
    (void)state;
    struct buf b;
    struct arena a;
    struct manifest m;
    struct error e;
    buf_init(&b, 1 << 20);
    arena_init(&a, 16 << 20);
    assert_int_equal(file_read(path_in(folder, MANIFEST_FILE), &b, &e), STATUS_OK);
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(manifest_parse(&a, (struct span){b.data, n}, &m, &e), STATUS_FORMAT);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 1;
        assert_int_equal(manifest_parse(&a, (struct span){b.data, b.len}, &m, &e), STATUS_FORMAT);
        b.data[i] ^= 1;
        arena_reset(&a);
    }
    assert_int_equal(manifest_parse(&a, (struct span){b.data, b.len}, &m, &e), STATUS_OK);
    assert_int_equal(m.rows, PARTS * PART_ROWS);
    buf_fini(&b);
    arena_fini(&a);
}

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_manifests_with_a_right_checksum_that_lie_are_refused(void **state)
{
    (void)state;
    static const char *const lies[] = {
        "version = 1\n",
        "version = 1\nid = \"ds_1\"\nkind = pictures\n",
        "version = 1\nid = \"ds_1\"\nparts[0].file = \"a\"\n",
        "version = 1\nid = \"ds_1\"\nparts[0].file = \"a\"\nparts[0].sha256 = \"short\"\n",
        "version = 1\nid = \"ds_1\"\nparts[0].sha256 = \"" SHA "\"\n",
        "version = 1\nid = \"ds_1\"\nparts[0].file = \"a\"\nparts[0].sha256 = \"" SHA "\"\nparts[0].rows = -1\n",
        "version = 1\nid = \"ds_1\"\nparts[0].file = \"a\"\nparts[0].sha256 = \"" SHA "\"\nparts[0].rows = 7\n",
        "version = 1\nid = \"ds_1\"\nparts[0].file = \"a\"\nparts[0].sha256 = \"" SHA "\"\nparts[0].rows = 9223372036854775807\n",
        "version = 1\nid = \"ds_1\"\nrows = 9223372036854775807\n",
        "version = 1\nid = \"ds_1\"\nparts[4000000000].rows = 1\n",
        "version = 1\nid = \"ds_1\"\nskipped_files[0].events_lost = -2\n",
        "version = 1\nid = \"ds_1\"\nnatural_fractions[\"a\"] = 1\nnatural_fractions[\"a\"] = 1\n",
        "version = 1\nid = \"ds_1\"\ncontent_sha256 = \"" SHA "\"\n",
    };
    struct error e;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        enum status s = parse(lies[i], strlen(lies[i]), &e);
        if (s != STATUS_FORMAT && s != STATUS_RANGE && s != STATUS_ARGUMENT)
            fail_msg("lie %zu: %s", i, status_name(s));
    }
    static const char *const others[] = {"", "id = \"ds_1\"\n", "version = 2\nid = \"ds_1\"\n"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(parse(others[i], strlen(others[i]), &e), STATUS_UNSUPPORTED);
    char *classes = arena_strdup(&arena, "version = 1\nid = \"ds_1\"\n");
    for (int i = 0; i < 65; i++)
        classes = arena_printf(&arena, "%sclasses[%d] = \"c%d\"\n", classes, i, i);
    assert_int_equal(parse(classes, strlen(classes), &e), STATUS_RANGE);
    assert_non_null(strstr(e.text, "classes"));
}

static void test_rows_are_found_in_any_range_across_parts(void **state)
{
    (void)state;
    struct dataset *d;
    struct error e;
    const struct table_column *columns;
    size_t n_columns, row_bytes = 0, n;
    assert_int_equal(dataset_open(folder, &d, &e), STATUS_OK);
    assert_int_equal(dataset_table_columns(d, &arena, &columns, &n_columns, &e), STATUS_OK);
    for (size_t i = 0; i < n_columns; i++)
        row_bytes += table_type_size(columns[i].type);
    for (size_t first = 0; first <= PARTS * PART_ROWS + 1; first++)
        for (size_t want = 0; want <= PARTS * PART_ROWS + 1; want++) {
            struct buf b;
            size_t left = first < PARTS * PART_ROWS ? PARTS * PART_ROWS - first : 0;
            buf_init(&b, 1 << 20);
            assert_int_equal(dataset_table_read(d, (int64_t)first, want, &b, &n, &e), STATUS_OK);
            assert_int_equal(n, want < left ? want : left);
            assert_int_equal(b.len, n * row_bytes);
            for (size_t i = 0; i < n; i++) {
                float weight;
                int64_t number;
                memcpy(&weight, b.data + i * row_bytes + 4, 4);
                memcpy(&number, b.data + i * row_bytes + 8, 8);
                assert_true(weight == (float)(first + i + 1));
                assert_int_equal(number, (int64_t)(first + i) * 1000000000000);
            }
            buf_fini(&b);
        }
    dataset_close(d);
}

static void test_histograms_count_every_event_once_and_the_last_edge_belongs_to_the_last_bin(void **state)
{
    (void)state;
    struct dataset *d;
    struct dataset_histogram h;
    struct error e;
    assert_int_equal(dataset_open(folder, &d, &e), STATUS_OK);
    assert_int_equal(dataset_histogram(d, HLF_HT, -1, false, 14, &arena, &h, &e), STATUS_OK);
    const double *counts = h.counts.items;
    assert_int_equal(h.events, 15);
    for (size_t i = 0; i < 14; i++)
        assert_true(counts[i] == (i == 13 ? 2 : 1));
    assert_int_equal(dataset_histogram(d, HLF_HT, 1, true, 1, &arena, &h, &e), STATUS_OK);
    assert_int_equal(h.events, 7);
    assert_true(h.sum == 2 + 4 + 6 + 8 + 10 + 12 + 14);
    assert_true(((double *)h.squares.items)[0] == 4 + 16 + 36 + 64 + 100 + 144 + 196);
    assert_int_equal(dataset_histogram(d, HLF_MET, -1, true, 3, &arena, &h, &e), STATUS_OK);     /* constant */
    assert_true(((double *)h.counts.items)[0] == 120);
    dataset_close(d);
}

static enum status use_everything(const char *out, struct error *e)
{
    struct dataset *d;
    struct dataset_histogram h;
    struct arena a;
    struct buf b;
    size_t n;
    TRY(dataset_open(folder, &d, e));
    arena_init(&a, 16 << 20);
    buf_init(&b, 1 << 20);
    enum status s = dataset_table_read(d, 3, 9, &b, &n, e);
    if (s == STATUS_OK)
        s = dataset_histogram(d, HLF_HT, -1, true, 10, &a, &h, e);
    for (int f = 0; s == STATUS_OK && export_format_names[f]; f++)
        s = dataset_export(d, &(struct export_options){.format = f}, path_in(out, export_format_names[f]), e);
    buf_fini(&b);
    arena_fini(&a);
    dataset_close(d);
    return s;
}

static void test_memory_that_runs_out_anywhere_is_an_error_and_leaves_nothing_half_done(void **state)
{
    (void)state;
    struct error e;
    for (size_t n = 1;; n++) {
        char *out = temp_folder_create();
        bool more = alloc_fail_begin(n);
        if (!more) {
            temp_folder_remove(out);
            break;
        }
        enum status s = use_everything(out, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        for (int f = 0; export_format_names[f]; f++) {
            char partial[32];
            struct buf b;
            snprintf(partial, sizeof partial, "%s.partial", export_format_names[f]);
            buf_init(&b, 1 << 20);
            assert_int_not_equal(file_read(path_in(path_in(out, partial), "rows.csv"), &b, &e), STATUS_OK);
            buf_fini(&b);
        }
        assert_true(folder_count(out) <= 4);
        temp_folder_remove(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut_and_every_changed_byte_is_noticed),
        cmocka_unit_test(test_manifests_with_a_right_checksum_that_lie_are_refused),
        cmocka_unit_test(test_rows_are_found_in_any_range_across_parts),
        cmocka_unit_test(test_histograms_count_every_event_once_and_the_last_edge_belongs_to_the_last_bin),
        cmocka_unit_test(test_memory_that_runs_out_anywhere_is_an_error_and_leaves_nothing_half_done),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
