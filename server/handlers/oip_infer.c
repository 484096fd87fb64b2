/* server/handlers/oip_infer.c
 *
 * POST /v2/models/{m}/infer: tensors in, probabilities out, and what the active menu's thresholds make of them. */
#include "server/handlers/oip.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/json/infer_v2.h"

enum { OUTPUTS = 3, EVENTS_MAX = 65536 };
static const char *const output_names[OUTPUTS] = {"probabilities", "accept", "path_bits"};

struct infer {
    struct request *q;
    struct infer_request wanted;
    struct oip_model model;
    struct model_rows rows;
    size_t n;
    float *scores;
    struct threshold_answer *answers;
    bool has_menu;                     /* the active menu has paths of this model */
    struct json_problems problems;
    int64_t compute_ns;
};

static enum status no_memory(struct error *e)
{
    return error_set(e, STATUS_NOMEM, "no memory for the tensors");
}

static enum status wrong(struct infer *x, const char *pointer, const char *detail, struct error *e)
{
    json_problem_add(&x->problems, pointer, "shape", "%s", detail);
    return error_set(e, STATUS_ARGUMENT, "infer: %s: %s", pointer, detail);
}

/* ---- inputs ---------------------------------------------------------------------------------------------------- */

static bool has_shape(const struct infer_tensor *t, size_t n_dimensions, int64_t second, int64_t third)
{
    return t->n_dimensions == n_dimensions && t->shape[1] == second && (n_dimensions < 3 || t->shape[2] == third);
}

/* Rows of one event: those before the first that has neither energy nor pT. */
static size_t real_rows(const float *event)
{
    size_t n = 0;
    while (n < PARTICLE_ROWS_MAX && (event[n * PARTICLE_COLUMNS] != 0 || event[n * PARTICLE_COLUMNS + 4] != 0))
        n++;
    return n;
}

enum { FLOATS = 9, FIRST_FLAG = 13, N_FLAGS = 5, CHARGE = 18 };

static void take_row(const float *row, struct particle_columns *to, size_t at)
{
    float *const columns[FLOATS] = {to->pt, to->eta, to->phi, to->x, to->y, to->z, to->iso_ch, to->iso_gamma, to->iso_neu};
    for (size_t i = 0; i < FLOATS; i++)
        columns[i][at] = row[4 + i];
    to->kind[at] = PARTICLE_CHARGED;
    for (int8_t i = 0; i < N_FLAGS; i++)
        if (row[FIRST_FLAG + i] > 0.5f)
            to->kind[at] = i;
    to->charge[at] = (int8_t)(row[CHARGE] > 0) - (int8_t)(row[CHARGE] < 0);
}

/* Columns of all events' real rows from [n][801][19]: what follows from pT, eta and phi is computed anew. */
static enum status take_particles(struct infer *x, const struct infer_tensor *t, struct error *e)
{
    struct arena *a = &x->q->arena;
    size_t stride = (size_t)PARTICLE_ROWS_MAX * PARTICLE_COLUMNS, n_rows = 0;
    uint32_t *first = ARENA_NEW(a, uint32_t, x->n + 1);
    struct particle_columns *to = ARENA_NEW(a, struct particle_columns, 1);
    if (!first || !to)
        return no_memory(e);
    for (size_t i = 0; i < x->n; i++) {
        size_t n = real_rows(t->data + i * stride);
        if (n == 0)
            return wrong(x, "/inputs", "an event's particles begin with its lepton; a row without energy ends them", e);
        first[i] = (uint32_t)n_rows;
        n_rows += n;
    }
    first[x->n] = (uint32_t)n_rows;
    float *block = ARENA_NEW(a, float, n_rows * FLOATS);
    int8_t *bytes = ARENA_NEW(a, int8_t, n_rows * 2);
    if (!block || !bytes)
        return no_memory(e);
    *to = (struct particle_columns){.pt = block, .eta = block + n_rows, .phi = block + 2 * n_rows, .x = block + 3 * n_rows,
                                    .y = block + 4 * n_rows, .z = block + 5 * n_rows, .iso_ch = block + 6 * n_rows,
                                    .iso_gamma = block + 7 * n_rows, .iso_neu = block + 8 * n_rows, .kind = bytes,
                                    .charge = bytes + n_rows};
    for (size_t i = 0; i < x->n; i++)
        for (size_t k = 0; k < first[i + 1] - first[i]; k++)
            take_row(t->data + i * stride + k * PARTICLE_COLUMNS, to, first[i] + k);
    x->rows.rows = to;
    x->rows.row_first = first;
    return STATUS_OK;
}

static enum status take_input(struct infer *x, const struct infer_tensor *t, enum model_input reads, struct error *e)
{
    bool hlf = strcmp(t->name, "hlf") == 0, particles = strcmp(t->name, "particles") == 0;
    if (t->n_dimensions > 0 && (size_t)t->shape[0] != x->n)
        return wrong(x, "/inputs", "all inputs have one first dimension, the number of events", e);
    if (hlf && reads != INPUT_SEQUENCE && has_shape(t, 2, HLF_COUNT, 0)) {
        x->rows.hlf = t->data;
        return STATUS_OK;
    }
    if (particles && reads != INPUT_HLF && has_shape(t, 3, PARTICLE_ROWS_MAX, PARTICLE_COLUMNS))
        return take_particles(x, t, e);
    return wrong(x, "/inputs", "this model has other inputs: see its metadata (hlf [n,14]; particles [n,801,19])", e);
}

static enum status take_inputs(struct infer *x, struct error *e)
{
    enum model_input reads = model_input(x->model.model);
    const struct infer_tensor *t = x->wanted.inputs;
    x->n = t[0].n_dimensions ? (size_t)t[0].shape[0] : 0;
    if (x->n == 0 || x->n > EVENTS_MAX)
        return wrong(x, "/inputs/0", "1 to 65536 events a request", e);
    for (size_t i = 0; i < x->wanted.n_inputs; i++)
        TRY(take_input(x, &t[i], reads, e));
    if ((reads != INPUT_SEQUENCE && !x->rows.hlf) || (reads != INPUT_HLF && !x->rows.rows))
        return wrong(x, "/inputs", "an input is missing: see the model's metadata", e);
    return STATUS_OK;
}

/* ---- outputs --------------------------------------------------------------------------------------------------- */

static enum status score(struct app *app, struct infer *x, struct error *e)
{
    size_t n_classes = model_n_classes(x->model.model);
    x->scores = ARENA_NEW(&x->q->arena, float, x->n * n_classes);
    x->answers = ARENA_NEW(&x->q->arena, struct threshold_answer, x->n);
    if (!x->scores || !x->answers)
        return no_memory(e);
    int64_t start = time_mono_ns();
    if (x->wanted.timeout_us > 0 && start - x->q->arrived_ns >= x->wanted.timeout_us * 1000)
        return error_set(e, STATUS_BUSY, "the timeout of %lld us had passed before anything was scored",
                         (long long)x->wanted.timeout_us);
    model_predict(x->model.model, &x->rows, x->n, x->scores);
    x->compute_ns = time_mono_ns() - start;
    for (size_t i = 0; i < x->n * n_classes; i++)
        if (!isfinite(x->scores[i]))
            return wrong(x, "/inputs", "its numbers are so large that the scores are not finite", e);
    return trigger_thresholds(app->trigger, x->model.ref, x->scores, x->n, n_classes, x->answers, &x->has_menu, e);
}

/* Output k of the three; its data in the arena. */
static enum status make_output(struct infer *x, size_t k, bool binary, struct infer_output *out, struct error *e)
{
    size_t n_classes = model_n_classes(x->model.model);
    *out = (struct infer_output){.name = output_names[k], .n_dimensions = 1, .shape = {(int64_t)x->n}, .n = x->n,
                                 .binary = binary};
    if (k == 0) {
        out->datatype = "FP32";
        out->n_dimensions = 2;
        out->shape[1] = (int64_t)n_classes;
        out->n *= n_classes;
        out->data = x->scores;
        return STATUS_OK;
    }
    uint8_t *accept = k == 1 ? ARENA_NEW(&x->q->arena, uint8_t, x->n) : NULL;
    uint64_t *bits = k == 2 ? ARENA_NEW(&x->q->arena, uint64_t, x->n) : NULL;
    if (!accept && !bits)
        return no_memory(e);
    for (size_t i = 0; i < x->n; i++)
        if (accept)
            accept[i] = x->answers[i].accept;
        else
            bits[i] = x->answers[i].bits;
    out->datatype = accept ? "BOOL" : "UINT64";
    out->data = accept ? (const void *)accept : bits;
    return STATUS_OK;
}

/* Those that were named; else all that there are: without a menu, the probabilities. */
static enum status make_outputs(struct infer *x, struct infer_output *out, size_t *n, struct error *e)
{
    const struct infer_request *w = &x->wanted;
    *n = 0;
    for (size_t i = 0; i < w->n_outputs; i++) {
        size_t k = 0;
        while (k < OUTPUTS && strcmp(output_names[k], w->outputs[i].name) != 0)
            k++;
        if (k == OUTPUTS)
            return wrong(x, "/outputs", "outputs are probabilities, accept and path_bits", e);
        if (k > 0 && !x->has_menu)
            return wrong(x, "/outputs", "accept and path_bits need an active menu with a path of this model version", e);
        TRY(make_output(x, k, w->outputs[i].binary, &out[(*n)++], e));
    }
    for (size_t k = 0; w->n_outputs == 0 && k < (x->has_menu ? OUTPUTS : 1); k++)
        TRY(make_output(x, k, w->binary_by_default, &out[(*n)++], e));
    return STATUS_OK;
}

/* ---- the request ----------------------------------------------------------------------------------------------- */

/* -1: none; -2: not a number. */
static int64_t header_length(const struct request *q)
{
    const char *text = request_header(q, "Inference-Header-Content-Length");
    if (!text)
        return -1;
    size_t n = strspn(text, "0123456789");
    return n > 0 && n <= 12 && text[n] == '\0' ? strtoll(text, NULL, 10) : -2;
}

static enum status infer(struct app *app, struct infer *x, struct response *r, struct error *e)
{
    struct infer_output outputs[INFER_OUTPUTS_MAX];
    int64_t header = header_length(x->q), answered;
    size_t n;
    if (header == -2)
        return error_set(e, STATUS_FORMAT, "Inference-Header-Content-Length is not a number");
    TRY(infer_request_parse(&x->q->arena, x->q->body, x->q->body_len, header, &x->wanted, &x->problems, e));
    if (x->wanted.menu && strcmp(x->wanted.menu, "active") != 0)
        return wrong(x, "/parameters/menu", "events are decided by the menu \"active\" only", e);
    TRY(take_inputs(x, e));
    TRY(score(app, x, e));
    TRY(make_outputs(x, outputs, &n, e));
    TRY(infer_answer_write(x->model.name, x->model.version, &x->wanted, outputs, n, &r->body, &answered, e));
    r->status = 200;
    r->content_type = answered < 0 ? "application/json" : "application/octet-stream";
    if (answered >= 0)
        response_header(r, "Inference-Header-Content-Length", arena_printf(&x->q->arena, "%lld", (long long)answered));
    return STATUS_OK;
}

static void respond_refused(struct request *q, struct response *r, const struct json_problems *problems,
                            const struct error *e)
{
    r->body.len = 0;
    if (e->status == STATUS_FORMAT)
        respond_problem(q, r, "malformed_json", NULL, "%s", e->text);
    else if (e->status == STATUS_ARGUMENT)
        respond_problem(q, r, "invalid_request", problems, "%s", e->text);
    else if (e->status == STATUS_UNSUPPORTED)
        respond_problem(q, r, "not_implemented", NULL, "%s", e->text);
    else if (e->status == STATUS_BUSY)
        respond_problem(q, r, "deadline_exceeded", NULL, "%s", e->text);
    else
        respond_error(q, r, e);
}

void handle_oip_infer(struct app *app, struct request *q, struct response *r)
{
    struct infer x = {.q = q};
    struct error e;
    if (!oip_find(app, q, r, &x.model))
        return;
    enum status s = infer(app, &x, r, &e);
    infer_stats_add(app->infer_stats, x.model.ref, s == STATUS_OK, (int64_t)x.n, time_mono_ns() - q->arrived_ns,
                    x.compute_ns);
    model_release(x.model.model);
    if (s != STATUS_OK)
        respond_refused(q, r, &x.problems, &e);
}
