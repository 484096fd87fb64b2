/* tests/core/model/test_onnx.c
 *
 * Networks as ONNX and back.  With `--write FOLDER` it writes graphs, inputs and our own answers instead, for
 * tests/parity/check_onnx.sh to compare with ONNX Runtime. */
#include "core/interchange.h"
#include "core/model/graph.h"
#include "core/model/onnx.h"

#include "tests/support/unit.h"

#include <string.h>

enum { EVENTS = 5, ROWS_MOST = 40 };

#define NAMES(...)                                                                                                     \
    {                                                                                                                  \
        (void *)(uintptr_t)(const char *const[]){__VA_ARGS__},                                                         \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                                                \
    }
#define LAYER(name_, kind_, ...)                                                                                       \
    {                                                                                                                  \
        .name = (name_), .kind = (kind_), .reset_after = true, __VA_ARGS__                                             \
    }

/* Every kind of layer somewhere. */
static const struct layer_spec hlf_layers[] = {
    LAYER("wide", LAYER_DENSE, .units = 33, .activation = LAYER_ACTIVATION_RELU, .inputs = NAMES("hlf")),
    LAYER("dropped", LAYER_DROPOUT, .rate = 0.3),
    LAYER("side", LAYER_DENSE, .units = 33, .inputs = NAMES("wide")),
    LAYER("sum", LAYER_ADD, .inputs = NAMES("dropped", "side")),
    LAYER("norm", LAYER_NORM, .epsilon = 1e-3),
    LAYER("positive", LAYER_RELU),
    LAYER("out", LAYER_DENSE),
};
static const struct layer_spec gru_before_layers[] = {
    {.name = "gru", .kind = LAYER_GRU, .units = 50, .inputs = NAMES("particles")}, /* resets before */
    LAYER("joined", LAYER_CONCATENATE, .inputs = NAMES("gru", "hlf")),
    LAYER("hidden", LAYER_DENSE, .units = 25, .activation = LAYER_ACTIVATION_RELU),
    LAYER("out", LAYER_DENSE),
};
static const struct layer_spec pool_layers[] = {
    LAYER("each", LAYER_DENSE, .units = 16, .activation = LAYER_ACTIVATION_RELU, .inputs = NAMES("particles")),
    LAYER("look", LAYER_ATTENTION, .heads = 2, .key_dim = 5),
    LAYER("with", LAYER_ADD, .inputs = NAMES("each", "look")),
    LAYER("norm", LAYER_NORM, .epsilon = 1e-6),
    LAYER("mean", LAYER_MEAN_POOL),
    LAYER("joined", LAYER_CONCATENATE, .inputs = NAMES("hlf", "mean")),
    LAYER("out", LAYER_DENSE),
};

static const struct network {
    const char *name, *estimator;
    const struct layer_spec *layers;
    size_t n_layers;
} networks[] = {
    {"hlf", "hlf", NULL, 0},
    {"hlf-layers", "hlf", hlf_layers, ARRAY_LEN(hlf_layers)},
    {"sequence", "sequence", NULL, 0},
    {"inclusive", "inclusive", NULL, 0},
    {"gru-before", "inclusive", gru_before_layers, ARRAY_LEN(gru_before_layers)},
    {"inclusive-lstm", "inclusive-lstm", NULL, 0},
    {"inclusive-transformer", "inclusive-transformer", NULL, 0},
    {"pool", "inclusive", pool_layers, ARRAY_LEN(pool_layers)},
};
static const char *const recipe_names[] = {"topology-1", "sparkdltrigger-1"};

/* ---- models and events ------------------------------------------------------------------------------------------- */

static int estimator_index(const char *name)
{
    for (int i = 0; estimator_names[i]; i++)
        if (strcmp(estimator_names[i], name) == 0)
            return i;
    fail_msg("no estimator %s", name);
    return -1;
}

static struct scaler_record make_scaler(struct arena *a, bool dense)
{
    struct hlf_scaler hlf;
    struct sequence_scaler rows;
    struct scaler_record record;
    struct error e;
    for (size_t i = 0; i < HLF_COUNT; i++) {
        hlf.log[i] = i == HLF_HT || i == HLF_MET || i == HLF_LEP_PT;
        hlf.shift[i] = hlf.log[i] ? 4.5 : 0.1 * (double)i;
        hlf.factor[i] = 1 / (1.0 + 0.3 * (double)i);
    }
    hlf.shift[5] = -0x1p99, hlf.factor[5] = 0x1p-100; /* a constant feature under min-max */
    for (size_t i = 0; i < PARTICLE_COLUMNS; i++) {
        rows.mean[i] = 0.2 * (double)i;
        rows.factor[i] = 0.5 + 0.02 * (double)i;
    }
    assert_ok(scaler_record_make(a, &hlf, dense ? NULL : &rows, &record, &e), &e);
    return record;
}

static struct model *make_model(struct arena *a, const struct network *n, const char *recipe)
{
    static const char *classes[] = {"qcd", "tt", "wjets"};
    struct model_header h;
    struct model *m;
    struct net *net;
    struct error e;
    field_defaults(model_header_fields, &h);
    h.params.model = estimator_index(n->estimator);
    h.params.layers = (struct field_list){(void *)(uintptr_t)n->layers, n->n_layers};
    h.recipe = recipe;
    h.dataset_id = "ds_1";
    h.classes = (struct field_list){classes, 3};
    h.scaler = make_scaler(a, recipe_find(recipe)->sequence_dense);
    assert_ok(estimator_network(&h.params, 3, &net, &e), &e);
    size_t n_params = net_n_params(net);
    float *params = ARENA_NEW(a, float, n_params);
    struct rng r = rng_stream(7, 7);
    net_init(net, 3, params);
    for (size_t i = 0; i < n_params; i++)
        params[i] += 0.05f * (float)rng_normal(&r); /* biases too */
    net_destroy(net);
    assert_ok(model_create(&h, params, n_params, NULL, &m, &e), &e);
    return m;
}

struct events {
    float *hlf; /* [EVENTS][14] */
    struct particle_columns rows;
    uint32_t first[EVENTS + 1];
};

static void make_events(struct arena *a, struct events *v)
{
    struct rng r = rng_stream(11, 1);
    float **columns[] = {&v->rows.pt, &v->rows.eta,    &v->rows.phi,       &v->rows.x,      &v->rows.y,
                         &v->rows.z,  &v->rows.iso_ch, &v->rows.iso_gamma, &v->rows.iso_neu};
    size_t at = 0;
    v->rows.prepared = NULL;
    v->hlf = ARENA_NEW(a, float, EVENTS *HLF_COUNT);
    for (size_t i = 0; i < EVENTS * HLF_COUNT; i++)
        v->hlf[i] = (float)(i % HLF_COUNT < 2 ? 300 * rng_f64(&r) : 2 * rng_normal(&r));
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        *columns[c] = ARENA_NEW(a, float, EVENTS *ROWS_MOST);
    v->rows.kind = ARENA_NEW(a, int8_t, EVENTS * ROWS_MOST);
    v->rows.charge = ARENA_NEW(a, int8_t, EVENTS * ROWS_MOST);
    for (size_t i = 0; i < EVENTS; i++) {
        size_t n = i == 0 ? 1 : i == 1 ? ROWS_MOST : 1 + rng_below(&r, ROWS_MOST);
        v->first[i] = (uint32_t)at;
        for (size_t j = 0; j < n; j++, at++) {
            for (size_t c = 0; c < ARRAY_LEN(columns); c++)
                (*columns[c])[at] = (float)(c == 0 ? 1 + 20 * rng_f64(&r) : rng_normal(&r));
            v->rows.kind[at] = (int8_t)(j == 0 ? PARTICLE_MUON : (int)rng_below(&r, 3));
            v->rows.charge[at] = (int8_t)((int)rng_below(&r, 3) - 1);
        }
    }
    v->first[EVENTS] = (uint32_t)at;
}

/* ---- for the peers ----------------------------------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *what, const void *p, size_t n)
{
    char path[512];
    struct error e;
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, what);
    assert_ok(file_write_atomic(path, p, n, &e), &e);
}

/* [EVENTS][steps][19]: sorted, and scaled unless the graph does it; padding is 7, which must not matter. */
static void write_particles(struct arena *a, const char *folder, const char *name, const struct model *m,
                            const struct events *v, bool raw, size_t steps)
{
    struct hlf_scaler hlf;
    struct sequence_scaler scaler;
    bool has;
    struct error e;
    float *out = ARENA_NEW(a, float, EVENTS *steps *PARTICLE_COLUMNS), *full = ARENA_NEW(a, float, 801 * 19);
    int32_t counts[EVENTS];
    assert_ok(scaler_record_read(&model_header(m)->scaler, &hlf, &scaler, &has, &e), &e);
    for (size_t c = 0; c < PARTICLE_COLUMNS && raw; c++)
        scaler.mean[c] = 0, scaler.factor[c] = 1;
    for (size_t i = 0; i < EVENTS * steps * PARTICLE_COLUMNS; i++)
        out[i] = 7;
    for (size_t i = 0; i < EVENTS; i++) {
        size_t n = v->first[i + 1] - v->first[i];
        particle_expand(&v->rows, v->first[i], n, full);
        counts[i] = (int32_t)sequence_prepare(model_recipe(m), &scaler, full, n, out + i * steps * PARTICLE_COLUMNS);
    }
    write_file(folder, name, "particles", out, EVENTS * steps * PARTICLE_COLUMNS * sizeof *out);
    write_file(folder, name, "particle_counts", counts, sizeof counts);
}

static void write_case(struct arena *a, const char *folder, const struct network *n, const char *recipe, bool raw)
{
    struct model *m = make_model(a, n, recipe);
    struct events v;
    struct buf onnx;
    struct error e;
    struct hlf_scaler hlf;
    struct sequence_scaler rows;
    bool has;
    float out[EVENTS * 3], scaled[EVENTS * HLF_COUNT];
    char name[128];
    size_t steps =
        recipe_find(recipe)->sequence_dense || strstr(n->name, "transformer") ? PARTICLE_ROWS_MAX : ROWS_MOST;
    snprintf(name, sizeof name, "%s@%s@%s", n->name, recipe, raw ? "raw" : "scaled");
    buf_init(&onnx, 64 << 20);
    assert_ok(model_to_onnx(m, raw, &onnx, &e), &e);
    write_file(folder, name, "onnx", onnx.data, onnx.len);
    make_events(a, &v);
    assert_ok(scaler_record_read(&model_header(m)->scaler, &hlf, &rows, &has, &e), &e);
    hlf_scale(&hlf, v.hlf, EVENTS, scaled);
    write_file(folder, name, "hlf", raw ? v.hlf : scaled, sizeof scaled);
    if (model_input(m) != INPUT_HLF)
        write_particles(a, folder, name, m, &v, raw, steps);
    model_predict(m, &(struct model_rows){v.hlf, &v.rows, v.first}, EVENTS, out);
    write_file(folder, name, "expect", out, sizeof out);
    buf_fini(&onnx);
    model_release(m);
}

static int write_cases(const char *folder)
{
    for (size_t i = 0; i < ARRAY_LEN(networks); i++)
        for (size_t r = 0; r < ARRAY_LEN(recipe_names); r++)
            for (int raw = 0; raw < 2; raw++) {
                struct arena a;
                arena_init(&a, 256 << 20);
                write_case(&a, folder, &networks[i], recipe_names[r], raw);
                arena_fini(&a);
            }
    return 0;
}

/* ---- back -------------------------------------------------------------------------------------------------------- */

struct exported {
    struct arena a;
    struct model *m;
    struct buf onnx;
};

static void exported_init(struct exported *x, size_t network, size_t recipe, bool raw)
{
    struct error e;
    arena_init(&x->a, 256 << 20);
    x->m = make_model(&x->a, &networks[network], recipe_names[recipe]);
    buf_init(&x->onnx, 64 << 20);
    assert_ok(model_to_onnx(x->m, raw, &x->onnx, &e), &e);
}

static void exported_fini(struct exported *x)
{
    buf_fini(&x->onnx);
    model_release(x->m);
    arena_fini(&x->a);
}

static struct span bytes_of(const struct buf *b)
{
    return (struct span){b->data, b->len};
}

static void test_every_network_comes_back_with_the_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(networks) * 4; i++) {
        struct exported x;
        struct onnx_model back;
        struct model *m;
        struct error e;
        exported_init(&x, i / 4, i % 2, i / 2 % 2);
        assert_ok(onnx_read(&x.a, bytes_of(&x.onnx), &back, &e), &e);
        assert_int_equal(back.with_scaler, i / 2 % 2);
        assert_ok(model_create(&back.header, back.params, back.n_params, NULL, &m, &e), &e);
        assert_string_equal(model_sha256(m), model_sha256(x.m)); /* header and weights: the same file */
        model_release(m);
        exported_fini(&x);
    }
}

static void test_an_export_is_the_same_bytes_each_time(void **state)
{
    (void)state;
    struct exported x, y;
    exported_init(&x, 3, 0, true);
    exported_init(&y, 3, 0, true);
    assert_int_equal(x.onnx.len, y.onnx.len);
    assert_memory_equal(x.onnx.data, y.onnx.data, x.onnx.len);
    exported_fini(&x);
    exported_fini(&y);
}

static void refused(struct arena *a, const void *p, size_t n, enum status wanted, const char *words)
{
    struct onnx_model back;
    struct error e;
    enum status s = onnx_read(a, (struct span){p, n}, &back, &e);
    if (s != wanted || !strstr(e.text, words))
        fail_msg("%s: '%s' instead of %s with '%s'", status_name(s), s ? e.text : "", status_name(wanted), words);
}

/* ModelProto {ir_version 8, graph {node {input x, output y, name "conv_1", op_type "Conv"}}} by hand. */
static void test_a_foreign_graph_is_refused_by_its_first_node(void **state)
{
    (void)state;
    static const uint8_t conv[] = "\x08\x08\x3a\x16\x0a\x14\x0a\x01x\x12\x01y\x1a\x06"
                                  "conv_1\x22\x04"
                                  "Conv";
    struct arena a;
    arena_init(&a, 1 << 20);
    refused(&a, conv, sizeof conv - 1, STATUS_UNSUPPORTED, "'conv_1', operator Conv");
    refused(&a, "\x08\x08", 2, STATUS_FORMAT, "no graph");
    refused(&a, "garbage", 7, STATUS_FORMAT, "not a sound ONNX file");
    refused(&a, "", 0, STATUS_FORMAT, "no graph");
    arena_fini(&a);
}

static uint8_t *find_bytes(struct buf *b, const char *text)
{
    uint8_t *at = memmem(b->data, b->len, text, strlen(text));
    assert_non_null(at);
    return at;
}

static void test_a_graph_that_was_changed_is_refused_and_the_place_named(void **state)
{
    (void)state;
    struct exported x;
    exported_init(&x, 3, 0, false);
    memcpy(find_bytes(&x.onnx, "Concat"), "Conbat", 6);
    refused(&x.a, x.onnx.data, x.onnx.len, STATUS_UNSUPPORTED, "'3:joined', operator Conbat");
    memcpy(find_bytes(&x.onnx, "Conbat"), "Concat", 6);
    memcpy(find_bytes(&x.onnx, "0.recurrent"), "0.recurrenz", 11);
    refused(&x.a, x.onnx.data, x.onnx.len, STATUS_UNSUPPORTED, "'0.last', operator GRU");
    exported_fini(&x);
}

static void test_no_changed_byte_gives_another_model(void **state)
{
    (void)state;
    struct exported x;
    exported_init(&x, 0, 0, true);
    struct rng r = rng_stream(5, 5);
    for (int i = 0; i < 400; i++) {
        size_t at = rng_below(&r, x.onnx.len);
        uint8_t was = x.onnx.data[at];
        struct arena a;
        struct onnx_model back;
        struct error e;
        arena_init(&a, 64 << 20);
        x.onnx.data[at] ^= (uint8_t)(1 << rng_below(&r, 8));
        if (onnx_read(&a, bytes_of(&x.onnx), &back, &e) == STATUS_OK)
            assert_memory_equal(back.params, model_params(x.m), back.n_params * sizeof(float));
        x.onnx.data[at] = was;
        arena_fini(&a);
    }
    exported_fini(&x);
}

static void test_no_cut_file_is_read(void **state)
{
    (void)state;
    struct exported x;
    exported_init(&x, 0, 0, false);
    for (size_t n = 0; n < x.onnx.len; n += 97) {
        struct arena a;
        struct onnx_model back;
        struct error e;
        arena_init(&a, 64 << 20);
        assert_int_not_equal(onnx_read(&a, (struct span){x.onnx.data, n}, &back, &e), STATUS_OK);
        arena_fini(&a);
    }
    exported_fini(&x);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_cases(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_network_comes_back_with_the_same_bits),
        cmocka_unit_test(test_an_export_is_the_same_bytes_each_time),
        cmocka_unit_test(test_a_foreign_graph_is_refused_by_its_first_node),
        cmocka_unit_test(test_a_graph_that_was_changed_is_refused_and_the_place_named),
        cmocka_unit_test(test_no_changed_byte_gives_another_model),
        cmocka_unit_test(test_no_cut_file_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
