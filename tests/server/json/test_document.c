/* tests/server/json/test_document.c
 *
 * JSON as documents; Keras configurations; and the published Keras models imported and compared with the reference. */
#include "core/interchange.h"
#include "core/model/keras.h"
#include "core/model/private.h"
#include "server/json/document.h"

#include "tests/support/unit.h"

#include <math.h>
#include <string.h>

static struct span span_of(const char *text)
{
    return (struct span){(const uint8_t *)text, strlen(text)};
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

static void test_a_document_holds_what_the_json_says(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    const struct document *d;
    arena_init(&a, 1 << 20);
    assert_ok(document_parse(&a, span_of("{\"a\": [1, -2.5, \"x\", null, true, {}], \"b\": {\"c\": false}}"), &d, &e),
              &e);
    const struct document *list = document_get(d, "a");
    assert_int_equal(document_count(list), 6);
    assert_true(document_number(document_at(list, 0), 0) == 1);
    assert_true(document_number(document_at(list, 1), 0) == -2.5);
    assert_string_equal(document_text(document_at(list, 2), ""), "x");
    assert_true(document_is_null(document_at(list, 3)));
    assert_true(document_true(document_at(list, 4)));
    assert_int_equal(document_at(list, 5)->kind, DOCUMENT_OBJECT);
    assert_null(document_at(list, 6));
    assert_false(document_true(document_get(document_get(d, "b"), "c")));
    assert_null(document_get(document_get(d, "a"), "c"));
    assert_status(document_parse(&a, span_of("{\"a\": 1, \"a\": 2}"), &d, &e), STATUS_FORMAT, &e);
    assert_status(document_parse(&a, span_of("[1"), &d, &e), STATUS_FORMAT, &e);
    arena_fini(&a);
}

static void test_documents_nested_too_deep_are_refused(void **state)
{
    (void)state;
    char text[512];
    struct arena a;
    struct error e;
    const struct document *d;
    arena_init(&a, 1 << 20);
    memset(text, '[', 200);
    memset(text + 200, ']', 200);
    text[400] = '\0';
    assert_status(document_parse(&a, span_of(text), &d, &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "deeper");
    arena_fini(&a);
}

/* ---- configurations ---------------------------------------------------------------------------------------------- */

#define HLF_INPUT  "{\"class_name\": \"InputLayer\", \"config\": {\"name\": \"in\", \"batch_input_shape\": [null, 14]}}"
#define ROWS_INPUT "{\"class_name\": \"InputLayer\", \"config\": {\"name\": \"in\", \"batch_shape\": [null, 801, 19]}}"
#define SOFTMAX                                                                                                        \
    "{\"class_name\": \"Dense\", \"config\": {\"name\": \"out\", \"units\": 3, \"activation\": \"softmax\"}}"

/* A Sequential of these layers. */
static enum status read_layers(const char *layers, struct keras_network *out, struct error *e)
{
    static struct arena a;
    char text[4096];
    const struct document *d;
    arena_fini(&a);
    arena_init(&a, 1 << 20);
    snprintf(text, sizeof text, "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [%s]}}", layers);
    assert_ok(document_parse(&a, span_of(text), &d, e), e);
    return keras_config(&a, d, out, e);
}

static void refused(const char *layers, const char *words)
{
    struct keras_network k;
    struct error e;
    enum status s = read_layers(layers, &k, &e);
    if (s == STATUS_OK || !strstr(e.text, words))
        fail_msg("%s: '%s' does not say '%s'", layers, s ? e.text : "accepted", words);
}

static void test_layers_become_ours_and_those_that_do_nothing_vanish(void **state)
{
    (void)state;
    struct keras_network k;
    struct error e;
    assert_ok(
        read_layers(ROWS_INPUT
                    ","
                    "{\"class_name\": \"Masking\", \"config\": {\"name\": \"m\", \"mask_value\": 0.0}},"
                    "{\"class_name\": \"LSTM\", \"config\": {\"name\": \"l\", \"units\": 7, \"use_bias\": true}},"
                    "{\"class_name\": \"Flatten\", \"config\": {\"name\": \"f\"}},"
                    "{\"class_name\": \"Dropout\", \"config\": {\"name\": \"d\", \"rate\": 0.5}},"
                    "{\"class_name\": \"Dense\", \"config\": {\"name\": \"x\", \"units\": 3, \"use_bias\": false}},"
                    "{\"class_name\": \"Softmax\", \"config\": {\"name\": \"s\", \"axis\": -1}}",
                    &k, &e),
        &e);
    assert_int_equal(k.n, 3);
    assert_int_equal(k.layer[0].kind, LAYER_LSTM);
    assert_int_equal(k.layer[0].units, 7);
    assert_string_equal(((const char **)k.layer[0].inputs.items)[0], "particles");
    assert_int_equal(k.layer[1].kind, LAYER_DROPOUT);
    assert_int_equal(k.layer[2].kind, LAYER_DENSE);
    assert_true(k.origin[2].no_bias);
    assert_false(k.padded || k.flattens);
}

static void test_every_kind_of_layer_is_understood(void **state)
{
    (void)state;
    struct keras_network k;
    struct error e;
    assert_ok(
        read_layers(
            ROWS_INPUT
            ","
            "{\"class_name\": \"MultiHeadAttention\", \"config\": {\"name\": \"a\", \"num_heads\": 8, \"key_dim\": "
            "19}},"
            "{\"class_name\": \"LayerNormalization\", \"config\": {\"name\": \"n\", \"axis\": [2], \"epsilon\": 1e-6}},"
            "{\"class_name\": \"Dense\", \"config\": {\"name\": \"p\", \"units\": 20, \"activation\": \"linear\"}},"
            "{\"class_name\": \"ReLU\", \"config\": {\"name\": \"r\", \"max_value\": null, \"threshold\": 0.0}},"
            "{\"class_name\": \"GlobalAveragePooling1D\", \"config\": {\"name\": \"g\"}},"
            "{\"class_name\": \"Activation\", \"config\": {\"name\": \"c\", \"activation\": \"relu\"}}," SOFTMAX,
            &k, &e),
        &e);
    static const int kinds[] = {LAYER_ATTENTION, LAYER_NORM, LAYER_DENSE, LAYER_RELU,
                                LAYER_MEAN_POOL, LAYER_RELU, LAYER_DENSE};
    assert_int_equal(k.n, ARRAY_LEN(kinds));
    for (size_t i = 0; i < k.n; i++)
        assert_int_equal(k.layer[i].kind, kinds[i]);
    assert_string_equal(k.origin[0].group, "multi_head_attention");
    assert_string_equal(k.origin[4].group, "global_average_pooling1d");
    assert_string_equal(k.origin[6].group, "dense_1");
    assert_true(k.padded);
}

static void test_what_is_not_understood_is_refused_by_name(void **state)
{
    (void)state;
    refused(HLF_INPUT ",{\"class_name\": \"Lambda\", \"config\": {\"name\": \"evil\", \"function\": [\"4wEAAA\", null, "
                      "null]}}," SOFTMAX,
            "layer 'evil' (Lambda) is of a class that is not supported");
    refused(HLF_INPUT
            ",{\"class_name\": \"TFOpLambda\", \"config\": {\"name\": \"op\", \"function\": \"os.system\"}}," SOFTMAX,
            "'op'");
    refused(
        HLF_INPUT
        ",{\"class_name\": \"Dense\", \"config\": {\"name\": \"t\", \"units\": 4, \"activation\": \"tanh\"}}," SOFTMAX,
        "activation 'tanh'");
    refused(HLF_INPUT ",{\"class_name\": \"Dense\", \"config\": {\"name\": \"t\", \"units\": 1e9}}," SOFTMAX,
            "whole number");
    refused(HLF_INPUT ",{\"class_name\": \"Dense\", \"config\": {\"name\": \"t\", \"units\": 2.5}}," SOFTMAX,
            "whole number");
    refused(HLF_INPUT ",{\"class_name\": \"GRU\", \"config\": {\"name\": \"g\", \"units\": 4}}," SOFTMAX, "sequence");
    refused(
        ROWS_INPUT
        ",{\"class_name\": \"GRU\", \"config\": {\"name\": \"g\", \"units\": 4, \"return_sequences\": true}}," SOFTMAX,
        "return_sequences");
    refused(ROWS_INPUT ",{\"class_name\": \"GRU\", \"config\": {\"name\": \"g\", \"units\": 4, "
                       "\"recurrent_activation\": \"hard_sigmoid\"}}," SOFTMAX,
            "hard_sigmoid");
    refused(HLF_INPUT "," SOFTMAX ",{\"class_name\": \"Dense\", \"config\": {\"name\": \"t\", \"units\": 4}}",
            "at the end only");
    refused(HLF_INPUT ",{\"class_name\": \"Dense\", \"config\": {\"name\": \"t\", \"units\": 4}}", "not softmax");
    refused(
        "{\"class_name\": \"InputLayer\", \"config\": {\"name\": \"in\", \"batch_shape\": [null, 28, 28]}}," SOFTMAX,
        "is an input");
    refused(HLF_INPUT "," HLF_INPUT "," SOFTMAX, "name of another");
    refused("", "not softmax");
    refused("7", "without name");
}

static void test_a_functional_model_that_is_no_graph_of_ours_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{\"class_name\": \"Functional\", \"config\": {\"layers\": [{\"name\": \"d\", \"class_name\": \"Dense\", "
         "\"config\": {\"units\": 3},"
         " \"inbound_nodes\": [[[\"nobody\", 0, 0, {}]]]}]}}",
         "takes 'nobody'"},
        {"{\"class_name\": \"Functional\", \"config\": {\"layers\": [{\"name\": \"d\", \"class_name\": \"Dense\", "
         "\"config\": {\"units\": 3},"
         " \"inbound_nodes\": []}]}}",
         "takes nothing"},
        {"{\"class_name\": \"Functional\", \"config\": {\"layers\": []}}", "output"},
        {"{\"class_name\": \"Evil\", \"config\": {}}", "class 'Evil'"},
        {"[]", "class"},
        {"null", "class"},
        {"{\"class_name\": \"Functional\"}", "output"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena a;
        struct error e;
        struct keras_network k;
        const struct document *d;
        arena_init(&a, 1 << 20);
        assert_ok(document_parse(&a, span_of(cases[i].text), &d, &e), &e);
        assert_true(keras_config(&a, d, &k, &e) != STATUS_OK);
        assert_contains(e.text, cases[i].words);
        arena_fini(&a);
    }
}

/* ---- the published models ---------------------------------------------------------------------------------------- */

enum { EVENTS = 64, STEPS = 801, COLUMNS = 19 };

static struct npy golden(const char *name)
{
    struct error e;
    struct npy a;
    char path[128];
    snprintf(path, sizeof path, "golden/%s.npy", name);
    assert_ok(npy_load(shared_path(path), &a, &e), &e);
    return a;
}

static double npy_number(const struct npy *a, size_t i)
{
    return a->f4 ? (double)a->f4[i] : a->f8[i];
}

static struct model *import_shared(const char *file)
{
    struct buf bytes;
    struct model *m;
    struct error e;
    buf_init(&bytes, 1 << 20);
    assert_ok(file_read(shared_path(file), &bytes, &e), &e);
    enum status s = model_import(&(struct model_import){0}, (struct span){bytes.data, bytes.len}, file, &m, &e);
    buf_fini(&bytes);
    if (s == STATUS_UNSUPPORTED && strstr(e.text, "install it")) {
        print_message("skipped: %s\n", e.text);
        skip();
    }
    assert_ok(s, &e);
    return m;
}

/* Steps of zeros are taken out where they are masked: that is what skipping them means. */
static void load_rows(const char *name, bool mask, float *rows, uint32_t *length)
{
    struct npy a = golden(name);
    for (size_t i = 0; i < EVENTS; i++) {
        length[i] = 0;
        for (size_t t = 0; t < STEPS; t++) {
            const size_t at = (i * STEPS + t) * COLUMNS;
            bool real = !mask;
            for (size_t c = 0; c < COLUMNS; c++)
                real |= npy_number(&a, at + c) != 0;
            for (size_t c = 0; real && c < COLUMNS; c++)
                rows[(i * STEPS + length[i]) * COLUMNS + c] = (float)npy_number(&a, at + c);
            length[i] += real;
        }
    }
    npy_free(&a);
}

static void near(const char *what, const float *got, size_t n, size_t features, size_t ld, double tolerance)
{
    struct npy expected = golden(what);
    double worst = 0;
    assert_int_equal(expected.n, n * features);
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < features; f++)
            worst = fmax(worst, fabs((double)got[f * ld + i] - npy_number(&expected, i * features + f)));
    if (!(worst <= tolerance))
        fail_msg("%s: off by %g", what, worst);
    npy_free(&expected);
}

static void answers_are(const struct model *m, const char *model, const char *rows_name, bool mask, const char *suffix,
                        bool states)
{
    struct net *net;
    struct pass p;
    struct error e;
    uint32_t length[EVENTS];
    char what[64];
    float *rows = mem_aligned(EVENTS * STEPS * COLUMNS * sizeof *rows);
    assert_ok(estimator_network(&model_header(m)->params, 3, &net, &e), &e);
    float *work = mem_aligned(pass_work_size(net, EVENTS, true) * sizeof *work);
    assert_true(rows && work);
    pass_init(&p, net, EVENTS, true, work);
    load_rows(rows_name, mask, rows, length);
    struct npy hlf = golden("in_hlf");
    for (size_t i = 0; i < EVENTS * 14; i++)
        pass_input(&p, 0)[i % 14 * p.ld + i / 14] = (float)npy_number(&hlf, i);
    npy_free(&hlf);
    p.k->rows_to_lanes(rows, STEPS * COLUMNS, NULL, EVENTS, STEPS * COLUMNS, p.ld, pass_input(&p, 1));
    pass_forward(&p, model_params(m), EVENTS, length);
    snprintf(what, sizeof what, "expect_%s_%s_state", model, suffix);
    if (states)
        near(what, pass_layer_output(&p, 0), EVENTS, 50, p.ld, 1e-4);
    snprintf(what, sizeof what, "expect_%s_%s_logits", model, suffix);
    if (states)
        near(what, pass_output(&p), EVENTS, 3, p.ld, 3e-4);
    pass_softmax(&p, EVENTS);
    snprintf(what, sizeof what, "expect_%s_%s", model, suffix);
    near(what, pass_output(&p), EVENTS, 3, p.ld, 5e-5);
    mem_free(rows);
    mem_free(work);
    net_destroy(net);
}

static void import_and_compare(const char *file, const char *name)
{
    struct model *m = import_shared(file);
    assert_int_equal(model_input(m), INPUT_BOTH);
    assert_string_equal(model_class(m, 2), "wjets");
    assert_string_equal(model_header(m)->recipe, "sparkdltrigger-1");
    answers_are(m, name, "in_seq", false, "seq", true);
    answers_are(m, name, "in_mseq", true, "mseq", true);
    answers_are(m, name, "in_mseq", false, "mseq_nomask", false);
    model_release(m);
}

static void test_the_published_h5_model_gives_the_reference_states_and_scores(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    import_and_compare("keras/InclusiveClassifier.h5", "B");
}

static void test_the_published_keras_model_gives_the_reference_states_and_scores(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    import_and_compare("keras/myGRUmodel.keras", "Bk3");
}

static void test_an_imported_model_goes_out_as_onnx_and_comes_back_the_same(void **state)
{
    (void)state;
    SKIP_WITHOUT_SHARED_DATA();
    struct model *m = import_shared("keras/InclusiveClassifier.h5"), *back;
    struct buf onnx;
    struct error e;
    buf_init(&onnx, 1 << 20);
    assert_ok(model_to_onnx(m, false, &onnx, &e), &e);
    assert_ok(model_import(&(struct model_import){0}, (struct span){onnx.data, onnx.len}, "x.onnx", &back, &e), &e);
    assert_string_equal(model_sha256(back), model_sha256(m));
    buf_fini(&onnx);
    model_release(back);
    model_release(m);
}

static void test_bytes_that_are_no_model_are_told_apart(void **state)
{
    (void)state;
    struct model *m;
    struct error e;
    assert_status(model_import(&(struct model_import){0}, span_of("hello"), "x", &m, &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "not a model");
    assert_status(model_import(&(struct model_import){0}, span_of("PK\3\4 no archive"), "x", &m, &e), STATUS_FORMAT,
                  &e);
    assert_contains(e.text, "table of contents");
    assert_status(model_import(&(struct model_import){0}, span_of("\x08\x08rubbish"), "x", &m, &e), STATUS_FORMAT, &e);
    assert_contains(e.text, "ONNX");
    assert_status(model_import(&(struct model_import){0}, span_of("DLTMODELrubbish"), "x", &m, &e), STATUS_FORMAT, &e);
    assert_null(m);
}

int main(int argc, char **argv)
{
    sandbox_init(argc, argv, sandboxed_tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document_holds_what_the_json_says),
        cmocka_unit_test(test_documents_nested_too_deep_are_refused),
        cmocka_unit_test(test_layers_become_ours_and_those_that_do_nothing_vanish),
        cmocka_unit_test(test_every_kind_of_layer_is_understood),
        cmocka_unit_test(test_what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(test_a_functional_model_that_is_no_graph_of_ours_is_refused),
        cmocka_unit_test(test_the_published_h5_model_gives_the_reference_states_and_scores),
        cmocka_unit_test(test_the_published_keras_model_gives_the_reference_states_and_scores),
        cmocka_unit_test(test_an_imported_model_goes_out_as_onnx_and_comes_back_the_same),
        cmocka_unit_test(test_bytes_that_are_no_model_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
