/* core/feature/particles.c
 *
 * Particle rows of a selected event: the lepton, then tracks, photons and neutral hadrons up to their caps, each with
 * its isolation; and the 19 columns that networks see, derived from what is stored. */
#include "core/feature/internal.h"

/* A track this close to the lepton is the lepton. */
#define OWN_TRACK_RADIUS 0.0001

struct row_list {
    enum object_kind object;
    enum particle_kind particle;
    size_t cap;
};
static const struct row_list row_lists[] = {
    {OBJECT_TRACK, PARTICLE_CHARGED, ROWS_TRACKS_MAX},
    {OBJECT_PHOTON, PARTICLE_PHOTON, ROWS_PHOTONS_MAX},
    {OBJECT_NEUTRAL, PARTICLE_NEUTRAL, ROWS_NEUTRALS_MAX},
};

size_t event_rows_bound(const struct event_batch *b, size_t i)
{
    size_t n = 1;
    for (size_t l = 0; l < ARRAY_LEN(row_lists); l++) {
        const uint32_t *first = b->objects[row_lists[l].object].first;
        size_t have = first[i + 1] - first[i];
        n += have < row_lists[l].cap ? have : row_lists[l].cap;
    }
    return n;
}

/* The list in the order in which its objects become rows. */
static const uint32_t *list_order(const struct feature_event *ev, const float *pt, size_t n)
{
    struct feature_scratch *s = ev->scratch;
    if (ev->recipe->order_by_pt) {
        for (size_t j = 0; j < n; j++)
            s->key[j] = order_key_decreasing(pt[j]);
        order_stable(s->key, n, s->order, s->spare);
    } else {
        for (size_t j = 0; j < n; j++)
            s->order[j] = (uint32_t)j;
    }
    return s->order;
}

static bool is_own_track(const struct lepton *lep, float eta, float phi)
{
    double d_eta = (double)lep->eta - (double)eta;
    double d_phi = phi_distance((double)lep->phi, phi_normal((double)phi));
    return !(sqrt(d_eta * d_eta + d_phi * d_phi) > OWN_TRACK_RADIUS);
}

/* Appends the rows of one list at rows[at], without isolation; returns their number. */
static size_t list_rows(const struct feature_event *ev, const struct lepton *lep, const struct row_list *list,
                        const struct particle_columns *rows, size_t at)
{
    const struct object_columns *o = &ev->batch->objects[list->object];
    size_t n = event_count(ev, list->object), first = o->first[ev->i], n_rows = 0;
    if (n == 0)
        return 0;
    bool tracks = list->object == OBJECT_TRACK;
    const uint32_t *order = list_order(ev, o->pt + first, n);
    for (size_t j = 0; j < n && n_rows < list->cap; j++) {
        size_t from = first + order[j], to = at + n_rows;
        if (tracks && is_own_track(lep, o->eta[from], o->phi[from]))
            continue;
        rows->pt[to] = o->pt[from];
        rows->eta[to] = o->eta[from];
        rows->phi[to] = o->phi[from];
        rows->x[to] = tracks ? o->x[from] : 0;
        rows->y[to] = tracks ? o->y[from] : 0;
        rows->z[to] = tracks ? o->z[from] : 0;
        rows->kind[to] = (int8_t)list->particle;
        rows->charge[to] = (int8_t)(tracks ? (o->pid[from] > 0) - (o->pid[from] < 0) : 0);
        n_rows++;
    }
    return n_rows;
}

static void lepton_row(const struct lepton *lep, const struct particle_columns *rows, size_t at)
{
    rows->pt[at] = lep->pt;
    rows->eta[at] = lep->eta;
    rows->phi[at] = lep->phi;
    rows->x[at] = rows->y[at] = rows->z[at] = 0;
    rows->iso_ch[at] = (float)lep->iso_ch;
    rows->iso_gamma[at] = (float)lep->iso_gamma;
    rows->iso_neu[at] = (float)lep->iso_neu;
    rows->kind[at] = (int8_t)lep->kind;
    rows->charge[at] = (int8_t)((lep->charge > 0) - (lep->charge < 0));
}

size_t event_rows(const struct feature_event *ev, const struct lepton *lep, const struct particle_columns *rows,
                  size_t at)
{
    lepton_row(lep, rows, at);
    size_t n = 1;
    for (size_t l = 0; l < ARRAY_LEN(row_lists); l++)
        n += list_rows(ev, lep, &row_lists[l], rows, at + n);
    struct cone_list *candidates = &ev->scratch->candidates;
    size_t first = at + 1;             /* the lepton has its isolation already */
    cone_list_fill(candidates, rows->pt + first, rows->eta + first, rows->phi + first, n - 1);
    isolation_of_all(&ev->scratch->cones, candidates, n - 1, rows->iso_ch + first, rows->iso_gamma + first,
                     rows->iso_neu + first);
    return n;
}

/* ---- the 19 columns --------------------------------------------------------------------------------------- */

#define TWO_OVER_PI 0.6366197723675814
#define HALF_PI_HIGH 1.5707963267948966
#define HALF_PI_LOW 6.123233995736766e-17      /* pi/2 - HALF_PI_HIGH */
#define ONE_OVER_LN2 1.4426950408889634
#define LN2_HIGH 0x1.62e42fefap-1              /* 35 bits: a whole number times it is exact */
#define LN2_LOW 0x1.cf79abc9e3b3ap-40
#define ETA_MOMENTUM_MAX 20.0

enum { MOMENTUM_BLOCK = 64 };
struct momenta {
    double px[MOMENTUM_BLOCK], py[MOMENTUM_BLOCK], pz[MOMENTUM_BLOCK], energy[MOMENTUM_BLOCK];
};

#define MOMENTUM_NAME momentum_portable
#define MOMENTUM_LANES 2
#define MOMENTUM_TARGET
#include "core/feature/momentum_body.h"

#if defined(__x86_64__)
#define MOMENTUM_NAME momentum_avx2
#define MOMENTUM_LANES 4
#define MOMENTUM_TARGET __attribute__((target("avx2")))
#include "core/feature/momentum_body.h"

#define MOMENTUM_NAME momentum_avx512
#define MOMENTUM_LANES 8
#define MOMENTUM_TARGET __attribute__((target("avx512f")))
#include "core/feature/momentum_body.h"
#else
#define momentum_avx2 momentum_portable
#define momentum_avx512 momentum_portable
#endif

/* Four-vectors of up to MOMENTUM_BLOCK rows. */
static void block_momenta(const struct particle_columns *rows, size_t first, size_t n, enum cpu_level level,
                          struct momenta *out)
{
    double pt[MOMENTUM_BLOCK], eta[MOMENTUM_BLOCK], phi[MOMENTUM_BLOCK];
    size_t padded = (n + 7) / 8 * 8;
    for (size_t i = 0; i < n; i++) {
        double e = (double)rows->eta[first + i], p = (double)rows->phi[first + i];
        pt[i] = (double)rows->pt[first + i];
        eta[i] = e < ETA_MOMENTUM_MAX ? (e > -ETA_MOMENTUM_MAX ? e : -ETA_MOMENTUM_MAX) : ETA_MOMENTUM_MAX;
        phi[i] = phi_normal(p);
    }
    for (size_t i = n; i < padded; i++)
        pt[i] = eta[i] = phi[i] = 0;
    if (level >= CPU_AVX512)
        momentum_avx512(pt, eta, phi, padded, out);
    else if (level >= CPU_AVX2)
        momentum_avx2(pt, eta, phi, padded, out);
    else
        momentum_portable(pt, eta, phi, padded, out);
}

/* Columns 13 to 17, in the order of particle_column_names. */
static void one_hot(enum particle_kind kind, float flag[5])
{
    static const int8_t column[] = {
        [PARTICLE_CHARGED] = 0, [PARTICLE_NEUTRAL] = 1, [PARTICLE_PHOTON] = 2, [PARTICLE_ELECTRON] = 3,
        [PARTICLE_MUON] = 4,
    };
    for (size_t i = 0; i < 5; i++)
        flag[i] = 0;
    if ((size_t)kind < ARRAY_LEN(column))
        flag[column[kind]] = 1;
}

void particle_expand(const struct particle_columns *rows, size_t first, size_t n, float *out)
{
    enum cpu_level level = cpu_level();
    struct momenta m;
    for (size_t begin = 0; begin < n; begin += MOMENTUM_BLOCK) {
        size_t n_block = n - begin < MOMENTUM_BLOCK ? n - begin : MOMENTUM_BLOCK;
        block_momenta(rows, first + begin, n_block, level, &m);
        for (size_t i = 0; i < n_block; i++) {
            size_t at = first + begin + i;
            float *row = out + (begin + i) * PARTICLE_COLUMNS;
            row[0] = (float)m.energy[i];
            row[1] = (float)m.px[i];
            row[2] = (float)m.py[i];
            row[3] = (float)m.pz[i];
            row[4] = rows->pt[at];
            row[5] = rows->eta[at];
            row[6] = rows->phi[at];
            row[7] = rows->x[at];
            row[8] = rows->y[at];
            row[9] = rows->z[at];
            row[10] = rows->iso_ch[at];
            row[11] = rows->iso_gamma[at];
            row[12] = rows->iso_neu[at];
            one_hot((enum particle_kind)rows->kind[at], row + 13);
            row[18] = (float)rows->charge[at];
        }
    }
}
