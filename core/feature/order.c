/* core/feature/order.c
 *
 * Stable orders: particles by decreasing pT before the caps, and by decreasing dR for the networks' sequence input. */
#include "core/feature/internal.h"

#include <float.h>

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, PASSES = 32 / DIGIT_BITS, INSERTION_MAX = 24 };

static void order_by_insertion(const uint32_t *key, size_t n, uint32_t *order)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && key[order[at - 1]] > key[i]; at--)
            order[at] = order[at - 1];
        order[at] = (uint32_t)i;
    }
}

/* One pass of a least-significant-digit radix sort, which keeps the order of equal digits. */
static void radix_pass(const uint32_t *key, size_t n, unsigned shift, uint32_t count[DIGITS], const uint32_t *from,
                       uint32_t *to)
{
    uint32_t next = 0;
    for (size_t d = 0; d < DIGITS; d++) {
        uint32_t here = count[d];
        count[d] = next;
        next += here;
    }
    for (size_t i = 0; i < n; i++)
        to[count[(key[from[i]] >> shift) % DIGITS]++] = from[i];
}

void order_stable(const uint32_t *key, size_t n, uint32_t *order, uint32_t *spare)
{
    if (n <= INSERTION_MAX) {
        order_by_insertion(key, n, order);
        return;
    }
    uint32_t count[PASSES][DIGITS] = {0};
    for (size_t i = 0; i < n; i++) {
        order[i] = (uint32_t)i;
        for (unsigned p = 0; p < PASSES; p++)
            count[p][(key[i] >> (p * DIGIT_BITS)) % DIGITS]++;
    }
    uint32_t *from = order, *to = spare;
    for (unsigned p = 0; p < PASSES; p++) {
        if (count[p][(key[0] >> (p * DIGIT_BITS)) % DIGITS] == n)
            continue;                  /* all alike: nothing to move */
        radix_pass(key, n, p * DIGIT_BITS, count[p], from, to);
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order)
        memcpy(order, from, n * sizeof *order);
}

/* ---- sequence -------------------------------------------------------------------------------------------- */

enum { COLUMN_ETA = 5, COLUMN_PHI = 6 };

/* dR to row 0 as a whole number whose increasing order is the decreasing order of dR, in two halves. */
struct distance_keys {
    uint32_t high[PARTICLE_ROWS_MAX], low[PARTICLE_ROWS_MAX];
};

static void distance_key(struct distance_keys *k, size_t i, double eta0, double phi0, double eta, double phi)
{
    double d_eta = eta0 - eta, d_phi = phi_distance(phi0, phi);
    double distance = sqrt(d_eta * d_eta + d_phi * d_phi);       /* the root merges neighbours, as in the reference */
    uint64_t bits;
    memcpy(&bits, &distance, sizeof bits);
    k->high[i] = (uint32_t)~(bits >> 32);
    k->low[i] = (uint32_t)~bits;
}

/* The high halves are in order; puts right those few that differ in the low half alone. */
static void order_low_halves(const struct distance_keys *k, size_t n, uint32_t *order)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t mine = order[i];
        size_t at = i;
        for (; at > 0 && k->high[order[at - 1]] == k->high[mine] && k->low[order[at - 1]] > k->low[mine]; at--)
            order[at] = order[at - 1];
        order[at] = mine;
    }
}

/* order[n_all]: rows by decreasing dR to row 0; rows [n, n_all) are zero rows. */
static void order_by_distance(const float *rows19, size_t n, size_t n_all, uint32_t *order)
{
    struct distance_keys keys;
    uint32_t spare[PARTICLE_ROWS_MAX];
    double eta0 = (double)rows19[COLUMN_ETA], phi0 = (double)rows19[COLUMN_PHI];
    for (size_t i = 0; i < n; i++) {
        const float *row = rows19 + i * PARTICLE_COLUMNS;
        distance_key(&keys, i, eta0, phi0, (double)row[COLUMN_ETA], (double)row[COLUMN_PHI]);
    }
    if (n < n_all)
        distance_key(&keys, n, eta0, phi0, 0, 0);
    for (size_t i = n + 1; i < n_all; i++) {
        keys.high[i] = keys.high[n];
        keys.low[i] = keys.low[n];
    }
    order_stable(keys.high, n_all, order, spare);
    order_low_halves(&keys, n_all, order);
}

static void scale_row(const struct sequence_scaler *s, const float *row, float *out)
{
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
        out[c] = (float)(((double)row[c] - s->mean[c]) * s->factor[c]);
}

/* Standardisation over the event's 801 rows, of which [n, 801) are zero rows.  A variance that rounding alone can
 * explain is none. */
static struct sequence_scaler event_scaler(const float *rows19, size_t n)
{
    const double all = PARTICLE_ROWS_MAX, zeros = all - (double)n;
    double sum[PARTICLE_COLUMNS] = {0}, m2[PARTICLE_COLUMNS];
    struct sequence_scaler s;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < PARTICLE_COLUMNS; c++)
            sum[c] += (double)rows19[i * PARTICLE_COLUMNS + c];
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++) {
        s.mean[c] = sum[c] / all;
        m2[c] = zeros * s.mean[c] * s.mean[c];
    }
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < PARTICLE_COLUMNS; c++) {
            double d = (double)rows19[i * PARTICLE_COLUMNS + c] - s.mean[c];
            m2[c] += d * d;
        }
    for (size_t c = 0; c < PARTICLE_COLUMNS; c++) {
        double deviation = sqrt(m2[c] / all), noise = all * DBL_EPSILON * fabs(s.mean[c]);
        s.factor[c] = deviation > noise ? 1 / deviation : 1;
    }
    return s;
}

size_t sequence_prepare(const struct recipe *r, const struct sequence_scaler *s, const float *rows19, size_t n,
                        float *out)
{
    check(n >= 1 && n <= PARTICLE_ROWS_MAX);
    static const float zeros[PARTICLE_COLUMNS];
    float zero_row[PARTICLE_COLUMNS];
    uint32_t order[PARTICLE_ROWS_MAX];
    size_t n_all = r->sequence_dense ? PARTICLE_ROWS_MAX : n;
    struct sequence_scaler own;
    if (r->sequence_dense) {
        own = event_scaler(rows19, n);
        s = &own;
        scale_row(s, zeros, zero_row);
    }
    order_by_distance(rows19, n, n_all, order);
    for (size_t i = 0; i < n_all; i++) {
        float *to = out + i * PARTICLE_COLUMNS;
        if (order[i] < n)
            scale_row(s, rows19 + order[i] * PARTICLE_COLUMNS, to);
        else
            memcpy(to, zero_row, sizeof zero_row);
    }
    return n_all;
}
