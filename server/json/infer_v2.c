/* server/json/infer_v2.c */
#include "server/json/infer_v2.h"

#include <math.h>
#include <string.h>

enum { NAME_BYTES_MAX = 64, ID_BYTES_MAX = 256 };
#define TIMEOUT_US_MAX 3600000000LL

struct parse {
    struct arena *a;
    struct span binary;                           /* what is left behind the header */
    struct json_problems *problems;
    struct error *e;
    bool unsupported;
};

static const char *copy(struct parse *p, const struct json *v, size_t most)
{
    const char *s = json_str(v, NULL);
    return s && strlen(s) <= most ? arena_strdup(p->a, s) : NULL;
}

/* ---- one tensor ------------------------------------------------------------------------------------------ */

/* The shape and the number of elements; false: a problem was added. */
static bool read_shape(struct parse *p, const struct json *shape, const char *pointer, struct infer_tensor *t)
{
    t->n_dimensions = json_count(shape);
    t->n = 1;
    if (json_type_of(shape) != JSON_ARRAY_ || t->n_dimensions == 0 || t->n_dimensions > INFER_DIMENSIONS_MAX) {
        json_problem_add(p->problems, pointer, "length", "a shape has 1 to %d dimensions", INFER_DIMENSIONS_MAX);
        return false;
    }
    for (size_t i = 0; i < t->n_dimensions; i++) {
        t->shape[i] = json_int(json_at(shape, i), -1);
        if (t->shape[i] < 0 || __builtin_mul_overflow(t->n, (size_t)t->shape[i], &t->n)) {
            json_problem_add(p->problems, pointer, "out_of_range", "dimension %zu is not a size", i);
            return false;
        }
    }
    return true;
}

/* Numbers of nested or flat arrays in order; false when there is something else or more than `n`. */
static bool flatten(const struct json *v, float *out, size_t n, size_t *at, int depth)
{
    if (json_type_of(v) != JSON_ARRAY_) {
        enum json_type type = json_type_of(v);
        if ((type != JSON_I64_ && type != JSON_F64_) || *at == n)
            return false;
        out[(*at)++] = (float)json_num(v, NAN);
        return true;
    }
    for (size_t i = 0; i < json_count(v); i++)
        if (depth == INFER_DIMENSIONS_MAX || !flatten(json_at(v, i), out, n, at, depth + 1))
            return false;
    return true;
}

static enum status read_binary(struct parse *p, const struct json *size, const char *pointer, struct infer_tensor *t)
{
    int64_t bytes = json_int(size, -1);
    if (bytes < 0 || (uint64_t)bytes != t->n * sizeof(float)) {
        json_problem_add(p->problems, pointer, "length_mismatch", "binary_data_size is %lld, the shape has %zu FP32",
                         (long long)bytes, t->n);
        return STATUS_OK;
    }
    if ((uint64_t)bytes > p->binary.len)
        return error_set(p->e, STATUS_FORMAT, "infer: %zu bytes follow the header, tensor %.64s needs %lld",
                         p->binary.len, t->name, (long long)bytes);
    memcpy(t->data, p->binary.data, (size_t)bytes);
    p->binary.data += bytes;
    p->binary.len -= (size_t)bytes;
    return STATUS_OK;
}

static enum status read_data(struct parse *p, const struct json *v, const char *pointer, struct infer_tensor *t)
{
    const struct json *parameters = json_get(v, "parameters"), *data = json_get(v, "data");
    const struct json *size = json_get(parameters, "binary_data_size");
    size_t at = 0;
    if (json_get(parameters, "shared_memory_region")) {
        p->unsupported = true;
        return STATUS_OK;
    }
    /* The body bounds the data, so a shape that claims more is caught before memory is asked for. */
    size_t room = size ? p->binary.len / sizeof(float) : t->n;
    if (t->n > room || t->n > (size_t)1 << 26) {
        json_problem_add(p->problems, pointer, "length_mismatch", "the shape has %zu numbers, the body has not", t->n);
        return STATUS_OK;
    }
    t->data = ARENA_NEW(p->a, float, t->n + 1);
    if (!t->data)
        return error_set(p->e, STATUS_NOMEM, "no memory for tensor %.64s", t->name);
    if (size)
        TRY(read_binary(p, size, pointer, t));
    else if (!data || !flatten(data, t->data, t->n, &at, 0) || at != t->n)
        json_problem_add(p->problems, pointer, "length_mismatch", "data is an array of exactly %zu numbers", t->n);
    for (size_t i = 0; i < t->n && p->problems->n == 0; i++)
        if (!isfinite(t->data[i])) {
            json_problem_add(p->problems, pointer, "not_finite", "number %zu is not finite", i);
            break;
        }
    return STATUS_OK;
}

static enum status read_input(struct parse *p, const struct json *v, size_t i, struct infer_tensor *t)
{
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/inputs/%zu", i);
    t->name = copy(p, json_get(v, "name"), NAME_BYTES_MAX);
    if (!t->name) {
        json_problem_add(p->problems, pointer, "required", "an input has a name");
        return STATUS_OK;
    }
    if (strcmp(json_str(json_get(v, "datatype"), ""), "FP32") != 0) {
        json_problem_add(p->problems, pointer, "choice", "datatype FP32 is what inputs have here");
        return STATUS_OK;
    }
    if (!read_shape(p, json_get(v, "shape"), pointer, t))
        return STATUS_OK;
    return read_data(p, v, pointer, t);
}

/* ---- the request ----------------------------------------------------------------------------------------- */

static void read_outputs(struct parse *p, const struct json *outputs, struct infer_request *out)
{
    for (size_t i = 0; i < json_count(outputs); i++) {
        const struct json *v = json_at(outputs, i), *parameters = json_get(v, "parameters");
        const char *name = copy(p, json_get(v, "name"), NAME_BYTES_MAX);
        if (!name || i == INFER_OUTPUTS_MAX) {
            json_problem_add(p->problems, "/outputs", name ? "length" : "required",
                             name ? "more outputs than there are" : "an output has a name");
            return;
        }
        p->unsupported |= json_get(parameters, "shared_memory_region") != NULL;
        out->outputs[i].name = name;
        out->outputs[i].binary = json_bool(json_get(parameters, "binary_data"), out->binary_by_default);
        out->n_outputs++;
    }
}

static void read_parameters(struct parse *p, const struct json *parameters, struct infer_request *out)
{
    out->binary_by_default = json_bool(json_get(parameters, "binary_data_output"), false);
    out->menu = copy(p, json_get(parameters, "menu"), NAME_BYTES_MAX);
    out->timeout_us = json_int(json_get(parameters, "timeout"), 0);
    if (out->timeout_us < 0 || out->timeout_us > TIMEOUT_US_MAX)
        json_problem_add(p->problems, "/parameters/timeout", "out_of_range", "microseconds, 0 to %lld", TIMEOUT_US_MAX);
    p->unsupported |= json_get(parameters, "sequence_id") != NULL;
}

static enum status read_request(struct parse *p, const struct json *v, struct infer_request *out)
{
    const struct json *inputs = json_get(v, "inputs");
    if (json_type_of(v) != JSON_OBJECT_ || json_count(inputs) == 0 || json_count(inputs) > INFER_INPUTS_MAX) {
        json_problem_add(p->problems, "/inputs", "required", "1 to %d inputs", INFER_INPUTS_MAX);
        return STATUS_OK;
    }
    out->id = copy(p, json_get(v, "id"), ID_BYTES_MAX);
    read_parameters(p, json_get(v, "parameters"), out);
    read_outputs(p, json_get(v, "outputs"), out);
    for (size_t i = 0; i < json_count(inputs); i++) {
        TRY(read_input(p, json_at(inputs, i), i, &out->inputs[i]));
        out->n_inputs++;
    }
    return STATUS_OK;
}

enum status infer_request_parse(struct arena *a, const uint8_t *body, size_t len, int64_t header_len,
                                struct infer_request *out, struct json_problems *problems, struct error *e)
{
    struct json *v;
    *out = (struct infer_request){0};
    problems->n = 0;
    if (header_len > (int64_t)len)
        return error_set(e, STATUS_FORMAT, "infer: the header is said to have %lld bytes, the body has %zu",
                         (long long)header_len, len);
    size_t n = header_len < 0 ? len : (size_t)header_len;
    struct parse p = {.a = a, .binary = {body + n, len - n}, .problems = problems, .e = e};
    TRY(json_parse(body, n, &v, e));
    enum status s = read_request(&p, v, out);
    json_free(v);
    TRY(s);
    if (p.unsupported)
        return error_set(e, STATUS_UNSUPPORTED, "infer: shared memory and sequences are not supported");
    if (problems->n > 0)
        return error_set(e, STATUS_ARGUMENT, "infer: %s: %s", problems->items[0].pointer, problems->items[0].detail);
    if (p.binary.len > 0)
        return error_set(e, STATUS_FORMAT, "infer: %zu bytes behind the last tensor", p.binary.len);
    return STATUS_OK;
}

/* ---- the answer ------------------------------------------------------------------------------------------ */

static size_t element_bytes(const char *datatype)
{
    return strcmp(datatype, "FP32") == 0 ? 4 : strcmp(datatype, "UINT64") == 0 ? 8 : 1;
}

static struct json *element(const struct infer_output *o, size_t i)
{
    switch (element_bytes(o->datatype)) {
    case 4:  return json_new_f64((double)((const float *)o->data)[i]);
    case 8:  return json_new_i64((int64_t)((const uint64_t *)o->data)[i]);
    default: return json_new_bool(((const uint8_t *)o->data)[i]);
    }
}

static struct json *output_json(const struct infer_output *o)
{
    struct json *v = json_new_object(), *shape = json_new_array(), *rest = json_new_array();
    for (size_t i = 0; i < o->n_dimensions; i++)
        (void)json_push(shape, json_new_i64(o->shape[i]));
    (void)json_set(v, "name", json_new_string(o->name));
    (void)json_set(v, "datatype", json_new_string(o->datatype));
    (void)json_set(v, "shape", shape);
    for (size_t i = 0; i < o->n && !o->binary; i++)
        (void)json_push(rest, element(o, i));
    if (o->binary) {
        json_free(rest);
        rest = json_new_object();
        (void)json_set(rest, "binary_data_size", json_new_i64((int64_t)(o->n * element_bytes(o->datatype))));
    }
    (void)json_set(v, o->binary ? "parameters" : "data", rest);
    return v;
}

enum status infer_answer_write(const char *model, const char *version, const struct infer_request *q,
                               const struct infer_output *outputs, size_t n_outputs, struct buf *out,
                               int64_t *header_len, struct error *e)
{
    struct json *v = json_new_object(), *list = json_new_array();
    size_t before = out->len;
    bool binary = false;
    (void)json_set(v, "model_name", json_new_string(model));
    (void)json_set(v, "model_version", json_new_string(version));
    if (q->id)
        (void)json_set(v, "id", json_new_string(q->id));
    for (size_t i = 0; i < n_outputs; i++) {
        (void)json_push(list, output_json(&outputs[i]));
        binary |= outputs[i].binary;
    }
    (void)json_set(v, "outputs", list);
    enum status s = json_write(v, out, e);
    json_free(v);
    TRY(s);
    *header_len = binary ? (int64_t)(out->len - before) : -1;
    for (size_t i = 0; i < n_outputs; i++)
        if (outputs[i].binary)
            TRY(buf_append(out, outputs[i].data, outputs[i].n * element_bytes(outputs[i].datatype), e));
    return STATUS_OK;
}
