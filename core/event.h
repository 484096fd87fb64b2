/* core/event.h
 *
 * A batch of collision events as columns.  pT, ET, mass and MET in GeV, phi in (-pi, pi] rad, vertices in mm, eta
 * dimensionless.  Objects of event i are [first[i], first[i+1]) of their kind's columns.
 *
 * One table, event_columns(), names every column: the Delphes reader, the events' Parquet schema and the JSON scanner
 * of posted events walk it, so a column exists once. */
#ifndef DLT_CORE_EVENT_H
#define DLT_CORE_EVENT_H

#include "core/base.h"

enum object_kind { OBJECT_TRACK, OBJECT_PHOTON, OBJECT_NEUTRAL, OBJECT_ELECTRON, OBJECT_MUON, OBJECT_JET, OBJECT_MET,
                   OBJECT_KINDS };

struct object_columns {
    uint32_t *first;                   /* [n_events + 1] */
    float *pt;                         /* ET for photons and neutral hadrons, MET for the missing ET */
    float *eta, *phi;                  /* eta: not for MET */
    float *x, *y, *z;                  /* tracks */
    float *mass;                       /* jets */
    int32_t *pid;                      /* tracks */
    int32_t *charge;                   /* tracks, electrons, muons */
    uint32_t *btag;                    /* jets: bit 0 loose, newer cards bits 1 and 2 */
    size_t cap;                        /* objects that the columns have room for */
};

struct event_batch {
    size_t n_events, cap_events;
    struct object_columns objects[OBJECT_KINDS];
    int64_t *number;                   /* Event.Number */
    float *weight;                     /* generator weight, 1 when the file has none */
    int32_t *label;                    /* class index, -1 unknown */
    int64_t *entry;                    /* entry in the file it came from, 0-based */
    size_t bytes;                      /* heap held by the columns */
};

enum event_type { EVENT_F32, EVENT_I32, EVENT_U32 };

struct event_column {
    enum object_kind kind;
    const char *leaf;                  /* Delphes' leaf name: "PT", "ET", "Eta", ... */
    const char *column;                /* Parquet column: "track_pt", ... */
    enum event_type type;
    size_t offset;                     /* of the pointer in struct object_columns */
    bool optional;                     /* filled with 0 when a posted event leaves it out (Charge of tracks, mass) */
};

struct event_object {
    const char *branch;                /* default Delphes branch: "EFlowTrack", ... */
    const char *column_prefix;         /* "track", ... */
};

/* The table, in a fixed order that stored files rely on. */
const struct event_column *event_columns(size_t *n);
const struct event_object *event_objects(void);              /* [OBJECT_KINDS] */

/* Zeroed batch with no room; every column grows through event_batch_reserve.  fini frees. */
void event_batch_init(struct event_batch *b);
void event_batch_fini(struct event_batch *b);
void event_batch_clear(struct event_batch *b);               /* no events, keeps the room */
/* Room for n_events events in all. */
enum status event_batch_reserve_events(struct event_batch *b, size_t n_events, struct error *e) MUST_USE;
/* Room for n objects in all in every column of `kind`. */
enum status event_batch_reserve_objects(struct event_batch *b, enum object_kind kind, size_t n,
                                        struct error *e) MUST_USE;
static inline void **event_column_data(const struct object_columns *o, const struct event_column *c)
{
    return (void **)((uint8_t *)(uintptr_t)o + c->offset);
}

/* Object cuts of ingestion (defaults: physics.md): an object stays when pt > pt_min and |eta| < eta_max (0: no cut).
 * `need_lepton`: an event without electron and muon left is dropped. */
struct object_cuts {
    double track_pt, photon_et, neutral_et, electron_pt, muon_pt, jet_pt, jet_abs_eta;
    bool need_lepton;
};
extern const struct field object_cuts_fields[];              /* defaults 0.5 1 1 23 23 30 2.6 true */

bool object_cuts_equal(const struct object_cuts *a, const struct object_cuts *b);

/* Applies the cuts in place, keeping order.  kept_weight and dropped counters are added to, for the cut-flow. */
struct cut_counts {
    int64_t read, no_lepton_above_pt, kept;
    double read_weight, no_lepton_above_pt_weight, kept_weight;
};
void event_batch_cut(struct event_batch *b, const struct object_cuts *cuts, struct cut_counts *counts);

#endif
