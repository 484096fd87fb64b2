/* core/nn/kernels/attention.h
 *
 * What attention and layer norm need besides products, written over `vec` as body.h, which includes this file. */

static TARGET void attention_weights(size_t n_keys, size_t lanes, size_t ld, float *scores, float *inverse)
{
    for (size_t lane = 0; lane < lanes; lane += NN_LANES) {
        vec most = largest(n_keys, ld, scores + lane);
        v_store(inverse + lane, v_div(v_set1(1), exponentials(n_keys, ld, scores + lane, most, scores + lane)));
    }
}

static TARGET void attention_weights_backward(size_t n_keys, size_t lanes, size_t ld, const float *weights, float *d)
{
    for (size_t lane = 0; lane < lanes; lane += NN_LANES) {
        vec sum = v_set1(0);
        for (size_t j = 0; j < n_keys; j++)
            sum = v_fma(v_load(weights + j * ld + lane), v_load(d + j * ld + lane), sum);
        for (size_t j = 0; j < n_keys; j++) {
            vec slope = v_sub(v_load(d + j * ld + lane), sum);
            v_store(d + j * ld + lane, v_mul(v_load(weights + j * ld + lane), slope));
        }
    }
}

static TARGET void scale_lanes(size_t n, size_t lanes, size_t ld, const float *factor, float *x)
{
    for (size_t i = 0; i < n; i++)
        for (size_t lane = 0; lane < lanes; lane += NN_LANES)
            v_store(x + i * ld + lane, v_mul(v_load(x + i * ld + lane), v_load(factor + lane)));
}

/* Mean and 1 / sqrt(variance + epsilon) over the features. */
INLINE void norm_of(const struct layer_norm_step *s, const float *x, vec *mean, vec *inverse)
{
    vec share = v_set1(1 / (float)s->n_features), sum = v_set1(0), square = v_set1(0);
    for (size_t f = 0; f < s->n_features; f++)
        sum = v_add(sum, v_load(x + f * s->ld));
    *mean = v_mul(sum, share);
    for (size_t f = 0; f < s->n_features; f++) {
        vec from_mean = v_sub(v_load(x + f * s->ld), *mean);
        square = v_fma(from_mean, from_mean, square);
    }
    *inverse = v_div(v_set1(1), v_sqrt(v_fma(square, share, v_set1(s->epsilon))));
}

static TARGET void layer_norm_forward(const struct layer_norm_step *s, const float *beta, float *out)
{
    for (size_t lane = 0; lane < s->lanes; lane += NN_LANES) {
        vec mean, inverse;
        norm_of(s, s->x + lane, &mean, &inverse);
        for (size_t f = 0; f < s->n_features; f++) {
            vec normal = v_mul(v_sub(v_load(s->x + f * s->ld + lane), mean), inverse);
            v_store(out + f * s->ld + lane, v_fma(normal, v_set1(s->gamma[f]), v_set1(beta[f])));
        }
    }
}

static TARGET void layer_norm_backward(const struct layer_norm_step *s, const float *d, bool add_in, float *d_x,
                                       float *sums)
{
    size_t ld = s->ld;
    for (size_t lane = 0; lane < s->lanes; lane += NN_LANES) {
        vec mean, inverse, share = v_set1(1 / (float)s->n_features), along = v_set1(0), across = v_set1(0);
        norm_of(s, s->x + lane, &mean, &inverse);
        for (size_t f = 0; f < s->n_features; f++) {
            float *of_gamma = sums + f * NN_LANES, *of_beta = of_gamma + s->n_features * NN_LANES;
            vec normal = v_mul(v_sub(v_load(s->x + f * ld + lane), mean), inverse), d_f = v_load(d + f * ld + lane);
            v_store(of_gamma, v_fma(d_f, normal, v_load(of_gamma)));
            v_store(of_beta, v_add(d_f, v_load(of_beta)));
            vec d_normal = v_mul(d_f, v_set1(s->gamma[f]));
            along = v_add(along, d_normal);
            across = v_fma(d_normal, normal, across);
        }
        along = v_mul(along, share);
        across = v_mul(across, share);
        for (size_t f = 0; d_x && f < s->n_features; f++) {
            vec normal = v_mul(v_sub(v_load(s->x + f * ld + lane), mean), inverse);
            vec d_normal = v_mul(v_load(d + f * ld + lane), v_set1(s->gamma[f]));
            vec slope = v_mul(inverse, v_sub(v_sub(d_normal, along), v_mul(normal, across)));
            v_store(d_x + f * ld + lane, add_in ? v_add(v_load(d_x + f * ld + lane), slope) : slope);
        }
    }
}
