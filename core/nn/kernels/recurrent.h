/* core/nn/kernels/recurrent.h
 *
 * The element-by-element part of recurrent layers, written over `vec` as body.h, which includes this file.
 *
 * Sigmoid is 1 / (1 + e^-x), tanh (1 - e^-2x) / (1 + e^-2x), with the exponent taken as -30 to 30 (behind which both
 * are 0, 1 or -1 as far as float32 can tell, and nothing overflows); their absolute error is below 2e-7.  Gates that
 * are wanted together share one division: it costs as much as the exponential. */

#define EACH_VECTOR(s, u, i, at, left) \
    for (size_t u = 0; u < (s)->units; u++) \
        for (size_t i = 0, at = u * (s)->ld, left; \
             i < (s)->n && (left = (s)->n - i < NN_LANES ? (s)->n - i : NN_LANES, true); i += NN_LANES, at += NN_LANES)

INLINE vec exp_bounded(vec x) { return v_exp_within(v_min(v_set1(30), v_max(v_set1(-30), x))); }

/* sigmoid(x) = 1 / bottom. */
INLINE vec sigmoid_bottom(vec x) { return v_add(v_set1(1), exp_bounded(v_sub(v_set1(0), x))); }

/* tanh(x) = top / bottom. */
INLINE void tanh_parts(vec x, vec *top, vec *bottom)
{
    vec one = v_set1(1), e = exp_bounded(v_mul(v_set1(-2), x));
    *top = v_sub(one, e);
    *bottom = v_add(one, e);
}

INLINE vec v_tanh(vec x)
{
    vec top, bottom;
    tanh_parts(x, &top, &bottom);
    return v_div(top, bottom);
}

INLINE void sigmoid_two(vec *x, vec *y)
{
    vec x_bottom = sigmoid_bottom(*x), y_bottom = sigmoid_bottom(*y);
    vec inverse = v_div(v_set1(1), v_mul(x_bottom, y_bottom));
    *x = v_mul(y_bottom, inverse);
    *y = v_mul(x_bottom, inverse);
}

/* s (1 - s), and 1 - t^2: slopes of sigmoid and tanh by their values. */
INLINE vec sigmoid_slope(vec s) { return v_mul(s, v_sub(v_set1(1), s)); }
INLINE vec tanh_slope(vec t) { return v_fma(v_sub(v_set1(0), t), t, v_set1(1)); }

/* `on` in lanes that go on, else `off`. */
INLINE vec pick_going(const struct recurrent_step *s, size_t i, vec on, vec off)
{
    return s->length ? v_pick_gt(v_load(s->length + i), v_set1(s->step), on, off) : on;
}

/* ---- GRU ------------------------------------------------------------------------------------------------------- */

/* z before + (1 - z) candidate = candidate + z (before - candidate). */
INLINE vec gru_mix(vec z, vec candidate, vec before) { return v_fma(z, v_sub(before, candidate), candidate); }

INLINE vec gru_new(vec *z, vec *r, vec input, vec recurrent, vec before, vec *candidate)
{
    sigmoid_two(z, r);
    *candidate = v_tanh(v_fma(*r, recurrent, input));
    return gru_mix(*z, *candidate, before);
}

static TARGET void gru_forward(const struct recurrent_step *s, float *g, const float *h_before, float *h)
{
    size_t gate = s->gate;
    vec candidate;
    if (s->ld > 1) {                                          /* whole vectors: masks cost */
        for (size_t u = 0; u < s->units; u++)
            for (size_t i = 0, at = u * s->ld; i < s->n; i += NN_LANES, at += NN_LANES) {
                vec z = v_load(g + at), r = v_load(g + gate + at), before = v_load(h_before + at);
                vec new = gru_new(&z, &r, v_load(g + 2 * gate + at), v_load(g + 3 * gate + at), before, &candidate);
                v_store(g + at, z);
                v_store(g + gate + at, r);
                v_store(g + 2 * gate + at, candidate);
                v_store(h + at, pick_going(s, i, new, before));
            }
        return;
    }
    EACH_VECTOR(s, u, i, at, left) {
        vec z = v_load_n(g + at, left), r = v_load_n(g + gate + at, left), before = v_load_n(h_before + at, left);
        vec input = v_load_n(g + 2 * gate + at, left), recurrent = v_load_n(g + 3 * gate + at, left);
        v_store_n(h + at, left, gru_new(&z, &r, input, recurrent, before, &candidate));
        v_store_n(g + at, left, z);
        v_store_n(g + gate + at, left, r);
        v_store_n(g + 2 * gate + at, left, candidate);
    }
}

static TARGET void gru_gates(const struct recurrent_step *s, float *g, const float *h_before)
{
    size_t gate = s->gate;
    EACH_VECTOR(s, u, i, at, left) {
        vec z = v_load_n(g + at, left), r = v_load_n(g + gate + at, left);
        sigmoid_two(&z, &r);
        v_store_n(g + at, left, z);
        v_store_n(g + gate + at, left, r);
        v_store_n(g + 3 * gate + at, left, v_mul(r, v_load_n(h_before + at, left)));
    }
}

static TARGET void gru_output(const struct recurrent_step *s, float *g, const float *h_before, float *h)
{
    size_t gate = s->gate;
    EACH_VECTOR(s, u, i, at, left) {
        vec z = v_load_n(g + at, left), before = v_load_n(h_before + at, left);
        vec candidate = v_tanh(v_load_n(g + 2 * gate + at, left));
        v_store_n(g + 2 * gate + at, left, candidate);
        v_store_n(h + at, left, pick_going(s, i, gru_mix(z, candidate, before), before));
    }
}

/* Gradients of the sums of z and the candidate. */
INLINE void gru_mix_backward(vec z, vec candidate, vec before, vec dh, vec *dz, vec *d_candidate)
{
    *dz = v_mul(v_mul(dh, v_sub(before, candidate)), sigmoid_slope(z));
    *d_candidate = v_mul(v_mul(dh, v_sub(v_set1(1), z)), tanh_slope(candidate));
}

static TARGET void gru_backward(const struct recurrent_step *s, const float *g, const float *h_before, float *dh,
                                float *d)
{
    size_t gate = s->gate;
    vec zero = v_set1(0);
    EACH_VECTOR(s, u, i, at, left) {
        vec z = v_load_n(g + at, left), r = v_load_n(g + gate + at, left);
        vec candidate = v_load_n(g + 2 * gate + at, left), sum = v_load_n(g + 3 * gate + at, left), dz, dc;
        vec before = v_load_n(h_before + at, left), dh_ = v_load_n(dh + at, left);
        gru_mix_backward(z, candidate, before, dh_, &dz, &dc);
        vec dr = v_mul(v_mul(dc, sum), sigmoid_slope(r));
        v_store_n(d + at, left, pick_going(s, i, dz, zero));
        v_store_n(d + gate + at, left, pick_going(s, i, dr, zero));
        v_store_n(d + 2 * gate + at, left, pick_going(s, i, dc, zero));
        v_store_n(d + 3 * gate + at, left, pick_going(s, i, v_mul(dc, r), zero));
        v_store_n(dh + at, left, pick_going(s, i, v_mul(dh_, z), dh_));
    }
}

static TARGET void gru_backward_output(const struct recurrent_step *s, const float *g, const float *h_before,
                                       const float *dh, float *d)
{
    size_t gate = s->gate;
    vec zero = v_set1(0);
    EACH_VECTOR(s, u, i, at, left) {
        vec dz, dc;
        gru_mix_backward(v_load_n(g + at, left), v_load_n(g + 2 * gate + at, left), v_load_n(h_before + at, left),
                         v_load_n(dh + at, left), &dz, &dc);
        v_store_n(d + at, left, pick_going(s, i, dz, zero));
        v_store_n(d + 2 * gate + at, left, pick_going(s, i, dc, zero));
    }
}

static TARGET void gru_backward_gates(const struct recurrent_step *s, const float *g, const float *h_before, float *dh,
                                      float *d)
{
    size_t gate = s->gate;
    EACH_VECTOR(s, u, i, at, left) {
        vec z = v_load_n(g + at, left), r = v_load_n(g + gate + at, left), dq = v_load_n(d + 3 * gate + at, left);
        vec dh_ = v_load_n(dh + at, left), dr = v_mul(v_mul(dq, v_load_n(h_before + at, left)), sigmoid_slope(r));
        v_store_n(d + gate + at, left, pick_going(s, i, dr, v_set1(0)));
        v_store_n(dh + at, left, pick_going(s, i, v_fma(dq, r, v_mul(dh_, z)), dh_));
    }
}

/* ---- LSTM ------------------------------------------------------------------------------------------------------ */

static TARGET void lstm_forward(const struct recurrent_step *s, float *g, const float *c_before, const float *h_before,
                                float *c, float *h)
{
    size_t gate = s->gate;
    EACH_VECTOR(s, u, i, at, left) {
        vec in = v_load_n(g + at, left), forget = v_load_n(g + gate + at, left);
        vec out = v_load_n(g + 3 * gate + at, left);
        vec before = v_load_n(c_before + at, left), out_bottom = sigmoid_bottom(out), tanh_top, tanh_bottom;
        sigmoid_two(&in, &forget);
        tanh_parts(v_load_n(g + 2 * gate + at, left), &tanh_top, &tanh_bottom);
        vec inverse = v_div(v_set1(1), v_mul(out_bottom, tanh_bottom));
        vec candidate = v_mul(v_mul(tanh_top, out_bottom), inverse);
        out = v_mul(tanh_bottom, inverse);
        vec cell = v_fma(forget, before, v_mul(in, candidate));
        v_store_n(g + at, left, in);
        v_store_n(g + gate + at, left, forget);
        v_store_n(g + 2 * gate + at, left, candidate);
        v_store_n(g + 3 * gate + at, left, out);
        v_store_n(c + at, left, pick_going(s, i, cell, before));
        v_store_n(h + at, left, pick_going(s, i, v_mul(out, v_tanh(cell)), v_load_n(h_before + at, left)));
    }
}

static TARGET void lstm_backward(const struct recurrent_step *s, const float *g, const float *c_before, const float *c,
                                 float *dh, float *dc, float *d)
{
    size_t gate = s->gate;
    vec zero = v_set1(0);
    EACH_VECTOR(s, u, i, at, left) {
        vec in = v_load_n(g + at, left), forget = v_load_n(g + gate + at, left);
        vec candidate = v_load_n(g + 2 * gate + at, left), out = v_load_n(g + 3 * gate + at, left);
        vec squashed = v_tanh(v_load_n(c + at, left)), dh_ = v_load_n(dh + at, left), dc_ = v_load_n(dc + at, left);
        vec d_out = v_mul(v_mul(dh_, squashed), sigmoid_slope(out));
        vec d_cell = v_fma(v_mul(dh_, out), tanh_slope(squashed), dc_);
        vec d_in = v_mul(v_mul(d_cell, candidate), sigmoid_slope(in));
        vec d_forget = v_mul(v_mul(d_cell, v_load_n(c_before + at, left)), sigmoid_slope(forget));
        vec d_candidate = v_mul(v_mul(d_cell, in), tanh_slope(candidate));
        v_store_n(d + at, left, pick_going(s, i, d_in, zero));
        v_store_n(d + gate + at, left, pick_going(s, i, d_forget, zero));
        v_store_n(d + 2 * gate + at, left, pick_going(s, i, d_candidate, zero));
        v_store_n(d + 3 * gate + at, left, pick_going(s, i, d_out, zero));
        v_store_n(dc + at, left, pick_going(s, i, v_mul(d_cell, forget), dc_));
        v_store_n(dh + at, left, pick_going(s, i, zero, dh_));
    }
}
