/* core/nn/kernels/body.h
 *
 * The kernels, written over `vec` (NN_LANES floats) and its operations; portable.c, avx2.c and avx512.c define those,
 * TARGET, KERNELS_TABLE, KERNELS_NAME and the tile sizes, and then include this file (and INLINE and UNROLL where
 * registers are not to be filled by force).
 *
 * Blocks: a tile of TILE_OUT outputs x TILE_GROUPS groups of lanes (or TILE_OUT_NARROW x TILE_GROUPS_NARROW, where there
 * are no more groups) is summed in registers; sums longer than BLOCK pause
 * in memory, so that what a tile reads stays in the first cache whatever the width of the layer.  Neither changes the
 * order of a sum. */

/* Under sanitizers tiles are loops: with every load checked, unrolled ones take minutes to compile. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KERNELS_CHECKED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KERNELS_CHECKED
#endif

#if !defined(INLINE) && defined(KERNELS_CHECKED)
#define INLINE static inline TARGET
#define UNROLL
#elif !defined(INLINE)
#define INLINE static inline TARGET __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { BLOCK = 64 };

/* ---- products over rows in lanes: forward, and backward to the input ------------------------------------------- */

/* out(i, r) = start + sum over k of w[i * w_out + k * w_in] * x(k, r). */
struct product {
    size_t n_in, n_out, ld, w_in, w_out;
    const float *w, *start, *x;        /* start [n_out], or NULL: zero, or what `out` holds when `add` */
    float *out;
    bool add, relu;
};

INLINE void product_tile(size_t n_i, size_t n_g, const struct product *p, size_t i0, size_t lane, size_t k0, size_t k1)
{
    vec acc[TILE_OUT_NARROW][TILE_GROUPS];
    float *out = p->out + i0 * p->ld + lane;
    bool resume = k0 > 0 || p->add;
    UNROLL for (size_t i = 0; i < n_i; i++)
        UNROLL for (size_t g = 0; g < n_g; g++)
            acc[i][g] = resume ? v_load(out + i * p->ld + g * NN_LANES) : v_set1(p->start ? p->start[i0 + i] : 0);
    const float *x = p->x + k0 * p->ld + lane, *w = p->w + i0 * p->w_out + k0 * p->w_in;
    for (size_t k = k0; k < k1; k++, x += p->ld, w += p->w_in) {
        vec x_k[TILE_GROUPS];
        UNROLL for (size_t g = 0; g < n_g; g++)
            x_k[g] = v_load(x + g * NN_LANES);
        UNROLL for (size_t i = 0; i < n_i; i++) {
            vec w_ik = v_set1(w[i * p->w_out]);
            UNROLL for (size_t g = 0; g < n_g; g++)
                acc[i][g] = v_fma(w_ik, x_k[g], acc[i][g]);
        }
    }
    bool relu = p->relu && k1 == p->n_in;
    UNROLL for (size_t i = 0; i < n_i; i++)
        UNROLL for (size_t g = 0; g < n_g; g++)
            v_store(out + i * p->ld + g * NN_LANES, relu ? v_max(v_set1(0), acc[i][g]) : acc[i][g]);
}

/* All outputs for n_g groups of lanes. */
INLINE void product_columns(size_t n_g, const struct product *p, size_t lane, size_t k0, size_t k1)
{
    size_t i = 0;
    for (; n_g <= TILE_GROUPS_NARROW && i + TILE_OUT_NARROW <= p->n_out; i += TILE_OUT_NARROW)
        product_tile(TILE_OUT_NARROW, n_g <= TILE_GROUPS_NARROW ? n_g : 1, p, i, lane, k0, k1);
    for (; i + TILE_OUT <= p->n_out; i += TILE_OUT)
        product_tile(TILE_OUT, n_g, p, i, lane, k0, k1);
    switch (p->n_out - i) {
    case 5: product_tile(TILE_OUT > 5 ? 5 : 1, n_g, p, i, lane, k0, k1); break;
    case 4: product_tile(TILE_OUT > 4 ? 4 : 1, n_g, p, i, lane, k0, k1); break;
    case 3: product_tile(TILE_OUT > 3 ? 3 : 1, n_g, p, i, lane, k0, k1); break;
    case 2: product_tile(TILE_OUT > 2 ? 2 : 1, n_g, p, i, lane, k0, k1); break;
    case 1: product_tile(1, n_g, p, i, lane, k0, k1); break;
    default: break;
    }
}

static TARGET void product_run(const struct product *p, size_t lanes)
{
    for (size_t k0 = 0; k0 < p->n_in; k0 += BLOCK) {
        size_t k1 = p->n_in - k0 < BLOCK ? p->n_in : k0 + BLOCK, lane = 0;
        for (; lane + TILE_GROUPS * NN_LANES <= lanes; lane += TILE_GROUPS * NN_LANES)
            product_columns(TILE_GROUPS, p, lane, k0, k1);
        if (TILE_GROUPS > 2 && lane + 2 * NN_LANES <= lanes) {
            product_columns(TILE_GROUPS > 2 ? 2 : 1, p, lane, k0, k1);
            lane += 2 * NN_LANES;
        }
        if (TILE_GROUPS > 1 && lane < lanes)
            product_columns(1, p, lane, k0, k1);
    }
}

static TARGET void product(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *w, size_t w_in,
                           size_t w_out, const float *start, bool add, const float *x, float *out)
{
    product_run(&(struct product){.n_in = n_in, .n_out = n_out, .ld = ld, .w_in = w_in, .w_out = w_out, .w = w,
                                  .start = start, .x = x, .out = out, .add = add}, lanes);
}

static TARGET void dense_forward(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *w, const float *b,
                                 bool relu, const float *x, float *out)
{
    product_run(&(struct product){.n_in = n_in, .n_out = n_out, .ld = ld, .w_in = n_out, .w_out = 1, .w = w, .start = b,
                                  .x = x, .out = out, .relu = relu}, lanes);
}

static TARGET void dense_backward_input(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *w,
                                        const float *d, bool add, float *d_x)
{
    product_run(&(struct product){.n_in = n_out, .n_out = n_in, .ld = ld, .w_in = 1, .w_out = n_out, .w = w, .x = d,
                                  .out = d_x, .add = add}, lanes);
}

/* ---- one row: outputs in lanes --------------------------------------------------------------------------------- */

INLINE void row_tile(size_t n_g, size_t n_in, size_t w_in, const float *w, const float *b, bool relu, bool whole,
                     const float *x, float *out, size_t n_last)
{
    vec acc[4];
    UNROLL for (size_t g = 0; g < n_g; g++)
        acc[g] = g + 1 < n_g ? v_load(b + g * NN_LANES) : v_load_n(b + g * NN_LANES, n_last);
    for (size_t k = 0; k < n_in; k++, w += w_in) {
        vec x_k = v_set1(x[k]);
        UNROLL for (size_t g = 0; g < n_g; g++) {
            vec w_kg = g + 1 < n_g ? v_load(w + g * NN_LANES) : v_load_n(w + g * NN_LANES, n_last);
            acc[g] = v_fma(w_kg, x_k, acc[g]);
        }
    }
    /* Whole stores where there is room: the next layer's loads could not be fed from masked ones. */
    UNROLL for (size_t g = 0; g < n_g; g++) {
        vec result = relu ? v_max(v_set1(0), acc[g]) : acc[g];
        if (whole || g + 1 < n_g)
            v_store(out + g * NN_LANES, result);
        else
            v_store_n(out + g * NN_LANES, n_last, result);
    }
}

INLINE void row_run(size_t n_in, size_t n_out, size_t w_in, const float *w, const float *b, bool relu, bool whole,
                    const float *x, float *out)
{
    size_t j = 0;
    for (; n_out - j > 4 * NN_LANES; j += 4 * NN_LANES)
        row_tile(4, n_in, w_in, w + j, b + j, relu, whole, x, out + j, NN_LANES);
    size_t n_g = (n_out - j + NN_LANES - 1) / NN_LANES, n_last = n_out - j - (n_g - 1) * NN_LANES;
    switch (n_g) {
    case 4: row_tile(4, n_in, w_in, w + j, b + j, relu, whole, x, out + j, n_last); break;
    case 3: row_tile(3, n_in, w_in, w + j, b + j, relu, whole, x, out + j, n_last); break;
    case 2: row_tile(2, n_in, w_in, w + j, b + j, relu, whole, x, out + j, n_last); break;
    default: row_tile(1, n_in, w_in, w + j, b + j, relu, whole, x, out + j, n_last); break;
    }
}

static TARGET void dense_forward_row(size_t n_in, size_t n_out, const float *w, const float *b, bool relu,
                                     const float *x, float *out)
{
    row_run(n_in, n_out, n_out, w, b, relu, true, x, out);
}

static TARGET void product_row(size_t n_in, size_t n_out, const float *w, size_t w_in, const float *start,
                               const float *x, float *out)
{
    row_run(n_in, n_out, w_in, w, start, false, false, x, out);
}

/* ---- gradients of the parameters: sums over rows --------------------------------------------------------------- */

INLINE void grad_tile(size_t n_k, size_t n_j, const struct outer_steps *o, const float *x, const float *d, float *gw)
{
    vec acc[TILE_GRAD][TILE_GRAD];
    size_t ld = o->ld;
    UNROLL for (size_t j = 0; j < TILE_GRAD; j++)
        UNROLL for (size_t k = 0; k < TILE_GRAD; k++)
            acc[j][k] = v_set1(0);
    for (size_t step = 0; step < o->n_steps; step++, x += o->x_step, d += o->d_step)
        for (size_t lane = 0; lane < o->lanes; lane += NN_LANES) {
            vec x_k[TILE_GRAD];
            UNROLL for (size_t k = 0; k < n_k; k++)
                x_k[k] = v_load(x + k * ld + lane);
            UNROLL for (size_t j = 0; j < n_j; j++) {
                vec d_j = v_load(d + j * ld + lane);
                UNROLL for (size_t k = 0; k < n_k; k++)
                    acc[j][k] = v_fma(x_k[k], d_j, acc[j][k]);
            }
        }
    v_sum_tile((const vec(*)[TILE_GRAD])acc, n_k, n_j, o->gw_row, gw);
}

/* n_k inputs from k on x all outputs. */
INLINE void grad_rows(size_t n_k, const struct outer_steps *o, size_t k)
{
    const float *x = o->x + k * o->ld;
    float *gw = o->gw + k * o->gw_row;
    size_t j = 0;
    for (; j + TILE_GRAD <= o->n_out; j += TILE_GRAD)
        grad_tile(n_k, TILE_GRAD, o, x, o->d + j * o->ld, gw + j);
    switch (o->n_out - j) {
    case 3: grad_tile(n_k, TILE_GRAD > 3 ? 3 : 1, o, x, o->d + j * o->ld, gw + j); break;
    case 2: grad_tile(n_k, TILE_GRAD > 2 ? 2 : 1, o, x, o->d + j * o->ld, gw + j); break;
    case 1: grad_tile(n_k, 1, o, x, o->d + j * o->ld, gw + j); break;
    default: break;
    }
}

static TARGET void outer_steps(const struct outer_steps *o)
{
    size_t k = 0;
    for (; k + TILE_GRAD <= o->n_in; k += TILE_GRAD)
        grad_rows(TILE_GRAD, o, k);
    switch (o->n_in - k) {
    case 3: grad_rows(TILE_GRAD > 3 ? 3 : 1, o, k); break;
    case 2: grad_rows(TILE_GRAD > 2 ? 2 : 1, o, k); break;
    case 1: grad_rows(1, o, k); break;
    default: break;
    }
}

static TARGET void sum_steps(size_t n_out, size_t lanes, size_t ld, size_t n_steps, size_t d_step, const float *d,
                             float *gb)
{
    for (size_t j = 0; j < n_out; j++, d += ld) {
        vec sum = v_load(d);
        for (size_t step = 0; step < n_steps; step++)
            for (size_t lane = step ? 0 : NN_LANES; lane < lanes; lane += NN_LANES)
                sum = v_add(sum, v_load(d + step * d_step + lane));
        gb[j] += v_sum(sum);
    }
}

static TARGET void dense_backward_params(size_t n_in, size_t n_out, size_t lanes, size_t ld, const float *x,
                                         const float *d, float *gw, float *gb)
{
    outer_steps(&(struct outer_steps){.n_in = n_in, .n_out = n_out, .lanes = lanes, .ld = ld, .n_steps = 1, .x = x,
                                      .d = d, .gw = gw, .gw_row = n_out});
    sum_steps(n_out, lanes, ld, 1, 0, d, gb);
}

/* ---- element by element ---------------------------------------------------------------------------------------- */

static TARGET void relu_forward(size_t n, const float *x, float *out)
{
    for (size_t i = 0; i < n; i += NN_LANES) {
        size_t left = n - i < NN_LANES ? n - i : NN_LANES;
        v_store_n(out + i, left, v_max(v_set1(0), v_load_n(x + i, left)));
    }
}

static TARGET void relu_backward(size_t n, const float *out, const float *d, float *d_x)
{
    for (size_t i = 0; i < n; i += NN_LANES) {
        size_t left = n - i < NN_LANES ? n - i : NN_LANES;
        v_store_n(d_x + i, left, v_pick_gt(v_load_n(out + i, left), v_set1(0), v_load_n(d + i, left), v_set1(0)));
    }
}

static TARGET void add(size_t n, const float *x, float *sum)
{
    for (size_t i = 0; i < n; i += NN_LANES) {
        size_t left = n - i < NN_LANES ? n - i : NN_LANES;
        v_store_n(sum + i, left, v_add(v_load_n(sum + i, left), v_load_n(x + i, left)));
    }
}

static TARGET void scale(size_t n, float factor, float *x)
{
    for (size_t i = 0; i < n; i += NN_LANES) {
        size_t left = n - i < NN_LANES ? n - i : NN_LANES;
        v_store_n(x + i, left, v_mul(v_set1(factor), v_load_n(x + i, left)));
    }
}

static TARGET float sum_squares(size_t n, const float *v)
{
    vec sum = v_set1(0);
    for (size_t i = 0; i < n; i += NN_LANES) {
        vec x = v_load_n(v + i, n - i < NN_LANES ? n - i : NN_LANES);
        sum = v_fma(x, x, sum);
    }
    return v_sum(sum);
}

static TARGET void adam(const struct adam_step *s, size_t n, const float *g, float *p, float *m, float *v)
{
    for (size_t i = 0; i < n; i += NN_LANES) {
        size_t left = n - i < NN_LANES ? n - i : NN_LANES;
        vec g_i = v_load_n(g + i, left);
        vec m_i = v_fma(v_set1(s->one_minus_beta1), g_i, v_mul(v_set1(s->beta1), v_load_n(m + i, left)));
        vec g2 = v_mul(v_mul(v_set1(s->one_minus_beta2), g_i), g_i);
        vec v_i = v_fma(v_set1(s->beta2), v_load_n(v + i, left), g2);
        vec size = v_fma(v_sqrt(v_i), v_set1(s->v_scale), v_set1(s->epsilon));
        vec p_i = v_fma(v_set1(-s->rate), v_div(m_i, size), v_load_n(p + i, left));
        v_store_n(m + i, left, m_i);
        v_store_n(v + i, left, v_i);
        v_store_n(p + i, left, p_i);
    }
}

static TARGET void sgd(const struct sgd_step *s, size_t n, const float *g, float *p, float *v)
{
    for (size_t i = 0; i < n; i += NN_LANES) {
        size_t left = n - i < NN_LANES ? n - i : NN_LANES;
        vec g_i = v_load_n(g + i, left);
        vec v_i = v_fma(v_set1(s->momentum), v_load_n(v + i, left), g_i);
        vec way = s->nesterov ? v_fma(v_set1(s->momentum), v_i, g_i) : v_i;
        v_store_n(p + i, left, v_fma(v_set1(-s->rate), way, v_load_n(p + i, left)));
        v_store_n(v + i, left, v_i);
    }
}

/* ---- softmax and its loss -------------------------------------------------------------------------------------- */

/* e^x for |x| <= 87: x = n ln 2 + r with |r| <= ln(2)/2, and a polynomial in r that is within 4e-9 of e^r (minimax, its
 * two lowest coefficients 1); adding 1.5 * 2^23 rounds to a whole number and leaves n in the low bits. */
INLINE vec v_exp_within(vec x)
{
    vec big = v_set1(0x1.8p23f);
    vec t = v_fma(x, v_set1(0x1.715476p0f), big);                       /* 1 / ln 2 */
    vec n = v_sub(t, big);
    vec r = v_fma(n, v_set1(-0x1.62e43p-1f), x);                        /* ln 2, in two parts */
    r = v_fma(n, v_set1(0x1.05c61p-29f), r);
    vec sum = v_set1(0x1.6a241ap-10f);
    sum = v_fma(sum, r, v_set1(0x1.1239f2p-7f));
    sum = v_fma(sum, r, v_set1(0x1.5558f2p-5f));
    sum = v_fma(sum, r, v_set1(0x1.555492p-3f));
    sum = v_fma(sum, r, v_set1(0x1.fffffcp-2f));
    sum = v_fma(sum, r, v_set1(1));
    sum = v_fma(sum, r, v_set1(1));
    return v_scale2(sum, t);
}

/* e^x for x <= 0; below -87 taken as -87. */
INLINE vec v_exp(vec x) { return v_exp_within(v_max(v_set1(-87), x)); }

/* Natural logarithm of a normal x > 0: x = 2^n m with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh(f) with
 * f = (m - 1) / (m + 1), |f| <= 0.1716: its series up to f^9 / 9 leaves less than 1e-9. */
INLINE vec v_log(vec x)
{
    vec n, m = v_split(x, &n), one = v_set1(1);
    vec f = v_div(v_sub(m, one), v_add(m, one)), f2 = v_mul(f, f);
    vec sum = v_set1(2.0f / 9);
    sum = v_fma(sum, f2, v_set1(2.0f / 7));
    sum = v_fma(sum, f2, v_set1(2.0f / 5));
    sum = v_fma(sum, f2, v_set1(2.0f / 3));
    sum = v_fma(sum, f2, v_set1(2));
    vec high = v_fma(n, v_set1(0x1.62e43p-1f), v_mul(n, v_set1(-0x1.05c61p-29f)));
    return v_fma(sum, f, high);
}

INLINE vec largest(size_t n_classes, size_t ld, const float *logits)
{
    vec most = v_load(logits);
    for (size_t c = 1; c < n_classes; c++)
        most = v_max(most, v_load(logits + c * ld));
    return most;
}

/* out(c) = e^(logit(c) - most); returns the sum over c. */
INLINE vec exponentials(size_t n_classes, size_t ld, const float *logits, vec most, float *out)
{
    vec sum = v_set1(0);
    for (size_t c = 0; c < n_classes; c++) {
        vec e = v_exp(v_sub(v_load(logits + c * ld), most));
        v_store(out + c * ld, e);
        sum = v_add(sum, e);
    }
    return sum;
}

static TARGET void softmax(size_t n_classes, size_t lanes, size_t ld, const float *logits, float *out)
{
    for (size_t lane = 0; lane < lanes; lane += NN_LANES) {
        vec sum = exponentials(n_classes, ld, logits + lane, largest(n_classes, ld, logits + lane), out + lane);
        vec scale = v_div(v_set1(1), sum);
        for (size_t c = 0; c < n_classes; c++)
            v_store(out + lane + c * ld, v_mul(v_load(out + lane + c * ld), scale));
    }
}

static TARGET void softmax_row(size_t n_classes, const float *logits, float *out)
{
    float most = logits[0], sum = 0;
    for (size_t c = 1; c < n_classes; c++)
        most = most > logits[c] ? most : logits[c];
    for (size_t c = 0; c < n_classes; c += NN_LANES) {
        size_t left = n_classes - c < NN_LANES ? n_classes - c : NN_LANES;
        v_store_n(out + c, left, v_exp(v_sub(v_load_n(logits + c, left), v_set1(most))));
    }
    for (size_t c = 0; c < n_classes; c++)
        sum += out[c];
    float scale = 1 / sum;
    for (size_t c = 0; c < n_classes; c++)
        out[c] *= scale;
}

static TARGET void softmax_loss(size_t n_classes, size_t lanes, size_t ld, const float *logits, const float *label,
                                const float *weight, float scale, float *d, struct loss_sums *sums)
{
    vec loss = v_set1(0), hits = v_set1(0), weights = v_set1(0), zero = v_set1(0), one = v_set1(1);
    for (size_t lane = 0; lane < lanes; lane += NN_LANES) {
        const float *in = logits + lane;
        vec y = v_load(label + lane), w = v_load(weight + lane), most = largest(n_classes, ld, in);
        vec true_logit = zero, best = zero;
        for (size_t c = n_classes; c-- > 0;) {                          /* downwards: of equal ones the first wins */
            vec logit = v_load(in + c * ld), c_ = v_set1((float)c);
            best = v_pick_ge(logit, most, c_, best);
            true_logit = v_pick_eq(y, c_, logit, true_logit);
        }
        vec sum = exponentials(n_classes, ld, in, most, d + lane);
        vec inverse = v_div(one, sum), w_scaled = v_mul(w, v_set1(scale));
        for (size_t c = 0; c < n_classes; c++) {
            vec wanted = v_pick_eq(y, v_set1((float)c), one, zero);
            vec miss = v_sub(v_mul(v_load(d + lane + c * ld), inverse), wanted);
            v_store(d + lane + c * ld, v_mul(miss, w_scaled));
        }
        loss = v_fma(w, v_sub(v_log(sum), v_sub(true_logit, most)), loss);
        hits = v_add(hits, v_pick_eq(best, y, w, zero));
        weights = v_add(weights, w);
    }
    sums->loss += (double)v_sum(loss);
    sums->hits += (double)v_sum(hits);
    sums->weight += (double)v_sum(weights);
}

/* ---- rows into lanes ------------------------------------------------------------------------------------------- */

#ifndef KERNELS_ROWS_TO_LANES
#define KERNELS_ROWS_TO_LANES rows_to_lanes
static void rows_to_lanes(const float *rows, size_t stride, const uint32_t *index, size_t n, size_t n_features,
                          size_t ld, float *out)
{
    size_t lanes = (n + NN_LANES - 1) / NN_LANES * NN_LANES;
    for (size_t r = 0; r < n; r++) {
        const float *row = rows + (index ? index[r] : r) * stride;
        for (size_t f = 0; f < n_features; f++)
            out[f * ld + r] = row[f];
    }
    for (size_t f = 0; n < lanes && f < n_features; f++)
        memset(out + f * ld + n, 0, (lanes - n) * sizeof *out);
}
#endif

#include "core/nn/kernels/recurrent.h"

#include "core/nn/kernels/attention.h"
#include "core/nn/kernels/row.h"

const struct kernels KERNELS_TABLE = {
    .name = KERNELS_NAME,
    .dense_forward = dense_forward,
    .dense_forward_row = dense_forward_row,
    .dense_backward_input = dense_backward_input,
    .dense_backward_params = dense_backward_params,
    .product = product,
    .product_row = product_row,
    .product_rows = product_rows,
    .gru_row = gru_row,
    .outer_steps = outer_steps,
    .sum_steps = sum_steps,
    .gru_forward = gru_forward,
    .gru_gates = gru_gates,
    .gru_output = gru_output,
    .gru_backward = gru_backward,
    .gru_backward_output = gru_backward_output,
    .gru_backward_gates = gru_backward_gates,
    .lstm_forward = lstm_forward,
    .lstm_backward = lstm_backward,
    .attention_weights = attention_weights,
    .attention_weights_backward = attention_weights_backward,
    .scale_lanes = scale_lanes,
    .layer_norm_forward = layer_norm_forward,
    .layer_norm_backward = layer_norm_backward,
    .relu_forward = relu_forward,
    .relu_backward = relu_backward,
    .softmax = softmax,
    .softmax_row = softmax_row,
    .softmax_loss = softmax_loss,
    .adam = adam,
    .sgd = sgd,
    .sum_squares = sum_squares,
    .add = add,
    .scale = scale,
    .rows_to_lanes = KERNELS_ROWS_TO_LANES,
};
