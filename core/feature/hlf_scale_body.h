/* core/feature/hlf_scale_body.h
 *
 * Body of one scaling kernel, included by hlf_scale.c once for each vector width.  Before: HLF_SCALE_NAME,
 * HLF_SCALE_LANES, HLF_SCALE_TARGET.  Element by element in float64 without contraction, so that every width gives the
 * same bits. */

typedef double HLF_SCALE_VEC(d) __attribute__((vector_size(HLF_SCALE_LANES * sizeof(double))));
typedef int64_t HLF_SCALE_VEC(i) __attribute__((vector_size(HLF_SCALE_LANES * sizeof(int64_t))));
typedef uint64_t HLF_SCALE_VEC(u) __attribute__((vector_size(HLF_SCALE_LANES * sizeof(uint64_t))));
typedef float HLF_SCALE_VEC(f) __attribute__((vector_size(HLF_SCALE_LANES * sizeof(float))));

/* log1p(max(x, 0)).  1 + x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m is 2 artanh(g) with g = (m - 1) / (m + 1),
 * |g| <= 0.1716, whose series up to g^13 / 13 leaves less than 1e-12 (tests/core/feature/test_scale.c compares it with
 * the C library).  What is not finite gives NaN. */
HLF_SCALE_TARGET static inline HLF_SCALE_VEC(d) HLF_SCALE_VEC(log)(HLF_SCALE_VEC(d) x)
{
    typedef HLF_SCALE_VEC(d) vec;
    typedef HLF_SCALE_VEC(u) bits;
    vec zero = {0}, y = (vec)((bits)x & (bits)(x > zero)) + 1;
    bits exponent = ((bits)y - SQRT_HALF_BITS_F64) >> 52;
    vec m = (vec)((bits)y - (exponent << 52));
    vec e = (vec)(exponent | 0x4330000000000000u) - 0x1p52;             /* whole numbers below 2^52 to float64 */
    vec g = (m - 1) / (m + 1), g2 = g * g, g4 = g2 * g2;
    vec low = (2 + g2 * (2.0 / 3)) + g4 * (2.0 / 5 + g2 * (2.0 / 7));
    vec high = (2.0 / 9 + g2 * (2.0 / 11)) + g4 * (2.0 / 13);
    vec series = low + (g4 * g4) * high;
    return e * LN2_HIGH + (g * series + e * LN2_LOW) + (y - y);
}

/* n a multiple of 8. */
HLF_SCALE_TARGET static inline void HLF_SCALE_VEC(logs)(size_t n, double *x)
{
    for (size_t i = 0; i < n; i += HLF_SCALE_LANES) {
        HLF_SCALE_VEC(d) v;
        memcpy(&v, x + i, sizeof v);
        v = HLF_SCALE_VEC(log)(v);
        memcpy(x + i, &v, sizeof v);
    }
}

/* Feature-major, in place; lanes a multiple of 8. */
HLF_SCALE_TARGET static void HLF_SCALE_VEC(lanes)(const struct hlf_scaler *s, size_t lanes, size_t ld, float *x)
{
    for (size_t c = 0; c < HLF_COUNT; c++)
        for (size_t i = 0; i < lanes; i += HLF_SCALE_LANES) {
            HLF_SCALE_VEC(f) narrow;
            memcpy(&narrow, x + c * ld + i, sizeof narrow);
            HLF_SCALE_VEC(d) v = __builtin_convertvector(narrow, HLF_SCALE_VEC(d));
            v = s->log[c] ? HLF_SCALE_VEC(log)(v) : v;
            narrow = __builtin_convertvector((v - s->shift[c]) * s->factor[c], HLF_SCALE_VEC(f));
            memcpy(x + c * ld + i, &narrow, sizeof narrow);
        }
}

HLF_SCALE_TARGET static inline void HLF_SCALE_VEC(widen)(const float *in, double *out)
{
    for (size_t i = 0; i < 8; i += HLF_SCALE_LANES) {
        HLF_SCALE_VEC(f) narrow;
        memcpy(&narrow, in + i, sizeof narrow);
        HLF_SCALE_VEC(d) wide = __builtin_convertvector(narrow, HLF_SCALE_VEC(d));
        memcpy(out + i, &wide, sizeof wide);
    }
}

HLF_SCALE_TARGET static inline void HLF_SCALE_VEC(lines)(const double *x, const double *shift, const double *factor,
                                                         float *out)
{
    for (size_t i = 0; i < 8; i += HLF_SCALE_LANES) {
        HLF_SCALE_VEC(d) v, s, f;
        memcpy(&v, x + i, sizeof v);
        memcpy(&s, shift + i, sizeof s);
        memcpy(&f, factor + i, sizeof f);
        HLF_SCALE_VEC(f) scaled = __builtin_convertvector((v - s) * f, HLF_SCALE_VEC(f));
        memcpy(out + i, &scaled, sizeof scaled);
    }
}

/* A row is two halves of 8 numbers that share two: 14 = 8 + 8 - 2. */
HLF_SCALE_TARGET static void HLF_SCALE_NAME(const struct hlf_scaler *s, const float *in, size_t n, float *out)
{
    double x[BLOCK_ROWS * 16], logs[BLOCK_ROWS * HLF_COUNT + 8];
    size_t column[HLF_COUNT], n_logs = 0;
    for (size_t c = 0; c < HLF_COUNT; c++)
        if (s->log[c])
            column[n_logs++] = c;
    for (size_t done = 0; done < n; done += BLOCK_ROWS) {
        size_t rows = n - done < BLOCK_ROWS ? n - done : BLOCK_ROWS, n_padded = (rows * n_logs + 7) / 8 * 8;
        const float *from = in + done * HLF_COUNT;
        float *to = out + done * HLF_COUNT;
        for (size_t k = rows * n_logs; k < n_padded; k++)
            logs[k] = 0;
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < n_logs; k++)
                logs[r * n_logs + k] = (double)from[r * HLF_COUNT + column[k]];
        HLF_SCALE_VEC(logs)(n_padded, logs);
        for (size_t r = 0; r < rows; r++) {
            double *row = x + r * 16;
            HLF_SCALE_VEC(widen)(from + r * HLF_COUNT, row);
            HLF_SCALE_VEC(widen)(from + r * HLF_COUNT + HLF_COUNT - 8, row + 8);
            for (size_t k = 0; k < n_logs; k++)
                row[column[k] < 8 ? column[k] : column[k] + 16 - HLF_COUNT] = logs[r * n_logs + k];
        }
        for (size_t r = 0; r < rows; r++) {                   /* the first half last: its numbers 6 and 7 are the good ones */
            HLF_SCALE_VEC(lines)(x + r * 16 + 8, s->shift + HLF_COUNT - 8, s->factor + HLF_COUNT - 8,
                                 to + r * HLF_COUNT + HLF_COUNT - 8);
            HLF_SCALE_VEC(lines)(x + r * 16, s->shift, s->factor, to + r * HLF_COUNT);
        }
    }
}

#undef HLF_SCALE_NAME
#undef HLF_SCALE_LANES
#undef HLF_SCALE_TARGET
#undef HLF_SCALE_VEC
