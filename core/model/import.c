/* core/model/import.c
 *
 * Files of models, whatever their format, as models.  What is not our own format is parsed in a child, whose answer is
 * a header and parameters in a container of their own kind; the parent checks it as it checks any model file. */
#include "core/interchange.h"
#include "core/model/keras.h"
#include "core/model/keras_zip.h"
#include "core/model/onnx.h"

#include <string.h>

static const char answer_magic[8] = {'D', 'L', 'T', 'I', 'M', 'P', 'R', 'T'};
enum {
    ANSWER_VERSION = 1,
    HEADER_BYTES_MAX = 32 << 20,
    CHILD_SCRATCH_MAX = 1 << 30,
    CHILD_SECONDS = 30,
    ANSWER_BYTES_MAX = (GRAPH_PARAMS_MAX << 2) + CONTAINER_TEXT_MAX + 4096,
    PART_FORMAT = 0,
    PART_HEADER,
    PART_FILE,
    N_PARTS
};
#define DEFAULT_RECIPE "sparkdltrigger-1"

const char *const model_format_names[] = {"unknown", "dltrigger", "h5", "keras", "onnx", NULL};

static bool starts_with(struct span file, const char *magic, size_t n)
{
    return file.len >= n && memcmp(file.data, magic, n) == 0;
}

/* HDF5 files may begin with a block of the user's, of 512 bytes times a power of two; Keras writes none. */
enum model_format model_format_of(struct span file)
{
    if (starts_with(file, "DLTMODEL", 8))
        return MODEL_FORMAT_OWN;
    if (starts_with(file, "\x89HDF\r\n\x1a\n", 8))
        return MODEL_FORMAT_KERAS_H5;
    if (starts_with(file, "PK\3\4", 4))
        return MODEL_FORMAT_KERAS_ZIP;
    /* ModelProto begins with field 1, a small number: the version of the format. */
    if (file.len > 2 && file.data[0] == 0x08 && file.data[1] > 0 && file.data[1] < 0x40)
        return MODEL_FORMAT_ONNX;
    return MODEL_FORMAT_UNKNOWN;
}

/* ---- in the child ------------------------------------------------------------------------------------------------ */

struct child {
    struct arena *a;
    document_parser *parse;
    const struct span *parts;
    struct buf *out;
    struct error *e;
};

enum status model_import_prepare(struct error *e)
{
    (void)e;
    hdf5_load(); /* that it is not there matters to Keras models only */
    return STATUS_OK;
}

static enum status put_answer(const struct child *c, const struct model_header *h, const float *params, size_t n)
{
    struct float_part part = {params, n};
    return container_encode(answer_magic, ANSWER_VERSION, model_header_fields, h, &part, 1, c->out, c->e);
}

/* Class names that nobody gave: of three numbers those of the papers, else (to look at) numbered ones. */
static enum status name_classes(const struct child *c, const struct keras_network *k, struct model_header *h,
                                bool unnamed)
{
    static const char *const usual[] = {"qcd", "tt", "wjets"};
    struct field_list list = {(void *)(uintptr_t)k->layer, k->n};
    size_t n = graph_classes(&list);
    if (h->classes.n_items > 0)
        return STATUS_OK;
    if (!unnamed && n != ARRAY_LEN(usual))
        return error_set(c->e, STATUS_ARGUMENT, "the network gives %zu numbers: name as many classes, in their order",
                         n);
    const char **name = ARENA_NEW(c->a, const char *, n ? n : 1);
    for (size_t i = 0; name && i < n; i++)
        name[i] = n == ARRAY_LEN(usual) ? usual[i] : arena_printf(c->a, "class_%zu", i);
    if (!name)
        return error_set(c->e, STATUS_NOMEM, "no memory for names");
    h->classes = (struct field_list){name, n};
    return STATUS_OK;
}

/* Whether the recipe feeds the network what it was trained with. */
static enum status check_rows(const struct child *c, const struct keras_network *k, const struct model_header *h)
{
    const struct recipe *recipe = h->recipe ? recipe_find(h->recipe) : NULL;
    if (!recipe)
        return error_set(c->e, STATUS_UNSUPPORTED, "this build has no recipe '%.60s'", h->recipe ? h->recipe : "");
    if (recipe->sequence_dense || (!k->padded && !k->flattens))
        return STATUS_OK;
    return error_set(c->e, STATUS_ARGUMENT,
                     "the network %s, but recipe %s gives only an event's own particles: use a recipe "
                     "with 801 rows (" DEFAULT_RECIPE ")%s",
                     k->flattens ? "flattens all 801 rows"
                                 : "has learned with the "
                                   "padding of 801 rows and has no Masking",
                     recipe->name, k->flattens ? "" : ", or add Masking");
}

static int estimator_of(int input)
{
    const char *name = input == INPUT_HLF ? "hlf" : input == INPUT_SEQUENCE ? "sequence" : "inclusive";
    int i = 0;
    while (strcmp(estimator_names[i], name) != 0)
        check(estimator_names[++i]);
    return i;
}

static enum status take_weights(const struct child *c, const struct keras_network *k, struct model_header *h,
                                hdf5_id root, bool zip)
{
    struct field_list list = {(void *)(uintptr_t)k->layer, k->n}, resolved;
    struct net *net;
    h->params.model = estimator_of(graph_input(&list));
    h->estimator = estimator_names[h->params.model];
    TRY(graph_build(c->a, &list, h->classes.n_items, "layers", &resolved, &net, c->e));
    h->params.layers = resolved;
    size_t n = net_n_params(net);
    h->n_params = (int64_t)n;
    float *params = arena_alloc(c->a, n ? n : 1, sizeof *params);
    enum status s = params ? keras_weights(c->a, k, resolved.items, net, root, zip, params, c->e)
                           : error_set(c->e, STATUS_NOMEM, "no memory for %zu parameters", n);
    net_destroy(net);
    return s == STATUS_OK ? put_answer(c, h, params, n) : s;
}

static enum status read_keras(const struct child *c, struct model_header *h, struct span json, hdf5_id root, bool zip,
                              bool unnamed)
{
    const struct document *config = NULL;
    struct keras_network *k = ARENA_NEW(c->a, struct keras_network, 1);
    if (!k)
        return error_set(c->e, STATUS_NOMEM, "no memory for layers");
    if (c->parse(c->a, json, &config, c->e) != STATUS_OK)
        return error_wrap(c->e, "configuration");
    TRY(keras_config(c->a, config, k, c->e));
    TRY(name_classes(c, k, h, unnamed));
    TRY(check_rows(c, k, h));
    return take_weights(c, k, h, root, zip);
}

static enum status read_h5(const struct child *c, struct model_header *h, bool unnamed)
{
    const char *text = NULL;
    hdf5_id root;
    bool found;
    TRY(hdf5_open(c->parts[PART_FILE], &root, c->e));
    TRY(hdf5_text(c->a, root, "model_config", &text, &found, c->e));
    if (!found)
        return error_set(c->e, STATUS_FORMAT,
                         "there is no model_config in it: save the whole model, not only its weights");
    return read_keras(c, h, (struct span){(const uint8_t *)text, strlen(text)}, root, false, unnamed);
}

static enum status read_zip(const struct child *c, struct model_header *h, bool unnamed)
{
    struct span json, weights;
    hdf5_id root;
    TRY(zip_member(c->a, c->parts[PART_FILE], "config.json", HDF5_TEXT_MAX, &json, c->e));
    TRY(zip_member(c->a, c->parts[PART_FILE], "model.weights.h5", MODEL_IMPORT_BYTES_MAX, &weights, c->e));
    TRY(hdf5_open(weights, &root, c->e));
    return read_keras(c, h, json, root, true, unnamed);
}

static enum status read_onnx(const struct child *c)
{
    struct onnx_model m;
    TRY(onnx_read(c->a, c->parts[PART_FILE], &m, c->e));
    return put_answer(c, &m.header, m.params, m.n_params);
}

static enum status read_any(const struct child *c)
{
    struct model_header h;
    uint8_t head[2];
    check(c->parts[PART_FORMAT].len == sizeof head);
    memcpy(head, c->parts[PART_FORMAT].data, sizeof head);
    TRY(field_read_text(c->a, model_header_fields, c->parts[PART_HEADER], &h, c->e));
    switch ((enum model_format)head[0]) {
    case MODEL_FORMAT_KERAS_H5:
        return read_h5(c, &h, head[1]);
    case MODEL_FORMAT_KERAS_ZIP:
        return read_zip(c, &h, head[1]);
    case MODEL_FORMAT_ONNX:
        return read_onnx(c);
    default:
        break;
    }
    return error_set(c->e, STATUS_BUG, "format %d is not parsed in a child", head[0]);
}

enum status model_import_run(document_parser *parse, const struct span *parts, size_t n_parts, struct buf *out,
                             struct error *e)
{
    struct arena a;
    check(n_parts == N_PARTS);
    arena_init(&a, CHILD_SCRATCH_MAX);
    enum status s = read_any(&(struct child){&a, parse, parts, out, e});
    arena_fini(&a);
    return s;
}

/* ---- in the parent ----------------------------------------------------------------------------------------------- */

static enum status make_header(struct arena *a, const struct model_import *how, struct model_header *h, struct error *e)
{
    static const struct hlf_scaler identity = {.factor = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
    struct sequence_scaler rows = {.mean = {0}};
    field_defaults(model_header_fields, h);
    h->recipe = how->recipe ? how->recipe : DEFAULT_RECIPE;
    h->dataset_id = how->dataset_id;
    h->classes = how->classes;
    h->histograms = how->histograms;
    h->build_id = DLT_BUILD_ID;
    if (how->cuts)
        h->cuts = *how->cuts;
    if (how->scaler) {
        h->scaler = *how->scaler;
        return STATUS_OK;
    }
    for (size_t i = 0; i < PARTICLE_COLUMNS; i++)
        rows.factor[i] = 1;
    return scaler_record_make(a, &identity, &rows, &h->scaler, e);
}

/* The child's bytes may be anybody's: everything is checked again. */
static enum status take_answer(struct arena *a, struct span bytes, struct model **out, struct error *e)
{
    struct container c;
    struct model_header h;
    TRY(container_decode(bytes, answer_magic, ANSWER_VERSION, &c, e));
    TRY(field_read_text(a, model_header_fields, c.text, &h, e));
    TRY(field_validate(model_header_fields, &h, "/header", e));
    if (h.n_params < 0 || (uint64_t)h.n_params != c.n_floats || h.n_train < 0 || h.epochs_done < 0)
        return error_set(e, STATUS_FORMAT, "its header contradicts it: %zu numbers present", c.n_floats);
    float *params = mem_alloc(c.n_floats * sizeof *params + 1);
    if (!params)
        return error_set(e, STATUS_NOMEM, "no memory for %zu parameters", c.n_floats);
    enum status s = container_floats(&c, 0, c.n_floats, params, e);
    if (s == STATUS_OK)
        s = model_create(&h, params, c.n_floats, NULL, out, e);
    mem_free(params);
    return s;
}

static enum status import_foreign(struct arena *a, const struct model_import *how, enum model_format format,
                                  struct span file, struct model **out, struct error *e)
{
    static const struct sandbox_limits limits = {
        .memory_bytes = 3UL * MODEL_IMPORT_BYTES_MAX, .result_bytes = ANSWER_BYTES_MAX, .seconds = CHILD_SECONDS};
    const uint8_t head[2] = {(uint8_t)format, how->unnamed};
    struct model_header h;
    struct buf text, answer;
    buf_init(&text, CONTAINER_TEXT_MAX);
    buf_init(&answer, ANSWER_BYTES_MAX);
    enum status s = make_header(a, how, &h, e);
    if (s == STATUS_OK)
        s = field_write_text(model_header_fields, &h, &text, e);
    const struct span parts[N_PARTS] = {{head, sizeof head}, {text.data, text.len}, file};
    if (s == STATUS_OK)
        s = sandbox_run(MODEL_IMPORT_TASK, parts, N_PARTS, &limits, &answer, e);
    if (s == STATUS_NOTFOUND) /* of something in the file */
        s = e->status = STATUS_FORMAT;
    if (s == STATUS_OK)
        s = take_answer(a, (struct span){answer.data, answer.len}, out, e);
    buf_fini(&text);
    buf_fini(&answer);
    return s;
}

enum status model_import(const struct model_import *how, struct span file, const char *name, struct model **out,
                         struct error *e)
{
    enum model_format format = model_format_of(file);
    struct arena a;
    *out = NULL;
    if (format == MODEL_FORMAT_OWN)
        return model_decode(file, name, out, e);
    if (format == MODEL_FORMAT_UNKNOWN)
        return error_set(e, STATUS_FORMAT, "%s: not a model: neither dltrigger's, Keras' (.h5, .keras) nor ONNX", name);
    if (file.len > MODEL_IMPORT_BYTES_MAX)
        return error_set(e, STATUS_RANGE, "%s: %zu MB, at most %d", name, file.len >> 20, MODEL_IMPORT_BYTES_MAX >> 20);
    arena_init(&a, HEADER_BYTES_MAX);
    enum status s = import_foreign(&a, how, format, file, out, e);
    arena_fini(&a);
    return s == STATUS_OK ? s : error_wrap(e, "%s (%s)", name, model_format_names[format]);
}
