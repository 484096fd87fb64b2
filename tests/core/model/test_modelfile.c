/* tests/core/model/test_modelfile.c
 *
 * Models as bytes: nothing is lost, nothing damaged or lying is believed. */
#include "core/model.h"

#include "tests/core/model/toy.h"

static struct model *decode_ok(struct span bytes)
{
    struct error e;
    struct model *m;
    assert_ok(model_decode(bytes, "test", &m, &e), &e);
    return m;
}

static void decode_fails(const uint8_t *bytes, size_t n, enum status expected, const char *why)
{
    struct error e;
    struct model *m = (struct model *)1;
    assert_status(model_decode((struct span){bytes, n}, "some.dltm", &m, &e), expected, &e);
    assert_null(m);
    assert_contains(e.text, "some.dltm");
    if (why)
        assert_contains(e.text, why);
}

/* A model with all that a header can hold. */
static struct model *full_model(struct toy *t)
{
    struct error e;
    toy_init(t, 300, 3);
    assert_ok(feature_histograms_create(&t->arena, t->hlf, 300, &t->header.histograms, &e), &e);
    feature_histograms_add(&t->header.histograms, t->hlf, NULL, 300);
    return toy_train(t, 2);
}

static void test_encoding_and_decoding_lose_nothing(void **state)
{
    (void)state;
    struct toy t;
    struct model *m = full_model(&t);
    struct buf bytes = toy_encode(m);
    struct model *back = decode_ok((struct span){bytes.data, bytes.len});
    struct buf again = toy_encode(back);
    char sum[65];
    float a[3 * 300], b[3 * 300];
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.data, bytes.data, bytes.len);
    sha256_hex(bytes.data, bytes.len, sum);
    assert_string_equal(model_sha256(m), sum);
    assert_string_equal(model_sha256(back), sum);
    model_predict_hlf(m, t.hlf, 300, a);
    model_predict_hlf(back, t.hlf, 300, b);
    assert_memory_equal(a, b, sizeof a);
    const struct model_header *h = model_header(back);
    assert_int_equal(h->histograms.n_items, HLF_COUNT);
    assert_string_equal(h->created_at, "2026-01-01T00:00:00Z");
    assert_string_equal(h->dataset_id, "ds_toy");
    assert_int_equal(h->epochs_done, 2);
    model_release(m);
    model_release(back);
    buf_fini(&bytes);
    buf_fini(&again);
    toy_fini(&t);
}

static void test_saving_and_loading_a_file(void **state)
{
    (void)state;
    struct toy t;
    struct error e;
    char *folder = temp_folder_create();
    struct model *m = full_model(&t), *back;
    const char *path = path_in(folder, "model.dltm");
    char sum[65];
    assert_ok(model_save(m, path, &e), &e);
    assert_int_equal(folder_count(folder), 1);
    assert_ok(sha256_file_hex(path, sum, NULL, &e), &e);
    assert_string_equal(sum, model_sha256(m));
    assert_ok(model_load(path, &back, &e), &e);
    assert_string_equal(model_sha256(back), model_sha256(m));
    model_release(back);
    assert_status(model_load(path_in(folder, "none.dltm"), &back, &e), STATUS_NOTFOUND, &e);
    assert_null(strstr(e.text, folder));                      /* texts tell no paths */
    assert_null(back);
    model_release(m);
    temp_folder_remove(folder);
    toy_fini(&t);
}

/* Magic, version, lengths, header text, weights, checksum: every byte of the head and the ends, samples between. */
static void test_every_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct toy t;
    struct model *m = full_model(&t);
    struct buf bytes = toy_encode(m);
    for (size_t at = 0; at < bytes.len; at += at < 256 || at + 256 > bytes.len ? 1 : 61)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.data[at] ^= (uint8_t)(1u << bit);
            decode_fails(bytes.data, bytes.len, STATUS_FORMAT, NULL);
            bytes.data[at] ^= (uint8_t)(1u << bit);
        }
    for (size_t n = 0; n < bytes.len; n += n < 200 ? 1 : 499)
        decode_fails(bytes.data, n, STATUS_FORMAT, NULL);
    model_release(decode_ok((struct span){bytes.data, bytes.len}));
    model_release(m);
    buf_fini(&bytes);
    toy_fini(&t);
}

/* The same file with a changed piece of its header text and a right checksum; NULL `to`: the length stays. */
static struct buf altered(const struct buf *bytes, const char *from, const char *to)
{
    struct error e;
    struct buf b;
    buf_init(&b, 1 << 24);
    uint32_t text_bytes;
    memcpy(&text_bytes, bytes->data + 12, 4);
    const uint8_t *at = memmem(bytes->data, bytes->len, from, strlen(from));
    assert_non_null(at);
    size_t before = (size_t)(at - bytes->data), after = before + strlen(from);
    assert_ok(buf_append(&b, bytes->data, before, &e), &e);
    assert_ok(buf_append(&b, to, strlen(to), &e), &e);
    assert_ok(buf_append(&b, bytes->data + after, bytes->len - after, &e), &e);
    text_bytes += (uint32_t)(strlen(to) - strlen(from));
    memcpy(b.data + 12, &text_bytes, 4);
    toy_seal(b.data, b.len);
    return b;
}

static void test_headers_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct { const char *from, *to; enum status expected; const char *why; } lies[] = {
        {"n_params = 2013", "n_params = 2014", STATUS_FORMAT, "contradicts"},
        {"n_params = 2013", "n_params = -1", STATUS_FORMAT, "contradicts"},
        {"format_version = 1", "format_version = 2", STATUS_FORMAT, "contradicts"},
        {"estimator = \"hlf\"", "estimator = \"xyz\"", STATUS_UNSUPPORTED, "xyz"},
        {"params.model = hlf", "params.model = lstm", STATUS_FORMAT, "model"},
        {"recipe = \"topology-1\"", "recipe = \"topology-9\"", STATUS_UNSUPPORTED, "topology-9"},
        {"classes[2] = \"class2\"", "classes[2] = \"class1\"", STATUS_FORMAT, "class1"},
        {"classes[2] = \"class2\"", "classes[2] = \"\"", STATUS_FORMAT, "class 2"},
        {"classes[2] = \"class2\"\n", "", STATUS_FORMAT, "there are 2 classes"},
        {"classes[2] = \"class2\"", "classes[7] = \"class2\"", STATUS_FORMAT, "index 7"},
        {"scaler.hlf_shift[13] = 0\n", "", STATUS_FORMAT, "hlf_shift"},
        {"scaler.hlf_factor[3] = 1\n", "scaler.hlf_factor[3] = inf\n", STATUS_FORMAT, "hlf_factor[3]"},
        {"params.epochs = 5", "params.epochs = 0", STATUS_FORMAT, "epochs"},
        {"params.batch_size = 128", "params.hidden[0] = 1025", STATUS_FORMAT, "hidden"},
        {"params.layers[0].units = 50", "params.layers[0].units = 51", STATUS_FORMAT, "parameters"},
        {"params.layers[2].inputs[0] = \"hidden_2\"", "params.layers[2].inputs[0] = \"hidden_3\"", STATUS_FORMAT,
         "/params/layers/2/inputs: layer 'hidden_3' (dense) is part of a cycle"},
        {"histograms[0].feature = \"HT\"", "histograms[0].feature = \"MET\"", STATUS_FORMAT, "histogram 0"},
        {"n_train = ", "n_train = -", STATUS_FORMAT, "contradicts"},
        {"dataset_id = ", "data_set = ", STATUS_FORMAT, "data_set"},
    };
    struct toy t;
    struct model *m = full_model(&t);
    struct buf bytes = toy_encode(m);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        struct buf b = altered(&bytes, lies[i].from, lies[i].to);
        decode_fails(b.data, b.len, lies[i].expected, lies[i].why);
        buf_fini(&b);
    }
    struct buf same = altered(&bytes, "params.epochs = 5", "params.epochs = 6");
    model_release(decode_ok((struct span){same.data, same.len}));
    buf_fini(&same);
    model_release(m);
    buf_fini(&bytes);
    toy_fini(&t);
}

static void test_lengths_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct { size_t at, n; uint64_t value; enum status expected; const char *why; } lies[] = {
        {8, 4, 2, STATUS_UNSUPPORTED, "version 2"},
        {8, 4, 0, STATUS_UNSUPPORTED, "version 0"},
        {12, 4, UINT32_MAX, STATUS_FORMAT, "header of 4294967295 bytes"},
        {12, 4, 0, STATUS_FORMAT, "announced"},
        {16, 8, 0, STATUS_FORMAT, "announced"},
        {16, 8, 2012, STATUS_FORMAT, "announced"},
        {16, 8, 2014, STATUS_FORMAT, "announced"},
        {16, 8, UINT64_MAX, STATUS_FORMAT, "announced"},
        {16, 8, (UINT64_C(1) << 62) + 2013, STATUS_FORMAT, "announced"},      /* times 4 is 2013 x 4 again */
    };
    struct toy t;
    struct model *m = full_model(&t);
    struct buf bytes = toy_encode(m);
    uint8_t *copy = mem_alloc(bytes.len);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        memcpy(copy, bytes.data, bytes.len);
        memcpy(copy + lies[i].at, &lies[i].value, lies[i].n);
        toy_seal(copy, bytes.len);
        decode_fails(copy, bytes.len, lies[i].expected, lies[i].why);
    }
    static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000};   /* infinities, NaN */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        memcpy(copy, bytes.data, bytes.len);
        memcpy(copy + bytes.len - 64 - 4 * 2013, &bad[i], 4);
        toy_seal(copy, bytes.len);
        decode_fails(copy, bytes.len, STATUS_FORMAT, "number 0 is not finite");
    }
    mem_free(copy);
    model_release(m);
    buf_fini(&bytes);
    toy_fini(&t);
}

static void test_each_failing_allocation_is_reported(void **state)
{
    (void)state;
    struct toy t;
    struct model *m = full_model(&t);
    struct buf bytes = toy_encode(m);
    for (size_t n = 1; alloc_fail_begin(n); n++) {
        struct error e;
        struct model *back = NULL;
        struct buf b;
        buf_init(&b, 1 << 24);
        enum status s = model_decode((struct span){bytes.data, bytes.len}, "test", &back, &e);
        if (s == STATUS_OK)
            s = model_encode(back, &b, &e);
        bool failed = alloc_fail_end();
        assert_int_equal(s, failed ? STATUS_NOMEM : STATUS_OK);
        if (failed)
            assert_int_equal(b.len, 0);
        model_release(back);
        buf_fini(&b);
    }
    model_release(m);
    buf_fini(&bytes);
    toy_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding_and_decoding_lose_nothing),
        cmocka_unit_test(test_saving_and_loading_a_file),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_headers_that_lie_are_refused),
        cmocka_unit_test(test_lengths_that_lie_are_refused),
        cmocka_unit_test(test_each_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
