/* core/nn/kernels/row.h
 *
 * One row that goes through many steps, written over `vec` as body.h, which includes this file: the lanes are a layer's
 * outputs.  Matrices are padded to whole, aligned vectors; the bits are those of the products over lanes. */

/* n_r rows x n_g groups of outputs. */
INLINE void rows_tile(size_t n_r, size_t n_g, size_t n_in, const float *w, size_t w_in, const float *start,
                      const float *x, size_t x_row, float *out, size_t out_row)
{
    vec acc[ROWS_TILE][ROWS_GROUPS];
    UNROLL for (size_t r = 0; r < n_r; r++)
        UNROLL for (size_t g = 0; g < n_g; g++)
            acc[r][g] = v_load(start + g * NN_LANES);
    for (size_t k = 0; k < n_in; k++, w += w_in) {
        vec w_k[ROWS_GROUPS];
        UNROLL for (size_t g = 0; g < n_g; g++)
            w_k[g] = v_load(w + g * NN_LANES);
        UNROLL for (size_t r = 0; r < n_r; r++) {
            vec x_k = v_set1(x[r * x_row + k]);
            UNROLL for (size_t g = 0; g < n_g; g++)
                acc[r][g] = v_fma(w_k[g], x_k, acc[r][g]);
        }
    }
    UNROLL for (size_t r = 0; r < n_r; r++)
        UNROLL for (size_t g = 0; g < n_g; g++)
            v_store(out + r * out_row + g * NN_LANES, acc[r][g]);
}

INLINE void rows_groups(size_t n_r, size_t n_in, size_t n_out, const float *w, size_t w_in, const float *start,
                        const float *x, size_t x_row, float *out, size_t out_row)
{
    size_t j = 0;
    for (; j + ROWS_GROUPS * NN_LANES <= n_out; j += ROWS_GROUPS * NN_LANES)
        rows_tile(n_r, ROWS_GROUPS, n_in, w + j, w_in, start + j, x, x_row, out + j, out_row);
    for (; j < n_out; j += NN_LANES)
        rows_tile(n_r, 1, n_in, w + j, w_in, start + j, x, x_row, out + j, out_row);
}

static TARGET void product_rows(size_t n_rows, size_t n_in, size_t n_out, const float *w, size_t w_in,
                                const float *start, const float *x, size_t x_row, float *out, size_t out_row)
{
    size_t r = 0;
    for (; r + ROWS_TILE <= n_rows; r += ROWS_TILE)
        rows_groups(ROWS_TILE, n_in, n_out, w, w_in, start, x + r * x_row, x_row, out + r * out_row, out_row);
    for (; r < n_rows; r++)
        rows_groups(1, n_in, n_out, w, w_in, start, x + r * x_row, x_row, out + r * out_row, out_row);
}

INLINE void step_tile(size_t n_g, size_t n_in, const float *w, size_t w_in, const float *start, const float *x,
                      float *out)
{
    vec acc[STEP_GROUPS];
    UNROLL for (size_t g = 0; g < n_g; g++)
        acc[g] = v_load(start + g * NN_LANES);
    for (size_t k = 0; k < n_in; k++, w += w_in) {
        vec x_k = v_set1(x[k]);
        UNROLL for (size_t g = 0; g < n_g; g++)
            acc[g] = v_fma(v_load(w + g * NN_LANES), x_k, acc[g]);
    }
    UNROLL for (size_t g = 0; g < n_g; g++)
        v_store(out + g * NN_LANES, acc[g]);
}

static TARGET void gru_row(const struct gru_row *s)
{
    size_t units = s->units, n_out = s->width;
    for (size_t t = 0; t < s->n_steps; t++) {
        const float *start = s->start + t * n_out, *input = s->input + t * s->input_row;
        size_t j = 0;
        for (; j + STEP_GROUPS * NN_LANES <= n_out; j += STEP_GROUPS * NN_LANES)
            step_tile(STEP_GROUPS, units, s->recurrent + j, n_out, start + j, s->h, s->sums + j);
        for (; j < n_out; j += NN_LANES)
            step_tile(1, units, s->recurrent + j, n_out, start + j, s->h, s->sums + j);
        for (size_t u = 0; u < units; u += NN_LANES) {
            vec z = v_load(s->sums + u), r = v_load(s->sums + units + u), candidate;
            vec recurrent = v_load(s->sums + 2 * units + u);
            v_store(s->h + u, gru_new(&z, &r, v_load(input + u), recurrent, v_load(s->h + u), &candidate));
        }
    }
}
