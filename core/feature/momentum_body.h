/* core/feature/momentum_body.h
 *
 * Body of one momentum kernel, included by particles.c once for each vector width.  Before: MOMENTUM_NAME,
 * MOMENTUM_LANES, MOMENTUM_TARGET.  Elementwise float64 without contraction, so that every width gives the same bits.
 *
 * n is a multiple of 8; |phi| <= 3.2; |eta| <= 20.  Accuracy: 1e-13 relative, or 1e-15 of pt near zeros. */

MOMENTUM_TARGET static void MOMENTUM_NAME(const double *pt_in, const double *eta_in, const double *phi_in, size_t n,
                                          struct momenta *out)
{
    typedef double vec __attribute__((vector_size(MOMENTUM_LANES * sizeof(double))));
    typedef int64_t bits __attribute__((vector_size(MOMENTUM_LANES * sizeof(int64_t))));
    const vec round = (vec){0} + 0x1.8p52;     /* adding it leaves the nearest whole number in the low bits */
    for (size_t i = 0; i < n; i += MOMENTUM_LANES) {
        vec pt, eta, phi;
        memcpy(&pt, pt_in + i, sizeof pt);
        memcpy(&eta, eta_in + i, sizeof eta);
        memcpy(&phi, phi_in + i, sizeof phi);

        /* sin and cos: to [-pi/4, pi/4] by quarter turns, then Taylor to r^13 and r^14. */
        vec turns = phi * TWO_OVER_PI + round;
        bits quarter = (bits)turns;
        turns = turns - round;
        vec r = (phi - turns * HALF_PI_HIGH) - turns * HALF_PI_LOW, r2 = r * r;
        vec sine = r + r * r2 * (-1.0 / 6 + r2 * (1.0 / 120 + r2 * (-1.0 / 5040 + r2 * (1.0 / 362880 +
                   r2 * (-1.0 / 39916800 + r2 * (1.0 / 6227020800))))));
        vec cosine = 1.0 + r2 * (-1.0 / 2 + r2 * (1.0 / 24 + r2 * (-1.0 / 720 + r2 * (1.0 / 40320 +
                     r2 * (-1.0 / 3628800 + r2 * (1.0 / 479001600 + r2 * (-1.0 / 87178291200)))))));
        bits odd = -(quarter & 1);
        vec s = (vec)(((bits)cosine & odd) | ((bits)sine & ~odd));
        vec c = (vec)(((bits)sine & odd) | ((bits)cosine & ~odd));
        s = (vec)((bits)s ^ ((quarter & 2) << 62));
        c = (vec)((bits)c ^ (((quarter + 1) & 2) << 62));

        /* exp(eta): to [-ln2/2, ln2/2] by powers of two, then Taylor to x^13. */
        vec power = eta * ONE_OVER_LN2 + round;
        bits exponent = (bits)power;
        power = power - round;
        vec x = (eta - power * LN2_HIGH) - power * LN2_LOW;
        vec grown = 1.0 + x * (1.0 + x * (1.0 / 2 + x * (1.0 / 6 + x * (1.0 / 24 + x * (1.0 / 120 + x * (1.0 / 720 +
                    x * (1.0 / 5040 + x * (1.0 / 40320 + x * (1.0 / 362880 + x * (1.0 / 3628800 +
                    x * (1.0 / 39916800 + x * (1.0 / 479001600 + x * (1.0 / 6227020800)))))))))))));
        vec e = (vec)((bits)grown + (exponent << 52));
        vec inverse = 1.0 / e, y2 = eta * eta;
        /* sinh near 0 by its own series, where the difference of exponentials loses digits. */
        vec near = eta + eta * y2 * (1.0 / 6 + y2 * (1.0 / 120 + y2 * (1.0 / 5040 + y2 * (1.0 / 362880))));
        bits is_near = (bits)(y2 < 0.0625);
        vec far = 0.5 * (e - inverse);
        vec sinh_eta = (vec)(((bits)near & is_near) | ((bits)far & ~is_near));

        vec px = pt * c, py = pt * s, pz = pt * sinh_eta, energy = pt * (0.5 * (e + inverse));
        memcpy(out->px + i, &px, sizeof px);
        memcpy(out->py + i, &py, sizeof py);
        memcpy(out->pz + i, &pz, sizeof pz);
        memcpy(out->energy + i, &energy, sizeof energy);
    }
}

#undef MOMENTUM_NAME
#undef MOMENTUM_LANES
#undef MOMENTUM_TARGET
