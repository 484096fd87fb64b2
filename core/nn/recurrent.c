/* core/nn/recurrent.c
 *
 * GRU and LSTM over a sequence; the output is the state behind each row's last step (zero for a row without steps).
 *
 * Steps are taken in blocks of BLOCK_STEPS.  Only the groups of lanes up to the last row that has the block's first
 * step are worked on, so with rows in falling order of length finished rows cost (nearly) nothing; in lanes that are
 * worked on without need the state stays what it was, which is what Keras' mask does.  The gradients of the parameters
 * are summed once a block: a product over its steps and rows. */
#include "core/nn/layer.h"

#include <math.h>
#include <string.h>

enum { BLOCK_STEPS = 16, PARTS = 4 /* of working memory a unit and step, for both kinds */ };

static const struct field gru_fields[] = {
    FIELD_I64(struct gru_config, units, .required = true, .min = 1, .max = RECURRENT_UNITS_MAX, .def = 1,
              .doc = "size of the state"),
    FIELD_BOOL(struct gru_config, reset_before, .def = 0,
               .doc = "reset gate before the recurrent product, with one bias (Keras reset_after=False)"),
    FIELD_END};
static const struct field lstm_fields[] = {
    FIELD_I64(struct lstm_config, units, .required = true, .min = 1, .max = RECURRENT_UNITS_MAX, .def = 1,
              .doc = "size of the state"),
    FIELD_END};

static bool is_lstm(const struct layer *l) { return l->kind == &layer_lstm; }
static size_t gates_of(const struct layer *l) { return is_lstm(l) ? 4 : 3; }
static bool resets_before(const struct layer *l)
{
    return !is_lstm(l) && ((const struct gru_config *)l->config)->reset_before;
}
static bool resets_after(const struct layer *l) { return !is_lstm(l) && !resets_before(l); }

static enum status shape(struct layer *l, struct error *e)
{
    TRY(field_validate(l->kind->fields, l->config, l->kind->name, e));
    if (l->in[0].steps == 0)
        return error_set(e, STATUS_ARGUMENT, "its input must be a sequence");
    int64_t units = is_lstm(l) ? ((const struct lstm_config *)l->config)->units
                               : ((const struct gru_config *)l->config)->units;
    l->out = (struct shape){(size_t)units, 0};
    return STATUS_OK;
}

/* ---- parameters: kernel [in][gates x units], recurrent [units][gates x units], bias ------------------------------ */

static size_t n_params(const struct layer *l)
{
    size_t units = l->out.features, width = gates_of(l) * units;
    return (l->in[0].features + units + (resets_after(l) ? 2 : 1)) * width;
}

/* Rows of random numbers made orthogonal to those before them and of length 1 (Gram and Schmidt, twice for rounding);
 * sums of 12 uniform numbers stand for normal ones. */
static void init_orthonormal(struct rng *r, size_t n_rows, size_t width, float *rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        float *row = rows + i * width;
        for (size_t j = 0; j < width; j++) {
            double sum = -6;
            for (int k = 0; k < 12; k++)
                sum += rng_f64(r);
            row[j] = (float)sum;
        }
        for (size_t other = 0; other < 2 * i; other++) {
            const float *q = rows + other % i * width;
            double dot = 0;
            for (size_t j = 0; j < width; j++)
                dot += (double)row[j] * (double)q[j];
            for (size_t j = 0; j < width; j++)
                row[j] = (float)((double)row[j] - dot * (double)q[j]);
        }
        double square = 0;
        for (size_t j = 0; j < width; j++)
            square += (double)row[j] * (double)row[j];
        for (size_t j = 0; j < width; j++)
            row[j] = (float)((double)row[j] / sqrt(square));
    }
}

/* As Keras: kernel Glorot uniform, recurrent orthogonal, biases zero, but 1 for the LSTM's forget gate. */
static void init(const struct layer *l, struct rng *r, float *params)
{
    size_t n_in = l->in[0].features, units = l->out.features, width = gates_of(l) * units;
    double limit = sqrt(6.0 / (double)(n_in + width));
    for (size_t i = 0; i < n_in * width; i++)
        params[i] = (float)(limit * (2 * rng_f64(r) - 1));
    init_orthonormal(r, units, width, params + n_in * width);
    float *bias = params + (n_in + units) * width;
    for (size_t i = (n_in + units) * width; i < n_params(l); i++)
        params[i] = 0;
    for (size_t i = 0; is_lstm(l) && i < units; i++)
        bias[units + i] = 1;
}

/* ---- working memory -------------------------------------------------------------------------------------------- */

/* Where everything is in one call.  While scoring, parts, h and c have one step, which is overwritten. */
struct work {
    const struct layer *l;
    const struct layer_call *c;
    size_t n_in, units, width;         /* width: gates x units */
    const float *kernel, *recurrent, *bias, *recurrent_bias;     /* recurrent_bias: of a GRU that resets after */
    float *start;                      /* [width]: biases of the sums */
    float *length;                     /* [ld] */
    float *parts, *h, *cell;           /* [steps][PARTS units][ld]; [steps + 1][units][ld] */
    size_t parts_step, h_step;         /* floats from step to step */
    float *d, *dc;                     /* backward: [BLOCK_STEPS][PARTS units][ld]; [units][ld] */
    size_t d_step;
    struct recurrent_step step;
};

static size_t n_state(const struct layer *l, bool training)
{
    size_t units = l->out.features, states = is_lstm(l) ? 2 : 1, steps = l->in[0].steps;
    size_t fixed = gates_of(l) * units + 1;
    return training ? fixed + steps * PARTS * units + (steps + 1) * states * units + (BLOCK_STEPS * PARTS + 1) * units
                    : fixed + (PARTS + states) * units;
}

static size_t n_scratch(const struct layer *l, bool training)
{
    return !training && resets_after(l) ? gru_row_scratch(l->in[0].features, l->out.features) : 0;
}

static void work_init(struct work *w, const struct layer *l, const struct layer_call *c)
{
    size_t n_in = l->in[0].features, units = l->out.features, width = gates_of(l) * units;
    size_t ld = c->ld, steps = c->training ? l->in[0].steps : 1, states = c->training ? steps + 1 : 1;
    *w = (struct work){.l = l, .c = c, .n_in = n_in, .units = units, .width = width};
    w->kernel = c->params;
    w->recurrent = w->kernel + n_in * width;
    w->bias = w->recurrent + units * width;
    w->recurrent_bias = resets_after(l) ? w->bias + width : NULL;
    float *at = c->state;
    w->parts = at, at += steps * PARTS * units * ld;
    w->h = at, at += states * units * ld;
    w->cell = at, at += (is_lstm(l) ? states * units : 0) * ld;
    if (c->training) {
        w->d = at, at += BLOCK_STEPS * PARTS * units * ld;
        w->dc = at, at += units * ld;
    }
    w->length = at, at += ld;
    w->start = at;
    w->parts_step = c->training ? PARTS * units * ld : 0;
    w->h_step = c->training ? units * ld : 0;
    w->d_step = PARTS * units * ld;
    w->step = ld == 1 ? (struct recurrent_step){.units = 1, .n = units, .gate = units}
                      : (struct recurrent_step){.units = units, .ld = ld, .gate = units * ld, .length = w->length};
    memcpy(w->start, w->bias, width * sizeof *w->start);
    for (size_t j = 0; w->recurrent_bias && j < 2 * units; j++)
        w->start[j] += w->recurrent_bias[j];
    for (size_t r = 0; ld > 1 && r < c->lanes; r++)
        w->length[r] = r < c->n ? (float)(c->length ? c->length[r] : l->in[0].steps) : 0;
}

/* Lanes up to the last row that has the step. */
static size_t lanes_at(const struct work *w, size_t step)
{
    size_t n = w->c->n;
    if (step >= w->l->in[0].steps)
        return 0;
    while (n > 0 && w->c->length && w->c->length[n - 1] <= step)
        n--;
    return w->c->ld == 1 ? n : (n + NN_LANES - 1) / NN_LANES * NN_LANES;
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* Sums of `n_out` gates from gate column `column` on: out = start (or what is there) + rows of `w` times x. */
static void sums(const struct work *w, size_t lanes, size_t n_in, size_t n_out, const float *matrix, const float *start,
                 const float *x, float *out)
{
    const struct layer_call *c = w->c;
    if (c->ld == 1)
        c->k->product_row(n_in, n_out, matrix, w->width, start ? start : out, x, out);
    else
        c->k->product(n_in, n_out, lanes, c->ld, matrix, w->width, 1, start, !start, x, out);
}

static void step_forward(struct work *w, size_t t, size_t lanes)
{
    const struct kernels *k = w->c->k;
    size_t units = w->units, ld = w->c->ld;
    float *g = w->parts + t * w->parts_step, *h = w->h + t * w->h_step, *cell = w->cell + t * w->h_step;
    w->step.step = (float)t;
    if (ld > 1)
        w->step.n = lanes;
    sums(w, lanes, w->n_in, w->width, w->kernel, w->start, w->c->in[0] + t * w->n_in * ld, g);
    if (is_lstm(w->l)) {
        sums(w, lanes, units, w->width, w->recurrent, NULL, h, g);
        k->lstm_forward(&w->step, g, cell, h, cell + w->h_step, h + w->h_step);
        return;
    }
    sums(w, lanes, units, 2 * units, w->recurrent, NULL, h, g);
    if (w->recurrent_bias) {
        sums(w, lanes, units, units, w->recurrent + 2 * units, w->recurrent_bias + 2 * units, h, g + 3 * units * ld);
        k->gru_forward(&w->step, g, h, h + w->h_step);
        return;
    }
    k->gru_gates(&w->step, g, h);
    sums(w, lanes, units, units, w->recurrent + 2 * units, NULL, g + 3 * units * ld, g + 2 * units * ld);
    k->gru_output(&w->step, g, h, h + w->h_step);
}

static void forward(const struct layer *l, const struct layer_call *c)
{
    struct work w;
    if (c->ld == 1 && !c->training && resets_after(l)) {
        gru_row_forward(l, c);
        return;
    }
    work_init(&w, l, c);
    size_t units = w.units, ld = c->ld, lanes = lanes_at(&w, 0);
    memset(w.h, 0, units * ld * sizeof *w.h);
    memset(c->out, 0, units * ld * sizeof *c->out);
    if (is_lstm(l))
        memset(w.cell, 0, units * ld * sizeof *w.cell);
    for (size_t first = 0; lanes > 0; first += BLOCK_STEPS) {
        size_t last = first + BLOCK_STEPS < l->in[0].steps ? first + BLOCK_STEPS : l->in[0].steps;
        if (ld == 1 && c->length && last > c->length[0])
            last = c->length[0];
        for (size_t t = first; t < last; t++)
            step_forward(&w, t, lanes);
        size_t next = last < first + BLOCK_STEPS ? 0 : lanes_at(&w, last);
        const float *h = w.h + last * w.h_step;
        for (size_t u = 0; u < units && next < lanes; u++)
            memcpy(c->out + u * ld + next, h + u * ld + next, (lanes - next) * sizeof *h);
        lanes = next;
    }
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

/* d_h(k, .) += sum over n gate columns of recurrent[k][column] d(column, .). */
static void through_recurrent(const struct work *w, size_t lanes, size_t column, size_t n, bool add, const float *d,
                              float *d_h)
{
    w->c->k->product(n, w->units, lanes, w->c->ld, w->recurrent + column, 1, w->width, NULL, add, d, d_h);
}

static void step_backward(struct work *w, size_t t, size_t lanes, float *d)
{
    const struct layer_call *c = w->c;
    const struct kernels *k = c->k;
    size_t units = w->units, gate = units * c->ld;
    const float *g = w->parts + t * w->parts_step, *before = w->h + t * w->h_step;
    float *dh = c->d_out;
    w->step.step = (float)t;
    w->step.n = lanes;
    if (is_lstm(w->l)) {
        const float *cell = w->cell + t * w->h_step;
        k->lstm_backward(&w->step, g, cell, cell + w->h_step, dh, w->dc, d);
        through_recurrent(w, lanes, 0, w->width, true, d, dh);
    } else if (w->recurrent_bias) {
        k->gru_backward(&w->step, g, before, dh, d);
        through_recurrent(w, lanes, 0, 2 * units, true, d, dh);
        through_recurrent(w, lanes, 2 * units, units, true, d + 3 * gate, dh);
    } else {
        k->gru_backward_output(&w->step, g, before, dh, d);
        through_recurrent(w, lanes, 2 * units, units, false, d + 2 * gate, d + 3 * gate);
        k->gru_backward_gates(&w->step, g, before, dh, d);
        through_recurrent(w, lanes, 0, 2 * units, true, d, dh);
    }
    if (c->d_in[0])
        k->product(w->width, w->n_in, lanes, c->ld, w->kernel, 1, w->width, NULL, true, d,
                   c->d_in[0] + t * w->n_in * c->ld);
}

/* Adds x (of n_in features) times the d of n gate columns from part `part` on to gw. */
static void outer(const struct work *w, const struct outer_steps *block, size_t part, size_t n, const float *x,
                  size_t n_in, size_t x_step, float *gw)
{
    struct outer_steps o = *block;
    o.n_in = n_in;
    o.n_out = n;
    o.x = x;
    o.x_step = x_step;
    o.d = w->d + part * w->units * w->c->ld;
    o.gw = gw;
    w->c->k->outer_steps(&o);
}

static void sum(const struct work *w, const struct outer_steps *block, size_t part, size_t n, float *gb)
{
    w->c->k->sum_steps(n, block->lanes, block->ld, block->n_steps, w->d_step, w->d + part * w->units * w->c->ld, gb);
}

static void block_gradients(const struct work *w, size_t first, size_t n_steps, size_t lanes)
{
    const struct layer_call *c = w->c;
    size_t units = w->units, width = w->width, ld = c->ld;
    float *kernel = c->grads, *recurrent = kernel + w->n_in * width, *bias = recurrent + units * width;
    const float *h = w->h + first * w->h_step;
    struct outer_steps block = {.lanes = lanes, .ld = ld, .n_steps = n_steps, .d_step = w->d_step, .gw_row = width};
    outer(w, &block, 0, width, c->in[0] + first * w->n_in * ld, w->n_in, w->n_in * ld, kernel);
    sum(w, &block, 0, width, bias);
    if (is_lstm(w->l)) {
        outer(w, &block, 0, width, h, units, w->h_step, recurrent);
        return;
    }
    outer(w, &block, 0, 2 * units, h, units, w->h_step, recurrent);
    if (!w->recurrent_bias) {
        const float *reset = w->parts + first * w->parts_step + 3 * units * ld;
        outer(w, &block, 2, units, reset, units, w->parts_step, recurrent + 2 * units);
        return;
    }
    outer(w, &block, 3, units, h, units, w->h_step, recurrent + 2 * units);
    sum(w, &block, 0, 2 * units, bias + width);
    sum(w, &block, 3, units, bias + width + 2 * units);
}

static void backward(const struct layer *l, const struct layer_call *c)
{
    struct work w;
    check(c->training && c->ld > 1);
    work_init(&w, l, c);
    size_t steps = l->in[0].steps;
    memset(w.dc, 0, w.units * c->ld * sizeof *w.dc);
    if (c->d_in[0] && !c->add_in[0])
        memset(c->d_in[0], 0, steps * w.n_in * c->ld * sizeof *c->d_in[0]);
    for (size_t first = (steps - 1) / BLOCK_STEPS * BLOCK_STEPS + BLOCK_STEPS; first > 0;) {
        first -= BLOCK_STEPS;
        size_t n_steps = steps - first < BLOCK_STEPS ? steps - first : BLOCK_STEPS, lanes = lanes_at(&w, first);
        if (lanes == 0)
            continue;
        for (size_t t = n_steps; t-- > 0;)
            step_backward(&w, first + t, lanes, w.d + t * w.d_step);
        block_gradients(&w, first, n_steps, lanes);
    }
}

const struct layer_kind layer_gru = {
    .name = "gru",
    .doc = "gated recurrent unit: its state behind the last step",
    .fields = gru_fields,
    .config_size = sizeof(struct gru_config),
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .n_params = n_params,
    .n_state = n_state,
    .n_scratch = n_scratch,
    .init = init,
    .forward = forward,
    .backward = backward,
};
const struct layer_kind layer_lstm = {
    .name = "lstm",
    .doc = "long short-term memory: its state behind the last step",
    .fields = lstm_fields,
    .config_size = sizeof(struct lstm_config),
    .inputs_min = 1,
    .inputs_max = 1,
    .shape = shape,
    .n_params = n_params,
    .n_state = n_state,
    .n_scratch = n_scratch,
    .init = init,
    .forward = forward,
    .backward = backward,
};
