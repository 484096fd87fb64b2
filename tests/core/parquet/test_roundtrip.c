/* tests/core/parquet/test_roundtrip.c
 *
 * What is written is read again, for every kind of column, codec, page version and page size.  With arguments the
 * program is the tool of tests/parity/check_parquet_peers.sh instead: test_roundtrip write FOLDER      files of the
 * same rows in every codec and page version, and rows.jsonl test_roundtrip dump FILE         the rows of any Parquet
 * file as JSON lines A column that is not supported shows "!" and the error in each row.  Otherwise every value is a
 * text: integers in decimal, floats as the hexadecimal digits of their bits (any NaN is "nan"), strings as the
 * hexadecimal digits of their bytes. */
#include "tests/support/unit.h"

#include "tests/core/parquet/table.h"

static const enum codec_id codecs[] = {CODEC_NONE, CODEC_SNAPPY, CODEC_ZSTD, CODEC_GZIP};

/* ---- tool ------------------------------------------------------------------------------------------------ */

static void print_value(FILE *out, const struct pq_column *c, const struct pq_values *v, size_t i)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = 0;
    double real = 0;
    if (c->type == PQ_STRING) {
        fputc('"', out);
        for (size_t k = (size_t)v->string_offsets[i]; k < v->string_offsets[i + 1]; k++)
            fprintf(out, "%c%c", digits[((uint8_t *)v->data)[k] >> 4], digits[((uint8_t *)v->data)[k] & 15]);
        fputc('"', out);
        return;
    }
    memcpy(&bits, (uint8_t *)v->data + i * pq_type_size(c->type), pq_type_size(c->type));
    if (c->type == PQ_F32)
        real = ((float *)v->data)[i];
    else if (c->type == PQ_F64)
        real = ((double *)v->data)[i];
    if (isnan(real))
        fprintf(out, "\"nan\"");
    else if (c->type == PQ_BOOL)
        fprintf(out, "\"%s\"", bits ? "true" : "false");
    else if (c->type == PQ_F32)
        fprintf(out, "\"%08" PRIx64 "\"", bits);
    else if (c->type == PQ_F64)
        fprintf(out, "\"%016" PRIx64 "\"", bits);
    else if (c->unsigned_)
        fprintf(out, "\"%" PRIu64 "\"", bits);
    else
        fprintf(out, "\"%" PRId64 "\"", c->type == PQ_I32 ? (int32_t)bits : (int64_t)bits);
}

static void print_list(FILE *out, const struct pq_column *c, const struct pq_values *v, uint64_t first, uint64_t end)
{
    fputc('[', out);
    for (uint64_t i = first; i < end; i++) {
        if (i > first)
            fputc(',', out);
        if (v->value_null && v->value_null[i])
            fputs("null", out);
        else
            print_value(out, c, v, (size_t)i);
    }
    fputc(']', out);
}

/* `refusal`: why the column could not be read; NULL: it was. */
static void print_row(FILE *out, const struct pq_column *c, const struct pq_values *v, size_t row, bool first,
                      const char *refusal)
{
    fprintf(out, "%s\"%s\":", first ? "{" : ",", c->name);
    if (refusal) {
        fprintf(out, "\"!%s\"", refusal);
    } else if (v->null && v->null[row]) {
        fputs("null", out);
    } else if (!c->list) {
        print_value(out, c, v, row);
    } else if (c->depth < 2) {
        print_list(out, c, v, v->offsets[row], v->offsets[row + 1]);
    } else {
        fputc('[', out);
        for (uint64_t k = v->list_offsets[row]; k < v->list_offsets[row + 1]; k++) {
            fputs(k > v->list_offsets[row] ? "," : "", out);
            print_list(out, c, v, v->inner_offsets[k], v->inner_offsets[k + 1]);
        }
        fputc(']', out);
    }
}

static enum status dump_group(struct pq_reader *r, size_t group, struct error *e)
{
    struct pq_values v[32];
    static char refusal[32][ERROR_TEXT_MAX];
    size_t n = pq_n_columns(r);
    check(n <= ARRAY_LEN(v));
    for (size_t i = 0; i < n; i++) {
        enum status s = pq_read(r, group, i, &v[i], e);
        if (s != STATUS_OK && s != STATUS_UNSUPPORTED)
            return s;
        text_copy(refusal[i], sizeof refusal[i], s == STATUS_OK ? "" : e->text);
    }
    for (size_t row = 0; row < (size_t)pq_row_group_rows(r, group); row++) {
        for (size_t i = 0; i < n; i++)
            print_row(stdout, pq_column_at(r, i), &v[i], row, i == 0, refusal[i][0] ? refusal[i] : NULL);
        fputs("}\n", stdout);
    }
    return STATUS_OK;
}

static enum status dump(const char *path, struct error *e)
{
    struct source *source = NULL;
    struct pq_reader *r = NULL;
    TRY(source_open(path, &source, e));
    enum status s = pq_open(source, &r, e);
    for (size_t g = 0; s == STATUS_OK && g < pq_n_row_groups(r); g++)
        s = dump_group(r, g, e);
    pq_close(r);
    source_close(source);
    return s;
}

static enum status write_file(const char *path, const struct table *t, const struct pq_write_options *options,
                              const size_t *ends, size_t n_groups, struct error *e)
{
    struct pq_writer *w = NULL;
    TRY(pq_writer_create(path, t->columns, t->n_columns, options, &w, e));
    for (size_t g = 0; g < n_groups; g++)
        if (table_write(w, t, g ? ends[g - 1] : 0, ends[g], e) != STATUS_OK) {
            pq_writer_abort(w);
            return e->status;
        }
    return pq_writer_finish(w, e);
}

static enum status write_samples(const char *folder, struct error *e)
{
    struct table t;
    struct rng r = rng_stream(20, 1);
    char path[1024];
    const struct pq_key_value meta[] = {{"recipe", "topology1"}, {"units", "GeV \xce\xbb"}};
    table_every_kind(&t);
    table_rows(&t, &r, 1000, 40);
    for (size_t i = 0; i < 2 * ARRAY_LEN(codecs); i++) {
        enum codec_id codec = codecs[i / 2];
        struct pq_write_options options = {
            .codec = codec, .page_version = 1 + (int)(i % 2), .page_bytes = i < 4 ? 700 : 0, .meta = meta,
            .n_meta = 2, .adapt = i % 4 > 1};
        snprintf(path, sizeof path, "%s/%s_v%d.parquet", folder, codec_name(codec), options.page_version);
        TRY(write_file(path, &t, &options, (size_t[]){1, 301, 1000}, 3, e));
    }
    snprintf(path, sizeof path, "%s/rows.jsonl", folder);
    FILE *out = fopen(path, "w");
    if (!out)
        return error_errno(e, "%s", path);
    for (size_t row = 0; row < t.n_rows; row++) {
        for (size_t i = 0; i < t.n_columns; i++)
            print_row(out, &t.columns[i], &t.values[i], row, i == 0, NULL);
        fputs("}\n", out);
    }
    table_free(&t);
    return fclose(out) == 0 ? STATUS_OK : error_errno(e, "%s", path);
}

static int tool(char **argv)
{
    struct error e;
    enum status s = STATUS_ARGUMENT;
    if (strcmp(argv[1], "write") == 0)
        s = write_samples(argv[2], &e);
    else if (strcmp(argv[1], "dump") == 0)
        s = dump(argv[2], &e);
    else
        error_set(&e, s, "usage: test_roundtrip write FOLDER | dump FILE");
    if (s != STATUS_OK)
        fprintf(stderr, "%s: %s\n", status_name(s), e.text);
    return s == STATUS_OK ? 0 : 1;
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

static struct pq_reader *open_path(const char *path, struct source **source)
{
    struct error e;
    struct pq_reader *r;
    assert_ok(source_open(path, source, &e), &e);
    assert_ok(pq_open(*source, &r, &e), &e);
    return r;
}

static void assert_same_file(const char *path, const struct table *t, const size_t *ends, size_t n_groups)
{
    struct error e;
    struct source *source;
    struct pq_reader *r = open_path(path, &source);
    assert_int_equal(pq_n_rows(r), ends[n_groups - 1]);
    assert_int_equal(pq_n_row_groups(r), n_groups);
    assert_int_equal(pq_n_columns(r), t->n_columns);
    for (size_t g = 0; g < n_groups; g++)
        for (size_t i = 0; i < t->n_columns; i++) {
            struct pq_values v;
            size_t first = g ? ends[g - 1] : 0;
            assert_ok(pq_read(r, g, i, &v, &e), &e);
            assert_int_equal(v.n_rows, ends[g] - first);
            assert_null(v.null);
            if (!table_same_rows(t, i, first, &v))
                fail_msg("%s: row group %zu: column %s differs", path, g, t->columns[i].name);
        }
    pq_close(r);
    source_close(source);
}

static void assert_same_columns(const struct pq_column *a, const struct pq_column *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->list, b->list);
    assert_int_equal(a->depth, b->depth);
    assert_int_equal(a->bits, b->bits);
    assert_int_equal(a->unsigned_, b->unsigned_);
    assert_false(b->optional);
    assert_null(b->unsupported);
}

static void test_every_kind_of_column_comes_back_bit_by_bit(void **state)
{
    (void)state;
    struct error e;
    struct table t;
    struct rng r = rng_stream(1, 0);
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "t.parquet");
    table_every_kind(&t);
    table_rows(&t, &r, 500, 30);
    const size_t ends[] = {1, 100, 500};
    for (size_t i = 0; i < ARRAY_LEN(codecs) * 2 * 3; i++) {
        struct pq_write_options options = {
            .codec = codecs[i % 4], .page_version = 1 + (int)(i / 4 % 2), .page_bytes = (size_t[]){1, 300, 0}[i / 8]};
        assert_ok(write_file(path, &t, &options, ends, 3, &e), &e);
        assert_same_file(path, &t, ends, 3);
    }
    struct source *source;
    struct pq_reader *reader = open_path(path, &source);
    for (size_t i = 0; i < t.n_columns; i++) {
        assert_same_columns(&t.columns[i], pq_column_at(reader, i));
        assert_int_equal(pq_column_find(reader, t.columns[i].name), i);
    }
    assert_int_equal(pq_column_find(reader, "absent"), -1);
    assert_string_equal(pq_created_by(reader), "dltrigger " DLT_VERSION);
    pq_close(reader);
    source_close(source);
    table_free(&t);
    temp_folder_remove(folder);
}

static void random_columns(struct rng *r, struct table *t)
{
    *t = (struct table){0};
    size_t n = 1 + (size_t)rng_below(r, 12);
    for (size_t i = 0; i < n; i++) {
        char name[40];
        snprintf(name, sizeof name, "column \xce\xbb %zu", i);
        struct pq_column c = {.type = (enum pq_type)rng_below(r, PQ_STRING + 1), .depth = (int)rng_below(r, 3)};
        c.list = c.depth > 0;
        if (c.type == PQ_I32)
            c.bits = (int)rng_below(r, 3) * 8;
        if (c.type == PQ_I32 || c.type == PQ_I64)
            c.unsigned_ = rng_below(r, 2);
        table_add(t, c, name);
    }
}

static void test_random_schemas_and_rows_come_back(void **state)
{
    (void)state;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "t.parquet");
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct error e;
        struct table t;
        struct rng r = rng_stream(77, seed);
        size_t ends[4], n_groups = 1 + (size_t)rng_below(&r, 4), n_rows = 0;
        for (size_t g = 0; g < n_groups; g++)
            ends[g] = n_rows += 1 + (size_t)rng_below(&r, 200);
        random_columns(&r, &t);
        table_rows(&t, &r, n_rows, (size_t)rng_below(&r, 3) * 37);
        struct pq_write_options options = {.codec = codecs[rng_below(&r, 4)],
                                           .page_version = (int)rng_below(&r, 3),
                                           .page_bytes = (size_t)rng_below(&r, 5000),
                                           .adapt = rng_below(&r, 2) == 1};
        assert_ok(write_file(path, &t, &options, ends, n_groups, &e), &e);
        assert_same_file(path, &t, ends, n_groups);
        table_free(&t);
    }
    temp_folder_remove(folder);
}

static void test_a_list_of_a_million_values_spans_one_page(void **state)
{
    (void)state;
    struct error e;
    struct table t = {0};
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "t.parquet");
    size_t n = 1000003;
    uint64_t offsets[] = {0, 0, n, n, n + 1};
    float *data = table_alloc(n + 1, sizeof *data);
    for (size_t i = 0; i <= n; i++)
        data[i] = (float)i;
    table_add(&t, (struct pq_column){.type = PQ_F32, .list = true}, "x");
    t.values[0] = (struct pq_values){.n_rows = 4, .n_values = n + 1, .data = data, .offsets = offsets};
    for (int version = 1; version <= 2; version++) {
        struct pq_write_options options = {.codec = CODEC_SNAPPY, .page_version = version};
        assert_ok(write_file(path, &t, &options, (size_t[]){4}, 1, &e), &e);
        assert_same_file(path, &t, (size_t[]){4}, 1);
    }
    free(data);
    temp_folder_remove(folder);
}

/* Whole numbers of `n_distinct` values, in runs of up to `run_most`. */
static void few_values(struct rng *r, int32_t *v, size_t n, size_t n_distinct, size_t run_most)
{
    for (size_t i = 0; i < n;) {
        int32_t value = (int32_t)(rng_below(r, n_distinct) * 2654435761u);
        for (size_t run = 1 + (size_t)rng_below(r, run_most); run > 0 && i < n; run--)
            v[i++] = value;
    }
}

static void test_integers_of_few_values_come_back_through_a_dictionary(void **state)
{
    (void)state;
    static const size_t distinct[] = {1, 2, 3, 5, 17, 129, 255, 256, 257, 400}, runs[] = {1, 3, 40, 700};
    struct error e;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "t.parquet");
    enum { N = 20011 };
    int32_t *data = table_alloc(N, sizeof *data);
    for (size_t i = 0; i < ARRAY_LEN(distinct) * ARRAY_LEN(runs); i++) {
        struct rng r = rng_stream(9, i);
        struct table t = {0};
        size_t n_distinct = distinct[i / ARRAY_LEN(runs)], run_most = runs[i % ARRAY_LEN(runs)];
        uint64_t offsets[] = {3, 3, 5000, 5001, N};
        few_values(&r, data, N, n_distinct, run_most);
        table_add(&t, (struct pq_column){.type = PQ_I32, .list = true, .unsigned_ = i % 2}, "x");
        t.values[0] = (struct pq_values){.n_rows = 4, .n_values = N, .data = data, .offsets = offsets};
        struct pq_write_options options = {
            .codec = CODEC_SNAPPY, .adapt = true, .page_bytes = i % 3 ? 0 : 6000, .page_version = 1 + (int)(i % 2)};
        int64_t bytes;
        char sha[65];
        assert_ok(write_file(path, &t, &options, (size_t[]){4}, 1, &e), &e);
        assert_same_file(path, &t, (size_t[]){4}, 1);
        assert_ok(sha256_file_hex(path, sha, &bytes, &e), &e);
        if (n_distinct <= 5)
            assert_in_range(bytes, 1, N * 3 / 8 + 1000);
    }
    free(data);
    temp_folder_remove(folder);
}

static void test_numbers_that_do_not_shrink_are_stored_as_they_are(void **state)
{
    (void)state;
    enum { N = 10000 };
    struct error e;
    struct table t = {0};
    struct rng r = rng_stream(10, 0);
    char *folder = temp_folder_create(), sha[65];
    const char *path = path_in(folder, "t.parquet");
    float *noise = table_alloc(N, sizeof *noise), *flat = table_alloc(N, sizeof *flat);
    for (size_t i = 0; i < N; i++)
        noise[i] = (float)rng_normal(&r);
    table_add(&t, (struct pq_column){.type = PQ_F32}, "noise");
    table_add(&t, (struct pq_column){.type = PQ_F32}, "flat");
    t.values[0] = (struct pq_values){.n_rows = N, .n_values = N, .data = noise};
    t.values[1] = (struct pq_values){.n_rows = N, .n_values = N, .data = flat};
    struct pq_write_options options = {.codec = CODEC_SNAPPY, .adapt = true};
    int64_t bytes;
    assert_ok(write_file(path, &t, &options, (size_t[]){N}, 1, &e), &e);
    assert_same_file(path, &t, (size_t[]){N}, 1);
    assert_ok(sha256_file_hex(path, sha, &bytes, &e), &e);
    assert_in_range(bytes, 4 * N, 4 * N + N / 2);
    free(noise);
    free(flat);
    temp_folder_remove(folder);
}

static void test_any_number_of_threads_writes_the_same_bytes_and_describes_them(void **state)
{
    (void)state;
    struct error e;
    struct table t;
    struct rng r = rng_stream(4, 0);
    char *folder = temp_folder_create(), hex[2][65];
    const char *path = path_in(folder, "t.parquet");
    struct pq_writer *w;
    struct pq_written written;
    table_every_kind(&t);
    table_rows(&t, &r, 900, 20);
    for (size_t threads = 1; threads < 5; threads++) {
        struct pq_write_options options = {.codec = CODEC_SNAPPY, .page_bytes = 999, .adapt = true, .describe = true};
        int64_t bytes;
        assert_ok(pq_writer_create(path, t.columns, t.n_columns, &options, &w, &e), &e);
        assert_ok(pq_writer_threads(w, threads, &e), &e);
        assert_ok(table_write(w, &t, 0, 400, &e), &e);
        assert_ok(table_write(w, &t, 400, 900, &e), &e);
        assert_ok(pq_writer_finish_described(w, &written, &e), &e);
        assert_ok(sha256_file_hex(path, hex[threads > 1], &bytes, &e), &e);
        assert_string_equal(written.sha256, hex[threads > 1]);
        assert_int_equal(written.bytes, bytes);
        assert_int_equal(written.n_rows, 900);
        assert_string_equal(hex[0], hex[threads > 1]);
        assert_same_file(path, &t, (size_t[]){400, 900}, 2);
    }
    table_free(&t);
    temp_folder_remove(folder);
}

static void test_the_same_rows_give_the_same_bytes(void **state)
{
    (void)state;
    struct error e;
    struct table t;
    struct rng r = rng_stream(3, 0);
    char *folder = temp_folder_create(), hex[2][65];
    table_every_kind(&t);
    table_rows(&t, &r, 300, 20);
    for (size_t codec = 0; codec < ARRAY_LEN(codecs); codec++) {
        for (int i = 0; i < 2; i++) {
            const char *path = path_in(folder, i ? "a" : "b");
            struct pq_write_options options = {.codec = codecs[codec], .page_bytes = 999};
            int64_t bytes;
            assert_ok(write_file(path, &t, &options, (size_t[]){120, 300}, 2, &e), &e);
            assert_ok(sha256_file_hex(path, hex[i], &bytes, &e), &e);
        }
        assert_string_equal(hex[0], hex[1]);
    }
    table_free(&t);
    temp_folder_remove(folder);
}

static void test_metadata_and_an_empty_file_come_back(void **state)
{
    (void)state;
    struct error e;
    char *folder = temp_folder_create();
    const char *path = path_in(folder, "t.parquet");
    const struct pq_column column = {.name = "x", .type = PQ_F32};
    const struct pq_key_value meta[] = {{"a", "1"}, {"no value", NULL}, {"a", "2"}, {"", "empty key"}};
    struct pq_write_options options = {.codec = CODEC_ZSTD, .meta = meta, .n_meta = ARRAY_LEN(meta)};
    struct pq_writer *w;
    assert_ok(pq_writer_create(path, &column, 1, &options, &w, &e), &e);
    assert_ok(pq_writer_finish(w, &e), &e);
    struct source *source;
    struct pq_reader *r = open_path(path, &source);
    assert_int_equal(pq_n_rows(r), 0);
    assert_int_equal(pq_n_row_groups(r), 0);
    assert_string_equal(pq_meta(r, "a"), "1");
    assert_string_equal(pq_meta(r, "no value"), "");
    assert_string_equal(pq_meta(r, ""), "empty key");
    assert_null(pq_meta(r, "absent"));
    pq_close(r);
    source_close(source);
    temp_folder_remove(folder);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return tool(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_column_comes_back_bit_by_bit),
        cmocka_unit_test(test_random_schemas_and_rows_come_back),
        cmocka_unit_test(test_a_list_of_a_million_values_spans_one_page),
        cmocka_unit_test(test_integers_of_few_values_come_back_through_a_dictionary),
        cmocka_unit_test(test_numbers_that_do_not_shrink_are_stored_as_they_are),
        cmocka_unit_test(test_any_number_of_threads_writes_the_same_bytes_and_describes_them),
        cmocka_unit_test(test_the_same_rows_give_the_same_bytes),
        cmocka_unit_test(test_metadata_and_an_empty_file_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
