/* core/feature/fit_body.h
 *
 * Body of one kernel of scaler_fit_rows, included by scale.c once for each vector width.  Before: FIT_NAME, FIT_LANES,
 * FIT_TARGET.  A lane is a column and does what fit_add does, without contraction: every width gives the same bits. */

FIT_TARGET static void FIT_NAME(struct scaler_fit *fit, const float *rows19, size_t n)
{
    typedef double vec __attribute__((vector_size(FIT_LANES * sizeof(double))));
    typedef int64_t bits __attribute__((vector_size(FIT_LANES * sizeof(int64_t))));
    typedef float narrow __attribute__((vector_size(FIT_LANES * sizeof(float))));
    enum {
        VECTORS = FIT_PADDED / FIT_LANES,
        WHOLE = PARTICLE_COLUMNS / FIT_LANES,
        REST = PARTICLE_COLUMNS % FIT_LANES
    };
    struct padded p;
    pad_fit(fit, &p);
    vec mean[VECTORS], m2[VECTORS], min[VECTORS], max[VECTORS];
    memcpy(mean, p.mean, sizeof mean);
    memcpy(m2, p.m2, sizeof m2);
    memcpy(min, p.min, sizeof min);
    memcpy(max, p.max, sizeof max);
    double done = (double)fit->n[0];
    for (size_t i = 0; i < n; i++) {
        const float *row = rows19 + i * PARTICLE_COLUMNS;
        narrow column[VECTORS] = {0};
        memcpy(column, row, WHOLE * sizeof *column);
        memcpy(&column[WHOLE], row + WHOLE * FIT_LANES, REST * sizeof *row);
        done += 1;
        vec inverse_n = (vec){0} + 1 / done;
        for (size_t k = 0; k < VECTORS; k++) {
            vec x = __builtin_convertvector(column[k], vec), delta = x - mean[k];
            mean[k] += delta * inverse_n;
            m2[k] += delta * (x - mean[k]);
            bits below = (bits)(x < min[k]), above = (bits)(x > max[k]);
            min[k] = (vec)(((bits)x & below) | ((bits)min[k] & ~below));
            max[k] = (vec)(((bits)x & above) | ((bits)max[k] & ~above));
        }
    }
    memcpy(p.mean, mean, sizeof mean);
    memcpy(p.m2, m2, sizeof m2);
    memcpy(p.min, min, sizeof min);
    memcpy(p.max, max, sizeof max);
    unpad_fit(&p, n, fit);
}

#undef FIT_NAME
#undef FIT_LANES
#undef FIT_TARGET
