/* core/feature.h
 *
 * Selection, particle rows and high-level features (HLF) of an event_batch, by a recipe.  Formulas: physics.md of the
 * design, repeated in core/feature/README.md.  The same functions serve ingestion of files and the trigger endpoint:
 * an event gives the same bits whatever batch it is in.  Pure functions; safe from any thread on distinct outputs. */
#ifndef DLT_CORE_FEATURE_H
#define DLT_CORE_FEATURE_H

#include "core/event.h"

enum { HLF_COUNT = 14, PARTICLE_COLUMNS = 19, PARTICLE_ROWS_MAX = 801,
       ROWS_TRACKS_MAX = 450, ROWS_PHOTONS_MAX = 150, ROWS_NEUTRALS_MAX = 200 };

enum hlf_index { HLF_HT, HLF_MET, HLF_MET_PHI, HLF_MT, HLF_N_JETS, HLF_N_BJETS, HLF_LEP_PT, HLF_LEP_ETA, HLF_LEP_PHI,
                 HLF_LEP_ISO_CH, HLF_LEP_ISO_GAMMA, HLF_LEP_ISO_NEU, HLF_LEP_CHARGE, HLF_LEP_IS_ELE };

struct feature_info {
    const char *name;                  /* "HT", as in the posted event */
    const char *unit, *formula;        /* "" where dimensionless; MT's unit depends on the recipe, see hlf_unit */
    double min, max;                   /* physically possible range under any recipe, ends included */
    bool whole;                        /* only whole numbers: counts, charge, lepIsEle */
};
extern const struct feature_info hlf_info[HLF_COUNT];
extern const char *const particle_column_names[PARTICLE_COLUMNS];

/* Why an event is not kept.  Names as in the API and in the cut-flow; REJECT_NONE is "pass". */
#define REJECT_TABLE(X) \
    X(NONE, "pass") X(NO_LEPTON, "no_lepton") X(NO_LEPTON_ABOVE_PT, "no_lepton_above_pt") \
    X(NO_TRACKS, "no_tracks") X(NO_PHOTONS, "no_photons") X(NO_NEUTRAL_HADRONS, "no_neutral_hadrons") \
    X(NO_ISOLATED_LEPTON, "no_isolated_lepton")
enum reject {
#define X(name, text) REJECT_##name,
    REJECT_TABLE(X)
#undef X
    REJECT_COUNT
};
const char *reject_name(enum reject r);

enum hlf_scaling { HLF_SCALE_STANDARD, HLF_SCALE_MINMAX };

/* A recipe is frozen: two constants of this struct, one code path. */
struct recipe {
    const char *name, *doc;
    bool allow_empty_lists;            /* false: an empty list of tracks, photons or neutral hadrons drops the event */
    bool wrap_isolation_dphi;          /* into (-pi, pi]; false: at +-2 pi only, as published */
    bool lepton_by_eta;                /* of electron and muon the larger eta wins (tie: muon); false: larger pT */
    bool order_by_pt;                  /* lists by decreasing pT before the caps; false: file order */
    bool mt_sqrt;                      /* MT = sqrt(2 MET pT (1 - cos dphi)); false: without the root */
    uint32_t btag_mask;                /* a jet is b-tagged when BTag & mask (0: BTag > 0) */
    enum hlf_scaling scaling;
    bool scale_log;                    /* log1p of HT, MET, MT, lepPt before standardising */
    bool scale_train_only;             /* fitted on the train part; false: on all selected events */
    bool sequence_dense;               /* 801 rows with zero padding, standardised per event; false: ragged rows,
                                          standardised by the train part's columns */
    double iso_max;                    /* lepton: isoCh + isoNeu + isoGamma < iso_max */
};
const struct recipe *recipe_find(const char *name);          /* NULL when unknown */
const struct recipe *recipe_all(size_t *n);
const char *hlf_unit(const struct recipe *r, enum hlf_index i);      /* MT: "GeV^2" where it is not rooted */

/* Particle rows as stored: what is measured.  E, Px, Py, Pz and the one-hot flags follow (particle_expand). */
enum particle_kind { PARTICLE_CHARGED, PARTICLE_NEUTRAL, PARTICLE_PHOTON, PARTICLE_ELECTRON, PARTICLE_MUON };
struct particle_columns {
    float *pt, *eta, *phi, *x, *y, *z, *iso_ch, *iso_gamma, *iso_neu;
    int8_t *kind, *charge;
    /* NULL, or [n][19] in place of all columns above: rows as a network takes them, sorted and scaled already (published
     * data that was imported: what was measured cannot be had back). */
    float *prepared;
};

struct lepton {
    enum particle_kind kind;           /* ELECTRON or MUON */
    uint32_t index;                    /* in its collection after the object cuts */
    float pt, eta, phi;
    int32_t charge;
    double iso_ch, iso_gamma, iso_neu;
};

struct feature_batch {
    size_t n_events;                   /* as in the event_batch; rejected events have no rows */
    enum reject *reject;               /* [n_events] */
    struct lepton *lepton;             /* [n_events], zero when rejected */
    float *hlf;                        /* [n_events][HLF_COUNT], zero when rejected */
    uint32_t *row_first;               /* [n_events + 1] into rows; row 0 of an event is the lepton */
    struct particle_columns rows;
    size_t cap_events, cap_rows;
    void *event_block, *row_block;     /* what the columns point into */
    struct feature_scratch *scratch;   /* the functions' own workspace */
};

/* A batch starts empty, is filled again and again by features_compute and keeps its room; fini frees. */
void feature_batch_init(struct feature_batch *f);
void feature_batch_fini(struct feature_batch *f);

/* Features of events that have passed the object cuts.  Replaces what `out` held.  `want_rows` false computes the HLF
 * only, and row_first is all 0 (an event's HLF are the same bits either way).  An event without MET object has MET 0.
 * Fails: NOMEM, RANGE (more than 2^32 - 1 rows: use smaller batches); `out` then holds no events. */
enum status features_compute(const struct recipe *r, const struct event_batch *events, bool want_rows,
                             struct feature_batch *out, struct error *e) MUST_USE;

/* out[n][19]: full rows, particle_column_names order, from stored columns [first, first + n).  Massless four-vectors:
 * px = pt cos phi, py = pt sin phi, pz = pt sinh eta, E = pt cosh eta, by polynomials of our own in float64, so that
 * the bits do not depend on the machine or its C library.  |eta| is taken as 20 where it is larger. */
void particle_expand(const struct particle_columns *rows, size_t first, size_t n, float *out);

/* ---- scaling --------------------------------------------------------------------------------------------- */

/* hlf'[i] = (f(hlf[i]) - shift[i]) * factor[i], f = log1p of max(x, 0) where `log` is set.  Computed in float64, stored
 * float32.  A feature that was constant where the scaler was fitted: standardised, factor 1 (all zeros there); min-max,
 * 0.5 for every input, as Spark does (factor 2^-100, shift -2^99: the formula needs no special case). */
struct hlf_scaler {
    bool log[HLF_COUNT];
    double shift[HLF_COUNT], factor[HLF_COUNT];
};
/* seq'[c] = (row[c] - mean[c]) * factor[c]; only for ragged recipes. */
struct sequence_scaler {
    double mean[PARTICLE_COLUMNS], factor[PARTICLE_COLUMNS];
};

/* Scalers as manifests and model headers hold them.  Lists are empty where there is no scaler. */
struct scaler_record {
    struct field_list hlf_log;         /* int64_t [14], 0 or 1 */
    struct field_list hlf_shift, hlf_factor;                 /* double [14] */
    struct field_list sequence_mean, sequence_factor;        /* double [19], or empty: dense recipe, or no rows */
};
extern const struct field scaler_record_fields[];
/* Whether HLF are taken as they come: the mark of data that was scaled before it was imported.  No recipe's own scaler
 * does that.  A model with such a scaler cannot score events as they are measured. */
bool scaler_record_is_identity(const struct scaler_record *record);
/* Lists are allocated from `a`; `sequence` may be NULL.  Fails: NOMEM. */
enum status scaler_record_make(struct arena *a, const struct hlf_scaler *hlf, const struct sequence_scaler *sequence,
                               struct scaler_record *out, struct error *e) MUST_USE;
/* Checks lengths and that every number is finite.  Without sequence lists *has_sequence is false and *sequence zero.
 * Fails: FORMAT. */
enum status scaler_record_read(const struct scaler_record *record, struct hlf_scaler *hlf,
                               struct sequence_scaler *sequence, bool *has_sequence, struct error *e) MUST_USE;

/* Streaming fit: Welford's mean and sum of squared deviations in float64, and min/max.  Start from a zeroed struct.
 * The result depends on the order of the values only, not on how they are cut into calls. */
struct scaler_fit {
    int64_t n[PARTICLE_COLUMNS];
    double mean[PARTICLE_COLUMNS], m2[PARTICLE_COLUMNS], min[PARTICLE_COLUMNS], max[PARTICLE_COLUMNS];
};
void scaler_fit_hlf(struct scaler_fit *fit, const struct recipe *r, const float *hlf, size_t n);
void scaler_fit_rows(struct scaler_fit *fit, const float *rows19, size_t n);
/* By r->scaling: standardisation with the population deviation, or min-max to [0, 1].  Nothing fitted: identity. */
struct hlf_scaler scaler_hlf(const struct scaler_fit *fit, const struct recipe *r);
struct sequence_scaler scaler_sequence(const struct scaler_fit *fit);
void hlf_scale(const struct hlf_scaler *s, const float *in, size_t n, float *out);    /* [n][14]; in == out allowed */
/* The same bits for rows in lanes, in place: feature c of row r at x[c * ld + r].  `lanes`: rows, a multiple of 8. */
void hlf_scale_lanes(const struct hlf_scaler *s, size_t lanes, size_t ld, float *x);

/* The network's sequence input of one event from its full rows, n in [1, 801].  Ragged recipes: rows sorted (stable) by
 * decreasing dR to row 0, standardised by `s`; returns n.  Dense recipes (s unused): 801 rows, zero rows sorted in too,
 * standardised per event and column; returns 801.  `out` has room for n x 19 (ragged) or 801 x 19 (dense), apart from
 * rows19. */
size_t sequence_prepare(const struct recipe *r, const struct sequence_scaler *s, const float *rows19, size_t n,
                        float *out);

/* ---- histograms of the training part: what drift is measured against ------------------------------------- */

/* One feature's distribution: equal-width bins between the 0.1 and 99.9 % quantiles, outliers in the outer bins. */
struct feature_histogram {
    const char *feature;
    double lo, hi, median;
    struct field_list counts;          /* double */
};
extern const struct field feature_histogram_fields[];

/* HLF_COUNT struct feature_histogram in `a`: ranges and medians from the given raw rows, counts zero. */
enum status feature_histograms_create(struct arena *a, const float *hlf, size_t n, struct field_list *out,
                                      struct error *e) MUST_USE;
/* Adds rows to the counts; weight NULL for 1 each. */
void feature_histograms_add(struct field_list *histograms, const float *hlf, const float *weight, size_t n);

#endif
